/*
 * Every option that tas serves or leaves to the handle: set in each state and read back, inherited by what is accepted, of
 * wrong length and value, and at addresses that no program has. tcp_info.c has TCP_INFO, options_effect.c what options do.
 */
#include "peers.h"

#ifndef SO_PREFER_BUSY_POLL
#define SO_PREFER_BUSY_POLL 69
#endif
#ifndef TCP_INQ
#define TCP_INQ 36
#endif
#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif

#define ROW(level, name, good, bad)                                                                \
	{                                                                                          \
		level, name, #name, good, bad                                                      \
	}

static const struct option {
	int level, name;
	const char *text;
	int good, bad; /* a value to read back, one that is refused */
} options[] = {
	ROW(SOL_SOCKET, SO_DEBUG, 0, 0),
	ROW(SOL_SOCKET, SO_REUSEADDR, 1, 1),
	ROW(SOL_SOCKET, SO_REUSEPORT, 1, 1),
	ROW(SOL_SOCKET, SO_BROADCAST, 1, 1),
	ROW(SOL_SOCKET, SO_NO_CHECK, 1, 1),
	ROW(SOL_SOCKET, SO_KEEPALIVE, 1, 7),
	ROW(SOL_SOCKET, SO_RCVBUF, 40000, -1),
	ROW(SOL_SOCKET, SO_SNDBUF, 40000, -1),
	ROW(SOL_SOCKET, SO_RCVLOWAT, 3, -1),
	ROW(SOL_SOCKET, SO_SNDLOWAT, 3, -1),
	ROW(SOL_SOCKET, SO_MAX_PACING_RATE, 5000000, 0x7fffffff),
	ROW(SOL_SOCKET, SO_MARK, 5, 0),
	ROW(SOL_SOCKET, SO_PRIORITY, 4, 0),
	ROW(SOL_SOCKET, SO_RXQ_OVFL, 1, 2),
	ROW(SOL_SOCKET, SO_BUSY_POLL, 30, -1),
	ROW(SOL_SOCKET, SO_PREFER_BUSY_POLL, 1, 2),
	ROW(SOL_SOCKET, SO_TIMESTAMP, 0, 0),
	ROW(SOL_SOCKET, SO_TYPE, 1, 1),
	ROW(SOL_SOCKET, SO_DOMAIN, 2, 2),
	ROW(SOL_SOCKET, SO_PROTOCOL, 6, 6),
	ROW(SOL_SOCKET, SO_ACCEPTCONN, 1, 1),
	ROW(SOL_SOCKET, SO_ERROR, 1, 1),
	ROW(IPPROTO_TCP, TCP_NODELAY, 1, 5),
	ROW(IPPROTO_TCP, TCP_CORK, 1, 5),
	ROW(IPPROTO_TCP, TCP_QUICKACK, 1, 3),
	ROW(IPPROTO_TCP, TCP_KEEPIDLE, 100, 40000),
	ROW(IPPROTO_TCP, TCP_KEEPINTVL, 50, 0),
	ROW(IPPROTO_TCP, TCP_KEEPCNT, 5, 128),
	ROW(IPPROTO_TCP, TCP_SYNCNT, 3, 128),
	ROW(IPPROTO_TCP, TCP_LINGER2, 20, -5),
	ROW(IPPROTO_TCP, TCP_LINGER2, 5000, 0),
	ROW(IPPROTO_TCP, TCP_DEFER_ACCEPT, 5, -1),
	ROW(IPPROTO_TCP, TCP_WINDOW_CLAMP, 30000, 7),
	ROW(IPPROTO_TCP, TCP_USER_TIMEOUT, 9000, -1),
	ROW(IPPROTO_TCP, TCP_NOTSENT_LOWAT, 16384, -1),
	ROW(IPPROTO_TCP, TCP_INQ, 1, 2),
	ROW(IPPROTO_TCP, TCP_THIN_DUPACK, 1, 2),
	ROW(IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 0, 7),
	ROW(IPPROTO_TCP, TCP_REPAIR_QUEUE, 1, 9),
	ROW(IPPROTO_TCP, 9999, 1, 1),
	ROW(IPPROTO_IP, IP_TOS, 0x28, 0x100),
	ROW(IPPROTO_IP, IP_TTL, 9, 256),
	ROW(IPPROTO_IP, IP_TTL, -1, 0),
	ROW(IPPROTO_IP, IP_FREEBIND, 1, 5),
	ROW(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1, 5),
	ROW(IPPROTO_IP, IP_LOCAL_PORT_RANGE, 30000 | 40000 << 16, 5 | 4 << 16),
	ROW(IPPROTO_IP, IP_RECVTOS, 1, 5),
	ROW(IPPROTO_IP, IP_RECVTTL, 1, 5),
	ROW(IPPROTO_IP, IP_PKTINFO, 1, 5),
	ROW(IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO, 9),
	ROW(IPPROTO_IP, IP_MULTICAST_TTL, 3, 300),
	ROW(IPPROTO_IP, IP_HDRINCL, 1, 1),
	ROW(IPPROTO_IP, 9999, 1, 1),
	ROW(SOL_SOCKET, 9999, 1, 1),
	ROW(17, 1, 1, 1),
};

