/*
 * group.c - flow groups on their way to other cores (see group.h). Owner: slow path thread.
 */
#include "group.h"

#include <errno.h>
#include <string.h>
#include "flowctl.h"
#include "sp.h"
#include "tas/ctl.h"

#define COST_A_MOVE 2048u /* fp_group_cost: the old owner's round takes some 0.2 ms */

int sp_group_move(struct sp *sp, uint32_t group, uint32_t core)
{
	uint32_t g, first = group, end = group + 1;

	if (core >= sp->ncores || (group >= NIC_GROUPS && group != TAS_CTL_ALL_GROUPS))
		return -EINVAL;
	if (group == TAS_CTL_ALL_GROUPS) {
		first = 0;
		end = NIC_GROUPS;
	}
	for (g = first; g < end; g++)
		sp->group_wish[g] = (uint8_t)(core + 1);
	sp->groups_wished = 1;
	return 0;
}

uint32_t sp_groups_of(const struct sp *sp, uint32_t core)
{
	uint32_t g, n = 0;

	for (g = 0; g < NIC_GROUPS; g++)
		n += fp_group_core(sp->fp, g) == core;
	return n;
}

/*
 * Takes out the wishes that go the same way as the first open one, as many as a round can bear, and
 * that one in any case; how many.
 */
static uint32_t choose(struct sp *sp, uint64_t *set, uint32_t *from, uint32_t *to)
{
	uint64_t cost = 0;
	uint32_t n = 0, g;

	for (g = 0; g < NIC_GROUPS; g++) {
		uint32_t wish = sp->group_wish[g], now = fp_group_core(sp->fp, g);
		uint32_t more = fp_group_cost(sp->fp, g);

		if (wish == 0 || wish - 1 == now) {
			sp->group_wish[g] = 0;
			continue;
		}
		if (n != 0 && (now != *from || wish - 1 != *to))
			continue;
		if (n != 0 && more != 0 && cost + more > COST_A_MOVE)
			continue;
		cost += more;
		*from = now;
		*to = wish - 1;
		set[g / 64] |= 1ull << (g % 64);
		n++;
	}
	return n;
}

void sp_groups_run(struct sp *sp)
{
	uint64_t set[NIC_GROUPS / 64] = {0};
	uint32_t from, to;

	if (!sp->groups_wished || sp_flow_paused(sp) || fp_move_poll(sp->fp) != FP_MOVES_NONE)
		return;
	/* The cores must have had every message that was sent before. */
	if (sp_flow_backlogged(sp))
		return;
	if (choose(sp, set, &from, &to) == 0)
		sp->groups_wished = 0;
	else if (fp_move_start(sp->fp, set, from, to) == 0)
		sp_flow_pause(sp);
}
