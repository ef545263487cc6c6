/*
 * cwnd.c - the congestion window per ACK with the last parameters, and the feedback for the slow
 * path.
 *
 * Owner: the flow's core. RFC 5681, 3465 (bytes, not ACKs), 7661 (validation), 3168 (ECE),
 * include/tas/cc.h.
 */
#include <string.h>
#include "priv.h"

#define BETA_DEFAULT_Q10 512u
#define IW_SEGS		 10u /* RFC 6928, also the restart window after idle */

uint32_t tcp_ssthresh_after_loss(const struct fp_flow *f, const struct tcp_cold *c)
{
	uint32_t beta = c->cc.beta_q10 != 0 ? min_u32(c->cc.beta_q10, 1024) : BETA_DEFAULT_Q10;

	return max_u32((uint32_t)((uint64_t)f->cwnd * beta >> 10), 2u * f->mss);
}

/* A round is what was outstanding when it began. */
static void next_round(struct fp_flow *f, struct tcp_cold *c)
{
	if (f->tx_una < c->round_end)
		return;
	c->round_end = f->tx_nxt;
	c->limited = (uint8_t)(c->limited << 1 & 2);
	c->max_flight = tx_pipe(f, c);
}

/* RFC 7661: a window that was not used is not grown. */
static int validated(const struct fp_flow *f, const struct tcp_cold *c)
{
	if (c->limited != 0)
		return 1;
	return f->cwnd < c->cc.ssthresh && f->cwnd / 2 < c->max_flight;
}

/* `growth` bytes per window acknowledged, in steps of a segment, with a division only at a step. */
static void grow_linear(struct fp_flow *f, struct tcp_cold *c, uint64_t bytes)
{
	uint64_t step = (uint64_t)f->cwnd * f->mss, n;

	c->cwnd_acc += bytes * c->cc.growth;
	if (c->cwnd_acc < step || step == 0)
		return;
	n = c->cwnd_acc / step;
	c->cwnd_acc -= n * step;
	f->cwnd = (uint32_t)min_u64(f->cwnd + n * f->mss, TCP_CWND_MAX);
}

void tcp_cwnd_grow(struct fp_flow *f, struct tcp_cold *c, const struct tcp_delivery *d)
{
	uint64_t bytes = d->bytes;
	uint32_t room;
	if (bytes != 0 && !(f->flags & FP_F_RECOVERY) && validated(f, c)) {
		if (f->cwnd < c->cc.ssthresh) {
			room = min_u32(c->cc.ssthresh, TCP_CWND_MAX) -
			       min_u32(f->cwnd, TCP_CWND_MAX);
			room = (uint32_t)min_u64(room, bytes);
			f->cwnd += room;
			bytes -= room;
		}
		if (bytes != 0)
			grow_linear(f, c, bytes);
	}
	if (d->cum != 0)
		next_round(f, c);
}

/*
 * ECE: slow start ends at once; how much the window shrinks is the slow path's decision from the
 * bytes marked. CWR is sent once per window (RFC 3168 section 6.1.2).
 */
void tcp_cwnd_ece(struct fp_flow *f, struct tcp_cold *c, const struct tcp_delivery *d)
{
	c->fb.marked += d->bytes;
	if (f->tx_una < c->cwr_end)
		return;
	c->cwr_end = f->tx_nxt;
	c->cwr_due = 1;
	if (f->cwnd < c->cc.ssthresh)
		c->cc.ssthresh = f->cwnd;
}

/* RFC 5681 section 4.1: after an idle RTO the old window says nothing about the path. */
void tcp_cwnd_idle(struct fp_flow *f, struct tcp_cold *c, const struct tcp_env *env)
{
	uint32_t restart = IW_SEGS * f->mss;

	if (f->tx_una != f->tx_nxt || env->now_us - c->last_tx_us <= c->rto_us ||
		f->cwnd <= restart)
		return;
	c->cc.ssthresh = max_u32(c->cc.ssthresh, f->cwnd / 4 * 3);
	f->cwnd = restart;
}

void tcp_feedback_note(struct fp_flow *f, struct tcp_cold *c, const struct tcp_delivery *d)
{
	if (d->bytes == 0)
		return;
	c->fb.acked += d->bytes;
	f->flags |= FP_F_FEEDBACK;
}

/* Once per round trip or 100 us, whichever is longer (design.md section 5). */
int tcp_feedback_due(const struct fp_flow *f, const struct tcp_cold *c, const struct tcp_env *env)
{
	return env->now_ns - c->fb_start_ns >= (uint64_t)max_u32(f->srtt_us >> 3, 100) * 1000;
}

void tcp_feedback_take(
	struct fp_flow *f, struct fp_flow_cold *cold, struct tcp_env *env, struct cc_feedback *fb)
{
	struct tcp_cold *c = &cold->tcp;

	memset(fb, 0, sizeof(*fb));
	fb->acked = c->fb.acked;
	fb->marked = c->fb.marked;
	fb->lost = c->fb.lost;
	fb->events = c->fb.events;
	if (c->limited == 0)
		fb->events |= CC_EV_APP_LIMITED;
	fb->srtt_us = f->srtt_us >> 3;
	fb->min_rtt_us = c->min_rtt_us;
	fb->last_rtt_us = c->last_rtt_us;
	fb->cwnd = f->cwnd;
	fb->ssthresh = c->cc.ssthresh;
	fb->inflight = tx_pipe(f, c);
	fb->mss = f->mss;
	fb->rate_kbps = c->rate_us != 0 ? c->rate_bytes * 8000 / c->rate_us : 0;
	if (fb->rate_kbps != 0)
		c->rate_kbps = (uint32_t)min_u64(fb->rate_kbps, UINT32_MAX);
	fb->interval_ns = env->now_ns - c->fb_start_ns;
	fb->now_ns = env->now_ns;
	memset(&c->fb, 0, sizeof(c->fb));
	c->rate_bytes = 0;
	c->rate_us = 0;
	c->fb_start_ns = env->now_ns;
	f->flags &= ~FP_F_FEEDBACK;
}

void tcp_paced_set(struct fp_flow *f, const struct tcp_cold *c)
{
	if ((c->cc.flags & CC_PACED) || c->pace_max_kbps != 0)
		f->flags |= FP_F_PACED;
	else
		f->flags &= ~FP_F_PACED;
}

uint32_t tcp_pace_kbps(const struct fp_flow_cold *c)
{
	return pace_kbps(&c->tcp);
}

void tcp_cc_set(struct fp_flow *f, struct fp_flow_cold *cold, const struct cc_params *p)
{
	struct tcp_cold *c = &cold->tcp;
	int recovering = (f->flags & (FP_F_RECOVERY | FP_F_LOSS)) != 0;
	uint32_t ssthresh = c->cc.ssthresh;

	c->cc = *p;
	/* Recovery ends at ssthresh: an answer from before the loss must not raise it. */
	if (p->ssthresh == 0 || (recovering && p->ssthresh > ssthresh))
		c->cc.ssthresh = ssthresh;
	c->cc.ssthresh = max_u32(c->cc.ssthresh, 2u * f->mss);
	tcp_paced_set(f, c);
	if (p->cwnd != 0 && !recovering)
		f->cwnd = min_u32(max_u32(p->cwnd, f->mss), TCP_CWND_MAX);
}
