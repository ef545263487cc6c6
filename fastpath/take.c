/*
 * take.c - binding flows to slots: accept() as the fast path sees it, connect(), and the end of a
 * binding.
 *
 * A program accepts by claiming an entry of a listener's queue with one compare-and-swap and then
 * asking, in a slot of its own, for the flow named there. The claim is the right to the flow: the
 * entry's word must name this program and the ticket that the slow path gave the flow. Until then
 * the flow belongs to app 0 and its received bytes lie in app 0's chunks; they are copied into the
 * program's when it takes over.
 *
 * A slot's state only means something to the program under the generation it asked for: gen is
 * stored last. Owner: the flow's core.
 */
#include <errno.h>
#include "core.h"

static void write_binding(const struct fp *fp, uint32_t id, struct tas_sock *s)
{
	const struct fp_flow *f = &fp->flows[id];
	const struct fp_flow_cold *c = &fp->cold[id];

	memcpy(s->laddr, c->tuple.laddr, sizeof(s->laddr));
	memcpy(s->raddr, c->tuple.raddr, sizeof(s->raddr));
	tas_store(&s->lport, c->tuple.lport);
	tas_store(&s->rport, c->tuple.rport);
	tas_store(&s->net, c->tuple.net);
	tas_store(&s->error, 0);
	tas_store(&s->rx_urged, 0);
	tas_store(&s->core, f->core);
	tas_store(&s->flow, id);
	tas_store(&s->rx_first_pos, f->rx_read);
	tas_store(&s->rx_first_chunk, c->rx_first);
}

void fp_slot_bind(struct fp_core *core, uint32_t id, struct fp_app *app, uint32_t slot)
{
	struct fp *fp = core->fp;
	struct fp_flow *f = &fp->flows[id];
	struct fp_app_shared *sh = app->core_priv;
	struct tas_sock *s = fp_slot_sock(app, slot);

	f->app = (uint16_t)app->id;
	f->slot = slot;
	f->evq = 0;
	fp->cold[id].listener = FP_LISTENER_NONE;
	fp->cold[id].tcp.quick_said = 0; /* as the slot's line begins */
	sh->slots[slot] = (struct fp_slot){.rx_first = TAS_CHUNK_NONE, .gen = f->gen};
	write_binding(fp, id, s);
	fp_slot_stats(fp, id);
	fp_publish(fp, id);
	tas_store_rel(&s->gen, f->gen); /* T1: pairs with A's acquire of gen */
}

void fp_slot_dead(struct fp_core *core, struct fp_app *app, uint32_t slot, uint32_t state,
	int error, uint32_t rx_first)
{
	struct fp_app_shared *sh = app->core_priv;
	struct tas_sock *s = fp_slot_sock(app, slot);

	(void)core;
	sh->slots[slot].rx_first = rx_first;
	tas_store(&s->error, (uint32_t)error);
	tas_store_rel(&s->state, state | TAS_SOCK_ERROR);
	/* Last (T2: pairs with fp_slot_forget): another core, rung too, may free the slot at once. */
	tas_store_rel(&app->slot_flow[slot], FP_FLOW_DEAD);
}

void fp_slot_forget(struct fp_core *core, struct fp_app *app, uint32_t slot)
{
	struct fp_app_shared *sh = app->core_priv;
	struct tas_sock *s = fp_slot_sock(app, slot);
	uint32_t dead = FP_FLOW_DEAD;

	if (!tas_cas(&app->slot_flow[slot], &dead, FP_FLOW_HELD))
		return; /* another core was faster */
	fp_chunks_put_list(core, app, sh->slots[slot].rx_first);
	tas_store_rel(&app->slot_flow[slot], FP_FLOW_NONE);
	tas_store_rel(&s->state, tas_load(&s->state) | TAS_SOCK_FREE);
}

/*
 * Does the entry of the listener's queue say that this program has claimed the flow? Asked until the
 * flow is bound for the first time; later the entry, and the listener's id, are others'. The slow path
 * may take the segment away at any time: fp_listener_set waits while a core names it in `reading`
 * (L1).
 */
static int claimed(struct fp_core *core, const struct fp_flow_cold *c, const struct fp_app *app)
{
	struct tas_listen *seg;
	uint64_t word = 0;

	if (c->listener >= FP_MAX_LISTENERS || c->accept_entry >= TAS_LISTEN_BACKLOG)
		return 0;
	tas_store(&core->reading, c->listener + 1);
	tas_full_barrier();
	seg = tas_load_acq(&core->fp->listeners[c->listener]);
	if (seg)
		word = tas_load_acq(&seg->queue[c->accept_entry].word);
	tas_store_rel(&core->reading, 0);
	return word == TAS_ACCEPT_WORD(TAS_ACCEPT_TAKEN, app->id, c->accept_ticket);
}

static int flow_is(const struct fp *fp, uint32_t id, uint32_t gen)
{
	const struct fp_flow *f;

	if (id == FP_FLOW_NONE || id > fp->max_flow)
		return 0;
	f = &fp->flows[id];
	return (tas_load_acq(&f->flags) & FP_F_USED) && tas_load(&f->gen) == gen; /* I1 */
}

/* By accept(), or as a holder that the slow path has granted it to. */
static int may_take(struct fp_core *core, uint32_t id, const struct fp_app *app, uint32_t slot)
{
	return core->fp->flows[id].app == FP_APP_NONE &&
	       (claimed(core, &core->fp->cold[id], app) || fp_flow_granted(core, id, app, slot));
}

