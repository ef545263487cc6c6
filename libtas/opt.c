/*
 * opt.c - socket options, fcntl and ioctl of our descriptors.
 *
 * Every option is set on the kernel's socket first: it checks the value, and a socket that falls
 * back to the kernel has all of them. What concerns a tas connection is then remembered and told to
 * the daemon. Owner: any thread. socket(7), tcp(7), ip(7), fcntl(2), ioctl(2), tcp(7) for TIOCOUTQ.
 */
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include "lt.h"

void lt_opts_init(struct lt_opts *o)
{
	o->linger_s = -1;
}

/* An accepted connection starts with its listener's options (socket(7)). */
void lt_opts_inherit(struct lt_desc *d, const struct lt_opts *from)
{
	d->opts = *from;
}

static int int_value(const void *val, socklen_t len)
{
	int v = 0;

	memcpy(&v, val, len < sizeof(v) ? len : sizeof(v));
	return v;
}

/* 0 = never. Negative seconds are a time-out at once, as Linux has it. */
static uint64_t timeval_ns(const void *val, socklen_t len)
{
	struct timeval tv;

	if (len < sizeof(tv))
		return 0;
	memcpy(&tv, val, sizeof(tv));
	if (tv.tv_sec < 0)
		return 1;
	if (tv.tv_sec > 1000000000) /* further than any clock goes */
		return 0;
	return (uint64_t)tv.tv_sec * 1000000000u + (uint64_t)tv.tv_usec * 1000u;
}

/* What the kernel made of a buffer size: clipped to its maximum and doubled. */
static uint32_t read_back(int fd, int name)
{
	int v = 0;
	unsigned len = sizeof(v);

	lt_sys_getsockopt(fd, SOL_SOCKET, name, &v, &len);
	return v > 0 ? (uint32_t)v : 0;
}

/* What the daemon must hear of, TAS_OPT_WORD() bits. */
static uint64_t keep_socket(struct lt_desc *d, int fd, int name, const void *val, socklen_t len)
{
	struct lt_opts *o = &d->opts;
	struct linger lg;

	switch (name) {
	case SO_KEEPALIVE:
		o->wire.keepalive = int_value(val, len) != 0;
		return TAS_OPT_WORD(keepalive);
	case SO_RCVBUF:
	case SO_RCVBUFFORCE:
		/* Half of it is for the kernel's own bookkeeping (socket(7)): the window is the
		 * rest. */
		o->wire.rcvbuf = read_back(fd, SO_RCVBUF) / 2;
		return TAS_OPT_WORD(rcvbuf);
	case SO_SNDBUF:
	case SO_SNDBUFFORCE:
		o->wire.sndbuf = read_back(fd, SO_SNDBUF);
		return TAS_OPT_WORD(sndbuf);
	case SO_LINGER:
		memcpy(&lg, val, sizeof(lg));
		o->linger_s = lg.l_onoff ? lg.l_linger : -1;
		break;
	case SO_RCVTIMEO:
		o->rcvtimeo_ns = timeval_ns(val, len);
		break;
	case SO_SNDTIMEO:
		o->sndtimeo_ns = timeval_ns(val, len);
		break;
	case SO_RCVLOWAT:
		o->wire.rcvlowat = read_back(fd, SO_RCVLOWAT); /* no more than half of the buffer */
		return TAS_OPT_WORD(rcvlowat);
	case SO_OOBINLINE:
		o->oobinline = int_value(val, len) != 0;
		break;
	case SO_ZEROCOPY:
		o->zerocopy = int_value(val, len) != 0;
		break;
	case SO_REUSEPORT:
		o->reuseport = int_value(val, len) != 0;
		break;
	default:
		break;
	}
	return 0;
}

