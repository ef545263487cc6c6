/*
 * client.c - the registration connection: HELLO at the first TCP socket, commands one at a time,
 * the daemon's death, and the hand-over to a fork child (include/tas/app_sp.h).
 *
 * Commands run under one lock with signals blocked, so that no handler can enter between request
 * and reply. When no daemon answers, everything is the kernel's; a new socket asks again after a
 * second. Owner: any thread, under the command lock. unix(7), cmsg(3).
 */
#include <stdlib.h>
#include <sys/un.h>
#include "lt.h"

#define RETRY_NS 1000000000ull
#define HELLO_S	 3 /* a daemon that does not answer a new program by then is not there */
#define COMMAND_S                                                                                  \
	30 /* nor is one that does not answer a command: its connections fail as when it ends */

static struct {
	uint32_t lock;
	uint32_t up; /* HELLO was accepted */
	int sock;
	int child; /* its registration connection, while we fork; -1 = it dials */
	int spare; /* keeps a number free for the descriptor that comes with a reply; -1 = none */
	uint32_t app, seq;
	uint32_t heir;	   /* ... with a token */
	uint32_t refused;  /* the last HELLO found a service that does not take us */
	uint64_t retry_ns; /* do not ask again before */
} client = {.sock = -1, .child = -1, .spare = -1};

static int transmit(int sock, struct tas_msg *m, int fd)
{
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} ctl;
	struct iovec v = {m, sizeof(*m)};
	struct msghdr h = {.msg_iov = &v, .msg_iovlen = 1};
	struct cmsghdr *c;

	if (fd >= 0) {
		memset(&ctl, 0, sizeof(ctl));
		h.msg_control = &ctl;
		h.msg_controllen = sizeof(ctl.space);
		c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	return (int)lt_sys3(SYS_sendmsg, sock, &h, MSG_NOSIGNAL);
}

