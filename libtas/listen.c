/*
 * listen.c - listeners: one accept queue in memory shared with the daemon and every holder, and a
 * kernel half.
 *
 * The kernel's socket listens as well: it answers on the addresses that are the kernel's and keeps
 * others from binding. Underneath it is non-blocking; what the program set is kept in the segment,
 * since O_NONBLOCK belongs to the description that processes share. The segment can be written by
 * every holder: each value is checked. Owner: any thread of any holder; an entry is claimed by one
 * compare-and-swap of its word.
 */
#include <sys/mman.h>
#include "lt.h"

/* Every so many connections the kernel half is asked first. */
#define KERNEL_TURN 16u
/* How long a close waits for threads inside accept() before it leaves the segment mapped, in ms. */
#define LEAVE_MS 100

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

static bool usable(const struct lt_desc *d)
{
	return d->l != NULL && d->ctx != NULL && !tas_load(&d->ctx->dead) &&
	       !(lt_flags(d) & LT_D_DOWN);
}

bool lt_listen_ready(struct lt_desc *d)
{
	uint32_t at;

	return usable(d) && first_queued(d->l, &at);
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

/* Claims a connection for us: its entry and index, or NULL. */
static struct tas_accept *claim(struct lt_desc *d, uint32_t *index)
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
		if (tas_cas(&e->word, &w, TAS_ACCEPT_WORD(TAS_ACCEPT_TAKEN, d->ctx->app, w)))
			break;
	}
	n = head;
	if (tas_cas(&l->head, &head, at + 1)) /* else: whoever moved it meanwhile is right too */
		look_again(l, n, at);
	*index = at;
	return e;
}

/* No descriptor could be had: the connection goes back into the queue. */
static void unclaim(struct lt_desc *d, struct tas_accept *e, uint32_t index)
{
	uint64_t w = tas_load(&e->word);

	tas_cas(&e->word, &w, TAS_ACCEPT_WORD(TAS_ACCEPT_QUEUED, 0, w));
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
	s->rx_lowat = n->opts.rcvlowat;
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
	struct lt_desc *n;
	int fd = -EAGAIN;

	if (!lt_listen_ready(d))
		return -EAGAIN;
	n = lt_desc_new(LT_FREE, LT_D_INHERITED | (lt_flags(d) & keep) |
					 (flags & SOCK_NONBLOCK ? LT_D_NONBLOCK : 0));
	if (n == NULL)
		return -ENFILE;
	slot = lt_slot_get(d->ctx, lt_desc_index(n));
	if (slot == LT_NONE)
		fd = -ENOBUFS;
	else if ((e = claim(d, &index)) != NULL && (fd = make_handle(d, flags)) < 0)
		unclaim(d, e, index);
	if (fd < 0) {
		if (slot != LT_NONE)
			lt_slot_put(d->ctx, slot, 0);
		lt_desc_free(n);
		return fd;
	}
	fill_conn(n, d, e, slot);
	tas_store_rel(&n->kind, (uint32_t)LT_CONN);
	lt_fd_put(fd, n);
	lt_ring(n); /* at once: a claim that is not made good in time is offered to others */
	if (sa != NULL)
		lt_addr_put(n, n->raddr, n->rport, sa, len);
	return fd;
}

static int accept_kernel(int lfd, struct sockaddr *sa, socklen_t *len, int flags)
{
	int fd = (int)lt_sys4(SYS_accept4, lfd, sa, len, flags);

	if (fd >= 0)
		lt_fd_new(fd);
	return fd;
}

static int accept_now(struct lt_desc *d, int lfd, struct sockaddr *sa, socklen_t *len, int flags)
{
	bool kernel_first = tas_fetch_add(&d->accepted, 1u) % KERNEL_TURN == KERNEL_TURN - 1;
	int fd = -EAGAIN;

	if (kernel_first)
		fd = accept_kernel(lfd, sa, len, flags);
	if (fd == -EAGAIN)
		fd = accept_ours(d, sa, len, flags);
	if (fd == -EAGAIN && !kernel_first)
		fd = accept_kernel(lfd, sa, len, flags);
	return fd;
}

