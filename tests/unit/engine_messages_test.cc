/*
 * What the slow path asks of a core: fastpath/messages.c.
 */
#include <gtest/gtest.h>
#include "engine.h"

namespace
{

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

/* The core has not got the connection yet, because it waits for room: that is no reason to refuse it. */
TEST(Messages, EventRingFull_TakeOfAConnectionStillInTheRing_IsNotRefused)
{
	Engine e;
	Program p{e, 1}, q{e, 2};
	std::vector<uint8_t> lmem(sizeof(tas_listen));
	auto *l = (tas_listen *)lmem.data();
	Conn c(e, 5, 77, 0x1122);
	Socket s(q, 9, 77);
	fp_event ev;
	sp_msg m;

	memset(&ev, 0, sizeof(ev));
	ev.type = FP_EV_FEEDBACK;
	while (fp_event_put(&e.core(), &ev))
		;
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

} // namespace
