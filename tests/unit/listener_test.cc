/*
 * Listeners: lookup, accept queue, holders, wake-ups, hostile segments.
 */
#include <cerrno>
#include <map>
#include <random>
#include <set>
#include <sys/mman.h>
#include "sp_peer.h"

namespace
{

class Listener : public SlowPath
{
      protected:
	struct sp_app *app = nullptr;

	void SetUp() override
	{
		start();
		app = program();
		fake_forget();
	}
	/* A holder takes the entry, as libtas does. */
	static bool claim(struct sp_listener *l, uint32_t entry, uint32_t who)
	{
		uint64_t w = tas_load(&l->seg->queue[entry].word);

		if (TAS_ACCEPT_KIND(w) != TAS_ACCEPT_QUEUED)
			return false;
		return tas_cas(&l->seg->queue[entry].word, &w,
			TAS_ACCEPT_WORD(TAS_ACCEPT_TAKEN, who, (uint32_t)w));
	}
	static uint32_t queued(struct sp_listener *l)
	{
		uint32_t n = 0;

		for (uint32_t i = 0; i < l->entries; i++)
			n += TAS_ACCEPT_KIND(l->seg->queue[i].word) == TAS_ACCEPT_QUEUED;
		return n;
	}
	void arm(struct sp_listener *l, struct sp_app *who, uint32_t how, uint32_t evq, uint32_t s)
	{
		for (auto &h : l->seg->holders) {
			if (h.app != who->id)
				continue;
			h.armed = how;
			h.evq = evq;
			h.slot = s;
			return;
		}
		FAIL() << "not a holder";
	}
	uint32_t &sleeping(struct sp_app *who, uint32_t evq)
	{
		struct fp_app *fa = fp_app(sp->fp, who->id);

		return tas_region_bell(fa->region, fa->off_evqs, fa->bell_bytes, evq)->sleeping;
	}
};

/* A place of a segment that faults when it is touched, as a punched page of a hugetlbfs does. */
void punch(void *seg)
{
	int fd = fp_memfd("nothing", 0, 0);

	ASSERT_GE(fd, 0);
	ASSERT_EQ(mmap(seg, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0), seg);
	close(fd);
}

/* A core may touch the hole of one listener while the slow path frees the record of another. */
TEST_F(Listener, HoleInASegment_FilledWhileRecordsAreBeingFreed)
{
	struct sp_listener *l = listener(app, 80), *other = listener(app, 81);
	volatile uint32_t *magic = &l->seg->magic;
	auto freed = (struct sp_listener *)(uintptr_t)8;

	ASSERT_NE(other, nullptr);
	EXPECT_EXIT(
		{
			sp_sigbus_init(sp);
			for (auto &record : sp->listeners.table)
				record = freed;
			punch(l->seg);
			_exit(*magic == 0 ? 0 : 1);
		},
		testing::ExitedWithCode(0), "");
}

/* Nor is a segment forgotten before its last use, or kept for an address that means something else by now. */
TEST_F(Listener, HoleInASegment_KnownAsLongAsItIsThere)
{
	struct sp_listener *l = listener(app, 80);
	struct tas_listen *seg = l->seg;

	EXPECT_TRUE(sp_listener_has(sp, seg));
	EXPECT_TRUE(sp_listener_has(sp, (char *)(seg + 1) - 1));
	EXPECT_FALSE(sp_listener_has(sp, (char *)seg - 1));
	EXPECT_FALSE(sp_listener_has(sp, seg + 1));
	sp_listener_leave(sp, l, app);
	EXPECT_FALSE(sp_listener_has(sp, seg));
}

TEST_F(Listener, Established_EntryDescribesTheFlow)
{
	struct sp_listener *l = listener(app, 80);
	struct sp_conn *c = connect_peer(40001, 80);
	ASSERT_NE(c, nullptr);
	const struct tas_accept &a = l->seg->queue[c->accept_entry];
	auto in = messages(SP_FLOW_INSTALL);
	ASSERT_EQ(in.size(), 1u);
	EXPECT_EQ(a.word, TAS_ACCEPT_WORD(TAS_ACCEPT_QUEUED, 0, in[0].u.install.accept_ticket));
	EXPECT_EQ(in[0].u.install.listener, l->id);
	EXPECT_EQ(in[0].u.install.accept_entry, c->accept_entry);
	EXPECT_EQ(a.flow, in[0].id);
	EXPECT_EQ(a.gen, in[0].gen);
	EXPECT_EQ(a.core, 1u); /* of port 40001 in the fake */
	EXPECT_EQ(ntohs(a.rport), 40001);
	EXPECT_EQ(ntohs(a.lport), 80);
	EXPECT_EQ(l->seg->tail, 1u);
}

TEST_F(Listener, Taken_EntryIsFreeAndConnectionIsTheProgram)
{
	struct sp_listener *l = listener(app, 80);
	struct sp_conn *c = connect_peer(40000, 80);
	ASSERT_TRUE(claim(l, c->accept_entry, app->id));
	taken(c, app, 9);
	EXPECT_EQ(l->seg->queue[0].word, 0u);
	EXPECT_EQ(l->nqueued, 0u);
	EXPECT_EQ(c->app, app->id);
	EXPECT_EQ(c->slot, 9u);
	EXPECT_EQ(app->nconns, 1u);
	EXPECT_EQ(l->accepted, 1u);
	closed(c, FP_CLOSE_DONE);
	EXPECT_EQ(app->nconns, 0u);
	EXPECT_EQ(sp_arena_used(&sp->conns.conns), 0u);
}

TEST_F(Listener, BacklogFull_AckIgnoredThenServedByRetransmission)
{
	struct sp_listener *l = listener(app, 80, 1); /* as Linux: backlog + 1 */
	receive(head(40000, 80, TCP_SYN, 5000)); /* three handshakes begin while there is room */
	uint32_t iss0 = sent().seq;
	receive(head(40001, 80, TCP_SYN, 5000));
	uint32_t iss1 = sent().seq;
	receive(head(40002, 80, TCP_SYN, 5000));
	uint32_t iss2 = sent().seq;
	receive(head(40000, 80, TCP_ACK, 5001, iss0 + 1));
	receive(head(40001, 80, TCP_ACK, 5001, iss1 + 1));
	EXPECT_EQ(queued(l), 2u);
	receive(head(40002, 80, TCP_ACK, 5001, iss2 + 1));
	EXPECT_EQ(queued(l), 2u);
	EXPECT_EQ(sp->cnt.drop_backlog_full, 1u);
	fake_nframes = 0;
	receive(head(40003, 80, TCP_SYN, 5000)); /* and no new one begins */
	EXPECT_EQ(fake_nframes, 0u);
	EXPECT_EQ(sp->cnt.drop_backlog_full, 2u);
	EXPECT_EQ(l->dropped, 2u);

	ASSERT_TRUE(claim(l, 0, app->id));
	taken(sp_conn_get(sp, l->accept[0].conn), app, 1);
	fake_advance(sp, 1100 * 1000000ull);
	ASSERT_GE(fake_nframes, 1u);
	EXPECT_EQ(sent().flags, TCP_SYN | TCP_ACK);
	receive(head(40002, 80, TCP_ACK, 5001, iss2 + 1));
	EXPECT_EQ(queued(l), 2u);
}

TEST_F(Listener, ClosedBeforeAccept_EntryIsFree)
{
	struct sp_listener *l = listener(app, 80);
	struct sp_conn *c = connect_peer(40000, 80);
	closed(c, FP_CLOSE_RESET);
	EXPECT_EQ(l->seg->queue[0].word, 0u);
	EXPECT_EQ(l->nqueued, 0u);
}

TEST_F(Listener, Queue_ManyTurnsInAnyOrder_EveryConnectionOnce)
{
	struct sp_listener *l = listener(app, 80, 20);
	std::mt19937 rnd(7);
	std::vector<uint32_t> waiting; /* connection ids */
	uint32_t done = 0;

	for (int step = 0; step < 3000; step++) {
		uint16_t port = (uint16_t)(10000 + step);
		if (rnd() % 2 == 0 && waiting.size() <= 20) {
			struct sp_conn *c = connect_peer(port, 80);
			ASSERT_NE(c, nullptr);
			ASSERT_EQ(c->state, SP_CONN_OPEN);
			waiting.push_back(c->id);
			fake_forget();
		} else if (!waiting.empty()) {
			size_t i = rnd() % waiting.size();
			struct sp_conn *c = sp_conn_get(sp, waiting[i]);
			const struct tas_accept &a = l->seg->queue[c->accept_entry];
			ASSERT_EQ(a.flow, c->id);
			ASSERT_EQ((uint32_t)a.word, c->accept_ticket);
			ASSERT_TRUE(claim(l, c->accept_entry, app->id));
			taken(c, app, 1);
			closed(c, FP_CLOSE_DONE);
			waiting.erase(waiting.begin() + (long)i);
			done++;
		}
		ASSERT_EQ(l->nqueued, waiting.size());
		ASSERT_EQ(queued(l), waiting.size());
		fake_advance(sp, 100000);
	}
	EXPECT_GT(done, 1000u);
}

TEST_F(Listener, CoresRingFull_EntryShownOnlyWhenTheCoreCanKnow)
{
	struct sp_listener *l = listener(app, 80);
	arm(l, app, TAS_ARM_ALL, 0, 5);
	fake_ring_room = 0;
	struct sp_conn *c = connect_peer(40000, 80);
	ASSERT_EQ(c->state, SP_CONN_OPEN);
	EXPECT_EQ(queued(l), 0u);
	EXPECT_EQ(l->nqueued, 1u);
	EXPECT_EQ(fake_nrings, 0u);
	fake_advance(sp, 20 * FAKE_SECOND); /* not taken for a forgotten claim either */
	struct sp_app *b = program();
	sp_listener_hold(sp, l, b);
	sp_listener_leave(sp, l, b);
	EXPECT_EQ(queued(l), 0u);
	fake_ring_room = UINT32_MAX;
	sp_round(sp);
	EXPECT_EQ(queued(l), 1u);
	EXPECT_EQ(fake_nrings, 1u);
}

TEST_F(Listener, ClaimedAndForgotten_OfferedAgainAfterAWhile)
{
	struct sp_listener *l = listener(app, 80);
	struct sp_conn *c = connect_peer(40000, 80);
	ASSERT_TRUE(claim(l, c->accept_entry, app->id));
	arm(l, app, TAS_ARM_EXCLUSIVE, 0, 5);
	fake_forget();
	fake_advance(sp, 4 * FAKE_SECOND);
	EXPECT_EQ(queued(l), 0u);
	fake_advance(sp, 4 * FAKE_SECOND);
	EXPECT_EQ(queued(l), 1u);
	EXPECT_EQ(fake_nrings, 1u);
	ASSERT_TRUE(claim(l, c->accept_entry, app->id));
	fake_advance(sp, 4 * FAKE_SECOND);
	EXPECT_EQ(queued(l), 0u); /* the time counts anew */
	taken(c, app, 3);
	EXPECT_EQ(l->nqueued, 0u);
}

/* ---- lookup ---- */

TEST_F(Listener, ExactAddress_BeforeWildcard)
{
	struct sp_listener *any = listener(app, 80, 8, 0, true), *exact = listener(app, 80);
	struct tas_tuple t = tuple(80, 4000), other = tuple(81, 4000);
	ASSERT_NE(any, nullptr);
	ASSERT_NE(exact, nullptr);
	EXPECT_EQ(sp_listener_match(sp, &t), exact);
	sp_listener_leave(sp, exact, app);
	EXPECT_EQ(sp_listener_match(sp, &t), any);
	EXPECT_EQ(sp_listener_match(sp, &other), nullptr);
}

TEST_F(Listener, SameAddress_NeedsReuseportOnBoth)
{
	ASSERT_NE(listener(app, 80), nullptr);
	EXPECT_EQ(listener(app, 80), nullptr);
	EXPECT_EQ(listener(app, 80, 8, 1), nullptr);
	ASSERT_NE(listener(app, 81, 8, 1), nullptr);
	EXPECT_NE(listener(app, 81, 8, 1), nullptr);
	EXPECT_EQ(listener(app, 81), nullptr);
}

TEST_F(Listener, Reuseport_SharedByTuple)
{
	std::map<struct sp_listener *, int> hits;
	for (int i = 0; i < 4; i++)
		hits[listener(app, 80, 8, 1)] = 0;
	ASSERT_EQ(hits.size(), 4u);
	for (uint16_t p = 1000; p < 5000; p++) {
		struct tas_tuple t = tuple(80, p);
		struct sp_listener *l = sp_listener_match(sp, &t);
		ASSERT_EQ(hits.count(l), 1u);
		hits[l]++;
		EXPECT_EQ(sp_listener_match(sp, &t), l);
	}
	for (auto &h : hits)
		EXPECT_GT(h.second, 800);
}

/* ---- half-open ---- */

TEST_F(Listener, HalfOpen_LimitOfListener_OldestGoes)
{
	fake_stop(sp);
	options = {"--tcp_syncookies=0"};
	start();
	app = program();
	struct sp_listener *l = listener(app, 80, 8);
	for (uint16_t i = 0; i < 200; i++)
		receive(head((uint16_t)(10000 + i), 80, TCP_SYN, 5000));
	EXPECT_EQ(l->nhalf, 128u);
	EXPECT_EQ(sp->cnt.drop_half_open, 72u);
	struct tas_tuple old = tuple(80, 10071), kept = tuple(80, 10072);
	EXPECT_EQ(sp_conn_find(sp, &old), nullptr);
	EXPECT_NE(sp_conn_find(sp, &kept), nullptr);
	/* a real client still gets in */
	EXPECT_NE(connect_peer(40000, 80), nullptr);
}

TEST_F(Listener, HalfOpen_LimitOfAll_OldestGoesWhosesoever)
{
	fake_stop(sp);
	options = {"--max_half_open=20", "--tcp_syncookies=0"};
	start();
	app = program();
	struct sp_listener *a = listener(app, 80), *b = listener(app, 81);
	for (uint16_t i = 0; i < 15; i++)
		receive(head((uint16_t)(10000 + i), 80, TCP_SYN, 5000));
	for (uint16_t i = 0; i < 15; i++)
		receive(head((uint16_t)(20000 + i), 81, TCP_SYN, 5000));
	EXPECT_EQ(sp->conns.nhalf, 20u);
	EXPECT_EQ(a->nhalf, 5u);
	EXPECT_EQ(b->nhalf, 15u);
}

TEST_F(Listener, ConnectionTableFull_SynDroppedAndCounted)
{
	fake_stop(sp);
	options = {"--max_flows=16"};
	start();
	app = program();
	ASSERT_NE(listener(app, 80, 100), nullptr);
	for (uint16_t i = 0; i < 16; i++)
		ASSERT_NE(connect_peer((uint16_t)(10000 + i), 80), nullptr);
	EXPECT_EQ(connect_peer(20000, 80), nullptr);
	EXPECT_EQ(sp->cnt.drop_no_conn_memory, 1u);
}

/* ---- holders and wakes ---- */

TEST_F(Listener, ArmedAll_EveryHolderIsRung)
{
	struct sp_app *b = program(), *c = program();
	struct sp_listener *l = listener(app, 80);
	sp_listener_hold(sp, l, b);
	sp_listener_hold(sp, l, c);
	arm(l, app, TAS_ARM_ALL, 1, 11);
	arm(l, b, TAS_ARM_ALL, 2, 22);
	fake_forget();
	connect_peer(40000, 80);
	ASSERT_EQ(fake_nrings, 2u);
	EXPECT_EQ(fake_rings[0].app, app->id);
	EXPECT_EQ(fake_rings[0].evq, 1u);
	EXPECT_EQ(fake_rings[0].slot, 11u);
	EXPECT_EQ(fake_rings[1].app, b->id);
}

TEST_F(Listener, ArmedExclusive_OneInTurnAndSleepersFirst)
{
	struct sp_app *b = program(), *c = program();
	struct sp_listener *l = listener(app, 80, 64);
	sp_listener_hold(sp, l, b);
	sp_listener_hold(sp, l, c);
	for (struct sp_app *a : {app, b, c})
		arm(l, a, TAS_ARM_EXCLUSIVE, 0, a->id);
	std::map<uint32_t, int> rung;
	for (uint16_t i = 0; i < 9; i++) {
		fake_forget();
		connect_peer((uint16_t)(40000 + i), 80);
		ASSERT_EQ(fake_nrings, 1u);
		rung[fake_rings[0].app]++;
	}
	EXPECT_EQ(rung[app->id], 3);
	EXPECT_EQ(rung[b->id], 3);
	EXPECT_EQ(rung[c->id], 3);
	sleeping(b, 0) = 1;
	for (uint16_t i = 0; i < 4; i++) {
		fake_forget();
		connect_peer((uint16_t)(41000 + i), 80);
		ASSERT_EQ(fake_nrings, 1u);
		EXPECT_EQ(fake_rings[0].app, b->id);
	}
}

TEST_F(Listener, ArmedOddly_NobodyIsRung)
{
	struct sp_listener *l = listener(app, 80, 64);
	struct fp_app *fa = fp_app(sp->fp, app->id);
	const struct {
		uint32_t how, evq, slot;
	} cases[] = {{7, 0, 0}, {TAS_ARM_ALL, fa->nevq, 0}, {TAS_ARM_ALL, 0, fa->nslots},
		{TAS_ARM_EXCLUSIVE, ~0u, 0}, {TAS_ARM_EXCLUSIVE, 0, ~0u}};
	uint16_t port = 40000;
	for (auto &k : cases) {
		arm(l, app, k.how, k.evq, k.slot);
		fake_forget();
		connect_peer(port++, 80);
		EXPECT_EQ(fake_nrings, 0u);
	}
}

TEST_F(Listener, Rewake_OnlyWhenSomethingWaits)
{
	struct sp_listener *l = listener(app, 80);
	arm(l, app, TAS_ARM_EXCLUSIVE, 0, 5);
	fake_forget();
	sp_accept_rewake(sp, l);
	EXPECT_EQ(fake_nrings, 0u);
	struct sp_conn *c = connect_peer(40000, 80);
	fake_forget();
	sp_accept_rewake(sp, l);
	EXPECT_EQ(fake_nrings, 1u);
	claim(l, c->accept_entry, app->id);
	fake_forget();
	sp_accept_rewake(sp, l);
	EXPECT_EQ(fake_nrings, 0u);
}

TEST_F(Listener, HolderDies_ItsClaimsAreOfferedAgain)
{
	struct sp_app *b = program();
	struct sp_listener *l = listener(app, 80);
	sp_listener_hold(sp, l, b);
	arm(l, b, TAS_ARM_EXCLUSIVE, 0, 3);
	struct sp_conn *one = connect_peer(40000, 80), *two = connect_peer(40001, 80),
		       *three = connect_peer(40002, 80);
	ASSERT_TRUE(claim(l, one->accept_entry, app->id));
	ASSERT_TRUE(claim(l, two->accept_entry, b->id));
	fake_forget();
	uint32_t id = app->id;
	sp_app_leave(sp, app, "test");
	EXPECT_EQ(l->seg->queue[one->accept_entry].word,
		TAS_ACCEPT_WORD(TAS_ACCEPT_QUEUED, 0, one->accept_ticket));
	EXPECT_EQ(TAS_ACCEPT_KIND(l->seg->queue[two->accept_entry].word), TAS_ACCEPT_TAKEN);
	EXPECT_EQ(TAS_ACCEPT_KIND(l->seg->queue[three->accept_entry].word), TAS_ACCEPT_QUEUED);
	EXPECT_GE(fake_nrings, 1u);
	for (uint32_t i = 0; i < fake_nrings; i++)
		EXPECT_EQ(fake_rings[i].app, b->id);
	EXPECT_GE(l->seg->tail - l->seg->head, l->entries); /* takers look at a whole turn again */
	EXPECT_EQ(messages(SP_APP_DEL).size(), 2u);
	EXPECT_TRUE(messages(SP_FLOW_ABORT).empty());
	gone(id);
	EXPECT_EQ(sp_app_get(sp, id), nullptr);
	EXPECT_EQ(l->nholders, 1u);
}

TEST_F(Listener, HolderDiesAfterTheCoreBoundIt_TakenStillCounts)
{
	struct sp_app *b = program();
	struct sp_listener *l = listener(app, 80);
	sp_listener_hold(sp, l, b);
	struct sp_conn *c = connect_peer(40000, 80);
	claim(l, c->accept_entry, app->id);
	sp_app_leave(sp, app, "test"); /* word is offered again; the core was faster */
	taken(c, app, 1);
	EXPECT_EQ(l->nqueued, 0u);
	EXPECT_EQ(l->seg->queue[0].word, 0u);
	closed(c, FP_CLOSE_ABORTED);
	EXPECT_EQ(sp_arena_used(&sp->conns.conns), 0u);
}

TEST_F(Listener, ListenAgain_LargerBacklogHolds)
{
	struct sp_listener *l = listener(app, 80, 4);
	for (uint16_t i = 0; i < 8; i++)
		connect_peer((uint16_t)(40000 + i), 80);
	EXPECT_EQ(l->nqueued, 5u);
	sp_listener_set_backlog(sp, l, 300);
	for (uint16_t i = 0; i < 400; i++)
		connect_peer((uint16_t)(41000 + i), 80);
	EXPECT_EQ(l->nqueued, 301u);
}

/* Its segment is gone, so no core would honour the claim: the flow must not stay for the program's life. */
TEST_F(Listener, ListenerClosed_ClaimedAndNotBound_Reset)
{
	struct sp_listener *l = listener(app, 80);
	struct sp_conn *one = connect_peer(40000, 80), *two = connect_peer(40001, 80);
	claim(l, one->accept_entry, app->id);
	claim(l, two->accept_entry, app->id);
	fake_forget();
	sp_listener_leave(sp, l, app);
	EXPECT_EQ(messages(SP_FLOW_ABORT).size(), 0u);
	taken(one, app, 4); /* was on its way */
	fake_advance(sp, 3 * FAKE_SECOND);
	auto aborts = messages(SP_FLOW_ABORT);
	ASSERT_EQ(aborts.size(), 1u);
	EXPECT_EQ(aborts[0].id, two->id);
	EXPECT_EQ(app->orphans, 0u);
	EXPECT_EQ(app->nconns, 1u);
	closed(two, FP_CLOSE_ABORTED);
	EXPECT_EQ(app->nconns, 1u);
}

/* Before REGION a program can listen, and write what it likes into the segment; no core knows it. */
class ListenerWithoutRegion : public Listener
{
      protected:
	struct sp_app *bare = nullptr;
	struct sp_listener *l = nullptr;

