/*
 * cubic.c - CUBIC: the window grows along W(t) = C (t - K)^3 + W_max, t since the last congestion
 * event.
 *
 * The fast path adds `growth` bytes per window acknowledged; one window is acknowledged per round
 * trip, so growth = W(t + RTT) - cwnd follows the curve (RFC 9438 section 4.2: the same target, per
 * ACK). Loss is answered at once in the fast path with beta; this file learns of it from the events
 * and starts a new epoch. Slow start ends early by HyStart++ when round-trip times grow: its
 * conservative phase is growth = cwnd / 4.
 *
 * Owner: slow path thread (pure functions). RFC 9438 (sections in the text), RFC 9406 (HyStart++).
 */
#include <string.h>
#include "cc/common.h"

#define CUBIC_BETA_Q10	717u /* RFC 9438 4.6: 0.7 */
#define CUBIC_ALPHA_Q10 542u /* RFC 9438 4.3: 3 (1 - beta) / (1 + beta) = 0.529 */
#define CUBIC_FAST_Q10	870u /* RFC 9438 4.7: (1 + beta) / 2 */
/* C = 0.4 MSS/s^3 (RFC 9438 5.1) as a fraction, with us^3 per s^3. */
#define CUBIC_C_NUM 2
#define CUBIC_C_DEN ((__int128)5000000000000000000)
#define CUBIC_T_MAX_US                                                                             \
	(1ll << 35) /* 9.5 hours: the curve is far above CC_CWND_MAX; keeps t^3 in 128 bits */

/* RFC 9406 4.3 */
#define HS_MIN_RTT_THRESH_US 4000u
#define HS_MAX_RTT_THRESH_US 16000u
#define HS_RTT_DIVISOR	     8u
#define HS_CSS_DIVISOR	     4u
#define HS_CSS_ROUNDS	     5u

/* What a congestion event replaces; kept twice so that a spurious one can be undone (RFC 9438 4.9).
 */
struct cubic_epoch {
	uint64_t start_ns; /* t = 0; meaningful when running */
	uint64_t k_us;
	uint32_t w_max;	     /* bytes, 0 = no congestion event yet */
	uint32_t cwnd_prior; /* bytes, window before the last reduction */
	uint32_t w_est;	     /* bytes, what Reno would have (4.3) */
	uint16_t running;    /* congestion avoidance has begun */
	uint16_t after_rto;  /* the next epoch has K = 0 (4.8) */
};

struct cubic {
	struct cubic_epoch now, before;
	uint64_t cut_ns;
	uint32_t mss;
	uint32_t round_rtt_us; /* of the last round, 0 = none */
	uint32_t css_base_us;  /* HyStart++: RTT when the conservative phase began */
	uint32_t css_rounds;   /* rounds left of it, 0 = not in it */
} __attribute__((may_alias));

_Static_assert(sizeof(struct cubic) <= sizeof(struct cc_state), "fits the state");

/* Largest y with y^3 <= x; x < 2^96. Digit by digit in base 2. */
static uint64_t cube_root(unsigned __int128 x)
{
	uint64_t y = 0;
	int shift;

	for (shift = 93; shift >= 0; shift -= 3) {
		unsigned __int128 step;

		y <<= 1;
		step = ((unsigned __int128)3 * y * (y + 1) + 1) << shift;
		if (x >= step) {
			x -= step;
			y++;
		}
	}
	return y;
}

/* K: time the curve takes from `cwnd` back up to `w_max` (RFC 9438 figure 2), us. */
static uint64_t time_to_w_max(uint32_t w_max, uint32_t cwnd, uint32_t mss)
{
	unsigned __int128 missing;

	if (w_max <= cwnd)
		return 0;
	missing = (unsigned __int128)(w_max - cwnd) * (unsigned __int128)CUBIC_C_DEN;
	return cube_root(missing / (CUBIC_C_NUM * mss));
}

