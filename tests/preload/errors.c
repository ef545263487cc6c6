/*
 * errors.c - errors, signals and options at the edges: which errno, once or again, and what a
 * program that believes an answer does next.
 */
#include "harness.h"
#include <pthread.h>

/* Sends 10 bytes and its FIN; resets when told, or when told 0 just closes. */
static void peer_fin_reset(void)
{
	struct linger lg = {1, 0};
	int fd = connect_there();

	say_to(fd, "0123456789");
	shutdown(fd, SHUT_WR);
	if (hear() != 0)
		usleep(100000); /* so that somebody sleeps, most likely */
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg));
	close(fd);
	tell(0);
	hear();
}

static volatile sig_atomic_t pipes;

static void on_pipe(int sig)
{
	(void)sig;
	pipes++;
}

/* The peer has ended its side and then resets: a send is EPIPE with its signal (tcp(7) does not say, Linux does). */
static void test_fin_then_reset(void)
{
	int fd = accepted();
	char buf[100];

	signal(SIGPIPE, on_pipe);
	pipes = 0;
	result("recv", recv(fd, buf, 10, MSG_WAITALL));
	result("recv", recv(fd, buf, 10, 0));
	tell(1);
	hear();
	while (!(await(fd, POLLERR) & POLLERR))
		;
	result("send", send(fd, buf, 1, 0));
	out("signals %d", pipes);
	result("send", send(fd, buf, 1, 0));
	out("signals %d", pipes);
	result("recv", recv(fd, buf, 10, 0));
	signal(SIGPIPE, SIG_DFL);
	tell(0);
	close(fd);
}

static void test_wrong_pointers(void)
{
	int fd = accepted();
	struct sockaddr_in sa;
	socklen_t len = sizeof(sa);

	result("getpeername", getpeername(fd, NULL, &len));
	result("getpeername", getpeername(fd, (struct sockaddr *)&sa, NULL));
	result("getsockname", getsockname(fd, NULL, &len));
	result("getsockname", getsockname(fd, NULL, NULL));
	len = 0;
	result("getpeername", getpeername(fd, NULL, &len));
	out("len %u", len);
	tell(0);
	hear();
	tell(0);
	close(fd);
}

/* A connected socket can be neither bound nor made a listener. */
static void test_connected(void)
{
	int fd = accepted();
	struct sockaddr_in any = {.sin_family = AF_INET};

	result("bind", bind(fd, (struct sockaddr *)&any, sizeof(any)));
	result("listen", listen(fd, 5));
	tell(0);
	hear();
	tell(0);
	close(fd);
}

static int shut_result;

static void *shut_soon(void *arg)
{
	do /* ENOTCONN until the connect() is under way */
		usleep(100000);
	while ((shut_result = shutdown(*(int *)arg, SHUT_RDWR)) != 0 && errno == ENOTCONN);
	return NULL;
}

/* A listener that takes no more connections: further ones stay under way. */
static void peer_full(void)
{
	int l = listen_here(0, 0);

	hear();
	close(l);
}

/* A connect() that sleeps is ended by shutdown(), and the socket can be closed. */
static void test_shutdown_connecting(void)
{
	struct sockaddr_in sa = address(true, hear());
	int fd[3], i, last = socket(AF_INET, SOCK_STREAM, 0);
	pthread_t t;

	for (i = 0; i < 3; i++) {
		fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(fd[i], (struct sockaddr *)&sa, sizeof(sa));
	}
	usleep(50000);
	CHECK(pthread_create(&t, NULL, shut_soon, &last) == 0);
	result("connect", connect(last, (struct sockaddr *)&sa, sizeof(sa)));
	pthread_join(t, NULL);
	out("shutdown %d", shut_result);
	result("send", send(last, "x", 1, MSG_NOSIGNAL));
	close(last);
	for (i = 0; i < 3; i++)
		close(fd[i]);
	tell(0);
}

/* Who is told that zero-copy works waits for the completions. */
static void test_zerocopy(void)
{
	int fd = accepted(), on = 1, r;
	struct pollfd p = {.fd = fd};
	char buf[100];
	struct msghdr m = {.msg_control = buf, .msg_controllen = sizeof(buf)};

	r = setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on));
	if (send(fd, "x", 1, r == 0 ? MSG_ZEROCOPY : 0) != 1)
		out("send failed");
	if (r == 0) {
		while (!(p.revents & POLLERR))
			CHECK(poll(&p, 1, 10000) == 1);
		r = (int)recvmsg(fd, &m, MSG_ERRQUEUE);
		out("completion or refused: %d", r >= 0);
	} else {
		out("completion or refused: 1");
	}
	tell(0);
	hear();
	tell(0);
	close(fd);
}

/* The descriptor that an epoll instance was made with may go, its copy is the same instance. */
static void test_epoll_moved(void)
{
	int first = epoll_create1(0), ep = fcntl(first, F_DUPFD_CLOEXEC, 60), l, fd, other;
	struct epoll_event ev = {.events = EPOLLIN, .data.u32 = 7};

	close(first);
	other = epoll_create1(0);
	l = listen_here(SOCK_NONBLOCK, 5);
	result("add", epoll_ctl(ep, EPOLL_CTL_ADD, l, &ev));
	ev.data.u32 = 0;
	result("wait", epoll_wait(ep, &ev, 1, 20000));
	out("data %u", ev.data.u32);
	fd = accept(l, NULL, NULL);
	CHECK(fd >= 0);
	ev = (struct epoll_event){.events = EPOLLRDHUP, .data.u32 = 8};
	result("add", epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	while (!(await(fd, POLLRDHUP) & POLLRDHUP))
		;
	result("wait", epoll_wait(ep, &ev, 1, 20000));
	ev.events = EPOLLIN | EPOLLET;
	result("mod", epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev));
	CHECK(epoll_wait(ep, &ev, 1, 0) >= 0);
	tell(1);
	result("wait", epoll_wait(ep, &ev, 1, -1));
	result("other", epoll_wait(other, &ev, 1, 0));
	hear();
	tell(0);
	close(fd);
	close(l);
	close(ep);
	close(other);
}

static const struct tcase cases[] = {
	{"fin_then_reset", test_fin_then_reset, peer_fin_reset},
	{"wrong_pointers", test_wrong_pointers, peer_fin_reset},
	{"connected", test_connected, peer_fin_reset},
	{"shutdown_connecting", test_shutdown_connecting, peer_full},
	{"zerocopy", test_zerocopy, peer_fin_reset},
	{"epoll_moved", test_epoll_moved, peer_fin_reset},
};

int main(int argc, char **argv)
{
	return RUN(argc, argv, cases);
}
