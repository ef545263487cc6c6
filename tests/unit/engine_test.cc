/*
 * The engine end to end in one thread and virtual time: frames in, frames out, a program on a real
 * region.
 */
#include <map>
#include <set>
#include <gtest/gtest.h>
#include "engine.h"

namespace
{

TEST(Engine, ConnectedFlowAppearsInItsSlot)
{
	Connected t;

	EXPECT_TRUE(t.s.known());
	EXPECT_EQ(t.s.state(), TAS_SOCK_OPEN);
	EXPECT_TRUE(t.p.heard(9));
	EXPECT_EQ(t.s.s().flow, 5u);
	EXPECT_EQ(t.s.s().rport, 0x1122);
	EXPECT_GT(t.s.s().tx_limit, 0u);
	EXPECT_EQ(t.p.app->slot_flow[9], 5u);
}

TEST(Engine, ConnectedFlowThatFindsTheTableFullIsTold)
{
	Engine e;
	Program p(e, 1);
	Conn c(e, 5, 77, 0x1122);
	Socket s(p, 9, 77);
	const tas_tuple &t = c.init.tuple;
	uint32_t group = nic_group(e.port, t.laddr, t.raddr, t.lport, t.rport, 0);

	while (fp_table_add(&e.fp->table, group, fp_table_hash(&e.fp->table, &t), 900))
		;
	c.install_in(p, 9);
	e.run();
	EXPECT_EQ(e.cnt().flow_table_full, 1u);
	EXPECT_TRUE(s.state() & TAS_SOCK_ERROR);
	EXPECT_EQ(s.s().error, (uint32_t)ENOBUFS);
	EXPECT_TRUE(p.heard(9));
	EXPECT_EQ(e.count(FP_EV_CLOSED), 1u);
}

TEST(Engine, DataArrivesAndIsAcknowledged)
{
	Connected t;

	t.p.heard(9);
	t.c.peer->to_write = 100000;
	t.c.peer->shut_when_done = false;
	settle(t.e, {&t.c}, [&] {
		if (t.p.heard(9))
			t.s.recv();
	});
	EXPECT_EQ(t.s.read, 100000u);
	EXPECT_EQ(t.s.bad_bytes, 0u);
	EXPECT_EQ(t.s.fault, "");
	EXPECT_EQ(t.c.peer->f.tx_una, 100000u) << "all is acknowledged without a timer";
	EXPECT_EQ(t.p.app->rx_chunks, 0u) << "all chunks are free again";
	EXPECT_EQ(t.e.cnt().rx_payload, 100000u);
}

TEST(Engine, DataIsSentAndChunksComeBack)
{
	Connected t;
	size_t pool = t.p.tx_pool.size();

	t.c.peer->shut_when_done = false;
	for (uint64_t left = 1000000; left > 0;) {
		left -= t.s.send(left);
		settle(t.e, {&t.c});
	}
	EXPECT_EQ(t.c.peer->rx_data_end(), 1000000u);
	EXPECT_EQ(t.c.peer->bad_bytes, 0u);
	EXPECT_EQ(t.c.peer->fault, "");
	EXPECT_EQ(t.s.s().tx_una, 1000000u);
	t.s.send(0);
	EXPECT_EQ(t.p.tx_pool.size(), pool);
	EXPECT_LT(t.e.cnt().tx_packets, 200u) << "large frames are used";
}

TEST(Engine, PortWithoutOffloadsGetsSmallFramesWithWholeChecksums)
{
	Connected t(false);

	t.c.peer->shut_when_done = false;
	for (uint64_t left = 100001; left > 0;) {
		left -= t.s.send(std::min<uint64_t>(left, 777)); /* odd pieces */
		settle(t.e, {&t.c});
	}
	/* The last piece waits for the peer's delayed ACK (Nagle). */
	for (int i = 0; i < 5 && t.c.peer->rx_data_end() < 100001; i++) {
		advance(t.e, {&t.c});
		settle(t.e, {&t.c});
	}
	EXPECT_EQ(t.c.peer->rx_data_end(), 100001u);
	EXPECT_EQ(t.c.peer->bad_bytes, 0u);
	EXPECT_EQ(t.c.peer->fault, "");
}

TEST(Engine, BothCloseInOrderAndTheSlotComesBack)
{
	Connected t;

	t.c.peer->to_write = 5000;
	settle(t.e, {&t.c}, [&] { t.s.recv(); });
	EXPECT_TRUE(t.s.state() & TAS_SOCK_RX_FIN);
	t.s.send(3000);
	t.s.want(TAS_SOCK_SHUT_WR);
	settle(t.e, {&t.c}, [&] { t.s.recv(); });
	EXPECT_TRUE(t.c.peer->done);
	ASSERT_EQ(t.e.count(FP_EV_CLOSED), 1u);
	EXPECT_EQ(t.e.last(FP_EV_CLOSED)->u.closed.reason, (uint32_t)FP_CLOSE_DONE);
	EXPECT_EQ(t.e.last(FP_EV_CLOSED)->u.closed.time_wait, 0u) << "the peer closed first";
	EXPECT_EQ(t.e.last(FP_EV_CLOSED)->u.closed.snd_nxt, Conn::kIss + 1 + 3000 + 1);
	EXPECT_EQ(t.e.last(FP_EV_CLOSED)->u.closed.rcv_nxt, Conn::kIrs + 1 + 5000 + 1);
	EXPECT_TRUE(t.s.state() & TAS_SOCK_ERROR);
	EXPECT_EQ(t.s.s().error, 0u);
	EXPECT_FALSE(t.s.state() & TAS_SOCK_FREE) << "the program has not closed";
	t.s.want(TAS_SOCK_CLOSED);
	t.e.run();
	EXPECT_TRUE(t.s.state() & TAS_SOCK_FREE);
	EXPECT_EQ(t.p.app->slot_flow[9], FP_FLOW_NONE);
}

TEST(Engine, WeCloseFirstKeepsTimeWait)
{
	Connected t;

	t.c.peer->shut_when_done = false;
	t.s.want(TAS_SOCK_SHUT_WR | TAS_SOCK_CLOSED);
	settle(t.e, {&t.c});
	EXPECT_FALSE(t.s.state() & TAS_SOCK_FREE)
		<< "our FIN is acknowledged, the peer's has not come";
	t.c.peer->shut_when_done = true;
	settle(t.e, {&t.c});
	ASSERT_EQ(t.e.count(FP_EV_CLOSED), 1u);
	EXPECT_EQ(t.e.last(FP_EV_CLOSED)->u.closed.time_wait, 1u);
	EXPECT_TRUE(t.s.state() & TAS_SOCK_FREE) << "closed and gone";
	EXPECT_TRUE(t.c.peer->done) << "its FIN was acknowledged";
}

TEST(Engine, UnreadDataOfADeadFlowStaysReadableUntilClose)
{
	Connected t;

	t.c.peer->to_write = 40000;
	t.s.want(TAS_SOCK_SHUT_WR);
	settle(t.e, {&t.c});
	ASSERT_EQ(t.e.count(FP_EV_CLOSED), 1u);
	EXPECT_EQ(t.s.recv(), 40000u);
	EXPECT_EQ(t.s.bad_bytes, 0u);
	EXPECT_GT(t.p.app->rx_chunks, 0u);
	t.s.want(TAS_SOCK_CLOSED);
	t.e.run();
	EXPECT_EQ(t.p.app->rx_chunks, 0u);
	EXPECT_TRUE(t.s.state() & TAS_SOCK_FREE);
}

TEST(Engine, ClosingWithUnreadDataResetsThePeer)
{
	Connected t;

	t.c.peer->to_write = 1000;
	t.c.peer->shut_when_done = false;
	settle(t.e, {&t.c});
	t.s.want(TAS_SOCK_CLOSED);
	settle(t.e, {&t.c});
	EXPECT_TRUE(t.c.peer->reset);
	EXPECT_TRUE(t.s.state() & TAS_SOCK_FREE);
}

TEST(Engine, ResetByThePeerIsTold)
{
	Connected t;
	wire_tcp h;
	uint8_t fr[94];

	t.p.heard(9);
	tcp_header_rst(&t.c.peer->f, &t.c.peer->c, &t.c.peer->env, &h);
	memset(fr, 2, 14);
	fr[12] = 8;
	fr[13] = 0;
	uint32_t hl = wire_tcp_emit(fr + 34, &h);
	wire_ip4_emit(fr + 14, kPeerAddr, kOurAddr, 6, (uint16_t)(20 + hl), 0, 0, 64);
	mem_nic_put(t.e.port, 0, fr, 34 + hl, 0, NIC_RX_CSUM_OK);
	t.e.run();
	EXPECT_TRUE(t.p.heard(9));
	EXPECT_EQ(t.s.state() & (TAS_SOCK_ERROR | TAS_SOCK_FREE), TAS_SOCK_ERROR);
	EXPECT_EQ(t.s.s().error, (uint32_t)ECONNRESET);
	ASSERT_EQ(t.e.count(FP_EV_CLOSED), 1u);
	EXPECT_EQ(t.e.last(FP_EV_CLOSED)->u.closed.reason, (uint32_t)FP_CLOSE_RESET);
}

TEST(Engine, WaiterForSpaceIsToldOnce)
{
	Connected t;

	t.p.heard(9);
	t.c.peer->shut_when_done = false;
	while (t.s.send(UINT64_MAX))
		; /* to the limit */
	t.s.s().tx_wait = 1;
	t.p.ring(9);
	t.e.run();
	EXPECT_FALSE(t.p.heard(9));
	EXPECT_EQ(t.s.s().tx_wait, 1u);
	settle(t.e, {&t.c});
	EXPECT_TRUE(t.p.heard(9));
	EXPECT_EQ(t.s.s().tx_wait, 0u);
	settle(t.e, {&t.c});
	EXPECT_FALSE(t.p.heard(9));
}

TEST(Engine, SleepingQueueIsWrittenOnce)
{
	Connected t;
	uint64_t v = 0;

	t.p.listen();
	t.p.news.clear();
	t.p.evq(0)->sleeping = 1;
	t.c.peer->to_write = 3000;
	t.c.peer->shut_when_done = false;
	settle(t.e, {&t.c});
	ASSERT_EQ(read(t.p.app->evq_fd[0], &v, 8), 8);
	EXPECT_EQ(v, 1u);
	EXPECT_EQ(t.p.evq(0)->sleeping, 0u);
	EXPECT_EQ(t.e.cnt().app_wakes, 1u);
	t.c.peer->to_write = 6000;
	settle(t.e, {&t.c});
	EXPECT_EQ(read(t.p.app->evq_fd[0], &v, 8), -1) << "it does not sleep";
	t.s.s().waiters = 1;
	t.c.peer->to_write = 9000;
	settle(t.e, {&t.c});
	EXPECT_EQ(t.s.s().wake, 1u);
}

/* More wakes than the kernel keeps completions for. */
TEST(Engine, EventfdIsWrittenAsOftenAsAsked)
{
	Engine e;
	int fd = eventfd(0, EFD_NONBLOCK);
	uint64_t v = 0;

	for (int i = 0; i < 5000; i++)
		ASSERT_EQ(fp_wake(&e.core().waker, fd), 1) << i;
	EXPECT_EQ(read(fd, &v, 8), 8);
	EXPECT_EQ(v, 5000u);
	close(fd);
}

/* The kernel cannot take a wake now: it is not forgotten, nor is the program while one is due. */
TEST(Engine, WakeThatFails_IsTriedAgainNextRound)
{
	Connected t;
	fp_waker good = t.e.core().waker;
	uint64_t v = 0;

	t.p.evq(0)->sleeping = 1;
	t.e.core().waker.context = 1; /* there is none */
	t.c.peer->to_write = 3000;
	t.c.peer->shut_when_done = false;
	t.c.peer->program();
	t.c.peer->output();
	t.c.deliver();
	for (int i = 0; i < 3; i++)
		fp_core_poll(&t.e.core(), t.e.now);
	EXPECT_EQ(t.p.evq(0)->sleeping, 1u);
	EXPECT_EQ(read(t.p.app->evq_fd[0], &v, 8), -1);
	EXPECT_GE(t.e.cnt().wakes_late, 2u);
	EXPECT_EQ(t.e.cnt().app_wakes, 0u);
	EXPECT_EQ(t.e.next(), 0u) << "the core must not sleep";
	t.e.send_all(SP_APP_DEL, 1);
	for (int i = 0; i < 20; i++)
		t.e.pass(30ull * 1000000000);
	EXPECT_EQ(t.e.count(FP_EV_APP_GONE), 0u);
	t.e.core().waker = good;
	t.e.run();
	EXPECT_EQ(t.p.evq(0)->sleeping, 0u);
	EXPECT_EQ(read(t.p.app->evq_fd[0], &v, 8), 8);
	EXPECT_EQ(t.e.count(FP_EV_APP_GONE), 1u);
}

TEST(Engine, NewsGoToTheQueueTheSlotNames)
{
	Connected t;

	t.p.listen();
	t.p.news.clear();
	t.s.s().evq = 1;
	t.p.ring(9);
	t.c.peer->to_write = 100;
	settle(t.e, {&t.c});
	EXPECT_FALSE(tas_bell_pending(t.p.evq(0)));
	EXPECT_TRUE(tas_bell_pending(t.p.evq(1)));
}

/* Frames that are not for a flow. */

std::vector<uint8_t> tcp_frame(
	uint32_t saddr, uint32_t daddr, uint16_t sport, uint16_t dport, uint8_t flags)
{
	std::vector<uint8_t> fr(54);
	wire_tcp h;
	uint16_t sum;

	memset(&h, 0, sizeof(h));
	h.lport = sport;
	h.rport = dport;
	h.flags = flags;
	h.wscale = SEG_NO_WSCALE;
	memset(fr.data(), 2, 14);
	fr[12] = 8;
	fr[13] = 0;
	wire_tcp_emit(&fr[34], &h);
	wire_ip4_emit(&fr[14], saddr, daddr, 6, 40, 0, 0, 64);
	sum = wire_csum_fold(wire_csum_add(wire_csum_pseudo4(saddr, daddr, 6, 20), &fr[34], 20));
	memcpy(&fr[50], &sum, 2);
	return fr;
}

void put(Engine &e, const std::vector<uint8_t> &fr)
{
	mem_nic_put(e.port, 0, fr.data(), (uint32_t)fr.size(), 0, 0);
	e.run();
}

TEST(Exceptions, SynGoesToTheSlowPath)
{
	Engine e;
	fp_exc x;

	put(e, tcp_frame(kPeerAddr, kOurAddr, 1, 2, TCP_SYN));
	ASSERT_EQ(fp_exc_next(e.fp, &x), 1);
	EXPECT_EQ(x.len, 54u);
	EXPECT_EQ(x.cap, 54u);
	EXPECT_EQ(fp_exc_next(e.fp, &x), 0);
}

TEST(Exceptions, WhatIsNotForUsIsDroppedAndCounted)
{
	Engine e;
	fp_exc x;
	auto other_mac = tcp_frame(kPeerAddr, kOurAddr, 1, 2, TCP_SYN);

	other_mac[5] = 3;
	put(e, other_mac);
	put(e, tcp_frame(kPeerAddr, 0x0900000a, 1, 2, TCP_SYN));
	EXPECT_EQ(fp_exc_next(e.fp, &x), 0);
	EXPECT_EQ(e.cnt().drop_not_for_us, 2u);
	auto bad_sum = tcp_frame(kPeerAddr, kOurAddr, 1, 2, TCP_SYN);
	bad_sum[50] ^= 1;
	put(e, bad_sum);
	EXPECT_EQ(e.cnt().drop_tcp_checksum, 1u);
}

TEST(Exceptions, WhatThePortCannotHandOverIsCounted)
{
	Engine e;

	mem_nic_lose(e.port, 3);
	e.run();
	EXPECT_EQ(e.cnt().drop_rx_error, 3u);
}

const uint8_t kFlagsAt = 47; /* of the TCP flags in a frame */

std::vector<uint8_t> arp_question()
{
	std::vector<uint8_t> f = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 2, 2, 2, 2, 2, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1};