/* Sleeps until either half may have a connection. 0, -EINTR, -EAGAIN at the time-out. */
static int wait_conn(struct lt_desc *d, int lfd, uint64_t until_ns)
{
	struct pollfd p[3] = {{.fd = lfd, .events = POLLIN}};
	struct lt_sleep sl;
	int r = 0;

	lt_listen_arm(d, 0, 1);
	lt_sleep_begin(&sl, d->ctx, d->evq_mask);
	if (!lt_listen_ready(d) && tas_load(&d->kind) == LT_LISTEN)
		r = lt_sleep_poll(&sl, p, 1, until_ns, NULL);
	lt_sleep_end(&sl);
	lt_listen_arm(d, 0, -1);
	if (r == 0 && until_ns != 0 && lt_now_ns() >= until_ns)
		return -EAGAIN;
	return r < 0 ? r : 0;
}

static int accept_loop(struct lt_desc *d, int lfd, struct sockaddr *sa, socklen_t *len, int flags)
{
	uint64_t until = 0;
	int fd, r;

	for (;;) {
		if (tas_load(&d->kind) != LT_LISTEN)
			return -EINVAL;
		fd = accept_now(d, lfd, sa, len, flags);
		if (fd != -EAGAIN || tas_load(&d->l->nonblock))
			return fd;
		if (until == 0)
			until = lt_until(d->opts.rcvtimeo_ns);
		r = wait_conn(d, lfd, until);
		if (r < 0 && !(r == -EINTR && lt_restart(until != 0)))
			return r;
	}
}

static void leave(uint32_t *users)
{
	uint32_t n = tas_load(users);

	while (n != 0 && !tas_cas(users, &n, n - 1))
		;
}

int lt_accept4(struct lt_desc *d, int fd, struct sockaddr *sa, socklen_t *len, int flags)
{
	int r, saved = errno;

	if (d->kind != LT_LISTEN || !lt_listen_settle(d, fd)) {
		r = lt_real.accept4(fd, sa, len, flags);
		if (r >= 0)
			lt_fd_new(r);
		return r;
	}
	if (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC))
		return (int)lt_ret(-EINVAL);
	if (sa != NULL && len == NULL)
		return (int)lt_ret(-EFAULT);
	tas_fetch_add(&d->users, 1u);
	r = accept_loop(d, fd, sa, len, flags);
	leave(&d->users);
	lt_rx_offer(d->ctx);
	if (r >= 0)
		errno = saved;
	return (int)lt_ret(r);
}

int lt_accept(struct lt_desc *d, int fd, struct sockaddr *sa, socklen_t *len)
{
	return lt_accept4(d, fd, sa, len, 0);
}

/* Which of our holder entries in the segment is ours; false when the daemon made none. */
static bool find_holder(struct lt_desc *d, uint32_t app)
{
	uint32_t i;

	for (i = 0; i < TAS_LISTEN_HOLDERS; i++) {
		if (tas_load_acq(&d->l->holders[i].app) != app)
			continue;
		d->holder = i;
		return true;
	}
	return false;
}

/* Maps the segment; not MADV_DONTFORK: a fork child is a holder of the same listener. */
bool lt_listen_map(struct lt_desc *d, int fd, uint32_t id)
{
	struct tas_listen *l = mmap(NULL, sizeof(*l), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (l == MAP_FAILED)
		return false;
	d->l = l;
	d->listener = id;
	if (tas_load(&l->magic) == TAS_LISTEN_MAGIC && find_holder(d, lt_client_app()))
		return true;
	munmap(l, sizeof(*l));
	d->l = NULL;
	return false;
}

/* LISTEN or JOIN with the handle. 0 or -errno. */
static int ask_listen(struct lt_desc *d, int fd, struct tas_msg *m)
{
	uint32_t nfds = 1;
	int seg = -1, r;

	m->opts = d->opts.wire;
	m->flags = d->opts.reuseport ? TAS_LISTEN_REUSEPORT : 0;
	r = lt_command(m, fd, &seg, &nfds);
	if (r < 0)
		return r;
	if (nfds != 1)
		return -EPROTO;
	r = lt_listen_map(d, seg, m->id) ? 0 : -ENOBUFS;
	lt_sys_close(seg);
	return r;
}

/* A descriptor's own flag is the program's; underneath the kernel half never blocks. */
static void take_nonblock(struct lt_desc *d, int fd)
{
	long fl = lt_sys_fcntl(fd, F_GETFL, 0);

	tas_store(&d->l->nonblock, fl >= 0 && (fl & O_NONBLOCK) ? 1u : 0u);
	if (fl >= 0)
		lt_sys_fcntl(fd, F_SETFL, fl | O_NONBLOCK);
}

/* Who serves the address that the handle is bound to? */
static enum lt_place bound_place(struct lt_ctx *c, int fd, struct tas_msg *m)
{
	struct sockaddr_in6 sa;
	socklen_t len = sizeof(sa);
	int v6only = 0;
	unsigned vlen = sizeof(v6only);

	if (lt_sys3(SYS_getsockname, fd, &sa, &len) < 0)
		return LT_KERNEL;
	if (!lt_addr_get((struct sockaddr *)&sa, len, m->laddr, &m->lport))
		return LT_KERNEL;
	if (sa.sin6_family == AF_INET6)
		lt_sys_getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, &vlen);
	if (v6only)
		return LT_KERNEL;
	if (!lt_addr_any(m->laddr))
		return lt_place_local(c, m->laddr);
	memset(m->laddr, 0, 16);
	return LT_BOTH;
}

