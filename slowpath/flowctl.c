/*
 * flowctl.c - messages to the cores, with a backlog for full rings (see flowctl.h).
 * Owner: slow path thread.
 */
#include "flowctl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "alloc.h"
#include "conn/internal.h"

#define BACKLOG_START 256u
#define BACKLOG_ROOM  65536u /* no new flows for a core behind this many messages */

static void release(const struct sp_msg *m)
{
	if (m->type == SP_FRAME)
		free((void *)(uintptr_t)m->u.frame.data);
}

/* Doubles the ring, oldest message first. 0 or -1. */
static int grow(struct sp_backlog *b)
{
	uint32_t size = b->size == 0 ? BACKLOG_START : b->size * 2, i;
	struct sp_waiting *msgs = fp_malloc((size_t)size * sizeof(*msgs));

	if (msgs == NULL)
		return -1;
	for (i = 0; i < b->count; i++)
		msgs[i] = b->msgs[(b->head + i) % b->size];
	free(b->msgs);
	b->msgs = msgs;
	b->head = 0;
	b->size = size;
	return 0;
}

static int append(struct sp_backlog *b, uint32_t core, const struct sp_msg *m)
{
	struct sp_waiting *w;

	if (b->count == b->size && grow(b) != 0)
		return -1;
	w = &b->msgs[(b->head + b->count) % b->size];
	w->core = core;
	w->m = *m;
	b->count++;
	return 0;
}

static void drop_first(struct sp_backlog *b)
{
	b->head = (b->head + 1) % b->size;
	b->count--;
}

/* Into the ring; a connection that its core will now know may be shown to those who accept. */
static int put(struct sp *sp, uint32_t core, const struct sp_msg *m)
{
	struct sp_conn *c;
	int err = fp_send(sp->fp, core, m);

	if (err != 0 || m->type != SP_FLOW_INSTALL)
		return err;
	c = sp_conn_get(sp, m->id);
	if (c != NULL && c->gen == m->gen)
		sp_accept_publish(sp, c);
	return 0;
}

static void flush_core(struct sp *sp, uint32_t core)
{
	struct sp_backlog *b = &sp->backlog[core];

	while (b->count != 0 && put(sp, core, &b->msgs[b->head].m) == 0)
		drop_first(b);
}

#define NOBODY UINT32_MAX

/* Whose message it is now: a flow's is for the core that has its group, NOBODY if it is gone; a program's for `core`. */
static uint32_t home_of(struct sp *sp, uint32_t core, const struct sp_msg *m)
{
	const struct sp_conn *c;

	if (m->type == SP_APP_ADD || m->type == SP_APP_DEL)
		return core;
	c = sp_conn_get(sp, m->id);
	return c != NULL && c->gen == m->gen ? fp_core_of(sp->fp, &c->tuple) : NOBODY;
}

/*
 * To its core behind what waits for that; groups do not change hands (holding() was 0). 0, or -1: the
 * ring is full and there is no memory.
 */
static int deliver(struct sp *sp, uint32_t core, const struct sp_msg *m)
{
	uint32_t home = home_of(sp, core, m);
	struct sp_backlog *b;

	if (home == NOBODY) {
		release(m);
		return 0;
	}
	b = &sp->backlog[home];
	if (b->count == 0 && put(sp, home, m) == 0)
		return 0;
	return append(b, home, m);
}

/* ---- while groups change hands ---- */

/*
 * What was held goes where the flows are now, in the order in which it was sent. Without memory the
 * rest follows when the cores have made room.
 */
static void hand_out(struct sp *sp)
{
	struct sp_backlog *held = &sp->held;

	while (held->count != 0 &&
		deliver(sp, held->msgs[held->head].core, &held->msgs[held->head].m) == 0)
		drop_first(held);
}

void sp_flow_pause(struct sp *sp)
{
	sp->flow_paused = 1;
}

