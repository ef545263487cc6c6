/*
 * exec.c - what the next program of this process inherits.
 *
 * The descriptors that stay open over exec are tas connections and listeners still: the daemon is
 * asked for a token, as before fork(), and the token and what lies behind each descriptor are handed
 * over in the environment variable TAS_INHERIT, which libtas takes out again when the next program
 * is loaded. A program that clears the environment would lose what it inherits with it, so in that case
 * LD_PRELOAD and TAS_SOCKET go along too. Owner: the thread that calls exec. execve(2), ld.so(8).
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "lt.h"

#define NAME	 "TAS_INHERIT="
#define PER_FD	 96u /* the longest entry */
#define HEAD	 64u
#define KEEP_MAX 3 /* variables that we add */

extern char **environ;

/* What is handed over, in one mapping: the new environment, then TAS_INHERIT. */
struct heritage {
	struct tas_msg token;
	char **env;
	char *text;
	size_t bytes, len;
};

static bool stays_open(int fd)
{
	long fl = lt_sys_fcntl(fd, F_GETFD, 0);

	return fl >= 0 && !(fl & FD_CLOEXEC);
}

static bool is_heritable(const struct lt_desc *d)
{
	return d != NULL && (d->kind == LT_LISTEN || d->kind == LT_AWAY ||
				    (d->kind == LT_CONN && (lt_flags(d) & LT_D_SHARED)));
}

/* Descriptors of ours that the next program will have. */
static uint32_t count_heirs(void)
{
	uint32_t fd, n = lt_fd_top(), heirs = 0;

	for (fd = 0; fd < n; fd++)
		heirs += is_heritable(lt_fd_get((int)fd)) && stays_open((int)fd);
	return heirs;
}

static size_t env_count(char *const envp[])
{
	size_t n = 0;

	while (envp != NULL && envp[n] != NULL)
		n++;
	return n;
}

static bool has_var(char *const envp[], const char *name)
{
	size_t i, len = strlen(name);

	for (i = 0; envp != NULL && envp[i] != NULL; i++)
		if (strncmp(envp[i], name, len) == 0 && envp[i][len] == '=')
			return true;
	return false;
}

/* The variable as this process has it, for a program whose environment lacks it. */
static void keep_var(struct heritage *h, size_t *n, char *const envp[], const char *name)
{
	size_t i, len = strlen(name);

	for (i = 0; !has_var(envp, name) && environ != NULL && environ[i] != NULL; i++)
		if (strncmp(environ[i], name, len) == 0 && environ[i][len] == '=')
			h->env[(*n)++] = environ[i];
}

static void fill_env(struct heritage *h, char *const envp[])
{
	size_t n = 0, i;

	for (i = 0; envp != NULL && envp[i] != NULL; i++)
		if (strncmp(envp[i], NAME, sizeof(NAME) - 1) != 0)
			h->env[n++] = envp[i];
	keep_var(h, &n, envp, "LD_PRELOAD");
	keep_var(h, &n, envp, TAS_SOCKET_ENV);
	h->env[n++] = h->text;
	h->env[n] = NULL;
}

static void describe(struct heritage *h, int fd, struct lt_desc *d)
{
	uint64_t cookie = lt_cookie(fd);
	bool conn = d->kind != LT_LISTEN;

	h->len += (size_t)snprintf(h->text + h->len, PER_FD, ";%d:%c:%llx:%x:%x:%x", fd,
		conn ? 'c' : 'l', (unsigned long long)cookie, conn ? d->flow : 0, conn ? d->gen : 0,
		lt_flags(d) & (LT_D_NONBLOCK | LT_D_V6));
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
		if ((int)i != fd && lt_fd_get((int)i) == d && stays_open((int)i))
			return true;
	return false;
}

