/*
 * wheel.c against a sorted map: random insertions, moves, removals and steps of time of all sizes.
 */
#include <gtest/gtest.h>
#include <map>
#include <random>
#include <set>
#include "fp_c.h"
#include "seed.h"

namespace
{

constexpr uint32_t kIds = 300;
constexpr uint64_t kTick = 1ull << FP_WHEEL_TICK_SHIFT;

struct Model {
	std::vector<fp_wheel_node> nodes = std::vector<fp_wheel_node>(kIds + 1);
	fp_wheel w;
	std::map<uint32_t, uint64_t> at; /* id -> ns */
	uint64_t now;

	explicit Model(uint64_t start) : now(start)
	{
		fp_wheel_init(&w, nodes.data(), sizeof(fp_wheel_node), start);
	}

	uint64_t earliest() const
	{
		uint64_t e = UINT64_MAX;

		for (auto &p : at)
			e = std::min(e, p.second);
		return e;
	}

	/* Everything due fires, nothing early, and nothing due by more than a tick stays. */
	void step(uint64_t ns)
	{
		now += ns;
		while (uint32_t id = fp_wheel_expire(&w, now)) {
			ASSERT_TRUE(at.count(id)) << id;
			EXPECT_LE(at[id], now) << "early by " << at[id] - now;
			at.erase(id);
		}
		for (auto &p : at)
			EXPECT_GT(p.second + kTick, now) << "id " << p.first << " is late";
		ASSERT_EQ(w.count, at.size());
	}
};

uint64_t some_delay(std::mt19937_64 &rng)
{
	return rng() >> (20 + rng() % 40); /* from ns to hours */
}

TEST(Wheel, RandomOperationsMatchANaiveMap)
{
	std::mt19937_64 rng(test_seed());

	SCOPED_TRACE(test_seed_text());
	for (int round = 0; round < 20 && !testing::Test::HasFailure(); round++) {
		Model m(rng() >>
			(4 + rng() % 30)); /* beyond 2^61 ns, 70 years, deadlines are clamped */

		for (int i = 0; i < 3000 && !testing::Test::HasFailure(); i++) {
			uint32_t id = 1 + (uint32_t)(rng() % kIds);

			switch (rng() % 4) {
			case 0:
			case 1:
				m.at[id] = m.now + some_delay(rng);
				fp_wheel_add(&m.w, id, m.at[id]);
				ASSERT_GE(fp_wheel_at(&m.w, id), m.at[id]);
				ASSERT_LT(fp_wheel_at(&m.w, id), m.at[id] + kTick);
				break;
			case 2:
				fp_wheel_del(&m.w, id);
				m.at.erase(id);
				ASSERT_EQ(fp_wheel_at(&m.w, id), UINT64_MAX);
				break;
			case 3:
				m.step(some_delay(rng));
				break;
			}
			ASSERT_TRUE(m.at.empty() || fp_wheel_next(&m.w) < m.earliest() + kTick);
		}
	}
}

/* A sleeping core jumps from fp_wheel_next to fp_wheel_next: it must arrive, in few jumps. */
TEST(Wheel, JumpingFromNextToNextReachesEveryDeadline)
{
	std::mt19937_64 rng(7);
	Model m(123456789);
	int jumps = 0;

	for (uint32_t id = 1; id <= kIds; id++) {
		m.at[id] = m.now + some_delay(rng);
		fp_wheel_add(&m.w, id, m.at[id]);
	}
	while (!m.at.empty() && jumps < 10000) {
		uint64_t next = fp_wheel_next(&m.w);

		m.step(next > m.now ? next - m.now : 0);
		jumps++;
	}
	EXPECT_TRUE(m.at.empty());
	EXPECT_LE(jumps, (int)kIds * FP_WHEEL_LEVELS);
	EXPECT_EQ(fp_wheel_next(&m.w), UINT64_MAX);
}

TEST(Wheel, APastDeadlineFiresAtOnce)
{
	Model m(1ull << 40);

	fp_wheel_add(&m.w, 5, 17);
	EXPECT_EQ(fp_wheel_expire(&m.w, 1ull << 40), 5u);
	EXPECT_EQ(fp_wheel_expire(&m.w, 1ull << 40), 0u);
}

TEST(Wheel, EveryFlowAtTheSameTickFiresOnce)
{
	Model m(0);
	std::set<uint32_t> fired;

	for (uint32_t id = 1; id <= kIds; id++)
		fp_wheel_add(&m.w, id, 1000000);
	while (uint32_t id = fp_wheel_expire(&m.w, 2000000))
		EXPECT_TRUE(fired.insert(id).second);
	EXPECT_EQ(fired.size(), kIds);
}

} // namespace
