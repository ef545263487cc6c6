/*
 * rtt.c - round-trip estimation and the retransmission timeout.
 *
 * Owner: the flow's core. RFC 6298; samples obey Karn's rule (sent.c) or come from timestamps.
 */
#include "priv.h"

/* fp_flow.srtt_us is in eighths, rttvar_us whole: RFC 6298 (2.2), (2.3) with alpha 1/8, beta 1/4.
 */
void tcp_rtt_sample(
	struct fp_flow *f, struct tcp_cold *c, const struct tcp_env *env, uint32_t rtt_us)
{
	uint32_t rtt = min_u32(max_u32(rtt_us, 1), TCP_RTO_MAX_US), srtt, err;

	c->last_rtt_us = rtt;
	if (c->min_rtt_us == 0 || rtt < c->min_rtt_us)
		c->min_rtt_us = rtt;
	if (f->srtt_us == 0) {
		f->srtt_us = rtt * 8;
		c->rttvar_us = rtt / 2;
	} else {
		srtt = f->srtt_us >> 3;
		err = rtt > srtt ? rtt - srtt : srtt - rtt;
		c->rttvar_us = c->rttvar_us - c->rttvar_us / 4 + err / 4;
		f->srtt_us = max_u32(f->srtt_us - srtt + rtt, 8);
	}
	c->rto_us = (f->srtt_us >> 3) + max_u32(4 * c->rttvar_us, 1);
	c->rto_us = min_u32(max_u32(c->rto_us, env->min_rto_us), TCP_RTO_MAX_US);
}

/* RFC 6298 (5.1), (5.3), (5.6): (re)starts the timer with the value in force. */
void tcp_rto_start(struct tcp_cold *c, const struct tcp_env *env)
{
	uint64_t rto = (uint64_t)c->rto_us << min_u32(c->backoff, TCP_BACKOFF_MAX);

	c->rto_at_us = env->now_us + (uint32_t)min_u64(rto, TCP_RTO_MAX_US);
	c->run |= TCP_RUN_RTO;
}

void tcp_rto_stop(struct tcp_cold *c)
{
	c->run &= (uint8_t)~TCP_RUN_RTO;
}
