/*
 * socket.c - socket, bind, connect, shutdown, names, and the end of a connection.
 *
 * socket() makes the kernel's socket, which is the handle; bind() binds it; connect() decides. A
 * decision for the kernel takes the descriptor out of the table: from then on no call costs more
 * than the lookup. Owner: any thread; decisions under the description's lock. socket(7),
 * connect(2), shutdown(2).
 */
#include <netinet/tcp.h>
#include "lt.h"

static bool may_be_ours(int domain, int type, int protocol)
{
	if (domain != AF_INET && domain != AF_INET6)
		return false;
	if ((type & 0xf) != SOCK_STREAM || (protocol != 0 && protocol != IPPROTO_TCP)) {
		lt_explain(TAS_X_kernel_not_tcp);
		return false;
	}
	if (lt_uring_keeps()) {
		lt_explain(TAS_X_kernel_uring);
		return false;
	}
	if (lt_client_ready())
		return true;
	lt_explain(lt_client_refused() ? TAS_X_kernel_refused : TAS_X_kernel_no_service);
	return false;
}

int lt_socket(int domain, int type, int protocol)
{
	int fd = lt_real.socket(domain, type, protocol);
	struct lt_desc *d;

	if (fd < 0)
		return fd;
	lt_fd_new(fd);
	if (!may_be_ours(domain, type, protocol))
		return fd;
	d = (uint32_t)fd >= lt_ntab
		    ? NULL
		    : lt_desc_new(LT_UNDECIDED, (type & SOCK_NONBLOCK ? LT_D_NONBLOCK : 0) |
							(domain == AF_INET6 ? LT_D_V6 : 0));
	if (d == NULL) {
		lt_explain(TAS_X_kernel_no_room);
		return fd;
	}
	d->cookie = lt_cookie(fd);
	lt_fd_put(fd, d);
	return fd;
}

/* A tas connection, or one under way: its handle would take a bind() or listen(). */
bool lt_is_connected(const struct lt_desc *d)
{
	return tas_load_acq(&d->kind) == LT_CONN && !(lt_flags(d) & LT_D_RECONNECT);
}

/* Local address and port the handle was bound to; zeros when it was not. */
static void bound_to(int fd, struct tas_msg *m)
{
	struct sockaddr_in6 sa;
	socklen_t len = sizeof(sa);
	uint8_t addr[16];
	uint16_t port;

	if (lt_sys3(SYS_getsockname, fd, &sa, &len) < 0)
		return;
	if (!lt_addr_get((struct sockaddr *)&sa, len, addr, &port))
		return;
	m->lport = port;
	if (!lt_addr_any(addr))
		memcpy(m->laddr, addr, 16);
}

/* What getsockname() says from now on: the address of the handle; its port, if it has one. */
static void bound_name(struct lt_desc *d, int fd)
{
	struct tas_msg m = {.lport = d->lport};

	bound_to(fd, &m);
	memcpy(d->laddr, m.laddr, 16);
	d->lport = m.lport != 0 ? m.lport : d->lport;
}

/* A connection that is over lies no longer in its port: the handle may be bound anew, if the program had not bound it. */
static bool may_bind(const struct lt_desc *d)
{
	return !lt_is_connected(d) || (lt_conn_state(d) & TAS_SOCK_ERROR);
}

/* An address that the kernel does not have. The program finds IP_FREEBIND afterwards as it left it. */
static int bind_anywhere(int fd, const struct sockaddr *sa, socklen_t len)
{
	int one = 1, was = 1, r, saved;
	unsigned size = sizeof(was);

	lt_sys_getsockopt(fd, IPPROTO_IP, IP_FREEBIND, &was, &size);
	lt_sys_setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &one, sizeof(one));
	r = lt_real.bind(fd, sa, len);
	saved = errno;
	if (!was)
		lt_sys_setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &was, sizeof(was));
	errno = saved;
	return r;
}

/* Is it one that tas serves? Then the kernel need not have it. */
static bool binds_here(const struct sockaddr *sa, socklen_t len)
{
	struct lt_ctx *c;
	uint8_t addr[16];
	uint16_t port;

	if (!lt_addr_get(sa, len, addr, &port) || lt_addr_any(addr))
		return false;
	c = lt_context_get();
	return c != NULL && lt_place_local(c, addr) == LT_TAS;
}

