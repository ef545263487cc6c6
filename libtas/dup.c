/*
 * dup.c - calls that make, move and end descriptor numbers: dup, close, close_range.
 *
 * The kernel does the work on the real descriptor; the table follows. On close the entry goes
 * first, so that a thread which is given the number again finds it empty. Owner: any thread.
 * dup(2), close(2), close_range(2).
 */
#include <linux/close_range.h>
#include "lt.h"

/* `to` has become a copy of `from`. */
static void copied(int from, int to)
{
	struct lt_desc *d = lt_fd_get(from);

	lt_fd_new(to);
	if (d != NULL && (uint32_t)to < lt_ntab)
		lt_fd_put(to, d);
}

int lt_dup(int fd)
{
	int to = lt_real.dup(fd);

	if (to >= 0)
		copied(fd, to);
	return to;
}

/* A program that wants the very number of one of ours gets it: ours moves. */
static void make_way(int to)
{
	if (lt_hidden(to))
		lt_context_move_fd(to);
}

int lt_dup2(int fd, int to)
{
	int r;

	if (fd == to)
		return lt_real.dup2(fd, to);
	make_way(to);
	r = lt_real.dup2(fd, to);
	if (r >= 0)
		copied(fd, to);
	return r;
}

int lt_dup3(int fd, int to, int flags)
{
	int r;

	if (fd != to)
		make_way(to);
	r = lt_real.dup3(fd, to, flags);
	if (r >= 0)
		copied(fd, to);
	return r;
}

int lt_close(int fd)
{
	if ((uint32_t)fd >= tas_load(&lt_ntab) || tas_load(&lt_tab[fd]) == 0)
		return lt_real.close(fd);
	if (lt_hidden(fd)) {
		errno = EBADF;
		return -1;
	}
	lt_cancel_point(); /* nothing is closed then, as by libc's */
	lt_fd_drop(fd);	   /* also right when the number was closed behind our back and is something
			   else */
	return lt_real.close(fd);
}

/* Applies `close_range` to the stretches between our hidden descriptors. */
static int around_hidden(unsigned first, unsigned last, int flags)
{
	unsigned from = first, i, end = lt_fd_top();

	for (i = first; i < end && i <= last; i++) {
		if (!lt_hidden((int)i))
			continue;
		if (i > from && lt_real.close_range(from, i - 1, flags) != 0)
			return -1;
		from = i + 1;
	}
	return from > last ? 0 : lt_real.close_range(from, last, flags);
}

int lt_close_range(unsigned first, unsigned last, int flags)
{
	unsigned i, end = lt_fd_top();

	if (first > last || tas_load(&lt_ntab) == 0 || (flags & (int)CLOSE_RANGE_CLOEXEC) != 0)
		return lt_real.close_range(first, last, flags);
	for (i = first; i < end && i <= last; i++)
		if (lt_fd_get((int)i) != NULL)
			lt_fd_drop((int)i);
	return around_hidden(first, last, flags);
}

void lt_closefrom(int low)
{
	if (tas_load(&lt_ntab) == 0)
		lt_real.closefrom(low);
	else
		lt_close_range(low < 0 ? 0 : (unsigned)low, ~0u, 0);
}
