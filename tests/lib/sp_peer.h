/*
 * sp_peer.h - a fixture for tests of handshakes: the slow path over its fake, a program with real
 * memory, and a peer that makes segments.
 */
#ifndef SP_PEER_H
#define SP_PEER_H

#include <arpa/inet.h>
#include <cstring>
#include <string>
#include <vector>
#include <gtest/gtest.h>
#include "sp_fake.h"

class SlowPath : public testing::Test
{
      protected:
	struct sp *sp = nullptr;
	std::vector<const char *> options;

	void TearDown() override
	{
		if (sp != nullptr)
			fake_stop(sp);
	}
	void start()
	{
		sp = fake_start((int)options.size(), options.data());
		ASSERT_NE(sp, nullptr);
	}
	/* A program as after HELLO and REGION, without a socket. */
	struct sp_app *program()
	{
		struct sp_app *app = sp_app_new(sp);
		struct sp_region_fds fds;

		app->pid = 1000 + app->id;
		sp_app_greeted(sp, app);
		EXPECT_EQ(sp_region_create(sp, app, &fds), 0);
		app->state = SP_APP_ACTIVE;
		close(fds.control);
		close(fds.page);
		return app;
	}
	struct tas_sock *slot(struct sp_app *app, uint32_t i)
	{
		struct fp_app *fa = fp_app(sp->fp, app->id);

		return tas_region_sock(fa->region, fa->off_slots, i);
	}
	struct sp_listener *listener(struct sp_app *app, uint16_t port, uint32_t backlog = 8,
		int reuseport = 0, bool any = false)
	{
		static uint64_t cookie = 1;
		struct tas_sockopts opts = {};
		struct sp_listen_args a = {};
		struct sp_listener *l = nullptr;

		a.cookie = cookie++;
		if (!any)
			tas_addr_from_v4(a.laddr, fake_addr(2));
		a.lport = htons(port);
		a.reuseport = (uint8_t)reuseport;
		a.backlog = backlog;
		a.opts = &opts;
		if (sp_listener_create(sp, &a, &l) != 0)
			return nullptr;
		EXPECT_EQ(sp_listener_hold(sp, l, app), 0);
		return l;
	}
	/* A segment's header from the peer. */
	static struct wire_tcp head(
		uint16_t from, uint16_t to, uint8_t flags, uint32_t seq, uint32_t ack = 0)
	{
		struct wire_tcp h = {};

		h.lport = htons(from);
		h.rport = htons(to);
		h.flags = flags;
		h.seq = seq;
		h.ack = ack;
		h.wnd = 1000;
		h.wscale = SEG_NO_WSCALE;
		return h;
	}
	void receive(const struct wire_tcp &h, const std::string &payload = "", uint8_t host = 1)
	{
		uint8_t frame[2048];

		fake_receive(sp, frame,
			fake_tcp(frame, host, &h, payload.data(), (uint32_t)payload.size()));
	}
	/* The last frame sent, as a segment; fails when it is no TCP. */
	struct seg sent(uint32_t back = 0)
	{
		struct seg s = {};

		EXPECT_GT(fake_nframes, back);
		if (fake_nframes > back) {
			EXPECT_EQ(fake_parse(fake_nframes - 1 - back, &s), 0);
		}
		return s;
	}
	struct tas_tuple tuple(uint16_t lport, uint16_t rport, uint8_t host = 1)
	{
		struct tas_tuple t = {};

		tas_addr_from_v4(t.laddr, fake_addr(2));
		tas_addr_from_v4(t.raddr, fake_addr(host));
		t.lport = htons(lport);
		t.rport = htons(rport);
		return t;
	}
	/* Handshake of a peer with a listener, up to its ACK. Returns the connection, NULL when
	 * none is open. */
	struct sp_conn *connect_peer(uint16_t from, uint16_t to, uint32_t isn = 5000)
	{
		struct tas_tuple t = tuple(to, from);
		struct wire_tcp syn = head(from, to, TCP_SYN, isn);
		struct seg s;

