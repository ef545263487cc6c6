/*
 * preadv2.c - preadv2() and pwritev2(): with offset -1 they are readv() and writev() with flags.
 *
 * Which flags a socket takes depends on the kernel: it is asked with a read of the handle, which has no
 * connection and no bytes, and fails for other reasons when the flags are right. Owner: any thread.
 * preadv2(2).
 */
#include "lt.h"

/* 0: it is a call without a position. */
static int check(int fd, off_t off, int flags)
{
	const int harmless = RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_APPEND;
	char c;
	struct iovec v = {&c, 1};

	if (off != -1)
		return off < 0 ? -EINVAL : -ESPIPE;
	if ((flags & ~harmless) == 0)
		return 0;
	return lt_sys(SYS_preadv2, fd, (long)&v, 1, -1, -1, flags) == -EOPNOTSUPP ? -EOPNOTSUPP : 0;
}

static ssize_t transfer(struct lt_desc *d, int fd, const struct iovec *v, int n, off_t off,
	int flags, ssize_t (*move)(struct lt_desc *d, struct lt_iov *it, size_t total, int flags))
{
	struct lt_iov it = {v, (size_t)n, 0};
	ssize_t total = n < 0 ? -EINVAL : lt_iov_total(v, (size_t)n);
	int err;

	if (off != -1)
		return lt_ret(check(fd, off, flags));
	if (total <= 0)
		return lt_ret(total);
	err = check(fd, off, flags);
	return lt_ret(err != 0
			      ? err
			      : move(d, &it, (size_t)total, flags & RWF_NOWAIT ? MSG_DONTWAIT : 0));
}

ssize_t lt_preadv2(struct lt_desc *d, int fd, const struct iovec *v, int n, off_t off, int flags)
{
	return transfer(d, fd, v, n, off, flags, lt_recv_iov);
}

ssize_t lt_pwritev2(struct lt_desc *d, int fd, const struct iovec *v, int n, off_t off, int flags)
{
	return transfer(d, fd, v, n, off, flags, lt_send_iov);
}

ssize_t lt_preadv64v2(
	struct lt_desc *d, int fd, const struct iovec *v, int n, off64_t off, int flags)
{
	return lt_preadv2(d, fd, v, n, off, flags);
}

ssize_t lt_pwritev64v2(
	struct lt_desc *d, int fd, const struct iovec *v, int n, off64_t off, int flags)
{
	return lt_pwritev2(d, fd, v, n, off, flags);
}
