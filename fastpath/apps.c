/*
 * apps.c - programs come and go: per-core state, and the slot-by-slot phases after a program ended
 * or broke the ABI.
 *
 * After SP_APP_DEL a flow whose program had closed it may finish sending from the program's memory,
 * for at most FP_LINGER_NS; any other is reset. Then FP_EV_APP_GONE: this core touches nothing of
 * the program any more. The scan looks at FP_BUDGET_SCAN slots a round, so that a large program
 * delays nobody. Owner: the core.
 */
#include <errno.h>
#include <sys/epoll.h>
#include "alloc.h"
#include "core.h"

static struct fp_app_shared *shared(struct fp_app *app)
{
	uint64_t words = (uint64_t)app->nsegs_max * (TAS_SEG_CHUNKS / 64);
	struct fp_app_shared *sh = app->core_priv;

	if (sh)
		return sh;
	sh = fp_calloc(1, sizeof(*sh) + words * 8);
	if (!sh)
		return NULL;
	sh->slots = fp_calloc(app->nslots, sizeof(*sh->slots));
	if (!sh->slots) {
		free(sh);
		return NULL;
	}
	app->ending = app->hungry = app->spare = 0;
	app->asked = 0;
	app->core_priv = sh;
	return sh;
}

/* The core cannot do without, so it is made where it can still be refused. */
struct fp_app_core *fp_app_share(struct fp_app *app)
{
	struct fp_app_core *ac = fp_calloc(1, sizeof(*ac));
	struct fp_app_shared *sh = ac ? shared(app) : NULL;

	if (!sh) {
		free(ac);
		return NULL;
	}
	sh->refs++;
	return ac;
}

void fp_app_unshare(struct fp_app *app)
{
	struct fp_app_shared *sh = app->core_priv;

	if (!sh || --sh->refs != 0)
		return;
	app->core_priv = NULL;
	free(sh->slots);
	free(sh);
}

static void watch_bell(struct fp_core *core, const struct fp_app *app)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET};

	if (app->core_fd[core->id] >= 0)
		epoll_ctl(core->epoll_fd, EPOLL_CTL_ADD, app->core_fd[core->id], &ev);
}

static void put_gone(struct fp_core *core, uint32_t id)
{
	struct fp_event ev = {.type = FP_EV_APP_GONE, .id = id};

	fp_event_put(core, &ev);
}

void fp_app_add(struct fp_core *core, uint32_t id, struct fp_app_core *ac)
{
	struct fp_app *app = &core->fp->apps[id];

	ac->phase = FP_APP_RUN;
	ac->free_chunk = TAS_CHUNK_NONE;
	ac->offer_seen = tas_load(&app->region->rx_offered) - 1;
	core->apps[id] = ac;
	core->app_ids[core->napps++] = (uint16_t)id;
	if (app->info)
		tas_store(&app->info->core[core->id].cpu, core->cpu);
	watch_bell(core, app);
	fp_chunks_want(core, app);
}

void fp_app_del(struct fp_core *core, uint32_t id)
{
	struct fp_app *app = &core->fp->apps[id];
	struct fp_app_core *ac = core->apps[id];

	ac->phase = tas_load(&app->bad) ? FP_APP_KILL : FP_APP_END;
	ac->scan = 0;
	ac->linger_until_ns = core->env.now_ns + FP_LINGER_NS;
}

static void remove_app(struct fp_core *core, struct fp_app *app)
{
	uint32_t i;

	if (!fp_event_room(core, 1))
		return;
	fp_wakes_flush(core); /* nothing may point into the region any more */
	if (core->apps[app->id]->wake_listed)
		return; /* next round */
	if (app->core_fd[core->id] >= 0)
		epoll_ctl(core->epoll_fd, EPOLL_CTL_DEL, app->core_fd[core->id], NULL);
	for (i = 0; core->app_ids[i] != app->id; i++)
		;
	core->app_ids[i] = core->app_ids[--core->napps];
	free(core->apps[app->id]);
	core->apps[app->id] = NULL;
	put_gone(core, app->id);
}

/* What becomes of the flow in one slot. */
static void end_slot(struct fp_core *core, struct fp_app *app, uint32_t slot, uint32_t phase)
{
	uint32_t id = tas_load_acq(&app->slot_flow[slot]);
	struct fp_flow *f;

	if (id == FP_FLOW_NONE || id > core->fp->max_flow)
		return;
	f = &core->fp->flows[id];
	if (tas_load(&f->core) != core->id || f->app != app->id || f->slot != slot ||
		!(f->flags & FP_F_USED))
		return;
	if (phase == FP_APP_END) {
		fp_slot_rung(core, app, slot); /* its last words */
		if (!(f->flags & FP_F_USED) || (f->flags & FP_F_RX_CLOSED))
			return;
	}
	fp_flow_close(core, id, FP_CLOSE_ABORTED, ECONNABORTED, 1);
}

