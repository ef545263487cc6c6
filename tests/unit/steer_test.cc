/*
 * steer.c: Toeplitz against the published verification suite, and the spread of the tap's hash.
 */
#include <gtest/gtest.h>
#include <algorithm>
#include "fp_c.h"

namespace
{

uint32_t ip(uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
	return a << 24 | b << 16 | c << 8 | d;
}

/* Microsoft, "Verifying the RSS hash calculation", IPv4 with TCP. */
TEST(Steer, ToeplitzMatchesTheVerificationSuite)
{
	static const uint8_t key[NIC_RSS_KEY] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2,
		0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b,
		0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b,
		0xbe, 0xac, 0x01, 0xfa};

	EXPECT_EQ(nic_toeplitz4(key, ip(66, 9, 149, 187), ip(161, 142, 100, 80), 2794, 1766),
		0x51ccc178u);
	EXPECT_EQ(nic_toeplitz4(key, ip(199, 92, 111, 2), ip(65, 69, 140, 83), 14230, 4739),
		0xc626b0eau);
	EXPECT_EQ(nic_toeplitz4(key, ip(24, 19, 198, 95), ip(12, 22, 207, 184), 12898, 38024),
		0x5c2b394au);
	EXPECT_EQ(nic_toeplitz4(key, ip(38, 27, 205, 30), ip(209, 142, 163, 6), 48228, 2217),
		0xafc7327fu);
	EXPECT_EQ(nic_toeplitz4(key, ip(153, 39, 163, 191), ip(202, 188, 127, 2), 44251, 1303),
		0x10e828a2u);
}

/* One client's ports, as benchmarks use them, reach all groups about evenly. */
TEST(Steer, ConsecutivePortsSpreadOverAllGroups)
{
	struct nic_steer s;
	uint32_t hits[NIC_GROUPS] = {}, most = 0, least = UINT32_MAX;

	nic_steer_init(&s);
	for (uint32_t port = 0; port < 128 * 256; port++)
		hits[nic_steer_group4(
			&s, ip(10, 0, 0, 1), ip(10, 0, 0, 2), (uint16_t)(32768 + port), 80)]++;
	for (uint32_t h : hits) {
		most = std::max(most, h);
		least = std::min(least, h);
	}
	/* 256 expected; 16 standard deviations either way. */
	EXPECT_LT(most, 512u);
	EXPECT_GT(least, 64u);
}

TEST(Steer, TwoPortsHaveDifferentKeys)
{
	struct nic_steer a, b;
	uint32_t same = 0;

	nic_steer_init(&a);
	nic_steer_init(&b);
	for (uint16_t port = 0; port < 1000; port++)
		same += nic_steer_group4(&a, 1, 2, port, 80) ==
			nic_steer_group4(&b, 1, 2, port, 80);
	EXPECT_LT(same, 500u);
}

} // namespace
