/*
 * What the slow path asks of a core: fastpath/messages.c.
 */
#include <gtest/gtest.h>
#include <poll.h>
#include "engine.h"

namespace
{

/* Nobody takes events, until there is room for `room` more. */
void fill_events(fp_core &core, uint32_t room = 0)
{
	fp_event ev;

	memset(&ev, 0, sizeof(ev));
	ev.type = FP_EV_FEEDBACK;
	while (fp_event_room(&core, room + 1))
		fp_event_put(&core, &ev);
}

sp_msg move_out(const Conn &c)
{
	sp_msg m;

	memset(&m, 0, sizeof(m));
	m.type = SP_FLOW_MOVE;
	m.id = c.id;
	m.gen = c.gen;
	m.u.grant.slot = FP_SLOT_NONE;
	return m;
}

TEST(Messages, AboutAFlowThatIsNotHere_Counted)
{
	Connected t;
	sp_msg m;

	memset(&m, 0, sizeof(m));
	m.id = t.c.id;
	for (uint32_t type :
		{SP_FLOW_ABORT, SP_FLOW_OPTS, SP_CC_SET, SP_PMTU, SP_FLOW_MOVE, SP_FLOW_FINISH}) {
		uint64_t before = t.e.cnt().drop_msg_flow;

		m.type = type;
		m.gen = t.c.gen + 1;
		t.e.send(0, m);
		t.e.run();
		EXPECT_EQ(t.e.cnt().drop_msg_flow, before + 1) << "message " << type;
	}
	EXPECT_EQ(t.e.count(FP_EV_CLOSED), 0u);
	m.type = SP_FLOW_ABORT;
	m.gen = t.c.gen;
	t.e.send(0, m);
	t.e.run();
	EXPECT_EQ(t.e.count(FP_EV_CLOSED), 1u);
	EXPECT_EQ(t.e.cnt().drop_msg_flow, 6u);
}

/* The core has not got the connection yet, for whatever reason: that is no reason to refuse it. */
TEST(Messages, EventRingFull_TakeOfAConnectionStillInTheRing_IsNotRefused)
{
	Engine e;
	Program p{e, 1}, q{e, 2};
	std::vector<uint8_t> lmem(sizeof(tas_listen));
	auto *l = (tas_listen *)lmem.data();
	Conn c(e, 5, 77, 0x1122);
	Socket s(q, 9, 77);
	sp_msg m;

	fill_events(e.core());
	memset(&m, 0, sizeof(m));
	m.type = SP_APP_DEL;
	m.id = 1;
	e.send(0, m);
	c.install_accepted(l, 3, 0, 4000);
	l->queue[0].word = TAS_ACCEPT_WORD(TAS_ACCEPT_TAKEN, 2, 4000);
	s.take(5);
	fp_core_poll(&e.core(), e.now);
	e.run();
	e.pass(10000000);
	EXPECT_FALSE(s.state() & TAS_SOCK_ERROR) << "error " << s.s().error;
	EXPECT_TRUE(s.known());
}

/* The slow path may be waiting for room in this ring: the core may not wait for the slow path. */
TEST(Messages, EventRingFull_AreTakenAllTheSame)
{
	Engine e;
	Program p{e, 1}, q{e, 2};
	Conn c(e, 5, 77, 0x1122);
	sp_msg m;

	c.install_in(p, 9);
	e.run();
	fill_events(e.core());
	e.send(0, move_out(c));
	memset(&m, 0, sizeof(m));
	m.type = SP_APP_DEL;
	m.id = 2;
	e.send(0, m);
	m.type = SP_CC_SET;
	while (fp_send(e.fp, 0, &m) == 0)
		;
	for (uint32_t i = 0; i < 2 * FP_MSG_RING / FP_BUDGET_MSGS; i++)
		fp_core_poll(&e.core(), e.now += 100000);
	EXPECT_FALSE(spsc_pending(&e.core().msgs));
	EXPECT_EQ(e.count(FP_EV_PARKED) + e.count(FP_EV_APP_GONE), 0u);
	e.pass(1000000);
	EXPECT_EQ(e.count(FP_EV_PARKED), 1u);
	EXPECT_EQ(e.count(FP_EV_APP_GONE), 1u);
	EXPECT_EQ(e.next(), UINT64_MAX);
}

/* What the slow path has to tell a program has no need of room anywhere. */
TEST(Messages, RingFull_ProgramIsWokenAllTheSame)
{
	Engine e(2);
	Program p{e, 1};
	uint64_t count = 0;
	sp_msg m;

	memset(&m, 0, sizeof(m));
	m.type = SP_CC_SET;
	for (uint32_t i = 0; i < 2; i++)
		while (fp_send(e.fp, i, &m) == 0)
			;
	for (uint32_t q = 0; q < 2; q++) {
		tas_store(&p.evq(q)->sleeping, 1u);
		fp_app_notify(e.fp, p.app, q, 9 + q);
	}
	e.run();
	for (uint32_t q = 0; q < 2; q++) {
		EXPECT_EQ(read(p.app->evq_fd[q], &count, sizeof(count)), 8) << "queue " << q;
		EXPECT_EQ(count, 1u) << "written once, whichever core did it";
		EXPECT_EQ(tas_load(&p.evq(q)->sleeping), 0u);
		EXPECT_TRUE(p.heard(9 + q));
	}
}

/* A hang if the core is not woken. */
TEST(Messages, CoreAndProgramAsleep_BothAreWoken)
{
	Engine e(1, true, 100, fp_now_ns());
	Program p{e, 1};
	struct pollfd fd = {.fd = p.app->evq_fd[1], .events = POLLIN, .revents = 0};

	tas_store(&p.evq(1)->sleeping, 1u);
	ASSERT_EQ(fp_start(e.fp), 0);
	while (!tas_load(&e.core().sleeping))
		usleep(1000);
	fp_app_notify(e.fp, p.app, 1, 9);
	EXPECT_EQ(poll(&fd, 1, -1), 1);
	while (!tas_load(&e.core().sleeping))
		usleep(1000);
	fp_stop(e.fp);
}

/* Also what of it is not over yet. */
TEST(Messages, CoreAsleep_ItsSleepCounts)
{
	uint64_t start = fp_now_ns(), first, then, sleeps;
	Engine e(1, true, 100, start);
	int i;

	ASSERT_EQ(fp_start(e.fp), 0);
	for (i = 0; i < 5000 && fp_slept_ns(e.fp, 0) == 0; i++)
		usleep(1000);
	ASSERT_GT(fp_slept_ns(e.fp, 0), 0u);
	do { /* until both looks are in one sleep */
		sleeps = tas_load(&e.core().cnt.sleeps);
		first = fp_slept_ns(e.fp, 0);
		usleep(10000);
		then = fp_slept_ns(e.fp, 0);
	} while (!(tas_load(&e.core().slept) & FP_ASLEEP) ||
		 tas_load(&e.core().cnt.sleeps) != sleeps);
	EXPECT_GE(then - first, 10000000u);
	EXPECT_LE(then, fp_now_ns() - start);
	fp_stop(e.fp);
	EXPECT_EQ(fp_slept_ns(e.fp, 0), e.cnt().sleep_ns);
	EXPECT_GE(e.cnt().sleep_ns, then);
}

TEST(Messages, SentBeforeTheStop_AreTaken)
{
	Engine e(1, true, 100, fp_now_ns());
	Program p{e, 1};
	Conn c(e, 5, 77, 0x1122);
	fp_event ev;
	sp_msg m;

	c.install_in(p, 9);
	e.run();
	e.events.clear();
	memset(&m, 0, sizeof(m));
	m.type = SP_CC_SET;
	for (uint32_t i = 0; i < FP_MSG_RING - 1; i++)
		e.send(0, m);
	m.type = SP_FLOW_ABORT;
	m.id = c.id;
	m.gen = c.gen;
	e.send(0, m);
	fill_events(e.core(), 1);
	ASSERT_EQ(fp_start(e.fp), 0);
	fp_stop(e.fp);
	EXPECT_FALSE(spsc_pending(&e.core().msgs));
	while (fp_event_next(e.fp, &ev))
		e.events.push_back(ev);
	EXPECT_EQ(e.count(FP_EV_CLOSED), 1u);
}

/* Whatever becomes of the connection meanwhile: that it left the slot is told first. */
class ParkedUntold : public testing::Test
{
      protected:
	Engine e{2};
	Program p{e, 1}, q{e, 2};
	std::unique_ptr<Conn> c;

