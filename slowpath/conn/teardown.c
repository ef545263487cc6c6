/*
 * teardown.c - the end of connections: what the core reports, TIME-WAIT, and segments that come
 * after it.
 *
 * TIME-WAIT records are small and bounded; when they are all in use the oldest goes, counted. All wait
 * equally long, so a list in order of arrival is also one in order of expiry. Owner: slow path
 * thread. RFC 9293 3.10.7.4 (TIME-WAIT), 1337, 6191.
 */
#include <errno.h>
#include "conn/hash.h"
#include "conn/internal.h"
#include "net/internal.h"
#include "random.h"
#include "tas/limit.h"
#include "tas/seq.h"

#define STRAYS_PER_SECOND 1000u /* on average */
#define ISS_GAP                                                                                    \
	65538u /* beyond all that the old connection can have in flight (RFC 1122 4.2.2.13) */
#define TICK_NS 1000000000ull

int sp_stray_allowed(struct sp *sp)
{
	struct sp_conns *cs = &sp->conns;
	uint32_t random;

	if (cs->stray_ns == 0 || sp->now_ns - cs->stray_ns >= TICK_NS) {
		sp_random(&random, sizeof(random));
		cs->stray_ns = sp->now_ns;
		cs->stray_tokens = tas_limit_blur(STRAYS_PER_SECOND, random);
	}
	if (cs->stray_tokens == 0) {
		sp->cnt.drop_icmp_rate++;
		return 0;
	}
	cs->stray_tokens--;
	return 1;
}

/* ---- TIME-WAIT records ---- */

static uint32_t *tw_bucket(struct sp *sp, const struct tas_tuple *t)
{
	struct sp_conns *cs = &sp->conns;

	return &cs->tw_buckets[sp_hash_tuple(cs->key, t) & (cs->nbuckets - 1)];
}

static struct sp_timewait *tw_at(struct sp *sp, uint32_t id)
{
	return sp_arena_at(&sp->conns.tws, id);
}

struct sp_timewait *sp_tw_find(struct sp *sp, const struct tas_tuple *t)
{
	struct sp_timewait *w = tw_at(sp, *tw_bucket(sp, t));

	while (w != NULL && memcmp(&w->tuple, t, sizeof(*t)) != 0)
		w = tw_at(sp, w->hash_next);
	return w;
}

struct sp_timewait *sp_tw_next(struct sp *sp, uint32_t *cursor, uint32_t budget)
{
	const struct sp_arena *a = &sp->conns.tws;

	for (; budget > 0 && *cursor < a->head->fresh; budget--) {
		uint32_t id = (*cursor)++;
		struct sp_timewait *w = tw_at(sp, id);

		if (w->id == id && w->since_ns != 0)
			return w;
	}
	if (*cursor >= a->head->fresh)
		*cursor = a->capacity + 1;
	return NULL;
}

static void tw_append(struct sp *sp, struct sp_timewait *w)
{
	struct sp_conns *cs = &sp->conns;
	struct sp_timewait *last = tw_at(sp, cs->tw_tail);

	w->since_ns = sp->now_ns;
	w->prev = cs->tw_tail;
	w->next = 0;
	if (last != NULL)
		last->next = w->id;
	else
		cs->tw_head = w->id;
	cs->tw_tail = w->id;
}

static void tw_unlink(struct sp *sp, struct sp_timewait *w)
{
	struct sp_conns *cs = &sp->conns;
	struct sp_timewait *prev = tw_at(sp, w->prev), *next = tw_at(sp, w->next);

	if (prev != NULL)
		prev->next = w->next;
	else
		cs->tw_head = w->next;
	if (next != NULL)
		next->prev = w->prev;
	else
		cs->tw_tail = w->prev;
}

static void tw_remove(struct sp *sp, struct sp_timewait *w)
{
	uint32_t *p = tw_bucket(sp, &w->tuple);

	while (*p != w->id)
		p = &tw_at(sp, *p)->hash_next;
	*p = w->hash_next;
	tw_unlink(sp, w);
	sp_port_release(sp, w->tuple.lport);
	sp_arena_free(&sp->conns.tws, w->id);
}

