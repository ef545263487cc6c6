/*
 * Loss recovery: fast retransmit, RACK, TLP, PRR, RTO, F-RTO, reneging, hostile SACK blocks, a full
 * node pool.
 */
#include "packet.h"

class Loss : public Packet
{
      protected:
	/* Ten segments in flight, 10 ms round trip, now just before their ACKs. */
	void flight(int segs = 10)
	{
		write((uint64_t)segs * MSS);
		after_ms(10);
		sent.clear();
		/* Room to send more, but nothing more written. */
	}

	static uint64_t seg_at(int i)
	{
		return (uint64_t)i * MSS;
	}
};

/* RFC 5681 3.2. */
TEST_F(Loss, no_sack_third_duplicate_ack_retransmits_the_oldest)
{
	conf.sack = false;
	start();
	flight();
	in_ack(0);
	in_ack(0);
	expect_nothing();
	in_ack(0);
	EXPECT_EQ(1u, h->cnt.fast_recovery);
	expect_data(0, MSS);
	expect_nothing();
	EXPECT_EQ(5u * MSS, h->c.tcp.cc.ssthresh);
}

/* RFC 6582 3.2: a partial ACK retransmits the next, the full one ends recovery at ssthresh. */
TEST_F(Loss, no_sack_partial_ack_retransmits_the_next)
{
	conf.sack = false;
	start();
	flight();
	for (int i = 0; i < 3; i++)
		in_ack(0);
	expect_data(0, MSS);
	for (int i = 0; i < 4; i++)
		in_ack(0);
	sent.clear();
	after_ms(10);
	in_ack(seg_at(4));
	expect_data(seg_at(4), MSS);
	expect_nothing();
	after_ms(10);
	in_ack(seg_at(10));
	EXPECT_FALSE(h->f.flags & FP_F_RECOVERY);
	EXPECT_EQ(5u * MSS, h->f.cwnd);
}

/* RFC 6582 3.2 step 1: duplicates that our own retransmissions after an RTO cause are no loss. */
TEST_F(Loss, no_sack_duplicates_after_rto_do_not_start_recovery)
{
	conf.sack = false;
	start();
	flight();
	pass_ms(1000);
	in_ack(seg_at(10));
	write(seg_at(14));
	sent.clear();
	for (int i = 0; i < 3; i++)
		in_ack(seg_at(10));
	EXPECT_EQ(0u, h->cnt.fast_recovery);
	expect_nothing();
}

TEST_F(Loss, no_sack_window_update_is_no_duplicate)
{
	conf.sack = false;
	start();
	flight();
	for (int i = 0; i < 5; i++) {
		wnd++;
		in_ack(0);
	}
	EXPECT_EQ(0u, h->cnt.fast_recovery);
	for (int i = 0; i < 5; i++)
		in_data(i * 10, 10);
	EXPECT_EQ(0u, h->cnt.fast_recovery);
}

/* RFC 8985 6.2: three segments' worth SACKed behind the hole. */
TEST_F(Loss, sack_three_segments_behind_the_hole_retransmit_it)
{
	flight();
	in_ack(0, {{seg_at(1), seg_at(3)}});
	expect_nothing();
	in_ack(0, {{seg_at(1), seg_at(4)}});
	expect_data(0, MSS);
	expect_nothing();
	EXPECT_EQ(1u, h->cnt.fast_recovery);
	EXPECT_EQ(3u * MSS, h->c.tcp.sacked_bytes);
}

/* RFC 8985 6.2: fewer than three wait a quarter of the round trip. */
TEST_F(Loss, sack_two_segments_wait_for_the_reordering_window)
{
	flight();
	in_ack(0, {{seg_at(1), seg_at(3)}});
	expect_nothing();
	EXPECT_LE(h->deadline(), h->env.now_ns + 2500000);
	pass_ms(3);
	expect_data(0, MSS);
	EXPECT_EQ(1u, h->cnt.fast_recovery);
}

