// place_test.cc - fastpath/place.c: cores on a made-up machine of two nodes get their memory from the node of their CPU.
#include <string>
#include <gtest/gtest.h>
#include "engine.h"
extern "C" {
#include "place.h"
}

namespace
{

std::string asked; /* preferences, in order */
uint32_t nnodes;

uint32_t nodes()
{
	return nnodes;
}
int node_of_cpu(int cpu)
{
	return cpu < 4 ? cpu / 2 : -1;
}
void prefer(int node)
{
	asked += node < 0 ? std::string(". ") : std::to_string(node) + " ";
}

const fp_place_ops machine = {nodes, node_of_cpu, prefer};

class Place : public testing::Test
{
      protected:
	void SetUp() override
	{
		nnodes = 2;
		asked.clear();
		fp_place_use(&machine);
	}
	void TearDown() override
	{
		fp_place_use(nullptr);
	}
	void create(int cpu0, int cpu1)
	{
		struct nic *port = mem_nic_open(2, true);
		struct fp *fp = nullptr;
		fp_conf c;

		memset(&c, 0, sizeof(c));
		c.ncores = 2;
		c.cpus[0] = cpu0;
		c.cpus[1] = cpu1;
		c.max_flows = 64;
		c.nic = port;
		c.rcvbuf_max = c.sndbuf_max = 1 << 20;
		c.min_rto_us = 200000;
		ASSERT_EQ(fp_create(&c, &fp), 0);
		fp_destroy(fp);
		nic_close(port);
	}
};

TEST_F(Place, a_core_lives_on_the_node_of_its_cpu)
{
	create(3, 0);
	EXPECT_EQ(asked, "1 . 0 . ");
}

TEST_F(Place, a_cpu_that_nobody_knows_is_node_0s)
{
	EXPECT_EQ(fp_place_node(-1), 0);
	EXPECT_EQ(fp_place_node(99), 0);
	EXPECT_EQ(fp_place_node(2), 1);
	create(-1, 99);
	EXPECT_EQ(asked, "0 . 0 . ");
}

TEST_F(Place, one_node_is_left_alone)
{
	nnodes = 1;
	create(3, 0);
	EXPECT_EQ(asked, "");
	EXPECT_EQ(fp_place_node(3), 0);
}

TEST(Real, says_something_sensible)
{
	EXPECT_GE(fp_place_nodes(), 1u);
	EXPECT_GE(fp_place_node(0), 0);
	EXPECT_LT(fp_place_node(0), (int)fp_place_nodes());
	fp_place_begin(0);
	fp_place_end();
}

} // namespace
