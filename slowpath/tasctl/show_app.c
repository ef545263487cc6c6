/*
 * show_app.c - `app`: one program in detail, and what of it does not go through tas.
 */
#include "show.h"

#include <errno.h>
#include "json.h"
#include "table.h"

#define ROWS_MAX 512

static int read_app(struct client *c, const struct options *o, struct tas_ctl_app *row)
{
	struct tas_ctl_request q;
	int err;

	client_request(&q, TAS_CTL_APPS);
	q.filter.mask = TAS_CTL_BY_APP;
	q.filter.app = o->id;
	err = client_call(c, &q);
	if (err != 0)
		return err;
	if (c->head.nrows == 0)
		return -ENOENT;
	client_row(c, 0, row, sizeof(*row));
	return 0;
}

/* The program's counters; *n of them. */
static int read_explain(
	struct client *c, const struct options *o, struct tas_ctl_explain *rows, uint32_t *n)
{
	struct tas_ctl_request q;
	uint32_t i;
	int err;

	*n = 0;
	client_request(&q, TAS_CTL_EXPLAIN);
	q.filter.mask = TAS_CTL_BY_APP;
	q.filter.app = o->id;
	do {
		err = client_call(c, &q);
		if (err != 0)
			return err;
		for (i = 0; i < c->head.nrows && *n < ROWS_MAX; i++)
			client_row(c, i, &rows[(*n)++], sizeof(*rows));
		q.cursor = c->head.next;
	} while (q.cursor != 0);
	return 0;
}

static void print_json(
	const struct options *o, const struct view *app, const struct view *rows, uint32_t n)
{
	struct json j;
	uint32_t i;

	json_begin(&j, stdout, o->name);
	json_row(&j, "app", &table_apps, app);
	json_open(&j, "explain", '[');
	for (i = 0; i < n; i++)
		json_row(&j, NULL, &table_explain, &rows[i]);
	json_close(&j, ']');
	json_end(&j);
}

static void print_text(const struct view *app, const struct view *rows, uint32_t n)
{
	struct printer p;

	table_detail(&table_apps, app, stdout);
	if (n == 0)
		return;
	fputs("\nWhat does not go through tas, as the program counts it:\n", stdout);
	table_begin(&p, &table_explain, stdout);
	table_rows(&p, rows, n);
}

int show_app(struct client *c, const struct options *o)
{
	static struct tas_ctl_explain rows[ROWS_MAX];
	static struct view views[ROWS_MAX];
	struct tas_ctl_app app;
	struct view v = {.row = &app};
	uint32_t i, n = 0;
	int err = read_app(c, o, &app);

	if (err == 0)
		err = read_explain(c, o, rows, &n);
	if (err != 0)
		return err;
	for (i = 0; i < n; i++)
		views[i].row = &rows[i];
	if (o->json)
		print_json(o, &v, views, n);
	else
		print_text(&v, views, n);
	return 0;
}
