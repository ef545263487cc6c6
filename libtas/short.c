/*
 * short.c - connections that found no payload memory: told after a while that they may try again.
 *
 * A send that does not block answers EAGAIN when the process may have no more chunks, as the kernel
 * does when a socket's memory is spent. But chunks come free without news: those of other
 * connections that were acknowledged are taken back when somebody looks for them. So while any
 * connection waits for memory no sleep of the process lasts longer than RETRY_NS, and then all that
 * wait are shown as writable once. Until then they are not, however much room their buffers have.
 * Owner: any thread.
 */
#include "lt.h"

#define RETRY_NS 5000000u

void lt_short_of_memory(struct lt_desc *d)
{
	struct lt_ctx *c = d->ctx;
	uint64_t queues = d->evq_mask;

	if (!tas_bell_pending(c->starved))
		tas_store(&c->retry_ns, lt_now_ns() + RETRY_NS);
	tas_fetch_or(&d->flags, LT_D_STARVED);
	tas_bell_ring(c->starved, d->slot);
	/* Who sleeps already, in another thread, must not sleep for ever now. */
	lt_news(d);
	for (; queues != 0; queues &= queues - 1) {
		uint32_t q = (uint32_t)__builtin_ctzll(queues);

		if (tas_load(&c->evq_sleepers[q]) != 0 && c->evq_fd[q] >= 0)
			lt_sys_kick(c->evq_fd[q]);
	}
}

uint64_t lt_short_until(const struct lt_ctx *c)
{
	return lt_likely(!tas_bell_pending(c->starved)) ? 0 : tas_load(&c->retry_ns);
}

static void try_again(struct lt_ctx *c, uint32_t slot)
{
	uint32_t v = tas_load_acq(&c->slot_desc[slot]);

	if (v == 0)
		return;
	tas_fetch_and(&lt_descs[v - 1].flags, ~LT_D_STARVED);
	lt_news(&lt_descs[v - 1]);
}

void lt_short_retry(struct lt_ctx *c)
{
	uint64_t now, bits;
	uint32_t cursor = 0, first, words;

	if (lt_likely(!tas_bell_pending(c->starved)))
		return;
	now = lt_now_ns();
	if (now < tas_load(&c->retry_ns))
		return;
	tas_store(&c->retry_ns, now + RETRY_NS);
	for (words = 0; words <= c->nslots / 64; words++) {
		bits = tas_bell_take(c->starved, c->nslots, &cursor, &first);
		if (bits == 0)
			break;
		for (; bits != 0; bits &= bits - 1)
			try_again(c, first + (uint32_t)__builtin_ctzll(bits));
	}
}

int lt_short_wait(struct lt_desc *d, uint64_t until_ns)
{
	struct timespec ts = {0, RETRY_NS};
	long r = lt_sys2(SYS_nanosleep, &ts, NULL);

	lt_client_check(d->ctx);
	if (r == 0 && until_ns != 0 && lt_now_ns() >= until_ns)
		return -EAGAIN;
	return (int)r;
}
