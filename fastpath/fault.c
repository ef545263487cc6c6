/*
 * fault.c - frames harmed on purpose (fault.h). The same seed and the same bursts give the same harm.
 *
 * A corrupted frame must be one that the receiver can tell, as on a wire whose checksums are checked: on the way in one bit
 * is flipped and the device's word for the checksum taken back; on the way out, where the device fills checksums in, a
 * bit of the IP header's own checksum. Owner: the core.
 */
#include "fault.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "alloc.h"
#include "tas/wire.h"

#define FRAME_MAX 65600u /* the largest frame of a port, segmented later or not yet */

struct fp_fault {
	struct fp_fault_conf conf;
	uint64_t state;
	struct nic_rxpkt held; /* data NULL = none; else `kept` */
	uint8_t *kept, *late;  /* the frame that is held; the one that was let go last */
	struct nic_rxpkt rx[FP_FAULT_BURST];
	struct nic_txpkt tx[FP_FAULT_BURST];
};

int fp_fault_create(const struct fp_fault_conf *conf, uint32_t core, struct fp_fault **out)
{
	struct fp_fault *f;

	*out = NULL;
	if (conf->where == 0 || conf->drop + conf->duplicate + conf->reorder + conf->corrupt == 0)
		return 0;
	f = fp_calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	f->conf = *conf;
	f->state = conf->seed + core * 0x9e3779b97f4a7c15ull;
	f->kept = fp_malloc(FRAME_MAX);
	f->late = fp_malloc(FRAME_MAX);
	if (!f->kept || !f->late) {
		fp_fault_destroy(f);
		return -ENOMEM;
	}
	*out = f;
	return 0;
}

void fp_fault_destroy(struct fp_fault *f)
{
	if (!f)
		return;
	free(f->kept);
	free(f->late);
	free(f);
}

/* splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t next(struct fp_fault *f)
{
	uint64_t z = (f->state += 0x9e3779b97f4a7c15ull);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static uint32_t below(struct fp_fault *f, uint32_t n)
{
	return (uint32_t)((next(f) >> 32) * n >> 32);
}

static int chance(struct fp_fault *f, uint32_t per_mille)
{
	return per_mille != 0 && below(f, 1000) < per_mille;
}

int fp_fault_holds(const struct fp_fault *f)
{
	return f->held.data != NULL;
}

static void hold(struct fp_fault *f, const struct nic_rxpkt *pkt)
{
	memcpy(f->kept, pkt->data, pkt->len);
	f->held = *pkt;
	f->held.data = f->kept;
}

static uint32_t let_go(struct fp_fault *f, uint32_t out)
{
	uint8_t *kept = f->kept;

	f->rx[out] = f->held;
	f->held.data = NULL;
	f->kept = f->late; /* the next one to be held must not overwrite it */
	f->late = kept;
	return out + 1;
}

static void corrupt_in(struct fp_fault *f, struct nic_rxpkt *pkt)
{
	uint32_t at =
		pkt->len > WIRE_ETH_HDR ? WIRE_ETH_HDR + below(f, pkt->len - WIRE_ETH_HDR) : 0;

	pkt->data[at] ^= (uint8_t)(1u << below(f, 8));
	pkt->flags &= (uint16_t)~NIC_RX_CSUM_OK;
}

uint32_t fp_fault_in(struct fp_fault *f, const struct nic_rxpkt *pkts, uint32_t n,
	const struct nic_rxpkt **out, uint64_t *harmed)
{
	const struct fp_fault_conf *c = &f->conf;
	struct nic_rxpkt before = f->held;
	uint32_t i, k = 0;

	*out = pkts;
	if (!(c->where & FP_FAULT_IN))
		return n;
	*out = f->rx;
	for (i = 0; i < n; i++) {
		struct nic_rxpkt *p = &f->rx[k];

		*p = pkts[i];
		if (chance(f, c->drop)) {
			++*harmed;
			continue;
		}
		if (!f->held.data && p->len <= FRAME_MAX && chance(f, c->reorder)) {
			++*harmed;
			hold(f, p);
			continue;
		}
		if (chance(f, c->corrupt)) {
			++*harmed;
			corrupt_in(f, p);
		}
		k++;
		if (chance(f, c->duplicate)) {
			++*harmed;
			f->rx[k++] = *p;
		}
	}
	return before.data ? let_go(f, k) : k;
}

static void corrupt_out(struct fp_fault *f, struct nic_txpkt *p)
{
	p->hdr[WIRE_ETH_HDR + 10 + below(f, 2)] ^= (uint8_t)(1u << below(f, 8)); /* RFC 791 3.1 */
}

uint32_t fp_fault_out(struct fp_fault *f, const struct nic_txpkt *pkts, uint32_t n,
	const struct nic_txpkt **out, uint64_t *harmed)
{
	const struct fp_fault_conf *c = &f->conf;
	uint32_t i, k = 0;

	*out = pkts;
	if (!(c->where & FP_FAULT_OUT))
		return n;
	*out = f->tx;
	for (i = 0; i < n; i++) {
		if (chance(f, c->drop)) {
			++*harmed;
			continue;
		}
		if (k > 0 && chance(f, c->reorder)) { /* before the one that should precede it */
			++*harmed;
			f->tx[k] = f->tx[k - 1];
			f->tx[k - 1] = pkts[i];
		} else {
			f->tx[k] = pkts[i];
		}
		k++;
		if (!pkts[i].v6 && chance(f, c->corrupt)) {
			++*harmed;
			corrupt_out(f, &f->tx[k - 1]);
		}
		if (chance(f, c->duplicate)) {
			++*harmed;
			f->tx[k] = f->tx[k - 1];
			k++;
		}
	}
	return k;
}
