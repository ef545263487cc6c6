/*
 * trap_calls.c - what a program sees of its control calls, printed: linked statically, and run by e2e/trap on
 * the kernel's sockets and under tas-run --trap, where every line must be the same.
 *
 *     e2e_trap_calls serve ADDRESS PORT     says "ready", then a scene per connection that a client makes
 *     e2e_trap_calls connect ADDRESS PORT   the other side of the scenes
 *
 * Ports and addresses of the other side are not printed, only whether they are what they should be.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sockaddr_in at;

static const char *result(long r)
{
	return r < 0 ? strerrorname_np(errno) : "ok";
}

static void say(const char *what, long r)
{
	int err = errno;

	printf("%s: %ld %s\n", what, r, r < 0 ? strerrorname_np(err) : "");
}

static int option(int s, int level, int name)
{
	int v = -1;
	socklen_t len = sizeof(v);

	return getsockopt(s, level, name, &v, &len) == 0 ? v : -errno;
}

static void set(int s, int level, int name, int v)
{
	if (setsockopt(s, level, name, &v, sizeof(v)) != 0)
		printf("option %d/%d: %s\n", level, name, result(-1));
}

static void options(int s)
{
	printf("type %d domain %d protocol %d listens %d error %d\n",
		option(s, SOL_SOCKET, SO_TYPE), option(s, SOL_SOCKET, SO_DOMAIN),
		option(s, SOL_SOCKET, SO_PROTOCOL), option(s, SOL_SOCKET, SO_ACCEPTCONN),
		option(s, SOL_SOCKET, SO_ERROR));
	printf("nodelay %d keepalive %d idle %d\n", option(s, IPPROTO_TCP, TCP_NODELAY),
		option(s, SOL_SOCKET, SO_KEEPALIVE), option(s, IPPROTO_TCP, TCP_KEEPIDLE));
}

static void names(int s, bool mine)
{
	struct sockaddr_in a, p;
	socklen_t al = sizeof(a), pl = 4;
	int r;

	r = getsockname(s, (struct sockaddr *)&a, &al);
	printf("name: %s family %d length %u mine %d\n", result(r), a.sin_family, al,
		a.sin_port == at.sin_port && a.sin_addr.s_addr == at.sin_addr.s_addr);
	memset(&p, 0, sizeof(p));
	r = getpeername(s, (struct sockaddr *)&p, &pl); /* cut short, and told the full length */
	printf("peer: %s length %u port %d\n", result(r), pl,
		r == 0 && mine == (p.sin_port != at.sin_port));
	printf("nowhere: %s\n", result(getsockname(s, (struct sockaddr *)8, &al)));
	printf("negative: %s\n",
		result((pl = (socklen_t)-1, getsockname(s, (struct sockaddr *)&p, &pl))));
}

static short events(int s, short wanted)
{
	struct pollfd p = {.fd = s, .events = wanted};

	if (poll(&p, 1, 20000) < 0)
		return -1;
	return p.revents;
}

static void everything(int s, const char *want)
{
	char got[64] = "";
	ssize_t n = recv(s, got, strlen(want), MSG_WAITALL);

	printf("received %zd %s\n", n,
		n > 0 && memcmp(got, want, (size_t)n) == 0 ? "right"
		: n < 0					   ? result(n)
							   : "-");
}

static void until_end(int s)
{
	static char buf[65536];
	long sum = 0;
	ssize_t n;

	while ((n = read(s, buf, sizeof(buf))) > 0)
		sum += n;
	printf("until the end: %ld, then %s\n", sum, result(n));
}

/* ---- the scenes: the server's side ---- */

static void on_alarm(int sig)
{
	(void)sig;
}

static void before_listening(int l)
{
	struct sockaddr_in b;
	socklen_t len = sizeof(b);

	say("bind", bind(l, (struct sockaddr *)&at, sizeof(at)));
	say("bind again", bind(l, (struct sockaddr *)&at, sizeof(at)));
	say("accept before listen", accept(l, NULL, NULL));
	say("listen", listen(l, 16));
	options(l);
	say("getsockname", getsockname(l, (struct sockaddr *)&b, &len));
	say("connect a listener", connect(l, (struct sockaddr *)&at, sizeof(at)));
	say("peer of a listener", getpeername(l, (struct sockaddr *)&b, &len));
	say("write to a listener", send(l, "x", 1, MSG_NOSIGNAL));
	fcntl(l, F_SETFL, O_NONBLOCK);
	say("accept, nobody there", accept(l, NULL, NULL));
	fcntl(l, F_SETFL, 0);
}

static void interrupted(int l)
{
	struct sigaction sa = {.sa_handler = on_alarm};
	struct timeval half = {0, 200000}, never = {0, 0};
	int i;

	sigaction(SIGALRM, &sa, NULL);
	for (i = 0; i < 3; i++) {
		alarm(1);
		say("accept, interrupted", accept(l, NULL, NULL));
	}
	setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &half, sizeof(half));
	say("accept, timed out", accept(l, NULL, NULL));
	setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &never, sizeof(never));
}

