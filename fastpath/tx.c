/*
 * tx.c - flows that may send, owed ACKs, and the batch of frames that leaves once per round.
 *
 * Payload is attached to frames as pieces of the program's chunks; the port reads it before nic_tx
 * returns. A flow sends a few frames at a time and goes to the end of the list, so that one large
 * sender does not delay the rest. Owner: the core.
 */
#include <endian.h>
#include <errno.h>
#include "core.h"

#define QUANTUM 4u /* frames of one flow in a row */
#define TX_RETRIES                                                                                 \
	3u /* a full device queue is asked again this often before frames are dropped   \
		       */
#define IP_AT	  WIRE_ETH_HDR
#define TCP_AT	  (WIRE_ETH_HDR + WIRE_IP4_HDR)
#define CSUM_AT	  16u /* checksum field in the TCP header */
#define PROTO_TCP 6u
#define ECT0	  2u
#define IP_MAX	  65535u
#define TCP_MAX	  60u /* largest TCP header */

void fp_tx_list(struct fp_core *core, uint32_t id)
{
	struct fp_flow *f = &core->fp->flows[id];
	struct fp_flow_cold *c = &core->fp->cold[id];

	if (f->flags & FP_F_TX_LISTED)
		return;
	f->flags |= FP_F_TX_LISTED;
	c->tx_list_next = FP_FLOW_NONE;
	c->tx_list_prev = core->tx_last;
	if (core->tx_last)
		core->fp->cold[core->tx_last].tx_list_next = id;
	else
		core->tx_first = id;
	core->tx_last = id;
}

void fp_tx_unlist(struct fp_core *core, uint32_t id)
{
	struct fp_flow *f = &core->fp->flows[id];
	struct fp_flow_cold *c = &core->fp->cold[id];

	if (!(f->flags & FP_F_TX_LISTED))
		return;
	f->flags &= ~FP_F_TX_LISTED;
	if (c->tx_list_prev)
		core->fp->cold[c->tx_list_prev].tx_list_next = c->tx_list_next;
	else
		core->tx_first = c->tx_list_next;
	if (c->tx_list_next)
		core->fp->cold[c->tx_list_next].tx_list_prev = c->tx_list_prev;
	else
		core->tx_last = c->tx_list_prev;
}

void fp_gso_set(const struct fp *fp, const struct fp_flow *f, struct fp_flow_cold *c)
{
	uint32_t max = IP_MAX - WIRE_IP4_HDR - TCP_MAX;

	int large = fp->caps->tso || (f->flags & FP_F_LOOP);

	if (!(f->flags & FP_F_LOOP) && max > fp->caps->tso_max)
		max = fp->caps->tso_max;
	if (max > (NIC_TX_IOV - 1) * TAS_CHUNK_BYTES)
		max = (NIC_TX_IOV - 1) * TAS_CHUNK_BYTES;
	c->gso_max = large && max > f->mss ? max - max % f->mss : f->mss;
}

static void count_tx(struct fp_core *core, const struct nic_txpkt *pkts, int count)
{
	int i;

	core->cnt.tx_packets += (uint32_t)count;
	for (i = 0; i < count; i++)
		core->cnt.tx_bytes += pkts[i].hdr_len + pkts[i].payload_len;
}

static void to_port(struct fp_core *core, const struct nic_txpkt *pkts, int total)
{
	uint32_t tries;
	int done = 0;

	for (tries = 0; done < total && tries < TX_RETRIES; tries++) {
		int n = nic_tx(core->fp->nic, core->id, pkts + done, total - done);

		if (n < 0) {
			core->cnt.drop_tx_error++; /* this frame; the next ones may do */
			done++;
			tries = 0;
			continue;
		}
		count_tx(core, pkts + done, n);
		done += n;
		if (n > 0)
			tries = 0;
	}
	core->cnt.drop_tx_full += (uint32_t)(total - done);
}

/* Frames to ourselves take their own way, the others go to the port in runs. */
static void part_ways(struct fp_core *core, const struct nic_txpkt *pkts, int total)
{
	int i, first = 0;

	for (i = 0; i < total; i++) {
		if (!pkts[i].own)
			continue;
		if (i > first)
			to_port(core, pkts + first, i - first);
		fp_loop_put(core, &pkts[i]);
		first = i + 1;
	}
	if (total > first)
		to_port(core, pkts + first, total - first);
}

void fp_tx_flush(struct fp_core *core)
{
	const struct nic_txpkt *pkts = core->tx;
	int total = (int)core->ntx;

	if (__builtin_expect(core->fault != NULL, 0)) /* the core's one way out */
		total = (int)fp_fault_out(core->fault, pkts, core->ntx, &pkts, &core->cnt.faults);
	if (core->nloop != 0)
		part_ways(core, pkts, total);
	else
		to_port(core, pkts, total);
	core->ntx = core->nloop = 0;
}

