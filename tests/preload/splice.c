/*
 * splice.c - splice() between a pipe and a socket, tee(), vmsplice(), and sendfile() from a socket.
 */
#include "peers.h"
#include "steps.h"
#include <sys/sendfile.h>

#define MB	1000000
#define RELAYED (3 * MB + 12345)

static void make_pipe(int p[2])
{
	CHECK(pipe2(p, O_CLOEXEC) == 0);
}

static void close_pipe(const int p[2])
{
	close(p[0]);
	close(p[1]);
}

static void put(int fd, uint64_t from, size_t n)
{
	static uint8_t buf[65536];

	fill(buf, n, from);
	CHECK(write(fd, buf, n) == (ssize_t)n);
}

/* Everything that lies in the pipe; -1: a wrong byte. */
static long drain(int fd, uint64_t from)
{
	static uint8_t buf[65536];
	int have;
	ssize_t r;

	CHECK(ioctl(fd, FIONREAD, &have) == 0);
	if (have == 0)
		return 0;
	r = read(fd, buf, sizeof(buf));
	CHECK(r >= 0);
	return right(buf, (size_t)r, from) ? (long)r : -1;
}

/* ---- peers ---- */

/* Sends and reads back as many bytes as it is told, at once; tells how many came back right. */
static void peer_echoed(void)
{
	int fd = connect_there(), n = hear();
	pid_t pid = fork();

	if (pid == 0) {
		send_all(fd, 0, (uint64_t)n);
		shutdown(fd, SHUT_WR);
		_exit(0);
	}
	tell((int)recv_all(fd, 0, INT32_MAX, 65536));
	CHECK(end_of(pid) == 0);
	close(fd);
}

static void peer_reset(void)
{
	struct linger lg = {1, 0};
	int fd = connect_there();

	hear();
	CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg)) == 0);
	close(fd);
	tell(0);
	hear();
}

/* ---- moving ---- */

static void test_both_ways(void)
{
	int fd = accepted(), p[2];

	make_pipe(p);
	tell(1000);
	await_bytes(fd, 1000);
	result("out of the socket", splice(fd, NULL, p[1], NULL, 300, SPLICE_F_MOVE));
	result("the rest", splice(fd, NULL, p[1], NULL, 65536, 0));
	out("in the pipe %ld", drain(p[0], 0));
	tell(50000); /* across chunks */
	await_bytes(fd, 50000);
	result("a lot", splice(fd, NULL, p[1], NULL, 50000, 0));
	out("in the pipe %ld", drain(p[0], 0));
	close_pipe(p);
	tell(0);
	close(fd);
}

static void test_into_socket(void)
{
	int fd = accepted(), p[2];

	make_pipe(p);
	put(p[1], 0, 1000);
	result("part", splice(p[0], NULL, fd, NULL, 300, SPLICE_F_MORE));
	result("the rest", splice(p[0], NULL, fd, NULL, 65536, 0));
	put(p[1], 1000, 40000);
	result("a lot", splice(p[0], NULL, fd, NULL, 100000, SPLICE_F_MOVE | SPLICE_F_MORE));
	put(p[1], 41000, 10);
	close(p[1]);
	result("last", splice(p[0], NULL, fd, NULL, 100, 0));
	result("no writer", splice(p[0], NULL, fd, NULL, 100, 0));
	close(p[0]);
	shutdown(fd, SHUT_WR);
	tell(0);
	out("peer %d", hear());
	close(fd);
}

