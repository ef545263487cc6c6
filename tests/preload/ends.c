/*
 * ends.c - close() and shutdown() while another thread sleeps in a call on the same socket: close() is
 * not noticed by the sleeper, which goes on until what it waits for comes; shutdown() ends it.
 */
#include "steps.h"

static void in_recv(struct thread *t)
{
	t->r = recv(t->fd, t->buf, sizeof(t->buf), 0);
}

static void in_accept(struct thread *t)
{
	t->r = accept(t->fd, NULL, NULL);
	if (t->r >= 0)
		t->r = recv((int)t->r, t->buf, 10, MSG_WAITALL);
}

static void show(const char *label, struct thread *t)
{
	finish(t);
	errno = t->err;
	result(label, t->r);
	if (t->call == in_poll || t->call == in_epoll)
		out("%s %s", label, bits((unsigned)t->events));
	else if (t->r > 0)
		out("%s %.*s", label, (int)t->r, t->buf);
}

/* ---- close() ---- */

/* The number goes to a connection with other bytes at once: the sleeper has nothing to do with it. */
static void closed(void (*call)(struct thread *), int step)
{
	int l = listen_here(0, 16), next;
	struct thread t = {.call = call, .fd = connection(l, 0)};
	char buf[16];

	start(&t);
	ask(CONNECT, 1);
	CHECK(close(t.fd) == 0);
	next = accept(l, NULL, NULL);
	out("number is used again: %s", next == t.fd ? "yes" : "no");
	ask(SEND, 1);
	CHECK(recv(next, buf, 10, MSG_WAITALL) == 10);
	out("sleeper %s", sleeps(&t) ? "sleeps on" : "has ended");
	ask(step, 0);
	show("sleeper", &t);
	ask(END, 0);
	close(next);
	close(l);
}

static void test_close_recv(void)
{
	closed(in_recv, SEND);
}

static void test_close_recv_end(void)
{
	closed(in_recv, SHUT);
}

static void test_close_recv_reset(void)
{
	closed(in_recv, RESET);
}

/* Woken by the socket that it began with, poll() looks at the number. */
static void closed_poll(int step)
{
	int l = listen_here(0, 16);
	struct thread t = {.call = in_poll, .fd = connection(l, 0), .events = POLLIN | POLLRDHUP};

	start(&t);
	CHECK(close(t.fd) == 0);
	out("sleeper %s", sleeps(&t) ? "sleeps on" : "has ended");
	ask(OPEN, 0);
	ask(step, 0);
	show("sleeper", &t);
	ask(OVER, 0);
	ask(END, 0);
	close(l);
}

static void test_close_poll(void)
{
	closed_poll(SEND);
}

static void test_close_poll_end(void)
{
	closed_poll(SHUT);
}

/* The peer sees the end when the call that slept has returned, and not before. */
static void test_close_is_late(void)
{
	int l = listen_here(0, 16);
	struct thread t = {.call = in_recv, .fd = connection(l, 0)};

	start(&t);
	CHECK(close(t.fd) == 0);
	ask(OPEN, 0);
	ask(SEND, 0);
	show("sleeper", &t);
	ask(OVER, 0);
	out("and now it is over");
	ask(END, 0);
	close(l);
}

