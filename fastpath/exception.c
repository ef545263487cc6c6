/*
 * exception.c - frames for the slow path, on three bounded queues (fp_sp.h), so that a flood of one
 * kind starves no other. Longer frames are cut: the slow path reads headers. Owner: the core.
 */
#include "core.h"

static uint64_t *drop_counter(struct fp_core *core, enum fp_exc_class cls)
{
	switch (cls) {
	case FP_EXC_NEIGH:
		return &core->cnt.drop_exc_neigh;
	case FP_EXC_SEGMENT:
		return &core->cnt.drop_exc_segment;
	default:
		return &core->cnt.drop_exc_syn;
	}
}

void fp_exception(struct fp_core *core, enum fp_exc_class cls, const struct nic_rxpkt *pkt)
{
	struct fp_exc *e = spsc_put(&core->exc[cls]);

	if (!e) {
		(*drop_counter(core, cls))++;
		return;
	}
	e->len = pkt->len;
	e->cap = pkt->len < FP_EXC_FRAME_MAX ? pkt->len : FP_EXC_FRAME_MAX;
	e->gso_size = pkt->gso_size;
	e->flags = pkt->flags;
	memcpy(e->data, pkt->data, e->cap);
	core->cnt.exceptions++;
	core->told = 1;
}
