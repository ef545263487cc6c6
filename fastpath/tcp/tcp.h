/*
 * tcp.h - TCP of an established connection as pure functions: (flow, segment or time) -> verdict.
 *
 * No clock is read, nothing is allocated but sent-map nodes from the pool in the environment, no
 * frame or program memory is touched: the caller stores payload and sends what these functions
 * describe. RFC 9293 (3.10.7.4 order of checks), 7323, 2018, 6675, 8985 (RACK-TLP), 6937 (PRR),
 * 5682 (F-RTO), 6298 (RTO), 5961 (blind attacks), 3168 (ECN), 5681 3.2 (fast retransmit), 6528.
 *
 * Owner: the flow's core.
 */
#ifndef FP_TCP_H
#define FP_TCP_H

#include <stdint.h>
#include "flow.h"
#include "tas/counters.h"
#include "tas/fp_sp.h"
#include "tas/seg.h"
#include "tas/wire.h"

struct tcp_sent; /* sent-map node, sent.h */

/* One per core. */
struct tcp_env {
	uint64_t now_ns;		/* CLOCK_MONOTONIC */
	uint32_t now_us;		/* (uint32_t)(now_ns / 1000): set once per burst */
	uint32_t sent_free;		/* free list of the pool */
	uint32_t sent_fresh, sent_used; /* nodes never used yet begin here; nodes in use */
	uint32_t sent_fresh_end;	/* ... and end here */
	uint32_t nsent;			/* nodes this core has, used or not */
	struct tcp_sent *sent;		/* node 0; all cores use one array */
	uint32_t min_rto_us;		/* 200000 unless configured */
	uint32_t rcvbuf_max, sndbuf_max;
	uint32_t challenge_tokens; /* RFC 5961 section 7: tcp_challenge_refill each second */
	struct tas_fp_counters *cnt;
};

/* Pool of sent-map nodes: `count` nodes in `mem` (tcp_sent_bytes(count) bytes, zeroed by the
 * caller). */
uint64_t tcp_sent_bytes(uint32_t count);
void tcp_env_init(struct tcp_env *env, void *mem, uint32_t count);
/* As one core of several: nodes first..first + count - 1 (first >= 1) of a common pool are its. */
void tcp_env_init_part(struct tcp_env *env, void *mem, uint32_t first, uint32_t count);

/* pool.c: nodes that change cores. A flow leaves a core / joins another: its nodes count there. */
void tcp_pool_leave(const struct fp_flow_cold *c, struct tcp_env *env);
void tcp_pool_join(const struct fp_flow_cold *c, struct tcp_env *env);
/*
 * A core that has more nodes than its share puts unused ones on the list *spare (0 = empty, any
 * core, any time); one that has less takes them. Some at a time: call it once a round while
 * env->nsent is not the share.
 */
void tcp_pool_balance(struct tcp_env *env, uint32_t share, uint32_t *spare);

/* A second has passed: how many challenge ACKs the next one allows, by 32 random bits. */
void tcp_challenge_refill(struct tcp_env *env, uint32_t random);

/* Sets up a zeroed record from the handshake's result. Does not touch engine fields. */
void tcp_install(struct fp_flow *f, struct fp_flow_cold *c, const struct fp_flow_init *in,
	const struct tcp_env *env);
/* Gives all sent-map nodes back. */
void tcp_release(struct fp_flow *f, struct fp_flow_cold *c, struct tcp_env *env);

/* Verdict bits of tcp_rx, tcp_rx_stored, tcp_timer. Several may be set. */
#define TCP_V_DATA     0x0001u /* store out->data at position out->pos, then call tcp_rx_stored */
#define TCP_V_HEAD     0x0002u /* rx_nxt advanced: tell the program */
#define TCP_V_RX_FIN   0x0004u /* the peer's FIN is now in order */
#define TCP_V_ACKED    0x0008u /* tx_una advanced: free send chunks, tell the program if it waits */
#define TCP_V_TX       0x0010u /* something may be sendable now: data, retransmission or probe */
#define TCP_V_ACK      0x0020u /* send an ACK now (unless data goes out in this burst anyway) */
#define TCP_V_TX_FIN   0x0040u /* our FIN has been acknowledged */
#define TCP_V_RESET    0x0080u /* valid RST: the connection is gone (ECONNRESET) */
#define TCP_V_TIMEOUT  0x0100u /* given up (ETIMEDOUT) */
#define TCP_V_RST_OUT  0x0200u /* send RST and close: data after close, keepalive unanswered */
#define TCP_V_FEEDBACK 0x0400u /* tell congestion control now: loss, RTO, a round trip */
#define TCP_V_DONE     0x0800u /* both FINs exchanged and acknowledged: it can leave */
#define TCP_V_URG      0x1000u /* a new urgent mark is announced: SIGURG */

struct tcp_rx_out {
	uint64_t pos;	     /* stream position of data[0] */
	const uint8_t *data; /* trimmed to the window and to what is not yet had */
	uint32_t len;
	uint32_t fin; /* the segment carries FIN at pos + len; handled by tcp_rx_stored */
};

