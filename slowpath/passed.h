/*
 * passed.h - descriptors that programs pass: how to get rid of them without being held up.
 *
 * close(2) may wait: on a socket with SO_LINGER for its peer, on a file of FUSE for the program
 * that serves it. Nothing that a program passes may make the slow path wait, so what may is closed
 * by a thread of its own, and a timer interrupts what nevertheless waits here. socket(7) SO_LINGER,
 * fuse(4), timer_create(2). Owner: slow path thread.
 */
#ifndef SP_PASSED_H
#define SP_PASSED_H

struct sp;

/* Closes what a program passed, now or soon. 0, or -1: too many wait for one that does not close. */
int sp_passed_close(struct sp *sp, int fd);

/* From now until sp_guard_off, system calls of this thread that wait are interrupted every 20 ms. */
void sp_guard(struct sp *sp);
void sp_guard_off(struct sp *sp);
void sp_guard_free(struct sp *sp);

#endif
