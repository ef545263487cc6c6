/*
 * Two TCP stacks over a bad link in virtual time: every byte arrives, both directions end, in
 * bounded time; and over a good link the windows open as far as they should.
 */
#include <gtest/gtest.h>
#include <tuple>
#include "tcp_sim.h"

namespace
{

void expect_complete(Sim &s, uint64_t ab, uint64_t ba)
{
	EXPECT_EQ("", s.faults());
	EXPECT_EQ(0u, s.a.bad_bytes + s.b.bad_bytes);
	EXPECT_EQ(ab, s.b.f.rx_read);
	EXPECT_EQ(ba, s.a.f.rx_read);
	EXPECT_TRUE(s.a.f.flags & FP_F_TX_FINACK);
	EXPECT_TRUE(s.b.f.flags & FP_F_TX_FINACK);
	EXPECT_FALSE(s.a.ended() || s.b.ended());
	EXPECT_EQ(0u, s.a.f.inflight + s.b.f.inflight);
	tcp_release(&s.a.f, &s.a.c, &s.a.env);
	tcp_release(&s.b.f, &s.b.c, &s.b.env);
	EXPECT_EQ(0u, s.a.env.sent_used + s.b.env.sent_used);
}

/* loss %, reorder %, duplicate %, delay us, sack */
using Bad = std::tuple<double, double, double, int, bool>;

class Matrix : public testing::TestWithParam<Bad>
{
};

TEST_P(Matrix, both_streams_arrive_and_end)
{
	auto [loss, reorder, dup, delay, sack] = GetParam();
	HostConfig h;
	LinkConfig l;

	h.sack = sack;
	l.loss = loss / 100;
	l.reorder = reorder / 100;
	l.dup = dup / 100;
	l.delay_us = (uint64_t)delay;
	l.mbps = 100;
	for (uint32_t seed = 1; seed <= 4; seed++) {
		Sim s(h, h, l, seed);

		SCOPED_TRACE("seed " + std::to_string(seed));
		s.a.to_write = 400000 + seed * 12345;
		s.b.to_write = seed % 2 ? 150000 + seed : 0;
		EXPECT_TRUE(s.run(3600)) << "after " << s.elapsed() << " s";
		expect_complete(s, s.a.to_write, s.b.to_write);
		if (HasFailure())
			break;
	}
}

INSTANTIATE_TEST_SUITE_P(link, Matrix,
	testing::Combine(testing::Values(0.0, 1.0, 5.0, 20.0), testing::Values(0.0, 2.0, 20.0),
		testing::Values(0.0, 5.0), testing::Values(50, 5000, 100000), testing::Bool()));

double bulk_mbps(const HostConfig &h, const LinkConfig &l, uint64_t bytes, uint32_t seed)
{
	Sim s(h, h, l, seed);

	s.a.to_write = bytes;
	s.b.to_write = 0;
	EXPECT_TRUE(s.run(600));
	expect_complete(s, bytes, 0);
	testing::Test::RecordProperty("retrans", (int)s.a.cnt.tx_retrans);
	return (double)bytes * 8 / s.elapsed() / 1e6;
}

TEST(Bulk, loss_free_fills_the_link)
{
	HostConfig h;
	LinkConfig l;

	l.mbps = 1000;
	l.delay_us = 500;
	l.queue_bytes = 4u << 20;
	EXPECT_GT(bulk_mbps(h, l, 100u << 20, 1), 850);
}

TEST(Bulk, window_scaling_fills_100_ms)
{
	HostConfig h;
	LinkConfig l;

	l.mbps = 100;
	l.delay_us = 50000;
	l.queue_bytes = 4u << 20;
	EXPECT_GT(bulk_mbps(h, l, 100u << 20, 1), 70);
}

/* Reno at 1 % and 10 ms: 1.22 * MSS / (RTT * sqrt(p)) is 14 Mb/s. */
TEST(Bulk, one_percent_loss_reaches_what_reno_can)
{
	HostConfig h;
	LinkConfig l;

	l.mbps = 1000;
	l.delay_us = 5000;
	l.loss = 0.01;
	EXPECT_GT(bulk_mbps(h, l, 20u << 20, 1), 9);
}

TEST(Bulk, small_queue_overflows_and_recovers)
{
	HostConfig h;
	LinkConfig l;

	l.mbps = 100;
	l.delay_us = 5000;
	l.queue_bytes = 64000;
	EXPECT_GT(bulk_mbps(h, l, 50u << 20, 1), 65);
}

TEST(Bulk, large_frames_travel_whole)
{
	HostConfig h;
	LinkConfig l;

	l.cut = false;
	l.delay_us = 20;
	l.mbps = 20000;
	EXPECT_GT(bulk_mbps(h, l, 200u << 20, 1), 12000);
}

} /* namespace */
