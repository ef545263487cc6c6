/*
 * What is sent when nothing is lost: windows, Nagle, cork, FIN, probes, keepalive, timeouts of
 * patience.
 */
#include "packet.h"

class Tx : public Packet
{
};

/* RFC 6928. */
TEST_F(Tx, established_first_flight_is_the_initial_window)
{
	write(50 * MSS);
	expect_data_run(0, 10);
	expect_nothing();
}

/* RFC 5681 3.1: slow start adds what is acknowledged. */
TEST_F(Tx, slow_start_each_ack_releases_twice_what_it_acknowledges)
{
	write(60 * MSS);
	sent.clear();
	after_ms(10);
	in_ack(2 * MSS);
	expect_data_run(10 * MSS, 4);
	expect_nothing();
}

TEST_F(Tx, established_never_beyond_the_peers_window)
{
	conf.cc.cwnd = 100 * MSS;
	start();
	wnd = 50; /* 6400 bytes */
	in_ack(0);
	write(100 * MSS);
	sent.clear(); /* the first window was 64 KiB */
	uint64_t nxt = h->f.tx_nxt;
	EXPECT_LE(nxt, 65536u);
	in_ack(nxt);
	while (!sent.empty()) {
		Sent x = next();
		EXPECT_LE((uint64_t)x.pos + x.s.len, nxt + 6400);
	}
	EXPECT_EQ(nxt + 6 * MSS, h->f.tx_nxt) << "whole segments only";
}

TEST_F(Tx, established_large_frames_are_whole_segments)
{
	conf.max_frame = 8 * MSS;
	start();
	write(9 * MSS + 500);
	expect_data(0, 8 * MSS);
	expect_data(8 * MSS, MSS + 500);
	expect_nothing();
}

/* The last byte written, and only it, is pushed (RFC 9293 3.9.1.2). */
TEST_F(Tx, established_push_is_on_the_last_byte_written)
{
	write(2 * MSS + 10);
	EXPECT_FALSE(next().s.flags & TCP_PSH);
	EXPECT_FALSE(next().s.flags & TCP_PSH);
	EXPECT_TRUE(next().s.flags & TCP_PSH);
}

/* RFC 9293 3.7.4 with Minshall's change. */
TEST_F(Tx, nagle_second_small_segment_waits_for_the_first)
{
	write(100);
	expect_data(0, 100);
	write(200);
	write(300);
	expect_nothing();
	in_ack(100);
	expect_data(100, 200);
}

TEST_F(Tx, nagle_full_segment_does_not_wait)
{
	write(100);
	expect_data(0, 100);
	write(100 + MSS);
	expect_data(100, MSS);
	expect_nothing();
}

TEST_F(Tx, nagle_tail_behind_full_segments_does_not_wait)
{
	write(MSS + 10);
	expect_data(0, MSS);
	expect_data(MSS, 10);
}

TEST_F(Tx, nodelay_small_segments_go_at_once)
{
	h->f.flags |= FP_F_NODELAY;
	write(100);
	write(200);
	expect_data(0, 100);
	expect_data(100, 100);
}

/* tcp(7): TCP_CORK holds for at most 200 ms. */
TEST_F(Tx, cork_holds_a_partial_segment_for_200_ms)
{
	h->f.flags |= FP_F_CORK;
	write(MSS + 100);
	expect_data(0, MSS);
	expect_nothing();
	in_ack(MSS);
	pass_ms(199);
	expect_nothing();
	pass_ms(1);
	expect_data(MSS, 100);
}

TEST_F(Tx, cork_full_segments_go_and_uncorking_sends_the_rest)
{
	h->f.flags |= FP_F_CORK;
	write(100);
	write(MSS - 1);
	expect_nothing();
	write(MSS + 5);
	expect_data(0, MSS);
	h->f.flags &= ~FP_F_CORK;
	write(MSS + 5);
	expect_data(MSS, 5);
}

TEST_F(Tx, cork_fin_sends_what_is_held)
{
	h->f.flags |= FP_F_CORK;
	write(100);
	expect_nothing();
	shut();
	expect_data(0, 100, TCP_FIN);
}

