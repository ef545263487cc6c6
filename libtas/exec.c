/*
 * exec.c - what the next program of this process inherits (heir.c takes it).
 *
 * The descriptors that stay open over exec are tas connections and listeners still: the daemon is
 * asked for a token, as before fork(), and the token and what lies behind each descriptor are handed
 * over in the environment variable TAS_INHERIT. More than fits into one string of an environment goes into a sealed memory file, whose
 * number the variable tells. A program that clears the environment would lose what it inherits with it, so in that case
 * LD_PRELOAD and TAS_SOCKET go along too. Owner: the thread that calls exec. execve(2), ld.so(8),
 * memfd_create(2).
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "environment.h"
#include "heritage.h"
#include "lt.h"

#define NAME   LT_HERITAGE "="
#define PER_FD (96u + 14u * LT_OPT_WORDS) /* the longest entry */
#define HEAD   64u
#define TEXT_MAX                                                                                   \
	65536u /* execve(2): a string has less than 32 pages; all of them share a quarter of the stack */

/* What is handed over. */
struct heritage {
	struct tas_msg token;
	char **env; /* mapped, env_bytes */
	char *text; /* mapped, room: the variable */
	size_t env_bytes, room, len;
	int file; /* hidden; where the value is when the text only names it, or -1 */
};

bool lt_stays_open(int fd)
{
	long fl = lt_sys_fcntl(fd, F_GETFD, 0);

	return fl >= 0 && !(fl & FD_CLOEXEC);
}

static bool is_heritable(const struct lt_desc *d)
{
	return d != NULL && (d->kind == LT_LISTEN || d->kind == LT_AWAY ||
				    (d->kind == LT_CONN && (lt_flags(d) & LT_D_SHARED)));
}

/* Will the next program have descriptors of ours? */
static bool any_heir(void)
{
	uint32_t fd, n = lt_fd_top();

	for (fd = 0; fd < n; fd++)
		if (is_heritable(lt_fd_get((int)fd)) && lt_stays_open((int)fd))
			return true;
	return false;
}

static void fill_env(struct heritage *h, char *const envp[])
{
	size_t n = lt_env_copy(h->env, envp);

	h->env[n++] = h->text;
	h->env[n] = NULL;
}

/* Room for one entry more: other threads may be opening descriptors. */
static bool make_room(struct heritage *h)
{
	void *p;

	if (h->room - h->len >= PER_FD)
		return true;
	p = mremap(h->text, h->room, 2 * h->room, MREMAP_MAYMOVE);
	if (p == MAP_FAILED)
		return false;
	h->text = p;
	h->room *= 2;
	return true;
}

static void describe_options(struct heritage *h, const struct lt_opts *o)
{
	uint32_t now[LT_OPT_WORDS], fresh[LT_OPT_WORDS], i;
	struct lt_opts none = {0};

	lt_opts_init(&none);
	memcpy(fresh, &none, sizeof(none));
	memcpy(now, o, sizeof(*o));
	if (memcmp(now, fresh, sizeof(now)) == 0)
		return;
	h->len += (size_t)snprintf(h->text + h->len, HEAD, "/%zx", sizeof(*o));
	for (i = 0; i < LT_OPT_WORDS; i++)
		if (now[i] != fresh[i])
			h->len += (size_t)snprintf(h->text + h->len, HEAD, ",%x=%x", i, now[i]);
}

static bool describe(struct heritage *h, int fd, struct lt_desc *d)
{
	uint64_t cookie = lt_cookie(fd);
	bool conn = d->kind != LT_LISTEN;

	if (!make_room(h))
		return false;
	h->len += (size_t)snprintf(h->text + h->len, PER_FD, ";%d:%c:%llx:%x:%x:%x", fd,
		conn ? 'c' : 'l', (unsigned long long)cookie, conn ? d->flow : 0, conn ? d->gen : 0,
		lt_flags(d) & LT_HERITAGE_FLAGS);
	describe_options(h, &d->opts);
	return true;
}

