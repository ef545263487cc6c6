/*
 * cmd.c - messages of programs: receive, check, answer (include/tas/app_sp.h).
 *
 * Every field is hostile. A handler sees a private copy of the message and the descriptors that
 * came with it, and fills a reply; whatever descriptors it did not keep are closed here. A
 * malformed message is one of wrong size, magic, type, or with bits set where zero is meant: three
 * end the connection. What a program may not do is refused by status and counted. Owner: slow path
 * thread.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "app_internal.h"
#include "cmd.h"
#include "passed.h"

#define BATCH	      16
#define MALFORMED_MAX 3
#define CREDENTIALS   CMSG_SPACE(sizeof(struct ucred))

struct command {
	sp_cmd_fn *fn;
	uint8_t state; /* least enum sp_app_state */
	uint8_t fd_min, fd_max;
};

static const struct command commands[TAS_CMD_COUNT] = {
	[TAS_CMD_HELLO] = {sp_cmd_hello, SP_APP_NEW, 0, 0},
	[TAS_CMD_REGION] = {sp_cmd_region, SP_APP_GREETED, 0, 0},
	[TAS_CMD_SEGMENT] = {sp_cmd_segment, SP_APP_ACTIVE, 0, 0},
	[TAS_CMD_EVQ] = {sp_cmd_evq, SP_APP_ACTIVE, 0, 1},
	[TAS_CMD_BIND] = {sp_cmd_bind, SP_APP_GREETED, 1, 1},
	[TAS_CMD_LISTEN] = {sp_cmd_listen, SP_APP_GREETED, 1, 1},
	[TAS_CMD_JOIN] = {sp_cmd_join, SP_APP_GREETED, 1, 1},
	[TAS_CMD_UNLISTEN] = {sp_cmd_unlisten, SP_APP_GREETED, 0, 0},
	[TAS_CMD_REWAKE] = {sp_cmd_rewake, SP_APP_GREETED, 0, 0},
	[TAS_CMD_CONNECT] = {sp_cmd_connect, SP_APP_ACTIVE, 1, 1},
	[TAS_CMD_SETOPT] = {sp_cmd_setopt, SP_APP_GREETED, 0, 0},
	[TAS_CMD_FORK] = {sp_cmd_fork, SP_APP_GREETED, 0, 0},
	[TAS_CMD_UNFORK] = {sp_cmd_unfork, SP_APP_GREETED, 0, 0},
	[TAS_CMD_CANCEL] = {sp_cmd_cancel, SP_APP_ACTIVE, 0, 0},
	[TAS_CMD_CLAIM] = {sp_cmd_claim, SP_APP_ACTIVE, 0, 0},
	[TAS_CMD_INFO] = {sp_cmd_info, SP_APP_GREETED, 0, 0},
	[TAS_CMD_RELEASE] = {sp_cmd_release, SP_APP_GREETED, 0, 0},
	[TAS_CMD_PASS] = {sp_cmd_pass, SP_APP_GREETED, 1, 1},
	[TAS_CMD_UNPASS] = {sp_cmd_unpass, SP_APP_GREETED, 0, 0},
	[TAS_CMD_RECEIVE] = {sp_cmd_receive, SP_APP_GREETED, 1, 1},
};

/* What came with a message. */
struct arrival {
	ssize_t n;    /* as recvmsg(2) */
	int excess;   /* more bytes or descriptors than any command has */
	int fds_lost; /* no room for descriptors, or this process had no number left for one */
	int unclosed; /* those of this user do not close, and more of them must not come */
};

static int is_well_formed(const struct tas_msg *m, const struct arrival *in)
{
	if (in->n != (ssize_t)sizeof(*m) || in->excess || m->magic != TAS_CMD_MAGIC)
		return 0;
	if (m->type == 0 || m->type >= TAS_CMD_COUNT || commands[m->type].fn == NULL)
		return 0;
	return m->zero[0] == 0 && m->zero[1] == 0 && m->pad0 == 0 && m->status == 0;
}

