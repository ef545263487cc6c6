// lt_stream_test.cc - libtas' send and receive lists against a core that checks every byte, also a
// second time.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <algorithm>
#include <cerrno>
#include <random>
#include <vector>
#include "lt_world.h"
#include "seed.h"

namespace
{

class stream : public ::testing::Test
{
      protected:
	static int lfd;

	static void SetUpTestSuite()
	{
		signal(SIGPIPE, SIG_IGN);
		if (lfd < 0)
			lfd = lw_listen(true);
		ASSERT_GE(lfd, 0);
	}

	void TearDown() override
	{
		EXPECT_EQ(lw_wrong(), 0u) << lw_first_wrong();
	}

	// Sends n right bytes from `pos` on; what send() returned.
	static ssize_t send_at(int fd, uint64_t pos, size_t n, int flags = MSG_DONTWAIT)
	{
		std::vector<uint8_t> b(n);

		for (size_t i = 0; i < n; i++)
			b[i] = lw_byte(lw_gen(fd), false, pos + i);
		return lw_send(fd, b.data(), n, flags);
	}

	// Receives up to n bytes that must be those at `pos`.
	static ssize_t recv_at(int fd, uint64_t pos, size_t n, int flags = MSG_DONTWAIT)
	{
		std::vector<uint8_t> b(n);
		ssize_t r = lw_recv(fd, b.data(), n, flags);

		for (ssize_t i = 0; i < r && !(flags & MSG_TRUNC); i++)
			if (b[static_cast<size_t>(i)] !=
				lw_byte(lw_gen(fd), true, pos + static_cast<uint64_t>(i))) {
				ADD_FAILURE() << "wrong byte at " << pos + static_cast<uint64_t>(i);
				break;
			}
		return r;
	}
};

int stream::lfd = -1;

} // namespace

TEST_F(stream, bytes_before_the_core_has_bound_the_flow_are_not_lost)
{
	lw_queue(1);
	int fd = lw_accept(lfd);

	ASSERT_GE(fd, 0);
	EXPECT_FALSE(lw_bound(fd));
	EXPECT_EQ(send_at(fd, 0, 5000), 5000);
	EXPECT_EQ(send_at(fd, 5000, 50000), 16384 - 5000);
	EXPECT_EQ(send_at(fd, 16384, 1), -1);
	EXPECT_EQ(errno, EAGAIN);
	lw_core_poll();
	EXPECT_TRUE(lw_bound(fd));
	EXPECT_EQ(lw_sent(fd), 16384u);
	EXPECT_EQ(send_at(fd, 16384, 10), 10);
	lw_core_poll();
	lw_check(fd);
	lw_close(fd);
	lw_core_poll();
}

TEST_F(stream, send_stops_at_the_limit_and_goes_on_after_acks)
{
	int fd = lw_accept_one(lfd);
	ssize_t r = send_at(fd, 0, 500000);

	ASSERT_EQ(r, 200000);
	EXPECT_EQ(send_at(fd, 200000, 1), -1);
	EXPECT_EQ(errno, EAGAIN);
	lw_core_poll();
	lw_ack(fd, 1);
	pollfd p = {fd, POLLOUT, 0};
	EXPECT_EQ(lw_poll(&p, 1, 0), 0) << "a byte of room is not writable yet";
	EXPECT_EQ(send_at(fd, 200000, 10), 1);
	lw_core_poll();
	lw_ack(fd, 100000);
	EXPECT_EQ(lw_poll(&p, 1, 0), 1);
	EXPECT_EQ(p.revents, POLLOUT);
	lw_close(fd);
	lw_core_poll();
}

TEST_F(stream, reset_is_reported_once_then_the_end)
{
	int fd = lw_accept_one(lfd);

	lw_feed(fd, 10);
	lw_reset(fd, ECONNRESET);
	EXPECT_EQ(recv_at(fd, 0, 100), 10);
	EXPECT_EQ(recv_at(fd, 10, 100), -1);
	EXPECT_EQ(errno, ECONNRESET);
	EXPECT_EQ(recv_at(fd, 10, 100), 0);
	EXPECT_EQ(send_at(fd, 0, 10), -1);
	EXPECT_EQ(errno, EPIPE);
	lw_close(fd);
	lw_core_poll();
}

