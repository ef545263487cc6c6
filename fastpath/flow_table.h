/*
 * flow_table.h - tuple -> flow id. One part per flow group, touched only by the core that owns the
 * group.
 *
 * A bucket is one cache line: eight 32-bit tags and eight flow ids. A tuple has two buckets in its
 * group's part: a look-up reads at most two lines of the table, whatever an attacker sends, since
 * the hash is keyed with a random key (SipHash-1-3). The hot flow record confirms the match, so
 * that a tag that collides costs a look and no more.
 */
#ifndef FP_FLOW_TABLE_H
#define FP_FLOW_TABLE_H

#include <stdint.h>
#include "flow.h"

#define FP_BUCKET_WAYS	8
#define FP_TABLE_GROUPS 128u /* at most */

struct fp_bucket {
	uint32_t tag[FP_BUCKET_WAYS];
	uint32_t flow[FP_BUCKET_WAYS]; /* FP_FLOW_NONE = free */
};

_Static_assert(sizeof(struct fp_bucket) == TAS_CACHELINE, "a bucket is a line");

struct fp_table {
	struct fp_bucket *buckets; /* ngroups * part */
	uint32_t ngroups;
	uint32_t part;	 /* buckets per group, a power of two */
	uint64_t key[8]; /* of the hash: six words for the tuple, two to mix */
	/* Entries of each group; written when connections come and go, the lines before are not. */
	uint32_t count[FP_TABLE_GROUPS] __attribute__((aligned(TAS_CACHELINE)));
};

/* Buckets per group for max_flows in all: a quarter full when groups are even. */
uint32_t fp_table_part(uint32_t max_flows, uint32_t ngroups);
void fp_table_init(struct fp_table *t, struct fp_bucket *zeroed, uint32_t ngroups, uint32_t part,
	const uint64_t key[2]);

/* SipHash-1-3 of some words. */
uint64_t fp_keyed_hash(const uint64_t key[2], const uint64_t *words, uint32_t count);
uint64_t fp_table_hash(const struct fp_table *t, const struct tas_tuple *tuple);
/* Brings the first bucket into the cache. */
void fp_table_prefetch(const struct fp_table *t, uint32_t group, uint64_t hash);
/* Which flow it probably is, from the first bucket alone, or FP_FLOW_NONE: for prefetching its
 * record. */
uint32_t fp_table_guess(const struct fp_table *t, uint32_t group, uint64_t hash);
/* The flow id of the tuple, or FP_FLOW_NONE. */
uint32_t fp_table_find(const struct fp_table *t, const struct fp_flow *flows,
	const struct fp_flow_cold *cold, uint32_t group, uint64_t hash,
	const struct tas_tuple *tuple);
/* Entries of a group: of this moment when another core owns it. */
uint32_t fp_table_count(const struct fp_table *t, uint32_t group);
/* 1 = entered, 0 = both buckets are full. */
int fp_table_add(struct fp_table *t, uint32_t group, uint64_t hash, uint32_t flow);
/* 1 = removed, 0 = was not there. */
int fp_table_del(struct fp_table *t, uint32_t group, uint64_t hash, uint32_t flow);

#endif
