/*
 * syscall.c - libc's generic syscall(): calls about sockets go where their names lead, everything else to
 * the kernel as it is, with all six arguments.
 *
 * It is no cancellation point, so that what stands for it here must not be one. fork, vfork and clone stay
 * the kernel's: a child that is made so finds its emptied page (fork.c). Owner: any thread. syscall(2).
 */
#include <pthread.h>
#include <stdarg.h>
#include <sys/single_threaded.h>
#include "lt.h"

#define LT_EXPORT __attribute__((visibility("default"), used))

#define FAILED(r)  ((unsigned long)(r) > -4096ul)
#define MASK_BYTES 8 /* of the kernel's sigset */

#define INT(i) ((int)a[i])
#define PTR(i) ((void *)a[i])
#define LEN(i) ((size_t)a[i])

/* The connection, or whatever of ours, that the first argument names answers; else the kernel does. */
#define CONN(call)                                                                                 \
	do {                                                                                       \
		struct lt_desc *d = lt_conn_get(INT(0));                                           \
		if (d == NULL)                                                                     \
			return false;                                                              \
		*r = call;                                                                         \
		return true;                                                                       \
	} while (0)
#define OURS(call)                                                                                 \
	do {                                                                                       \
		struct lt_desc *d = lt_fd_get(INT(0));                                             \
		if (d == NULL)                                                                     \
			return false;                                                              \
		lt_home(d);                                                                        \
		*r = call;                                                                         \
		return true;                                                                       \
	} while (0)
#define ANY(call)                                                                                  \
	do {                                                                                       \
		*r = call;                                                                         \
		return true;                                                                       \
	} while (0)

/* Each returns true when the call was answered here. */
static bool data_call(long n, const long a[6], long *r)
{
	switch (n) {
	case SYS_read:
		CONN(lt_read(d, INT(0), PTR(1), LEN(2)));
	case SYS_write:
		CONN(lt_write(d, INT(0), PTR(1), LEN(2)));
	case SYS_readv:
		CONN(lt_readv(d, INT(0), PTR(1), INT(2)));
	case SYS_writev:
		CONN(lt_writev(d, INT(0), PTR(1), INT(2)));
	case SYS_preadv2: /* the offset in two words, of which the first is enough where they have 64 bits */
		CONN(lt_preadv2(d, INT(0), PTR(1), INT(2), a[3], INT(5)));
	case SYS_pwritev2:
		CONN(lt_pwritev2(d, INT(0), PTR(1), INT(2), a[3], INT(5)));
	case SYS_recvfrom:
		CONN(lt_recvfrom(d, INT(0), PTR(1), LEN(2), INT(3), PTR(4), PTR(5)));
	case SYS_recvmsg:
		CONN(lt_recvmsg(d, INT(0), PTR(1), INT(2)));
	case SYS_recvmmsg:
		CONN(lt_recvmmsg(d, INT(0), PTR(1), (unsigned)a[2], INT(3), PTR(4)));
	case SYS_sendto:
		CONN(lt_sendto(d, INT(0), PTR(1), LEN(2), INT(3), PTR(4), (socklen_t)a[5]));
	case SYS_sendmsg:
		CONN(lt_sendmsg(d, INT(0), PTR(1), INT(2)));
	case SYS_sendmmsg:
		CONN(lt_sendmmsg(d, INT(0), PTR(1), (unsigned)a[2], INT(3)));
	case SYS_sendfile:
		ANY(lt_sendfile(INT(0), INT(1), PTR(2), LEN(3)));
	case SYS_splice:
		ANY(lt_splice(INT(0), PTR(1), INT(2), PTR(3), LEN(4), (unsigned)a[5]));
	default:
		return false;
	}
}

