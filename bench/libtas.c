/*
 * libtas.c - what does libtas cost a program, in TSC cycles per call?
 *
 * On descriptors that are not ours: each call through the preloaded name and through libc's own pointer, by
 * turns, so that what else the machine does meets both; the difference is what libtas adds. On ours: 64-byte
 * send, recv and epoll_wait with both sides in one thread, the core's part played by tests/unit/lt_world.c
 * outside of the measured stretch; then with that core polling on another CPU, beside what a cache line costs
 * there and back in the same run. libtas is linked in whole, with the exported wrappers, as in a preload.
 * Means of the middle half; the empty measurement is taken off. Prints a table, and one line of JSON with --json.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "lt_world.h"
#include "tas/atomic.h"

#define ROUNDS 20000
#define BATCH  16
#define BYTES  64
#define LINE_N 100000

#define MUST(x)                                                                                    \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			fprintf(stderr, "bench_libtas: %s\n", #x);                                 \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

struct result {
	const char *name;
	double cycles,
		libc;  /* libc: of the same call without libtas; < 0: there is no such thing */
	double target; /* of what libtas adds or costs; 0: none */
};

static struct result results[32];
static int nresults;
static uint32_t took[2][ROUNDS];
static double empty;

/* Nothing before it goes on after it, and the other way round. */
static inline uint64_t stamp(void)
{
#if defined(__x86_64__)
	uint64_t t;

	__builtin_ia32_lfence();
	t = __builtin_ia32_rdtsc();
	__builtin_ia32_lfence();
	return t;
#else
	uint64_t t;

	__asm__ volatile("isb; mrs %0, cntvct_el0; isb" : "=r"(t) : : "memory");
	return t;
#endif
}

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* The mean of the middle half: a median would move in steps of what the TSC counts at a time. */
static double middle(int way)
{
	double sum = 0;
	int i;

	qsort(took[way], ROUNDS, sizeof(took[way][0]), by_size);
	for (i = ROUNDS / 4; i < ROUNDS - ROUNDS / 4; i++)
		sum += took[way][i];
	return sum / (ROUNDS - ROUNDS / 4 - ROUNDS / 4);
}

static void record(const char *name, double cycles, double libc, double target)
{
	results[nresults++] = (struct result){name, cycles, libc, target};
}

static void measure_empty(void)
{
	uint64_t t;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		t = stamp();
		took[0][i] = (uint32_t)(stamp() - t);
	}
	empty = middle(0);
}

static void pin(size_t cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set); /* a machine with one CPU measures what it can */
}

/* ---- descriptors that are not ours ---- */

static ssize_t (*libc_send)(int, const void *, size_t, int);
static ssize_t (*libc_recv)(int, void *, size_t, int);
static int (*libc_epoll_wait)(int, struct epoll_event *, int, int);

static void *libc_function(const char *name)
{
	void *f = dlsym(RTLD_NEXT, name);

	MUST(f != NULL);
	return f;
}

struct foreign {
	int pair[2], ep;
	char buf[BYTES];
};

static void call_send(struct foreign *f, bool ours)
{
	MUST((ours ? send : libc_send)(f->pair[0], f->buf, BYTES, 0) == BYTES);
}

static void call_recv(struct foreign *f, bool ours)
{
	MUST((ours ? recv : libc_recv)(f->pair[1], f->buf, BYTES, 0) == BYTES);
}

static void call_empty(struct foreign *f, bool ours)
{
	MUST((ours ? recv : libc_recv)(f->pair[1], f->buf, BYTES, MSG_DONTWAIT) < 0);
}

static void call_epoll(struct foreign *f, bool ours)
{
	struct epoll_event ev;

	MUST((ours ? epoll_wait : libc_epoll_wait)(f->ep, &ev, 1, 0) == 0);
}

/* It may sleep. */
static void call_event(struct foreign *f, bool ours)
{
	struct epoll_event ev;

	MUST((ours ? epoll_wait : libc_epoll_wait)(f->ep, &ev, 1, -1) == 1);
}

static void nothing(struct foreign *f)
{
	(void)f;
}

static void drain(struct foreign *f)
{
	int i;

	for (i = 0; i < BATCH; i++)
		MUST(libc_recv(f->pair[1], f->buf, BYTES, 0) == BYTES);
}

