/*
 * real.h - libc's own functions behind the intercepted names, and the functions that answer for
 * ours. Pointers resolve themselves at the first call: before that, each leads to a function that
 * looks all of them up. Owner: any thread.
 */
#ifndef LT_REAL_H
#define LT_REAL_H

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

struct lt_desc;
struct io_uring;
struct io_uring_params;

/* clang-format off */
#define LT_UNWRAP(...) __VA_ARGS__

struct lt_real {
#define LT_DATA(ret, name, params, args) ret(*name) params;
#define LT_RIGHTS(ret, name, params, args, control) ret(*name) params;
#define LT_FD(ret, name, params, args) ret(*name) params;
#define LT_ANY(ret, name, params, args) ret(*name) params;
#define LT_VOID(name, params, args) void(*name) params;
#define LT_STREAM(name, params, args) FILE *(*name) params;
#define LT_VA(ret, name, params, args, last) ret(*name) params;
#include "intercept.def"
};

extern struct lt_real lt_real;
void lt_real_init(void);

/* Answers: lt_NAME(description, arguments), or lt_NAME(arguments) where no descriptor comes first. */
#define LT_DATA(ret, name, params, args) ret lt_##name(struct lt_desc *d, LT_UNWRAP params);
#define LT_RIGHTS(ret, name, params, args, control)                   \
	ret lt_##name(struct lt_desc *d, LT_UNWRAP params);            \
	ret lt_rights_##name params;
#define LT_FD LT_DATA
#define LT_ANY(ret, name, params, args) ret lt_##name params;
#define LT_STREAM(name, params, args) FILE *lt_##name params;
#define LT_VOID(name, params, args) void lt_##name params;
#include "intercept.def"
/* clang-format on */

int lt_fcntl(struct lt_desc *d, int fd, int cmd, unsigned long arg);
int lt_ioctl(struct lt_desc *d, int fd, unsigned long request, void *arg);

#endif
