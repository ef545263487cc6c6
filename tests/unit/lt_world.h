/*
 * lt_world.h - a service made up for libtas' tests: it answers the registration socket in a thread
 * and plays the core on the same region layout, step by step as a test asks.
 *
 * The "core" keeps a twin of each stream and checks every byte that it reads of a send list, also
 * again later, as a retransmission would: memory that libtas takes back too early shows as a wrong
 * byte.
 */
#ifndef LT_WORLD_H
#define LT_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LW_SLOTS 256u

/* The byte at a stream position, different for each flow and direction. */
uint8_t lw_byte(uint32_t gen, bool to_program, uint64_t pos);

/* A listening socket of libtas on a made-up listener; -1 and errno. */
int lw_listen(bool nonblock);
/* Queues `n` connections there. */
void lw_queue(uint32_t n);
/* Connections queued so far, and claimed entries that the service emptied again. */
uint32_t lw_emptied(void);
/* The oldest of `back` queued connections is taken by another holder, who has not moved the hint; and gives it back. */
void lw_other_takes(uint32_t back);
void lw_other_gives_back(uint32_t back);
bool lw_is_taken(uint32_t back);
/* Makes a connection and accepts it: a descriptor. */
int lw_accept_one(int lfd);

/* The core looks at everything that rang: binds, reads send lists (checking each byte), takes
 * consumed chunks back. */
void lw_core_poll(void);
/* On the connection behind fd: */
uint32_t lw_gen(int fd);
bool lw_bound(int fd);
size_t lw_feed(int fd,
	size_t n); /* delivers up to n bytes (less when receive chunks are short) and tells */
uint64_t lw_fed(int fd);
uint64_t lw_unacked(int fd);
uint64_t lw_sent(int fd);
bool lw_ended(int fd);		   /* the program has said that no more will come */
uint32_t lw_flows(void);	   /* connections that are not closed */
uint64_t lw_heard(void);	   /* bytes of all connections, also of those closed */
void lw_ack(int fd, uint64_t n);   /* acknowledges n bytes and tells if asked to */
void lw_check(int fd);		   /* reads all unacknowledged bytes once more */
void lw_limit(int fd, uint64_t n); /* send buffer from now on */
void lw_fin(int fd);
void lw_reset(int fd, int error);
uint32_t lw_wrong(void); /* wrong bytes and broken rules seen so far */
const char *lw_first_wrong(void);
uint32_t lw_chunks_held(void);	 /* receive chunks in flows */
uint32_t lw_slots_touched(void); /* slots that libtas has ever handed out */

/* Runs between the steps of sleeping, waking and claiming (TAS_YIELD of tas/yield.h), in the thread that makes them; NULL: nothing. */
void lw_between_steps(void (*fn)(void));

/* libtas' own calls by the names programs know; an epoll set, poll and so on go through them. */
ssize_t lw_send(int fd, const void *buf, size_t n, int flags);
ssize_t lw_recv(int fd, void *buf, size_t n, int flags);
int lw_close(int fd);
int lw_shutdown(int fd, int how);
int lw_accept(int fd);
int lw_setsockopt(int fd, int level, int name, const void *val, unsigned len);
struct epoll_event;
struct pollfd;
int lw_epoll_create(void);
int lw_epoll_ctl(int ep, int op, int fd, struct epoll_event *ev);
int lw_epoll_wait(int ep, struct epoll_event *ev, int max, int timeout);
int lw_poll(struct pollfd *p, unsigned long n, int timeout);
/* Where libtas would send a connection to, or serve a listener on, a dotted address: 0 kernel, 1
 * tas, 2 both. */
int lw_place(const char *addr, bool remote);

int lw_socket(int family, int type);
/* Counters of explain.h: as libtas has them, and as the service sees them. */
uint64_t lw_explained(int row);
uint64_t lw_explained_shared(int row);

/* pool.c */
struct lt_pool;
struct lt_pool *lw_pool_new(uint32_t max);
void lw_pool_free(struct lt_pool *p);
uint32_t lw_pool_get(struct lt_pool *p);
void lw_pool_put(struct lt_pool *p, uint32_t i);
uint32_t lw_pool_take_all(struct lt_pool *p);
uint32_t lw_pool_after(struct lt_pool *p, uint32_t i);

#ifdef __cplusplus
}
#endif

#endif
