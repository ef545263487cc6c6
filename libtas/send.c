/*
 * send.c - the send list of a connection, and the calls that append to it.
 *
 * Bytes go into 16 KiB chunks; position p lies at p & TAS_CHUNK_MASK of its chunk. The core follows
 * txnext[] from a chunk to the next until the byte after the chunk's last is acknowledged, so a
 * chunk is taken back only when tx_una is beyond its end by a byte, or when everything is
 * acknowledged and the list starts anew: then it goes on in the chunk it is in, and a connection
 * with small messages uses one chunk for ever. Owner: the thread that holds the slot's tx_lock.
 * send(2), sendmsg(2), tcp(7).
 */
#include "lt.h"

/* Publish at least this often while copying a large buffer: the core sends the first part
 * meanwhile. */
#define STEP 65536u

static void put_until(struct lt_ctx *c, uint32_t from, uint32_t last)
{
	uint32_t next;

	for (; from != last && from != TAS_CHUNK_NONE; from = next) {
		next = tas_load(&c->txnext[from]);
		lt_chunk_put(c, from);
	}
}

static uint64_t acknowledged(const struct tas_sock *s, uint32_t gen, uint64_t head)
{
	uint64_t una = tas_load_acq(&s->gen) == gen ? tas_load_acq(&s->tx_una) : 0;

	return una > head ? head : una; /* the FIN counts one */
}

/* Takes acknowledged chunks back; true when nothing is outstanding. */
static bool take_back(struct lt_ctx *c, struct tas_sock *s, uint32_t gen, uint64_t head)
{
	uint64_t una = acknowledged(s, gen, head);
	uint32_t chunk = s->tx_old_chunk, next;

	if (una == head) {
		put_until(c, chunk, s->tx_chunk);
		s->tx_old_chunk = s->tx_chunk;
		s->tx_freed = head & ~(uint64_t)TAS_CHUNK_MASK;
		return true;
	}
	while (s->tx_freed + TAS_CHUNK_BYTES < una) {
		next = tas_load(&c->txnext[chunk]);
		lt_chunk_put(c, chunk);
		chunk = next;
		s->tx_freed += TAS_CHUNK_BYTES;
	}
	s->tx_old_chunk = chunk;
	return false;
}

void lt_tx_release(struct lt_ctx *c, struct tas_sock *s, uint32_t gen)
{
	if (lt_trylock(&s->tx_lock) != 0)
		return;
	if (take_back(c, s, gen, tas_load(&s->tx_head)) && s->tx_chunk != TAS_CHUNK_NONE) {
		lt_chunk_put(c, s->tx_chunk);
		s->tx_chunk = s->tx_old_chunk = TAS_CHUNK_NONE;
	}
	lt_unlock(&s->tx_lock);
}

void lt_tx_drop(struct lt_ctx *c, struct tas_sock *s)
{
	put_until(c, s->tx_old_chunk, s->tx_chunk);
	if (s->tx_chunk != TAS_CHUNK_NONE)
		lt_chunk_put(c, s->tx_chunk);
	s->tx_chunk = s->tx_old_chunk = TAS_CHUNK_NONE;
}

/* T1: pairs with the core, which moves tx_una and then looks for tx_wait, or is rung and looks at
 * tx_una. */
void lt_tx_ask(struct lt_desc *d)
{
	if (tas_load(&d->s->tx_wait) != 0)
		return;
	tas_store(&d->s->tx_wait, 1u);
	tas_full_barrier();
	lt_ring(d);
}

/* Why nothing can be sent, as a negative errno; 0 when it can. */
static int refused(struct lt_desc *d)
{
	bool gone = (lt_conn_state(d) & TAS_SOCK_ERROR) != 0;
	int err;

	if (!gone && !(lt_flags(d) & (LT_D_SHUT_WR | LT_D_RECONNECT)))
		return 0;
	err = lt_conn_error(d);
	return err != 0 ? -err : -EPIPE;
}

