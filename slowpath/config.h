/*
 * config.h - the daemon's options: file (libconfig), command line, defaults, checks.
 * The rows are in config.def. Owner: start-up, constant afterwards.
 */
#ifndef SP_CONFIG_H
#define SP_CONFIG_H

#include <stdint.h>
#include <stdio.h>

#define SP_CONFIG_STR	256
#define SP_CONFIG_ITEMS 256

struct sp_list {
	uint32_t n;
	char *item[SP_CONFIG_ITEMS];
};

struct sp_range {
	uint16_t low, high;
};

#define SP_FIELD_STR(name)   char name[SP_CONFIG_STR];
#define SP_FIELD_U32(name)   uint32_t name;
#define SP_FIELD_MODE(name)  uint32_t name;
#define SP_FIELD_LIST(name)  struct sp_list name;
#define SP_FIELD_RANGE(name) struct sp_range name;

struct sp_config {
#define X(kind, name, min, max, def, unit, help) SP_FIELD_##kind(name)
#include "config.def"
#undef X
};

/* What the command line asks for besides options. */
struct sp_config_args {
	const char *file; /* --config FILE, or NULL */
	uint8_t check;	  /* -n */
	uint8_t help, help_config, version;
};

/*
 * Fills *conf from defaults, then the file named on the command line, then the command line, and
 * checks all of it. 0, or -EINVAL with a sentence in err ("FILE:LINE: ..." or "--name: ..."); a line
 * for each option of the file that is wrong by itself.
 */
int sp_config_load(struct sp_config *conf, struct sp_config_args *args, int argc, char **argv,
	char *err, uint32_t err_len);
void sp_config_free(struct sp_config *conf);

/* --help: usage and one line per option; --help-config: each with range, unit and default. */
void sp_config_help(FILE *out);
void sp_config_help_options(FILE *out);

/* -n: what of good options this machine lacks now, a line each; a start would fail for it. */
void sp_config_here(const struct sp_config *conf, FILE *out);

/* "a.b.c.d/n" (the prefix length may be missing: 32). 0 or -EINVAL. plen in the 128-bit form. */
int sp_parse_prefix(const char *text, uint8_t addr[16], uint8_t *plen);
/* "prefix" or "prefix via gateway". *has_gateway 0 or 1. 0 or -EINVAL. */
int sp_parse_route(
	const char *text, uint8_t addr[16], uint8_t *plen, uint8_t gateway[16], int *has_gateway);

#endif
