/*
 * flows.c - the life of a flow in the fast path: install, what a verdict of tcp_* means, deadlines,
 * close. Owner: the core that owns the flow's group.
 */
#include <assert.h>
#include <errno.h>
#include "core.h"

#define FEEDBACK_MIN_NS	 100000ull /* design.md section 5: an RTT or 100 us, whichever is longer */
#define FEEDBACK_IDLE_NS 10000000ull
#define RETRY_NS	 1000000ull /* a take that found no memory is looked at again */

static void fill_identity(struct fp_core *core, uint32_t id, const struct fp_flow_init *in)
{
	struct fp_flow *f = &core->fp->flows[id];
	struct fp_flow_cold *c = &core->fp->cold[id];
	const struct tas_tuple *t = &in->tuple;

	if (!tas_addr_is_v4(t->laddr))
		f->flags |= FP_F_V6;
	if (fp_addr_served(core->fp, t->raddr))
		f->flags |= FP_F_LOOP;
	f->laddr_lo = tas_addr_v4(t->laddr);
	f->raddr_lo = tas_addr_v4(t->raddr);
	f->lport = t->lport;
	f->rport = t->rport;
	f->gen = in->gen;
	f->neigh = in->neigh;
	f->app = FP_APP_NONE;
	f->slot = FP_SLOT_NONE;
	f->core = (uint8_t)core->id;
	f->tx_una_chunk = f->tx_nxt_chunk = TAS_CHUNK_NONE;
	c->tuple = *t;
	c->conn = in->conn;
	c->listener = in->listener;
	c->accept_entry = in->accept_entry;
	c->accept_ticket = in->accept_ticket;
	c->group = nic_group(core->fp->nic, t->laddr, t->raddr, t->lport, t->rport, 0);
	c->hash = fp_table_hash(&core->fp->table, t);
	c->retry_slot = FP_SLOT_NONE;
	c->tos = in->tos;
	c->ttl = in->opts.ttl != 0 ? in->opts.ttl : FP_TTL;
	c->opened_ns = core->env.now_ns;
	c->state = TAS_SOCK_OPEN;
	fp_rxlist_init(f, c);
	/* Last (I1: pairs with flow_is): other cores read gen and core of a flow that is used. */
	tas_store_rel(&f->flags, f->flags | FP_F_USED);
}

/* Enters the flow into the table; 0 = its group's part is full. */
static int enter(struct fp_core *core, uint32_t id)
{
	const struct fp_flow_cold *c = &core->fp->cold[id];

	if (fp_table_add(&core->fp->table, c->group, c->hash, id))
		return 1;
	core->cnt.flow_table_full++;
	return 0;
}

/* Binds a flow that was born in a program's slot (connect). 0 = there is no such program or slot
 * any more. */
static int bind_connected(struct fp_core *core, uint32_t id, const struct fp_flow_init *in)
{
	struct fp_app *app = in->app < FP_MAX_APPS ? &core->fp->apps[in->app] : NULL;
	uint32_t none = FP_FLOW_NONE;

	if (!app || !core->apps[in->app] || core->apps[in->app]->phase != FP_APP_RUN ||
		tas_load(&app->bad) || in->slot >= app->nslots || !fp_app_join(core, app))
		return 0;
	if (!tas_cas(&app->slot_flow[in->slot], &none, id)) {
		fp_app_leave(core, app);
		return 0;
	}
	fp_slot_bind(core, id, app, in->slot);
	fp_news(core, id, 1);
	return 1;
}