/* W_cubic(t), bytes (RFC 9438 figure 1). */
static uint32_t w_cubic(const struct cubic_epoch *e, uint64_t t_us, uint32_t mss)
{
	int64_t d = (int64_t)cc_min64(t_us, CUBIC_T_MAX_US) - (int64_t)e->k_us;
	__int128 w = (__int128)d * d * d * CUBIC_C_NUM * mss / CUBIC_C_DEN + e->w_max;

	if (w < (__int128)mss)
		return mss;
	return w > (__int128)CC_CWND_MAX ? CC_CWND_MAX : (uint32_t)w;
}

/* Enters congestion avoidance with window `cwnd`. */
static void epoch_start(struct cubic_epoch *e, uint32_t cwnd, uint32_t mss, uint64_t now_ns)
{
	if (e->w_max == 0 || e->after_rto)
		e->w_max = cwnd;
	e->k_us = time_to_w_max(e->w_max, cwnd, mss);
	e->w_est = cwnd;
	e->start_ns = now_ns;
	e->running = 1;
	e->after_rto = 0;
}

/* A congestion event at window `before`: W_max with fast convergence (RFC 9438 4.7). */
static void congestion(struct cubic *c, uint32_t before)
{
	struct cubic_epoch *e = &c->now;

	c->before = *e;
	e->w_max = before < e->w_max ? cc_scale(before, CUBIC_FAST_Q10, 2 * c->mss) : before;
	e->cwnd_prior = before;
	e->running = 0;
	c->css_rounds = 0;
}

/* The Reno-friendly window follows the bytes acknowledged (RFC 9438 4.3 figure 4). */
static uint32_t reno_step(const struct cubic_epoch *e, uint32_t mss)
{
	return e->w_est >= e->cwnd_prior ? mss : (uint32_t)((uint64_t)mss * CUBIC_ALPHA_Q10 / 1024);
}

static void reno_friendly(struct cubic_epoch *e, const struct cc_report *r)
{
	uint64_t add = reno_step(e, r->mss) * cc_min64(r->acked, 1024ull * r->cwnd) / r->cwnd;

	e->w_est = (uint32_t)cc_min64(e->w_est + add, CC_CWND_MAX);
}

/* Windows that one report covers: reports come at most every 100 us, a round trip may take 10. */
static uint32_t windows_a_report(const struct cc_report *r)
{
	return (uint32_t)cc_min64(cc_max64(r->acked / r->cwnd, 1), 1024);
}

/*
 * Bytes to grow per window so that the curve, or Reno if it is above, is met a round trip from now,
 * or when the next report comes if that is later.
 */
static uint32_t growth(const struct cubic *c, const struct cc_report *r)
{
	const struct cubic_epoch *e = &c->now;
	uint32_t n = windows_a_report(r);
	uint64_t ahead_us = n == 1 ? r->srtt_us : cc_max64(r->srtt_us, r->interval_ns / 1000);
	uint64_t t_us = (r->now_ns - e->start_ns) / 1000 + ahead_us;
	uint64_t target = w_cubic(e, t_us, r->mss);
	uint64_t most = r->cwnd + r->cwnd / 2; /* RFC 9438 4.2: target at most 1.5 cwnd */

	target = cc_max64(target, e->w_est + (uint64_t)n * reno_step(e, r->mss));
	target = cc_min64(target, most);
	return target > r->cwnd ? (uint32_t)(target - r->cwnd) / n : 0;
}

static void avoidance(struct cubic *c, const struct cc_report *r, struct cc_params *out)
{
	struct cubic_epoch *e = &c->now;

	if (!e->running || r->now_ns < e->start_ns)
		epoch_start(e, r->cwnd, r->mss, r->now_ns);
	else if (r->events & CC_EV_APP_LIMITED)
		/* 4.2: t excludes times when the window was not used. */
		e->start_ns = cc_min64(e->start_ns + r->interval_ns, r->now_ns);
	else
		reno_friendly(e, r);
	out->growth = growth(c, r);
}

