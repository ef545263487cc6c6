/*
 * chunks.c - receive memory: the free lists of chunks that programs offer, and each flow's list of
 * chunks.
 *
 * A chunk that was taken from a program's offer bitmap stays with the daemon: it wanders between
 * one core's last-in first-out list (so that it is still in the cache when it is filled again) and
 * flows of that program. Both lists are linked through fp_app.rx_next, which the program cannot
 * see; its copy, rxnext, is written only.
 *
 * When may a chunk go back? Only when the program has moved past it: a program that has read
 * exactly up to a chunk's end has perhaps not yet followed the chunk's link. So the chunk before
 * rx_read stays, unless nothing is left to read at all: then the whole list goes and the next data
 * starts a new one (rx_first_pos, rx_first_chunk).
 *
 * Owner: the flow's core. docs/decisions/0002-chunks.md.
 */
#include "core.h"

#define SCAN_WORDS 512u /* offer words looked at per attempt */

void fp_chunk_put(struct fp_core *core, struct fp_app *app, uint32_t chunk)
{
	struct fp_app_core *ac = core->apps[app->id];

	if (app->id == FP_APP_NONE) {
		fp_own_put(core, chunk);
		return;
	}
	app->rx_next[chunk] = ac->free_chunk;
	ac->free_chunk = chunk;
	ac->nfree++;
}

void fp_chunks_put_list(struct fp_core *core, struct fp_app *app, uint32_t first)
{
	while (first != TAS_CHUNK_NONE) {
		uint32_t next = app->rx_next[first];

		fp_chunk_put(core, app, first);
		core->apps[app->id]->in_use--;
		first = next;
	}
}

/* Takes the bits of one offer word. A chunk offered twice would be in two lists: that program is
 * broken. */
static void take_offered(struct fp_core *core, struct fp_app *app, uint32_t word, uint64_t bits)
{
	struct fp_app_shared *sh = app->core_priv;
	uint64_t twice = tas_fetch_or(&sh->held[word], bits) & bits;

	if (twice)
		fp_app_fault(core, app, &core->cnt.refuse_chunk);
	bits &= ~twice;
	while (bits) {
		fp_chunk_put(core, app, word * 64 + (uint32_t)__builtin_ctzll(bits));
		bits &= bits - 1;
	}
}

/* Fills the free list from the offer bitmap. The counter rx_offered only saves looking in vain. */
static void refill(struct fp_core *core, struct fp_app *app, struct fp_app_core *ac)
{
	uint64_t *offer = (uint64_t *)((char *)app->region + app->off_offer);
	uint32_t words = tas_load_acq(&app->nsegs) * (TAS_SEG_CHUNKS / 64);
	uint32_t offered = tas_load_acq(&app->region->rx_offered), i;

	if (offered == ac->offer_seen || words == 0)
		return;
	for (i = 0; i < words && i < SCAN_WORDS; i++) {
		uint32_t w = ac->offer_cursor < words ? ac->offer_cursor : 0;

		ac->offer_cursor = w + 1;
		if (tas_load(&offer[w]) == 0)
			continue;
		take_offered(core, app, w, tas_xchg(&offer[w], 0));
		if (ac->nfree >= FP_RX_CHUNKS_STEP)
			return;
	}
	if (i == words)
		ac->offer_seen = offered;
}

/* Raises what we would like to have, unless the last wish is still open. 1 = raised: tell the
 * program. */
static int want_more(struct fp_app *app, struct fp_app_core *ac)
{
	uint32_t offered = tas_load(&app->region->rx_offered);

	if (ac->wanted_open && (int32_t)(offered - ac->wanted_goal) < 0)
		return 0;
	ac->wanted_goal =
		tas_fetch_add(&app->region->rx_wanted, FP_RX_CHUNKS_STEP) + FP_RX_CHUNKS_STEP;
	ac->wanted_open = 1;
	return 1;
}

void fp_chunks_want(struct fp_core *core, struct fp_app *app)
{
	struct fp_app_core *ac = core->apps[app->id];

	if (app->region && ac->nfree < FP_RX_CHUNKS_LOW)
		want_more(app, ac);
}

