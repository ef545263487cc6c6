/*
 * TIME-WAIT: what it answers, what ends it, what it gives way to. RFC 9293 3.10.7.8, 6191.
 */
#include "conn_peer.h"

namespace
{

class TimeWait : public Conn
{
      protected:
	void enter(uint32_t snd_nxt, uint32_t rcv_nxt)
	{
		struct wire_tcp syn = head(40000, 80, TCP_SYN, 5000);
		ASSERT_NE(listener(app, 80), nullptr);
		syn.has_ts = ts;
		syn.ts_val = 100;
		receive(syn);
		struct wire_tcp ack = head(40000, 80, TCP_ACK, 5001, sent().seq + 1);
		ack.has_ts = ts;
		ack.ts_val = 100;
		receive(ack);
		struct tas_tuple t = tuple(80, 40000);
		closed(sp_conn_find(sp, &t), FP_CLOSE_DONE, 1, snd_nxt, rcv_nxt);
		ASSERT_NE(sp_tw_find(sp, &t), nullptr);
		fake_forget();
	}
	uint8_t ts = 1;
};

TEST_F(TimeWait, FinAgain_AckedAndWaitsAnew)
{
	enter(7000, 6000);
	fake_advance(sp, 40 * FAKE_SECOND);
	struct wire_tcp fin = head(40000, 80, TCP_FIN | TCP_ACK, 5999, 7000);
	receive(fin);
	EXPECT_EQ(sent().flags, TCP_ACK);
	EXPECT_EQ(sent().seq, 7000u);
	EXPECT_EQ(sent().ack, 6000u);
	fake_advance(sp, 40 * FAKE_SECOND);
	EXPECT_EQ(sp_arena_used(&sp->conns.tws), 1u);
	fake_advance(sp, 22 * FAKE_SECOND);
	EXPECT_EQ(sp_arena_used(&sp->conns.tws), 0u);
}

TEST_F(TimeWait, ForgedFin_DoesNotKeepIt)
{
	enter(7000, 6000);
	fake_advance(sp, 40 * FAKE_SECOND);
	receive(head(40000, 80, TCP_FIN | TCP_ACK, 123456, 7000));
	fake_advance(sp, 22 * FAKE_SECOND);
	EXPECT_EQ(sp_arena_used(&sp->conns.tws), 0u);
}

TEST_F(TimeWait, NewerSyn_NobodyListens_Stays)
{
	enter(7000, 6000);
	uint32_t cursor = 1;
	struct sp_listener *l = sp_listener_next(sp, &cursor);
	sp_listener_leave(sp, l, app);
	struct wire_tcp syn = head(40000, 80, TCP_SYN, 100);
	syn.has_ts = 1;
	syn.ts_val = 101;
	receive(syn);
	EXPECT_EQ(sent().flags, TCP_ACK);
	EXPECT_EQ(sp_arena_used(&sp->conns.tws), 1u);
}

TEST_F(TimeWait, Rst_Ignored)
{
	enter(7000, 6000);
	receive(head(40000, 80, TCP_RST, 6000));
	EXPECT_EQ(sp_arena_used(&sp->conns.tws), 1u);
	EXPECT_EQ(fake_nframes, 0u);
}

TEST_F(TimeWait, PureAck_NotAnswered)
{
	enter(7000, 6000);
	receive(head(40000, 80, TCP_ACK, 6000, 7000));
	EXPECT_EQ(fake_nframes, 0u);
}

TEST_F(TimeWait, NewerSyn_Reopens)
{
	enter(7000, 6000);
	struct wire_tcp syn = head(40000, 80, TCP_SYN, 100); /* older number, newer timestamp */
	syn.has_ts = 1;
	syn.ts_val = 101;
	receive(syn);
	EXPECT_EQ(sent().flags, TCP_SYN | TCP_ACK);
	EXPECT_TRUE((int32_t)(sent().seq - 7000) > 65535 || (int32_t)(sent().seq - 7000) < 0);
	EXPECT_EQ(sp_arena_used(&sp->conns.tws), 0u);
}

TEST_F(TimeWait, OlderSyn_AckOnly)
{
	enter(7000, 6000);
	struct wire_tcp syn = head(40000, 80, TCP_SYN, 9000);
	syn.has_ts = 1;
	syn.ts_val = 99;
	receive(syn);
	EXPECT_EQ(sent().flags, TCP_ACK);
	EXPECT_EQ(sp_arena_used(&sp->conns.tws), 1u);
}

TEST_F(TimeWait, NoTimestamps_SequenceDecides)
{
	ts = 0;
	enter(7000, 6000);
	receive(head(40000, 80, TCP_SYN, 6000));
	EXPECT_EQ(sent().flags, TCP_ACK);
	receive(head(40000, 80, TCP_SYN, 6001));
	EXPECT_EQ(sent().flags, TCP_SYN | TCP_ACK);
}

TEST_F(Conn, TimeWaitFull_OldestGives)
{
	fake_stop(sp);
	options = {"--max_time_wait=16"};
	start();
	app = program();
	ASSERT_NE(listener(app, 80, 64), nullptr);
	for (uint16_t i = 0; i < 100; i++) {
		struct sp_conn *c = connect_peer((uint16_t)(40000 + i), 80);
		ASSERT_NE(c, nullptr);
		closed(c, FP_CLOSE_DONE, 1, 7000, 6000);
	}
	EXPECT_EQ(sp_arena_used(&sp->conns.tws), 16u);
	EXPECT_EQ(sp->cnt.time_wait, 100u);
	EXPECT_EQ(sp->cnt.drop_time_wait, 84u);
	struct tas_tuple first = tuple(80, 40000), last = tuple(80, 40099);
	EXPECT_EQ(sp_tw_find(sp, &first), nullptr);
	EXPECT_NE(sp_tw_find(sp, &last), nullptr);
	EXPECT_EQ(sp_arena_used(&sp->conns.conns), 0u);
}

} // namespace
