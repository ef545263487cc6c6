/*
 * Handshakes that a program begins, their retransmission in virtual time, and ICMP about them. RFC
 * 9293 3.10.7, 6298, 5927.
 */
#include <cerrno>
#include "conn_peer.h"

namespace
{

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

/* What could not leave was not lost: no retry of the few, no doubled pause, and the first answer is a sample of the round trip. */
TEST_F(Conn, Connect_NextHopAnswersAfterASecond_SynIsTheFirst)
{
	struct sp_conn *c = connect_out(app, 3, 8080, nullptr, 0, 77);
	ASSERT_NE(c, nullptr);
	fake_advance(sp, 2500000000);
	EXPECT_EQ(c->retries, 0u);
	EXPECT_EQ(sp->cnt.syn_retrans, 0u);
	arp(2, 77);
	struct seg syn = sent();
	EXPECT_EQ(syn.flags & TCP_SYN, TCP_SYN);
	fake_advance(sp, 500000000);
	struct wire_tcp sa =
		head(8080, ntohs(c->tuple.lport), TCP_SYN | TCP_ACK, 9000, syn.seq + 1);
	receive(sa, "", 77);
	auto in = messages(SP_FLOW_INSTALL);
	ASSERT_EQ(in.size(), 1u);
	EXPECT_EQ(in[0].u.install.rtt_us, 500000u);
	EXPECT_EQ(sp->cnt.syn_retrans, 0u);
}

/* The next hop may be asked for by a second connection only when it has been silent to the first. */
TEST_F(Conn, Connect_NextHopFailedJustNow_AskedAgain)
{
	fake_advance(sp, FAKE_SECOND / 2);
	ASSERT_NE(connect_out(app, 3, 8080, nullptr, 0, 77), nullptr);
	while (sp->cnt.conn_failed == 0)
		fake_advance(sp, FAKE_SECOND / 10);
	struct sp_conn *c = connect_out(app, 4, 8080, nullptr, 0, 77);
	ASSERT_NE(c, nullptr);
	uint32_t gen = c->gen;
	fake_advance(sp, 10 * FAKE_SECOND);
	EXPECT_EQ(slot(app, 4)->gen, gen);
	EXPECT_EQ(slot(app, 4)->error, (uint32_t)EHOSTUNREACH);
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

} // namespace
