/*
 * move.c - flow groups change cores, the slow path's side: who owns which group, one move at a time,
 * the port's steering (groups.c is the cores' side). Owner: slow path thread.
 * docs/decisions/0008-moving-flow-groups.md.
 */
#include <errno.h>
#include "core.h"

uint32_t fp_group_of(const struct fp *fp, const struct tas_tuple *t)
{
	return nic_group(fp->nic, t->laddr, t->raddr, t->lport, t->rport, 0);
}

uint32_t fp_group_core(const struct fp *fp, uint32_t group)
{
	return fp->group_core[group];
}

uint32_t fp_core_of(const struct fp *fp, const struct tas_tuple *t)
{
	return fp->group_core[fp_group_of(fp, t)];
}

uint32_t fp_group_cost(const struct fp *fp, uint32_t group)
{
	uint32_t flows = fp_table_count(&fp->table, group);

	return flows == 0 ? 0 : flows + fp->table.part;
}

static int in_set(const uint64_t *set, uint32_t group)
{
	return (int)(set[group / 64] >> (group % 64) & 1);
}

static int all_owned_by(const struct fp *fp, const uint64_t *set, uint32_t core)
{
	uint32_t g;

	for (g = 0; g < NIC_GROUPS; g++)
		if (in_set(set, g) && fp->group_core[g] != core)
			return 0;
	return 1;
}

static int room_everywhere(struct fp *fp)
{
	uint32_t i;

	for (i = 0; i < fp->ncores; i++)
		if (spsc_room(&fp->cores[i].msgs) == 0)
			return 0;
	return 1;
}

int fp_move_start(struct fp *fp, const uint64_t set[NIC_GROUPS / 64], uint32_t from, uint32_t to)
{
	struct sp_msg m = {.type = SP_GROUP_MOVE};
	uint32_t i;

	if (from >= fp->ncores || to >= fp->ncores || from == to || !all_owned_by(fp, set, from))
		return -EINVAL;
	if (fp->move.phase != FP_MOVES_NONE)
		return -EBUSY;
	if (!room_everywhere(fp))
		return -EAGAIN;
	fp->move.phase = FP_MOVES_HANDING;
	fp->move.from = m.u.move.from = from;
	fp->move.to = m.u.move.to = to;
	memcpy(fp->move.set, set, sizeof(fp->move.set));
	memcpy(m.u.move.set, set, sizeof(m.u.move.set));
	tas_store(&fp->move.state, (uint32_t)FP_MOVES_HANDING);
	for (i = 0; i < fp->ncores; i++)
		fp_send(fp, i, &m);
	return 0;
}

/* The new owner has the flows: frames and messages shall go there too. */
static void redirect(struct fp *fp)
{
	uint32_t g;

	for (g = 0; g < NIC_GROUPS; g++) {
		if (!in_set(fp->move.set, g))
			continue;
		fp->group_core[g] = (uint8_t)fp->move.to;
		nic_steer(fp->nic, g, fp->move.to); /* refused: the old owner goes on forwarding */
	}
	fp->move.drain_due = 1;
}

static void drain(struct fp *fp)
{
	struct sp_msg m = {.type = SP_GROUP_DRAIN};

	if (fp->move.drain_due && fp_send(fp, fp->move.from, &m) == 0)
		fp->move.drain_due = 0;
}

/* fp_prepare_sleep looks here, E1 pairs with it as for events. */
int fp_move_news(const struct fp *fp)
{
	uint32_t state = tas_load_acq(&fp->move.state);

	return (fp->move.phase == FP_MOVES_HANDING && state != FP_MOVES_HANDING) ||
	       (fp->move.phase == FP_MOVES_SETTLING && state == FP_MOVES_NONE);
}

/* V1: pairs with the new owner's release after it has taken the flows / processed what it held. */
enum fp_move_state fp_move_poll(struct fp *fp)
{
	uint32_t state = tas_load_acq(&fp->move.state);

	if (fp->move.phase == FP_MOVES_HANDING && state != FP_MOVES_HANDING) {
		redirect(fp);
		fp->move.phase = FP_MOVES_SETTLING;
	}
	if (fp->move.phase == FP_MOVES_SETTLING) {
		drain(fp);
		if (state == FP_MOVES_NONE)
			fp->move.phase = FP_MOVES_NONE;
	}
	return (enum fp_move_state)fp->move.phase;
}
