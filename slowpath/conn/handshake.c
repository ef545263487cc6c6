/*
 * handshake.c - segments that no core knows: new connections, handshakes in progress, strays.
 *
 * The checks are those of RFC 9293 3.10.7.2 (LISTEN), 3.10.7.3 (SYN-SENT) and 3.10.7.4
 * (SYN-RECEIVED), in their order; what passes becomes an event of the state table in conn.c. RFC
 * 7323, 5961, 3168 6.1.1. Owner: slow path thread.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include "conn/cookie.h"
#include "conn/hash.h"
#include "conn/internal.h"
#include "flowctl.h"
#include "net/internal.h"
#include "tas/seq.h"
#include "tas/wire.h"

#define RCV_WND                                                                                    \
	65535u /* offered in a SYN, where it is never scaled: the fast path's first buffer */
#define WSCALE		  7
#define WSCALE_MAX	  14	/* RFC 7323 section 2.3 */
#define CLAMP_MIN	  1152u /* as Linux: half of the smallest receive buffer */
#define MSS_DEFAULT	  536u	/* RFC 9293 3.7.1 */
#define MSS_MIN		  88u	/* a smaller option is a way to make us send headers only */
#define TS_OPT_BYTES	  12u
#define SYN_RTO_NS	  1000000000ull
#define HALF_PER_LISTENER 128u /* at least; else the backlog */

/* ---- options ---- */

/* What the program bounds the window to, UINT32_MAX = nothing. */
static uint32_t window_limit(const struct sp_conn *c)
{
	uint32_t limit = c->opts.rcvbuf != 0 ? c->opts.rcvbuf : UINT32_MAX;
	uint32_t clamp = c->opts.window_clamp > CLAMP_MIN ? c->opts.window_clamp : CLAMP_MIN;

	return c->opts.window_clamp != 0 && clamp < limit ? clamp : limit;
}

static uint32_t initial_rcv_wnd(const struct sp_conn *c)
{
	uint32_t limit = window_limit(c);

	return limit < RCV_WND ? limit : RCV_WND;
}

/* The least that can express the whole window: SO_RCVBUF and TCP_WINDOW_CLAMP count until now (tcp(7)). */
static uint8_t wscale_of(const struct sp_conn *c)
{
	uint32_t limit = window_limit(c);
	uint8_t shift = 0;

	if (limit == UINT32_MAX)
		return WSCALE;
	while (shift < WSCALE_MAX && limit > (uint32_t)UINT16_MAX << shift)
		shift++;
	return shift;
}

void sp_conn_take_options(struct sp *sp, struct sp_conn *c, const struct seg *s)
{
	uint32_t offered = c->flags, mss = s->mss != 0 ? s->mss : MSS_DEFAULT;
	uint32_t own = sp_mtu_to(sp, c->tuple.raddr) - WIRE_IP4_HDR - WIRE_TCP_HDR;
	uint8_t wscale = c->rcv_wscale;

	c->irs = s->seq;
	c->flags &= ~(SP_CONN_TS | SP_CONN_SACK | SP_CONN_WSCALE | SP_CONN_ECN);
	if (s->has_ts && (offered & SP_CONN_TS)) {
		c->flags |= SP_CONN_TS;
		c->ts_recent = s->ts_val;
	}
	if (s->sack_ok && (offered & SP_CONN_SACK))
		c->flags |= SP_CONN_SACK;
	c->snd_wscale = c->rcv_wscale = 0;
	if (s->wscale != SEG_NO_WSCALE && (offered & SP_CONN_WSCALE)) {
		c->flags |= SP_CONN_WSCALE;
		c->snd_wscale = s->wscale <= WSCALE_MAX ? s->wscale : WSCALE_MAX;
		c->rcv_wscale = wscale;
	}
	if (offered & SP_CONN_ECN) {
		uint8_t ecn = s->flags & (TCP_ECE | TCP_CWR);

		if (s->flags & TCP_ACK ? ecn == TCP_ECE : ecn == (TCP_ECE | TCP_CWR))
			c->flags |= SP_CONN_ECN;
	}
	c->peer_mss = (uint16_t)mss;
	if (c->opts.maxseg != 0 && c->opts.maxseg < own)
		own = c->opts.maxseg;
	if (mss > own)
		mss = own;
	if (mss < MSS_MIN)
		mss = MSS_MIN;
	c->mss = (uint16_t)(c->flags & SP_CONN_TS ? mss - TS_OPT_BYTES : mss);
}

