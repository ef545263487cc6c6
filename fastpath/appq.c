/*
 * appq.c - what programs say: a ring of a core's bell names a slot, the slot's second line says the
 * rest.
 *
 * Every field of that line is loaded once into a local, checked against the flow's own record, and
 * used from the local. A value that an honest libtas cannot have written is counted, and the
 * program is served no more (fp_app_fault). Owner: the flow's core.
 */
#include <errno.h>
#include "core.h"

#define PREFETCH_SLOTS 8u

/* What the program says, loaded once. */
struct news {
	uint64_t rx_tail, tx_head, tx_first_pos;
	uint32_t tx_first_chunk, want, evq, tx_wait, quickack;
};

/* want before tx_head before the list: the order opposite to the program's stores (A1: pairs with
 * its releases). */
static void load_news(const struct tas_sock *s, struct news *n)
{
	n->want = tas_load_acq(&s->want);
	n->tx_head = tas_load_acq(&s->tx_head);
	n->tx_first_pos = tas_load(&s->tx_first_pos);
	n->tx_first_chunk = tas_load(&s->tx_first_chunk);
	n->rx_tail = tas_load_acq(&s->rx_tail);
	n->evq = tas_load(&s->evq);
	n->tx_wait = tas_load(&s->tx_wait);
	n->quickack = tas_load(&s->quickack);
}

/* Every core resets the program's flows when it sees `bad` (apps.c); the first one tells the slow
 * path. */
void fp_app_fault(struct fp_core *core, struct fp_app *app, uint64_t *counter)
{
	uint32_t i;

	(*counter)++;
	__atomic_fetch_add(&app->faults, 1, __ATOMIC_RELAXED);
	if (tas_xchg(&app->bad, 1) != 0)
		return;
	for (i = 0; i < core->fp->ncores; i++)
		if (i != core->id)
			fp_core_wake(&core->fp->cores[i]);
}

/* The counter of the first rule that is broken, or NULL. */
static uint64_t *check_news(
	struct fp_core *core, const struct fp_app *app, uint32_t id, const struct news *n)
{
	const struct fp_flow *f = &core->fp->flows[id];
	const struct fp_flow_cold *c = &core->fp->cold[id];

	if (n->evq >= app->nevq || n->evq >= TAS_MAX_EVQ)
		return &core->cnt.refuse_evq;
	if (n->rx_tail < f->rx_read || n->rx_tail > fp_rx_head(f))
		return &core->cnt.refuse_rx_tail;
	if (n->tx_head < f->tx_head || n->tx_head > c->tx_limit)
		return &core->cnt.refuse_tx_head;
	return NULL;
}

/*
 * Whose library does not look at TAS_SOCK_TX_SHUT may write after another holder has ended the
 * stream: that connection is lost, not all that the program has.
 */
static int adds_after_end(const struct fp_flow *f, const struct news *n)
{
	return (f->flags & FP_F_TX_SHUT) && n->tx_head != f->tx_head;
}

static void set_flags(struct fp_flow *f, struct fp_flow_cold *c, uint32_t want)
{
	f->flags &= ~(FP_F_NODELAY | FP_F_CORK);
	if (want & TAS_SOCK_NODELAY)
		f->flags |= FP_F_NODELAY;
	if (want & TAS_SOCK_CORK)
		f->flags |= FP_F_CORK;
	if (want & TAS_SOCK_SHUT_RD)
		c->state |= TAS_SOCK_RX_SHUT;
	if (want & (TAS_SOCK_SHUT_WR | TAS_SOCK_CLOSED)) {
		f->flags |= FP_F_TX_SHUT;
		c->state |= TAS_SOCK_TX_SHUT;
	}
	if (want & TAS_SOCK_CLOSED)
		f->flags |= FP_F_RX_CLOSED;
}

static uint32_t quickack(struct fp_flow *f, struct fp_flow_cold *c, uint32_t said)
{
	if ((uint8_t)said == c->tcp.quick_said)
		return 0;
	c->tcp.quick_said = (uint8_t)said;
	return tcp_quickack(f, c, said & 1);
}

