/*
 * wait.c - epoll, poll and select over our sockets and the kernel's descriptors.
 */
#include "harness.h"
#include <sys/eventfd.h>

static const struct timespec zero;

/* Steps on the peer's side that the tested side asks for. */
enum { SEND = 1, READ, SHUT, RESET, END, CONNECT };

static void peer_steps(void)
{
	int port = hear(), fd = -1, step, n = 0;
	struct sockaddr_in sa = address(false, port);
	struct linger lg = {1, 0};
	static char buf[65536];

	while ((step = hear()) != END) {
		switch (step) {
		case CONNECT:
			if (fd >= 0)
				close(fd);
			fd = socket(AF_INET, SOCK_STREAM, 0);
			CHECK(connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0);
			break;
		case SEND:
			CHECK(send(fd, "0123456789", 10, MSG_NOSIGNAL) == 10);
			break;
		case READ:
			for (n = hear(); n > 0; n -= (int)recv(fd, buf, sizeof(buf), 0))
				;
			break;
		case SHUT:
			shutdown(fd, SHUT_WR);
			break;
		case RESET:
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg));
			close(fd);
			fd = -1;
			break;
		default:
			CHECK(0 && "a known step");
		}
		tell(0);
	}
	if (fd >= 0)
		close(fd);
}

static void ask(int step)
{
	tell(step);
	if (step != END)
		hear();
}

static int connection(void)
{
	int l = listen_here(0, 16), fd;

	ask(CONNECT);
	fd = accept(l, NULL, NULL);
	CHECK(fd >= 0);
	close(l);
	return fd;
}

static int ep_new(void)
{
	int ep = epoll_create1(EPOLL_CLOEXEC);

	CHECK(ep >= 0);
	return ep;
}

static int ctl_(int ep, int op, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event ev = {.events = events, .data.u64 = data};

	return epoll_ctl(ep, op, fd, &ev);
}

/* Waits and prints what comes, in the order of `data`. */
static int show(const char *label, int ep, int timeout)
{
	struct epoll_event ev[16];
	int n = epoll_wait(ep, ev, 16, timeout), i, k;

	if (n <= 0) {
		result(label, n);
		return n;
	}
	for (k = 0; k < 1000; k++)
		for (i = 0; i < n; i++)
			if ((int)ev[i].data.u64 == k)
				out("%s: %d %s", label, k, bits(ev[i].events));
	return n;
}

static void settle(void)
{
	usleep(30000); /* what was sent has arrived: only cases that expect nothing rely on it */
}

static void test_level(void)
{
	int fd = connection(), ep = ep_new();
	char buf[100];

	result("add", ctl_(ep, EPOLL_CTL_ADD, fd, EPOLLIN, 1));
	show("idle", ep, 0);
	ask(SEND);
	show("data", ep, 20000);
	show("data still", ep, 0);
	CHECK(recv(fd, buf, 4, 0) == 4);
	show("rest", ep, 0);
	CHECK(recv(fd, buf, 100, 0) == 6);
	show("read", ep, 0);
	result("mod", ctl_(ep, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLOUT, 2));
	show("out", ep, 0);
	ask(SEND);
	await_bytes(fd, 10);
	show("both", ep, 0);
	result("mod", ctl_(ep, EPOLL_CTL_MOD, fd, 0, 3));
	show("none", ep, 0);
	result("mod", ctl_(ep, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLRDHUP, 4));
	ask(SHUT);
	while (!(await(fd, POLLRDHUP) & POLLRDHUP))
		;
	show("shut", ep, 0);
	CHECK(recv(fd, buf, 100, 0) == 10);
	show("end", ep, 0);
	result("shutdown", shutdown(fd, SHUT_WR));
	show("both ends", ep, 20000);
	result("del", epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL));
	show("deleted", ep, 0);
	ask(END);
	close(fd);
	close(ep);
}

static void test_edge(void)
{
	int fd = connection(), ep = ep_new();
	char buf[100];

	result("add", ctl_(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, 1));
	show("first", ep, 20000);
	show("again", ep, 0);
	ask(SEND);
	show("data", ep, 20000);
	show("again", ep, 0);
	CHECK(recv(fd, buf, 4, 0) == 4);
	show("partly read", ep, 0);
	ask(SEND);
	await_bytes(fd, 16);
	show("more", ep, 20000);
	show("again", ep, 0);
	result("mod", ctl_(ep, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLET, 2));
	show("modified", ep, 20000);
	ask(SHUT);
	show("end", ep, 20000);
	show("again", ep, 0);
	ask(END);
	close(fd);
	close(ep);
}

