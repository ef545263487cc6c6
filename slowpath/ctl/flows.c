/*
 * flows.c - pages of connections: handshakes, open ones with their figures from the fast path,
 * TIME-WAIT.
 *
 * The cursor is (table << 32 | id): first the connections, then the TIME-WAIT records. A page looks
 * at CTL_LOOK_MAX records at most, so that no number of connections holds the slow path up. Owner:
 * slow path thread. States: RFC 9293 section 3.3.2.
 */
#include "ctl/page.h"

#include <errno.h>
#include <string.h>
#include "sp.h"

enum table { TABLE_CONNS, TABLE_TIME_WAIT, TABLE_END };

/* State of an installed connection, from what the fast path knows of the two FINs. */
static enum tas_ctl_state open_state(uint32_t flags)
{
	int in = (flags & FP_F_RX_FIN) != 0, out = (flags & FP_F_TX_SHUT) != 0;
	int acked = (flags & FP_F_TX_FINACK) != 0;

	if (in && !out)
		return TAS_CTL_S_CLOSE_WAIT;
	if (in)
		return acked ? TAS_CTL_S_TIME_WAIT : TAS_CTL_S_LAST_ACK;
	if (out)
		return acked ? TAS_CTL_S_FIN_WAIT_2 : TAS_CTL_S_FIN_WAIT_1;
	return TAS_CTL_S_ESTABLISHED;
}

static enum tas_ctl_state conn_state(const struct sp_conn *c)
{
	switch (c->state) {
	case SP_CONN_SYN_SENT:
		return TAS_CTL_S_SYN_SENT;
	case SP_CONN_SYN_RCVD:
		return TAS_CTL_S_SYN_RCVD;
	case SP_CONN_OPEN:
		return TAS_CTL_S_ESTABLISHED;
	case SP_CONN_ABORTING:
		return TAS_CTL_S_ABORTING;
	default:
		return TAS_CTL_S_UNKNOWN;
	}
}

static void tuple_into(const struct tas_tuple *t, struct tas_ctl_flow *row)
{
	memcpy(row->laddr, t->laddr, 16);
	memcpy(row->raddr, t->raddr, 16);
	row->lport = t->lport;
	row->rport = t->rport;
	row->net = t->net;
}

static void owner_into(struct sp *sp, uint32_t app, struct tas_ctl_flow *row)
{
	const struct sp_app *a = app != FP_APP_NONE ? sp_app_get(sp, app) : NULL;

	row->app = app;
	if (a == NULL)
		return;
	row->pid = a->pid;
	memcpy(row->comm, a->comm, sizeof(row->comm) - 1);
}

static void options_into(const struct sp_conn *c, struct tas_ctl_flow *row)
{
	static const struct {
		uint32_t conn, row;
	} map[] = {
		{SP_CONN_TS, TAS_CTL_F_TS},
		{SP_CONN_SACK, TAS_CTL_F_SACK},
		{SP_CONN_WSCALE, TAS_CTL_F_WSCALE},
		{SP_CONN_ECN, TAS_CTL_F_ECN},
		{SP_CONN_QUEUED, TAS_CTL_F_QUEUED},
	};
	uint32_t i;

	for (i = 0; i < sizeof(map) / sizeof(map[0]); i++) {
		if (c->flags & map[i].conn)
			row->flags |= map[i].row;
	}
}

/* Figures of an installed connection. */
static void figures_into(const struct fp_flow_info *in, struct tas_ctl_flow *row)
{
	row->core = in->core;
	row->slot = in->slot;
	row->flags |= TAS_CTL_F_CORE | (in->flags & FP_F_PACED ? TAS_CTL_F_PACED : 0);
	row->bytes_in = in->bytes_in;
	row->bytes_out = in->bytes_out;
	row->segs_in = in->segs_in;
	row->segs_out = in->segs_out;
	row->retrans = in->retrans;
	row->ooo_in = in->ooo_in;
	row->rx_queue = in->rx_queue;
	row->tx_queue = in->tx_queue;
	row->cwnd = in->cwnd;
	row->ssthresh = in->ssthresh;
	row->inflight = in->inflight;
	row->snd_wnd = in->snd_wnd;
	row->mss = in->mss;
	row->rx_buf = in->rx_buf;
	row->srtt_us = in->srtt_us;
	row->rttvar_us = in->rttvar_us;
	row->rto_us = in->rto_us;
	row->pace_kbps = in->pace_kbps;
}

