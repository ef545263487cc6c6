/*
 * own.c - the source of a send stream that the daemon keeps itself: what an earlier holder of the
 * connection had written and the peer has not acknowledged, in app 0's chunks.
 *
 * It covers [tx_own_base, tx_own_end), a list through app 0's rx_next, and goes back as a whole when
 * all of it is acknowledged. Owner: the flow's core.
 * docs/decisions/0009-connections-held-by-several-processes.md.
 */
#include "../core.h"

void fp_stream_free(struct fp_core *core, uint32_t id)
{
	struct fp_flow *f = &core->fp->flows[id];

	if (!(f->flags & FP_F_TX_OWN))
		return;
	f->flags &= ~FP_F_TX_OWN;
	fp_chunks_put_list(core, &core->fp->apps[FP_APP_NONE], core->fp->cold[id].tx_own_first);
}

uint32_t fp_stream_own(struct fp *fp, uint32_t id, uint64_t pos, uint32_t len, struct iovec *iov,
	uint32_t max, uint32_t *n)
{
	const struct fp_flow_cold *c = &fp->cold[id];
	const struct fp_app *own = &fp->apps[FP_APP_NONE];
	uint64_t base = c->tx_own_base, start = pos;
	uint32_t chunk = c->tx_own_first;

	for (; base < fp_chunk_base(pos) && base < c->tx_own_end; base += TAS_CHUNK_BYTES)
		chunk = own->rx_next[chunk];
	while (len > 0 && pos < c->tx_own_end && *n < max) {
		uint32_t off = (uint32_t)(pos & TAS_CHUNK_MASK), piece = TAS_CHUNK_BYTES - off;

		if (piece > len)
			piece = len;
		if (piece > c->tx_own_end - pos)
			piece = (uint32_t)(c->tx_own_end - pos);
		iov[(*n)++] = (struct iovec){
			.iov_base = fp_chunk_mem(own, chunk) + off, .iov_len = piece};
		pos += piece;
		len -= piece;
		chunk = own->rx_next[chunk];
	}
	return (uint32_t)(pos - start);
}

/* Copies stream bytes [pos, pos + len), which lie in one chunk, to `to`. */
static int copy_out(struct fp *fp, uint32_t id, uint64_t pos, uint32_t len, uint8_t *to)
{
	struct iovec v[3]; /* own, then the program's, whose list may begin within this chunk */
	uint32_t i, n = fp_stream_iov(fp, id, pos, len, v, 3);

	for (i = 0; i < n; i++) {
		memcpy(to, v[i].iov_base, v[i].iov_len);
		to += v[i].iov_len;
	}
	return n != 0;
}

/* A list with a copy of [pos, end); TAS_CHUNK_NONE when memory is short or the program's list is broken: *why. */
static uint32_t copy_list(
	struct fp_core *core, uint32_t id, uint64_t pos, uint64_t end, uint64_t **why)
{
	struct fp_app *own = &core->fp->apps[FP_APP_NONE];
	uint32_t first = TAS_CHUNK_NONE, last = TAS_CHUNK_NONE;

	*why = &core->cnt.drop_parked;
	while (pos < end) {
		uint32_t off = (uint32_t)(pos & TAS_CHUNK_MASK), len = TAS_CHUNK_BYTES - off;
		uint32_t chunk = fp_chunk_get(core, id, own);

		if (len > end - pos)
			len = (uint32_t)(end - pos);
		if (chunk == TAS_CHUNK_NONE)
			break;
		own->rx_next[chunk] = TAS_CHUNK_NONE;
		if (first == TAS_CHUNK_NONE)
			first = chunk;
		else
			own->rx_next[last] = chunk;
		last = chunk;
		if (!copy_out(core->fp, id, pos, len, fp_chunk_mem(own, chunk) + off)) {
			*why = &core->cnt.refuse_chunk;
			break;
		}
		pos += len;
	}
	if (pos == end)
		return first;
	fp_chunks_put_list(core, own, first);
	return TAS_CHUNK_NONE;
}

uint64_t *fp_stream_park(struct fp_core *core, uint32_t id)
{
	struct fp_flow *f = &core->fp->flows[id];
	struct fp_flow_cold *c = &core->fp->cold[id];
	uint64_t una = fp_tx_una(f), *why;
	uint32_t list = TAS_CHUNK_NONE;

	if (una != f->tx_head) {
		list = copy_list(core, id, una, f->tx_head, &why);
		if (list == TAS_CHUNK_NONE)
			return why;
	}
	fp_stream_free(core, id);
	if (list != TAS_CHUNK_NONE) {
		f->flags |= FP_F_TX_OWN;
		c->tx_own_first = list;
		c->tx_own_base = fp_chunk_base(una);
		c->tx_own_end = f->tx_head;
	}
	f->tx_una_chunk = f->tx_nxt_chunk = TAS_CHUNK_NONE;
	c->tx_una_base = c->tx_nxt_base = fp_chunk_base(f->tx_head);
	return NULL;
}
