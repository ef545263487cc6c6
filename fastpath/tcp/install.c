/*
 * install.c - a flow's beginning, end, and changes from outside: options, path MTU, buffers.
 *
 * Owner: the flow's core. RFC 9293 3.7.1 (MSS), 8961/6298 (initial RTO), 1191 section 6.4, 1122
 * 4.2.3.6.
 */
#include "priv.h"

#define KEEPIDLE_S  7200u /* RFC 1122 4.2.3.6: no less than two hours unless asked */
#define KEEPINTVL_S 75u
#define KEEPCNT	    9u
#define CWND_INIT   10u /* RFC 6928, should the slow path have no opinion */

static void install_identity(struct fp_flow *f, const struct fp_flow_init *in)
{
	f->laddr_lo = tas_addr_v4(in->tuple.laddr);
	f->raddr_lo = tas_addr_v4(in->tuple.raddr);
	f->lport = in->tuple.lport;
	f->rport = in->tuple.rport;
	f->irs1 = in->irs + 1;
	f->iss1 = in->iss + 1;
	f->rx_adv = seq_geq(in->rcv_adv, f->irs1) ? in->rcv_adv : f->irs1;
	f->snd_wscale = in->snd_wscale <= 14 ? in->snd_wscale : 14;
	f->rcv_wscale = in->rcv_wscale <= 14 ? in->rcv_wscale : 14;
	f->snd_wnd = in->snd_wnd;
	f->mss = (uint16_t)max_u32(in->mss, TCP_MSS_MIN);
	f->ts_recent = in->ts_recent;
	if (in->has_ts)
		f->flags |= FP_F_TS;
	if (in->has_sack)
		f->flags |= FP_F_SACK;
	if (in->has_ecn)
		f->flags |= FP_F_ECN;
}

static void install_cold(
	struct tcp_cold *c, const struct fp_flow_init *in, const struct tcp_env *env)
{
	c->heard_ns = env->now_ns;
	c->progress_ns = env->now_ns;
	c->fb_start_ns = env->now_ns;
	c->ts_recent_age = (uint32_t)(env->now_ns >> 30);
	c->ts_offset = in->ts_offset;
	c->snd_wl1 = in->irs;
	c->max_snd_wnd = in->snd_wnd;
	c->quickack = TCP_QUICKACKS;
	c->rto_us = TCP_RTO_INIT_US;
	c->last_tx_us = env->now_us;
	c->sent_age = c->got_age = (uint32_t)(env->now_ns >> TCP_AGE_SHIFT);
	c->delivered_us = env->now_us;
	c->drs_at_us = env->now_us;
	c->rx_fin_pos = TCP_POS_NONE;
	c->tlp_end = TCP_POS_NONE;
	c->blind_pos = TCP_POS_NONE;
	c->dsack_round = TCP_POS_NONE;
	c->reo_mult = 1;
}

void tcp_install(struct fp_flow *f, struct fp_flow_cold *cold, const struct fp_flow_init *in,
	const struct tcp_env *env)
{
	struct tcp_cold *c = &cold->tcp;

	install_identity(f, in);
	install_cold(c, in, env);
	f->cwnd = CWND_INIT * f->mss;
	c->cc.ssthresh = TCP_SSTHRESH_INF;
	tcp_cc_set(f, cold, &in->cc);
	f->rx_buf = min_u32(TCP_BUF_INIT, max_u32(env->rcvbuf_max, TCP_BUF_MIN));
	c->snd_buf = min_u32(TCP_BUF_INIT, max_u32(env->sndbuf_max, TCP_BUF_MIN));
	tcp_opts_set(f, cold, env, &in->opts);
	if (in->rtt_us != 0)
		tcp_rtt_sample(f, c, env, in->rtt_us);
}

void tcp_release(struct fp_flow *f, struct fp_flow_cold *cold, struct tcp_env *env)
{
	tcp_sent_clear(f, &cold->tcp, env);
	tcp_rto_stop(&cold->tcp);
	cold->tcp.timer = TCP_TIMER_NONE;
}

static void set_buffers(struct fp_flow *f, struct tcp_cold *c, const struct tcp_env *env,
	const struct tas_sockopts *o)
{
	if (o->rcvbuf != 0) {
		f->rx_buf = min_u32(
			max_u32(o->rcvbuf, TCP_RCVBUF_MIN), max_u32(env->rcvbuf_max, TCP_BUF_MIN));
		c->rcv_fixed = 1;
	}
	c->rcv_clamp = o->window_clamp != 0 ? max_u32(o->window_clamp, TCP_RCVBUF_MIN) : 0;
	if (c->rcv_clamp != 0)
		f->rx_buf = min_u32(f->rx_buf, c->rcv_clamp);
	if (o->rcvlowat > 1)
		tcp_window_lowat(f, c, env, o->rcvlowat);
	if (o->sndbuf != 0) {
		/* What the program was promised stays promised. */
		c->tx_limit_min = max_u64(c->tx_limit_min, f->tx_una + c->snd_buf);
		c->snd_buf = min_u32(
			max_u32(o->sndbuf, TCP_BUF_MIN), max_u32(env->sndbuf_max, TCP_BUF_MIN));
		c->snd_fixed = 1;
	}
}

