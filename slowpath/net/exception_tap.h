/*
 * exception_tap.h - what of a port is not for tas: to the kernel and from it. Owner: slow path thread.
 */
#ifndef SP_EXCEPTION_TAP_H
#define SP_EXCEPTION_TAP_H

#include <stdint.h>
#include "loop.h"

struct sp;

struct sp_tap {
	int fd;
	uint32_t given;	 /* by sp_tap_give in this round */
	uint32_t *ports; /* holders by port; NULL = there is no exception tap */
	struct sp_source src;
};

/* Makes the interface named by the option exception_tap, with the port's MAC and MTU and the addresses served. 0 or -errno, said. */
int sp_tap_open(struct sp *sp);
void sp_tap_close(struct sp *sp);
/* A batch of what the cores have kept for the kernel. */
void sp_tap_run(struct sp *sp);
/* A whole frame that turned out to be the kernel's. 0 = there is no exception tap. */
int sp_tap_give(struct sp *sp, const uint8_t *frame, uint32_t len);
/* An ARP frame that the service has looked at: the kernel hears answers, and questions for other addresses. */
void sp_tap_arp(struct sp *sp, const uint8_t *frame, uint32_t len);
/* A listener or connection has the port (network order), or no longer. */
void sp_port_hold(struct sp *sp, uint16_t port);
void sp_port_release(struct sp *sp, uint16_t port);

#endif
