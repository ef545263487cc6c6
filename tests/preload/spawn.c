/*
 * spawn.c - programs that libc starts by itself (posix_spawn, system, popen) find what they inherit: connections, listeners and sockets
 * that are neither yet; and a connection ends when the last of them has closed it.
 */
#include "peers.h"
#include <pthread.h>

static char self[4096];

/* ---- peers ---- */

/* Ends its side after five bytes. */
static void peer_half_closes(void)
{
	int fd = connect_there(), n = 0;
	char buf[8] = "";

	say_to(fd, "hello");
	CHECK(shutdown(fd, SHUT_WR) == 0);
	n = (int)recv(fd, buf, 5, MSG_WAITALL);
	tell(strcmp(buf, "HELLO") == 0 && recv(fd, buf, 1, 0) == 0 ? n : -1);
	close(fd);
}

/* ---- what the programs started do: `role CASE FD` ---- */

/* By read and write: any descriptor. To stderr there is nothing to say. */
static void filter(int fd)
{
	char buf[8];
	ssize_t n = read(fd, buf, 5);

	if (n > 0 && write(fd == 0 ? 1 : fd, buf, (size_t)n) != n)
		_exit(2);
}

static void serve(int fd)
{
	serve_one(fd);
}

static void wait_for_line(int fd)
{
	char c;

	(void)fd;
	if (read(0, &c, 1) < 0)
		_exit(2);
}

static void say_flags(int fd)
{
	struct timeval tv = {0, 0};
	socklen_t len = sizeof(tv);
	int v = -1;

	out("nonblock %d", (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
	CHECK(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, &len) == 0);
	out("rcvtimeo %ld", (long)tv.tv_sec);
	len = sizeof(v);
	CHECK(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &v, &len) == 0);
	out("nodelay %d", v != 0);
	CHECK(getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &v, &len) == 0);
	out("keepidle %d", v);
}

static void listen_and_serve(int fd)
{
	CHECK(listen(fd, 5) == 0);
	CHECK(write(1, "x", 1) == 1);
	serve_one(fd);
}

static pid_t start(const char *role, int fd, const posix_spawn_file_actions_t *actions, char **env)
{
	char number[16], *argv[] = {self, (char *)(uintptr_t)role, (char *)(uintptr_t)case_name,
				 number, NULL};
	pid_t pid = -1;

	fflush(stdout);
	snprintf(number, sizeof(number), "%d", fd);
	CHECK(posix_spawn(&pid, self, actions, NULL, argv, env) == 0);
	return pid;
}

static const char *command(const char *role, int fd)
{
	static char text[4200];

	fflush(stdout);
	snprintf(text, sizeof(text), "exec %s %s %s %d", self, role, case_name, fd);
	return text;
}

static void cloexec(int fd)
{
	CHECK(fcntl(fd, F_SETFD, FD_CLOEXEC) == 0);
}

/* ---- posix_spawn ---- */

static void test_inherits(void)
{
	int fd = accepted();

	out("child %#x", (unsigned)end_of(start("--echo", fd, NULL, environ)));
	close(fd);
	out("peer %d", hear());
}

/* The program has it alone at once. */
static void test_parent_closes(void)
{
	int fd = accepted();
	pid_t pid = start("--echo", fd, NULL, environ);

	close(fd);
	out("child %#x", (unsigned)end_of(pid));
	out("peer %d", hear());
}

static void test_used_before(void)
{
	int fd = accepted();
	char buf[8];
	pid_t pid;

	result("recv", recv(fd, buf, 2, MSG_WAITALL));
	result("send", send(fd, "early", 5, MSG_NOSIGNAL));
	pid = start("--filter", fd, NULL, environ);
	close(fd);
	out("child %#x", (unsigned)end_of(pid));
	out("peer %d", hear());
}

/* As a server starts a CGI program. */
static void test_onto_stdio(void)
{
	posix_spawn_file_actions_t fa;
	int fd = accepted();
	pid_t pid;

	cloexec(fd);
	CHECK(posix_spawn_file_actions_init(&fa) == 0);
	CHECK(posix_spawn_file_actions_adddup2(&fa, fd, 0) == 0);
	CHECK(posix_spawn_file_actions_adddup2(&fa, fd, 1) == 0);
	pid = start("--filter", 0, &fa, environ);
	close(fd);
	out("child %#x", (unsigned)end_of(pid));
	out("peer %d", hear());
	posix_spawn_file_actions_destroy(&fa);
}

static void test_closed_by_action(void)
{
	posix_spawn_file_actions_t fa;
	int fd = accepted(), line[2];
	char buf[8];
	pid_t pid;

	CHECK(pipe2(line, O_CLOEXEC) == 0);
	CHECK(posix_spawn_file_actions_init(&fa) == 0);
	CHECK(posix_spawn_file_actions_adddup2(&fa, line[0], 0) == 0);
	CHECK(posix_spawn_file_actions_addclose(&fa, fd) == 0);
	pid = start("--wait", -1, &fa, environ);
	result("recv", recv(fd, buf, 5, MSG_WAITALL));
	close(fd);
	out("peer %d", hear()); /* while the program lives */
	close(line[1]);
	out("child %#x", (unsigned)end_of(pid));
	close(line[0]);
	posix_spawn_file_actions_destroy(&fa);
}

