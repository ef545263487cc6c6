/*
 * tcp_info.c - TCP_INFO: the figures of a connection, as the daemon reads them (TAS_CMD_INFO), in Linux's units.
 *
 * State and positions are the slot's, the rest is the flow's. The structure is as long as the running kernel's:
 * what it has and we do not know is 0. Owner: any thread. tcp(7), include/uapi/linux/tcp.h.
 */
#include <linux/tcp.h>
#include "lt.h"

/* States of tcp(7), as include/net/tcp_states.h numbers them. */
enum {
	ESTABLISHED = 1,
	SYN_SENT,
	SYN_RECV,
	FIN_WAIT1,
	FIN_WAIT2,
	TIME_WAIT,
	CLOSE,
	CLOSE_WAIT,
	LAST_ACK
};

#define DELACK_US   40000u
#define REORDERING  3u /* RFC 5681: the duplicate ACKs that RACK replaces */
#define SSTHRESH_NO 0x7fffffffu

/* What kernels after ours have added to the end. */
struct longest {
	struct tcp_info ti;
	uint32_t rcv_wnd, rehash;
	uint8_t more[256];
};

static uint8_t tcp_state(struct lt_desc *d)
{
	uint32_t state;

	if (lt_flags(d) & LT_D_RECONNECT)
		return CLOSE;
	if (!lt_conn_bound(d))
		return lt_flags(d) & LT_D_CONNECTING ? SYN_SENT : ESTABLISHED;
	state = tas_load_acq(&d->s->state);
	if ((state & TAS_SOCK_ERROR) || (lt_flags(d) & LT_D_RECONNECT))
		return CLOSE;
	if (state & TAS_SOCK_RX_FIN)
		return lt_flags(d) & LT_D_SHUT_WR ? LAST_ACK : CLOSE_WAIT;
	if (lt_flags(d) & LT_D_SHUT_WR)
		return state & TAS_SOCK_TX_FIN ? FIN_WAIT2 : FIN_WAIT1;
	return ESTABLISHED;
}

int lt_conn_ask(struct lt_desc *d, struct tas_conn_info *out)
{
	struct tas_msg m = {.type = TAS_CMD_INFO};
	int r = lt_opts_exchange(d, &m);

	if (r >= 0)
		memcpy(out, (uint8_t *)&m + TAS_INFO_AT, sizeof(*out));
	return r < 0 ? r : 0;
}

static uint32_t segs(uint32_t bytes, uint32_t mss)
{
	return mss != 0 ? (uint32_t)(((uint64_t)bytes + mss - 1) / mss) : 0;
}

static uint64_t bytes_per_s(uint32_t kbps)
{
	return kbps == UINT32_MAX ? UINT64_MAX : (uint64_t)kbps * 125;
}

static void segments(const struct tas_conn_info *in, struct tcp_info *ti)
{
	uint32_t mss = in->snd_mss;

	ti->tcpi_unacked = in->syn ? in->unacked : segs(in->unacked, mss);
	ti->tcpi_sacked = segs(in->sacked, mss);
	ti->tcpi_lost = segs(in->lost, mss);
	ti->tcpi_retrans = segs(in->resent, mss);
	ti->tcpi_snd_cwnd = mss != 0 ? in->cwnd / mss : 0;
	ti->tcpi_snd_ssthresh =
		in->ssthresh >= SSTHRESH_NO || mss == 0 ? SSTHRESH_NO : in->ssthresh / mss;
	ti->tcpi_delivered = segs(in->delivered, mss);
	ti->tcpi_total_retrans = in->segs_resent;
	ti->tcpi_segs_out = in->segs_out;
	ti->tcpi_segs_in = in->segs_in;
	ti->tcpi_data_segs_out = in->data_segs_out;
	ti->tcpi_data_segs_in = in->data_segs_in;
	ti->tcpi_rcv_ooopack = in->segs_ooo;
}

static void times(const struct tas_conn_info *in, struct tcp_info *ti)
{
	ti->tcpi_rto = in->rto_us;
	ti->tcpi_ato = DELACK_US;
	ti->tcpi_rtt = in->rtt_us;
	ti->tcpi_rttvar = in->rttvar_us;
	ti->tcpi_min_rtt = in->min_rtt_us;
	ti->tcpi_rcv_rtt = in->rtt_us;
	ti->tcpi_last_data_sent = in->sent_ms;
	ti->tcpi_last_data_recv = in->got_ms;
	ti->tcpi_last_ack_recv = in->heard_ms;
}

static void fill(const struct lt_desc *d, const struct tas_conn_info *in, struct longest *out)
{
	struct tcp_info *ti = &out->ti;
	uint32_t max = d->opts.wire.pace_kbps;

	segments(in, ti);
	times(in, ti);
	ti->tcpi_ca_state = in->ca_state;
	ti->tcpi_retransmits = in->retransmits;
	ti->tcpi_backoff = in->retransmits;
	ti->tcpi_probes = in->probes;
	ti->tcpi_options = in->options;
	ti->tcpi_snd_wscale = in->snd_wscale & 0xfu;
	ti->tcpi_rcv_wscale = in->rcv_wscale & 0xfu;
	ti->tcpi_delivery_rate_app_limited = in->app_limited != 0;
	ti->tcpi_snd_mss = in->snd_mss;
	ti->tcpi_rcv_mss = in->rcv_mss;
	ti->tcpi_advmss = in->adv_mss;
	ti->tcpi_pmtu = in->pmtu;
	ti->tcpi_reordering = REORDERING;
	ti->tcpi_rcv_ssthresh = in->rcv_buf;
	ti->tcpi_rcv_space = in->rcv_buf;
	ti->tcpi_pacing_rate = bytes_per_s(in->pace_kbps);
	ti->tcpi_max_pacing_rate = bytes_per_s(max != 0 ? max : UINT32_MAX);
	ti->tcpi_delivery_rate = bytes_per_s(in->rate_kbps);
	ti->tcpi_bytes_sent = in->bytes_sent;
	ti->tcpi_bytes_retrans = in->bytes_resent;
	ti->tcpi_notsent_bytes = in->notsent;
	ti->tcpi_snd_wnd = in->snd_wnd;
	out->rcv_wnd = in->rcv_wnd;
}

/* The kernel's answer about its idle handle says how long the structure is. */
static size_t length(int fd)
{
	struct longest ti;
	unsigned len = sizeof(ti);

	return lt_sys_getsockopt(fd, IPPROTO_TCP, TCP_INFO, &ti, &len) == 0 && len <= sizeof(ti)
		       ? len
		       : sizeof(ti.ti);
}

int lt_tcp_info(struct lt_desc *d, int fd, void *val, socklen_t *len)
{
	struct tas_conn_info in;
	struct longest out;
	uint64_t acked = 0, received = 0;

	/* Before the rest, so that no figure contradicts what has been acknowledged by then. */
	if (lt_conn_bound(d)) {
		acked = tas_load_acq(&d->s->tx_una);
		received = tas_load_acq(&d->s->rx_head);
	}
	memset(&out, 0, sizeof(out));
	if (!(lt_flags(d) & LT_D_RECONNECT) && lt_conn_ask(d, &in) == 0)
		fill(d, &in, &out);
	out.ti.tcpi_state = tcp_state(d);
	out.ti.tcpi_bytes_acked = acked;
	out.ti.tcpi_bytes_received = received;
	return lt_opt_out(val, len, &out, length(fd));
}
