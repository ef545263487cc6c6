/*
 * What a received segment does: acceptance, acknowledgement, out-of-order data, FIN, RST,
 * timestamps. One case per rule; the rule is named at the case.
 */
#include "packet.h"

using block_t = std::pair<int64_t, int64_t>;

class Rx : public Packet
{
};

/* RFC 9293 3.10.7.4: segment text. */
TEST_F(Rx, established_data_in_order_is_delivered)
{
	EXPECT_TRUE(in_data(0, 100) & TCP_V_HEAD);
	EXPECT_EQ(100u, h->f.rx_nxt);
	expect_ack(100);
	read(100);
	EXPECT_EQ(100u, h->f.rx_read);
}

/* design.md section 3 item 6: the first 16 segments are acknowledged at once. */
TEST_F(Rx, established_first_sixteen_segments_are_acked_at_once)
{
	for (int i = 0; i < 16; i++) {
		in_data(i * 100, 100);
		expect_ack(i * 100 + 100);
	}
	in_data(1600, 100);
	expect_nothing();
}

/* RFC 5681 4.2: at least every second full-sized segment. */
TEST_F(Rx, established_second_full_segment_is_acked)
{
	settled();
	in_data(0, MSS);
	expect_nothing();
	in_data(MSS, MSS);
	expect_ack(2 * MSS);
}

TEST_F(Rx, established_small_segment_is_acked_within_40_ms)
{
	settled();
	in_data(0, 100);
	EXPECT_EQ(h->env.now_ns + 40000000, h->deadline());
	pass_ms(39);
	expect_nothing();
	pass_ms(1);
	expect_ack(100);
	EXPECT_EQ(UINT64_MAX, h->deadline());
}

TEST_F(Rx, established_reply_carries_the_delayed_ack)
{
	settled();
	in_data(0, 100);
	write(50);
	EXPECT_EQ(100, expect_data(0, 50).ack);
	in_ack(50);
	expect_nothing();
	EXPECT_EQ(UINT64_MAX, h->deadline());
}

TEST_F(Rx, established_large_frame_counts_as_its_segments)
{
	settled();
	in_data(0, MSS);
	expect_nothing();
	read(MSS);
	seg s = segment(TCP_ACK, MSS, 3 * MSS);
	s.nsegs = 3;
	in(s);
	expect_ack(4 * MSS);
}

/* RFC 5681 3.2, 2018 section 4: out-of-order data is acknowledged at once, newest block first. */
TEST_F(Rx, hole_data_behind_it_is_acked_with_sack_newest_first)
{
	settled();
	in_data(1000, 100);
	Sent x = expect_ack(0);
	ASSERT_EQ(1, x.s.nsack);
	EXPECT_EQ(block_t(1000, 1100), block(x, 0));
	in_data(3000, 100);
	x = expect_ack(0);
	ASSERT_EQ(2, x.s.nsack);
	EXPECT_EQ(block_t(3000, 3100), block(x, 0));
	EXPECT_EQ(block_t(1000, 1100), block(x, 1));
	in_data(1100, 100);
	x = expect_ack(0);
	EXPECT_EQ(block_t(1000, 1200), block(x, 0));
	EXPECT_EQ(block_t(3000, 3100), block(x, 1));
	EXPECT_EQ(3u, h->cnt.rx_ooo);
}

/* With timestamps three blocks fit, without four (RFC 2018 section 3). */
TEST_F(Rx, hole_blocks_are_as_many_as_fit)
{
	for (bool ts : {true, false}) {
		conf.ts = ts;
		start();
		for (int i = 1; i <= 6; i++)
			in_data(i * 1000, 100);
		EXPECT_EQ(ts ? 3 : 4, sent.back().s.nsack);
		EXPECT_EQ(block_t(6000, 6100), block(sent.back(), 0));
	}
}

TEST_F(Rx, hole_filled_is_acked_at_once_and_delivered_whole)
{
	settled();
	in_data(100, 100);
	in_data(300, 100);
	sent.clear();
	EXPECT_TRUE(in_data(0, 100) & TCP_V_HEAD);
	Sent x = expect_ack(200);
	ASSERT_EQ(1, x.s.nsack);
	EXPECT_EQ(block_t(300, 400), block(x, 0));
	in_data(200, 100);
	x = expect_ack(400);
	EXPECT_EQ(0, x.s.nsack);
	read(400);
}

