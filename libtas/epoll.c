/*
 * epoll.c - waiting in an epoll instance.
 *
 * Ours first: bells, inbox, ready list, no system call. While that yields events the kernel's side
 * is looked at every 50 us or 64 calls; when it yields none, the thread announces itself, looks
 * again, and sleeps in the kernel's epoll_pwait, which our eventfds end. Edges, oneshot and
 * exclusive are decided per item. Owner: any thread. epoll_wait(2), epoll_pwait2(2).
 */
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include "epoll_set.h"
#include "tas/yield.h"

#define LOOK_NS	   50000u
#define LOOK_CALLS 64u
#define SPIN_NS	   20000u

static uint32_t item_events(struct lt_item *it)
{
	uint32_t at = tas_load(&it->desc), ev;
	struct lt_desc *d;

	if (at == LT_NONE)
		return 0;
	d = &lt_descs[at];
	switch (tas_load_acq(&d->kind)) { /* LT_AWAY: nothing until it is fetched */
	case LT_CONN:
		ev = lt_conn_events(d, it->events);
		break;
	case LT_LISTEN:
		ev = it->half_ready || lt_listen_ready(d) ? EPOLLIN | EPOLLRDNORM : 0;
		break;
	case LT_EPOLL:
		ev = it->half_ready || lt_epoll_ready(d) ? EPOLLIN | EPOLLRDNORM : 0;
		break;
	case LT_UNDECIDED: /* as the kernel shows an unconnected socket */
		ev = EPOLLOUT | EPOLLWRNORM | EPOLLHUP;
		break;
	default:
		ev = 0;
		break;
	}
	return ev & (it->events | EPOLLERR | EPOLLHUP);
}

/* Takes one item off the list and reports it if it is ready; true when it was. Level-triggered ones
 * go back. */
static bool report(struct lt_epoll *ep, uint32_t i, struct epoll_event *out)
{
	struct lt_item *it = &lt_items[i];
	uint32_t ev;

	lt_epoll_unlist(ep, i);
	if (it->flags & LT_I_DISABLED)
		return false;
	ev = item_events(it);
	it->half_ready = 0;
	if (ev == 0)
		return false;
	out->events = ev;
	out->data.u64 = it->data;
	if (it->events & EPOLLONESHOT) {
		it->flags |= LT_I_DISABLED;
		lt_epoll_half_stop(ep, i);
	} else if (!(it->events & EPOLLET)) {
		lt_epoll_list(ep, i);
	}
	return true;
}

static int take_ready(struct lt_epoll *ep, struct epoll_event *ev, int max)
{
	struct lt_ctx *c = tas_load_acq(&ep->ctx);
	uint32_t todo;
	bool more;
	int n = 0;

	if (c == NULL || max <= 0)
		return 0;
	lt_queue_collect(c, tas_load(&ep->queues));
	lt_rx_offer(c);
	if (lt_lock(&ep->lock) != 0)
		return 0; /* a handler above this very function */
	lt_epoll_drain(ep);
	for (todo = ep->nready; todo > 0 && n < max && ep->head != 0; todo--)
		if (report(ep, ep->head - 1, &ev[n]))
			n++;
	more = n == max && todo > 0;
	lt_unlock(&ep->lock);
	if (more && tas_load(&ep->sleepers) != 0)
		lt_epoll_kick(ep);
	return n;
}

/*
 * Another thread may have taken the item out since the kernel answered, and a set that fork shared
 * reports what the other process has put in: only what is an item of this very set has news. A handler
 * above a change of the set hears nothing; the kernel says it again.
 */
static void half_news(struct lt_epoll *ep, uint32_t i)
{
	struct lt_item *it = &lt_items[i];

	if (lt_lock(&ep->lock) != 0)
		return;
	if ((tas_load(&it->flags) & LT_I_HALF) && &lt_epolls[tas_load(&it->ep)] == ep) {
		it->half_ready = 1;
		lt_epoll_inbox(i);
	}
	lt_unlock(&ep->lock);
}

/* Takes what is ours out of the kernel's answer; returns how many events are the program's. */
static int sift(struct lt_epoll *ep, struct epoll_event *ev, int n)
{
	uint32_t tag;
	int i, out = 0;

	for (i = 0; i < n; i++) {
		if (lt_likely(!lt_epoll_is_tag(ev[i].data.u64, &tag))) {
			ev[out++] = ev[i];
		} else if (tag == 0) {
			if ((ev[i].events & (EPOLLHUP | EPOLLRDHUP | EPOLLERR)) && ep->ctx != NULL)
				lt_client_check(ep->ctx);
		} else {
			half_news(ep, tag - 1);
		}
	}
	return out;
}