/*
 * After the kernel's own listen() succeeded: does tas listen too? 0 = yes (the description is a
 * listener now), 1 = the kernel alone, or -errno.
 */
int lt_listen_decide(struct lt_desc *d, int fd, int backlog)
{
	struct tas_msg m = {
		.type = TAS_CMD_LISTEN, .aux = backlog < 0 ? 0xffff : (uint64_t)backlog};
	struct lt_ctx *c = lt_context_get();
	enum lt_place place = c != NULL ? bound_place(c, fd, &m) : LT_KERNEL;
	int r;

	if (place == LT_KERNEL)
		return 1;
	r = ask_listen(d, fd, &m);
	if (r == -EADDRINUSE || (r < 0 && place == LT_TAS && r != -EADDRNOTAVAIL)) {
		lt_real.shutdown(
			fd, SHUT_RD); /* stop the kernel's half: the call fails as a whole */
		return r;
	}
	if (r < 0)
		return 1;
	d->ctx = c;
	memcpy(d->laddr, m.laddr, 16);
	d->lport = m.lport;
	take_nonblock(d, fd);
	tas_store_rel(&d->kind, (uint32_t)LT_LISTEN);
	return 0;
}

int lt_listen(struct lt_desc *d, int fd, int backlog)
{
	int r = lt_real.listen(fd, backlog);

	if (r != 0)
		return r;
	d = lt_fd_check(fd);
	if (d == NULL || d->kind != LT_UNDECIDED || lt_lock(&d->lock) != 0)
		return 0;
	r = lt_listen_decide(d, fd, backlog);
	lt_unlock(&d->lock);
	if (r == 1)
		lt_to_kernel(d, fd);
	else if (r == 0)
		lt_epoll_listening(d);
	return r < 0 ? (int)lt_ret(r) : 0;
}

/* The daemon rings the bit of a slot for a listener's news, so an armed listener has one. */
static bool have_slot(struct lt_desc *d)
{
	if (d->slot == LT_NONE)
		d->slot = lt_slot_get(d->ctx, lt_desc_index(d));
	return d->slot != LT_NONE;
}

/* L1: pairs with the daemon, which puts an entry and then looks who is armed. The caller looks at
 * the queue next. */
int lt_listen_arm(struct lt_desc *d, int all, int excl)
{
	struct tas_listen_holder *h;
	uint32_t how;

	if (lt_lock(&d->lock) != 0)
		return -EBUSY;
	d->nall += (uint32_t)all;
	d->nexcl += (uint32_t)excl;
	if (usable(d) && have_slot(d)) {
		h = &d->l->holders[d->holder];
		how = d->nall != 0 ? TAS_ARM_ALL
				   : (d->nexcl != 0 ? TAS_ARM_EXCLUSIVE : TAS_ARM_NONE);
		tas_store(&h->slot, d->slot);
		tas_store(&h->evq, d->evq);
		tas_store_rel(&h->armed, how);
		tas_full_barrier();
	}
	lt_unlock(&d->lock);
	return 0;
}

static void rewake(struct lt_desc *d)
{
	struct tas_msg m = {.type = TAS_CMD_REWAKE, .id = d->listener};

	lt_command(&m, -1, NULL, NULL);
}

/* We may have been the one that was woken for what is still in the queue. */
void lt_listen_leave(struct lt_desc *d, bool exclusive)
{
	lt_listen_arm(d, exclusive ? 0 : -1, exclusive ? -1 : 0);
	if (exclusive && lt_listen_ready(d))
		rewake(d);
}

