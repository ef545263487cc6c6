/*
 * cmd_app.c - messages about the program itself: HELLO, REGION, SEGMENT, EVQ, FORK, UNFORK.
 * Owner: slow path thread.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "cmd.h"
#include "conn/internal.h"
#include "conn/share.h"
#include "flowctl.h"
#include "random.h"
#include "reap.h"

#define SECOND_NS 1000000000ull
#define FORK_MAX_NS                                                                                \
	(60 * SECOND_NS) /* a child announced by a living parent is waited for so long */
#define FORKS_MAX 64	 /* announced and not yet come, per program */

static struct sp_app *find_token(struct sp *sp, const uint64_t token[2])
{
	uint32_t cursor = 1;
	struct sp_app *app;

	while ((app = sp_app_next(sp, &cursor)) != NULL) {
		if (app->state == SP_APP_RESERVED && app->token[0] == token[0] &&
			app->token[1] == token[1])
			return app;
	}
	return NULL;
}

/* One whose child comes by the door: it has no connection of its own. */
static struct sp_app *find_stranger(struct sp *sp, const uint64_t token[2])
{
	struct sp_app *app = find_token(sp, token);

	return app != NULL && app->sock < 0 ? app : NULL;
}

/* Without a token that is known: `otherwise`, unless only a child may register. */
static int not_announced(struct sp *sp, const struct sp_app *app, int otherwise)
{
	if (app->only_child == NULL)
		return otherwise;
	sp_app_refused(sp, app);
	return -EUSERS;
}

/* On the connection that its FORK made. Whoever says it has that from the parent, so policy need not be asked again. */
static int hello_of_child(struct sp *sp, const struct sp_request *rq)
{
	if (find_token(sp, rq->m.token) != rq->app)
		return -ENOENT;
	return sp_app_meet(sp, rq->app, rq->pid, rq->uid, rq->gid);
}

int sp_cmd_hello(struct sp *sp, struct sp_request *rq, struct sp_reply *rp)
{
	struct sp_app *reserved;
	int err;

	if (rq->app->state != SP_APP_NEW && rq->app->state != SP_APP_RESERVED)
		return -EALREADY;
	if (rq->m.abi_major != TAS_ABI_MAJOR) {
		sp->cnt.refuse_abi++;
		return -EPROTONOSUPPORT;
	}
	if (rq->app->state == SP_APP_RESERVED) {
		err = hello_of_child(sp, rq);
	} else if (rq->m.token[0] != 0 || rq->m.token[1] != 0) {
		reserved = find_stranger(sp, rq->m.token);
		if (reserved == NULL)
			return not_announced(sp, rq->app, -ENOENT);
		err = sp_app_adopt(sp, rq->app, reserved);
		rq->app = reserved;
	} else {
		err = not_announced(sp, rq->app, 0);
	}
	if (err != 0)
		return err;
	sp_app_greeted(sp, rq->app);
	rp->m.id = rq->app->id;
	return 0;
}

int sp_cmd_region(struct sp *sp, struct sp_request *rq, struct sp_reply *rp)
{
	struct sp_app *app = rq->app;
	struct sp_region_fds fds;
	uint32_t i;
	int err;

	if (app->state != SP_APP_GREETED)
		return -EALREADY;
	err = sp_region_create(sp, app, &fds);
	if (err != 0)
		return err;
	app->state = SP_APP_ACTIVE;
	rp->fds[0] = fds.control;
	rp->fds[1] = fds.page;
	rp->own = 2; /* the wake-up descriptors stay open for the cores */
	for (i = 0; i < sp->ncores; i++)
		rp->fds[2 + i] = fp_app(sp->fp, app->id)->core_fd[i];
	rp->nfds = (int)sp->ncores + 2;
	rp->m.id = sp->ncores;
	rp->m.len = fp_app(sp->fp, app->id)->region_bytes;
	rp->m.aux = fp_app(sp->fp, app->id)->info_bytes;
	sp_flow_app(sp, SP_APP_ADD, app->id);
	return 0;
}

int sp_cmd_segment(struct sp *sp, struct sp_request *rq, struct sp_reply *rp)
{
	int fd = -1, index = sp_region_segment(sp, rq->app, &fd);

	if (index < 0)
		return index;
	rp->m.id = (uint32_t)index;
	rp->m.len = TAS_SEG_BYTES;
	rp->fds[rp->nfds++] = fd;
	rp->own = 1;
	return 0;
}

/* The cores add to it as to an eventfd (fastpath/wake.c): nothing else will do. */
static int check_eventfd(int fd)
{
	char path[40], target[40];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return -EBADF;
	target[n] = '\0';
	return strncmp(target, "anon_inode:[eventfd", 19) == 0 ? 0 : -EBADF;
}

