/*
 * rx.c - a burst of frames: parse, find the flow, merge, TCP, store, verdict.
 *
 * nic -> parse -> look up -> merge -> tcp_rx -> chunks -> one publication and one ACK per flow
 * (notify.c, tx.c) Frames for the slow path leave by exception.c, frames of another core's group by
 * forward.c. Owner: the core. Design: docs/architecture.md "Receive, one burst".
 */
#include <stddef.h>
#include "core.h"

#define IP_PROTO_AT	 (WIRE_ETH_HDR + 9)
#define PROTO_TCP	 6u
#define ICMP_UNREACHABLE 3u

#define CHAIN 64u /* places to find the previous segment of the same flow in a burst */

struct burst {
	uint32_t count;
	struct seg seg[NIC_BURST];
	const struct nic_rxpkt *pkt[NIC_BURST];
	uint64_t hash[NIC_BURST];
	uint32_t group[NIC_BURST], flow[NIC_BURST];
	uint8_t next[NIC_BURST]; /* 1 + next segment of the same flow, 0 = none */
	uint8_t done[NIC_BURST];
};

/* Counter of each reason wire_parse gives. */
static uint64_t *drop_counter(struct fp_core *core, enum wire_kind kind)
{
	static const size_t at[] = {
		[WIRE_DROP_SHORT] = offsetof(struct tas_fp_counters, drop_short),
		[WIRE_DROP_ETHERTYPE] = offsetof(struct tas_fp_counters, drop_ethertype),
		[WIRE_DROP_IP_HEADER] = offsetof(struct tas_fp_counters, drop_ip_header),
		[WIRE_DROP_IP_CHECKSUM] = offsetof(struct tas_fp_counters, drop_ip_checksum),
		[WIRE_DROP_IP_FRAGMENT] = offsetof(struct tas_fp_counters, drop_ip_fragment),
		[WIRE_DROP_IP_OPTIONS] = offsetof(struct tas_fp_counters, drop_ip_options),
		[WIRE_DROP_IP_PROTO] = offsetof(struct tas_fp_counters, drop_ip_proto),
		[WIRE_DROP_TCP_HEADER] = offsetof(struct tas_fp_counters, drop_tcp_header),
		[WIRE_DROP_TCP_CHECKSUM] = offsetof(struct tas_fp_counters, drop_tcp_checksum),
		[WIRE_DROP_TCP_FLAGS] = offsetof(struct tas_fp_counters, drop_tcp_flags),
		[WIRE_DROP_GSO] = offsetof(struct tas_fp_counters, drop_gso),
	};

	return (uint64_t *)((char *)&core->cnt + at[kind]);
}

int fp_addr_served(const struct fp *fp, const uint8_t addr[16])
{
	uint32_t i;

	for (i = 0; i < fp->conf.naddrs; i++)
		if (memcmp(fp->conf.addrs[i], addr, 16) == 0)
			return 1;
	return 0;
}

static int mac_is_ours(const struct fp *fp, const uint8_t *frame)
{
	return memcmp(frame, fp->caps->mac, 6) == 0;
}

/* Not for tas: the kernel's, if it is to have such, what came to this host, and not from ourselves. */
static void rest(struct fp_core *core, const struct nic_rxpkt *pkt, uint64_t *counter)
{
	if (core->fp->conf.to_kernel && !(pkt->flags & NIC_RX_OWN) &&
		(mac_is_ours(core->fp, pkt->data) || wire_eth_is_group(pkt->data)))
		fp_to_kernel(core, pkt);
	else
		(*counter)++;
}

/* A fragment of TCP would have the kernel answer for what is tas's once it is whole. */
static int kernel_may_want(const struct nic_rxpkt *pkt, enum wire_kind kind)
{
	return kind == WIRE_DROP_ETHERTYPE || kind == WIRE_DROP_IP_PROTO ||
	       (kind == WIRE_DROP_IP_FRAGMENT && pkt->data[IP_PROTO_AT] != PROTO_TCP);
}

