/*
 * fp.h - the fast path as the slow path sees it: start it, talk to it, read snapshots.
 *
 * All functions are for the slow path thread unless noted. Nothing here blocks.
 */
#ifndef FP_FP_H
#define FP_FP_H

#include <stdint.h>
#include "fault.h"
#include "flow.h"
#include "nic/nic.h"
#include "tas/counters.h"
#include "tas/fp_sp.h"
#include "tas/region.h"

#define FP_MAX_APPS  1024u /* app ids are 1..FP_MAX_APPS-1; 0 is the daemon itself */
#define FP_MAX_NEIGH 1024u

struct fp_conf {
	uint32_t ncores;
	int cpus[TAS_MAX_CORES]; /* CPU per core, -1 = not pinned */
	uint32_t max_flows;
	uint32_t spin_us; /* poll this long without work before blocking */
	struct nic *nic;
	uint32_t rcvbuf_max, sndbuf_max; /* bytes per flow */
	uint32_t min_rto_us;
	uint64_t hash_key[2];
	struct fp_fault_conf fault; /* for tests: all zero = none */
	uint32_t naddrs;	    /* addresses served (destination check) */
	uint8_t addrs[TAS_INFO_ADDRS][16];
	uint32_t to_kernel; /* 1: what is not for tas is kept for fp_kernel_peek */
};

#define FP_FLOW_DEAD                                                                               \
	0xffffffffu /* in slot_flow: the flow is gone, the program has not closed yet */
#define FP_FLOW_HELD                                                                               \
	0xfffffffeu /* ... : a core is just ending the slot; all others leave it alone */

/*
 * A process as the fast path knows it. Filled by the slow path, constant from SP_APP_ADD to
 * EV_APP_GONE except `seg` (grows: nsegs is published with release after the pointer) and evq_fd.
 * `bad` is set by a core and never cleared: the process is polled no more.
 */
struct fp_app {
	uint32_t id;
	uint32_t nslots, ncores, nevq, nsegs_max;
	uint32_t nsegs;
	uint32_t bad;
	uint32_t pid;
	struct tas_region *region; /* daemon's mapping of the control segment; NULL for app 0 */
	struct tas_info *info;	   /* daemon's writable mapping of the read-only page */
	uint64_t region_bytes, info_bytes; /* of these mappings */
	uint64_t off_slots, off_tobells, off_evqs, off_rxnext, off_txnext, off_offer, bell_bytes;
	uint64_t *
		explain; /* in the control segment: TAS_EXPLAIN_MAX numbers that the program counts */
	uint8_t *seg[TAS_MAX_SEGS];
	int core_fd[TAS_MAX_CORES]; /* eventfd the program writes to wake core i (EPOLLET in the
				       core's set) */
	int evq_fd[TAS_MAX_EVQ];    /* eventfd the core writes to wake the program, -1 = queue not
				       registered */
	uint32_t *slot_flow; /* private: flow bound to slot, FP_FLOW_NONE; writer: flow's core */
	uint32_t *rx_next;   /* private twin of rxnext; allocated and freed with the app */
	void *core_priv;     /* fast path's own, per core */
	uint64_t flows, rx_chunks; /* gauges, relaxed adds by cores */
	uint64_t faults;	   /* refused entries, relaxed adds by cores */
	uint32_t ending;	   /* SP_APP_DEL was sent: no flow joins any more (fp_app_join) */
	uint32_t hungry; /* a core has few receive chunks: who has many puts some on `spare` */
	uint64_t
		asked; /* bit per event queue: the slow path has rung it, a core shall write its eventfd */
	uint32_t spare; /* 1 + first chunk of a list through rx_next, 0 = empty */
};

/* Neighbour word: bits 47..0 MAC (first octet lowest), bit 48 valid, bit 49 stale (use it, but
 * tell). */
#define FP_NEIGH_VALID (1ull << 48)
#define FP_NEIGH_STALE (1ull << 49)

struct fp;

/* Creates arenas and cores; the threads start in fp_start. 0 or -errno. */
int fp_create(const struct fp_conf *conf, struct fp **out);
int fp_start(struct fp *fp);
/* Ends the cores' threads; they take every message that was sent before. */
void fp_stop(struct fp *fp);
void fp_destroy(struct fp *fp);

/* The app table (FP_MAX_APPS entries, zeroed); entry 0 is set up by fp_create. */
struct fp_app *fp_app(struct fp *fp, uint32_t id);

/* Flow group of a tuple; which core owns it; both at once. */
uint32_t fp_group_of(const struct fp *fp, const struct tas_tuple *t);
uint32_t fp_group_core(const struct fp *fp, uint32_t group);
uint32_t fp_core_of(const struct fp *fp, const struct tas_tuple *t);
/* Records and lines of the table that two cores look at when the group moves, at most; 0 = no flow. */
uint32_t fp_group_cost(const struct fp *fp, uint32_t group);
/*
 * NUMA nodes of the machine, at least 1, and a core's. A flow's record is touched first by the core that installs it, so
 * ids that are given to cores of one node only have their records there.
 */
uint32_t fp_nodes(const struct fp *fp);
uint32_t fp_core_node(const struct fp *fp, uint32_t core);