TEST_F(stream, end_of_stream_comes_after_the_data)
{
	int fd = lw_accept_one(lfd);

	lw_feed(fd, 20000);
	lw_fin(fd);
	EXPECT_EQ(recv_at(fd, 0, 16384), 16384);
	EXPECT_EQ(recv_at(fd, 16384, 100000), 20000 - 16384);
	EXPECT_EQ(recv_at(fd, 20000, 10), 0);
	EXPECT_EQ(send_at(fd, 0, 10), 10);
	lw_core_poll();
	lw_close(fd);
	lw_core_poll();
}

TEST_F(stream, nothing_is_appended_after_shutdown)
{
	int fd = lw_accept_one(lfd);

	EXPECT_EQ(send_at(fd, 0, 10), 10);
	EXPECT_EQ(lw_shutdown(fd, SHUT_WR), 0);
	EXPECT_EQ(send_at(fd, 10, 10, MSG_DONTWAIT | MSG_NOSIGNAL), -1);
	EXPECT_EQ(errno, EPIPE);
	lw_core_poll();
	EXPECT_EQ(lw_sent(fd), 10u);
	lw_close(fd);
	lw_core_poll();
}

// A signal handler runs in the middle of a copy: the program's buffer cannot be touched until it has run.
class interrupted : public stream
{
      protected:
	static inline uint8_t *page;
	static inline int fd, again;
	static inline std::vector<void (*)()> handlers;
	static constexpr size_t kBytes = 32768;
	struct sigaction before = {};

