/*
 * group.h - which core has which flow group: wishes, fulfilled one set at a time (fp_move_start).
 * Owner: slow path thread. docs/decisions/0008-moving-flow-groups.md.
 */
#ifndef SP_GROUP_H
#define SP_GROUP_H

#include <stdint.h>

struct sp;

/* `group` (or TAS_CTL_ALL_GROUPS) shall go to `core`, soon; a later wish replaces it. 0, -EINVAL. */
int sp_group_move(struct sp *sp, uint32_t group, uint32_t core);
/* Groups that the core has now. */
uint32_t sp_groups_of(const struct sp *sp, uint32_t core);
/* Once a round. */
void sp_groups_run(struct sp *sp);

#endif