TEST_F(Rx, hole_without_sack_agreed_is_acked_without_blocks)
{
	conf.sack = false;
	start();
	in_data(1000, 100);
	EXPECT_EQ(0, expect_ack(0).s.nsack);
}

/* RFC 2883 section 4. */
TEST_F(Rx, established_old_duplicate_is_reported_once_by_dsack)
{
	in_data(0, 200);
	sent.clear();
	in_data(50, 100);
	Sent x = expect_ack(200);
	ASSERT_EQ(1, x.s.nsack);
	EXPECT_EQ(block_t(50, 150), block(x, 0));
	EXPECT_EQ(1u, h->cnt.rx_dup);
	in_data(200, 10);
	EXPECT_EQ(0, expect_ack(210).s.nsack);
}

TEST_F(Rx, hole_duplicate_behind_it_is_reported_before_its_block)
{
	in_data(1000, 300);
	in_data(3000, 300);
	sent.clear();
	in_data(1100, 100);
	Sent x = expect_ack(0);
	ASSERT_EQ(3, x.s.nsack);
	EXPECT_EQ(block_t(1100, 1200), block(x, 0));
	EXPECT_EQ(block_t(1000, 1300), block(x, 1));
	EXPECT_EQ(block_t(3000, 3300), block(x, 2));
}

TEST_F(Rx, hole_every_overlap_delivers_the_right_bytes)
{
	in_data(100, 100);
	in_data(300, 100);
	in_data(50, 300);
	in_data(0, 500);
	EXPECT_EQ(500u, h->f.rx_nxt);
	EXPECT_EQ(0, h->c.tcp.nooo);
	read(500);
	EXPECT_EQ(500u, h->f.rx_read);
}

TEST_F(Rx, hole_overlap_names_only_what_is_new)
{
	tcp_rx_out out;
	seg s;

	in_data(200, 100);
	s = segment(TCP_ACK, 150, 100);
	EXPECT_TRUE(tcp_rx(&h->f, &h->c, &h->env, &s, &out) & TCP_V_DATA);
	EXPECT_EQ(150u, out.pos);
	EXPECT_EQ(50u, out.len);
	s = segment(TCP_ACK, 250, 100);
	EXPECT_TRUE(tcp_rx(&h->f, &h->c, &h->env, &s, &out) & TCP_V_DATA);
	EXPECT_EQ(300u, out.pos);
	EXPECT_EQ(50u, out.len);
	EXPECT_EQ(s.payload + 50, out.data);
}

TEST_F(Rx, hole_seventeenth_interval_is_dropped_and_counted)
{
	for (int i = 1; i <= TCP_OOO_MAX; i++)
		in_data(i * 1000, 100);
	EXPECT_EQ(TCP_OOO_MAX, h->c.tcp.nooo);
	EXPECT_FALSE(in_data(50000, 100) & TCP_V_DATA);
	EXPECT_EQ(1u, h->cnt.drop_ooo_full);
	EXPECT_TRUE(in_data(1100, 100) & TCP_V_DATA) << "joining an interval needs no room";
	EXPECT_EQ(1u, h->cnt.drop_ooo_full);
}

/* RFC 9293 3.10.7.4: trimmed to the window. */
TEST_F(Rx, window_data_beyond_the_edge_is_trimmed)
{
	in_data(0, 60000);
	Sent x = next();
	in_data(60000, 10000);
	EXPECT_EQ((uint64_t)x.ack + window(x), h->f.rx_nxt);
}

TEST_F(Rx, window_segment_wholly_beyond_is_answered_and_dropped)
{
	EXPECT_FALSE(in_data(70000, 100) & TCP_V_DATA);
	expect_ack(0);
	EXPECT_EQ(1u, h->cnt.drop_out_of_window);
}

/* RFC 9293 3.8.6.1: a probe of a closed window is answered with the window. */
TEST_F(Rx, window_closed_probe_is_answered)
{
	in_data(0, 32768);
	in_data(32768, 32768);
	EXPECT_EQ(0u, window(sent.back()));
	sent.clear();
	in_data(65536, 1);
	Sent x = expect_ack(65536);
	EXPECT_EQ(0u, window(x));
	EXPECT_EQ(65536u, h->f.rx_nxt);
	in_ack(0); /* an ACK without data still counts */
	expect_nothing();
	EXPECT_EQ(h->env.now_ns, h->c.tcp.heard_ns);
}

