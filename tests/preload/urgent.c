/*
 * urgent.c - urgent data: the byte out of line and the mark in the stream, sent and received.
 */
#include "peers.h"

/* ---- the peer sends what it is told, piece by piece; an odd word is urgent ---- */

#define NORMAL(n) ((n)*2)
#define URGENT(n) ((n)*2 + 1)

static const char text[] = "abcdefghijklmnopqrstuvwxyz";

static void peer_pieces(void)
{
	int fd = connect_there(), what, at = 0, one = 1;

	CHECK(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == 0);
	while ((what = hear()) != 0) {
		int n = what / 2;

		CHECK(send(fd, text + at, (size_t)n, what & 1 ? MSG_OOB : 0) == n);
		at += n;
		tell(0);
	}
	close(fd);
}

static void piece(int what)
{
	tell(what);
	hear();
}

/* Until `n` bytes are here, urgent ones and those behind the mark too: the last is looked at. */
static void arrived(int fd, int n)
{
	char buf[64];
	int i, on = 1, off = 0;

	CHECK(setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on)) == 0);
	for (i = 0; i < 5000 && ioctl(fd, FIONREAD, &on) == 0 && on < n; i++)
		usleep(1000);
	CHECK(recv(fd, buf, sizeof(buf), MSG_PEEK | MSG_DONTWAIT) > 0);
	CHECK(setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &off, sizeof(off)) == 0);
}

static void show_recv(const char *label, int fd, size_t n, int flags)
{
	char buf[64] = "";
	ssize_t r = recv(fd, buf, n, flags);

	if (r > 0)
		out("%s %zd %.*s", label, r, (int)r, buf);
	else
		result(label, r);
}

static void show_state(const char *label, int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLPRI};
	int n = -1;

	CHECK(poll(&p, 1, 0) >= 0);
	CHECK(ioctl(fd, FIONREAD, &n) == 0);
	out("%s %s, mark %d, %d readable", label, bits((unsigned)p.revents), sockatmark(fd), n);
}

static void test_none(void)
{
	int fd = accepted(), mark = 7;

	show_recv("oob", fd, 1, MSG_OOB);
	CHECK(ioctl(fd, SIOCATMARK, &mark) == 0);
	out("mark %d %d", mark, sockatmark(fd));
	piece(NORMAL(3));
	arrived(fd, 3);
	show_state("data", fd);
	show_recv("oob", fd, 1, MSG_OOB);
	show_recv("in line", fd, 10, 0);
	tell(0);
	close(fd);
}

static void test_byte(void)
{
	int fd = accepted();

	piece(NORMAL(3));
	piece(URGENT(2)); /* d, and e which is urgent */
	piece(NORMAL(3));
	arrived(fd, 8);
	show_state("before", fd);
	show_recv("to the mark", fd, 20, 0);
	show_state("at the mark", fd);
	show_recv("peek oob", fd, 5, MSG_PEEK | MSG_OOB);
	show_recv("oob", fd, 5, MSG_OOB);
	show_state("taken", fd);
	show_recv("again", fd, 5, MSG_OOB);
	show_recv("behind", fd, 20, 0);
	show_state("behind", fd);
	show_recv("oob", fd, 5, MSG_OOB);
	tell(0);
	close(fd);
}

static void test_left(void)
{
	int fd = accepted();

	piece(URGENT(1));
	await(fd, POLLPRI);
	show_state("here", fd);
	show_recv("read", fd, 5, MSG_DONTWAIT); /* leaves it behind */
	show_state("passed", fd);
	show_recv("oob", fd, 5, MSG_OOB);
	piece(NORMAL(2));
	arrived(fd, 2);
	show_recv("read", fd, 5, 0);
	tell(0);
	close(fd);
}