	f.resize(42);
	return f;
}

/* The last frames of handshakes, ours and a peer's, FINs for TIME-WAIT, resets: what a flood of SYNs must not drown. */
TEST(Exceptions, ASynFloodStarvesNobodyElse)
{
	const std::vector<uint8_t> replies = {
		TCP_SYN | TCP_ACK, TCP_ACK, TCP_FIN | TCP_ACK, TCP_RST, TCP_RST | TCP_ACK};
	std::vector<uint8_t> came;
	Engine e;
	fp_exc x;
	bool arp = false;

	for (uint32_t i = 0; i < 2 * FP_EXC_RING; i++)
		put(e, tcp_frame(kPeerAddr, kOurAddr, (uint16_t)i, 2, TCP_SYN));
	EXPECT_EQ(e.cnt().drop_exc_syn, FP_EXC_RING);
	put(e, arp_question());
	for (uint8_t flags : replies)
		put(e, tcp_frame(kPeerAddr, kOurAddr, 1, 2, flags));
	while (fp_exc_next(e.fp, &x)) {
		arp |= x.len == 42;
		if (x.len > kFlagsAt && x.data[kFlagsAt] != TCP_SYN)
			came.push_back(x.data[kFlagsAt]);
	}
	EXPECT_TRUE(arp);
	EXPECT_EQ(came, replies);
	EXPECT_EQ(e.cnt().drop_exc_segment, 0u);
	EXPECT_EQ(e.cnt().drop_exc_neigh, 0u);
}

