/*
 * urgent.c - urgent data: one byte of each stream that is announced ahead of the rest.
 *
 * As Linux and every other system have it (RFC 6093 section 3.1), the pointer in a segment points
 * just past the urgent byte, and one such byte is kept, outside of the stream if the program wants
 * it so. What the reader does at the mark is libtas' part; here is what the peer announced, the
 * byte as soon as it is here, and the announcement of ours.
 *
 * Owner: the flow's core. RFC 9293 3.8.5 and 3.10.7.4 (sixth check), 6093; tcp(7).
 */
#include "priv.h"

/* Where `seq` lies in the stream, seen from RCV.NXT. */
static uint64_t position(const struct fp_flow *f, uint32_t seq)
{
	return f->rx_nxt + (uint64_t)(int64_t)(int32_t)(seq - rx_seq(f, f->rx_nxt));
}

/*
 * A reader that stands at an urgent byte which is here has not taken it yet: as on Linux that byte
 * leaves the stream when the next one is announced. Those that follow each other so are one hole.
 */
static void leave_out(const struct fp_flow *f, struct tcp_cold *c)
{
	uint64_t at = f->rx_read;

	if (c->urg_hole != 0 && at == c->urg_from)
		at += c->urg_hole;
	if (c->rx_urg != at || at >= f->rx_nxt || c->urg_hole == UINT16_MAX)
		return;
	if (at == f->rx_read) {
		c->urg_from = at;
		c->urg_hole = 0;
	}
	c->urg_hole++;
}

/* 1 = a mark that is new. One before RCV.NXT, or before the present one, says nothing. */
static int announced(struct fp_flow *f, struct tcp_cold *c, const struct seg *s)
{
	uint64_t pos = position(f, s->seq + s->urg_ptr - (s->urg_ptr != 0));

	if ((int64_t)(pos - f->rx_nxt) < 0 || f->flags & (FP_F_RX_FIN | FP_F_RX_CLOSED))
		return 0;
	if (f->flags & FP_F_RX_URG) {
		if (pos <= c->rx_urg)
			return 0;
		leave_out(f, c);
	} else {
		c->urg_hole = 0;
	}
	f->flags |= FP_F_RX_URG;
	c->urg = TCP_URG_NOTYET;
	c->rx_urg = pos;
	return 1;
}

/* The urgent field of an acceptable segment, and the urgent byte if it is in this one. */
uint32_t tcp_urgent_in(struct fp_flow *f, struct tcp_cold *c, const struct seg *s)
{
	uint64_t at;
	uint32_t v = 0;

	if (s->flags & TCP_URG && announced(f, c, s))
		v |= TCP_V_URG;
	if (!(f->flags & FP_F_RX_URG) || c->urg != TCP_URG_NOTYET)
		return v;
	at = c->rx_urg - position(f, s->seq);
	if (at >= s->len)
		return v;
	c->urg = TCP_URG_VALID;
	c->urg_byte = s->payload[at];
	return v | TCP_V_HEAD;
}

/* The program has read on. */
void tcp_urgent_passed(struct fp_flow *f, struct tcp_cold *c)
{
	if (f->rx_read <= c->rx_urg)
		return;
	f->flags &= ~FP_F_RX_URG;
	c->urg = TCP_URG_NONE;
	c->urg_hole = 0;
}

void tcp_urgent_taken(const struct fp_flow *f, struct fp_flow_cold *cold, uint64_t pos)
{
	struct tcp_cold *c = &cold->tcp;

	if (f->flags & FP_F_RX_URG && c->urg == TCP_URG_VALID && pos == c->rx_urg)
		c->urg = TCP_URG_READ;
}

uint64_t tcp_urgent_word(const struct fp_flow *f, const struct fp_flow_cold *cold)
{
	static const uint32_t flag[] = {
		[TCP_URG_NOTYET] = 0,
		[TCP_URG_VALID] = TAS_URG_VALID,
		[TCP_URG_READ] = TAS_URG_READ,
	};
	const struct tcp_cold *c = &cold->tcp;

	if (!(f->flags & FP_F_RX_URG))
		return 0;
	return c->rx_urg << TAS_URG_SHIFT | TAS_URG_MARK | flag[c->urg] | c->urg_byte;
}

void tcp_urgent_sent(struct fp_flow *f, struct fp_flow_cold *cold, uint64_t up)
{
	if (up <= f->tx_una || up > f->tx_head)
		return;
	f->flags |= FP_F_TX_URG;
	cold->tcp.tx_up = up;
}

int tcp_urgent_due(struct fp_flow *f, const struct tcp_cold *c)
{
	if (c->tx_up > f->tx_una)
		return 1;
	f->flags &= ~FP_F_TX_URG;
	return 0;
}

/*
 * Every segment before SND.UP says so. From further away than 16 bits reach, as on Linux, only if what
 * they name was not sent yet: the receiver must not take a byte for urgent that is not.
 */
void tcp_urgent_header(struct fp_flow *f, const struct tcp_cold *c, struct wire_tcp *h)
{
	int32_t ahead = (int32_t)(tx_seq(f, c->tx_up) - h->seq);

	if (!tcp_urgent_mode(f, c) || ahead <= 0)
		return;
	if (ahead > UINT16_MAX && !seq_gt(h->seq + UINT16_MAX, tx_seq(f, f->tx_nxt)))
		return;
	h->flags |= TCP_URG;
	h->urg_ptr = (uint16_t)min_u32((uint32_t)ahead, UINT16_MAX);
}
