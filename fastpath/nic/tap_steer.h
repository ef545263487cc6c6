/*
 * tap_steer.h - steering of a multi-queue tap by eBPF: group -> queue in a memory-mapped map.
 * Private to fastpath/nic.
 */
#ifndef NIC_TAP_STEER_H
#define NIC_TAP_STEER_H

#include "port.h"

struct tap_steer {
	int map_fd, prog_fd;
	volatile uint32_t *queue; /* NIC_GROUPS entries of 8 bytes, mapped; NULL = no steering */
};

/* Attaches the program to the tap behind tun_fd. 0 or -errno (then the kernel spreads flows as it
 * likes). */
int tap_steer_open(struct tap_steer *s, int tun_fd, const struct nic_steer *keys);
void tap_steer_close(struct tap_steer *s);
void tap_steer_set(struct tap_steer *s, uint32_t group, uint32_t queue);

#endif