/* RFC 9293 3.8.4: SEG.SEQ = RCV.NXT - 1, with no byte or one. */
TEST_F(Rx, established_keepalive_probe_is_answered_even_without_tokens)
{
	h->env.challenge_tokens = 0;
	in_data(0, 10);
	expect_ack(10);
	in_data(9, 0);
	expect_ack(10);
	EXPECT_EQ(0u, h->cnt.drop_out_of_window) << "nothing is wrong";
	in_data(9, 1);
	expect_ack(10);
}

TEST_F(Rx, established_old_bare_acks_cannot_provoke_more_than_the_tokens)
{
	in_data(0, 1000);
	sent.clear();
	h->env.challenge_tokens = 2;
	for (int i = 0; i < 5; i++)
		in_data(500, 0);
	EXPECT_EQ(2u, sent.size());
	EXPECT_EQ(2u, h->cnt.challenge_acks);
}

/* RFC 5961 section 7, CVE-2016-5696: 500 on average, from 250 to 749, each as likely. */
TEST_F(Rx, challenge_allowance_follows_the_random_number)
{
	const struct {
		uint32_t random, tokens;
	} cases[] = {
		{0, 250}, {1, 251}, {499, 749}, {500, 250}, {UINT32_MAX, 250 + UINT32_MAX % 500}};

	for (auto &k : cases) {
		tcp_challenge_refill(&h->env, k.random);
		EXPECT_EQ(k.tokens, h->env.challenge_tokens) << k.random;
	}
	tcp_challenge_refill(&h->env, 7);
	in_data(0, 1000);
	sent.clear();
	for (int i = 0; i < 1000; i++)
		in_data(500, 0);
	EXPECT_EQ(257u, sent.size());
}

/* RFC 9293 3.10.7.4: FIN. */
TEST_F(Rx, established_fin_takes_a_position_and_is_acked)
{
	EXPECT_TRUE(in_data(0, 100, TCP_FIN) & TCP_V_RX_FIN);
	EXPECT_EQ(101u, h->f.rx_nxt);
	expect_ack(101);
}

TEST_F(Rx, close_wait_fin_again_is_acked_again)
{
	in_data(0, 100, TCP_FIN);
	expect_ack(101);
	EXPECT_FALSE(in_data(0, 100, TCP_FIN) & TCP_V_RX_FIN);
	expect_ack(101);
	EXPECT_FALSE(in_data(100, 0, TCP_FIN) & TCP_V_RX_FIN);
	expect_ack(101);
}

TEST_F(Rx, hole_fin_behind_it_waits_for_the_data)
{
	EXPECT_FALSE(in_data(100, 100, TCP_FIN) & TCP_V_RX_FIN);
	EXPECT_FALSE(in_data(200, 0, TCP_FIN) & TCP_V_RX_FIN);
	EXPECT_TRUE(in_data(0, 100) & TCP_V_RX_FIN);
	EXPECT_EQ(201u, h->f.rx_nxt);
	read(200);
	EXPECT_EQ(200u, h->f.rx_read);
}

TEST_F(Rx, hole_second_fin_elsewhere_is_ignored)
{
	in_data(100, 100, TCP_FIN);
	in_data(0, 50, TCP_FIN);
	EXPECT_FALSE(h->f.flags & FP_F_RX_FIN);
	in_data(50, 50);
	EXPECT_TRUE(h->f.flags & FP_F_RX_FIN);
	EXPECT_EQ(201u, h->f.rx_nxt);
}

TEST_F(Rx, hole_data_behind_a_fin_is_never_kept)
{
	in_data(100, 100, TCP_FIN);
	in_data(150, 500);
	in_data(0, 100);
	EXPECT_EQ(201u, h->f.rx_nxt);
}

TEST_F(Rx, close_wait_data_after_fin_is_dropped)
{
	in_data(0, 100, TCP_FIN);
	sent.clear();
	EXPECT_FALSE(in_data(101, 100) & TCP_V_DATA);
	expect_ack(101);
	EXPECT_EQ(101u, h->f.rx_nxt);
}

