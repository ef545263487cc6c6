/*
 * table.h - rows for people: aligned tables, and one row in detail.
 */
#ifndef TASCTL_TABLE_H
#define TASCTL_TABLE_H

#include <stdint.h>
#include <stdio.h>
#include "column.h"

#define TABLE_COLUMNS_MAX 48
#define CELL_MAX	  128

/* A row, the same row a moment ago, and the time between them. */
struct view {
	const void *row;
	const void *before;  /* NULL: it was not there */
	uint64_t elapsed_ns; /* since `before`, or since the start of the service */
	int rates;	     /* show what grows as a rate */
};

struct printer {
	const struct table *table;
	FILE *out;
	int headed;
	int width[TABLE_COLUMNS_MAX];
};

/* One value as text, CELL_MAX bytes at most. */
void table_cell(const struct column *c, const struct view *v, char *out);
/* What grows, per second. */
double table_rate(const struct column *c, const struct view *v);

void table_begin(struct printer *p, const struct table *t, FILE *out);
/* A page of rows; the first is preceded by the headings. Columns get wider when a later page needs
 * it. */
void table_rows(struct printer *p, const struct view *views, uint32_t n);
/* One row as "label: value" lines. */
void table_detail(const struct table *t, const struct view *v, FILE *out);

#endif
