/*
 * stdio.c - libc's streams on descriptors of ours: fdopen, dprintf, and stdin, stdout, stderr.
 *
 * glibc reads and writes a stream by calls of its own that nobody can intercept, and so would use the kernel socket behind
 * the descriptor. A stream of ours is an fopencookie(3) stream with its descriptor's number set: its four functions ask the table
 * each time, so it goes on serving the number when a file of the kernel's takes it over. Hence the standard variables are changed
 * once, when the number first becomes ours, and stay so until fclose or freopen; dup2 back and forth (a shell) costs nothing.
 *
 * libtas calls no malloc itself; fopencookie does, inside libc, on behalf of the program as fdopen would. A descriptor 0, 1 or 2
 * that becomes ours is therefore nothing for a signal handler. Owner: any thread; `lock` guards the list. fdopen(3), fopencookie(3),
 * stdin(3), freopen(3), dprintf(3).
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <wchar.h>
#include <unistd.h>
#include "lt.h"

#define UNBUFFERED 0x2 /* glibc's _IO_UNBUFFERED, as a stream has it before its first use */

/* One of our streams, in the list of its descriptor. */
struct file {
	FILE *f;
	uint32_t next; /* index + 1 */
};

static struct {
	uint32_t lock;
	uint32_t *first; /* by descriptor, index + 1 */
	struct file *files;
	struct lt_pool pool;
} list;

/* By number: our stream, made once, and the program's own from before. */
static struct {
	uint32_t lock;
	FILE *ours, *before;
} std[3];

int __vfprintf_chk(FILE *f, int flag, const char *fmt, va_list ap);

/* ---- what a stream does ---- */

static int fd_of(const void *cookie)
{
	return (int)(intptr_t)cookie;
}

static ssize_t from_fd(void *cookie, char *buf, size_t n)
{
	int fd = fd_of(cookie);
	struct lt_desc *d = lt_conn_get(fd);

	return d != NULL ? lt_read(d, fd, buf, n) : lt_real.read(fd, buf, n);
}

/* What the program's own stdin had read ahead comes first. */
static ssize_t from_stdin(void *cookie, char *buf, size_t n)
{
	FILE *b = std[0].before;
	size_t left = b != NULL ? (size_t)(b->_IO_read_end - b->_IO_read_ptr) : 0;

	if (left == 0)
		return from_fd(cookie, buf, n);
	n = n < left ? n : left;
	memcpy(buf, b->_IO_read_ptr, n);
	b->_IO_read_ptr += n;
	return (ssize_t)n;
}

/* All of it, as libc's own streams do; less when it fails (fopencookie(3): never negative). */
static ssize_t to_fd(void *cookie, const char *buf, size_t n)
{
	int fd = fd_of(cookie);
	struct lt_desc *d;
	size_t done = 0;
	ssize_t r;

	for (; done < n; done += (size_t)r) {
		d = lt_conn_get(fd);
		r = d != NULL ? lt_write(d, fd, buf + done, n - done)
			      : lt_real.write(fd, buf + done, n - done);
		if (r < 0)
			break;
	}
	return (ssize_t)done;
}

/* Never on a socket; on what takes the number over, perhaps. */
static int seek_fd(void *cookie, off64_t *at, int whence)
{
	off64_t r = lseek64(fd_of(cookie), *at, whence);

	if (r < 0)
		return -1;
	*at = r;
	return 0;
}

static int close_fd(void *cookie)
{
	return lt_close(fd_of(cookie));
}

/* ---- the list: what exit() has to flush, and which streams are ours ---- */

static bool make_list(void)
{
	uint32_t n = 2 * lt_ndescs, *next;

	if (list.first != NULL)
		return true;
	next = lt_map(4ull * n);
	list.files = lt_map(sizeof(*list.files) * (uint64_t)n);
	if (next == NULL || list.files == NULL)
		return false;
	lt_pool_init(&list.pool, next, n);
	list.first = lt_map(4ull * lt_ntab);
	return list.first != NULL;
}

/* Room for one more, or LT_NONE. */
static uint32_t list_room(void)
{
	uint32_t i = LT_NONE;
	uint64_t mask;

	lt_lock_masked(&list.lock, &mask);
	if (make_list())
		i = lt_pool_get(&list.pool);
	lt_unlock_masked(&list.lock, &mask);
	return i;
}

