/*
 * register.c - the registration socket: who connects, who is let in, whose descriptors are watched.
 * Owner: slow path thread. unix(7) SO_PEERCRED, SO_PEERPIDFD; pidfd_open(2).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "app_internal.h"
#include "door.h"
#include "passed.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

#define ACCEPT_BATCH 16

/* ---- connections ---- */

static void on_message(struct sp *sp, struct sp_source *src, uint32_t events)
{
	(void)events;
	sp_cmd_input(sp, src->arg);
}

int sp_app_ended(const struct sp_app *app)
{
	struct pollfd p = {.fd = app->pidfd, .events = POLLIN};

	return app->pidfd < 0 || poll(&p, 1, 0) > 0;
}

const char *sp_app_parting(const struct sp_app *app)
{
	return sp_app_ended(app) ? "ended" : "closed its connection";
}

int sp_app_hung_up(const struct sp_app *app)
{
	struct pollfd p[] = {{.fd = app->pidfd, .events = POLLIN}, {.fd = app->sock}};

	if (poll(p, 2, 0) <= 0)
		return 0;
	return p[0].revents != 0 || (p[1].revents & (POLLHUP | POLLERR)) != 0;
}

static void on_end(struct sp *sp, struct sp_source *src, uint32_t events)
{
	(void)events;
	sp_app_leave(sp, src->arg, "ended");
}

static void read_comm(struct sp_app *app)
{
	char path[40];
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof(path), "/proc/%u/comm", app->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, app->comm, sizeof(app->comm) - 1);
		close(fd);
	}
	app->comm[n > 0 ? n : 0] = '\0';
	app->comm[strcspn(app->comm, "\n")] = '\0';
	for (n = 0; app->comm[n] != '\0'; n++) { /* chosen by the program: keep log lines whole */
		if (app->comm[n] <= ' ' || app->comm[n] > '~')
			app->comm[n] = '?';
	}
}

static int peer_of(int sock, struct sp_peer *peer)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0)
		return -errno;
	peer->pid = (uint32_t)cred.pid;
	peer->uid = cred.uid;
	peer->gid = cred.gid;
	peer->sock = sock;
	return 0;
}

/* Linux 6.5 has a race-free way; before, the process may be gone already and then the open fails or
 * misses. */
static int peer_pidfd(int sock, uint32_t pid)
{
	int fd = -1;
	socklen_t len = sizeof(fd);

	if (getsockopt(sock, SOL_SOCKET, SO_PEERPIDFD, &fd, &len) == 0)
		return fd;
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	return fd >= 0 ? fd : -errno;
}

static int watch(struct sp *sp, struct sp_app *app)
{
	int err = sp_loop_add(sp, &app->sock_src, app->sock, EPOLLIN, on_message, app);

	if (err == 0)
		err = sp_loop_add(sp, &app->pid_src, app->pidfd, EPOLLIN, on_end, app);
	return err;
}

int sp_app_attach(struct sp *sp, struct sp_app *app, int sock)
{
	struct sp_peer peer;
	int err = peer_of(sock, &peer);

	if (err != 0)
		return err;
	app->pid = peer.pid;
	app->uid = peer.uid;
	app->gid = peer.gid;
	app->pidfd = peer_pidfd(sock, peer.pid);
	if (app->pidfd < 0)
		return app->pidfd;
	app->sock = sock;
	read_comm(app);
	err = watch(sp, app);
	if (err != 0)
		app->sock = -1; /* the caller's still */
	return err;
}

int sp_app_adopt(struct sp *sp, struct sp_app *from, struct sp_app *to)
{
	int err;

	sp_loop_del(sp, &from->sock_src);
	sp_loop_del(sp, &from->pid_src);
	to->sock = from->sock;
	to->pidfd = from->pidfd;
	to->pid = from->pid;
	to->uid = from->uid;
	to->gid = from->gid;
	memcpy(to->comm, from->comm, sizeof(to->comm));
	to->token[0] = to->token[1] = 0;
	from->sock = from->pidfd = -1;
	sp_app_free(sp, from);
	to->joined_ns = sp->now_ns;
	err = watch(sp, to);
	if (err != 0)
		to->expires_ns = sp->now_ns; /* stays reserved, for the next tick to free */
	return err;
}

