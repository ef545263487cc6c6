/*
 * wake.c - writing a program's eventfd without ever waiting for it. Owner: the core.
 *
 * The descriptor is the program's: it may fill the counter and clear O_NONBLOCK at any time, and
 * write(2) would block. The kernel's own way to an eventfd does not: asynchronous I/O (io_submit(2))
 * adds 1 to the eventfd named in IOCB_FLAG_RESFD when a request completes, and a full counter stays
 * full. The request is a read of nothing from /dev/null, which completes inside io_submit. Nobody
 * looks at the completions: they are taken out when there is no room for more.
 * docs/decisions/0011-wakes.md.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "core.h"

#define COMPLETIONS 128u /* taken out at a time; a page of the kernel's holds about as many */

int fp_waker_create(struct fp_waker *w)
{
	/* fs.aio-max-nr counts what is asked for; the kernel makes a page of completions anyway. */
	if (syscall(SYS_io_setup, 1, &w->context) != 0)
		return -errno;
	w->null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return w->null < 0 ? -errno : 0;
}

void fp_waker_destroy(struct fp_waker *w)
{
	if (w->context != 0)
		syscall(SYS_io_destroy, w->context);
	if (w->null >= 0)
		close(w->null);
}

static void take_completions(const struct fp_waker *w)
{
	struct io_event done[COMPLETIONS];
	struct timespec now = {0};

	syscall(SYS_io_getevents, w->context, 0, COMPLETIONS, done, &now);
}

int fp_wake(const struct fp_waker *w, int fd)
{
	struct iocb cb = {.aio_lio_opcode = IOCB_CMD_PREAD,
		.aio_fildes = (uint32_t)w->null,
		.aio_flags = IOCB_FLAG_RESFD,
		.aio_resfd = (uint32_t)fd};
	struct iocb *list = &cb;

	if (syscall(SYS_io_submit, w->context, 1, &list) == 1)
		return 1;
	if (errno != EAGAIN)
		return 0;
	take_completions(w);
	return syscall(SYS_io_submit, w->context, 1, &list) == 1;
}
