/*
 * round.h - one round of the slow path and what it calls; tests drive a daemon without a loop
 * through it. Owner: slow path thread.
 */
#ifndef SP_ROUND_H
#define SP_ROUND_H

#include "tas/fp_sp.h"

struct sp;

/* Takes a batch of the cores' events and frames, runs timers due at sp->now_ns, retries full rings.
 */
void sp_round(struct sp *sp);
/* What is done once a second: ageing, reservations, heartbeat. */
void sp_tick(struct sp *sp);
/* One event of a core (event.c). */
void sp_event_input(struct sp *sp, const struct fp_event *ev);

/* Connections' deadlines (conn/timer.c): run those due; the next, or UINT64_MAX. */
void sp_conn_timers(struct sp *sp);
uint64_t sp_conn_timer_next(struct sp *sp);

#endif