TEST_F(Loss, sack_reordered_segment_that_arrives_in_time_is_not_lost)
{
	flight();
	in_ack(0, {{seg_at(1), seg_at(3)}});
	after_us(500);
	in_ack(seg_at(3));
	pass_ms(4);
	EXPECT_EQ(0u, h->cnt.fast_recovery);
	EXPECT_EQ(0u, h->cnt.tx_retrans);
	EXPECT_TRUE(h->c.tcp.reordered);
}

/* Several holes: each is retransmitted once, in order, and nothing that was SACKed. */
TEST_F(Loss, sack_every_hole_is_retransmitted_once)
{
	flight();
	in_ack(0, {{seg_at(9), seg_at(10)}, {seg_at(3), seg_at(5)}, {seg_at(6), seg_at(8)}});
	for (int i = 0; i < 20; i++) {
		after_us(100);
		in_ack(0,
			{{seg_at(9), seg_at(10)}, {seg_at(3), seg_at(5)}, {seg_at(6), seg_at(8)}});
	}
	/* PRR paces what does not fit now: the rest on the next deliveries. */
	std::vector<int64_t> got;
	after_ms(10);
	in_ack(seg_at(1),
		{{seg_at(9), seg_at(10)}, {seg_at(3), seg_at(5)}, {seg_at(6), seg_at(8)}});
	after_ms(10);
	in_ack(seg_at(2),
		{{seg_at(9), seg_at(10)}, {seg_at(3), seg_at(5)}, {seg_at(6), seg_at(8)}});
	after_ms(10);
	in_ack(seg_at(5), {{seg_at(9), seg_at(10)}, {seg_at(6), seg_at(8)}});
	after_ms(10);
	in_ack(seg_at(8), {{seg_at(9), seg_at(10)}});
	for (auto &x : sent)
		for (uint32_t at = 0; at < x.s.len; at += MSS)
			got.push_back(x.pos + at);
	EXPECT_EQ((std::vector<int64_t>{0, MSS, 2 * MSS, 5 * MSS, 8 * MSS}), got);
	in_ack(seg_at(10));
	EXPECT_FALSE(h->f.flags & FP_F_RECOVERY);
	EXPECT_EQ(0u, h->c.tcp.sacked_bytes + h->c.tcp.lost_bytes + h->f.inflight);
	EXPECT_EQ(1u, h->cnt.fast_recovery);
}

/* RFC 8985: a retransmission that is lost too is found without a timeout. */
TEST_F(Loss, sack_lost_retransmission_is_sent_again_without_rto)
{
	flight();
	in_ack(0, {{seg_at(1), seg_at(5)}});
	expect_data(0, MSS);
	write(seg_at(30));
	after_ms(1);
	in_ack(0, {{seg_at(1), seg_at(10)}});
	sent.clear();
	after_ms(12);
	in_ack(0, {{seg_at(1), (uint64_t)h->f.tx_nxt}});
	ASSERT_FALSE(sent.empty());
	expect_data(0, MSS);
	EXPECT_EQ(0u, h->cnt.rto);
}

/* RFC 6937: over a recovery no more is sent than ssthresh / flight of what is delivered, plus the
 * first. */
TEST_F(Loss, prr_sends_in_proportion_to_deliveries)
{
	conf.cc.cwnd = 40 * MSS;
	conf.cc.ssthresh = 40 * MSS;
	conf.nodes = 64;
	start();
	h->to_write = 200 * MSS;
	h->program();
	h->output();
	ASSERT_EQ(40u, sent.size());
	after_ms(10);
	sent.clear();
	uint32_t out = 0;
	for (int i = 4; i <= 36; i++) {
		after_us(100);
		in_ack(0, {{seg_at(1), seg_at(i)}});
		out += (uint32_t)sent.size();
		sent.clear();
		EXPECT_LE(out, (uint32_t)(i - 1) / 2 + 2) << i;
	}
	EXPECT_GE(out, 14u);
	EXPECT_EQ(20u * MSS, h->c.tcp.cc.ssthresh);
	EXPECT_LE(h->f.inflight, 21u * MSS);
}

