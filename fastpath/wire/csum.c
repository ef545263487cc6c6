/*
 * csum.c - the Internet checksum over any number of pieces.
 *
 * Sums 32-bit words into 64-bit lanes, four lanes at a time, and folds at the end: the ones'
 * complement sum does not care about word size or byte order as long as both ends agree (RFC 1071
 * section 2). A piece of odd length is padded with a zero byte, so only the last piece of a sum may
 * be odd.
 *
 * Owner: none (pure). RFC 1071, RFC 9293 section 3.1 (pseudo-header).
 */
#include <endian.h>
#include "bytes.h"
#include "tas/wire.h"

typedef uint64_t lanes __attribute__((vector_size(16), aligned(1), may_alias));

/* 2^31 words of 32 bits are summed before a lane could overflow: more than a uint32_t of bytes. */
static uint64_t sum_blocks(const uint8_t *p, uint32_t blocks)
{
	lanes lo = {0, 0}, hi = {0, 0}, lo1 = {0, 0}, hi1 = {0, 0};

	for (; blocks != 0; blocks--, p += 32) {
		lanes a = *(const lanes *)(const void *)p;
		lanes b = *(const lanes *)(const void *)(p + 16);

		lo += a & 0xffffffffu;
		hi += a >> 32;
		lo1 += b & 0xffffffffu;
		hi1 += b >> 32;
	}
	lo += lo1;
	hi += hi1;
	return lo[0] + lo[1] + hi[0] + hi[1];
}

static uint64_t fold32(uint64_t sum)
{
	sum = (sum & 0xffffffffu) + (sum >> 32);
	return (sum & 0xffffffffu) + (sum >> 32);
}

uint64_t wire_csum_add(uint64_t sum, const void *data, uint32_t len)
{
	const uint8_t *p = data;
	uint64_t s = sum_blocks(p, len / 32);
	uint32_t rest = len % 32;

	for (p += len - rest; rest >= 4; rest -= 4, p += 4)
		s += get_raw32(p);
	if (rest >= 2) {
		s += get_raw16(p);
		p += 2;
	}
	if (rest & 1) {
		uint8_t last[2] = {*p, 0};

		s += get_raw16(last);
	}
	return fold32(sum) + fold32(s);
}

uint16_t wire_csum_fold(uint64_t sum)
{
	uint32_t s = (uint32_t)fold32(sum);

	s = (s & 0xffff) + (s >> 16);
	s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~s;
}

uint64_t wire_csum_pseudo4(uint32_t saddr, uint32_t daddr, uint8_t proto, uint32_t len)
{
	return (uint64_t)saddr + daddr + htobe32(proto) + htobe32(len);
}
