/*
 * lt.h - what every part of libtas knows: descriptions, the descriptor table, the conventions.
 *
 * A description is what dup()ed descriptors share: private memory of this process, found by
 * descriptor without a lock, never unmapped (a stale pointer is harmless: who uses it looks at
 * `kind` again). Functions named like a libc call return like it: -1 and errno. The others return
 * >= 0 or -errno. Owner: any thread; fields marked L change under `lock`.
 */
#ifndef LT_LT_H
#define LT_LT_H

#include <pthread.h>
#include <sys/single_threaded.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include "context.h"
#include "lock.h"
#include "pointer.h"
#include "real.h"
#include "sys.h"
#include "tas/app_sp.h"
#include "tas/atomic.h"
#include "tas/explain.h"
#include "tas/region.h"
#include "tas/tuple.h"

#define lt_likely(x)   __builtin_expect(!!(x), 1)
#define lt_unlikely(x) __builtin_expect(!!(x), 0)

enum lt_kind {
	LT_FREE = 0,
	LT_UNDECIDED, /* a kernel socket; bind, listen or connect decides */
	LT_CONN,      /* a tas connection, also while connecting and after it failed */
	LT_LISTEN,    /* a tas listener, with its kernel half */
	LT_EPOLL,     /* an epoll instance */
	LT_AWAY, /* a tas connection inherited by fork or exec and not used here yet (share.c) */
};

/* lt_desc.flags; changed with atomic or/and */
#define LT_D_NONBLOCK                                                                              \
	0x0001u /* O_NONBLOCK as the program sees it (a listener keeps it in its segment) */
#define LT_D_V6		0x0002u /* AF_INET6: addresses are shown as ::ffff:a.b.c.d */
#define LT_D_CONNECTING 0x0004u /* connect() has not reported its result */
#define LT_D_SHUT_RD	0x0008u
#define LT_D_SHUT_WR	0x0010u
#define LT_D_ERR_TAKEN	0x0020u /* the slot's error was reported */
#define LT_D_CORK	0x0040u /* TCP_CORK is on (the slot's bit also means MSG_MORE) */
#define LT_D_DOWN	0x0080u /* a listener that was shut down */
#define LT_D_RECONNECT                                                                             \
	0x0100u /* disconnected, or a failed connect() was reported: the next one starts anew */
#define LT_D_LEFT 0x8000u /* disconnected while it was a connection: ECONNRESET is to be reported */

#define LT_D_INHERITED 0x0200u /* accepted: the handle does not have the options yet */

#define LT_D_FORKED 0x0400u /* a listener inherited by fork, not yet used here */
#define LT_D_SHARED                                                                                \
	0x1000u /* a connection that other processes may hold too: it may move to them (share.c) */

#define LT_D_POLLED                                                                                \
	0x2000u /* a thread has slept on it in poll(), select() or accept(): lt_queue_rouse() */

#define LT_D_STRAY 0x4000u /* to be fetched for an epoll set that is waited in (share.c) */

#define LT_D_STARVED 0x0800u /* a send found no memory: not writable until the next try (short.c) */

#define LT_LATE_CLOSE                                                                              \
	0x80000000u /* in lt_desc.late: a reference to let go; the rest: `want` bits */

#define LT_USER_TOP (1ull << 47) /* no address of a program is above */

/* Until the flow is bound, an accepted connection may hold this much unsent (below every send
 * buffer). */
#define LT_EARLY_TX 16384u

#define LT_KEPT_MAX 60 /* of options.def */

struct lt_opts {
	struct tas_sockopts wire;	   /* as the daemon is told */
	uint64_t rcvtimeo_ns, sndtimeo_ns; /* 0 = for ever */
	int32_t linger_s;		   /* SO_LINGER, -1 = off */
	uint32_t ignored; /* options without effect that were set before it was decided */
	uint8_t nodelay, reuseport, oobinline, zerocopy;
	uint8_t inq;	   /* TCP_INQ */
	uint8_t pmtu_do; /* IP_PMTUDISC_DO */
	uint8_t ports;	   /* IP_LOCAL_PORT_RANGE was set */
	uint32_t quickack; /* TCP_QUICKACK as the slot's word, 0 = never set */
	uint64_t kept,
		kernel; /* which of val were set; which of those that only the kernel can do (options.c) */
	int32_t val[LT_KEPT_MAX]; /* last: as the program set them on a listener */
};

