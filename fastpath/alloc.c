/*
 * alloc.c - the daemon's allocations, and failing on demand (alloc.h). Any thread.
 */
#include "alloc.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#include "tas/atomic.h"

static uint64_t calls, fail_at; /* fail_at 0 = never */

uint64_t fp_alloc_fail(uint64_t nth)
{
	uint64_t n = tas_xchg(&calls, 0);

	tas_store(&fail_at, nth);
	return n;
}

/* Is this the call that a test wants to fail? */
static int fails(void)
{
	uint64_t n = tas_fetch_add(&calls, 1) + 1, at = tas_load(&fail_at);

	if (at == 0 || n != at)
		return 0;
	errno = ENOMEM;
	return 1;
}

void *fp_malloc(size_t bytes)
{
	return fails() ? NULL : malloc(bytes);
}

void *fp_calloc(size_t count, size_t size)
{
	return fails() ? NULL : calloc(count, size);
}

void *fp_calloc_lines(size_t count, size_t size)
{
	size_t bytes = (count * size + TAS_CACHELINE - 1) & ~(size_t)(TAS_CACHELINE - 1);
	void *p = fails() ? NULL : aligned_alloc(TAS_CACHELINE, bytes);

	if (p != NULL)
		memset(p, 0, bytes);
	return p;
}

static void *mapped(void *p)
{
	return p == MAP_FAILED ? NULL : p;
}

void *fp_pages(uint64_t bytes)
{
	if (fails())
		return NULL;
	return mapped(mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
}

void *fp_map_fd(int fd, uint64_t bytes, int flags)
{
	if (fails())
		return NULL;
	return mapped(mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | flags, fd, 0));
}

int fp_memfd(const char *name, unsigned flags, uint64_t bytes)
{
	int fd = fails() ? -1 : memfd_create(name, MFD_CLOEXEC | flags), err;

	if (fd < 0 || ftruncate(fd, (off_t)bytes) == 0)
		return fd;
	err = errno;
	close(fd);
	errno = err;
	return -1;
}

int fp_eventfd(void)
{
	return fails() ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}
