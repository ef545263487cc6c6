/*
 * timer.c - deadlines of connections: a hashed wheel of ids, 16 ms a slot, one deadline per
 * connection.
 *
 * A connection lies in the slot of its deadline modulo one turn; one that is met a turn early
 * stays. A bitmap of used slots makes "when is the next" cheap. Deadlines fire at most one slot
 * late, never early. Owner: slow path thread. RFC 6298 (back-off of a SYN: 5.5), 9293 3.8.3.
 */
#include <errno.h>
#include "conn/internal.h"
#include "round.h"

#define SYN_RTO_NS     1000000000ull	  /* RFC 6298 section 2.1 */
#define SYN_RTO_MAX_NS (120 * SYN_RTO_NS) /* section 2.5; as Linux */
#define MAX_PER_ROUND  4096

static struct sp_conn *at(struct sp *sp, uint32_t id)
{
	return sp_arena_at(&sp->conns.conns, id);
}

void sp_conn_timer_clear(struct sp *sp, struct sp_conn *c)
{
	struct sp_conns *cs = &sp->conns;
	struct sp_conn *prev = at(sp, c->timer_prev), *next = at(sp, c->timer_next);

	if (!(c->flags & SP_CONN_TIMER))
		return;
	if (prev != NULL)
		prev->timer_next = c->timer_next;
	else
		cs->wheel[c->timer_slot] = c->timer_next;
	if (next != NULL)
		next->timer_prev = c->timer_prev;
	if (cs->wheel[c->timer_slot] == 0)
		cs->wheel_used[c->timer_slot / 64] &= ~(1ull << (c->timer_slot % 64));
	c->timer_prev = c->timer_next = 0;
	c->flags &= ~SP_CONN_TIMER;
}

void sp_conn_timer_set(struct sp *sp, struct sp_conn *c, uint64_t at_ns)
{
	struct sp_conns *cs = &sp->conns;
	uint64_t tick = (at_ns + SP_WHEEL_NS - 1) / SP_WHEEL_NS;
	struct sp_conn *first;
	uint32_t slot;

	sp_conn_timer_clear(sp, c);
	if (tick < cs->wheel_tick)
		tick = cs->wheel_tick;
	slot = (uint32_t)(tick % SP_WHEEL_SLOTS);
	first = at(sp, cs->wheel[slot]);
	c->timer_ns = at_ns;
	c->timer_slot = slot;
	c->timer_prev = 0;
	c->timer_next = cs->wheel[slot];
	if (first != NULL)
		first->timer_prev = c->id;
	cs->wheel[slot] = c->id;
	cs->wheel_used[slot / 64] |= 1ull << (slot % 64);
	c->flags |= SP_CONN_TIMER;
}

/* Distance in slots from `from` to the next used one, SP_WHEEL_SLOTS when there is none. */
static uint32_t next_used(const struct sp_conns *cs, uint32_t from)
{
	uint32_t i = 0;

	while (i < SP_WHEEL_SLOTS) {
		uint32_t slot = (from + i) % SP_WHEEL_SLOTS;
		uint64_t word = cs->wheel_used[slot / 64] >> (slot % 64);

		if (word != 0)
			return i + (uint32_t)__builtin_ctzll(word);
		i += 64 - slot % 64;
	}
	return SP_WHEEL_SLOTS;
}

uint64_t sp_conn_timer_next(struct sp *sp)
{
	struct sp_conns *cs = &sp->conns;
	uint32_t i = next_used(cs, (uint32_t)(cs->wheel_tick % SP_WHEEL_SLOTS));

	if (i >= SP_WHEEL_SLOTS)
		return UINT64_MAX;
	return (cs->wheel_tick + i) * SP_WHEEL_NS;
}

/* How often: TCP_SYNCNT counts for SYN-ACKs too; who defers accepting waits as long as that says. */
static uint32_t retries_of(const struct sp *sp, const struct sp_conn *c)
{
	uint32_t n = c->flags & SP_CONN_PASSIVE ? sp->conf.synack_retries : sp->conf.syn_retries;

	if (c->opts.syncnt != 0)
		n = c->opts.syncnt;
	return (c->flags & SP_CONN_ACKED) && n < c->opts.defer ? c->opts.defer : n;
}

/* TCP_USER_TIMEOUT bounds our SYNs too, but for the first wait. */
static uint64_t give_up_ns(const struct sp_conn *c)
{
	if ((c->flags & SP_CONN_PASSIVE) || c->opts.user_timeout_ms == 0)
		return UINT64_MAX;
	return c->sent_ns + c->opts.user_timeout_ms * 1000000ull;
}

static uint64_t next_try_ns(const struct sp *sp, const struct sp_conn *c)
{
	uint64_t wait_ns = SYN_RTO_NS << (c->retries < 7 ? c->retries : 7), at,
		 last = give_up_ns(c);

	if (wait_ns > SYN_RTO_MAX_NS)
		wait_ns = SYN_RTO_MAX_NS;
	at = sp->now_ns + wait_ns;
	if (last < at)
		at = last > sp->now_ns ? last : sp->now_ns;
	return at;
}

/*
 * Retransmission or giving up; the back-off doubles. A SYN that waits for the next hop was not lost: its next hop answers or is
 * given up (net/arp.c).
 */
static void fire(struct sp *sp, struct sp_conn *c)
{
	struct sp_conn_input in = {.error = ETIMEDOUT};
	int silent;

	if (c->state == SP_CONN_SYN_SENT && (c->flags & SP_CONN_UNSENT)) {
		sp_connect_begin(sp, c);
		return;
	}
	if (c->retries >= retries_of(sp, c) || (c->retries != 0 && sp->now_ns >= give_up_ns(c))) {
		sp_conn_event(sp, c, SP_EV_GIVE_UP, &in);
		return;
	}
	/* The client has acknowledged: it is asked again once, before it is accepted without data. */
	silent = (c->flags & SP_CONN_ACKED) && c->retries + 1u < c->opts.defer;
	c->retries++;
	sp_conn_timer_set(sp, c, next_try_ns(sp, c));
	if (!silent)
		sp_conn_event(sp, c, SP_EV_TIMER, &in);
}

/* Runs what is due in one slot. Those of later turns stay. Returns how many fired. */
static uint32_t run_slot(struct sp *sp, uint32_t slot)
{
	uint32_t id = sp->conns.wheel[slot], n = 0;

	while (id != 0) {
		struct sp_conn *c = at(sp, id);

		id = c->timer_next;
		if (c->timer_ns > sp->now_ns)
			continue;
		sp_conn_timer_clear(sp, c);
		fire(sp, c);
		n++;
	}
	return n;
}

void sp_conn_timers(struct sp *sp)
{
	struct sp_conns *cs = &sp->conns;
	uint64_t now_tick = sp->now_ns / SP_WHEEL_NS;
	uint32_t n = 0;

	while (cs->wheel_tick <= now_tick && n < MAX_PER_ROUND) {
		uint32_t skip = next_used(cs, (uint32_t)(cs->wheel_tick % SP_WHEEL_SLOTS));

		cs->wheel_tick += skip;
		if (cs->wheel_tick > now_tick) {
			cs->wheel_tick = now_tick + 1;
			break;
		}
		n += run_slot(sp, (uint32_t)(cs->wheel_tick % SP_WHEEL_SLOTS));
		cs->wheel_tick++;
	}
}
