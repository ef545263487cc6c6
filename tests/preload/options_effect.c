/*
 * What options do, seen at the tested side: when a socket is writable, what recvmsg() brings, when accept() returns, how a
 * socket ends, fcntl() and ioctl(). Packets are e2e/options_wire's.
 */
#include <linux/sockios.h>
#include "peers.h"

#ifndef TCP_INQ
#define TCP_INQ	   36
#define TCP_CM_INQ TCP_INQ
#endif

/* ---- TCP_NOTSENT_LOWAT ---- */

static int unsent(int fd)
{
	int n = 0;

	CHECK(ioctl(fd, SIOCOUTQNSD, &n) == 0);
	return n;
}

/* The peer does not read: once its window is full, no more than the mark waits here. */
static void test_notsent(void)
{
	static char buf[1024];
	int fd = connect_there(), low = 32768, left;
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	int64_t total = 0;
	ssize_t r;

	CHECK(setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &low, sizeof(low)) == 0);
	nonblock(fd);
	while (poll(&p, 1, 300) > 0)
		while ((r = send(fd, buf, sizeof(buf), MSG_NOSIGNAL)) > 0)
			total += r;
	left = unsent(fd);
	out("stopped below twice the mark %d, not far below half %d", left<2 * low, left> low / 4);
	out("something was sent %d", total > left);
	tell(1);
	CHECK(poll(&p, 1, HANG_S * 1000) == 1);
	out("writable with less than half of it %d", unsent(fd) * 2 <= low);
	tell(0);
	close(fd);
}

static void peer_small(void)
{
	int l = socket(AF_INET, SOCK_STREAM, 0), small = 16384, fd;
	struct sockaddr_in sa = address(true, 0);
	static char buf[65536];

	CHECK(setsockopt(l, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)) == 0);
	CHECK(bind(l, (struct sockaddr *)&sa, sizeof(sa)) == 0 && listen(l, 1) == 0);
	tell(port_of(l));
	fd = accept(l, NULL, NULL);
	hear();
	while (recv(fd, buf, sizeof(buf), 0) > 0)
		;
	hear();
	close(fd);
}

static void test_notsent_blocking(void)
{
	int fd = connect_there(), low = 8192;

	CHECK(setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &low, sizeof(low)) == 0);
	send_all(fd, 0, 3000000);
	out("sent");
	out("all %d", hear());
	close(fd);
}

static void peer_takes(void)
{
	int fd = accepted();

	tell(recv_all(fd, 0, 3000000, 65536) == 3000000);
	close(fd);
}

/* ---- TCP_INQ ---- */

static void receive(int fd, size_t n, size_t room, int flags)
{
	char data[64], control[64] __attribute__((aligned(8)));
	struct iovec v = {data, n};
	struct msghdr m = {
		.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = room};
	struct cmsghdr *c;
	ssize_t r = recvmsg(fd, &m, flags);
	int inq;

	result("recvmsg", r);
	out("control %zu flags %#x", m.msg_controllen, m.msg_flags);
	for (c = CMSG_FIRSTHDR(&m); c != NULL; c = CMSG_NXTHDR(&m, c)) {
		memcpy(&inq, CMSG_DATA(c), sizeof(inq));
		out("level %d type %d length %zu", c->cmsg_level, c->cmsg_type, c->cmsg_len);
		if (c->cmsg_len >= CMSG_LEN(sizeof(int)))
			out("left %d", inq);
	}
}

static void test_inq(void)
{
	int fd = connect_there(), one = 1;

	tell(10);
	await_bytes(fd, 10);
	receive(fd, 2, 64, 0);
	CHECK(setsockopt(fd, IPPROTO_TCP, TCP_INQ, &one, sizeof(one)) == 0);
	receive(fd, 3, 64, 0);
	receive(fd, 1, 64, MSG_PEEK);
	receive(fd, 1, CMSG_SPACE(sizeof(int)), 0);
	receive(fd, 1, CMSG_LEN(sizeof(int)), 0);
	receive(fd, 1, CMSG_LEN(sizeof(int)) - 2, 0);
	receive(fd, 1, 8, 0);
	receive(fd, 1, 0, 0);
	tell(0);
	await(fd, POLLRDHUP);
	receive(fd, 1, 64, 0);
	close(fd);
}

