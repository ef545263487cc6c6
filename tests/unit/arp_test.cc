/*
 * Neighbours: resolution, ageing, what is believed. RFC 826, 1122 2.3.2, 5227. And echo replies.
 */
#include <set>
#include "sp_peer.h"

namespace
{

const uint8_t other_mac[6] = {0x02, 0, 0, 0, 0, 9};

class Arp : public SlowPath
{
      protected:
	void SetUp() override
	{
		start();
		fake_forget();
	}
	/* Frame i as ARP; fails when it is none. */
	struct wire_arp question(uint32_t i)
	{
		struct wire_arp a = {};

		EXPECT_LT(i, fake_nframes);
		EXPECT_EQ(wire_arp_parse(fake_frames[i].data, fake_frames[i].len, &a), 0);
		return a;
	}
	uint16_t want(uint8_t host)
	{
		uint8_t addr[16];

		tas_addr_from_v4(addr, fake_addr(host));
		return sp_neigh_for(sp, addr, nullptr);
	}
};

TEST_F(Arp, AskedForUs_AnswersAndLearns)
{
	arp(1);
	ASSERT_EQ(fake_nframes, 1u);
	struct wire_arp a = question(0);
	EXPECT_EQ(a.op, 2);
	EXPECT_EQ(a.spa, fake_addr(2));
	EXPECT_EQ(a.tpa, fake_addr(1));
	EXPECT_EQ(memcmp(a.sha, fake_mac, 6), 0);
	EXPECT_EQ(memcmp(fake_frames[0].data, fake_peer_mac, 6), 0);
	ASSERT_NE(neighbour(1), nullptr);
	EXPECT_EQ(neighbour(1)->state, SP_NEIGH_STALE);
	EXPECT_EQ(
		fake_neigh[neighbour(1)->id], 0x010000000002ull | FP_NEIGH_VALID | FP_NEIGH_STALE);
}

TEST_F(Arp, AskedForOthers_NoAnswerNoEntry)
{
	arp(1, 1, fake_peer_mac, 0, fake_addr(3));
	EXPECT_EQ(fake_nframes, 0u);
	EXPECT_EQ(neighbour(1), nullptr);
}

TEST_F(Arp, ProbeForOurAddress_Answered)
{
	uint8_t frame[64] = {};
	struct wire_arp a = {};
	a.op = 1;
	memcpy(a.sha, fake_peer_mac, 6);
	a.tpa = fake_addr(2); /* sender 0.0.0.0: RFC 5227 */
	fake_receive(sp, frame, wire_arp_emit(frame, fake_peer_mac, fake_mac, &a));
	ASSERT_EQ(fake_nframes, 1u);
	EXPECT_EQ(question(0).op, 2);
}

TEST_F(Arp, UnaskedReply_NotBelievedFromStrangers)
{
	arp(2, 5);
	EXPECT_EQ(neighbour(5), nullptr);
}

TEST_F(Arp, OffLinkOrGroupSender_Refused)
{
	arp(1, 0, fake_peer_mac, htonl(0x0b000001));
	arp(1, 0, fake_peer_mac, htonl(0xe0000001));
	arp(1, 0, fake_peer_mac, htonl(0x0a0000ff));
	const uint8_t group[6] = {0x01, 0, 0x5e, 0, 0, 1}, zero[6] = {};
	arp(1, 1, group);
	arp(1, 1, zero);
	uint32_t cursor = 1;
	EXPECT_EQ(sp_neigh_next(sp, &cursor), nullptr);
	EXPECT_EQ(sp->cnt.drop_arp_bad, 5u);
	EXPECT_EQ(fake_nframes, 0u);
}

TEST_F(Arp, OurAddressClaimed_NotBelieved)
{
	arp(1, 2, other_mac);
	EXPECT_EQ(fake_nframes, 0u);
	EXPECT_EQ(sp->cnt.drop_arp_bad, 1u);
}

TEST_F(Arp, Unknown_AsksThreeTimesThenFails)
{
	uint16_t id = want(7);
	ASSERT_NE(id, 0);
	ASSERT_EQ(fake_nframes, 1u);
	EXPECT_EQ(question(0).op, 1);
	EXPECT_EQ(question(0).tpa, fake_addr(7));
	EXPECT_EQ(fake_frames[0].data[0], 0xff);
	fake_advance(sp, 10 * FAKE_SECOND);
	EXPECT_EQ(fake_nframes, 3u);
	EXPECT_EQ(neighbour(7)->state, SP_NEIGH_FAILED);
	EXPECT_EQ(fake_neigh[id], 0u);
	sp_neigh_used(sp, id); /* a core wants it: asked anew, not more than once a second */
	sp_neigh_used(sp, id);
	sp_neigh_used(sp, id);
	EXPECT_EQ(fake_nframes, 4u);
}

TEST_F(Arp, Reachable_AgesToStale_ProbedByUnicastOnUse)
{
	uint16_t id = want(7);
	arp(2, 7);
	EXPECT_EQ(neighbour(7)->state, SP_NEIGH_REACHABLE);
	EXPECT_EQ(fake_neigh[id] & FP_NEIGH_STALE, 0u);
	fake_nframes = 0;
	fake_advance(sp, 29 * FAKE_SECOND);
	EXPECT_EQ(neighbour(7)->state, SP_NEIGH_REACHABLE);
	fake_advance(sp, 3 * FAKE_SECOND);
	EXPECT_EQ(neighbour(7)->state, SP_NEIGH_STALE);
	EXPECT_NE(fake_neigh[id] & FP_NEIGH_STALE, 0u);
	EXPECT_EQ(fake_nframes, 0u); /* nobody uses it, nobody asks */
	struct fp_event ev = {};
	ev.type = FP_EV_NEIGH;
	ev.id = id;
	fake_event(&ev);
	fake_event(&ev);
	sp_round(sp);
	ASSERT_EQ(fake_nframes, 1u);
	EXPECT_EQ(memcmp(fake_frames[0].data, fake_peer_mac, 6), 0);
	EXPECT_NE(fake_neigh[id] & FP_NEIGH_VALID, 0u); /* used meanwhile */
	arp(2, 7);
	EXPECT_EQ(neighbour(7)->state, SP_NEIGH_REACHABLE);
}

TEST_F(Arp, Gratuitous_MacMoves)
{
	uint16_t id = want(7);
	arp(2, 7);
	arp(1, 7, other_mac, fake_addr(7), fake_addr(7));
	EXPECT_EQ(fake_neigh[id] >> 40 & 0xff, 9u);
	EXPECT_EQ(neighbour(7)->state, SP_NEIGH_STALE); /* to be confirmed when used */
}

TEST_F(Arp, QueuedFrame_LeavesWithTheAnswer_OneOnly)
{
	uint8_t a[100] = {1}, b[100] = {2};
	uint16_t id = want(7);
	fake_nframes = 0;
	sp_neigh_send(sp, id, a, sizeof(a));
	sp_neigh_send(sp, id, b, sizeof(b));
	EXPECT_EQ(fake_nframes, 0u);
	EXPECT_EQ(sp->cnt.drop_neigh_queue, 1u);
	arp(2, 7);
	ASSERT_EQ(fake_nframes, 1u);
	EXPECT_EQ(fake_frames[0].len, 100u);
	EXPECT_EQ(memcmp(fake_frames[0].data, fake_peer_mac, 6), 0);
}

/* However many handshakes begin before the answer, all their SYNs leave with it. */
TEST_F(Arp, Handshakes_AllBeginWithTheAnswer)
{
	struct sp_app *app = program();
	std::set<uint16_t> ports;
	struct sp_conn *c[20];
	fake_forget();
	for (uint32_t i = 0; i < 20; i++) {
		c[i] = connect_out(app, i, 80, nullptr, 0, 7);
		ASSERT_NE(c[i], nullptr);
	}
	ASSERT_EQ(fake_nframes, 1u); /* the question */
	fake_nframes = 0;
	fake_advance(sp, FAKE_SECOND / 2);
	arp(2, 7);
	ASSERT_EQ(fake_nframes, 20u);
	for (uint32_t i = 0; i < 20; i++) {
		struct seg s = sent(i);
		EXPECT_EQ(s.flags & TCP_SYN, TCP_SYN);
		ports.insert(s.tuple.rport); /* ours, as the peer sees it */
	}
	EXPECT_EQ(ports.size(), 20u);
	EXPECT_EQ(sp->cnt.syn_retrans, 0u);
	EXPECT_EQ(sp->cnt.drop_neigh_queue, 0u);
	/* The round trip begins when the SYN leaves, and so does its time-out. */
	EXPECT_EQ(c[0]->sent_ns, sp->now_ns);
	fake_nframes = 0;
	fake_advance(sp, FAKE_SECOND * 9 / 10);
	EXPECT_EQ(fake_nframes, 0u);
	fake_advance(sp, FAKE_SECOND / 5);
	EXPECT_EQ(fake_nframes, 20u);
}

TEST_F(Arp, NoRouteBack_NoHandshake)
{
	struct sp_app *app = program();
	listener(app, 80);
	fake_forget();
	uint8_t frame[2048];
	struct wire_tcp syn = head(4000, 80, TCP_SYN, 1);
	uint32_t len = fake_tcp(frame, 1, &syn, nullptr, 0), far = htonl(0xc0a80101);
	uint16_t sum;
	wire_ip4_emit(frame + WIRE_ETH_HDR, far, fake_addr(2), 6, (uint16_t)(len - WIRE_ETH_HDR), 1,
		0, 64);
	memset(frame + WIRE_ETH_HDR + WIRE_IP4_HDR + 16, 0, 2);
	sum = wire_csum_fold(wire_csum_add(
		wire_csum_pseudo4(far, fake_addr(2), 6, len - WIRE_ETH_HDR - WIRE_IP4_HDR),
		frame + WIRE_ETH_HDR + WIRE_IP4_HDR, len - WIRE_ETH_HDR - WIRE_IP4_HDR));
	memcpy(frame + WIRE_ETH_HDR + WIRE_IP4_HDR + 16, &sum, 2);
	fake_receive(sp, frame, len);
	EXPECT_EQ(fake_nframes, 0u);
	EXPECT_EQ(sp->cnt.drop_no_route, 1u);
	EXPECT_EQ(sp->cnt.conn_passive, 0u);
}

/* A peer beyond the last neighbour entry is not accepted, since nothing could be sent to it, but may try again. */
TEST_F(Arp, TableFullOfReferenced_HandshakeWaits)
{
	fake_stop(sp);
	options = {"--routes=10.1.0.0/16"};
	start();
	struct sp_app *app = program();
	listener(app, 80);
	uint8_t addr[16];
	uint16_t last = 0;
	for (uint32_t i = 0; i < FP_MAX_NEIGH - 1; i++) {
		tas_addr_from_v4(addr, htonl(0x0a010000 + i + 1));
		last = sp_neigh_for(sp, addr, fake_peer_mac);
	}
	struct sp_conn *c = connect_peer(4000, 80);
	ASSERT_NE(c, nullptr);
	EXPECT_EQ(c->state, SP_CONN_SYN_RCVD);
	EXPECT_EQ(sp->cnt.drop_no_route, 1u);
	sp_neigh_unref(sp, last);
	receive(head(4000, 80, TCP_ACK, 5001, c->iss + 1));
	EXPECT_EQ(c->state, SP_CONN_OPEN);
	EXPECT_NE(c->neigh, 0);
}

TEST_F(Arp, TableFull_UnreferencedGiveWay)
{
	fake_stop(sp);
	options = {"--routes=10.1.0.0/16"};
	start();
	uint8_t addr[16];
	for (uint32_t i = 0; i < 3000; i++) { /* a scan from a connected prefix */
		tas_addr_from_v4(addr, htonl(0x0a010000 + i + 1));
		uint16_t id = sp_neigh_for(sp, addr, fake_peer_mac);
		ASSERT_NE(id, 0) << i;
		if (i >= 500)
			sp_neigh_unref(sp, id); /* the first 500 stay in use */
	}
	for (uint32_t i = 0; i < 500; i++) {
		tas_addr_from_v4(addr, htonl(0x0a010000 + i + 1));
		uint16_t id = sp_neigh_for(sp, addr, nullptr);
		ASSERT_NE(id, 0);
		EXPECT_EQ(sp_neigh_get(sp, id)->refs, 2u);
	}
	EXPECT_LE(sp_arena_used(&sp->net.neighs), FP_MAX_NEIGH - 1);
}

TEST_F(Arp, TableFullOfReferenced_NoMore)
{
	fake_stop(sp);
	options = {"--routes=10.1.0.0/16"};
	start();
	uint8_t addr[16];
	for (uint32_t i = 0; i < FP_MAX_NEIGH - 1; i++) {
		tas_addr_from_v4(addr, htonl(0x0a010000 + i + 1));
		ASSERT_NE(sp_neigh_for(sp, addr, fake_peer_mac), 0);
	}
	tas_addr_from_v4(addr, htonl(0x0a01ff01));
	EXPECT_EQ(sp_neigh_for(sp, addr, nullptr), 0);
}

TEST_F(Arp, Start_Announces)
{
	sp_arp_announce(sp);
	ASSERT_EQ(fake_nframes, 1u);
	struct wire_arp a = question(0);
	EXPECT_EQ(a.op, 1);
	EXPECT_EQ(a.spa, fake_addr(2));
	EXPECT_EQ(a.tpa, fake_addr(2));
}

/* ---- ICMP ---- */

TEST_F(Arp, Echo_SameIdSequenceAndData)
{
	uint8_t frame[2048], body[1472];
	for (uint32_t i = 0; i < sizeof(body); i++)
		body[i] = (uint8_t)(i * 7);
	for (uint32_t n : {0u, 1u, 56u, 1471u, 1472u}) {
		fake_nframes = 0;
		uint32_t len = wire_icmp_emit(frame, fake_peer_mac, fake_mac, fake_addr(1),
			fake_addr(2), 8, 0, htonl(0x12345678), body, n);
		fake_receive(sp, frame, len);
		ASSERT_EQ(fake_nframes, 1u) << n;
		struct wire_icmp r;
		ASSERT_EQ(wire_icmp_parse(fake_frames[0].data, fake_frames[0].len, &r), 0);
		EXPECT_EQ(r.type, 0);
		EXPECT_EQ(ntohs(r.id), 0x1234);
		EXPECT_EQ(ntohs(r.seq), 0x5678);
		EXPECT_EQ(r.saddr, fake_addr(2));
		EXPECT_EQ(r.daddr, fake_addr(1));
		ASSERT_EQ(r.body_len, n);
		EXPECT_EQ(memcmp(r.body, body, n), 0);
	}
}

TEST_F(Arp, Echo_TooLong_Counted)
{
	std::vector<uint8_t> frame(9014);
	uint8_t body[1473] = {}, *ip = frame.data() + WIRE_ETH_HDR, *icmp = ip + WIRE_IP4_HDR;
	uint16_t sum;

	wire_icmp_emit(frame.data(), fake_peer_mac, fake_mac, fake_addr(1), fake_addr(2), 8, 0, 0,
		body, 0);
	for (uint32_t n : {1473u, 2500u, 8972u}) {
		wire_ip4_emit(ip, fake_addr(1), fake_addr(2), 1, (uint16_t)(28 + n), 0, 0, 64);
		memset(icmp + 2, 0, 2);
		sum = wire_csum_fold(wire_csum_add(0, icmp, 8 + n));
		memcpy(icmp + 2, &sum, 2);
		fake_receive(sp, frame.data(), 42 + n);
	}
	EXPECT_EQ(fake_nframes, 0u);
	EXPECT_EQ(sp->cnt.drop_too_long, 3u);
	EXPECT_EQ(sp->cnt.drop_icmp_rate, 0u);
}

/* Padding belongs to nobody. */
TEST_F(Arp, Question_PaddedBeyondWhatACoreCopies_Answered)
{
	std::vector<uint8_t> frame(3000);
	struct wire_arp a = {};

	a.op = 1;
	memcpy(a.sha, fake_peer_mac, 6);
	a.spa = fake_addr(1);
	a.tpa = fake_addr(2);
	wire_arp_emit(frame.data(), fake_peer_mac, fake_mac, &a);
	fake_receive(sp, frame.data(), (uint32_t)frame.size());
	EXPECT_EQ(fake_nframes, 1u);
}

TEST_F(Arp, Icmp_OfATypeThatNobodyAskedFor_Counted)
{
	uint8_t frame[256], body[8] = {};

	fake_receive(sp, frame,
		wire_icmp_emit(frame, fake_peer_mac, fake_mac, fake_addr(1), fake_addr(2), 0, 0, 0,
			body, 8));
	EXPECT_EQ(sp->cnt.drop_icmp_bad, 1u);
}

TEST_F(Arp, EchoFlood_Bounded)
{
	uint8_t frame[256], body[8] = {};
	uint32_t len = wire_icmp_emit(
		frame, fake_peer_mac, fake_mac, fake_addr(1), fake_addr(2), 8, 0, 0, body, 8);
	for (int i = 0; i < 3000; i++)
		fake_receive(sp, frame, len);
	EXPECT_LE(fake_nframes, 1000u);
	EXPECT_GE(sp->cnt.drop_icmp_rate, 2000u);
}

TEST_F(Arp, Icmp_FromGroupsOrBroken_Counted)
{
	uint8_t frame[256], body[8] = {};
	uint32_t len = wire_icmp_emit(
		frame, fake_peer_mac, fake_mac, fake_addr(255), fake_addr(2), 8, 0, 0, body, 8);
	fake_receive(sp, frame, len);
	EXPECT_EQ(fake_nframes, 0u);
	EXPECT_EQ(sp->cnt.drop_icmp_bad, 1u);
	len = wire_icmp_emit(
		frame, fake_peer_mac, fake_mac, fake_addr(1), fake_addr(2), 8, 0, 0, body, 8);
	frame[len - 1] ^= 1;
	fake_receive(sp, frame, len);
	EXPECT_EQ(fake_nframes, 0u);
	EXPECT_EQ(sp->cnt.drop_icmp_bad, 2u);
}

} // namespace