static void refused(struct fp_core *core, const struct nic_rxpkt *pkt, enum wire_kind kind)
{
	if (kernel_may_want(pkt, kind))
		rest(core, pkt, drop_counter(core, kind));
	else
		(*drop_counter(core, kind))++;
}

/* Where the kernel answers, only errors may be about tas. Our own slow path's are looked at here. */
static int icmp_is_ours(const struct fp_core *core, const struct nic_rxpkt *pkt)
{
	uint8_t daddr[16];
	uint32_t v4, ihl = (uint32_t)(pkt->data[WIRE_ETH_HDR] & 15) * 4;

	memcpy(&v4, pkt->data + WIRE_ETH_HDR + 16, 4);
	tas_addr_from_v4(daddr, v4);
	if (!mac_is_ours(core->fp, pkt->data) || !fp_addr_served(core->fp, daddr))
		return 0;
	return !core->fp->conf.to_kernel || pkt->len <= WIRE_ETH_HDR + ihl ||
	       pkt->data[WIRE_ETH_HDR + ihl] == ICMP_UNREACHABLE;
}

/* ARP and ICMP go to the slow path if they are meant for us: ARP also when broadcast. */
static void neigh_frame(struct fp_core *core, const struct nic_rxpkt *pkt, enum wire_kind kind)
{
	int ours = kind == WIRE_ICMP
			   ? icmp_is_ours(core, pkt)
			   : mac_is_ours(core->fp, pkt->data) || wire_eth_is_group(pkt->data);

	if (ours)
		fp_exception(core, FP_EXC_NEIGH, pkt);
	else
		rest(core, pkt, &core->cnt.drop_not_for_us);
}

void fp_rx_forward(struct fp_core *core, uint32_t to, const struct nic_rxpkt *pkt)
{
	if (!fp_forward_put(&core->fp->cores[to].from[core->id], pkt)) {
		core->cnt.drop_forward++;
		return;
	}
	if (to == core->id)
		return;
	core->cnt.rx_forwarded++;
	fp_core_wake(&core->fp->cores[to]);
}

/* Parses one frame; what remains in the burst is TCP of one of this core's groups. */
static void parse(struct fp_core *core, const struct nic_rxpkt *pkt, struct burst *b)
{
	struct fp *fp = core->fp;
	uint32_t i = b->count;
	struct seg *s = &b->seg[i];
	const struct tas_tuple *t = &s->tuple;
	enum wire_kind kind =
		wire_parse(pkt->data, pkt->len, pkt->gso_size, pkt->flags & NIC_RX_CSUM_OK, s);

	if (kind == WIRE_ARP || kind == WIRE_ICMP) {
		neigh_frame(core, pkt, kind);
		return;
	}
	if (kind != WIRE_TCP) {
		refused(core, pkt, kind);
		return;
	}
	if (!mac_is_ours(fp, pkt->data)) {
		core->cnt.drop_not_for_us++;
		return;
	}
	b->group[i] = nic_group(fp->nic, t->laddr, t->raddr, t->lport, t->rport, pkt->hash);
	if (core->route[b->group[i]] != core->id && !fp_group_elsewhere(core, b->group[i], pkt))
		return;
	b->hash[i] = fp_table_hash(&fp->table, t);
	fp_table_prefetch(&fp->table, b->group[i], b->hash[i]);
	b->pkt[i] = pkt;
	b->next[i] = b->done[i] = 0;
	b->count++;
}

/* Of no flow: an answer to something, or a wish for something new, or the kernel's. */
static void unknown(struct fp_core *core, const struct nic_rxpkt *pkt, const struct seg *s)
{
	int answer = (s->flags & (TCP_ACK | TCP_RST)) != 0;

	if (!fp_addr_served(core->fp, s->tuple.laddr))
		rest(core, pkt, &core->cnt.drop_not_for_us);
	else if (core->fp->conf.to_kernel && !(pkt->flags & NIC_RX_OWN) &&
		 !fp_port_is_ours(core->fp, s->tuple.lport))
		fp_to_kernel(core, pkt);
	else
		fp_exception(core, answer ? FP_EXC_SEGMENT : FP_EXC_SYN, pkt);
}

