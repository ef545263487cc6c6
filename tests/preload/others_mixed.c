/*
 * others_mixed.c - a TCP connection and sockets of other kinds, a pipe, an event and a timer together: in one epoll instance, in
 * one poll() and select(), and one taking the other's number.
 */
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include "steps.h"

static int listener, tcp;

enum { TCP, UDP, UNIX, PIPE, EVENT, TIMER, KINDS };

static const char *const kind_names[KINDS] = {"tcp", "udp", "unix", "pipe", "event", "timer"};

struct mix {
	int fd[KINDS], other[KINDS];
	struct sockaddr_storage sa;
	socklen_t len;
};

static void open_mix(struct mix *x)
{
	struct sockaddr_in loopback = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int pair[2];

	memset(x, 0, sizeof(*x));
	listener = listen_here(0, 16);
	x->fd[TCP] = tcp = connection(listener, 0);
	x->fd[UDP] = socket(AF_INET, SOCK_DGRAM, 0);
	CHECK(bind(x->fd[UDP], (struct sockaddr *)&loopback, sizeof(loopback)) == 0);
	x->len = sizeof(x->sa);
	CHECK(getsockname(x->fd[UDP], (struct sockaddr *)&x->sa, &x->len) == 0);
	x->other[UDP] = socket(AF_INET, SOCK_DGRAM, 0);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	x->fd[UNIX] = pair[0];
	x->other[UNIX] = pair[1];
	CHECK(pipe(pair) == 0);
	x->fd[PIPE] = pair[0];
	x->other[PIPE] = pair[1];
	x->fd[EVENT] = eventfd(0, EFD_NONBLOCK);
	x->fd[TIMER] = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
}

static void close_mix(struct mix *x)
{
	int k;

	for (k = 1; k < KINDS; k++) {
		close(x->fd[k]);
		if (x->other[k] != 0)
			close(x->other[k]);
	}
	ask(END, 0);
	close(tcp);
	close(listener);
}

static void make_ready(struct mix *x, int k)
{
	struct itimerspec now = {.it_value = {0, 1}};
	uint64_t one = 1;

	switch (k) {
	case TCP:
		ask(SEND, 0);
		break;
	case UDP:
		CHECK(sendto(x->other[UDP], "0123456789", 10, 0, (struct sockaddr *)&x->sa,
			      x->len) == 10);
		break;
	case UNIX:
	case PIPE:
		CHECK(write(x->other[k], "0123456789", 10) == 10);
		break;
	case EVENT:
		CHECK(write(x->fd[EVENT], &one, 8) == 8);
		break;
	default:
		CHECK(timerfd_settime(x->fd[TIMER], 0, &now, NULL) == 0);
	}
	CHECK(await(x->fd[k], POLLIN) == POLLIN);
}

static void drain(struct mix *x, int k)
{
	char buf[16];

	CHECK(read(x->fd[k], buf, k == EVENT || k == TIMER ? 8 : 10) > 0);
}

/*
 * What the set tells until nothing new comes: a call need not tell of all that is ready, and over tas one in a row tells of
 * either side.
 */
static void say_events(const char *label, int ep)
{
	unsigned seen[KINDS] = {0}, all = 0;
	struct epoll_event ev[KINDS];
	int i, n, quiet;

	for (quiet = 0; quiet < 20; quiet++) {
		n = epoll_wait(ep, ev, KINDS, 1);
		CHECK(n >= 0);
		usleep(100);
		for (i = 0; i < n; i++) {
			if (seen[ev[i].data.u32] != ev[i].events)
				quiet = 0;
			seen[ev[i].data.u32] = ev[i].events;
		}
	}
	for (i = 0; i < KINDS; i++) {
		if (seen[i] != 0)
			out("%s %s %s", label, kind_names[i], bits(seen[i]));
		all += seen[i] != 0;
	}
	out("%s %u in all", label, all);
}

static void one_set(uint32_t flags)
{
	struct epoll_event ev;
	struct mix x;
	int ep = epoll_create1(0), k;

	open_mix(&x);
	for (k = 0; k < KINDS; k++) {
		ev = (struct epoll_event){.events = EPOLLIN | flags, .data.u32 = (uint32_t)k};
		CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, x.fd[k], &ev) == 0);
	}
	say_events("idle", ep);
	for (k = 0; k < KINDS; k++) {
		make_ready(&x, k);
		say_events("one more", ep);
	}
	say_events("again", ep);
	for (k = 0; k < KINDS; k++)
		drain(&x, k);
	say_events("drained", ep);
	for (k = 0; k < KINDS; k++)
		make_ready(&x, k);
	say_events("once more", ep);
	close(ep);
	close_mix(&x);
}

static void test_set_level(void)
{
	one_set(0);
}

static void test_set_edge(void)
{
	one_set(EPOLLET);
}

static void test_set_oneshot(void)
{
	one_set(EPOLLONESHOT);
}

static void test_poll_select(void)
{
	struct pollfd p[KINDS];
	struct mix x;
	fd_set r;
	int k, max = 0;

	open_mix(&x);
	for (k = 0; k < KINDS; k += 2)
		make_ready(&x, k);
	FD_ZERO(&r);
	for (k = 0; k < KINDS; k++) {
		p[k] = (struct pollfd){.fd = x.fd[k], .events = POLLIN};
		FD_SET(x.fd[k], &r);
		max = x.fd[k] > max ? x.fd[k] : max;
	}
	result("poll", poll(p, KINDS, -1));
	result("select", select(max + 1, &r, NULL, NULL, NULL));
	for (k = 0; k < KINDS; k++)
		out("%s %s %d", kind_names[k], bits((unsigned)p[k].revents),
			FD_ISSET(x.fd[k], &r) != 0);
	close_mix(&x);
}

static void say_protocol(int fd)
{
	int v = -1;
	socklen_t len = sizeof(v);

	result("protocol", getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &v, &len));
	out("is %d", v);
}

/* One number is a connection, then a UDP socket, then a connection again. */
static void test_numbers(void)
{
	struct mix x;
	char buf[32];
	int spare, n;

	open_mix(&x);
	spare = dup(tcp);
	n = tcp;
	result("udp over tcp", dup2(x.fd[UDP], n) == n ? 0 : -1);
	make_ready(&x, UDP);
	result("recv", recv(n, buf, sizeof(buf), 0));
	say_protocol(n);
	result("tcp over udp", dup2(spare, n) == n ? 0 : -1);
	say_protocol(n);
	make_ready(&x, TCP);
	result("recv", recv(n, buf, sizeof(buf), 0));
	result("tcp over unix", dup2(spare, x.other[UNIX]) == x.other[UNIX] ? 0 : -1);
	result("unix ended", recv(x.fd[UNIX], buf, sizeof(buf), 0));
	make_ready(&x, TCP);
	result("recv", recv(x.other[UNIX], buf, sizeof(buf), 0));
	close(spare);
	close_mix(&x);
}

static const struct tcase cases[] = {
	{"set_level", test_set_level, peer_steps},
	{"set_edge", test_set_edge, peer_steps},
	{"set_oneshot", test_set_oneshot, peer_steps},
	{"poll_select", test_poll_select, peer_steps},
	{"numbers", test_numbers, peer_steps},
};

int main(int argc, char **argv)
{
	return RUN(argc, argv, cases);
}
