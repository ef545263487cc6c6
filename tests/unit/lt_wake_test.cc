// lt_wake_test.cc - no wake-up is lost: threads sleep in recv, poll and epoll while a core feeds
// them at random, and between any two steps of sleeping and waking the CPU may be given up. No sleep ends by
// time here (tas/yield.h): a lost wake-up hangs, and the test driver's limit reports it.
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <atomic>
#include <climits>
#include <functional>
#include <map>
#include <random>
#include <thread>
#include <vector>
#include "lt_world.h"

namespace
{

const uint64_t per_flow = 2000;

// Feeds every connection one to three bytes at a time, with pauses long enough to fall asleep in.
void feed(const std::vector<int> &fds, unsigned seed)
{
	std::mt19937 rnd(seed);
	std::vector<uint64_t> left(fds.size(), per_flow);
	size_t open = fds.size();

	while (open > 0) {
		size_t k = rnd() % fds.size();

		if (left[k] == 0)
			continue;
		uint64_t n = std::min<uint64_t>(left[k], rnd() % 3 + 1);

		left[k] -= lw_feed(fds[k], n);
		open -= left[k] == 0;
		if (rnd() % 4 == 0)
			lw_core_poll();
		if (rnd() % 64 == 0)
			usleep(rnd() % 300);
	}
}

// One step in eight lets others run, in a different order in each thread.
void give_up()
{
	static std::atomic<unsigned> threads{0};
	static thread_local std::minstd_rand rnd(++threads);

	if (rnd() % 8 == 0)
		sched_yield();
}

std::vector<int> connections(int l, size_t n)
{
	std::vector<int> fds;

	lw_between_steps(give_up);
	for (size_t i = 0; i < n; i++)
		fds.push_back(lw_accept_one(l));
	return fds;
}

void close_all(int l, const std::vector<int> &fds)
{
	for (int fd : fds)
		lw_close(fd);
	lw_core_poll();
	if (l >= 0)
		lw_close(l);
	EXPECT_EQ(lw_wrong(), 0u) << lw_first_wrong();
}

// One thread waits in an epoll instance for its share of the sockets.
void drain_epoll(const std::vector<int> &fds, uint32_t how)
{
	int ep = lw_epoll_create();
	std::map<int, uint64_t> got;
	uint64_t open = fds.size();
	epoll_event ev[4];
	char buf[64];

	for (int fd : fds) {
		epoll_event e = {EPOLLIN | how, {.fd = fd}};

		ASSERT_EQ(lw_epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e), 0);
	}
	while (open > 0) {
		int n = lw_epoll_wait(ep, ev, 4, -1);

		ASSERT_GT(n, 0);
		for (int i = 0; i < n; i++) {
			int fd = ev[i].data.fd;
			ssize_t r;

			do {
				r = lw_recv(fd, buf, how & EPOLLET ? sizeof(buf) : 2, MSG_DONTWAIT);
				if (r > 0)
					got[fd] += static_cast<uint64_t>(r);
			} while (r > 0 && (how & EPOLLET));
			if (how & EPOLLONESHOT) {
				epoll_event e = {EPOLLIN | how, {.fd = fd}};

				ASSERT_EQ(lw_epoll_ctl(ep, EPOLL_CTL_MOD, fd, &e), 0);
			}
			if (got[fd] == per_flow) {
				got[fd]++;
				open--;
			}
		}
	}
	lw_close(ep);
}

void epoll_threads(uint32_t how)
{
	int l = lw_listen(true);
	std::vector<int> a = connections(l, 6), b = connections(l, 6), all = a;

	all.insert(all.end(), b.begin(), b.end());
	std::thread core(feed, all, 7u);
	std::thread one(drain_epoll, a, how), two(drain_epoll, b, how);

	one.join();
	two.join();
	core.join();
	close_all(l, all);
}

} // namespace

TEST(wake, level_triggered)
{
	epoll_threads(0);
}

TEST(wake, edge_triggered)
{
	epoll_threads(EPOLLET);
}

TEST(wake, oneshot)
{
	epoll_threads(EPOLLONESHOT);
}

TEST(wake, blocking_recv)
{
	int l = lw_listen(true);
	std::vector<int> fds = connections(l, 4);
	std::thread core(feed, fds, 11u);
	std::vector<std::thread> readers;

	for (int fd : fds)
		readers.emplace_back([fd] {
			char buf[64];
			uint64_t got = 0;

			while (got < per_flow) {
				ssize_t r = lw_recv(fd, buf, sizeof(buf), 0);

				ASSERT_GT(r, 0);
				got += static_cast<uint64_t>(r);
			}
		});
	for (auto &t : readers)
		t.join();
	core.join();
	close_all(l, fds);
}