	void SetUp() override
	{
		uint16_t port = 1000;

		do
			c.reset(new Conn(e, 5, 77, port++));
		while (c->home() != 0);
		c->install_in(p, 9);
		e.run();
		e.events.clear();
		fill_events(e.core());
		e.send(0, move_out(*c));
		rounds();
		ASSERT_EQ(c->f().app, (uint16_t)FP_APP_NONE);
		ASSERT_EQ(p.app->flows, 1u);
	}
	void rounds()
	{
		for (int i = 0; i < 20; i++) {
			fp_core_poll(&e.core(0), e.now += 100000);
			fp_core_poll(&e.core(1), e.now);
		}
	}
	/* The slow path comes to it at last. */
	std::vector<uint32_t> told()
	{
		std::vector<uint32_t> types;

		EXPECT_LE(e.next(), e.now + 1000000) << "nobody would wake the core";
		e.pass(10000000);
		e.pass(10000000);
		for (const fp_event &ev : e.events)
			if (ev.type != FP_EV_FEEDBACK)
				types.push_back(ev.type);
		EXPECT_EQ(p.app->flows, 0u);
		return types;
	}
	using Types = std::vector<uint32_t>;
	/* Both cores say that it is gone, and the slow path acts on the second. */
	static void expect_gone(const Types &t)
	{
		ASSERT_EQ(t.size(), 3u);
		EXPECT_EQ(std::count(t.begin(), t.end(), (uint32_t)FP_EV_PARKED), 1);
		EXPECT_EQ(std::count(t.begin(), t.end(), (uint32_t)FP_EV_APP_GONE), 2);
		EXPECT_EQ(t.back(), (uint32_t)FP_EV_APP_GONE);
	}
};

TEST_F(ParkedUntold, ThenTaken)
{
	Socket s(q, 3, 77);
	sp_msg m = move_out(*c);

	m.u.grant.app = 2;
	m.u.grant.slot = 3;
	e.send(0, m);
	s.take(5);
	rounds();
	EXPECT_FALSE(s.known());
	EXPECT_EQ(told(), (Types{FP_EV_PARKED, FP_EV_TAKEN}));
	EXPECT_EQ(e.events.back().u.taken.app, 2u);
	EXPECT_TRUE(s.known());
}

TEST_F(ParkedUntold, ThenAborted)
{
	sp_msg m = move_out(*c);

	m.type = SP_FLOW_ABORT;
	m.u.abort = {};
	e.send(0, m);
	rounds();
	EXPECT_EQ(told(), (Types{FP_EV_PARKED, FP_EV_CLOSED}));
}

TEST_F(ParkedUntold, ThenItsProgramEnds)
{
	e.send_all(SP_APP_DEL, 1);
	rounds();
	expect_gone(told());
	EXPECT_EQ(e.next(), UINT64_MAX);
}

/* The new owner has room, and the program may not be gone there before it was told. */
TEST_F(ParkedUntold, ThenItsGroupMovesAndItsProgramEnds)
{
	uint64_t set[2] = {0, 0};
	uint32_t g = fp_group_of(e.fp, &c->init.tuple);
	fp_event ev;

	fill_events(e.core(1));
	set[g / 64] = 1ull << (g % 64);
	ASSERT_EQ(fp_move_start(e.fp, set, 0, 1), 0);
	for (int i = 0; i < 20; i++) {
		rounds();
		fp_move_poll(e.fp);
	}
	ASSERT_EQ(fp_core_of(e.fp, &c->init.tuple), 1u);
	e.send_all(SP_APP_DEL, 1);
	rounds();
	EXPECT_EQ(p.app->flows, 1u);
	while (spsc_pending(&e.core(0).events) && fp_event_next(e.fp, &ev))
		if (ev.type != FP_EV_FEEDBACK)
			ADD_FAILURE() << "event " << ev.type << " of the old owner";
	fill_events(e.core(1));
	rounds();
	ASSERT_EQ(p.app->flows, 1u);
	expect_gone(told());
	EXPECT_EQ(e.next(), UINT64_MAX);
}

/* Connections that are moved out of slots, each with something to be copied. */
class Copies : public testing::Test
{
      protected:
	Engine e;
	Program p{e, 1}, q{e, 2};
	std::vector<std::unique_ptr<Conn>> conns;
	std::vector<std::unique_ptr<Socket>> socks;

