/*
 * The accept queue (include/tas/region.h, docs/decisions/0007): takers of two programs, the core
 * that binds, the daemon that requeues what a killed taker had claimed. In every interleaving each
 * connection is bound at most once, none stays behind while somebody waits, and one that a dead
 * program had not bound goes to a living one.
 *
 * The second model is the head hint alone: whatever takers, givers-back and the daemon do, a queued
 * entry is found.
 */
#include <gtest/gtest.h>
#include "explore.h"
#define _Static_assert static_assert /* region.h is C */
#include "tas/region.h"

using explore::atomically;
using explore::cas;
using explore::load;
using explore::memory;
using explore::store;
using explore::wait;

namespace
{

/* --- Who gets the connection.
 * ------------------------------------------------------------------------------- */

constexpr uint64_t kTicket = 7;
constexpr uint64_t kQueued = TAS_ACCEPT_WORD(TAS_ACCEPT_QUEUED, 0, kTicket);

enum Word {
	kAccept,   /* the entry's word */
	kPlace,	   /* daemon's own: the place holds the connection */
	kOwner,	   /* core's own: app that the flow is bound to, 0 = the daemon, 9 = closed */
	kBinds,	   /* how often it was bound */
	kClaimed1, /* the program has claimed and rung (its slot names the flow) */
	kClaimed2,
	kRefused1, /* the core has told it: not yours */
	kRefused2,
	kDead1,	  /* what the pidfd of program 1 says */
	kDel1,	  /* SP_APP_DEL sent */
	kTakenBy, /* FP_EV_TAKEN on its way */
	kWords
};

struct Rules {
	bool requeue = true;	 /* the daemon gives a dead claimer's entry back */
	bool check_word = true;	 /* the core looks at the word before it binds */
	bool check_owner = true; /* ... and at the flow's owner */
	bool claim_by_cas = true;
};

void taker(uint64_t app, const Rules &rules)
{
	uint64_t *mine = &memory[app == 1 ? kClaimed1 : kClaimed2];
	uint64_t word;

	for (;;) {
		wait([] { return TAS_ACCEPT_KIND(memory[kAccept]) == TAS_ACCEPT_QUEUED; },
			[] { return 0; });
		word = load(&memory[kAccept]);
		if (TAS_ACCEPT_KIND(word) != TAS_ACCEPT_QUEUED)
			continue;
		const uint64_t claimed = TAS_ACCEPT_WORD(TAS_ACCEPT_TAKEN, app, word);
		if (!rules.claim_by_cas)
			store(&memory[kAccept], claimed);
		else if (!cas(&memory[kAccept], &word, claimed))
			continue;
		break;
	}
	store(mine, 1);
}

/* The core: looks at rung slots, binds or refuses; an ended program's flow is closed. */
void core_look(uint64_t app, const Rules &rules)
{
	uint64_t word = load(&memory[kAccept]);
	bool held = load(&memory[kOwner]) != 0;

	if ((rules.check_word && word != TAS_ACCEPT_WORD(TAS_ACCEPT_TAKEN, app, kTicket)) ||
		(rules.check_owner && held)) {
		store(&memory[app == 1 ? kRefused1 : kRefused2], 1);
		return;
	}
	atomically([app] {
		memory[kOwner] = app;
		memory[kBinds]++;
		memory[kTakenBy] = app;
		return 0;
	});
}

void core(const Rules &rules)
{
	bool seen[3] = {false, false, false};
	bool deleted = false;

	for (;;) {
		uint64_t what = wait(
			[&] {
				return (memory[kClaimed1] && !seen[1] && !deleted) ||
				       (memory[kClaimed2] && !seen[2]) ||
				       (memory[kDel1] && !deleted);
			},
			[&]() -> uint64_t {
				if (memory[kDel1] && !deleted)
					return 3;
				return memory[kClaimed1] && !seen[1] && !deleted ? 1 : 2;
			});
		if (what == 3) {
			deleted = true;
			atomically([] {
				return memory[kOwner] = memory[kOwner] == 1 ? 9 : memory[kOwner];
			});
			continue;
		}
		seen[what] = true;
		core_look(what, rules);
	}
}

/* The daemon: empties the entry when the core has said so; requeues when the claimer has died, as
 * listener.c does: at once, before the cores know. */
void daemon_side(const Rules &rules)
{
	bool reaped = false;

	for (;;) {
		uint64_t what =
			wait([&] { return memory[kTakenBy] != 0 || (memory[kDead1] && !reaped); },
				[&]() -> uint64_t { return memory[kTakenBy] != 0 ? 1 : 2; });
		if (what == 1) {
			atomically([] {
				memory[kTakenBy] = 0;
				memory[kPlace] = 0;
				return memory[kAccept] = TAS_ACCEPT_EMPTY;
			});
			continue;
		}
		reaped = true;
		uint64_t held = load(&memory[kPlace]);
		uint64_t word = load(&memory[kAccept]);
		if (rules.requeue && held != 0 &&
			word == TAS_ACCEPT_WORD(TAS_ACCEPT_TAKEN, 1, kTicket))
			store(&memory[kAccept], kQueued);
		store(&memory[kDel1], 1);
	}
}

std::string judge(const explore::World &w)
{
	bool dead1 = w.procs[0].dead;
	uint64_t owner = memory[kOwner];

	if (memory[kBinds] > 1)
		return "bound twice";
	if (owner == 0)
		return "the connection stays with the daemon while a taker waits or believes it "
		       "has it";
	if (owner == 1 && dead1)
		return "bound to a dead program for good";
	if (owner == 9 && !dead1)
		return "closed though nobody died";
	if (owner != 9 && !memory[owner == 1 ? kClaimed1 : kClaimed2])
		return "bound to who did not claim";
	if (owner == 9 && !memory[kClaimed1])
		return "closed with a program that never rang";
	if (memory[kPlace] != 0)
		return "the place is never free again";
	if (!dead1 && memory[kRefused1] && memory[kRefused2])
		return "both were refused";
	return "";
}

explore::Result run(const Rules &rules, bool mortal)
{
	explore::Explorer ex(kWords,
		{
			{"taker 1", [&] { taker(1, rules); }, mortal, [] { memory[kDead1] = 1; }},
			{"taker 2", [&] { taker(2, rules); }, false},
			{"core", [&] { core(rules); }, false},
			{"daemon", [&] { daemon_side(rules); }, false},
		});
	ex.init = [] {
		memory[kAccept] = kQueued;
		memory[kPlace] = 1;
	};
	ex.check = judge;
	return ex.run();
}

TEST(AcceptModel, Two_takers_one_connection)
{
	explore::Result r = run(Rules(), false);

	EXPECT_EQ(r.failure, "") << explore::describe(r);
	EXPECT_GT(r.ends, 1u);
}

TEST(AcceptModel, A_taker_killed_at_any_step_loses_nothing_it_had_not_bound)
{
	explore::Result r = run(Rules(), true);

	EXPECT_EQ(r.failure, "") << explore::describe(r);
	EXPECT_GT(r.ends, 10u);
	printf("%llu states, %llu ends\n", (unsigned long long)r.states,
		(unsigned long long)r.ends);
}

TEST(AcceptModelTwin, Not_requeueing_is_caught)
{
	Rules rules;

	rules.requeue = false;
	EXPECT_NE(run(rules, true).failure, "");
}

TEST(AcceptModelTwin, Claiming_without_compare_and_swap_is_caught)
{
	Rules rules;

	rules.claim_by_cas = false;
	rules.check_owner = false;
	EXPECT_NE(run(rules, false).failure, "");
}

TEST(AcceptModelTwin, A_core_that_believes_the_ring_is_caught)
{
	Rules rules;

	rules.check_word = false;
	rules.check_owner = false;
	EXPECT_NE(run(rules, true).failure, "");
}

/* --- The head hint.
 * --------------------------------------------------------------------------------------------- */

constexpr uint32_t kPlaces = 4;
constexpr uint64_t kFilled = 3; /* connections queued at first */

enum { kHead = kPlaces, kTail, kHintWords };

uint64_t queued(uint64_t ticket)
{
	return TAS_ACCEPT_WORD(TAS_ACCEPT_QUEUED, 0, ticket);
}

uint64_t *place(uint64_t i)
{
	return &memory[i % kPlaces];
}

/* Index of the first queued entry from the hint on, or ~0; every read a step. */
uint64_t first_queued(uint64_t *head)
{
	uint64_t tail = load(&memory[kTail]);

	*head = load(&memory[kHead]);
	for (uint64_t i = tail - *head > kPlaces ? tail - kPlaces : *head; i < tail; i++) {
		if (TAS_ACCEPT_KIND(load(place(i))) == TAS_ACCEPT_QUEUED)
			return i;
	}
	return ~0ull;
}

/* Moves the hint back to `index` if it is beyond. */
void hint_back(uint64_t index)
{
	uint64_t head = load(&memory[kHead]);

	while ((int64_t)(head - index) > 0 && !cas(&memory[kHead], &head, index))
		;
}

/* After moving the hint over [from, at): what was given back meanwhile must not be left behind. */
void look_again(uint64_t from, uint64_t at)
{
	for (uint64_t i = from; i < at; i++) {
		if (TAS_ACCEPT_KIND(load(place(i))) == TAS_ACCEPT_QUEUED) {
			hint_back(i);
			return;
		}
	}
}

/* Index claimed, or ~0 when nothing was found. */
uint64_t claim(uint64_t app, bool careful)
{
	uint64_t head, at, word;

	for (;;) {
		at = first_queued(&head);
		if (at == ~0ull)
			return at;
		word = load(place(at));
		if (TAS_ACCEPT_KIND(word) != TAS_ACCEPT_QUEUED)
			continue;
		if (cas(place(at), &word, TAS_ACCEPT_WORD(TAS_ACCEPT_TAKEN, app, word)))
			break;
	}
	uint64_t from = head;
	if (cas(&memory[kHead], &head, at + 1) && careful)
		look_again(from, at);
	return at;
}

/* No descriptor could be had: back into the queue, the word first. */
void unclaim(uint64_t index)
{
	uint64_t word = load(place(index));

	cas(place(index), &word, queued(word));
	hint_back(index);
}

void hint_taker(uint64_t app, bool gives_back, bool careful)
{
	uint64_t index = claim(app, careful);

	if (gives_back && index != ~0ull)
		unclaim(index);
}

/*
 * The daemon requeues what dead program 3 had claimed: all words, then the hint a whole turn back,
 * to a value that it did not have (accept.c).
 */
void hint_requeue()
{
	for (uint64_t i = 0; i < kPlaces; i++) {
		uint64_t word = load(place(i));

		if (TAS_ACCEPT_KIND(word) == TAS_ACCEPT_TAKEN && word >> 32 == (2u << 30 | 3u))
			store(place(i), queued(word));
	}
	uint64_t head = load(&memory[kTail]) - kPlaces;

	if (load(&memory[kHead]) == head)
		head--;
	store(&memory[kHead], head);
}

std::string nothing_left_behind(const explore::World &)
{
	bool waits = false, found = false;

	for (uint64_t i = 0; i < kPlaces; i++)
		waits |= TAS_ACCEPT_KIND(memory[i]) == TAS_ACCEPT_QUEUED;
	uint64_t tail = memory[kTail], head = memory[kHead];
	for (uint64_t i = tail - head > kPlaces ? tail - kPlaces : head; i < tail; i++)
		found |= TAS_ACCEPT_KIND(*place(i)) == TAS_ACCEPT_QUEUED;
	return waits && !found ? "a queued connection lies behind the hint" : "";
}

explore::Result run_hint(bool careful, bool requeue)
{
	std::vector<explore::Process> procs = {
		{"giver-back", [=] { hint_taker(1, true, careful); }, false},
		{"taker", [=] { hint_taker(2, false, careful); }, false},
	};
	if (requeue)
		procs.push_back({"daemon", [] { hint_requeue(); }, false});
	else
		procs.push_back({"second taker", [=] { hint_taker(4, false, careful); }, false});
	explore::Explorer ex(kHintWords, procs);
	ex.init = [=] {
		for (uint64_t i = 0; i < kFilled; i++)
			memory[i] = queued(100 + i);
		if (requeue)
			memory[0] = TAS_ACCEPT_WORD(TAS_ACCEPT_TAKEN, 3, 100);
		memory[kHead] = 0x10000 * kPlaces; /* any multiple of the places */
		memory[kTail] = memory[kHead] + kFilled;
	};
	ex.check = nothing_left_behind;
	return ex.run();
}

TEST(AcceptHint, Nothing_queued_is_left_behind)
{
	for (bool requeue : {false, true}) {
		explore::Result r = run_hint(true, requeue);

		EXPECT_EQ(r.failure, "") << explore::describe(r);
		EXPECT_GT(r.states, 1000u);
		printf("%llu states, %llu ends\n", (unsigned long long)r.states,
			(unsigned long long)r.ends);
	}
}

TEST(AcceptHintTwin, Moving_the_hint_without_looking_again_is_caught)
{
	EXPECT_NE(run_hint(false, false).failure, "");
}

} // namespace
