/*
 * place.h - NUMA: on which node a core's CPU is, and memory for a core from that node.
 *
 * On a machine with one node, or without libnuma's help, everything here says node 0 and does nothing. A core's
 * own pages that its thread touches first are local anyway, since it is pinned before; this is for what the slow path
 * makes and touches in its stead. Slow path thread.
 */
#ifndef FP_PLACE_H
#define FP_PLACE_H

#include <stdint.h>

/* How many nodes; at least 1. */
uint32_t fp_place_nodes(void);
/* The node of a CPU; 0 for one that is not known or not pinned (-1). */
int fp_place_node(int cpu);
/* From here to fp_place_end new pages of this thread come from `node` where it has any. */
void fp_place_begin(int node);
void fp_place_end(void);
/* Fills in pages that have been asked for and not used yet, where it matters which node they come from. */
void fp_place_touch(void *mem, uint64_t bytes);

/* What there is to ask and to tell; tests put a machine of their own in its place. NULL: the real one. */
struct fp_place_ops {
	uint32_t (*nodes)(void);
	int (*node_of_cpu)(int cpu); /* -1 = not known */
	void (*prefer)(int node);    /* -1 = as the machine likes */
};
void fp_place_use(const struct fp_place_ops *ops);

#endif