/* What comes goes back through a pipe of a page: neither side takes all at once. */
static void test_relay(void)
{
	int fd = accepted(), p[2], held = 0;
	uint64_t moved = 0;
	bool over = false;
	ssize_t r;

	make_pipe(p);
	CHECK(fcntl(p[1], F_SETPIPE_SZ, 4096) >= 4096);
	nonblock(fd);
	tell(RELAYED);
	while (!over || held > 0) {
		if (!over) {
			r = splice(fd, NULL, p[1], NULL, 70000, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
			CHECK(r >= 0 || errno == EAGAIN);
			over = r == 0;
			held += r > 0 ? (int)r : 0;
		}
		if (held > 0) {
			r = splice(p[0], NULL, fd, NULL, (size_t)held, SPLICE_F_NONBLOCK);
			CHECK(r > 0 || errno == EAGAIN);
			held -= r > 0 ? (int)r : 0;
			moved += r > 0 ? (uint64_t)r : 0;
			if (r < 0)
				await(fd, POLLOUT);
		} else if (!over) {
			await(fd, POLLIN);
		}
	}
	out("moved %d", (int)moved);
	shutdown(fd, SHUT_WR);
	out("peer %d", hear());
	close_pipe(p);
	close(fd);
}

/* The same with calls that wait. */
static void test_relay_blocking(void)
{
	int fd = accepted(), p[2];
	uint64_t moved = 0;
	ssize_t r, k;

	make_pipe(p);
	tell(RELAYED);
	while ((r = splice(fd, NULL, p[1], NULL, 30000, 0)) > 0) {
		for (; r > 0; r -= k, moved += (uint64_t)k) {
			k = splice(p[0], NULL, fd, NULL, (size_t)r, 0);
			CHECK(k > 0);
		}
	}
	result("end", r);
	out("moved %d", (int)moved);
	shutdown(fd, SHUT_WR);
	out("peer %d", hear());
	close_pipe(p);
	close(fd);
}

/* ---- without waiting ---- */

static void test_nonblock(void)
{
	struct timeval tv = {0, 20000};
	int fd = accepted(), p[2], room;

	make_pipe(p);
	result("empty pipe", splice(p[0], NULL, fd, NULL, 100, SPLICE_F_NONBLOCK));
	nonblock(p[0]);
	result("empty pipe that does not block", splice(p[0], NULL, fd, NULL, 100, 0));
	CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) == 0);
	result("time-out", splice(fd, NULL, p[1], NULL, 100, 0));
	nonblock(fd);
	result("nothing there", splice(fd, NULL, p[1], NULL, 100, 0));
	tell(1000);
	await_bytes(fd, 1000);
	room = fcntl(p[1], F_SETPIPE_SZ, 4096);
	CHECK(room >= 4096);
	put(p[1], 0, (size_t)room);
	result("full pipe", splice(fd, NULL, p[1], NULL, 100, SPLICE_F_NONBLOCK));
	nonblock(p[1]);
	result("full pipe that does not block", splice(fd, NULL, p[1], NULL, 100, 0));
	out("drained %d", drain(p[0], 0) == room);
	result("room again", splice(fd, NULL, p[1], NULL, 2000, SPLICE_F_NONBLOCK));
	out("in the pipe %ld", drain(p[0], 0));
	tell(0);
	await(fd, POLLIN);
	result("end", splice(fd, NULL, p[1], NULL, 100, 0));
	close_pipe(p);
	close(fd);
}

/* A full socket takes what it has room for; nothing is lost. */
static void test_full_socket(void)
{
	int fd = accepted(), p[2];
	uint64_t in = 0, moved = 0;
	ssize_t r;

	make_pipe(p);
	nonblock(fd);
	do {
		put(p[1], in, 60000);
		in += 60000;
		while ((r = splice(p[0], NULL, fd, NULL, 60000, SPLICE_F_NONBLOCK)) > 0)
			moved += (uint64_t)r;
		CHECK(r < 0 && errno == EAGAIN);
	} while (moved == in);
	out("stopped %d", in - moved <= 60000);
	tell(0);
	while (moved < in) {
		await(fd, POLLOUT);
		r = splice(p[0], NULL, fd, NULL, 60000, 0);
		CHECK(r > 0 || errno == EAGAIN);
		moved += r > 0 ? (uint64_t)r : 0;
	}
	shutdown(fd, SHUT_WR);
	out("all right %d", hear() == (int)in);
	close_pipe(p);
	close(fd);
}

/* ---- sleeping ---- */

static int other_fd;

static void in_splice_from(struct thread *t)
{
	t->r = splice(t->fd, NULL, other_fd, NULL, 1000, 0);
}

static void in_splice_to(struct thread *t)
{
	t->r = splice(other_fd, NULL, t->fd, NULL, 1000, 0);
}

static void finished(const char *label, struct thread *t)
{
	finish(t);
	errno = t->err;
	result(label, t->r);
}

static void test_waits(void)
{
	int fd = accepted(), p[2], room;
	struct thread t = {.fd = fd};

	make_pipe(p);
	other_fd = p[1];
	t.call = in_splice_from;
	start(&t);
	tell(500);
	finished("for the socket", &t);
	out("in the pipe %ld", drain(p[0], 0));
	room = fcntl(p[1], F_SETPIPE_SZ, 4096);
	put(p[1], 0, (size_t)room);
	tell(500);
	await_bytes(fd, 500);
	start(&t);
	out("drained %d", drain(p[0], 0) == room);
	finished("for room in the pipe", &t);
	out("in the pipe %ld", drain(p[0], 0));
	other_fd = p[0];
	t.call = in_splice_to;
	start(&t);
	put(p[1], 0, 100);
	finished("for the pipe", &t);
	start(&t);
	close(p[1]);
	finished("for a pipe that ends", &t);
	close(p[0]);
	make_pipe(p);
	other_fd = p[1];
	t.call = in_splice_from;
	start(&t);
	tell(0);
	finished("for a socket that ends", &t);
	close_pipe(p);
	close(fd);
}

