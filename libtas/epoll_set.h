/*
 * epoll_set.h - what waiting (epoll.c) needs of the interest set (epoll_set.c).
 */
#ifndef LT_EPOLL_SET_H
#define LT_EPOLL_SET_H

#include "epoll.h"
#include "lt.h"

struct lt_epoll *lt_epoll_of(const struct lt_desc *d);
/* Tag 0 marks our eventfds and the registration connection, tag i + 1 the kernel half of listener
 * item i. */
uint64_t lt_epoll_tag(uint32_t item_plus_1);
bool lt_epoll_is_tag(uint64_t data, uint32_t *item_plus_1);
/* Wakes a thread that sleeps in the instance, or makes the instance readable. */
void lt_epoll_kick(const struct lt_epoll *ep);
void lt_epoll_refresh(struct lt_epoll *ep);
uint64_t lt_epoll_nested_queues(const struct lt_ctx *c);

/* Under the instance's lock: */
void lt_epoll_drain(struct lt_epoll *ep);
void lt_epoll_list(struct lt_epoll *ep, uint32_t i);
void lt_epoll_unlist(struct lt_epoll *ep, uint32_t i);
void lt_epoll_half_stop(struct lt_epoll *ep, uint32_t i);

#endif
