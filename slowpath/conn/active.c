/*
 * active.c - connections that programs open: local port, SYN, and the slot's word when it fails.
 *
 * Success is told by the core, which binds the slot; failure by us, since no core ever had the
 * flow. Owner: slow path thread. RFC 6056 3.3.3 (ports), 6191 (TIME-WAIT), 9293 3.10.1.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include "conn/hash.h"
#include "conn/internal.h"
#include "flowctl.h"
#include "futex.h"
#include "net/internal.h"
#include "tas/seq.h"

#define SYN_RTO_NS 1000000000ull

/* ---- local port ---- */

enum port_use { PORT_FREE, PORT_OLD, PORT_TAKEN };

/* A port that would connect to itself is nobody's choice: only who binds to it and says so means that. */
static enum port_use port_use(struct sp *sp, const struct tas_tuple *t)
{
	if (t->lport == t->rport && memcmp(t->laddr, t->raddr, 16) == 0)
		return PORT_TAKEN;
	if (sp_conn_find(sp, t) != NULL)
		return PORT_TAKEN;
	return sp_tw_find(sp, t) != NULL ? PORT_OLD : PORT_FREE;
}

/*
 * RFC 6056 algorithm 3: a secret function of the other three parts says where to start, a counter
 * goes on from there. Ports whose TIME-WAIT may be cut short come second.
 */
static int choose_port(struct sp *sp, struct tas_tuple *t, uint32_t *min_iss)
{
	uint32_t low = sp->conf.local_ports.low, n = sp->conf.local_ports.high - low + 1u;
	uint32_t start = sp_port_offset(sp->conns.secret, t) + sp->conns.port_next, i, pass;

	for (pass = 0; pass < 2; pass++) {
		for (i = 0; i < n; i++) {
			t->lport = htons((uint16_t)(low + (start + i) % n));
			if (port_use(sp, t) != (pass == 0 ? PORT_FREE : PORT_OLD))
				continue;
			if (pass == 1 && !sp_tw_reuse(sp, sp_tw_find(sp, t), min_iss))
				continue;
			sp->conns.port_next += i + 1;
			return 0;
		}
	}
	return -EADDRINUSE; /* every one */
}

static int take_port(struct sp *sp, struct tas_tuple *t, uint32_t *min_iss)
{
	struct sp_timewait *w;

	if (t->lport == 0)
		return choose_port(sp, t, min_iss);
	if (sp_conn_find(sp, t) != NULL)
		return -EADDRINUSE;
	w = sp_tw_find(sp, t);
	return w == NULL || sp_tw_reuse(sp, w, min_iss) ? 0 : -EADDRINUSE;
}

/* ---- slot ---- */

/* 1 when no handshake and no flow has the slot. A program that races with itself is refused by the
 * core. */
static int slot_is_free(struct sp *sp, const struct sp_app *app, uint32_t slot)
{
	const struct fp_app *fa = sp_app_fp(sp, app);

	return fa != NULL && slot < fa->nslots && app->slot_conn[slot] == 0 &&
	       tas_load(&fa->slot_flow[slot]) == FP_FLOW_NONE;
}

static void wake_waiters(struct tas_sock *s)
{
	tas_full_barrier(); /* the state is visible before we look who waits */
	if (tas_load(&s->waiters) == 0)
		return;
	tas_fetch_add(&s->wake, 1);
	sp_futex_wake(&s->wake, INT32_MAX);
}

/* The slot's F line is ours as long as no flow is bound to it; `gen` last makes it valid. */
static void publish_failure(struct sp *sp, const struct sp_conn *c, int error)
{
	struct fp_app *fa = fp_app(sp->fp, c->app);
	struct tas_sock *s = tas_region_sock(fa->region, fa->off_slots, c->slot);

	tas_store(&s->error, (uint32_t)error);
	tas_store(&s->flow, c->id);
	tas_store_rel(&s->state, TAS_SOCK_ERROR | TAS_SOCK_FREE);
	tas_store_rel(&s->gen, c->gen);
	fp_app_notify(sp->fp, fa, tas_load(&s->evq), c->slot);
	wake_waiters(s);
}

