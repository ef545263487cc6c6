/*
 * share.c - connections that several processes hold after fork() or exec().
 *
 * The connection lies in the slot of the process that used it last. One that finds its slot left
 * (MOVED), or has none yet (LT_AWAY), claims it: the daemon grants it to a fresh slot of ours, which
 * takes it as accept() would. What our last words were, the old slot tells: M1 is the barrier between
 * storing a position and looking at the slot's state (it pairs with M2 in fastpath/park.c).
 * Owner: any thread. docs/decisions/0009-connections-held-by-several-processes.md.
 */
#include "lt.h"

#define BACKOFF_FIRST_NS 20000000u
#define BACKOFF_MAX_NS	 200000000u
#define BRIEFLY_NS	 50000
#define BOUND_NS	 1000000000ull /* an accepted connection is bound within that, or not at all */

static uint32_t any_marked;

bool lt_share_any(void)
{
	return tas_load(&any_marked) != 0;
}

static void pause_ns(long ns)
{
	struct timespec ts = {0, ns};

	lt_sys2(SYS_nanosleep, &ts, NULL);
}

/* ---- what a slot says that was left ---- */

bool lt_moved(const struct lt_desc *d)
{
	return (lt_flags(d) & LT_D_SHARED) && (lt_conn_state(d) & TAS_SOCK_MOVING);
}

/* The core is between MOVING and MOVED for as long as copying takes. */
static void settled(const struct tas_sock *s)
{
	struct lt_ctx *c = lt_context();

	while ((tas_load_acq(&s->state) & (TAS_SOCK_MOVING | TAS_SOCK_MOVED | TAS_SOCK_ERROR)) ==
			TAS_SOCK_MOVING &&
		c != NULL && !lt_client_check(c))
		pause_ns(BRIEFLY_NS);
}

uint64_t lt_moved_tx(const struct tas_sock *s, uint64_t head)
{
	uint64_t heard;

	settled(s);
	heard = tas_load(&s->tx_limit);
	return head > heard ? head - heard : 0;
}

uint64_t lt_moved_rx(const struct tas_sock *s, uint64_t tail)
{
	uint64_t heard;

	settled(s);
	heard = tas_load(&s->rx_kept);
	return tail > heard ? tail - heard : 0;
}

/* ---- fork ---- */

static void mark(struct lt_desc *d, int fd)
{
	struct tas_sock *s = d->s;
	int rx, tx;

	if (!lt_conn_bound(d) && !(lt_flags(d) & LT_D_CONNECTING))
		lt_conn_wait(d, d->life, LT_WAIT_CONN, 0, lt_now_ns() + BOUND_NS, NULL);
	if (!lt_conn_bound(d))
		return;
	tas_store(&any_marked, 1u);
	if (lt_flags(d) & LT_D_SHARED) /* by an earlier fork, or inherited over exec */
		return;
	lt_common_leave(d, fd);
	rx = lt_lock(
		&s->rx_lock); /* whoever is in the middle of a copy has looked at the flag already */
	tx = lt_lock(&s->tx_lock);
	d->flow = tas_load(&s->flow);
	tas_fetch_or(&d->flags, LT_D_SHARED);
	if (tx == 0)
		lt_unlock(&s->tx_lock);
	if (rx == 0)
		lt_unlock(&s->rx_lock);
	lt_late(d);
}

bool lt_share_one(struct lt_desc *d)
{
	if (tas_load_acq(&d->kind) == LT_CONN)
		mark(d, -1);
	return (lt_flags(d) & LT_D_SHARED) != 0;
}

void lt_share_mark(void)
{
	uint32_t fd, n = lt_fd_top();
	struct lt_desc *d;

	for (fd = 0; fd < n; fd++) {
		d = lt_fd_get((int)fd);
		if (d != NULL && tas_load_acq(&d->kind) == LT_CONN)
			mark(d, (int)fd);
		else if (d != NULL && tas_load(&d->kind) == LT_AWAY)
			tas_store(&any_marked, 1u);
	}
}

/* ---- claiming ---- */

