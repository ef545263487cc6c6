/*
 * arena.h - a table of fixed-size records in a memfd with a versioned header, by id and never by
 * pointer, so that a restarted daemon can adopt it. Owner: slow path creates; the records have
 * their own owners.
 */
#ifndef FP_ARENA_H
#define FP_ARENA_H

#include <stdint.h>

#define FP_ARENA_MAGIC	 0x41504654u /* "TFPA" */
#define FP_ARENA_VERSION 1u
#define FP_ARENA_HEAD	 4096u /* records start here */

struct fp_arena_head {
	uint32_t magic, version;
	char name[16];
	uint64_t record_bytes, count;
	uint64_t layout; /* fingerprint of the record's layout: its size and the offsets of its
			    parts */
	uint64_t zero[3];
};

struct fp_arena {
	struct fp_arena_head *head;
	void *records;
	uint64_t bytes;
	int fd;
};

/* `count` zeroed records. 0 or -errno. */
int fp_arena_create(struct fp_arena *a, const char *name, uint64_t record_bytes, uint64_t count,
	uint64_t layout);
void fp_arena_destroy(struct fp_arena *a);

#endif
