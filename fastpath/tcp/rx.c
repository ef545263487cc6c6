/*
 * rx.c - a received segment: is it acceptable, what does it acknowledge, what of its data is new.
 *
 * The checks come in the order of RFC 9293 section 3.10.7.4, with timestamps in front (RFC 7323
 * section 5.3). tcp_rx() only decides; the caller stores the bytes named in struct tcp_rx_out, and
 * tcp_rx_stored() then moves RCV.NXT by what really was stored.
 *
 * Owner: the flow's core. RFC 9293, 5961, 7323, 2883, 8257 (CE echo), 5681 section 4.2 (when to
 * acknowledge).
 */
#include <string.h>
#include "priv.h"
#include "tas/limit.h"

#define CHALLENGES_PER_S 500u	  /* on average, of one core */
#define PAWS_IDLE_MAX	 1931191u /* 24 days in units of 2^30 ns: RFC 7323 section 5.5 */

static uint32_t ack_now(struct fp_flow *f)
{
	f->flags |= FP_F_ACK_NOW;
	return TCP_V_ACK;
}

void tcp_challenge_refill(struct tcp_env *env, uint32_t random)
{
	env->challenge_tokens = tas_limit_blur(CHALLENGES_PER_S, random);
}

/* RFC 5961 section 7: an ACK that a blind attacker can provoke costs a token. */
static uint32_t challenge(struct fp_flow *f, struct tcp_env *env)
{
	if (env->challenge_tokens == 0)
		return 0;
	env->challenge_tokens--;
	env->cnt->challenge_acks++;
	return ack_now(f);
}

static uint32_t state_news(struct fp_flow *f, struct tcp_cold *c, const struct tcp_env *env)
{
	const uint32_t closing = FP_F_RX_CLOSED | FP_F_TX_FINACK;

	if ((f->flags & (FP_F_RX_FIN | FP_F_TX_FINACK)) == (FP_F_RX_FIN | FP_F_TX_FINACK))
		return TCP_V_DONE;
	if ((f->flags & closing) == closing && !(c->run & TCP_RUN_FINWAIT)) {
		if (c->linger2_s == TCP_NO_LINGER2)
			return TCP_V_RST_OUT;
		c->run |= TCP_RUN_FINWAIT;
		c->finwait_ns = env->now_ns +
				(c->linger2_s != 0 ? c->linger2_s * 1000000000ull : TCP_FINWAIT_NS);
	}
	return 0;
}

/* RFC 5961 sections 3.2 and 4.2. `off`: the segment's distance from RCV.NXT. */
static uint32_t rst_or_syn(struct fp_flow *f, struct tcp_env *env, const struct seg *s, int32_t off)
{
	if (!(s->flags & TCP_RST))
		return challenge(f, env);
	if (off == 0)
		return TCP_V_RESET;
	if (off > 0 && (uint32_t)off < rx_window(f))
		return challenge(f, env);
	env->cnt->drop_bad_rst++;
	return 0;
}

/* RFC 7323 section 5.3 R1; a segment without the agreed option is dropped (section 3.2). */
static int timestamp_ok(const struct fp_flow *f, const struct tcp_cold *c,
	const struct tcp_env *env, const struct seg *s)
{
	if (!s->has_ts)
		return 0;
	if (!seq_lt(s->ts_val, f->ts_recent))
		return 1;
	return (uint32_t)(env->now_ns >> 30) - c->ts_recent_age > PAWS_IDLE_MAX;
}

static uint32_t timestamp_bad(struct fp_flow *f, struct tcp_env *env, const struct seg *s)
{
	env->cnt->drop_paws++;
	if (!s->has_ts)
		return 0;
	return s->len != 0 ? ack_now(f) : challenge(f, env);
}

/* Section 4.3: the timestamp of the segment that the next ACK will be for. */
static void timestamp_note(
	struct fp_flow *f, struct tcp_cold *c, const struct tcp_env *env, const struct seg *s)
{
	if (seq_gt(s->seq, rx_seq(f, c->rx_acked)))
		return;
	f->ts_recent = s->ts_val;
	c->ts_recent_age = (uint32_t)(env->now_ns >> 30);
}