static void test_oneshot(void)
{
	int fd = connection(), ep = ep_new();

	result("add", ctl_(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLONESHOT, 1));
	ask(SEND);
	show("data", ep, 20000);
	show("disabled", ep, 0);
	ask(SEND);
	settle();
	show("still disabled", ep, 0);
	result("mod", ctl_(ep, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLONESHOT, 2));
	show("armed", ep, 20000);
	show("disabled", ep, 0);
	ask(RESET);
	settle();
	show("reset while disabled", ep, 0);
	result("mod", ctl_(ep, EPOLL_CTL_MOD, fd, EPOLLOUT | EPOLLONESHOT, 3));
	show("armed", ep, 20000);
	ask(END);
	close(fd);
	close(ep);
}

static void test_errors(void)
{
	int fd = connection(), ep = ep_new();
	struct epoll_event ev = {.events = EPOLLIN};

	result("mod before add", epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev));
	result("del before add", epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL));
	result("add", epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	result("add again", epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	result("unknown op", epoll_ctl(ep, 77, fd, &ev));
	result("not an epoll", epoll_ctl(fd, EPOLL_CTL_ADD, ep, &ev));
	result("bad descriptor", epoll_ctl(ep, EPOLL_CTL_ADD, 9999, &ev));
	result("bad epoll", epoll_ctl(9999, EPOLL_CTL_ADD, fd, &ev));
	ev.events = EPOLLIN | EPOLLEXCLUSIVE;
	result("exclusive by mod", epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev));
	epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL);
	ev.events = EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT;
	result("exclusive oneshot", epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	ev.events = EPOLLIN | EPOLLEXCLUSIVE;
	result("exclusive", epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	ev.events = EPOLLIN;
	result("mod of exclusive", epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev));
	result("wait 0 events", epoll_wait(ep, &ev, 0, 0));
	result("wait on a socket", epoll_wait(fd, &ev, 1, 0));
	ask(END);
	close(fd);
	close(ep);
}

/* Reset and half-closes, as masks. */
static void test_masks(void)
{
	int fd = connection(), ep = ep_new();

	ctl_(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP, 1);
	show("open", ep, 0);
	result("shutdown", shutdown(fd, SHUT_RD));
	show("no more reading", ep, 0);
	result("shutdown", shutdown(fd, SHUT_WR));
	show("nor writing", ep, 0);
	ask(END);
	close(fd);
	close(ep);
}

static void test_mask_reset(void)
{
	int fd = connection(), ep = ep_new(), err;
	socklen_t len = sizeof(err);

	ctl_(ep, EPOLL_CTL_ADD, fd, 0, 1);
	ask(RESET);
	show("reset, nothing asked for", ep, 20000);
	ctl_(ep, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP, 1);
	show("reset", ep, 0);
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
	show("error taken", ep, 0);
	ask(END);
	close(fd);
	close(ep);
}

/* Our sockets, pipes and eventfds in one instance; neither side keeps the other out. */
static void test_mixed(void)
{
	int fd = connection(), ep = ep_new(), p[2], e = eventfd(0, EFD_NONBLOCK), i, tas_seen = 0,
	    pipe_seen = 0;
	struct epoll_event ev[1];
	uint64_t one = 1;

	CHECK(pipe(p) == 0);
	ctl_(ep, EPOLL_CTL_ADD, p[0], EPOLLIN, 1);
	ctl_(ep, EPOLL_CTL_ADD, fd, EPOLLIN, 2);
	ctl_(ep, EPOLL_CTL_ADD, e, EPOLLIN, 3);
	show("idle", ep, 0);
	CHECK(write(e, &one, sizeof(one)) == sizeof(one));
	show("eventfd", ep, 20000);
	CHECK(read(e, &one, sizeof(one)) == sizeof(one));
	ask(SEND);
	await_bytes(fd, 10);
	CHECK(write(p[1], "x", 1) == 1);
	for (i = 0; i < 2000 && (tas_seen == 0 || pipe_seen == 0); i++) {
		CHECK(epoll_wait(ep, ev, 1, 20000) == 1);
		tas_seen += ev[0].data.u64 == 2;
		pipe_seen += ev[0].data.u64 == 1;
	}
	out("one at a time: %s %s", tas_seen ? "socket" : "-", pipe_seen ? "pipe" : "-");
	close(p[0]);
	close(p[1]);
	show("socket", ep, 20000);
	close(fd);
	show("closed", ep, 0);
	ask(END);
	close(ep);
	close(e);
}

