/*
 * accept.c - taking connections out of a listener's queue, and accept().
 *
 * The queue lies in the listener's segment, which every holder can write: each value is checked. An
 * entry is claimed by one compare-and-swap of its word; the head is a hint that only saves looking
 * at entries that were taken. The kernel half has a queue of its own, which gets its turn. Owner:
 * any thread of any holder. accept(2).
 */
#include <pthread.h>
#include "lt.h"
#include "tas/yield.h"

/* Every so many connections the kernel half is asked first. */
#define KERNEL_TURN 16u

static uint32_t entries(const struct tas_listen *l)
{
	uint32_t n = tas_load(&l->backlog);

	return n != 0 && n <= TAS_LISTEN_BACKLOG && (n & (n - 1)) == 0 ? n : 1;
}

/* Index of the first queued entry at or after the head hint; false: none. */
static bool first_queued(const struct tas_listen *l, uint32_t *at)
{
	uint32_t n = entries(l), tail = tas_load_acq(&l->tail), i = tas_load(&l->head),
		 steps = tail - i;

	if (steps > n) { /* only a wrong hint, or a hostile holder */
		i = tail - n;
		steps = n;
	}
	for (; steps > 0; steps--, i++) {
		if (TAS_ACCEPT_KIND(tas_load_acq(&l->queue[i & (n - 1)].word)) ==
			TAS_ACCEPT_QUEUED) {
			*at = i;
			return true;
		}
	}
	return false;
}

static void leave(uint32_t *users)
{
	uint32_t n = tas_load(users);

	while (n != 0 && !tas_cas(users, &n, n - 1))
		;
}

/* Counted as a user: another thread may be closing the listener, and unmaps its segment. */
bool lt_listen_ready(struct lt_desc *d)
{
	uint32_t at;
	bool ready;

	tas_fetch_add(&d->users, 1u); /* full barrier: pairs with lt_listen_close */
	ready = tas_load_acq(&d->kind) == LT_LISTEN && lt_listen_usable(d) &&
		first_queued(d->l, &at);
	leave(&d->users);
	return ready;
}

static void hint_back(struct tas_listen *l, uint32_t index)
{
	uint32_t head = tas_load(&l->head);

	while ((int32_t)(head - index) > 0 && !tas_cas(&l->head, &head, index))
		;
}

/*
 * After moving the hint over [from, at): what was given back meanwhile must not be left behind
 * (proved by tests/model/accept_test.cc).
 */
static void look_again(struct tas_listen *l, uint32_t from, uint32_t at)
{
	uint32_t n = entries(l);

	for (from = at - from > n ? at - n : from; from != at; from++) {
		if (TAS_ACCEPT_KIND(tas_load_acq(&l->queue[from & (n - 1)].word)) ==
			TAS_ACCEPT_QUEUED) {
			hint_back(l, from);
			return;
		}
	}
}

/* Claims a connection for us: its entry, index and the word we wrote, or NULL. */
static struct tas_accept *claim(struct lt_desc *d, uint32_t *index, uint64_t *mine)
{
	struct tas_listen *l = d->l;
	uint32_t head, at, n = entries(l);
	struct tas_accept *e;
	uint64_t w;

	for (;;) {
		head = tas_load(&l->head);
		if (!first_queued(l, &at))
			return NULL;
		e = &l->queue[at & (n - 1)];
		w = tas_load_acq(&e->word);
		if (TAS_ACCEPT_KIND(w) != TAS_ACCEPT_QUEUED)
			continue;
		*mine = TAS_ACCEPT_WORD(TAS_ACCEPT_TAKEN, d->ctx->app, w);
		if (tas_cas(&e->word, &w, *mine))
			break;
	}
	n = head;
	TAS_YIELD();
	if (tas_cas(&l->head, &head, at + 1)) /* else: whoever moved it meanwhile is right too */
		look_again(l, n, at);
	*index = at;
	return e;
}

/*
 * No descriptor could be had: the connection goes back into the queue. If that took long, the
 * service has done so itself, and the word may be another holder's by now.
 */
static void unclaim(struct lt_desc *d, struct tas_accept *e, uint32_t index, uint64_t mine)
{
	TAS_YIELD();
	tas_cas(&e->word, &mine, TAS_ACCEPT_WORD(TAS_ACCEPT_QUEUED, 0, mine));
	TAS_YIELD();
	hint_back(d->l, index);
}

static void fill_conn(
	struct lt_desc *n, struct lt_desc *d, const struct tas_accept *e, uint32_t slot)
{
	struct lt_ctx *c = d->ctx;
	struct tas_sock *s = &c->socks[slot];
	uint32_t core = tas_load(&e->core);

