/*
 * options.c - the table of socket options, what a value becomes on its way to the daemon, and the handle of an
 * accepted connection.
 *
 * Every option is set on the kernel's handle first: it checks the value, and a socket that falls back to the kernel has
 * all of them. Owner: any thread. socket(7), tcp(7), ip(7), ipv6(7).
 */
#include <linux/tcp.h>
#include <sys/time.h>
#include "options.h"

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif
#ifndef IPV6_TRANSPARENT
#define IPV6_TRANSPARENT 75
#endif

#define LINGER2_MAX 120 /* s; as Linux */

int lt_option_int(const void *val, socklen_t len)
{
	int v = 0;

	if (len == 1) /* as ip(7)'s options are taken */
		return *(const uint8_t *)val;
	memcpy(&v, val, len < sizeof(v) ? len : sizeof(v));
	return v;
}

#define int_value lt_option_int

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

/* ---- what travels ---- */

#define KEEP(name)                                                                                 \
	static uint64_t keep_##name(struct lt_desc *d, int fd, const void *val, socklen_t len)
#define WORD(name, field)                                                                          \
	KEEP(name)                                                                                 \
	{                                                                                          \
		(void)fd;                                                                          \
		d->opts.wire.field = (uint32_t)int_value(val, len);                                \
		return TAS_OPT_WORD(field);                                                        \
	}

WORD(keepidle, keepidle_s)
WORD(keepintvl, keepintvl_s)
WORD(keepcnt, keepcnt)
WORD(user_timeout, user_timeout_ms)
WORD(maxseg, maxseg)
WORD(clamp, window_clamp)
WORD(notsent, notsent_lowat)

KEEP(keepalive)
{
	(void)fd;
	d->opts.wire.keepalive = int_value(val, len) != 0;
	return TAS_OPT_WORD(keepalive);
}

/* Half of it is for the kernel's own bookkeeping (socket(7)): the window is the rest. */
KEEP(rcvbuf)
{
	(void)val;
	(void)len;
	d->opts.wire.rcvbuf = read_back(fd, SO_RCVBUF) / 2;
	return TAS_OPT_WORD(rcvbuf);
}

KEEP(sndbuf)
{
	(void)val;
	(void)len;
	d->opts.wire.sndbuf = read_back(fd, SO_SNDBUF);
	return TAS_OPT_WORD(sndbuf);
}

KEEP(rcvlowat)
{
	(void)val;
	(void)len;
	d->opts.wire.rcvlowat = read_back(fd, SO_RCVLOWAT); /* no more than half of the buffer */
	return TAS_OPT_WORD(rcvlowat);
}

/* Bytes a second, ~0 = as fast as can be. */
KEEP(pacing)
{
	uint64_t rate, kbps;

	(void)fd;
	if (len >= sizeof(rate)) {
		memcpy(&rate, val, sizeof(rate));
	} else {
		rate = (uint32_t)int_value(val, len);
		rate = rate == UINT32_MAX ? UINT64_MAX : rate;
	}
	kbps = rate / 125 + (rate % 125 != 0);
	d->opts.wire.pace_kbps = rate == UINT64_MAX || kbps >= UINT32_MAX ? 0 : (uint32_t)kbps;
	return TAS_OPT_WORD(pace_kbps);
}

KEEP(tos)
{
	(void)fd;
	d->opts.wire.tos = (uint32_t)int_value(val, len) & 0xff;
	return TAS_OPT_WORD(tos);
}

KEEP(ttl)
{
	int v = int_value(val, len);

	(void)fd;
	d->opts.wire.ttl = v > 0 && v <= 255 ? (uint8_t)v : 0; /* -1: the default */
	return TAS_OPT_WORD(ttl);
}

KEEP(syncnt)
{
	(void)fd;
	d->opts.wire.syncnt = (uint8_t)int_value(val, len);
	return TAS_OPT_WORD(syncnt);
}

KEEP(linger2)
{
	int v = int_value(val, len);

	(void)fd;
	if (v > LINGER2_MAX)
		v = LINGER2_MAX;
	d->opts.wire.linger2_s = v < 0 ? TAS_OPT_NO_LINGER2 : (uint32_t)v;
	return TAS_OPT_WORD(linger2_s);
}

