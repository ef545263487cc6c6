/*
 * Connections that several programs hold (slowpath/conn/share.c): who holds what after FORK, CLAIM,
 * RELEASE and death, and what the cores are asked to do.
 */
#include <algorithm>
#include <cerrno>
#include <map>
#include <random>
#include <set>
#include "sp_peer.h"
extern "C" {
#include "cmd.h"
#include "conn/share.h"
}

namespace
{

class Share : public SlowPath
{
      protected:
	struct sp_app *a = nullptr;
	uint16_t next_port = 40000;

	void SetUp() override
	{
		start();
		a = program();
		learn_peer();
		ASSERT_NE(listener(a, 80), nullptr);
		fake_forget();
	}
	uint32_t &slot_flow(struct sp_app *app, uint32_t i)
	{
		return fp_app(sp->fp, app->id)->slot_flow[i];
	}
	/* A connection in a slot of `app`. */
	struct sp_conn *conn(struct sp_app *app, uint32_t slot)
	{
		struct sp_conn *c = connect_peer(next_port++, 80);

		EXPECT_NE(c, nullptr);
		put(c, app, slot);
		return c;
	}
	void put(struct sp_conn *c, struct sp_app *app, uint32_t slot)
	{
		slot_flow(app, slot) = c->id;
		taken(c, app, slot);
	}
	struct sp_app *forked(struct sp_app *parent)
	{
		struct sp_app *child = program();

