/*
 * many - how much do idle connections cost those that are busy?
 *
 *   many serve ADDRESS PORT                       echoes; one thread, one epoll set, everything level-triggered
 *   many load ADDRESS PORT BUSY IDLE ROUNDS SOURCES FIRST
 *
 * `load` opens BUSY connections and plays 64-byte ping-pong on each, ROUNDS in all; opens IDLE more, which
 * stay silent, and plays the same again; uses every hundredth idle one, which must still answer; closes them,
 * and plays alone once more. Each line tells latency and, from the server, its CPU time and epoll_wait() calls
 * per event. Connections come from SOURCES addresses from FIRST on: one address has ports for some 28,000.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BYTES	 64
#define EVENTS	 256
#define PARTS	 9
#define STUCK_MS 30000
#define REPORT	 'R' /* first byte of a message that asks for struct report */

#define MUST(x)                                                                                    \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			fprintf(stderr, "many: %s: %s\n", #x, strerror(errno));                    \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

/* What the server has done so far. */
struct report {
	uint64_t cpu_ns, events, waits, connections;
	uint8_t pad[BYTES - 32];
};

_Static_assert(sizeof(struct report) == BYTES, "an answer like any other");

static uint64_t now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void many_descriptors(void)
{
	struct rlimit rl;

	MUST(getrlimit(RLIMIT_NOFILE, &rl) == 0);
	rl.rlim_cur = rl.rlim_max;
	MUST(setrlimit(RLIMIT_NOFILE, &rl) == 0);
}

static struct sockaddr_in address(const char *text, int port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

	MUST(inet_pton(AF_INET, text, &sa.sin_addr) == 1);
	return sa;
}

/* ---- server ---- */

static struct report done;

static void take_connections(int l, int ep)
{
	struct epoll_event ev = {.events = EPOLLIN};
	int i;

	for (i = 0; i < EVENTS; i++) {
		ev.data.fd = accept4(l, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (ev.data.fd < 0) {
			MUST(errno == EAGAIN);
			return;
		}
		MUST(epoll_ctl(ep, EPOLL_CTL_ADD, ev.data.fd, &ev) == 0);
		done.connections++;
	}
}

static void answer(int fd)
{
	uint8_t buf[BYTES];
	ssize_t r = recv(fd, buf, BYTES, 0);

	done.events++;
	if (r <= 0) {
		MUST(r == 0 || errno == ECONNRESET || errno == EAGAIN);
		if (r == 0 || errno == ECONNRESET) {
			done.connections--;
			close(fd);
		}
		return;
	}
	MUST(r == BYTES);
	if (buf[0] == REPORT) {
		done.cpu_ns = now_ns(CLOCK_THREAD_CPUTIME_ID);
		memcpy(buf, &done, BYTES);
	}
	MUST(send(fd, buf, BYTES, MSG_NOSIGNAL) == BYTES);
}

static void serve(const char *text, int port)
{
	struct sockaddr_in sa = address(text, port);
	int l = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), ep = epoll_create1(0), one = 1, n,
	    i;
	struct epoll_event ev[EVENTS] = {{.events = EPOLLIN}};

	MUST(setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0);
	MUST(bind(l, (struct sockaddr *)&sa, sizeof(sa)) == 0 && listen(l, 4096) == 0);
	ev[0].data.fd = l;
	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, l, &ev[0]) == 0);
	printf("listening\n");
	fflush(stdout);
	for (;;) {
		n = epoll_wait(ep, ev, EVENTS, -1);
		MUST(n >= 0);
		done.waits++;
		for (i = 0; i < n; i++) {
			if (ev[i].data.fd == l)
				take_connections(l, ep);
			else
				answer(ev[i].data.fd);
		}
	}
}

/* ---- load ---- */

static struct sockaddr_in server;
static uint32_t first_source;
static int sources, ep;

static int connect_from(int i)
{
	struct sockaddr_in from = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	MUST(fd >= 0);
	from.sin_addr.s_addr = htonl(first_source + (uint32_t)(i % sources));
	MUST(setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one)) == 0);
	MUST(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == 0);
	MUST(bind(fd, (struct sockaddr *)&from, sizeof(from)) == 0);
	MUST(connect(fd, (struct sockaddr *)&server, sizeof(server)) == 0);
	return fd;
}

static void fill(uint8_t *buf, uint32_t conn, uint32_t turn)
{
	int i;

	for (i = 0; i < BYTES; i++)
		buf[i] = (uint8_t)(conn * 31 + turn * 7 + (uint32_t)i) |
			 0x80; /* never a request for a report */
}

static void say(int fd, uint32_t conn, uint32_t turn)
{
	uint8_t buf[BYTES];

	fill(buf, conn, turn);
	MUST(send(fd, buf, BYTES, MSG_NOSIGNAL) == BYTES);
}

static void hear(int fd, uint32_t conn, uint32_t turn)
{
	uint8_t buf[BYTES], want[BYTES];

	fill(want, conn, turn);
	MUST(recv(fd, buf, BYTES, MSG_WAITALL) == BYTES);
	MUST(memcmp(buf, want, BYTES) == 0);
}

static struct report report(int fd)
{
	uint8_t ask[BYTES] = {REPORT};
	struct report r;

	MUST(send(fd, ask, BYTES, MSG_NOSIGNAL) == BYTES);
	MUST(recv(fd, &r, BYTES, MSG_WAITALL) == BYTES);
	return r;
}

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

struct part {
	double rate, p50, p99, cpu_ns, per_wait;
};

