/*
 * show_rows.c - the commands that print tables, once or again and again with rates.
 *
 * Once: pages are printed as they come, so that any number of flows needs one page of memory. With
 * -w: each sample is kept until the next, which is compared with it.
 */
#include "show.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "json.h"
#include "sample.h"
#include "table.h"

#define VIEWS_MAX 512

/* What one run of a command carries along. */
struct run {
	struct client *client;
	const struct options *options;
	const struct table *table;
	int sums;    /* counters: add the cores up */
	int reasons; /* ... and keep only reasons */
	struct sample now, before;
	uint64_t elapsed_ns; /* for rates: since the last sample, or since the start */
	struct printer printer;
	struct json json;
};

int show_again(const struct options *o, uint32_t *shown)
{
	struct timespec period = {.tv_sec = (time_t)(o->watch_ms / 1000),
		.tv_nsec = (long)(o->watch_ms % 1000) * 1000000};

	if (o->watch_ms == 0 || (o->count != 0 && *shown >= o->count))
		return 0;
	fflush(stdout);
	nanosleep(&period, NULL);
	++*shown;
	return 1;
}

void show_separate(const struct options *o, uint32_t shown)
{
	if (o->json || o->watch_ms == 0)
		return;
	if (isatty(STDOUT_FILENO))
		fputs("\033[H\033[2J", stdout);
	else if (shown > 1)
		putchar('\n');
}

static const struct table *table_of(const struct options *o)
{
	switch (o->command) {
	case CMD_LISTENERS:
		return &table_listeners;
	case CMD_APPS:
		return o->explain ? &table_explain : &table_apps;
	case CMD_CORES:
		return &table_cores;
	case CMD_DROPS:
		return &table_reasons;
	case CMD_COUNTERS:
		return &table_counters;
	default:
		return &table_flows;
	}
}

static int add_counter(struct run *r, const struct tas_ctl_counter *c)
{
	if (r->reasons && !(c->flags & TAS_CTL_C_REASON))
		return 0;
	return sample_sum(&r->now, r->table, c);
}

/* Appends the rows of the client's last reply. */
static int take_page(struct run *r)
{
	union {
		struct tas_ctl_counter counter;
		struct tas_ctl_flow flow;
		struct tas_ctl_listener listener;
		struct tas_ctl_app app;
		struct tas_ctl_core core;
		struct tas_ctl_explain explain;
	} row;
	uint32_t i;
	int err = 0;

	for (i = 0; i < r->client->head.nrows && err == 0; i++) {
		void *place;

		client_row(r->client, i, &row, r->table->row_bytes);
		if (r->sums) {
			err = add_counter(r, &row.counter);
			continue;
		}
		place = sample_add(&r->now, r->table);
		if (place == NULL)
			return -ENOMEM;
		memcpy(place, &row, r->table->row_bytes);
	}
	return err;
}

static struct view view_of(const struct run *r, uint32_t i)
{
	struct view v = {.row = sample_at(&r->now, r->table, i), .elapsed_ns = r->elapsed_ns};

	if (r->options->watch_ms != 0) {
		v.rates = 1;
		v.before = sample_find(&r->before, r->table, v.row);
	}
	return v;
}

/* A reason that never occurred says nothing to a reader; programs get all. */
static int is_left_out(const struct run *r, uint32_t i)
{
	const struct tas_ctl_counter *c;

	if (!r->reasons || r->options->all || r->options->json)
		return 0;
	c = sample_at(&r->now, r->table, i);
	return c->value == 0;
}

static void print_none(struct run *r)
{
	if (r->reasons)
		puts("none: nothing was dropped or refused (--all lists the reasons)");
	else
		table_rows(&r->printer, NULL, 0);
}

/* Prints the rows of the sample. */
static void print(struct run *r)
{
	struct view views[VIEWS_MAX];
	uint32_t i, n = 0;

	for (i = 0; i < r->now.n; i++) {
		if (is_left_out(r, i))
			continue;
		views[n++] = view_of(r, i);
		if (r->options->json) {
			json_row(&r->json, NULL, r->table, &views[--n]);
		} else if (n == VIEWS_MAX) {
			table_rows(&r->printer, views, n);
			n = 0;
		}
	}
	if (!r->options->json && n > 0)
		table_rows(&r->printer, views, n);
}

/* Reads all pages; with `stream`, each is printed and forgotten at once. */
static int read_all(struct run *r, int stream)
{
	struct tas_ctl_request q;
	int err;

	client_request(&q, r->table->op);
	q.filter = r->options->filter;
	sample_clear(&r->now);
	do {
		err = client_call(r->client, &q);
		if (err == 0)
			err = take_page(r);
		if (err != 0)
			return err;
		if (q.cursor == 0)
			r->now.now_ns = r->client->head.now_ns;
		q.cursor = r->client->head.next;
		if (stream && r->now.n > 0) {
			print(r);
			sample_clear(&r->now);
		}
	} while (q.cursor != 0);
	return 0;
}

static void begin(struct run *r)
{
	if (!r->options->json) {
		table_begin(&r->printer, r->table, stdout);
		return;
	}
	json_begin(&r->json, stdout, r->options->name);
	if (r->options->watch_ms != 0)
		json_real(&r->json, "interval_s", (double)r->elapsed_ns / 1e9);
	json_open(&r->json, r->table->name, '[');
}

static void end(struct run *r)
{
	if (!r->options->json) {
		if (!r->printer.headed)
			print_none(r);
		return;
	}
	json_close(&r->json, ']');
	json_end(&r->json);
}

static int once(struct run *r)
{
	int err;

	begin(r);
	err = read_all(r, !r->sums);
	if (err == 0 && r->sums)
		print(r);
	if (err == 0)
		end(r);
	return err;
}

static int watch(struct run *r)
{
	uint32_t shown = 0;
	int err = read_all(r, 0);

	while (err == 0 && show_again(r->options, &shown)) {
		struct sample last = r->before;

		r->before = r->now;
		r->now = last;
		sample_sort(&r->before, r->table);
		err = read_all(r, 0);
		if (err != 0)
			break;
		r->elapsed_ns = r->now.now_ns - r->before.now_ns;
		show_separate(r->options, shown);
		begin(r);
		print(r);
		end(r);
	}
	return err;
}

/* Shares of time, shown once, are since the start of the service. */
static int uptime(struct client *c, uint64_t *ns)
{
	struct tas_ctl_status s;
	struct tas_ctl_request q;
	int err;

	client_request(&q, TAS_CTL_STATUS);
	err = client_call(c, &q);
	if (err != 0)
		return err;
	if (c->head.nrows == 0)
		return -EBADMSG;
	client_row(c, 0, &s, sizeof(s));
	*ns = s.uptime_ns;
	return 0;
}

int show_rows(struct client *c, const struct options *o)
{
	static struct run r;
	int err = 0;

	r.client = c;
	r.options = o;
	r.table = table_of(o);
	r.sums = r.table->op == TAS_CTL_COUNTERS;
	r.reasons = o->command == CMD_DROPS;
	if (o->command == CMD_CORES)
		err = uptime(c, &r.elapsed_ns);
	if (err == 0)
		err = o->watch_ms != 0 ? watch(&r) : once(&r);
	sample_free(&r.now);
	sample_free(&r.before);
	return err;
}
