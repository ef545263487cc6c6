/*
 * data.c - moving bytes: flags of recv and send, vectors, time-outs, back-pressure, sendfile.
 */
#include "peers.h"
#include <sys/sendfile.h>

#define MB 1000000

/* Counts that the compiler must not see through: it would warn. */
static volatile int wrong_count = -1, huge_count = 5000;

/* ---- peers ---- */

/* ---- receiving ---- */

static void test_peek(void)
{
	int fd = accepted();
	uint8_t buf[40000];

	tell(100);
	result("peek", recv(fd, buf, 10, MSG_PEEK));
	await_bytes(fd, 100);
	result("peek", recv(fd, buf, sizeof(buf), MSG_PEEK));
	out("right %d", right(buf, 100, 0));
	result("peek waitall", recv(fd, buf, 50, MSG_PEEK | MSG_WAITALL));
	result("recv", recv(fd, buf, 60, 0));
	result("peek", recv(fd, buf, sizeof(buf), MSG_PEEK));
	out("right %d", right(buf, 40, 60));
	result("recv", recv(fd, buf, sizeof(buf), 0));
	tell(35000); /* across chunks */
	await_bytes(fd, 35000);
	result("peek", recv(fd, buf, sizeof(buf), MSG_PEEK));
	out("right %d", right(buf, 35000, 0));
	result("recv", recv(fd, buf, sizeof(buf), 0));
	tell(0);
	result("peek at the end", recv(fd, buf, 10, MSG_PEEK));
	close(fd);
}

static void test_flags(void)
{
	int fd = accepted();
	char buf[1000];

	result("dontwait", recv(fd, buf, 10, MSG_DONTWAIT));
	result("oob", recv(fd, buf, 10, MSG_OOB));
	result("errqueue", recv(fd, buf, 10, MSG_ERRQUEUE | MSG_DONTWAIT));
	tell(100);
	result("waitall", recv(fd, buf, 60, MSG_WAITALL));
	memset(buf, 'x', sizeof(buf));
	await_bytes(fd, 40);
	result("trunc", recv(fd, buf, 30, MSG_TRUNC));
	out("buffer %s", buf[0] == 'x' ? "kept" : "written");
	result("dontwait", recv(fd, buf, 1000, MSG_DONTWAIT));
	out("right %d", right((uint8_t *)buf, 10, 90));
	result("empty", recv(fd, buf, 0, MSG_DONTWAIT));
	result("read 0", read(fd, buf, 0));
	tell(5);
	await_bytes(fd, 5);
	result("recv 0", recv(fd, buf, 0, 0));
	result("waitall cut short by the end", (tell(0), recv(fd, buf, 100, MSG_WAITALL)));
	result("recv", recv(fd, buf, 100, 0));
	close(fd);
}

static void test_msg(void)
{
	int fd = accepted();
	uint8_t a[3], b[50000], c[7];
	struct iovec v[] = {{a, sizeof(a)}, {NULL, 0}, {b, sizeof(b)}, {c, sizeof(c)}};
	struct sockaddr_in sa;
	char control[64];
	struct msghdr m = {.msg_name = &sa,
		.msg_namelen = sizeof(sa),
		.msg_iov = v,
		.msg_iovlen = 4,
		.msg_control = control,
		.msg_controllen = sizeof(control),
		.msg_flags = -1};
	socklen_t len = sizeof(sa);

	tell(50010);
	await_bytes(fd, 50010);
	result("recvmsg", recvmsg(fd, &m, 0));
	out("namelen %u controllen %zu flags %d", m.msg_namelen, m.msg_controllen, m.msg_flags);
	out("right %d %d %d", right(a, 3, 0), right(b, 50000, 3), right(c, 7, 50003));
	tell(20);
	await_bytes(fd, 20);
	result("readv", readv(fd, v, 1));
	result("readv", readv(fd, v, 4));
	result("readv none", readv(fd, v, 0));
	result("readv wrong", readv(fd, v, wrong_count));
	result("readv many", readv(fd, v, huge_count));
	tell(9);
	await_bytes(fd, 9);
	result("recvfrom", recvfrom(fd, b, 9, 0, (struct sockaddr *)&sa, &len));
	out("len %u", len);
	tell(0);
	close(fd);
}