static bool look_due(struct lt_epoll *ep)
{
	uint64_t now;

	if (tas_load(&ep->nkernel) == 0)
		return false;
	now = lt_now_ns();
	if (++ep->calls < LOOK_CALLS && now - ep->looked_ns < LOOK_NS)
		return false;
	ep->calls = 0;
	ep->looked_ns = now;
	return true;
}

/* What there is now, without sleeping. < 0: the kernel's error. */
static int look(struct lt_epoll *ep, int fd, struct epoll_event *ev, int max)
{
	const struct lt_span now = {false, false, 0};
	int k = 0, n;

	if (!look_due(ep))
		return take_ready(ep, ev, max);
	k = lt_kernel_wait(fd, ev, max, &now, NULL);
	if (k < 0)
		return k;
	k = sift(ep, ev, k);
	n = take_ready(ep, ev + k, max - k);
	return k + n;
}

static bool pending(const struct lt_epoll *ep, const struct lt_ctx *c)
{
	return tas_load_acq(&ep->inbox) != 0 || lt_queue_pending(c, tas_load(&ep->queues));
}

static bool spin(const struct lt_epoll *ep, const struct lt_ctx *c)
{
	uint64_t end;

	if (!lt_queue_worth_spinning(c, sched_getcpu()))
		return false;
	for (end = lt_now_ns() + SPIN_NS; lt_now_ns() < end; tas_cpu_relax())
		if (pending(ep, c))
			return true;
	return false;
}

/* A nested instance has our eventfds in the kernel's set only while somebody sleeps in it. */
static void listen_nested(struct lt_epoll *ep)
{
	tas_fetch_add(&ep->sleepers, 1u);
	if (!tas_load(&ep->nested) || lt_lock(&ep->lock) != 0)
		return;
	lt_epoll_listen(ep);
	lt_unlock(&ep->lock);
}

static void deafen_nested(struct lt_epoll *ep)
{
	if (tas_fetch_add(&ep->sleepers, ~0u) != 1 || !tas_load(&ep->nested))
		return;
	if (lt_lock(&ep->lock) != 0)
		return;
	if (tas_load(&ep->sleepers) == 0 && ep->ctx != NULL)
		lt_epoll_deafen(ep);
	lt_unlock(&ep->lock);
}

struct nap {
	struct lt_epoll *ep;
	struct lt_desc *d; /* of the instance; held once the thread has slept */
	bool held;
	struct lt_ctx *c;
	uint64_t queues;
};

/* Counted first: an instance that gains a queue from here on wakes its sleepers. */
static void lie_down(struct nap *nap)
{
	TAS_YIELD();
	listen_nested(nap->ep);
	if (nap->c == NULL)
		return;
	nap->queues = tas_load(&nap->ep->queues);
	lt_queue_announce(nap->c, nap->queues);
}

static void get_up(struct nap *nap)
{
	if (nap->c != NULL)
		lt_queue_retract(nap->c, nap->queues);
	deafen_nested(nap->ep);
}

static void cancelled(void *arg)
{
	struct nap *nap = arg;

	get_up(nap);
	if (nap->held)
		lt_desc_let_go(nap->d);
}

/* Another thread may have closed the instance: it lasts until we return, but its descriptor does
 * not. */
static bool may_sleep(struct nap *nap, int fd)
{
	if (!nap->held)
		nap->held = lt_desc_hold(nap->d);
	return nap->held && lt_fd_get(fd) == nap->d;
}

/* Sleeps no longer than connections that wait for memory allow; *again: it is not the program's time
 * that is over. */
static int wait_bounded(const struct lt_ctx *c, int fd, struct epoll_event *ev, int max,
	const struct lt_span *s, const sigset_t *mask, bool *again)
{
	uint64_t retry_ns = c != NULL ? lt_short_until(c) : 0;
	struct lt_span cut = {false, s->fine, retry_ns};
	bool shorter = retry_ns != 0 && (s->forever || s->until_ns > retry_ns);
	int n = lt_kernel_wait(fd, ev, max, shorter ? &cut : s, mask);

	*again = n > 0 || shorter;
	return n;
}

static int look_and_sleep(struct nap *nap, int fd, struct epoll_event *ev, int max,
	const struct lt_span *s, const sigset_t *mask, bool *again)
{
	int n;

	if (nap->c != NULL && pending(nap->ep, nap->c))
		return 0;
	TAS_YIELD();
	n = wait_bounded(nap->c, fd, ev, max, s, mask, again);
	return n > 0 ? sift(nap->ep, ev, n) : n;
}

