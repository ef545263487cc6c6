/*
 * real.c - finds libc's functions behind the intercepted names, once (dlsym(3), RTLD_NEXT).
 * Owner: any thread; looking up twice gives the same values.
 */
#include "real.h"
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include "tas/atomic.h"

/* clang-format off */

/* What each pointer holds until the first call; -1 and ENOSYS where this libc lacks the function. */
#define LT_DATA(ret, name, params, args)                      \
	static ret first_##name params                        \
	{                                                     \
		lt_real_init();                               \
		if (lt_real.name == first_##name) {           \
			errno = ENOSYS;                       \
			return -1;                            \
		}                                             \
		return lt_real.name args;                     \
	}
#define LT_RIGHTS(ret, name, params, args, control) LT_DATA(ret, name, params, args)
#define LT_FD LT_DATA
#define LT_ANY LT_DATA
#define LT_VOID(name, params, args)                           \
	static void first_##name params                       \
	{                                                     \
		lt_real_init();                               \
		if (lt_real.name != first_##name)             \
			lt_real.name args;                    \
	}
#define LT_STREAM(name, params, args)                         \
	static FILE *first_##name params                      \
	{                                                     \
		lt_real_init();                               \
		if (lt_real.name == first_##name) {           \
			errno = ENOSYS;                       \
			return NULL;                          \
		}                                             \
		return lt_real.name args;                     \
	}
#define LT_VA(ret, name, params, args, last)                  \
	static ret first_##name params                        \
	{                                                     \
		va_list ap;                                   \
		void *word;                                   \
                                                              \
		va_start(ap, last);                           \
		word = va_arg(ap, void *);                    \
		va_end(ap);                                   \
		lt_real_init();                               \
		if (lt_real.name == first_##name) {           \
			errno = ENOSYS;                       \
			return -1;                            \
		}                                             \
		return lt_real.name(LT_UNWRAP args, word);    \
	}
#include "intercept.def"

struct lt_real lt_real = {
#define LT_DATA(ret, name, params, args) .name = first_##name,
#define LT_RIGHTS(ret, name, params, args, control) .name = first_##name,
#define LT_FD LT_DATA
#define LT_ANY LT_DATA
#define LT_VOID(name, params, args) .name = first_##name,
#define LT_STREAM LT_VOID
#define LT_VA(ret, name, params, args, last) .name = first_##name,
#include "intercept.def"
};

static void resolve(void *slot, const char *name)
{
	void *f = dlsym(RTLD_NEXT, name);

	if (f != NULL)
		__atomic_store_n((void **)slot, f, __ATOMIC_RELEASE);
}

void lt_real_init(void)
{
#define LT_DATA(ret, name, params, args) resolve(&lt_real.name, #name);
#define LT_RIGHTS(ret, name, params, args, control) resolve(&lt_real.name, #name);
#define LT_FD LT_DATA
#define LT_ANY LT_DATA
#define LT_VOID(name, params, args) resolve(&lt_real.name, #name);
#define LT_STREAM LT_VOID
#define LT_VA(ret, name, params, args, last) resolve(&lt_real.name, #name);
#include "intercept.def"
}
/* clang-format on */

__attribute__((constructor)) static void at_load(void)
{
	lt_real_init();
}
