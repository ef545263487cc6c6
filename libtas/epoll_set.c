/*
 * epoll_set.c - the interest set of an epoll instance: ADD, MOD, DEL, and what becomes of it when a
 * member or the instance is closed or decided. Owner: any thread, under the instance's lock.
 * epoll_ctl(2).
 */
#include "epoll_set.h"

/* A handler that came in above the holder goes on without the lock, which stays its holder's. */
static void unlock_if(uint32_t *w, int locked)
{
	if (locked == 0)
		lt_unlock(w);
}

/*
 * Another thread may be adding d elsewhere: under its lock, the one that comes second finds that there
 * are several. Returns the queues that may carry its news.
 */
static uint64_t choose_queue(const struct lt_epoll *ep, struct lt_desc *d)
{
	int locked = lt_lock(&d->lock);
	bool several = d->items != 0 && lt_items[d->items - 1].d_next != 0;
	uint64_t queues;

	lt_desc_queue(d, several ? 0 : ep->evq);
	queues = d->evq_mask;
	unlock_if(&d->lock, locked);
	if (d->kind == LT_LISTEN)
		lt_listen_arm(d, 0, 0);
	return queues;
}

/* The news of d shall come to ep: to its queue, or to the common one when d is in several
 * instances. */
static void route_news(struct lt_epoll *ep, struct lt_desc *d)
{
	uint64_t queues;

	if (d->kind == LT_CONN &&
		d->ctx != ep->ctx) /* of a daemon that has died: it is ready for ever */
		return;
	if (d->kind == LT_EPOLL)
		queues = tas_load(&lt_epoll_of(d)->queues);
	else
		queues = choose_queue(ep, d);
	tas_store(&ep->queues, ep->queues | queues);
	lt_epoll_listen(ep);
}

static void arm_listener(struct lt_desc *d, struct lt_item *it)
{
	bool excl = (it->events & EPOLLEXCLUSIVE) != 0;

	if (it->flags & LT_I_ARMED)
		return;
	it->flags |= LT_I_ARMED;
	lt_listen_arm(d, excl ? 0 : 1, excl ? 1 : 0);
}

static struct lt_desc *item_desc(const struct lt_item *it)
{
	uint32_t at = tas_load(&it->desc);

	return at != LT_NONE ? &lt_descs[at] : NULL;
}

static struct lt_desc *unsettled(struct lt_epoll *ep, int *fd)
{
	struct lt_desc *d = NULL;
	uint32_t i;

	if (lt_lock(&ep->lock) != 0)
		return NULL;
	for (i = ep->all; i != 0; i = lt_items[i - 1].e_next) {
		d = item_desc(&lt_items[i - 1]);
		if (d != NULL && d->kind == LT_LISTEN && (lt_flags(d) & LT_D_FORKED))
			break;
	}
	*fd = i != 0 ? lt_items[i - 1].fd : -1;
	lt_unlock(&ep->lock);
	return i != 0 ? d : NULL;
}

/* Not under the lock of the set, which one that becomes the kernel's leaves. */
static void settle_listeners(struct lt_epoll *ep)
{
	struct lt_desc *d;
	int fd;

	do {
		d = unsettled(ep, &fd);
		if (d != NULL)
			lt_listen_settle(d, fd);
	} while (d != NULL && !(lt_flags(d) & LT_D_FORKED));
}

static void refresh_item(struct lt_epoll *ep, uint32_t i)
{
	struct lt_desc *d = item_desc(&lt_items[i]);
	uint32_t kind = d != NULL ? tas_load_acq(&d->kind) : LT_FREE;

	if (kind == LT_LISTEN && !(lt_flags(d) & LT_D_FORKED)) {
		route_news(ep, d);
		arm_listener(d, &lt_items[i]);
	} else if (kind == LT_AWAY) {
		lt_share_stray(d);
	}
	lt_epoll_list(ep, i);
}

/* After fork, or with a new daemon: listeners are armed on a queue of the new context, and inherited
 * connections are to be fetched. The first call in a child may be this one. */
