/*
 * spsc.h - a ring of fixed-size elements between one producer and one consumer thread, in private
 * daemon memory.
 *
 * Indexes run freely and wrap at 2^32; the size is a power of two. Each side keeps a copy of the
 * other's index, so that a line moves between cores only when the copy has run out. Owner: producer
 * functions for one thread, consumer functions for one other.
 */
#ifndef FP_SPSC_H
#define FP_SPSC_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "alloc.h"
#include "tas/atomic.h"

struct spsc {
	uint8_t *mem;
	uint32_t mask, size; /* element size, bytes */
	/* Producer. */
	uint32_t tail __attribute__((aligned(TAS_CACHELINE))); /* published */
	uint32_t next, head_seen;
	/* Consumer. */
	uint32_t head __attribute__((aligned(TAS_CACHELINE))); /* published */
	uint32_t tail_seen;
};

/* `count` a power of two. 0 or -1 (memory). */
static inline int spsc_init(struct spsc *r, uint32_t count, uint32_t size)
{
	memset(r, 0, sizeof(*r));
	r->mem = (uint8_t *)fp_calloc(count, size);
	r->mask = count - 1;
	r->size = size;
	return r->mem ? 0 : -1;
}

static inline void spsc_destroy(struct spsc *r)
{
	free(r->mem);
	r->mem = NULL;
}

static inline uint32_t spsc_room(struct spsc *r)
{
	r->head_seen = tas_load_acq(&r->head); /* Q1: pairs with Q4 */
	return r->mask + 1 - (r->next - r->head_seen);
}

/* Producer: the next free element, or NULL when full. Visible to the consumer after spsc_publish.
 */
static inline void *spsc_put(struct spsc *r)
{
	if (r->next - r->head_seen > r->mask && spsc_room(r) == 0)
		return NULL;
	return r->mem + (uint64_t)(r->next++ & r->mask) * r->size;
}

static inline void spsc_publish(struct spsc *r)
{
	tas_store_rel(&r->tail, r->next); /* Q2: pairs with Q3 */
}

/* Consumer: the oldest element, or NULL when empty. It stays valid until spsc_drop. */
static inline void *spsc_peek(struct spsc *r)
{
	uint32_t head = tas_load(&r->head);

	if (head == r->tail_seen) {
		r->tail_seen = tas_load_acq(&r->tail); /* Q3: pairs with Q2 */
		if (head == r->tail_seen)
			return NULL;
	}
	return r->mem + (uint64_t)(head & r->mask) * r->size;
}

static inline void spsc_drop(struct spsc *r)
{
	tas_store_rel(&r->head, tas_load(&r->head) + 1); /* Q4: pairs with Q1 */
}

/* Consumer: anything there? */
static inline int spsc_pending(const struct spsc *r)
{
	return tas_load(&r->head) != tas_load_acq(&r->tail);
}

#endif
