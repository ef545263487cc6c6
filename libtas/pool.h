/*
 * pool.h - lock-free free lists of indices: descriptions, epoll items, slots, chunks.
 *
 * A pool hands out 0..max-1, last returned first (still in the cache). It may be used from a signal
 * handler that interrupted it. Head word: a change count in the upper half (so that a pop that
 * slept over a pop and a push of the same index fails), index + 1 below. `next` is never unmapped,
 * so a stale read of it is harmless. Owner: any thread.
 */
#ifndef LT_POOL_H
#define LT_POOL_H

#include <stdint.h>
#include "tas/atomic.h"

#define LT_NONE 0xffffffffu

struct lt_pool {
	uint64_t head;
	uint32_t fresh; /* indices >= this were never handed out */
	uint32_t max;
	uint32_t *next; /* max entries, index + 1 of the one below */
};

/* A pool of indices that are handed out in order first. `next` must hold max zeroed entries. */
void lt_pool_init(struct lt_pool *p, uint32_t *next, uint32_t max);
uint32_t lt_pool_get(struct lt_pool *p); /* LT_NONE: empty */
void lt_pool_put(struct lt_pool *p, uint32_t i);
/* Takes everything that was put (not what is fresh): the first index, the rest through
 * lt_pool_after(). */
uint32_t lt_pool_take_all(struct lt_pool *p);
uint32_t lt_pool_after(const struct lt_pool *p, uint32_t i);

/* Anonymous, private, touched on demand; NULL when refused. */
void *lt_map(uint64_t bytes);

#endif