static uint64_t keep_tcp(struct lt_desc *d, int name, const void *val, socklen_t len)
{
	struct tas_sockopts *w = &d->opts.wire;
	uint32_t v = (uint32_t)int_value(val, len);

	switch (name) {
	case TCP_NODELAY:
		d->opts.nodelay = v != 0;
		return 0;
	case TCP_CORK:
		if (v != 0)
			tas_fetch_or(&d->flags, LT_D_CORK);
		else
			tas_fetch_and(&d->flags, ~LT_D_CORK);
		return 0;
	case TCP_KEEPIDLE:
		w->keepidle_s = v;
		return TAS_OPT_WORD(keepidle_s);
	case TCP_KEEPINTVL:
		w->keepintvl_s = v;
		return TAS_OPT_WORD(keepintvl_s);
	case TCP_KEEPCNT:
		w->keepcnt = v;
		return TAS_OPT_WORD(keepcnt);
	case TCP_USER_TIMEOUT:
		w->user_timeout_ms = v;
		return TAS_OPT_WORD(user_timeout_ms);
	case TCP_MAXSEG:
		w->maxseg = v;
		return TAS_OPT_WORD(maxseg);
	default:
		return 0;
	}
}

int lt_opts_exchange(struct lt_desc *d, struct tas_msg *m)
{
	if (d->kind == LT_LISTEN) {
		m->flags |= TAS_OPT_LISTENER;
		m->id = d->listener;
	} else if (d->kind == LT_CONN) {
		m->slot = d->slot;
		m->id = d->s != NULL ? tas_load(&d->s->take_flow) : 0;
		m->aux = d->gen;
	} else {
		return 0;
	}
	return lt_command(m, -1, NULL, NULL);
}

int lt_opts_tell(struct lt_desc *d, uint64_t words)
{
	struct tas_msg m = {.type = TAS_CMD_SETOPT, .len = words, .opts = d->opts.wire};

	return lt_opts_exchange(d, &m);
}

/*
 * Corking around a response is as frequent as sending: no system call. The handle of a connection
 * never sends, so it need not know. Holding back takes effect with the next bytes; letting go is
 * news to the core.
 */
static bool set_quickly(struct lt_desc *d, int level, int name, const void *val, socklen_t len)
{
	uint32_t bit = name == TCP_CORK ? TAS_SOCK_CORK : TAS_SOCK_NODELAY;
	bool on;

	if (d->kind != LT_CONN || level != IPPROTO_TCP || len < sizeof(int) ||
		lt_bad(val, sizeof(int)))
		return false;
	if (name != TCP_CORK && name != TCP_NODELAY)
		return false;
	on = int_value(val, len) != 0;
	if (name == TCP_NODELAY)
		d->opts.nodelay = on;
	else if (on)
		tas_fetch_or(&d->flags, LT_D_CORK);
	else
		tas_fetch_and(&d->flags, ~LT_D_CORK);
	if (name == TCP_CORK && on)
		tas_fetch_or(&d->s->want, bit);
	else if (lt_conn_unsent(d) != 0)
		lt_conn_want(d, on ? bit : 0, on ? 0 : bit);
	else if (on)
		tas_fetch_or(&d->s->want, bit);
	else
		tas_fetch_and(&d->s->want, ~bit);
	return true;
}

int lt_setsockopt(struct lt_desc *d, int fd, int level, int name, const void *val, socklen_t len)
{
	uint64_t news = 0;
	int r;

	if (set_quickly(d, level, name, val, len)) {
		if (lt_unlikely(lt_flags(d) & LT_D_SHARED)) /* others look there (common.c) */
			lt_sys_setsockopt(fd, level, name, val, len);
		lt_home(d); /* ... when they claim it */
		return 0;
	}
	if (level == IPPROTO_TCP && name == TCP_CONGESTION)
		return lt_congestion_set(d, fd, val, len);
	r = lt_real.setsockopt(fd, level, name, val, len);

	if (d->kind == LT_EPOLL || (d = lt_fd_check(fd)) == NULL)
		return r;
	lt_explain_option(d, level, name);
	if (r != 0 || val == NULL)
		return r;
	if (level == SOL_SOCKET) {
		news = keep_socket(d, fd, name, val, len);
	} else if (level == IPPROTO_TCP) {
		news = keep_tcp(d, name, val, len);
	} else if (level == IPPROTO_IP && name == IP_TOS) {
		d->opts.wire.tos = (uint32_t)int_value(val, len) & 0xff;
		news = TAS_OPT_WORD(tos);
	}
	lt_home(d);
	if (news != 0)
		lt_opts_tell(d, news);
	return r;
}

