/*
 * record.c - preloaded into the kernel's run of a differential program, it notes which rows of intercept.def and surface.def each
 * case uses on a TCP socket: what docs/conformance.md says is shown has been seen here.
 *
 * Every intercepted name is a trampoline that saves the registers with arguments, notes, and jumps on to libc: no frame of ours
 * stays, so cancellation, vfork() and variable arguments are as without it. The notes are one text file per case in
 * $RECORD_DIR, a line per row, "+" once it is used; it is mapped shared, so that children write into the same. Notes are single
 * stores: nothing here allocates, locks or changes errno once the program runs.
 */
#if !defined(__x86_64__)
#error "the trampolines are written for x86-64"
#endif
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include "libtas/sys.h"

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51 /* linux/in.h since 6.3 */
#endif

#define LINE	 64 /* one row in a file: mark, space, text, spaces, newline */
#define POLL_MAX 64u
#define EXPORT	 __attribute__((visibility("default"), used))

/* What decides whether a call counts. */
enum gate { ALWAYS, FIRST, SECOND_OR_FIRST, THIRD, IN_POLL, NEW_SOCKET };

/* What else its arguments say, argument `at`. */
enum detail { NONE, OPTION, REQUEST, FLAGS, EPOLL_EVENTS, POLL_EVENTS };

struct call {
	const char *name, *params;
	void *real;
	unsigned row;
	enum gate gate;
	enum detail detail;
	unsigned at;
	const char *family;
};

struct row {
	const char *family, *name; /* family: a call's, or NULL for an option */
	int level;
	unsigned long value;
	enum detail detail;
};

/* clang-format off */
enum {
#define CALL_ROW(name) ROW_##name,
#define LT_DATA(ret, name, params, args) CALL_ROW(name)
#define LT_RIGHTS(ret, name, params, args, control) LT_DATA(ret, name, params, args)
#define LT_FD LT_DATA
#define LT_ANY LT_DATA
#define LT_VOID(name, params, args) CALL_ROW(name)
#define LT_STREAM LT_VOID
#define LT_VA(ret, name, params, args, last) CALL_ROW(name)
#define LT_LIST(name) CALL_ROW(name)
#define LT_ALIAS(name, of) CALL_ROW(name)
#include "libtas/intercept.def"
	CALLS
};

/* What a trampoline names by symbol. */
#define CALL(id, text) \
	struct call record_##id = {.name = #id, .params = text, .row = ROW_##id};
#define LT_DATA(ret, name, params, args) CALL(name, #params)
#define LT_RIGHTS(ret, name, params, args, control) LT_DATA(ret, name, params, args)
#define LT_FD LT_DATA
#define LT_ANY LT_DATA
#define LT_VOID(name, params, args) CALL(name, #params)
#define LT_STREAM LT_VOID
#define LT_VA(ret, name, params, args, last) CALL(name, #params)
#define LT_LIST(name) CALL(name, "")
#define LT_ALIAS(name, of) CALL(name, "")
#include "libtas/intercept.def"

static struct call *const calls[] = {
#define POINTER(name) &record_##name,
#define LT_DATA(ret, name, params, args) POINTER(name)
#define LT_RIGHTS(ret, name, params, args, control) LT_DATA(ret, name, params, args)
#define LT_FD LT_DATA
#define LT_ANY LT_DATA
#define LT_VOID(name, params, args) POINTER(name)
#define LT_STREAM LT_VOID
#define LT_VA(ret, name, params, args, last) POINTER(name)
#define LT_LIST(name) POINTER(name)
#define LT_ALIAS(name, of) POINTER(name)
#include "libtas/intercept.def"
};

/* At the entry the stack is 8 bytes off a multiple of 16; seven pushes set it right. rax: how many vector registers a variadic
 * call uses; record_enter() is built without such registers. */
