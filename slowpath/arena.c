/*
 * arena.c - fixed-size records in a sealed memfd (see arena.h).
 *
 * Memory is touched only when a record is first handed out, so a large capacity costs address space
 * alone. Owner: slow path thread.
 */
#include "arena.h"

#include <errno.h>
#include <string.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "alloc.h"

#define HEAD_BYTES 256u

_Static_assert(sizeof(struct sp_arena_head) <= HEAD_BYTES, "records start behind the header");

static int map(struct sp_arena *a)
{
	void *p;

	if (fcntl(a->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
		return -errno;
	p = fp_map_fd(a->fd, a->bytes, MAP_NORESERVE);
	if (p == NULL)
		return -errno;
	a->head = p;
	a->records = (uint8_t *)p + HEAD_BYTES;
	return 0;
}

int sp_arena_create(struct sp_arena *a, const char *name, uint32_t record_bytes, uint32_t capacity)
{
	int err;

	memset(a, 0, sizeof(*a));
	a->record_bytes = record_bytes;
	a->capacity = capacity;
	a->bytes = HEAD_BYTES + (uint64_t)record_bytes * capacity;
	a->fd = fp_memfd(name, MFD_ALLOW_SEALING, a->bytes);
	if (a->fd < 0)
		return -errno;
	err = map(a);
	if (err != 0) {
		close(a->fd);
		a->fd = -1;
		return err;
	}
	a->head->magic = SP_ARENA_MAGIC;
	a->head->version = SP_ARENA_VERSION;
	strncpy(a->head->name, name, sizeof(a->head->name) - 1);
	a->head->record_bytes = record_bytes;
	a->head->capacity = capacity;
	a->head->fresh = 1;
	sp_arena_split(a, 1);
	return 0;
}

void sp_arena_split(struct sp_arena *a, uint32_t n)
{
	struct sp_arena_head *h = a->head;
	uint32_t i, first = 1;

	h->nparts = n < 1 ? 1 : n > SP_ARENA_PARTS ? SP_ARENA_PARTS : n;
	for (i = 0; i < h->nparts; i++) {
		uint32_t end = 1 + (uint32_t)((uint64_t)a->capacity * (i + 1) / h->nparts);

		h->part[i] = (struct sp_arena_part){.fresh = first, .end = end};
		first = end;
	}
}

void sp_arena_destroy(struct sp_arena *a)
{
	if (a->head == NULL)
		return;
	munmap(a->head, a->bytes);
	close(a->fd);
	memset(a, 0, sizeof(*a));
	a->fd = -1;
}

/* An id of this part that is not in use, or 0. */
static uint32_t take(struct sp_arena *a, struct sp_arena_part *part)
{
	uint32_t id = part->free;

	if (id != 0)
		part->free = *(uint32_t *)sp_arena_at(a, id);
	else if (part->fresh < part->end)
		id = part->fresh++;
	if (id >= a->head->fresh)
		a->head->fresh = id + 1;
	return id;
}

uint32_t sp_arena_alloc_in(struct sp_arena *a, uint32_t p)
{
	struct sp_arena_head *h = a->head;
	uint32_t i, id = 0;

	for (i = 0; i < h->nparts && id == 0; i++)
		id = take(a, &h->part[(p + i) % h->nparts]);
	if (id == 0)
		return 0;
	memset(sp_arena_at(a, id), 0, a->record_bytes);
	h->used++;
	return id;
}

void sp_arena_free(struct sp_arena *a, uint32_t id)
{
	struct sp_arena_part *part = a->head->part;
	uint32_t *record = sp_arena_at(a, id);

	while (id >= part->end)
		part++;
	memset(record, 0, a->record_bytes);
	*record = part->free;
	part->free = id;
	a->head->used--;
}