#define N (sizeof(options) / sizeof(options[0]))

static const char *get(int fd, const struct option *o)
{
	static char text[2][48];
	static int turn;
	char *s = text[turn++ % 2];
	socklen_t len = sizeof(int);
	int v = -77;

	if (getsockopt(fd, o->level, o->name, &v, &len) != 0)
		snprintf(s, sizeof(text[0]), "%s", strerrorname_np(errno));
	else
		snprintf(s, sizeof(text[0]), "%d (%u)", v, len);
	return s;
}

/* Buffers that are tuned are each stack's own. */
static bool own_default(const struct option *o)
{
	return o->name == SO_RCVBUF || o->name == SO_SNDBUF || o->name == TCP_WINDOW_CLAMP;
}

/* Each is set, once well and once badly, and read. */
static void set_all(int fd, const char *state)
{
	const struct option *o;
	int r, err;

	for (o = options; o < options + N; o++) {
		const char *before = o->level != IPPROTO_IP && own_default(o) ? "..." : get(fd, o);

		r = setsockopt(fd, o->level, o->name, &o->good, sizeof(int));
		err = errno;
		out("%s %s: %s, set %d %s: %s", state, o->text, before, r,
			r < 0 ? strerrorname_np(err) : "", get(fd, o));
		r = setsockopt(fd, o->level, o->name, &o->bad, sizeof(int));
		err = errno;
		if (r < 0)
			out("%s %s: bad %d %s", state, o->text, r, strerrorname_np(err));
		else
			setsockopt(fd, o->level, o->name, &o->good, sizeof(int));
	}
}

static void test_unconnected(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	set_all(fd, "unconnected");
	close(fd);
	fd = connect_there();
	tell(0);
	close(fd);
}

static void test_connected(void)
{
	int fd = connect_there();

	set_all(fd, "connected");
	tell(0);
	close(fd);
}

static void test_listening(void)
{
	int fd = listen_here(0, 5);

	set_all(fd, "listening");
	tell(0);
	close(fd);
}

static void peer_one(void)
{
	hear();
	hear();
}

/* What was set before connect() stands after it. */
static void test_kept(void)
{
	struct sockaddr_in sa = address(true, hear());
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	const struct option *o;

	for (o = options; o < options + N; o++)
		if (o->name != IP_LOCAL_PORT_RANGE || o->level != IPPROTO_IP)
			setsockopt(fd, o->level, o->name, &o->good, sizeof(int));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	CHECK(connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0);
	for (o = options; o < options + N; o++)
		if (o->name != TCP_QUICKACK || o->level != IPPROTO_TCP)
			out("%s: %s", o->text, get(fd, o));
	tell(0);
	close(fd);
}

