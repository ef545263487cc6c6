/*
 * futex.h - the one futex operation the slow path needs, on words shared between processes
 * (futex(2)).
 */
#ifndef SP_FUTEX_H
#define SP_FUTEX_H

#include <linux/futex.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Wakes up to `n` threads asleep on `word`. A program's word may be unmapped or odd: errors mean
 * nobody waits. */
static inline void sp_futex_wake(uint32_t *word, int32_t n)
{
	(void)!syscall(SYS_futex, word, FUTEX_WAKE, n, NULL, NULL, 0);
}

#endif
