/*
 * sent.c - the sent map: pool, list, splitting, the marks and their sums.
 *
 * Contiguous transmissions merge into one node while they are at most max(SRTT / 16, 50 us) apart,
 * so a bulk flow holds some tens of nodes. The pool is shared by the flows of a core: when little
 * is left, no new data is sent (tcp_sent_room); the rest serves splits. A split that fails only
 * loses information: the part is treated as not SACKed, or is retransmitted without a mark.
 *
 * How many nodes a flow has is in its peer's hands (SACKs of odd ranges, ACKs that do not come):
 * beyond a limit transmissions merge however far apart they are, and SACKs no longer split.
 *
 * Owner: the flow's core. RFC 2018, 6675.
 */
#include <string.h>
#include "priv.h"

#define POOL_RESERVE_SHIFT 4 /* a 16th of the pool is for splits */
#define MERGE_US	   50u
#define NODE_MAX	   0x8000000u /* keeps len far from 32 bits */
#define FLOW_NODES_FREE	   64u	      /* nodes any flow may have by splits, whatever its window */
#define FLOW_NODES_MAX	   1024u      /* an ACK may walk over all of them: some microseconds */
#define FLOW_NODES_FEW	   4u /* ... while half of the pool is used: its size per flow (create.c) */

uint64_t tcp_sent_bytes(uint32_t count)
{
	return ((uint64_t)count + 1) * sizeof(struct tcp_sent);
}

void tcp_env_init(struct tcp_env *env, void *mem, uint32_t count)
{
	tcp_env_init_part(env, mem, 1, count);
}

void tcp_env_init_part(struct tcp_env *env, void *mem, uint32_t first, uint32_t count)
{
	env->sent = mem;
	env->nsent = count;
	env->sent_free = 0;
	env->sent_fresh = first;
	env->sent_fresh_end = first + count;
	env->sent_used = 0;
}

int tcp_sent_room(const struct tcp_env *env)
{
	return env->nsent - env->sent_used > env->nsent >> POOL_RESERVE_SHIFT;
}

/* Recycled nodes first, so that a large pool is touched only as far as it is needed. */
static uint32_t node_alloc(struct tcp_env *env)
{
	uint32_t i = env->sent_free;

	if (i != 0) {
		env->sent_free = sent_at(env, i)->next;
	} else {
		if (env->sent_fresh == env->sent_fresh_end)
			return 0;
		i = env->sent_fresh++;
	}
	env->sent_used++;
	return i;
}

static void node_free(struct tcp_env *env, uint32_t i)
{
	sent_at(env, i)->next = env->sent_free;
	env->sent_free = i;
	env->sent_used--;
}

static void list_insert_after(struct tcp_cold *c, struct tcp_env *env, uint32_t prev, uint32_t i)
{
	struct tcp_sent *n = sent_at(env, i);

	n->prev = prev;
	n->next = prev != 0 ? sent_at(env, prev)->next : c->sent_head;
	if (prev != 0)
		sent_at(env, prev)->next = i;
	else
		c->sent_head = i;
	if (n->next != 0)
		sent_at(env, n->next)->prev = i;
	else
		c->sent_tail = i;
	c->nsent++;
}

static void list_remove(struct tcp_cold *c, struct tcp_env *env, uint32_t i)
{
	struct tcp_sent *n = sent_at(env, i);

	if (n->prev != 0)
		sent_at(env, n->prev)->next = n->next;
	else
		c->sent_head = n->next;
	if (n->next != 0)
		sent_at(env, n->next)->prev = n->prev;
	else
		c->sent_tail = n->prev;
	c->nsent--;
	node_free(env, i);
}

/* Which of the three sums a node with these flags counts in. */
static uint32_t *sum_of(struct fp_flow *f, struct tcp_cold *c, uint8_t flags)
{
	if (flags & SENT_SACKED)
		return &c->sacked_bytes;
	return flags & SENT_LOST ? &c->lost_bytes : &f->inflight;
}

static void set_flags(struct fp_flow *f, struct tcp_cold *c, struct tcp_sent *n, uint8_t flags)
{
	*sum_of(f, c, n->flags) -= n->len;
	n->flags = flags;
	*sum_of(f, c, flags) += n->len;
}

static int crowded(const struct tcp_cold *c, const struct tcp_env *env)
{
	return c->nsent >= (env->sent_used < env->nsent / 2 ? FLOW_NODES_MAX : FLOW_NODES_FEW);
}

static uint32_t merge_span_us(
	const struct fp_flow *f, const struct tcp_cold *c, const struct tcp_env *env)
{
	return crowded(c, env) ? UINT32_MAX : max_u32(f->srtt_us >> 7, MERGE_US);
}

/* SACKed nodes need no times any more; others merge when sent together, as often. */
static int may_merge(const struct tcp_sent *a, const struct tcp_sent *b, uint32_t span_us)
{
	if (sent_end(a) != b->start || a->flags != b->flags || a->len > NODE_MAX - b->len)
		return 0;
	if (a->flags & SENT_SACKED)
		return 1;
	return a->retx == b->retx && !us_before(b->xmit_us, a->first_us) &&
	       b->xmit_us - a->first_us <= span_us;
}

