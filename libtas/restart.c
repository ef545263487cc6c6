/*
 * restart.c - does a call that a handler interrupted go on?
 *
 * The kernel restarts a call when the handler that ran was set with SA_RESTART, and never one with a
 * time-out or in part done. A sleep on a futex leaves that to the kernel (lt_futex_sleep). poll() is
 * never restarted, and which handler ran cannot be seen afterwards: where handlers of both kinds are
 * about, those that restart are blocked during the sleep and a signalfd ends it for them; the handler
 * runs as soon as the mask is the program's again. Looking for handlers costs a system call a signal, so
 * it is done at the first such sleep and after each interruption. Owner: any thread. signal(7), signalfd(2).
 */
#include <linux/futex.h>
#include <sys/signalfd.h>
#include "lt.h"

/* By signal number - 1; of the process, as they were at the last look. */
static uint64_t restarts, ends;
static uint32_t looked;

static void look(void)
{
	uint64_t r = 0, e = 0;
	struct sigaction sa;
	int sig;

	for (sig = 1; sig < NSIG; sig++) {
		if (sigaction(sig, NULL, &sa) != 0 || sa.sa_handler == SIG_DFL ||
			sa.sa_handler == SIG_IGN)
			continue;
		if (sa.sa_flags & SA_RESTART)
			r |= 1ull << (sig - 1);
		else
			e |= 1ull << (sig - 1);
	}
	tas_store(&restarts, r);
	tas_store(&ends, e);
	tas_store(&looked, 1u);
}

bool lt_restart(bool timed)
{
	if (timed)
		return false;
	look();
	return tas_load(&ends) == 0;
}

int lt_restart_fd_woke(void)
{
	uint64_t was = tas_load(&restarts);

	look();
	return was & tas_load(&ends) ? -EINTR : 0; /* they have been changed meanwhile */
}

int lt_restart_fd(sigset_t *mask)
{
	uint64_t r;
	int fd, sig;

	if (lt_unlikely(!tas_load(&looked)))
		look();
	r = tas_load(&restarts);
	if (r == 0 || tas_load(&ends) == 0)
		return -1;
	fd = (int)lt_sys4(SYS_signalfd4, -1, &r, sizeof(r), SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -1;
	pthread_sigmask(SIG_SETMASK, NULL, mask);
	for (sig = 1; sig < NSIG; sig++)
		if (r >> (sig - 1) & 1)
			sigaddset(mask, sig);
	return lt_hide(fd);
}

/* FUTEX_WAIT with a time ends for every handler; futex_waitv (Linux 5.16) has an absolute time and
 * can be restarted. A sandbox may not know it. */
long lt_futex_sleep(uint32_t *w, uint32_t val, uint64_t until_ns, bool restartable)
{
	static uint32_t unknown;
	struct futex_waitv v = {val, (uint64_t)(uintptr_t)w, FUTEX_32, 0};
	struct timespec ts = {(time_t)(until_ns / 1000000000u), (long)(until_ns % 1000000000u)};
	uint64_t now, left;
	long r;

	if (restartable && !tas_load(&unknown) && !tas_load(&lt_sealed)) {
		r = lt_sys5(SYS_futex_waitv, &v, 1, 0, &ts, CLOCK_MONOTONIC);
		if (r != -ENOSYS && r != -EPERM && r != -EINVAL)
			return r;
		tas_store(&unknown, 1u);
	}
	now = lt_now_ns();
	left = until_ns > now ? until_ns - now : 0;
	ts = (struct timespec){(time_t)(left / 1000000000u), (long)(left % 1000000000u)};
	r = lt_sys_futex_wait(w, val, &ts, 0);
	return r == -EINTR && restartable && lt_restart(false) ? -EAGAIN : r;
}