/* True when this round's RTT says that a queue builds (RFC 9406 4.2). */
static int rtt_grew(uint32_t base_us, uint32_t rtt_us)
{
	uint32_t thresh = base_us / HS_RTT_DIVISOR;

	if (thresh < HS_MIN_RTT_THRESH_US)
		thresh = HS_MIN_RTT_THRESH_US;
	if (thresh > HS_MAX_RTT_THRESH_US)
		thresh = HS_MAX_RTT_THRESH_US;
	return base_us != 0 && rtt_us >= base_us + thresh;
}

/* Slow start: watch round-trip times; on growth, go on conservatively below. */
static void slow_start(struct cubic *c, const struct cc_report *r, struct cc_params *out)
{
	c->now.running = 0;
	out->growth = r->mss;
	if (rtt_grew(c->round_rtt_us, r->rtt_us)) {
		c->css_base_us = c->round_rtt_us;
		c->css_rounds = HS_CSS_ROUNDS;
		out->ssthresh = r->cwnd;
		out->growth = r->cwnd / HS_CSS_DIVISOR;
	}
	if (r->rtt_us != 0)
		c->round_rtt_us = r->rtt_us;
}

/* Conservative slow start: back to slow start if the RTT fell again, else congestion avoidance
 * after 5 rounds. */
static void conservative(struct cubic *c, const struct cc_report *r, struct cc_params *out)
{
	out->growth = r->cwnd / HS_CSS_DIVISOR;
	if (r->rtt_us != 0 && r->rtt_us < c->css_base_us) {
		c->css_rounds = 0;
		c->round_rtt_us = r->rtt_us;
		out->ssthresh = CC_SSTHRESH_INF;
		return;
	}
	if (--c->css_rounds == 0)
		avoidance(c, r, out);
}

/* What the fast path has done since the last report, and marks, which wait for us. */
static void events(struct cubic *c, const struct cc_report *r, struct cc_params *out)
{
	uint32_t before = r->ssthresh;

	/* The fast path set ssthresh = beta * window before the event: that window is W_max (RFC
	 * 9438 4.6). */
	if (before < CC_CWND_MAX / 2)
		before = (uint32_t)((uint64_t)before * 1024 / CUBIC_BETA_Q10);
	if (before < r->cwnd)
		before = r->cwnd;
	if (cc_marks_call(r, &c->cut_ns)) {
		congestion(c, r->cwnd);
		out->cwnd = out->ssthresh = cc_scale(r->cwnd, CUBIC_BETA_Q10, 2 * r->mss);
		return;
	}
	if (r->events & (CC_EV_RECOVERY | CC_EV_RTO))
		congestion(c, before);
	if (r->events & CC_EV_RTO)
		c->now.after_rto = 1;
	if (r->events & CC_EV_UNDO)
		c->now = c->before;
}

static void cubic_init(struct cc_state *s, uint32_t mss, uint64_t now_ns, struct cc_params *out)
{
	struct cubic *c = (struct cubic *)s;

	(void)now_ns;
	memset(s, 0, sizeof(*s));
	c->mss = cc_mss(mss);
	cc_params_initial(mss, CUBIC_BETA_Q10, out);
}

static void cubic_update(struct cc_state *s, const struct cc_feedback *fb, struct cc_params *out)
{
	struct cubic *c = (struct cubic *)s;
	struct cc_report r;

	cc_report_read(fb, c->mss, &r);
	c->mss = r.mss;
	memset(out, 0, sizeof(*out));
	out->beta_q10 = CUBIC_BETA_Q10;
	events(c, &r, out);
	if (out->cwnd != 0) { /* just reduced for marks: congestion avoidance from there */
		r.cwnd = out->cwnd;
		avoidance(c, &r, out);
	} else if (c->css_rounds != 0) {
		conservative(c, &r, out);
	} else if (r.cwnd < r.ssthresh) {
		slow_start(c, &r, out);
	} else {
		avoidance(c, &r, out);
	}
}

const struct cc_algo cc_cubic = {"cubic", cubic_init, cubic_update};
