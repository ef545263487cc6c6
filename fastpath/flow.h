/*
 * flow.h - the record of one TCP flow in the fast path.
 *
 * Hot part: two cache lines, all that the common case touches. Cold part: everything that
 * exceptions, loss recovery, timers and statistics need. Both live in daemon-owned arenas (memfd)
 * by flow id: no pointers, so that a restarted daemon can adopt them.
 *
 * Owner: the core that owns the flow's group. The slow path never touches a record: it sends
 * messages (fp_sp.h) and reads snapshots (fp_flow_info). Decision:
 * docs/decisions/0003-flow-record.md. Dissertation table 3.1 (102 bytes there).
 */
#ifndef FP_FLOW_H
#define FP_FLOW_H

#include <stddef.h>
#include <stdint.h>
#include "tas/atomic.h"
#include "tas/region.h"
#include "tas/tuple.h"
#include "tcp/cold.h"

#define FP_FLOW_NONE 0u /* ids start at 1 */
#define FP_APP_NONE  0u /* app 0 is the daemon: connections not yet taken by accept() */
#define FP_SLOT_NONE 0xffffffffu

#define FP_TTL 64u /* unless IP_TTL says otherwise */

#define FP_CORE_MOVING 0xffu /* fp_flow.core: between two owners (groups.c) */

/* fp_flow.flags */
#define FP_F_USED      0x0001u
#define FP_F_TS	       0x0002u /* timestamps agreed */
#define FP_F_SACK      0x0004u /* SACK agreed */
#define FP_F_ECN       0x0008u /* ECN agreed */
#define FP_F_RX_FIN    0x0010u /* peer's FIN received in order (takes position rx_nxt - 1) */
#define FP_F_TX_SHUT   0x0020u /* the program shut down sending: FIN takes position tx_head */
#define FP_F_TX_FINACK 0x0040u /* our FIN is acknowledged */
#define FP_F_RX_CLOSED 0x0080u /* the program closed: new data is answered with RST */
#define FP_F_NODELAY   0x0100u
#define FP_F_CORK      0x0200u
#define FP_F_ACK_NOW   0x0400u /* an ACK is due in this burst */
#define FP_F_ACK_LATER 0x0800u /* an ACK is due by ack_at_us */
#define FP_F_RECOVERY  0x1000u /* in fast recovery (RFC 6675 / PRR) */
#define FP_F_LOSS      0x2000u /* after RTO, until the high-water mark is acknowledged */
#define FP_F_PACED     0x4000u /* tcp_pace_kbps() holds, 0 = stopped */
#define FP_F_V6	       0x8000u
#define FP_F_TX_LISTED 0x10000u /* engine: in the core's list of flows that may send */
#define FP_F_WHEEL     0x20000u /* engine: in the wheel */
#define FP_F_TX_WAIT   0x40000u /* the program waits for send space */
#define FP_F_FEEDBACK  0x80000u /* congestion control feedback gathered since last time */
#define FP_F_NEWS                                                                                  \
	0x100000u /* engine: in the core's list of flows whose slot is to be published             \
		   */
#define FP_F_NOTIFY	0x200000u  /* engine: ... and whose program is to be told */
#define FP_F_ACK_LISTED 0x400000u  /* engine: in the core's list of flows that owe an ACK */
#define FP_F_PACE_WAIT	0x800000u  /* engine: waits in the wheel for pace_next_ns */
#define FP_F_CLOSING	0x1000000u /* engine: closed, its event waits for room in the ring */
#define FP_F_TIME_WAIT	0x2000000u /* engine: our FIN went out before the peer's came in */
#define FP_F_TX_OWN                                                                                \
	0x4000000u /* engine: app 0's chunks hold [tx_una, tx_own_end) of the send stream */
#define FP_F_LOOP 0x8000000u /* the peer's address is ours, too: loopback.c */
#define FP_F_RX_URG                                                                                \
	0x10000000u /* an urgent byte is announced or here, and not passed by the reader */
#define FP_F_URG_SHOWN 0x20000000u /* engine: ... and the slot says so */
#define FP_F_TX_URG    0x40000000u /* urgent data was sent and, when last looked, not acknowledged */