/* The set forgets a description with its last descriptor, and not before. */
static void test_dup(void)
{
	int fd = connection(), ep = ep_new(), d = dup(fd);
	char buf[10];

	ctl_(ep, EPOLL_CTL_ADD, fd, EPOLLIN, 1);
	result("add dup", ctl_(ep, EPOLL_CTL_ADD, d, EPOLLIN, 2));
	ask(SEND);
	show("both", ep, 20000);
	result("del", epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL));
	show("dup", ep, 0);
	result("recv", recv(d, buf, 10, 0));
	show("read", ep, 0);
	close(fd);
	ask(SEND);
	show("after close of one", ep, 20000);
	close(d);
	show("after close of both", ep, 0);
	ask(END);
	close(ep);
}

static void test_listener(void)
{
	int l = listen_here(SOCK_NONBLOCK, 16), ep = ep_new(), fd;

	result("add", ctl_(ep, EPOLL_CTL_ADD, l, EPOLLIN, 7));
	show("idle", ep, 0);
	ask(CONNECT);
	show("connection", ep, 20000);
	show("still", ep, 0);
	fd = accept(l, NULL, NULL);
	CHECK(fd >= 0);
	show("accepted", ep, 0);
	result("accept", accept(l, NULL, NULL));
	ctl_(ep, EPOLL_CTL_DEL, l, 0, 0);
	result("add exclusive", ctl_(ep, EPOLL_CTL_ADD, l, EPOLLIN | EPOLLEXCLUSIVE, 8));
	close(fd);
	ask(CONNECT);
	show("connection", ep, 20000);
	ctl_(ep, EPOLL_CTL_DEL, l, 0, 0);
	show("deleted", ep, 0);
	ctl_(ep, EPOLL_CTL_ADD, l, EPOLLIN | EPOLLET, 9);
	show("edge", ep, 20000);
	show("again", ep, 0);
	fd = accept(l, NULL, NULL);
	CHECK(fd >= 0);
	close(fd);
	ask(CONNECT);
	show("edge", ep, 20000);
	ctl_(ep, EPOLL_CTL_MOD, l, EPOLLIN | EPOLLONESHOT, 10);
	show("oneshot", ep, 20000);
	show("again", ep, 0);
	fd = accept(l, NULL, NULL);
	close(fd);
	ask(END);
	close(l);
	show("closed", ep, 0);
	close(ep);
}

/* Added before it is connected: then it behaves as what it becomes. */
static void test_add_early(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), ep = ep_new();
	struct sockaddr_in sa = address(true, hear());
	char buf[10];

	result("add", ctl_(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT, 1));
	show("unconnected", ep, 0);
	CHECK(connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0 || errno == EINPROGRESS);
	show("connected", ep, 20000);
	tell(0);
	await_bytes(fd, 5);
	show("data", ep, 20000);
	result("recv", recv(fd, buf, 10, 0));
	result("mod", ctl_(ep, EPOLL_CTL_MOD, fd, EPOLLIN, 1));
	show("read", ep, 0);
	tell(0);
	show("end", ep, 20000);
	close(fd);
	close(ep);
}

static void peer_add_early(void)
{
	int fd = accepted();

	hear();
	say_to(fd, "hello");
	hear();
	close(fd);
}

static void test_connect_epoll(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), ep = ep_new(), err;
	struct sockaddr_in sa = address(true, 1);
	socklen_t len = sizeof(err);

	connect(fd, (struct sockaddr *)&sa, sizeof(sa));
	result("add", ctl_(ep, EPOLL_CTL_ADD, fd, EPOLLOUT | EPOLLET, 1));
	show("refused", ep, 20000);
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
	out("SO_ERROR %s", strerrorname_np(err));
	close(fd);
	close(ep);
	tell(0);
}

static void peer_nothing(void)
{
	hear();
}

