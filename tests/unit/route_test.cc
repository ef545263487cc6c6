/*
 * Addresses served and routes: longest prefix, gateways, sources, groups; the page programs read.
 */
#include "sp_peer.h"

namespace
{

class Route : public SlowPath
{
      protected:
	static void parse(const char *text, uint8_t addr[16])
	{
		uint8_t plen;

		ASSERT_EQ(sp_parse_prefix(text, addr, &plen), 0) << text;
	}
	/* "gateway", "onlink" or "none"; the source address after a blank. */
	std::string way(const char *dst)
	{
		uint8_t addr[16];
		char gw[32], src[32];
		const struct sp_route *r;
		struct in_addr v4;

		parse(dst, addr);
		r = sp_route_find(sp, addr);
		if (r == nullptr)
			return "none";
		v4.s_addr = tas_addr_v4(sp->net.addrs[r->src].addr);
		inet_ntop(AF_INET, &v4, src, sizeof(src));
		if (r->onlink)
			return std::string("onlink ") + src;
		v4.s_addr = tas_addr_v4(r->gateway);
		inet_ntop(AF_INET, &v4, gw, sizeof(gw));
		return std::string(gw) + " " + src;
	}
	bool group(const char *a)
	{
		uint8_t addr[16];

		parse(a, addr);
		return sp_addr_is_group(sp, addr) != 0;
	}
};

TEST_F(Route, LongestPrefixWins)
{
	options = {"--addresses=10.0.0.2/24,192.168.5.2/28",
		"--routes=172.16.0.0/12 via 10.0.0.254,172.16.5.0/24 via 192.168.5.1,172.16.5.9/32 "
		"via "
		"10.0.0.253,100.64.0.0/10",
		"--gateway=10.0.0.1"};
	start();
	EXPECT_EQ(way("10.0.0.77"), "onlink 10.0.0.2");
	EXPECT_EQ(way("192.168.5.14"), "onlink 192.168.5.2");
	EXPECT_EQ(way("192.168.5.17"), "10.0.0.1 10.0.0.2");
	EXPECT_EQ(way("172.16.1.1"), "10.0.0.254 10.0.0.2");
	EXPECT_EQ(way("172.16.5.1"), "192.168.5.1 192.168.5.2");
	EXPECT_EQ(way("172.16.5.9"), "10.0.0.253 10.0.0.2");
	EXPECT_EQ(way("172.31.255.255"), "10.0.0.254 10.0.0.2");
	EXPECT_EQ(way("172.32.0.0"), "10.0.0.1 10.0.0.2");
	EXPECT_EQ(way("100.100.1.1"), "onlink 10.0.0.2");
	EXPECT_EQ(way("8.8.8.8"), "10.0.0.1 10.0.0.2");
}

TEST_F(Route, NoDefault_NoRoute)
{
	start();
	EXPECT_EQ(way("8.8.8.8"), "none");
	EXPECT_EQ(way("10.0.1.1"), "none");
}

TEST_F(Route, Groups)
{
	options = {"--addresses=10.0.0.2/24,10.5.0.0/31,10.6.0.7/32"};
	start();
	for (const char *a : {"0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "255.255.255.255",
		     "240.1.1.1", "10.0.0.255"})
		EXPECT_TRUE(group(a)) << a;
	for (const char *a : {"10.0.0.1", "10.0.1.255", "10.5.0.1", "10.6.0.7", "8.8.8.8"})
		EXPECT_FALSE(group(a)) << a;
}

TEST_F(Route, Page_ShowsAddressesAndRoutes)
{
	options = {"--gateway=10.0.0.1"};
	start();
	struct sp_app *app = program();
	const struct tas_info *info = fp_app(sp->fp, app->id)->info;
	EXPECT_EQ(info->magic, TAS_INFO_MAGIC);
	EXPECT_EQ(info->version % 2, 0u);
	ASSERT_EQ(info->naddrs, 1u);
	EXPECT_EQ(tas_addr_v4(info->addrs[0].addr), fake_addr(2));
	EXPECT_EQ(info->addrs[0].plen, 128);
	ASSERT_EQ(info->nroutes, 2u);
	EXPECT_EQ(info->routes[0].plen, 120);
	EXPECT_EQ(tas_addr_v4(info->routes[0].addr), fake_addr(0));
	EXPECT_EQ(info->routes[1].plen, 96);
	EXPECT_EQ(info->ncores, 2u);
}

} // namespace
