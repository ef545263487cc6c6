/*
 * units.h - values as text for people: every result fits UNITS_MAX bytes, NUL included.
 */
#ifndef TASCTL_UNITS_H
#define TASCTL_UNITS_H

#include <stdint.h>

#define UNITS_MAX 80

/* 1234 -> "1.21KiB"; below 1024: "1000B". */
void units_bytes(char *out, double bytes);
/* 1234567 -> "1.23M"; below 10000 whole. */
void units_count(char *out, double n);
/* kbit/s -> "12.3Mb/s". */
void units_kbps(char *out, double kbps);
/* us -> "57us", "1.20ms", "3.4s". */
void units_us(char *out, double us);
/* ns -> "5s", "12m30s", "3h12m", "8d4h". */
void units_age(char *out, uint64_t ns);
/* 0..1 -> "12.5%". */
void units_share(char *out, double share);
/* 16-byte address; "*" when all zero. IPv4 where mapped. */
void units_addr(char *out, const uint8_t addr[16]);
/* "10.0.0.1:80", "[2001:db8::1]:80", "*:80"; port in network order. */
void units_endpoint(char *out, const uint8_t addr[16], uint16_t port);
/* "7.1234"; "-" for a record that cannot be named. */
void units_flow(char *out, uint32_t id, uint32_t gen);
/* Text from outside, at most `size` bytes: bytes that a terminal might obey become '?'. */
void units_text(char *out, const char *text, uint32_t size);

#endif