/* RFC 8985 7.2, 7.3: the tail is probed after two round trips, with the last segment. */
TEST_F(Loss, tlp_probes_the_tail_with_the_last_segment)
{
	write(seg_at(4));
	sent.clear();
	EXPECT_LE(h->deadline(), h->env.now_ns + 25000000);
	pass_ms(25);
	expect_data(seg_at(3), MSS);
	expect_nothing();
	EXPECT_EQ(1u, h->cnt.tlp);
	EXPECT_EQ(0u, h->cnt.rto);
	EXPECT_EQ(10u * MSS, h->f.cwnd);
}

TEST_F(Loss, tlp_prefers_new_data)
{
	wnd = 512;
	conf.cc.cwnd = 4 * MSS;
	start();
	write(seg_at(8));
	sent.clear();
	pass_ms(25);
	expect_data(seg_at(4), MSS);
	expect_nothing();
}

TEST_F(Loss, tlp_with_one_segment_waits_for_a_delayed_ack)
{
	conf.min_rto_us = 1000000;
	start();
	write(MSS);
	sent.clear();
	pass_ms(200);
	expect_nothing();
	pass_ms(25);
	expect_data(0, MSS);
	EXPECT_EQ(1u, h->cnt.tlp);
}

/* RFC 8985 7.2: a probe that would come after the RTO comes in its place. */
TEST_F(Loss, tlp_replaces_the_first_rto_of_a_single_segment)
{
	write(MSS);
	sent.clear();
	pass_ms(201);
	expect_data(0, MSS);
	EXPECT_EQ(1u, h->cnt.tlp);
	EXPECT_EQ(0u, h->cnt.rto);
	EXPECT_EQ(10u * MSS, h->f.cwnd);
	pass_ms(201);
	expect_data(0, MSS);
	EXPECT_EQ(1u, h->cnt.rto);
}

TEST_F(Loss, tlp_is_sent_once_and_then_the_rto_decides)
{
	write(seg_at(4));
	pass_ms(150);
	EXPECT_EQ(1u, h->cnt.tlp);
	EXPECT_EQ(0u, h->cnt.rto);
	pass_ms(300);
	EXPECT_EQ(1u, h->cnt.rto);
}

/* RFC 8985 7.4.2, case 1: the probe was not needed. */
TEST_F(Loss, tlp_reported_duplicate_costs_nothing)
{
	write(seg_at(4));
	pass_ms(25);
	sent.clear();
	in_ack(seg_at(4));
	in_ack(seg_at(4), {{seg_at(3), seg_at(4)}});
	write(seg_at(5));
	in_ack(seg_at(5));
	EXPECT_EQ(0u, h->cnt.fast_recovery);
	EXPECT_GE(h->f.cwnd, 10u * MSS);
}

/* Case 3: the probe repaired a loss, which is a congestion signal like any. */
TEST_F(Loss, tlp_that_repaired_a_loss_reduces_the_window)
{
	write(seg_at(4));
	pass_ms(25);
	ASSERT_EQ(1u, h->cnt.tlp);
	in_ack(seg_at(4));
	write(seg_at(5));
	in_ack(seg_at(5));
	EXPECT_EQ(1u, h->cnt.fast_recovery);
	EXPECT_EQ(5u * MSS, h->c.tcp.cc.ssthresh);
}

TEST_F(Loss, tlp_that_reveals_a_hole_starts_recovery)
{
	write(seg_at(6));
	pass_ms(25);
	sent.clear();
	after_ms(10);
	in_ack(0, {{seg_at(5), seg_at(6)}});
	pass_ms(5);
	EXPECT_EQ(1u, h->cnt.fast_recovery);
	ASSERT_FALSE(sent.empty());
	expect_data(0, MSS);
}

/* RFC 6298 5.4 - 5.6, 5681 3.1. */
TEST_F(Loss, rto_retransmits_one_segment_and_slow_starts)
{
	conf.sack = false;
	start();
	flight();
	pass_ms(200);
	EXPECT_EQ(1u, h->cnt.rto);
	expect_data(0, MSS);
	expect_nothing();
	EXPECT_EQ(MSS, h->f.cwnd);
	EXPECT_EQ(5u * MSS, h->c.tcp.cc.ssthresh);
	after_ms(10);
	in_ack(seg_at(1));
	expect_data_run(seg_at(1), 2);
	expect_nothing();
}

