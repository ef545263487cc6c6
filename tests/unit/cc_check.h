/*
 * cc_check.h - what the congestion control tests share: an ordinary report, and bounds every answer
 * must keep.
 */
#ifndef TEST_CC_CHECK_H
#define TEST_CC_CHECK_H

#include <cstring>
#include <gtest/gtest.h>
extern "C" {
#include "cc/common.h"
}

constexpr uint32_t kMss = 1448;
constexpr uint64_t kMs = 1000000; /* ns */

/* One round trip of `rtt_us` in which a whole window was acknowledged. */
static inline cc_feedback round_trip(
	uint64_t now_ns, uint32_t cwnd, uint32_t ssthresh, uint32_t rtt_us)
{
	cc_feedback fb;

	memset(&fb, 0, sizeof(fb));
	fb.acked = cwnd;
	fb.srtt_us = fb.last_rtt_us = fb.min_rtt_us = rtt_us;
	fb.cwnd = fb.inflight = cwnd;
	fb.ssthresh = ssthresh;
	fb.mss = kMss;
	fb.rate_kbps = rtt_us ? (uint64_t)cwnd * 8000 / rtt_us : 0;
	fb.interval_ns = (uint64_t)rtt_us * 1000;
	fb.now_ns = now_ns;
	return fb;
}

static inline void expect_sane(const cc_params &p)
{
	EXPECT_LE(p.cwnd, CC_CWND_MAX);
	EXPECT_TRUE(p.cwnd == 0 || p.cwnd >= CC_MSS_MIN) << p.cwnd;
	EXPECT_TRUE(p.ssthresh == 0 || p.ssthresh >= CC_MSS_MIN) << p.ssthresh;
	EXPECT_LE(p.growth, CC_CWND_MAX / 2);
	EXPECT_GE(p.beta_q10, 256u);
	EXPECT_LT(p.beta_q10, 1024u);
	if (p.flags & CC_PACED) {
		EXPECT_GT(p.pace_kbps, 0u);
		EXPECT_LE(p.pace_kbps, CC_KBPS_MAX);
	}
	EXPECT_EQ(p.flags & ~(CC_PACED | CC_ECHO_EXACT), 0u);
}

#endif