static void tw_add(struct sp *sp, const struct sp_conn *c, const struct fp_event *ev)
{
	struct sp_conns *cs = &sp->conns;
	uint32_t id = sp_arena_alloc(&cs->tws), *bucket = tw_bucket(sp, &c->tuple);
	struct sp_timewait *w;

	if (id == 0 && cs->tw_head != 0) {
		sp->cnt.drop_time_wait++;
		tw_remove(sp, tw_at(sp, cs->tw_head));
		id = sp_arena_alloc(&cs->tws);
	}
	w = tw_at(sp, id);
	if (w == NULL)
		return;
	w->id = id;
	w->tuple = c->tuple;
	w->snd_nxt = ev->u.closed.snd_nxt;
	w->rcv_nxt = ev->u.closed.rcv_nxt;
	w->has_ts = (c->flags & SP_CONN_TS) != 0;
	w->ts_recent = ev->u.closed.ts_recent;
	w->ts_offset = c->ts_offset;
	w->app = c->app;
	w->hash_next = *bucket;
	*bucket = id;
	tw_append(sp, w);
	sp_port_hold(sp, w->tuple.lport);
	sp->cnt.time_wait++;
}

void sp_tw_tick(struct sp *sp)
{
	uint64_t wait_ns = sp->conf.time_wait * TICK_NS;
	struct sp_timewait *w;

	while ((w = tw_at(sp, sp->conns.tw_head)) != NULL && sp->now_ns - w->since_ns >= wait_ns)
		tw_remove(sp, w);
}

/* RFC 6191 section 2: a SYN that is newer by timestamp, or else by sequence number, may open the
 * next connection. */
static int syn_is_newer(const struct sp_timewait *w, const struct seg *s)
{
	if (w->has_ts && s->has_ts && s->ts_val != w->ts_recent)
		return seq_gt(s->ts_val, w->ts_recent);
	return seq_gt(s->seq, w->rcv_nxt);
}

int sp_tw_input(struct sp *sp, struct sp_timewait *w, const struct seg *s, const uint8_t *frame,
	int wanted, uint32_t *min_iss)
{
	if (s->flags & TCP_RST)
		return 1; /* RFC 1337: assassins are ignored */
	if ((s->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN && wanted && syn_is_newer(w, s)) {
		*min_iss = (w->snd_nxt + ISS_GAP) | 1;
		tw_remove(sp, w);
		return 0;
	}
	/* The peer's FIN again, not a forged one: its ACK was lost, wait anew. */
	if ((s->flags & TCP_FIN) && s->seq + s->len + 1 == w->rcv_nxt) {
		tw_unlink(sp, w);
		tw_append(sp, w);
	}
	if (s->len != 0 || (s->flags & (TCP_FIN | TCP_SYN)) || s->seq != w->rcv_nxt)
		sp_emit_tw_ack(sp, w, frame);
	return 1;
}

int sp_tw_reuse(struct sp *sp, struct sp_timewait *w, uint32_t *min_iss)
{
	/* The peer can tell old from new by timestamps once our clock of them has moved on. */
	if (!w->has_ts || sp->now_ns - w->since_ns < TICK_NS)
		return 0;
	*min_iss = (w->snd_nxt + ISS_GAP) | 1;
	tw_remove(sp, w);
	return 1;
}

/* ---- what the core reports ---- */

static void count_reason(struct sp *sp, const struct sp_conn *c, uint32_t reason)
{
	switch (reason) {
	case FP_CLOSE_RESET:
		sp->cnt.conn_reset_in++;
		break;
	case FP_CLOSE_TIMEOUT:
		sp->cnt.conn_timeout++;
		break;
	case FP_CLOSE_ABORTED:
		if (c->state == SP_CONN_OPEN) /* else counted when we asked */
			sp->cnt.conn_reset_out++;
		break;
	default:
		break;
	}
}

void sp_conn_closed(struct sp *sp, struct sp_conn *c, const struct fp_event *ev)
{
	struct sp_app *app = sp_app_get(sp, c->app);

	count_reason(sp, c, ev->u.closed.reason);
	sp->conns.nopen--;
	if (app != NULL && !(c->flags & SP_CONN_ORPHAN) && app->nconns > 0)
		app->nconns--;
	if (ev->u.closed.time_wait && sp->conf.time_wait != 0)
		tw_add(sp, c, ev);
}
