/*
 * options.h - the table of socket options (options.def) as opt.c walks it. Owner: any thread.
 */
#ifndef LT_OPTIONS_H
#define LT_OPTIONS_H

#include "lt.h"

enum lt_option_kind { LT_OPTION_KEPT, LT_OPTION_OWN, LT_OPTION_EARLY, LT_OPTION_KERNEL };

struct lt_option {
	int level, name;
	uint8_t kind;
	uint8_t place; /* KEPT: in lt_opts.val and .kept; KERNEL: bit of .kernel */
	int16_t row;   /* of explain.h, -1 = none */
	int err;       /* KERNEL: what a tas socket answers */
	/* KERNEL: does the value ask for anything? */
	bool (*on)(const void *val, socklen_t len);
	/* Remembers the value that the handle took. TAS_OPT_WORD() of what the daemon must hear. */
	uint64_t (*keep)(struct lt_desc *d, int fd, const void *val, socklen_t len);
};

/* NULL: it is in no row. */
const struct lt_option *lt_option_find(int level, int name);
/* One that the kernel took and no row has. */
extern const struct lt_option lt_option_unknown;

/* Remembers `val`, which the handle of d took. TAS_OPT_WORD() bits. */
uint64_t lt_option_keep(
	const struct lt_option *o, struct lt_desc *d, int fd, const void *val, socklen_t len);
int lt_option_int(const void *val, socklen_t len);

#endif