static void hand_over(struct heritage *h)
{
	uint32_t fd, n = lt_fd_top();
	struct lt_desc *d;

	h->len = (size_t)snprintf(h->text, HEAD, NAME "%llx.%llx",
		(unsigned long long)h->token.token[0], (unsigned long long)h->token.token[1]);
	for (fd = 0; fd < n; fd++) {
		d = lt_fd_get((int)fd);
		if (!is_heritable(d))
			continue;
		if (stays_open((int)fd))
			describe(h, (int)fd, d);
		else if (!another_stays((int)fd, d))
			let_go(h, d);
	}
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

/* false: nothing of ours goes along, or nothing can. */
static bool prepare(struct heritage *h, char *const envp[])
{
	uint32_t heirs;
	uint64_t mask;
	size_t env;
	bool ok;

	if (tas_load(&lt_ntab) == 0)
		return false;
	lt_share_mark();
	heirs = count_heirs();
	if (heirs == 0) {
		if (lt_share_any())
			tell_of_end();
		return false;
	}
	env = (env_count(envp) + KEEP_MAX + 1) * sizeof(char *);
	h->bytes = env + HEAD + (size_t)heirs * PER_FD;
	h->env = lt_map(h->bytes);
	if (h->env == NULL)
		return false;
	h->text = (char *)h->env + env;
	lt_client_hold(&mask);
	ok = lt_client_fork_begin(&h->token) >= 0;
	if (ok)
		hand_over(h);
	lt_client_release(&mask);
	if (ok)
		fill_env(h, envp);
	else
		munmap(h->env, h->bytes);
	return ok;
}

/* exec has failed: everything is ours alone again. */
static void take_back(struct heritage *h)
{
	int saved = errno;

	h->token.type = TAS_CMD_UNFORK;
	lt_command(&h->token, -1, NULL, NULL);
	munmap(h->env, h->bytes);
	errno = saved;
}

int lt_execve(const char *path, char *const argv[], char *const envp[])
{
	struct heritage h;
	int r;

	if (!prepare(&h, envp))
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

	if (!prepare(&h, envp))
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

	if (!prepare(&h, envp))
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

/* ---- the next program ---- */

struct heir {
	int fd;
	char kind;
	unsigned long long cookie;
	unsigned flow, gen, flags;
};

/* Descriptors of one connection share a description. */
static struct lt_desc *brother(const struct heir *h)
{
	uint32_t fd, n = lt_fd_top();
	struct lt_desc *d;

	for (fd = 0; fd < n; fd++) {
		d = lt_fd_get((int)fd);
		if (d != NULL && d->cookie == h->cookie)
			return d;
	}
	return NULL;
}

static struct lt_desc *new_heir(const struct heir *h)
{
	uint32_t flags = h->flags & (LT_D_NONBLOCK | LT_D_V6);
	struct lt_desc *d;

	if (h->kind == 'l')
		return lt_desc_new(LT_UNDECIDED, flags);
	d = lt_desc_new(LT_AWAY, flags | LT_D_SHARED);
	if (d != NULL) {
		d->flow = h->flow;
		d->gen = h->gen;
	}
	return d;
}

static void adopt(const struct heir *h)
{
	struct lt_desc *d;

	if (h->fd < 0 || (uint32_t)h->fd >= lt_ntab || h->cookie == 0 ||
		lt_cookie(h->fd) != h->cookie)
		return;
	d = brother(h);
	if (d != NULL) {
		lt_fd_put(h->fd, d);
		return;
	}
	d = new_heir(h);
	if (d == NULL)
		return;
	d->cookie = h->cookie;
	lt_fd_put(h->fd, d);
	if (h->kind == 'l')
		lt_listen_join(d, h->fd);
}

static const char *next_heir(const char *p, struct heir *h)
{
	int used = 0;

	if (sscanf(p, ";%d:%c:%llx:%x:%x:%x%n", &h->fd, &h->kind, &h->cookie, &h->flow, &h->gen,
		    &h->flags, &used) != 6 ||
		used == 0)
		return NULL;
	return p + used;
}

/* After the other constructors: the path of the socket is known, the tables can be made. */
__attribute__((constructor(65535))) static void inherit(void)
{
	const char *p = secure_getenv("TAS_INHERIT");
	unsigned long long token[2];
	uint64_t words[2];
	struct heir h;
	int used = 0;

	if (p == NULL)
		return;
	if (sscanf(p, "%llx.%llx%n", &token[0], &token[1], &used) == 2 && used != 0 && lt_setup()) {
		words[0] = token[0];
		words[1] = token[1];
		if (lt_client_inherit(words))
			for (p += used; p != NULL && *p == ';' && (p = next_heir(p, &h)) != NULL;)
				adopt(&h);
	}
	unsetenv("TAS_INHERIT");
}
