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

#define HEAD_BYTES 64u

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
	return 0;
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

uint32_t sp_arena_alloc(struct sp_arena *a)
{
	struct sp_arena_head *h = a->head;
	uint32_t id = h->free;
	uint32_t *record;

	if (id == 0 && h->fresh > a->capacity)
		return 0;
	if (id == 0) {
		id = h->fresh++;
		record = sp_arena_at(a, id);
	} else {
		record = sp_arena_at(a, id);
		h->free = *record;
	}
	memset(record, 0, a->record_bytes);
	h->used++;
	return id;
}

void sp_arena_free(struct sp_arena *a, uint32_t id)
{
	uint32_t *record = sp_arena_at(a, id);

	memset(record, 0, a->record_bytes);
	*record = a->head->free;
	a->head->free = id;
	a->head->used--;
}
