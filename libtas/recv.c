/*
 * recv.c - taking bytes out of a connection's receive chunks.
 *
 * The chunk of position p is rx_first_chunk where the list starts anew (p == rx_first_pos), the one
 * in rxnext[] of the last at a chunk boundary, else the last. The core keeps the chunk before
 * rx_tail as long as more follows, so that its link can still be read (fastpath/chunks.c). Owner:
 * the thread that holds the slot's rx_lock. recv(2), tcp(7).
 */
#include <linux/tcp.h>
#include "lt.h"

static uint32_t chunk_at(const struct lt_rxop *x)
{
	if (tas_load(&x->s->rx_first_pos) == x->pos)
		return tas_load(&x->s->rx_first_chunk);
	if ((x->pos & TAS_CHUNK_MASK) != 0)
		return x->chunk;
	return x->chunk == TAS_CHUNK_NONE ? x->chunk : tas_load(&x->d->ctx->rxnext[x->chunk]);
}

static void skip_to(struct lt_rxop *x, uint64_t pos)
{
	for (; x->pos < pos && x->pos < x->head; x->pos++)
		x->chunk = chunk_at(x);
}

/* Copies up to n bytes from x->pos on (it == NULL: skips them); advances x. */
static size_t copy(struct lt_rxop *x, struct lt_iov *it, size_t n)
{
	size_t done = 0, len;
	uint8_t *p;

	while (done < n && x->pos < x->head) {
		x->chunk = chunk_at(x);
		p = lt_chunk_addr(x->d->ctx, x->chunk);
		if (lt_unlikely(p == NULL))
			break;
		len = TAS_CHUNK_BYTES - (x->pos & TAS_CHUNK_MASK);
		len = len > n - done ? n - done : len;
		len = len > x->head - x->pos ? x->head - x->pos : len;
		if (it != NULL)
			len = lt_iov_copy_out(it, p + (x->pos & TAS_CHUNK_MASK), len);
		if (len == 0)
			break;
		x->pos += len;
		done += len;
	}
	return done;
}

/*
 * Of a connection with an urgent byte no more is read at a time than to the mark; from the mark on,
 * without that byte, unless the program wants it in line.
 */
static void heed_mark(struct lt_rxop *x)
{
	struct lt_urg u = {.pos = x->pos};
	bool mark = lt_urg_find(x->d, &u);

	if (mark && u.mark == u.pos && !x->d->opts.oobinline)
		u.pos++;
	else if (mark && u.mark > u.pos && u.mark < x->head)
		x->head = u.mark;
	skip_to(x, u.pos);
}

/* Tells the core what was consumed; rings when chunks came free or the window may open. */
static void publish(struct lt_rxop *x, uint64_t before)
{
	x->s->rx_chunk = x->chunk;
	tas_store(&x->d->rx_pos, x->pos);
	tas_store_rel(&x->s->rx_tail, x->pos);
	/* R1: rx_full is stored before the rx_head that x->head was loaded from. */
	if (before >> TAS_CHUNK_SHIFT != x->pos >> TAS_CHUNK_SHIFT || tas_load(&x->s->rx_full) ||
		lt_urged(x->d))
		lt_ring(x->d);
}

/* Another process may have claimed the connection meanwhile: bytes of these that are ours all the same. */
static ssize_t heard(struct lt_rxop *x, struct lt_iov *it, struct lt_iov at, ssize_t r)
{
	uint64_t lost;

	tas_full_barrier(); /* M1 */
	if (!(tas_load_acq(&x->s->state) & TAS_SOCK_MOVING))
		return r;
	lost = lt_moved_rx(x->s, x->pos);
	r -= (ssize_t)(lost < (uint64_t)r ? lost : (uint64_t)r);
	if (lost != 0 && it != NULL) {
		*it = at;
		lt_iov_skip(it, (size_t)r);
	}
	return r > 0 ? r : -ESTALE;
}

/* A peek says nothing to the core: when the connection leaves meanwhile, the chunks may hold another's bytes. */
static ssize_t still_ours(const struct lt_rxop *x, ssize_t r)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE); /* the copy, then the look */
	return tas_load(&x->s->state) & TAS_SOCK_MOVING ? -ESTALE : r;
}

