/*
 * fp_sp.h - fast path <-> slow path: the messages. Private daemon memory, one SPSC ring per core and direction.
 *
 * The flow record belongs to its core; the slow path asks by message and learns by event. A flow id is the
 * slow path's until it sends FLOW_INSTALL, the core's until it sends EV_CLOSED or answers FLOW_REMOVE.
 *
 * Rings: S -> F of 4096 messages (the slow path retries when full: it never drops a message). F -> S of 16384
 * events (a full ring delays: cores keep closing flows in a list until there is room; feedback is merely
 * gathered longer; but a core never stops taking messages). Frames for the slow path travel in three bounded exception queues per core.
 */
#ifndef TAS_FP_SP_H
#define TAS_FP_SP_H

#include <assert.h>
#include <stdint.h>
#include "app_sp.h"
#include "cc.h"
#include "tuple.h"

enum sp_msg_type {
	SP_FLOW_INSTALL = 1, /* a connection is established: u.install */
	SP_FLOW_ABORT,	     /* send RST, close with u.abort.error; EV_CLOSED follows */
	SP_FLOW_OPTS,	     /* u.opts: nodelay etc. arrive by slot; these are SETOPT ones */
	SP_CC_SET,	     /* u.cc */
	SP_FRAME,	     /* process this received frame as if it had just arrived: u.frame */
	SP_APP_ADD,	     /* app `id` may be polled */
	SP_APP_DEL,	     /* the process has ended: reset or finish its flows; EV_APP_GONE follows */
	SP_PMTU,	     /* flow `id`: new path MTU u.pmtu */
	SP_GROUP_MOVE,	     /* flow groups change their core, every core is told: u.move (fastpath/groups.c) */
	SP_GROUP_DRAIN,	     /* old owner: the port steers to the new one; hand on what it still has for us */
	SP_FLOW_MOVE,	     /* flow `id` leaves its slot, for the daemon or another holder: u.grant; EV_PARKED follows if it had one */
	SP_FLOW_FINISH,	     /* nobody holds the flow any more: close it, unless it is in a slot, which says when */
};

/* What a new flow starts with. Sequence numbers as after the handshake. */
struct fp_flow_init {
	struct tas_tuple tuple;
	uint32_t conn;		   /* slow path's id, comes back in events */
	uint32_t gen;
	uint32_t iss, irs;	   /* initial sequence numbers */
	uint32_t snd_wnd;	   /* peer's window, bytes, scaled */
	uint32_t ts_recent;
	uint32_t rcv_adv;	   /* window edge advertised in our SYN or SYN-ACK */
	uint16_t mss;		   /* effective: payload bytes per segment, options taken off */
	uint8_t snd_wscale, rcv_wscale; /* 0 when not agreed */
	uint8_t has_ts, has_sack, has_ecn, tos;
	uint16_t neigh;
	uint16_t app;		   /* FP_APP_NONE: waits in an accept queue */
	uint32_t slot;
	uint32_t listener, accept_entry, accept_ticket;
	uint32_t rtt_us;	   /* handshake RTT sample, 0 = none (retransmitted) */
	uint32_t ts_offset;	   /* added to the us clock / 1000 to make our TSval */
	struct tas_sockopts opts;
	struct cc_params cc;
};

struct sp_msg {
	uint32_t type; /* enum sp_msg_type */
	uint32_t id;   /* flow or app */
	uint32_t gen;
	uint32_t zero;
	union {
		struct fp_flow_init install;
		struct {
			int32_t error; /* errno the program sees */
			uint32_t send_rst;
		} abort;
		struct cc_params cc;
		struct tas_sockopts opts;
		struct {
			uint32_t len;
			uint32_t gso_size;
			uint64_t data; /* malloc'ed by S, freed by F */
		} frame;
		struct {
			uint32_t app, slot; /* may take it; FP_APP_NONE: nobody yet */
			uint32_t from;	    /* leave it where it is unless this program has it; FP_APP_NONE: any */
		} grant;
		uint16_t pmtu;
		struct {
			uint16_t pmtu; /* as u.pmtu */
			uint16_t has_seq; /* 1: seq is the sequence number the ICMP message quoted: */
			uint32_t seq;	  /* believe it only when it lies in [SND.UNA, SND.NXT) (RFC 5927) */
		} quoted;
		struct {
			uint32_t from, to;
			uint64_t set[2]; /* bit per group */
		} move;
		uint64_t words[30];
	} u;
};

static_assert(sizeof(struct sp_msg) == 256, "four lines a message");

enum fp_event_type {
	FP_EV_CLOSED = 1, /* the flow is gone from the fast path: u.closed */
	FP_EV_TAKEN,	  /* flow `id` was taken by app/slot: empty the accept entry */
	FP_EV_PARKED,	  /* flow `id` has left the slot in u.taken: the daemon has it */
	FP_EV_FEEDBACK,	  /* u.fb */
	FP_EV_APP_GONE,	  /* this core holds nothing of app `id` any more */
	FP_EV_APP_BAD,	  /* app `id` broke the ABI (counted): isolate it */
	FP_EV_NIC_DEAD,	  /* the device is gone */
	FP_EV_NEIGH,	  /* next hop `id` is stale or missing: resolve it */
};

enum fp_close_reason {
	FP_CLOSE_DONE = 1, /* both FINs exchanged */
	FP_CLOSE_RESET,	   /* peer reset */
	FP_CLOSE_ABORTED,  /* we reset (program, or asked by the slow path) */
	FP_CLOSE_TIMEOUT,  /* retransmissions, probes or FIN-WAIT-2 given up */
};

struct fp_event {
	uint32_t type;
	uint32_t id;
	uint32_t gen;
	uint32_t conn;
	union {
		struct {
			uint32_t reason;     /* enum fp_close_reason */
			uint32_t time_wait;  /* we closed first: keep TIME-WAIT */
			uint32_t snd_nxt, rcv_nxt;
			uint32_t ts_recent, app, slot;
			int32_t error;
		} closed;
		struct {
			uint32_t app, slot;
		} taken;
		struct cc_feedback fb;
		uint64_t words[14];
	} u;
};

static_assert(sizeof(struct fp_event) == 128, "two lines an event");

/* Exception queues: one of each class per core. The slow path takes from them in turn, so that a flood of one class starves
 * no other. */
enum fp_exc_class {
	FP_EXC_NEIGH,	/* ARP, ICMP */
	FP_EXC_SEGMENT, /* ACK or RST: of handshakes under way, of TIME-WAIT, of flows just gone */
	FP_EXC_SYN,	/* neither: who wants something new, from whatever address it says */
	FP_EXC_CLASSES
};

#define FP_EXC_FRAME_MAX 2048u /* longer frames (GSO) are cut; len keeps the true length */

struct fp_exc {
	uint32_t len, cap; /* true length, bytes stored */
	uint16_t gso_size, flags;
	uint8_t data[FP_EXC_FRAME_MAX];
};

#endif
