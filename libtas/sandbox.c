/*
 * sandbox.c - before the program shuts itself in: filters of system calls, a low limit of descriptors.
 *
 * A process that is about to lose what libtas needs (messages to the service, new descriptors and mappings) first gets all of it: its
 * memory, its connections that lie with another holder, its listeners. Afterwards libtas makes no call but read, write, close, poll,
 * futex and sleeping, unless the filter lets messages through: it is asked, as the kernel would. Others that the program makes fall
 * back as when the service is away. Owner: the thread that calls. seccomp(2), bpf(4), getrlimit(2).
 */
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include "lt.h"

#define FEW_DESCRIPTORS 64 /* no server lives with less; who sets less wants none */

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#define ARCH 0u /* no filter allows it: sealed */
#endif

uint32_t lt_sealed;

/* What came by fork is brought here while it can be. */
static void bring_all(void)
{
	uint32_t fd, n = lt_fd_top();
	struct lt_desc *d;
	bool any = false;

	for (fd = 0; fd < n; fd++) {
		d = lt_fd_get((int)fd);
		if (d == NULL || tas_load(&d->kind) == LT_UNDECIDED)
			continue;
		any = true;
		if (tas_load(&d->kind) == LT_AWAY || tas_load(&d->kind) == LT_CONN)
			lt_claim(d, tas_load(&d->life));
		else if (tas_load(&d->kind) == LT_LISTEN)
			lt_listen_settle(d, (int)fd);
	}
	if (any)
		lt_context_get();
}

void lt_sandbox_begin(void)
{
	int saved = errno;

	if (tas_load(&lt_ntab) == 0 || tas_load(&lt_sealed))
		return;
	lt_tid();
	bring_all();
	errno = saved;
}

static uint32_t word_of(const struct seccomp_data *data, uint32_t at)
{
	uint32_t v = 0;

	if (at <= sizeof(*data) - sizeof(v))
		memcpy(&v, (const char *)data + at, sizeof(v));
	return v;
}

static bool jumps(const struct sock_filter *f, uint32_t a)
{
	switch (BPF_OP(f->code)) {
	case BPF_JEQ:
		return a == f->k;
	case BPF_JGT:
		return a > f->k;
	case BPF_JGE:
		return a >= f->k;
	default:
		return (a & f->k) != 0;
	}
}

/* The filter's answer to a call without arguments; what is no plain look at its number counts as a refusal. */
static uint32_t answer(const struct sock_fprog *p, const struct seccomp_data *data)
{
	uint32_t a = 0, i;

	for (i = 0; i < p->len; i++) {
		const struct sock_filter *f = &p->filter[i];

		if (f->code == (BPF_RET | BPF_K))
			return f->k;
		if (f->code == (BPF_LD | BPF_W | BPF_ABS))
			a = word_of(data, f->k);
		else if (f->code == (BPF_ALU | BPF_AND | BPF_K))
			a &= f->k;
		else if (f->code == (BPF_JMP | BPF_JA))
			i += f->k;
		else if (BPF_CLASS(f->code) == BPF_JMP && BPF_SRC(f->code) == BPF_K)
			i += jumps(f, a) ? f->jt : f->jf;
		else
			break;
	}
	return SECCOMP_RET_KILL_THREAD;
}

static bool allows(const struct sock_fprog *p, int nr)
{
	struct seccomp_data data = {.nr = nr, .arch = ARCH};
	uint32_t action = answer(p, &data) & SECCOMP_RET_ACTION_FULL;

	return action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_LOG;
}

/* The kernel has taken the filter, so it can be read. NULL: strict mode. */
void lt_sandbox_entered(const struct sock_fprog *p)
{
	if (p == NULL || !allows(p, SYS_sendmsg) || !allows(p, SYS_recvmsg) ||
		!allows(p, SYS_epoll_ctl) || !allows(p, SYS_epoll_pwait))
		tas_store(&lt_sealed, 1u);
}

static bool is_ours(void)
{
	return tas_load(&lt_ntab) != 0;
}

int lt_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
	int r;

	if (option != PR_SET_SECCOMP || !is_ours())
		return lt_real.prctl(option, a, b, c, d);
	lt_sandbox_begin();
	r = lt_real.prctl(option, a, b, c, d);
	if (r == 0)
		lt_sandbox_entered(a == SECCOMP_MODE_FILTER ? (const struct sock_fprog *)b : NULL);
	return r;
}

/* Of syscall(): libc has no function for it. */
int lt_seccomp(unsigned operation, unsigned flags, void *args)
{
	bool enters = operation == SECCOMP_SET_MODE_FILTER || operation == SECCOMP_SET_MODE_STRICT;
	long r;

	if (enters && is_ours())
		lt_sandbox_begin();
	r = lt_sys3(SYS_seccomp, operation, flags, args);
	if (r >= 0 && enters && is_ours())
		lt_sandbox_entered(operation == SECCOMP_SET_MODE_FILTER ? args : NULL);
	if (r > 0) /* a descriptor */
		lt_fd_new((int)r);
	return (int)lt_ret(r);
}

static void limit_coming(int resource, const struct rlimit *rl)
{
	struct rlimit copy;

	if (resource != RLIMIT_NOFILE || rl == NULL || !is_ours())
		return;
	copy = *rl;
	if (copy.rlim_cur < FEW_DESCRIPTORS)
		lt_sandbox_begin();
}

int lt_setrlimit(int resource, const struct rlimit *rl)
{
	limit_coming(resource, rl);
	return lt_real.setrlimit(resource, rl);
}

int lt_prlimit(pid_t pid, int resource, const struct rlimit *rl, struct rlimit *old)
{
	if (pid == 0 || (is_ours() && (uint32_t)pid == tas_load(&lt_pid)))
		limit_coming(resource, rl);
	return lt_real.prlimit(pid, resource, rl, old);
}
