/*
 * flow_table.c - the flow table (flow_table.h). Owner: the core that owns the group.
 * SipHash-1-3: Aumasson and Bernstein, "SipHash: a fast short-input PRF", with the rounds its
 * authors hold enough for hash tables.
 */
#include "flow_table.h"
#include <assert.h>
#include <string.h>
#include "tas/atomic.h"

/* A first bucket with fewer entries than this is taken without looking at the second: most look-ups
 * end there. */
#define FIRST_ENOUGH 6u

static uint64_t rotl(uint64_t x, int b)
{
	return x << b | x >> (64 - b);
}

struct sip {
	uint64_t v0, v1, v2, v3;
};

static void sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v1 = rotl(s->v1, 13) ^ s->v0;
	s->v0 = rotl(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = rotl(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = rotl(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = rotl(s->v1, 17) ^ s->v2;
	s->v2 = rotl(s->v2, 32);
}

uint64_t fp_keyed_hash(const uint64_t key[2], const uint64_t *words, uint32_t count)
{
	struct sip s = {key[0] ^ 0x736f6d6570736575ull, key[1] ^ 0x646f72616e646f6dull,
		key[0] ^ 0x6c7967656e657261ull, key[1] ^ 0x7465646279746573ull};
	uint64_t last = (uint64_t)(count * 8) << 56;
	uint32_t i;

	for (i = 0; i < count; i++) {
		s.v3 ^= words[i];
		sip_round(&s);
		s.v0 ^= words[i];
	}
	s.v3 ^= last;
	sip_round(&s);
	s.v0 ^= last;
	s.v2 ^= 0xff;
	for (i = 0; i < 3; i++)
		sip_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

/* One term of NH: the product of two sums. */
static unsigned __int128 nh(const uint64_t *key, uint64_t a, uint64_t b)
{
	return (unsigned __int128)(a + key[0]) * (b + key[1]);
}

uint64_t fp_table_hash(const struct fp_table *t, const struct tas_tuple *tuple)
{
	unsigned __int128 sum;
	uint64_t w[6] = {0};

	if (tas_addr_is_v4(tuple->laddr) && tas_addr_is_v4(tuple->raddr)) {
		/* The variable parts of an IPv4 key fit into two words. */
		w[0] = tas_addr_v4(tuple->laddr) | (uint64_t)tas_addr_v4(tuple->raddr) << 32;
		w[1] = tuple->lport | (uint64_t)tuple->rport << 16 | (uint64_t)tuple->net << 32;
		sum = nh(t->key, w[0], w[1]);
	} else {
		memcpy(w, tuple, sizeof(*tuple));
		sum = nh(t->key, w[0], w[1]) + nh(t->key + 2, w[2], w[3]) +
		      nh(t->key + 4, w[4], w[5]);
	}
	sum = nh(t->key + 6, (uint64_t)sum,
		(uint64_t)(sum >> 64)); /* every bit of the result from all of both */
	return (uint64_t)sum ^ (uint64_t)(sum >> 64);
}

uint32_t fp_table_part(uint32_t max_flows, uint32_t ngroups)
{
	uint64_t want = (uint64_t)max_flows * 4 / ((uint64_t)ngroups * FP_BUCKET_WAYS);
	uint32_t part = 8;

	while (part < want && part < 1u << 24)
		part *= 2;
	return part;
}

void fp_table_init(struct fp_table *t, struct fp_bucket *zeroed, uint32_t ngroups, uint32_t part,
	const uint64_t key[2])
{
	uint64_t i;

	assert(ngroups <= FP_TABLE_GROUPS);
	memset(t->count, 0, sizeof(t->count));
	t->buckets = zeroed;
	t->ngroups = ngroups;
	t->part = part;
	for (i = 0; i < sizeof(t->key) / sizeof(t->key[0]); i++)
		t->key[i] = fp_keyed_hash(key, &i, 1);
}

static struct fp_bucket *first_bucket(const struct fp_table *t, uint32_t group, uint64_t hash)
{
	return &t->buckets[(uint64_t)group * t->part + ((uint32_t)(hash >> 32) & (t->part - 1))];
}

static struct fp_bucket *second_bucket(const struct fp_table *t, uint32_t group, uint64_t hash)
{
	uint32_t step =
		((uint32_t)hash * 0x9e3779b1u >> 7) | 1; /* odd: never the first bucket again */

	return &t->buckets[(uint64_t)group * t->part +
			   (((uint32_t)(hash >> 32) ^ step) & (t->part - 1))];
}

void fp_table_prefetch(const struct fp_table *t, uint32_t group, uint64_t hash)
{
	__builtin_prefetch(first_bucket(t, group, hash));
}

uint32_t fp_table_guess(const struct fp_table *t, uint32_t group, uint64_t hash)
{
	const struct fp_bucket *b = first_bucket(t, group, hash);
	uint32_t i;

	for (i = 0; i < FP_BUCKET_WAYS; i++)
		if (b->tag[i] == (uint32_t)hash && b->flow[i] != FP_FLOW_NONE)
			return b->flow[i];
	return FP_FLOW_NONE;
}

static int same_tuple(
	const struct fp_flow *f, const struct fp_flow_cold *c, const struct tas_tuple *tuple)
{
	uint32_t laddr_lo = tas_addr_v4(tuple->laddr), raddr_lo = tas_addr_v4(tuple->raddr);

	if (f->laddr_lo != laddr_lo || f->raddr_lo != raddr_lo || f->lport != tuple->lport ||
		f->rport != tuple->rport)
		return 0;
	if (!(f->flags & FP_F_V6) && tuple->net == 0)
		return tas_addr_is_v4(tuple->laddr) && tas_addr_is_v4(tuple->raddr);
	return memcmp(&c->tuple, tuple, sizeof(*tuple)) == 0;
}

uint32_t fp_table_find(const struct fp_table *t, const struct fp_flow *flows,
	const struct fp_flow_cold *cold, uint32_t group, uint64_t hash,
	const struct tas_tuple *tuple)
{
	const struct fp_bucket *b = first_bucket(t, group, hash);
	uint32_t tag = (uint32_t)hash, probe, i;

	for (probe = 0; probe < 2; probe++) {
		for (i = 0; i < FP_BUCKET_WAYS; i++) {
			uint32_t id = b->flow[i];

			if (b->tag[i] == tag && id != FP_FLOW_NONE &&
				same_tuple(&flows[id], &cold[id], tuple))
				return id;
		}
		b = second_bucket(t, group, hash);
	}
	return FP_FLOW_NONE;
}

static uint32_t bucket_count(const struct fp_bucket *b)
{
	uint32_t i, n = 0;

	for (i = 0; i < FP_BUCKET_WAYS; i++)
		n += b->flow[i] != FP_FLOW_NONE;
	return n;
}

uint32_t fp_table_count(const struct fp_table *t, uint32_t group)
{
	return tas_load(&t->count[group]);
}

static void count(struct fp_table *t, uint32_t group, uint32_t more)
{
	tas_store(&t->count[group], t->count[group] + more);
}

int fp_table_add(struct fp_table *t, uint32_t group, uint64_t hash, uint32_t flow)
{
	struct fp_bucket *first = first_bucket(t, group, hash),
			 *second = second_bucket(t, group, hash), *b = first;
	uint32_t used = bucket_count(first), i;

	if (used >= FIRST_ENOUGH && bucket_count(second) < used)
		b = second;
	for (i = 0; i < FP_BUCKET_WAYS; i++) {
		if (b->flow[i] != FP_FLOW_NONE)
			continue;
		b->tag[i] = (uint32_t)hash;
		b->flow[i] = flow;
		count(t, group, 1);
		return 1;
	}
	return 0;
}

static int remove_from(struct fp_bucket *b, uint32_t tag, uint32_t flow)
{
	uint32_t i;

	for (i = 0; i < FP_BUCKET_WAYS; i++) {
		if (b->flow[i] != flow || b->tag[i] != tag)
			continue;
		b->flow[i] = FP_FLOW_NONE;
		b->tag[i] = 0;
		return 1;
	}
	return 0;
}

int fp_table_del(struct fp_table *t, uint32_t group, uint64_t hash, uint32_t flow)
{
	if (!remove_from(first_bucket(t, group, hash), (uint32_t)hash, flow) &&
		!remove_from(second_bucket(t, group, hash), (uint32_t)hash, flow))
		return 0;
	count(t, group, -1u);
	return 1;
}
