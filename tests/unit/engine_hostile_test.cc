/*
 * Programs that break the ABI: counted, isolated, and nobody else notices.
 */
#include <gtest/gtest.h>
#include <poll.h>
#include <random>
#include "engine.h"
#include "seed.h"

namespace
{

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
	std::mt19937_64 rng(test_seed());

	SCOPED_TRACE(test_seed_text());
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

/* Every value within its bounds, none of them true: nothing but its own streams may suffer. */
TEST(HostileProgram, LiesWithinTheBounds)
{
	std::mt19937_64 rng(test_seed());

	SCOPED_TRACE(test_seed_text());
	for (int round = 0; round < 5; round++) {
		Connected t;
		uint32_t chunks = 3 * TAS_SEG_CHUNKS;

		for (uint32_t i = 0; i < chunks; i++)
			t.p.txnext(i) = (uint32_t)rng() % chunks; /* cycles and all */
		for (int i = 0; i < 200 && !t.p.app->bad; i++) {
			tas_sock &s = t.s.s();
			uint64_t head = fp_rx_head(&t.c.f()), read = t.c.f().rx_read;

			s.tx_head += rng() % std::min<uint64_t>(20000,
						     1 + t.e.fp->cold[5].tx_limit - s.tx_head);
			s.rx_tail = read + rng() % (1 + head - read);
			s.tx_first_pos = i == 0 || rng() % 4 ? t.c.f().tx_head : rng() % 100000;
			s.tx_first_chunk = (uint32_t)rng() % chunks;
			s.want = (uint32_t)rng() &
				 (TAS_SOCK_NODELAY | TAS_SOCK_CORK | 0x10u /* means nothing */ |
					 TAS_SOCK_TAKE);
			s.tx_wait = (uint32_t)rng() % 2;
			s.urgent = (uint32_t)rng();
			s.tx_up = s.tx_head + rng() % 3 - 1;
			s.rx_taken = s.rx_urg = s.rx_hole = rng();
			s.rx_urged = (uint8_t)rng();
			s.state = (uint32_t)rng();
			s.gen = s.flow = s.core = (uint32_t)rng();
			s.rx_first_chunk = s.rx_head = s.tx_una = rng();
			t.p.rxnext((uint32_t)rng() % chunks) = (uint32_t)rng();
			t.p.r->rx_wanted = t.p.r->rx_offered = (uint32_t)rng();
			t.p.evq(rng() % 2)->sleeping = (uint32_t)rng();
			t.p.ring_on(9, 0);
			t.c.peer->to_write += rng() % 3000;
			t.c.peer->shut_when_done = false;
			settle(t.e, {&t.c});
			t.e.pass(rng() % 3000000);
			ASSERT_EQ(t.c.peer->fault, "");
		}
		t.e.send_all(SP_APP_DEL, 1);
		settle(t.e, {&t.c});
		ASSERT_EQ(t.e.count(FP_EV_APP_GONE), 1u);
	}
}

/* A program with many flows, each on an event queue of its own whose descriptor blocks whoever writes it. */
struct Blocking {
	static constexpr uint32_t kQueues = 8;
	Engine e{1, true, 100, fp_now_ns()};
	Program p{e, 1, 128, kQueues};
	std::vector<std::unique_ptr<Conn>> conns;

	Blocking()
	{
		for (uint32_t q = 0; q < kQueues; q++) {
			conns.emplace_back(new Conn(e, 10 + q, 100 + q, (uint16_t)(2000 + q)));
			Socket s(p, q, 100 + q);

			conns[q]->install_in(p, q);
			conns[q]->peer->shut_when_done = false;
			e.run();
			s.s().evq = q;
			p.ring(q);
			e.run();
		}
		for (uint32_t q = 0; q < kQueues; q++)
			fill(q);
		for (auto &c : conns) {
			c->peer->to_write = 1000;
			c->peer->program();
			c->peer->output();
			c->deliver();
		}
	}

	void fill(uint32_t q)
	{
		uint64_t full = 0xfffffffffffffffe;

		close(p.app->evq_fd[q]);
		p.app->evq_fd[q] = eventfd(0, 0);
		EXPECT_EQ(write(p.app->evq_fd[q], &full, 8), 8);
		p.evq(q)->sleeping = 1;
	}
};

/* The eventfds are the program's: it fills their counters and lets a write wait. A hang here is the failure. */
TEST(HostileProgram, FillsItsEventfds_NobodyWaits)
{
	Blocking t;
	Program victim(t.e, 2);
	Conn vc(t.e, 50, 500, 0x5566);
	Socket vs(victim, 3, 500);
	uint64_t v;

	vc.install_in(victim, 3);
	vc.peer->to_write = 1000;
	victim.evq(0)->sleeping = 1;
	settle(t.e, {&vc});
	EXPECT_EQ(vs.recv(), 1000u);
	EXPECT_GE(t.e.cnt().app_wakes, Blocking::kQueues + 1);
	EXPECT_EQ(read(victim.app->evq_fd[0], &v, 8), 8) << "the other program is woken";
	for (uint32_t q = 0; q < Blocking::kQueues; q++) {
		EXPECT_EQ(t.p.evq(q)->sleeping, 0u);
		EXPECT_EQ(read(t.p.app->evq_fd[q], &v, 8), 8);
		EXPECT_EQ(v, UINT64_MAX) << "full";
	}
	EXPECT_FALSE(t.p.app->bad) << "it harms itself only";
}

/* It lets go each time before anybody has looked twice. Blocking a core is blocking a core. */
TEST(HostileProgram, FillsItsEventfdAgainAndAgain_EveryWakeComesBack)
{
	Engine e;
	int fd = eventfd(0, 0);
	uint64_t full = UINT64_MAX - 1, v;

	for (int i = 0; i < 1000; i++) {
		ASSERT_EQ(write(fd, &full, 8), 8);
		ASSERT_EQ(fp_wake(&e.core().waker, fd), 1) << i;
		ASSERT_EQ(fp_wake(&e.core().waker, fd), 1) << i;
		ASSERT_EQ(read(fd, &v, 8), 8);
		ASSERT_EQ(v, UINT64_MAX);
	}
	close(fd);
}

} // namespace
