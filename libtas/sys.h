/*
 * sys.h - system calls that libtas makes for itself: no errno, no cancellation point, no
 * interception.
 *
 * The program's errno must survive a call that succeeds, and a thread must not be cancelled while
 * it holds one of our locks, so our own calls do not go through libc. Each returns >= 0 or -errno.
 * Owner: any thread.
 */
#ifndef LT_SYS_H
#define LT_SYS_H

#include <errno.h>
#include <linux/futex.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static inline long lt_sys(long n, long a, long b, long c, long d, long e, long f)
{
#if defined(__x86_64__)
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = n;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
#else
#error "how this machine makes a system call (syscall() is ours)"
#endif
}

#define lt_sys1(n, a)	       lt_sys((n), (long)(a), 0, 0, 0, 0, 0)
#define lt_sys2(n, a, b)       lt_sys((n), (long)(a), (long)(b), 0, 0, 0, 0)
#define lt_sys3(n, a, b, c)    lt_sys((n), (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define lt_sys4(n, a, b, c, d) lt_sys((n), (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define lt_sys5(n, a, b, c, d, e)                                                                  \
	lt_sys((n), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)

static inline void lt_sys_close(int fd)
{
	lt_sys1(SYS_close, fd);
}

static inline long lt_sys_getsockopt(int fd, int level, int name, void *val, unsigned *len)
{
	return lt_sys5(SYS_getsockopt, fd, level, name, val, len);
}

static inline long lt_sys_setsockopt(int fd, int level, int name, const void *val, unsigned len)
{
	return lt_sys5(SYS_setsockopt, fd, level, name, val, len);
}

static inline long lt_sys_fcntl(int fd, int cmd, long arg)
{
	return lt_sys3(SYS_fcntl, fd, cmd, arg);
}

/* An eventfd's count goes up by one; its only use here is to wake whoever sleeps on it. */
static inline void lt_sys_kick(int fd)
{
	uint64_t one = 1;

	lt_sys3(SYS_write, fd, &one, sizeof(one));
}

/* Sleeps while *w == val, at most *rel. `op_flags` is 0 for words that another process wakes. */
static inline long lt_sys_futex_wait(
	uint32_t *w, uint32_t val, const struct timespec *rel, int op_flags)
{
	return lt_sys(SYS_futex, (long)w, FUTEX_WAIT | op_flags, (long)val, (long)rel, 0, 0);
}

static inline void lt_sys_futex_wake(uint32_t *w, int n, int op_flags)
{
	lt_sys(SYS_futex, (long)w, FUTEX_WAKE | op_flags, n, 0, 0, 0);
}

/* CLOCK_MONOTONIC in ns, through the vDSO. */
static inline uint64_t lt_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

#endif
