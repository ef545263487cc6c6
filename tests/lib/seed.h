/*
 * seed.h - where random tests get their seed: fixed unless the environment says otherwise, so that a failure in CI is a
 * failure here.
 *
 *     TAS_SEED=N        that seed                TAS_SEED=random        another one in every process
 */
#ifndef TESTS_LIB_SEED_H
#define TESTS_LIB_SEED_H

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>

inline uint64_t test_seed()
{
	static const uint64_t seed = [] {
		const char *text = getenv("TAS_SEED");

		if (text == nullptr || *text == '\0')
			return (uint64_t)20260711;
		return strcmp(text, "random") == 0 ? (uint64_t)std::random_device{}()
						   : (uint64_t)strtoull(text, nullptr, 0);
	}();

	return seed;
}

/* For SCOPED_TRACE: what to set to see a failure again. */
inline std::string test_seed_text()
{
	return "TAS_SEED=" + std::to_string(test_seed());
}

#endif
