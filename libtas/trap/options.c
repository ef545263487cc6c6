/*
 * options.c - socket options: which the mirror has, which the pair, and nothing else.
 *
 * Options whose value holds a pointer (filters, zero-copy receive) would be followed in the supervisor's
 * memory, so what is not in the table is refused. Owner: the supervisor's thread. socket(7), tcp(7), ip(7).
 */
#include <errno.h>
#include <linux/tcp.h>
#include <linux/in6.h>
#include <netinet/in.h>
#include "lt.h"
#include "trap.h"

#define VALUE_MAX 256u

#define COPY   1u /* goes along when the mirror is made */
#define SET    2u
#define GET    4u
#define NATIVE 8u  /* of the program's end itself */
#define HALF   16u /* the kernel answers twice what was set */

static const struct row {
	int level, name;
	uint32_t how;
} rows[] = {
	{SOL_SOCKET, SO_RCVTIMEO, NATIVE},
	{SOL_SOCKET, SO_SNDTIMEO, NATIVE},
	{SOL_SOCKET, SO_RCVLOWAT, NATIVE},
	{SOL_SOCKET, SO_REUSEADDR, COPY | SET | GET},
	{SOL_SOCKET, SO_REUSEPORT, COPY | SET | GET},
	{SOL_SOCKET, SO_KEEPALIVE, COPY | SET | GET},
	{SOL_SOCKET, SO_LINGER, COPY | SET | GET},
	{SOL_SOCKET, SO_BROADCAST, COPY | SET | GET},
	{SOL_SOCKET, SO_OOBINLINE, COPY | SET | GET},
	{SOL_SOCKET, SO_DONTROUTE, COPY | SET | GET},
	{SOL_SOCKET, SO_PRIORITY, COPY | SET | GET},
	{SOL_SOCKET, SO_MARK, COPY | SET | GET},
	{SOL_SOCKET, SO_BINDTODEVICE, COPY | SET | GET},
	{SOL_SOCKET, SO_RCVBUF, COPY | SET | GET | HALF},
	{SOL_SOCKET, SO_SNDBUF, COPY | SET | GET | HALF},
	{SOL_SOCKET, SO_TYPE, GET},
	{SOL_SOCKET, SO_PROTOCOL, GET},
	{SOL_SOCKET, SO_DOMAIN, GET},
	{SOL_SOCKET, SO_ACCEPTCONN, GET},
	{SOL_SOCKET, SO_ERROR, GET},
	{SOL_SOCKET, SO_COOKIE, GET},
	{SOL_SOCKET, SO_INCOMING_CPU, GET},
	{IPPROTO_TCP, TCP_NODELAY, COPY | SET | GET},
	{IPPROTO_TCP, TCP_CORK, COPY | SET | GET},
	{IPPROTO_TCP, TCP_MAXSEG, SET | GET},
	{IPPROTO_TCP, TCP_KEEPIDLE, COPY | SET | GET},
	{IPPROTO_TCP, TCP_KEEPINTVL, COPY | SET | GET},
	{IPPROTO_TCP, TCP_KEEPCNT, COPY | SET | GET},
	{IPPROTO_TCP, TCP_SYNCNT, COPY | SET | GET},
	{IPPROTO_TCP, TCP_LINGER2, COPY | SET | GET},
	{IPPROTO_TCP, TCP_DEFER_ACCEPT, COPY | SET | GET},
	{IPPROTO_TCP, TCP_WINDOW_CLAMP, COPY | SET | GET},
	{IPPROTO_TCP, TCP_QUICKACK, SET | GET},
	{IPPROTO_TCP, TCP_CONGESTION, COPY | SET | GET},
	{IPPROTO_TCP, TCP_USER_TIMEOUT, COPY | SET | GET},
	{IPPROTO_TCP, TCP_NOTSENT_LOWAT, COPY | SET | GET},
	{IPPROTO_TCP, TCP_INFO, GET},
	{IPPROTO_TCP, TCP_FASTOPEN, SET | GET},
	{IPPROTO_IP, IP_TOS, COPY | SET | GET},
	{IPPROTO_IP, IP_TTL, COPY | SET | GET},
	{IPPROTO_IP, IP_FREEBIND, COPY | SET | GET},
	{IPPROTO_IP, IP_TRANSPARENT, COPY | SET | GET},
	{IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, COPY | SET | GET},
	{IPPROTO_IP, IP_RECVERR, SET | GET},
	{IPPROTO_IP, IP_MTU_DISCOVER, SET | GET},
	{IPPROTO_IPV6, IPV6_V6ONLY, COPY | SET | GET},
	{IPPROTO_IPV6, IPV6_TCLASS, COPY | SET | GET},
	{IPPROTO_IPV6, IPV6_UNICAST_HOPS, SET | GET},
};