static void test_cloexec(void)
{
	posix_spawn_file_actions_t fa;
	int fd = accepted(), line[2];
	char buf[8];
	pid_t pid;

	cloexec(fd);
	CHECK(pipe2(line, O_CLOEXEC) == 0);
	CHECK(posix_spawn_file_actions_init(&fa) == 0);
	CHECK(posix_spawn_file_actions_adddup2(&fa, line[0], 0) == 0);
	pid = start("--wait", -1, &fa, environ);
	result("recv", recv(fd, buf, 5, MSG_WAITALL));
	close(fd);
	out("peer %d", hear());
	close(line[1]);
	out("child %#x", (unsigned)end_of(pid));
	close(line[0]);
	posix_spawn_file_actions_destroy(&fa);
}

/* It does not use it: the end comes with the program's. */
static void holds_until_its_end(char **env)
{
	posix_spawn_file_actions_t fa;
	int fd = accepted(), line[2];
	struct pollfd p = {.fd = ctl, .events = POLLIN};
	char buf[8];
	pid_t pid;

	CHECK(pipe2(line, O_CLOEXEC) == 0);
	CHECK(posix_spawn_file_actions_init(&fa) == 0);
	CHECK(posix_spawn_file_actions_adddup2(&fa, line[0], 0) == 0);
	pid = start("--wait", -1, &fa, env);
	result("recv", recv(fd, buf, 5, MSG_WAITALL));
	close(fd);
	out("peer told %d", poll(&p, 1, 300));
	close(line[1]);
	out("child %#x", (unsigned)end_of(pid));
	out("peer %d", hear());
	close(line[0]);
	posix_spawn_file_actions_destroy(&fa);
}

static void test_held(void)
{
	holds_until_its_end(environ);
}

/* A program that libtas is not loaded into. */
static void test_held_unseen(void)
{
	char *env[] = {(char *)(uintptr_t) "LD_PRELOAD=", (char *)(uintptr_t) "TAS_SOCKET=", NULL};

	holds_until_its_end(env);
}

static void test_no_environment(void)
{
	char *env[] = {NULL};
	int fd = accepted();
	pid_t pid = start("--echo", fd, NULL, env);

	close(fd);
	out("child %#x", (unsigned)end_of(pid));
	out("peer %d", hear());
}

static void test_fails(void)
{
	char *argv[] = {self, NULL};
	int fd = accepted(), err;
	pid_t pid = 4711;

	errno = 0;
	err = posix_spawn(&pid, "/nonexistent", NULL, NULL, argv, environ);
	out("posix_spawn %s errno %d", strerrorname_np(err), errno);
	err = posix_spawnp(&pid, "no-such-program", NULL, NULL, argv, environ);
	out("posix_spawnp %s errno %d", strerrorname_np(err), errno);
	echo_five(fd);
	close(fd);
	out("peer %d", hear());
}

static void test_spawnp(void)
{
	char number[16], *argv[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c",
				 (char *)(uintptr_t) "cat <&$0 | tr a-z A-Z >&$0", number, NULL};
	int fd = accepted();
	pid_t pid;

	fflush(stdout);
	snprintf(number, sizeof(number), "%d", fd);
	CHECK(posix_spawnp(&pid, "sh", NULL, NULL, argv, environ) == 0);
	close(fd);
	out("peer %d", hear());
	out("child %#x", (unsigned)end_of(pid));
}

/* Several at once, one of them twice; and a second program, which gets what the first had. */
static void test_several(void)
{
	int fd[3], i, copy;
	pid_t pid[3];

	for (i = 0; i < 3; i++)
		fd[i] = accepted();
	copy = dup(fd[0]);
	for (i = 0; i < 3; i++)
		pid[i] = start("--filter", fd[i], NULL, environ);
	for (i = 0; i < 3; i++)
		out("child %#x", (unsigned)end_of(pid[i]));
	close(copy);
	for (i = 0; i < 3; i++)
		close(fd[i]);
}

static void peer_several(void)
{
	int fd[3], i, n = 0;
	char buf[8];

	for (i = 0; i < 3; i++) {
		fd[i] = connect_there();
		say_to(fd[i], "hello");
	}
	for (i = 0; i < 3; i++)
		n += recv(fd[i], buf, 5, MSG_WAITALL) == 5 && recv(fd[i], buf, 1, 0) == 0;
	if (n != 3)
		out("peer got %d", n);
}

static void test_options(void)
{
	struct timeval tv = {.tv_sec = 7};
	int fd = accepted(), one = 1, idle = 77;
	char buf[8];

	result("recv", recv(fd, buf, 5, MSG_WAITALL));
	CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
	CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) == 0);
	CHECK(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == 0);
	CHECK(setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle)) == 0);
	out("child %#x", (unsigned)end_of(start("--flags", fd, NULL, environ)));
	close(fd);
	out("peer %d", hear());
}

