/*
 * One flow against random hostile input from fixed seeds: the same steps as the fuzz target, as a
 * plain test.
 */
#include <gtest/gtest.h>
#include <random>
#include "tests/fuzz/tcp_input.h"

TEST(Hostile, random_lives_break_no_invariant)
{
	for (uint32_t seed = 1; seed <= 6000; seed++) {
		std::mt19937 rng(seed);
		std::vector<uint8_t> in(50 + rng() % 3000);

		for (auto &x : in)
			x = (uint8_t)rng();
		ASSERT_EQ("", TcpInput(in.data(), in.size()).run()) << "seed " << seed;
	}
}
