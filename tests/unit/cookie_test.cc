/*
 * SYN cookies: what they carry, how long they are good, who gets them. RFC 4987 section 3.6.
 */
#include <cerrno>
#include <random>
#include <set>
#include "sp_peer.h"

extern "C" {
#include "conn/cookie.h"
}

namespace
{

const uint64_t secret[2] = {0x1122334455667788ull, 0x99aabbccddeeff00ull};
const uint64_t start_ns = 1000 * FAKE_SECOND; /* not at the start of a tick */

/* ---- pure ---- */

struct tas_tuple some_tuple(uint16_t port = 1)
{
	struct tas_tuple t = {};

	t.rport = port;
	t.lport = 80;
	return t;
}

TEST(Cookie, Mss_RoundedDownNeverUp)
{
	struct tas_tuple t = some_tuple();
	const struct {
		uint16_t offered, kept;
	} cases[] = {{1, 88}, {88, 88}, {535, 88}, {536, 536}, {1219, 536}, {1300, 1220},
		{1452, 1440}, {1459, 1440}, {1460, 1460}, {8959, 1460}, {8960, 8960},
		{65535, 8960}};

	for (auto &k : cases) {
		uint32_t c = sp_cookie_make(secret, &t, 5000, k.offered, start_ns);
		EXPECT_EQ(sp_cookie_check(secret, &t, 5000, c, start_ns), k.kept) << k.offered;
	}
}

TEST(Cookie, Age_GoodInItsTickAndTheNext)
{
	struct tas_tuple t = some_tuple();
	uint64_t tick = 40 * SP_COOKIE_TICK_NS;

	for (uint64_t made : {tick, (uint64_t)(tick + SP_COOKIE_TICK_NS - 1)}) {
		uint32_t c = sp_cookie_make(secret, &t, 5000, 1460, made);
		EXPECT_EQ(sp_cookie_check(secret, &t, 5000, c, made), 1460);
		EXPECT_EQ(sp_cookie_check(secret, &t, 5000, c, tick + 2 * SP_COOKIE_TICK_NS - 1),
			1460);
		EXPECT_EQ(sp_cookie_check(secret, &t, 5000, c, tick + 2 * SP_COOKIE_TICK_NS), 0);
		EXPECT_EQ(sp_cookie_check(secret, &t, 5000, c, tick - 1), 0) << "from the future";
	}
}

TEST(Cookie, AnythingElse_Refused)
{
	struct tas_tuple t = some_tuple(), other = some_tuple(2);
	const uint64_t wrong[2] = {secret[0], secret[1] ^ 1};
	uint32_t c = sp_cookie_make(secret, &t, 5000, 1460, start_ns);

	EXPECT_EQ(sp_cookie_check(secret, &other, 5000, c, start_ns), 0);
	EXPECT_EQ(sp_cookie_check(secret, &t, 5001, c, start_ns), 0);
	EXPECT_EQ(sp_cookie_check(wrong, &t, 5000, c, start_ns), 0);
	for (uint32_t bit = 3; bit < 32; bit++)
		EXPECT_EQ(sp_cookie_check(secret, &t, 5000, c ^ 1u << bit, start_ns), 0) << bit;
}

TEST(Cookie, Guesses_SixteenOfTwoToThe32)
{
	struct tas_tuple t = some_tuple();
	std::mt19937 rnd(4987);
	int hits = 0;

	for (int i = 0; i < 1000000; i++)
		hits += sp_cookie_check(secret, &t, 5000, (uint32_t)rnd(), start_ns) != 0;
	EXPECT_LE(hits, 1); /* expected: 0.004 */
}

TEST(Cookie, Time_CarriesOptionsAndNeverRunsAhead)
{
	for (uint32_t ms : {0u, 5u, 63u, 64u, 1000000u, UINT32_MAX}) {
		for (int bits = 0; bits < 4 * 16; bits++) {
			struct seg syn = {}, back = {};
			bool none = bits % 16 == 15;
			syn.wscale = none ? SEG_NO_WSCALE : (uint8_t)(bits % 16);
			syn.sack_ok = bits >> 4 & 1;
			uint32_t time = sp_cookie_time(ms, &syn, bits >> 5 & 1);
			EXPECT_LE(ms - time, 64u);
			sp_cookie_options(time, &back);
			EXPECT_EQ(back.wscale, syn.wscale);
			EXPECT_EQ(back.sack_ok, syn.sack_ok);
			EXPECT_EQ(back.flags, bits >> 5 & 1 ? TCP_ECE | TCP_CWR : 0);
		}
	}
	struct seg syn = {}, back = {};
	syn.wscale = 200; /* as RFC 7323 2.3: 14 */
	sp_cookie_options(sp_cookie_time(77, &syn, 0), &back);
	EXPECT_EQ(back.wscale, 14);
}

/* ---- in the slow path ---- */

class Cookies : public SlowPath
{
      protected:
	struct sp_app *app = nullptr;
	struct sp_listener *l = nullptr;

