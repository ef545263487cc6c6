/*
 * notify.c - telling programs: publishing a flow's positions in its slot, ringing event queues,
 * waking sleepers.
 *
 * A flow is published and its program told once per round, however many segments it got; the bell
 * is rung before frames go out (a spinning program sees it at once), system calls that wake come
 * after.
 *
 * Waking is race-free: the program sets `sleeping` (or `waiters`), makes a full barrier and looks
 * at the bell (or the positions) again; we publish, ring (a full barrier) and then look at
 * `sleeping` (`waiters`). S1, S2. Owner: the core; fp_app_notify runs in the slow path.
 */
#include "core.h"
#include "tas/yield.h"
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

void fp_news(struct fp_core *core, uint32_t id, int notify)
{
	struct fp_flow *f = &core->fp->flows[id];

	if (notify)
		f->flags |= FP_F_NOTIFY;
	if (f->flags & FP_F_NEWS)
		return;
	if (core->nnews == FP_LIST_MAX)
		fp_news_flush(core);
	f->flags |= FP_F_NEWS;
	core->news[core->nnews++] = id;
}

/* Line 0 of the slot: positions first, state with release (N1: pairs with A's acquire of state and
 * rx_head). */
void fp_publish(struct fp *fp, uint32_t id)
{
	const struct fp_flow *f = &fp->flows[id];
	const struct fp_flow_cold *c = &fp->cold[id];
	const struct fp_app *app = &fp->apps[f->app];
	struct tas_sock *s;

	if (!app->region || f->slot == FP_SLOT_NONE)
		return;
	s = fp_slot_sock(app, f->slot);
	tas_store(&s->tx_limit, c->tx_limit);
	tas_store(&s->rx_full, (uint16_t)tcp_rx_full(f, c));
	tas_store_rel(&s->tx_una, fp_tx_una(f));
	tas_store_rel(&s->rx_head, fp_rx_head(f));
	tas_store_rel(&s->state, c->state);
}

void fp_slot_stats(struct fp *fp, uint32_t id)
{
	const struct fp_flow *f = &fp->flows[id];
	const struct fp_app *app = &fp->apps[f->app];
	struct tas_sock *s;

	if (!app->region || f->slot == FP_SLOT_NONE)
		return;
	s = fp_slot_sock(app, f->slot);
	tas_store(&s->srtt_us, f->srtt_us >> 3);
	tas_store(&s->retrans, (uint32_t)fp->cold[id].tcp.retrans);
}

static void list_wake_app(
	struct fp_core *core, struct fp_app *app, struct fp_app_core *ac, uint32_t evq)
{
	ac->wake_evqs |= 1ull << evq;
	if (ac->wake_listed)
		return;
	ac->wake_listed = 1;
	core->wake_apps[core->nwake_apps++] = (uint16_t)app->id;
}

void fp_ring(struct fp_core *core, struct fp_app *app, uint32_t evq, uint32_t slot)
{
	struct tas_sock *s = fp_slot_sock(app, slot);

	tas_bell_ring(tas_region_bell(app->region, app->off_evqs, app->bell_bytes, evq), slot);
	list_wake_app(core, app, core->apps[app->id], evq);
	if (tas_load(&s->waiters) == 0) /* S2: after the barrier in tas_bell_ring */
		return;
	TAS_YIELD();
	tas_fetch_add(&s->wake, 1);
	if (core->nwakes == FP_WAKES_MAX)
		fp_wakes_flush(core);
	core->wakes[core->nwakes++] = &s->wake;
}

void fp_news_flush(struct fp_core *core)
{
	uint32_t i;

	for (i = 0; i < core->nnews; i++) {
		uint32_t id = core->news[i];
		struct fp_flow *f = &core->fp->flows[id];
		int notify = (f->flags & FP_F_NOTIFY) != 0;

		if (!(f->flags & FP_F_NEWS))
			continue; /* closed meanwhile, and told */
		f->flags &= ~(FP_F_NEWS | FP_F_NOTIFY);
		fp_publish(core->fp, id);
		TAS_YIELD();
		if (notify && f->app != FP_APP_NONE && f->slot != FP_SLOT_NONE)
			fp_ring(core, &core->fp->apps[f->app], f->evq, f->slot);
	}
	core->nnews = 0;
}

