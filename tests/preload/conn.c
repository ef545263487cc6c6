/*
 * conn.c - making and ending connections: connect, accept, names, shutdown, reset.
 */
#include "peers.h"

static int sigpipes;

static void count_sigpipe(int sig)
{
	(void)sig;
	sigpipes++;
}

/* ---- peers ---- */

static void peer_echo(void)
{
	int fd = connect_there();
	char buf[1000];
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0)
		CHECK(send(fd, buf, (size_t)n, MSG_NOSIGNAL) == n);
	close(fd);
}

static void peer_nothing(void)
{
	hear();
}

/* ---- cases ---- */

static void test_echo(void)
{
	int fd = accepted();
	char buf[100] = {0};

	result("send", send(fd, "hello", 5, 0));
	result("recv", recv(fd, buf, 5, MSG_WAITALL));
	close(fd);
	out("%s", buf);
}

static void test_echo_steps(void)
{
	int fd = accepted(), i;
	char buf[100];

	for (i = 0; i < 200; i++) {
		CHECK(send(fd, "0123456789", 10, 0) == 10);
		CHECK(recv(fd, buf, 10, MSG_WAITALL) == 10);
		CHECK(memcmp(buf, "0123456789", 10) == 0);
	}
	result("shutdown", shutdown(fd, SHUT_WR));
	result("eof", recv(fd, buf, 10, 0));
	result("eof again", recv(fd, buf, 10, 0));
	result("close", close(fd));
}

static void test_refused(void)
{
	struct sockaddr_in sa = address(true, 1);
	int fd = socket(AF_INET, SOCK_STREAM, 0), err = 0;
	socklen_t len = sizeof(err);
	char c;

	result("connect", connect(fd, (struct sockaddr *)&sa, sizeof(sa)));
	result("getsockopt", getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len));
	out("SO_ERROR %d", err);
	len = sizeof(sa);
	result("getpeername", getpeername(fd, (struct sockaddr *)&sa, &len));
	result("recv", recv(fd, &c, 1, 0));
	result("close", close(fd));
	tell(0);
}

static void test_refused_nonblock(void)
{
	struct sockaddr_in sa = address(true, 1);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), err = 0;
	socklen_t len = sizeof(err);

	result("connect", connect(fd, (struct sockaddr *)&sa, sizeof(sa)));
	out("poll %s", bits((unsigned)await(fd, POLLIN | POLLOUT | POLLRDHUP)));
	result("getsockopt", getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len));
	out("SO_ERROR %s", strerrorname_np(err));
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
	out("SO_ERROR again %d", err);
	close(fd);
	tell(0);
}

/* A socket whose connect() failed can be used for another. */
static void test_reconnect(void)
{
	int port = hear(), fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in bad = address(true, 1), good = address(true, port);

	result("connect", connect(fd, (struct sockaddr *)&bad, sizeof(bad)));
	result("connect", connect(fd, (struct sockaddr *)&good, sizeof(good)));
	result("send", send(fd, "x", 1, 0));
	tell(0);
	close(fd);
}

static void test_connect_nonblock(void)
{
	struct sockaddr_in sa = address(true, hear()), got;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), err = 1;
	socklen_t len = sizeof(err);

	errno = 0;
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		CHECK(errno == EINPROGRESS);
	out("poll %s", bits((unsigned)await(fd, POLLOUT | POLLIN)));
	result("getsockopt", getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len));
	out("SO_ERROR %d", err);
	connect(fd, (struct sockaddr *)&sa, sizeof(sa));
	result("connect again", connect(fd, (struct sockaddr *)&sa, sizeof(sa)));
	len = sizeof(got);
	result("getpeername", getpeername(fd, (struct sockaddr *)&got, &len));
	out("len %u family %d port %s addr %s", len, got.sin_family,
		got.sin_port == sa.sin_port ? "same" : "other",
		got.sin_addr.s_addr == sa.sin_addr.s_addr ? "same" : "other");
	len = sizeof(got);
	result("getsockname", getsockname(fd, (struct sockaddr *)&got, &len));
	out("len %u family %d port %s addr %s", len, got.sin_family,
		got.sin_port != 0 ? "some" : "none",
		got.sin_addr.s_addr == address(false, 0).sin_addr.s_addr ? "ours" : "other");
	tell(0);
	close(fd);
}

