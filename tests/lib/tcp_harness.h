/*
 * tcp_harness.h - one end of a TCP connection for tests: the record, its memory, a program that
 * reads and writes a known byte pattern. Frames are real bytes: what is sent is emitted and parsed
 * again.
 *
 * Byte p of a stream with seed s is pattern(s, p), so any wrong byte that reaches the program is
 * seen.
 */
#ifndef TESTS_LIB_TCP_HARNESS_H
#define TESTS_LIB_TCP_HARNESS_H

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>
#include "tcp_c.h"

inline uint8_t pattern(uint32_t seed, uint64_t pos)
{
	uint64_t x = (pos >> 3) * 0x9e3779b97f4a7c15ull + seed;

	x ^= x >> 29;
	x *= 0xbf58476d1ce4e5b9ull;
	return (uint8_t)(x >> (8 * (pos & 7)));
}

/* A frame on its way; gso_size != 0: several segments in one. */
struct Frame {
	std::vector<uint8_t> bytes;
	uint16_t gso_size = 0;
};

struct HostConfig {
	uint16_t mss = 1448;
	bool ts = true, sack = true, ecn = false;
	uint8_t wscale = 7;
	uint32_t max_frame = 65160; /* payload of one frame; 0 = one MSS */
	uint32_t rcvbuf_max = 6u << 20, sndbuf_max = 6u << 20;
	uint32_t nodes = 4096;
	uint32_t min_rto_us = 200000;
	uint32_t rtt_us = 0; /* handshake sample */
	tas_sockopts opts = {};
	cc_params cc = {};
};

class Host
{
      public:
	fp_flow f;
	fp_flow_cold c;
	tcp_env env;
	tas_fp_counters cnt;
	HostConfig conf;
	uint32_t tx_seed, rx_seed;
	uint64_t to_write = 0;	    /* the program will write this much in all */
	bool shut_when_done = true; /* ... and then shut down */
	bool reading = true;
	uint64_t read_limit = UINT64_MAX; /* the program reads no further for now */
	uint32_t verdicts = 0;		  /* all seen so far */
	bool done = false, reset = false, timed_out = false, rst_out = false;
	uint64_t bad_bytes = 0;
	uint64_t frames_out = 0;
	std::string fault;
	std::function<void(const Frame &)> wire; /* where frames go */
	/* Makes memory run out: bytes of this many that are stored. */
	std::function<uint32_t(uint32_t)> store_limit;
	std::function<void(const cc_feedback &)> on_feedback;

	Host(const HostConfig &cfg, uint32_t iss, uint32_t irs, uint32_t tx_s, uint32_t rx_s,
		uint32_t peer_wnd = 65535)
	    : conf(cfg), tx_seed(tx_s), rx_seed(rx_s), pool(tcp_sent_bytes(cfg.nodes) / 8 + 1),
	      buf((uint8_t *)calloc(1, BUF), free)
	{
		fp_flow_init in;

		memset(&f, 0, sizeof(f));
		memset(&c, 0, sizeof(c));
		memset(&env, 0, sizeof(env));
		memset(&cnt, 0, sizeof(cnt));
		memset(&in, 0, sizeof(in));
		env.cnt = &cnt;
		env.min_rto_us = cfg.min_rto_us;
		env.rcvbuf_max = cfg.rcvbuf_max;
		env.sndbuf_max = cfg.sndbuf_max;
		env.challenge_tokens = 1000;
		set_time(1000000000000ull);
		tcp_env_init(&env, pool.data(), cfg.nodes);
		tas_addr_from_v4(in.tuple.laddr, 0x0100000a);
		tas_addr_from_v4(in.tuple.raddr, 0x0200000a);
		in.tuple.lport = 0x1122;
		in.tuple.rport = 0x3344;
		in.iss = iss;
		in.irs = irs;
		in.snd_wnd = peer_wnd;
		in.rcv_adv = irs + 1 + 65535;
		if (cfg.opts.rcvbuf != 0 && cfg.opts.rcvbuf < 65535)
			in.rcv_adv = irs + 1 + cfg.opts.rcvbuf; /* as the slow path's SYN said */
		in.mss = cfg.mss;
		in.snd_wscale = in.rcv_wscale = cfg.wscale;
		in.has_ts = cfg.ts;
		in.has_sack = cfg.sack;
		in.has_ecn = cfg.ecn;
		in.rtt_us = cfg.rtt_us;
		in.ts_offset = 77;
		in.opts = cfg.opts;
		in.cc = cfg.cc;
		if (in.cc.growth == 0)
			in.cc.growth = cfg.mss;
		tcp_install(&f, &c, &in, &env);
	}

	void set_time(uint64_t ns)
	{
		env.now_ns = ns;
		env.now_us = (uint32_t)(ns / 1000);
	}

	uint64_t deadline() const
	{
		return tcp_deadline(&f, &c, &env);
	}

	uint32_t seq_of(uint64_t pos) const
	{
		return f.iss1 + (uint32_t)pos;
	}

	uint64_t rx_data_end() const
	{
		return f.rx_nxt - ((f.flags & FP_F_RX_FIN) != 0);
	}

	/* The engine's part for one parsed segment. */
	uint32_t segment(const seg &s)
	{
		tcp_rx_out out;
		uint32_t v = tcp_rx(&f, &c, &env, &s, &out);

		if (v & TCP_V_DATA || out.fin) {
			uint32_t n = v & TCP_V_DATA ? store(s, out) : 0;

			v |= tcp_rx_stored(&f, &c, &env, &s, &out, n);
		}
		note(v);
		check();
		return v;
	}

