/*
 * groups.c - flow groups change cores, the cores' side: who holds, who forwards, who hands over.
 * Owner: the core. docs/decisions/0008-moving-flow-groups.md has the steps and why nothing is lost,
 * reordered or done twice.
 *
 * Messages come from the slow path (SP_GROUP_MOVE, SP_GROUP_DRAIN); cores tell each other by notes
 * in the rings of forwarded frames, so that a note stands behind the last frame it speaks of.
 */
#include <assert.h>
#include "core.h"

enum note {
	NOTE_SWITCHED = 1, /* no more frames of the set will come from me */
	NOTE_HANDOVER,	   /* the flows are yours */
	NOTE_DRAINED,	   /* ... and so is every frame that came to me before the port was told */
};

/* Group by group of the set: *g is the next one at or after *g. 0 = none. */
static int next_group(const uint64_t *set, uint32_t *g)
{
	for (; *g < NIC_GROUPS; (*g)++)
		if (set[*g / 64] >> (*g % 64) & 1)
			return 1;
	return 0;
}

static void set_route(struct fp_core *core, uint8_t to)
{
	uint32_t g;

	for (g = 0; next_group(core->move.set, &g); g++)
		core->route[g] = to;
}

/* 1 = put behind all frames forwarded so far; 0 = no room now. The note carries our time. */
static int put_note(struct fp_core *core, uint32_t to, enum note kind)
{
	struct nic_rxpkt pkt = {.data = (uint8_t *)&core->env.now_ns,
		.len = sizeof(core->env.now_ns),
		.flags = FP_FORWARD_NOTE,
		.hash = kind};

	if (!fp_forward_put(&core->fp->cores[to].from[core->id], &pkt))
		return 0;
	fp_core_wake(&core->fp->cores[to]);
	return 1;
}

static void start(struct fp_core *core, const struct sp_msg *m)
{
	struct fp_core_move *v = &core->move;

	assert(v->step == FP_MOVE_IDLE);
	v->from = m->u.move.from;
	v->to = m->u.move.to;
	memcpy(v->set, m->u.move.set, sizeof(v->set));
	v->step = v->from == core->id ? FP_MOVE_GATHER : FP_MOVE_SWITCH;
}

void fp_group_message(struct fp_core *core, const struct sp_msg *m)
{
	struct fp_core_move *v = &core->move;

	if (m->type == SP_GROUP_MOVE) {
		start(core, m);
		return;
	}
	assert(v->step == FP_MOVE_AWAY);
	v->step = FP_MOVE_DRAIN;
	v->frames = core->cnt.rx_packets;
	v->looped = core->loop.tail;
}

/* New owner and third cores: what comes from now on no longer goes to the old owner. */
static void switch_over(struct fp_core *core)
{
	struct fp_core_move *v = &core->move;

	if (!put_note(core, v->from, NOTE_SWITCHED))
		return;
	if (v->to != core->id) {
		set_route(core, (uint8_t)v->to);
		v->step = FP_MOVE_IDLE;
		return;
	}
	set_route(core, FP_GROUP_HOLD);
	core->rx_for = &core->from[core->id];
	v->step = FP_MOVE_WAIT;
}

static void give_flow(struct fp_core *core, uint32_t id)
{
	struct fp_flow *f = &core->fp->flows[id];
	struct fp_app_core *ac = core->apps[f->app];

	fp_wheel_del(&core->wheel, id);
	fp_tx_unlist(core, id);
	tcp_pool_leave(&core->fp->cold[id], &core->env);
	if (f->app != FP_APP_NONE) {
		/* Its share of receive memory goes with it. */
		fp_chunks_give(core, &core->fp->apps[f->app], ac->nfree / ac->nflows);
		ac->nflows--;
	}
	tas_store(&f->core, (uint8_t)FP_CORE_MOVING);
}

static void take_flow(struct fp_core *core, uint32_t id)
{
	struct fp_flow *f = &core->fp->flows[id];
	struct fp_app *app = &core->fp->apps[f->app];

	tcp_pool_join(&core->fp->cold[id], &core->env);
	tas_store_rel(&f->core, (uint8_t)core->id); /* whoever passes a ring on finds us */
	fp_tx_list(core, id); /* it may have been listed; its deadline is set after its turn */
	fp_parked_adopt(core, id);
	core->cnt.flows_moved++;
	if (f->app == FP_APP_NONE)
		return;
	core->apps[f->app]->nflows++;
	tas_store(&fp_slot_sock(app, f->slot)->core, (uint16_t)core->id);
	fp_app_adopted(core, app, f->slot);
}

typedef void each_flow(struct fp_core *core, uint32_t id);

/* How many there were. */
static uint32_t flows_of_bucket(struct fp_core *core, const struct fp_bucket *b, each_flow *each)
{
	uint32_t way, n = 0;

	for (way = 0; way < FP_BUCKET_WAYS; way++) {
		if (b->flow[way] == FP_FLOW_NONE)
			continue;
		each(core, b->flow[way]);
		n++;
	}
	return n;
}

