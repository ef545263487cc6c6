/*
 * nic/dpdk.c on an AF_PACKET device over a veth pair, in a network namespace of its own: frames go
 * both ways, whole. DPDK starts once per process, so this is one test.
 */
#include <gtest/gtest.h>
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>
#include "engine.h"

namespace
{

int packet_socket(const char *name)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(0x88b5));
	sockaddr_ll a = {};

	a.sll_family = AF_PACKET;
	a.sll_protocol = htons(0x88b5); /* IEEE 802: local experimental */
	a.sll_ifindex = (int)if_nametoindex(name);
	if (bind(fd, (sockaddr *)&a, sizeof(a)) != 0)
		return -1;
	return fd;
}

TEST(Dpdk, FramesGoBothWaysWhole)
{
	struct nic *n = nullptr;
	nic_conf nc;
	nic_rxpkt pkts[NIC_BURST];
	uint64_t lost = 0;
	nic_txpkt out;
	uint8_t frame[1400], in[2000], payload[2][500];
	int fd, got = 0;
	ssize_t len = -1;

	if (unshare(CLONE_NEWNET) != 0)
		GTEST_SKIP() << "unshare: " << strerror(errno);
	if (system("ip link add tas-d0 type veth peer name tas-d1 && ip link set tas-d0 up && "
		   "ip link set tas-d1 up") != 0)
		GTEST_SKIP() << "no veth";
	memset(&nc, 0, sizeof(nc));
	nc.device = "dpdk:net_af_packet0,iface=tas-d0";
	nc.nqueues = 2; /* more than the device has: the second is software's affair */
	ASSERT_EQ(nic_open(&nc, &n), 0);
	EXPECT_EQ(nic_caps(n)->mtu, 1500);
	EXPECT_EQ(nic_rx_fd(n, 0), -1) << "must be polled";
	fd = packet_socket("tas-d1");
	ASSERT_GE(fd, 0);

	for (size_t i = 0; i < sizeof(frame); i++)
		frame[i] = (uint8_t)(i * 7);
	memset(frame, 2, 12);
	frame[12] = 0x88;
	frame[13] = 0xb5;
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(send(fd, frame, sizeof(frame) - (size_t)i, 0),
			(ssize_t)(sizeof(frame) - (size_t)i));
	for (int tries = 0; tries < 2000 && got < 3; tries++) {
		int r = nic_rx(n, 0, pkts, NIC_BURST, &lost);

		ASSERT_GE(r, 0);
		for (int i = 0; i < r; i++) {
			if (pkts[i].data[12] != 0x88)
				continue; /* the kernel's own: router solicitations */
			EXPECT_EQ(pkts[i].len, sizeof(frame) - (size_t)got);
			EXPECT_EQ(memcmp(pkts[i].data, frame, pkts[i].len), 0);
			got++;
		}
		nic_rx_done(n, 0);
		usleep(1000);
	}
	EXPECT_EQ(got, 3);
	EXPECT_EQ(nic_rx(n, 1, pkts, NIC_BURST, &lost), 0);
	EXPECT_EQ(lost, 0u);

	memset(&out, 0, sizeof(out));
	memcpy(out.hdr, frame, 100);
	memset(out.hdr, 0xff, 6);
	out.hdr_len = 100;
	for (int i = 0; i < 2; i++) {
		memset(payload[i], 'a' + i, sizeof(payload[i]));
		out.iov[i] = {payload[i], sizeof(payload[i])};
	}
	out.niov = 2;
	out.payload_len = 1000;
	ASSERT_EQ(nic_tx(n, 2, &out, 1), 1) << "the slow path's handle";
	for (int tries = 0; tries < 2000 && len < 0; tries++) {
		len = recv(fd, in, sizeof(in), 0);
		usleep(1000);
	}
	ASSERT_EQ(len, 1100);
	EXPECT_EQ(memcmp(in + 6, frame + 6, 94), 0);
	EXPECT_EQ(memcmp(in + 100, payload[0], 500), 0);
	EXPECT_EQ(memcmp(in + 600, payload[1], 500), 0);
	close(fd);
	nic_close(n);
}

} // namespace