/* Names are cut to the room given, and their full length returned. */
static void test_names_short(void)
{
	int fd = accepted();
	union {
		struct sockaddr_in in;
		char bytes[32];
	} sa;
	socklen_t len = 4;

	memset(&sa, 0x55, sizeof(sa));
	result("getpeername", getpeername(fd, (struct sockaddr *)&sa, &len));
	out("len %u family %d rest %s", len, sa.in.sin_family,
		sa.bytes[4] == 0x55 ? "kept" : "written");
	len = 0;
	result("getsockname", getsockname(fd, (struct sockaddr *)&sa, &len));
	out("len %u", len);
	tell(0);
	close(fd);
}

static void test_accept_flags(void)
{
	int l = listen_here(SOCK_NONBLOCK, 16), fd, fl;
	struct sockaddr_in sa;
	socklen_t len = sizeof(sa);

	result("accept", accept(l, NULL, NULL));
	out("listener flags %s", fcntl(l, F_GETFL) & O_NONBLOCK ? "nonblock" : "block");
	tell(0);
	out("poll %s", bits((unsigned)await(l, POLLIN | POLLOUT)));
	fd = accept4(l, (struct sockaddr *)&sa, &len, SOCK_CLOEXEC);
	CHECK(fd >= 0);
	fl = fcntl(fd, F_GETFL);
	out("len %u family %d", len, sa.sin_family);
	out("flags %s cloexec %d rdwr %d", fl & O_NONBLOCK ? "nonblock" : "block",
		fcntl(fd, F_GETFD) & FD_CLOEXEC, (fl & O_ACCMODE) == O_RDWR);
	tell(0);
	close(fd);
	out("poll %s", bits((unsigned)await(l, POLLIN)));
	fd = accept4(l, NULL, NULL, SOCK_NONBLOCK);
	out("flags %s cloexec %d", fcntl(fd, F_GETFL) & O_NONBLOCK ? "nonblock" : "block",
		fcntl(fd, F_GETFD) & FD_CLOEXEC);
	result("recv", recv(fd, &fl, 1, 0));
	result("accept4", accept4(l, NULL, NULL, 0x40));
	tell(0);
	close(fd);
	close(l);
}

static void peer_accept_flags(void)
{
	int port = hear(), a, b;
	struct sockaddr_in sa = address(false, port);

	hear();
	a = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(connect(a, (struct sockaddr *)&sa, sizeof(sa)) == 0);
	hear();
	b = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(connect(b, (struct sockaddr *)&sa, sizeof(sa)) == 0);
	hear();
}

/* The listener's F_GETFL and FIONBIO are the program's, whatever lies underneath. */
static void test_listener_flags(void)
{
	int l = listen_here(0, 16), on = 1, off = 0;

	out("flags %s", fcntl(l, F_GETFL) & O_NONBLOCK ? "nonblock" : "block");
	result("FIONBIO of nothing", ioctl(l, FIONBIO, NULL));
	result("FIONBIO", ioctl(l, FIONBIO, &on));
	out("flags %s", fcntl(l, F_GETFL) & O_NONBLOCK ? "nonblock" : "block");
	result("accept", accept(l, NULL, NULL));
	result("FIONBIO", ioctl(l, FIONBIO, &off));
	out("flags %s", fcntl(l, F_GETFL) & O_NONBLOCK ? "nonblock" : "block");
	result("setfl", fcntl(l, F_SETFL, O_NONBLOCK));
	result("accept", accept(l, NULL, NULL));
	result("listen again", listen(l, 64));
	result("recv", recv(l, &on, 1, 0));
	result("getpeername", getpeername(l, NULL, NULL));
	tell(0);
	close(l);
}

