/*
 * hash.c - SipHash-2-4 and what is derived from it (see hash.h). Pure.
 */
#include "conn/hash.h"

#include <string.h>

static inline uint64_t rotl(uint64_t x, int b)
{
	return x << b | x >> (64 - b);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[0] = rotl(v[0], 32);
	v[2] += v[3];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[2] = rotl(v[2], 32);
}

static void sip_word(uint64_t v[4], uint64_t m)
{
	v[3] ^= m;
	sip_round(v);
	sip_round(v);
	v[0] ^= m;
}

uint64_t sp_siphash(const uint64_t key[2], const void *data, uint32_t len)
{
	uint64_t v[4] = {
		key[0] ^ 0x736f6d6570736575ull,
		key[1] ^ 0x646f72616e646f6dull,
		key[0] ^ 0x6c7967656e657261ull,
		key[1] ^ 0x7465646279746573ull,
	};
	const uint8_t *p = data;
	uint64_t m;
	uint32_t i;

	for (i = 0; i + 8 <= len; i += 8) {
		memcpy(&m, p + i, 8);
		sip_word(v, m);
	}
	m = 0;
	memcpy(&m, p + i, len - i);
	sip_word(v, m | (uint64_t)len << 56);
	v[2] ^= 0xff;
	for (i = 0; i < 4; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* A tuple with one word in the place of its zeroes, so that each use of the secret is its own
 * function. */
static uint64_t keyed(const uint64_t secret[2], const struct tas_tuple *t, uint16_t use)
{
	struct tas_tuple k = *t;

	k.zero = use;
	return sp_hash_tuple(secret, &k);
}

uint32_t sp_isn(const uint64_t secret[2], const struct tas_tuple *t, uint64_t now_ns)
{
	return (uint32_t)keyed(secret, t, 1) + (uint32_t)(now_ns / 4000);
}

uint32_t sp_ts_offset(const uint64_t secret[2], const struct tas_tuple *t)
{
	return (uint32_t)keyed(secret, t, 2);
}

uint32_t sp_port_offset(const uint64_t secret[2], const struct tas_tuple *t)
{
	struct tas_tuple k = *t;

	k.lport = 0;
	return (uint32_t)keyed(secret, &k, 3);
}
