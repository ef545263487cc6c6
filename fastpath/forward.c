/*
 * forward.c - frames between cores (forward.h). A record is a 16-byte head and the frame, both
 * rounded to 16 bytes and contiguous: a record that would cross the end of the ring is preceded by
 * a skip record.
 */
#include "alloc.h"
#include "forward.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define SKIP	  0xffffffffu
#define FRAME_MAX 65580u /* 64 KB of IP behind Ethernet and VLAN headers */

struct record {
	uint32_t len; /* SKIP: go on at the start of the ring */
	uint16_t gso_size, flags;
	uint32_t hash, zero;
};

_Static_assert(sizeof(struct record) == 16, "records stay aligned");

int fp_forward_init(struct fp_forward *r)
{
	r->mem = fp_pages(FP_FORWARD_BYTES);
	if (!r->mem)
		return -ENOMEM;
	r->head = r->tail = 0;
	return 0;
}

void fp_forward_destroy(struct fp_forward *r)
{
	if (r->mem)
		munmap(r->mem, FP_FORWARD_BYTES);
	r->mem = NULL;
}

static uint32_t record_bytes(uint32_t len)
{
	return (uint32_t)sizeof(struct record) + ((len + 15) & ~15u);
}

/* A record that does not fit before the end of the ring leaves less than its own size unused. */
uint32_t fp_forward_fits(const struct fp_forward *r)
{
	uint64_t used = r->tail - tas_load_acq(&r->head); /* G1 */
	uint32_t n = (uint32_t)(FP_FORWARD_BYTES - used) / record_bytes(FRAME_MAX);

	return n > 1 ? n - 1 : 0;
}

uint8_t *fp_forward_reserve(struct fp_forward *r, const struct nic_rxpkt *pkt, uint64_t *end)
{
	uint64_t tail = r->tail, head = tas_load_acq(&r->head); /* G1: pairs with G3 */
	uint32_t need = record_bytes(pkt->len), at = (uint32_t)(tail % FP_FORWARD_BYTES);
	uint32_t skip = at + need > FP_FORWARD_BYTES ? FP_FORWARD_BYTES - at : 0;
	struct record rec = {
		.len = pkt->len, .gso_size = pkt->gso_size, .flags = pkt->flags, .hash = pkt->hash};

	if (tail + skip + need - head > FP_FORWARD_BYTES)
		return NULL;
	if (skip) {
		struct record over = {.len = SKIP};

		memcpy(r->mem + at, &over, sizeof(over));
		at = 0;
	}
	memcpy(r->mem + at, &rec, sizeof(rec));
	*end = tail + skip + need;
	return r->mem + at + sizeof(rec);
}

void fp_forward_publish(struct fp_forward *r, uint64_t end)
{
	tas_store_rel(&r->tail, end); /* G2: pairs with fp_forward_peek */
}

int fp_forward_put(struct fp_forward *r, const struct nic_rxpkt *pkt)
{
	uint64_t end;
	uint8_t *to = fp_forward_reserve(r, pkt, &end);

	if (!to)
		return 0;
	memcpy(to, pkt->data, pkt->len);
	fp_forward_publish(r, end);
	return 1;
}

uint32_t fp_forward_peek(struct fp_forward *r, struct nic_rxpkt *pkts, uint32_t max, uint64_t *end)
{
	uint64_t at = tas_load(&r->head), tail = tas_load_acq(&r->tail);
	uint32_t n = 0;

	while (n < max && at != tail) {
		uint8_t *p = r->mem + at % FP_FORWARD_BYTES;
		struct record rec;

		memcpy(&rec, p, sizeof(rec));
		if (rec.len == SKIP) {
			at += FP_FORWARD_BYTES - at % FP_FORWARD_BYTES;
			continue;
		}
		pkts[n++] = (struct nic_rxpkt){.data = p + sizeof(rec),
			.len = rec.len,
			.gso_size = rec.gso_size,
			.flags = rec.flags,
			.hash = rec.hash};
		at += record_bytes(rec.len);
	}
	*end = at;
	return n;
}

void fp_forward_drop(struct fp_forward *r, uint64_t end)
{
	tas_store_rel(&r->head, end); /* G3: pairs with G1 */
}
