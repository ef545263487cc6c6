/*
 * accept.c - the accept queue: the daemon puts, any holder takes with one compare-and-swap on a
 * word.
 *
 * What lies in the segment is written by hostile programs too; which connection is in which place
 * is known from sp_listener.accept alone. A place is free when its connection was bound to a slot
 * (FP_EV_TAKEN), has gone, or the listener has. Places are given out in order from `tail`, skipping
 * those still in use, so a taker that scans at most `backlog` places from `head` on meets every
 * waiting connection.
 *
 * Barriers: L1 in sp_accept_notify pairs with the full barrier of a holder between arming itself
 * (or counting itself as a waiter) and looking at the queue. Owner: slow path thread.
 */
#include <errno.h>
#include "conn/internal.h"
#include "flowctl.h"
#include "futex.h"
#include "tas/yield.h"

/* A claim is made good by the next ring of a bell: this is for a program that stopped in between.
 */
#define CLAIM_NS 5000000000ull

static struct tas_accept *place(const struct sp_listener *l, uint32_t i)
{
	return &l->seg->queue[i];
}

int sp_accept_full(const struct sp_listener *l)
{
	return l->nqueued > l->backlog || l->nqueued >= l->entries;
}

void sp_accept_reserve(struct sp_listener *l, struct sp_conn *c)
{
	uint32_t i;

	do {
		i = l->tail++ & (l->entries - 1);
	} while (l->accept[i].conn != 0); /* ends: nqueued < entries */
	l->accept[i].conn = c->id;
	l->accept[i].ticket = ++l->ticket;
	l->accept[i].claimed_ns = 0;
	l->nqueued++;
	c->accept_entry = i;
	c->accept_ticket = l->ticket;
	c->flags |= SP_CONN_QUEUED | SP_CONN_HIDDEN;
}

void sp_accept_publish(struct sp *sp, struct sp_conn *c)
{
	struct sp_listener *l = sp_listener_get(sp, c->listener);
	struct tas_accept *a;

	if (!(c->flags & SP_CONN_HIDDEN))
		return;
	c->flags &= ~SP_CONN_HIDDEN;
	a = place(l, c->accept_entry);
	tas_store(&a->flow, c->id);
	tas_store(&a->gen, c->gen);
	tas_store(&a->core, fp_core_of(sp->fp, &c->tuple));
	a->lport = c->tuple.lport;
	a->rport = c->tuple.rport;
	memcpy(a->laddr, c->tuple.laddr, 16);
	memcpy(a->raddr, c->tuple.raddr, 16);
	tas_store_rel(&a->word, TAS_ACCEPT_WORD(TAS_ACCEPT_QUEUED, 0, c->accept_ticket));
	TAS_YIELD();
	tas_store_rel(&l->seg->tail, l->tail);
	TAS_YIELD();
	sp_accept_notify(sp, l, 1);
}

/* ---- who is told ---- */

/* A holder that can be rung: its program and the event queue it names are real. */
static struct fp_app *armed_holder(struct sp *sp, const struct sp_listener *l, uint32_t i,
	uint32_t armed, uint32_t *evq, uint32_t *slot)
{
	const struct tas_listen_holder *h = &l->seg->holders[i];
	struct sp_app *app = sp_app_get(sp, l->holder[i]);
	struct fp_app *fa;

	if (app == NULL || app->state != SP_APP_ACTIVE || tas_load_acq(&h->armed) != armed)
		return NULL;
	*evq = tas_load(&h->evq);
	*slot = tas_load(&h->slot);
	fa = sp_app_fp(sp, app);
	return fa != NULL && *evq < fa->nevq && *slot < fa->nslots ? fa : NULL;
}

static void notify_all(struct sp *sp, struct sp_listener *l)
{
	uint32_t i, seen = 0, evq, slot;

	for (i = 0; i < TAS_LISTEN_HOLDERS && seen < l->nholders; i++) {
		struct fp_app *fa;

		if (l->holder[i] == 0)
			continue;
		seen++;
		fa = armed_holder(sp, l, i, TAS_ARM_ALL, &evq, &slot);
		if (fa != NULL)
			fp_app_notify(sp->fp, fa, evq, slot);
	}
}