static bool socket_call(long n, const long a[6], long *r)
{
	switch (n) {
	case SYS_socket:
		ANY(lt_socket(INT(0), INT(1), INT(2)));
	case SYS_bind:
		OURS(lt_bind(d, INT(0), PTR(1), (socklen_t)a[2]));
	case SYS_listen:
		OURS(lt_listen(d, INT(0), INT(1)));
	case SYS_accept:
		ANY(lt_accept(INT(0), PTR(1), PTR(2)));
	case SYS_accept4:
		ANY(lt_accept4(INT(0), PTR(1), PTR(2), INT(3)));
	case SYS_connect:
		OURS(lt_connect(d, INT(0), PTR(1), (socklen_t)a[2]));
	case SYS_shutdown:
		OURS(lt_shutdown(d, INT(0), INT(1)));
	case SYS_getsockname:
		OURS(lt_getsockname(d, INT(0), PTR(1), PTR(2)));
	case SYS_getpeername:
		OURS(lt_getpeername(d, INT(0), PTR(1), PTR(2)));
	case SYS_getsockopt:
		OURS(lt_getsockopt(d, INT(0), INT(1), INT(2), PTR(3), PTR(4)));
	case SYS_setsockopt:
		OURS(lt_setsockopt(d, INT(0), INT(1), INT(2), PTR(3), (socklen_t)a[4]));
	case SYS_fcntl:
		OURS(lt_fcntl(d, INT(0), INT(1), (unsigned long)a[2]));
	case SYS_ioctl:
		OURS(lt_ioctl(d, INT(0), (unsigned long)a[1], PTR(2)));
	default:
		return false;
	}
}

/* Unlike libc's, these say how much of the time was left. */
static void time_left(struct timespec *ts, uint64_t until_ns)
{
	uint64_t now = lt_now_ns(), left = until_ns > now ? until_ns - now : 0;

	if (ts == NULL)
		return;
	ts->tv_sec = (time_t)(left / 1000000000u);
	ts->tv_nsec = (long)(left % 1000000000u);
}

static uint64_t until(const struct timespec *ts)
{
	return ts == NULL
		       ? 0
		       : lt_now_ns() + (uint64_t)ts->tv_sec * 1000000000u + (uint64_t)ts->tv_nsec;
}

/* The kernel's signal set is a part of libc's. */
static const sigset_t *mask_of(const void *kernel_mask, sigset_t *room)
{
	if (kernel_mask == NULL)
		return NULL;
	sigemptyset(room);
	memcpy(room, kernel_mask, MASK_BYTES);
	return room;
}

/* What cannot be an address is left to the kernel, which says so. */
static bool bad(const void *p, size_t n)
{
	return p != NULL && lt_bad(p, n);
}

static bool waits_with_mask(long n, const long a[6], long *r)
{
	struct {
		const void *mask;
		size_t bytes;
	} sixth = {NULL, MASK_BYTES};
	struct timespec *ts = n == SYS_pselect6 ? PTR(4) : PTR(2);
	sigset_t room;
	uint64_t end;

	if (bad(ts, sizeof(*ts)))
		return false;
	end = until(ts);
	switch (n) {
	case SYS_ppoll:
		if (bad(PTR(3), MASK_BYTES) || (PTR(3) != NULL && a[4] != MASK_BYTES))
			return false;
		*r = lt_ppoll(PTR(0), (nfds_t)a[1], ts, mask_of(PTR(3), &room));
		break;
	default: /* SYS_pselect6 */
		if (bad(PTR(5), sizeof(sixth)))
			return false;
		if (PTR(5) != NULL)
			memcpy(&sixth, PTR(5), sizeof(sixth));
		if (bad(sixth.mask, MASK_BYTES) ||
			(sixth.mask != NULL && sixth.bytes != MASK_BYTES))
			return false;
		*r = lt_pselect(INT(0), PTR(1), PTR(2), PTR(3), ts, mask_of(sixth.mask, &room));
		break;
	}
	time_left(ts, end);
	return true;
}

static bool wait_call(long n, const long a[6], long *r)
{
	sigset_t room;

	switch (n) {
#ifdef SYS_poll
	case SYS_poll:
		ANY(lt_poll(PTR(0), (nfds_t)a[1], INT(2)));
	case SYS_select:
		ANY(lt_select(INT(0), PTR(1), PTR(2), PTR(3), PTR(4)));
	case SYS_epoll_create:
		ANY(lt_epoll_create(INT(0)));
	case SYS_epoll_wait:
		OURS(lt_epoll_wait(d, INT(0), PTR(1), INT(2), INT(3)));
#endif
	case SYS_ppoll:
	case SYS_pselect6:
		return waits_with_mask(n, a, r);
	case SYS_epoll_create1:
		ANY(lt_epoll_create1(INT(0)));
	case SYS_epoll_ctl:
		ANY(lt_epoll_ctl(INT(0), INT(1), INT(2), PTR(3)));
	case SYS_epoll_pwait:
		if (bad(PTR(4), MASK_BYTES) || (PTR(4) != NULL && a[5] != MASK_BYTES))
			return false;
		OURS(lt_epoll_pwait(d, INT(0), PTR(1), INT(2), INT(3), mask_of(PTR(4), &room)));
	case SYS_epoll_pwait2:
		if (bad(PTR(4), MASK_BYTES) || (PTR(4) != NULL && a[5] != MASK_BYTES))
			return false;
		OURS(lt_epoll_pwait2(d, INT(0), PTR(1), INT(2), PTR(3), mask_of(PTR(4), &room)));
	default:
		return false;
	}
}

