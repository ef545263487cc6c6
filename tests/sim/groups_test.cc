/*
 * Flow groups change cores while data flows: several cores polled in random order, the slow path's
 * steps at random moments between them, random sets of groups, every byte checked. Without losses on
 * the wire nothing may arrive out of order or be retransmitted; with losses nothing may be missing.
 */
#include <gtest/gtest.h>
#include <random>
#include "engine.h"

namespace
{

struct Case {
	uint64_t seed;
	uint32_t ncores, drop; /* drop: percent, each way */
	bool steers;	       /* the port does; else frames keep arriving where they did */
	bool large;
};

class Moves
{
      public:
	static constexpr uint32_t kConns = 12, kBytes = 400000;
	Case k;
	std::mt19937_64 rng;
	Engine e;
	Program p{e, 1};
	std::vector<std::unique_ptr<Conn>> conns;
	std::vector<std::unique_ptr<Socket>> socks;
	std::vector<Conn *> all;
	std::vector<uint8_t> lmem = std::vector<uint8_t>(sizeof(tas_listen));
	uint32_t started = 0;
	bool moving = true;

	explicit Moves(const Case &c) : k(c), rng(c.seed), e(c.ncores, c.large)
	{
		/* Memory offered ahead: what finds none is dropped, moves or not. */
		tas_fetch_add(&p.r->rx_wanted, 400u);
		p.listen();
		/* Which flow lies in which group follows the seed too. */
		for (auto &key : e.port->steer.key)
			key = rng() | 1;
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
			p.news.insert(i);
			if (i % 3)
				conns[i]->install_in(p, i);
			else
				offer(i);
		}
	}

	/* An accepted connection: in the queue, claimed, taken later at a core that need not own it. */
	void offer(uint32_t i)
	{
		auto *l = (tas_listen *)lmem.data();

		conns[i]->install_accepted(l, 3, i, 4000 + i);
		l->queue[i].word = TAS_ACCEPT_WORD(TAS_ACCEPT_TAKEN, 1, 4000 + i);
	}

	void slow_path()
	{
		fp_event ev;

		fp_move_poll(e.fp);
		while (fp_event_next(e.fp, &ev))
			e.events.push_back(ev);
		if (moving && fp_move_poll(e.fp) == FP_MOVES_NONE)
			start_move();
	}

	void start_move()
	{
		uint32_t from = (uint32_t)(rng() % k.ncores), to = (uint32_t)(rng() % k.ncores);
		uint64_t set[2] = {0, 0};
		bool any = false, most = rng() % 3 == 0;

		for (uint32_t g = 0; g < NIC_GROUPS; g++) {
			if (fp_group_core(e.fp, g) != from || (!most && rng() % 4))
				continue;
			set[g / 64] |= 1ull << (g % 64);
			any = true;
		}
		if (!any || from == to)
			return;
		ASSERT_EQ(fp_move_start(e.fp, set, from, to), 0);
		ASSERT_EQ(fp_move_start(e.fp, set, from, to), -EBUSY);
		started++;
	}

	void peers()
	{
		for (uint32_t i = 0; i < kConns; i++) {
			Conn &c = *conns[i];
			auto &q = c.to_engine;

			c.peer->set_time(e.now);
			if (c.peer->deadline() <= e.now)
				c.peer->timer();
			c.peer->program();
			c.peer->output();
			for (size_t j = 0; j < q.size(); j++)
				if (rng() % 100 < k.drop)
					q.erase(q.begin() + (long)j--);
			c.deliver(k.steers ? UINT32_MAX : i % k.ncores);
		}
	}

	void wire_out()
	{
		static uint8_t buf[65700];
		uint16_t gso, dport;

		for (uint32_t n = (uint32_t)(rng() % 16); n > 0; n--) {
			uint32_t len = mem_nic_take(e.port, buf, &gso);
			Frame fr;

			if (len == 0)
				return;
			if (rng() % 100 < k.drop)
				continue;
			memcpy(&dport, buf + 36, 2);
			fr.bytes.assign(buf, buf + len);
			fr.gso_size = gso;
			conns[dport - 1000u]->peer->set_time(e.now);
			ASSERT_EQ(conns[dport - 1000u]->peer->frame(fr), WIRE_TCP);
		}
	}

