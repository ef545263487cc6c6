/*
 * fork.c - fork, vfork, _Fork, daemon.
 *
 * The parent asks the daemon for a token, the child says HELLO with it at once and so holds the
 * same listeners and connections. Region and chunk mappings do not go to the child: a connection
 * comes to it when it is used there (share.c); one that is still connecting stays the parent's, and
 * in the child its descriptor is a plain unconnected socket. vfork() is fork(): a child that runs in the parent's memory would change
 * the parent's tables. A child made behind libc's back finds an emptied page (MADV_WIPEONFORK) at
 * its first call on one of ours. Owner: the forking thread. fork(2), vfork(2), daemon(3),
 * madvise(2).
 */
#include <stdlib.h>
#include <unistd.h>
#include "lt.h"
#include "transit.h"

static bool holds_listener(void)
{
	uint32_t fd, n = lt_fd_top();
	struct lt_desc *d;

	for (fd = 0; fd < n; fd++) {
		d = lt_fd_get((int)fd);
		if (d != NULL && d->kind == LT_LISTEN)
			return true;
	}
	return false;
}

/* It comes when it is used; the parent's queues are not ours. */
static void send_away(struct lt_desc *d)
{
	d->kind = LT_AWAY;
	d->slot = LT_NONE;
	d->evq = 0;
	d->evq_mask = 1;
	d->backoff_ns = 0;
	d->late = 0;
	tas_fetch_and(&d->flags, ~(LT_D_STARVED | LT_D_STRAY));
}

/* Ours once the daemon says so, at its first use (lt_listen_settle). Its users are the parent's. */
static void unsettle(struct lt_desc *d)
{
	d->flags |= LT_D_FORKED;
	d->slot = LT_NONE;
	d->users = d->nall = d->nexcl = 0;
	d->evq = 0;
	d->evq_mask = 1;
}

/* Calls that held a description are of threads that are not here. */
static void count_refs(uint32_t n)
{
	uint32_t fd, v;

	for (fd = 0; fd < n; fd++)
		if ((v = lt_tab[fd]) != 0 && v != LT_TAB_HIDDEN)
			lt_descs[v - 1].refs = 0;
	for (fd = 0; fd < n; fd++)
		if ((v = lt_tab[fd]) != 0 && v != LT_TAB_HIDDEN)
			lt_descs[v - 1].refs++;
}

/* Our hidden descriptors are the parent's; connections that were not shared are too. Listeners are
 * settled at their first use. */
static void clean_table(bool shared)
{
	uint32_t fd, v, n = lt_fd_top();
	struct lt_desc *d;

	count_refs(n);
	for (fd = 0; fd < n; fd++) {
		v = lt_tab[fd];
		if (v == LT_TAB_HIDDEN) {
			if ((int)fd != lt_client_sock() && (int)fd != lt_report_fd())
				lt_unhide((int)fd);
			continue;
		}
		if (v == 0)
			continue;
		d = &lt_descs[v - 1];
		d->lock = 0;
		if (d->kind == LT_LISTEN)
			unsettle(d);
		if (d->kind == LT_CONN && shared && (d->flags & LT_D_SHARED))
			send_away(d);
		if (d->kind != LT_CONN && d->kind != LT_FREE)
			continue;
		if (d->kind == LT_CONN)
			lt_explain(TAS_X_fork_dropped);
		d->kind = LT_FREE;
		lt_fd_drop((int)fd);
	}
}

/* m: the reply with the token, or NULL. */
static void child(const struct tas_msg *m)
{
	lt_tid_cache = 0;
	lt_pid = (uint32_t)lt_sys1(SYS_getpid, 0);
	*lt_alive = 1;
	lt_explain_fork_child();
	lt_context_fork_child();
	lt_sleepers_fork_child();
	lt_transits_fork_child();
	lt_epoll_fork_child();
	lt_share_fork_child();
	lt_stdio_fork_child();
	lt_client_fork_child(m);
	clean_table(m != NULL);
}

void lt_fork_noticed(void)
{
	child(NULL);
}

void lt_fork_before(struct lt_forking *f)
{
	lt_share_mark();
	lt_client_hold(&f->mask);
	f->token = (holds_listener() || lt_share_any()) && lt_client_fork_begin_child(&f->m) >= 0;
}

void lt_fork_in_child(const struct lt_forking *f)
{
	child(f->token ? &f->m : NULL);
	lt_signals_restore(&f->mask);
}

void lt_fork_in_parent(struct lt_forking *f, pid_t pid)
{
	lt_client_fork_end();
	if (pid < 0 && f->token)
		lt_client_fork_failed(&f->m);
	lt_client_release(&f->mask);
}

static pid_t fork_with(pid_t (*real_fork)(void))
{
	struct lt_forking f;
	pid_t pid;

	if (tas_load(&lt_ntab) == 0) {
		pid = real_fork();
		if (pid == 0)
			lt_explain_fork_child();
		return pid;
	}
	lt_fork_before(&f);
	pid = real_fork();
	if (pid == 0)
		lt_fork_in_child(&f);
	else
		lt_fork_in_parent(&f, pid);
	return pid;
}

pid_t lt_fork(void)
{
	return fork_with(lt_real.fork);
}

pid_t lt_vfork(void)
{
	return fork_with(lt_real.fork);
}

pid_t lt__Fork(void)
{
	return fork_with(lt_real._Fork);
}

/* libc's own daemon() forks where we cannot see it. */
int lt_daemon(int nochdir, int noclose)
{
	pid_t pid;
	int fd, i;

	if (tas_load(&lt_ntab) == 0)
		return lt_real.daemon(nochdir, noclose);
	pid = lt_fork();
	if (pid < 0)
		return -1;
	if (pid > 0)
		_exit(0);
	if (setsid() < 0)
		return -1;
	if (!nochdir && chdir("/") != 0)
		return -1;
	if (noclose)
		return 0;
	fd = open("/dev/null", O_RDWR);
	if (fd < 0)
		return -1;
	for (i = 0; i <= 2; i++)
		lt_dup2(fd, i);
	if (fd > 2)
		lt_close(fd);
	return 0;
}
