/*
 * fork.c - processes: fork, exec, daemon, exit, and who goes on with a listener or a connection.
 */
#include <linux/close_range.h>
#include "peers.h"

static int reap(pid_t pid)
{
	int status;

	CHECK(waitpid(pid, &status, 0) == pid);
	return status;
}

/* Pre-forked servers: the children accept from the parent's listener. */
static void test_prefork(void)
{
	int l = listen_here(0, 64), i;
	pid_t pid[3];

	for (i = 0; i < 3; i++) {
		pid[i] = fork();
		CHECK(pid[i] >= 0);
		if (pid[i] == 0) {
			int k;

			for (k = 0; k < 10; k++)
				serve_one(l);
			_exit(0);
		}
	}
	tell(30);
	for (i = 0; i < 3; i++)
		out("child %#x", (unsigned)reap(pid[i]));
	out("peer got %d", hear());
	close(l);
}

/* The parent closes its copy; the child goes on alone. */
static void test_parent_closes(void)
{
	int l = listen_here(0, 64);
	pid_t pid = fork();

	if (pid == 0) {
		int k;

		for (k = 0; k < 5; k++)
			serve_one(l);
		_exit(0);
	}
	close(l);
	tell(5);
	out("child %#x", (unsigned)reap(pid));
	out("peer got %d", hear());
}

/* The child dies; the parent still accepts. */
static void test_child_dies(void)
{
	int l = listen_here(0, 64), i;
	pid_t pid = fork();

	if (pid == 0) {
		struct epoll_event ev = {.events = EPOLLIN};
		int ep = epoll_create1(0);

		epoll_ctl(ep, EPOLL_CTL_ADD, l, &ev);
		raise(SIGKILL);
	}
	out("child %#x", (unsigned)reap(pid));
	tell(5);
	for (i = 0; i < 5; i++)
		serve_one(l);
	out("peer got %d", hear());
	close(l);
}

/* A connection goes on in the parent whatever the child does with its copy. */
static void test_connection_stays(void)
{
	int fd = accepted();
	char buf[10];
	pid_t pid;

	tell(1);
	await_bytes(fd, 5);
	pid = fork();
	if (pid == 0) {
		close(fd);
		_exit(0);
	}
	out("child %#x", (unsigned)reap(pid));
	result("recv", recv(fd, buf, 5, MSG_WAITALL));
	tell(1);
	result("recv", recv(fd, buf, 5, MSG_WAITALL));
	tell(0);
	result("end", recv(fd, buf, 5, MSG_WAITALL));
	close(fd);
}

/* fork and exec of another program, as system() and popen() do. */
static void test_exec(void)
{
	int fd = accepted();
	char buf[10] = {0};
	pid_t pid = vfork();
	FILE *f;

	if (pid == 0) {
		close_range(3, ~0u, 0);
		execl("/bin/true", "true", NULL);
		_exit(1);
	}
	out("child %#x", (unsigned)reap(pid));
	out("system %#x", (unsigned)system("exit 3"));
	f = popen("echo hi", "r");
	CHECK(f != NULL && fgets(buf, sizeof(buf), f) != NULL);
	out("popen %.2s", buf);
	out("status %#x", (unsigned)pclose(f));
	tell(1);
	result("recv", recv(fd, buf, 5, MSG_WAITALL));
	tell(0);
	close(fd);
}

/* The child makes connections of its own. */
static void test_child_connects(void)
{
	int port = hear();
	struct sockaddr_in sa = address(true, port);
	pid_t pid;
	int i, fd = socket(AF_INET, SOCK_STREAM, 0);
	char buf[4];

	CHECK(connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0);
	for (i = 0; i < 3; i++) {
		pid = fork();
		if (pid == 0) {
			fd = socket(AF_INET, SOCK_STREAM, 0);
			CHECK(connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0);
			CHECK(send(fd, "ping", 4, 0) == 4);
			CHECK(recv(fd, buf, 4, MSG_WAITALL) == 4);
			_exit(0);
		}
		out("child %#x", (unsigned)reap(pid));
	}
	CHECK(send(fd, "ping", 4, 0) == 4);
	result("recv", recv(fd, buf, 4, MSG_WAITALL));
	close(fd);
}

static void peer_server(void)
{
	struct sockaddr_in sa = address(true, 0);
	int l = socket(AF_INET, SOCK_STREAM, 0), i, fd, first;
	char buf[4];

	CHECK(bind(l, (struct sockaddr *)&sa, sizeof(sa)) == 0 && listen(l, 5) == 0);
	tell(port_of(l));
	first = accept(l, NULL, NULL);
	for (i = 0; i < 4; i++) {
		fd = i < 3 ? accept(l, NULL, NULL) : first;
		CHECK(recv(fd, buf, 4, MSG_WAITALL) == 4);
		CHECK(send(fd, "pong", 4, MSG_NOSIGNAL) == 4);
		close(fd);
	}
}

static void test_daemon(void)
{
	int l = listen_here(0, 64), pi[2];
	char c;
	pid_t pid;

	CHECK(pipe(pi) == 0);
	pid = fork();
	if (pid == 0) {
		CHECK(daemon(1, 1) == 0);
		serve_one(l);
		serve_one(l);
		CHECK(write(pi[1], "x", 1) == 1);
		_exit(0);
	}
	out("child %#x", (unsigned)reap(pid));
	close(l);
	tell(2);
	out("peer got %d", hear());
	result("daemon", read(pi[0], &c, 1));
}

/* A process that ends without close() has sent what it wrote. */
static void ends_by(bool quiet)
{
	int l = listen_here(0, 5), status;
	pid_t pid = fork();

	if (pid == 0) {
		int fd = accept(l, NULL, NULL);

		CHECK(fd >= 0);
		CHECK(hear() == 1);
		CHECK(recv(fd, &(char[5]){0}, 5, MSG_WAITALL) == 5);
		send_all(fd, 0, 300000);
		if (quiet)
			_exit(0);
		exit(0);
	}
	close(l);
	status = reap(pid);
	out("child %#x", (unsigned)status);
	out("peer got %d", hear());
	out("peer's end %d", hear());
}

static void test_exit(void)
{
	ends_by(false);
}

static void test_quiet_exit(void)
{
	ends_by(true);
}

static void peer_until_end(void)
{
	int fd = connect_there();
	int64_t n;

	say_to(fd, "hello");
	tell(1);
	n = recv_all(fd, 0, 300000, 65536);
	tell((int)n);
	errno = 0;
	tell(recv(fd, &fd, 1, 0) < 0 ? errno : 0);
}

static const struct tcase cases[] = {
	{"prefork", test_prefork, peer_clients},
	{"parent_closes", test_parent_closes, peer_clients},
	{"child_dies", test_child_dies, peer_clients},
	{"connection_stays", test_connection_stays, peer_sender},
	{"exec", test_exec, peer_sender},
	{"child_connects", test_child_connects, peer_server},
	{"daemon", test_daemon, peer_clients},
	{"exit", test_exit, peer_until_end},
	{"quiet_exit", test_quiet_exit, peer_until_end},
};

int main(int argc, char **argv)
{
	return RUN(argc, argv, cases);
}
