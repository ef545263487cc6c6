/*
 * Connections between two programs of this host, and of one with itself: both ends are flows of the
 * engine, on one core and on two; the port never sees a frame of them.
 */
#include "engine.h"

namespace
{

/* One end of a connection from port `from` to port `to` of our own address. */
struct End {
	Conn c;
	Socket s;

	End(Engine &e, Program &p, uint32_t id, uint16_t from, uint16_t to, bool first)
	    : c(e, id, id, to), s(p, id, id, first ? 2 : 1, first ? 1 : 2)
	{
		tas_addr_from_v4(c.init.tuple.raddr, kOurAddr);
		c.init.tuple.lport = from;
		c.init.mss = 16332;
		c.init.iss = first ? Conn::kIss : Conn::kIrs;
		c.init.irs = first ? Conn::kIrs : Conn::kIss;
		c.init.rcv_adv = c.init.irs + 1 + 65535;
		c.init.cc.growth = c.init.mss;
		c.install_in(p, id);
	}
};

struct Pair {
	Engine e;
	Program p, q;
	End a, b;

	/* Ports whose ends lie on two cores, where there are two. */
	explicit Pair(uint32_t ncores, uint16_t from = 0x1111, bool large = true)
	    : e(ncores, large), p(e, 1), q(e, 2), a(e, p, 5, from, port(e, from), true),
	      b(e, q, 6, port(e, from), from, false)
	{
		e.run();
	}

	static uint16_t port(Engine &e, uint16_t from)
	{
		tas_tuple t, m;
		uint16_t to = 0x2222;

		memset(&t, 0, sizeof(t));
		tas_addr_from_v4(t.laddr, kOurAddr);
		tas_addr_from_v4(t.raddr, kOurAddr);
		m = t;
		do {
			to++;
			t.lport = m.rport = from;
			t.rport = m.lport = to;
		} while (e.fp->ncores > 1 && fp_core_of(e.fp, &t) == fp_core_of(e.fp, &m));
		return to;
	}

	/* `size` bytes each way at the same time. */
	void exchange(uint64_t size)
	{
		uint64_t left_a = size, left_b = size;

		for (int round = 0; round < 20000; round++) {
			left_a -= a.s.send(left_a);
			left_b -= b.s.send(left_b);
			e.pass(1000);
			p.listen();
			q.listen();
			a.s.recv();
			b.s.recv();
			if (a.s.read == size && b.s.read == size)
				return;
		}
	}

