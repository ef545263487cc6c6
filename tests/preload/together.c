/*
 * together.c - several threads wait for one connection or listener in different ways, and one begins
 * while the others sleep: each is told. No wait has a limit of its own, since a call whose time is over
 * looks once more: who is not told hangs, and the harness ends it.
 */
#include "steps.h"

static void in_select(struct thread *t)
{
	fd_set r;

	FD_ZERO(&r);
	FD_SET(t->fd, &r);
	t->r = select(t->fd + 1, &r, NULL, NULL, NULL);
	t->events = t->r == 1 && FD_ISSET(t->fd, &r) ? POLLIN : 0;
}

static void in_accept(struct thread *t)
{
	t->r = accept(t->fd, NULL, NULL);
	if (t->r >= 0)
		t->r = close((int)t->r);
}

/* A look that takes nothing away from the others. */
static void in_recv(struct thread *t)
{
	t->r = recv(t->fd, t->buf, sizeof(t->buf), MSG_PEEK);
}

static void watch(int ep, int fd, uint32_t events)
{
	struct epoll_event ev = {.events = events};

	result("add", epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
}

static void show(const char *label, struct thread *t)
{
	finish(t);
	errno = t->err;
	result(label, t->r);
	if (t->call != in_recv && t->call != in_accept)
		out("%s %s", label, bits((unsigned)t->events));
}

static void told(const char *label, int ep)
{
	struct epoll_event ev = {.events = 0};

	result(label, epoll_wait(ep, &ev, 1, -1));
	out("%s %s", label, bits(ev.events));
}

/* ---- a thread sleeps in another way; then an instance begins to watch ---- */

static void added_beside(void (*call)(struct thread *), uint32_t events)
{
	int l = listen_here(0, 16), fd = connection(l, 0), ep = epoll_create1(0);
	struct thread t = {.call = call, .fd = fd, .events = POLLIN};

	start(&t);
	watch(ep, fd, events);
	/* A round trip: the service knows where news are to go now. */
	CHECK(epoll_wait(ep, &(struct epoll_event){.events = 0}, 1, 20) == 0);
	ask(SEND, 0);
	show("sleeper", &t);
	told("instance", ep);
	ask(END, 0);
	close(fd);
	close(l);
	close(ep);
}

static void test_poll_then_add(void)
{
	added_beside(in_poll, EPOLLIN);
}

static void test_select_then_add(void)
{
	added_beside(in_select, EPOLLIN | EPOLLET);
}

static void test_recv_then_add(void)
{
	added_beside(in_recv, EPOLLIN);
}

static void listener_beside(void (*call)(struct thread *))
{
	int l = listen_here(0, 16), ep = epoll_create1(0);
	struct thread t = {.call = call, .fd = l, .events = POLLIN};

	start(&t);
	watch(ep, l, EPOLLIN | EPOLLET);
	ask(CONNECT, 0);
	show("sleeper", &t);
	ask(CONNECT, 1);
	told("instance", ep);
	ask(END, 0);
	close(l);
	close(ep);
}

static void test_poll_listener_then_add(void)
{
	listener_beside(in_poll);
}

static void test_accept_then_add(void)
{
	listener_beside(in_accept);
}

/* ---- two instances, each with a thread asleep ---- */

static void two_sets(bool dupped, uint32_t a, uint32_t b)
{
	int l = listen_here(0, 16), fd = connection(l, 0),
	    ep[2] = {epoll_create1(0), epoll_create1(0)}, other = dupped ? dup(fd) : fd, i;
	struct thread t[2];

	watch(ep[0], fd, a);
	for (i = 0; i < 2; i++) {
		t[i] = (struct thread){.call = in_epoll, .fd = ep[i]};
		start(&t[i]);
	}
	watch(ep[1], other, b);
	ask(SEND, 0);
	show("first", &t[0]);
	show("second", &t[1]);
	result("deleted", epoll_ctl(ep[1], EPOLL_CTL_DEL, other, NULL));
	CHECK(recv(fd, t[0].buf, sizeof(t[0].buf), 0) == 10);
	start(&t[0]);
	ask(SEND, 0);
	show("first alone", &t[0]);
	ask(END, 0);
	if (dupped)
		close(other);
	close(fd);
	close(l);
	close(ep[0]);
	close(ep[1]);
}

static void test_two_sets(void)
{
	two_sets(false, EPOLLIN, EPOLLIN);
}

static void test_two_sets_edge(void)
{
	two_sets(false, EPOLLIN | EPOLLET, EPOLLIN | EPOLLET);
}

static void test_two_sets_dup(void)
{
	two_sets(true, EPOLLIN | EPOLLET, EPOLLIN);
}

/* ---- the instance itself is polled ---- */

/* Nothing is ready in it: it is not readable, whatever woke its threads before. */
static void test_poll_instance(void)
{
	int l = listen_here(0, 16), fd = connection(l, 0), ep = epoll_create1(0);
	struct pollfd p = {.fd = ep, .events = POLLIN};
	char buf[16];

	watch(ep, fd, EPOLLIN);
	result("idle", poll(&p, 1, 0));
	ask(SEND, 0);
	result("data", poll(&p, 1, -1));
	CHECK(recv(fd, buf, sizeof(buf), 0) == 10);
	result("read", poll(&p, 1, 0));
	ask(END, 0);
	close(fd);
	close(l);
	close(ep);
}

/* Empty when the thread began to poll it. */
static void test_poll_empty_instance(void)
{
	int l = listen_here(0, 16), fd = connection(l, 0), ep = epoll_create1(0);
	struct thread t = {.call = in_poll, .fd = ep, .events = POLLIN};

	start(&t);
	watch(ep, fd, EPOLLIN);
	CHECK(epoll_wait(ep, &(struct epoll_event){.events = 0}, 1, 20) == 0);
	ask(SEND, 0);
	show("sleeper", &t);
	ask(END, 0);
	close(fd);
	close(l);
	close(ep);
}

/* What the thread polls becomes ready by a change of what is asked for. */
static void test_poll_modified_instance(void)
{
	int l = listen_here(0, 16), fd = connection(l, 0), ep = epoll_create1(0);
	struct thread t = {.call = in_poll, .fd = ep, .events = POLLIN};
	struct epoll_event ev = {.events = EPOLLOUT};

	watch(ep, fd, EPOLLIN);
	start(&t);
	result("mod", epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev));
	show("sleeper", &t);
	ask(END, 0);
	close(fd);
	close(l);
	close(ep);
}