/* One slice. 1 = the scan is over. */
static int scan(struct fp_core *core, struct fp_app *app, struct fp_app_core *ac)
{
	uint32_t end = ac->scan + FP_BUDGET_SCAN;

	for (; ac->scan < end && ac->scan < app->nslots; ac->scan++)
		end_slot(core, app, ac->scan, ac->phase);
	return ac->scan >= app->nslots;
}

/*
 * A flow may come to this core as long as any core has one: then the program is still known here.
 * J1: join adds, then looks at `ending`; the slow path set that before this core began to look.
 */
static void linger(struct fp_core *core, struct fp_app *app, struct fp_app_core *ac)
{
	if (tas_load_sc(&app->flows) == 0) {
		remove_app(core, app);
	} else if (ac->nflows != 0 &&
		   (core->env.now_ns >= ac->linger_until_ns || tas_load(&app->bad))) {
		ac->phase = FP_APP_KILL;
		ac->scan = 0;
	}
}

static void flow_gone(struct fp_core *core, struct fp_app *app)
{
	uint32_t i;

	if (tas_fetch_add(&app->flows, -1ull) != 1 || !tas_load_sc(&app->ending))
		return;
	for (i = 0; i < core->fp->ncores; i++)
		if (i != core->id)
			fp_core_wake(&core->fp->cores[i]); /* they linger for the last flow */
}

int fp_app_join(struct fp_core *core, struct fp_app *app)
{
	tas_fetch_add(&app->flows, 1ull);
	if (tas_load_sc(&app->ending)) { /* J1 */
		flow_gone(core, app);
		return 0;
	}
	core->apps[app->id]->nflows++;
	return 1;
}

void fp_app_leave(struct fp_core *core, struct fp_app *app)
{
	core->apps[app->id]->nflows--;
	flow_gone(core, app);
}

void fp_app_adopted(struct fp_core *core, struct fp_app *app, uint32_t slot)
{
	switch (core->apps[app->id]->phase) {
	case FP_APP_RUN:
		break;
	case FP_APP_END:
	case FP_APP_LINGER:
		end_slot(core, app, slot, FP_APP_END);
		break;
	default:
		end_slot(core, app, slot, FP_APP_KILL);
	}
}

/* The program has broken the ABI, or touching its memory raised SIGBUS: start to reset its flows.
 */
static void begin_break(struct fp_core *core, struct fp_app *app, struct fp_app_core *ac)
{
	struct fp_app_shared *sh = app->core_priv;
	struct fp_event ev = {.type = FP_EV_APP_BAD, .id = app->id};

	if (!fp_event_room(core, 1))
		return; /* next round */
	if (tas_xchg(&sh->told_bad, 1) == 0)
		fp_event_put(core, &ev);
	ac->phase = FP_APP_BREAK;
	ac->scan = 0;
}

uint32_t fp_app_phase_poll(struct fp_core *core, struct fp_app *app)
{
	struct fp_app_core *ac = core->apps[app->id];

	switch (ac->phase) {
	case FP_APP_RUN:
		begin_break(core, app, ac);
		return 1;
	case FP_APP_BREAK:
		if (scan(core, app, ac))
			ac->phase = FP_APP_BROKEN;
		return 1;
	case FP_APP_END:
	case FP_APP_KILL:
		if (scan(core, app, ac))
			ac->phase = FP_APP_LINGER;
		return 1;
	case FP_APP_LINGER:
		linger(core, app, ac);
		return 0;
	default:
		return 0;
	}
}

/* Another core still has flows of the program; it wakes us when they are gone (flow_gone). */
static int others_linger(const struct fp_core *core, uint32_t i)
{
	return tas_load_sc(&core->fp->apps[core->app_ids[i]].flows) != 0;
}

/* When a phase must go on although nothing rings, ns. */
uint64_t fp_apps_next_ns(const struct fp_core *core)
{
	uint64_t next = UINT64_MAX;
	uint32_t i;

	for (i = 0; i < core->napps; i++) {
		const struct fp_app_core *ac = core->apps[core->app_ids[i]];

		if (ac->phase == FP_APP_LINGER && ac->nflows != 0)
			next = ac->linger_until_ns < next ? ac->linger_until_ns : next;
		else if (ac->phase != FP_APP_RUN && ac->phase != FP_APP_BROKEN &&
			 !(ac->phase == FP_APP_LINGER && others_linger(core, i)))
			return 0;
	}
	return next;
}