static struct nic_txpkt *new_pkt(struct fp_core *core)
{
	if (core->ntx == NIC_BURST)
		fp_tx_flush(core);
	return &core->tx[core->ntx];
}

/* The next hop's MAC; 0 = not known. */
static int next_hop(struct fp_core *core, const struct fp_flow *f, uint8_t mac[6])
{
	uint16_t neigh = f->neigh;
	uint64_t word = neigh < FP_MAX_NEIGH ? tas_load(&core->fp->neigh[neigh]) : 0;
	uint64_t word_le;

	if (f->flags & FP_F_LOOP) {
		memcpy(mac, core->fp->caps->mac, 6);
		return 1;
	}
	if (!(word & FP_NEIGH_VALID) || (word & FP_NEIGH_STALE))
		fp_event_neigh(core, neigh);
	word_le = htole64(word);
	memcpy(mac, &word_le, 6); /* first octet lowest */
	return (word & FP_NEIGH_VALID) != 0;
}

/* Sum of the payload's pieces. A piece that starts at an odd offset counts with its bytes swapped
 * (RFC 1071 2.B). */
static uint64_t sum_payload(uint64_t sum, const struct nic_txpkt *p)
{
	uint32_t i, odd = 0;

	for (i = 0; i < p->niov; i++) {
		uint64_t part = wire_csum_add(0, p->iov[i].iov_base, (uint32_t)p->iov[i].iov_len);

		if (odd) {
			uint16_t folded = (uint16_t)~wire_csum_fold(part);

			part = (uint16_t)(folded << 8 | folded >> 8);
		}
		sum += part;
		odd ^= p->iov[i].iov_len & 1;
	}
	return sum;
}

static void checksum(
	const struct fp_core *core, const struct fp_flow *f, struct nic_txpkt *p, uint32_t tcp_len)
{
	uint64_t sum;
	uint16_t field;

	if (p->own && !core->fault) /* nobody on the way but ourselves */
		return;
	if (core->fp->caps->tx_csum && !p->own) {
		p->csum_start = TCP_AT;
		p->csum_offset = CSUM_AT;
		return;
	}
	sum = wire_csum_pseudo4(f->laddr_lo, f->raddr_lo, PROTO_TCP, tcp_len + p->payload_len);
	sum = wire_csum_add(sum, p->hdr + TCP_AT, tcp_len);
	field = wire_csum_fold(sum_payload(sum, p));
	memcpy(p->hdr + TCP_AT + CSUM_AT, &field, sizeof(field));
}

/* Completes the frame whose payload is attached, and queues it. 0 = there is nowhere to send it. */
static int emit(struct fp_core *core, uint32_t id, struct nic_txpkt *p, const struct wire_tcp *h,
	uint8_t ecn)
{
	const struct fp_flow *f = &core->fp->flows[id];
	const struct fp_flow_cold *c = &core->fp->cold[id];
	uint32_t tcp_len, total;
	uint8_t mac[6];

	if (!next_hop(core, f, mac)) {
		core->cnt.drop_tx_neigh++;
		return 0;
	}
	wire_eth_emit(p->hdr, core->fp->caps->mac, mac, WIRE_ETH_IP4);
	tcp_len = wire_tcp_emit(p->hdr + TCP_AT, h);
	total = WIRE_IP4_HDR + tcp_len + p->payload_len;
	wire_ip4_emit(p->hdr + IP_AT, f->laddr_lo, f->raddr_lo, PROTO_TCP, (uint16_t)total,
		core->ip_id, (uint8_t)((c->tos & ~3u) | ecn), c->ttl);
	core->ip_id++;
	p->hdr_len = (uint16_t)(TCP_AT + tcp_len);
	p->v6 = 0;
	p->csum_start = p->csum_offset = 0;
	p->gso_size = p->payload_len > f->mss ? f->mss : 0;
	p->own = (f->flags & FP_F_LOOP) != 0;
	checksum(core, f, p, tcp_len);
	core->nloop += p->own;
	core->ntx++;
	return 1;
}

static int emit_bare(struct fp_core *core, uint32_t id, const struct wire_tcp *h)
{
	struct nic_txpkt *p = new_pkt(core);

	p->payload_len = 0;
	p->niov = 0;
	return emit(core, id, p, h, 0);
}

void fp_tx_ack(struct fp_core *core, uint32_t id)
{
	struct wire_tcp h;

	tcp_header(&core->fp->flows[id], &core->fp->cold[id], &core->env, NULL, &h);
	core->cnt.tx_acks += (uint32_t)emit_bare(core, id, &h);
}