/* All that other cores have put there (H1: pairs with fp_chunks_share). */
static void take_spare(struct fp_core *core, struct fp_app *app)
{
	uint32_t next, list;

	if (tas_load(&app->spare) == 0)
		return;
	list = tas_xchg(&app->spare, 0u);
	for (next = list; next != 0;) {
		uint32_t chunk = next - 1;

		next = app->rx_next[chunk] + 1; /* TAS_CHUNK_NONE + 1 = 0 */
		fp_chunk_put(core, app, chunk);
	}
}

/*
 * Chunks stay where flows leave them, so a core that flows have left may have what another lacks.
 * Few cores, large lots: a flag and one list are enough.
 */
void fp_chunks_share(struct fp_core *core, struct fp_app *app)
{
	struct fp_app_core *ac = core->apps[app->id];

	if (ac->nfree < 2 * FP_RX_CHUNKS_LOW)
		return; /* the flag stays for somebody else */
	tas_store(&app->hungry, 0);
	fp_chunks_give(core, app, ac->nfree / 2);
}

void fp_chunks_give(struct fp_core *core, struct fp_app *app, uint32_t n)
{
	struct fp_app_core *ac = core->apps[app->id];
	uint32_t first = ac->free_chunk, last = first, head = tas_load(&app->spare);

	if (n > FP_RX_CHUNKS_LOT)
		n = FP_RX_CHUNKS_LOT;
	if (n == 0)
		return;
	ac->nfree -= n;
	while (--n > 0)
		last = app->rx_next[last];
	ac->free_chunk = app->rx_next[last];
	do {
		app->rx_next[last] = head - 1;
	} while (!tas_cas(&app->spare, &head, first + 1)); /* H1 */
}

/* This core's free list runs low: other cores' surplus, then the program's offers, then wishes. */
static void look_for_chunks(
	struct fp_core *core, uint32_t id, struct fp_app *app, struct fp_app_core *ac)
{
	take_spare(core, app);
	if (ac->nfree >= FP_RX_CHUNKS_LOW)
		return;
	refill(core, app, ac);
	if (ac->nfree >= FP_RX_CHUNKS_LOW)
		return;
	if (want_more(app, ac))
		fp_news(core, id, 1);
	if (core->fp->ncores > 1 && tas_load(&app->hungry) == 0)
		tas_store(&app->hungry, 1);
}

uint32_t fp_chunk_get(struct fp_core *core, uint32_t id, struct fp_app *app)
{
	struct fp_app_core *ac = core->apps[app->id];
	uint32_t chunk;

	if (app->id == FP_APP_NONE)
		return fp_own_get(core, id);
	if (ac->nfree < FP_RX_CHUNKS_LOW)
		look_for_chunks(core, id, app, ac);
	chunk = ac->free_chunk;
	if (chunk == TAS_CHUNK_NONE)
		return chunk;
	ac->free_chunk = app->rx_next[chunk];
	ac->nfree--;
	ac->in_use++;
	return chunk;
}

void fp_rxlist_init(struct fp_flow *f, struct fp_flow_cold *c)
{
	f->rx_chunk = c->rx_first = c->rx_last = TAS_CHUNK_NONE;
	c->rx_base = c->rx_end = c->rx_cur_base = 0;
}

/* Tells the program where its list starts; rx_head follows with release (C1: pairs with A's acquire
 * of rx_head). */
static void publish_first(struct fp_app *app, const struct fp_flow *f, uint64_t pos, uint32_t chunk)
{
	struct tas_sock *s;

	if (!app->region || f->slot == FP_SLOT_NONE)
		return;
	s = fp_slot_sock(app, f->slot);
	tas_store(&s->rx_first_chunk, chunk);
	tas_store(&s->rx_first_pos, pos);
}

static void link_chunk(struct fp_app *app, uint32_t from, uint32_t to)
{
	app->rx_next[from] = to;
	if (app->region)
		tas_store((uint32_t *)((char *)app->region + app->off_rxnext) + from, to);
}

