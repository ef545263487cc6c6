/*
 * heirs.c - what fork children, and the next program after exec(), find of the connections that
 * they inherit: what another holder did to them before.
 */
#include "peers.h"
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* ---- one holder has ended the stream ---- */

static void child_shuts(int fd)
{
	pid_t pid = fork();

	if (pid == 0) {
		CHECK(shutdown(fd, SHUT_WR) == 0);
		_exit(0);
	}
	out("child %#x", (unsigned)end_of(pid));
	CHECK(hear() == 0); /* the peer has seen the end */
}

static void test_half_closed(void)
{
	int fd = accepted();

	child_shuts(fd);
	result("send", send(fd, "hello", 5, MSG_NOSIGNAL));
	tell(0);
	close(fd);
}

static void peer_sees_end(void)
{
	int fd = connect_there();
	char c;

	tell((int)recv(fd, &c, 1, 0));
	hear();
	close(fd);
}

/* The same, and the program goes on with a connection that has nothing to do with it. */
static void test_bystander(void)
{
	int l = listen_here(0, 16), fd = accept(l, NULL, NULL), other = accept(l, NULL, NULL);
	char buf[8];

	CHECK(fd >= 0 && other >= 0);
	child_shuts(fd);
	result("send", send(fd, "hello", 5, MSG_NOSIGNAL));
	tell(0);
	result("other recv", recv(other, buf, 5, MSG_WAITALL));
	result("other send", send(other, "hello", 5, MSG_NOSIGNAL));
	out("peer got %d", hear());
	close(fd);
	close(other);
	close(l);
}

static void peer_bystander(void)
{
	struct sockaddr_in sa = address(false, hear());
	int fd = socket(AF_INET, SOCK_STREAM, 0), other = socket(AF_INET, SOCK_STREAM, 0);
	char buf[8];

	CHECK(connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0);
	CHECK(connect(other, (struct sockaddr *)&sa, sizeof(sa)) == 0);
	tell((int)recv(fd, buf, 1, 0));
	hear();
	say_to(other, "hello");
	tell((int)recv(other, buf, 5, MSG_WAITALL));
}

/* The peer answers and ends its side too: the answer is for whoever reads it, and poll() knows of the end. */
static void test_both_ended(void)
{
	struct pollfd p = {.events = POLLIN | POLLOUT | POLLRDHUP};
	char buf[8];

	p.fd = accepted();
	child_shuts(p.fd);
	tell(0);
	CHECK(hear() == 0); /* closed */
	result("recv", recv(p.fd, buf, 5, MSG_WAITALL));
	result("recv", recv(p.fd, buf, 1, 0));
	CHECK(poll(&p, 1, HANG_S * 1000) == 1);
	out("poll %s", bits((unsigned)p.revents));
	close(p.fd);
}

static void peer_answers(void)
{
	int fd = connect_there();
	char c;

	tell((int)recv(fd, &c, 1, 0));
	hear();
	say_to(fd, "hello");
	close(fd);
	usleep(200000); /* so that the end has arrived in most runs */
	tell(0);
}

/* Two children from before: one ends the stream, the other writes. */
static void test_sibling(void)
{
	int fd = accepted(), gate[2];
	char c;
	pid_t pid;

	CHECK(pipe(gate) == 0);
	pid = fork();
	if (pid == 0) {
		CHECK(read(gate[0], &c, 1) == 1);
		result("send", send(fd, "hello", 5, MSG_NOSIGNAL));
		_exit(0);
	}
	child_shuts(fd);
	CHECK(write(gate[1], "x", 1) == 1);
	out("child %#x", (unsigned)end_of(pid));
	tell(0);
	close(fd);
}

static void write_as_heir(int fd)
{
	result("send", send(fd, "hello", 5, MSG_NOSIGNAL));
}

/* exec() after shutdown(): nothing but the descriptor is left of it in the program. */
static void test_exec_shut(void)
{
	int fd = accepted();

	CHECK(shutdown(fd, SHUT_WR) == 0);
	CHECK(hear() == 0);
	out("child %#x", (unsigned)end_of(become("--write", fd)));
	tell(0);
	close(fd);
}

/* ---- many threads of a child use what it inherited at once ---- */

#define ACCEPTORS 8
static int shared_listener;
static pthread_barrier_t gate;

static void *acceptor(void *arg)
{
	char buf[4];
	int fd;

	(void)arg;
	pthread_barrier_wait(&gate);
	fd = accept(shared_listener, NULL, NULL);
	CHECK(fd >= 0);
	CHECK(recv(fd, buf, 4, MSG_WAITALL) == 4);
	CHECK(send(fd, "pong", 4, MSG_NOSIGNAL) == 4);
	close(fd);
	return NULL;
}