void fp_flow_install(struct fp_core *core, uint32_t id, const struct fp_flow_init *in)
{
	struct fp *fp = core->fp;
	struct fp_flow *f = &fp->flows[id];
	struct fp_flow_cold *c = &fp->cold[id];

	assert(id != FP_FLOW_NONE && id <= fp->max_flow &&
		!(f->flags & (FP_F_USED | FP_F_CLOSING)));
	memset(f, 0, sizeof(*f));
	memset(c, 0, sizeof(*c));
	tcp_install(f, c, in, &core->env);
	fill_identity(core, id, in);
	fp_gso_set(fp, f, c);
	fp_pace_set(f, c);
	c->tx_limit = tcp_tx_limit(f, c, &core->env);
	/* Bound before anything else can go wrong: the slot is told how it ends. */
	if (in->app != FP_APP_NONE && !bind_connected(core, id, in))
		fp_flow_close(core, id, FP_CLOSE_ABORTED, ECONNABORTED, 1);
	else if (!enter(core, id))
		fp_flow_close(core, id, FP_CLOSE_ABORTED, ENOBUFS, 1);
	else if (in->app != FP_APP_NONE)
		fp_slot_rung(core, &fp->apps[in->app], in->slot);
	else
		fp_flow_rearm(core, id);
}

int fp_flow_closed_event(struct fp_core *core, uint32_t id)
{
	struct fp_flow *f = &core->fp->flows[id];
	const struct fp_flow_cold *c = &core->fp->cold[id];
	struct fp_event ev = {.type = FP_EV_CLOSED, .id = id, .gen = f->gen, .conn = c->conn};

	ev.u.closed.reason = c->close_reason;
	ev.u.closed.time_wait = c->close_reason == FP_CLOSE_DONE && (f->flags & FP_F_TIME_WAIT);
	ev.u.closed.snd_nxt = f->iss1 + (uint32_t)f->tx_nxt;
	ev.u.closed.rcv_nxt = f->irs1 + (uint32_t)f->rx_nxt;
	ev.u.closed.ts_recent = f->ts_recent;
	ev.u.closed.app = f->app;
	ev.u.closed.slot = f->slot;
	ev.u.closed.error = c->close_error;
	if (c->parked_app != FP_APP_NONE || !fp_event_room(core, 1))
		return 0;
	if (f->app != FP_APP_NONE)
		fp_app_leave(core, &core->fp->apps[f->app]);
	tas_store(&f->flags, 0); /* before the event: the slow path may use the id again */
	return fp_event_put(core, &ev);
}

/* The slot of a flow that ends: free at once if the program has closed, else dead until it does. */
static void close_slot(struct fp_core *core, uint32_t id, int error)
{
	struct fp_flow *f = &core->fp->flows[id];
	struct fp_flow_cold *c = &core->fp->cold[id];
	struct fp_app *app = &core->fp->apps[f->app];
	struct tas_sock *s = fp_slot_sock(app, f->slot);
	int closed = (f->flags & FP_F_RX_CLOSED) || (tas_load_acq(&s->want) & TAS_SOCK_CLOSED);

	fp_publish(core->fp, id);
	if (closed) {
		fp_rxlist_free(core, id);
		fp_slot_dead(core, app, f->slot, c->state, error, TAS_CHUNK_NONE);
		fp_slot_forget(core, app, f->slot);
	} else {
		fp_slot_dead(core, app, f->slot, c->state, error, c->rx_first);
	}
	fp_ring(core, app, f->evq, f->slot);
}

/* A take that waited for memory (take.c) is looked at again. */
static void retry_take(struct fp_core *core, struct fp_flow_cold *c)
{
	if (c->retry_slot != FP_SLOT_NONE && core->apps[c->retry_app])
		fp_slot_pass(core, core->id, &core->fp->apps[c->retry_app], c->retry_slot);
	c->retry_slot = FP_SLOT_NONE;
}

void fp_flow_close(
	struct fp_core *core, uint32_t id, enum fp_close_reason reason, int error, int send_rst)
{
	struct fp *fp = core->fp;
	struct fp_flow *f = &fp->flows[id];
	struct fp_flow_cold *c = &fp->cold[id];

