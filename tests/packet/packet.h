/*
 * packet.h - send/expect against one Host: the test is the peer.
 *
 * Positions, not sequence numbers: the peer's byte 0 is IRS + 1, ours ISS + 1. Everything the host
 * sends is kept parsed in `sent`; expect_*() take from its front.
 */
#ifndef TESTS_PACKET_PACKET_H
#define TESTS_PACKET_PACKET_H

#include <gtest/gtest.h>
#include <deque>
#include "tcp_harness.h"

struct Sent {
	seg s;
	int64_t pos, ack; /* of the host's stream / of ours */
};

class Packet : public testing::Test
{
      protected:
	static constexpr uint32_t ISS = 0xfffffff0u, IRS = 0x7fffff00u, MSS = 1000;
	HostConfig conf;
	std::unique_ptr<Host> h;
	std::deque<Sent> sent;
	uint16_t wnd = 512;   /* the peer's window field, scale 7: 64 KiB */
	uint32_t ts_ms = 500; /* the peer's timestamp */
	uint64_t acked = 0;   /* what the peer acknowledges by default */
	std::vector<uint8_t> data = std::vector<uint8_t>(1u << 17);

	Packet()
	{
		conf.mss = MSS;
		conf.rtt_us = 10000;
		conf.max_frame = 0;
	}

	void SetUp() override
	{
		start();
	}

	void TearDown() override
	{
		if (h) {
			EXPECT_EQ("", h->fault);
			EXPECT_EQ(0u, h->bad_bytes);
		}
	}

	/* (Re)creates the host from `conf`; the peer's first window is 64 KiB. */
	void start()
	{
		h = std::make_unique<Host>(conf, ISS, IRS, 7, 8, 65536);
		h->wire = [this](const Frame &f) { keep(f); };
		h->shut_when_done = false;
		h->reading = false;
		sent.clear();
		acked = 0;
	}

	/* No longer the beginning of a connection, where each segment is acknowledged. */
	void settled()
	{
		h->c.tcp.quickack = 0;
	}

	void after_ms(uint64_t ms)
	{
		after_us(ms * 1000);
	}

	void after_us(uint64_t us)
	{
		h->set_time(h->env.now_ns + us * 1000);
	}

	/* Lets timers fire at their time until `ms` have passed. */
	void pass_ms(uint64_t ms)
	{
		uint64_t end = h->env.now_ns + ms * 1000000;

		for (int i = 0; i < 100000 && h->deadline() <= end && !h->ended(); i++) {
			h->set_time(std::max(h->deadline(), h->env.now_ns));
			h->timer();
			h->output();
		}
		h->set_time(end);
	}

	seg segment(uint8_t flags, int64_t pos, uint32_t len)
	{
		seg s;

		memset(&s, 0, sizeof(s));
		s.seq = IRS + 1 + (uint32_t)pos;
		s.ack = ISS + 1 + (uint32_t)acked;
		s.flags = flags;
		s.wnd = wnd;
		s.len = len;
		s.nsegs = 1;
		s.wscale = SEG_NO_WSCALE;
		s.payload = data.data();
		for (uint32_t i = 0; i < len; i++)
			data[i] = pattern(8, (uint64_t)pos + i);
		if (conf.ts) {
			s.has_ts = 1;
			s.ts_val = ts_ms;
			s.ts_ecr = (uint32_t)(h->env.now_ns / 1000000) + 77;
		}
		return s;
	}

	/* One segment in, then the burst's output. */
	uint32_t in(const seg &s)
	{
		uint32_t v = h->segment(s);

		h->output();
		return v;
	}

	uint32_t in_data(int64_t pos, uint32_t len, uint8_t flags = 0)
	{
		return in(segment((uint8_t)(TCP_ACK | flags), pos, len));
	}

	/* A pure ACK of our stream up to `pos`, with SACK blocks in our positions. */
	uint32_t in_ack(uint64_t pos, std::vector<std::pair<uint64_t, uint64_t>> sack = {})
	{
		acked = std::max(acked, pos);
		seg s = segment(TCP_ACK, (int64_t)h->f.rx_nxt, 0);

		s.ack = ISS + 1 + (uint32_t)pos;
		for (auto &b : sack) {
			s.sack[s.nsack].left = ISS + 1 + (uint32_t)b.first;
			s.sack[s.nsack++].right = ISS + 1 + (uint32_t)b.second;
		}
		return in(s);
	}

	/* The program writes up to position `pos`. */
	void write(uint64_t pos)
	{
		h->to_write = pos;
		h->program();
		h->output();
	}

	void read(uint64_t pos)
	{
		h->reading = true;
		h->read_limit = pos;
		h->program();
		h->output();
	}

	void shut()
	{
		h->shut_when_done = true;
		h->program();
		h->output();
	}

	Sent next()
	{
		if (sent.empty()) {
			ADD_FAILURE() << "nothing was sent";
			return Sent{};
		}
		Sent x = sent.front();
		sent.pop_front();
		return x;
	}

	Sent expect_ack(int64_t ack)
	{
		Sent x = next();

		EXPECT_EQ(TCP_ACK, x.s.flags & ~(TCP_ECE | TCP_CWR));
		EXPECT_EQ(0u, x.s.len);
		EXPECT_EQ(ack, x.ack);
		return x;
	}

	Sent expect_data(int64_t pos, uint32_t len, uint8_t extra = 0)
	{
		Sent x = next();

		EXPECT_EQ(pos, x.pos);
		EXPECT_EQ(len, x.s.len);
		EXPECT_EQ(extra, x.s.flags & (TCP_FIN | TCP_RST | TCP_SYN | extra));
		return x;
	}

	void expect_data_run(int64_t pos, int count)
	{
		for (int i = 0; i < count; i++)
			expect_data(pos + i * (int64_t)MSS, MSS);
	}

	void expect_nothing()
	{
		EXPECT_TRUE(sent.empty())
			<< sent.size() << " sent, first pos " << sent.front().pos << " len "
			<< sent.front().s.len << " flags " << (int)sent.front().s.flags;
		sent.clear();
	}

	/* SACK block i of a segment, as positions of the peer's stream. */
	static std::pair<int64_t, int64_t> block(const Sent &x, int i)
	{
		return {(int32_t)(x.s.sack[i].left - (IRS + 1)),
			(int32_t)(x.s.sack[i].right - (IRS + 1))};
	}

	static uint64_t window(const Sent &x)
	{
		return (uint64_t)x.s.wnd << 7;
	}

      private:
	void keep(const Frame &f)
	{
		Sent x;

		ASSERT_EQ(WIRE_TCP,
			wire_parse(f.bytes.data(), (uint32_t)f.bytes.size(), f.gso_size, 0, &x.s));
		x.pos = (int32_t)(x.s.seq - (ISS + 1));
		x.ack = (int32_t)(x.s.ack - (IRS + 1));
		x.s.payload = nullptr;
		sent.push_back(x);
	}
};

#endif
