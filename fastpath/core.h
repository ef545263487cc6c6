/*
 * core.h - the fast-path engine from inside: struct fp, struct fp_core, and what its files ask of
 * each other. Private to fastpath/ (and to tests, which drive fp_core_poll by hand).
 *
 * A core owns its flow groups, its queue pair of the port and all records of the flows in its
 * groups. Everything in struct fp_core is touched by its thread alone unless a field says
 * otherwise.
 */
#ifndef FP_CORE_H
#define FP_CORE_H

#include <pthread.h>
#include <stdint.h>
#include "arena.h"
#include "flow_table.h"
#include "forward.h"
#include "fp.h"
#include "spsc.h"
#include "tcp/tcp.h"
#include "wheel.h"

#define FP_MSG_RING   4096u  /* slow path -> core, fp_sp.h */
#define FP_EVENT_RING 16384u /* core -> slow path, fp_sp.h */
#define FP_EVENT_KEEP 4096u  /* of them for what must not be lost: feedback leaves so many free */
#define FP_EXC_RING   512u   /* frames per exception class */
#define FP_LIST_MAX   256u   /* flows in a work list before it is flushed early */
#define FP_WAKES_MAX  64u    /* futex words collected before they are woken early */

/* Budgets per round, so that no source of work starves another. */
#define FP_BUDGET_MSGS	64u
#define FP_BUDGET_BELLS 4u     /* words of 64 slots, per program */
#define FP_BUDGET_WHEEL 64u    /* expired deadlines */
#define FP_BUDGET_TX	64u    /* frames */
#define FP_BUDGET_COPY	65536u /* bytes out of a slot, after which no further flow is moved */
#define FP_BUDGET_SCAN	64u    /* slots of a program that ended */

#define FP_LINGER_NS                                                                               \
	(60ull * 1000000000ull) /* a closed flow may finish sending this long after its program */
#define FP_RX_CHUNKS_LOW  16u	/* fewer free receive chunks: ask the program for more ... */
#define FP_RX_CHUNKS_STEP 64u	/* ... this many */
#define FP_RX_CHUNKS_LOT  128u	/* given to another core at a time, at most */
#define FP_OWN_SEGS	  8u	/* chunk segments of app 0 (own_chunks.c): 64 MiB */
#define FP_OWN_CHUNKS	  (FP_OWN_SEGS * TAS_SEG_CHUNKS)
#define FP_OWN_ACCOUNTS	  (FP_MAX_APPS + FP_MAX_LISTENERS + 1) /* programs, listeners, no listener */

enum fp_app_phase {
	FP_APP_RUN = 1, /* its bells are served */
	FP_APP_BREAK,	/* it broke the ABI: its flows are being reset, slot by slot */
	FP_APP_BROKEN,	/* ... done; waits for SP_APP_DEL */
	FP_APP_END,	/* it ended: flows are finished or reset, slot by slot */
	FP_APP_LINGER,	/* some closed flows still send */
	FP_APP_KILL,	/* they took too long: reset */
};

/* What one core knows of one program. */
struct fp_app_core {
	uint32_t phase; /* enum fp_app_phase */
	uint32_t bell_cursor;
	uint32_t free_chunk, nfree; /* last-in first-out list through fp_app.rx_next */
	int32_t in_use,
		in_use_told; /* chunks taken for flows less those given back; in fp_app.rx_chunks */
	uint32_t offer_cursor; /* next word of the offer bitmap */
	uint32_t offer_seen;   /* region's rx_offered when the last scan found nothing left */
	uint32_t wanted_goal;  /* rx_offered will have reached this when the open wish is met */
	uint32_t wanted_open;
	uint32_t nflows;      /* of this program on this core, until FP_EV_CLOSED is put */
	uint32_t scan;	      /* next slot of a slot-by-slot phase */
	uint32_t wake_listed; /* in fp_core.wake_apps */
	uint64_t wake_evqs;   /* event queues rung since the last flush */
	uint64_t linger_until_ns;
};

/* What all cores know of a slot, privately. */
struct fp_slot {
	uint32_t rx_first; /* FP_FLOW_DEAD: received chunks that the program may still read */
	uint32_t gen;	   /* of the last flow bound here */
};

/* What all cores share of one program: fp_app.core_priv. */
struct fp_app_shared {
	uint32_t refs;	       /* cores that know the program; slow path thread */
	uint32_t told_bad;     /* FP_EV_APP_BAD was put */
	struct fp_slot *slots; /* nslots */
	uint64_t held[];       /* bit per chunk: offered and taken, never given back */
};

