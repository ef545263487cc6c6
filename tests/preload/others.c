/*
 * others.c - sockets that are not TCP: UDP, UNIX of all three kinds, netlink, packets to ping with. They are the kernel's whatever
 * else the program has; each case has a TCP connection open beside them. Both in one set: others_mixed.c.
 */
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/ip_icmp.h>
#include <stddef.h>
#include <sys/sendfile.h>
#include <sys/un.h>
#include "steps.h"

static int listener, tcp;

static void open_tcp(void)
{
	listener = listen_here(0, 16);
	tcp = connection(listener, 0);
}

static void close_tcp(void)
{
	ask(END, 0);
	close(tcp);
	close(listener);
}

/* A socket of `type` bound to loopback. */
static int udp(int family, struct sockaddr_storage *sa, socklen_t *len)
{
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memset(sa, 0, sizeof(*sa));
	sa->ss_family = (sa_family_t)family;
	if (family == AF_INET)
		((struct sockaddr_in *)sa)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		((struct sockaddr_in6 *)sa)->sin6_addr = in6addr_loopback;
	*len = sizeof(*sa);
	CHECK(fd >= 0);
	if (bind(fd, (struct sockaddr *)sa, family == AF_INET ? 16 : 28) != 0)
		return close(fd), -1;
	CHECK(getsockname(fd, (struct sockaddr *)sa, len) == 0);
	return fd;
}

static void int_option(const char *label, int fd, int level, int name)
{
	int v = -1;
	socklen_t len = sizeof(v);

	result(label, getsockopt(fd, level, name, &v, &len));
	out("%s is %d of %u bytes", label, v, (unsigned)len);
}

static void datagrams(int family)
{
	struct sockaddr_storage sa, sb, from;
	socklen_t la, lb, lf = sizeof(from);
	int a = udp(family, &sa, &la), b = udp(family, &sb, &lb), n = -1;
	char buf[64];

	if (a < 0 || b < 0) {
		out("no such addresses here");
		return;
	}
	result("sendto", sendto(a, "datagram", 8, 0, (struct sockaddr *)&sb, lb));
	result("sendto empty", sendto(a, NULL, 0, 0, (struct sockaddr *)&sb, lb));
	CHECK(await(b, POLLIN) == POLLIN);
	result("fionread", ioctl(b, FIONREAD, &n));
	out("first of %d", n);
	result("peek", recv(b, buf, sizeof(buf), MSG_PEEK));
	result("truncated", recv(b, buf, 3, MSG_TRUNC | MSG_PEEK));
	result("recvfrom", recvfrom(b, buf, 4, 0, (struct sockaddr *)&from, &lf));
	out("from the sender %d", lf == la && memcmp(&from, &sa, la) == 0);
	result("empty", recv(b, buf, sizeof(buf), 0));
	result("nothing", recv(b, buf, sizeof(buf), MSG_DONTWAIT));
	result("connect", connect(a, (struct sockaddr *)&sb, lb));
	result("getpeername", getpeername(a, (struct sockaddr *)&from, &lf));
	out("peer %d", memcmp(&from, &sb, lb) == 0);
	result("write", write(a, "written", 7));
	result("read", read(b, buf, sizeof(buf)));
	close(b);
	result("to nobody", send(a, "x", 1, 0));
	await(a, POLLERR);
	int_option("error", a, SOL_SOCKET, SO_ERROR);
	int_option("type", a, SOL_SOCKET, SO_TYPE);
	int_option("protocol", a, SOL_SOCKET, SO_PROTOCOL);
	result("listen", listen(a, 1));
	result("accept", accept(a, NULL, NULL));
	result("shutdown", shutdown(a, SHUT_RDWR));
	result("after", recv(a, buf, sizeof(buf), 0));
	from.ss_family = AF_UNSPEC;
	result("disconnect", connect(a, (struct sockaddr *)&from, sizeof(from)));
	result("send", send(a, "x", 1, 0));
	close(a);
}

static void test_udp(void)
{
	open_tcp();
	datagrams(AF_INET);
	close_tcp();
}

static void test_udp6(void)
{
	open_tcp();
	datagrams(AF_INET6);
	close_tcp();
}

