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

#define IP_TOTAL_OFF 16u /* of the total length in an Ethernet frame */
#define IP_CSUM_OFF  24u

static void put16(uint8_t *p, uint16_t v)
{
	uint16_t be = htons(v);

	memcpy(p, &be, 2);
}

/*
 * A large frame arrives cut to FP_EXC_FRAME_MAX bytes: make it a whole frame of the first wire
 * segments, the peer sends the rest again. The TCP checksum is made right in any case, since the
 * device may have left it unfinished.
 */
static int make_whole(struct fp_exc *exc)
{
	uint32_t ihl = (uint32_t)(exc->data[WIRE_ETH_HDR] & 15) * 4;
	uint32_t tcp = WIRE_ETH_HDR + ihl, total, hdr, room;

	if (exc->cap < tcp + WIRE_TCP_HDR || ihl < WIRE_IP4_HDR || exc->gso_size == 0)
		return -EINVAL;
	hdr = tcp + (uint32_t)(exc->data[tcp + 12] >> 4) * 4;
	if (exc->cap < hdr || hdr < tcp + WIRE_TCP_HDR)
		return -EINVAL;
	room = (exc->cap - hdr) / exc->gso_size * exc->gso_size;
	if (room == 0)
		return -EINVAL;
	total = hdr + room;
	put16(exc->data + IP_TOTAL_OFF, (uint16_t)(total - WIRE_ETH_HDR));
	put16(exc->data + IP_CSUM_OFF, 0);
	put16(exc->data + IP_CSUM_OFF,
		ntohs(wire_csum_fold(wire_csum_add(0, exc->data + WIRE_ETH_HDR, ihl))));
	exc->data[tcp + 13] &= (uint8_t) ~(TCP_FIN | TCP_PSH); /* they belong to the last segment */
	exc->len = exc->cap = total;
	if (room == exc->gso_size)
		exc->gso_size = 0;
	return 0;
}

static void tcp_frame(struct sp *sp, struct fp_exc *exc, const struct seg *s)
{
	if (wire_eth_is_group(exc->data) || sp_addr_is_group(sp, s->tuple.raddr) ||
		sp_addr_is_ours(sp, s->tuple.raddr) || !sp_addr_is_ours(sp, s->tuple.laddr))
		return; /* RFC 9293 3.9.2.3: never answer a group or ourselves */
	sp_tcp_input(sp, s, exc->data, exc->len, exc->gso_size);
}

void sp_frame_input(struct sp *sp, struct fp_exc *exc)
{
	int csum_ok = (exc->flags & NIC_RX_CSUM_OK) != 0;
	struct seg s;

	if (exc->cap > FP_EXC_FRAME_MAX || exc->cap < WIRE_ETH_HDR)
		return;
	if (exc->len > exc->cap) {
		if (make_whole(exc) != 0)
			return;
		csum_ok = 1;
	}
	switch (wire_parse(exc->data, exc->len, exc->gso_size, csum_ok, &s)) {
	case WIRE_TCP:
		tcp_frame(sp, exc, &s);
		break;
	case WIRE_ARP:
		sp_arp_input(sp, exc->data, exc->len);
		break;
	case WIRE_ICMP:
		sp_icmp_input(sp, exc->data, exc->len);
		break;
	default:
		break; /* the core has counted the reason */
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
	(void)fp_tx_frame(
		sp->fp, &p); /* a full device queue is a lost frame: the sender tries again */
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
