/*
 * region.h - the memory that one program process and the daemon share: layout and the socket slots.
 *
 * A process has: one control segment (memfd, fixed size: header, slots, doorbells, chunk links), any number
 * of chunk segments (memfds of TAS_SEG_BYTES, added as it grows) and one read-only page (struct tas_info).
 * No process maps another's. Everything the program can write is hostile to the daemon: read once into a
 * local, check, use only the local. What the daemon needs to go on is never kept here.
 *
 * Writers are marked: A the program (libtas), F the owning fast-path core, S the slow path.
 * Positions are absolute 64-bit stream offsets (first byte of a direction = 0), never amounts.
 * Layout: docs/abi.md. Decisions: docs/decisions/0002-chunks.md, 0004-doorbells.md.
 */
#ifndef TAS_REGION_H
#define TAS_REGION_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include "atomic.h"
#include "doorbell.h"

#define TAS_REGION_MAGIC 0x31534154u /* "TAS1" little endian */
#define TAS_ABI_MAJOR	 1
#define TAS_ABI_MINOR	 3

#define TAS_MAX_CORES 64
#define TAS_MAX_EVQ   64

/*
 * Payload lies in chunks. A chunk id c names bytes [(c % TAS_SEG_CHUNKS) << TAS_CHUNK_SHIFT, +16 KiB) of chunk
 * segment c / TAS_SEG_CHUNKS. The byte at stream position p of a flow lies in its chunk at offset
 * p & TAS_CHUNK_MASK. Chunks of one direction are a list through the `next` arrays.
 */
#define TAS_CHUNK_SHIFT 14
#define TAS_CHUNK_BYTES (1u << TAS_CHUNK_SHIFT)
#define TAS_CHUNK_MASK	(TAS_CHUNK_BYTES - 1)
#define TAS_SEG_CHUNKS	512u /* 8 MiB of payload per segment */
#define TAS_SEG_BYTES	((uint64_t)TAS_SEG_CHUNKS * TAS_CHUNK_BYTES)
#define TAS_MAX_SEGS	512u /* 4 GiB per process */
#define TAS_CHUNK_NONE	0xffffffffu

/* Header of the control segment, written once by S before the program sees it; constant afterwards. */
struct tas_region {
	uint32_t magic;
	uint16_t abi_major, abi_minor;
	uint64_t features;   /* zero: none defined */
	uint64_t bytes;	     /* size of the control segment */
	uint32_t app;	     /* this process's id, as in tasctl apps */
	uint32_t nslots;     /* multiple of 64, <= TAS_BELL_MAX_SLOTS */
	uint32_t ncores;     /* fast-path cores, also those now asleep */
	uint32_t nevq;	     /* event queues */
	uint32_t nsegs_max;  /* chunk segments this process may have */
	uint32_t pad0;
	uint64_t off_slots;   /* struct tas_sock[nslots] */
	uint64_t off_tobells; /* struct tas_bell per core, program -> fast path; stride bell_bytes */
	uint64_t off_evqs;    /* struct tas_bell per event queue, fast path -> program; stride bell_bytes */
	uint64_t off_rxnext;  /* uint32_t[nsegs_max * TAS_SEG_CHUNKS], F: next receive chunk */
	uint64_t off_txnext;  /* uint32_t[...], A: next send chunk */
	uint64_t off_offer;   /* uint64_t[nsegs_max * TAS_SEG_CHUNKS / 64], A|F: chunks offered for receiving */
	uint64_t bell_bytes;
	uint64_t off_explain; /* uint64_t[nexplain], A: counters in the order of explain.h; 0 = none */
	uint32_t nexplain, pad1;
	uint64_t zero[7];
	/* Line of its own, changes at run time. */
	uint32_t rx_wanted __attribute__((aligned(TAS_CACHELINE))) /*F*/; /* receive chunks the daemon would like in all, cumulative; never shrinks */
	uint32_t rx_offered /*A*/; /* receive chunks offered so far, cumulative */
};

static_assert(sizeof(struct tas_region) == 256, "region header is four lines");
static_assert(offsetof(struct tas_region, rx_wanted) == 192, "run-time line starts at 192");

/*
 * An event queue is what one epoll instance (or, queue 0, everything else in the process) listens on: a
 * bell that lists the slots with news. A sets `sleeping` before it sleeps on the eventfd it registered for
 * the queue; F clears it by exchange when it writes the eventfd (S1: pairs with the full barrier of a ring).
 */

