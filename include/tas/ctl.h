/*
 * ctl.h - tasctl <-> daemon: questions and answers over a path-named SOCK_SEQPACKET socket.
 *
 * One request message of fixed size gets exactly one reply message: a header and up to `limit` rows
 * of one type. Long tables are read in pages: the reply says with which cursor to go on, 0 at the
 * end; a page costs the daemon a bounded number of records looked at, so it may hold fewer rows
 * than asked for, even none. A row that changes between two pages may be missed or come twice. Rows
 * only grow at their end: a reader takes row_bytes from the reply, ignores what it does not know
 * and takes what is missing as zero.
 *
 * Who may ask: whoever the mode of the socket lets in (SO_PEERCRED is read too). KILL, DRAIN and MOVE_GROUP:
 * root and the daemon's own user only, else -EPERM. A malformed request gets an error reply, is
 * counted (refuse_ctl), and ends the connection. A client that does not read its replies is
 * disconnected.
 *
 * All integers in host order but ports (network order); addresses as in tuple.h; text is
 * NUL-terminated and comes from outside: whoever prints it must expect any byte. Owner: none
 * (values in messages).
 */
#ifndef TAS_CTL_H
#define TAS_CTL_H

#include <assert.h>
#include <stdint.h>

#define TAS_CTL_SOCKET_DEFAULT "/run/tas/ctl.sock"
#define TAS_CTL_MAGIC	       0x54434154u /* "TACT" */
#define TAS_CTL_VERSION	       1u
#define TAS_CTL_REPLY_MAX      32768u /* bytes of one reply, header included */
#define TAS_CTL_ADDRS	       32u
#define TAS_CTL_HOLDERS	       8u

enum tas_ctl_op {
	TAS_CTL_HELLO = 1, /* rows: one tas_ctl_status with versions only; any protocol version is
			      answered */
	TAS_CTL_STATUS,	   /* one tas_ctl_status */
	TAS_CTL_FLOWS,	   /* tas_ctl_flow, filtered */
	TAS_CTL_FLOW,	   /* one tas_ctl_flow: `id` (and `gen` when not 0); -ENOENT */
	TAS_CTL_LISTENERS, /* tas_ctl_listener, filtered */
	TAS_CTL_APPS,	   /* tas_ctl_app, filtered */
	TAS_CTL_CORES,	   /* tas_ctl_core */
	TAS_CTL_COUNTERS,  /* tas_ctl_counter: every counter of every core, then the slow path's */
	TAS_CTL_KILL,	   /* reset flow `id` (and `gen` when not 0); no rows; -ENOENT */
	TAS_CTL_DRAIN,	   /* no new programs or connections; what exists goes on; no rows */
	TAS_CTL_EXPLAIN,   /* tas_ctl_explain: what programs counted, if not 0; filtered as APPS */
	TAS_CTL_MOVE_GROUP, /* flow group `id`, or TAS_CTL_ALL_GROUPS, goes to core `gen`, soon; no
			       rows; -EINVAL */
	TAS_CTL_OPS
};

#define TAS_CTL_ALL_GROUPS 0xffffffffu

/*
 * States of a flow: X(name, text), in the words of RFC 9293 section 3.3.2. A simultaneous close
 * shows as last-ack.
 */
#define TAS_CTL_STATES(X)                                                                          \
	X(UNKNOWN, "unknown")                                                                      \
	X(SYN_SENT, "syn-sent")                                                                    \
	X(SYN_RCVD, "syn-received")                                                                \
	X(ESTABLISHED, "established")                                                              \
	X(FIN_WAIT_1, "fin-wait-1")                                                                \
	X(FIN_WAIT_2, "fin-wait-2")                                                                \
	X(CLOSE_WAIT, "close-wait")                                                                \
	X(LAST_ACK, "last-ack")                                                                    \
	X(TIME_WAIT, "time-wait")                                                                  \
	X(ABORTING, "aborting")

enum tas_ctl_state {
#define TAS_CTL_STATE_ENUM(name, text) TAS_CTL_S_##name,
	TAS_CTL_STATES(TAS_CTL_STATE_ENUM)
#undef TAS_CTL_STATE_ENUM
		TAS_CTL_S_COUNT
};