/* What a core wakes programs with (wake.c). */
struct fp_waker {
	unsigned long context; /* io_setup(2)'s */
	int null;	       /* /dev/null */
};

/* Frames of one flow that were merged: payload in pieces, in order. */
struct fp_pieces {
	uint32_t count;
	struct iovec iov[NIC_BURST];
};

#define FP_LISTENER_NONE 0xffffffffu /* fp_flow_cold.listener: no queue's word is a right to it */
#define FP_GROUP_HOLD	 0xffu	     /* fp_core.route: the group is coming, its frames wait */
#define FP_SOURCE_SP	 0xfffffffeu /* fp_core.source: the slow path */

/* One core's part in a move of flow groups (groups.c). */
enum fp_move_step {
	FP_MOVE_IDLE,
	FP_MOVE_SWITCH, /* new owner, others: note SWITCHED to be put */
	FP_MOVE_GATHER, /* old owner: waits for the notes of all others */
	FP_MOVE_AWAY,	/* old owner: has handed over, waits for SP_GROUP_DRAIN */
	FP_MOVE_DRAIN,	/* old owner: hands on what the port still has */
	FP_MOVE_WAIT,	/* new owner: waits for HANDOVER */
	FP_MOVE_SETTLE, /* new owner: owns; waits for DRAINED */
};

struct fp_core_move {
	uint32_t step, from, to;
	uint32_t switched; /* notes that have come, perhaps before the message */
	uint64_t frames;   /* DRAIN: rx_packets when it began */
	uint64_t looped;   /* ... and the end of what was in the loopback's ring */
	uint64_t set[NIC_GROUPS / 64];
};

/* All of them: slow path's, but for `state`. */
struct fp_move {
	uint32_t state; /* enum fp_move_state; the new owner moves it on (V1) */
	uint32_t phase; /* what the slow path has acted upon */
	uint32_t drain_due;
	uint32_t from, to;
	uint64_t set[NIC_GROUPS / 64];
};

struct fp_core {
	uint32_t id;
	struct fp *fp;
	struct tcp_env env;
	struct fp_wheel wheel;
	struct tas_fp_counters cnt;

	/* Slow path. */
	struct spsc msgs, events, exc[FP_EXC_CLASSES];
	uint32_t told;	  /* something was put since the slow path was last looked at */
	uint32_t closing; /* flows with FP_F_CLOSING, list through tx_list_next */
	uint32_t parked;  /* flows whose FP_EV_PARKED waits for room, list through parked_next */
	uint64_t copied;  /* bytes this round, for flows that left a slot */
	uint32_t nic_dead;
	uint32_t stop;		 /* slow path's: leave the loop when all messages are taken */
	uint32_t sent_share;	 /* nodes of the common pool that this core should have */
	uint64_t tokens_ns;	 /* last refill of env.challenge_tokens */
	uint64_t *neigh_told_ns; /* FP_MAX_NEIGH: last FP_EV_NEIGH */

	/* Programs. */
	uint32_t napps;
	uint16_t app_ids[FP_MAX_APPS];
	struct fp_app_core *apps[FP_MAX_APPS];

	/* Work lists of this round. */
	uint32_t nnews, nacks, nwake_apps, nwakes;
	uint32_t news[FP_LIST_MAX], acks[FP_LIST_MAX];
	uint16_t wake_apps[FP_MAX_APPS];
	uint32_t *wakes[FP_WAKES_MAX]; /* futex words in regions */
	struct fp_waker waker;

	/* Sending. */
	uint32_t tx_first, tx_last; /* flows that may send, through tx_list_next/prev */
	uint32_t ntx, nloop;	    /* frames of the batch; of them, to ourselves */
	uint16_t ip_id;
	struct nic_txpkt *tx;	/* NIC_BURST */
	struct fp_fault *fault; /* NULL but in tests */

	/* Frames from the other cores (index: source; our own: frames held, groups.c). */
	struct fp_forward *from;
	struct fp_forward to_kernel; /* to the slow path; used with conf.to_kernel */
	struct fp_forward loop,
		loop_sp;	   /* frames to ourselves: this core's, the slow path's (core 0) */
	uint8_t route[NIC_GROUPS]; /* where frames of a group go: a core, or FP_GROUP_HOLD */
	uint32_t source;	   /* core that handed over the frames being processed */
	uint32_t rx_empty;	   /* the port had nothing when last asked */
	const struct fp_forward *rx_for; /* receive no more than this ring has room for, or NULL */
	struct fp_core_move move;

