/*
 * limit.h - limits per second that tell nothing to who counts the answers. Pure.
 *
 * An attacker who knows how many answers a second allows can use them up and learn from their absence what was
 * answered to somebody else (CVE-2016-5696: whether two hosts talk, then their sequence numbers).
 */
#ifndef TAS_LIMIT_H
#define TAS_LIMIT_H

#include <stdint.h>

/* As Linux: half of the limit, and up to the limit more at random; the limit on average. limit > 0. */
static inline uint32_t tas_limit_blur(uint32_t limit, uint32_t random)
{
	return (limit + 1) / 2 + random % limit;
}

#endif