void sp_conn_offer_options(struct sp *sp, struct sp_conn *c)
{
	c->flags |= SP_CONN_TS | SP_CONN_SACK | SP_CONN_WSCALE;
	if (sp->conf.ecn != 0)
		c->flags |= SP_CONN_ECN;
	c->rcv_wnd = initial_rcv_wnd(c);
	c->rcv_wscale = wscale_of(c);
}

/* ---- the end of a handshake ---- */

uint32_t sp_conn_algorithm(const struct sp *sp, const struct tas_sockopts *opts)
{
	uint32_t i;

	for (i = 0; cc_algos[i] != NULL; i++) {
		if (opts->cc == i + 1)
			return i;
	}
	for (i = 0; cc_algos[i] != NULL; i++) {
		if (strcmp(cc_algos[i]->name, sp->conf.cc) == 0)
			return i;
	}
	return 0;
}

void sp_conn_establish(struct sp *sp, struct sp_conn *c)
{
	struct sp_app *app = sp_app_get(sp, c->app);

	sp_conn_timer_clear(sp, c);
	sp_half_open_remove(sp, c);
	sp_connect_done(sp, c);
	c->cc = sp_conn_algorithm(sp, &c->opts);
	cc_algos[c->cc]->init(&c->cc_state, c->mss, sp->now_ns, &c->cc_params);
	sp->cnt.conn_established++;
	sp->conns.nopen++;
	if (app != NULL && !(c->flags & SP_CONN_PASSIVE))
		app->connected++;
	sp_flow_install(sp, c);
}

/* ---- half-open connections ---- */

static void half_open_add(struct sp *sp, struct sp_conn *c, struct sp_listener *l)
{
	struct sp_conns *cs = &sp->conns;
	struct sp_conn *last = sp_arena_at(&cs->conns, cs->half_tail);

	sp_conn_list_add(sp, &l->half_head, &l->half_tail, c);
	c->lru_prev = cs->half_tail;
	c->lru_next = 0;
	if (last != NULL)
		last->lru_next = c->id;
	else
		cs->half_head = c->id;
	cs->half_tail = c->id;
	c->flags |= SP_CONN_HALF;
	l->nhalf++;
	cs->nhalf++;
}

void sp_half_open_remove(struct sp *sp, struct sp_conn *c)
{
	struct sp_conns *cs = &sp->conns;
	struct sp_conn *prev = sp_arena_at(&cs->conns, c->lru_prev);
	struct sp_conn *next = sp_arena_at(&cs->conns, c->lru_next);
	struct sp_listener *l = sp_listener_get(sp, c->listener);

	if (!(c->flags & SP_CONN_HALF))
		return;
	c->flags &= ~SP_CONN_HALF;
	sp_conn_list_del(sp, &l->half_head, &l->half_tail, c);
	l->nhalf--;
	if (prev != NULL)
		prev->lru_next = c->lru_next;
	else
		cs->half_head = c->lru_next;
	if (next != NULL)
		next->lru_prev = c->lru_prev;
	else
		cs->half_tail = c->lru_prev;
	c->lru_prev = c->lru_next = 0;
	cs->nhalf--;
}

void sp_half_open_drop_oldest(struct sp *sp, struct sp_listener *l)
{
	uint32_t id = l != NULL ? l->half_head : sp->conns.half_head;
	struct sp_conn *c = sp_conn_get(sp, id);

	if (c == NULL)
		return;
	sp->cnt.drop_half_open++;
	c->state = SP_CONN_FREE;
	sp_conn_release(sp, c);
}

static uint32_t half_open_limit(const struct sp_listener *l)
{
	return l->backlog > HALF_PER_LISTENER ? l->backlog : HALF_PER_LISTENER;
}

