/*
 * cold.h - TCP's exceptional state of a flow: loss recovery, out-of-order intervals, timers, statistics.
 * Owner: the flow's core; written by fastpath/tcp only.
 */
#ifndef FP_TCP_COLD_H
#define FP_TCP_COLD_H

#include <stdint.h>
#include "tas/cc.h"

#define TCP_OOO_MAX 16 /* out-of-order intervals kept per flow */

struct tcp_interval {
	uint64_t start, end; /* stream positions, end exclusive */
};

/* Which deadline timer_at_us stands for. */
enum tcp_timer { TCP_TIMER_NONE, TCP_TIMER_RTO, TCP_TIMER_TLP, TCP_TIMER_REO, TCP_TIMER_PERSIST };

struct tcp_cold {
	/* Timers (32-bit us clock). */
	uint32_t timer_at_us, ack_at_us;
	uint8_t timer; /* enum tcp_timer */
	uint8_t backoff;
	uint8_t nooo;
	uint8_t quickack; /* segments still acknowledged at once (start of a connection) */
	uint32_t rttvar_us, rto_us, min_rtt_us, last_rtt_us;
	/* Congestion. */
	struct cc_params cc;
	struct cc_feedback fb;
	uint32_t cwnd_acc;
	uint32_t pad0;
	/* Out of order. */
	struct tcp_interval ooo[TCP_OOO_MAX];
	uint64_t rx_fin_pos; /* position of a FIN received out of order, ~0 none */
	/* Statistics for tasctl. */
	uint64_t bytes_in, bytes_out, segs_in, segs_out, retrans, ooo_in, dup_in;
	/* Sent map, RACK, PRR, F-RTO, window tuning: see tcp/ */
};

#endif