static void peer_port_only(void)
{
	hear();
	hear();
}

/* Listening sockets conflict as the kernel says. */
static void test_bind_conflict(void)
{
	int l = listen_here(0, 16), fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in sa = address(false, port_of(l));

	result("bind", bind(fd, (struct sockaddr *)&sa, sizeof(sa)));
	close(fd);
	close(l);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	result("bind after close", bind(fd, (struct sockaddr *)&sa, sizeof(sa)));
	result("listen", listen(fd, 5));
	tell(0);
	close(fd);
}

static void test_listen_no_bind(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 0;
	socklen_t len = sizeof(on);

	result("accept before listen", accept(fd, NULL, NULL));
	result("listen", listen(fd, 5));
	out("port %s", port_of(fd) != 0 ? "some" : "none");
	result("getsockopt", getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len));
	out("SO_ACCEPTCONN %d", on);
	tell(0);
	close(fd);
}

/* Half-close: the peer sees the end, and still sends. */
static void test_half_close(void)
{
	int fd = accepted();
	char buf[100] = {0};

	CHECK(send(fd, "request", 7, 0) == 7);
	result("shutdown", shutdown(fd, SHUT_WR));
	result("recv", recv(fd, buf, 8, MSG_WAITALL));
	out("%s", buf);
	signal(SIGPIPE, count_sigpipe);
	sigpipes = 0;
	result("send NOSIGNAL", send(fd, "x", 1, MSG_NOSIGNAL));
	out("SIGPIPE %d", sigpipes);
	result("send", send(fd, "x", 1, 0));
	out("SIGPIPE %d", sigpipes);
	result("write", write(fd, "x", 1));
	out("SIGPIPE %d", sigpipes);
	tell(0);
	result("eof", recv(fd, buf, 1, 0));
	out("poll %s", bits((unsigned)await(fd, POLLIN | POLLOUT | POLLRDHUP)));
	result("shutdown again", shutdown(fd, SHUT_RDWR));
	close(fd);
	signal(SIGPIPE, SIG_DFL);
}

static void peer_half_close(void)
{
	int fd = connect_there();
	char buf[100] = {0};

	CHECK(recv(fd, buf, 8, MSG_WAITALL) == 7);
	say_to(fd, "response");
	hear();
	close(fd);
}

static void test_peer_half_close(void)
{
	int fd = accepted();
	char buf[100] = {0};

	hear();
	while (!(await(fd, POLLIN | POLLRDHUP) & POLLRDHUP))
		usleep(1000);
	out("poll %s", bits((unsigned)await(fd, POLLIN | POLLOUT | POLLRDHUP)));
	result("recv", recv(fd, buf, 7, MSG_WAITALL));
	result("eof", recv(fd, buf, 1, 0));
	result("send", send(fd, "response", 8, 0));
	result("close", close(fd));
	out("peer got %d", hear());
}

static void peer_peer_half_close(void)
{
	int fd = connect_there();
	char buf[100];

	say_to(fd, "request");
	shutdown(fd, SHUT_WR);
	tell(0);
	tell((int)recv(fd, buf, sizeof(buf), MSG_WAITALL));
	close(fd);
}

static void peer_reset(void)
{
	int fd = connect_there();
	struct linger lg = {1, 0};

	say_to(fd, "last words");
	hear();
	CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg)) == 0);
	close(fd);
	tell(0);
}

/* A reset: data that came before it is read, then the error once, then the end. */
static void test_reset(void)
{
	int fd = accepted(), err = 0;
	socklen_t len = sizeof(err);
	char buf[100];

	await_bytes(fd, 10);
	tell(0);
	hear();
	while (!(await(fd, POLLIN) & POLLHUP))
		usleep(1000);
	out("poll %s", bits((unsigned)await(fd, POLLIN | POLLOUT | POLLRDHUP)));
	result("recv", recv(fd, buf, sizeof(buf), 0));
	result("recv", recv(fd, buf, sizeof(buf), 0));
	result("recv", recv(fd, buf, sizeof(buf), 0));
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
	out("SO_ERROR %d", err);
	out("poll %s", bits((unsigned)await(fd, POLLIN | POLLOUT | POLLRDHUP)));
	result("send", send(fd, "x", 1, MSG_NOSIGNAL));
	result("shutdown", shutdown(fd, SHUT_WR));
	len = sizeof(struct sockaddr_in);
	result("getpeername", getpeername(fd, (struct sockaddr *)buf, &len));
	close(fd);
}

