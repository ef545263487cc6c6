/*
 * reap.h - descriptors and mappings that a core may be using this moment: given back after a grace
 * period. Owner: slow path thread.
 */
#ifndef SP_REAP_H
#define SP_REAP_H

#include <stdint.h>

struct sp;

#define SP_REAPS_MAX                                                                               \
	4096u /* waiting at a time; commands that would add to them are refused beyond */

/* Closes / unmaps once every core has been through its loop. The place it was known by must be
 * empty already. */
void sp_reap_fd(struct sp *sp, int fd);
void sp_reap_map(struct sp *sp, void *p, uint64_t bytes);
/* 1 = there is room for one more. */
int sp_reap_room(struct sp *sp);
/* Gives back what no core can be using any more; all of it when the cores have stopped. */
void sp_reap_run(struct sp *sp);
void sp_reap_all(struct sp *sp);

#endif