struct lt_desc {
	uint32_t kind; /* enum lt_kind, published last */
	uint32_t refs; /* descriptors of this process, and calls that sleep on it */
	uint32_t flags;
	uint32_t lock;	 /* bind, listen, connect, options, epoll memberships */
	uint32_t life;	 /* changes when the connection or listener ends: see lt_conn_is() */
	uint64_t cookie; /* SO_COOKIE of the kernel socket; 0 = not fetched yet */
	struct lt_ctx *ctx;
	struct tas_sock *s; /* LT_CONN */
	uint32_t slot,
		gen;	 /* LT_CONN; a listener's slot only carries its news, LT_NONE = none yet */
	uint64_t rx_pos; /* consumed (under the slot's rx_lock) */
	uint32_t core;	 /* whose bell to ring until the flow is bound */
	uint32_t items;	 /* L: first epoll item, index + 1 */
	uint64_t evq_mask; /* queues that may still carry this description's news */
	uint32_t evq;	   /* queue its news are meant to go to */
	uint32_t epoll;	   /* LT_EPOLL: index + 1 */
	uint8_t laddr[16], raddr[16];
	uint16_t lport, rport; /* network order */
	/* Listener. */
	uint32_t listener, holder; /* daemon's id; our entry in holders[] */
	uint32_t nall, nexcl;	   /* users that want every, or one of, the wake-ups */
	uint32_t users;		   /* threads inside accept() */
	uint32_t accepted;	   /* connections taken, so that the kernel half gets its turn */
	uint32_t flow;		   /* LT_D_SHARED: the daemon's id of the connection */
	uint32_t backoff_ns;	   /* how long the last claim after a vain wait was put off */
	uint64_t errqueue; /* errqueue.c: first unreported send with MSG_ZEROCOPY, how many */
	uint32_t late;	   /* what a handler above a send or receive left for its end */
	struct tas_listen *l;
	struct lt_opts opts;
};

extern uint32_t *lt_tab; /* by descriptor: description index + 1, 0 = not ours, LT_TAB_HIDDEN */
extern uint32_t lt_ntab; /* entries; 0 until the first socket */
extern struct lt_desc *lt_descs;
extern uint32_t lt_ndescs;
extern uint32_t lt_pid;	   /* of the process that the tables belong to */
extern uint32_t *lt_alive; /* a page that fork empties: 0 in a child that has not been told */

#define LT_TAB_HIDDEN 0xffffffffu

/* fork.c */
void lt_fork_noticed(void);

/* What is not found by lt_fd_get(), which looks too: without this, a child made behind libc's back
 * would speak for its parent. */
static inline void lt_look_alive(void)
{
	const uint32_t *alive = tas_load(&lt_alive);

	if (lt_unlikely(alive != NULL && tas_load(alive) == 0))
		lt_fork_noticed();
}

struct lt_desc *lt_fd_mine(int fd);
int lt_claim(struct lt_desc *d, uint32_t life);

/* The description behind fd, or NULL: the kernel's. Lock-free. */
static inline struct lt_desc *lt_fd_get(int fd)
{
	uint32_t v;

	if ((uint32_t)fd >= tas_load(&lt_ntab))
		return NULL;
	v = tas_load_acq(&lt_tab[fd]);
	if (lt_likely(v == 0) || v == LT_TAB_HIDDEN)
		return NULL;
	if (lt_likely(tas_load(lt_alive) != 0))
		return &lt_descs[v - 1];
	return lt_fd_mine(fd);
}

/* Same, for the calls that only a tas connection answers itself. */
static inline struct lt_desc *lt_conn_get(int fd)
{
	struct lt_desc *d = lt_fd_get(fd);
	uint32_t kind;

	if (d == NULL)
		return NULL;
	kind = tas_load_acq(&d->kind);
	if (lt_likely(kind == LT_CONN))
		return d;
	return kind == LT_AWAY && lt_claim(d, tas_load(&d->life)) == 0 ? d : NULL;
}

