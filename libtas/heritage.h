/*
 * heritage.h - how exec.c writes, and heir.c reads, what a program leaves to the next one.
 *
 * The value of the variable is `TOKEN.TOKEN` and one entry per descriptor, `;FD:KIND:COOKIE:FLOW:GEN:FLAGS`,
 * numbers in hexadecimal but for FD; KIND is c for a connection, l for a listener. Or it is `@FD`, a
 * sealed memory file that holds this text and its final zero. Owner: the thread in exec, and the
 * first one of the next program.
 */
#ifndef LT_HERITAGE_H
#define LT_HERITAGE_H

#define LT_HERITAGE	  "TAS_INHERIT"
#define LT_HERITAGE_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

#endif
