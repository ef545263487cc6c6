/*
 * tx.c - what to send next: lost data first, then probes, then new data as far as the windows
 * allow.
 *
 * Nothing beyond tx_head is ever named. A partial segment waits for Nagle (Minshall's form: only
 * while another partial one is unacknowledged), TCP_CORK, and the silly window rule. Where segments
 * can leave together, a little room in the window is left to grow instead of being used for a short
 * frame.
 *
 * Owner: the flow's core. RFC 9293 3.8.6.2.1 and 3.7.4, draft-minshall-nagle, 6675 section 5, 8985
 * section 7.3.
 */
#include <string.h>
#include "priv.h"

static void describe(
	const struct fp_flow *f, struct tcp_tx *t, uint64_t pos, uint32_t len, int fin, int retrans)
{
	t->pos = pos;
	t->len = len;
	t->flags = TCP_ACK;
	if (len != 0 && pos + len == f->tx_head)
		t->flags |= TCP_PSH;
	if (fin)
		t->flags |= TCP_FIN;
	t->retrans = (uint8_t)retrans;
}

/* Data bytes in [start, end): all but the FIN. */
static uint32_t data_len(const struct fp_flow *f, uint64_t start, uint64_t end)
{
	end = min_u64(end, f->tx_head);
	return end > start ? (uint32_t)(end - start) : 0;
}

/* Whole segments, unless that is nothing. */
static uint32_t whole_segments(const struct fp_flow *f, uint32_t len)
{
	return len > f->mss ? len - len % f->mss : len;
}

static uint32_t cwnd_room(const struct fp_flow *f, const struct tcp_cold *c)
{
	uint32_t pipe = tx_pipe(f, c);

	return f->cwnd > pipe ? f->cwnd - pipe : 0;
}

static uint64_t wnd_room(const struct fp_flow *f)
{
	uint64_t edge = f->tx_una + f->snd_wnd;

	return edge > f->tx_nxt ? edge - f->tx_nxt : 0;
}

/*
 * Part of a node goes out only if the node can be cut. Without a pool node, one segment per round
 * trip at SND.UNA is still sent unmarked, so that the flow moves until there are nodes again.
 */
static int may_cut(
	const struct fp_flow *f, const struct tcp_cold *c, const struct tcp_env *env, uint64_t pos)
{
	if (env->sent_used < env->nsent)
		return 1;
	return pos == f->tx_una && c->blind_pos != pos;
}

static int tx_lost(struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env, uint32_t max_len,
	struct tcp_tx *t)
{
	uint32_t i = tcp_sent_first_lost(c, env), room = cwnd_room(f, c), all, len;
	const struct tcp_sent *n;
	int fin;

	if (i == 0)
		return 0;
	n = sent_at(env, i);
	all = data_len(f, n->start, sent_end(n));
	if (room < min_u32(n->len, f->mss)) {
		c->limited |= 1;
		return 0;
	}
	len = min_u32(all, min_u32(max_len, room));
	if (len < all)
		len = whole_segments(f, len);
	fin = len == all && sent_end(n) > f->tx_head;
	if (len + (uint32_t)fin < n->len && !may_cut(f, c, env, n->start))
		return 0;
	describe(f, t, n->start, len, fin, 1);
	return 1;
}

/* RFC 8985 section 7.3: new data if the peer's window takes it, else the last segment again. */
static int tx_tlp(struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env, uint32_t max_len,
	struct tcp_tx *t)
{
	uint32_t seg = min_u32(max_len, f->mss), len;
	const struct tcp_sent *n;
	uint64_t start, end;