/* It is gone, or was never ours to have: the slot shows what a reset one would. */
static void show_reset(struct tas_sock *s, uint32_t gen)
{
	tas_store(&s->rx_head, 0ull); /* of the connection that the slot had before */
	tas_store(&s->rx_first_pos, 0ull);
	tas_store(&s->rx_first_chunk, TAS_CHUNK_NONE);
	tas_store(&s->tx_una, 0ull);
	tas_store(&s->tx_limit, 0ull);
	tas_store(&s->error, (uint32_t)ECONNRESET);
	tas_store_rel(&s->state, TAS_SOCK_OPEN | TAS_SOCK_ERROR | TAS_SOCK_FREE);
	tas_store_rel(&s->gen, gen);
}

static void wait_bound(struct lt_ctx *c, const struct tas_sock *s, uint32_t gen)
{
	while (tas_load_acq(&s->gen) != gen && !lt_client_check(c))
		pause_ns(BRIEFLY_NS);
}

static int claim(const struct lt_desc *d, uint32_t slot)
{
	struct tas_msg m;
	int r;

	do {
		m = (struct tas_msg){
			.type = TAS_CMD_CLAIM, .id = d->flow, .slot = slot, .aux = d->gen};
		r = lt_command(&m, -1, NULL, NULL);
		if (r == -EAGAIN) /* its core is being changed */
			pause_ns(BRIEFLY_NS);
	} while (r == -EAGAIN);
	return r;
}

/* Asks for the connection in slot `slot`. */
static void ask(struct lt_ctx *c, const struct lt_desc *d, uint32_t slot, struct tas_sock *s)
{
	lt_slot_reset(s);
	tas_store(&s->gen, 0u); /* it may have had this very connection before */
	s->take_flow = d->flow;
	s->take_gen = d->gen;
	s->evq = c == d->ctx ? d->evq : 0;
	if (claim(d, slot) < 0) {
		show_reset(s, d->gen);
		return;
	}
	tas_store_rel(&s->want, TAS_SOCK_TAKE | (d->opts.nodelay ? TAS_SOCK_NODELAY : 0) |
					(lt_flags(d) & LT_D_CORK ? TAS_SOCK_CORK : 0));
	lt_ring_slot(c, d->core, slot);
	wait_bound(c, s, d->gen);
	if (tas_load_acq(&s->gen) != d->gen)
		show_reset(s, d->gen);
}

/* The description goes on in the new slot. Under the locks of the old one. */
static void go_on(struct lt_ctx *c, struct lt_desc *d, uint32_t slot, struct tas_sock *s)
{
	s->tx_freed = s->tx_head & ~(uint64_t)TAS_CHUNK_MASK;
	tas_store(&d->rx_pos, s->rx_tail);
	memcpy(d->laddr, s->laddr, sizeof(d->laddr));
	memcpy(d->raddr, s->raddr, sizeof(d->raddr));
	d->lport = s->lport;
	d->rport = s->rport;
	if (tas_load(&s->state) &
		TAS_SOCK_TX_SHUT) /* by another holder, or the program before exec() */
		tas_fetch_or(&d->flags, LT_D_SHUT_WR);
	if (tas_load(&s->state) & TAS_SOCK_RX_SHUT)
		tas_fetch_or(&d->flags, LT_D_SHUT_RD);
	tas_fetch_and(
		&d->flags, ~LT_D_STARVED); /* lt_short_retry() would look for it in the old slot */
	d->ctx = c;
	d->slot = slot;
	tas_store_rel(&d->s, s);
	lt_report_came(d);
	tas_store_rel(&d->kind, (uint32_t)LT_CONN);
}

/* A thread in the middle of a copy finishes it in the old slot, and learns there what was heard of it. */
static void change_slot(struct lt_ctx *c, struct lt_desc *d, uint32_t slot, struct tas_sock *s)
{
	struct tas_sock *old = d->s;
	struct lt_ctx *oc = d->ctx;
	uint32_t left = d->slot;
	int rx = lt_lock(&old->rx_lock), tx = lt_lock(&old->tx_lock);

	settled(old);
	lt_report_settle(d);
	go_on(c, d, slot, s);
	if (tx == 0)
		lt_unlock(&old->tx_lock);
	if (rx == 0)
		lt_unlock(&old->rx_lock);
	lt_slot_put(oc, left, d->gen);
}