static void top_up(struct foreign *f)
{
	int i;

	for (i = 0; i < BATCH; i++)
		MUST(libc_send(f->pair[0], f->buf, BYTES, 0) == BYTES);
}

static void compare(const char *name, struct foreign *f, void (*before)(struct foreign *),
	void (*call)(struct foreign *, bool), void (*after)(struct foreign *), double target)
{
	double with, without;
	uint64_t t;
	int i, k, way;

	for (i = 0; i < ROUNDS; i++)
		for (k = 0; k < 2; k++) {
			way = (i + k) & 1; /* neither is always the first */
			before(f);
			t = stamp();
			for (int n = 0; n < BATCH; n++)
				call(f, way == 0);
			took[way][i] = (uint32_t)(stamp() - t);
			after(f);
		}
	with = (middle(0) - empty) / BATCH;
	without = (middle(1) - empty) / BATCH;
	record(name, with, without, target);
}

static void bench_foreign(void)
{
	struct foreign f = {.buf = "x"};
	int inner = epoll_create1(0);
	struct epoll_event ev = {.events = EPOLLIN};

	libc_send = libc_function("send");
	libc_recv = libc_function("recv");
	libc_epoll_wait = libc_function("epoll_wait");
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, f.pair) == 0);
	/* Made by libc itself: one that the program makes is known to libtas, and may come to hold ours. */
	f.ep = ((int (*)(int))libc_function("epoll_create1"))(0);
	MUST(epoll_ctl(f.ep, EPOLL_CTL_ADD, f.pair[0], &ev) == 0);
	compare("recv, nothing there", &f, nothing, call_empty, nothing, 30);
	compare("send 64 B", &f, nothing, call_send, drain, 30);
	compare("recv 64 B", &f, top_up, call_recv, nothing, 30);
	compare("epoll_wait, nothing there", &f, nothing, call_epoll, nothing, 30);
	close(f.ep);
	f.ep = inner;
	MUST(epoll_ctl(f.ep, EPOLL_CTL_ADD, f.pair[1], &ev) == 0);
	compare("epoll_wait, its own instance", &f, nothing, call_epoll, nothing, 30);
	top_up(&f);
	compare("epoll_wait, one event in that", &f, nothing, call_event, nothing, 0);
	close(inner);
	close(f.pair[0]);
	close(f.pair[1]);
}

/* ---- ours ---- */

static uint8_t out[BYTES], in[BYTES];

static void next_bytes(int fd)
{
	uint64_t pos = lw_sent(fd);
	int i;

	for (i = 0; i < BYTES; i++)
		out[i] = lw_byte(lw_gen(fd), false, pos + (uint64_t)i);
}

/* As a fast path on the same thread would: everything it does lies outside of what is measured. */
static void bench_one_core(int fd, int ep)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};
	uint64_t t;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		next_bytes(fd);
		t = stamp();
		MUST(send(fd, out, BYTES, 0) == BYTES);
		took[0][i] = (uint32_t)(stamp() - t);
		lw_core_poll();
		lw_ack(fd, BYTES);
		MUST(lw_feed(fd, BYTES) == BYTES);
		t = stamp();
		MUST(recv(fd, in, BYTES, 0) == BYTES);
		took[1][i] = (uint32_t)(stamp() - t);
		lw_core_poll();
	}
	record("send 64 B, one core", middle(0) - empty, -1, 150);
	record("recv 64 B, one core", middle(1) - empty, -1, 150);
	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0);
	for (i = 0; i < ROUNDS; i++) {
		MUST(lw_feed(fd, BYTES) == BYTES);
		t = stamp();
		MUST(epoll_wait(ep, &ev, 1, 0) == 1);
		took[0][i] = (uint32_t)(stamp() - t);
		MUST(recv(fd, in, BYTES, 0) == BYTES);
		lw_core_poll();
	}
	record("epoll_wait with one event, one core", middle(0) - empty, -1, 0);
	MUST(epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL) == 0);
}

/* ---- the core on another CPU ---- */

static struct {
	uint32_t asked __attribute__((aligned(TAS_CACHELINE)));
	uint32_t ball __attribute__((aligned(TAS_CACHELINE)));
	bool over;
	int fd;
} shared;

static void *other_core(void *arg)
{
	(void)arg;
	pin(1);
	while (!tas_load(&shared.over)) {
		lw_core_poll();
		if (tas_load_acq(&shared.asked) == 0)
			continue;
		lw_core_poll();
		lw_ack(shared.fd, BYTES);
		lw_feed(shared.fd, BYTES);
		tas_store_rel(&shared.asked, 0u);
	}
	return NULL;
}

