/*
 * A connection that several programs hold moves between their slots, waits with nobody, and ends
 * there: fastpath/park.c and stream/own.c. Every byte is checked at both ends; at the end of every
 * test all chunks are free.
 */
#include <gtest/gtest.h>
#include <random>
#include "engine.h"

namespace
{

constexpr uint32_t kChunk = TAS_CHUNK_BYTES;

struct Held {
	Engine e;
	Program a{e, 1}, b{e, 2}, d{e, 3};
	Program *prog[3] = {&a, &b, &d};
	Conn c{e, 5, 77, 0x1122, wide()};
	std::unique_ptr<Socket> s; /* of who has the connection */
	uint64_t bad = 0;
	std::string fault;

	Held()
	{
		s.reset(new Socket(a, 9, 77));
		c.peer->shut_when_done = false;
		c.install_in(a, 9);
		e.run();
	}
	~Held()
	{
		if (s)
			drop();
		if (c.f().flags & FP_F_USED) {
			sp_msg m = message(SP_FLOW_ABORT);
			m.u.abort.send_rst = 1;
			e.send(c.home(), m);
		}
		e.run();
		for (Program *p : prog) {
			for (uint32_t i = 0; i < p->app->nslots; i++)
				if (p->app->slot_flow[i] == FP_FLOW_DEAD) {
					p->sock(i).want |= TAS_SOCK_CLOSED;
					p->ring_on(i, 0);
				}
		}
		e.run();
		for (Program *p : prog) {
			EXPECT_EQ(p->app->rx_chunks, 0u) << "program " << p->app->id;
			EXPECT_EQ(p->tx_pool.size(), 2 * TAS_SEG_CHUNKS);
			EXPECT_EQ(p->app->flows, 0u);
		}
		EXPECT_EQ(fp_app(e.fp, FP_APP_NONE)->rx_chunks, 0u) << "the daemon's own chunks";
		EXPECT_EQ(e.fp->own.used, 0u);
		EXPECT_EQ(bad, 0u) << "bytes that programs read";
		EXPECT_EQ(c.peer->bad_bytes, 0u);
		EXPECT_EQ(fault, "");
		EXPECT_EQ(c.peer->fault, "");
	}

