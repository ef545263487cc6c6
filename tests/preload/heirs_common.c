/*
 * heirs_common.c - what one holder of a connection sets, the others have: O_NONBLOCK, options and
 * time-outs, and the end of reading, also for who sleeps.
 */
#include "peers.h"
#include "steps.h"

/* In a child, which ends; what it does to the connection is for the parent to find. */
static void child_does(int fd, void (*what)(int))
{
	pid_t pid = fork();

	if (pid == 0) {
		what(fd);
		_exit(0);
	}
	out("child %#x", (unsigned)end_of(pid));
}

static void set_nonblock(int fd)
{
	nonblock(fd);
}

static void clear_nonblock(int fd)
{
	int off = 0;

	CHECK(ioctl(fd, FIONBIO, &off) == 0);
}

static void show_blocks(int fd)
{
	struct timeval tv = {.tv_usec = 20000};
	char c;

	CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) == 0);
	errno = 0;
	result("recv", recv(fd, &c, 1, 0));
	out("nonblock %d", (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
}

/* Data is there at once, or not at all: a recv() that waits gets it. */
static void read_late(int fd, const char *label)
{
	char buf[8];
	struct pollfd p = {.fd = fd, .events = POLLIN};
	ssize_t r = recv(fd, buf, 5, 0);

	if (r < 0 && errno == EAGAIN) {
		out("%s does not wait", label);
		CHECK(poll(&p, 1, HANG_S * 1000) == 1);
		r = recv(fd, buf, 5, 0);
	} else {
		out("%s waits", label);
	}
	result(label, r);
}

static void peer_late(void)
{
	int fd = connect_there();

	while (hear() == 1) {
		usleep(100000);
		say_to(fd, "hello");
	}
	close(fd);
}

static void test_nonblock(void)
{
	int fd = accepted();

	child_does(fd, set_nonblock);
	tell(1);
	read_late(fd, "set");
	out("flag %d", (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
	child_does(fd, clear_nonblock);
	tell(1);
	read_late(fd, "cleared");
	child_does(fd, show_blocks);
	tell(0);
	close(fd);
}

static void child_child(int fd)
{
	tell(1);
	read_late(fd, "child");
}

/* And the other way round: the child has it already. */
static void test_nonblock_later(void)
{
	int fd = accepted(), gate[2], done[2];
	pid_t pid;
	char c;

	CHECK(pipe(gate) == 0 && pipe(done) == 0);
	pid = fork();
	if (pid == 0) {
		child_child(fd);
		CHECK(write(done[1], "x", 1) == 1);
		CHECK(read(gate[0], &c, 1) == 1);
		child_child(fd);
		_exit(0);
	}
	CHECK(read(done[0], &c, 1) == 1);
	nonblock(fd);
	CHECK(write(gate[1], "x", 1) == 1);
	out("child %#x", (unsigned)end_of(pid));
	tell(0);
	close(fd);
	close(gate[0]);
	close(gate[1]);
	close(done[0]);
	close(done[1]);
}

static void set_options(int fd)
{
	struct timeval tv = {.tv_usec = 40000};
	struct linger lg = {1, 7};
	int on = 1, low = 100;

	CHECK(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0);
	CHECK(setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on)) == 0);
	CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) == 0);
	CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg)) == 0);
	CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low)) == 0);
	CHECK(setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on)) == 0);
}

static int option(int fd, int level, int name)
{
	int v = -1;
	socklen_t len = sizeof(v);

	CHECK(getsockopt(fd, level, name, &v, &len) == 0);
	return v;
}

static void show_options(int fd)
{
	struct timeval tv;
	struct linger lg;
	socklen_t len = sizeof(tv);

	CHECK(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, &len) == 0);
	len = sizeof(lg);
	CHECK(getsockopt(fd, SOL_SOCKET, SO_LINGER, &lg, &len) == 0);
	out("nodelay %d cork %d limit %ld linger %d %d low %d inline %d",
		option(fd, IPPROTO_TCP, TCP_NODELAY), option(fd, IPPROTO_TCP, TCP_CORK),
		(long)tv.tv_usec, lg.l_onoff, lg.l_linger, option(fd, SOL_SOCKET, SO_RCVLOWAT),
		option(fd, SOL_SOCKET, SO_OOBINLINE));
}

static void test_options(void)
{
	int fd = accepted();
	char c;

	show_options(fd);
	child_does(fd, set_options);
	show_options(fd);
	result("recv", recv(fd, &c, 1, 0)); /* ends: the child has set a limit */
	tell(0);
	close(fd);
}

/* What was set before there were others. */
static void test_options_before(void)
{
	int fd = accepted(), off = 0;

	set_options(fd);
	child_does(fd, show_options);
	CHECK(setsockopt(fd, IPPROTO_TCP, TCP_CORK, &off, sizeof(off)) == 0);
	child_does(fd, show_options);
	tell(0);
	close(fd);
}

static void shut_reading(int fd)
{
	result("shutdown", shutdown(fd, SHUT_RD));
}

static void shut_both(int fd)
{
	result("shutdown", shutdown(fd, SHUT_RDWR));
}

static void show_ended(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLRDHUP};
	char c;

	CHECK(poll(&p, 1, HANG_S * 1000) == 1);
	out("%s", bits((unsigned)p.revents));
	result("recv", recv(fd, &c, 1, 0));
}

static void test_shut_reading(void)
{
	int fd = accepted();

	child_does(fd, shut_reading);
	show_ended(fd);
	child_does(fd, show_ended);
	result("send", send(fd, "hello", 5, MSG_NOSIGNAL));
	tell(0);
	close(fd);
}

static void in_recv(struct thread *t)
{
	t->r = recv(t->fd, t->buf, 1, 0);
}

/* A thread sleeps in recv() here, another process shuts down. */
static void shut_beside_sleeper(void (*how)(int))
{
	struct thread t = {.call = in_recv};

	t.fd = accepted();
	start(&t);
	child_does(t.fd, how);
	finish(&t);
	result("woke with", t.r);
	tell(0);
	close(t.fd);
}

static void test_sleeper(void)
{
	shut_beside_sleeper(shut_reading);
}

static void test_sleeper_both(void)
{
	shut_beside_sleeper(shut_both);
}

static const struct tcase cases[] = {
	{"nonblock", test_nonblock, peer_late},
	{"nonblock_later", test_nonblock_later, peer_late},
	{"options", test_options, peer_wait},
	{"options_before", test_options_before, peer_wait},
	{"shut_reading", test_shut_reading, peer_wait},
	{"sleeper", test_sleeper, peer_wait},
	{"sleeper_both", test_sleeper_both, peer_wait},
};

int main(int argc, char **argv)
{
	return RUN(argc, argv, cases);
}