void lt_epoll_refresh(struct lt_epoll *ep)
{
	struct lt_ctx *old = tas_load(&ep->ctx), *c;
	uint32_t i;

	if (tas_load(&ep->nitems) == 0)
		return;
	c = old == NULL ? lt_context_get() : lt_context();
	if (c == NULL || old == c)
		return;
	settle_listeners(ep);
	if (lt_lock(&ep->lock) != 0)
		return;
	lt_epoll_attach(ep, c);
	for (i = ep->all; i != 0; i = lt_items[i - 1].e_next)
		refresh_item(ep, i - 1);
	lt_unlock(&ep->lock);
}

static uint32_t find(const struct lt_epoll *ep, struct lt_desc *d, int fd)
{
	int locked = lt_lock(&d->lock);
	uint32_t i;

	for (i = d->items; i != 0; i = lt_items[i - 1].d_next)
		if (&lt_epolls[lt_items[i - 1].ep] == ep && lt_items[i - 1].fd == fd)
			break;
	unlock_if(&d->lock, locked);
	return i;
}

/* A listener's kernel half goes into the kernel's set under our tag, so that both halves are one
 * item. */
static int half_add(struct lt_epoll *ep, uint32_t i, int fd)
{
	struct lt_item *it = &lt_items[i];
	uint32_t how = it->events & (EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE);
	long r = lt_epoll_kernel(
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
		lt_epoll_kernel(
			ep, EPOLL_CTL_MOD, it->fd, (events & EPOLLIN) | how, lt_epoll_tag(i + 1));
}

/* Only when the program says so: the set may be that of other processes too, and what they watch stays
 * in it when we close ours. */
static void half_del(struct lt_epoll *ep, uint32_t i)
{
	if (lt_items[i].flags & LT_I_HALF)
		lt_epoll_kernel(ep, EPOLL_CTL_DEL, lt_items[i].fd, 0, 0);
}

void lt_epoll_half_stop(struct lt_epoll *ep, uint32_t i)
{
	half_mod(ep, i, 0);
}

static void link_item(struct lt_epoll *ep, struct lt_desc *d, uint32_t i)
{
	struct lt_item *it = &lt_items[i];
	int locked;

	it->e_next = ep->all;
	it->e_prev = 0;
	if (ep->all != 0)
		lt_items[ep->all - 1].e_prev = i + 1;
	ep->all = i + 1;
	tas_store(&ep->nitems, ep->nitems + 1);
	locked = lt_lock(&d->lock);
	it->d_next = d->items;
	tas_store_rel(&d->items, i + 1);
	unlock_if(&d->lock, locked);
}

static int add(struct lt_epoll *ep, struct lt_desc *d, int fd, const struct epoll_event *ev)
{
	uint32_t i;
	int r = 0;

	if (find(ep, d, fd) != 0)
		return -EEXIST;
	i = lt_item_get();
	if (i == LT_NONE)
		return -ENOSPC;
	lt_items[i].ep = (uint32_t)(ep - lt_epolls);
	lt_items[i].desc = lt_desc_index(d);
	lt_items[i].fd = fd;
	lt_items[i].events = ev->events;
	lt_items[i].data = ev->data.u64;
	if (d->kind == LT_LISTEN || d->kind == LT_EPOLL)
		r = half_add(ep, i, fd);
	if (r < 0) {
		lt_item_put(i);
		return r;
	}
	link_item(ep, d, i);
	route_news(ep, d);
	if (d->kind == LT_LISTEN)
		arm_listener(d, &lt_items[i]);
	/* By way of the inbox, which who is about to sleep looks at. Threads asleep in this instance
	 * may not know that it has items now. */
	lt_epoll_inbox(i);
	if (ep->nitems == 1)
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
	lt_epoll_inbox(i - 1);
	return 0;
}

static void unlink_from_desc(struct lt_desc *d, uint32_t i)
{
	int locked = lt_lock(&d->lock);
	uint32_t *p;

	for (p = &d->items; *p != 0 && *p != i + 1; p = &lt_items[*p - 1].d_next)
		;
	if (*p != 0)
		*p = lt_items[i].d_next;
	unlock_if(&d->lock, locked);
}

/* After unlink_from_desc nobody posts the item any more, so draining the inbox makes it ours alone.
 */
static void remove_item(struct lt_epoll *ep, struct lt_desc *d, uint32_t i)
{
	struct lt_item *it = &lt_items[i];

	if (d != NULL)
		unlink_from_desc(d, i);
	lt_epoll_drain(ep);
	lt_epoll_unlist(ep, i);
	if (it->flags & LT_I_HALF) {
		it->flags &= ~LT_I_HALF;
		ep->nkernel--;
	}
	if (it->e_prev != 0)
		lt_items[it->e_prev - 1].e_next = it->e_next;
	else
		ep->all = it->e_next;
	if (it->e_next != 0)
		lt_items[it->e_next - 1].e_prev = it->e_prev;
	tas_store(&ep->nitems, ep->nitems - 1);
	lt_item_put(i);
}

static bool flags_ok(int op, uint32_t events)
{
	const uint32_t with_excl =
		EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE;

	if (op == EPOLL_CTL_DEL || !(events & EPOLLEXCLUSIVE))
		return true;
	return op == EPOLL_CTL_ADD && !(events & ~with_excl);
}

/* One of our sockets and one of our instances, under the instance's lock. *left: the events of a
 * listener's user that left. */
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
		if (lt_items[i - 1].flags & LT_I_ARMED)
			*left = lt_items[i - 1].events | EPOLLERR;
		half_del(ep, i - 1);
		remove_item(ep, d, i - 1);
		return 0;
	}
}