/* Nor does a flood of anything else; and nobody waits for more than one frame of each of the others. */
TEST(Exceptions, EveryQueueHasItsTurn)
{
	std::map<uint8_t, uint32_t> taken;
	Engine e;
	fp_exc x;

	for (uint32_t i = 0; i < FP_EXC_RING + 10; i++)
		put(e, tcp_frame(kPeerAddr, kOurAddr, (uint16_t)i, 2, TCP_ACK));
	for (uint32_t i = 0; i < FP_EXC_RING; i++)
		put(e, arp_question());
	for (uint32_t i = 0; i < FP_EXC_RING; i++)
		put(e, tcp_frame(kPeerAddr, kOurAddr, (uint16_t)i, 2, TCP_SYN));
	EXPECT_EQ(e.cnt().drop_exc_segment, 10u);
	for (int i = 0; i < 30; i++) {
		ASSERT_EQ(fp_exc_next(e.fp, &x), 1);
		taken[x.len == 42 ? 0 : x.data[kFlagsAt]]++;
	}
	EXPECT_EQ(taken, (std::map<uint8_t, uint32_t>{{0, 10}, {TCP_SYN, 10}, {TCP_ACK, 10}}));
}

/* RFC 5961 section 7, CVE-2016-5696: how many challenge ACKs a second allows is not to be guessed. */
TEST(Exceptions, TheAllowanceOfChallengeAcksChangesEverySecond)
{
	Connected t;
	std::set<uint32_t> seen;

	for (int i = 0; i < 20; i++) {
		t.e.pass(1000000000);
		uint32_t tokens = t.e.core().env.challenge_tokens;
		EXPECT_GE(tokens, 250u);
		EXPECT_LT(tokens, 750u);
		seen.insert(tokens);
		t.e.core().env.challenge_tokens = 0;
		t.e.pass(100000000);
		EXPECT_EQ(t.e.core().env.challenge_tokens, 0u) << "a second is a second";
	}
	EXPECT_GT(seen.size(), 10u);
}

