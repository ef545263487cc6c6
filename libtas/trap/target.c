/*
 * target.c - the thread that waits for an answer: its descriptors and its memory.
 *
 * A thread that is killed frees its number: what was read by number counts only if the notification is
 * valid afterwards (tr_valid). Owner: the supervisor's thread. pidfd_getfd(2), process_vm_readv(2).
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include "sys.h"
#include "trap.h"

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL /* Linux 6.9 */
#endif
#ifndef SO_COOKIE
#define SO_COOKIE 57
#endif
#define TEXT_MAX 1024

/* The number after `name` in a file of /proc/TID, or -1. */
static long proc_number(pid_t tid, const char *file, const char *name, int base)
{
	char path[64], text[TEXT_MAX], *at;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", tid, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, text, sizeof(text) - 1);
	lt_sys_close(fd);
	if (n <= 0)
		return -1;
	text[n] = '\0';
	at = strstr(text, name);
	return at != NULL ? strtol(at + strlen(name), NULL, base) : -1;
}

/* Before Linux 6.9 only the leader of a thread group has a pidfd. */
static int open_thread(pid_t tid)
{
	long p = lt_sys2(SYS_pidfd_open, tid, PIDFD_THREAD), leader;

	if (p != -EINVAL)
		return (int)p;
	leader = proc_number(tid, "status", "\nTgid:", 10);
	return leader > 0 ? (int)lt_sys2(SYS_pidfd_open, leader, 0) : -ESRCH;
}

int tr_target_fd(pid_t tid, int fd)
{
	int p = open_thread(tid), copy;

	if (p < 0)
		return p;
	copy = (int)lt_sys3(SYS_pidfd_getfd, p, fd, 0);
	lt_sys_close(p);
	return copy;
}

bool tr_target_read(pid_t tid, uint64_t from, void *to, size_t n)
{
	struct iovec local = {to, n}, remote = {(void *)(uintptr_t)from, n};

	return n == 0 || process_vm_readv(tid, &local, 1, &remote, 1, 0) == (ssize_t)n;
}

bool tr_target_write(pid_t tid, uint64_t to, const void *from, size_t n)
{
	struct iovec local = {(void *)(uintptr_t)from, n}, remote = {(void *)(uintptr_t)to, n};

	return n == 0 || process_vm_writev(tid, &local, 1, &remote, 1, 0) == (ssize_t)n;
}

bool tr_target_cloexec(pid_t tid, int fd)
{
	char file[32];
	long flags;

	snprintf(file, sizeof(file), "fdinfo/%d", fd);
	flags = proc_number(tid, file, "flags:", 8);
	return flags > 0 && (flags & O_CLOEXEC) != 0;
}

uint64_t tr_cookie(int fd)
{
	uint64_t cookie = 0;
	unsigned len = sizeof(cookie);

	return lt_sys_getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) < 0 ? 0 : cookie;
}
