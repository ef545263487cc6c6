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
	if (!(tas_load_sc(&b->words[mid]) >> (leaf & 63) & 1))
		tas_fetch_or(&b->words[mid], 1ull << (leaf & 63));
	if (!(tas_load_sc(&b->root) >> mid & 1))
		tas_fetch_or(&b->root, 1ull << mid);
}

/*
 * The listener clears a summary bit before it takes the word below, and looks again after clearing a root bit, so
 * a bit that was already set below while its summary was being cleared is found.
 *
 * Takes the next non-empty leaf word at or after leaf index *cursor (cyclic). Returns the bits and stores
 * the slot number of bit 0 in *first and the next leaf in *cursor; returns 0 when nothing is rung.
 * nslots is the listener's own copy, never read from shared memory.
 */
static inline uint64_t tas_bell_take(struct tas_bell *b, uint32_t nslots, uint32_t *cursor, uint32_t *first)
{
	uint32_t nleaves = (nslots + 63) / 64, nmid = (nleaves + 63) / 64;
	uint32_t m0 = *cursor / 64, step;

	if (tas_load(&b->root) == 0)
		return 0;
	if (nmid < 64 && tas_load(&b->root) >> nmid != 0) /* bits that mean no slot: only a fault sets them */
		tas_fetch_and(&b->root, (1ull << nmid) - 1);
	for (step = 0; step <= nmid; step++) {
		uint32_t m = (m0 + step) % nmid;
		uint32_t from = step == 0 ? *cursor & 63 : 0;
		uint64_t mid, bits;

		if (!(tas_load(&b->root) >> m & 1))
			continue;
		mid = tas_load(&b->words[m]);
		if (step == nmid)
			mid &= (1ull << (*cursor & 63)) - 1;
		else
			mid &= ~0ull << from;
		while (mid != 0) {
			uint32_t bit = (uint32_t)__builtin_ctzll(mid), leaf = m * 64 + bit;

			mid &= mid - 1;
			tas_fetch_and(&b->words[m], ~(1ull << bit));
			if (leaf >= nleaves)
				continue;
			bits = tas_xchg(&b->words[64 + leaf], 0); /* D2: pairs with D1 */
			if (bits == 0)
				continue;
			*first = leaf * 64;
			*cursor = (leaf + 1) % nleaves;
			return bits;
		}
		/* Clear the root bit only around an empty mid word, and look again (D3: pairs with ringer). */
		if (tas_load(&b->words[m]) == 0) {
			tas_fetch_and(&b->root, ~(1ull << m));
			if (tas_load(&b->words[m]) != 0)
				tas_fetch_or(&b->root, 1ull << m);
		}
	}
	return 0;
}

/* True if some slot may be rung; the check a listener makes after announcing that it will sleep. */
static inline int tas_bell_pending(const struct tas_bell *b)
{
	return tas_load(&b->root) != 0;
}

#endif