	if (send_rst)
		fp_tx_rst(core, id);
	else if (reason == FP_CLOSE_DONE && (f->flags & FP_F_ACK_NOW))
		fp_tx_ack(core, id); /* of the peer's FIN */
	fp_wheel_del(&core->wheel, id);
	fp_tx_unlist(core, id);
	fp_table_del(&fp->table, c->group, c->hash, id);
	tcp_release(f, c, &core->env);
	fp_stream_free(core, id);
	if (f->app == FP_APP_NONE)
		fp_rxlist_free(core, id);
	else
		close_slot(core, id, error);
	retry_take(core, c); /* and will find that it is too late */
	tas_store(&f->flags, (f->flags & FP_F_TIME_WAIT) | FP_F_CLOSING);
	c->close_reason = (uint8_t)reason;
	c->close_error = error;
	/*
	 * The slow path hears of it when the round is over (events.c): then it may give the id to a
	 * flow of another core, and until then this core's burst and lists may still name it.
	 */
	c->tx_list_next = core->closing;
	core->closing = id;
}

/* Data was acknowledged: chunks, limit, and the program that waits for space. 0 = it broke its
 * chunk list. */
static int acked(struct fp_core *core, uint32_t id)
{
	const struct fp_flow *f = &core->fp->flows[id];

	if (!fp_stream_acked(core, id)) {
		fp_app_fault(core, &core->fp->apps[f->app], &core->cnt.refuse_chunk);
		fp_flow_close(core, id, FP_CLOSE_ABORTED, ECONNABORTED, 1);
		return 0;
	}
	fp_flow_limit(core, id);
	fp_news(core, id, fp_tx_space_wanted(core, id));
	return 1;
}

void fp_flow_limit(struct fp_core *core, uint32_t id)
{
	struct fp_flow *f = &core->fp->flows[id];
	struct fp_flow_cold *c = &core->fp->cold[id];
	uint64_t limit = tcp_tx_limit(f, c, &core->env);

	if (limit > c->tx_limit)
		c->tx_limit = limit;
}

/*
 * Is there anything to tell? Losses and marks at once; else a round trip's counts, but of a flow
 * that leaves its window half empty (small requests) only now and then: they change nothing.
 */
static int feedback_due(
	const struct fp_core *core, const struct fp_flow *f, const struct fp_flow_cold *c)
{
	uint64_t since = core->env.now_ns - c->tcp.fb_start_ns;

	if (c->tcp.fb.events != 0)
		return 1;
	if (c->tcp.fb.marked == 0 && c->tcp.fb.acked < f->cwnd / 2)
		return since >= FEEDBACK_IDLE_NS;
	return since >= FEEDBACK_MIN_NS;
}

static void feedback(struct fp_core *core, uint32_t id)
{
	struct fp_flow *f = &core->fp->flows[id];
	struct fp_flow_cold *c = &core->fp->cold[id];
	struct fp_event ev;

	if (!feedback_due(core, f, c) || !fp_event_room(core, FP_EVENT_KEEP + 1))
		return;
	memset(&ev, 0, sizeof(ev));
	ev.type = FP_EV_FEEDBACK;
	ev.id = id;
	ev.gen = f->gen;
	ev.conn = c->conn;
	tcp_feedback_take(f, c, &core->env, &ev.u.fb);
	fp_event_put(core, &ev);
	core->cnt.cc_feedback++;
	fp_slot_stats(core->fp, id);
}

#define RARE_VERDICTS (TCP_V_RESET | TCP_V_TIMEOUT | TCP_V_RST_OUT | TCP_V_URG)

/* Three of them end the flow at once. 1 = it is gone. */
static int rare_verdict(struct fp_core *core, uint32_t id, uint32_t v)
{
	if (v & TCP_V_URG)
		fp_news(core, id, 0);
	if (v & TCP_V_RESET)
		fp_flow_close(core, id, FP_CLOSE_RESET, ECONNRESET, 0);
	else if (v & TCP_V_TIMEOUT)
		fp_flow_close(core, id, FP_CLOSE_TIMEOUT, ETIMEDOUT, (v & TCP_V_RST_OUT) != 0);
	else if (v & TCP_V_RST_OUT)
		fp_flow_close(core, id, FP_CLOSE_ABORTED, ECONNRESET, 1);
	else
		return 0;
	return 1;
}

