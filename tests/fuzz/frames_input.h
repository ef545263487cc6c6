/*
 * frames_input.h - random segments, damaged frames, ARP and ICMP against the slow path, with
 * programs and cores acting at random beside them. What must hold: nothing crashes, tables stay
 * bounded and consistent, and in the end everything has come back.
 *
 * Shared by the fuzz target (tests/fuzz/frames_fuzz.cc) and the seeded test
 * (tests/unit/frames_test.cc).
 */
#ifndef TESTS_FUZZ_FRAMES_INPUT_H
#define TESTS_FUZZ_FRAMES_INPUT_H

#include <cerrno>
#include <vector>
#include "fuzz/numbers.h"
#include "sp_peer.h"

class FramesInput : public SlowPath
{
      public:
	explicit FramesInput(Numbers numbers) : rnd(numbers)
	{
	}
	void TestBody() override
	{
	}
	using SlowPath::TearDown;
	bool at_end() const
	{
		return rnd.at_end();
	}
	void begin()
	{
		options = {"--max_flows=64", "--max_half_open=16", "--max_time_wait=16",
			"--local_ports=61000-61020"};
		start();
		for (int i = 0; i < 3; i++)
			apps.push_back(program());
		for (uint16_t p = 80; p < 83; p++)
			listener(apps[0], p, 4 + p % 3, 1);
	}
	void step()
	{
		uint32_t what = below(100);

		if (what < 60)
			segment();
		else if (what < 70)
			other_frame();
		else if (what < 85)
			core_acts();
		else
			program_acts();
		if (below(10) == 0)
			fake_ring_room = below(4); /* rings are full now and then */
		if (below(4) == 0)
			fake_advance(sp, below(300) * 1000000ull);
	}
	/* Every invariant of the tables; then the cores take all messages. */
	void look()
	{
		check();
		fake_ring_room = UINT32_MAX;
		sp_round(sp);
		fake_forget();
	}
	void leave()
	{
		for (auto *app : apps) {
			uint32_t id = app->id;

			sp_app_leave(sp, app, "test");
			bury(id);
		}
		for (int pass = 0; pass < 2; pass++) {
			uint32_t cursor = 1;

			while (cursor <= sp->conns.conns.capacity) {
				struct sp_conn *c = sp_conn_next(sp, &cursor, UINT32_MAX);
				if (c != nullptr && pass == 0)
					sp_conn_abort(sp, c, ECONNRESET);
				else if (c != nullptr)
					closed(c, FP_CLOSE_ABORTED);
			}
		}
	}
	/* Long after all have left, everything has come back. */
	void expect_nothing()
	{
		uint32_t cursor = 1;

		EXPECT_EQ(sp_arena_used(&sp->conns.conns), 0u);
		EXPECT_EQ(sp_arena_used(&sp->conns.tws), 0u);
		EXPECT_EQ(sp->conns.nhalf, 0u);
		EXPECT_EQ(sp->listeners.count, 0u);
		EXPECT_EQ(sp->apps.count, 0u);
		while (struct sp_neigh *n = sp_neigh_next(sp, &cursor))
			EXPECT_EQ(n->refs, 0u);
	}

      protected:
	Numbers rnd;
	std::vector<struct sp_app *> apps;

	uint32_t below(uint32_t n)
	{
		return rnd.below(n);
	}
	struct sp_conn *any_conn()
	{
		uint32_t cursor = 1 + below(40);

