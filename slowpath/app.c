/*
 * app.c - programs: records, and what happens when one ends.
 *
 * A program has left when its pidfd says that it ended, when it closed the registration connection
 * (exec does), or when it broke the rules. Its handshakes are dropped, its listeners go to the
 * other holders, and the cores are told; memory is given back and the id used again when every core
 * has answered.
 * Owner: slow path thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "alloc.h"
#include "app_internal.h"
#include "conn/internal.h"
#include "conn/share.h"
#include "flowctl.h"
#include "passed.h"

#define SECOND_NS 1000000000ull
#define HELLO_NS  (10 * SECOND_NS) /* connected, said nothing */
#define FORK_NS	  (10 * SECOND_NS) /* reserved for a child, its parent gone */

/* ---- lookup ---- */

struct sp_app *sp_app_get(struct sp *sp, uint32_t id)
{
	return id < FP_MAX_APPS ? sp->apps.table[id] : NULL;
}

struct sp_app *sp_app_next(struct sp *sp, uint32_t *cursor)
{
	while (*cursor < FP_MAX_APPS) {
		struct sp_app *app = sp->apps.table[(*cursor)++];

		if (app != NULL)
			return app;
	}
	return NULL;
}

const char *sp_app_state_name(const struct sp_app *a)
{
	static const char *const names[] = {
		"free", "connected", "forking", "registered", "active", "ending"};

	return a->state < sizeof(names) / sizeof(names[0]) ? names[a->state] : "?";
}

struct fp_app *sp_app_fp(struct sp *sp, const struct sp_app *a)
{
	return a->slot_conn != NULL ? fp_app(sp->fp, a->id) : NULL;
}

/* ---- records ---- */

struct sp_app *sp_app_new(struct sp *sp)
{
	struct sp_app *app;
	uint32_t id = 1;

	while (id < FP_MAX_APPS && sp->apps.table[id] != NULL)
		id++;
	if (id == FP_MAX_APPS)
		return NULL;
	app = fp_calloc(1, sizeof(*app));
	if (app == NULL)
		return NULL;
	app->id = id;
	app->state = SP_APP_NEW;
	app->sock = app->pidfd = -1;
	app->sock_src.fd = app->pid_src.fd = -1;
	app->joined_ns = sp->now_ns;
	app->expires_ns = sp->now_ns + HELLO_NS;
	sp->apps.table[id] = app;
	sp->apps.count++;
	return app;
}

static void detach(struct sp *sp, struct sp_app *app)
{
	sp_loop_del(sp, &app->sock_src);
	sp_loop_del(sp, &app->pid_src);
	sp_guard(sp); /* messages that nobody reads any more may carry descriptors */
	if (app->sock >= 0)
		close(app->sock);
	if (app->pidfd >= 0)
		close(app->pidfd);
	app->sock = app->pidfd = -1;
}

void sp_app_free(struct sp *sp, struct sp_app *app)
{
	detach(sp, app);
	sp->apps.table[app->id] = NULL;
	sp->apps.count--;
	free(app);
}

static void log_app(struct sp *sp, const struct sp_app *app, const char *what, const char *reason)
{
	static struct sp_log_limit ordinary,
		other; /* short-lived programs must not hide what went wrong */
	int usual = reason == NULL || strcmp(reason, "ended") == 0;

	if (sp_log_allow(usual ? &ordinary : &other, sp->now_ns))
		sp_info("app", "%s id=%u pid=%u uid=%u comm=%s%s%s", what, app->id, app->pid,
			app->uid, app->comm, reason != NULL ? " reason=" : "",
			reason != NULL ? reason : "");
}

void sp_app_greeted(struct sp *sp, struct sp_app *app)
{
	app->state = SP_APP_GREETED;
	app->only_child = NULL;
	sp->cnt.apps_joined++;
	log_app(sp, app, "program joined", NULL);
}

/* ---- the end ---- */

static void leave_listeners(struct sp *sp, struct sp_app *app)
{
	uint32_t cursor = 1;
	struct sp_listener *l;

	while (app->nlisteners != 0 && (l = sp_listener_next(sp, &cursor)) != NULL)
		sp_listener_leave(sp, l, app);
}

static void drop_handshakes(struct sp *sp, struct sp_app *app)
{
	struct sp_conn_input in = {.error = ECONNABORTED};

	while (app->connecting != 0)
		sp_conn_event(sp, sp_conn_get(sp, app->connecting), SP_EV_CANCEL, &in);
}

