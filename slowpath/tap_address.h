/*
 * tap_address.h - the kernel's side of a tap port. Owner: start-up.
 */
#ifndef SP_TAP_ADDRESS_H
#define SP_TAP_ADDRESS_H

#include <stdint.h>

/* Gives device `name` the address and prefix ("a.b.c.d/n") and brings it up. 0 or -errno.
 * netdevice(7). */
int sp_tap_address(const char *name, const char *prefix);

#endif
