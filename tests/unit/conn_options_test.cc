/*
 * Socket options in handshakes: IP_TTL, IP_TOS, TCP_MAXSEG, TCP_WINDOW_CLAMP and SO_RCVBUF in SYN and
 * SYN-ACK, TCP_SYNCNT, TCP_USER_TIMEOUT, TCP_DEFER_ACCEPT. tcp(7), ip(7).
 */
#include <cerrno>
#include "conn_peer.h"

namespace
{

class ConnOptions : public Conn
{
      protected:
	struct tas_sockopts opts = {};

	struct sp_conn *out(uint32_t s = 3)
	{
		struct tas_tuple t = tuple(0, 8080);
		struct tas_sockopts o;
		struct sp_conn *c = nullptr;

		EXPECT_EQ(sp_policy_opts(sp, &opts, &o), 0);
		EXPECT_EQ(sp_connect(sp, app, s, &t, &o, &c), 0);
		return c;
	}
	struct sp_listener *in(uint16_t port)
	{
		struct sp_listener *l = listener(app, port);

		EXPECT_EQ(sp_policy_opts(sp, &opts, &l->opts), 0);
		return l;
	}
	/* A byte of the IP header of the last frame. */
	uint8_t ip(uint32_t at)
	{
		return fake_frames[fake_nframes - 1].data[14 + at];
	}
	/* The peer's next hop answers all the time, the peer itself does not. */
	void pass_s(int s)
	{
		for (int i = 0; i < s; i++) {
			fake_advance(sp, FAKE_SECOND);
			arp(2);
		}
	}
};

TEST_F(ConnOptions, TtlAndTos_InSynAndSynAck)
{
	opts.ttl = 17;
	opts.tos = 0x10;
	ASSERT_NE(out(), nullptr);
	EXPECT_EQ(ip(8), 17);
	EXPECT_EQ(ip(1), 0x10);
	ASSERT_NE(in(80), nullptr);
	receive(head(40000, 80, TCP_SYN, 5000));
	EXPECT_EQ(sent().flags, TCP_SYN | TCP_ACK);
	EXPECT_EQ(ip(8), 17);
	EXPECT_EQ(ip(1), 0x10);
	receive(head(40000, 80, TCP_ACK, 5001, sent().seq + 1));
	auto m = messages(SP_FLOW_INSTALL);
	ASSERT_EQ(m.size(), 1u);
	EXPECT_EQ(m[0].u.install.opts.ttl, 17);
	EXPECT_EQ(m[0].u.install.tos, 0x10);
}

TEST_F(ConnOptions, NoTtl_Is64)
{
	ASSERT_NE(out(), nullptr);
	EXPECT_EQ(ip(8), 64);
}

/* tcp(7): both bound the window from the first segment on, and with it the scale. */
TEST_F(ConnOptions, RcvbufAndClamp_BoundWindowAndScale)
{
	opts.rcvbuf = 100000;
	ASSERT_NE(out(3), nullptr);
	EXPECT_EQ(sent().wnd, 65535);
	EXPECT_EQ(sent().wscale, 1);
	opts.window_clamp = 20000;
	ASSERT_NE(out(4), nullptr);
	EXPECT_EQ(sent().wnd, 20000);
	EXPECT_EQ(sent().wscale, 0);
	opts.window_clamp = 1;
	ASSERT_NE(out(5), nullptr);
	EXPECT_EQ(sent().wnd, 1152);
	opts.window_clamp = 0;
	opts.rcvbuf = UINT32_MAX; /* as much as is configured */
	ASSERT_NE(out(6), nullptr);
	EXPECT_GE(65535ull << sent().wscale, sp->conf.rcvbuf_max);
}

TEST_F(ConnOptions, SynCount_LimitsRetries)
{
	opts.syncnt = 2;
	ASSERT_NE(out(), nullptr);
	pass_s(6); /* 1 + 2 s, and not yet 4 more */
	EXPECT_EQ(sp->cnt.syn_retrans, 2u);
	EXPECT_EQ(slot(app, 3)->state, 0u);
	pass_s(2);
	EXPECT_EQ(slot(app, 3)->error, (uint32_t)ETIMEDOUT);
	EXPECT_EQ(sp->cnt.syn_retrans, 2u);
}

/* The wait doubles to two minutes and no further, however often. */
TEST_F(ConnOptions, SynCount_AsManyAsThereCanBe)
{
	opts.syncnt = 127;
	ASSERT_NE(out(), nullptr);
	pass_s(127 + 119 * 120);
	EXPECT_EQ(slot(app, 3)->state, 0u);
	EXPECT_GE(sp->cnt.syn_retrans, 125u);
	pass_s(10 * 120);
	EXPECT_EQ(slot(app, 3)->error, (uint32_t)ETIMEDOUT);
	EXPECT_EQ(sp->cnt.syn_retrans, 127u);
}

TEST_F(ConnOptions, UserTimeout_EndsTheHandshake)
{
	opts.user_timeout_ms = 2500;
	ASSERT_NE(out(), nullptr);
	pass_s(2);
	EXPECT_EQ(slot(app, 3)->state, 0u);
	pass_s(1);
	EXPECT_EQ(slot(app, 3)->error, (uint32_t)ETIMEDOUT);
}

TEST_F(ConnOptions, DeferAccept_DataOpens)
{
	opts.defer = 3;
	ASSERT_NE(in(80), nullptr);
	receive(head(40000, 80, TCP_SYN, 5000));
	uint32_t iss = sent().seq;
	receive(head(40000, 80, TCP_ACK, 5001, iss + 1));
	EXPECT_EQ(messages(SP_FLOW_INSTALL).size(), 0u);
	fake_nframes = 0;
	fake_advance(sp, 3 * FAKE_SECOND / 2);
	EXPECT_EQ(fake_nframes, 0u) << "the SYN-ACK is not sent again: it was acknowledged";
	receive(head(40000, 80, TCP_ACK, 5001, iss + 1), "GET");
	EXPECT_EQ(messages(SP_FLOW_INSTALL).size(), 1u);
	EXPECT_EQ(messages(SP_FRAME).size(), 1u);
}

/* After the last wait the client is asked again, and its ACK is enough. */
TEST_F(ConnOptions, DeferAccept_OpensWithoutDataInTheEnd)
{
	opts.defer = 2; /* 3 s */
	ASSERT_NE(in(80), nullptr);
	receive(head(40000, 80, TCP_SYN, 5000));
	uint32_t iss = sent().seq;
	receive(head(40000, 80, TCP_ACK, 5001, iss + 1));
	fake_nframes = 0;
	fake_advance(sp, 2 * FAKE_SECOND);
	receive(head(40000, 80, TCP_ACK, 5001, iss + 1));
	EXPECT_EQ(messages(SP_FLOW_INSTALL).size(), 0u);
	EXPECT_EQ(fake_nframes, 0u);
	fake_advance(sp, 3 * FAKE_SECOND / 2);
	ASSERT_EQ(fake_nframes, 1u);
	EXPECT_EQ(sent().flags, TCP_SYN | TCP_ACK);
	receive(head(40000, 80, TCP_ACK, 5001, iss + 1));
	EXPECT_EQ(messages(SP_FLOW_INSTALL).size(), 1u);
}

TEST_F(ConnOptions, DeferAccept_FinOpens)
{
	opts.defer = 3;
	ASSERT_NE(in(80), nullptr);
	receive(head(40000, 80, TCP_SYN, 5000));
	receive(head(40000, 80, TCP_ACK | TCP_FIN, 5001, sent().seq + 1));
	EXPECT_EQ(messages(SP_FLOW_INSTALL).size(), 1u);
}

TEST_F(ConnOptions, OutOfRange_Refused)
{
	struct tas_sockopts o;

	opts.linger2_s = 121;
	EXPECT_EQ(sp_policy_opts(sp, &opts, &o), -EINVAL);
	opts.linger2_s = TAS_OPT_NO_LINGER2;
	EXPECT_EQ(sp_policy_opts(sp, &opts, &o), 0);
	opts.syncnt = 128;
	EXPECT_EQ(sp_policy_opts(sp, &opts, &o), -EINVAL);
	opts.syncnt = 0;
	opts.zero = 1;
	EXPECT_EQ(sp_policy_opts(sp, &opts, &o), -EINVAL);
}

} // namespace
