/*
 * priv.h - what the files of fastpath/tcp share: positions and numbers, recovery, timers.
 * Private to fastpath/tcp.
 *
 * Owner: the flow's core.
 */
#ifndef FP_TCP_PRIV_H
#define FP_TCP_PRIV_H

#include "sent.h"
#include "tas/seq.h"

#define TCP_DELACK_US	 40000u		/* design.md section 3: ACKs wait at most 40 ms */
#define TCP_QUICKACKS	 16u		/* ... but not in a connection's first 16 segments */
#define TCP_RTO_MAX_US	 120000000u	/* RFC 6298 (2.5) allows 60 s or more */
#define TCP_RTO_INIT_US	 1000000u	/* RFC 6298 (2.1) */
#define TCP_BACKOFF_MAX	 15u		/* give up: 15 doublings, about 13 minutes at 200 ms */
#define TCP_ORPHAN_MAX	 12u		/* persist doublings for a socket nobody holds */
#define TCP_CORK_US	 200000u	/* tcp(7): TCP_CORK holds at most 200 ms */
#define TCP_FINWAIT_NS	 60000000000ull /* FIN-WAIT-2 of a closed socket */
#define TCP_DUPTHRESH	 3u
#define TCP_BUF_INIT	 65536u
#define TCP_BUF_MIN	 32768u
#define TCP_RCVBUF_MIN	 1152u /* what Linux makes of SO_RCVBUF 0 */
#define TCP_MSS_MIN	 48u
#define TCP_CWND_MAX	 0x40000000u
#define TCP_SSTHRESH_INF 0x7fffffffu

/* tcp_cold.frto: RFC 5682 section 3.1. */
#define FRTO_OFF   0
#define FRTO_FIRST 1 /* the head was retransmitted: the first ACK decides what to do */
#define FRTO_NEW   2 /* new data was sent instead of more retransmissions: the second ACK decides */

