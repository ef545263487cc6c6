/*
 * icmp.c - echo replies, and what the network says about our packets.
 *
 * A message about a packet is believed only when it quotes one that we can have sent: for a
 * handshake the slow path compares the sequence number, for an installed flow its core does. Errors
 * for installed flows are soft and ignored (RFC 5461); only "fragmentation needed" matters there.
 * Owner: slow path thread. RFC 792, 1122 3.2.2 and 4.2.3.9, 1191, 5927.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include "conn/internal.h"
#include "flowctl.h"
#include "net/internal.h"
#include "tas/wire.h"

#define ECHO_PER_SECOND 1000u
#define ECHO_MAX	1472u /* bytes of data: what an Ethernet frame of 1500 holds */
#define PMTU_MIN                                                                                   \
	552u /* less is refused, as Linux does: a forged message must not make packets tiny */

#define ICMP_ECHO_REPLY	 0
#define ICMP_UNREACHABLE 3
#define ICMP_ECHO	 8

#define CODE_NET   0
#define CODE_HOST  1
#define CODE_PROTO 2
#define CODE_PORT  3
#define CODE_FRAG  4

static void echo(struct sp *sp, const uint8_t *in, const struct wire_icmp *icmp)
{
	uint8_t out[2048];
	uint32_t rest, len;

	if (icmp->body_len > ECHO_MAX) {
		sp->cnt.drop_too_long++;
		return;
	}
	if (!sp_token(&sp->net.icmp_tokens, &sp->net.icmp_refill_ns, ECHO_PER_SECOND, sp->now_ns)) {
		sp->cnt.drop_icmp_rate++;
		return;
	}
	memcpy(&rest, &icmp->id, 2);
	memcpy((uint8_t *)&rest + 2, &icmp->seq, 2);
	len = wire_icmp_emit(out, sp->net.mac, wire_eth_src(in), icmp->daddr, icmp->saddr,
		ICMP_ECHO_REPLY, 0, rest, icmp->body, icmp->body_len);
	sp->cnt.icmp_out++;
	sp_frame_send(sp, out, len);
}

static int errno_of(uint8_t code)
{
	switch (code) {
	case CODE_NET:
		return ENETUNREACH;
	case CODE_PROTO:
		return ENOPROTOOPT;
	case CODE_PORT:
		return ECONNREFUSED;
	default:
		return EHOSTUNREACH;
	}
}

static void unreachable(
	struct sp *sp, const struct wire_icmp *icmp, const uint8_t *frame, uint32_t len)
{
	struct sp_conn *c = icmp->quoted_tcp ? sp_conn_find(sp, &icmp->quoted) : NULL;
	struct sp_conn_input in = {.error = errno_of(icmp->code)};

	if (c == NULL) {
		if (!sp_tap_give(sp, frame, len)) /* about the kernel's packet, if there is one */
			sp->cnt.drop_icmp_bad++;
		return;
	}
	if (icmp->code == CODE_FRAG) {
		if (c->state == SP_CONN_OPEN && icmp->mtu >= PMTU_MIN && icmp->mtu < sp->net.mtu)
			sp_flow_pmtu(sp, c, icmp->mtu, icmp->quoted_seq);
		else
			sp->cnt.drop_icmp_bad++;
		return;
	}
	if (c->state == SP_CONN_SYN_SENT && icmp->quoted_seq == c->iss)
		sp_conn_event(sp, c, SP_EV_UNREACH, &in);
	else if (c->state != SP_CONN_OPEN)
		sp->cnt.drop_icmp_bad++;
}

void sp_icmp_input(struct sp *sp, const uint8_t *frame, uint32_t len)
{
	struct wire_icmp icmp;
	uint8_t saddr[16], daddr[16];

	sp->cnt.icmp_in++;
	if (wire_icmp_parse(frame, len, &icmp) != 0) {
		sp->cnt.drop_icmp_bad++;
		return;
	}
	tas_addr_from_v4(saddr, icmp.saddr);
	tas_addr_from_v4(daddr, icmp.daddr);
	if (!sp_addr_is_ours(sp, daddr) || sp_addr_is_group(sp, saddr) ||
		sp_addr_is_ours(sp, saddr) || wire_eth_is_group(frame)) {
		sp->cnt.drop_icmp_bad++;
		return;
	}
	if (icmp.type == ICMP_ECHO)
		echo(sp, frame, &icmp);
	else if (icmp.type == ICMP_UNREACHABLE)
		unreachable(sp, &icmp, frame, len);
	else
		sp->cnt.drop_icmp_bad++;
}