	void SetUp() override
	{
		Listener::SetUp();
		bare = sp_app_new(sp);
		sp_app_greeted(sp, bare);
		l = listener(bare, 80);
		for (uint16_t port : {40000, 40001})
			claim(l, connect_peer(port, 80)->accept_entry, bare->id);
		fake_forget();
	}
};

TEST_F(ListenerWithoutRegion, Ends_ClaimedAreReset)
{
	uint32_t id = bare->id;
	sp_app_leave(sp, bare, "test");
	EXPECT_EQ(sp_app_get(sp, id), nullptr);
	EXPECT_EQ(messages(SP_FLOW_ABORT).size(), 2u);
}

TEST_F(ListenerWithoutRegion, Unlistens_ClaimedAreReset)
{
	sp_listener_leave(sp, l, bare);
	EXPECT_EQ(bare->orphans, 0u);
	EXPECT_EQ(messages(SP_FLOW_ABORT).size(), 2u);
}

TEST_F(Listener, LastHolderDies_WaitingResetClaimedLater)
{
	struct sp_listener *l = listener(app, 80);
	struct sp_conn *one = connect_peer(40000, 80), *two = connect_peer(40001, 80),
		       *three = connect_peer(40002, 80);
	uint32_t id = app->id;
	receive(head(40009, 80, TCP_SYN, 5000)); /* half open */
	claim(l, one->accept_entry, id);
	claim(l, two->accept_entry, id);
	fake_forget();
	sp_app_leave(sp, app, "test");
	EXPECT_EQ(sp->listeners.count, 0u);
	EXPECT_EQ(sp->conns.nhalf, 0u);
	auto aborts = messages(SP_FLOW_ABORT);
	ASSERT_EQ(aborts.size(), 1u);
	EXPECT_EQ(aborts[0].id, three->id);
	taken(one, app, 4); /* was on its way */
	gone(id);
	aborts = messages(SP_FLOW_ABORT);
	ASSERT_EQ(aborts.size(), 2u);
	EXPECT_EQ(aborts[1].id, two->id);
	for (struct sp_conn *c : {one, two, three})
		closed(c, FP_CLOSE_ABORTED);
	EXPECT_EQ(sp_arena_used(&sp->conns.conns), 0u);
	receive(head(40010, 80, TCP_SYN, 5000));
	EXPECT_EQ(sent().flags, TCP_RST | TCP_ACK);
}

/*
 * As Linux without net.ipv4.tcp_migrate_req: what waits at a member of a reuseport group is not
 * moved to another when it closes, but reset; so are its half-open connections.
 */
TEST_F(Listener, ReuseportMemberCloses_WhatWaitsThereIsReset)
{
	struct sp_app *b = program();
	struct sp_listener *la = listener(app, 80, 64, 1), *lb = listener(b, 80, 64, 1);
	std::map<uint32_t, std::vector<struct sp_conn *>> waiting; /* by listener */
	uint32_t half = 0, idb = lb->id;
	for (uint16_t i = 0; i < 40; i++) {
		struct sp_conn *c = connect_peer((uint16_t)(40000 + i), 80);
		ASSERT_NE(c, nullptr);
		waiting[c->listener].push_back(c);
	}
	ASSERT_EQ(waiting.size(), 2u);
	for (uint16_t i = 0; i < 20; i++)
		receive(head((uint16_t)(50000 + i), 80, TCP_SYN, 5000));
	half = la->nhalf;
	ASSERT_GT(half, 0u);
	ASSERT_LT(half, 20u);
	std::set<uint32_t> gone_ids;
	for (struct sp_conn *c : waiting[la->id])
		gone_ids.insert(c->id);
	fake_forget();
	sp_listener_leave(sp, la, app);
	auto aborts = messages(SP_FLOW_ABORT);
	ASSERT_EQ(aborts.size(), gone_ids.size());
	for (auto &m : aborts) {
		EXPECT_EQ(gone_ids.count(m.id), 1u);
		EXPECT_EQ(m.u.abort.send_rst, 1u);
	}
	EXPECT_EQ(fake_nframes, half);
	for (uint32_t i = 0; i < fake_nframes; i++)
		EXPECT_EQ(sent(i).flags, TCP_RST | TCP_ACK);
	EXPECT_EQ(lb->nqueued, waiting[idb].size());
	EXPECT_EQ(lb->nhalf, 20u - half);
	struct sp_conn *c = connect_peer(60000, 80);
	ASSERT_NE(c, nullptr);
	EXPECT_EQ(c->listener, idb);
}

TEST_F(Listener, Holders_BoundedAndReusable)
{
	struct sp_listener *l = listener(app, 80);
	std::vector<struct sp_app *> apps;
	for (uint32_t i = 1; i < TAS_LISTEN_HOLDERS; i++) {
		apps.push_back(program());
		ASSERT_EQ(sp_listener_hold(sp, l, apps.back()), 0);
	}
	struct sp_app *more = program();
	EXPECT_EQ(sp_listener_hold(sp, l, more), -EMFILE);
	EXPECT_EQ(sp_listener_hold(sp, l, app), -EALREADY);
	sp_listener_leave(sp, l, apps[3]);
	EXPECT_EQ(sp_listener_hold(sp, l, more), 0);
}

/* ---- hostile segments ---- */

TEST_F(Listener, SegmentScribbled_NothingIsLostOrTouchedElsewhere)
{
	std::mt19937_64 rnd(99);
	for (int round = 0; round < 30; round++) {
		struct sp_app *a = program(), *b = program();
		struct sp_listener *l = listener(a, 90, 15);
		std::vector<uint32_t> ids;
		ASSERT_NE(l, nullptr);
		sp_listener_hold(sp, l, b);
		for (uint16_t i = 0; i < 40; i++) {
			auto *bytes = reinterpret_cast<uint64_t *>(l->seg);
			size_t words = sizeof(*l->seg) / 8;
			for (int k = 0; k < 200; k++)
				bytes[rnd() % words] = rnd() % 3 == 0 ? rnd() : rnd() % 5;
			for (auto &h : l->seg->holders) {
				h.armed = (uint32_t)(rnd() % 4);
				h.evq = (uint32_t)(rnd() % 20);
				h.slot = (uint32_t)rnd();
			}
			l->seg->waiters = 0; /* else a futex call a time */
			struct sp_conn *c = connect_peer((uint16_t)(20000 + round * 100 + i), 90);
			if (c != nullptr && c->state == SP_CONN_OPEN)
				ids.push_back(c->id);
			ASSERT_LE(l->nqueued, 16u);
		}
		for (uint32_t i = 0; i < fake_nrings && i < 1024; i++) {
			ASSERT_TRUE(fake_rings[i].app == a->id || fake_rings[i].app == b->id);
			ASSERT_LT(fake_rings[i].evq, 16u);
			ASSERT_LT(fake_rings[i].slot, 65536u);
		}
		EXPECT_EQ(ids.size(), 16u);
		uint32_t ida = a->id, idb = b->id;
		sp_app_leave(sp, a, "test");
		sp_app_leave(sp, b, "test");
		gone(ida);
		gone(idb);
		for (uint32_t id : ids) {
			struct sp_conn *c = sp_conn_get(sp, id);
			ASSERT_NE(c, nullptr);
			EXPECT_EQ(c->state, SP_CONN_ABORTING); /* nobody can have it */
			closed(c, FP_CLOSE_ABORTED);
		}
		fake_advance(sp, 70 * FAKE_SECOND);
		ASSERT_EQ(sp_arena_used(&sp->conns.conns), 0u);
		fake_forget();
	}
	EXPECT_EQ(sp->listeners.count, 0u);
	EXPECT_EQ(sp->apps.count, 1u);
}

} // namespace
