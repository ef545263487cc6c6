/*
 * listener.c - listening sockets: table, holders, life and death of their segments.
 *
 * Owner: slow path thread. listen(2), SO_REUSEPORT of socket(7): several sockets of one user on one
 * address share its connections by a hash of the tuple.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "alloc.h"
#include "app_internal.h"
#include "conn/hash.h"
#include "conn/internal.h"
#include "reap.h"

#define ENTRIES_MIN                                                                                \
	512u /* listen() may be said again with more: nginx does, when its file changes */

static const uint8_t any_addr[16];

struct sp_listener *sp_listener_get(struct sp *sp, uint32_t id)
{
	return id < FP_MAX_LISTENERS ? sp->listeners.table[id] : NULL;
}

struct sp_listener *sp_listener_next(struct sp *sp, uint32_t *cursor)
{
	while (*cursor < FP_MAX_LISTENERS) {
		struct sp_listener *l = sp->listeners.table[(*cursor)++];

		if (l != NULL)
			return l;
	}
	return NULL;
}

struct sp_listener *sp_listener_by_cookie(struct sp *sp, uint64_t cookie)
{
	uint32_t cursor = 1;
	struct sp_listener *l;

	while ((l = sp_listener_next(sp, &cursor)) != NULL) {
		if (l->cookie == cookie)
			return l;
	}
	return NULL;
}

/* ---- lookup by address ---- */

static uint32_t *bucket_of(struct sp *sp, uint16_t lport)
{
	return &sp->listeners.buckets[(lport ^ lport >> 8) % SP_LISTEN_BUCKETS];
}

static int has_key(const struct sp_listener *l, const uint8_t addr[16], uint16_t port, uint16_t net)
{
	return l->lport == port && l->net == net && memcmp(l->laddr, addr, 16) == 0;
}

/* The nth listener (from 0) of an address, NULL when there are not so many; *count of all. */
static struct sp_listener *nth(struct sp *sp, const uint8_t addr[16], uint16_t port, uint16_t net,
	uint32_t n, uint32_t *count)
{
	uint32_t id = *bucket_of(sp, port);
	struct sp_listener *found = NULL;

	*count = 0;
	while (id != 0) {
		struct sp_listener *l = sp->listeners.table[id];

		if (has_key(l, addr, port, net) && (*count)++ == n)
			found = l;
		id = l->hash_next;
	}
	return found;
}

static struct sp_listener *match_addr(
	struct sp *sp, const uint8_t addr[16], const struct tas_tuple *t)
{
	uint32_t count;
	struct sp_listener *l = nth(sp, addr, t->lport, t->net, 0, &count);

	if (count <= 1)
		return l;
	return nth(sp, addr, t->lport, t->net, (uint32_t)(sp_hash_tuple(sp->conns.key, t) % count),
		&count);
}

struct sp_listener *sp_listener_match(struct sp *sp, const struct tas_tuple *t)
{
	struct sp_listener *l = match_addr(sp, t->laddr, t);

	return l != NULL ? l : match_addr(sp, any_addr, t);
}

/* ---- creation ---- */

static uint32_t entries_for(uint32_t backlog)
{
	uint32_t n = ENTRIES_MIN;

	while (n < backlog + 1 && n < TAS_LISTEN_BACKLOG)
		n *= 2;
	return n;
}

/* SO_REUSEPORT on all of them, and one user: else the address is taken, by the one returned. */
static struct sp_listener *conflict(struct sp *sp, const struct sp_listen_args *a)
{
	uint32_t id = *bucket_of(sp, a->lport);

	while (id != 0) {
		struct sp_listener *l = sp->listeners.table[id];

		if (has_key(l, a->laddr, a->lport, a->net) &&
			(!l->reuseport || !a->reuseport || l->uid != a->uid))
			return l;
		id = l->hash_next;
	}
	return NULL;
}

