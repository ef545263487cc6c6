/*
 * The tap as the kernel sees it: what a large frame of ours says about itself, read from a packet socket
 * in a network namespace of its own.
 */
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cstring>
#include "fp_c.h"
#define class device_class /* a field's name in there */
#include <linux/virtio_net.h>
#undef class

namespace
{

constexpr uint16_t kTcpAt = 14 + 20, kSegment = 1000;

class Tap : public testing::Test
{
      protected:
	struct nic *port = nullptr;
	int packets = -1; /* frames with what the kernel knows of them */

	void SetUp() override
	{
		nic_conf conf;
		sockaddr_ll at = {};
		int on = 1;

		if (unshare(CLONE_NEWNET) != 0 || access("/dev/net/tun", R_OK | W_OK) != 0)
			GTEST_SKIP() << "no namespace or no tap: " << strerror(errno);
		memset(&conf, 0, sizeof(conf));
		conf.device = "tap:tas-t1";
		conf.nqueues = 1;
		ASSERT_EQ(nic_open(&conf, &port), 0);
		packets = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_IP));
		ASSERT_GE(packets, 0);
		ASSERT_EQ(setsockopt(packets, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)), 0);
		at.sll_family = AF_PACKET;
		at.sll_protocol = htons(ETH_P_IP);
		at.sll_ifindex = (int)if_nametoindex("tas-t1");
		ASSERT_EQ(bind(packets, (sockaddr *)&at, sizeof(at)), 0);
	}
	void TearDown() override
	{
		if (packets >= 0)
			close(packets);
		if (port)
			nic_close(port);
	}

	/* Sends three segments as one frame; what the kernel made of its head. */
	virtio_net_hdr sent_with(uint8_t tcp_flags)
	{
		static uint8_t payload[3 * kSegment], frame[4096];
		virtio_net_hdr h = {};
		nic_txpkt p;
		pollfd fd = {packets, POLLIN, 0};

		memset(&p, 0, sizeof(p));
		wire_eth_emit(p.hdr, nic_caps(port)->mac, nic_caps(port)->mac, ETH_P_IP);
		wire_ip4_emit(p.hdr + 14, htonl(0x0a090002), htonl(0x0a090001), 6,
			(uint16_t)(20 + 20 + sizeof(payload)), 1, 0, 64);
		p.hdr[kTcpAt + 12] = 5 << 4;
		p.hdr[kTcpAt + 13] = tcp_flags;
		p.hdr_len = kTcpAt + 20;
		p.csum_start = kTcpAt;
		p.csum_offset = 16;
		p.gso_size = kSegment;
		p.niov = 1;
		p.iov[0] = {payload, sizeof(payload)};
		p.payload_len = sizeof(payload);
		EXPECT_EQ(nic_tx(port, 0, &p, 1), 1);
		EXPECT_EQ(poll(&fd, 1, 30000), 1);
		EXPECT_EQ(recv(packets, frame, sizeof(frame), 0),
			(ssize_t)(sizeof(h) + p.hdr_len + sizeof(payload)));
		memcpy(&h, frame, sizeof(h));
		EXPECT_EQ(h.gso_size, kSegment);
		return h;
	}
};

/* RFC 3168 section 6.1.2: CWR is on the first segment; whoever cuts the frame must know. */
TEST_F(Tap, LargeFrameWithCwr_SaysSo)
{
	EXPECT_EQ(sent_with(TCP_ACK).gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	EXPECT_EQ(sent_with(TCP_ACK | TCP_CWR).gso_type,
		VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN);
}

} // namespace