static void accept_together(void)
{
	pthread_t t[ACCEPTORS];
	int i;

	CHECK(pthread_barrier_init(&gate, NULL, ACCEPTORS) == 0);
	for (i = 0; i < ACCEPTORS; i++)
		CHECK(pthread_create(&t[i], NULL, acceptor, NULL) == 0);
	for (i = 0; i < ACCEPTORS; i++)
		pthread_join(t[i], NULL);
	_exit(0);
}

static void test_fork_threads(void)
{
	pid_t pid;
	int i;

	shared_listener = listen_here(0, 64);
	tell(ACCEPTORS * 10);
	for (i = 0; i < 10; i++) {
		pid = fork();
		if (pid == 0)
			accept_together();
		out("child %#x", (unsigned)end_of(pid));
	}
	out("peer got %d", hear());
	close(shared_listener);
}

/* ---- a child that libc did not make for us, as forkpty() and clone() do ---- */

static pid_t unseen_fork(void)
{
	fflush(stdout);
	return (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}

/* It closes its copy of fd and ends. */
static void unseen_child_closes(int fd)
{
	pid_t pid = unseen_fork();

	if (pid == 0) {
		close(fd);
		_exit(0);
	}
	out("child %#x", (unsigned)end_of(pid));
}

static void still_hears(int fd)
{
	char buf[8];

	tell(1);
	result("recv", recv(fd, buf, 5, MSG_WAITALL));
	tell(0);
	close(fd);
}

static void test_unseen_closes(void)
{
	int fd = accepted();

	unseen_child_closes(fd);
	still_hears(fd);
}

/* The same, of a connection that a forked child knew before. */
static void test_unseen_shared(void)
{
	int fd = accepted();
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	out("child %#x", (unsigned)end_of(pid));
	unseen_child_closes(fd);
	still_hears(fd);
}

static void serve_waiting(int l)
{
	struct pollfd p = {l, POLLIN, 0};

	result("poll", poll(&p, 1, 10000));
	serve_one(l);
}

static void test_unseen_listener(void)
{
	int l = listen_here(0, 5);

	unseen_child_closes(l);
	tell(1);
	serve_waiting(l);
	out("peer got %d", hear());
	close(l);
}

/* It serves itself: a service may take it on as it would a program that was passed the listener. */
static void test_unseen_serves(void)
{
	int l = listen_here(0, 5);
	pid_t pid = unseen_fork();

	if (pid == 0) {
		tell(1);
		serve_waiting(l);
		_exit(0);
	}
	out("child %#x", (unsigned)end_of(pid));
	out("peer got %d", hear());
	close(l);
}

/* ---- exec() ---- */

/* More descriptors stay open than one string of the environment can tell of. */
#define COPIES 8000

static void count_copies(int fd)
{
	struct stat st, copy;
	int i, n = 0, nameless = 0;

	CHECK(fstat(fd, &st) == 0);
	for (i = 3; i < 3 * COPIES; i++) {
		if (fstat(i, &copy) != 0)
			continue;
		if (copy.st_ino == st.st_ino)
			n++;
		else if (S_ISREG(copy.st_mode) && copy.st_nlink == 0)
			nameless++;
	}
	out("copies %d, nameless files %d", n, nameless);
	result("send", send(fd + COPIES / 2, "hello", 5, MSG_NOSIGNAL));
}

static void test_exec_many(void)
{
	struct rlimit rl;
	int fd = accepted(), n = 0;
	pid_t pid;

	CHECK(getrlimit(RLIMIT_NOFILE, &rl) == 0);
	rl.rlim_cur = 2 * COPIES;
	CHECK(rl.rlim_max >= rl.rlim_cur && setrlimit(RLIMIT_NOFILE, &rl) == 0);
	pid = fork();
	if (pid == 0) {
		while (n < COPIES && dup(fd) >= 0)
			n++;
		CHECK(n == COPIES);
		exec_as("--count", fd);
	}
	out("child %#x", (unsigned)end_of(pid));
	tell(0);
	out("peer got %d", hear());
	close(fd);
}

static void peer_got(void)
{
	int fd = connect_there();
	char buf[5];

	hear();
	tell((int)recv(fd, buf, 5, MSG_WAITALL));
	close(fd);
}

static void show_options(int fd)
{
	struct timeval tv;
	struct linger lg;
	socklen_t len = sizeof(tv);
	int v;

	CHECK(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, &len) == 0);
	out("rcvtimeo %ld", (long)tv.tv_sec);
	len = sizeof(lg);
	CHECK(getsockopt(fd, SOL_SOCKET, SO_LINGER, &lg, &len) == 0);
	out("linger %d %d", lg.l_onoff, lg.l_linger);
	len = sizeof(v);
	CHECK(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &v, &len) == 0);
	out("nodelay %d", v != 0);
	CHECK(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &v, &len) == 0);
	out("keepalive %d", v != 0);
	CHECK(getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &v, &len) == 0);
	out("keepidle %d", v);
	result("recv", recv(fd, &v, 1, 0)); /* ended by the time-out */
}

