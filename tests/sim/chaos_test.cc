/*
 * Everything at once, from a seed: odd configurations, programs that stop reading, write in
 * dribbles, cork and uncork, receive memory that runs out, a nearly empty node pool, changing MSS
 * and congestion parameters, damaged frames. Both streams must still arrive whole and end.
 */
#include <gtest/gtest.h>
#include "tcp_sim.h"

namespace
{

struct Chaos {
	std::mt19937 rng;
	std::unique_ptr<Sim> sim;
	uint64_t goal[2], asked[2] = {0, 0};
	std::string what;

	explicit Chaos(uint32_t seed) : rng(seed)
	{
		HostConfig h[2];
		LinkConfig l;

		for (int i = 0; i < 2; i++)
			host(h[i]);
		/* Agreed by both. */
		h[1].ts = h[0].ts;
		h[1].sack = h[0].sack;
		h[1].ecn = h[0].ecn;
		h[1].mss = h[0].mss;
		h[1].wscale = h[0].wscale;
		l.delay_us = pick({10, 200, 5000, 60000});
		l.mbps = (double)pick({0, 3, 50, 1000});
		l.queue_bytes = pick({20000, 200000, 2000000});
		l.loss = (double)pick({0, 0, 1, 4, 12}) / 100;
		l.reorder = (double)pick({0, 0, 1, 10}) / 100;
		l.reorder_us = pick({50, 1000, 30000, 400000});
		l.dup = (double)pick({0, 0, 3}) / 100;
		l.cut = pick({0, 1, 1}) != 0;
		l.mark_above = pick({0, 1}) ? 0.3 : 0;
		sim = std::make_unique<Sim>(h[0], h[1], l, seed);
		for (int i = 0; i < 2; i++)
			goal[i] = pick({0, 1, 1000, 50000, 300000, 1500000});
		sim->filter = [this](int, Frame &f) { return damage(f); };
		for (Host *x : {&sim->a, &sim->b}) {
			x->shut_when_done = false;
			if (chance(15))
				x->store_limit = [this](uint32_t n) {
					return chance(5) ? n / 3 : n;
				};
		}
		sim->act = [this](Host &y) { act(y); };
		sim->tick_ns = 10000000;
		what = "mss " + std::to_string(h[0].mss) + " sack " + std::to_string(h[0].sack) +
		       " nodes " + std::to_string(h[0].nodes) + "/" + std::to_string(h[1].nodes) +
		       " delay " + std::to_string(l.delay_us) + " mbps " + std::to_string(l.mbps) +
		       " loss " + std::to_string(l.loss) + " reorder " + std::to_string(l.reorder) +
		       "/" + std::to_string(l.reorder_us) + " goals " + std::to_string(goal[0]) +
		       "/" + std::to_string(goal[1]) + " wscale " + std::to_string(h[0].wscale);
	}

	uint64_t pick(std::vector<uint64_t> v)
	{
		return v[rng() % v.size()];
	}

	bool chance(uint32_t percent)
	{
		return rng() % 100 < percent;
	}

	void host(HostConfig &h)
	{
		h.mss = (uint16_t)pick({100, 536, 1448, 8948});
		h.ts = !chance(25);
		h.sack = !chance(25);
		h.ecn = chance(25);
		h.wscale = (uint8_t)pick({0, 2, 7, 14});
		h.max_frame = (uint32_t)pick({0, 3000, 65160});
		h.rcvbuf_max = (uint32_t)pick({65536, 1u << 20, 6u << 20});
		h.nodes = (uint32_t)pick({3, 20, 4096, 4096, 4096});
		h.min_rto_us = (uint32_t)pick({10000, 200000});
		h.rtt_us = (uint32_t)pick({0, 20000});
		h.opts.rcvbuf = (uint32_t)pick({0, 0, 32768});
		h.opts.sndbuf = (uint32_t)pick({0, 0, 40000});
		h.cc.beta_q10 = (uint32_t)pick({0, 512, 717, 900});
	}

	bool damage(Frame &f)
	{
		if (chance(1))
			f.bytes[rng() % f.bytes.size()] ^= (uint8_t)(1 << rng() % 8);
		return true;
	}

	/* What a program does when it gets the processor. */
	void act(Host &h)
	{
		int i = &h == &sim->b;

		h.reading = !chance(10);
		h.read_limit = chance(20) ? h.f.rx_read + rng() % 3000 : UINT64_MAX;
		asked[i] = std::min(goal[i], asked[i] + pick({0, 1, 100, 1448, 20000, 1000000}));
		h.to_write = asked[i];
		h.shut_when_done = asked[i] == goal[i];
		set(h, FP_F_NODELAY, chance(50));
		set(h, FP_F_CORK, chance(10));
		if (chance(1) && chance(20))
			tcp_mss_set(&h.f, &h.c, &h.env,
				(uint16_t)(h.f.mss > 200 ? h.f.mss - 100 : 100));
		if (chance(2))
			parameters(h);
	}

	static void set(Host &h, uint32_t flag, bool on)
	{
		h.f.flags = on ? h.f.flags | flag : h.f.flags & ~flag;
	}

	void parameters(Host &h)
	{
		cc_params p = {};

		p.cwnd = (uint32_t)pick({0, 1, 5000, 200000});
		p.ssthresh = (uint32_t)pick({0, 1, 30000, 0x7fffffff});
		p.growth = (uint32_t)pick({0, 1448, 100000});
		p.beta_q10 = (uint32_t)pick({0, 512, 1024});
		tcp_cc_set(&h.f, &h.c, &p);
	}
};

class ChaosTest : public testing::TestWithParam<uint32_t>
{
};

TEST_P(ChaosTest, both_streams_arrive_and_end)
{
	for (uint32_t seed = GetParam() * 1000; seed < GetParam() * 1000 + 60; seed++) {
		Chaos c(seed);
		Sim &s = *c.sim;

		SCOPED_TRACE("seed " + std::to_string(seed) + ": " + c.what);
		EXPECT_TRUE(s.run(4000)) << "after " << s.elapsed() << " s: " << s.a.f.tx_una
					 << " and " << s.b.f.tx_una << " acknowledged";
		EXPECT_EQ("", s.faults());
		EXPECT_EQ(0u, s.a.bad_bytes + s.b.bad_bytes);
		EXPECT_EQ(c.goal[0], s.b.rx_data_end());
		EXPECT_EQ(c.goal[1], s.a.rx_data_end());
		EXPECT_FALSE(s.a.ended() || s.b.ended());
		EXPECT_EQ(0u, s.a.env.sent_used + s.b.env.sent_used);
		if (HasFailure())
			break;
	}
}

INSTANTIATE_TEST_SUITE_P(seeds, ChaosTest, testing::Range(1u, 9u));

} /* namespace */