static void note_duplicate(struct fp_flow *f, struct tcp_cold *c, int64_t off, int64_t end)
{
	if (end > off) {
		c->dsack.start = f->rx_nxt + (uint64_t)off;
		c->dsack.end = f->rx_nxt + (uint64_t)end;
	}
}

/*
 * Not acceptable: old, or beyond the window. The peer is told where we are (RFC 9293 3.10.7.4,
 * first check); a bare ACK is answered only if it is a probe (RCV.NXT - 1) or has a token, or two
 * sides could do so for ever.
 */
static uint32_t out_of_window(struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env,
	const struct seg *s, int64_t off, int64_t end)
{
	int probe =
		off == -1 && s->len == 0 && !(s->flags & TCP_FIN); /* of the window, or keepalive */

	if (end <= 0 && s->len != 0) {
		env->cnt->rx_dup++;
		c->dup_in++;
		note_duplicate(f, c, off, off + s->len);
	} else if (!probe) {
		env->cnt->drop_out_of_window++;
	}
	if (probe || s->len != 0 || s->flags & TCP_FIN)
		return ack_now(f);
	return challenge(f, env);
}

/*
 * RFC 8257 section 3.2: a change of the CE mark is acknowledged at once, so that the sender can
 * count. An ordinary sender reacts once a round trip and must not miss it: it is told with every
 * ACK until it has answered with CWR (RFC 3168 section 6.1.3).
 */
static void note_ce(struct fp_flow *f, struct tcp_cold *c, const struct seg *s)
{
	uint8_t ce = s->ecn == 3;

	if (!(f->flags & FP_F_ECN))
		return;
	if (s->flags & TCP_CWR)
		c->ce_seen = 0;
	if (ce != c->ce_last)
		f->flags |= FP_F_ACK_NOW;
	c->ce_last = ce;
	c->ce_seen |= ce;
}

static uint32_t duplicate(
	struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env, int64_t off, int64_t end)
{
	env->cnt->rx_dup++;
	c->dup_in++;
	note_duplicate(f, c, off, end);
	return ack_now(f);
}

/* Data beyond RCV.NXT: what of it is not yet had, if there is room for another interval. */
static uint32_t choose_ooo(struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env,
	const struct seg *s, uint64_t start, uint64_t end, struct tcp_rx_out *out)
{
	uint64_t base = f->rx_nxt + (uint64_t)(int64_t)(int32_t)(s->seq - rx_seq(f, f->rx_nxt));
	uint64_t from = start, to = end;

	tcp_ooo_trim(c, &from, &to);
	if (from >= to && start < end && !out->fin) {
		/* Report the interval that holds it first after the duplicate. */
		tcp_ooo_insert(c, start, end);
		return duplicate(
			f, c, env, (int64_t)(start - f->rx_nxt), (int64_t)(end - f->rx_nxt));
	}
	if (from < to && !tcp_ooo_fits(c, from, to)) {
		env->cnt->drop_ooo_full++;
		out->fin = 0;
		return ack_now(f);
	}
	if (to < end && out->fin && from < to)
		out->fin = 0; /* pos + len must be the FIN's place; it will come again */
	out->pos = from;
	out->len = (uint32_t)(to - from);
	out->data = s->payload + (from - base);
	return out->len != 0 ? TCP_V_DATA : 0;
}

/* A FIN may not lie before data already received, nor contradict an earlier one. */
static int fin_plausible(const struct tcp_cold *c, uint64_t pos)
{
	if (c->rx_fin_pos != TCP_POS_NONE)
		return pos == c->rx_fin_pos;
	return pos >= tcp_ooo_highest(c);
}

/* The segment text and FIN: RFC 9293 3.10.7.4, seventh and eighth check. off, end: relative to
 * RCV.NXT. */