/* Before any record is read: all of them on their way. */
static void prefetch_flows(const struct fp *fp, const struct burst *b)
{
	uint32_t i, id;

	for (i = 0; i < b->count; i++) {
		id = fp_table_guess(&fp->table, b->group[i], b->hash[i]);
		if (id != FP_FLOW_NONE)
			fp_flow_prefetch(fp, id);
	}
}

/* A connection with ourselves has nothing to expect from the port: RFC 1122 3.2.1.3. */
static int is_forged(const struct fp *fp, uint32_t id, const struct nic_rxpkt *pkt)
{
	return (fp->flows[id].flags & FP_F_LOOP) && !(pkt->flags & NIC_RX_OWN);
}

/* Looks all segments up and chains those of one flow. */
static void look_up(struct fp_core *core, struct burst *b)
{
	struct fp *fp = core->fp;
	uint8_t last[CHAIN] = {0};
	uint32_t i;

	for (i = 0; i < b->count; i++) {
		uint32_t id = fp_table_find(
			&fp->table, fp->flows, fp->cold, b->group[i], b->hash[i], &b->seg[i].tuple);
		uint8_t *l = &last[id % CHAIN];

		b->flow[i] = id;
		if (id == FP_FLOW_NONE) {
			unknown(core, b->pkt[i], &b->seg[i]);
			continue;
		}
		if (is_forged(fp, id, b->pkt[i])) {
			core->cnt.drop_forged++;
			b->flow[i] = FP_FLOW_NONE;
			continue;
		}
		if (*l && b->flow[*l - 1] == id)
			b->next[*l - 1] = (uint8_t)(i + 1);
		*l = (uint8_t)(i + 1);
	}
}

/* May `n` continue `s`? Equal flags apart from PSH, equal ECN, consecutive, both with data and no
 * SACK. */
static int mergeable(const struct seg *s, const struct seg *n)
{
	return n->len != 0 && s->len != 0 && n->seq == s->seq + s->len && n->ack == s->ack &&
	       ((n->flags ^ s->flags) & ~TCP_PSH) == 0 &&
	       !(n->flags & (TCP_SYN | TCP_FIN | TCP_RST | TCP_URG)) && n->ecn == s->ecn &&
	       n->has_ts == s->has_ts && n->ts_val == s->ts_val && n->ts_ecr == s->ts_ecr &&
	       n->nsack == 0 && s->nsack == 0 && n->nsegs + s->nsegs <= UINT16_MAX;
}

/* Merges what follows segment `first` of the same flow into it. */
static void merge(struct fp_core *core, struct burst *b, uint32_t first, struct fp_pieces *pieces)
{
	struct seg *s = &b->seg[first];
	uint32_t i;

	pieces->count = 1;
	pieces->iov[0] =
		(struct iovec){.iov_base = (void *)(uintptr_t)s->payload, .iov_len = s->len};
	if (core->fp->flows[b->flow[first]].flags & FP_F_RX_URG)
		return; /* the urgent byte is looked for in one piece */
	for (i = b->next[first]; i != 0; i = b->next[i - 1]) {
		const struct seg *n = &b->seg[i - 1];

		if (!mergeable(s, n))
			return;
		s->len += n->len;
		s->nsegs = (uint16_t)(s->nsegs + n->nsegs);
		s->flags |= n->flags;
		s->wnd = n->wnd;
		pieces->iov[pieces->count++] = (struct iovec){
			.iov_base = (void *)(uintptr_t)n->payload, .iov_len = n->len};
		b->done[i - 1] = 1;
		core->cnt.rx_merged++;
	}
}