TEST(Exceptions, AFrameTheSlowPathHandsBackIsReceived)
{
	Connected t;
	sp_msg m;

	t.c.peer->to_write = 1000;
	t.c.peer->shut_when_done = false;
	t.c.peer->program();
	t.c.peer->output();
	ASSERT_EQ(t.c.to_engine.size(), 1u);
	memset(&m, 0, sizeof(m));
	m.type = SP_FRAME;
	m.u.frame.len = (uint32_t)t.c.to_engine[0].bytes.size();
	void *copy = malloc(m.u.frame.len);
	memcpy(copy, t.c.to_engine[0].bytes.data(), m.u.frame.len);
	m.u.frame.data = (uint64_t)copy;
	t.e.send(0, m);
	t.e.run();
	EXPECT_EQ(t.s.recv(), 1000u);
}

TEST(Port, UnresolvedNextHopIsToldAndRetransmissionRecovers)
{
	Connected t;

	fp_neigh_set(t.e.fp, 1, 0);
	t.c.peer->shut_when_done = false;
	t.s.send(1000);
	settle(t.e, {&t.c});
	EXPECT_EQ(t.e.cnt().drop_tx_neigh, 1u);
	EXPECT_EQ(t.e.count(FP_EV_NEIGH), 1u);
	fp_neigh_set(t.e.fp, 1, FP_NEIGH_VALID | 0x020202020202ull);
	for (int i = 0; i < 10 && t.c.peer->rx_data_end() == 0; i++) {
		advance(t.e, {&t.c});
		settle(t.e, {&t.c});
	}
	EXPECT_EQ(t.c.peer->rx_data_end(), 1000u);
}

