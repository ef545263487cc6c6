/*
 * internal.h - functions that the files of conn/ and the commands share; not for other readers.
 * Owner: slow path thread.
 */
#ifndef SP_CONN_INTERNAL_H
#define SP_CONN_INTERNAL_H

#include "sp.h"

/* ---- conn.c: records and the state table ---- */

enum sp_conn_event_type {
	SP_EV_SYN,     /* SYN in a handshake: ours crossed, or the peer's repeated */
	SP_EV_SYN_ACK, /* acceptable SYN-ACK */
	SP_EV_ACK,     /* acceptable ACK of our SYN */
	SP_EV_RST,     /* acceptable RST */
	SP_EV_SEGMENT, /* anything for an installed connection */
	SP_EV_TIMER,   /* retransmission is due */
	SP_EV_GIVE_UP, /* and has been tried often enough */
	SP_EV_UNREACH, /* the network says no: in->error */
	SP_EV_CANCEL,  /* its program or listener is gone or no longer wants it */
	SP_EV_KILL,    /* tasctl kill, shutdown: in->error */
	SP_EV_CLOSED,  /* the fast path let go of it: in->closed */
	SP_EV_EVENTS
};

struct sp_conn_input {
	const struct seg *seg;
	const uint8_t *frame;
	uint32_t frame_len;
	uint16_t gso_size;
	int error; /* errno for the program */
	const struct fp_event *closed;
};

/* Runs the table. The record may be free afterwards. */
void sp_conn_event(struct sp *sp, struct sp_conn *c, enum sp_conn_event_type ev,
	const struct sp_conn_input *in);

/* A new record for the tuple, in the hash, state FREE, with gen, ISN and timestamp offset; NULL:
 * table full. */
struct sp_conn *sp_conn_new(struct sp *sp, const struct tas_tuple *t);
/* Takes it out of every list and frees it. */
void sp_conn_release(struct sp *sp, struct sp_conn *c);

/* Lists of connections by id through owner_prev/owner_next. */
void sp_conn_list_add(struct sp *sp, uint32_t *head, uint32_t *tail, struct sp_conn *c);
void sp_conn_list_del(struct sp *sp, uint32_t *head, uint32_t *tail, struct sp_conn *c);

/* ---- timer.c ---- */
void sp_conn_timer_set(struct sp *sp, struct sp_conn *c, uint64_t at_ns);
void sp_conn_timer_clear(struct sp *sp, struct sp_conn *c);

/* ---- emit.c: frames of the slow path ---- */
void sp_emit_syn(struct sp *sp, struct sp_conn *c); /* SYN or SYN-ACK by state */
void sp_emit_ack(struct sp *sp, const struct sp_conn *c);
void sp_emit_rst_conn(struct sp *sp, const struct sp_conn *c);
/* RST in answer to a segment of no connection (RFC 9293 3.10.7.1), back to where the frame came
 * from. */
void sp_emit_rst(struct sp *sp, const struct seg *s, const uint8_t *frame);
/* ACK of a connection in TIME-WAIT. */
void sp_emit_tw_ack(struct sp *sp, const struct sp_timewait *w, const uint8_t *frame);
uint32_t sp_tsval(const struct sp *sp, uint32_t ts_offset);

/* ---- handshake.c ---- */
/* A segment that no core knows. */
void sp_tcp_input(
	struct sp *sp, const struct seg *s, const uint8_t *frame, uint32_t len, uint16_t gso_size);
/* Everything we can, to be offered to the peer; then what the peer's SYN offered of it, into the
 * record. */
void sp_conn_offer_options(struct sp *sp, struct sp_conn *c);
void sp_conn_take_options(struct sp *sp, struct sp_conn *c, const struct seg *s);
/* Handshake done, next hop known: congestion control, message to the core. */
void sp_conn_establish(struct sp *sp, struct sp_conn *c);
/* Index into cc_algos of what the options, else the configuration, choose. */
uint32_t sp_conn_algorithm(const struct sp *sp, const struct tas_sockopts *opts);
/* Drops the oldest half-open connection of a listener (or of all: l NULL). */
void sp_half_open_drop_oldest(struct sp *sp, struct sp_listener *l);
void sp_half_open_remove(struct sp *sp, struct sp_conn *c);

/* ---- active.c ---- */
/*
 * Starts a handshake for `app`'s slot. t: local address and port may be 0 (chosen). 0 and *out, or
 * -errno.
 */
int sp_connect(struct sp *sp, struct sp_app *app, uint32_t slot, const struct tas_tuple *t,
	const struct tas_sockopts *opts, struct sp_conn **out);