static void list_add(uint32_t i, int fd, FILE *f)
{
	uint64_t mask;

	lt_lock_masked(&list.lock, &mask);
	list.files[i].next = list.first[fd];
	tas_store_rel(&list.files[i].f, f);
	list.first[fd] = i + 1;
	lt_unlock_masked(&list.lock, &mask);
}

/* False: it is not one of ours. */
static bool list_take(int fd, const FILE *f)
{
	uint32_t *at, i = 0;
	uint64_t mask;

	if (fd < 0 || (uint32_t)fd >= tas_load(&lt_ntab) || tas_load_acq(&list.first) == NULL)
		return false;
	lt_lock_masked(&list.lock, &mask);
	for (at = &list.first[fd]; (i = *at) != 0; at = &list.files[i - 1].next)
		if (list.files[i - 1].f == f)
			break;
	if (i != 0) {
		*at = list.files[i - 1].next;
		list.files[i - 1].f = NULL;
		lt_pool_put(&list.pool, i - 1);
	}
	lt_unlock_masked(&list.lock, &mask);
	return i != 0;
}

/* exit() flushes streams when our connections are closed already: ours go first. Not one that another thread uses. */
void lt_stdio_flush(void)
{
	uint32_t i, n = tas_load(&list.pool.fresh);
	FILE *f;

	for (i = 0; i < n; i++) {
		f = tas_load(&list.files[i].f);
		if (f == NULL || ftrylockfile(f) != 0)
			continue;
		if (__fpending(f) != 0)
			fflush_unlocked(f);
		funlockfile(f);
	}
}

void lt_stdio_fork_child(void)
{
	int i;

	list.lock = 0;
	for (i = 0; i < 3; i++)
		std[i].lock = 0;
}

/* ---- making one ---- */

static FILE *stream(int fd, const char *mode, cookie_read_function_t *get)
{
	cookie_io_functions_t io = {
		.read = get, .write = to_fd, .seek = seek_fd, .close = close_fd};
	uint32_t i = list_room();
	FILE *f;

	if (i == LT_NONE) {
		errno = ENOMEM;
		return NULL;
	}
	f = fopencookie((void *)(intptr_t)fd, mode, io);
	if (f == NULL) {
		lt_pool_put(&list.pool, i);
		return NULL;
	}
	f->_fileno = fd;
	list_add(i, fd, f);
	return f;
}

/* fopencookie() looks for '+' in fewer places than fdopen(). */
FILE *lt_fdopen(int fd, const char *mode)
{
	struct lt_desc *d = lt_fd_check(fd);
	char plain[3] = {mode[0], '\0', '\0'};

	if (d == NULL || d->kind == LT_EPOLL)
		return lt_real.fdopen(fd, mode);
	if (strchr(mode, '+') != NULL)
		plain[1] = '+';
	return stream(fd, plain, from_fd);
}

/* ---- the standard streams ---- */

static FILE **variable(int fd)
{
	return fd == 0 ? &stdin : fd == 1 ? &stdout : &stderr;
}

static void same_buffering(FILE *f, FILE *old)
{
	if (old->_flags & UNBUFFERED)
		setvbuf(f, NULL, _IONBF, 0);
	else if (__flbf(old))
		setvbuf(f, NULL, _IOLBF, 0);
}

/* What was written and not flushed goes where the kernel would send it: to what the number names now. */
static void take_unflushed(FILE *f, FILE *old)
{
	if (ftrylockfile(old) != 0)
		return;
	if (__fpending(old) != 0 &&
		fwrite_unlocked(old->_IO_write_base, 1, __fpending(old), f) != 0)
		__fpurge(old);
	funlockfile(old);
}

static void replace(int fd, FILE **var)
{
	FILE *old = *var, *f;

	f = stream(fd, fd == 0 ? "r" : "w", fd == 0 ? from_stdin : from_fd);
	if (f == NULL)
		return;
	std[fd].before = old;
	std[fd].ours = f;
	same_buffering(f, old);
	if (fd != 0)
		take_unflushed(f, old);
	tas_store_rel(var, f);
}

