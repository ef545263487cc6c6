/*
 * The engine and several peers over links that lose, reorder and duplicate; the program acts only
 * on what it is told.
 */
#include <gtest/gtest.h>
#include <random>
#include "engine.h"
#include "seed.h"

namespace
{

/* Both ways, with loss, reordering and duplicates; the program acts only on what it is told. */
void lossy(uint64_t seed, bool large)
{
	std::mt19937_64 rng(seed);
	Engine e(1, large);
	Program p(e, 1);
	std::vector<std::unique_ptr<Conn>> conns;
	std::vector<std::unique_ptr<Socket>> socks;
	std::vector<Conn *> all;
	constexpr uint32_t kConns = 4, kBytes = 300000;
	uint32_t drop = (uint32_t)(rng() % 8), swap = (uint32_t)(rng() % 8);

	SCOPED_TRACE("seed " + std::to_string(seed) + (large ? " large" : " small"));
	for (uint32_t i = 0; i < kConns; i++) {
		HostConfig cfg;

		cfg.max_frame = rng() % 2 ? 65160 : 0;
		cfg.mss = (uint16_t)(rng() % 2 ? 1448 : 536);
		cfg.ts = rng() % 4;
		cfg.sack = rng() % 4;
		conns.emplace_back(new Conn(e, i + 1, 100 + i, (uint16_t)(1000 + i), cfg));
		socks.emplace_back(new Socket(p, i, 100 + i));
		all.push_back(conns[i].get());
		conns[i]->peer->to_write = kBytes;
		conns[i]->install_in(p, i);
	}
	auto program = [&] {
		p.listen();
		std::set<uint32_t> news;
		news.swap(p.news);
		for (uint32_t i : news) {
			Socket &s = *socks[i];

			while (s.recv(1 + rng() % 30000) && rng() % 4)
				;
			if (tas_load_acq(&s.s().rx_head) > s.read)
				p.news.insert(i);
			if (s.written < kBytes) {
				s.send(std::min<uint64_t>(kBytes - s.written, 1 + rng() % 50000));
				s.s().tx_wait = 1;
				p.ring(i);
				if (tas_load_acq(&s.s().tx_limit) > s.written)
					p.news.insert(i);
			}
			if (s.written == kBytes)
				s.want(TAS_SOCK_SHUT_WR);
		}
	};
	auto over = [&] {
		for (uint32_t i = 0; i < kConns; i++)
			if (socks[i]->read < kBytes || conns[i]->peer->rx_data_end() < kBytes)
				return false;
		return true;
	};
	for (int step = 0; step < 40000 && !over() && !testing::Test::HasFailure(); step++) {
		bool quiet = true;

		for (auto &c : conns) {
			c->peer->set_time(e.now);
			c->peer->program();
			c->peer->output();
			auto &q = c->to_engine;
			for (size_t k = 0; k < q.size(); k++) {
				if (rng() % 100 < drop)
					q.erase(q.begin() + (long)k--);
				else if (k > 0 && rng() % 100 < swap)
					std::swap(q[k], q[k - 1]);
				else if (rng() % 100 < swap)
					q.push_back(q[k]);
			}
			quiet &= q.empty();
			c->deliver();
		}
		e.run();
		static uint8_t buf[65700];
		uint16_t gso;
		while (uint32_t len = mem_nic_take(e.port, buf, &gso)) {
			uint16_t dport;

			quiet = false;
			if (rng() % 100 < drop)
				continue;
			memcpy(&dport, buf + 36, 2);
			Frame fr;
			fr.bytes.assign(buf, buf + len);
			fr.gso_size = gso;
			ASSERT_EQ(conns[dport - 1000u]->peer->frame(fr), WIRE_TCP);
		}
		p.listen();
		quiet &= p.news.empty();
		program();
		e.run();
		quiet &= mem_nic_sent(e.port) == 0;
		if (quiet && !over())
			advance(e, all);
		e.now += 20000;
	}
	for (uint32_t i = 0; i < kConns; i++) {
		EXPECT_EQ(socks[i]->read, kBytes) << "connection " << i;
		EXPECT_EQ(socks[i]->bad_bytes, 0u);
		EXPECT_EQ(socks[i]->fault, "");
		EXPECT_EQ(conns[i]->peer->rx_data_end(), kBytes) << "connection " << i;
		EXPECT_EQ(conns[i]->peer->bad_bytes, 0u);
		EXPECT_EQ(conns[i]->peer->fault, "");
	}
	EXPECT_FALSE(p.app->bad);
	EXPECT_EQ(p.app->faults, 0u);
}

TEST(Lossy, BothWaysWithLossReorderingAndDuplicates)
{
	for (uint64_t seed = 1; seed <= 40 && !testing::Test::HasFailure(); seed++)
		lossy(seed, seed % 2);
}

TEST(Lossy, SeedOfTheEnvironment)
{
	SCOPED_TRACE(test_seed_text());
	for (uint64_t i = 0; i < 10 && !testing::Test::HasFailure(); i++)
		lossy(test_seed() + i, i % 2);
}

} // namespace
