/*
 * reno.c - NewReno: one MSS per window in congestion avoidance, half the window on loss or marks.
 *
 * Loss is answered by the fast path with beta; what is left here is the growth and the answer to
 * ECN. Owner: slow path thread (pure functions). RFC 5681 section 3.1, RFC 6582, RFC 3168
 * section 6.1.2.
 */
#include <string.h>
#include "cc/common.h"

#define RENO_BETA_Q10 512u /* RFC 5681 (4): half */

struct reno {
	uint64_t cut_ns; /* last reduction, for one answer a round trip */
	uint32_t mss;
} __attribute__((may_alias));

_Static_assert(sizeof(struct reno) <= sizeof(struct cc_state), "fits the state");

static void reno_init(struct cc_state *s, uint32_t mss, uint64_t now_ns, struct cc_params *out)
{
	struct reno *r = (struct reno *)s;

	(void)now_ns;
	memset(s, 0, sizeof(*s));
	r->mss = cc_mss(mss);
	cc_params_initial(mss, RENO_BETA_Q10, out);
}

static void reno_update(struct cc_state *s, const struct cc_feedback *fb, struct cc_params *out)
{
	struct reno *r = (struct reno *)s;
	struct cc_report rep;

	cc_report_read(fb, r->mss, &rep);
	r->mss = rep.mss;
	memset(out, 0, sizeof(*out));
	out->growth = rep.mss;
	out->beta_q10 = RENO_BETA_Q10;
	if (cc_marks_call(&rep, &r->cut_ns))
		out->cwnd = out->ssthresh = cc_scale(rep.cwnd, RENO_BETA_Q10, 2 * rep.mss);
}

const struct cc_algo cc_reno = {"reno", reno_init, reno_update};