	void act(uint32_t i)
	{
		Socket &s = *socks[i];

		if (!s.known()) {
			/* Once the core that the entry names knows it, any core will do. */
			if (i % 3 == 0 && !s.s().want && (conns[i]->f().flags & FP_F_USED))
				s.take(i + 1, (uint32_t)(rng() % k.ncores));
			p.news.insert(i);
			return;
		}
		s.recv(1 + rng() % 20000);
		if (tas_load_acq(&s.s().rx_head) > s.read || rng() % 8 == 0)
			p.news.insert(i);
		if (s.written < kBytes) {
			s.send(std::min<uint64_t>(kBytes - s.written, 1 + rng() % 20000));
			s.s().tx_wait = 1;
			p.ring(i);
			p.news.insert(i);
		}
		if (rng() % 16 == 0)
			p.ring_on(i, (uint32_t)(rng() % k.ncores)); /* a late or wrong ring */
	}

	void program()
	{
		std::set<uint32_t> news;

		p.listen();
		news.swap(p.news);
		for (uint32_t i : news)
			act(i);
	}

	bool over()
	{
		for (uint32_t i = 0; i < kConns; i++)
			if (socks[i]->read < kBytes || conns[i]->peer->rx_data_end() < kBytes)
				return false;
		return true;
	}

	void step()
	{
		switch (rng() % 6) {
		case 0:
			slow_path();
			break;
		case 1:
			peers();
			break;
		case 2:
			wire_out();
			break;
		case 3:
			program();
			break;
		default:
			fp_core_poll(&e.core((uint32_t)(rng() % k.ncores)), e.now);
		}
		e.now += 1 + rng() % 2000;
	}

	/* Nothing has happened for long: on to the next deadline, or the losses' timers take for ever. */
	void skip()
	{
		uint64_t t = e.next();

		for (Conn *c : all)
			t = std::min(t, c->peer->deadline());
		if (t != UINT64_MAX && t > e.now)
			e.now = t;
	}

	uint64_t progress()
	{
		uint64_t sum = 0;

		for (uint32_t i = 0; i < kConns; i++)
			sum += socks[i]->read + socks[i]->written + conns[i]->peer->rx_data_end();
		return sum;
	}

	void run()
	{
		uint64_t last = 0;

		for (uint32_t i = 0; i < 2000000 && !over() && !testing::Test::HasFailure(); i++) {
			step();
			if (i % 2000 != 0)
				continue;
			if (progress() == last)
				skip();
			last = progress();
		}
	}

	/* All moves come to their end; then every sum must be what it was. */
	void finish()
	{
		moving = false;
		for (uint32_t i = 0; i < 4000; i++)
			step();
		EXPECT_EQ(fp_move_poll(e.fp), FP_MOVES_NONE);
	}
};

void check_bytes(Moves &m)
{
	for (uint32_t i = 0; i < Moves::kConns; i++) {
		EXPECT_EQ(m.socks[i]->read, Moves::kBytes) << "connection " << i;
		EXPECT_EQ(m.socks[i]->bad_bytes, 0u);
		EXPECT_EQ(m.socks[i]->fault, "");
		EXPECT_EQ(m.conns[i]->peer->rx_data_end(), Moves::kBytes) << "connection " << i;
		EXPECT_EQ(m.conns[i]->peer->bad_bytes, 0u);
		EXPECT_EQ(m.conns[i]->peer->fault, "");
		EXPECT_FALSE(m.conns[i]->peer->ended());
	}
	EXPECT_FALSE(m.p.app->bad);
	EXPECT_EQ(m.p.app->faults, 0u);
}