		EXPECT_EQ(sp_share_fork(sp, parent, child), 0);
		return child;
	}
	void leave(struct sp_app *app)
	{
		uint32_t id = app->id;

		sp_app_leave(sp, app, "test");
		gone(id);
		EXPECT_EQ(sp_app_get(sp, id), nullptr);
	}
	size_t finished()
	{
		return messages(SP_FLOW_FINISH).size();
	}
	uint32_t records()
	{
		return sp_arena_used(&sp->conns.shares);
	}
	/* The flows have changed hands. */
	void over()
	{
		fake_moves = FP_MOVES_SETTLING;
		fake_swapped = 1;
		sp_round(sp);
	}
};

/* ---- while groups change cores ---- */

/* What is asked of a shared connection follows it. */
TEST_F(Share, GroupsChangeHands_ParkAndFinishFollow)
{
	struct sp_conn *c = conn(a, 3);
	uint32_t old = fp_core_of(sp->fp, &c->tuple);
	struct sp_app *b = forked(a);

	fake_forget();
	sp_flow_pause(sp);
	fake_moves = FP_MOVES_HANDING;
	EXPECT_EQ(sp_share_release(sp, c, a), 1);
	EXPECT_EQ(sp_share_release(sp, c, b), 0);
	EXPECT_EQ(fake_nmsgs, 0u);
	over();
	ASSERT_EQ(fake_nmsgs, 2u);
	EXPECT_EQ(fake_msgs[0].m.type, SP_FLOW_MOVE);
	EXPECT_EQ(fake_msgs[1].m.type, SP_FLOW_FINISH);
	EXPECT_EQ(fake_msgs[0].core, 1 - old);
	EXPECT_EQ(fake_msgs[1].core, 1 - old);
}

/* Of one that ends meanwhile there is nothing to ask. */
TEST_F(Share, GroupsChangeHands_FlowEnds_NothingSent)
{
	struct sp_conn *c = conn(a, 3);

	forked(a);
	fake_forget();
	sp_flow_pause(sp);
	fake_moves = FP_MOVES_HANDING;
	EXPECT_EQ(sp_share_release(sp, c, a), 1);
	closed(c, FP_CLOSE_RESET);
	over();
	EXPECT_EQ(fake_nmsgs, 0u);
	EXPECT_FALSE(sp_flow_backlogged(sp));
}

/* A program leaves: what others hold is out of its slot before the core hears that it has ended. */
TEST_F(Share, GroupsChangeHands_ParkStaysBeforeTheProgramsEnd)
{
	struct sp_conn *c = conn(a, 3);
	uint32_t old = fp_core_of(sp->fp, &c->tuple);
	std::vector<uint32_t> order;

	forked(a);
	fake_forget();
	sp_flow_pause(sp);
	fake_moves = FP_MOVES_HANDING;
	sp_app_leave(sp, a, "test");
	over();
	for (uint32_t i = 0; i < fake_nmsgs; i++) {
		if (fake_msgs[i].core == 1 - old)
			order.push_back(fake_msgs[i].m.type);
	}
	EXPECT_EQ(order, (std::vector<uint32_t>{SP_FLOW_MOVE, SP_APP_DEL}));
	EXPECT_EQ(messages(SP_APP_DEL).size(), 2u);
}

/* No memory to hand out what was held: it stays, and what is sent later stays behind it. */
TEST_F(Share, GroupsChangeHands_NoMemory_OrderStays)
{
	struct sp_conn *c = conn(a, 3), *d = conn(a, 4);
	struct sp_app *b = forked(a);

	fake_forget();
	sp_flow_pause(sp);
	fake_moves = FP_MOVES_HANDING;
	EXPECT_EQ(sp_share_release(sp, c, a), 1);
	fake_moves = FP_MOVES_SETTLING;
	fake_swapped = 1;
	fake_ring_room = 0;
	fp_alloc_fail(1);
	EXPECT_FALSE(sp_flow_paused(sp));
	EXPECT_GT(fp_alloc_fail(0), 0u);
	EXPECT_TRUE(sp_flow_backlogged(sp));
	fake_ring_room = UINT32_MAX;
	EXPECT_EQ(sp_share_claim(sp, d, b, 5), -EAGAIN);
	EXPECT_EQ(sp_share_release(sp, c, b), 0);
	EXPECT_EQ(fake_nmsgs, 0u);
	sp_round(sp);
	ASSERT_EQ(fake_nmsgs, 2u);
	EXPECT_EQ(fake_msgs[0].m.type, SP_FLOW_MOVE);
	EXPECT_EQ(fake_msgs[1].m.type, SP_FLOW_FINISH);
	EXPECT_FALSE(sp_flow_backlogged(sp));
}

/* A claim waits until it is known whom to ask. */
TEST_F(Share, GroupsChangeHands_ClaimWaits)
{
	struct sp_conn *c = conn(a, 3);
	struct sp_app *b = forked(a);
	fake_forget();
	sp_flow_pause(sp);
	fake_moves = FP_MOVES_HANDING;
	EXPECT_EQ(sp_share_claim(sp, c, b, 5), -EAGAIN);
	EXPECT_EQ(fake_nmsgs, 0u) << "the old owner may have given the flow away";
	over();
	EXPECT_EQ(sp_share_claim(sp, c, b, 5), 0);
	ASSERT_EQ(fake_nmsgs, 1u);
	EXPECT_EQ(fake_msgs[0].core, fp_core_of(sp->fp, &c->tuple));
}

TEST_F(Share, Fork_BothHold)
{
	struct sp_conn *c = conn(a, 3);
	struct sp_app *b = forked(a);

	EXPECT_EQ(records(), 1u);
	EXPECT_EQ(a->nshared, 1u);
	EXPECT_EQ(b->nshared, 1u);
	fake_forget();
	EXPECT_EQ(sp_share_claim(sp, c, b, 7), 0);
	auto m = messages(SP_FLOW_MOVE);
	ASSERT_EQ(m.size(), 1u);
	EXPECT_EQ(m[0].id, c->id);
	EXPECT_EQ(m[0].gen, c->gen);
	EXPECT_EQ(m[0].u.grant.app, b->id);
	EXPECT_EQ(m[0].u.grant.slot, 7u);
	EXPECT_EQ(m[0].u.grant.from, (uint32_t)FP_APP_NONE);
	EXPECT_EQ(sp->cnt.conn_moved, 1u);
	closed(c, FP_CLOSE_DONE);
	EXPECT_EQ(records(), 0u);
	EXPECT_EQ(a->nshared + b->nshared, 0u);
}

TEST_F(Share, Claim_NotAHolder_Refused)
{
	struct sp_conn *c = conn(a, 3);
	struct sp_app *stranger = program();

	EXPECT_EQ(sp_share_claim(sp, c, a, 4), -ENOENT) << "nobody else holds it";
	struct sp_app *b = forked(a);
	fake_forget();
	EXPECT_EQ(sp_share_claim(sp, c, stranger, 1), -ENOENT);
	EXPECT_EQ(sp_share_release(sp, c, b), 1);
	EXPECT_EQ(sp_share_claim(sp, c, b, 1), -ENOENT) << "it has let go";
	for (const auto &m : messages(SP_FLOW_MOVE))
		EXPECT_EQ(m.u.grant.app, (uint32_t)FP_APP_NONE);
	EXPECT_EQ(sp->cnt.conn_moved, 0u);
}

/* What the program names is checked before anything is asked of a core. */
TEST_F(Share, ClaimCommand_WrongGenerationOrSlot_Refused)
{
	struct sp_conn *c = conn(a, 3);
	struct sp_app *b = forked(a);
	struct sp_request rq = {};
	struct sp_reply rp = {};

	rq.app = b;
	rq.m.id = c->id;
	rq.m.aux = c->gen + 1;
	rq.m.slot = 1;
	EXPECT_EQ(sp_cmd_claim(sp, &rq, &rp), -ENOENT);
	rq.m.aux = c->gen;
	rq.m.slot = fp_app(sp->fp, b->id)->nslots;
	EXPECT_EQ(sp_cmd_claim(sp, &rq, &rp), -EINVAL);
	rq.m.slot--;
	EXPECT_EQ(sp_cmd_claim(sp, &rq, &rp), 0);
	rq.m.id = UINT32_MAX;
	EXPECT_EQ(sp_cmd_claim(sp, &rq, &rp), -ENOENT);
}

TEST_F(Share, Claim_RingFull_Again)
{
	struct sp_conn *c = conn(a, 3);
	struct sp_app *b = forked(a);

	fake_ring_room = 0;
	EXPECT_EQ(sp_share_claim(sp, c, b, 1), -EAGAIN);
	EXPECT_EQ(sp->cnt.conn_moved, 0u);
	fake_ring_room = UINT32_MAX;
	EXPECT_EQ(sp_share_claim(sp, c, b, 1), 0);
}

/* Three holders let go or die, in every order: the last one ends the connection, and nobody before. */
TEST_F(Share, LastHolder_InEveryOrder)
{
	for (uint32_t deaths = 0; deaths < 8; deaths++) {
		std::vector<int> order = {0, 1, 2};

		do {
			struct sp_app *h[3];

			h[0] = program();
			struct sp_conn *c = conn(h[0], 3);
			h[1] = forked(h[0]);
			h[2] = forked(h[1]);
			ASSERT_EQ(records(), 1u);
			fake_forget();
			for (int i = 0; i < 3; i++) {
				struct sp_app *who = h[order[i]];
				uint32_t id = who->id;

				EXPECT_EQ(finished(), 0u);
				EXPECT_EQ(who->nshared, 1u);
				if ((deaths >> order[i]) & 1) {
					leave(who);
				} else {
					EXPECT_EQ(sp_share_release(sp, c, who), i < 2);
					EXPECT_EQ(sp_share_release(sp, c, who), 0) << "again";
				}
				/* Out of its slot, should it be there; granted to nobody. */
				if (i < 2) {
					auto m = messages(SP_FLOW_MOVE);
					ASSERT_EQ(m.size(), (size_t)i + 1);
					EXPECT_EQ(m.back().u.grant.app, (uint32_t)FP_APP_NONE);
					EXPECT_EQ(m.back().u.grant.from, id);
				}
			}
			EXPECT_EQ(finished(), 1u);
			EXPECT_EQ(records(), 0u);
			closed(c, FP_CLOSE_ABORTED);
			for (int i = 0; i < 3; i++)
				if (!((deaths >> i) & 1))
					leave(h[i]);
			fake_forget();
		} while (std::next_permutation(order.begin(), order.end()));
	}
}

/*
 * The core takes a moment to move the flow out of the slot of who let go: a fork within it gives
 * nothing back.
 */
TEST_F(Share, ForkRightAfterRelease_DoesNotHoldAgain)
{
	struct sp_conn *c = conn(a, 3);
	struct sp_app *b = forked(a);

	EXPECT_EQ(sp_share_release(sp, c, a), 1);
	EXPECT_EQ(slot_flow(a, 3), c->id) << "not parked yet";
	struct sp_app *later = forked(a);
	EXPECT_EQ(a->nshared, 0u);
	EXPECT_EQ(later->nshared, 0u);
	fake_forget();
	EXPECT_EQ(sp_share_release(sp, c, b), 0) << "the last one";
	EXPECT_EQ(finished(), 1u);
	EXPECT_EQ(records(), 0u);
}

TEST_F(Share, ForkFailed_ChildHoldsNothing)
{
	struct sp_conn *c = conn(a, 3);
	struct sp_request rq = {};
	struct sp_reply rp = {};

	rq.app = a;
	rq.m.flags = TAS_FORK_CONNS;
	ASSERT_EQ(sp_cmd_fork(sp, &rq, &rp), 0);
	struct sp_app *child = sp_app_get(sp, rp.m.id);
	ASSERT_NE(child, nullptr);
	EXPECT_EQ(child->nshared, 1u);
	memcpy(rq.m.token, rp.m.token, sizeof(rq.m.token));
	fake_forget();
	EXPECT_EQ(sp_cmd_unfork(sp, &rq, &rp), 0);
	EXPECT_EQ(finished(), 0u);
	EXPECT_EQ(sp_share_release(sp, c, a), 0);
	EXPECT_EQ(records(), 0u);
}

/* What the parent is told that its child has closed before it came. */
TEST_F(Share, ReleaseForAChildThatHasNotCome)
{
	struct sp_conn *c = conn(a, 3);
	struct sp_request rq = {}, other = {};
	struct sp_reply rp = {};

	rq.app = a;
	rq.m.flags = TAS_FORK_CONNS;
	ASSERT_EQ(sp_cmd_fork(sp, &rq, &rp), 0);
	struct sp_app *child = sp_app_get(sp, rp.m.id);
	memcpy(rq.m.token, rp.m.token, sizeof(rq.m.token));
	rq.m.id = c->id;
	rq.m.aux = c->gen;
	other = rq;
	other.app = program();
	EXPECT_EQ(sp_cmd_release(sp, &other, &rp), -ENOENT) << "somebody else's child";
	EXPECT_EQ(child->nshared, 1u);
	EXPECT_EQ(sp_cmd_release(sp, &rq, &rp), 1);
	EXPECT_EQ(child->nshared, 0u);
	EXPECT_EQ(a->nshared, 1u);
}

/* As many records as connections: when there is no more, fork() fails and nobody holds too much. */
TEST_F(Share, NoRecord_ForkFails)
{
	struct sp_conn *c = conn(a, 3);
	struct sp_app *child = program();
	std::vector<uint32_t> all;

	while (uint32_t id = sp_arena_alloc(&sp->conns.shares))
		all.push_back(id);
	EXPECT_EQ(sp_share_fork(sp, a, child), -ENOMEM);
	EXPECT_EQ(a->nshared + child->nshared, 0u);
	EXPECT_EQ(c->share, 0u);
	for (uint32_t id : all)
		sp_arena_free(&sp->conns.shares, id);
}

/* Some of its connections could be shared: then none is, and who held one before holds it still. */
TEST_F(Share, TooFewRecords_NothingChanges)
{
	struct sp_conn *held = conn(a, 3), *c = conn(a, 4), *d = conn(a, 5);
	struct sp_app *b = program(), *child = program();
	std::vector<uint32_t> all;

	slot_flow(a, 4) = slot_flow(a, 5) = FP_FLOW_NONE;
	ASSERT_EQ(sp_share_fork(sp, a, b), 0);
	slot_flow(a, 4) = c->id;
	slot_flow(a, 5) = d->id;
	while (uint32_t id = sp_arena_alloc(&sp->conns.shares))
		all.push_back(id);
	sp_arena_free(&sp->conns.shares, all.back());
	all.pop_back();
	EXPECT_EQ(sp_share_fork(sp, a, child), -ENOMEM);
	EXPECT_EQ(a->nshared, 1u);
	EXPECT_EQ(b->nshared, 1u);
	EXPECT_EQ(child->nshared, 0u);
	EXPECT_NE(held->share, 0u);
	EXPECT_EQ(c->share, 0u);
	EXPECT_EQ(d->share, 0u);
	EXPECT_EQ(records(), all.size() + 1);
	for (uint32_t id : all)
		sp_arena_free(&sp->conns.shares, id);
	EXPECT_EQ(sp_share_fork(sp, a, child), 0);
	EXPECT_EQ(a->nshared, 3u);
	EXPECT_EQ(b->nshared, 1u);
	EXPECT_EQ(child->nshared, 3u);
}

/* ---- what two cores say of a connection that moved between them, in either order ---- */

TEST_F(Share, TakenBeforeParked_CountsStayRight)
{
	struct sp_conn *c = conn(a, 3);
	struct sp_app *b = forked(a);

	ASSERT_EQ(a->nconns, 1u);
	taken(c, b, 7);
	parked(c, a, 3);
	EXPECT_EQ(a->nconns, 0u);
	EXPECT_EQ(b->nconns, 1u);
	EXPECT_EQ(c->app, b->id);
	/* from one slot of its own to another */
	taken(c, b, 8);
	parked(c, b, 7);
	EXPECT_EQ(b->nconns, 1u);
	EXPECT_EQ(c->slot, 8u);
	closed(c, FP_CLOSE_DONE);
	EXPECT_EQ(a->nconns + b->nconns, 0u);
}

TEST_F(Share, ParkedBeforeTaken_CountsStayRight)
{
	struct sp_conn *c = conn(a, 3);
	struct sp_app *b = forked(a);

	parked(c, a, 3);
	parked(c, b, 7);
	taken(c, b, 7);
	EXPECT_EQ(a->nconns, 0u);
	EXPECT_EQ(b->nconns, 0u);
	EXPECT_EQ(c->app, (uint32_t)FP_APP_NONE);
	taken(c, b, 7);
	EXPECT_EQ(b->nconns, 1u) << "the next one counts";
	parked(c, a, 5);
	parked(c, b, 7);
	EXPECT_EQ(b->nconns, 0u);
	taken(c, a, 5);
	EXPECT_EQ(a->nconns, 0u);
	closed(c, FP_CLOSE_DONE);
	EXPECT_EQ(a->nconns + b->nconns, 0u);
}

/* ---- at random, against a naive model ---- */

class ShareRandom : public Share
{
      protected:
	struct Model {
		struct sp_conn *c;
		bool shared = false, finished = false;
		std::set<uint32_t> holders;
		uint32_t app, slot; /* where the cores have it */
		uint32_t to = 0, to_slot = 0;
	};
	std::mt19937 rnd{4711};
	std::map<uint32_t, Model> conns; /* by id */
	std::vector<struct sp_app *> apps;
	uint32_t seen = 0, slots = 0, moved = 0, parked = 0, taken_n = 0, ended = 0;

