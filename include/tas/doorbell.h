/*
 * doorbell.h - doorbell bitmaps: "slot s has something to look at", in shared memory, in both directions.
 *
 * A doorbell is one bit per slot with two summary levels above (64 * 64 * 64 slots at most). Ringing is
 * idempotent, so a ring can neither overflow nor hold a malformed entry, and a bell that is rung late or
 * twice costs one look. What happened is read from the slot (struct tas_sock) as absolute positions.
 * Decision and figures: docs/decisions/0004-doorbells.md.
 *
 * Ringer: publishes the slot's fields, then tas_bell_ring(). Any number of threads and processes may ring.
 * Listener: takes a word of bits with tas_bell_take(), then reads the slots' fields.
 * A listener that scans may see a summary bit whose leaf is empty (the ringer is between its stores, or
 * another listener was faster); it never misses a leaf bit for good, because the ringer sets summary bits
 * after the leaf and the listener clears them before the leaf.
 *
 * Owner: none (pure). All words are hostile: any value is legal and costs at most one look per bit.
 */
#ifndef TAS_DOORBELL_H
#define TAS_DOORBELL_H

#include <stdint.h>
#include "atomic.h"
#include "yield.h"

#define TAS_BELL_MAX_SLOTS (64u * 64u * 64u)

/* In shared memory: followed by mid words, then leaf words (see tas_bell_size). */
struct tas_bell {
	uint64_t root;	  /*AF*/ /* bit m: mid word m may be non-zero */
	uint32_t sleeping; /*L*/ /* the listener is about to sleep: who rings must wake it */
	uint32_t pad0;
	uint64_t pad1[6];
	uint64_t words[]; /* 64 mid words, then nslots / 64 leaf words */
};

static inline uint64_t tas_bell_size(uint32_t nslots)
{
	uint64_t leaves = ((uint64_t)nslots + 63) / 64;

	return (sizeof(struct tas_bell) + (64 + leaves) * 8 + TAS_CACHELINE - 1) &
	       ~(uint64_t)(TAS_CACHELINE - 1);
}

/*
 * Ring for `slot`. The first fetch_or is a full barrier (D1: pairs with D2 in tas_bell_take): either the
 * listener's later read sees what the ringer published, or the listener finds the bit again.
 *
 * Each level is looked at even when the one below was set already: whoever set it may be held for ever before it
 * reaches the next (preempted, killed, or in a signal handler that waits for this very news), and nobody may
 * depend on it going on. A level seen set need not be written: the listener clears top-down, so it has not
 * yet taken the leaf whose bit is set (proved by tests/model/doorbell_test.cc).
 */
static inline void tas_bell_ring(struct tas_bell *b, uint32_t slot)
{
	uint32_t leaf = slot / 64, mid = leaf / 64;

	tas_fetch_or(&b->words[64 + leaf], 1ull << (slot & 63));
	TAS_YIELD();
	if (!(tas_load_sc(&b->words[mid]) >> (leaf & 63) & 1))
		tas_fetch_or(&b->words[mid], 1ull << (leaf & 63));
	TAS_YIELD();
	if (!(tas_load_sc(&b->root) >> mid & 1))
		tas_fetch_or(&b->root, 1ull << mid);
	TAS_YIELD();
}

/*
 * Takes the next non-empty leaf under mid word `m`, of those in `mask`. Returns its bits and stores its index, or 0.
 * A summary bit is cleared before the word below is taken, so that a bit already set below is found.
 */
static inline uint64_t tas_bell_take_mid(struct tas_bell *b, uint32_t nleaves, uint32_t m, uint64_t mask,
	uint32_t *leaf)
{
	uint64_t mid, bits;

	for (mid = tas_load(&b->words[m]) & mask; mid != 0; mid &= mid - 1) {
		uint32_t bit = (uint32_t)__builtin_ctzll(mid);

		tas_fetch_and(&b->words[m], ~(1ull << bit));
		TAS_YIELD();
		*leaf = m * 64 + bit;
		if (*leaf >= nleaves)
			continue;
		bits = tas_xchg(&b->words[64 + *leaf], 0); /* D2: pairs with D1 */
		if (bits != 0)
			return bits;
	}
	return 0;
}

/*
 * Clears the root bit of an empty mid word and looks again (D3: pairs with the ringer's load of root). Returns 1 when
 * the word was filled meanwhile: the bit is back, but another listener may have gone to sleep without seeing it,
 * so the caller takes what is there.
 */
static inline int tas_bell_clear_root(struct tas_bell *b, uint32_t m)
{
	if (tas_load(&b->words[m]) != 0)
		return 0;
	tas_fetch_and(&b->root, ~(1ull << m));
	TAS_YIELD();
	if (tas_load_sc(&b->words[m]) == 0)
		return 0;
	tas_fetch_or(&b->root, 1ull << m);
	return 1;
}

/* Bounds the looks again that a hostile ringer can cause. */
#define TAS_BELL_AGAIN 64

/*
 * Takes the next non-empty leaf word at or after leaf index *cursor (cyclic). Returns the bits and stores
 * the slot number of bit 0 in *first and the next leaf in *cursor; returns 0 when nothing is rung.
 * nslots (not 0) is the listener's own copy, never read from shared memory; *cursor is a leaf index below nslots / 64.
 *
 * Several threads may listen on one bell, if whoever stops taking before 0 is returned and does not come back at once
 * wakes another that sleeps on it.
 */
static inline uint64_t tas_bell_take(struct tas_bell *b, uint32_t nslots, uint32_t *cursor, uint32_t *first)
{
	uint32_t nleaves = (nslots + 63) / 64, nmid = (nleaves + 63) / 64;
	uint32_t m0 = *cursor / 64, step, leaf, again = 0;
	uint64_t low = (1ull << (*cursor & 63)) - 1, bits;

	if (tas_load(&b->root) == 0)
		return 0;
	if (nmid < 64 && tas_load(&b->root) >> nmid != 0) /* bits that mean no slot: only a fault sets them */
		tas_fetch_and(&b->root, (1ull << nmid) - 1);
	for (step = 0; step <= nmid; step++) {
		uint32_t m = (m0 + step) % nmid;
		uint64_t mask = step == 0 ? ~low : step == nmid ? low : ~0ull;

		if (!(tas_load(&b->root) >> m & 1))
			continue;
		do {
			bits = tas_bell_take_mid(b, nleaves, m, mask, &leaf);
			if (bits != 0) {
				*first = leaf * 64;
				*cursor = (leaf + 1) % nleaves;
				return bits;
			}
			mask = ~0ull;
		} while (tas_bell_clear_root(b, m) && again++ < TAS_BELL_AGAIN);
	}
	return 0;
}

/* True if some slot may be rung; the check a listener makes after announcing that it will sleep. */
static inline int tas_bell_pending(const struct tas_bell *b)
{
	return tas_load(&b->root) != 0;
}

#endif