	/* A peer that sends 60,000 bytes at once. */
	static HostConfig wide()
	{
		HostConfig cfg;

		cfg.cc.cwnd = 1u << 20;
		return cfg;
	}
	sp_msg message(uint32_t type)
	{
		sp_msg m;

		memset(&m, 0, sizeof(m));
		m.type = type;
		m.id = c.id;
		m.gen = c.gen;
		return m;
	}
	/* `to` = nullptr: to nobody. */
	void move(Program *to, uint32_t slot, uint32_t from = FP_APP_NONE)
	{
		sp_msg m = message(SP_FLOW_MOVE);

		m.u.grant.app = to ? to->app->id : FP_APP_NONE;
		m.u.grant.slot = to ? slot : FP_SLOT_NONE;
		m.u.grant.from = from;
		e.send(c.home(), m);
		e.run();
	}
	void finish()
	{
		e.send(c.home(), message(SP_FLOW_FINISH));
		e.run();
	}
	/* The program has seen that its slot is left, or is done with it. */
	void drop()
	{
		s->leave();
		bad += s->bad_bytes;
		fault += s->fault;
		s.reset();
	}
	/* A holder asks for what it was granted, and goes on at the positions that were heard. */
	bool take(Program &p, uint32_t slot, uint64_t read, uint64_t written)
	{
		s.reset(new Socket(p, slot, 77));
		s->read = read;
		s->written = written;
		s->take(c.id, c.home());
		e.run();
		p.listen();
		e.run();
		return s->known() && !(s->state() & (TAS_SOCK_MOVED | TAS_SOCK_ERROR));
	}
	/* All of it, honestly. */
	void hand_to(Program &p, uint32_t slot)
	{
		move(&p, slot);
		ASSERT_EQ(s->state() & (TAS_SOCK_MOVED | TAS_SOCK_FREE),
			TAS_SOCK_MOVED | TAS_SOCK_FREE);
		uint64_t kept = s->s().rx_kept, heard = s->s().tx_limit;
		EXPECT_EQ(kept, s->read);
		EXPECT_EQ(heard, s->written);
		drop();
		ASSERT_TRUE(take(p, slot, kept, heard));
	}
	void settle_all()
	{
		settle(e, {&c}, [&] {
			if (s)
				s->recv();
		});
	}
	/* What the peer sends arrives; what we send gets lost. */
	void peer_sends(uint64_t upto)
	{
		c.peer->to_write = upto;
		c.peer->program();
		c.peer->output();
		c.deliver();
		e.run();
	}
	void lose_ours()
	{
		hand_out(e, {&c}, [] { return true; });
	}
	void until(const std::function<bool()> &done)
	{
		for (int i = 0; i < 1000 && !done(); i++) {
			settle_all();
			if (done() || std::min(e.next(), c.peer->deadline()) == UINT64_MAX)
				break;
			advance(e, {&c});
		}
		EXPECT_TRUE(done());
	}
	size_t parked()
	{
		return e.count(FP_EV_PARKED);
	}
};

TEST(Park, DataBothWays_ComesAlong)
{
	Held t;

	EXPECT_EQ(t.s->send(50000), 50000u);
	t.peer_sends(60000);
	t.lose_ours();
	EXPECT_GT(t.s->recv(5000), 0u);
	t.hand_to(t.b, 3);
	EXPECT_EQ(t.parked(), 1u);
	EXPECT_EQ(t.e.count(FP_EV_TAKEN), 1u);
	t.c.peer->to_write = 200000;
	t.until([&] { return t.s->read == 200000 && t.c.peer->f.rx_read == 50000; });
}

/* The chunk before a reader stays in the list until he has gone on: the new list begins at the reader. */
TEST(Park, ReadUpToTheEndOfAChunk_NextHolderReadsTheNextOne)
{
	for (uint64_t at : {kChunk - 1, kChunk, kChunk + 1, 2 * kChunk, 3 * kChunk}) {
		Held t;

		t.peer_sends(60000);
		ASSERT_EQ(t.s->recv(at), at);
		t.e.run();
		t.hand_to(t.b, 3);
		EXPECT_EQ(t.s->recv(), std::min<uint64_t>(t.c.f().rx_nxt, 60000) - at);
		t.until([&] { return t.s->read == 60000; });
	}
}

/* MOVING is stored, then the program's line is read: what it had said is heard without a ring, later words are not. */
TEST(Park, WordsWithoutARing_AreHeardExactly)
{
	Held t;

	t.peer_sends(60000);
	t.a.silent = true;
	EXPECT_EQ(t.s->recv(20001), 20001u);
	EXPECT_EQ(t.s->send(33333), 33333u);
	t.move(nullptr, 0);
	EXPECT_EQ(t.s->s().rx_kept, 20001u);
	EXPECT_EQ(t.s->s().tx_limit, 33333u);
	tas_store_rel(&t.s->s().rx_tail, 30000);
	tas_store_rel(&t.s->s().tx_head, 40000);
	t.a.ring_on(9, 0);
	t.e.run();
	EXPECT_EQ(t.s->s().rx_kept, 20001u);
	EXPECT_EQ(t.s->s().tx_limit, 33333u);
	EXPECT_EQ(t.c.f().rx_read, 20001u);
	EXPECT_EQ(t.c.f().tx_head, 33333u);
	EXPECT_EQ(t.a.app->faults, 0u);
	t.drop();
	t.move(&t.d, 1);
	ASSERT_TRUE(t.take(t.d, 1, 20001, 33333));
	EXPECT_EQ(t.s->send(1000), 1000u);
	t.until([&] { return t.s->read == 60000 && t.c.peer->f.rx_read == 34333; });
}

/* What the peer has not acknowledged is copied from the daemon's chunks and the last holder's alike. */
TEST(Park, MovedAgainBeforeAnythingIsAcknowledged)
{
	Held t;
	uint32_t n = 0;

	for (uint32_t len : {9000u, 7384u, 100u, 20000u, 1u, 16384u}) {
		EXPECT_EQ(t.s->send(len), len);
		t.e.run();
		t.lose_ours();
		n += len;
		t.hand_to(*t.prog[(n + 1) % 3], 20);
		ASSERT_TRUE(t.c.f().flags & FP_F_TX_OWN);
	}
	t.until([&] { return t.c.peer->f.rx_read == n; });
	EXPECT_FALSE(t.c.f().flags & FP_F_TX_OWN);
}

TEST(Park, OwnSourceEndsWithinAChunk_NewListGoesOn)
{
	for (uint32_t own : {1u, 1447u, kChunk - 1, kChunk, kChunk + 1, 40000u}) {
		Held t;

		EXPECT_EQ(t.s->send(own), own);
		t.e.run();
		t.lose_ours();
		t.hand_to(t.b, 3);
		EXPECT_EQ(t.s->send(20000), 20000u);
		t.e.run();
		t.until([&] { return t.c.peer->f.rx_read == own + 20000u; });
		EXPECT_EQ(t.s->send(30000), 30000u);
		t.until([&] { return t.c.peer->f.rx_read == own + 50000u; });
	}
}

TEST(Park, LateRingOfTheSlotThatWasLeft_IsNothing)
{
	Held t;

	t.hand_to(t.b, 3);
	t.a.ring_on(9, 0);
	t.a.sock(9).want = TAS_SOCK_CLOSED | TAS_SOCK_ABORT;
	t.a.ring_on(9, 0);
	t.e.run();
	EXPECT_TRUE(t.s->known());
	EXPECT_EQ(t.s->state(), (uint32_t)TAS_SOCK_OPEN);
	EXPECT_EQ(t.a.app->faults, 0u);
	EXPECT_EQ(t.e.count(FP_EV_CLOSED), 0u);
	t.c.peer->to_write = 1000;
	t.until([&] { return t.s->read == 1000; });
}

/* The very slot that was left may get the connection again. */
TEST(Park, BackIntoTheSameSlot)
{
	Held t;

	t.peer_sends(30000);
	for (uint32_t i = 0; i < 5; i++) {
		t.s->recv(4000);
		EXPECT_EQ(t.s->send(1000), 1000u);
		t.hand_to(i % 2 ? t.a : t.b, 9);
	}
	t.until([&] { return t.s->read == 30000 && t.c.peer->f.rx_read == 5000; });
}

TEST(Park, GrantWithdrawnByAnotherGrant)
{
	Held t;

	t.peer_sends(1000);
	t.move(&t.b, 3);
	t.drop();
	t.move(&t.d, 4);
	EXPECT_EQ(t.b.sock(3).gen, 77u);
	EXPECT_EQ(t.b.sock(3).state & (TAS_SOCK_MOVED | TAS_SOCK_FREE),
		TAS_SOCK_MOVED | TAS_SOCK_FREE);
	EXPECT_TRUE(t.b.heard(3));
	EXPECT_FALSE(t.take(t.b, 3, 0, 0)) << "too late, and told so";
	t.drop();
	EXPECT_EQ(t.b.app->faults, 0u);
	ASSERT_TRUE(t.take(t.d, 4, 0, 0));
	t.until([&] { return t.s->read == 1000; });
}

/* An order to leave the slot of a program that has not got the connection moves nothing. */
TEST(Park, LeaveAnother_StaysWhereItIs)
{
	Held t;

	t.move(nullptr, 0, 2);
	EXPECT_EQ(t.parked(), 0u);
	t.move(nullptr, 0, 1);
	EXPECT_EQ(t.parked(), 1u);
	t.drop();
	t.move(&t.b, 3);
	t.move(nullptr, 0, 3);
	ASSERT_TRUE(t.take(t.b, 3, 0, 0)) << "the grant stands";
}

TEST(Park, TakeWithoutAGrant_RefusedAndCounted)
{
	Held t;

	t.move(&t.b, 3);
	t.drop();
	EXPECT_FALSE(t.take(t.d, 3, 0, 0)) << "another program";
	t.drop();
	EXPECT_EQ(t.e.cnt().refuse_take, 1u);
	EXPECT_EQ(t.d.app->faults, 1u);
	EXPECT_TRUE(t.d.sock(3).state & TAS_SOCK_ERROR);
	EXPECT_EQ(t.d.sock(3).error, (uint32_t)ECONNRESET);
	EXPECT_FALSE(t.take(t.b, 4, 0, 0)) << "another slot";
	t.drop();
	EXPECT_EQ(t.e.cnt().refuse_take, 2u);
	ASSERT_TRUE(t.take(t.b, 3, 0, 0));
}

/* Ends. */

TEST(Park, FinishWithUnreadData_Reset)
{
	Held t;

	t.peer_sends(1000);
	t.lose_ours();
	t.move(nullptr, 0);
	t.drop();
	t.finish();
	settle(t.e, {&t.c});
	EXPECT_TRUE(t.c.peer->reset);
	ASSERT_EQ(t.e.count(FP_EV_CLOSED), 1u);
	EXPECT_EQ(t.e.last(FP_EV_CLOSED)->u.closed.reason, (uint32_t)FP_CLOSE_ABORTED);
}

TEST(Park, FinishWithoutUnreadData_FinAfterAllBytes)
{
	Held t;

	EXPECT_EQ(t.s->send(50000), 50000u);
	t.peer_sends(1000);
	t.lose_ours();
	t.s->recv();
	t.move(nullptr, 0);
	t.drop();
	t.finish();
	t.c.peer->shut_when_done = true;
	t.until([&] { return t.e.count(FP_EV_CLOSED) == 1; });
	EXPECT_EQ(t.c.peer->rx_data_end(), 50000u);
	EXPECT_TRUE(t.c.peer->f.flags & FP_F_RX_FIN);
	EXPECT_FALSE(t.c.peer->reset);
	EXPECT_EQ(t.e.last(FP_EV_CLOSED)->u.closed.reason, (uint32_t)FP_CLOSE_DONE);
}

/* In a slot it is the program that says when. */
TEST(Park, FinishWhileInASlot_IsNothing)
{
	Held t;

	t.finish();
	t.c.peer->to_write = 1000;
	t.until([&] { return t.s->read == 1000; });
	EXPECT_EQ(t.s->state(), (uint32_t)TAS_SOCK_OPEN);
}

TEST(Park, PeerShutsDownWhileNobodyHasIt_TakerSeesDataAndEnd)
{
	for (int granted = 0; granted < 2; granted++) {
		Held t;

		t.move(granted ? &t.b : nullptr, 3);
		t.drop();
		t.c.peer->to_write = 30000;
		t.c.peer->shut_when_done = true;
		settle(t.e, {&t.c});
		if (!granted)
			t.move(&t.b, 3);
		ASSERT_TRUE(t.take(t.b, 3, 0, 0));
		EXPECT_TRUE(t.s->state() & TAS_SOCK_RX_FIN);
		t.until([&] { return t.s->read == 30000; });
	}
}

TEST(Park, PeerResetsWhileNobodyHasIt_TakerIsTold)
{
	for (int granted = 0; granted < 2; granted++) {
		Held t;

		EXPECT_EQ(t.s->send(20000), 20000u);
		t.peer_sends(1000);
		t.lose_ours();
		t.move(granted ? &t.b : nullptr, 3);
		t.drop();
		wire_tcp h;
		uint8_t f[60] = {};
		tcp_header(&t.c.peer->f, &t.c.peer->c, &t.c.peer->env, nullptr, &h);
		h.flags = TCP_RST | TCP_ACK;
		uint32_t hl = wire_tcp_emit(f, &h);
		Frame fr;
		fr.bytes.assign(34 + hl, 2);
		fr.bytes[12] = 8;
		fr.bytes[13] = 0;
		wire_ip4_emit(&fr.bytes[14], kPeerAddr, kOurAddr, 6, (uint16_t)(20 + hl), 0, 0, 64);
		memcpy(&fr.bytes[34], f, hl);
		uint16_t cs = wire_csum_fold(wire_csum_add(
			wire_csum_pseudo4(kPeerAddr, kOurAddr, 6, hl), &fr.bytes[34], hl));
		memcpy(&fr.bytes[34 + 16], &cs, 2);
		t.c.to_engine.push_back(fr);
		t.c.deliver();
		t.e.run();
		ASSERT_EQ(t.e.count(FP_EV_CLOSED), 1u);
		EXPECT_EQ(t.e.last(FP_EV_CLOSED)->u.closed.reason, (uint32_t)FP_CLOSE_RESET);
		EXPECT_EQ(fp_app(t.e.fp, FP_APP_NONE)->rx_chunks, 0u);
		if (!granted)
			continue;
		EXPECT_FALSE(t.take(t.b, 3, 0, 0));
		EXPECT_EQ(t.s->s().error, (uint32_t)ECONNRESET);
	}
}

/* The end of the stream comes along: it was said before the move. */
TEST(Park, HolderHasShutDown_NextOneCannotWrite)
{
	Held t;

	EXPECT_EQ(t.s->send(1000), 1000u);
	t.s->want(TAS_SOCK_SHUT_WR);
	t.e.run();
	t.hand_to(t.b, 3);
	EXPECT_TRUE(t.s->state() & TAS_SOCK_TX_SHUT);
	t.until([&] { return (t.s->state() & TAS_SOCK_TX_FIN) != 0; });
	EXPECT_EQ(t.c.peer->rx_data_end(), 1000u);
	t.c.peer->to_write = 5000;
	t.until([&] { return t.s->read == 5000; });
}

/* Nobody has it when both sides are done: what came is not lost, and it ends when it is closed. */
TEST(Park, BothSidesEndWhileNobodyHasIt_TakerReadsTheRest)
{
	Held t;

	t.s->want(TAS_SOCK_SHUT_WR);
	t.e.run();
	t.move(nullptr, 0);
	t.drop();
	t.c.peer->to_write = 5000;
	t.c.peer->shut_when_done = true;
	settle(t.e, {&t.c});
	EXPECT_EQ(t.e.count(FP_EV_CLOSED), 0u);
	t.move(&t.b, 3);
	ASSERT_TRUE(t.take(t.b, 3, 0, 0));
	t.until([&] { return t.s->read == 5000; });
	EXPECT_TRUE(t.s->state() & TAS_SOCK_RX_FIN);
	EXPECT_TRUE(t.s->state() & TAS_SOCK_TX_FIN);
	EXPECT_FALSE(t.s->state() & TAS_SOCK_ERROR);
	t.s->want(TAS_SOCK_SHUT_WR | TAS_SOCK_CLOSED);
	t.e.run();
	ASSERT_EQ(t.e.count(FP_EV_CLOSED), 1u);
	EXPECT_EQ(t.e.last(FP_EV_CLOSED)->u.closed.reason, (uint32_t)FP_CLOSE_DONE);
}

TEST(Park, HolderHasShutDown_NextOneWritesAllTheSame_OnlyThatConnectionDies)
{
	Held t;
	Conn other{t.e, 6, 78, 0x1133};
	Socket o(t.b, 10, 78);

	other.install_in(t.b, 10);
	t.s->want(TAS_SOCK_SHUT_WR);
	t.e.run();
	t.hand_to(t.b, 3);
	EXPECT_EQ(t.s->send(100), 100u);
	t.e.run();
	ASSERT_EQ(t.e.count(FP_EV_CLOSED), 1u);
	EXPECT_EQ(t.e.last(FP_EV_CLOSED)->id, 5u);
	EXPECT_TRUE(t.s->state() & TAS_SOCK_ERROR);
	EXPECT_EQ(t.e.cnt().refuse_tx_shut, 1u);
	EXPECT_EQ(t.e.cnt().refuse_tx_head, 0u);
	EXPECT_EQ(t.e.count(FP_EV_APP_BAD), 0u);
	EXPECT_FALSE(o.state() & TAS_SOCK_ERROR);
	o.want(TAS_SOCK_ABORT | TAS_SOCK_CLOSED);
	t.e.run();
}

/* Hostile programs, want of memory. */

TEST(Park, BrokenChunkListWhenItLeaves_OnlyThatConnectionDies)
{
	Held t;
	Conn other{t.e, 6, 78, 0x1133};
	Socket o(t.a, 10, 78);

	other.install_in(t.a, 10);
	t.e.run();
	EXPECT_EQ(t.s->send(4 * kChunk), 4 * kChunk);
	t.e.run();
	t.lose_ours();
	for (uint32_t i = 0; i < 3 * TAS_SEG_CHUNKS; i++)
		t.a.txnext(i) = 0x7fffffff;
	t.move(&t.b, 3);
	ASSERT_EQ(t.e.count(FP_EV_CLOSED), 1u);
	EXPECT_EQ(t.parked(), 0u);
	EXPECT_EQ(t.e.last(FP_EV_CLOSED)->id, 5u);
	EXPECT_TRUE(t.s->state() & TAS_SOCK_ERROR);
	EXPECT_EQ(t.e.cnt().refuse_chunk, 1u);
	EXPECT_EQ(fp_app(t.e.fp, FP_APP_NONE)->rx_chunks, 0u);
	EXPECT_FALSE(o.state() & TAS_SOCK_ERROR);
	o.want(TAS_SOCK_ABORT | TAS_SOCK_CLOSED);
	t.e.run();
}

/* The program may leave exactly `n` chunks with the daemon. */
TEST(Park, NoMemoryForTheCopy_ResetAndToldAndNothingLeaks)
{
	constexpr uint32_t kNeeded = 3 + 4; /* 40,000 bytes to be sent, 60,000 to be read */

	for (uint32_t n = 0; n <= kNeeded; n++) {
		Held t;
		fp_own &own = t.e.fp->own;

		EXPECT_EQ(t.s->send(40000), 40000u);
		t.peer_sends(60000);
		t.lose_ours();
		ASSERT_EQ(t.c.f().rx_nxt, 60000u);
		own.limit = 5 * n; /* a program may have a quarter of what it leaves free */
		t.move(&t.b, 3);
		if (n == kNeeded) {
			EXPECT_EQ(t.parked(), 1u);
			EXPECT_EQ(own.account[1], kNeeded);
		} else {
			EXPECT_EQ(t.parked(), 0u);
			ASSERT_EQ(t.e.count(FP_EV_CLOSED), 1u);
			EXPECT_EQ(t.e.last(FP_EV_CLOSED)->u.closed.error, ENOBUFS);
			EXPECT_TRUE(t.s->state() & TAS_SOCK_ERROR);
			EXPECT_EQ(t.s->s().error, (uint32_t)ENOBUFS);
			EXPECT_EQ(t.e.cnt().drop_parked, 1u);
			EXPECT_EQ(own.used, 0u);
			EXPECT_EQ(mem_nic_sent(t.e.port), 1u) << "the RST";
		}
		t.drop();
	}
}

/* Any moment. */

struct Wanderer : Held {
	static constexpr uint64_t kTotal = 1500000;
	std::mt19937 rnd;
	uint64_t read = 0, written = 0; /* while nobody has it */
	Program *granted = nullptr;
	uint32_t slot = 9, moves = 0, owns = 0, withdrawn = 0;

