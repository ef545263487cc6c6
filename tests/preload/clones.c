/*
 * clones.c - children that clone() makes, with memory and descriptors shared or not.
 */
#include "peers.h"
#include <sched.h>
#include <sys/syscall.h>

static char stack[1 << 16] __attribute__((aligned(16)));

#define TOP (stack + sizeof(stack))

static int ends(pid_t pid)
{
	int status;

	CHECK(pid > 0 && waitpid(pid, &status, __WALL) == pid);
	return status;
}

/* A connection is used by the child, then by the parent again. */
static int child_echo(void *arg)
{
	char buf[8];
	int fd = *(int *)arg;

	if (recv(fd, buf, 5, MSG_WAITALL) != 5 || send(fd, buf, 5, MSG_NOSIGNAL) != 5)
		return 9;
	return 4;
}

static void use_with(int flags)
{
	int fd = accepted();
	char buf[8] = "";

	tell(1);
	out("child %#x", (unsigned)ends(clone(child_echo, TOP, flags, &fd)));
	out("peer %d", hear());
	tell(1);
	result("recv", recv(fd, buf, 5, MSG_WAITALL));
	result("send", send(fd, buf, 5, MSG_NOSIGNAL));
	out("peer %d", hear());
	tell(0);
	close(fd);
}

static void test_fork(void)
{
	use_with(SIGCHLD);
}

static void test_vfork(void)
{
	use_with(CLONE_VM | CLONE_VFORK | SIGCHLD);
}

static void test_shared(void)
{
	use_with(CLONE_VM | CLONE_FILES | CLONE_VFORK | SIGCHLD);
}

static void test_no_signal(void)
{
	use_with(0);
}

static void peer_echoes(void)
{
	int fd = connect_there();
	char buf[8];

	while (hear() == 1) {
		say_to(fd, "hello");
		tell(recv(fd, buf, 5, MSG_WAITALL) == 5 && memcmp(buf, "hello", 5) == 0);
	}
	close(fd);
}

/* What the child closes stays open in the parent, unless they share their descriptors. */
static int child_close(void *arg)
{
	close(*(int *)arg);
	return 0;
}

static void test_close(void)
{
	static const int flags[] = {SIGCHLD, CLONE_VM | CLONE_VFORK | SIGCHLD,
		CLONE_VM | CLONE_FILES | CLONE_VFORK | SIGCHLD};
	int fd = accepted(), i;

	for (i = 0; i < 3; i++) {
		out("child %#x", (unsigned)ends(clone(child_close, TOP, flags[i], &fd)));
		result("send", send(fd, "x", 1, MSG_NOSIGNAL));
	}
	tell(0);
}

/* The last words of a child that returns reach the peer. */
static int child_says(void *arg)
{
	return send(*(int *)arg, "last words", 10, MSG_NOSIGNAL) == 10 ? 0 : 1;
}

static void test_last_words(void)
{
	int fd = accepted();
	pid_t pid = clone(child_says, TOP, SIGCHLD, &fd);

	close(fd);
	out("child %#x", (unsigned)ends(pid));
	out("peer %d", hear());
}

static void peer_hears(void)
{
	int fd = connect_there();
	char buf[32];

	tell((int)recv(fd, buf, sizeof(buf), MSG_WAITALL));
	close(fd);
}

static int child_ids(void *arg)
{
	(void)arg;
	return getppid() == 0;
}

static void test_words(void)
{
	int fd = accepted(), parent = 0, child = 0, r;

	r = clone(child_ids, TOP, CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD, NULL,
		&parent, NULL, &child);
	out("parent's word %d", parent == r);
	out("child %#x", (unsigned)ends(r));
	result("no function", clone(NULL, TOP, SIGCHLD, NULL));
	result("no stack", clone(child_ids, NULL, SIGCHLD, NULL));
	result("wrong flags", clone(child_ids, TOP, CLONE_SIGHAND | SIGCHLD, NULL));
	tell(0);
	close(fd);
}

int main(int argc, char **argv)
{
	static const struct tcase cases[] = {
		{"fork", test_fork, peer_echoes},
		{"vfork", test_vfork, peer_echoes},
		{"shared", test_shared, peer_echoes},
		{"no_signal", test_no_signal, peer_echoes},
		{"close", test_close, peer_wait},
		{"last_words", test_last_words, peer_hears},
		{"words", test_words, peer_wait},
	};

	return RUN(argc, argv, cases);
}
