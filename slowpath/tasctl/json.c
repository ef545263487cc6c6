/*
 * json.c - JSON output. Text from programs (their names) may hold any byte: what is not printable
 * ASCII is written as \u00XX, so that the output is always valid. Specification: RFC 8259
 * section 7.
 */
#include "json.h"

#include <arpa/inet.h>
#include <string.h>
#include "units.h"

static void quote(struct json *j, const char *text, uint32_t size)
{
	uint32_t i;

	putc('"', j->out);
	for (i = 0; i < size && text[i] != 0; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '"' || c == '\\')
			fprintf(j->out, "\\%c", c);
		else if (c < 0x20 || c >= 0x7f)
			fprintf(j->out, "\\u%04x", c);
		else
			putc(c, j->out);
	}
	putc('"', j->out);
}

static void member(struct json *j, const char *name)
{
	if (j->comma)
		putc(',', j->out);
	j->comma = 1;
	if (name == NULL)
		return;
	quote(j, name, UINT32_MAX);
	putc(':', j->out);
}

void json_number(struct json *j, const char *name, uint64_t v)
{
	member(j, name);
	fprintf(j->out, "%llu", (unsigned long long)v);
}

void json_signed(struct json *j, const char *name, int64_t v)
{
	member(j, name);
	fprintf(j->out, "%lld", (long long)v);
}

void json_real(struct json *j, const char *name, double v)
{
	member(j, name);
	fprintf(j->out, "%.6g", v);
}

void json_bool(struct json *j, const char *name, int v)
{
	member(j, name);
	fputs(v ? "true" : "false", j->out);
}

void json_text(struct json *j, const char *name, const char *text, uint32_t size)
{
	member(j, name);
	quote(j, text, size);
}

void json_open(struct json *j, const char *name, char bracket)
{
	member(j, name);
	putc(bracket, j->out);
	j->comma = 0;
}

void json_close(struct json *j, char bracket)
{
	putc(bracket, j->out);
	j->comma = 1;
}

void json_begin(struct json *j, FILE *out, const char *command)
{
	j->out = out;
	j->comma = 0;
	json_open(j, NULL, '{');
	json_number(j, "schema", JSON_SCHEMA);
	json_text(j, "command", command, UINT32_MAX);
}

void json_end(struct json *j)
{
	fputs("}\n", j->out);
	fflush(j->out);
}

static void flags_member(struct json *j, const struct column *c, uint64_t bits)
{
	const struct bit_name *b;

	json_open(j, c->json, '[');
	for (b = c->names; b->name != NULL; b++) {
		if (bits & b->bit)
			json_text(j, NULL, b->name, UINT32_MAX);
	}
	json_close(j, ']');
}

static void ids_member(struct json *j, const struct column *c, const char *at)
{
	size_t i;

	json_open(j, c->json, '[');
	for (i = 0; i < c->size / sizeof(uint32_t); i++) {
		uint32_t id;

		memcpy(&id, at + i * sizeof(id), sizeof(id));
		if (id != 0)
			json_number(j, NULL, id);
	}
	json_close(j, ']');
}

static void value_member(struct json *j, const struct column *c, const struct view *v)
{
	const char *at = (const char *)v->row + c->offset;
	uint64_t n = column_is_text(c) && c->kind != KIND_FLAGS && c->kind != KIND_STATE
			     ? 0
			     : column_number(c, v->row);
	char text[CELL_MAX];

	switch (c->kind) {
	case KIND_TEXT:
		json_text(j, c->json, at, c->size);
		break;
	case KIND_ADDR:
	case KIND_FLOW:
	case KIND_STATE:
		table_cell(c, v, text);
		json_text(j, c->json, text, sizeof(text));
		break;
	case KIND_FLAGS:
		flags_member(j, c, n);
		break;
	case KIND_IDS:
		ids_member(j, c, at);
		break;
	case KIND_PORT:
		json_number(j, c->json, ntohs((uint16_t)n));
		break;
	case KIND_SIGNED:
		json_signed(j, c->json, (int32_t)n);
		break;
	case KIND_SHARE:
		json_real(j, c->json, table_rate(c, v) / 1e9);
		break;
	default:
		json_number(j, c->json, n);
	}
}

void json_row(struct json *j, const char *name, const struct table *t, const struct view *v)
{
	char rate[64];
	uint32_t i;

	json_open(j, name, '{');
	for (i = 0; i < t->ncolumns; i++) {
		const struct column *c = &t->columns[i];

		if (c->json == NULL)
			continue;
		value_member(j, c, v);
		if (!v->rates || !column_grows(c) || c->kind == KIND_SHARE)
			continue;
		snprintf(rate, sizeof(rate), "%s_per_s", c->json);
		json_real(j, rate, table_rate(c, v));
	}
	json_close(j, '}');
}