static void test_reset_send_first(void)
{
	int fd = accepted(), err = 0;
	socklen_t len = sizeof(err);

	tell(0);
	hear();
	while (!(await(fd, POLLIN) & POLLERR))
		usleep(1000);
	result("send", send(fd, "x", 1, MSG_NOSIGNAL));
	result("send", send(fd, "x", 1, MSG_NOSIGNAL));
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
	out("SO_ERROR %d", err);
	close(fd);
}

static void test_reset_so_error(void)
{
	int fd = accepted(), err = 0;
	socklen_t len = sizeof(err);

	tell(0);
	hear();
	while (!(await(fd, POLLIN) & POLLERR))
		usleep(1000);
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
	out("SO_ERROR %s", strerrorname_np(err));
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
	out("SO_ERROR %d", err);
	result("send", send(fd, "x", 1, MSG_NOSIGNAL));
	close(fd);
}

/* Closing with unread data resets the peer; so does SO_LINGER with 0 seconds. */
static void peer_sees_end(void)
{
	int fd = connect_there();
	char c;

	say_to(fd, "never read");
	tell(0);
	hear();
	errno = 0;
	tell(recv(fd, &c, 1, 0) < 0 ? errno : 0);
	close(fd);
}

static void test_close_unread(void)
{
	int fd = accepted(), e;

	hear();
	await_bytes(fd, 10);
	close(fd);
	tell(0);
	e = hear();
	out("peer got %s", strerrorname_np(e));
}

static void test_close_read(void)
{
	int fd = accepted(), e;
	char buf[10];

	hear();
	CHECK(recv(fd, buf, 10, MSG_WAITALL) == 10);
	close(fd);
	tell(0);
	e = hear();
	out("peer got %s", strerrorname_np(e));
}

static void test_linger_zero(void)
{
	int fd = accepted(), e;
	struct linger lg = {1, 0};
	char buf[10];

	hear();
	CHECK(recv(fd, buf, 10, MSG_WAITALL) == 10);
	result("setsockopt", setsockopt(fd, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg)));
	close(fd);
	tell(0);
	e = hear();
	out("peer got %s", strerrorname_np(e));
}

static void test_linger(void)
{
	int fd = accepted();
	struct linger lg = {1, 20};

	CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg)) == 0);
	send_all(fd, 0, 3000000);
	result("close", close(fd));
	out("peer got %d", hear());
}

static void peer_linger(void)
{
	int fd = connect_there();

	usleep(50000);
	tell((int)recv_all(fd, 0, 4000000, 65536));
	close(fd);
}

/* Data written before close() arrives all the same. */
static void test_close_sends(void)
{
	int fd = accepted();

	send_all(fd, 0, 2000000);
	close(fd);
	out("peer got %d", hear());
}

static void test_accept_close_accept(void)
{
	int l = listen_here(0, 16), fd, i;
	char buf[10];

	for (i = 0; i < 50; i++) {
		fd = accept(l, NULL, NULL);
		CHECK(fd >= 0);
		CHECK(recv(fd, buf, 5, MSG_WAITALL) == 5);
		CHECK(send(fd, buf, 5, 0) == 5);
		close(fd);
	}
	close(l);
	out("50 connections");
}

static void peer_many(void)
{
	struct sockaddr_in sa = address(false, hear());
	char buf[10];
	int i, fd;

	for (i = 0; i < 50; i++) {
		fd = socket(AF_INET, SOCK_STREAM, 0);
		CHECK(connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0);
		say_to(fd, "hello");
		CHECK(recv(fd, buf, 10, MSG_WAITALL) == 5);
		close(fd);
	}
}