TEST_F(Loss, rto_again_keeps_ssthresh)
{
	conf.sack = false;
	start();
	flight();
	pass_ms(5000);
	EXPECT_GE(h->cnt.rto, 3u);
	EXPECT_EQ(5u * MSS, h->c.tcp.cc.ssthresh);
}

/* Karn: an ACK of a retransmission gives no sample; timestamps do. */
TEST_F(Loss, rto_ack_of_a_retransmission_is_no_sample_without_timestamps)
{
	conf.ts = false;
	conf.sack = false;
	start();
	flight(1);
	uint32_t srtt = h->f.srtt_us;
	pass_ms(300);
	in_ack(MSS);
	EXPECT_EQ(srtt, h->f.srtt_us);
	EXPECT_EQ(0, h->c.tcp.backoff);
}

/* An echo older than the retransmission may be of a copy whose ACK was lost: no sample, the
 * back-off stays. */
TEST_F(Loss, rto_stale_echo_is_no_sample_and_keeps_the_backoff)
{
	conf.sack = false;
	start();
	flight(1);
	uint32_t srtt = h->f.srtt_us, old_ms = (uint32_t)(h->env.now_ns / 1000000) + 77;
	pass_ms(1500);
	ASSERT_GE(h->c.tcp.backoff, 2);
	acked = MSS;
	seg s = segment(TCP_ACK, 0, 0);
	s.ts_ecr = old_ms;
	in(s);
	EXPECT_EQ(MSS, h->f.tx_una);
	EXPECT_EQ(srtt, h->f.srtt_us);
	EXPECT_GE(h->c.tcp.backoff, 2);
	write(2 * MSS);
	after_ms(10);
	in_ack(2 * MSS);
	EXPECT_EQ(0, h->c.tcp.backoff);
}

TEST_F(Loss, rto_echo_of_the_retransmission_is_a_sample)
{
	conf.sack = false;
	start();
	flight(1);
	pass_ms(200);
	ASSERT_EQ(1u, h->cnt.rto);
	seg s = segment(TCP_ACK, 0, 0);
	after_ms(50);
	acked = MSS;
	s.ack += MSS;
	in(s);
	EXPECT_EQ(0, h->c.tcp.backoff);
	EXPECT_NE(10000u, h->c.tcp.last_rtt_us);
	EXPECT_LE(h->c.tcp.last_rtt_us, 251000u);
}

TEST_F(Loss, no_sack_data_behind_a_filled_hole_is_no_sample)
{
	conf.sack = false;
	conf.ts = false;
	start();
	flight();
	pass_ms(1000);
	in_ack(seg_at(10));
	EXPECT_EQ(10000u, h->c.tcp.last_rtt_us);
}

TEST_F(Loss, sack_report_of_what_was_given_up_is_no_sample)
{
	flight();
	pass_ms(1000);
	ASSERT_TRUE(h->f.flags & FP_F_LOSS);
	in_ack(0, {{seg_at(5), seg_at(8)}});
	EXPECT_EQ(10000u, h->c.tcp.last_rtt_us);
}

/* RFC 5682 3.1: the ACKs were only late. */
TEST_F(Loss, frto_late_acks_take_the_timeout_back)
{
	flight();
	pass_ms(400);
	ASSERT_GE(h->cnt.rto, 1u);
	sent.clear();
	in_ack(seg_at(2));
	EXPECT_EQ(1u, h->cnt.spurious_rto);
	EXPECT_GE(h->f.cwnd, 10u * MSS);
	EXPECT_EQ(0u, h->c.tcp.lost_bytes);
	EXPECT_EQ(8u * MSS, h->f.inflight);
	expect_nothing();
}