/*
 * A call that slept goes on only if d is what it was when the call began: another thread may have
 * closed it meanwhile, and the description may stand for another connection now.
 */
static inline bool lt_conn_is(const struct lt_desc *d, uint32_t life)
{
	return tas_load_acq(&d->kind) == LT_CONN && tas_load(&d->life) == life;
}

static inline uint32_t lt_desc_index(const struct lt_desc *d)
{
	return (uint32_t)(d - lt_descs);
}

static inline uint32_t lt_flags(const struct lt_desc *d)
{
	return tas_load(&d->flags);
}

/* -errno -> -1 and errno */
static inline ssize_t lt_ret(ssize_t r)
{
	if (lt_unlikely(r < 0)) {
		errno = (int)-r;
		return -1;
	}
	return r;
}

/* fd.c: the table */
bool lt_setup(void);
struct lt_desc *lt_fd_check(
	int fd); /* as lt_fd_get, after comparing the cookie; drops a stale entry */
struct lt_desc *lt_desc_by_cookie(uint64_t cookie);
struct lt_desc *lt_desc_new(uint32_t kind, uint32_t flags);
void lt_desc_free(struct lt_desc *d);
uint64_t lt_cookie(int fd);
void lt_fd_put(int fd, struct lt_desc *d); /* fd now names d (which gains a reference) */
/*
 * As the kernel keeps a file for a call that sleeps on it: a close() by another thread takes effect
 * when the call lets go. False: it is closed already.
 */
bool lt_desc_hold(struct lt_desc *d);
void lt_desc_let_go(struct lt_desc *d);
void lt_fd_new(int fd); /* the kernel returned fd: whatever we had there is gone */
/* The same for what a call of libc's returned, which is returned. */
static inline int lt_fd_made(int fd)
{
	if (fd >= 0)
		lt_fd_new(fd);
	return fd;
}
void lt_fd_drop(int fd); /* fd names nothing of ours any more */
void lt_to_kernel(
	struct lt_desc *d, int fd); /* decided: the kernel's. All its descriptors leave the table */
int lt_hide(int fd);		    /* moves one of our descriptors up and hides it */
int lt_hide_copy(int fd);	    /* a hidden descriptor of the same file */
void lt_unhide(int fd);		    /* closes a hidden descriptor */
bool lt_hidden(int fd);
uint32_t lt_fd_top(void); /* no descriptor of ours is >= this */

/* explain.c: what does not go through tas, and why */
void lt_explain(enum tas_explain row);
uint64_t lt_explained(enum tas_explain row);
void lt_explain_open(uint64_t *words, uint32_t rows); /* from now on they lie in the segment */
void lt_explain_close(void);			      /* the service has ended */
void lt_explain_fork_child(void);
void lt_explain_option(struct lt_desc *d, enum tas_explain row); /* setsockopt() was called */
void lt_explain_decided(struct lt_desc *d); /* d is tas's: its options without effect count */
bool lt_explain_noticed(void); /* false in a child that was made behind libc's back */

/* uring.c */
void lt_uring_made(void);
bool lt_uring_keeps(void); /* the program has a ring: sockets that are not decided are the kernel's */

/* report.c: tas-run --explain */
void lt_explain_report(void);
void lt_report_fork_child(void);
void lt_report_move_fd(int fd);
int lt_report_fd(void); /* hidden, and a child's too */
void lt_report_accepted(struct lt_desc *d, const struct lt_desc *listener);
void lt_report_connected(struct lt_desc *d);
void lt_report_came(struct lt_desc *d);	  /* from another process, into the slot that d has now */
void lt_report_settle(struct lt_desc *d); /* it is going to leave its slot */
void lt_report_ended(struct lt_desc *d);
/* Left with the kernel: counted under `why`. */
void lt_left_connect(enum tas_explain why, const uint8_t addr[16], uint16_t port);
void lt_left_listener(enum tas_explain why, const uint8_t addr[16], uint16_t port);

/* sandbox.c */
struct sock_fprog;
extern uint32_t
	lt_sealed; /* a filter of system calls keeps us from the service: no commands, no epoll of our own */
