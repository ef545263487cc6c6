/*
 * column.h - what the rows of the protocol are made of: one line per column gives the table, the
 * JSON member, the detailed view and whether -w shows it as a rate.
 */
#ifndef TASCTL_COLUMN_H
#define TASCTL_COLUMN_H

#include <stddef.h>
#include <stdint.h>
#include "tas/ctl.h"

enum kind {
	KIND_NUMBER, /* as it is */
	KIND_SIGNED, /* int32, as it is */
	KIND_COUNT,  /* grows: with k, M, ...; per second with -w */
	KIND_BYTES,
	KIND_TRAFFIC, /* bytes that grow: per second with -w */
	KIND_US,
	KIND_AGE,   /* ns */
	KIND_SHARE, /* ns that grow: share of the time */
	KIND_KBPS,
	KIND_TEXT,
	KIND_ADDR,
	KIND_PORT,     /* JSON only */
	KIND_ENDPOINT, /* table only: address at offset, port at offset2 */
	KIND_STATE,
	KIND_FLAGS, /* names of bits: column.names */
	KIND_FLOW,  /* id at offset, generation at offset2: "7.1234", as flow and kill take it */
	KIND_IDS,   /* array of KIND_NUMBER, zeros left out */
};

struct bit_name {
	uint32_t bit;
	const char *name;
};

struct column {
	const char *json;  /* member's name; NULL: not in JSON */
	const char *head;  /* heading in tables; NULL: not in tables */
	const char *label; /* in the detailed view; NULL: not there */
	enum kind kind;
	uint16_t offset, size; /* of the value in the row; size of text and arrays */
	uint16_t offset2;
	const struct bit_name *names;
	uint64_t (*get)(const void *row); /* derived values */
};

struct table {
	const char *name; /* JSON array */
	enum tas_ctl_op op;
	uint32_t row_bytes;
	const struct column *columns;
	uint32_t ncolumns;
	uint64_t (*key)(const void *row); /* tells rows of two samples apart */
};

extern const struct table table_flows, table_listeners, table_apps, table_cores, table_reasons,
	table_counters, table_explain;

/* Number in the row, 0 for kinds that hold none. */
uint64_t column_number(const struct column *c, const void *row);
/* True for kinds whose difference over time is of interest. */
int column_grows(const struct column *c);
int column_is_text(const struct column *c);

const char *state_name(uint32_t state);
/* -1 = no such state. */
int state_find(const char *name);

#endif
