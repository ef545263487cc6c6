/*
 * share.h - connections that several processes hold: who they are, and what happens when one claims
 * the connection, lets go of it or ends. A connection without a record here is held by the program
 * whose slot it is in. Owner: slow path thread.
 * docs/decisions/0009-connections-held-by-several-processes.md.
 */
#ifndef SP_SHARE_H
#define SP_SHARE_H

#include "sp.h"

struct sp_share {
	uint64_t holders[FP_MAX_APPS / 64]; /* bit per program */
	uint32_t conn;			    /* whose record it is, 0 = not in use */
	uint32_t passed;		    /* without holders it may go on (passing.h) */
};

/* The child will hold what the parent holds. 0 or -ENOMEM: nothing changed. */
int sp_share_fork(struct sp *sp, struct sp_app *parent, struct sp_app *child);
/* The connection goes to slot `slot` of `app`. 0, -ENOENT: no holder, or -EAGAIN: in a moment. */
int sp_share_claim(struct sp *sp, struct sp_conn *c, struct sp_app *app, uint32_t slot);
/* `app` has closed its last descriptor. 1 = others hold it, 0 = it was the last. */
int sp_share_release(struct sp *sp, struct sp_conn *c, struct sp_app *app);
/* `app` leaves: before SP_APP_DEL is sent. `lives`: the process goes on as another program, so that what it alone held is closed and not reset. */
void sp_share_leave(struct sp *sp, struct sp_app *app, int lives);
/*
 * `app`, which has it (in slot `slot`, unless others hold it too), passes its descriptor on, whose handle is `fd` with `what->cookie`.
 * 0, -ENOENT: it is not a holder, or -errno.
 */
int sp_share_pass(struct sp *sp, struct sp_conn *c, struct sp_app *app, uint32_t slot,
	struct sp_passing *what, int fd);
int sp_share_held_by(struct sp *sp, const struct sp_conn *c, const struct sp_app *app);
/* `app` has the descriptor of a connection that was passed. */
void sp_share_receive(struct sp *sp, struct sp_conn *c, struct sp_app *app);
/* Nobody holds it, and nothing is on its way any more. */
void sp_share_end(struct sp *sp, struct sp_conn *c);
/* The record of a connection that ends. */
void sp_share_free(struct sp *sp, struct sp_conn *c);

#endif
