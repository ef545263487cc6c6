/*
 * environment.h - what is added to the environment of a program that inherits descriptors of tas and
 * would come without libtas: LD_PRELOAD and TAS_SOCKET as this process has them. Owner: the thread that starts it.
 * environ(7).
 */
#ifndef LT_ENVIRONMENT_H
#define LT_ENVIRONMENT_H

#include <stdbool.h>
#include <stddef.h>

#define LT_ENV_ADDED 2 /* variables at most */

size_t lt_env_count(char *const envp[]);
bool lt_env_has(char *const envp[], const char *name);
/* envp, but for TAS_INHERIT, and what is added; returns how many, without an end. */
size_t lt_env_copy(char **to, char *const envp[]);

#endif
