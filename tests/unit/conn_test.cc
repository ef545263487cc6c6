/*
 * Handshakes both ways, retransmission in virtual time, ends, TIME-WAIT, ports. RFC 9293 3.10.7,
 * 6191, 6056, 7323.
 */
#include <cerrno>
#include <set>
#include "sp_peer.h"

namespace
{

class Conn : public SlowPath
{
      protected:
	struct sp_app *app = nullptr;

	void SetUp() override
	{
		start();
		app = program();
		learn_peer();
		fake_forget();
	}
};

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

/* ---- passive ---- */

class PassiveOptions : public Conn, public testing::WithParamInterface<int>
{
};

TEST_P(PassiveOptions, SynOffered_OnlyThatIsAnswered)
{
	int bits = GetParam();
	bool ts = bits & 1, sack = bits & 2, ws = bits & 4, ecn = bits & 8;
	uint16_t mss = bits & 16 ? 1400 : 0;
	struct wire_tcp syn = head(40000, 80, TCP_SYN, 5000);

	ASSERT_NE(listener(app, 80), nullptr);
	if (ts) {
		syn.has_ts = 1;
		syn.ts_val = 777;
	}
	syn.sack_ok = sack;
	syn.wscale = ws ? 5 : SEG_NO_WSCALE;
	syn.mss = mss;
	if (ecn)
		syn.flags |= TCP_ECE | TCP_CWR;
	receive(syn);
	ASSERT_EQ(fake_nframes, 1u);
	struct seg s = sent();
	EXPECT_EQ(s.flags, TCP_SYN | TCP_ACK | (ecn ? TCP_ECE : 0u));
	EXPECT_EQ(s.ack, 5001u);
	EXPECT_EQ(s.mss, 1460);
	EXPECT_EQ(s.has_ts, ts);
	if (ts) {
		EXPECT_EQ(s.ts_ecr, 777u);
	}
	EXPECT_EQ(s.sack_ok, sack);
	EXPECT_EQ(s.wscale, ws ? 7 : SEG_NO_WSCALE);

	struct wire_tcp ack = head(40000, 80, TCP_ACK, 5001, s.seq + 1);
	if (ts) {
		ack.has_ts = 1;
		ack.ts_val = 778;
		ack.ts_ecr = s.ts_val;
	}
	fake_advance(sp, 3000000);
	receive(ack);
	auto in = messages(SP_FLOW_INSTALL);
	ASSERT_EQ(in.size(), 1u);
	const struct fp_flow_init &f = in[0].u.install;
	EXPECT_EQ(f.irs, 5000u);
	EXPECT_EQ(f.iss, s.seq);
	EXPECT_EQ(f.has_ts, ts);
	EXPECT_EQ(f.has_sack, sack);
	EXPECT_EQ(f.has_ecn, ecn);
	EXPECT_EQ(f.ts_recent, ts ? 778u : 0u);
	EXPECT_EQ(f.snd_wscale, ws ? 5 : 0);
	EXPECT_EQ(f.rcv_wscale, ws ? 7 : 0);
	EXPECT_EQ(f.snd_wnd, ws ? 1000u << 5 : 1000u);
	EXPECT_EQ(f.mss, (mss ? 1400 : 536) - (ts ? 12 : 0));
	EXPECT_EQ(f.rcv_adv, 5001u + 65535u);
	EXPECT_EQ(f.rtt_us, 3000u);
	EXPECT_EQ(f.app, 0u);
	EXPECT_EQ(f.slot, FP_SLOT_NONE);
	EXPECT_NE(f.neigh, 0u);
	EXPECT_GT(f.cc.cwnd, 0u);
	EXPECT_EQ(sp->conns.nhalf, 0u);
}

INSTANTIATE_TEST_SUITE_P(All, PassiveOptions, testing::Range(0, 32));

/* SO_RCVBUF of less than 64 KiB bounds the window from the first segment on (socket(7)). */
TEST_F(Conn, SmallRcvbuf_BoundsWindowOfSynAckAndSyn)
{
	struct tas_sockopts small = {}, opts;
	small.rcvbuf = 5000;
	ASSERT_EQ(sp_policy_opts(sp, &small, &opts), 0);
	listener(app, 80)->opts = opts;
	struct wire_tcp syn = head(40000, 80, TCP_SYN, 5000);
	syn.wscale = 3;
	receive(syn);
	EXPECT_EQ(sent().wnd, 5000);
	receive(head(40000, 80, TCP_ACK, 5001, sent().seq + 1));
	auto in = messages(SP_FLOW_INSTALL);
	ASSERT_EQ(in.size(), 1u);
	EXPECT_EQ(in[0].u.install.rcv_adv, 5001u + 5000u);
	EXPECT_EQ(in[0].u.install.opts.rcvbuf, 5000u);

	fake_forget();
	struct tas_tuple t = tuple(0, 8080);
	struct sp_conn *c = nullptr;
	ASSERT_EQ(sp_connect(sp, app, 3, &t, &opts, &c), 0);
	EXPECT_EQ(sent().wnd, 5000);
	struct wire_tcp sa = head(8080, ntohs(c->tuple.lport), TCP_SYN | TCP_ACK, 9000, c->iss + 1);
	sa.wscale = 3;
	receive(sa);
	EXPECT_EQ(sent().wnd, 5000 >> 7);
	in = messages(SP_FLOW_INSTALL);
	ASSERT_EQ(in.size(), 1u);
	EXPECT_EQ(in[0].u.install.rcv_adv, 9001u + 5000u);
	/* no more than configured, no less than Linux gives */
	small.rcvbuf = UINT32_MAX;
	ASSERT_EQ(sp_policy_opts(sp, &small, &opts), 0);
	EXPECT_EQ(opts.rcvbuf, sp->conf.rcvbuf_max);
	small.rcvbuf = 1;
	ASSERT_EQ(sp_policy_opts(sp, &small, &opts), 0);
	EXPECT_EQ(opts.rcvbuf, 1152u);
}

TEST_F(Conn, Listen_SynToClosedPort_Rst)
{
	receive(head(40000, 81, TCP_SYN, 5000));
	struct seg s = sent();
	EXPECT_EQ(s.flags, TCP_RST | TCP_ACK);
	EXPECT_EQ(s.ack, 5001u);
	EXPECT_EQ(s.seq, 0u);
	EXPECT_EQ(sp->cnt.drop_stray, 1u);
}

TEST_F(Conn, Closed_AckToNobody_RstOfItsAck)
{
	receive(head(40000, 81, TCP_ACK, 5000, 1234), "data");
	struct seg s = sent();
	EXPECT_EQ(s.flags, TCP_RST);
	EXPECT_EQ(s.seq, 1234u);
}

TEST_F(Conn, Closed_Rst_NoAnswer)
{
	receive(head(40000, 81, TCP_RST, 5000));
	EXPECT_EQ(fake_nframes, 0u);
}

TEST_F(Conn, Closed_StraysWithoutEnd_RstsAreBounded)
{
	for (int i = 0; i < 5000; i++)
		receive(head((uint16_t)(1024 + i), 81, TCP_SYN, 5000));
	EXPECT_LE(fake_nframes, 1499u);
	EXPECT_GE(fake_nframes, 500u);
	EXPECT_GE(sp->cnt.drop_icmp_rate, 3501u);
}

/* CVE-2016-5696: answers that run out at a known number tell an attacker who else got some. */
TEST_F(Conn, Closed_StraysSecondAfterSecond_AllowanceVaries)
{
	std::set<uint32_t> allowed;
	for (int second = 0; second < 20; second++) {
		fake_nframes = 0;
		for (int i = 0; i < 1500; i++)
			receive(head((uint16_t)(1024 + i), 81, TCP_SYN, 5000));
		EXPECT_GE(fake_nframes, 500u);
		EXPECT_LE(fake_nframes, 1499u);
		allowed.insert(fake_nframes);
		fake_advance(sp, FAKE_SECOND);
	}
	EXPECT_GT(allowed.size(), 10u);
}

/* The pause between two SYNs grows to two minutes and no further (RFC 6298 2.5). */
TEST_F(Conn, SynSent_BackoffIsBounded)
{
	fake_stop(sp);
	options = {"--syn_retries=10"};
	start();
	app = program();
	learn_peer();
	struct sp_conn *c = connect_out(app, 0, 8080);
	ASSERT_NE(c, nullptr);
	uint32_t n = 0;
	for (uint32_t s = 0; s < 700; s++) {
		fake_advance(sp, FAKE_SECOND);
		arp(2); /* still there */
		n = (uint32_t)sp->cnt.syn_retrans;
	}
	EXPECT_EQ(n, 10u); /* at 1, 3, 7, 15, 31, 63, 127, 247, 367, 487 s */
	EXPECT_EQ(sp->cnt.conn_failed, 1u);
}

TEST_F(Conn, SynRcvd_NoAck_RetransmitsAndForgets)
{
	ASSERT_NE(listener(app, 80), nullptr);
	receive(head(40000, 80, TCP_SYN, 5000));
	ASSERT_EQ(fake_nframes, 1u);
	uint32_t iss = sent().seq;
	const struct {
		uint64_t at_ms;
		uint32_t frames;
	} steps[] = {{900, 1}, {1100, 2}, {2900, 2}, {3100, 3}, {7100, 4}, {15100, 5}, {31100, 6},
		{62000, 6}, {64000, 6}};
	uint64_t now = 0;
	for (auto &st : steps) {
		fake_advance(sp, (st.at_ms - now) * 1000000);
		now = st.at_ms;
		EXPECT_EQ(fake_nframes, st.frames) << "at " << st.at_ms << " ms";
	}
	for (uint32_t i = 0; i < fake_nframes; i++)
		EXPECT_EQ(sent(i).seq, iss);
	EXPECT_EQ(sp_arena_used(&sp->conns.conns), 0u);
	EXPECT_EQ(sp->conns.nhalf, 0u);
	EXPECT_EQ(sp->cnt.syn_retrans, 5u);
}

TEST_F(Conn, SynRcvd_RetransmittedSynAck_NoRttSample)
{
	ASSERT_NE(listener(app, 80), nullptr);
	receive(head(40000, 80, TCP_SYN, 5000));
	fake_advance(sp, 1100 * 1000000ull);
	receive(head(40000, 80, TCP_ACK, 5001, sent().seq + 1));
	auto in = messages(SP_FLOW_INSTALL);
	ASSERT_EQ(in.size(), 1u);
	EXPECT_EQ(in[0].u.install.rtt_us, 0u);
}

/* While groups change cores nothing is sent; then all goes where the flow is, in order. */
TEST_F(Conn, GroupsChangeHands_MessagesWaitAndFollow)
{
	uint32_t old;

	ASSERT_NE(listener(app, 80), nullptr);
	receive(head(40000, 80, TCP_SYN, 5000));
	old = 40000 % 2;
	sp_flow_pause(sp, old);
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

TEST_F(Conn, SynRcvd_SameSyn_SynAckAgain)
{
	ASSERT_NE(listener(app, 80), nullptr);
	receive(head(40000, 80, TCP_SYN, 5000));
	uint32_t iss = sent().seq;
	receive(head(40000, 80, TCP_SYN, 5000));
	ASSERT_EQ(fake_nframes, 2u);
	EXPECT_EQ(sent().seq, iss);
	EXPECT_EQ(sp->conns.nhalf, 1u);
}

TEST_F(Conn, SynRcvd_OtherSyn_ChallengeAck)
{
	ASSERT_NE(listener(app, 80), nullptr);
	receive(head(40000, 80, TCP_SYN, 5000));
	uint32_t iss = sent().seq;
	receive(head(40000, 80, TCP_SYN, 9000));
	struct seg s = sent();
	EXPECT_EQ(s.flags, TCP_ACK);
	EXPECT_EQ(s.seq, iss + 1);
	EXPECT_EQ(s.ack, 5001u);
}

TEST_F(Conn, SynRcvd_WrongAck_RstAndStays)
{
	ASSERT_NE(listener(app, 80), nullptr);
	receive(head(40000, 80, TCP_SYN, 5000));
	uint32_t iss = sent().seq;
	receive(head(40000, 80, TCP_ACK, 5001, iss + 2));
	EXPECT_EQ(sent().flags, TCP_RST);
	EXPECT_EQ(sent().seq, iss + 2);
	EXPECT_EQ(sp->conns.nhalf, 1u);
	EXPECT_TRUE(messages(SP_FLOW_INSTALL).empty());
	receive(head(40000, 80, TCP_ACK, 5001, iss + 1));
	EXPECT_EQ(messages(SP_FLOW_INSTALL).size(), 1u);
}

TEST_F(Conn, SynRcvd_ExactRst_Forgotten)
{
	ASSERT_NE(listener(app, 80), nullptr);
	receive(head(40000, 80, TCP_SYN, 5000));
	receive(head(40000, 80, TCP_RST, 5001));
	EXPECT_EQ(sp_arena_used(&sp->conns.conns), 0u);
}

TEST_F(Conn, SynRcvd_RstInWindow_ChallengeAckOnly)
{
	ASSERT_NE(listener(app, 80), nullptr);
	receive(head(40000, 80, TCP_SYN, 5000));
	receive(head(40000, 80, TCP_RST, 5100));
	EXPECT_EQ(sent().flags, TCP_ACK);
	EXPECT_EQ(sp->conns.nhalf, 1u);
	receive(head(40000, 80, TCP_RST, 5000 + 70000));
	EXPECT_EQ(fake_nframes, 2u);
}

TEST_F(Conn, SynRcvd_OldTimestamp_AckAndStays)
{
	struct wire_tcp syn = head(40000, 80, TCP_SYN, 5000);
	ASSERT_NE(listener(app, 80), nullptr);
	syn.has_ts = 1;
	syn.ts_val = 1000;
	receive(syn);
	struct wire_tcp ack = head(40000, 80, TCP_ACK, 5001, sent().seq + 1);
	ack.has_ts = 1;
	ack.ts_val = 999;
	receive(ack);
	EXPECT_TRUE(messages(SP_FLOW_INSTALL).empty());
	ack.ts_val = 1000;
	receive(ack);
	EXPECT_EQ(messages(SP_FLOW_INSTALL).size(), 1u);
}

TEST_F(Conn, SynRcvd_AckWithData_FrameFollowsInstall)
{
	ASSERT_NE(listener(app, 80), nullptr);
	receive(head(40000, 80, TCP_SYN, 5000));
	fake_nmsgs = 0;
	receive(head(40000, 80, TCP_ACK | TCP_PSH, 5001, sent().seq + 1), "GET /");
	ASSERT_EQ(fake_nmsgs, 2u);
	EXPECT_EQ(fake_msgs[0].m.type, SP_FLOW_INSTALL);
	ASSERT_EQ(fake_msgs[1].m.type, SP_FRAME);
	EXPECT_EQ(fake_msgs[0].core, fake_msgs[1].core);
	struct seg s;
	ASSERT_EQ(wire_parse((const uint8_t *)fake_msgs[1].m.u.frame.data,
			  fake_msgs[1].m.u.frame.len, 0, 0, &s),
		WIRE_TCP);
	EXPECT_EQ(std::string((const char *)s.payload, s.len), "GET /");
}

TEST_F(Conn, Open_FrameThatMissedTheFlow_GoesBackToItsCore)
{
	ASSERT_NE(listener(app, 80), nullptr);
	struct sp_conn *c = connect_peer(40000, 80);
	ASSERT_NE(c, nullptr);
	fake_forget();
	receive(head(40000, 80, TCP_ACK | TCP_PSH, 5001, c->iss + 1), "abc");
	ASSERT_EQ(messages(SP_FRAME).size(), 1u);
	EXPECT_EQ(fake_nframes, 0u);
}

TEST_F(Conn, Syn_FromGroupOrOurselves_Ignored)
{
	ASSERT_NE(listener(app, 80), nullptr);
	receive(head(40000, 80, TCP_SYN, 5000), "", 2);
	receive(head(40000, 80, TCP_SYN, 5000), "", 255);
	EXPECT_EQ(fake_nframes, 0u);
	EXPECT_EQ(sp_arena_used(&sp->conns.conns), 0u);
}

TEST_F(Conn, Syn_Draining_Refused)
{
	ASSERT_NE(listener(app, 80), nullptr);
	sp_drain(sp);
	receive(head(40000, 80, TCP_SYN, 5000));
	EXPECT_EQ(sent().flags, TCP_RST | TCP_ACK);
}

TEST_F(Conn, LargeFrameCut_FirstSegmentsGoBack)
{
	ASSERT_NE(listener(app, 80), nullptr);
	struct sp_conn *c = connect_peer(40000, 80);
	struct fp_exc exc = {};
	struct wire_tcp h = head(40000, 80, TCP_ACK | TCP_PSH, 5001, c->iss + 1);
	std::string body(1900, 'x');

	fake_forget();
	exc.cap = fake_tcp(exc.data, 1, &h, body.data(), (uint32_t)body.size());
	exc.len = 30000; /* what the device received in one piece */
	exc.gso_size = 500;
	exc.data[16] = 0x75; /* its true IP length, 30000 - 14 */
	exc.data[17] = 0x22;
	sp_frame_input(sp, &exc);
	auto f = messages(SP_FRAME);
	ASSERT_EQ(f.size(), 1u);
	struct seg s;
	ASSERT_EQ(wire_parse((const uint8_t *)f[0].u.frame.data, f[0].u.frame.len,
			  (uint16_t)f[0].u.frame.gso_size, 1, &s),
		WIRE_TCP);
	EXPECT_EQ(s.len, 1500u);
	EXPECT_EQ(s.nsegs, 3u);
	EXPECT_EQ(s.flags & TCP_PSH, 0u);
}

/* ---- active ---- */

TEST_F(Conn, Connect_SynAck_InstalledWithSlot)
{
	struct sp_conn *c = connect_out(app, 7, 8080);
	ASSERT_NE(c, nullptr);
	struct seg syn = sent();
	EXPECT_EQ(syn.flags, TCP_SYN);
	EXPECT_EQ(syn.mss, 1460);
	EXPECT_EQ(syn.wscale, 7);
	EXPECT_TRUE(syn.has_ts);
	EXPECT_TRUE(syn.sack_ok);
	uint16_t lport = ntohs(c->tuple.lport);
	EXPECT_GE(lport, 61000);

	struct wire_tcp sa = head(8080, lport, TCP_SYN | TCP_ACK, 9000, syn.seq + 1);
	sa.mss = 1200;
	sa.wscale = 3;
	sa.has_ts = 1;
	sa.ts_val = 55;
	receive(sa);
	struct seg ack = sent();
	EXPECT_EQ(ack.flags, TCP_ACK);
	EXPECT_EQ(ack.seq, syn.seq + 1);
	EXPECT_EQ(ack.ack, 9001u);
	EXPECT_EQ(ack.ts_ecr, 55u);
	auto in = messages(SP_FLOW_INSTALL);
	ASSERT_EQ(in.size(), 1u);
	const struct fp_flow_init &f = in[0].u.install;
	EXPECT_EQ(f.app, app->id);
	EXPECT_EQ(f.slot, 7u);
	EXPECT_EQ(f.snd_wnd, 1000u);
	EXPECT_EQ(f.snd_wscale, 3);
	EXPECT_EQ(f.rcv_wscale, 7);
	EXPECT_FALSE(f.has_sack);
	EXPECT_EQ(f.mss, 1200 - 12);
	EXPECT_EQ(f.gen, c->gen);
	EXPECT_EQ(app->connecting, 0u);
	EXPECT_EQ(app->slot_conn[7], 0u);
}

TEST_F(Conn, Connect_Refused_SlotSaysSo)
{
	struct sp_conn *c = connect_out(app, 3, 8080);
	uint16_t lport = ntohs(c->tuple.lport);
	uint32_t gen = c->gen, iss = c->iss;
	receive(head(8080, lport, TCP_RST, 0)); /* no ACK: not ours */
	EXPECT_EQ(slot(app, 3)->gen, 0u);
	receive(head(8080, lport, TCP_RST | TCP_ACK, 0, iss)); /* acknowledges nothing of ours */
	EXPECT_EQ(slot(app, 3)->gen, 0u);
	receive(head(8080, lport, TCP_RST | TCP_ACK, 0, iss + 1));
	EXPECT_EQ(slot(app, 3)->gen, gen);
	EXPECT_EQ(slot(app, 3)->error, (uint32_t)ECONNREFUSED);
	EXPECT_EQ(slot(app, 3)->state, TAS_SOCK_ERROR | TAS_SOCK_FREE);
	ASSERT_EQ(fake_nrings, 1u);
	EXPECT_EQ(fake_rings[0].slot, 3u);
	EXPECT_EQ(sp_arena_used(&sp->conns.conns), 0u);
	EXPECT_EQ(app->nconns, 0u);
}

TEST_F(Conn, Connect_Silence_TimesOut)
{
	ASSERT_NE(connect_out(app, 3, 8080), nullptr);
	fake_nframes = 0;
	for (int i = 0; i < 126; i++) {
		fake_advance(sp, FAKE_SECOND);
		arp(2); /* the next hop lives, the host behind it does not answer */
	}
	EXPECT_EQ(slot(app, 3)->state, 0u);
	EXPECT_EQ(sp->cnt.syn_retrans, 6u);
	fake_advance(sp, 3 * FAKE_SECOND);
	EXPECT_EQ(slot(app, 3)->error, (uint32_t)ETIMEDOUT);
	EXPECT_EQ(sp->cnt.conn_timeout, 1u);
}

TEST_F(Conn, Connect_WrongAck_RstAndStays)
{
	struct sp_conn *c = connect_out(app, 3, 8080);
	uint16_t lport = ntohs(c->tuple.lport);
	receive(head(8080, lport, TCP_SYN | TCP_ACK, 9000, c->iss + 5));
	EXPECT_EQ(sent().flags, TCP_RST);
	EXPECT_EQ(sent().seq, c->iss + 5);
	EXPECT_EQ(c->state, SP_CONN_SYN_SENT);
}

TEST_F(Conn, Connect_Simultaneous_Opens)
{
	struct sp_conn *c = connect_out(app, 3, 8080);
	uint16_t lport = ntohs(c->tuple.lport);
	uint32_t iss = c->iss;
	receive(head(8080, lport, TCP_SYN, 9000));
	struct seg s = sent();
	EXPECT_EQ(s.flags, TCP_SYN | TCP_ACK);
	EXPECT_EQ(s.seq, iss);
	EXPECT_EQ(s.ack, 9001u);
	EXPECT_EQ(c->state, SP_CONN_SYN_RCVD);
	receive(head(8080, lport, TCP_SYN | TCP_ACK, 9000, iss + 1));
	auto in = messages(SP_FLOW_INSTALL);
	ASSERT_EQ(in.size(), 1u);
	EXPECT_EQ(in[0].u.install.slot, 3u);
	EXPECT_EQ(in[0].u.install.snd_wnd, 1000u);
}

TEST_F(Conn, Connect_IcmpUnreachable_OnlyWithOurSequence)
{
	struct sp_conn *c = connect_out(app, 3, 8080);
	struct fake_frame syn = fake_frames[fake_nframes - 1];
	uint8_t frame[256];
	uint32_t iss_be;

	/* a quotation with another sequence number */
	memcpy(&iss_be, syn.data + 14 + 20 + 4, 4);
	uint32_t bad = htonl(ntohl(iss_be) + 1);
	memcpy(syn.data + 14 + 20 + 4, &bad, 4);
	uint32_t len = wire_icmp_emit(frame, fake_peer_mac, fake_mac, fake_addr(1), fake_addr(2), 3,
		1, 0, syn.data + 14, 28);
	fake_receive(sp, frame, len);
	EXPECT_EQ(slot(app, 3)->gen, 0u);
	EXPECT_EQ(sp->cnt.drop_icmp_bad, 1u);

	memcpy(syn.data + 14 + 20 + 4, &iss_be, 4);
	len = wire_icmp_emit(frame, fake_peer_mac, fake_mac, fake_addr(1), fake_addr(2), 3, 1, 0,
		syn.data + 14, 28);
	uint32_t gen = c->gen;
	fake_receive(sp, frame, len);
	EXPECT_EQ(slot(app, 3)->gen, gen);
	EXPECT_EQ(slot(app, 3)->error, (uint32_t)EHOSTUNREACH);
}

TEST_F(Conn, Open_FragmentationNeeded_CoreIsToldWithQuotedSequence)
{
	ASSERT_NE(listener(app, 80), nullptr);
	struct sp_conn *c = connect_peer(40000, 80);
	struct fake_frame f = fake_frames[fake_nframes - 1]; /* SYN-ACK: same tuple */
	uint8_t frame[256];

	ASSERT_NE(c, nullptr);
	fake_forget();
	uint32_t len = wire_icmp_emit(frame, fake_peer_mac, fake_mac, fake_addr(1), fake_addr(2), 3,
		4, htonl(1300), f.data + 14, 28);
	fake_receive(sp, frame, len);
	auto m = messages(SP_PMTU);
	ASSERT_EQ(m.size(), 1u);
	EXPECT_EQ(m[0].u.pmtu, 1300);
	EXPECT_EQ(m[0].u.quoted.has_seq, 1);
	EXPECT_EQ(m[0].u.quoted.seq, c->iss);
	/* absurdly small, or no smaller than ours */
	fake_forget();
	for (uint32_t mtu : {0u, 68u, 551u, 1500u, 9000u}) {
		len = wire_icmp_emit(frame, fake_peer_mac, fake_mac, fake_addr(1), fake_addr(2), 3,
			4, htonl(mtu), f.data + 14, 28);
		fake_receive(sp, frame, len);
	}
	EXPECT_TRUE(messages(SP_PMTU).empty());
}

TEST_F(Conn, Connect_NextHopSilent_HostUnreachable)
{
	struct sp_conn *c = connect_out(app, 3, 8080, nullptr, 0, 77);
	ASSERT_NE(c, nullptr);
	uint32_t gen = c->gen;
	fake_advance(sp, 6 * FAKE_SECOND);
	EXPECT_EQ(slot(app, 3)->gen, gen);
	EXPECT_EQ(slot(app, 3)->error, (uint32_t)EHOSTUNREACH);
}

TEST_F(Conn, Connect_NextHopAnswersLate_SynLeavesThen)
{
	struct sp_conn *c = connect_out(app, 3, 8080, nullptr, 0, 77);
	ASSERT_NE(c, nullptr);
	ASSERT_EQ(fake_nframes, 1u); /* the question */
	arp(2, 77);
	struct seg s;
	int syns = 0;
	for (uint32_t i = 0; i < fake_nframes; i++)
		syns += fake_parse(i, &s) == 0 && s.flags == TCP_SYN;
	EXPECT_EQ(syns, 1);
}

TEST_F(Conn, Cancel_Handshake_SlotFreed)
{
	struct sp_conn *c = connect_out(app, 3, 8080);
	struct sp_conn_input in = {};
	in.error = ECONNABORTED;
	uint32_t gen = c->gen;
	sp_conn_event(sp, c, SP_EV_CANCEL, &in);
	EXPECT_EQ(slot(app, 3)->gen, gen);
	EXPECT_EQ(slot(app, 3)->state, TAS_SOCK_ERROR | TAS_SOCK_FREE);
	EXPECT_EQ(app->connecting, 0u);
	EXPECT_NE(connect_out(app, 3, 8080), nullptr);
}

TEST_F(Conn, Connect_SlotInUse_Busy)
{
	int err;
	ASSERT_NE(connect_out(app, 3, 8080), nullptr);
	EXPECT_EQ(connect_out(app, 3, 8081, &err), nullptr);
	EXPECT_EQ(err, -EBUSY);
	EXPECT_EQ(connect_out(app, 1u << 20, 8081, &err), nullptr);
	EXPECT_EQ(err, -EBUSY);
}

TEST_F(Conn, Kill_Open_CoreIsAsked)
{
	ASSERT_NE(listener(app, 80), nullptr);
	struct sp_conn *c = connect_peer(40000, 80);
	sp_conn_abort(sp, c, ECONNABORTED);
	auto m = messages(SP_FLOW_ABORT);
	ASSERT_EQ(m.size(), 1u);
	EXPECT_EQ(m[0].u.abort.send_rst, 1u);
	closed(c, FP_CLOSE_ABORTED);
	EXPECT_EQ(sp_arena_used(&sp->conns.conns), 0u);
	EXPECT_EQ(sp->cnt.conn_reset_out, 1u);
}

/* ---- full rings ---- */

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

/* ---- TIME-WAIT ---- */

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
	struct tas_tuple first = tuple(80, 40000), last = tuple(80, 40099);
	EXPECT_EQ(sp_tw_find(sp, &first), nullptr);
	EXPECT_NE(sp_tw_find(sp, &last), nullptr);
	EXPECT_EQ(sp_arena_used(&sp->conns.conns), 0u);
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

} // namespace
