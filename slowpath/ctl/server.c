/*
 * server.c - tasctl's socket: who asks, one request, one reply.
 *
 * Everything a client sends is hostile; it is copied once and checked. Nothing here waits for a
 * client: a reply that does not fit into its socket at once ends the connection, and a wake-up
 * handles a bounded number of requests. The number of clients is bounded, with places kept for
 * root. Owner: slow path thread. Protocol: include/tas/ctl.h.
 */
#include "ctl/ctl_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "alloc.h"
#include "ctl/page.h"
#include "group.h"
#include "door.h"
#include "passed.h"
#include "sp.h"

#define MAX_CLIENTS	 32
#define MAX_UNPRIVILEGED 24 /* the rest is root's */
#define REQUESTS_A_WAKE	 8

struct client {
	struct sp_source src; /* fd -1: free place */
	uint8_t privileged;
};

struct ctl {
	struct sp_source listen_src;
	struct client clients[MAX_CLIENTS];
	uint32_t nclients;
	struct ctl_page page; /* one reply at a time */
};

#define ENDPOINT_MAX (INET6_ADDRSTRLEN + 8)

static void endpoint(char out[ENDPOINT_MAX], const uint8_t addr[16], uint16_t port)
{
	char text[INET6_ADDRSTRLEN] = "?";

	if (tas_addr_is_v4(addr))
		inet_ntop(AF_INET, addr + 12, text, sizeof(text));
	else
		inet_ntop(AF_INET6, addr, text, sizeof(text));
	snprintf(out, ENDPOINT_MAX, tas_addr_is_v4(addr) ? "%s:%u" : "[%s]:%u", text,
		(unsigned)ntohs(port));
}

static int op_kill(struct sp *sp, const struct tas_ctl_request *q, struct ctl_page *p)
{
	struct sp_conn *c = ctl_conn_asked(sp, q);
	char local[ENDPOINT_MAX], remote[ENDPOINT_MAX];

	(void)p;
	if (c == NULL)
		return -ENOENT;
	endpoint(local, c->tuple.laddr, c->tuple.lport);
	endpoint(remote, c->tuple.raddr, c->tuple.rport);
	sp_info("ctl", "connection reset on request flow=%u.%u local=%s remote=%s app=%u", c->id,
		c->gen, local, remote, c->app);
	sp_conn_abort(sp, c, ECONNABORTED);
	return 0;
}

static int op_drain(struct sp *sp, const struct tas_ctl_request *q, struct ctl_page *p)
{
	(void)q;
	(void)p;
	sp_info("ctl", "draining on request: no new programs or connections");
	sp_drain(sp);
	return 0;
}

static int op_move_group(struct sp *sp, const struct tas_ctl_request *q, struct ctl_page *p)
{
	(void)p;
	return sp_group_move(sp, q->id, q->gen);
}

struct op {
	int (*fn)(struct sp *sp, const struct tas_ctl_request *q, struct ctl_page *p);
	uint32_t row_bytes;
	uint8_t privileged;
};

static const struct op ops[TAS_CTL_OPS] = {
	[TAS_CTL_HELLO] = {ctl_page_hello, sizeof(struct tas_ctl_status), 0},
	[TAS_CTL_STATUS] = {ctl_page_status, sizeof(struct tas_ctl_status), 0},
	[TAS_CTL_FLOWS] = {ctl_page_flows, sizeof(struct tas_ctl_flow), 0},
	[TAS_CTL_FLOW] = {ctl_page_flow, sizeof(struct tas_ctl_flow), 0},
	[TAS_CTL_LISTENERS] = {ctl_page_listeners, sizeof(struct tas_ctl_listener), 0},
	[TAS_CTL_APPS] = {ctl_page_apps, sizeof(struct tas_ctl_app), 0},
	[TAS_CTL_CORES] = {ctl_page_cores, sizeof(struct tas_ctl_core), 0},
	[TAS_CTL_COUNTERS] = {ctl_page_counters, sizeof(struct tas_ctl_counter), 0},
	[TAS_CTL_KILL] = {op_kill, 0, 1},
	[TAS_CTL_DRAIN] = {op_drain, 0, 1},
	[TAS_CTL_MOVE_GROUP] = {op_move_group, 0, 1},
	[TAS_CTL_EXPLAIN] = {ctl_page_explain, sizeof(struct tas_ctl_explain), 0},
};

static int is_zero(const void *p, size_t n)
{
	const uint8_t *b = p;

	while (n > 0 && b[n - 1] == 0)
		n--;
	return n == 0;
}

/* 0, or why the request is refused. HELLO is answered in any version, so that versions can be told.
 */
static int check(const struct tas_ctl_request *q, ssize_t len)
{
	if (len != (ssize_t)sizeof(*q) || q->magic != TAS_CTL_MAGIC)
		return -EINVAL;
	if (q->op == 0 || q->op >= TAS_CTL_OPS)
		return -EOPNOTSUPP;
	if (q->op == TAS_CTL_HELLO)
		return 0;
	if (q->version != TAS_CTL_VERSION)
		return -EPROTONOSUPPORT;
	if (q->filter.mask & ~TAS_CTL_BY_ALL || q->filter.zero != 0 ||
		!is_zero(q->zero, sizeof(q->zero)))
		return -EINVAL;
	return 0;
}

static int answer(struct sp *sp, const struct client *cl, const struct tas_ctl_request *q)
{
	struct ctl *ctl = sp->ctl;
	const struct op *op = &ops[q->op];

	if (op->privileged && !cl->privileged)
		return -EPERM;
	ctl->page.head.row_bytes = op->row_bytes;
	return op->fn(sp, q, &ctl->page);
}

