/*
 * random.c - see random.h. The kernel's pool is ready long before a daemon starts; the loop is for
 * signals.
 */
#include "random.h"

#include <sys/random.h>

void sp_random(void *out, uint32_t len)
{
	while (getrandom(out, len, 0) != (long)len)
		;
}
