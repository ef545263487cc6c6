/*
 * arena.c - tables in memfds (arena.h). Pages are touched when first used: a large limit costs
 * nothing. Owner: slow path thread, at start and stop. memfd_create(2).
 */
#include "arena.h"
#include <errno.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#include "alloc.h"

#define HUGE_BYTES (2ull << 20)

/* A memfd of `bytes`, mapped. 0 or -errno, then nothing is open. */
static int map_memfd(struct fp_arena *a, const char *name, unsigned int flags)
{
	int err;

	a->fd = fp_memfd(name, flags, a->bytes);
	if (a->fd < 0)
		return -errno;
	a->head = fp_map_fd(a->fd, a->bytes, 0);
	if (a->head)
		return 0;
	err = -errno;
	close(a->fd);
	return err;
}

/* In huge pages if so many are free: a record visited at random costs a TLB miss otherwise. */
static int map_arena(struct fp_arena *a, const char *name, uint64_t need)
{
	int err;

	a->bytes = (need + HUGE_BYTES - 1) & ~(HUGE_BYTES - 1);
	if (map_memfd(a, name, MFD_HUGETLB | MFD_HUGE_2MB) == 0)
		return 0;
	a->bytes = need;
	err = map_memfd(a, name, 0);
	if (err == 0)
		madvise(a->head, a->bytes, MADV_HUGEPAGE); /* where shmem may have them */
	return err;
}

int fp_arena_create(struct fp_arena *a, const char *name, uint64_t record_bytes, uint64_t count,
	uint64_t layout)
{
	int err = map_arena(a, name, FP_ARENA_HEAD + record_bytes * count);

	if (err)
		return err;
	a->records = (char *)a->head + FP_ARENA_HEAD;
	a->head->magic = FP_ARENA_MAGIC;
	a->head->version = FP_ARENA_VERSION;
	snprintf(a->head->name, sizeof(a->head->name), "%s", name);
	a->head->record_bytes = record_bytes;
	a->head->count = count;
	a->head->layout = layout;
	return 0;
}

void fp_arena_destroy(struct fp_arena *a)
{
	if (!a->head)
		return;
	munmap(a->head, a->bytes);
	close(a->fd);
	a->head = NULL;
}
