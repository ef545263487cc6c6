/*
 * Out-of-order intervals against a naive twin: one flag per byte.
 */
#include <gtest/gtest.h>
#include <algorithm>
#include <random>
#include "tcp_c.h"

namespace
{

constexpr uint64_t SPAN = 300;

struct Twin {
	tcp_cold c = {};
	std::vector<bool> has = std::vector<bool>(SPAN);
	uint64_t nxt = 0;

	/* Intervals as the flags say, above nxt. */
	std::vector<std::pair<uint64_t, uint64_t>> naive() const
	{
		std::vector<std::pair<uint64_t, uint64_t>> v;

		for (uint64_t p = nxt; p < SPAN; p++) {
			if (!has[p])
				continue;
			if (!v.empty() && v.back().second == p)
				v.back().second = p + 1;
			else
				v.emplace_back(p, p + 1);
		}
		return v;
	}

	void check() const
	{
		std::vector<std::pair<uint64_t, uint64_t>> v;

		for (uint32_t i = 0; i < c.nooo; i++)
			v.emplace_back(c.ooo[i].start, c.ooo[i].end);
		std::sort(v.begin(), v.end());
		ASSERT_EQ(naive(), v);
		ASSERT_EQ(v.empty() ? 0 : v.back().second, tcp_ooo_highest(&c));
	}

	void insert(uint64_t a, uint64_t b)
	{
		uint64_t from = a, to = b;

		tcp_ooo_trim(&c, &from, &to);
		for (uint64_t p = a; p < b; p++) {
			if (p < from || p >= to) {
				ASSERT_TRUE(has[p]) << "trimmed a byte that is not there";
			}
		}
		if (from < to) {
			ASSERT_FALSE(has[from]);
			ASSERT_FALSE(has[to - 1]);
		}
		if (!tcp_ooo_insert(&c, a, b)) {
			ASSERT_EQ(TCP_OOO_MAX, c.nooo);
			return;
		}
		ASSERT_LE(c.ooo[0].start, a) << "most recent first";
		ASSERT_GE(c.ooo[0].end, b);
		for (uint64_t p = a; p < b; p++)
			has[p] = true;
	}

	void arrive(uint64_t end)
	{
		uint64_t want = end;

		while (want < SPAN && has[want])
			want++;
		nxt = tcp_ooo_absorb(&c, end);
		ASSERT_EQ(want, nxt);
	}
};

TEST(Ooo, agrees_with_flags_per_byte)
{
	for (uint32_t seed = 1; seed <= 3000; seed++) {
		std::mt19937 rng(seed);
		Twin t;
		uint32_t longest = 1 + rng() % 40;

		SCOPED_TRACE("seed " + std::to_string(seed));
		for (int i = 0; i < 60 && t.nxt < SPAN - 2; i++) {
			uint64_t a = t.nxt + 1 + rng() % (SPAN - t.nxt - 1);

			if (rng() % 10 == 0)
				t.arrive(std::min(SPAN, t.nxt + 1 + rng() % 20));
			else if (a < SPAN)
				t.insert(a, std::min(SPAN, a + 1 + rng() % longest));
			t.check();
			if (testing::Test::HasFatalFailure())
				return;
		}
	}
}

} /* namespace */