/* tas_ctl_filter.mask: which fields hold. All set ones must match. */
#define TAS_CTL_BY_PID	 0x01u
#define TAS_CTL_BY_APP	 0x02u
#define TAS_CTL_BY_PORT	 0x04u /* local or remote */
#define TAS_CTL_BY_ADDR	 0x08u /* local or remote */
#define TAS_CTL_BY_STATE 0x10u /* bits 1 << enum tas_ctl_state */
#define TAS_CTL_BY_NET	 0x20u
#define TAS_CTL_BY_ALL	 0x3fu

struct tas_ctl_filter {
	uint32_t mask;
	uint32_t pid, app;
	uint32_t states;
	uint8_t addr[16];
	uint16_t port; /* network order */
	uint16_t net;
	uint32_t zero;
};

struct tas_ctl_request {
	uint32_t magic;
	uint16_t version, op; /* TAS_CTL_VERSION, enum tas_ctl_op */
	uint32_t seq;	      /* repeated in the reply */
	uint32_t limit;	      /* rows at most; 0 = as many as fit */
	uint64_t cursor;      /* 0 at first, then the reply's `next` */
	uint32_t id, gen;
	struct tas_ctl_filter filter;
	uint64_t zero[3];
};

struct tas_ctl_reply {
	uint32_t magic;
	uint16_t version, op;
	uint32_t seq;
	int32_t status; /* 0, or -errno and no rows */
	uint32_t nrows, row_bytes;
	uint64_t next;	 /* cursor of the next page, 0 = that was the last */
	uint64_t now_ns; /* CLOCK_MONOTONIC: rates are differences of two replies */
	uint64_t zero[3];
	/* rows follow */
};

struct tas_ctl_addr {
	uint8_t addr[16];
	uint8_t plen; /* in the 128-bit form */
	uint8_t pad;
	uint16_t net;
};

struct tas_ctl_status {
	char version[32]; /* of the daemon, as --version says */
	uint16_t abi_major, abi_minor;
	uint32_t ctl_version;
	uint32_t pid;
	uint32_t flags; /* TAS_CTL_ST_* */
	uint8_t boot_id[16];
	uint64_t epoch;
	int64_t started_s; /* CLOCK_REALTIME */
	uint64_t uptime_ns;
	char device[64];
	char cc[16]; /* default congestion control */
	uint8_t mac[6];
	uint16_t mtu;
	uint32_t ncores;
	uint32_t flows, flows_max; /* open */
	uint32_t half_open, half_open_max;
	uint32_t time_wait, time_wait_max;
	uint32_t listeners, listeners_max;
	uint32_t apps, apps_max;
	uint32_t naddrs, nroutes;
	uint64_t memory;      /* bytes of payload memory of all programs */
	uint64_t flow_memory; /* bytes of the daemon's tables per possible flow */
	uint64_t established, failed, reset_in, reset_out, timeouts; /* connections so far */
	uint64_t drops, refused; /* sums of the drop_ and refuse_ counters */
	struct tas_ctl_addr addrs[TAS_CTL_ADDRS];
	uint64_t noise; /* of the drops: what a network brings and nobody misses */
};

#define TAS_CTL_ST_DRAINING 0x1u
#define TAS_CTL_ST_NIC_DEAD 0x2u
#define TAS_CTL_ST_TSO	    0x4u

struct tas_ctl_flow {
	uint8_t laddr[16], raddr[16];
	uint16_t lport, rport; /* network order */
	uint16_t net, state;   /* enum tas_ctl_state */
	uint32_t id, gen; /* ids are used again, with another gen; both 0 in TIME-WAIT */
	uint32_t app, pid, slot;
	uint32_t core;	   /* valid with TAS_CTL_F_CORE */
	uint32_t listener; /* 0 = connected by us */
	uint32_t flags;	   /* TAS_CTL_F_* */
	uint64_t age_ns;
	uint64_t bytes_in, bytes_out, segs_in, segs_out, retrans, ooo_in;
	uint64_t rx_queue,
		tx_queue; /* bytes not read by the program / not acknowledged by the peer */
	uint32_t cwnd, ssthresh, inflight, snd_wnd, mss, rx_buf; /* bytes */
	uint32_t srtt_us, rttvar_us, rto_us, pace_kbps;
	char comm[16], cc[16];
};

