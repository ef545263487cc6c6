/*
 * Which flow groups go to another core at a time: slowpath/group.c. Even groups are core 0's.
 */
#include <gtest/gtest.h>
#include "sp_fake.h"

extern "C" {
#include "group.h"
#include "tas/ctl.h"
}

namespace
{

class Group : public testing::Test
{
      protected:
	struct sp *sp = fake_start(0, nullptr);

	~Group() override
	{
		fake_stop(sp);
	}
	void cost(uint32_t first, uint32_t end, uint32_t n)
	{
		for (uint32_t g = first; g < end; g++)
			fake_group_cost[g] = n;
	}
	/* Groups of the first move when core 1 shall have all. */
	std::vector<uint32_t> chosen()
	{
		std::vector<uint32_t> groups;

		EXPECT_EQ(sp_group_move(sp, TAS_CTL_ALL_GROUPS, 1), 0);
		sp_groups_run(sp);
		for (uint32_t g = 0; g < NIC_GROUPS; g++)
			if (fake_move_set[g / 64] >> (g % 64) & 1)
				groups.push_back(g);
		return groups;
	}
};

TEST_F(Group, WithoutFlows_AllAtOnce)
{
	EXPECT_EQ(chosen().size(), NIC_GROUPS / 2);
}

TEST_F(Group, Dear_OneAtATime)
{
	cost(0, NIC_GROUPS, 1000000);
	EXPECT_EQ(chosen(), (std::vector<uint32_t>{0}));
}

TEST_F(Group, AsManyAsARoundCanBear)
{
	cost(0, NIC_GROUPS, 600);
	EXPECT_EQ(chosen(), (std::vector<uint32_t>{0, 2, 4}));
}

TEST_F(Group, EmptyOnes_GoAlong)
{
	cost(0, 100, 1000000);
	auto groups = chosen();

	ASSERT_EQ(groups.size(), 1u + (NIC_GROUPS - 100) / 2);
	EXPECT_EQ(groups[1], 100u);
}

} // namespace