	if (c->sent_tail == 0 || f->flags & (FP_F_RECOVERY | FP_F_LOSS)) {
		c->probe = TCP_PROBE_NONE;
		return 0;
	}
	t->probe = 1;
	len = data_len(f, f->tx_nxt, f->tx_head);
	len = (uint32_t)min_u64(min_u32(len, seg), wnd_room(f));
	if (len != 0 && tcp_sent_room(env)) {
		describe(f, t, f->tx_nxt, len, 0, 0);
		return 1;
	}
	n = sent_at(env, c->sent_tail);
	end = sent_end(n);
	len = min_u32(data_len(f, n->start, end), seg);
	start = min_u64(end, f->tx_head) - len;
	if (start > n->start && env->sent_used >= env->nsent) {
		c->probe = TCP_PROBE_NONE;
		t->probe = 0;
		return 0;
	}
	describe(f, t, start, len, end > f->tx_head, 1);
	return 1;
}

static int tx_probe(struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env, uint32_t max_len,
	struct tcp_tx *t)
{
	if (c->probe == TCP_PROBE_TLP)
		return tx_tlp(f, c, env, max_len, t);
	/* The urgent pointer travels in an acceptable segment, which nobody answers; after it, an old
	 * sequence number that every receiver must answer (RFC 9293 3.10.7.4, 3.8.4). */
	describe(f, t, c->probe == TCP_PROBE_URGENT ? f->tx_una : f->tx_una - 1, 0, 0, 0);
	t->probe = 1;
	return 1;
}

/* Whether the partial segment at the end of the stream has to wait. */
static int hold_partial(struct fp_flow *f, struct tcp_cold *c, const struct tcp_env *env)
{
	if (f->flags & (FP_F_TX_SHUT | FP_F_TX_URG) || c->push)
		return 0;
	if (f->flags & FP_F_CORK) {
		if (!(c->run & TCP_RUN_CORK)) {
			c->run |= TCP_RUN_CORK;
			c->cork_at_us = env->now_us + TCP_CORK_US;
		}
		return 1;
	}
	return !(f->flags & FP_F_NODELAY) && c->tx_sml > f->tx_una;
}

/* A short burst now would cost a long one in a moment: more ACKs are on their way. */
static int worth_waiting(const struct fp_flow *f, const struct tcp_cold *c, uint32_t len)
{
	return tx_pipe(f, c) != 0 && len < min_u32(f->cwnd, f->snd_wnd) / 4 && f->srtt_us != 0 &&
	       !(f->flags & (FP_F_RECOVERY | FP_F_LOSS));
}

/* How much of `avail` (not 0) may go now. */
static uint32_t new_len(struct fp_flow *f, struct tcp_cold *c, const struct tcp_env *env,
	uint64_t avail, uint32_t max_len)
{
	uint32_t want = (uint32_t)min_u64(avail, max_len), room = cwnd_room(f, c), len = want, tail;
	uint64_t usable = wnd_room(f);

	if (room < len) {
		c->limited |= 1;
		len = tx_pipe(f, c) == 0 ? max_u32(room, min_u32(want, f->mss)) : room;
	}
	len = (uint32_t)min_u64(len, usable);
	if (len == avail) {
		tail = len < f->mss ? len : len % f->mss;
		return tail != 0 && hold_partial(f, c, env) ? len - tail : len;
	}
	if (len >= f->mss) {
		len = whole_segments(f, len);
		return len < want && worth_waiting(f, c, len) ? 0 : len;
	}
	if (len == max_len || (len == usable && (c->push || len >= max_u32(c->max_snd_wnd / 2, 1))))
		return len;
	return 0;
}

static int tx_new(struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env, uint32_t max_len,
	struct tcp_tx *t)
{
	uint64_t avail;
	uint32_t len = 0;

	if (tx_end(f) <= f->tx_nxt)
		return 0;
	avail = f->tx_head - f->tx_nxt;
	if (avail != 0 && tcp_sent_room(env)) {
		tcp_cwnd_idle(f, c, env);
		len = new_len(f, c, env, avail, max_len);
	}
	if (len == avail && tcp_sent_room(env)) {
		describe(f, t, f->tx_nxt, len, (f->flags & FP_F_TX_SHUT) != 0, 0);
		return 1;
	}
	if (len == 0) {
		if (f->tx_una == f->tx_nxt && !(c->run & TCP_RUN_CORK))
			tcp_persist_arm(f, c, env);
		return 0;
	}
	describe(f, t, f->tx_nxt, len, 0, 0);
	return 1;
}