#define TAS_CTL_F_TS	 0x01u
#define TAS_CTL_F_SACK	 0x02u
#define TAS_CTL_F_WSCALE 0x04u
#define TAS_CTL_F_ECN	 0x08u
#define TAS_CTL_F_PACED	 0x10u /* pace_kbps is the limit */
#define TAS_CTL_F_QUEUED 0x20u /* in the accept queue */
#define TAS_CTL_F_CORE	 0x40u /* the fast path has it */

struct tas_ctl_listener {
	uint8_t laddr[16]; /* all zero = every address served */
	uint16_t lport, net;
	uint32_t id, uid;
	uint32_t backlog, queued, half_open;
	uint32_t reuseport;
	uint32_t nholders;
	uint64_t accepted, dropped;
	uint32_t app[TAS_CTL_HOLDERS], pid[TAS_CTL_HOLDERS]; /* the first holders */
	char comm[16];					     /* of the first holder */
};

struct tas_ctl_app {
	uint32_t id, pid, uid, gid;
	uint32_t parent;
	uint32_t flags; /* TAS_CTL_A_* */
	uint32_t listeners, flows;
	uint64_t age_ns;
	uint64_t memory, memory_max; /* payload bytes: had, allowed */
	uint64_t rx_memory;	     /* of these, held for receiving now */
	uint64_t accepted, connected;
	uint64_t refused; /* commands */
	uint64_t faults;  /* entries of its region refused by cores */
	uint32_t slots, evqs;
	char comm[16], state[16];
	uint64_t explained; /* sum of its TAS_CTL_EXPLAIN rows */
};

/* One counter of explain.h of one program, as the program says. */
struct tas_ctl_explain {
	uint32_t app, pid;
	uint64_t value;
	char comm[16], name[32], unit[16], help[96];
};

#define TAS_CTL_A_BAD 0x1u /* isolated: broke the ABI */

struct tas_ctl_core {
	uint32_t core;
	int32_t cpu; /* -1 = not pinned */
	uint64_t now_ns;
	uint64_t busy_ns, sleep_ns, loops, loops_busy, sleeps;
	uint64_t rx_packets, rx_bytes, rx_bursts, tx_packets, tx_bytes, tx_acks;
	uint64_t rx_payload, tx_payload, tx_retrans;
	uint64_t app_rings, app_wakes, exceptions;
	uint32_t node, nodes; /* NUMA node its memory comes from; how many the machine has */
	uint32_t groups; /* flow groups that it has now */
	uint32_t zero;
};

#define TAS_CTL_SLOW_PATH 0xffffffffu /* tas_ctl_counter.core */
#define TAS_CTL_C_REASON  0x1u	      /* drop_ or refuse_: listed by tasctl drops */

struct tas_ctl_counter {
	uint32_t core, flags;
	uint64_t value;
	char name[32], unit[16], help[96];
};

static_assert(sizeof(struct tas_ctl_filter) == 40, "fixed size");
static_assert(sizeof(struct tas_ctl_request) == 96, "fixed size");
static_assert(sizeof(struct tas_ctl_reply) == 64, "fixed size");
static_assert(sizeof(struct tas_ctl_flow) == 216, "no padding");
static_assert(sizeof(struct tas_ctl_listener) == 144, "no padding");
static_assert(sizeof(struct tas_ctl_app) == 144, "no padding");
static_assert(sizeof(struct tas_ctl_explain) == 176, "no padding");
static_assert(sizeof(struct tas_ctl_core) == 168, "no padding");
static_assert(sizeof(struct tas_ctl_counter) == 160, "no padding");
static_assert(sizeof(struct tas_ctl_status) % 8 == 0, "no padding");

#endif
