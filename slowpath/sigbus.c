/*
 * sigbus.c - a page of a program's memory that is not there.
 *
 * Seals stop truncation, not hole punching: a hugetlb page punched away, or memory that cannot be
 * had, is a SIGBUS for whoever touches it here. The handler puts an anonymous page in its place and
 * marks the program bad, so that it is isolated and nobody else notices. A fault elsewhere keeps
 * its default action. Nothing that the slow path frees is read: it may be doing so on another
 * core. Owner: any daemon thread (signal handler). sigaction(2), mmap(2).
 */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "app_internal.h"

#define PAGE 4096ul

static struct sp *daemon_sp;

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	void *page = (void *)((uintptr_t)info->si_addr & ~(PAGE - 1));
	uint32_t app = sp_region_at(daemon_sp, info->si_addr);

	(void)context;
	if ((app != 0 || sp_listener_has(daemon_sp, info->si_addr)) &&
		mmap(page, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
			-1, 0) != MAP_FAILED) {
		if (app != 0)
			tas_store(&fp_app(daemon_sp->fp, app)->bad, 1);
		return;
	}
	signal(sig, SIG_DFL); /* the instruction runs again and ends the process */
}

void sp_sigbus_init(struct sp *sp)
{
	struct sigaction sa;

	daemon_sp = sp;
	memset(&sa, 0, sizeof(sa));
	sa.sa_sigaction = on_sigbus;
	sa.sa_flags = SA_SIGINFO | SA_NODEFER;
	sigaction(SIGBUS, &sa, NULL);
}
