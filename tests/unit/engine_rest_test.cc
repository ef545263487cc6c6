/*
 * What of a port is not for tas: to the kernel, to the slow path, or dropped under its name. With and without an
 * exception tap.
 */
#include "engine.h"

namespace
{

constexpr uint8_t kUs[6] = {2, 2, 2, 2, 2, 2}, kThem[6] = {2, 0, 0, 0, 0, 9},
		  kAll[6] = {255, 255, 255, 255, 255, 255};
constexpr uint32_t kOther = 0x0900000a; /* 10.0.0.9 */
constexpr uint16_t kOurPort = 0x5000;	/* 80 */

enum { DROPPED, KERNEL, SLOWPATH };

struct Rest : testing::Test {
	Engine e;
	uint8_t frame[1600] = {};
	uint32_t len = 0;

	Rest()
	{
		e.fp->conf.to_kernel = 1;
		if (fp_forward_init(&e.core().to_kernel) != 0)
			abort();
		fp_port_set(e.fp, kOurPort, 1);
		e.run();
	}

	/* An IPv4 packet of protocol `proto` whose body begins with `body`. */
	void ip(const uint8_t *to, uint8_t proto, std::vector<uint8_t> body,
		uint32_t daddr = kOurAddr, uint16_t frag = 0)
	{
		uint8_t *h = frame + WIRE_ETH_HDR;
		uint16_t sum;

		body.resize(std::max<size_t>(body.size(), 20));
		wire_eth_emit(frame, kThem, to, WIRE_ETH_IP4);
		wire_ip4_emit(h, kPeerAddr, daddr, proto, (uint16_t)(WIRE_IP4_HDR + body.size()), 1,
			0, 64);
		h[6] = (uint8_t)(frag >> 8);
		h[7] = (uint8_t)frag;
		h[10] = h[11] = 0;
		sum = wire_csum_fold(wire_csum_add(0, h, WIRE_IP4_HDR));
		memcpy(h + 10, &sum, 2);
		memcpy(h + WIRE_IP4_HDR, body.data(), body.size());
		len = (uint32_t)(WIRE_ETH_HDR + WIRE_IP4_HDR + body.size());
	}
	void tcp(uint16_t port, uint8_t flags, uint32_t daddr = kOurAddr)
	{
		std::vector<uint8_t> b(64);
		wire_tcp h;

		memset(&h, 0, sizeof(h));
		h.lport = 0x1234;
		h.rport = port;
		h.flags = flags;
		h.wscale = SEG_NO_WSCALE;
		b.resize(wire_tcp_emit(b.data(), &h));
		ip(kUs, 6, b, daddr);
	}
	/* Where it goes, and whether it gets there whole. */
	int arrives(uint16_t flags = NIC_RX_CSUM_OK)
	{
		struct nic_rxpkt pkt;
		struct fp_exc exc;
		uint64_t end;
		int where = DROPPED;

		mem_nic_put(e.port, 0, frame, len, 0, flags);
		e.run();
		if (fp_kernel_peek(e.fp, 0, &pkt, 1, &end) == 1) {
			EXPECT_EQ(pkt.len, len);
			EXPECT_EQ(memcmp(pkt.data, frame, len), 0);
			fp_kernel_drop(e.fp, 0, end);
			where = KERNEL;
		}
		if (fp_exc_next(e.fp, &exc)) {
			EXPECT_EQ(where, DROPPED) << "twice";
			where = SLOWPATH;
		}
		return where;
	}
};

TEST_F(Rest, Udp_Fragments_OtherProtocols_AreTheKernels)
{
	ip(kUs, 17, {});
	EXPECT_EQ(arrives(), KERNEL);
	ip(kAll, 17, {}, 0xffffffff);
	EXPECT_EQ(arrives(), KERNEL);
	ip(kUs, 17, {}, kOurAddr, 0x2000);
	EXPECT_EQ(arrives(), KERNEL);
	ip(kUs, 132, {});
	EXPECT_EQ(arrives(), KERNEL);
	wire_eth_emit(frame, kThem, kUs, 0x86dd);
	EXPECT_EQ(arrives(), KERNEL);
}

TEST_F(Rest, OtherHosts_TcpFragments_LiesAreNobodys)
{
	ip(kThem, 17, {});
	EXPECT_EQ(arrives(), DROPPED);
	ip(kUs, 6, {}, kOurAddr, 0x2000);
	EXPECT_EQ(arrives(), DROPPED);
	ip(kUs, 17, {});
	frame[WIRE_ETH_HDR + 10] ^= 1;
	EXPECT_EQ(arrives(), DROPPED);
	ip(kUs, 17, {});
	len = 20;
	EXPECT_EQ(arrives(), DROPPED);
}

TEST_F(Rest, Tcp_ByPort)
{
	for (uint8_t flags : {TCP_SYN, TCP_ACK, TCP_RST, TCP_SYN | TCP_ACK}) {
		tcp(kOurPort, flags);
		EXPECT_EQ(arrives(), SLOWPATH) << (int)flags;
		tcp(0x1600, flags); /* 22 */
		EXPECT_EQ(arrives(), KERNEL) << (int)flags;
	}
	tcp(kOurPort, TCP_SYN, kOther); /* an address that the kernel has alone */
	EXPECT_EQ(arrives(), KERNEL);
	fp_port_set(e.fp, kOurPort, 0);
	tcp(kOurPort, TCP_SYN);
	EXPECT_EQ(arrives(), KERNEL);
}

TEST_F(Rest, FromOurselves_NeverTheKernels)
{
	tcp(0x1600, TCP_SYN);
	EXPECT_EQ(arrives(NIC_RX_CSUM_OK | NIC_RX_OWN), SLOWPATH);
	ip(kUs, 17, {});
	EXPECT_EQ(arrives(NIC_RX_CSUM_OK | NIC_RX_OWN), DROPPED);
}

TEST_F(Rest, Icmp_EchoIsTheKernels_ErrorsMayBeOurs)
{
	ip(kUs, 1, {8, 0});
	EXPECT_EQ(arrives(), KERNEL);
	ip(kUs, 1, {0, 0});
	EXPECT_EQ(arrives(), KERNEL);
	ip(kUs, 1, {3, 3});
	EXPECT_EQ(arrives(), SLOWPATH);
	ip(kUs, 1, {3, 3}, kOther);
	EXPECT_EQ(arrives(), KERNEL);
	e.fp->conf.to_kernel = 0;
	ip(kUs, 1, {8, 0});
	EXPECT_EQ(arrives(), SLOWPATH);
	ip(kUs, 17, {});
	EXPECT_EQ(arrives(), DROPPED);
	tcp(0x1600, TCP_SYN);
	EXPECT_EQ(arrives(), SLOWPATH);
	e.fp->conf.to_kernel = 1;
}

TEST_F(Rest, QueueHasAnEnd_HandshakesGoOn)
{
	std::vector<uint8_t> big(1400);
	struct fp_exc exc;
	int n;

	ip(kUs, 17, big);
	for (n = 0; n < 10000; n++) {
		mem_nic_put(e.port, 0, frame, len, 0, NIC_RX_CSUM_OK);
		e.run();
	}
	EXPECT_GT(e.cnt().to_kernel, 100u);
	EXPECT_EQ(e.cnt().to_kernel + e.cnt().drop_to_kernel, 10000u);
	tcp(kOurPort, TCP_SYN);
	mem_nic_put(e.port, 0, frame, len, 0, NIC_RX_CSUM_OK);
	e.run();
	EXPECT_EQ(fp_exc_next(e.fp, &exc), 1);
}

} // namespace
