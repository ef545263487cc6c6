/*
 * flow_table.c against a map, with random keys, deletions and groups; and what a hostile peer can
 * do to it.
 */
#include <gtest/gtest.h>
#include <map>
#include <random>
#include "fp_c.h"
#include "seed.h"

namespace
{

constexpr uint32_t kMax = 2000;
constexpr uint32_t kGroups = 4;

struct Table {
	fp_table t;
	std::vector<fp_flow> flows = std::vector<fp_flow>(kMax + 1);
	std::vector<fp_flow_cold> cold = std::vector<fp_flow_cold>(kMax + 1);
	fp_bucket *mem;
	uint32_t part = fp_table_part(kMax, kGroups);

	explicit Table(uint64_t k0 = 1, uint64_t k1 = 2)
	{
		uint64_t key[2] = {k0, k1};

		mem = (fp_bucket *)aligned_alloc(64, sizeof(fp_bucket) * part * kGroups);
		memset((void *)mem, 0, sizeof(fp_bucket) * part * kGroups);
		memset((void *)flows.data(), 0, sizeof(fp_flow) * flows.size());
		memset((void *)cold.data(), 0, sizeof(fp_flow_cold) * cold.size());
		fp_table_init(&t, mem, kGroups, part, key);
	}
	~Table()
	{
		free(mem);
	}

	void fill(uint32_t id, const tas_tuple &tu)
	{
		flows[id].laddr_lo = tas_addr_v4(tu.laddr);
		flows[id].raddr_lo = tas_addr_v4(tu.raddr);
		flows[id].lport = tu.lport;
		flows[id].rport = tu.rport;
		flows[id].flags = FP_F_USED | (tas_addr_is_v4(tu.laddr) ? 0 : FP_F_V6);
		cold[id].tuple = tu;
	}

	uint32_t find(uint32_t g, const tas_tuple &tu)
	{
		return fp_table_find(&t, flows.data(), cold.data(), g, fp_table_hash(&t, &tu), &tu);
	}
};

tas_tuple tuple(uint32_t raddr, uint16_t rport, uint16_t lport = 80)
{
	tas_tuple t;

	memset(&t, 0, sizeof(t));
	tas_addr_from_v4(t.laddr, 0x0100000a);
	tas_addr_from_v4(t.raddr, raddr);
	t.lport = lport;
	t.rport = rport;
	return t;
}

/* Few distinct values, so that absent neighbours of present keys are asked for. */
tas_tuple random_tuple(std::mt19937_64 &rng)
{
	tas_tuple t = tuple((uint32_t)(rng() % 64), (uint16_t)(rng() % 64), (uint16_t)(rng() % 2));

	if (rng() % 8 == 0)
		t.raddr[0] = t.laddr[0] = 0xfd; /* IPv6, equal to the IPv4 key in its low 32 bits */
	return t;
}

TEST(FlowTable, RandomOperationsMatchANaiveMap)
{
	std::mt19937_64 rng(test_seed());
	Table tab(rng(), rng());
	std::map<std::pair<uint32_t, std::string>, uint32_t> model;
	std::vector<uint32_t> free_ids, count(kGroups);

	SCOPED_TRACE(test_seed_text());
	for (uint32_t id = kMax; id > 0; id--)
		free_ids.push_back(id);
	for (int i = 0; i < 200000 && !testing::Test::HasFailure(); i++) {
		tas_tuple tu = random_tuple(rng);
		uint32_t g = (uint32_t)(rng() % kGroups);
		auto key = std::make_pair(g, std::string((const char *)&tu, sizeof(tu)));
		auto it = model.find(key);
		uint32_t expect = it == model.end() ? FP_FLOW_NONE : it->second;

		ASSERT_EQ(tab.find(g, tu), expect);
		if (expect != FP_FLOW_NONE && rng() % 2) {
			ASSERT_TRUE(fp_table_del(&tab.t, g, fp_table_hash(&tab.t, &tu), expect));
			ASSERT_FALSE(fp_table_del(&tab.t, g, fp_table_hash(&tab.t, &tu), expect));
			free_ids.push_back(expect);
			model.erase(it);
			count[g]--;
		} else if (expect == FP_FLOW_NONE && !free_ids.empty()) {
			uint32_t id = free_ids.back();

			free_ids.pop_back();
			tab.fill(id, tu);
			ASSERT_TRUE(fp_table_add(&tab.t, g, fp_table_hash(&tab.t, &tu), id));
			model[key] = id;
			count[g]++;
		}
		ASSERT_EQ(fp_table_count(&tab.t, g), count[g]);
	}
	EXPECT_GT(model.size(), 500u);
}

TEST(FlowTable, AsManyFlowsAsConfiguredFitWithinOneGroup)
{
	Table tab;
	uint32_t refused = 0;

	/* A part is sized for four times its even share: all flows in one group just fill it. */
	for (uint32_t id = 1; id <= kMax * 3 / 4; id++) {
		tas_tuple tu = tuple(id, (uint16_t)(id * 7));

		tab.fill(id, tu);
		refused += !fp_table_add(&tab.t, 0, fp_table_hash(&tab.t, &tu), id);
	}
	EXPECT_EQ(refused, 0u);
	for (uint32_t id = 1; id <= kMax * 3 / 4; id++)
		ASSERT_EQ(tab.find(0, tuple(id, (uint16_t)(id * 7))), id);
}

TEST(FlowTable, AFullPairOfBucketsRefusesAndKeepsTheRest)
{
	Table tab;
	tas_tuple tu = tuple(1, 1);
	uint64_t hash = fp_table_hash(&tab.t, &tu);
	uint32_t n;

	for (n = 1; n <= 100 && fp_table_add(&tab.t, 0, hash, n); n++)
		;
	EXPECT_EQ(n - 1, 2u * FP_BUCKET_WAYS);
	for (uint32_t id = 1; id < n; id++)
		EXPECT_TRUE(fp_table_del(&tab.t, 0, hash, id));
	EXPECT_TRUE(fp_table_add(&tab.t, 0, hash, 1));
}

TEST(FlowTable, TheKeyDecidesTheHash)
{
	Table a(1, 2), b(3, 4);
	tas_tuple tu = tuple(1, 1);

	EXPECT_NE(fp_table_hash(&a.t, &tu), fp_table_hash(&b.t, &tu));
}

} // namespace