static void take_sender(const struct cmsghdr *c, struct sp_request *rq)
{
	struct ucred cred;

	memcpy(&cred, CMSG_DATA(c), sizeof(cred));
	rq->pid = (uint32_t)cred.pid;
	rq->uid = cred.uid;
	rq->gid = cred.gid;
}

/* Takes the descriptors out of the control data; what no command takes is closed here. */
static void take_fds(struct sp *sp, struct msghdr *mh, struct sp_request *rq, struct arrival *in)
{
	struct cmsghdr *c;

	for (c = CMSG_FIRSTHDR(mh); c != NULL; c = CMSG_NXTHDR(mh, c)) {
		int count = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int)), i;

		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS)
			take_sender(c, rq);
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + (size_t)i * sizeof(int), sizeof(int));
			if (rq->nfds < SP_REQUEST_FDS) {
				rq->fds[rq->nfds++] = fd;
				continue;
			}
			in->excess = 1;
			if (sp_passed_close(sp, rq->app->uid, fd) != 0)
				in->unclosed = 1;
		}
	}
}

/* With no room for descriptors, those that come are closed by the kernel. */
static void receive(struct sp *sp, struct sp_request *rq, struct arrival *in)
{
	union {
		char buf[CMSG_SPACE(SP_PASSED_MAX * sizeof(int)) + CREDENTIALS];
		struct cmsghdr align;
	} control;
	struct iovec iov = {&rq->m, sizeof(rq->m)};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
	int room = sp_passed_room(rq->app->uid);

	mh.msg_control = control.buf;
	mh.msg_controllen =
		room ? sizeof(control.buf) : (rq->app->state == SP_APP_RESERVED ? CREDENTIALS : 0);
	sp_guard(sp); /* what is lost is closed in here */
	in->n = recvmsg(rq->app->sock, &mh, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (in->n < 0)
		return;
	in->excess = (mh.msg_flags & MSG_TRUNC) != 0;
	in->fds_lost = (mh.msg_flags & MSG_CTRUNC) != 0;
	if (in->fds_lost && !room) {
		in->unclosed = 1;
		sp->cnt.drop_passed++;
	}
	take_fds(sp, &mh, rq, in);
}

/* 0, or -errno when the program does not read its replies: it is not waited for. */
static int answer(const struct sp_app *app, const struct sp_reply *rp)
{
	union {
		char buf[CMSG_SPACE(SP_REPLY_FDS * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {(void *)(uintptr_t)&rp->m, sizeof(rp->m)};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
	size_t bytes = (size_t)rp->nfds * sizeof(int);

	memset(&control, 0, sizeof(control));
	if (rp->nfds > 0) {
		mh.msg_control = control.buf;
		mh.msg_controllen = CMSG_SPACE(bytes);
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(bytes);
		memcpy(CMSG_DATA(&control.align), rp->fds, bytes);
	}
	return sendmsg(app->sock, &mh, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static void close_own(const int *fds, int n)
{
	int i;

	for (i = 0; i < n; i++)
		close(fds[i]);
}

/* What a handler has not kept. */
static void close_passed(struct sp *sp, const struct sp_request *rq, struct arrival *in)
{
	int i;

	for (i = 0; i < rq->nfds; i++) {
		if (rq->fds[i] >= 0 && sp_passed_close(sp, rq->app->uid, rq->fds[i]) != 0)
			in->unclosed = 1;
	}
}

/* Refuses what the row of the table does not allow, else runs it. */
static int run(struct sp *sp, struct sp_request *rq, struct sp_reply *rp)
{
	const struct command *cmd = &commands[rq->m.type];

	if (rq->app->state < cmd->state || rq->nfds < cmd->fd_min || rq->nfds > cmd->fd_max) {
		return -EPROTO;
	}
	return cmd->fn(sp, rq, rp);
}

/* Why a message was refused; NULL: its status is an answer as calls have them (in use, gone, again). */
static uint64_t *reason_of(struct sp *sp, uint16_t type, int status)
{
	switch (-status) {
	case EPROTO:
	case EINVAL:
		return &sp->cnt.refuse_msg;
	case ENOBUFS:
	case EMFILE:
	case ENOMEM:
		return &sp->cnt.refuse_limit;
	case ENOTSOCK:
	case EXDEV:
	case EBADF:
		return &sp->cnt.refuse_handle;
	case EADDRNOTAVAIL:
		return &sp->cnt.refuse_addr;
	case ENOENT:
		return type == TAS_CMD_JOIN ? &sp->cnt.refuse_join : NULL;
	default:
		return NULL;
	}
}

/* What `tasctl apps` counts is what `tasctl drops` has a name for. */
static void count_refusal(struct sp *sp, struct sp_app *app, const struct tas_msg *m, int status)
{
	static struct sp_log_limit limit;
	uint64_t *reason = status < 0 ? reason_of(sp, m->type, status) : NULL;

	if (reason == NULL)
		return;
	++*reason;
	app->refused++;
	if (reason == &sp->cnt.refuse_join && sp_log_allow(&limit, sp->now_ns))
		sp_warn("app",
			"a listener that is not known here: the program is older than this service "
			"or its listener was closed, restart it pid=%u comm=%s",
			app->pid, app->comm);
	sp_debug("app", "message refused type=%u error=\"%s\" pid=%u comm=%s", m->type,
		strerror(-status), app->pid, app->comm);
}

/* The status of a message: what its handler says, unless it is malformed. */
static int judge(
	struct sp *sp, struct sp_request *rq, const struct arrival *in, struct sp_reply *rp)
{
	int status;

	if (!is_well_formed(&rq->m, in)) {
		sp->cnt.refuse_msg++;
		rq->app->refused++;
		rq->app->malformed++;
		return -EPROTO;
	}
	rp->m.type = rq->m.type;
	rp->m.seq = rq->m.seq;
	status = in->fds_lost ? -ENOBUFS : run(sp, rq, rp);
	count_refusal(sp, rq->app, &rq->m, status);
	return status;
}

/* One message. 1 = go on, 0 = nothing there, or the program has left. */
static int one(struct sp *sp, struct sp_app *app)
{
	struct sp_request rq = {.app = app};
	struct sp_reply rp = {.nfds = 0};
	struct arrival in = {.n = 0};
	int err;

	receive(sp, &rq, &in);
	if (in.n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (in.n <= 0) { /* an empty message is no message, but may carry descriptors */
		close_passed(sp, &rq, &in);
		sp_app_leave(sp, app, sp_app_parting(app));
		return 0;
	}
	rp.m.magic = TAS_CMD_MAGIC;
	rp.m.abi_major = TAS_ABI_MAJOR;
	rp.m.status = judge(sp, &rq, &in, &rp);
	app = rq.app; /* HELLO with a token goes on as the reserved record */
	close_passed(sp, &rq, &in);
	if (app->state == SP_APP_DYING)
		err = -EPIPE;
	else
		err = answer(app, &rp);
	close_own(rp.fds, rp.own);
	if (err != 0)
		sp_app_leave(sp, app, "does not read its replies");
	else if (app->malformed >= MALFORMED_MAX)
		sp_app_leave(sp, app, "malformed messages");
	else if (in.unclosed)
		sp_app_leave(sp, app, "passed descriptors that do not close");
	else
		return 1;
	return 0;
}

void sp_cmd_input(struct sp *sp, struct sp_app *app)
{
	uint32_t id = app->id;
	int i;

	for (i = 0; i < BATCH; i++) {
		if (!one(sp, app) || sp_app_get(sp, id) != app)
			return;
	}
}
