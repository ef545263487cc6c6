/*
 * loop.h - congestion control's rounds. Owner: slow path thread.
 */
#ifndef SP_CC_LOOP_H
#define SP_CC_LOOP_H

#include "tas/cc.h"

struct sp;
struct sp_conn;

/* Feedback of an installed flow: runs its algorithm and sends the parameters to its core. */
void sp_cc_feedback(struct sp *sp, struct sp_conn *c, const struct cc_feedback *fb);
/* An open connection goes on with another algorithm, from the window that it has. */
void sp_cc_switch(struct sp *sp, struct sp_conn *c, uint32_t cc);

#endif
