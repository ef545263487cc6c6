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

} // namespace
