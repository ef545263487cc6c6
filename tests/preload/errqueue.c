/*
 * errqueue.c - the error queue: completions of sends with MSG_ZEROCOPY; and control data of sendmsg()
 * and recvmsg() on a connection.
 */
#include "peers.h"
#include <linux/errqueue.h>

static int zerocopy(int fd, int on)
{
	return setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on));
}

/* The peer reads all: only then is a send of the kernel's complete. */
static void peer_drain(void)
{
	int fd = connect_there();
	static char buf[65536];

	while (recv(fd, buf, sizeof(buf), 0) > 0)
		;
	close(fd);
}

static void show_range(const struct msghdr *m)
{
	const struct cmsghdr *c = CMSG_FIRSTHDR(m);
	struct sock_extended_err ee;

	if (c == NULL) {
		out("no control data");
		return;
	}
	memcpy(&ee, CMSG_DATA(c), sizeof(ee));
	out("level %d type %d length %zu errno %u origin %u type %u code %u: %u to %u",
		c->cmsg_level, c->cmsg_type, (size_t)c->cmsg_len, ee.ee_errno, ee.ee_origin,
		ee.ee_type, ee.ee_code, ee.ee_info, ee.ee_data);
}

static void complete(int fd)
{
	struct pollfd p = {.fd = fd};

	while (!(p.revents & POLLERR))
		CHECK(poll(&p, 1, HANG_S * 1000) == 1);
}

static void read_queue(int fd, size_t room)
{
	char buf[200], name[64];
	struct msghdr m = {.msg_control = room != 0 ? buf : NULL,
		.msg_controllen = room,
		.msg_name = name,
		.msg_namelen = sizeof(name)};

	result("recvmsg", recvmsg(fd, &m, MSG_ERRQUEUE));
	out("flags %#x, control %zu, name %u", (unsigned)m.msg_flags, (size_t)m.msg_controllen,
		m.msg_namelen);
	if (room >= CMSG_LEN(sizeof(struct sock_extended_err)))
		show_range(&m);
}

/* All that is complete up to send number `last`, in as many messages as it takes. */
static unsigned read_to(int fd, unsigned from, unsigned last)
{
	char buf[200];
	struct msghdr m;
	struct sock_extended_err ee;

	while (from <= last) {
		complete(fd);
		m = (struct msghdr){.msg_control = buf, .msg_controllen = sizeof(buf)};
		CHECK(recvmsg(fd, &m, MSG_ERRQUEUE) == 0);
		memcpy(&ee, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(ee));
		CHECK(ee.ee_info == from && ee.ee_data >= from);
		from = ee.ee_data + 1;
	}
	return from;
}

static void test_one(void)
{
	int fd = accepted();
	char c;

	result("empty", recv(fd, &c, 1, MSG_ERRQUEUE));
	result("on", zerocopy(fd, 1));
	result("send", send(fd, "x", 1, MSG_ZEROCOPY));
	complete(fd);
	read_queue(fd, 200);
	result("empty", recv(fd, &c, 1, MSG_ERRQUEUE));
	out("events %s", bits((unsigned)await(fd, POLLOUT)));
	close(fd);
}

static void test_many(void)
{
	static char buf[3000];
	int fd = accepted(), i;
	unsigned next;

	CHECK(zerocopy(fd, 1) == 0);
	for (i = 0; i < 10; i++)
		CHECK(send(fd, buf, sizeof(buf), MSG_ZEROCOPY) == sizeof(buf));
	next = read_to(fd, 0, 9);
	out("%u sends are complete", next);
	CHECK(send(fd, "plain", 5, 0) == 5);
	CHECK(send(fd, "", 0, MSG_ZEROCOPY) == 0);
	CHECK(send(fd, "x", 1, MSG_ZEROCOPY) == 1);
	out("and %u", read_to(fd, next, next) - next);
	close(fd);
}

static void test_without(void)
{
	int fd = accepted(), v = -1;
	socklen_t len = sizeof(v);
	char c;

	CHECK(getsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &v, &len) == 0);
	out("off %d", v);
	result("send", send(fd, "x", 1, MSG_ZEROCOPY));
	usleep(50000);
	result("nothing", recv(fd, &c, 1, MSG_ERRQUEUE));
	result("wrong", zerocopy(fd, 2));
	result("on", zerocopy(fd, 1));
	CHECK(getsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &v, &len) == 0);
	out("on %d", v);
	result("off", zerocopy(fd, 0));
	result("send", send(fd, "x", 1, MSG_ZEROCOPY));
	usleep(50000);
	result("nothing", recv(fd, &c, 1, MSG_ERRQUEUE));
	close(fd);
}

