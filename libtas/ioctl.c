/*
 * ioctl.c - fcntl() and ioctl() of our descriptors.
 *
 * O_NONBLOCK, the queues' lengths and copies of descriptors are ours; all else is the handle's to answer: interfaces, owner,
 * locks. O_ASYNC is refused: whoever relies on SIGIO would wait for ever. Owner: any thread. fcntl(2), ioctl_list(2),
 * tcp(7) for SIOCINQ and SIOCOUTQ.
 */
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include "options.h"

static void note_nonblock(struct lt_desc *d, bool on)
{
	if (on)
		tas_fetch_or(&d->flags, LT_D_NONBLOCK);
	else
		tas_fetch_and(&d->flags, ~LT_D_NONBLOCK);
	lt_home(d);
}

/* SIGIO is the kernel's to send: the socket is left to it. */
static void note_async(struct lt_desc *d, bool on)
{
	const uint64_t bit = 1ull << 62;

	d->opts.kernel = on ? d->opts.kernel | bit : d->opts.kernel & ~bit;
}

static int set_flags(struct lt_desc *d, int fd, unsigned long fl)
{
	int r;

	/* Nobody would send SIGIO. */
	if ((fl & O_ASYNC) && d->kind != LT_UNDECIDED) {
		lt_explain(TAS_X_ioctl_kernel);
		return (int)lt_ret(-EINVAL);
	}
	if (d->kind == LT_LISTEN) {
		tas_store(&d->l->nonblock, (fl & O_NONBLOCK) != 0 ? 1u : 0u);
		return lt_real.fcntl(fd, F_SETFL, fl | O_NONBLOCK);
	}
	r = lt_real.fcntl(fd, F_SETFL, fl);
	if (r == 0)
		note_nonblock(d, (fl & O_NONBLOCK) != 0);
	if (r == 0 && d->kind == LT_UNDECIDED)
		note_async(d, (fl & O_ASYNC) != 0);
	return r;
}

int lt_fcntl(struct lt_desc *d, int fd, int cmd, unsigned long arg)
{
	int r;

	switch (cmd) {
	case F_SETFL:
		return set_flags(d, fd, arg);
	case F_GETFL:
		r = lt_real.fcntl(fd, F_GETFL, 0ul);
		if (r >= 0 && d->kind == LT_LISTEN && !tas_load(&d->l->nonblock))
			r &= ~O_NONBLOCK;
		return r;
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		r = lt_real.fcntl(fd, cmd, arg);
		if (r >= 0 && (uint32_t)r >= lt_ntab) { /* beyond all that we can know */
			lt_sys_close(r);
			return (int)lt_ret(-EMFILE);
		}
		if (r >= 0) {
			lt_fd_new(r);
			lt_fd_put(r, d);
		}
		return r;
	default:
		return lt_real.fcntl(fd, cmd, arg);
	}
}

/* The SYN of a connect() that failed counts, as on Linux. */
static uint64_t unacknowledged(const struct lt_desc *d)
{
	uint32_t state = lt_conn_state(d);
	bool failed = (state & TAS_SOCK_ERROR) && !(state & TAS_SOCK_OPEN);

	return lt_conn_unsent(d) + (failed && !(lt_flags(d) & LT_D_RECONNECT) ? 1 : 0);
}

static int ioctl_of_handle(int fd, unsigned long request, void *arg)
{
	lt_explain(TAS_X_ioctl_kernel);
	return lt_real.ioctl(fd, request, arg);
}

/* What was not even sent once: the core alone knows. */
static uint64_t not_sent(struct lt_desc *d)
{
	struct tas_conn_info in;

	return lt_conn_unsent(d) != 0 && lt_conn_ask(d, &in) == 0 ? in.notsent : 0;
}

static int set_async(struct lt_desc *d, int fd, void *arg)
{
	bool on = *(int *)arg != 0;
	int r;

	if (on && d->kind != LT_UNDECIDED) {
		lt_explain(TAS_X_ioctl_kernel);
		return (int)lt_ret(-ENOTTY);
	}
	r = lt_real.ioctl(fd, FIOASYNC, arg);
	if (r == 0 && d->kind == LT_UNDECIDED)
		note_async(d, on);
	return r;
}

int lt_ioctl(struct lt_desc *d, int fd, unsigned long request, void *arg)
{
	int r, on;
	uint64_t n;

	if (request == FIOCLEX || request == FIONCLEX)
		return lt_real.ioctl(fd, request, arg);
	if (lt_bad(arg, sizeof(int))) /* the kernel knows which requests need none */
		return d->kind == LT_CONN ? ioctl_of_handle(fd, request, arg)
					  : lt_real.ioctl(fd, request, arg);
	if (request == FIOASYNC)
		return set_async(d, fd, arg);
	if (request == FIONBIO && d->kind == LT_LISTEN) {
		tas_store(&d->l->nonblock, *(int *)arg != 0 ? 1u : 0u);
		return 0;
	}
	if (request == FIONBIO) {
		on = *(int *)arg;
		r = lt_real.ioctl(fd, request, arg);
		if (r == 0)
			note_nonblock(d, on != 0);
		return r;
	}
	if (d->kind != LT_CONN)
		return lt_real.ioctl(fd, request, arg);
	if (request == FIONREAD)
		n = lt_flags(d) & LT_D_RECONNECT ? 0 : lt_urg_readable(d, lt_conn_left(d));
	else if (request == SIOCOUTQ)
		n = unacknowledged(d);
	else if (request == SIOCOUTQNSD)
		n = not_sent(d);
	else if (request == SIOCATMARK)
		n = lt_urg_at_mark(d, 0);
	else
		return ioctl_of_handle(fd, request, arg);
	*(int *)arg = n > INT32_MAX ? INT32_MAX : (int)n;
	return 0;
}
