/*
 * heirs_epoll.c - epoll sets after fork(): what is in them goes on in the child, and each process
 * leaves the other's alone.
 */
#include "peers.h"

static void serve_as_child(int l)
{
	int fd = accept(l, NULL, NULL);
	char buf[4];

	result("accept", fd >= 0);
	CHECK(recv(fd, buf, 4, MSG_WAITALL) == 4);
	CHECK(send(fd, "pong", 4, MSG_NOSIGNAL) == 4);
	_exit(0);
}

static int set_with(int fd)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u32 = 7};
	int ep = epoll_create1(0);

	CHECK(ep >= 0 && epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0);
	return ep;
}

static void await_event(int ep)
{
	struct epoll_event ev = {.events = 0};

	result("wait", epoll_wait(ep, &ev, 1, 5000));
	out("data %u", ev.data.u32);
}

/* The child waits first of all, as a program does that made its set before daemon(). */
static void test_epoll_cold(void)
{
	int l = listen_here(SOCK_NONBLOCK, 16), ep = set_with(l);
	pid_t pid = fork();

	if (pid == 0) {
		tell(1);
		await_event(ep);
		serve_as_child(l);
	}
	out("child %#x", (unsigned)end_of(pid));
	out("peer got %d", hear());
}

/* The same, after a call on the listener itself. */
static void test_epoll_warm(void)
{
	int l = listen_here(SOCK_NONBLOCK, 16), ep = set_with(l);
	pid_t pid = fork();

	if (pid == 0) {
		accept(l, NULL, NULL);
		tell(1);
		await_event(ep);
		serve_as_child(l);
	}
	out("child %#x", (unsigned)end_of(pid));
	out("peer got %d", hear());
}

/* The same, after the child has put something else into the set. */
static void test_epoll_added(void)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u32 = 9};
	int l = listen_here(SOCK_NONBLOCK, 16), ep = set_with(l), s;
	pid_t pid = fork();

	if (pid == 0) {
		s = listen_here(SOCK_NONBLOCK, 16);
		CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, s, &ev) == 0);
		await_event(ep);
		serve_as_child(l);
	}
	out("child %#x", (unsigned)end_of(pid));
	out("peer got %d", hear());
}

static void peer_added(void)
{
	struct sockaddr_in sa = address(false, hear());
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char buf[4];

	hear(); /* the child's own listener */
	CHECK(connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0);
	say_to(fd, "ping");
	tell((int)recv(fd, buf, 4, MSG_WAITALL));
}

/* The parent closes what it handed down. */
static void test_epoll_listener(void)
{
	int l = listen_here(SOCK_NONBLOCK, 16), ep = set_with(l);
	pid_t pid = fork();

	if (pid == 0) {
		tell(1);
		await_event(ep);
		serve_as_child(l);
	}
	close(l);
	close(ep);
	out("child %#x", (unsigned)end_of(pid));
	out("peer got %d", hear());
}

/* A connection in the set. */
static void test_epoll_heir(void)
{
	int fd = accepted(), ep = set_with(fd), gate[2];
	char buf[8];
	pid_t pid;

	CHECK(pipe(gate) == 0);
	pid = fork();
	if (pid == 0) {
		CHECK(read(gate[0], buf, 1) == 1);
		tell(1);
		await_event(ep);
		result("recv", recv(fd, buf, 5, MSG_DONTWAIT));
		_exit(0);
	}
	close(fd);
	CHECK(write(gate[1], "x", 1) == 1);
	out("child %#x", (unsigned)end_of(pid));
	tell(0);
}

/* The child has a set of its own: what is in its parent's, which it never looks at, stays there. */
static void test_epoll_apart(void)
{
	int fd = accepted(), l, ep = set_with(fd);
	char buf[8];
	pid_t pid = fork();

	if (pid == 0) {
		l = socket(AF_INET, SOCK_STREAM, 0);
		CHECK(listen(l, 1) == 0);
		result("child waits", epoll_wait(set_with(l), &(struct epoll_event){0}, 1, 300));
		_exit(0);
	}
	out("child %#x", (unsigned)end_of(pid));
	tell(1);
	await_event(ep);
	result("recv", recv(fd, buf, 5, MSG_WAITALL));
	tell(0);
	close(fd);
	close(ep);
}

