/*
 * received.c - descriptors that came from another process: in a message, or open when the program
 * started. Is one of tas's behind it? The daemon knows, and who has the descriptor has a right to it
 * (RECEIVE and JOIN of include/tas/app_sp.h).
 *
 * The kernel's socket behind a tas connection was never connected, and that behind a listener listens:
 * all others are none of ours, and cost no more than looking at them. Owner: any thread; the first one at start. cmsg(3), tcp(7) TCP_INFO,
 * proc(5).
 */
#include <dirent.h>
#include <netinet/tcp.h>
#include "heritage.h"
#include "lt.h"

#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif
#define SNDBUF_SET 1u
#define RCVBUF_SET 2u

#define PROBE_MAX 1024 /* descriptors looked at where there is no /proc */

/* What a socket has whose owner never set it: tcp(7). */
#define KEEPIDLE_S  7200u
#define KEEPINTVL_S 75u
#define KEEPCNT	    9u
#define MSS	    536u

/* ---- the options that are in the kernel's socket ---- */

static uint32_t get(int fd, int level, int name)
{
	int v = 0;
	unsigned len = sizeof(v);

	return lt_sys_getsockopt(fd, level, name, &v, &len) == 0 ? (uint32_t)v : 0;
}

static uint32_t unless(uint32_t v, uint32_t usual)
{
	return v != usual ? v : 0;
}

static uint64_t timeout_ns(int fd, int name)
{
	struct timeval tv = {0, 0};
	unsigned len = sizeof(tv);

	lt_sys_getsockopt(fd, SOL_SOCKET, name, &tv, &len);
	return (uint64_t)tv.tv_sec * 1000000000u + (uint64_t)tv.tv_usec * 1000u;
}

static void read_options(int fd, struct lt_opts *o)
{
	struct linger lg = {0, 0};
	unsigned len = sizeof(lg);
	uint32_t set = get(fd, SOL_SOCKET, SO_BUF_LOCK);

	o->wire.keepalive = get(fd, SOL_SOCKET, SO_KEEPALIVE);
	o->wire.keepidle_s = unless(get(fd, IPPROTO_TCP, TCP_KEEPIDLE), KEEPIDLE_S);
	o->wire.keepintvl_s = unless(get(fd, IPPROTO_TCP, TCP_KEEPINTVL), KEEPINTVL_S);
	o->wire.keepcnt = unless(get(fd, IPPROTO_TCP, TCP_KEEPCNT), KEEPCNT);
	o->wire.user_timeout_ms = get(fd, IPPROTO_TCP, TCP_USER_TIMEOUT);
	o->wire.rcvbuf = set & RCVBUF_SET ? get(fd, SOL_SOCKET, SO_RCVBUF) / 2 : 0;
	o->wire.sndbuf = set & SNDBUF_SET ? get(fd, SOL_SOCKET, SO_SNDBUF) : 0;
	o->wire.maxseg = unless(get(fd, IPPROTO_TCP, TCP_MAXSEG), MSS);
	o->wire.tos = get(fd, IPPROTO_IP, IP_TOS) & 0xff;
	o->wire.rcvlowat = unless(get(fd, SOL_SOCKET, SO_RCVLOWAT), 1);
	o->nodelay = get(fd, IPPROTO_TCP, TCP_NODELAY) != 0;
	o->reuseport = get(fd, SOL_SOCKET, SO_REUSEPORT) != 0;
	o->rcvtimeo_ns = timeout_ns(fd, SO_RCVTIMEO);
	o->sndtimeo_ns = timeout_ns(fd, SO_SNDTIMEO);
	if (lt_sys_getsockopt(fd, SOL_SOCKET, SO_LINGER, &lg, &len) == 0 && lg.l_onoff)
		o->linger_s = lg.l_linger;
}

/* An undecided socket, as if socket() had made it here. */
static struct lt_desc *undecided(int fd, uint64_t cookie)
{
	long fl = lt_sys_fcntl(fd, F_GETFL, 0);
	struct lt_desc *d;

	d = lt_desc_new(
		LT_UNDECIDED, (fl >= 0 && (fl & O_NONBLOCK) ? LT_D_NONBLOCK : 0) |
				      (get(fd, SOL_SOCKET, SO_DOMAIN) == AF_INET6 ? LT_D_V6 : 0) |
				      (get(fd, IPPROTO_TCP, TCP_CORK) ? LT_D_CORK : 0));
	if (d == NULL)
		return NULL;
	d->cookie = cookie;
	read_options(fd, &d->opts);
	lt_fd_put(fd, d);
	return d;
}

/* ---- what is behind it ---- */

