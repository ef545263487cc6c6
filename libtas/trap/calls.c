/*
 * calls.c - bind, connect, names and shutdown.
 *
 * bind() or connect() to an address of tas's makes the mirror, with the options of the program's socket, and
 * puts one end of a pair where that socket was. All else stays the program's own socket in the kernel. What
 * falls to the kernel after all (a bound socket that connects elsewhere) is put back as a kernel socket.
 * Owner: the supervisor's thread. bind(2), connect(2), shutdown(2).
 */
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <unistd.h>
#include "lt.h"
#include "trap.h"

#define STATE_CLOSE 7 /* TCP_CLOSE of tcp_info */

int tr_mirror(int domain, int like)
{
	int fd = socket(domain, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (lt_fd_get(fd) == NULL) { /* the service has gone */
		close(fd);
		return -EAGAIN;
	}
	if (like >= 0)
		tr_options_copy(like, fd);
	return fd;
}

/* Length, or -errno; 0: not an address that tas could serve. */
static int read_address(const struct tr_call *c, struct sockaddr_storage *sa, uint8_t addr[16])
{
	int len = (int)c->arg[2];
	uint16_t port;

	if (len < 0 || len > (int)sizeof(*sa))
		return -EINVAL;
	memset(sa, 0, sizeof(*sa));
	if (!tr_target_read(c->tid, c->arg[1], sa, (size_t)len))
		return -EFAULT;
	if (!tr_valid(c->id))
		return -ESRCH;
	return lt_addr_get((struct sockaddr *)sa, (socklen_t)len, addr, &port) ? len : 0;
}

/* A mirror and a pair that stand for the program's own socket. NULL and -errno; the mirror is ours still. */
static struct tr_sock *replace(struct tr_call *c, enum tr_kind kind, int mirror, int *err)
{
	struct tr_sock *s = tr_sock_new(kind);
	int end;

	*err = -ENOBUFS;
	if (s == NULL)
		return NULL;
	end = tr_pair(s);
	if (end < 0) {
		*err = end;
		tr_sock_free(s);
		return NULL;
	}
	s->mirror = mirror;
	if (kind == TR_CONNECTING)
		tr_stuff(s, end);
	*err = tr_pair_install(c, s, end);
	lt_sys_close(end);
	if (*err < 0) {
		s->mirror = -1;
		tr_sock_close(s, false);
		return NULL;
	}
	c->s = s;
	tr_watch(s, false, 0);
	return s;
}

int64_t tr_bind(struct tr_call *c)
{
	struct sockaddr_storage sa;
	uint8_t addr[16];
	struct lt_ctx *x;
	int len = read_address(c, &sa, addr), mirror, r;

	if (c->s != NULL && c->s->mirror < 0)
		return -EINVAL;
	if (len == 0 && c->s == NULL)
		return TR_CONTINUE;
	if (len < 0)
		return len;
	if (c->s != NULL) /* bound already: the kernel's half of the mirror says so */
		return bind(c->s->mirror, (struct sockaddr *)&sa, (socklen_t)c->arg[2]) == 0
			       ? 0
			       : -errno;
	x = lt_context_get();
	if (x == NULL || lt_place_local(x, addr) == LT_KERNEL)
		return TR_CONTINUE;
	mirror = tr_mirror(c->domain, c->fd);
	if (mirror < 0)
		return mirror == -EAGAIN ? TR_CONTINUE : mirror;
	if (bind(mirror, (struct sockaddr *)&sa, (socklen_t)len) != 0)
		r = -errno;
	else if (replace(c, TR_BOUND, mirror, &r) != NULL)
		return 0;
	close(mirror);
	return r;
}

/* ---- connect ---- */

/* Is the program's own socket still one that connect() decides about? */
static bool undecided(const struct tr_call *c)
{
	struct sockaddr_storage sa;
	unsigned len = sizeof(sa);
	uint8_t state = 0;

	memset(&sa, 0, sizeof(sa));
	if (lt_sys3(SYS_getsockname, c->fd, &sa, &len) < 0 ||
		((struct sockaddr_in *)&sa)->sin_port != 0)
		return false;
	len = sizeof(state);
	return lt_sys_getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &state, &len) == 0 &&
	       state == STATE_CLOSE;
}

/* The kernel's after all: the program gets the kernel socket, with the mode that its own had. */
static int64_t hand_back(struct tr_call *c, struct tr_sock *s, int mirror)
{
	long fl = lt_sys_fcntl(c->fd, F_GETFL, 0), copy = lt_sys1(SYS_dup, mirror);
	int at = (int)c->arg[0], r;

	if (copy < 0)
		return copy;
	if (fl >= 0)
		lt_sys_fcntl((int)copy, F_SETFL, fl);
	tr_options_copy_native(c->fd, (int)copy);
	r = tr_add_fd(c->id, (int)copy, at, tr_target_cloexec(c->tid, at));
	lt_sys_close((int)copy);
	if (s != NULL)
		tr_sock_close(s, false);
	else
		close(mirror);
	c->s = NULL;
	return r < 0 ? r : TR_CONTINUE;
}

static bool nonblocking(const struct tr_call *c)
{
	long fl = lt_sys_fcntl(c->fd, F_GETFL, 0);

	return fl < 0 || (fl & O_NONBLOCK) != 0;
}

static int64_t wait_connect(struct tr_call *c, int64_t now)
{
	struct tr_wait w = {.id = c->id, .tid = c->tid, .s = c->s, .late = now};
	struct timeval tv = {0, 0};
	unsigned len = sizeof(tv);

	if (nonblocking(c))
		return now;
	if (lt_sys_getsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &tv, &len) == 0 &&
		(tv.tv_sec | tv.tv_usec) != 0)
		w.until_ns = lt_now_ns() + (uint64_t)tv.tv_sec * 1000000000u +
			     (uint64_t)tv.tv_usec * 1000u;
	return tr_wait_add(&w) ? TR_LATER : -ENOBUFS;
}