	/* Sleeping. `sleeping` is read by whoever has put something for this core (W1: see
	 * core_sleep). */
	uint32_t sleeping __attribute__((aligned(TAS_CACHELINE)));
	uint32_t sleep_seq; /* changes with each announcement, never 0 */
	uint64_t slept;	    /* for fp_slept_ns: cnt.sleep_ns; while blocked FP_ASLEEP and that less
			       the time when it began */
	int epoll_fd, wake_fd;
	uint32_t cpu;
	uint32_t reading; /* 1 + listener whose segment is being read, read by fp_listener_set (L1)
			   */
	pthread_t thread;
	int started;
} __attribute__((aligned(4096))); /* whole pages, so that each core has its own on its NUMA node */

#define FP_ASLEEP (1ull << 63)

/* App 0's chunks: the stack of free ones, and who has how many. */
struct fp_own {
	uint64_t top;	      /* 1 + first chunk, 0 = empty; upper half: pushes so far */
	uint32_t used, early; /* chunks in use; of these, charged to listeners */
	uint32_t limit;	      /* of `used` */
	uint32_t keep;	      /* free chunks that a core keeps to itself, at most */
	uint32_t account[FP_OWN_ACCOUNTS]; /* chunks in use */
	uint32_t next[FP_OWN_CHUNKS];	   /* of the stack: 1 + chunk */
	uint16_t charged[FP_OWN_CHUNKS];   /* account of a chunk in use */
} __attribute__((aligned(TAS_CACHELINE)));

struct fp {
	struct fp_conf conf;
	struct nic *nic;
	const struct nic_caps *caps;
	struct fp_arena flow_arena, cold_arena, table_arena;
	struct fp_flow *flows; /* by id, 0 unused */
	struct fp_flow_cold *cold;
	uint32_t max_flow; /* highest id */
	struct fp_table table;
	uint8_t group_core[NIC_GROUPS]; /* owner of each group; slow path's (move.c) */
	void *sent_mem;			/* sent-map nodes of all cores */
	uint64_t sent_bytes;
	uint32_t sent_spare; /* tcp_pool_balance */
	struct fp_move move;
	uint64_t neigh[FP_MAX_NEIGH];			/* writer: slow path */
	struct tas_listen *listeners[FP_MAX_LISTENERS]; /* writer: slow path */
	struct fp_app apps[FP_MAX_APPS];
	struct fp_core *cores;
	uint32_t ncores;
	int event_fd;
	uint32_t sp_sleeping; /* the slow path sleeps: who puts an event wakes it by event_fd */
	uint32_t next_event, next_exc; /* slow path: where fp_event_next and fp_exc_next go on */
	struct fp_own own;
	uint64_t ports[65536 / 64]; /* TCP ports that are tas's; writer: slow path */
};

static inline struct tas_sock *fp_slot_sock(const struct fp_app *app, uint32_t slot)
{
	return tas_region_sock(app->region, app->off_slots, slot);
}

static inline uint8_t *fp_chunk_mem(const struct fp_app *app, uint32_t chunk)
{
	return app->seg[chunk / TAS_SEG_CHUNKS] +
	       ((uint64_t)(chunk % TAS_SEG_CHUNKS) << TAS_CHUNK_SHIFT);
}

/* Position of the first byte of the chunk that `pos` lies in. */
static inline uint64_t fp_chunk_base(uint64_t pos)
{
	return pos & ~(uint64_t)TAS_CHUNK_MASK;
}

/* F2: pairs with the slow path's release after it has stored seg[]. */
static inline int fp_chunk_ok(const struct fp_app *app, uint32_t chunk)
{
	return chunk < tas_load_acq(&app->nsegs) * TAS_SEG_CHUNKS;
}

/* Positions without the FIN that rx_nxt and tx_una may count. */
static inline uint64_t fp_rx_head(const struct fp_flow *f)
{
	return f->rx_nxt - (f->flags & FP_F_RX_FIN ? 1 : 0);
}

static inline uint64_t fp_tx_una(const struct fp_flow *f)
{
	return f->tx_una < f->tx_head ? f->tx_una : f->tx_head;
}

/*
 * Brings in what processing a segment of the flow will touch: the record's second line, the
 * engine's part, and TCP's first and last lines, between which lies what only loss recovery reads.
 */
