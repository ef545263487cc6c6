/*
 * page.h - one page of rows: what answers a request. The functions that fill pages read the slow
 * path's records and change nothing. Owner: slow path thread.
 */
#ifndef SP_CTL_PAGE_H
#define SP_CTL_PAGE_H

#include <stddef.h>
#include <stdint.h>
#include "tas/ctl.h"

struct sp;
struct sp_conn;
struct sp_app;

#define CTL_LOOK_MAX 1024u /* connection records looked at for one page: about 100 us */

struct ctl_page {
	struct tas_ctl_reply head;
	uint8_t rows[TAS_CTL_REPLY_MAX - sizeof(struct tas_ctl_reply)];
};

static_assert(sizeof(struct ctl_page) == TAS_CTL_REPLY_MAX, "a page is a reply");

/* Place of the next row, zeroed; NULL when the page is full. It counts once ctl_page_keep is
 * called. */
void *ctl_page_row(struct ctl_page *p, const struct tas_ctl_request *q);
void ctl_page_keep(struct ctl_page *p);

/* Each fills p->rows, p->head.nrows and p->head.next. 0 or -errno. head.row_bytes is set by the
 * caller. */
int ctl_page_hello(struct sp *sp, const struct tas_ctl_request *q, struct ctl_page *p);
int ctl_page_status(struct sp *sp, const struct tas_ctl_request *q, struct ctl_page *p);
int ctl_page_flows(struct sp *sp, const struct tas_ctl_request *q, struct ctl_page *p);
/* The connection that `id` and, when not 0, `gen` name; NULL: there is none. */
struct sp_conn *ctl_conn_asked(struct sp *sp, const struct tas_ctl_request *q);
int ctl_page_flow(struct sp *sp, const struct tas_ctl_request *q, struct ctl_page *p);
int ctl_page_listeners(struct sp *sp, const struct tas_ctl_request *q, struct ctl_page *p);
int ctl_page_apps(struct sp *sp, const struct tas_ctl_request *q, struct ctl_page *p);
int ctl_page_explain(struct sp *sp, const struct tas_ctl_request *q, struct ctl_page *p);
int ctl_page_cores(struct sp *sp, const struct tas_ctl_request *q, struct ctl_page *p);
int ctl_page_counters(struct sp *sp, const struct tas_ctl_request *q, struct ctl_page *p);

/* Does the filter let this program through? */
int ctl_app_matches(const struct tas_ctl_filter *f, const struct sp_app *a);
/* Text of any content, cut to `size`. */
void ctl_copy_text(char *to, size_t size, const char *from);
/* Sum of what a program counts in explain.h. */
uint64_t ctl_explain_sum(struct sp *sp, const struct sp_app *a);

/* Sums of all drop_ and refuse_ counters. */
void ctl_sum_reasons(struct sp *sp, uint64_t *drops, uint64_t *noise, uint64_t *refused);

/* A row of an X-macro fits the fields of `type`, a row of ctl.h. */
#define CTL_ROW_FITS(type, n, u, h)                                                                \
	static_assert(sizeof(#n) <= sizeof(((type *)0)->name) &&                                   \
			      sizeof(u) <= sizeof(((type *)0)->unit) &&                            \
			      sizeof(h) <= sizeof(((type *)0)->help),                              \
		"fits a row of ctl.h");

#endif
