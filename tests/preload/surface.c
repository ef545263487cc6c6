/*
 * surface.c - options, requests and flags whose answer is the same on every socket, and the names under which fortified
 * programs call.
 */
#include "peers.h"
#include <linux/close_range.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio_ext.h>

#ifndef TCP_ULP
#define TCP_ULP 31
#endif

ssize_t __read_chk(int fd, void *buf, size_t n, size_t room);
ssize_t __recv_chk(int fd, void *buf, size_t n, size_t room, int flags);
ssize_t __recvfrom_chk(int fd, void *restrict buf, size_t n, size_t room, int flags,
	struct sockaddr *restrict sa, socklen_t *restrict len);
int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t room);
int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask,
	size_t room);
int __dprintf_chk(int fd, int flag, const char *fmt, ...);
int __vdprintf_chk(int fd, int flag, const char *fmt, va_list ap);

#define ROW(level, name)                                                                           \
	{                                                                                          \
		level, name, #name                                                                 \
	}

static const struct {
	int level, name;
	const char *text;
} kept[] = {ROW(SOL_SOCKET, SO_DEBUG), ROW(SOL_SOCKET, SO_BROADCAST), ROW(SOL_SOCKET, SO_NO_CHECK),
	ROW(SOL_SOCKET, SO_PASSCRED), ROW(SOL_SOCKET, SO_SNDLOWAT), ROW(SOL_SOCKET, SO_TYPE),
	ROW(SOL_SOCKET, SO_PROTOCOL), ROW(SOL_SOCKET, SO_DOMAIN), ROW(SOL_SOCKET, SO_KEEPALIVE),
	ROW(SOL_SOCKET, SO_REUSEADDR), ROW(IPPROTO_TCP, TCP_KEEPINTVL),
	ROW(IPPROTO_TCP, TCP_KEEPCNT), ROW(IPPROTO_TCP, TCP_USER_TIMEOUT), ROW(IPPROTO_IP, IP_TOS),
	ROW(IPPROTO_IP, IP_FREEBIND), ROW(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT)};

static void set_and_get(const char *what, int fd)
{
	size_t i;

	for (i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		int v = 1, r = setsockopt(fd, kept[i].level, kept[i].name, &v, sizeof(v));
		socklen_t len = sizeof(v);

		out("%s %s set %d %s", what, kept[i].text, r, r != 0 ? strerrorname_np(errno) : "");
		v = -7;
		r = getsockopt(fd, kept[i].level, kept[i].name, &v, &len);
		out("%s %s get %d %s: %d, length %u", what, kept[i].text, r,
			r != 0 ? strerrorname_np(errno) : "", v, len);
	}
}

static void test_options_kept(void)
{
	int l = listen_here(0, 4), fd = accept(l, NULL, NULL), s = socket(AF_INET, SOCK_STREAM, 0);

	set_and_get("connection", fd);
	set_and_get("listener", l);
	set_and_get("socket", s);
	close(s);
	close(fd);
	close(l);
	tell(0);
}

/* Forced sizes are beyond the limits of the others, and doubled. */
static void test_forced_buffers(void)
{
	int fd = accepted(), v = 50000, i;
	socklen_t len = sizeof(v);

	for (i = 0; i < 2; i++) {
		result("set", setsockopt(fd, SOL_SOCKET, i == 0 ? SO_SNDBUFFORCE : SO_RCVBUFFORCE,
				      &v, sizeof(v)));
		CHECK(getsockopt(fd, SOL_SOCKET, i == 0 ? SO_SNDBUF : SO_RCVBUF, &v, &len) == 0);
		out("size %d", v);
		v = 50000;
	}
	close(fd);
	tell(0);
}

/* Values that are this socket's own are there, stay, and are nobody else's. */
static void test_cookies(void)
{
	uint64_t a = 0, b = 0, again = 0;
	int l = listen_here(0, 4), fd = accept(l, NULL, NULL);
	socklen_t len = sizeof(a);

	result("cookie", getsockopt(l, SOL_SOCKET, SO_COOKIE, &a, &len));
	result("cookie", getsockopt(fd, SOL_SOCKET, SO_COOKIE, &b, &len));
	result("cookie", getsockopt(fd, SOL_SOCKET, SO_COOKIE, &again, &len));
	out("there %d, same %d, different %d, length %u", a != 0 && b != 0, b == again, a != b,
		len);
	result("namespace", getsockopt(l, SOL_SOCKET, SO_NETNS_COOKIE, &a, &len));
	result("namespace", getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &b, &len));
	out("same %d", a == b);
	close(fd);
	close(l);
	tell(0);
}

