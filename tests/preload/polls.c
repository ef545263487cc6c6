/*
 * polls.c - poll() and select() with what is unusual in a set: nothing, negative and closed descriptors, one twice, many, the kernel's
 * among ours; their time-outs and signal masks; and epoll sets with wrong requests, in sets, in poll() and select().
 */
#include "steps.h"

static volatile sig_atomic_t handled;

static void on_signal(int sig)
{
	(void)sig;
	handled++;
}

static void show(const char *label, int r, const struct pollfd *p, int n)
{
	int i;

	result(label, r);
	for (i = 0; i < n; i++)
		out("%s [%d] %s", label, i, bits((unsigned short)p[i].revents));
}

/* The first connection has bytes to read, the second nothing; both have room. */
static void two(int *a, int *b)
{
	int l = listen_here(0, 4);

	*a = connection(l, 0);
	*b = connection(l, 1);
	ask(SEND, 0);
	await_bytes(*a, 10);
	close(l);
}

static void both_over(int a, int b)
{
	close(a);
	close(b);
	ask(END, 0);
}

static void test_strange_members(void)
{
	int a, b, gone;
	struct pollfd p[6];

	two(&a, &b);
	gone = dup(a);
	close(gone);
	p[0] = (struct pollfd){.fd = -1, .events = POLLIN, .revents = 7};
	p[1] = (struct pollfd){.fd = gone, .events = POLLIN};
	p[2] = (struct pollfd){.fd = a, .events = POLLIN};
	p[3] = (struct pollfd){.fd = a, .events = POLLOUT};
	p[4] = (struct pollfd){.fd = b, .events = 0, .revents = 7};
	p[5] = (struct pollfd){.fd = ~b, .events = POLLIN};
	show("poll", poll(p, 6, 0), p, 6);
	show("ppoll", ppoll(p, 6, NULL, NULL), p, 6);
	both_over(a, b);
}

static void test_nobody(void)
{
	volatile nfds_t huge = 1u << 30;
	struct timespec ts = {0, 1000000}, wrong = {0, 1000000000}, negative = {-1, 0};
	struct pollfd p;
	int a, b;

	two(&a, &b);
	p = (struct pollfd){.fd = b, .events = POLLIN};
	show("at once", poll(&p, 1, 0), &p, 1);
	show("soon", poll(&p, 1, 10), &p, 1);
	show("ppoll", ppoll(&p, 1, &ts, NULL), &p, 1);
	show("wrong", ppoll(&p, 1, &wrong, NULL), &p, 1);
	show("negative", ppoll(&p, 1, &negative, NULL), &p, 1);
	result("none", poll(NULL, 0, 1));
	result("too many", poll(&p, huge, 0));
	both_over(a, b);
}

static void test_many(void)
{
	static struct pollfd p[600];
	int a, b, ready = 0, i, fds[600];

	two(&a, &b);
	for (i = 0; i < 600; i++) {
		fds[i] = dup(i % 3 == 0 ? a : b);
		p[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
	}
	result("poll", poll(p, 600, -1));
	for (i = 0; i < 600; i++)
		ready += p[i].revents == POLLIN;
	out("ready %d", ready);
	for (i = 0; i < 600; i++)
		close(fds[i]);
	both_over(a, b);
}

/* Ours and the kernel's, whichever is ready. */
static void test_mixed(void)
{
	struct pollfd p[3];
	int a, b, pipes[2];

	two(&a, &b);
	CHECK(pipe(pipes) == 0);
	p[0] = (struct pollfd){.fd = pipes[0], .events = POLLIN};
	p[1] = (struct pollfd){.fd = b, .events = POLLIN};
	p[2] = (struct pollfd){.fd = a, .events = POLLIN | POLLRDHUP};
	show("ours", poll(p, 3, -1), p, 3);
	CHECK(write(pipes[1], "x", 1) == 1);
	show("both", poll(p, 3, -1), p, 3);
	show("kernel's", poll(p, 2, -1), p, 2);
	close(pipes[1]);
	show("hung up", poll(p, 1, -1), p, 1);
	close(pipes[0]);
	show("closed", poll(p, 3, -1), p, 3);
	both_over(a, b);
}

/* A signal that only the call lets in, in every call that has a mask. */
static void masked(const char *label, int (*wait)(int fd, const sigset_t *mask), int fd)
{
	struct sigaction sa = {.sa_handler = on_signal};
	sigset_t block, old, none;

	sigemptyset(&none);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR2);
	CHECK(sigaction(SIGUSR2, &sa, NULL) == 0);
	CHECK(sigprocmask(SIG_BLOCK, &block, &old) == 0);
	handled = 0;
	raise(SIGUSR2);
	out("%s before %d", label, handled);
	result(label, wait(fd, &block));
	out("%s blocked %d", label, handled);
	result(label, wait(fd, &none));
	out("%s let in %d", label, handled);
	CHECK(sigprocmask(SIG_SETMASK, &old, NULL) == 0);
}

static int by_ppoll(int fd, const sigset_t *mask)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return ppoll(&p, 1, &(struct timespec){0, 50000000}, mask);
}

