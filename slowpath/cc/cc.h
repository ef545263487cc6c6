/*
 * cc.h - congestion control: a const table of pure functions over feedback (include/tas/cc.h).
 *
 * An algorithm keeps its state in struct cc_state (zeroed at connection start) and answers with parameters the
 * fast path applies by itself until the next answer. No clock, no allocation: time is fb->now_ns.
 * The same files are compiled into simulations.
 */
#ifndef SP_CC_H
#define SP_CC_H

#include <stdint.h>
#include "tas/cc.h"

struct cc_state {
	uint64_t words[16]; /* the algorithm's own; cast with a size assert */
};

struct cc_algo {
	const char *name;
	/* Parameters for a new connection with this MSS (initial window: RFC 6928). */
	void (*init)(struct cc_state *s, uint32_t mss, uint64_t now_ns, struct cc_params *out);
	/* Digest one interval's feedback. */
	void (*update)(struct cc_state *s, const struct cc_feedback *fb, struct cc_params *out);
};

extern const struct cc_algo cc_cubic, cc_dctcp, cc_reno;
/* NULL-terminated, index 0 is the default (CUBIC). */
extern const struct cc_algo *const cc_algos[];
const struct cc_algo *cc_find(const char *name);

#endif