static void test_inline(void)
{
	int fd = accepted(), on = 1;

	CHECK(setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on)) == 0);
	piece(URGENT(3));
	await_bytes(fd, 3);
	piece(NORMAL(2));
	await_bytes(fd, 5);
	show_state("before", fd);
	show_recv("oob", fd, 5, MSG_OOB);
	show_recv("to the mark", fd, 20, 0);
	show_state("at the mark", fd);
	show_recv("in line", fd, 20, 0);
	show_state("behind", fd);
	tell(0);
	close(fd);
}

/* One behind the other: as Linux has it. */
static void test_two(void)
{
	int fd = accepted(), i;
	char c;

	piece(URGENT(1));
	await(fd, POLLPRI);
	piece(URGENT(1));
	piece(NORMAL(1));
	for (i = 0; i < 5000 && recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) != 1; i++)
		usleep(1000);
	show_state("two", fd);
	show_recv("oob", fd, 5, MSG_OOB);
	show_recv("read", fd, 20, 0);
	show_state("end", fd);
	piece(URGENT(2));
	arrived(fd, 2);
	piece(URGENT(2));
	arrived(fd, 4);
	show_recv("read", fd, 20, 0);
	show_recv("oob", fd, 5, MSG_OOB);
	piece(NORMAL(1));
	arrived(fd, 1);
	show_recv("read", fd, 20, 0);
	tell(0);
	close(fd);
}

static void test_peek(void)
{
	int fd = accepted();

	piece(NORMAL(2));
	piece(URGENT(1));
	piece(NORMAL(2));
	arrived(fd, 5);
	show_recv("peek", fd, 20, MSG_PEEK);
	show_recv("peek all", fd, 4, MSG_PEEK | MSG_WAITALL);
	show_recv("wait all", fd, 4, MSG_WAITALL);
	show_recv("peek", fd, 20, MSG_PEEK);
	show_state("peeked", fd);
	show_recv("trunc", fd, 1, MSG_TRUNC);
	show_state("behind", fd);
	show_recv("read", fd, 20, 0);
	tell(0);
	close(fd);
}

static void test_recvmsg(void)
{
	char buf[8] = "";
	struct iovec v = {buf, sizeof(buf)};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	int fd = accepted();

	piece(URGENT(1));
	await(fd, POLLPRI);
	m.msg_iovlen = 0;
	result("no room", recvmsg(fd, &m, MSG_OOB | MSG_PEEK));
	out("flags %#x", (unsigned)m.msg_flags);
	m.msg_iovlen = 1;
	result("recvmsg", recvmsg(fd, &m, MSG_OOB));
	out("flags %#x, byte %s", (unsigned)m.msg_flags, buf);
	result("none", recvmsg(fd, &m, MSG_OOB));
	piece(URGENT(1));
	await(fd, POLLPRI);
	result("truncated", recv(fd, buf, 0, MSG_OOB));
	result("taken", recv(fd, buf, 1, MSG_OOB));
	tell(0);
	close(fd);
}

static void test_select(void)
{
	struct timeval tv = {.tv_sec = HANG_S};
	int fd = accepted();
	fd_set r, x;

	FD_ZERO(&r);
	FD_ZERO(&x);
	FD_SET(fd, &r);
	FD_SET(fd, &x);
	piece(URGENT(1));
	result("select", select(fd + 1, &r, NULL, &x, &tv));
	out("read %d except %d", FD_ISSET(fd, &r) != 0, FD_ISSET(fd, &x) != 0);
	tell(0);
	close(fd);
}

static void test_epoll(void)
{
	struct epoll_event ev = {.events = EPOLLPRI | EPOLLET};
	int fd = accepted(), ep = epoll_create1(0);

	CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0);
	piece(NORMAL(1));
	arrived(fd, 1);
	result("data", epoll_wait(ep, &ev, 1, 0));
	piece(URGENT(1));
	result("urgent", epoll_wait(ep, &ev, 1, HANG_S * 1000));
	out("%s", bits(ev.events));
	result("edge", epoll_wait(ep, &ev, 1, 0));
	show_recv("read", fd, 10, 0);
	show_recv("oob", fd, 10, MSG_OOB);
	piece(URGENT(1));
	result("next", epoll_wait(ep, &ev, 1, HANG_S * 1000));
	out("%s", bits(ev.events));
	tell(0);
	close(ep);
	close(fd);
}