	uint32_t some(size_t n)
	{
		return rnd() % (uint32_t)n;
	}
	struct sp_app *app()
	{
		return apps[some(apps.size())];
	}
	Model &model()
	{
		return std::next(conns.begin(), some(conns.size()))->second;
	}
	void out_of_slot(Model &m)
	{
		struct fp_event ev = {};

		if (m.app == 0)
			return;
		ev.type = FP_EV_PARKED;
		ev.id = ev.conn = m.c->id;
		ev.gen = m.c->gen;
		ev.u.taken.app = m.app;
		ev.u.taken.slot = m.slot;
		fp_app(sp->fp, m.app)->slot_flow[m.slot] = FP_FLOW_NONE;
		fake_event(&ev);
		m.app = 0;
		parked++;
	}
	void end(uint32_t id)
	{
		Model &m = conns.at(id);

		if (m.app != 0 && sp_app_get(sp, m.app) != nullptr)
			fp_app(sp->fp, m.app)->slot_flow[m.slot] = FP_FLOW_NONE;
		closed(m.c, FP_CLOSE_ABORTED);
		conns.erase(id);
		ended++;
	}
	/* What park.c does with them. */
	void message(const struct sp_msg &x)
	{
		auto it = conns.find(x.id);

		if (x.type != SP_FLOW_MOVE && x.type != SP_FLOW_FINISH)
			return;
		ASSERT_NE(it, conns.end());
		Model &m = it->second;
		if (x.type == SP_FLOW_FINISH) {
			EXPECT_TRUE(m.holders.empty());
			m.finished = true;
			if (m.app == 0)
				end(x.id);
			return;
		}
		if (x.u.grant.from != 0 && m.app != x.u.grant.from && m.to != x.u.grant.from)
			return;
		m.to = 0;
		out_of_slot(m);
		m.to = x.u.grant.app;
		m.to_slot = x.u.grant.slot;
	}
	/* The cores do as they were asked to, some later than others. */
	void cores()
	{
		for (; seen < fake_nmsgs; seen++)
			message(fake_msgs[seen].m);
		fake_forget();
		seen = 0;
		sp_round(sp);
	}
	void fork_one()
	{
		if (apps.size() >= 12)
			return;
		struct sp_app *p = app();
		struct sp_app *child = forked(p);

		for (auto &[id, m] : conns) {
			if (!m.holders.count(p->id))
				continue;
			m.shared = true;
			m.holders.insert(child->id);
		}
		apps.push_back(child);
	}
	void take_granted(Model &m)
	{
		if (m.to == 0 || m.app != 0)
			return;
		struct sp_app *to = sp_app_get(sp, m.to);

		ASSERT_NE(to, nullptr) << "a grant outlived its program";
		m.app = m.to;
		m.slot = m.to_slot;
		m.to = 0;
		put(m.c, to, m.slot);
		taken_n++;
	}
	void claim_one(Model &m)
	{
		struct sp_app *who = app();
		bool may = m.shared && m.holders.count(who->id);

		EXPECT_EQ(sp_share_claim(sp, m.c, who, ++slots % 1000), may ? 0 : -ENOENT);
		moved += may;
	}
	void release_one(Model &m)
	{
		struct sp_app *who = app();
		uint32_t id = m.c->id;

		if (!m.shared || !m.holders.count(who->id)) {
			EXPECT_EQ(sp_share_release(sp, m.c, who), 0);
			return;
		}
		m.holders.erase(who->id);
		EXPECT_EQ(sp_share_release(sp, m.c, who), !m.holders.empty());
		if (m.holders.empty())
			m.shared = false;
		if (m.holders.empty() && m.app == who->id) { /* its slot says so */
			cores();
			if (conns.count(id))
				end(id);
		}
	}
	void die(size_t i)
	{
		struct sp_app *who = apps[i];
		uint32_t id = who->id;
		std::vector<uint32_t> alone;

		apps.erase(apps.begin() + (long)i);
		for (auto &[cid, m] : conns) {
			m.holders.erase(id);
			m.shared = m.shared && !m.holders.empty();
		}
		sp_app_leave(sp, who, "test");
		cores();
		for (auto &[cid, m] : conns)
			if (m.app == id)
				alone.push_back(cid);
		for (uint32_t cid : alone) {
			EXPECT_TRUE(conns.at(cid).holders.empty())
				<< "reset although others hold it";
			end(cid);
		}
		gone(id);
	}
	void check()
	{
		std::map<uint32_t, uint32_t> nshared;
		uint32_t shared = 0;

		for (auto &[id, m] : conns) {
			shared += m.shared;
			EXPECT_EQ(m.c->share != 0, m.shared);
			auto *s = (struct sp_share *)sp_arena_at(&sp->conns.shares, m.c->share);
			for (struct sp_app *p : apps) {
				bool bit = s && (s->holders[p->id / 64] >> (p->id % 64) & 1);

				EXPECT_EQ(bit, m.shared && m.holders.count(p->id))
					<< "program " << p->id;
				nshared[p->id] += bit;
			}
		}
		EXPECT_EQ(records(), shared);
		for (struct sp_app *p : apps)
			EXPECT_EQ(p->nshared, nshared[p->id]);
	}
};

TEST_F(ShareRandom, AsTheModel)
{
	apps.push_back(a);
	for (int step = 0; step < 20000 && !HasFailure(); step++) {
		uint32_t what = some(12);

		if (what == 0 && conns.size() < 40) {
			struct sp_app *p = app();
			struct sp_conn *c = conn(p, ++slots % 1000);
			ASSERT_NE(c, nullptr);
			Model m;
			m.c = c;
			m.app = p->id;
			m.slot = slots % 1000;
			m.holders.insert(p->id);
			conns[c->id] = m;
		} else if (what == 1) {
			fork_one();
		} else if (what == 2 && apps.size() > 3) {
			die(1 + some(apps.size() - 1)); /* the first one has the listener */
		} else if (conns.empty()) {
			continue;
		} else if (what < 6) {
			claim_one(model());
		} else if (what < 8) {
			release_one(model());
		} else if (what < 10) {
			take_granted(model());
		} else {
			cores();
		}
		check();
	}
	EXPECT_GT(moved, 100u);
	EXPECT_GT(parked, 100u);
	EXPECT_GT(taken_n, 100u);
	EXPECT_GT(ended, 100u);
	while (apps.size() > 1)
		die(1);
	cores();
	while (!conns.empty())
		end(conns.begin()->first);
	EXPECT_EQ(records(), 0u);
	EXPECT_EQ(a->nshared, 0u);
}

} /* namespace */