static void test_mmsg(void)
{
	int fd = accepted();
	char a[4], b[4];
	struct iovec v[] = {{a, 4}, {b, 4}};
	struct mmsghdr m[2] = {{.msg_hdr = {.msg_iov = &v[0], .msg_iovlen = 1}},
		{.msg_hdr = {.msg_iov = &v[1], .msg_iovlen = 1}}};

	tell(6);
	await_bytes(fd, 6);
	result("recvmmsg", recvmmsg(fd, m, 2, 0, NULL));
	out("%u %u", m[0].msg_len, m[1].msg_len);
	result("recvmmsg", recvmmsg(fd, m, 2, MSG_DONTWAIT, NULL));
	result("sendmmsg", sendmmsg(fd, m, 2, 0));
	tell(0);
	close(fd);
}

static void test_ioctl(void)
{
	int fd = accepted(), n = -1;
	char c;

	result("FIONREAD of nothing", ioctl(fd, FIONREAD, NULL));
	result("TIOCOUTQ of nothing", ioctl(fd, TIOCOUTQ, NULL));
	result("FIONBIO of nothing", ioctl(fd, FIONBIO, NULL));
	result("FIONREAD", ioctl(fd, FIONREAD, &n));
	out("%d", n);
	tell(12345);
	await_bytes(fd, 12345);
	ioctl(fd, FIONREAD, &n);
	out("%d", n);
	CHECK(recv(fd, &c, 1, 0) == 1);
	ioctl(fd, FIONREAD, &n);
	out("%d", n);
	result("TIOCOUTQ", ioctl(fd, TIOCOUTQ, &n));
	out("%d", n);
	tell(0);
	while (recv(fd, &c, 1, 0) == 1)
		;
	ioctl(fd, FIONREAD, &n);
	out("%d", n);
	close(fd);
}

static void test_rcvtimeo(void)
{
	int fd = accepted();
	struct timeval tv = {0, 100000}, got;
	socklen_t len = sizeof(got);
	char buf[100];

	result("setsockopt", setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &got, &len);
	out("timeout %ld.%06ld", (long)got.tv_sec, (long)got.tv_usec);
	result("recv", recv(fd, buf, 100, 0));
	tell(10);
	await_bytes(fd, 10);
	result("waitall", recv(fd, buf, 100, MSG_WAITALL));
	result("recv", recv(fd, buf, 100, 0));
	tell(0);
	result("recv", recv(fd, buf, 100, 0));
	close(fd);
}

static void test_accept_timeo(void)
{
	int l = listen_here(0, 5);
	struct timeval tv = {0, 100000};

	setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	result("accept", accept(l, NULL, NULL));
	tell(0);
	close(l);
}

static void peer_two(void)
{
	hear();
	hear();
}

static void test_rcvlowat(void)
{
	int fd = accepted(), low = 50, n;
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char buf[100];

	result("setsockopt", setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low)));
	tell(20);
	for (n = 0; n < 20;)
		CHECK(ioctl(fd, FIONREAD, &n) == 0);
	result("poll", poll(&p, 1, 0));
	tell(40);
	result("poll", poll(&p, 1, 20000));
	result("recv", recv(fd, buf, 100, 0));
	tell(10);
	await_bytes(fd, 10);
	result("dontwait", recv(fd, buf, 100, MSG_DONTWAIT));
	tell(0);
	result("poll", poll(&p, 1, 20000));
	close(fd);
}

