/*
 * Descriptors that go to other processes (slowpath/conn/passing.c, cmd_pass.c): who may pass and receive,
 * what lives while they are on their way, and that what is lost ends.
 */
#include <cerrno>
#include "app_peer.h"
extern "C" {
#include "conn/passing.h"
#include "conn/share.h"
}

namespace
{

class Passing : public App
{
      protected:
	struct Program {
		int sock = -1;
		uint32_t id = 0;
	};
	Program a, b;
	uint16_t next_port = 40000;

	void SetUp() override
	{
		App::SetUp();
		if (HasFatalFailure())
			return;
		a = program_over_socket();
		b = program_over_socket();
		learn_peer();
		ASSERT_NE(listener(app(a), 80), nullptr);
		fake_forget();
	}
	void TearDown() override
	{
		close(a.sock);
		close(b.sock);
		App::TearDown();
	}
	Program program_over_socket()
	{
		Program p;

		p.sock = join(&p.id);
		return p;
	}
	struct sp_app *app(const Program &p)
	{
		return sp_app_get(sp, p.id);
	}
	struct sp_conn *conn(const Program &p, uint32_t slot)
	{
		struct sp_conn *c = connect_peer(next_port++, 80);

		EXPECT_NE(c, nullptr);
		fp_app(sp->fp, p.id)->slot_flow[slot] = c->id;
		taken(c, app(p), slot);
		fake_forget();
		return c;
	}
	static int new_handle()
	{
		return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	}
	static struct tas_msg naming(uint16_t type, const struct sp_conn *c, uint32_t slot = 0)
	{
		struct tas_msg m = message(type);