int sp_listener_has(const struct sp *sp, const void *p)
{
	uint32_t id;

	for (id = 1; id < FP_MAX_LISTENERS; id++) {
		uintptr_t seg = (uintptr_t)tas_load(&sp->listeners.segs[id]);

		if (seg != 0 && (uintptr_t)p - seg < sizeof(struct tas_listen))
			return 1;
	}
	return 0;
}

static uint32_t free_id(const struct sp *sp)
{
	uint32_t id;

	if (sp->listeners.count >= sp->listeners.max)
		return 0;
	for (id = 1; id < FP_MAX_LISTENERS; id++) {
		if (sp->listeners.table[id] == NULL)
			return id;
	}
	return 0;
}

static int map_segment(struct sp_listener *l)
{
	int fd = fp_memfd("tas-listen", MFD_ALLOW_SEALING, sizeof(struct tas_listen)), err;
	void *p = NULL;

	if (fd < 0)
		return -errno;
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		p = fp_map_fd(fd, sizeof(struct tas_listen), 0);
	if (p == NULL) {
		err = -errno;
		close(fd);
		return err;
	}
	l->fd = fd;
	l->seg = p;
	return 0;
}

static void fill_segment(struct sp_listener *l)
{
	struct tas_listen *seg = l->seg;

	seg->magic = TAS_LISTEN_MAGIC;
	seg->backlog = l->entries;
	memcpy(seg->laddr, l->laddr, 16);
	seg->lport = l->lport;
	seg->net = l->net;
	seg->listener = l->id;
}

int sp_listener_create(struct sp *sp, const struct sp_listen_args *a, struct sp_listener **out)
{
	uint32_t id = free_id(sp), *bucket = bucket_of(sp, a->lport);
	struct sp_listener *l;
	int err;

	if (conflict(sp, a) != NULL)
		return -EADDRINUSE;
	if (id == 0 || !sp_reap_room(sp)) /* its segment will have to be given back */
		return -ENOBUFS;
	l = fp_calloc(1, sizeof(*l));
	if (l == NULL)
		return -ENOMEM;
	l->id = id;
	l->cookie = a->cookie;
	memcpy(l->laddr, a->laddr, 16);
	l->lport = a->lport;
	l->net = a->net;
	l->reuseport = a->reuseport;
	l->uid = a->uid;
	l->opts = *a->opts;
	l->backlog = a->backlog;
	l->entries = entries_for(a->backlog);
	l->accept = fp_calloc(l->entries, sizeof(*l->accept));
	err = l->accept == NULL ? -ENOMEM : map_segment(l);
	if (err != 0) {
		free(l->accept);
		free(l);
		return err;
	}
	tas_store(&sp->listeners.segs[id], l->seg);
	fill_segment(l);
	l->hash_next = *bucket;
	*bucket = id;
	sp->listeners.table[id] = l;
	sp->listeners.count++;
	fp_listener_set(sp->fp, id, l->seg);
	sp_port_hold(sp, l->lport);
	*out = l;
	return 0;
}

void sp_listener_set_backlog(struct sp *sp, struct sp_listener *l, uint32_t backlog)
{
	(void)sp;
	l->backlog = backlog < l->entries ? backlog : l->entries - 1;
}

/* ---- the end ---- */

static void unhash(struct sp *sp, struct sp_listener *l)
{
	uint32_t *p = bucket_of(sp, l->lport);

	while (*p != l->id)
		p = &sp->listeners.table[*p]->hash_next;
	*p = l->hash_next;
}

static void drop_half_open(struct sp *sp, struct sp_listener *l)
{
	while (l->nhalf != 0) {
		struct sp_conn_input in = {.error = ECONNABORTED};

		sp_conn_event(sp, sp_conn_get(sp, l->half_head), SP_EV_CANCEL, &in);
	}
}

static void destroy(struct sp *sp, struct sp_listener *l, struct sp_app *last)
{
	sp_passing_forget(sp, l->id, 0, 1);
	unhash(sp, l);
	sp_port_release(sp, l->lport);
	drop_half_open(sp, l);
	sp_accept_abandon(sp, l, last);
	tas_store_rel(&l->seg->state, TAS_SOCK_ERROR);
	fp_listener_set(sp->fp, l->id, NULL);
	tas_store(&sp->listeners.segs[l->id], NULL);
	sp_reap_map(sp, l->seg, sizeof(*l->seg));
	close(l->fd);
	sp->listeners.table[l->id] = NULL;
	sp->listeners.count--;
	free(l->accept);
	free(l);
}