/* More than the first window: poll() waits for all of it all the same. */
static void test_rcvlowat_large(void)
{
	int fd = accepted(), low = 80000, n = 0, get = 0;
	socklen_t len = sizeof(get);
	struct pollfd p = {.fd = fd, .events = POLLIN};

	result("setsockopt", setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low)));
	result("getsockopt", getsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &get, &len));
	out("SO_RCVLOWAT %d", get);
	tell(79999);
	await_bytes(fd, 79999);
	result("poll", poll(&p, 1, 0));
	tell(1);
	result("poll", poll(&p, 1, 20000));
	CHECK(ioctl(fd, FIONREAD, &n) == 0);
	out("there %d", n);
	tell(0);
	out("got %ld", (long)recv_all(fd, 0, 79999, 5000));
	close(fd);
}

/* After SHUT_RD nothing is waited for; what comes all the same is there to be read. */
static void test_shut_rd(void)
{
	int fd = accepted();
	char buf[100];

	tell(10);
	await_bytes(fd, 10);
	result("shutdown", shutdown(fd, SHUT_RD));
	out("poll %s", bits((unsigned)await(fd, POLLIN | POLLRDHUP)));
	result("recv what was there", recv(fd, buf, sizeof(buf), 0));
	result("recv", recv(fd, buf, sizeof(buf), 0));
	out("poll %s", bits((unsigned)await(fd, POLLIN | POLLRDHUP)));
	tell(20);
	await_bytes(fd, 20);
	result("peek", recv(fd, buf, 5, MSG_PEEK));
	result("recv what came", recv(fd, buf, sizeof(buf), 0));
	out("right %d", right((uint8_t *)buf, 20, 0));
	result("waitall", recv(fd, buf, sizeof(buf), MSG_WAITALL));
	result("dontwait", recv(fd, buf, sizeof(buf), MSG_DONTWAIT));
	result("again", shutdown(fd, SHUT_RD));
	tell(0);
	result("send", send(fd, "x", 1, MSG_NOSIGNAL));
	close(fd);
}

/* SO_RCVBUF before listen(): a peer gets rid of no more than that, and all of it arrives in the end. */
static void test_rcvbuf_small(void)
{
	struct sockaddr_in sa = address(false, 0);
	int l = socket(AF_INET, SOCK_STREAM, 0), bytes = 6000, fd, n = 0, before = -1;
	socklen_t len = sizeof(bytes);
	static uint8_t buf[50000];

	CHECK(setsockopt(l, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)) == 0);
	CHECK(bind(l, (struct sockaddr *)&sa, sizeof(sa)) == 0);
	CHECK(listen(l, 1) == 0);
	tell(port_of(l));
	fd = accept(l, NULL, NULL);
	CHECK(fd >= 0);
	CHECK(getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, &len) == 0);
	out("SO_RCVBUF %d", bytes);
	tell(300000);
	while (n == 0 || n != before) {
		struct timespec ms = {0, 100000000};

		before = n;
		nanosleep(&ms, NULL);
		CHECK(ioctl(fd, FIONREAD, &n) == 0);
	}
	out("within the buffer %d", n > 0 && n <= bytes);
	tell(0);
	result("waitall beyond the buffer", recv(fd, buf, sizeof(buf), MSG_WAITALL));
	out("right %d", right(buf, sizeof(buf), 0));
	out("got %ld", (long)recv_all(fd, sizeof(buf), 1000000, 5000));
	close(fd);
	close(l);
}

/* Reads of odd sizes across every boundary. */
static void test_odd_reads(void)
{
	int fd = accepted();
	uint64_t pos = 0;
	size_t step = 1;
	static uint8_t buf[100000];

	tell(5 * MB);
	while (pos < 5 * MB) {
		ssize_t r = recv(fd, buf, step, 0);

		CHECK(r > 0);
		if (!right(buf, (size_t)r, pos)) {
			out("wrong at %llu", (unsigned long long)pos);
			break;
		}
		pos += (uint64_t)r;
		step = step * 5 % 99991 + 1;
	}
	out("%llu bytes", (unsigned long long)pos);
	tell(0);
	close(fd);
}

static void test_bulk_in(void)
{
	int fd = accepted();

	tell(40 * MB);
	out("got %ld", (long)recv_all(fd, 0, 40 * MB, 1 << 20));
	tell(0);
	close(fd);
}