/* The kernel takes part in every bind: it decides conflicts, privileged ports and reuse for both
 * stacks. */
int lt_bind(struct lt_desc *d, int fd, const struct sockaddr *sa, socklen_t len)
{
	int r;

	if (!may_bind(d))
		return (int)lt_ret(-EINVAL);
	r = binds_here(sa, len) ? bind_anywhere(fd, sa, len) : lt_real.bind(fd, sa, len);
	if (r == 0 && d->kind == LT_CONN)
		bound_name(d, fd);
	return r;
}

/* IP_LOCAL_PORT_RANGE: the kernel chooses a port of it, as for a bind() without one. */
static void bind_in_range(const struct lt_desc *d, int fd, struct tas_msg *m)
{
	struct sockaddr_in6 sa = {
		.sin6_family = lt_flags(d) & LT_D_V6 ? AF_INET6 : AF_INET}; /* any, port 0 */
	socklen_t len = lt_flags(d) & LT_D_V6 ? sizeof(sa) : sizeof(struct sockaddr_in);

	if (lt_real.bind(fd, (struct sockaddr *)&sa, len) == 0)
		bound_to(fd, m);
}

/* Asks the daemon to connect. 0 = under way, or -errno (-EADDRNOTAVAIL: not for us). */
static int ask_connect(
	struct lt_desc *d, struct lt_ctx *c, int fd, const uint8_t addr[16], uint16_t port)
{
	struct tas_msg m = {.type = TAS_CMD_CONNECT, .rport = port, .opts = d->opts.wire};
	uint32_t slot = lt_slot_get(c, lt_desc_index(d));
	int r;

	if (slot == LT_NONE) {
		lt_explain(TAS_X_no_slot);
		return -ENOBUFS;
	}
	d->s = &c->socks[slot];
	lt_slot_reset(d->s);
	d->s->want = (d->opts.nodelay ? TAS_SOCK_NODELAY : 0) |
		     (lt_flags(d) & LT_D_CORK ? TAS_SOCK_CORK : 0);
	d->s->evq = d->evq;
	d->s->quickack = d->opts.quickack;
	m.slot = slot;
	memcpy(m.raddr, addr, 16);
	bound_to(fd, &m);
	if (d->opts.ports && m.lport == 0)
		bind_in_range(d, fd, &m);
	r = lt_command(&m, fd, NULL, NULL);
	if (r < 0) {
		lt_slot_put(c, slot, 0);
		return r;
	}
	d->ctx = c;
	d->slot = slot;
	d->gen = (uint32_t)m.aux;
	d->rx_pos = 0;
	memcpy(d->laddr, m.laddr, 16);
	memcpy(d->raddr, addr, 16);
	d->lport = m.lport;
	d->rport = port;
	tas_fetch_or(&d->flags, LT_D_CONNECTING);
	tas_store_rel(&d->kind, (uint32_t)LT_CONN);
	lt_explain_decided(d);
	lt_report_connected(d);
	return 0;
}

/* The result of a connect() that may still be under way: 0, -EINPROGRESS or why it failed. */
static int connect_result(struct lt_desc *d)
{
	int err;

	if (!lt_conn_bound(d) && !(lt_flags(d) & LT_D_RECONNECT))
		return -EINPROGRESS;
	tas_fetch_and(&d->flags, ~LT_D_CONNECTING);
	if (!(lt_flags(d) & LT_D_RECONNECT) && !(tas_load_acq(&d->s->state) & TAS_SOCK_ERROR))
		return 0;
	err = lt_conn_error(d);
	tas_fetch_or(&d->flags, LT_D_RECONNECT);
	return err != 0 ? -err : -ECONNABORTED;
}

