/*
 * Sleeping and waking (docs/architecture.md, "who sleeps") in every interleaving, beside the doorbell
 * itself (doorbell_test.cc): a blocking call and its futex, the slow path and its rings, a core that
 * one kick per announcement wakes, threads that share an event queue, threads that sleep while a
 * connection's news are moved to another queue, an exclusive waiter in accept.
 * Each protocol is written down here step by step as the code has it; each has twins that leave
 * something out, which the model must catch.
 */
#include <gtest/gtest.h>
#include "explore.h"

namespace
{

using explore::atomically;
using explore::load;
using explore::memory;
using explore::rmw;
using explore::store;

constexpr size_t kThreads = 3;

enum Word : size_t {
	kNews, /* what is waited for: a count that grows */
	kSeen, /* how far the sleeper has got */
	kWake, /* the futex word of a slot */
	kWaiters,
	kSleeping, /* a flag that announces sleep */
	kSleeps,   /* announcements so far (tas_info core[].sleeps) */
	kKicked,   /* announcement that a kick has answered (libtas) */
	kCount,	   /* an eventfd that is drained */
	kSleepers, /* threads that announced themselves on a queue */
	kBell,
	kQueues,		    /* the second queue may carry news as well */
	kQueue,			    /* where they go */
	kMarked,		    /* a thread sleeps outside of epoll (LT_D_POLLED) */
	kArmed,			    /* + holder */
	kEdge = kArmed + kThreads,  /* + thread: an edge-triggered eventfd has been written */
	kAsleep = kEdge + kThreads, /* + thread: in the kernel's futex queue */
	kMine = kAsleep + kThreads, /* + thread: news for this thread alone */
	kWords = kMine + kThreads
};

uint64_t *at(size_t w, size_t k = 0)
{
	return &memory[w + k];
}

uint64_t add(size_t w, uint64_t n = 1)
{
	return rmw(at(w), [n](uint64_t v) { return v + n; });
}

uint64_t exchange(size_t w, uint64_t to)
{
	return rmw(at(w), [to](uint64_t) { return to; });
}

explore::Result run(std::vector<explore::Process> procs,
	std::function<std::string(const explore::World &)> check)
{
	explore::Explorer ex(kWords, std::move(procs));

	ex.check = std::move(check);
	return ex.run();
}

/* Everybody came to an end: whoever has not sleeps for ever. */
std::string all_done(const explore::World &w)
{
	for (size_t i = 0; i < w.procs.size(); i++)
		if (!w.procs[i].done)
			return "process " + std::to_string(i) + " sleeps for ever";
	return "";
}

void expect_sound(const explore::Result &r)
{
	EXPECT_EQ(r.failure, "") << explore::describe(r);
	EXPECT_GT(r.ends, 0u);
	EXPECT_GT(r.states, 30u);
	printf("%llu states, %llu ends\n", (unsigned long long)r.states,
		(unsigned long long)r.ends);
}

void expect_caught(const explore::Result &r)
{
	EXPECT_NE(r.failure, "") << r.states << " states and no lost wake-up found";
}

/* ---- a program in a blocking call: libtas/stream.c, fastpath/notify.c ---- */

/* The kernel's: sleeps only while the word is `value`, as one step. */
void futex_wait(size_t thread, uint64_t value)
{
	uint64_t sleeps = atomically([&] { return *at(kAsleep, thread) = *at(kWake) == value; });

	if (sleeps)
		explore::wait([&] { return *at(kAsleep, thread) == 0; }, [] { return 0; });
}

void futex_wake()
{
	atomically([] {
		for (size_t k = 0; k < kThreads; k++)
			*at(kAsleep, k) = 0;
		return 0;
	});
}

enum FutexFault { kFutexSound, kNoLook, kLookFirst, kNoCount, kWaitersFirst, kWaiterLate };

/* fp_publish, fp_ring; the system call comes at the end of the round. */
void futex_core(uint64_t times, FutexFault fault)
{
	bool wake = false;

	for (uint64_t n = 1; n <= times; n++) {
		uint64_t waiters = fault == kWaitersFirst ? load(at(kWaiters)) : 0;

		store(at(kNews), n);
		if (fault != kWaitersFirst)
			waiters = load(at(kWaiters)); /* S2 */
		if (waiters == 0)
			continue;
		if (fault != kNoCount)
			add(kWake);
		wake = true;
	}
	if (wake)
		futex_wake();
}

/* lt_conn_wait, sleep_until: until `times` news have come. */
void futex_program(size_t thread, uint64_t times, FutexFault fault)
{
	uint64_t seen;

	if (explore::entry() == 0) {
		if (load(at(kNews)) >= times)
			return;
		if (fault != kWaiterLate)
			add(kWaiters);
		explore::again(1);
	}
	if (fault == kLookFirst && load(at(kNews)) >= times)
		return;
	seen = load(at(kWake));
	if (fault != kNoLook && fault != kLookFirst && load(at(kNews)) >= times) { /* W1 */
		if (fault != kWaiterLate)
			add(kWaiters, ~0ull);
		return;
	}
	if (fault == kWaiterLate)
		add(kWaiters);
	futex_wait(thread, seen);
	if (fault == kWaiterLate)
		add(kWaiters, ~0ull);
	explore::again(1);
}

explore::Result run_futex(uint64_t times, size_t threads, FutexFault fault)
{
	std::vector<explore::Process> procs = {{"core", [=] { futex_core(times, fault); }, false}};

	for (size_t k = 0; k < threads; k++)
		procs.push_back({"thread", [=] { futex_program(k, times, fault); }, false});
	return run(procs, all_done);
}

TEST(SleepFutex, A_blocking_call_sees_its_news)
{
	expect_sound(run_futex(1, 1, kFutexSound));
	expect_sound(run_futex(3, 1, kFutexSound));
	expect_sound(run_futex(2, 2, kFutexSound));
}

TEST(SleepFutexTwin, Each_step_left_out_is_caught)
{
	for (FutexFault f : {kNoLook, kLookFirst, kNoCount, kWaitersFirst, kWaiterLate}) {
		SCOPED_TRACE(f);
		expect_caught(run_futex(2, 1, f));
	}
}

/* ---- the slow path: fastpath/events.c, fp_prepare_sleep, fp_wake_done ---- */

enum RingFault { kRingSound, kNoRingLook, kFlagBeforeRing, kNeverWake };

void ring_core(size_t core, uint64_t times, RingFault fault)
{
	for (uint64_t n = 1; n <= times; n++) {
		bool asleep = false;

		if (fault == kFlagBeforeRing)
			asleep = load(at(kSleeping)) != 0;
		store(at(kMine, core), n); /* spsc_publish */
		if (fault != kFlagBeforeRing)
			asleep = load(at(kSleeping)) != 0; /* E1 */
		if (asleep && exchange(kSleeping, 0) != 0 && fault != kNeverWake)
			add(kCount);
	}
}

/* Takes from every ring; ends when all `times` of each core have come. */
bool take_rings(size_t cores, uint64_t times)
{
	bool all = true;

	for (size_t k = 0; k < cores; k++)
		all &= atomically([&] { return *at(kAsleep, k) = *at(kMine, k); }) == times;
	return all;
}

bool rings_pending(size_t cores)
{
	for (size_t k = 0; k < cores; k++)
		if (load(at(kMine, k)) != *at(kAsleep, k)) /* the second is its own */
			return true;
	return false;
}

void ring_slow_path(size_t cores, uint64_t times, RingFault fault)
{
	if (take_rings(cores, times))
		return;
	store(at(kSleeping), 1u);
	if (fault == kNoRingLook || !rings_pending(cores))
		explore::wait([] { return *at(kCount) != 0; }, [] { return 0; }); /* level */
	store(at(kSleeping), 0u);
	exchange(kCount, 0);
	explore::again(1);
}

explore::Result run_rings(size_t cores, uint64_t times, RingFault fault)
{
	std::vector<explore::Process> procs = {
		{"slow path", [=] { ring_slow_path(cores, times, fault); }, false}};

	for (size_t k = 0; k < cores; k++)
		procs.push_back({"core", [=] { ring_core(k, times, fault); }, false});
	return run(procs, all_done);
}

TEST(SleepSlowPath, Every_event_is_taken)
{
	expect_sound(run_rings(1, 3, kRingSound));
	expect_sound(run_rings(2, 2, kRingSound));
}

TEST(SleepSlowPathTwin, Each_step_left_out_is_caught)
{
	for (RingFault f : {kNoRingLook, kFlagBeforeRing, kNeverWake}) {
		SCOPED_TRACE(f);
		expect_caught(run_rings(1, 2, f));
	}
}

/* ---- a core: core_sleep; kick_core of libtas, one kick per announcement; fp_core_wake ---- */

enum KickFault { kKickSound, kNoCoreLook, kKickOnce };

void write_edge()
{
	exchange(kEdge, 1);
}

/* lt_ring of one thread; `kKicked` is the process's. */
void kick_program(size_t thread, uint64_t times, KickFault fault)
{
	for (uint64_t n = 1; n <= times; n++) {
		uint64_t asleep, sleeps;

		store(at(kMine, thread), n); /* the bell: a full barrier */
		asleep = load(at(kSleeping));
		if (asleep == 0)
			continue;
		sleeps = load(at(kSleeps));
		if (load(at(kKicked)) == (fault == kKickOnce ? 1 : sleeps))
			continue;
		write_edge();
		store(at(kKicked), fault == kKickOnce ? 1 : sleeps);
	}
}

void kick_core(size_t threads, uint64_t times, KickFault fault)
{
	uint64_t seq = explore::entry() + 1;

	if (take_rings(threads, times))
		return;
	store(at(kSleeps), seq);
	store(at(kSleeping), 1u);
	if (fault == kNoCoreLook || !rings_pending(threads)) /* W2 */
		explore::wait([] { return *at(kEdge) != 0; }, [] { return *at(kEdge) = 0; });
	store(at(kSleeping), 0u);
	explore::again(seq);
}

explore::Result run_kicks(size_t threads, uint64_t times, KickFault fault)
{
	std::vector<explore::Process> procs = {
		{"core", [=] { kick_core(threads, times, fault); }, false}};

	for (size_t k = 0; k < threads; k++)
		procs.push_back({"thread", [=] { kick_program(k, times, fault); }, false});
	return run(procs, all_done);
}

TEST(SleepCore, Every_ring_is_heard)
{
	expect_sound(run_kicks(1, 3, kKickSound));
	expect_sound(run_kicks(2, 1, kKickSound));
}

TEST(SleepCoreTwin, Each_step_left_out_is_caught)
{
	for (KickFault f : {kNoCoreLook, kKickOnce}) {
		SCOPED_TRACE(f);
		expect_caught(run_kicks(1, 3, f));
	}
}

/* ---- threads that share an event queue: lt_queue_announce, retract_one; wake_evq ---- */

enum QueueFault { kQueueSound, kNoQueueLook, kNoReannounce, kNoRekick };

void kick_sleepers()
{
	atomically([] {
		for (size_t k = 0; k < kThreads; k++)
			*at(kEdge, k) = 1;
		return 0;
	});
}

/* The daemon: news for each thread in turn, one bell, one flag, one eventfd. */
void queue_daemon(size_t threads)
{
	for (size_t k = 0; k < threads; k++) {
		store(at(kMine, k), 1u);
		exchange(kBell, 1);
		if (load(at(kSleeping)) != 0 && exchange(kSleeping, 0) != 0) /* S1 */
			kick_sleepers();
	}
}

void queue_retract(QueueFault fault)
{
	if (add(kSleepers, ~0ull) != 1)
		return;
	store(at(kSleeping), 0u);
	if (fault == kNoReannounce || load(at(kSleepers)) == 0)
		return;
	store(at(kSleeping), 1u);
	if (fault != kNoRekick && load(at(kBell)) != 0)
		kick_sleepers();
}

/* poll(): edges from before are forgotten, announce, look, sleep, retract. */
void queue_thread(size_t k, QueueFault fault)
{
	exchange(kEdge + k, 0);
	add(kSleepers);
	store(at(kSleeping), 1u); /* Q1 */
	if (fault == kNoQueueLook || load(at(kMine, k)) == 0)
		explore::wait(
			[=] { return *at(kEdge, k) != 0; }, [=] { return *at(kEdge, k) = 0; });
	queue_retract(fault);
	if (load(at(kMine, k)) == 0)
		explore::again(1);
}

explore::Result run_queue(size_t threads, QueueFault fault)
{
	std::vector<explore::Process> procs = {{"daemon", [=] { queue_daemon(threads); }, false}};

	for (size_t k = 0; k < threads; k++)
		procs.push_back({"thread", [=] { queue_thread(k, fault); }, false});
	return run(procs, all_done);
}

TEST(SleepQueue, Each_thread_gets_its_news)
{
	expect_sound(run_queue(1, kQueueSound));
	expect_sound(run_queue(2, kQueueSound));
}

TEST(SleepQueueTwin, Each_step_left_out_is_caught)
{
	for (QueueFault f : {kNoQueueLook, kNoReannounce, kNoRekick}) {
		SCOPED_TRACE(f);
		expect_caught(run_queue(2, f));
	}
}

/* ---- a thread in poll(), and epoll_ctl() beside it: lt_desc_queue, lt_queue_rouse, poll.c ---- */

enum PollFault { kPollSound, kNoMaskLook, kNoRouse, kRouseFirst, kMarkLate };

void rouse()
{
	if (load(at(kMarked)) != 0 && load(at(kSleepers)) != 0)
		store(at(kEdge, 0), 1u); /* queue 0: all such threads listen there */
}

void poll_add(PollFault fault)
{
	if (fault == kRouseFirst)
		rouse();
	exchange(kQueues, 1);
	if (fault != kNoRouse && fault != kRouseFirst)
		rouse(); /* Q2 */
	store(at(kQueue), 1u);
}

void poll_core()
{
	uint64_t q = load(at(kQueue));

	store(at(kNews), 1u);
	if (load(at(kArmed, q)) != 0 && exchange(kArmed + q, 0) != 0) /* S1 */
		store(at(kEdge, q), 1u);
}

void poll_thread(PollFault fault)
{
	uint64_t both = load(at(kQueues));

	if (fault != kMarkLate)
		store(at(kMarked), 1u);
	exchange(kEdge, 0);
	exchange(kEdge + 1, 0);
	add(kSleepers);
	store(at(kArmed, 0), 1u); /* Q1 */
	if (both != 0)
		store(at(kArmed, 1), 1u);
	if (load(at(kNews)) == 0 && (fault == kNoMaskLook || load(at(kQueues)) == both)) {
		if (fault == kMarkLate)
			store(at(kMarked), 1u);
		explore::wait(
			[=] { return (*at(kEdge, 0) | (both != 0 ? *at(kEdge, 1) : 0)) != 0; },
			[] { return 0; });
	}
	add(kSleepers, ~0ull);
	if (load(at(kNews)) == 0)
		explore::again(1);
}

explore::Result run_poll(PollFault fault)
{
	return run({{"adds", [=] { poll_add(fault); }, false}, {"core", poll_core, false},
			   {"polls", [=] { poll_thread(fault); }, false}},
		all_done);
}

TEST(SleepPoll, News_that_an_epoll_instance_draws_away_are_heard)
{
	expect_sound(run_poll(kPollSound));
}

TEST(SleepPollTwin, Each_step_left_out_is_caught)
{
	for (PollFault f : {kNoMaskLook, kNoRouse, kRouseFirst, kMarkLate}) {
		SCOPED_TRACE(f);
		expect_caught(run_poll(f));
	}
}

/*
 * ---- threads in epoll_wait(), and epoll_ctl() beside them: add, lie_down, lt_queue_rearm ----
 *
 * A socket is added that is ready, and later has news once more, on a queue that is new to the
 * instance. Each of two threads takes one and goes back to the program.
 */

enum AddFault { kAddSound, kNoInboxLook, kQueuesFirst, kRearmAnnounced, kNoStir };

/* The eventfds are edge-triggered in the instance: one of its sleepers wakes. */
void instance_edge()
{
	store(at(kEdge), 1u);
}

void instance_add(AddFault fault)
{
	store(at(kQueues), 1u);
	add(kNews);					  /* lt_epoll_inbox */
	if (fault != kNoStir && load(at(kSleepers)) != 0) /* I1 */
		instance_edge();
}

void instance_core()
{
	explore::wait([] { return *at(kQueues) != 0; }, [] { return 0; });
	exchange(kBell, 1);
	if (load(at(kSleeping)) != 0 && exchange(kSleeping, 0) != 0) /* S1 */
		instance_edge();
}

/* lt_queue_collect, take_ready: true when there was one. */
bool take_one()
{
	return atomically([] {
		if (*at(kQueues) != 0) {
			*at(kNews) += *at(kBell);
			*at(kBell) = 0;
		}
		return *at(kNews) != 0 ? (*at(kNews))-- : 0;
	}) != 0;
}

bool instance_pending()
{
	return load(at(kNews)) != 0 || (load(at(kQueues)) != 0 && load(at(kBell)) != 0);
}

/* lt_queue_rearm */
void instance_rearm(AddFault fault)
{
	if (load(at(kSleepers)) == 0 || load(at(kQueues)) == 0)
		return;
	if (fault == kRearmAnnounced && load(at(kCount)) == 0)
		return;
	store(at(kSleeping), 1u);
	if (load(at(kBell)) != 0)
		instance_edge();
}

/* Announcing and retracting are single steps here: SleepQueue takes them apart. */
void instance_announce()
{
	atomically([] {
		++*at(kCount);
		return *at(kSleeping) = 1;
	});
}

void instance_retract()
{
	atomically([] {
		if (--*at(kCount) == 0)
			*at(kSleeping) = 0;
		return 0;
	});
}

void instance_thread(AddFault fault)
{
	uint64_t both = 0;

	if (take_one()) {
		if (load(at(kSleepers)) != 0 && load(at(kNews)) != 0)
			instance_edge();
		instance_rearm(fault);
		return;
	}
	if (fault == kQueuesFirst)
		both = load(at(kQueues));
	add(kSleepers);
	if (fault != kQueuesFirst)
		both = load(at(kQueues));
	if (both != 0)
		instance_announce(); /* Q1 */
	if (fault == kNoInboxLook || !instance_pending())
		explore::wait([] { return *at(kEdge) != 0; }, [] { return *at(kEdge) = 0; });
	if (both != 0)
		instance_retract();
	add(kSleepers, ~0ull);
	explore::again(1);
}

explore::Result run_instance(AddFault fault)
{
	return run({{"adds", [=] { instance_add(fault); }, false}, {"core", instance_core, false},
			   {"thread", [=] { instance_thread(fault); }, false},
			   {"thread", [=] { instance_thread(fault); }, false}},
		all_done);
}

TEST(SleepInstance, A_socket_that_is_added_is_noticed_and_goes_on_to_be)
{
	expect_sound(run_instance(kAddSound));
}

TEST(SleepInstanceTwin, Each_step_left_out_is_caught)
{
	for (AddFault f : {kNoInboxLook, kQueuesFirst, kRearmAnnounced, kNoStir}) {
		SCOPED_TRACE(f);
		expect_caught(run_instance(f));
	}
}

/* ---- an exclusive waiter in accept: sp_accept_notify, lt_listen_arm, lt_listen_leave ---- */

enum AcceptFault { kAcceptSound, kNoArmLook, kArmLate, kLeaveSilently };

/* One armed holder is told, the next in turn that sleeps first. */
void notify_one(size_t holders)
{
	atomically([=] { /* the bell's own steps are in doorbell_test.cc */
		for (size_t k = 0; k < holders; k++) {
			if (*at(kArmed, k) == 0)
				continue;
			*at(kEdge, k) = 1;
			break;
		}
		return 0;
	});
}

void accept_daemon(size_t holders, uint64_t times)
{
	for (uint64_t n = 0; n < times; n++) {
		add(kNews); /* one more in the queue; L1 */
		notify_one(holders);
	}
}

bool claim()
{
	return rmw(at(kNews), [](uint64_t v) { return v == 0 ? 0 : v - 1; }) != 0;
}

/* Takes one connection and then for ever does something else. */
void accept_holder(size_t k, size_t holders, AcceptFault fault)
{
	bool queued = false;

	if (claim()) {
		add(kSeen);
		return;
	}
	if (fault == kArmLate)
		queued = load(at(kNews)) != 0;
	store(at(kArmed, k), 1u);
	if (fault != kArmLate && fault != kNoArmLook)
		queued = load(at(kNews)) != 0;
	if (!queued)
		explore::wait(
			[=] { return *at(kEdge, k) != 0; }, [=] { return *at(kEdge, k) = 0; });
	store(at(kArmed, k), 0u);
	/* accept() looks itself before it returns; epoll asks the daemon to tell the next. */
	if (!claim())
		explore::again(1);
	add(kSeen);
	if (fault != kLeaveSilently && load(at(kNews)) != 0)
		notify_one(holders);
}

explore::Result run_accept(size_t holders, uint64_t times, AcceptFault fault)
{
	std::vector<explore::Process> procs = {
		{"daemon", [=] { accept_daemon(holders, times); }, false}};

	for (size_t k = 0; k < holders; k++)
		procs.push_back({"holder", [=] { accept_holder(k, holders, fault); }, false});
	return run(procs, [](const explore::World &w) -> std::string {
		bool sleeper = false;

		for (size_t i = 1; i < w.procs.size(); i++)
			sleeper |= !w.procs[i].done;
		return sleeper && *at(kNews) != 0 ? "a holder sleeps beside a queued connection"
						  : "";
	});
}

TEST(SleepAccept, No_holder_sleeps_beside_a_queued_connection)
{
	expect_sound(run_accept(1, 1, kAcceptSound));
	expect_sound(run_accept(2, 1, kAcceptSound));
	expect_sound(run_accept(2, 2, kAcceptSound));
	expect_sound(run_accept(3, 2, kAcceptSound));
}

TEST(SleepAcceptTwin, Each_step_left_out_is_caught)
{
	for (AcceptFault f : {kNoArmLook, kArmLate}) {
		SCOPED_TRACE(f);
		expect_caught(run_accept(1, 1, f));
	}
	expect_caught(run_accept(2, 2, kLeaveSilently));
}

} // namespace
