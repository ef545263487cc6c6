/*
 * handle.c - the kernel socket behind a program's descriptor: proof of who it is and what it is
 * bound to.
 *
 * Nothing in a program's message is believed about an address: getsockname(2) on the passed socket
 * is, so that the kernel decides about conflicts, privileged ports and SO_REUSEPORT. Owner: slow
 * path thread. socket(7), ip(7), ipv6(7).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "app_internal.h"

#ifndef SO_BINDTOIFINDEX
#define SO_BINDTOIFINDEX 62
#endif
#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

static int get_int(int fd, int level, int name, int *out)
{
	socklen_t len = sizeof(*out);

	return getsockopt(fd, level, name, out, &len) != 0 ? -errno : 0;
}

static int get_u64(int fd, int name, uint64_t *out)
{
	socklen_t len = sizeof(*out);

	return getsockopt(fd, SOL_SOCKET, name, out, &len) != 0 ? -errno : 0;
}

static int is_tcp(int fd)
{
	int domain, type, protocol;

	if (get_int(fd, SOL_SOCKET, SO_DOMAIN, &domain) != 0 ||
		get_int(fd, SOL_SOCKET, SO_TYPE, &type) != 0 ||
		get_int(fd, SOL_SOCKET, SO_PROTOCOL, &protocol) != 0)
		return 0;
	return (domain == AF_INET || domain == AF_INET6) && type == SOCK_STREAM &&
	       protocol == IPPROTO_TCP;
}

/* An IPv6 socket speaks IPv4 too unless IPV6_V6ONLY is set. */
static int bound_v6(int fd, const struct sockaddr_in6 *sa, struct sp_handle *out)
{
	int v6only = 1;

	out->lport = sa->sin6_port;
	memcpy(out->laddr, &sa->sin6_addr, 16);
	if (tas_addr_is_v4(out->laddr)) {
		if (tas_addr_v4(out->laddr) == 0)
			memset(out->laddr, 0, 16);
		return 0;
	}
	if (get_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only) != 0 || v6only)
		return -EADDRNOTAVAIL;
	return IN6_IS_ADDR_UNSPECIFIED(&sa->sin6_addr) ? 0 : -EADDRNOTAVAIL;
}

static int bound_address(int fd, struct sp_handle *out)
{
	union {
		struct sockaddr sa;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} a;
	socklen_t len = sizeof(a);

	memset(&a, 0, sizeof(a));
	if (getsockname(fd, &a.sa, &len) != 0)
		return -errno;
	if (a.sa.sa_family == AF_INET6)
		return bound_v6(fd, &a.v6, out);
	if (a.sa.sa_family != AF_INET)
		return -EAFNOSUPPORT;
	out->lport = a.v4.sin_port;
	if (a.v4.sin_addr.s_addr != 0)
		tas_addr_from_v4(out->laddr, a.v4.sin_addr.s_addr);
	return 0;
}

int sp_handle_read(const struct sp *sp, int fd, struct sp_handle *out)
{
	uint64_t netns = 0;
	int reuseport = 0, listening = 0, device = 0, err;

	memset(out, 0, sizeof(*out));
	if (fd < 0 || !is_tcp(fd))
		return -ENOTSOCK;
	err = get_u64(fd, SO_NETNS_COOKIE, &netns);
	if (err == 0 && netns != sp->netns_cookie)
		return -EXDEV;
	if (err == 0)
		err = get_u64(fd, SO_COOKIE, &out->cookie);
	if (err == 0)
		err = get_int(fd, SOL_SOCKET, SO_REUSEPORT, &reuseport);
	if (err == 0)
		err = get_int(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening);
	if (err == 0)
		err = get_int(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &device);
	if (err != 0)
		return err;
	out->reuseport = reuseport != 0;
	out->listening = listening != 0;
	out->one_device = device != 0;
	return bound_address(fd, out);
}

int sp_netns_cookie(uint64_t *out)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), err;

	if (fd < 0)
		return -errno;
	err = get_u64(fd, SO_NETNS_COOKIE, out);
	close(fd);
	return err;
}
