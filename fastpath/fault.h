/*
 * fault.h - frames harmed on purpose at a core's one way in and one way out: lost, doubled, put out of order,
 * corrupted, by seed. For tests (options fault_*); without them a core has no injector and pays one
 * predictable branch a burst. Owner: the core.
 */
#ifndef FP_FAULT_H
#define FP_FAULT_H

#include <stdint.h>
#include "nic/nic.h"

#define FP_FAULT_IN  0x1u
#define FP_FAULT_OUT 0x2u

/* Chances per mille, each on its own for every frame. */
struct fp_fault_conf {
	uint64_t seed;
	uint32_t where; /* FP_FAULT_*; 0 = none */
	uint32_t drop, duplicate, reorder, corrupt;
};

/* Frames that come out of a burst: each may be doubled, and one of the burst before is let go. */
#define FP_FAULT_BURST (2 * NIC_BURST + 1)

struct fp_fault;

/* *out is NULL when the configuration harms nothing. 0 or -ENOMEM. */
int fp_fault_create(const struct fp_fault_conf *conf, uint32_t core, struct fp_fault **out);
void fp_fault_destroy(struct fp_fault *f);

/*
 * What becomes of `n` frames received: in *out, valid until the next call and as long as theirs. A frame put out of order
 * is kept (copied) and comes with the next call, which the caller makes soon also when nothing arrives.
 * The number of frames; *harmed grows with every one that was not left alone.
 */
uint32_t fp_fault_in(struct fp_fault *f, const struct nic_rxpkt *pkts, uint32_t n,
	const struct nic_rxpkt **out, uint64_t *harmed);
/* The same for frames to be sent, at most NIC_BURST; order is changed within the burst only. */
uint32_t fp_fault_out(struct fp_fault *f, const struct nic_txpkt *pkts, uint32_t n,
	const struct nic_txpkt **out, uint64_t *harmed);
/* A frame is kept: look again soon. */
int fp_fault_holds(const struct fp_fault *f);

#endif