static void append(struct fp_app *app, struct fp_flow *f, struct fp_flow_cold *c, uint32_t chunk)
{
	app->rx_next[chunk] = TAS_CHUNK_NONE;
	if (c->rx_last == TAS_CHUNK_NONE) {
		uint64_t head = fp_rx_head(f);

		c->rx_first = f->rx_chunk = chunk;
		c->rx_base = c->rx_cur_base = c->rx_end = fp_chunk_base(head);
		publish_first(app, f, head, chunk);
	} else {
		link_chunk(app, c->rx_last, chunk);
	}
	c->rx_last = chunk;
	c->rx_end += TAS_CHUNK_BYTES;
}

/* Chunks up to position `end`. What was had before memory ran out stays in the list: it will be
 * needed. */
static int reserve(struct fp_core *core, uint32_t id, struct fp_app *app, uint64_t end)
{
	struct fp_flow *f = &core->fp->flows[id];
	struct fp_flow_cold *c = &core->fp->cold[id];

	while (c->rx_last == TAS_CHUNK_NONE || c->rx_end < end) {
		uint32_t chunk = fp_chunk_get(core, id, app);

		if (chunk == TAS_CHUNK_NONE)
			return 0;
		append(app, f, c, chunk);
	}
	return 1;
}

/* Moves the cursor to the chunk of `pos`, which the list covers. */
static void seek(const struct fp_app *app, struct fp_flow *f, struct fp_flow_cold *c, uint64_t pos)
{
	if (pos < c->rx_cur_base) {
		f->rx_chunk = c->rx_first;
		c->rx_cur_base = c->rx_base;
	}
	while (c->rx_cur_base + TAS_CHUNK_BYTES <= pos) {
		f->rx_chunk = app->rx_next[f->rx_chunk];
		c->rx_cur_base += TAS_CHUNK_BYTES;
	}
}

/* Copies a piece to `pos`, across chunks. */
static void copy_in(const struct fp_app *app, struct fp_flow *f, struct fp_flow_cold *c,
	uint64_t pos, const uint8_t *p, size_t len)
{
	while (len > 0) {
		uint32_t off = (uint32_t)(pos & TAS_CHUNK_MASK);
		size_t n = TAS_CHUNK_BYTES - off;

		if (n > len)
			n = len;
		seek(app, f, c, pos);
		memcpy(fp_chunk_mem(app, f->rx_chunk) + off, p, n);
		pos += n;
		p += n;
		len -= n;
	}
}

int fp_rxlist_store(struct fp_core *core, uint32_t id, uint64_t pos, const struct fp_pieces *pieces,
	uint32_t skip, uint32_t len)
{
	struct fp_flow *f = &core->fp->flows[id];
	struct fp_flow_cold *c = &core->fp->cold[id];
	struct fp_app *app = &core->fp->apps[f->app];
	uint32_t i;

	if (len == 0)
		return 1;
	if (!reserve(core, id, app, pos + len))
		return 0;
	for (i = 0; i < pieces->count && len > 0; i++) {
		const struct iovec *v = &pieces->iov[i];
		size_t n;

		if (skip >= v->iov_len) {
			skip -= (uint32_t)v->iov_len;
			continue;
		}
		n = v->iov_len - skip;
		if (n > len)
			n = len;
		copy_in(app, f, c, pos, (const uint8_t *)v->iov_base + skip, n);
		pos += n;
		len -= (uint32_t)n;
		skip = 0;
	}
	return 1;
}

static void drop_first(
	struct fp_core *core, struct fp_app *app, struct fp_flow *f, struct fp_flow_cold *c)
{
	uint32_t chunk = c->rx_first;

	c->rx_first = app->rx_next[chunk];
	c->rx_base += TAS_CHUNK_BYTES;
	if (f->rx_chunk == chunk) {
		f->rx_chunk = c->rx_first;
		c->rx_cur_base = c->rx_base;
	}
	fp_chunk_put(core, app, chunk);
	core->apps[app->id]->in_use--;
}

void fp_rxlist_free(struct fp_core *core, uint32_t id)
{
	struct fp_flow *f = &core->fp->flows[id];
	struct fp_flow_cold *c = &core->fp->cold[id];

	fp_chunks_put_list(core, &core->fp->apps[f->app], c->rx_first);
	fp_rxlist_init(f, c);
}

