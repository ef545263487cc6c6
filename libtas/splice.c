/*
 * splice.c - splice() between a pipe and a tas connection, and sendfile() from one into a pipe.
 *
 * Bytes are copied between the connection's chunks and a pipe of ours, and moved between that and the
 * program's (transit.h). What the other side does not take at once stays where it was: received bytes
 * are given back to the core only when the program's pipe has them, and no more is taken from that pipe
 * than there is memory for. A connection that other processes hold too may leave while it is used, so
 * there the bytes go a page at a time, once it is known that they will be taken. Owner: any thread.
 * splice(2); Linux: fs/splice.c, tcp_splice_read().
 */
#include <pthread.h>
#include "lt.h"
#include "transit.h"

#define COUNT_MAX 0x7ffff000u /* as the kernel bounds every transfer */
#define PAGE	  4096u	      /* one slot of any pipe holds as much */
#define FLAGS_ALL (unsigned)(SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT)

struct move {
	struct lt_desc *d;
	uint32_t life, transit;
	int pipe; /* the program's */
	size_t n;
	unsigned flags;
	uint64_t until_ns; /* of the connection's time-out, once it waits */
	size_t done;
	bool held;
};

/* Not -errno: the pipe is empty, or full. */
#define PIPE_WAIT (-(ssize_t)4096)

static bool sock_waits(const struct move *m)
{
	return !(lt_flags(m->d) & LT_D_NONBLOCK);
}

/* The program's pipe, as open(2) or fcntl(2) left it. */
static bool pipe_waits(const struct move *m)
{
	long fl = m->flags & SPLICE_F_NONBLOCK ? 0 : lt_sys_fcntl(m->pipe, F_GETFL, 0);

	return !(m->flags & SPLICE_F_NONBLOCK) && !(fl & O_NONBLOCK);
}

/* Another thread's close() takes effect when this call returns. */
static int hold(struct move *m)
{
	if (!m->held)
		m->held = lt_desc_hold(m->d);
	return m->held ? 0 : -EBADF;
}

/* ---- connection -> pipe ---- */

/* Into the program's pipe; PIPE_WAIT: it is full. */
static ssize_t give(struct move *m, size_t n, unsigned flags)
{
	ssize_t r = lt_transit_give(m->transit, m->pipe, n, flags);

	return r == -EAGAIN ? PIPE_WAIT : r;
}

/* Bytes that the program's pipe has now, 0 = there are none, PIPE_WAIT, -EXDEV = others hold the connection. */
static ssize_t out_step(struct move *m)
{
	struct iovec v[LT_TX_PIECES];
	struct lt_rxop x;
	ssize_t r = lt_rx_begin(&x, m->d, m->life), w = 0;
	size_t n = lt_transit_room(m->transit);
	int nv = LT_TX_PIECES;

	if (r <= 0) {
		if (r == 0)
			lt_rx_end(&x);
		return r;
	}
	if (lt_unlikely(lt_flags(m->d) & LT_D_SHARED)) {
		lt_rx_end(&x);
		return -EXDEV;
	}
	n = n < m->n ? n : m->n;
	n = lt_rx_pieces(&x, n, v, &nv);
	r = w = lt_transit_write(m->transit, v, nv);
	if (w > 0)
		r = give(m, (size_t)w, SPLICE_F_NONBLOCK);
	if (r > 0)
		lt_rx_commit(&x, (size_t)r);
	lt_rx_end(&x);
	if (lt_unlikely(w > 0 && r < w))
		lt_transit_empty(m->transit);
	return r;
}

/* 0 = it has room, PIPE_WAIT, or -EPIPE after its signal. */
static int look_at_room(const struct move *m)
{
	struct pollfd p = {.fd = m->pipe, .events = POLLOUT};
	struct timespec now = {0, 0};

	if (lt_sys4(SYS_ppoll, &p, 1, &now, NULL) <= 0)
		return (int)PIPE_WAIT;
	return p.revents & POLLERR ? lt_tx_fail(EPIPE, 0) : 0;
}

/* The program's pipe is full. 0 = look again. */
static int wait_for_room(struct move *m)
{
	struct pollfd p = {.fd = m->pipe, .events = POLLOUT};

	if (!pipe_waits(m))
		return -EAGAIN;
	if (hold(m) != 0)
		return -EBADF;
	lt_settle(m->d->ctx);
	if (lt_real.poll(&p, 1, -1) < 0 && !(errno == EINTR && lt_restart(false)))
		return -errno;
	return 0;
}

