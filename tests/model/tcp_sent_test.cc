/*
 * The sent map against a naive twin: one state per byte. Random sending, acknowledging, SACKing,
 * losing and resending, with pools from one node to plenty.
 */
#include <gtest/gtest.h>
#include <algorithm>
#include <random>
#include "tcp_c.h"

namespace
{

constexpr char FLIGHT = 'f', SACKED = 's', LOST = 'l';

class Map
{
      public:
	fp_flow f = {};
	fp_flow_cold cold = {};
	tcp_cold &c = cold.tcp;
	tcp_env env = {};
	tas_fp_counters cnt = {};
	std::string bytes; /* state of [tx_una, tx_nxt) */
	bool ample;

	Map(uint32_t nodes, bool plenty) : ample(plenty), pool(tcp_sent_bytes(nodes) / 8)
	{
		env.cnt = &cnt;
		tcp_env_init(&env, pool.data(), nodes);
		f.mss = 10;
		f.srtt_us = 8000;
		c.tlp_end = c.blind_pos = c.dsack_round = TCP_POS_NONE;
	}

	void step(std::mt19937 &rng)
	{
		uint64_t out = f.tx_nxt - f.tx_una;
		env.now_us += rng() % 100;
		switch (rng() % 8) {
		case 0:
		case 1:
			send(1 + rng() % 40);
			break;
		case 2:
			ack(rng() % (out + 1));
			break;
		case 3:
		case 4:
			if (out > 0) {
				uint64_t a = rng() % out;

				sack(a, a + 1 + rng() % std::min<uint64_t>(out - a, 30));
			}
			break;
		case 5:
			lose_some(rng);
			break;
		case 6:
			again(rng);
			break;
		default:
			lose_all(rng() % 4 == 0, rng() % 4 == 0);
			break;
		}
		check();
	}

      private:
	std::vector<uint64_t> pool;

	void send(uint32_t len)
	{
		if (!tcp_sent_room(&env))
			return;
		tcp_sent_append(&f, &c, &env, f.tx_nxt, len);
		f.tx_nxt += len;
		bytes += std::string(len, FLIGHT);
	}

	void ack(uint64_t n)
	{
		tcp_delivery d = {};
		uint64_t fresh = 0;

		for (uint64_t i = 0; i < n; i++)
			fresh += bytes[i] != SACKED;
		f.tx_una += n;
		tcp_sent_ack(&f, &c, &env, f.tx_una, &d);
		ASSERT_EQ(fresh, d.bytes);
		bytes.erase(0, n);
	}

	/* What could not be recorded (no node) must be left as it was. */
	void sack(uint64_t a, uint64_t b)
	{
		tcp_delivery d = {};
		std::string now;
		uint64_t fresh = 0;

		tcp_sent_sack(&f, &c, &env, f.tx_una + a, f.tx_una + b, &d);
		now = states();
		ASSERT_EQ(bytes.size(), now.size());
		for (size_t i = 0; i < now.size(); i++) {
			bool in = i >= a && i < b;

			if (in && ample) {
				ASSERT_EQ(SACKED, now[i]) << i;
			}
			if (!in || now[i] != SACKED) {
				ASSERT_EQ(bytes[i], now[i]) << i;
			}
			fresh += now[i] == SACKED && bytes[i] != SACKED;
		}
		ASSERT_EQ(fresh, d.bytes);
		bytes = now;
	}

	/* Node by node, as RACK does. */
	void lose_some(std::mt19937 &rng)
	{
		uint64_t at = 0;

		for (uint32_t i = c.sent_head; i != 0; i = sent_at(&env, i)->next) {
			tcp_sent *n = sent_at(&env, i);

			if (n->flags == 0 && rng() % 3 == 0) {
				tcp_sent_lose(&f, &c, n);
				std::fill_n(bytes.begin() + (long)at, n->len, LOST);
			}
			at += n->len;
		}
	}

	void lose_all(bool forget, bool back)
	{
		if (back) {
			tcp_sent_unlose(&f, &c, &env);
			for (auto &b : bytes)
				b = b == LOST ? FLIGHT : b;
			return;
		}
		tcp_sent_lose_all(&f, &c, &env, forget);
		for (auto &b : bytes)
			b = forget || b == FLIGHT ? LOST : b;
	}

	void again(std::mt19937 &rng)
	{
		uint32_t i = tcp_sent_first_lost(&c, &env), len;
		size_t first = bytes.find(LOST);

		ASSERT_EQ(first == std::string::npos, i == 0);
		if (i == 0)
			return;
		ASSERT_EQ(f.tx_una + first, sent_at(&env, i)->start);
		len = 1 + rng() % sent_at(&env, i)->len;
		if (len < sent_at(&env, i)->len && env.sent_used == env.nsent) {
			std::string before = states();

			tcp_sent_again(&f, &c, &env, f.tx_una + first, len);
			ASSERT_EQ(before, states()) << "sent blindly: nothing may change";
			return;
		}
		tcp_sent_again(&f, &c, &env, f.tx_una + first, len);
		std::fill_n(bytes.begin() + (long)first, len, FLIGHT);
	}

	std::string states() const
	{
		std::string s;

		for (uint32_t i = c.sent_head; i != 0; i = sent_at(&env, i)->next) {
			const tcp_sent *n = sent_at(&env, i);

			s += std::string(n->len, n->flags & SENT_SACKED ? SACKED
						 : n->flags & SENT_LOST ? LOST
									: FLIGHT);
		}
		return s;
	}