	void SetUp() override
	{
		for (uint32_t i = 0; i < 3; i++) {
			conns.emplace_back(new Conn(e, i + 1, 70 + i, (uint16_t)(1000 + i)));
			socks.emplace_back(new Socket(p, i, 70 + i));
			conns[i]->install_in(p, i);
		}
		e.run();
	}
	void write_all(uint32_t len)
	{
		for (auto &s : socks)
			ASSERT_EQ(s->send(len), len);
		e.run();
	}
	uint32_t parked()
	{
		uint32_t n = 0;

		for (auto &c : conns)
			n += c->f().app == FP_APP_NONE;
		return n;
	}
};

TEST_F(Copies, OneARound_OtherMessagesBehindWaitInOrder)
{
	sp_msg m = move_out(*conns[2]);

	write_all(FP_BUDGET_COPY);
	for (auto &c : conns)
		e.send(0, move_out(*c));
	m.type = SP_FLOW_ABORT;
	e.send(0, m);
	for (uint32_t i = 1; i <= 3; i++) {
		EXPECT_FALSE(conns[2]->f().flags & FP_F_CLOSING);
		EXPECT_GT(fp_core_poll(&e.core(), e.now), 0u);
		EXPECT_EQ(parked(), i);
	}
	e.run();
	EXPECT_EQ(e.count(FP_EV_PARKED), 3u);
	EXPECT_EQ(e.count(FP_EV_CLOSED), 1u);
}

/* Little to be copied: as many as of any others. */
TEST_F(Copies, Small_AllInOneRound)
{
	write_all(100);
	for (auto &c : conns)
		e.send(0, move_out(*c));
	fp_core_poll(&e.core(), e.now);
	EXPECT_EQ(parked(), 3u);
}

TEST_F(Copies, GrantsOfWhatIsParked_CostNothing)
{
	write_all(FP_BUDGET_COPY);
	for (auto &c : conns)
		e.send(0, move_out(*c));
	e.run();
	for (uint32_t i = 0; i < 3; i++) {
		sp_msg m = move_out(*conns[i]);

		m.u.grant.app = 2;
		m.u.grant.slot = i;
		e.send(0, m);
	}
	fp_core_poll(&e.core(), e.now);
	EXPECT_FALSE(spsc_pending(&e.core().msgs));
}

/* The grant is behind a copy: the ring is not answered before it is heard. */
TEST_F(Copies, TakeOfTheSecond_WaitsARound)
{
	Socket s(q, 3, 71);
	sp_msg m = move_out(*conns[1]);

	m.u.grant.app = 2;
	m.u.grant.slot = 3;
	write_all(FP_BUDGET_COPY);
	e.send(0, move_out(*conns[0]));
	e.send(0, m);
	s.take(2);
	fp_core_poll(&e.core(), e.now);
	EXPECT_FALSE(s.known());
	e.run();
	q.listen();
	e.run();
	EXPECT_TRUE(s.known());
	EXPECT_FALSE(s.state() & TAS_SOCK_ERROR);
	EXPECT_EQ(e.cnt().refuse_take, 0u);
}

/* What may be lost leaves room for what may not. */
TEST(Events, FeedbackAndNeighbours_LeaveRoomForTheOthers)
{
	Connected t;
	uint32_t room;

	fill_events(t.e.core(), FP_EVENT_KEEP);
	room = spsc_room(&t.e.core().events);
	t.c.peer->to_write = 0;
	t.s.send(60000);
	for (int i = 0; i < 200; i++) {
		fp_core_poll(&t.e.core(), t.e.now += 1000000);
		hand_out(t.e, {&t.c});
		t.c.peer->program();
		t.c.peer->output();
		t.c.deliver();
	}
	EXPECT_EQ(t.c.peer->f.rx_nxt, 60000u);
	fp_event_neigh(&t.e.core(), 5);
	EXPECT_EQ(spsc_room(&t.e.core().events), room);
	EXPECT_EQ(t.e.cnt().cc_feedback, 0u);
	t.e.events.clear();
	t.e.run();
	t.e.events.clear();
	t.s.send(60000);
	settle(t.e, {&t.c});
	t.e.pass(10000000);
	fp_event_neigh(&t.e.core(), 5);
	t.e.run();
	EXPECT_EQ(t.e.count(FP_EV_NEIGH), 1u);
	EXPECT_GT(t.e.cnt().cc_feedback, 0u);
}

} // namespace