/* Bytes that are there; -errno: it is over, the lock is not held. */
ssize_t lt_rx_begin(struct lt_rxop *x, struct lt_desc *d, uint32_t life)
{
	int err = 0;

	x->d = d;
	x->s = d->s;
	if (lt_lock(&x->s->rx_lock) != 0)
		return -EDEADLK; /* a handler above its own recv() */
	x->head = x->pos = d->rx_pos;
	x->chunk = x->s->rx_chunk;
	if (!lt_conn_is(d, life))
		err = -EBADF;
	else if (d->s != x->s || lt_moved(d))
		err = -ESTALE;
	else if (lt_conn_bound(d) && lt_likely(!(lt_flags(d) & LT_D_RECONNECT)))
		x->head = tas_load_acq(&x->s->rx_head);
	if (lt_urged(d) && x->head != x->pos) /* R2: stored before rx_head */
		heed_mark(x);
	if (err != 0)
		lt_rx_end(x);
	return err != 0 ? err : x->head > x->pos ? (ssize_t)(x->head - x->pos) : 0;
}

void lt_rx_end(struct lt_rxop *x)
{
	lt_unlock(&x->s->rx_lock);
	lt_late(x->d);
}

size_t lt_rx_pieces(const struct lt_rxop *x, size_t max, struct iovec *v, int *nv)
{
	struct lt_rxop at = *x;
	size_t done = 0, len;
	int i = 0;
	uint8_t *p;

	for (; i < *nv && done < max && at.pos < at.head; i++, at.pos += len, done += len) {
		at.chunk = chunk_at(&at);
		p = lt_chunk_addr(at.d->ctx, at.chunk);
		if (lt_unlikely(p == NULL))
			break;
		len = TAS_CHUNK_BYTES - (at.pos & TAS_CHUNK_MASK);
		len = len > max - done ? max - done : len;
		len = len > at.head - at.pos ? at.head - at.pos : len;
		v[i] = (struct iovec){p + (at.pos & TAS_CHUNK_MASK), len};
	}
	*nv = i;
	return done;
}

void lt_rx_commit(struct lt_rxop *x, size_t n)
{
	uint64_t before = x->pos;

	copy(x, NULL, n);
	publish(x, before);
}

/* What there is, up to n bytes. 0 = nothing now, or -errno. */
static ssize_t take(struct lt_desc *d, uint32_t life, struct lt_iov *it, size_t n, int flags)
{
	struct lt_iov at = *it;
	uint64_t before;
	struct lt_rxop x;
	ssize_t r = lt_rx_begin(&x, d, life);

	if (r < 0)
		return r;
	if (r > 0 && !(flags & MSG_TRUNC) &&
		lt_unlikely(lt_iov_null(it, (size_t)r < n ? (size_t)r : n))) {
		lt_rx_end(&x);
		return -EFAULT;
	}
	before =
		n != 0 ? tas_load(&d->rx_pos) : x.pos; /* a read of nothing stays before the mark */
	r = (ssize_t)copy(&x, flags & MSG_TRUNC ? NULL : it, n);
	if (x.pos != before && !(flags & MSG_PEEK))
		publish(&x, before);
	if (x.pos != before && lt_unlikely(lt_flags(d) & LT_D_SHARED))
		r = flags & MSG_PEEK ? still_ours(&x, r)
				     : heard(&x, flags & MSG_TRUNC ? NULL : it, at, r);
	lt_rx_end(&x);
	return r;
}

/* Nothing is there: why not? 0 = end of stream, -EAGAIN = it may come, else the error. */
int lt_rx_why_empty(struct lt_desc *d)
{
	uint32_t state = lt_conn_state(d);
	int err;

	if (lt_flags(d) & LT_D_RECONNECT) {
		err = lt_conn_error(d);
		if (err == 0 && (lt_flags(d) & LT_D_SHUT_RD))
			return 0;
		return err != 0 ? -err : -ENOTCONN;
	}
	if (state & TAS_SOCK_MOVING)
		return -ESTALE;
	if (lt_conn_unread(d) != 0)
		return -EAGAIN;
	if (state & TAS_SOCK_RX_FIN)
		return 0;
	err = lt_conn_error(d);
	if (err != 0)
		return -err;
	if ((state & TAS_SOCK_ERROR) || (lt_flags(d) & LT_D_SHUT_RD))
		return 0;
	return -EAGAIN;
}

