/*
 * listen.c - listeners: one accept queue in memory shared with the daemon and every holder, and a
 * kernel half.
 *
 * The kernel's socket listens as well: it answers on the addresses that are the kernel's and keeps
 * others from binding. Underneath it is non-blocking; what the program set is kept in the segment,
 * since O_NONBLOCK belongs to the description that processes share. The segment can be written by
 * every holder: each value is checked. Taking connections out of the queue is accept.c. Owner: any
 * thread of any holder. listen(2), shutdown(2).
 */
#include <sys/mman.h>
#include "lt.h"
#include "tas/yield.h"

#ifndef SO_BINDTOIFINDEX
#define SO_BINDTOIFINDEX 62
#endif

/* How long a close waits for threads inside accept() before it leaves the segment mapped, in ms. */
#define LEAVE_MS 100

bool lt_listen_usable(const struct lt_desc *d)
{
	return d->l != NULL && d->ctx != NULL && !tas_load(&d->ctx->dead) &&
	       !(lt_flags(d) & LT_D_DOWN);
}

/* Which of the holder entries in the segment is ours; false when the daemon made none. */
static bool find_holder(struct lt_desc *d, const struct tas_listen *l, uint32_t app)
{
	uint32_t i;

	for (i = 0; i < TAS_LISTEN_HOLDERS; i++) {
		if (tas_load_acq(&l->holders[i].app) != app)
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
	if (tas_load(&l->magic) != TAS_LISTEN_MAGIC || !find_holder(d, l, lt_client_app())) {
		munmap(l, sizeof(*l));
		return false;
	}
	d->listener = id;
	tas_store_rel(&d->l, l);
	return true;
}

/* LISTEN or JOIN with the handle. 0 or -errno. */
static int ask_listen(struct lt_desc *d, int fd, struct tas_msg *m)
{
	uint32_t nfds = 1;
	int seg = -1, r;

	m->opts = d->opts.wire;
	m->flags |= d->opts.reuseport ? TAS_LISTEN_REUSEPORT : 0;
	r = lt_command(m, fd, &seg, &nfds);
	if (r < 0)
		return r;
	if (nfds != 1) /* the service sends it always: there was no number for it */
		return -EMFILE;
	r = lt_listen_map(d, seg, m->id) ? 0 : -ENOBUFS;
	lt_sys_close(seg);
	return r;
}

/*
 * Underneath, the kernel half never blocks. So what the program set is not to be read there: another
 * process, or one that has gone, may have listened on the same handle before.
 */
static void take_nonblock(struct lt_desc *d, int fd)
{
	long fl = lt_sys_fcntl(fd, F_GETFL, 0);
	uint32_t unsaid = 0;

	if (tas_cas(&d->l->nonblock_said, &unsaid, 1u))
		tas_store(&d->l->nonblock, lt_flags(d) & LT_D_NONBLOCK ? 1u : 0u);
	if (fl >= 0)
		lt_sys_fcntl(fd, F_SETFL, fl | O_NONBLOCK);
}

static enum lt_place named_place(struct lt_ctx *c, const struct tas_msg *m)
{
	enum lt_place place = lt_place_local(c, m->laddr);

	if (place == LT_KERNEL)
		lt_left_listener(TAS_X_kernel_listen_address, m->laddr, m->lport);
	return place;
}

static bool option_set(int fd, int level, int name)
{
	int v = 0;
	unsigned len = sizeof(v);

	return lt_sys_getsockopt(fd, level, name, &v, &len) == 0 && v != 0;
}

/* Who serves the address that the handle is bound to? */
static enum lt_place bound_place(struct lt_ctx *c, int fd, struct tas_msg *m)
{
	struct sockaddr_in6 sa;
	socklen_t len = sizeof(sa);

	if (lt_sys3(SYS_getsockname, fd, &sa, &len) < 0)
		return LT_KERNEL;
	if (!lt_addr_get((struct sockaddr *)&sa, len, m->laddr, &m->lport))
		return LT_KERNEL;
	if (sa.sin6_family == AF_INET6 && option_set(fd, IPPROTO_IPV6, IPV6_V6ONLY)) {
		lt_left_listener(TAS_X_kernel_listen_ipv6, m->laddr, m->lport);
		return LT_KERNEL;
	}
	if (lt_uring_keeps()) {
		lt_left_listener(TAS_X_kernel_uring, m->laddr, m->lport);
		return LT_KERNEL;
	}
	if (option_set(fd, SOL_SOCKET, SO_BINDTOIFINDEX)) {
		lt_left_listener(TAS_X_kernel_listen_device, m->laddr, m->lport);
		return LT_KERNEL;
	}
	if (!lt_addr_any(m->laddr))
		return named_place(c, m);
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

	if (c == NULL)
		lt_explain(TAS_X_kernel_no_region);
	if (place == LT_KERNEL)
		return 1;
	if (d->opts.kernel != 0) {
		lt_explain(TAS_X_kernel_option);
		return 1;
	}
	r = ask_listen(d, fd, &m);
	if (r == -EADDRINUSE || (r < 0 && place == LT_TAS && r != -EADDRNOTAVAIL)) {
		lt_explain(TAS_X_refuse_listen);
		lt_real.shutdown(
			fd, SHUT_RD); /* stop the kernel's half: the call fails as a whole */
		return r;
	}
	if (r < 0) {
		lt_left_listener(TAS_X_kernel_listen_refused, m.laddr, m.lport);
		return 1;
	}
	if (place == LT_BOTH)
		lt_explain(TAS_X_dual_listen);
	lt_explain_decided(d);
	d->ctx = c;
	memcpy(d->laddr, m.laddr, 16);
	d->lport = m.lport;
	take_nonblock(d, fd);
	tas_store_rel(&d->kind, (uint32_t)LT_LISTEN);
	return 0;
}

int lt_listen(struct lt_desc *d, int fd, int backlog)
{
	int r;

	if (lt_is_connected(d))
		return (int)lt_ret(-EINVAL);
	lt_conn_forget(d);
	r = lt_real.listen(fd, backlog);
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
	if (lt_listen_usable(d) && have_slot(d)) {
		h = &d->l->holders[d->holder];
		how = d->nall != 0 ? TAS_ARM_ALL
				   : (d->nexcl != 0 ? TAS_ARM_EXCLUSIVE : TAS_ARM_NONE);
		tas_store(&h->slot, d->slot);
		tas_store(&h->evq, d->evq);
		TAS_YIELD();
		tas_store_rel(&h->armed, how);
		tas_full_barrier();
		TAS_YIELD();
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
	struct tas_msg m = {.type = TAS_CMD_UNLISTEN, .id = d->listener, .flags = TAS_UNLISTEN_ALL};
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

/* Another thread of the child may be about to settle it, which looks at the kind under the lock. */
static bool still_forked(struct lt_desc *d)
{
	int locked = lt_lock(&d->lock);
	bool forked = (lt_flags(d) & LT_D_FORKED) != 0;

	if (locked == 0)
		lt_unlock(&d->lock);
	return forked;
}

void lt_listen_close(struct lt_desc *d)
{
	struct tas_msg m = {.type = TAS_CMD_UNLISTEN, .id = d->listener};

	tas_fetch_add(&d->life, 1u);
	tas_xchg(&d->kind,
		(uint32_t)LT_FREE); /* full barrier: who comes now sees it, who came is counted */
	if (still_forked(d)) {
		lt_command(&m, -1, NULL, NULL);
		munmap(d->l, sizeof(*d->l));
		return;
	}
	if (!tas_load(&d->ctx->dead)) {
		tas_store(&d->l->holders[d->holder].armed, TAS_ARM_NONE);
		let_takes_finish(d->ctx);
		lt_command(&m, -1, NULL, NULL); /* wakes another holder for what we leave */
		if (d->slot != LT_NONE)
			lt_slot_put(d->ctx, d->slot, 0);
	}
	if (all_left(d))
		munmap(d->l, sizeof(*d->l));
	d->l = NULL;
}

/*
 * Holder already (the daemon made us one when our HELLO named the fork), or by presenting the descriptor. Without
 * a token the segment may be that of an earlier service, in which our number was somebody else's.
 */
static bool inherit(struct lt_desc *d, int fd)
{
	struct tas_msg m = {.type = TAS_CMD_JOIN};
	struct lt_ctx *c;

	if (!lt_client_ready())
		return false;
	if (!(lt_client_heir() && find_holder(d, d->l, lt_client_app())) &&
		ask_listen(d, fd, &m) < 0)
		return false;
	c = lt_context_get();
	if (c != NULL)
		tas_store_rel(&d->ctx, c);
	return c != NULL;
}

/*
 * The threads of a child that use the listener at once wait for the first of them. Whatever becomes
 * of it, the segment that came with the fork stays mapped: others may be looking at it, as at one
 * whose service has ended.
 */
bool lt_listen_settle(struct lt_desc *d, int fd)
{
	bool first, ours, held;
	uint64_t mask;

	if (lt_likely(!(tas_load_acq(&d->flags) & LT_D_FORKED)))
		return tas_load_acq(&d->kind) == LT_LISTEN;
	lt_signals_block(&mask);
	if (lt_lock(&d->lock) !=
		0) { /* a handler above a call that has it: nothing is queued yet */
		lt_signals_restore(&mask);
		return false;
	}
	first = (lt_flags(d) & LT_D_FORKED) && tas_load(&d->kind) == LT_LISTEN;
	ours = first ? inherit(d, fd) : tas_load(&d->kind) == LT_LISTEN;
	if (first && !ours)
		tas_store_rel(&d->kind, (uint32_t)LT_UNDECIDED);
	tas_fetch_and(&d->flags, ~LT_D_FORKED);
	held = first && !ours && lt_desc_hold(d);
	lt_unlock_masked(&d->lock, &mask);
	if (held) {
		lt_explain(TAS_X_kernel_inherit);
		lt_to_kernel(d, fd);
		lt_desc_let_go(d);
	}
	return ours;
}

void lt_listen_join(struct lt_desc *d, int fd, uint32_t flags)
{
	struct tas_msg m = {.type = TAS_CMD_JOIN, .flags = flags};

	d->ctx = lt_context_get();
	if (d->ctx == NULL || ask_listen(d, fd, &m) < 0) {
		if (!(flags & TAS_JOIN_PASSED)) /* else it may be one of the kernel's */
			lt_explain(TAS_X_kernel_inherit);
		lt_to_kernel(d, fd);
		return;
	}
	memcpy(d->laddr, d->l->laddr, sizeof(d->laddr));
	d->lport = tas_load(&d->l->lport);
	tas_store_rel(&d->kind, (uint32_t)LT_LISTEN);
}