/* RFC 9293 3.6. */
TEST_F(Tx, close_fin_travels_with_the_last_data)
{
	h->shut_when_done = true;
	write(MSS + 1);
	expect_data(0, MSS);
	expect_data(MSS, 1, TCP_FIN);
	EXPECT_EQ(MSS + 2u, h->f.tx_nxt);
	EXPECT_TRUE(in_ack(MSS + 2) & TCP_V_TX_FIN);
	EXPECT_FALSE(h->done);
}

TEST_F(Tx, close_fin_alone_follows_sent_data_in_any_window)
{
	wnd = 0;
	write(10);
	expect_data(0, 10);
	in_ack(10);
	shut();
	expect_data(10, 0, TCP_FIN);
	EXPECT_TRUE(in_ack(11) & TCP_V_TX_FIN);
}

TEST_F(Tx, fin_wait_2_peers_fin_ends_it_with_an_ack)
{
	shut();
	expect_data(0, 0, TCP_FIN);
	in_ack(1);
	uint32_t v = in_data(0, 0, TCP_FIN);
	EXPECT_TRUE(v & TCP_V_DONE);
	EXPECT_TRUE(v & TCP_V_ACK);
	expect_ack(1);
}

TEST_F(Tx, last_ack_our_fins_ack_ends_it)
{
	in_data(0, 0, TCP_FIN);
	sent.clear();
	shut();
	EXPECT_EQ(1, expect_data(0, 0, TCP_FIN).ack);
	EXPECT_TRUE(in_ack(1) & TCP_V_DONE);
}

TEST_F(Tx, closing_simultaneous_fins_end_with_the_ack)
{
	shut();
	sent.clear();
	EXPECT_FALSE(in_data(0, 0, TCP_FIN) & TCP_V_DONE);
	expect_ack(1);
	EXPECT_TRUE(in_ack(1) & TCP_V_DONE);
}

TEST_F(Tx, fin_wait_1_lost_fin_is_sent_again)
{
	write(10);
	in_ack(10);
	sent.clear();
	shut();
	expect_data(10, 0, TCP_FIN);
	pass_ms(2000);
	ASSERT_GE(sent.size(), 2u);
	expect_data(10, 0, TCP_FIN);
	in_ack(11);
	EXPECT_EQ(UINT64_MAX, h->deadline());
}

TEST_F(Tx, fin_wait_2_of_a_closed_socket_lasts_60_s)
{
	shut();
	in_ack(1);
	EXPECT_EQ(UINT64_MAX, h->deadline());
	h->f.flags |= FP_F_RX_CLOSED;
	h->program();
	pass_ms(59999);
	EXPECT_FALSE(h->timed_out);
	pass_ms(2);
	EXPECT_TRUE(h->timed_out);
}

TEST_F(Tx, after_fin_nothing_more_can_be_written)
{
	shut();
	h->shut_when_done = false;
	sent.clear();
	write(100);
	expect_nothing();
	EXPECT_EQ(0u, h->f.tx_head);
}

/* RFC 9293 3.8.6.2.1: less than half of the largest window is not used ... */
TEST_F(Tx, silly_window_is_not_filled)
{
	write(10 * MSS);
	in_ack(10 * MSS);
	sent.clear();
	wnd = 7; /* 896 bytes, less than a segment */
	write(11 * MSS);
	sent.clear();
	in_ack(11 * MSS);
	write(20 * MSS);
	expect_nothing();
	/* ... until the override timer, here the RTO. */
	pass_ms(1000);
	expect_data(11 * MSS, 896);
}

