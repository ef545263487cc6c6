/*
 * share.c - the holders of connections (share.h). Owner: slow path thread.
 */
#include "conn/share.h"
#include <errno.h>
#include "conn/internal.h"
#include "flowctl.h"

#define SCAN_ALL UINT32_MAX

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
	sp_arena_free(&sp->conns.shares, c->share);
	c->share = 0;
}

/* ---- fork ---- */

static int share_with(struct sp *sp, struct sp_conn *c, struct sp_app *parent, struct sp_app *child)
{
	if (c->state != SP_CONN_OPEN)
		return 0;
	if (c->share == 0)
		c->share = sp_arena_alloc(&sp->conns.shares);
	if (c->share == 0)
		return -ENOMEM;
	add(share_of(sp, c), parent);
	add(share_of(sp, c), child);
	return 0;
}

/*
 * What lies in the parent's slots; the cores write slot_flow before the program sees the connection. One that the parent has
 * let go of, and its core has not yet moved out of the slot, is not its own any more.
 */
static int share_slots(struct sp *sp, struct sp_app *parent, struct sp_app *child)
{
	const struct fp_app *fa = sp_app_fp(sp, parent);
	uint32_t slot, id;
	struct sp_conn *c;
	int err = 0;

	for (slot = 0; fa != NULL && slot < fa->nslots && err == 0; slot++) {
		id = tas_load_acq(&fa->slot_flow[slot]);
		c = id != FP_FLOW_NONE ? sp_conn_get(sp, id) : NULL;
		if (c != NULL && (c->share == 0 || holds(sp, c, parent)))
			err = share_with(sp, c, parent, child);
	}
	return err;
}

/* What it holds and has not in a slot. */
static int share_held(struct sp *sp, struct sp_app *parent, struct sp_app *child)
{
	uint32_t cursor = 1;
	struct sp_conn *c;
	int err = 0;

	while (parent->nshared != 0 && err == 0 &&
		(c = sp_conn_next(sp, &cursor, SCAN_ALL)) != NULL) {
		if (holds(sp, c, parent))
			err = share_with(sp, c, parent, child);
	}
	return err;
}

int sp_share_fork(struct sp *sp, struct sp_app *parent, struct sp_app *child)
{
	int err = share_slots(sp, parent, child);

	if (err == 0)
		err = share_held(sp, parent, child);
	return err;
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

/* Out of its slot if it is in one; the connection of the last holder is closed unless its slot does that. */
static int let_go(struct sp *sp, struct sp_conn *c, struct sp_app *app)
{
	struct sp_share *s = share_of(sp, c);

	drop(s, app);
	if (is_empty(s)) {
		sp_arena_free(&sp->conns.shares, c->share);
		c->share = 0;
		sp_flow_finish(sp, c);
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

	while (app->nshared != 0 && (c = sp_conn_next(sp, &cursor, SCAN_ALL)) != NULL) {
		if (!holds(sp, c, app))
			continue;
		if (lives)
			sp_flow_park(sp, c, app->id);
		let_go(sp, c, app);
	}
}