void fp_tx_rst(struct fp_core *core, uint32_t id)
{
	struct wire_tcp h;

	tcp_header_rst(&core->fp->flows[id], &core->fp->cold[id], &core->env, &h);
	emit_bare(core, id, &h);
}

/* One frame. 0 = the program's chunk list is broken. */
static int send_one(struct fp_core *core, uint32_t id, const struct tcp_tx *t)
{
	struct fp_flow *f = &core->fp->flows[id];
	struct fp_flow_cold *c = &core->fp->cold[id];
	struct nic_txpkt *p = new_pkt(core);
	struct wire_tcp h;
	int ect = (f->flags & FP_F_ECN) && t->len != 0 && !t->retrans; /* RFC 3168 section 6.1.5 */

	p->payload_len = t->len;
	p->niov = 0;
	if (t->len != 0) {
		p->niov = (uint16_t)fp_stream_iov(core->fp, id, t->pos, t->len, p->iov, NIC_TX_IOV);
		if (p->niov == 0)
			return 0;
	}
	tcp_header(f, c, &core->env, t, &h);
	emit(core, id, p, &h, ect ? ECT0 : 0);
	tcp_tx_sent(f, c, &core->env, t);
	fp_pace_sent(f, c, core->env.now_ns, t->len);
	return 1;
}

/* Sends what the flow may, up to a quantum; returns frames. A flow with more to send is listed
 * again. */
static uint32_t send_flow(struct fp_core *core, uint32_t id)
{
	struct fp_flow *f = &core->fp->flows[id];
	struct fp_flow_cold *c = &core->fp->cold[id];
	uint32_t n, max = f->flags & FP_F_PACED && c->pace_burst ? c->pace_burst : c->gso_max;
	struct tcp_tx t;

	if (f->flags & FP_F_TX_OWN) /* one more piece than usual, where the sources meet */
		max = f->mss;

	for (n = 0; n < QUANTUM; n++) {
		if (!fp_pace_may(f, c, core->env.now_ns) || !tcp_tx_next(f, c, &core->env, max, &t))
			break;
		if (!send_one(core, id, &t)) {
			fp_app_fault(core, &core->fp->apps[f->app], &core->cnt.refuse_chunk);
			fp_flow_close(core, id, FP_CLOSE_ABORTED, ECONNABORTED, 1);
			return n;
		}
	}
	if (n == QUANTUM)
		fp_tx_list(core, id);
	if (n != 0 && c->tcp.notsent_lowat != 0) {
		fp_flow_limit(core, id);
		fp_news(core, id, fp_tx_space_wanted(core, id));
	}
	fp_flow_rearm(core, id);
	return n;
}

/* A flow whose peer is here waits until what is under way to it has been taken in. */
static int must_wait(struct fp_core *core, uint32_t id)
{
	if (!(core->fp->flows[id].flags & FP_F_LOOP) || fp_loop_room(core, QUANTUM))
		return 0;
	if (core->nloop != 0)
		fp_tx_flush(core); /* the batch may hold ACKs only */
	if (fp_loop_room(core, QUANTUM))
		return 0;
	fp_tx_list(core, id);
	return 1;
}

uint32_t fp_tx_poll(struct fp_core *core)
{
	uint32_t sent = 0, flows = 0, id, waits = FP_FLOW_NONE;

	while ((id = core->tx_first) != FP_FLOW_NONE && id != waits && sent < FP_BUDGET_TX) {
		fp_tx_unlist(core, id);
		if (must_wait(core, id)) {
			waits = waits == FP_FLOW_NONE ? id : waits;
			continue;
		}
		sent += send_flow(core, id);
		flows++;
	}
	return flows;
}

void fp_ack_list(struct fp_core *core, uint32_t id)
{
	struct fp_flow *f = &core->fp->flows[id];

	if (f->flags & FP_F_ACK_LISTED)
		return;
	if (core->nacks == FP_LIST_MAX)
		fp_acks_flush(core);
	f->flags |= FP_F_ACK_LISTED;
	core->acks[core->nacks++] = id;
}

/* Owed ACKs that no data segment has carried meanwhile. */
void fp_acks_flush(struct fp_core *core)
{
	uint32_t i;

	for (i = 0; i < core->nacks; i++) {
		struct fp_flow *f = &core->fp->flows[core->acks[i]];

		if (!(f->flags & FP_F_ACK_LISTED))
			continue; /* closed meanwhile */
		f->flags &= ~FP_F_ACK_LISTED;
		if (f->flags & FP_F_ACK_NOW)
			fp_tx_ack(core, core->acks[i]);
	}
	core->nacks = 0;
}
