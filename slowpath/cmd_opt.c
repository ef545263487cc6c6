/*
 * cmd_opt.c - messages about a socket's options and figures: SETOPT, INFO. Owner: slow path thread. tcp(7).
 */
#include <errno.h>
#include <string.h>
#include "cc/loop.h"
#include "cmd.h"
#include "conn/internal.h"
#include "flowctl.h"
#include "tas/wire.h"

#define RTO_US	    1000000u /* RFC 6298 2.1 */
#define RTO_MAX_US  120000000u
#define MSS_DEFAULT 536u /* RFC 9293 3.7.1 */

/* The connection of a slot: in a handshake, or installed and bound. */
static struct sp_conn *conn_of_slot(struct sp *sp, const struct sp_app *app, uint32_t slot)
{
	const struct fp_app *fa = sp_app_fp(sp, app);

	if (fa == NULL || slot >= fa->nslots)
		return NULL;
	if (app->slot_conn[slot] != 0)
		return sp_conn_get(sp, app->slot_conn[slot]);
	return sp_conn_get(sp, tas_load(&fa->slot_flow[slot]));
}

/* `words` are TAS_OPT_WORD() bits; 0: all. */
static void merge_opts(struct tas_sockopts *to, const struct tas_sockopts *from, uint64_t words)
{
	uint32_t a[sizeof(*to) / 4], b[sizeof(*to) / 4], i;

	memcpy(a, to, sizeof(a));
	memcpy(b, from, sizeof(b));
	for (i = 0; i < sizeof(a) / 4; i++)
		if (words == 0 || (words >> i & 1))
			a[i] = b[i];
	memcpy(to, a, sizeof(a));
}

static void set_conn_opts(struct sp *sp, struct sp_conn *c, const struct tas_sockopts *opts)
{
	uint32_t cc = sp_conn_algorithm(sp, opts);

	c->opts = *opts;
	if (c->state != SP_CONN_OPEN)
		return;
	sp_flow_opts(sp, c, opts);
	if (cc != c->cc)
		sp_cc_switch(sp, c, cc);
}

/* With what is in force in the place of "default". */
static int read_opts(const struct tas_sockopts *opts, uint32_t cc, struct sp_reply *rp)
{
	rp->m.opts = *opts;
	rp->m.opts.cc = cc + 1;
	return 0;
}

/* What the message names; accept() is done before the core has bound the connection to the slot. */
static struct sp_conn *conn_named(struct sp *sp, const struct sp_request *rq)
{
	struct sp_conn *c = conn_of_slot(sp, rq->app, rq->m.slot);

	if (rq->m.aux == 0 || (c != NULL && c->gen == rq->m.aux))
		return c;
	c = sp_conn_get(sp, rq->m.id);
	if (c == NULL || c->gen != rq->m.aux || !sp_accept_claimed_by(sp, c, rq->app))
		return NULL;
	return c;
}

int sp_cmd_setopt(struct sp *sp, struct sp_request *rq, struct sp_reply *rp)
{
	int listens = (rq->m.flags & TAS_OPT_LISTENER) != 0,
	    read = (rq->m.flags & TAS_OPT_READ) != 0;
	struct sp_listener *l = listens ? sp_cmd_listener(sp, rq) : NULL;
	struct sp_conn *c = listens ? NULL : conn_named(sp, rq);
	struct tas_sockopts opts, now;
	int err = sp_policy_opts(sp, &rq->m.opts, &opts);

	if (err != 0)
		return err;
	if (l == NULL && c == NULL)
		return -ENOENT;
	if (read && l != NULL)
		return read_opts(&l->opts, sp_conn_algorithm(sp, &l->opts), rp);
	if (read)
		return read_opts(&c->opts,
			c->state == SP_CONN_OPEN ? c->cc : sp_conn_algorithm(sp, &c->opts), rp);
	if (l != NULL) {
		merge_opts(&l->opts, &opts, rq->m.len);
		return 0;
	}
	now = c->opts;
	merge_opts(&now, &opts, rq->m.len);
	set_conn_opts(sp, c, &now);
	return 0;
}

/* ---- TCP_INFO ---- */

#define OPT_TS	   1u /* TCPI_OPT_* */
#define OPT_SACK   2u
#define OPT_WSCALE 4u
#define OPT_ECN	   8u