TEST_F(Rx, window_closed_fin_is_still_accepted)
{
	in_data(0, 32768);
	in_data(32768, 32768);
	EXPECT_TRUE(in_data(65536, 0, TCP_FIN) & TCP_V_RX_FIN);
}

/* Memory is missing: what was not kept was not received. */
TEST_F(Rx, established_without_memory_nothing_is_acknowledged)
{
	h->store_limit = [](uint32_t) { return 0u; };
	in_data(0, 100, TCP_FIN);
	EXPECT_EQ(0u, h->f.rx_nxt);
	h->store_limit = [](uint32_t n) { return n / 2; };
	in_data(0, 100);
	EXPECT_EQ(50u, h->f.rx_nxt);
	in_data(100, 100);
	h->store_limit = nullptr;
	in_data(50, 50);
	EXPECT_EQ(150u, h->f.rx_nxt);
	in_data(150, 50, TCP_FIN);
	EXPECT_EQ(201u, h->f.rx_nxt);
	read(200);
}

TEST_F(Rx, closed_program_new_data_is_answered_with_rst)
{
	in_data(0, 100);
	h->f.flags |= FP_F_RX_CLOSED;
	EXPECT_FALSE(in_data(0, 100) & TCP_V_RST_OUT) << "a duplicate is no news";
	EXPECT_FALSE(in_ack(0) & TCP_V_RST_OUT);
	EXPECT_TRUE(in_data(100, 1) & TCP_V_RST_OUT);
	EXPECT_EQ(1u, h->cnt.drop_closed_data);
}

/* RFC 5961 3.2. */
TEST_F(Rx, established_rst_exactly_at_rcv_nxt_resets)
{
	in_data(0, 100);
	EXPECT_TRUE(in(segment(TCP_RST, 100, 0)) & TCP_V_RESET);
}

TEST_F(Rx, established_rst_elsewhere_in_the_window_is_challenged)
{
	in_data(0, 100);
	sent.clear();
	for (int64_t pos : {101, 1000, 65535}) {
		EXPECT_FALSE(in(segment(TCP_RST | TCP_ACK, pos, 0)) & TCP_V_RESET);
		expect_ack(100);
	}
	EXPECT_EQ(3u, h->cnt.challenge_acks);
}

TEST_F(Rx, established_rst_outside_the_window_is_dropped)
{
	in_data(0, 100);
	sent.clear();
	for (int64_t pos : {99, 0, -1, 70000, 0x40000000}) {
		EXPECT_EQ(0u, in(segment(TCP_RST, pos, 0)));
		expect_nothing();
	}
	EXPECT_EQ(5u, h->cnt.drop_bad_rst);
}

TEST_F(Rx, established_rst_ignores_timestamps)
{
	ts_ms = 100;
	EXPECT_TRUE(in(segment(TCP_RST, 0, 0)) & TCP_V_RESET);
}

/* RFC 5961 4.2. */
TEST_F(Rx, established_syn_is_challenged_wherever_it_lies)
{
	for (int64_t pos : {-1, 0, 500, 100000}) {
		EXPECT_EQ(TCP_V_ACK, in(segment(TCP_SYN, pos, 0)));
		expect_ack(0);
	}
	EXPECT_EQ(TCP_V_ACK, in(segment(TCP_SYN | TCP_ACK, -1, 0)));
	h->env.challenge_tokens = 0;
	sent.clear();
	in(segment(TCP_SYN, 0, 0));
	expect_nothing();
}

TEST_F(Rx, established_no_ack_flag_is_dropped)
{
	EXPECT_EQ(0u, in(segment(TCP_PSH, 0, 100)));
	EXPECT_EQ(0u, h->f.rx_nxt);
	EXPECT_EQ(1u, h->cnt.drop_no_ack);
}

/* RFC 5961 5.2: SND.UNA - MAX.SND.WND <= SEG.ACK <= SND.NXT. */
TEST_F(Rx, established_ack_of_the_future_drops_the_segment)
{
	write(MSS);
	sent.clear();
	acked = MSS + 1;
	EXPECT_FALSE(in_data(0, 100) & TCP_V_DATA);
	expect_ack(0);
	EXPECT_EQ(1u, h->cnt.drop_bad_ack);
	EXPECT_EQ(0u, h->f.rx_nxt);
	EXPECT_EQ(0u, h->f.tx_una);
}

