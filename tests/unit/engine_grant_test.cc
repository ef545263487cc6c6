/*
 * A grant is withdrawn by one core while another binds its slot: fastpath/park.c, with the other
 * core's round put between its steps.
 */
#include <gtest/gtest.h>
#include "engine.h"

static std::function<void()> between;

extern "C" void tas_test_yield(void)
{
	auto once = std::move(between);

	between = nullptr;
	if (once)
		once();
}

namespace
{

std::unique_ptr<Conn> conn_of_core(Engine &e, uint32_t core, uint32_t id)
{
	std::unique_ptr<Conn> c;
	uint16_t port = (uint16_t)(1000 * id);

	do
		c.reset(new Conn(e, id, 70 + id, port++));
	while (c->home() != core);
	return c;
}

TEST(Grant, WithdrawnWhileItsSlotIsBoundOnAnotherCore_SlotIsTheNewOnes)
{
	Engine e(2);
	Program p{e, 1};
	std::vector<uint8_t> lmem(sizeof(tas_listen));
	auto *l = (tas_listen *)lmem.data();
	auto held = conn_of_core(e, 0, 1), other = conn_of_core(e, 1, 2);
	Socket s(p, 9, other->gen);
	bool came = false;
	sp_msg m;

	held->install_accepted(l, 3, 0, 1);
	other->install_accepted(l, 3, 5, 4000);
	l->queue[5].word = TAS_ACCEPT_WORD(TAS_ACCEPT_TAKEN, 1, 4000);
	e.run();
	memset(&m, 0, sizeof(m));
	m.type = SP_FLOW_MOVE;
	m.id = held->id;
	m.gen = held->gen;
	m.u.grant.app = 1;
	m.u.grant.slot = 9;
	e.send(0, m);
	e.run();
	s.take(other->id, 1);
	m.u.grant.app = FP_APP_NONE;
	e.send(0, m);
	between = [&] {
		came = true;
		fp_core_poll(&e.core(1), e.now);
	};
	fp_core_poll(&e.core(0), e.now);
	ASSERT_TRUE(came);
	EXPECT_EQ(other->f().app, 1u);
	EXPECT_EQ(p.app->slot_flow[9], other->id);
	e.send_all(SP_APP_DEL, 1);
	for (int i = 0; i < 20; i++)
		e.pass(30ull * 1000000000);
	EXPECT_EQ(e.count(FP_EV_APP_GONE), 2u) << "ten minutes after the program's end";
	EXPECT_EQ(e.next(), UINT64_MAX);
}

} // namespace