/*
 * Moving flow groups (docs/decisions/0008-moving-flow-groups.md): the groups of `set` (bit per
 * group, all owned by `from`) go to core `to`. 0, -EINVAL, -EBUSY (a move is under way), -EAGAIN (a
 * core's ring is full). From then on send no message to any core until fp_move_poll, to be called
 * each round, says that the new owner has them.
 */
enum fp_move_state {
	FP_MOVES_NONE,	   /* no move is under way */
	FP_MOVES_HANDING,  /* no message may be sent */
	FP_MOVES_SETTLING, /* fp_group_core says the new owner: messages go there */
};
int fp_move_start(struct fp *fp, const uint64_t set[NIC_GROUPS / 64], uint32_t from, uint32_t to);
enum fp_move_state fp_move_poll(struct fp *fp);

/* Puts a message for `core`, waking it. 0, or -EAGAIN when the ring is full (try again from the
 * loop). */
int fp_send(struct fp *fp, uint32_t core, const struct sp_msg *m);
/* Takes the next event / exception frame of any core; 1 = taken, 0 = none. */
int fp_event_next(struct fp *fp, struct fp_event *ev);
int fp_exc_next(struct fp *fp, struct fp_exc *out);
/* Eventfd that becomes readable when events or exceptions wait and the slow path said it sleeps. */
int fp_event_fd(struct fp *fp);
/* Announce sleep; returns 1 when something already waits (do not sleep). Clear with fp_wake_done.
 */
int fp_prepare_sleep(struct fp *fp);
void fp_wake_done(struct fp *fp);

/* Neighbour table: writer slow path. */
void fp_neigh_set(struct fp *fp, uint16_t neigh, uint64_t word);

/* Sends one frame of the slow path (checksums complete or csum_start set). 0 or -errno. */
int fp_tx_frame(struct fp *fp, const struct nic_txpkt *p);

/*
 * Frames that are not for tas: up to `max` (<= NIC_BURST) in place until fp_kernel_drop(*end). TCP is for tas
 * when its flow is known, or when its local port (network order) is one of those that fp_port_set named: such a
 * frame comes as an exception.
 */
uint32_t fp_kernel_peek(
	struct fp *fp, uint32_t core, struct nic_rxpkt *pkts, uint32_t max, uint64_t *end);
void fp_kernel_drop(struct fp *fp, uint32_t core, uint64_t end);
void fp_port_set(struct fp *fp, uint16_t port, int ours);

/* Accept words: where listener `l`'s segment is mapped; NULL to forget it. Cores read words through
 * it. */
#define FP_MAX_LISTENERS 4096u
void fp_listener_set(struct fp *fp, uint32_t l, struct tas_listen *seg);

/*
 * Ring event queue `evq` of `app` for `slot` from the slow path (listener news, connect results of
 * a flow that was never installed), with the wake-up. All arguments are checked.
 */
void fp_app_notify(struct fp *fp, struct fp_app *app, uint32_t evq, uint32_t slot);

/*
 * Grace period: after taking something away that a core may be using this moment (an evq_fd, a
 * mapping), take a snapshot and release it when fp_grace_over says that every core has since been
 * through its loop or is asleep.
 */
struct fp_grace {
	uint64_t loops[TAS_MAX_CORES];
};
void fp_grace_start(struct fp *fp, struct fp_grace *g);
int fp_grace_over(struct fp *fp, const struct fp_grace *g);

/* Snapshot of a flow for tasctl. Values may be some packets apart from each other. 0 or -ENOENT. */
struct fp_flow_info {
	struct tas_tuple tuple;
	uint32_t gen, app, slot, core, flags, conn;
	uint64_t bytes_in, bytes_out, segs_in, segs_out, retrans, ooo_in;
	uint32_t cwnd, ssthresh, srtt_us, rttvar_us, rto_us, snd_wnd, inflight, mss, pace_kbps,
		rx_buf;
	/* TCP_INFO's: bytes unless a name says otherwise. */
	uint32_t min_rtt_us, rcv_mss, rcv_wnd, unacked, sacked, lost, resent, notsent;
	uint32_t data_segs_in, data_segs_out, rate_kbps;
	uint32_t sent_ms, got_ms,
		heard_ms; /* since data was sent, data and anything was received */
	uint64_t delivered, bytes_resent;
	uint8_t ca_state, backoff, probes, app_limited; /* ca_state: enum tcp_ca_state of Linux */
	uint64_t rx_queue,
		tx_queue; /* bytes the program has not read / the peer has not acknowledged */
	uint64_t opened_ns;
};
int fp_flow_info(struct fp *fp, uint32_t flow, struct fp_flow_info *out);

/* Counters of a core: read relaxed. */
const struct tas_fp_counters *fp_counters(struct fp *fp, uint32_t core);
/* sleep_ns of a core with the part of a sleep that still goes on. Any thread. */
uint64_t fp_slept_ns(const struct fp *fp, uint32_t core);
uint32_t fp_ncores(const struct fp *fp);

/* Ticks of the TSC a second as measured; 0 = there is no TSC that runs evenly. Any thread. */
uint64_t fp_tsc_hz(void);
/* Nanoseconds of CLOCK_MONOTONIC computed from the TSC, no system call, no overflow. Any thread. */
uint64_t fp_now_ns(void);

#endif
