/*
 * wait.c - calls that block: the thread sleeps in the kernel until the supervisor answers.
 *
 * A thread is in one call at a time, so what it waited for before is over when it calls again; that is how
 * calls that a signal ended leave the list. Owner: the supervisor's thread.
 */
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include "trap.h"

#define WAITS 8192u

static struct tr_wait waits[WAITS];
static uint32_t nwaits;

static void drop_dead(void)
{
	uint32_t i = 0;

	while (i < nwaits)
		if (tr_valid(waits[i].id))
			i++;
		else
			waits[i] = waits[--nwaits];
}

bool tr_wait_add(const struct tr_wait *w)
{
	if (nwaits == WAITS)
		drop_dead();
	if (nwaits == WAITS)
		return false;
	waits[nwaits++] = *w;
	return true;
}

struct tr_wait *tr_wait_of(const struct tr_sock *s)
{
	uint32_t i;

	for (i = 0; i < nwaits; i++)
		if (waits[i].s == s)
			return &waits[i];
	return NULL;
}

/* The others keep their order: first come, first served. */
void tr_wait_drop(struct tr_wait *w)
{
	uint32_t i = (uint32_t)(w - waits);

	for (nwaits--; i < nwaits; i++)
		waits[i] = waits[i + 1];
}

void tr_wait_forget(pid_t tid)
{
	uint32_t i;

	for (i = 0; i < nwaits; i++)
		if (waits[i].tid == tid) {
			tr_wait_drop(&waits[i]);
			return;
		}
}

void tr_wait_all(const struct tr_sock *s, int64_t result)
{
	struct tr_wait *w;

	while ((w = tr_wait_of(s)) != NULL) {
		tr_answer(w->id, result);
		tr_wait_drop(w);
	}
}

int tr_wait_next(uint64_t now_ns)
{
	uint64_t next = UINT64_MAX;
	uint32_t i = 0;

	while (i < nwaits) {
		struct tr_wait *w = &waits[i];

		if (w->until_ns != 0 && w->until_ns <= now_ns) {
			tr_answer(w->id, w->late);
			tr_wait_drop(w);
			continue;
		}
		if (w->until_ns != 0 && w->until_ns < next)
			next = w->until_ns;
		i++;
	}
	if (next == UINT64_MAX)
		return -1;
	next = (next - now_ns) / 1000000 + 1;
	return next > INT_MAX ? INT_MAX : (int)next;
}