void fp_rxlist_consumed(struct fp_core *core, uint32_t id, uint64_t rx_read)
{
	struct fp_flow *f = &core->fp->flows[id];
	struct fp_flow_cold *c = &core->fp->cold[id];
	struct fp_app *app = &core->fp->apps[f->app];

	if (c->rx_first == TAS_CHUNK_NONE)
		return;
	if (rx_read == fp_rx_head(f) && c->tcp.nooo == 0) {
		fp_rxlist_free(core, id);
		return;
	}
	while (c->rx_first != c->rx_last && c->rx_base + TAS_CHUNK_BYTES < rx_read)
		drop_first(core, app, f, c);
}

/* As many chunks of `app` as the flow's list has, linked; TAS_CHUNK_NONE when there are not enough.
 */
static uint32_t get_list(struct fp_core *core, uint32_t id, struct fp_app *app, uint64_t count)
{
	uint32_t list = TAS_CHUNK_NONE;

	while (count-- > 0) {
		uint32_t chunk = fp_chunk_get(core, id, app);

		if (chunk == TAS_CHUNK_NONE) {
			fp_chunks_put_list(core, app, list);
			return TAS_CHUNK_NONE;
		}
		app->rx_next[chunk] = list;
		list = chunk;
	}
	return list;
}

/* A list of chunks: whose, and where it begins. */
struct list {
	const struct fp_app *app;
	uint32_t chunk;
};

/* Copies stream bytes [pos, end) from one list to another; both begin at `base`. */
static void copy_range(struct list from, struct list to, uint64_t base, uint64_t pos, uint64_t end)
{
	while (pos < end) {
		uint32_t off = (uint32_t)(pos & TAS_CHUNK_MASK);
		uint64_t n = TAS_CHUNK_BYTES - off;

		if (n > end - pos)
			n = end - pos;
		for (; base != fp_chunk_base(pos); base += TAS_CHUNK_BYTES) {
			from.chunk = from.app->rx_next[from.chunk];
			to.chunk = to.app->rx_next[to.chunk];
		}
		memcpy(fp_chunk_mem(to.app, to.chunk) + off,
			fp_chunk_mem(from.app, from.chunk) + off, n);
		pos += n;
	}
}

/* Only what this connection received: the rest of a chunk may be an earlier one's, of another program. */
static void copy_received(
	const struct fp_flow *f, const struct fp_flow_cold *c, struct list from, struct list to)
{
	uint32_t i;

	copy_range(from, to, c->rx_base, f->rx_read, fp_rx_head(f));
	for (i = 0; i < c->tcp.nooo; i++)
		copy_range(from, to, c->rx_base, c->tcp.ooo[i].start, c->tcp.ooo[i].end);
}

/* Shows the program the links of a new list. Returns its last chunk. */
static uint32_t show_links(struct fp_app *app, uint32_t chunk)
{
	uint32_t next;

	for (; (next = app->rx_next[chunk]) != TAS_CHUNK_NONE; chunk = next)
		link_chunk(app, chunk, next);
	return chunk;
}

/* The next reader is told the list's first chunk as that of rx_read: what lies wholly before it goes. */
static void drop_read(
	struct fp_core *core, struct fp_app *app, struct fp_flow *f, struct fp_flow_cold *c)
{
	while (c->rx_first != c->rx_last && c->rx_base + TAS_CHUNK_BYTES <= f->rx_read)
		drop_first(core, app, f, c);
}

int fp_rxlist_move(struct fp_core *core, uint32_t id, struct fp_app *app)
{
	struct fp_flow *f = &core->fp->flows[id];
	struct fp_flow_cold *c = &core->fp->cold[id];
	struct fp_app *old_app = &core->fp->apps[f->app];
	struct list old = {old_app, c->rx_first}, moved = {app, TAS_CHUNK_NONE};

	if (old.chunk == TAS_CHUNK_NONE)
		return 1;
	moved.chunk = get_list(core, id, app, (c->rx_end - c->rx_base) >> TAS_CHUNK_SHIFT);
	if (moved.chunk == TAS_CHUNK_NONE)
		return 0;
	copy_received(f, c, old, moved);
	fp_chunks_put_list(core, old_app, old.chunk);
	c->rx_first = f->rx_chunk = moved.chunk;
	c->rx_cur_base = c->rx_base;
	c->rx_last = show_links(app, moved.chunk);
	drop_read(core, app, f, c);
	return 1;
}
