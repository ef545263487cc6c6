/*
 * passing.h - connections and listeners whose descriptor is on its way to another process: passed
 * over a UNIX socket, or inherited by a program that has not come yet.
 *
 * Nobody says when such a descriptor is lost, so the kernel is asked: what stands behind every
 * descriptor is a socket, and an epoll set that has it in it loses it when its last descriptor,
 * in whatever process or message, is gone. While something is on its way, the connection or listener
 * stays without holders; who presents the descriptor becomes one.
 * Owner: slow path thread. docs/decisions/0014-spawned-and-passed-descriptors.md, epoll(7).
 */
#ifndef SP_PASSING_H
#define SP_PASSING_H

#include <stdint.h>

struct sp;

#define SP_PASSING_MAX 4096u /* one user may have three quarters of them, root all */

/* What the receiver is told of the description; chosen by who passed it. */
struct sp_passing_note {
	uint32_t flags;
	uint64_t len, token[2];
};

/* One per connection or listener of which something is on its way. */
struct sp_passing {
	uint64_t cookie;  /* SO_COOKIE of its handle */
	uint32_t id, gen; /* connection; or listener, gen 0 */
	uint32_t uid;	  /* of who passed it first */
	uint32_t count;	  /* passed and not yet received */
	int watch; /* epoll set with the handle in it, and nothing else of it in this process */
	uint8_t listener, orphan; /* nobody holds it */
	uint32_t wait_ns;	  /* since the last look at an orphan */
	uint64_t due_ns;
	struct sp_passing_note note;
};

struct sp_passings {
	struct sp_passing *table; /* SP_PASSING_MAX of them, made for the first one */
	uint32_t count, orphans;
	uint64_t due_ns; /* of the next look at an orphan, while there are any */
};

/* Passed once more. `fd`: the handle, the caller's. 0, -ENOBUFS, -ENOMEM or -errno. */
int sp_passing_add(struct sp *sp, const struct sp_passing *what, int fd);
/* One came, or was not sent. The record is gone with the last one. */
void sp_passing_done(struct sp *sp, uint64_t cookie);
const struct sp_passing *sp_passing_of_handle(struct sp *sp, uint64_t cookie);
const struct sp_passing *sp_passing_find(struct sp *sp, uint32_t id, uint32_t gen, int listener);
/* The last holder has left: 1 = it goes on as an orphan, 0 = nothing is on its way. */
int sp_passing_keeps(struct sp *sp, uint32_t id, uint32_t gen, int listener);
/* Somebody holds it again. */
void sp_passing_held(struct sp *sp, uint32_t id, uint32_t gen, int listener);
/* It has ended. */
void sp_passing_forget(struct sp *sp, uint32_t id, uint32_t gen, int listener);
/* Ends orphans whose descriptor is gone; to be called once a round. */
void sp_passing_run(struct sp *sp);
/* When sp_passing_run has something to do next. */
uint64_t sp_passing_next(const struct sp *sp);
void sp_passing_free(struct sp *sp);

#endif