	explicit Wanderer(uint32_t seed) : rnd(seed)
	{
		c.peer->to_write = kTotal;
	}
	bool one_in(uint32_t n)
	{
		return rnd() % n == 0;
	}
	void network()
	{
		c.peer->set_time(e.now);
		c.peer->reading = !one_in(4);
		c.peer->program();
		c.peer->output();
		c.to_engine.erase(std::remove_if(c.to_engine.begin(), c.to_engine.end(),
					  [&](const Frame &) { return one_in(15); }),
			c.to_engine.end());
		c.deliver();
		e.run();
		hand_out(e, {&c}, [&] { return one_in(15); });
	}
	void program()
	{
		static const uint32_t sizes[] = {1, 1000, 1448, 4096, kChunk, 2 * kChunk, 50000};

		if (!s)
			return;
		s->p.silent = one_in(3);
		if (one_in(2))
			s->recv(sizes[rnd() % 7]);
		if (one_in(2))
			s->send(std::min<uint64_t>(sizes[rnd() % 7], kTotal - s->written));
		if (!s->p.silent)
			s->p.ring(s->slot);
		s->p.silent = false;
		for (Program *p : prog)
			p->listen();
		if (one_in(2))
			e.run();
	}
	/* Moves it to one of the programs or to nobody. */
	void wander()
	{
		Program *to = one_in(4) ? nullptr : prog[rnd() % 3];
		bool grant_was_open = granted != nullptr;

		slot = one_in(3) ? slot : 1 + rnd() % 100;
		if (s && to == &s->p && slot == s->slot)
			slot = slot % 100 + 1;
		withdrawn += grant_was_open;
		move(to, slot);
		moves++;
		owns += (c.f().flags & FP_F_TX_OWN) != 0;
		if (s) {
			ASSERT_TRUE(s->state() & TAS_SOCK_MOVED);
			EXPECT_EQ(read = s->s().rx_kept, s->read);
			EXPECT_EQ(written = s->s().tx_limit, s->written);
			drop();
		}
		granted = to;
	}
	void claim()
	{
		if (!granted) {
			wander();
			return;
		}
		ASSERT_TRUE(take(*granted, slot, read, written));
		granted = nullptr;
	}
	void pass_time()
	{
		uint64_t next = std::min(e.next(), c.peer->deadline());

		if (next != UINT64_MAX)
			advance(e, {&c});
	}
	bool done()
	{
		return s && s->read == kTotal && s->written == kTotal &&
		       c.peer->f.rx_read == kTotal;
	}
	void go()
	{
		for (int i = 0; i < 100000 && !done() && !testing::Test::HasFatalFailure(); i++) {
			network();
			program();
			if (s ? one_in(5) : one_in(12))
				wander();
			else if (!s && one_in(3))
				claim();
			if (one_in(3))
				pass_time();
		}
		EXPECT_TRUE(done());
		EXPECT_EQ(a.app->faults + b.app->faults + d.app->faults, 0u);
	}
};

class ParkRandom : public testing::TestWithParam<uint32_t>
{
};

TEST_P(ParkRandom, EveryByteArrivesWhereverItIs)
{
	Wanderer t(GetParam());

	t.go();
	EXPECT_GT(t.moves, 10u);
	EXPECT_GT(t.owns, 0u);
	EXPECT_GT(t.withdrawn, 0u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, ParkRandom, testing::Range(1u, 41u));

/* The queue's word is the right to a connection until it is accepted, not afterwards: who holds the listener has no claim to what others took. */
TEST(Park, AcceptedConnectionWaitsWithNobody_OtherHolderOfTheListenerCannotTakeIt)
{
	Engine e;
	Program a{e, 1}, b{e, 2};
	std::vector<uint8_t> lmem(sizeof(tas_listen));
	auto *l = (tas_listen *)lmem.data();
	Conn c(e, 5, 77, 0x1122);
	Socket s(a, 9, 77), thief(b, 4, 77);
	sp_msg m;

	c.install_accepted(l, 3, 0, 4000);
	l->queue[0].word = TAS_ACCEPT_WORD(TAS_ACCEPT_TAKEN, 1, 4000);
	s.take(5);
	e.run();
	ASSERT_TRUE(s.known());
	l->queue[0].word = TAS_ACCEPT_EMPTY; /* FP_EV_TAKEN */
	c.peer->to_write = 1000;
	settle(e, {&c});
	/* Forked, and the parent has closed: the child has not used it yet. */
	memset(&m, 0, sizeof(m));
	m.type = SP_FLOW_MOVE;
	m.id = 5;
	m.gen = 77;
	m.u.grant.slot = FP_SLOT_NONE;
	m.u.grant.from = 1;
	e.send(0, m);
	e.run();
	ASSERT_TRUE(s.state() & TAS_SOCK_MOVED);
	l->queue[0].word = TAS_ACCEPT_WORD(TAS_ACCEPT_TAKEN, 2, 4000);
	thief.take(5);
	e.run();
	EXPECT_EQ(e.cnt().refuse_take, 1u);
	EXPECT_NE(c.f().app, 2u) << "program 2 reads " << thief.recv() << " bytes";
}

/* One that was never in a queue names a place in some listener's all the same. */
TEST(Park, ConnectedConnectionWaitsWithNobody_NoQueueIsARightToIt)
{
	Held t;
	std::vector<uint8_t> lmem(sizeof(tas_listen));
	auto *l = (tas_listen *)lmem.data();
	Socket thief(t.d, 4, 77);
	const fp_flow_init &in = t.c.init;

	l->queue[in.accept_entry].word = TAS_ACCEPT_WORD(TAS_ACCEPT_TAKEN, 3, in.accept_ticket);
	fp_listener_set(t.e.fp, in.listener, l);
	t.move(nullptr, 0);
	thief.take(5);
	t.e.run();
	EXPECT_EQ(t.e.cnt().refuse_take, 1u);
	EXPECT_EQ(t.c.f().app, (uint16_t)FP_APP_NONE);
	thief.want(TAS_SOCK_CLOSED);
}

/*
 * The order to hand over is in the ring behind others, and the holder, who has had the connection in this slot
 * before, asks already.
 */
TEST(Park, BackIntoTheSameSlot_AskedBeforeTheCoreHasHeard)
{
	Held t;
	sp_msg m, grant = t.message(SP_FLOW_MOVE);

	t.hand_to(t.b, 3);
	t.drop();
	memset(&m, 0, sizeof(m));
	m.type = SP_CC_SET;
	for (uint32_t i = 0; i < FP_BUDGET_MSGS; i++)
		t.e.send(0, m);
	grant.u.grant.app = 1;
	grant.u.grant.slot = 9;
	t.e.send(0, grant);
	t.a.sock(9).gen = 0; /* as libtas does */
	EXPECT_TRUE(t.take(t.a, 9, 0, 0));
	t.e.pass(1000000000);
	EXPECT_TRUE(t.s->known()) << "a second later";
}

} /* namespace */
