/*
 * park.c - a connection that several processes hold leaves the slot of one of them: what it has
 * received and what it has not got through goes into app 0's chunks, and the flow waits there as
 * one that was not accepted yet, until the holder it is granted to takes it.
 *
 * The program may be at work on the slot meanwhile, in another thread. It stores a position, makes
 * a full barrier (M1) and looks at `state`; here MOVING is stored, then a full barrier (M2), then
 * the program's line is read for the last time. So either the position is heard, or the program
 * sees MOVING and learns from rx_kept and tx_limit what was. Owner: the flow's core.
 * docs/decisions/0009-connections-held-by-several-processes.md.
 */
#include <errno.h>
#include "core.h"
#include "tas/yield.h"

/* What the program says for the last time. 0 = the flow ended over it, or the program has closed it. */
static int last_words(struct fp_core *core, uint32_t id)
{
	struct fp_flow *f = &core->fp->flows[id];
	struct fp_app *app = &core->fp->apps[f->app];
	struct tas_sock *s = fp_slot_sock(app, f->slot);

	tas_store_rel(&s->state, core->fp->cold[id].state | TAS_SOCK_MOVING);
	tas_full_barrier(); /* M2 */
	fp_slot_rung(core, app, f->slot);
	return (f->flags & FP_F_USED) && f->app == app->id && !(f->flags & FP_F_RX_CLOSED);
}

/* The slot's last state: what was heard, and that it is the program's again. */
static void leave_slot(struct fp_core *core, struct fp_app *app, uint32_t slot, uint32_t id)
{
	const struct fp_flow *f = &core->fp->flows[id];
	struct fp_app_shared *sh = app->core_priv;
	struct tas_sock *s = fp_slot_sock(app, slot);
	uint32_t state = core->fp->cold[id].state;

	sh->slots[slot] = (struct fp_slot){.rx_first = TAS_CHUNK_NONE, .gen = f->gen};
	tas_store_rel(&app->slot_flow[slot], FP_FLOW_NONE);
	tas_store(&s->tx_limit, f->tx_head);
	tas_store(&s->rx_kept, f->rx_read);
	tas_store_rel(&s->state, state | TAS_SOCK_MOVING | TAS_SOCK_MOVED | TAS_SOCK_FREE);
	tas_store_rel(&s->gen, f->gen);
	fp_ring(core, app, f->evq, slot);
}

/* 1 = told, and the flow no longer counts as the program's; 0 = no room. */
static int put_parked(struct fp_core *core, uint32_t id)
{
	struct fp_flow_cold *c = &core->fp->cold[id];
	struct fp_event ev = {
		.type = FP_EV_PARKED, .id = id, .gen = core->fp->flows[id].gen, .conn = c->conn};

	ev.u.taken.app = c->parked_app;
	ev.u.taken.slot = c->parked_slot;
	if (!fp_event_put(core, &ev))
		return 0;
	fp_app_leave(core, &core->fp->apps[c->parked_app]);
	c->parked_app = FP_APP_NONE;
	return 1;
}

void fp_parked_tell(struct fp_core *core)
{
	while (core->parked != FP_FLOW_NONE && put_parked(core, core->parked))
		core->parked = core->fp->cold[core->parked].parked_next;
}

static void list_parked(struct fp_core *core, uint32_t id)
{
	core->fp->cold[id].parked_next = core->parked;
	core->parked = id;
}

void fp_parked_give(struct fp_core *core)
{
	uint32_t id, next;

	id = core->parked;
	core->parked = FP_FLOW_NONE;
	for (; id != FP_FLOW_NONE; id = next) {
		next = core->fp->cold[id].parked_next;
		if (core->fp->flows[id].core == core->id)
			list_parked(core, id);
		else
			core->apps[core->fp->cold[id].parked_app]->nflows--;
	}
}

void fp_parked_adopt(struct fp_core *core, uint32_t id)
{
	const struct fp_flow_cold *c = &core->fp->cold[id];

	if (c->parked_app == FP_APP_NONE)
		return;
	core->apps[c->parked_app]->nflows++;
	list_parked(core, id);
}

