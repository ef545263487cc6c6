/*
 * The engine end to end in one thread and virtual time: frames in, frames out, a program on a real
 * region.
 */
#include <gtest/gtest.h>
#include <random>
#include "engine.h"

namespace
{

/* Everything that can happen now, happens. */
void settle(Engine &e, std::vector<Conn *> conns, const std::function<void()> &program = nullptr)
{
	for (int quiet = 0; quiet < 2;) {
		int n = 0;

		for (Conn *c : conns) {
			c->peer->set_time(e.now);
			c->peer->program();
			c->peer->output();
			n += (int)c->to_engine.size();
			c->deliver();
		}
		e.run();
		n += hand_out(e, conns);
		if (program)
			program();
		quiet = n ? 0 : quiet + 1;
	}
}

/* Time goes on to the next thing that happens by itself. */
void advance(Engine &e, std::vector<Conn *> conns)
{
	uint64_t t = e.next();

	for (Conn *c : conns)
		t = std::min(t, c->peer->deadline());
	ASSERT_NE(t, UINT64_MAX) << "nothing will ever happen";
	e.now = std::max(t, e.now + 1000);
	for (Conn *c : conns) {
		c->peer->set_time(e.now);
		if (c->peer->deadline() <= e.now)
			c->peer->timer();
	}
}

struct Connected {
	Engine e;
	Program p{e, 1};
	Conn c{e, 5, 77, 0x1122};
	Socket s{p, 9, 77};

	explicit Connected(bool large = true, HostConfig cfg = HostConfig(), uint32_t wnd = 65535)
	    : e(1, large), c(e, 5, 77, 0x1122, cfg)
	{
		c.init.snd_wnd = wnd;
		c.install_in(p, 9);
		e.run();
	}
};

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

/* Accept. */

struct Accepted {
	Engine e;
	Program p, thief;
	std::vector<uint8_t> mem = std::vector<uint8_t>(sizeof(tas_listen));
	tas_listen *l = (tas_listen *)mem.data();
	Conn c{e, 5, 77, 0x1122};

