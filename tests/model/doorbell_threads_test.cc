/*
 * The doorbell with real threads: what the interleaving model cannot show (memory ordering,
 * signals, the kernel's sleeping). Every wait is bounded by a generous hang detector; nothing else
 * depends on time. TAS_SEED chooses the random yields.
 */
#include <algorithm>
#include <atomic>
#include <cstring>
#include <cstdlib>
#include <memory>
#include <random>
#include <set>
#include <thread>
#include <vector>
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "tas/doorbell.h"
#include "seed.h"

namespace
{

constexpr int kHangS = 60;
constexpr uint32_t kSlots = 64 * 64 + 64;

struct Bell {
	tas_bell *bell;
	int efd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	std::vector<uint64_t> published = std::vector<uint64_t>(kSlots);
	std::vector<uint64_t> seen = std::vector<uint64_t>(kSlots);
	std::atomic<bool> stop{false}, hung{false};
	uint64_t sleeps = 0;

	Bell()
	{
		bell = (tas_bell *)aligned_alloc(TAS_CACHELINE, tas_bell_size(kSlots));
		memset(bell, 0, tas_bell_size(kSlots));
	}
	~Bell()
	{
		free(bell);
		close(efd);
	}
	void wake(bool exchange)
	{
		uint64_t one = 1;

		if (!tas_load_sc(&bell->sleeping) || (exchange && !tas_xchg(&bell->sleeping, 0u)))
			return;
		ASSERT_EQ(write(efd, &one, sizeof(one)), (ssize_t)sizeof(one));
	}
	void ring(uint32_t slot, uint64_t value, bool exchange)
	{
		tas_store(&published[slot], value);
		tas_bell_ring(bell, slot);
		wake(exchange);
	}
	/* Sleeps until woken; true when nothing came for so long that it must be a hang. */
	bool sleep()
	{
		pollfd p = {efd, POLLIN, 0};
		uint64_t count;

		tas_store(&bell->sleeping, 1u);
		tas_full_barrier();
		if (!tas_bell_pending(bell) && !stop) {
			sleeps++;
			if (poll(&p, 1, kHangS * 1000) == 0)
				return true;
		}
		tas_store(&bell->sleeping, 0u);
		while (read(efd, &count, sizeof(count)) > 0)
			;
		return false;
	}
	/* Takes until `finished`; news are copied to seen. */
	template <class F> void listen(F &&finished)
	{
		uint32_t cursor = 0, first = 0;

		while (!finished()) {
			uint64_t bits = tas_bell_take(bell, kSlots, &cursor, &first);

			for (; bits != 0; bits &= bits - 1) {
				uint32_t slot = first + (uint32_t)__builtin_ctzll(bits);

				tas_store_rel(&seen[slot], tas_load_acq(&published[slot]));
			}
			if (!tas_bell_pending(bell) && !finished() && sleep()) {
				hung = true;
				return;
			}
		}
	}
};

void rings_and_yields(
	Bell &b, uint64_t s, uint32_t first_slot, uint32_t nslots, uint64_t rounds, bool exchange)
{
	std::mt19937_64 rnd(s);
	std::vector<uint64_t> value(nslots);

	for (uint64_t i = 0; i < rounds; i++) {
		uint32_t k = (uint32_t)(rnd() % nslots);
		b.ring((first_slot + k * 67) % kSlots, ++value[k], exchange);
		if (rnd() % 4 == 0)
			sched_yield();
		if (rnd() % 64 == 0) /* let the listener fall asleep */
			usleep(50);
	}
	for (uint32_t k = 0; k < nslots; k++)
		b.ring((first_slot + k * 67) % kSlots, rounds + 1, exchange);
}

class Threads : public testing::TestWithParam<bool>
{
};

/* Three ringers on slots that share words; the last value of every slot arrives, however often the
 * listener slept. */
TEST_P(Threads, Every_last_value_arrives)
{
	constexpr uint64_t kRounds = 20000;
	constexpr uint32_t kEach = 16;
	uint64_t s = test_seed();
	SCOPED_TRACE(test_seed_text());
	Bell b;
	uint32_t starts[] = {0, 1, 2};
	std::vector<std::thread> ringers;

	for (uint32_t start : starts)
		ringers.emplace_back([&b, s, start] {
			rings_and_yields(b, s + start, start, kEach, kRounds, GetParam());
		});
	b.listen([&] {
		for (uint32_t start : starts)
			for (uint32_t k = 0; k < kEach; k++)
				if (b.seen[(start + k * 67) % kSlots] != kRounds + 1)
					return false;
		return true;
	});
	for (auto &t : ringers)
		t.join();
	EXPECT_FALSE(b.hung) << "asleep for " << kHangS << " s with news";
	printf("slept %llu times\n", (unsigned long long)b.sleeps);
}

INSTANTIATE_TEST_SUITE_P(DoorbellThreads, Threads, testing::Bool(),
	[](const auto &row) { return row.param ? "wake_by_exchange" : "wake_by_load"; });

/* Slots found by a listener that starts at `cursor`. */
std::vector<uint32_t> taken(tas_bell *bell, uint32_t cursor)
{
	std::vector<uint32_t> slots;
	uint32_t first;

	while (uint64_t bits = tas_bell_take(bell, kSlots, &cursor, &first))
		for (; bits != 0; bits &= bits - 1)
			slots.push_back(first + (uint32_t)__builtin_ctzll(bits));
	return slots;
}

/* A ringer that is held after its first or second store takes nobody else's news with it. */
TEST(Doorbell, A_ring_beside_a_half_made_one_is_found)
{
	for (uint32_t other : {6u, 70u, 4096u}) {
		for (bool second_store : {false, true}) {
			Bell b;

			tas_fetch_or(&b.bell->words[64], 1ull << 5);
			if (second_store)
				tas_fetch_or(&b.bell->words[0], 1ull);
			tas_bell_ring(b.bell, other);
			auto slots = taken(b.bell, 0);
			EXPECT_NE(std::find(slots.begin(), slots.end(), other), slots.end())
				<< other;
		}
	}
}

/* Against a set of slots: everything rung is found once, in any order of ringing and from any
 * cursor. */
TEST(Doorbell, Takes_exactly_what_was_rung)
{
	uint64_t s = test_seed();
	SCOPED_TRACE(test_seed_text());
	std::mt19937_64 rnd(s);

	for (int round = 0; round < 300; round++) {
		Bell b;
		std::set<uint32_t> rung;
		uint32_t n = (uint32_t)(rnd() % 300), span = 1u << (rnd() % 13);

		for (uint32_t i = 0; i < n; i++) {
			uint32_t slot = (uint32_t)(rnd() % std::min(span, kSlots));
			tas_bell_ring(b.bell, slot);
			rung.insert(slot);
		}
		auto slots = taken(b.bell, (uint32_t)(rnd() % (kSlots / 64)));
		EXPECT_EQ(slots.size(), rung.size());
		EXPECT_EQ(std::set<uint32_t>(slots.begin(), slots.end()), rung);
		EXPECT_FALSE(tas_bell_pending(b.bell) && !taken(b.bell, 0).empty());
	}
}

/* Every word set by a hostile process: each slot is found once or not at all, nothing else is
 * touched, it ends. */
TEST(Doorbell, All_bits_set_end)
{
	Bell b;

	memset(b.bell, 0xff, tas_bell_size(kSlots));
	auto slots = taken(b.bell, 17);
	EXPECT_EQ(slots.size(), kSlots);
	for (uint32_t slot : slots)
		EXPECT_LT(slot, kSlots);
	EXPECT_FALSE(tas_bell_pending(b.bell));
}

} // namespace