void lt_sandbox_begin(void); /* what is to come may keep us from it */
int lt_seccomp(unsigned operation, unsigned flags, void *args);
void lt_sandbox_entered(const struct sock_fprog *p); /* the filter is in force; NULL: strict mode */

/* client.c: the registration connection */
bool lt_client_ready(void);
bool lt_client_refused(void); /* a service answered and did not take us */
int lt_command(struct tas_msg *m, int fd, int *fds, uint32_t *nfds);
bool lt_client_check(struct lt_ctx *c); /* true: the daemon is gone (and its context is dead now) */
int lt_client_fork_begin(struct tas_msg *m);
int lt_client_fork_begin_child(struct tas_msg *m);
void lt_client_fork_end(void);
void lt_client_fork_failed(struct tas_msg *m);
void lt_client_fork_child(const struct tas_msg *m);
bool lt_client_inherit(const uint64_t
		token[2]); /* after exec: registers with the token that the last program got */
void lt_client_tell(
	struct tas_msg *m); /* a command under lt_client_hold(), its answer not looked at */
bool lt_client_heir(void);  /* the daemon took us by a token: what we inherited is known to it */
uint32_t lt_client_app(void);
int lt_client_sock(void);
void lt_client_move_fd(int fd);
void lt_client_spare(
	void); /* a descriptor that came with a reply was closed: its number is to be had */
void lt_client_hold(uint64_t *saved);
void lt_client_release(const uint64_t *saved);

/* addr.c: addresses and who serves them */
enum lt_place { LT_KERNEL, LT_TAS, LT_BOTH };
bool lt_addr_get(const struct sockaddr *sa, socklen_t len, uint8_t addr[16], uint16_t *port);
int lt_addr_put(const struct lt_desc *d, const uint8_t addr[16], uint16_t port, struct sockaddr *sa,
	socklen_t *len);
bool lt_addr_any(const uint8_t addr[16]);
enum lt_place lt_place_local(const struct lt_ctx *c, const uint8_t addr[16]);
int lt_why_kernel(const struct lt_ctx *c, const uint8_t addr[16]); /* explain.h; -1: it is tas's */
enum lt_place lt_place_remote(const struct lt_ctx *c, const uint8_t addr[16]);

/* stream.c: state of a connection, ringing, waiting */
uint32_t lt_conn_events(struct lt_desc *d, uint32_t wanted); /* EPOLL* bits that hold now */
bool lt_conn_bound(const struct lt_desc *d);
uint32_t lt_conn_state(const struct lt_desc *d); /* TAS_SOCK_* bits; 0 until it is bound */
int lt_conn_error(struct lt_desc *d);		 /* pending error, once; 0 = none */
void lt_conn_want(struct lt_desc *d, uint32_t set, uint32_t clear);
void lt_ring(const struct lt_desc *d);
void lt_ring_slot(struct lt_ctx *c, uint32_t core, uint32_t slot);
void lt_ring_later(
	const struct lt_desc *d); /* more will follow soon: do not wake a sleeping core yet */
void lt_settle(struct lt_ctx *c);
uint64_t lt_conn_unread(const struct lt_desc *d); /* bytes that a reader gets to see */
uint64_t lt_conn_left(const struct lt_desc *d);	  /* ... and an urgent byte at the mark */
uint64_t lt_conn_unsent(const struct lt_desc *d);
bool lt_tx_writable(const struct lt_desc *d, uint64_t *room);
void lt_tx_ask(struct lt_desc *d); /* tell us when there is room */
/* Gives back what an idle or closed connection keeps of what was acknowledged. */
void lt_tx_release(struct lt_ctx *c, struct tas_sock *s, uint32_t gen);
void lt_tx_drop(struct lt_ctx *c, struct tas_sock *s); /* all of a closed slot's chunks */
void lt_conn_wake(struct lt_desc *d);		       /* threads asleep on d look again */

/* What a blocking call waits for; bits may be joined. */
#define LT_WAIT_RX   1u
#define LT_WAIT_TX   2u
#define LT_WAIT_CONN 4u
#define LT_WAIT_SENT 8u
#define LT_WAIT_ONCE 16u /* the call is in part done: any handler ends it */
#define LT_WAIT_ALL  32u /* with RX: for so many bytes even if the peer's window ends before */
/* 0 when it may have come or `life` is over, -EINTR, or -EAGAIN when `until_ns` (0 = never) has
 * passed. The call holds d from its first sleep on, *held, until it returns (-EBADF: it is closed);
 * held is NULL where nobody can close it. */