/* Children that were announced and have not come hang on their parent no longer than FORK_NS. */
static void shorten_reservations(struct sp *sp, uint32_t parent)
{
	uint32_t cursor = 1;
	struct sp_app *app;

	while ((app = sp_app_next(sp, &cursor)) != NULL) {
		if (app->state == SP_APP_RESERVED && app->parent == parent) {
			app->parent = 0;
			app->expires_ns = sp->now_ns + FORK_NS;
		}
	}
}

void sp_app_leave(struct sp *sp, struct sp_app *app, const char *reason)
{
	uint8_t was = app->state;
	int lives = !sp_app_ended(app);

	if (was == SP_APP_DYING)
		return;
	app->state = SP_APP_DYING;
	detach(sp, app);
	if (was == SP_APP_GREETED || was == SP_APP_ACTIVE) {
		sp->cnt.apps_left++;
		if (app->nconns != 0)
			sp->cnt.apps_killed++;
		log_app(sp, app, "program left", reason);
	}
	shorten_reservations(sp, app->id);
	sp_share_leave(sp, app, lives);
	drop_handshakes(sp, app);
	leave_listeners(sp, app);
	if (was != SP_APP_ACTIVE) {
		sp_app_free(sp, app);
		return;
	}
	app->gone_left = sp->ncores;
	sp_flow_app(sp, SP_APP_DEL, app->id);
}

/*
 * Connections that it claimed and never bound, of listeners that are gone: nobody can have them any
 * more, once what a core may have bound at the last moment (`older_ns` ago) has been heard of.
 */
static void reset_orphans(struct sp *sp, const struct sp_app *app, uint64_t older_ns)
{
	uint32_t id = app->orphans;

	while (id != 0) {
		struct sp_conn *c = sp_conn_get(sp, id);

		id = c->owner_next;
		if (sp->now_ns - c->sent_ns < older_ns)
			continue;
		sp_accept_clear(sp, c);
		sp_conn_abort(sp, c, ECONNABORTED);
	}
}

void sp_app_gone(struct sp *sp, uint32_t id)
{
	struct sp_app *app = sp_app_get(sp, id);

	if (app == NULL || app->state != SP_APP_DYING || --app->gone_left != 0)
		return;
	reset_orphans(sp, app, 0);
	sp_region_destroy(sp, app);
	sp_app_free(sp, app);
}

void sp_app_broken(struct sp *sp, uint32_t id)
{
	struct sp_app *app = sp_app_get(sp, id);

	if (app == NULL || app->bad)
		return;
	app->bad = 1;
	sp_app_leave(sp, app, "broke the interface's rules");
}

static int has_expired(struct sp *sp, const struct sp_app *app)
{
	return (app->state == SP_APP_NEW || app->state == SP_APP_RESERVED) &&
	       sp->now_ns >= app->expires_ns;
}

void sp_apps_tick(struct sp *sp)
{
	uint32_t cursor = 1;
	struct sp_app *app;

	while ((app = sp_app_next(sp, &cursor)) != NULL) {
		struct fp_app *fa = sp_app_fp(sp, app);

		if (has_expired(sp, app)) {
			sp_app_leave(sp, app, "said nothing");
			continue;
		}
		if (fa == NULL)
			continue;
		if (app->state == SP_APP_ACTIVE)
			reset_orphans(sp, app, SECOND_NS);
		tas_store(&fa->info->heartbeat, sp->now_ns);
		if (tas_load(&fa->bad) && app->state == SP_APP_ACTIVE)
			sp_app_broken(sp, app->id);
	}
}

void sp_apps_free(struct sp *sp)
{
	uint32_t cursor = 1;
	struct sp_app *app;

	while ((app = sp_app_next(sp, &cursor)) != NULL) {
		if (sp_app_fp(sp, app) != NULL)
			sp_region_destroy(sp, app);
		sp_app_free(sp, app);
	}
}

void sp_drain(struct sp *sp)
{
	uint32_t cursor = 1;
	struct sp_app *app;

	if (!sp->apps.draining)
		sp_info("app", "draining: no new programs and connections");
	sp->apps.draining = 1;
	while ((app = sp_app_next(sp, &cursor)) != NULL) {
		struct fp_app *fa = sp_app_fp(sp, app);

		if (fa != NULL)
			sp_region_policy(sp, fa->info);
	}
}