/*
 * fd, 0 to 2, has become ours. A program that has closed the stream, put another one in its place or writes wide characters to it
 * (a stream of fopencookie takes none) keeps it.
 */
void lt_stdio_follow(int fd)
{
	FILE **var = variable(fd), *old = tas_load(var);
	int saved = errno;
	uint64_t mask;

	if (old == NULL || old == tas_load(&std[fd].ours) || fileno(old) != fd || fwide(old, 0) > 0)
		return;
	lt_lock_masked(&std[fd].lock, &mask);
	if (*var == old)
		replace(fd, var);
	lt_unlock_masked(&std[fd].lock, &mask);
	errno = saved;
}

/* Is f the stream of a standard number? Then the program's own is to be had again, as glibc's is after fclose(). */
static FILE *give_back(int fd, FILE *f)
{
	FILE *before;

	if (fd > 2 || std[fd].ours != f)
		return NULL;
	before = std[fd].before;
	std[fd].ours = std[fd].before = NULL;
	if (*variable(fd) == f)
		*variable(fd) = before;
	return before;
}

int lt_fclose(FILE *f)
{
	int fd = fileno(f), r;

	if (list_take(fd, f)) {
		give_back(fd, f);
		return lt_real.fclose(f);
	}
	if (lt_fd_get(fd) == NULL)
		return lt_real.fclose(f);
	r = lt_real.fclose(f);
	lt_fd_drop(fd);
	return r;
}

/* glibc's own freopen() makes a file of a stream by parts that one of fopencookie does not have, and crashes. */
static FILE *reopen(const char *path, const char *mode, FILE *f,
	FILE *(*real)(const char *, const char *, FILE *))
{
	int fd = fileno(f);
	FILE *before;

	if (!list_take(fd, f)) {
		f = real(path, mode, f);
		if (lt_fd_get(fd) != NULL)
			lt_fd_drop(fd);
		return f;
	}
	before = give_back(fd, f);
	lt_real.fclose(f);
	if (before != NULL)
		return real(path, mode, before);
	if (path != NULL)
		return fopen64(path, mode);
	errno = ENXIO; /* as /proc/self/fd/N of a socket says */
	return NULL;
}

FILE *lt_freopen(const char *path, const char *mode, FILE *f)
{
	return reopen(path, mode, f, lt_real.freopen);
}

FILE *lt_freopen64(const char *path, const char *mode, FILE *f)
{
	return reopen(path, mode, f, lt_real.freopen64);
}

/* ---- dprintf ---- */

/* flag: of the fortified variants, -1 for the others. The stream is libc's for the time of the call. */
static int print(int fd, int flag, const char *fmt, va_list ap)
{
	cookie_io_functions_t io = {.write = to_fd};
	FILE *f = fopencookie((void *)(intptr_t)fd, "w", io);
	int n, err;

	if (f == NULL)
		return -1;
	n = flag < 0 ? vfprintf(f, fmt, ap) : __vfprintf_chk(f, flag, fmt, ap);
	if (fflush(f) != 0)
		n = -1;
	err = errno;
	lt_real.fclose(f);
	errno = err;
	return n;
}

int lt_vdprintf(int fd, const char *fmt, va_list ap)
{
	return lt_conn_get(fd) == NULL ? lt_real.vdprintf(fd, fmt, ap) : print(fd, -1, fmt, ap);
}

int lt___vdprintf_chk(int fd, int flag, const char *fmt, va_list ap)
{
	return lt_conn_get(fd) == NULL ? lt_real.__vdprintf_chk(fd, flag, fmt, ap)
				       : print(fd, flag < 0 ? 0 : flag, fmt, ap);
}

#define LT_EXPORT __attribute__((visibility("default"), used))

LT_EXPORT int wrap_dprintf(int fd, const char *fmt, ...) __asm__("dprintf");
LT_EXPORT int wrap_dprintf_chk(int fd, int flag, const char *fmt, ...) __asm__("__dprintf_chk");

int wrap_dprintf(int fd, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = lt_vdprintf(fd, fmt, ap);
	va_end(ap);
	return n;
}

int wrap_dprintf_chk(int fd, int flag, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = lt___vdprintf_chk(fd, flag, fmt, ap);
	va_end(ap);
	return n;
}
