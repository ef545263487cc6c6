// lt_pool_test.cc - libtas/pool.c: against a set, and with threads.
#include <gtest/gtest.h>
#include <atomic>
#include <random>
#include <set>
#include <thread>
#include <vector>
#include "lt_world.h"
#include "seed.h"

TEST(pool, hands_out_fresh_ones_in_order_then_the_last_returned)
{
	lt_pool *p = lw_pool_new(3);

	EXPECT_EQ(lw_pool_get(p), 0u);
	EXPECT_EQ(lw_pool_get(p), 1u);
	lw_pool_put(p, 0);
	EXPECT_EQ(lw_pool_get(p), 0u);
	EXPECT_EQ(lw_pool_get(p), 2u);
	EXPECT_EQ(lw_pool_get(p), UINT32_MAX);
	lw_pool_put(p, 2);
	lw_pool_put(p, 1);
	EXPECT_EQ(lw_pool_get(p), 1u);
	EXPECT_EQ(lw_pool_get(p), 2u);
	lw_pool_free(p);
}

TEST(pool, take_all_leaves_it_empty_and_links_everything)
{
	lt_pool *p = lw_pool_new(10);
	std::set<uint32_t> got;

	for (int i = 0; i < 10; i++)
		lw_pool_get(p);
	for (uint32_t i = 0; i < 10; i += 2)
		lw_pool_put(p, i);
	for (uint32_t i = lw_pool_take_all(p); i != UINT32_MAX; i = lw_pool_after(p, i))
		got.insert(i);
	EXPECT_EQ(got, (std::set<uint32_t>{0, 2, 4, 6, 8}));
	EXPECT_EQ(lw_pool_take_all(p), UINT32_MAX);
	EXPECT_EQ(lw_pool_get(p), UINT32_MAX);
	lw_pool_free(p);
}

TEST(pool, random_against_a_set)
{
	std::mt19937 rnd(static_cast<unsigned>(test_seed()));
	lt_pool *p = lw_pool_new(100);
	std::set<uint32_t> out;

	SCOPED_TRACE(test_seed_text());
	for (int i = 0; i < 100000; i++) {
		if (rnd() % 2 == 0) {
			uint32_t got = lw_pool_get(p);

			if (out.size() == 100) {
				ASSERT_EQ(got, UINT32_MAX);
			} else {
				ASSERT_LT(got, 100u);
				ASSERT_TRUE(out.insert(got).second);
			}
		} else if (!out.empty()) {
			auto it = std::next(out.begin(), rnd() % out.size());

			lw_pool_put(p, *it);
			out.erase(it);
		}
	}
	lw_pool_free(p);
}

// Nobody is ever given what another thread has.
TEST(pool, threads_never_share_an_index)
{
	const uint32_t max = 16;
	lt_pool *p = lw_pool_new(max);
	std::vector<std::atomic<int>> owner(max);
	std::atomic<int> shared{0};
	std::vector<std::thread> threads;

	for (int t = 0; t < 4; t++)
		threads.emplace_back([&, t] {
			std::mt19937 rnd(static_cast<unsigned>(t));
			std::vector<uint32_t> mine;

			for (int i = 0; i < 200000; i++) {
				if (mine.empty() || (mine.size() < 4 && rnd() % 2 == 0)) {
					uint32_t got = lw_pool_get(p);

					if (got == UINT32_MAX)
						continue;
					shared += owner[got].exchange(t + 1) != 0;
					mine.push_back(got);
				} else {
					shared += owner[mine.back()].exchange(0) != t + 1;
					lw_pool_put(p, mine.back());
					mine.pop_back();
				}
			}
			for (uint32_t i : mine) {
				owner[i] = 0;
				lw_pool_put(p, i);
			}
		});
	for (auto &t : threads)
		t.join();
	EXPECT_EQ(shared, 0);
	std::set<uint32_t> all;
	for (uint32_t i; (i = lw_pool_get(p)) != UINT32_MAX;)
		ASSERT_TRUE(all.insert(i).second);
	EXPECT_EQ(all.size(), max);
	lw_pool_free(p);
}
