/*
 * parse.c - a frame to a value, every length checked once: Ethernet, IPv4, TCP.
 *
 * Everything here is hostile input. Each refusal is one verdict with one counter
 * (include/tas/counters.h); nothing loops without consuming bytes, nothing is read beyond the
 * length the previous header allowed.
 *
 * Owner: none (pure). RFC 791, 1122 (3.2.1), 9293 (3.1, 3.2), 7323, 2018, 3168.
 */
#include "bytes.h"
#include "tas/wire.h"

#define IP4_FRAG_MASK 0x3fffu /* MF and offset */
#define IP4_OPT_END   0
#define IP4_OPT_NOP   1
#define IP4_OPT_LSRR  131
#define IP4_OPT_SSRR  137

#define TCP_OPT_END	0
#define TCP_OPT_NOP	1
#define TCP_OPT_MSS	2
#define TCP_OPT_WSCALE	3
#define TCP_OPT_SACK_OK 4
#define TCP_OPT_SACK	5
#define TCP_OPT_TS	8

#define TCP_OPTS_TS_ONLY 0x0101080au /* NOP NOP TS 10: what nearly every segment carries */
#define TCP_WSCALE_MAX	 14	     /* RFC 7323 section 2.3 */

/* An IPv4 packet whose header has been checked. */
struct ip4 {
	const uint8_t *hdr, *body;
	uint32_t body_len;
	uint8_t proto;
};

/* Source routing is refused, other options are skipped when well-formed (RFC 7126). */
static int ip4_options_ok(const uint8_t *p, uint32_t len)
{
	uint32_t i = 0;

	while (i < len) {
		uint8_t kind = p[i], n;

		if (kind == IP4_OPT_END)
			return 1;
		if (kind == IP4_OPT_NOP) {
			i++;
			continue;
		}
		if (kind == IP4_OPT_LSRR || kind == IP4_OPT_SSRR || i + 2 > len)
			return 0;
		n = p[i + 1];
		if (n < 2 || n > len - i)
			return 0;
		i += n;
	}
	return 1;
}

/* RFC 1122 3.2.1.3: these are never the source of a packet on a wire. */
static int ip4_source_ok(const uint8_t *hdr)
{
	uint8_t top = hdr[12];

	return top != 0 && top != 127 && top < 224;
}

/* WIRE_TCP (meaning: go on) or a refusal. */
static enum wire_kind parse_ip4(const uint8_t *p, uint32_t len, struct ip4 *ip)
{
	uint32_t ihl, total;

	if (len < WIRE_IP4_HDR)
		return WIRE_DROP_SHORT;
	ihl = (p[0] & 15u) * 4;
	total = get_be16(p + 2);
	if (p[0] >> 4 != 4 || ihl < WIRE_IP4_HDR || total < ihl)
		return WIRE_DROP_IP_HEADER;
	if (total > len)
		return WIRE_DROP_SHORT;
	if (wire_csum_fold(wire_csum_add(0, p, ihl)) != 0)
		return WIRE_DROP_IP_CHECKSUM;
	if (!ip4_source_ok(p))
		return WIRE_DROP_IP_HEADER;
	if (get_be16(p + 6) & IP4_FRAG_MASK)
		return WIRE_DROP_IP_FRAGMENT;
	if (ihl > WIRE_IP4_HDR && !ip4_options_ok(p + WIRE_IP4_HDR, ihl - WIRE_IP4_HDR))
		return WIRE_DROP_IP_OPTIONS;
	ip->hdr = p;
	ip->body = p + ihl;
	ip->body_len = total - ihl;
	ip->proto = p[9];
	return WIRE_TCP;
}

static void parse_sack(const uint8_t *p, uint32_t len, struct seg *s)
{
	for (len -= 2, p += 2; len >= 8 && s->nsack < SEG_MAX_SACK; len -= 8, p += 8) {
		s->sack[s->nsack].left = get_be32(p);
		s->sack[s->nsack].right = get_be32(p + 4);
		s->nsack++;
	}
}

/* One option of `n` bytes. A known option of the wrong length is ignored, as an unknown one is. */
static void parse_option(const uint8_t *p, uint32_t n, struct seg *s)
{
	int syn = (s->flags & TCP_SYN) != 0;

	switch (p[0]) {
	case TCP_OPT_MSS:
		if (syn && n == 4)
			s->mss = get_be16(p + 2);
		break;
	case TCP_OPT_WSCALE:
		if (syn && n == 3)
			s->wscale = p[2] < TCP_WSCALE_MAX ? p[2] : TCP_WSCALE_MAX;
		break;
	case TCP_OPT_SACK_OK:
		if (syn && n == 2)
			s->sack_ok = 1;
		break;
	case TCP_OPT_SACK:
		if (!syn && n >= 10 && (n - 2) % 8 == 0 && s->nsack == 0)
			parse_sack(p, n, s);
		break;
	case TCP_OPT_TS:
		if (n == 10) {
			s->has_ts = 1;
			s->ts_val = get_be32(p + 2);
			s->ts_ecr = get_be32(p + 6);
		}
		break;
	default:
		break;
	}
}