int lt_opt_out(void *val, socklen_t *len, const void *from, size_t n)
{
	if ((int)*len < 0)
		return (int)lt_ret(-EINVAL);
	if (*len > n)
		*len = (socklen_t)n;
	memcpy(val, from, *len);
	return 0;
}

static void set_time(int fd, int name, uint64_t ns)
{
	struct timeval tv = {(time_t)(ns / 1000000000u), (suseconds_t)(ns % 1000000000u / 1000u)};

	if (ns != 0)
		lt_sys_setsockopt(fd, SOL_SOCKET, name, &tv, sizeof(tv));
}

/* The handle of an accepted connection learns its inherited options when somebody first asks it. */
static void settle_handle(struct lt_desc *d, int fd)
{
	const struct tas_sockopts *w = &d->opts.wire;
	const struct {
		int level, name;
		uint32_t v;
	} set[] = {
		{SOL_SOCKET, SO_KEEPALIVE, w->keepalive},
		{IPPROTO_TCP, TCP_KEEPIDLE, w->keepidle_s},
		{IPPROTO_TCP, TCP_KEEPINTVL, w->keepintvl_s},
		{IPPROTO_TCP, TCP_KEEPCNT, w->keepcnt},
		{IPPROTO_TCP, TCP_USER_TIMEOUT, w->user_timeout_ms},
		{IPPROTO_IP, IP_TOS, w->tos},
		{SOL_SOCKET, SO_RCVBUF, w->rcvbuf},
		{SOL_SOCKET, SO_SNDBUF, w->sndbuf / 2},
		{SOL_SOCKET, SO_RCVLOWAT, w->rcvlowat},
		{SOL_SOCKET, SO_OOBINLINE, d->opts.oobinline},
		{SOL_SOCKET, SO_ZEROCOPY, d->opts.zerocopy},
	};
	struct linger lg = {d->opts.linger_s >= 0, d->opts.linger_s};
	size_t i;

	set_time(fd, SO_RCVTIMEO, d->opts.rcvtimeo_ns);
	set_time(fd, SO_SNDTIMEO, d->opts.sndtimeo_ns);
	if (lg.l_onoff)
		lt_sys_setsockopt(fd, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg));
	for (i = 0; i < sizeof(set) / sizeof(set[0]); i++)
		if (set[i].v != 0)
			lt_sys_setsockopt(fd, set[i].level, set[i].name, &set[i].v, sizeof(int));
}

void lt_opts_settle(struct lt_desc *d, int fd)
{
	if (tas_fetch_and(&d->flags, ~LT_D_INHERITED) & LT_D_INHERITED)
		settle_handle(d, fd);
}

int lt_getsockopt(struct lt_desc *d, int fd, int level, int name, void *val, socklen_t *len)
{
	int v;

	d = lt_fd_check(fd);
	if (d == NULL || d->kind == LT_EPOLL || lt_bad(val, 1) || lt_bad(len, sizeof(*len)))
		return lt_real.getsockopt(fd, level, name, val, len);
	if (level == IPPROTO_TCP && name == TCP_CONGESTION)
		return lt_congestion_get(d, fd, val, len);
	if (d->kind != LT_CONN)
		return lt_real.getsockopt(fd, level, name, val, len);
	if (level == SOL_SOCKET && name == SO_ERROR) {
		v = lt_conn_error(d);
		return lt_opt_out(val, len, &v, sizeof(v));
	}
	if (level == IPPROTO_TCP && name == TCP_INFO)
		return lt_tcp_info(d, fd, val, len);
	if (level == IPPROTO_TCP && name == TCP_MAXSEG && lt_conn_bound(d)) {
		v = tas_load(&d->s->mss);
		return lt_opt_out(val, len, &v, sizeof(v));
	}
	if (level == IPPROTO_TCP && (name == TCP_NODELAY || name == TCP_CORK)) {
		v = name == TCP_NODELAY ? d->opts.nodelay : (lt_flags(d) & LT_D_CORK) != 0;
		return lt_opt_out(val, len, &v, sizeof(v));
	}
	if (level == IPPROTO_TCP)
		lt_explain(TAS_X_option_read);
	lt_opts_settle(d, fd);
	return lt_real.getsockopt(fd, level, name, val, len);
}

