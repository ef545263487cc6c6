/*
 * bytes.h - unaligned big-endian loads and stores, private to fastpath/wire.
 *
 * Owner: none (pure).
 */
#ifndef FP_WIRE_BYTES_H
#define FP_WIRE_BYTES_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t get_be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t get_be32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return be32toh(v);
}

/* As they lie in memory: network order. */
static inline uint16_t get_raw16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, 2);
	return v;
}

static inline uint32_t get_raw32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return v;
}

static inline void put_be16(uint8_t *p, uint16_t v)
{
	v = htobe16(v);
	memcpy(p, &v, 2);
}

static inline void put_be32(uint8_t *p, uint32_t v)
{
	v = htobe32(v);
	memcpy(p, &v, 4);
}

static inline void put_raw16(uint8_t *p, uint16_t v)
{
	memcpy(p, &v, 2);
}

static inline void put_raw32(uint8_t *p, uint32_t v)
{
	memcpy(p, &v, 4);
}

#endif
