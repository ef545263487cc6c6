// fault_test.cc - fastpath/fault.c: what the injector does to bursts, by seed and per mille.
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <vector>
#include <gtest/gtest.h>
#include "fp_c.h"

namespace
{

constexpr uint32_t kLen = 100;

/* Frames numbered in their first bytes behind the Ethernet header, sent through in bursts. */
class Injector
{
      public:
	struct fp_fault *f = nullptr;
	uint64_t harmed = 0;
	uint32_t corrupted = 0;
	std::vector<uint32_t> came; /* numbers of the sound ones */

	explicit Injector(fp_fault_conf conf)
	{
		EXPECT_EQ(fp_fault_create(&conf, 0, &f), 0);
	}
	~Injector()
	{
		fp_fault_destroy(f);
	}
	static std::vector<uint8_t> frame(uint32_t number)
	{
		std::vector<uint8_t> v(kLen, (uint8_t)number);

		memcpy(&v[40], &number, 4);
		return v;
	}
	void in(uint32_t from, uint32_t n)
	{
		std::vector<std::vector<uint8_t>> frames;
		std::vector<nic_rxpkt> pkts;
		const nic_rxpkt *out;

		for (uint32_t i = 0; i < n; i++)
			frames.push_back(frame(from + i));
		for (auto &data : frames) {
			nic_rxpkt p = {};
			p.data = data.data();
			p.len = kLen;
			p.flags = NIC_RX_CSUM_OK;
			pkts.push_back(p);
		}
		uint32_t got = fp_fault_in(f, pkts.data(), n, &out, &harmed);
		ASSERT_LE(got, 2 * n + 1);
		for (uint32_t i = 0; i < got; i++)
			look(out[i].data, out[i].flags & NIC_RX_CSUM_OK);
	}
	void out(uint32_t from, uint32_t n)
	{
		std::vector<nic_txpkt> pkts(n);
		const nic_txpkt *out;

		for (uint32_t i = 0; i < n; i++) {
			memset(&pkts[i], 0, sizeof(pkts[i]));
			memcpy(pkts[i].hdr, frame(from + i).data(), kLen);
			pkts[i].hdr_len = kLen;
		}
		uint32_t got = fp_fault_out(f, pkts.data(), n, &out, &harmed);
		ASSERT_LE(got, 2 * n);
		for (uint32_t i = 0; i < got; i++)
			look(out[i].hdr,
				memcmp(out[i].hdr, frame(number(out[i].hdr)).data(), kLen) == 0);
	}
	static uint32_t number(const uint8_t *data)
	{
		uint32_t v;

		memcpy(&v, data + 40, 4);
		return v;
	}
	void look(const uint8_t *data, bool vouched)
	{
		if (!vouched)
			corrupted++;
		else
			came.push_back(number(data));
	}
	void all(bool way_in, uint32_t frames = 32000)
	{
		for (uint32_t i = 0; i < frames; i += NIC_BURST)
			way_in ? in(i, NIC_BURST) : out(i, NIC_BURST);
		while (fp_fault_holds(f))
			in(0, 0);
	}
};

fp_fault_conf conf(uint32_t where, uint32_t drop, uint32_t dup, uint32_t reorder, uint32_t corrupt,
	uint64_t seed = 3)
{
	fp_fault_conf c = {};

	c.seed = seed;
	c.where = where;
	c.drop = drop;
	c.duplicate = dup;
	c.reorder = reorder;
	c.corrupt = corrupt;
	return c;
}

TEST(Fault, nothing_to_do_means_no_injector)
{
	struct fp_fault *f;
	fp_fault_conf c = conf(0, 100, 100, 100, 100);

	EXPECT_EQ(fp_fault_create(&c, 0, &f), 0);
	EXPECT_EQ(f, nullptr);
	c = conf(FP_FAULT_IN, 0, 0, 0, 0);
	EXPECT_EQ(fp_fault_create(&c, 0, &f), 0);
	EXPECT_EQ(f, nullptr);
	fp_fault_destroy(f);
}

/* 32000 frames at 10 per mille: 320 expected, standard deviation 18. */
TEST(Fault, each_kind_alone_at_its_rate)
{
	for (bool way_in : {true, false}) {
		uint32_t where = way_in ? FP_FAULT_IN : FP_FAULT_OUT;

		Injector drop(conf(where, 10, 0, 0, 0));
		drop.all(way_in);
		EXPECT_NEAR(32000.0 - (double)drop.came.size(), 320, 100);
		EXPECT_EQ(drop.harmed, 32000 - drop.came.size());

		Injector dup(conf(where, 0, 10, 0, 0));
		dup.all(way_in);
		EXPECT_NEAR((double)dup.came.size() - 32000.0, 320, 100);
		EXPECT_EQ(std::set<uint32_t>(dup.came.begin(), dup.came.end()).size(), 32000u);

		Injector reorder(conf(where, 0, 0, 10, 0));
		reorder.all(way_in);
		uint32_t late = 0;
		for (size_t i = 1; i < reorder.came.size(); i++)
			late += reorder.came[i] < reorder.came[i - 1];
		EXPECT_EQ(reorder.came.size(), 32000u);
		EXPECT_EQ(std::set<uint32_t>(reorder.came.begin(), reorder.came.end()).size(),
			32000u);
		EXPECT_GT(late, 150u);
		EXPECT_LE(late, reorder.harmed);

		Injector corrupt(conf(where, 0, 0, 0, 10));
		corrupt.all(way_in);
		EXPECT_NEAR(corrupt.corrupted, 320, 100);
		EXPECT_EQ(corrupt.came.size() + corrupt.corrupted, 32000u);
	}
}

TEST(Fault, the_other_way_is_left_alone)
{
	Injector in_only(conf(FP_FAULT_IN, 500, 500, 500, 500));
	in_only.all(false);
	EXPECT_EQ(in_only.came.size(), 32000u);
	Injector out_only(conf(FP_FAULT_OUT, 500, 500, 500, 500));
	out_only.all(true);
	EXPECT_EQ(out_only.came.size(), 32000u);
	EXPECT_EQ(in_only.harmed + out_only.harmed, 0u);
}

TEST(Fault, a_seed_harms_in_one_way_only)
{
	Injector a(conf(3, 50, 50, 50, 50, 1)), b(conf(3, 50, 50, 50, 50, 1)),
		c(conf(3, 50, 50, 50, 50, 2));

	for (Injector *i : {&a, &b, &c})
		i->all(true, 3200);
	EXPECT_EQ(a.came, b.came);
	EXPECT_NE(a.came, c.came);
}

/* A frame that is held comes once more nothing arrives, and is not overwritten by the next. */
TEST(Fault, what_is_held_is_let_go)
{
	Injector i(conf(FP_FAULT_IN, 0, 0, 500, 0));

	for (uint32_t n = 0; n < 2000; n++) {
		i.in(n, 1);
		if (n % 3 == 0)
			i.in(0, 0);
	}
	while (fp_fault_holds(i.f))
		i.in(0, 0);
	EXPECT_EQ(std::set<uint32_t>(i.came.begin(), i.came.end()).size(), 2000u);
	EXPECT_EQ(i.came.size(), 2000u);
}

/* Everything at once, as hard as the options allow: never more than there is room for. */
TEST(Fault, the_worst_stays_within_bounds)
{
	for (uint64_t seed = 0; seed < 20; seed++) {
		Injector i(conf(3, 500, 500, 500, 500, seed));
		i.all(true, 3200);
		i.all(false, 3200);
	}
}

} // namespace