static size_t low_water(const struct lt_desc *d, size_t total, int flags)
{
	size_t low = d->opts.wire.rcvlowat > 1 ? d->opts.wire.rcvlowat : 1;

	if (flags & MSG_WAITALL)
		return total != 0 ? total : 1;
	return low < total ? low : (total != 0 ? total : 1);
}

/* One look: bytes, 0 at the end of the stream, -EAGAIN when the caller should wait for more. */
static ssize_t look(struct lt_desc *d, uint32_t life, struct lt_iov *it, size_t n, int flags)
{
	struct lt_iov again = *it;
	ssize_t r = take(d, life, flags & MSG_PEEK ? &again : it, n, flags);

	if (r != 0)
		return r;
	if (n == 0 && lt_conn_unread(d) != 0)
		return 0;
	return lt_rx_why_empty(d);
}

/* A peek takes nothing, so that it may have seen all there will be without an end coming up. */
static bool seen_all(const struct lt_desc *d, size_t seen, int flags)
{
	uint32_t state = lt_conn_state(d);
	bool over = (state & (TAS_SOCK_RX_FIN | TAS_SOCK_ERROR)) || (lt_flags(d) & LT_D_SHUT_RD) ||
		    (!(flags & MSG_WAITALL) && tas_load(&d->s->rx_full));

	return over && lt_conn_unread(d) <= seen;
}

/*
 * Sleeps until it is worth looking again. The first bytes are taken as they come: from then on any
 * handler ends the call. Large reads go in steps, which a peek cannot.
 */
static int wait_more(struct lt_desc *d, uint32_t life, size_t done, size_t low, int flags,
	uint64_t until, bool *held)
{
	uint32_t what = LT_WAIT_RX | (done > 0 ? LT_WAIT_ONCE : 0);
	size_t need = done > 0 ? low - done : 1;

	if (!(flags & MSG_PEEK))
		need = need < TAS_CHUNK_BYTES ? need : TAS_CHUNK_BYTES;
	else if (done > 0)
		need = low;
	if ((flags & (MSG_PEEK | MSG_WAITALL)) == (MSG_PEEK | MSG_WAITALL))
		what |= LT_WAIT_ALL;
	return lt_conn_wait(d, life, what, need, until, held);
}

static bool waits(const struct lt_desc *d, int flags)
{
	return !(flags & MSG_DONTWAIT) && !(lt_flags(d) & LT_D_NONBLOCK);
}

static ssize_t recv_held(struct lt_desc *d, struct lt_iov *it, size_t total, int flags, bool *held)
{
	bool wait = waits(d, flags);
	size_t done = 0, low = low_water(d, total, flags);
	uint32_t life = tas_load_acq(&d->life);
	uint64_t until = 0;
	bool slept = false;
	ssize_t r;
	int w = 0;

	lt_rx_offer(d->ctx);
	lt_settle(d->ctx);
	for (;;) {
		r = look(d, life, it, flags & MSG_PEEK ? total : total - done, flags);
		if (r == -ESTALE) {
			r = slept ? lt_claim_again(d, life) : lt_claim(d, life);
			if (r == 0 && !slept) { /* another holder may have set something */
				wait = waits(d, flags);
				low = low_water(d, total, flags);
			}
			if (r == 0)
				continue;
		}
		if (r == -EDEADLK)
			return done > 0 ? (ssize_t)done : -EAGAIN;
		if (r >= 0 && (flags & MSG_PEEK) && (size_t)r > done)
			done = (size_t)r;
		else if (r > 0 && !(flags & MSG_PEEK))
			done += (size_t)r;
		if (done >= low || r == 0 || (r < 0 && r != -EAGAIN))
			return done > 0 ? (ssize_t)done : r;
		if (done > 0 && (flags & MSG_PEEK) && seen_all(d, done, flags))
			return (ssize_t)done;
		if (done > 0 && lt_urged(d) && lt_urg_at_mark(d, flags & MSG_PEEK ? done : 0))
			return (ssize_t)done; /* a read ends at the mark */
		if (!wait)
			return done > 0 ? (ssize_t)done : -EAGAIN;
		if (w == 0 && until != 0 && lt_now_ns() >= until)
			w = -EAGAIN;
		if (w < 0) /* what has come meanwhile goes before signal and time-out */
			return done > 0 ? (ssize_t)done : w;
		if (until == 0)
			until = lt_until(d->opts.rcvtimeo_ns);
		slept = true;
		w = wait_more(d, life, done, low, flags, until, held);
		if (!lt_conn_is(d, life)) /* closed by another thread: as after shutdown() */
			return done > 0 ? (ssize_t)done : w;
		if (lt_unlikely(lt_flags(d) & LT_D_RECONNECT)) /* disconnected by another thread */
			return done > 0 ? (ssize_t)done : -EPIPE;
	}
}