/* A page of a connection that may leave at any moment: it is taken when there is room for it. */
static ssize_t out_shared(struct move *m)
{
	uint8_t page[PAGE];
	struct iovec v = {page, sizeof(page) < m->n ? sizeof(page) : m->n};
	struct lt_iov it = {&v, 1, 0};
	ssize_t r = look_at_room(m), k;

	if (r != 0)
		return r;
	r = lt_recv_iov(m->d, &it, v.iov_len, MSG_DONTWAIT);
	if (r <= 0)
		return r == -EAGAIN ? 0 : r;
	v.iov_len = (size_t)r;
	lt_transit_write(m->transit, &v, 1);
	while (m->done < (size_t)r) {
		k = give(m, (size_t)r - m->done, 0); /* waits only if another has filled it */
		if (k <= 0 && k != -EINTR && k != PIPE_WAIT)
			break;
		m->done += k > 0 ? (size_t)k : 0;
	}
	if (m->done < (size_t)r)
		lt_transit_empty(m->transit);
	return m->done > 0 ? (ssize_t)m->done : -EPIPE;
}

/* Nothing is there: as tcp_splice_read() has it, after the pipe was found to have room. */
static ssize_t wait_for_bytes(struct move *m)
{
	int r = look_at_room(m);

	if (r != 0)
		return r;
	r = lt_rx_why_empty(m->d);
	if (r != -EAGAIN || !sock_waits(m))
		return r == -EAGAIN && lt_conn_unread(m->d) != 0 ? 1 : r;
	if (m->until_ns == 0)
		m->until_ns = lt_until(m->d->opts.rcvtimeo_ns);
	r = lt_conn_wait(m->d, m->life, LT_WAIT_RX, 1, m->until_ns, &m->held);
	if (r == 0 && !lt_conn_is(m->d, m->life))
		return 0;
	return r == 0 ? 1 : r;
}

static ssize_t out_loop(struct move *m)
{
	ssize_t r;

	for (;;) {
		r = out_step(m);
		if (r == -EXDEV)
			r = out_shared(m);
		if (r > 0)
			return r;
		if (r == 0) {
			r = wait_for_bytes(m);
			if (r == 0)
				return 0;
		}
		if (r == PIPE_WAIT)
			r = wait_for_room(m);
		else if (r == -ESTALE)
			r = lt_claim(m->d, m->life);
		else if (r == -EDEADLK)
			return -EAGAIN;
		if (r < 0)
			return r;
	}
}

/* ---- pipe -> connection ---- */

/* Bytes appended, 0 = nobody writes to the pipe, PIPE_WAIT = it is empty, -EAGAIN = no room, -EXDEV. */
static ssize_t in_step(struct move *m)
{
	struct iovec v[LT_TX_PIECES];
	struct lt_txop t;
	ssize_t room = lt_tx_begin(&t, m->d, m->life), r = -EAGAIN;
	size_t n = lt_transit_room(m->transit);
	int nv = LT_TX_PIECES;

	if (room < 0)
		return room;
	n = n < m->n - m->done ? n : m->n - m->done;
	n = n < (size_t)room ? n : (size_t)room;
	if (lt_unlikely(lt_flags(m->d) & LT_D_SHARED) && n > 0) {
		lt_tx_end(&t);
		return -EXDEV;
	}
	if (n > 0) {
		n = lt_tx_place(&t, n, v, &nv);
		r = n > 0 ? lt_transit_take(m->transit, m->pipe, n) : -ENOBUFS;
		if (r > 0)
			r = lt_transit_read(m->transit, v, nv);
		else if (r == -EAGAIN)
			r = PIPE_WAIT;
		lt_tx_commit(&t, r > 0 ? (size_t)r : 0);
	}
	lt_tx_end(&t);
	return r;
}

/* Bytes taken from the program's pipe for a connection that may leave: they are sent before anything else. */
static ssize_t send_all(struct move *m, const uint8_t *p, size_t n)
{
	struct iovec v = {(void *)(uintptr_t)p, n};
	struct lt_iov it = {&v, 1, 0};
	size_t done = 0;
	ssize_t r;

	while (done < n) {
		r = lt_send_iov(m->d, &it, n - done,
			MSG_DONTWAIT | (m->flags & SPLICE_F_MORE ? MSG_MORE : 0));
		if (r < 0 && r != -EAGAIN)
			return done > 0 ? (ssize_t)done : r;
		done += r > 0 ? (size_t)r : 0;
		if (done < n)
			lt_conn_wait(m->d, m->life, LT_WAIT_TX, 0, 0, &m->held);
	}
	return (ssize_t)n;
}

static ssize_t in_shared(struct move *m)
{
	uint8_t page[PAGE];
	struct iovec v = {page, m->n - m->done < PAGE ? m->n - m->done : PAGE};
	ssize_t r = lt_transit_take(m->transit, m->pipe, v.iov_len);

	if (r <= 0)
		return r == -EAGAIN ? PIPE_WAIT : r;
	v.iov_len = (size_t)r;
	return send_all(m, page, (size_t)lt_transit_read(m->transit, &v, 1));
}