/* What the slow path learned from an ICMP message (RFC 1191). */
sp_msg pmtu(const Conn &c, uint16_t mtu, bool has_seq, uint32_t seq)
{
	sp_msg m;

	memset(&m, 0, sizeof(m));
	m.type = SP_PMTU;
	m.id = c.id;
	m.gen = c.gen;
	m.u.quoted.pmtu = mtu;
	m.u.quoted.has_seq = has_seq;
	m.u.quoted.seq = seq;
	return m;
}

/* RFC 5927 section 7: who cannot see the connection cannot know what is in flight. */
TEST(PathMtu, IsBelievedOnlyOfAMessageThatQuotesWhatIsInFlight)
{
	Connected t;
	const uint32_t first = Conn::kIss + 1;
	const uint16_t before = t.c.f().mss;

	t.c.peer->shut_when_done = false;
	t.s.send(3000);
	settle(t.e, {&t.c}); /* acknowledged: [first, first + 3000) */
	t.s.send(2000);
	t.e.run(); /* in flight: the 2000 after these */
	ASSERT_EQ(t.c.f().tx_nxt - t.c.f().tx_una, 2000u);
	for (uint32_t seq :
		{first, first + 2999, first + 5000, first + 5001, first + 0x80000000u}) {
		t.e.send(0, pmtu(t.c, 1000, true, seq));
		t.e.run();
		EXPECT_EQ(t.c.f().mss, before) << "quoted " << seq - first;
	}
	t.e.send(0, pmtu(t.c, 1200, true, first + 3000));
	t.e.run();
	EXPECT_EQ(t.c.f().mss, 1200 - 52);
	EXPECT_EQ(t.s.s().mss, 1200u - 52) << "what TCP_INFO says";
	t.e.send(0, pmtu(t.c, 1100, true, first + 4999));
	t.e.run();
	EXPECT_EQ(t.c.f().mss, 1100 - 52);
}