ssize_t lt_tx_begin(struct lt_txop *t, struct lt_desc *d, uint32_t life)
{
	struct tas_sock *s = d->s;
	uint64_t room;
	int err;

	if (lt_lock(&s->tx_lock) != 0)
		return -EDEADLK; /* a handler above its own send() */
	if (!lt_conn_is(d, life))
		err = -EBADF;
	else if (d->s != s || lt_moved(d))
		err = -ESTALE;
	else
		err = refused(d);
	if (err != 0) {
		lt_unlock(&s->tx_lock);
		lt_late(d);
		return err;
	}
	t->d = d;
	t->s = s;
	t->head = tas_load(&s->tx_head);
	t->nfresh = 0;
	t->urgent = false;
	t->restart = take_back(d->ctx, s, d->gen, t->head);
	lt_tx_writable(d, &room);
	return (ssize_t)room;
}

void lt_tx_end(struct lt_txop *t)
{
	lt_unlock(&t->s->tx_lock);
	lt_late(t->d);
}

/* False: a handler above its own send, whose bytes come before what is wanted. */
static bool set_want(struct tas_sock *s, uint32_t want)
{
	if (lt_lock(&s->tx_lock) != 0)
		return false;
	tas_fetch_or(&s->want, want);
	lt_unlock(&s->tx_lock);
	return true;
}

void lt_tx_finish(struct lt_desc *d, uint32_t want)
{
	do {
		if (!set_want(d->s, want)) {
			tas_fetch_or(&d->late, want);
			return;
		}
		lt_ring(d);
	} while (lt_unlikely(lt_moved(d)) && lt_claim(d, tas_load(&d->life)) == 0);
	lt_late(d);
}

void lt_tx_last(struct lt_desc *d, uint32_t want)
{
	do {
		if (!set_want(d->s, want))
			tas_fetch_or(&d->s->want, want);
		lt_ring(d);
	} while (lt_unlikely(lt_moved(d)) && lt_claim(d, tas_load(&d->life)) == 0);
}

bool lt_conn_busy(const struct lt_desc *d)
{
	return tas_load_acq(&d->kind) == LT_CONN &&
	       (lt_lock_mine(&d->s->tx_lock) || lt_lock_mine(&d->s->rx_lock));
}

/* It never waits: whoever has the lock looks here when it has let go of it. */
void lt_late_slow(struct lt_desc *d)
{
	uint32_t late, want;

	while (tas_load(&d->late) != 0 && tas_load_acq(&d->kind) == LT_CONN) {
		struct tas_sock *s = d->s;

		if (lt_trylock(&s->tx_lock) != 0)
			return;
		late = tas_xchg(&d->late, 0u);
		want = late & ~LT_LATE_CLOSE;
		tas_fetch_or(&s->want, want);
		lt_unlock(&s->tx_lock);
		if (want != 0)
			lt_ring(d);
		if (want != 0 && lt_unlikely(lt_moved(d)))
			lt_tx_finish(d, want);
		if (late & LT_LATE_CLOSE) {
			lt_desc_let_go(d);
			return;
		}
	}
}

static uint32_t fresh_chunk(struct lt_txop *t)
{
	uint32_t chunk = lt_chunk_get(t->d->ctx);

	if (chunk != TAS_CHUNK_NONE)
		t->fresh[t->nfresh++] = chunk;
	return chunk;
}

size_t lt_tx_place(struct lt_txop *t, size_t max, struct iovec *v, int *nv)
{
	uint64_t pos = t->head;
	size_t done = 0, len;
	uint32_t chunk = t->s->tx_chunk;
	int i = 0, room = *nv;

	if (chunk == TAS_CHUNK_NONE || (!t->restart && (pos & TAS_CHUNK_MASK) == 0))
		chunk = fresh_chunk(t);
	t->first = chunk;
	while (chunk != TAS_CHUNK_NONE && done < max && i < room) {
		len = TAS_CHUNK_BYTES - (pos & TAS_CHUNK_MASK);
		len = len > max - done ? max - done : len;
		v[i].iov_base = lt_chunk_addr(t->d->ctx, chunk) + (pos & TAS_CHUNK_MASK);
		v[i++].iov_len = len;
		pos += len;
		done += len;
		if (done < max && i < room)
			chunk = t->nfresh < LT_TX_PIECES ? fresh_chunk(t) : TAS_CHUNK_NONE;
	}
	*nv = i;
	return done;
}

