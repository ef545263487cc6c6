/*
 * passing.c - descriptors in messages (SCM_RIGHTS): connections, listeners and sockets that are neither yet, to a child, to a
 * parent, and to a program that is no relative. passing_again.c has what comes back, several times or never.
 */
#include "rights.h"
#include <sys/un.h>

static char self[4096];
/* ---- peers ---- */

/* Its own side stays open until it is told. */
static void peer_lingers(void)
{
	int fd = connect_there();
	char c;

	say_to(fd, "hello");
	tell((int)recv(fd, &c, 1, 0));
	hear();
	close(fd);
}

static void peer_listens(void)
{
	talk(accepted());
}

/* ---- to a child, to a parent ---- */

static void test_to_child(void)
{
	pid_t pid;
	int fd;

	make_pair(SOCK_STREAM);
	pid = child_that(echo_five);
	fd = accepted();
	give_away(fd, pid);
}

static void test_to_parent(void)
{
	pid_t pid;
	int fd;

	make_pair(SOCK_SEQPACKET);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		fd = accepted();
		pass(pair[1], fd);
		_exit(0);
	}
	fd = take(pair[0]);
	out("child %#x", (unsigned)end_of(pid));
	echo_five(fd);
	close(fd);
	out("peer %d", hear());
	close_pair();
}

static void echo_rest(int fd)
{
	char buf[8] = "";

	result("recv", recv(fd, buf, 3, MSG_WAITALL));
	out("%s", buf);
	result("send", send(fd, "67", 2, MSG_NOSIGNAL));
	close(fd);
}

/* Both use it: what one has read and written the other goes on with. */
static void test_shared(void)
{
	char buf[8] = "";
	pid_t pid;
	int fd;

	make_pair(SOCK_STREAM);
	pid = child_that(echo_rest);
	fd = accepted();
	result("recv", recv(fd, buf, 2, MSG_WAITALL));
	result("send", send(fd, "12345", 5, MSG_NOSIGNAL));
	pass(pair[0], fd);
	out("child %#x", (unsigned)end_of(pid));
	result("send", send(fd, "89", 2, MSG_NOSIGNAL));
	close(fd);
	out("peer %d", hear());
	close(pair[0]);
}

static void test_half_closed(void)
{
	pid_t pid;
	int fd;

	make_pair(SOCK_STREAM);
	pid = child_that(echo_five);
	fd = accepted();
	CHECK(shutdown(fd, SHUT_WR) == 0);
	pass(pair[0], fd);
	close(fd);
	out("child %#x", (unsigned)end_of(pid));
	out("peer %d", hear());
	tell(0);
	close(pair[0]);
}

static void test_active(void)
{
	pid_t pid;
	int fd;

	make_pair(SOCK_STREAM);
	pid = child_that(echo_five);
	fd = connect_there();
	give_away(fd, pid);
}

static void look(int fd)
{
	struct sockaddr_in sa, peer = address(true, 0);
	socklen_t len = sizeof(sa);
	int v = -1;

	CHECK(getpeername(fd, (struct sockaddr *)&sa, &len) == 0);
	out("peer address %d", sa.sin_addr.s_addr == peer.sin_addr.s_addr);
	len = sizeof(v);
	CHECK(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &v, &len) == 0);
	out("nodelay %d", v != 0);
	CHECK(getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &v, &len) == 0);
	out("keepidle %d", v);
	out("nonblock %d", (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
	echo_five(fd);
}

static void test_options(void)
{
	int fd, one = 1, idle = 77;
	pid_t pid;

	make_pair(SOCK_STREAM);
	pid = child_that(look);
	fd = accepted();
	CHECK(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == 0);
	CHECK(setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle)) == 0);
	give_away(fd, pid);
}

static void in_epoll(int fd)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP}, got = {.events = 0};
	int ep = epoll_create1(0);

	CHECK(ep >= 0 && epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0);
	result("epoll_wait", epoll_wait(ep, &got, 1, 20000));
	out("events %s", bits(got.events));
	echo_five(fd);
	close(ep);
}

static void test_epoll(void)
{
	pid_t pid;
	int fd;

	make_pair(SOCK_STREAM);
	pid = child_that(in_epoll);
	fd = accepted();
	give_away(fd, pid);
}

/* ---- to a program that is no relative: both know a name ---- */

