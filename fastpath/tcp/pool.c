/*
 * pool.c - sent-map nodes change cores: with their flow, and unused ones so that every core keeps
 * its share. All cores index one array, so a node that moves is not copied.
 *
 * Owner: the core of the environment; the spare list is anybody's: pushed by compare-and-swap,
 * taken as a whole by exchange.
 */
#include "priv.h"

#define LOT 64u /* nodes given at a time */

void tcp_pool_leave(const struct fp_flow_cold *c, struct tcp_env *env)
{
	env->nsent -= c->tcp.nsent;
	env->sent_used -= c->tcp.nsent;
}

void tcp_pool_join(const struct fp_flow_cold *c, struct tcp_env *env)
{
	env->nsent += c->tcp.nsent;
	env->sent_used += c->tcp.nsent;
}

/* An unused node. There is one: nsent > sent_used. */
static uint32_t pop(struct tcp_env *env)
{
	uint32_t i = env->sent_free;

	if (i == 0)
		return env->sent_fresh++;
	env->sent_free = sent_at(env, i)->next;
	return i;
}

static void give(struct tcp_env *env, uint32_t count, uint32_t *spare)
{
	uint32_t first = 0, last = 0, head, n;

	for (n = 0; n < count; n++) {
		uint32_t i = pop(env);

		sent_at(env, i)->next = first;
		first = i;
		if (last == 0)
			last = i;
	}
	env->nsent -= count;
	head = tas_load(spare);
	do {
		sent_at(env, last)->next = head;
	} while (!tas_cas(spare, &head, first)); /* P1: pairs with the exchange in take */
}

static void take(struct tcp_env *env, uint32_t *spare)
{
	uint32_t i = tas_xchg(spare, 0u), next;

	for (; i != 0; i = next) {
		next = sent_at(env, i)->next;
		sent_at(env, i)->next = env->sent_free;
		env->sent_free = i;
		env->nsent++;
	}
}

void tcp_pool_balance(struct tcp_env *env, uint32_t share, uint32_t *spare)
{
	uint32_t over = env->nsent > share ? env->nsent - share : 0;
	uint32_t unused = env->nsent - env->sent_used;

	if (over != 0 && unused != 0)
		give(env, min_u32(min_u32(over, unused), LOT), spare);
	else if (env->nsent < share && tas_load(spare) != 0)
		take(env, spare);
}