/* Processes one segment (flags SYN, RST included). */
uint32_t tcp_rx(struct fp_flow *f, struct fp_flow_cold *c, struct tcp_env *env, const struct seg *s,
	struct tcp_rx_out *out);
/*
 * After TCP_V_DATA (or out->fin): `stored` of the out->len bytes were kept (0 when memory was
 * missing: then the segment counts as lost). Advances RCV.NXT, out-of-order
 * intervals, window and ACK state.
 */
uint32_t tcp_rx_stored(struct fp_flow *f, struct fp_flow_cold *c, struct tcp_env *env,
	const struct seg *s, const struct tcp_rx_out *out, uint32_t stored);

/* The program's news: it consumed up to rx_read, wrote up to tx_head, shut down (flags
 * FP_F_TX_SHUT, ...). */
uint32_t tcp_app(struct fp_flow *f, struct fp_flow_cold *c, struct tcp_env *env, uint64_t rx_read,
	uint64_t tx_head);

/*
 * Urgent data, urgent.c. The program wrote up to `up`, the last byte of which is urgent; it took the
 * urgent byte at `pos` out of line; what its slot shows (struct tas_sock, rx_urg).
 */
void tcp_urgent_sent(struct fp_flow *f, struct fp_flow_cold *c, uint64_t up);
void tcp_urgent_taken(const struct fp_flow *f, struct fp_flow_cold *c, uint64_t pos);
uint64_t tcp_urgent_word(const struct fp_flow *f, const struct fp_flow_cold *c);

/* Can the peer hardly send before the program reads? */
int tcp_rx_full(const struct fp_flow *f, const struct fp_flow_cold *c);

/* What to send next. */
struct tcp_tx {
	uint64_t pos;  /* first stream position */
	uint32_t len;  /* payload bytes (several MSS when `large` allows) */
	uint8_t flags; /* TCP_* of the segment */
	uint8_t retrans;
	uint8_t probe; /* window probe or TLP */
	uint8_t pad;
};
/*
 * Describes the next segment that window, congestion control, Nagle and recovery allow, at most
 * max_len bytes of payload (a multiple of MSS or less than one) and WIRE_GSO_SEGS segments. 1 = *t
 * filled, 0 = nothing now. Keepalive and window probes have no payload and an old position.
 * Pacing is not decided here (pacer.c), but 0 is returned for a paced flow with rate 0.
 */
int tcp_tx_next(struct fp_flow *f, struct fp_flow_cold *c, struct tcp_env *env, uint32_t max_len,
	struct tcp_tx *t);
/* The segment was given to the device. */
void tcp_tx_sent(
	struct fp_flow *f, struct fp_flow_cold *c, struct tcp_env *env, const struct tcp_tx *t);
/*
 * Header of that segment; t == NULL: a pure ACK (with SACK blocks). Clears what an ACK settles;
 * FP_F_ACK_NOW stays set when SACK blocks found no room beside the data: send a pure ACK as well.
 */
void tcp_header(struct fp_flow *f, struct fp_flow_cold *c, struct tcp_env *env,
	const struct tcp_tx *t, struct wire_tcp *h);
/* Header of an RST for this flow. */
void tcp_header_rst(
	struct fp_flow *f, struct fp_flow_cold *c, struct tcp_env *env, struct wire_tcp *h);

/*
 * Timers: the earliest deadline (RTO, TLP, reordering, persist, delayed ACK, keepalive, user
 * timeout, FIN-WAIT-2, cork) in ns of env->now_ns' clock, or UINT64_MAX. Call after anything above;
 * tcp_timer when it has passed (calling early is harmless).
 */
uint64_t tcp_deadline(
	const struct fp_flow *f, const struct fp_flow_cold *c, const struct tcp_env *env);
uint32_t tcp_timer(struct fp_flow *f, struct fp_flow_cold *c, struct tcp_env *env);

/* New parameters; new path MTU; new options. */
void tcp_cc_set(struct fp_flow *f, struct fp_flow_cold *c, const struct cc_params *p);
void tcp_mss_set(struct fp_flow *f, struct fp_flow_cold *c, struct tcp_env *env, uint16_t mss);
void tcp_opts_set(struct fp_flow *f, struct fp_flow_cold *c, const struct tcp_env *env,
	const struct tas_sockopts *o);
/* What a flow with FP_F_PACED may send in a second; 0 = nothing. */
uint32_t tcp_pace_kbps(const struct fp_flow_cold *c);
/* TCP_QUICKACK. Verdict bits. */
uint32_t tcp_quickack(struct fp_flow *f, struct fp_flow_cold *c, int on);
/* Has the send buffer, and what TCP_NOTSENT_LOWAT leaves of it, so much room that a program that waits should go on? */
int tcp_tx_space(const struct fp_flow *f, const struct fp_flow_cold *c);
/* Moves the gathered feedback into *fb and starts a new interval. */
void tcp_feedback_take(
	struct fp_flow *f, struct fp_flow_cold *c, struct tcp_env *env, struct cc_feedback *fb);

/* Send position the program may fill up to: tx_una + tuned send buffer. */
uint64_t tcp_tx_limit(
	const struct fp_flow *f, const struct fp_flow_cold *c, const struct tcp_env *env);

#endif
