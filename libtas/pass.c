/*
 * pass.c - a descriptor of ours goes to another process otherwise than by fork() or exec(): the
 * daemon is told before, so that the connection or listener lives while nobody has it (PASS of
 * include/tas/app_sp.h). received.c is the other end.
 *
 * A connection becomes one that several processes may hold (share.c). Whether the descriptor arrives, and when the last
 * one is closed, the kernel tells the daemon. Owner: any thread.
 * docs/decisions/0014-spawned-and-passed-descriptors.md.
 */
#include "heritage.h"
#include "lt.h"

static int tell(struct lt_desc *d, int fd, struct tas_msg *m)
{
	int r = lt_command(m, fd, NULL, NULL);

	switch (r) {
	case -ENOENT: /* it has ended, as the receiver will find out */
	case -EPIPE:
		return 0;
	case -ENOBUFS:
	case -ENOMEM:
		return -ETOOMANYREFS; /* as the kernel says of a user with too many on their way */
	default:
		break;
	}
	if (r < 0)
		return -EINVAL;
	if (d->cookie == 0) /* it may come back to us */
		d->cookie = lt_cookie(fd);
	return 1;
}

static int pass_conn(struct lt_desc *d, int fd)
{
	const struct lt_opts *o = &d->opts;
	struct tas_msg m = {.type = TAS_CMD_PASS};

	if (d->kind == LT_CONN && !lt_share_one(d))
		return lt_flags(d) & LT_D_CONNECTING ? -EINVAL : 0;
	m.id = d->flow;
	m.slot = d->slot;
	m.aux = d->gen | (uint64_t)(lt_flags(d) & LT_HERITAGE_FLAGS) << 32;
	m.len = (uint32_t)o->linger_s | (uint64_t)o->nodelay << 32;
	m.token[0] = o->rcvtimeo_ns;
	m.token[1] = o->sndtimeo_ns;
	return tell(d, fd, &m);
}

static int pass_listener(struct lt_desc *d, int fd)
{
	struct tas_msg m = {.type = TAS_CMD_PASS, .flags = TAS_OPT_LISTENER};

	if (!lt_listen_settle(d, fd))
		return 0;
	m.id = d->listener;
	return tell(d, fd, &m);
}

int lt_pass(struct lt_desc *d, int fd)
{
	int r = 0;

	switch (tas_load_acq(&d->kind)) {
	case LT_CONN:
	case LT_AWAY:
		r = pass_conn(d, fd);
		break;
	case LT_LISTEN:
		r = pass_listener(d, fd);
		break;
	case LT_EPOLL: /* what is ours in it is this process's alone */
		r = lt_epoll_mixed(d) ? -EINVAL : 0;
		break;
	default:
		break;
	}
	if (r < 0)
		lt_explain(TAS_X_refuse_pass);
	return r;
}

void lt_unpass(const struct lt_desc *d)
{
	struct tas_msg m = {.type = TAS_CMD_UNPASS, .id = d->flow, .aux = d->gen};

	if (d->kind == LT_LISTEN)
		m = (struct tas_msg){
			.type = TAS_CMD_UNPASS, .flags = TAS_OPT_LISTENER, .id = d->listener};
	lt_command(&m, -1, NULL, NULL);
}
