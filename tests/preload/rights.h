/*
 * rights.h - descriptors in messages (SCM_RIGHTS) over a pair of UNIX sockets.
 */
#ifndef PRELOAD_RIGHTS_H
#define PRELOAD_RIGHTS_H

#include "peers.h"

static MAYBE int pair[2]; /* UNIX, made for each case */

static MAYBE void make_pair(int type)
{
	CHECK(socketpair(AF_UNIX, type, 0, pair) == 0);
}

static MAYBE void close_pair(void)
{
	close(pair[0]);
	close(pair[1]);
}

static MAYBE ssize_t pass_n(int sock, const int *fds, int n, int flags)
{
	char byte = 'x', space[CMSG_SPACE(8 * sizeof(int))] = "";
	struct iovec v = {&byte, 1};
	struct msghdr m = {.msg_iov = &v,
		.msg_iovlen = 1,
		.msg_control = space,
		.msg_controllen = CMSG_SPACE((size_t)n * sizeof(int))};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN((size_t)n * sizeof(int));
	memcpy(CMSG_DATA(c), fds, (size_t)n * sizeof(int));
	return sendmsg(sock, &m, flags | MSG_NOSIGNAL);
}

static MAYBE void pass(int sock, int fd)
{
	CHECK(pass_n(sock, &fd, 1, 0) == 1);
}

/* How many came; *how: the message's flags. */
static MAYBE int take_n(int sock, int *fds, int room, int flags, int *how)
{
	char byte, space[CMSG_SPACE(8 * sizeof(int))];
	struct iovec v = {&byte, 1};
	struct msghdr m = {.msg_iov = &v,
		.msg_iovlen = 1,
		.msg_control = space,
		.msg_controllen = CMSG_LEN((size_t)room * sizeof(int))};
	struct cmsghdr *c;
	size_t n;

	CHECK(recvmsg(sock, &m, flags) == 1);
	if (how != NULL)
		*how = m.msg_flags & ~MSG_CMSG_CLOEXEC;
	c = CMSG_FIRSTHDR(&m);
	if (c == NULL)
		return 0;
	CHECK(c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS);
	n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	memcpy(fds, CMSG_DATA(c), n * sizeof(int));
	return (int)n;
}

static MAYBE int take(int sock)
{
	int fd = -1;

	CHECK(take_n(sock, &fd, 1, 0, NULL) == 1);
	return fd;
}

static MAYBE pid_t child_that(void (*serve)(int fd))
{
	pid_t pid = fork();

	if (pid == 0) {
		close(pair[0]);
		serve(take(pair[1]));
		_exit(0);
	}
	close(pair[1]);
	return pid;
}

/* Passes fd to a child that does so with it, and closes it at once. */
static MAYBE void give_away(int fd, pid_t child)
{
	pass(pair[0], fd);
	close(fd);
	out("child %#x", (unsigned)end_of(child));
	out("peer %d", hear());
	close(pair[0]);
}

#endif
