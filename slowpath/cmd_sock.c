/*
 * cmd_sock.c - messages about sockets: BIND, LISTEN, JOIN, UNLISTEN, REWAKE, CONNECT, CANCEL.
 * Owner: slow path thread.
 */
#include <errno.h>
#include <string.h>
#include "cmd.h"
#include "conn/internal.h"
#include "flowctl.h"
#include "net/internal.h"

static const uint8_t any_addr[16];

static int is_any(const uint8_t addr[16])
{
	return memcmp(addr, any_addr, 16) == 0;
}

/* ---- listening ---- */

/*
 * 0 = an address served, 1 = all of them, or -EADDRNOTAVAIL. Who asks for one device alone would hear
 * everybody here: that is for the kernel.
 */
static int serve(const struct sp *sp, const struct sp_handle *h)
{
	if (h->one_device)
		return -EADDRNOTAVAIL;
	if (is_any(h->laddr))
		return 1;
	return sp_addr_is_ours(sp, h->laddr) ? 0 : -EADDRNOTAVAIL;
}

int sp_cmd_bind(struct sp *sp, struct sp_request *rq, struct sp_reply *rp)
{
	struct sp_handle h;
	int err = sp_handle_read(sp, rq->fds[0], &h);

	if (err != 0)
		return err;
	memcpy(rp->m.laddr, h.laddr, 16);
	rp->m.lport = h.lport;
	return serve(sp, &h);
}

/* Makes the program a holder and passes the segment. */
static int hold(struct sp *sp, struct sp_app *app, struct sp_listener *l, struct sp_reply *rp)
{
	int err;

	if (app->nlisteners >= sp->conf.program_listeners && !sp_listener_held_by(l, app->id))
		return -ENOBUFS;
	err = sp_listener_hold(sp, l, app);
	if (err != 0 && err != -EALREADY)
		return err;
	rp->m.id = l->id;
	rp->m.len = sizeof(struct tas_listen);
	memcpy(rp->m.laddr, l->laddr, 16);
	rp->m.lport = l->lport;
	rp->fds[rp->nfds++] = l->fd;
	return 0;
}

static uint32_t backlog_of(const struct sp *sp, uint64_t asked)
{
	return asked > sp->conf.backlog_max ? sp->conf.backlog_max : (uint32_t)asked;
}

int sp_cmd_listen(struct sp *sp, struct sp_request *rq, struct sp_reply *rp)
{
	struct sp_listen_args args = {.backlog = backlog_of(sp, rq->m.aux)};
	struct tas_sockopts opts;
	struct sp_listener *l;
	struct sp_handle h;
	int err = sp_handle_read(sp, rq->fds[0], &h), where;

	if (err == 0)
		err = sp_policy_opts(sp, &rq->m.opts, &opts);
	if (err != 0)
		return err;
	where = h.lport == 0 ? -EINVAL : serve(sp, &h);
	if (where < 0)
		return where;
	if (sp->apps.draining)
		return -EADDRNOTAVAIL;
	l = sp_listener_by_cookie(sp, h.cookie);
	if (l != NULL) { /* listen() again, or by another holder of the descriptor */
		sp_listener_set_backlog(sp, l, args.backlog);
		l->opts = opts;
		return hold(sp, rq->app, l, rp);
	}
	if (rq->app->nlisteners >= sp->conf.program_listeners)
		return -ENOBUFS;
	args.cookie = h.cookie;
	memcpy(args.laddr, h.laddr, 16);
	args.lport = h.lport;
	args.reuseport = h.reuseport;
	args.listening = h.listening;
	args.uid = rq->app->uid;
	args.opts = &opts;
	sp_listener_make_way(sp, &args, rq->app);
	err = sp_listener_create(sp, &args, &l);
	return err != 0 ? err : hold(sp, rq->app, l, rp);
}

int sp_cmd_join(struct sp *sp, struct sp_request *rq, struct sp_reply *rp)
{
	struct sp_listener *l;
	struct sp_handle h;
	int err = sp_handle_read(sp, rq->fds[0], &h);

	if (err != 0)
		return err;
	l = sp_listener_by_cookie(sp, h.cookie);
	if (l == NULL)
		return rq->m.flags & TAS_JOIN_PASSED ? -ESRCH : -ENOENT;
	err = hold(sp, rq->app, l, rp);
	if (err == 0 && (rq->m.flags & TAS_JOIN_PASSED))
		sp_pass_taken(sp, h.cookie, rq->m.flags);
	return err;
}

static struct sp_listener *held_by(
	struct sp *sp, const struct sp_request *rq, const struct sp_app *app)
{
	struct sp_listener *l = app != NULL ? sp_listener_get(sp, rq->m.id) : NULL;

