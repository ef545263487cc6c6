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

/* Before rx_head: who sees bytes up to there knows which of them is urgent. */
static void publish_urgent(struct fp_flow *f, const struct fp_flow_cold *c, struct tas_sock *s)
{
	uint64_t word = tcp_urgent_word(f, c);

	tas_store(&s->rx_hole, c->tcp.urg_from << TAS_URG_SHIFT | c->tcp.urg_hole);
	tas_store_rel(&s->rx_urg, word);
	tas_store(&s->rx_urged, (uint8_t)(word != 0));
	f->flags = word != 0 ? f->flags | FP_F_URG_SHOWN : f->flags & ~FP_F_URG_SHOWN;
}

/* Line 0 of the slot: positions first, state with release (N1: pairs with A's acquire of state and
 * rx_head). */
void fp_publish(struct fp *fp, uint32_t id)
{
	struct fp_flow *f = &fp->flows[id];
	const struct fp_flow_cold *c = &fp->cold[id];
	const struct fp_app *app = &fp->apps[f->app];
	struct tas_sock *s;

	if (!app->region || f->slot == FP_SLOT_NONE)
		return;
	s = fp_slot_sock(app, f->slot);
	tas_store(&s->tx_limit, c->tx_limit);
	if (c->tcp.notsent_lowat != 0)
		tas_store(&s->tx_nxt, (uint32_t)f->tx_nxt);
	tas_store(&s->rx_full, (uint8_t)tcp_rx_full(f, c));
	if (__builtin_expect(f->flags & (FP_F_RX_URG | FP_F_URG_SHOWN), 0))
		publish_urgent(f, c, s);
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
	tas_store(&s->mss, f->mss);
	tas_store(&s->srtt_us, f->srtt_us >> 3);
}

static void list_wake_app(
	struct fp_core *core, struct fp_app *app, struct fp_app_core *ac, uint64_t evqs)
{
	ac->wake_evqs |= evqs;
	if (ac->wake_listed)
		return;
	ac->wake_listed = 1;
	core->wake_apps[core->nwake_apps++] = (uint16_t)app->id;
}

void fp_ring(struct fp_core *core, struct fp_app *app, uint32_t evq, uint32_t slot)
{
	struct tas_sock *s = fp_slot_sock(app, slot);

	tas_bell_ring(tas_region_bell(app->region, app->off_evqs, app->bell_bytes, evq), slot);
	list_wake_app(core, app, core->apps[app->id], 1ull << evq);
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

/* 0 = not now: the program is still asleep. */
static int wake_evq(struct fp_core *core, const struct fp_app *app, uint32_t evq)
{
	struct tas_bell *bell = tas_region_bell(app->region, app->off_evqs, app->bell_bytes, evq);
	int fd = tas_load(&app->evq_fd[evq]);

	TAS_YIELD();
	if (fd < 0 || tas_load(&bell->sleeping) == 0 || tas_xchg(&bell->sleeping, 0) == 0)
		return 1; /* S1 */
	TAS_YIELD();
	if (!fp_wake(&core->waker, fd)) {
		tas_store(&bell->sleeping, 1);
		core->cnt.wakes_late++;
		return 0;
	}
	core->cnt.app_wakes++;
	return 1;
}

/* 0 = the rest stays in the list for the next round. */
static int wake_app(struct fp_core *core, struct fp_app *app)
{
	struct fp_app_core *ac = core->apps[app->id];

	for (; ac->wake_evqs; ac->wake_evqs &= ac->wake_evqs - 1)
		if (!wake_evq(core, app, (uint32_t)__builtin_ctzll(ac->wake_evqs)))
			return 0;
	ac->wake_listed = 0;
	return 1;
}

void fp_wakes_flush(struct fp_core *core)
{
	uint32_t i;

	for (i = 0; i < core->nwakes; i++)
		futex_wake(core->wakes[i]);
	core->cnt.app_wakes += core->nwakes;
	core->nwakes = 0;
	while (core->nwake_apps > 0) {
		if (!wake_app(core, &core->fp->apps[core->wake_apps[core->nwake_apps - 1]]))
			return;
		core->nwake_apps--;
	}
}

/* From the slow path; a core writes the eventfd. */
void fp_app_notify(struct fp *fp, struct fp_app *app, uint32_t evq, uint32_t slot)
{
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
	tas_fetch_or(&app->asked, 1ull << evq);
	TAS_YIELD();
	fp_core_wake(&fp->cores[slot % fp->ncores]);
}

/* The core's side of it: one core gets to it first. */
void fp_wakes_asked(struct fp_core *core, struct fp_app *app)
{
	list_wake_app(core, app, core->apps[app->id], tas_xchg(&app->asked, 0ull));
}