static void test_interrupted(void)
{
	int fd = accepted(), p[2], flags;
	struct thread t = {.fd = fd};

	make_pipe(p);
	for (flags = 0; flags <= SA_RESTART; flags += SA_RESTART) {
		install(SIGUSR1, flags);
		handled = 0;
		other_fd = p[0];
		t.call = in_splice_to;
		start(&t);
		pthread_kill(t.id, SIGUSR1);
		while (handled < 1)
			usleep(1000);
		if (flags != 0) {
			CHECK(sleeps(&t));
			put(p[1], 0, 10);
		}
		finished(flags != 0 ? "goes on, pipe" : "ends, pipe", &t);
		other_fd = p[1];
		t.call = in_splice_from;
		start(&t);
		pthread_kill(t.id, SIGUSR1);
		while (handled < 2)
			usleep(1000);
		if (flags != 0) {
			CHECK(sleeps(&t));
			tell(10);
		}
		finished(flags != 0 ? "goes on, socket" : "ends, socket", &t);
	}
	close_pipe(p);
	tell(0);
	close(fd);
}

static void test_cancelled(void)
{
	int fd = accepted(), p[2];
	struct thread t = {.fd = fd};

	make_pipe(p);
	other_fd = p[0];
	t.call = in_splice_to;
	start(&t);
	CHECK(pthread_cancel(t.id) == 0);
	finish(&t);
	out("cancelled %d", !t.done);
	put(p[1], 0, 10);
	result("afterwards", splice(p[0], NULL, fd, NULL, 10, 0));
	other_fd = p[1];
	t.call = in_splice_from;
	start(&t);
	CHECK(pthread_cancel(t.id) == 0);
	finish(&t);
	out("cancelled %d", !t.done);
	tell(10);
	await_bytes(fd, 10);
	result("afterwards", splice(fd, NULL, p[1], NULL, 10, 0));
	out("in the pipe %ld", drain(p[0], 0));
	close_pipe(p);
	tell(0);
	close(fd);
}

/* ---- ends ---- */

static void test_broken(void)
{
	int fd = accepted(), p[2];

	install(SIGPIPE, 0);
	handled = 0;
	make_pipe(p);
	tell(100);
	await_bytes(fd, 100);
	close(p[0]);
	result("nobody reads", splice(fd, NULL, p[1], NULL, 100, 0));
	out("signals %d", handled);
	close(p[1]);
	make_pipe(p);
	result("still there", splice(fd, NULL, p[1], NULL, 100, 0));
	out("in the pipe %ld", drain(p[0], 0));
	shutdown(fd, SHUT_WR);
	put(p[1], 0, 10);
	handled = 0;
	result("after shutdown", splice(p[0], NULL, fd, NULL, 10, 0));
	out("signals %d", handled);
	shutdown(fd, SHUT_RD);
	result("after shutdown", splice(fd, NULL, p[1], NULL, 10, 0));
	close_pipe(p);
	tell(0);
	close(fd);
}

static void test_reset(void)
{
	int fd = accepted(), p[2];

	install(SIGPIPE, 0);
	handled = 0;
	make_pipe(p);
	tell(0);
	hear();
	await(fd, POLLERR);
	result("reset", splice(fd, NULL, p[1], NULL, 10, 0));
	result("again", splice(fd, NULL, p[1], NULL, 10, 0));
	put(p[1], 0, 10);
	result("send", splice(p[0], NULL, fd, NULL, 10, 0));
	out("signals %d", handled);
	tell(0);
	close_pipe(p);
	close(fd);
}

/* ---- errors ---- */

static volatile unsigned wrong_flags = 0x100;