int lt_conn_wait(struct lt_desc *d, uint32_t life, uint32_t what, uint64_t need, uint64_t until_ns,
	bool *held);
uint64_t lt_until(uint64_t timeout_ns);

/* restart.c */
bool lt_restart(bool timed); /* after a sleep that any handler ends: does the call go on? */
/* Sleeps while *w == val until `until_ns`. restartable: -EINTR only for a handler that ends the call. */
long lt_futex_sleep(uint32_t *w, uint32_t val, uint64_t until_ns, bool restartable);
/* For a ppoll() that handlers with SA_RESTART shall not end: a hidden descriptor to poll and the mask
 * to poll with; -1: not needed, lt_restart() tells. */
int lt_restart_fd(sigset_t *mask);
int lt_restart_fd_woke(void); /* it was ready, and the handler has run: 0 = go on, or -EINTR */

/* A call that need not sleep is a cancellation point all the same (pthreads(7)). Before any lock is taken. */
static inline void lt_cancel_point(void)
{
	if (!__libc_single_threaded)
		pthread_testcancel();
}

/* recv.c, send.c */
struct lt_iov {
	const struct iovec *v;
	size_t n;
	size_t off; /* into v[0] */
};
ssize_t lt_recv_iov(struct lt_desc *d, struct lt_iov *it, size_t total, int flags);
ssize_t lt_send_iov(struct lt_desc *d, struct lt_iov *it, size_t total, int flags);

/* urgent.c */
struct lt_urg {
	uint64_t
		pos; /* in: where the reader stands; out: after bytes that it does not get to see */
	uint64_t mark; /* the urgent byte, at pos or after it */
	uint32_t word; /* TAS_URG_* and the byte */
};
bool lt_urg_find(const struct lt_desc *d, struct lt_urg *u);  /* is a mark ahead? d is bound */
bool lt_urg_at_mark(const struct lt_desc *d, uint64_t ahead); /* of what was read */
bool lt_urg_waiting(const struct lt_desc *d);		      /* recv(MSG_OOB) would get it */
uint64_t lt_urg_unseen(const struct lt_desc *d, uint64_t n);
uint64_t lt_urg_readable(const struct lt_desc *d, uint64_t n);
ssize_t lt_urg_recv(struct lt_desc *d, struct lt_iov *it, size_t n, int flags, int *got);

/* control.c */
int lt_control_send(const struct msghdr *m); /* 0: no word of it is refused */
/* The one control message of a recvmsg(), as much of it as there is room for. */
void lt_control_put(struct msghdr *m, int level, int type, const void *data, size_t n);

/* errqueue.c */
bool lt_errqueue_any(const struct lt_desc *d);
bool lt_errqueue_full(const struct lt_desc *d);
void lt_errqueue_sent(struct lt_desc *d); /* a send with MSG_ZEROCOPY is complete */
ssize_t lt_errqueue_recv(struct lt_desc *d, struct msghdr *m, int flags); /* m: NULL = recv() */

#define LT_URGENT_MINOR 3 /* a service before ABI 1.3 does not announce what is urgent */

/* Never so for a connection without urgent data. */
static inline bool lt_urged(const struct lt_desc *d)
{
	return lt_unlikely(tas_load(&d->s->rx_urged) != 0);
}

ssize_t lt_iov_total(const struct iovec *v, size_t n);
bool lt_iov_null(
	const struct lt_iov *it, size_t n); /* is any of the next n bytes in the zero page? */
ssize_t lt_msg_total(const struct msghdr *m);
size_t lt_iov_copy_in(struct lt_iov *it, uint8_t *to, size_t n); /* from the program */
void lt_iov_skip(struct lt_iov *it, size_t n);
size_t lt_iov_copy_out(struct lt_iov *it, const uint8_t *from, size_t n); /* to the program */

