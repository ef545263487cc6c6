/*
 * limits.c - what a program meets when payload memory or descriptors run out: it waits as with full
 * buffers, and goes on when there are some again. limits_test.sh runs it with little memory.
 */
#include "harness.h"
#include <sys/resource.h>
#include <sys/sendfile.h>

#define CONNS	  100
#define EACH	  1000000
#define FILLS_MAX 1000
#define CLOSED	  60

static int fd[CONNS];
static uint64_t sent[CONNS];
static unsigned strange;

/* Connects CONNS times; reads everything when told; says how many streams were whole and right. */
static void peer_drain(void)
{
	struct sockaddr_in sa = address(false, hear());
	static uint8_t buf[65536];
	uint64_t got[CONNS] = {0};
	struct pollfd p[CONNS];
	int i, left = CONNS, whole = 0;

	for (i = 0; i < CONNS; i++) {
		p[i] = (struct pollfd){.fd = socket(AF_INET, SOCK_STREAM, 0), .events = POLLIN};
		CHECK(connect(p[i].fd, (struct sockaddr *)&sa, sizeof(sa)) == 0);
	}
	hear();
	while (left > 0) {
		CHECK(poll(p, CONNS, -1) > 0);
		for (i = 0; i < CONNS; i++) {
			ssize_t n = p[i].revents != 0 ? recv(p[i].fd, buf, sizeof(buf), 0) : -1;

			if (p[i].revents == 0)
				continue;
			CHECK(n >= 0 && right(buf, (size_t)n, got[i]));
			got[i] += (uint64_t)n;
			if (n != 0)
				continue;
			whole += got[i] == EACH;
			p[i].fd = -1;
			left--;
		}
	}
	tell(whole);
}

static void peer_connects(void)
{
	struct sockaddr_in sa = address(false, hear());
	int i, c;

	for (i = 0; i < CONNS; i++) {
		c = socket(AF_INET, SOCK_STREAM, 0);
		CHECK(connect(c, (struct sockaddr *)&sa, sizeof(sa)) == 0);
	}
	hear();
}

static void accept_all(void)
{
	int l = listen_here(0, 128), i;

	for (i = 0; i < CONNS; i++) {
		fd[i] = accept(l, NULL, NULL);
		CHECK(fd[i] >= 0);
		nonblock(fd[i]);
		sent[i] = 0;
	}
	close(l);
	strange = 0;
}

/* Sends until the socket takes no more. */
static void push(int i)
{
	static uint8_t buf[30000];
	ssize_t r;

	while (sent[i] < EACH) {
		size_t n = EACH - sent[i] < sizeof(buf) ? (size_t)(EACH - sent[i]) : sizeof(buf);

		fill(buf, n, sent[i]);
		r = send(fd[i], buf, n, MSG_NOSIGNAL);
		if (r < 0) {
			strange += errno != EAGAIN;
			return;
		}
		sent[i] += (uint64_t)r;
	}
	shutdown(fd[i], SHUT_WR);
}

static int unfinished(void)
{
	int i, n = 0;

	for (i = 0; i < CONNS; i++)
		n += sent[i] < EACH;
	return n;
}

/* Edge-triggered: who is not told when there is room again hangs. */
static void push_all(void)
{
	struct epoll_event ev;
	int ep = epoll_create1(0), i;

	for (i = 0; i < CONNS; i++) {
		ev = (struct epoll_event){.events = EPOLLOUT | EPOLLET, .data.u32 = (uint32_t)i};
		CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, fd[i], &ev) == 0);
		push(i);
	}
	tell(0);
	while (unfinished() > 0) {
		CHECK(epoll_wait(ep, &ev, 1, -1) == 1);
		push((int)ev.data.u32);
	}
	close(ep);
}

static void close_all(void)
{
	int i;

	for (i = 0; i < CONNS; i++)
		close(fd[i]);
}

static void test_memory(void)
{
	accept_all();
	push_all();
	out("strange errors %u", strange);
	out("whole %d", hear());
	close_all();
}

/* The same with poll(), which is told of readiness and not of edges. */
static void test_memory_poll(void)
{
	struct pollfd p[CONNS];
	int i;

	accept_all();
	for (i = 0; i < CONNS; i++) {
		push(i);
		p[i] = (struct pollfd){.fd = fd[i], .events = POLLOUT};
	}
	tell(0);
	while (unfinished() > 0) {
		for (i = 0; i < CONNS; i++)
			p[i].fd = sent[i] < EACH ? fd[i] : -1;
		CHECK(poll(p, CONNS, -1) > 0);
		for (i = 0; i < CONNS; i++)
			if (p[i].revents & POLLOUT)
				push(i);
	}
	out("strange errors %u", strange);
	out("whole %d", hear());
	close_all();
}

