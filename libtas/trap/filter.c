/*
 * filter.c - the seccomp filter: which system calls of the program are the supervisor's to answer.
 *
 * Control calls only: read, write, poll and epoll are never slowed by more than the filter itself. A call
 * of another ABI (32-bit, x32) is the kernel's. Owner: the process that becomes the program.
 * seccomp(2), seccomp_unotify(2).
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include "sys.h"
#include "trap.h"

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#error "which AUDIT_ARCH_?"
#endif

static const uint32_t trapped[] = {SYS_accept4, SYS_accept, SYS_connect, SYS_bind, SYS_listen,
	SYS_getsockname, SYS_getpeername, SYS_getsockopt, SYS_setsockopt, SYS_shutdown,
	SYS_io_uring_setup};

#define NTRAPPED (sizeof(trapped) / sizeof(trapped[0]))
#define HEAD	 3u

/* load arch; other? allow; load nr; one comparison each; allow; notify. */
static unsigned build(struct sock_filter *f)
{
	unsigned i, n = 0, end = HEAD + NTRAPPED;

	f[n++] = (struct sock_filter)BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
	f[n++] = (struct sock_filter)BPF_JUMP(
		BPF_JMP | BPF_JEQ | BPF_K, ARCH, 0, (uint8_t)(end - 2));
	f[n++] = (struct sock_filter)BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (i = 0; i < NTRAPPED; i++, n++)
		f[n] = (struct sock_filter)BPF_JUMP(
			BPF_JMP | BPF_JEQ | BPF_K, trapped[i], (uint8_t)(end - n), 0);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
	return n;
}

/* With CAP_SYS_ADMIN the program may still gain rights by exec; without, the kernel asks that it never does. */
int tr_filter_install(void)
{
	struct sock_filter code[HEAD + NTRAPPED + 2];
	struct sock_fprog prog = {.filter = code};
	long fd;

	prog.len = (unsigned short)build(code);
	fd = lt_sys3(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &prog);
	if (fd == -EACCES && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
		fd = lt_sys3(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
			&prog);
	return (int)fd;
}
