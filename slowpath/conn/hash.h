/*
 * hash.h - SipHash-2-4 (Aumasson, Bernstein 2012) over the few things the slow path hashes. Pure.
 */
#ifndef SP_HASH_H
#define SP_HASH_H

#include <stdint.h>
#include "tas/tuple.h"

uint64_t sp_siphash(const uint64_t key[2], const void *data, uint32_t len);

static inline uint64_t sp_hash_tuple(const uint64_t key[2], const struct tas_tuple *t)
{
	return sp_siphash(key, t, sizeof(*t));
}

/* Initial sequence number: F(tuple, secret) + a clock of 4 us (RFC 6528 section 3). */
uint32_t sp_isn(const uint64_t secret[2], const struct tas_tuple *t, uint64_t now_ns);
/* Offset of our timestamps on this tuple: the same for every connection of it, so that they never
 * go back. */
uint32_t sp_ts_offset(const uint64_t secret[2], const struct tas_tuple *t);
/* Where the search for a local port starts (RFC 6056 section 3.3.3): without the local port. */
uint32_t sp_port_offset(const uint64_t secret[2], const struct tas_tuple *t);

#endif
