/*
 * app_sp.h - program <-> slow path: registration and commands, over the registration socket.
 *
 * A path-named SOCK_SEQPACKET socket; one connection per process; every request is one message of fixed
 * size and gets exactly one reply, in order. Descriptors travel with SCM_RIGHTS where a row says so.
 * The peer is who SO_PEERCRED says it is. A message of the wrong size, type or with a field out of range is
 * refused by status (-errno in `status`) and counted; three malformed ones end the connection.
 *
 * What needs no answer does not come here: sending, receiving, closing and taking a connection are fields of
 * the socket's slot plus a ring of the core's bell (region.h).
 *
 * Life of a process here:
 *   HELLO (abi, fork token or 0)       -> app id; nothing mapped yet, costs one message
 *   REGION                             -> control segment, read-only page, one eventfd per core   (fds)
 *   SEGMENT                            -> one more chunk segment                                   (fd)
 *   EVQ + eventfd                      -> event queue n may now be named in slots
 *   BIND + kernel socket, LISTEN + kernel socket, CONNECT + kernel socket, JOIN + kernel socket ...
 *   FORK before fork(); the child says HELLO with the token and is a holder of the same listeners and connections.
 *   PASS before a descriptor goes to another process otherwise; who has it there says RECEIVE (or JOIN) with it.
 *   end of the process (pidfd): the daemon frees everything.
 *
 * Owner: slow path thread on one side, libtas (under its command lock) on the other.
 */
#ifndef TAS_APP_SP_H
#define TAS_APP_SP_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define TAS_SOCKET_DEFAULT "/run/tas/tas.sock"
#define TAS_SOCKET_ENV	   "TAS_SOCKET"
#define TAS_FIRST_ENV	   "TAS_PRELOAD_FIRST" /* what tas-run put before libtas: this program's alone */
#define TAS_EXPLAIN_ENV	   "TAS_EXPLAIN" /* set: libtas reports its explain counters at exit */
#define TAS_CMD_MAGIC	   0x43534154u /* "TASC" */

enum tas_cmd {
	TAS_CMD_HELLO = 1,  /* in: abi, token.            out: id = app id */
	TAS_CMD_REGION,	    /* in: -.                     out: len = bytes of control segment, aux = bytes of page,
			     *      fds: control, page, eventfd of core 0..ncores-1 (count in id) */
	TAS_CMD_SEGMENT,    /* in: -.                     out: id = segment index, fds: segment */
	TAS_CMD_EVQ,	    /* in: id = queue, fd eventfd (absent: forget the queue) */
	TAS_CMD_BIND,	    /* in: addr/port wished, fd bound kernel socket. out: status: is this address ours to
			     *      serve? 0 yes, 1 wildcard (serve in both), -EADDRNOTAVAIL not ours, ... */
	TAS_CMD_LISTEN,	    /* in: aux = backlog, flags, fd bound kernel socket. out: id = listener, fds: segment */
	TAS_CMD_JOIN,	    /* in: fd listening kernel socket (inherited or passed). out as LISTEN */
	TAS_CMD_UNLISTEN,   /* in: id = listener, token as RELEASE: this process holds it no longer; flags: nor does any other */
	TAS_CMD_REWAKE,	    /* in: id = listener: a woken exclusive waiter leaves; wake the next */
	TAS_CMD_CONNECT,    /* in: slot, local address (0 = any), remote address, fd kernel socket.
			     *      out: laddr/lport chosen, id = flow, aux = gen; the result arrives in the slot's
			     *      state under that gen. -EADDRNOTAVAIL: not for us, use the kernel's socket.
			     *      -EADDRINUSE: the local port, or every one, is in use towards this peer */
	TAS_CMD_SETOPT,	    /* in: opts, len = TAS_OPT_WORD() bits of those that are set (0: all); slot, id = flow, aux = gen (0: whatever is in the slot), or with
			     *      TAS_OPT_LISTENER id = listener. By its name also a connection that was accepted
			     *      and is not bound yet. -ENOENT: it is gone */
	TAS_CMD_FORK,	    /* in: flags. out: token: who says HELLO with it holds our listeners and, with TAS_FORK_CONNS, our
			     *      connections (a child, or the next program of this process); with TAS_FORK_SOCKET, fd: the
			     *      registration connection on which the child, and nobody else, says that HELLO */
	TAS_CMD_UNFORK,	    /* in: token: fork failed */
	TAS_CMD_CANCEL,	    /* in: slot, aux = gen of the CONNECT reply: give the handshake up and free the slot (its
			     *      state becomes ERROR|FREE). -EALREADY: decided meanwhile, the slot's state says how */
	TAS_CMD_CLAIM,	    /* in: id = flow, aux = gen, slot: the connection, which we hold, is to come into our slot: then
			     *      want TAKE there. -ENOENT: it is gone, or not held by us; -EAGAIN: ask again */
	TAS_CMD_RELEASE,    /* in: id = flow, aux = gen, token (0, or of a FORK: in its name): our last descriptor is closed.
			     *      out: status 1: others hold it, it leaves our slot; 0: close it as usual */
	TAS_CMD_INFO,	    /* in: slot, id = flow, aux = gen as SETOPT. out: struct tas_conn_info from `token` on. -ENOENT */
	TAS_CMD_PASS,	    /* in: id = flow, aux = gen, slot, or with TAS_OPT_LISTENER id = listener; fd kernel socket: its descriptor goes
			     *      to another process. len, token and the upper half of aux: what is to be told to the
			     *      receiver of a connection. -ENOENT: it is gone, or not held by us */
	TAS_CMD_UNPASS,	    /* in: id, aux, flags as PASS: it was not sent */
	TAS_CMD_RECEIVE,    /* in: fd kernel socket that stands behind a connection which was passed, flags. out: we hold it:
			     *      id = flow, aux = gen and, with len and token, what PASS said, opts.
			     *      -ESRCH: no connection that was passed. Of a listener: JOIN */
	TAS_CMD_COUNT
};