	return l != NULL && sp_listener_held_by(l, app->id) ? l : NULL;
}

struct sp_listener *sp_cmd_listener(struct sp *sp, const struct sp_request *rq)
{
	return held_by(sp, rq, rq->app);
}

int sp_cmd_unlisten(struct sp *sp, struct sp_request *rq, struct sp_reply *rp)
{
	struct sp_app *app = sp_cmd_principal(sp, rq);
	struct sp_listener *l = held_by(sp, rq, app);

	(void)rp;
	if (l == NULL)
		return -ENOENT;
	if (rq->m.flags & TAS_UNLISTEN_ALL)
		sp_listener_leave_all(sp, l->id);
	else
		sp_listener_leave(sp, l, app);
	return 0;
}

int sp_cmd_rewake(struct sp *sp, struct sp_request *rq, struct sp_reply *rp)
{
	struct sp_listener *l = sp_cmd_listener(sp, rq);

	(void)rp;
	if (l == NULL)
		return -ENOENT;
	sp_accept_rewake(sp, l);
	return 0;
}

/* ---- connecting ---- */

/* On an address that the kernel has, too, what no program on tas listens on is for the kernel's programs. */
static int is_kernels(struct sp *sp, const struct tas_tuple *t)
{
	struct tas_tuple there = {.lport = t->rport, .net = t->net};

	if (sp->conf.exception_tap[0] == '\0' || !sp_addr_is_ours(sp, t->raddr))
		return 0;
	memcpy(there.laddr, t->raddr, 16);
	return sp_listener_match(sp, &there) == NULL;
}

/* Is the destination a host that we reach, or ourselves? */
static int check_remote(struct sp *sp, const struct tas_tuple *t)
{
	if (!tas_addr_is_v4(t->raddr) || t->net != 0)
		return -EINVAL;
	if (sp->apps.draining || sp_addr_is_group(sp, t->raddr) || is_kernels(sp, t))
		return -EADDRNOTAVAIL;
	return sp_route_find(sp, t->raddr) != NULL ? 0 : -EADDRNOTAVAIL;
}

/*
 * Local address: what the socket is bound to, else what the message wishes, else the route's. Who talks to
 * itself does so from the same address.
 */
static int choose_local(
	struct sp *sp, const struct sp_request *rq, const struct sp_handle *h, struct tas_tuple *t)
{
	const uint8_t *addr = h->laddr;

	if (is_any(addr))
		addr = rq->m.laddr;
	if (is_any(addr))
		addr = sp_addr_is_ours(sp, t->raddr)
			       ? t->raddr
			       : sp->net.addrs[sp_route_find(sp, t->raddr)->src].addr;
	if (!sp_addr_is_ours(sp, addr))
		return -EADDRNOTAVAIL;
	memcpy(t->laddr, addr, 16);
	t->lport = h->lport;
	return 0;
}

int sp_cmd_connect(struct sp *sp, struct sp_request *rq, struct sp_reply *rp)
{
	struct tas_sockopts opts;
	struct tas_tuple t;
	struct sp_handle h;
	struct sp_conn *c;
	int err;

	memset(&t, 0, sizeof(t));
	memcpy(t.raddr, rq->m.raddr, 16);
	t.rport = rq->m.rport;
	t.net = rq->m.net;
	err = sp_handle_read(sp, rq->fds[0], &h);
	if (err == 0)
		err = sp_policy_opts(sp, &rq->m.opts, &opts);
	if (err == 0)
		err = check_remote(sp, &t);
	if (err == 0)
		err = choose_local(sp, rq, &h, &t);
	if (err == 0)
		err = sp_connect(sp, rq->app, rq->m.slot, &t, &opts, &c);
	if (err != 0)
		return err;
	rp->m.id = c->id;
	rp->m.slot = c->slot;
	rp->m.aux = c->gen;
	memcpy(rp->m.laddr, c->tuple.laddr, 16);
	rp->m.lport = c->tuple.lport;
	return 0;
}

int sp_cmd_cancel(struct sp *sp, struct sp_request *rq, struct sp_reply *rp)
{
	const struct fp_app *fa = sp_app_fp(sp, rq->app);
	struct sp_conn_input in = {.error = ECONNRESET}; /* as shutdown() in SYN-SENT on Linux */
	struct sp_conn *c;

	(void)rp;
	if (rq->m.slot >= fa->nslots)
		return -EINVAL;
	c = sp_conn_get(sp, rq->app->slot_conn[rq->m.slot]);
	if (c == NULL || c->gen != rq->m.aux)
		return -EALREADY;
	sp_conn_event(sp, c, SP_EV_CANCEL, &in);
	return 0;
}