/* connect() on what tas has already; 1: a new attempt. */
static int64_t connect_again(struct tr_call *c)
{
	struct tr_sock *s = c->s;
	int err = s->err;

	switch (s->kind) {
	case TR_CONNECTING:
		return wait_connect(c, -EALREADY);
	case TR_CONN:
		if (s->reported)
			return -EISCONN;
		s->reported = true;
		return 0;
	case TR_LISTEN:
		return -EISCONN;
	case TR_DEAD:
		s->err = 0;
		return err != 0 ? -err : 1;
	default:
		return 1;
	}
}

/* The mirror's connect(), and then the pair. */
static int64_t begin(struct tr_call *c, int mirror, const struct sockaddr_storage *sa, int len)
{
	struct tr_sock *s = c->s != NULL && c->s->kind == TR_BOUND ? c->s : NULL;
	int err = connect(mirror, (const struct sockaddr *)sa, (socklen_t)len) == 0 ? 0 : errno, r;

	if (lt_fd_get(mirror) == NULL)
		return hand_back(c, s, mirror);
	if (err != 0 && err != EINPROGRESS) {
		if (s == NULL)
			close(mirror);
		return -err;
	}
	if (s != NULL) {
		s->kind = TR_CONNECTING;
		tr_stuff(s, c->fd);
	} else if ((s = replace(c, TR_CONNECTING, mirror, &r)) == NULL) {
		close(mirror);
		return r;
	}
	tr_watch(s, true, EPOLLOUT);
	return wait_connect(c, -EINPROGRESS);
}

int64_t tr_connect(struct tr_call *c)
{
	struct sockaddr_storage sa;
	uint8_t addr[16];
	struct lt_ctx *x = lt_context_get();
	int len = read_address(c, &sa, addr), mirror;
	bool bound = c->s != NULL && c->s->kind == TR_BOUND;
	int64_t r;

	if (len <= 0 && c->s == NULL)
		return len == -ESRCH ? TR_DONE : TR_CONTINUE;
	if (len <= 0)
		return len == 0 ? -EAFNOSUPPORT : len;
	if (c->s != NULL && (r = connect_again(c)) != 1)
		return r;
	if (c->s == NULL && !undecided(c))
		return TR_CONTINUE;
	if (x == NULL || lt_place_remote(x, addr) == LT_KERNEL)
		return bound	      ? hand_back(c, c->s, c->s->mirror)
		       : c->s == NULL ? TR_CONTINUE
				      : -ENETUNREACH;
	if (bound)
		return begin(c, c->s->mirror, &sa, len);
	mirror = tr_mirror(c->s != NULL ? sa.ss_family : c->domain, c->s != NULL ? -1 : c->fd);
	if (mirror < 0)
		return mirror == -EAGAIN ? TR_CONTINUE : mirror;
	return begin(c, mirror, &sa, len);
}

/* The mirror is connected, or is not going to be. */
void tr_connect_event(struct tr_sock *s)
{
	struct tr_wait *w;
	int err = 0;
	socklen_t len = sizeof(err);

	if (getsockopt(s->mirror, SOL_SOCKET, SO_ERROR, &err, &len) != 0)
		err = errno;
	w = tr_wait_of(s);
	if (err != 0) {
		if (w == NULL || !tr_answer(w->id, -err))
			s->err = err;
		if (w != NULL)
			tr_wait_drop(w);
		s->down = true;
		tr_sock_close(s, false); /* with the stuffing unread: the program's end hangs up */
		return;
	}
	s->kind = TR_CONN;
	tr_unstuff(s);
	for (; (w = tr_wait_of(s)) != NULL; tr_wait_drop(w))
		s->reported |= tr_answer(w->id, 0);
	tr_relay_start(s);
}

/* ---- names and shutdown ---- */

int tr_name_out(
	pid_t tid, uint64_t addr, uint64_t len, const struct sockaddr_storage *sa, socklen_t n)
{
	int room;

	if (!tr_target_read(tid, len, &room, sizeof(room)))
		return -EFAULT;
	if (room < 0)
		return -EINVAL;
	if (!tr_target_write(tid, addr, sa, (socklen_t)room < n ? (socklen_t)room : n))
		return -EFAULT;
	room = (int)n;
	return tr_target_write(tid, len, &room, sizeof(room)) ? 0 : -EFAULT;
}

int64_t tr_name(struct tr_call *c)
{
	struct tr_sock *s = c->s;
	bool peer = c->nr == SYS_getpeername;
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);

	if (s->kind == TR_DEAD) {
		sa = peer ? s->peer : s->name;
		len = peer ? s->peer_len : s->name_len;
		if (len == 0)
			return peer ? -ENOTCONN : TR_CONTINUE;
	} else if ((peer ? getpeername : getsockname)(s->mirror, (struct sockaddr *)&sa, &len) !=
		   0) {
		return -errno;
	}
	return tr_name_out(c->tid, c->arg[1], c->arg[2], &sa, len);
}

/* A connection's directions are the pair's own. */
int64_t tr_shutdown(struct tr_call *c)
{
	struct tr_sock *s = c->s;
	int how = (int)c->arg[1];

	if (s->kind == TR_CONN) {
		s->down |= how == SHUT_RDWR;
		return TR_CONTINUE;
	}
	if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR)
		return -EINVAL;
	if (s->kind != TR_LISTEN)
		return -ENOTCONN;
	if (how == SHUT_WR)
		return 0;
	shutdown(s->mirror, how);
	s->down = true;
	tr_sock_close(s, false);
	return 0;
}