/* What a SYN makes of a record: all but its ISN and its places in lists. */
static void fill_passive(struct sp *sp, struct sp_conn *c, const struct sp_listener *l,
	const struct seg *syn, const uint8_t *frame)
{
	c->flags |= SP_CONN_PASSIVE | SP_CONN_PEERMAC;
	memcpy(c->peer_mac, wire_eth_src(frame), 6);
	c->listener = l->id;
	c->opts = l->opts;
	c->state = SP_CONN_SYN_RCVD;
	c->sent_ns = sp->now_ns;
	sp_conn_offer_options(sp, c);
	sp_conn_take_options(sp, c, syn);
}

/* ---- SYN cookies: cookie.h ---- */

/* Of a cookie: the listener's options may be others when its ACK comes. */
static void fill_cookie(struct sp *sp, struct sp_conn *c, const struct sp_listener *l,
	const struct seg *syn, const uint8_t *frame)
{
	fill_passive(sp, c, l, syn, frame);
	if (c->flags & SP_CONN_WSCALE)
		c->rcv_wscale = WSCALE;
}

static int cookies_recent(const struct sp *sp, const struct sp_listener *l)
{
	return l->syncookie_ns != 0 && sp->now_ns - l->syncookie_ns < SP_COOKIE_AGE_NS;
}

static uint32_t now_ms(const struct sp *sp)
{
	return (uint32_t)(sp->now_ns / 1000000);
}

/* Answers a SYN and keeps nothing of it. */
static void send_cookie(
	struct sp *sp, struct sp_listener *l, const struct seg *syn, const uint8_t *frame)
{
	static struct sp_log_limit limit;
	struct seg offered = *syn;
	struct sp_conn c;

	memset(&c, 0, sizeof(c));
	c.tuple = syn->tuple;
	c.ts_offset = sp_ts_offset(sp->conns.secret, &c.tuple);
	if (!syn->has_ts) { /* nowhere to keep them */
		offered.wscale = SEG_NO_WSCALE;
		offered.sack_ok = 0;
		offered.flags &= (uint8_t) ~(TCP_ECE | TCP_CWR);
	}
	fill_cookie(sp, &c, l, &offered, frame);
	c.iss = sp_cookie_make(sp->conns.secret, &c.tuple, syn->seq, c.peer_mss, sp->now_ns);
	c.ts_offset += sp_cookie_time(now_ms(sp), syn, (c.flags & SP_CONN_ECN) != 0) - now_ms(sp);
	if (!cookies_recent(sp, l) && sp_log_allow(&limit, sp->now_ns))
		sp_warn("conn",
			"too many half-open connections, answering with SYN cookies port=%u",
			ntohs(l->lport));
	l->syncookie_ns = sp->now_ns;
	sp->cnt.syn_cookies++;
	sp_emit_syn(sp, &c);
}

/* The SYN that an ACK of a cookie answers for; 0 = it is none of ours. */
static int recall_syn(const struct sp *sp, const struct seg *s, struct seg *syn)
{
	uint32_t offset = sp_ts_offset(sp->conns.secret, &s->tuple);

	*syn = *s;
	syn->flags = TCP_SYN;
	syn->seq = s->seq - 1;
	syn->wscale = SEG_NO_WSCALE;
	syn->mss = sp_cookie_check(sp->conns.secret, &s->tuple, syn->seq, s->ack - 1, sp->now_ns);
	if (s->has_ts)
		sp_cookie_options(s->ts_ecr - offset, syn);
	return syn->mss != 0;
}

/*
 * An ACK of no connection, for a listener that has sent cookies lately: the handshake's last, if it
 * acknowledges one. 1 = settled, 0 = a stray.
 */