/* Links the chunks that hold the first n bytes placed; the others go back. */
static void link_fresh(struct lt_txop *t, size_t n)
{
	struct tas_sock *s = t->s;
	uint64_t end = t->head + n;
	uint64_t edge = (t->head | TAS_CHUNK_MASK) + 1; /* end of the first piece's chunk */
	uint32_t i = 0, last = t->first;

	if (t->nfresh > 0 && t->fresh[0] == t->first) {
		if (s->tx_chunk != TAS_CHUNK_NONE)
			tas_store(&t->d->ctx->txnext[s->tx_chunk], t->first);
		i = 1;
	}
	for (; i < t->nfresh && edge < end; i++, edge += TAS_CHUNK_BYTES) {
		tas_store(&t->d->ctx->txnext[last], t->fresh[i]);
		last = t->fresh[i];
	}
	for (; i < t->nfresh; i++)
		lt_chunk_put(t->d->ctx, t->fresh[i]);
	s->tx_chunk = last;
	if (s->tx_old_chunk == TAS_CHUNK_NONE)
		s->tx_old_chunk = t->first;
}

void lt_tx_commit(struct lt_txop *t, size_t n)
{
	struct tas_sock *s = t->s;
	uint32_t i;

	if (n == 0 || (tas_load(&s->want) & (TAS_SOCK_SHUT_WR | TAS_SOCK_CLOSED))) {
		for (i = 0; i < t->nfresh; i++)
			lt_chunk_put(t->d->ctx, t->fresh[i]);
		t->nfresh = 0;
		return;
	}
	if (t->restart ||
		s->tx_chunk ==
			TAS_CHUNK_NONE) { /* the latter: earlier bytes are in the daemon's chunks */
		tas_store(&s->tx_first_chunk, t->first);
		tas_store(&s->tx_first_pos, t->head);
		t->restart = 0;
	}
	link_fresh(t, n);
	t->nfresh = 0;
	t->head += n;
	if (lt_unlikely(t->urgent)) {
		tas_store(&s->tx_up, t->head);
		tas_fetch_or(&s->urgent, TAS_URGENT_SENT);
	}
	tas_store_rel(&s->tx_head, t->head); /* publishes bytes, list and start */
	if ((tas_load(&s->want) & TAS_SOCK_CORK) && !t->urgent &&
		lt_conn_unsent(t->d) < LT_EARLY_TX)
		lt_ring_later(t->d);
	else
		lt_ring(t->d);
}

/*
 * Of the bytes committed last: those that another process, which claimed the connection meanwhile,
 * has left us to send again. The ring of lt_tx_commit was the barrier (M1).
 */
size_t lt_tx_lost(const struct lt_txop *t)
{
	if (lt_likely(!(lt_flags(t->d) & LT_D_SHARED)) ||
		!(tas_load_acq(&t->s->state) & TAS_SOCK_MOVING))
		return 0;
	return (size_t)lt_moved_tx(t->s, t->head);
}

int lt_tx_fail(int err, int flags)
{
	if (err == EPIPE && !(flags & MSG_NOSIGNAL))
		lt_sys3(SYS_tgkill, lt_sys1(SYS_getpid, 0), lt_tid(), SIGPIPE);
	return -err;
}

/* Appends what fits now. Bytes, 0 = no room, -ENOBUFS = room but no memory, or another -errno. */
static ssize_t append(struct lt_desc *d, uint32_t life, struct lt_iov *it, size_t total, int flags)
{
	struct lt_txop t;
	struct iovec v[LT_TX_PIECES];
	ssize_t room = lt_tx_begin(&t, d, life);
	size_t done = 0, step, want, lost;
	struct lt_iov at;
	int nv, i;

	if (room < 0)
		return room;
	want = total < (size_t)room ? total : (size_t)room;
	if (lt_unlikely(lt_iov_null(it, want))) {
		lt_tx_end(&t);
		return -EFAULT;
	}
	while (done < want) {
		nv = LT_TX_PIECES;
		step = lt_tx_place(&t, want - done < STEP ? want - done : STEP, v, &nv);
		if (step == 0)
			break;
		at = *it;
		for (i = 0; i < nv; i++)
			lt_iov_copy_in(it, v[i].iov_base, v[i].iov_len);
		t.urgent = (flags & MSG_OOB) && done + step == want;
		lt_tx_commit(&t, step);
		lost = lt_tx_lost(&t);
		done += step - lost;
		if (lt_unlikely(lost != 0)) {
			*it = at;
			lt_iov_skip(it, step - lost);
			lt_tx_end(&t);
			return done != 0 ? (ssize_t)done : -ESTALE;
		}
	}
	lt_tx_end(&t);
	return done == 0 && want > 0 ? -ENOBUFS : (ssize_t)done;
}

