/*
 * cookie.h - SYN cookies: an initial sequence number that says later what the SYN said, so that
 * nothing is kept for a handshake that may never end. Pure. RFC 4987 section 3.6.
 *
 * The cookie is a keyed hash of tuple, the peer's ISN and the time in ticks; its low bits carry an
 * index into a table of segment sizes. What else the SYN offered lies in the low bits of our first
 * timestamp, which the peer echoes; a peer without timestamps gets none of it.
 */
#ifndef SP_COOKIE_H
#define SP_COOKIE_H

#include <stdint.h>
#include "tas/seg.h"
#include "tas/tuple.h"

/* A cookie is good in the tick it was made in and in the next: 32 to 64 s. */
#define SP_COOKIE_TICK_NS 32000000000ull
#define SP_COOKIE_AGE_NS  (2 * SP_COOKIE_TICK_NS)

/* ISN of the SYN-ACK. irs, mss: of the SYN. */
uint32_t sp_cookie_make(const uint64_t secret[2], const struct tas_tuple *t, uint32_t irs,
	uint16_t mss, uint64_t now_ns);
/* The MSS kept in the cookie (at most the peer's, but never below 88), or 0: made by somebody else,
 * or too old. */
uint16_t sp_cookie_check(const uint64_t secret[2], const struct tas_tuple *t, uint32_t irs,
	uint32_t cookie, uint64_t now_ns);

/*
 * The time for the SYN-ACK's timestamp, at most 64 ms in the past: its low bits hold the window
 * scale (SEG_NO_WSCALE: none), SACK-permitted and ECN of `syn`. The tuple's offset is the caller's
 * to add and to take off.
 */
uint32_t sp_cookie_time(uint32_t now_ms, const struct seg *syn, int ecn);
/* And back: fills wscale, sack_ok and the ECN flags of `syn`. */
void sp_cookie_options(uint32_t time_ms, struct seg *syn);

#endif