static inline void fp_flow_prefetch(const struct fp *fp, uint32_t id)
{
	const char *hot = (const char *)&fp->flows[id], *cold = (const char *)&fp->cold[id];
	const char *tcp = (const char *)&fp->cold[id].tcp;
	uint32_t line;

	__builtin_prefetch(hot);
	__builtin_prefetch(hot + TAS_CACHELINE);
	__builtin_prefetch(cold);
	__builtin_prefetch(cold + TAS_CACHELINE);
	for (line = 0; line < 6; line++)
		__builtin_prefetch(tcp + line * TAS_CACHELINE);
	__builtin_prefetch(tcp + offsetof(struct tcp_cold, drs_read));
	__builtin_prefetch(tcp + offsetof(struct tcp_cold, bytes_in));
}

/* move.c, slow path thread: something for fp_move_poll? */
int fp_move_news(const struct fp *fp);

/* core.c */
/* One round of the loop at time `now_ns`; returns how much work was found. */
uint32_t fp_core_poll(struct fp_core *core, uint64_t now_ns);
void fp_core_wake(struct fp_core *core);
void *fp_core_main(void *arg);
/* When the core must look again although nothing rings, ns; UINT64_MAX = never. */
uint64_t fp_core_next_ns(const struct fp_core *core);

/* messages.c: from the slow path */
uint32_t fp_msgs_poll(struct fp_core *core);

/* events.c: to the slow path; nothing that a core does waits for room there */
/* Room for `n` more events. */
int fp_event_room(struct fp_core *core, uint32_t n);
/* 1 = put, 0 = the ring is full. */
int fp_event_put(struct fp_core *core, const struct fp_event *ev);
/* Retries what found no room; wakes the slow path if anything was put this round. */
uint32_t fp_events_flush(struct fp_core *core);
void fp_event_neigh(struct fp_core *core, uint16_t neigh);

/* rx.c */
uint32_t fp_rx_poll(struct fp_core *core);
/* Processes frames as if they had just arrived. */
void fp_rx_frames(struct fp_core *core, const struct nic_rxpkt *pkts, uint32_t count);

/* groups.c: groups change cores */
void fp_group_message(struct fp_core *core, const struct sp_msg *m);
/* A note between forwarded frames; `pkt` is gone afterwards. */
void fp_group_note(struct fp_core *core, const struct nic_rxpkt *pkt);
/* Once a round when there are several cores. */
void fp_group_poll(struct fp_core *core);
/* A frame of a group that is not simply ours. 1 = it is to be processed here all the same. */
int fp_group_elsewhere(struct fp_core *core, uint32_t group, const struct nic_rxpkt *pkt);
/* The core must go on at once. */
int fp_group_busy(const struct fp_core *core);

/* rx.c: hands a frame to another core's ring, or to our own (frames held). */
void fp_rx_forward(struct fp_core *core, uint32_t to, const struct nic_rxpkt *pkt);
/* Processes all frames held. */
void fp_rx_release(struct fp_core *core);

/* rx.c: is this one of the addresses served? */
int fp_addr_served(const struct fp *fp, const uint8_t addr[16]);

/* loopback.c: frames to our own addresses */
int fp_loop_init(struct fp_core *core);
void fp_loop_destroy(struct fp_core *core);
/* A frame of this core, headers and payload copied; counted when there is no room. */
void fp_loop_put(struct fp_core *core, const struct nic_txpkt *p);
/* Slow path thread: 0, or -EAGAIN. */
int fp_loop_frame(struct fp *fp, const struct nic_txpkt *p);
/* Has the ring room for `frames` more besides what is in the batch? */
int fp_loop_room(const struct fp_core *core, uint32_t frames);
/* How many may be taken now: what they may be forwarded into has room. */
uint32_t fp_loop_max(const struct fp_core *core);
int fp_loop_pending(const struct fp_core *core);

/* to_kernel.c: frames that are not for tas */
void fp_to_kernel(struct fp_core *core, const struct nic_rxpkt *pkt);
int fp_port_is_ours(const struct fp *fp, uint16_t port);

/* exception.c */
void fp_exception(struct fp_core *core, enum fp_exc_class cls, const struct nic_rxpkt *pkt);

/* flows.c: life of a flow */
void fp_flow_install(struct fp_core *core, uint32_t id, const struct fp_flow_init *in);
/* Ends a flow: RST if asked, slot, chunks, FP_EV_CLOSED. */
void fp_flow_close(
	struct fp_core *core, uint32_t id, enum fp_close_reason reason, int error, int send_rst);
