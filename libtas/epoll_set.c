/*
 * epoll_set.c - the interest set of an epoll instance: create, ADD, MOD, DEL, close; and its ready
 * list.
 *
 * An item joins the ready list when there may be news and leaves it when it is found not ready, so
 * a wait costs what is active and not what is registered. News arrive lock-free through the inbox.
 * Owner: any thread, under the instance's lock. epoll_ctl(2), epoll(7).
 */
#include "epoll_set.h"
#include <sys/mman.h>

#define EPOLLS_MAX 16384u

struct lt_item *lt_items;

static struct lt_epoll *epolls;
static struct lt_pool epoll_pool, item_pool;
static char *tags; /* an address range of our own: what the kernel hands back for what is ours */
static uint32_t nitems_max, once;
static uint64_t nested_queues;

static bool set_up(void)
{
	uint32_t n = lt_ndescs * 2, *inext, *enext;
	uint64_t mask;

	if (tas_load_acq(&epolls) != NULL)
		return true;
	lt_lock_masked(&once, &mask);
	if (epolls == NULL) {
		inext = lt_map(4ull * n);
		enext = lt_map(4ull * EPOLLS_MAX);
		lt_items = lt_map(sizeof(*lt_items) * (uint64_t)n);
		tags = mmap(
			NULL, n + 1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (inext != NULL && enext != NULL && lt_items != NULL && tags != MAP_FAILED) {
			lt_pool_init(&item_pool, inext, n);
			lt_pool_init(&epoll_pool, enext, EPOLLS_MAX);
			nitems_max = n;
			tas_store_rel(
				&epolls, (struct lt_epoll *)lt_map(sizeof(*epolls) * EPOLLS_MAX));
		}
	}
	lt_unlock_masked(&once, &mask);
	return tas_load_acq(&epolls) != NULL;
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

struct lt_epoll *lt_epoll_of(const struct lt_desc *d)
{
	return d->epoll == 0 ? NULL : &epolls[d->epoll - 1];
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
	memset(&epolls[i], 0, sizeof(epolls[i]));
	epolls[i].fd = fd;
	d = lt_desc_new(LT_EPOLL, 0);
	if (d == NULL) {
		lt_pool_put(&epoll_pool, i);
		return fd;
	}
	d->epoll = i + 1;
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

static long kernel_ctl(const struct lt_epoll *ep, int op, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event ev = {.events = events, .data.u64 = data};

	return lt_sys4(SYS_epoll_ctl, ep->fd, op, fd, &ev);
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
	struct lt_epoll *ep = &epolls[it->ep];
	uint32_t head;

	if (tas_xchg(&it->pending, 1u) != 0)
		return;
	head = tas_load(&ep->inbox);
	do
		tas_store(&it->in_next, head);
	while (!tas_cas(&ep->inbox, &head, item + 1));
	/* I1: pairs with a sleeper, which counts itself and then looks at the inbox. */
	if (tas_load(&ep->sleepers) != 0 || tas_load(&ep->nested))
		lt_epoll_kick(ep);
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
		tas_xchg(&lt_items[i - 1].pending, 0u);
		lt_epoll_list(ep, i - 1);
	}
}

/* The eventfds of all our queues are in the kernel's set, edge-triggered, under tag 0. */
static void register_queues(struct lt_epoll *ep)
{
	uint64_t missing = ep->queues & ~ep->registered;

	for (; missing != 0; missing &= missing - 1) {
		uint32_t q = (uint32_t)__builtin_ctzll(missing);
		int fd = ep->ctx->evq_fd[q];

		if (fd >= 0)
			kernel_ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLET, lt_epoll_tag(0));
		ep->registered |= 1ull << q;
	}
	if (ep->nested)
		tas_fetch_or(&nested_queues, ep->queues);
}

/* Binds the instance to a context: at the first item, after fork, after a new daemon. */
static void attach(struct lt_epoll *ep, struct lt_ctx *c)
{
	if (ep->ctx == c)
		return;
	ep->evq = tas_load(&c->dead) ? 0 : lt_queue_new(c);
	ep->queues = 1ull | 1ull << ep->evq;
	ep->registered = 0;
	kernel_ctl(ep, EPOLL_CTL_ADD, lt_client_sock(), EPOLLRDHUP | EPOLLET, lt_epoll_tag(0));
	tas_store_rel(&ep->ctx, c);
	register_queues(ep);
}

/* The news of d shall come to ep: to its queue, or to the common one when d is in several
 * instances. */
static void route_news(struct lt_epoll *ep, struct lt_desc *d)
{
	bool several = d->items != 0 && lt_items[d->items - 1].d_next != 0;

	if (d->kind == LT_CONN &&
		d->ctx != ep->ctx) /* of a daemon that has died: it is ready for ever */
		return;
	lt_desc_queue(d, several ? 0 : ep->evq);
	ep->queues |= d->evq_mask;
	register_queues(ep);
}

static void arm_listener(struct lt_desc *d, const struct lt_item *it, int n)
{
	bool excl = (it->events & EPOLLEXCLUSIVE) != 0;

	lt_listen_arm(d, excl ? 0 : n, excl ? n : 0);
}

/* After fork, or with a new daemon, listeners are armed anew on a queue of the new context. */
void lt_epoll_refresh(struct lt_epoll *ep)
{
	struct lt_ctx *c = tas_load(&ep->nitems) != 0 ? lt_context() : NULL;
	uint32_t i;

	if (c == NULL || tas_load(&ep->ctx) == c || lt_lock(&ep->lock) != 0)
		return;
	attach(ep, c);
	for (i = ep->all; i != 0; i = lt_items[i - 1].e_next) {
		struct lt_desc *d = &lt_descs[lt_items[i - 1].desc];

		if (d->kind == LT_LISTEN && lt_listen_settle(d, lt_items[i - 1].fd)) {
			route_news(ep, d);
			arm_listener(d, &lt_items[i - 1], 1);
		}
		lt_epoll_list(ep, i - 1);
	}
	lt_unlock(&ep->lock);
}

static uint32_t find(const struct lt_epoll *ep, struct lt_desc *d, int fd)
{
	uint32_t i;

	lt_lock(&d->lock);
	for (i = d->items; i != 0; i = lt_items[i - 1].d_next)
		if (&epolls[lt_items[i - 1].ep] == ep && lt_items[i - 1].fd == fd)
			break;
	lt_unlock(&d->lock);
	return i;
}

/* A listener's kernel half goes into the kernel's set under our tag, so that both halves are one
 * item. */
static int half_add(struct lt_epoll *ep, uint32_t i, int fd)
{
	struct lt_item *it = &lt_items[i];
	uint32_t how = it->events & (EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE);
	long r = kernel_ctl(
		ep, EPOLL_CTL_ADD, fd, (it->events & EPOLLIN) | how, lt_epoll_tag(i + 1));

	if (r == 0 || r == -EEXIST) {
		it->flags |= LT_I_HALF;
		ep->nkernel++;
	}
	return r == -EEXIST ? 0 : (int)r;
}

static void half_mod(struct lt_epoll *ep, uint32_t i, uint32_t events)
{
	struct lt_item *it = &lt_items[i];
	uint32_t how = it->events & (EPOLLET | EPOLLONESHOT);

	if (it->flags & LT_I_HALF)
		kernel_ctl(
			ep, EPOLL_CTL_MOD, it->fd, (events & EPOLLIN) | how, lt_epoll_tag(i + 1));
}

void lt_epoll_half_stop(struct lt_epoll *ep, uint32_t i)
{
	half_mod(ep, i, 0);
}

static void link_item(struct lt_epoll *ep, struct lt_desc *d, uint32_t i)
{
	struct lt_item *it = &lt_items[i];

	it->e_next = ep->all;
	it->e_prev = 0;
	if (ep->all != 0)
		lt_items[ep->all - 1].e_prev = i + 1;
	ep->all = i + 1;
	tas_store(&ep->nitems, ep->nitems + 1);
	lt_lock(&d->lock);
	it->d_next = d->items;
	tas_store_rel(&d->items, i + 1);
	lt_unlock(&d->lock);
}

static int add(struct lt_epoll *ep, struct lt_desc *d, int fd, const struct epoll_event *ev)
{
	uint32_t i;
	int r = 0;

	if (find(ep, d, fd) != 0)
		return -EEXIST;
	i = lt_pool_get(&item_pool);
	if (i == LT_NONE)
		return -ENOSPC;
	memset(&lt_items[i], 0, sizeof(lt_items[i]));
	lt_items[i].ep = (uint32_t)(ep - epolls);
	lt_items[i].desc = lt_desc_index(d);
	lt_items[i].fd = fd;
	lt_items[i].events = ev->events;
	lt_items[i].data = ev->data.u64;
	if (d->kind == LT_LISTEN)
		r = half_add(ep, i, fd);
	if (r < 0) {
		lt_pool_put(&item_pool, i);
		return r;
	}
	link_item(ep, d, i);
	route_news(ep, d);
	if (d->kind == LT_LISTEN)
		arm_listener(d, &lt_items[i], 1);
	lt_epoll_list(ep, i);
	/* Threads already asleep in this instance do not know that it has items now, or that this
	 * one is ready. */
	if (tas_load(&ep->sleepers) != 0 || ep->nitems == 1 || ep->nested)
		lt_epoll_kick(ep);
	return 0;
}

static int modify(struct lt_epoll *ep, struct lt_desc *d, int fd, const struct epoll_event *ev)
{
	uint32_t i = find(ep, d, fd);
	struct lt_item *it;

	if (i == 0)
		return -ENOENT;
	it = &lt_items[i - 1];
	if ((it->events | ev->events) & EPOLLEXCLUSIVE)
		return -EINVAL;
	it->events = ev->events;
	it->data = ev->data.u64;
	it->flags &= ~LT_I_DISABLED;
	half_mod(ep, i - 1, ev->events);
	lt_epoll_list(ep, i - 1);
	if (tas_load(&ep->sleepers) != 0 || ep->nested)
		lt_epoll_kick(ep);
	return 0;
}

static void unlink_from_desc(struct lt_desc *d, uint32_t i)
{
	uint32_t *p;

	lt_lock(&d->lock);
	for (p = &d->items; *p != 0 && *p != i + 1; p = &lt_items[*p - 1].d_next)
		;
	if (*p != 0)
		*p = lt_items[i].d_next;
	lt_unlock(&d->lock);
}

/* After unlink_from_desc nobody posts the item any more, so draining the inbox makes it ours alone.
 */
static void remove_item(struct lt_epoll *ep, struct lt_desc *d, uint32_t i)
{
	struct lt_item *it = &lt_items[i];

	unlink_from_desc(d, i);
	lt_epoll_drain(ep);
	lt_epoll_unlist(ep, i);
	if (it->flags & LT_I_HALF) {
		kernel_ctl(ep, EPOLL_CTL_DEL, it->fd, 0, 0);
		ep->nkernel--;
	}
	if (it->e_prev != 0)
		lt_items[it->e_prev - 1].e_next = it->e_next;
	else
		ep->all = it->e_next;
	if (it->e_next != 0)
		lt_items[it->e_next - 1].e_prev = it->e_prev;
	tas_store(&ep->nitems, ep->nitems - 1);
	it->desc = LT_NONE;
	lt_pool_put(&item_pool, i);
}

static bool flags_ok(int op, uint32_t events)
{
	const uint32_t with_excl =
		EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE;

	if (op == EPOLL_CTL_DEL || !(events & EPOLLEXCLUSIVE))
		return true;
	return op == EPOLL_CTL_ADD && !(events & ~with_excl);
}

/* One of our sockets and one of our instances, under the instance's lock. *left: an exclusive
 * listener left. */
static int ctl_ours(struct lt_epoll *ep, int op, struct lt_desc *d, int fd,
	const struct epoll_event *ev, uint32_t *left)
{
	uint32_t i;

	switch (op) {
	case EPOLL_CTL_ADD:
		return add(ep, d, fd, ev);
	case EPOLL_CTL_MOD:
		return modify(ep, d, fd, ev);
	default:
		i = find(ep, d, fd);
		if (i == 0)
			return -ENOENT;
		*left = lt_items[i - 1].events | EPOLLERR;
		remove_item(ep, d, i - 1);
		return 0;
	}
}

/* From now on the instance is readable, for the kernel, while it has something of ours. */
static void nest(struct lt_epoll *inner)
{
	tas_store(&inner->nested, 1u);
	tas_fetch_or(&nested_queues, inner->queues);
	tas_full_barrier();
	lt_epoll_kick(inner);
}

static int ctl_kernel(struct lt_epoll *ep, int op, int epfd, int fd, struct epoll_event *ev)
{
	struct lt_desc *inner = lt_fd_get(fd);
	int r = lt_real.epoll_ctl(epfd, op, fd, ev);

	if (r != 0 || ep == NULL)
		return r;
	if (op == EPOLL_CTL_ADD)
		tas_fetch_add(&ep->nkernel, 1u);
	if (op == EPOLL_CTL_ADD && inner != NULL && inner->kind == LT_EPOLL && inner->epoll != 0)
		nest(lt_epoll_of(inner));
	return r;
}
uint64_t lt_epoll_nested_queues(const struct lt_ctx *c)
{
	return tas_load(&nested_queues) & (c->nevq == 64 ? ~0ull : (1ull << c->nevq) - 1);
}

int lt_epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
	struct lt_desc *e = lt_fd_get(epfd), *d = lt_fd_check(fd);
	struct lt_epoll *ep = e != NULL && e->kind == LT_EPOLL ? lt_epoll_of(e) : NULL;
	struct lt_ctx *c;
	uint32_t left = 0;
	int r;

	if (d != NULL && d->kind == LT_LISTEN && !lt_listen_settle(d, fd))
		d = NULL;
	if (d == NULL || d->kind == LT_EPOLL || d->kind == LT_FREE)
		return ctl_kernel(ep, op, epfd, fd, ev);
	if (ep == NULL || op < EPOLL_CTL_ADD || op > EPOLL_CTL_MOD)
		return (int)lt_ret(-EINVAL);
	if (ev == NULL && op != EPOLL_CTL_DEL)
		return (int)lt_ret(-EFAULT);
	if (op != EPOLL_CTL_DEL && !flags_ok(op, ev->events))
		return (int)lt_ret(-EINVAL);
	c = lt_context_get();
	if (c == NULL && d->kind == LT_CONN)
		c = d->ctx; /* dead: its sockets can still be asked about */
	if (c == NULL) {    /* undecided, and no service any more */
		lt_to_kernel(d, fd);
		return ctl_kernel(ep, op, epfd, fd, ev);
	}
	if (lt_lock(&ep->lock) != 0)
		return (int)lt_ret(-EBUSY);
	attach(ep, c);
	r = ctl_ours(ep, op, d, fd, ev, &left);
	lt_unlock(&ep->lock);
	if (left != 0 && d->kind == LT_LISTEN)
		lt_listen_leave(d, (left & EPOLLEXCLUSIVE) != 0);
	return (int)lt_ret(r);
}

