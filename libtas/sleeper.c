/*
 * sleeper.c - how a thread sleeps in poll() when the news may come from the kernel or from our
 * queues.
 *
 * Eventfds of queues are shared by all threads and never read, so a level-triggered look at them
 * would not sleep, and reading them would take another thread's wake-up. Each sleeping thread
 * therefore borrows an epoll descriptor of our own that holds the eventfds edge-triggered, and
 * polls that. Owner: the borrowing thread. epoll(7), ppoll(2).
 */
#include "lt.h"
#include "tas/yield.h"

#define SLEEPERS_MAX 4096u
/* Without a descriptor to borrow, how long to sleep at a time. */
#define SHORT_NS 10000000ull

struct sleeper {
	int epfd;
	struct lt_ctx *ctx;
	uint64_t registered;
};

static struct sleeper sleepers[SLEEPERS_MAX];
static uint32_t next[SLEEPERS_MAX];
static struct lt_pool pool = {.max = SLEEPERS_MAX, .next = next};

/* Edges from before this sleep are of no interest: the caller looks at everything after announcing
 * itself. */
static void forget_edges(const struct sleeper *s)
{
	struct epoll_event ev[8];

	while (lt_sys(SYS_epoll_pwait, s->epfd, (long)ev, 8, 0, 0, 8) == 8)
		;
}

static bool prepare(struct sleeper *s, struct lt_ctx *c, uint64_t queues)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
	uint64_t missing;

	if (tas_load(&lt_sealed)) /* epoll's calls may be refused */
		return false;
	if (s->ctx != c) {
		lt_unhide(s->epfd > 0 ? s->epfd : -1);
		s->epfd = (int)lt_sys1(SYS_epoll_create1, EPOLL_CLOEXEC);
		if (s->epfd >= 0)
			s->epfd = lt_hide(s->epfd);
		if (s->epfd < 0) {
			s->ctx = NULL;
			return false;
		}
		s->ctx = c;
		s->registered = 0;
	}
	for (missing = queues & ~s->registered; missing != 0; missing &= missing - 1) {
		uint32_t q = (uint32_t)__builtin_ctzll(missing);

		if (c->evq_fd[q] < 0 ||
			lt_sys4(SYS_epoll_ctl, s->epfd, EPOLL_CTL_ADD, c->evq_fd[q], &ev) < 0)
			return false;
		s->registered |= 1ull << q;
	}
	forget_edges(s);
	return true;
}

void lt_sleep_begin(struct lt_sleep *sl, struct lt_ctx *c, uint64_t queues)
{
	uint32_t i = lt_pool_get(&pool);

	sl->c = c;
	sl->queues = queues;
	sl->epfd = -1;
	if (i != LT_NONE && prepare(&sleepers[i], c, queues))
		sl->epfd = sleepers[i].epfd;
	sl->sleeper = i;
	lt_settle(c);
	lt_queue_announce(c, queues);
}

void lt_sleep_end(struct lt_sleep *sl)
{
	lt_queue_retract(sl->c, sl->queues);
	if (sl->sleeper != LT_NONE)
		lt_pool_put(&pool, sl->sleeper);
}

/* No more entries are taken than RLIMIT_NOFILE allows descriptors: ours must go. */
static int poll_without(struct pollfd *fds, nfds_t n, uint64_t ns, const sigset_t *mask)
{
	struct timespec ts = {0, (long)ns};
	int r = lt_real.ppoll(fds, n, &ts, mask);

	return r < 0 ? -errno : r;
}

int lt_sleep_poll(
	struct lt_sleep *sl, struct pollfd *fds, nfds_t n, uint64_t until_ns, const sigset_t *mask)
{
	uint64_t now = lt_now_ns(), left = until_ns > now ? until_ns - now : 0;
	uint64_t retry_ns = lt_short_until(sl->c);
	struct timespec ts;
	bool bounded = until_ns != 0;
	int r;

	TAS_YIELD();
	fds[n] = (struct pollfd){.fd = sl->epfd, .events = POLLIN};
	fds[n + 1] = (struct pollfd){
		.fd = tas_load(&sl->c->dead) ? -1 : lt_client_sock(), .events = POLLRDHUP};
	if (sl->epfd < 0 && (!bounded || left > SHORT_NS)) {
		left = SHORT_NS;
		bounded = true;
	}
	if (retry_ns != 0 && (!bounded || now + left > retry_ns)) {
		left = retry_ns > now ? retry_ns - now : 0;
		bounded = true;
	}
	ts.tv_sec = (time_t)(left / 1000000000u);
	ts.tv_nsec = (long)(left % 1000000000u);
	r = lt_real.ppoll(fds, n + 2, bounded ? &ts : NULL, mask);
	if (r < 0 && errno == EINVAL)
		return poll_without(fds, n, bounded && left < SHORT_NS ? left : SHORT_NS, mask);
	if (r < 0)
		return -errno;
	if (fds[n].revents != 0)
		r--;
	if (fds[n + 1].revents != 0) {
		r--;
		lt_client_check(sl->c);
	}
	return r;
}

void lt_sleepers_move_fd(int fd)
{
	uint32_t i;

	for (i = 0; i < pool.fresh; i++)
		if (sleepers[i].ctx != NULL && sleepers[i].epfd == fd)
			sleepers[i].epfd = lt_hide(fd);
}

void lt_sleepers_fork_child(void)
{
	uint32_t i;

	for (i = 0; i < pool.fresh; i++) {
		if (sleepers[i].ctx != NULL)
			lt_unhide(sleepers[i].epfd);
		sleepers[i].ctx = NULL;
		sleepers[i].epfd = 0;
		next[i] = 0;
	}
	pool.fresh = 0;
	pool.head = 0;
}