static int cookie_open(struct sp *sp, struct sp_listener *l, const struct sp_conn_input *in)
{
	struct sp_conn *c;
	struct seg syn;

	if (!recall_syn(sp, in->seg, &syn)) {
		sp->cnt.drop_bad_cookie++;
		return 0;
	}
	c = sp_conn_new(sp, &syn.tuple);
	if (c == NULL) {
		sp->cnt.drop_no_conn_memory++;
		return 1;
	}
	fill_cookie(sp, c, l, &syn, in->frame);
	c->iss = in->seg->ack - 1;
	c->flags |= SP_CONN_RETRANS; /* when the SYN came is not known: no RTT sample */
	sp_conn_event(sp, c, SP_EV_ACK, in);
	if (c->state == SP_CONN_OPEN) {
		sp->cnt.conn_passive++;
	} else { /* no room just now: the peer's next segment says the same again */
		c->state = SP_CONN_FREE;
		sp_conn_release(sp, c);
	}
	return 1;
}

/* ---- a SYN for a listener ---- */

static int too_many_half_open(const struct sp *sp, const struct sp_listener *l)
{
	return l->nhalf >= half_open_limit(l) || sp->conns.nhalf >= sp->conns.half_max;
}

static void make_room(struct sp *sp, struct sp_listener *l)
{
	if (l->nhalf >= half_open_limit(l))
		sp_half_open_drop_oldest(sp, l);
	if (sp->conns.nhalf >= sp->conns.half_max)
		sp_half_open_drop_oldest(sp, NULL);
}

/* RFC 9293 3.10.7.2. A cookie cannot promise an ISN above min_iss (RFC 6191). */
static void passive_open(struct sp *sp, struct sp_listener *l, const struct seg *s,
	const uint8_t *frame, uint32_t min_iss)
{
	struct sp_conn *c;

	if (sp_accept_full(l)) {
		sp->cnt.drop_backlog_full++;
		l->dropped++;
		return;
	}
	if (sp->conf.tcp_syncookies && min_iss == 0 && too_many_half_open(sp, l)) {
		send_cookie(sp, l, s, frame);
		return;
	}
	make_room(sp, l);
	c = sp_conn_new(sp, &s->tuple);
	if (c == NULL) {
		sp->cnt.drop_no_conn_memory++;
		return;
	}
	if (min_iss != 0 && seq_lt(c->iss, min_iss))
		c->iss = min_iss;
	fill_passive(sp, c, l, s, frame);
	half_open_add(sp, c, l);
	sp_conn_timer_set(sp, c, sp->now_ns + SYN_RTO_NS);
	sp->cnt.conn_passive++;
	sp_emit_syn(sp, c);
}

/* ---- segments of a handshake in progress ---- */

/* RFC 9293 3.10.7.3. */
static void input_syn_sent(
	struct sp *sp, struct sp_conn *c, const struct seg *s, const struct sp_conn_input *in)
{
	if ((s->flags & TCP_ACK) && s->ack != c->iss + 1) {
		sp_emit_rst(sp, s, in->frame); /* not for an RST */
		return;
	}
	if (s->flags & TCP_RST) {
		if (s->flags & TCP_ACK)
			sp_conn_event(sp, c, SP_EV_RST, in);
		return;
	}
	if (!(s->flags & TCP_SYN))
		return;
	sp_conn_event(sp, c, s->flags & TCP_ACK ? SP_EV_SYN_ACK : SP_EV_SYN, in);
}

/* First check of 3.10.7.4: some byte of the segment lies in the window (of a SYN-ACK: not scaled).
 */
static int acceptable(const struct sp_conn *c, const struct seg *s)
{
	uint32_t nxt = c->irs + 1, end = nxt + c->rcv_wnd;
	uint32_t last = s->seq + s->len + ((s->flags & TCP_FIN) != 0);

	if (last == s->seq)
		return seq_leq(nxt, s->seq) && seq_leq(s->seq, end);
	return seq_lt(s->seq, end) && seq_lt(nxt, last);
}

static int paws_rejects(const struct sp_conn *c, const struct seg *s)
{
	return (c->flags & SP_CONN_TS) && s->has_ts && seq_lt(s->ts_val, c->ts_recent);
}

static void challenge(struct sp *sp, const struct sp_conn *c)
{
	if (sp_stray_allowed(sp))
		sp_emit_ack(sp, c);
}

