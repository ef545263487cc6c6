/*
 * stream.c - the send stream of a flow: 64-bit positions -> bytes. The sources today: what an
 * earlier holder wrote, in app 0's chunks (own.c), then program memory: a list of chunks that the
 * program links through txnext.
 *
 * The flow keeps two cursors: the chunk of tx_una (where every walk can start) and the chunk last
 * sent from. When nothing is outstanding the first one names the chunk of the last byte, or none;
 * the program's next bytes either go on from there or start a new list (tx_first_pos,
 * tx_first_chunk). Links and ids come from the program's memory: each is loaded once and checked,
 * and a walk is at most as long as the send buffer. Owner: the flow's core.
 * docs/decisions/0002-chunks.md.
 */
#include "../core.h"

/* The chunk after `chunk` as the program says, or TAS_CHUNK_NONE if that is none of its chunks. */
static uint32_t next_chunk(const struct fp_app *app, uint32_t chunk)
{
	uint32_t next = tas_load((uint32_t *)((char *)app->region + app->off_txnext) + chunk);

	return fp_chunk_ok(app, next) ? next : TAS_CHUNK_NONE;
}

/* Follows `steps` links. */
static uint32_t walk(const struct fp_app *app, uint32_t chunk, uint64_t steps)
{
	while (steps-- > 0 && chunk != TAS_CHUNK_NONE)
		chunk = next_chunk(app, chunk);
	return chunk;
}

int fp_stream_append(
	struct fp *fp, uint32_t id, uint64_t tx_head, uint64_t first_pos, uint32_t first_chunk)
{
	struct fp_flow *f = &fp->flows[id];
	struct fp_flow_cold *c = &fp->cold[id];
	const struct fp_app *app = &fp->apps[f->app];
	uint32_t chunk = f->tx_una_chunk;

	if (tx_head == f->tx_head)
		return 1;
	if (f->tx_una != f->tx_head && !((f->flags & FP_F_TX_OWN) && chunk == TAS_CHUNK_NONE))
		return 1; /* the list goes on through txnext */
	if (first_pos == f->tx_head)
		chunk = first_chunk;
	else if (chunk != TAS_CHUNK_NONE && c->tx_una_base != fp_chunk_base(f->tx_head))
		chunk = next_chunk(app, chunk);
	if (!fp_chunk_ok(app, chunk))
		return 0;
	f->tx_una_chunk = f->tx_nxt_chunk = chunk;
	c->tx_una_base = c->tx_nxt_base = fp_chunk_base(f->tx_head);
	return 1;
}

int fp_stream_acked(struct fp_core *core, uint32_t id)
{
	struct fp_flow *f = &core->fp->flows[id];
	struct fp_flow_cold *c = &core->fp->cold[id];
	const struct fp_app *app = &core->fp->apps[f->app];
	uint64_t una = fp_tx_una(f), base, steps;

	if ((f->flags & FP_F_TX_OWN) && una >= c->tx_own_end)
		fp_stream_free(core, id);
	if (f->tx_una_chunk == TAS_CHUNK_NONE || una == 0)
		return 1;
	base = fp_chunk_base(una < f->tx_head ? una : una - 1);
	if (base <= c->tx_una_base)
		return 1;
	/* The chunk last sent from is usually ahead of tx_una, in the same list: start there if it
	 * is not too far. */
	if (c->tx_nxt_base > c->tx_una_base && c->tx_nxt_base <= base) {
		f->tx_una_chunk = f->tx_nxt_chunk;
		c->tx_una_base = c->tx_nxt_base;
	}
	steps = (base - c->tx_una_base) >> TAS_CHUNK_SHIFT;
	f->tx_una_chunk = walk(app, f->tx_una_chunk, steps);
	c->tx_una_base = base;
	if (c->tx_nxt_base < base) {
		f->tx_nxt_chunk = f->tx_una_chunk;
		c->tx_nxt_base = base;
	}
	return f->tx_una_chunk != TAS_CHUNK_NONE;
}

/* Moves the send cursor to the chunk of `pos`. */
static int seek(const struct fp_app *app, struct fp_flow *f, struct fp_flow_cold *c, uint64_t pos)
{
	uint64_t base = fp_chunk_base(pos);

	if (base < c->tx_nxt_base) {
		f->tx_nxt_chunk = f->tx_una_chunk;
		c->tx_nxt_base = c->tx_una_base;
	}
	if (base > c->tx_nxt_base) {
		f->tx_nxt_chunk =
			walk(app, f->tx_nxt_chunk, (base - c->tx_nxt_base) >> TAS_CHUNK_SHIFT);
		c->tx_nxt_base = base;
	}
	return f->tx_nxt_chunk != TAS_CHUNK_NONE;
}

uint32_t fp_stream_iov(
	struct fp *fp, uint32_t id, uint64_t pos, uint32_t len, struct iovec *iov, uint32_t max)
{
	struct fp_flow *f = &fp->flows[id];
	struct fp_flow_cold *c = &fp->cold[id];
	const struct fp_app *app = &fp->apps[f->app];
	uint32_t n = 0, own;

	if (f->flags & FP_F_TX_OWN) {
		own = fp_stream_own(fp, id, pos, len, iov, max, &n);
		pos += own;
		len -= own;
	}
	if (len == 0)
		return n;
	if (f->tx_una_chunk == TAS_CHUNK_NONE || fp_chunk_base(pos) < c->tx_una_base)
		return 0;
	while (len > 0) {
		uint32_t off = (uint32_t)(pos & TAS_CHUNK_MASK), piece = TAS_CHUNK_BYTES - off;

		if (piece > len)
			piece = len;
		if (n == max || !seek(app, f, c, pos))
			return 0;
		iov[n++] = (struct iovec){
			.iov_base = fp_chunk_mem(app, f->tx_nxt_chunk) + off, .iov_len = piece};
		pos += piece;
		len -= piece;
	}
	return n;
}