/* The groups' parts of the table are their lists of flows. `each` may end the flow it is given. */
static void for_each_flow(struct fp_core *core, each_flow *each)
{
	const struct fp_table *t = &core->fp->table;
	uint32_t g, i;

	for (g = 0; next_group(core->move.set, &g); g++) {
		const struct fp_bucket *b = &t->buckets[(uint64_t)g * t->part];
		uint32_t left = fp_table_count(t, g);

		for (i = 0; left != 0 && i < t->part; i++)
			left -= flows_of_bucket(core, &b[i], each);
	}
}

/* Old owner: everything that this core owes for the flows is done before they go. */
static void hand_over(struct fp_core *core)
{
	struct fp_core_move *v = &core->move;
	struct fp_forward *ring = &core->fp->cores[v->to].from[core->id];

	if (v->switched != core->fp->ncores - 1 || fp_forward_fits(ring) == 0)
		return;
	v->switched = 0;
	fp_news_flush(core);
	fp_acks_flush(core);
	fp_tx_flush(core);
	for_each_flow(core, give_flow);
	fp_parked_give(core);
	set_route(core, (uint8_t)v->to);
	put_note(core, v->to, NOTE_HANDOVER); /* its release publishes the records (G2) */
	core->rx_for = ring;
	v->step = FP_MOVE_AWAY;
}

/*
 * The port had nothing, or as much has come as its queue could hold when steering was switched; and
 * what we had sent to ourselves by then has been taken in.
 */
static int drained(const struct fp_core *core)
{
	if (core->loop.head < core->move.looped)
		return 0;
	return core->rx_empty ||
	       core->cnt.rx_packets - core->move.frames >= core->fp->caps->rx_depth;
}

static void drain(struct fp_core *core)
{
	if (!drained(core) || !put_note(core, core->move.to, NOTE_DRAINED))
		return;
	core->rx_for = NULL;
	core->move.step = FP_MOVE_IDLE;
}

/* V1: tells the slow path. */
static void tell(struct fp_core *core, enum fp_move_state state)
{
	tas_store_rel(&core->fp->move.state, (uint32_t)state);
	core->told = 1;
}

static void adopt(struct fp_core *core)
{
	assert(core->move.step == FP_MOVE_WAIT);
	core->move.step = FP_MOVE_SETTLE;
	for_each_flow(core, take_flow);
	core->cnt.groups_moved += (uint32_t)__builtin_popcountll(core->move.set[0]) +
				  (uint32_t)__builtin_popcountll(core->move.set[1]);
	tell(core, FP_MOVES_SETTLING);
}

static void settle(struct fp_core *core)
{
	assert(core->move.step == FP_MOVE_SETTLE);
	set_route(core, (uint8_t)core->id);
	core->rx_for = NULL;
	core->move.step = FP_MOVE_IDLE;
	fp_rx_release(core);
	tell(core, FP_MOVES_NONE);
}

/* Times in the flows' records are the old owner's: ours may not be behind them. */
static void catch_up(struct fp_core *core, const struct nic_rxpkt *pkt)
{
	uint64_t theirs;

	memcpy(&theirs, pkt->data, sizeof(theirs));
	if (theirs <= core->env.now_ns)
		return;
	core->env.now_ns = theirs;
	core->env.now_us = (uint32_t)(theirs / 1000);
}

void fp_group_note(struct fp_core *core, const struct nic_rxpkt *pkt)
{
	catch_up(core, pkt);
	switch (pkt->hash) {
	case NOTE_SWITCHED:
		core->move.switched++; /* perhaps before our own message has come */
		break;
	case NOTE_HANDOVER:
		adopt(core);
		break;
	default:
		settle(core);
	}
}

void fp_group_poll(struct fp_core *core)
{
	if (core->env.nsent != core->sent_share)
		tcp_pool_balance(&core->env, core->sent_share, &core->fp->sent_spare);
	switch (core->move.step) {
	case FP_MOVE_SWITCH:
		switch_over(core);
		break;
	case FP_MOVE_GATHER:
		hand_over(core);
		break;
	case FP_MOVE_DRAIN:
		drain(core);
		break;
	default:
		break;
	}
}

/* Waiting for room in a ring, or for the port to run dry: nobody wakes us for that. */
int fp_group_busy(const struct fp_core *core)
{
	const struct fp_core_move *v = &core->move;

	return v->step == FP_MOVE_SWITCH || v->step == FP_MOVE_DRAIN ||
	       (v->step == FP_MOVE_GATHER && v->switched == core->fp->ncores - 1);
}

/*
 * While the group settles, frames that the old owner hands on are older than any other, and what
 * the slow path gives back is older still.
 */
int fp_group_elsewhere(struct fp_core *core, uint32_t group, const struct nic_rxpkt *pkt)
{
	uint8_t to = core->route[group];

	if (to != FP_GROUP_HOLD) {
		fp_rx_forward(core, to, pkt);
		return 0;
	}
	if (core->source == FP_SOURCE_SP || core->source == core->move.from)
		return 1;
	fp_rx_forward(core, core->id, pkt);
	return 0;
}