/* Closing with unread data resets the peer, as RFC 2525 section 2.17 asks and Linux does. */
static int aborts(const struct fp_flow *f, const struct news *n)
{
	if (n->want & TAS_SOCK_ABORT)
		return 1;
	return (n->want & TAS_SOCK_CLOSED) && !(f->flags & FP_F_RX_CLOSED) &&
	       n->rx_tail != fp_rx_head(f);
}

/* Positions that are not the flow's, or not yet, mean nothing. */
static void urgent_news(struct fp_core *core, uint32_t id, const struct tas_sock *s)
{
	struct fp_flow *f = &core->fp->flows[id];
	struct fp_flow_cold *c = &core->fp->cold[id];
	uint32_t urgent = tas_load(&s->urgent);

	if (urgent & TAS_URGENT_SENT)
		tcp_urgent_sent(f, c, tas_load(&s->tx_up));
	if (urgent & TAS_URGENT_TAKEN)
		tcp_urgent_taken(f, c, tas_load(&s->rx_taken));
}

int fp_tx_space_wanted(struct fp_core *core, uint32_t id)
{
	struct fp_flow *f = &core->fp->flows[id];

	if (!(f->flags & FP_F_TX_WAIT) || !tcp_tx_space(f, &core->fp->cold[id]))
		return 0;
	f->flags &= ~FP_F_TX_WAIT;
	tas_xchg(&fp_slot_sock(&core->fp->apps[f->app], f->slot)->tx_wait, 0);
	return 1;
}

static void bound_slot(struct fp_core *core, struct fp_app *app, uint32_t slot, uint32_t id)
{
	struct fp_flow *f = &core->fp->flows[id];
	const struct tas_sock *s = fp_slot_sock(app, slot);
	struct news n;
	uint64_t *broken;
	uint32_t v;

	load_news(s, &n);
	broken = check_news(core, app, id, &n);
	if (!broken && adds_after_end(f, &n)) {
		core->cnt.refuse_tx_shut++;
		fp_flow_close(core, id, FP_CLOSE_ABORTED, EPIPE, 1);
		return;
	}
	if (!broken && !fp_stream_append(core->fp, id, n.tx_head, n.tx_first_pos, n.tx_first_chunk))
		broken = &core->cnt.refuse_chunk;
	if (broken) {
		fp_app_fault(core, app, broken);
		return;
	}
	f->evq = (uint16_t)n.evq;
	if (aborts(f, &n)) {
		fp_flow_close(core, id, FP_CLOSE_ABORTED, 0, 1);
		return;
	}
	set_flags(f, &core->fp->cold[id], n.want);
	v = tcp_app(f, &core->fp->cold[id], &core->env, n.rx_tail, n.tx_head);
	v |= quickack(f, &core->fp->cold[id], n.quickack);
	/* Loaded after tx_head: no urgent byte goes out unannounced. */
	if (__builtin_expect(tas_load(&s->urgent) != 0, 0))
		urgent_news(core, id, s);
	if (n.want & TAS_SOCK_CLOSED)
		fp_rxlist_free(core, id);
	else
		fp_rxlist_consumed(core, id, n.rx_tail);
	if (n.tx_wait)
		f->flags |= FP_F_TX_WAIT;
	fp_flow_limit(core, id);
	fp_news(core, id, fp_tx_space_wanted(core, id));
	if (fp_flow_verdict(core, id, v))
		fp_flow_rearm(core, id);
}

/* A flow on its way between two cores: look again in the next round. */
void fp_slot_pass(struct fp_core *core, uint32_t owner, struct fp_app *app, uint32_t slot)
{
	struct fp_core *to = owner == FP_CORE_MOVING ? core : &core->fp->cores[owner];

	if (!app->region || slot >= app->nslots)
		return;
	tas_bell_ring(
		tas_region_bell(app->region, app->off_tobells, app->bell_bytes, to->id), slot);
	fp_core_wake(to);
}