/* Can nothing that the slow path has sent already change the answer? */
static int is_decided(
	struct fp_core *core, const struct fp_app *app, uint32_t slot, uint32_t id, uint32_t gen)
{
	return flow_is(core->fp, id, gen) &&
	       (core->fp->flows[id].core != core->id || may_take(core, id, app, slot));
}

/*
 * A FLOW_INSTALL or FLOW_MOVE that decides was sent before the program could know of it: takes
 * messages until it has come. 0 = the rest must wait for another round.
 */
static int hear_what_decides(
	struct fp_core *core, const struct fp_app *app, uint32_t slot, uint32_t id, uint32_t gen)
{
	while (!is_decided(core, app, slot, id, gen))
		if (fp_msgs_poll(core) == 0)
			return !spsc_pending(&core->msgs);
	return 1;
}

/* What the slot's line still says of the connection that was here before: bytes to read, above all. */
static void write_nothing(struct tas_sock *s)
{
	tas_store(&s->rx_head, 0);
	tas_store(&s->rx_first_pos, 0);
	tas_store(&s->rx_first_chunk, TAS_CHUNK_NONE);
	tas_store(&s->rx_full, 0);
	tas_store(&s->rx_urged, 0);
	tas_store(&s->tx_una, 0);
	tas_store(&s->tx_limit, 0);
}

/*
 * The connection does not exist (any more) or is another's: the slot answers with an error under that gen. For who has just
 * accepted it, its peer has reset it: no other error of accept's connections is known to programs.
 */
static void refuse(
	struct fp_core *core, struct fp_app *app, uint32_t slot, uint32_t gen, uint32_t want)
{
	struct fp_app_shared *sh = app->core_priv;
	struct tas_sock *s = fp_slot_sock(app, slot);
	uint32_t none = FP_FLOW_NONE, evq = tas_load(&s->evq);

	if (!tas_cas(&app->slot_flow[slot], &none, FP_FLOW_HELD))
		return;
	sh->slots[slot].gen = gen;
	write_nothing(s);
	fp_slot_dead(core, app, slot, TAS_SOCK_OPEN, ECONNRESET, TAS_CHUNK_NONE);
	if (want & TAS_SOCK_CLOSED)
		fp_slot_forget(core, app, slot);
	tas_store_rel(&s->gen, gen);
	fp_ring(core, app, evq < app->nevq ? evq : 0, slot);
}

/* No receive chunks yet for what has arrived: look again in a moment. */
static void retry_later(struct fp_core *core, uint32_t id, struct fp_app *app, uint32_t slot)
{
	struct fp_flow_cold *c = &core->fp->cold[id];

	c->retry_app = (uint16_t)app->id;
	c->retry_slot = slot;
	fp_flow_rearm(core, id);
	fp_ring(core, app, 0, slot);
}

static void take(struct fp_core *core, struct fp_app *app, uint32_t slot, uint32_t id)
{
	const struct fp_flow *f = &core->fp->flows[id];
	const struct fp_flow_cold *c = &core->fp->cold[id];
	struct fp_event ev = {.type = FP_EV_TAKEN, .id = id, .gen = f->gen, .conn = c->conn};
	uint32_t none = FP_FLOW_NONE;

	/* The slot first: a program may ask for two flows in one slot on two cores at once. */
	if (!tas_cas(&app->slot_flow[slot], &none, id))
		return;
	if (!fp_app_join(core, app)) {
		tas_store_rel(&app->slot_flow[slot], FP_FLOW_NONE);
		return;
	}
	if (c->parked_app != FP_APP_NONE || !fp_event_room(core, 1) ||
		!fp_rxlist_move(core, id, app)) {
		fp_app_leave(core, app);
		tas_store_rel(&app->slot_flow[slot], FP_FLOW_NONE);
		retry_later(core, id, app, slot);
		return;
	}
	ev.u.taken.app = app->id;
	ev.u.taken.slot = slot;
	core->fp->cold[id].grant_app = FP_APP_NONE;
	fp_slot_bind(core, id, app, slot);
	fp_event_put(core, &ev);
	fp_news(core, id, 1);
	fp_slot_rung(core, app, slot);
}

void fp_slot_take(struct fp_core *core, struct fp_app *app, uint32_t slot)
{
	struct fp *fp = core->fp;
	struct fp_app_shared *sh = app->core_priv;
	struct tas_sock *s = fp_slot_sock(app, slot);
	uint32_t want = tas_load_acq(&s->want), id, gen, owner;
	int heard, exists;

	if (!(want & TAS_SOCK_TAKE))
		return;
	id = tas_load(&s->take_flow);
	gen = tas_load(&s->take_gen);
	heard = hear_what_decides(core, app, slot, id, gen);
	exists = flow_is(fp, id, gen);
	owner = exists ? tas_load(&fp->flows[id].core) : core->id;
	if (owner != core->id || !heard) {
		fp_slot_pass(core, owner, app, slot);
		return;
	}
	if (sh->slots[slot].gen == gen)
		return; /* a late ring of a binding that is over: no message has granted it anew */
	if (!exists) {
		refuse(core, app, slot, gen, want);
		return;
	}
	if (!may_take(core, id, app, slot)) {
		core->cnt.refuse_take++;
		__atomic_fetch_add(&app->faults, 1, __ATOMIC_RELAXED);
		refuse(core, app, slot, gen, want);
		return;
	}
	take(core, app, slot, id);
}