TEST(wake, poll_by_two_threads_on_overlapping_sets)
{
	int l = lw_listen(true);
	std::vector<int> fds = connections(l, 4);
	std::atomic<uint64_t> got{0};
	std::thread core(feed, fds, 13u);
	std::vector<std::thread> readers;

	for (int t = 0; t < 2; t++)
		readers.emplace_back([&] {
			char buf[64];
			std::vector<pollfd> p(fds.size());

			while (got < per_flow * fds.size()) {
				for (size_t i = 0; i < fds.size(); i++)
					p[i] = {fds[i], POLLIN, 0};
				ASSERT_GE(lw_poll(p.data(), p.size(), 100), 0);
				for (auto &x : p) {
					ssize_t r = x.revents & POLLIN
							    ? lw_recv(x.fd, buf, 3, MSG_DONTWAIT)
							    : 0;

					if (r > 0)
						got += static_cast<uint64_t>(r);
				}
			}
		});
	for (auto &t : readers)
		t.join();
	core.join();
	EXPECT_EQ(got, per_flow * fds.size());
	close_all(l, fds);
}

// Sockets move from one instance to another while news arrive.
TEST(wake, sockets_that_move_between_instances)
{
	int l = lw_listen(true), ep[2] = {lw_epoll_create(), lw_epoll_create()};
	std::vector<int> fds = connections(l, 4);
	std::vector<int> where(fds.size(), 0);
	uint64_t got = 0;
	char buf[64];
	std::mt19937 rnd(17);

	for (size_t i = 0; i < fds.size(); i++) {
		epoll_event e = {EPOLLIN, {.u64 = i}};

		ASSERT_EQ(lw_epoll_ctl(ep[0], EPOLL_CTL_ADD, fds[i], &e), 0);
	}
	std::thread core(feed, fds, 19u);
	while (got < per_flow * fds.size()) {
		epoll_event ev[8];
		int which = static_cast<int>(rnd() % 2);
		int n = lw_epoll_wait(ep[which], ev, 8, 1);

		for (int i = 0; i < n; i++) {
			size_t k = ev[i].data.u64;
			ssize_t r = lw_recv(fds[k], buf, sizeof(buf), MSG_DONTWAIT);

			ASSERT_EQ(where[k], which);
			if (r > 0)
				got += static_cast<uint64_t>(r);
			if (rnd() % 3 == 0) {
				epoll_event e = {EPOLLIN, {.u64 = k}};

				ASSERT_EQ(
					lw_epoll_ctl(ep[which], EPOLL_CTL_DEL, fds[k], nullptr), 0);
				where[k] = !which;
				ASSERT_EQ(lw_epoll_ctl(ep[!which], EPOLL_CTL_ADD, fds[k], &e), 0);
			}
		}
	}
	core.join();
	lw_close(ep[0]);
	lw_close(ep[1]);
	close_all(l, fds);
}

// The core has not heard yet that a socket's news shall go to another instance's queue.
TEST(wake, news_on_the_queue_a_socket_has_left)
{
	int l = lw_listen(true), ep[2] = {lw_epoll_create(), lw_epoll_create()};
	int fd = lw_accept_one(l), other = lw_accept_one(l);
	epoll_event e = {EPOLLIN, {.fd = fd}}, got;

	ASSERT_EQ(lw_epoll_ctl(ep[0], EPOLL_CTL_ADD, fd, &e), 0);
	ASSERT_EQ(lw_epoll_ctl(ep[1], EPOLL_CTL_ADD, other, &e), 0);
	lw_core_poll();
	ASSERT_EQ(lw_epoll_ctl(ep[0], EPOLL_CTL_DEL, fd, nullptr), 0);
	ASSERT_EQ(lw_epoll_ctl(ep[1], EPOLL_CTL_ADD, fd, &e), 0);
	ASSERT_EQ(lw_epoll_wait(ep[1], &got, 1, 0), 0);
	std::thread core([&] {
		usleep(50000);
		lw_feed(fd, 1);
	});
	EXPECT_EQ(lw_epoll_wait(ep[1], &got, 1, 20000), 1);
	core.join();
	lw_close(ep[0]);
	lw_close(ep[1]);
	close_all(l, {fd, other});
}

// ---- what another thread does while this one falls asleep, put between each two of its steps ----

struct Intrusion {
	std::function<bool()> act; // false: not possible here, again at the next step
	std::atomic<int> steps{0};
	int at = INT_MAX;
	bool done = false;
};
Intrusion *intrusion;
thread_local bool intruding, falls_asleep;

void intrude()
{
	if (!falls_asleep || intruding)
		return;
	intruding = true;
	if (intrusion->steps++ >= intrusion->at && !intrusion->done)
		intrusion->done = intrusion->act();
	intruding = false;
}

