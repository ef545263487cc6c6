/*
 * passed.h - descriptors that programs pass: how to get rid of them without being held up.
 *
 * close(2) may wait: on a socket with SO_LINGER for its peer, on a file of FUSE for the program
 * that serves it. Nothing that a program passes may make the slow path wait, so what may is closed
 * by threads of their own, and a timer interrupts what nevertheless waits here. What waits is counted
 * by user, and is bounded: who has no room passes nothing more. socket(7) SO_LINGER, fuse(4),
 * timer_create(2). Owner: slow path thread.
 */
#ifndef SP_PASSED_H
#define SP_PASSED_H

#include <stdint.h>

#define SP_PASSED_MAX 253 /* as many descriptors as a message can carry (SCM_MAX_FD) */

struct sp;

/* Is there room for what one message of this user brings? To be asked before it is received. */
int sp_passed_room(uint32_t uid);
/* Closes what a program of `uid` passed, now or soon. 0, or -1: that user has no room for more now. */
int sp_passed_close(struct sp *sp, uint32_t uid, int fd);

/* From now until sp_guard_off, system calls of this thread that wait are interrupted: after 20 ms, then every ms. */
void sp_guard(struct sp *sp);
void sp_guard_off(struct sp *sp);
void sp_guard_free(struct sp *sp);

#endif
