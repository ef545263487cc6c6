/*
 * common.c - what holders of one connection have in common: O_NONBLOCK and the options that libtas
 * itself acts on.
 *
 * On Linux these are the socket's. Here each process keeps its own copy, which costs a call nothing,
 * and the kernel's handle, which all holders share, has the truth: who sets something on a shared
 * connection sets it there too, and has the connection brought to its slot first. So every other
 * holder has to claim it before it uses it again (share.c), and that is when it looks at the handle.
 * Owner: any thread, under the description's lock. docs/decisions/0009, "What is common".
 */
#include <netinet/tcp.h>
#include <sys/time.h>
#include "lt.h"

static bool read_option(int fd, int level, int name, void *v, unsigned size)
{
	unsigned len = size;

	return lt_sys_getsockopt(fd, level, name, v, &len) == 0 && len == size;
}

static bool read_bool(int fd, int level, int name, bool was)
{
	int v;

	return read_option(fd, level, name, &v, sizeof(v)) ? v != 0 : was;
}

static uint64_t read_time(int fd, int name, uint64_t was)
{
	struct timeval tv;

	if (!read_option(fd, SOL_SOCKET, name, &tv, sizeof(tv)))
		return was;
	return (uint64_t)tv.tv_sec * 1000000000u + (uint64_t)tv.tv_usec * 1000u;
}

static void recall_flag(struct lt_desc *d, uint32_t flag, bool on)
{
	if (on)
		tas_fetch_or(&d->flags, flag);
	else
		tas_fetch_and(&d->flags, ~flag);
}

/* A descriptor of d, or -1: it is being closed. */
static int descriptor_of(const struct lt_desc *d)
{
	uint32_t want = lt_desc_index(d) + 1, fd, n = lt_fd_top();

	for (fd = 0; fd < n && tas_load(&lt_tab[fd]) != want; fd++)
		;
	if (fd == n || (d->cookie != 0 && lt_cookie((int)fd) != d->cookie))
		return -1;
	return (int)fd;
}

void lt_common_recall(struct lt_desc *d)
{
	struct lt_opts *o = &d->opts;
	int fd = descriptor_of(d), low;
	struct linger lg;
	long fl;

	if (fd < 0)
		return;
	fl = lt_sys3(SYS_fcntl, fd, F_GETFL, 0);
	if (fl >= 0)
		recall_flag(d, LT_D_NONBLOCK, (fl & O_NONBLOCK) != 0);
	recall_flag(
		d, LT_D_CORK, read_bool(fd, IPPROTO_TCP, TCP_CORK, (lt_flags(d) & LT_D_CORK) != 0));
	o->nodelay = read_bool(fd, IPPROTO_TCP, TCP_NODELAY, o->nodelay);
	o->oobinline = read_bool(fd, SOL_SOCKET, SO_OOBINLINE, o->oobinline);
	o->zerocopy = read_bool(fd, SOL_SOCKET, SO_ZEROCOPY, o->zerocopy);
	o->rcvtimeo_ns = read_time(fd, SO_RCVTIMEO, o->rcvtimeo_ns);
	o->sndtimeo_ns = read_time(fd, SO_SNDTIMEO, o->sndtimeo_ns);
	if (read_option(fd, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low)) && low > 0)
		o->wire.rcvlowat = (uint32_t)low;
	if (read_option(fd, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg)))
		o->linger_s = lg.l_onoff ? lg.l_linger : -1;
}

/* From now on the handle has it all: what is set quickly, and what was inherited from a listener. */
void lt_common_leave(struct lt_desc *d, int fd)
{
	int on = 1;

	if (fd < 0 && (fd = descriptor_of(d)) < 0)
		return;
	lt_opts_settle(d, fd);
	if (d->opts.nodelay)
		lt_sys_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (lt_flags(d) & LT_D_CORK)
		lt_sys_setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
}
