/*
 * Urgent data: what is announced, how often and how far ahead; which announcements and which byte of
 * the peer's count. RFC 9293 3.8.5, RFC 6093.
 */
#include "packet.h"

class Urgent : public Packet
{
      protected:
	/* The program writes up to `pos`, the byte before it is urgent. */
	void write_urgent(uint64_t pos)
	{
		h->to_write = pos;
		h->program();
		tcp_urgent_sent(&h->f, &h->c, pos);
		h->output();
	}

	void expect_urgent(const Sent &x, uint64_t up)
	{
		EXPECT_TRUE(x.s.flags & TCP_URG);
		EXPECT_EQ(up - (uint64_t)x.pos, x.s.urg_ptr);
	}

	uint32_t in_urgent(int64_t pos, uint32_t len, uint16_t ptr)
	{
		seg s = segment(TCP_ACK | TCP_URG, pos, len);

		s.urg_ptr = ptr;
		return in(s);
	}

	uint64_t word()
	{
		return tcp_urgent_word(&h->f, &h->c);
	}

	uint64_t valid(uint64_t pos)
	{
		return pos << TAS_URG_SHIFT | TAS_URG_MARK | TAS_URG_VALID | pattern(8, pos);
	}
};

/* ---- sending ---- */

TEST_F(Urgent, sent_the_pointer_is_just_past_the_byte)
{
	write_urgent(10);
	expect_urgent(expect_data(0, 10), 10);
	in_ack(10);
	write(20);
	EXPECT_FALSE(expect_data(10, 10).s.flags & TCP_URG) << "it was acknowledged";
}

TEST_F(Urgent, sent_each_segment_before_it_says_so_and_none_after_it)
{
	conf.max_frame = 8 * MSS;
	start();
	write_urgent(3 * MSS);
	for (int i = 0; i < 3; i++)
		expect_urgent(expect_data(i * MSS, MSS), 3 * MSS);
	write(5 * MSS);
	for (int i = 3; i < 5; i++)
		EXPECT_FALSE(expect_data(i * MSS, MSS).s.flags & TCP_URG) << "one frame a segment";
	in_ack(3 * MSS);
	write(9 * MSS);
	EXPECT_EQ(4u * MSS, next().s.len) << "large frames again";
}

TEST_F(Urgent, sent_an_ack_before_it_says_so)
{
	write_urgent(50 * MSS);
	sent.clear(); /* the first window's worth */
	in_data(0, 2 * MSS);
	Sent x = next();
	EXPECT_EQ(0u, x.s.len);
	EXPECT_EQ(2 * MSS, x.ack);
	EXPECT_TRUE(x.s.flags & TCP_URG);
}

TEST_F(Urgent, sent_again_says_so_again)
{
	write_urgent(10);
	next();
	pass_ms(400);
	ASSERT_FALSE(sent.empty());
	expect_urgent(next(), 10);
}

TEST_F(Urgent, sent_nothing_holds_it_back)
{
	write(10);
	next();
	write(20);
	expect_nothing(); /* Nagle */
	write_urgent(30);
	expect_urgent(expect_data(10, 20), 30);
	h->f.flags |= FP_F_CORK;
	write(40);
	EXPECT_FALSE(expect_data(30, 10).s.flags & TCP_URG)
		<< "behind it, while it is not acknowledged";
}

TEST_F(Urgent, sent_far_ahead_names_nothing_that_is_not_urgent)
{
	conf.cc.cwnd = 200 * MSS;
	conf.opts.sndbuf = 1u << 20;
	start();
	wnd = 2048; /* 256 KiB */
	in_ack(0);
	write_urgent(100 * MSS);
	while (!sent.empty()) {
		Sent x = next();
		uint64_t ahead = 100 * MSS - (uint64_t)x.pos;

		if (ahead <= UINT16_MAX) {
			expect_urgent(x, 100 * MSS);
		} else if (x.s.flags & TCP_URG) {
			EXPECT_EQ(UINT16_MAX, x.s.urg_ptr);
		}
	}
}

