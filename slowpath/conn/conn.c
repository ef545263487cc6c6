/*
 * conn.c - connection records and the state machine: one table, (state, event) -> (next, action).
 *
 * The state is that of the slow path: a connection is SP_CONN_OPEN from its installation on,
 * whatever TCP state the core has it in. The default row ignores and counts nothing: what arrives
 * there is legal and means nothing. Owner: slow path thread. RFC 9293 3.10.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "alloc.h"
#include "conn/hash.h"
#include "conn/internal.h"
#include "conn/share.h"
#include "flowctl.h"
#include "net/internal.h"
#include "random.h"

/* ---- actions: 0 = go to the next state, 1 = stay ---- */

typedef int action_fn(struct sp *sp, struct sp_conn *c, const struct sp_conn_input *in);

static int resend(struct sp *sp, struct sp_conn *c, const struct sp_conn_input *in)
{
	(void)in;
	c->flags |= SP_CONN_RETRANS;
	sp->cnt.syn_retrans++;
	sp_emit_syn(sp, c);
	return 0;
}

static int accept_syn_ack(struct sp *sp, struct sp_conn *c, const struct sp_conn_input *in)
{
	if (!sp_flow_room(sp, &c->tuple))
		return 1;
	sp_conn_take_options(sp, c, in->seg);
	c->snd_wnd = in->seg->wnd; /* never scaled in a SYN (RFC 7323 2.2) */
	sp_emit_ack(sp, c);
	sp_conn_establish(sp, c);
	return 0;
}

/* Both sides sent a SYN: answer with SYN-ACK of the same ISN (RFC 9293 3.5, figure 8). */
static int simultaneous_open(struct sp *sp, struct sp_conn *c, const struct sp_conn_input *in)
{
	sp_conn_take_options(sp, c, in->seg);
	c->state = SP_CONN_SYN_RCVD;
	sp_emit_syn(sp, c);
	return 0;
}

/* What the core will send goes to the next hop, wherever the SYN came from. */
static int has_next_hop(struct sp *sp, struct sp_conn *c)
{
	if (c->neigh == 0)
		c->neigh = sp_neigh_for(
			sp, c->tuple.raddr, c->flags & SP_CONN_PEERMAC ? c->peer_mac : NULL);
	if (c->neigh == 0)
		sp->cnt.drop_no_route++;
	return c->neigh != 0;
}

static int accept_ack(struct sp *sp, struct sp_conn *c, const struct sp_conn_input *in)
{
	struct sp_listener *l = sp_listener_get(sp, c->listener);

	if (!sp_flow_room(sp, &c->tuple))
		return 1;
	if (l != NULL && sp_accept_full(l)) {
		sp->cnt.drop_backlog_full++;
		l->dropped++;
		return 1;
	}
	if (!has_next_hop(sp, c))
		return 1; /* all neighbours in use; the peer tries again */
	c->snd_wnd = in->seg->wnd;
	if (!(in->seg->flags & TCP_SYN)) /* both opened at once: a SYN's window is not scaled */
		c->snd_wnd <<= c->snd_wscale;
	if (in->seg->has_ts && (c->flags & SP_CONN_TS))
		c->ts_recent = in->seg->ts_val;
	if (l != NULL)
		sp_accept_reserve(l, c);
	sp_conn_establish(sp, c);
	if (in->seg->len != 0 || (in->seg->flags & TCP_FIN))
		sp_flow_frame(sp, c, in->frame, in->frame_len, in->gso_size);
	return 0;
}

static int refused(struct sp *sp, struct sp_conn *c, const struct sp_conn_input *in)
{
	(void)in;
	sp_connect_failed(sp, c, ECONNREFUSED);
	return 0;
}

static int timed_out(struct sp *sp, struct sp_conn *c, const struct sp_conn_input *in)
{
	if (c->app != FP_APP_NONE)
		sp->cnt.conn_timeout++;
	sp_connect_failed(sp, c, in->error);
	return 0;
}

static int failed(struct sp *sp, struct sp_conn *c, const struct sp_conn_input *in)
{
	sp_connect_failed(sp, c, in->error);
	return 0;
}

static int failed_after_syn(struct sp *sp, struct sp_conn *c, const struct sp_conn_input *in)
{
	sp_emit_rst_conn(sp, c);
	sp_connect_failed(sp, c, in->error);
	return 0;
}

static int reinject(struct sp *sp, struct sp_conn *c, const struct sp_conn_input *in)
{
	sp_flow_frame(sp, c, in->frame, in->frame_len, in->gso_size);
	return 0;
}

static int kill_flow(struct sp *sp, struct sp_conn *c, const struct sp_conn_input *in)
{
	sp->cnt.conn_reset_out++;
	sp_flow_abort(sp, c, in->error, 1);
	return 0;
}

