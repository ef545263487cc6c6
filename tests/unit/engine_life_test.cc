/*
 * Programs and flows come and go: accept on the fast path's side, and the end of a program.
 */
#include <gtest/gtest.h>
#include "engine.h"

namespace
{

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

/* The daemon's own chunks serve one connection after another: what is left in them is not the taker's. */
TEST(Take, NothingOfAnotherProgramsConnectionComesAlong)
{
	Accepted t;
	Socket s(t.p, 4, 77), s2(t.thief, 6, 99);
	Conn c2(t.e, 6, 99, 0x5566);

	t.c.peer->to_write = 16000;
	t.c.peer->shut_when_done = c2.peer->shut_when_done = false;
	settle(t.e, {&t.c});
	t.claim(1);
	s.take(5);
	settle(t.e, {&t.c});
	ASSERT_EQ(s.recv(), 16000u);
	c2.install_accepted(t.l, 3, 9, 4712);
	c2.peer->to_write = 10;
	settle(t.e, {&c2});
	t.l->queue[9].word = TAS_ACCEPT_WORD(TAS_ACCEPT_TAKEN, 2, 4712);
	s2.take(6);
	settle(t.e, {&c2});
	ASSERT_TRUE(s2.known());
	const uint8_t *chunk = t.thief.chunk(s2.s().rx_first_chunk);
	EXPECT_EQ(std::count(chunk + 10, chunk + TAS_CHUNK_BYTES, 0), TAS_CHUNK_BYTES - 10);
	EXPECT_EQ(s2.recv(), 10u);
	EXPECT_EQ(s2.bad_bytes, 0u);
}

TEST(Take, DataOutOfOrderMovesToo)
{
	HostConfig small;

	small.max_frame = 0;
	Engine e;
	Program p(e, 1);
	std::vector<uint8_t> mem(sizeof(tas_listen));
	tas_listen *l = (tas_listen *)mem.data();
	Conn c(e, 5, 77, 0x1122, small);
	Socket s(p, 4, 77);

	c.install_accepted(l, 3, 8, 4711);
	e.run();
	c.peer->shut_when_done = false;
	c.peer->f.cwnd = c.peer->f.snd_wnd = 60000;
	c.peer->to_write = 30 * 1448; /* three chunks */
	c.peer->program();
	c.peer->output();
	ASSERT_EQ(c.to_engine.size(), 30u);
	std::vector<Frame> held;
	for (int i : {24, 13, 2}) { /* holes, one of them across two chunks */
		held.push_back(c.to_engine[(size_t)i]);
		c.to_engine.erase(c.to_engine.begin() + i);
	}
	c.deliver();
	e.run();
	EXPECT_EQ(c.f().rx_nxt, 2u * 1448);
	l->queue[8].word = TAS_ACCEPT_WORD(TAS_ACCEPT_TAKEN, 1, 4711);
	s.take(5);
	e.run();
	ASSERT_TRUE(s.known());
	c.to_engine = held;
	c.deliver();
	e.run();
	EXPECT_EQ(s.recv(), 30u * 1448);
	EXPECT_EQ(s.bad_bytes, 0u);
	EXPECT_EQ(s.fault, "");
	EXPECT_EQ(p.app->rx_chunks + fp_app(e.fp, 0)->rx_chunks, 3u);
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

/* A busy slow path: the install lies several rounds deep in the ring when its take comes. */
TEST(Take, FlowWhoseInstallLiesDeepInTheRing)
{
	Engine e;
	Program p(e, 1);
	std::vector<uint8_t> mem(sizeof(tas_listen));
	tas_listen *l = (tas_listen *)mem.data();
	Conn c(e, 5, 77, 0x1122);
	Socket s(p, 4, 77);
	sp_msg m;

	memset(&m, 0, sizeof(m));
	m.type = SP_CC_SET;
	for (uint32_t i = 0; i < FP_MSG_RING - 2; i++)
		e.send(0, m);
	c.install_accepted(l, 3, 8, 4711);
	l->queue[8].word = TAS_ACCEPT_WORD(TAS_ACCEPT_TAKEN, 1, 4711);
	s.take(5);
	fp_core_poll(&e.core(), e.now);
	EXPECT_EQ(s.state(), TAS_SOCK_OPEN);
	EXPECT_EQ(e.cnt().refuse_take, 0u);
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
	EXPECT_EQ(s.s().error, (uint32_t)ECONNRESET);
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

/* Rung on two cores at once (a hostile program, a group that moves): whoever ends the slot ends it alone. */
TEST(Take, SlotThatAnotherCoreIsEndingIsLeftAlone)
{
	Connected t;

	t.c.peer->to_write = 40000;
	t.s.want(TAS_SOCK_SHUT_WR);
	settle(t.e, {&t.c});
	ASSERT_EQ(t.p.app->slot_flow[9], FP_FLOW_DEAD);
	t.p.app->slot_flow[9] = FP_FLOW_HELD;
	uint64_t held = t.p.app->rx_chunks;
	t.s.want(TAS_SOCK_CLOSED);
	t.e.run();
	EXPECT_EQ(t.p.app->slot_flow[9], FP_FLOW_HELD);
	EXPECT_EQ(t.p.app->rx_chunks, held);
	EXPECT_FALSE(t.s.state() & TAS_SOCK_FREE);
	t.e.send_all(SP_APP_DEL, 1); /* as if the other core were slow */
	t.e.run();
	EXPECT_EQ(t.e.count(FP_EV_APP_GONE), 1u);
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

/* The connection has data, its taker no receive memory left to put it in. */
struct Starved {
	Engine e;
	Program p{e, 1};
	std::vector<uint8_t> mem = std::vector<uint8_t>(sizeof(tas_listen));
	Conn c{e, 5, 77, 0x1122};
	Socket s{p, 4, 77};

	Starved()
	{
		p.offering = false;
		for (auto *ac = e.core().apps[1];
			ac->nfree;) { /* all chunks are in use elsewhere */
			ac->free_chunk = p.app->rx_next[ac->free_chunk];
			ac->nfree--;
		}
		memset(p.offer(), 0, 64);
		e.core().apps[1]->offer_seen = p.r->rx_offered;
		c.peer->to_write = 20000;
		c.peer->shut_when_done = false;
		c.install_accepted((tas_listen *)mem.data(), 3, 8, 4711);
		settle(e, {&c});
		((tas_listen *)mem.data())->queue[8].word =
			TAS_ACCEPT_WORD(TAS_ACCEPT_TAKEN, 1, 4711);
		s.take(5);
		settle(e, {&c});
	}
};

TEST(Take, WaitsForReceiveMemory)
{
	Starved t;

	EXPECT_FALSE(t.s.known());
	EXPECT_GT(t.p.r->rx_wanted, t.p.r->rx_offered) << "it asks for memory";
	t.p.offering = true;
	t.p.listen();
	t.e.pass(5000000);
	ASSERT_TRUE(t.s.known());
	EXPECT_EQ(t.s.recv(), 20000u);
	EXPECT_EQ(t.s.bad_bytes, 0u);
}

/* The slot had another connection before: of that nothing is to be seen, least of all bytes to read. */
TEST(Take, RefusedTakeSaysNothingOfTheConnectionBefore)
{
	Accepted t;
	Socket first(t.p, 4, 77);

	t.c.peer->to_write = 50000;
	t.claim(1);
	first.take(5);
	settle(t.e, {&t.c}, [&] { first.recv(); });
	EXPECT_EQ(first.read, 50000u);
	first.want(TAS_SOCK_CLOSED | TAS_SOCK_SHUT_WR);
	settle(t.e, {&t.c});
	ASSERT_TRUE(first.state() & TAS_SOCK_FREE);
	Socket second(t.p, 4, 78); /* a generation that no flow has */
	second.take(5);
	t.e.run();
	EXPECT_EQ(second.state(), TAS_SOCK_OPEN | TAS_SOCK_ERROR);
	EXPECT_EQ(second.s().rx_head, 0u);
	EXPECT_EQ(second.s().rx_first_chunk, TAS_CHUNK_NONE);
	EXPECT_EQ(second.s().tx_una, 0u);
	EXPECT_EQ(second.s().tx_limit, 0u);
}

TEST(Take, FlowThatDiesWhileItsTakeWaitsForMemoryAnswersWithAnError)
{
	Starved t;
	sp_msg m;

	ASSERT_FALSE(t.s.known());
	memset(&m, 0, sizeof(m));
	m.type = SP_FLOW_ABORT;
	m.id = 5;
	m.gen = 77;
	t.e.send(0, m);
	t.p.listen();
	t.p.news.clear();
	t.e.run();
	t.e.pass(5000000);
	EXPECT_TRUE(t.p.heard(4));
	EXPECT_EQ(t.s.state(), TAS_SOCK_OPEN | TAS_SOCK_ERROR);
	EXPECT_EQ(t.s.s().error, (uint32_t)ECONNRESET);
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

TEST(Death, EveryCoreLetsGo)
{
	Engine e(2);
	Program p(e, 1);
	std::vector<std::unique_ptr<Conn>> conns;
	std::vector<Conn *> all;

	for (uint32_t i = 0; i < 20; i++) {
		conns.emplace_back(new Conn(e, i + 1, 100 + i, (uint16_t)(1000 + i)));
		conns[i]->peer->shut_when_done = false;
		conns[i]->install_in(p, i);
		all.push_back(conns[i].get());
	}
	settle(e, all);
	EXPECT_EQ(p.app->flows, 20u);
	EXPECT_GT(e.core(0).apps[1]->nflows, 0u);
	EXPECT_GT(e.core(1).apps[1]->nflows, 0u);
	e.send_all(SP_APP_DEL, 1);
	settle(e, all);
	EXPECT_EQ(e.count(FP_EV_APP_GONE), 2u);
	EXPECT_EQ(e.count(FP_EV_CLOSED), 20u);
	EXPECT_EQ(p.app->core_priv, nullptr);
	for (auto &c : conns)
		EXPECT_TRUE(c->peer->reset);
}

/* Nothing is lost while the slow path is busy elsewhere: the ring fills, the flows wait. */
TEST(Events, AFullRingDelaysThem)
{
	Engine e;
	Program p(e, 1);
	std::vector<std::unique_ptr<Conn>> conns;
	std::set<uint32_t> closed;
	fp_event ev;
	sp_msg m;

	for (uint32_t i = 0; i < 10; i++) {
		conns.emplace_back(new Conn(e, i + 1, 100 + i, (uint16_t)(1000 + i)));
		conns[i]->install_in(p, i);
	}
	e.run();
	memset(&ev, 0, sizeof(ev));
	ev.type = FP_EV_NEIGH;
	while (fp_event_put(&e.core(), &ev))
		;
	memset(&m, 0, sizeof(m));
	m.type = SP_FLOW_ABORT;
	m.u.abort.error = ECONNABORTED;
	for (uint32_t i = 0; i < 10; i++) {
		m.id = i + 1;
		m.gen = 100 + i;
		e.send(0, m);
	}
	e.send_all(SP_APP_DEL, 1);
	for (int i = 0; i < 10; i++)
		fp_core_poll(&e.core(), e.now);
	EXPECT_NE(e.core().closing, FP_FLOW_NONE);
	EXPECT_NE(e.next(), UINT64_MAX) << "the core looks again by itself";
	e.run();
	for (auto &x : e.events) {
		if (x.type != FP_EV_CLOSED)
			continue;
		EXPECT_TRUE(closed.insert(x.id).second);
		EXPECT_EQ(x.gen, 99 + x.id);
		EXPECT_EQ(x.u.closed.error, ECONNABORTED);
	}
	EXPECT_EQ(closed.size(), 10u);
	EXPECT_EQ(e.count(FP_EV_APP_GONE), 1u);
}

/* After APP_GONE the program's id is used again: what is told of its flows comes before. */
TEST(Events, AProgramIsGoneAfterItsLastFlow)
{
	Connected t(true, HostConfig(), 20000);
	fp_event ev;
	sp_msg m;

	t.c.peer->shut_when_done = t.c.peer->reading = false;
	t.s.send(100000);
	t.s.want(TAS_SOCK_SHUT_WR | TAS_SOCK_CLOSED);
	t.e.send_all(SP_APP_DEL, 1);
	t.e.run();
	ASSERT_EQ(t.e.core().apps[1]->phase, (uint32_t)FP_APP_LINGER);
	memset(&ev, 0, sizeof(ev));
	ev.type = FP_EV_NEIGH;
	while (fp_event_put(&t.e.core(), &ev))
		;
	memset(&m, 0, sizeof(m));
	m.type = SP_FLOW_ABORT;
	m.id = 5;
	m.gen = 77;
	t.e.send(0, m);
	for (int i = 0; i < 10; i++)
		fp_core_poll(&t.e.core(), t.e.now);
	t.e.run();
	EXPECT_EQ(t.e.count(FP_EV_CLOSED), 1u);
	EXPECT_EQ(t.e.count(FP_EV_APP_GONE), 1u);
	EXPECT_EQ(t.e.events.back().type, (uint32_t)FP_EV_APP_GONE);
}

/* The slow path may use the id again once it knows: not while the burst still names the flow. */
TEST(Events, AFlowsEndIsToldWhenTheRoundIsOver)
{
	Connected t;
	fp_event ev;
	Frame fr;
	wire_tcp h;

	t.c.peer->shut_when_done = false;
	tcp_header_rst(&t.c.peer->f, &t.c.peer->c, &t.c.peer->env, &h);
	fr.bytes.assign(94, 2);
	fr.bytes[12] = 8;
	fr.bytes[13] = 0;
	uint32_t hl = wire_tcp_emit(&fr.bytes[34], &h);
	wire_ip4_emit(&fr.bytes[14], kPeerAddr, kOurAddr, 6, (uint16_t)(20 + hl), 0, 0, 64);
	mem_nic_put(t.e.port, 0, fr.bytes.data(), 34 + hl, 0, NIC_RX_CSUM_OK);
	ASSERT_EQ(fp_rx_poll(&t.e.core()), 1u);
	EXPECT_FALSE(t.c.f().flags & FP_F_USED);
	EXPECT_EQ(fp_event_next(t.e.fp, &ev), 0);
	EXPECT_EQ(fp_events_flush(&t.e.core()), 1u);
	ASSERT_EQ(fp_event_next(t.e.fp, &ev), 1);
	EXPECT_EQ(ev.type, (uint32_t)FP_EV_CLOSED);
	EXPECT_EQ(ev.u.closed.reason, (uint32_t)FP_CLOSE_RESET);
}

TEST(Events, TakeWaitsForRoom)
{
	Accepted t;
	Socket s(t.p, 4, 77);
	fp_event ev;

	t.e.run();
	memset(&ev, 0, sizeof(ev));
	ev.type = FP_EV_NEIGH;
	while (fp_event_put(&t.e.core(), &ev))
		;
	t.claim(1);
	s.take(5);
	for (int i = 0; i < 10; i++)
		fp_core_poll(&t.e.core(), t.e.now);
	EXPECT_FALSE(s.known());
	t.e.run();
	t.e.pass(5000000);
	EXPECT_TRUE(s.known());
	EXPECT_EQ(t.e.count(FP_EV_TAKEN), 1u);
}

} // namespace