TEST_F(Rx, established_ack_older_than_the_largest_window_drops_the_segment)
{
	seg s = segment(TCP_ACK, 0, 100);

	s.ack = ISS + 1 - 65537;
	EXPECT_FALSE(in(s)&TCP_V_DATA);
	EXPECT_EQ(1u, h->cnt.drop_bad_ack);
	s.ack = ISS + 1 - 65536;
	EXPECT_TRUE(in(s)&TCP_V_DATA);
}

/* RFC 7323 5.3 R1. */
TEST_F(Rx, established_older_timestamp_is_dropped_and_answered)
{
	in_data(0, 100);
	sent.clear();
	ts_ms = 499;
	EXPECT_FALSE(in_data(100, 100) & TCP_V_DATA);
	expect_ack(100);
	EXPECT_EQ(1u, h->cnt.drop_paws);
}

TEST_F(Rx, established_older_timestamp_after_24_idle_days_is_accepted)
{
	in_data(0, 100);
	ts_ms = 499;
	after_ms(25ull * 24 * 3600 * 1000);
	EXPECT_TRUE(in_data(100, 100) & TCP_V_DATA);
	EXPECT_EQ(499u, h->f.ts_recent);
}

/* RFC 7323 3.2. */
TEST_F(Rx, established_missing_timestamp_is_dropped_silently)
{
	seg s = segment(TCP_ACK, 0, 100);

	s.has_ts = 0;
	in(s);
	expect_nothing();
	EXPECT_EQ(1u, h->cnt.drop_paws);
}

/* RFC 7323 4.3: the echo is of the segment that the ACK is for. */
TEST_F(Rx, hole_timestamp_behind_it_is_not_echoed)
{
	in_data(0, 100);
	EXPECT_EQ(500u, expect_ack(100).s.ts_ecr);
	ts_ms = 600;
	in_data(200, 100);
	EXPECT_EQ(500u, expect_ack(100).s.ts_ecr);
	ts_ms = 700;
	in_data(100, 100);
	EXPECT_EQ(700u, expect_ack(300).s.ts_ecr);
}

TEST_F(Rx, delayed_ack_echoes_the_first_timestamp_it_covers)
{
	settled();
	in_data(0, MSS);
	ts_ms = 600;
	in_data(MSS, MSS);
	EXPECT_EQ(500u, expect_ack(2 * MSS).s.ts_ecr);
}

TEST_F(Rx, established_timestamps_do_not_jump_when_the_us_clock_wraps)
{
	in_data(0, 1);
	uint32_t t0 = expect_ack(1).s.ts_val;
	after_ms(72 * 60 * 1000);
	in_data(1, 1);
	EXPECT_EQ(72u * 60 * 1000, expect_ack(2).s.ts_val - t0);
}

/* RFC 8257 3.2. */
TEST_F(Rx, ecn_mark_change_is_acked_at_once_with_ece)
{
	conf.ecn = true;
	conf.cc.flags = CC_ECHO_EXACT;
	start();
	settled();
	seg s = segment(TCP_ACK, 0, 100);
	s.ecn = 2;
	in(s);
	expect_nothing();
	s = segment(TCP_ACK, 100, 100);
	s.ecn = 3;
	in(s);
	EXPECT_TRUE(expect_ack(200).s.flags & TCP_ECE);
	s = segment(TCP_ACK, 200, 100);
	s.ecn = 3;
	in(s);
	expect_nothing();
	s = segment(TCP_ACK, 300, 100);
	s.ecn = 2;
	in(s);
	EXPECT_TRUE(expect_ack(400).s.flags & TCP_ECE);
	s = segment(TCP_ACK, 400, 100);
	s.ecn = 2;
	in(s);
	pass_ms(40);
	EXPECT_FALSE(expect_ack(500).s.flags & TCP_ECE);
}