int sp_flow_paused(struct sp *sp)
{
	if (!sp->flow_paused)
		return 0;
	if (fp_move_poll(sp->fp) == FP_MOVES_HANDING)
		return 1;
	sp->flow_paused = 0;
	hand_out(sp);
	return 0;
}

/* Nothing may be sent, or not before what was held. Else fp_core_of is the answer until the next pause. */
static int holding(struct sp *sp)
{
	return sp_flow_paused(sp) || sp->held.count != 0;
}

/*
 * Memory for a message that must not be lost is memory we cannot do without: wait for the core
 * rather than lose an installed connection. The core never waits for us, so this ends.
 */
static void send_waiting(struct sp *sp, uint32_t core, const struct sp_msg *m)
{
	do {
		sp_flow_flush(sp);
	} while (holding(sp) || deliver(sp, core, m) != 0);
}

/* A pause may end at any look: whose the message is, is asked after the one that decides. */
static void send_msg(struct sp *sp, uint32_t core, const struct sp_msg *m)
{
	int err = holding(sp) ? append(&sp->held, core, m) : deliver(sp, core, m);

	if (err != 0)
		send_waiting(sp, core, m);
}

/* 0, or -EAGAIN: not before something else. */
static int send_now(struct sp *sp, const struct sp_conn *c, const struct sp_msg *m)
{
	uint32_t core;

	if (holding(sp))
		return -EAGAIN;
	core = fp_core_of(sp->fp, &c->tuple);
	return sp->backlog[core].count == 0 ? put(sp, core, m) : -EAGAIN;
}

static void send_flow(struct sp *sp, const struct sp_msg *m)
{
	send_msg(sp, NOBODY, m);
}

static struct sp_msg message(enum sp_msg_type type, const struct sp_conn *c)
{
	struct sp_msg m;

	memset(&m, 0, sizeof(m));
	m.type = type;
	m.id = c->id;
	m.gen = c->gen;
	return m;
}

