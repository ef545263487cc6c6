// lt_addr_test.cc - libtas/addr.c: which stack serves an address (design of the same host:
// addresses and routes decide).
#include <gtest/gtest.h>
#include "lt_world.h"

enum { KERNEL, TAS, BOTH };

TEST(addr, a_listener_is_served_where_its_address_is)
{
	EXPECT_EQ(lw_place("10.1.0.2", false), TAS);
	EXPECT_EQ(lw_place("10.1.0.3", false), TAS);
	EXPECT_EQ(lw_place("0.0.0.0", false), BOTH);
	EXPECT_EQ(lw_place("127.0.0.1", false), KERNEL);
	EXPECT_EQ(lw_place("10.1.0.4", false), KERNEL);
}

TEST(addr, a_connection_goes_where_the_routes_say)
{
	EXPECT_EQ(lw_place("10.1.0.9", true), TAS);
	EXPECT_EQ(lw_place("10.2.1.1", true), TAS);
	EXPECT_EQ(lw_place("10.3.255.255", true), TAS);
}

TEST(addr, loopback_is_the_kernels_and_our_own_addresses_are_not)
{
	EXPECT_EQ(lw_place("127.0.0.1", true), KERNEL);
	EXPECT_EQ(lw_place("127.99.1.2", true), KERNEL);
	EXPECT_EQ(lw_place("0.0.0.0", true), KERNEL);
	EXPECT_EQ(lw_place("10.1.0.2", true), TAS);
}

TEST(addr, the_default_route_takes_what_the_kernel_does_not_own)
{
	EXPECT_EQ(lw_place("192.0.2.77", true), TAS);
}