/* flags of LISTEN, CONNECT and SETOPT */
#define TAS_LISTEN_REUSEPORT 0x1u
#define TAS_OPT_LISTENER     0x2u
#define TAS_FORK_CONNS	     0x4u
#define TAS_FORK_SOCKET	     0x20u
#define TAS_UNLISTEN_ALL     0x10u /* as shutdown() does, which is the description's */
#define TAS_PASS_MORE	     0x40u /* RECEIVE, JOIN: there is another descriptor on its way that is counted (MSG_PEEK, one of our own) */
#define TAS_JOIN_PASSED	     0x80u /* JOIN: from another process; -ESRCH, and nothing counted, when it is not known here */
#define TAS_OPT_READ	     0x8u /* SETOPT: change nothing; the reply's opts are those in force */

#define TAS_OPT_MAX 16u /* bytes of an option value that can travel */

/* Options that accompany CONNECT, LISTEN and SETOPT; 0 means: not set by the program. */
struct tas_sockopts {
	uint32_t keepalive;	 /* SO_KEEPALIVE */
	uint32_t keepidle_s, keepintvl_s, keepcnt;
	uint32_t user_timeout_ms;
	uint32_t rcvbuf, sndbuf; /* bytes of payload; fixes the size, no tuning; rcvbuf bounds the window from the SYN on */
	uint32_t maxseg;	 /* TCP_MAXSEG, bytes */
	uint32_t cc;		 /* 0 default, else 1 + index of the algorithm (TAS_CC_NAMES) */
	uint32_t tos;		 /* IP_TOS */
	uint32_t rcvlowat;	 /* SO_RCVLOWAT, bytes: a buffer that is not fixed gets room for twice that */
	uint32_t notsent_lowat;	 /* TCP_NOTSENT_LOWAT, bytes */
	uint32_t pace_kbps;	 /* SO_MAX_PACING_RATE, kbit/s */
	uint32_t window_clamp;	 /* TCP_WINDOW_CLAMP, bytes */
	uint32_t linger2_s;	 /* TCP_LINGER2; TAS_OPT_NO_LINGER2: a closed socket does not wait in FIN-WAIT-2 */
	uint8_t ttl;		 /* IP_TTL. These four travel as one word: TAS_OPT_WORD(ttl) */
	uint8_t syncnt;		 /* TCP_SYNCNT */
	uint8_t defer;		 /* TCP_DEFER_ACCEPT, in retransmissions of the SYN-ACK as Linux counts it */
	uint8_t zero;
};

#define TAS_OPT_NO_LINGER2 UINT32_MAX

static_assert(sizeof(struct tas_sockopts) == 64, "fixed size");

/* Other holders of the socket may have set the rest. */
#define TAS_OPT_WORD(field) (1ull << (offsetof(struct tas_sockopts, field) / 4))

struct tas_msg {
	uint32_t magic;
	uint16_t type; /* enum tas_cmd; a reply repeats it */
	uint16_t abi_major;
	int32_t status; /* reply: >= 0 or -errno */
	uint32_t seq;	/* chosen by the program, repeated in the reply */
	uint32_t id, slot;
	uint64_t len, aux;
	uint64_t token[2];
	uint32_t flags, pid;
	uint8_t laddr[16], raddr[16]; /* IPv4 mapped; all zero = any */
	uint16_t lport, rport;	      /* network order */
	uint16_t net, pad0;
	struct tas_sockopts opts;
	uint64_t zero[2];
};

static_assert(sizeof(struct tas_msg) == 184, "fixed size");

/*
 * What TCP_INFO says of a connection, in the reply to INFO from `token` to the end. Bytes where no unit is named; `segs` are
 * segments as they went over the wire.
 */
#define TAS_INFO_AT offsetof(struct tas_msg, token)

struct tas_conn_info {
	uint64_t bytes_sent, bytes_resent; /* the first contains the second */
	uint32_t rto_us, rtt_us, rttvar_us, min_rtt_us;
	uint32_t snd_mss, rcv_mss, adv_mss, pmtu;
	uint32_t cwnd, ssthresh, snd_wnd, rcv_wnd, rcv_buf;
	uint32_t unacked, sacked, lost, resent, notsent, delivered;
	uint32_t segs_resent, segs_out, segs_in, data_segs_out, data_segs_in, segs_ooo;
	uint32_t pace_kbps, rate_kbps; /* UINT32_MAX: not paced; 0: no sample yet */
	uint32_t sent_ms, got_ms, heard_ms; /* ago: data sent, data received, anything received */
	uint8_t options; /* TCPI_OPT_* of tcp(7) */
	uint8_t snd_wscale, rcv_wscale;
	uint8_t ca_state; /* TCP_CA_* of Linux */
	uint8_t retransmits, probes;
	uint8_t app_limited, syn; /* 1: the handshake goes on */
};

static_assert(sizeof(struct tas_conn_info) == sizeof(struct tas_msg) - TAS_INFO_AT, "it fills the reply");

#endif