/* Slow reader: the window closes and opens again many times. */
static void test_slow_reader(void)
{
	int fd = accepted(), i;
	uint64_t pos = 0;

	tell(12 * MB);
	for (i = 0; i < 40; i++) {
		usleep(5000);
		CHECK(recv_all(fd, pos, 300000, 8192) == 300000);
		pos += 300000;
	}
	out("got %llu", (unsigned long long)pos);
	tell(0);
	close(fd);
}

/* ---- sending ---- */

static void test_bulk_out(void)
{
	int fd = accepted();

	tell(0);
	send_all(fd, 0, 40 * MB);
	shutdown(fd, SHUT_WR);
	out("peer got %d", hear());
	close(fd);
}

static void test_odd_writes(void)
{
	int fd = accepted();
	uint64_t pos = 0;
	size_t step = 1;
	static uint8_t buf[100000];

	tell(0);
	while (pos < 5 * MB) {
		fill(buf, step, pos);
		CHECK(write(fd, buf, step) == (ssize_t)step);
		pos += step;
		step = step * 5 % 99991 + 1;
	}
	shutdown(fd, SHUT_WR);
	out("peer got %s", hear() == (int)pos ? "all" : "something else");
	close(fd);
}

/* Blocking sends larger than any buffer return whole. */
static void test_large_send(void)
{
	int fd = accepted();
	static uint8_t buf[16 * MB];

	fill(buf, sizeof(buf), 0);
	tell(0);
	result("send", send(fd, buf, sizeof(buf), 0));
	shutdown(fd, SHUT_WR);
	out("peer got %d", hear());
	close(fd);
}

static uint64_t fill_up(int fd)
{
	static uint8_t buf[100000];
	uint64_t pos = 0;
	ssize_t r;

	for (;;) {
		fill(buf, sizeof(buf), pos);
		r = send(fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (r < 0)
			break;
		pos += (uint64_t)r;
	}
	CHECK(errno == EAGAIN);
	return pos;
}

static void test_full(void)
{
	int fd = accepted();
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	uint64_t pos;
	uint8_t c;
	int i, r;

	pos = fill_up(fd); /* then the peer's side fills up as well */
	for (i = 0; i < 50; i++) {
		uint64_t more;
		static uint8_t buf[1000];

		usleep(10000);
		for (more = 0;; more += (uint64_t)r) {
			fill(buf, sizeof(buf), pos + more);
			r = (int)send(fd, buf, sizeof(buf), MSG_DONTWAIT);
			if (r < 0)
				break;
		}
		pos += more;
		if (more == 0 && i > 20)
			break;
	}
	result("poll", poll(&p, 1, 0));
	tell(0);
	result("poll", poll(&p, 1, 20000));
	c = byte_at(pos);
	result("send", send(fd, &c, 1, 0));
	shutdown(fd, SHUT_WR);
	out("peer got %s", (uint64_t)hear() == pos + 1 ? "all" : "something else");
	close(fd);
}

static void test_sndtimeo(void)
{
	int fd = accepted();
	struct timeval tv = {0, 100000};
	static uint8_t buf[32 * MB];
	ssize_t r;

	CHECK(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) == 0);
	fill(buf, sizeof(buf), 0);
	r = send(fd, buf, sizeof(buf), 0);
	out("send %s", r > 0 && r < (ssize_t)sizeof(buf) ? "part" : "other");
	while (r > 0)
		r = send(fd, buf, sizeof(buf), 0);
	result("send", r);
	tell(0);
	shutdown(fd, SHUT_WR);
	out("peer got %s", hear() != 0 ? "some" : "none");
	close(fd);
}