/* Merges node i with its successor when they are alike. */
static void try_merge(const struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env, uint32_t i)
{
	struct tcp_sent *a, *b;

	if (i == 0 || sent_at(env, i)->next == 0)
		return;
	a = sent_at(env, i);
	b = sent_at(env, a->next);
	if (!may_merge(a, b, merge_span_us(f, c, env)))
		return;
	a->len += b->len;
	a->xmit_us = b->xmit_us;
	a->cut = b->cut;
	list_remove(c, env, a->next);
}

/* What segments of any honest size and fate can need. */
static int split_allowed(
	const struct fp_flow *f, const struct tcp_cold *c, const struct tcp_env *env)
{
	if (crowded(c, env))
		return 0;
	return c->nsent < FLOW_NODES_FREE ||
	       (uint64_t)(c->nsent - FLOW_NODES_FREE) * f->mss < 2 * (f->tx_nxt - f->tx_una);
}

int tcp_sent_split(struct tcp_cold *c, struct tcp_env *env, uint32_t i, uint64_t at)
{
	struct tcp_sent *n = sent_at(env, i), *m;
	uint32_t j = node_alloc(env);

	if (j == 0)
		return 0;
	m = sent_at(env, j);
	*m = *n;
	m->start = at;
	m->len = (uint32_t)(sent_end(n) - at);
	n->len = (uint32_t)(at - n->start);
	n->cut = n->first_us != n->xmit_us;
	list_insert_after(c, env, i, j);
	return 1;
}

static void note_sending(
	const struct fp_flow *f, struct tcp_cold *c, const struct tcp_env *env, struct tcp_sent *n)
{
	if (tx_pipe(f, c) == 0) {
		c->delivered_us = env->now_us;
		c->first_tx_us = env->now_us;
	}
	n->first_us = env->now_us;
	n->xmit_us = env->now_us;
	n->cut = 0;
	n->delivered = c->delivered;
	n->delivered_us = c->delivered_us;
	n->sent0_us = c->first_tx_us;
}

/* Extends the last node when the new data was sent right behind it: the usual case of a bulk flow.
 */
static int append_to_tail(
	struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env, uint64_t start, uint32_t len)
{
	struct tcp_sent *n;

	if (c->sent_tail == 0)
		return 0;
	n = sent_at(env, c->sent_tail);
	if (n->flags != 0 || n->retx != 0 || sent_end(n) != start || n->len > NODE_MAX - len ||
		env->now_us - n->first_us > merge_span_us(f, c, env))
		return 0;
	n->len += len;
	n->xmit_us = env->now_us;
	f->inflight += len;
	return 1;
}

void tcp_sent_append(
	struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env, uint64_t start, uint32_t len)
{
	struct tcp_sent *n;
	uint32_t i;

	if (append_to_tail(f, c, env, start, len))
		return;
	i = node_alloc(env);
	/* tcp_tx_next sends nothing new below the reserve, so there is a node. */
	if (i == 0)
		return;
	n = sent_at(env, i);
	memset(n, 0, sizeof(*n));
	n->start = start;
	n->len = len;
	note_sending(f, c, env, n);
	list_insert_after(c, env, c->sent_tail, i);
	f->inflight += len;
}

/* The node that holds `pos`, 0 = none. */
static uint32_t find(const struct tcp_cold *c, const struct tcp_env *env, uint64_t pos)
{
	uint32_t i = c->sent_head;

	while (i != 0 && sent_end(sent_at(env, i)) <= pos)
		i = sent_at(env, i)->next;
	return i != 0 && sent_at(env, i)->start <= pos ? i : 0;
}

void tcp_sent_again(
	struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env, uint64_t start, uint32_t len)
{
	uint32_t i = find(c, env, start);
	struct tcp_sent *n;

	if (i == 0)
		return;
	n = sent_at(env, i);
	if (n->start < start) {
		if (!tcp_sent_split(c, env, i, start))
			return;
		i = n->next;
		n = sent_at(env, i);
	}
	if (n->len > len && !tcp_sent_split(c, env, i, start + len)) {
		c->blind_pos = start;
		n->retx |= 1; /* its ACK is no round-trip sample (Karn) */
		n->xmit_us = env->now_us;
		return;
	}
	note_sending(f, c, env, n);
	if (n->retx < UINT8_MAX)
		n->retx++;
	set_flags(f, c, n, n->flags & (uint8_t)~SENT_LOST);
	try_merge(f, c, env, n->prev);
}

uint32_t tcp_sent_first_lost(const struct tcp_cold *c, const struct tcp_env *env)
{
	uint32_t i = c->lost_bytes != 0 ? c->sent_head : 0;

	while (i != 0 && !(sent_at(env, i)->flags & SENT_LOST))
		i = sent_at(env, i)->next;
	return i;
}

/* The peer has the first `len` bytes of node n; what of a merged node left when is known for its
 * end only. */