int sp_app_pair(struct sp *sp, struct sp_app *child)
{
	int pair[2], one = 1, err = 0;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return -errno;
	/* The peer's credentials are here this process's own: each message is to bring its sender's. */
	if (setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)) != 0)
		err = -errno;
	if (err == 0)
		err = sp_loop_add(sp, &child->sock_src, pair[0], EPOLLIN, on_message, child);
	if (err != 0) {
		close(pair[0]);
		close(pair[1]);
		return err;
	}
	child->sock = pair[0];
	return pair[1];
}

int sp_app_meet(struct sp *sp, struct sp_app *child, uint32_t pid, uint32_t uid, uint32_t gid)
{
	int zero = 0, err;

	if (!sp_passed_room(uid))
		return -ENOBUFS;
	child->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (child->pidfd < 0) /* gone already: the connection says so as well */
		return -errno;
	err = sp_loop_add(sp, &child->pid_src, child->pidfd, EPOLLIN, on_end, child);
	if (err != 0)
		return err;
	setsockopt(child->sock, SOL_SOCKET, SO_PASSCRED, &zero, sizeof(zero));
	child->pid = pid;
	child->uid = uid;
	child->gid = gid;
	child->token[0] = child->token[1] = 0;
	child->joined_ns = sp->now_ns;
	read_comm(child);
	return 0;
}

static void report_refusal(struct sp *sp, const struct sp_app *who, const char *reason)
{
	static struct sp_log_limit limit;

	sp->cnt.refuse_peer++;
	if (sp_log_allow(&limit, sp->now_ns))
		sp_warn("app", "program refused pid=%u uid=%u comm=%s reason=%s", who->pid,
			who->uid, who->comm, reason);
}

void sp_app_refused(struct sp *sp, const struct sp_app *app)
{
	report_refusal(sp, app, app->only_child);
}

static void refuse(struct sp *sp, int sock, const char *reason)
{
	struct sp_app who = {.pid = 0};
	struct sp_peer peer = {.pid = 0};

	sp_guard(sp);
	if (peer_of(sock, &peer) == 0) {
		who.pid = peer.pid;
		who.uid = peer.uid;
		read_comm(&who);
	}
	report_refusal(sp, &who, reason);
	close(sock);
}

static void greet(struct sp *sp, int sock)
{
	struct sp_peer peer;
	const char *reason, *only_child;
	struct sp_app *app;

	if (peer_of(sock, &peer) != 0) {
		close(sock);
		return;
	}
	reason = sp_policy_refuses(sp, &peer, &only_child);
	if (reason != NULL) {
		refuse(sp, sock, reason);
		return;
	}
	app = sp_app_new(sp);
	if (app == NULL) {
		refuse(sp, sock, "no record is free");
		return;
	}
	app->only_child = only_child;
	if (sp_app_attach(sp, app, sock) != 0) {
		refuse(sp, sock, "cannot be watched");
		sp_app_free(sp, app);
	}
}

static void on_connect(struct sp *sp, struct sp_source *src, uint32_t events)
{
	int i;

	(void)events;
	for (i = 0; i < ACCEPT_BATCH; i++) {
		int sock = accept4(src->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (sock >= 0) {
			greet(sp, sock);
			continue;
		}
		if (sp_door_must_rest(errno))
			sp_loop_rest(sp, src);
		return;
	}
}

/* ---- the socket ---- */

int sp_apps_init(struct sp *sp)
{
	int fd;

	sp->apps.max = sp->conf.max_programs;
	sp->apps.listen_fd = -1;
	sp->apps.listen_src.fd = -1;
	fd = sp_door_open(sp, sp->conf.socket, 512);
	if (fd < 0) {
		sp_error("app", "cannot open the registration socket path=%s error=\"%s\"",
			sp->conf.socket, sp_door_error(fd));
		return fd;
	}
	sp->apps.listen_fd = fd;
	return sp_loop_add(sp, &sp->apps.listen_src, fd, EPOLLIN, on_connect, NULL);
}

void sp_apps_close(struct sp *sp)
{
	if (sp->apps.listen_fd < 0)
		return;
	sp_loop_del(sp, &sp->apps.listen_src);
	sp_door_close(sp->conf.socket, sp->apps.listen_fd);
	sp->apps.listen_fd = -1;
}
