/*
 * common.h - what the congestion control algorithms share: bounds on what the fast path reports,
 * the initial window, and at most one answer to ECN marks a round trip.
 *
 * Feedback comes from our own fast path, but its counts are driven by a peer's ACKs: every value is
 * bounded before it is used, so that no report can produce a zero divisor, an endless window or a
 * stopped flow. Owner: slow path thread (pure functions). RFC 6928 (initial window), RFC 3168
 * section 6.1.2 (reaction to ECE).
 */
#ifndef SP_CC_COMMON_H
#define SP_CC_COMMON_H

#include "cc/cc.h"

#define CC_MSS_MIN                                                                                 \
	64u /* below: a lie or a link that cannot carry TCP (RFC 9293: 536 is the default) */
#define CC_MSS_MAX 65535u
#define CC_CWND_MAX                                                                                \
	(1u << 30) /* the largest window TCP can express: 65535 << 14 (RFC 7323 2.3)               \
		    */
#define CC_RTT_MAX_US	60000000u   /* RFC 6298 (2.4): an RTO bound of 60 s */
#define CC_KBPS_MAX	400000000u  /* 400 Gbit/s */
#define CC_SSTHRESH_INF 0x7fffffffu /* slow start until something happens */

/* Feedback with every field in the range the algorithms may rely on. */
struct cc_report {
	uint64_t now_ns, interval_ns;
	uint64_t acked, marked; /* marked <= acked */
	uint32_t events;	/* CC_EV_* */
	uint32_t lost;
	uint32_t srtt_us, rtt_us, min_rtt_us; /* 0 = none yet */
	uint32_t cwnd, ssthresh, mss;	      /* cwnd >= mss > 0 */
	uint32_t rate_kbps;
};

/* Bounds one report. `mss` is used when the report's own is out of range. */
void cc_report_read(const struct cc_feedback *fb, uint32_t mss, struct cc_report *r);

/* MSS within bounds. */
uint32_t cc_mss(uint32_t mss);

/* Initial window, RFC 6928 section 2: min(10 MSS, max(2 MSS, 14600)). */
uint32_t cc_initial_window(uint32_t mss);

/* Parameters of a connection that has seen nothing yet. */
void cc_params_initial(uint32_t mss, uint32_t beta_q10, struct cc_params *out);

/*
 * True when these marks call for a reduction: some bytes were marked, the fast path has not just
 * reduced for loss, and the last reduction (*cut_ns, 0 = never) is at least a round trip ago. Sets
 * *cut_ns when true.
 */
int cc_marks_call(const struct cc_report *r, uint64_t *cut_ns);

/* value * q10 / 1024, not below `floor`. */
uint32_t cc_scale(uint32_t value, uint32_t q10, uint32_t floor);

static inline uint64_t cc_min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t cc_max64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

#endif
