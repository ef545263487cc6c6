/*
 * trap.c - what it costs to catch a system call (docs/decisions/0019-trap.md).
 *
 * getsockopt(SO_TYPE) of a UNIX socket: as it is; under a seccomp filter that lets it pass; caught by the
 * filter and answered, or let go on, by another process (seccomp user notification), both on one CPU and on
 * two; and caught by syscall user dispatch and made by the handler itself. ns a call, median of several runs.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/ucontext.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif

#define CALLS 20000
#define RUNS  9

static int sock;

static void pin(unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void measure(const char *what)
{
	double run[RUNS], start;
	socklen_t len;
	int i, j, v;

	for (i = 0; i < RUNS; i++) {
		start = now_ns();
		for (j = 0; j < CALLS; j++) {
			len = sizeof(v);
			getsockopt(sock, SOL_SOCKET, SO_TYPE, &v, &len);
		}
		run[i] = (now_ns() - start) / CALLS;
	}
	qsort(run, RUNS, sizeof(run[0]), by_value);
	printf("%-52s %8.0f ns\n", what, run[RUNS / 2]);
	fflush(stdout);
}

/* Eleven comparisons, as libtas/trap/filter.c; the caught call is the last. */
static int install(unsigned caught, unsigned flags)
{
	struct sock_filter f[14] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
	struct sock_fprog prog = {.len = 14, .filter = f};
	unsigned i;

	for (i = 1; i < 12; i++)
		f[i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
			i == 11 ? caught : 0x3fffff00u + i, (unsigned char)(12 - i), 0);
	f[12] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	f[13] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);
}

static void answer(int fd, unsigned flags)
{
	struct seccomp_notif n;
	struct seccomp_notif_resp r;

	for (;;) {
		memset(&n, 0, sizeof(n));
		if (ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &n) != 0)
			exit(errno != ENOENT);
		memset(&r, 0, sizeof(r));
		r.id = n.id;
		r.flags = flags;
		ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &r);
	}
}

static void notified(const char *what, unsigned flags, unsigned cpu)
{
	pid_t program = fork(), super;
	int fd;

	if (program == 0) {
		pin(0);
		fd = install(SYS_getsockopt, SECCOMP_FILTER_FLAG_NEW_LISTENER);
		super = fork(); /* under the filter as well, and never in the caught call */
		if (super == 0) {
			pin(cpu);
			answer(fd, flags);
		}
		measure(what);
		kill(super, SIGKILL);
		_exit(0);
	}
	waitpid(program, NULL, 0);
}

static void passed(void)
{
	pid_t program = fork();

	if (program == 0) {
		pin(0);
		install(SYS_bind, 0);
		measure("under a filter that lets it pass");
		_exit(0);
	}
	waitpid(program, NULL, 0);
}

#if defined(__x86_64__)
#define AROUND_LIBC 0x400000ul

static volatile char blocked = 1;
static unsigned long caught;

static void on_sys(int sig, siginfo_t *info, void *context)
{
	greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;

	(void)sig;
	(void)info;
	caught++;
	g[REG_RAX] = syscall(
		g[REG_RAX], g[REG_RDI], g[REG_RSI], g[REG_RDX], g[REG_R10], g[REG_R8], g[REG_R9]);
}

/* What libc does is let pass, the return from the handler with it; our own instruction is caught. */
static void dispatched(void)
{
	struct sigaction sa = {.sa_sigaction = on_sys, .sa_flags = SA_SIGINFO};
	unsigned long libc = (unsigned long)(uintptr_t)&getsockopt - AROUND_LIBC / 2;
	double start;
	long r;
	int i;

	sigaction(SIGSYS, &sa, NULL);
	if (prctl(PR_SET_SYSCALL_USER_DISPATCH, 1, libc, AROUND_LIBC, &blocked) != 0)
		return;
	start = now_ns();
	for (i = 0; i < CALLS; i++)
		__asm__ volatile("syscall" : "=a"(r) : "a"(SYS_getppid) : "rcx", "r11", "memory");
	start = (now_ns() - start) / CALLS;
	prctl(PR_SET_SYSCALL_USER_DISPATCH, 0, 0, 0, 0);
	printf("%-52s %8.0f ns (%lu caught)\n", "syscall user dispatch, any call of the program",
		start, caught);
}
#else
static void dispatched(void)
{
}
#endif

int main(void)
{
	int sv[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sv) != 0)
		return 1;
	sock = sv[0];
	pin(0);
	measure("as it is");
	passed();
	notified("caught and answered, supervisor on the same CPU", 0, 0);
	notified("caught and answered, supervisor on another CPU", 0, 1);
	notified("caught and let go on, same CPU", SECCOMP_USER_NOTIF_FLAG_CONTINUE, 0);
	notified("caught and let go on, another CPU", SECCOMP_USER_NOTIF_FLAG_CONTINUE, 1);
	dispatched();
	return 0;
}
