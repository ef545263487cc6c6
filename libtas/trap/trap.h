/*
 * trap.h - tas-trap: a program whose system calls on sockets are answered by a supervisor.
 *
 * A seccomp filter hands the program's control calls (bind, connect, listen, accept, names, options,
 * shutdown) to the supervisor, which is a program over tas like any other: it is linked with libtas' own
 * objects. Where tas serves, the program's descriptor is replaced by one end of a UNIX stream pair, and
 * the supervisor moves bytes between the other end and a tas socket, the `mirror`. Everything that comes
 * from the program is hostile: read once, checked, answered with Linux's errno. Descriptors are known by
 * SO_COOKIE, so dup, fork, exec and close need no attention. One thread owns all of it.
 * seccomp_unotify(2), pidfd_getfd(2), unix(7). Why so: docs/decisions/0019-trap.md.
 */
#ifndef TR_TRAP_H
#define TR_TRAP_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

/* Connections that are accepted before the program asks: it must see that there are some. */
#define TR_AHEAD 16u

/* What a handler returns instead of a result. */
#define TR_CONTINUE INT64_MIN	    /* the kernel's own call */
#define TR_LATER    (INT64_MIN + 1) /* kept in the list of waiting calls */
#define TR_DONE	    (INT64_MIN + 2) /* it has been answered */

enum tr_kind {
	TR_BOUND, /* bind() done, nothing decided */
	TR_LISTEN,
	TR_CONNECTING,
	TR_CONN,
	TR_DEAD, /* both ends are closed; kept for a while, for who asks what became of it */
};

/* Bytes of one direction that the other side would not take yet. */
struct tr_flow {
	uint8_t *left;
	size_t off, len;
	bool ended; /* the source has said so */
	bool shut;  /* and the destination knows */
	bool lost;  /* the destination takes nothing any more: dropped */
};

/* A connection that was accepted ahead. */
struct tr_ready {
	int fd;
	struct sockaddr_storage peer;
	socklen_t len;
};

struct tr_sock {
	uint64_t cookie;      /* of the program's end */
	struct tr_sock *next; /* in its bucket, then among those to be freed */
	enum tr_kind kind;
	int end;			/* our end of the pair, -1 when closed */
	int mirror;			/* the tas socket, -1 when closed */
	int err;			/* what SO_ERROR shall say, once */
	uint32_t end_want, mirror_want; /* epoll events asked for */
	bool end_gone, mirror_gone;	/* hung up, and out of the epoll set */
	bool reported;			/* connect() has returned 0 */
	bool down; /* a listener that was shut down, a connection shut both ways */
	pid_t tid; /* who got the descriptor, and under which number: a guess later */
	int fd;
	struct { /* a result that a signal kept from its caller */
		pid_t tid;
		int nr;
		int64_t result;
	} undelivered;
	size_t stuffing;	/* bytes of ours that keep the program's end from being writable */
	struct tr_flow in, out; /* to the program, from it */
	struct tr_ready ready[TR_AHEAD];
	uint32_t nready;
	struct sockaddr_storage name, peer; /* TR_DEAD */
	socklen_t name_len, peer_len;
};

/* One notification: a thread of the program waits for the answer. */
struct tr_call {
	uint64_t id;
	pid_t tid;
	int nr;
	uint64_t arg[6];
	int fd;		   /* our copy of the descriptor in arg[0], -1 = none */
	int domain;	   /* of that socket */
	struct tr_sock *s; /* what we stand behind, NULL: the kernel's TCP socket */
};

/* target.c: the calling thread. Each returns >= 0 or -errno. */
int tr_target_fd(pid_t tid, int fd);
bool tr_target_read(pid_t tid, uint64_t from, void *to, size_t n);
bool tr_target_write(pid_t tid, uint64_t to, const void *from, size_t n);
bool tr_target_cloexec(pid_t tid, int fd);
uint64_t tr_cookie(int fd);

/* filter.c: the notification descriptor, or -errno. */
int tr_filter_install(void);

/* notify.c */
int tr_notify_open(int fd);
void tr_notify_ready(void); /* takes what is there, at most a few */
bool tr_valid(uint64_t id);
bool tr_answer(uint64_t id, int64_t result); /* false: the call is over, interrupted or killed */
int tr_add_fd(
	uint64_t id, int fd, int at, bool cloexec); /* at < 0: a new one, and the call's result */

/* wait.c: calls that wait for their answer */
struct tr_wait {
	uint64_t id;
	pid_t tid;
	struct tr_sock *s;
	uint64_t until_ns;  /* 0 = for ever */
	int64_t late;	    /* the result at that time */
	uint64_t addr, len; /* accept */
	int flags;
};
bool tr_wait_add(const struct tr_wait *w);
struct tr_wait *tr_wait_of(const struct tr_sock *s);
void tr_wait_drop(struct tr_wait *w);
void tr_wait_forget(pid_t tid);
void tr_wait_all(const struct tr_sock *s, int64_t result);
int tr_wait_next(uint64_t now_ns); /* answers what is late; ms until the next, -1 */

/* table.c */
struct tr_sock *tr_sock_new(enum tr_kind kind);
struct tr_sock *tr_sock_find(uint64_t cookie);
void tr_sock_insert(struct tr_sock *s, uint64_t cookie);
void tr_sock_free(struct tr_sock *s); /* at the end of the round: events may still name it */
void tr_sock_bury(struct tr_sock *s); /* TR_DEAD: kept until many others have died */
void tr_sock_sweep(void);
uint32_t tr_sock_live(void);

/* options.c */
void tr_options_copy(int from, int to);	       /* of TCP, for the mirror */
void tr_options_copy_native(int from, int to); /* of any socket, for the pair */
int64_t tr_setsockopt(struct tr_call *c);
int64_t tr_getsockopt(struct tr_call *c);

/* pair.c: the ends */
int tr_pair(struct tr_sock *s); /* the program's end, or -errno; ours is in s */
int tr_pair_install(
	struct tr_call *c, struct tr_sock *s, int end); /* in place of the descriptor called on */
void tr_stuff(struct tr_sock *s, int end);
void tr_unstuff(struct tr_sock *s);
void tr_sock_close(struct tr_sock *s, bool abort); /* mirror and end */
void tr_sock_reset(struct tr_sock *s, int err);	   /* the program sees ECONNRESET */

/* calls.c, accept.c */
int tr_mirror(int domain, int like);
int64_t tr_bind(struct tr_call *c);
int64_t tr_connect(struct tr_call *c);
int64_t tr_listen(struct tr_call *c);
int64_t tr_accept(struct tr_call *c);
int64_t tr_name(struct tr_call *c);
int64_t tr_shutdown(struct tr_call *c);
void tr_connect_event(struct tr_sock *s);
void tr_listen_event(struct tr_sock *s);
int tr_name_out(
	pid_t tid, uint64_t addr, uint64_t len, const struct sockaddr_storage *sa, socklen_t n);

/* relay.c */
void tr_relay_start(struct tr_sock *s);
void tr_relay_event(struct tr_sock *s, bool mirror, uint32_t events);

/* loop.c */
int tr_loop(int notify);
void tr_watch(struct tr_sock *s, bool mirror, uint32_t events); /* adds or changes */
void tr_unwatch(struct tr_sock *s, bool mirror);

#endif