TEST_F(Loss, frto_first_ack_of_the_head_only_sends_new_data)
{
	flight();
	pass_ms(250);
	sent.clear();
	write(seg_at(20));
	in_ack(seg_at(1));
	expect_data_run(seg_at(10), 2);
	expect_nothing();
	/* The next ACK is for an original: spurious. */
	in_ack(seg_at(2));
	EXPECT_EQ(1u, h->cnt.spurious_rto);
}

TEST_F(Loss, frto_duplicate_after_new_data_goes_on_retransmitting)
{
	flight();
	pass_ms(250);
	sent.clear();
	write(seg_at(20));
	after_ms(5);
	in_ack(seg_at(1));
	sent.clear();
	after_ms(10);
	in_ack(seg_at(1), {{seg_at(10), seg_at(11)}});
	EXPECT_EQ(0u, h->cnt.spurious_rto);
	ASSERT_FALSE(sent.empty());
	expect_data(seg_at(1), MSS);
}

/* RFC 2018 section 8: SACKed data may be thrown away by the receiver. */
TEST_F(Loss, sack_reneged_data_is_retransmitted)
{
	flight();
	in_ack(0, {{seg_at(1), seg_at(10)}});
	expect_data(0, MSS);
	after_ms(10);
	in_ack(seg_at(1)); /* the head arrived, and the rest is gone */
	sent.clear();
	uint64_t pos = seg_at(1);
	for (int i = 0; i < 100 && pos < seg_at(10); i++) {
		pass_ms(500);
		while (!sent.empty()) {
			Sent x = next();
			if ((uint64_t)x.pos == pos)
				pos += x.s.len;
		}
		in_ack(pos);
	}
	EXPECT_EQ(seg_at(10), pos);
	EXPECT_EQ(0u, h->f.inflight + h->c.tcp.sacked_bytes + h->c.tcp.lost_bytes);
}

/* Nothing that a SACK option says may unbalance the map (checked after every event) or loop. */
TEST_F(Loss, sack_nonsense_is_ignored)
{
	uint64_t n = seg_at(10);

	flight();
	in_ack(0, {{seg_at(5), seg_at(5)}});
	in_ack(0, {{seg_at(6), seg_at(5)}});
	in_ack(0, {{0, n + 1}});
	in_ack(0, {{n, n + MSS}});
	in_ack(0, {{0x7fffffff, 0x80000000}});
	in_ack(0, {{(uint64_t)-5000, (uint64_t)-1000}, {(uint64_t)-1, 10}});
	EXPECT_EQ(0u, h->c.tcp.sacked_bytes);
	EXPECT_EQ(10u * MSS, h->f.inflight);
	in_ack(n);
	EXPECT_EQ(0u, h->f.inflight);
}

TEST_F(Loss, sack_odd_bytes_cut_nodes_only_so_far)
{
	conf.nodes = 100000;
	start();
	flight();
	for (uint64_t p = 1; p < seg_at(10); p += 2)
		in_ack(0, {{p, p + 1}});
	EXPECT_LE(h->c.tcp.nsent, 200u);
	in_ack(seg_at(10));
	EXPECT_EQ(0u, h->env.sent_used);
}

/* RFC 1191 6.4: a smaller path MTU sends what is outstanding again, and is no congestion. */
TEST_F(Loss, mss_decrease_resends_at_once_without_reduction)
{
	flight();
	tcp_mss_set(&h->f, &h->c, &h->env, 500);
	h->output();
	EXPECT_EQ(10u * MSS, h->f.cwnd);
	uint64_t pos = 0;
	while (!sent.empty()) {
		Sent x = next();
		EXPECT_EQ(pos, (uint64_t)x.pos);
		EXPECT_LE(x.s.len, 500u);
		pos += x.s.len;
	}
	EXPECT_EQ(10u * MSS, pos);
	in_ack(seg_at(10));
	EXPECT_FALSE(h->f.flags & FP_F_LOSS);
}

