/*
 * poll.c - poll, ppoll, select, pselect over sets that hold our sockets.
 *
 * Ours are looked at directly, the kernel's by the kernel. A set without one of ours goes to libc
 * untouched. Owner: any thread. poll(2), select(2).
 */
#include <pthread.h>
#include <sys/resource.h>
#include <sys/mman.h>
#include <sys/time.h>
#include "lt.h"

#define ON_STACK 256

struct set {
	struct pollfd *fds;  /* the program's */
	struct pollfd *kern; /* what the kernel is asked: ours left out; room for two more */
	nfds_t n;
	struct lt_ctx *c;
	uint64_t queues;
	uint32_t listeners;
	struct lt_desc **held; /* once slept: the connection of each entry, or NULL */
	bool slept;
	uint64_t fetch_ns; /* a connection is away: fetch it then, 0 = none is */
};

/* The thread may sleep now: cores that were to be woken later are woken. */
static void settle(void)
{
	struct lt_ctx *c = lt_context();

	if (c != NULL)
		lt_settle(c);
}

static bool any_ours(const struct pollfd *fds, nfds_t n)
{
	struct lt_desc *d;
	nfds_t i;

	if (tas_load(&lt_ntab) == 0)
		return false;
	settle();
	for (i = 0; i < n; i++) {
		d = lt_fd_get(fds[i].fd);
		if (d != NULL && tas_load(&d->kind) != LT_UNDECIDED)
			return true;
	}
	return false;
}

/*
 * A connection that other processes hold too is brought here. Should they take it away while we
 * wait, it is fetched again after a while: they may be waiting as well.
 */
static void fetch(struct set *s, struct lt_desc *d)
{
	uint64_t now;

	if (lt_likely(!(lt_flags(d) & LT_D_SHARED)) || (d->kind == LT_CONN && !lt_moved(d)))
		return;
	now = lt_now_ns();
	if (s->slept && s->fetch_ns == 0)
		s->fetch_ns = now + LT_SHARE_SLICE_NS;
	if (s->slept && now < s->fetch_ns)
		return;
	s->fetch_ns = 0;
	lt_claim(d, tas_load(&d->life));
}

/* Queues that may carry news of d. */
static uint64_t queues_of(const struct set *s, struct lt_desc *d)
{
	if (d->kind == LT_EPOLL)
		return lt_epoll_queues(d);
	return d->ctx == s->c ? tas_load(&d->evq_mask) : 0;
}

static void split(struct set *s)
{
	struct lt_desc *d;
	nfds_t i;

	s->c = lt_context();
	s->queues = 0;
	s->listeners = 0;
	for (i = 0; i < s->n; i++) {
		if (s->slept && s->held[i] != NULL)
			s->queues |= queues_of(s, s->held[i]);
		s->kern[i] = s->fds[i];
		s->kern[i].revents = s->fds[i].revents = 0;
		d = lt_fd_get(s->fds[i].fd);
		if (d == NULL)
			continue;
		fetch(s, d);
		if (d->kind == LT_CONN)
			s->kern[i].fd = -1;
		if (d->kind == LT_LISTEN && !lt_listen_settle(d, s->fds[i].fd))
			continue;
		if (d->kind == LT_LISTEN)
			s->listeners++;
		if (d->kind == LT_EPOLL)
			lt_epoll_watched(d);
		if (s->c == NULL) /* a child's first call: what came just now opened it */
			s->c = lt_context();
		s->queues |= queues_of(s, d);
	}
}

static short ours_now(struct lt_desc *d, short events)
{
	uint32_t wanted = (uint16_t)events, ev = 0;

	switch (tas_load_acq(&d->kind)) {
	case LT_CONN:
		ev = lt_conn_events(d, wanted);
		break;
	case LT_LISTEN:
		ev = lt_listen_ready(d) ? POLLIN | POLLRDNORM : 0;
		break;
	case LT_EPOLL:
		ev = lt_epoll_ready(d) ? POLLIN | POLLRDNORM : 0;
		break;
	default:
		break;
	}
	return (short)(ev & (wanted | POLLERR | POLLHUP));
}

/* Fills revents of ours; how many are ready. */
static int look_ours(struct set *s)
{
	struct lt_desc *d;
	nfds_t i;
	int n = 0;

	for (i = 0; i < s->n; i++) {
		d = lt_fd_get(s->fds[i].fd);
		if (d == NULL)
			continue;
		s->fds[i].revents = ours_now(d, s->fds[i].events);
		n += s->fds[i].revents != 0;
	}
	return n;
}

/* Adds the kernel's answer; descriptors with any event. */
static int merge(struct set *s)
{
	nfds_t i;
	int n = 0;

	for (i = 0; i < s->n; i++) {
		if (s->kern[i].fd >= 0)
			s->fds[i].revents = (short)(s->fds[i].revents | s->kern[i].revents);
		n += s->fds[i].revents != 0;
	}
	return n;
}