static bool number_call(long n, const long a[6], long *r)
{
	switch (n) {
	case SYS_close:
		ANY(lt_close(INT(0)));
	case SYS_close_range:
		ANY(lt_close_range((unsigned)a[0], (unsigned)a[1], INT(2)));
	case SYS_dup:
		ANY(lt_dup(INT(0)));
#ifdef SYS_dup2
	case SYS_dup2:
		ANY(lt_dup2(INT(0), INT(1)));
	case SYS_pipe:
		ANY(lt_pipe(PTR(0)));
#endif
	case SYS_dup3:
		ANY(lt_dup3(INT(0), INT(1), INT(2)));
	case SYS_pipe2:
		ANY(lt_pipe2(PTR(0), INT(1)));
	case SYS_socketpair:
		ANY(lt_socketpair(INT(0), INT(1), INT(2), PTR(3)));
	case SYS_execve:
		ANY(lt_execve(PTR(0), PTR(1), PTR(2)));
	case SYS_exit_group:
		lt__exit(INT(0));
		return false;
	default:
		return false;
	}
}

/* Calls that return a new number. */
static bool makes_number(long n, const long a[6])
{
	switch (n) {
#ifdef SYS_open
	case SYS_open:
	case SYS_creat:
	case SYS_eventfd:
	case SYS_inotify_init:
#endif
	case SYS_openat:
	case SYS_openat2:
	case SYS_open_by_handle_at:
	case SYS_eventfd2:
	case SYS_timerfd_create:
	case SYS_inotify_init1:
	case SYS_fanotify_init:
	case SYS_memfd_create:
	case SYS_pidfd_open:
	case SYS_pidfd_getfd:
	case SYS_userfaultfd:
	case SYS_perf_event_open:
	case SYS_io_uring_setup:
		return true;
	case SYS_signalfd4:
		return INT(0) == -1;
	case SYS_fcntl:
		return INT(1) == F_DUPFD || INT(1) == F_DUPFD_CLOEXEC;
	default:
		return false;
	}
}

/* Whatever keeps us from the service later. */
static bool sandbox_call(long n, const long a[6], long *r)
{
	switch (n) {
	case SYS_seccomp:
		ANY(lt_seccomp((unsigned)a[0], (unsigned)a[1], PTR(2)));
	case SYS_prctl:
		ANY(lt_prctl(INT(0), (unsigned long)a[1], (unsigned long)a[2], (unsigned long)a[3],
			(unsigned long)a[4]));
#ifdef SYS_setrlimit
	case SYS_setrlimit:
		ANY(lt_setrlimit(INT(0), PTR(1)));
#endif
	case SYS_prlimit64:
		ANY(lt_prlimit(INT(0), INT(1), PTR(2), PTR(3)));
	default:
		return false;
	}
}

static bool ours(long n, const long a[6], long *r)
{
	bool threads = !__libc_single_threaded, done;
	int state;

	if (threads)
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	done = data_call(n, a, r) || socket_call(n, a, r) || wait_call(n, a, r) ||
	       number_call(n, a, r) || sandbox_call(n, a, r);
	if (threads)
		pthread_setcancelstate(state, NULL);
	return done;
}

/* What a call on a socket may be: futex, clock_gettime and their like need not be looked for. */
static bool concerns_us(long n)
{
	switch (n) {
	case SYS_futex:
	case SYS_gettid:
	case SYS_clock_gettime:
	case SYS_getrandom:
	case SYS_membarrier:
		return false;
	default:
		return tas_load(&lt_ntab) != 0 || n == SYS_socket || n == SYS_exit_group ||
		       n == SYS_execve;
	}
}

LT_EXPORT long wrap_syscall(long number, ...) __asm__("syscall");

long wrap_syscall(long number, ...)
{
	long a[6], r;
	va_list ap;
	int i;

	va_start(ap, number);
	for (i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (concerns_us(number) && ours(number, a, &r))
		return r;
	r = lt_sys(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (FAILED(r)) {
		errno = (int)-r;
		return -1;
	}
	if (number == SYS_io_uring_setup)
		lt_uring_made();
	if (makes_number(number, a))
		lt_fd_new((int)r);
	return r;
}