/* RFC 3168 6.1.3: an ACK can be lost, the signal must not be. */
TEST_F(Rx, ecn_mark_is_echoed_until_cwr_comes)
{
	seg s;

	conf.ecn = true;
	start();
	s = segment(TCP_ACK, 0, 100);
	s.ecn = 3;
	in(s);
	EXPECT_TRUE(expect_ack(100).s.flags & TCP_ECE);
	s = segment(TCP_ACK, 100, 100);
	s.ecn = 2;
	in(s);
	EXPECT_TRUE(expect_ack(200).s.flags & TCP_ECE) << "not answered yet";
	s = segment(TCP_ACK | TCP_CWR, 200, 100);
	s.ecn = 2;
	in(s);
	EXPECT_FALSE(expect_ack(300).s.flags & TCP_ECE);
	s = segment(TCP_ACK | TCP_CWR, 300, 100);
	s.ecn = 3;
	in(s);
	EXPECT_TRUE(expect_ack(400).s.flags & TCP_ECE) << "marked anew";
}

TEST_F(Rx, no_ecn_agreed_mark_is_not_echoed)
{
	seg s = segment(TCP_ACK, 0, 100);

	s.ecn = 3;
	in(s);
	EXPECT_FALSE(expect_ack(100).s.flags & TCP_ECE);
}

TEST_F(Rx, established_urgent_data_is_data)
{
	in_data(0, 100, TCP_URG);
	EXPECT_EQ(100u, h->f.rx_nxt);
	read(100);
}

/* RFC 9293 3.8.6: the right edge never moves left. */
TEST_F(Rx, window_edge_never_moves_left)
{
	int64_t edge = 0, pos = 0;

	for (int i = 0; i < 300 && pos < 65535; i++) {
		in_data(pos, 333);
		pos = (int64_t)h->f.rx_nxt;
		Sent x = sent.empty() ? Sent{} : sent.back();
		sent.clear();
		if (x.ack == 0)
			continue;
		EXPECT_GE(x.ack + (int64_t)window(x), edge) << "at " << x.ack;
		edge = std::max(edge, x.ack + (int64_t)window(x));
	}
	EXPECT_LE(edge, 65536 + 65536 / 16 + 128);
}

/* RFC 9293 3.8.6.2.2. */
TEST_F(Rx, window_small_reading_does_not_move_the_edge)
{
	in_data(0, MSS);
	in_data(MSS, MSS);
	int64_t edge = sent.back().ack + (int64_t)window(sent.back());
	sent.clear();
	read(500);
	in_data(2 * MSS, 10);
	Sent x = expect_ack(2 * MSS + 10);
	EXPECT_LE(x.ack + (int64_t)window(x), edge + 128);
}

TEST_F(Rx, window_closed_reading_opens_it_by_itself)
{
	in_data(0, 32768);
	in_data(32768, 32768);
	sent.clear();
	read(MSS / 2);
	expect_nothing();
	read(65536);
	Sent x = expect_ack(65536);
	EXPECT_GE(window(x), 65536u - 128);
}

TEST_F(Rx, window_wide_open_reading_sends_nothing)
{
	settled();
	in_data(0, 100);
	read(100);
	expect_nothing();
}

/* The buffer doubles per round trip until half of it is not consumed in one: here 80 KB in 10 ms.
 */
TEST_F(Rx, window_grows_with_what_the_program_consumes)
{
	uint64_t pos = 0;

	for (int i = 0; i < 12; i++) {
		for (int k = 0; k < 40; k++, pos += 2 * MSS) {
			in_data((int64_t)pos, 2 * MSS);
			read(pos + 2 * MSS);
		}
		after_ms(11);
	}
	EXPECT_EQ(pos, h->f.rx_read);
	EXPECT_EQ(262144u, h->f.rx_buf);
}

TEST_F(Rx, window_grows_no_further_than_configured)
{
	uint64_t pos = 0;

	conf.rcvbuf_max = 100000;
	start();
	for (int i = 0; i < 12; i++) {
		for (int k = 0; k < 40; k++, pos += 2 * MSS) {
			in_data((int64_t)pos, 2 * MSS);
			read(pos + 2 * MSS);
		}
		after_ms(11);
	}
	EXPECT_EQ(100000u, h->f.rx_buf);
}