static void test_vectors_out(void)
{
	int fd = accepted(), i;
	static uint8_t buf[200000];
	struct iovec v[1024];
	struct msghdr m = {.msg_iov = v, .msg_iovlen = 1024};
	size_t pos = 0;

	fill(buf, sizeof(buf), 0);
	for (i = 0; i < 1024; i++) {
		v[i].iov_base = buf + pos;
		v[i].iov_len = (size_t)(i * 7 % 190);
		pos += v[i].iov_len;
	}
	tell(0);
	out("writev %s", writev(fd, v, 1024) == (ssize_t)pos ? "all" : "part");
	result("writev too many", writev(fd, v, huge_count));
	m.msg_iovlen = 2000;
	result("sendmsg too many", sendmsg(fd, &m, 0));
	result("send nothing", send(fd, buf, 0, 0));
	result("writev nothing", writev(fd, v, 0));
	shutdown(fd, SHUT_WR);
	out("peer got %s", hear() == (int)pos ? "all" : "something else");
	close(fd);
}

static void test_more(void)
{
	int fd = accepted(), on = 1, off = 0, got = -1;
	socklen_t len = sizeof(got);
	uint8_t buf[100];

	fill(buf, 100, 0);
	result("more", send(fd, buf, 10, MSG_MORE));
	result("send", send(fd, buf + 10, 10, 0));
	result("cork", setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on)));
	result("send", send(fd, buf + 20, 30, 0));
	result("uncork", setsockopt(fd, IPPROTO_TCP, TCP_CORK, &off, sizeof(off)));
	result("nodelay", setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)));
	getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &got, &len);
	out("nodelay %d", got);
	getsockopt(fd, IPPROTO_TCP, TCP_CORK, &got, &len);
	out("cork %d", got);
	result("sendto", sendto(fd, buf + 50, 50, 0, (struct sockaddr *)buf, 16));
	tell(0);
	shutdown(fd, SHUT_WR);
	out("peer got %d", hear());
	close(fd);
}

/* Corked bytes that nobody uncorks go all the same, after 200 ms. */
static void test_cork_ceiling(void)
{
	int fd = accepted(), on = 1;
	char buf[10];

	CHECK(setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on)) == 0);
	result("send", send(fd, "01234", 5, 0));
	result("recv", recv(fd, buf, 5, MSG_WAITALL));
	result("more", send(fd, "56789", 5, MSG_MORE));
	result("poll", poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 20000));
	close(fd);
}

static void peer_reply(void)
{
	int fd = connect_there(), i;
	char buf[10];

	for (i = 0; i < 2; i++) {
		CHECK(recv(fd, buf, 5, MSG_WAITALL) == 5);
		CHECK(send(fd, buf, 5, MSG_NOSIGNAL) == 5);
	}
	recv(fd, buf, 5, 0);
	close(fd);
}

static int int_opt(int fd, int level, int name)
{
	int v = -1;
	socklen_t len = sizeof(v);

	if (getsockopt(fd, level, name, &v, &len) != 0)
		return -errno;
	return v;
}

/* What a listener was given, its connections have. */
static void test_inherit(void)
{
	struct sockaddr_in sa = address(false, 0);
	int l = socket(AF_INET, SOCK_STREAM, 0), fd, on = 1, idle = 77;

	CHECK(setsockopt(l, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0);
	CHECK(setsockopt(l, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) == 0);
	CHECK(setsockopt(l, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle)) == 0);
	CHECK(bind(l, (struct sockaddr *)&sa, sizeof(sa)) == 0 && listen(l, 5) == 0);
	tell(port_of(l));
	fd = accept(l, NULL, NULL);
	CHECK(fd >= 0);
	out("nodelay %d keepalive %d idle %d", int_opt(fd, IPPROTO_TCP, TCP_NODELAY),
		int_opt(fd, SOL_SOCKET, SO_KEEPALIVE), int_opt(fd, IPPROTO_TCP, TCP_KEEPIDLE));
	out("type %d domain %d protocol %d listening %d error %d", int_opt(fd, SOL_SOCKET, SO_TYPE),
		int_opt(fd, SOL_SOCKET, SO_DOMAIN), int_opt(fd, SOL_SOCKET, SO_PROTOCOL),
		int_opt(fd, SOL_SOCKET, SO_ACCEPTCONN), int_opt(fd, SOL_SOCKET, SO_ERROR));
	out("unknown %d", int_opt(fd, SOL_SOCKET, 12345));
	out("mss %s", int_opt(fd, IPPROTO_TCP, TCP_MAXSEG) > 500 ? "sane" : "not");
	tell(0);
	close(fd);
	close(l);
}