/* As in the kernel, a blocking connect() that is interrupted goes on in the background. */
static int connect_wait(struct lt_desc *d)
{
	uint32_t life = tas_load_acq(&d->life);
	uint64_t until = lt_until(d->opts.sndtimeo_ns);
	bool held = true; /* by lt_connect() */
	int r;

	r = lt_conn_wait(d, life, LT_WAIT_CONN, 0, until, &held);
	if (r == -EINTR)
		return r;
	if (!lt_conn_is(d, life)) /* another thread has ended it */
		return -ECONNABORTED;
	if (lt_conn_bound(d) && (tas_load_acq(&d->s->state) & TAS_SOCK_OPEN)) {
		tas_fetch_and(&d->flags, ~LT_D_CONNECTING);
		return 0; /* established; if it is gone since, the next call says so */
	}
	return connect_result(d);
}

/* connect() on what is ours already. */
static int connect_again(struct lt_desc *d)
{
	int r;

	if (!(lt_flags(d) & LT_D_CONNECTING))
		return -EISCONN;
	r = lt_flags(d) & LT_D_NONBLOCK ? connect_result(d) : connect_wait(d);
	return r == -EINPROGRESS ? -EALREADY : r;
}

/* Ends the connection of d, which becomes an undecided socket again. */
void lt_conn_unbind(struct lt_desc *d)
{
	lt_conn_close(d);
	tas_store_rel(&d->kind, (uint32_t)LT_UNDECIDED);
	tas_fetch_and(&d->flags, LT_D_NONBLOCK | LT_D_V6 | LT_D_CORK);
	d->slot = LT_NONE;
	d->s = NULL;
}

/* listen() and connect() of a socket that was disconnected begin with a new one. */
void lt_conn_forget(struct lt_desc *d)
{
	if (tas_load_acq(&d->kind) != LT_CONN || !(lt_flags(d) & LT_D_RECONNECT))
		return;
	if (lt_lock(&d->lock) != 0)
		return;
	if (d->kind == LT_CONN)
		lt_conn_unbind(d);
	lt_unlock(&d->lock);
}

/* A handshake under way has no flow that a core would look at: the slow path is asked to end it. */
static void cancel_connect(struct lt_desc *d)
{
	struct tas_msg m = {.type = TAS_CMD_CANCEL, .slot = d->slot, .aux = d->gen};

	lt_command(&m, -1, NULL, NULL);
	lt_ring(d);
}

/*
 * connect(AF_UNSPEC), and shutdown() of a connect() under way: the peer is reset, and the socket is as a new one, but that its
 * next call says ECONNRESET. The slot stays until it is connected, made a listener or closed. What other processes hold as well is
 * only let go of.
 */
static void disconnect(struct lt_desc *d, int fd)
{
	bool over = (lt_conn_state(d) & TAS_SOCK_ERROR) || (lt_flags(d) & LT_D_RECONNECT);
	bool connecting = !lt_conn_bound(d) && (lt_flags(d) & LT_D_CONNECTING);

	tas_fetch_or(&d->s->want, TAS_SOCK_ABORT);
	if (lt_flags(d) & LT_D_SHARED) {
		lt_conn_unbind(d);
		return;
	}
	tas_fetch_or(
		&d->flags, over ? LT_D_RECONNECT : LT_D_RECONNECT | LT_D_LEFT | LT_D_ERR_TAKEN);
	tas_fetch_and(&d->flags, ~(LT_D_CONNECTING | LT_D_SHUT_RD | LT_D_SHUT_WR));
	bound_name(d, fd);
	if (connecting)
		cancel_connect(d);
	else
		lt_ring(d);
	lt_conn_wake(d);
	lt_news(d);
}

/* Where a connect() of an undecided socket goes; LT_KERNEL also when it cannot be known. */
static enum lt_place destination(const struct sockaddr *sa, socklen_t len, uint8_t addr[16],
	uint16_t *port, struct lt_ctx **c)
{
	int why;

	if (!lt_addr_get(sa, len, addr, port))
		return LT_KERNEL;
	*c = lt_context_get();
	why = *c != NULL ? lt_why_kernel(*c, addr) : (int)TAS_X_kernel_no_region;
	if (lt_uring_keeps())
		why = TAS_X_kernel_uring;
	if (why < 0)
		return LT_TAS;
	lt_left_connect((enum tas_explain)why, addr, *port);
	return LT_KERNEL;
}