/* Armed again by another thread while this one is about to sleep, many times. */
static void rearmed(struct thread *t)
{
	struct epoll_event ev;
	int fd = t->events;

	for (t->r = 0; t->r < 20000; t->r++) {
		if (epoll_wait(t->fd, &ev, 1, -1) != 1)
			break;
		CHECK(write(fd, "x", 1) == 1);
	}
}

static void test_rearmed(void)
{
	int l = listen_here(0, 16), fd = connection(l, 0), ep = epoll_create1(0), p[2], i;
	struct epoll_event ev = {.events = EPOLLIN | EPOLLONESHOT};
	struct thread t = {.call = rearmed, .fd = ep};
	char buf[1];

	CHECK(pipe(p) == 0);
	t.events = p[1];
	CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0);
	start(&t);
	ask(SEND, 0);
	for (i = 0; i < 20000 && read(p[0], buf, 1) == 1; i++)
		CHECK(epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev) == 0);
	finish(&t);
	out("events %ld", t.r);
	ask(END, 0);
	close(fd);
	close(l);
	close(ep);
	close(p[0]);
	close(p[1]);
}

static const struct tcase cases[] = {
	{"poll_then_add", test_poll_then_add, peer_steps},
	{"select_then_add", test_select_then_add, peer_steps},
	{"recv_then_add", test_recv_then_add, peer_steps},
	{"poll_listener_then_add", test_poll_listener_then_add, peer_steps},
	{"accept_then_add", test_accept_then_add, peer_steps},
	{"two_sets", test_two_sets, peer_steps},
	{"two_sets_edge", test_two_sets_edge, peer_steps},
	{"two_sets_dup", test_two_sets_dup, peer_steps},
	{"poll_instance", test_poll_instance, peer_steps},
	{"poll_empty_instance", test_poll_empty_instance, peer_steps},
	{"poll_modified_instance", test_poll_modified_instance, peer_steps},
	{"rearmed", test_rearmed, peer_steps},
};

int main(int argc, char **argv)
{
	return RUN(argc, argv, cases);
}