/* In the next program's name: it does not get what is closed on exec. */
static void let_go(const struct heritage *h, const struct lt_desc *d)
{
	struct tas_msg m = {.type = TAS_CMD_RELEASE, .id = d->flow, .aux = d->gen};

	if (d->kind == LT_LISTEN)
		m = (struct tas_msg){.type = TAS_CMD_UNLISTEN, .id = d->listener};
	memcpy(m.token, h->token.token, sizeof(m.token));
	lt_client_tell(&m);
}

static bool another_stays(int fd, const struct lt_desc *d)
{
	uint32_t i, n = lt_fd_top();

	if (tas_load(&d->refs) < 2)
		return false;
	for (i = 0; i < n; i++)
		if ((int)i != fd && lt_fd_get((int)i) == d && lt_stays_open((int)i))
			return true;
	return false;
}

/* False: it cannot all be told. */
static bool hand_over(struct heritage *h)
{
	uint32_t fd, n = lt_fd_top();
	struct lt_desc *d;
	bool ok = true;

	h->len = (size_t)snprintf(h->text, HEAD, NAME "%llx.%llx",
		(unsigned long long)h->token.token[0], (unsigned long long)h->token.token[1]);
	for (fd = 0; ok && fd < n; fd++) {
		d = lt_fd_get((int)fd);
		if (!is_heritable(d))
			continue;
		if (lt_stays_open((int)fd))
			ok = describe(h, (int)fd, d);
		else if (!another_stays((int)fd, d))
			let_go(h, d);
	}
	return ok;
}

/* The value with its end, into a file that nobody changes any more. */
static bool fill_file(int fd, const char *p, size_t n)
{
	long r;

	for (; n > 0; p += r, n -= (size_t)r) {
		r = lt_sys3(SYS_write, fd, p, n);
		if (r <= 0)
			return false;
	}
	return lt_sys_fcntl(fd, F_ADD_SEALS, LT_HERITAGE_SEALS) == 0 &&
	       lt_sys_fcntl(fd, F_SETFD, 0) == 0;
}