/*
 * As in the kernel, connections stay open until the call returns, and their news wake it, also when
 * another thread closes them; but what it finds then goes by the numbers.
 */
static void hold_all(struct set *s)
{
	struct lt_desc *d;
	nfds_t i;

	for (i = 0; i < s->n; i++) {
		d = lt_fd_get(s->fds[i].fd);
		s->held[i] = d != NULL && d->kind == LT_CONN && lt_desc_hold(d) ? d : NULL;
	}
	s->slept = true;
}

static void let_all_go(const struct set *s)
{
	nfds_t i;

	for (i = 0; s->slept && i < s->n; i++)
		if (s->held[i] != NULL)
			lt_desc_let_go(s->held[i]);
}

static void mark_all(const struct set *s)
{
	struct lt_desc *d;
	nfds_t i;

	for (i = 0; i < s->n; i++) {
		d = lt_fd_get(s->fds[i].fd);
		if (d != NULL)
			lt_queue_mark(d);
	}
}

/* Q2: we have announced ourselves; meanwhile an epoll instance may have drawn some of the news to
 * itself. */
static bool heard_everywhere(const struct set *s)
{
	uint64_t queues = 0;
	struct lt_desc *d;
	nfds_t i;

	for (i = 0; i < s->n; i++) {
		d = lt_fd_get(s->fds[i].fd);
		if (d != NULL)
			queues |= queues_of(s, d);
	}
	return (queues & ~(s->queues | 1)) == 0;
}

static void arm_all(const struct set *s, int by)
{
	struct lt_desc *d;
	nfds_t i;

	for (i = 0; s->listeners != 0 && i < s->n; i++) {
		d = lt_fd_get(s->fds[i].fd);
		if (d != NULL && d->kind == LT_LISTEN)
			lt_listen_arm(d, by, 0);
	}
}

static int look_kernel(struct set *s)
{
	const struct timespec zero = {0, 0};

	return lt_real.ppoll(s->kern, s->n, &zero, NULL) < 0 ? -errno : 0;
}

static int wait_kernel(struct set *s, bool forever, uint64_t until_ns, const sigset_t *mask)
{
	uint64_t now = lt_now_ns(), left = until_ns > now ? until_ns - now : 0;
	struct timespec ts = {(time_t)(left / 1000000000u), (long)(left % 1000000000u)};

	if (lt_real.ppoll(s->kern, s->n, forever ? NULL : &ts, mask) < 0)
		return -errno;
	return merge(s);
}

struct nap {
	struct lt_sleep sl;
	struct set *s;
};

/* Also when the thread is cancelled in its sleep. */
static void get_up(void *arg)
{
	struct nap *nap = arg;

	lt_sleep_end(&nap->sl);
	arm_all(nap->s, -1);
}

static int look_and_sleep(struct nap *nap, uint64_t until_ns, const sigset_t *mask, int *ours)
{
	struct set *s = nap->s;

	*ours = look_ours(s);
	if (*ours != 0 || !heard_everywhere(s))
		return 0;
	return lt_sleep_poll(&nap->sl, s->kern, s->n, until_ns, mask);
}

/* Sleeps once. Descriptors of the kernel that are ready, or -errno. */
static int sleep_once(struct set *s, uint64_t until_ns, const sigset_t *mask, int *ours)
{
	struct nap nap = {.s = s};
	int r;

	arm_all(s, 1);
	mark_all(s);
	lt_sleep_begin(&nap.sl, s->c, s->queues | 1);
	pthread_cleanup_push(get_up, &nap);
	r = look_and_sleep(&nap, until_ns, mask, ours);
	pthread_cleanup_pop(1);
	return r;
}

/* 0 = never. */
static uint64_t sleep_end(const struct set *s, uint64_t until_ns)
{
	if (s->fetch_ns == 0)
		return until_ns;
	return until_ns == 0 || s->fetch_ns < until_ns ? s->fetch_ns : until_ns;
}

static int poll_set(struct set *s, bool forever, uint64_t until_ns, const sigset_t *mask)
{
	int ours, r;

	for (;;) {
		if (s->c != NULL)
			lt_short_retry(s->c);
		split(s);
		ours = look_ours(s);
		if (ours != 0 || (!forever && (until_ns == 0 || lt_now_ns() >= until_ns))) {
			r = look_kernel(s);
			return r < 0 ? r : merge(s);
		}
		if (s->c == NULL) /* the service has gone: only the kernel's can still come */
			return wait_kernel(s, forever, until_ns, mask);
		if (!s->slept)
			hold_all(s);
		r = sleep_once(s, sleep_end(s, forever ? 0 : until_ns), mask, &ours);
		if (r < 0)
			return r;
		if (r > 0) {
			look_ours(s);
			return merge(s);
		}
	}
}