/* One message at a time on each of `busy` connections, until `rounds` were answered. */
static void exchange(const int *fd, uint32_t busy, uint32_t rounds, uint32_t *took)
{
	uint64_t *sent = calloc(busy, sizeof(*sent));
	uint32_t *turn = calloc(busy, sizeof(*turn)), left = rounds, k = 0, i;
	struct epoll_event ev[EVENTS];
	int n, j;

	MUST(sent != NULL && turn != NULL);
	for (i = 0; i < busy; i++) {
		sent[i] = now_ns(CLOCK_MONOTONIC);
		say(fd[i], i, 0);
	}
	while (left > 0) {
		n = epoll_wait(ep, ev, EVENTS, STUCK_MS);
		MUST(n > 0);
		for (j = 0; j < n; j++, left--) {
			i = ev[j].data.u32;
			hear(fd[i], i, turn[i]++);
			took[k++] = (uint32_t)(now_ns(CLOCK_MONOTONIC) - sent[i]);
			sent[i] = now_ns(CLOCK_MONOTONIC);
			if (left > busy)
				say(fd[i], i, turn[i]);
		}
	}
	free(sent);
	free(turn);
}

static struct part play_once(const int *fd, uint32_t busy, uint32_t rounds)
{
	uint32_t *took = calloc(rounds, sizeof(*took));
	struct report before = report(fd[0]), after;
	uint64_t start = now_ns(CLOCK_MONOTONIC);
	struct part part;
	double events;

	MUST(took != NULL);
	exchange(fd, busy, rounds, took);
	start = now_ns(CLOCK_MONOTONIC) - start;
	after = report(fd[0]);
	events = (double)(after.events - before.events);
	qsort(took, rounds, sizeof(*took), by_size);
	part = (struct part){rounds * 1e9 / (double)start, took[rounds / 2] / 1e3,
		took[rounds - rounds / 100 - 1] / 1e3,
		(double)(after.cpu_ns - before.cpu_ns) / events,
		events / (double)(after.waits - before.waits + 1)};
	free(took);
	return part;
}

static double middle(const struct part *parts, size_t field)
{
	double v[PARTS];
	int i, j;

	for (i = 0; i < PARTS; i++) {
		double x;

		memcpy(&x, (const char *)&parts[i] + field, sizeof(x));
		for (j = i; j > 0 && v[j - 1] > x; j--)
			v[j] = v[j - 1];
		v[j] = x;
	}
	return v[PARTS / 2];
}

/* Medians of PARTS parts: others use this machine as well. */
static void play(const char *name, const int *fd, uint32_t busy, uint32_t rounds)
{
	struct part p[PARTS];
	int i;

	for (i = 0; i < PARTS; i++)
		p[i] = play_once(fd, busy, rounds / PARTS);
	printf("%-14s %7u connections: %7.0f /s, p50 %5.0f us, p99 %6.0f us; server: %5.0f ns CPU "
	       "an event, %.1f events a wait\n",
		name, (unsigned)report(fd[0]).connections, middle(p, offsetof(struct part, rate)),
		middle(p, offsetof(struct part, p50)), middle(p, offsetof(struct part, p99)),
		middle(p, offsetof(struct part, cpu_ns)),
		middle(p, offsetof(struct part, per_wait)));
	fflush(stdout);
}

static void close_all(int *fd, int n)
{
	int i;

	for (i = 0; i < n; i++)
		close(fd[i]);
}

static void load(char **arg)
{
	int busy = atoi(arg[2]), idle = atoi(arg[3]), rounds = atoi(arg[4]), i, *fd, *silent;
	struct in_addr first;
	struct epoll_event ev = {.events = EPOLLIN};
	uint64_t start;

	server = address(arg[0], atoi(arg[1]));
	sources = atoi(arg[5]);
	MUST(inet_pton(AF_INET, arg[6], &first) == 1);
	first_source = ntohl(first.s_addr);
	ep = epoll_create1(0);
	fd = calloc((size_t)busy, sizeof(*fd));
	silent = calloc((size_t)idle + 1, sizeof(*silent));
	MUST(busy > 0 && rounds > 2 * busy && fd != NULL && silent != NULL && ep >= 0);
	for (i = 0; i < busy; i++) {
		fd[i] = connect_from(i);
		ev.data.u32 = (uint32_t)i;
		MUST(epoll_ctl(ep, EPOLL_CTL_ADD, fd[i], &ev) == 0);
	}
	play("alone", fd, (uint32_t)busy, (uint32_t)rounds);
	start = now_ns(CLOCK_MONOTONIC);
	for (i = 0; i < idle; i++)
		silent[i] = connect_from(i);
	printf("%d idle connections in %.1f s\n", idle,
		(double)(now_ns(CLOCK_MONOTONIC) - start) / 1e9);
	while (report(fd[0]).connections < (uint64_t)busy + (uint64_t)idle)
		usleep(10000);
	play("with idle ones", fd, (uint32_t)busy, (uint32_t)rounds);
	for (i = 0; i < idle; i += 100) {
		say(silent[i], (uint32_t)i, 1);
		hear(silent[i], (uint32_t)i, 1);
	}
	close_all(silent, idle);
	while (report(fd[0]).connections > (uint64_t)busy)
		usleep(10000);
	play("alone again", fd, (uint32_t)busy, (uint32_t)rounds);
	close_all(fd, busy);
}

int main(int argc, char **argv)
{
	many_descriptors();
	if (argc == 4 && strcmp(argv[1], "serve") == 0)
		serve(argv[2], atoi(argv[3]));
	else if (argc == 9 && strcmp(argv[1], "load") == 0)
		load(argv + 2);
	else
		return 2;
	return 0;
}
