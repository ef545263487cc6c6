/*
 * Wire formats: every check of the parser refuses what it should and nothing else, emit and parse
 * agree, the checksum equals a naive one, ICMP and ARP.
 */
#include <gtest/gtest.h>
#include <cerrno>
#include <functional>
#include <memory>
#include <random>
#include <vector>
#include "tcp_c.h"

namespace
{

using Bytes = std::vector<uint8_t>;

uint16_t naive_csum(const uint8_t *p, size_t len, uint32_t sum = 0)
{
	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)(p[i] << 8 | p[i + 1]);
	if (len & 1)
		sum += (uint32_t)p[len - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* A valid frame to be damaged; fix() makes lengths and checksums right again. */
struct TestFrame {
	Bytes b;

	explicit TestFrame(size_t payload = 5, Bytes options = {}, Bytes ip_options = {})
	{
		while (options.size() % 4)
			options.push_back(0);
		size_t ihl = 20 + ip_options.size(), off = 20 + options.size();

		b.assign(14 + ihl + off + payload, 0xab);
		put16(&b[12], 0x0800);
		uint8_t *ip = &b[14], *tcp = ip + ihl;
		memset(ip, 0, 20);
		ip[0] = (uint8_t)(0x40 | ihl / 4);
		ip[8] = 64;
		ip[9] = 6;
		ip[12] = 10, ip[15] = 2;
		ip[16] = 10, ip[19] = 1;
		std::copy(ip_options.begin(), ip_options.end(), ip + 20);
		memset(tcp, 0, 20);
		put16(tcp, 1234);
		put16(tcp + 2, 80);
		put16(tcp + 4, 0x0102), put16(tcp + 6, 0x0304);
		put16(tcp + 8, 0x1112), put16(tcp + 10, 0x1314);
		tcp[12] = (uint8_t)(off / 4 << 4);
		tcp[13] = TCP_ACK;
		put16(tcp + 14, 500);
		std::copy(options.begin(), options.end(), tcp + 20);
		fix();
	}

	uint8_t *ip()
	{
		return &b[14];
	}

	uint8_t *tcp()
	{
		return ip() + (ip()[0] & 15) * 4;
	}

	void fix()
	{
		put16(ip() + 2, (uint16_t)(b.size() - 14));
		fix_ip();
		fix_tcp();
	}

	void fix_ip()
	{
		put16(ip() + 10, 0);
		put16(ip() + 10, naive_csum(ip(), (ip()[0] & 15) * 4u));
	}

	void fix_tcp()
	{
		size_t len = (size_t)(&b[0] + b.size() - tcp());
		uint32_t sum = 6 + (uint32_t)len;

		for (int i = 12; i < 20; i += 2)
			sum += (uint32_t)(ip()[i] << 8 | ip()[i + 1]);
		put16(tcp() + 16, 0);
		put16(tcp() + 16, naive_csum(tcp(), len, sum));
	}

	wire_kind parse(seg *s = nullptr, uint16_t gso = 0, int csum_ok = 0) const
	{
		seg unused;
		/* Exactly sized, so that a sanitizer sees any byte read beyond. */
		std::unique_ptr<uint8_t[]> copy(new uint8_t[b.size()]);

		memcpy(copy.get(), b.data(), b.size());
		wire_kind k =
			wire_parse(copy.get(), (uint32_t)b.size(), gso, csum_ok, s ? s : &unused);
		if (s && k == WIRE_TCP)
			s->payload = b.data() + (s->payload - copy.get());
		return k;
	}
};

TEST(Parse, plain_segment_gives_its_fields)
{
	TestFrame f;
	seg s;

	ASSERT_EQ(WIRE_TCP, f.parse(&s));
	EXPECT_EQ(0x01020304u, s.seq);
	EXPECT_EQ(0x11121314u, s.ack);
	EXPECT_EQ(500, s.wnd);
	EXPECT_EQ(TCP_ACK, s.flags);
	EXPECT_EQ(5u, s.len);
	EXPECT_EQ(f.b.data() + 54, s.payload);
	EXPECT_EQ(1, s.nsegs);
	EXPECT_EQ(0, s.has_ts);
	EXPECT_EQ(SEG_NO_WSCALE, s.wscale);
	EXPECT_EQ(htobe16(80), s.tuple.lport);
	EXPECT_EQ(htobe16(1234), s.tuple.rport);
	EXPECT_EQ(htobe32(0x0a000001), tas_addr_v4(s.tuple.laddr));
	EXPECT_EQ(htobe32(0x0a000002), tas_addr_v4(s.tuple.raddr));
	EXPECT_TRUE(tas_addr_is_v4(s.tuple.laddr));
}

TEST(Parse, ethernet_padding_is_not_payload)
{
	TestFrame f(0);
	seg s;

	f.b.resize(60, 0x77);
	ASSERT_EQ(WIRE_TCP, f.parse(&s));
	EXPECT_EQ(0u, s.len);
}

TEST(Parse, every_truncation_is_refused)
{
	TestFrame f(8, {1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2});

	for (size_t n = 0; n < f.b.size(); n++) {
		TestFrame g = f;

		g.b.resize(n);
		EXPECT_EQ(WIRE_DROP_SHORT, g.parse()) << n;
	}
}

TEST(Parse, other_ethertypes)
{
	TestFrame f(20);

	for (uint16_t t : {0x86dd, 0x8100, 0x88cc, 0x0000}) {
		put16(&f.b[12], t);
		EXPECT_EQ(WIRE_DROP_ETHERTYPE, f.parse());
	}
	put16(&f.b[12], 0x0806);
	EXPECT_EQ(WIRE_ARP, f.parse());
	f.b.resize(41);
	EXPECT_EQ(WIRE_DROP_SHORT, f.parse());
}

TEST(Parse, ip_header_is_checked)
{
	auto damaged = [](std::function<void(TestFrame &)> how) {
		TestFrame f;

		how(f);
		f.fix_ip();
		return f.parse();
	};

	EXPECT_EQ(WIRE_DROP_IP_HEADER, damaged([](auto &f) { f.ip()[0] = 0x65; }));
	EXPECT_EQ(WIRE_DROP_IP_HEADER, damaged([](auto &f) { f.ip()[0] = 0x44; }));
	EXPECT_EQ(WIRE_DROP_IP_HEADER, damaged([](auto &f) { put16(f.ip() + 2, 19); }));
	EXPECT_EQ(WIRE_DROP_SHORT, damaged([](auto &f) { put16(f.ip() + 2, 1000); }));
	EXPECT_EQ(WIRE_DROP_IP_FRAGMENT, damaged([](auto &f) { put16(f.ip() + 6, 0x2000); }));
	EXPECT_EQ(WIRE_DROP_IP_FRAGMENT, damaged([](auto &f) { put16(f.ip() + 6, 0x0001); }));
	EXPECT_EQ(WIRE_TCP, damaged([](auto &f) { put16(f.ip() + 6, 0x4000); }));
	EXPECT_EQ(WIRE_DROP_IP_PROTO, damaged([](auto &f) { f.ip()[9] = 17; }));
	EXPECT_EQ(WIRE_ICMP, damaged([](auto &f) { f.ip()[9] = 1; }));
	for (uint8_t top : {0, 127, 224, 239, 240, 255})
		EXPECT_EQ(WIRE_DROP_IP_HEADER, damaged([=](auto &f) { f.ip()[12] = top; }))
			<< (int)top;
}

TEST(Parse, every_flipped_bit_of_the_ip_header_is_seen)
{
	for (size_t bit = 0; bit < 160; bit++) {
		TestFrame f;

		f.ip()[bit / 8] ^= (uint8_t)(1 << bit % 8);
		EXPECT_NE(WIRE_TCP, f.parse()) << bit;
	}
}

TEST(Parse, ip_checksum_is_checked_even_when_the_device_vouches)
{
	TestFrame f;

	f.ip()[10] ^= 1;
	EXPECT_EQ(WIRE_DROP_IP_CHECKSUM, f.parse(nullptr, 0, 1));
}

TEST(Parse, ip_options)
{
	EXPECT_EQ(WIRE_TCP, TestFrame(5, {}, {1, 1, 1, 0}).parse());
	EXPECT_EQ(WIRE_TCP, TestFrame(5, {}, {148, 4, 0, 0}).parse());
	EXPECT_EQ(WIRE_TCP, TestFrame(5, {}, {0, 131, 0, 0}).parse()) << "behind the end";
	EXPECT_EQ(WIRE_DROP_IP_OPTIONS, TestFrame(5, {}, {131, 3, 4, 0}).parse());
	EXPECT_EQ(WIRE_DROP_IP_OPTIONS, TestFrame(5, {}, {137, 3, 4, 0}).parse());
	EXPECT_EQ(WIRE_DROP_IP_OPTIONS, TestFrame(5, {}, {148, 0, 0, 0}).parse());
	EXPECT_EQ(WIRE_DROP_IP_OPTIONS, TestFrame(5, {}, {148, 1, 0, 0}).parse());
	EXPECT_EQ(WIRE_DROP_IP_OPTIONS, TestFrame(5, {}, {148, 5, 0, 0}).parse());
	EXPECT_EQ(WIRE_DROP_IP_OPTIONS, TestFrame(5, {}, {1, 1, 1, 148}).parse());
}

TEST(Parse, tcp_checksum_is_checked_unless_the_device_vouches)
{
	for (size_t i = 34; i < 59; i++) {
		TestFrame f;

		f.b[i] ^= 0x10;
		if (i == 34 + 12)
			continue; /* the data offset is checked before */
		EXPECT_EQ(WIRE_DROP_TCP_CHECKSUM, f.parse()) << i;
	}
	TestFrame f;
	f.b.back() ^= 1;
	EXPECT_EQ(WIRE_TCP, f.parse(nullptr, 0, 1));
}

TEST(Parse, tcp_header_length_is_checked)
{
	for (int words = 0; words < 16; words++) {
		TestFrame f(5);

		f.tcp()[12] = (uint8_t)(words << 4);
		f.fix();
		/* Six words would make options of the payload, whose length lies. */
		EXPECT_EQ(words == 5 ? WIRE_TCP : WIRE_DROP_TCP_HEADER, f.parse()) << words;
	}
	TestFrame f(0);
	f.b.resize(14 + 20 + 19);
	f.fix();
	EXPECT_EQ(WIRE_DROP_TCP_HEADER, f.parse());
}

TEST(Parse, tcp_flags_that_cannot_be)
{
	for (int flags = 0; flags < 256; flags++) {
		TestFrame f;
		bool bad =
			(flags & 0x3f) == 0 || ((flags & TCP_SYN) && (flags & (TCP_FIN | TCP_RST)));

		f.tcp()[13] = (uint8_t)flags;
		f.fix();
		EXPECT_EQ(bad ? WIRE_DROP_TCP_FLAGS : WIRE_TCP, f.parse()) << flags;
	}
}

TEST(Parse, options_of_a_syn)
{
	TestFrame f(0, {2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 1, 0, 0, 0, 2, 0, 1, 3, 3, 7});
	seg s;

	f.tcp()[13] = TCP_SYN;
	f.fix();
	ASSERT_EQ(WIRE_TCP, f.parse(&s));
	EXPECT_EQ(1460, s.mss);
	EXPECT_EQ(7, s.wscale);
	EXPECT_EQ(1, s.sack_ok);
	EXPECT_EQ(1, s.has_ts);
	EXPECT_EQ(256u, s.ts_val);
	EXPECT_EQ(512u, s.ts_ecr);
	/* Without SYN they mean nothing. */
	f.tcp()[13] = TCP_ACK;
	f.fix();
	ASSERT_EQ(WIRE_TCP, f.parse(&s));
	EXPECT_EQ(0, s.mss);
	EXPECT_EQ(SEG_NO_WSCALE, s.wscale);
	EXPECT_EQ(0, s.sack_ok);
	EXPECT_EQ(1, s.has_ts);
}

/* RFC 7323 2.3: more than 14 means 14. */
TEST(Parse, window_scale_is_limited)
{
	TestFrame f(0, {3, 3, 200, 1});
	seg s;

	f.tcp()[13] = TCP_SYN;
	f.fix();
	ASSERT_EQ(WIRE_TCP, f.parse(&s));
	EXPECT_EQ(14, s.wscale);
}

TEST(Parse, sack_blocks)
{
	Bytes o = {1, 1, 5, 18, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 1, 1, 0, 0, 1, 9};
	seg s;

	ASSERT_EQ(WIRE_TCP, TestFrame(5, o).parse(&s));
	ASSERT_EQ(2, s.nsack);
	EXPECT_EQ(1u, s.sack[0].left);
	EXPECT_EQ(9u, s.sack[0].right);
	EXPECT_EQ(257u, s.sack[1].left);
	EXPECT_EQ(265u, s.sack[1].right);
	/* Odd lengths are ignored; a second option does not overflow the array. */
	ASSERT_EQ(WIRE_TCP, TestFrame(5, {5, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}).parse(&s));
	EXPECT_EQ(0, s.nsack);
	Bytes four = {5, 34};
	four.resize(34, 1);
	ASSERT_EQ(WIRE_TCP, TestFrame(5, four).parse(&s));
	EXPECT_EQ(4, s.nsack);
}

/* The original stack looped for ever on the first of these. */
TEST(Parse, option_lengths_that_lie)
{
	for (uint8_t kind : {2, 3, 4, 5, 8, 30, 254}) {
		EXPECT_EQ(WIRE_DROP_TCP_HEADER, TestFrame(5, {kind, 0, 0, 0}).parse());
		EXPECT_EQ(WIRE_DROP_TCP_HEADER, TestFrame(5, {kind, 1, 0, 0}).parse());
		EXPECT_EQ(WIRE_DROP_TCP_HEADER, TestFrame(5, {kind, 5, 0, 0}).parse());
		EXPECT_EQ(WIRE_DROP_TCP_HEADER, TestFrame(5, {1, 1, 1, kind}).parse());
	}
	EXPECT_EQ(WIRE_TCP, TestFrame(5, {0, 8, 0, 0}).parse()) << "behind the end";
	EXPECT_EQ(WIRE_TCP, TestFrame(5, {254, 4, 0, 0}).parse()) << "unknown, well-formed";
	seg s;
	ASSERT_EQ(WIRE_TCP, TestFrame(5, {8, 4, 0, 0}).parse(&s)) << "known, wrong length: ignored";
	EXPECT_EQ(0, s.has_ts);
}

TEST(Parse, gso_frames)
{
	TestFrame f(3000);
	seg s;

	ASSERT_EQ(WIRE_TCP, f.parse(&s, 1448));
	EXPECT_EQ(3, s.nsegs);
	ASSERT_EQ(WIRE_TCP, f.parse(&s, 3000));
	EXPECT_EQ(1, s.nsegs);
	EXPECT_EQ(WIRE_TCP, f.parse(&s, 24));
	EXPECT_EQ(125, s.nsegs);
	EXPECT_EQ(WIRE_TCP, f.parse(&s, 23));
	EXPECT_EQ(131, s.nsegs);
	EXPECT_EQ(WIRE_TCP, TestFrame(65000).parse(&s, 1));
	EXPECT_EQ(65000, s.nsegs);
	EXPECT_EQ(WIRE_DROP_GSO, TestFrame(0).parse(&s, 1448));
	EXPECT_EQ(WIRE_TCP, TestFrame(65000).parse(&s, 65535));
}

TEST(Parse, ecn_and_urgent)
{
	TestFrame f;
	seg s;

	f.ip()[1] = 0xb8 | 3;
	put16(f.tcp() + 18, 77);
	f.fix();
	ASSERT_EQ(WIRE_TCP, f.parse(&s));
	EXPECT_EQ(3, s.ecn);
	EXPECT_EQ(77, s.urg_ptr);
}

/* Any damage either is refused or gives a value whose payload lies within the frame. */
TEST(Parse, random_damage_stays_inside)
{
	std::mt19937 rng(1);

	for (int i = 0; i < 300000; i++) {
		TestFrame f(rng() % 40, Bytes(rng() % 11 * 4, (uint8_t)rng()));
		seg s;

		for (uint32_t k = rng() % 6; k > 0; k--)
			f.b[12 + rng() % (f.b.size() - 12)] = (uint8_t)rng();
		if (rng() % 2)
			f.b.resize(rng() % (f.b.size() + 1));
		if (f.b.size() >= 54 && (f.ip()[0] & 15) == 5 && rng() % 4)
			f.fix_ip();
		if (f.parse(&s, rng() % 4 ? 0 : (uint16_t)rng(), 1) != WIRE_TCP)
			continue;
		EXPECT_GE(s.payload, f.b.data());
		EXPECT_LE(s.payload + s.len, f.b.data() + f.b.size());
		EXPECT_LE(s.nsack, SEG_MAX_SACK);
		EXPECT_GE(s.nsegs, 1);
		EXPECT_LE(s.nsegs, 128);
	}
}

TEST(Csum, equals_the_naive_sum_at_any_length_and_alignment)
{
	std::mt19937 rng(2);
	Bytes b(70000);

	for (auto &x : b)
		x = (uint8_t)rng();
	std::fill(b.begin() + 1000, b.begin() + 3000, 0xff);
	for (int i = 0; i < 4000; i++) {
		size_t at = rng() % 200, len = i < 300 ? (size_t)i : rng() % (b.size() - 200);
		uint16_t mine = wire_csum_fold(wire_csum_add(0, &b[at], (uint32_t)len));

		EXPECT_EQ(htobe16(naive_csum(&b[at], len)), mine) << at << " " << len;
	}
}

TEST(Csum, pieces_add_up)
{
	std::mt19937 rng(3);
	Bytes b(5000);

	for (auto &x : b)
		x = (uint8_t)rng();
	for (int i = 0; i < 1000; i++) {
		uint32_t cut = rng() % 2500 * 2;
		uint64_t sum = wire_csum_add(0, b.data(), cut);

		sum = wire_csum_add(sum, b.data() + cut, 4999 - cut);
		EXPECT_EQ(wire_csum_fold(wire_csum_add(0, b.data(), 4999)), wire_csum_fold(sum));
	}
}

TEST(Csum, long_runs_of_ones_do_not_overflow)
{
	Bytes b(1u << 20, 0xff);
	uint64_t sum = 0;

	for (int i = 0; i < 100000; i++)
		sum = wire_csum_add(sum, b.data(), 64);
	EXPECT_EQ(0, wire_csum_fold(sum));
	EXPECT_EQ(0, wire_csum_fold(wire_csum_add(0, b.data(), (uint32_t)b.size())));
}

/* What is emitted parses to the same, for every combination of options. */
TEST(Emit, tcp_header_parses_back)
{
	for (int mask = 0; mask < 64; mask++) {
		for (int nsack = 0; nsack <= 5; nsack++) {
			wire_tcp t = {};
			uint8_t frame[134] = {};
			seg s;

			t.lport = htobe16(80);
			t.rport = htobe16(999);
			t.seq = 0xdeadbeef;
			t.ack = 0x12345678;
			t.wnd = 4321;
			t.flags = mask & 1 ? TCP_SYN : TCP_ACK;
			t.has_ts = (mask & 2) != 0;
			t.ts_val = 11, t.ts_ecr = 22;
			t.sack_ok = (mask & 4) != 0 && mask & 1;
			t.wscale = mask & 8 && mask & 1 ? 9 : SEG_NO_WSCALE;
			t.mss = mask & 16 && mask & 1 ? 1460 : 0;
			t.nsack = (uint8_t)nsack;
			for (int i = 0; i < SEG_MAX_SACK; i++)
				t.sack[i] = {100u * (uint32_t)i, 100u * (uint32_t)i + 50};
			uint32_t n = wire_tcp_emit(frame + 34, &t);
			ASSERT_LE(n, 60u);
			ASSERT_EQ(0u, n % 4);
			uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
			wire_eth_emit(frame, mac, mac, WIRE_ETH_IP4);
			wire_ip4_emit(frame + 14, htobe32(0x0a000002), htobe32(0x0a000001), 6,
				(uint16_t)(20 + n), 7, 0, 64);
			uint64_t sum =
				wire_csum_pseudo4(htobe32(0x0a000002), htobe32(0x0a000001), 6, n);
			uint16_t cs = wire_csum_fold(wire_csum_add(sum, frame + 34, n));
			memcpy(frame + 50, &cs, 2);
			ASSERT_EQ(WIRE_TCP, wire_parse(frame, 34 + n, 0, 0, &s));
			EXPECT_EQ(t.seq, s.seq);
			EXPECT_EQ(t.ack, s.ack);
			EXPECT_EQ(t.wnd, s.wnd);
			EXPECT_EQ(t.has_ts, s.has_ts);
			if (t.has_ts) {
				EXPECT_EQ(11u, s.ts_val);
				EXPECT_EQ(22u, s.ts_ecr);
			}
			EXPECT_EQ(t.sack_ok, s.sack_ok);
			EXPECT_EQ(t.wscale, s.wscale);
			EXPECT_EQ(t.mss, s.mss);
			if (!(mask & 1)) {
				EXPECT_EQ(std::min(nsack, t.has_ts ? 3 : 4), s.nsack);
			}
			for (int i = 0; i < s.nsack; i++)
				EXPECT_EQ(100u * (uint32_t)i, s.sack[i].left);
			EXPECT_EQ(0u, s.len);
		}
	}
}

TEST(Arp, emits_and_parses)
{
	uint8_t src[6] = {2, 1, 1, 1, 1, 1}, dst[6] = {2, 2, 2, 2, 2, 2}, frame[42];
	wire_arp a = {}, b;

	a.op = 2;
	memcpy(a.sha, src, 6);
	memcpy(a.tha, dst, 6);
	a.spa = htobe32(0x0a000001);
	a.tpa = htobe32(0x0a000002);
	ASSERT_EQ(42u, wire_arp_emit(frame, src, dst, &a));
	ASSERT_EQ(0, wire_arp_parse(frame, 42, &b));
	EXPECT_EQ(a.op, b.op);
	EXPECT_EQ(a.spa, b.spa);
	EXPECT_EQ(a.tpa, b.tpa);
	EXPECT_EQ(0, memcmp(a.sha, b.sha, 6));
	EXPECT_EQ(0, memcmp(a.tha, b.tha, 6));
	EXPECT_EQ(0, memcmp(frame, dst, 6));
	EXPECT_EQ(-EINVAL, wire_arp_parse(frame, 41, &b));
	for (size_t i : {15, 16, 18, 19, 21}) {
		uint8_t bad[42];

		memcpy(bad, frame, 42);
		bad[i] ^= 8;
		EXPECT_EQ(-EINVAL, wire_arp_parse(bad, 42, &b)) << i;
	}
}

struct IcmpFrame {
	uint8_t b[1600];
	uint32_t len;

	IcmpFrame(uint8_t type, uint8_t code, uint32_t rest, const Bytes &body)
	{
		uint8_t mac[6] = {2, 0, 0, 0, 0, 1};

		len = wire_icmp_emit(b, mac, mac, htobe32(0x0a000002), htobe32(0x0a000001), type,
			code, rest, body.data(), (uint32_t)body.size());
	}
};

TEST(Icmp, echo_emits_and_parses)
{
	IcmpFrame f(8, 0, htobe32(0x11112222), Bytes(57, 3));
	wire_icmp m;

	EXPECT_EQ(14u + 20 + 8 + 57, f.len);
	ASSERT_EQ(0, wire_icmp_parse(f.b, f.len, &m));
	EXPECT_EQ(8, m.type);
	EXPECT_EQ(htobe16(0x1111), m.id);
	EXPECT_EQ(htobe16(0x2222), m.seq);
	EXPECT_EQ(57u, m.body_len);
	EXPECT_EQ(3, m.body[56]);
	EXPECT_EQ(htobe32(0x0a000002), m.saddr);
	f.b[60] ^= 1;
	EXPECT_EQ(-EINVAL, wire_icmp_parse(f.b, f.len, &m));
}

TEST(Icmp, fragmentation_needed_names_the_flow)
{
	TestFrame q;
	Bytes body(q.b.begin() + 14, q.b.begin() + 14 + 28);
	IcmpFrame f(3, 4, htobe32(1400), body);
	wire_icmp m;

	ASSERT_EQ(0, wire_icmp_parse(f.b, f.len, &m));
	EXPECT_EQ(1400, m.mtu);
	ASSERT_EQ(1, m.quoted_tcp);
	EXPECT_EQ(0x01020304u, m.quoted_seq);
	EXPECT_EQ(htobe16(1234), m.quoted.lport);
	EXPECT_EQ(htobe16(80), m.quoted.rport);
	EXPECT_EQ(htobe32(0x0a000002), tas_addr_v4(m.quoted.laddr));
}

TEST(Icmp, malformed_quotations_are_refused)
{
	TestFrame q;
	Bytes body(q.b.begin() + 14, q.b.begin() + 14 + 28), bad;
	wire_icmp m;

	for (size_t n = 0; n < 28; n++) {
		bad.assign(body.begin(), body.begin() + (long)n);
		IcmpFrame f(3, 4, 0, bad);
		EXPECT_EQ(-EINVAL, wire_icmp_parse(f.b, f.len, &m)) << n;
	}
	bad = body;
	bad[0] = 0x4f;
	IcmpFrame longer(3, 4, 0, bad);
	EXPECT_EQ(-EINVAL, wire_icmp_parse(longer.b, longer.len, &m));
	bad = body;
	bad[9] = 17;
	IcmpFrame udp(3, 4, 0, bad);
	ASSERT_EQ(0, wire_icmp_parse(udp.b, udp.len, &m));
	EXPECT_EQ(0, m.quoted_tcp);
}

} /* namespace */