/* Closed, with the urgent byte not passed. */
static void test_closed(void)
{
	int fd = accepted();

	piece(NORMAL(1));
	piece(URGENT(1));
	arrived(fd, 2);
	tell(0);
	await(fd, POLLRDHUP);
	show_recv("read", fd, 10, 0);
	show_state("mark", fd);
	show_recv("oob", fd, 10, MSG_OOB);
	show_recv("end", fd, 10, 0);
	show_recv("oob", fd, 10, MSG_OOB);
	close(fd);
}

/* All of it before the connection is accepted. */
static void test_early(void)
{
	int l = listen_here(0, 16), fd;

	piece(NORMAL(2));
	piece(URGENT(2));
	piece(NORMAL(1));
	fd = accept(l, NULL, NULL);
	CHECK(fd >= 0);
	arrived(fd, 5);
	show_state("accepted", fd);
	show_recv("oob", fd, 5, MSG_OOB);
	show_recv("read", fd, 20, 0);
	show_recv("read", fd, 20, 0);
	tell(0);
	close(fd);
	close(l);
}

/* What one process has done is so for the next. */
static void test_shared(void)
{
	int fd = accepted();
	pid_t pid;

	piece(NORMAL(2));
	piece(URGENT(1));
	piece(NORMAL(1));
	arrived(fd, 4);
	pid = fork();
	if (pid == 0) {
		show_state("child", fd);
		show_recv("child reads", fd, 20, 0);
		_exit(0);
	}
	CHECK(end_of(pid) == 0);
	show_state("parent", fd);
	pid = fork();
	if (pid == 0) {
		show_recv("child takes", fd, 5, MSG_OOB);
		_exit(0);
	}
	CHECK(end_of(pid) == 0);
	show_state("parent", fd);
	show_recv("oob", fd, 5, MSG_OOB);
	pid = fork();
	if (pid == 0) {
		show_recv("child reads", fd, 20, 0);
		_exit(0);
	}
	CHECK(end_of(pid) == 0);
	show_state("parent", fd);
	tell(0);
	close(fd);
}

/* ---- sending: the peer says what it saw ---- */

/* Told how many bytes come before the next urgent one; at the end what else was in the stream. */
static void peer_reader(void)
{
	int fd = connect_there(), n, done;
	static char buf[65536];
	ssize_t r;

	while ((n = hear()) >= 0) {
		for (done = 0; done < n; done += (int)r) {
			r = recv(fd, buf, (size_t)(n - done), 0);
			CHECK(r > 0);
		}
		await(fd, POLLPRI);
		tell(sockatmark(fd));
		CHECK(recv(fd, buf, 1, MSG_OOB) == 1);
		tell(buf[0]);
	}
	for (n = 0; (r = recv(fd, buf, sizeof(buf), 0)) > 0; n += (int)r)
		;
	tell(n);
	close(fd);
}

static void seen(const char *label, int before)
{
	int mark;

	tell(before);
	mark = hear();
	out("%s: at the mark %d, byte %c", label, mark, hear());
}

/* The end: what follows the last urgent byte in the stream. */
static void rest(int fd)
{
	tell(-1);
	shutdown(fd, SHUT_WR);
	out("rest %d", hear());
	close(fd);
}

