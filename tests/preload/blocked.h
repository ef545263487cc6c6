/*
 * blocked.h - every call that can sleep, made by a thread that sleeps in it, and what ends its sleep.
 */
#ifndef PRELOAD_BLOCKED_H
#define PRELOAD_BLOCKED_H

#include "states.h"
#include "steps.h"
#include <sys/sendfile.h>

/* What a call waits for: bytes, room, a connection, its own connect(), readiness. */
enum kind { RX, TX, TAKE, JOIN, READY };

static struct epoll_event got;
static int fixed = 65536; /* sizes of buffers, which would grow at their leisure otherwise */

/* ---- the calls, each with a descriptor that makes it sleep ---- */

static void in_recv(struct thread *t)
{
	t->r = recv(t->fd, t->buf, sizeof(t->buf), 0);
}

static void in_peek(struct thread *t)
{
	t->r = recv(t->fd, t->buf, sizeof(t->buf), MSG_PEEK);
}

static void in_read(struct thread *t)
{
	t->r = read(t->fd, t->buf, sizeof(t->buf));
}

static void in_readv(struct thread *t)
{
	struct iovec v[2] = {{t->buf, 8}, {t->buf + 8, 8}};

	t->r = readv(t->fd, v, 2);
}

static void in_recvfrom(struct thread *t)
{
	t->r = recvfrom(t->fd, t->buf, sizeof(t->buf), 0, NULL, NULL);
}

static void in_recvmsg(struct thread *t)
{
	struct iovec v = {t->buf, sizeof(t->buf)};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

	t->r = recvmsg(t->fd, &m, 0);
}

static void in_recvmmsg(struct thread *t)
{
	struct iovec v = {t->buf, sizeof(t->buf)};
	struct mmsghdr m = {.msg_hdr = {.msg_iov = &v, .msg_iovlen = 1}};

	t->r = recvmmsg(t->fd, &m, 1, 0, NULL);
}

static void in_send(struct thread *t)
{
	t->r = send(t->fd, "x", 1, MSG_NOSIGNAL);
}

static void in_write(struct thread *t)
{
	t->r = write(t->fd, "x", 1);
}

static void in_writev(struct thread *t)
{
	struct iovec v = {t->buf, 1};

	t->r = writev(t->fd, &v, 1);
}

static void in_sendto(struct thread *t)
{
	t->r = sendto(t->fd, "x", 1, MSG_NOSIGNAL, NULL, 0);
}

static void in_sendmsg(struct thread *t)
{
	struct iovec v = {t->buf, 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

	t->r = sendmsg(t->fd, &m, MSG_NOSIGNAL);
}

static void in_sendmmsg(struct thread *t)
{
	struct iovec v = {t->buf, 1};
	struct mmsghdr m = {.msg_hdr = {.msg_iov = &v, .msg_iovlen = 1}};

	t->r = sendmmsg(t->fd, &m, 1, MSG_NOSIGNAL);
}

static void in_sendfile(struct thread *t)
{
	t->r = sendfile(t->fd, t->events, NULL, 1);
}

static void in_accept(struct thread *t)
{
	t->r = accept(t->fd, NULL, NULL);
}

static void in_accept4(struct thread *t)
{
	t->r = accept4(t->fd, NULL, NULL, SOCK_CLOEXEC);
}

static void in_connect(struct thread *t)
{
	t->r = connect(t->fd, (struct sockaddr *)&there, sizeof(there));
}

static void in_ppoll(struct thread *t)
{
	struct pollfd p = {.fd = t->fd, .events = POLLIN};

	t->r = ppoll(&p, 1, NULL, NULL);
}

static void in_select(struct thread *t)
{
	fd_set r;

	FD_ZERO(&r);
	FD_SET(t->fd, &r);
	t->r = select(t->fd + 1, &r, NULL, NULL, NULL);
}

static void in_pselect(struct thread *t)
{
	fd_set r;

	FD_ZERO(&r);
	FD_SET(t->fd, &r);
	t->r = pselect(t->fd + 1, &r, NULL, NULL, NULL, NULL);
}

static void in_poll_one(struct thread *t)
{
	struct pollfd p = {.fd = t->fd, .events = POLLIN};

	t->r = poll(&p, 1, -1);
}

static int set_with(int fd)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP};
	int ep = epoll_create1(0);

	CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0);
	return ep;
}