/* On an address that both stacks have, tas serves what its programs listen on, the kernel the rest. */
static enum tas_explain why_refused(const struct lt_ctx *c, const uint8_t addr[16])
{
	return lt_place_local(c, addr) == LT_TAS ? TAS_X_kernel_served
						 : TAS_X_kernel_connect_refused;
}

/* 1: the kernel's; else the answer. Under d->lock. */
static int decide_connect(struct lt_desc *d, int fd, const struct sockaddr *sa, socklen_t len)
{
	uint8_t addr[16];
	uint16_t port;
	struct lt_ctx *c = NULL;
	int r;

	if (d->kind == LT_CONN && sa != NULL && len >= 2 && sa->sa_family == AF_UNSPEC) {
		disconnect(d, fd);
		return 0;
	}
	if (d->kind == LT_CONN && (lt_flags(d) & LT_D_RECONNECT))
		lt_conn_unbind(d);
	if (d->kind == LT_CONN)
		return connect_again(d);
	if (d->kind != LT_UNDECIDED || destination(sa, len, addr, &port, &c) == LT_KERNEL)
		return 1;
	if (d->opts.kernel != 0) {
		lt_explain(TAS_X_kernel_option);
		return 1;
	}
	r = ask_connect(d, c, fd, addr, port);
	if (r == -EADDRNOTAVAIL || r == -EPIPE) {
		lt_left_connect(
			r == -EPIPE ? TAS_X_kernel_no_service : why_refused(c, addr), addr, port);
		return 1;
	}
	if (r < 0)
		lt_explain(TAS_X_refuse_connect);
	if (r == -EADDRINUSE) /* as the kernel calls it when a connect() finds no port */
		return -EADDRNOTAVAIL;
	return r < 0 ? r : -EINPROGRESS;
}

static int connect_held(struct lt_desc *d, int fd, const struct sockaddr *sa, socklen_t len)
{
	bool undecided;
	int r;

	if (lt_lock(&d->lock) != 0)
		return (int)lt_ret(-EALREADY);
	undecided = d->kind == LT_UNDECIDED || (lt_flags(d) & LT_D_RECONNECT);
	r = decide_connect(d, fd, sa, len);
	lt_unlock(&d->lock);
	if (r == 1) {
		if (d->kind == LT_UNDECIDED && sa != NULL && len >= 2 && sa->sa_family != AF_UNSPEC)
			lt_to_kernel(d, fd);
		return lt_real.connect(fd, sa, len);
	}
	/* Without blocking the first call never has the result, however fast it came. */
	if (r == -EINPROGRESS && undecided && !(lt_flags(d) & LT_D_NONBLOCK))
		r = connect_wait(d);
	return (int)lt_ret(r);
}

int lt_connect(struct lt_desc *d, int fd, const struct sockaddr *sa, socklen_t len)
{
	int r, err;

	lt_cancel_point();
	d = lt_fd_check(fd);
	if (len > sizeof(struct sockaddr_storage) || lt_bad(sa, len)) /* the kernel says which */
		return lt_real.connect(fd, sa, len);
	if (d == NULL || !lt_desc_hold(d))
		return lt_real.connect(fd, sa, len);
	r = connect_held(d, fd, sa, len);
	err = errno;
	lt_desc_let_go(d);
	errno = err;
	return r;
}

static void note_shut(struct lt_desc *d, int how)
{
	if (how != SHUT_WR)
		tas_fetch_or(&d->flags, LT_D_SHUT_RD);
	if (how != SHUT_RD)
		tas_fetch_or(&d->flags, LT_D_SHUT_WR);
}

/* The next holder is told, by the core: also one that sleeps, and had the connection until now. */
static void shut_reading(struct lt_desc *d)
{
	do {
		lt_conn_want(d, TAS_SOCK_SHUT_RD, 0);
	} while (lt_unlikely(lt_moved(d)) && lt_claim(d, tas_load(&d->life)) == 0);
}

