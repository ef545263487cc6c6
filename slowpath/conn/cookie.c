/*
 * cookie.c - see cookie.h. Pure. RFC 4987 section 3.6, 7323, 3168 6.1.1.
 */
#include "conn/cookie.h"

#include <string.h>
#include "conn/hash.h"
#include "tas/wire.h"

#define MSS_BITS 3u
#define MSS_MASK ((1u << MSS_BITS) - 1)

/* Timestamps count milliseconds; their low 6 bits are given away. */
#define TIME_MASK   0x3fu
#define TIME_WSCALE 0x0fu
#define TIME_SACK   0x10u
#define TIME_ECN    0x20u

/*
 * What is common in the world, rounded down: the smallest we send, RFC 9293 3.7.1's default, the
 * least MTU of IPv6, tunnels, PPPoE, Ethernet, jumbo frames.
 */
static const uint16_t mss_table[1u << MSS_BITS] = {88, 536, 1220, 1360, 1400, 1440, 1460, 8960};

static uint32_t mss_index(uint16_t mss)
{
	uint32_t i = MSS_MASK;

	while (i > 0 && mss_table[i] > mss)
		i--;
	return i;
}

/* Longer than what hash.c makes of the same secret, hence another function of it. */
static uint32_t keyed(
	const uint64_t secret[2], const struct tas_tuple *t, uint32_t irs, uint32_t tick)
{
	struct {
		struct tas_tuple tuple;
		uint32_t irs, tick;
	} in = {*t, irs, tick};

	_Static_assert(sizeof(in) == sizeof(*t) + 8, "hashed as bytes");
	return (uint32_t)sp_siphash(secret, &in, sizeof(in));
}

uint32_t sp_cookie_make(const uint64_t secret[2], const struct tas_tuple *t, uint32_t irs,
	uint16_t mss, uint64_t now_ns)
{
	return keyed(secret, t, irs, (uint32_t)(now_ns / SP_COOKIE_TICK_NS)) ^ mss_index(mss);
}

uint16_t sp_cookie_check(const uint64_t secret[2], const struct tas_tuple *t, uint32_t irs,
	uint32_t cookie, uint64_t now_ns)
{
	uint32_t tick = (uint32_t)(now_ns / SP_COOKIE_TICK_NS), age;

	for (age = 0; age < SP_COOKIE_AGE_NS / SP_COOKIE_TICK_NS; age++) {
		uint32_t rest = cookie ^ keyed(secret, t, irs, tick - age);

		if (rest <= MSS_MASK)
			return mss_table[rest];
	}
	return 0;
}

uint32_t sp_cookie_time(uint32_t now_ms, const struct seg *syn, int ecn)
{
	uint32_t bits = syn->wscale < TIME_WSCALE ? syn->wscale : TIME_WSCALE, ms;

	if (syn->wscale != SEG_NO_WSCALE && bits == TIME_WSCALE)
		bits = TIME_WSCALE - 1; /* RFC 7323 2.3: more than 14 counts as 14 */
	if (syn->sack_ok)
		bits |= TIME_SACK;
	if (ecn)
		bits |= TIME_ECN;
	ms = (now_ms & ~TIME_MASK) | bits;
	return (int32_t)(ms - now_ms) > 0 ? ms - (TIME_MASK + 1) : ms;
}

void sp_cookie_options(uint32_t time_ms, struct seg *syn)
{
	uint8_t wscale = time_ms & TIME_WSCALE;

	syn->wscale = wscale == TIME_WSCALE ? SEG_NO_WSCALE : wscale;
	syn->sack_ok = (time_ms & TIME_SACK) != 0;
	if (time_ms & TIME_ECN)
		syn->flags |= TCP_ECE | TCP_CWR;
}