static void test_room(void)
{
	static const size_t room[] = {0, 8, 16, 20, 47, 48};
	int fd = accepted();
	size_t i;

	CHECK(zerocopy(fd, 1) == 0);
	for (i = 0; i < sizeof(room) / sizeof(room[0]); i++) {
		CHECK(send(fd, "x", 1, MSG_ZEROCOPY) == 1);
		complete(fd);
		read_queue(fd, room[i]);
	}
	close(fd);
}

static void test_failed(void)
{
	int fd = accepted();

	CHECK(zerocopy(fd, 1) == 0);
	CHECK(send(fd, "x", 1, MSG_ZEROCOPY) == 1);
	complete(fd);
	shutdown(fd, SHUT_WR);
	result("shut", send(fd, "x", 1, MSG_ZEROCOPY | MSG_NOSIGNAL));
	read_queue(fd, 200);
	close(fd);
}

/* An accepted connection has its listener's setting, and numbers of its own. */
static void test_inherited(void)
{
	int l = listen_untold(0, 16), fd;

	CHECK(zerocopy(l, 1) == 0); /* before anybody connects */
	tell(port_of(l));
	fd = accept(l, NULL, NULL);
	CHECK(fd >= 0);
	CHECK(send(fd, "x", 1, MSG_ZEROCOPY) == 1);
	complete(fd);
	read_queue(fd, 200);
	close(fd);
	close(l);
}

static void test_epoll(void)
{
	struct epoll_event ev = {.events = EPOLLET};
	int fd = accepted(), ep = epoll_create1(0);
	char c;

	CHECK(zerocopy(fd, 1) == 0);
	CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0);
	CHECK(send(fd, "x", 1, MSG_ZEROCOPY) == 1);
	result("complete", epoll_wait(ep, &ev, 1, HANG_S * 1000));
	out("%s", bits(ev.events));
	CHECK(recv(fd, &c, 1, MSG_ERRQUEUE) == 0);
	result("read", epoll_wait(ep, &ev, 1, 50));
	CHECK(send(fd, "x", 1, MSG_ZEROCOPY) == 1);
	result("again", epoll_wait(ep, &ev, 1, HANG_S * 1000));
	out("%s", bits(ev.events));
	close(ep);
	close(fd);
}

/* What send says that is no error of the connection's. */
static void show_control(const char *label, int fd, int level, int type, size_t len, size_t room)
{
	char buf[64] = "";
	struct cmsghdr c = {.cmsg_len = len, .cmsg_level = level, .cmsg_type = type};
	struct iovec v = {(char *)(uintptr_t) "x", 1};
	struct msghdr m = {
		.msg_iov = &v, .msg_iovlen = 1, .msg_control = buf, .msg_controllen = room};

	memcpy(buf, &c, sizeof(c));
	result(label, sendmsg(fd, &m, 0));
}

static void test_control(void)
{
	struct iovec v = {(char *)(uintptr_t) "x", 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_controllen = 16};
	int fd = accepted();

	result("no address", sendmsg(fd, &m, 0));
	show_control("too short to be one", fd, SOL_SOCKET, 99, 20, 8);
	show_control("rights", fd, SOL_SOCKET, SCM_RIGHTS, CMSG_LEN(4), CMSG_SPACE(4));
	show_control("credentials", fd, SOL_SOCKET, SCM_CREDENTIALS, CMSG_LEN(12), CMSG_SPACE(12));
	show_control("another level", fd, IPPROTO_IP, IP_TOS, CMSG_LEN(4), CMSG_SPACE(4));
	show_control("unknown", fd, SOL_SOCKET, 99, CMSG_LEN(4), CMSG_SPACE(4));
	show_control("length of nothing", fd, SOL_SOCKET, SCM_RIGHTS, 4, CMSG_SPACE(4));
	show_control("length beyond", fd, IPPROTO_IP, IP_TOS, CMSG_LEN(40), CMSG_SPACE(4));
	show_control("time to send without", fd, SOL_SOCKET, 61, CMSG_LEN(8), CMSG_SPACE(8));
	close(fd);
}

static const struct tcase cases[] = {
	{"one", test_one, peer_drain},
	{"many", test_many, peer_drain},
	{"without", test_without, peer_drain},
	{"room", test_room, peer_drain},
	{"failed", test_failed, peer_drain},
	{"inherited", test_inherited, peer_drain},
	{"epoll", test_epoll, peer_drain},
	{"control", test_control, peer_drain},
};

int main(int argc, char **argv)
{
	return RUN(argc, argv, cases);
}