static int ctl_kernel(struct lt_epoll *ep, int op, int epfd, int fd, struct epoll_event *ev)
{
	int r = lt_real.epoll_ctl(epfd, op, fd, ev);

	if (r == 0 && ep != NULL && op == EPOLL_CTL_ADD)
		tas_fetch_add(&ep->nkernel, 1u);
	return r;
}

/*
 * An instance inside another is an item of the outer one. What is in the inner kernel's set makes
 * it readable there as ever; our eventfds leave that set while nobody sleeps in the inner instance
 * itself, so that they do not.
 */
static void nest(struct lt_epoll *inner)
{
	if (tas_load(&inner->nested) || lt_lock(&inner->lock) != 0)
		return;
	if (!inner->nested) {
		tas_store(&inner->nested, 1u);
		if (tas_load(&inner->sleepers) == 0 && inner->ctx != NULL)
			lt_epoll_deafen(inner);
	}
	lt_unlock(&inner->lock);
}

void lt_epoll_watched(struct lt_desc *d)
{
	struct lt_epoll *ep = lt_epoll_of(d);

	if (ep == NULL)
		return;
	lt_epoll_refresh(ep);
	nest(ep);
}

/* The inner instance may listen on more queues now: so must those around it. */
static void widen_outer(struct lt_desc *inner)
{
	uint64_t queues = tas_load(&lt_epoll_of(inner)->queues);
	uint32_t i;

	for (i = tas_load_acq(&inner->items); i != 0; i = tas_load(&lt_items[i - 1].d_next)) {
		struct lt_epoll *outer = &lt_epolls[lt_items[i - 1].ep];

		if ((tas_load(&outer->queues) & queues) == queues || lt_lock(&outer->lock) != 0)
			continue;
		tas_store(&outer->queues, outer->queues | queues);
		lt_epoll_listen(outer);
		lt_unlock(&outer->lock);
		lt_epoll_kick(outer);
		widen_outer(&lt_descs[outer->desc]);
	}
}

/*
 * The context in which ep and d meet; NULL: there is none, everything is the kernel's. An instance
 * inside another wants one too: what is ours may come into the inner one later.
 */
static struct lt_ctx *meeting(const struct lt_desc *d)
{
	struct lt_ctx *c = lt_context_get();

	if (c == NULL && d->kind == LT_CONN)
		c = d->ctx; /* dead: its sockets can still be asked about */
	return c;
}

/* Connected by a way that is not ours, such as MSG_FASTOPEN: then it is the kernel's. */
static bool has_peer(int fd)
{
	struct sockaddr_in6 sa;
	socklen_t len = sizeof(sa);

	return lt_sys3(SYS_getpeername, fd, &sa, &len) == 0;
}

/* As the kernel answers when epfd is not an epoll descriptor at all. */
static int no_instance(int epfd)
{
	return lt_sys_fcntl(epfd, F_GETFD, 0) < 0 ? -EBADF : -EINVAL;
}

