/*
 * rights.c - sendmsg and recvmsg with control data on descriptors that are not ours: SCM_RIGHTS
 * passes descriptors, and some may be (pass.c, received.c).
 *
 * What cannot go to another process fails here, at the sender, with EINVAL, as Linux answers for what it does
 * not pass (io_uring's). That is also so when the receiver is known and has no libtas: it would
 * get a dead socket. Of the other end of a socket the kernel knows who connected it; of a pair it
 * knows nothing. Owner: any thread. cmsg(3), unix(7), proc(5).
 */
#include "lt.h"

#define FDS_MAX	 253u  /* SCM_MAX_FD */
#define MSGS_MAX 1024u /* UIO_MAXIOV, as sendmmsg(2) cuts */

struct rights {
	int fds[FDS_MAX];
	uint32_t n;
};

/* ---- the descriptors in a message ---- */

/* As the kernel reads it: CMSG_NXTHDR of libc looks further. */
static void gather(const struct msghdr *m, struct rights *r)
{
	struct msghdr h = *m;
	struct cmsghdr *c;
	size_t i, n;

	r->n = 0;
	if ((uintptr_t)h.msg_control - 4096u >= LT_USER_TOP - 4096u)
		return;
	for (c = CMSG_FIRSTHDR(&h); c != NULL && c->cmsg_len >= sizeof(*c);
		c = CMSG_NXTHDR(&h, c)) {
		if (c->cmsg_len > h.msg_controllen - (size_t)((char *)c - (char *)h.msg_control))
			return;
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < n && r->n < FDS_MAX; i++)
			memcpy(&r->fds[r->n++], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
	}
}

/* Does an earlier one of the message name the same description? */
static bool is_second(const struct rights *r, uint32_t at, const struct lt_desc *d)
{
	uint32_t i;

	for (i = 0; i < at; i++)
		if (lt_fd_get(r->fds[i]) == d)
			return true;
	return false;
}

bool lt_any_control(const struct mmsghdr *m, unsigned n)
{
	unsigned i;

	if ((uintptr_t)m - 4096u >= LT_USER_TOP - 4096u)
		return false;
	for (i = 0; i < n && i < MSGS_MAX; i++)
		if (m[i].msg_hdr.msg_controllen != 0)
			return true;
	return false;
}

/* ---- who receives ---- */

/* In the text of /proc/PID/maps, which is read in pieces. */
static bool maps_libtas(int fd, bool *empty)
{
	static const char name[] = "/libtas.so";
	char buf[4096 + sizeof(name)];
	size_t kept = 0;
	long n;

	*empty = true;
	while ((n = lt_sys3(SYS_read, fd, buf + kept, 4096)) > 0) {
		*empty = false;
		kept += (size_t)n;
		if (memmem(buf, kept, name, sizeof(name) - 1) != NULL)
			return true;
		n = kept < sizeof(name) ? (long)kept : (long)sizeof(name);
		memmove(buf, buf + kept - (size_t)n, (size_t)n);
		kept = (size_t)n;
	}
	return false;
}

static void maps_path(uint32_t pid, char path[32])
{
	char digits[12];
	int n = 0, at = 6;

	memcpy(path, "/proc/", 6);
	do
		digits[n++] = (char)('0' + pid % 10);
	while ((pid /= 10) != 0);
	while (n > 0)
		path[at++] = digits[--n];
	memcpy(path + at, "/maps", 6);
}