/* RFC 9293 3.8.6.1: probes back off, and go on for ever while they are answered. */
TEST_F(Tx, zero_window_is_probed_with_back_off)
{
	write(MSS);
	wnd = 0;
	in_ack(MSS);
	sent.clear();
	write(3 * MSS);
	expect_nothing();
	uint64_t last = h->env.now_ns, gap = 0;
	for (int i = 0; i < 12; i++) {
		ASSERT_NE(UINT64_MAX, h->deadline());
		h->set_time(h->deadline());
		h->timer();
		h->output();
		Sent x = next();
		EXPECT_EQ((int64_t)MSS - 1, x.pos);
		EXPECT_EQ(0u, x.s.len);
		if (i > 0) {
			EXPECT_GE(h->env.now_ns - last + 1000,
				std::min<uint64_t>(2 * gap, 120000000000ull));
		}
		gap = h->env.now_ns - last;
		last = h->env.now_ns;
		in_ack(MSS);
		expect_nothing();
	}
	EXPECT_EQ(12u, h->cnt.zero_window_probes);
}

TEST_F(Tx, zero_window_answered_probes_go_on_for_ever)
{
	write(MSS);
	wnd = 0;
	in_ack(MSS);
	write(3 * MSS);
	for (int i = 0; i < 1000; i++) {
		h->set_time(h->deadline());
		h->timer();
		h->output();
		in_ack(MSS);
	}
	EXPECT_FALSE(h->ended());
	sent.clear();
	wnd = 512;
	in_ack(MSS);
	expect_data_run(MSS, 2);
}

TEST_F(Tx, zero_window_unanswered_probes_give_up)
{
	write(MSS);
	wnd = 0;
	in_ack(MSS);
	write(3 * MSS);
	sent.clear();
	pass_ms(3600 * 1000);
	EXPECT_TRUE(h->timed_out);
	EXPECT_EQ(15u, sent.size());
}

TEST_F(Tx, zero_window_nobody_holds_the_socket_gives_up)
{
	write(MSS);
	wnd = 0;
	in_ack(MSS);
	write(3 * MSS);
	h->f.flags |= FP_F_RX_CLOSED;
	for (int i = 0; i < 100 && !h->ended(); i++) {
		h->set_time(h->deadline());
		h->timer();
		h->output();
		in_ack(MSS);
	}
	EXPECT_TRUE(h->timed_out);
}

/* Of equal segments the order is unknown: a smaller window does not replace a larger one. */
TEST_F(Tx, window_reordered_updates_keep_the_larger)
{
	wnd = 100;
	write(MSS);
	in_ack(MSS);
	EXPECT_EQ(12800u, h->f.snd_wnd);
	wnd = 200;
	in_ack(MSS);
	EXPECT_EQ(25600u, h->f.snd_wnd);
	wnd = 150;
	in_ack(MSS);
	EXPECT_EQ(25600u, h->f.snd_wnd);
	in_data(0, 1);
	wnd = 60;
	in_ack(MSS);
	EXPECT_EQ(7680u, h->f.snd_wnd) << "a newer segment may shrink it";
}

/* RFC 6298 5.5, 5.6; given up after 15 doublings. */
TEST_F(Tx, rto_doubles_to_the_limit_and_gives_up)
{
	write(MSS);
	sent.clear();
	uint64_t t0 = h->env.now_ns, last = t0, gap = 0;
	int n = 0;
	while (!h->ended() && n < 100) {
		h->set_time(h->deadline());
		h->timer();
		h->output();
		if (sent.empty())
			continue;
		n++;
		sent.clear();
		if (n > 2) {
			EXPECT_GE(h->env.now_ns - last + 1000,
				std::min<uint64_t>(2 * gap, 120000000000ull));
		}
		gap = h->env.now_ns - last;
		last = h->env.now_ns;
	}
	EXPECT_TRUE(h->timed_out);
	EXPECT_EQ(15u, h->cnt.rto);
	EXPECT_GT(h->env.now_ns - t0, 600ull * 1000000000);
	EXPECT_LT(h->env.now_ns - t0, 1200ull * 1000000000);
}

