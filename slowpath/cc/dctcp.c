/*
 * dctcp.c - DCTCP on rates: the sending rate, not a window, is lowered in proportion to the
 * fraction of marked bytes.
 *
 * Once per control interval (two round trips): the rate is first held to 1.2 times what was really
 * sent; without congestion it doubles (slow start, until the first mark or loss) or gains a fixed
 * step; with marks it is cut by alpha / 2, alpha the moving average of the marked fraction; with
 * loss it is halved. The window only bounds bursts: twice the rate-delay product. A rate can fall
 * below one segment per round trip, which is what keeps many flows stable, but never to 0, which
 * would stop the flow.
 *
 * Owner: slow path thread (pure functions). Dissertation section 3.2.2; RFC 8257 section 3.3
 * (alpha, g = 1/16).
 */
#include <string.h>
#include "cc/common.h"

#define DCTCP_STEP_KBPS	   10000u   /* dissertation 3.2.2: additive increase, 10 Mbit/s */
#define DCTCP_MIN_KBPS	   1000u    /* floor: a segment in 12 ms */
#define DCTCP_ALPHA_ONE	   1048576u /* alpha and fractions in 2^-20 */
#define DCTCP_G_SHIFT	   4	    /* RFC 8257 4.2: g = 1/16 */
#define DCTCP_BETA_Q10	   512u	    /* loss: half (RFC 8257 3.5) */
#define DCTCP_INTERVAL_RTT 2u	    /* dissertation 3.2.2: control interval of 2 RTT */
#define DCTCP_FIRST_RTT_US 1000u    /* rate of the initial window before an RTT is known */

struct dctcp {
	uint64_t acked, marked, covered_ns; /* since the last decision */
	uint32_t alpha;			    /* 2^-20 */
	uint32_t rate_kbps;
	uint32_t mss;
	uint32_t events;
	uint32_t slow_start;
} __attribute__((may_alias));

_Static_assert(sizeof(struct dctcp) <= sizeof(struct cc_state), "fits the state");

static uint32_t bound_rate(uint64_t kbps)
{
	return (uint32_t)cc_min64(cc_max64(kbps, DCTCP_MIN_KBPS), CC_KBPS_MAX);
}

/* `bytes` per `us` in kbit/s. */
static uint64_t rate_of(uint64_t bytes, uint64_t us)
{
	return us == 0 ? 0 : bytes * 8000 / us;
}

/* Burst bound for the fast path: twice the rate-delay product, never below the initial window. */
static uint32_t burst_window(const struct dctcp *d, uint32_t srtt_us)
{
	uint64_t bytes = (uint64_t)d->rate_kbps * srtt_us / 8000 * 2;

	return (uint32_t)cc_min64(cc_max64(bytes, cc_initial_window(d->mss)), CC_CWND_MAX);
}

static void fill(const struct dctcp *d, uint32_t cwnd, struct cc_params *out)
{
	memset(out, 0, sizeof(*out));
	out->cwnd = cwnd;
	out->growth = d->mss;
	out->beta_q10 = DCTCP_BETA_Q10;
	out->pace_kbps = d->rate_kbps;
	out->flags = CC_PACED | CC_ECHO_EXACT;
}

static void dctcp_init(struct cc_state *s, uint32_t mss, uint64_t now_ns, struct cc_params *out)
{
	struct dctcp *d = (struct dctcp *)s;

	(void)now_ns;
	memset(s, 0, sizeof(*s));
	d->mss = cc_mss(mss);
	d->slow_start = 1;
	d->rate_kbps = bound_rate(rate_of(cc_initial_window(mss), DCTCP_FIRST_RTT_US));
	fill(d, cc_initial_window(mss), out);
	out->ssthresh = CC_SSTHRESH_INF;
}

static void average_marks(struct dctcp *d)
{
	uint64_t frac = d->acked == 0 ? 0 : d->marked * DCTCP_ALPHA_ONE / d->acked;
	int64_t step = ((int64_t)frac - (int64_t)d->alpha) / (1 << DCTCP_G_SHIFT);

	d->alpha = (uint32_t)((int64_t)d->alpha + step);
}

/*
 * No more than 1.2 times what was really sent, so that an idle flow does not save up; but the
 * initial window a round trip is always allowed, as it is to a new connection (RFC 6928 restart
 * window).
 */
static void hold_to_sent(struct dctcp *d, const struct cc_report *r)
{
	uint32_t rtt_us = r->srtt_us != 0 ? r->srtt_us : DCTCP_FIRST_RTT_US;
	uint64_t sent = cc_max64(r->rate_kbps, rate_of(d->acked, d->covered_ns / 1000));
	uint64_t least = rate_of(cc_initial_window(d->mss), rtt_us);
	uint64_t cap = cc_max64(sent * 6 / 5, least);

	if (d->rate_kbps > cap)
		d->rate_kbps = bound_rate(cap);
}

static void decide(struct dctcp *d, const struct cc_report *r)
{
	uint64_t rate;

	/* A loss can cut the interval too short to judge. */
	if (d->covered_ns >= r->srtt_us * 1000ull) {
		hold_to_sent(d, r);
		average_marks(d);
	}
	rate = d->rate_kbps;
	if (d->events & (CC_EV_RECOVERY | CC_EV_RTO)) {
		rate /= 2;
		d->slow_start = 0;
	} else if (d->marked != 0) {
		if (d->slow_start) /* alpha knows nothing yet: as for loss (RFC 8257 3.3: alpha
				      starts at 1) */
			d->alpha = DCTCP_ALPHA_ONE;
		rate -= rate * d->alpha / (2 * DCTCP_ALPHA_ONE);
		d->slow_start = 0;
	} else if (d->slow_start) {
		rate *= 2;
	} else {
		rate += DCTCP_STEP_KBPS;
	}
	d->rate_kbps = bound_rate(rate);
	d->acked = d->marked = d->covered_ns = 0;
	d->events = 0;
}

static void dctcp_update(struct cc_state *s, const struct cc_feedback *fb, struct cc_params *out)
{
	struct dctcp *d = (struct dctcp *)s;
	struct cc_report r;
	int reacting;

	cc_report_read(fb, d->mss, &r);
	d->mss = r.mss;
	d->acked = cc_min64(d->acked + r.acked, CC_CWND_MAX);
	d->marked = cc_min64(d->marked + r.marked, d->acked);
	d->covered_ns += r.interval_ns;
	d->events |= r.events;
	reacting = (r.events & (CC_EV_RECOVERY | CC_EV_RTO)) != 0;
	if (reacting || d->covered_ns >= (uint64_t)DCTCP_INTERVAL_RTT * r.srtt_us * 1000)
		decide(d, &r);
	/* While the fast path recovers from loss its own window holds. */
	fill(d, reacting ? 0 : burst_window(d, r.srtt_us), out);
}

const struct cc_algo cc_dctcp = {"dctcp", dctcp_init, dctcp_update};