// `sleep` goes to sleep until `act` was done: by another thread once it sleeps (that tells how many steps there are), then at each
// of its steps. What is not noticed hangs.
void at_each_step(
	const std::function<void()> &sleep, const std::function<bool()> &act,
	const std::function<void()> &before = [] {})
{
	int steps = 0;

	// Twice to count: the first sleep may still be cut short by what happened before.
	for (int round = -2; round < steps; round++) {
		bool counts = round < 0;
		Intrusion in;

		before();
		in.act = act;
		in.at = counts ? INT_MAX : round;
		intrusion = &in;
		lw_between_steps(intrude);
		std::thread sleeper([&] {
			falls_asleep = true;
			sleep();
			falls_asleep = false;
		});
		if (counts) {
			do {
				steps = in.steps;
				usleep(50000);
			} while (steps == 0 || steps != in.steps);
			EXPECT_TRUE(act());
		}
		sleeper.join();
		EXPECT_TRUE(counts || in.done);
		lw_between_steps(nullptr);
	}
	EXPECT_GE(steps, 2);
}

TEST(wake, armed_again_beside_one_that_falls_asleep)
{
	int l = lw_listen(true), fd = lw_accept_one(l), ep = lw_epoll_create();
	epoll_event e = {EPOLLIN | EPOLLONESHOT, {.fd = fd}}, got;

	ASSERT_EQ(lw_epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e), 0);
	lw_core_poll();
	lw_feed(fd, 1);
	ASSERT_EQ(lw_epoll_wait(ep, &got, 1, -1), 1);
	at_each_step([&] { EXPECT_EQ(lw_epoll_wait(ep, &got, 1, -1), 1); },
		[&] { return lw_epoll_ctl(ep, EPOLL_CTL_MOD, fd, &e) == 0; },
		// wake-ups that are left over, so that each round takes the same steps
		[&] { EXPECT_EQ(lw_epoll_wait(ep, &got, 1, 0), 0); });
	lw_close(ep);
	close_all(l, {fd});
}

TEST(wake, added_beside_one_that_falls_asleep)
{
	int l = lw_listen(true), fd = lw_accept_one(l), other = lw_accept_one(l),
	    ep = lw_epoll_create();
	epoll_event e = {EPOLLIN, {.fd = fd}}, got;

	ASSERT_EQ(lw_epoll_ctl(ep, EPOLL_CTL_ADD, other, &e), 0);
	lw_core_poll();
	lw_feed(fd, 1);
	at_each_step(
		[&] {
			EXPECT_EQ(lw_epoll_wait(ep, &got, 1, -1), 1);
			EXPECT_EQ(lw_epoll_ctl(ep, EPOLL_CTL_DEL, fd, nullptr), 0);
		},
		[&] { return lw_epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e) == 0; },
		[&] { EXPECT_EQ(lw_epoll_wait(ep, &got, 1, 0), 0); });
	lw_close(ep);
	close_all(l, {fd, other});
}

// An instance draws a connection's news to its own queue: who polls the connection listens there too.
TEST(wake, added_beside_one_that_falls_asleep_in_poll)
{
	int l = lw_listen(true), fd = -1, ep = -1;
	auto sleep = [&] {
		pollfd p = {fd, POLLIN, 0};

		EXPECT_EQ(lw_poll(&p, 1, -1), 1);
	};
	auto add_and_feed = [&] {
		epoll_event e = {EPOLLIN, {.fd = fd}};

		EXPECT_EQ(lw_epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e), 0);
		lw_core_poll(); // the core hears of it
		EXPECT_EQ(lw_feed(fd, 1), 1u);
		return true;
	};
	auto fresh = [&] {
		if (fd >= 0)
			close_all(-1, {fd, ep});
		fd = lw_accept_one(l);
		ep = lw_epoll_create();
	};

	at_each_step(sleep, add_and_feed, fresh);
	close_all(l, {fd, ep});
}

// A sender that sleeps for room.
TEST(wake, blocking_send)
{
	int l = lw_listen(true), fd = lw_accept_one(l);
	const uint64_t total = 3000000;
	std::atomic<bool> over{false};
	std::thread core([&] {
		std::mt19937 rnd(23);

		while (!over) {
			lw_core_poll();
			lw_ack(fd, rnd() % 20000);
			if (rnd() % 16 == 0)
				usleep(rnd() % 300);
		}
	});
	std::vector<uint8_t> b(100000);

	for (uint64_t pos = 0; pos < total; pos += b.size()) {
		for (size_t i = 0; i < b.size(); i++)
			b[i] = lw_byte(lw_gen(fd), false, pos + i);
		ASSERT_EQ(lw_send(fd, b.data(), b.size(), 0), static_cast<ssize_t>(b.size()));
	}
	over = true;
	core.join();
	lw_core_poll();
	EXPECT_EQ(lw_sent(fd), total);
	close_all(l, {fd});
}