	uint64_t sum(uint64_t tas_fp_counters::*row)
	{
		uint64_t n = 0;

		for (uint32_t i = 0; i < e.fp->ncores; i++)
			n += e.cnt(i).*row;
		return n;
	}
};

class Loop : public testing::TestWithParam<uint32_t>
{
};

TEST_P(Loop, BytesBothWays_PortSeesNothing_NothingLost)
{
	for (bool large : {true, false}) { /* whatever the port can do */
		Pair t(GetParam(), 0x1111, large);

		t.exchange(5000000);
		EXPECT_EQ(t.a.s.read, 5000000u);
		EXPECT_EQ(t.b.s.read, 5000000u);
		EXPECT_EQ(t.a.s.bad_bytes + t.b.s.bad_bytes, 0u);
		EXPECT_EQ(t.a.s.fault + t.b.s.fault, "");
		EXPECT_EQ(mem_nic_sent(t.e.port), 0u);
		EXPECT_EQ(t.sum(&tas_fp_counters::drop_loop_full), 0u);
		EXPECT_EQ(t.sum(&tas_fp_counters::drop_forward), 0u);
		/* Receive memory is offered on demand, a little late: that is lost and sent again. */
		EXPECT_LE(t.sum(&tas_fp_counters::rto), t.sum(&tas_fp_counters::drop_no_chunk));
		EXPECT_EQ(t.sum(&tas_fp_counters::tx_retrans) != 0,
			t.sum(&tas_fp_counters::drop_no_chunk) != 0);
		EXPECT_GT(t.sum(&tas_fp_counters::loop_packets), 10000000u / 65535);
		EXPECT_EQ(t.sum(&tas_fp_counters::tx_packets), 0u);
	}
}

TEST_P(Loop, End_BothFins)
{
	Pair t(GetParam());

	t.exchange(1000);
	t.a.s.want(TAS_SOCK_CLOSED | TAS_SOCK_SHUT_WR);
	t.e.pass(1000000);
	EXPECT_TRUE(t.b.s.state() & TAS_SOCK_RX_FIN);
	t.b.s.want(TAS_SOCK_CLOSED | TAS_SOCK_SHUT_WR);
	t.e.pass(1000000);
	EXPECT_EQ(t.e.count(FP_EV_CLOSED), 2u);
	int waits = 0;
	for (auto &ev : t.e.events)
		waits += ev.type == FP_EV_CLOSED && ev.u.closed.time_wait;
	EXPECT_EQ(waits, 1) << "who closed first waits, the other does not";
}

TEST_P(Loop, Reset_ReachesTheOtherEnd)
{
	Pair t(GetParam());

	t.a.s.want(TAS_SOCK_CLOSED | TAS_SOCK_ABORT);
	t.e.pass(1000000);
	EXPECT_TRUE(t.b.s.state() & TAS_SOCK_ERROR);
	EXPECT_EQ(t.b.s.s().error, (uint32_t)ECONNRESET);
	EXPECT_EQ(mem_nic_sent(t.e.port), 0u);
}

INSTANTIATE_TEST_SUITE_P(Cores, Loop, testing::Values(1u, 2u, 3u));

/* The receiver does not read for long: the sender waits, the ring stays within its bounds. */
TEST(LoopEngine, ReceiverSleeps_SenderWaits)
{
	Pair t(1);
	uint64_t sent = 0;

	for (int i = 0; i < 2000; i++) {
		sent += t.a.s.send(UINT64_MAX);
		t.e.pass(10000);
	}
	EXPECT_EQ(t.e.cnt().drop_loop_full, 0u);
	EXPECT_FALSE(fp_loop_pending(&t.e.core(0)));
	for (int i = 0; i < 20000 && t.b.s.read < sent; i++) {
		t.b.s.recv();
		t.q.listen();
		t.e.pass(100000);
	}
	EXPECT_EQ(t.b.s.read, sent);
	EXPECT_EQ(t.b.s.bad_bytes, 0u);
}

/* A connection whose two ends are one: RFC 9293 3.5, "simultaneous" taken to its end. */
TEST(LoopEngine, OneFlowIsBothEnds)
{
	Engine e;
	Program p(e, 1);
	Conn c(e, 5, 5, 0x1111);
	Socket s(p, 5, 5, 1, 1);

	tas_addr_from_v4(c.init.tuple.raddr, kOurAddr);
	c.init.tuple.lport = 0x1111;
	c.init.irs = c.init.iss;
	c.init.rcv_adv = c.init.irs + 1 + 65535;
	c.install_in(p, 5);
	e.run();
	for (uint64_t left = 2000000; s.read < 2000000;) {
		uint64_t before = s.read;

		left -= s.send(left);
		e.pass(1000);
		p.listen();
		s.recv();
		ASSERT_TRUE(s.read > before || left > 0) << s.read;
	}
	EXPECT_EQ(s.bad_bytes, 0u);
	s.want(TAS_SOCK_CLOSED | TAS_SOCK_SHUT_WR);
	e.pass(1000000);
	EXPECT_EQ(e.count(FP_EV_CLOSED), 1u);
}

/* Somebody on the wire says to be one end of a connection of our own: RFC 1122 3.2.1.3. */
TEST(LoopEngine, FrameFromThePort_IsForged)
{
	Pair t(1);
	uint8_t frame[128];
	wire_tcp h;
	uint32_t len;

	memset(&h, 0, sizeof(h));
	h.lport = t.a.c.init.tuple.lport;
	h.rport = t.a.c.init.tuple.rport;
	h.seq = Conn::kIss + 1;
	h.ack = Conn::kIrs + 1;
	h.flags = TCP_RST | TCP_ACK;
	h.wscale = SEG_NO_WSCALE;
	wire_eth_emit(frame, (const uint8_t *)"\2\2\2\2\2\3", (const uint8_t *)"\2\2\2\2\2\2",
		WIRE_ETH_IP4);
	len = wire_tcp_emit(frame + WIRE_ETH_HDR + WIRE_IP4_HDR, &h);
	wire_ip4_emit(frame + WIRE_ETH_HDR, kOurAddr, kOurAddr, 6, (uint16_t)(WIRE_IP4_HDR + len),
		1, 0, 64);
	mem_nic_put(t.e.port, 0, frame, WIRE_ETH_HDR + WIRE_IP4_HDR + len, 0, NIC_RX_CSUM_OK);
	t.e.run();
	EXPECT_EQ(t.e.cnt().drop_forged, 1u);
	EXPECT_EQ(t.b.s.state(), (uint32_t)TAS_SOCK_OPEN);
	t.exchange(1000);
	EXPECT_EQ(t.b.s.read, 1000u);
}

/* The slow path's frame to ourselves wakes a core that sleeps, and comes to the slow path again. */
TEST(LoopEngine, SlowPathFrame_WakesCore_ComesBack)
{
	Engine e;
	nic_txpkt pkt;
	wire_tcp h;
	uint32_t len;
	fp_exc exc;

	e.run();
	memset(&pkt, 0, sizeof(pkt));
	memset(&h, 0, sizeof(h));
	h.lport = 0x1111;
	h.rport = 0x2222;
	h.flags = TCP_SYN;
	h.wscale = SEG_NO_WSCALE;
	wire_eth_emit(pkt.hdr, e.fp->caps->mac, e.fp->caps->mac, WIRE_ETH_IP4);
	len = wire_tcp_emit(pkt.hdr + WIRE_ETH_HDR + WIRE_IP4_HDR, &h);
	wire_ip4_emit(pkt.hdr + WIRE_ETH_HDR, kOurAddr, kOurAddr, 6, (uint16_t)(WIRE_IP4_HDR + len),
		1, 0, 64);
	uint16_t sum = wire_csum_fold(wire_csum_add(wire_csum_pseudo4(kOurAddr, kOurAddr, 6, len),
		pkt.hdr + WIRE_ETH_HDR + WIRE_IP4_HDR, len));
	memcpy(pkt.hdr + WIRE_ETH_HDR + WIRE_IP4_HDR + 16, &sum, 2);
	pkt.hdr_len = (uint16_t)(WIRE_ETH_HDR + WIRE_IP4_HDR + len);
	ASSERT_EQ(e.next(), UINT64_MAX);
	ASSERT_EQ(fp_tx_frame(e.fp, &pkt), 0);
	EXPECT_EQ(e.next(), 0u) << "the core must not sleep";
	e.run();
	ASSERT_EQ(fp_exc_next(e.fp, &exc), 1);
	EXPECT_EQ(exc.len, pkt.hdr_len);
	EXPECT_TRUE(exc.flags & NIC_RX_OWN);
	EXPECT_EQ(mem_nic_sent(e.port), 0u);
	/* Nobody takes them in: the queue has an end. */
	int n = 0;
	while (n < 100000 && fp_tx_frame(e.fp, &pkt) == 0)
		n++;
	EXPECT_LT(n, 100000);
	EXPECT_EQ(fp_tx_frame(e.fp, &pkt), -EAGAIN);
}

} // namespace