static void peer_bytes(void)
{
	int fd = accepted(), n;

	while ((n = hear()) > 0)
		send_all(fd, 0, (uint64_t)n);
	close(fd);
}

/* ---- TCP_DEFER_ACCEPT ---- */

static void test_defer(void)
{
	int l, fd, seconds = 30;
	struct sockaddr_in sa = address(false, 0);
	struct pollfd p;
	char c;

	l = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(setsockopt(l, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof(seconds)) == 0);
	CHECK(bind(l, (struct sockaddr *)&sa, sizeof(sa)) == 0 && listen(l, 5) == 0);
	tell(port_of(l));
	hear(); /* the client's connect() is over */
	p = (struct pollfd){.fd = l, .events = POLLIN};
	out("before data: %d", poll(&p, 1, 200));
	tell(1);
	out("after: %d", poll(&p, 1, HANG_S * 1000));
	fd = accept(l, NULL, NULL);
	out("data is there: %zd", recv(fd, &c, 1, 0));
	close(fd);
	close(l);
}

static void peer_silent(void)
{
	struct sockaddr_in sa = address(false, hear());
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char c;

	CHECK(connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0);
	tell(0);
	hear();
	say_to(fd, "x");
	recv(fd, &c, 1, 0);
	close(fd);
}

/* ---- TCP_LINGER2 ---- */

/* A closed socket that does not wait for the peer's end resets it instead. */
static void test_linger2(void)
{
	int fd = connect_there(), never = -1;

	CHECK(setsockopt(fd, IPPROTO_TCP, TCP_LINGER2, &never, sizeof(never)) == 0);
	say_to(fd, "last words");
	close(fd);
	out("peer read %d, then %s", hear(), strerrorname_np(hear()));
}

static void peer_writes_on(void)
{
	int fd = accepted(), i;
	char buf[64];
	ssize_t r = recv(fd, buf, sizeof(buf), MSG_WAITALL);

	tell((int)r);
	for (i = 0; i < 1000; i++) {
		r = send(fd, "x", 1, MSG_NOSIGNAL);
		if (r < 0)
			break;
		usleep(1000);
	}
	tell(r < 0 ? (errno == EPIPE || errno == ECONNRESET ? EPIPE : errno) : 0);
	close(fd);
}

/* ---- TCP_QUICKACK, SO_MAX_PACING_RATE: the connection goes on as it was ---- */

static void test_traffic(void)
{
	int fd = connect_there(), v, i;
	uint64_t rate = 400000000, off = UINT64_MAX;
	char c;

	CHECK(setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &rate, sizeof(rate)) == 0);
	send_all(fd, 0, 1000000);
	CHECK(setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &off, sizeof(off)) == 0);
	send_all(fd, 1000000, 1000000);
	out("paced and not: all %d", hear());
	for (i = 0; i < 50; i++) {
		v = i & 1;
		CHECK(setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &v, sizeof(v)) == 0);
		tell(1);
		CHECK(recv(fd, &c, 1, 0) == 1);
	}
	tell(0);
	out("quick acks: all");
	close(fd);
}

static void peer_traffic(void)
{
	int fd = accepted();

	tell(recv_all(fd, 0, 2000000, 65536) == 2000000);
	while (hear() == 1)
		say_to(fd, "x");
	close(fd);
}

/* ---- time-outs add up over the parts of one call ---- */

static void test_sndtimeo(void)
{
	static char buf[8 << 20];
	int fd = connect_there();
	struct timeval tv = {0, 300000};
	struct timespec a, b;
	ssize_t r;
	long ms;

	CHECK(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) == 0);
	clock_gettime(CLOCK_MONOTONIC, &a);
	r = send(fd, buf, sizeof(buf), MSG_NOSIGNAL);
	clock_gettime(CLOCK_MONOTONIC, &b);
	ms = (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000;
	out("a part %d, not before its time %d", r > 0 && r < (ssize_t)sizeof(buf), ms >= 290);
	while (send(fd, buf, sizeof(buf), MSG_NOSIGNAL) > 0)
		;
	out("then %s", strerrorname_np(errno));
	tell(0);
	close(fd);
}