/* 0 = the flow is gone, or stays with its program, which has closed it. */
static int park(struct fp_core *core, uint32_t id)
{
	struct fp_flow *f = &core->fp->flows[id];
	struct fp_app *app = &core->fp->apps[f->app];
	uint32_t slot = f->slot;
	uint64_t *failed;

	if (!last_words(core, id))
		return 0;
	core->copied += f->tx_head - fp_tx_una(f) + f->rx_nxt - f->rx_read;
	failed = fp_stream_park(core, id);
	if (!failed && !fp_rxlist_move(core, id, &core->fp->apps[FP_APP_NONE]))
		failed = &core->cnt.drop_parked;
	if (failed) {
		(*failed)++;
		fp_flow_close(core, id, FP_CLOSE_ABORTED, ENOBUFS, 1);
		return 0;
	}
	leave_slot(core, app, slot, id);
	core->fp->cold[id].parked_app = app->id;
	core->fp->cold[id].parked_slot = slot;
	list_parked(core, id);
	core->fp->cold[id].payer = (uint16_t)app->id;
	f->app = FP_APP_NONE;
	f->slot = FP_SLOT_NONE;
	f->evq = 0;
	f->flags &= ~FP_F_TX_WAIT;
	fp_parked_tell(core);
	return 1;
}

static int may_be_granted(const struct fp_core *core, uint32_t app, uint32_t slot)
{
	return app < FP_MAX_APPS && core->apps[app] && core->apps[app]->phase == FP_APP_RUN &&
	       slot < core->fp->apps[app].nslots &&
	       tas_load(&core->fp->apps[app].slot_flow[slot]) == FP_FLOW_NONE;
}

/*
 * A grant that was not used: its slot learns that the flow has gone elsewhere, unless another core
 * binds the slot at this moment.
 */
static void withdraw(struct fp_core *core, uint32_t id)
{
	struct fp_flow_cold *c = &core->fp->cold[id];
	uint32_t app = c->grant_app, slot = c->grant_slot, none = FP_FLOW_NONE;

	c->grant_app = FP_APP_NONE;
	if (app == FP_APP_NONE || !may_be_granted(core, app, slot))
		return;
	TAS_YIELD();
	if (tas_cas(&core->fp->apps[app].slot_flow[slot], &none, FP_FLOW_HELD))
		leave_slot(core, &core->fp->apps[app], slot, id);
}

void fp_flow_move(
	struct fp_core *core, uint32_t id, uint32_t to_app, uint32_t to_slot, uint32_t from)
{
	struct fp_flow *f = &core->fp->flows[id];
	struct fp_flow_cold *c = &core->fp->cold[id];
	struct fp_app_shared *sh;

	if (from != FP_APP_NONE && f->app != from && c->grant_app != from)
		return;
	withdraw(core, id);
	c->moved = 1;
	if (f->app != FP_APP_NONE && !park(core, id))
		return;
	if (to_app == FP_APP_NONE || !may_be_granted(core, to_app, to_slot))
		return;
	sh = core->fp->apps[to_app].core_priv;
	sh->slots[to_slot].gen = 0; /* it may have had this very flow before */
	c->grant_app = to_app;
	c->grant_slot = to_slot;
}

/* The program waits for the slot's gen before it touches these lines. */
static void write_positions(const struct fp_flow *f, struct tas_sock *s)
{
	tas_store(&s->rx_tail, f->rx_read);
	tas_store(&s->tx_first_pos, f->tx_head);
	tas_store_rel(&s->tx_head, f->tx_head);
}

int fp_flow_granted(struct fp_core *core, uint32_t id, const struct fp_app *app, uint32_t slot)
{
	const struct fp_flow *f = &core->fp->flows[id];
	struct fp_flow_cold *c = &core->fp->cold[id];

	if (c->grant_app != app->id || c->grant_slot != slot || f->app != FP_APP_NONE)
		return 0;
	write_positions(f, fp_slot_sock(app, slot));
	return 1;
}

void fp_flow_finish(struct fp_core *core, uint32_t id)
{
	struct fp_flow *f = &core->fp->flows[id];
	uint32_t v;

	if (f->app != FP_APP_NONE)
		return; /* its slot says when and how */
	withdraw(core, id);
	if (f->rx_read != fp_rx_head(f)) {
		fp_flow_close(core, id, FP_CLOSE_ABORTED, ECONNRESET, 1); /* RFC 2525 2.17 */
		return;
	}
	f->flags |= FP_F_TX_SHUT | FP_F_RX_CLOSED;
	v = tcp_app(f, &core->fp->cold[id], &core->env, f->rx_read, f->tx_head);
	fp_rxlist_free(core, id);
	if (fp_flow_verdict(core, id, v))
		fp_flow_rearm(core, id);
}