	lt_opts_inherit(n, &d->opts);
	n->ctx = c;
	n->s = s;
	n->slot = slot;
	n->gen = tas_load(&e->gen);
	n->core = core < c->ncores ? core : 0;
	memcpy(n->laddr, e->laddr, 16);
	memcpy(n->raddr, e->raddr, 16);
	n->lport = e->lport;
	n->rport = e->rport;
	lt_slot_reset(s);
	s->take_flow = tas_load(&e->flow);
	s->take_gen = n->gen;
	tas_store_rel(&s->want, TAS_SOCK_TAKE | (n->opts.nodelay ? TAS_SOCK_NODELAY : 0) |
					(lt_flags(n) & LT_D_CORK ? TAS_SOCK_CORK : 0));
}

/* A kernel socket stands behind the connection: number, cookie, close-on-exec and inheritance are
 * real. */
static int make_handle(struct lt_desc *d, int flags)
{
	int family = lt_flags(d) & LT_D_V6 ? AF_INET6 : AF_INET;
	int fd = (int)lt_sys3(SYS_socket, family, SOCK_STREAM | flags, 0);

	if (fd < 0)
		return fd;
	lt_fd_new(fd);
	if ((uint32_t)fd < lt_ntab)
		return fd;
	lt_sys_close(fd);
	return -EMFILE;
}

/* The descriptor of a connection from our queue, or -errno; -EAGAIN = the queue is empty. */
static int accept_ours(struct lt_desc *d, struct sockaddr *sa, socklen_t *len, int flags)
{
	uint32_t keep = LT_D_V6 | LT_D_CORK, slot, index;
	struct tas_accept *e = NULL;
	uint64_t mine;
	struct lt_desc *n;
	int fd = -EAGAIN, r;

	if (!lt_listen_ready(d))
		return -EAGAIN;
	n = lt_desc_new(LT_FREE, LT_D_INHERITED | (lt_flags(d) & keep) |
					 (flags & SOCK_NONBLOCK ? LT_D_NONBLOCK : 0));
	if (n == NULL)
		return -ENFILE;
	slot = lt_slot_get(d->ctx, lt_desc_index(n));
	if (slot == LT_NONE) {
		lt_explain(TAS_X_no_slot);
		fd = -ENFILE; /* programs know to wait a while */
	} else if ((e = claim(d, &index, &mine)) != NULL && (fd = make_handle(d, flags)) < 0) {
		unclaim(d, e, index, mine);
	}
	if (fd < 0) {
		if (slot != LT_NONE)
			lt_slot_put(d->ctx, slot, 0);
		lt_desc_free(n);
		return fd;
	}
	fill_conn(n, d, e, slot);
	lt_report_accepted(n, d);
	tas_store_rel(&n->kind, (uint32_t)LT_CONN);
	lt_fd_put(fd, n);
	lt_ring(n); /* at once: a claim that is not made good in time is offered to others */
	if (sa != NULL && (r = lt_addr_put(n, n->raddr, n->rport, sa, len)) < 0) {
		lt_close(fd); /* and the connection with it, as on Linux */
		return r;
	}
	return fd;
}

static int accept_kernel(
	const struct lt_desc *d, int lfd, struct sockaddr *sa, socklen_t *len, int flags)
{
	int fd = lfd < 0 ? -EAGAIN : (int)lt_sys4(SYS_accept4, lfd, sa, len, flags);

	if (fd < 0)
		return fd;
	lt_left_listener(TAS_X_dual_accept, d->laddr, d->lport);
	lt_fd_new(fd);
	return fd;
}

static int accept_now(struct lt_desc *d, int lfd, struct sockaddr *sa, socklen_t *len, int flags)
{
	bool kernel_first = tas_fetch_add(&d->accepted, 1u) % KERNEL_TURN == KERNEL_TURN - 1;
	int fd = -EAGAIN;

	if (kernel_first)
		fd = accept_kernel(d, lfd, sa, len, flags);
	if (fd == -EAGAIN)
		fd = accept_ours(d, sa, len, flags);
	if (fd == -EAGAIN && !kernel_first)
		fd = accept_kernel(d, lfd, sa, len, flags);
	return fd;
}

struct wait {
	struct lt_desc *d;
	uint32_t life;
	bool *held;
	int sigfd; /* lt_restart_fd() */
	sigset_t mask;
	struct lt_sleep sl;
};

/* The thread ends in its sleep: it must not go on being the one that is woken. */
static void wait_cancelled(void *arg)
{
	struct wait *w = arg;

	lt_sleep_end(&w->sl);
	lt_unhide(w->sigfd);
	if (tas_load(&w->d->life) == w->life)
		lt_listen_leave(w->d, true);
	leave(&w->d->users);
	if (*w->held)
		lt_desc_let_go(w->d);
}