/* So does the process: as with any other socket, the peer sees an end and no reset. */
static void test_close_exit(void)
{
	int l = listen_here(0, 16), status;
	pid_t pid = fork();

	if (pid == 0) {
		struct thread t = {.call = in_recv, .fd = connection(l, 0)};

		start(&t);
		CHECK(close(t.fd) == 0);
		exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	out("child %d", status);
	ask(ENDED, 0);
	ask(END, 0);
	close(l);
}

/* A connection that is closed leaves the set; the thread waits for the others. */
static void test_close_in_set(void)
{
	int l = listen_here(0, 16), fd[2], i;
	struct thread t = {.call = in_epoll, .fd = epoll_create1(0)};
	struct epoll_event ev = {.events = EPOLLIN};

	for (i = 0; i < 2; i++) {
		fd[i] = connection(l, i);
		CHECK(epoll_ctl(t.fd, EPOLL_CTL_ADD, fd[i], &ev) == 0);
	}
	start(&t);
	CHECK(close(fd[0]) == 0);
	out("sleeper %s", sleeps(&t) ? "sleeps on" : "has ended");
	ask(SEND, 1);
	show("sleeper", &t);
	ask(END, 0);
	close(fd[1]);
	close(l);
	close(t.fd);
}

static void test_close_instance(void)
{
	int l = listen_here(0, 16), fd = connection(l, 0);
	struct thread t = {.call = in_epoll, .fd = epoll_create1(0)};
	struct epoll_event ev = {.events = EPOLLIN};

	CHECK(epoll_ctl(t.fd, EPOLL_CTL_ADD, fd, &ev) == 0);
	start(&t);
	CHECK(close(t.fd) == 0);
	out("sleeper %s", sleeps(&t) ? "sleeps on" : "has ended");
	ask(SEND, 0);
	show("sleeper", &t);
	ask(END, 0);
	close(fd);
	close(l);
}

static void test_close_accept(void)
{
	struct thread t = {.call = in_accept, .fd = listen_here(0, 16)};

	start(&t);
	CHECK(close(t.fd) == 0);
	out("sleeper %s", sleeps(&t) ? "sleeps on" : "has ended");
	ask(CONNECT, 0);
	ask(SEND, 0);
	show("sleeper", &t);
	ask(END, 0);
}

/* ---- shutdown() ---- */

static void shut(void (*call)(struct thread *), int how)
{
	int l = listen_here(0, 16);
	struct thread t = {.call = call, .fd = connection(l, 0), .events = POLLIN | POLLRDHUP};

	start(&t);
	result("shutdown", shutdown(t.fd, how));
	show("sleeper", &t);
	ask(END, 0);
	close(t.fd);
	close(l);
}

static void test_shut_recv(void)
{
	shut(in_recv, SHUT_RD);
}

static void test_shut_both_recv(void)
{
	shut(in_recv, SHUT_RDWR);
}

static void test_shut_poll(void)
{
	shut(in_poll, SHUT_RD);
}

static void test_shut_both_poll(void)
{
	shut(in_poll, SHUT_RDWR);
}

static void test_shut_in_set(void)
{
	int l = listen_here(0, 16), fd = connection(l, 0);
	struct thread t = {.call = in_epoll, .fd = epoll_create1(0)};
	struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET};

	CHECK(epoll_ctl(t.fd, EPOLL_CTL_ADD, fd, &ev) == 0);
	start(&t);
	result("shutdown", shutdown(fd, SHUT_RD));
	show("sleeper", &t);
	ask(END, 0);
	close(fd);
	close(l);
	close(t.fd);
}

static void test_shut_accept(void)
{
	struct thread t = {.call = in_accept, .fd = listen_here(0, 16)};

	start(&t);
	result("shutdown", shutdown(t.fd, SHUT_RDWR));
	show("sleeper", &t);
	ask(END, 0);
	close(t.fd);
}

static const struct tcase cases[] = {
	{"close_recv", test_close_recv, peer_steps},
	{"close_recv_end", test_close_recv_end, peer_steps},
	{"close_recv_reset", test_close_recv_reset, peer_steps},
	{"close_poll", test_close_poll, peer_steps},
	{"close_poll_end", test_close_poll_end, peer_steps},
	{"close_is_late", test_close_is_late, peer_steps},
	{"close_exit", test_close_exit, peer_steps},
	{"close_in_set", test_close_in_set, peer_steps},
	{"close_instance", test_close_instance, peer_steps},
	{"close_accept", test_close_accept, peer_steps},
	{"shut_recv", test_shut_recv, peer_steps},
	{"shut_both_recv", test_shut_both_recv, peer_steps},
	{"shut_poll", test_shut_poll, peer_steps},
	{"shut_both_poll", test_shut_both_poll, peer_steps},
	{"shut_in_set", test_shut_in_set, peer_steps},
	{"shut_accept", test_shut_accept, peer_steps},
};

int main(int argc, char **argv)
{
	return RUN(argc, argv, cases);
}