ssize_t lt_recv_iov(struct lt_desc *d, struct lt_iov *it, size_t total, int flags)
{
	bool held = false;
	ssize_t r;
	int got;

	lt_cancel_point();
	if (lt_unlikely(flags & MSG_ERRQUEUE))
		return lt_errqueue_recv(d, NULL, flags);
	if (lt_unlikely(flags & MSG_OOB))
		return lt_urg_recv(d, it, total, flags, &got);
	r = recv_held(d, it, total, flags, &held);
	if (lt_unlikely(held))
		lt_desc_let_go(d);
	return r;
}

ssize_t lt_recv(struct lt_desc *d, int fd, void *buf, size_t n, int flags)
{
	struct iovec v = {buf, n};
	struct lt_iov it = {&v, 1, 0};

	(void)fd;
	if (lt_unlikely(n > LT_RW_MAX))
		n = LT_RW_MAX;
	if (lt_unlikely(lt_outside(buf, n)))
		return lt_ret(-EFAULT);
	return lt_ret(lt_recv_iov(d, &it, n, flags));
}

ssize_t lt_read(struct lt_desc *d, int fd, void *buf, size_t n)
{
	return n == 0 ? 0 : lt_recv(d, fd, buf, n, 0);
}

/* A stream has no sender address: the length becomes 0, as the kernel has it. */
ssize_t lt_recvfrom(struct lt_desc *d, int fd, void *buf, size_t n, int flags, struct sockaddr *sa,
	socklen_t *len)
{
	ssize_t r = lt_recv(d, fd, buf, n, flags);

	if (r < 0 || sa == NULL)
		return r;
	if (lt_bad(len, sizeof(*len)))
		return lt_ret(-EFAULT);
	if ((int)*len < 0)
		return lt_ret(-EINVAL);
	*len = 0;
	return r;
}

/* The fortified names: libc ends the program when the buffer is too small, so it is asked to. */
ssize_t lt___read_chk(struct lt_desc *d, int fd, void *buf, size_t n, size_t room)
{
	return n > room ? lt_real.__read_chk(fd, buf, n, room) : lt_read(d, fd, buf, n);
}

ssize_t lt___recv_chk(struct lt_desc *d, int fd, void *buf, size_t n, size_t room, int flags)
{
	return n > room ? lt_real.__recv_chk(fd, buf, n, room, flags)
			: lt_recv(d, fd, buf, n, flags);
}

ssize_t lt___recvfrom_chk(struct lt_desc *d, int fd, void *buf, size_t n, size_t room, int flags,
	struct sockaddr *sa, socklen_t *len)
{
	if (n > room)
		return lt_real.__recvfrom_chk(fd, buf, n, room, flags, sa, len);
	return lt_recvfrom(d, fd, buf, n, flags, sa, len);
}