/* Hidden high up: the program may expect the low numbers to be free, or to be its own. */
static bool put_in_file(struct heritage *h)
{
	size_t name = sizeof(NAME) - 1;
	int fd = (int)lt_sys2(SYS_memfd_create, "tas-inherit", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return false;
	lt_fd_new(fd);
	h->file = lt_hide(fd);
	if (h->file < 0 || !fill_file(h->file, h->text + name, h->len - name + 1))
		return false;
	h->len = (size_t)snprintf(h->text, HEAD, NAME "@%d", h->file);
	return true;
}

/*
 * Nothing is inherited: the connections are closed by exec, and not reset as those of a killed program. For that the daemon
 * must have us as a holder that may go, which a token makes us.
 */
static void tell_of_end(void)
{
	struct tas_msg m;
	uint64_t mask;

	lt_client_hold(&mask);
	if (lt_client_fork_begin(&m) >= 0)
		lt_client_fork_failed(&m);
	lt_client_release(&mask);
}

static bool make_heritage(struct heritage *h, char *const envp[])
{
	h->file = -1;
	h->env_bytes = (lt_env_count(envp) + LT_ENV_ADDED + 2) * sizeof(char *);
	h->env = lt_map(h->env_bytes);
	h->room = TEXT_MAX;
	h->text = lt_map(h->room);
	return h->env != NULL && h->text != NULL;
}

static void drop_heritage(struct heritage *h)
{
	lt_unhide(h->file);
	if (h->env != NULL)
		munmap(h->env, h->env_bytes);
	if (h->text != NULL)
		munmap(h->text, h->room);
}

/* exec has failed: everything is ours alone again. */
static void take_back(struct heritage *h)
{
	int saved = errno;

	h->token.type = TAS_CMD_UNFORK;
	lt_command(&h->token, -1, NULL, NULL);
	drop_heritage(h);
	errno = saved;
}

/* With a token of the daemon's. */
static bool ask_and_tell(struct heritage *h)
{
	uint64_t mask;
	bool asked, told = false;

	lt_client_hold(&mask);
	asked = lt_client_fork_begin(&h->token) >= 0;
	if (asked)
		told = hand_over(h);
	lt_client_release(&mask);
	if (told && h->len >= TEXT_MAX)
		told = put_in_file(h);
	if (asked && !told)
		take_back(h);
	else if (!asked)
		drop_heritage(h);
	return told;
}

/* false: nothing of ours goes along, or nothing can. */
static bool prepare(struct heritage *h, const char *program, char *const envp[])
{
	if (tas_load(&lt_ntab) == 0)
		return false;
	lt_share_mark();
	if (!any_heir()) {
		if (lt_share_any())
			tell_of_end();
		return false;
	}
	if (!make_heritage(h, envp)) {
		drop_heritage(h);
		return false;
	}
	if (!ask_and_tell(h))
		return false;
	fill_env(h, envp);
	lt_explain_program(program);
	return true;
}

int lt_execve(const char *path, char *const argv[], char *const envp[])
{
	struct heritage h;
	int r;

	if (!prepare(&h, strchr(path, '/') != NULL ? path : NULL, envp))
		return lt_real.execve(path, argv, envp);
	r = lt_real.execve(path, argv, h.env);
	take_back(&h);
	return r;
}

int lt_execv(const char *path, char *const argv[])
{
	return lt_execve(path, argv, environ);
}

int lt_execvpe(const char *file, char *const argv[], char *const envp[])
{
	struct heritage h;
	int r;

	if (!prepare(&h, file, envp))
		return lt_real.execvpe(file, argv, envp);
	r = lt_real.execvpe(file, argv, h.env);
	take_back(&h);
	return r;
}

int lt_execvp(const char *file, char *const argv[])
{
	return lt_execvpe(file, argv, environ);
}

int lt_fexecve(int fd, char *const argv[], char *const envp[])
{
	struct heritage h;
	int r;

	if (!prepare(&h, NULL, envp))
		return lt_real.fexecve(fd, argv, envp);
	r = lt_real.fexecve(fd, argv, h.env);
	take_back(&h);
	return r;
}

/* ---- arguments in a list ---- */

#define LT_EXPORT __attribute__((visibility("default"), used))

static size_t list_length(va_list ap)
{
	size_t n = 1;

	while (va_arg(ap, char *) != NULL)
		n++;
	return n;
}

static void list_fill(const char **argv, size_t n, const char *first, va_list ap)
{
	size_t i;

	argv[0] = first;
	for (i = 1; i <= n; i++)
		argv[i] = va_arg(ap, const char *);
}

/* first == NULL: an empty list. */
#define GATHER(first)                                                                              \
	size_t n = 0;                                                                              \
	va_list ap;                                                                                \
	va_start(ap, first);                                                                       \
	if (first != NULL)                                                                         \
		n = list_length(ap);                                                               \
	va_end(ap);                                                                                \
	const char *argv[n + 1];                                                                   \
	va_start(ap, first);                                                                       \
	if (first != NULL)                                                                         \
		list_fill(argv, n, first, ap);                                                     \
	else                                                                                       \
		argv[0] = NULL

LT_EXPORT int wrap_execl(const char *path, const char *first, ...) __asm__("execl");
LT_EXPORT int wrap_execlp(const char *file, const char *first, ...) __asm__("execlp");
LT_EXPORT int wrap_execle(const char *path, const char *first, ...) __asm__("execle");

int wrap_execl(const char *path, const char *first, ...)
{
	GATHER(first);
	va_end(ap);
	return lt_execve(path, (char *const *)(uintptr_t)argv, environ);
}

int wrap_execlp(const char *file, const char *first, ...)
{
	GATHER(first);
	va_end(ap);
	return lt_execvpe(file, (char *const *)(uintptr_t)argv, environ);
}

int wrap_execle(const char *path, const char *first, ...)
{
	char *const *envp;

	GATHER(first);
	envp = va_arg(ap, char *const *);
	va_end(ap);
	return lt_execve(path, (char *const *)(uintptr_t)argv, envp);
}
