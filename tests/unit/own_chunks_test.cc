/*
 * The daemon's own chunks (fastpath/own_chunks.c): who may have how many, that one who takes its share
 * harms nobody else, and that cores share them without losing or doubling one.
 */
#include <gtest/gtest.h>
#include <atomic>
#include <random>
#include <thread>
#include "engine.h"
#include "seed.h"

namespace
{

/* A connection leaves its slot and waits with nobody. */
void park(Engine &e, Conn &c)
{
	sp_msg m;

	memset(&m, 0, sizeof(m));
	m.type = SP_FLOW_MOVE;
	m.id = c.id;
	m.gen = c.gen;
	m.u.grant.slot = FP_SLOT_NONE;
	e.send(c.home(), m);
	e.run();
}

HostConfig big()
{
	HostConfig cfg;

	cfg.opts.sndbuf = 4u << 20;
	return cfg;
}

/* Connections of programs that leave them here, `bytes` each that the peer has not got. */
struct Leaving {
	Engine e;
	std::vector<std::unique_ptr<Conn>> conns;
	uint16_t port = 1000;

	explicit Leaving(uint32_t ncores = 1) : e(ncores)
	{
	}

	/* The state of the slot afterwards. */
	uint32_t leave(Program &p, uint32_t slot, uint32_t bytes)
	{
		uint32_t id = (uint32_t)conns.size() + 1;

		do
			conns.emplace_back(new Conn(e, id, 100 + id, port++, big()));
		while (conns.back()->home() != 0 && (conns.pop_back(), true));
		conns.back()->install_in(p, slot);
		e.run();
		Socket s(p, slot, 100 + id);
		EXPECT_EQ(s.send(bytes), bytes);
		e.run();
		park(e, *conns.back());
		s.leave();
		return s.state();
	}
};

/* What one program leaves with the daemon is no reason to end a connection of another. */
TEST(OwnChunks, OneProgramFillsItsShare_AnotherHandsOnAllTheSame)
{
	Leaving t;
	Program bad{t.e, 1}, good{t.e, 2};
	uint32_t moved = 0;

	for (uint32_t i = 0; i < 17; i++)
		moved += (t.leave(bad, i, 4000000) & TAS_SOCK_MOVED) != 0;
	EXPECT_EQ(moved, 3u) << "a fifth of all";
	EXPECT_EQ(t.e.cnt().drop_parked, 17u - moved) << "its own, beyond its share";
	EXPECT_TRUE(t.leave(good, 3, 1000) & TAS_SOCK_MOVED);
	EXPECT_TRUE(t.leave(good, 4, 4000000) & TAS_SOCK_MOVED);
	EXPECT_EQ(t.e.cnt().drop_parked, 17u - moved);
}

/* However many programs do it, one more finds something. */
TEST(OwnChunks, ManyProgramsFillTheirShares_OneMoreFindsRoom)
{
	Leaving t;
	std::vector<std::unique_ptr<Program>> bad;

	t.e.fp->own.limit = 400;
	for (uint32_t i = 1; i <= 8; i++) {
		bad.emplace_back(new Program(t.e, i));
		for (uint32_t slot = 0; slot < 12; slot++)
			t.leave(*bad.back(), slot, 100000);
		EXPECT_GE(t.e.cnt().drop_parked, i) << "beyond its share";
	}
	Program good(t.e, 9);
	EXPECT_TRUE(t.leave(good, 0, 100000) & TAS_SOCK_MOVED);
}

/* That other cores have given chunks back last is no reason to end a connection here. */
TEST(OwnChunks, OneCoreNeedsMoreThanItsPart_OthersDoNotMind)
{
	Leaving t(8);
	Program p{t.e, 1};

	for (uint32_t slot = 0; slot < 3; slot++)
		EXPECT_TRUE(t.leave(p, slot, 4000000) & TAS_SOCK_MOVED) << slot;
	EXPECT_EQ(t.e.cnt().drop_parked, 0u);
}

/* Connections that wait to be accepted, with something to read each. */
struct Waiting {
	Engine e;
	Program p{e, 1};
	std::vector<std::vector<uint8_t>> lmem;
	std::vector<std::unique_ptr<Conn>> conns;