/* tcp(7) TCP_USER_TIMEOUT, RFC 5482. */
TEST_F(Tx, user_timeout_ends_unacknowledged_data)
{
	conf.opts.user_timeout_ms = 3000;
	start();
	pass_ms(10000);
	EXPECT_FALSE(h->timed_out) << "nothing is outstanding";
	write(MSS);
	pass_ms(2999);
	EXPECT_FALSE(h->timed_out);
	pass_ms(2);
	EXPECT_TRUE(h->timed_out);
	EXPECT_FALSE(h->rst_out) << "RFC 9293 3.10.8: the TCB is deleted, that is all; Linux likewise";
}

TEST_F(Tx, user_timeout_begins_anew_with_progress)
{
	conf.opts.user_timeout_ms = 3000;
	start();
	write(2 * MSS);
	pass_ms(2500);
	in_ack(MSS);
	pass_ms(2500);
	EXPECT_FALSE(h->timed_out);
	pass_ms(600);
	EXPECT_TRUE(h->timed_out);
}

/* RFC 9293 3.8.4. */
TEST_F(Tx, keepalive_probes_an_idle_peer_and_gives_up)
{
	conf.opts.keepalive = 1;
	conf.opts.keepidle_s = 10;
	conf.opts.keepintvl_s = 2;
	conf.opts.keepcnt = 3;
	start();
	in_data(0, 1);
	sent.clear();
	pass_ms(9999);
	expect_nothing();
	pass_ms(1);
	EXPECT_EQ(-1, next().pos);
	pass_ms(4000);
	EXPECT_EQ(2u, sent.size());
	EXPECT_FALSE(h->timed_out);
	pass_ms(2000);
	EXPECT_TRUE(h->timed_out);
	EXPECT_TRUE(h->rst_out) << "as Linux";
}

TEST_F(Tx, keepalive_user_timeout_resets_too)
{
	conf.opts.keepalive = 1;
	conf.opts.keepidle_s = 10;
	conf.opts.keepintvl_s = 2;
	conf.opts.keepcnt = 9;
	conf.opts.user_timeout_ms = 13000;
	start();
	in_data(0, 1);
	pass_ms(12000);
	EXPECT_FALSE(h->timed_out);
	pass_ms(2000);
	EXPECT_TRUE(h->timed_out);
	EXPECT_TRUE(h->rst_out);
}

TEST_F(Tx, keepalive_answer_starts_the_idle_time_again)
{
	conf.opts.keepalive = 1;
	conf.opts.keepidle_s = 10;
	conf.opts.keepintvl_s = 2;
	conf.opts.keepcnt = 3;
	start();
	for (int i = 0; i < 20; i++) {
		pass_ms(10000);
		ASSERT_EQ(1u, sent.size()) << i;
		sent.clear();
		in_ack(0);
	}
	EXPECT_FALSE(h->ended());
}

TEST_F(Tx, keepalive_default_is_two_hours)
{
	conf.opts.keepalive = 1;
	start();
	EXPECT_EQ(h->env.now_ns + 7200ull * 1000000000, h->deadline());
}

/* RFC 7661: a window that is not used does not grow. */
TEST_F(Tx, slow_start_unused_window_does_not_grow)
{
	for (uint64_t pos = 0; pos < 100 * MSS; pos += MSS) {
		write(pos + MSS);
		after_ms(10);
		in_ack(pos + MSS);
	}
	EXPECT_EQ(10u * MSS, h->f.cwnd);
}

TEST_F(Tx, congestion_avoidance_adds_growth_per_window)
{
	conf.cc.ssthresh = 10 * MSS;
	start();
	write(30 * MSS);
	after_ms(10);
	for (int i = 1; i <= 10; i++)
		in_ack((uint64_t)i * MSS);
	EXPECT_EQ(11u * MSS, h->f.cwnd);
}

/* RFC 5681 4.1. */
TEST_F(Tx, idle_longer_than_rto_restarts_from_the_initial_window)
{
	write(60 * MSS);
	for (int i = 1; i <= 60; i++)
		in_ack((uint64_t)i * MSS);
	EXPECT_GT(h->f.cwnd, 20u * MSS);
	after_ms(5000);
	sent.clear();
	write(160 * MSS);
	EXPECT_EQ(10u, sent.size());
	EXPECT_LT(h->c.tcp.cc.ssthresh, 0x7fffffffu + 1);
}

