/*
 * startup.h - start and stop of the whole daemon. Owner: slow path thread.
 */
#ifndef SP_STARTUP_H
#define SP_STARTUP_H

struct sp;

/* Runs the steps of startup_order.h; undoes those done when one fails. 0 or -errno. */
int sp_start(struct sp *sp);
/* Resets the programs' connections, then undoes every step. */
void sp_stop(struct sp *sp);

#endif
