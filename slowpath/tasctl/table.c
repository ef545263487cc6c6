/*
 * table.c - aligned tables: numbers to the right, text to the left, widths from the first page.
 */
#include "table.h"

#include <string.h>
#include "units.h"

static void cell_flags(const struct column *c, uint64_t bits, char *out)
{
	const struct bit_name *b;
	size_t n = 0;

	out[0] = 0;
	for (b = c->names; b->name != NULL; b++) {
		if (bits & b->bit && n + strlen(b->name) + 2 < CELL_MAX)
			n += (size_t)snprintf(out + n, CELL_MAX - n, "%s%s", n ? "," : "", b->name);
	}
	if (n == 0)
		strcpy(out, "-");
}

static void cell_ids(const struct column *c, const char *at, char *out)
{
	size_t n = 0, i;

	out[0] = 0;
	for (i = 0; i < c->size / sizeof(uint32_t); i++) {
		uint32_t id;

		memcpy(&id, at + i * sizeof(id), sizeof(id));
		if (id != 0 && n + 12 < CELL_MAX)
			n += (size_t)snprintf(out + n, CELL_MAX - n, "%s%u", n ? "," : "", id);
	}
	if (n == 0)
		strcpy(out, "-");
}

double table_rate(const struct column *c, const struct view *v)
{
	uint64_t now = column_number(c, v->row);
	uint64_t then = v->before != NULL ? column_number(c, v->before) : 0;

	if (v->elapsed_ns == 0 || now < then)
		return 0;
	return (double)(now - then) * 1e9 / (double)v->elapsed_ns;
}

static void cell_text(const struct column *c, const struct view *v, char *out)
{
	const char *at = (const char *)v->row + c->offset;

	switch (c->kind) {
	case KIND_TEXT:
		units_text(out, at, c->size);
		if (out[0] == 0)
			strcpy(out, "-");
		break;
	case KIND_ADDR:
		units_addr(out, (const uint8_t *)at);
		break;
	case KIND_ENDPOINT: {
		uint16_t port;

		memcpy(&port, (const char *)v->row + c->offset2, sizeof(port));
		units_endpoint(out, (const uint8_t *)at, port);
		break;
	}
	case KIND_FLOW: {
		uint32_t gen;

		memcpy(&gen, (const char *)v->row + c->offset2, sizeof(gen));
		units_flow(out, (uint32_t)column_number(c, v->row), gen);
		break;
	}
	case KIND_STATE:
		strcpy(out, state_name((uint32_t)column_number(c, v->row)));
		break;
	case KIND_FLAGS:
		cell_flags(c, column_number(c, v->row), out);
		break;
	default:
		cell_ids(c, at, out);
	}
}

static void cell_number(const struct column *c, const struct view *v, char *out)
{
	uint64_t n = column_number(c, v->row);
	double value = column_grows(c) && v->rates ? table_rate(c, v) : (double)n;

	switch (c->kind) {
	case KIND_COUNT:
		units_count(out, value);
		break;
	case KIND_BYTES:
	case KIND_TRAFFIC:
		units_bytes(out, value);
		break;
	case KIND_US:
		units_us(out, value);
		break;
	case KIND_AGE:
		units_age(out, n);
		break;
	case KIND_SHARE:
		units_share(out, table_rate(c, v) / 1e9);
		break;
	case KIND_KBPS:
		units_kbps(out, value);
		break;
	case KIND_SIGNED:
		snprintf(out, CELL_MAX, (int32_t)n < 0 ? "-" : "%d", (int)(int32_t)n);
		break;
	default:
		snprintf(out, CELL_MAX, "%llu", (unsigned long long)n);
	}
}

void table_cell(const struct column *c, const struct view *v, char *out)
{
	if (column_is_text(c))
		cell_text(c, v, out);
	else
		cell_number(c, v, out);
}

static void heading(const struct column *c, int rates, char *out)
{
	int per_second = rates && column_grows(c) && c->kind != KIND_SHARE;

	snprintf(out, CELL_MAX, "%s%s", c->head, per_second ? "/s" : "");
}

void table_begin(struct printer *p, const struct table *t, FILE *out)
{
	memset(p, 0, sizeof(*p));
	p->table = t;
	p->out = out;
}

static void widen(struct printer *p, uint32_t col, const char *text)
{
	int n = (int)strlen(text);

	if (n > p->width[col])
		p->width[col] = n;
}

static void put(const struct printer *p, uint32_t col, const char *text, int last)
{
	const struct column *c = &p->table->columns[col];

	if (!column_is_text(c))
		fprintf(p->out, "%*s", p->width[col], text);
	else if (last)
		fputs(text, p->out);
	else
		fprintf(p->out, "%-*s", p->width[col], text);
	fputs(last ? "\n" : "  ", p->out);
}

static uint32_t last_column(const struct table *t)
{
	uint32_t i, last = 0;

	for (i = 0; i < t->ncolumns; i++) {
		if (t->columns[i].head != NULL)
			last = i;
	}
	return last;
}

/* Measures (draw = 0) or draws a line: the headings when v is NULL. */
static void line(struct printer *p, const struct view *v, int rates, int draw)
{
	uint32_t i, last = last_column(p->table);
	char text[CELL_MAX];

	for (i = 0; i < p->table->ncolumns; i++) {
		const struct column *c = &p->table->columns[i];

		if (c->head == NULL)
			continue;
		if (v != NULL)
			table_cell(c, v, text);
		else
			heading(c, rates, text);
		if (draw)
			put(p, i, text, i == last);
		else
			widen(p, i, text);
	}
}

void table_rows(struct printer *p, const struct view *views, uint32_t n)
{
	int rates = n > 0 && views[0].rates;
	uint32_t i;

	if (!p->headed)
		line(p, NULL, rates, 0);
	for (i = 0; i < n; i++)
		line(p, &views[i], rates, 0);
	if (!p->headed)
		line(p, NULL, rates, 1);
	p->headed = 1;
	for (i = 0; i < n; i++)
		line(p, &views[i], rates, 1);
}

void table_detail(const struct table *t, const struct view *v, FILE *out)
{
	char text[CELL_MAX];
	uint32_t i;

	for (i = 0; i < t->ncolumns; i++) {
		const struct column *c = &t->columns[i];

		if (c->label == NULL)
			continue;
		table_cell(c, v, text);
		fprintf(out, "%-38s %s%s\n", c->label, text,
			v->rates && column_grows(c) ? "/s" : "");
	}
}
