/*
 * The table of connections: ids, ports (RFC 6056), messages to the cores that wait, initial sequence
 * numbers, timers.
 */
#include <cerrno>
#include <set>
#include "conn_peer.h"

namespace
{

/* ---- ids ---- */

/* A connection's id is its flow record's place: it comes from the part of its core's node while that has any. */
TEST(Ids, TwoNodes_EachHasItsPart)
{
	struct sp_arena a;

	ASSERT_EQ(sp_arena_create(&a, "test", 16, 11), 0);
	sp_arena_split(&a, 2);
	std::set<uint32_t> seen;
	for (uint32_t i = 0; i < 5; i++) {
		uint32_t low = sp_arena_alloc_in(&a, 0), high = sp_arena_alloc_in(&a, 1);
		EXPECT_LE(low, 5u);
		EXPECT_GT(high, 5u);
		seen.insert({low, high});
	}
	EXPECT_EQ(seen.size(), 10u);
	EXPECT_GT(sp_arena_alloc_in(&a, 0), 5u) << "the other part helps out";
	EXPECT_EQ(sp_arena_alloc_in(&a, 0), 0u);
	EXPECT_EQ(sp_arena_alloc_in(&a, 1), 0u);
	sp_arena_free(&a, 3);
	EXPECT_EQ(sp_arena_alloc_in(&a, 1), 3u);
	sp_arena_free(&a, 9);
	sp_arena_free(&a, 2);
	EXPECT_EQ(sp_arena_alloc_in(&a, 1), 9u) << "a freed id goes back to its part";
	EXPECT_EQ(sp_arena_used(&a), 10u);
	sp_arena_destroy(&a);
}

class Nodes : public Conn
{
      protected:
	void SetUp() override
	{
		fake_nodes = 2;
		Conn::SetUp();
	}
	void TearDown() override
	{
		Conn::TearDown();
		fake_nodes = 1;
	}
};

TEST_F(Nodes, SynOfEitherCore_IdOfItsNode)
{
	uint32_t half = sp->conns.conns.capacity / 2;

	ASSERT_NE(listener(app, 80), nullptr);
	for (uint16_t port = 40000; port < 40020; port++)
		receive(head(port, 80, TCP_SYN, 5000));
	uint32_t cursor = 1, n = 0;
	while (struct sp_conn *c = sp_conn_next(sp, &cursor, UINT32_MAX)) {
		EXPECT_EQ(c->id > half, fp_core_of(sp->fp, &c->tuple) == 1) << c->id;
		n++;
	}
	EXPECT_EQ(n, 20u);
}

/* ---- messages to the cores ---- */

TEST_F(Conn, RingFull_InstallIsKeptInOrder)
{
	ASSERT_NE(listener(app, 80, 64), nullptr);
	fake_ring_room = 0;
	for (uint16_t i = 0; i < 20; i++)
		ASSERT_NE(connect_peer((uint16_t)(40000 + 2 * i), 80), nullptr);
	EXPECT_EQ(fake_nmsgs, 0u);
	EXPECT_TRUE(sp_flow_backlogged(sp));
	fake_ring_room = 5;
	sp_round(sp);
	EXPECT_EQ(fake_nmsgs, 5u);
	fake_ring_room = UINT32_MAX;
	sp_round(sp);
	auto in = messages(SP_FLOW_INSTALL);
	ASSERT_EQ(in.size(), 20u);
	for (uint16_t i = 0; i < 20; i++)
		EXPECT_EQ(ntohs(in[i].u.install.tuple.rport), 40000 + 2 * i);
	EXPECT_FALSE(sp_flow_backlogged(sp));
}

/* While groups change cores nothing is sent; then all goes where the flow is, in order. */
TEST_F(Conn, GroupsChangeHands_MessagesWaitAndFollow)
{
	uint32_t old;

	ASSERT_NE(listener(app, 80), nullptr);
	receive(head(40000, 80, TCP_SYN, 5000));
	old = 40000 % 2;
	sp_flow_pause(sp);
	fake_moves = FP_MOVES_HANDING;
	receive(head(40000, 80, TCP_ACK, 5001, sent().seq + 1));
	sp_flow_app(sp, SP_APP_DEL, 77);
	sp_round(sp);
	EXPECT_EQ(fake_nmsgs, 0u);
	fake_moves = FP_MOVES_SETTLING;
	fake_swapped = 1;
	sp_round(sp);
	ASSERT_EQ(fake_nmsgs, 3u);
	for (uint32_t i = 0; i < fake_nmsgs; i++) {
		if (fake_msgs[i].m.type == SP_FLOW_INSTALL)
			EXPECT_EQ(fake_msgs[i].core, 1 - old) << "the flow's core now";
		else
			EXPECT_EQ(fake_msgs[i].m.type, SP_APP_DEL);
	}
}

/* A core may say that it has the flows between any two looks of ours; memory may be short at any time. */
TEST_F(Conn, GroupsChangeHands_EndsWhileASendIsUnderWay)
{
	ASSERT_NE(listener(app, 80), nullptr);
	for (uint32_t look = 1; look <= 6; look++) {
		for (int memory = 0; memory < 2; memory++) {
			uint16_t port = (uint16_t)(40000 + 4 * look + 2 * (uint32_t)memory);

			SCOPED_TRACE(testing::Message() << "look " << look << " memory " << memory);
			receive(head(port, 80, TCP_SYN, 5000));
			fake_forget();
			sp_flow_pause(sp);
			fake_moves = FP_MOVES_HANDING;
			fake_looks = look;
			struct tas_tuple t = tuple(80, port);
			struct sp_conn *c = sp_conn_find(sp, &t);
			ASSERT_NE(c, nullptr);
			if (!memory)
				fp_alloc_fail(1);
			sp_flow_install(sp, c);
			fp_alloc_fail(0);
			while (sp_flow_paused(sp))
				;
			sp_flow_flush(sp);
			EXPECT_EQ(messages(SP_FLOW_INSTALL).size(), 1u);
			for (uint32_t i = 0; i < fake_nmsgs; i++)
				EXPECT_EQ(fake_msgs[i].core, 1u);
			sp_conn_abort(sp, c, ECONNABORTED);
			sp_flow_free(sp); /* so that the next one asks for memory */
			fake_swapped = 0;
			fake_moves = FP_MOVES_NONE;
		}
	}
}

/* ---- ports ---- */

TEST_F(Conn, Ports_ChosenInRangeAndDistinct)
{
	std::set<uint16_t> seen;
	fake_stop(sp);
	options = {"--local_ports=61000-61009"};
	start();
	app = program();
	int err;
	for (uint32_t i = 0; i < 10; i++) {
		struct sp_conn *c = connect_out(app, i, 8080, &err);
		ASSERT_NE(c, nullptr);
		EXPECT_GE(ntohs(c->tuple.lport), 61000);
		EXPECT_LE(ntohs(c->tuple.lport), 61009);
		EXPECT_TRUE(seen.insert(c->tuple.lport).second);
	}
	EXPECT_EQ(connect_out(app, 10, 8080, &err), nullptr);
	EXPECT_EQ(err, -EADDRINUSE);
	EXPECT_NE(connect_out(app, 10, 8081, &err),
		nullptr); /* another destination has its own ten */
}

TEST_F(Conn, Ports_AllInTimeWait_ReusedAfterASecond)
{
	fake_stop(sp);
	options = {"--local_ports=61000-61000"};
	start();
	app = program();
	learn_peer();
	struct sp_conn *c = connect_out(app, 0, 8080);
	ASSERT_NE(c, nullptr);
	struct wire_tcp sa = head(8080, 61000, TCP_SYN | TCP_ACK, 9000, c->iss + 1);
	sa.has_ts = 1;
	sa.ts_val = 5;
	receive(sa);
	uint32_t end = c->iss + 1000;
	closed(c, FP_CLOSE_DONE, 1, end, 9500);
	int err;
	EXPECT_EQ(connect_out(app, 0, 8080, &err), nullptr);
	EXPECT_EQ(err, -EADDRINUSE);
	fake_advance(sp, 2 * FAKE_SECOND);
	c = connect_out(app, 0, 8080, &err);
	ASSERT_NE(c, nullptr);
	EXPECT_GT((int32_t)(c->iss - end), 65535);
	EXPECT_EQ(sp_arena_used(&sp->conns.tws), 0u);
}

TEST_F(Conn, Ports_BoundPortTaken_AddressInUse)
{
	int err;
	ASSERT_NE(connect_out(app, 0, 8080, &err, 5555), nullptr);
	EXPECT_EQ(connect_out(app, 1, 8080, &err, 5555), nullptr);
	EXPECT_EQ(err, -EADDRINUSE);
	EXPECT_NE(connect_out(app, 1, 8081, &err, 5555), nullptr);
}

/* ---- pure parts ---- */

TEST(Hash, SipHash_ReferenceVectors)
{
	/* key 00..0f, messages 00 01 02 ...: the authors' vectors for lengths 0, 1, 8 and 15 */
	const uint64_t key[2] = {0x0706050403020100ull, 0x0f0e0d0c0b0a0908ull};
	uint8_t m[16];
	for (uint8_t i = 0; i < 16; i++)
		m[i] = i;
	EXPECT_EQ(sp_siphash(key, m, 0), 0x726fdb47dd0e0e31ull);
	EXPECT_EQ(sp_siphash(key, m, 1), 0x74f839c593dc67fdull);
	EXPECT_EQ(sp_siphash(key, m, 8), 0x93f5f5799a932462ull);
	EXPECT_EQ(sp_siphash(key, m, 15), 0xa129ca6149be45e5ull);
}

TEST(Hash, Isn_MovesWithTimeAndTuple)
{
	const uint64_t key[2] = {1, 2};
	struct tas_tuple a = {}, b = {};
	b.rport = 1;
	uint32_t i = sp_isn(key, &a, 1000000000);
	EXPECT_EQ(sp_isn(key, &a, 1000004000) - i, 1u);
	EXPECT_NE(sp_isn(key, &b, 1000000000), i);
	EXPECT_EQ(sp_port_offset(key, &a), [&] {
		a.lport = 99;
		return sp_port_offset(key, &a);
	}());
}

TEST_F(Conn, Timers_ManyAtRandom_NeverEarlyNorLateByMoreThanASlot)
{
	struct Fire {
		uint64_t at;
	};
	uint32_t seed = 12345;
	SCOPED_TRACE(seed);
	ASSERT_NE(listener(app, 80, 4000), nullptr);
	std::vector<std::pair<uint32_t, uint64_t>> due; /* id, deadline */
	for (uint16_t i = 0; i < 200; i++) {
		receive(head((uint16_t)(2000 + i), 80, TCP_SYN, 5000));
		struct tas_tuple t = tuple(80, (uint16_t)(2000 + i));
		struct sp_conn *c = sp_conn_find(sp, &t);
		ASSERT_NE(c, nullptr);
		seed = seed * 1103515245 + 12345;
		uint64_t at = sp->now_ns + (uint64_t)(seed % 60000) * 1000000;
		sp_conn_timer_set(sp, c, at);
		due.push_back({c->id, at});
	}
	std::vector<uint8_t> fired(due.size());
	for (int step = 0; step < 6100; step++) {
		fake_advance(sp, 10000000);
		for (size_t i = 0; i < due.size(); i++) {
			struct sp_conn *c = sp_conn_get(sp, due[i].first);
			if (fired[i] || (c != nullptr && c->retries == 0)) {
				if (!fired[i]) {
					EXPECT_LT(sp->now_ns,
						due[i].second + 2 * SP_WHEEL_NS + 10000000);
				}
				continue;
			}
			EXPECT_GE(sp->now_ns, due[i].second);
			fired[i] = 1;
		}
	}
	for (uint8_t f : fired)
		EXPECT_EQ(f, 1);
}

/* What the port itself has lost is asked of it once a second. */
TEST_F(Conn, FramesThatThePortMissed_CountedWithinASecond)
{
	fake_missed = 5;
	fake_advance(sp, FAKE_SECOND);
	EXPECT_EQ(sp->cnt.drop_missed, 5u);
	fake_missed = 0;
}

} // namespace