/* A stream of TCP has no credentials of its peer: nobody. */
static void test_peer_credentials(void)
{
	struct ucred c = {1, 1, 1};
	int fd = accepted();
	socklen_t len = sizeof(c);

	result("get", getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &len));
	out("pid %d uid %d gid %d", c.pid, (int)c.uid, (int)c.gid);
	close(fd);
	tell(0);
}

static void test_ulp(void)
{
	char name[16] = "";
	int fd = accepted();
	socklen_t len = sizeof(name);

	result("nonsense", setsockopt(fd, IPPROTO_TCP, TCP_ULP, "nonsense", 9));
	result("get", getsockopt(fd, IPPROTO_TCP, TCP_ULP, name, &len));
	out("length %u", len);
	close(fd);
	tell(0);
}

static void test_fcntl_requests(void)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd = accepted();

	result("owner", fcntl(fd, F_GETOWN));
	result("lock", fcntl(fd, F_SETLK, &lock));
	result("pipe", fcntl(fd, F_GETPIPE_SZ));
	result("nonsense", fcntl(fd, 9999, 0));
	result("fcntl64", fcntl64(fd, F_GETFD));
	close(fd);
	tell(0);
}

static void test_ioctl_requests(void)
{
	struct ifreq lo = {.ifr_name = "lo"};
	struct ifconf all = {.ifc_len = 0};
	int fd = accepted(), v = -1;

	result("FIOCLEX", ioctl(fd, FIOCLEX));
	result("F_GETFD", fcntl(fd, F_GETFD));
	result("FIONCLEX", ioctl(fd, FIONCLEX));
	result("F_GETFD", fcntl(fd, F_GETFD));
	result("FIOGETOWN", ioctl(fd, FIOGETOWN, &v));
	out("owner %d", v);
	result("SIOCGIFINDEX", ioctl(fd, SIOCGIFINDEX, &lo));
	out("index %d", lo.ifr_ifindex);
	result("SIOCGIFCONF", ioctl(fd, SIOCGIFCONF, &all));
	result("nonsense", ioctl(fd, 0x12345678, &v));
	result("TIOCGWINSZ", ioctl(fd, TIOCGWINSZ, &v));
	close(fd);
	tell(0);
}

/* Flags that mean nothing on a stream, and those of several messages. */
static void test_flags(void)
{
	char a[4] = "", b[4] = "";
	struct iovec v[2] = {{a, 4}, {b, 4}};
	struct mmsghdr m[2] = {{.msg_hdr = {.msg_iov = &v[0], .msg_iovlen = 1}},
		{.msg_hdr = {.msg_iov = &v[1], .msg_iovlen = 1}}};
	int fd = accepted(), s;

	result("confirm", send(fd, "x", 1, MSG_CONFIRM));
	tell(4);
	await_bytes(fd, 4);
	result("for one", recvmmsg(fd, m, 2, MSG_WAITFORONE, NULL));
	out("first %u %.4s", m[0].msg_len, a);
	tell(4);
	result("cloexec", recvmsg(fd, &m[1].msg_hdr, MSG_CMSG_CLOEXEC | MSG_WAITALL));
	out("flags %#x", (unsigned)m[1].msg_hdr.msg_flags);
	tell(0);
	close(fd);
	s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	result("F_GETFD", fcntl(s, F_GETFD));
	close(s);
}

static void peer_words(void)
{
	int fd = connect_there();

	while (hear() == 4)
		say_to(fd, "word");
	close(fd);
}