/* Sends FP_EV_CLOSED of a flow with FP_F_CLOSING; 0 = no room in the ring. */
int fp_flow_closed_event(struct fp_core *core, uint32_t id);
/* Acts on verdict bits of tcp_*; 1 = the flow still exists. */
int fp_flow_verdict(struct fp_core *core, uint32_t id, uint32_t verdict);
/* Raises the limit to be published. */
void fp_flow_limit(struct fp_core *core, uint32_t id);
/* Puts the flow's earliest deadline into the wheel. */
void fp_flow_rearm(struct fp_core *core, uint32_t id);
uint32_t fp_wheel_poll(struct fp_core *core);

/* notify.c: slots and wake-ups */
void fp_news(struct fp_core *core, uint32_t id, int notify);
void fp_publish(struct fp *fp, uint32_t id);
/* Figures for TCP_INFO. */
void fp_slot_stats(struct fp *fp, uint32_t id);
void fp_ring(struct fp_core *core, struct fp_app *app, uint32_t evq, uint32_t slot);
void fp_news_flush(struct fp_core *core);
void fp_wakes_flush(struct fp_core *core);
/* Event queues that fp_app_notify has rung. */
void fp_wakes_asked(struct fp_core *core, struct fp_app *app);

/* wake.c: programs' eventfds. 0 or -errno: -EAGAIN = fs.aio-max-nr is used up. */
int fp_waker_create(struct fp_waker *w);
void fp_waker_destroy(struct fp_waker *w);
/* Adds 1 to an eventfd, never blocks. 1 = done, 0 = the kernel has no memory: try again. */
int fp_wake(const struct fp_waker *w, int fd);

/* appq.c: programs' bells; apps.c: their beginning and end */
uint32_t fp_apps_poll(struct fp_core *core);
void fp_slot_rung(struct fp_core *core, struct fp_app *app, uint32_t slot);
/* The program waits for send space and there is a third of the buffer free: tell it (once). */
int fp_tx_space_wanted(struct fp_core *core, uint32_t id);
/* Rings the bell of core `owner` (fp_flow.core) for a slot whose flow is there. */
void fp_slot_pass(struct fp_core *core, uint32_t owner, struct fp_app *app, uint32_t slot);
void fp_app_fault(struct fp_core *core, struct fp_app *app, uint64_t *counter);
void fp_app_add(struct fp_core *core, uint32_t id, struct fp_app_core *zeroed);
void fp_app_del(struct fp_core *core, uint32_t id);
/* One slice of the slot-by-slot phases; 1 = there was work, 0 = the program is running. */
uint32_t fp_app_phase_poll(struct fp_core *core, struct fp_app *app);
uint64_t fp_apps_next_ns(const struct fp_core *core);
/* A flow of the program comes to this core / leaves it. 0 = the program is ending: it must not. */
int fp_app_join(struct fp_core *core, struct fp_app *app);
void fp_app_leave(struct fp_core *core, struct fp_app *app);
/* A flow has come from another core: does what the program's phase here asks. */
void fp_app_adopted(struct fp_core *core, struct fp_app *app, uint32_t slot);
/* Slow path thread: a core is about to learn of the program (its record, or NULL: no memory) /
 * knows it no more. */
struct fp_app_core *fp_app_share(struct fp_app *app);
void fp_app_unshare(struct fp_app *app);

/* take.c: accept() on the fast path's side */
void fp_slot_take(struct fp_core *core, struct fp_app *app, uint32_t slot);
void fp_slot_bind(struct fp_core *core, uint32_t id, struct fp_app *app, uint32_t slot);
/* The slot's flow died and the program has closed: give the slot back. */
void fp_slot_forget(struct fp_core *core, struct fp_app *app, uint32_t slot);
void fp_slot_dead(struct fp_core *core, struct fp_app *app, uint32_t slot, uint32_t state,
	int error, uint32_t rx_first);

/* park.c: flows that leave a slot and go on in another program */
void fp_flow_move(
	struct fp_core *core, uint32_t id, uint32_t to_app, uint32_t to_slot, uint32_t from);
/* Nobody holds the flow: FIN after what was written, RST when something was not read. */
void fp_flow_finish(struct fp_core *core, uint32_t id);
/* Was the flow granted to this slot? The slot's lines then tell where the streams are. */
int fp_flow_granted(struct fp_core *core, uint32_t id, const struct fp_app *app, uint32_t slot);
/* FP_EV_PARKED of all that left a slot, as far as there is room. */
void fp_parked_tell(struct fp_core *core);
/* Groups change cores: what is still to be told of their flows goes along. */
void fp_parked_give(struct fp_core *core);
void fp_parked_adopt(struct fp_core *core, uint32_t id);