TEST_F(Tx, paced_rate_zero_sends_nothing)
{
	cc_params p = {};

	p.flags = CC_PACED;
	p.cwnd = 50 * MSS;
	tcp_cc_set(&h->f, &h->c, &p);
	write(10 * MSS);
	expect_nothing();
	p.pace_kbps = 1000;
	tcp_cc_set(&h->f, &h->c, &p);
	h->output();
	EXPECT_EQ(10u, sent.size());
}

/* RFC 3168 6.1.2. */
TEST_F(Tx, ecn_echo_ends_slow_start_and_is_answered_with_cwr_once)
{
	conf.ecn = true;
	start();
	write(40 * MSS);
	sent.clear();
	after_ms(10);
	acked = 2 * MSS;
	in(segment(TCP_ACK | TCP_ECE, 0, 0));
	EXPECT_LE(h->c.tcp.cc.ssthresh, 12u * MSS);
	EXPECT_TRUE(next().s.flags & TCP_CWR);
	sent.clear();
	acked = 4 * MSS;
	in(segment(TCP_ACK | TCP_ECE, 0, 0));
	EXPECT_FALSE(next().s.flags & TCP_CWR);
	cc_feedback fb;
	tcp_feedback_take(&h->f, &h->c, &h->env, &fb);
	EXPECT_EQ(2u * MSS, fb.marked) << "the first two were taken at once";
}

/* design.md section 5: at most once per round trip or 100 us. */
TEST_F(Tx, feedback_comes_once_per_round_trip)
{
	std::vector<cc_feedback> got;

	h->on_feedback = [&](const cc_feedback &fb) { got.push_back(fb); };
	h->env.sndbuf_max = 1u << 20;
	write(64 * MSS);
	for (int i = 0; i < 40; i++) {
		after_ms(1);
		in_ack(h->f.tx_una + MSS / 2);
	}
	EXPECT_GE(got.size(), 2u);
	EXPECT_LE(got.size(), 5u);
	uint64_t sum = 0;
	for (auto &fb : got)
		sum += fb.acked;
	EXPECT_LE(sum, 20u * MSS);
	EXPECT_GE(sum, 10u * MSS);
	EXPECT_EQ(MSS, got[0].mss);
	EXPECT_GT(got[0].rate_kbps, 0u);
	EXPECT_GT(got[0].srtt_us, 0u);
}

/* The send buffer follows the window; a position once allowed stays allowed. */
TEST_F(Tx, send_buffer_only_grows)
{
	uint64_t limit = tcp_tx_limit(&h->f, &h->c, &h->env);

	EXPECT_EQ(65536u, limit);
	for (int i = 1; i <= 200; i++) {
		h->to_write = limit;
		h->program();
		h->output();
		after_ms(5);
		in_ack(h->f.tx_nxt);
		EXPECT_GE(tcp_tx_limit(&h->f, &h->c, &h->env), limit);
		limit = tcp_tx_limit(&h->f, &h->c, &h->env);
	}
	tas_sockopts o = {};
	o.sndbuf = 40000;
	tcp_opts_set(&h->f, &h->c, &h->env, &o);
	EXPECT_GE(tcp_tx_limit(&h->f, &h->c, &h->env), limit);
	EXPECT_EQ(40000u, h->c.tcp.snd_buf);
}

/* RFC 6298 2: SRTT and RTTVAR from the samples. */
TEST_F(Tx, rto_follows_the_round_trips)
{
	conf.rtt_us = 100000;
	start();
	EXPECT_EQ(100000u, h->f.srtt_us >> 3);
	EXPECT_EQ(300000u, h->c.tcp.rto_us);
	for (int i = 1; i <= 50; i++) {
		write((uint64_t)i * 100);
		after_ms(100);
		in_ack((uint64_t)i * 100);
	}
	EXPECT_EQ(200000u, h->c.tcp.rto_us) << "the configured floor";
	EXPECT_NEAR(100000, h->f.srtt_us >> 3, 100);
}

