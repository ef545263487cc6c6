/*
 * wire.h - bytes <-> values: Ethernet, ARP, IPv4, ICMP, TCP. Pure; no state, no clock.
 *
 * Parsing checks everything once (lengths, checksums, options bounded) and says by verdict why a frame is
 * refused; emitting writes complete headers. IPv6 has its place in the types; frames are refused for now.
 * RFC 791, 792, 826, 9293, 7323 (timestamps), 2018 (SACK), 3168 (ECN).
 */
#ifndef TAS_WIRE_H
#define TAS_WIRE_H

#include <stdint.h>
#include "seg.h"

#define WIRE_ETH_HDR   14u
#define WIRE_IP4_HDR   20u
#define WIRE_TCP_HDR   20u
#define WIRE_ETH_IP4   0x0800u
#define WIRE_ETH_ARP   0x0806u
#define WIRE_ETH_IP6   0x86ddu
#define WIRE_GSO_SEGS  128u /* most segments in one large frame sent */

/* What a frame is. WIRE_DROP_* are reasons; each has the counter drop_<name> (counters.h). */
enum wire_kind {
	WIRE_TCP,  /* *seg is filled */
	WIRE_ARP,  /* well-formed length only; parse with wire_arp_parse */
	WIRE_ICMP, /* IPv4 header verified; parse with wire_icmp_parse */
	WIRE_DROP_SHORT,
	WIRE_DROP_ETHERTYPE,
	WIRE_DROP_IP_HEADER,
	WIRE_DROP_IP_CHECKSUM,
	WIRE_DROP_IP_FRAGMENT,
	WIRE_DROP_IP_OPTIONS,
	WIRE_DROP_IP_PROTO,
	WIRE_DROP_TCP_HEADER,
	WIRE_DROP_TCP_CHECKSUM,
	WIRE_DROP_TCP_FLAGS,
	WIRE_DROP_GSO,
};

/*
 * Classifies and, for TCP, parses a frame. `csum_ok`: the device vouches for the transport checksum.
 * gso_size != 0: a large frame of several wire segments. *seg points into the frame.
 */
enum wire_kind wire_parse(const uint8_t *frame, uint32_t len, uint16_t gso_size, int csum_ok, struct seg *seg);

/* Source MAC of the last hop, and whether the frame was sent to a group address. */
static inline const uint8_t *wire_eth_src(const uint8_t *frame)
{
	return frame + 6;
}
static inline int wire_eth_is_group(const uint8_t *frame)
{
	return frame[0] & 1;
}

struct wire_arp {
	uint16_t op; /* 1 request, 2 reply */
	uint8_t sha[6], tha[6];
	uint32_t spa, tpa; /* network order */
};
/* 0, or -EINVAL. */
int wire_arp_parse(const uint8_t *frame, uint32_t len, struct wire_arp *out);
/* Writes a 42-byte ARP frame to `dst` (MAC). Returns its length. */
uint32_t wire_arp_emit(uint8_t *frame, const uint8_t src[6], const uint8_t dst[6], const struct wire_arp *arp);

struct wire_icmp {
	uint8_t type, code;
	uint16_t mtu;	      /* next-hop MTU of "fragmentation needed" */
	uint32_t saddr, daddr; /* of the outer header, network order */
	const uint8_t *body;   /* after the 8-byte ICMP header: echo data or the quoted packet */
	uint32_t body_len;
	uint16_t id, seq;      /* echo; network order */
	uint8_t quoted_tcp;    /* the quoted packet is TCP: tuple and sequence number below */
	struct tas_tuple quoted; /* l is ours (the quoted packet's source) */
	uint32_t quoted_seq;   /* host order */
};
/* 0, or -EINVAL (short, wrong checksum, malformed quotation). */
int wire_icmp_parse(const uint8_t *frame, uint32_t len, struct wire_icmp *out);
/* Writes ICMP into `frame` behind Ethernet and IPv4 headers; returns the whole length. body_len <= 1472. */
uint32_t wire_icmp_emit(uint8_t *frame, const uint8_t src[6], const uint8_t dst[6], uint32_t saddr, uint32_t daddr,
	uint8_t type, uint8_t code, uint32_t rest_be, const uint8_t *body, uint32_t body_len);

/* A TCP header to be written. Options appear in the order Linux uses, so that header prediction works there. */
struct wire_tcp {
	uint16_t lport, rport; /* network order; l is the sender */
	uint32_t seq, ack;     /* host order */
	uint16_t wnd;	       /* host order, already scaled */
	uint8_t flags;
	uint8_t has_ts, nsack;
	uint8_t wscale;	       /* SEG_NO_WSCALE = no option */
	uint8_t sack_ok;
	uint8_t pad;
	uint16_t mss;	       /* 0 = no option */
	uint16_t urg_ptr;      /* with TCP_URG */
	uint32_t ts_val, ts_ecr;
	struct seg_sack sack[SEG_MAX_SACK];
};
/* Writes the TCP header with options, checksum field zero. Returns its length (20..60, multiple of 4). */
uint32_t wire_tcp_emit(uint8_t *p, const struct wire_tcp *t);

/* Writes an IPv4 header (DF set, id given) for `total` bytes, with its checksum. */
void wire_ip4_emit(uint8_t *p, uint32_t saddr, uint32_t daddr, uint8_t proto, uint16_t total, uint16_t id, uint8_t tos,
	uint8_t ttl);
void wire_eth_emit(uint8_t *p, const uint8_t src[6], const uint8_t dst[6], uint16_t type);

/* Internet checksum (RFC 1071): adds `len` bytes to a running sum; fold gives the 16 bits in memory order. */
uint64_t wire_csum_add(uint64_t sum, const void *data, uint32_t len);
uint16_t wire_csum_fold(uint64_t sum);
/* Running sum of the TCP pseudo-header (addresses in network order, length host order). */
uint64_t wire_csum_pseudo4(uint32_t saddr, uint32_t daddr, uint8_t proto, uint32_t len);

#endif