/* What closed connections had sent is acknowledged: the one that is left can send. */
static void test_memory_closed(void)
{
	int l = socket(AF_INET, SOCK_STREAM, 0), size = 400000, live, c, i;
	struct sockaddr_in sa = address(false, 0);
	struct timeval tv = {.tv_sec = 10};
	static uint8_t buf[500000];

	CHECK(setsockopt(l, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) == 0);
	CHECK(bind(l, (struct sockaddr *)&sa, sizeof(sa)) == 0 && listen(l, 128) == 0);
	tell(port_of(l));
	live = accept(l, NULL, NULL);
	CHECK(live >= 0);
	for (i = 0; i < CLOSED; i++) {
		c = accept(l, NULL, NULL);
		CHECK(c >= 0);
		await(c, POLLIN); /* bound, and no more to read */
		CHECK(recv(c, buf, 1, 0) == 1);
		(void)!send(c, buf, sizeof(buf), MSG_DONTWAIT | MSG_NOSIGNAL);
		close(c);
	}
	CHECK(hear() == CLOSED); /* all of it has arrived */
	CHECK(setsockopt(live, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) == 0);
	result("send", send(live, buf, 1000, MSG_NOSIGNAL));
	tell(0);
	close(live);
	close(l);
}

static void peer_reads_ends(void)
{
	struct sockaddr_in sa = address(false, hear());
	static uint8_t buf[65536];
	int c[CLOSED + 1], i, ends = 0;
	ssize_t n;

	for (i = 0; i <= CLOSED; i++) {
		c[i] = socket(AF_INET, SOCK_STREAM, 0);
		CHECK(connect(c[i], (struct sockaddr *)&sa, sizeof(sa)) == 0);
		if (i > 0)
			say_to(c[i], "x");
	}
	for (i = 1; i <= CLOSED; i++) {
		while ((n = recv(c[i], buf, sizeof(buf), 0)) > 0)
			;
		ends += n == 0;
	}
	tell(ends);
	hear();
}

/* Short of memory is the process, not the connection: a child that inherits it can write. */
static void test_memory_fork(void)
{
	struct pollfd p = {.events = POLLOUT};
	static uint8_t buf[100000];
	int i, round, status, size = 2000000;
	pid_t pid;

	accept_all();
	for (i = 1; i < CONNS; i++)
		CHECK(setsockopt(fd[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) == 0);
	for (round = 0; round < 20; round++)
		for (i = 1; i < CONNS; i++)
			while (send(fd[i], buf, sizeof(buf), MSG_NOSIGNAL) > 0)
				;
	(void)!send(fd[0], buf, 1, MSG_NOSIGNAL);
	pid = fork();
	if (pid == 0) {
		p.fd = fd[0];
		result("poll", poll(&p, 1, 10000));
		result("send", send(fd[0], buf, 1, MSG_NOSIGNAL));
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	out("child %#x", (unsigned)status);
	tell(0);
	for (i = 0; i < CONNS; i++)
		close(fd[i]);
}

static void test_memory_sendfile(void)
{
	char name[] = "/tmp/preload_limits_XXXXXX";
	static uint8_t buf[EACH];
	int file = mkstemp(name), i;

	CHECK(file >= 0 && unlink(name) == 0);
	fill(buf, EACH, 0);
	CHECK(write(file, buf, EACH) == EACH);
	accept_all();
	tell(0);
	for (i = 0; i < CONNS; i++) {
		off_t off = 0;

		CHECK(fcntl(fd[i], F_SETFL, 0) == 0);
		while (off < EACH) {
			ssize_t r = sendfile(fd[i], file, &off, (size_t)(EACH - off));

			if (r <= 0) {
				strange++;
				break;
			}
		}
		shutdown(fd[i], SHUT_WR);
	}
	out("strange errors %u", strange);
	out("whole %d", hear());
	close_all();
	close(file);
}

/* How often the word is in /proc/self/maps. */
static int mapped(const char *word)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512];
	int n = 0;

	CHECK(f != NULL);
	while (fgets(line, sizeof(line), f) != NULL)
		n += strstr(line, word) != NULL;
	fclose(f);
	return n;
}

/* All descriptors are in use while more memory is wanted: that passes. */
static void test_descriptors(void)
{
	static int fills[FILLS_MAX];
	int n = 0, i;

	accept_all();
	while (n < FILLS_MAX && (fills[n] = open("/dev/null", O_RDONLY)) >= 0)
		n++;
	out("then %s", strerrorname_np(errno));
	for (i = 0; i < 20 * CONNS; i++) { /* buffers grow while the peer's kernel acknowledges */
		push(i % CONNS);
		usleep(i % CONNS == 0 ? 10000 : 0);
	}
	for (i = 0; i < n; i++)
		close(fills[i]);
	push_all();
	out("more memory, or the kernel's: %d", mapped("tas-segment") != 1);
	out("strange errors %u", strange);
	out("whole %d", hear());
	close_all();
}

static const struct tcase cases[] = {
	{"memory", test_memory, peer_drain},
	{"memory_poll", test_memory_poll, peer_drain},
	{"memory_closed", test_memory_closed, peer_reads_ends},
	{"memory_fork", test_memory_fork, peer_connects},
	{"memory_sendfile", test_memory_sendfile, peer_drain},
	{"descriptors", test_descriptors, peer_drain},
};

int main(int argc, char **argv)
{
	struct rlimit rl;

	CHECK(getrlimit(RLIMIT_NOFILE, &rl) == 0);
	rl.rlim_cur = FILLS_MAX;
	CHECK(setrlimit(RLIMIT_NOFILE, &rl) == 0);
	return RUN(argc, argv, cases);
}
