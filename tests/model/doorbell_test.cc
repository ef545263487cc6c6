/*
 * The doorbell (include/tas/doorbell.h), its code itself, in every interleaving of ringers and a
 * listener that sleeps: nothing published stays unseen while the listener sleeps. Broken twins show
 * that the model would notice.
 */
#include <gtest/gtest.h>
#include "explore.h"

/* doorbell.h with each of its atomic operations a step of the model. */
#define TAS_ATOMIC_H
#define TAS_CACHELINE	    64
#define tas_load(p)	    explore::load(p)
#define tas_load_sc(p)	    explore::load(p)
#define tas_store(p, v)	    explore::store((p), (v))
#define tas_xchg(p, v)	    explore::rmw((p), [&](auto) { return (v); })
#define tas_fetch_or(p, v)  explore::rmw((p), [&](auto old) { return old | (v); })
#define tas_fetch_and(p, v) explore::rmw((p), [&](auto old) { return old & (v); })
#define tas_full_barrier()  ((void)0)
#include "tas/doorbell.h"

namespace
{

constexpr uint32_t kSlots = 64 * 64 + 64; /* 65 leaves under two mid words */
constexpr size_t kBellWords = 8 + 64 + kSlots / 64;
constexpr size_t kRingers = 3;

/* The shared memory: a bell, then the model's own words. */
tas_bell *bell()
{
	return (tas_bell *)explore::memory.data();
}
uint64_t *eventfd_word()
{
	return &explore::memory[kBellWords];
}
uint64_t *published(size_t k)
{
	return &explore::memory[kBellWords + 1 + k];
}
uint64_t *seen(size_t k)
{
	return &explore::memory[kBellWords + 1 + kRingers + k];
}
constexpr size_t kWords = kBellWords + 1 + 2 * kRingers;

using Ring = void (*)(tas_bell *, uint32_t);
using Take = uint64_t (*)(tas_bell *, uint32_t, uint32_t *, uint32_t *);
using Wake = void (*)();

void write_eventfd()
{
	explore::rmw(eventfd_word(), [](uint64_t v) { return v + 1; });
}

/* An event queue's ringer: the daemon, which may write the flag. */
void wake_exchange()
{
	if (tas_load(&bell()->sleeping) && tas_xchg(&bell()->sleeping, 0u))
		write_eventfd();
}

/* A core's ringer: a program, which sees the flag read-only. */
void wake_load()
{
	if (tas_load(&bell()->sleeping))
		write_eventfd();
}

struct Ringer {
	uint32_t slot;
	uint64_t times;
	bool mortal;
};

void ringer(size_t k, const Ringer &r, Ring ring, Wake wake)
{
	for (uint64_t n = 1; n <= r.times; n++) {
		explore::store(published(k), n);
		ring(bell(), r.slot);
		wake();
	}
}

/* What the listener does with the bits of one leaf word. */
void consume(const std::vector<Ringer> &ringers, uint32_t first, uint64_t bits)
{
	for (size_t k = 0; k < ringers.size(); k++) {
		uint32_t slot = ringers[k].slot;

		if (slot < first || slot >= first + 64 || !(bits >> (slot - first) & 1))
			continue;
		explore::step([&] { return *seen(k) = *published(k); });
	}
}

enum ListenerFault { kSound, kNoSecondLook, kLookBeforeFlag };

uint64_t sleep_on_eventfd()
{
	return explore::wait(
		[] { return *eventfd_word() > 0; }, [] { return *eventfd_word() = 0; });
}

/* Takes until nothing is rung, then sleeps as region.h says: flag, barrier, look again, sleep. */
void listener(const std::vector<Ringer> &ringers, uint32_t nslots, Take take, ListenerFault fault,
	bool asleep)
{
	constexpr uint64_t kAwake = 1ull << 32; /* beside the cursor: has begun */
	uint32_t cursor = (uint32_t)explore::entry(), first = 0;
	uint64_t bits;
	int pending;

	if (asleep && explore::entry() == 0) {
		sleep_on_eventfd();
		tas_store(&bell()->sleeping, 0u);
		explore::again(kAwake);
	}
	bits = take(bell(), nslots, &cursor, &first);
	if (bits != 0) {
		consume(ringers, first, bits);
		explore::again(cursor | kAwake);
	}
	pending = fault == kLookBeforeFlag ? tas_bell_pending(bell()) : 0;
	tas_store(&bell()->sleeping, 1u);
	tas_full_barrier();
	if (fault == kSound)
		pending = tas_bell_pending(bell());
	if (!pending)
		sleep_on_eventfd();
	tas_store(&bell()->sleeping, 0u);
	explore::again(cursor | kAwake);
}

/* A thread that looks once, until nothing is rung, and goes back to its program without sleeping.
 */
void passer_by(const std::vector<Ringer> &ringers, uint32_t nslots)
{
	uint32_t cursor = (uint32_t)explore::entry(), first = 0;
	uint64_t bits = tas_bell_take(bell(), nslots, &cursor, &first);

	if (bits == 0)
		return;
	consume(ringers, first, bits);
	explore::again(cursor);
}

struct Scene {
	std::vector<Ringer> ringers;
	Ring ring = tas_bell_ring;
	Wake wake = wake_load;
	Take take = tas_bell_take;
	ListenerFault fault = kSound;
	std::function<void()> init = [] {};
	bool passer_by = false;
	bool asleep = false; /* the listener begins asleep */
	uint32_t nslots = kSlots;
};

std::string all_seen(const explore::World &w, const Scene &s)
{
	for (size_t k = 0; k < s.ringers.size(); k++) {
		if (w.procs[k].done && *seen(k) != *published(k))
			return "asleep for ever with news of slot " +
			       std::to_string(s.ringers[k].slot);
	}
	return "";
}

explore::Result run(const Scene &s)
{
	static const char *const names[kRingers] = {"ringer A", "ringer B", "ringer C"};
	std::vector<explore::Process> procs;

	for (size_t k = 0; k < s.ringers.size(); k++) {
		procs.push_back({names[k], [&s, k] { ringer(k, s.ringers[k], s.ring, s.wake); },
			s.ringers[k].mortal});
	}
	procs.push_back({"listener",
		[&s] { listener(s.ringers, s.nslots, s.take, s.fault, s.asleep); }, false});
	if (s.passer_by)
		procs.push_back({"passer-by", [&s] { passer_by(s.ringers, s.nslots); }, false});
	explore::Explorer ex(kWords, procs);
	ex.init = s.init;
	ex.check = [&s](const explore::World &w) { return all_seen(w, s); };
	return ex.run();
}

void expect_sound(const Scene &s)
{
	explore::Result r = run(s);

	EXPECT_EQ(r.failure, "") << explore::describe(r);
	EXPECT_GT(r.ends, 0u);
	EXPECT_GT(r.states, 100u);
	printf("%llu states, %llu ends\n", (unsigned long long)r.states,
		(unsigned long long)r.ends);
}

void expect_caught(const Scene &s)
{
	explore::Result r = run(s);

	EXPECT_NE(r.failure, "") << r.states << " states and no lost wake-up found";
}

TEST(DoorbellModel, One_ringer_twice)
{
	expect_sound({{{5, 2, false}}});
	Scene s{{{5, 2, false}}};
	s.wake = wake_exchange;
	expect_sound(s);
}

TEST(DoorbellModel, Two_ringers_one_leaf)
{
	expect_sound({{{5, 1, false}, {6, 1, false}}});
	Scene s{{{5, 1, false}, {6, 1, false}}};
	s.wake = wake_exchange;
	expect_sound(s);
}

TEST(DoorbellModel, Two_ringers_two_leaves_of_one_word)
{
	expect_sound({{{5, 1, false}, {70, 1, false}}});
}

TEST(DoorbellModel, Two_ringers_two_middle_words)
{
	expect_sound({{{5, 1, false}, {4096, 1, false}}});
}

TEST(DoorbellModel, Same_slot_from_two_threads)
{
	expect_sound({{{5, 1, false}, {5, 1, false}}});
}

/* A thread held for ever inside its ring (killed, or in a signal handler that waits for an answer).
 */
TEST(DoorbellModel, Held_ringer_does_not_silence_its_neighbours)
{
	expect_sound({{{5, 1, true}, {6, 1, false}}});
	expect_sound({{{5, 1, true}, {70, 1, false}}});
	expect_sound({{{5, 1, true}, {4096, 1, false}}});
}

/* Two listeners: what one leaves in the bell the other is woken for. */
TEST(DoorbellModel, Second_listener_that_goes_leaves_nothing_behind)
{
	for (Wake wake : {wake_load, wake_exchange}) {
		Scene s{{{5, 1, false}}};

		s.passer_by = true;
		s.wake = wake;
		expect_sound(s);
	}
}

/* Another leaf of the same middle word was rung before: one listener may be clearing what the other
 * is woken for. */
TEST(DoorbellModel, Second_listener_beside_older_news)
{
	Scene s{{{70, 1, false}}};

	s.passer_by = true;
	s.nslots = 128; /* one middle word: fewer steps */
	s.asleep = true;
	s.init = [] {
		bell()->sleeping = 1;
		bell()->words[64] = 1ull << 5;
		bell()->words[0] = 1;
		bell()->root = 1;
	};
	expect_sound(s);
}

/* Summary bits that mean nothing: set by a program that writes its region at will. */
TEST(DoorbellModel, Garbage_in_the_summaries_hides_nothing)
{
	Scene s{{{4096, 1, false}}};

	s.init = [] {
		bell()->root = 0x8000000000000002ull;
		bell()->words[1] = 2; /* a leaf that does not exist */
		bell()->sleeping = 1;
	};
	expect_sound(s);
}

/* The twins. */

/* Returning as soon as a level is set leaves the news to whoever set it, who may never go on. */
void ring_early_return(tas_bell *b, uint32_t slot)
{
	uint32_t leaf = slot / 64, mid = leaf / 64;

	if (tas_fetch_or(&b->words[64 + leaf], 1ull << (slot & 63)) != 0)
		return;
	if (tas_fetch_or(&b->words[mid], 1ull << (leaf & 63)) != 0)
		return;
	tas_fetch_or(&b->root, 1ull << mid);
}

void ring_top_down(tas_bell *b, uint32_t slot)
{
	tas_fetch_or(&b->root, 1ull << (slot / 4096));
	tas_fetch_or(&b->words[slot / 4096], 1ull << (slot / 64 & 63));
	tas_fetch_or(&b->words[64 + slot / 64], 1ull << (slot & 63));
}

TEST(DoorbellModelTwin, Early_return_is_caught)
{
	Scene s{{{5, 1, true}, {6, 1, false}}};

	s.ring = ring_early_return;
	expect_caught(s);
}

TEST(DoorbellModelTwin, Ringing_top_down_is_caught)
{
	Scene s{{{5, 1, false}}};

	s.ring = ring_top_down;
	expect_caught(s);
}

TEST(DoorbellModelTwin, No_second_look_is_caught)
{
	Scene s{{{5, 1, false}}};

	s.fault = kNoSecondLook;
	expect_caught(s);
	s.fault = kLookBeforeFlag;
	expect_caught(s);
}

void ring_after_wake(tas_bell *b, uint32_t slot)
{
	wake_load();
	tas_bell_ring(b, slot);
}

TEST(DoorbellModelTwin, Waking_before_ringing_is_caught)
{
	Scene s{{{5, 1, false}}};

	s.ring = ring_after_wake;
	s.wake = [] {};
	expect_caught(s);
}

/* One mid word, 64 leaves at most: enough for twins of the listener. */
uint64_t take_twin(tas_bell *b, uint32_t *first, bool leaf_first, bool look_again)
{
	uint64_t mid, bits = 0;

	if (!(tas_load(&b->root) & 1))
		return 0;
	for (mid = tas_load(&b->words[0]); mid != 0 && bits == 0; mid &= mid - 1) {
		uint32_t leaf = (uint32_t)__builtin_ctzll(mid);

		if (leaf_first)
			bits = tas_xchg(&b->words[64 + leaf], 0ull);
		tas_fetch_and(&b->words[0], ~(1ull << leaf));
		if (!leaf_first)
			bits = tas_xchg(&b->words[64 + leaf], 0ull);
		*first = leaf * 64;
	}
	if (bits == 0 && tas_load(&b->words[0]) == 0) {
		tas_fetch_and(&b->root, ~1ull);
		if (look_again && tas_load(&b->words[0]) != 0)
			tas_fetch_or(&b->root, 1ull);
	}
	return bits;
}

TEST(DoorbellModelTwin, Listener_twin_is_sound_when_nothing_is_broken)
{
	Scene s{{{5, 1, false}, {6, 1, false}}};

	s.take = [](tas_bell *b, uint32_t, uint32_t *, uint32_t *first) {
		return take_twin(b, first, false, true);
	};
	expect_sound(s);
}

TEST(DoorbellModelTwin, Taking_the_leaf_before_its_summary_is_caught)
{
	Scene s{{{5, 1, false}, {6, 1, false}}};

	s.take = [](tas_bell *b, uint32_t, uint32_t *, uint32_t *first) {
		return take_twin(b, first, true, true);
	};
	expect_caught(s);
}

TEST(DoorbellModelTwin, Not_looking_again_under_the_root_is_caught)
{
	Scene s{{{5, 1, false}, {70, 1, false}}};

	s.take = [](tas_bell *b, uint32_t, uint32_t *, uint32_t *first) {
		return take_twin(b, first, false, false);
	};
	expect_caught(s);
}

} // namespace
