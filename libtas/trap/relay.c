/*
 * relay.c - the bytes between a pair and its mirror, both ways.
 *
 * What one side would not take is kept, and until it is gone nothing more is read from the other: at most
 * one read's worth a direction. A side that has hung up leaves the epoll set, since it would report that for
 * ever; what it sent before lies in the kernel's or tas's memory and is still passed on. Owner: the
 * supervisor's thread.
 */
#include <errno.h>
#include <stdlib.h>
#include "lt.h"
#include "trap.h"

#define READ_MAX 262144u
#define TURNS	 4 /* reads before others have their turn */

static uint8_t buffer[READ_MAX];

static ssize_t source_read(struct tr_sock *s, bool in)
{
	ssize_t n =
		in ? recv(s->mirror, buffer, sizeof(buffer), 0)
		   : lt_sys(SYS_recvfrom, s->end, (long)buffer, sizeof(buffer), MSG_DONTWAIT, 0, 0);

	return in && n < 0 ? -errno : n;
}

/* What was taken, or -errno. */
static ssize_t pass(struct tr_sock *s, bool in, const uint8_t *from, size_t n)
{
	ssize_t r = in ? lt_sys(SYS_sendto, s->end, (long)from, (long)n,
				 MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0)
		       : send(s->mirror, from, n, MSG_NOSIGNAL);

	return !in && r < 0 ? -errno : r;
}

static void drop(struct tr_flow *f)
{
	free(f->left);
	f->left = NULL;
	f->lost = true;
}

/* Passes on `n` bytes as far as they go; keeps the rest. */
static void pass_on(struct tr_sock *s, bool in, struct tr_flow *f, const uint8_t *from, size_t n)
{
	size_t done = 0;
	ssize_t r = 0;

	while (!f->lost && done < n) {
		r = pass(s, in, from + done, n - done);
		if (r <= 0)
			break;
		done += (size_t)r;
	}
	if (r < 0 && r != -EAGAIN && r != -ENOBUFS && r != -ENOMEM)
		drop(f);
	if (f->lost || done == n)
		return;
	f->left = malloc(n - done);
	if (f->left == NULL) { /* bytes may not be lost silently */
		drop(f);
		s->err = ENOBUFS;
		return;
	}
	memcpy(f->left, from + done, n - done);
	f->off = 0;
	f->len = n - done;
}

/* False: some of what was kept is still there. */
static bool pass_left(struct tr_sock *s, bool in, struct tr_flow *f)
{
	ssize_t r;

	while (f->left != NULL) {
		r = pass(s, in, f->left + f->off, f->len - f->off);
		if (r < 0 && r != -EAGAIN && r != -ENOBUFS && r != -ENOMEM)
			drop(f);
		if (r <= 0)
			break;
		f->off += (size_t)r;
		if (f->off == f->len) {
			free(f->left);
			f->left = NULL;
		}
	}
	return f->left == NULL;
}

/* A close is not told as a half-close first: with SO_LINGER it may be a reset. */
static bool is_closed(struct tr_sock *s)
{
	struct pollfd p = {.fd = s->end};

	return s->end_gone || (lt_real.poll(&p, 1, 0) == 1 && (p.revents & POLLHUP) != 0);
}

static void end_of(struct tr_sock *s, bool in, struct tr_flow *f)
{
	if (!f->ended || f->left != NULL || f->shut || (!in && is_closed(s)))
		return;
	f->shut = true;
	if (in)
		lt_sys2(SYS_shutdown, s->end, SHUT_WR);
	else
		shutdown(s->mirror, SHUT_WR);
}

/* One direction. The source's error, once; 0. */
static int pump(struct tr_sock *s, bool in)
{
	struct tr_flow *f = in ? &s->in : &s->out;
	bool last = in ? s->mirror_gone : s->end_gone; /* no event will bring us here again */
	int i, err = 0;
	ssize_t n;

	for (i = 0; (i < TURNS || last) && pass_left(s, in, f) && !f->ended; i++) {
		n = source_read(s, in);
		if (n == -EAGAIN || n == -EINTR)
			break;
		if (n <= 0) {
			f->ended = true;
			err = (int)-n;
			break;
		}
		pass_on(s, in, f, buffer, (size_t)n);
	}
	if (err == 0)
		end_of(s, in, f);
	return err;
}

static void want(struct tr_sock *s)
{
	uint32_t end = (!s->out.ended && s->out.left == NULL ? EPOLLIN : 0) |
		       (s->in.left != NULL ? EPOLLOUT : 0);
	uint32_t mirror = (!s->in.ended && s->in.left == NULL ? EPOLLIN : 0) |
			  (s->out.left != NULL ? EPOLLOUT : 0);

	if (!s->end_gone)
		tr_watch(s, false, end);
	if (!s->mirror_gone)
		tr_watch(s, true, mirror);
}

/*
 * The program has closed its end. Linux resets a connection that is closed with bytes unread, so those
 * that we hold count. True: it is over.
 */
static bool program_left(struct tr_sock *s, int end_err)
{
	if (!s->end_gone || s->out.left != NULL || !s->out.ended)
		return false;
	tr_sock_close(s, end_err != 0 || s->in.left != NULL || s->out.lost);
	return true;
}

static void gone(struct tr_sock *s, bool mirror)
{
	if (mirror ? s->mirror_gone : s->end_gone)
		return;
	tr_unwatch(s, mirror);
	if (mirror)
		s->mirror_gone = true;
	else
		s->end_gone = true;
}

void tr_relay_event(struct tr_sock *s, bool mirror, uint32_t events)
{
	int out_err, in_err;

	if (events & (EPOLLHUP | EPOLLERR))
		gone(s, mirror);
	out_err = pump(s, false);
	if (program_left(s, out_err))
		return;
	in_err = pump(s, true);
	if (s->err == 0)
		s->err = in_err == 0 && s->out.lost ? EPIPE : in_err;
	if (s->err != 0 && s->in.left == NULL) {
		tr_sock_reset(s, s->err);
		return;
	}
	want(s);
}

void tr_relay_start(struct tr_sock *s)
{
	want(s);
}