/* Receives the reply; descriptors beyond *nfds are closed. */
static int receive(int sock, struct tas_msg *m, int *fds, uint32_t *nfds)
{
	union {
		char space[CMSG_SPACE(sizeof(int) * (TAS_MAX_CORES + 2))];
		struct cmsghdr align;
	} ctl;
	struct iovec v = {m, sizeof(*m)};
	struct msghdr h = {.msg_iov = &v,
		.msg_iovlen = 1,
		.msg_control = &ctl,
		.msg_controllen = sizeof(ctl.space)};
	uint32_t room = nfds != NULL ? *nfds : 0, got = 0, i, n;
	struct cmsghdr *c;
	int fd;
	long r = lt_sys3(SYS_recvmsg, sock, &h, MSG_CMSG_CLOEXEC);

	if (r <= 0)
		return r == 0 ? -EPIPE : (int)r;
	for (c = CMSG_FIRSTHDR(&h); c != NULL; c = CMSG_NXTHDR(&h, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (uint32_t)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		for (i = 0; i < n; i++) {
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (got < room)
				fds[got++] = fd;
			else
				lt_sys_close(fd);
		}
	}
	if (nfds != NULL)
		*nfds = got;
	return r == (long)sizeof(*m) ? 0 : -EPROTO;
}

/* The connection is lost: by the daemon's end, or the program closed it by a system call of its own. */
static int transport_error(int r)
{
	switch (r) {
	case -ECONNRESET:
	case -ENOTCONN:
	case -EBADF:
	case -ENOTSOCK:
	case -EAGAIN: /* no answer in time: a daemon that hangs is none */
		return -EPIPE;
	default:
		return r;
	}
}

/* One request and its reply, on a connection that we own. Status, or -errno; -EPIPE: the daemon is
 * gone. */
static int exchange(int sock, struct tas_msg *m, int fd, int *fds, uint32_t *nfds)
{
	uint32_t seq = ++client.seq;
	uint16_t type = m->type;
	int r;

	if (tas_load(&lt_sealed))
		return -EPERM;
	m->magic = TAS_CMD_MAGIC;
	m->abi_major = TAS_ABI_MAJOR;
	m->seq = seq;
	m->status = 0;
	do
		r = transmit(sock, m, fd);
	while (r == -EINTR);
	if (r < 0)
		return transport_error(r);
	do
		r = receive(sock, m, fds, nfds);
	while (r == -EINTR);
	if (r < 0)
		return transport_error(r);
	if (m->magic != TAS_CMD_MAGIC || m->seq != seq || m->type != type)
		return -EPROTO;
	return m->status;
}

/* The path is read at load: the program may change its environment later. */
static char path[sizeof(((struct sockaddr_un *)0)->sun_path)] = TAS_SOCKET_DEFAULT;

__attribute__((constructor)) static void read_path(void)
{
	const char *env = secure_getenv(TAS_SOCKET_ENV);

	if (env == NULL || env[0] == '\0')
		return;
	if (strlen(env) < sizeof(path))
		memcpy(path, env, strlen(env) + 1);
	else
		path[0] = '\0'; /* nowhere: not the service that happens to be at the default */
}

/* Signals wait while the daemon is asked, so it may not take for ever. */
static void limit_wait(int sock, long seconds)
{
	struct timeval tv = {seconds, 0};

	lt_sys_setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	lt_sys_setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
}

static int dial(void)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	long s, r;

	if (path[0] == '\0')
		return -ENAMETOOLONG;
	if (tas_load(&lt_sealed))
		return -EPERM;
	s = lt_sys3(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (s < 0)
		return (int)s;
	limit_wait((int)s, HELLO_S);
	memcpy(sa.sun_path, path, sizeof(sa.sun_path));
	do
		r = lt_sys3(SYS_connect, s, &sa, sizeof(sa));
	while (r == -EINTR);
	if (r < 0) {
		lt_sys_close((int)s);
		return (int)r;
	}
	return lt_hide((int)s);
}

/* The parent's way to the service may be closed to a child: identity, root folder, sandbox. */
static int connection(void)
{
	int sock = client.child;

	client.child = -1;
	if (sock < 0)
		return dial();
	limit_wait(sock, HELLO_S);
	return sock;
}

/* HELLO with the token of a fork (NULL: none). The caller holds the lock. */
static int hello(const uint64_t *token)
{
	struct tas_msg m = {.type = TAS_CMD_HELLO};
	int sock = connection(), r;

	tas_store(&client.refused, sock >= 0 || sock == -EACCES ? 1u : 0u);
	if (sock < 0)
		return sock;
	if (token != NULL)
		memcpy(m.token, token, sizeof(m.token));
	m.pid = (uint32_t)lt_sys1(SYS_getpid, 0);
	r = exchange(sock, &m, -1, NULL, NULL);
	if (r < 0) {
		lt_unhide(sock);
		return r;
	}
	tas_store(&client.refused, 0u);
	limit_wait(sock, COMMAND_S);
	client.sock = sock;
	client.app = m.id;
	tas_store(&client.heir, token != NULL ? 1u : 0u);
	tas_store_rel(&client.up, 1u);
	return 0;
}

bool lt_client_ready(void)
{
	uint64_t mask, start, now;

	lt_look_alive();
	if (tas_load_acq(&client.up))
		return true;
	if (tas_load(&client.retry_ns) > lt_now_ns())
		return false;
	lt_lock_masked(&client.lock, &mask);
	start = lt_now_ns();
	if (!client.up && client.retry_ns <= start && lt_setup() && hello(NULL) < 0) {
		now = lt_now_ns();
		tas_store(&client.retry_ns, now + RETRY_NS + 10 * (now - start));
	}
	lt_unlock_masked(&client.lock, &mask);
	return tas_load(&client.up) != 0;
}

bool lt_client_refused(void)
{
	return tas_load(&client.refused) != 0;
}

bool lt_client_heir(void)
{
	return tas_load(&client.heir) != 0;
}

uint32_t lt_client_app(void)
{
	return tas_load(&client.app);
}

int lt_client_sock(void)
{
	return tas_load(&client.sock);
}

void lt_client_move_fd(int fd)
{
	if (client.sock == fd)
		tas_store(&client.sock, lt_hide(fd));
	else if (client.child == fd)
		client.child = lt_hide(fd);
	else if (client.spare == fd)
		client.spare = -1; /* the program's file takes the number */
}

/* The daemon is gone. The caller holds the lock. */
static void gone(void)
{
	if (!client.up)
		return;
	tas_store_rel(&client.up, 0u);
	lt_unhide(client.sock);
	lt_unhide(client.spare);
	client.sock = client.spare = -1;
	tas_store(&client.retry_ns, lt_now_ns() + RETRY_NS);
	lt_context_drop();
}

/*
 * In a process whose descriptors are all in use the kernel would drop the one that comes with a
 * reply, and the daemon would believe that we have it. So a number is kept for it.
 */
static bool have_spare(void)
{
	if (client.spare < 0)
		client.spare = lt_hide_copy(client.sock);
	return client.spare >= 0;
}

static int exchange_fds(struct tas_msg *m, int fd, int *fds, uint32_t *nfds)
{
	int r;

	if (!have_spare())
		return -EMFILE;
	lt_unhide(client.spare);
	client.spare = -1;
	r = exchange(client.sock, m, fd, fds, nfds);
	have_spare();
	return r;
}

void lt_client_spare(void)
{
	uint64_t mask;

	lt_lock_masked(&client.lock, &mask);
	if (client.up)
		have_spare();
	lt_unlock_masked(&client.lock, &mask);
}

int lt_command(struct tas_msg *m, int fd, int *fds, uint32_t *nfds)
{
	uint64_t mask;
	int r = -EPIPE;

	lt_look_alive();
	lt_lock_masked(&client.lock, &mask);
	if (client.up) {
		r = nfds != NULL ? exchange_fds(m, fd, fds, nfds)
				 : exchange(client.sock, m, fd, NULL, NULL);
		if (r == -EPIPE || r == -EPROTO)
			gone();
	}
	lt_unlock_masked(&client.lock, &mask);
	return r;
}

/* By poll(), which a sandbox allows. */
static bool hung_up(void)
{
	struct pollfd p = {.fd = client.sock, .events = POLLRDHUP};
	struct timespec zero = {0, 0};

	return lt_sys5(SYS_ppoll, &p, 1, &zero, NULL, 0) > 0;
}

bool lt_client_check(struct lt_ctx *c)
{
	uint64_t mask;

	if (tas_load(&c->dead))
		return true;
	lt_lock_masked(&client.lock, &mask);
	if (client.up && c == lt_context() && hung_up())
		gone();
	lt_unlock_masked(&client.lock, &mask);
	return tas_load(&c->dead) != 0;
}

/* Keeps other threads from registering and commanding, as around fork(). */
void lt_client_hold(uint64_t *saved)
{
	lt_look_alive();
	lt_lock_masked(&client.lock, saved);
}

void lt_client_release(const uint64_t *saved)
{
	lt_unlock_masked(&client.lock, saved);
}

static void fork_message(struct tas_msg *m, uint32_t flags)
{
	memset(m, 0, sizeof(*m));
	m->type = TAS_CMD_FORK;
	m->flags = flags | (lt_share_any() ? TAS_FORK_CONNS : 0);
}

/* Those below run under lt_client_hold(). 0 and the token in *m, or -errno: the child starts
 * afresh. */
int lt_client_fork_begin(struct tas_msg *m)
{
	int r;

	fork_message(m, 0);
	if (!client.up)
		return -EPIPE;
	r = exchange(client.sock, m, -1, NULL, NULL);
	if (r == -EPIPE)
		gone();
	return r;
}

void lt_client_fork_failed(struct tas_msg *m)
{
	m->type = TAS_CMD_UNFORK;
	if (client.up)
		exchange(client.sock, m, -1, NULL, NULL);
}

void lt_client_tell(struct tas_msg *m)
{
	if (client.up)
		exchange(client.sock, m, -1, NULL, NULL);
}

bool lt_client_inherit(const uint64_t token[2])
{
	uint64_t mask;

	lt_lock_masked(&client.lock, &mask);
	if (!client.up && hello(token) < 0)
		client.retry_ns = lt_now_ns() + RETRY_NS;
	lt_unlock_masked(&client.lock, &mask);
	return tas_load(&client.up) != 0;
}

/* With a connection for the child, where one can be had. */
int lt_client_fork_begin_child(struct tas_msg *m)
{
	uint32_t nfds = 1;
	int fd, r;

	fork_message(m, TAS_FORK_SOCKET);
	if (!client.up)
		return -EPIPE;
	r = exchange_fds(m, -1, &fd, &nfds);
	if (r == -EMFILE)
		return lt_client_fork_begin(m);
	if (r == -EPIPE)
		gone();
	if (r >= 0 && nfds == 1)
		client.child = lt_hide(fd);
	return r;
}

/* In the parent, after the fork. */
void lt_client_fork_end(void)
{
	lt_unhide(client.child);
	client.child = -1;
}

/* In the child: drop what is the parent's and register; `m` == NULL: no token. */
void lt_client_fork_child(const struct tas_msg *m)
{
	if (m == NULL)
		lt_client_fork_end();
	client.lock = 0;
	client.up = 0;
	lt_unhide(client.sock);
	lt_unhide(client.spare);
	client.sock = client.spare = -1;
	client.retry_ns = 0;
	if (m != NULL && hello(m->token) < 0)
		client.retry_ns = lt_now_ns() + RETRY_NS;
}