/* No room, or no memory. 0 = look again. */
static int wait_to_send(struct move *m, ssize_t why)
{
	int r;

	if (!sock_waits(m)) {
		lt_tx_ask(m->d);
		if (why == -ENOBUFS)
			lt_short_of_memory(m->d);
		return -EAGAIN;
	}
	if (m->until_ns == 0)
		m->until_ns = lt_until(m->d->opts.sndtimeo_ns);
	r = why == -ENOBUFS
		    ? lt_short_wait(m->d, m->until_ns)
		    : lt_conn_wait(m->d, m->life, LT_WAIT_TX | (m->done > 0 ? LT_WAIT_ONCE : 0), 0,
			      m->until_ns, &m->held);
	if (r == -EINTR && why == -ENOBUFS && m->done == 0 && lt_restart(m->until_ns != 0))
		return 0;
	return r == 0 && !lt_conn_is(m->d, m->life) ? -EPIPE : r;
}

static int wait_for_pipe(struct move *m)
{
	if (!pipe_waits(m))
		return -EAGAIN;
	if (hold(m) != 0)
		return -EBADF;
	lt_settle(m->d->ctx);
	return lt_transit_await(m->transit, m->pipe);
}

static ssize_t in_loop(struct move *m)
{
	ssize_t r;

	lt_tx_more(m->d, m->flags & SPLICE_F_MORE ? MSG_MORE : 0);
	while (m->done < m->n) {
		r = in_step(m);
		if (r == -EXDEV)
			r = in_shared(m);
		if (r > 0) {
			m->done += (size_t)r;
			continue;
		}
		if (r == 0 || (r == PIPE_WAIT && m->done > 0))
			break;
		if (r == PIPE_WAIT)
			r = wait_for_pipe(m);
		else if (r == -EAGAIN || r == -ENOBUFS)
			r = wait_to_send(m, r);
		else if (r == -ESTALE)
			r = lt_claim(m->d, m->life);
		else if (r == -EDEADLK)
			r = -EAGAIN;
		if (r < 0)
			return m->done > 0 ? (ssize_t)m->done : lt_tx_fail((int)-r, 0);
	}
	return (ssize_t)m->done;
}

/* ---- the calls ---- */

static void finish(void *arg)
{
	struct move *m = arg;

	lt_transit_put(m->transit);
	if (m->held)
		lt_desc_let_go(m->d);
}

static void cancelled(void *arg)
{
	struct move *m = arg;

	lt_transit_empty(m->transit);
	finish(m);
}

static ssize_t run(struct move *m, ssize_t (*loop)(struct move *m))
{
	ssize_t r;

	m->n = m->n < COUNT_MAX ? m->n : COUNT_MAX;
	m->life = tas_load_acq(&m->d->life);
	m->transit = lt_transit_get();
	if (m->transit == LT_NONE) {
		lt_explain(TAS_X_refuse_splice);
		return -ENOMEM;
	}
	pthread_cleanup_push(cancelled, m);
	r = loop(m);
	pthread_cleanup_pop(0);
	finish(m);
	return r;
}

ssize_t lt_splice_out(struct lt_desc *d, int out, size_t n, unsigned flags)
{
	struct move m = {.d = d, .pipe = out, .n = n, .flags = flags};

	lt_rx_offer(d->ctx);
	lt_settle(d->ctx);
	return run(&m, out_loop);
}

/* May it be read from, or written to, as `mode` says? 0, -EBADF, or -EINVAL: it is no pipe. */
static int check_pipe(int fd, int mode)
{
	long fl = lt_sys_fcntl(fd, F_GETFL, 0);

	if (fl < 0 || (fl & O_PATH) || ((fl & O_ACCMODE) != mode && (fl & O_ACCMODE) != O_RDWR))
		return -EBADF;
	return lt_sys_fcntl(fd, F_GETPIPE_SZ, 0) < 0 ? -EINVAL : 0;
}

static bool is_pipe(int fd)
{
	return lt_sys_fcntl(fd, F_GETPIPE_SZ, 0) >= 0;
}

/* In the order in which the kernel finds fault. */
static int check(int in, const off64_t *in_off, int out, const off64_t *out_off, unsigned flags,
	bool to_pipe)
{
	int fd = to_pipe ? out : in, r;

	if (flags & ~(FLAGS_ALL))
		return -EINVAL;
	if (lt_sys_fcntl(fd, F_GETFD, 0) < 0)
		return -EBADF;
	if ((to_pipe ? out_off : in_off) != NULL && is_pipe(fd))
		return -ESPIPE;
	r = check_pipe(fd, to_pipe ? O_WRONLY : O_RDONLY);
	if (r == 0 && (to_pipe ? in_off : out_off) != NULL)
		r = -EINVAL;
	return r;
}

ssize_t lt_splice(int in, off64_t *in_off, int out, off64_t *out_off, size_t n, unsigned flags)
{
	struct lt_desc *from = lt_conn_get(in), *to = from != NULL ? NULL : lt_conn_get(out);
	struct move m = {.d = to, .pipe = in, .n = n, .flags = flags};
	ssize_t r;

	if ((from == NULL && to == NULL) || n == 0)
		return lt_real.splice(in, in_off, out, out_off, n, flags);
	r = check(in, in_off, out, out_off, flags, from != NULL);
	if (r == 0)
		r = from != NULL ? lt_splice_out(from, out, n, flags) : run(&m, in_loop);
	return lt_ret(r);
}