/* 0 when an option's length is a lie. */
static int parse_options(const uint8_t *p, uint32_t len, struct seg *s)
{
	uint32_t i = 0;

	if (len == 12 && get_be32(p) == TCP_OPTS_TS_ONLY) {
		parse_option(p + 2, 10, s);
		return 1;
	}
	while (i < len) {
		uint8_t n;

		if (p[i] == TCP_OPT_END)
			return 1;
		if (p[i] == TCP_OPT_NOP) {
			i++;
			continue;
		}
		if (i + 2 > len)
			return 0;
		n = p[i + 1];
		if (n < 2 || n > len - i)
			return 0;
		parse_option(p + i, n, s);
		i += n;
	}
	return 1;
}

static int tcp_flags_ok(uint8_t flags)
{
	if ((flags & (TCP_FIN | TCP_SYN | TCP_RST | TCP_PSH | TCP_ACK | TCP_URG)) == 0)
		return 0;
	return !(flags & TCP_SYN) || !(flags & (TCP_FIN | TCP_RST));
}

static int tcp_csum_ok(const struct ip4 *ip)
{
	uint64_t sum;

	sum = wire_csum_pseudo4(
		get_raw32(ip->hdr + 12), get_raw32(ip->hdr + 16), ip->proto, ip->body_len);
	return wire_csum_fold(wire_csum_add(sum, ip->body, ip->body_len)) == 0;
}

static void fill_tuple(const struct ip4 *ip, struct tas_tuple *t)
{
	tas_addr_from_v4(t->raddr, get_raw32(ip->hdr + 12));
	tas_addr_from_v4(t->laddr, get_raw32(ip->hdr + 16));
	t->rport = get_raw16(ip->body);
	t->lport = get_raw16(ip->body + 2);
	t->net = 0;
	t->zero = 0;
}

static void fill_fixed(const uint8_t *p, struct seg *s)
{
	s->seq = get_be32(p + 4);
	s->ack = get_be32(p + 8);
	s->flags = p[13];
	s->wnd = get_be16(p + 14);
	s->urg_ptr = get_be16(p + 18);
	s->has_ts = 0;
	s->nsack = 0;
	s->ts_val = 0;
	s->ts_ecr = 0;
	s->mss = 0;
	s->wscale = SEG_NO_WSCALE;
	s->sack_ok = 0;
	s->pad[0] = s->pad[1] = 0;
}

/* 0 when the device's segment size contradicts the frame. */
static int fill_nsegs(uint16_t gso_size, struct seg *s)
{
	uint32_t n;

	s->nsegs = 1;
	if (gso_size == 0)
		return 1;
	n = (s->len + gso_size - 1) /
	    gso_size; /* at most 65,515: the peer's segments may be small */
	s->nsegs = (uint16_t)n;
	return n != 0;
}

static enum wire_kind parse_tcp(const struct ip4 *ip, uint16_t gso_size, int csum_ok, struct seg *s)
{
	uint32_t off;

	if (ip->body_len < WIRE_TCP_HDR)
		return WIRE_DROP_TCP_HEADER;
	off = (uint32_t)(ip->body[12] >> 4) * 4;
	if (off < WIRE_TCP_HDR || off > ip->body_len)
		return WIRE_DROP_TCP_HEADER;
	if (!csum_ok && !tcp_csum_ok(ip))
		return WIRE_DROP_TCP_CHECKSUM;
	fill_fixed(ip->body, s);
	if (!tcp_flags_ok(s->flags))
		return WIRE_DROP_TCP_FLAGS;
	if (off > WIRE_TCP_HDR && !parse_options(ip->body + WIRE_TCP_HDR, off - WIRE_TCP_HDR, s))
		return WIRE_DROP_TCP_HEADER;
	s->payload = ip->body + off;
	s->len = ip->body_len - off;
	s->ecn = ip->hdr[1] & 3;
	if (!fill_nsegs(gso_size, s))
		return WIRE_DROP_GSO;
	fill_tuple(ip, &s->tuple);
	return WIRE_TCP;
}

enum wire_kind wire_parse(
	const uint8_t *frame, uint32_t len, uint16_t gso_size, int csum_ok, struct seg *seg)
{
	enum wire_kind kind;
	struct ip4 ip;

	if (len < WIRE_ETH_HDR)
		return WIRE_DROP_SHORT;
	switch (get_be16(frame + 12)) {
	case WIRE_ETH_IP4:
		break;
	case WIRE_ETH_ARP:
		return len < WIRE_ETH_HDR + 28 ? WIRE_DROP_SHORT : WIRE_ARP;
	default:
		return WIRE_DROP_ETHERTYPE;
	}
	kind = parse_ip4(frame + WIRE_ETH_HDR, len - WIRE_ETH_HDR, &ip);
	if (kind != WIRE_TCP)
		return kind;
	if (ip.proto == 6)
		return parse_tcp(&ip, gso_size, csum_ok, seg);
	if (ip.proto == 1)
		return WIRE_ICMP;
	return WIRE_DROP_IP_PROTO;
}
