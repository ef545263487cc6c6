/*
 * loop.c - congestion control's rounds: a core's feedback in, new parameters out.
 * Only flows with feedback are visited: it comes at most once per round trip or 100 us (cc.h).
 * Owner: slow path thread.
 */
#include "cc/loop.h"

#include "flowctl.h"
#include "sp.h"

void sp_cc_feedback(struct sp *sp, struct sp_conn *c, const struct cc_feedback *fb)
{
	struct cc_params p = c->cc_params;

	if (c->state != SP_CONN_OPEN)
		return;
	cc_algos[c->cc]->update(&c->cc_state, fb, &p);
	c->cc_params = p;
	sp->cnt.cc_rounds++;
	sp_flow_cc(sp, c, &p);
}

void sp_cc_switch(struct sp *sp, struct sp_conn *c, uint32_t cc)
{
	c->cc = cc;
	cc_algos[cc]->init(&c->cc_state, c->mss, sp->now_ns, &c->cc_params);
	c->cc_params.cwnd = c->cc_params.ssthresh = 0; /* the core's own stay */
	sp_flow_cc(sp, c, &c->cc_params);
}
