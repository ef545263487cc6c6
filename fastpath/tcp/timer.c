/*
 * timer.c - every deadline of a flow, and what happens when it passes.
 *
 * The 32-bit us clock serves deadlines up to minutes; keepalive, user timeout and FIN-WAIT-2 count
 * in ns.
 *
 * Owner: the flow's core. RFC 6298 section 5, 9293 3.8.6.1 (persist) and 3.8.4 (keepalive), 5482,
 * 8985.
 */
#include "priv.h"

#define NS_PER_S 1000000000ull

void tcp_keepalive_restart(struct tcp_cold *c, const struct tcp_env *env)
{
	c->heard_ns = env->now_ns;
	c->ka_probes = 0;
}

/* Data waits and nothing is outstanding that an ACK could come for. */
void tcp_persist_arm(const struct fp_flow *f, struct tcp_cold *c, const struct tcp_env *env)
{
	uint64_t wait = (uint64_t)c->rto_us << min_u32(c->backoff, TCP_BACKOFF_MAX);

	if (c->timer == TCP_TIMER_PERSIST || f->tx_una != f->tx_nxt)
		return;
	if (c->backoff == 0)
		c->progress_ns = env->now_ns;
	c->timer = TCP_TIMER_PERSIST;
	c->timer_at_us = env->now_us + (uint32_t)min_u64(wait, TCP_RTO_MAX_US);
}

static uint64_t us_to_ns(const struct tcp_env *env, uint32_t at_us)
{
	int32_t left = (int32_t)(at_us - env->now_us);

	return left > 0 ? env->now_ns + (uint64_t)left * 1000 : env->now_ns;
}

/* Keepalive runs only while nothing is outstanding or waiting: else the other timers watch the
 * peer. */
static int keepalive_idle(const struct fp_flow *f, const struct tcp_cold *c)
{
	return c->run & TCP_RUN_KEEPALIVE && f->tx_una == f->tx_nxt && !tx_pending(f, c);
}

static uint64_t keepalive_at(const struct tcp_cold *c)
{
	return c->ka_probes != 0 ? c->ka_at_ns : c->heard_ns + c->keepidle_s * NS_PER_S;
}

static int user_timeout_runs(const struct fp_flow *f, const struct tcp_cold *c)
{
	return c->run & TCP_RUN_USER && (f->tx_una != f->tx_nxt || c->timer == TCP_TIMER_PERSIST);
}

static uint64_t user_timeout_at(const struct tcp_cold *c)
{
	return c->progress_ns + c->user_timeout_ms * 1000000ull;
}

uint64_t tcp_deadline(
	const struct fp_flow *f, const struct fp_flow_cold *cold, const struct tcp_env *env)
{
	const struct tcp_cold *c = &cold->tcp;
	uint64_t at = UINT64_MAX;

	if (f->flags & FP_F_ACK_LATER)
		at = us_to_ns(env, c->ack_at_us);
	if (c->run & TCP_RUN_RTO)
		at = min_u64(at, us_to_ns(env, c->rto_at_us));
	if (c->timer != TCP_TIMER_NONE)
		at = min_u64(at, us_to_ns(env, c->timer_at_us));
	if ((c->run & ~TCP_RUN_RTO) == 0)
		return at;
	if (c->run & TCP_RUN_CORK)
		at = min_u64(at, us_to_ns(env, c->cork_at_us));
	if (keepalive_idle(f, c))
		at = min_u64(at, keepalive_at(c));
	if (user_timeout_runs(f, c))
		at = min_u64(at, user_timeout_at(c));
	if (c->run & TCP_RUN_FINWAIT)
		at = min_u64(at, c->finwait_ns);
	return at;
}

/* A peer that keeps answering with a closed window is alive, however long (RFC 9293 3.8.6.1). */
static int given_up(const struct fp_flow *f, const struct tcp_cold *c, const struct tcp_env *env)
{
	if (c->backoff < TCP_BACKOFF_MAX)
		return 0;
	return f->snd_wnd != 0 || env->now_ns - c->heard_ns > 2000ull * TCP_RTO_MAX_US;
}

static uint32_t fire_rto(struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env)
{
	tcp_rto_stop(c);
	if (f->tx_una == f->tx_nxt)
		return 0;
	if (given_up(f, c, env))
		return TCP_V_TIMEOUT;
	if (c->backoff < TCP_BACKOFF_MAX)
		c->backoff++;
	c->timer = TCP_TIMER_NONE;
	c->probe = TCP_PROBE_NONE;
	tcp_recovery_rto(f, c, env);
	tcp_rto_start(c, env);
	return TCP_V_TX | TCP_V_FEEDBACK;
}

