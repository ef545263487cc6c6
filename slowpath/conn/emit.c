/*
 * emit.c - TCP segments that the slow path sends itself: SYN, SYN-ACK, handshake ACK, RST.
 *
 * Frames are complete, checksums included, since their number is small and any device takes them. A
 * passive handshake answers to the MAC the SYN came from: a flood of spoofed SYNs then asks no ARP
 * questions. Owner: slow path thread. RFC 9293 3.1, 3.10.7.1, 7323, 2018, 3168 6.1.1.
 */
#include <string.h>
#include "conn/internal.h"
#include "net/internal.h"
#include "tas/wire.h"

#define TTL 64 /* unless IP_TTL says otherwise */

uint32_t sp_tsval(const struct sp *sp, uint32_t ts_offset)
{
	return (uint32_t)(sp->now_ns / 1000000) + ts_offset;
}

/* Ethernet + IPv4 + TCP with checksums into `frame`; destination MAC zero when `mac` is NULL.
 * Returns the length. */
static uint32_t build(struct sp *sp, uint8_t *frame, const struct tas_tuple *t,
	const struct tas_sockopts *opts, const uint8_t *mac, const struct wire_tcp *h)
{
	static const uint8_t nobody[6];
	uint32_t saddr = tas_addr_v4(t->laddr), daddr = tas_addr_v4(t->raddr);
	uint8_t *tcp = frame + WIRE_ETH_HDR + WIRE_IP4_HDR;
	uint32_t len = wire_tcp_emit(tcp, h);
	uint16_t sum;

	wire_eth_emit(frame, sp->net.mac, mac != NULL ? mac : nobody, WIRE_ETH_IP4);
	wire_ip4_emit(frame + WIRE_ETH_HDR, saddr, daddr, 6, (uint16_t)(WIRE_IP4_HDR + len),
		sp->ip_id++, opts != NULL ? (uint8_t)opts->tos : 0,
		opts != NULL && opts->ttl != 0 ? opts->ttl : TTL);
	sum = wire_csum_fold(wire_csum_add(wire_csum_pseudo4(saddr, daddr, 6, len), tcp, len));
	memcpy(tcp + 16, &sum, 2);
	return WIRE_ETH_HDR + WIRE_IP4_HDR + len;
}

/* 0 = it could not go out yet. */
static int conn_send(struct sp *sp, const struct sp_conn *c, const struct wire_tcp *h)
{
	uint8_t frame[NIC_HDR_MAX];
	int direct = (c->flags & SP_CONN_PEERMAC) != 0;
	uint32_t len = build(sp, frame, &c->tuple, &c->opts, direct ? c->peer_mac : NULL, h);

	if (c->state == SP_CONN_SYN_SENT) /* made anew when the next hop has answered */
		return sp_neigh_try(sp, c->neigh, frame, len);
	if (direct)
		sp_frame_send(sp, frame, len);
	else
		sp_neigh_send(sp, c->neigh, frame, len);
	return 1;
}

static struct wire_tcp header(const struct tas_tuple *t, uint8_t flags)
{
	struct wire_tcp h;

	memset(&h, 0, sizeof(h));
	h.lport = t->lport;
	h.rport = t->rport;
	h.flags = flags;
	h.wscale = SEG_NO_WSCALE;
	return h;
}

static void add_timestamps(struct sp *sp, const struct sp_conn *c, struct wire_tcp *h)
{
	if (!(c->flags & SP_CONN_TS))
		return;
	h->has_ts = 1;
	h->ts_val = sp_tsval(sp, c->ts_offset);
	h->ts_ecr = h->flags & TCP_ACK ? c->ts_recent : 0;
}

/* The MSS we can receive: the MTU's, or less where the program said so (TCP_MAXSEG). */
static uint16_t own_mss(const struct sp *sp, const struct sp_conn *c)
{
	uint16_t mss = (uint16_t)(sp_mtu_to(sp, c->tuple.raddr) - WIRE_IP4_HDR - WIRE_TCP_HDR);

	return c->opts.maxseg != 0 && c->opts.maxseg < mss ? (uint16_t)c->opts.maxseg : mss;
}

void sp_emit_syn(struct sp *sp, struct sp_conn *c)
{
	struct wire_tcp h = header(&c->tuple, TCP_SYN);

	if (c->state == SP_CONN_SYN_RCVD) {
		h.flags |= TCP_ACK;
		h.ack = c->irs + 1;
		if (c->flags & SP_CONN_ECN)
			h.flags |= TCP_ECE;
	} else if ((c->flags & SP_CONN_ECN) && !(c->flags & SP_CONN_RETRANS)) {
		h.flags |= TCP_ECE |
			   TCP_CWR; /* a lost ECN-setup SYN is tried without (RFC 3168 6.1.1.1) */
	}
	h.seq = c->iss;
	h.wnd = (uint16_t)c->rcv_wnd;
	h.mss = own_mss(sp, c);
	if (c->flags & SP_CONN_WSCALE)
		h.wscale = c->rcv_wscale;
	h.sack_ok = (c->flags & SP_CONN_SACK) != 0;
	add_timestamps(sp, c, &h);
	if (conn_send(sp, c, &h))
		c->flags &= ~SP_CONN_UNSENT;
	else
		c->flags |= SP_CONN_UNSENT;
}

void sp_emit_ack(struct sp *sp, const struct sp_conn *c)
{
	struct wire_tcp h = header(&c->tuple, TCP_ACK);

	h.seq = c->iss + 1;
	h.ack = c->irs + 1;
	h.wnd = (uint16_t)(c->rcv_wnd >> c->rcv_wscale);
	add_timestamps(sp, c, &h);
	conn_send(sp, c, &h);
}

void sp_emit_rst_conn(struct sp *sp, const struct sp_conn *c)
{
	struct wire_tcp h = header(&c->tuple, TCP_RST | TCP_ACK);

	h.seq = c->iss + 1;
	h.ack = c->irs + 1;
	add_timestamps(sp, c, &h);
	sp->cnt.rst_sent++;
	conn_send(sp, c, &h);
}

/* To the sender of `frame`, statelessly. */
static void answer(
	struct sp *sp, const struct tas_tuple *t, const uint8_t *frame, const struct wire_tcp *h)
{
	uint8_t out[NIC_HDR_MAX];

	sp_frame_send(sp, out, build(sp, out, t, NULL, wire_eth_src(frame), h));
}

void sp_emit_rst(struct sp *sp, const struct seg *s, const uint8_t *frame)
{
	struct wire_tcp h = header(&s->tuple, TCP_RST);

	if ((s->flags & TCP_RST) || !sp_stray_allowed(sp))
		return;
	if (s->flags & TCP_ACK) {
		h.seq = s->ack;
	} else {
		h.flags |= TCP_ACK;
		h.ack = s->seq + s->len + ((s->flags & TCP_SYN) != 0) + ((s->flags & TCP_FIN) != 0);
	}
	sp->cnt.rst_sent++;
	answer(sp, &s->tuple, frame, &h);
}

void sp_emit_tw_ack(struct sp *sp, const struct sp_timewait *w, const uint8_t *frame)
{
	struct wire_tcp h = header(&w->tuple, TCP_ACK);

	if (!sp_stray_allowed(sp))
		return;
	h.seq = w->snd_nxt;
	h.ack = w->rcv_nxt;
	if (w->has_ts) {
		h.has_ts = 1;
		h.ts_val = sp_tsval(sp, w->ts_offset);
		h.ts_ecr = w->ts_recent;
	}
	answer(sp, &w->tuple, frame, &h);
}