static uint32_t choose_data(struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env,
	const struct seg *s, int64_t off, struct tcp_rx_out *out)
{
	int64_t end = off + s->len, edge = rx_window(f), start = off > 0 ? off : 0;
	int fin = (s->flags & TCP_FIN) != 0;

	if (f->flags & FP_F_RX_FIN || end + fin <= 0)
		return duplicate(f, c, env, off, end < 0 ? end : 0);
	if (f->flags & FP_F_RX_CLOSED && end > 0 && s->len != 0) {
		env->cnt->drop_closed_data++;
		return TCP_V_RST_OUT;
	}
	note_ce(f, c, s);
	if (off < 0)
		note_duplicate(f, c, off, end < 0 ? end : 0);
	if (c->rx_fin_pos != TCP_POS_NONE)
		edge = (int64_t)min_u64((uint64_t)edge, c->rx_fin_pos - f->rx_nxt);
	if (end > edge) {
		end = edge;
		fin = 0;
	}
	if (end < start || (end == start && !fin)) {
		env->cnt->drop_out_of_window++;
		return ack_now(f);
	}
	out->fin = fin && fin_plausible(c, f->rx_nxt + (uint64_t)end);
	if (start > 0)
		return choose_ooo(
			f, c, env, s, f->rx_nxt + (uint64_t)start, f->rx_nxt + (uint64_t)end, out);
	out->pos = f->rx_nxt;
	out->len = (uint32_t)end;
	out->data = s->payload - off;
	return out->len != 0 ? TCP_V_DATA : 0;
}

/* A segment is acceptable if it touches the window; up to what was last acknowledged, its ACK still
 * counts. */
static int acceptable(const struct fp_flow *f, const struct tcp_cold *c, int64_t off, int64_t end)
{
	if (off > (int64_t)rx_window(f))
		return 0;
	return end >= -(int64_t)min_u64(f->rx_nxt - c->rx_acked, INT32_MAX);
}

uint32_t tcp_rx(struct fp_flow *f, struct fp_flow_cold *cold, struct tcp_env *env,
	const struct seg *s, struct tcp_rx_out *out)
{
	struct tcp_cold *c = &cold->tcp;
	int32_t off = (int32_t)(s->seq - rx_seq(f, f->rx_nxt));
	int64_t end = (int64_t)off + s->len + ((s->flags & TCP_FIN) != 0);
	uint32_t v;
	int ok;

	memset(out, 0, sizeof(*out));
	c->segs_in += s->nsegs;
	if (s->len != 0) {
		c->data_segs_in += s->nsegs;
		c->got_age = (uint32_t)(env->now_ns >> TCP_AGE_SHIFT);
	}
	if (s->flags & (TCP_RST | TCP_SYN))
		return rst_or_syn(f, env, s, off);
	if (!(s->flags & TCP_ACK)) {
		env->cnt->drop_no_ack++;
		return 0;
	}
	if (f->flags & FP_F_TS && !timestamp_ok(f, c, env, s))
		return timestamp_bad(f, env, s);
	if (!acceptable(f, c, off, end))
		return out_of_window(f, c, env, s, off, end);
	v = tcp_ack_in(f, c, env, s, &ok);
	if (!ok) {
		env->cnt->drop_bad_ack++;
		return challenge(f, env);
	}
	if (f->flags & FP_F_TS)
		timestamp_note(f, c, env, s);
	c->heard_ns = env->now_ns;
	c->ka_probes = 0;
	if (__builtin_expect((s->flags & TCP_URG) | (f->flags & FP_F_RX_URG), 0))
		v |= tcp_urgent_in(f, c, s);
	if (s->len != 0 || s->flags & TCP_FIN)
		v |= choose_data(f, c, env, s, off, out);
	else if (off == -1)
		v |= ack_now(
			f); /* keepalive or window probe of a peer whose last ACK is still good */
	if (f->flags & FP_F_ACK_NOW)
		v |= TCP_V_ACK;
	return v | state_news(f, c, env);
}

/*
 * RFC 5681 section 4.2 and design.md section 3 item 6: at once at the start of a connection and for
 * every second full-sized segment, else within 40 ms.
 */