		fake_nframes = 0;
		receive(syn);
		if (fake_nframes == 0)
			return nullptr;
		s = sent();
		receive(head(from, to, TCP_ACK, isn + 1, s.seq + 1));
		return sp_conn_find(sp, &t);
	}
	void closed(struct sp_conn *c, uint32_t reason, int time_wait = 0, uint32_t snd_nxt = 0,
		uint32_t rcv_nxt = 0)
	{
		struct fp_event ev = {};

		ev.type = FP_EV_CLOSED;
		ev.id = ev.conn = c->id;
		ev.gen = c->gen;
		ev.u.closed.reason = reason;
		ev.u.closed.time_wait = (uint32_t)time_wait;
		ev.u.closed.snd_nxt = snd_nxt;
		ev.u.closed.rcv_nxt = rcv_nxt;
		ev.u.closed.ts_recent = c->ts_recent;
		fake_event(&ev);
		sp_round(sp);
	}
	/* A core has bound the connection to the slot, or taken it out of there. */
	void slot_event(uint32_t type, struct sp_conn *c, struct sp_app *app, uint32_t slot)
	{
		struct fp_event ev = {};

		ev.type = type;
		ev.id = ev.conn = c->id;
		ev.gen = c->gen;
		ev.u.taken.app = app->id;
		ev.u.taken.slot = slot;
		fake_event(&ev);
		sp_round(sp);
	}
	void taken(struct sp_conn *c, struct sp_app *app, uint32_t slot)
	{
		slot_event(FP_EV_TAKEN, c, app, slot);
	}
	void parked(struct sp_conn *c, struct sp_app *app, uint32_t slot)
	{
		slot_event(FP_EV_PARKED, c, app, slot);
	}
	void gone(uint32_t app)
	{
		struct fp_event ev = {};

		ev.type = FP_EV_APP_GONE;
		ev.id = app;
		fake_event(&ev);
		fake_event(&ev);
		sp_round(sp);
	}
	/* Messages of a type seen since fake_forget(). */
	std::vector<struct sp_msg> messages(uint32_t type)
	{
		std::vector<struct sp_msg> v;

		for (uint32_t i = 0; i < fake_nmsgs; i++) {
			if (fake_msgs[i].m.type == type)
				v.push_back(fake_msgs[i].m);
		}
		return v;
	}
	struct sp_conn *connect_out(struct sp_app *app, uint32_t s, uint16_t port,
		int *err = nullptr, uint16_t lport = 0, uint8_t host = 1)
	{
		struct tas_sockopts opts = {};
		struct tas_tuple t = tuple(lport, port, host);
		struct sp_conn *c = nullptr;
		int rc = sp_connect(sp, app, s, &t, &opts, &c);

		if (err != nullptr)
			*err = rc;
		return rc == 0 ? c : nullptr;
	}
	void arp(uint16_t op, uint8_t host = 1, const uint8_t *mac = fake_peer_mac,
		uint32_t spa = 0, uint32_t tpa = 0)
	{
		uint8_t frame[64] = {};
		struct wire_arp a = {};

		a.op = op;
		memcpy(a.sha, mac, 6);
		if (op == 2)
			memcpy(a.tha, fake_mac, 6);
		a.spa = spa != 0 ? spa : fake_addr(host);
		a.tpa = tpa != 0 ? tpa : fake_addr(2);
		uint32_t len = wire_arp_emit(frame, mac, fake_mac, &a);
		fake_receive(sp, frame, len);
	}
	struct sp_neigh *neighbour(uint8_t host)
	{
		struct sp_neigh *n;
		uint32_t cursor = 1;
		uint8_t addr[16];

		tas_addr_from_v4(addr, fake_addr(host));
		while ((n = sp_neigh_next(sp, &cursor)) != nullptr) {
			if (memcmp(n->addr, addr, 16) == 0)
				return n;
		}
		return nullptr;
	}
	/* The peer asks for us and answers our question: reachable. */
	void learn_peer(uint8_t host = 1)
	{
		arp(1, host);
		struct sp_neigh *n = neighbour(host);
		ASSERT_NE(n, nullptr);
		sp_neigh_used(sp, n->id);
		arp(2, host);
		EXPECT_EQ(n->state, SP_NEIGH_REACHABLE);
	}
};

#endif