struct mapping {
	void *at; /* NULL: nothing */
	size_t bytes;
};

static void unmap(void *arg)
{
	struct mapping *m = arg;

	if (m->at != NULL)
		munmap(m->at, m->bytes);
}

static void let_go(void *arg)
{
	let_all_go(arg);
}

static int poll_ours(
	struct pollfd *fds, nfds_t n, bool forever, uint64_t until_ns, const sigset_t *mask)
{
	struct pollfd stack[ON_STACK + 2];
	struct lt_desc *held[ON_STACK];
	struct set s = {.fds = fds, .n = n, .kern = stack, .held = held};
	struct mapping m = {NULL, n * sizeof(*s.held) + (n + 2) * sizeof(*fds)};
	int r;

	if (n > ON_STACK) {
		m.at = lt_map(m.bytes);
		if (m.at == NULL)
			return -ENOMEM;
		s.held = m.at;
		s.kern = (struct pollfd *)(s.held + n);
	}
	pthread_cleanup_push(unmap, &m);
	pthread_cleanup_push(let_go, &s);
	r = poll_set(&s, forever, until_ns, mask);
	pthread_cleanup_pop(1);
	pthread_cleanup_pop(1);
	return r;
}

static uint64_t after(const struct timespec *ts)
{
	if (ts == NULL || (ts->tv_sec == 0 && ts->tv_nsec == 0))
		return 0;
	if (ts->tv_sec > 1000000000) /* further than any clock goes */
		return UINT64_MAX;
	return lt_now_ns() + (uint64_t)ts->tv_sec * 1000000000u + (uint64_t)ts->tv_nsec;
}

static bool timespec_ok(const struct timespec *ts)
{
	return ts == NULL || (ts->tv_sec >= 0 && ts->tv_nsec >= 0 && ts->tv_nsec < 1000000000);
}

/* More than the kernel takes, or not where a program can have it: its answer counts, and nothing is looked at. */
static bool no_array(const struct pollfd *fds, nfds_t n)
{
	struct rlimit lim;

	if (n <= ON_STACK)
		return lt_bad(fds, n * sizeof(*fds));
	return lt_sys4(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &lim) < 0 || n > lim.rlim_cur ||
	       lt_bad(fds, n * sizeof(*fds));
}

static bool bad_mask(const sigset_t *mask)
{
	return mask != NULL && lt_bad(mask, sizeof(long));
}

int lt_poll(struct pollfd *fds, nfds_t n, int timeout)
{
	if (no_array(fds, n) || !any_ours(fds, n))
		return lt_real.poll(fds, n, timeout);
	return (int)lt_ret(poll_ours(fds, n,
		timeout<0, timeout> 0 ? lt_now_ns() + (uint64_t)timeout * 1000000u : 0, NULL));
}

int lt_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
	if (no_array(fds, n) || bad_mask(mask) || !any_ours(fds, n) || !timespec_ok(timeout))
		return lt_real.ppoll(fds, n, timeout, mask);
	return (int)lt_ret(poll_ours(fds, n, timeout == NULL, after(timeout), mask));
}

int lt___poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t room)
{
	if (room / sizeof(*fds) < n)
		return lt_real.__poll_chk(fds, n, timeout, room);
	return lt_poll(fds, n, timeout);
}

int lt___ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
	const sigset_t *mask, size_t room)
{
	if (room / sizeof(*fds) < n)
		return lt_real.__ppoll_chk(fds, n, timeout, mask, room);
	return lt_ppoll(fds, n, timeout, mask);
}

static bool in_set(const fd_set *set, int fd)
{
	return set != NULL && FD_ISSET(fd, set);
}

static bool bad_set(const fd_set *set)
{
	return set != NULL && lt_bad(set, sizeof(long));
}

static bool any_ours_in(int n, const fd_set *r, const fd_set *w, const fd_set *x)
{
	struct lt_desc *d;
	int fd;

	if (tas_load(&lt_ntab) == 0 || bad_set(r) || bad_set(w) || bad_set(x))
		return false;
	settle();
	for (fd = 0; fd < n; fd++) {
		if (!in_set(r, fd) && !in_set(w, fd) && !in_set(x, fd))
			continue;
		d = lt_fd_get(fd);
		if (d != NULL && tas_load(&d->kind) != LT_UNDECIDED)
			return true;
	}
	return false;
}

/* select(2): which poll events count as readable, writable, exceptional. */
#define SEL_IN	(POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR)
#define SEL_OUT (POLLWRBAND | POLLWRNORM | POLLOUT | POLLERR)
#define SEL_EX	(POLLPRI)

