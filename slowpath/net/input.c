/*
 * input.c - what a core could not settle: parse again (frames were copied, cut or are from before a
 * change) and dispatch. And the way out for frames of the slow path. Owner: slow path thread.
 */
#include "net/input.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include "conn/internal.h"
#include "net/internal.h"
#include "tas/wire.h"

/* In an Ethernet frame. */
#define ETH_TYPE_OFF 12u
#define IP_TOTAL_OFF 16u
#define IP_PROTO_OFF 23u
#define IP_CSUM_OFF  24u

#define PROTO_TCP 6u

static void put16(uint8_t *p, uint16_t v)
{
	uint16_t be = htons(v);

	memcpy(p, &be, 2);
}

static uint32_t get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

/*
 * A large frame arrives cut to FP_EXC_FRAME_MAX bytes: make it a whole frame of the first wire
 * segments, or of the first bytes of a jumbo one; the peer sends the rest again. The core has
 * verified the TCP checksum over the whole.
 */
static int make_whole(struct fp_exc *exc)
{
	uint32_t ihl = (uint32_t)(exc->data[WIRE_ETH_HDR] & 15) * 4;
	uint32_t tcp = WIRE_ETH_HDR + ihl, total, hdr, room;

	if (exc->data[IP_PROTO_OFF] != PROTO_TCP || exc->cap < tcp + WIRE_TCP_HDR ||
		ihl < WIRE_IP4_HDR)
		return -EINVAL;
	hdr = tcp + (uint32_t)(exc->data[tcp + 12] >> 4) * 4;
	if (exc->cap <= hdr || hdr < tcp + WIRE_TCP_HDR)
		return -EINVAL;
	room = exc->cap - hdr;
	if (exc->gso_size != 0 && exc->gso_size < room)
		room -= room % exc->gso_size;
	if (exc->gso_size >= room)
		exc->gso_size = 0;
	total = hdr + room;
	put16(exc->data + IP_TOTAL_OFF, (uint16_t)(total - WIRE_ETH_HDR));
	put16(exc->data + IP_CSUM_OFF, 0);
	put16(exc->data + IP_CSUM_OFF,
		ntohs(wire_csum_fold(wire_csum_add(0, exc->data + WIRE_ETH_HDR, ihl))));
	exc->data[tcp + 13] &= (uint8_t) ~(TCP_FIN | TCP_PSH); /* they belong to the last segment */
	exc->len = exc->cap = total;
	exc->flags |= NIC_RX_CSUM_OK;
	return 0;
}

/* What follows the packet in a frame is padding. ARP has no length of its own. */
static int only_padding_cut(const struct fp_exc *exc)
{
	return exc->cap >= WIRE_ETH_HDR + WIRE_IP4_HDR &&
	       (get16(exc->data + ETH_TYPE_OFF) != WIRE_ETH_IP4 ||
		       WIRE_ETH_HDR + get16(exc->data + IP_TOTAL_OFF) <= exc->cap);
}

/* 0, or -EINVAL when what a core has cut off is missed. */
static int trim(struct fp_exc *exc)
{
	if (exc->len <= exc->cap)
		return 0;
	if (!only_padding_cut(exc))
		return make_whole(exc);
	exc->len = exc->cap;
	return 0;
}

static void tcp_frame(struct sp *sp, struct fp_exc *exc, const struct seg *s)
{
	int forged = sp_addr_is_ours(sp, s->tuple.raddr) && !(exc->flags & NIC_RX_OWN);

	if (wire_eth_is_group(exc->data) || sp_addr_is_group(sp, s->tuple.raddr) || forged ||
		!sp_addr_is_ours(sp, s->tuple.laddr)) {
		sp->cnt.drop_addr_bad++; /* RFC 9293 3.9.2.3: never answer a group, nor what is not from us */
		return;
	}
	sp_tcp_input(sp, s, exc->data, exc->len, exc->gso_size);
}

void sp_frame_input(struct sp *sp, struct fp_exc *exc)
{
	struct seg s;

	if (trim(exc) != 0) {
		sp->cnt.drop_too_long++;
		return;
	}
	switch (wire_parse(
		exc->data, exc->len, exc->gso_size, (exc->flags & NIC_RX_CSUM_OK) != 0, &s)) {
	case WIRE_TCP:
		tcp_frame(sp, exc, &s);
		break;
	case WIRE_ARP:
		sp_arp_input(sp, exc->data, exc->len);
		sp_tap_arp(sp, exc->data, exc->len);
		break;
	case WIRE_ICMP:
		sp_icmp_input(sp, exc->data, exc->len);
		break;
	default:
		break; /* the core has parsed the same bytes, or counted the reason */
	}
}

void sp_frame_send(struct sp *sp, const uint8_t *frame, uint32_t len)
{
	struct nic_txpkt p;

	memset(&p, 0, sizeof(p));
	p.hdr_len = (uint16_t)(len < NIC_HDR_MAX ? len : NIC_HDR_MAX);
	memcpy(p.hdr, frame, p.hdr_len);
	if (len > NIC_HDR_MAX) {
		p.niov = 1;
		p.payload_len = len - NIC_HDR_MAX;
		p.iov[0].iov_base = (void *)(uintptr_t)(frame + NIC_HDR_MAX);
		p.iov[0].iov_len = p.payload_len;
	}
	if (fp_tx_frame(sp->fp, &p) != 0)
		sp->cnt.drop_not_sent++; /* as if the network had lost it: the sender tries again */
}

int sp_token(uint64_t *tokens, uint64_t *refill_ns, uint32_t rate, uint64_t now_ns)
{
	uint64_t cost = 1000000000ull / rate, fresh = (now_ns - *refill_ns) / cost;

	if (fresh > 0) {
		*tokens = fresh >= rate || *tokens + fresh > rate ? rate : *tokens + fresh;
		*refill_ns += fresh * cost;
	}
	if (*tokens == 0)
		return 0;
	(*tokens)--;
	return 1;
}
