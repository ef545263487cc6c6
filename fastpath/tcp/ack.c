/*
 * ack.c - what an acknowledgement does: validity, window, sent map, round trip, recovery,
 * congestion window.
 *
 * Owner: the flow's core. RFC 9293 3.10.7.4 (fifth check), 5961 section 5, 2018, 2883, 7323
 * section 4.
 */
#include <string.h>
#include "priv.h"

static void window_update(struct fp_flow *f, struct tcp_cold *c, const struct seg *s, int advances)
{
	uint32_t wnd = (uint32_t)s->wnd << f->snd_wscale;

	/* Of segments with equal numbers the order is unknown: the larger window holds. */
	if (!advances && seq_leq(s->seq, c->snd_wl1) && (s->seq != c->snd_wl1 || wnd <= f->snd_wnd))
		return;
	c->snd_wl1 = s->seq;
	f->snd_wnd = wnd;
	c->max_snd_wnd = max_u32(c->max_snd_wnd, wnd);
}

/* RFC 2883 section 4: the first block is a duplicate if it is below the ACK or inside the second.
 */
static int is_dsack(const struct seg *s)
{
	const struct seg_sack *b = s->sack;

	if (seq_leq(b[0].right, s->ack))
		return 1;
	return s->nsack > 1 && seq_geq(b[0].left, b[1].left) && seq_leq(b[0].right, b[1].right);
}

/* After SND.UNA moved. Blocks that are not inside what is outstanding are ignored. */
static void sack_in(struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env, const struct seg *s,
	struct tcp_delivery *d)
{
	uint32_t base = tx_seq(f, f->tx_una), i = 0;
	uint64_t out = f->tx_nxt - f->tx_una;

	if (is_dsack(s)) {
		d->dsack = 1;
		d->dsack_end = seq_to_pos(s->sack[0].right, base, f->tx_una);
		tcp_rack_dsack(f, c);
		i = 1;
	}
	for (; i < s->nsack && i < SEG_MAX_SACK; i++) {
		uint32_t l = s->sack[i].left - base, r = s->sack[i].right - base;

		if (l < r && r <= out)
			tcp_sent_sack(f, c, env, f->tx_una + l, f->tx_una + r, d);
	}
}

/*
 * With only retransmitted data acknowledged, the echoed timestamp still tells (RFC 7323 section
 * 4.1), if it is of the last copy. An older echo is either that of a late original or what a
 * receiver repeats for a duplicate when its ACK was lost; samples of the second kind would make the
 * timeout feed on itself.
 */
static uint32_t rtt_from_ts(const struct fp_flow *f, const struct tcp_cold *c,
	const struct tcp_env *env, const struct seg *s, struct tcp_delivery *d)
{
	uint32_t ms;

	if (!(f->flags & FP_F_TS) || !s->has_ts || s->ts_ecr == 0)
		return 0;
	ms = ts_now(c, env) - s->ts_ecr;
	d->ambiguous = d->again && ms > (env->now_us - d->again_us) / 1000 + 1;
	return ms < TCP_RTO_MAX_US / 1000 && !d->ambiguous ? ms * 1000 : 0;
}

/* draft-cheng-iccrg-delivery-rate-estimation section 3.3; samples are compared without dividing. */
static void rate_sample(struct tcp_cold *c, const struct tcp_env *env, const struct tcp_delivery *d)
{
	uint64_t us = max_u32(env->now_us - d->prior_us, d->send_us);
	uint64_t bytes = c->delivered - d->prior;

	if (!d->any || us == 0 || us < c->min_rtt_us)
		return;
	if (c->rate_us == 0 || bytes * c->rate_us > c->rate_bytes * us) {
		c->rate_bytes = bytes;
		c->rate_us = us;
	}
}

static void measure(struct fp_flow *f, struct tcp_cold *c, const struct tcp_env *env,
	const struct seg *s, struct tcp_delivery *d)
{
	uint32_t rtt = d->rtt_us;

	if (d->bytes == 0)
		return;
	c->delivered += d->bytes;
	c->delivered_us = env->now_us;
	c->fack = max_u64(c->fack, d->fack);
	if (rtt == 0 && d->cum != 0)
		rtt = rtt_from_ts(f, c, env, s, d);
	if (rtt != 0)
		tcp_rtt_sample(f, c, env, rtt);
	rate_sample(c, env, d);
}

