/*
 * listener.h - listening sockets: key, holders, the half-open list and the accept queue in a shared
 * segment.
 *
 * A listener lives while a program holds it. Its identity is the SO_COOKIE of the kernel socket
 * that stands behind the program's descriptor; its segment (struct tas_listen) is mapped by all its
 * holders and is hostile input: what the daemon needs to go on is in the private record here.
 * Owner: slow path thread.
 */
#ifndef SP_LISTENER_H
#define SP_LISTENER_H

#include <stdint.h>
#include "fp.h"
#include "tas/region.h"

struct sp;
struct sp_conn;

#define SP_LISTEN_BUCKETS 1024u

/* One place of the accept queue, the daemon's own view. */
struct sp_accept {
	uint32_t conn; /* 0: empty */
	uint32_t ticket;
	uint64_t claimed_ns; /* seen claimed and not yet bound since then, 0 = not */
};

struct sp_listener {
	uint32_t id;	     /* 1 .. max_listeners, 0: not in use */
	uint32_t hash_next;  /* chain of sp_listeners.buckets */
	uint64_t cookie;     /* of the kernel socket */
	uint8_t laddr[16];   /* all zero = every address served */
	uint16_t lport, net; /* network order */
	uint8_t reuseport;
	uint32_t uid;	  /* of who made it: SO_REUSEPORT shares within one user */
	uint32_t backlog; /* as asked, capped */
	uint32_t entries; /* size of the queue: power of two */
	uint32_t nqueued; /* places in use */
	uint32_t tail, ticket;
	uint32_t half_head, half_tail, nhalf; /* half-open connections, oldest first */
	uint64_t syncookie_ns; /* when it last answered with a SYN cookie, 0 = never */
	uint32_t nholders, rotate;
	uint16_t holder[TAS_LISTEN_HOLDERS]; /* app ids; 0 = free place */
	struct tas_sockopts opts;
	struct sp_accept *accept;   /* [entries] */
	struct tas_listen *seg;	    /* the daemon's mapping */
	int fd;			    /* its memfd, passed to holders */
	uint64_t accepted, dropped; /* connections taken; dropped because the queue was full */
};

struct sp_listeners {
	struct sp_listener *table[FP_MAX_LISTENERS]; /* by id */
	struct tas_listen *segs[FP_MAX_LISTENERS]; /* as long as they are used: any thread reads */
	uint32_t buckets[SP_LISTEN_BUCKETS];
	uint32_t count, max;
};

/* A listener by id (NULL when none), by kernel socket, by the address a segment was sent to. */
struct sp_listener *sp_listener_get(struct sp *sp, uint32_t id);
struct sp_listener *sp_listener_by_cookie(struct sp *sp, uint64_t cookie);
struct sp_listener *sp_listener_match(struct sp *sp, const struct tas_tuple *t);
/* Does `p` lie in a listener's segment? Any thread, also in a signal handler: no record is looked at. */
int sp_listener_has(const struct sp *sp, const void *p);
/* Reads by cursor, as sp_conn_next. */
struct sp_listener *sp_listener_next(struct sp *sp, uint32_t *cursor);

#endif
