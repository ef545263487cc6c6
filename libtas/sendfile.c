/*
 * sendfile.c - sendfile() to a tas connection: file bytes are read straight into send chunks.
 *
 * Offset, short counts, end of file and errors are as in sendfile(2): the offset moves by what was
 * taken, a transfer cut short by a full buffer or a signal returns its count. splice() refuses a
 * tas socket with EINVAL, as the kernel does for descriptors that cannot splice: programs then
 * copy. Owner: any thread, under the slot's tx_lock while it reads.
 */
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

ssize_t lt_sendfile_common(struct lt_desc *d, int in, off_t *offset, size_t count)
{
	off_t off = offset != NULL ? *offset : (off_t)lt_sys3(SYS_lseek, in, 0, SEEK_CUR);
	bool held = false;
	ssize_t r;

	if (off < 0) {
		lt_explain(TAS_X_refuse_sendfile);
		return offset != NULL ? -EINVAL : (off == -ESPIPE ? -EINVAL : off);
	}
	r = transfer(d, in, off, count < COUNT_MAX ? count : COUNT_MAX, &held);
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

ssize_t lt_sendfile(struct lt_desc *d, int fd, int in, off_t *offset, size_t n)
{
	(void)fd;
	return lt_ret(lt_sendfile_common(d, in, offset, n));
}

ssize_t lt_sendfile64(struct lt_desc *d, int fd, int in, off_t *offset, size_t n)
{
	return lt_sendfile(d, fd, in, offset, n);
}

ssize_t lt_splice(int in, off64_t *in_off, int out, off64_t *out_off, size_t n, unsigned flags)
{
	if (lt_conn_get(in) != NULL || lt_conn_get(out) != NULL) {
		lt_explain(TAS_X_refuse_splice);
		return lt_ret(-EINVAL);
	}
	return lt_real.splice(in, in_off, out, out_off, n, flags);
}