/* Many at once, with what the kernel says beside them. */
static void test_udp_messages(void)
{
	struct sockaddr_storage sa, sb;
	socklen_t la, lb;
	int a, b, i, one = 1, r;
	char out_buf[4][32], in_buf[4][32], control[4][128];
	struct iovec ov[4], iv[4];
	struct mmsghdr om[4], im[4];

	open_tcp();
	a = udp(AF_INET, &sa, &la);
	b = udp(AF_INET, &sb, &lb);
	result("pktinfo", setsockopt(b, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one)));
	result("timestamp", setsockopt(b, SOL_SOCKET, SO_TIMESTAMP, &one, sizeof(one)));
	memset(om, 0, sizeof(om));
	memset(im, 0, sizeof(im));
	for (i = 0; i < 4; i++) {
		snprintf(out_buf[i], sizeof(out_buf[i]), "message %d", i);
		ov[i] = (struct iovec){out_buf[i], strlen(out_buf[i])};
		iv[i] = (struct iovec){in_buf[i], sizeof(in_buf[i])};
		om[i].msg_hdr = (struct msghdr){
			.msg_name = &sb, .msg_namelen = lb, .msg_iov = &ov[i], .msg_iovlen = 1};
		im[i].msg_hdr = (struct msghdr){.msg_iov = &iv[i],
			.msg_iovlen = 1,
			.msg_control = control[i],
			.msg_controllen = sizeof(control[i])};
	}
	result("sendmmsg", sendmmsg(a, om, 4, 0));
	r = recvmmsg(b, im, 4, MSG_WAITFORONE, NULL);
	out("recvmmsg %d", r);
	for (i = 0; i < r; i++) {
		struct cmsghdr *c = CMSG_FIRSTHDR(&im[i].msg_hdr);
		int kinds = 0;

		for (; c != NULL; c = CMSG_NXTHDR(&im[i].msg_hdr, c))
			kinds += c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO ? 1 : 10;
		out("%.*s, control %d", (int)im[i].msg_len, in_buf[i], kinds);
	}
	close(a);
	close(b);
	close_tcp();
}

/* ---- UNIX ---- */

static struct sockaddr_un abstract_name(socklen_t *len)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int n = snprintf(un.sun_path + 1, sizeof(un.sun_path) - 1, "tas-others-%d", (int)getpid());

	*len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
	return un;
}

static void one_unix(int type)
{
	socklen_t len, got = sizeof(struct sockaddr_un);
	struct sockaddr_un un = abstract_name(&len), name;
	int l = socket(AF_UNIX, type, 0), c = socket(AF_UNIX, type | SOCK_NONBLOCK, 0), s;
	struct ucred cred;
	char buf[32];

	result("bind", bind(l, (struct sockaddr *)&un, len));
	result("bound twice", bind(c, (struct sockaddr *)&un, len));
	result("listen", listen(l, 4));
	result("connect", connect(c, (struct sockaddr *)&un, len));
	s = type == SOCK_DGRAM ? l : accept4(l, NULL, NULL, SOCK_CLOEXEC);
	CHECK(s >= 0);
	result("getpeername", getpeername(c, (struct sockaddr *)&name, &got));
	out("name %d", got == len && memcmp(&name, &un, len) == 0);
	result("send", send(c, "unix", 4, 0));
	result("recv", recv(s, buf, sizeof(buf), 0));
	got = sizeof(cred);
	result("peercred", getsockopt(c, SOL_SOCKET, SO_PEERCRED, &cred, &got));
	out("of ours %d", cred.pid == getpid() || type == SOCK_DGRAM);
	result("nothing", recv(c, buf, sizeof(buf), 0));
	result("nodelay", setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)));
	if (s != l) {
		close(s);
		result("end", recv(c, buf, sizeof(buf), 0));
		result("pipe", send(c, "x", 1, MSG_NOSIGNAL));
	}
	close(c);
	close(l);
}

static void test_unix_stream(void)
{
	open_tcp();
	one_unix(SOCK_STREAM);
	close_tcp();
}

static void test_unix_datagram(void)
{
	open_tcp();
	one_unix(SOCK_DGRAM);
	close_tcp();
}

static void test_unix_seqpacket(void)
{
	open_tcp();
	one_unix(SOCK_SEQPACKET);
	close_tcp();
}

/* A pipe and a UDP socket go from one to the other end of a pair, and work there. */
static void test_unix_passing(void)
{
	struct sockaddr_storage sa;
	socklen_t la;
	char control[CMSG_SPACE(2 * sizeof(int))], buf[32] = "";
	struct iovec iov = {buf, 1};
	struct msghdr m = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	int pair[2], p[2], fds[2], u;

	open_tcp();
	u = udp(AF_INET, &sa, &la);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && pipe(p) == 0);
	*c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(fds)),
		.cmsg_level = SOL_SOCKET,
		.cmsg_type = SCM_RIGHTS};
	fds[0] = p[0];
	fds[1] = u;
	memcpy(CMSG_DATA(c), fds, sizeof(fds));
	result("sendmsg", sendmsg(pair[0], &m, 0));
	close(p[0]);
	close(u);
	memset(control, 0, sizeof(control));
	m.msg_controllen = sizeof(control);
	result("recvmsg", recvmsg(pair[1], &m, MSG_CMSG_CLOEXEC));
	memcpy(fds, CMSG_DATA(c), sizeof(fds));
	out("close-on-exec %d %d", fcntl(fds[0], F_GETFD), fcntl(fds[1], F_GETFD));
	CHECK(write(p[1], "through", 7) == 7);
	result("pipe", read(fds[0], buf, sizeof(buf)));
	result("udp", sendto(fds[1], "self", 4, 0, (struct sockaddr *)&sa, la));
	result("udp", recv(fds[1], buf, sizeof(buf), 0));
	close(fds[0]);
	close(fds[1]);
	close(p[1]);
	close(pair[0]);
	close(pair[1]);
	close_tcp();
}