static int closed(struct sp *sp, struct sp_conn *c, const struct sp_conn_input *in)
{
	sp_conn_closed(sp, c, in->closed);
	return 0;
}

/* ---- the table ---- */

struct rule {
	uint8_t next;
	action_fn *action;
};

#define F    SP_CONN_FREE
#define SENT SP_CONN_SYN_SENT
#define RCVD SP_CONN_SYN_RCVD
#define OPEN SP_CONN_OPEN
#define ABRT SP_CONN_ABORTING

static const struct rule table[SP_CONN_STATES][SP_EV_EVENTS] = {
	[SENT] =
		{
			[SP_EV_SYN] = {RCVD, simultaneous_open},
			[SP_EV_SYN_ACK] = {OPEN, accept_syn_ack},
			[SP_EV_RST] = {F, refused},
			[SP_EV_TIMER] = {SENT, resend},
			[SP_EV_GIVE_UP] = {F, timed_out},
			[SP_EV_UNREACH] = {F, failed},
			[SP_EV_CANCEL] = {F, failed},
			[SP_EV_KILL] = {F, failed},
		},
	[RCVD] =
		{
			[SP_EV_SYN] = {RCVD, resend},
			[SP_EV_SYN_ACK] = {OPEN, accept_ack},
			[SP_EV_ACK] = {OPEN, accept_ack},
			[SP_EV_RST] = {F, refused},
			[SP_EV_TIMER] = {RCVD, resend},
			[SP_EV_GIVE_UP] = {F, timed_out},
			[SP_EV_UNREACH] = {F, failed},
			[SP_EV_CANCEL] = {F, failed_after_syn},
			[SP_EV_KILL] = {F, failed_after_syn},
		},
	[OPEN] =
		{
			[SP_EV_SEGMENT] = {OPEN, reinject},
			[SP_EV_CANCEL] = {ABRT, kill_flow},
			[SP_EV_KILL] = {ABRT, kill_flow},
			[SP_EV_CLOSED] = {F, closed},
		},
	[ABRT] =
		{
			[SP_EV_CLOSED] = {F, closed},
		},
};

#undef F
#undef SENT
#undef RCVD
#undef OPEN
#undef ABRT

void sp_conn_event(struct sp *sp, struct sp_conn *c, enum sp_conn_event_type ev,
	const struct sp_conn_input *in)
{
	const struct rule *r = &table[c->state][ev];

	if (r->action == NULL || r->action(sp, c, in) != 0)
		return;
	c->state = r->next;
	if (c->state == SP_CONN_FREE)
		sp_conn_release(sp, c);
}

const char *sp_conn_state_name(const struct sp_conn *c)
{
	static const char *const names[SP_CONN_STATES] = {
		"free", "syn-sent", "syn-received", "established", "aborting"};

	return c->state < SP_CONN_STATES ? names[c->state] : "?";
}

/* ---- records ---- */

int sp_conns_init(struct sp *sp, uint32_t max_conns, uint32_t max_timewait)
{
	struct sp_conns *t = &sp->conns;
	int err;

	t->nbuckets = 1024;
	while (t->nbuckets < max_conns && t->nbuckets < 1u << 22)
		t->nbuckets *= 2;
	t->tw_max = max_timewait;
	t->half_max =
		sp->conf.max_half_open < max_conns / 2 ? sp->conf.max_half_open : max_conns / 2;
	sp_random(t->key, sizeof(t->key));
	sp_random(t->secret, sizeof(t->secret));
	sp_random(&t->port_next, sizeof(t->port_next));
	t->wheel_tick = sp->now_ns / SP_WHEEL_NS;
	err = sp_arena_create(&t->conns, "tas-conns", sizeof(struct sp_conn), max_conns);
	if (err == 0)
		sp_arena_split(&t->conns, fp_nodes(sp->fp));
	if (err == 0)
		err = sp_arena_create(
			&t->tws, "tas-timewait", sizeof(struct sp_timewait), max_timewait);
	if (err == 0)
		err = sp_arena_create(&t->shares, "tas-shares", sizeof(struct sp_share), max_conns);
	t->buckets = fp_calloc(t->nbuckets, sizeof(*t->buckets));
	t->tw_buckets = fp_calloc(t->nbuckets, sizeof(*t->tw_buckets));
	if (err == 0 && (t->buckets == NULL || t->tw_buckets == NULL))
		err = -ENOMEM;
	if (err != 0)
		sp_conns_free(sp);
	return err;
}

void sp_conns_free(struct sp *sp)
{
	struct sp_conns *t = &sp->conns;

	sp_arena_destroy(&t->conns);
	sp_arena_destroy(&t->tws);
	sp_arena_destroy(&t->shares);
	free(t->buckets);
	free(t->tw_buckets);
	t->buckets = t->tw_buckets = NULL;
}

