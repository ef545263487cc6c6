/*
 * transit.h - pipes of our own through which splice() moves bytes.
 *
 * The program's pipe may be full, empty or shared with others at any moment, and whether a call on it
 * waits is a property of a description that is not ours. What goes to it or comes from it therefore
 * passes a pipe of ours by splice() with SPLICE_F_NONBLOCK: that takes exactly what there is, or room
 * for, and never waits while a slot's lock is held. Owner: the borrowing thread. pipe(7), splice(2).
 */
#ifndef LT_TRANSIT_H
#define LT_TRANSIT_H

#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* An empty pipe, or LT_NONE: no descriptors. */
uint32_t lt_transit_get(void);
/* It is empty. */
void lt_transit_put(uint32_t t);
/* Bytes that may be written to it at a time. */
uint32_t lt_transit_room(uint32_t t);

/* Bytes, 0 (nobody writes to the program's pipe any more) or -errno; -EAGAIN: there is nothing, or no room. */
ssize_t lt_transit_take(uint32_t t, int from, size_t n);	       /* program's pipe -> ours */
ssize_t lt_transit_give(uint32_t t, int to, size_t n, unsigned flags); /* ours -> program's pipe */
ssize_t lt_transit_write(uint32_t t, const struct iovec *v, int nv);
ssize_t lt_transit_read(uint32_t t, const struct iovec *v, int nv);
void lt_transit_empty(uint32_t t);
/* Sleeps until there is something in the program's pipe, as its own read would. 0, or -errno. */
int lt_transit_await(uint32_t t, int from);

void lt_transits_move_fd(int fd);
void lt_transits_fork_child(void);

#endif