	/* Returns the verdict of wire_parse. */
	wire_kind frame(const Frame &fr)
	{
		seg s;
		/* A copy of exactly the frame's size, so that reading beyond it is seen. */
		std::unique_ptr<uint8_t[]> copy(new uint8_t[fr.bytes.size()]);
		wire_kind k;

		memcpy(copy.get(), fr.bytes.data(), fr.bytes.size());
		k = wire_parse(copy.get(), (uint32_t)fr.bytes.size(), fr.gso_size, 0, &s);
		if (k == WIRE_TCP)
			segment(s);
		return k;
	}

	uint32_t timer()
	{
		uint32_t v = tcp_timer(&f, &c, &env);

		note(v);
		check();
		return v;
	}

	/* The program runs: reads what it may, writes what fits. */
	void program()
	{
		uint64_t read = f.rx_read, head = f.tx_head;

		if (reading)
			read = consume(std::min(rx_data_end(), read_limit));
		if (head < to_write)
			head = std::max(head, std::min(to_write, tcp_tx_limit(&f, &c, &env)));
		if (head == to_write && shut_when_done)
			f.flags |= FP_F_TX_SHUT;
		note(tcp_app(&f, &c, &env, read, head));
	}

	/* Sends what there is to send; the ACK last, as the engine does. */
	int output()
	{
		tcp_tx t;
		int n = 0;
		uint32_t max = conf.max_frame != 0 ? conf.max_frame : f.mss;

		while (!ended() && tcp_tx_next(&f, &c, &env, max, &t)) {
			emit(&t);
			tcp_tx_sent(&f, &c, &env, &t);
			if (++n > 20000) {
				fault = "tcp_tx_next never ends";
				break;
			}
		}
		if (f.flags & FP_F_ACK_NOW) {
			emit(nullptr);
			n++;
		}
		if (f.flags & FP_F_ACK_NOW)
			fault = "a pure ACK did not settle";
		check();
		return n;
	}

	bool ended() const
	{
		return reset || timed_out || rst_out;
	}

      private:
	static constexpr uint64_t BUF = 8u << 20; /* calloc: touched only as far as it is used */
	std::vector<uint64_t> pool;
	std::unique_ptr<uint8_t, void (*)(void *)> buf;

	uint32_t store(const seg &s, const tcp_rx_out &out)
	{
		uint32_t n = store_limit ? std::min(out.len, store_limit(out.len)) : out.len;

		if (out.data < s.payload || out.data + out.len > s.payload + s.len)
			fault = "tcp_rx named bytes outside of the payload";
		if (out.pos + out.len > f.rx_read + BUF)
			fault = "tcp_rx accepted data far beyond the buffer";
		for (uint32_t i = 0; i < n; i++)
			buf.get()[(out.pos + i) % BUF] = out.data[i];
		return n;
	}

	uint64_t consume(uint64_t to)
	{
		for (uint64_t p = f.rx_read; p < to; p++)
			bad_bytes += buf.get()[p % BUF] != pattern(rx_seed, p);
		return std::max(to, f.rx_read);
	}

	void note(uint32_t v)
	{
		verdicts |= v;
		done |= (v & TCP_V_DONE) != 0;
		reset |= (v & TCP_V_RESET) != 0;
		timed_out |= (v & TCP_V_TIMEOUT) != 0;
		rst_out |= (v & TCP_V_RST_OUT) != 0;
		if (v & TCP_V_FEEDBACK) {
			cc_feedback fb;

			tcp_feedback_take(&f, &c, &env, &fb);
			if (on_feedback)
				on_feedback(fb);
		}
	}

	void emit(const tcp_tx *t)
	{
		wire_tcp h;
		Frame fr;
		uint32_t len = t != nullptr ? t->len : 0, hl;
		uint64_t sum;
		uint8_t hdr[60];

		tcp_header(&f, &c, &env, t, &h);
		hl = wire_tcp_emit(hdr, &h);
		fr.bytes.resize(34 + hl + len);
		memset(fr.bytes.data(), 2, 14);
		fr.bytes[12] = 8;
		fr.bytes[13] = 0;
		wire_ip4_emit(&fr.bytes[14], f.laddr_lo, f.raddr_lo, 6, (uint16_t)(20 + hl + len),
			0, f.flags & FP_F_ECN && len != 0 ? 2 : 0, 64);
		memcpy(&fr.bytes[34], hdr, hl);
		for (uint32_t i = 0; i < len; i++)
			fr.bytes[34 + hl + i] = pattern(tx_seed, t->pos + i);
		if (len != 0 && t->pos + len > f.tx_head)
			fault = "sent beyond tx_head";
		sum = wire_csum_pseudo4(f.laddr_lo, f.raddr_lo, 6, hl + len);
		sum = wire_csum_add(sum, &fr.bytes[34], hl + len);
		uint16_t cs = wire_csum_fold(sum);
		memcpy(&fr.bytes[34 + 16], &cs, 2);
		if (len > f.mss)
			fr.gso_size = f.mss;
		frames_out++;
		if (wire)
			wire(fr);
	}

	/* What must hold after any event. */
	void check();
};

/* The invariants: sums of the sent map, order of positions. */
inline void Host::check()
{
	uint64_t in_map = (uint64_t)f.inflight + c.tcp.sacked_bytes + c.tcp.lost_bytes;

	if (in_map != f.tx_nxt - f.tx_una)
		fault = "sent map does not add up: " + std::to_string(in_map) + " of " +
			std::to_string(f.tx_nxt - f.tx_una);
	if (f.tx_una > f.tx_nxt || f.rx_read > f.rx_nxt)
		fault = "positions out of order";
	if (c.tcp.nooo > TCP_OOO_MAX)
		fault = "too many intervals";
	if (f.tx_una < f.tx_nxt && !(c.tcp.run & TCP_RUN_RTO) && !ended())
		fault = "data outstanding without a timer";
}

#endif