static struct sockaddr_un name(void)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};

	snprintf(sa.sun_path + 1, sizeof(sa.sun_path) - 1, "tas-passing-%d", (int)getppid());
	return sa;
}

static void stranger(const char *role)
{
	struct sockaddr_un sa = name();
	int s = socket(AF_UNIX, SOCK_STREAM, 0), fd;

	CHECK(s >= 0 && connect(s, (struct sockaddr *)&sa, sizeof(sa)) == 0);
	fd = take(s);
	if (strcmp(role, "--stranger") == 0)
		echo_five(fd);
	else
		serve_one(fd);
}

/* A connected UNIX socket to a program started afresh. */
static int meet(const char *role, pid_t *pid)
{
	char *argv[] = {self, (char *)(uintptr_t)role, (char *)(uintptr_t)case_name, NULL};
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int l = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), s;

	snprintf(sa.sun_path + 1, sizeof(sa.sun_path) - 1, "tas-passing-%d", (int)getpid());
	CHECK(l >= 0 && bind(l, (struct sockaddr *)&sa, sizeof(sa)) == 0 && listen(l, 1) == 0);
	fflush(stdout);
	CHECK(posix_spawn(pid, self, NULL, NULL, argv, environ) == 0);
	s = accept4(l, NULL, NULL, SOCK_CLOEXEC);
	CHECK(s >= 0);
	close(l);
	return s;
}

static void test_stranger(void)
{
	pid_t pid;
	int s = meet("--stranger", &pid), fd = accepted();

	pass(s, fd);
	close(fd);
	out("stranger %#x", (unsigned)end_of(pid));
	out("peer %d", hear());
	close(s);
}

static void test_stranger_accepts(void)
{
	pid_t pid;
	int s = meet("--acceptor", &pid), l = listen_here(0, 5);

	pass(s, l);
	close(l);
	tell(1);
	out("stranger %#x", (unsigned)end_of(pid));
	out("peer got %d", hear());
	close(s);
}

/* ---- listeners, and sockets that are not yet anything ---- */

/* Between the two nobody has it, and a client comes. */
static void test_listener_in_flight(void)
{
	int l = listen_here(0, 5);

	make_pair(SOCK_STREAM);
	pass(pair[0], l);
	close(l);
	tell(2);
	usleep(200000);
	l = take(pair[1]);
	serve_one(l);
	serve_one(l);
	out("peer got %d", hear());
	close(l);
	close_pair();
}

static void test_listener_shared(void)
{
	int l = listen_here(0, 5);
	pid_t pid;

	make_pair(SOCK_STREAM);
	pid = child_that(serve_one);
	pass(pair[0], l);
	tell(1);
	out("child %#x", (unsigned)end_of(pid));
	out("peer got %d", hear());
	close(l);
	close(pair[0]);
}

static void test_listener_lost(void)
{
	int l = listen_here(0, 5);

	make_pair(SOCK_STREAM);
	pass(pair[0], l);
	close(l);
	close_pair();
	usleep(500000);
	tell(0);
	out("refused %d", hear() == ECONNREFUSED);
}

static void connect_as_told(int fd)
{
	struct sockaddr_in sa = address(true, hear());

	CHECK(connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0);
	echo_five(fd);
}

static void test_undecided(void)
{
	pid_t pid;
	int fd;

	make_pair(SOCK_STREAM);
	pid = child_that(connect_as_told);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	give_away(fd, pid);
}

static const struct tcase cases[] = {
	{"to_child", test_to_child, peer_talks},
	{"to_parent", test_to_parent, peer_talks},
	{"shared", test_shared, peer_talks},
	{"half_closed", test_half_closed, peer_lingers},
	{"active", test_active, peer_listens},
	{"options", test_options, peer_talks},
	{"epoll", test_epoll, peer_talks},
	{"stranger", test_stranger, peer_talks},
	{"stranger_accepts", test_stranger_accepts, peer_clients},
	{"listener_in_flight", test_listener_in_flight, peer_clients},
	{"listener_shared", test_listener_shared, peer_clients},
	{"listener_lost", test_listener_lost, peer_refused},
	{"undecided", test_undecided, peer_listens},
};

int main(int argc, char **argv)
{
	CHECK(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	if (argc == 3 &&
		(strcmp(argv[1], "--stranger") == 0 || strcmp(argv[1], "--acceptor") == 0)) {
		case_name = argv[2];
		stranger(argv[1]);
		return 0;
	}
	return RUN(argc, argv, cases);
}
