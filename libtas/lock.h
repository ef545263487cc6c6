/*
 * lock.h - a one-word lock that knows its holder.
 *
 * The word is 0, or the holder's tid, with a bit for "somebody sleeps". Because the holder is
 * known, a signal handler that enters libtas above a call it interrupted is told so (-EDEADLK)
 * instead of waiting for itself; each caller says what it does then. No data path sleeps while it
 * holds a lock. Owner: any thread of the process.
 */
#ifndef LT_LOCK_H
#define LT_LOCK_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include "tas/atomic.h"

#define LT_LOCK_WAITERS 0x80000000u

extern __thread uint32_t lt_tid_cache __attribute__((tls_model("initial-exec")));
uint32_t lt_tid_slow(void);
int lt_lock_slow(uint32_t *w);
void lt_lock_wake(uint32_t *w);

static inline uint32_t lt_tid(void)
{
	return lt_tid_cache != 0 ? lt_tid_cache : lt_tid_slow();
}

/* 0, or -EDEADLK when this very thread holds it. */
static inline int lt_lock(uint32_t *w)
{
	uint32_t none = 0;

	if (__builtin_expect(tas_cas(w, &none, lt_tid()), 1))
		return 0;
	return lt_lock_slow(w);
}

/* 0, or -EBUSY when anybody holds it. */
static inline int lt_trylock(uint32_t *w)
{
	uint32_t none = 0;

	return tas_cas(w, &none, lt_tid()) ? 0 : -EBUSY;
}

/* This very thread holds it: what runs now is a signal handler above. */
static inline bool lt_lock_mine(const uint32_t *w)
{
	return (tas_load(w) & ~LT_LOCK_WAITERS) == lt_tid();
}

static inline void lt_unlock(uint32_t *w)
{
	if (__builtin_expect(tas_xchg(w, 0u) & LT_LOCK_WAITERS, 0))
		lt_lock_wake(w);
}

/*
 * For what is rare and must not be entered twice: signals stay blocked while the lock is held, so
 * that no handler can run above it. *saved is the mask to restore.
 */
void lt_lock_masked(uint32_t *w, uint64_t *saved);
void lt_unlock_masked(uint32_t *w, const uint64_t *saved);
void lt_signals_block(uint64_t *saved);
void lt_signals_restore(const uint64_t *saved);

#endif
