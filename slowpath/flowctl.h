/*
 * flowctl.h - what the slow path asks of the cores, as messages that are never lost.
 * A full ring puts messages into a backlog per core, in order; only congestion control's, which the
 * next feedback repeats, are dropped then. Owner: slow path thread.
 */
#ifndef SP_FLOWCTL_H
#define SP_FLOWCTL_H

#include <stdint.h>
#include "tas/fp_sp.h"

struct sp;
struct sp_conn;

/* Gives an established connection to its core. */
void sp_flow_install(struct sp *sp, const struct sp_conn *c);
/* Asks for RST (send_rst) and FP_EV_CLOSED; the program sees `error`. */
void sp_flow_abort(struct sp *sp, const struct sp_conn *c, int error, int send_rst);
void sp_flow_cc(struct sp *sp, const struct sp_conn *c, const struct cc_params *p);
/*
 * Out of whatever slot it is in, to be taken by a program. 0, or -EAGAIN: the core cannot hear of it
 * before the program asks it, or groups change hands.
 */
int sp_flow_grant(struct sp *sp, const struct sp_conn *c, uint32_t app, uint32_t slot);
/* Out of the slot of `from`, if it is there. */
void sp_flow_park(struct sp *sp, const struct sp_conn *c, uint32_t from);
/* Nobody holds it any more; a connection that is in a slot is left to its program. */
void sp_flow_finish(struct sp *sp, const struct sp_conn *c);
void sp_flow_opts(struct sp *sp, const struct sp_conn *c, const struct tas_sockopts *o);
/* New path MTU; `quoted_seq` is the sequence number in the packet that was too large. */
void sp_flow_pmtu(struct sp *sp, const struct sp_conn *c, uint16_t mtu, uint32_t quoted_seq);
/* A received frame of an installed flow, to be processed behind the messages sent before. Copies
 * it. */
void sp_flow_frame(struct sp *sp, const struct sp_conn *c, const uint8_t *frame, uint32_t len,
	uint16_t gso_size);
/* SP_APP_ADD or SP_APP_DEL to every core. */
void sp_flow_app(struct sp *sp, enum sp_msg_type type, uint32_t app);

/* 1 while the connection's core can take new flows: its backlog is short. */
int sp_flow_room(struct sp *sp, const struct tas_tuple *t);
/*
 * Groups change hands: from now on messages wait, until fp_move_poll says who has them. Then each goes
 * to the core that has its flow, in the order in which they were sent.
 */
void sp_flow_pause(struct sp *sp);
int sp_flow_paused(struct sp *sp);
int sp_flow_backlogged(const struct sp *sp);
void sp_flow_flush(struct sp *sp);
void sp_flow_free(struct sp *sp);

#endif