/* ---- ports ---- */

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif

static void test_ports(void)
{
	struct sockaddr_in sa = address(true, hear());
	int fd = socket(AF_INET, SOCK_STREAM, 0), range = 23450 | 23459 << 16, port;

	CHECK(setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &range, sizeof(range)) == 0);
	CHECK(connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0);
	port = port_of(fd);
	out("of the range: %d", port >= 23450 && port <= 23459);
	tell(0);
	close(fd);
}

/* ---- fcntl and ioctl ---- */

static void test_calls(void)
{
	int fd = connect_there(), v = -1, copy;

	out("F_GETFL %#x", fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK | O_ASYNC));
	result("F_SETFL", fcntl(fd, F_SETFL, O_NONBLOCK | O_APPEND));
	out("F_GETFL %#x", fcntl(fd, F_GETFL) & (O_NONBLOCK | O_APPEND));
	v = 0;
	result("FIONBIO", ioctl(fd, FIONBIO, &v));
	out("F_GETFL %#x", fcntl(fd, F_GETFL) & O_NONBLOCK);
	result("FIOCLEX", ioctl(fd, FIOCLEX, NULL));
	out("F_GETFD %d", fcntl(fd, F_GETFD));
	result("FIONCLEX", ioctl(fd, FIONCLEX, NULL));
	out("F_GETFD %d", fcntl(fd, F_GETFD));
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 50);
	out("copy %d F_GETFD %d", copy >= 50, fcntl(copy, F_GETFD));
	close(copy);
	v = -1;
	result("SIOCATMARK", ioctl(fd, SIOCATMARK, &v));
	result("FIONREAD", ioctl(fd, FIONREAD, &v));
	out("unread %d", v);
	result("SIOCOUTQ", ioctl(fd, SIOCOUTQ, &v));
	out("queued %d", v);
	result("SIOCOUTQNSD", ioctl(fd, SIOCOUTQNSD, &v));
	out("unsent %d", v);
	result("FIOASYNC off", ioctl(fd, FIOASYNC, &(int){0}));
	result("unknown", ioctl(fd, 0x5fff, &v));
	result("F_SETOWN", fcntl(fd, F_SETOWN, getpid()));
	out("F_GETOWN %d", fcntl(fd, F_GETOWN) == getpid());
	result("F_GETSIG", fcntl(fd, F_GETSIG));
	result("unknown fcntl", fcntl(fd, 9999, 0));
	tell(0);
	close(fd);
}

static void test_wild(void)
{
	static const unsigned long requests[] = {
		FIONBIO, FIONREAD, SIOCOUTQ, SIOCOUTQNSD, SIOCATMARK, FIOASYNC};
	int fd = connect_there();
	size_t i;

	for (i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		result("NULL", ioctl(fd, requests[i], NULL));
		result("wild", ioctl(fd, requests[i], (void *)0xdead000000000000));
		result("kernel", ioctl(fd, requests[i], (void *)0xffffffff80000000));
	}
	tell(0);
	close(fd);
}

static const struct tcase cases[] = {
	{"notsent", test_notsent, peer_small},
	{"notsent_blocking", test_notsent_blocking, peer_takes},
	{"inq", test_inq, peer_bytes},
	{"defer", test_defer, peer_silent},
	{"linger2", test_linger2, peer_writes_on},
	{"traffic", test_traffic, peer_traffic},
	{"sndtimeo", test_sndtimeo, peer_accept_wait},
	{"ports", test_ports, peer_accept_wait},
	{"calls", test_calls, peer_accept_wait},
	{"wild", test_wild, peer_accept_wait},
};

int main(int argc, char **argv)
{
	return RUN(argc, argv, cases);
}