static void set_run(struct tcp_cold *c, uint8_t bit, int on)
{
	c->run = (uint8_t)(on ? c->run | bit : c->run & ~bit);
}

void tcp_opts_set(struct fp_flow *f, struct fp_flow_cold *cold, const struct tcp_env *env,
	const struct tas_sockopts *o)
{
	struct tcp_cold *c = &cold->tcp;
	int was = c->run & TCP_RUN_KEEPALIVE;

	set_buffers(f, c, env, o);
	c->keepidle_s = (uint16_t)(o->keepidle_s != 0 ? o->keepidle_s : KEEPIDLE_S);
	c->keepintvl_s = (uint16_t)(o->keepintvl_s != 0 ? o->keepintvl_s : KEEPINTVL_S);
	c->ka_count = (uint8_t)min_u32(o->keepcnt != 0 ? o->keepcnt : KEEPCNT, UINT8_MAX);
	c->user_timeout_ms = o->user_timeout_ms;
	c->linger2_s = (uint8_t)min_u32(o->linger2_s, TCP_NO_LINGER2);
	c->notsent_lowat = o->notsent_lowat;
	c->pace_max_kbps = o->pace_kbps;
	tcp_paced_set(f, c);
	set_run(c, TCP_RUN_KEEPALIVE, o->keepalive != 0);
	set_run(c, TCP_RUN_USER, o->user_timeout_ms != 0);
	if (o->keepalive != 0 && !was)
		tcp_keepalive_restart(c, env);
	if (o->maxseg >= TCP_MSS_MIN && o->maxseg < f->mss)
		f->mss = (uint16_t)o->maxseg;
}

/*
 * A smaller path MTU: what was sent in larger segments is gone and is sent again at once, which is
 * no sign of congestion (RFC 1191 section 6.4). A larger one is simply used.
 */
void tcp_mss_set(struct fp_flow *f, struct fp_flow_cold *cold, struct tcp_env *env, uint16_t mss)
{
	struct tcp_cold *c = &cold->tcp;
	uint16_t old = f->mss;

	f->mss = (uint16_t)max_u32(mss, TCP_MSS_MIN);
	f->cwnd = max_u32(f->cwnd, f->mss);
	if (f->mss >= old || f->tx_una == f->tx_nxt)
		return;
	tcp_sent_lose_all(f, c, env, 0);
	f->flags = (f->flags & ~FP_F_RECOVERY) | FP_F_LOSS;
	c->recover = f->tx_nxt;
	c->frto = FRTO_OFF;
	c->timer = TCP_TIMER_NONE;
	c->probe = TCP_PROBE_NONE;
}

uint64_t tcp_tx_limit(
	const struct fp_flow *f, const struct fp_flow_cold *cold, const struct tcp_env *env)
{
	const struct tcp_cold *c = &cold->tcp;
	uint64_t limit = f->tx_una + c->snd_buf;

	(void)env;
	if (c->notsent_lowat != 0)
		limit = min_u64(limit, min_u64(f->tx_nxt, f->tx_head) + c->notsent_lowat);
	/* What the program was promised stays promised. */
	return max_u64(limit, c->tx_limit_min);
}

/* As Linux: a third of the buffer is free, and less than half of TCP_NOTSENT_LOWAT waits to be sent. */
int tcp_tx_space(const struct fp_flow *f, const struct fp_flow_cold *cold)
{
	const struct tcp_cold *c = &cold->tcp;
	uint64_t queued = f->tx_head - min_u64(f->tx_una, f->tx_head);
	uint64_t unsent = f->tx_head - min_u64(f->tx_nxt, f->tx_head);

	if (c->notsent_lowat == 0)
		return 3 * (cold->tx_limit - f->tx_head) >= cold->tx_limit - (f->tx_head - queued);
	return 2 * unsent < c->notsent_lowat && 3 * queued <= 2ull * c->snd_buf;
}

uint32_t tcp_quickack(struct fp_flow *f, struct fp_flow_cold *cold, int on)
{
	cold->tcp.quickack = on ? TCP_QUICKACKS : 0;
	if (!on || !(f->flags & FP_F_ACK_LATER))
		return 0;
	f->flags = (f->flags & ~FP_F_ACK_LATER) | FP_F_ACK_NOW;
	return TCP_V_ACK;
}
