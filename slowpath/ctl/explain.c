/*
 * explain.c - pages of what programs counted (include/tas/explain.h): why their sockets are not, or
 * not wholly, served by tas.
 *
 * The numbers lie where the program may write anything: each is loaded once and only shown. A page
 * looks at CTL_LOOK_MAX of them. Owner: slow path thread.
 */
#include "ctl/page.h"

#include <string.h>
#include "sp.h"
#include "tas/atomic.h"
#include "tas/explain.h"

struct row {
	const char *name, *unit, *help;
};

#define ROW(n, u, h)	   {#n, u, h},
#define CHECK_ROW(n, u, h) CTL_ROW_FITS(struct tas_ctl_explain, n, u, h)

TAS_EXPLAIN_ROWS(CHECK_ROW)

static const struct row rows[TAS_X_COUNT] = {TAS_EXPLAIN_ROWS(ROW)};

/* NULL before the program has memory. */
static const uint64_t *counters_of(struct sp *sp, const struct sp_app *a)
{
	const struct fp_app *fa = sp_app_fp(sp, a);

	return fa != NULL ? fa->explain : NULL;
}

uint64_t ctl_explain_sum(struct sp *sp, const struct sp_app *a)
{
	const uint64_t *v = counters_of(sp, a);
	uint64_t sum = 0;
	uint32_t i;

	for (i = 0; v != NULL && i < TAS_X_COUNT; i++)
		sum += tas_load(&v[i]);
	return sum;
}

static void fill(const struct sp_app *a, uint32_t i, uint64_t value, struct tas_ctl_explain *out)
{
	out->app = a->id;
	out->pid = a->pid;
	out->value = value;
	ctl_copy_text(out->comm, sizeof(out->comm), a->comm);
	strcpy(out->name, rows[i].name);
	strcpy(out->unit, rows[i].unit);
	strcpy(out->help, rows[i].help);
}

/* The rows of one program from *i on. 0: all are in; 1: the page is full or the budget used. */
static int page_of(struct sp *sp, const struct tas_ctl_request *q, struct ctl_page *p,
	const struct sp_app *a, uint32_t *i, uint32_t *budget)
{
	const uint64_t *v = counters_of(sp, a);

	for (; v != NULL && *i < TAS_X_COUNT; ++*i) {
		struct tas_ctl_explain *row;
		uint64_t value;

		if ((*budget)-- == 0)
			return 1;
		value = tas_load(&v[*i]);
		if (value == 0)
			continue;
		row = ctl_page_row(p, q);
		if (row == NULL)
			return 1;
		fill(a, *i, value, row);
		ctl_page_keep(p);
	}
	return 0;
}

/* The cursor is (program << 32 | row). */
int ctl_page_explain(struct sp *sp, const struct tas_ctl_request *q, struct ctl_page *p)
{
	uint64_t from = q->cursor >> 32;
	uint32_t cursor = from > FP_MAX_APPS ? FP_MAX_APPS : (uint32_t)from,
		 i = (uint32_t)q->cursor;
	uint32_t budget = CTL_LOOK_MAX;
	struct sp_app *a;

	if (cursor == 0)
		cursor = 1;
	for (; (a = sp_app_next(sp, &cursor)) != NULL; i = 0) {
		if (a->id != from)
			i = 0;
		if (!ctl_app_matches(&q->filter, a) || page_of(sp, q, p, a, &i, &budget) == 0)
			continue;
		p->head.next = (uint64_t)a->id << 32 | i;
		return 0;
	}
	return 0;
}
