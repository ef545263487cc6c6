/*
 * Rate-based DCTCP in virtual time: slow start, step, the marked fraction, the cap at 1.2 of what
 * was sent.
 */
#include "cc_check.h"

namespace
{

constexpr uint32_t kRtt = 1000; /* us */

struct Flow {
	cc_state st;
	cc_params p;
	uint64_t now = 5 * kMs;

	Flow()
	{
		memset(&st, 0xff, sizeof(st));
		cc_dctcp.init(&st, kMss, now, &p);
		expect_sane(p);
	}
	/* One control interval (2 RTT) that sent at `share` of the rate in percent, `marked` of 100
	 * bytes marked. */
	void interval(uint32_t share = 100, uint32_t marked_pct = 0, uint32_t events = 0)
	{
		cc_feedback fb;
		uint64_t rate = (uint64_t)p.pace_kbps * share / 100;

		now += 2 * kRtt * 1000;
		memset(&fb, 0, sizeof(fb));
		fb.acked = rate * 2 * kRtt / 8000;
		fb.marked = fb.acked * marked_pct / 100;
		fb.events = events;
		fb.srtt_us = fb.last_rtt_us = fb.min_rtt_us = kRtt;
		fb.cwnd = p.cwnd ? p.cwnd : 10 * kMss;
		fb.ssthresh = fb.cwnd;
		fb.mss = kMss;
		fb.rate_kbps = rate;
		fb.interval_ns = 2 * kRtt * 1000;
		fb.now_ns = now;
		cc_dctcp.update(&st, &fb, &p);
		expect_sane(p);
	}
	/* Out of slow start, alpha at its fixed point for no marks, rate at least `kbps`. */
	void settle(uint32_t kbps)
	{
		while (p.pace_kbps < kbps)
			interval();
		interval(100, 0, CC_EV_RECOVERY);
	}
};

TEST(Dctcp, Starts_paced_at_the_initial_window_a_millisecond)
{
	Flow f;

	EXPECT_EQ(f.p.flags, CC_PACED | CC_ECHO_EXACT);
	EXPECT_EQ(f.p.cwnd, 14480u);
	EXPECT_EQ(f.p.pace_kbps, 14480u * 8);
}

TEST(Dctcp, SlowStart_doubles_every_interval)
{
	Flow f;
	uint32_t rate = f.p.pace_kbps;

	for (int i = 0; i < 8; i++) {
		f.interval();
		EXPECT_EQ(f.p.pace_kbps, rate * 2);
		rate = f.p.pace_kbps;
	}
}

TEST(Dctcp, Halfway_through_an_interval_nothing_changes)
{
	Flow f;
	cc_feedback fb = round_trip(f.now + kMs, f.p.cwnd, f.p.cwnd, kRtt);
	uint32_t rate = f.p.pace_kbps;

	cc_dctcp.update(&f.st, &fb, &f.p);
	EXPECT_EQ(f.p.pace_kbps, rate);
	fb.now_ns += kMs;
	cc_dctcp.update(&f.st, &fb, &f.p);
	EXPECT_GT(f.p.pace_kbps, rate);
}

TEST(Dctcp, NoMarks_add_ten_megabits)
{
	Flow f;

	f.settle(1000000);
	uint32_t rate = f.p.pace_kbps;
	f.interval();
	EXPECT_EQ(f.p.pace_kbps, rate + 10000);
}

TEST(Dctcp, Loss_halves_at_once)
{
	Flow f;

	f.settle(1000000);
	uint32_t rate = f.p.pace_kbps;
	cc_feedback fb = round_trip(f.now + 1000, 100 * kMss, 100 * kMss, kRtt);
	fb.interval_ns = 1000; /* far from a whole interval */
	fb.acked = 0;
	fb.rate_kbps = 0;
	fb.events = CC_EV_RECOVERY;
	cc_dctcp.update(&f.st, &fb, &f.p);
	EXPECT_EQ(f.p.pace_kbps, rate / 2);
	EXPECT_EQ(f.p.cwnd, 0u); /* the fast path's own window holds */
}

/* alpha is the moving average of the fraction, g = 1/16; each marked interval cuts by alpha / 2. */
TEST(Dctcp, Cut_is_in_proportion_to_the_marked_fraction)
{
	for (uint32_t pct : {5u, 10u, 25u, 50u, 100u}) {
		Flow f;
		double alpha = 0, rate;

		f.settle(200000000);
		rate = f.p.pace_kbps;
		for (int i = 0; i < 10; i++) {
			f.interval(100, pct);
			alpha += (pct / 100.0 - alpha) / 16;
			rate *= 1 - alpha / 2;
			EXPECT_NEAR(f.p.pace_kbps, rate, rate / 1000)
				<< pct << " % marked, interval " << i;
		}
	}
}

TEST(Dctcp, FirstMark_in_slow_start_halves_and_ends_it)
{
	Flow f;

	f.interval();
	f.interval();
	uint32_t rate = f.p.pace_kbps;
	f.interval(100, 1);
	EXPECT_EQ(f.p.pace_kbps, rate / 2);
	rate = f.p.pace_kbps;
	f.interval();
	EXPECT_EQ(f.p.pace_kbps, rate + 10000);
}

TEST(Dctcp, Unused_rate_is_held_to_a_fifth_more_than_was_sent)
{
	Flow f;

	f.settle(4000000);
	uint32_t rate = f.p.pace_kbps;
	f.interval(50);
	EXPECT_NEAR(f.p.pace_kbps, rate * 0.5 * 1.2 + 10000, 100);
	for (int i = 0; i < 100; i++)
		f.interval(0);
	/* An idle flow keeps what a new connection has: the initial window a round trip, plus one
	 * step. */
	EXPECT_NEAR(f.p.pace_kbps, 14480 * 8000.0 / kRtt + 10000, 1);
}

TEST(Dctcp, Rate_never_reaches_zero)
{
	Flow f;

	for (int i = 0; i < 200; i++)
		f.interval(100, 100, CC_EV_RTO);
	EXPECT_EQ(f.p.pace_kbps, 1000u);
	f.interval(100, 0);
	EXPECT_GT(f.p.pace_kbps, 1000u); /* and recovers */
}

/* The window only bounds bursts: it must never be what limits a flow at its rate. */
TEST(Dctcp, Window_holds_two_rate_delay_products)
{
	Flow f;

	f.settle(8000000);
	f.interval();
	uint64_t bdp = (uint64_t)f.p.pace_kbps * kRtt / 8000;
	EXPECT_NEAR(f.p.cwnd, 2.0 * bdp, 8);
}

} // namespace