int lt_shutdown(struct lt_desc *d, int fd, int how)
{
	d = lt_fd_check(fd);
	if (d == NULL || d->kind == LT_UNDECIDED || d->kind == LT_EPOLL)
		return lt_real.shutdown(fd, how);
	if (d->kind == LT_LISTEN && !lt_listen_settle(d, fd))
		return lt_real.shutdown(fd, how);
	if (d->kind == LT_LISTEN) {
		if (how == SHUT_RD || how == SHUT_RDWR)
			lt_listen_down(d);
		return lt_real.shutdown(fd, how);
	}
	if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR)
		return (int)lt_ret(-EINVAL);
	if (d->kind != LT_CONN) /* inherited, and not to be had any more */
		return (int)lt_ret(-ENOTCONN);
	if (!lt_conn_bound(d) && (lt_flags(d) & LT_D_CONNECTING)) {
		disconnect(d, fd); /* whatever is shut down, as on Linux */
		return 0;
	}
	if (lt_flags(d) & LT_D_RECONNECT)
		note_shut(d, how);
	if ((lt_conn_state(d) & TAS_SOCK_ERROR) || (lt_flags(d) & LT_D_RECONNECT))
		return (int)lt_ret(-ENOTCONN);
	tas_fetch_and(&d->flags, ~LT_D_CONNECTING);
	note_shut(d, how);
	if (how != SHUT_WR)
		shut_reading(d);
	if (how != SHUT_RD)
		lt_tx_finish(d, TAS_SOCK_SHUT_WR);
	lt_conn_wake(d);
	lt_news(d);
	return 0;
}

int lt_getsockname(struct lt_desc *d, int fd, struct sockaddr *sa, socklen_t *len)
{
	d = lt_fd_check(fd);
	if (d == NULL || d->kind != LT_CONN)
		return lt_real.getsockname(fd, sa, len);
	return (int)lt_ret(lt_addr_put(d, d->laddr, d->lport, sa, len));
}

int lt_getpeername(struct lt_desc *d, int fd, struct sockaddr *sa, socklen_t *len)
{
	bool open;

	d = lt_fd_check(fd);
	if (d == NULL || d->kind != LT_CONN)
		return lt_real.getpeername(fd, sa, len);
	open = lt_conn_bound(d) ? !(tas_load_acq(&d->s->state) & TAS_SOCK_ERROR)
				: !(lt_flags(d) & LT_D_CONNECTING);
	open = open && !(lt_flags(d) & LT_D_RECONNECT);
	return (int)lt_ret(open ? lt_addr_put(d, d->raddr, d->rport, sa, len) : -ENOTCONN);
}

static void linger(struct lt_desc *d)
{
	uint64_t until = lt_now_ns() + (uint64_t)(uint32_t)d->opts.linger_s * 1000000000u;

	lt_conn_wait(d, d->life, LT_WAIT_SENT, 0, until, NULL);
}

/*
 * From here on d may stand for another connection. Both locks: no thread is in the middle of a copy
 * and no later one finds the slot through d. A handler above its own call cannot wait for that.
 */
static void end_life(struct lt_desc *d)
{
	struct tas_sock *s = d->s;
	int rx = lt_lock(&s->rx_lock), tx = lt_lock(&s->tx_lock);

	tas_fetch_add(&d->life, 1u);
	tas_store_rel(&d->kind, (uint32_t)LT_FREE);
	if (tx == 0)
		lt_unlock(&s->tx_lock);
	if (rx == 0)
		lt_unlock(&s->rx_lock);
}

/* Unread data, or SO_LINGER with 0 seconds, resets the peer (RFC 2525 2.17, socket(7)); otherwise
 * what was written is still sent. */
static void last_words(struct lt_desc *d)
{
	bool abort = d->opts.linger_s == 0 || lt_conn_left(d) != 0;
	bool connecting = !lt_conn_bound(d) && (lt_flags(d) & LT_D_CONNECTING);

	lt_tx_finish(d, TAS_SOCK_CLOSED | (abort ? TAS_SOCK_ABORT : TAS_SOCK_SHUT_WR));
	if (connecting)
		cancel_connect(d);
	else if (!abort && d->opts.linger_s > 0)
		linger(d);
}

/* No descriptor of this process is left; other processes may hold the connection. */
void lt_conn_close(struct lt_desc *d)
{
	lt_report_ended(d);
	if (!lt_share_close(d))
		last_words(d);
	end_life(d);
	lt_conn_wake(d);
	lt_slot_put(d->ctx, d->slot, d->gen);
}
