/*
 * accept.c - listeners: connections are accepted a little ahead, so that the program can see that there are.
 *
 * The program's end of a listener's pair holds one byte for each connection that waits: it is readable while
 * there are any. It cannot be written to. A connection that came in by the kernel's half of the mirror is given
 * to the program as the kernel socket that it is. Owner: the supervisor's thread. accept(2).
 */
#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>
#include "lt.h"
#include "trap.h"

/* listen() without bind() chooses a port in both stacks. */
static int64_t listen_unbound(struct tr_call *c)
{
	struct sockaddr_storage sa;
	unsigned len = sizeof(sa);

	memset(&sa, 0, sizeof(sa));
	if (lt_sys3(SYS_getsockname, c->fd, &sa, &len) == 0 &&
		((struct sockaddr_in *)&sa)->sin_port == 0)
		lt_explain(TAS_X_kernel_listen_address);
	return TR_CONTINUE;
}

/* The kernel's alone: the program gets the socket, which listens already. */
static int64_t hand_over(struct tr_call *c)
{
	long fl = lt_sys_fcntl(c->fd, F_GETFL, 0), copy = lt_sys1(SYS_dup, c->s->mirror);
	int at = (int)c->arg[0], r;

	if (copy < 0)
		return copy;
	if (fl >= 0)
		lt_sys_fcntl((int)copy, F_SETFL, fl);
	r = tr_add_fd(c->id, (int)copy, at, tr_target_cloexec(c->tid, at));
	lt_sys_close((int)copy);
	tr_sock_close(c->s, false);
	c->s = NULL;
	return r < 0 ? r : 0;
}

int64_t tr_listen(struct tr_call *c)
{
	struct tr_sock *s = c->s;

	if (s == NULL)
		return listen_unbound(c);
	if (s->kind != TR_BOUND && s->kind != TR_LISTEN)
		return -EINVAL;
	if (listen(s->mirror, (int)c->arg[1]) != 0)
		return -errno;
	if (s->kind == TR_LISTEN)
		return 0;
	if (lt_fd_get(s->mirror) == NULL)
		return hand_over(c);
	s->kind = TR_LISTEN;
	tr_stuff(s, c->fd);
	lt_sys2(SYS_shutdown, c->fd, SHUT_WR);
	tr_watch(s, true, EPOLLIN);
	return 0;
}

static void set_nonblock(int fd, bool on)
{
	long fl = lt_sys_fcntl(fd, F_GETFL, 0);

	if (fl >= 0)
		lt_sys_fcntl(fd, F_SETFL, on ? fl | O_NONBLOCK : fl & ~O_NONBLOCK);
}

/* The new descriptor's number in the program, or -errno; -ENOENT: the call is over. */
static int give(const struct tr_wait *w, struct tr_ready *r)
{
	struct tr_sock *n;
	int end, at;

	if (lt_fd_get(r->fd) == NULL) {
		set_nonblock(r->fd, w->flags & SOCK_NONBLOCK);
		at = tr_add_fd(w->id, r->fd, -1, w->flags & SOCK_CLOEXEC);
		if (at >= 0)
			close(r->fd);
		return at;
	}
	n = tr_sock_new(TR_CONN);
	if (n == NULL)
		return -ENOBUFS;
	end = tr_pair(n);
	if (end < 0) {
		tr_sock_free(n);
		return end;
	}
	set_nonblock(end, w->flags & SOCK_NONBLOCK);
	at = tr_add_fd(w->id, end, -1, w->flags & SOCK_CLOEXEC);
	lt_sys_close(end);
	if (at < 0) {
		tr_sock_close(n, false);
		return at;
	}
	n->mirror = r->fd;
	n->reported = true;
	n->tid = w->tid;
	n->fd = at;
	tr_watch(n, false, 0);
	tr_relay_start(n);
	return at;
}

/* The first that waits goes to this call. False: it was not given away. */
static bool deliver(const struct tr_wait *w)
{
	struct tr_sock *s = w->s;
	uint32_t i;
	int r = 0;

	/* Its number may be another thread's by now, of a program that is none of ours. */
	if (!tr_valid(w->id))
		return false;
	if (w->addr != 0)
		r = tr_name_out(w->tid, w->addr, w->len, &s->ready[0].peer, s->ready[0].len);
	if (r == 0)
		r = give(w, &s->ready[0]);
	if (r < 0) {
		if (r != -ENOENT)
			tr_answer(w->id, r);
		return false;
	}
	for (i = 1, s->nready--; i <= s->nready; i++)
		s->ready[i - 1] = s->ready[i];
	tr_watch(s, true, EPOLLIN);
	return true;
}

static int64_t accept_later(struct tr_call *c, struct tr_wait *w)
{
	struct timeval tv = {0, 0};
	unsigned len = sizeof(tv);
	long fl = lt_sys_fcntl(c->fd, F_GETFL, 0);

	if (fl < 0 || (fl & O_NONBLOCK))
		return -EAGAIN;
	if (lt_sys_getsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, &len) == 0 &&
		(tv.tv_sec | tv.tv_usec) != 0)
		w->until_ns = lt_now_ns() + (uint64_t)tv.tv_sec * 1000000000u +
			      (uint64_t)tv.tv_usec * 1000u;
	w->late = -EAGAIN;
	return tr_wait_add(w) ? TR_LATER : -ENOBUFS;
}

int64_t tr_accept(struct tr_call *c)
{
	struct tr_wait w = {.id = c->id,
		.tid = c->tid,
		.s = c->s,
		.addr = c->arg[1],
		.len = c->arg[2],
		.flags = c->nr == SYS_accept4 ? (int)c->arg[3] : 0};
	char token;

	if (c->s->kind != TR_LISTEN || (w.flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) != 0)
		return -EINVAL;
	if (c->s->nready == 0)
		return accept_later(c, &w);
	if (deliver(&w))
		lt_sys(SYS_recvfrom, c->fd, (long)&token, 1, MSG_DONTWAIT, 0, 0);
	return TR_DONE;
}

/* To a call that waits, else with a byte that makes the program's end readable. */
static void announce(struct tr_sock *s)
{
	static const char token = 't';
	struct tr_wait w, *p;

	while (s->nready != 0 && (p = tr_wait_of(s)) != NULL) {
		w = *p;
		tr_wait_drop(p);
		if (deliver(&w))
			return;
	}
	lt_sys(SYS_sendto, s->end, (long)&token, 1, MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0);
}

void tr_listen_event(struct tr_sock *s)
{
	struct tr_ready *r;

	while (s->kind == TR_LISTEN && s->nready < TR_AHEAD) {
		r = &s->ready[s->nready];
		r->len = sizeof(r->peer);
		r->fd = accept4(s->mirror, (struct sockaddr *)&r->peer, &r->len,
			SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (r->fd < 0)
			break;
		s->nready++;
		announce(s);
	}
	if (s->kind == TR_LISTEN && s->nready == TR_AHEAD)
		tr_watch(s, true, 0);
}
