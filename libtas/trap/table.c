/*
 * table.c - what the supervisor stands behind, by the cookie of the program's end.
 *
 * Owner: the supervisor's thread.
 */
#include <stdlib.h>
#include "trap.h"

#define BUCKETS 4096u /* cookies are handed out one after the other */
#define GRAVES	1024u

static struct tr_sock *bucket[BUCKETS], *doomed, *grave[GRAVES];
static uint32_t graves, live;

struct tr_sock *tr_sock_new(enum tr_kind kind)
{
	struct tr_sock *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->kind = kind;
	s->end = s->mirror = s->fd = -1;
	live++;
	return s;
}

struct tr_sock *tr_sock_find(uint64_t cookie)
{
	struct tr_sock *s = bucket[cookie % BUCKETS];

	while (s != NULL && s->cookie != cookie)
		s = s->next;
	return s;
}

void tr_sock_insert(struct tr_sock *s, uint64_t cookie)
{
	s->cookie = cookie;
	s->next = bucket[cookie % BUCKETS];
	bucket[cookie % BUCKETS] = s;
}

static void take_out(struct tr_sock *s)
{
	struct tr_sock **p = &bucket[s->cookie % BUCKETS];

	while (*p != NULL && *p != s)
		p = &(*p)->next;
	if (*p == s)
		*p = s->next;
	s->next = NULL;
}

static void doom(struct tr_sock *s)
{
	take_out(s);
	s->next = doomed;
	doomed = s;
}

void tr_sock_free(struct tr_sock *s)
{
	if (s->kind == TR_DEAD)
		return;
	s->kind = TR_DEAD;
	live--;
	doom(s);
}

void tr_sock_bury(struct tr_sock *s)
{
	struct tr_sock **g = &grave[graves++ % GRAVES];

	if (s->kind == TR_DEAD)
		return;
	if (*g != NULL)
		doom(*g);
	*g = s;
	s->kind = TR_DEAD;
	live--;
}

void tr_sock_sweep(void)
{
	struct tr_sock *s;

	while ((s = doomed) != NULL) {
		doomed = s->next;
		free(s->in.left);
		free(s->out.left);
		free(s);
	}
}

uint32_t tr_sock_live(void)
{
	return live;
}