static int sleeps(const struct fp_app *fa, uint32_t evq)
{
	return tas_load(
		       &tas_region_bell(fa->region, fa->off_evqs, fa->bell_bytes, evq)->sleeping) !=
	       0;
}

/* One exclusive waiter: the next in turn that sleeps, else the next in turn. */
static void notify_one(struct sp *sp, struct sp_listener *l)
{
	struct fp_app *chosen = NULL;
	uint32_t chosen_evq = 0, chosen_slot = 0, chosen_at = 0, step;

	for (step = 0; step < TAS_LISTEN_HOLDERS; step++) {
		uint32_t i = (l->rotate + step) % TAS_LISTEN_HOLDERS, evq, slot;
		struct fp_app *fa;

		if (l->holder[i] == 0)
			continue;
		fa = armed_holder(sp, l, i, TAS_ARM_EXCLUSIVE, &evq, &slot);
		if (fa == NULL || (chosen != NULL && !sleeps(fa, evq)))
			continue;
		chosen = fa;
		chosen_evq = evq;
		chosen_slot = slot;
		chosen_at = i;
		if (sleeps(fa, evq))
			break;
	}
	if (chosen == NULL)
		return;
	l->rotate = chosen_at + 1;
	fp_app_notify(sp->fp, chosen, chosen_evq, chosen_slot);
}

void sp_accept_notify(struct sp *sp, struct sp_listener *l, int all)
{
	tas_full_barrier(); /* L1 */
	TAS_YIELD();
	if (all)
		notify_all(sp, l);
	notify_one(sp, l);
	if (tas_load(&l->seg->waiters) == 0)
		return;
	tas_fetch_add(&l->seg->wake, 1);
	sp_futex_wake(&l->seg->wake, 1);
}

/* 1 when some place holds a connection that nobody has claimed. */
static int anything_waits(const struct sp_listener *l)
{
	uint32_t i;

	for (i = 0; i < l->entries && l->nqueued != 0; i++) {
		if (l->accept[i].conn != 0 &&
			TAS_ACCEPT_KIND(tas_load(&place(l, i)->word)) == TAS_ACCEPT_QUEUED)
			return 1;
	}
	return 0;
}

void sp_accept_rewake(struct sp *sp, struct sp_listener *l)
{
	if (anything_waits(l))
		sp_accept_notify(sp, l, 0);
}

/* ---- leaving the queue ---- */

static void orphan_del(struct sp *sp, struct sp_conn *c)
{
	struct sp_app *app = sp_app_get(sp, c->app);

	c->flags &= ~SP_CONN_ORPHAN;
	if (app != NULL)
		sp_conn_list_del(sp, &app->orphans, NULL, c);
	c->app = FP_APP_NONE;
}

void sp_accept_clear(struct sp *sp, struct sp_conn *c)
{
	struct sp_listener *l = sp_listener_get(sp, c->listener);

	if (c->flags & SP_CONN_ORPHAN)
		orphan_del(sp, c);
	if (!(c->flags & SP_CONN_QUEUED))
		return;
	c->flags &= ~(SP_CONN_QUEUED | SP_CONN_HIDDEN);
	l->accept[c->accept_entry].conn = 0;
	l->nqueued--;
	tas_store_rel(&place(l, c->accept_entry)->word, TAS_ACCEPT_EMPTY);
}

int sp_accept_claimed_by(struct sp *sp, const struct sp_conn *c, const struct sp_app *app)
{
	const struct sp_listener *l = sp_listener_get(sp, c->listener);

	if (c->flags & SP_CONN_ORPHAN)
		return c->app == app->id;
	if (l == NULL || !(c->flags & SP_CONN_QUEUED) || c->flags & SP_CONN_HIDDEN)
		return 0;
	return tas_load_acq(&place(l, c->accept_entry)->word) ==
	       TAS_ACCEPT_WORD(TAS_ACCEPT_TAKEN, app->id, c->accept_ticket);
}

/* Is the claim in `word` one that a living holder may still make good? */
static int claim_stands(
	const struct sp_listener *l, uint64_t word, uint32_t ticket, uint32_t leaving)
{
	uint32_t claimer = (uint32_t)(word >> 32) & 0x3fffffffu;

	return TAS_ACCEPT_KIND(word) == TAS_ACCEPT_TAKEN && (uint32_t)word == ticket &&
	       claimer != leaving && claimer != 0 && sp_listener_held_by(l, claimer);
}