		return sp_conn_next(sp, &cursor, UINT32_MAX);
	}
	/* A number that matters to the connection, or any. */
	uint32_t number(uint32_t base)
	{
		static const uint32_t offsets[] = {
			0, 1, 2, 0xffffffff, 65535, 65536, 0x7fffffff, 0x80000000};

		return below(4) == 0 ? (uint32_t)rnd() : base + offsets[below(8)];
	}
	void segment()
	{
		static const uint8_t flags[] = {TCP_SYN, TCP_SYN | TCP_ACK, TCP_ACK, TCP_RST,
			TCP_RST | TCP_ACK, TCP_FIN | TCP_ACK, TCP_ACK | TCP_PSH,
			TCP_SYN | TCP_ECE | TCP_CWR, TCP_URG | TCP_ACK};
		struct sp_conn *c = any_conn();
		bool known = c != nullptr && below(4) != 0;
		struct wire_tcp h = head((uint16_t)(4000 + below(30)), (uint16_t)(80 + below(3)),
			flags[below(sizeof(flags))], 0);
		uint8_t host = (uint8_t)(1 + below(4));

		if (known) {
			h.lport = c->tuple.rport;
			h.rport = c->tuple.lport;
			host = c->tuple.raddr[15];
		}
		h.seq = number(known ? c->irs : 5000);
		h.ack = number(known ? c->iss : 0);
		h.wnd = (uint16_t)rnd();
		h.has_ts = below(2) == 0;
		h.ts_val = number(known ? c->ts_recent : 100);
		h.mss = below(3) == 0 ? (uint16_t)rnd() : (uint16_t)(h.flags & TCP_SYN ? 1460 : 0);
		h.wscale = h.flags & TCP_SYN && below(2) ? (uint8_t)below(20) : SEG_NO_WSCALE;
		h.sack_ok = (uint8_t)below(2);
		uint8_t frame[2048];
		std::string body(below(3) == 0 ? below(100) : 0, 'x');
		uint32_t len = fake_tcp(frame, host, &h, body.data(), (uint32_t)body.size());
		if (below(10) == 0) {
			for (uint32_t k = 1 + below(4); k > 0; k--)
				frame[below(len)] ^= (uint8_t)(1u << below(8));
		}
		if (below(20) == 0)
			len = below(len + 1);
		deliver(frame, len);
	}
	/* As the core hands it over, sometimes vouching for a checksum, cut or large. */
	void deliver(const uint8_t *frame, uint32_t len)
	{
		struct fp_exc exc = {};

		exc.len = exc.cap = len;
		memcpy(exc.data, frame, len);
		exc.flags = (uint16_t)below(2);
		if (below(20) == 0) {
			exc.gso_size = (uint16_t)rnd();
			exc.len += below(60000);
		}
		sp_frame_input(sp, &exc);
	}
	void other_frame()
	{
		uint8_t frame[2048] = {}, body[64];
		uint32_t len;

		for (auto &b : body)
			b = (uint8_t)rnd();
		if (below(2) == 0) {
			struct wire_arp a = {};
			a.op = (uint16_t)(1 + below(2));
			memcpy(a.sha, fake_peer_mac, 6);
			a.sha[5] = (uint8_t)below(3);
			a.spa = fake_addr((uint8_t)below(6));
			a.tpa = fake_addr((uint8_t)below(4));
			len = wire_arp_emit(frame, fake_peer_mac, fake_mac, &a);
		} else if (fake_nframes > 0 && below(2) == 0) {
			const struct fake_frame &f = fake_frames[below(fake_nframes) % FAKE_FRAMES];
			len = wire_icmp_emit(frame, fake_peer_mac, fake_mac, fake_addr(1),
				fake_addr(2), 3, (uint8_t)below(6), rnd() & 0xffff0000u,
				f.data + 14, 28);
		} else {
			len = wire_icmp_emit(frame, fake_peer_mac, fake_mac, fake_addr(1),
				fake_addr(2), (uint8_t)below(20), (uint8_t)below(6), rnd(), body,
				below(64));
		}
		if (below(5) == 0)
			frame[below(len)] ^= (uint8_t)(1u << below(8));
		deliver(frame, len);
	}
	void core_acts()
	{
		struct sp_conn *c = any_conn();
		struct fp_event ev = {};

		if (c == nullptr)
			return;
		ev.type = 1 + below(8);
		ev.id = ev.conn = c->id;
		ev.gen = below(8) == 0 ? (uint32_t)rnd() : c->gen;
		if (ev.type == FP_EV_APP_GONE || ev.type == FP_EV_APP_BAD ||
			ev.type == FP_EV_NIC_DEAD)
			return; /* once, and by the book: below */
		if (ev.type == FP_EV_CLOSED) {
			ev.u.closed.reason = 1 + below(4);
			ev.u.closed.time_wait = below(2);
			ev.u.closed.snd_nxt = (uint32_t)rnd();
			ev.u.closed.rcv_nxt = c->irs + 100;
		} else if (ev.type == FP_EV_TAKEN) {
			if (!(c->flags & (SP_CONN_QUEUED | SP_CONN_ORPHAN)))
				return;
			ev.u.taken.app = apps[below((uint32_t)apps.size())]->id;
			ev.u.taken.slot = below(65536);
		} else if (ev.type == FP_EV_NEIGH) {
			ev.id = (uint32_t)rnd() % 1100;
		} else {
			ev.u.fb.mss = 1448;
			ev.u.fb.acked = below(100000);
			ev.u.fb.srtt_us = below(2) ? 0 : (uint32_t)rnd();
			ev.u.fb.now_ns = sp->now_ns;
		}
		fake_event(&ev);
	}
	void program_acts()
	{
		uint32_t i = below((uint32_t)apps.size());
		struct sp_app *app = apps[i];
		struct sp_conn_input in = {};
		struct sp_conn *c;
		int err;

		switch (below(6)) {
		case 0:
			connect_out(app, below(20), (uint16_t)(4000 + below(30)), &err,
				below(2) ? 0 : (uint16_t)(5000 + below(5)),
				(uint8_t)(1 + below(5)));
			break;
		case 1:
			c = sp_conn_get(sp, app->slot_conn[below(20)]);
			in.error = ECONNABORTED;
			if (c != nullptr)
				sp_conn_event(sp, c, SP_EV_CANCEL, &in);
			break;
		case 2:
			c = any_conn();
			if (c != nullptr && below(3) == 0)
				sp_conn_abort(sp, c, ECONNABORTED);
			break;
		case 3: {
			struct sp_listener *l = sp_listener_get(sp, 1 + below(5));
			if (l != nullptr && l->nqueued != 0) {
				auto &a = l->seg->queue[below(l->entries)];
				uint64_t w = a.word;
				if (TAS_ACCEPT_KIND(w) == TAS_ACCEPT_QUEUED)
					a.word = TAS_ACCEPT_WORD(
						TAS_ACCEPT_TAKEN, app->id, (uint32_t)w);
			}
			break;
		}
		case 4: {
			struct sp_listener *l = sp_listener_get(sp, 1 + below(5));
			if (l != nullptr && below(4) == 0)
				sp_listener_leave(sp, l, app);
			else if (l != nullptr)
				sp_listener_hold(sp, l, app);
			else
				listener(app, (uint16_t)(80 + below(3)), 1 + below(20), 1);
			break;
		}
		default:
			if (below(10) == 0)
				replace(i);
			break;
		}
	}
	void bury(uint32_t id)
	{
		uint32_t cursor = 1;
		struct sp_conn *c;

		while (cursor <= sp->conns.conns.capacity) { /* the core resets what it has */
			c = sp_conn_next(sp, &cursor, UINT32_MAX);
			if (c != nullptr && c->app == id && !(c->flags & SP_CONN_ORPHAN) &&
				(c->state == SP_CONN_OPEN || c->state == SP_CONN_ABORTING))
				closed(c, FP_CLOSE_ABORTED);
		}
		gone(id);
	}
	void replace(uint32_t i)
	{
		uint32_t id = apps[i]->id;

		sp_app_leave(sp, apps[i], "test");
		bury(id);
		apps[i] = program();
	}
	void check()
	{
		uint32_t cursor = 1, half = 0, open = 0, all = 0, queued = 0;

		while (cursor <= sp->conns.conns.capacity) {
			struct sp_conn *c = sp_conn_next(sp, &cursor, UINT32_MAX);
			if (c == nullptr)
				continue;
			all++;
			half += (c->flags & SP_CONN_HALF) != 0;
			open += c->state == SP_CONN_OPEN || c->state == SP_CONN_ABORTING;
			if (c->state == SP_CONN_SYN_SENT || c->state == SP_CONN_SYN_RCVD)
				ASSERT_TRUE(c->flags & SP_CONN_TIMER);
			else
				ASSERT_FALSE(c->flags & SP_CONN_TIMER);
			ASSERT_EQ(sp_conn_find(sp, &c->tuple), c);
			if (c->flags & SP_CONN_QUEUED) {
				struct sp_listener *l = sp_listener_get(sp, c->listener);
				ASSERT_NE(l, nullptr);
				ASSERT_EQ(l->accept[c->accept_entry].conn, c->id);
				queued++;
			}
		}
		ASSERT_EQ(all, sp_arena_used(&sp->conns.conns));
		ASSERT_EQ(half, sp->conns.nhalf);
		ASSERT_EQ(open, sp->conns.nopen);
		uint32_t in_queues = 0, in_halves = 0, lc = 1;
		while (struct sp_listener *l = sp_listener_next(sp, &lc)) {
			in_queues += l->nqueued;
			in_halves += l->nhalf;
			ASSERT_LE(l->nqueued, l->backlog + 1);
			ASSERT_GT(l->nholders, 0u);
		}
		ASSERT_EQ(queued, in_queues);
		ASSERT_EQ(half, in_halves);
	}
};

#endif
