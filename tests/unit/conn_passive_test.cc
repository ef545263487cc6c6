/*
 * Handshakes that a peer begins, retransmission in virtual time, and what comes where nobody
 * listens. RFC 9293 3.10.7, 5961, 7323.
 */
#include <cerrno>
#include <set>
#include "conn_peer.h"

namespace
{

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
	EXPECT_EQ(sent().wnd, 5000);
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
	EXPECT_EQ(sp->cnt.drop_addr_bad, 2u);
}

TEST_F(Conn, Syn_AnswerNotTakenByTheDevice_Counted)
{
	ASSERT_NE(listener(app, 80), nullptr);
	fake_tx_error = -EAGAIN;
	receive(head(40000, 80, TCP_SYN, 5000));
	EXPECT_EQ(sp->cnt.drop_not_sent, 1u);
}

TEST_F(Conn, SegmentForACore_NoMemory_Counted)
{
	ASSERT_NE(listener(app, 80), nullptr);
	struct sp_conn *c = connect_peer(40000, 80);

	fake_forget();
	fp_alloc_fail(1);
	receive(head(40000, 80, TCP_ACK, 5001, c->iss + 1), "x");
	fp_alloc_fail(0);
	EXPECT_EQ(messages(SP_FRAME).size(), 0u);
	EXPECT_EQ(sp->cnt.drop_no_frame_memory, 1u);
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

/* A segment of a jumbo frame, and large frames of such: no whole segment is left, but bytes are bytes. */
TEST_F(Conn, JumboFrameCut_WhatIsThereGoesBack)
{
	ASSERT_NE(listener(app, 80), nullptr);
	struct sp_conn *c = connect_peer(40000, 80);

	for (uint16_t gso : {0, 8960}) {
		struct fp_exc exc = {};
		struct wire_tcp h = head(40000, 80, TCP_ACK | TCP_PSH | TCP_FIN, 5001, c->iss + 1);
		std::string body(FP_EXC_FRAME_MAX - 54, 'x');
		struct seg s;

		fake_forget();
		exc.cap = fake_tcp(exc.data, 1, &h, body.data(), (uint32_t)body.size());
		exc.len = 9014;
		exc.gso_size = gso;
		exc.data[16] = 0x23; /* 9000 */
		exc.data[17] = 0x28;
		sp_frame_input(sp, &exc);
		auto f = messages(SP_FRAME);
		ASSERT_EQ(f.size(), 1u);
		ASSERT_EQ(wire_parse((const uint8_t *)f[0].u.frame.data, f[0].u.frame.len,
				  (uint16_t)f[0].u.frame.gso_size, 1, &s),
			WIRE_TCP);
		EXPECT_EQ(s.len, body.size());
		EXPECT_EQ(s.nsegs, 1u);
		EXPECT_EQ(s.flags, TCP_ACK);
	}
	EXPECT_EQ(sp->cnt.drop_too_long, 0u);
}

/* What follows the packet in a frame is nobody's data. */
TEST_F(Conn, PaddingCut_SegmentAsItWas)
{
	ASSERT_NE(listener(app, 80), nullptr);
	struct sp_conn *c = connect_peer(40000, 80);
	struct fp_exc exc = {};
	struct wire_tcp h = head(40000, 80, TCP_ACK | TCP_FIN, 5001, c->iss + 1);
	struct seg s;

	fake_forget();
	fake_tcp(exc.data, 1, &h, "four", 4);
	exc.cap = FP_EXC_FRAME_MAX;
	exc.len = 3000;
	sp_frame_input(sp, &exc);
	auto f = messages(SP_FRAME);
	ASSERT_EQ(f.size(), 1u);
	ASSERT_EQ(wire_parse((const uint8_t *)f[0].u.frame.data, f[0].u.frame.len, 0, 0, &s),
		WIRE_TCP);
	EXPECT_EQ(s.len, 4u);
	EXPECT_EQ(s.flags, TCP_ACK | TCP_FIN);
}

/* ---- nobody listens ---- */

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

} // namespace
