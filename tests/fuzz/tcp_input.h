/*
 * tcp_input.h - bytes to a life of one flow: hostile segments, program actions, timers, output.
 *
 * Shared by the fuzz target (tests/fuzz/tcp_fuzz.cc) and the seeded test
 * (tests/unit/tcp_hostile_test.cc). What must hold: the Host's invariants after every step, output
 * that ends, no bytes named outside of the payload.
 */
#ifndef TESTS_FUZZ_TCP_INPUT_H
#define TESTS_FUZZ_TCP_INPUT_H

#include "tcp_harness.h"

class TcpInput
{
      public:
	TcpInput(const uint8_t *p, size_t n) : in(p), left(n)
	{
	}

	/* The first broken invariant, empty if none. */
	std::string run()
	{
		HostConfig conf;
		uint8_t bits = u8();

		conf.ts = bits & 1;
		conf.sack = bits & 2;
		conf.ecn = bits & 4;
		conf.wscale = bits >> 4;
		conf.mss = (uint16_t)(48 + u8() * 37);
		conf.nodes = 1u + u8() % 64;
		conf.max_frame = bits & 8 ? 65160 : 0;
		conf.opts.keepalive = u8() & 1;
		conf.opts.user_timeout_ms = u8() & 1 ? 5000 : 0;
		h = std::make_unique<Host>(conf, 0xfffff000u, 0x7ffff000u, 1, 2, 65535);
		h->shut_when_done = false;
		payload.assign(70000, 0x5a);
		while (left > 0 && h->fault.empty() && !h->ended())
			step();
		tcp_release(&h->f, &h->c, &h->env);
		if (h->env.sent_used != 0)
			return "nodes leaked";
		return h->fault;
	}

      private:
	const uint8_t *in;
	size_t left;
	std::unique_ptr<Host> h;
	std::vector<uint8_t> payload;

	uint8_t u8()
	{
		if (left == 0)
			return 0;
		left--;
		return *in++;
	}

	uint32_t u32()
	{
		uint32_t v = 0;

		for (int i = 0; i < 4; i++)
			v = v << 8 | u8();
		return v;
	}

	/* A number near `base`, or anywhere. */
	uint32_t near(uint32_t base)
	{
		uint8_t how = u8();

		switch (how & 7) {
		case 0:
			return u32();
		case 1:
			return base + (u32() & 0x1ffff);
		case 2:
			return base - (u32() & 0x1ffff);
		case 3:
			return base + (uint32_t)(how >> 3) * h->f.mss;
		case 4:
			return base - 1;
		default:
			return base + (how >> 3);
		}
	}

	void segment()
	{
		seg s;
		uint8_t how = u8();

		memset(&s, 0, sizeof(s));
		s.flags = how & 0x80 ? u8() : TCP_ACK;
		s.seq = near(h->f.irs1 + (uint32_t)h->f.rx_nxt);
		s.ack = near(h->seq_of(how & 1 ? h->f.tx_nxt : h->f.tx_una));
		s.wnd = how & 2 ? (uint16_t)u32() : 1000;
		s.len = how & 4 ? u32() % 65536 : how & 8 ? h->f.mss : 0;
		s.nsegs = (uint16_t)(1 + s.len / 1500);
		s.payload = payload.data();
		s.ecn = how & 3;
		s.has_ts = how & 16 ? u8() & 1 : (h->f.flags & FP_F_TS) != 0;
		s.ts_val = how & 16 ? near(h->f.ts_recent) : h->f.ts_recent + (how >> 6);
		s.ts_ecr = near((uint32_t)(h->env.now_ns / 1000000) + 77);
		s.nsack = how & 32 ? u8() % (SEG_MAX_SACK + 1) : 0;
		for (int i = 0; i < s.nsack; i++) {
			s.sack[i].left = near(h->seq_of(h->f.tx_una));
			s.sack[i].right =
				u8() & 1 ? s.sack[i].left + h->f.mss : near(h->seq_of(h->f.tx_nxt));
		}
		s.wscale = SEG_NO_WSCALE;
		h->segment(s);
	}

	void program()
	{
		uint8_t how = u8();
		uint64_t read = h->f.rx_read + u32() % 70000, head = h->f.tx_head + u32() % 100000;

		if (how & 1)
			read = h->rx_data_end();
		if (how & 2)
			head = h->f.tx_head;
		if (how & 4)
			read -= 1000000; /* backwards, or far beyond zero */
		if (head > tcp_tx_limit(&h->f, &h->c, &h->env))
			head = h->f.tx_head;
		if ((how & 0xf0) == 0xf0)
			h->f.flags |= FP_F_TX_SHUT;
		if ((how & 0xf8) == 0xe8)
			h->f.flags |= FP_F_RX_CLOSED;
		h->f.flags ^= (uint32_t)(how & 8 ? FP_F_CORK : FP_F_NODELAY);
		tcp_app(&h->f, &h->c, &h->env, read, head);
	}

	void parameters()
	{
		cc_params p;
		tas_sockopts o = {};

		p.cwnd = u32();
		p.ssthresh = u32();
		p.growth = u32();
		p.beta_q10 = u32();
		p.pace_kbps = u8();
		p.flags = u8() & 1;
		tcp_cc_set(&h->f, &h->c, &p);
		if (u8() & 1)
			tcp_mss_set(&h->f, &h->c, &h->env, (uint16_t)u32());
		o.rcvbuf = u8() & 1 ? u32() : 0;
		o.sndbuf = u8() & 1 ? u32() : 0;
		o.keepalive = u8() & 1;
		o.keepcnt = u8();
		tcp_opts_set(&h->f, &h->c, &h->env, &o);
	}

	void step()
	{
		uint8_t what = u8();

		switch (what & 7) {
		case 0:
			h->set_time(h->env.now_ns + (uint64_t)(what >> 3) * 1000000);
			break;
		case 1:
			if (h->deadline() != UINT64_MAX)
				h->set_time(std::max(h->env.now_ns, h->deadline()));
			h->timer();
			break;
		case 2:
			program();
			break;
		case 3:
			h->output();
			break;
		case 4:
			if (what >= 0xe0)
				parameters();
			break;
		default:
			segment();
			break;
		}
	}
};

#endif