/* MSG_MORE holds back a partial segment like TCP_CORK, until a send without it. */
void lt_tx_more(struct lt_desc *d, int flags)
{
	if (flags & MSG_MORE)
		tas_fetch_or(&d->s->want, TAS_SOCK_CORK);
	else if ((tas_load(&d->s->want) & TAS_SOCK_CORK) && !(lt_flags(d) & LT_D_CORK))
		tas_fetch_and(&d->s->want, ~TAS_SOCK_CORK);
}

/* After part of a transfer, an error or signal is reported by the next call. */
static ssize_t ended(size_t done, int err, int flags)
{
	return done > 0 ? (ssize_t)done : lt_tx_fail(err, flags);
}

/* Nothing at all is sent only once there is a connection. */
static bool in_handshake(const struct lt_desc *d)
{
	return (lt_flags(d) & LT_D_CONNECTING) && !lt_conn_bound(d);
}

static bool waits(const struct lt_desc *d, int flags)
{
	return !(flags & MSG_DONTWAIT) && !(lt_flags(d) & LT_D_NONBLOCK);
}

static ssize_t send_held(struct lt_desc *d, struct lt_iov *it, size_t total, int flags, bool *held)
{
	bool wait = waits(d, flags);
	uint32_t life = tas_load_acq(&d->life);
	uint64_t until = 0;
	size_t done = 0;
	ssize_t r;
	int w;

	if (lt_unlikely(flags & MSG_OOB) && d->ctx->info->abi_minor < LT_URGENT_MINOR) {
		lt_explain(TAS_X_refuse_oob);
		return -EOPNOTSUPP;
	}
	lt_tx_more(d, flags);
	for (;;) {
		r = append(d, life, it, total - done, flags);
		if (r == -ESTALE) {
			r = lt_claim(d, life);
			if (r == 0 && until == 0) /* another holder may have set something */
				wait = waits(d, flags);
			if (r == 0)
				continue;
		}
		if (r == -EDEADLK)
			return ended(done, EAGAIN, flags);
		if (r < 0 && r != -EAGAIN && r != -ENOBUFS)
			return ended(done, (int)-r, flags);
		done += r > 0 ? (size_t)r : 0;
		if (done == total && (total != 0 || !in_handshake(d)))
			return (ssize_t)done;
		if (!wait) {
			lt_tx_ask(d);
			if (r == -ENOBUFS)
				lt_short_of_memory(d);
			return ended(done, EAGAIN, flags);
		}
		if (until == 0)
			until = lt_until(d->opts.sndtimeo_ns);
		w = r == -ENOBUFS
			    ? lt_short_wait(d, until)
			    : lt_conn_wait(d, life, LT_WAIT_TX | (done > 0 ? LT_WAIT_ONCE : 0), 0,
				      until, held);
		if (w == -EINTR && r == -ENOBUFS && done == 0 && lt_restart(until != 0))
			continue;
		if (w == 0 && !lt_conn_is(d, life))
			w = -EPIPE;
		if (w < 0)
			return ended(done, -w, flags);
	}
}

/* The data is copied, which the completion says if the program wants one; without SO_ZEROCOPY the flag
 * means nothing. */
static ssize_t send_zerocopy(
	struct lt_desc *d, struct lt_iov *it, size_t total, int flags, bool *held)
{
	bool report = d->opts.zerocopy && total != 0;
	ssize_t r;

