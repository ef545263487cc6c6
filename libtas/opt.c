/*
 * opt.c - setsockopt() and getsockopt() of our descriptors: the table of options.c walked, and what a connection answers itself.
 *
 * Every option is set on the kernel's socket first: it checks the value, and a socket that falls
 * back to the kernel has all of them. What concerns a tas connection is then remembered and told to
 * the daemon; what nobody here can do is refused on a socket that is tas's already, and leaves one to the kernel
 * that is not decided yet. Owner: any thread. socket(7), tcp(7), ip(7). Decision 0017.
 */
#include <linux/tcp.h>
#include "options.h"

void lt_opts_init(struct lt_opts *o)
{
	o->linger_s = -1;
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

/* ---- setting ---- */

void lt_opts_quickack(struct lt_desc *d, bool on)
{
	uint32_t said = (tas_load(&d->opts.quickack) + 2) & ~1u;

	said |= on ? 1u : 0u;
	tas_store(&d->opts.quickack, said);
	if (d->kind != LT_CONN)
		return;
	tas_store(&d->s->quickack, said);
	lt_ring(d);
}

static void cork(struct lt_desc *d, bool on)
{
	if (on)
		tas_fetch_or(&d->flags, LT_D_CORK);
	else
		tas_fetch_and(&d->flags, ~LT_D_CORK);
	if (on)
		tas_fetch_or(&d->s->want, TAS_SOCK_CORK);
	else if (lt_conn_unsent(d) != 0)
		lt_conn_want(d, 0, TAS_SOCK_CORK);
	else
		tas_fetch_and(&d->s->want, ~TAS_SOCK_CORK);
}

static void nodelay(struct lt_desc *d, bool on)
{
	d->opts.nodelay = on;
	if (lt_conn_unsent(d) != 0)
		lt_conn_want(d, on ? TAS_SOCK_NODELAY : 0, on ? 0 : TAS_SOCK_NODELAY);
	else if (on)
		tas_fetch_or(&d->s->want, TAS_SOCK_NODELAY);
	else
		tas_fetch_and(&d->s->want, ~TAS_SOCK_NODELAY);
}

/*
 * Corking around a response is as frequent as sending: no system call. The handle of a connection
 * never sends, so it need not know. Holding back takes effect with the next bytes; letting go is
 * news to the core.
 */
static bool set_quickly(struct lt_desc *d, int level, int name, const void *val, socklen_t len)
{
	int v;

	if (d->kind != LT_CONN || level != IPPROTO_TCP || (int)len < (int)sizeof(int) ||
		lt_bad(val, sizeof(int)))
		return false;
	v = lt_option_int(val, sizeof(int));
	if (name == TCP_CORK)
		cork(d, v != 0);
	else if (name == TCP_NODELAY)
		nodelay(d, v != 0);
	else if (name == TCP_QUICKACK)
		lt_opts_quickack(d, v & 1);
	else
		return false;
	return true;
}

/* TLS stays in the program, as on a kernel without the module. */
static int refuse_ulp(const void *val, socklen_t len)
{
	if (len < 1)
		return -EINVAL;
	return lt_bad(val, 1) ? -EFAULT : -ENOENT;
}

/* Why a tas socket does not take the option, as -errno; 0: ask the handle. */
static int refusal(struct lt_desc *d, const struct lt_option *o, const void *val, socklen_t len)
{
	if ((int)len < 0 || lt_bad(val, len != 0 ? len : 1))
		return 0; /* it says so itself */
	if (o->kind == LT_OPTION_KERNEL)
		return o->on(val, len) ? -o->err : 0;
	if (d->kind != LT_CONN || len < sizeof(int))
		return 0;
	if (o->kind == LT_OPTION_EARLY)
		return -EINVAL;
	if (o->level == IPPROTO_TCP && o->name == TCP_WINDOW_CLAMP)
		return lt_option_int(val, len) == 0 ? -EINVAL : 0;
	return 0;
}

/* Whatever the handle takes and we do not know has an effect on it alone. */
static int set_unknown(
	struct lt_desc *d, int fd, int level, int name, const void *val, socklen_t len)
{
	bool ours = d->kind != LT_UNDECIDED;
	int r;

	if (ours && level == IPPROTO_TCP && name == TCP_ULP) {
		lt_explain(TAS_X_option_ulp);
		return (int)lt_ret(refuse_ulp(val, len));
	}
	r = lt_real.setsockopt(fd, level, name, val, len);
	if (r != 0)
		return r;
	if (level == IPPROTO_IPV6) { /* without effect on IPv4, which is all that we speak */
		lt_explain_option(d, TAS_X_option_ip);
		return 0;
	}
	if (!ours) {
		lt_option_keep(&lt_option_unknown, d, fd, val, len);
		return 0;
	}
	lt_explain_option(d, (enum tas_explain)lt_option_unknown.row);
	return (int)lt_ret(-lt_option_unknown.err);
}

static int set_known(
	struct lt_desc *d, const struct lt_option *o, int fd, const void *val, socklen_t len)
{
	int r = d->kind != LT_UNDECIDED ? refusal(d, o, val, len) : 0;
	uint64_t news;

	if (o->row >= 0 && (r != 0 || o->kind != LT_OPTION_KERNEL))
		lt_explain_option(d, (enum tas_explain)o->row);
	if (r != 0)
		return (int)lt_ret(r);
	r = lt_real.setsockopt(fd, o->level, o->name, val, len);
	if (r != 0)
		return r;
	news = lt_option_keep(o, d, fd, val, len);
	lt_home(d);
	if (news != 0)
		lt_opts_tell(d, news);
	return 0;
}

int lt_setsockopt(struct lt_desc *d, int fd, int level, int name, const void *val, socklen_t len)
{
	const struct lt_option *o;

	if (set_quickly(d, level, name, val, len)) {
		if (lt_unlikely(lt_flags(d) & LT_D_SHARED)) /* others look there (common.c) */
			lt_sys_setsockopt(fd, level, name, val, len);
		lt_home(d); /* ... when they claim it */
		return 0;
	}
	d = lt_fd_check(fd);
	if (d == NULL || d->kind == LT_EPOLL)
		return lt_real.setsockopt(fd, level, name, val, len);
	if (level == IPPROTO_TCP && name == TCP_CONGESTION)
		return lt_congestion_set(d, fd, val, len);
	lt_opts_settle(d, fd);
	o = lt_option_find(level, name);
	return o != NULL ? set_known(d, o, fd, val, len)
			 : set_unknown(d, fd, level, name, val, len);
}

/* ---- getting ---- */

int lt_opt_out(void *val, socklen_t *len, const void *from, size_t n)
{
	if ((int)*len < 0)
		return (int)lt_ret(-EINVAL);
	if (*len > n)
		*len = (socklen_t)n;
	if (*len != 0 && lt_bad(val, *len))
		return (int)lt_ret(-EFAULT);
	memcpy(val, from, *len);
	return 0;
}

static int out_int(void *val, socklen_t *len, int v)
{
	return lt_opt_out(val, len, &v, sizeof(v));
}

static bool established(struct lt_desc *d)
{
	return lt_conn_bound(d) ? !(lt_conn_state(d) & TAS_SOCK_ERROR)
				: !(lt_flags(d) & (LT_D_CONNECTING | LT_D_RECONNECT));
}

/* The name is no shorter than what was asked for, or the call fails: SO_PEERNAME of Linux. */
static int peer_name(struct lt_desc *d, void *val, socklen_t *len)
{
	struct sockaddr_storage sa;
	socklen_t n = sizeof(sa);

	if (lt_flags(d) & LT_D_RECONNECT)
		return (int)lt_ret(-ENOTCONN);
	lt_addr_put(d, d->raddr, d->rport, (struct sockaddr *)&sa, &n);
	return n < *len ? (int)lt_ret(-EINVAL) : lt_opt_out(val, len, &sa, n);
}

/* The CPU that the flow is served by, as that of the last packet on Linux. */
static int incoming_cpu(const struct lt_desc *d)
{
	uint32_t core = lt_conn_bound(d) ? tas_load(&d->s->core) : d->core;

	return core < d->ctx->ncores ? (int)tas_load(&d->ctx->info->core[core].cpu) : -1;
}

/* SK_MEMINFO_* of linux/sock_diag.h: what is queued is here, the limits are the handle's. */
static int memory(struct lt_desc *d, int fd, void *val, socklen_t *len)
{
	uint32_t m[9] = {0};
	unsigned n = sizeof(m);

	lt_sys_getsockopt(fd, SOL_SOCKET, SO_MEMINFO, m, &n);
	m[0] = (uint32_t)lt_conn_unread(d);
	m[2] = m[5] = (uint32_t)lt_conn_unsent(d);
	return lt_opt_out(val, len, m, sizeof(m));
}

#define ASK_HANDLE 1

static int get_socket(struct lt_desc *d, int fd, int name, void *val, socklen_t *len)
{
	switch (name) {
	case SO_ERROR:
		return out_int(val, len, lt_conn_error(d));
	case SO_PEERNAME:
		return peer_name(d, val, len);
	case SO_INCOMING_CPU:
		return out_int(val, len, incoming_cpu(d));
	case SO_MEMINFO:
		return memory(d, fd, val, len);
	default:
		return ASK_HANDLE;
	}
}

/* The largest that the window's scale can say, unless it was set. */
static int window_clamp(struct lt_desc *d, void *val, socklen_t *len)
{
	struct tas_conn_info in;

	if (d->opts.wire.window_clamp != 0 || lt_conn_ask(d, &in) != 0 || in.syn)
		return ASK_HANDLE;
	return out_int(val, len, UINT16_MAX << (in.rcv_wscale & 15));
}

static int get_tcp(struct lt_desc *d, int fd, int name, void *val, socklen_t *len)
{
	struct tas_conn_info in;

	switch (name) {
	case TCP_INFO:
		return lt_tcp_info(d, fd, val, len);
	case TCP_MAXSEG:
		if (lt_flags(d) & LT_D_RECONNECT)
			return ASK_HANDLE;
		if (lt_conn_bound(d))
			return out_int(val, len, tas_load(&d->s->mss));
		return lt_conn_ask(d, &in) == 0 ? out_int(val, len, (int)in.snd_mss) : ASK_HANDLE;
	case TCP_NODELAY:
		return out_int(val, len, d->opts.nodelay);
	case TCP_CORK:
		return out_int(val, len, (lt_flags(d) & LT_D_CORK) != 0);
	case TCP_QUICKACK:
		return out_int(val, len, d->opts.quickack == 0 || (d->opts.quickack & 1));
	case TCP_WINDOW_CLAMP:
		return window_clamp(d, val, len);
	case TCP_CC_INFO: /* an algorithm without figures of its own */
		return lt_opt_out(val, len, NULL, 0);
	case TCP_ZEROCOPY_RECEIVE:
		lt_explain(TAS_X_option_tcp);
		return (int)lt_ret(-ENOPROTOOPT);
	case TCP_TIMESTAMP:
	case TCP_REPAIR:
	case TCP_REPAIR_QUEUE:
	case TCP_QUEUE_SEQ:
	case TCP_REPAIR_WINDOW:
		lt_explain(TAS_X_option_read);
		return ASK_HANDLE;
	default:
		return ASK_HANDLE;
	}
}

static int get_ip(struct lt_desc *d, int name, void *val, socklen_t *len)
{
	struct tas_conn_info in;

	if (name != IP_MTU)
		return ASK_HANDLE;
	if (!established(d) || lt_conn_ask(d, &in) != 0)
		return (int)lt_ret(-ENOTCONN);
	return out_int(val, len, (int)in.pmtu);
}

/* What a connection answers itself. */
static int get_own(struct lt_desc *d, int fd, int level, int name, void *val, socklen_t *len)
{
	switch (level) {
	case SOL_SOCKET:
		return get_socket(d, fd, name, val, len);
	case IPPROTO_TCP:
		return get_tcp(d, fd, name, val, len);
	case IPPROTO_IP:
		return get_ip(d, name, val, len);
	default:
		return ASK_HANDLE;
	}
}

int lt_getsockopt(struct lt_desc *d, int fd, int level, int name, void *val, socklen_t *len)
{
	int r = ASK_HANDLE;

	d = lt_fd_check(fd);
	if (d == NULL || d->kind == LT_EPOLL || lt_bad(len, sizeof(*len)) || lt_bad(val, 1))
		return lt_real.getsockopt(fd, level, name, val, len);
	if (level == IPPROTO_TCP && name == TCP_CONGESTION)
		return lt_congestion_get(d, fd, val, len);
	if (d->kind != LT_CONN)
		return lt_real.getsockopt(fd, level, name, val, len);
	lt_opts_settle(d, fd);
	r = get_own(d, fd, level, name, val, len);
	return r == ASK_HANDLE ? lt_real.getsockopt(fd, level, name, val, len) : r;
}