/* An empty pool stops new data, never what was sent. */
TEST_F(Loss, pool_exhausted_flow_still_moves)
{
	conf.nodes = 4;
	conf.opts.sndbuf = 65536;
	start();
	h->f.flags |= FP_F_NODELAY;
	for (uint64_t pos = 100; pos <= 6000; pos += 100) {
		write(pos);
		after_ms(1);
	}
	uint64_t acked_to = 0;
	for (int i = 0; i < 2000 && acked_to < 6000; i++) {
		while (!sent.empty()) {
			Sent x = next();
			if ((uint64_t)x.pos <= acked_to)
				acked_to = std::max(acked_to, (uint64_t)x.pos + x.s.len);
		}
		in_ack(acked_to, {{acked_to + 50, acked_to + 60}});
		pass_ms(100);
	}
	EXPECT_EQ(6000u, acked_to);
	EXPECT_EQ(0u, h->env.sent_used);
}

TEST_F(Loss, pool_exhausted_large_node_moves_by_blind_retransmission)
{
	conf.nodes = 1;
	conf.max_frame = 64 * MSS;
	start();
	write(seg_at(10)); /* one frame, one node; no node is left to cut it */
	sent.clear();
	uint64_t acked_to = 0;
	for (int i = 0; i < 500 && acked_to < seg_at(10); i++) {
		if (sent.empty())
			pass_ms(1000);
		while (!sent.empty()) {
			Sent x = next();
			if ((uint64_t)x.pos <= acked_to)
				acked_to = std::max(acked_to, (uint64_t)x.pos + x.s.len);
		}
		in_ack(acked_to);
	}
	EXPECT_EQ(seg_at(10), acked_to);
	EXPECT_LT(h->cnt.rto, 10u);
}

/* The slow path's late answer must not undo a reduction. */
TEST_F(Loss, recovery_ignores_a_larger_window_from_before_the_loss)
{
	cc_params p = {};

	flight();
	in_ack(0, {{seg_at(1), seg_at(5)}});
	ASSERT_TRUE(h->f.flags & FP_F_RECOVERY);
	p.cwnd = 100 * MSS;
	p.ssthresh = 0x7fffffff;
	p.growth = MSS;
	tcp_cc_set(&h->f, &h->c, &p);
	after_ms(10);
	in_ack(seg_at(10));
	EXPECT_EQ(5u * MSS, h->f.cwnd);
}

/* Feedback says so at once. */
TEST_F(Loss, feedback_tells_recovery_rto_and_undo)
{
	std::vector<cc_feedback> got;

	flight();
	h->on_feedback = [&](const cc_feedback &fb) { got.push_back(fb); };
	in_ack(0, {{seg_at(1), seg_at(5)}});
	ASSERT_EQ(1u, got.size());
	EXPECT_TRUE(got[0].events & CC_EV_RECOVERY);
	EXPECT_EQ(MSS, got[0].lost);
	in_ack(seg_at(10));
	write(seg_at(20));
	pass_ms(10);
	got.clear();
	pass_ms(400);
	ASSERT_GE(got.size(), 1u);
	EXPECT_TRUE(got.back().events & CC_EV_RTO);
	in_ack(h->f.tx_nxt);
	EXPECT_TRUE(got.back().events & CC_EV_UNDO);
}

/* A node stands for transmissions of some span: when its inside left is not known. */
TEST_F(Loss, sack_inside_of_a_merged_node_is_no_sample)
{
	write(seg_at(1));
	after_us(300);
	write(seg_at(2));
	after_us(300);
	write(seg_at(3));
	ASSERT_EQ(1u, h->c.tcp.nsent);
	after_ms(20);
	in_ack(0, {{seg_at(1), seg_at(2)}});
	EXPECT_EQ(10000u, h->c.tcp.last_rtt_us);
	in_ack(0, {{seg_at(1), seg_at(3)}});
	EXPECT_EQ(20000u, h->c.tcp.last_rtt_us);
}

TEST_F(Loss, no_sack_fast_recovery_gives_no_sample_from_behind_the_hole)
{
	conf.sack = false;
	conf.ts = false;
	start();
	flight();
	for (int i = 0; i < 3; i++)
		in_ack(0);
	after_ms(30);
	in_ack(seg_at(10));
	EXPECT_EQ(10000u, h->c.tcp.last_rtt_us);
}

