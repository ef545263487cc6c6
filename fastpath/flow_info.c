/*
 * flow_info.c - a snapshot of a flow for tasctl and TCP_INFO, taken while its core goes on: each value is whole,
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

enum { CA_OPEN, CA_DISORDER, CA_CWR, CA_RECOVERY, CA_LOSS };

static uint8_t ca_state(const struct tcp_cold *t, uint32_t flags, uint64_t tx_una)
{
	if (flags & FP_F_LOSS)
		return CA_LOSS;
	if (flags & FP_F_RECOVERY)
		return CA_RECOVERY;
	if (tas_load(&t->cwr_end) > tx_una)
		return CA_CWR;
	return tas_load(&t->sacked_bytes) != 0 || tas_load(&t->dupacks) != 0 ? CA_DISORDER
									     : CA_OPEN;
}

static uint32_t min32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static void outstanding(
	const struct fp_flow *f, const struct tcp_cold *t, uint32_t flags, struct fp_flow_info *out)
{
	uint64_t una = tas_load(&f->tx_una), nxt = tas_load(&f->tx_nxt),
		 head = tas_load(&f->tx_head);

	out->unacked = nxt > una ? (uint32_t)(nxt - una) : 0;
	out->notsent = head > nxt ? (uint32_t)(head - nxt) : 0;
	out->sacked = tas_load(&t->sacked_bytes);
	out->lost = tas_load(&t->lost_bytes);
	if (flags & FP_F_LOSS)
		out->resent = out->inflight;
	else if (flags & FP_F_RECOVERY)
		out->resent = min32(tas_load(&t->prr_out), out->inflight);
	out->ca_state = ca_state(t, flags, una);
	out->backoff = tas_load(&t->backoff);
	out->probes = (uint8_t)(tas_load(&t->probes_out) + tas_load(&t->ka_probes));
	out->app_limited = tas_load(&t->limited) == 0;
	out->delivered = tas_load(&t->delivered);
	nxt = nxt < head ? nxt : head;
	out->bytes_resent = out->bytes_out > nxt ? out->bytes_out - nxt : 0;
}

static uint32_t age_ms(uint64_t now_ns, uint32_t then)
{
	uint32_t age = (uint32_t)(now_ns >> TCP_AGE_SHIFT) - then;

	return age > INT32_MAX ? 0 : (uint32_t)(((uint64_t)age << TCP_AGE_SHIFT) / 1000000u);
}

static void receiving(const struct fp_flow *f, const struct tcp_cold *t, struct fp_flow_info *out)
{
	uint64_t now_ns = fp_now_ns(), heard_ns = tas_load(&t->heard_ns);
	uint32_t nxt = tas_load(&f->irs1) + (uint32_t)tas_load(&f->rx_nxt);
	int32_t wnd = (int32_t)(tas_load(&f->rx_adv) - nxt);

	out->rcv_wnd = wnd > 0 ? (uint32_t)wnd : 0;
	out->rcv_mss = tas_load(&t->rcv_mss);
	out->min_rtt_us = tas_load(&t->min_rtt_us);
	out->data_segs_in = tas_load(&t->data_segs_in);
	out->data_segs_out = tas_load(&t->data_segs_out);
	out->rate_kbps = tas_load(&t->rate_kbps);
	out->sent_ms = age_ms(now_ns, tas_load(&t->sent_age));
	out->got_ms = age_ms(now_ns, tas_load(&t->got_age));
	out->heard_ms = now_ns > heard_ns ? (uint32_t)((now_ns - heard_ns) / 1000000u) : 0;
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
	outstanding(f, &c->tcp, flags, out);
	receiving(f, &c->tcp, out);
	/* The record may have changed hands meanwhile: ids are used again, generations are not. */
	return (tas_load_acq(&f->flags) & FP_F_USED) && tas_load(&f->gen) == gen ? 0 : -ENOENT;
}
