/*
 * arp.c - ARP for IPv4 over Ethernet.
 *
 * Owner: none (pure). RFC 826.
 */
#include <errno.h>
#include "bytes.h"
#include "tas/wire.h"

#define ARP_LEN 28u

int wire_arp_parse(const uint8_t *frame, uint32_t len, struct wire_arp *out)
{
	const uint8_t *p = frame + WIRE_ETH_HDR;

	if (len < WIRE_ETH_HDR + ARP_LEN || get_be16(frame + 12) != WIRE_ETH_ARP)
		return -EINVAL;
	/* Hardware Ethernet, protocol IPv4, their address lengths. */
	if (get_be16(p) != 1 || get_be16(p + 2) != WIRE_ETH_IP4 || p[4] != 6 || p[5] != 4)
		return -EINVAL;
	out->op = get_be16(p + 6);
	if (out->op != 1 && out->op != 2)
		return -EINVAL;
	memcpy(out->sha, p + 8, 6);
	out->spa = get_raw32(p + 14);
	memcpy(out->tha, p + 18, 6);
	out->tpa = get_raw32(p + 24);
	return 0;
}

uint32_t wire_arp_emit(
	uint8_t *frame, const uint8_t src[6], const uint8_t dst[6], const struct wire_arp *arp)
{
	uint8_t *p = frame + WIRE_ETH_HDR;

	wire_eth_emit(frame, src, dst, WIRE_ETH_ARP);
	put_be16(p, 1);
	put_be16(p + 2, WIRE_ETH_IP4);
	p[4] = 6;
	p[5] = 4;
	put_be16(p + 6, arp->op);
	memcpy(p + 8, arp->sha, 6);
	put_raw32(p + 14, arp->spa);
	memcpy(p + 18, arp->tha, 6);
	put_raw32(p + 24, arp->tpa);
	return WIRE_ETH_HDR + ARP_LEN;
}