static int by_pselect(int fd, const sigset_t *mask)
{
	fd_set r;

	FD_ZERO(&r);
	FD_SET(fd, &r);
	return pselect(fd + 1, &r, NULL, NULL, &(struct timespec){0, 50000000}, mask);
}

static int by_epoll(int fd, const sigset_t *mask)
{
	struct epoll_event ev = {.events = EPOLLIN};
	int ep = epoll_create1(0), r;

	CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0);
	r = epoll_pwait(ep, &ev, 1, 50, mask);
	close(ep);
	return r;
}

static int by_epoll_fine(int fd, const sigset_t *mask)
{
	struct epoll_event ev = {.events = EPOLLIN};
	int ep = epoll_create1(0), r;

	CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0);
	r = epoll_pwait2(ep, &ev, 1, &(struct timespec){0, 50000000}, mask);
	close(ep);
	return r;
}

static void test_masks(void)
{
	int a, b;

	two(&a, &b);
	masked("ppoll", by_ppoll, b);
	masked("pselect", by_pselect, b);
	masked("epoll_pwait", by_epoll, b);
	masked("epoll_pwait2", by_epoll_fine, b);
	both_over(a, b);
}

/* With something ready the signal stays where it is. */
static void test_masks_ready(void)
{
	int a, b;

	two(&a, &b);
	masked("ppoll", by_ppoll, a);
	masked("pselect", by_pselect, a);
	masked("epoll_pwait", by_epoll, a);
	masked("epoll_pwait2", by_epoll_fine, a);
	both_over(a, b);
}

static void select_once(const char *label, int n, int r, int w, int x)
{
	struct timeval tv = {0, 10000};
	fd_set s[3];

	FD_ZERO(&s[0]);
	s[1] = s[2] = s[0];
	FD_SET(r, &s[0]);
	FD_SET(w, &s[1]);
	FD_SET(x, &s[2]);
	result(label, select(n, &s[0], &s[1], &s[2], &tv));
	out("%s %d %d %d", label, FD_ISSET(r, &s[0]) != 0, FD_ISSET(w, &s[1]) != 0,
		FD_ISSET(x, &s[2]) != 0);
}

static void test_select(void)
{
	struct timeval negative = {-1, 0}, long_us = {0, 1500000}, none = {0, 0};
	int a, b, gone;
	fd_set s;

	two(&a, &b);
	select_once("ready", b + 1, a, b, a);
	select_once("not asked", a, a, b, b);
	select_once("only in", a + 1, a, a, a);
	gone = dup(b);
	close(gone);
	select_once("closed", gone + 1, gone, b, b);
	FD_ZERO(&s);
	FD_SET(b, &s);
	result("negative time", select(b + 1, &s, NULL, NULL, &negative));
	FD_SET(a, &s);
	result("many microseconds", select(b + 1, &s, NULL, NULL, &long_us));
	result("negative number", select(-1, &s, NULL, NULL, &none));
	result("nothing", select(0, NULL, NULL, NULL, &none));
	both_over(a, b);
}

static void test_epoll_wrong(void)
{
	struct epoll_event ev = {.events = EPOLLIN};
	volatile int minus = -1;
	int a, b, ep = epoll_create1(0), file = open("/proc/self/exe", O_RDONLY), gone;

	two(&a, &b);
	gone = dup(a);
	close(gone);
	result("create 0", epoll_create(0));
	result("create flags", epoll_create1(77));
	result("add", epoll_ctl(ep, EPOLL_CTL_ADD, a, &ev));
	result("again", epoll_ctl(ep, EPOLL_CTL_ADD, a, &ev));
	result("mod of none", epoll_ctl(ep, EPOLL_CTL_MOD, b, &ev));
	result("del of none", epoll_ctl(ep, EPOLL_CTL_DEL, b, NULL));
	result("request", epoll_ctl(ep, 77, a, &ev));
	result("closed", epoll_ctl(ep, EPOLL_CTL_ADD, gone, &ev));
	result("a file", epoll_ctl(ep, EPOLL_CTL_ADD, file, &ev));
	result("itself", epoll_ctl(ep, EPOLL_CTL_ADD, ep, &ev));
	result("no instance", epoll_ctl(a, EPOLL_CTL_ADD, b, &ev));
	result("wait there", epoll_wait(a, &ev, 1, 0));
	result("no room", epoll_wait(ep, &ev, 0, 0));
	result("negative room", epoll_wait(ep, &ev, minus, 0));
	ev.events = EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT;
	result("exclusive oneshot", epoll_ctl(ep, EPOLL_CTL_ADD, b, &ev));
	ev.events = EPOLLIN | EPOLLEXCLUSIVE;
	result("exclusive", epoll_ctl(ep, EPOLL_CTL_ADD, b, &ev));
	result("exclusive mod", epoll_ctl(ep, EPOLL_CTL_MOD, b, &ev));
	ev.events = EPOLLIN;
	result("mod of exclusive", epoll_ctl(ep, EPOLL_CTL_MOD, b, &ev));
	close(ep);
	close(file);
	both_over(a, b);
}