/* RFC 9293 3.8.5: also while the window is closed. */
TEST_F(Urgent, window_closed_the_pointer_goes_out_in_a_probe)
{
	h->f.snd_wnd = 0;
	h->to_write = 10;
	h->program();
	tcp_urgent_sent(&h->f, &h->c, 10);
	h->output();
	expect_nothing();
	while (sent.empty())
		pass_ms(100);
	Sent x = next();
	EXPECT_EQ(0, x.pos) << "acceptable to the peer";
	EXPECT_EQ(0u, x.s.len);
	expect_urgent(x, 10);
	EXPECT_EQ(-1, next().pos) << "to be answered";
}

/* ---- receiving ---- */

TEST_F(Urgent, received_the_byte_before_the_pointer)
{
	EXPECT_EQ(0u, word());
	EXPECT_TRUE(in_urgent(0, 10, 4) & TCP_V_URG);
	EXPECT_EQ(valid(3), word());
	EXPECT_EQ(10u, h->f.rx_nxt) << "it has its place in the stream";
	in_urgent(10, 10, 0);
	EXPECT_EQ(valid(10), word()) << "a pointer of 0 is taken as it is";
	in_urgent(20, 0, 1);
	EXPECT_EQ(20ull << TAS_URG_SHIFT | TAS_URG_MARK | pattern(8, 10), word()) << "announced";
	EXPECT_TRUE(in_data(20, 5) & TCP_V_HEAD);
	EXPECT_EQ(valid(20), word());
}

TEST_F(Urgent, received_an_old_or_repeated_pointer_says_nothing)
{
	in_data(0, 10);
	EXPECT_FALSE(in_urgent(10, 0, 0) == 0) << "a pointer to what comes next";
	EXPECT_FALSE(in_urgent(10, 5, 1) & TCP_V_URG) << "again";
	EXPECT_EQ(valid(10), word());
	EXPECT_FALSE(in_urgent(15, 5, 0) & ~(TCP_V_URG | TCP_V_DATA | TCP_V_HEAD | TCP_V_ACK));
	EXPECT_EQ(valid(15), word());
	in_urgent(12, 3, 1);
	EXPECT_EQ(valid(15), word());
}

TEST_F(Urgent, received_out_of_order_the_byte_is_here_at_once)
{
	in_urgent(100, 10, 10);
	EXPECT_EQ(valid(109), word());
	EXPECT_EQ(0u, h->f.rx_nxt);
	in_data(0, 100);
	EXPECT_EQ(110u, h->f.rx_nxt);
	EXPECT_EQ(valid(109), word());
}

TEST_F(Urgent, received_in_a_segment_that_is_not_acceptable_counts_for_nothing)
{
	EXPECT_EQ(0u, in_urgent(10 << 20, 10, 10) & TCP_V_URG);
	EXPECT_EQ(0u, word());
}

TEST_F(Urgent, passed_by_the_reader_it_is_forgotten)
{
	in_urgent(0, 10, 4);
	read(3);
	EXPECT_EQ(valid(3), word()) << "the reader stands before it";
	read(4);
	EXPECT_EQ(0u, word());
}

TEST_F(Urgent, taken_out_of_line_the_mark_stays)
{
	in_urgent(0, 10, 4);
	tcp_urgent_taken(&h->f, &h->c, 2);
	EXPECT_EQ(valid(3), word()) << "not that one";
	tcp_urgent_taken(&h->f, &h->c, 3);
	EXPECT_EQ(TAS_URG_READ, word() & (TAS_URG_VALID | TAS_URG_READ));
	read(10);
	EXPECT_EQ(0u, word());
}

/* A reader who stands at one when the next comes does not get to see it; a reader before it does. */
TEST_F(Urgent, next_one_leaves_a_hole_where_the_reader_stands)
{
	in_urgent(0, 1, 1);
	in_urgent(1, 1, 1);
	in_urgent(2, 1, 1);
	EXPECT_EQ(valid(2), word());
	EXPECT_EQ(2u, h->c.tcp.urg_hole);
	EXPECT_EQ(0u, h->c.tcp.urg_from);
	read(3);
	in_urgent(3, 2, 2);
	in_urgent(5, 1, 1);
	EXPECT_EQ(valid(5), word());
	EXPECT_EQ(0u, h->c.tcp.urg_hole);
}