/* Not writable until the peer has read; level and edge. */
static void test_writable(void)
{
	int fd = connection(), lt = ep_new(), et = ep_new(), n = 0;
	static char buf[65536];
	ssize_t r;

	nonblock(fd);
	ctl_(lt, EPOLL_CTL_ADD, fd, EPOLLOUT, 1);
	ctl_(et, EPOLL_CTL_ADD, fd, EPOLLOUT | EPOLLET, 2);
	show("level", lt, 0);
	show("edge", et, 0);
	for (;;) {
		while ((r = send(fd, buf, sizeof(buf), 0)) > 0)
			n += (int)r;
		CHECK(errno == EAGAIN);
		if (poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, 200) == 0)
			break;
	}
	while (epoll_wait(et, &(struct epoll_event){0}, 1, 0) > 0)
		;
	show("level, full", lt, 0);
	show("edge, full", et, 0);
	tell(READ);
	tell(n);
	show("level", lt, 20000);
	show("edge", et, 20000);
	hear();
	ask(END);
	close(fd);
	close(lt);
	close(et);
}

/* Two instances watch one socket, and a third watches an instance. */
static void test_nested(void)
{
	int fd = connection(), a = ep_new(), b = ep_new(), outer = ep_new();
	struct pollfd p = {.fd = a, .events = POLLIN};
	char buf[10];

	ctl_(a, EPOLL_CTL_ADD, fd, EPOLLIN, 1);
	ctl_(b, EPOLL_CTL_ADD, fd, EPOLLIN, 2);
	result("nest", ctl_(outer, EPOLL_CTL_ADD, a, EPOLLIN, 3));
	show("outer idle", outer, 0);
	result("poll idle", poll(&p, 1, 0));
	ask(SEND);
	show("outer", outer, 20000);
	result("poll", poll(&p, 1, 20000));
	show("a", a, 0);
	show("b", b, 20000);
	CHECK(recv(fd, buf, 10, 0) == 10);
	show("a read", a, 0);
	show("b read", b, 0);
	result("poll read", poll(&p, 1, 0));
	ask(SEND);
	show("outer", outer, 20000);
	ask(END);
	close(fd);
	close(a);
	close(b);
	close(outer);
}

/* More ready than asked for: all come in turn. */
static void test_max_events(void)
{
	int l = listen_here(0, 16), fds[5], ep = ep_new(), i, n, seen = 0;
	struct epoll_event ev[2];

	for (i = 0; i < 5; i++) {
		hear();
		fds[i] = accept(l, NULL, NULL);
		CHECK(fds[i] >= 0);
		ctl_(ep, EPOLL_CTL_ADD, fds[i], EPOLLOUT, (uint64_t)i);
	}
	for (i = 0; i < 10; i++) {
		n = epoll_wait(ep, ev, 2, 1000);
		CHECK(n == 2);
		seen |= 1 << ev[0].data.u64 | 1 << ev[1].data.u64;
	}
	out("seen %#x", (unsigned)seen);
	for (i = 0; i < 5; i++)
		close(fds[i]);
	show("closed", ep, 0);
	tell(0);
	close(l);
	close(ep);
}

static void peer_five(void)
{
	struct sockaddr_in sa = address(false, hear());
	int i, fd;

	for (i = 0; i < 5; i++) {
		fd = socket(AF_INET, SOCK_STREAM, 0);
		CHECK(connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0);
		tell(0);
	}
	hear();
}

static void test_poll(void)
{
	int fd = connection(), pi[2];
	struct pollfd p[4];
	char buf[100];

	CHECK(pipe(pi) == 0);
	p[0] = (struct pollfd){.fd = fd, .events = POLLIN};
	p[1] = (struct pollfd){.fd = pi[0], .events = POLLIN};
	p[2] = (struct pollfd){.fd = -1, .events = POLLIN};
	p[3] = (struct pollfd){.fd = fd, .events = POLLOUT};
	result("poll", poll(p, 3, 0));
	result("poll", poll(p, 3, 30));
	result("ppoll", ppoll(p, 3, &zero, NULL));
	result("poll", poll(p, 4, 20000));
	out("%s %s %s %s", bits((unsigned)p[0].revents), bits((unsigned)p[1].revents),
		bits((unsigned)p[2].revents), bits((unsigned)p[3].revents));
	CHECK(write(pi[1], "x", 1) == 1);
	result("pipe", poll(p, 3, 20000));
	out("%s %s", bits((unsigned)p[0].revents), bits((unsigned)p[1].revents));
	ask(SEND);
	await_bytes(fd, 10);
	result("both", poll(p, 3, 20000));
	out("%s %s", bits((unsigned)p[0].revents), bits((unsigned)p[1].revents));
	CHECK(read(pi[0], buf, 1) == 1);
	result("socket", poll(p, 3, 20000));
	out("%s %s", bits((unsigned)p[0].revents), bits((unsigned)p[1].revents));
	CHECK(recv(fd, buf, 100, 0) == 10);
	p[2].fd = 9999;
	result("bad", poll(p, 3, 20000));
	out("%s", bits((unsigned)p[2].revents));
	p[0].events = 0;
	result("no events", poll(p, 1, 0));
	ask(RESET);
	result("reset", poll(p, 1, 20000));
	out("%s", bits((unsigned)p[0].revents));
	ask(END);
	close(fd);
}

