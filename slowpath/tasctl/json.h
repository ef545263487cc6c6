/*
 * json.h - a small writer of JSON (RFC 8259), and rows as objects.
 */
#ifndef TASCTL_JSON_H
#define TASCTL_JSON_H

#include <stdint.h>
#include <stdio.h>
#include "table.h"

#define JSON_SCHEMA                                                                                \
	2 /* grows when a member changes its meaning or goes; new members may come at any time */

struct json {
	FILE *out;
	int comma; /* the next member or element needs one */
};

/* {"schema":1,"command":... - the members go on until json_end. */
void json_begin(struct json *j, FILE *out, const char *command);
void json_end(struct json *j);

/* Members; name NULL: an element of an array. */
void json_number(struct json *j, const char *name, uint64_t v);
void json_signed(struct json *j, const char *name, int64_t v);
void json_real(struct json *j, const char *name, double v);
void json_bool(struct json *j, const char *name, int v);
/* At most `size` bytes up to NUL; anything is escaped so that the result is valid. */
void json_text(struct json *j, const char *name, const char *text, uint32_t size);
void json_open(struct json *j, const char *name, char bracket);
void json_close(struct json *j, char bracket);

/* A row as an object. */
void json_row(struct json *j, const char *name, const struct table *t, const struct view *v);

#endif
