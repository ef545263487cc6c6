/*
 * loop.c - the supervisor's loop: one epoll instance of libtas' for notifications, ends and mirrors.
 *
 * Ends when the last thread under the filter has gone and nothing is left to pass on. Owner: the
 * supervisor's thread. epoll(7), seccomp_unotify(2).
 */
#include <errno.h>
#include <unistd.h>
#include "lt.h"
#include "trap.h"

#define EVENTS 128

static int ep = -1;

/* Sockets are 8-aligned: the lowest bit tells the side; no socket: the notification descriptor. */
static void *mark(struct tr_sock *s, bool mirror)
{
	return (char *)s + (mirror ? 1 : 0);
}

void tr_watch(struct tr_sock *s, bool mirror, uint32_t events)
{
	uint32_t *now = mirror ? &s->mirror_want : &s->end_want;
	int fd = mirror ? s->mirror : s->end;
	struct epoll_event ev = {.events = events, .data.ptr = mark(s, mirror)};

	events |= 1u << 31; /* it is in the set (EPOLLET is not used) */
	if (fd < 0 || *now == events)
		return;
	if (epoll_ctl(ep, *now == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &ev) == 0)
		*now = events;
}

void tr_unwatch(struct tr_sock *s, bool mirror)
{
	uint32_t *now = mirror ? &s->mirror_want : &s->end_want;
	int fd = mirror ? s->mirror : s->end;

	if (*now == 0 || fd < 0)
		return;
	epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL);
	*now = 0;
}

static void one_event(const struct epoll_event *e)
{
	uintptr_t at = (uintptr_t)e->data.ptr;
	struct tr_sock *s = (struct tr_sock *)(at & ~(uintptr_t)1);
	bool mirror = at & 1;

	switch (s->kind) {
	case TR_DEAD:
		return;
	case TR_CONN:
		tr_relay_event(s, mirror, e->events);
		return;
	default:
		break;
	}
	if (!mirror && (e->events & (EPOLLHUP | EPOLLERR)))
		tr_sock_close(s, false);
	else if (mirror && s->kind == TR_CONNECTING)
		tr_connect_event(s);
	else if (mirror && s->kind == TR_LISTEN)
		tr_listen_event(s);
}

/* False: nobody is under the filter any more. */
static bool notified(int notify, uint32_t events)
{
	struct epoll_event none;

	if (events & EPOLLIN)
		tr_notify_ready();
	if (!(events & EPOLLHUP))
		return true;
	epoll_ctl(ep, EPOLL_CTL_DEL, notify, &none);
	return false;
}

int tr_loop(int notify)
{
	struct epoll_event ev[EVENTS], first = {.events = EPOLLIN, .data.ptr = NULL};
	bool open = true;
	int i, n;

	ep = epoll_create1(EPOLL_CLOEXEC);
	if (ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, notify, &first) != 0)
		return -errno;
	while (open || tr_sock_live() != 0) {
		n = epoll_wait(ep, ev, EVENTS, tr_wait_next(lt_now_ns()));
		if (n < 0 && errno != EINTR)
			return -errno;
		for (i = 0; i < n; i++)
			if (ev[i].data.ptr != NULL)
				one_event(&ev[i]);
			else
				open = notified(notify, ev[i].events);
		tr_sock_sweep();
	}
	return 0;
}
