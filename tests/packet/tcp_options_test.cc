/*
 * Socket options that change what an established flow does: TCP_LINGER2, TCP_NOTSENT_LOWAT,
 * TCP_QUICKACK, TCP_WINDOW_CLAMP, SO_MAX_PACING_RATE. tcp(7), socket(7).
 */
#include "packet.h"

class Options : public Packet
{
      protected:
	/* The program closes, and the peer acknowledges its FIN. */
	void close_ours()
	{
		shut();
		in_ack(1);
		h->f.flags |= FP_F_RX_CLOSED;
		h->program();
	}
};

TEST_F(Options, linger2_fin_wait_2_lasts_as_long_as_it_says)
{
	conf.opts.linger2_s = 3;
	start();
	close_ours();
	pass_ms(2999);
	EXPECT_FALSE(h->timed_out);
	pass_ms(2);
	EXPECT_TRUE(h->timed_out);
}

TEST_F(Options, linger2_negative_a_closed_socket_is_reset_instead_of_fin_wait_2)
{
	conf.opts.linger2_s = TAS_OPT_NO_LINGER2;
	start();
	shut();
	in_ack(1);
	EXPECT_FALSE(h->ended()) << "it is not closed yet";
	h->f.flags |= FP_F_RX_CLOSED;
	EXPECT_TRUE(tcp_app(&h->f, &h->c, &h->env, 0, 0) & TCP_V_RST_OUT);
}

TEST_F(Options, notsent_lowat_bounds_what_is_not_sent_yet)
{
	conf.opts.notsent_lowat = 4000;
	start();
	EXPECT_EQ(4000u, tcp_tx_limit(&h->f, &h->c, &h->env));
	wnd = 0;
	in_ack(0);
	h->c.tx_limit = tcp_tx_limit(&h->f, &h->c, &h->env);
	h->f.tx_head = 1999;
	EXPECT_TRUE(tcp_tx_space(&h->f, &h->c));
	h->f.tx_head = 2000;
	EXPECT_FALSE(tcp_tx_space(&h->f, &h->c)) << "half of it waits to be sent";
	h->f.tx_nxt = 2000;
	EXPECT_TRUE(tcp_tx_space(&h->f, &h->c)) << "what is under way does not count";
	EXPECT_EQ(6000u, tcp_tx_limit(&h->f, &h->c, &h->env));
	h->f.tx_head = h->f.tx_nxt = 0;
}

TEST_F(Options, notsent_lowat_larger_than_the_buffer_leaves_it_to_the_buffer)
{
	conf.opts.notsent_lowat = UINT32_MAX;
	start();
	EXPECT_EQ(h->c.tcp.snd_buf, tcp_tx_limit(&h->f, &h->c, &h->env));
	h->f.tx_head = h->f.tx_nxt = h->c.tcp.snd_buf / 3 * 2 - 1;
	EXPECT_TRUE(tcp_tx_space(&h->f, &h->c));
	h->f.tx_head = h->f.tx_nxt = h->c.tcp.snd_buf / 3 * 2 + 2;
	EXPECT_FALSE(tcp_tx_space(&h->f, &h->c));
	h->f.tx_head = h->f.tx_nxt = 0;
}

TEST_F(Options, quickack_off_delays_and_on_sends_what_is_owed)
{
	EXPECT_EQ(0u, tcp_quickack(&h->f, &h->c, 0)) << "also at the start of a connection";
	in_data(0, 100);
	expect_nothing();
	EXPECT_EQ((uint32_t)TCP_V_ACK, tcp_quickack(&h->f, &h->c, 1));
	h->output();
	expect_ack(100);
	in_data(100, 100);
	expect_ack(200);
}

TEST_F(Options, window_clamp_bounds_the_window)
{
	conf.opts.window_clamp = 10000;
	start();
	EXPECT_EQ(10000u, h->f.rx_buf);
	for (int64_t pos = 0; pos < 100000; pos += 1000) {
		in_data(pos, 1000);
		after_ms(20);
		read((uint64_t)pos + 1000);
	}
	EXPECT_EQ(10000u, h->f.rx_buf) << "tuning stops there";
	EXPECT_LE(window(sent.back()), 10000u + 128u);
	tas_sockopts o = {};
	tcp_opts_set(&h->f, &h->c, &h->env, &o);
	EXPECT_EQ(0u, h->c.tcp.rcv_clamp);
}

TEST_F(Options, pacing_rate_the_slower_of_program_and_congestion_control_holds)
{
	tas_sockopts o = {};
	cc_params p = {};

	EXPECT_FALSE(h->f.flags & FP_F_PACED);
	o.pace_kbps = 5000;
	tcp_opts_set(&h->f, &h->c, &h->env, &o);
	EXPECT_TRUE(h->f.flags & FP_F_PACED);
	EXPECT_EQ(5000u, tcp_pace_kbps(&h->c));
	tcp_cc_set(&h->f, &h->c, &p);
	EXPECT_TRUE(h->f.flags & FP_F_PACED) << "a window-based algorithm paces no less";
	p.flags = CC_PACED;
	p.pace_kbps = 4000;
	tcp_cc_set(&h->f, &h->c, &p);
	EXPECT_EQ(4000u, tcp_pace_kbps(&h->c));
	p.pace_kbps = 6000;
	tcp_cc_set(&h->f, &h->c, &p);
	EXPECT_EQ(5000u, tcp_pace_kbps(&h->c));
	o.pace_kbps = 0;
	tcp_opts_set(&h->f, &h->c, &h->env, &o);
	EXPECT_EQ(6000u, tcp_pace_kbps(&h->c));
}