static void test_tcp_info(void)
{
	int fd = accepted();
	struct tcp_info ti;
	socklen_t len = sizeof(ti);

	memset(&ti, 0, sizeof(ti));
	result("getsockopt", getsockopt(fd, IPPROTO_TCP, TCP_INFO, &ti, &len));
	out("state %d mss %s", ti.tcpi_state, ti.tcpi_snd_mss > 500 ? "sane" : "not");
	len = 4;
	result("short", getsockopt(fd, IPPROTO_TCP, TCP_INFO, &ti, &len));
	out("len %u", len);
	tell(0);
	close(fd);
}

/* ---- sendfile ---- */

static int file_of(size_t n)
{
	char name[] = "/tmp/tas-preload-XXXXXX";
	static uint8_t buf[8 * MB];
	int fd = mkstemp(name);

	CHECK(fd >= 0);
	unlink(name);
	fill(buf, n, 0);
	CHECK(write(fd, buf, n) == (ssize_t)n);
	CHECK(lseek(fd, 0, SEEK_SET) == 0);
	return fd;
}

static void test_sendfile(void)
{
	int fd = accepted(), in = file_of(8 * MB);
	off_t off = 0;

	tell(0);
	result("first", sendfile(fd, in, &off, 1000));
	out("offset %ld position %ld", (long)off, (long)lseek(in, 0, SEEK_CUR));
	result("offset 1", sendfile(fd, in, &off, 1));
	CHECK(lseek(in, off, SEEK_SET) == off);
	result("position", sendfile(fd, in, NULL, 99999));
	out("offset %ld position %ld", (long)off, (long)lseek(in, 0, SEEK_CUR));
	off = lseek(in, 0, SEEK_CUR);
	while (off < 8 * MB)
		CHECK(sendfile(fd, in, &off, 8 * MB) > 0);
	out("offset %ld", (long)off);
	result("at the end", sendfile(fd, in, &off, 1000));
	off = 9 * MB;
	result("beyond the end", sendfile(fd, in, &off, 1000));
	out("offset %ld", (long)off);
	off = 5;
	result("nothing", sendfile(fd, in, &off, 0));
	off = -1;
	result("negative", sendfile(fd, in, &off, 10));
	result("from a bad descriptor", sendfile(fd, 9999, NULL, 10));
	shutdown(fd, SHUT_WR);
	off = 0;
	result("after shutdown", (signal(SIGPIPE, SIG_IGN), sendfile(fd, in, &off, 10)));
	signal(SIGPIPE, SIG_DFL);
	out("offset %ld", (long)off);
	out("peer got %d", hear());
	close(fd);
	close(in);
}

static void test_sendfile_short(void)
{
	int fd = accepted(), in = file_of(100), pipes[2];
	off_t off = 90;

	tell(0);
	result("more than there is", sendfile(fd, in, NULL, 1000));
	out("position %ld", (long)lseek(in, 0, SEEK_CUR));
	result("again", sendfile(fd, in, NULL, 1000));
	CHECK(pipe(pipes) == 0);
	result("from a socket", sendfile(fd, fd, NULL, 10));
	result("from a socket to a file", sendfile(in, fd, NULL, 10));
	close(in);
	in = open("/tmp", O_RDONLY | O_DIRECTORY);
	off = 0;
	out("from a folder %s", sendfile(fd, in, &off, 10) < 0 ? "fails" : "works");
	shutdown(fd, SHUT_WR);
	out("peer got %d", hear());
	close(fd);
	close(in);
}