/* Threads inside accept() see the new kind when they wake; they must be out before the segment
 * goes. */
static bool all_left(struct lt_desc *d)
{
	struct timespec ms = {0, 1000000};
	int i;

	for (i = 0; i < LEAVE_MS && tas_load(&d->users) != 0; i++) {
		if (d->ctx->evq_fd[0] >= 0)
			lt_sys_kick(d->ctx->evq_fd[0]);
		lt_sys2(SYS_nanosleep, &ms, NULL);
	}
	return tas_load(&d->users) == 0;
}

/* Does a connection that this process accepted, and perhaps closed since, still wait for its flow?
 */
static bool takes_pending(const struct lt_ctx *c)
{
	uint32_t i, n = tas_load(&c->slots.fresh);

	for (i = 0; i < n; i++) {
		const struct tas_sock *s = &c->socks[i];

		if ((tas_load(&s->want) & TAS_SOCK_TAKE) &&
			tas_load(&s->take_gen) != tas_load(&s->gen))
			return true;
	}
	return false;
}

/*
 * What was claimed and not yet bound goes back to the queue when its claimer stops holding the
 * listener, so a close right after an accept() lets the core do its part first.
 */
static void let_takes_finish(struct lt_ctx *c)
{
	struct timespec ms = {0, 1000000};
	int i;

	lt_settle(c);
	for (i = 0; i < LEAVE_MS && takes_pending(c); i++)
		lt_sys2(SYS_nanosleep, &ms, NULL);
}

void lt_listen_down(struct lt_desc *d)
{
	struct tas_msg m = {.type = TAS_CMD_UNLISTEN, .id = d->listener};
	uint32_t i;

	if (tas_fetch_or(&d->flags, LT_D_DOWN) & LT_D_DOWN || d->ctx == NULL ||
		tas_load(&d->ctx->dead))
		return;
	let_takes_finish(d->ctx);
	lt_command(&m, -1, NULL, NULL);
	for (i = 0; i < d->ctx->nevq; i++)
		if (d->evq_mask >> i & 1 && d->ctx->evq_fd[i] >= 0)
			lt_sys_kick(d->ctx->evq_fd[i]);
}

void lt_listen_close(struct lt_desc *d)
{
	struct tas_msg m = {.type = TAS_CMD_UNLISTEN, .id = d->listener};

	tas_store_rel(&d->kind, (uint32_t)LT_FREE);
	if (lt_flags(d) & LT_D_FORKED) {
		lt_command(&m, -1, NULL, NULL);
		munmap(d->l, sizeof(*d->l));
		return;
	}
	if (!tas_load(&d->ctx->dead)) {
		tas_store(&d->l->holders[d->holder].armed, TAS_ARM_NONE);
		if (d->nexcl != 0 && lt_listen_ready(d))
			rewake(d);
		let_takes_finish(d->ctx);
		lt_command(&m, -1, NULL, NULL);
		if (d->slot != LT_NONE)
			lt_slot_put(d->ctx, d->slot, 0);
	}
	if (all_left(d))
		munmap(d->l, sizeof(*d->l));
	d->l = NULL;
}

/* Holder already (the daemon made us one when our HELLO named the fork), or by presenting the
 * descriptor. */
static bool inherit(struct lt_desc *d, int fd)
{
	struct tas_msg m = {.type = TAS_CMD_JOIN};
	struct tas_listen *old = d->l;

	if (!lt_client_ready())
		return false;
	if (!find_holder(d, lt_client_app()) && ask_listen(d, fd, &m) < 0) {
		d->l = old;
		return false;
	}
	if (old != d->l)
		munmap(old, sizeof(*old));
	d->ctx = lt_context_get();
	return d->ctx != NULL;
}

bool lt_listen_settle(struct lt_desc *d, int fd)
{
	if (!(lt_flags(d) & LT_D_FORKED))
		return true;
	d->slot = LT_NONE;
	d->users = d->nall = d->nexcl = 0;
	d->evq = 0;
	d->evq_mask = 1;
	d->ctx = NULL;
	tas_fetch_and(&d->flags, ~LT_D_FORKED);
	if (inherit(d, fd))
		return true;
	munmap(d->l, sizeof(*d->l));
	d->l = NULL;
	lt_to_kernel(d, fd);
	return false;
}