/*
 * recv.c: taking bytes where they lie, under the slot's rx_lock. lt_rx_begin says how many there are,
 * lt_rx_pieces where the first of them are, lt_rx_commit gives n of those back to the core. Not for a
 * connection with LT_D_SHARED, which may leave meanwhile; it does not become one before lt_rx_end.
 */
struct lt_rxop {
	struct lt_desc *d;
	struct tas_sock *s;
	uint64_t pos, head;
	uint32_t chunk;
};

ssize_t lt_rx_begin(struct lt_rxop *x, struct lt_desc *d, uint32_t life);
size_t lt_rx_pieces(const struct lt_rxop *x, size_t max, struct iovec *v, int *nv);
void lt_rx_commit(struct lt_rxop *x, size_t n);
void lt_rx_end(struct lt_rxop *x);
int lt_rx_why_empty(struct lt_desc *d);

/*
 * send.c: appending to the send list under the slot's tx_lock. lt_tx_begin says how many bytes may
 * be added, lt_tx_place names memory for the next ones, lt_tx_commit publishes the first `n` of
 * those and rings.
 */
#define LT_TX_PIECES 5

struct lt_txop {
	struct lt_desc *d;
	struct tas_sock *s;
	uint64_t head;
	uint32_t restart; /* nothing is outstanding: the list starts anew at head */
	uint32_t first;	  /* chunk of the first piece */
	uint32_t fresh[LT_TX_PIECES];
	uint32_t nfresh;
	bool urgent; /* the last byte of the next commit is */
};

ssize_t lt_tx_begin(struct lt_txop *t, struct lt_desc *d, uint32_t life); /* -EBADF: it is over */
size_t lt_tx_place(struct lt_txop *t, size_t max, struct iovec *v, int *nv);
void lt_tx_commit(struct lt_txop *t, size_t n);
size_t lt_tx_lost(const struct lt_txop *t);
void lt_tx_end(struct lt_txop *t);
void lt_tx_more(struct lt_desc *d, int flags); /* as the MSG_MORE of a send that begins */
/*
 * Sets `want` bits after which tx_head must not move: no send is between lt_tx_begin and lt_tx_end.
 * A handler above its own send leaves them to that send, which says them when it ends.
 */
void lt_tx_finish(struct lt_desc *d, uint32_t want);
void lt_tx_last(struct lt_desc *d, uint32_t want); /* the same at exit: no send goes on after it */
/* In a handler above this thread's own send or receive on d: its lock is held until that ends. */
bool lt_conn_busy(const struct lt_desc *d);
void lt_late_slow(struct lt_desc *d);
/* After a slot's lock was let go, and any lock above it: what a handler could not do meanwhile. */
static inline void lt_late(struct lt_desc *d)
{
	if (lt_unlikely(tas_load(&d->late) != 0))
		lt_late_slow(d);
}
/* The errno of a send that failed with `err`, after SIGPIPE where it is due. */
int lt_tx_fail(int err, int flags);

/* socket.c, listen.c, accept.c */
void lt_conn_close(struct lt_desc *d);
void lt_conn_unbind(struct lt_desc *d);
void lt_conn_forget(struct lt_desc *d); /* of one that was disconnected */
bool lt_is_connected(const struct lt_desc *d);
void lt_listen_close(struct lt_desc *d);
void lt_listen_down(struct lt_desc *d); /* shutdown(): no more connections, sleepers look again */
bool lt_listen_usable(const struct lt_desc *d); /* it has a queue that can still be taken from */
bool lt_listen_ready(struct lt_desc *d);	/* accept.c: a connection is queued */
int lt_listen_arm(struct lt_desc *d, int all, int excl); /* changes the counts of users */
void lt_listen_leave(struct lt_desc *d, bool exclusive);
/* In a fork child, a listener is ours only once the daemon says so. False: it has become the
 * kernel's. */
bool lt_listen_settle(struct lt_desc *d, int fd);
bool lt_listen_map(struct lt_desc *d, int fd, uint32_t id);
int lt_listen_decide(struct lt_desc *d, int fd, int backlog);
/* An undecided description whose handle listens already (inherited over exec): ours if the daemon says so. */
void lt_listen_join(struct lt_desc *d, int fd, uint32_t flags); /* of JOIN */

