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

static void release(struct sp_msg *m)
{
	if (m->type == SP_FRAME)
		free((void *)(uintptr_t)m->u.frame.data);
}

/* Doubles the ring, oldest message first. 0 or -1. */
static int grow(struct sp_backlog *b)
{
	uint32_t size = b->size == 0 ? BACKLOG_START : b->size * 2, i;
	struct sp_msg *msgs = fp_malloc((size_t)size * sizeof(*msgs));

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

static int append(struct sp_backlog *b, const struct sp_msg *m)
{
	if (b->count == b->size && grow(b) != 0)
		return -1;
	b->msgs[(b->head + b->count) % b->size] = *m;
	b->count++;
	return 0;
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

	while (b->count != 0 && put(sp, core, &b->msgs[b->head]) == 0) {
		b->head = (b->head + 1) % b->size;
		b->count--;
	}
}

/*
 * Memory for a message that must not be lost is memory we cannot do without: wait for the core
 * rather than lose an installed connection. The core never waits for us, so this ends.
 */
static void send_waiting(struct sp *sp, uint32_t core, const struct sp_msg *m)
{
	sp_flow_flush(sp);
	while (sp_flow_paused(sp) || sp->backlog[core].count != 0 || put(sp, core, m) != 0)
		sp_flow_flush(sp);
}

static void send_msg(struct sp *sp, uint32_t core, const struct sp_msg *m)
{
	struct sp_backlog *b = &sp->backlog[core];

	if (!sp_flow_paused(sp) && b->count == 0 && put(sp, core, m) == 0)
		return;
	if (append(b, m) != 0)
		send_waiting(sp, core, m);
}

/* Whose message it is now: the core that has the flow's group, or `core` if it is not about a flow.
 */
static uint32_t home_of(struct sp *sp, uint32_t core, const struct sp_msg *m)
{
	const struct sp_conn *c;

	switch (m->type) {
	case SP_FLOW_INSTALL:
		return fp_core_of(sp->fp, &m->u.install.tuple);
	case SP_FLOW_ABORT:
	case SP_FLOW_OPTS:
	case SP_CC_SET:
	case SP_FRAME:
	case SP_PMTU:
	case SP_FLOW_MOVE:
	case SP_FLOW_FINISH:
		c = sp_conn_get(sp, m->id);
		return c != NULL && c->gen == m->gen ? fp_core_of(sp->fp, &c->tuple) : core;
	default:
		return core;
	}
}

/* What waited for the old owner goes to the new one where the flow has gone, in order. */
static void redirect(struct sp *sp, uint32_t from)
{
	struct sp_backlog *b = &sp->backlog[from];
	uint32_t n = b->count;

	while (n-- > 0) {
		struct sp_msg m = b->msgs[b->head];
		uint32_t to = home_of(sp, from, &m);

		b->head = (b->head + 1) % b->size;
		b->count--;
		while (append(&sp->backlog[to], &m) != 0)
			flush_core(
				sp, to); /* no memory: the core makes room, it never waits for us */
	}
}

void sp_flow_pause(struct sp *sp, uint32_t from)
{
	sp->flow_paused = 1;
	sp->paused_from = from;
}

int sp_flow_paused(struct sp *sp)
{
	if (!sp->flow_paused)
		return 0;
	if (fp_move_poll(sp->fp) == FP_MOVES_HANDING)
		return 1;
	sp->flow_paused = 0;
	redirect(sp, sp->paused_from);
	return 0;
}

static uint32_t core_of(struct sp *sp, const struct sp_conn *c)
{
	sp_flow_paused(sp); /* notices the end of a pause: then the answer is the new core */
	return fp_core_of(sp->fp, &c->tuple);
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
	send_msg(sp, core_of(sp, c), &m);
}

void sp_flow_abort(struct sp *sp, const struct sp_conn *c, int error, int send_rst)
{
	struct sp_msg m = message(SP_FLOW_ABORT, c);

	m.u.abort.error = error;
	m.u.abort.send_rst = (uint32_t)send_rst;
	send_msg(sp, core_of(sp, c), &m);
}

void sp_flow_cc(struct sp *sp, const struct sp_conn *c, const struct cc_params *p)
{
	struct sp_msg m = message(SP_CC_SET, c);
	uint32_t core = core_of(sp, c);

	m.u.cc = *p;
	if (!sp_flow_paused(sp) &&
		sp->backlog[core].count ==
			0) /* else dropped: the next feedback brings newer ones */
		(void)fp_send(sp->fp, core, &m);
}

int sp_flow_grant(struct sp *sp, const struct sp_conn *c, uint32_t app, uint32_t slot)
{
	struct sp_msg m = message(SP_FLOW_MOVE, c);
	uint32_t core = core_of(sp, c);

	m.u.grant.app = app;
	m.u.grant.slot = slot;
	if (sp_flow_paused(sp) || sp->backlog[core].count != 0)
		return -EAGAIN;
	return put(sp, core, &m);
}

void sp_flow_park(struct sp *sp, const struct sp_conn *c, uint32_t from)
{
	struct sp_msg m = message(SP_FLOW_MOVE, c);

	m.u.grant.slot = FP_SLOT_NONE;
	m.u.grant.from = from;
	send_msg(sp, core_of(sp, c), &m);
}

void sp_flow_finish(struct sp *sp, const struct sp_conn *c)
{
	struct sp_msg m = message(SP_FLOW_FINISH, c);

	send_msg(sp, core_of(sp, c), &m);
}

void sp_flow_opts(struct sp *sp, const struct sp_conn *c, const struct tas_sockopts *o)
{
	struct sp_msg m = message(SP_FLOW_OPTS, c);

	m.u.opts = *o;
	send_msg(sp, core_of(sp, c), &m);
}

void sp_flow_pmtu(struct sp *sp, const struct sp_conn *c, uint16_t mtu, uint32_t quoted_seq)
{
	struct sp_msg m = message(SP_PMTU, c);

	m.u.quoted.seq = quoted_seq;
	m.u.quoted.has_seq = 1;
	m.u.quoted.pmtu = mtu;
	send_msg(sp, core_of(sp, c), &m);
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
	send_msg(sp, core_of(sp, c), &m);
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
	return sp->backlog[fp_core_of(sp->fp, t)].count < BACKLOG_ROOM;
}

int sp_flow_backlogged(const struct sp *sp)
{
	uint32_t i;

	for (i = 0; i < sp->ncores; i++) {
		if (sp->backlog[i].count != 0)
			return 1;
	}
	return 0;
}

void sp_flow_flush(struct sp *sp)
{
	uint32_t i;

	if (sp_flow_paused(sp))
		return;
	for (i = 0; i < sp->ncores; i++)
		flush_core(sp, i);
}

void sp_flow_free(struct sp *sp)
{
	uint32_t i, j;

	for (i = 0; i < TAS_MAX_CORES; i++) {
		struct sp_backlog *b = &sp->backlog[i];

		for (j = 0; j < b->count; j++)
			release(&b->msgs[(b->head + j) % b->size]);
		free(b->msgs);
		memset(b, 0, sizeof(*b));
	}
}
