/*
 * ooo.c - out-of-order intervals and the SACK blocks made of them.
 *
 * The array is in the order of last change, which is the order RFC 2018 section 4 wants blocks in.
 * Intervals neither overlap nor touch each other nor RCV.NXT.
 *
 * Owner: the flow's core. RFC 2018, 2883 (D-SACK).
 */
#include <string.h>
#include "priv.h"

static void remove_at(struct tcp_cold *c, uint32_t i)
{
	c->nooo--;
	memmove(&c->ooo[i], &c->ooo[i + 1], (c->nooo - i) * sizeof(c->ooo[0]));
}

static int touches(const struct tcp_interval *v, uint64_t start, uint64_t end)
{
	return start <= v->end && v->start <= end;
}

/* Whether [start, end) can be kept: there is room, or it joins an interval. */
int tcp_ooo_fits(const struct tcp_cold *c, uint64_t start, uint64_t end)
{
	uint32_t i;

	if (c->nooo < TCP_OOO_MAX)
		return 1;
	for (i = 0; i < c->nooo; i++)
		if (touches(&c->ooo[i], start, end))
			return 1;
	return 0;
}

/* Takes what is already had off both ends of [*start, *end), which may become empty. */
void tcp_ooo_trim(struct tcp_cold *c, uint64_t *start, uint64_t *end)
{
	uint32_t i;

	for (i = 0; i < c->nooo; i++) {
		const struct tcp_interval *v = &c->ooo[i];

		if (*start >= v->start && *start < v->end)
			*start = min_u64(v->end, *end);
		if (*end > v->start && *end <= v->end)
			*end = max_u64(v->start, *start);
	}
}

/* Adds [start, end), joined with all it touches, as the most recent. 0 when there is no room. */
int tcp_ooo_insert(struct tcp_cold *c, uint64_t start, uint64_t end)
{
	uint32_t i = 0;

	if (!tcp_ooo_fits(c, start, end))
		return 0;
	while (i < c->nooo) {
		if (!touches(&c->ooo[i], start, end)) {
			i++;
			continue;
		}
		/* Growing it may make it touch one that was passed: begin again. */
		start = min_u64(start, c->ooo[i].start);
		end = max_u64(end, c->ooo[i].end);
		remove_at(c, i);
		i = 0;
	}
	memmove(&c->ooo[1], &c->ooo[0], c->nooo * sizeof(c->ooo[0]));
	c->ooo[0] = (struct tcp_interval){start, end};
	c->nooo++;
	return 1;
}

/* RCV.NXT has come to `nxt`: takes in what follows it. Returns the new RCV.NXT. */
uint64_t tcp_ooo_absorb(struct tcp_cold *c, uint64_t nxt)
{
	uint32_t i = 0;

	while (i < c->nooo) {
		if (c->ooo[i].start > nxt) {
			i++;
			continue;
		}
		nxt = max_u64(nxt, c->ooo[i].end);
		remove_at(c, i);
		i = 0;
	}
	return nxt;
}

/* End of the highest byte kept, 0 = none. */
uint64_t tcp_ooo_highest(const struct tcp_cold *c)
{
	uint64_t end = 0;
	uint32_t i;

	for (i = 0; i < c->nooo; i++)
		end = max_u64(end, c->ooo[i].end);
	return end;
}

/*
 * Fills up to `max` blocks: a duplicate first (RFC 2883), then the interval that holds it, then by
 * recency. A duplicate is reported once.
 */
uint8_t tcp_ooo_blocks(
	const struct fp_flow *f, struct tcp_cold *c, struct seg_sack *out, uint32_t max)
{
	uint32_t n = 0, i;

	if (max != 0 && c->dsack.end != 0) {
		out[n].left = rx_seq(f, c->dsack.start);
		out[n++].right = rx_seq(f, c->dsack.end);
		c->dsack = (struct tcp_interval){0, 0};
	}
	for (i = 0; i < c->nooo && n < max; i++) {
		out[n].left = rx_seq(f, c->ooo[i].start);
		out[n++].right = rx_seq(f, c->ooo[i].end);
	}
	return (uint8_t)n;
}