/* RFC 6298 (5.2), (5.3); RFC 8985 section 7.2. Without a clear sample the back-off stays (Karn). */
static void restart_timers(struct fp_flow *f, struct tcp_cold *c, const struct tcp_env *env,
	const struct tcp_delivery *d)
{
	if (d->cum != 0) {
		if (!d->ambiguous)
			c->backoff = 0;
		c->progress_ns = env->now_ns;
		c->blind_pos = TCP_POS_NONE;
		if (f->tx_una < f->tx_nxt)
			tcp_rto_start(c, env);
		else
			tcp_rto_stop(c);
	}
	if (f->tx_una == f->tx_nxt && c->timer != TCP_TIMER_PERSIST)
		c->timer = TCP_TIMER_NONE;
	if (d->bytes == 0)
		return;
	if (c->probe == TCP_PROBE_TLP)
		c->probe = TCP_PROBE_NONE;
	tcp_tlp_arm(f, c, env);
}

/* Room for two congestion windows: one in flight, one for the program to fill meanwhile. */
static void tune_send_buffer(struct fp_flow *f, struct tcp_cold *c, const struct tcp_env *env)
{
	uint32_t want = min_u32(f->cwnd, TCP_CWND_MAX) * 2;

	if (c->snd_fixed || want <= c->snd_buf)
		return;
	want = (want + 0x3fffu) & ~0x3fffu;
	c->snd_buf = max_u32(c->snd_buf, min_u32(want, env->sndbuf_max));
}

static uint32_t news(struct fp_flow *f, const struct tcp_delivery *d)
{
	uint32_t v = 0;

	if (d->cum != 0)
		v |= TCP_V_ACKED;
	if (f->flags & FP_F_TX_SHUT && f->tx_una > f->tx_head && !(f->flags & FP_F_TX_FINACK)) {
		f->flags |= FP_F_TX_FINACK;
		v |= TCP_V_TX_FIN;
	}
	return v;
}

/* Something is outstanding, or was probed and may be reported twice. */
static uint32_t ack_outstanding(struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env,
	const struct seg *s, uint32_t advance, int dup)
{
	struct tcp_delivery d;
	uint32_t events = c->fb.events, v;

	memset(&d, 0, sizeof(d));
	d.cum = advance;
	if (advance != 0) {
		f->tx_una += advance;
		tcp_sent_ack(f, c, env, f->tx_una, &d);
	}
	if (s->nsack != 0 && f->flags & FP_F_SACK)
		sack_in(f, c, env, s, &d);
	measure(f, c, env, s, &d);
	tcp_tlp_ack(f, c, env, &d, dup);
	if (c->sacked_bytes != 0 || c->lost_bytes != 0 || c->timer == TCP_TIMER_REO ||
		f->flags & (FP_F_RECOVERY | FP_F_LOSS))
		tcp_rack_detect(f, c, env);
	if (s->flags & TCP_ECE && f->flags & FP_F_ECN)
		tcp_cwnd_ece(f, c, &d);
	tcp_recovery_ack(f, c, env, &d, dup);
	tcp_cwnd_grow(f, c, &d);
	tcp_feedback_note(f, c, &d);
	restart_timers(f, c, env, &d);
	tune_send_buffer(f, c, env);
	v = news(f, &d);
	if ((d.bytes != 0 && tcp_feedback_due(f, c, env)) || c->fb.events != events)
		v |= TCP_V_FEEDBACK;
	return v;
}

/* RFC 5961 section 5.2: SND.UNA - MAX.SND.WND <= SEG.ACK <= SND.NXT. */
static int ack_acceptable(const struct fp_flow *f, const struct tcp_cold *c, const struct seg *s)
{
	uint32_t off = s->ack - tx_seq(f, f->tx_una);

	if ((int32_t)off < 0)
		return 0u - off <= c->max_snd_wnd;
	return off <= f->tx_nxt - f->tx_una;
}

uint32_t tcp_ack_in(
	struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env, const struct seg *s, int *ok)
{
	uint32_t off = s->ack - tx_seq(f, f->tx_una), wnd = f->snd_wnd, v = 0;
	int outstanding = f->tx_una < f->tx_nxt || c->tlp_end != TCP_POS_NONE, dup;

	*ok = ack_acceptable(f, c, s);
	if (!*ok || (int32_t)off < 0)
		return 0;
	window_update(f, c, s, off != 0);
	/* RFC 5681 section 2. */
	dup = outstanding && off == 0 && s->len == 0 && !(s->flags & TCP_FIN) && f->snd_wnd == wnd;
	if (outstanding)
		v = ack_outstanding(f, c, env, s, off, dup);
	c->probes_out = 0;
	if (tx_pending(f, c) && (outstanding || f->snd_wnd != wnd))
		v |= TCP_V_TX;
	return v;
}
