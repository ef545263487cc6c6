/*
 * daemons.c - programs that leave who started them: daemon() after bind and listen, two forks and a session of their own, exec from a
 * thread, of a script, without an environment, by vfork; and what they serve and inherit then.
 */
#include "peers.h"
#include <pthread.h>

/* ---- servers that go to the background ---- */

static void serve_two(int l)
{
	tell(2);
	serve_one(l);
	serve_one(l);
	_exit(0);
}

/* The one that started them ends at once. */
static void in_background(void (*leave)(int l))
{
	int l = listen_here(0, 5);
	pid_t pid = fork();

	if (pid == 0)
		leave(l);
	out("child %#x", (unsigned)end_of(pid));
	close(l);
	out("peer got %d", hear());
}

static void by_daemon(int l)
{
	if (daemon(0, 1) != 0)
		_exit(3);
	serve_two(l);
}

static void test_daemon(void)
{
	in_background(by_daemon);
}

static void by_two_forks(int l)
{
	pid_t pid;

	if (setsid() < 0)
		_exit(3);
	pid = fork();
	if (pid != 0)
		_exit(pid < 0 ? 4 : 0);
	serve_two(l);
}

static void test_two_forks(void)
{
	in_background(by_two_forks);
}

/* Bound before, listening after. */
static void bound_then_daemon(int l)
{
	if (daemon(1, 1) != 0 || listen(l, 5) != 0)
		_exit(3);
	serve_two(l);
}

static void test_listens_as_daemon(void)
{
	struct sockaddr_in sa = address(false, 0);
	int l = socket(AF_INET, SOCK_STREAM, 0);
	pid_t pid;

	CHECK(l >= 0 && bind(l, (struct sockaddr *)&sa, sizeof(sa)) == 0);
	tell(port_of(l));
	pid = fork();
	if (pid == 0)
		bound_then_daemon(l);
	out("child %#x", (unsigned)end_of(pid));
	close(l);
	out("peer got %d", hear());
}

/* A connection that was there before goes on in the background. */
static void echo_in_background(int fd)
{
	if (daemon(0, 1) != 0)
		_exit(3);
	echo_five(fd);
	_exit(0);
}

static void test_connection_of_daemon(void)
{
	int fd = accepted();
	pid_t pid = fork();

	if (pid == 0)
		echo_in_background(fd);
	CHECK(end_of(pid) == 0);
	close(fd);
	out("peer %d", hear());
}

/* ---- exec ---- */

static void *exec_in_thread(void *arg)
{
	exec_as("--echo", *(int *)arg);
	return NULL;
}

static void test_exec_of_thread(void)
{
	int fd = accepted();
	pid_t pid = fork();
	pthread_t t;

	if (pid == 0) {
		CHECK(pthread_create(&t, NULL, exec_in_thread, &fd) == 0);
		pause();
	}
	close(fd);
	out("child %#x", (unsigned)end_of(pid));
	out("peer %d", hear());
}

static void test_exec_without_environment(void)
{
	char number[16], self[4096] = "", *none[] = {NULL};
	int fd = accepted();
	pid_t pid = fork();

	if (pid == 0) {
		CHECK(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
		snprintf(number, sizeof(number), "%d", fd);
		execle(self, self, "--echo", case_name, number, NULL, none);
		die("exec");
	}
	close(fd);
	out("child %#x", (unsigned)end_of(pid));
	out("peer %d", hear());
}

/* A script with a "#!" line, which reads five bytes and writes them back. */
static void make_script(char path[32])
{
	static const char text[] = "#!/bin/sh\nexec head -c 5 <&$1 >&$1\n";
	int fd;

	strcpy(path, "/tmp/tas-script-XXXXXX");
	fd = mkstemp(path);
	CHECK(fd >= 0 && write(fd, text, sizeof(text) - 1) == (ssize_t)sizeof(text) - 1);
	CHECK(fchmod(fd, 0700) == 0);
	close(fd);
}

static void test_exec_script(void)
{
	char path[32], number[16];
	int fd = accepted();
	pid_t pid;

	make_script(path);
	pid = vfork();
	if (pid == 0) {
		snprintf(number, sizeof(number), "%d", fd);
		execl(path, path, number, NULL);
		_exit(127);
	}
	close(fd);
	out("child %#x", (unsigned)end_of(pid));
	out("peer %d", hear());
	unlink(path);
}

static void test_spawn_script(void)
{
	char path[32], number[16], *argv[] = {path, number, NULL};
	int fd = accepted();
	pid_t pid;

	make_script(path);
	snprintf(number, sizeof(number), "%d", fd);
	CHECK(posix_spawn(&pid, path, NULL, NULL, argv, environ) == 0);
	close(fd);
	out("child %#x", (unsigned)end_of(pid));
	out("peer %d", hear());
	unlink(path);
}

/* Twice: the next program starts one more, which has it in the end. */
static void spawn_again(int fd)
{
	char number[16], self[4096] = "", role[] = "--echo";
	char *argv[] = {self, role, (char *)(uintptr_t)case_name, number, NULL};
	pid_t pid;

	CHECK(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	snprintf(number, sizeof(number), "%d", fd);
	CHECK(posix_spawn(&pid, self, NULL, NULL, argv, environ) == 0);
	close(fd);
	out("grandchild %#x", (unsigned)end_of(pid));
}

static void test_exec_then_spawn(void)
{
	int fd = accepted();
	pid_t pid = become("--spawn", fd);

	close(fd);
	out("child %#x", (unsigned)end_of(pid));
	out("peer %d", hear());
}

/* exec fails: the connection is the program's as before, and ends with it. */
static void test_exec_fails(void)
{
	int fd = accepted();

	result("execl", execl("/nonexistent", "nonexistent", NULL));
	echo_five(fd);
	close(fd);
	out("peer %d", hear());
}

static const struct tcase cases[] = {
	{"daemon", test_daemon, peer_clients},
	{"two_forks", test_two_forks, peer_clients},
	{"listens_as_daemon", test_listens_as_daemon, peer_clients},
	{"connection_of_daemon", test_connection_of_daemon, peer_talks},
	{"exec_of_thread", test_exec_of_thread, peer_talks},
	{"exec_without_environment", test_exec_without_environment, peer_talks},
	{"exec_script", test_exec_script, peer_talks},
	{"spawn_script", test_spawn_script, peer_talks},
	{"exec_then_spawn", test_exec_then_spawn, peer_talks},
	{"exec_fails", test_exec_fails, peer_talks},
};

static const struct role roles[] = {
	{"--echo", echo_five},
	{"--spawn", spawn_again},
};

int main(int argc, char **argv)
{
	if (RUN_ROLE(argc, argv, roles))
		return 0;
	return RUN(argc, argv, cases);
}