static void set_options(int fd)
{
	struct timeval tv = {.tv_sec = 1};
	struct linger lg = {1, 3};
	int one = 1, idle = 77;

	CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) == 0);
	CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg)) == 0);
	CHECK(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == 0);
	CHECK(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one)) == 0);
	CHECK(setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle)) == 0);
}

static void test_exec_options(void)
{
	int fd = accepted();

	set_options(fd);
	out("child %#x", (unsigned)end_of(become("--show", fd)));
	tell(0);
	close(fd);
}

/* What the next program accepts has the options of the listener. */
static void accept_and_show(int l)
{
	int fd = accept(l, NULL, NULL);

	CHECK(fd >= 0);
	show_options(fd);
}

static void test_exec_listener(void)
{
	struct sockaddr_in sa = address(false, 0);
	int l = socket(AF_INET, SOCK_STREAM, 0);

	CHECK(bind(l, (struct sockaddr *)&sa, sizeof(sa)) == 0);
	set_options(l);
	CHECK(listen(l, 5) == 0);
	tell(port_of(l));
	out("child %#x", (unsigned)end_of(become("--accept", l)));
	tell(0);
	close(l);
}

/* ---- children that call listen() themselves on what their parent only bound ---- */

static int bound(void)
{
	struct sockaddr_in sa = address(false, 0);
	int l = socket(AF_INET, SOCK_STREAM, 0);

	CHECK(l >= 0 && bind(l, (struct sockaddr *)&sa, sizeof(sa)) == 0);
	return l;
}

static pid_t listening_child(int l, int said)
{
	int i;
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	CHECK(listen(l, 16) == 0);
	CHECK(write(said, "x", 1) == 1);
	for (i = 0; i < 5; i++)
		serve_one(l);
	_exit(0);
}

/* The last comes when nobody listens any more. */
static void test_child_listens(void)
{
	int l = bound(), said[2];
	char c;
	pid_t pid[2];

	CHECK(pipe(said) == 0);
	pid[0] = listening_child(l, said[1]);
	CHECK(read(said[0], &c, 1) == 1);
	pid[1] = listening_child(l, said[1]);
	CHECK(read(said[0], &c, 1) == 1);
	tell(port_of(l));
	tell(10);
	out("child %#x", (unsigned)end_of(pid[0]));
	out("child %#x", (unsigned)end_of(pid[1]));
	out("peer got %d", hear());
	pid[0] = listening_child(l, said[1]);
	CHECK(read(said[0], &c, 1) == 1);
	tell(port_of(l));
	tell(5);
	out("child %#x", (unsigned)end_of(pid[0]));
	out("peer got %d", hear());
	close(l);
}

static void peer_clients_twice(void)
{
	peer_clients();
	peer_clients();
}

/* What one of them set before the other listens too. */
static void test_child_nonblock(void)
{
	int l = bound(), go[2];
	char c;
	pid_t pid;

	CHECK(pipe(go) == 0);
	pid = fork();
	if (pid == 0) {
		CHECK(read(go[0], &c, 1) == 1);
		CHECK(listen(l, 16) == 0);
		result("accept", accept(l, NULL, NULL));
		out("nonblock %d", (fcntl(l, F_GETFL) & O_NONBLOCK) != 0);
		_exit(0);
	}
	CHECK(listen(l, 16) == 0);
	nonblock(l);
	CHECK(write(go[1], "x", 1) == 1);
	out("child %#x", (unsigned)end_of(pid));
	close(l);
	tell(0);
}

static void peer_idle(void)
{
	hear();
}

/* shutdown() by one of them is the end of the listener for all. */
static void test_child_shuts_listener(void)
{
	int l = listen_here(0, 5);
	pid_t pid = fork();

	if (pid == 0) {
		CHECK(shutdown(l, SHUT_RDWR) == 0);
		_exit(0);
	}
	out("child %#x", (unsigned)end_of(pid));
	tell(1);
	out("refused %d", hear() == ECONNREFUSED);
	result("accept", accept(l, NULL, NULL));
	close(l);
}

/* ---- the first thing that a child does with what it inherited is to wait for it ---- */

#define PATIENCE_S 20

static int wait_poll(int fd)
{
	struct pollfd p = {fd, POLLIN, 0};

	return poll(&p, 1, PATIENCE_S * 1000);
}

