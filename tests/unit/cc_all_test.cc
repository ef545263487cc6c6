/*
 * All congestion control algorithms: the table, NewReno's answers, and reports that no honest fast
 * path would make.
 */
#include <cstdlib>
#include <random>
#include "cc_check.h"
#include "seed.h"

namespace
{

TEST(CcTable, Cubic_is_the_default_and_names_are_found)
{
	EXPECT_EQ(cc_algos[0], &cc_cubic);
	for (int i = 0; cc_algos[i] != nullptr; i++)
		EXPECT_EQ(cc_find(cc_algos[i]->name), cc_algos[i]);
	EXPECT_EQ(cc_find("dctcp"), &cc_dctcp);
	EXPECT_EQ(cc_find("newrenoo"), nullptr);
	EXPECT_EQ(cc_find(""), nullptr);
}

TEST(Reno, Grows_one_segment_a_window_and_leaves_the_window_alone)
{
	cc_state st;
	cc_params p;

	cc_reno.init(&st, kMss, 1, &p);
	EXPECT_EQ(p.cwnd, 14480u);
	cc_feedback fb = round_trip(kMs, 50 * kMss, 40 * kMss, 1000);
	fb.events = CC_EV_RECOVERY;
	cc_reno.update(&st, &fb, &p);
	EXPECT_EQ(p.growth, kMss);
	EXPECT_EQ(p.beta_q10, 512u);
	EXPECT_EQ(p.cwnd, 0u);
	EXPECT_EQ(p.ssthresh, 0u);
}

TEST(Reno, Marks_halve_once_a_round_trip)
{
	cc_state st;
	cc_params p;

	cc_reno.init(&st, kMss, 1, &p);
	cc_feedback fb = round_trip(10 * kMs, 50 * kMss, 40 * kMss, 1000);
	fb.marked = kMss;
	cc_reno.update(&st, &fb, &p);
	EXPECT_EQ(p.cwnd, 25 * kMss);
	EXPECT_EQ(p.ssthresh, 25 * kMss);
	fb.now_ns += 500000;
	cc_reno.update(&st, &fb, &p);
	EXPECT_EQ(p.cwnd, 0u);
	fb.now_ns += 600000;
	cc_reno.update(&st, &fb, &p);
	EXPECT_EQ(p.cwnd, 25 * kMss);
}

TEST(Reno, Marks_never_push_below_two_segments)
{
	cc_state st;
	cc_params p;

	cc_reno.init(&st, kMss, 1, &p);
	cc_feedback fb = round_trip(10 * kMs, kMss, kMss, 1000);
	fb.marked = kMss;
	cc_reno.update(&st, &fb, &p);
	EXPECT_EQ(p.cwnd, 2 * kMss);
}

TEST(Reno, A_report_without_mss_means_the_last_one)
{
	cc_state st;
	cc_params p;

	cc_reno.init(&st, kMss, 1, &p);
	cc_feedback fb = round_trip(kMs, 50 * kMss, 40 * kMss, 1000);
	fb.mss = 0;
	cc_reno.update(&st, &fb, &p);
	EXPECT_EQ(p.growth, kMss);
	fb.mss = 536; /* the path got narrower */
	cc_reno.update(&st, &fb, &p);
	EXPECT_EQ(p.growth, 536u);
}

class Hostile : public testing::TestWithParam<const cc_algo *>
{
};

TEST_P(Hostile, Bytes_all_alike_keep_answers_in_bounds)
{
	for (int fill : {0x00, 0xff, 0x80, 0x7f, 0x01}) {
		cc_state st;
		cc_params p;
		cc_feedback fb;

		GetParam()->init(&st, kMss, 1, &p);
		memset(&fb, fill, sizeof(fb));
		for (int i = 0; i < 100; i++) {
			GetParam()->update(&st, &fb, &p);
			expect_sane(p);
		}
		cc_feedback good = round_trip(900000 * kMs, 20 * kMss, 10 * kMss, 1000);
		for (int i = 0; i < 10; i++) { /* and it works afterwards */
			good.now_ns += 3 * kMs;
			GetParam()->update(&st, &good, &p);
			expect_sane(p);
		}
		EXPECT_GT(p.growth, 0u);
	}
}

TEST_P(Hostile, Mss_out_of_range_is_bounded)
{
	for (uint32_t mss : {0u, 1u, 63u, 65536u, 0xffffffffu}) {
		cc_state st;
		cc_params p;

		GetParam()->init(&st, mss, 1, &p);
		expect_sane(p);
		EXPECT_GE(p.cwnd, 2 * CC_MSS_MIN);
		EXPECT_LE(p.cwnd, 2 * CC_MSS_MAX);
	}
}

TEST_P(Hostile, Random_extremes_keep_answers_in_bounds)
{
	std::mt19937_64 rnd(test_seed());
	cc_state st;
	cc_params p;

	SCOPED_TRACE(test_seed_text());
	auto value = [&] { return rnd() >> (rnd() % 64); };
	GetParam()->init(&st, kMss, 1, &p);
	for (int i = 0; i < 200000 && !testing::Test::HasFailure(); i++) {
		cc_feedback fb;
		fb.acked = value();
		fb.marked = value();
		fb.lost = (uint32_t)value();
		fb.events = rnd() % 4 ? 0 : (uint32_t)rnd();
		fb.srtt_us = (uint32_t)value();
		fb.min_rtt_us = (uint32_t)value();
		fb.last_rtt_us = (uint32_t)value();
		fb.cwnd = (uint32_t)value();
		fb.ssthresh = (uint32_t)value();
		fb.inflight = (uint32_t)value();
		fb.mss = (uint32_t)value();
		fb.rate_kbps = value();
		fb.interval_ns = value();
		fb.now_ns = value();
		GetParam()->update(&st, &fb, &p);
		expect_sane(p);
		if (i % 1000 == 999)
			GetParam()->init(&st, (uint32_t)value(), value(), &p);
	}
}

INSTANTIATE_TEST_SUITE_P(Cc, Hostile, testing::Values(&cc_cubic, &cc_dctcp, &cc_reno),
	[](const auto &row) { return std::string(row.param->name); });

} // namespace