static uint32_t fire_persist(struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env)
{
	if (f->tx_una != f->tx_nxt || tx_end(f) <= f->tx_nxt)
		return 0;
	/* The window is open but too small for the silly window rule: send what fits (3.8.6.2.1).
	 */
	if (f->snd_wnd != 0) {
		c->push = 1;
		c->backoff = 0; /* the peer has answered the probes */
		return TCP_V_TX;
	}
	if (c->probes_out >= TCP_BACKOFF_MAX ||
		(f->flags & FP_F_RX_CLOSED && c->backoff >= TCP_ORPHAN_MAX))
		return TCP_V_TIMEOUT;
	c->probes_out++;
	if (c->backoff < TCP_BACKOFF_MAX)
		c->backoff++;
	c->probe = tcp_urgent_mode(f, c) ? TCP_PROBE_URGENT : TCP_PROBE_WINDOW;
	tcp_persist_arm(f, c, env);
	env->cnt->zero_window_probes++;
	return TCP_V_TX;
}

static uint32_t fire_timer(struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env)
{
	uint8_t which = c->timer;
	uint32_t events = c->fb.events;

	c->timer = TCP_TIMER_NONE;
	switch (which) {
	case TCP_TIMER_TLP:
		if (f->tx_una == f->tx_nxt)
			return 0;
		c->probe = TCP_PROBE_TLP;
		tcp_rto_start(c, env);
		return TCP_V_TX;
	case TCP_TIMER_REO:
		tcp_rack_detect(f, c, env);
		if (c->lost_bytes != 0 && !(f->flags & (FP_F_RECOVERY | FP_F_LOSS))) {
			tcp_recovery_enter(f, c, env);
			f->cwnd = max_u32(tx_pipe(f, c) + f->mss, f->mss);
		}
		return TCP_V_TX | (events != c->fb.events ? TCP_V_FEEDBACK : 0);
	case TCP_TIMER_PERSIST:
		return fire_persist(f, c, env);
	default:
		return 0;
	}
}

/* A peer that is there all the same is told that it is over, as Linux does: nothing is on its way that would say so. */
static uint32_t fire_keepalive(struct tcp_cold *c, const struct tcp_env *env)
{
	uint64_t silent = env->now_ns - c->heard_ns;

	if (c->ka_probes >= c->ka_count)
		return TCP_V_TIMEOUT | TCP_V_RST_OUT;
	if (c->ka_probes != 0 && c->user_timeout_ms != 0 &&
		silent >= c->user_timeout_ms * 1000000ull)
		return TCP_V_TIMEOUT | TCP_V_RST_OUT;
	c->ka_probes++;
	c->ka_at_ns = env->now_ns + c->keepintvl_s * NS_PER_S;
	c->probe = TCP_PROBE_ALIVE;
	return TCP_V_TX;
}

static uint32_t fire_slow(struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env)
{
	uint32_t v = 0;

	if (c->run & TCP_RUN_CORK && us_due(c->cork_at_us, env->now_us)) {
		c->run &= (uint8_t)~TCP_RUN_CORK;
		c->push = 1;
		v |= TCP_V_TX;
	}
	if (keepalive_idle(f, c) && env->now_ns >= keepalive_at(c))
		v |= fire_keepalive(c, env);
	if (user_timeout_runs(f, c) && env->now_ns >= user_timeout_at(c))
		v |= TCP_V_TIMEOUT;
	if (c->run & TCP_RUN_FINWAIT && env->now_ns >= c->finwait_ns)
		v |= TCP_V_TIMEOUT;
	return v;
}

uint32_t tcp_timer(struct fp_flow *f, struct fp_flow_cold *cold, struct tcp_env *env)
{
	struct tcp_cold *c = &cold->tcp;
	uint32_t v = 0;

	if (f->flags & FP_F_ACK_LATER && us_due(c->ack_at_us, env->now_us)) {
		f->flags = (f->flags & ~FP_F_ACK_LATER) | FP_F_ACK_NOW;
		v |= TCP_V_ACK;
	}
	/* Before the RTO, which a tail loss probe postpones. */
	if (c->timer != TCP_TIMER_NONE && us_due(c->timer_at_us, env->now_us))
		v |= fire_timer(f, c, env);
	if (c->run & TCP_RUN_RTO && us_due(c->rto_at_us, env->now_us))
		v |= fire_rto(f, c, env);
	if ((c->run & ~TCP_RUN_RTO) != 0)
		v |= fire_slow(f, c, env);
	return v;
}
