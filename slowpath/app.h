/*
 * app.h - registered programs: one record per process, from HELLO to the last core's
 * FP_EV_APP_GONE.
 *
 * The life of a record: NEW (connected) -> GREETED (HELLO, nothing mapped) -> ACTIVE (REGION) ->
 * DYING (the process ended or broke the ABI; waiting for the cores) -> free. RESERVED is the id a
 * FORK set aside for the child. Owner: slow path thread. The part that cores read is struct fp_app
 * (fastpath/fp.h).
 */
#ifndef SP_APP_H
#define SP_APP_H

#include <stdint.h>
#include <sys/types.h>
#include "fp.h"
#include "loop.h"
#include "tas/app_sp.h"

struct sp;

enum sp_app_state {
	SP_APP_FREE,
	SP_APP_NEW, /* connected, has not said HELLO */
	SP_APP_RESERVED,
	SP_APP_GREETED,
	SP_APP_ACTIVE,
	SP_APP_DYING,
};

struct sp_app {
	uint32_t id;
	uint8_t state;	   /* enum sp_app_state */
	uint8_t malformed; /* three malformed messages end the connection */
	uint8_t bad;	   /* isolated: broke the ABI */
	uint32_t pid, uid, gid;
	char comm[16];
	uint64_t joined_ns;
	uint64_t token[2];	/* RESERVED: what the child must say */
	uint64_t expires_ns;	/* NEW, RESERVED: until then */
	const char *only_child; /* NEW: why it must say a token, NULL: it need not */
	uint32_t parent;	/* app id that forked it */
	int sock,
		pidfd; /* -1 = none; RESERVED: sock is where the child will say HELLO, if it has one */
	struct sp_source sock_src, pid_src;
	uint64_t seg_bytes;  /* chunk memory in all */
	uint32_t nlisteners; /* held */
	uint32_t nshared;    /* connections held that others hold, or held, too */
	uint32_t nconns;     /* connections bound to its slots, handshakes included */
	uint32_t orphans;    /* head of the list of connections it claimed and never bound, their
				listener gone */
	uint32_t connecting; /* head of the list of handshakes */
	uint32_t *slot_conn; /* [nslots] handshake that will be bound to a slot, 0 = none */
	uint32_t gone_left;  /* DYING: cores that still hold something of it */
	uint64_t refused;    /* messages refused */
	uint64_t accepted, connected; /* connections taken and made in all */
};

struct sp_apps {
	struct sp_app *table[FP_MAX_APPS]; /* by id; entry 0 is never used */
	uint32_t count, max;
	int listen_fd;
	struct sp_source listen_src;
	uint8_t draining; /* no new programs, no new connections */
};

struct sp_app *sp_app_get(struct sp *sp, uint32_t id);
/* Reads by cursor, as sp_conn_next. */
struct sp_app *sp_app_next(struct sp *sp, uint32_t *cursor);
const char *sp_app_state_name(const struct sp_app *a);
/* The part that cores share: memory, slots, faults. NULL before REGION. */
struct fp_app *sp_app_fp(struct sp *sp, const struct sp_app *a);

/* Stop taking new programs and new connections; what exists goes on. */
void sp_drain(struct sp *sp);

#endif
