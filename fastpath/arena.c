/*
 * arena.c - tables in memfds (arena.h). Pages are touched when first used: a large limit costs
 * nothing. Owner: slow path thread, at start and stop. memfd_create(2).
 */
#include "arena.h"
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int fp_arena_create(struct fp_arena *a, const char *name, uint64_t record_bytes, uint64_t count,
	uint64_t layout)
{
	int err;

	a->bytes = FP_ARENA_HEAD + record_bytes * count;
	a->fd = memfd_create(name, MFD_CLOEXEC);
	if (a->fd < 0)
		return -errno;
	if (ftruncate(a->fd, (off_t)a->bytes) != 0)
		goto fail;
	a->head = mmap(NULL, a->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, a->fd, 0);
	if (a->head == MAP_FAILED)
		goto fail;
	a->records = (char *)a->head + FP_ARENA_HEAD;
	a->head->magic = FP_ARENA_MAGIC;
	a->head->version = FP_ARENA_VERSION;
	snprintf(a->head->name, sizeof(a->head->name), "%s", name);
	a->head->record_bytes = record_bytes;
	a->head->count = count;
	a->head->layout = layout;
	return 0;
fail:
	err = -errno;
	close(a->fd);
	a->head = NULL;
	return err;
}

void fp_arena_destroy(struct fp_arena *a)
{
	if (!a->head)
		return;
	munmap(a->head, a->bytes);
	close(a->fd);
	a->head = NULL;
}