/* Connections that wait in the queue survive until they are taken, with the data they brought. */
static void test_queued_data(void)
{
	int l = listen_here(0, 16), fd, i;

	hear();
	for (i = 0; i < 5; i++) {
		fd = accept(l, NULL, NULL);
		CHECK(fd >= 0);
		out("got %ld", (long)recv_all(fd, 0, 100000, 5000));
		close(fd);
	}
	close(l);
}

static void peer_queued_data(void)
{
	struct sockaddr_in sa = address(false, hear());
	int i, fd[5];

	for (i = 0; i < 5; i++) {
		fd[i] = socket(AF_INET, SOCK_STREAM, 0);
		CHECK(connect(fd[i], (struct sockaddr *)&sa, sizeof(sa)) == 0);
		send_all(fd[i], 0, 20000);
		shutdown(fd[i], SHUT_WR);
	}
	tell(0);
	for (i = 0; i < 5; i++)
		CHECK(recv(fd[i], &fd[i], 1, 0) == 0);
}

static int reuseport_listener(int port)
{
	struct sockaddr_in sa = address(false, port);
	int l = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;

	CHECK(setsockopt(l, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) == 0);
	CHECK(bind(l, (struct sockaddr *)&sa, sizeof(sa)) == 0);
	CHECK(listen(l, 64) == 0);
	return l;
}

/* Of two that share a port one closes: what waited there is reset, the other's is served. */
static void test_reuseport_close(void)
{
	int l = reuseport_listener(0), closing = reuseport_listener(port_of(l)), fd, served = 0,
	    reset;
	struct pollfd p[] = {{.fd = l, .events = POLLIN}, {.fd = ctl, .events = POLLIN}};

	tell(port_of(l));
	hear();
	close(closing);
	while (p[1].revents == 0) {
		CHECK(poll(p, 2, 20000) > 0);
		while ((fd = accept(l, NULL, NULL)) >= 0) {
			CHECK(send(fd, "x", 1, MSG_NOSIGNAL) == 1);
			close(fd);
			served++;
		}
	}
	reset = hear();
	out("all %d, some reset %d, some served %d", served + reset, reset > 0, served > 0);
	close(l);
}

static void peer_reuseport_close(void)
{
	struct sockaddr_in sa = address(false, hear());
	int fd[40], i, reset = 0;
	char c;

	for (i = 0; i < 40; i++) {
		fd[i] = socket(AF_INET, SOCK_STREAM, 0);
		CHECK(connect(fd[i], (struct sockaddr *)&sa, sizeof(sa)) == 0);
	}
	tell(0);
	for (i = 0; i < 40; i++) {
		if (recv(fd[i], &c, 1, 0) == 1)
			continue;
		CHECK(errno == ECONNRESET);
		reset++;
	}
	tell(reset);
}

static void show_cc(const char *label, int fd)
{
	char name[40];
	socklen_t len = sizeof(name), small = 3;

	memset(name, 'x', sizeof(name));
	CHECK(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len) == 0);
	out("%s %s length %u", label, name, len);
	CHECK(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &small) == 0);
	out("%s %.3s length %u", label, name, small);
}

static int set_cc(int fd, const char *name)
{
	return setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name));
}