TEST_F(Rx, window_of_so_rcvbuf_is_fixed)
{
	conf.opts.rcvbuf = 50000;
	start();
	for (uint64_t pos = 0; pos < 40 * MSS; pos += MSS) {
		in_data((int64_t)pos, MSS);
		read(pos + MSS);
		after_ms(11);
	}
	EXPECT_EQ(50000u, h->f.rx_buf);
	conf.opts.rcvbuf = 1;
	start();
	EXPECT_EQ(1152u, h->f.rx_buf);
}

/* socket(7) SO_RCVLOWAT: what a program wants to see at once fits twice, unless it fixed the buffer. */
TEST_F(Rx, window_has_room_for_twice_so_rcvlowat)
{
	const struct {
		uint32_t lowat, rcvbuf, buf;
	} cases[] = {{100000, 0, 200000}, {1, 0, 65536}, {20000, 0, 65536}, {100000, 40000, 40000},
		{5000000, 0, 6u << 20}, {UINT32_MAX, 0, 6u << 20}};

	for (auto &k : cases) {
		conf.opts.rcvlowat = k.lowat;
		conf.opts.rcvbuf = k.rcvbuf;
		start();
		EXPECT_EQ(k.buf, h->f.rx_buf) << k.lowat;
	}
	conf.opts.rcvlowat = 100000;
	conf.opts.rcvbuf = 0;
	start();
	settled();
	uint64_t pos = 0;
	for (; pos < 100 * MSS; pos += MSS) {
		in_data((int64_t)pos, MSS);
		ASSERT_FALSE(tcp_rx_full(&h->f, &h->c)) << "it may wait for all of them";
	}
	EXPECT_EQ(100u * MSS, h->f.rx_nxt);
}

/* socket(7): SO_RCVBUF of less than 64 KiB holds from the first segment on, and is all there ever is. */
TEST_F(Rx, window_of_small_so_rcvbuf_closes_and_opens_within_it)
{
	const uint64_t most = 4096 + 4096 / 16 + 128; /* window.c: rounding may add up to so much */
	uint64_t pos = 0;

	conf.opts.rcvbuf = 4096;
	start();
	settled();
	EXPECT_EQ(rx_seq(&h->f, 0) + 4096u, h->f.rx_adv);
	for (int round = 0; round < 20; round++) {
		uint64_t begin = pos;

		for (int i = 0; i < 10; i++) { /* twice what fits */
			in_data((int64_t)pos, MSS);
			pos = h->f.rx_nxt;
			ASSERT_LE(h->f.rx_adv - rx_seq(&h->f, h->f.rx_read), most);
		}
		EXPECT_GE(pos - begin, 4096u - MSS);
		EXPECT_LE(pos - begin, most);
		ASSERT_FALSE(sent.empty());
		EXPECT_EQ(window(sent.back()), 0u);
		EXPECT_TRUE(tcp_rx_full(&h->f, &h->c)) << "the program is to tell when it reads";
		read(pos);
		EXPECT_FALSE(tcp_rx_full(&h->f, &h->c));
		ASSERT_FALSE(sent.empty());
		EXPECT_GE(window(sent.back()), 4096u - 128u);
		EXPECT_LE(window(sent.back()), most);
		sent.clear();
	}
}

TEST_F(Rx, window_segment_beyond_it_acknowledges_nothing)
{
	write(MSS);
	sent.clear();
	acked = MSS;
	in_data(70000, 100);
	EXPECT_EQ(0u, h->f.tx_una);
}

TEST_F(Rx, hole_fin_before_kept_data_is_ignored)
{
	in_data(200, 100);
	in_data(100, 50, TCP_FIN);
	in_data(0, 100);
	in_data(150, 50);
	EXPECT_FALSE(h->f.flags & FP_F_RX_FIN);
	EXPECT_EQ(300u, h->f.rx_nxt);
}

TEST_F(Rx, established_full_sized_is_what_the_peer_sends)
{
	settled();
	in_data(0, 500);
	expect_nothing();
	in_data(500, 500);
	expect_ack(1000);
}

TEST_F(Rx, window_half_open_reading_sends_nothing)
{
	settled();
	for (int i = 0; i < 20; i++)
		in_data(i * MSS, MSS);
	sent.clear();
	read(10 * MSS);
	expect_nothing();
}
