/*
 * addr.c - socket addresses, and which stack serves them: the tas addresses and routes of the
 * read-only page decide.
 *
 * What the page does not name is the kernel's; loopback always is. A destination that only the
 * default route covers is the kernel's when the kernel itself owns the address: that is this host.
 * Owner: any thread; the page is a seqlock (`version` is odd while it changes).
 */
#include "lt.h"

#define V4_BITS	 96u /* length of the mapped prefix: an IPv4 /n is 96 + n */
#define READ_MAX 1000

static const uint8_t any_v6[16];

bool lt_addr_any(const uint8_t addr[16])
{
	return memcmp(addr, any_v6, 16) == 0 || (tas_addr_is_v4(addr) && tas_addr_v4(addr) == 0);
}

/* IPv4, or IPv6 as it stands. False for other families or a short length. */
bool lt_addr_get(const struct sockaddr *sa, socklen_t len, uint8_t addr[16], uint16_t *port)
{
	struct sockaddr_in6 in6;
	struct sockaddr_in in;

	if (len < sizeof(in) || lt_bad(sa, len))
		return false;
	if (sa->sa_family == AF_INET) {
		memcpy(&in, sa, sizeof(in));
		tas_addr_from_v4(addr, in.sin_addr.s_addr);
		*port = in.sin_port;
		return true;
	}
	if (sa->sa_family != AF_INET6 || len < offsetof(struct sockaddr_in6, sin6_scope_id))
		return false;
	memcpy(&in6, sa, offsetof(struct sockaddr_in6, sin6_scope_id));
	memcpy(addr, &in6.sin6_addr, 16);
	*port = in6.sin6_port;
	return true;
}

/* Writes at most *len bytes and sets *len to the full length, as getsockname(2) does. 0 or -errno.
 */
int lt_addr_put(const struct lt_desc *d, const uint8_t addr[16], uint16_t port, struct sockaddr *sa,
	socklen_t *len)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = port};
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = port};
	const void *from = &in;
	socklen_t full = sizeof(in);

	if (lt_bad(len, sizeof(*len)))
		return -EFAULT;
	if ((int)*len < 0)
		return -EINVAL;
	if (*len != 0 && lt_bad(sa, 1))
		return -EFAULT;
	if (lt_flags(d) & LT_D_V6) {
		memcpy(&in6.sin6_addr, addr, 16);
		from = &in6;
		full = sizeof(in6);
	} else {
		in.sin_addr.s_addr = tas_addr_v4(addr);
	}
	if (*len != 0)
		memcpy(sa, from, *len < full ? *len : full);
	*len = full;
	return 0;
}

static bool covers(const struct tas_prefix *p, const uint8_t addr[16])
{
	uint32_t bits = p->plen, bytes = bits / 8, rest = bits % 8;

	if (bits > 128 || memcmp(p->addr, addr, bytes) != 0)
		return false;
	return rest == 0 || ((p->addr[bytes] ^ addr[bytes]) >> (8 - rest)) == 0;
}

/* Longest matching prefix length of `n` entries, or -1. */
static int longest(const struct tas_prefix *p, uint32_t n, const uint8_t addr[16])
{
	int best = -1;
	uint32_t i;

	for (i = 0; i < n; i++)
		if (covers(&p[i], addr) && p[i].plen > best)
			best = p[i].plen;
	return best;
}

/* Reads both lists as they stood at one time. */
static void look_up(const struct lt_ctx *c, const uint8_t addr[16], int *served, int *route)
{
	const struct tas_info *info = c->info;
	uint32_t v, n, tries;

	for (tries = 0; tries < READ_MAX; tries++) {
		v = tas_load_acq(&info->version);
		n = tas_load(&info->naddrs);
		*served = longest(info->addrs, n < TAS_INFO_ADDRS ? n : TAS_INFO_ADDRS, addr);
		n = tas_load(&info->nroutes);
		*route = longest(info->routes, n < TAS_INFO_ROUTES ? n : TAS_INFO_ROUTES, addr);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (!(v & 1) && tas_load(&info->version) == v)
			return;
		tas_cpu_relax();
	}
	*served = *route = -1;
}

enum lt_place lt_place_local(const struct lt_ctx *c, const uint8_t addr[16])
{
	int served, route;

	if (lt_addr_any(addr))
		return LT_BOTH;
	look_up(c, addr, &served, &route);
	return served >= 0 ? LT_TAS : LT_KERNEL;
}

/* Does the kernel own this address? Then a route to it starts and ends at it. */
static bool kernel_owns(const uint8_t addr[16])
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)}, from;
	socklen_t len = sizeof(from);
	long s = lt_sys3(SYS_socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool own = false;

	if (s < 0)
		return false;
	to.sin_addr.s_addr = tas_addr_v4(addr);
	if (lt_sys3(SYS_connect, s, &to, sizeof(to)) == 0 &&
		lt_sys3(SYS_getsockname, s, &from, &len) == 0)
		own = from.sin_addr.s_addr == to.sin_addr.s_addr;
	lt_sys_close((int)s);
	return own;
}

static bool loopback(const uint8_t addr[16])
{
	static const uint8_t loop_v6[16] = {[15] = 1};

	if (!tas_addr_is_v4(addr))
		return lt_addr_any(addr) || memcmp(addr, loop_v6, 16) == 0;
	return addr[12] == 127 || tas_addr_v4(addr) == 0;
}

/* The row of explain.h that says why a destination is the kernel's; -1: it is not. */
int lt_why_kernel(const struct lt_ctx *c, const uint8_t addr[16])
{
	int served, route;

	if (loopback(addr))
		return TAS_X_kernel_loopback;
	if (!tas_addr_is_v4(addr))
		return TAS_X_kernel_ipv6;
	look_up(c, addr, &served, &route);
	if (served >= 0)
		return -1;
	if (route < 0)
		return TAS_X_kernel_no_route;
	return route == (int)V4_BITS && kernel_owns(addr) ? TAS_X_kernel_own_address : -1;
}

enum lt_place lt_place_remote(const struct lt_ctx *c, const uint8_t addr[16])
{
	int why = lt_why_kernel(c, addr);

	if (why < 0)
		return LT_TAS;
	lt_explain((enum tas_explain)why);
	return LT_KERNEL;
}
