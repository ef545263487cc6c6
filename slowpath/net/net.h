/*
 * net.h - what the slow path knows of the network: addresses served, routes, neighbours, ICMP.
 * RFC 826 (ARP), 1122 3.3.1 (routing of a host), 792 and 1191 (ICMP, path MTU).
 * Owner: slow path thread.
 */
#ifndef SP_NET_H
#define SP_NET_H

#include <stdint.h>
#include "arena.h"
#include "fp.h"
#include "tas/region.h"

struct sp;

/* An address served, with the prefix it is connected to. */
struct sp_addr {
	uint8_t addr[16];
	uint8_t plen; /* in the 128-bit form: IPv4 /24 is 120 */
	uint16_t net;
};

struct sp_route {
	uint8_t prefix[16];
	uint8_t plen;	/* in the 128-bit form */
	uint8_t onlink; /* no gateway: the destination is a neighbour */
	uint16_t net;
	uint8_t gateway[16];
	uint32_t src; /* index of the address that serves it */
};

enum sp_neigh_state {
	SP_NEIGH_FREE,
	SP_NEIGH_INCOMPLETE, /* asked, no answer yet */
	SP_NEIGH_REACHABLE,  /* confirmed within 30 s */
	SP_NEIGH_STALE,	     /* used, but to be asked again on use */
	SP_NEIGH_PROBE,	     /* being asked again, still used */
	SP_NEIGH_FAILED,
	SP_NEIGH_OWN, /* an address of our own: nobody to ask (fastpath/loopback.c) */
};

#define SP_NEIGH_FRAME 1514u

struct sp_neigh {
	uint32_t hash_next;
	uint16_t id; /* index of the fast path's table; 1 .. FP_MAX_NEIGH - 1 */
	uint16_t net;
	uint8_t state; /* enum sp_neigh_state */
	uint8_t tries;
	uint8_t mac[6];
	uint8_t addr[16];
	uint32_t refs;	    /* connections that use it */
	uint32_t frame_len; /* frame waiting for the answer, 0 = none */
	uint64_t confirmed_ns, asked_ns, used_ns;
	uint32_t src; /* index of the address to ask from */
	uint8_t frame[SP_NEIGH_FRAME];
	uint8_t pad[2];
};

#define SP_NEIGH_BUCKETS 256u

struct sp_net {
	uint32_t naddrs, nroutes;
	struct sp_addr addrs[TAS_INFO_ADDRS];
	struct sp_route routes[TAS_INFO_ROUTES]; /* longest prefix first */
	struct sp_arena neighs;
	uint32_t neigh_buckets[SP_NEIGH_BUCKETS]; /* ids */
	uint32_t evict_next; /* where the next search for one to forget begins */
	uint8_t mac[6];
	uint16_t mtu;
	uint64_t icmp_tokens, icmp_refill_ns;
};

const char *sp_neigh_state_name(const struct sp_neigh *n);
/* Reads by cursor, as sp_conn_next. */
struct sp_neigh *sp_neigh_next(struct sp *sp, uint32_t *cursor);

#endif