ssize_t lt_readv(struct lt_desc *d, int fd, const struct iovec *v, int n)
{
	struct lt_iov it = {v, (size_t)n, 0};
	ssize_t total = n < 0 ? -EINVAL : lt_iov_total(v, (size_t)n);

	(void)fd;
	if (total <= 0)
		return lt_ret(total);
	return lt_ret(lt_recv_iov(d, &it, (size_t)total, 0));
}

/* TCP_CM_INQ: what is left to read, or 1 for the end of the stream (tcp_inq_hint() of Linux). */
static int inq_hint(const struct lt_desc *d)
{
	uint64_t n = lt_conn_unread(d);

	if (n == 0 && (lt_conn_state(d) & TAS_SOCK_RX_FIN))
		return 1;
	return n < INT32_MAX ? (int)n : INT32_MAX;
}

/* As put_cmsg() of Linux does: what finds no room is cut, and said so. */
static void control(const struct lt_desc *d, struct msghdr *m)
{
	size_t room = m->msg_control != NULL ? m->msg_controllen : 0, n = CMSG_LEN(sizeof(int));
	struct cmsghdr c = {.cmsg_level = IPPROTO_TCP, .cmsg_type = TCP_CM_INQ};
	int inq;

	m->msg_controllen = 0;
	if (lt_likely(!d->opts.inq))
		return;
	if (room < n)
		m->msg_flags |= MSG_CTRUNC;
	if (room < sizeof(c) || lt_bad(m->msg_control, room))
		return;
	n = n < room ? n : room;
	inq = inq_hint(d);
	c.cmsg_len = n;
	memcpy(m->msg_control, &c, sizeof(c));
	memcpy((uint8_t *)m->msg_control + sizeof(c), &inq, n - sizeof(c));
	m->msg_controllen = room < CMSG_SPACE(sizeof(int)) ? room : CMSG_SPACE(sizeof(int));
}

static ssize_t recv_msg(struct lt_desc *d, struct msghdr *m, int flags)
{
	ssize_t total = lt_msg_total(m), r;
	struct lt_iov it;
	int got = 0;

	if (total < 0)
		return total;
	if (lt_unlikely(flags & MSG_ERRQUEUE))
		return lt_errqueue_recv(d, m, flags);
	it = (struct lt_iov){m->msg_iov, m->msg_iovlen, 0};
	r = lt_unlikely(flags & MSG_OOB) ? lt_urg_recv(d, &it, (size_t)total, flags, &got)
					 : lt_recv_iov(d, &it, (size_t)total, flags);
	if (r >= 0) {
		if (m->msg_name != NULL)
			m->msg_namelen = 0;
		m->msg_flags = got | (flags & MSG_CMSG_CLOEXEC); /* as Linux says it back */
		control(d, m);
	}
	return r;
}

ssize_t lt_recvmsg(struct lt_desc *d, int fd, struct msghdr *m, int flags)
{
	(void)fd;
	return lt_ret(recv_msg(d, m, flags));
}

int lt_recvmmsg(struct lt_desc *d, int fd, struct mmsghdr *m, unsigned n, int flags,
	struct timespec *timeout)
{
	uint64_t until = 0;
	unsigned i;
	ssize_t r = 0;

	(void)fd;
	if (timeout != NULL && lt_bad(timeout, sizeof(*timeout)))
		return (int)lt_ret(-EFAULT);
	if (timeout != NULL &&
		(timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec > 999999999))
		return (int)lt_ret(-EINVAL);
	if (timeout != NULL)
		until = lt_now_ns() + (uint64_t)timeout->tv_sec * 1000000000u +
			(uint64_t)timeout->tv_nsec;
	for (i = 0; i < n && r >= 0; i++) {
		r = lt_bad(&m[i], sizeof(m[i]))
			    ? -EFAULT
			    : recv_msg(d, &m[i].msg_hdr, flags & ~MSG_WAITFORONE);
		if (r >= 0)
			m[i].msg_len = (unsigned)r;
		if (flags & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
		if (r > 0 && until != 0 && lt_now_ns() >= until)
			return (int)i + 1;
	}
	if (r < 0 && i == 1)
		return (int)lt_ret(r);
	return (int)(r < 0 ? i - 1 : i);
}
