/*
 * dropped.c - servers that give up what they were started with, identity or root folder, and fork their workers afterwards.
 */
#include "peers.h"
#include <grp.h>

#define NOBODY	65534
#define WORKERS 3
#define SHORT	100 /* children that end at once, as those that run a CGI program */

static void become_nobody(void)
{
	CHECK(setgroups(0, NULL) == 0);
	CHECK(setresgid(NOBODY, NOBODY, NOBODY) == 0);
	CHECK(setresuid(NOBODY, NOBODY, NOBODY) == 0);
}

static void move_away(void)
{
	CHECK(chroot("/proc") == 0);
	CHECK(chdir("/") == 0);
}

static void echo(int fd)
{
	char buf[16];
	ssize_t n = recv(fd, buf, sizeof(buf), 0);

	CHECK(n > 0 && send(fd, buf, (size_t)n, MSG_NOSIGNAL) == n);
	close(fd);
}

/* Each of the workers serves a connection. */
static void serve_as(void (*drop)(void), int children)
{
	int l = listen_here(0, 16), i;
	pid_t server = fork(), pid[WORKERS];

	if (server == 0) {
		drop();
		for (i = 0; i < children; i++) {
			pid[0] = fork();
			if (pid[0] == 0)
				_exit(0);
			CHECK(end_of(pid[0]) == 0);
		}
		for (i = 0; i < WORKERS; i++) {
			pid[i] = fork();
			if (pid[i] == 0) {
				echo(accept(l, NULL, NULL));
				_exit(0);
			}
		}
		for (i = 0; i < WORKERS; i++)
			out("worker %#x", (unsigned)end_of(pid[i]));
		_exit(0);
	}
	out("server %#x", (unsigned)end_of(server));
	close(l);
}

static void test_setuid(void)
{
	serve_as(become_nobody, 0);
}

static void test_chroot(void)
{
	serve_as(move_away, 0);
}

static void test_many_children(void)
{
	serve_as(become_nobody, SHORT);
}

/* A connection instead of a listener: the child answers on it, its parent ends. */
static void test_connection(void)
{
	int fd = accepted();
	pid_t server = fork(), child;

	if (server == 0) {
		become_nobody();
		child = fork();
		if (child == 0) {
			echo(fd);
			_exit(0);
		}
		close(fd);
		out("child %#x", (unsigned)end_of(child));
		_exit(0);
	}
	close(fd);
	out("server %#x", (unsigned)end_of(server));
}

static void ask_once(const struct sockaddr_in *sa)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char buf[8];

	CHECK(connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) == 0);
	say_to(fd, "hello");
	CHECK(recv(fd, buf, 5, MSG_WAITALL) == 5 && memcmp(buf, "hello", 5) == 0);
	CHECK(recv(fd, buf, 1, 0) == 0);
	close(fd);
}

static void peer_asks_each(void)
{
	struct sockaddr_in sa = address(false, hear());
	int i;

	for (i = 0; i < WORKERS; i++)
		ask_once(&sa);
}

static void peer_asks(void)
{
	struct sockaddr_in sa = address(false, hear());

	ask_once(&sa);
}

static const struct tcase cases[] = {
	{"setuid", test_setuid, peer_asks_each},
	{"chroot", test_chroot, peer_asks_each},
	{"many_children", test_many_children, peer_asks_each},
	{"connection", test_connection, peer_asks},
};

int main(int argc, char **argv)
{
	return RUN(argc, argv, cases);
}