struct fp_flow {
	/* Line 0: identity and receive. */
	uint32_t laddr_lo, raddr_lo; /* low 32 bits of the addresses: all of an IPv4 key */
	uint16_t lport, rport;	     /* network order */
	uint32_t flags;
	uint64_t rx_nxt;  /* next stream position expected (a FIN counts 1) = RCV.NXT */
	uint64_t rx_read; /* the program has consumed up to here */
	uint32_t irs1;	  /* sequence number of receive position 0 (IRS + 1) */
	uint32_t rx_adv; /* highest window edge advertised: RCV.NXT + RCV.WND at that time, sequence
			    number */
	uint32_t rx_chunk; /* chunk that position rx_nxt - 1 lies in, or TAS_CHUNK_NONE */
	uint32_t ts_recent;
	uint32_t rx_buf; /* receive buffer now, bytes (tuned) */
	uint32_t gen;
	uint32_t slot; /* in app's region, or FP_SLOT_NONE */
	uint16_t app;
	uint16_t evq;
	/* Line 1: send. */
	uint64_t tx_una;       /* SND.UNA as stream position */
	uint64_t tx_nxt;       /* SND.NXT (a FIN counts 1) */
	uint64_t tx_head;      /* the program has written up to here */
	uint32_t iss1;	       /* sequence number of send position 0 (ISS + 1) */
	uint32_t snd_wnd;      /* peer's window, bytes, scaled */
	uint32_t cwnd;	       /* bytes */
	uint32_t inflight;     /* bytes sent and neither acknowledged, SACKed nor lost */
	uint32_t tx_una_chunk; /* chunk that tx_una lies in, or TAS_CHUNK_NONE */
	uint32_t tx_nxt_chunk; /* chunk that tx_nxt lies in, or TAS_CHUNK_NONE */
	uint16_t mss;	       /* effective send MSS: payload bytes per segment after options */
	uint8_t snd_wscale, rcv_wscale;
	uint16_t neigh;	  /* next hop: index of the neighbour table */
	uint8_t core;	  /* owner, or FP_CORE_MOVING */
	uint8_t ack_segs; /* segments received since the last ACK sent */
	uint32_t srtt_us; /* smoothed RTT in 1/8 us units (Van Jacobson), 0 = none yet */
	uint32_t
		rack_us; /* RACK: send time of the newest delivered segment (its end: tcp_cold.rack_end) */
} __attribute__((aligned(TAS_CACHELINE)));

_Static_assert(sizeof(struct fp_flow) == 128, "hot state is two cache lines");
_Static_assert(offsetof(struct fp_flow, tx_una) == 64, "send state has its own line");

/* A flow's place in the timing wheel (wheel.c); zeroed = not in it. */
struct fp_wheel_node {
	uint64_t at;	     /* tick at which it fires */
	uint32_t next, prev; /* flow ids */
	uint32_t place;	     /* 1 + level * 64 + slot, 0 = not in the wheel */
	uint32_t pad;
};

/*
 * The parts only exceptions touch, and the cursors of the two chunk lists. The engine's fields
 * first, TCP's in tcp/cold.h.
 */
struct fp_flow_cold {
	/* Receive list: consecutive chunks that cover [rx_base, rx_end), both multiples of
	 * TAS_CHUNK_BYTES. */
	uint64_t rx_base, rx_end;
	uint64_t
		rx_cur_base; /* position of the chunk fp_flow.rx_chunk (cursor of the last store) */
	uint32_t rx_first, rx_last; /* first and last chunk, TAS_CHUNK_NONE = empty list */
	/* Send list: position of the chunks fp_flow.tx_una_chunk and .tx_nxt_chunk (cursor of the
	 * last send). */
	uint64_t tx_una_base, tx_nxt_base;
	uint64_t tx_limit;     /* highest limit published to the program; never shrinks */
	uint64_t pace_next_ns; /* pacer: earliest time of the next segment */
	uint64_t pace_ns_q20;  /* pacer: ns per byte, 2^-20ths */
	uint32_t pace_burst;   /* pacer: bytes that may go out back to back */
	uint32_t gso_max;      /* largest frame payload the port takes for this flow */
	uint32_t state;	       /* TAS_SOCK_* as published in the slot */
	uint32_t tx_list_next, tx_list_prev; /* active list of tx */
	uint32_t retry_slot; /* slot to look at again when the wheel fires, FP_SLOT_NONE = none */
	struct fp_wheel_node wheel;
	uint16_t retry_app; /* with retry_slot */
	uint8_t tos, ttl;
	uint8_t close_reason; /* enum fp_close_reason, with FP_F_CLOSING */
	uint8_t moved;	/* several programs have had it: it ends when they close it (park.c) */
	uint16_t payer; /* of a flow that no program has: who had it last (own_chunks.c) */
	/* Two lines so far: all that the engine's common case touches. */
	struct tas_tuple tuple;
	uint64_t hash;	/* keyed hash of the tuple */
	uint32_t group; /* RSS bucket */
	uint32_t conn;	/* slow path's connection id, relayed in events */
	uint32_t listener, accept_entry,
		accept_ticket; /* listener: FP_LISTENER_NONE once it was in a slot */
	int32_t close_error;   /* with FP_F_CLOSING */
	uint64_t opened_ns;    /* CLOCK_MONOTONIC */
	/* A flow that changed hands (park.c): who may take it, and what earlier holders wrote. */
	uint32_t grant_app, grant_slot;
	uint64_t tx_own_base,
		tx_own_end; /* positions that app 0's chunks cover, with FP_F_TX_OWN */
	uint32_t tx_own_first;
	uint32_t parked_app,
		parked_slot;  /* left, FP_EV_PARKED not yet put; FP_APP_NONE: nothing to tell */
	uint32_t parked_next; /* fp_core.parked */
	struct tcp_cold tcp __attribute__((aligned(TAS_CACHELINE)));
} __attribute__((aligned(TAS_CACHELINE)));

_Static_assert(offsetof(struct fp_flow_cold, tuple) == 128, "the engine's part is two cache lines");

#endif