/* common.c: what holders have in common, through the handle */
void lt_common_leave(struct lt_desc *d, int fd); /* d is shared from now on; fd: -1 = not known */
void lt_common_recall(struct lt_desc *d);	 /* d is claimed: another may have set something */

/* opt.c, options.c */
void lt_opts_settle(
	struct lt_desc *d, int fd); /* the handle of an accepted connection gets its options */
void lt_opts_quickack(struct lt_desc *d, bool on);
void lt_opts_init(struct lt_opts *o);
void lt_opts_inherit(struct lt_desc *d, const struct lt_opts *from);
/* SETOPT about d, an undecided socket has nobody to be told. 0 or -errno. */
int lt_opts_exchange(struct lt_desc *d, struct tas_msg *m);
int lt_opts_tell(struct lt_desc *d, uint64_t words); /* TAS_OPT_WORD() of what changed */

int lt_opt_out(
	void *val, socklen_t *len, const void *from, size_t n); /* as getsockopt() returns it */

/* tcp_info.c */
int lt_tcp_info(struct lt_desc *d, int fd, void *val, socklen_t *len);
int lt_conn_ask(struct lt_desc *d, struct tas_conn_info *out); /* 0, or -errno: it is over */

/* congestion.c */
int lt_congestion_set(struct lt_desc *d, int fd, const void *val, socklen_t len);
int lt_congestion_get(struct lt_desc *d, int fd, void *val, socklen_t *len);

/* queue.c: event queues, and sleeping on them */
void lt_news(
	struct lt_desc *d); /* something about d changed here: tell the epoll instances it is in */
void lt_queue_collect(struct lt_ctx *c, uint64_t queues);
bool lt_queue_pending(const struct lt_ctx *c, uint64_t queues);
void lt_queue_announce(struct lt_ctx *c, uint64_t queues);
void lt_queue_retract(struct lt_ctx *c, uint64_t queues);
void lt_queue_rearm(struct lt_ctx *c, uint64_t queues);
int lt_queue_register(struct lt_ctx *c, uint32_t q);
uint32_t lt_queue_new(struct lt_ctx *c);
void lt_queue_recycle(struct lt_ctx *c, uint32_t q);
bool lt_queue_worth_spinning(const struct lt_ctx *c, int cpu);
void lt_desc_queue(struct lt_desc *d, uint32_t q);
/* A thread is going to sleep on d outside of an epoll instance, and will look at the queues again
 * after announcing itself. */
static inline void lt_queue_mark(struct lt_desc *d)
{
	if (!(lt_flags(d) & LT_D_POLLED))
		tas_fetch_or(&d->flags, LT_D_POLLED);
}
/* Such threads look again. */
void lt_queue_rouse(const struct lt_desc *d);

/* epoll.c, epoll_set.c */
void lt_epoll_listening(struct lt_desc *d);
void lt_epoll_close(struct lt_desc *d);
void lt_epoll_forget(struct lt_desc *d); /* d is closed: leave every set */
void lt_epoll_fork_child(void);
bool lt_epoll_mixed(const struct lt_desc *d);	/* sockets of ours are in the set */
void lt_epoll_moved(struct lt_desc *d, int fd); /* d became the kernel's: so do its memberships */
uint64_t lt_epoll_queues(struct lt_desc *d);
void lt_epoll_watched(struct lt_desc *d); /* somebody polls the instance itself */
bool lt_epoll_ready(struct lt_desc *d);
void lt_epoll_inbox(uint32_t item); /* the item may be ready */

/* poll.c, sleeper.c: sleeping in poll() on kernel descriptors and our queues */
struct lt_sleep {
	struct lt_ctx *c;
	uint64_t queues;
	uint32_t sleeper; /* index, or LT_NONE when none could be had: the sleep is cut short
			     instead */
	int epfd;
};
/* Announces the thread on `queues`; the caller looks once more before lt_sleep_poll. */
void lt_sleep_begin(struct lt_sleep *sl, struct lt_ctx *c, uint64_t queues);
/* ppoll() over fds[0..n) and the queues; fds has room for two more. Ready descriptors of fds, or
 * -errno. */