/* setsockopt(TCP_MAXSEG) of an open connection, and what getsockopt() then says. */
TEST(Options, MaxsegIsShownInTheSlot)
{
	Connected t;
	sp_msg m;

	memset(&m, 0, sizeof(m));
	m.type = SP_FLOW_OPTS;
	m.id = t.c.id;
	m.gen = t.c.gen;
	m.u.opts = t.c.init.opts;
	m.u.opts.maxseg = 700;
	t.e.send(0, m);
	t.e.run();
	EXPECT_EQ(t.c.f().mss, 700);
	EXPECT_EQ(t.s.s().mss, 700u);
}

TEST(PathMtu, NothingInFlightNothingBelieved)
{
	Connected t;
	const uint16_t before = t.c.f().mss;

	t.c.peer->shut_when_done = false;
	t.s.send(3000);
	settle(t.e, {&t.c});
	for (uint32_t seq : {Conn::kIss, Conn::kIss + 1, Conn::kIss + 3000, Conn::kIss + 3001})
		t.e.send(0, pmtu(t.c, 1000, true, seq));
	t.e.run();
	EXPECT_EQ(t.c.f().mss, before);
	t.e.send(0, pmtu(t.c, 1000, false, 0)); /* our own route's: nobody quoted anything */
	t.e.run();
	EXPECT_EQ(t.c.f().mss, 1000 - 52);
}