static nfds_t to_poll(struct pollfd *p, int n, const fd_set *r, const fd_set *w, const fd_set *x)
{
	nfds_t k = 0;
	int fd, ev;

	for (fd = 0; fd < n; fd++) {
		ev = (in_set(r, fd) ? POLLIN | POLLRDNORM : 0) |
		     (in_set(w, fd) ? POLLOUT | POLLWRNORM : 0) | (in_set(x, fd) ? POLLPRI : 0);
		if (ev != 0)
			p[k++] = (struct pollfd){.fd = fd, .events = (short)ev};
	}
	return k;
}

static int keep(fd_set *set, int fd, bool ready)
{
	if (!in_set(set, fd))
		return 0;
	if (!ready)
		FD_CLR(fd, set);
	return ready;
}

static bool counts(const fd_set *set, const struct pollfd *p, int events)
{
	return in_set(set, p->fd) && (p->revents & events) != 0;
}

/* Is any descriptor ready in the sense of select()? POLLHUP alone does not make one writable. */
static bool any_counts(const struct pollfd *p, nfds_t k, fd_set *r, fd_set *w, fd_set *x)
{
	nfds_t i;

	for (i = 0; i < k; i++)
		if ((p[i].revents & POLLNVAL) || counts(r, &p[i], SEL_IN) ||
			counts(w, &p[i], SEL_OUT) || counts(x, &p[i], SEL_EX))
			return true;
	return false;
}

/* Bits that are set on return, or -EBADF. */
static int from_poll(const struct pollfd *p, nfds_t k, fd_set *r, fd_set *w, fd_set *x)
{
	nfds_t i;
	int n = 0;

	for (i = 0; i < k; i++)
		if (p[i].revents & POLLNVAL)
			return -EBADF;
	for (i = 0; i < k; i++) {
		n += keep(r, p[i].fd, (p[i].revents & SEL_IN) != 0);
		n += keep(w, p[i].fd, (p[i].revents & SEL_OUT) != 0);
		n += keep(x, p[i].fd, (p[i].revents & SEL_EX) != 0);
	}
	return n;
}

static int select_ours(int n, fd_set *r, fd_set *w, fd_set *x, bool forever, uint64_t until_ns,
	const sigset_t *mask)
{
	struct mapping m = {NULL, (size_t)n * sizeof(struct pollfd)};
	struct pollfd *p = m.at = lt_map(m.bytes);
	nfds_t k;
	int got;

	if (p == NULL)
		return -ENOMEM;
	pthread_cleanup_push(unmap, &m);
	k = to_poll(p, n, r, w, x);
	while ((got = poll_ours(p, k, forever, until_ns, mask)) > 0 && !any_counts(p, k, r, w, x)) {
		got = lt_real.poll(NULL, 0, 1); /* a state that only poll() would report */
		if (got < 0)
			break;
	}
	if (got >= 0)
		got = from_poll(p, k, r, w, x);
	pthread_cleanup_pop(1);
	return got == -1 ? -errno : got;
}

/* Linux leaves the time not slept in *timeout. */
static void time_left(struct timeval *timeout, uint64_t until_ns)
{
	uint64_t now = lt_now_ns(), left = until_ns > now ? until_ns - now : 0;

	timeout->tv_sec = (time_t)(left / 1000000000u);
	timeout->tv_usec = (suseconds_t)(left % 1000000000u / 1000u);
}

int lt_select(int n, fd_set *r, fd_set *w, fd_set *x, struct timeval *timeout)
{
	struct timespec ts;
	uint64_t until;
	int got;

	if (!any_ours_in(n, r, w, x))
		return lt_real.select(n, r, w, x, timeout);
	if (timeout == NULL)
		return (int)lt_ret(select_ours(n, r, w, x, true, 0, NULL));
	if (timeout->tv_sec < 0 || timeout->tv_usec < 0)
		return (int)lt_ret(-EINVAL);
	ts.tv_sec = timeout->tv_sec + timeout->tv_usec / 1000000;
	ts.tv_nsec = timeout->tv_usec % 1000000 * 1000;
	until = after(&ts);
	got = select_ours(n, r, w, x, false, until, NULL);
	if (until != 0)
		time_left(timeout, until);
	return (int)lt_ret(got);
}

int lt_pselect(int n, fd_set *r, fd_set *w, fd_set *x, const struct timespec *timeout,
	const sigset_t *mask)
{
	if (bad_mask(mask) || !any_ours_in(n, r, w, x) || !timespec_ok(timeout))
		return lt_real.pselect(n, r, w, x, timeout, mask);
	return (int)lt_ret(select_ours(n, r, w, x, timeout == NULL, after(timeout), mask));
}
