/*
 * algos.c - the table of congestion control algorithms, and what they share (common.h).
 *
 * Owner: slow path thread (pure functions). RFC 6928 section 2, RFC 3168 section 6.1.2.
 */
#include <string.h>
#include "cc/common.h"

#define ROW(name) &cc_##name,
const struct cc_algo *const cc_algos[] = {TAS_CC_NAMES(ROW) NULL};
#undef ROW

const struct cc_algo *cc_find(const char *name)
{
	const struct cc_algo *const *a;

	for (a = cc_algos; *a != NULL; a++) {
		if (strcmp((*a)->name, name) == 0)
			return *a;
	}
	return NULL;
}

static uint32_t bound(uint64_t v, uint32_t lo, uint32_t hi)
{
	return v < lo ? lo : v > hi ? hi : (uint32_t)v;
}

uint32_t cc_mss(uint32_t mss)
{
	return bound(mss, CC_MSS_MIN, CC_MSS_MAX);
}

uint32_t cc_initial_window(uint32_t mss)
{
	uint32_t m = cc_mss(mss);

	return (uint32_t)cc_min64(10ull * m, cc_max64(2ull * m, 14600));
}

void cc_params_initial(uint32_t mss, uint32_t beta_q10, struct cc_params *out)
{
	memset(out, 0, sizeof(*out));
	out->cwnd = cc_initial_window(mss);
	out->ssthresh = CC_SSTHRESH_INF;
	out->growth = cc_mss(mss);
	out->beta_q10 = beta_q10;
}

void cc_report_read(const struct cc_feedback *fb, uint32_t mss, struct cc_report *r)
{
	r->now_ns = fb->now_ns;
	r->interval_ns = cc_min64(fb->interval_ns, CC_RTT_MAX_US * 1000ull);
	r->acked = cc_min64(fb->acked, CC_CWND_MAX);
	r->marked = cc_min64(fb->marked, r->acked);
	r->events = fb->events;
	r->lost = bound(fb->lost, 0, CC_CWND_MAX);
	r->srtt_us = bound(fb->srtt_us, 0, CC_RTT_MAX_US);
	r->rtt_us = bound(fb->last_rtt_us, 0, CC_RTT_MAX_US);
	r->min_rtt_us = bound(fb->min_rtt_us, 0, CC_RTT_MAX_US);
	r->mss = fb->mss != 0 ? cc_mss(fb->mss) : cc_mss(mss);
	r->cwnd = bound(fb->cwnd, r->mss, CC_CWND_MAX);
	r->ssthresh = fb->ssthresh;
	r->rate_kbps = bound(fb->rate_kbps, 0, CC_KBPS_MAX);
}

int cc_marks_call(const struct cc_report *r, uint64_t *cut_ns)
{
	if (r->events & (CC_EV_RECOVERY | CC_EV_RTO)) {
		*cut_ns = r->now_ns;
		return 0;
	}
	if (r->marked == 0)
		return 0;
	if (*cut_ns != 0 && r->now_ns - *cut_ns < r->srtt_us * 1000ull)
		return 0;
	*cut_ns = r->now_ns;
	return 1;
}

uint32_t cc_scale(uint32_t value, uint32_t q10, uint32_t floor)
{
	return bound((uint64_t)value * q10 / 1024, floor, CC_CWND_MAX);
}
