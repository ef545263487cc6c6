/*
 * epoll_inst.c - epoll instances: making them, their ready list and inbox, and how news reach a
 * sleeper.
 *
 * An item joins the ready list when there may be news and leaves it when it is found not ready, so
 * a wait costs what is active and not what is registered. News arrive lock-free through the inbox.
 * Owner: any thread; lists under the instance's lock. epoll_create(2), epoll(7).
 */
#include "epoll_set.h"
#include "tas/yield.h"
#include <sys/mman.h>

#define EPOLLS_MAX 16384u

struct lt_item *lt_items;

struct lt_epoll *lt_epolls;

static struct lt_pool epoll_pool, item_pool;
static char *tags; /* an address range of our own: what the kernel hands back for what is ours */
static uint32_t nitems_max, once;

static bool set_up(void)
{
	uint32_t n = lt_ndescs * 2, *inext, *enext;
	uint64_t mask;

	if (tas_load_acq(&lt_epolls) != NULL)
		return true;
	lt_lock_masked(&once, &mask);
	if (lt_epolls == NULL) {
		inext = lt_map(4ull * n);
		enext = lt_map(4ull * EPOLLS_MAX);
		lt_items = lt_map(sizeof(*lt_items) * (uint64_t)n);
		tags = mmap(
			NULL, n + 1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (inext != NULL && enext != NULL && lt_items != NULL && tags != MAP_FAILED) {
			lt_pool_init(&item_pool, inext, n);
			lt_pool_init(&epoll_pool, enext, EPOLLS_MAX);
			nitems_max = n;
			tas_store_rel(&lt_epolls,
				(struct lt_epoll *)lt_map(sizeof(*lt_epolls) * EPOLLS_MAX));
		}
	}
	lt_unlock_masked(&once, &mask);
	return tas_load_acq(&lt_epolls) != NULL;
}

uint64_t lt_epoll_tag(uint32_t item_plus_1)
{
	return (uint64_t)(uintptr_t)(tags + item_plus_1);
}

bool lt_epoll_is_tag(uint64_t data, uint32_t *item_plus_1)
{
	uint64_t off = data - (uint64_t)(uintptr_t)tags;

	*item_plus_1 = (uint32_t)off;
	return tags != NULL && off <= nitems_max;
}

bool lt_epoll_mixed(const struct lt_desc *d)
{
	const struct lt_epoll *ep = lt_epoll_of(d);

	return ep != NULL && tas_load(&ep->nitems) != 0;
}

/* Every instance is known from the start, so that its dup()s share the description. */
static int created(int fd)
{
	struct lt_desc *d;
	uint32_t i;

	if (fd < 0)
		return fd;
	lt_fd_new(fd);
	if (!lt_setup() || !set_up() || (uint32_t)fd >= lt_ntab)
		return fd;
	i = lt_pool_get(&epoll_pool);
	if (i == LT_NONE)
		return fd;
	memset(&lt_epolls[i], 0, sizeof(lt_epolls[i]));
	lt_epolls[i].fd = fd;
	d = lt_desc_new(LT_EPOLL, 0);
	if (d == NULL) {
		lt_pool_put(&epoll_pool, i);
		return fd;
	}
	d->epoll = i + 1;
	lt_epolls[i].desc = lt_desc_index(d);
	lt_fd_put(fd, d);
	return fd;
}

int lt_epoll_create(int size)
{
	return created(lt_real.epoll_create(size));
}

int lt_epoll_create1(int flags)
{
	return created(lt_real.epoll_create1(flags));
}

long lt_epoll_kernel(const struct lt_epoll *ep, int op, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event ev = {.events = events, .data.u64 = data};

	return lt_sys4(SYS_epoll_ctl, ep->fd, op, fd, &ev);
}

/* Without a mask by epoll_wait(2): the other costs 100 cycles more. */
int lt_kernel_wait(
	int fd, struct epoll_event *ev, int max, const struct lt_span *s, const sigset_t *mask)
{
	uint64_t now, left;
	struct timespec ts;
	int ms = -1;

	if (s->until_ns != 0 || (s->fine && !s->forever)) {
		now = lt_now_ns();
		left = s->until_ns > now ? s->until_ns - now : 0;
		if (s->fine) {
			ts.tv_sec = (time_t)(left / 1000000000u);
			ts.tv_nsec = (long)(left % 1000000000u);
			return lt_real.epoll_pwait2(fd, ev, max, &ts, mask);
		}
		ms = (int)((left + 999999) / 1000000);
	} else if (!s->forever) {
		ms = 0;
	}
	return mask == NULL ? lt_real.epoll_wait(fd, ev, max, ms)
			    : lt_real.epoll_pwait(fd, ev, max, ms, mask);
}

void lt_epoll_kick(const struct lt_epoll *ep)
{
	struct lt_ctx *c = tas_load_acq(&ep->ctx);

	if (c != NULL && c->evq_fd[ep->evq] >= 0)
		lt_sys_kick(c->evq_fd[ep->evq]);
}

void lt_epoll_inbox(uint32_t item)
{
	struct lt_item *it = &lt_items[item];
	struct lt_epoll *ep = &lt_epolls[it->ep];
	uint32_t head;

	if (tas_xchg(&it->pending, 1u) != 0)
		return;
	head = tas_load(&ep->inbox);
	do
		tas_store(&it->in_next, head);
	while (!tas_cas(&ep->inbox, &head, item + 1));
	lt_epoll_stir(ep);
}

void lt_epoll_list(struct lt_epoll *ep, uint32_t i)
{
	struct lt_item *it = &lt_items[i];

	if (it->flags & LT_I_LISTED)
		return;
	it->flags |= LT_I_LISTED;
	it->r_next = 0;
	it->r_prev = ep->tail;
	if (ep->tail != 0)
		lt_items[ep->tail - 1].r_next = i + 1;
	else
		ep->head = i + 1;
	ep->tail = i + 1;
	ep->nready++;
}

void lt_epoll_unlist(struct lt_epoll *ep, uint32_t i)
{
	struct lt_item *it = &lt_items[i];

	if (!(it->flags & LT_I_LISTED))
		return;
	it->flags &= ~LT_I_LISTED;
	if (it->r_prev != 0)
		lt_items[it->r_prev - 1].r_next = it->r_next;
	else
		ep->head = it->r_next;
	if (it->r_next != 0)
		lt_items[it->r_next - 1].r_prev = it->r_prev;
	else
		ep->tail = it->r_prev;
	ep->nready--;
}

/* Moves the inbox to the ready list. `pending` falls first: later news post the item again. */
void lt_epoll_drain(struct lt_epoll *ep)
{
	uint32_t i, next;

	if (tas_load(&ep->inbox) == 0)
		return;
	for (i = tas_xchg(&ep->inbox, 0u); i != 0; i = next) {
		next = tas_load(&lt_items[i - 1].in_next);
		TAS_YIELD();
		tas_xchg(&lt_items[i - 1].pending, 0u);
		lt_epoll_list(ep, i - 1);
	}
}

void lt_epoll_stir(struct lt_epoll *ep)
{
	/* I1: pairs with a sleeper, which counts itself and then looks at inbox and list. */
	tas_full_barrier();
	TAS_YIELD();
	if (tas_load(&ep->sleepers) != 0)
		lt_epoll_kick(ep);
	if (tas_load(&ep->nested)) /* or polled */
		lt_news(&lt_descs[ep->desc]);
}

/* The eventfds of all our queues are in the kernel's set, edge-triggered, under tag 0. */
void lt_epoll_listen(struct lt_epoll *ep)
{
	uint64_t missing = ep->queues & ~ep->registered;

	if (ep->ctx == NULL || (tas_load(&ep->nested) && tas_load(&ep->sleepers) == 0))
		return;
	if (!ep->watches_daemon && lt_epoll_kernel(ep, EPOLL_CTL_ADD, lt_client_sock(),
					   EPOLLRDHUP | EPOLLET, lt_epoll_tag(0)) == 0)
		ep->watches_daemon = 1;
	for (; missing != 0; missing &= missing - 1) {
		uint32_t q = (uint32_t)__builtin_ctzll(missing);
		int fd = ep->ctx->evq_fd[q];

		if (fd >= 0)
			lt_epoll_kernel(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLET, lt_epoll_tag(0));
		ep->registered |= 1ull << q;
	}
}

void lt_epoll_deafen(struct lt_epoll *ep)
{
	uint64_t left = ep->registered;

	if (ep->watches_daemon)
		lt_epoll_kernel(ep, EPOLL_CTL_DEL, lt_client_sock(), 0, 0);
	for (; left != 0; left &= left - 1) {
		int fd = ep->ctx->evq_fd[__builtin_ctzll(left)];

		if (fd >= 0)
			lt_epoll_kernel(ep, EPOLL_CTL_DEL, fd, 0, 0);
	}
	ep->watches_daemon = 0;
	ep->registered = 0;
}

void lt_epoll_attach(struct lt_epoll *ep, struct lt_ctx *c)
{
	if (ep->ctx == c)
		return;
	ep->evq = tas_load(&c->dead) ? 0 : lt_queue_new(c);
	tas_store(&ep->queues, 1ull | 1ull << ep->evq);
	ep->registered = 0;
	ep->watches_daemon = 0;
	tas_store_rel(&ep->ctx, c);
	lt_epoll_listen(ep);
}

uint32_t lt_item_get(void)
{
	uint32_t i = lt_pool_get(&item_pool);

	if (i != LT_NONE)
		memset(&lt_items[i], 0, sizeof(lt_items[i]));
	return i;
}

void lt_item_put(uint32_t i)
{
	lt_items[i].desc = LT_NONE;
	lt_pool_put(&item_pool, i);
}

void lt_epoll_put(uint32_t i)
{
	lt_pool_put(&epoll_pool, i);
}

/* The instance itself is shared with the parent; everything of ours in it starts anew
 * (lt_epoll_refresh). */
void lt_epoll_fork_child(void)
{
	uint32_t i;

	once = 0;
	if (lt_epolls == NULL)
		return;
	/* Another thread of the parent may have been in the middle of a list. */
	for (i = 0; i < item_pool.fresh; i++) {
		lt_items[i].pending = 0;
		lt_items[i].flags &= ~(LT_I_LISTED | LT_I_ARMED);
	}
	for (i = 0; i < epoll_pool.fresh; i++) {
		lt_epolls[i].inbox = lt_epolls[i].head = lt_epolls[i].tail = 0;
		lt_epolls[i].nready = 0;
		lt_epolls[i].lock = 0;
		lt_epolls[i].sleepers = 0;
		lt_epolls[i].ctx = NULL;
		lt_epolls[i].queues = lt_epolls[i].registered = 0;
		lt_epolls[i].watches_daemon = 0;
	}
}