/* Sleeps in the kernel's instance. Events of the program, or -1; *again: news of ours may have
 * come. */
static int sleep_in(struct nap *nap, int fd, struct epoll_event *ev, int max,
	const struct lt_span *s, const sigset_t *mask, bool *again)
{
	int n;

	nap->c = tas_load_acq(&nap->ep->ctx);
	*again = true;
	if (nap->c != NULL && s->until_ns + s->forever != 0 && spin(nap->ep, nap->c))
		return 0;
	if (s->until_ns + s->forever != 0 && !may_sleep(nap, fd))
		return (int)lt_ret(-EBADF);
	lie_down(nap);
	pthread_cleanup_push(cancelled, nap);
	n = look_and_sleep(nap, fd, ev, max, s, mask, again);
	pthread_cleanup_pop(0);
	get_up(nap);
	return n;
}

static bool over(const struct lt_span *s)
{
	return !s->forever && (s->until_ns == 0 || lt_now_ns() >= s->until_ns);
}

/* Not for ever: a connection that another process uses may be free again (share.c). */
static int sleep_and_fetch(struct nap *nap, int fd, struct epoll_event *ev, int max,
	const struct lt_span *s, const sigset_t *mask, bool *again)
{
	struct lt_span slice = *s;
	uint64_t end = lt_now_ns() + LT_SHARE_SLICE_NS;
	int n;

	lt_share_fetch();
	if (s->forever || s->until_ns > end)
		slice = (struct lt_span){.until_ns = end};
	n = sleep_in(nap, fd, ev, max, &slice, mask, again);
	*again = true; /* the caller knows when it is over */
	return n;
}

static int wait_loop(struct nap *nap, int fd, struct epoll_event *ev, int max,
	const struct lt_span *s, const sigset_t *mask)
{
	struct lt_epoll *ep = nap->ep;
	bool again;
	int n;

	for (;;) {
		if (tas_load(&ep->nitems) != 0) {
			lt_epoll_refresh(ep);
			if (lt_share_strays())
				lt_share_fetch();
			if (ep->ctx != NULL)
				lt_short_retry(ep->ctx);
			n = look(ep, fd, ev, max);
			if (n != 0)
				return n;
		}
		if (lt_share_strays())
			n = sleep_and_fetch(nap, fd, ev, max, s, mask, &again);
		else
			n = sleep_in(nap, fd, ev, max, s, mask, &again);
		if (n < 0)
			return n;
		n += take_ready(ep, ev + n, max - n);
		if (n > 0 || !again || over(s))
			return n;
	}
}

static int wait_in(struct lt_desc *d, struct lt_epoll *ep, int fd, struct epoll_event *ev, int max,
	const struct lt_span *s, const sigset_t *mask)
{
	struct nap nap = {.ep = ep, .d = d};
	int n = wait_loop(&nap, fd, ev, max, s, mask), err = errno;
	struct lt_ctx *c = tas_load_acq(&ep->ctx);

	if (lt_unlikely(tas_load(&ep->sleepers) != 0) && c != NULL)
		lt_queue_rearm(c, tas_load(&ep->queues));
	if (nap.held) {
		lt_desc_let_go(d);
		errno = err;
	}
	return n;
}

static void not_asleep(void *arg)
{
	struct lt_desc *d = arg;

	tas_fetch_add(&lt_epoll_of(d)->sleepers, ~0u);
	lt_desc_let_go(d);
}

/* Counted before it looks whether there is anything of ours (I1), and held as in may_sleep(). */
static int sleep_among_kernels(struct lt_desc *d, int fd, struct epoll_event *ev, int max,
	const struct lt_span *s, const sigset_t *mask)
{
	struct lt_epoll *ep = lt_epoll_of(d);
	int n = 0, err;

	if (!lt_desc_hold(d))
		return (int)lt_ret(-EBADF);
	tas_fetch_add(&ep->sleepers, 1u);
	TAS_YIELD();
	if (tas_load(&ep->nitems) == 0) {
		pthread_cleanup_push(not_asleep, d);
		n = lt_kernel_wait(fd, ev, max, s, mask);
		pthread_cleanup_pop(0);
	}
	err = errno;
	not_asleep(d);
	errno = err;
	return n;
}

