/*
 * loop.h - the slow path's event loop: epoll, level-triggered, never spinning.
 *
 * A source is a descriptor with a function; the function is called while the descriptor is ready
 * and handles a bounded batch. A source may be removed from inside any function, its own included.
 * Owner: slow path thread.
 */
#ifndef SP_LOOP_H
#define SP_LOOP_H

#include <stdint.h>

struct sp;
struct sp_source;

typedef void sp_source_fn(struct sp *sp, struct sp_source *src, uint32_t events);

struct sp_source {
	int fd; /* -1 = not in the loop */
	sp_source_fn *fn;
	void *arg;
};

/* Watches `fd` for `events` (EPOLLIN ...). `src` is the caller's and stays until sp_loop_del. 0 or
 * -errno. */
int sp_loop_add(
	struct sp *sp, struct sp_source *src, int fd, uint32_t events, sp_source_fn *fn, void *arg);
/* Does not look at the source until the next tick of a second: it is ready and cannot be served. */
void sp_loop_rest(struct sp *sp, struct sp_source *src);
/* The tick: all that rest are looked at again. */
void sp_loop_resume(struct sp *sp);
/* Forgets the source; does not close the descriptor. Harmless when it is not in the loop. */
void sp_loop_del(struct sp *sp, struct sp_source *src);

int sp_loop_init(struct sp *sp);
void sp_loop_free(struct sp *sp);
/* Waits at most timeout_ms (-1 = for ever) and dispatches what is ready. How many, or -errno. */
int sp_loop_step(struct sp *sp, int timeout_ms);
/* Runs until sp_loop_stop. 0 or -errno. */
int sp_loop_run(struct sp *sp);
void sp_loop_stop(struct sp *sp);

#endif