/* Without losses on the wire: none by us, and everything in order. */
void check_order(Moves &m)
{
	for (uint32_t i = 0; i < m.k.ncores; i++) {
		EXPECT_EQ(m.e.cnt(i).drop_forward, 0u);
		EXPECT_EQ(m.e.cnt(i).drop_no_chunk, 0u);
		EXPECT_EQ(m.e.cnt(i).rx_ooo, 0u);
		EXPECT_EQ(m.e.cnt(i).fast_recovery, 0u);
		EXPECT_EQ(m.e.cnt(i).rto, 0u);
	}
	for (auto &c : m.conns)
		EXPECT_EQ(c->peer->cnt.rx_ooo, 0u);
}

/* What hangs on cores adds up: flows, sent-map nodes, receive chunks. */
void check_sums(Moves &m)
{
	uint32_t flows = 0, used = 0, in_maps = 0, moved = 0;
	uint64_t nodes = 0, share = 0;
	int64_t chunks = 0;

	for (uint32_t i = 0; i < m.k.ncores; i++) {
		flows += m.e.core(i).apps[1]->nflows;
		used += m.e.core(i).env.sent_used;
		nodes += m.e.core(i).env.nsent;
		share += m.e.core(i).sent_share;
		chunks += m.e.core(i).apps[1]->in_use;
		moved += (uint32_t)m.e.cnt(i).groups_moved;
		EXPECT_EQ(m.e.core(i).move.step, FP_MOVE_IDLE);
		EXPECT_EQ(m.e.core(i).rx_for, nullptr);
	}
	for (uint32_t i = 1; i <= Moves::kConns; i++)
		in_maps += m.e.fp->cold[i].tcp.nsent;
	EXPECT_EQ(flows, Moves::kConns);
	EXPECT_EQ(m.p.app->flows, Moves::kConns);
	EXPECT_EQ(used, in_maps);
	EXPECT_LE(nodes, share);
	EXPECT_GE(chunks, 0);
	EXPECT_GT(moved, 0u);
	EXPECT_GT(m.started, 0u);
}

void random_moves(const Case &k)
{
	SCOPED_TRACE("seed " + std::to_string(k.seed) + ", " + std::to_string(k.ncores) +
		     " cores, drop " + std::to_string(k.drop) + (k.steers ? "" : ", no steering"));
	Moves m(k);

	m.run();
	check_bytes(m);
	if (k.drop == 0)
		check_order(m);
	m.finish();
	check_sums(m);
}

TEST(Groups, MoveWithoutLossNothingIsOutOfOrder)
{
	for (uint64_t seed = 1; seed <= 12 && !testing::Test::HasFailure(); seed++)
		random_moves({seed, 2, 0, true, seed % 2 != 0});
}

TEST(Groups, MoveWhilePacketsAreLost)
{
	for (uint64_t seed = 1; seed <= 12 && !testing::Test::HasFailure(); seed++)
		random_moves({seed, 2, (uint32_t)(1 + seed % 5), true, seed % 2 != 0});
}

TEST(Groups, MoveAmongThreeCores)
{
	for (uint64_t seed = 1; seed <= 8 && !testing::Test::HasFailure(); seed++)
		random_moves({seed, 3, (uint32_t)(seed % 2 * 2), true, true});
}

TEST(Groups, MoveBehindAPortThatCannotSteer)
{
	for (uint64_t seed = 1; seed <= 8 && !testing::Test::HasFailure(); seed++)
		random_moves({seed, 3, (uint32_t)(seed % 2 * 2), false, true});
}

/* Junk comes without end, and faster than the core takes it in. */
static void flood(Engine &e, uint32_t core)
{
	static const uint8_t junk[60] = {2, 2, 2, 2, 2, 2};

	for (uint32_t i = 0; i < 2 * NIC_BURST; i++)
		mem_nic_put(e.port, core, junk, sizeof(junk), 0, 0);
}

static std::unique_ptr<Conn> conn_of_core(Engine &e, uint32_t core, uint32_t id)
{
	std::unique_ptr<Conn> c;
	uint16_t port = (uint16_t)(1000 * id);

	do
		c.reset(new Conn(e, id, 100 + id, port++));
	while (c->home() != core);
	return c;
}

