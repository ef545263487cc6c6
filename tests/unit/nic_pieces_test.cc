/*
 * nic/dpdk.c on a device that gives frames in several pieces (net_pcap, from a file): what cannot be
 * joined is counted, what comes before and after is handed over. DPDK starts once per process, so
 * this is one test.
 */
#include <gtest/gtest.h>
#include <unistd.h>
#include "engine.h"
#include "pcap.h"

namespace
{

TEST(Dpdk, FrameOfManyPieces_CountedAndTheOthersCome)
{
	char path[] = "/tmp/tas-pieces-XXXXXX";
	int fd = mkstemp(path);
	struct nic *n = nullptr;
	nic_rxpkt pkts[NIC_BURST];
	std::vector<uint32_t> seen;
	uint64_t lost = 0;
	nic_conf nc;

	ASSERT_GE(fd, 0);
	close(fd);
	ASSERT_TRUE(pcap_write(path, {1000, 9000, 600}));
	std::string device = "dpdk:net_pcap0,rx_pcap=" + std::string(path);
	memset(&nc, 0, sizeof(nc));
	nc.device = device.c_str();
	nc.nqueues = 1;
	ASSERT_EQ(nic_open(&nc, &n), 0);
	for (int tries = 0; tries < 2000 && seen.size() + lost < 3; tries++) {
		int r = nic_rx(n, 0, pkts, NIC_BURST, &lost);

		ASSERT_GE(r, 0);
		for (int i = 0; i < r; i++)
			seen.push_back(pkts[i].len);
		nic_rx_done(n, 0);
		usleep(1000);
	}
	EXPECT_EQ(seen, (std::vector<uint32_t>{1000, 600}));
	EXPECT_EQ(lost, 1u);
	nic_close(n);
	unlink(path);
}

} // namespace
