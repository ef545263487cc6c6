// lt_explain_test.cc - libtas/explain.c: a count is in one place, survives the move into the
// segment, and options count once it is decided who serves the socket.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>
#include "lt_world.h"
extern "C" {
#include "tas/explain.h"
}

/* Runs first: what is counted before there is a segment moves into it. */
TEST(explain, counts_before_the_segment_move_into_it)
{
	ASSERT_EQ(lw_explained(TAS_X_kernel_not_tcp), 0u);
	close(lw_socket(AF_INET, SOCK_DGRAM));
	close(lw_socket(AF_INET6, SOCK_DGRAM));
	EXPECT_EQ(lw_explained(TAS_X_kernel_not_tcp), 2u);
	lw_place("127.0.0.1", true); /* makes the context */
	EXPECT_EQ(lw_explained(TAS_X_kernel_not_tcp), 2u);
	EXPECT_EQ(lw_explained_shared(TAS_X_kernel_not_tcp), 2u);
	EXPECT_EQ(lw_explained_shared(TAS_X_kernel_loopback), 1u);
}

TEST(explain, threads_lose_no_count)
{
	uint64_t before = lw_explained(TAS_X_kernel_not_tcp);
	std::vector<std::thread> threads;

	for (int t = 0; t < 4; t++)
		threads.emplace_back([] {
			for (int i = 0; i < 2000; i++)
				close(lw_socket(AF_INET, SOCK_DGRAM));
		});
	for (auto &t : threads)
		t.join();
	EXPECT_EQ(lw_explained(TAS_X_kernel_not_tcp) - before, 8000u);
}

TEST(explain, destinations_have_their_reasons)
{
	struct {
		const char *addr;
		int row;
	} rows[] = {{"127.0.0.1", TAS_X_kernel_loopback}, {"127.3.2.1", TAS_X_kernel_loopback}};

	for (auto &row : rows) {
		uint64_t before = lw_explained(row.row);

		lw_place(row.addr, true);
		EXPECT_EQ(lw_explained(row.row) - before, 1u) << row.addr;
	}
	uint64_t all = 0, after = 0;
	for (int i = 0; i < TAS_X_COUNT; i++)
		all += lw_explained(i);
	lw_place("10.1.0.9", true); /* tas's: no reason */
	for (int i = 0; i < TAS_X_COUNT; i++)
		after += lw_explained(i);
	EXPECT_EQ(after, all);
}

TEST(explain, options_of_a_listener_count_when_it_is_one)
{
	int lfd = lw_listen(true), one = 1;
	uint64_t before = lw_explained(TAS_X_option_device);

	EXPECT_EQ(lw_setsockopt(lfd, SOL_SOCKET, SO_PRIORITY, &one, sizeof(one)), 0);
	EXPECT_EQ(lw_explained(TAS_X_option_device) - before, 1u);
	lw_close(lfd);
}

TEST(explain, options_before_the_decision_wait_for_it)
{
	int fd = lw_socket(AF_INET, SOCK_STREAM), one = 1;
	uint64_t before = lw_explained(TAS_X_option_device);

	EXPECT_EQ(lw_setsockopt(fd, SOL_SOCKET, SO_PRIORITY, &one, sizeof(one)), 0);
	EXPECT_EQ(lw_explained(TAS_X_option_device), before);
	lw_close(fd);
	EXPECT_EQ(lw_explained(TAS_X_option_device), before);
}

TEST(explain, options_and_flags_of_a_connection_count_at_once)
{
	int lfd = lw_listen(true), fd = lw_accept_one(lfd), one = 1;
	struct {
		int level, name, row, result;
	} rows[] = {{SOL_SOCKET, SO_PRIORITY, TAS_X_option_device, 0},
		{SOL_SOCKET, SO_TIMESTAMP, TAS_X_option_timestamp, -1},
		{SOL_SOCKET, SO_BUSY_POLL, TAS_X_option_socket, 0},
		{SOL_SOCKET, SO_ATTACH_BPF, TAS_X_option_filter, -1},
		{IPPROTO_TCP, TCP_SAVE_SYN, TAS_X_option_tcp, -1},
		{IPPROTO_IP, IP_MINTTL, TAS_X_option_ip, -1}};
	uint64_t before;

	ASSERT_GE(fd, 0);
	for (auto &row : rows) {
		before = lw_explained(row.row);
		EXPECT_EQ(lw_setsockopt(fd, row.level, row.name, &one, sizeof(one)), row.result);
		EXPECT_EQ(lw_explained(row.row) - before, 1u) << row.name;
	}
	before = lw_explained(TAS_X_option_tcp) + lw_explained(TAS_X_option_socket);
	EXPECT_EQ(lw_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), 0);
	EXPECT_EQ(lw_setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one)), 0);
	EXPECT_EQ(lw_explained(TAS_X_option_tcp) + lw_explained(TAS_X_option_socket), before);
	before = lw_explained(TAS_X_refuse_oob);
	EXPECT_EQ(lw_send(fd, "x", 1, MSG_OOB), -1);
	EXPECT_EQ(lw_explained(TAS_X_refuse_oob) - before, 1u);
	lw_close(fd);
	lw_close(lfd);
}