/* One more descriptor of a listener that this process has already: only the daemon is told. */
static void listener_again(struct lt_desc *d, int fd, uint32_t flags)
{
	struct tas_msg m = {.type = TAS_CMD_JOIN, .flags = flags};
	uint32_t nfds = 1;
	int seg = -1;

	lt_command(&m, fd, &seg, &nfds);
	if (seg >= 0)
		lt_sys_close(seg);
	lt_fd_put(fd, d);
}

static void listener(int fd, uint64_t cookie, uint32_t flags)
{
	struct lt_desc *d = lt_desc_by_cookie(cookie);

	flags |= TAS_JOIN_PASSED;
	if (d != NULL && d->kind == LT_LISTEN) {
		listener_again(d, fd, flags);
		return;
	}
	d = undecided(fd, cookie);
	if (d != NULL)
		lt_listen_join(d, fd, flags);
}

/* m: the daemon's answer. Its numbers are another program's choice: each is a value that the option could have. */
static struct lt_desc *connection(const struct tas_msg *m)
{
	uint32_t flags = (uint32_t)(m->aux >> 32) & LT_HERITAGE_FLAGS;
	struct lt_desc *d = lt_desc_new(LT_AWAY, flags | LT_D_SHARED | LT_D_INHERITED);

	if (d == NULL)
		return NULL;
	d->flow = m->id;
	d->gen = (uint32_t)m->aux;
	d->opts.wire = m->opts;
	d->opts.rcvtimeo_ns = m->token[0];
	d->opts.sndtimeo_ns = m->token[1];
	d->opts.linger_s = (int32_t)m->len;
	d->opts.nodelay = (m->len >> 32) & 1;
	return d;
}

static void socket_or_connection(int fd, uint64_t cookie, uint32_t flags)
{
	struct lt_desc *d = lt_desc_by_cookie(cookie);
	struct tas_msg m = {.type = TAS_CMD_RECEIVE, .flags = flags};
	int r;

	if (d != NULL && d->kind == LT_UNDECIDED) {
		lt_fd_put(fd, d);
		return;
	}
	r = lt_command(&m, fd, NULL, NULL);
	if (r == -ESRCH && d == NULL) {
		undecided(fd, cookie);
		return;
	}
	if (r == 0 && d == NULL && (d = connection(&m)) != NULL)
		d->cookie = cookie;
	if (d != NULL)
		lt_fd_put(fd, d);
}

void lt_received(int fd, uint32_t flags)
{
	uint8_t state = 0;
	unsigned len = sizeof(state);
	uint64_t cookie;

	lt_fd_new(fd);
	if (lt_sys_getsockopt(fd, IPPROTO_TCP, TCP_INFO, &state, &len) < 0)
		return;
	if ((state != TCP_CLOSE && state != TCP_LISTEN) || !lt_client_ready() ||
		(uint32_t)fd >= lt_ntab)
		return;
	cookie = lt_cookie(fd);
	if (cookie == 0)
		return;
	if (state == TCP_LISTEN)
		listener(fd, cookie, flags);
	else
		socket_or_connection(fd, cookie, flags);
}

/* ---- at start ---- */

/* Not those that heir.c knows. Several of one description are one that was passed. */
static void look_at(int fd)
{
	struct lt_desc *d;
	uint64_t cookie;

	if ((uint32_t)fd < tas_load(&lt_ntab) && tas_load(&lt_tab[fd]) != 0)
		return;
	cookie = lt_fd_top() != 0 ? lt_cookie(fd) : 0;
	d = cookie != 0 ? lt_desc_by_cookie(cookie) : NULL;
	if (d != NULL)
		lt_fd_put(fd, d);
	else
		lt_received(fd, 0);
}

struct entry { /* getdents64(2) */
	uint64_t ino;
	int64_t off;
	uint16_t reclen;
	uint8_t type;
	char name[];
};

static void look_at_names(const char *buf, long n, int dir)
{
	const struct entry *e;
	const char *c;
	long at;
	int fd;

	for (at = 0; at < n; at += e->reclen) {
		e = (const struct entry *)(const void *)(buf + at);
		fd = 0;
		for (c = e->name; *c >= '0' && *c <= '9'; c++)
			fd = 10 * fd + (*c - '0');
		if (c != e->name && *c == '\0' && fd != dir)
			look_at(fd);
	}
}

void lt_received_at_start(void)
{
	char buf[2048] __attribute__((aligned(8)));
	int dir = (int)lt_sys3(
		    SYS_openat, AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
	    fd;
	long n;

	if (dir < 0) {
		for (fd = 0; fd < PROBE_MAX; fd++)
			look_at(fd);
		return;
	}
	while ((n = lt_sys3(SYS_getdents64, dir, buf, sizeof(buf))) > 0)
		look_at_names(buf, n, dir);
	lt_sys_close(dir);
}