	tas_listen *listener(uint32_t l)
	{
		while (lmem.size() <= l)
			lmem.emplace_back(sizeof(tas_listen));
		return (tas_listen *)lmem[l].data();
	}
	/* Of `n` more, how many bytes were kept. */
	uint64_t arrive(uint32_t l, uint32_t n)
	{
		uint64_t kept = 0;

		while (n-- > 0) {
			uint32_t id = (uint32_t)conns.size() + 1;

			conns.emplace_back(new Conn(e, id, 100 + id, (uint16_t)(1000 + id)));
			conns.back()->install_accepted(listener(l), l, id, id);
			e.run();
			conns.back()->peer->to_write = 1;
			conns.back()->peer->shut_when_done = false;
			settle(e, {conns.back().get()});
			kept += conns.back()->f().rx_nxt;
		}
		return kept;
	}
};

/* Peers send early data and nobody accepts: one listener gets a quarter, all of them half, programs the rest. */
TEST(OwnChunks, EarlyData_AQuarterForAListenerHalfForAll)
{
	Waiting t;

	t.e.fp->own.limit = 32;
	EXPECT_EQ(t.arrive(1, 10), 8u);
	EXPECT_EQ(t.e.cnt().drop_early, 2u);
	EXPECT_EQ(t.arrive(2, 7), 7u);
	EXPECT_EQ(t.arrive(3, 2), 1u);
	EXPECT_EQ(t.e.cnt().drop_early, 3u);
	EXPECT_EQ(t.e.fp->own.used, 16u);

	Conn c(t.e, 500, 900, 7777, big());
	c.install_in(t.p, 3);
	t.e.run();
	Socket s(t.p, 3, 900);
	s.send(3 * TAS_CHUNK_BYTES);
	t.e.run();
	park(t.e, c);
	EXPECT_TRUE(s.state() & TAS_SOCK_MOVED) << "a fifth of what peers left free";
	EXPECT_EQ(t.e.fp->own.used, 19u);
}

/* What found no room comes again: once the connection is accepted it is kept. */
TEST(OwnChunks, EarlyDataThatFoundNoRoom_ArrivesAfterAccept)
{
	Waiting t;

	t.e.fp->own.limit = 4;
	EXPECT_EQ(t.arrive(1, 2), 1u);
	t.listener(1)->queue[2].word = TAS_ACCEPT_WORD(TAS_ACCEPT_TAKEN, 1, 2);
	Socket s(t.p, 9, 102);
	s.take(2);
	t.e.run();
	ASSERT_TRUE(s.known());
	for (int i = 0; i < 20 && s.read == 0; i++) {
		advance(t.e, {t.conns[1].get()});
		settle(t.e, {t.conns[1].get()});
		s.recv();
	}
	EXPECT_EQ(s.read, 1u);
	EXPECT_EQ(s.bad_bytes, 0u);
}

/* A connection that a program has left goes on receiving at that program's expense, not its listener's. */
TEST(OwnChunks, DataForAParkedConnection_IsChargedToWhoParkedIt)
{
	Leaving t;
	Program p{t.e, 1};

	t.leave(p, 3, 1000);
	ASSERT_EQ(t.e.fp->own.account[1], 1u);
	t.conns[0]->peer->shut_when_done = false;
	t.conns[0]->peer->to_write = 60000;
	settle(t.e, {t.conns[0].get()});
	EXPECT_EQ(t.conns[0]->f().rx_nxt, 60000u);
	EXPECT_EQ(t.e.fp->own.account[1], 4u) << "what it had sent is acknowledged and gone";
	EXPECT_EQ(t.e.fp->own.early, 0u);
}

/* Every core takes and gives as it likes; no chunk is ever with two, none is lost. */
class Shared : public testing::TestWithParam<bool>
{
};

TEST_P(Shared, NoChunkIsLostOrDoubled)
{
	constexpr uint32_t kCores = 4;
	Engine e(kCores);
	fp_own &own = e.fp->own;
	std::vector<std::atomic<uint32_t>> holder(FP_OWN_CHUNKS);
	std::atomic<uint32_t> twice{0};
	std::vector<std::thread> threads;

	if (!GetParam())
		own.keep = 0; /* each take and give goes to the stack */
	for (uint32_t i = 0; i < kCores; i++)
		threads.emplace_back([&, i] {
			std::mt19937 rng(test_seed() + i);
			std::vector<uint32_t> held;

			e.fp->cold[1 + i].payer = (uint16_t)(1 + i);
			for (int step = 0; step < 200000; step++) {
				uint32_t c;

				if (!held.empty() && rng() % 1000 < 480 + held.size() / 32) {
					std::swap(held[rng() % held.size()], held.back());
					c = held.back();
					held.pop_back();
					holder[c] = 0;
					fp_own_put(&e.core(i), c);
				} else if ((c = fp_own_get(&e.core(i), 1 + i)) != TAS_CHUNK_NONE) {
					twice += holder[c].exchange(1) != 0;
					held.push_back(c);
				}
			}
			for (uint32_t c : held) {
				holder[c] = 0;
				fp_own_put(&e.core(i), c);
			}
		});
	for (auto &t : threads)
		t.join();
	ASSERT_EQ(twice, 0u);
	EXPECT_EQ(own.used, 0u);
	EXPECT_EQ(own.early, 0u);
	uint32_t n = 0, kept = 0;

	for (uint32_t top = (uint32_t)own.top; top != 0; top = own.next[top - 1])
		n++;
	for (uint32_t i = 0; i < kCores; i++)
		kept += e.core(i).apps[FP_APP_NONE]->nfree;
	EXPECT_EQ(n + kept, FP_OWN_CHUNKS);
	EXPECT_LE(kept, kCores * own.keep);
	/* All but what cores may keep can be had by one, wherever they lie. */
	own.account[9] = 0;
	e.fp->cold[9].payer = 9;
	own.limit = 5 * FP_OWN_CHUNKS; /* the program's share is then as much as there is */
	for (n = 0; fp_own_get(&e.core(0), 9) != TAS_CHUNK_NONE; n++)
		;
	EXPECT_GE(n, FP_OWN_CHUNKS - kCores * own.keep);
}

INSTANTIATE_TEST_SUITE_P(OwnChunks, Shared, testing::Bool());

} /* namespace */
