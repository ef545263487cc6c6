/*
 * ahead.c - a sanitizer's runtime that tas-run put before libtas in LD_PRELOAD is this program's, not its
 * children's: it leaves the environment again.
 *
 * In place: the strings are the program's own copy, and only become shorter. Owner: the first thread, before
 * main(). ld.so(8).
 */
#include <stdlib.h>
#include "lt.h"

__attribute__((constructor)) static void leave_environment(void)
{
	const char *first = secure_getenv(TAS_FIRST_ENV);
	char *all = getenv("LD_PRELOAD");
	size_t len = first != NULL ? strlen(first) : 0;

	if (len != 0 && all != NULL && strncmp(all, first, len) == 0 && all[len] == ':')
		memmove(all, all + len + 1, strlen(all + len + 1) + 1);
	if (first != NULL)
		unsetenv(TAS_FIRST_ENV);
}