static void note_nonblock(struct lt_desc *d, bool on)
{
	if (on)
		tas_fetch_or(&d->flags, LT_D_NONBLOCK);
	else
		tas_fetch_and(&d->flags, ~LT_D_NONBLOCK);
	lt_home(d);
}

static int set_flags(struct lt_desc *d, int fd, unsigned long fl)
{
	int r;

	if (d->kind == LT_LISTEN) {
		tas_store(&d->l->nonblock, (fl & O_NONBLOCK) != 0 ? 1u : 0u);
		return lt_real.fcntl(fd, F_SETFL, fl | O_NONBLOCK);
	}
	r = lt_real.fcntl(fd, F_SETFL, fl);
	if (r == 0)
		note_nonblock(d, (fl & O_NONBLOCK) != 0);
	return r;
}

int lt_fcntl(struct lt_desc *d, int fd, int cmd, unsigned long arg)
{
	int r;

	switch (cmd) {
	case F_SETFL:
		return set_flags(d, fd, arg);
	case F_GETFL:
		r = lt_real.fcntl(fd, F_GETFL, 0ul);
		if (r >= 0 && d->kind == LT_LISTEN && !tas_load(&d->l->nonblock))
			r &= ~O_NONBLOCK;
		return r;
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		r = lt_real.fcntl(fd, cmd, arg);
		if (r >= 0 && (uint32_t)r >= lt_ntab) { /* beyond all that we can know */
			lt_sys_close(r);
			return (int)lt_ret(-EMFILE);
		}
		if (r >= 0) {
			lt_fd_new(r);
			lt_fd_put(r, d);
		}
		return r;
	default:
		return lt_real.fcntl(fd, cmd, arg);
	}
}

/* The SYN of a connect() that failed counts, as on Linux. */
static uint64_t unacknowledged(const struct lt_desc *d)
{
	uint32_t state = lt_conn_state(d);
	bool failed = (state & TAS_SOCK_ERROR) && !(state & TAS_SOCK_OPEN);

	return lt_conn_unsent(d) + (failed && !(lt_flags(d) & LT_D_RECONNECT) ? 1 : 0);
}

static int ioctl_of_handle(int fd, unsigned long request, void *arg)
{
	lt_explain(TAS_X_ioctl_kernel);
	return lt_real.ioctl(fd, request, arg);
}

/* What was not even sent once: the core alone knows. */
static uint64_t not_sent(struct lt_desc *d)
{
	struct tas_conn_info in;

	return lt_conn_unsent(d) != 0 && lt_conn_ask(d, &in) == 0 ? in.notsent : 0;
}

int lt_ioctl(struct lt_desc *d, int fd, unsigned long request, void *arg)
{
	int r, on;
	uint64_t n;

	if (lt_bad(arg, sizeof(int))) /* the kernel knows which requests need none */
		return d->kind == LT_CONN ? ioctl_of_handle(fd, request, arg)
					  : lt_real.ioctl(fd, request, arg);
	if (request == FIONBIO && d->kind == LT_LISTEN) {
		tas_store(&d->l->nonblock, *(int *)arg != 0 ? 1u : 0u);
		return 0;
	}
	if (request == FIONBIO) {
		on = *(int *)arg;
		r = lt_real.ioctl(fd, request, arg);
		if (r == 0)
			note_nonblock(d, on != 0);
		return r;
	}
	if (d->kind != LT_CONN)
		return lt_real.ioctl(fd, request, arg);
	if (request == FIONREAD)
		n = lt_flags(d) & LT_D_RECONNECT ? 0 : lt_urg_readable(d, lt_conn_left(d));
	else if (request == SIOCOUTQ)
		n = unacknowledged(d);
	else if (request == SIOCOUTQNSD)
		n = not_sent(d);
	else if (request == SIOCATMARK)
		n = lt_urg_at_mark(d, 0);
	else
		return ioctl_of_handle(fd, request, arg);
	*(int *)arg = n > INT32_MAX ? INT32_MAX : (int)n;
	return 0;
}