/*
 * TCP_DEFER_ACCEPT: the ACK of our SYN-ACK is not enough until that has been sent so often again; then
 * the client's answer to it is, as in Linux.
 */
static int deferred(struct sp_conn *c, const struct seg *s)
{
	if (!(c->flags & SP_CONN_PASSIVE) || c->retries >= c->opts.defer || s->len != 0 ||
		(s->flags & TCP_FIN) || s->seq != c->irs + 1)
		return 0;
	c->flags |= SP_CONN_ACKED;
	return 1;
}

/* RFC 9293 3.10.7.4, with 5961 for RST and SYN. */
static void input_syn_rcvd(
	struct sp *sp, struct sp_conn *c, const struct seg *s, const struct sp_conn_input *in)
{
	if (s->flags & TCP_RST) {
		if (s->seq == c->irs + 1)
			sp_conn_event(sp, c, SP_EV_RST, in);
		else if (acceptable(c, s))
			challenge(sp, c);
		return;
	}
	if (s->flags & TCP_SYN) {
		if (s->seq != c->irs)
			challenge(sp, c);
		else if (!(s->flags & TCP_ACK))
			sp_conn_event(sp, c, SP_EV_SYN, in);
		else if (s->ack == c->iss + 1)
			sp_conn_event(sp, c, SP_EV_SYN_ACK, in);
		return;
	}
	if (!acceptable(c, s) || paws_rejects(c, s)) {
		challenge(sp, c);
		return;
	}
	if (!(s->flags & TCP_ACK))
		return;
	if (s->ack != c->iss + 1) {
		sp_emit_rst(sp, s, in->frame);
		return;
	}
	if (!deferred(c, s))
		sp_conn_event(sp, c, SP_EV_ACK, in);
}

/* ---- dispatch ---- */

/* On a port that the kernel has, too, it is the kernel that answers; but not to what we told ourselves. */
static void stray(struct sp *sp, const struct sp_conn_input *in)
{
	if (!sp_addr_is_ours(sp, in->seg->tuple.raddr) && sp_tap_give(sp, in->frame, in->frame_len))
		return;
	sp->cnt.drop_stray++;
	sp_emit_rst(sp, in->seg, in->frame);
}

static void input_unknown(struct sp *sp, const struct sp_conn_input *in)
{
	const struct seg *s = in->seg;
	struct sp_timewait *w = sp_tw_find(sp, &s->tuple);
	uint8_t kind = s->flags & (TCP_SYN | TCP_ACK | TCP_RST);
	uint32_t min_iss = 0;
	struct sp_listener *l;

	l = sp->apps.draining || (kind != TCP_SYN && kind != TCP_ACK)
		    ? NULL
		    : sp_listener_match(sp, &s->tuple);
	if (w != NULL && sp_tw_input(sp, w, s, in->frame, l != NULL, &min_iss))
		return;
	if (l != NULL && kind == TCP_ACK && cookies_recent(sp, l) && cookie_open(sp, l, in))
		return;
	if (l == NULL || kind == TCP_ACK)
		stray(sp, in);
	else if (s->tuple.rport == 0)
		sp->cnt.drop_syn_bad++;
	else if (sp_route_find(sp, s->tuple.raddr) == NULL)
		sp->cnt.drop_no_route++; /* our answer could go back, but nothing after it */
	else
		passive_open(sp, l, s, in->frame, min_iss);
}

void sp_tcp_input(
	struct sp *sp, const struct seg *s, const uint8_t *frame, uint32_t len, uint16_t gso_size)
{
	struct sp_conn *c = sp_conn_find(sp, &s->tuple);
	struct sp_conn_input in = {
		.seg = s, .frame = frame, .frame_len = len, .gso_size = gso_size};

	if (c == NULL)
		input_unknown(sp, &in);
	else if (c->state == SP_CONN_SYN_SENT)
		input_syn_sent(sp, c, s, &in);
	else if (c->state == SP_CONN_SYN_RCVD)
		input_syn_rcvd(sp, c, s, &in);
	else
		sp_conn_event(sp, c, SP_EV_SEGMENT, &in);
}
