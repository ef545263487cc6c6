/*
 * window.c - the receive window: what is advertised, when an update is due, and how the buffer
 * grows.
 *
 * The advertised right edge never moves left. With scaling the field cannot express every edge; it
 * is rounded up by less than one unit where rounding down would take something back (RFC 7323
 * section 2.4). While the program does not read this may add up, so the buffer has some slack;
 * beyond it rounding is down.
 *
 * Owner: the flow's core. RFC 9293 sections 3.8.6.2.2 (silly window), 7323 section 2.
 */
#include "priv.h"

#define SLACK 16u /* a 16th of the buffer */

/* Smallest opening worth telling: RFC 9293 3.8.6.2.2, with Fr = 1/2. */
static uint32_t opening_min(const struct fp_flow *f, const struct tcp_cold *c)
{
	uint32_t mss = c->rcv_mss != 0 ? c->rcv_mss : f->mss;

	return min_u32(f->rx_buf / 2, mss);
}

/* The window field of the next segment; moves rx_adv. */
uint16_t tcp_window_advertise(struct fp_flow *f, const struct tcp_cold *c)
{
	uint64_t buf_edge = f->rx_read + f->rx_buf, old = f->rx_nxt + rx_window(f), edge = buf_edge;
	uint64_t unit = 1ull << f->rcv_wscale, slack = unit + f->rx_buf / SLACK, field;

	if (edge < old + opening_min(f, c))
		edge = old;
	field = (edge - f->rx_nxt) >> f->rcv_wscale;
	if (f->rx_nxt + field * unit < old && f->rx_nxt + (field + 1) * unit <= buf_edge + slack)
		field++;
	field = min_u64(field, UINT16_MAX);
	edge = f->rx_nxt + field * unit;
	if (edge > old)
		f->rx_adv = rx_seq(f, edge);
	return (uint16_t)field;
}

/*
 * The program has read: an ACK of its own is worth it when the peer's view is small and at least
 * doubles.
 */
int tcp_window_update_due(const struct fp_flow *f, const struct tcp_cold *c)
{
	uint64_t edge = f->rx_read + f->rx_buf, old = f->rx_nxt + rx_window(f);
	uint64_t known = rx_window(f), want = min_u32(f->rx_buf / 2, 2 * opening_min(f, c));

	if (f->flags & FP_F_RX_FIN || edge < old + want)
		return 0;
	return edge - old >= known;
}

/* Less than the smallest update we send (tcp_window_update_due): nothing else would open it. */
int tcp_rx_full(const struct fp_flow *f, const struct fp_flow_cold *c)
{
	return rx_window(f) < 2 * opening_min(f, &c->tcp);
}

static uint32_t rcv_max(
	const struct fp_flow *f, const struct tcp_cold *c, const struct tcp_env *env)
{
	uint32_t max = min_u32(env->rcvbuf_max, 65535u << f->rcv_wscale);

	return c->rcv_clamp != 0 ? min_u32(max, c->rcv_clamp) : max;
}

/* The program wants to be told of `lowat` bytes at once: twice that must fit, as in Linux. */
void tcp_window_lowat(
	struct fp_flow *f, const struct tcp_cold *c, const struct tcp_env *env, uint32_t lowat)
{
	uint32_t max = rcv_max(f, c, env);

	if (!c->rcv_fixed)
		f->rx_buf = max_u32(f->rx_buf, lowat < max / 2 ? 2 * lowat : max);
}

/*
 * Dynamic right-sizing: a program that consumes more than half of the buffer within a round trip is
 * held back by it, or soon will be (the sender doubles per round trip in slow start).
 */
void tcp_window_tune(struct fp_flow *f, struct tcp_cold *c, const struct tcp_env *env)
{
	uint32_t rtt = f->srtt_us != 0 ? f->srtt_us >> 3 : 1000, max = rcv_max(f, c, env);

	if (c->rcv_fixed || env->now_us - c->drs_at_us < rtt)
		return;
	if (f->rx_read - c->drs_read > f->rx_buf / 2 && f->rx_buf < max)
		f->rx_buf = f->rx_buf < max / 2 ? f->rx_buf * 2 : max;
	c->drs_at_us = env->now_us;
	c->drs_read = f->rx_read;
}
