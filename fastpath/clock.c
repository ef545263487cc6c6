/*
 * clock.c - CLOCK_MONOTONIC from the time stamp counter: no system call, no overflow. Any thread.
 *
 * ns = base_ns + (tsc - base_tsc) * mult / 2^32 in 128 bits: right for centuries. The rate is
 * measured once against the kernel's clock; afterwards the base is taken again about once a second
 * by whoever calls, so that the kernel's frequency corrections are followed. Where the TSC is not
 * invariant (CPUID 8000_0007h EDX bit 8, Intel SDM 18.17.1), or on another architecture,
 * clock_gettime is asked instead.
 */
#include "fp.h"
#include <time.h>
#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>
#endif

#define CALIBRATE_NS                                                                               \
	20000000ull /* 20 ms: 1 us of jitter at either end is 100 ppm, corrected below */
#define REBASE_NS 1000000000ull

static uint64_t kernel_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

#if defined(__x86_64__)
enum { CLOCK_UNKNOWN, CLOCK_TSC, CLOCK_KERNEL };

/* A thread keeps its own base: nothing is shared, nothing can be read half-written. */
struct base {
	uint64_t tsc, ns, mult_q32;
	uint64_t last; /* never goes back */
};

static uint32_t kind; /* writer: the first caller(s), with the same value */
static uint64_t mult; /* ns per tick in 2^-32ths, valid once kind is CLOCK_TSC */
static __thread struct base base;

static int tsc_invariant(void)
{
	unsigned int a, b, c, d = 0;

	return __get_cpuid(0x80000007u, &a, &b, &c, &d) && (d & 1u << 8);
}

/* A pair of readings as close together as it gets: the tightest of some attempts. */
static void read_both(uint64_t *tsc, uint64_t *ns)
{
	uint64_t best = UINT64_MAX;
	int i;

	for (i = 0; i < 5; i++) {
		uint64_t t0 = __rdtsc(), n = kernel_ns(), t1 = __rdtsc();

		if (t1 - t0 < best) {
			best = t1 - t0;
			*tsc = t0 + (t1 - t0) / 2;
			*ns = n;
		}
	}
}

static void calibrate(void)
{
	uint64_t t0 = 0, n0 = 0, t1 = 0, n1 = 0;

	if (!tsc_invariant()) {
		tas_store_rel(&kind, CLOCK_KERNEL);
		return;
	}
	read_both(&t0, &n0);
	do
		read_both(&t1, &n1);
	while (n1 - n0 < CALIBRATE_NS);
	tas_store(&mult, (uint64_t)(((unsigned __int128)(n1 - n0) << 32) / (t1 - t0)));
	tas_store_rel(&kind, CLOCK_TSC);
}

/*
 * Takes the base again; the rate since the last base is better than the first measurement, because
 * the interval is longer. An interval in which the machine slept is not used for the rate.
 */
static void rebase(struct base *b)
{
	uint64_t tsc = 0, ns = 0;

	read_both(&tsc, &ns);
	if (b->tsc != 0 && tsc > b->tsc && ns > b->ns) {
		uint64_t rate =
			(uint64_t)(((unsigned __int128)(ns - b->ns) << 32) / (tsc - b->tsc));
		uint64_t known = tas_load(&mult);

		if (rate > known - known / 1000 && rate < known + known / 1000)
			b->mult_q32 = rate;
	} else {
		b->mult_q32 = tas_load(&mult);
	}
	b->tsc = tsc;
	b->ns = ns;
}

uint64_t fp_tsc_hz(void)
{
	fp_now_ns(); /* measures it, the first time */
	if (tas_load_acq(&kind) != CLOCK_TSC)
		return 0;
	return (uint64_t)(((unsigned __int128)1000000000 << 32) / tas_load(&mult));
}

uint64_t fp_now_ns(void)
{
	struct base *b = &base;
	uint32_t k = tas_load_acq(&kind);
	uint64_t now, gone;

	if (k != CLOCK_TSC) {
		if (k == CLOCK_UNKNOWN)
			calibrate();
		return kernel_ns();
	}
	gone = (uint64_t)(((unsigned __int128)(__rdtsc() - b->tsc) * b->mult_q32) >> 32);
	if (b->tsc == 0 || gone > REBASE_NS) {
		rebase(b);
		gone = 0;
	}
	now = b->ns + gone;
	if (now < b->last)
		return b->last;
	b->last = now;
	return now;
}
#else
uint64_t fp_tsc_hz(void)
{
	return 0;
}

uint64_t fp_now_ns(void)
{
	return kernel_ns();
}
#endif