/* Without blocking: part, then EAGAIN, offset exact, until all is there. */
static void test_sendfile_nonblock(void)
{
	int fd = accepted(), in = file_of(8 * MB);
	off_t off = 0, before;
	ssize_t r;

	nonblock(fd);
	do {
		before = off;
		r = sendfile(fd, in, &off, 8 * MB);
		CHECK(off == before + (r > 0 ? r : 0));
	} while (r > 0);
	result("full", r);
	usleep(50000);
	tell(0);
	while (off < 8 * MB) {
		before = off;
		r = sendfile(fd, in, &off, 8 * MB);
		CHECK(off == before + (r > 0 ? r : 0));
		if (r < 0) {
			CHECK(errno == EAGAIN);
			await(fd, POLLOUT);
		}
	}
	shutdown(fd, SHUT_WR);
	out("peer got %d", hear());
	close(fd);
	close(in);
}

static void test_mixed_sources(void)
{
	int fd = accepted(), in = file_of(1 * MB), i;
	uint64_t pos = 0;
	static uint8_t buf[5000];
	off_t off;

	tell(0);
	for (i = 0; i < 100; i++) {
		fill(buf, 777, pos);
		CHECK(send(fd, buf, 777, i % 3 == 0 ? MSG_MORE : 0) == 777);
		pos += 777;
		off = (off_t)pos;
		CHECK(sendfile(fd, in, &off, 4001) == 4001);
		pos += 4001;
	}
	shutdown(fd, SHUT_WR);
	out("peer got %d", hear());
	close(fd);
	close(in);
}

static void test_splice(void)
{
	int fd = accepted(), p[2];
	uint8_t buf[10];
	ssize_t r;

	CHECK(pipe(p) == 0);
	fill(buf, 10, 0);
	CHECK(write(p[1], buf, 10) == 10);
	r = splice(p[0], NULL, fd, NULL, 10, 0);
	if (r < 0) { /* not offered: programs copy */
		CHECK(errno == EINVAL);
		CHECK(read(p[0], buf, 10) == 10 && send(fd, buf, 10, 0) == 10);
	}
	tell(0);
	shutdown(fd, SHUT_WR);
	out("peer got %d", hear());
	close(fd);
}

static const struct tcase cases[] = {
	{"peek", test_peek, peer_source},
	{"flags", test_flags, peer_source},
	{"msg", test_msg, peer_source},
	{"mmsg", test_mmsg, peer_source},
	{"ioctl", test_ioctl, peer_source},
	{"rcvtimeo", test_rcvtimeo, peer_source},
	{"accept_timeo", test_accept_timeo, peer_two},
	{"rcvlowat", test_rcvlowat, peer_source},
	{"rcvlowat_large", test_rcvlowat_large, peer_source},
	{"shut_rd", test_shut_rd, peer_source},
	{"rcvbuf_small", test_rcvbuf_small, peer_source},
	{"odd_reads", test_odd_reads, peer_source},
	{"bulk_in", test_bulk_in, peer_source},
	{"slow_reader", test_slow_reader, peer_source},
	{"bulk_out", test_bulk_out, peer_sink},
	{"odd_writes", test_odd_writes, peer_sink},
	{"large_send", test_large_send, peer_sink},
	{"full", test_full, peer_sink},
	{"sndtimeo", test_sndtimeo, peer_sink},
	{"vectors_out", test_vectors_out, peer_sink},
	{"more", test_more, peer_sink},
	{"cork_ceiling", test_cork_ceiling, peer_reply},
	{"inherit", test_inherit, peer_wait},
	{"tcp_info", test_tcp_info, peer_wait},
	{"sendfile", test_sendfile, peer_sink},
	{"sendfile_short", test_sendfile_short, peer_sink},
	{"sendfile_nonblock", test_sendfile_nonblock, peer_sink},
	{"mixed_sources", test_mixed_sources, peer_sink},
	{"splice", test_splice, peer_sink},
};

int main(int argc, char **argv)
{
	return RUN(argc, argv, cases);
}
