/*
 * rack.c - loss detection by time (RACK) and tail loss probes (TLP).
 *
 * A segment is lost when one sent sufficiently later has been delivered; "sufficiently" is the
 * reordering window, which adapts to D-SACKs. A probe at the tail turns a timeout into a fast
 * recovery.
 *
 * Owner: the flow's core. RFC 8985 sections 6 and 7.
 */
#include "priv.h"

#define REO_MULT_MAX  20u
#define REO_PERSIST   16u     /* recoveries that a widened window lasts: section 6.2 step 4 */
#define TLP_MIN_US    5000u   /* below this, scheduling of the peer looks like loss */
#define TLP_DELACK_US 200000u /* WCDelAckT, section 7.2 */

/* RACK_sent_after of section 6.2. */
static int sent_after(uint32_t t1, uint64_t end1, uint32_t t2, uint64_t end2)
{
	return us_before(t2, t1) || (t1 == t2 && end1 > end2);
}

/* Section 6.2 steps 2 and 3. */
void tcp_rack_delivered(struct fp_flow *f, struct tcp_cold *c, const struct tcp_env *env,
	const struct tcp_sent *n, uint32_t sent_us, uint64_t end, struct tcp_delivery *d)
{
	uint32_t rtt = env->now_us - sent_us;

	/* Against what earlier ACKs delivered: the blocks of one ACK come in any order. */
	if (n->retx == 0 && end < c->fack)
		c->reordered = 1;
	d->fack = max_u64(d->fack, end);
	/* The ACK of a retransmission that is younger than any round trip is the original's. */
	if (n->retx != 0 && rtt < c->min_rtt_us)
		return;
	if (c->rack_valid && !sent_after(n->xmit_us, end, f->rack_us, c->rack_end))
		return;
	c->rack_valid = 1;
	c->rack_rtt_us = rtt;
	c->rack_end = end;
	f->rack_us = n->xmit_us;
}

/* Section 6.2 step 4: at most once a round trip, a D-SACK widens the window. */
void tcp_rack_dsack(struct fp_flow *f, struct tcp_cold *c)
{
	if (c->dsack_round != TCP_POS_NONE && f->tx_una < c->dsack_round)
		return;
	c->dsack_round = f->tx_nxt;
	if (c->reo_mult < REO_MULT_MAX)
		c->reo_mult++;
	c->reo_persist = REO_PERSIST;
}

static uint32_t reo_window(const struct fp_flow *f, const struct tcp_cold *c)
{
	uint32_t wnd;

	if (!c->reordered && (f->flags & (FP_F_RECOVERY | FP_F_LOSS) ||
				     c->sacked_bytes >= TCP_DUPTHRESH * f->mss))
		return 0;
	wnd = c->min_rtt_us / 4 * max_u32(c->reo_mult, 1);
	return min_u32(wnd, f->srtt_us >> 3);
}

/* Section 6.2 step 5: marks what is lost, and sets the timer for what may be soon. */
void tcp_rack_detect(struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env)
{
	uint32_t i, wait = 0, limit;

	if (c->timer == TCP_TIMER_REO)
		c->timer = TCP_TIMER_NONE;
	if (!c->rack_valid || !(f->flags & FP_F_SACK))
		return;
	limit = c->rack_rtt_us + reo_window(f, c);
	for (i = c->sent_head; i != 0; i = sent_at(env, i)->next) {
		struct tcp_sent *n = sent_at(env, i);
		uint32_t age = env->now_us - n->xmit_us;

		if (n->flags != 0 || !sent_after(f->rack_us, c->rack_end, n->xmit_us, sent_end(n)))
			continue;
		if (age >= limit)
			tcp_sent_lose(f, c, n);
		else
			wait = max_u32(wait, limit - age);
	}
	if (wait != 0) {
		c->timer = TCP_TIMER_REO;
		c->timer_at_us = env->now_us + wait;
	}
}

/* Section 7.2: schedules a probe after new data or an ACK that moved SND.UNA. */
void tcp_tlp_arm(struct fp_flow *f, struct tcp_cold *c, const struct tcp_env *env)
{
	uint32_t pto;

	if (c->timer == TCP_TIMER_TLP)
		c->timer = TCP_TIMER_NONE;
	if (!(f->flags & FP_F_SACK) || f->flags & (FP_F_RECOVERY | FP_F_LOSS) || f->srtt_us == 0 ||
		c->timer != TCP_TIMER_NONE || c->sacked_bytes != 0 || c->tlp_end != TCP_POS_NONE ||
		f->tx_una == f->tx_nxt || !(c->run & TCP_RUN_RTO))
		return;
	pto = max_u32(f->srtt_us >> 2, TLP_MIN_US);
	if (f->inflight <= f->mss)
		pto += TLP_DELACK_US;
	c->timer = TCP_TIMER_TLP;
	c->timer_at_us = env->now_us + pto;
	/* A probe in place of the first timeout spares the window of a flow with one segment. */
	if (us_before(c->rto_at_us, c->timer_at_us))
		c->timer_at_us = c->rto_at_us;
}

/* Section 7.4.2: what became of the probe. A loss that it repaired costs what any loss costs. */
void tcp_tlp_ack(struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env,
	const struct tcp_delivery *d, int dup)
{
	uint64_t ack = f->tx_una;

	if (c->tlp_end == TCP_POS_NONE || ack < c->tlp_end)
		return;
	if (!c->tlp_retrans || (d->dsack && d->dsack_end == c->tlp_end) || (dup && !d->dsack)) {
		c->tlp_end = TCP_POS_NONE;
	} else if (ack > c->tlp_end) {
		c->tlp_end = TCP_POS_NONE;
		if (!(f->flags & (FP_F_RECOVERY | FP_F_LOSS)))
			tcp_recovery_enter(f, c, env);
	}
}
