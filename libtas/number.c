/*
 * number.c - calls that return a new descriptor: what we had under its number is gone.
 *
 * close() and its kin keep the table right. But a program may close a descriptor of ours in a way that libc
 * does not see: by a system call of its own making, by io_uring, by what libc does inside (login_tty()). Then
 * the entry is stale until the number is given out again, which is seen here. Cost: one look into the table,
 * in calls that take a thousand times as long. Not here: what libc opens for itself (fopen(), opendir()),
 * whose reads do not come to us either; open() and its kin are in preload.c. Owner: any thread.
 */
#include "lt.h"

static int made_pair(int r, const int pair[2])
{
	if (r == 0) {
		lt_fd_new(pair[0]);
		lt_fd_new(pair[1]);
	}
	return r;
}

int lt_socketpair(int domain, int type, int protocol, int pair[2])
{
	return made_pair(lt_real.socketpair(domain, type, protocol, pair), pair);
}

int lt_pipe(int pair[2])
{
	return made_pair(lt_real.pipe(pair), pair);
}

int lt_pipe2(int pair[2], int flags)
{
	return made_pair(lt_real.pipe2(pair, flags), pair);
}

int lt_eventfd(unsigned count, int flags)
{
	return lt_fd_made(lt_real.eventfd(count, flags));
}

int lt_timerfd_create(clockid_t clock, int flags)
{
	return lt_fd_made(lt_real.timerfd_create(clock, flags));
}

/* With `old` it is no new one. */
int lt_signalfd(int old, const sigset_t *mask, int flags)
{
	int fd = lt_real.signalfd(old, mask, flags);

	return old == -1 ? lt_fd_made(fd) : fd;
}

int lt_inotify_init(void)
{
	return lt_fd_made(lt_real.inotify_init());
}

int lt_inotify_init1(int flags)
{
	return lt_fd_made(lt_real.inotify_init1(flags));
}

int lt_memfd_create(const char *name, unsigned flags)
{
	return lt_fd_made(lt_real.memfd_create(name, flags));
}

int lt_creat(const char *path, mode_t mode)
{
	return lt_fd_made(lt_real.creat(path, mode));
}

int lt_creat64(const char *path, mode_t mode)
{
	return lt_fd_made(lt_real.creat64(path, mode));
}

int lt___open_2(const char *path, int flags)
{
	return lt_fd_made(lt_real.__open_2(path, flags));
}

int lt___open64_2(const char *path, int flags)
{
	return lt_fd_made(lt_real.__open64_2(path, flags));
}

int lt___openat_2(int dir, const char *path, int flags)
{
	return lt_fd_made(lt_real.__openat_2(dir, path, flags));
}

int lt___openat64_2(int dir, const char *path, int flags)
{
	return lt_fd_made(lt_real.__openat64_2(dir, path, flags));
}