static int bring(struct lt_ctx *c, struct lt_desc *d)
{
	uint32_t slot = lt_slot_get(c, lt_desc_index(d));
	struct tas_sock *s;

	if (slot == LT_NONE)
		return -ENOBUFS;
	s = &c->socks[slot];
	lt_common_recall(d);
	ask(c, d, slot, s);
	if (d->kind == LT_CONN)
		change_slot(c, d, slot, s);
	else
		go_on(c, d, slot, s);
	return 0;
}

int lt_claim(struct lt_desc *d, uint32_t life)
{
	struct lt_ctx *c = lt_context_get();
	int r = 0;

	if (tas_load(&d->kind) == LT_CONN && !lt_moved(d))
		return 0;
	if (c == NULL)
		return -ECONNRESET;
	if (lt_lock(&d->lock) != 0)
		return -EDEADLK;
	if (tas_load(&d->life) != life)
		r = -EBADF;
	else if (d->kind == LT_AWAY || lt_moved(d))
		r = bring(c, d);
	lt_unlock(&d->lock);
	lt_late(d); /* change_slot() held the slot's locks */
	if (r == 0)
		lt_news(d);
	return r;
}

int lt_claim_again(struct lt_desc *d, uint32_t life)
{
	if (tas_load(&d->kind) == LT_CONN && !lt_moved(d))
		return 0;
	d->backoff_ns = d->backoff_ns == 0		 ? BACKOFF_FIRST_NS
			: d->backoff_ns < BACKOFF_MAX_NS ? d->backoff_ns * 2
							 : BACKOFF_MAX_NS;
	pause_ns((long)d->backoff_ns);
	return lt_claim(d, life);
}

/*
 * Connections in an epoll set whose slot was left, or that came with the set by fork, report nothing.
 * While there are such, who waits in epoll looks at them now and then: the other holder may be done
 * with it. Those of a set that nobody waits in here are not marked, and stay where they are.
 */
static uint32_t strays;
static uint64_t fetched_ns;

void lt_share_stray(struct lt_desc *d)
{
	if (tas_load(&d->items) == 0)
		return;
	tas_fetch_or(&d->flags, LT_D_STRAY);
	tas_store_rel(&strays, 1u);
}

bool lt_share_strays(void)
{
	return lt_unlikely(tas_load(&strays) != 0);
}

/* One that cannot be had now may be later: memory or slots are short. */
static void fetch(struct lt_desc *d)
{
	tas_fetch_and(&d->flags, ~LT_D_STRAY);
	if (lt_claim(d, tas_load(&d->life)) < 0)
		lt_share_stray(d);
}

void lt_share_fetch(void)
{
	uint32_t fd, n = lt_fd_top();
	uint64_t now = lt_now_ns();
	struct lt_desc *d;

	if (now - tas_load(&fetched_ns) < LT_SHARE_SLICE_NS || tas_xchg(&strays, 0u) == 0)
		return;
	tas_store(&fetched_ns, now);
	for (fd = 0; fd < n; fd++) {
		d = lt_fd_get((int)fd);
		if (d != NULL && (lt_flags(d) & LT_D_STRAY))
			fetch(d);
	}
}

void lt_share_fork_child(void)
{
	strays = 0;
	fetched_ns = 0;
}

/* ---- the end ---- */

static int release(const struct lt_desc *d)
{
	struct tas_msg m = {.type = TAS_CMD_RELEASE, .id = d->flow, .aux = d->gen};

	return lt_command(&m, -1, NULL, NULL);
}

bool lt_share_close(struct lt_desc *d)
{
	bool home = d->kind == LT_CONN;
	int r;

	if (!(lt_flags(d) & LT_D_SHARED))
		return false;
	r = release(d);
	if (!home || r == -EPERM) /* sandboxed: the service lets go for us when we end */
		return true;
	if (r != 1)
		return lt_moved(d);
	while (!(lt_conn_state(d) & (TAS_SOCK_MOVED | TAS_SOCK_ERROR)) && !lt_client_check(d->ctx))
		pause_ns(BRIEFLY_NS);
	return (lt_conn_state(d) & TAS_SOCK_MOVED) != 0;
}