static void deliver(struct fp_flow *f, struct tcp_cold *c, const struct tcp_env *env,
	const struct tcp_sent *n, uint32_t len, struct tcp_delivery *d)
{
	int exact = len == n->len && !n->cut;
	uint32_t sent_us = exact ? n->xmit_us : n->first_us;

	d->bytes += len;
	if (n->retx == 0) {
		d->orig |= n->start < c->recover;
		/* What was given up long ago may have arrived long ago, and the report been lost.
		 */
		if (exact && !(n->flags & SENT_LOST))
			d->rtt_us = max_u32(env->now_us - sent_us, 1);
	}
	if (!d->any || n->delivered >= d->prior) {
		d->any = 1;
		d->prior = n->delivered;
		d->prior_us = n->delivered_us;
		d->send_us = sent_us - n->sent0_us;
		c->first_tx_us = sent_us;
	}
	tcp_rack_delivered(f, c, env, n, sent_us, n->start + len, d);
}

void tcp_sent_ack(struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env, uint64_t ack,
	struct tcp_delivery *d)
{
	while (c->sent_head != 0) {
		struct tcp_sent *n = sent_at(env, c->sent_head);
		uint32_t part;

		if (n->start >= ack)
			break;
		if (n->retx != 0 && !d->again) {
			d->again = 1;
			d->again_us = n->xmit_us;
		}
		part = (uint32_t)min_u64(n->len, ack - n->start);
		if (!(n->flags & SENT_SACKED))
			deliver(f, c, env, n, part, d);
		*sum_of(f, c, n->flags) -= part;
		if (part == n->len) {
			list_remove(c, env, c->sent_head);
			continue;
		}
		n->start += part;
		n->len -= part;
	}
	/* Behind a hole that was filled, data waited in the receiver: that is no round trip. */
	if (d->again)
		d->rtt_us = 0;
}

/* What cannot be marked now may be marked long after it arrived: that will be no round trip. */
static int cut(
	const struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env, uint32_t i, uint64_t at)
{
	if (split_allowed(f, c, env) && tcp_sent_split(c, env, i, at))
		return 1;
	sent_at(env, i)->retx |= 1;
	return 0;
}

/*
 * Cuts node i to its part inside [start, end). Returns the node to mark, 0 when that would take a
 * node there is not: then nothing of it is marked.
 */
static uint32_t cut_out(const struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env,
	uint32_t i, uint64_t start, uint64_t end)
{
	struct tcp_sent *n = sent_at(env, i);

	if (n->start < start) {
		if (!cut(f, c, env, i, start))
			return 0;
		i = n->next;
		n = sent_at(env, i);
	}
	return sent_end(n) <= end || cut(f, c, env, i, end) ? i : 0;
}

void tcp_sent_sack(struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env, uint64_t start,
	uint64_t end, struct tcp_delivery *d)
{
	uint32_t i = c->sent_head, next;

	while (i != 0 && sent_end(sent_at(env, i)) <= start)
		i = sent_at(env, i)->next;
	for (; i != 0 && sent_at(env, i)->start < end; i = next) {
		struct tcp_sent *n = sent_at(env, i);
		uint32_t m;

		next = n->next;
		if (n->flags & SENT_SACKED)
			continue;
		m = cut_out(f, c, env, i, start, end);
		if (m == 0)
			continue;
		n = sent_at(env, m);
		deliver(f, c, env, n, n->len, d);
		set_flags(f, c, n, SENT_SACKED);
		try_merge(f, c, env, m);
		next = n->next;
		try_merge(f, c, env, n->prev);
	}
}

void tcp_sent_lose(struct fp_flow *f, struct tcp_cold *c, struct tcp_sent *n)
{
	set_flags(f, c, n, SENT_LOST);
	c->fb.lost += n->len;
}

void tcp_sent_lose_head(struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env, uint32_t bytes)
{
	struct tcp_sent *n;

	if (c->sent_head == 0)
		return;
	n = sent_at(env, c->sent_head);
	if (n->flags != 0)
		return;
	if (n->len > bytes)
		tcp_sent_split(c, env, c->sent_head, n->start + bytes);
	tcp_sent_lose(f, c, n);
}

void tcp_sent_lose_all(struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env, int forget)
{
	uint32_t i, prev = 0;

	for (i = c->sent_head; i != 0; i = sent_at(env, i)->next) {
		struct tcp_sent *n = sent_at(env, i);

		if ((n->flags & SENT_SACKED) && forget)
			set_flags(f, c, n, 0);
		if (n->flags == 0)
			tcp_sent_lose(f, c, n);
		/* Merging frees node i: go on from the one that took it in. */
		try_merge(f, c, env, prev);
		if (prev != 0 && sent_at(env, prev)->next != i)
			i = prev;
		prev = i;
	}
}

void tcp_sent_unlose(struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env)
{
	uint32_t i;

	for (i = c->sent_head; i != 0; i = sent_at(env, i)->next) {
		struct tcp_sent *n = sent_at(env, i);

		if (n->flags & SENT_LOST)
			set_flags(f, c, n, 0);
	}
}

void tcp_sent_clear(struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env)
{
	while (c->sent_head != 0)
		list_remove(c, env, c->sent_head);
	f->inflight = 0;
	c->sacked_bytes = 0;
	c->lost_bytes = 0;
}