	static void on_fault(int)
	{
		mprotect(page, kBytes, PROT_READ | PROT_WRITE);
		for (auto fn : handlers)
			fn();
	}
	void SetUp() override
	{
		struct sigaction sa = {};

		page = static_cast<uint8_t *>(mmap(nullptr, kBytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
		ASSERT_NE(page, MAP_FAILED);
		sa.sa_handler = on_fault;
		sigaction(SIGSEGV, &sa, &before);
		fd = lw_accept_one(lfd);
		ASSERT_GE(fd, 0);
		for (size_t i = 0; i < kBytes; i++)
			page[i] = lw_byte(lw_gen(fd), false, i);
		mprotect(page, kBytes, PROT_NONE);
	}
	void TearDown() override
	{
		sigaction(SIGSEGV, &before, nullptr);
		munmap(page, kBytes);
		stream::TearDown();
	}
	static ssize_t send_through(std::vector<void (*)()> fns, size_t n)
	{
		handlers = fns;
		return lw_send(fd, page, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
	// The number is free at once, as with the kernel; another connection may have it.
	static void close_and_accept()
	{
		lw_close(fd);
		lw_core_poll();
		again = lw_accept_one(lfd);
	}
	static void use(int conn)
	{
		EXPECT_EQ(send_at(conn, 0, 40000), 40000);
		EXPECT_EQ(lw_feed(conn, 10), 10u);
		EXPECT_EQ(recv_at(conn, 0, 100), 10);
		lw_core_poll();
		EXPECT_EQ(lw_sent(conn), 40000u);
		lw_check(conn);
	}
};

TEST_F(interrupted, shutdown_above_a_send_comes_after_its_bytes)
{
	EXPECT_EQ(send_through({[] { EXPECT_EQ(lw_shutdown(fd, SHUT_WR), 0); }, lw_core_poll}, 100),
		100);
	lw_core_poll();
	EXPECT_EQ(lw_sent(fd), 100u);
	EXPECT_EQ(lw_ended(fd), true);
	EXPECT_EQ(send_at(fd, 100, 1, MSG_DONTWAIT | MSG_NOSIGNAL), -1);
	EXPECT_EQ(errno, EPIPE);
	lw_close(fd);
	lw_core_poll();
}

TEST_F(interrupted, close_above_a_send_comes_after_its_bytes)
{
	uint64_t heard = lw_heard();

	EXPECT_EQ(send_through({close_and_accept}, 20000), 20000);
	lw_core_poll();
	EXPECT_EQ(lw_heard() - heard, 20000u);
	ASSERT_GE(again, 0);
	use(again);
	lw_close(again);
	lw_core_poll();
	EXPECT_EQ(lw_flows(), 0u) << "both have been closed";
}

TEST_F(interrupted, close_above_a_receive_waits_for_it)
{
	ASSERT_EQ(lw_feed(fd, 20000), 20000u);
	handlers = {close_and_accept};
	EXPECT_EQ(lw_recv(fd, page, 20000, MSG_DONTWAIT), 20000);
	lw_core_poll();
	ASSERT_GE(again, 0);
	use(again);
	lw_close(again);
	lw_core_poll();
	EXPECT_EQ(lw_flows(), 0u) << "both have been closed";
}

// All chunk boundaries: consumed to the byte, with and without the core having noticed.
TEST_F(stream, reads_that_end_at_a_chunk_boundary)
{
	for (int notice = 0; notice < 2; notice++)
		for (size_t first : {16383u, 16384u, 16385u, 32768u}) {
			int fd = lw_accept_one(lfd);

			ASSERT_EQ(lw_feed(fd, first), first);
			ASSERT_EQ(recv_at(fd, 0, 100000), static_cast<ssize_t>(first));
			if (notice)
				lw_core_poll();
			ASSERT_EQ(lw_feed(fd, 40000), 40000u);
			lw_core_poll();
			ASSERT_EQ(recv_at(fd, first, 100000), 40000);
			lw_close(fd);
			lw_core_poll();
		}
}

// The core knows the first chunk only, and that it is acknowledged; the link to the next must still
// be there.
TEST_F(stream, a_chunk_acknowledged_to_its_last_byte_keeps_its_link)
{
	int a = lw_accept_one(lfd), b = lw_accept_one(lfd);

	ASSERT_EQ(send_at(a, 0, 16384), 16384);
	lw_core_poll();
	ASSERT_EQ(send_at(a, 16384, 10000), 10000);
	lw_ack(a, 16384);
	ASSERT_EQ(send_at(a, 26384, 1), 1);
	ASSERT_EQ(send_at(b, 0, 40000), 40000); // would reuse and relink it
	lw_core_poll();
	lw_check(a);
	lw_check(b);
	lw_close(a);
	lw_close(b);
	lw_core_poll();
}

// Eight connections share the chunks; everything happens in random order.
TEST_F(stream, random_traffic_on_shared_chunks)
{
	std::mt19937 rnd(static_cast<unsigned>(test_seed()));
	struct side {
		int fd;
		uint64_t tx, rx;
	};
	std::vector<side> s(8);

	SCOPED_TRACE(test_seed_text());
	for (auto &c : s)
		c = {lw_accept_one(lfd), 0, 0};
	auto some = [&](size_t max) {
		return static_cast<size_t>(rnd() % (rnd() % 4 == 0 ? max : 600) + 1);
	};
	for (int i = 0; i < 60000 && lw_wrong() == 0 && !HasFailure(); i++) {
		side &c = s[rnd() % s.size()];
		ssize_t r;

		switch (rnd() % 8) {
		case 0:
		case 1:
			r = send_at(c.fd, c.tx, some(60000));
			c.tx += static_cast<uint64_t>(std::max<ssize_t>(r, 0));
			break;
		case 2:
			lw_core_poll();
			break;
		case 3:
			lw_ack(c.fd, rnd() % 3 == 0 ? UINT64_MAX : some(60000));
			break;
		case 4:
			if (lw_fed(c.fd) - c.rx < 300000)
				lw_feed(c.fd, some(60000));
			break;
		case 5:
			r = recv_at(c.fd, c.rx, some(60000),
				MSG_DONTWAIT | (rnd() % 8 == 0 ? MSG_TRUNC : 0));
			c.rx += static_cast<uint64_t>(std::max<ssize_t>(r, 0));
			break;
		case 6:
			recv_at(c.fd, c.rx, some(60000), MSG_DONTWAIT | MSG_PEEK);
			break;
		default:
			lw_check(c.fd);
			if (rnd() % 200 == 0) { // one goes, another comes
				lw_close(c.fd);
				lw_core_poll();
				c = {lw_accept_one(lfd), 0, 0};
			}
			break;
		}
	}
	for (auto &c : s)
		lw_close(c.fd);
	lw_core_poll();
	EXPECT_EQ(lw_chunks_held(), 0u);
}