int sp_cmd_evq(struct sp *sp, struct sp_request *rq, struct sp_reply *rp)
{
	struct fp_app *fa = sp_app_fp(sp, rq->app);
	uint32_t q = rq->m.id;
	int old, err;

	(void)rp;
	if (q >= fa->nevq)
		return -EINVAL;
	if (!sp_reap_room(sp))
		return -ENOBUFS;
	if (rq->nfds == 1) {
		err = check_eventfd(rq->fds[0]);
		if (err != 0)
			return err;
	}
	old = fa->evq_fd[q];
	tas_store_rel(&fa->evq_fd[q], rq->nfds == 1 ? rq->fds[0] : -1);
	rq->fds[0] = -1; /* kept */
	if (old >= 0)
		sp_reap_fd(sp, old);
	return 0;
}

/* ---- fork ---- */

static uint32_t children_awaited(struct sp *sp, uint32_t parent)
{
	uint32_t cursor = 1, n = 0;
	struct sp_app *app;

	while ((app = sp_app_next(sp, &cursor)) != NULL)
		n += app->state == SP_APP_RESERVED && app->parent == parent;
	return n;
}

/* The child holds what the parent holds. */
static int hold_listeners_of(struct sp *sp, struct sp_app *child, struct sp_app *parent)
{
	uint32_t cursor = 1;
	struct sp_listener *l;
	int err;

	while ((l = sp_listener_next(sp, &cursor)) != NULL) {
		if (!sp_listener_held_by(l, parent->id))
			continue;
		err = sp_listener_hold(sp, l, child);
		if (err != 0)
			return err;
	}
	return 0;
}

/* The child's own registration connection, in the reply to its parent: the child may have no right to the door any more. */
static int give_socket(struct sp *sp, struct sp_app *child, struct sp_reply *rp)
{
	int theirs = sp_app_pair(sp, child);

	if (theirs < 0)
		return theirs;
	rp->fds[rp->nfds++] = theirs;
	rp->own = 1;
	return 0;
}

int sp_cmd_fork(struct sp *sp, struct sp_request *rq, struct sp_reply *rp)
{
	struct sp_app *parent = rq->app, *child;
	int err;

	if (children_awaited(sp, parent->id) >= FORKS_MAX || sp->apps.count >= sp->apps.max ||
		sp_policy_user_full(sp, parent->uid))
		return -ENOBUFS;
	child = sp_app_new(sp);
	if (child == NULL)
		return -ENOBUFS;
	child->state = SP_APP_RESERVED;
	child->parent = parent->id;
	child->uid = parent->uid;
	child->gid = parent->gid;
	child->expires_ns = sp->now_ns + FORK_MAX_NS;
	sp_random(child->token, sizeof(child->token));
	err = hold_listeners_of(sp, child, parent);
	if (err == 0 && (rq->m.flags & TAS_FORK_CONNS))
		err = sp_share_fork(sp, parent, child);
	if (err == 0 && (rq->m.flags & TAS_FORK_SOCKET))
		err = give_socket(sp, child, rp);
	if (err != 0) {
		sp_app_leave(sp, child, "cannot be announced");
		return err;
	}
	rp->m.token[0] = child->token[0];
	rp->m.token[1] = child->token[1];
	rp->m.id = child->id;
	return 0;
}

int sp_cmd_unfork(struct sp *sp, struct sp_request *rq, struct sp_reply *rp)
{
	struct sp_app *child = find_token(sp, rq->m.token);

	(void)rp;
	if (child == NULL || child->parent != rq->app->id)
		return -ENOENT;
	sp_app_leave(sp, child, "fork failed");
	return 0;
}

struct sp_app *sp_cmd_principal(struct sp *sp, const struct sp_request *rq)
{
	struct sp_app *app = rq->app;

	if (rq->m.token[0] == 0 && rq->m.token[1] == 0)
		return app;
	app = find_token(sp, rq->m.token);
	return app != NULL && app->parent == rq->app->id ? app : NULL;
}

/* ---- connections that several processes hold ---- */

static struct sp_conn *named(struct sp *sp, const struct sp_request *rq)
{
	struct sp_conn *c = sp_conn_get(sp, rq->m.id);

	return c != NULL && c->gen == rq->m.aux ? c : NULL;
}

int sp_cmd_claim(struct sp *sp, struct sp_request *rq, struct sp_reply *rp)
{
	struct sp_conn *c = named(sp, rq);

	(void)rp;
	if (rq->m.slot >= sp_app_fp(sp, rq->app)->nslots)
		return -EINVAL;
	return c != NULL ? sp_share_claim(sp, c, rq->app, rq->m.slot) : -ENOENT;
}

int sp_cmd_release(struct sp *sp, struct sp_request *rq, struct sp_reply *rp)
{
	struct sp_app *app = sp_cmd_principal(sp, rq);
	struct sp_conn *c = named(sp, rq);

	(void)rp;
	if (app == NULL)
		return -ENOENT;
	return c != NULL ? sp_share_release(sp, c, app) : 0;
}
