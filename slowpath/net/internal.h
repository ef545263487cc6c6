/*
 * internal.h - functions of net/ that connections, commands and the loop use; not for other
 * readers. Owner: slow path thread.
 */
#ifndef SP_NET_INTERNAL_H
#define SP_NET_INTERNAL_H

#include "sp.h"

/* ---- route.c ---- */
/* Fills addresses and routes from the options; the port's MAC and MTU are in sp->caps. 0 or -errno.
 */
int sp_net_init(struct sp *sp);
void sp_net_free(struct sp *sp);
/* Longest prefix that contains `addr`, NULL = no route. */
const struct sp_route *sp_route_find(struct sp *sp, const uint8_t addr[16]);
/* Is this one of the addresses served? Is it a neighbour's? Broadcast or multicast? */
int sp_addr_is_ours(const struct sp *sp, const uint8_t addr[16]);
int sp_addr_is_onlink(const struct sp *sp, const uint8_t addr[16]);
int sp_addr_is_group(const struct sp *sp, const uint8_t addr[16]);
/* Of the port, or of our own loopback. */
uint32_t sp_mtu_to(const struct sp *sp, const uint8_t addr[16]);
/* Addresses and routes into a program's page (seqlock on `version`). */
void sp_net_publish(const struct sp *sp, struct tas_info *info);

/* ---- arp.c ---- */
int sp_neigh_init(struct sp *sp);
void sp_neigh_free(struct sp *sp);
void sp_arp_input(struct sp *sp, const uint8_t *frame, uint32_t len);
/* Tells the network which MAC our addresses have (RFC 5227 section 3). */
void sp_arp_announce(struct sp *sp);
/*
 * The next hop towards `dst`, with a reference for the caller; 0 = no route or table full. `mac`,
 * where given, is used until the next hop itself has been asked.
 */
uint16_t sp_neigh_for(struct sp *sp, const uint8_t dst[16], const uint8_t *mac);
void sp_neigh_unref(struct sp *sp, uint16_t id);
/* Sends an Ethernet frame to the neighbour (its destination MAC is filled in), or keeps it until
 * ARP has answered. */
void sp_neigh_send(struct sp *sp, uint16_t id, uint8_t *frame, uint32_t len);
/* The same, but keeps nothing: 1 = sent, 0 = the neighbour is being asked. */
int sp_neigh_try(struct sp *sp, uint16_t id, uint8_t *frame, uint32_t len);
/* A core missed the neighbour, or used it while stale (FP_EV_NEIGH). */
void sp_neigh_used(struct sp *sp, uint16_t id);
void sp_neigh_tick(struct sp *sp);
struct sp_neigh *sp_neigh_get(struct sp *sp, uint16_t id);

/* ---- icmp.c ---- */
void sp_icmp_input(struct sp *sp, const uint8_t *frame, uint32_t len);

/* ---- input.c ---- */
/* Sends a complete frame (checksums done). */
void sp_frame_send(struct sp *sp, const uint8_t *frame, uint32_t len);
/* A bucket of `rate` tokens a second: 1 = one was there. */
int sp_token(uint64_t *tokens, uint64_t *refill_ns, uint32_t rate, uint64_t now_ns);

#endif