/* RFC 6691: SACK blocks are put beside data only where there is room. */
TEST_F(Tx, hole_full_segments_do_not_carry_sack_and_an_ack_follows)
{
	h->to_write = MSS;
	in_data(500, 100);
	sent.clear();
	seg s = segment(TCP_ACK, 700, 100);
	h->segment(s);
	h->program();
	h->output();
	Sent x = expect_data(0, MSS);
	EXPECT_EQ(0, x.s.nsack);
	EXPECT_EQ(2, expect_ack(0).s.nsack);
}

TEST_F(Tx, hole_small_segments_carry_sack)
{
	h->to_write = 100;
	seg s = segment(TCP_ACK, 700, 100);
	h->segment(s);
	h->program();
	h->output();
	EXPECT_EQ(1, expect_data(0, 100).s.nsack);
	expect_nothing();
}

TEST_F(Tx, reset_header_is_acceptable_to_the_peer)
{
	wire_tcp t;

	in_data(0, 100);
	write(50);
	tcp_header_rst(&h->f, &h->c, &h->env, &t);
	EXPECT_EQ(h->seq_of(50), t.seq);
	EXPECT_EQ(IRS + 1 + 100, t.ack);
	EXPECT_EQ(TCP_RST | TCP_ACK, t.flags);
}

TEST_F(Tx, congestion_avoidance_grows_once_per_window)
{
	conf.cc.ssthresh = 10 * MSS;
	start();
	write(60 * MSS);
	after_ms(10);
	for (int i = 1; i <= 40; i++)
		in_ack((uint64_t)i * MSS);
	/* 10 + 11 + 12 acknowledged, and 7 of the 13 for the next step. */
	EXPECT_EQ(13u * MSS, h->f.cwnd);
}

TEST_F(Tx, cork_timeout_frees_only_what_was_held)
{
	h->f.flags |= FP_F_CORK;
	write(100);
	pass_ms(200);
	expect_data(0, 100);
	write(200);
	expect_nothing();
}

/* Where segments leave together, a quarter of the window is waited for while ACKs are on their way.
 */
TEST_F(Tx, large_frames_little_room_is_left_to_grow)
{
	conf.max_frame = 64 * MSS;
	conf.cc.cwnd = 40 * MSS;
	conf.cc.ssthresh = 40 * MSS;
	start();
	write(60 * MSS);
	sent.clear();
	after_ms(10);
	in_ack(2 * MSS);
	expect_nothing();
	in_ack(12 * MSS);
	Sent x = next();
	EXPECT_EQ(40 * (int64_t)MSS, x.pos);
	EXPECT_GE(x.s.len, 10u * MSS);
}

/* A rate above what the shortest round trip allows is an artefact of bunched ACKs. */
TEST_F(Tx, feedback_rate_ignores_samples_shorter_than_a_round_trip)
{
	cc_feedback fb;

	write(10 * MSS);
	after_ms(1);
	in_ack(MSS); /* 1 ms < 10 ms: the handshake's sample is a queue's, say */
	tcp_feedback_take(&h->f, &h->c, &h->env, &fb);
	h->c.tcp.min_rtt_us = 10000;
	after_ms(1);
	in_ack(9 * MSS);
	tcp_feedback_take(&h->f, &h->c, &h->env, &fb);
	EXPECT_EQ(0u, fb.rate_kbps);
}

/* A closed window with data in flight: while the peer answers, retransmission goes on. */
TEST_F(Tx, zero_window_with_data_in_flight_survives_while_answered)
{
	write(2 * MSS);
	wnd = 0;
	in_ack(MSS);
	for (int i = 0; i < 60; i++) {
		ASSERT_NE(UINT64_MAX, h->deadline());
		h->set_time(h->deadline());
		h->timer();
		h->output();
		in_ack(MSS);
	}
	EXPECT_FALSE(h->ended());
	pass_ms(3600 * 1000);
	EXPECT_TRUE(h->timed_out);
}