/* Of a listener, of what it accepts, and changed while open; both sides know cubic and reno. */
static void test_congestion(void)
{
	int l = listen_here(0, 16), fd;
	char c;

	result("listener", set_cc(l, "reno"));
	show_cc("listener", l);
	tell(0);
	fd = accept(l, NULL, NULL);
	CHECK(fd >= 0);
	show_cc("accepted", fd);
	result("unknown", set_cc(fd, "nonsense"));
	result("none", setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "", 0));
	result("bad address", setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, (void *)1, 4));
	show_cc("still", fd);
	result("recv", recv(fd, &c, 1, 0));
	result("cubic", set_cc(fd, "cubic"));
	show_cc("changed", fd);
	show_cc("listener", l);
	result("send", send(fd, "y", 1, 0));
	result("recv", recv(fd, &c, 1, 0));
	close(fd);
	close(l);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	result("unknown before connect", set_cc(fd, "nonsense"));
	result("before connect", set_cc(fd, "cubic"));
	show_cc("before", fd);
	{
		struct sockaddr_in sa = address(true, hear());

		result("connect", connect(fd, (struct sockaddr *)&sa, sizeof(sa)));
	}
	show_cc("connected", fd);
	result("reno", set_cc(fd, "reno"));
	show_cc("connected", fd);
	result("recv", recv(fd, &c, 1, 0));
	close(fd);
}

static void peer_congestion(void)
{
	struct sockaddr_in sa = address(false, hear());
	int fd = socket(AF_INET, SOCK_STREAM, 0), l;
	char c;

	hear();
	CHECK(connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0);
	CHECK(send(fd, "x", 1, 0) == 1);
	CHECK(recv(fd, &c, 1, 0) == 1);
	CHECK(send(fd, "z", 1, 0) == 1);
	recv(fd, &c, 1, 0);
	close(fd);
	l = listen_here(0, 1);
	fd = accept(l, NULL, NULL);
	CHECK(send(fd, "x", 1, 0) == 1);
	recv(fd, &c, 1, 0);
	close(fd);
	close(l);
}

static void test_shutdown_wrong(void)
{
	int fd = accepted();

	result("shutdown", shutdown(fd, 7));
	result("shutdown", shutdown(fd, SHUT_RD));
	result("recv", recv(fd, &fd, 0, 0));
	tell(0);
}

static void test_unconnected(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char c = 0;

	result("recv", recv(fd, &c, 1, 0));
	result("send", send(fd, &c, 1, MSG_NOSIGNAL));
	result("shutdown", shutdown(fd, SHUT_WR));
	result("getpeername", getpeername(fd, (struct sockaddr *)&c, &(socklen_t){0}));
	out("poll %s", bits((unsigned)await(fd, POLLIN | POLLOUT)));
	close(fd);
	tell(0);
}

static const struct tcase cases[] = {
	{"echo", test_echo, peer_echo},
	{"echo_steps", test_echo_steps, peer_echo},
	{"refused", test_refused, peer_nothing},
	{"refused_nonblock", test_refused_nonblock, peer_nothing},
	{"reconnect", test_reconnect, peer_accept_wait},
	{"connect_nonblock", test_connect_nonblock, peer_accept_wait},
	{"names_short", test_names_short, peer_wait},
	{"accept_flags", test_accept_flags, peer_accept_flags},
	{"listener_flags", test_listener_flags, peer_port_only},
	{"bind_conflict", test_bind_conflict, peer_port_only},
	{"listen_no_bind", test_listen_no_bind, peer_nothing},
	{"half_close", test_half_close, peer_half_close},
	{"peer_half_close", test_peer_half_close, peer_peer_half_close},
	{"reset", test_reset, peer_reset},
	{"reset_send_first", test_reset_send_first, peer_reset},
	{"reset_so_error", test_reset_so_error, peer_reset},
	{"close_unread", test_close_unread, peer_sees_end},
	{"close_read", test_close_read, peer_sees_end},
	{"linger_zero", test_linger_zero, peer_sees_end},
	{"linger", test_linger, peer_linger},
	{"close_sends", test_close_sends, peer_linger},
	{"accept_close_accept", test_accept_close_accept, peer_many},
	{"queued_data", test_queued_data, peer_queued_data},
	{"congestion", test_congestion, peer_congestion},
	{"reuseport_close", test_reuseport_close, peer_reuseport_close},
	{"shutdown_wrong", test_shutdown_wrong, peer_wait},
	{"unconnected", test_unconnected, peer_nothing},
};

int main(int argc, char **argv)
{
	return RUN(argc, argv, cases);
}