#define TRAMPOLINE(name)                                                              \
	__asm__(".globl " #name "\n.type " #name ", @function\n" #name ":\n\t"        \
		"push %rax\n\tpush %r9\n\tpush %r8\n\tpush %rcx\n\tpush %rdx\n\t"     \
		"push %rsi\n\tpush %rdi\n\t"                                          \
		"lea record_" #name "(%rip), %rdi\n\tmov %rsp, %rsi\n\t"              \
		"call record_enter\n\tmov %rax, %r11\n\t"                             \
		"pop %rdi\n\tpop %rsi\n\tpop %rdx\n\tpop %rcx\n\tpop %r8\n\t"         \
		"pop %r9\n\tpop %rax\n\tjmp *%r11\n");
#define LT_DATA(ret, name, params, args) TRAMPOLINE(name)
#define LT_RIGHTS(ret, name, params, args, control) LT_DATA(ret, name, params, args)
#define LT_FD LT_DATA
#define LT_ANY LT_DATA
#define LT_VOID(name, params, args) TRAMPOLINE(name)
#define LT_STREAM LT_VOID
#define LT_VA(ret, name, params, args, last) TRAMPOLINE(name)
#define LT_LIST(name) TRAMPOLINE(name)
#define LT_ALIAS(name, of) TRAMPOLINE(name)
#include "libtas/intercept.def"

static const struct row rows[] = {
#define LT_OPTION(level, name, verdict) {#level, #name, level, (unsigned long)name, OPTION},
#define LT_REQUEST(call, name, verdict) {#call, #name, 0, (unsigned long)name, REQUEST},
#define LT_FLAG(call, name, verdict) {#call, #name, 0, (unsigned long)(unsigned)name, FLAGS},
#include "libtas/surface.def"
};
/* clang-format on */

#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* Calls that count otherwise than their parameters suggest, and those whose arguments are looked at. */
static const struct {
	const char *name;
	enum gate gate;
	enum detail detail;
	unsigned at;
	const char *family;
} special[] = {
	{"setsockopt", FIRST, OPTION, 1, NULL},
	{"getsockopt", FIRST, OPTION, 1, NULL},
	{"fcntl", FIRST, REQUEST, 1, "fcntl"},
	{"fcntl64", FIRST, REQUEST, 1, "fcntl"},
	{"ioctl", FIRST, REQUEST, 1, "ioctl"},
	{"send", FIRST, FLAGS, 3, "send"},
	{"sendto", FIRST, FLAGS, 3, "send"},
	{"sendmsg", FIRST, FLAGS, 2, "send"},
	{"sendmmsg", FIRST, FLAGS, 3, "send"},
	{"recv", FIRST, FLAGS, 3, "recv"},
	{"__recv_chk", FIRST, FLAGS, 4, "recv"},
	{"recvfrom", FIRST, FLAGS, 3, "recv"},
	{"__recvfrom_chk", FIRST, FLAGS, 4, "recv"},
	{"recvmsg", FIRST, FLAGS, 2, "recv"},
	{"recvmmsg", FIRST, FLAGS, 3, "recv"},
	{"socket", NEW_SOCKET, FLAGS, 1, "socket"},
	{"accept4", FIRST, FLAGS, 3, "accept4"},
	{"dup3", FIRST, FLAGS, 2, "dup3"},
	{"epoll_create1", ALWAYS, FLAGS, 0, "epoll_create1"},
	{"close_range", ALWAYS, FLAGS, 2, "close_range"},
	{"splice", SECOND_OR_FIRST, FLAGS, 5, "splice"},
	{"epoll_ctl", THIRD, EPOLL_EVENTS, 3, "epoll_ctl"},
	{"poll", IN_POLL, POLL_EVENTS, 0, "poll"},
	{"__poll_chk", IN_POLL, POLL_EVENTS, 0, "poll"},
	{"ppoll", IN_POLL, POLL_EVENTS, 0, "poll"},
	{"__ppoll_chk", IN_POLL, POLL_EVENTS, 0, "poll"},
	{"epoll_wait", ALWAYS, NONE, 0, NULL},
	{"epoll_pwait", ALWAYS, NONE, 0, NULL},
	{"epoll_pwait2", ALWAYS, NONE, 0, NULL},
	{"fexecve", ALWAYS, NONE, 0, NULL},
	{"system", ALWAYS, NONE, 0, NULL},
};

static char *notes; /* mapped: the file of this case */
static bool noting;