static void test_send(void)
{
	static char large[60000];
	int fd = accepted();

	result("nothing", send(fd, "", 0, MSG_OOB));
	result("one", send(fd, "x", 1, MSG_OOB));
	seen("one", 0);
	result("last of four", send(fd, "abcy", 4, MSG_OOB));
	seen("last of four", 3);
	memset(large, 'l', sizeof(large));
	large[sizeof(large) - 1] = 'z';
	result("last of many", send(fd, large, sizeof(large), MSG_OOB));
	seen("last of many", sizeof(large) - 1);
	result("more", send(fd, "more", 4, 0));
	rest(fd);
}

/* Nothing holds it back. */
static void test_corked(void)
{
	int fd = accepted(), on = 1;

	CHECK(setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on)) == 0);
	result("held", send(fd, "abc", 3, 0));
	result("urgent", send(fd, "x", 1, MSG_OOB));
	seen("corked", 3);
	result("more", send(fd, "abcy", 4, MSG_OOB | MSG_MORE));
	seen("more", 3);
	rest(fd);
}

static void test_refused(void)
{
	int fd = accepted(), s = socket(AF_INET, SOCK_STREAM, 0);
	char c;

	result("not connected", send(s, "x", 1, MSG_OOB | MSG_NOSIGNAL));
	result("not connected", recv(s, &c, 1, MSG_OOB));
	tell(-1);
	shutdown(fd, SHUT_WR);
	result("shut", send(fd, "x", 1, MSG_OOB | MSG_NOSIGNAL));
	out("rest %d", hear());
	close(fd);
	close(s);
}

/* The peer does not read: only the announcement arrives, by a signal. */
static void peer_deaf(void)
{
	struct timespec limit = {.tv_sec = HANG_S / 2};
	struct sockaddr_in sa = address(false, hear());
	int fd = socket(AF_INET, SOCK_STREAM, 0), size = 8192;
	static char buf[65536];
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGURG);
	CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) == 0);
	CHECK(connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0);
	CHECK(fcntl(fd, F_SETOWN, getpid()) == 0);
	hear();
	tell(sigtimedwait(&set, NULL, &limit) == SIGURG);
	tell(recv(fd, buf, 1, MSG_OOB) < 0 ? errno : 0);
	while (sockatmark(fd) == 0)
		CHECK(recv(fd, buf, sizeof(buf), 0) > 0);
	await(fd, POLLPRI);
	CHECK(recv(fd, buf, 1, MSG_OOB) == 1);
	tell(buf[0]);
	close(fd);
}

static void test_window(void)
{
	int fd = accepted(), same = 0, left, before = -1, room = 200000;
	static char buf[50000];

	CHECK(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)) == 0);
	CHECK(send(fd, buf, sizeof(buf), 0) == sizeof(buf));
	while (same < 20) { /* the window is closed: no byte moves for 200 ms */
		usleep(10000);
		CHECK(ioctl(fd, TIOCOUTQ, &left) == 0);
		same = left == before ? same + 1 : 0;
		before = left;
	}
	CHECK(left > 1);
	result("urgent", send(fd, "x", 1, MSG_OOB));
	tell(0);
	out("signal %d", hear());
	out("oob %s", strerrorname_np(hear()));
	out("byte %c", hear());
	close(fd);
}

static const struct tcase cases[] = {
	{"none", test_none, peer_pieces},
	{"byte", test_byte, peer_pieces},
	{"left", test_left, peer_pieces},
	{"inline", test_inline, peer_pieces},
	{"two", test_two, peer_pieces},
	{"peek", test_peek, peer_pieces},
	{"recvmsg", test_recvmsg, peer_pieces},
	{"select", test_select, peer_pieces},
	{"epoll", test_epoll, peer_pieces},
	{"closed", test_closed, peer_pieces},
	{"early", test_early, peer_pieces},
	{"shared", test_shared, peer_pieces},
	{"send", test_send, peer_reader},
	{"corked", test_corked, peer_reader},
	{"refused", test_refused, peer_reader},
	{"window", test_window, peer_deaf},
};

int main(int argc, char **argv)
{
	return RUN(argc, argv, cases);
}
