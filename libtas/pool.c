/*
 * pool.c - lock-free free lists of indices (pool.h). Owner: any thread, also in signal handlers.
 */
#include "pool.h"
#include <stddef.h>
#include <sys/mman.h>

#define TAG_ONE (1ull << 32)

void lt_pool_init(struct lt_pool *p, uint32_t *next, uint32_t max)
{
	p->head = 0;
	p->fresh = 0;
	p->max = max;
	p->next = next;
}

static uint32_t get_fresh(struct lt_pool *p)
{
	uint32_t i = tas_load(&p->fresh);

	while (i < p->max)
		if (tas_cas(&p->fresh, &i, i + 1))
			return i;
	return LT_NONE;
}

uint32_t lt_pool_get(struct lt_pool *p)
{
	uint64_t head = tas_load_acq(&p->head), want;
	uint32_t i;

	do {
		i = (uint32_t)head;
		if (i == 0)
			return get_fresh(p);
		want = ((head & ~(TAG_ONE - 1)) + TAG_ONE) | tas_load(&p->next[i - 1]);
	} while (!tas_cas(&p->head, &head, want));
	return i - 1;
}

void lt_pool_put(struct lt_pool *p, uint32_t i)
{
	uint64_t head = tas_load(&p->head), want;

	do {
		tas_store(&p->next[i], (uint32_t)head);
		want = ((head & ~(TAG_ONE - 1)) + TAG_ONE) | (i + 1);
	} while (!tas_cas(&p->head, &head, want));
}

uint32_t lt_pool_take_all(struct lt_pool *p)
{
	uint64_t head = tas_load_acq(&p->head);

	while (!tas_cas(&p->head, &head, (head & ~(TAG_ONE - 1)) + TAG_ONE))
		;
	return (uint32_t)head - 1;
}

uint32_t lt_pool_after(const struct lt_pool *p, uint32_t i)
{
	return tas_load(&p->next[i]) - 1;
}

void *lt_map(uint64_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}
