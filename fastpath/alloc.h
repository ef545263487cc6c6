/*
 * alloc.h - where the daemon's memory comes from: every allocation of fast path and slow path goes through here, so that a
 * test can make the n-th one fail. None of this is called per packet.
 *
 * The functions are those of libc with what the daemon always wants filled in. What they return is given back with
 * free(), munmap() and close(). Any thread.
 */
#ifndef FP_ALLOC_H
#define FP_ALLOC_H

#include <stddef.h>
#include <stdint.h>

/* NULL and ENOMEM. */
void *fp_malloc(size_t bytes);
void *fp_calloc(size_t count, size_t size);
/* Zeroed, on a line of its own. */
void *fp_calloc_lines(size_t count, size_t size);

/* Private zeroed pages, reserved only. NULL and errno. */
void *fp_pages(uint64_t bytes);
/* A descriptor's pages, shared. NULL and errno. */
void *fp_map_fd(int fd, uint64_t bytes, int flags);
/* memfd_create(2) with MFD_CLOEXEC, `bytes` long; eventfd(2), non-blocking. The descriptor, or -1 and errno. */
int fp_memfd(const char *name, unsigned flags, uint64_t bytes);
int fp_eventfd(void);

/* Tests: the n-th call of any of these from now on fails (1 = the next), 0 = none does. Returns how many calls there were
 * since the last time. */
uint64_t fp_alloc_fail(uint64_t nth);

#endif