/*
 * Places behind the takers' hint have come alive again: let them look at one whole turn. A taker
 * moves the hint by compare-and-swap; it must not find the value that it read before it looked.
 */
static void reset_hint(struct sp_listener *l)
{
	uint32_t head = l->tail - l->entries;

	if (tas_load(&l->seg->head) == head)
		head--;
	tas_store_rel(&l->seg->head, head);
}

/* Is the place occupied, and can holders see it? */
static int is_shown(struct sp *sp, const struct sp_accept *a)
{
	const struct sp_conn *c = sp_conn_get(sp, a->conn);

	return c != NULL && !(c->flags & SP_CONN_HIDDEN);
}

/* `moved` places have come alive again. */
static void offer_again(struct sp *sp, struct sp_listener *l, uint32_t moved)
{
	if (moved == 0)
		return;
	reset_hint(l);
	while (moved-- > 0)
		sp_accept_notify(sp, l, 1);
}

void sp_accept_requeue(struct sp *sp, struct sp_listener *l, uint32_t app)
{
	uint32_t i, moved = 0;

	for (i = 0; i < l->entries; i++) {
		uint64_t queued = TAS_ACCEPT_WORD(TAS_ACCEPT_QUEUED, 0, l->accept[i].ticket), word;

		if (!is_shown(sp, &l->accept[i]))
			continue;
		word = tas_load_acq(&place(l, i)->word);
		if (word == queued || claim_stands(l, word, l->accept[i].ticket, app))
			continue;
		tas_store_rel(&place(l, i)->word, queued);
		moved++;
	}
	offer_again(sp, l, moved);
}

/* 1 when the place has been claimed for CLAIM_NS and was put back. */
static int put_back_late(struct sp *sp, struct sp_listener *l, uint32_t i)
{
	struct sp_accept *a = &l->accept[i];
	uint64_t queued = TAS_ACCEPT_WORD(TAS_ACCEPT_QUEUED, 0, a->ticket);

	if (tas_load_acq(&place(l, i)->word) == queued) {
		a->claimed_ns = 0;
	} else if (a->claimed_ns == 0) {
		a->claimed_ns = sp->now_ns;
	} else if (sp->now_ns - a->claimed_ns >= CLAIM_NS) {
		a->claimed_ns = 0;
		tas_store_rel(&place(l, i)->word, queued);
		return 1;
	}
	return 0;
}

void sp_accept_tick(struct sp *sp)
{
	uint32_t cursor = 1, i;
	struct sp_listener *l;

	while ((l = sp_listener_next(sp, &cursor)) != NULL) {
		uint32_t left = l->nqueued, moved = 0;

		for (i = 0; i < l->entries && left > 0; i++) {
			if (l->accept[i].conn == 0)
				continue;
			left--;
			if (is_shown(sp, &l->accept[i]))
				moved += (uint32_t)put_back_late(sp, l, i);
		}
		offer_again(sp, l, moved);
	}
}

/* May a core have bound it for `app` just now? None knows a program without a region. */
static int may_be_bound(
	struct sp *sp, const struct sp_conn *c, const struct sp_app *app, uint64_t word)
{
	return app != NULL && sp_app_fp(sp, app) != NULL && c->state == SP_CONN_OPEN &&
	       word == TAS_ACCEPT_WORD(TAS_ACCEPT_TAKEN, app->id, c->accept_ticket);
}

void sp_accept_abandon(struct sp *sp, struct sp_listener *l, struct sp_app *app)
{
	uint32_t i;

	for (i = 0; i < l->entries && l->nqueued != 0; i++) {
		struct sp_conn *c = sp_conn_get(sp, l->accept[i].conn);
		uint64_t word = tas_load_acq(&place(l, i)->word);

		if (c == NULL)
			continue;
		sp_accept_clear(sp, c);
		c->listener = 0;
		if (may_be_bound(sp, c, app, word)) {
			c->app = app->id;
			c->flags |= SP_CONN_ORPHAN;
			c->sent_ns = sp->now_ns;
			sp_conn_list_add(sp, &app->orphans, NULL, c);
			continue;
		}
		sp_conn_abort(sp, c, ECONNABORTED);
	}
}