static void futex_wake(uint32_t *word)
{
	TAS_YIELD();
	syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/*
 * The descriptor is the program's own eventfd: it may have filled the counter, so that a write
 * blocks. fp_watch then interrupts us, and that program is served no more, nor is any of its
 * descriptors ever written again: it has up to 64, and each of them could block.
 */
static void write_evq(struct fp_core *core, struct fp_app *app, int fd)
{
	struct fp_app_shared *sh = app->core_priv;
	uint64_t one = 1;
	ssize_t n;

	core->cnt.app_wakes++;
	TAS_YIELD();
	tas_store(&core->writing, 1);
	n = write(fd, &one, sizeof(one));
	tas_store(&core->writing, 0);
	if (n < 0 && errno == EINTR) {
		tas_store(&sh->blocks, 1);
		fp_app_fault(core, app, &core->cnt.refuse_evq);
	}
}

static void wake_evq(struct fp_core *core, struct fp_app *app, uint32_t evq)
{
	struct tas_bell *bell = tas_region_bell(app->region, app->off_evqs, app->bell_bytes, evq);
	const struct fp_app_shared *sh = app->core_priv;
	int fd = tas_load(&app->evq_fd[evq]);

	TAS_YIELD();
	if (fd < 0 || tas_load(&sh->blocks) || tas_load(&bell->sleeping) == 0 ||
		tas_xchg(&bell->sleeping, 0) == 0)
		return; /* S1 */
	write_evq(core, app, fd);
}

void fp_wakes_flush(struct fp_core *core)
{
	uint32_t i;

	for (i = 0; i < core->nwakes; i++)
		futex_wake(core->wakes[i]);
	core->cnt.app_wakes += core->nwakes;
	core->nwakes = 0;
	for (i = 0; i < core->nwake_apps; i++) {
		struct fp_app *app = &core->fp->apps[core->wake_apps[i]];
		struct fp_app_core *ac = core->apps[app->id];
		uint64_t evqs = ac->wake_evqs;

		ac->wake_evqs = 0;
		ac->wake_listed = 0;
		for (; evqs; evqs &= evqs - 1)
			wake_evq(core, app, (uint32_t)__builtin_ctzll(evqs));
	}
	core->nwake_apps = 0;
}

/*
 * From the slow path. Its thread must not block on a program's descriptor, so a core writes it
 * (FP_MSG_WAKE).
 */
void fp_app_notify(struct fp *fp, struct fp_app *app, uint32_t evq, uint32_t slot)
{
	struct sp_msg m = {.type = FP_MSG_WAKE, .id = app->id, .gen = evq};
	struct tas_bell *bell;
	struct tas_sock *s;

	if (!app->region || evq >= app->nevq || evq >= TAS_MAX_EVQ || slot >= app->nslots)
		return;
	bell = tas_region_bell(app->region, app->off_evqs, app->bell_bytes, evq);
	s = fp_slot_sock(app, slot);
	tas_bell_ring(bell, slot);
	if (tas_load(&s->waiters) != 0) {
		tas_fetch_add(&s->wake, 1);
		futex_wake(&s->wake);
	}
	if (tas_load(&bell->sleeping) == 0)
		return;
	/* The core empties its ring within a round, unless it is blocked itself. */
	while (fp_send(fp, slot % fp->ncores, &m) == -EAGAIN &&
		fp->cores[slot % fp->ncores].started)
		fp_watch(fp);
}

/* The core's side of FP_MSG_WAKE. */
void fp_wake_later(struct fp_core *core, uint32_t app_id, uint32_t evq)
{
	struct fp_app *app = &core->fp->apps[app_id];

	if (core->apps[app_id] && app->region && evq < app->nevq)
		list_wake_app(core, app, core->apps[app_id], evq);
}
