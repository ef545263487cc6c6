/*
 * chunk.c - payload memory: chunk segments from the daemon, free send chunks, receive chunks
 * offered to it.
 *
 * A chunk that was offered is the daemon's from then on: it comes back to its free list, not to
 * ours. Pages are touched before they are offered, so that this process's cgroup pays for them
 * (MADV_POPULATE_WRITE, Linux 5.14). Owner: any thread; segments are added under the command lock.
 * docs/decisions/0002-chunks.md.
 */
#include <sys/mman.h>
#include "lt.h"

static void *map_segment(int fd)
{
	void *p = mmap(NULL, TAS_SEG_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return NULL;
	madvise(p, TAS_SEG_BYTES, MADV_DONTFORK);
	return p;
}

/* Asks for one more segment; its chunks join the send chunks. 0 or -errno. */
static int add_segment(struct lt_ctx *c)
{
	struct tas_msg m = {.type = TAS_CMD_SEGMENT};
	uint32_t nfds = 1, seg, i;
	int fd, r;

	if (tas_load(&c->nsegs) >= c->nsegs_max)
		return -ENOBUFS;
	r = lt_command(&m, -1, &fd, &nfds);
	if (r < 0 || nfds < 1)
		return r < 0 ? r : -EPROTO;
	seg = m.id;
	if (seg == c->nsegs) /* numbered in order */
		c->seg[seg] = map_segment(fd);
	lt_sys_close(fd);
	lt_client_spare();
	if (seg != c->nsegs || c->seg[seg] == NULL)
		return -ENOBUFS;
	tas_store_rel(&c->nsegs, seg + 1);
	for (i = TAS_SEG_CHUNKS; i-- > 0;)
		lt_pool_put(&c->chunks, seg * TAS_SEG_CHUNKS + i);
	return 0;
}

/*
 * Idle connections keep the chunk of their last bytes, closed ones all that they had not taken back,
 * until memory is short: now it is.
 */
static void reclaim(struct lt_ctx *c)
{
	uint32_t i, n = tas_load(&c->slots.fresh);

	lt_slot_reap(c);
	for (i = 0; i < n; i++) {
		uint32_t v = tas_load_acq(&c->slot_desc[i]);
		struct lt_desc *d = v != 0 ? &lt_descs[v - 1] : NULL;

		if (d == NULL || tas_load(&d->kind) != LT_CONN || d->slot != i)
			continue;
		lt_tx_release(c, &c->socks[i], d->gen);
		lt_late(d);
	}
}

static uint32_t get_from_new_segment(struct lt_ctx *c)
{
	uint64_t mask;
	uint32_t chunk;

	lt_lock_masked(&c->seg_lock, &mask);
	chunk = lt_pool_get(&c->chunks); /* another thread may have been here first */
	if (chunk == LT_NONE && add_segment(c) == 0)
		chunk = lt_pool_get(&c->chunks);
	lt_unlock_masked(&c->seg_lock, &mask);
	return chunk;
}

uint32_t lt_chunk_get(struct lt_ctx *c)
{
	uint32_t chunk = lt_pool_get(&c->chunks);

	if (lt_likely(chunk != LT_NONE))
		return chunk;
	/* Half of a process's memory is used without looking for what lies idle. */
	if (tas_load(&c->nsegs) < c->nsegs_max / 2)
		chunk = get_from_new_segment(c);
	if (chunk == LT_NONE) {
		reclaim(c);
		chunk = lt_pool_get(&c->chunks);
	}
	if (chunk == LT_NONE)
		chunk = get_from_new_segment(c);
	if (chunk != LT_NONE)
		return chunk;
	lt_explain(TAS_X_no_memory);
	return TAS_CHUNK_NONE;
}

static bool offer_one(struct lt_ctx *c)
{
	uint32_t chunk = lt_chunk_get(c);
	uint8_t *p;
	volatile uint8_t *touch;
	uint32_t i;

	if (chunk == TAS_CHUNK_NONE)
		return false;
	p = lt_chunk_addr(c, chunk);
	if (tas_load(&lt_sealed) || madvise(p, TAS_CHUNK_BYTES, MADV_POPULATE_WRITE) != 0)
		for (touch = p, i = 0; i < TAS_CHUNK_BYTES; i += 4096)
			touch[i] = 0;
	tas_fetch_or(&c->offer[chunk / 64], 1ull << (chunk % 64));
	return true;
}

/*
 * The cumulative count is published first: it bounds what the daemon asks for next. -EDEADLK from
 * the lock: a handler came in above an offer that is being made.
 */
void lt_rx_offer_slow(struct lt_ctx *c)
{
	int saved = errno;
	uint32_t have, want;

	if (tas_load(&c->dead) || lt_lock(&c->rx_lock) != 0)
		return;
	have = tas_load(&c->region->rx_offered);
	want = tas_load(&c->region->rx_wanted);
	if (want > have && want < 2 * have) /* it was short: so that it is not at the next burst */
		want = 2 * have;
	want = want < LT_RX_FIRST ? LT_RX_FIRST : want;
	want = want > have + LT_RX_STEP_MAX ? have + LT_RX_STEP_MAX : want;
	for (; have < want && offer_one(c); have++)
		tas_store_rel(&c->region->rx_offered, have + 1);
	lt_unlock(&c->rx_lock);
	errno = saved;
}
