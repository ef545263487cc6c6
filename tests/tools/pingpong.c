/*
 * pingpong.c - one byte there, one byte back, so that each side sleeps every time.
 *
 *     pingpong server HOW ADDRESS PORT SLEEPS     HOW: epoll, recv, accept (a connection a round), send (of more than fits)
 *     pingpong client HOW ADDRESS PORT
 *
 * The server goes on until its thread has slept SLEEPS times as the kernel counts them: giving up the CPU while it could run
 * on is none. It prints "listening", later "slept N rounds N". Bytes are numbered: a wrong one ends both with status 1.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define BLOCK 65536u
#define LAST  255u /* the answer that ends it; the others are 0 to 250 */

static struct sockaddr_in address;
static unsigned long until; /* as sleeps() counts */

static void die(const char *what)
{
	fprintf(stderr, "pingpong: %s: %s\n", what, strerror(errno));
	exit(1);
}

static unsigned long sleeps(void)
{
	struct rusage u;

	getrusage(RUSAGE_THREAD, &u);
	return (unsigned long)u.ru_nvcsw;
}

static unsigned char number(unsigned long i)
{
	return (unsigned char)(i % 251);
}

static void put(int fd, unsigned char b)
{
	if (send(fd, &b, 1, MSG_NOSIGNAL) != 1)
		die("send");
}

/* 0 when a non-blocking socket has nothing. */
static int get(int fd, unsigned char *b, int flags)
{
	ssize_t n = recv(fd, b, 1, flags);

	if (n < 0 && errno == EAGAIN && (flags & MSG_DONTWAIT))
		return 0;
	if (n != 1)
		die("recv");
	return 1;
}

static void expect(unsigned char b, unsigned long i)
{
	if (b == number(i))
		return;
	fprintf(stderr, "pingpong: byte %lu is %u\n", i, b);
	exit(1);
}

/* The server's turn. False: it was the last. */
static bool answer(int fd, unsigned char b, unsigned long i)
{
	bool more = sleeps() < until;

	expect(b, i);
	put(fd, more ? b : LAST);
	return more;
}

/* The client's turn. */
static bool ask(int fd, unsigned long i)
{
	unsigned char b;

	put(fd, number(i));
	get(fd, &b, 0);
	if (b != LAST)
		expect(b, i);
	return b != LAST;
}

static int dial(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
		die("connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

/* No TIME-WAIT at either end. */
static void hang_up(int fd)
{
	struct linger now = {1, 0};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}

static void client_exchange(void)
{
	int fd = dial();
	unsigned long i = 0;

	while (ask(fd, i))
		i++;
	close(fd);
}

static void client_accept(void)
{
	unsigned long i;
	bool more = true;

	for (i = 0; more; i++) {
		int fd = dial();

		more = ask(fd, i);
		hang_up(fd);
	}
}

/* Every byte of the stream is the number of its block. */
static void client_send(void)
{
	static unsigned char buf[BLOCK];
	unsigned long long pos = 0;
	int fd = dial();
	ssize_t n, i;

	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0) {
		for (i = 0; i < n; i++, pos++)
			if (buf[i] != (unsigned char)(pos / BLOCK))
				die("a wrong byte");
	}
	if (n < 0)
		die("recv");
	printf("%llu bytes\n", pos);
	close(fd);
}

/* Each returns its rounds. */

static unsigned long serve_recv(int l)
{
	int fd = accept(l, NULL, NULL);
	unsigned long i = 0;
	unsigned char b;

	for (get(fd, &b, 0); answer(fd, b, i); get(fd, &b, 0))
		i++;
	close(fd);
	return i;
}

static unsigned long serve_epoll(int l)
{
	int fd = accept(l, NULL, NULL), ep = epoll_create1(0);
	struct epoll_event ev = {.events = EPOLLIN};
	unsigned long i = 0;
	unsigned char b;

	if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) != 0)
		die("epoll_ctl");
	for (;;) {
		if (epoll_wait(ep, &ev, 1, -1) != 1)
			die("epoll_wait");
		if (get(fd, &b, MSG_DONTWAIT) && !answer(fd, b, i++))
			break;
	}
	close(fd);
	return i;
}

static unsigned long serve_accept(int l)
{
	unsigned long i;
	unsigned char b, end;
	bool more = true;

	for (i = 0; more; i++) {
		int fd = accept(l, NULL, NULL);

		if (fd < 0)
			die("accept");
		get(fd, &b, 0);
		more = answer(fd, b, i);
		while (recv(fd, &end, 1, 0) > 0) /* until the client has hung up */
			;
		close(fd);
	}
	return i;
}

static unsigned long serve_send(int l)
{
	static unsigned char buf[BLOCK];
	int fd = accept(l, NULL, NULL);
	unsigned long n;

	for (n = 0; sleeps() < until; n++) {
		memset(buf, (int)(n & 0xff), sizeof(buf));
		if (send(fd, buf, sizeof(buf), MSG_NOSIGNAL) != (ssize_t)sizeof(buf))
			die("send");
	}
	close(fd);
	return n;
}

static int serve_on(void)
{
	int l = socket(AF_INET, SOCK_STREAM, 0), one = 1, size = 32768;

	setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(l, SOL_SOCKET, SO_SNDBUF, &size,
		sizeof(size)); /* inherited: send() fills it at once */
	if (bind(l, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(l, 16) != 0)
		die("listen");
	printf("listening\n");
	fflush(stdout);
	return l;
}

static const struct {
	const char *how;
	unsigned long (*serve)(int l);
	void (*client)(void);
} ways[] = {
	{"epoll", serve_epoll, client_exchange},
	{"recv", serve_recv, client_exchange},
	{"accept", serve_accept, client_accept},
	{"send", serve_send, client_send},
};

int main(int argc, char **argv)
{
	unsigned long before, rounds;
	size_t i;
	int l;

	if (argc < 5 || argc != (strcmp(argv[1], "server") == 0 ? 6 : 5)) {
		fprintf(stderr, "usage: pingpong server|client epoll|recv|accept|send ADDRESS PORT "
				"[SLEEPS]\n");
		return 2;
	}
	address.sin_family = AF_INET;
	address.sin_addr.s_addr = inet_addr(argv[3]);
	address.sin_port = htons((unsigned short)atoi(argv[4]));
	for (i = 0; i < sizeof(ways) / sizeof(ways[0]) && strcmp(ways[i].how, argv[2]) != 0; i++)
		;
	if (i == sizeof(ways) / sizeof(ways[0]))
		return 2;
	if (strcmp(argv[1], "client") == 0) {
		ways[i].client();
		return 0;
	}
	l = serve_on();
	before = sleeps();
	until = before + strtoul(argv[5], NULL, 10);
	rounds = ways[i].serve(l);
	printf("slept %lu rounds %lu\n", sleeps() - before, rounds);
	close(l);
	return 0;
}