/* Stores what tcp_rx asked for; returns the verdict of tcp_rx_stored. */
static uint32_t store(struct fp_core *core, uint32_t id, const struct seg *s,
	const struct tcp_rx_out *out, const struct fp_pieces *pieces)
{
	struct fp_flow *f = &core->fp->flows[id];
	uint32_t skip = out->len ? (uint32_t)(out->data - s->payload) : 0, stored = out->len;

	if (!fp_rxlist_store(core, id, out->pos, pieces, skip, out->len)) {
		if (f->app == FP_APP_NONE)
			core->cnt.drop_early++;
		else
			core->cnt.drop_no_chunk++;
		fp_news(core, id, 1);
		stored = 0;
	}
	return tcp_rx_stored(f, &core->fp->cold[id], &core->env, s, out, stored);
}

/*
 * Whether the reader stands at the last urgent byte matters when another is announced, and it does not
 * ring for every read. 0 = the flow ended over what its program says.
 */
static int hear_reader(struct fp_core *core, uint32_t id)
{
	struct fp_flow *f = &core->fp->flows[id];
	struct fp_app *app = &core->fp->apps[f->app];

	if (f->app != FP_APP_NONE && !tas_load(&app->bad))
		fp_slot_rung(core, app, f->slot);
	return (f->flags & FP_F_USED) != 0;
}

static void segment(
	struct fp_core *core, uint32_t id, const struct seg *s, const struct fp_pieces *pieces)
{
	struct fp_flow *f = &core->fp->flows[id];
	struct tcp_rx_out out = {0};
	uint32_t v;

	if (__builtin_expect(s->flags & TCP_URG, 0) && !hear_reader(core, id))
		return;
	v = tcp_rx(f, &core->fp->cold[id], &core->env, s, &out);
	if ((v & TCP_V_DATA) || out.fin)
		v |= store(core, id, s, &out, pieces);
	if (fp_flow_verdict(core, id, v))
		fp_flow_rearm(core, id);
}

void fp_rx_frames(struct fp_core *core, const struct nic_rxpkt *pkts, uint32_t count)
{
	struct fp_pieces pieces;
	struct burst b;
	uint32_t i;

	b.count = 0;
	for (i = 0; i < count; i++)
		parse(core, &pkts[i], &b);
	prefetch_flows(core->fp, &b);
	look_up(core, &b);
	for (i = 0; i < b.count; i++) {
		if (b.flow[i] == FP_FLOW_NONE || b.done[i])
			continue;
		if (!(core->fp->flows[b.flow[i]].flags & FP_F_USED)) {
			unknown(core, b.pkt[i],
				&b.seg[i]); /* closed by an earlier segment of this burst */
			continue;
		}
		merge(core, &b, i, &pieces);
		segment(core, b.flow[i], &b.seg[i], &pieces);
	}
}

static void count_frames(struct fp_core *core, const struct nic_rxpkt *pkts, uint32_t n)
{
	uint32_t i;

	core->cnt.rx_bursts++;
	core->cnt.rx_packets += n;
	for (i = 0; i < n; i++)
		core->cnt.rx_bytes += pkts[i].len;
}

/* Frames with what the injector makes of them; twice a burst and one more at most. */
static void harmed_frames(struct fp_core *core, const struct nic_rxpkt *pkts, uint32_t n)
{
	uint32_t done, some;

	n = fp_fault_in(core->fault, pkts, n, &pkts, &core->cnt.faults);
	for (done = 0; done < n; done += some) {
		some = n - done < NIC_BURST ? n - done : NIC_BURST;
		fp_rx_frames(core, pkts + done, some);
	}
}

/* The core's one way in. */
static void take_in(struct fp_core *core, const struct nic_rxpkt *pkts, uint32_t n)
{
	core->source = core->id;
	if (__builtin_expect(core->fault != NULL, 0))
		harmed_frames(core, pkts, n);
	else
		fp_rx_frames(core, pkts, n);
}

