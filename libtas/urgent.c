/*
 * urgent.c - urgent data as tcp(7) has it: one byte out of line, and a mark in the stream.
 *
 * The slot says where the last urgent byte is and what it is (rx_urg), and which earlier ones a reader
 * who stood before them is to leave out (rx_hole). Whether it was passed, or taken out of line, is this
 * side's to know: the position read so far, and rx_taken. docs/decisions/0018-urgent-data.md.
 * Owner: any thread; positions move under the slot's rx_lock. recv(2), tcp(7), sockatmark(3).
 */
#include <linux/sockios.h>
#include "lt.h"

#define POSITION ((1ull << (64 - TAS_URG_SHIFT)) - 1)
#define REST	 ((1u << TAS_URG_SHIFT) - 1)

/* Of a position 48 bits are told; it is less than 2^47 away from here. */
static uint64_t position(uint64_t word, uint64_t here)
{
	uint64_t ahead = ((word >> TAS_URG_SHIFT) - here) & POSITION;

	return here + (uint64_t)((int64_t)(ahead << TAS_URG_SHIFT) >> TAS_URG_SHIFT);
}

bool lt_urg_find(const struct lt_desc *d, struct lt_urg *u)
{
	uint64_t word = tas_load_acq(&d->s->rx_urg), hole = tas_load(&d->s->rx_hole);

	if (!d->opts.oobinline && position(hole, u->pos) == u->pos)
		u->pos += hole & REST;
	u->mark = position(word, u->pos);
	u->word = (uint32_t)word & REST;
	if (!(word & TAS_URG_MARK) || u->mark < u->pos)
		return false;
	if ((tas_load(&d->s->urgent) & TAS_URGENT_TAKEN) && tas_load(&d->s->rx_taken) == u->mark)
		u->word |= TAS_URG_READ;
	return true;
}

static bool find(const struct lt_desc *d, struct lt_urg *u)
{
	u->pos = tas_load(&d->rx_pos);
	return lt_conn_bound(d) && lt_urged(d) && lt_urg_find(d, u);
}

bool lt_urg_at_mark(const struct lt_desc *d, uint64_t ahead)
{
	struct lt_urg u;

	return find(d, &u) && u.mark == u.pos + ahead;
}

bool lt_urg_waiting(const struct lt_desc *d)
{
	struct lt_urg u;

	return find(d, &u) && (u.word & (TAS_URG_VALID | TAS_URG_READ)) == TAS_URG_VALID;
}

/* What of the next n unread bytes a reader does not get to see. */
uint64_t lt_urg_unseen(const struct lt_desc *d, uint64_t n)
{
	struct lt_urg u;
	uint64_t from = tas_load(&d->rx_pos), left;
	bool mark = find(d, &u);

	left = u.pos - from + (mark && u.mark == u.pos && !d->opts.oobinline);
	return left < n ? left : n;
}

/* As Linux counts for FIONREAD: up to the mark, if that byte is here. */
uint64_t lt_urg_readable(const struct lt_desc *d, uint64_t n)
{
	struct lt_urg u;

	if (d->opts.oobinline || !find(d, &u))
		return n;
	n -= u.pos - tas_load(&d->rx_pos);
	return u.mark - u.pos < n ? u.mark - u.pos : n;
}

/* Under rx_lock. */
static ssize_t take(struct lt_desc *d, struct lt_iov *it, size_t n, int flags, int *got)
{
	uint32_t state = lt_conn_state(d);
	struct lt_urg u;
	uint8_t byte;

	if (d->opts.oobinline || !find(d, &u) || (u.word & TAS_URG_READ))
		return -EINVAL;
	if ((state & (TAS_SOCK_ERROR | TAS_SOCK_RX_FIN)) == TAS_SOCK_ERROR)
		return -ENOTCONN;
	if (!(u.word & TAS_URG_VALID))
		return (state & (TAS_SOCK_ERROR | TAS_SOCK_RX_FIN)) || (lt_flags(d) & LT_D_SHUT_RD)
			       ? 0
			       : -EAGAIN;
	if (!(flags & MSG_PEEK)) {
		tas_store(&d->s->rx_taken, u.mark);
		tas_fetch_or(&d->s->urgent, TAS_URGENT_TAKEN);
	}
	*got = n == 0 ? MSG_OOB | MSG_TRUNC : MSG_OOB;
	byte = (uint8_t)u.word;
	if (n != 0 && !(flags & MSG_TRUNC) && lt_iov_null(it, 1))
		return -EFAULT;
	if (n != 0 && !(flags & MSG_TRUNC))
		lt_iov_copy_out(it, &byte, 1);
	return n != 0;
}

ssize_t lt_urg_recv(struct lt_desc *d, struct lt_iov *it, size_t n, int flags, int *got)
{
	uint32_t life = tas_load_acq(&d->life);
	struct tas_sock *s;
	ssize_t r;

	do {
		s = d->s;
		if (lt_lock(&s->rx_lock) != 0)
			return -EAGAIN; /* a handler above its own recv() */
		if (!lt_conn_is(d, life))
			r = -EBADF;
		else if (d->s != s || lt_moved(d))
			r = -ESTALE;
		else
			r = take(d, it, n, flags, got);
		lt_unlock(&s->rx_lock);
		lt_late(d);
	} while (r == -ESTALE && lt_claim(d, life) == 0);
	return r;
}

int lt_sockatmark(struct lt_desc *d, int fd)
{
	int mark;

	return lt_ioctl(d, fd, SIOCATMARK, &mark) == 0 ? mark : -1;
}
