/*
 * addresses.c - what listeners and connections are bound to: the wildcard, both families on one
 * socket, mapped addresses, an address that listeners share.
 */
#include "peers.h"

/* A wildcard listener is reached on loopback and on the tested address. */
static void test_wildcard(void)
{
	struct sockaddr_in sa = {.sin_family = AF_INET};
	int l = socket(AF_INET, SOCK_STREAM, 0), i;

	CHECK(bind(l, (struct sockaddr *)&sa, sizeof(sa)) == 0 && listen(l, 16) == 0);
	tell(port_of(l));
	for (i = 0; i < 20; i++)
		serve_one(l);
	out("peer got %d", hear());
	close(l);
}

static void peer_wildcard(void)
{
	int port = hear(), i, fd, good = 0;
	struct sockaddr_in sa[2] = {
		address(false, port), {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)}};
	char buf[4];

	sa[1].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (i = 0; i < 20; i++) {
		fd = socket(AF_INET, SOCK_STREAM, 0);
		CHECK(connect(fd, (struct sockaddr *)&sa[i % 2], sizeof(sa[0])) == 0);
		say_to(fd, "ping");
		good += recv(fd, buf, 4, MSG_WAITALL) == 4;
		close(fd);
	}
	tell(good);
}

/* A dual-stack IPv6 socket: IPv4 peers appear as mapped addresses. */
static void test_dual_stack(void)
{
	struct sockaddr_in6 sa = {.sin6_family = AF_INET6}, got;
	int l = socket(AF_INET6, SOCK_STREAM, 0), fd, off = 0;
	socklen_t len = sizeof(got);
	char text[INET6_ADDRSTRLEN];

	CHECK(setsockopt(l, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) == 0);
	CHECK(bind(l, (struct sockaddr *)&sa, sizeof(sa)) == 0 && listen(l, 16) == 0);
	tell(port_of(l));
	fd = accept(l, (struct sockaddr *)&got, &len);
	CHECK(fd >= 0);
	inet_ntop(AF_INET6, &got.sin6_addr, text, sizeof(text));
	out("len %u family %d mapped %d", len, got.sin6_family,
		IN6_IS_ADDR_V4MAPPED(&got.sin6_addr));
	len = sizeof(got);
	result("getsockname", getsockname(fd, (struct sockaddr *)&got, &len));
	out("len %u family %d mapped %d", len, got.sin6_family,
		IN6_IS_ADDR_V4MAPPED(&got.sin6_addr));
	tell(0);
	close(fd);
	close(l);
}

static void test_connect_mapped(void)
{
	struct sockaddr_in peer = address(true, hear());
	struct sockaddr_in6 sa = {.sin6_family = AF_INET6, .sin6_port = peer.sin_port}, got;
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	socklen_t len = sizeof(got);

	sa.sin6_addr.s6_addr[10] = sa.sin6_addr.s6_addr[11] = 0xff;
	memcpy(sa.sin6_addr.s6_addr + 12, &peer.sin_addr, 4);
	result("connect", connect(fd, (struct sockaddr *)&sa, sizeof(sa)));
	result("getpeername", getpeername(fd, (struct sockaddr *)&got, &len));
	out("len %u family %d same %d", len, got.sin6_family,
		memcmp(&got.sin6_addr, &sa.sin6_addr, 16) == 0);
	tell(0);
	close(fd);
}

/* SO_REUSEPORT: two listeners share an address, and a third without it is refused. */
static void test_reuseport(void)
{
	struct sockaddr_in sa = address(false, 0);
	int a = socket(AF_INET, SOCK_STREAM, 0), b = socket(AF_INET, SOCK_STREAM, 0), on = 1, i,
	    seen[2] = {0, 0};
	int c = socket(AF_INET, SOCK_STREAM, 0);
	struct pollfd p[2];

	CHECK(setsockopt(a, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0);
	CHECK(setsockopt(b, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0);
	result("bind", bind(a, (struct sockaddr *)&sa, sizeof(sa)));
	result("listen", listen(a, 64));
	sa.sin_port = htons((uint16_t)port_of(a));
	result("bind", bind(b, (struct sockaddr *)&sa, sizeof(sa)));
	result("listen", listen(b, 64));
	result("bind", bind(c, (struct sockaddr *)&sa, sizeof(sa)));
	tell(port_of(a));
	tell(60);
	for (i = 0; i < 60; i++) {
		p[0] = (struct pollfd){.fd = a, .events = POLLIN};
		p[1] = (struct pollfd){.fd = b, .events = POLLIN};
		CHECK(poll(p, 2, 20000) >= 1);
		seen[p[0].revents == 0]++;
		serve_one(p[0].revents ? a : b);
	}
	out("peer got %d", hear());
	out("both were used: %d", seen[0] > 0 && seen[1] > 0);
	close(a);
	close(b);
	close(c);
}

/* What a program has not asked for it does not find: HAProxy asks before it takes a listener over. */
static void test_freebind(void)
{
	struct sockaddr_in sa = address(false, 0);
	socklen_t len = sizeof(int);
	int asked, l, v;

	for (asked = 0; asked < 2; asked++) {
		l = socket(AF_INET, SOCK_STREAM, 0);
		CHECK(setsockopt(l, IPPROTO_IP, IP_FREEBIND, &asked, sizeof(asked)) == 0);
		CHECK(bind(l, (struct sockaddr *)&sa, sizeof(sa)) == 0);
		CHECK(getsockopt(l, IPPROTO_IP, IP_FREEBIND, &v, &len) == 0);
		out("bound %d", v);
		CHECK(listen(l, 16) == 0);
		CHECK(getsockopt(l, IPPROTO_IP, IP_FREEBIND, &v, &len) == 0);
		out("listening %d", v);
		tell(port_of(l));
		serve_one(l);
		out("peer got %d", hear());
		close(l);
	}
}

static void peer_pings_twice(void)
{
	char buf[4];
	int i, fd;

	for (i = 0; i < 2; i++) {
		fd = connect_there();
		say_to(fd, "ping");
		tell((int)recv(fd, buf, 4, MSG_WAITALL));
		close(fd);
	}
}

static const struct tcase cases[] = {
	{"freebind", test_freebind, peer_pings_twice},
	{"wildcard", test_wildcard, peer_wildcard},
	{"dual_stack", test_dual_stack, peer_wait},
	{"connect_mapped", test_connect_mapped, peer_accept_wait},
	{"reuseport", test_reuseport, peer_clients},
};

int main(int argc, char **argv)
{
	return RUN(argc, argv, cases);
}