		m.id = c->id;
		m.aux = c->gen;
		m.slot = slot;
		return m;
	}
	int pass(const Program &p, const struct sp_conn *c, uint32_t slot, int fd)
	{
		return ask(p.sock, naming(TAS_CMD_PASS, c, slot), {fd}).m.status;
	}
	int receive_as(const Program &p, int fd, uint32_t flags = 0)
	{
		struct tas_msg m = message(TAS_CMD_RECEIVE);

		m.flags = flags;
		return ask(p.sock, m, {fd}).m.status;
	}
	int release(const Program &p, const struct sp_conn *c)
	{
		return ask(p.sock, naming(TAS_CMD_RELEASE, c)).m.status;
	}
	/* A listener of a's that is on its way; messages that pass it and let go of it. */
	struct tas_msg passed, unlisten;
	int listener_on_its_way(uint16_t port)
	{
		int h = handle(fake_addr(2), port);

		EXPECT_EQ(listen(h, 5), 0);
		passed = message(TAS_CMD_PASS);
		unlisten = message(TAS_CMD_UNLISTEN);
		passed.flags = TAS_OPT_LISTENER;
		passed.id = unlisten.id = ask(a.sock, message(TAS_CMD_LISTEN), {h}).m.id;
		EXPECT_EQ(ask(a.sock, passed, {h}).m.status, 0);
		return h;
	}
	size_t finished()
	{
		return messages(SP_FLOW_FINISH).size();
	}
	/* Long enough for every orphan to have been looked at. */
	void later()
	{
		fake_advance(sp, FAKE_SECOND / 2);
	}
};

TEST_F(Passing, SenderCloses_LivesUntilReceived)
{
	struct sp_conn *c = conn(a, 3);
	int h = new_handle(), in_flight = dup(h);

	ASSERT_EQ(pass(a, c, 3, h), 0);
	close(h);
	EXPECT_EQ(release(a, c), 1) << "something of it is on its way";
	later();
	EXPECT_EQ(finished(), 0u);
	EXPECT_EQ(receive_as(b, in_flight), 0);
	EXPECT_EQ(sp_share_claim(sp, c, app(b), 7), 0);
	close(in_flight);
	later();
	EXPECT_EQ(finished(), 0u) << "b holds it, and it is b who says when that ends";
	EXPECT_EQ(release(b, c), 0);
	EXPECT_EQ(finished(), 1u);
	EXPECT_EQ(sp->cnt.passed, 1u);
	EXPECT_EQ(sp->cnt.passed_taken, 1u);
	EXPECT_EQ(sp->cnt.passed_lost, 0u);
	EXPECT_EQ(sp->passings.count, 0u);
}

TEST_F(Passing, Lost_Ends)
{
	struct sp_conn *c = conn(a, 3);
	int h = new_handle(), in_flight = dup(h);

	ASSERT_EQ(pass(a, c, 3, h), 0);
	close(h);
	EXPECT_EQ(release(a, c), 1);
	later();
	EXPECT_EQ(finished(), 0u);
	close(in_flight);
	later();
	EXPECT_EQ(finished(), 1u);
	EXPECT_EQ(sp->cnt.passed_lost, 1u);
	EXPECT_EQ(sp->passings.count, 0u);
	EXPECT_EQ(sp->passings.orphans, 0u);
	EXPECT_EQ(sp_arena_used(&sp->conns.shares), 0u);
}

/* In a message, where nobody has it, and the socket of the message is closed. */
TEST_F(Passing, LostInAMessage_Ends)
{
	struct sp_conn *c = conn(a, 3);
	int h = new_handle(), pair[2];
	char byte = 'x';

	ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ASSERT_EQ(pass(a, c, 3, h), 0);
	ASSERT_TRUE(put(pair[0], &byte, 1, {h}));
	close(h);
	EXPECT_EQ(release(a, c), 1);
	close(pair[0]);
	later();
	EXPECT_EQ(finished(), 0u);
	close(pair[1]);
	later();
	EXPECT_EQ(finished(), 1u);
}

TEST_F(Passing, SenderDies_LivesUntilReceived)
{
	struct sp_conn *c = conn(a, 3);
	uint32_t id = a.id;
	int h = new_handle();

	ASSERT_EQ(pass(a, c, 3, h), 0);
	fake_forget();
	close(a.sock);
	steps();
	EXPECT_GE(messages(SP_FLOW_MOVE).size(), 1u) << "out of the slot before that goes";
	EXPECT_EQ(finished(), 0u);
	gone(id);
	later();
	EXPECT_EQ(receive_as(b, h), 0);
	EXPECT_EQ(sp_share_claim(sp, c, app(b), 7), 0);
	a = program_over_socket();
	close(h);
}

/* Between receiving the descriptor and saying so: its end closes the descriptor. */
TEST_F(Passing, ReceiverDiesBeforeItSaysSo_Ends)
{
	struct sp_conn *c = conn(a, 3);
	int h = new_handle(), received = dup(h);

	ASSERT_EQ(pass(a, c, 3, h), 0);
	close(h);
	EXPECT_EQ(release(a, c), 1);
	close(b.sock);
	steps();
	later();
	EXPECT_EQ(finished(), 0u);
	close(received);
	later();
	EXPECT_EQ(finished(), 1u);
	b = program_over_socket();
}

TEST_F(Passing, NotSent_AsBefore)
{
	struct sp_conn *c = conn(a, 3);
	int h = new_handle();

	ASSERT_EQ(pass(a, c, 3, h), 0);
	EXPECT_EQ(ask(b.sock, naming(TAS_CMD_UNPASS, c)).m.status, -ENOENT) << "not b's";
	EXPECT_EQ(sp->passings.count, 1u);
	EXPECT_EQ(ask(a.sock, naming(TAS_CMD_UNPASS, c)).m.status, 0);
	EXPECT_EQ(ask(a.sock, naming(TAS_CMD_UNPASS, c)).m.status, -ENOENT);
	EXPECT_EQ(sp->passings.count, 0u);
	EXPECT_EQ(receive_as(b, h), -ESRCH);
	EXPECT_EQ(release(a, c), 0);
	EXPECT_EQ(finished(), 1u);
	close(h);
}

/* Several on their way: each one that comes is one less, what MSG_PEEK shows is not. */
TEST_F(Passing, Counted)
{
	struct sp_conn *c = conn(a, 3);
	int h = new_handle();

	ASSERT_EQ(pass(a, c, 3, h), 0);
	ASSERT_EQ(pass(a, c, 3, h), 0);
	EXPECT_EQ(sp->passings.count, 1u);
	EXPECT_EQ(receive_as(b, h, TAS_PASS_MORE), 0);
	EXPECT_EQ(receive_as(b, h), 0);
	EXPECT_EQ(release(a, c), 1);
	EXPECT_EQ(release(b, c), 1) << "one is still on its way";
	EXPECT_EQ(receive_as(a, h), 0);
	EXPECT_EQ(sp->passings.count, 0u);
	EXPECT_EQ(sp->passings.orphans, 0u);
	EXPECT_EQ(release(a, c), 0);
	close(h);
}

/* A fork between the two does not give to a child what its parent has let go. */
TEST_F(Passing, OrphanIsNotTheNextForks)
{
	struct sp_conn *c = conn(a, 3);
	struct tas_msg f = message(TAS_CMD_FORK);
	int h = new_handle();

	ASSERT_EQ(pass(a, c, 3, h), 0);
	EXPECT_EQ(release(a, c), 1);
	f.flags = TAS_FORK_CONNS;
	Reply r = ask(a.sock, f);
	ASSERT_EQ(r.m.status, 0);
	EXPECT_EQ(sp_app_get(sp, r.m.id)->nshared, 0u);
	EXPECT_EQ(receive_as(b, h), 0);
	EXPECT_EQ(app(b)->nshared, 1u);
	close(h);
}

TEST_F(Passing, WhatIsTold_Comes)
{
	struct sp_conn *c = conn(a, 3);
	struct tas_msg m = naming(TAS_CMD_PASS, c, 3);
	int h = new_handle();

	m.aux |= 0x123ull << 32;
	m.len = 4711;
	m.token[0] = 5;
	m.token[1] = 6;
	ASSERT_EQ(ask(a.sock, m, {h}).m.status, 0);
	Reply r = ask(b.sock, message(TAS_CMD_RECEIVE), {h});
	EXPECT_EQ(r.m.status, 0);
	EXPECT_EQ(r.m.id, c->id);
	EXPECT_EQ(r.m.aux, c->gen | 0x123ull << 32);
	EXPECT_EQ(r.m.len, 4711u);
	EXPECT_EQ(r.m.token[0], 5u);
	EXPECT_EQ(r.m.token[1], 6u);
	close(h);
}

/* ---- who may not ---- */

TEST_F(Passing, OfAnother_Refused)
{
	struct sp_conn *c = conn(a, 3);
	int h = new_handle();

	EXPECT_EQ(pass(b, c, 3, h), -ENOENT) << "it lies in a's slot 3";
	EXPECT_EQ(pass(a, c, 4, h), -ENOENT) << "not there";
	EXPECT_EQ(pass(a, c, UINT32_MAX, h), -ENOENT);
	struct tas_msg m = naming(TAS_CMD_PASS, c, 3);
	m.aux++;
	EXPECT_EQ(ask(a.sock, m, {h}).m.status, -ENOENT);
	EXPECT_EQ(ask(a.sock, naming(TAS_CMD_PASS, c, 3)).m.status, -EPROTO) << "no handle";
	EXPECT_EQ(sp->passings.count, 0u);
	EXPECT_EQ(sp->cnt.passed, 0u);
	close(h);
}

/* A descriptor that the program made itself is no right to anything. */
TEST_F(Passing, ForgedHandle_Refused)
{
	struct sp_conn *c = conn(a, 3);
	int h = new_handle(), own = new_handle(), pair[2];

	ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ASSERT_EQ(pass(a, c, 3, h), 0);
	EXPECT_EQ(receive_as(b, own), -ESRCH);
	EXPECT_EQ(receive_as(b, pair[0]), -ENOTSOCK);
	struct tas_msg m = naming(TAS_CMD_RECEIVE, c);
	m.token[0] = 1;
	EXPECT_EQ(ask(b.sock, m, {own}).m.status, -ESRCH);
	EXPECT_EQ(app(b)->nshared, 0u);
	for (int f : {h, own, pair[0], pair[1]})
		close(f);
}

/* One handle stands for one thing: what somebody else passed by it cannot be taken over. */
TEST_F(Passing, HandleOfSomethingElse_Refused)
{
	struct sp_conn *c = conn(a, 3), *d = conn(b, 4);
	int h = new_handle();

	ASSERT_EQ(pass(a, c, 3, h), 0);
	EXPECT_EQ(pass(b, d, 4, h), -EBADF);
	struct tas_msg m = message(TAS_CMD_PASS);
	m.flags = TAS_OPT_LISTENER;
	m.id = 1;
	EXPECT_EQ(ask(a.sock, m, {h}).m.status, -EBADF) << "not the listener's";
	Reply r = ask(b.sock, message(TAS_CMD_RECEIVE), {h});
	EXPECT_EQ(r.m.id, c->id);
	close(h);
}

/* Without end, by one who closes nothing: bounded, and others go on. */
TEST_F(Passing, Flood_Bounded)
{
	struct sp_conn *c = conn(a, 3), *d = conn(b, 4);
	int h = new_handle(), mine = new_handle(), err = 0;
	struct sp_passing what = {};

	what.uid = 1000;
	what.watch = -1;
	for (uint32_t i = 0; i < SP_PASSING_MAX; i++) {
		what.id = 100000 + i;
		what.cookie = ~0ull - i;
		err = sp_passing_add(sp, &what, h);
		if (err != 0)
			break;
		/* a test may not have so many descriptors open */
		if (i >= 100) {
			close(sp->passings.table[i].watch);
			sp->passings.table[i].watch = -1;
		}
	}
	EXPECT_EQ(err, -ENOBUFS);
	EXPECT_EQ(sp->passings.count, SP_PASSING_MAX - SP_PASSING_MAX / 4);
	EXPECT_EQ(pass(b, d, 4, mine), 0) << "another user";
	for (uint32_t i = 0; i < 1000; i++)
		ASSERT_EQ(pass(a, c, 3, h), 0) << "the same again needs nothing more";
	close(h);
	close(mine);
}

/* ---- listeners ---- */

TEST_F(Passing, Listener_LivesOnItsWay)
{
	int h = listener_on_its_way(7101);
	struct tas_msg j = message(TAS_CMD_JOIN);
	uint32_t id = passed.id;

	j.flags = TAS_JOIN_PASSED;
	EXPECT_EQ(ask(b.sock, passed, {h}).m.status, -ENOENT) << "b does not hold it";
	EXPECT_EQ(ask(a.sock, unlisten).m.status, 0);
	later();
	ASSERT_NE(sp_listener_get(sp, id), nullptr);
	EXPECT_NE(connect_peer(next_port++, 7101), nullptr) << "nobody has it, and it listens";
	EXPECT_EQ(ask(b.sock, j, {h}).m.status, 0);
	EXPECT_EQ(sp->passings.count, 0u);
	EXPECT_EQ(ask(b.sock, unlisten).m.status, 0);
	EXPECT_EQ(sp_listener_get(sp, id), nullptr);
	EXPECT_EQ(ask(b.sock, j, {h}).m.status, -ESRCH);
	close(h);
}

TEST_F(Passing, Listener_Lost_Ends)
{
	int h = listener_on_its_way(7102);

	EXPECT_EQ(ask(a.sock, unlisten).m.status, 0);
	later();
	EXPECT_NE(sp_listener_get(sp, passed.id), nullptr);
	close(h);
	later();
	EXPECT_EQ(sp_listener_get(sp, passed.id), nullptr);
	EXPECT_EQ(sp->cnt.passed_lost, 1u);
	EXPECT_EQ(sp->passings.orphans, 0u);
}

/* shutdown() is the listener's end, also on its way. */
TEST_F(Passing, Listener_ShutDownOnItsWay_Ends)
{
	int h = listener_on_its_way(7103);

	unlisten.flags = TAS_UNLISTEN_ALL;
	EXPECT_EQ(ask(a.sock, unlisten).m.status, 0);
	EXPECT_EQ(sp_listener_get(sp, passed.id), nullptr);
	EXPECT_EQ(sp->passings.count, 0u);
	close(h);
}

} /* namespace */
