/*
 * to_kernel.c - frames of the port that are not for tas: kept for the slow path, which gives them to the kernel through the exception
 * tap (slowpath/net/exception_tap.c).
 *
 * One bounded ring per core, apart from the exception queues, so that the kernel's traffic starves no
 * handshake. Which TCP ports are tas's is in a bitmap; the slow path has the last word on those.
 * Owner: the core; the functions of fp.h: slow path thread. docs/decisions/0016-exception-tap.md.
 */
#include <endian.h>
#include "core.h"

int fp_port_is_ours(const struct fp *fp, uint16_t port)
{
	uint32_t p = be16toh(port);

	return tas_load(&fp->ports[p / 64]) >> (p % 64) & 1;
}

void fp_to_kernel(struct fp_core *core, const struct nic_rxpkt *pkt)
{
	if (pkt->gso_size != 0 || !fp_forward_put(&core->to_kernel, pkt)) {
		core->cnt.drop_to_kernel++;
		return;
	}
	core->cnt.to_kernel++;
	core->told = 1;
}

void fp_port_set(struct fp *fp, uint16_t port, int ours)
{
	uint32_t p = be16toh(port);
	uint64_t bit = 1ull << (p % 64), word = fp->ports[p / 64];

	tas_store(&fp->ports[p / 64], ours ? word | bit : word & ~bit);
}

uint32_t fp_kernel_peek(
	struct fp *fp, uint32_t core, struct nic_rxpkt *pkts, uint32_t max, uint64_t *end)
{
	struct fp_forward *r = &fp->cores[core].to_kernel;

	return fp_forward_pending(r) ? fp_forward_peek(r, pkts, max, end) : 0;
}

void fp_kernel_drop(struct fp *fp, uint32_t core, uint64_t end)
{
	fp_forward_drop(&fp->cores[core].to_kernel, end);
}
