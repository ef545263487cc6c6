/*
 * seg.h - one received TCP segment as a value: what wire_parse() makes of a frame after checking all of it.
 * Later stages see only valid values and never look at header bytes again. Owner: none (pure).
 */
#ifndef TAS_SEG_H
#define TAS_SEG_H

#include <stdint.h>
#include "tuple.h"

#define TCP_FIN 0x01u
#define TCP_SYN 0x02u
#define TCP_RST 0x04u
#define TCP_PSH 0x08u
#define TCP_ACK 0x10u
#define TCP_URG 0x20u
#define TCP_ECE 0x40u
#define TCP_CWR 0x80u

#define SEG_MAX_SACK 4
#define SEG_NO_WSCALE 0xffu

struct seg_sack {
	uint32_t left, right; /* host order, right exclusive */
};

struct seg {
	struct tas_tuple tuple; /* as the receiver sees it: l is ours */
	const uint8_t *payload;
	uint32_t len; /* payload bytes */
	uint32_t seq, ack;
	uint16_t wnd;	 /* as in the header, unscaled */
	uint16_t urg_ptr;
	uint8_t flags;	 /* TCP_* */
	uint8_t ecn;	 /* IP ECN field, 0..3 (3 = CE) */
	uint8_t has_ts, nsack;
	uint32_t ts_val, ts_ecr;
	struct seg_sack sack[SEG_MAX_SACK];
	uint16_t nsegs;	 /* wire segments in this frame (GSO), >= 1 */
	uint16_t mss;	 /* MSS option, 0 = absent (only with SYN) */
	uint8_t wscale;	 /* window scale option, SEG_NO_WSCALE = absent (only with SYN) */
	uint8_t sack_ok; /* SACK-permitted (only with SYN) */
	uint8_t pad[2];
};

#endif
