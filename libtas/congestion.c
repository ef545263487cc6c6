/*
 * congestion.c - TCP_CONGESTION: the kernel and the service have algorithms of their own.
 *
 * A socket that may still become either's takes what either of them has; a tas one what the service
 * has, else ENOENT as in the kernel. What is in force is the service's to say: an accepted
 * connection has what its listener had when the peer's SYN came. Owner: any thread. tcp(7).
 */
#include <netinet/tcp.h>
#include "lt.h"
#include "tas/cc.h"

#define ROW(name) #name,
static const char *const names[] = {TAS_CC_NAMES(ROW)};
#undef ROW

#define NNAMES (sizeof(names) / sizeof(names[0]))

/* 1 + index, 0 = the service has none of that name. The kernel has read `val` before us. */
static uint32_t by_name(const void *val, socklen_t len)
{
	char name[TAS_CC_NAME_MAX] = "";
	uint32_t i;

	memcpy(name, val, len < sizeof(name) - 1 ? len : sizeof(name) - 1);
	for (i = 0; i < NNAMES; i++)
		if (strcmp(names[i], name) == 0)
			return i + 1;
	return 0;
}

/* Why the kernel refuses decides unless it is about which algorithms it has and whom it lets use
 * them. */
static bool is_about_choice(int r, int err)
{
	return r == 0 || err == ENOENT || err == EPERM;
}

int lt_congestion_set(struct lt_desc *d, int fd, const void *val, socklen_t len)
{
	int saved = errno, r = lt_real.setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, val, len), told;
	uint32_t cc;

	d = lt_fd_check(fd);
	if (d == NULL || d->kind == LT_EPOLL || !is_about_choice(r, errno))
		return r;
	cc = by_name(val, len);
	if (cc == 0)
		lt_explain_option(d, TAS_X_option_cc);
	if (cc == 0 && d->kind != LT_UNDECIDED)
		return (int)lt_ret(-ENOENT);
	d->opts.wire.cc = cc;
	if (cc == 0)
		return r;
	told = lt_opts_tell(d, TAS_OPT_WORD(cc));
	if (told >= 0)
		errno = saved;
	return told < 0 ? (int)lt_ret(told) : 0;
}

/* What is in force, 1 + index; 0 = the kernel's handle knows better. */
static uint32_t in_force(struct lt_desc *d)
{
	struct tas_msg m = {.type = TAS_CMD_SETOPT, .flags = TAS_OPT_READ};

	if (d->kind != LT_UNDECIDED && lt_opts_exchange(d, &m) >= 0 && m.opts.cc <= NNAMES)
		return m.opts.cc;
	return d->opts.wire.cc;
}

int lt_congestion_get(struct lt_desc *d, int fd, void *val, socklen_t *len)
{
	char name[TAS_CC_NAME_MAX] = "";
	uint32_t cc = in_force(d);

	if (cc == 0)
		return lt_real.getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, val, len);
	strcpy(name, names[cc - 1]);
	if ((int)*len < 0)
		return (int)lt_ret(-EINVAL);
	if (*len > sizeof(name))
		*len = sizeof(name);
	memcpy(val, name, *len);
	return 0;
}