/* 0 would mean "none": at least one microsecond. */
static uint32_t handshake_rtt_us(uint64_t ns)
{
	uint64_t us = ns / 1000;

	if (us == 0)
		return 1;
	return us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

void sp_flow_install(struct sp *sp, const struct sp_conn *c)
{
	struct sp_msg m = message(SP_FLOW_INSTALL, c);
	struct fp_flow_init *in = &m.u.install;

	in->tuple = c->tuple;
	in->conn = c->id;
	in->gen = c->gen;
	in->iss = c->iss;
	in->irs = c->irs;
	in->snd_wnd = c->snd_wnd;
	in->ts_recent = c->ts_recent;
	in->rcv_adv = c->irs + 1 + c->rcv_wnd;
	in->mss = c->mss;
	in->snd_wscale = c->snd_wscale;
	in->rcv_wscale = c->rcv_wscale;
	in->has_ts = (c->flags & SP_CONN_TS) != 0;
	in->has_sack = (c->flags & SP_CONN_SACK) != 0;
	in->has_ecn = (c->flags & SP_CONN_ECN) != 0;
	in->tos = (uint8_t)c->opts.tos;
	in->neigh = c->neigh;
	in->app = (uint16_t)c->app;
	in->slot = c->slot;
	in->listener = c->listener;
	in->accept_entry = c->accept_entry;
	in->accept_ticket = c->accept_ticket;
	if (!(c->flags & SP_CONN_RETRANS) && sp->now_ns > c->sent_ns)
		in->rtt_us = handshake_rtt_us(sp->now_ns - c->sent_ns);
	in->ts_offset = c->ts_offset;
	in->opts = c->opts;
	in->cc = c->cc_params;
	send_flow(sp, &m);
}

void sp_flow_abort(struct sp *sp, const struct sp_conn *c, int error, int send_rst)
{
	struct sp_msg m = message(SP_FLOW_ABORT, c);

	m.u.abort.error = error;
	m.u.abort.send_rst = (uint32_t)send_rst;
	send_flow(sp, &m);
}

void sp_flow_cc(struct sp *sp, const struct sp_conn *c, const struct cc_params *p)
{
	struct sp_msg m = message(SP_CC_SET, c);

	m.u.cc = *p;
	(void)send_now(sp, c, &m); /* or drop it: feedback brings newer ones */
}

int sp_flow_grant(struct sp *sp, const struct sp_conn *c, uint32_t app, uint32_t slot)
{
	struct sp_msg m = message(SP_FLOW_MOVE, c);

	m.u.grant.app = app;
	m.u.grant.slot = slot;
	return send_now(sp, c, &m);
}

void sp_flow_park(struct sp *sp, const struct sp_conn *c, uint32_t from)
{
	struct sp_msg m = message(SP_FLOW_MOVE, c);

	m.u.grant.slot = FP_SLOT_NONE;
	m.u.grant.from = from;
	send_flow(sp, &m);
}

void sp_flow_finish(struct sp *sp, const struct sp_conn *c)
{
	struct sp_msg m = message(SP_FLOW_FINISH, c);

	send_flow(sp, &m);
}

void sp_flow_opts(struct sp *sp, const struct sp_conn *c, const struct tas_sockopts *o)
{
	struct sp_msg m = message(SP_FLOW_OPTS, c);

	m.u.opts = *o;
	send_flow(sp, &m);
}

void sp_flow_pmtu(struct sp *sp, const struct sp_conn *c, uint16_t mtu, uint32_t quoted_seq)
{
	struct sp_msg m = message(SP_PMTU, c);

	m.u.quoted.seq = quoted_seq;
	m.u.quoted.has_seq = 1;
	m.u.quoted.pmtu = mtu;
	send_flow(sp, &m);
}

void sp_flow_frame(struct sp *sp, const struct sp_conn *c, const uint8_t *frame, uint32_t len,
	uint16_t gso_size)
{
	struct sp_msg m = message(SP_FRAME, c);
	uint8_t *copy = fp_malloc(len);

	if (copy == NULL) {
		sp->cnt.drop_no_frame_memory++; /* as if the network had lost it */
		return;
	}
	memcpy(copy, frame, len);
	m.u.frame.data = (uint64_t)(uintptr_t)copy;
	m.u.frame.len = len;
	m.u.frame.gso_size = gso_size;
	send_flow(sp, &m);
}

void sp_flow_app(struct sp *sp, enum sp_msg_type type, uint32_t app)
{
	struct sp_msg m;
	uint32_t i;

	memset(&m, 0, sizeof(m));
	m.type = type;
	m.id = app;
	for (i = 0; i < sp->ncores; i++)
		send_msg(sp, i, &m);
}

int sp_flow_room(struct sp *sp, const struct tas_tuple *t)
{
	return sp->held.count + sp->backlog[fp_core_of(sp->fp, t)].count < BACKLOG_ROOM;
}

int sp_flow_backlogged(const struct sp *sp)
{
	uint32_t n = sp->held.count, i;

	for (i = 0; i < sp->ncores; i++)
		n += sp->backlog[i].count;
	return n != 0;
}

void sp_flow_flush(struct sp *sp)
{
	uint32_t i;

	if (sp_flow_paused(sp))
		return;
	for (i = 0; i < sp->ncores; i++)
		flush_core(sp, i);
	hand_out(sp);
}

static void free_backlog(struct sp_backlog *b)
{
	for (; b->count != 0; drop_first(b))
		release(&b->msgs[b->head].m);
	free(b->msgs);
	memset(b, 0, sizeof(*b));
}

void sp_flow_free(struct sp *sp)
{
	uint32_t i;

	for (i = 0; i < TAS_MAX_CORES; i++)
		free_backlog(&sp->backlog[i]);
	free_backlog(&sp->held);
}