/* Its SYN, or what is left of the wait for the next hop: as if nothing had been sent before. */
void sp_connect_begin(struct sp *sp, struct sp_conn *c);
/* The handshake failed: publishes `error` in the slot. The caller frees the record. */
void sp_connect_failed(struct sp *sp, struct sp_conn *c, int error);
/* Takes it out of its program's list of handshakes. */
void sp_connect_done(struct sp *sp, struct sp_conn *c);
/* The next hop has answered: handshakes towards it that wait for that begin. */
void sp_connect_neigh_known(struct sp *sp, uint16_t neigh);
/* The next hop did not answer: handshakes towards it fail with EHOSTUNREACH. */
void sp_connect_neigh_failed(struct sp *sp, uint16_t neigh);

/* ---- listener.c, accept.c ---- */
struct sp_listen_args {
	uint64_t cookie;
	uint8_t laddr[16];
	uint16_t lport, net;
	uint8_t reuseport, listening; /* as of struct sp_handle */
	uint32_t uid, backlog;
	const struct tas_sockopts *opts;
};
/* A new listener without holders. 0 or -errno. */
int sp_listener_create(struct sp *sp, const struct sp_listen_args *a, struct sp_listener **out);
/*
 * Before that: listeners of this address whose holders have ended go at once. So do others when the
 * kernel lets the new socket listen where they needed it alone: their own has gone, however late we
 * hear of it (a process closes its sockets before its pidfd says so).
 */
void sp_listener_make_way(
	struct sp *sp, const struct sp_listen_args *a, const struct sp_app *asker);
/* Another listen() on it. */
void sp_listener_set_backlog(struct sp *sp, struct sp_listener *l, uint32_t backlog);
/* Holders. 0, -EALREADY, -EMFILE. When the last one leaves the listener is destroyed. */
int sp_listener_hold(struct sp *sp, struct sp_listener *l, struct sp_app *app);
void sp_listener_leave(struct sp *sp, struct sp_listener *l, struct sp_app *app);
void sp_listener_leave_all(struct sp *sp, uint32_t id);
int sp_listener_held_by(const struct sp_listener *l, uint32_t app);
void sp_listeners_free(struct sp *sp);

int sp_accept_full(const struct sp_listener *l);
/* Reserves a place for the connection: entry and ticket. */
void sp_accept_reserve(struct sp_listener *l, struct sp_conn *c);
/* The core can know the connection now: shows its place to the holders. Harmless for others. */
void sp_accept_publish(struct sp *sp, struct sp_conn *c);
/* The connection was taken or is gone: its place is free. */
void sp_accept_clear(struct sp *sp, struct sp_conn *c);
/* Offers again what a holder claimed long ago and has not bound: it was refused, or stopped. */
void sp_accept_tick(struct sp *sp);
/* A holder left: what it had claimed is offered to the others again. */
void sp_accept_requeue(struct sp *sp, struct sp_listener *l, uint32_t app);
/* The listener goes: reset what waits; what `app` has claimed waits for the cores' word on app. */
void sp_accept_abandon(struct sp *sp, struct sp_listener *l, struct sp_app *app);
/* Tells holders that a connection waits; `all`: those that want to hear of every one, too. */
void sp_accept_notify(struct sp *sp, struct sp_listener *l, int all);
/* Wakes the next exclusive waiter if anything waits. */
/* 1 when the program has claimed the connection, which is not bound to a slot yet. */
int sp_accept_claimed_by(struct sp *sp, const struct sp_conn *c, const struct sp_app *app);
void sp_accept_rewake(struct sp *sp, struct sp_listener *l);

/* ---- teardown.c ---- */
void sp_conn_closed(struct sp *sp, struct sp_conn *c, const struct fp_event *ev);
/*
 * A segment for a TIME-WAIT record. 1 = settled; 0 = a SYN that opens a new connection (*min_iss),
 * which only a listener (`wanted`) makes possible.
 */
int sp_tw_input(struct sp *sp, struct sp_timewait *w, const struct seg *s, const uint8_t *frame,
	int wanted, uint32_t *min_iss);
/* May a new own connection take the record's place (RFC 6191)? If so: removed, *min_iss. */
int sp_tw_reuse(struct sp *sp, struct sp_timewait *w, uint32_t *min_iss);
void sp_tw_tick(struct sp *sp);
/* One of the RSTs and ACKs that a second allows to strays. */
int sp_stray_allowed(struct sp *sp);

#endif
