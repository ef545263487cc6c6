/*
 * epoll.h - an epoll instance and its private interest set.
 *
 * The program's epoll descriptor is the kernel's and holds the kernel's descriptors, the kernel
 * halves of our listeners and the eventfds of our queues; our sockets are items here. Lock order:
 * epoll, then description. Fields marked E change under the instance's lock, D under the
 * description's.
 */
#ifndef LT_EPOLL_H
#define LT_EPOLL_H

#include <stdint.h>
#include "context.h"

#define LT_I_DISABLED 0x1u /* EPOLLONESHOT has fired */
#define LT_I_LISTED   0x2u /* on the ready list */
#define LT_I_HALF     0x4u /* a listener's kernel half is in the kernel's set, under our tag */
#define LT_I_ARMED    0x8u /* it counts among the users of the listener's wake-ups */

struct lt_item {
	uint32_t ep, desc; /* indices */
	int fd;
	uint32_t events;	       /*E*/
	uint64_t data;		       /*E*/
	uint32_t flags; /*E*/	       /* LT_I_* */
	uint32_t half_ready; /*E*/     /* the kernel half had news */
	uint32_t pending;	       /* in the inbox (exchange) */
	uint32_t in_next;	       /* inbox link, index + 1 */
	uint32_t d_next; /*D*/	       /* next item of the description, index + 1 */
	uint32_t r_next, r_prev; /*E*/ /* ready list, index + 1 */
	uint32_t e_next, e_prev; /*E*/ /* all items of the instance, index + 1 */
};

struct lt_epoll {
	uint32_t lock;
	int fd;			   /* a descriptor of the instance */
	struct lt_ctx *ctx;	   /*E*/
	uint32_t evq; /*E*/	   /* our queue; 0 = shared */
	uint32_t inbox;		   /* items with news, index + 1 (compare-and-swap; taken whole) */
	uint32_t head, tail; /*E*/ /* ready list, index + 1 */
	uint32_t all;		   /*E*/
	uint32_t nready, nitems;
	uint32_t nkernel; /* kernel descriptors added through us and not deleted */
	uint32_t sleepers;
	uint32_t nested;	       /* it is itself in an epoll set */
	uint32_t desc;		       /* description index of the instance */
	uint32_t watches_daemon; /*E*/ /* the registration connection is in the kernel's set */
	uint32_t calls;		       /* since the kernel side was last looked at */
	uint64_t looked_ns;
	uint64_t queues; /*E*/	   /* queues that carry news of our items */
	uint64_t registered; /*E*/ /* those whose eventfd is in the kernel's set */
};

extern struct lt_item *lt_items;
extern struct lt_epoll *lt_epolls;

#endif
