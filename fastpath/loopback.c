/*
 * loopback.c - frames to our own addresses: they leave by the core's one way out and come back by
 * its one way in, and the port never sees them.
 *
 * Each core has a ring to itself; the slow path has one to core 0. A frame is copied once, whole:
 * nobody cuts it into segments, and nobody sums it, unless frames are harmed on purpose and must be
 * told. The core that takes it in finds the owner of the flow's group as for any frame, so that groups
 * may move meanwhile. Flows that send to ourselves wait for room (tx.c); what is taken in waits for
 * room in the rings to other cores. docs/decisions/0015-same-host.md. Owner: the core; fp_loop_frame:
 * slow path thread.
 */
#include <errno.h>
#include "core.h"
#include "tas/yield.h"

#define LOOP_KEEP 2u /* largest frames that data leaves room for: hundreds of ACKs, FINs, RSTs */

int fp_loop_init(struct fp_core *core)
{
	int err = fp_forward_init(&core->loop);

	if (!err && core->id == 0)
		err = fp_forward_init(&core->loop_sp);
	return err;
}

void fp_loop_destroy(struct fp_core *core)
{
	fp_forward_destroy(&core->loop);
	fp_forward_destroy(&core->loop_sp);
}

/* 1, or 0 = no room. */
static int put(struct fp_forward *r, const struct nic_txpkt *p, uint16_t flags)
{
	struct nic_rxpkt pkt = {
		.len = p->hdr_len + p->payload_len, .gso_size = p->gso_size, .flags = flags};
	uint64_t end;
	uint8_t *to = fp_forward_reserve(r, &pkt, &end);
	uint32_t i;

	if (!to)
		return 0;
	memcpy(to, p->hdr, p->hdr_len);
	to += p->hdr_len;
	for (i = 0; i < p->niov; i++) {
		memcpy(to, p->iov[i].iov_base, p->iov[i].iov_len);
		to += p->iov[i].iov_len;
	}
	fp_forward_publish(r, end);
	return 1;
}

void fp_loop_put(struct fp_core *core, const struct nic_txpkt *p)
{
	uint16_t flags = core->fault ? NIC_RX_OWN : NIC_RX_OWN | NIC_RX_CSUM_OK;

	if (!put(&core->loop, p, flags))
		core->cnt.drop_loop_full++;
}

int fp_loop_frame(struct fp *fp, const struct nic_txpkt *p)
{
	struct fp_core *core = &fp->cores[0];

	if (!put(&core->loop_sp, p, NIC_RX_OWN))
		return -EAGAIN;
	TAS_YIELD();
	fp_core_wake(core);
	return 0;
}

int fp_loop_room(const struct fp_core *core, uint32_t frames)
{
	return fp_forward_fits(&core->loop) >= core->nloop + frames + LOOP_KEEP;
}

uint32_t fp_loop_max(const struct fp_core *core)
{
	const struct fp *fp = core->fp;
	uint32_t i, fits, max = NIC_BURST;

	for (i = 0; i < fp->ncores; i++) {
		if (i == core->id)
			continue;
		fits = fp_forward_fits(&fp->cores[i].from[core->id]);
		max = fits < max ? fits : max;
	}
	return max;
}

int fp_loop_pending(const struct fp_core *core)
{
	return fp_forward_pending(&core->loop) || fp_forward_pending(&core->loop_sp);
}
