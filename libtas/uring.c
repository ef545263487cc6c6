/*
 * uring.c - io_uring and sockets of tas do not know each other: the ring works on the kernel socket behind.
 *
 * That socket is not connected, so a ring that receives from a connection of tas or sends to it is told
 * ENOTCONN or EPIPE. A ring would wait for ever to accept from a listener's half over tas; so from the first
 * ring on, what the program makes, connects or listens on is left to the kernel, which one line says.
 * TAS_URING=files in the environment says that its rings are for files alone. Known are rings made by
 * liburing's functions and by syscall(). Owner: any thread. io_uring_setup(2).
 */
#include <stdio.h>
#include <stdlib.h>
#include "lt.h"

static uint32_t kept; /* sockets are the kernel's from now on */
static bool files;

__attribute__((constructor)) static void look_at_environment(void)
{
	const char *v = secure_getenv("TAS_URING");

	files = v != NULL && strcmp(v, "files") == 0;
}

bool lt_uring_keeps(void)
{
	return lt_unlikely(tas_load(&kept) != 0);
}

void lt_uring_made(void)
{
	char line[200];
	int n;

	lt_explain(TAS_X_uring);
	if (files || tas_xchg(&kept, 1u) != 0)
		return;
	n = snprintf(line, sizeof(line),
		"tas: %ld uses io_uring: its TCP sockets are the kernel's from now on (unless "
		"TAS_URING=files)\n",
		lt_sys1(SYS_getpid, 0));
	if (n > 0 && (size_t)n < sizeof(line))
		lt_sys3(SYS_write, 2, line, n);
}

/* liburing's functions call one another: the outermost tells. */
static __thread uint32_t inside __attribute__((tls_model("initial-exec")));

static void enter(void)
{
	inside++;
}

static int leave(int r)
{
	if (--inside == 0 && r >= 0)
		lt_uring_made();
	return r;
}

int lt_io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags)
{
	enter();
	return leave(lt_real.io_uring_queue_init(entries, ring, flags));
}

int lt_io_uring_queue_init_params(
	unsigned entries, struct io_uring *ring, struct io_uring_params *p)
{
	enter();
	return leave(lt_real.io_uring_queue_init_params(entries, ring, p));
}

int lt_io_uring_queue_init_mem(
	unsigned entries, struct io_uring *ring, struct io_uring_params *p, void *buf, size_t size)
{
	enter();
	return leave(lt_real.io_uring_queue_init_mem(entries, ring, p, buf, size));
}

int lt_io_uring_setup(unsigned entries, struct io_uring_params *p)
{
	int fd;

	enter();
	fd = leave(lt_real.io_uring_setup(entries, p));
	if (fd >= 0)
		lt_fd_new(fd);
	return fd;
}
