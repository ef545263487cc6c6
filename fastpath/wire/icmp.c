/*
 * icmp.c - ICMP messages, with the packet that an error quotes.
 *
 * An error is believed only as far as the quoted TCP header goes: the caller matches tuple and
 * sequence number against a flow (RFC 5927).
 *
 * Owner: none (pure). RFC 792, 1191 (next-hop MTU), 1122 section 3.2.2.
 */
#include <errno.h>
#include "bytes.h"
#include "tas/wire.h"

#define ICMP_HDR	  8u
#define ICMP_UNREACH	  3
#define ICMP_UNREACH_FRAG 4
#define ICMP_QUENCH	  4
#define ICMP_REDIRECT	  5
#define ICMP_TIME_EXCEED  11
#define ICMP_PARAM	  12
#define ICMP_BODY_MAX	  1472u

static int is_error(uint8_t type)
{
	return type == ICMP_UNREACH || type == ICMP_QUENCH || type == ICMP_REDIRECT ||
	       type == ICMP_TIME_EXCEED || type == ICMP_PARAM;
}

/* The quoted packet: header and at least the first 8 bytes of its payload (RFC 792). */
static int parse_quoted(const uint8_t *p, uint32_t len, struct wire_icmp *out)
{
	uint32_t ihl;

	if (len < WIRE_IP4_HDR)
		return -EINVAL;
	ihl = (p[0] & 15u) * 4;
	if (p[0] >> 4 != 4 || ihl < WIRE_IP4_HDR || len < ihl + 8)
		return -EINVAL;
	/* A later fragment does not begin with a TCP header. */
	if (p[9] != 6 || (get_be16(p + 6) & 0x1fffu) != 0)
		return 0;
	tas_addr_from_v4(out->quoted.laddr, get_raw32(p + 12));
	tas_addr_from_v4(out->quoted.raddr, get_raw32(p + 16));
	out->quoted.lport = get_raw16(p + ihl);
	out->quoted.rport = get_raw16(p + ihl + 2);
	out->quoted_seq = get_be32(p + ihl + 4);
	out->quoted_tcp = 1;
	return 0;
}

int wire_icmp_parse(const uint8_t *frame, uint32_t len, struct wire_icmp *out)
{
	const uint8_t *ip, *p;
	uint32_t ihl, n;
	struct seg unused;

	memset(out, 0, sizeof(*out));
	if (wire_parse(frame, len, 0, 1, &unused) != WIRE_ICMP)
		return -EINVAL;
	ip = frame + WIRE_ETH_HDR;
	ihl = (ip[0] & 15u) * 4;
	p = ip + ihl;
	n = get_be16(ip + 2) - ihl;
	if (n < ICMP_HDR || wire_csum_fold(wire_csum_add(0, p, n)) != 0)
		return -EINVAL;
	out->type = p[0];
	out->code = p[1];
	out->id = get_raw16(p + 4);
	out->seq = get_raw16(p + 6);
	out->saddr = get_raw32(ip + 12);
	out->daddr = get_raw32(ip + 16);
	out->body = p + ICMP_HDR;
	out->body_len = n - ICMP_HDR;
	if (out->type == ICMP_UNREACH && out->code == ICMP_UNREACH_FRAG)
		out->mtu = get_be16(p + 6);
	return is_error(out->type) ? parse_quoted(out->body, out->body_len, out) : 0;
}

uint32_t wire_icmp_emit(uint8_t *frame, const uint8_t src[6], const uint8_t dst[6], uint32_t saddr,
	uint32_t daddr, uint8_t type, uint8_t code, uint32_t rest_be, const uint8_t *body,
	uint32_t body_len)
{
	uint8_t *ip = frame + WIRE_ETH_HDR, *p = ip + WIRE_IP4_HDR;

	if (body_len > ICMP_BODY_MAX)
		body_len = ICMP_BODY_MAX;
	wire_eth_emit(frame, src, dst, WIRE_ETH_IP4);
	wire_ip4_emit(
		ip, saddr, daddr, 1, (uint16_t)(WIRE_IP4_HDR + ICMP_HDR + body_len), 0, 0, 64);
	p[0] = type;
	p[1] = code;
	put_raw16(p + 2, 0);
	put_raw32(p + 4, rest_be);
	if (body_len != 0)
		memcpy(p + ICMP_HDR, body, body_len);
	put_raw16(p + 2, wire_csum_fold(wire_csum_add(0, p, ICMP_HDR + body_len)));
	return WIRE_ETH_HDR + WIRE_IP4_HDR + ICMP_HDR + body_len;
}
