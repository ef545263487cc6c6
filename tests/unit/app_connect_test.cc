/*
 * Registration: connect, cancel, and options of listeners and connections.
 */
#include <cerrno>
#include "app_peer.h"

namespace
{

TEST_F(App, Connect_ReplyNamesFlowAndGeneration_CancelFrees)
{
	uint32_t id;
	int a = join(&id), h = handle(0, 0);
	struct tas_msg m = message(TAS_CMD_CONNECT);
	tas_addr_from_v4(m.raddr, fake_addr(1));
	m.rport = htons(80);
	m.slot = 12;
	Reply r = ask(a, m, {h});
	ASSERT_EQ(r.m.status, 0);
	struct sp_conn *c = sp_conn_get(sp, r.m.id);
	ASSERT_NE(c, nullptr);
	EXPECT_EQ(c->gen, r.m.aux);
	EXPECT_EQ(tas_addr_v4(r.m.laddr), fake_addr(2));
	EXPECT_EQ(c->tuple.lport, r.m.lport);
	EXPECT_EQ(ask(a, m, {h}).m.status, -EBUSY);

	struct tas_msg k = message(TAS_CMD_CANCEL);
	k.slot = 12;
	k.aux = r.m.aux + 1;
	EXPECT_EQ(ask(a, k).m.status, -EALREADY);
	k.aux = r.m.aux;
	EXPECT_EQ(ask(a, k).m.status, 0);
	EXPECT_EQ(slot(sp_app_get(sp, id), 12)->state, TAS_SOCK_ERROR | TAS_SOCK_FREE);
	EXPECT_EQ(slot(sp_app_get(sp, id), 12)->gen, (uint32_t)r.m.aux);
	k.slot = 1u << 30;
	EXPECT_EQ(ask(a, k).m.status, -EINVAL);
	close(a);
	close(h);
}

TEST_F(App, Connect_DestinationsNotForUs)
{
	int a = join(), h = handle(0, 0);
	const struct {
		uint32_t v4;
		uint16_t port;
		int status;
	} cases[] = {{htonl(0x08080808), 80, -EADDRNOTAVAIL}, {fake_addr(255), 80, -EADDRNOTAVAIL},
		{htonl(0xe0000001), 80, -EADDRNOTAVAIL},
		{htonl(INADDR_LOOPBACK), 80, -EADDRNOTAVAIL}};
	for (auto &k : cases) {
		struct tas_msg m = message(TAS_CMD_CONNECT);
		tas_addr_from_v4(m.raddr, k.v4);
		m.rport = htons(k.port);
		EXPECT_EQ(ask(a, m, {h}).m.status, k.status) << ntohl(k.v4);
	}
	struct tas_msg m = message(TAS_CMD_CONNECT);
	m.raddr[0] = 0x20; /* IPv6 */
	m.rport = htons(80);
	EXPECT_EQ(ask(a, m, {h}).m.status, -EINVAL);
	close(a);
	close(h);
}

/* Nobody is asked for the address; the SYN goes to ourselves. */
TEST_F(App, Connect_OwnAddress_FromTheSame_AtOnce)
{
	int a = join(), h = handle(0, 0);
	struct tas_msg m = message(TAS_CMD_CONNECT);
	fake_nframes = 0;
	tas_addr_from_v4(m.raddr, fake_addr(2));
	m.rport = htons(80);
	Reply r = ask(a, m, {h});
	ASSERT_EQ(r.m.status, 0);
	EXPECT_EQ(tas_addr_v4(r.m.laddr), fake_addr(2));
	ASSERT_EQ(fake_nframes, 1u) << "no ARP";
	EXPECT_EQ(memcmp(fake_frames[0].data, fake_mac, 6), 0);
	EXPECT_EQ(memcmp(fake_frames[0].data + 6, fake_mac, 6), 0);
	struct seg syn;
	ASSERT_EQ(wire_parse(fake_frames[0].data, fake_frames[0].len, 0, 0, &syn), WIRE_TCP);
	EXPECT_GT(syn.mss, 1460);
	close(a);
	close(h);
}

/* Kernel and tas share the address: its port decides whose connection it is. */
TEST_F(App, Connect_SharedAddress_ToTasListenersOnly)
{
	int a = join(), h = handle(0, 0), lh = handle(fake_addr(2), 7031);
	struct tas_msg m = message(TAS_CMD_CONNECT), listen = message(TAS_CMD_LISTEN);
	strcpy(sp->conf.exception_tap, "x");
	tas_addr_from_v4(m.raddr, fake_addr(2));
	m.rport = htons(7031);
	EXPECT_EQ(ask(a, m, {h}).m.status, -EADDRNOTAVAIL);
	listen.aux = 10;
	ASSERT_EQ(ask(a, listen, {lh}).m.status, 0);
	EXPECT_EQ(ask(a, m, {h}).m.status, 0);
	m.slot = 1;
	m.rport = htons(7032);
	EXPECT_EQ(ask(a, m, {h}).m.status, -EADDRNOTAVAIL);
	close(a);
	close(h);
	close(lh);
}

/* A port chosen for us is never the one that we connect to: that would be ourselves. */
TEST_F(App, Connect_OwnPort_IsNeverChosen)
{
	int a = join(), h = handle(0, 0);
	for (uint32_t port = 61000; port < 61004; port++) {
		struct tas_msg m = message(TAS_CMD_CONNECT);
		tas_addr_from_v4(m.raddr, fake_addr(2));
		m.rport = htons((uint16_t)port);
		sp->conf.local_ports.high = (uint16_t)(port + 1);
		sp->conf.local_ports.low = (uint16_t)port;
		m.slot = port % 64;
		Reply r = ask(a, m, {h});
		ASSERT_EQ(r.m.status, 0);
		EXPECT_NE(r.m.lport, m.rport);
	}
	close(a);
	close(h);
}

TEST_F(App, Connect_BoundHandle_KeepsPort_DeathDropsHandshake)
{
	uint32_t id;
	int a = join(&id), h = handle(fake_addr(2), 7020);
	struct tas_msg m = message(TAS_CMD_CONNECT);
	tas_addr_from_v4(m.raddr, fake_addr(1));
	m.rport = htons(80);
	Reply r = ask(a, m, {h});
	ASSERT_EQ(r.m.status, 0);
	EXPECT_EQ(ntohs(r.m.lport), 7020);
	close(a);
	steps();
	EXPECT_EQ(sp_arena_used(&sp->conns.conns), 0u);
	gone(id);
	EXPECT_EQ(sp->apps.count, 0u);
	close(h);
}

/* ---- options ---- */

TEST_F(App, Setopt_Congestion_ListenersGoToConnectionsOpenOnesSwitch)
{
	uint32_t id;
	int a = join(&id), lh = handle(fake_addr(2), 7023);
	const uint32_t cubic = 1, dctcp = 2, reno = 3;
	struct tas_msg m = message(TAS_CMD_LISTEN), read = message(TAS_CMD_SETOPT);
	m.aux = 10;
	m.opts.cc = reno;
	Reply l = ask(a, m, {lh});
	ASSERT_EQ(l.m.status, 0);
	read.flags = TAS_OPT_LISTENER | TAS_OPT_READ;
	read.id = l.m.id;
	EXPECT_EQ(ask(a, read).m.opts.cc, reno);
	learn_peer();
	struct sp_conn *one = connect_peer(40000, 7023);
	ASSERT_NE(one, nullptr);
	EXPECT_STREQ(cc_algos[one->cc]->name, "reno");

	struct tas_msg set = message(TAS_CMD_SETOPT);
	set.flags = TAS_OPT_LISTENER;
	set.id = l.m.id;
	EXPECT_EQ(ask(a, set).m.status, 0); /* 0: the configuration's */
	EXPECT_EQ(ask(a, read).m.opts.cc, cubic);
	struct sp_conn *two = connect_peer(40001, 7023);
	EXPECT_STREQ(cc_algos[two->cc]->name, "cubic");
	EXPECT_STREQ(cc_algos[one->cc]->name, "reno"); /* as it began */

	fp_app(sp->fp, id)->slot_flow[3] = one->id;
	read.flags = TAS_OPT_READ;
	read.slot = set.slot = 3;
	read.aux = one->gen;
	EXPECT_EQ(ask(a, read).m.opts.cc, reno);
	set.flags = 0;
	set.aux = one->gen;
	set.opts.cc = dctcp;
	fake_forget();
	EXPECT_EQ(ask(a, set).m.status, 0);
	EXPECT_EQ(ask(a, read).m.opts.cc, dctcp);
	auto cc = messages(SP_CC_SET);
	ASSERT_EQ(cc.size(), 1u);
	EXPECT_TRUE(cc[0].u.cc.flags & CC_PACED);
	EXPECT_GT(cc[0].u.cc.pace_kbps, 0u);
	EXPECT_EQ(cc[0].u.cc.cwnd, 0u); /* goes on from what it has */
	EXPECT_EQ(cc[0].u.cc.ssthresh, 0u);
	EXPECT_EQ(ask(a, set).m.status, 0); /* the same again changes nothing */
	EXPECT_EQ(messages(SP_CC_SET).size(), 1u);
	for (uint32_t unknown : {4u, ~0u}) {
		set.opts.cc = unknown;
		EXPECT_EQ(ask(a, set).m.status, -EINVAL);
	}
	read.aux = set.aux = one->gen + 7; /* the slot has another connection by now */
	set.opts.cc = cubic;
	EXPECT_EQ(ask(a, set).m.status, -ENOENT);
	EXPECT_EQ(ask(a, read).m.status, -ENOENT);
	EXPECT_STREQ(cc_algos[one->cc]->name, "dctcp");
	close(a);
	close(lh);
}

TEST_F(App, Setopt_ReachesHandshakeListenerAndFlow)
{
	uint32_t id;
	int a = join(&id), h = handle(0, 0), lh = handle(fake_addr(2), 7021);
	struct tas_msg m = message(TAS_CMD_CONNECT);
	tas_addr_from_v4(m.raddr, fake_addr(1));
	m.rport = htons(80);
	m.slot = 2;
	Reply r = ask(a, m, {h});
	struct sp_conn *c = sp_conn_get(sp, r.m.id);
	struct tas_msg o = message(TAS_CMD_SETOPT);
	o.slot = 2;
	o.opts.keepalive = 1;
	EXPECT_EQ(ask(a, o).m.status, 0);
	EXPECT_EQ(c->opts.keepalive, 1u);
	EXPECT_EQ(c->opts.keepidle_s, 7200u); /* the daemon's default */
	learn_peer();
	receive(head(80, ntohs(c->tuple.lport), TCP_SYN | TCP_ACK, 9000, c->iss + 1));
	ASSERT_EQ(c->state, SP_CONN_OPEN);
	fp_app(sp->fp, id)->slot_flow[2] = c->id; /* as the core does */
	o.opts.keepidle_s = 5;
	EXPECT_EQ(ask(a, o).m.status, 0);
	auto msgs = messages(SP_FLOW_OPTS);
	ASSERT_EQ(msgs.size(), 1u);
	EXPECT_EQ(msgs[0].u.opts.keepidle_s, 5u);
	for (uint32_t bad : {40000u, ~0u}) {
		o.opts.keepidle_s = bad;
		EXPECT_EQ(ask(a, o).m.status, -EINVAL);
	}
	Reply l = ask(a, message(TAS_CMD_LISTEN), {lh});
	struct tas_msg lo = message(TAS_CMD_SETOPT);
	lo.flags = TAS_OPT_LISTENER;
	lo.id = l.m.id;
	lo.opts.maxseg = 1000;
	EXPECT_EQ(ask(a, lo).m.status, 0);
	EXPECT_EQ(sp_listener_get(sp, l.m.id)->opts.maxseg, 1000u);
	o.opts.keepidle_s = 5;
	o.slot = 60000;
	EXPECT_EQ(ask(a, o).m.status, -ENOENT);
	o.slot = ~0u;
	EXPECT_EQ(ask(a, o).m.status, -ENOENT);
	close(a);
	close(h);
	close(lh);
}

/* Each process that holds a socket knows what it set itself. */
TEST_F(App, Setopt_NamesWhatItSets_AnotherHoldersStays)
{
	uint32_t id;
	int a = join(&id), h = handle(0, 0), lh = handle(fake_addr(2), 7023);
	struct tas_msg m = message(TAS_CMD_CONNECT), o = message(TAS_CMD_SETOPT), lo = o;
	tas_addr_from_v4(m.raddr, fake_addr(1));
	m.rport = htons(80);
	m.slot = o.slot = 2;
	struct sp_conn *c = sp_conn_get(sp, ask(a, m, {h}).m.id);
	lo.flags = TAS_OPT_LISTENER;
	lo.id = ask(a, message(TAS_CMD_LISTEN), {lh}).m.id;
	struct tas_sockopts *l = &sp_listener_get(sp, lo.id)->opts;
	for (struct tas_msg *one : {&o, &lo}) {
		one->opts.keepidle_s = 5;
		one->opts.tos = 8;
		one->len = TAS_OPT_WORD(keepidle_s) | TAS_OPT_WORD(tos);
		EXPECT_EQ(ask(a, *one).m.status, 0);
		one->opts = {};
		one->opts.keepalive = 1;
		one->opts.tos = 16;
		one->len = TAS_OPT_WORD(keepalive);
		EXPECT_EQ(ask(a, *one).m.status, 0);
	}
	for (struct tas_sockopts *have : {&c->opts, l}) {
		EXPECT_EQ(have->keepidle_s, 5u);
		EXPECT_EQ(have->tos, 8u);
		EXPECT_EQ(have->keepalive, 1u);
	}
	o.len = ~0ull;
	EXPECT_EQ(ask(a, o).m.status, 0);
	EXPECT_EQ(c->opts.tos, 16u);
	EXPECT_EQ(c->opts.keepidle_s, 7200u);
	close(a);
	close(h);
	close(lh);
}

/* accept() is done in the program before a core has bound the connection: its options must not get lost. */
TEST_F(App, Setopt_ReachesAConnectionThatIsAcceptedAndNotBoundYet)
{
	uint32_t id, other;
	int a = join(&id), b = join(&other), lh = handle(fake_addr(2), 7022);
	Reply r = ask(a, message(TAS_CMD_LISTEN), {lh});
	ASSERT_EQ(r.m.status, 0);
	struct sp_listener *l = sp_listener_get(sp, r.m.id);
	struct sp_conn *c = connect_peer(40001, 7022);
	ASSERT_NE(c, nullptr);
	struct tas_msg o = message(TAS_CMD_SETOPT);
	o.slot = 3;
	o.id = c->id;
	o.aux = c->gen;
	o.opts.keepalive = 1;
	EXPECT_EQ(ask(a, o).m.status, -ENOENT) << "nobody has claimed it";
	l->seg->queue[c->accept_entry].word =
		TAS_ACCEPT_WORD(TAS_ACCEPT_TAKEN, id, c->accept_ticket);
	EXPECT_EQ(ask(b, o).m.status, -ENOENT) << "another program has";
	o.aux++;
	EXPECT_EQ(ask(a, o).m.status, -ENOENT) << "an older connection of that id";
	o.aux--;
	EXPECT_EQ(c->opts.keepalive, 0u);
	EXPECT_EQ(ask(a, o).m.status, 0);
	EXPECT_EQ(c->opts.keepalive, 1u);
	EXPECT_EQ(messages(SP_FLOW_OPTS).size(), 1u);
	EXPECT_EQ(sp_app_get(sp, id)->refused, 0u) << "what is gone is no refusal";
	EXPECT_EQ(sp_app_get(sp, other)->refused, 0u);
	o.opts.keepidle_s = 40000;
	EXPECT_EQ(ask(a, o).m.status, -EINVAL);
	EXPECT_EQ(sp_app_get(sp, id)->refused, 1u);
	close(a);
	close(b);
	close(lh);
}

} // namespace