/* The move ends after as many frames as the old owner's queue held; what the new owner has got meanwhile is not stuck. */
TEST(Groups, OldOwnersQueueIsNeverEmpty_NewOwnerGoesOnReceiving)
{
	Engine e(2);
	Program p(e, 1);
	auto moving = conn_of_core(e, 0, 1), other = conn_of_core(e, 1, 2);
	uint64_t set[2] = {0, 0};
	uint32_t g = fp_group_of(e.fp, &moving->init.tuple), round;
	fp_event ev;

	for (Conn *c : {moving.get(), other.get()}) {
		c->install_in(p, c->id);
		c->peer->to_write = 60000;
		c->peer->program();
		c->peer->output();
	}
	e.run();
	set[g / 64] = 1ull << (g % 64);
	ASSERT_EQ(fp_move_start(e.fp, set, 0, 1), 0);
	for (round = 0; round < 1000; round++) {
		flood(e, 0);
		fp_core_poll(&e.core(0), e.now);
		fp_core_poll(&e.core(1), e.now);
		while (fp_event_next(e.fp, &ev))
			;
		if (fp_move_poll(e.fp) == FP_MOVES_NONE)
			break;
		e.now += 10000;
		if (round != 10)
			continue;
		for (int i = 0; i < 2000; i++) /* more than it may hold */
			for (auto &fr : moving->to_engine)
				mem_nic_put(e.port, 1, fr.bytes.data(), (uint32_t)fr.bytes.size(),
					fr.gso_size, 0);
		other->deliver();
	}
	EXPECT_EQ(fp_move_poll(e.fp), FP_MOVES_NONE);
	EXPECT_GT(round, e.port->caps.rx_depth / NIC_BURST / 2);
	e.run();
	EXPECT_GT(e.fp->cold[other->id].tcp.bytes_in, 0u);
}

/* The old and the new owner look at as much of a group's part of the table as its flows need. */
class Part : public testing::Test
{
      protected:
	Engine e{2, true, 1u << 20};
	Program p{e, 1};
	std::unique_ptr<Conn> c = conn_of_core(e, 0, 1);
	uint32_t g = fp_group_of(e.fp, &c->init.tuple);
	char *begin = (char *)&e.fp->table.buckets[(uint64_t)g * e.fp->table.part];
	char *end = begin + e.fp->table.part * sizeof(fp_bucket);

	/* From then on who touches it dies. */
	void forbid(char *from)
	{
		from = (char *)(((uintptr_t)from + 4095) & ~(uintptr_t)4095);
		ASSERT_LT(from, end);
		ASSERT_EQ(mprotect(from, (size_t)(end - from), PROT_NONE), 0);
	}
	void move()
	{
		uint64_t set[2] = {0, 0};

		set[g / 64] = 1ull << (g % 64);
		ASSERT_EQ(fp_move_start(e.fp, set, 0, 1), 0);
		for (int i = 0; i < 20 && fp_move_poll(e.fp) != FP_MOVES_NONE; i++)
			e.run();
		EXPECT_EQ(fp_move_poll(e.fp), FP_MOVES_NONE);
		EXPECT_EQ(fp_group_core(e.fp, g), 1u);
	}
	void TearDown() override
	{
		mprotect(begin, (size_t)(end - begin), PROT_READ | PROT_WRITE);
	}
};

TEST_F(Part, GroupWithoutFlows_NotTouched)
{
	EXPECT_EQ(fp_group_cost(e.fp, g), 0u);
	forbid(begin);
	move();
}

TEST_F(Part, BehindTheLastFlow_NotTouched)
{
	char *last = begin;

	c->install_in(p, 1);
	e.run();
	EXPECT_GT(fp_group_cost(e.fp, g), 0u);
	for (auto *b = (fp_bucket *)begin; (char *)b < end; b++)
		for (uint32_t id : b->flow)
			if (id != FP_FLOW_NONE)
				last = (char *)(b + 1);
	forbid(last);
	move();
	EXPECT_EQ(c->f().core, 1u);
}

} // namespace