/*
 * An instance that holds the kernel's descriptors alone: true when *n is the answer. Should it gain one of
 * ours meanwhile, whoever adds it finds us counted, and the eventfd of its queue ends the sleep: then false.
 */
static bool only_kernels(struct lt_desc *d, struct lt_epoll *ep, int fd, struct epoll_event *ev,
	int max, const struct lt_span *s, const sigset_t *mask, int *n)
{
	int r = sleep_among_kernels(d, fd, ev, max, s, mask);

	*n = r > 0 ? sift(ep, ev, r) : r;
	return *n != 0 || (r == 0 && tas_load(&ep->nitems) == 0);
}

static int wait_any(struct lt_desc *d, int fd, struct epoll_event *ev, int max,
	const struct lt_span *s, const sigset_t *mask)
{
	struct lt_epoll *ep = d->kind == LT_EPOLL ? lt_epoll_of(d) : NULL;
	struct lt_ctx *c = lt_context();
	int n;

	lt_cancel_point();
	if (c != NULL)
		lt_settle(c);
	if (ep == NULL || max <= 0 || lt_bad(ev, sizeof(*ev)) ||
		(mask != NULL && lt_bad(mask, sizeof(long))))
		return lt_kernel_wait(fd, ev, max, s, mask);
	lt_epoll_seen(ep, fd);
	if (tas_load(&ep->nitems) == 0 && !tas_load(&ep->nested) &&
		only_kernels(d, ep, fd, ev, max, s, mask, &n))
		return n;
	return wait_in(d, ep, fd, ev, max, s, mask);
}

int lt_epoll_pwait(struct lt_desc *d, int fd, struct epoll_event *ev, int max, int timeout,
	const sigset_t *mask)
{
	struct lt_span s = {.forever = timeout < 0};

	if (timeout > 0)
		s.until_ns = lt_now_ns() + (uint64_t)timeout * 1000000u;
	return wait_any(d, fd, ev, max, &s, mask);
}

/* A look at an instance that holds the kernel's descriptors alone costs next to nothing more. */
int lt_epoll_wait(struct lt_desc *d, int fd, struct epoll_event *ev, int max, int timeout)
{
	struct lt_epoll *ep = lt_epoll_of(d);
	struct lt_ctx *c;
	int n;

	if (timeout != 0 || ep == NULL || tas_load(&ep->nitems) != 0 || lt_bad(ev, sizeof(*ev)))
		return lt_epoll_pwait(d, fd, ev, max, timeout, NULL);
	c = lt_context();
	if (c != NULL)
		lt_settle(c);
	n = lt_real.epoll_wait(fd, ev, max, 0);
	return n > 0 ? sift(ep, ev, n) : n;
}

int lt_epoll_pwait2(struct lt_desc *d, int fd, struct epoll_event *ev, int max,
	const struct timespec *timeout, const sigset_t *mask)
{
	struct lt_span s = {.forever = timeout == NULL, .fine = true};

	if (timeout != NULL && lt_bad(timeout, sizeof(*timeout)))
		return (int)lt_ret(-EFAULT);
	if (timeout != NULL &&
		(timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec > 999999999))
		return (int)lt_ret(-EINVAL);
	if (timeout != NULL && (timeout->tv_sec != 0 || timeout->tv_nsec != 0))
		s.until_ns = lt_now_ns() + (uint64_t)timeout->tv_sec * 1000000000u +
			     (uint64_t)timeout->tv_nsec;
	return wait_any(d, fd, ev, max, &s, mask);
}

uint64_t lt_epoll_queues(struct lt_desc *d)
{
	struct lt_epoll *ep = lt_epoll_of(d);

	return ep != NULL && tas_load(&ep->nitems) != 0 ? tas_load(&ep->queues) : 0;
}

/* For poll() on the instance itself: is any of our items ready? */
bool lt_epoll_ready(struct lt_desc *d)
{
	struct lt_epoll *ep = lt_epoll_of(d);
	bool ready = false;
	uint32_t i;

	if (ep == NULL || tas_load(&ep->nitems) == 0 || tas_load_acq(&ep->ctx) == NULL)
		return false;
	lt_queue_collect(ep->ctx, tas_load(&ep->queues));
	if (lt_lock(&ep->lock) != 0)
		return false;
	lt_epoll_drain(ep);
	for (i = ep->head; i != 0 && !ready; i = lt_items[i - 1].r_next)
		ready = !(lt_items[i - 1].flags & LT_I_DISABLED) &&
			item_events(&lt_items[i - 1]) != 0;
	lt_unlock(&ep->lock);
	return ready;
}
