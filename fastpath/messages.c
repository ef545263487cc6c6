/*
 * messages.c - what the slow path asks of this core. Owner: the core.
 */
#include "core.h"
#include "tas/seq.h"

static int is_here(const struct fp_core *core, const struct sp_msg *m)
{
	const struct fp_flow *f;

	if (m->id == FP_FLOW_NONE || m->id > core->fp->max_flow)
		return 0;
	f = &core->fp->flows[m->id];
	return (f->flags & FP_F_USED) && f->gen == m->gen && f->core == core->id;
}

/* The flow a message is about, unless it is gone or another by now. */
static struct fp_flow *flow_of(struct fp_core *core, const struct sp_msg *m)
{
	if (is_here(core, m))
		return &core->fp->flows[m->id];
	core->cnt.drop_msg_flow++;
	return NULL;
}

static void abort_flow(struct fp_core *core, const struct sp_msg *m)
{
	if (flow_of(core, m))
		fp_flow_close(
			core, m->id, FP_CLOSE_ABORTED, m->u.abort.error, m->u.abort.send_rst != 0);
}

static void set_opts(struct fp_core *core, const struct sp_msg *m)
{
	struct fp_flow *f = flow_of(core, m);
	struct fp_flow_cold *c = &core->fp->cold[m->id];

	if (!f)
		return;
	tcp_opts_set(f, c, &core->env, &m->u.opts);
	c->tos = (uint8_t)m->u.opts.tos;
	c->ttl = m->u.opts.ttl != 0 ? m->u.opts.ttl : FP_TTL;
	fp_gso_set(core->fp, f, c); /* TCP_MAXSEG */
	fp_pace_set(f, c);
	fp_slot_stats(core->fp, m->id);
	fp_flow_limit(core, m->id);
	fp_news(core, m->id, fp_tx_space_wanted(core, m->id));
	fp_tx_list(core, m->id); /* it may send faster, or has to be asked when next */
}

static void set_cc(struct fp_core *core, const struct sp_msg *m)
{
	struct fp_flow *f = flow_of(core, m);
	struct fp_flow_cold *c = &core->fp->cold[m->id];

	if (!f)
		return;
	tcp_cc_set(f, c, &m->u.cc);
	fp_pace_set(f, c);
	fp_flow_limit(core, m->id);
	fp_tx_list(core, m->id); /* the window may have opened, the rate may have left 0 */
}

/* RFC 5927 section 7: an ICMP message counts only if it quotes what is in flight. */
static int quotes_flight(const struct fp_flow *f, const struct sp_msg *m)
{
	uint32_t una = f->iss1 + (uint32_t)f->tx_una, nxt = f->iss1 + (uint32_t)f->tx_nxt;

	return !m->u.quoted.has_seq ||
	       (seq_geq(m->u.quoted.seq, una) && seq_lt(m->u.quoted.seq, nxt));
}

static void set_pmtu(struct fp_core *core, const struct sp_msg *m)
{
	struct fp_flow *f = flow_of(core, m);
	struct fp_flow_cold *c = &core->fp->cold[m->id];
	uint32_t head = WIRE_IP4_HDR + WIRE_TCP_HDR;

	if (!f || (f->flags & FP_F_LOOP) || !quotes_flight(f, m))
		return;
	if (f->flags & FP_F_TS)
		head += 12; /* RFC 7323 appendix A: the option and two NOPs */
	if (m->u.pmtu < head + 48 || m->u.pmtu - head >= f->mss)
		return;
	tcp_mss_set(f, c, &core->env, (uint16_t)(m->u.pmtu - head));
	fp_gso_set(core->fp, f, c);
	fp_pace_set(f, c);
	fp_slot_stats(core->fp, m->id);
	fp_tx_list(core, m->id);
}

static void move_flow(struct fp_core *core, const struct sp_msg *m)
{
	if (!flow_of(core, m))
		return;
	if (m->type == SP_FLOW_FINISH)
		fp_flow_finish(core, m->id);
	else
		fp_flow_move(core, m->id, m->u.grant.app, m->u.grant.slot, m->u.grant.from);
}

static void take_frame(struct fp_core *core, const struct sp_msg *m)
{
	struct nic_rxpkt pkt = {.data = (uint8_t *)(uintptr_t)m->u.frame.data,
		.len = m->u.frame.len,
		.gso_size = (uint16_t)m->u.frame.gso_size,
		.flags = NIC_RX_CSUM_OK |
			 NIC_RX_OWN}; /* checked by the slow path, as its addresses were */

	core->source = FP_SOURCE_SP;
	fp_rx_frames(core, &pkt, 1);
	free(pkt.data);
}

static void handle(struct fp_core *core, const struct sp_msg *m)
{
	switch (m->type) {
	case SP_FLOW_INSTALL:
		fp_flow_install(core, m->id, &m->u.install);
		break;
	case SP_FLOW_ABORT:
		abort_flow(core, m);
		break;
	case SP_FLOW_OPTS:
		set_opts(core, m);
		break;
	case SP_CC_SET:
		set_cc(core, m);
		break;
	case SP_FRAME:
		take_frame(core, m);
		break;
	case SP_APP_ADD:
		fp_app_add(core, m->id, (struct fp_app_core *)(uintptr_t)m->u.words[0]);
		break;
	case SP_APP_DEL:
		fp_app_del(core, m->id);
		break;
	case SP_PMTU:
		set_pmtu(core, m);
		break;
	case SP_GROUP_MOVE:
	case SP_GROUP_DRAIN:
		fp_group_message(core, m);
		break;
	case SP_FLOW_MOVE:
	case SP_FLOW_FINISH:
		move_flow(core, m);
		break;
	default:
		break;
	}
}

/* A flow that leaves a slot may take 10 MiB with it: all others are delayed by no more than one. */
static int must_wait(const struct fp_core *core, const struct sp_msg *m)
{
	return m->type == SP_FLOW_MOVE && core->copied >= FP_BUDGET_COPY;
}

uint32_t fp_msgs_poll(struct fp_core *core)
{
	const struct sp_msg *next;
	struct sp_msg m;
	uint32_t n;

	for (n = 0; n < FP_BUDGET_MSGS; n++) {
		next = spsc_peek(&core->msgs);
		if (!next || must_wait(core, next))
			break;
		m = *next; /* a take may poll again while this one is handled */
		spsc_drop(&core->msgs);
		handle(core, &m);
	}
	return n;
}