int lt_epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
	struct lt_desc *e = lt_fd_get(epfd), *d = lt_fd_check(fd);
	struct lt_epoll *ep = e != NULL && e->kind == LT_EPOLL ? lt_epoll_of(e) : NULL;
	struct lt_ctx *c;
	uint32_t left = 0;
	int r;

	if (ep != NULL)
		lt_epoll_seen(ep, epfd);
	if (d != NULL && d->kind == LT_LISTEN && !lt_listen_settle(d, fd))
		d = NULL;
	if (d == NULL || d->kind == LT_FREE || (d->kind == LT_EPOLL && (d == e || d->epoll == 0)))
		return ctl_kernel(ep, op, epfd, fd, ev);
	if (ep == NULL)
		return (int)lt_ret(no_instance(epfd));
	if (op != EPOLL_CTL_DEL && lt_bad(ev, sizeof(*ev)))
		return (int)lt_ret(-EFAULT);
	if (op < EPOLL_CTL_ADD || op > EPOLL_CTL_MOD)
		return (int)lt_ret(-EINVAL);
	if (op != EPOLL_CTL_DEL && !flags_ok(op, ev->events))
		return (int)lt_ret(-EINVAL);
	c = meeting(d);
	if (c == NULL || (d->kind == LT_UNDECIDED && has_peer(fd))) {
		if (d->kind == LT_UNDECIDED)
			lt_to_kernel(d, fd);
		return ctl_kernel(ep, op, epfd, fd, ev);
	}
	if (d->kind == LT_EPOLL)
		nest(lt_epoll_of(d));
	lt_epoll_refresh(ep);
	if (lt_lock(&ep->lock) != 0)
		return (int)lt_ret(-EBUSY);
	lt_epoll_attach(ep, c);
	r = ctl_ours(ep, op, d, fd, ev, &left);
	lt_unlock(&ep->lock);
	if (tas_load(&ep->nested))
		widen_outer(e);
	if (left != 0 && d->kind == LT_LISTEN)
		lt_listen_leave(d, (left & EPOLLEXCLUSIVE) != 0);
	return (int)lt_ret(r);
}

/* A handler above epoll_wait() cannot take items out of its lists: they are made to mean nothing.
 */
static void disown_items(struct lt_desc *d)
{
	uint32_t i;

	for (i = d->items; i != 0; i = lt_items[i - 1].d_next)
		tas_store(&lt_items[i - 1].desc, LT_NONE);
	tas_store(&d->items, 0u);
}

/* d leaves every set it is in; the kernel's own rule for a description's last close. */
void lt_epoll_forget(struct lt_desc *d)
{
	uint32_t i, me = lt_desc_index(d);
	struct lt_epoll *ep;

	while ((i = tas_load_acq(&d->items)) != 0) {
		ep = &lt_epolls[lt_items[i - 1].ep];
		if (lt_lock(&ep->lock) != 0) {
			disown_items(d);
			return;
		}
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
		struct lt_epoll *ep = &lt_epolls[it.ep];

		if (lt_lock(&ep->lock) != 0)
			return;
		half_del(ep, i - 1);
		remove_item(ep, d, i - 1);
		lt_epoll_kernel(ep, EPOLL_CTL_ADD, it.fd >= 0 ? it.fd : fd,
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
		struct lt_epoll *ep = &lt_epolls[lt_items[i - 1].ep];

		lt_epoll_refresh(ep);
		if (lt_lock(&ep->lock) != 0)
			return;
		lt_epoll_attach(ep, d->ctx);
		half_add(ep, i - 1, lt_items[i - 1].fd);
		route_news(ep, d);
		arm_listener(d, &lt_items[i - 1]);
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
		struct lt_item it = lt_items[ep->all - 1];
		struct lt_desc *member = item_desc(&it);

		remove_item(ep, member, ep->all - 1);
		if (member != NULL && member->kind == LT_LISTEN && (it.flags & LT_I_ARMED))
			lt_listen_leave(member, (it.events & EPOLLEXCLUSIVE) != 0);
	}
	if (ep->ctx != NULL && !tas_load(&ep->ctx->dead))
		lt_queue_recycle(ep->ctx, ep->evq);
	lt_unlock(&ep->lock);
	lt_epoll_put(d->epoll - 1);
}