static void in_epoll_wait(struct thread *t)
{
	t->r = epoll_wait(t->events, &got, 1, -1);
}

static void in_epoll_pwait(struct thread *t)
{
	t->r = epoll_pwait(t->events, &got, 1, -1, NULL);
}

static void in_epoll_pwait2(struct thread *t)
{
	t->r = epoll_pwait2(t->events, &got, 1, NULL, NULL);
}

static const struct {
	const char *name;
	enum kind kind;
	void (*call)(struct thread *t);
} calls[] = {{"recv", RX, in_recv}, {"peek", RX, in_peek}, {"read", RX, in_read},
	{"readv", RX, in_readv}, {"recvfrom", RX, in_recvfrom}, {"recvmsg", RX, in_recvmsg},
	{"recvmmsg", RX, in_recvmmsg}, {"send", TX, in_send}, {"write", TX, in_write},
	{"writev", TX, in_writev}, {"sendto", TX, in_sendto}, {"sendmsg", TX, in_sendmsg},
	{"sendmmsg", TX, in_sendmmsg}, {"sendfile", TX, in_sendfile}, {"accept", TAKE, in_accept},
	{"accept4", TAKE, in_accept4}, {"connect", JOIN, in_connect}, {"poll", READY, in_poll_one},
	{"ppoll", READY, in_ppoll}, {"select", READY, in_select}, {"pselect", READY, in_pselect},
	{"epoll_wait", READY, in_epoll_wait}, {"epoll_pwait", READY, in_epoll_pwait},
	{"epoll_pwait2", READY, in_epoll_pwait2}};

#define CALLS (sizeof(calls) / sizeof(calls[0]))

/* ---- the other side ---- */

enum { DONE, WORDS, DRAIN, ENDS, RESETS, ARRIVE, ADMIT };

static void drain(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	static char buf[65536];

	while (poll(&p, 1, 100) == 1 && recv(fd, buf, sizeof(buf), 0) > 0)
		;
}

static void peer_blocked(void)
{
	struct linger lg = {1, 0};
	int l = listen_here(0, 0), fd = socket(AF_INET, SOCK_STREAM, 0), more = -1, what, i;
	struct sockaddr_in sa = address(false, hear());

	CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &fixed, sizeof(fixed)) == 0);
	while ((what = hear()) != DONE) {
		switch (what) {
		case WORDS:
			say_to(fd, "0123456789");
			break;
		case DRAIN:
			drain(fd);
			break;
		case ENDS:
			shutdown(fd, SHUT_WR);
			break;
		case RESETS:
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg));
			close(fd);
			break;
		case ARRIVE:
			more = more < 0 ? fd : socket(AF_INET, SOCK_STREAM, 0);
			CHECK(connect(more, (struct sockaddr *)&sa, sizeof(sa)) == 0);
			break;
		default:
			listen(l, 16);
			for (i = 0; i < 3; i++)
				accept(l, NULL, NULL);
		}
		tell(0);
	}
}

/* ---- what the thread sleeps on ---- */

static struct thread sleeper(size_t call, int *listener)
{
	struct thread t = {.call = calls[call].call, .fd = -1, .events = -1};

	there = address(true, hear());
	*listener = listen_here(0, 16);
	filling[0] = -1;
	if (calls[call].kind == TAKE) {
		t.fd = dup(*listener);
	} else if (calls[call].kind == JOIN) {
		close(connecting());
		t.fd = socket(AF_INET, SOCK_STREAM, 0);
	} else {
		peer_do(ARRIVE);
		t.fd = accept(*listener, NULL, NULL);
	}
	if (calls[call].kind == TX) {
		CHECK(setsockopt(t.fd, SOL_SOCKET, SO_SNDBUF, &fixed, sizeof(fixed)) == 0);
		fill_up(t.fd);
	}
	if (t.call == in_sendfile)
		t.events = open("/proc/self/exe", O_RDONLY);
	if (strncmp(calls[call].name, "epoll", 5) == 0)
		t.events = set_with(t.fd);
	return t;
}

/* Brings what the call waits for. */
static void satisfy(size_t call)
{
	static const int by[] = {
		[RX] = WORDS, [TX] = DRAIN, [TAKE] = ARRIVE, [JOIN] = ADMIT, [READY] = WORDS};

	peer_do(by[calls[call].kind]);
}

#endif
