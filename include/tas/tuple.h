/*
 * tuple.h - the key of a connection everywhere: two 16-byte addresses (IPv4 as ::ffff:a.b.c.d), two ports, a
 * 16-bit net (namespace, VLAN or VRF zone; 0 = the only one today). Owner: none (pure).
 */
#ifndef TAS_TUPLE_H
#define TAS_TUPLE_H

#include <assert.h>
#include <stdint.h>
#include <string.h>

struct tas_tuple {
	uint8_t laddr[16], raddr[16];
	uint16_t lport, rport; /* network order */
	uint16_t net, zero;
};

static_assert(sizeof(struct tas_tuple) == 40, "hashed and compared as bytes: no padding");

/* Stores IPv4 address `v4` (network order) as ::ffff:a.b.c.d. */
static inline void tas_addr_from_v4(uint8_t addr[16], uint32_t v4)
{
	memset(addr, 0, 10);
	addr[10] = addr[11] = 0xff;
	memcpy(addr + 12, &v4, 4);
}

static inline int tas_addr_is_v4(const uint8_t addr[16])
{
	static const uint8_t prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

	return memcmp(addr, prefix, 12) == 0;
}

/* The IPv4 address (network order) inside a mapped address. */
static inline uint32_t tas_addr_v4(const uint8_t addr[16])
{
	uint32_t v4;

	memcpy(&v4, addr + 12, 4);
	return v4;
}

#endif