static void schedule_ack(
	struct fp_flow *f, struct tcp_cold *c, const struct tcp_env *env, const struct seg *s)
{
	uint32_t nsegs = s->nsegs;

	f->ack_segs = (uint8_t)min_u32(f->ack_segs + nsegs, UINT8_MAX);
	if (nsegs == 1)
		c->rcv_mss = max_u32(c->rcv_mss, s->len);
	else if (s->len > (uint64_t)c->rcv_mss * nsegs)
		c->rcv_mss = (s->len + nsegs - 1) / nsegs;
	if (c->quickack != 0) {
		c->quickack = (uint8_t)(c->quickack - min_u32(nsegs, c->quickack));
		f->flags |= FP_F_ACK_NOW;
	}
	if (f->rx_nxt - c->rx_acked >= 2ull * c->rcv_mss)
		f->flags |= FP_F_ACK_NOW;
	if (f->flags & (FP_F_ACK_NOW | FP_F_ACK_LATER))
		return;
	f->flags |= FP_F_ACK_LATER;
	c->ack_at_us = env->now_us + TCP_DELACK_US;
}

static uint32_t in_order(struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env,
	const struct seg *s, uint64_t end)
{
	uint64_t before = f->rx_nxt;
	uint32_t v = 0;

	f->rx_nxt = end;
	if (c->nooo != 0) {
		f->rx_nxt = tcp_ooo_absorb(c, end);
		f->flags |= FP_F_ACK_NOW; /* a hole is filled, or more than one is left */
	}
	c->bytes_in += f->rx_nxt - before;
	env->cnt->rx_payload += f->rx_nxt - before;
	if (f->rx_nxt != before) {
		v |= TCP_V_HEAD;
		schedule_ack(f, c, env, s);
	}
	if (f->rx_nxt == c->rx_fin_pos) {
		f->rx_nxt++;
		f->flags |= FP_F_RX_FIN | FP_F_ACK_NOW;
		v |= TCP_V_RX_FIN;
	}
	return v;
}

uint32_t tcp_rx_stored(struct fp_flow *f, struct fp_flow_cold *cold, struct tcp_env *env,
	const struct seg *s, const struct tcp_rx_out *out, uint32_t stored)
{
	struct tcp_cold *c = &cold->tcp;
	uint64_t end = out->pos + min_u32(stored, out->len);
	uint32_t v = 0;

	if (stored >= out->len && out->fin)
		c->rx_fin_pos = end;
	if (out->pos == f->rx_nxt) {
		v = in_order(f, c, env, s, end);
	} else if (out->pos > f->rx_nxt) {
		f->flags |= FP_F_ACK_NOW;
		if (end > out->pos) {
			env->cnt->rx_ooo++;
			c->ooo_in++;
			if (!tcp_ooo_insert(c, out->pos, end))
				env->cnt->drop_ooo_full++;
		}
	}
	if (f->flags & FP_F_ACK_NOW)
		v |= TCP_V_ACK;
	return v | state_news(f, c, env);
}

uint32_t tcp_app(struct fp_flow *f, struct fp_flow_cold *cold, struct tcp_env *env,
	uint64_t rx_read, uint64_t tx_head)
{
	struct tcp_cold *c = &cold->tcp;
	uint64_t data_end = f->rx_nxt - ((f->flags & FP_F_RX_FIN) != 0);
	uint32_t v = 0;

	if (rx_read > f->rx_read && rx_read <= data_end) {
		f->rx_read = rx_read;
		if (f->flags & FP_F_RX_URG)
			tcp_urgent_passed(f, c);
		tcp_window_tune(f, c, env);
		if (tcp_window_update_due(f, c))
			v |= ack_now(f);
	}
	/* Once the FIN is out the stream has its end. */
	if (tx_head > f->tx_head && f->tx_nxt <= f->tx_head)
		f->tx_head = tx_head;
	if (tx_end(f) > f->tx_nxt)
		v |= TCP_V_TX;
	return v | state_news(f, c, env);
}
