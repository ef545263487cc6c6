/*
 * doorbell.c - what does one notification cost: a doorbell bitmap, or an SPSC ring with a pending mark?
 *
 * Both run ringer and listener on one core, on the real tas_bell_* code and on the ring it would replace. An
 * event is: publish a position, notify, take the notification, read the position. TSC cycles per event, median
 * of 31 rounds. Decision: docs/decisions/0004-doorbells.md.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>
#include "tas/doorbell.h"

#define SLOTS  65536u
#define ROUNDS 31
#define EVENTS 65536u

struct slot {
	uint64_t pos;
	uint32_t mark;
	uint32_t pad[13];
};

static struct slot *slots;
static struct tas_bell *bell;
static uint32_t ring[SLOTS], ring_tail, ring_head;
static uint64_t sink;

static void ring_push(uint32_t slot)
{
	if (tas_xchg(&slots[slot].mark, 1u) != 0)
		return;
	ring[ring_tail % SLOTS] = slot;
	tas_store_rel(&ring_tail, ring_tail + 1);
}

static void ring_drain(void)
{
	while (ring_head != tas_load_acq(&ring_tail)) {
		uint32_t slot = ring[ring_head++ % SLOTS];

		tas_xchg(&slots[slot].mark, 0u);
		sink += tas_load(&slots[slot].pos);
	}
}

static void bell_drain(void)
{
	uint32_t cursor = 0, first;
	uint64_t bits;

	while ((bits = tas_bell_take(bell, SLOTS, &cursor, &first)) != 0)
		for (; bits != 0; bits &= bits - 1)
			sink += tas_load(&slots[first + (uint32_t)__builtin_ctzll(bits)].pos);
}

/* Cycles per event with `batch` events between drains, over slots `stride` apart. */
static double once(int use_bell, uint32_t batch, uint32_t stride)
{
	uint64_t t0 = __rdtsc();
	uint32_t slot = 0;

	for (uint32_t n = 0; n < EVENTS; n += batch) {
		for (uint32_t i = 0; i < batch; i++) {
			slot = (slot + stride) % SLOTS;
			tas_store_rel(&slots[slot].pos, n + i);
			if (use_bell)
				tas_bell_ring(bell, slot);
			else
				ring_push(slot);
		}
		if (use_bell)
			bell_drain();
		else
			ring_drain();
	}
	return (double)(__rdtsc() - t0) / EVENTS;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(int use_bell, uint32_t batch, uint32_t stride)
{
	double v[ROUNDS];

	for (int i = 0; i < ROUNDS; i++)
		v[i] = once(use_bell, batch, stride);
	qsort(v, ROUNDS, sizeof(v[0]), by_value);
	return v[ROUNDS / 2];
}

int main(void)
{
	static const uint32_t batches[] = {1, 4, 16, 64}, strides[] = {1, 67, 4099};

	slots = aligned_alloc(64, SLOTS * sizeof(*slots));
	bell = aligned_alloc(64, tas_bell_size(SLOTS));
	if (slots == NULL || bell == NULL)
		return 1;
	memset(slots, 0, SLOTS * sizeof(*slots));
	memset(bell, 0, tas_bell_size(SLOTS));
	printf("%8s %8s %12s %12s   (TSC cycles per event)\n", "batch", "stride", "bell",
		"ring+mark");
	for (size_t s = 0; s < sizeof(strides) / sizeof(strides[0]); s++)
		for (size_t b = 0; b < sizeof(batches) / sizeof(batches[0]); b++)
			printf("%8u %8u %12.1f %12.1f\n", batches[b], strides[s],
				median(1, batches[b], strides[s]),
				median(0, batches[b], strides[s]));
	return sink == 1;
}