static int take(int l, int flags)
{
	struct sockaddr_in p;
	socklen_t len = sizeof(p);
	int s;

	events(l, POLLIN);
	s = accept4(l, (struct sockaddr *)&p, &len, flags);
	printf("accepted %s family %d length %u nonblock %d cloexec %d\n", result(s), p.sin_family,
		len, (fcntl(s, F_GETFL) & O_NONBLOCK) != 0, (fcntl(s, F_GETFD) & FD_CLOEXEC) != 0);
	return s;
}

static void serve(void)
{
	int l = socket(AF_INET, SOCK_STREAM, 0), s, d;
	pid_t child;

	set(l, SOL_SOCKET, SO_REUSEADDR, 1);
	set(l, IPPROTO_TCP, TCP_NODELAY, 1);
	set(l, SOL_SOCKET, SO_KEEPALIVE, 1);
	set(l, IPPROTO_TCP, TCP_KEEPIDLE, 77);
	before_listening(l);
	interrupted(l);
	puts("ready");
	fflush(stdout);

	s = take(l, 0); /* half-close, and options */
	options(s);
	names(s, true);
	everything(s, "hello");
	until_end(s);
	say("send", send(s, "world", 5, MSG_NOSIGNAL));
	close(s);

	s = take(
		l, SOCK_NONBLOCK |
			   SOCK_CLOEXEC); /* a copy goes on when the first is closed; a child too */
	d = dup(s);
	close(s);
	fflush(stdout);
	child = fork();
	if (child == 0) {
		fcntl(d, F_SETFL, 0);
		names(d, true);
		everything(d, "to the child");
		say("send", send(d, "from the child", 14, MSG_NOSIGNAL));
		exit(0);
	}
	close(d);
	waitpid(child, NULL, 0);

	s = take(l, 0); /* reset by the client */
	printf("events %d\n", events(s, POLLIN) & (POLLIN | POLLHUP | POLLERR));
	everything(s, "x");
	s = dup(s);

	s = take(l, 0); /* closed with bytes unread: the client sees a reset */
	events(s, POLLIN);
	close(s);
	s = take(l, 0); /* SO_LINGER 0 */
	events(s, POLLIN);
	setsockopt(s, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
	close(s);
	say("shutdown of a listener", shutdown(l, SHUT_RDWR));
	say("accept afterwards", accept(l, NULL, NULL));
}

/* ---- the client's side ---- */

static int dial(void)
{
	int s = socket(AF_INET, SOCK_STREAM, 0);

	say("connect", connect(s, (struct sockaddr *)&at, sizeof(at)));
	return s;
}

static void refused(void)
{
	struct sockaddr_in nobody = at;
	int s = socket(AF_INET, SOCK_STREAM, 0);

	nobody.sin_port = htons(9);
	say("connect, refused", connect(s, (struct sockaddr *)&nobody, sizeof(nobody)));
	close(s);
	s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	say("the same without blocking", connect(s, (struct sockaddr *)&nobody, sizeof(nobody)));
	printf("events %d\n", events(s, POLLOUT) & (POLLOUT | POLLHUP | POLLERR));
	printf("error %d\n", option(s, SOL_SOCKET, SO_ERROR));
	printf("error %d\n", option(s, SOL_SOCKET, SO_ERROR));
	close(s);
}

static void client(void)
{
	struct sigaction sa = {.sa_handler = SIG_IGN};
	static char much[300000];
	int s;

	sigaction(SIGPIPE, &sa, NULL);
	refused();
	s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	set(s, IPPROTO_TCP, TCP_NODELAY, 1);
	say("connect", connect(s, (struct sockaddr *)&at, sizeof(at)));
	printf("events %d\n", events(s, POLLOUT));
	printf("error %d\n", option(s, SOL_SOCKET, SO_ERROR));
	say("connect again", connect(s, (struct sockaddr *)&at, sizeof(at)));
	say("and again", connect(s, (struct sockaddr *)&at, sizeof(at)));
	options(s);
	fcntl(s, F_SETFL, 0);
	say("send", send(s, "hello", 5, 0));
	say("send much", send(s, much, sizeof(much), 0));
	say("shutdown", shutdown(s, SHUT_WR));
	say("send after it", send(s, "x", 1, MSG_NOSIGNAL));
	everything(s, "world");
	until_end(s);
	close(s);

	s = dial();
	names(s, false);
	say("send", send(s, "to the child", 12, 0));
	everything(s, "from the child");
	until_end(s);
	close(s);

	s = dial();
	usleep(100000);
	setsockopt(s, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
	close(s);

	s = dial();
	say("send", send(s, "never read", 10, 0));
	printf("events %d\n", events(s, POLLIN) & (POLLIN | POLLHUP | POLLERR));
	everything(s, "x");
	close(s);

	s = dial();
	send(s, "x", 1, 0);
	printf("events %d\n", events(s, POLLIN) & (POLLIN | POLLHUP | POLLERR));
	everything(s, "x");
	say("peer of the dead",
		getpeername(s, (struct sockaddr *)&(struct sockaddr_in){0}, &(socklen_t){16}));
	close(s);
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	at.sin_family = AF_INET;
	at.sin_port = htons((uint16_t)atoi(argv[3]));
	inet_pton(AF_INET, argv[2], &at.sin_addr);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (strcmp(argv[1], "serve") == 0)
		serve();
	else
		client();
	return 0;
}