/* Seconds, as the number of SYN-ACKs that are sent again in so long a time (tcp(7)). */
KEEP(defer)
{
	int seconds = int_value(val, len), period = 1, wait = 1;
	uint8_t n = 0;

	(void)fd;
	if (seconds > 0)
		n = 1;
	for (; n != 0 && n < UINT8_MAX && seconds > period; n++) {
		wait = wait < 60 ? wait * 2 : 120;
		period += wait;
	}
	d->opts.wire.defer = n;
	return TAS_OPT_WORD(defer);
}

/* ---- what stays here ---- */

KEEP(reuseport)
{
	(void)fd;
	d->opts.reuseport = int_value(val, len) != 0;
	return 0;
}

KEEP(oobinline)
{
	(void)fd;
	d->opts.oobinline = int_value(val, len) != 0;
	return 0;
}

KEEP(zerocopy)
{
	(void)fd;
	d->opts.zerocopy = int_value(val, len) != 0;
	return 0;
}

KEEP(linger)
{
	struct linger lg;

	(void)fd;
	(void)len;
	memcpy(&lg, val, sizeof(lg));
	d->opts.linger_s = lg.l_onoff ? lg.l_linger : -1;
	return 0;
}

KEEP(rcvtimeo)
{
	(void)fd;
	d->opts.rcvtimeo_ns = timeval_ns(val, len);
	return 0;
}

KEEP(sndtimeo)
{
	(void)fd;
	d->opts.sndtimeo_ns = timeval_ns(val, len);
	return 0;
}

KEEP(nodelay)
{
	(void)fd;
	d->opts.nodelay = int_value(val, len) != 0;
	return 0;
}

KEEP(cork)
{
	(void)fd;
	if (int_value(val, len) != 0)
		tas_fetch_or(&d->flags, LT_D_CORK);
	else
		tas_fetch_and(&d->flags, ~LT_D_CORK);
	return 0;
}

KEEP(quickack)
{
	(void)fd;
	lt_opts_quickack(d, int_value(val, len) & 1);
	return 0;
}

KEEP(inq)
{
	(void)fd;
	d->opts.inq = int_value(val, len) != 0;
	return 0;
}

KEEP(ports)
{
	(void)fd;
	d->opts.ports = int_value(val, len) != 0;
	return 0;
}

static uint64_t keep_no_filter(struct lt_desc *d, int fd, const void *val, socklen_t len);

/* ---- does a value ask for anything? ---- */

static bool is_any(const void *val, socklen_t len)
{
	(void)val;
	(void)len;
	return true;
}

static bool is_set(const void *val, socklen_t len)
{
	return int_value(val, len) != 0;
}

static bool is_long(const void *val, socklen_t len)
{
	(void)val;
	return len != 0;
}

static bool is_text(const void *val, socklen_t len)
{
	return len != 0 && *(const char *)val != '\0';
}

static bool is_offset(const void *val, socklen_t len)
{
	return int_value(val, len) >= 0;
}

/* Our packets carry DF, and their size follows the path's MTU. */
static bool is_fragmenting(const void *val, socklen_t len)
{
	int v = int_value(val, len);

	return v >= 0 && v <= IP_PMTUDISC_OMIT && v != IP_PMTUDISC_WANT && v != IP_PMTUDISC_DO;
}

/* ---- the table ---- */

enum {
#define LT_OPT_KEPT(level, name, row, keep) KEPT_##name,
#include "options.def"
	NKEPT
};

enum {
#define LT_OPT_KERNEL(level, name, row, err, on) KERNEL_##name,
#include "options.def"
	NKERNEL
};

_Static_assert(NKEPT <= LT_KEPT_MAX, "room in lt_opts.val and .kept");
_Static_assert(NKERNEL < 64, "bits of lt_opts.kernel, one for what no row has");

#define TAS_X_NONE (-1)