static void conn_row(struct sp *sp, const struct sp_conn *c, struct tas_ctl_flow *row)
{
	struct fp_flow_info info;

	tuple_into(&c->tuple, row);
	owner_into(sp, c->app, row);
	options_into(c, row);
	row->id = c->id;
	row->gen = c->gen;
	row->slot = c->slot;
	row->listener = c->listener;
	row->mss = c->mss;
	row->snd_wnd = c->snd_wnd;
	row->age_ns = sp->now_ns - c->created_ns;
	row->state = (uint16_t)conn_state(c);
	strncpy(row->cc, cc_algos[c->cc]->name, sizeof(row->cc) - 1);
	if (c->state < SP_CONN_OPEN || fp_flow_info(sp->fp, c->id, &info) != 0)
		return;
	figures_into(&info, row);
	if (c->state == SP_CONN_OPEN)
		row->state = (uint16_t)open_state(info.flags);
}

static void time_wait_row(struct sp *sp, const struct sp_timewait *w, struct tas_ctl_flow *row)
{
	tuple_into(&w->tuple, row);
	owner_into(sp, w->app, row);
	row->state = TAS_CTL_S_TIME_WAIT;
	row->slot = FP_SLOT_NONE;
	row->age_ns = sp->now_ns - w->since_ns;
}

static int matches(const struct tas_ctl_filter *f, const struct tas_ctl_flow *r)
{
	if (f->mask & TAS_CTL_BY_PID && f->pid != r->pid)
		return 0;
	if (f->mask & TAS_CTL_BY_APP && f->app != r->app)
		return 0;
	if (f->mask & TAS_CTL_BY_PORT && f->port != r->lport && f->port != r->rport)
		return 0;
	if (f->mask & TAS_CTL_BY_ADDR && memcmp(f->addr, r->laddr, 16) != 0 &&
		memcmp(f->addr, r->raddr, 16) != 0)
		return 0;
	if (f->mask & TAS_CTL_BY_NET && f->net != r->net)
		return 0;
	return !(f->mask & TAS_CTL_BY_STATE && !(f->states >> r->state & 1));
}

/*
 * One record of `table` at or after *id, within the budget, into `row`. 1 = filled, 0 = none
 * (budget used, or the end: then *id is beyond the capacity).
 */
static int next_row(
	struct sp *sp, enum table table, uint32_t *id, uint32_t budget, struct tas_ctl_flow *row)
{
	if (table == TABLE_CONNS) {
		const struct sp_conn *c = sp_conn_next(sp, id, budget);

		if (c != NULL)
			conn_row(sp, c, row);
		return c != NULL;
	} else {
		const struct sp_timewait *w = sp_tw_next(sp, id, budget);

		if (w != NULL)
			time_wait_row(sp, w, row);
		return w != NULL;
	}
}

static uint32_t capacity(const struct sp *sp, enum table table)
{
	return table == TABLE_CONNS ? sp->conns.conns.capacity : sp->conns.tws.capacity;
}

/* Fills the page from one table; the id to go on with, or one beyond the capacity. */
static uint32_t scan(struct sp *sp, const struct tas_ctl_request *q, struct ctl_page *p,
	enum table table, uint32_t id, uint32_t *budget)
{
	struct tas_ctl_flow *row;

	while (*budget != 0 && id <= capacity(sp, table) && (row = ctl_page_row(p, q)) != NULL) {
		uint32_t from = id;
		int got = next_row(sp, table, &id, *budget, row);

		*budget -= id - from < *budget ? id - from : *budget;
		if (!got)
			break;
		if (matches(&q->filter, row))
			ctl_page_keep(p);
	}
	return id;
}

int ctl_page_flows(struct sp *sp, const struct tas_ctl_request *q, struct ctl_page *p)
{
	uint64_t where = q->cursor >> 32;
	enum table table = where > TABLE_TIME_WAIT ? TABLE_END : (enum table)where;
	uint32_t id = (uint32_t)q->cursor, budget = CTL_LOOK_MAX;

	for (; table != TABLE_END; table++, id = 0) {
		id = scan(sp, q, p, table, id == 0 ? 1 : id, &budget);
		if (id <= capacity(sp, table)) {
			p->head.next = (uint64_t)table << 32 | id;
			return 0;
		}
	}
	return 0;
}

struct sp_conn *ctl_conn_asked(struct sp *sp, const struct tas_ctl_request *q)
{
	struct sp_conn *c = sp_conn_get(sp, q->id);

	return c != NULL && (q->gen == 0 || q->gen == c->gen) ? c : NULL;
}

int ctl_page_flow(struct sp *sp, const struct tas_ctl_request *q, struct ctl_page *p)
{
	const struct sp_conn *c = ctl_conn_asked(sp, q);
	struct tas_ctl_flow *row;

	if (c == NULL)
		return -ENOENT;
	row = ctl_page_row(p, q);
	if (row == NULL)
		return -EMSGSIZE;
	conn_row(sp, c, row);
	ctl_page_keep(p);
	return 0;
}