	void SetUp() override
	{
		begin();
	}
	void begin(uint32_t backlog = 8)
	{
		if (sp != nullptr)
			fake_stop(sp);
		start();
		app = program();
		l = listener(app, 80, backlog);
		learn_peer();
		fake_forget();
	}
	/* Handshakes that nobody will finish. */
	void flood(uint32_t n, uint16_t port = 80)
	{
		for (uint32_t i = 0; i < n; i++) {
			receive(head((uint16_t)(1024 + i % 60000), port, TCP_SYN, 7 + i), "",
				(uint8_t)(3 + i / 60000));
			fake_nframes = fake_nframes > 4000 ? 0 : fake_nframes;
		}
	}
	/* The ACK of what was last sent. */
	struct wire_tcp ack_of(const struct seg &s, uint16_t from)
	{
		struct wire_tcp a = head(from, 80, TCP_ACK, s.ack, s.seq + 1);

		if (s.has_ts) {
			a.has_ts = 1;
			a.ts_val = s.ts_ecr + 3;
			a.ts_ecr = s.ts_val;
		}
		return a;
	}
};

class CookieOptions : public Cookies, public testing::WithParamInterface<int>
{
};

TEST_P(CookieOptions, Pressure_AckOpensWithWhatTheSynSaid)
{
	int bits = GetParam();
	bool ts = bits & 1, sack = bits & 2, ws = bits & 4, ecn = bits & 8, mss = bits & 16;
	struct wire_tcp syn = head(40000, 80, TCP_SYN, 5000);

	flood(200);
	uint64_t before = sp->cnt.conn_passive;
	uint32_t used = sp_arena_used(&sp->conns.conns);
	syn.has_ts = ts;
	syn.ts_val = 777;
	syn.sack_ok = sack;
	syn.wscale = ws ? 5 : SEG_NO_WSCALE;
	syn.mss = mss ? 1400 : 0;
	if (ecn)
		syn.flags |= TCP_ECE | TCP_CWR;
	fake_forget();
	receive(syn);
	ASSERT_EQ(fake_nframes, 1u);
	struct seg s = sent();
	EXPECT_EQ(s.flags, TCP_SYN | TCP_ACK | (ts && ecn ? TCP_ECE : 0u));
	EXPECT_EQ(s.ack, 5001u);
	EXPECT_EQ(s.mss, 1460);
	EXPECT_EQ(s.has_ts, ts);
	EXPECT_EQ(s.ts_ecr, ts ? 777u : 0u);
	EXPECT_EQ(s.sack_ok, ts && sack);
	EXPECT_EQ(s.wscale, ts && ws ? 7 : SEG_NO_WSCALE);
	EXPECT_EQ(sp_arena_used(&sp->conns.conns), used);

	fake_advance(sp, 3000000000ull);
	receive(ack_of(s, 40000));
	auto in = messages(SP_FLOW_INSTALL);
	ASSERT_EQ(in.size(), 1u);
	const struct fp_flow_init &f = in[0].u.install;
	EXPECT_EQ(f.irs, 5000u);
	EXPECT_EQ(f.iss, s.seq);
	EXPECT_EQ(f.has_ts, ts);
	EXPECT_EQ(f.has_sack, ts && sack);
	EXPECT_EQ(f.has_ecn, ts && ecn);
	EXPECT_EQ(f.ts_recent, ts ? 780u : 0u);
	EXPECT_EQ(f.snd_wscale, ts && ws ? 5 : 0);
	EXPECT_EQ(f.rcv_wscale, ts && ws ? 7 : 0);
	EXPECT_EQ(f.snd_wnd, ts && ws ? 1000u << 5 : 1000u);
	EXPECT_EQ(f.mss, (mss ? 1400 : 536) - (ts ? 12 : 0));
	EXPECT_EQ(f.rcv_adv, 5001u + 65535u);
	EXPECT_EQ(f.rtt_us, 0u);
	EXPECT_EQ(f.listener, l->id);
	EXPECT_NE(f.neigh, 0u);
	if (ts) { /* our clock goes on from what the peer has seen */
		uint32_t now = (uint32_t)(sp->now_ns / 1000000) + f.ts_offset;
		EXPECT_GE((int32_t)(now - s.ts_val), 3000);
		EXPECT_LE((int32_t)(now - s.ts_val), 3064);
	}
	EXPECT_EQ(l->nqueued, 1u);
	EXPECT_EQ(sp->cnt.conn_passive, before + 1);
	EXPECT_EQ(sp->cnt.drop_half_open, 0u);
	EXPECT_EQ(sp->cnt.drop_bad_cookie, 0u);
}

INSTANTIATE_TEST_SUITE_P(All, CookieOptions, testing::Range(0, 32));

TEST_F(Cookies, HundredThousandSyns_NothingKeptAndServed)
{
	flood(100000);
	EXPECT_EQ(l->nhalf, 128u);
	EXPECT_EQ(sp_arena_used(&sp->conns.conns), 128u);
	EXPECT_EQ(sp->cnt.syn_cookies, 100000u - 128u);
	for (uint16_t i = 0; i < 5; i++) {
		struct sp_conn *c = connect_peer((uint16_t)(62000 + i), 80);
		ASSERT_NE(c, nullptr);
		EXPECT_EQ(c->state, SP_CONN_OPEN);
	}
	EXPECT_EQ(l->nqueued, 5u);
}

TEST_F(Cookies, LimitOfAll_CookiesForEveryListener)
{
	options = {"--max_half_open=20"};
	begin();
	struct sp_listener *other = listener(app, 81);
	flood(30);
	EXPECT_EQ(sp->conns.nhalf, 20u);
	EXPECT_EQ(sp->cnt.syn_cookies, 10u);
	struct sp_conn *c = connect_peer(40000, 81);
	ASSERT_NE(c, nullptr);
	EXPECT_EQ(c->listener, other->id);
	EXPECT_EQ(sp->cnt.syn_cookies, 11u);
}

TEST_F(Cookies, PressureOver_RecordsAgainAndLateCookieStillGood)
{
	flood(128);
	receive(head(40000, 80, TCP_SYN, 5000));
	struct seg s = sent();
	EXPECT_EQ(sp->cnt.syn_cookies, 1u);
	sp_half_open_drop_oldest(sp, l);
	receive(head(40001, 80, TCP_SYN, 5000));
	EXPECT_EQ(sp->cnt.syn_cookies, 1u);
	EXPECT_EQ(l->nhalf, 128u);
	receive(ack_of(s, 40000));
	EXPECT_EQ(messages(SP_FLOW_INSTALL).size(), 1u);
}

TEST_F(Cookies, NoneSentLately_AckIsAStray)
{
	flood(128);
	receive(head(40000, 80, TCP_SYN, 5000));
	struct seg s = sent();
	struct wire_tcp wrong = head(40001, 80, TCP_ACK, 5001, 99);

	receive(wrong);
	EXPECT_EQ(sp->cnt.drop_bad_cookie, 1u);
	EXPECT_EQ(sent().flags, TCP_RST);
	EXPECT_EQ(sent().seq, 99u);
	fake_advance(sp, SP_COOKIE_AGE_NS + FAKE_SECOND);
	fake_forget();
	receive(ack_of(s, 40000));
	EXPECT_EQ(sent().flags, TCP_RST);
	EXPECT_EQ(sp->cnt.drop_bad_cookie, 1u);
	EXPECT_TRUE(messages(SP_FLOW_INSTALL).empty());
}

TEST_F(Cookies, TooOld_RefusedWhileOthersAreSent)
{
	flood(128);
	receive(head(40000, 80, TCP_SYN, 5000));
	struct seg s = sent();
	for (int i = 0; i < 7; i++) { /* the flood goes on */
		fake_advance(sp, 10 * FAKE_SECOND);
		flood(129);
	}
	fake_forget();
	receive(ack_of(s, 40000));
	EXPECT_EQ(sp->cnt.drop_bad_cookie, 1u);
	EXPECT_EQ(sent().flags, TCP_RST);
}

TEST_F(Cookies, OtherListener_CookieNotLookedAt)
{
	struct sp_listener *other = listener(app, 81);
	flood(200);
	receive(head(40000, 81, TCP_ACK, 5001, 99));
	EXPECT_EQ(sp->cnt.drop_bad_cookie, 0u);
	EXPECT_EQ(other->nqueued, 0u);
}

TEST_F(Cookies, AckWithData_DataFollows)
{
	flood(200);
	receive(head(40000, 80, TCP_SYN, 5000));
	struct wire_tcp a = ack_of(sent(), 40000);
	fake_forget();
	receive(a, "GET /");
	ASSERT_EQ(fake_nmsgs, 2u);
	EXPECT_EQ(fake_msgs[0].m.type, (uint32_t)SP_FLOW_INSTALL);
	EXPECT_EQ(fake_msgs[1].m.type, (uint32_t)SP_FRAME);
}

TEST_F(Cookies, QueueFull_AckWaitsForRoom)
{
	begin(1);
	flood(200);
	receive(head(40000, 80, TCP_SYN, 5000));
	struct seg s = sent();
	ASSERT_NE(connect_peer(41000, 80), nullptr);
	ASSERT_NE(connect_peer(41001, 80), nullptr);
	uint32_t used = sp_arena_used(&sp->conns.conns);
	receive(ack_of(s, 40000));
	EXPECT_EQ(l->nqueued, 2u);
	EXPECT_EQ(sp->cnt.drop_backlog_full, 1u);
	EXPECT_EQ(sp_arena_used(&sp->conns.conns), used);
	struct tas_tuple t = tuple(80, 41000);
	closed(sp_conn_find(sp, &t), FP_CLOSE_RESET);
	receive(ack_of(s, 40000), "again");
	EXPECT_EQ(l->nqueued, 2u);
}

TEST_F(Cookies, FullQueue_NoCookieIsSent)
{
	begin(1);
	flood(128);
	receive(head(40000, 80, TCP_SYN, 5000));
	receive(ack_of(sent(), 40000));
	receive(head(40001, 80, TCP_SYN, 5000));
	receive(ack_of(sent(), 40001));
	ASSERT_TRUE(sp_accept_full(l));
	fake_forget();
	receive(head(40002, 80, TCP_SYN, 5000));
	EXPECT_EQ(fake_nframes, 0u);
}

TEST_F(Cookies, Off_OldestGives)
{
	options = {"--tcp_syncookies=0"};
	begin();
	flood(200);
	EXPECT_EQ(sp->cnt.syn_cookies, 0u);
	EXPECT_EQ(sp->cnt.drop_half_open, 72u);
	EXPECT_NE(connect_peer(40000, 80), nullptr);
}

TEST_F(Cookies, AfterTimeWait_NoCookieButAnIsnAboveTheOld)
{
	struct sp_conn *c = connect_peer(40000, 80);
	ASSERT_NE(c, nullptr);
	uint32_t end = c->iss + 0x40000000u;
	closed(c, FP_CLOSE_DONE, 1, end, 5500);
	flood(200);
	fake_forget();
	receive(head(40000, 80, TCP_SYN, 9000));
	ASSERT_EQ(sent().flags, TCP_SYN | TCP_ACK);
	EXPECT_GT((int32_t)(sent().seq - end), 65535);
	EXPECT_EQ(sp->cnt.drop_half_open, 1u);
}

/* Whatever an attacker sends to a listener under pressure, nothing opens that was not answered. */
TEST_F(Cookies, GuessedAcks_CountedNoneOpens)
{
	std::mt19937 rnd(1);
	flood(200);
	for (int i = 0; i < 20000; i++) {
		struct wire_tcp a =
			head((uint16_t)rnd(), 80, TCP_ACK, (uint32_t)rnd(), (uint32_t)rnd());
		a.has_ts = rnd() & 1;
		a.ts_ecr = (uint32_t)rnd();
		receive(a);
		fake_nframes = fake_nframes > 4000 ? 0 : fake_nframes;
	}
	EXPECT_TRUE(messages(SP_FLOW_INSTALL).empty());
	EXPECT_GT(sp->cnt.drop_bad_cookie, 19000u);
	EXPECT_EQ(l->nqueued, 0u);
}

} // namespace
