/*
 * epoll_set.h - between instances (epoll_inst.c), interest sets (epoll_set.c) and waiting
 * (epoll.c).
 */
#ifndef LT_EPOLL_SET_H
#define LT_EPOLL_SET_H

#include "epoll.h"
#include "lt.h"

static inline struct lt_epoll *lt_epoll_of(const struct lt_desc *d)
{
	return d->epoll == 0 ? NULL : &lt_epolls[d->epoll - 1];
}

/* The program names the instance by fd: what we do to it goes there, since the one it was made with
 * may have been dup()ed and closed. */
static inline void lt_epoll_seen(struct lt_epoll *ep, int fd)
{
	if (lt_unlikely(tas_load(&ep->fd) != fd))
		tas_store(&ep->fd, fd);
}

/* Tag 0 marks our eventfds and the registration connection, tag i + 1 the kernel half of listener
 * item i. */
uint64_t lt_epoll_tag(uint32_t item_plus_1);
bool lt_epoll_is_tag(uint64_t data, uint32_t *item_plus_1);
/* Wakes a thread that sleeps in the instance, or makes the instance readable. */
void lt_epoll_kick(const struct lt_epoll *ep);
void lt_epoll_refresh(struct lt_epoll *ep);

/* There may be news on the list or in the inbox: wakes sleepers and whoever watches the instance.
 */
void lt_epoll_stir(struct lt_epoll *ep);
/* epoll_ctl on the kernel's instance; >= 0 or -errno. */
long lt_epoll_kernel(const struct lt_epoll *ep, int op, int fd, uint32_t events, uint64_t data);
/* How long a wait may last, in the two forms of the calls. */
struct lt_span {
	bool forever, fine; /* fine: epoll_pwait2, nanoseconds */
	uint64_t until_ns;
};
/* epoll_wait() on the kernel's instance. */
int lt_kernel_wait(
	int fd, struct epoll_event *ev, int max, const struct lt_span *s, const sigset_t *mask);
uint32_t lt_item_get(void); /* zeroed; LT_NONE when there are no more */
void lt_item_put(uint32_t i);
void lt_epoll_put(uint32_t i);

/* Under the instance's lock: */
/* Binds the instance to a context: at the first item, after fork, after a new daemon. */
void lt_epoll_attach(struct lt_epoll *ep, struct lt_ctx *c);
/* Puts our eventfds into the kernel's set, or takes them out. */
void lt_epoll_listen(struct lt_epoll *ep);
void lt_epoll_deafen(struct lt_epoll *ep);
void lt_epoll_drain(struct lt_epoll *ep);
void lt_epoll_list(struct lt_epoll *ep, uint32_t i);
void lt_epoll_unlist(struct lt_epoll *ep, uint32_t i);
void lt_epoll_half_stop(struct lt_epoll *ep, uint32_t i);

#endif
