/*
 * passing.c - see passing.h. Owner: slow path thread.
 */
#include "conn/passing.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "alloc.h"
#include "conn/internal.h"
#include "conn/share.h"
#include "sp.h"

/*
 * How soon an orphan is looked at again. The last holder says that it closes before it does, so the
 * first look comes a little later; a look costs 0.2 us (a listener: 9 us).
 */
#define FIRST_NS 1000000u
#define MOST_NS	 100000000u

/* ---- the table ---- */

static struct sp_passing *find(struct sp *sp, uint32_t id, uint32_t gen, int listener)
{
	struct sp_passing *p = sp->passings.table;
	uint32_t i;

	for (i = 0; i < sp->passings.count; i++)
		if (p[i].id == id && p[i].gen == gen && p[i].listener == listener)
			return &p[i];
	return NULL;
}

static struct sp_passing *find_handle(struct sp *sp, uint64_t cookie)
{
	struct sp_passing *p = sp->passings.table;
	uint32_t i;

	for (i = 0; i < sp->passings.count; i++)
		if (p[i].cookie == cookie)
			return &p[i];
	return NULL;
}

const struct sp_passing *sp_passing_find(struct sp *sp, uint32_t id, uint32_t gen, int listener)
{
	return find(sp, id, gen, listener);
}

const struct sp_passing *sp_passing_of_handle(struct sp *sp, uint64_t cookie)
{
	return find_handle(sp, cookie);
}

static int is_full(const struct sp *sp, uint32_t uid)
{
	const struct sp_passing *p = sp->passings.table;
	uint32_t i, n = 0, share = SP_PASSING_MAX - SP_PASSING_MAX / 4;

	if (sp->passings.count >= SP_PASSING_MAX)
		return 1;
	if (uid == 0 || sp->passings.count < share)
		return 0;
	for (i = 0; i < sp->passings.count; i++)
		n += p[i].uid == uid;
	return n >= share;
}

static void drop(struct sp *sp, struct sp_passing *p)
{
	sp->passings.orphans -= p->orphan;
	close(p->watch);
	*p = sp->passings.table[--sp->passings.count];
}

/* ---- the kernel's word ---- */

/* What the caller closes of it then is not in the set any more: it stays there while others have it open. */
static int watch(int fd, int *out)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT};
	int set = epoll_create1(EPOLL_CLOEXEC), err;

	if (set < 0)
		return -errno;
	if (epoll_ctl(set, EPOLL_CTL_ADD, fd, &ev) != 0) {
		err = -errno;
		close(set);
		return err;
	}
	*out = set;
	return 0;
}

/* A listening socket is ready only now and then, but the set tells what it has in it. */
static int is_listed(int set)
{
	char path[40], text[256];
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", set);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	if (n < 0)
		return 1; /* it cannot be known */
	text[n] = '\0';
	return strstr(text, "tfd:") != NULL;
}

/* The handle of a connection is a socket that was never connected: always ready, by POLLHUP. */
static int is_open(const struct sp_passing *p)
{
	struct epoll_event ev;

	return epoll_wait(p->watch, &ev, 1, 0) > 0 || (p->listener && is_listed(p->watch));
}

/* ---- on its way ---- */

static int make_table(struct sp *sp)
{
	if (sp->passings.table == NULL)
		sp->passings.table = fp_calloc(SP_PASSING_MAX, sizeof(struct sp_passing));
	return sp->passings.table != NULL ? 0 : -ENOMEM;
}

int sp_passing_add(struct sp *sp, const struct sp_passing *what, int fd)
{
	struct sp_passing *p = find(sp, what->id, what->gen, what->listener),
			  *same = find_handle(sp, what->cookie), fresh = *what;
	int err;

	if (same != p) /* the handle of something else */
		return -EBADF;
	if (p != NULL && p->count == UINT32_MAX)
		return -ENOBUFS;
	if (p == NULL) {
		if (is_full(sp, what->uid))
			return -ENOBUFS;
		err = make_table(sp);
		if (err == 0)
			err = watch(fd, &fresh.watch);
		if (err != 0)
			return err;
		fresh.count = 0;
		fresh.orphan = 0;
		p = &sp->passings.table[sp->passings.count++];
		*p = fresh;
	}
	p->note = what->note;
	p->count++;
	return 0;
}

void sp_passing_done(struct sp *sp, uint64_t cookie)
{
	struct sp_passing *p = find_handle(sp, cookie);

	if (p != NULL && --p->count == 0 && !p->orphan)
		drop(sp, p);
	else if (p != NULL && p->count == 0)
		p->count = 1; /* nobody holds it, so something still is */
}

/* ---- orphans ---- */

static void is_due(struct sp *sp, const struct sp_passing *p)
{
	if (p->due_ns < sp->passings.due_ns)
		sp->passings.due_ns = p->due_ns;
}

static void look_later(struct sp *sp, struct sp_passing *p, uint32_t wait_ns)
{
	p->wait_ns = wait_ns;
	p->due_ns = sp->now_ns + wait_ns;
	is_due(sp, p);
}

int sp_passing_keeps(struct sp *sp, uint32_t id, uint32_t gen, int listener)
{
	struct sp_passing *p = find(sp, id, gen, listener);

	if (p == NULL)
		return 0;
	if (sp->passings.orphans == 0)
		sp->passings.due_ns = UINT64_MAX;
	sp->passings.orphans += !p->orphan;
	p->orphan = 1;
	look_later(sp, p, FIRST_NS);
	return 1;
}

void sp_passing_held(struct sp *sp, uint32_t id, uint32_t gen, int listener)
{
	struct sp_passing *p = find(sp, id, gen, listener);

	if (p == NULL || !p->orphan)
		return;
	p->orphan = 0;
	sp->passings.orphans--;
}

void sp_passing_forget(struct sp *sp, uint32_t id, uint32_t gen, int listener)
{
	struct sp_passing *p = find(sp, id, gen, listener);

	if (p != NULL)
		drop(sp, p);
}

static void end(struct sp *sp, const struct sp_passing *p)
{
	struct sp_conn *c = p->listener ? NULL : sp_conn_get(sp, p->id);
	uint32_t id = p->id, gen = p->gen;

	sp->cnt.passed_lost++;
	if (p->listener)
		sp_listener_leave_all(sp, id);
	else if (c != NULL && c->gen == gen)
		sp_share_end(sp, c);
	else
		sp_passing_forget(sp, id, gen, 0);
}

void sp_passing_run(struct sp *sp)
{
	uint32_t i;

	if (sp->passings.orphans == 0 || sp->now_ns < sp->passings.due_ns)
		return;
	sp->passings.due_ns = UINT64_MAX;
	for (i = sp->passings.count; i-- > 0;) { /* what ends makes way for the last one */
		struct sp_passing *p = &sp->passings.table[i];

		if (!p->orphan)
			continue;
		if (sp->now_ns < p->due_ns)
			is_due(sp, p);
		else if (is_open(p))
			look_later(sp, p, p->wait_ns < MOST_NS / 2 ? 2 * p->wait_ns : MOST_NS);
		else
			end(sp, p);
	}
}

uint64_t sp_passing_next(const struct sp *sp)
{
	return sp->passings.orphans != 0 ? sp->passings.due_ns : UINT64_MAX;
}

void sp_passing_free(struct sp *sp)
{
	while (sp->passings.count != 0)
		drop(sp, &sp->passings.table[0]);
	free(sp->passings.table);
	sp->passings.table = NULL;
}