/* d leaves every set it is in; the kernel's own rule for a description's last close. */
void lt_epoll_forget(struct lt_desc *d)
{
	uint32_t i, me = lt_desc_index(d);
	struct lt_epoll *ep;

	while ((i = tas_load_acq(&d->items)) != 0) {
		ep = &epolls[lt_items[i - 1].ep];
		if (lt_lock(&ep->lock) != 0)
			return; /* a handler above epoll_wait(): the item finds its description gone
				 */
		if (tas_load(&d->items) == i && lt_items[i - 1].desc == me)
			remove_item(ep, d, i - 1);
		lt_unlock(&ep->lock);
	}
}

/* d was decided to be the kernel's: its memberships become the kernel's too. */
void lt_epoll_moved(struct lt_desc *d, int fd)
{
	uint32_t i;

	while ((i = tas_load_acq(&d->items)) != 0) {
		struct lt_item it = lt_items[i - 1];
		struct lt_epoll *ep = &epolls[it.ep];

		if (lt_lock(&ep->lock) != 0)
			return;
		remove_item(ep, d, i - 1);
		kernel_ctl(ep, EPOLL_CTL_ADD, it.fd >= 0 ? it.fd : fd,
			it.flags & LT_I_DISABLED ? 0 : it.events, it.data);
		ep->nkernel++;
		lt_unlock(&ep->lock);
	}
}

