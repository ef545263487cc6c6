/*
 * place.c - NUMA placement (place.h) through libnuma, numa(3). Slow path thread.
 */
#include "place.h"
#include <numa.h>

#define PAGE 4096u

static uint32_t real_nodes(void)
{
	int n = numa_available() < 0 ? 1 : numa_num_configured_nodes();

	return n > 0 ? (uint32_t)n : 1;
}

static int real_node_of_cpu(int cpu)
{
	return numa_node_of_cpu(cpu);
}

/* Preferred, not bound: a node that is full is no reason to fail. */
static void real_prefer(int node)
{
	if (node < 0)
		numa_set_localalloc();
	else
		numa_set_preferred(node);
}

static const struct fp_place_ops real = {real_nodes, real_node_of_cpu, real_prefer};
static const struct fp_place_ops *ops = &real;

void fp_place_use(const struct fp_place_ops *other)
{
	ops = other ? other : &real;
}

uint32_t fp_place_nodes(void)
{
	return ops->nodes();
}

int fp_place_node(int cpu)
{
	int node = cpu >= 0 && fp_place_nodes() > 1 ? ops->node_of_cpu(cpu) : 0;

	return node < 0 ? 0 : node;
}

void fp_place_begin(int node)
{
	if (fp_place_nodes() > 1)
		ops->prefer(node);
}

void fp_place_end(void)
{
	if (fp_place_nodes() > 1)
		ops->prefer(-1);
}

void fp_place_touch(void *mem, uint64_t bytes)
{
	volatile uint8_t *p = mem;
	uint64_t at;

	for (at = 0; fp_place_nodes() > 1 && at < bytes; at += PAGE)
		p[at] = 0;
}