static int wait_ppoll(int fd)
{
	struct pollfd p[2] = {{-1, POLLIN, 0}, {fd, POLLIN, 0}};
	struct timespec ts = {.tv_sec = PATIENCE_S};

	return ppoll(p, 2, &ts, NULL);
}

static int wait_select(int fd)
{
	struct timeval tv = {.tv_sec = PATIENCE_S};
	fd_set set;

	FD_ZERO(&set);
	FD_SET(fd, &set);
	return select(fd + 1, &set, NULL, NULL, &tv);
}

static int wait_pselect(int fd)
{
	struct timespec ts = {.tv_sec = PATIENCE_S};
	fd_set set;

	FD_ZERO(&set);
	FD_SET(fd, &set);
	return pselect(fd + 1, &set, NULL, NULL, &ts, NULL);
}

static int wait_epoll_poll(int fd)
{
	struct epoll_event ev = {.events = EPOLLIN};
	int ep = epoll_create1(0);

	CHECK(ep >= 0 && epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0);
	return wait_poll(ep);
}

/* The grandchild lets the peer send, once the child waits in most runs. */
static void wait_as_child(int fd, int (*wait)(int fd), unsigned delay_us)
{
	char buf[8];
	pid_t pid = fork();

	if (pid == 0) {
		usleep(delay_us);
		tell(1);
		_exit(0);
	}
	if (delay_us == 0)
		out("grandchild %#x", (unsigned)end_of(pid));
	result("wait", wait(fd));
	result("recv", recv(fd, buf, 5, MSG_DONTWAIT));
	_exit(0);
}

static void wait_forked_twice(int (*wait)(int fd), unsigned delay_us)
{
	int fd = accepted();
	pid_t pid = fork();

	if (pid == 0)
		wait_as_child(fd, wait, delay_us);
	close(fd);
	out("child %#x", (unsigned)end_of(pid));
}

static void test_first_wait(void)
{
	static int (*const waits[])(int fd) = {
		wait_poll, wait_ppoll, wait_select, wait_pselect, wait_epoll_poll};
	size_t i;

	for (i = 0; i < 2 * sizeof(waits) / sizeof(waits[0]); i++) {
		out("wait %zu", i);
		wait_forked_twice(waits[i / 2], i % 2 * 100000);
	}
	tell(0);
}

/* Five bytes on a connection of its own each time. */
static void peer_first_wait(void)
{
	int port, fd;

	while ((port = hear()) != 0) {
		struct sockaddr_in sa = address(false, port);

		fd = socket(AF_INET, SOCK_STREAM, 0);
		CHECK(connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0);
		hear();
		say_to(fd, "hello");
		close(fd);
	}
}

static void test_first_wait_listener(void)
{
	struct pollfd p;
	int l = listen_here(0, 16);
	pid_t pid = fork();

	if (pid == 0) {
		pid = fork();
		if (pid == 0) {
			usleep(100000);
			tell(1);
			_exit(0);
		}
		p = (struct pollfd){l, POLLIN, 0};
		result("wait", poll(&p, 1, PATIENCE_S * 1000));
		serve_one(l);
		_exit(0);
	}
	close(l);
	out("child %#x", (unsigned)end_of(pid));
	out("peer got %d", hear());
}

static const struct tcase cases[] = {
	{"half_closed", test_half_closed, peer_sees_end},
	{"bystander", test_bystander, peer_bystander},
	{"both_ended", test_both_ended, peer_answers},
	{"sibling", test_sibling, peer_sees_end},
	{"exec_shut", test_exec_shut, peer_sees_end},
	{"exec_many", test_exec_many, peer_got},
	{"exec_options", test_exec_options, peer_wait},
	{"exec_listener", test_exec_listener, peer_wait},
	{"fork_threads", test_fork_threads, peer_clients},
	{"unseen_closes", test_unseen_closes, peer_sender},
	{"unseen_shared", test_unseen_shared, peer_sender},
	{"unseen_listener", test_unseen_listener, peer_clients},
	{"unseen_serves", test_unseen_serves, peer_clients},
	{"child_listens", test_child_listens, peer_clients_twice},
	{"child_nonblock", test_child_nonblock, peer_idle},
	{"child_shuts_listener", test_child_shuts_listener, peer_refused},
	{"first_wait", test_first_wait, peer_first_wait},
	{"first_wait_listener", test_first_wait_listener, peer_clients},
};

/* What the next program does with the descriptor that it inherits. */
static const struct role roles[] = {
	{"--write", write_as_heir},
	{"--count", count_copies},
	{"--show", show_options},
	{"--accept", accept_and_show},
};

int main(int argc, char **argv)
{
	if (RUN_ROLE(argc, argv, roles))
		return 0;
	return RUN(argc, argv, cases);
}