/* d, undecided until now, became a listener: its kernel half joins the sets it is in. */
void lt_epoll_listening(struct lt_desc *d)
{
	uint32_t i;

	for (i = d->items; i != 0; i = lt_items[i - 1].d_next) {
		struct lt_epoll *ep = &epolls[lt_items[i - 1].ep];

		if (lt_lock(&ep->lock) != 0)
			return;
		attach(ep, d->ctx);
		half_add(ep, i - 1, lt_items[i - 1].fd);
		route_news(ep, d);
		arm_listener(d, &lt_items[i - 1], 1);
		lt_epoll_list(ep, i - 1);
		lt_unlock(&ep->lock);
	}
}

void lt_epoll_close(struct lt_desc *d)
{
	struct lt_epoll *ep = lt_epoll_of(d);

	if (ep == NULL || lt_lock(&ep->lock) != 0)
		return;
	while (ep->all != 0) {
		struct lt_desc *member = &lt_descs[lt_items[ep->all - 1].desc];
		uint32_t events = lt_items[ep->all - 1].events;

		remove_item(ep, member, ep->all - 1);
		if (member->kind == LT_LISTEN)
			lt_listen_leave(member, (events & EPOLLEXCLUSIVE) != 0);
	}
	if (ep->ctx != NULL && !tas_load(&ep->ctx->dead))
		lt_queue_recycle(ep->ctx, ep->evq);
	lt_unlock(&ep->lock);
	lt_pool_put(&epoll_pool, d->epoll - 1);
}

/* The instance itself is shared with the parent; everything of ours in it starts anew
 * (lt_epoll_refresh). */
void lt_epoll_fork_child(void)
{
	uint32_t i;

	once = 0;
	if (epolls == NULL)
		return;
	for (i = 0; i < epoll_pool.fresh; i++) {
		epolls[i].lock = 0;
		epolls[i].sleepers = 0;
		epolls[i].ctx = NULL;
		epolls[i].queues = epolls[i].registered = 0;
	}
	nested_queues = 0;
}
