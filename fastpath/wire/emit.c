/*
 * emit.c - values to headers: Ethernet, IPv4, TCP.
 *
 * Owner: none (pure). RFC 791, 9293 section 3.1, 7323, 2018.
 */
#include "bytes.h"
#include "tas/wire.h"

#define OPTS_MAX 40u /* RFC 9293: a data offset of 15 words */

void wire_eth_emit(uint8_t *p, const uint8_t src[6], const uint8_t dst[6], uint16_t type)
{
	memcpy(p, dst, 6);
	memcpy(p + 6, src, 6);
	put_be16(p + 12, type);
}

void wire_ip4_emit(uint8_t *p, uint32_t saddr, uint32_t daddr, uint8_t proto, uint16_t total,
	uint16_t id, uint8_t tos, uint8_t ttl)
{
	p[0] = 0x45;
	p[1] = tos;
	put_be16(p + 2, total);
	put_be16(p + 4, id);
	put_be16(p + 6, 0x4000); /* DF: path MTU discovery */
	p[8] = ttl;
	p[9] = proto;
	put_raw16(p + 10, 0);
	put_raw32(p + 12, saddr);
	put_raw32(p + 16, daddr);
	put_raw16(p + 10, wire_csum_fold(wire_csum_add(0, p, WIRE_IP4_HDR)));
}

static uint32_t emit_ts(uint8_t *p, const struct wire_tcp *t)
{
	/* SACK-permitted takes the place of the two NOPs in a SYN. */
	put_be16(p, t->sack_ok ? 0x0402 : 0x0101);
	put_be16(p + 2, 0x080a);
	put_be32(p + 4, t->ts_val);
	put_be32(p + 8, t->ts_ecr);
	return 12;
}

static uint32_t emit_sack(uint8_t *p, const struct wire_tcp *t, uint32_t room)
{
	uint32_t i, n = t->nsack;

	if (n > SEG_MAX_SACK)
		n = SEG_MAX_SACK;
	if (room < 12)
		return 0;
	if (n > (room - 4) / 8)
		n = (room - 4) / 8;
	put_be16(p, 0x0101);
	p[2] = 5;
	p[3] = (uint8_t)(2 + 8 * n);
	for (i = 0; i < n; i++) {
		put_be32(p + 4 + 8 * i, t->sack[i].left);
		put_be32(p + 8 + 8 * i, t->sack[i].right);
	}
	return 4 + 8 * n;
}

/* At most 4 + 12 + 4 bytes before the SACK blocks, which take what is left. */
static uint32_t emit_options(uint8_t *p, const struct wire_tcp *t)
{
	uint32_t n = 0;

	if (t->mss != 0) {
		put_be16(p, 0x0204);
		put_be16(p + 2, t->mss);
		n = 4;
	}
	if (t->has_ts) {
		n += emit_ts(p + n, t);
	} else if (t->sack_ok) {
		put_be32(p + n, 0x01010402);
		n += 4;
	}
	if (t->wscale != SEG_NO_WSCALE) {
		put_be32(p + n, 0x01030300u | t->wscale);
		n += 4;
	}
	if (t->nsack != 0)
		n += emit_sack(p + n, t, OPTS_MAX - n);
	return n;
}

uint32_t wire_tcp_emit(uint8_t *p, const struct wire_tcp *t)
{
	uint32_t len = WIRE_TCP_HDR + emit_options(p + WIRE_TCP_HDR, t);

	put_raw16(p, t->lport);
	put_raw16(p + 2, t->rport);
	put_be32(p + 4, t->seq);
	put_be32(p + 8, t->ack);
	p[12] = (uint8_t)(len / 4 << 4);
	p[13] = t->flags;
	put_be16(p + 14, t->wnd);
	put_be32(p + 16, t->urg_ptr); /* checksum 0 before it */
	return len;
}
