/*
 * cmd_pass.c - messages about descriptors that go to other processes: PASS, UNPASS, RECEIVE.
 *
 * The right to pass something on is to hold it; the right to receive it is to have its descriptor, whose
 * socket the kernel knows by SO_COOKIE. Owner: slow path thread. cmsg(3), socket(7).
 */
#include <errno.h>
#include "cmd.h"
#include "conn/internal.h"
#include "conn/share.h"

static int is_listener(const struct sp_request *rq)
{
	return (rq->m.flags & TAS_OPT_LISTENER) != 0;
}

static struct sp_conn *conn_of(struct sp *sp, uint32_t id, uint32_t gen)
{
	struct sp_conn *c = sp_conn_get(sp, id);

	return c != NULL && c->gen == gen ? c : NULL;
}

static int pass_listener(struct sp *sp, const struct sp_request *rq, struct sp_passing *what)
{
	const struct sp_listener *l = sp_listener_get(sp, rq->m.id);

	if (l == NULL || !sp_listener_held_by(l, rq->app->id))
		return -ENOENT;
	if (l->cookie != what->cookie)
		return -EBADF;
	what->id = l->id;
	what->listener = 1;
	return sp_passing_add(sp, what, rq->fds[0]);
}

int sp_cmd_pass(struct sp *sp, struct sp_request *rq, struct sp_reply *rp)
{
	struct sp_passing what = {.uid = rq->app->uid};
	struct sp_conn *c;
	struct sp_handle h;
	int err = sp_handle_read(sp, rq->fds[0], &h);

	(void)rp;
	if (err != 0)
		return err;
	what.cookie = h.cookie;
	what.note.flags = (uint32_t)(rq->m.aux >> 32);
	what.note.len = rq->m.len;
	what.note.token[0] = rq->m.token[0];
	what.note.token[1] = rq->m.token[1];
	if (is_listener(rq)) {
		err = pass_listener(sp, rq, &what);
	} else {
		c = conn_of(sp, rq->m.id, (uint32_t)rq->m.aux);
		err = c != NULL ? sp_share_pass(sp, c, rq->app, rq->m.slot, &what, rq->fds[0])
				: -ENOENT;
	}
	sp->cnt.passed += err == 0;
	return err;
}

static int may_unpass(struct sp *sp, const struct sp_request *rq, const struct sp_passing *p)
{
	const struct sp_listener *l;
	const struct sp_conn *c;

	if (p->listener) {
		l = sp_listener_get(sp, p->id);
		return l != NULL && sp_listener_held_by(l, rq->app->id);
	}
	c = conn_of(sp, p->id, p->gen);
	return c != NULL && sp_share_held_by(sp, c, rq->app);
}

int sp_cmd_unpass(struct sp *sp, struct sp_request *rq, struct sp_reply *rp)
{
	const struct sp_passing *p = sp_passing_find(
		sp, rq->m.id, is_listener(rq) ? 0 : (uint32_t)rq->m.aux, is_listener(rq));

	(void)rp;
	if (p == NULL || !may_unpass(sp, rq, p))
		return -ENOENT;
	sp_passing_done(sp, p->cookie);
	return 0;
}

void sp_pass_taken(struct sp *sp, uint64_t cookie, uint32_t flags)
{
	sp->cnt.passed_taken++;
	if (!(flags & TAS_PASS_MORE))
		sp_passing_done(sp, cookie);
}

int sp_cmd_receive(struct sp *sp, struct sp_request *rq, struct sp_reply *rp)
{
	const struct sp_passing *p;
	struct sp_conn *c = NULL;
	struct sp_handle h;
	int err = sp_handle_read(sp, rq->fds[0], &h);

	if (err != 0)
		return err;
	p = sp_passing_of_handle(sp, h.cookie);
	if (p != NULL && !p->listener)
		c = conn_of(sp, p->id, p->gen);
	if (c == NULL)
		return -ESRCH;
	rp->m.id = p->id;
	rp->m.aux = p->gen | (uint64_t)p->note.flags << 32;
	rp->m.len = p->note.len;
	rp->m.token[0] = p->note.token[0];
	rp->m.token[1] = p->note.token[1];
	rp->m.opts = c->opts;
	sp_share_receive(sp, c, rq->app);
	sp_pass_taken(sp, h.cookie, rq->m.flags);
	return 0;
}