#define NROWS (sizeof(rows) / sizeof(rows[0]))

static uint32_t how(int level, int name)
{
	size_t i;

	for (i = 0; i < NROWS; i++)
		if (rows[i].level == level && rows[i].name == name)
			return rows[i].how;
	return 0;
}

static void copy_one(const struct row *r, int from, int to)
{
	char v[VALUE_MAX], w[VALUE_MAX];
	socklen_t vl = sizeof(v), wl = sizeof(w);
	int n;

	if (lt_sys_getsockopt(from, r->level, r->name, v, &vl) < 0 || vl == 0)
		return;
	if (getsockopt(to, r->level, r->name, w, &wl) == 0 && wl == vl && memcmp(v, w, vl) == 0)
		return;
	if ((r->how & HALF) && vl == sizeof(n)) {
		memcpy(&n, v, sizeof(n));
		n /= 2;
		memcpy(v, &n, sizeof(n));
	}
	setsockopt(to, r->level, r->name, v, vl);
}

static void copy(uint32_t which, int from, int to)
{
	size_t i;

	for (i = 0; i < NROWS; i++)
		if (rows[i].how & which)
			copy_one(&rows[i], from, to);
}

void tr_options_copy(int from, int to)
{
	copy(COPY, from, to);
}

void tr_options_copy_native(int from, int to)
{
	copy(NATIVE, from, to);
}

int64_t tr_setsockopt(struct tr_call *c)
{
	int level = (int)c->arg[1], name = (int)c->arg[2];
	uint32_t h = how(level, name);
	int len = (int)c->arg[4];
	char v[VALUE_MAX];

	if (h & NATIVE)
		return TR_CONTINUE;
	if (!(h & SET)) {
		lt_explain(TAS_X_trap_option);
		return -ENOPROTOOPT;
	}
	if (len < 0)
		return -EINVAL;
	if (len > (int)sizeof(v))
		len = sizeof(v);
	if (!tr_target_read(c->tid, c->arg[3], v, (size_t)len))
		return -EFAULT;
	if (c->s->mirror < 0)
		return -EINVAL;
	return setsockopt(c->s->mirror, level, name, v, (socklen_t)len) == 0 ? 0 : -errno;
}

/* The mirror's own error is not asked for: whoever looks at its events needs it. What the pair says of its
 * end follows from how it was closed. */
static int take_error(struct tr_call *c)
{
	int err = c->s->err, ends = 0;
	unsigned len = sizeof(ends);

	c->s->err = 0;
	lt_sys_getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &ends, &len);
	return err != 0 ? err : ends;
}

int64_t tr_getsockopt(struct tr_call *c)
{
	int level = (int)c->arg[1], name = (int)c->arg[2], room, err;
	uint32_t h = how(level, name);
	char v[VALUE_MAX];
	socklen_t len = sizeof(v);

	if (h & NATIVE)
		return TR_CONTINUE;
	if (!(h & GET)) {
		lt_explain(TAS_X_trap_option);
		return -ENOPROTOOPT;
	}
	if (!tr_target_read(c->tid, c->arg[4], &room, sizeof(room)))
		return -EFAULT;
	if (room < 0)
		return -EINVAL;
	if ((size_t)room < sizeof(v))
		len = (socklen_t)room;
	if (level == SOL_SOCKET && name == SO_ERROR) {
		err = take_error(c);
		len = len < sizeof(err) ? len : sizeof(err);
		memcpy(v, &err, len);
	} else if (c->s->mirror < 0) {
		return level == SOL_SOCKET && name == SO_TYPE ? TR_CONTINUE : -EINVAL;
	} else if (getsockopt(c->s->mirror, level, name, v, &len) != 0) {
		return -errno;
	}
	room = (int)len;
	if (!tr_target_write(c->tid, c->arg[3], v, len < sizeof(v) ? len : sizeof(v)) ||
		!tr_target_write(c->tid, c->arg[4], &room, sizeof(room)))
		return -EFAULT;
	return 0;
}