static uint32_t *bucket_of(struct sp *sp, const struct tas_tuple *t)
{
	struct sp_conns *cs = &sp->conns;

	return &cs->buckets[sp_hash_tuple(cs->key, t) & (cs->nbuckets - 1)];
}

struct sp_conn *sp_conn_get(struct sp *sp, uint32_t id)
{
	struct sp_conn *c = sp_arena_at(&sp->conns.conns, id);

	return c != NULL && c->id == id && c->state != SP_CONN_FREE ? c : NULL;
}

struct sp_conn *sp_conn_find(struct sp *sp, const struct tas_tuple *t)
{
	uint32_t id = *bucket_of(sp, t);

	while (id != 0) {
		struct sp_conn *c = sp_arena_at(&sp->conns.conns, id);

		if (memcmp(&c->tuple, t, sizeof(*t)) == 0)
			return c;
		id = c->hash_next;
	}
	return NULL;
}

struct sp_conn *sp_conn_next(struct sp *sp, uint32_t *cursor, uint32_t budget)
{
	const struct sp_arena *a = &sp->conns.conns;

	for (; budget > 0 && *cursor < a->head->fresh; budget--) {
		struct sp_conn *c = sp_conn_get(sp, (*cursor)++);

		if (c != NULL)
			return c;
	}
	if (*cursor >= a->head->fresh)
		*cursor = a->capacity + 1;
	return NULL;
}

/* Unique among the connections of 2^32 creations; never 0. */
static uint32_t next_gen(struct sp_conns *cs)
{
	if (++cs->gen == 0)
		cs->gen = 1;
	return cs->gen;
}

struct sp_conn *sp_conn_new(struct sp *sp, const struct tas_tuple *t)
{
	struct sp_conns *cs = &sp->conns;
	uint32_t node = fp_core_node(sp->fp, fp_core_of(sp->fp, t));
	uint32_t id = sp_arena_alloc_in(&cs->conns, node), *bucket = bucket_of(sp, t);
	struct sp_conn *c = sp_arena_at(&cs->conns, id);

	if (c == NULL)
		return NULL;
	c->id = id;
	c->tuple = *t;
	c->gen = next_gen(cs);
	c->created_ns = sp->now_ns;
	c->slot = FP_SLOT_NONE;
	c->iss = sp_isn(cs->secret, t, sp->now_ns);
	c->ts_offset = sp_ts_offset(cs->secret, t);
	c->hash_next = *bucket;
	*bucket = id;
	sp_port_hold(sp, t->lport);
	return c;
}

static void unhash(struct sp *sp, struct sp_conn *c)
{
	uint32_t *p = bucket_of(sp, &c->tuple);

	while (*p != c->id)
		p = &((struct sp_conn *)sp_arena_at(&sp->conns.conns, *p))->hash_next;
	*p = c->hash_next;
}

void sp_conn_release(struct sp *sp, struct sp_conn *c)
{
	sp_conn_timer_clear(sp, c);
	sp_half_open_remove(sp, c);
	sp_connect_done(sp, c);
	sp_accept_clear(sp, c);
	sp_share_free(sp, c);
	sp_neigh_unref(sp, c->neigh);
	sp_port_release(sp, c->tuple.lport);
	unhash(sp, c);
	sp_arena_free(&sp->conns.conns, c->id);
}

void sp_conn_abort(struct sp *sp, struct sp_conn *c, int error)
{
	struct sp_conn_input in = {.error = error};

	sp_conn_event(sp, c, SP_EV_KILL, &in);
}

void sp_conn_list_add(struct sp *sp, uint32_t *head, uint32_t *tail, struct sp_conn *c)
{
	struct sp_conn *last = tail != NULL ? sp_arena_at(&sp->conns.conns, *tail) : NULL;
	struct sp_conn *first = sp_arena_at(&sp->conns.conns, *head);

	if (last != NULL) {
		last->owner_next = c->id;
		c->owner_prev = last->id;
		c->owner_next = 0;
		*tail = c->id;
		return;
	}
	c->owner_prev = 0;
	c->owner_next = *head;
	if (first != NULL)
		first->owner_prev = c->id;
	*head = c->id;
	if (tail != NULL)
		*tail = c->id;
}

void sp_conn_list_del(struct sp *sp, uint32_t *head, uint32_t *tail, struct sp_conn *c)
{
	struct sp_conn *prev = sp_arena_at(&sp->conns.conns, c->owner_prev);
	struct sp_conn *next = sp_arena_at(&sp->conns.conns, c->owner_next);

	if (prev != NULL)
		prev->owner_next = c->owner_next;
	else
		*head = c->owner_next;
	if (next != NULL)
		next->owner_prev = c->owner_prev;
	else if (tail != NULL)
		*tail = c->owner_prev;
	c->owner_prev = c->owner_next = 0;
}