static void bench_two_cores(int fd)
{
	pthread_t thread;
	uint64_t t;
	int i;

	shared.fd = fd;
	MUST(pthread_create(&thread, NULL, other_core, NULL) == 0);
	for (i = 0; i < ROUNDS; i++) {
		next_bytes(fd);
		t = stamp();
		MUST(send(fd, out, BYTES, 0) == BYTES);
		took[0][i] = (uint32_t)(stamp() - t);
		tas_store_rel(&shared.asked, 1u);
		while (tas_load_acq(&shared.asked) != 0)
			tas_cpu_relax();
		t = stamp();
		MUST(recv(fd, in, BYTES, 0) == BYTES);
		took[1][i] = (uint32_t)(stamp() - t);
	}
	tas_store(&shared.over, true);
	pthread_join(thread, NULL);
	record("send 64 B, core on another CPU", middle(0) - empty, -1, 0);
	record("recv 64 B, core on another CPU", middle(1) - empty, -1, 0);
}

static void *return_ball(void *arg)
{
	uint32_t i;

	(void)arg;
	pin(1);
	for (i = 0; i < LINE_N; i++) {
		while (tas_load_acq(&shared.ball) != 2 * i + 1)
			;
		tas_store_rel(&shared.ball, 2 * i + 2);
	}
	return NULL;
}

static void bench_line(void)
{
	pthread_t thread;
	uint64_t t, n;
	uint32_t i;

	MUST(pthread_create(&thread, NULL, return_ball, NULL) == 0);
	for (i = 0; i < LINE_N; i++) {
		t = stamp();
		tas_store_rel(&shared.ball, 2 * i + 1);
		while (tas_load_acq(&shared.ball) != 2 * i + 2)
			;
		n = stamp() - t;
		if (i >= LINE_N - ROUNDS)
			took[0][i - (LINE_N - ROUNDS)] = (uint32_t)n;
	}
	pthread_join(thread, NULL);
	record("a cache line there and back", middle(0) - empty, -1, 0);
}

/* ---- */

static void print_table(void)
{
	int i;

	printf("TSC cycles a call, means of the middle half of %d rounds (kernel: of %d calls "
	       "each), empty "
	       "measurement of %.0f taken off\n\n",
		ROUNDS, BATCH, empty);
	printf("%-38s %9s %9s %9s %9s\n", "", "cycles", "libc", "added", "at most");
	for (i = 0; i < nresults; i++) {
		const struct result *r = &results[i];

		printf("%-38s %9.1f", r->name, r->cycles);
		if (r->libc >= 0)
			printf(" %9.1f %9.1f", r->libc, r->cycles - r->libc);
		else
			printf(" %9s %9s", "", "");
		if (r->target > 0)
			printf(" %9.0f", r->target);
		printf("\n");
	}
}

static void print_json(void)
{
	int i;

	printf("{\"bench\":\"libtas\",\"unit\":\"tsc_cycles\",\"rounds\":%d,\"results\":[", ROUNDS);
	for (i = 0; i < nresults; i++) {
		const struct result *r = &results[i];

		printf("%s{\"name\":\"%s\",\"cycles\":%.1f", i > 0 ? "," : "", r->name, r->cycles);
		if (r->libc >= 0)
			printf(",\"libc\":%.1f,\"added\":%.1f", r->libc, r->cycles - r->libc);
		if (r->target > 0)
			printf(",\"target\":%.0f", r->target);
		printf("}");
	}
	printf("]}\n");
}

int main(int argc, char **argv)
{
	int l, fd, ep;

	pin(0);
	measure_empty();
	l = lw_listen(false);
	MUST(l >= 0);
	fd = lw_accept_one(l);
	ep = epoll_create1(EPOLL_CLOEXEC);
	MUST(fd >= 0 && ep >= 0);
	bench_foreign();
	bench_one_core(fd, ep);
	bench_two_cores(fd);
	bench_line();
	if (lw_wrong() != 0) {
		fprintf(stderr, "bench_libtas: %s\n", lw_first_wrong());
		return 1;
	}
	if (argc < 2 || strcmp(argv[1], "--json") != 0)
		print_table();
	else
		print_json();
	return 0;
}
