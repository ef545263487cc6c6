/*
 * numbers.h - where a random test draws from: a seed, or the bytes of a fuzzer, so that one driver
 * serves the seeded suite and the libFuzzer target.
 */
#ifndef TESTS_FUZZ_NUMBERS_H
#define TESTS_FUZZ_NUMBERS_H

#include <cstddef>
#include <cstdint>
#include <random>

class Numbers
{
      public:
	explicit Numbers(uint32_t seed) : rnd(seed)
	{
	}
	Numbers(const uint8_t *p, size_t n) : in(p), left(n)
	{
	}

	/* A seed has no end; bytes have, and are zeros behind it. */
	bool at_end() const
	{
		return in != nullptr && left == 0;
	}

	uint32_t operator()()
	{
		return in != nullptr ? take(4) : (uint32_t)rnd();
	}

	/* 0 to n - 1, of as few bytes as that takes. */
	uint32_t below(uint32_t n)
	{
		if (in == nullptr)
			return (uint32_t)(rnd() % n);
		return take(n <= 256 ? 1 : n <= 65536 ? 2 : 4) % n;
	}

      private:
	const uint8_t *in = nullptr;
	size_t left = 0;
	std::mt19937 rnd;

	uint32_t take(int n)
	{
		uint32_t v = 0;

		for (; n > 0; n--, left -= left != 0)
			v = v << 8 | (left != 0 ? *in++ : 0);
		return v;
	}
};

#endif
