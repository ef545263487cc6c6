/*
 * heritage.h - how exec.c writes, and heir.c reads, what a program leaves to the next one.
 *
 * The value of the variable is `TOKEN.TOKEN` and one entry per descriptor, `;FD:KIND:COOKIE:FLOW:GEN:FLAGS`,
 * numbers in hexadecimal but for FD; KIND is c for a connection, l for a listener. Or it is `@FD`, a
 * sealed memory file that holds this text and its final zero.
 *
 * An entry whose options are not those of a new socket goes on with `/SIZE` of struct lt_opts and `,WORD=VALUE` for
 * each 32-bit word that differs: the kernel's handle does not know which were set by the program, and
 * that of an accepted connection has none of them. A reader of another size leaves them. Owner: the thread in exec, and the
 * first one of the next program.
 */
#ifndef LT_HERITAGE_H
#define LT_HERITAGE_H

#include "lt.h"

#define LT_HERITAGE	  "TAS_INHERIT"
#define LT_HERITAGE_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/* Of lt_desc.flags: what belongs to the description that both programs have. */
#define LT_HERITAGE_FLAGS                                                                          \
	(LT_D_NONBLOCK | LT_D_V6 | LT_D_CORK | LT_D_SHUT_RD | LT_D_SHUT_WR | LT_D_ERR_TAKEN |      \
		LT_D_INHERITED)

#define LT_OPT_WORDS (sizeof(struct lt_opts) / 4)

_Static_assert(sizeof(struct lt_opts) % 4 == 0, "told word by word");

#endif
