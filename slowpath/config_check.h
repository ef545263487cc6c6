/*
 * config_check.h - checks that need more than one value; private to config.c and its tests.
 * Owner: start-up.
 */
#ifndef SP_CONFIG_CHECK_H
#define SP_CONFIG_CHECK_H

#include "config.h"

/* Where a value stands: a line of a file, or (file NULL) the command line. */
struct sp_where {
	const char *file;
	int line;
	char *err;
	uint32_t err_len;
};

/*
 * One sentence: "file:line: name: ...", "file: name: ..." where line is 0, "--name: ..." without a
 * file. Returns -EINVAL.
 */
int sp_config_fail(const struct sp_where *w, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define SP_ORIGIN_ROWS 64

/* Line of each option in the file; 0 = default, SP_ORIGIN_ARGUMENT = command line. */
#define SP_ORIGIN_ARGUMENT (-1)
struct sp_origin {
	const char *file;
	int line[SP_ORIGIN_ROWS];
};

/* Line of option `name` in the file, 0 = nobody has set it, SP_ORIGIN_ARGUMENT. */
int sp_config_line(const struct sp_origin *origin, const char *name);

/* 0, or -EINVAL with one sentence in err. */
int sp_config_check(
	const struct sp_config *conf, const struct sp_origin *origin, char *err, uint32_t err_len);

/*
 * local_ports must not overlap the kernel's ip_local_port_range, whose two numbers are `low` and
 * `high`. 0, or -EINVAL with one sentence in err.
 */
int sp_config_check_ports(
	const struct sp_config *conf, unsigned low, unsigned high, char *err, uint32_t err_len);

#endif
