/*
 * arena.h - tables of fixed-size records in memfds with a versioned header, by id and never by
 * pointer, so that a restarted daemon can adopt them. Ids start at 1; 0 means none. Freed ids are
 * handed out again last-in first-out. Owner: slow path thread.
 */
#ifndef SP_ARENA_H
#define SP_ARENA_H

#include <stdint.h>

#define SP_ARENA_MAGIC	 0x41534154u /* "TASA" */
#define SP_ARENA_VERSION 2u
#define SP_ARENA_PARTS	 8u

/* Ids [first, end): those of one NUMA node. */
struct sp_arena_part {
	uint32_t end;
	uint32_t fresh; /* ids of the part from this one on were never handed out */
	uint32_t free;	/* head of the free list: the first word of a free record is the next id */
};

struct sp_arena_head {
	uint32_t magic, version;
	char name[16];
	uint32_t record_bytes, capacity;
	uint32_t used;	/* records handed out */
	uint32_t fresh; /* no id from this one on has been handed out */
	uint32_t nparts;
	uint32_t zero[5];
	struct sp_arena_part part[SP_ARENA_PARTS];
};

struct sp_arena {
	struct sp_arena_head *head; /* the mapping; records follow, record 1 first */
	uint8_t *records;	    /* private copies of what the header says */
	uint32_t record_bytes, capacity;
	uint64_t bytes;
	int fd;
};

/* `record_bytes` a multiple of 8. 0 or -errno. */
int sp_arena_create(struct sp_arena *a, const char *name, uint32_t record_bytes, uint32_t capacity);
void sp_arena_destroy(struct sp_arena *a);

/* Divides the ids of an unused arena into `n` parts (at most SP_ARENA_PARTS), one as good as the other. */
void sp_arena_split(struct sp_arena *a, uint32_t n);

/* A zeroed record's id, or 0 when all are in use; of part `p` while that has any. */
uint32_t sp_arena_alloc_in(struct sp_arena *a, uint32_t p);
static inline uint32_t sp_arena_alloc(struct sp_arena *a)
{
	return sp_arena_alloc_in(a, 0);
}
void sp_arena_free(struct sp_arena *a, uint32_t id);

static inline uint32_t sp_arena_used(const struct sp_arena *a)
{
	return a->head->used;
}

/* The record of an id handed out by sp_arena_alloc; NULL when out of range. */
static inline void *sp_arena_at(const struct sp_arena *a, uint32_t id)
{
	if (id == 0 || id > a->capacity)
		return 0;
	return a->records + (uint64_t)(id - 1) * a->record_bytes;
}

#endif