int lt_sleep_poll(
	struct lt_sleep *sl, struct pollfd *fds, nfds_t n, uint64_t until_ns, const sigset_t *mask);
void lt_sleep_end(struct lt_sleep *sl);
void lt_sleepers_move_fd(int fd);
void lt_sleepers_fork_child(void);

/* short.c: payload memory has run out */
void lt_short_of_memory(struct lt_desc *d);	 /* a send that does not block found none */
uint64_t lt_short_until(const struct lt_ctx *c); /* nobody may sleep beyond this; 0 = no limit */
void lt_short_retry(struct lt_ctx *c);		 /* those who wait may try again, when it is time */
int lt_short_wait(struct lt_desc *d, uint64_t until_ns); /* a blocking send: as lt_conn_wait */

/*
 * share.c: connections that several processes hold. A slot that the connection has left shows
 * MOVED; what follows then is -ESTALE inside libtas, and lt_claim() brings the connection back.
 */
void lt_share_mark(void);	      /* before fork: what may be used by others from now on */
bool lt_share_one(struct lt_desc *d); /* the same of one; false: it is still connecting, or over */
bool lt_share_any(void);	      /* something was marked */
bool lt_moved(const struct lt_desc *d); /* it has left, or is leaving, its slot */
uint64_t lt_moved_tx(
	const struct tas_sock *s, uint64_t head); /* of our tx_head: what was not heard */
uint64_t lt_moved_rx(const struct tas_sock *s, uint64_t tail); /* of our rx_tail */
int lt_claim(struct lt_desc *d, uint32_t life);		       /* 0 = it is in our slot, -errno */
int lt_claim_again(
	struct lt_desc *d, uint32_t life); /* after waiting in vain: others may be using it */
#define LT_SHARE_SLICE_NS 50000000ull
void lt_share_stray(struct lt_desc *d); /* in an epoll set that is waited in, and not in our slot */
bool lt_share_strays(void); /* there are such: wait LT_SHARE_SLICE_NS at most, then fetch them */
void lt_share_fetch(void);
void lt_share_fork_child(void);
bool lt_share_close(struct lt_desc *d); /* our last descriptor: true when others hold it */
/* The connection is to be used by a call that is not about data. */
static inline void lt_home(struct lt_desc *d)
{
	if (lt_unlikely(lt_flags(d) & LT_D_SHARED))
		lt_claim(d, tas_load(&d->life));
}

/*
 * pass.c, received.c, rights.c: descriptors that go to other processes, and come from them.
 * lt_pass: 1 = announced (and to be taken back by lt_unpass if it does not go), 0 = there is nothing to
 * announce, or -errno: it cannot go.
 */
int lt_pass(struct lt_desc *d, int fd);
void lt_unpass(const struct lt_desc *d);
bool lt_stays_open(int fd);		   /* over exec */
void lt_explain_program(const char *name); /* that gets descriptors of ours: NULL = not known */
void lt_received(int fd, uint32_t flags);  /* TAS_PASS_MORE, or 0 */
void lt_received_at_start(void);
/* False also for what is no address: the kernel says EFAULT. */
static inline bool lt_has_control(const struct msghdr *m)
{
	return (uintptr_t)m - 4096u < LT_USER_TOP - 4096u && m->msg_controllen != 0;
}
bool lt_any_control(const struct mmsghdr *m, unsigned n);

/* fork.c: around what makes a child with a copy of our memory. Signals are blocked from the first to the second. */
struct lt_forking {
	struct tas_msg m;
	uint64_t mask;
	bool token;
};
void lt_fork_before(struct lt_forking *f);
void lt_fork_in_child(const struct lt_forking *f);
void lt_fork_in_parent(struct lt_forking *f, pid_t pid);

/* exit.c: the process ends, and its connections in good order */
void lt_at_exit(void);

/* stdio.c */
void lt_stdio_follow(int fd); /* 0, 1 or 2 is ours now: so is its stream */
void lt_stdio_flush(void);
void lt_stdio_fork_child(void);

/* splice.c: what is there goes into the pipe `out` */
ssize_t lt_splice_out(struct lt_desc *d, int out, size_t n, unsigned flags);

#endif
