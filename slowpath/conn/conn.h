/*
 * conn.h - connections as the slow path knows them: from the first SYN to the fast path's
 * FP_EV_CLOSED, and the TIME-WAIT records that stay after it.
 *
 * A connection's id is its flow id in the fast path. Records lie in arenas, found by tuple through
 * keyed hash chains of ids. The state machine is one table in conn.c: (state, event) -> (next,
 * action). RFC 9293 3.10.7, 6528 (ISN), 6056 (ports), 6191 (TIME-WAIT), 7323, 3168. Owner: slow
 * path thread.
 */
#ifndef SP_CONN_H
#define SP_CONN_H

#include <stdint.h>
#include "arena.h"
#include "cc/cc.h"
#include "tas/app_sp.h"
#include "tas/fp_sp.h"
#include "tas/seg.h"
#include "tas/tuple.h"

struct sp;

enum sp_conn_state {
	SP_CONN_FREE,	  /* the record is not in use */
	SP_CONN_SYN_SENT, /* active open */
	SP_CONN_SYN_RCVD, /* passive open, or both at once */
	SP_CONN_OPEN,	  /* installed: the fast path has it, until FP_EV_CLOSED */
	SP_CONN_ABORTING, /* installed, asked to reset */
	SP_CONN_STATES
};

/* sp_conn.flags */
#define SP_CONN_TS	0x0001u /* timestamps agreed (SYN_SENT: offered) */
#define SP_CONN_SACK	0x0002u
#define SP_CONN_WSCALE	0x0004u
#define SP_CONN_ECN	0x0008u
#define SP_CONN_PASSIVE 0x0010u
#define SP_CONN_RETRANS                                                                            \
	0x0020u /* its SYN or SYN-ACK was sent more than once: no RTT sample (Karn) */
#define SP_CONN_QUEUED 0x0040u /* in its listener's accept queue, not yet taken */
#define SP_CONN_HIDDEN 0x0800u /* place not shown yet: its core may not know it */
#define SP_CONN_TIMER  0x0080u /* in the timer wheel */
#define SP_CONN_HALF   0x0100u /* counted among the half-open ones */
#define SP_CONN_ORPHAN 0x0400u /* in its claimer's list of orphans */
#define SP_CONN_UNSENT 0x1000u /* its SYN waits for the next hop's address */
#define SP_CONN_EARLY                                                                              \
	0x2000u /* event.c: said to have left off_app/off_slot before it was said to be there */
#define SP_CONN_LATE	0x4000u /* ... not yet said to have left them, though it is elsewhere */
#define SP_CONN_ACKED	0x8000u /* TCP_DEFER_ACCEPT: the handshake is done, data is awaited */
#define SP_CONN_PEERMAC 0x0200u /* peer_mac is known: frames go back to where the SYN came from */

struct sp_conn {
	struct tas_tuple tuple;
	uint32_t id, gen;
	uint32_t hash_next; /* chain of sp_conns.buckets */
	uint32_t owner_prev,
		owner_next;	     /* listener's half-open list, or program's connecting list */
	uint32_t lru_prev, lru_next; /* all half-open passive ones, oldest first */
	uint32_t timer_prev, timer_next;
	uint32_t timer_slot;
	uint64_t timer_ns;	      /* deadline */
	uint64_t created_ns, sent_ns; /* record made; SYN or SYN-ACK first sent (orphan: since) */
	uint32_t iss, irs;
	uint32_t snd_wnd; /* bytes, scaled */
	uint32_t rcv_wnd; /* offered in our SYN, bytes, not scaled */
	uint32_t ts_recent, ts_offset;
	uint16_t peer_mss, mss; /* the peer's option; effective, options taken off */
	uint8_t snd_wscale, rcv_wscale;
	uint8_t state; /* enum sp_conn_state */
	uint8_t retries;
	uint16_t neigh; /* next hop, 0 = none yet */
	uint8_t peer_mac[6];
	uint32_t flags;	   /* SP_CONN_* */
	uint32_t listener; /* 0 = active */
	uint32_t accept_entry, accept_ticket;
	uint32_t app, slot;	    /* 0 and FP_SLOT_NONE while nobody has it */
	uint32_t off_app, off_slot; /* of SP_CONN_EARLY and SP_CONN_LATE */
	uint32_t share;		    /* share.h: held by several programs, 0 = by `app` alone */
	uint32_t cc;		    /* index into cc_algos */
	uint64_t cc_sent_ns;
	struct tas_sockopts opts;
	struct cc_state cc_state;
	struct cc_params cc_params;
};

struct sp_timewait {
	struct tas_tuple tuple;
	uint32_t id, hash_next;
	uint32_t prev, next; /* oldest first: all wait equally long */
	uint64_t since_ns;
	uint32_t snd_nxt, rcv_nxt, ts_recent, ts_offset;
	uint32_t has_ts, app;
};

#define SP_WHEEL_SLOTS 1024u
#define SP_WHEEL_NS    16000000ull /* 16 ms a slot: 16 s a turn */

struct sp_conns {
	struct sp_arena conns, tws, shares;
	uint32_t *buckets, *tw_buckets; /* ids */
	uint32_t nbuckets;		/* power of two */
	uint64_t key[2];		/* of the hash chains */
	uint64_t secret[2];		/* of ISNs, timestamp offsets, ports */
	uint32_t gen;			/* last handed out; unique per connection in 32 bits */
	uint32_t port_next;		/* RFC 6056 algorithm 3 counter */
	uint32_t half_head, half_tail, nhalf, half_max;
	uint32_t tw_head, tw_tail, tw_max;
	uint32_t nopen;
	uint32_t wheel[SP_WHEEL_SLOTS]; /* first id of each slot */
	uint64_t wheel_used[SP_WHEEL_SLOTS / 64];
	uint64_t wheel_tick; /* next tick to be looked at */
	uint64_t stray_ns;   /* start of the second that stray_tokens are for */
	uint32_t stray_tokens;
};

int sp_conns_init(struct sp *sp, uint32_t max_conns, uint32_t max_timewait);
void sp_conns_free(struct sp *sp);

/* A connection by id (NULL when free or out of range), and by tuple. */
struct sp_conn *sp_conn_get(struct sp *sp, uint32_t id);
struct sp_conn *sp_conn_find(struct sp *sp, const struct tas_tuple *t);
/*
 * Reads by cursor: the first connection with an id of at least *cursor; moves *cursor behind it.
 * NULL at the end. Looks at `budget` records at most and then returns NULL with *cursor inside the
 * table (end: > capacity).
 */
struct sp_conn *sp_conn_next(struct sp *sp, uint32_t *cursor, uint32_t budget);
const char *sp_conn_state_name(const struct sp_conn *c);
/* The same over TIME-WAIT records. */
struct sp_timewait *sp_tw_next(struct sp *sp, uint32_t *cursor, uint32_t budget);
struct sp_timewait *sp_tw_find(struct sp *sp, const struct tas_tuple *t);

/* Resets the peer and ends the connection with `error` for the program. For tasctl kill:
 * ECONNABORTED. */
void sp_conn_abort(struct sp *sp, struct sp_conn *c, int error);

#endif