static void test_select(void)
{
	int fd = connection(), pi[2];
	struct timeval tv = {0, 20000};
	fd_set r, w, x;
	char buf[100];

	CHECK(pipe(pi) == 0);
	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_ZERO(&x);
	FD_SET(fd, &r);
	FD_SET(pi[0], &r);
	result("select", select(64, &r, NULL, NULL, &tv));
	out("left %ld %ld set %d %d", (long)tv.tv_sec, (long)tv.tv_usec, FD_ISSET(fd, &r),
		FD_ISSET(pi[0], &r));
	FD_SET(fd, &r);
	FD_SET(fd, &w);
	FD_SET(fd, &x);
	tv = (struct timeval){20, 0};
	result("writable", select(64, &r, &w, &x, &tv));
	out("%d %d %d", FD_ISSET(fd, &r), FD_ISSET(fd, &w), FD_ISSET(fd, &x));
	ask(SEND);
	await_bytes(fd, 10);
	FD_SET(fd, &r);
	FD_SET(pi[0], &r);
	result("readable", pselect(64, &r, NULL, NULL, &(struct timespec){20, 0}, NULL));
	out("%d %d", FD_ISSET(fd, &r), FD_ISSET(pi[0], &r));
	CHECK(recv(fd, buf, 100, 0) == 10);
	ask(SHUT);
	FD_SET(fd, &r);
	result("end", select(fd + 1, &r, NULL, NULL, NULL));
	tv = (struct timeval){-1, 0};
	result("negative", select(fd + 1, &r, NULL, NULL, &tv));
	FD_SET(63, &r);
	result("bad", select(64, &r, NULL, NULL, NULL));
	ask(END);
	close(fd);
}

static void test_poll_listener(void)
{
	int l = listen_here(0, 16), fd;
	struct pollfd p = {.fd = l, .events = POLLIN};
	fd_set r;

	result("idle", poll(&p, 1, 10));
	ask(CONNECT);
	result("connection", poll(&p, 1, 20000));
	out("%s", bits((unsigned)p.revents));
	fd = accept(l, NULL, NULL);
	CHECK(fd >= 0);
	result("accepted", poll(&p, 1, 0));
	FD_ZERO(&r);
	FD_SET(l, &r);
	tell(CONNECT);
	result("select", select(l + 1, &r, NULL, NULL, NULL));
	hear();
	result("del", close(accept(l, NULL, NULL)));
	ask(END);
	close(fd);
	close(l);
}

static const struct tcase cases[] = {
	{"level", test_level, peer_steps},
	{"edge", test_edge, peer_steps},
	{"oneshot", test_oneshot, peer_steps},
	{"errors", test_errors, peer_steps},
	{"masks", test_masks, peer_steps},
	{"mask_reset", test_mask_reset, peer_steps},
	{"mixed", test_mixed, peer_steps},
	{"dup", test_dup, peer_steps},
	{"listener", test_listener, peer_steps},
	{"add_early", test_add_early, peer_add_early},
	{"connect_epoll", test_connect_epoll, peer_nothing},
	{"writable", test_writable, peer_steps},
	{"nested", test_nested, peer_steps},
	{"max_events", test_max_events, peer_five},
	{"poll", test_poll, peer_steps},
	{"select", test_select, peer_steps},
	{"poll_listener", test_poll_listener, peer_steps},
};

int main(int argc, char **argv)
{
	return RUN(argc, argv, cases);
}
