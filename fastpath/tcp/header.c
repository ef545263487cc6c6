/*
 * header.c - TCP headers of a flow: acknowledgement, window, timestamps, SACK blocks.
 *
 * Owner: the flow's core. RFC 9293 section 3.1, 7323, 2018, 3168 section 6.1.
 */
#include <string.h>
#include "priv.h"

static void fill_common(const struct fp_flow *f, const struct tcp_cold *c,
	const struct tcp_env *env, struct wire_tcp *h)
{
	memset(h, 0, sizeof(*h));
	h->lport = f->lport;
	h->rport = f->rport;
	h->ack = rx_seq(f, f->rx_nxt);
	h->wscale = SEG_NO_WSCALE;
	if (f->flags & FP_F_TS) {
		h->has_ts = 1;
		h->ts_val = ts_now(c, env);
		h->ts_ecr = f->ts_recent;
	}
}

/* SACK blocks that fit beside `len` bytes: the MSS has no room for them (RFC 6691). */
static uint32_t blocks_that_fit(const struct fp_flow *f, uint32_t len)
{
	uint32_t max = f->flags & FP_F_TS ? 3 : 4, spare;

	if (len == 0)
		return max;
	spare = len < f->mss ? f->mss - len : 0;
	return spare < 12 ? 0 : min_u32(max, (spare - 4) / 8);
}

/* What this segment settles. SACK blocks that found no room still want an ACK of their own. */
static void settle(struct fp_flow *f, struct tcp_cold *c, int told)
{
	f->flags &= ~(told ? FP_F_ACK_LATER | FP_F_ACK_NOW : FP_F_ACK_LATER);
	f->ack_segs = 0;
	c->rx_acked = f->rx_nxt;
	if (c->cc.flags & CC_ECHO_EXACT)
		c->ce_seen = 0;
}

void tcp_header(struct fp_flow *f, struct fp_flow_cold *cold, struct tcp_env *env,
	const struct tcp_tx *t, struct wire_tcp *h)
{
	struct tcp_cold *c = &cold->tcp;
	int blocks = f->flags & FP_F_SACK && (c->nooo != 0 || c->dsack.end != 0);
	uint32_t max = blocks ? blocks_that_fit(f, t != NULL ? t->len : 0) : 0;

	fill_common(f, c, env, h);
	h->seq = tx_seq(f, t != NULL ? t->pos : f->tx_nxt);
	h->flags = t != NULL ? t->flags : TCP_ACK;
	h->wnd = tcp_window_advertise(f, c);
	if (f->flags & FP_F_ECN && c->ce_seen)
		h->flags |= TCP_ECE;
	if (c->cwr_due && t != NULL && !t->retrans && t->len != 0) {
		h->flags |= TCP_CWR;
		c->cwr_due = 0;
	}
	if (__builtin_expect(f->flags & FP_F_TX_URG, 0))
		tcp_urgent_header(f, c, h);
	if (max != 0)
		h->nsack = tcp_ooo_blocks(f, c, h->sack, max);
	if (t == NULL)
		c->segs_out++;
	settle(f, c, !blocks || max != 0);
}

void tcp_header_rst(
	struct fp_flow *f, struct fp_flow_cold *cold, struct tcp_env *env, struct wire_tcp *h)
{
	fill_common(f, &cold->tcp, env, h);
	h->seq = tx_seq(f, f->tx_nxt);
	h->flags = TCP_RST | TCP_ACK;
}
