/*
 * lock.c - the slow half of lock.h: waiting, waking, and locks that keep signals away.
 * Owner: any thread. futex(2), rt_sigprocmask(2).
 */
#include "lock.h"
#include <signal.h>
#include "sys.h"

#define SPINS 100

__thread uint32_t lt_tid_cache __attribute__((tls_model("initial-exec")));

uint32_t lt_tid_slow(void)
{
	lt_tid_cache = (uint32_t)lt_sys1(SYS_gettid, 0);
	return lt_tid_cache;
}

int lt_lock_slow(uint32_t *w)
{
	uint32_t me = lt_tid(), v, mine = me;
	int spin;

	if ((tas_load(w) & ~LT_LOCK_WAITERS) == me)
		return -EDEADLK;
	for (spin = 0; spin < SPINS; spin++) {
		v = 0;
		if (tas_load(w) == 0 && tas_cas(w, &v, me))
			return 0;
		tas_cpu_relax();
	}
	/* From here on the lock is taken with the bit set: others may sleep beside us. */
	mine |= LT_LOCK_WAITERS;
	for (;;) {
		v = tas_load(w);
		if (v == 0) {
			if (tas_cas(w, &v, mine))
				return 0;
			continue;
		}
		if (!(v & LT_LOCK_WAITERS) && !tas_cas(w, &v, v | LT_LOCK_WAITERS))
			continue;
		lt_sys_futex_wait(w, v | LT_LOCK_WAITERS, NULL, FUTEX_PRIVATE_FLAG);
	}
}

void lt_lock_wake(uint32_t *w)
{
	lt_sys_futex_wake(w, 1, FUTEX_PRIVATE_FLAG);
}

void lt_signals_block(uint64_t *saved)
{
	uint64_t all = ~0ull;

	lt_sys4(SYS_rt_sigprocmask, SIG_SETMASK, &all, saved, sizeof(all));
}

void lt_signals_restore(const uint64_t *saved)
{
	lt_sys4(SYS_rt_sigprocmask, SIG_SETMASK, saved, NULL, sizeof(*saved));
}

void lt_lock_masked(uint32_t *w, uint64_t *saved)
{
	lt_signals_block(saved);
	lt_lock(w);
}

void lt_unlock_masked(uint32_t *w, const uint64_t *saved)
{
	lt_unlock(w);
	lt_signals_restore(saved);
}