static void test_file_to_unix(void)
{
	int pair[2], p[2], file = open("/proc/self/exe", O_RDONLY), tail;
	char buf[1000];
	off_t at = 1000;

	open_tcp();
	CHECK(file >= 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && pipe(p) == 0);
	result("sendfile", sendfile(pair[0], file, &at, sizeof(buf)));
	out("offset %ld", (long)at);
	result("splice", splice(pair[1], NULL, p[1], NULL, 400, 0));
	result("read", read(p[0], buf, sizeof(buf)));
	tail = (int)recv(pair[1], buf, sizeof(buf), MSG_DONTWAIT);
	result("rest", tail);
	close(file);
	close(p[0]);
	close(p[1]);
	close(pair[0]);
	close(pair[1]);
	close_tcp();
}

/* ---- netlink, and packets to ping with ---- */

static void test_netlink(void)
{
	struct {
		struct nlmsghdr h;
		struct ifinfomsg i;
	} ask_all = {.h = {.nlmsg_len = sizeof(ask_all),
			     .nlmsg_type = RTM_GETLINK,
			     .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
			     .nlmsg_seq = 7}};
	struct sockaddr_nl nl = {.nl_family = AF_NETLINK};
	socklen_t len = sizeof(nl);
	char buf[16384];
	int fd, links = 0, over = 0;

	open_tcp();
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	result("bind", bind(fd, (struct sockaddr *)&nl, sizeof(nl)));
	result("getsockname", getsockname(fd, (struct sockaddr *)&nl, &len));
	out("family %d length %u", nl.nl_family, (unsigned)len);
	result("send", send(fd, &ask_all, sizeof(ask_all), 0));
	while (!over) {
		unsigned n = (unsigned)recv(fd, buf, sizeof(buf), 0);
		struct nlmsghdr *h = (struct nlmsghdr *)(void *)buf;

		CHECK(n >= sizeof(*h) && n <= sizeof(buf));
		for (; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			links += h->nlmsg_type == RTM_NEWLINK && h->nlmsg_seq == 7;
			over |= h->nlmsg_type == NLMSG_DONE;
		}
	}
	out("links %d", links > 0);
	result("listen", listen(fd, 1));
	close(fd);
	close_tcp();
}

static void test_raw_icmp(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct icmphdr echo = {.type = ICMP_ECHO, .un.echo.id = 0x1234};
	uint16_t words[sizeof(echo) / 2];
	uint32_t sum = 0;
	char buf[256];
	size_t i;
	int fd;

	open_tcp();
	fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
	if (fd < 0) {
		result("socket", fd);
		close_tcp();
		return;
	}
	memcpy(words, &echo, sizeof(echo));
	for (i = 0; i < sizeof(words) / 2; i++)
		sum += words[i];
	echo.checksum = (uint16_t) ~(sum + (sum >> 16));
	result("echo", sendto(fd, &echo, sizeof(echo), 0, (struct sockaddr *)&to, sizeof(to)));
	do {
		CHECK(recv(fd, buf, sizeof(buf), 0) == 28); /* ours, too, since it is loopback */
	} while (buf[20] != ICMP_ECHOREPLY);
	out("answered");
	close(fd);
	close_tcp();
}

static const struct tcase cases[] = {
	{"udp", test_udp, peer_steps},
	{"udp6", test_udp6, peer_steps},
	{"udp_messages", test_udp_messages, peer_steps},
	{"unix_stream", test_unix_stream, peer_steps},
	{"unix_datagram", test_unix_datagram, peer_steps},
	{"unix_seqpacket", test_unix_seqpacket, peer_steps},
	{"unix_passing", test_unix_passing, peer_steps},
	{"file_to_unix", test_file_to_unix, peer_steps},
	{"netlink", test_netlink, peer_steps},
	{"raw_icmp", test_raw_icmp, peer_steps},
};

int main(int argc, char **argv)
{
	return RUN(argc, argv, cases);
}