int tcp_tx_next(struct fp_flow *f, struct fp_flow_cold *cold, struct tcp_env *env, uint32_t max_len,
	struct tcp_tx *t)
{
	struct tcp_cold *c = &cold->tcp;

	memset(t, 0, sizeof(*t));
	if (max_len == 0 || (f->flags & FP_F_PACED && pace_kbps(c) == 0))
		return 0;
	max_len = whole_segments(f, min_u32(max_len, WIRE_GSO_SEGS * f->mss));
	if (tcp_urgent_mode(f, c))
		max_len = min_u32(max_len, f->mss); /* a device does not adjust the pointer */
	if (c->lost_bytes != 0) {
		if (c->frto == FRTO_NEW && tx_new(f, c, env, max_len, t))
			return 1;
		return tx_lost(f, c, env, max_len, t) || tx_new(f, c, env, max_len, t);
	}
	if (c->probe != TCP_PROBE_NONE && tx_probe(f, c, env, max_len, t))
		return 1;
	return tx_new(f, c, env, max_len, t);
}

static void sent_new(struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env,
	const struct tcp_tx *t, uint64_t end)
{
	if (f->tx_una == f->tx_nxt) {
		c->progress_ns = env->now_ns;
		c->rack_valid = 0;
	}
	tcp_sent_append(f, c, env, f->tx_nxt, (uint32_t)(end - f->tx_nxt));
	f->tx_nxt = end;
	if (t->len % f->mss != 0)
		c->tx_sml = t->pos + t->len;
	c->push = 0;
	c->run &= (uint8_t)~TCP_RUN_CORK;
	if (c->timer == TCP_TIMER_PERSIST) {
		c->timer = TCP_TIMER_NONE;
		c->backoff = 0;
	}
	c->max_flight = max_u32(c->max_flight, tx_pipe(f, c));
	if (!(c->run & TCP_RUN_RTO))
		tcp_rto_start(c, env);
	tcp_tlp_arm(f, c, env);
}

static uint32_t segments(const struct fp_flow *f, uint32_t len)
{
	return len > f->mss ? (len + f->mss - 1u) / f->mss : 1;
}

static void sent_again(struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env,
	const struct tcp_tx *t, uint64_t end)
{
	uint32_t n = segments(f, t->len);

	tcp_sent_again(f, c, env, t->pos, (uint32_t)(end - t->pos));
	/* The oldest data has a full timeout again, or a long round trip would time out during
	 * recovery. */
	if (t->pos == f->tx_una)
		tcp_rto_start(c, env);
	c->retrans += n;
	env->cnt->tx_retrans += n;
}

void tcp_tx_sent(
	struct fp_flow *f, struct fp_flow_cold *cold, struct tcp_env *env, const struct tcp_tx *t)
{
	struct tcp_cold *c = &cold->tcp;
	uint64_t end = t->pos + t->len + ((t->flags & TCP_FIN) != 0);
	uint32_t nsegs = segments(f, t->len);

	c->segs_out += nsegs;
	if (t->len != 0) {
		c->data_segs_out += nsegs;
		c->sent_age = (uint32_t)(env->now_ns >> TCP_AGE_SHIFT);
	}
	if (end == t->pos) {
		c->probe = c->probe == TCP_PROBE_URGENT ? TCP_PROBE_WINDOW : TCP_PROBE_NONE;
		return;
	}
	if (t->retrans)
		sent_again(f, c, env, t, end);
	else if (t->pos == f->tx_nxt)
		sent_new(f, c, env, t, end);
	if (t->probe) {
		c->probe = TCP_PROBE_NONE;
		c->tlp_end = f->tx_nxt;
		c->tlp_retrans = t->retrans;
		tcp_rto_start(c, env);
		env->cnt->tlp++;
	}
	if (f->flags & FP_F_RECOVERY)
		c->prr_out += t->len;
	c->bytes_out += t->len;
	c->last_tx_us = env->now_us;
	env->cnt->tx_payload += t->len;
}
