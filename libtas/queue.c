/*
 * queue.c - event queues: which slots have news, who listens, sleeping without losing a wake-up.
 *
 * A slot names one queue, but its news may still arrive on a queue it named before (the core reads
 * the change when it is rung). So every description remembers all queues it ever named, and whoever
 * waits for it listens on those. Taking a bell's bits serves every epoll instance of the process:
 * each item goes to its instance's inbox. When a queue joins those of a description, threads that
 * already sleep on it outside of epoll are roused and look again. A queue's eventfd is never read: sleepers hold it
 * edge-triggered in an epoll of their own. Owner: any thread. eventfd(2), epoll(7).
 * docs/decisions/0004-doorbells.md.
 */
#include <sys/eventfd.h>
#include "epoll.h"
#include "lt.h"
#include "tas/yield.h"

/* Words of a bell taken per call: bounds the time before the caller sees its events. */
#define TAKE_WORDS 64

int lt_queue_register(struct lt_ctx *c, uint32_t q)
{
	struct tas_msg m = {.type = TAS_CMD_EVQ, .id = q};
	int fd, r;

	if (c->evq_fd[q] >= 0)
		return 0;
	if (c != lt_context())
		return -EPIPE;
	fd = (int)lt_sys2(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		return fd;
	r = lt_command(&m, fd, NULL, NULL);
	if (r < 0) {
		lt_sys_close(fd);
		return r;
	}
	fd = lt_hide(fd);
	if (fd >= 0)
		tas_store_rel(&c->evq_fd[q], fd);
	return fd < 0 ? fd : 0;
}

/* A queue for an epoll instance; 0, which everybody listens on, when all are in use. */
uint32_t lt_queue_new(struct lt_ctx *c)
{
	uint32_t q;

	for (q = 1; q < c->nevq; q++) {
		if (tas_fetch_or(&c->evq_used, 1ull << q) & 1ull << q)
			continue;
		if (lt_queue_register(c, q) == 0)
			return q;
		tas_fetch_and(&c->evq_used, ~(1ull << q));
		break;
	}
	lt_explain(TAS_X_queue_shared);
	return 0;
}

/* The eventfd stays: sockets may still name the queue. */
void lt_queue_recycle(struct lt_ctx *c, uint32_t q)
{
	if (q != 0)
		tas_fetch_and(&c->evq_used, ~(1ull << q));
}

/*
 * Q2: what they are to find was stored before; pairs with a thread that marks the description,
 * announces itself (all such threads do so on queue 0), and then looks at that and at the queues.
 */
void lt_queue_rouse(const struct lt_desc *d)
{
	const struct lt_ctx *c = lt_context();

	tas_full_barrier();
	TAS_YIELD();
	if ((lt_flags(d) & LT_D_POLLED) && c != NULL && tas_load(&c->evq_sleepers[0]) != 0 &&
		c->evq_fd[0] >= 0)
		lt_sys_kick(c->evq_fd[0]);
}

/* Under d->lock. The mask goes first: whoever sleeps without the new queue is told before news can
 * come there. */
void lt_desc_queue(struct lt_desc *d, uint32_t q)
{
	uint64_t bit = 1ull << q;

	if (!(tas_fetch_or(&d->evq_mask, bit) & bit))
		lt_queue_rouse(d);
	d->evq = q;
	if (d->kind == LT_CONN && tas_load(&d->s->evq) != q) {
		tas_store_rel(&d->s->evq, q);
		lt_ring_later(d);
	}
}

static void tell_instances(struct lt_desc *d)
{
	uint32_t i;

	if (tas_load(&d->items) == 0)
		return;
	if (lt_lock(&d->lock) != 0) { /* a handler above epoll_ctl(): later */
		if (d->ctx != NULL && d->slot != LT_NONE)
			tas_bell_ring(lt_evq_bell(d->ctx, 0), d->slot);
		return;
	}
	for (i = d->items; i != 0; i = lt_items[i - 1].d_next)
		lt_epoll_inbox(i - 1);
	lt_unlock(&d->lock);
}

void lt_news(struct lt_desc *d)
{
	tell_instances(d);
	lt_queue_rouse(d);
}

static void slot_news(struct lt_ctx *c, uint32_t slot)
{
	uint32_t v = tas_load_acq(&c->slot_desc[slot]);

	if (v != 0)
		tell_instances(&lt_descs[v - 1]);
}

static void collect_one(struct lt_ctx *c, uint32_t q)
{
	struct tas_bell *b = lt_evq_bell(c, q);
	uint32_t cursor = tas_load(&c->evq_cursor[q]), first, words;
	uint64_t bits;

	for (words = 0; words < TAKE_WORDS; words++) {
		bits = tas_bell_take(b, c->nslots, &cursor, &first);
		if (bits == 0)
			break;
		for (; bits != 0; bits &= bits - 1)
			slot_news(c, first + (uint32_t)__builtin_ctzll(bits));
	}
	tas_store(&c->evq_cursor[q], cursor);
}

void lt_queue_collect(struct lt_ctx *c, uint64_t queues)
{
	for (; queues != 0; queues &= queues - 1) {
		uint32_t q = (uint32_t)__builtin_ctzll(queues);

		if (tas_bell_pending(lt_evq_bell(c, q)))
			collect_one(c, q);
	}
}

bool lt_queue_pending(const struct lt_ctx *c, uint64_t queues)
{
	for (; queues != 0; queues &= queues - 1)
		if (tas_bell_pending(lt_evq_bell(c, (uint32_t)__builtin_ctzll(queues))))
			return true;
	return false;
}

/* Q1: the caller looks once more after this; pairs with F's ring (full barrier), then load of
 * `sleeping`. */
void lt_queue_announce(struct lt_ctx *c, uint64_t queues)
{
	for (; queues != 0; queues &= queues - 1) {
		uint32_t q = (uint32_t)__builtin_ctzll(queues);

		tas_fetch_add(&c->evq_sleepers[q], 1u);
		TAS_YIELD();
		tas_store(&lt_evq_bell(c, q)->sleeping, 1u);
	}
	tas_full_barrier();
	TAS_YIELD();
}

/*
 * The last sleeper clears the flag, which saves the core a system call. Another may have announced
 * itself between its look at the count and its store: then the flag comes back, and so does a
 * wake-up it may have cost.
 */
static void retract_one(struct lt_ctx *c, uint32_t q)
{
	struct tas_bell *b = lt_evq_bell(c, q);

	TAS_YIELD();
	if (tas_fetch_add(&c->evq_sleepers[q], ~0u) != 1)
		return;
	TAS_YIELD();
	tas_store(&b->sleeping, 0u);
	tas_full_barrier();
	TAS_YIELD();
	if (tas_load(&c->evq_sleepers[q]) == 0)
		return;
	tas_store(&b->sleeping, 1u);
	tas_full_barrier();
	if (tas_bell_pending(b))
		lt_sys_kick(c->evq_fd[q]);
}

void lt_queue_retract(struct lt_ctx *c, uint64_t queues)
{
	for (; queues != 0; queues &= queues - 1)
		retract_one(c, (uint32_t)__builtin_ctzll(queues));
}

/*
 * A thread goes back to the program while others sleep in the same instance. The wake-up that it had
 * cleared the flag; nobody else sets it again. They may have gone to sleep before the instance had
 * all of these queues: the eventfds are theirs all the same.
 */
void lt_queue_rearm(struct lt_ctx *c, uint64_t queues)
{
	for (; queues != 0; queues &= queues - 1) {
		uint32_t q = (uint32_t)__builtin_ctzll(queues);
		struct tas_bell *b = lt_evq_bell(c, q);

		if (tas_load(&b->sleeping) != 0)
			continue;
		tas_store(&b->sleeping, 1u);
		tas_full_barrier();
		TAS_YIELD();
		if (tas_bell_pending(b))
			lt_sys_kick(c->evq_fd[q]);
	}
}

/* Worth looking a while before sleeping: a core is awake, on another CPU than this thread. */
bool lt_queue_worth_spinning(const struct lt_ctx *c, int cpu)
{
	uint32_t i;

	for (i = 0; i < c->ncores; i++)
		if (!tas_load(&c->info->core[i].sleeping) &&
			(int)tas_load(&c->info->core[i].cpu) != cpu)
			return true;
	return false;
}