/* RFC 6937 without SACK: each further duplicate is a delivery. */
TEST_F(Loss, no_sack_further_duplicates_release_new_data)
{
	conf.sack = false;
	start();
	flight();
	write(seg_at(30));
	sent.clear();
	for (int i = 0; i < 9; i++)
		in_ack(0);
	EXPECT_GE(sent.size(), 5u);
	EXPECT_LE(sent.size(), 8u);
	expect_data_run(seg_at(10), 2); /* RFC 3042 */
	expect_data(0, MSS);
	expect_data(seg_at(12), MSS);
}

/* RFC 8985 6.2 step 2: that ACK was for the original. */
TEST_F(Loss, rack_ack_sooner_than_any_round_trip_is_the_originals)
{
	flight();
	in_ack(0, {{seg_at(1), seg_at(4)}});
	expect_data(0, MSS);
	uint32_t newest = h->f.rack_us;
	after_ms(1);
	in_ack(seg_at(4));
	EXPECT_EQ(newest, h->f.rack_us);
	EXPECT_EQ(0u, h->c.tcp.lost_bytes);
}

/* RFC 8985 6.2 step 4: once per round trip; 7.4.1 uses the same report. */
TEST_F(Loss, rack_dsack_widens_the_reordering_window_once_a_round)
{
	write(seg_at(10));
	in_ack(seg_at(4));
	in_ack(seg_at(4), {{seg_at(1), seg_at(2)}});
	in_ack(seg_at(4), {{seg_at(2), seg_at(3)}});
	EXPECT_EQ(2, h->c.tcp.reo_mult);
	in_ack(seg_at(10));
	write(seg_at(20));
	in_ack(seg_at(11), {{seg_at(3), seg_at(4)}});
	EXPECT_EQ(3, h->c.tcp.reo_mult);
}

/* The 32-bit clock of RACK may have gone round while nothing was outstanding. */
TEST_F(Loss, rack_works_after_an_hour_of_silence)
{
	write(MSS);
	in_ack(MSS);
	after_ms(50 * 60 * 1000);
	write(seg_at(9));
	sent.clear();
	after_ms(10);
	in_ack(MSS, {{seg_at(2), seg_at(6)}});
	expect_data(seg_at(1), MSS);
	EXPECT_EQ(0u, h->c.tcp.lost_bytes) << "what was sent later is not lost";
}

TEST_F(Loss, tlp_is_not_repeated_by_an_ack)
{
	write(seg_at(6));
	pass_ms(25);
	ASSERT_EQ(1u, h->cnt.tlp);
	in_ack(seg_at(2));
	pass_ms(100);
	EXPECT_EQ(1u, h->cnt.tlp);
}

TEST_F(Loss, large_retransmissions_are_whole_segments)
{
	conf.max_frame = 64 * MSS;
	start();
	flight();
	pass_ms(400);
	sent.clear();
	h->f.cwnd = 3 * MSS + 300;
	after_ms(5);
	in_ack(500);
	while (!sent.empty()) {
		Sent x = next();
		EXPECT_TRUE(x.s.len % MSS == 0 || x.s.len == MSS - 500) << x.s.len;
	}
}

/* Probing a closed window backs off; data that goes out when it opens a little has an ordinary timeout. */
TEST_F(Loss, probe_backoff_ends_with_the_closed_window)
{
	write(1000);
	wnd = 0;
	in_ack(1000);
	write(6000);
	pass_ms(3000);
	EXPECT_GT(h->c.tcp.backoff, 2);
	wnd = 2; /* 256 bytes: too few to be used at once */
	in_ack(1000);
	for (sent.clear(); sent.empty() && !h->ended();) {
		h->set_time(h->deadline());
		h->timer();
		h->output();
	}
	expect_data(1000, 256);
	EXPECT_EQ(0u, h->c.tcp.backoff);
	EXPECT_EQ(h->env.now_us + h->c.tcp.rto_us, h->c.tcp.rto_at_us);
}