/* While frames of moving groups are handed on or held, the port keeps what the ring has no room for.
 */
static uint32_t rx_max(const struct fp_core *core)
{
	uint32_t fits;

	if (!core->rx_for)
		return NIC_BURST;
	fits = fp_forward_fits(core->rx_for);
	return fits < NIC_BURST ? fits : NIC_BURST;
}

static uint32_t poll_nic(struct fp_core *core)
{
	struct nic_rxpkt pkts[NIC_BURST];
	struct fp_event ev = {.type = FP_EV_NIC_DEAD};
	int n, max = (int)rx_max(core);

	core->rx_empty = core->nic_dead;
	if (core->nic_dead || max == 0)
		return 0;
	n = nic_rx(core->fp->nic, core->id, pkts, max, &core->cnt.drop_rx_error);
	if (n < 0) {
		core->nic_dead = (uint32_t)fp_event_put(core, &ev);
		return 0;
	}
	core->rx_empty = n == 0;
	if (n == 0 && !(core->fault && fp_fault_holds(core->fault)))
		return 0;
	if (n > 0)
		count_frames(core, pkts, (uint32_t)n);
	take_in(core, pkts, (uint32_t)n);
	if (n > 0)
		nic_rx_done(core->fp->nic, core->id);
	return (uint32_t)n + (core->fault != NULL && fp_fault_holds(core->fault));
}

/* Frames, and notes between them. */
static void forwarded(struct fp_core *core, const struct nic_rxpkt *pkts, uint32_t n)
{
	uint32_t i, first = 0;

	for (i = 0; i < n; i++) {
		if (!(pkts[i].flags & FP_FORWARD_NOTE))
			continue;
		fp_rx_frames(core, pkts + first, i - first);
		fp_group_note(core, &pkts[i]);
		first = i + 1;
	}
	fp_rx_frames(core, pkts + first, n - first);
}

/* Some of what a core has put into its ring to us. */
static uint32_t poll_ring(struct fp_core *core, uint32_t from, uint32_t max)
{
	struct nic_rxpkt pkts[NIC_BURST];
	struct fp_forward *r = &core->from[from];
	uint64_t end;
	uint32_t n;

	if (max == 0 || !fp_forward_pending(r))
		return 0;
	n = fp_forward_peek(r, pkts, max, &end);
	core->source = from;
	forwarded(core, pkts, n);
	fp_forward_drop(r, end);
	return n;
}

void fp_rx_release(struct fp_core *core)
{
	while (poll_ring(core, core->id, NIC_BURST) != 0)
		;
}

/* Frames that other cores received for us (counted there). Those of third cores may have to be held.
 */
static uint32_t poll_forwarded(struct fp_core *core)
{
	uint32_t from, work = 0;

	for (from = 0; from < core->fp->ncores; from++) {
		if (from == core->id)
			continue;
		work += poll_ring(core, from, from == core->move.from ? NIC_BURST : rx_max(core));
	}
	return work;
}

/* What was sent to ourselves comes in as if the port had received it. */
static uint32_t poll_loop(struct fp_core *core, struct fp_forward *r)
{
	struct nic_rxpkt pkts[NIC_BURST];
	uint64_t end;
	uint32_t n;

	if (!fp_forward_pending(r))
		return 0;
	n = rx_max(core);
	if (n > fp_loop_max(core))
		n = fp_loop_max(core);
	n = fp_forward_peek(r, pkts, n, &end);
	core->cnt.loop_packets += n;
	if (n > 0)
		take_in(core, pkts, n);
	fp_forward_drop(r, end);
	return n;
}

uint32_t fp_rx_poll(struct fp_core *core)
{
	uint32_t work = poll_nic(core);

	work += poll_loop(core, &core->loop);
	work += poll_loop(core, &core->loop_sp);
	if (core->fp->ncores == 1)
		return work;
	work += poll_forwarded(core);
	fp_group_poll(core);
	return work;
}