static void handshake_info(const struct sp *sp, const struct sp_conn *c, struct tas_conn_info *o)
{
	uint16_t own = (uint16_t)(sp->net.mtu - WIRE_IP4_HDR - WIRE_TCP_HDR);

	o->rto_us = RTO_US << (c->retries < 7 ? c->retries : 7);
	o->pmtu = sp->net.mtu;
	o->adv_mss = c->opts.maxseg != 0 && c->opts.maxseg < own ? c->opts.maxseg : own;
	o->snd_mss = c->state == SP_CONN_OPEN ? c->mss : o->adv_mss;
	o->rcv_mss = MSS_DEFAULT;
	o->cwnd = 10 * o->snd_mss;
	o->ssthresh = INT32_MAX;
	o->rcv_wnd = o->rcv_buf = c->rcv_wnd;
	o->snd_wnd = c->snd_wnd;
	o->pace_kbps = UINT32_MAX;
	o->retransmits = c->retries;
	o->segs_resent = c->retries;
	o->syn = c->state != SP_CONN_OPEN;
	if (o->syn) {
		o->unacked = 1; /* the SYN */
		o->segs_out = 1u + c->retries;
		return;
	}
	o->options = (uint8_t)((c->flags & SP_CONN_TS ? OPT_TS : 0) |
			       (c->flags & SP_CONN_SACK ? OPT_SACK : 0) |
			       (c->flags & SP_CONN_WSCALE ? OPT_WSCALE : 0) |
			       (c->flags & SP_CONN_ECN ? OPT_ECN : 0));
	o->snd_wscale = c->snd_wscale;
	o->rcv_wscale = c->rcv_wscale;
}

static void flow_info(const struct fp_flow_info *in, struct tas_conn_info *o)
{
	uint64_t rto_us = (uint64_t)in->rto_us << (in->backoff < 16 ? in->backoff : 16);

	o->bytes_sent = in->bytes_out;
	o->bytes_resent = in->bytes_resent;
	o->rto_us = rto_us > RTO_MAX_US ? RTO_MAX_US : (uint32_t)rto_us;
	o->rtt_us = in->srtt_us;
	o->rttvar_us = in->rttvar_us;
	o->min_rtt_us = in->min_rtt_us;
	o->snd_mss = in->mss;
	if (in->rcv_mss != 0)
		o->rcv_mss = in->rcv_mss;
	o->cwnd = in->cwnd;
	o->ssthresh = in->ssthresh;
	o->snd_wnd = in->snd_wnd;
	o->rcv_wnd = in->rcv_wnd;
	o->rcv_buf = in->rx_buf;
	o->unacked = in->unacked;
	o->sacked = in->sacked;
	o->lost = in->lost;
	o->resent = in->resent;
	o->notsent = in->notsent;
	o->delivered = (uint32_t)in->delivered;
	o->segs_resent = (uint32_t)in->retrans;
	o->segs_out = (uint32_t)in->segs_out;
	o->segs_in = (uint32_t)in->segs_in;
	o->data_segs_out = in->data_segs_out;
	o->data_segs_in = in->data_segs_in;
	o->segs_ooo = (uint32_t)in->ooo_in;
	o->pace_kbps = in->flags & FP_F_PACED ? in->pace_kbps : UINT32_MAX;
	o->rate_kbps = in->rate_kbps;
	o->sent_ms = in->sent_ms;
	o->got_ms = in->got_ms;
	o->heard_ms = in->heard_ms;
	o->ca_state = in->ca_state;
	o->retransmits = in->backoff;
	o->probes = in->probes;
	o->app_limited = in->app_limited;
}

int sp_cmd_info(struct sp *sp, struct sp_request *rq, struct sp_reply *rp)
{
	struct sp_conn *c = conn_named(sp, rq);
	struct tas_conn_info out;
	struct fp_flow_info in;

	if (c == NULL)
		return -ENOENT;
	memset(&out, 0, sizeof(out));
	handshake_info(sp, c, &out);
	/* Its core may not have it yet, or not any more: then it has sent and received nothing, or all. */
	if (c->state == SP_CONN_OPEN && fp_flow_info(sp->fp, c->id, &in) == 0 && in.gen == c->gen)
		flow_info(&in, &out);
	memcpy((uint8_t *)&rp->m + TAS_INFO_AT, &out, sizeof(out));
	return 0;
}
