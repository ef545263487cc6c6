/*
 * cmd.h - handlers of programs' messages, one per enum tas_cmd; private to cmd.c, cmd_app.c,
 * cmd_sock.c and cmd_pass.c. Owner: slow path thread.
 */
#ifndef SP_CMD_H
#define SP_CMD_H

#include "app_internal.h"
#include "tas/app_sp.h"

#define SP_REQUEST_FDS 4 /* more than any command takes */

struct sp_request {
	struct tas_msg m;	 /* a private copy */
	struct sp_app *app;	 /* HELLO may change it */
	int fds[SP_REQUEST_FDS]; /* -1 in place of what a handler kept; the rest is closed for it */
	int nfds;
	uint32_t pid, uid,
		gid; /* of the sender, as the kernel says, on the connection of a child; else 0 */
};

#define SP_REPLY_FDS (TAS_MAX_CORES + 2)

struct sp_reply {
	struct tas_msg m;
	int fds[SP_REPLY_FDS];
	int nfds;
	int own; /* of these, so many from the front are closed when they have been sent */
};

/* Who the request is for: the program itself, or one it has announced by FORK and names by its token; NULL: no such one. */
struct sp_app *sp_cmd_principal(struct sp *sp, const struct sp_request *rq);

/* The listener that it names and the program holds, else NULL. */
struct sp_listener *sp_cmd_listener(struct sp *sp, const struct sp_request *rq);

/* What was passed has come: to be said when its receiver is a holder of it. */
void sp_pass_taken(struct sp *sp, uint64_t cookie, uint32_t flags);

/* The reply's status: >= 0, or -errno. */
typedef int sp_cmd_fn(struct sp *sp, struct sp_request *rq, struct sp_reply *rp);

sp_cmd_fn sp_cmd_hello, sp_cmd_region, sp_cmd_segment, sp_cmd_evq, sp_cmd_fork, sp_cmd_unfork;
sp_cmd_fn sp_cmd_bind, sp_cmd_listen, sp_cmd_join, sp_cmd_unlisten, sp_cmd_rewake, sp_cmd_connect,
	sp_cmd_setopt, sp_cmd_info, sp_cmd_cancel, sp_cmd_claim, sp_cmd_release;
sp_cmd_fn sp_cmd_pass, sp_cmd_unpass, sp_cmd_receive;

#endif
