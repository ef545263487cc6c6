/*
 * port.h - a NIC port from inside: what nic.c, the families and tests share. Private to
 * fastpath/nic.
 */
#ifndef NIC_PORT_H
#define NIC_PORT_H

#include "nic.h"

#define NIC_RSS_KEY 40 /* bytes, as NICs take it */

/* How a segment's group is computed. */
struct nic_steer {
	uint64_t key[3];  /* keyed multiplication: tap, and ports that cannot steer */
	uint8_t toeplitz; /* 1: the NIC's RSS with rss_key */
	uint8_t rss_key[NIC_RSS_KEY];
};

struct nic {
	const struct nic_ops *ops;
	struct nic_caps caps;
	uint32_t nqueues;
	struct nic_steer steer;
	void *priv; /* the family's own */
};

extern const struct nic_ops nic_tap_ops, nic_dpdk_ops;

/* Random keys for a new port. */
void nic_steer_init(struct nic_steer *s);
/* Group of an IPv4 segment: addresses and ports as numbers in host order, r the peer's. */
uint32_t nic_steer_group4(
	const struct nic_steer *s, uint32_t raddr, uint32_t laddr, uint16_t rport, uint16_t lport);
/* Toeplitz hash of RSS over a received IPv4 TCP segment. */
uint32_t nic_toeplitz4(
	const uint8_t *key, uint32_t saddr, uint32_t daddr, uint16_t sport, uint16_t dport);

/* Running sum of the pseudo-header of the frame in `hdr`, folded but not complemented: what devices
 * want to find. */
uint16_t nic_pseudo_sum(const struct nic_txpkt *p, int with_len);
/* Says one sentence about a port that cannot be opened. */
void nic_complain(const char *device, const char *what, int err);

#endif
