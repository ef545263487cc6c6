/*
 * preload.c - the exported wrappers: is the descriptor ours? If not, libc's function and nothing
 * else.
 *
 * Each wrapper has a C name of its own and carries libc's name as its symbol, so that libc's
 * declarations (transparent unions, fortified inlines) cannot clash with ours. Owner: any thread.
 */
#include <stdarg.h>
#include "lt.h"

#define LT_EXPORT __attribute__((visibility("default"), used))

/* clang-format off */
#define LT_DATA(ret, name, params, args)                                     \
	LT_EXPORT ret wrap_##name params __asm__(#name);                     \
	ret wrap_##name params                                               \
	{                                                                    \
		struct lt_desc *d = lt_conn_get(fd);                         \
                                                                             \
		if (lt_likely(d == NULL))                                    \
			return lt_real.name args;                            \
		return lt_##name(d, LT_UNWRAP args);                         \
	}
#define LT_RIGHTS(ret, name, params, args, control)                          \
	LT_EXPORT ret wrap_##name params __asm__(#name);                     \
	ret wrap_##name params                                               \
	{                                                                    \
		struct lt_desc *d = lt_conn_get(fd);                         \
                                                                             \
		if (lt_unlikely(d != NULL))                                  \
			return lt_##name(d, LT_UNWRAP args);                 \
		if (lt_unlikely(control))                                    \
			return lt_rights_##name args;                        \
		return lt_real.name args;                                    \
	}
#define LT_FD(ret, name, params, args)                                       \
	LT_EXPORT ret wrap_##name params __asm__(#name);                     \
	ret wrap_##name params                                               \
	{                                                                    \
		struct lt_desc *d = lt_fd_get(fd);                           \
                                                                             \
		if (lt_likely(d == NULL))                                    \
			return lt_real.name args;                            \
		lt_home(d);                                                  \
		return lt_##name(d, LT_UNWRAP args);                         \
	}
#define LT_ANY(ret, name, params, args)                                      \
	LT_EXPORT ret wrap_##name params __asm__(#name);                     \
	ret wrap_##name params                                               \
	{                                                                    \
		return lt_##name args;                                       \
	}
#define LT_VOID(name, params, args)                                          \
	LT_EXPORT void wrap_##name params __asm__(#name);                    \
	void wrap_##name params                                              \
	{                                                                    \
		lt_##name args;                                              \
	}
#define LT_STREAM(name, params, args)                                        \
	LT_EXPORT FILE *wrap_##name params __asm__(#name);                   \
	FILE *wrap_##name params                                             \
	{                                                                    \
		return lt_##name args;                                       \
	}
#include "intercept.def"

#define LT_ALIAS(name, of)                                                   \
	__asm__(".globl " #name "\n\t.set " #name ", " #of);
#include "intercept.def"

#define LT_FCNTL(name)                                                       \
	LT_EXPORT int wrap_##name(int fd, int cmd, ...) __asm__(#name);      \
	int wrap_##name(int fd, int cmd, ...)                                \
	{                                                                    \
		struct lt_desc *d = lt_fd_get(fd);                           \
		unsigned long arg;                                           \
		va_list ap;                                                  \
                                                                             \
		va_start(ap, cmd);                                           \
		arg = va_arg(ap, unsigned long);                             \
		va_end(ap);                                                  \
		if (d != NULL)                                               \
			return lt_fcntl(d, fd, cmd, arg);                    \
		if (cmd != F_DUPFD && cmd != F_DUPFD_CLOEXEC)                \
			return lt_real.name(fd, cmd, arg);                   \
		return lt_fd_made(lt_real.name(fd, cmd, arg));               \
	}
LT_FCNTL(fcntl)
LT_FCNTL(fcntl64)

#define OPEN(name)                                                                   \
	LT_EXPORT int wrap_##name(const char *path, int flags, ...) __asm__(#name);  \
	int wrap_##name(const char *path, int flags, ...)                            \
	{                                                                            \
		va_list ap;                                                          \
		mode_t mode;                                                         \
                                                                                     \
		va_start(ap, flags);                                                 \
		mode = va_arg(ap, mode_t);                                           \
		va_end(ap);                                                          \
		return lt_fd_made(lt_real.name(path, flags, mode));                  \
	}
#define OPENAT(name)                                                                 \
	LT_EXPORT int wrap_##name(int dir, const char *path, int flags, ...)         \
		__asm__(#name);                                                      \
	int wrap_##name(int dir, const char *path, int flags, ...)                   \
	{                                                                            \
		va_list ap;                                                          \
		mode_t mode;                                                         \
                                                                                     \
		va_start(ap, flags);                                                 \
		mode = va_arg(ap, mode_t);                                           \
		va_end(ap);                                                          \
		return lt_fd_made(lt_real.name(dir, path, flags, mode));             \
	}
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
/* clang-format on */

LT_EXPORT int wrap_ioctl(int fd, unsigned long request, ...) __asm__("ioctl");

int wrap_ioctl(int fd, unsigned long request, ...)
{
	struct lt_desc *d = lt_fd_get(fd);
	void *arg;
	va_list ap;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (d == NULL)
		return lt_real.ioctl(fd, request, arg);
	lt_home(d);
	return lt_ioctl(d, fd, request, arg);
}
