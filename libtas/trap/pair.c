/*
 * pair.c - the two ends: made, put into the program, closed so that the program sees what TCP would show.
 *
 * A UNIX socket reports ECONNRESET when its peer is closed with unread bytes. So a reset is a byte that is
 * put into our own end through a copy of the program's, and a close. Owner: the supervisor's thread. unix(7).
 */
#include <errno.h>
#include <poll.h>
#include <unistd.h>
#include "lt.h"
#include "trap.h"

#define STUFFING 4096u

int tr_pair(struct tr_sock *s)
{
	int sv[2];
	long r = lt_sys4(SYS_socketpair, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv);

	if (r < 0)
		return (int)r;
	lt_sys_fcntl(sv[0], F_SETFL, O_RDWR | O_NONBLOCK);
	s->end = sv[0];
	tr_sock_insert(s, tr_cookie(sv[1]));
	return sv[1];
}

int tr_pair_install(struct tr_call *c, struct tr_sock *s, int end)
{
	long fl = lt_sys_fcntl(c->fd, F_GETFL, 0);
	int at = (int)c->arg[0], r;

	if (fl >= 0)
		lt_sys_fcntl(end, F_SETFL, fl);
	tr_options_copy_native(c->fd, end);
	r = tr_add_fd(c->id, end, at, tr_target_cloexec(c->tid, at));
	s->tid = c->tid;
	s->fd = at;
	return r < 0 ? r : 0;
}

/* From now on the program's end is not writable. */
void tr_stuff(struct tr_sock *s, int end)
{
	static const char zeros[STUFFING];
	struct pollfd p = {.fd = end, .events = POLLOUT};
	long n;

	while (lt_real.poll(&p, 1, 0) == 1 && (p.revents & POLLOUT)) {
		n = lt_sys(SYS_sendto, end, (long)zeros, sizeof(zeros), MSG_DONTWAIT | MSG_NOSIGNAL,
			0, 0);
		if (n <= 0)
			break;
		s->stuffing += (size_t)n;
	}
}

void tr_unstuff(struct tr_sock *s)
{
	char away[STUFFING];
	long n;

	while (s->stuffing != 0) {
		n = lt_sys(SYS_recvfrom, s->end, (long)away,
			(long)(s->stuffing < sizeof(away) ? s->stuffing : sizeof(away)),
			MSG_DONTWAIT, 0, 0);
		if (n <= 0)
			break;
		s->stuffing -= (size_t)n;
	}
}

static void remember_names(struct tr_sock *s)
{
	s->name_len = s->peer_len = sizeof(s->name);
	if (getsockname(s->mirror, (struct sockaddr *)&s->name, &s->name_len) != 0)
		s->name_len = 0;
	if (getpeername(s->mirror, (struct sockaddr *)&s->peer, &s->peer_len) != 0)
		s->peer_len = 0;
}

static void close_mirror(struct tr_sock *s, bool abort)
{
	const struct linger at_once = {1, 0};

	if (s->mirror < 0)
		return;
	remember_names(s);
	tr_unwatch(s, true);
	if (abort)
		setsockopt(s->mirror, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(s->mirror);
	s->mirror = -1;
}

static void close_ready(struct tr_sock *s)
{
	const struct linger at_once = {1, 0};

	while (s->nready != 0) {
		int fd = s->ready[--s->nready].fd;

		setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
		close(fd);
	}
}

void tr_sock_close(struct tr_sock *s, bool abort)
{
	bool keep = s->down || s->err != 0;

	if (s->kind == TR_DEAD)
		return;
	tr_wait_all(s, s->kind == TR_LISTEN ? -EINVAL : s->err != 0 ? -s->err : -ECONNABORTED);
	close_ready(s);
	close_mirror(s, abort);
	if (s->end >= 0) {
		tr_unwatch(s, false);
		lt_sys_close(s->end);
		s->end = -1;
	}
	if (keep)
		tr_sock_bury(s);
	else
		tr_sock_free(s);
}

/* The program's end, where it was put; whoever moved it since gets an end of file instead. */
static bool leave_unread(const struct tr_sock *s)
{
	static const char byte;
	int end = tr_target_fd(s->tid, s->fd);
	bool done;

	if (end < 0)
		return false;
	done = tr_cookie(end) == s->cookie &&
	       lt_sys(SYS_sendto, end, (long)&byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0) == 1;
	lt_sys_close(end);
	return done;
}

void tr_sock_reset(struct tr_sock *s, int err)
{
	char c;
	bool unread = lt_sys(SYS_recvfrom, s->end, (long)&c, 1, MSG_PEEK | MSG_DONTWAIT, 0, 0) == 1;

	s->err = err;
	if (!unread && !leave_unread(s))
		lt_explain(TAS_X_trap_reset);
	tr_sock_close(s, true);
}