/* tas_sock.state bits, written by F (S before the flow is installed). */
#define TAS_SOCK_CONNECTING 0x0001u /* connect() asked, not decided */
#define TAS_SOCK_OPEN	    0x0002u /* established at some time */
#define TAS_SOCK_RX_FIN	    0x0004u /* the peer's FIN has arrived: rx_head is final */
#define TAS_SOCK_TX_FIN	    0x0008u /* our FIN has been acknowledged */
#define TAS_SOCK_ERROR	    0x0010u /* the flow is gone; `error` says why (errno), 0 = both sides closed */
#define TAS_SOCK_FREE	    0x0020u /* the daemon has let go of the slot: A may use it again */
#define TAS_SOCK_SUSPENDED  0x0040u /* the daemon restarts; reserved */
#define TAS_SOCK_MOVING	    0x0080u /* another holder claims the connection: wait for MOVED */
#define TAS_SOCK_MOVED	    0x0100u /* it has left this slot; what A said up to rx_kept and tx_limit was heard */
#define TAS_SOCK_TX_SHUT    0x0200u /* a holder has ended the stream: whoever has it next adds nothing */
#define TAS_SOCK_RX_SHUT    0x0400u /* a holder has shut down reading */

/* tas_sock.want bits, written by A. */
#define TAS_SOCK_SHUT_WR  0x0001u /* tx_head is final: send FIN after it */
#define TAS_SOCK_CLOSED	  0x0002u /* no holder left: finish sending, deliver nothing more */
#define TAS_SOCK_ABORT	  0x0004u /* reset the peer (SO_LINGER 0, or unread data at close) */
#define TAS_SOCK_TAKE	  0x0008u /* bind flow take_flow (accepted) to this slot */
#define TAS_SOCK_NODELAY  0x0020u /* send partial segments at once */
#define TAS_SOCK_CORK	  0x0040u /* hold partial segments (up to 200 ms) */
#define TAS_SOCK_SHUT_RD  0x0080u /* reading is shut down: the next holder is told (RX_SHUT) */

/* tas_sock.urgent bits, written by A. */
#define TAS_URGENT_SENT	 0x1u /* tx_up */
#define TAS_URGENT_TAKEN 0x2u /* rx_taken */

/* tas_sock.rx_urg: the low 48 bits of the position, these, and the byte. */
#define TAS_URG_SHIFT 16
#define TAS_URG_MARK  0x0100u /* announced */
#define TAS_URG_VALID 0x0200u /* the byte is here */
#define TAS_URG_READ  0x0400u /* it was read out of line (by an earlier holder): only the mark is left */

/*
 * A socket slot. The program allocates slots; the daemon says when one is free again (TAS_SOCK_FREE).
 * A rings the bell of core `core` after changing its lines, F the bell of event queue `evq`.
 * A stale ring is harmless: who looks finds positions it knows.
 */