static void wait_shows(const char *label, int ep)
{
	struct epoll_event ev[4];
	int n = epoll_wait(ep, ev, 4, 10), i;
	unsigned name;

	result(label, n);
	for (name = 0; name < 5; name++) /* in whatever order they come */
		for (i = 0; i < n; i++)
			if (ev[i].data.u32 == name)
				out("%s %s of %u", label, bits(ev[i].events), name);
}

static void put(int ep, int fd, unsigned events, unsigned name)
{
	struct epoll_event ev = {.events = events, .data.u32 = name};

	result("put", epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
}

/* A set in a set in a set, level and edge; each polled and selected. */
static void test_sets_in_sets(void)
{
	int a, b, in = epoll_create1(0), mid = epoll_create1(0), outer = epoll_create1(0), i;
	char buf[10];

	two(&a, &b);
	put(in, a, EPOLLIN, 1);
	put(mid, in, EPOLLIN, 2);
	put(outer, mid, EPOLLIN | EPOLLET, 3);
	for (i = 0; i < 2; i++) {
		struct pollfd p[3] = {{.fd = in, .events = POLLIN | POLLOUT},
			{.fd = mid, .events = POLLIN}, {.fd = outer, .events = POLLIN}};

		show("poll", poll(p, 3, 0), p, 2);
		select_once("select", mid + 1, mid, mid, mid);
		wait_shows("outer", outer);
		wait_shows("outer", outer);
		wait_shows("mid", mid);
		wait_shows("in", in);
		CHECK(recv(a, buf, 10, MSG_WAITALL) == 10);
		wait_shows("mid empty", mid);
		wait_shows("in empty", in);
		ask(SEND, 0);
		await_bytes(a, 10);
	}
	result("loop",
		epoll_ctl(in, EPOLL_CTL_ADD, outer, &(struct epoll_event){.events = EPOLLIN}));
	close(in);
	wait_shows("gone", mid);
	close(mid);
	close(outer);
	both_over(a, b);
}

/* The same connection by two numbers in one set. */
static void test_copies_in_set(void)
{
	int a, b, ep = epoll_create1(0), copy;
	char buf[10];

	two(&a, &b);
	copy = dup(a);
	put(ep, a, EPOLLIN | EPOLLET, 1);
	put(ep, copy, EPOLLOUT | EPOLLET, 2);
	wait_shows("first", ep);
	wait_shows("no edge", ep);
	CHECK(recv(a, buf, 10, MSG_WAITALL) == 10);
	ask(SEND, 0);
	await_bytes(a, 10);
	wait_shows("edge", ep);
	close(a);
	wait_shows("one closed", ep);
	result("del of closed", epoll_ctl(ep, EPOLL_CTL_DEL, a, NULL));
	result("mod of copy", epoll_ctl(ep, EPOLL_CTL_MOD, copy,
				      &(struct epoll_event){.events = EPOLLIN, .data.u32 = 4}));
	wait_shows("copy", ep);
	close(copy);
	close(ep);
	both_over(-1, b);
}

/* Another thread sleeps in the set while it is changed. */
static void test_changed_meanwhile(void)
{
	struct epoll_event ev = {.events = EPOLLIN};
	int a, b, ep = epoll_create1(0);
	struct thread t = {.call = in_epoll, .fd = ep};
	char buf[10];

	two(&a, &b);
	CHECK(recv(a, buf, 10, MSG_WAITALL) == 10);
	start(&t);
	result("add", epoll_ctl(ep, EPOLL_CTL_ADD, a, &ev));
	out("sleeps %d", sleeps(&t));
	ev.events = EPOLLOUT;
	result("mod", epoll_ctl(ep, EPOLL_CTL_MOD, a, &ev));
	finish(&t);
	out("events %s", bits((unsigned)t.events));
	ev.events = EPOLLIN;
	result("mod", epoll_ctl(ep, EPOLL_CTL_MOD, a, &ev));
	start(&t);
	result("del", epoll_ctl(ep, EPOLL_CTL_DEL, a, NULL));
	ask(SEND, 0);
	out("sleeps %d", sleeps(&t));
	ask(SEND, 1);
	result("add", epoll_ctl(ep, EPOLL_CTL_ADD, b, &ev));
	finish(&t);
	out("events %s", bits((unsigned)t.events));
	close(ep);
	both_over(a, b);
}

static const struct tcase cases[] = {
	{"strange_members", test_strange_members, peer_steps},
	{"nobody", test_nobody, peer_steps},
	{"many", test_many, peer_steps},
	{"mixed", test_mixed, peer_steps},
	{"masks", test_masks, peer_steps},
	{"masks_ready", test_masks_ready, peer_steps},
	{"select", test_select, peer_steps},
	{"epoll_wrong", test_epoll_wrong, peer_steps},
	{"sets_in_sets", test_sets_in_sets, peer_steps},
	{"copies_in_set", test_copies_in_set, peer_steps},
	{"changed_meanwhile", test_changed_meanwhile, peer_steps},
};

int main(int argc, char **argv)
{
	return RUN(argc, argv, cases);
}
