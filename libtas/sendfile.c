/*
 * sendfile.c - sendfile() to a tas connection: file bytes are read straight into send chunks.
 *
 * Offset, short counts, end of file and errors are as in sendfile(2): the offset moves by what was
 * taken, a transfer cut short by a full buffer or a signal returns its count. Owner: any thread, under
 * the slot's tx_lock while it reads.
 */
#include <pthread.h>
#include "lt.h"

#define STEP	  65536u
#define COUNT_MAX 0x7ffff000u /* sendfile(2) */

/* Reads up to `max` bytes at `off` into the send list. Bytes, 0 = end of file, -EAGAIN = no room,
 * or -errno. */
static ssize_t feed(struct lt_desc *d, uint32_t life, int in, off_t off, size_t max)
{
	struct lt_txop t;
	struct iovec v[LT_TX_PIECES];
	ssize_t room = lt_tx_begin(&t, d, life), got = -EAGAIN;
	int nv = LT_TX_PIECES;
	size_t n;

	if (room < 0)
		return room == -EDEADLK ? -EINTR : room;
	n = max < (size_t)room ? max : (size_t)room;
	if (n > 0) {
		n = lt_tx_place(&t, n < STEP ? n : STEP, v, &nv);
		got = n > 0 ? lt_sys(SYS_preadv, in, (long)v, nv, (long)off, 0, 0) : -ENOBUFS;
		lt_tx_commit(&t, got > 0 ? (size_t)got : 0);
		if (got > 0) {
			got -= (ssize_t)lt_tx_lost(&t);
			got = got > 0 ? got : -ESTALE;
		}
	}
	lt_tx_end(&t);
	if (got == -ESPIPE)
		got = -EINVAL;
	return got;
}

static ssize_t ended(size_t done, int err)
{
	return done > 0 ? (ssize_t)done : lt_tx_fail(err, 0);
}

static ssize_t transfer(struct lt_desc *d, int in, off_t off, size_t count, bool *held)
{
	bool wait = !(lt_flags(d) & LT_D_NONBLOCK);
	uint32_t life = tas_load_acq(&d->life);
	uint64_t until = 0;
	size_t done = 0;
	ssize_t r;
	int w;

	while (done < count) {
		r = feed(d, life, in, off + (off_t)done, count - done);
		if (r == -ESTALE && (r = lt_claim(d, life)) == 0)
			continue;
		if (r == 0)
			break;
		if (r > 0) {
			done += (size_t)r;
			continue;
		}
		if (r != -EAGAIN && r != -ENOBUFS)
			return ended(done, (int)-r);
		if (!wait) {
			lt_tx_ask(d);
			if (r == -ENOBUFS)
				lt_short_of_memory(d);
			return ended(done, EAGAIN);
		}
		if (until == 0)
			until = lt_until(d->opts.sndtimeo_ns);
		w = r == -ENOBUFS
			    ? lt_short_wait(d, until)
			    : lt_conn_wait(d, life, LT_WAIT_TX | (done > 0 ? LT_WAIT_ONCE : 0), 0,
				      until, held);
		if (w == 0 && !lt_conn_is(d, life))
			w = -EPIPE;
		if (w == -EINTR && r == -ENOBUFS && done == 0 && lt_restart(until != 0))
			continue;
		if (w < 0)
			return ended(done, -w);
	}
	return (ssize_t)done;
}

/* No cancellation point (pthreads(7)): only who may be cancelled anywhere may be in its sleep. */
static ssize_t transfer_uncancelled(struct lt_desc *d, int in, off_t off, size_t count, bool *held)
{
	int type, state = PTHREAD_CANCEL_ENABLE;
	ssize_t r;

	pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &type);
	if (type == PTHREAD_CANCEL_DEFERRED)
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	r = transfer(d, in, off, count, held);
	if (type == PTHREAD_CANCEL_DEFERRED)
		pthread_setcancelstate(state, NULL);
	pthread_setcanceltype(type, NULL);
	return r;
}

static ssize_t to_socket(struct lt_desc *d, int in, off_t *offset, size_t count)
{
	bool held = false;
	off_t off;
	ssize_t r;

	if (offset != NULL && lt_bad(offset, sizeof(*offset)))
		return -EFAULT;
	off = offset != NULL ? *offset : (off_t)lt_sys3(SYS_lseek, in, 0, SEEK_CUR);
	if (off < 0) {
		lt_explain(TAS_X_refuse_sendfile);
		return offset != NULL ? -EINVAL : (off == -ESPIPE ? -EINVAL : off);
	}
	r = transfer_uncancelled(d, in, off, count < COUNT_MAX ? count : COUNT_MAX, &held);
	if (lt_unlikely(held))
		lt_desc_let_go(d);
	if (r == -EINVAL)
		lt_explain(TAS_X_refuse_sendfile);
	if (r > 0 && offset != NULL)
		*offset = off + r;
	else if (r > 0)
		lt_sys3(SYS_lseek, in, off + r, SEEK_SET);
	return r;
}

/* A socket can be read into a pipe only, and has no offset (Linux: do_sendfile()). */
static ssize_t from_socket(struct lt_desc *d, int out, const off_t *offset, size_t n)
{
	long fl = lt_sys_fcntl(out, F_GETFL, 0);

	if (fl < 0 || (fl & O_ACCMODE) == O_RDONLY)
		return -EBADF;
	if (offset != NULL)
		return -ESPIPE;
	if (lt_sys_fcntl(out, F_GETPIPE_SZ, 0) < 0)
		return -EINVAL;
	return n == 0 ? 0 : lt_splice_out(d, out, n, fl & O_NONBLOCK ? SPLICE_F_NONBLOCK : 0);
}

ssize_t lt_sendfile(int out, int in, off_t *offset, size_t n)
{
	struct lt_desc *d = lt_conn_get(out);

	if (d != NULL)
		return lt_ret(to_socket(d, in, offset, n));
	d = lt_conn_get(in);
	return d == NULL ? lt_real.sendfile(out, in, offset, n)
			 : lt_ret(from_socket(d, out, offset, n));
}

ssize_t lt_sendfile64(int out, int in, off_t *offset, size_t n)
{
	return lt_sendfile(out, in, offset, n);
}