static int listen_any(int *port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET};
	int l = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	CHECK(bind(l, (struct sockaddr *)&sa, sizeof(sa)) == 0 && listen(l, 5) == 0);
	*port = port_of(l);
	return l;
}

/* By the kernel: nothing goes out to the peer. */
static int connect_here(int port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0);
	return fd;
}

/* A child that closes its copies takes nothing out of the parent's set. */
static void test_child_closes(void)
{
	int port, l = listen_any(&port), ep = set_with(l), fd;
	pid_t pid = fork();

	if (pid == 0) {
		close(l);
		close(ep);
		_exit(0);
	}
	out("child %#x", (unsigned)end_of(pid));
	fd = connect_here(port);
	await_event(ep);
	close(fd);
	close(l);
	tell(0);
}

/* Nor does the parent take anything out of what is its child's now. */
static void test_parent_closes(void)
{
	int port, l = listen_any(&port), ep = set_with(l), gate[2];
	char c;
	pid_t pid;

	CHECK(pipe(gate) == 0);
	pid = fork();
	if (pid == 0) {
		CHECK(read(gate[0], &c, 1) == 1);
		connect_here(port);
		await_event(ep);
		result("accept", accept(l, NULL, NULL) >= 0);
		_exit(0);
	}
	close(l);
	close(ep);
	CHECK(write(gate[1], "x", 1) == 1);
	out("child %#x", (unsigned)end_of(pid));
	tell(0);
}

/* EPOLL_CTL_DEL is another matter: the set is one. */
static void test_child_deletes(void)
{
	int port, l = listen_any(&port), ep = set_with(l);
	pid_t pid = fork();

	if (pid == 0) {
		result("delete", epoll_ctl(ep, EPOLL_CTL_DEL, l, NULL));
		result("again", epoll_ctl(ep, EPOLL_CTL_DEL, l, NULL));
		_exit(0);
	}
	out("child %#x", (unsigned)end_of(pid));
	close(connect_here(port));
	result("wait", epoll_wait(ep, &(struct epoll_event){0}, 1, 100));
	close(l);
	close(ep);
	tell(0);
}

/*
 * In a new program, so that nothing was put into sets before: what the parent adds after fork() is
 * reported to the child as the parent's, or not at all.
 */
static void wait_beside_parent(void)
{
	struct epoll_event ev;
	int port, s = socket(AF_INET, SOCK_STREAM, 0), ep = set_with(listen_any(&port)), l, gate[2];
	pid_t pid;

	CHECK(pipe(gate) == 0);
	pid = fork();
	if (pid == 0) {
		CHECK(read(gate[0], &ev, 1) == 1);
		CHECK(epoll_wait(ep, &ev, 1, 200) == 0 || ev.data.u32 == 9);
		_exit(0);
	}
	l = listen_any(&port);
	ev = (struct epoll_event){.events = EPOLLIN, .data.u32 = 9};
	CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, l, &ev) == 0);
	connect_here(port);
	CHECK(write(gate[1], "x", 1) == 1);
	out("child %#x", (unsigned)end_of(pid));
	close(s);
}

static void test_epoll_strangers(void)
{
	out("program %#x", (unsigned)end_of(become("--beside", -1)));
	tell(0);
}

static void peer_nothing(void)
{
	hear();
}

static const struct tcase cases[] = {
	{"epoll_cold", test_epoll_cold, peer_clients},
	{"epoll_warm", test_epoll_warm, peer_clients},
	{"epoll_added", test_epoll_added, peer_added},
	{"epoll_listener", test_epoll_listener, peer_clients},
	{"epoll_heir", test_epoll_heir, peer_sender},
	{"epoll_apart", test_epoll_apart, peer_sender},
	{"child_closes", test_child_closes, peer_nothing},
	{"parent_closes", test_parent_closes, peer_nothing},
	{"epoll_strangers", test_epoll_strangers, peer_nothing},
	{"child_deletes", test_child_deletes, peer_nothing},
};

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "--beside") == 0) {
		case_name = argv[2];
		wait_beside_parent();
		return 0;
	}
	return RUN(argc, argv, cases);
}