static void fin_news(struct fp_flow *f, struct fp_flow_cold *c, uint32_t v)
{
	if (v & TCP_V_RX_FIN) {
		c->state |= TAS_SOCK_RX_FIN;
		if (f->tx_nxt > f->tx_head)
			f->flags |= FP_F_TIME_WAIT;
	}
	if (v & TCP_V_TX_FIN)
		c->state |= TAS_SOCK_TX_FIN;
}

/*
 * Both sides have ended their streams. A program that has the flow in its slot for ever reads the
 * rest there; one that others hold too is kept for who has not read it yet.
 */
static int may_end(const struct fp_flow *f, const struct fp_flow_cold *c)
{
	return !c->moved || (f->flags & FP_F_RX_CLOSED);
}

int fp_flow_verdict(struct fp_core *core, uint32_t id, uint32_t v)
{
	struct fp_flow *f = &core->fp->flows[id];
	struct fp_flow_cold *c = &core->fp->cold[id];

	if (v == 0)
		return 1;
	if (__builtin_expect(v & RARE_VERDICTS, 0) && rare_verdict(core, id, v))
		return 0;
	fin_news(f, c, v);
	if ((v & TCP_V_ACKED) && !acked(core, id))
		return 0;
	if (v & (TCP_V_HEAD | TCP_V_RX_FIN | TCP_V_TX_FIN))
		fp_news(core, id, 1);
	if (v & TCP_V_TX)
		fp_tx_list(core, id);
	if ((v & TCP_V_ACK) || (f->flags & FP_F_ACK_NOW))
		fp_ack_list(core, id);
	if (v & TCP_V_FEEDBACK)
		feedback(core, id);
	if ((v & TCP_V_DONE) && may_end(f, c)) {
		fp_flow_close(core, id, FP_CLOSE_DONE, 0, 0);
		return 0;
	}
	return 1;
}

void fp_flow_rearm(struct fp_core *core, uint32_t id)
{
	const struct fp_flow *f = &core->fp->flows[id];
	const struct fp_flow_cold *c = &core->fp->cold[id];
	uint64_t at;

	if (f->flags & FP_F_TX_LISTED)
		return; /* done when it has had its turn to send */
	at = tcp_deadline(f, c, &core->env);

	if ((f->flags & FP_F_PACE_WAIT) && c->pace_next_ns < at)
		at = c->pace_next_ns;
	if (c->retry_slot != FP_SLOT_NONE && core->env.now_ns + RETRY_NS < at)
		at = core->env.now_ns + RETRY_NS;
	if (at < fp_wheel_at(&core->wheel, id))
		fp_wheel_add(&core->wheel, id, at);
}

/* A flow's time has come: for which of its reasons? */
static void expired(struct fp_core *core, uint32_t id)
{
	struct fp_flow *f = &core->fp->flows[id];
	struct fp_flow_cold *c = &core->fp->cold[id];

	retry_take(core, c);
	if ((f->flags & FP_F_PACE_WAIT) && c->pace_next_ns <= core->env.now_ns) {
		f->flags &= ~FP_F_PACE_WAIT;
		fp_tx_list(core, id);
	}
	if (tcp_deadline(f, c, &core->env) <= core->env.now_ns &&
		!fp_flow_verdict(core, id, tcp_timer(f, c, &core->env)))
		return;
	fp_flow_rearm(core, id);
}

uint32_t fp_wheel_poll(struct fp_core *core)
{
	uint32_t n, id;

	for (n = 0; n < FP_BUDGET_WHEEL; n++) {
		id = fp_wheel_expire(&core->wheel, core->env.now_ns);
		if (id == FP_FLOW_NONE)
			break;
		expired(core, id);
	}
	return n;
}
