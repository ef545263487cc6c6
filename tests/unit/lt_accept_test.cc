// lt_accept_test.cc - claiming from the accept queue: every connection is taken once, whoever races
// for it.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <atomic>
#include <mutex>
#include <set>
#include <thread>
#include <vector>
#include "lt_world.h"

TEST(accept_queue, empty_is_eagain)
{
	int l = lw_listen(true);

	ASSERT_GE(l, 0);
	EXPECT_EQ(lw_accept(l), -1);
	EXPECT_EQ(errno, EAGAIN);
	lw_close(l);
}

TEST(accept_queue, in_order_and_wrapping_around)
{
	int l = lw_listen(true);
	uint32_t last = 0;

	for (int i = 0; i < 500; i++) {
		lw_queue(1);
		int fd = lw_accept(l);

		ASSERT_GE(fd, 0) << i;
		ASSERT_GT(lw_gen(fd), last);
		last = lw_gen(fd);
		lw_core_poll();
		lw_close(fd);
		lw_core_poll();
	}
	lw_close(l);
}

// What closed connections hold (a slot, and 16 KiB of what they sent last) comes back while others come,
// not when everything is used up.
TEST(slots, of_short_connections_are_used_again)
{
	int l = lw_listen(true);
	uint8_t byte;

	for (int i = 0; i < 1000; i++) {
		int fd = lw_accept_one(l);

		ASSERT_GE(fd, 0) << i;
		byte = lw_byte(lw_gen(fd), false, 0);
		ASSERT_EQ(lw_send(fd, &byte, 1, 0), 1);
		lw_core_poll();
		lw_close(fd);
		lw_core_poll();
	}
	EXPECT_LT(lw_slots_touched(), LW_SLOTS / 2) << "one look per 64 connections is enough";
	EXPECT_EQ(lw_wrong(), 0u) << lw_first_wrong();
	lw_close(l);
}

// Whoever moves the hint looks once more at what it jumps over: another holder may just have given that back.
TEST(accept_queue, what_is_given_back_under_the_moving_hint_is_found)
{
	int l = lw_listen(true);

	lw_queue(2);
	lw_other_takes(2);
	lw_between_steps([] {
		if (lw_is_taken(1) && lw_is_taken(2))
			lw_other_gives_back(2); // after our claim, before the hint moves
	});
	int second = lw_accept(l);

	lw_between_steps(nullptr);
	ASSERT_GE(second, 0);
	int first = lw_accept(l);

	ASSERT_GE(first, 0) << "left behind the hint: " << strerror(errno);
	EXPECT_EQ(lw_gen(first) + 1, lw_gen(second));
	lw_core_poll();
	lw_close(first);
	lw_close(second);
	lw_core_poll();
	EXPECT_EQ(lw_wrong(), 0u) << lw_first_wrong();
	lw_close(l);
}

// A claim that was not made good in time is offered to others: what they took is not ours to give back.
TEST(accept_queue, without_a_descriptor_only_our_own_claim_goes_back)
{
	struct rlimit was, none;
	int l = lw_listen(true), fd;

	lw_queue(1);
	ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &was), 0);
	none = was;
	none.rlim_cur = 0;
	lw_between_steps([] {
		if (lw_is_taken(1))
			lw_other_takes(1);
	});
	ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
	fd = lw_accept(l);
	EXPECT_EQ(errno, EMFILE);
	setrlimit(RLIMIT_NOFILE, &was);
	lw_between_steps(nullptr);
	EXPECT_EQ(fd, -1);
	EXPECT_TRUE(lw_is_taken(1)) << "it would be accepted twice";
	lw_other_gives_back(1);
	fd = lw_accept(l);
	ASSERT_GE(fd, 0);
	lw_core_poll();
	lw_close(fd);
	lw_core_poll();
	EXPECT_EQ(lw_wrong(), 0u) << lw_first_wrong();
	lw_close(l);
}

TEST(accept_queue, threads_take_each_connection_once)
{
	const uint32_t total = 4000;
	int l = lw_listen(true);
	std::atomic<uint32_t> taken{0};
	std::atomic<bool> over{false};
	std::mutex m;
	std::set<uint32_t> gens;
	std::vector<std::thread> threads;
	uint32_t before = lw_emptied();

	for (int t = 0; t < 3; t++)
		threads.emplace_back([&] {
			while (taken < total) {
				pollfd p = {l, POLLIN, 0};

				lw_poll(&p, 1, 50);
				int fd = lw_accept(l);

				if (fd < 0)
					continue;
				uint32_t gen = lw_gen(fd);

				taken++;
				{
					std::lock_guard<std::mutex> g(m);

					EXPECT_TRUE(gens.insert(gen).second) << gen;
				}
				while (!lw_bound(fd))
					std::this_thread::yield();
				lw_close(fd);
			}
		});
	std::thread core([&] {
		while (!over)
			lw_core_poll();
	});
	for (uint32_t i = 0; i < total; i++)
		lw_queue(1);
	for (auto &t : threads)
		t.join();
	over = true;
	core.join();
	lw_core_poll();
	EXPECT_EQ(gens.size(), total);
	EXPECT_EQ(lw_emptied() - before, total);
	EXPECT_EQ(lw_wrong(), 0u) << lw_first_wrong();
	lw_close(l);
}