	void check() const
	{
		uint64_t pos = f.tx_una;
		uint32_t prev = 0, nodes = 0;

		ASSERT_EQ(bytes, states());
		for (uint32_t i = c.sent_head; i != 0; i = sent_at(&env, i)->next) {
			ASSERT_EQ(pos, sent_at(&env, i)->start);
			ASSERT_EQ(prev, sent_at(&env, i)->prev);
			pos = sent_end(sent_at(&env, i));
			prev = i;
			nodes++;
		}
		ASSERT_EQ(f.tx_nxt, pos);
		ASSERT_EQ(prev, c.sent_tail);
		ASSERT_EQ(nodes, c.nsent);
		ASSERT_EQ(nodes, env.sent_used);
		ASSERT_EQ((uint64_t)std::count(bytes.begin(), bytes.end(), FLIGHT), f.inflight);
		ASSERT_EQ((uint64_t)std::count(bytes.begin(), bytes.end(), SACKED), c.sacked_bytes);
		ASSERT_EQ((uint64_t)std::count(bytes.begin(), bytes.end(), LOST), c.lost_bytes);
	}
};

class SentModel : public testing::TestWithParam<uint32_t>
{
};

TEST_P(SentModel, agrees_with_states_per_byte)
{
	for (uint32_t seed = 1; seed <= 400; seed++) {
		std::mt19937 rng(seed);
		Map m(GetParam(), GetParam() >= 100000);

		/* The limit on fragments is not what is tested with an ample pool. */
		if (m.ample)
			m.f.mss = 1;
		SCOPED_TRACE("seed " + std::to_string(seed));
		for (int i = 0; i < 300; i++) {
			m.step(rng);
			if (HasFatalFailure())
				return;
		}
		tcp_release(&m.f, &m.cold, &m.env);
		ASSERT_EQ(0u, m.env.sent_used);
	}
}

INSTANTIATE_TEST_SUITE_P(nodes, SentModel, testing::Values(1u, 2u, 5u, 17u, 64u, 100000u));

/* Flows of one core, and peers that do what costs us most. */
struct Pool {
	tcp_env env = {};
	tas_fp_counters cnt = {};
	std::vector<uint64_t> mem;

	struct Flow {
		fp_flow f = {};
		fp_flow_cold cold = {};
	};

	explicit Pool(uint32_t nodes) : mem(tcp_sent_bytes(nodes) / 8)
	{
		env.cnt = &cnt;
		tcp_env_init(&env, mem.data(), nodes);
	}

	Flow flow()
	{
		Flow x;

		x.f.mss = 76; /* the smallest that a peer can ask for */
		x.f.srtt_us = 8000;
		x.cold.tcp.tlp_end = x.cold.tcp.blind_pos = x.cold.tcp.dsack_round = TCP_POS_NONE;
		return x;
	}

	bool send(Flow &x, uint32_t len)
	{
		if (!tcp_sent_room(&env))
			return false;
		tcp_sent_append(&x.f, &x.cold.tcp, &env, x.f.tx_nxt, len);
		x.f.tx_nxt += len;
		return x.cold.tcp.sent_tail != 0 &&
		       sent_end(sent_at(&env, x.cold.tcp.sent_tail)) == x.f.tx_nxt;
	}

	void sack_odd_ranges(Flow &x)
	{
		tcp_delivery d = {};

		for (uint64_t p = x.f.tx_una + 3; p + 3 < x.f.tx_nxt; p += 6)
			tcp_sent_sack(&x.f, &x.cold.tcp, &env, p, p + 3, &d);
	}
};

/* Each ACK walks over the nodes of its flow: their number must not be the peer's choice. */
TEST(SentBounds, odd_sacks_do_not_make_a_flow_costly)
{
	Pool p(1u << 18);
	auto x = p.flow();

	for (int i = 0; i < 16; i++)
		ASSERT_TRUE(p.send(x, 65000)); /* 1 MB in flight */
	p.sack_odd_ranges(x);
	EXPECT_GT(x.cold.tcp.sacked_bytes, 0u);
	EXPECT_LE(x.cold.tcp.nsent, 1100u);
}

TEST(SentBounds, retransmissions_one_by_one_do_not_either)
{
	Pool p(1u << 18);
	auto x = p.flow();
	uint32_t i;

	for (int k = 0; k < 64; k++)
		ASSERT_TRUE(p.send(x, 65000));
	tcp_sent_lose_all(&x.f, &x.cold.tcp, &p.env, 0);
	while ((i = tcp_sent_first_lost(&x.cold.tcp, &p.env)) != 0) {
		p.env.now_us += 1000;
		tcp_sent_again(&x.f, &x.cold.tcp, &p.env, sent_at(&p.env, i)->start,
			std::min(76u, sent_at(&p.env, i)->len));
	}
	EXPECT_LE(x.cold.tcp.nsent, 1100u);
	EXPECT_EQ(x.cold.tcp.lost_bytes, 0u);
}

TEST(SentBounds, peers_that_acknowledge_nothing_leave_nodes_for_others)
{
	Pool p(4096);
	std::vector<Pool::Flow> hogs(100, p.flow());
	auto honest = p.flow();

	for (int i = 0; i < 200; i++) {
		for (auto &x : hogs)
			ASSERT_TRUE(p.send(x, 64)) << "message " << i;
		p.env.now_us += 1000;
	}
	for (auto &x : hogs)
		p.sack_odd_ranges(x);
	for (int i = 0; i < 4; i++) {
		ASSERT_TRUE(p.send(honest, 1000));
		p.env.now_us += 1000;
	}
	EXPECT_EQ(honest.cold.tcp.nsent, 4u) << "its segments are told apart";
}

} /* namespace */
