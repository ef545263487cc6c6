/*
 * wake.c - what does a wake that cannot block cost: fp_wake (io_submit with IOCB_FLAG_RESFD) against write(2)?
 *
 * Once with nobody listening on the eventfd, once with a thread asleep in read(2) on it. Nanoseconds of the
 * waker, medians. Decision: docs/decisions/0011-wakes.md.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "core.h"

#define ROUNDS 4000
#define BATCH  64
#define ENOUGH (1ull << 40) /* ends the sleeper */

static struct fp_waker waker;
static uint64_t took[2][ROUNDS];

static void wake(int how, int fd)
{
	uint64_t one = 1;

	if (how == 0 ? write(fd, &one, sizeof(one)) != sizeof(one) : !fp_wake(&waker, fd))
		abort();
}

static uint64_t time_wakes(int how, int fd, int n)
{
	uint64_t start = fp_now_ns();
	int i;

	for (i = 0; i < n; i++)
		wake(how, fd);
	return (fp_now_ns() - start) / (uint64_t)n;
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Both ways by turns, so that what else the machine does meets both. */
static void compare(const char *what, int fd, int n, unsigned pause_us)
{
	int round, how;

	for (round = 0; round < ROUNDS; round++)
		for (how = 0; how < 2; how++) {
			if (pause_us != 0)
				usleep(pause_us);
			took[how][round] = time_wakes(how, fd, n);
		}
	for (how = 0; how < 2; how++)
		qsort(took[how], ROUNDS, sizeof(took[how][0]), by_size);
	printf("%s: write %lu ns, io_submit %lu ns\n", what, (unsigned long)took[0][ROUNDS / 2],
		(unsigned long)took[1][ROUNDS / 2]);
}

static void *sleeper(void *arg)
{
	uint64_t v = 0;

	while (read(*(int *)arg, &v, sizeof(v)) == sizeof(v) && v < ENOUGH)
		;
	return NULL;
}

int main(void)
{
	int fd = eventfd(0, 0);
	uint64_t enough = ENOUGH;
	pthread_t thread;

	if (fd < 0 || fp_waker_create(&waker) != 0)
		return 1;
	compare("nobody listens", fd, BATCH, 0);
	if (pthread_create(&thread, NULL, sleeper, &fd) != 0)
		return 1;
	compare("a thread sleeps", fd, 1, 50);
	if (write(fd, &enough, sizeof(enough)) != sizeof(enough))
		return 1;
	pthread_join(thread, NULL);
	fp_waker_destroy(&waker);
	return 0;
}
