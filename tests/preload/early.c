/*
 * early.c - what a program does with epoll before its first TCP socket. One case: the next would find the service's memory there already.
 */
#include "steps.h"

static int set_of(int fd)
{
	struct epoll_event ev = {.events = EPOLLIN};
	int ep = epoll_create1(EPOLL_CLOEXEC);

	CHECK(ep >= 0);
	if (fd >= 0)
		result("nest", epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	return ep;
}

/* A set in a set in a set, and only then sockets: who sleeps in the outermost wakes for them. */
static void test_nested(void)
{
	int inner = set_of(-1), middle = set_of(inner), outer = set_of(middle), i, l, fd[CONNS];
	struct epoll_event ev = {.events = EPOLLIN};
	struct thread t = {.call = in_epoll, .fd = outer};
	char buf[10];

	l = listen_here(0, 16);
	for (i = 0; i < CONNS; i++) {
		fd[i] = connection(l, i);
		result("add", epoll_ctl(inner, EPOLL_CTL_ADD, fd[i], &ev));
	}
	for (i = 0; i < CONNS; i++) {
		start(&t);
		ask(SEND, i);
		finish(&t);
		out("woke %ld %s", t.r, bits((unsigned)t.events));
		CHECK(recv(fd[i], buf, sizeof(buf), MSG_WAITALL) == sizeof(buf));
		result("ready after reading", epoll_wait(outer, &ev, 1, 0));
	}
	result("mod", epoll_ctl(middle, EPOLL_CTL_MOD, inner, &ev));
	result("del", epoll_ctl(outer, EPOLL_CTL_DEL, middle, NULL));
	ask(SEND, 0);
	result("out of it", epoll_wait(outer, &ev, 1, 0));
	ask(CONNECT, 0);
	close(accept(l, NULL, NULL));
	ask(END, 0);
}

static const struct tcase cases[] = {
	{"nested", test_nested, peer_steps},
};

int main(int argc, char **argv)
{
	return RUN(argc, argv, cases);
}
