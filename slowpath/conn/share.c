/*
 * share.c - the holders of connections (share.h). Owner: slow path thread.
 */
#include "conn/share.h"
#include <errno.h>
#include "conn/internal.h"
#include "flowctl.h"

static struct sp_share *share_of(struct sp *sp, const struct sp_conn *c)
{
	return sp_arena_at(&sp->conns.shares, c->share);
}

static int holds(struct sp *sp, const struct sp_conn *c, const struct sp_app *app)
{
	const struct sp_share *s = share_of(sp, c);

	return s != NULL && (s->holders[app->id / 64] >> (app->id % 64) & 1);
}

static int is_empty(const struct sp_share *s)
{
	uint64_t any = 0;
	uint32_t i;

	for (i = 0; i < FP_MAX_APPS / 64; i++)
		any |= s->holders[i];
	return any == 0;
}

static void add(struct sp_share *s, struct sp_app *app)
{
	uint64_t bit = 1ull << (app->id % 64), *word = &s->holders[app->id / 64];

	app->nshared += (*word & bit) == 0;
	*word |= bit;
}

static void drop(struct sp_share *s, struct sp_app *app)
{
	s->holders[app->id / 64] &= ~(1ull << (app->id % 64));
	app->nshared--;
}

static void free_record(struct sp *sp, struct sp_conn *c)
{
	if (share_of(sp, c)->passed)
		sp_passing_forget(sp, c->id, c->gen, 0);
	sp_arena_free(&sp->conns.shares, c->share);
	c->share = 0;
}

void sp_share_free(struct sp *sp, struct sp_conn *c)
{
	struct sp_share *s = share_of(sp, c);
	uint32_t cursor = 1;
	struct sp_app *app;

	if (s == NULL)
		return;
	while ((app = sp_app_next(sp, &cursor)) != NULL) {
		if (holds(sp, c, app))
			drop(s, app);
	}
	free_record(sp, c);
}

/* The next connection that has a record; cursor starts at 1. */
static struct sp_conn *next_shared(struct sp *sp, uint32_t *cursor)
{
	const struct sp_arena *a = &sp->conns.shares;

	while (*cursor < a->head->fresh) {
		const struct sp_share *s = sp_arena_at(a, (*cursor)++);

		if (s->conn != 0)
			return sp_conn_get(sp, s->conn);
	}
	return NULL;
}

/* ---- fork ---- */

static int new_record(struct sp *sp, struct sp_conn *c)
{
	c->share = sp_arena_alloc(&sp->conns.shares);
	if (c->share == 0)
		return -ENOMEM;
	share_of(sp, c)->conn = c->id;
	return 0;
}

/*
 * Records without holders for what lies in the parent's slots; the cores write slot_flow before the
 * program sees the connection. What has holders already may have been let go by the parent, and its
 * core has not yet moved it out of the slot.
 */
static int prepare(struct sp *sp, const struct sp_app *parent)
{
	const struct fp_app *fa = sp_app_fp(sp, parent);
	uint32_t slot, id;
	struct sp_conn *c;
	int err = 0;

	for (slot = 0; fa != NULL && slot < fa->nslots && err == 0; slot++) {
		id = tas_load_acq(&fa->slot_flow[slot]);
		c = id != FP_FLOW_NONE ? sp_conn_get(sp, id) : NULL;
		if (c != NULL && c->state == SP_CONN_OPEN && c->share == 0)
			err = new_record(sp, c);
	}
	return err;
}

static void undo(struct sp *sp)
{
	uint32_t cursor = 1;
	struct sp_conn *c;

	while ((c = next_shared(sp, &cursor)) != NULL) {
		if (is_empty(share_of(sp, c)) && !share_of(sp, c)->passed)
			free_record(sp, c);
	}
}

static void share_all(struct sp *sp, struct sp_app *parent, struct sp_app *child)
{
	uint32_t cursor = 1;
	struct sp_conn *c;

	while ((c = next_shared(sp, &cursor)) != NULL) {
		struct sp_share *s = share_of(sp, c);

		if (c->state != SP_CONN_OPEN ||
			!((is_empty(s) && !s->passed) || holds(sp, c, parent)))
			continue;
		add(s, parent);
		add(s, child);
	}
}

int sp_share_fork(struct sp *sp, struct sp_app *parent, struct sp_app *child)
{
	int err = prepare(sp, parent);

	if (err == 0)
		share_all(sp, parent, child);
	else
		undo(sp);
	return err;
}

/* ---- passing ---- */

int sp_share_held_by(struct sp *sp, const struct sp_conn *c, const struct sp_app *app)
{
	return holds(sp, c, app);
}

/* Does it lie in this slot of a program that alone has it? */
static int is_in_slot(
	struct sp *sp, const struct sp_conn *c, const struct sp_app *app, uint32_t slot)
{
	const struct fp_app *fa = sp_app_fp(sp, app);

	return c->share == 0 && fa != NULL && slot < fa->nslots &&
	       tas_load_acq(&fa->slot_flow[slot]) == c->id;
}

int sp_share_pass(struct sp *sp, struct sp_conn *c, struct sp_app *app, uint32_t slot,
	struct sp_passing *what, int fd)
{
	int err = 0;

	if (c->state != SP_CONN_OPEN || !(holds(sp, c, app) || is_in_slot(sp, c, app, slot)))
		return -ENOENT;
	if (c->share == 0 && (err = new_record(sp, c)) == 0)
		add(share_of(sp, c), app);
	what->id = c->id;
	what->gen = c->gen;
	if (err == 0)
		err = sp_passing_add(sp, what, fd);
	if (err == 0)
		share_of(sp, c)->passed = 1;
	return err;
}

void sp_share_receive(struct sp *sp, struct sp_conn *c, struct sp_app *app)
{
	add(share_of(sp, c), app);
	sp_passing_held(sp, c->id, c->gen, 0);
}

/* ---- moving ---- */

int sp_share_claim(struct sp *sp, struct sp_conn *c, struct sp_app *app, uint32_t slot)
{
	int err;

	if (c->state != SP_CONN_OPEN || !holds(sp, c, app))
		return -ENOENT;
	err = sp_flow_grant(sp, c, app->id, slot);
	sp->cnt.conn_moved += err == 0;
	return err;
}

void sp_share_end(struct sp *sp, struct sp_conn *c)
{
	free_record(sp, c);
	sp_flow_finish(sp, c);
}

/* Out of its slot if it is in one; the connection of the last holder is closed unless its slot does that. */
static int let_go(struct sp *sp, struct sp_conn *c, struct sp_app *app)
{
	struct sp_share *s = share_of(sp, c);

	drop(s, app);
	if (is_empty(s) && !(s->passed && sp_passing_keeps(sp, c->id, c->gen, 0))) {
		sp_share_end(sp, c);
		return 0;
	}
	sp_flow_park(sp, c, app->id);
	return 1;
}

int sp_share_release(struct sp *sp, struct sp_conn *c, struct sp_app *app)
{
	return holds(sp, c, app) ? let_go(sp, c, app) : 0;
}

void sp_share_leave(struct sp *sp, struct sp_app *app, int lives)
{
	uint32_t cursor = 1;
	struct sp_conn *c;

	while (app->nshared != 0 && (c = next_shared(sp, &cursor)) != NULL) {
		if (!holds(sp, c, app))
			continue;
		if (lives)
			sp_flow_park(sp, c, app->id);
		let_go(sp, c, app);
	}
}
