/*
 * context.h - one registration with one daemon: the mapped region, its slots, chunks and event
 * queues.
 *
 * Everything that the daemon wrote is copied out of the region header and checked once, at mapping.
 * A context is never unmapped: descriptions of a daemon that has died still point into it. Owner:
 * any thread; fields are constant after lt_context_open() unless noted.
 */
#ifndef LT_CONTEXT_H
#define LT_CONTEXT_H

#include <stdint.h>
#include "pool.h"
#include "tas/app_sp.h"
#include "tas/region.h"

/* Receive chunks offered when the region is mapped, and at most at a time later. */
#define LT_RX_FIRST    64u
#define LT_RX_STEP_MAX 512u

struct lt_ctx {
	struct tas_region *region;
	const struct tas_info *info;
	uint32_t app, nslots, ncores, nevq, nsegs_max;
	uint32_t dead; /* the daemon has gone; set once */
	struct tas_sock *socks;
	char *tobells, *evqs;
	uint64_t bell_bytes;
	uint32_t *rxnext, *txnext;
	uint64_t *offer;
	uint64_t *explain; /* [nexplain], or NULL: an older service */
	uint32_t nexplain;
	uint32_t nsegs;		    /* grows; published after seg[] */
	uint32_t rx_lock, seg_lock; /* offering receive chunks; adding a segment */
	struct lt_pool slots,
		closing;	  /* free; closed but not yet let go by the daemon (share `next`) */
	uint32_t reap_due;	  /* allocations since the last reap */
	uint32_t reap_left;	  /* closed slots that the last reap had to leave */
	struct lt_pool chunks;	  /* send chunks that are ours and free */
	struct tas_bell *starved; /* by slot: waits for payload memory (short.c) */
	uint64_t retry_ns;	  /* when those may try again */
	uint32_t *slot_desc;	  /* description index + 1 by slot, 0 = none */
	uint32_t *slot_gen;	  /* generation that a closing slot was last bound to */
	int sock;		  /* registration connection, -1 once dead */
	int core_fd[TAS_MAX_CORES];
	uint64_t owed; /* cores that were rung without a kick: the next call that may sleep settles
			  it */
	uint32_t kicked[TAS_MAX_CORES]; /* announcement of sleep that a kick has answered already */
	int evq_fd[TAS_MAX_EVQ];	/* -1: not registered yet */
	uint32_t evq_sleepers[TAS_MAX_EVQ];
	uint32_t evq_cursor[TAS_MAX_EVQ]; /* where the next look at a bell starts: a hint */
	uint64_t evq_used; /* queues that belong to an epoll instance; bit 0 is always set */
	uint8_t *seg[TAS_MAX_SEGS];
};

/* The context in use, or NULL: none was made, or its daemon has died. */
struct lt_ctx *lt_context(void);
/* Same, making it (REGION) when the process is registered. NULL: go on with the kernel. */
struct lt_ctx *lt_context_get(void);
/* Maps what a REGION reply carried; fds[0] control, [1] page, [2..] one eventfd per core. NULL if
 * malformed. */
struct lt_ctx *lt_context_open(
	const struct tas_msg *reply, int *fds, uint32_t nfds, int sock, uint32_t app);
/* The daemon is gone: every socket of the context gets ECONNRESET, every sleeper wakes. */
void lt_context_died(struct lt_ctx *c);

/* The daemon of the context in use has gone (under the command lock). */
void lt_context_drop(void);
void lt_context_fork_child(void);
/* One of our descriptors must leave number `fd`: it goes on under another. */
void lt_context_move_fd(int fd);

/* A slot for description index `desc`; LT_NONE when all are in use. */
uint32_t lt_slot_get(struct lt_ctx *c, uint32_t desc);
/* The slot was asked to close (or never bound: gen 0): reusable when the daemon has let go of
 * `gen`. */
void lt_slot_put(struct lt_ctx *c, uint32_t slot, uint32_t gen);
/* Closed slots that the daemon has let go of become free, and the chunks that they keep. */
void lt_slot_reap(struct lt_ctx *c);
/* Resets the program's lines of a slot before TAKE or CONNECT. */
void lt_slot_reset(struct tas_sock *s);

/* A send chunk, or TAS_CHUNK_NONE when the process may have no more memory. */
uint32_t lt_chunk_get(struct lt_ctx *c);
static inline void lt_chunk_put(struct lt_ctx *c, uint32_t chunk)
{
	lt_pool_put(&c->chunks, chunk);
}
/* Offers receive chunks while the daemon wants more than it has. Cheap when it does not. */
void lt_rx_offer_slow(struct lt_ctx *c);
static inline void lt_rx_offer(struct lt_ctx *c)
{
	if (__builtin_expect(tas_load(&c->region->rx_wanted) > tas_load(&c->region->rx_offered), 0))
		lt_rx_offer_slow(c);
}

/* Address of a chunk; NULL when the id names none (then the daemon, not the program, is at fault).
 */
static inline uint8_t *lt_chunk_addr(const struct lt_ctx *c, uint32_t chunk)
{
	uint32_t seg = chunk / TAS_SEG_CHUNKS;

	if (__builtin_expect(seg >= tas_load_acq(&c->nsegs), 0))
		return NULL;
	return c->seg[seg] + ((uint64_t)(chunk % TAS_SEG_CHUNKS) << TAS_CHUNK_SHIFT);
}

static inline struct tas_bell *lt_core_bell(const struct lt_ctx *c, uint32_t core)
{
	return (struct tas_bell *)(c->tobells + c->bell_bytes * core);
}

static inline struct tas_bell *lt_evq_bell(const struct lt_ctx *c, uint32_t q)
{
	return (struct tas_bell *)(c->evqs + c->bell_bytes * q);
}

#endif