void fp_slot_rung(struct fp_core *core, struct fp_app *app, uint32_t slot)
{
	uint32_t id = tas_load_acq(&app->slot_flow[slot]), owner;
	const struct fp_flow *f;

	if (id == FP_FLOW_NONE) {
		fp_slot_take(core, app, slot);
		return;
	}
	if (id == FP_FLOW_HELD)
		return; /* over: the core that has it tells the program */
	if (id == FP_FLOW_DEAD) {
		if (tas_load_acq(&fp_slot_sock(app, slot)->want) & TAS_SOCK_CLOSED)
			fp_slot_forget(core, app, slot);
		return;
	}
	f = &core->fp->flows[id];
	owner = tas_load(&f->core);
	if (owner != core->id)
		fp_slot_pass(core, owner, app, slot);
	else if ((f->flags & FP_F_USED) && f->app == app->id && f->slot == slot)
		bound_slot(core, app, slot, id);
}

/* The slots' second lines and their flows, some ahead of their turn. */
static void prefetch_rung(
	const struct fp_core *core, const struct fp_app *app, uint32_t first, uint64_t bits)
{
	uint32_t n;

	for (n = 0; bits && n < PREFETCH_SLOTS; bits &= bits - 1, n++) {
		uint32_t slot = first + (uint32_t)__builtin_ctzll(bits),
			 id = tas_load(&app->slot_flow[slot]);

		__builtin_prefetch(&fp_slot_sock(app, slot)->rx_tail);
		__builtin_prefetch(fp_slot_sock(app, slot));
		if (id != FP_FLOW_NONE && id <= core->fp->max_flow)
			fp_flow_prefetch(core->fp, id);
	}
}

static uint32_t rung_word(struct fp_core *core, struct fp_app *app, uint32_t first, uint64_t bits)
{
	uint32_t n = 0;

	for (; bits && !tas_load(&app->bad); bits &= bits - 1, n++) {
		uint32_t slot = first + (uint32_t)__builtin_ctzll(bits);

		if (n % PREFETCH_SLOTS == 0)
			prefetch_rung(core, app, first, bits);
		if (slot >= app->nslots)
			fp_app_fault(core, app, &core->cnt.refuse_slot);
		else
			fp_slot_rung(core, app, slot);
	}
	core->cnt.app_rings += n;
	return n;
}

static uint32_t poll_bell(struct fp_core *core, struct fp_app *app, struct fp_app_core *ac)
{
	struct tas_bell *bell =
		tas_region_bell(app->region, app->off_tobells, app->bell_bytes, core->id);
	uint32_t words, work = 0, first;

	for (words = 0; words < FP_BUDGET_BELLS; words++) {
		uint64_t bits = tas_bell_take(bell, app->nslots, &ac->bell_cursor, &first);

		if (bits == 0)
			break;
		work += rung_word(core, app, first, bits);
	}
	return work;
}

/* The gauge is shared by the cores: once a round is often enough. */
static void tell_in_use(struct fp_app *app, struct fp_app_core *ac)
{
	if (ac->in_use == ac->in_use_told)
		return;
	__atomic_fetch_add(&app->rx_chunks, (uint64_t)(int64_t)(ac->in_use - ac->in_use_told),
		__ATOMIC_RELAXED);
	ac->in_use_told = ac->in_use;
}

uint32_t fp_apps_poll(struct fp_core *core)
{
	uint32_t i, work = 0;

	tell_in_use(&core->fp->apps[FP_APP_NONE], core->apps[FP_APP_NONE]);
	/* From the end: a program that is gone takes itself out of the list. */
	for (i = core->napps; i-- > 0;) {
		struct fp_app *app = &core->fp->apps[core->app_ids[i]];
		struct fp_app_core *ac = core->apps[app->id];

		tell_in_use(app, ac);
		if (tas_load(&app->hungry))
			fp_chunks_share(core, app);
		if (tas_load(&app->asked))
			fp_wakes_asked(core, app);
		if (ac->phase != FP_APP_RUN || tas_load(&app->bad))
			work += fp_app_phase_poll(core, app);
		else
			work += poll_bell(core, app, ac);
	}
	return work;
}
