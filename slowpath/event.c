/*
 * event.c - what the cores report, and what is done once a second. Owner: slow path thread.
 */
#include <time.h>
#include "app_internal.h"
#include "cc/loop.h"
#include "conn/internal.h"
#include "net/internal.h"
#include "round.h"

static struct sp_conn *conn_of(struct sp *sp, const struct fp_event *ev)
{
	struct sp_conn *c = sp_conn_get(sp, ev->conn);

	return c != NULL && c->gen == ev->gen ? c : NULL;
}

/*
 * ---- taken and parked ----
 * Each core says so in order, but a flow that changes its core between the two has the one in another ring than the other, and they
 * may be read in either order.
 */

static void out_of_slot(struct sp *sp, struct sp_conn *c)
{
	struct sp_app *app = sp_app_get(sp, c->app);

	if (app != NULL && app->nconns > 0)
		app->nconns--;
	c->app = FP_APP_NONE;
	c->slot = FP_SLOT_NONE;
}

/* The other half of what was noted? Then there is nothing more to do about either. */
static int is_pair(struct sp_conn *c, uint32_t flag, uint32_t app, uint32_t slot)
{
	if (!(c->flags & flag) || c->off_app != app || c->off_slot != slot)
		return 0;
	c->flags &= ~flag;
	return 1;
}

static void note(struct sp_conn *c, uint32_t flag, uint32_t app, uint32_t slot)
{
	c->flags = (c->flags & ~(SP_CONN_EARLY | SP_CONN_LATE)) | flag;
	c->off_app = app;
	c->off_slot = slot;
}

static void count_accepted(struct sp_app *app, struct sp_listener *l)
{
	if (l != NULL)
		l->accepted++;
	if (app != NULL)
		app->accepted++;
}

static void taken(struct sp *sp, struct sp_conn *c, uint32_t app_id, uint32_t slot)
{
	struct sp_app *app = sp_app_get(sp, app_id);

	sp_accept_clear(sp, c);
	if (c->share == 0)
		count_accepted(app, sp_listener_get(sp, c->listener));
	if (is_pair(c, SP_CONN_EARLY, app_id, slot))
		return;
	if (c->app != FP_APP_NONE) {
		note(c, SP_CONN_LATE, c->app, c->slot);
		out_of_slot(sp, c);
	}
	c->app = app_id;
	c->slot = slot;
	if (app != NULL)
		app->nconns++;
}

static void parked(struct sp *sp, struct sp_conn *c, uint32_t app, uint32_t slot)
{
	if (c->app == app && c->slot == slot)
		out_of_slot(sp, c);
	else if (!is_pair(c, SP_CONN_LATE, app, slot))
		note(c, SP_CONN_EARLY, app, slot);
}

static void nic_dead(struct sp *sp)
{
	if (!sp->nic_dead)
		sp_error("nic", "the device is gone, stopping port=%s", sp->conf.port);
	sp->nic_dead = 1;
	sp_loop_stop(sp);
}

void sp_event_input(struct sp *sp, const struct fp_event *ev)
{
	struct sp_conn_input in = {.closed = ev};
	struct sp_conn *c = conn_of(sp, ev);

	switch (ev->type) {
	case FP_EV_CLOSED:
		if (c != NULL)
			sp_conn_event(sp, c, SP_EV_CLOSED, &in);
		break;
	case FP_EV_TAKEN:
		if (c != NULL)
			taken(sp, c, ev->u.taken.app, ev->u.taken.slot);
		break;
	case FP_EV_PARKED:
		if (c != NULL)
			parked(sp, c, ev->u.taken.app, ev->u.taken.slot);
		break;
	case FP_EV_FEEDBACK:
		if (c != NULL)
			sp_cc_feedback(sp, c, &ev->u.fb);
		break;
	case FP_EV_APP_GONE:
		sp_app_gone(sp, ev->id);
		break;
	case FP_EV_APP_BAD:
		sp_app_broken(sp, ev->id);
		break;
	case FP_EV_NIC_DEAD:
		nic_dead(sp);
		break;
	case FP_EV_NEIGH:
		sp_neigh_used(sp, (uint16_t)ev->id);
		break;
	default:
		break;
	}
}

void sp_tick(struct sp *sp)
{
	nic_missed(sp->nic, &sp->cnt.drop_missed);
	sp_loop_resume(sp);
	sp_neigh_tick(sp);
	sp_tw_tick(sp);
	sp_accept_tick(sp);
	sp_apps_tick(sp);
}
