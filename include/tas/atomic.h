/*
 * atomic.h - the few memory-ordering primitives used across the project.
 *
 * Shared memory carries no _Atomic types (headers must compile as C++17 and the layout is an ABI), so
 * every cross-thread access goes through these names. A barrier that matters is labelled where it is
 * used and names its pair.
 *
 * Owner: none (pure). Specification: the C11 memory model through GCC's __atomic builtins.
 */
#ifndef TAS_ATOMIC_H
#define TAS_ATOMIC_H

#define TAS_CACHELINE 64

/* Plain single-copy-atomic access: no ordering, never torn, never re-read by the compiler. */
#define tas_load(p)	   __atomic_load_n((p), __ATOMIC_RELAXED)
#define tas_store(p, v)	   __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define tas_load_acq(p)	   __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define tas_store_rel(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
/* A load that stays behind every earlier read-modify-write of this thread (free on x86). */
#define tas_load_sc(p)	   __atomic_load_n((p), __ATOMIC_SEQ_CST)

/* Read-modify-write; all of them are full barriers. */
#define tas_xchg(p, v)	   __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)
#define tas_fetch_or(p, v)  __atomic_fetch_or((p), (v), __ATOMIC_SEQ_CST)
#define tas_fetch_and(p, v) __atomic_fetch_and((p), (v), __ATOMIC_SEQ_CST)
#define tas_fetch_add(p, v) __atomic_fetch_add((p), (v), __ATOMIC_SEQ_CST)
#define tas_cas(p, expected, v) \
	__atomic_compare_exchange_n((p), (expected), (v), 0, __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE)

/* Store-load barrier: the one that sleeping and waking needs. */
#define tas_full_barrier() __atomic_thread_fence(__ATOMIC_SEQ_CST)

static inline void tas_cpu_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

#endif