static void test_errors(void)
{
	int fd = accepted(), p[2], zero = open("/dev/zero", O_RDWR);
	off64_t off = 0;

	make_pipe(p);
	put(p[1], 0, 10);
	result("nothing", splice(p[0], NULL, fd, NULL, 0, 0));
	result("nothing, wrong flags", splice(p[0], NULL, fd, NULL, 0, wrong_flags));
	result("wrong flags", splice(p[0], NULL, fd, NULL, 1, wrong_flags));
	result("gift", splice(p[0], NULL, fd, NULL, 1, SPLICE_F_GIFT));
	result("offset of the pipe", splice(p[0], &off, fd, NULL, 1, 0));
	result("offset of the socket", splice(p[0], NULL, fd, &off, 1, 0));
	result("offset of the pipe", splice(fd, NULL, p[1], &off, 1, 0));
	result("offset of the socket", splice(fd, &off, p[1], NULL, 1, 0));
	result("wrong end", splice(p[1], NULL, fd, NULL, 1, 0));
	result("wrong end", splice(fd, NULL, p[0], NULL, 1, 0));
	result("closed", splice(-1, NULL, fd, NULL, 1, 0));
	result("closed", splice(fd, NULL, -1, NULL, 1, 0));
	result("file", splice(zero, NULL, fd, NULL, 1, 0));
	result("file", splice(fd, NULL, zero, NULL, 1, 0));
	result("itself", splice(fd, NULL, fd, NULL, 1, 0));
	result("other socket", splice(ctl, NULL, fd, NULL, 1, 0));
	result("tee", tee(fd, p[1], 1, 0));
	result("tee", tee(p[0], fd, 1, 0));
	result("vmsplice", vmsplice(fd, &(struct iovec){&off, 8}, 1, 0));
	result("copy_file_range", copy_file_range(fd, NULL, zero, NULL, 1, 0));
	out("in the pipe %ld", drain(p[0], 1));
	close(zero);
	close_pipe(p);
	tell(0);
	close(fd);
}

static void test_other_states(void)
{
	int p[2], s = socket(AF_INET, SOCK_STREAM, 0), l = listen_here(0, 1),
		  fd = accept(l, NULL, NULL);

	install(SIGPIPE, 0);
	handled = 0;
	make_pipe(p);
	put(p[1], 0, 10);
	result("unconnected", splice(s, NULL, p[1], NULL, 1, 0));
	result("unconnected", splice(p[0], NULL, s, NULL, 1, 0));
	result("listener", splice(l, NULL, p[1], NULL, 1, 0));
	result("listener", splice(p[0], NULL, l, NULL, 1, 0));
	out("signals %d", handled);
	close_pipe(p);
	close(s);
	close(l);
	tell(0);
	close(fd);
}

static void test_sendfile(void)
{
	int fd = accepted(), p[2];
	off_t off = 0;

	make_pipe(p);
	tell(1000);
	await_bytes(fd, 1000);
	result("into a pipe", sendfile(p[1], fd, NULL, 400));
	result("with an offset", sendfile(p[1], fd, &off, 400));
	result("into itself", sendfile(fd, fd, NULL, 400));
	result("out of a pipe", sendfile(fd, p[0], NULL, 400));
	result("the rest", sendfile(p[1], fd, NULL, 4000));
	out("in the pipe %ld", drain(p[0], 0));
	tell(0);
	close_pipe(p);
	close(fd);
}

/* A connection that two processes hold. */
static void test_inherited(void)
{
	int fd = accepted(), p[2], i;
	uint8_t buf[300];
	pid_t pid;

	make_pipe(p);
	for (i = 0; i < 2; i++) {
		tell(200);
		await_bytes(fd, 200);
		pid = fork();
		if (pid == 0) {
			CHECK(splice(fd, NULL, p[1], NULL, 200, 0) == 200);
			put(p[1], 0, 100);
			CHECK(read(p[0], buf, 300) == 300 && right(buf, 200, 0));
			put(p[1], (uint64_t)i * 300, 100);
			CHECK(splice(p[0], NULL, fd, NULL, 100, 0) == 100);
			_exit(0);
		}
		out("child %#x", (unsigned)end_of(pid));
		put(p[1], (uint64_t)i * 300 + 100, 200);
		result("parent", splice(p[0], NULL, fd, NULL, 200, 0));
	}
	tell(0);
	shutdown(fd, SHUT_WR);
	out("peer %d", hear());
	close_pipe(p);
	close(fd);
}

static void peer_inherited(void)
{
	int fd = connect_there(), n;

	while ((n = hear()) > 0)
		send_all(fd, 0, (uint64_t)n);
	tell((int)recv_all(fd, 0, INT32_MAX, 65536));
	close(fd);
}

int main(int argc, char **argv)
{
	static const struct tcase cases[] = {
		{"both_ways", test_both_ways, peer_source},
		{"into_the_socket", test_into_socket, peer_sink},
		{"relay", test_relay, peer_echoed},
		{"relay_waiting", test_relay_blocking, peer_echoed},
		{"without_waiting", test_nonblock, peer_source},
		{"full_socket", test_full_socket, peer_sink},
		{"waits", test_waits, peer_source},
		{"interrupted", test_interrupted, peer_source},
		{"cancelled", test_cancelled, peer_source},
		{"broken", test_broken, peer_source},
		{"reset", test_reset, peer_reset},
		{"errors", test_errors, peer_source},
		{"other_states", test_other_states, peer_wait},
		{"sendfile", test_sendfile, peer_source},
		{"inherited", test_inherited, peer_inherited},
	};

	return RUN(argc, argv, cases);
}