	explicit Accepted(uint32_t ncores = 1) : e(ncores), p(e, 1), thief(e, 2)
	{
		c.install_accepted(l, 3, 8, 4711);
		l->queue[8].word = TAS_ACCEPT_WORD(TAS_ACCEPT_QUEUED, 0, 4711);
	}
	void claim(uint32_t app)
	{
		l->queue[8].word = TAS_ACCEPT_WORD(TAS_ACCEPT_TAKEN, app, 4711);
	}
};

TEST(Take, DataThatCameBeforeAcceptIsThere)
{
	Accepted t;
	Socket s(t.p, 4, 77);

	t.c.peer->to_write = 50000;
	t.c.peer->shut_when_done = false;
	settle(t.e, {&t.c});
	EXPECT_EQ(t.c.f().rx_nxt, 50000u);
	t.claim(1);
	s.take(5);
	settle(t.e, {&t.c});
	EXPECT_TRUE(t.p.heard(4));
	ASSERT_TRUE(s.known());
	EXPECT_EQ(s.recv(), 50000u);
	EXPECT_EQ(s.bad_bytes, 0u);
	EXPECT_EQ(s.fault, "");
	ASSERT_EQ(t.e.count(FP_EV_TAKEN), 1u);
	EXPECT_EQ(t.e.last(FP_EV_TAKEN)->u.taken.app, 1u);
	EXPECT_EQ(t.e.last(FP_EV_TAKEN)->u.taken.slot, 4u);
	EXPECT_EQ(fp_app(t.e.fp, 0)->rx_chunks, 0u) << "the daemon's own chunks are free again";
	t.c.peer->to_write = 120000;
	settle(t.e, {&t.c}, [&] { s.recv(); });
	EXPECT_EQ(s.read, 120000u);
	EXPECT_EQ(s.bad_bytes, 0u);
}

TEST(Take, FlowWhoseInstallIsStillQueued)
{
	Engine e;
	Program p(e, 1);
	std::vector<uint8_t> mem(sizeof(tas_listen));
	tas_listen *l = (tas_listen *)mem.data();
	Conn c(e, 5, 77, 0x1122);
	Socket s(p, 4, 77);
	sp_msg m;

	/* More messages than one round handles, then the install: the take comes first. */
	memset(&m, 0, sizeof(m));
	m.type = SP_CC_SET;
	for (uint32_t i = 0; i < FP_BUDGET_MSGS; i++)
		e.send(0, m);
	c.install_accepted(l, 3, 8, 4711);
	l->queue[8].word = TAS_ACCEPT_WORD(TAS_ACCEPT_TAKEN, 1, 4711);
	s.take(5);
	fp_core_poll(&e.core(), e.now);
	EXPECT_EQ(s.state(), TAS_SOCK_OPEN);
}

TEST(Take, AnotherProgramsConnectionIsRefused)
{
	Accepted t;
	Socket s(t.thief, 4, 77);

	t.claim(1);
	s.take(5);
	t.e.run();
	EXPECT_EQ(t.e.cnt().refuse_take, 1u);
	EXPECT_EQ(s.state() & TAS_SOCK_ERROR, TAS_SOCK_ERROR);
	EXPECT_EQ(s.s().error, (uint32_t)ECONNABORTED);
	EXPECT_EQ(t.c.f().app, FP_APP_NONE);
	Socket honest(t.p, 4, 77);
	honest.take(5);
	t.e.run();
	EXPECT_EQ(honest.state(), TAS_SOCK_OPEN);
}

TEST(Take, ConnectionThatDiedMeanwhileAnswersWithAnErrorAndTheSlotComesBack)
{
	Accepted t;
	Socket s(t.p, 4, 78); /* a generation that no flow has */

	t.claim(1);
	s.take(5);
	t.e.run();
	EXPECT_EQ(s.state(), TAS_SOCK_OPEN | TAS_SOCK_ERROR);
	EXPECT_TRUE(t.p.heard(4));
	EXPECT_FALSE(t.p.app->bad);
	s.want(TAS_SOCK_CLOSED);
	t.e.run();
	EXPECT_TRUE(s.state() & TAS_SOCK_FREE);
}

TEST(Take, AcceptedAndClosedBeforeAnyoneLooked)
{
	Accepted t;
	Socket s(t.p, 4, 77);

	t.c.peer->shut_when_done = false;
	t.claim(1);
	s.take(5);
	s.want(TAS_SOCK_SHUT_WR | TAS_SOCK_CLOSED);
	settle(t.e, {&t.c});
	EXPECT_EQ(t.e.count(FP_EV_TAKEN), 1u);
	t.c.peer->shut_when_done = true;
	settle(t.e, {&t.c});
	EXPECT_TRUE(t.c.peer->done);
	EXPECT_TRUE(s.state() & TAS_SOCK_FREE);
	t.p.ring_on(4, 0); /* a late ring of the old binding */
	t.e.run();
	EXPECT_EQ(t.e.cnt().refuse_take, 0u);
	EXPECT_EQ(t.p.app->slot_flow[4], FP_FLOW_NONE);
}

TEST(Take, WaitsForReceiveMemory)
{
	Engine e;
	Program p(e, 1);
	std::vector<uint8_t> mem(sizeof(tas_listen));
	Conn c(e, 5, 77, 0x1122);
	Socket s(p, 4, 77);

	p.offering = false;
	for (auto *ac = e.core().apps[1]; ac->nfree;) { /* all chunks are in use elsewhere */
		ac->free_chunk = p.app->rx_next[ac->free_chunk];
		ac->nfree--;
	}
	memset(p.offer(), 0, 64);
	e.core().apps[1]->offer_seen = p.r->rx_offered;
	c.peer->to_write = 20000;
	c.peer->shut_when_done = false;
	c.install_accepted((tas_listen *)mem.data(), 3, 8, 4711);
	settle(e, {&c});
	((tas_listen *)mem.data())->queue[8].word = TAS_ACCEPT_WORD(TAS_ACCEPT_TAKEN, 1, 4711);
	s.take(5);
	settle(e, {&c});
	EXPECT_FALSE(s.known());
	EXPECT_GT(p.r->rx_wanted, p.r->rx_offered) << "it asks for memory";
	p.offering = true;
	p.listen();
	e.pass(5000000);
	ASSERT_TRUE(s.known());
	EXPECT_EQ(s.recv(), 20000u);
	EXPECT_EQ(s.bad_bytes, 0u);
}

TEST(Take, FlowOfAnotherCoreIsPassedOn)
{
	Accepted t(2);
	uint32_t home = t.c.home(), other = 1 - home;
	Socket s(t.p, 4, 77);

	t.e.run();
	t.claim(1);
	s.take(5, other);
	t.e.run();
	EXPECT_EQ(s.state(), TAS_SOCK_OPEN);
	EXPECT_EQ(s.s().core, home);
	t.c.peer->to_write = 10000;
	t.c.peer->shut_when_done = false;
	t.c.peer->program();
	t.c.peer->output();
	t.c.deliver(other); /* the wrong queue */
	t.e.run();
	EXPECT_EQ(s.recv(), 10000u);
	EXPECT_GT(t.e.cnt(other).rx_forwarded, 0u);
	EXPECT_EQ(t.e.cnt(home).rx_forwarded, 0u);
}

/* Hostile programs. */

struct Hostile : Connected {
	/* The program is isolated: told of once, its flows reset, nothing else harmed. */
	void expect_isolated(uint64_t counter)
	{
		settle(e, {&c});
		EXPECT_EQ(counter, 0u) << "counter before";
		EXPECT_EQ(e.count(FP_EV_APP_BAD), 1u);
		EXPECT_TRUE(p.app->bad);
		EXPECT_TRUE(c.peer->reset);
		EXPECT_EQ(e.count(FP_EV_CLOSED), 1u);
	}
};

TEST(HostileProgram, WritesBeyondItsLimit)
{
	Hostile t;

	t.s.s().tx_head = t.s.s().tx_limit + 1;
	t.p.ring(9);
	t.expect_isolated(t.e.cnt().refuse_tx_head);
	EXPECT_EQ(t.e.cnt().refuse_tx_head, 1u);
}

TEST(HostileProgram, TxHeadGoesBack)
{
	Hostile t;

	t.s.send(1000);
	t.e.run();
	t.s.s().tx_head = 999;
	t.p.ring(9);
	t.expect_isolated(t.e.cnt().refuse_tx_head);
	EXPECT_EQ(t.e.cnt().refuse_tx_head, 1u);
}

TEST(HostileProgram, ReadsWhatHasNotCome)
{
	Hostile t;

	t.s.s().rx_tail = 1;
	t.p.ring(9);
	t.expect_isolated(t.e.cnt().refuse_rx_tail);
	EXPECT_EQ(t.e.cnt().refuse_rx_tail, 1u);
}

TEST(HostileProgram, NamesAnEventQueueItDoesNotHave)
{
	Hostile t;

	t.s.s().evq = 2;
	t.p.ring(9);
	t.expect_isolated(t.e.cnt().refuse_evq);
	EXPECT_EQ(t.e.cnt().refuse_evq, 1u);
}

TEST(HostileProgram, NamesAChunkItDoesNotHave)
{
	Hostile t;

	t.s.s().tx_first_chunk = 3 * TAS_SEG_CHUNKS;
	t.s.s().tx_first_pos = 0;
	t.s.s().tx_head = 100;
	t.p.ring(9);
	t.expect_isolated(t.e.cnt().refuse_chunk);
	EXPECT_EQ(t.e.cnt().refuse_chunk, 1u);
}

TEST(HostileProgram, LinksAChunkItDoesNotHave)
{
	Hostile t;

	t.s.s().tx_first_chunk = 600;
	t.s.s().tx_head = TAS_CHUNK_BYTES + 100;
	t.p.txnext(600) = 0xfffffff0;
	t.p.ring(9);
	t.expect_isolated(t.e.cnt().refuse_chunk);
	EXPECT_EQ(t.e.cnt().refuse_chunk, 1u);
}

TEST(HostileProgram, OffersAChunkTwice)
{
	Hostile t;

	t.c.peer->shut_when_done = false;
	for (uint64_t n = 20000; !t.p.app->bad && n < 4000000; n += 20000) {
		t.p.offer()[0] = 1; /* the daemon has it already */
		t.p.r->rx_offered++;
		t.c.peer->to_write = n;
		settle(t.e, {&t.c});
	}
	EXPECT_EQ(t.e.cnt().refuse_chunk, 1u);
	EXPECT_TRUE(t.c.peer->reset);
}

TEST(HostileProgram, ScribblesOverEverythingItCanWrite)
{
	uint64_t seed = std::random_device{}();
	std::mt19937_64 rng(seed);

	SCOPED_TRACE("seed " + std::to_string(seed));
	for (int round = 0; round < 60; round++) {
		Connected t;
		Program victim(t.e, 2);
		Conn vc(t.e, 6, 99, 0x5566);
		Socket vs(victim, 3, 99);

		vc.install_in(victim, 3);
		vc.peer->shut_when_done = t.c.peer->shut_when_done = false;
		for (int i = 0; i < 30; i++) {
			uint64_t *words = (uint64_t *)t.p.r;
			uint64_t n = t.p.app->off_offer / 8 + 24;

			for (int k = 0; k < 200; k++)
				words[rng() % n] = rng() >> (rng() % 64);
			for (int k = 0; k < 20; k++)
				words[t.p.app->off_slots / 8 + 9 * 32 + rng() % 32] =
					rng() >> (rng() % 64);
			for (int k = 0; k < 8; k++)
				t.p.ring_on((uint32_t)(rng() % 128), 0);
			t.p.ring_on(9, 0);
			t.c.peer->to_write += rng() % 20000;
			vc.peer->to_write += 10000;
			settle(t.e, {&t.c, &vc}, [&] { vs.recv(); });
			t.e.pass(1000000);
		}
		settle(t.e, {&t.c, &vc}, [&] { vs.recv(); });
		ASSERT_EQ(vs.read, 300000u) << "the other program is served";
		ASSERT_EQ(vs.bad_bytes, 0u);
		t.e.send_all(SP_APP_DEL, 1);
		settle(t.e, {&t.c, &vc});
		ASSERT_EQ(t.e.count(FP_EV_APP_GONE), 1u);
	}
}

/* Death. */

TEST(Death, OpenFlowsAreResetAndTheAppIsGone)
{
	Connected t;

	t.c.peer->shut_when_done = false;
	t.e.send_all(SP_APP_DEL, 1);
	settle(t.e, {&t.c});
	EXPECT_TRUE(t.c.peer->reset);
	EXPECT_EQ(t.e.count(FP_EV_APP_GONE), 1u);
	EXPECT_EQ(t.e.core().napps, 0u);
	EXPECT_EQ(t.p.app->core_priv, nullptr);
}

TEST(Death, ClosedFlowsFinishSendingFirst)
{
	Connected t(true, HostConfig(), 20000);

	t.c.peer->shut_when_done = false;
	t.c.peer->reading = false;
	t.c.peer->f.rx_buf = 20000;
	t.c.peer->f.rx_adv = t.c.peer->f.irs1 + 20000;
	t.s.send(300000);
	t.s.want(TAS_SOCK_SHUT_WR | TAS_SOCK_CLOSED);
	t.e.send_all(SP_APP_DEL, 1);
	settle(t.e, {&t.c});
	uint64_t sent = t.s.written;
	EXPECT_EQ(t.e.count(FP_EV_APP_GONE), 0u) << "it still sends";
	EXPECT_LT(t.c.peer->rx_data_end(), sent);
	t.c.peer->reading = true;
	for (int i = 0; i < 50 && !t.c.peer->done; i++) {
		advance(t.e, {&t.c});
		settle(t.e, {&t.c});
		if (t.c.peer->f.flags & FP_F_RX_FIN)
			t.c.peer->shut_when_done = true;
		settle(t.e, {&t.c});
	}
	EXPECT_EQ(t.c.peer->rx_data_end(), sent);
	EXPECT_EQ(t.c.peer->bad_bytes, 0u);
	EXPECT_FALSE(t.c.peer->reset);
	EXPECT_EQ(t.e.count(FP_EV_APP_GONE), 1u);
}

TEST(Death, AFlowThatNeverEndsIsResetAfterAMinute)
{
	Connected t(true, HostConfig(), 20000);

	t.c.peer->shut_when_done = false;
	t.c.peer->reading = false;
	t.c.peer->f.rx_buf = 20000;
	t.c.peer->f.rx_adv = t.c.peer->f.irs1 + 20000;
	t.s.send(300000);
	t.s.want(TAS_SOCK_SHUT_WR | TAS_SOCK_CLOSED);
	t.e.send_all(SP_APP_DEL, 1);
	settle(t.e, {&t.c});
	for (int i = 0; i < 1000 && t.e.count(FP_EV_APP_GONE) == 0; i++) {
		advance(t.e, {&t.c});
		settle(t.e, {&t.c});
	}
	EXPECT_EQ(t.e.count(FP_EV_APP_GONE), 1u);
	EXPECT_TRUE(t.c.peer->reset);
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

TEST(Exceptions, ASynFloodStarvesNobodyElse)
{
	Engine e;
	fp_exc x;
	uint8_t arp[42] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 2, 2, 2, 2, 2, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1};
	bool found = false;

	for (uint32_t i = 0; i < 2 * FP_EXC_RING; i++)
		put(e, tcp_frame(kPeerAddr, kOurAddr, (uint16_t)i, 2, TCP_SYN));
	EXPECT_EQ(e.cnt().drop_exc_unknown, FP_EXC_RING);
	put(e, std::vector<uint8_t>(arp, arp + 42));
	while (fp_exc_next(e.fp, &x))
		found |= x.len == 42;
	EXPECT_TRUE(found);
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

/* Both ways, with loss, reordering and duplicates; the program acts only on what it is told. */
void lossy(uint64_t seed, bool large)
{
	std::mt19937_64 rng(seed);
	Engine e(1, large);
	Program p(e, 1);
	std::vector<std::unique_ptr<Conn>> conns;
	std::vector<std::unique_ptr<Socket>> socks;
	std::vector<Conn *> all;
	constexpr uint32_t kConns = 4, kBytes = 300000;
	uint32_t drop = (uint32_t)(rng() % 8), swap = (uint32_t)(rng() % 8);

	SCOPED_TRACE("seed " + std::to_string(seed) + (large ? " large" : " small"));
	for (uint32_t i = 0; i < kConns; i++) {
		HostConfig cfg;

		cfg.max_frame = rng() % 2 ? 65160 : 0;
		cfg.mss = (uint16_t)(rng() % 2 ? 1448 : 536);
		cfg.ts = rng() % 4;
		cfg.sack = rng() % 4;
		conns.emplace_back(new Conn(e, i + 1, 100 + i, (uint16_t)(1000 + i), cfg));
		socks.emplace_back(new Socket(p, i, 100 + i));
		all.push_back(conns[i].get());
		conns[i]->peer->to_write = kBytes;
		conns[i]->install_in(p, i);
	}
	auto program = [&] {
		p.listen();
		std::set<uint32_t> news;
		news.swap(p.news);
		for (uint32_t i : news) {
			Socket &s = *socks[i];

			while (s.recv(1 + rng() % 30000) && rng() % 4)
				;
			if (tas_load_acq(&s.s().rx_head) > s.read)
				p.news.insert(i);
			if (s.written < kBytes) {
				s.send(std::min<uint64_t>(kBytes - s.written, 1 + rng() % 50000));
				s.s().tx_wait = 1;
				p.ring(i);
				if (tas_load_acq(&s.s().tx_limit) > s.written)
					p.news.insert(i);
			}
			if (s.written == kBytes)
				s.want(TAS_SOCK_SHUT_WR);
		}
	};
	auto over = [&] {
		for (uint32_t i = 0; i < kConns; i++)
			if (socks[i]->read < kBytes || conns[i]->peer->rx_data_end() < kBytes)
				return false;
		return true;
	};
	for (int step = 0; step < 40000 && !over() && !testing::Test::HasFailure(); step++) {
		bool quiet = true;

		for (auto &c : conns) {
			c->peer->set_time(e.now);
			c->peer->program();
			c->peer->output();
			auto &q = c->to_engine;
			for (size_t k = 0; k < q.size(); k++) {
				if (rng() % 100 < drop)
					q.erase(q.begin() + (long)k--);
				else if (k > 0 && rng() % 100 < swap)
					std::swap(q[k], q[k - 1]);
				else if (rng() % 100 < swap)
					q.push_back(q[k]);
			}
			quiet &= q.empty();
			c->deliver();
		}
		e.run();
		static uint8_t buf[65700];
		uint16_t gso;
		while (uint32_t len = mem_nic_take(e.port, buf, &gso)) {
			uint16_t dport;

			quiet = false;
			if (rng() % 100 < drop)
				continue;
			memcpy(&dport, buf + 36, 2);
			Frame fr;
			fr.bytes.assign(buf, buf + len);
			fr.gso_size = gso;
			ASSERT_EQ(conns[dport - 1000u]->peer->frame(fr), WIRE_TCP);
		}
		p.listen();
		quiet &= p.news.empty();
		program();
		e.run();
		quiet &= mem_nic_sent(e.port) == 0;
		if (quiet && !over())
			advance(e, all);
		e.now += 20000;
	}
	for (uint32_t i = 0; i < kConns; i++) {
		EXPECT_EQ(socks[i]->read, kBytes) << "connection " << i;
		EXPECT_EQ(socks[i]->bad_bytes, 0u);
		EXPECT_EQ(socks[i]->fault, "");
		EXPECT_EQ(conns[i]->peer->rx_data_end(), kBytes) << "connection " << i;
		EXPECT_EQ(conns[i]->peer->bad_bytes, 0u);
		EXPECT_EQ(conns[i]->peer->fault, "");
	}
	EXPECT_FALSE(p.app->bad);
	EXPECT_EQ(p.app->faults, 0u);
}

TEST(Lossy, BothWaysWithLossReorderingAndDuplicates)
{
	for (uint64_t seed = 1; seed <= 40 && !testing::Test::HasFailure(); seed++)
		lossy(seed, seed % 2);
}

TEST(Lossy, RandomSeed)
{
	uint64_t seed = std::random_device{}();

	for (uint64_t i = 0; i < 10 && !testing::Test::HasFailure(); i++)
		lossy(seed + i, i % 2);
}

} // namespace
