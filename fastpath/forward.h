/*
 * forward.h - frames handed from the core that received them to the core that owns their flow
 * group: one byte ring per pair of cores. Used while steering changes, and for ports that cannot
 * steer. Owner: one producer thread, one consumer thread.
 */
#ifndef FP_FORWARD_H
#define FP_FORWARD_H

#include <stdint.h>
#include "nic/nic.h"
#include "tas/atomic.h"

/* nic_rxpkt.flags of a record that is no frame but a note between cores (groups.c). */
#define FP_FORWARD_NOTE 0x8000u

#define FP_FORWARD_BYTES                                                                           \
	(1u << 20) /* 16 of the largest frames; a full ring drops, as a NIC queue does */

struct fp_forward {
	uint8_t *mem; /* FP_FORWARD_BYTES, NULL = unused pair */
	uint64_t tail __attribute__((aligned(TAS_CACHELINE))); /* producer, published per frame */
	uint64_t head __attribute__((aligned(TAS_CACHELINE))); /* consumer */
};

/* 0 or -ENOMEM. */
int fp_forward_init(struct fp_forward *r);
void fp_forward_destroy(struct fp_forward *r);
/* Producer: how many frames certainly fit, whatever their size. */
uint32_t fp_forward_fits(const struct fp_forward *r);
/* 1 = copied in, 0 = no room. */
int fp_forward_put(struct fp_forward *r, const struct nic_rxpkt *pkt);
/* The same in two steps: where `pkt->len` bytes are to be written (pkt->data is not looked at), or NULL; *end publishes them. */
uint8_t *fp_forward_reserve(struct fp_forward *r, const struct nic_rxpkt *pkt, uint64_t *end);
void fp_forward_publish(struct fp_forward *r, uint64_t end);
/* Describes up to `max` frames in place; they stay valid until fp_forward_drop(r, *end). */
uint32_t fp_forward_peek(struct fp_forward *r, struct nic_rxpkt *pkts, uint32_t max, uint64_t *end);
void fp_forward_drop(struct fp_forward *r, uint64_t end);

static inline int fp_forward_pending(const struct fp_forward *r)
{
	return r->mem && tas_load(&r->head) != tas_load_acq(&r->tail);
}

#endif