static const struct lt_option table[] = {
#define LT_OPT_KEPT(level, name, row, keep)                                                        \
	{level, name, LT_OPTION_KEPT, KEPT_##name, TAS_X_##row, 0, NULL, keep},
#define LT_OPT_OWN(level, name, row, keep)                                                         \
	{level, name, LT_OPTION_OWN, 0, TAS_X_##row, 0, NULL, keep},
#define LT_OPT_EARLY(level, name, row)                                                             \
	{level, name, LT_OPTION_EARLY, 0, TAS_X_##row, EINVAL, NULL, NULL},
#define LT_OPT_KERNEL(level, name, row, err, on)                                                   \
	{level, name, LT_OPTION_KERNEL, KERNEL_##name, TAS_X_##row, err, on, NULL},
#include "options.def"
};

const struct lt_option lt_option_unknown = {
	0, 0, LT_OPTION_KERNEL, 63, TAS_X_option_socket, ENOPROTOOPT, is_any, NULL};

#define NTABLE (sizeof(table) / sizeof(table[0]))

KEEP(no_filter)
{
	uint64_t filters = 1ull << KERNEL_SO_ATTACH_FILTER | 1ull << KERNEL_SO_ATTACH_BPF |
			   1ull << KERNEL_SO_ATTACH_REUSEPORT_CBPF |
			   1ull << KERNEL_SO_ATTACH_REUSEPORT_EBPF;

	(void)fd;
	(void)val;
	(void)len;
	d->opts.kernel &= ~filters;
	return 0;
}

const struct lt_option *lt_option_find(int level, int name)
{
	size_t i;

	for (i = 0; i < NTABLE; i++)
		if (table[i].name == name && table[i].level == level)
			return &table[i];
	return NULL;
}

uint64_t lt_option_keep(
	const struct lt_option *o, struct lt_desc *d, int fd, const void *val, socklen_t len)
{
	if (o->kind == LT_OPTION_KERNEL) {
		if (o->on(val, len))
			d->opts.kernel |= 1ull << o->place;
		else
			d->opts.kernel &= ~(1ull << o->place);
		if (o->place == KERNEL_IP_MTU_DISCOVER) /* WANT, which all begin with, or DO */
			d->opts.pmtu_do = int_value(val, len) == IP_PMTUDISC_DO;
		return 0;
	}
	if (o->kind == LT_OPTION_KEPT) {
		d->opts.val[o->place] = int_value(val, len);
		d->opts.kept |= 1ull << o->place;
	}
	return o->keep != NULL ? o->keep(d, fd, val, len) : 0;
}

/* ---- accepted connections ---- */

/* An accepted connection starts with its listener's options (socket(7)). */
void lt_opts_inherit(struct lt_desc *d, const struct lt_opts *from)
{
	memcpy(&d->opts, from, offsetof(struct lt_opts, val));
	if (from->kept != 0)
		memcpy(d->opts.val, from->val, sizeof(from->val));
	d->opts.wire.defer = 0;
	d->opts.quickack = 0;
}

static void set_time(int fd, int name, uint64_t ns)
{
	struct timeval tv = {(time_t)(ns / 1000000000u), (suseconds_t)(ns % 1000000000u / 1000u)};

	if (ns != 0)
		lt_sys_setsockopt(fd, SOL_SOCKET, name, &tv, sizeof(tv));
}

/* The handle of an accepted connection learns its inherited options when somebody first asks it. */
void lt_opts_settle(struct lt_desc *d, int fd)
{
	struct linger lg = {d->opts.linger_s >= 0, d->opts.linger_s};
	size_t i;

	if (!(tas_fetch_and(&d->flags, ~LT_D_INHERITED) & LT_D_INHERITED))
		return;
	set_time(fd, SO_RCVTIMEO, d->opts.rcvtimeo_ns);
	set_time(fd, SO_SNDTIMEO, d->opts.sndtimeo_ns);
	if (lg.l_onoff)
		lt_sys_setsockopt(fd, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg));
	if (d->opts.pmtu_do)
		lt_sys_setsockopt(
			fd, IPPROTO_IP, IP_MTU_DISCOVER, &(int){IP_PMTUDISC_DO}, sizeof(int));
	for (i = 0; d->opts.kept != 0 && i < NTABLE; i++)
		if (table[i].kind == LT_OPTION_KEPT && (d->opts.kept >> table[i].place & 1))
			lt_sys_setsockopt(fd, table[i].level, table[i].name,
				&d->opts.val[table[i].place], sizeof(int));
	/* IP_TOS has set it on the way; Linux gives an accepted socket none. */
	lt_sys_setsockopt(fd, SOL_SOCKET, SO_PRIORITY, &(int){0}, sizeof(int));
}
