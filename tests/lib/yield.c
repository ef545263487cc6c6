/*
 * yield.c - TAS_YIELD() of the test build: gives up the CPU one time in TAS_YIELD_ONE_IN (default 8, 0 = never), by
 * TAS_SEED. With everything pinned to one CPU each such step lets another thread run in between. Any thread.
 */
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "tas/atomic.h"
#include "tas/yield.h"

static uint64_t seed = 1, one_in = 8;
static uint64_t threads; /* each has a sequence of its own */

static uint64_t number(const char *name, uint64_t none)
{
	const char *text = getenv(name);

	return text != NULL && *text != '\0' ? strtoull(text, NULL, 0) : none;
}

__attribute__((constructor)) static void begin(void)
{
	seed = number("TAS_SEED", seed);
	one_in = number("TAS_YIELD_ONE_IN", one_in);
}

/* In a preloaded library TLS of another model may call malloc(). */
static __thread uint64_t state __attribute__((tls_model("initial-exec")));

void tas_test_yield(void)
{
	if (state == 0)
		state = (seed + 1) * 0x9e3779b97f4a7c15ull +
			tas_fetch_add(&threads, 2ull) * 0xd1342543de82ef95ull + 1;
	state ^= state << 13; /* xorshift64 (Marsaglia 2003) */
	state ^= state >> 7;
	state ^= state << 17;
	if (one_in != 0 && (state >> 20) % one_in == 0)
		syscall(SYS_sched_yield);
}
