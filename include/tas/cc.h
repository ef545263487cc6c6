/*
 * cc.h - what the fast path and congestion control tell each other.
 *
 * The fast path gathers feedback and applies parameters per ACK without asking; the slow path turns feedback
 * into new parameters within an RTT or 100 us, whichever is longer (design.md section 5). Loss and RTO act at
 * once in the fast path with the last parameters; slow start never waits. Marks (ECN) are only counted there: the
 * answer to them is the slow path's, at most one a round trip. Parameters computed before the fast path
 * reacted to a loss may arrive after it: therefore 0 = leave, wherever an algorithm has no wish of its own.
 * Owner: none (values in messages).
 */
#ifndef TAS_CC_H
#define TAS_CC_H

#include <stdint.h>

/* The algorithms by name: tas_sockopts.cc is 1 + a place in this list, whose first is the default. */
#define TAS_CC_NAMES(X) X(cubic) X(dctcp) X(reno)
#define TAS_CC_NAME_MAX 16u /* tcp(7): with the 0 at its end */

/* Parameters, slow path -> fast path. */
struct cc_params {
	uint32_t cwnd;	     /* bytes; 0 = leave the fast path's own value */
	uint32_t ssthresh;   /* bytes; slow start below it; 0 = leave the fast path's own */
	uint32_t growth;     /* congestion avoidance: bytes added to cwnd per cwnd acknowledged (Reno: 1 MSS) */
	uint32_t beta_q10;   /* multiplicative decrease on loss, 1024ths (CUBIC 717, Reno 512) */
	uint32_t pace_kbps;  /* rate based: kbit/s, 0 = stopped; meaningful with CC_PACED */
	uint32_t flags;	     /* CC_* */
};

#define CC_PACED      0x1u /* the rate is the limit; cwnd only bounds bursts */
#define CC_ECHO_EXACT 0x2u /* echo CE marks per ACK (RFC 8257 3.2); else until CWR comes (RFC 3168 6.1.3) */

/* Feedback, fast path -> slow path; counts since the last message of this flow. */
struct cc_feedback {
	uint64_t acked;	      /* bytes newly acknowledged */
	uint64_t marked;      /* of these, reported as congestion experienced (ECE) */
	uint32_t lost;	      /* bytes marked lost */
	uint32_t events;      /* CC_EV_* */
	uint32_t srtt_us, min_rtt_us, last_rtt_us; /* us; 0 = none yet */
	uint32_t cwnd, ssthresh, inflight;	   /* bytes, now */
	uint32_t mss;
	uint64_t rate_kbps;   /* delivery rate over the interval (draft-cheng-iccrg-delivery-rate-estimation) */
	uint64_t interval_ns; /* time these counts cover */
	uint64_t now_ns;
};

#define CC_EV_RECOVERY	  0x1u /* fast recovery was entered (cwnd already reduced by beta) */
#define CC_EV_RTO	  0x2u /* a retransmission timeout (cwnd already 1 MSS) */
#define CC_EV_UNDO	  0x4u /* ... which was spurious: cwnd restored */
#define CC_EV_APP_LIMITED 0x8u /* the program did not fill the window */

#endif
