/*
 * identity.c - children that change who they are, or become another program by each name of exec: what they opened before and
 * what they open afterwards is served alike.
 */
#include "peers.h"
#include <grp.h>

#define OTHER 65534 /* nobody */

extern pid_t _Fork(void);

static int change; /* which call the child makes */

static int become_other(void)
{
	switch (change) {
	case 0:
		return setgid(OTHER);
	case 1:
		return setregid(OTHER, OTHER);
	case 2:
		return setresgid(OTHER, OTHER, OTHER);
	case 3:
		return setgroups(0, NULL);
	case 4:
		return initgroups("nobody", OTHER);
	case 5:
		return setuid(OTHER);
	case 6:
		return setreuid(OTHER, OTHER);
	case 7:
		return setresuid(OTHER, OTHER, OTHER);
	default:
		return chroot("/proc/self/fdinfo");
	}
}

/* Accepts twice and answers. */
static void peer_twice(void)
{
	int l = listen_here(0, 4), i;

	for (i = 0; i < 2; i++)
		serve_one(l);
	close(l);
}

static void exchange(const char *label, int fd)
{
	char buf[4] = "";

	result(label, send(fd, "ping", 4, MSG_NOSIGNAL));
	result(label, recv(fd, buf, 4, MSG_WAITALL));
	out("%s %.4s", label, buf);
	close(fd);
}

/* One connection from before the change, one from after it. */
static void changed_child(void)
{
	struct sockaddr_in sa = address(true, hear());
	int before = socket(AF_INET, SOCK_STREAM, 0), after;

	CHECK(connect(before, (struct sockaddr *)&sa, sizeof(sa)) == 0);
	result("change", become_other());
	exchange("before", before);
	after = socket(AF_INET, SOCK_STREAM, 0);
	result("connect", connect(after, (struct sockaddr *)&sa, sizeof(sa)));
	exchange("after", after);
}

static void with_change(int which)
{
	pid_t pid;

	change = which;
	pid = fork();
	if (pid == 0) {
		changed_child();
		_exit(0);
	}
	out("child %#x", (unsigned)end_of(pid));
}

#define CHANGE(name, which)                                                                        \
	static void test_##name(void)                                                              \
	{                                                                                          \
		with_change(which);                                                                \
	}
CHANGE(setgid, 0)
CHANGE(setregid, 1)
CHANGE(setresgid, 2)
CHANGE(setgroups, 3)
CHANGE(initgroups, 4)
CHANGE(setuid, 5)
CHANGE(setreuid, 6)
CHANGE(setresuid, 7)
CHANGE(chroot, 8)

/* ---- the names of exec ---- */

static char self[4096];

static void exec_by(int which, int fd)
{
	char number[16], role[] = "--say";
	char *argv[] = {self, role, (char *)(uintptr_t)case_name, number, NULL};

	snprintf(number, sizeof(number), "%d", fd);
	switch (which) {
	case 0:
		execv(self, argv);
		break;
	case 1:
		execvp(self, argv);
		break;
	case 2:
		execvpe(self, argv, environ);
		break;
	case 3:
		fexecve(open(self, O_RDONLY | O_CLOEXEC), argv, environ);
		break;
	case 4:
		execlp(self, self, role, case_name, number, NULL);
		break;
	case 5:
		execle(self, self, role, case_name, number, NULL, environ);
		break;
	default:
		execve(self, argv, environ);
	}
	die("exec");
}

static void with_exec(int which)
{
	int fd = accepted();
	pid_t pid;

	CHECK(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	pid = fork();
	if (pid == 0)
		exec_by(which, fd);
	out("program %#x", (unsigned)end_of(pid));
	exchange("parent", fd);
}

/* What the programs that were started say is read by the peer, then it answers the parent. */
static void peer_listens(void)
{
	int fd = connect_there();
	char buf[4];

	CHECK(recv(fd, buf, 4, MSG_WAITALL) == 4 && memcmp(buf, "said", 4) == 0);
	CHECK(recv(fd, buf, 4, MSG_WAITALL) == 4 && memcmp(buf, "ping", 4) == 0);
	say_to(fd, "pong");
	close(fd);
}

static void say(int fd)
{
	result("say", send(fd, "said", 4, MSG_NOSIGNAL));
}

#define EXEC(name, which)                                                                          \
	static void test_##name(void)                                                              \
	{                                                                                          \
		with_exec(which);                                                                  \
	}
EXEC(execv, 0)
EXEC(execvp, 1)
EXEC(execvpe, 2)
EXEC(fexecve, 3)
EXEC(execlp, 4)
EXEC(execle, 5)
EXEC(execve, 6)

/* A child by _Fork(), which runs no handlers, and ends by _Exit(). */
static void test_raw_fork(void)
{
	int fd = accepted();
	pid_t pid = _Fork();

	if (pid == 0) {
		say(fd);
		_Exit(7);
	}
	out("child %#x", (unsigned)end_of(pid));
	exchange("parent", fd);
}

static const struct tcase cases[] = {
	{"setgid", test_setgid, peer_twice},
	{"setregid", test_setregid, peer_twice},
	{"setresgid", test_setresgid, peer_twice},
	{"setgroups", test_setgroups, peer_twice},
	{"initgroups", test_initgroups, peer_twice},
	{"setuid", test_setuid, peer_twice},
	{"setreuid", test_setreuid, peer_twice},
	{"setresuid", test_setresuid, peer_twice},
	{"chroot", test_chroot, peer_twice},
	{"execv", test_execv, peer_listens},
	{"execvp", test_execvp, peer_listens},
	{"execvpe", test_execvpe, peer_listens},
	{"fexecve", test_fexecve, peer_listens},
	{"execlp", test_execlp, peer_listens},
	{"execle", test_execle, peer_listens},
	{"execve", test_execve, peer_listens},
	{"raw_fork", test_raw_fork, peer_listens},
};

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "--say") == 0) {
		case_name = argv[2];
		say(atoi(argv[3]));
		return 0;
	}
	return RUN(argc, argv, cases);
}
