/*
 * peers.h - what several programs of this folder have in common: peers that connect, send or wait,
 * the smallest server, and children.
 */
#ifndef PRELOAD_PEERS_H
#define PRELOAD_PEERS_H

#include "harness.h"

/* Reads all that comes once told to; tells how many bytes, or -1 when one was wrong. */
static MAYBE void peer_sink(void)
{
	int fd = connect_there();

	hear();
	tell((int)recv_all(fd, 0, INT32_MAX, 65536));
	close(fd);
}

/* Connects n times as told, sends what it is told, prints nothing; tells how many answered rightly.
 */
static MAYBE void peer_clients(void)
{
	struct sockaddr_in sa = address(false, hear());
	int n = hear(), i, fd, good = 0;
	char buf[64];

	for (i = 0; i < n; i++) {
		fd = socket(AF_INET, SOCK_STREAM, 0);
		CHECK(connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0);
		say_to(fd, "ping");
		good += recv(fd, buf, 4, MSG_WAITALL) == 4 && memcmp(buf, "pong", 4) == 0;
		close(fd);
	}
	tell(good);
}

/* Sends as many bytes as it is told, until told 0; then waits for the end. */
static MAYBE void peer_source(void)
{
	int fd = connect_there(), n;
	char c;

	while ((n = hear()) > 0)
		send_all(fd, 0, (uint64_t)n);
	shutdown(fd, SHUT_WR);
	recv(fd, &c, 1, 0);
	close(fd);
}

static MAYBE void peer_wait(void)
{
	int fd = connect_there();

	hear();
	close(fd);
}

static MAYBE void peer_accept_wait(void)
{
	int fd = accepted();

	hear();
	close(fd);
}

/* Sends five bytes each time it is told 1, until told 0. */
static MAYBE void peer_sender(void)
{
	int fd = connect_there();

	while (hear() == 1)
		say_to(fd, "hello");
	close(fd);
}

/* Says what became of connect() once the other side has done what it does to its listener. */
static MAYBE void peer_refused(void)
{
	struct sockaddr_in sa = address(false, hear());
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	hear();
	tell(connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0 ? 0 : errno);
	close(fd);
}

static MAYBE void serve_one(int l)
{
	int fd = accept(l, NULL, NULL);
	char buf[4];

	CHECK(fd >= 0);
	CHECK(recv(fd, buf, 4, MSG_WAITALL) == 4);
	CHECK(send(fd, "pong", 4, MSG_NOSIGNAL) == 4);
	close(fd);
}

/* Sends five bytes; tells how many came back until the end, or the error. */
static MAYBE void talk(int fd)
{
	char buf[64];
	ssize_t r;
	int n = 0;

	say_to(fd, "hello");
	while ((r = recv(fd, buf, sizeof(buf), 0)) > 0)
		n += (int)r;
	tell(r < 0 ? -errno : n);
	close(fd);
}

static MAYBE void peer_talks(void)
{
	talk(connect_there());
}

static MAYBE void echo_five(int fd)
{
	char buf[8] = "";

	result("recv", recv(fd, buf, 5, MSG_WAITALL));
	out("%s", buf);
	result("send", send(fd, buf, 5, MSG_NOSIGNAL));
}

static MAYBE int end_of(pid_t pid)
{
	int status;

	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
	return status;
}

/* This program again, as `role` of descriptor fd. */
static MAYBE void exec_as(const char *role, int fd)
{
	char number[16], self[4096] = "";

	CHECK(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	snprintf(number, sizeof(number), "%d", fd);
	execl(self, self, role, case_name, number, NULL);
	die("exec");
}

/* The same in a child. */
static MAYBE pid_t become(const char *role, int fd)
{
	pid_t pid = fork();

	if (pid == 0)
		exec_as(role, fd);
	return pid;
}

/* What a program does that was started as `role`, with a descriptor that it inherits. */
struct role {
	const char *name;
	void (*run)(int fd);
};

/* `ROLE CASE FD`. False: the program was not started so. */
static MAYBE bool run_role(int argc, char **argv, const struct role *roles, size_t n)
{
	size_t i;

	for (i = 0; argc == 4 && i < n; i++) {
		if (strcmp(argv[1], roles[i].name) != 0)
			continue;
		case_name = argv[2];
		roles[i].run(atoi(argv[3]));
		return true;
	}
	return false;
}

#define RUN_ROLE(argc, argv, roles)                                                                \
	run_role((argc), (argv), (roles), sizeof(roles) / sizeof((roles)[0]))

#endif
