/*
 * flow_info.c - a snapshot of a flow for tasctl, taken while its core goes on: each value is whole,
 * together they may be some packets apart. Owner: slow path thread.
 */
#include <errno.h>
#include "core.h"

static uint32_t pace_of(uint32_t flags, const struct tcp_cold *t)
{
	uint32_t kbps = tas_load(&t->cc.flags) & CC_PACED ? tas_load(&t->cc.pace_kbps) : UINT32_MAX;
	uint32_t max = tas_load(&t->pace_max_kbps);

	if (!(flags & FP_F_PACED))
		return 0;
	return max != 0 && max < kbps ? max : kbps;
}

static void positions(const struct fp_flow *f, uint32_t flags, struct fp_flow_info *out)
{
	uint64_t rx_nxt = tas_load(&f->rx_nxt), rx_read = tas_load(&f->rx_read);
	uint64_t tx_head = tas_load(&f->tx_head), tx_una = tas_load(&f->tx_una);

	if (flags & FP_F_RX_FIN)
		rx_nxt--;
	out->rx_queue = rx_nxt > rx_read ? rx_nxt - rx_read : 0;
	out->tx_queue = tx_head > tx_una ? tx_head - tx_una : 0;
}

static void statistics(const struct tcp_cold *t, struct fp_flow_info *out)
{
	out->bytes_in = tas_load(&t->bytes_in);
	out->bytes_out = tas_load(&t->bytes_out);
	out->segs_in = tas_load(&t->segs_in);
	out->segs_out = tas_load(&t->segs_out);
	out->retrans = tas_load(&t->retrans);
	out->ooo_in = tas_load(&t->ooo_in);
	out->ssthresh = tas_load(&t->cc.ssthresh);
	out->rttvar_us = tas_load(&t->rttvar_us);
	out->rto_us = tas_load(&t->rto_us);
}

int fp_flow_info(struct fp *fp, uint32_t id, struct fp_flow_info *out)
{
	const struct fp_flow *f;
	const struct fp_flow_cold *c;
	uint32_t flags, gen;

	if (id == FP_FLOW_NONE || id > fp->max_flow)
		return -ENOENT;
	f = &fp->flows[id];
	c = &fp->cold[id];
	flags = tas_load_acq(&f->flags);
	gen = tas_load(&f->gen);
	if (!(flags & FP_F_USED))
		return -ENOENT;
	memset(out, 0, sizeof(*out));
	out->tuple = c->tuple;
	out->gen = gen;
	out->app = tas_load(&f->app);
	out->slot = tas_load(&f->slot);
	out->core = tas_load(&f->core);
	if (out->core == FP_CORE_MOVING)
		out->core = fp->group_core[tas_load(&c->group) % NIC_GROUPS];
	out->flags = flags;
	out->conn = tas_load(&c->conn);
	out->cwnd = tas_load(&f->cwnd);
	out->srtt_us = tas_load(&f->srtt_us) >> 3;
	out->snd_wnd = tas_load(&f->snd_wnd);
	out->inflight = tas_load(&f->inflight);
	out->mss = tas_load(&f->mss);
	out->rx_buf = tas_load(&f->rx_buf);
	out->pace_kbps = pace_of(flags, &c->tcp);
	out->opened_ns = tas_load(&c->opened_ns);
	positions(f, flags, out);
	statistics(&c->tcp, out);
	/* The record may have changed hands meanwhile: ids are used again, generations are not. */
	return (tas_load_acq(&f->flags) & FP_F_USED) && tas_load(&f->gen) == gen ? 0 : -ENOENT;
}
