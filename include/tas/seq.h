/*
 * seq.h - TCP sequence arithmetic modulo 2^32 (RFC 9293 section 3.4), and the way between 32-bit
 * sequence numbers and 64-bit stream positions.
 *
 * Everything above the wire counts in stream positions: the first byte a side sends is position 0.
 * Owner: none (pure).
 */
#ifndef TAS_SEQ_H
#define TAS_SEQ_H

#include <stdint.h>

static inline int seq_lt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

static inline int seq_leq(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) <= 0;
}

static inline int seq_gt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

static inline int seq_geq(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) >= 0;
}

/* The stream position that `seq` means, given that it lies within 2^31 of `pos`, whose number is `at`. */
static inline uint64_t seq_to_pos(uint32_t seq, uint32_t at, uint64_t pos)
{
	return pos + (uint64_t)(int64_t)(int32_t)(seq - at);
}

/* Microsecond clocks of 32 bits wrap in 71 minutes; they are compared like sequence numbers. */
static inline int us_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

#endif
