/*
 * wheel.c - the timing wheel (wheel.h). Owner: the core it belongs to.
 */
#include "wheel.h"
#include <string.h>

#define DIGIT	 6
#define OUT	 0u
#define MAX_TICK ((1ull << (DIGIT * FP_WHEEL_LEVELS)) - 1)

static struct fp_wheel_node *node(const struct fp_wheel *w, uint32_t id)
{
	return (struct fp_wheel_node *)(w->nodes + id * w->stride);
}

void fp_wheel_init(
	struct fp_wheel *w, struct fp_wheel_node *node0, uint64_t stride, uint64_t now_ns)
{
	memset(w, 0, sizeof(*w));
	w->nodes = (char *)node0;
	w->stride = stride;
	w->now = now_ns >> FP_WHEEL_TICK_SHIFT;
}

/* Rounded up: a deadline never fires early. */
static uint64_t tick_of(uint64_t ns)
{
	uint64_t tick = ns >> FP_WHEEL_TICK_SHIFT;

	if (ns & ((1u << FP_WHEEL_TICK_SHIFT) - 1))
		tick++;
	return tick > MAX_TICK ? MAX_TICK : tick;
}

static uint32_t level_of(uint64_t now, uint64_t at)
{
	uint64_t diff = now ^ at;

	return diff == 0 ? 0 : (63 - (uint32_t)__builtin_clzll(diff)) / DIGIT;
}

static void link_node(struct fp_wheel *w, uint32_t id, uint64_t at)
{
	struct fp_wheel_node *n = node(w, id);
	uint32_t level, slot, head;

	if (at < w->now)
		at = w->now;
	level = level_of(w->now, at);
	slot = (uint32_t)(at >> (DIGIT * level)) & (FP_WHEEL_SLOTS - 1);
	head = w->head[level][slot];
	n->at = at;
	n->place = 1 + level * FP_WHEEL_SLOTS + slot;
	n->prev = 0;
	n->next = head;
	if (head)
		node(w, head)->prev = id;
	w->head[level][slot] = id;
	w->used[level] |= 1ull << slot;
	w->count++;
}

void fp_wheel_del(struct fp_wheel *w, uint32_t id)
{
	struct fp_wheel_node *n = node(w, id);
	uint32_t level, slot;

	if (n->place == OUT)
		return;
	level = (n->place - 1) / FP_WHEEL_SLOTS;
	slot = (n->place - 1) % FP_WHEEL_SLOTS;
	if (n->prev)
		node(w, n->prev)->next = n->next;
	else
		w->head[level][slot] = n->next;
	if (n->next)
		node(w, n->next)->prev = n->prev;
	if (w->head[level][slot] == 0)
		w->used[level] &= ~(1ull << slot);
	n->place = OUT;
	w->count--;
}

void fp_wheel_add(struct fp_wheel *w, uint32_t id, uint64_t at_ns)
{
	fp_wheel_del(w, id);
	link_node(w, id, tick_of(at_ns));
}

uint64_t fp_wheel_at(const struct fp_wheel *w, uint32_t id)
{
	const struct fp_wheel_node *n = node(w, id);

	return n->place == OUT ? UINT64_MAX : n->at << FP_WHEEL_TICK_SHIFT;
}

/* First used slot: its level, slot and first tick. 0 when the wheel is empty. */
static int first_slot(const struct fp_wheel *w, uint32_t *level, uint32_t *slot, uint64_t *tick)
{
	uint32_t l;

	for (l = 0; l < FP_WHEEL_LEVELS; l++) {
		uint64_t above = DIGIT * (l + 1);

		if (w->used[l] == 0)
			continue;
		*level = l;
		*slot = (uint32_t)__builtin_ctzll(w->used[l]);
		*tick = (w->now >> above << above) | (uint64_t)*slot << (DIGIT * l);
		return 1;
	}
	return 0;
}

uint64_t fp_wheel_next(const struct fp_wheel *w)
{
	uint32_t level, slot;
	uint64_t tick;

	return first_slot(w, &level, &slot, &tick) ? tick << FP_WHEEL_TICK_SHIFT : UINT64_MAX;
}

/* The wheel has reached a slot above level 0: its nodes find their places below. */
static void cascade(struct fp_wheel *w, uint32_t level, uint32_t slot)
{
	uint32_t id = w->head[level][slot];

	w->head[level][slot] = 0;
	w->used[level] &= ~(1ull << slot);
	while (id) {
		struct fp_wheel_node *n = node(w, id);
		uint32_t next = n->next;

		w->count--;
		link_node(w, id, n->at);
		id = next;
	}
}

uint32_t fp_wheel_expire(struct fp_wheel *w, uint64_t now_ns)
{
	uint64_t now = now_ns >> FP_WHEEL_TICK_SHIFT, tick;
	uint32_t level, slot, id;

	while (first_slot(w, &level, &slot, &tick) && tick <= now) {
		w->now = tick > w->now ? tick : w->now;
		if (level != 0) {
			cascade(w, level, slot);
			continue;
		}
		id = w->head[0][slot];
		fp_wheel_del(w, id);
		return id;
	}
	if (now > w->now)
		w->now = now;
	return 0;
}
