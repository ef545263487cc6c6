/*
 * nic/dpdk.c over a driver that receives by vectors (nic_burst_shim.c): the engine may ask for one
 * frame, when there is little room where frames are handed on. DPDK starts once per process, so this
 * is one test.
 */
#include <gtest/gtest.h>
#include <unistd.h>
#include "engine.h"
#include "pcap.h"

extern "C" void nic_burst_replace(void);

namespace
{

TEST(Dpdk, AskedForFewFrames_NothingIsLostOrLeftBehind)
{
	char path[] = "/tmp/tas-burst-XXXXXX";
	int fd = mkstemp(path);
	struct nic *n = nullptr;
	nic_rxpkt pkts[NIC_BURST];
	std::vector<uint32_t> sent, seen;
	uint64_t lost = 0;
	nic_conf nc;

	ASSERT_GE(fd, 0);
	close(fd);
	for (uint32_t i = 0; i < 100; i++)
		sent.push_back(100 + i);
	ASSERT_TRUE(pcap_write(path, sent));
	std::string device = "dpdk:net_pcap0,rx_pcap=" + std::string(path);
	memset(&nc, 0, sizeof(nc));
	nc.device = device.c_str();
	nc.nqueues = 1;
	ASSERT_EQ(nic_open(&nc, &n), 0);
	EXPECT_GE(nic_caps(n)->rx_depth, 1024u);
	nic_burst_replace();
	for (int ask = 1;; ask = ask % 5 + 1) {
		int r = nic_rx(n, 0, pkts, ask, &lost);

		ASSERT_GE(r, 0);
		ASSERT_LE(r, ask);
		for (int i = 0; i < r; i++)
			seen.push_back(pkts[i].len);
		nic_rx_done(n, 0);
		if (r == 0)
			break;
	}
	EXPECT_EQ(seen, sent);
	EXPECT_EQ(lost, 0u);
	nic_close(n);
	unlink(path);
}

} // namespace
