/*
 * own_chunks.c - app 0's chunks, 64 MiB of the daemon's own: what a connection has received while no
 * program has it, and what a program leaves here of one that it hands on (park.c, stream/own.c).
 *
 * All cores share them: a stack, of which each core keeps a few that it gave back last. A chunk in
 * use is charged to an account: to the listener whose connection waits to be accepted, or to the
 * program that left it here. Peers of one listener fill a quarter of the memory, all of them half: what
 * finds no room counts as lost and comes again. A program may leave here a quarter of what it leaves
 * free: a fifth of all, the next one a fifth of the rest, so that one more finds something too.
 *
 * Owner: any core, for its own flows. docs/decisions/0012-the-daemons-chunks.md.
 */
#include "core.h"
#include "tas/yield.h"

#define KEEP_MAX 32u /* chunks that a core keeps; all cores together keep an eighth at most */

static void discharge(struct fp_own *o, uint32_t account)
{
	if (account >= FP_MAX_APPS)
		tas_fetch_add(&o->early, -1u);
	tas_fetch_add(&o->account[account], -1u);
	tas_fetch_add(&o->used, -1u);
}

/* 0 = the account has its share. Never more than `limit` in all, so that a chunk can be found. */
static int charge(struct fp_own *o, uint32_t account)
{
	uint32_t used = tas_fetch_add(&o->used, 1u) + 1;
	uint32_t n = tas_fetch_add(&o->account[account], 1u) + 1, early = 0;
	int ok = used <= o->limit;

	if (account >= FP_MAX_APPS) {
		early = tas_fetch_add(&o->early, 1u) + 1;
		ok = ok && n <= o->limit / 4 && early <= o->limit / 2;
	} else {
		ok = ok && n <= (o->limit - used) / 4;
	}
	if (!ok)
		discharge(o, account);
	return ok;
}

/* The stack. The upper half of its word changes with every push, so that a top that went and came back is not taken for the old one. */
static void push(struct fp_own *o, uint32_t chunk)
{
	uint64_t top = tas_load(&o->top);

	do {
		tas_store(&o->next[chunk], (uint32_t)top);
	} while (!tas_cas(&o->top, &top, ((top >> 32) + 1) << 32 | (chunk + 1)));
}

static uint32_t pop(struct fp_own *o)
{
	uint64_t top = tas_load_acq(&o->top), rest;
	uint32_t first;

	do {
		first = (uint32_t)top;
		if (first == 0)
			return TAS_CHUNK_NONE;
		rest = (top >> 32) << 32 | tas_load(&o->next[first - 1]);
		TAS_YIELD();
	} while (!tas_cas(&o->top, &top, rest));
	return first - 1;
}

void fp_own_init(struct fp *fp)
{
	struct fp_own *o = &fp->own;
	uint32_t i;

	o->keep = FP_OWN_CHUNKS / 8 / fp->ncores;
	if (o->keep > KEEP_MAX)
		o->keep = KEEP_MAX;
	o->limit = FP_OWN_CHUNKS - o->keep * fp->ncores;
	for (i = FP_OWN_CHUNKS;
		i-- > 0;) /* the lowest comes out first, so that few pages are touched */
		push(o, i);
}

static uint32_t account(const struct fp *fp, uint32_t id)
{
	const struct fp_flow *f = &fp->flows[id];
	const struct fp_flow_cold *c = &fp->cold[id];

	if (f->app != FP_APP_NONE)
		return f->app; /* it is being parked */
	if (c->payer != FP_APP_NONE)
		return c->payer;
	return FP_MAX_APPS + (c->listener < FP_MAX_LISTENERS ? c->listener : FP_MAX_LISTENERS);
}

uint32_t fp_own_get(struct fp_core *core, uint32_t id)
{
	struct fp_own *o = &core->fp->own;
	struct fp_app_core *ac = core->apps[FP_APP_NONE];
	uint32_t chunk = ac->free_chunk, whose = account(core->fp, id);

	if (!charge(o, whose))
		return TAS_CHUNK_NONE;
	if (chunk != TAS_CHUNK_NONE) {
		ac->free_chunk = core->fp->apps[FP_APP_NONE].rx_next[chunk];
		ac->nfree--;
	} else {
		chunk = pop(o);
	}
	if (chunk == TAS_CHUNK_NONE) {
		discharge(o, whose); /* cannot be: see `limit` */
		return chunk;
	}
	o->charged[chunk] = (uint16_t)whose;
	ac->in_use++;
	return chunk;
}

void fp_own_put(struct fp_core *core, uint32_t chunk)
{
	struct fp_own *o = &core->fp->own;
	struct fp_app_core *ac = core->apps[FP_APP_NONE];
	uint32_t whose = o->charged[chunk];

	if (ac->nfree < o->keep) {
		core->fp->apps[FP_APP_NONE].rx_next[chunk] = ac->free_chunk;
		ac->free_chunk = chunk;
		ac->nfree++;
	} else {
		push(o, chunk);
	}
	discharge(o, whose); /* after it is there to be found */
}