static inline uint32_t min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static inline uint32_t max_u32(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static inline uint32_t tx_seq(const struct fp_flow *f, uint64_t pos)
{
	return f->iss1 + (uint32_t)pos;
}

static inline uint32_t rx_seq(const struct fp_flow *f, uint64_t pos)
{
	return f->irs1 + (uint32_t)pos;
}

/* End of what will ever be sent so far: data, then the FIN's position. */
static inline uint64_t tx_end(const struct fp_flow *f)
{
	return f->tx_head + ((f->flags & FP_F_TX_SHUT) != 0);
}

static inline int tx_pending(const struct fp_flow *f, const struct tcp_cold *c)
{
	return tx_end(f) > f->tx_nxt || c->lost_bytes != 0;
}

/* Receive window the peer knows of, bytes beyond RCV.NXT. */
static inline uint32_t rx_window(const struct fp_flow *f)
{
	uint32_t nxt = rx_seq(f, f->rx_nxt);

	return seq_gt(f->rx_adv, nxt) ? f->rx_adv - nxt : 0;
}

/* Bytes in the network as RFC 6675's pipe. */
static inline uint32_t tx_pipe(const struct fp_flow *f, const struct tcp_cold *c)
{
	return f->inflight > c->dup_bytes ? f->inflight - c->dup_bytes : 0;
}

/* Of congestion control and the program the slower one; UINT32_MAX: neither paces. */
static inline uint32_t pace_kbps(const struct tcp_cold *c)
{
	uint32_t kbps = c->cc.flags & CC_PACED ? c->cc.pace_kbps : UINT32_MAX;

	return c->pace_max_kbps != 0 ? min_u32(kbps, c->pace_max_kbps) : kbps;
}

static inline int us_due(uint32_t at, uint32_t now)
{
	return !us_before(now, at);
}

/* Our TSval: milliseconds, from 64 bits so that it does not jump when the us clock wraps. */
static inline uint32_t ts_now(const struct tcp_cold *c, const struct tcp_env *env)
{
	return (uint32_t)(env->now_ns / 1000000) + c->ts_offset;
}

/* rtt.c */
void tcp_rtt_sample(
	struct fp_flow *f, struct tcp_cold *c, const struct tcp_env *env, uint32_t rtt_us);
void tcp_rto_start(struct tcp_cold *c, const struct tcp_env *env);
void tcp_rto_stop(struct tcp_cold *c);

/* ack.c: the acknowledgement of an acceptable segment. Verdict bits; *ok = 0: drop the segment. */
uint32_t tcp_ack_in(
	struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env, const struct seg *s, int *ok);

/* rack.c */
void tcp_rack_dsack(struct fp_flow *f, struct tcp_cold *c);
void tcp_rack_detect(struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env);
void tcp_tlp_ack(struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env,
	const struct tcp_delivery *d, int dup);
void tcp_tlp_arm(struct fp_flow *f, struct tcp_cold *c, const struct tcp_env *env);

/* recovery.c */
void tcp_recovery_enter(struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env);
void tcp_recovery_rto(struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env);
void tcp_recovery_ack(struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env,
	const struct tcp_delivery *d, int dup);

/* cwnd.c */
void tcp_cwnd_grow(struct fp_flow *f, struct tcp_cold *c, const struct tcp_delivery *d);
void tcp_cwnd_ece(struct fp_flow *f, struct tcp_cold *c, const struct tcp_delivery *d);
void tcp_cwnd_idle(struct fp_flow *f, struct tcp_cold *c, const struct tcp_env *env);
void tcp_paced_set(struct fp_flow *f, const struct tcp_cold *c);
uint32_t tcp_ssthresh_after_loss(const struct fp_flow *f, const struct tcp_cold *c);
void tcp_feedback_note(struct fp_flow *f, struct tcp_cold *c, const struct tcp_delivery *d);
int tcp_feedback_due(const struct fp_flow *f, const struct tcp_cold *c, const struct tcp_env *env);

/* window.c */
uint16_t tcp_window_advertise(struct fp_flow *f, const struct tcp_cold *c);
int tcp_window_update_due(const struct fp_flow *f, const struct tcp_cold *c);
void tcp_window_lowat(
	struct fp_flow *f, const struct tcp_cold *c, const struct tcp_env *env, uint32_t lowat);
void tcp_window_tune(struct fp_flow *f, struct tcp_cold *c, const struct tcp_env *env);

/* ooo.c */
int tcp_ooo_fits(const struct tcp_cold *c, uint64_t start, uint64_t end);
void tcp_ooo_trim(struct tcp_cold *c, uint64_t *start, uint64_t *end);
int tcp_ooo_insert(struct tcp_cold *c, uint64_t start, uint64_t end);
uint64_t tcp_ooo_absorb(struct tcp_cold *c, uint64_t nxt);
uint64_t tcp_ooo_highest(const struct tcp_cold *c);
uint8_t tcp_ooo_blocks(
	const struct fp_flow *f, struct tcp_cold *c, struct seg_sack *out, uint32_t max);

/* urgent.c */
uint32_t tcp_urgent_in(struct fp_flow *f, struct tcp_cold *c, const struct seg *s);
void tcp_urgent_passed(struct fp_flow *f, struct tcp_cold *c);
int tcp_urgent_due(struct fp_flow *f, const struct tcp_cold *c);
void tcp_urgent_header(struct fp_flow *f, const struct tcp_cold *c, struct wire_tcp *h);

/* Is urgent data of ours not acknowledged yet? It is neither held back nor sent in large frames. */
static inline int tcp_urgent_mode(struct fp_flow *f, const struct tcp_cold *c)
{
	return __builtin_expect(f->flags & FP_F_TX_URG, 0) && tcp_urgent_due(f, c);
}

/* timer.c */
void tcp_keepalive_restart(struct tcp_cold *c, const struct tcp_env *env);
void tcp_persist_arm(const struct fp_flow *f, struct tcp_cold *c, const struct tcp_env *env);

#endif
