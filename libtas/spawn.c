/*
 * spawn.c - posix_spawn, system and popen: programs that libc starts by calls of its own, which nobody can intercept.
 *
 * libc's function does it all. Before, what of ours the new program may have is announced as if it were passed in a
 * message (pass.c): descriptors that stay open over exec, and those that a file action duplicates; what the program finds
 * when it starts (received.c) comes to it. What it does not have the kernel tells the daemon.
 * Owner: the thread that calls. posix_spawn(3), system(3), popen(3).
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "environment.h"
#include "lt.h"
#include "tas-run-program.h"

/* Numbers that were ever the source of a file action; none is taken out again. */
#define NAMED_MAX 65536u
static uint64_t named[NAMED_MAX / 64];

/* What was announced. */
struct leaving {
	uint32_t *descs; /* indices, mapped */
	uint32_t n, room;
	char **env; /* mapped; NULL: as it is */
	size_t env_bytes;
};

static bool is_named(uint32_t fd)
{
	return fd >= NAMED_MAX || (tas_load(&named[fd / 64]) >> (fd % 64) & 1);
}

int lt_posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *actions, int fd, int to)
{
	if (fd >= 0 && (uint32_t)fd < NAMED_MAX)
		tas_fetch_or(&named[fd / 64], 1ull << (fd % 64));
	return lt_real.posix_spawn_file_actions_adddup2(actions, fd, to);
}

static bool goes(uint32_t fd, bool actions)
{
	return lt_stays_open((int)fd) || (actions && is_named(fd));
}

static bool announced(const struct leaving *l, uint32_t desc)
{
	uint32_t i;

	for (i = l->n; i > 0; i--)
		if (l->descs[i - 1] == desc)
			return true;
	return false;
}

/* Of several descriptors of one description one is announced; those that were made later are found first. */
static void announce(struct leaving *l, int fd, struct lt_desc *d)
{
	uint32_t desc = lt_desc_index(d);

	if (l->n == l->room || (tas_load(&d->refs) > 1 && announced(l, desc)))
		return;
	if (lt_pass(d, fd) > 0)
		l->descs[l->n++] = desc;
}

static bool begin(struct leaving *l, bool actions)
{
	uint32_t fd, top = lt_fd_top();
	struct lt_desc *d;

	memset(l, 0, sizeof(*l));
	if (tas_load(&lt_ntab) == 0)
		return false;
	for (fd = 0; fd < top; fd++) {
		d = lt_fd_get((int)fd);
		if (d == NULL || d->kind == LT_EPOLL || d->kind == LT_UNDECIDED ||
			!goes(fd, actions))
			continue;
		if (l->descs == NULL) {
			l->room = lt_ndescs;
			l->descs = lt_map(4ull * l->room);
			if (l->descs == NULL)
				return false;
		}
		announce(l, (int)fd, d);
	}
	return l->n != 0;
}

/* A program whose environment has no libtas could do nothing with what it inherits. */
static void add_environment(struct leaving *l, char *const envp[])
{
	size_t n, room = lt_env_count(envp) + LT_ENV_ADDED + 1;

	if (lt_env_has(envp, "LD_PRELOAD") && lt_env_has(envp, TAS_SOCKET_ENV))
		return;
	l->env_bytes = room * sizeof(char *);
	l->env = lt_map(l->env_bytes);
	if (l->env == NULL)
		return;
	n = lt_env_copy(l->env, envp);
	l->env[n] = NULL;
}

static void end(struct leaving *l, bool started)
{
	uint32_t i;

	for (i = 0; !started && i < l->n; i++)
		lt_unpass(&lt_descs[l->descs[i]]);
	if (l->descs != NULL)
		munmap(l->descs, 4ull * l->room);
	if (l->env != NULL)
		munmap(l->env, l->env_bytes);
}

void lt_explain_program(const char *name)
{
	struct program p;

	if (name == NULL)
		return;
	program_look(name, &p);
	if (p.unreached != NULL)
		lt_explain(TAS_X_left_behind);
}

typedef int spawn_fn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
	const posix_spawnattr_t *attr, char *const argv[], char *const envp[]);

static int spawn(spawn_fn *real, pid_t *pid, const char *path,
	const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attr,
	char *const argv[], char *const envp[])
{
	int saved = errno, r;
	struct leaving l;

	if (begin(&l, actions != NULL)) {
		add_environment(&l, envp);
		lt_explain_program(
			real == lt_real.posix_spawnp || strchr(path, '/') != NULL ? path : NULL);
	}
	errno = saved;
	r = real(pid, path, actions, attr, argv, l.env != NULL ? l.env : envp);
	saved = errno;
	end(&l, r == 0);
	errno = saved;
	return r;
}

int lt_posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
	const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	return spawn(lt_real.posix_spawn, pid, path, actions, attr, argv, envp);
}

int lt_posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
	const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	return spawn(lt_real.posix_spawnp, pid, file, actions, attr, argv, envp);
}

/* Before libc's function, which may wait for long, or be cancelled. */
static void leave_open(void)
{
	int saved = errno;
	struct leaving l;

	begin(&l, false);
	end(&l, true);
	errno = saved;
}

int lt_system(const char *command)
{
	if (command != NULL)
		leave_open();
	return lt_real.system(command);
}

FILE *lt_popen(const char *command, const char *mode)
{
	leave_open();
	return lt_real.popen(command, mode);
}