static void *spawn_in_thread(void *arg)
{
	int fd = *(int *)arg;

	out("child %#x", (unsigned)end_of(start("--echo", fd, NULL, environ)));
	return NULL;
}

static void test_thread(void)
{
	int fd = accepted();
	pthread_t t;

	CHECK(pthread_create(&t, NULL, spawn_in_thread, &fd) == 0);
	pthread_join(t, NULL);
	close(fd);
	out("peer %d", hear());
}

/* ---- listeners ---- */

static void test_listener(void)
{
	int l = listen_here(0, 5);
	pid_t pid = start("--serve", l, NULL, environ);

	close(l);
	tell(1);
	out("child %#x", (unsigned)end_of(pid));
	out("peer got %d", hear());
}

static void test_listener_both(void)
{
	int l = listen_here(0, 5);
	pid_t pid = start("--serve", l, NULL, environ);

	tell(2);
	serve_one(l);
	out("child %#x", (unsigned)end_of(pid));
	out("peer got %d", hear());
	close(l);
}

/* Bound, and nothing more: the program listens. */
static void test_bound(void)
{
	struct sockaddr_in sa = address(false, 0);
	int l = socket(AF_INET, SOCK_STREAM, 0), said[2];
	posix_spawn_file_actions_t fa;
	pid_t pid;
	char c;

	CHECK(l >= 0 && bind(l, (struct sockaddr *)&sa, sizeof(sa)) == 0 &&
		pipe2(said, O_CLOEXEC) == 0);
	CHECK(posix_spawn_file_actions_init(&fa) == 0);
	CHECK(posix_spawn_file_actions_adddup2(&fa, said[1], 1) == 0);
	pid = start("--listen", l, &fa, environ);
	tell(port_of(l));
	close(l);
	CHECK(read(said[0], &c, 1) == 1);
	tell(1);
	out("child %#x", (unsigned)end_of(pid));
	out("peer got %d", hear());
	posix_spawn_file_actions_destroy(&fa);
	close(said[0]);
	close(said[1]);
}

/* ---- system and popen ---- */

static void test_system(void)
{
	int fd = accepted();

	out("system %#x", (unsigned)system(command("--echo", fd)));
	close(fd);
	out("peer %d", hear());
}

static void test_system_plain(void)
{
	int fd = accepted();

	fflush(stdout);
	out("system %d", system(NULL) != 0);
	out("system %#x", (unsigned)system("exit 3"));
	out("system %#x", (unsigned)system("kill -9 $$"));
	echo_five(fd);
	close(fd);
	out("peer %d", hear());
}

static void test_popen(void)
{
	char line[256];
	int fd = accepted();
	FILE *f = popen(command("--filter", fd), "r");

	CHECK(f != NULL);
	close(fd);
	out("line %d", fgets(line, sizeof(line), f) != NULL);
	out("pclose %#x", (unsigned)pclose(f));
	out("peer %d", hear());
}

static void test_popen_write(void)
{
	int fd = accepted();
	FILE *f = popen(command("--wait", fd), "we");

	CHECK(f != NULL);
	echo_five(fd);
	close(fd);
	out("cloexec %d", fcntl(fileno(f), F_GETFD));
	out("pclose %#x", (unsigned)pclose(f));
	out("peer %d", hear());
	f = popen("exit 5", "x");
	out("popen %d %s", f != NULL, f == NULL ? strerrorname_np(errno) : "");
}

static const struct tcase cases[] = {
	{"inherits", test_inherits, peer_talks},
	{"parent_closes", test_parent_closes, peer_talks},
	{"used_before", test_used_before, peer_talks},
	{"onto_stdio", test_onto_stdio, peer_talks},
	{"closed_by_action", test_closed_by_action, peer_talks},
	{"cloexec", test_cloexec, peer_talks},
	{"held", test_held, peer_talks},
	{"held_unseen", test_held_unseen, peer_talks},
	{"no_environment", test_no_environment, peer_talks},
	{"fails", test_fails, peer_talks},
	{"spawnp", test_spawnp, peer_half_closes},
	{"several", test_several, peer_several},
	{"options", test_options, peer_talks},
	{"thread", test_thread, peer_talks},
	{"listener", test_listener, peer_clients},
	{"listener_both", test_listener_both, peer_clients},
	{"bound", test_bound, peer_clients},
	{"system", test_system, peer_talks},
	{"system_plain", test_system_plain, peer_talks},
	{"popen", test_popen, peer_talks},
	{"popen_write", test_popen_write, peer_talks},
};

static const struct role roles[] = {
	{"--echo", echo_five},
	{"--filter", filter},
	{"--serve", serve},
	{"--wait", wait_for_line},
	{"--flags", say_flags},
	{"--listen", listen_and_serve},
};

int main(int argc, char **argv)
{
	CHECK(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	if (RUN_ROLE(argc, argv, roles))
		return 0;
	return RUN(argc, argv, cases);
}
