/*
 * nic/dpdk.c on a device that gives frames in several pieces (net_pcap, from a file): what cannot be
 * joined is counted, what comes before and after is handed over. DPDK starts once per process, so
 * this is one test.
 */
#include <cstdio>
#include <gtest/gtest.h>
#include <unistd.h>
#include <vector>
#include "engine.h"

namespace
{

struct FileHeader { /* draft-ietf-opsawg-pcap */
	uint32_t magic = 0xa1b2c3d4;
	uint16_t major = 2, minor = 4;
	uint32_t zone = 0, accuracy = 0, snaplen = 65535, ethernet = 1;
};

struct FrameHeader {
	uint32_t seconds, micros, captured, length;
};

bool write_frames(const char *path, const std::vector<uint32_t> &lengths)
{
	FILE *f = fopen(path, "w");
	FileHeader head;
	bool ok = f != nullptr && fwrite(&head, sizeof(head), 1, f) == 1;

	for (uint32_t len : lengths) {
		FrameHeader h = {0, 0, len, len};
		std::vector<uint8_t> frame(len, 2);

		ok = ok && fwrite(&h, sizeof(h), 1, f) == 1 && fwrite(frame.data(), len, 1, f) == 1;
	}
	return f != nullptr && fclose(f) == 0 && ok;
}

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
	ASSERT_TRUE(write_frames(path, {1000, 9000, 600}));
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
