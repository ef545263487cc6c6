/*
 * sample.h - the rows of one moment, kept so that the next can be compared with them.
 */
#ifndef TASCTL_SAMPLE_H
#define TASCTL_SAMPLE_H

#include <stdint.h>
#include "column.h"

struct sample {
	uint8_t *rows;
	uint32_t n, cap;
	uint64_t now_ns; /* of the daemon, when its first page was made */
};

/* A place for one more row; NULL when there is no memory. */
void *sample_add(struct sample *s, const struct table *t);
const void *sample_at(const struct sample *s, const struct table *t, uint32_t i);
/* Sorts by the table's key, for sample_find. */
void sample_sort(struct sample *s, const struct table *t);
/* The row with the same key in a sorted sample, or NULL. */
const void *sample_find(const struct sample *s, const struct table *t, const void *row);
/* Adds a counter to the one of the same name (the sum over the cores), or appends it. 0 or -ENOMEM.
 */
int sample_sum(struct sample *s, const struct table *t, const struct tas_ctl_counter *c);
void sample_clear(struct sample *s);
void sample_free(struct sample *s);

#endif
