/*
 * explain.c - counters of what does not go through tas, and why (include/tas/explain.h).
 *
 * A count lies in exactly one place: in the control segment once there is one, before that, and
 * after the service has ended, in private memory, from where it moves into the next segment. A fork
 * child starts at zero. Nothing here is on the path of data. Owner: any thread (relaxed adds).
 */
#include "lt.h"

#define OPTION_FIRST TAS_X_option_ulp

_Static_assert(TAS_X_option_socket - OPTION_FIRST < 32, "rows of options fit lt_opts.ignored");

static uint64_t own[TAS_X_COUNT]; /* while there is no segment */
static uint64_t *shared;	  /* in the segment in use, or NULL */
static uint32_t shared_rows;

/* A child made behind libc's back has no segment mapped, and may not have noticed yet. */
bool lt_explain_noticed(void)
{
	const uint32_t *alive = tas_load(&lt_alive);

	return alive == NULL || tas_load(alive) != 0;
}

static uint64_t *place(uint32_t row)
{
	uint64_t *s = tas_load_acq(&shared);

	return s != NULL && row < tas_load(&shared_rows) && lt_explain_noticed() ? &s[row]
										 : &own[row];
}

void lt_explain(enum tas_explain row)
{
	__atomic_fetch_add(place(row), 1, __ATOMIC_RELAXED);
}

uint64_t lt_explained(enum tas_explain row)
{
	uint64_t *p = place(row);

	return tas_load(p) + (p != &own[row] ? tas_load(&own[row]) : 0);
}

void lt_explain_open(uint64_t *words, uint32_t rows)
{
	uint32_t i;

	if (words == NULL)
		return;
	tas_store(&shared_rows, rows);
	tas_store_rel(&shared, words);
	for (i = 0; i < TAS_X_COUNT && i < rows; i++)
		__atomic_fetch_add(&words[i], tas_xchg(&own[i], 0), __ATOMIC_RELAXED);
}

void lt_explain_close(void)
{
	uint64_t *words = tas_xchg(&shared, NULL);
	uint32_t i;

	for (i = 0; words != NULL && i < TAS_X_COUNT && i < shared_rows; i++)
		__atomic_fetch_add(&own[i], tas_xchg(&words[i], 0), __ATOMIC_RELAXED);
}

void lt_explain_fork_child(void)
{
	shared = NULL;
	memset(own, 0, sizeof(own));
	lt_report_fork_child();
}

/* ---- options ---- */

void lt_explain_option(struct lt_desc *d, enum tas_explain row)
{
	if (d->kind == LT_UNDECIDED)
		tas_fetch_or(&d->opts.ignored, 1u << (row - OPTION_FIRST));
	else if (d->kind == LT_CONN || d->kind == LT_LISTEN)
		lt_explain(row);
}

void lt_explain_decided(struct lt_desc *d)
{
	uint32_t bits = tas_xchg(&d->opts.ignored, 0u);

	for (; bits != 0; bits &= bits - 1)
		lt_explain((enum tas_explain)(OPTION_FIRST + __builtin_ctz(bits)));
}