TEST(Port, AcksThatDidNotLeaveAreNotCounted)
{
	Connected t;

	fp_neigh_set(t.e.fp, 1, 0);
	t.c.peer->shut_when_done = false;
	t.c.peer->to_write = 1000;
	settle(t.e, {&t.c});
	EXPECT_EQ(t.s.recv(), 1000u);
	EXPECT_GT(t.e.cnt().drop_tx_neigh, 0u);
	EXPECT_EQ(t.e.cnt().tx_acks, 0u);
}

TEST(Port, FullTransmitQueueLosesFramesAndRecovers)
{
	Connected t;

	t.c.peer->shut_when_done = false;
	mem_nic_limit(t.e.port, 1);
	t.s.send(60000);
	settle(t.e, {&t.c});
	EXPECT_GT(t.e.cnt().drop_tx_full, 0u);
	mem_nic_limit(t.e.port, -1);
	for (int i = 0; i < 100 && t.c.peer->rx_data_end() < t.s.written; i++) {
		advance(t.e, {&t.c});
		settle(t.e, {&t.c});
	}
	EXPECT_EQ(t.c.peer->rx_data_end(), t.s.written);
	EXPECT_EQ(t.c.peer->bad_bytes, 0u);
}

TEST(Port, DeadDeviceIsTold)
{
	Engine e;

	mem_nic_kill(e.port);
	e.run();
	EXPECT_EQ(e.count(FP_EV_NIC_DEAD), 1u);
}

TEST(Memory, WithoutChunksDataIsDroppedAskedForAndRecovered)
{
	Connected t;

	t.p.rx_max = t.p.rx_given; /* what was offered at the start, no more */
	t.c.peer->shut_when_done = false;
	t.c.peer->to_write = 3000000;
	t.p.news.clear();
	t.c.peer->conf.rcvbuf_max = 1;
	for (int i = 0; i < 20 && t.e.cnt().drop_no_chunk == 0; i++) {
		/* A second program part that holds chunks: unread data of this very socket. */
		settle(t.e, {&t.c});
		advance(t.e, {&t.c});
	}
	t.p.rx_max = TAS_SEG_CHUNKS;
	for (int i = 0; i < 400 && t.s.read < 3000000; i++) {
		settle(t.e, {&t.c}, [&] {
			t.p.listen();
			t.s.recv();
		});
		if (t.s.read < 3000000)
			advance(t.e, {&t.c});
	}
	EXPECT_EQ(t.s.read, 3000000u);
	EXPECT_EQ(t.s.bad_bytes, 0u);
}

TEST(Merge, SegmentsOfOneBurstAreProcessedOnce)
{
	Connected t(true, [] {
		HostConfig c;

		c.max_frame = 0; /* one MSS a frame */
		return c;
	}());

	t.c.peer->to_write = 10 * 1448;
	t.c.peer->shut_when_done = false;
	t.c.peer->program();
	t.c.peer->output();
	ASSERT_EQ(t.c.to_engine.size(), 10u);
	t.c.deliver();
	t.e.run();
	EXPECT_EQ(t.e.cnt().rx_merged, 9u);
	EXPECT_EQ(t.e.cnt().tx_acks, 1u) << "one ACK for the burst";
	EXPECT_EQ(t.s.recv(), 14480u);
	EXPECT_EQ(t.s.bad_bytes, 0u);
}

} // namespace
