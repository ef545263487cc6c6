/*
 * notify.c - the notifications: received, looked at, answered.
 *
 * What does not concern a socket that tas serves goes on in the kernel (SECCOMP_USER_NOTIF_FLAG_CONTINUE):
 * that the program may change its arguments meanwhile harms nobody, since the kernel checks them as if there
 * were no filter. What concerns one is done here, on copies. Owner: the supervisor's thread.
 * seccomp_unotify(2).
 */
#include <errno.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include "lt.h"
#include "trap.h"

#define BURST 64
#ifndef SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP /* Linux 6.6: who waits for the answer runs where we do */
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP 1ul
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS	   SECCOMP_IOW(4, __u64)
#endif
#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static int notify = -1;

/* The kernel may have grown its structures, and writes all of its own. */
static union {
	struct seccomp_notif n;
	char room[1024];
} in;
static union {
	struct seccomp_notif_resp r;
	char room[1024];
} out;

int tr_notify_open(int fd)
{
	struct seccomp_notif_sizes sizes;
	long r = lt_sys3(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes);

	if (r < 0)
		return (int)r;
	if (sizes.seccomp_notif > sizeof(in) || sizes.seccomp_notif_resp > sizeof(out))
		return -E2BIG;
	lt_sys3(SYS_ioctl, fd, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
	notify = fd;
	return 0;
}

bool tr_valid(uint64_t id)
{
	return lt_sys3(SYS_ioctl, notify, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

static bool respond(uint64_t id, int64_t result, uint32_t flags)
{
	memset(&out, 0, sizeof(out));
	out.r.id = id;
	out.r.flags = flags;
	if (result < 0)
		out.r.error = (int32_t)result;
	else
		out.r.val = result;
	return lt_sys3(SYS_ioctl, notify, SECCOMP_IOCTL_NOTIF_SEND, &out) == 0;
}

bool tr_answer(uint64_t id, int64_t result)
{
	return respond(id, result, 0);
}

int tr_add_fd(uint64_t id, int fd, int at, bool cloexec)
{
	struct seccomp_notif_addfd a = {.id = id,
		.srcfd = (uint32_t)fd,
		.flags = at >= 0 ? SECCOMP_ADDFD_FLAG_SETFD : SECCOMP_ADDFD_FLAG_SEND,
		.newfd = at >= 0 ? (uint32_t)at : 0,
		.newfd_flags = cloexec ? O_CLOEXEC : 0};

	return (int)lt_sys3(SYS_ioctl, notify, SECCOMP_IOCTL_NOTIF_ADDFD, &a);
}

static int option(int fd, int name)
{
	int v = -1;
	unsigned len = sizeof(v);

	return lt_sys_getsockopt(fd, SOL_SOCKET, name, &v, &len) < 0 ? -1 : v;
}

/* A socket that tas could serve, as the kernel made it? */
static bool is_tcp(const struct tr_call *c)
{
	int protocol;

	if (c->domain != AF_INET && c->domain != AF_INET6)
		return false;
	protocol = option(c->fd, SO_PROTOCOL);
	return option(c->fd, SO_TYPE) == SOCK_STREAM &&
	       (protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP);
}

static const struct {
	int nr;
	int64_t (*answer)(struct tr_call *c);
} answers[] = {{SYS_accept, tr_accept}, {SYS_accept4, tr_accept}, {SYS_getsockname, tr_name},
	{SYS_getpeername, tr_name}, {SYS_setsockopt, tr_setsockopt},
	{SYS_getsockopt, tr_getsockopt}, {SYS_shutdown, tr_shutdown}, {SYS_listen, tr_listen},
	{SYS_bind, tr_bind}, {SYS_connect, tr_connect}};

static int64_t answer(struct tr_call *c)
{
	size_t i;

	for (i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
		if (answers[i].nr == c->nr)
			return answers[i].answer(c);
	return TR_CONTINUE;
}

static int64_t look_at(struct tr_call *c)
{
	bool decides = c->nr == SYS_bind || c->nr == SYS_connect || c->nr == SYS_listen;

	c->domain = option(c->fd, SO_DOMAIN);
	if (c->domain == AF_UNIX)
		c->s = tr_sock_find(tr_cookie(c->fd));
	if (!tr_valid(c->id))
		return TR_DONE;
	if (c->s == NULL && (!decides || !is_tcp(c) || !lt_client_ready()))
		return TR_CONTINUE;
	return answer(c);
}

/* The same call again, whose answer a signal handler's SA_RESTART kept from the caller. */
static bool again(const struct tr_call *c, int64_t *r)
{
	if (c->s == NULL || c->s->undelivered.tid != c->tid || c->s->undelivered.nr != c->nr)
		return false;
	*r = c->s->undelivered.result;
	c->s->undelivered.tid = 0;
	return true;
}

static void take_call(struct tr_call *c)
{
	int64_t r;

	tr_wait_forget(c->tid);
	if (c->nr == SYS_io_uring_setup) {
		lt_explain(TAS_X_uring);
		respond(c->id, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
		return;
	}
	c->fd = tr_target_fd(c->tid, (int)c->arg[0]);
	if (c->fd == -EPERM)
		lt_explain(TAS_X_trap_unreachable);
	r = TR_CONTINUE;
	if (c->fd >= 0 && (c->s = tr_sock_find(tr_cookie(c->fd))) != NULL && again(c, &r) &&
		tr_answer(c->id, r))
		r = TR_DONE;
	else if (c->fd >= 0)
		r = look_at(c);
	if (r == TR_CONTINUE)
		respond(c->id, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
	else if (r != TR_LATER && r != TR_DONE && !tr_answer(c->id, r) && c->s != NULL) {
		c->s->undelivered.tid = c->tid;
		c->s->undelivered.nr = c->nr;
		c->s->undelivered.result = r;
	}
	if (c->fd >= 0)
		lt_sys_close(c->fd);
}

void tr_notify_ready(void)
{
	struct pollfd p = {.fd = notify, .events = POLLIN};
	struct tr_call c;
	int i, j;

	for (i = 0; i < BURST && lt_real.poll(&p, 1, 0) == 1 && (p.revents & POLLIN); i++) {
		memset(&in, 0, sizeof(in));
		if (lt_sys3(SYS_ioctl, notify, SECCOMP_IOCTL_NOTIF_RECV, &in) < 0)
			continue;
		memset(&c, 0, sizeof(c));
		c.id = in.n.id;
		c.tid = (pid_t)in.n.pid;
		c.nr = in.n.data.nr;
		c.fd = -1;
		for (j = 0; j < 6; j++)
			c.arg[j] = in.n.data.args[j];
		take_call(&c);
	}
}