/* What the listener had when the connection came, the accepted socket has. */
static void test_inherited(void)
{
	int l = listen_here(0, 5), fd;
	const struct option *o;

	for (o = options; o < options + N; o++)
		if (o->name != TCP_DEFER_ACCEPT || o->level != IPPROTO_TCP)
			setsockopt(l, o->level, o->name, &o->good, sizeof(int));
	tell(0);
	fd = accept(l, NULL, NULL);
	CHECK(fd >= 0);
	for (o = options; o < options + N; o++)
		if (o->name != IP_MULTICAST_TTL) /* the TTL of the peer's packet */
			out("%s: %s", o->text, get(fd, o));
	close(l);
	for (o = options; o < options + N; o++)
		if (o->level == IPPROTO_IP && o->name != IP_MULTICAST_TTL)
			out("listener closed, %s: %s", o->text, get(fd, o));
	tell(0);
	close(fd);
}

static void peer_later(void)
{
	struct sockaddr_in sa = address(false, hear());
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	hear();
	CHECK(connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0);
	hear();
	close(fd);
}

static void shapes(int fd, int level, int name, const char *text)
{
	char big[64] = {1};
	socklen_t len;
	int v = 1, r;

	for (len = 0; len < 4; len++) {
		r = setsockopt(fd, level, name, &v, len);
		out("%s length %u: %d %s", text, len, r, r < 0 ? strerrorname_np(errno) : "");
	}
	r = setsockopt(fd, level, name, big, sizeof(big));
	out("%s long: %d %s", text, r, r < 0 ? strerrorname_np(errno) : "");
	r = setsockopt(fd, level, name, &v, (socklen_t)-1);
	out("%s negative: %d %s", text, r, r < 0 ? strerrorname_np(errno) : "");
	for (len = 0; len < 6; len += 2) {
		socklen_t n = len;

		r = getsockopt(fd, level, name, big, &n);
		out("%s get %u: %d %s %u", text, len, r, r < 0 ? strerrorname_np(errno) : "", n);
	}
	len = (socklen_t)-1;
	r = getsockopt(fd, level, name, big, &len);
	out("%s get negative: %d %s", text, r, r < 0 ? strerrorname_np(errno) : "");
}

static void wild(int fd, int level, int name, const char *text)
{
	static const uintptr_t places[] = {
		0, 0xdead000000000000, 0xffffffff80000000, 0x7ffffffff000};
	size_t i;
	int v = 1, r;
	socklen_t len = sizeof(v);

	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		r = setsockopt(fd, level, name, (void *)places[i], sizeof(v));
		out("%s from %zu: %d %s", text, i, r, strerrorname_np(errno));
		len = sizeof(v);
		r = getsockopt(fd, level, name, (void *)places[i], &len);
		out("%s to %zu: %d %s", text, i, r, strerrorname_np(errno));
		r = getsockopt(fd, level, name, &v, (socklen_t *)places[i]);
		out("%s length at %zu: %d %s", text, i, r, strerrorname_np(errno));
	}
}

static const struct option shaped[] = {ROW(SOL_SOCKET, SO_KEEPALIVE, 0, 0),
	ROW(SOL_SOCKET, SO_RCVTIMEO, 0, 0), ROW(SOL_SOCKET, SO_LINGER, 0, 0),
	ROW(SOL_SOCKET, SO_INCOMING_CPU, 0, 0), ROW(IPPROTO_TCP, TCP_NODELAY, 0, 0),
	ROW(IPPROTO_TCP, TCP_CORK, 0, 0), ROW(IPPROTO_TCP, TCP_QUICKACK, 0, 0),
	ROW(IPPROTO_TCP, TCP_LINGER2, 0, 0), ROW(IPPROTO_IP, IP_TTL, 0, 0),
	ROW(IPPROTO_IP, IP_TOS, 0, 0)};

static void test_shapes(void)
{
	int fd = connect_there();
	size_t i;

	for (i = 0; i < sizeof(shaped) / sizeof(shaped[0]); i++)
		shapes(fd, shaped[i].level, shaped[i].name, shaped[i].text);
	tell(0);
	close(fd);
}

static void test_wild(void)
{
	int fd = connect_there();
	size_t i;

	for (i = 0; i < sizeof(shaped) / sizeof(shaped[0]); i++)
		wild(fd, shaped[i].level, shaped[i].name, shaped[i].text);
	tell(0);
	close(fd);
}

