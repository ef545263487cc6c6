/*
 * harness.h - one program, two sides: the side under test, and a peer that is always on the
 * kernel's TCP.
 *
 * A program lists cases. For each, the harness starts itself again as the peer, without libtas,
 * joined by a control socketpair, and runs the case's two functions. What the tested side prints
 * must be the same with and without libtas: diff_test.sh compares. Nothing that depends on time,
 * sizes of buffers or ports is printed. Addresses: TEST_ADDR is where the tested side listens,
 * PEER_ADDR where the peer does (both 127.0.0.1 by default).
 */
#ifndef PRELOAD_HARNESS_H
#define PRELOAD_HARNESS_H

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HANG_S 60 /* a side that hangs this long is ended by SIGALRM */
#define MAYBE  __attribute__((unused))

struct tcase {
	const char *name;
	void (*test)(void);
	void (*peer)(void);
};

extern char **environ;
static int ctl; /* to the other side */
static bool is_peer;
static const char *case_name;

static MAYBE void die(const char *what)
{
	fprintf(stderr, "%s: %s: %s: %s\n", is_peer ? "peer" : "test", case_name, what,
		strerror(errno));
	exit(1);
}

#define CHECK(expr)                                                                                \
	do {                                                                                       \
		if (!(expr))                                                                       \
			die(#expr);                                                                \
	} while (0)

/* One line of result: the name of the case goes before it. */
static MAYBE __attribute__((format(printf, 1, 2))) void out(const char *fmt, ...)
{
	va_list ap;

	printf("%s: ", case_name);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

/* "label 5" or "label -1 ECONNRESET" */
static MAYBE void result(const char *label, long r)
{
	if (r < 0)
		out("%s %ld %s", label, r, strerrorname_np(errno));
	else
		out("%s %ld", label, r);
}

/* ---- between the two sides ---- */

static MAYBE void tell(int v)
{
	CHECK(send(ctl, &v, sizeof(v), MSG_NOSIGNAL) == (ssize_t)sizeof(v));
}

static MAYBE int hear(void)
{
	int v;

	CHECK(recv(ctl, &v, sizeof(v), MSG_WAITALL) == (ssize_t)sizeof(v));
	return v;
}

static MAYBE struct sockaddr_in address(bool of_peer, int port)
{
	const char *s = getenv(of_peer ? "PEER_ADDR" : "TEST_ADDR");
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

	CHECK(inet_pton(AF_INET, s != NULL ? s : "127.0.0.1", &sa.sin_addr) == 1);
	return sa;
}

static MAYBE int port_of(int fd)
{
	struct sockaddr_in6 sa;
	socklen_t len = sizeof(sa);

	CHECK(getsockname(fd, (struct sockaddr *)&sa, &len) == 0);
	return ntohs(sa.sin6_port); /* at the same place in both families */
}

/* A listener on this side's address and a port of the kernel's choice. */
static MAYBE int listen_untold(int flags, int backlog)
{
	struct sockaddr_in sa = address(is_peer, 0);
	int fd = socket(AF_INET, SOCK_STREAM | flags, 0), one = 1;

	CHECK(fd >= 0);
	CHECK(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0);
	CHECK(bind(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0);
	CHECK(listen(fd, backlog) == 0);
	return fd;
}

/* The same, and the other side is told the port. */
static MAYBE int listen_here(int flags, int backlog)
{
	int fd = listen_untold(flags, backlog);

	tell(port_of(fd));
	return fd;
}

/* Connects to the other side's listener; its port is heard. */
static MAYBE int connect_there(void)
{
	struct sockaddr_in sa = address(!is_peer, hear());
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	CHECK(fd >= 0);
	CHECK(connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0);
	return fd;
}

/* The tested side's end of a connection that it accepted. */
static MAYBE int accepted(void)
{
	int l = listen_here(0, 16), fd = accept(l, NULL, NULL);

	CHECK(fd >= 0);
	close(l);
	return fd;
}

/* ---- data ---- */

static MAYBE uint8_t byte_at(uint64_t pos)
{
	return (uint8_t)((pos * 2654435761u) >> 13);
}

static MAYBE void fill(uint8_t *p, size_t n, uint64_t pos)
{
	size_t i;

	for (i = 0; i < n; i++)
		p[i] = byte_at(pos + i);
}

static MAYBE bool right(const uint8_t *p, size_t n, uint64_t pos)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (p[i] != byte_at(pos + i))
			return false;
	return true;
}

static MAYBE void send_all(int fd, uint64_t from, uint64_t n)
{
	static uint8_t buf[65536];
	uint64_t done = 0;
	ssize_t r;

	for (; done < n; done += (uint64_t)r) {
		size_t step = n - done < sizeof(buf) ? (size_t)(n - done) : sizeof(buf);

		fill(buf, step, from + done);
		r = send(fd, buf, step, MSG_NOSIGNAL);
		CHECK(r > 0);
	}
}

/* Reads n bytes or to the end of the stream; how many came, or -1 when one was wrong. */
static MAYBE int64_t recv_all(int fd, uint64_t from, uint64_t n, size_t step)
{
	static uint8_t buf[1 << 20];
	uint64_t done = 0;
	ssize_t r;

	step = step < sizeof(buf) ? step : sizeof(buf);
	while (done < n) {
		r = recv(fd, buf, n - done < step ? (size_t)(n - done) : step, 0);
		CHECK(r >= 0);
		if (r == 0)
			break;
		if (!right(buf, (size_t)r, from + done))
			return -1;
		done += (uint64_t)r;
	}
	return (int64_t)done;
}

static MAYBE void say_to(int fd, const char *s)
{
	CHECK(send(fd, s, strlen(s), MSG_NOSIGNAL) == (ssize_t)strlen(s));
}

/* Waits, at most HANG_S, until fd has `events`; returns what it has. */
static MAYBE int await(int fd, int events)
{
	struct pollfd p = {.fd = fd, .events = (short)events};

	CHECK(poll(&p, 1, HANG_S * 1000) == 1);
	return p.revents;
}

/* Until `n` bytes can be read without waiting. */
static MAYBE void await_bytes(int fd, int n)
{
	int have = 0, i;

	for (i = 0; i < 5000 && have < n; i++) {
		CHECK(ioctl(fd, FIONREAD, &have) == 0);
		usleep(have < n ? 1000 : 0);
	}
	CHECK(have >= n);
}

static MAYBE void nonblock(int fd)
{
	CHECK(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0);
}

/* Names of poll and epoll bits that both stacks must agree on. */
static MAYBE const char *bits(unsigned ev)
{
	static const struct {
		unsigned bit;
		const char *name;
	} names[] = {{POLLIN, "IN"}, {POLLPRI, "PRI"}, {POLLOUT, "OUT"}, {POLLERR, "ERR"},
		{POLLHUP, "HUP"}, {POLLNVAL, "NVAL"}, {POLLRDHUP, "RDHUP"}};
	static char text[4][64];
	static unsigned turn;
	char *s = text[turn++ % 4];
	size_t i;

	s[0] = '\0';
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!(ev & names[i].bit))
			continue;
		if (s[0] != '\0')
			strcat(s, "|");
		strcat(s, names[i].name);
	}
	return s[0] != '\0' ? s : "0";
}