void *record_enter(struct call *c, const unsigned long *arg);
EXPORT void record_case(const char *name);

static void note(size_t row)
{
	if (__atomic_load_n(&noting, __ATOMIC_RELAXED))
		__atomic_store_n(&notes[row * LINE], '+', __ATOMIC_RELAXED);
}

/* Of the program's memory, which need not be there. */
static bool look(void *to, unsigned long from, size_t n)
{
	struct iovec mine = {to, n}, its = {(void *)from, n};
	long self = lt_sys1(SYS_getpid, 0);

	return lt_sys(SYS_process_vm_readv, self, (long)&mine, 1, (long)&its, 1, 0) == (long)n;
}

static int option_of(int fd, int name)
{
	int v = -1;
	socklen_t len = sizeof(v);

	return lt_sys(SYS_getsockopt, fd, SOL_SOCKET, name, (long)&v, (long)&len, 0) == 0 ? v : -1;
}

static bool is_tcp(int fd)
{
	int domain = option_of(fd, SO_DOMAIN);

	return (domain == AF_INET || domain == AF_INET6) &&
	       option_of(fd, SO_PROTOCOL) == IPPROTO_TCP;
}

static bool counts(const struct call *c, const unsigned long *arg)
{
	struct pollfd p;
	unsigned i;

	switch (c->gate) {
	case FIRST:
		return is_tcp((int)arg[0]);
	case SECOND_OR_FIRST: /* splice(in, offset, out, ...) */
		return is_tcp((int)arg[0]) || is_tcp((int)arg[2]);
	case THIRD:
		return is_tcp((int)arg[2]);
	case NEW_SOCKET:
		return (arg[0] == AF_INET || arg[0] == AF_INET6) && (arg[1] & 0xf) == SOCK_STREAM;
	case IN_POLL:
		for (i = 0; i < arg[1] && i < POLL_MAX; i++)
			if (look(&p, arg[0] + i * sizeof(p), sizeof(p)) && is_tcp(p.fd))
				return true;
		return false;
	default:
		return true;
	}
}

/* A flag is one bit or more of `value`; a request is all of it. */
static void note_detail(enum detail detail, const char *family, unsigned long value)
{
	size_t i;

	for (i = 0; i < ROWS; i++) {
		const struct row *r = &rows[i];

		if (r->detail != detail || strcmp(r->family, family) != 0)
			continue;
		if (detail == FLAGS ? (value & r->value) == r->value : value == r->value)
			note(CALLS + i);
	}
}

static void note_option(int level, int name)
{
	size_t i;

	for (i = 0; i < ROWS; i++)
		if (rows[i].detail == OPTION && rows[i].level == level &&
			(int)rows[i].value == name)
			note(CALLS + i);
}

static void note_poll(unsigned long fds, unsigned long n)
{
	struct pollfd p;
	unsigned i;

	for (i = 0; i < n && i < POLL_MAX; i++)
		if (look(&p, fds + i * sizeof(p), sizeof(p)) && is_tcp(p.fd))
			note_detail(FLAGS, "poll", (unsigned short)p.events);
}

static void note_arguments(const struct call *c, const unsigned long *arg)
{
	struct epoll_event ev;

	switch (c->detail) {
	case OPTION:
		note_option((int)arg[1], (int)arg[2]);
		break;
	case REQUEST:
	case FLAGS:
		note_detail(c->detail, c->family, (unsigned)arg[c->at]);
		break;
	case EPOLL_EVENTS:
		if (arg[1] != EPOLL_CTL_DEL && look(&ev, arg[c->at], sizeof(ev)))
			note_detail(FLAGS, c->family, ev.events);
		break;
	case POLL_EVENTS:
		note_poll(arg[0], arg[1]);
		break;
	case NONE:
		break;
	}
}

/* A descriptor of TCP that goes along with a message: of the first in it. */
static void note_control(unsigned long message)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr m;
	int fd;

	if (!look(&m, message, sizeof(m)) || m.msg_controllen < sizeof(control) ||
		!look(&control, (unsigned long)m.msg_control, sizeof(control)))
		return;
	memcpy(&fd, CMSG_DATA(&control.head), sizeof(fd));
	if (control.head.cmsg_level == SOL_SOCKET && control.head.cmsg_type == SCM_RIGHTS &&
		is_tcp(fd))
		note_detail(REQUEST, "control", SCM_RIGHTS);
}