/* 0 when there may be one, or -EINTR. */
static int look_and_sleep(struct wait *w, int lfd, uint64_t until_ns)
{
	struct pollfd p[4] = {{.fd = lfd, .events = POLLIN}, {.fd = w->sigfd, .events = POLLIN}};
	int r;

	TAS_YIELD();
	if (lt_listen_ready(w->d) || tas_load(&w->d->kind) != LT_LISTEN)
		return 0;
	if (tas_load(&w->d->evq_mask) & ~w->sl.queues) /* Q2: an epoll instance has joined us */
		return 0;
	r = lt_sleep_poll(&w->sl, p, 2, until_ns, w->sigfd >= 0 ? &w->mask : NULL);
	return r > 0 && p[1].revents != 0 ? lt_restart_fd_woke() : r;
}

/* Sleeps until either half may have a connection. 0, -EINTR, -EAGAIN at the time-out. */
static int wait_conn(struct lt_desc *d, int lfd, uint64_t until_ns, bool *held)
{
	struct wait w = {.d = d, .life = tas_load(&d->life), .held = held};
	int r;

	if (!*held && !(*held = lt_desc_hold(d)))
		return -EBADF;
	w.sigfd = until_ns == 0 ? lt_restart_fd(&w.mask) : -1;
	lt_listen_arm(d, 0, 1);
	lt_queue_mark(d);
	lt_sleep_begin(&w.sl, d->ctx, tas_load(&d->evq_mask));
	pthread_cleanup_push(wait_cancelled, &w);
	r = look_and_sleep(&w, lfd, until_ns);
	pthread_cleanup_pop(0);
	lt_sleep_end(&w.sl);
	lt_unhide(w.sigfd);
	if (tas_load(&d->life) == w.life)
		lt_listen_arm(d, 0, -1);
	if (r == 0 && until_ns != 0 && lt_now_ns() >= until_ns)
		return -EAGAIN;
	return r < 0 ? r : 0;
}

static int accept_loop(
	struct lt_desc *d, int lfd, struct sockaddr *sa, socklen_t *len, int flags, bool *held)
{
	uint32_t life = tas_load_acq(&d->life);
	struct tas_listen *l = d->l;
	uint64_t until = 0;
	int fd, r;

	for (;;) {
		if (tas_load_acq(&d->kind) != LT_LISTEN || tas_load(&d->life) != life)
			return -EINVAL;
		if (lt_flags(d) & LT_D_DOWN)
			return -EINVAL;
		if (lt_unlikely(*held && lt_fd_get(lfd) != d)) /* closed: the kernel half is gone */
			lfd = -1;
		fd = accept_now(d, lfd, sa, len, flags);
		if (fd != -EAGAIN || tas_load(&l->nonblock))
			return fd;
		if (until == 0)
			until = lt_until(d->opts.rcvtimeo_ns);
		r = wait_conn(d, lfd, until, held);
		if (r < 0 && !(r == -EINTR && lt_restart(until != 0))) {
			/* The queue goes before signal and time-out: a wake-up may have come with them. */
			fd = accept_now(d, lfd, sa, len, flags);
			return fd != -EAGAIN ? fd : r;
		}
	}
}

static int accept_on(struct lt_desc *d, int fd, struct sockaddr *sa, socklen_t *len, int flags)
{
	bool held = false;
	int r, saved = errno;

	lt_cancel_point();
	if (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC))
		return (int)lt_ret(-EINVAL);
	tas_fetch_add(&d->users, 1u);
	r = accept_loop(d, fd, sa, len, flags, &held);
	leave(&d->users);
	lt_rx_offer(d->ctx);
	if (held)
		lt_desc_let_go(d);
	if (r >= 0)
		errno = saved;
	return (int)lt_ret(r);
}

int lt_accept4(int fd, struct sockaddr *sa, socklen_t *len, int flags)
{
	struct lt_desc *d = lt_fd_get(fd);

	if (d == NULL || d->kind != LT_LISTEN || !lt_listen_settle(d, fd))
		return lt_fd_made(lt_real.accept4(fd, sa, len, flags));
	return accept_on(d, fd, sa, len, flags);
}

/* A kernel's socket is asked by accept(), not accept4(): not every sandbox that knows the one knows the other. */
int lt_accept(int fd, struct sockaddr *sa, socklen_t *len)
{
	if (lt_fd_get(fd) == NULL)
		return lt_fd_made(lt_real.accept(fd, sa, len));
	return lt_accept4(fd, sa, len, 0);
}