/* ---- running ---- */

static pid_t start_peer(const char *self, const char *name, int fd)
{
	char number[16], *argv[] = {(char *)(uintptr_t)self, (char *)(uintptr_t) "--peer",
				 (char *)(uintptr_t)name, number, NULL};
	char *preload = getenv("LD_PRELOAD");
	pid_t pid;

	snprintf(number, sizeof(number), "%d", fd);
	if (preload != NULL) {
		preload = strdup(preload);
		unsetenv("LD_PRELOAD");
	}
	CHECK(posix_spawn(&pid, self, NULL, NULL, argv, environ) == 0);
	if (preload != NULL)
		setenv("LD_PRELOAD", preload, 1);
	free(preload);
	return pid;
}

/* Tells tests/recorder, where it is preloaded, which case uses what follows. */
static void record(const char *name)
{
	void (*recorder)(const char *) = (void (*)(const char *))dlsym(RTLD_DEFAULT, "record_case");

	if (recorder != NULL)
		recorder(name);
}

static void run_case(const char *self, const struct tcase *c)
{
	int pair[2], status;
	pid_t pid;

	case_name = c->name;
	alarm(HANG_S);
	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
	CHECK(fcntl(pair[0], F_SETFD, FD_CLOEXEC) == 0);
	pid = start_peer(self, c->name, pair[1]);
	close(pair[1]);
	ctl = pair[0];
	record(c->name);
	c->test();
	record(NULL);
	close(ctl);
	CHECK(waitpid(pid, &status, 0) == pid);
	if (status != 0)
		out("peer ended with %#x", (unsigned)status);
	out("done");
	alarm(0);
}

/* All cases, or those named on the command line. */
static MAYBE int run(int argc, char **argv, const struct tcase *cases, size_t n)
{
	char self[4096];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	size_t i;
	int k;

	case_name = "";
	CHECK(len > 0);
	self[len] = '\0';
	is_peer = argc == 4 && strcmp(argv[1], "--peer") == 0;
	for (i = 0; i < n; i++) {
		bool wanted = argc == 1;

		for (k = is_peer ? 2 : 1; k < argc; k++)
			wanted = wanted || strcmp(argv[k], cases[i].name) == 0;
		if (!wanted)
			continue;
		case_name = cases[i].name;
		if (!is_peer) {
			run_case(self, &cases[i]);
			continue;
		}
		ctl = atoi(argv[3]);
		alarm(HANG_S);
		signal(SIGPIPE, SIG_IGN);
		cases[i].peer();
		exit(0);
	}
	return 0;
}

#define RUN(argc, argv, cases) run((argc), (argv), (cases), sizeof(cases) / sizeof((cases)[0]))

#endif
