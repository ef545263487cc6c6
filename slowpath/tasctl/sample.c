/*
 * sample.c - a growing array of rows with search by key.
 */
#include "sample.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void *sample_add(struct sample *s, const struct table *t)
{
	if (s->n == s->cap) {
		uint32_t cap = s->cap == 0 ? 256 : s->cap * 2;
		uint8_t *rows = reallocarray(s->rows, cap, t->row_bytes);

		if (rows == NULL)
			return NULL;
		s->rows = rows;
		s->cap = cap;
	}
	return s->rows + (size_t)s->n++ * t->row_bytes;
}

const void *sample_at(const struct sample *s, const struct table *t, uint32_t i)
{
	return s->rows + (size_t)i * t->row_bytes;
}

static int by_key(const void *a, const void *b, void *table)
{
	const struct table *t = table;
	uint64_t ka = t->key(a), kb = t->key(b);

	return ka < kb ? -1 : ka > kb;
}

void sample_sort(struct sample *s, const struct table *t)
{
	if (s->n > 1)
		qsort_r(s->rows, s->n, t->row_bytes, by_key, (void *)(uintptr_t)t);
}

const void *sample_find(const struct sample *s, const struct table *t, const void *row)
{
	uint64_t key = t->key(row);
	uint32_t low = 0, high = s->n;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (t->key(sample_at(s, t, mid)) < key)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == s->n || t->key(sample_at(s, t, low)) != key)
		return NULL;
	return sample_at(s, t, low);
}

int sample_sum(struct sample *s, const struct table *t, const struct tas_ctl_counter *c)
{
	struct tas_ctl_counter *rows = (struct tas_ctl_counter *)(void *)s->rows, *place;
	uint32_t i;

	for (i = 0; i < s->n; i++) { /* some tens of rows */
		if (strncmp(rows[i].name, c->name, sizeof(c->name)) == 0) {
			rows[i].value += c->value;
			return 0;
		}
	}
	place = sample_add(s, t);
	if (place == NULL)
		return -ENOMEM;
	*place = *c;
	return 0;
}

void sample_clear(struct sample *s)
{
	s->n = 0;
}

void sample_free(struct sample *s)
{
	free(s->rows);
	memset(s, 0, sizeof(*s));
}
