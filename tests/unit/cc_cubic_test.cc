/*
 * CUBIC in virtual time: the window against the closed formula of RFC 9438, and reactions to
 * events.
 */
#include <cmath>
#include "cc_check.h"

namespace
{

/* The part of the fast path that counts here: grows by `growth` per window, reduces by beta on
 * loss. */
struct Flow {
	cc_state st;
	cc_params p;
	uint64_t now = 1000 * kMs;
	uint32_t cwnd, ssthresh, rtt_us;

	explicit Flow(uint32_t rtt) : rtt_us(rtt)
	{
		memset(&st, 0xff, sizeof(st));
		cc_cubic.init(&st, kMss, now, &p);
		expect_sane(p);
		cwnd = p.cwnd;
		ssthresh = p.ssthresh;
	}
	void apply(const cc_feedback &fb)
	{
		cc_cubic.update(&st, &fb, &p);
		expect_sane(p);
		if (p.cwnd)
			cwnd = p.cwnd;
		if (p.ssthresh)
			ssthresh = p.ssthresh;
	}
	/* One round trip passes, the window is used in full. */
	void round(uint32_t events = 0, uint32_t marked = 0)
	{
		cwnd += cwnd < ssthresh ? cwnd : p.growth;
		now += rtt_us * 1000ull;
		cc_feedback fb = round_trip(now, cwnd, ssthresh, rtt_us);
		fb.events = events;
		fb.marked = marked;
		apply(fb);
	}
	void loss()
	{
		cwnd = ssthresh = (uint32_t)((uint64_t)cwnd * p.beta_q10 / 1024);
		cc_feedback fb = round_trip(now, cwnd, ssthresh, rtt_us);
		fb.events = CC_EV_RECOVERY;
		fb.lost = kMss;
		apply(fb);
	}
	void timeout()
	{
		ssthresh = (uint32_t)((uint64_t)cwnd * p.beta_q10 / 1024);
		cwnd = kMss;
		cc_feedback fb = round_trip(now, cwnd, ssthresh, rtt_us);
		fb.events = CC_EV_RTO;
		apply(fb);
	}
};

double curve(double t_s, double w_max, double w0)
{
	double k = std::cbrt((w_max - w0) / 0.4);

	return 0.4 * std::pow(t_s - k, 3) + w_max;
}

TEST(Cubic, InitialWindowIsRfc6928)
{
	struct {
		uint32_t mss, iw;
	} rows[] = {{1448, 14480}, {1460, 14600}, {536, 5360}, {8948, 17896}, {2000, 14600}};

	for (auto &row : rows) {
		cc_state st;
		cc_params p;
		cc_cubic.init(&st, row.mss, 1, &p);
		EXPECT_EQ(p.cwnd, row.iw) << row.mss;
		EXPECT_GT(p.ssthresh, 1u << 30);
		EXPECT_EQ(p.beta_q10, 717u);
	}
}

/* After one loss at 1000 segments and 100 ms RTT the window follows W(t) through plateau and
 * probing. */
TEST(Cubic, WindowFollowsTheCurve)
{
	Flow f(100000);
	double w_max = 1000, w0;

	f.cwnd = f.ssthresh = 1000 * kMss;
	f.loss();
	w0 = f.cwnd / (double)kMss;
	ASSERT_NEAR(w0, 700, 1);
	uint64_t start = f.now;
	int checked = 0;
	for (int i = 0; i < 180; i++) { /* 18 s; K = 9.09 s */
		f.round();
		double t = (double)(f.now - start) / 1e9;
		EXPECT_NEAR(f.cwnd / (double)kMss, curve(t, w_max, w0), 2.5) << "t=" << t;
		checked++;
	}
	EXPECT_EQ(checked, 180);
	EXPECT_GT(f.cwnd, 1200 * kMss); /* has left the plateau */
}

TEST(Cubic, GrowthIsConcaveThenConvex)
{
	Flow f(100000);
	uint32_t early, plateau, late;

	f.cwnd = f.ssthresh = 1000 * kMss;
	f.loss();
	early = f.p.growth;
	for (int i = 0; i < 90; i++)
		f.round();
	plateau = f.p.growth;
	for (int i = 0; i < 90; i++)
		f.round();
	late = f.p.growth;
	EXPECT_LT(plateau * 3, early);
	EXPECT_LT(plateau * 3, late);
}

/* With short round trips Reno is faster than the curve: the Reno-friendly region decides (RFC
 * 9438 4.3). */
TEST(Cubic, ShortRoundTrips_grow_like_reno)
{
	Flow f(1000);
	double alpha = 3 * (1 - 0.7) / (1 + 0.7);

	f.cwnd = f.ssthresh = 50 * kMss;
	f.loss();
	uint32_t from = f.cwnd;
	for (int i = 0; i < 20; i++)
		f.round();
	EXPECT_NEAR((f.cwnd - from) / (double)kMss, 20 * alpha, 1.5);
	for (int i = 0; i < 60; i++) /* beyond the old window: alpha is 1 */
		f.round();
	uint32_t at = f.cwnd;
	ASSERT_GT(at, 50 * kMss);
	for (int i = 0; i < 10; i++)
		f.round();
	EXPECT_NEAR((f.cwnd - at) / (double)kMss, 10, 1.5);
}

/* Round trips of 10 us: a report covers ten windows, each of which grows by what it was told. */
TEST(Cubic, Many_windows_a_report_do_not_overshoot)
{
	Flow f(10);

	f.cwnd = f.ssthresh = 100 * kMss;
	f.loss();
	f.cwnd -= 10 * kMss; /* ten segments below the curve */
	uint32_t from = f.cwnd;
	for (int i = 0; i < 5; i++) {
		uint64_t acked = 0;
		for (int w = 0; w < 10; w++) {
			f.cwnd += f.p.growth;
			acked += f.cwnd;
		}
		f.now += 100000;
		cc_feedback fb = round_trip(f.now, f.cwnd, f.ssthresh, f.rtt_us);
		fb.acked = acked;
		fb.interval_ns = 100000;
		f.apply(fb);
	}
	/* Reno would have gained at most 50 segments of 0.53, from the curve's 70. */
	EXPECT_GT(f.cwnd, from + 10 * kMss);
	EXPECT_LT(f.cwnd, (70 + 50 * 0.53 + 2) * kMss);
}

TEST(Cubic, SecondLossBelowWmax_converges_fast)
{
	Flow f(100000);

	f.cwnd = f.ssthresh = 1000 * kMss;
	f.loss(); /* 700, W_max 1000 */
	f.loss(); /* 490: the window 700 was below W_max: W_max = 700 * 0.85 = 595 */
	double w0 = f.cwnd / (double)kMss;
	ASSERT_NEAR(w0, 490, 2);
	uint64_t start = f.now;
	for (int i = 0; i < 60; i++)
		f.round();
	double t = (double)(f.now - start) / 1e9;
	EXPECT_NEAR(f.cwnd / (double)kMss, curve(t, 595, w0), 4);
}

/* After a timeout the first congestion avoidance has K = 0 and W_max = its first window (RFC
 * 9438 4.8). */
TEST(Cubic, Timeout_starts_a_flat_epoch_at_ssthresh)
{
	Flow f(100000);

	f.cwnd = f.ssthresh = 400 * kMss;
	f.timeout();
	EXPECT_EQ(f.cwnd, kMss);
	while (f.cwnd < f.ssthresh)
		f.round();
	double w0 = f.cwnd / (double)kMss;
	uint64_t start = f.now;
	for (int i = 0; i < 80; i++)
		f.round();
	double t = (double)(f.now - start) / 1e9, est = w0 + 0.53 * 80;
	EXPECT_NEAR(f.cwnd / (double)kMss, std::max(0.4 * t * t * t + w0, est), 4);
}

TEST(Cubic, Undo_restores_the_curve)
{
	Flow a(100000), b(100000);

	for (Flow *f : {&a, &b}) {
		f->cwnd = f->ssthresh = 1000 * kMss;
		f->loss();
		for (int i = 0; i < 20; i++)
			f->round();
	}
	uint32_t cwnd = a.cwnd, ssthresh = a.ssthresh;
	a.timeout();
	a.cwnd = cwnd;
	a.ssthresh = ssthresh;
	a.now += 10; /* the fast path found it spurious and restored the window */
	cc_feedback fb = round_trip(a.now, a.cwnd, a.ssthresh, a.rtt_us);
	fb.events = CC_EV_UNDO;
	fb.acked = 0;
	a.apply(fb);
	for (int i = 0; i < 50; i++) {
		a.round();
		b.round();
	}
	EXPECT_NEAR(a.cwnd, b.cwnd, kMss);
}

TEST(Cubic, Marks_reduce_once_a_round_trip)
{
	Flow f(10000);

	f.cwnd = f.ssthresh = 100 * kMss;
	f.round();
	uint32_t before = f.cwnd + f.p.growth;
	f.round(0, kMss);
	EXPECT_NEAR(f.cwnd, 0.7 * before, kMss);
	EXPECT_EQ(f.ssthresh, f.cwnd);
	/* More marks a tenth of a round trip later belong to the same event. */
	cc_feedback fb = round_trip(f.now + f.rtt_us * 100, f.cwnd, f.ssthresh, f.rtt_us);
	fb.marked = fb.acked;
	uint32_t at = f.cwnd;
	f.apply(fb);
	EXPECT_EQ(f.cwnd, at);
	f.round(0, kMss);
	EXPECT_LT(f.cwnd, at);
}

TEST(Cubic, MarksWithLoss_are_one_event)
{
	Flow f(10000);

	f.cwnd = f.ssthresh = 70 * kMss;
	cc_feedback fb = round_trip(f.now, f.cwnd, f.ssthresh, f.rtt_us);
	fb.events = CC_EV_RECOVERY;
	fb.marked = fb.acked;
	f.apply(fb);
	EXPECT_EQ(f.p.cwnd, 0u);
	EXPECT_EQ(f.p.ssthresh, 0u);
}

TEST(Cubic, AppLimited_time_does_not_count)
{
	Flow f(100000);

	f.cwnd = f.ssthresh = 1000 * kMss;
	f.loss();
	for (int i = 0; i < 10; i++)
		f.round();
	uint32_t growth = f.p.growth;
	for (int i = 0; i < 300;
		i++) { /* 30 s idle: without the rule the curve would be far above */
		f.now += f.rtt_us * 1000ull;
		cc_feedback fb = round_trip(f.now, f.cwnd, f.ssthresh, f.rtt_us);
		fb.events = CC_EV_APP_LIMITED;
		fb.acked = 100;
		f.apply(fb);
	}
	EXPECT_LE(f.p.growth, growth);
	EXPECT_LT(f.p.growth, 100 * kMss);
}

/* HyStart++ (RFC 9406): slow start, RTT grows by more than RTT / 8 -> quarter speed -> avoidance
 * after 5 rounds. */
TEST(Cubic, SlowStart_ends_when_the_rtt_grows)
{
	Flow f(80000);

	for (int i = 0; i < 4; i++)
		f.round();
	ASSERT_LT(f.cwnd, f.ssthresh);
	f.rtt_us = 95000;
	f.round();
	EXPECT_EQ(f.ssthresh, f.cwnd);
	EXPECT_EQ(f.p.growth, f.cwnd / 4);
	uint32_t at = f.cwnd;
	for (int i = 0; i < 4; i++)
		f.round();
	EXPECT_GT(f.cwnd, at * 2);
	f.round();
	EXPECT_LT(f.p.growth, f.cwnd / 8); /* congestion avoidance */
}

TEST(Cubic, Loss_ends_the_conservative_phase)
{
	Flow f(80000);

	for (int i = 0; i < 4; i++)
		f.round();
	f.rtt_us = 95000;
	f.round();
	ASSERT_EQ(f.p.growth, f.cwnd / 4);
	f.loss();
	EXPECT_LT(f.p.growth, f.cwnd / 8);
	f.round();
	EXPECT_LT(f.p.growth, f.cwnd / 8);
}

TEST(Cubic, SlowStart_resumes_when_the_rtt_falls_back)
{
	Flow f(80000);

	f.round();
	f.round();
	f.rtt_us = 95000;
	f.round();
	ASSERT_EQ(f.ssthresh, f.cwnd);
	f.rtt_us = 79000;
	f.round();
	EXPECT_GT(f.ssthresh, 1u << 30);
}

TEST(Cubic, SlowStart_ignores_small_rtt_changes)
{
	Flow f(100);

	for (int i = 0; i < 12; i++) {
		f.rtt_us = i % 2 ? 3900 : 100;
		f.round();
	}
	EXPECT_GT(f.ssthresh, 1u << 30);
}

} // namespace