/* Only when it is known: another process, whose mappings we may read. */
static bool peer_lacks_libtas(int sock)
{
	struct ucred peer = {.pid = 0};
	unsigned len = sizeof(peer);
	char path[32];
	bool has, empty;
	long fd;

	if (lt_sys_getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || peer.pid <= 0 ||
		(uint32_t)peer.pid == lt_pid)
		return false;
	maps_path((uint32_t)peer.pid, path);
	fd = lt_sys4(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return false;
	has = maps_libtas((int)fd, &empty);
	lt_sys_close((int)fd);
	return !has && !empty;
}

static bool is_unix(int sock)
{
	int domain = -1;
	unsigned len = sizeof(domain);

	return lt_sys_getsockopt(sock, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
	       domain == AF_UNIX;
}

/* ---- sending ---- */

static void take_back(struct lt_desc *const *told, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		lt_unpass(told[i]);
}

/* Ours, and not a number that was closed behind our back and is something else now. */
static struct lt_desc *ours(int fd)
{
	struct lt_desc *d = lt_fd_get(fd);

	if (d == NULL || d->kind == LT_EPOLL || d->cookie == 0 || d->cookie == lt_cookie(fd))
		return d;
	lt_fd_drop(fd);
	return NULL;
}

/* 1: told of *told, 0: nothing to tell, or -errno. */
static int announce_one(
	int sock, const struct rights *r, uint32_t i, bool *checked, struct lt_desc **told)
{
	struct lt_desc *d = ours(r->fds[i]);

	if (lt_hidden(r->fds[i]))
		return -EBADF;
	if (d == NULL || is_second(r, i, d))
		return 0;
	*told = d; /* the number may be closed meanwhile */
	if (!*checked && peer_lacks_libtas(sock)) {
		lt_explain(TAS_X_refuse_pass);
		return -EINVAL;
	}
	*checked = true;
	return lt_pass(d, r->fds[i]);
}

/* How many were told of, or -errno: nothing of the message goes. */
static int announce(int sock, const struct rights *r, struct lt_desc **told)
{
	bool checked = false;
	uint32_t i, n = 0;
	int err = 0;

	for (i = 0; i < r->n && err >= 0; i++) {
		err = announce_one(sock, r, i, &checked, &told[n]);
		if (err > 0)
			n++;
	}
	if (err >= 0)
		return (int)n;
	take_back(told, n);
	return err;
}

/* Of one message; the call's result, and errno. */
ssize_t lt_rights_sendmsg(int fd, const struct msghdr *m, int flags)
{
	struct lt_desc *told[FDS_MAX];
	struct rights r;
	ssize_t done;
	int n, err;

	r.n = 0;
	if (tas_load(&lt_ntab) != 0)
		gather(m, &r);
	if (r.n == 0 || !is_unix(fd))
		return lt_real.sendmsg(fd, m, flags);
	n = announce(fd, &r, told);
	if (n < 0)
		return lt_ret(n);
	done = lt_real.sendmsg(fd, m, flags);
	if (done < 0 && n > 0) {
		err = errno;
		take_back(told, (uint32_t)n);
		errno = err;
	}
	return done;
}

/* One message after the other, as the kernel does it too. */
int lt_rights_sendmmsg(int fd, struct mmsghdr *m, unsigned n, int flags)
{
	unsigned i;
	ssize_t r;

	if (tas_load(&lt_ntab) == 0)
		return lt_real.sendmmsg(fd, m, n, flags);
	for (i = 0; i < n && i < MSGS_MAX; i++) {
		r = lt_has_control(&m[i].msg_hdr) ? lt_rights_sendmsg(fd, &m[i].msg_hdr, flags)
						  : lt_real.sendmsg(fd, &m[i].msg_hdr, flags);
		if (r < 0)
			return i != 0 ? (int)i : -1;
		m[i].msg_len = (unsigned)r;
	}
	return (int)i;
}

/* ---- receiving ---- */

/* What a message has twice was announced once. */
static bool came_before(const struct rights *r, uint32_t at)
{
	const struct lt_desc *d;
	uint64_t cookie = 0;
	uint32_t i;

	for (i = 0; i < at; i++) {
		d = lt_fd_get(r->fds[i]);
		if (d == NULL || d->kind == LT_EPOLL)
			continue;
		if (cookie == 0)
			cookie = lt_cookie(r->fds[at]);
		if (cookie != 0 && d->cookie == cookie)
			return true;
	}
	return false;
}

static void arrived(const struct msghdr *m, int flags)
{
	struct rights r;
	uint32_t i;

	if (m->msg_controllen == 0)
		return;
	gather(m, &r);
	for (i = 0; i < r.n; i++) /* all of them first: what was ours goes */
		lt_fd_new(r.fds[i]);
	for (i = 0; i < r.n; i++)
		lt_received(r.fds[i], (flags & MSG_PEEK) || came_before(&r, i) ? TAS_PASS_MORE : 0);
}

ssize_t lt_rights_recvmsg(int fd, struct msghdr *m, int flags)
{
	ssize_t r = lt_real.recvmsg(fd, m, flags);
	int saved = errno;

	if (r >= 0)
		arrived(m, flags);
	errno = saved;
	return r;
}

int lt_rights_recvmmsg(int fd, struct mmsghdr *m, unsigned n, int flags, struct timespec *timeout)
{
	int r = lt_real.recvmmsg(fd, m, n, flags, timeout), saved = errno, i;

	for (i = 0; i < r; i++)
		arrived(&m[i].msg_hdr, flags);
	errno = saved;
	return r;
}