	lt_explain(TAS_X_flag_zerocopy);
	if (report && lt_errqueue_full(d))
		return -ENOBUFS;
	r = send_held(d, it, total, flags, held);
	if (report && r > 0)
		lt_errqueue_sent(d);
	return r;
}

ssize_t lt_send_iov(struct lt_desc *d, struct lt_iov *it, size_t total, int flags)
{
	bool held = false;
	ssize_t r;

	lt_cancel_point();
	r = lt_unlikely(flags & MSG_ZEROCOPY) ? send_zerocopy(d, it, total, flags, &held)
					      : send_held(d, it, total, flags, &held);
	if (lt_unlikely(held))
		lt_desc_let_go(d);
	return r;
}

ssize_t lt_send(struct lt_desc *d, int fd, const void *buf, size_t n, int flags)
{
	struct iovec v = {(void *)(uintptr_t)buf, n};
	struct lt_iov it = {&v, 1, 0};

	(void)fd;
	if (lt_unlikely(n > LT_RW_MAX))
		n = LT_RW_MAX;
	if (lt_unlikely(lt_outside(buf, n)))
		return lt_ret(-EFAULT);
	return lt_ret(lt_send_iov(d, &it, n, flags));
}

ssize_t lt_write(struct lt_desc *d, int fd, const void *buf, size_t n)
{
	return lt_send(d, fd, buf, n, 0);
}

/* The address is read, and on a connected stream ignored (sendto(2) on Linux). */
ssize_t lt_sendto(struct lt_desc *d, int fd, const void *buf, size_t n, int flags,
	const struct sockaddr *sa, socklen_t len)
{
	if (sa != NULL && len > sizeof(struct sockaddr_storage))
		return lt_ret(-EINVAL);
	if (sa != NULL && len != 0 && lt_bad(sa, len))
		return lt_ret(-EFAULT);
	return lt_send(d, fd, buf, n, flags);
}

ssize_t lt_writev(struct lt_desc *d, int fd, const struct iovec *v, int n)
{
	struct lt_iov it = {v, (size_t)n, 0};
	ssize_t total = n < 0 ? -EINVAL : lt_iov_total(v, (size_t)n);

	(void)fd;
	return lt_ret(total < 0 ? total : lt_send_iov(d, &it, (size_t)total, 0));
}

/* What a message describes, or why it is none: the order of Linux's copy_msghdr_from_user(). */
ssize_t lt_msg_total(const struct msghdr *m)
{
	if (lt_bad(m, sizeof(*m)))
		return -EFAULT;
	if ((int)m->msg_namelen < 0)
		return -EINVAL;
	if (m->msg_iovlen > 1024)
		return -EMSGSIZE;
	return lt_iov_total(m->msg_iov, m->msg_iovlen);
}

static ssize_t send_msg(struct lt_desc *d, const struct msghdr *m, int flags)
{
	ssize_t total = lt_msg_total(m);
	struct lt_iov it;
	int err;

	if (total < 0)
		return total;
	if (m->msg_name != NULL && m->msg_namelen != 0 && lt_bad(m->msg_name, 1))
		return -EFAULT;
	it = (struct lt_iov){m->msg_iov, m->msg_iovlen, 0};
	if (lt_unlikely(m->msg_controllen != 0) && (err = lt_control_send(m)) != 0)
		return err;
	return lt_send_iov(d, &it, (size_t)total, flags);
}

ssize_t lt_sendmsg(struct lt_desc *d, int fd, const struct msghdr *m, int flags)
{
	(void)fd;
	return lt_ret(send_msg(d, m, flags));
}

int lt_sendmmsg(struct lt_desc *d, int fd, struct mmsghdr *m, unsigned n, int flags)
{
	unsigned i;
	ssize_t r = 0;

	(void)fd;
	for (i = 0; i < n && r >= 0; i++) {
		r = lt_bad(&m[i], sizeof(m[i])) ? -EFAULT : send_msg(d, &m[i].msg_hdr, flags);
		if (r >= 0)
			m[i].msg_len = (unsigned)r;
	}
	if (r < 0 && i == 1)
		return (int)lt_ret(r);
	return (int)(r < 0 ? i - 1 : i);
}