static void drop_client(struct sp *sp, struct client *cl)
{
	struct ctl *ctl = sp->ctl;
	int fd = cl->src.fd;

	sp_loop_del(sp, &cl->src);
	close(fd);
	cl->src.fd = -1;
	ctl->nclients--;
}

/* Sends the reply; -errno when the client must go. */
static int reply(
	struct sp *sp, const struct client *cl, const struct tas_ctl_request *q, int status)
{
	struct ctl *ctl = sp->ctl;
	struct tas_ctl_reply *h = &ctl->page.head;
	size_t bytes;

	if (status != 0) {
		h->nrows = 0;
		h->next = 0;
	}
	h->magic = TAS_CTL_MAGIC;
	h->version = TAS_CTL_VERSION;
	h->op = q->op;
	h->seq = q->seq;
	h->status = status;
	h->now_ns = sp->now_ns;
	bytes = sizeof(*h) + (size_t)h->nrows * h->row_bytes;
	if (send(cl->src.fd, &ctl->page, bytes, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)bytes)
		return -EAGAIN;
	return 0;
}

/* One request. 1 = answered, 0 = none waits, -errno = disconnect. */
static int serve(struct sp *sp, struct client *cl)
{
	struct ctl *ctl = sp->ctl;
	struct tas_ctl_request q;
	struct iovec iov = {&q, sizeof(q)};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t len;
	int status, err;

	memset(&q, 0, sizeof(q));
	sp_guard(sp); /* for descriptors that come along: the kernel closes them in here */
	len = recvmsg(cl->src.fd, &mh, MSG_DONTWAIT | MSG_TRUNC);
	if (len < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (len == 0 || (mh.msg_flags & MSG_CTRUNC))
		return -ECONNRESET;
	memset(&ctl->page.head, 0, sizeof(ctl->page.head));
	sp->cnt.ctl_requests++;
	status = check(&q, len);
	if (status != 0) {
		sp->cnt.refuse_ctl++;
		reply(sp, cl, &q, status);
		return status;
	}
	status = answer(sp, cl, &q);
	err = reply(sp, cl, &q, status);
	return err != 0 ? err : 1;
}

static void client_ready(struct sp *sp, struct sp_source *src, uint32_t events)
{
	struct client *cl = src->arg;
	int i, got = 1;

	(void)events; /* a hang-up shows in recv, behind the last request */
	for (i = 0; i < REQUESTS_A_WAKE && got == 1; i++)
		got = serve(sp, cl);
	if (got < 0)
		drop_client(sp, cl);
}

static struct client *free_place(struct ctl *ctl, int root)
{
	int i;

	if (!root && ctl->nclients >= MAX_UNPRIVILEGED)
		return NULL;
	for (i = 0; i < MAX_CLIENTS; i++) {
		if (ctl->clients[i].src.fd < 0)
			return &ctl->clients[i];
	}
	return NULL;
}

static void accept_client(struct sp *sp, struct sp_source *src, uint32_t events)
{
	struct ctl *ctl = sp->ctl;
	struct ucred cred = {.uid = (uid_t)-1};
	socklen_t len = sizeof(cred);
	struct client *cl;
	int fd = accept4(src->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd < 0) {
		if (sp_door_must_rest(errno))
			sp_loop_rest(sp, src);
		return;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0)
		cred.uid = (uid_t)-1;
	cl = free_place(ctl, cred.uid == 0);
	if (cl == NULL || sp_loop_add(sp, &cl->src, fd, EPOLLIN, client_ready, cl) != 0) {
		if (cl != NULL)
			cl->src.fd = -1;
		sp->cnt.refuse_ctl++;
		close(fd);
		return;
	}
	cl->privileged = cred.uid == 0 || cred.uid == geteuid();
	ctl->nclients++;
}

static int start(struct sp *sp, struct ctl *ctl)
{
	int i, fd, err;

	for (i = 0; i < MAX_CLIENTS; i++)
		ctl->clients[i].src.fd = -1;
	fd = sp_door_open(sp, sp->conf.ctl_socket, MAX_CLIENTS);
	if (fd < 0)
		return fd;
	err = sp_loop_add(sp, &ctl->listen_src, fd, EPOLLIN, accept_client, ctl);
	if (err != 0)
		sp_door_close(sp->conf.ctl_socket, fd);
	return err;
}

int sp_ctl_start(struct sp *sp)
{
	struct ctl *ctl;
	int err;

	if (sp->conf.ctl_socket[0] == 0)
		return 0;
	ctl = fp_calloc(1, sizeof(*ctl));
	if (ctl == NULL)
		return -ENOMEM;
	err = start(sp, ctl);
	if (err != 0) {
		sp_error("ctl", "cannot open the control socket path=%s error=\"%s\"",
			sp->conf.ctl_socket, sp_door_error(err));
		free(ctl);
		return err;
	}
	sp->ctl = ctl;
	return 0;
}

void sp_ctl_stop(struct sp *sp)
{
	struct ctl *ctl = sp->ctl;
	int i, fd;

	if (ctl == NULL)
		return;
	for (i = 0; i < MAX_CLIENTS; i++) {
		if (ctl->clients[i].src.fd >= 0)
			drop_client(sp, &ctl->clients[i]);
	}
	fd = ctl->listen_src.fd;
	sp_loop_del(sp, &ctl->listen_src);
	sp_door_close(sp->conf.ctl_socket, fd);
	free(ctl);
	sp->ctl = NULL;
}