struct tas_sock {
	/* Line 0, F. */
	uint64_t rx_head;	 /* bytes received in order */
	uint64_t rx_first_pos;	 /* the receive list starts anew here ... */
	uint32_t rx_first_chunk; /* ... in this chunk (else: go on through rxnext) */
	uint32_t state;		 /* TAS_SOCK_*; a change is published after the positions */
	uint64_t tx_una;	 /* bytes acknowledged by the peer: their chunks are A's again */
	uint64_t tx_limit;	 /* A may fill up to this position (send buffer) */
	uint32_t error;		 /* errno, valid with TAS_SOCK_ERROR */
	uint32_t gen;		 /* generation of the flow bound to the slot */
	uint16_t core;		 /* whose bell to ring */
	uint8_t rx_full;	 /* 1: the peer's window is as good as used up; stored before rx_head. A does not wait for more
				  * bytes then, and rings after every read */
	uint8_t rx_urged;	 /* 1: rx_urg says something; stored before rx_head */
	uint32_t flow;		 /* flow id, as in tasctl flows */
	uint64_t rx_kept;	 /* with MOVED: rx_tail that was heard (tx_limit: tx_head that was heard) */
	/* Line 1, A. */
	uint64_t rx_tail __attribute__((aligned(TAS_CACHELINE))); /* bytes consumed: chunks wholly below are F's again */
	uint64_t tx_head;	 /* bytes written */
	uint64_t tx_first_pos;	 /* the send list starts anew here (only when tx_una == tx_head) ... */
	uint32_t tx_first_chunk; /* ... in this chunk (else: go on through txnext) */
	uint32_t want;		 /* TAS_SOCK_* want bits */
	uint32_t take_flow, take_gen; /* with TAS_SOCK_TAKE */
	uint32_t evq;		 /* event queue that this slot's news go to */
	uint32_t tx_wait;	 /* 1: tell me when tx_una moves (F clears by exchange when it has told) */
	uint32_t quickack;	 /* TCP_QUICKACK: changes with every setting, bit 0 is what was set */
	uint32_t urgent;	 /* TAS_URGENT_*: which words of line 2 F is to look at; stored before tx_head */
	/* Line 2, A only (shared by the threads and processes that hold the description). */
	uint32_t rx_lock __attribute__((aligned(TAS_CACHELINE)));
	uint32_t tx_lock;	     /* 0 or the tid that holds it */
	uint32_t rx_chunk, tx_chunk; /* chunk of rx_tail / of the last byte written, or TAS_CHUNK_NONE */
	uint32_t tx_old_chunk;	     /* oldest send chunk not yet taken back */
	uint32_t flags;		     /* libtas' own */
	uint64_t tx_freed;	     /* chunks wholly below this position were taken back */
	/* Urgent data, rare: F looks here when `urgent` says so. */
	uint64_t tx_up;	   /* the byte before this position is urgent; stored before tx_head */
	uint64_t rx_taken; /* the urgent byte at this position was read out of line */
	uint64_t rx_hole;  /*F*/ /* from << TAS_URG_SHIFT | n: who stands at `from` leaves n bytes out; stored before rx_urg */
	uint64_t rx_urg;   /*F*/ /* position << TAS_URG_SHIFT | TAS_URG_* | byte: the urgent byte announced last, 0 = it was passed */
	/* Line 3: futex words, and addresses written once by S or F when the flow is bound. */
	uint32_t wake __attribute__((aligned(TAS_CACHELINE))); /*AF*/ /* F adds 1 on news when `waiters` is not 0, then futex-wakes */
	uint32_t waiters;  /*A*/  /* threads asleep on `wake` */
	uint8_t laddr[16], raddr[16];
	uint16_t lport, rport; /* network order */
	uint16_t mss;	       /* effective send MSS, bytes */
	uint16_t net;
	uint32_t srtt_us;      /*F*/ /* smoothed RTT */
	uint32_t tx_nxt;       /*F*/ /* low half of what was sent; kept up with TCP_NOTSENT_LOWAT only */
};

static_assert(sizeof(struct tas_sock) == 256, "a slot is four lines");
static_assert(offsetof(struct tas_sock, rx_tail) == 64, "A's line");
static_assert(offsetof(struct tas_sock, rx_lock) == 128, "A-only line");
static_assert(offsetof(struct tas_sock, wake) == 192, "wake line");

static inline struct tas_sock *tas_region_sock(struct tas_region *r, uint64_t off_slots, uint32_t slot)
{
	return (struct tas_sock *)((char *)r + off_slots) + slot;
}

/* Bell `i` of an array of bells: core i's (off_tobells) or event queue i's (off_evqs). */
static inline struct tas_bell *tas_region_bell(struct tas_region *r, uint64_t off, uint64_t stride, uint32_t i)
{
	return (struct tas_bell *)((char *)r + off + stride * i);
}

/*
 * The read-only page of a process (second memfd, sealed against writing by the program): what libtas
 * needs to decide without asking. Writers F and S only.
 */
#define TAS_INFO_MAGIC	0x49534154u /* "TASI" */
#define TAS_INFO_ADDRS	32
#define TAS_INFO_ROUTES 128

struct tas_prefix {
	uint8_t addr[16]; /* IPv4 as ::ffff:a.b.c.d */
	uint8_t plen;	  /* prefix length in the 128-bit form (IPv4 /24 is 120) */
	uint8_t pad;
	uint16_t net;
};

struct tas_info_core {
	uint32_t sleeping; /*F*/ /* 1: ring and then write the core's eventfd (pairs: see bell D1) */
	uint32_t cpu;	   /*F*/ /* CPU it runs on; libtas spins only on another */
	uint32_t sleeps;   /*F*/ /* changed before each `sleeping` = 1: one wake per sleep is enough; 0: not counted */
	uint32_t pad[13];
};

/* tas_info.policy: what the service takes from this program, so that a refusal need not be asked for. */
#define TAS_POLICY_KNOWN   0x1u /* the word is filled in */
#define TAS_POLICY_CONNECT 0x2u /* takes connections; clear: it drains */
#define TAS_POLICY_LISTEN  0x4u /* takes listeners */