/* ---- handshake ---- */

void sp_connect_begin(struct sp *sp, struct sp_conn *c)
{
	c->sent_ns = sp->now_ns;
	sp_conn_timer_set(sp, c, sp->now_ns + SYN_RTO_NS);
	sp_emit_syn(sp, c);
}

int sp_connect(struct sp *sp, struct sp_app *app, uint32_t slot, const struct tas_tuple *want,
	const struct tas_sockopts *opts, struct sp_conn **out)
{
	struct tas_tuple t = *want;
	uint32_t min_iss = 0;
	struct sp_conn *c;
	int err;

	if (!slot_is_free(sp, app, slot))
		return -EBUSY;
	err = take_port(sp, &t, &min_iss);
	if (err != 0)
		return err;
	c = sp_conn_new(sp, &t);
	if (c == NULL)
		return -ENOBUFS;
	c->neigh = sp_neigh_for(sp, t.raddr, NULL);
	if (c->neigh == 0) {
		sp_conn_release(sp, c);
		return -EHOSTUNREACH;
	}
	if (min_iss != 0 && seq_lt(c->iss, min_iss))
		c->iss = min_iss;
	c->app = app->id;
	c->slot = slot;
	c->opts = *opts;
	c->state = SP_CONN_SYN_SENT;
	sp_conn_offer_options(sp, c);
	if (sp->conf.ecn != 1)
		c->flags &= ~SP_CONN_ECN;
	app->slot_conn[slot] = c->id;
	sp_conn_list_add(sp, &app->connecting, NULL, c);
	app->nconns++;
	sp->cnt.conn_active++;
	sp_connect_begin(sp, c);
	*out = c;
	return 0;
}

void sp_connect_failed(struct sp *sp, struct sp_conn *c, int error)
{
	struct sp_app *app = sp_app_get(sp, c->app);

	if (app == NULL)
		return; /* a peer's handshake: nobody waits for it */
	sp->cnt.conn_failed++;
	app->nconns--;
	if (app->state == SP_APP_ACTIVE)
		publish_failure(sp, c, error);
}

void sp_connect_done(struct sp *sp, struct sp_conn *c)
{
	struct sp_app *app = sp_app_get(sp, c->app);

	if (app == NULL || c->slot == FP_SLOT_NONE || app->slot_conn == NULL ||
		app->slot_conn[c->slot] != c->id)
		return;
	app->slot_conn[c->slot] = 0;
	sp_conn_list_del(sp, &app->connecting, NULL, c);
}

static void begin_towards(struct sp *sp, const struct sp_app *app, uint16_t neigh)
{
	struct sp_conn *c;

	for (c = sp_conn_get(sp, app->connecting); c != NULL; c = sp_conn_get(sp, c->owner_next)) {
		if (c->neigh == neigh && (c->flags & SP_CONN_UNSENT))
			sp_connect_begin(sp, c);
	}
}

void sp_connect_neigh_known(struct sp *sp, uint16_t neigh)
{
	uint32_t cursor = 1;
	struct sp_app *app;

	while ((app = sp_app_next(sp, &cursor)) != NULL)
		begin_towards(sp, app, neigh);
}

static void fail_towards(struct sp *sp, struct sp_app *app, uint16_t neigh)
{
	struct sp_conn_input in = {.error = EHOSTUNREACH};
	uint32_t id = app->connecting;

	while (id != 0) {
		struct sp_conn *c = sp_conn_get(sp, id);

		id = c->owner_next;
		if (c->neigh == neigh && c->state == SP_CONN_SYN_SENT)
			sp_conn_event(sp, c, SP_EV_UNREACH, &in);
	}
}

void sp_connect_neigh_failed(struct sp *sp, uint16_t neigh)
{
	uint32_t cursor = 1;
	struct sp_app *app;

	while ((app = sp_app_next(sp, &cursor)) != NULL)
		fail_towards(sp, app, neigh);
}
