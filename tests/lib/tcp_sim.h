/*
 * tcp_sim.h - two Hosts joined by a virtual link in virtual time.
 *
 * Each direction has a rate, a delay, a queue, and chances of loss, duplication and reordering from
 * a seeded generator. Large frames are cut into wire segments by the sender's side (`cut`), or
 * travel whole as over a tap. Nothing here reads a clock.
 */
#ifndef TESTS_LIB_TCP_SIM_H
#define TESTS_LIB_TCP_SIM_H

#include <algorithm>
#include <map>
#include <random>
#include "tcp_harness.h"

struct LinkConfig {
	uint64_t delay_us = 1000; /* one way */
	double mbps = 0;	  /* 0 = infinitely fast */
	uint64_t queue_bytes = 1u << 20;
	double loss = 0, dup = 0, reorder = 0; /* chances per wire segment */
	uint64_t reorder_us = 3000;	       /* extra delay of a reordered one */
	bool cut = true;		       /* segment large frames before the link */
	double mark_above = 0; /* ECN: mark above this share of the queue, 0 = never */
};

class Sim
{
      public:
	Host a, b;
	uint64_t now_ns = 1000000000000ull;
	uint64_t dropped = 0, carried = 0;
	std::function<bool(int, Frame &)> filter; /* false: lose this segment; int: 0 = from a */
	std::function<void(Host &)> act;	  /* before a program runs */
	uint64_t tick_ns = 0; /* programs run at least this often, 0 = on events only */

	Sim(const HostConfig &ca, const HostConfig &cb, const LinkConfig &l, uint32_t seed)
	    : a(ca, 0xffff0000u, 0x7ffffff0u, seed, seed + 1),
	      b(cb, 0x7ffffff0u, 0xffff0000u, seed + 1, seed), link(l), rng(seed)
	{
		a.wire = [this](const Frame &f) { send(0, f); };
		b.wire = [this](const Frame &f) { send(1, f); };
	}

	/* Runs until both are done, or virtual time or events run out. True if both are done. */
	bool run(double seconds)
	{
		uint64_t end = now_ns + (uint64_t)(seconds * 1e9), events = 0;

		kick();
		while (!finished() && events++ < 20000000) {
			uint64_t at = next();

			if (at > end || at == UINT64_MAX) {
				now_ns = at == UINT64_MAX ? now_ns : end;
				break;
			}
			now_ns = std::max(now_ns, at);
			step();
			if (!a.fault.empty() || !b.fault.empty())
				return false;
		}
		a.set_time(now_ns);
		b.set_time(now_ns);
		return finished();
	}

	bool finished() const
	{
		return a.done && b.done;
	}

	double elapsed() const
	{
		return (double)(now_ns - 1000000000000ull) / 1e9;
	}

	std::string faults() const
	{
		return a.fault + b.fault;
	}

      private:
	struct Packet {
		int from;
		Frame frame;
	};
	LinkConfig link;
	std::mt19937 rng;
	std::multimap<uint64_t, Packet> flying;
	uint64_t busy_until[2] = {0, 0};

	bool chance(double p)
	{
		return p > 0 && std::uniform_real_distribution<double>(0, 1)(rng) < p;
	}

	void kick()
	{
		for (Host *h : {&a, &b}) {
			h->set_time(now_ns);
			h->program();
			h->output();
		}
	}

	uint64_t next()
	{
		uint64_t at = std::min(a.deadline(), b.deadline());

		if (tick_ns != 0)
			at = std::min(at, now_ns + tick_ns);

		return flying.empty() ? at : std::min(at, flying.begin()->first);
	}

	void step()
	{
		a.set_time(now_ns);
		b.set_time(now_ns);
		while (!flying.empty() && flying.begin()->first <= now_ns) {
			Packet p = std::move(flying.begin()->second);

			flying.erase(flying.begin());
			(p.from == 0 ? b : a).frame(p.frame);
		}
		for (Host *h : {&a, &b}) {
			if (h->deadline() <= now_ns)
				h->timer();
			if (act)
				act(*h);
			h->program();
			h->output();
		}
	}

	void send(int from, const Frame &f)
	{
		if (!link.cut || f.gso_size == 0) {
			carry(from, f);
			return;
		}
		for (const Frame &s : segments(f))
			carry(from, s);
	}

	/* What TSO does: one header per segment, FIN and PSH on the last only. */
	static std::vector<Frame> segments(const Frame &f)
	{
		std::vector<Frame> out;
		uint32_t hl = 34 + (f.bytes[34 + 12] >> 4) * 4u,
			 len = (uint32_t)f.bytes.size() - hl;
		uint32_t seq = (uint32_t)f.bytes[38] << 24 | f.bytes[39] << 16 | f.bytes[40] << 8 |
			       f.bytes[41];

		for (uint32_t at = 0; at < len; at += f.gso_size) {
			uint32_t n = std::min<uint32_t>(f.gso_size, len - at);
			Frame s;

			s.bytes.assign(f.bytes.begin(), f.bytes.begin() + hl);
			s.bytes.insert(s.bytes.end(), f.bytes.begin() + hl + at,
				f.bytes.begin() + hl + at + n);
			put32(&s.bytes[38], seq + at);
			if (at + n < len)
				s.bytes[47] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
			checksums(s, hl - 34 + n);
			out.push_back(std::move(s));
		}
		return out;
	}

	static void put32(uint8_t *p, uint32_t v)
	{
		for (int i = 0; i < 4; i++)
			p[i] = (uint8_t)(v >> (24 - 8 * i));
	}

	static void checksums(Frame &s, uint32_t tcp_len)
	{
		uint32_t src, dst;
		uint16_t cs = 0;
		uint8_t tos = s.bytes[15];

		memcpy(&src, &s.bytes[26], 4);
		memcpy(&dst, &s.bytes[30], 4);
		wire_ip4_emit(&s.bytes[14], src, dst, 6, (uint16_t)(20 + tcp_len), 0, tos, 64);
		memcpy(&s.bytes[50], &cs, 2);
		cs = wire_csum_fold(wire_csum_add(
			wire_csum_pseudo4(src, dst, 6, tcp_len), &s.bytes[34], tcp_len));
		memcpy(&s.bytes[50], &cs, 2);
	}

	void carry(int from, Frame f)
	{
		uint64_t at = std::max(now_ns, busy_until[from]), bytes = f.bytes.size();
		uint64_t queued =
			link.mbps > 0 ? (uint64_t)((double)(at - now_ns) * link.mbps / 8000) : 0;

		if (link.mark_above > 0 &&
			(double)queued > link.mark_above * (double)link.queue_bytes)
			mark(f);
		if (queued + bytes > link.queue_bytes || chance(link.loss) ||
			(filter && !filter(from, f))) {
			dropped++;
			return;
		}
		carried++;
		if (link.mbps > 0)
			at += (uint64_t)((double)bytes * 8000 / link.mbps);
		busy_until[from] = at;
		at += link.delay_us * 1000;
		if (chance(link.dup))
			flying.emplace(at + 1000, Packet{from, f});
		if (chance(link.reorder))
			at += link.reorder_us * 1000;
		flying.emplace(at, Packet{from, std::move(f)});
	}

	static void mark(Frame &f)
	{
		if ((f.bytes[15] & 3) == 0)
			return;
		f.bytes[15] |= 3;
		checksums(f, (uint32_t)f.bytes.size() - 34);
	}
};

#endif