static void test_ulp(void)
{
	int fd = connect_there();
	socklen_t len = 4;
	char buf[16];

	result("tls", setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", 3));
	result("nothing", setsockopt(fd, IPPROTO_TCP, TCP_ULP, "", 0));
	result("unknown", setsockopt(fd, IPPROTO_TCP, TCP_ULP, "no such", 7));
	result("nowhere", setsockopt(fd, IPPROTO_TCP, TCP_ULP, NULL, 3));
	result("get", getsockopt(fd, IPPROTO_TCP, TCP_ULP, buf, &len));
	out("length %u", len);
	result("SOL_TLS", setsockopt(fd, SOL_TLS, 1, buf, sizeof(buf)));
	tell(0);
	close(fd);
}

static void test_names(void)
{
	struct sockaddr_in sa;
	socklen_t len = sizeof(sa);
	int fd = connect_there(), mtu = 0, v = -5;

	result("peer", getsockopt(fd, SOL_SOCKET, SO_PEERNAME, &sa, &len));
	out("length %u family %d port %d", len, sa.sin_family, sa.sin_port != 0);
	len = 3;
	result("short", getsockopt(fd, SOL_SOCKET, SO_PEERNAME, &sa, &len));
	len = 200;
	result("long", getsockopt(fd, SOL_SOCKET, SO_PEERNAME, &sa, &len));
	len = sizeof(mtu);
	result("IP_MTU", getsockopt(fd, IPPROTO_IP, IP_MTU, &mtu, &len));
	out("some %d", mtu >= 576);
	len = sizeof(v);
	result("SO_INCOMING_CPU", getsockopt(fd, SOL_SOCKET, SO_INCOMING_CPU, &v, &len));
	out("a cpu %d", v >= 0 && v < 4096);
	len = sizeof(v);
	result("TCP_MAXSEG", getsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &v, &len));
	out("some %d", v > 500);
	len = sizeof(v);
	result("TCP_FASTOPEN", setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN, &v, len));
	v = 1;
	result("TCP_FASTOPEN_CONNECT", setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &v, len));
	v = 0;
	result("clamp 0", setsockopt(fd, IPPROTO_TCP, TCP_WINDOW_CLAMP, &v, len));
	tell(0);
	await(fd, POLLHUP);
	len = sizeof(sa);
	result("reset: peer", getsockopt(fd, SOL_SOCKET, SO_PEERNAME, &sa, &len));
	len = sizeof(v);
	result("reset: SO_ERROR", getsockopt(fd, SOL_SOCKET, SO_ERROR, &v, &len));
	out("%s", strerrorname_np(v));
	len = sizeof(v);
	result("again: SO_ERROR", getsockopt(fd, SOL_SOCKET, SO_ERROR, &v, &len));
	out("%d", v);
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	len = sizeof(mtu);
	result("fresh: IP_MTU", getsockopt(fd, IPPROTO_IP, IP_MTU, &mtu, &len));
	len = sizeof(sa);
	result("fresh: peer", getsockopt(fd, SOL_SOCKET, SO_PEERNAME, &sa, &len));
	v = 0;
	result("fresh: clamp 0", setsockopt(fd, IPPROTO_TCP, TCP_WINDOW_CLAMP, &v, sizeof(v)));
	close(fd);
}

static void peer_resets(void)
{
	struct linger lg = {1, 0};
	int fd = accepted();

	hear();
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg));
	close(fd);
}

static const struct tcase cases[] = {
	{"unconnected", test_unconnected, peer_accept_wait},
	{"connected", test_connected, peer_accept_wait},
	{"listening", test_listening, peer_one},
	{"kept", test_kept, peer_accept_wait},
	{"inherited", test_inherited, peer_later},
	{"shapes", test_shapes, peer_accept_wait},
	{"wild", test_wild, peer_accept_wait},
	{"ulp", test_ulp, peer_accept_wait},
	{"names", test_names, peer_resets},
};

int main(int argc, char **argv)
{
	return RUN(argc, argv, cases);
}