static void *find(struct call *c)
{
	int saved = errno;

	if (c->real == NULL)
		c->real = dlsym(RTLD_NEXT, c->name);
	errno = saved;
	return c->real;
}

/* Called by the trampolines; returns where to go on. */
void *record_enter(struct call *c, const unsigned long *arg)
{
	if (__atomic_load_n(&noting, __ATOMIC_RELAXED)) {
		if (c == &record_sendmsg || c == &record_sendmmsg)
			note_control(arg[1]);
		if (counts(c, arg)) {
			note(c->row);
			note_arguments(c, arg);
		}
	}
	return find(c);
}

static int open_notes(const char *name, int flags)
{
	const char *dir = getenv("RECORD_DIR");
	char path[512];

	if (dir == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return (int)lt_sys4(SYS_openat, AT_FDCWD, path, flags | O_RDWR | O_CLOEXEC, 0644);
}

static void map_notes(int fd)
{
	int fixed = notes != NULL ? MAP_FIXED : 0; /* threads of the case before may still write */
	size_t bytes = (CALLS + ROWS) * LINE;
	long p = lt_sys(SYS_mmap, (long)notes, (long)bytes, PROT_READ | PROT_WRITE,
		MAP_SHARED | fixed, fd, 0);

	if (p > 0) {
		notes = (char *)p;
		__atomic_store_n(&noting, true, __ATOMIC_RELEASE);
	}
}

/* What the file of a case holds before anything is used. */
static void write_rows(int fd)
{
	static const char *const kinds[] = {
		[OPTION] = "option", [REQUEST] = "request", [FLAGS] = "flag"};
	char line[LINE + 1];
	size_t i;

	for (i = 0; i < CALLS + ROWS; i++) {
		const struct row *r = &rows[i < CALLS ? 0 : i - CALLS];
		int n = i < CALLS ? snprintf(line, sizeof(line), "- call %s", calls[i]->name)
				  : snprintf(line, sizeof(line), "- %s %s %s", kinds[r->detail],
					    r->family, r->name);

		if (n < 0 || n >= LINE)
			abort();
		memset(line + n, ' ', (size_t)(LINE - n));
		line[LINE - 1] = '\n';
		if (lt_sys3(SYS_write, fd, line, LINE) != LINE)
			abort();
	}
}

/* The program begins a case, or has ended one: NULL. */
void record_case(const char *name)
{
	char file[200];
	int fd;

	__atomic_store_n(&noting, false, __ATOMIC_RELEASE);
	unsetenv("RECORD_CASE");
	if (name == NULL)
		return;
	snprintf(file, sizeof(file), "%s.%s", program_invocation_short_name, name);
	fd = open_notes(file, O_CREAT | O_TRUNC);
	if (fd < 0)
		return;
	setenv("RECORD_CASE", file, 1); /* for programs that it starts */
	write_rows(fd);
	map_notes(fd);
	lt_sys1(SYS_close, fd);
}

static void prepare(struct call *c)
{
	size_t i;

	find(c);
	c->gate = strncmp(c->params, "(int fd", 7) == 0 ? FIRST : ALWAYS;
	for (i = 0; i < sizeof(special) / sizeof(special[0]); i++) {
		if (strcmp(special[i].name, c->name) != 0)
			continue;
		c->gate = special[i].gate;
		c->detail = special[i].detail;
		c->at = special[i].at;
		c->family = special[i].family;
	}
}

__attribute__((constructor)) static void at_load(void)
{
	const char *name = getenv("RECORD_CASE");
	size_t i;
	int fd;

	for (i = 0; i < CALLS; i++)
		prepare(calls[i]);
	fd = name != NULL ? open_notes(name, 0) : -1;
	if (fd >= 0) {
		map_notes(fd);
		lt_sys1(SYS_close, fd);
	}
}