/* Bits of poll() and epoll that say the same twice, or nothing here. */
static void test_other_events(void)
{
	static const struct {
		unsigned ask;
		const char *name;
	} bit[] = {{POLLRDNORM, "RDNORM"}, {POLLWRNORM, "WRNORM"}, {POLLRDBAND, "RDBAND"},
		{POLLWRBAND, "WRBAND"}, {POLLERR, "ERR"}, {POLLHUP, "HUP"}};
	int fd = accepted(), ep = epoll_create(1);
	struct epoll_event ev = {.events = EPOLLWAKEUP};
	struct pollfd p;
	size_t i;
	int n;

	result("add", epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	tell(4);
	await_bytes(fd, 4);
	for (i = 0; i < sizeof(bit) / sizeof(bit[0]); i++) {
		p = (struct pollfd){.fd = fd, .events = (short)bit[i].ask};
		result(bit[i].name, poll(&p, 1, 0));
		out("%s %#x", bit[i].name, (unsigned)p.revents);
		ev.events = bit[i].ask;
		CHECK(epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev) == 0);
		ev.events = 0;
		n = epoll_pwait2(ep, &ev, 1, &(struct timespec){0, 0}, NULL);
		out("%s %d %#x", bit[i].name, n, n > 0 ? ev.events : 0);
	}
	tell(0);
	close(ep);
	close(fd);
}

static int print_to(int fd, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = __vdprintf_chk(fd, 1, fmt, ap);
	va_end(ap);
	return n;
}

/* What a program that was built with _FORTIFY_SOURCE calls. */
static void test_fortified(void)
{
	int fd = accepted();
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct sockaddr_in sa;
	socklen_t len = sizeof(sa);
	char buf[8] = "";

	tell(4);
	result("poll", __poll_chk(&p, 1, -1, sizeof(p)));
	result("read", __read_chk(fd, buf, 4, sizeof(buf)));
	tell(4);
	p.revents = 0;
	result("ppoll", __ppoll_chk(&p, 1, NULL, NULL, sizeof(p)));
	result("recv", __recv_chk(fd, buf, 2, sizeof(buf), MSG_WAITALL));
	result("recvfrom",
		__recvfrom_chk(fd, buf, 2, sizeof(buf), 0, (struct sockaddr *)&sa, &len));
	out("%.4s, length %u", buf, len);
	result("dprintf", __dprintf_chk(fd, 1, "%s %d", "number", 5));
	result("vdprintf", print_to(fd, "%s %.1f", "real", 1.5));
	tell(0);
	close(fd);
}

/* Of several descriptors at once: the connection below them stays. */
static void test_close_several(void)
{
	int fd = accepted(), to = 100, status;
	pid_t pid;

	CHECK(dup2(fd, to) == to && dup2(fd, to + 1) == to + 1);
	pid = fork();
	if (pid == 0) {
		result("unshare", close_range((unsigned)to, ~0u, CLOSE_RANGE_UNSHARE));
		result("closed", fcntl(to + 1, F_GETFD));
		result("send", send(fd, "x", 1, MSG_NOSIGNAL));
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	out("child %#x", (unsigned)status);
	closefrom(to);
	result("closed", send(to, "x", 1, MSG_NOSIGNAL));
	result("closed", send(to + 1, "x", 1, MSG_NOSIGNAL));
	result("send", send(fd, "x", 1, MSG_NOSIGNAL));
	tell(0);
	close(fd);
}

/* A stream that becomes another file lets go of its connection. */
static void test_reopen(void)
{
	int fd = accepted();
	FILE *f = fdopen(dup(fd), "w");

	CHECK(f != NULL);
	fputs("word", f);
	f = freopen64("/dev/null", "w", f);
	out("reopened %d", f != NULL);
	fputs("nowhere", f);
	fclose(f);
	result("send", send(fd, "x", 1, MSG_NOSIGNAL));
	tell(0);
	close(fd);
}

static const struct tcase cases[] = {
	{"options_kept", test_options_kept, peer_wait},
	{"forced_buffers", test_forced_buffers, peer_wait},
	{"cookies", test_cookies, peer_wait},
	{"peer_credentials", test_peer_credentials, peer_wait},
	{"ulp", test_ulp, peer_wait},
	{"fcntl_requests", test_fcntl_requests, peer_wait},
	{"ioctl_requests", test_ioctl_requests, peer_wait},
	{"flags", test_flags, peer_words},
	{"other_events", test_other_events, peer_words},
	{"fortified", test_fortified, peer_words},
	{"close_several", test_close_several, peer_wait},
	{"reopen", test_reopen, peer_wait},
};

int main(int argc, char **argv)
{
	return RUN(argc, argv, cases);
}
