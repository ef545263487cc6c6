/*
 * pacer.c - rate-based flows: when may the next bytes go out? A flow that may not waits in the
 * timing wheel. The rate is turned into ns per byte when it is set, so that no packet costs a
 * division. Owner: the flow's core.
 */
#include "core.h"

#define SHIFT	  20
#define NS_PER_MS 1000000ull
/* A wheel tick plus what a busy round may last: a flow that was woken late catches up this much. */
#define CREDIT_NS 100000ull

void fp_pace_set(struct fp_flow *f, struct fp_flow_cold *c)
{
	uint64_t kbps = tcp_pace_kbps(c), per_ms = kbps / 8, burst;

	if (!(f->flags & FP_F_PACED) || kbps == 0) {
		c->pace_ns_q20 = 0;
		return;
	}
	c->pace_ns_q20 = ((8 * NS_PER_MS) << SHIFT) / kbps;
	burst = per_ms < 2u * f->mss ? 2u * f->mss : per_ms;
	if (burst > c->gso_max)
		burst = c->gso_max;
	c->pace_burst = (uint32_t)(burst - (burst > f->mss ? burst % f->mss : 0));
}

int fp_pace_may(struct fp_flow *f, struct fp_flow_cold *c, uint64_t now_ns)
{
	if (!(f->flags & FP_F_PACED) || now_ns >= c->pace_next_ns)
		return 1;
	f->flags |= FP_F_PACE_WAIT;
	return 0;
}

void fp_pace_sent(struct fp_flow *f, struct fp_flow_cold *c, uint64_t now_ns, uint32_t bytes)
{
	uint64_t from = c->pace_next_ns;

	if (!(f->flags & FP_F_PACED))
		return;
	if (from + CREDIT_NS < now_ns)
		from = now_ns - CREDIT_NS;
	c->pace_next_ns = from + (bytes * c->pace_ns_q20 >> SHIFT);
}