struct tas_info {
	uint32_t magic;
	uint16_t abi_major, abi_minor;
	uint8_t boot_id[16]; /* of this daemon instance */
	uint64_t epoch;	     /* 1 for a first start; a restart that adopts state adds 1 */
	uint64_t heartbeat;  /*S*/ /* CLOCK_MONOTONIC ns, about once a second */
	uint64_t tsc_hz;     /* ticks of the TSC a second, as measured; 0 = it does not run evenly */
	uint32_t ncores, naddrs, nroutes;
	uint32_t version; /*S*/ /* odd while addrs/routes change (seqlock) */
	uint64_t policy;  /*S*/ /* TAS_POLICY_*; 0 from a daemon before ABI 1.1 */
	struct tas_prefix addrs[TAS_INFO_ADDRS];   /* addresses served: plen 128 */
	struct tas_prefix routes[TAS_INFO_ROUTES]; /* destinations reached through tas */
	struct tas_info_core core[TAS_MAX_CORES] __attribute__((aligned(TAS_CACHELINE)));
};

static_assert(sizeof(struct tas_prefix) == 20, "prefix packs");
static_assert(sizeof(struct tas_info_core) == 64, "one line a core");

/*
 * A listener: one segment (memfd) mapped by the daemon and by every process that holds the listening
 * description (inherited over fork). Its accept queue is lock-free and survives a killed taker: an entry
 * is one 64-bit word that a taker claims with one compare-and-swap.
 */
#define TAS_LISTEN_MAGIC   0x4c534154u /* "TASL" */
#define TAS_LISTEN_BACKLOG 4096u
#define TAS_LISTEN_HOLDERS 256u

/* Accept entry words: 0 empty; else kind in bits 63..62, holder's app id in 61..32, ticket in 31..0. */
#define TAS_ACCEPT_EMPTY	  0ull
#define TAS_ACCEPT_QUEUED	  (1ull << 62)
#define TAS_ACCEPT_TAKEN	  (2ull << 62)
#define TAS_ACCEPT_KIND(w)	  ((w) & (3ull << 62))
#define TAS_ACCEPT_WORD(k, a, t) ((k) | (uint64_t)(a) << 32 | (uint32_t)(t))

struct tas_accept {
	uint64_t word;	/*SA*/ /* S: empty -> queued(ticket); A: queued -> taken(app, ticket); S: -> empty */
	uint32_t flow, gen; /*S*/
	uint32_t core;	/*S*/ /* whose bell to ring for the take */
	uint16_t lport, rport; /*S*/ /* network order */
	uint8_t laddr[16], raddr[16];
	uint64_t pad;
};

static_assert(sizeof(struct tas_accept) == 64, "one line an entry");

/* tas_listen_holder.armed */
#define TAS_ARM_NONE	  0u
#define TAS_ARM_ALL	  1u /* ring me for every connection (poll, epoll without EXCLUSIVE) */
#define TAS_ARM_EXCLUSIVE 2u /* ring one of these (blocking accept, EPOLLEXCLUSIVE) */

struct tas_listen_holder {
	uint32_t app;	/*S*/ /* 0: unused */
	uint32_t armed; /*A*/
	uint32_t evq;	/*A*/ /* in the holder's own region; ... */
	uint32_t slot;	/*A*/ /* ... S checks both */
};

struct tas_listen {
	uint32_t magic;
	uint32_t backlog;  /*S*/ /* entries in use, power of two <= TAS_LISTEN_BACKLOG */
	uint8_t laddr[16]; /*S*/
	uint16_t lport, net;
	uint32_t listener; /*S*/ /* id, as in tasctl listeners */
	uint32_t state;	   /*S*/ /* TAS_SOCK_ERROR when it is gone */
	uint32_t nonblock; /*A*/ /* 1: the kernel half is non-blocking for the program's eyes (F_GETFL) */
	uint32_t nonblock_said; /*A*/ /* 1: who listened first has said so; from then on only fcntl() and ioctl() change it */
	uint32_t tail __attribute__((aligned(TAS_CACHELINE))); /*S*/ /* entries put so far */
	uint32_t head __attribute__((aligned(TAS_CACHELINE))); /*A*/ /* hint: entries before this were taken; takers move it forward */
	uint32_t wake, waiters; /*SA*/ /* futex for blocking accept, as in tas_sock */
	struct tas_listen_holder holders[TAS_LISTEN_HOLDERS] __attribute__((aligned(TAS_CACHELINE)));
	struct tas_accept queue[TAS_LISTEN_BACKLOG] __attribute__((aligned(TAS_CACHELINE)));
};

static_assert(offsetof(struct tas_listen, tail) == 64, "S's line");
static_assert(offsetof(struct tas_listen, head) == 128, "A's line");
static_assert(offsetof(struct tas_listen, holders) == 192, "holders follow");

#endif
