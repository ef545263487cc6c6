/*
 * wheel.h - one deadline per flow in a hierarchical timing wheel: insert and remove in O(1), the
 * next deadline in O(levels). Pure: time is an argument.
 *
 * Eight levels of 64 slots over ticks of 8.2 us. A node lies at the level of the highest base-64
 * digit in which its tick differs from the wheel's, so that all of a level's slots lie before all
 * of the next one's; when the wheel reaches a slot above level 0 its nodes move down. (Varghese and
 * Lauck, "Hashed and hierarchical timing wheels".) Nodes are found by id in an array of any stride.
 * Never early; late by at most one tick plus the caller's delay.
 */
#ifndef FP_WHEEL_H
#define FP_WHEEL_H

#include <stdint.h>
#include "flow.h"

#define FP_WHEEL_TICK_SHIFT 13 /* 8192 ns: a 64 KB frame at 60 Gbit/s */
#define FP_WHEEL_LEVELS	    8
#define FP_WHEEL_SLOTS	    64

struct fp_wheel {
	char *nodes; /* node of id 0 (unused) */
	uint64_t stride;
	uint64_t now; /* tick up to which everything has fired */
	uint32_t count;
	uint64_t used[FP_WHEEL_LEVELS]; /* bit per slot */
	uint32_t head[FP_WHEEL_LEVELS][FP_WHEEL_SLOTS];
};

void fp_wheel_init(
	struct fp_wheel *w, struct fp_wheel_node *node0, uint64_t stride, uint64_t now_ns);
/* Fires `id` at at_ns; moves it if it is in the wheel already. */
void fp_wheel_add(struct fp_wheel *w, uint32_t id, uint64_t at_ns);
void fp_wheel_del(struct fp_wheel *w, uint32_t id);
/* Deadline of `id` in ns, or UINT64_MAX if it is not in the wheel. */
uint64_t fp_wheel_at(const struct fp_wheel *w, uint32_t id);
/* No deadline lies before this time, ns; UINT64_MAX when the wheel is empty. */
uint64_t fp_wheel_next(const struct fp_wheel *w);
/* Takes out one id whose time has come; 0 when there is none. */
uint32_t fp_wheel_expire(struct fp_wheel *w, uint64_t now_ns);

#endif
