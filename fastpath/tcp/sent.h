/*
 * sent.h - the sent map: what is outstanding, by stream position, as a list of nodes from the
 * core's pool.
 *
 * A node stands for one or several contiguous transmissions of the same fate. fp_flow.inflight is
 * the sum over nodes neither SACKed nor lost; tcp_cold.sacked_bytes and lost_bytes are the other
 * two sums. All changes of a node's state go through the functions here, so that the sums hold.
 * Private to fastpath/tcp.
 *
 * Owner: the flow's core. RFC 2018, 6675 section 4.
 */
#ifndef FP_TCP_SENT_H
#define FP_TCP_SENT_H

#include "tcp.h"

#define SENT_SACKED 0x1u
#define SENT_LOST   0x2u /* deemed lost and not retransmitted since */

struct tcp_sent {
	uint64_t start;
	uint64_t delivered; /* tcp_cold.delivered when it was sent */
	uint32_t len;	    /* sequence space: a FIN counts 1 */
	uint32_t next, prev;
	uint32_t first_us, xmit_us;	 /* first and last transmission that this node stands for */
	uint32_t delivered_us, sent0_us; /* delivery rate: times at sending */
	uint8_t flags;
	uint8_t retx; /* times retransmitted, saturating; not 0: no round-trip sample */
	uint8_t cut;  /* front part of a cut: when its end was sent is only known to be first..xmit
		       */
	uint8_t pad;
};

_Static_assert(sizeof(struct tcp_sent) == 48, "pool node");

/* What one ACK delivered. */
struct tcp_delivery {
	uint64_t bytes; /* newly acknowledged or SACKed */
	uint64_t cum;	/* how far SND.UNA moved */
	uint64_t prior; /* delivered count at sending of the newest segment reported */
	uint32_t prior_us, send_us;
	uint32_t rtt_us;   /* of the newest segment never retransmitted, 0 = none */
	uint64_t fack;	   /* highest position delivered */
	uint8_t any;	   /* a rate sample exists */
	uint8_t orig;	   /* data sent before `recover` and never retransmitted was delivered */
	uint8_t again;	   /* SND.UNA passed retransmitted data, last sent at again_us */
	uint8_t ambiguous; /* ... and which copy was acknowledged is unknown */
	uint32_t again_us;
	uint8_t dsack;	    /* the peer reports a duplicate */
	uint64_t dsack_end; /* where it ended */
};

static inline struct tcp_sent *sent_at(const struct tcp_env *env, uint32_t i)
{
	return &env->sent[i];
}

static inline uint64_t sent_end(const struct tcp_sent *n)
{
	return n->start + n->len;
}

/* True while new data may take a node: a part of the pool is kept for splitting. */
int tcp_sent_room(const struct tcp_env *env);
/* New data [start, start + len) was sent. */
void tcp_sent_append(
	struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env, uint64_t start, uint32_t len);
/* Part [start, start + len) was sent again. */
void tcp_sent_again(
	struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env, uint64_t start, uint32_t len);
/* Cuts node i at `at` (inside it). 0 when the pool is empty. */
int tcp_sent_split(struct tcp_cold *c, struct tcp_env *env, uint32_t i, uint64_t at);
/* First node marked lost, 0 = none. */
uint32_t tcp_sent_first_lost(const struct tcp_cold *c, const struct tcp_env *env);

/* Removes everything below `ack`; marks [start, end) SACKed. Both add to *d. */
void tcp_sent_ack(struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env, uint64_t ack,
	struct tcp_delivery *d);
void tcp_sent_sack(struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env, uint64_t start,
	uint64_t end, struct tcp_delivery *d);

/* Marks one node lost (it must be neither SACKed nor lost). */
void tcp_sent_lose(struct fp_flow *f, struct tcp_cold *c, struct tcp_sent *n);
/* Marks the first `bytes` of the oldest node lost, unless they are. */
void tcp_sent_lose_head(struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env, uint32_t bytes);
/* Marks all that is not SACKed lost; with `forget`, SACKed nodes too. */
void tcp_sent_lose_all(struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env, int forget);
/* Takes the lost marks back. */
void tcp_sent_unlose(struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env);
/* Frees every node. */
void tcp_sent_clear(struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env);

/* rack.c: node n was delivered up to position `end`; it left no earlier than sent_us. */
void tcp_rack_delivered(struct fp_flow *f, struct tcp_cold *c, const struct tcp_env *env,
	const struct tcp_sent *n, uint32_t sent_us, uint64_t end, struct tcp_delivery *d);

#endif