/* own_chunks.c: app 0's chunks, which chunks.c hands out too */
void fp_own_init(struct fp *fp);
/* A free chunk, charged to whom the flow's bytes are to be; TAS_CHUNK_NONE = that share is used up. */
uint32_t fp_own_get(struct fp_core *core, uint32_t id);
void fp_own_put(struct fp_core *core, uint32_t chunk);

/* chunks.c: receive memory */
void fp_chunk_put(struct fp_core *core, struct fp_app *app, uint32_t chunk);
/* A free chunk of `app`, counted as in use, or TAS_CHUNK_NONE. */
uint32_t fp_chunk_get(struct fp_core *core, uint32_t id, struct fp_app *app);
/* Asks the program for receive memory if this core has little. */
void fp_chunks_want(struct fp_core *core, struct fp_app *app);
/* Another core runs short: gives some of this core's free chunks away, if there are many. */
void fp_chunks_share(struct fp_core *core, struct fp_app *app);
/* Puts up to `n` of this core's nfree chunks on the spare list: their flow goes to another core. */
void fp_chunks_give(struct fp_core *core, struct fp_app *app, uint32_t n);
void fp_chunks_put_list(struct fp_core *core, struct fp_app *app, uint32_t first);
/* Stores `len` bytes that start `skip` bytes into the pieces at position `pos`; 1, or 0 when memory
 * was missing. */
int fp_rxlist_store(struct fp_core *core, uint32_t id, uint64_t pos, const struct fp_pieces *pieces,
	uint32_t skip, uint32_t len);
/* The program has consumed up to `rx_read`. */
void fp_rxlist_consumed(struct fp_core *core, uint32_t id, uint64_t rx_read);
/* Gives all chunks back. */
void fp_rxlist_free(struct fp_core *core, uint32_t id);
/* Copies the list into chunks of `app`; 0 = not enough of them, nothing changed. */
int fp_rxlist_move(struct fp_core *core, uint32_t id, struct fp_app *app);
void fp_rxlist_init(struct fp_flow *f, struct fp_flow_cold *c);

/* stream/stream.c: the send stream */
/* The program wrote up to tx_head, having told where a new list starts. 0 = it named a bad chunk.
 */
int fp_stream_append(
	struct fp *fp, uint32_t id, uint64_t tx_head, uint64_t first_pos, uint32_t first_chunk);
/* tx_una has advanced: move the list's start. 0 = bad chunk. */
int fp_stream_acked(struct fp_core *core, uint32_t id);
/* stream/own.c: pieces of app 0's chunks that hold the beginning of [pos, pos + len), appended to iov; bytes covered. */
uint32_t fp_stream_own(struct fp *fp, uint32_t id, uint64_t pos, uint32_t len, struct iovec *iov,
	uint32_t max, uint32_t *n);
/* Copies what is not acknowledged into app 0's chunks; the program's are let go. NULL, or the counter of what was wrong. */
uint64_t *fp_stream_park(struct fp_core *core, uint32_t id);
/* Gives app 0's chunks back. */
void fp_stream_free(struct fp_core *core, uint32_t id);
/* Stream bytes [pos, pos + len) as at most `max` pieces; the number of pieces, 0 = bad chunk or too
 * many pieces. */
uint32_t fp_stream_iov(
	struct fp *fp, uint32_t id, uint64_t pos, uint32_t len, struct iovec *iov, uint32_t max);

/* pacer.c */
void fp_pace_set(struct fp_flow *f, struct fp_flow_cold *c);
/* May the flow send now? If not it waits in the wheel. */
int fp_pace_may(struct fp_flow *f, struct fp_flow_cold *c, uint64_t now_ns);
void fp_pace_sent(struct fp_flow *f, struct fp_flow_cold *c, uint64_t now_ns, uint32_t bytes);

/* tx.c */
void fp_tx_list(struct fp_core *core, uint32_t id);
void fp_tx_unlist(struct fp_core *core, uint32_t id);
uint32_t fp_tx_poll(struct fp_core *core);
void fp_ack_list(struct fp_core *core, uint32_t id);
void fp_acks_flush(struct fp_core *core);
void fp_tx_ack(struct fp_core *core, uint32_t id);
void fp_tx_rst(struct fp_core *core, uint32_t id);
void fp_tx_flush(struct fp_core *core);
void fp_gso_set(const struct fp *fp, const struct fp_flow *f, struct fp_flow_cold *c);

#endif