/* ---- holders ---- */

static int holder_index(const struct sp_listener *l, uint32_t app)
{
	int i;

	for (i = 0; i < (int)TAS_LISTEN_HOLDERS; i++) {
		if (l->holder[i] == app)
			return i;
	}
	return -1;
}

int sp_listener_held_by(const struct sp_listener *l, uint32_t app)
{
	return holder_index(l, app) >= 0;
}

int sp_listener_hold(struct sp *sp, struct sp_listener *l, struct sp_app *app)
{
	int i;

	if (holder_index(l, app->id) >= 0)
		return -EALREADY;
	i = holder_index(l, 0);
	if (i < 0)
		return -EMFILE;
	l->holder[i] = (uint16_t)app->id;
	l->nholders++;
	app->nlisteners++;
	sp_passing_held(sp, l->id, 0, 1);
	memset(&l->seg->holders[i], 0, sizeof(l->seg->holders[i]));
	tas_store_rel(&l->seg->holders[i].app, app->id);
	return 0;
}

void sp_listener_leave(struct sp *sp, struct sp_listener *l, struct sp_app *app)
{
	int i = holder_index(l, app->id);

	if (i < 0)
		return;
	l->holder[i] = 0;
	l->nholders--;
	app->nlisteners--;
	tas_store(&l->seg->holders[i].armed, TAS_ARM_NONE);
	tas_store_rel(&l->seg->holders[i].app, 0);
	if (l->nholders == 0 && !sp_passing_keeps(sp, l->id, 0, 1)) {
		destroy(sp, l, app);
		return;
	}
	sp_accept_requeue(sp, l, app->id);
	sp_accept_rewake(sp, l); /* its wake may have died with it */
}

/* ---- listeners in the way of a new one ---- */

/* Holders that have ended and wait for the loop to come to them. The listener may be gone then. */
static void leave_hung_up(struct sp *sp, uint32_t id, const struct sp_app *asker)
{
	const struct sp_listener *l;
	uint32_t i;

	for (i = 0; i < TAS_LISTEN_HOLDERS && (l = sp_listener_get(sp, id)) != NULL; i++) {
		struct sp_app *app = sp_app_get(sp, l->holder[i]);

		if (app != NULL && app != asker && sp_app_hung_up(app))
			sp_app_leave(sp, app, sp_app_parting(app));
	}
}

void sp_listener_leave_all(struct sp *sp, uint32_t id)
{
	struct sp_listener *l = sp_listener_get(sp, id);
	uint32_t i;

	sp_passing_forget(sp, id, 0, 1);
	if (l != NULL && l->nholders == 0) {
		destroy(sp, l, NULL);
		return;
	}
	for (i = 0; i < TAS_LISTEN_HOLDERS && (l = sp_listener_get(sp, id)) != NULL; i++) {
		struct sp_app *app = sp_app_get(sp, l->holder[i]);

		if (app != NULL)
			sp_listener_leave(sp, l, app);
	}
}

void sp_listener_make_way(struct sp *sp, const struct sp_listen_args *a, const struct sp_app *asker)
{
	struct sp_listener *l;

	while ((l = conflict(sp, a)) != NULL) {
		uint32_t id = l->id;

		leave_hung_up(sp, id, asker);
		if (sp_listener_get(sp, id) == NULL)
			continue;
		if (!a->listening || l->reuseport)
			return;
		sp_listener_leave_all(sp, id);
		if (sp_listener_get(sp, id) != NULL)
			return;
	}
}

void sp_listeners_free(struct sp *sp)
{
	uint32_t cursor = 1;
	struct sp_listener *l;

	while ((l = sp_listener_next(sp, &cursor)) != NULL)
		destroy(sp, l, NULL);
}
