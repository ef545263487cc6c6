/*
 * nofile.c - no descriptor is left (RLIMIT_NOFILE): every call that makes one says EMFILE, nothing is lost or left behind by it, and
 * it works when there is one again.
 */
#include "peers.h"
#include <sys/resource.h>

static struct rlimit before;

/* Not one more than there are. */
static void no_more(void)
{
	struct rlimit lim = before;
	int next = open("/dev/null", O_RDONLY);

	CHECK(next >= 0);
	close(next);
	lim.rlim_cur = (rlim_t)next; /* the lowest free number: those above it may be open */
	CHECK(setrlimit(RLIMIT_NOFILE, &lim) == 0);
}

static void some_again(void)
{
	CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
}

static void made(const char *label, int fd)
{
	if (fd < 0)
		result(label, fd);
	else
		out("%s made", label);
	close(fd);
}

static void still_works(int fd)
{
	char c;

	result("send", send(fd, "x", 1, MSG_NOSIGNAL));
	tell(4);
	result("recv", recv(fd, &c, 1, 0));
	close(fd);
	tell(0);
}

static void test_dup(void)
{
	int fd = accepted();

	no_more();
	made("dup", dup(fd));
	made("F_DUPFD", fcntl(fd, F_DUPFD, 0));
	made("F_DUPFD_CLOEXEC", fcntl(fd, F_DUPFD_CLOEXEC, 0));
	made("F_DUPFD beyond", fcntl(fd, F_DUPFD, 1 << 20));
	made("dup2 beyond", dup2(fd, 1 << 20));
	made("dup3 beyond", dup3(fd, 1 << 20, O_CLOEXEC));
	some_again();
	made("dup", dup(fd));
	still_works(fd);
}

static void test_sockets(void)
{
	int fd = accepted(), pair[2];

	no_more();
	made("socket", socket(AF_INET, SOCK_STREAM, 0));
	made("udp", socket(AF_INET, SOCK_DGRAM, 0));
	result("pair", socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	result("pipe", pipe(pair));
	some_again();
	made("socket", socket(AF_INET, SOCK_STREAM, 0));
	still_works(fd);
}

static void test_epoll(void)
{
	struct epoll_event ev = {.events = EPOLLOUT};
	int fd = accepted(), ep = epoll_create1(0);

	no_more();
	made("epoll_create", epoll_create(1));
	made("epoll_create1", epoll_create1(EPOLL_CLOEXEC));
	result("add", epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	result("wait", epoll_wait(ep, &ev, 1, -1));
	some_again();
	close(ep);
	ep = epoll_create1(0);
	ev.events = EPOLLOUT;
	result("add", epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	result("wait", epoll_wait(ep, &ev, 1, -1));
	close(ep);
	still_works(fd);
}

static void test_streams(void)
{
	int fd = accepted();
	FILE *f;

	no_more();
	f = fdopen(dup(fd), "w");
	out("stream of a copy %s", f != NULL ? "made" : strerrorname_np(errno));
	f = fopen("/dev/null", "r");
	out("file %s", f != NULL ? "made" : strerrorname_np(errno));
	some_again();
	f = fdopen(dup(fd), "w");
	out("stream of a copy %s", f != NULL ? "made" : strerrorname_np(errno));
	fputs("x", f);
	fclose(f);
	still_works(fd);
}

/* The connection waits in the queue. */
static void test_accept(void)
{
	int l = listen_here(SOCK_NONBLOCK, 4), fd, i;

	await(l, POLLIN);
	no_more();
	for (i = 0; i < 2; i++)
		made("accept", accept(l, NULL, NULL));
	made("accept4", accept4(l, NULL, NULL, SOCK_CLOEXEC));
	out("poll %s", bits((unsigned)await(l, POLLIN)));
	some_again();
	fd = accept(l, NULL, NULL);
	out("accept %s", fd >= 0 ? "works" : strerrorname_np(errno));
	result("again", accept(l, NULL, NULL));
	close(l);
	still_works(fd);
}

/* A listener and a connection are made of what there is. */
static void test_no_new_one_needed(void)
{
	struct sockaddr_in here = address(false, 0), to = address(true, hear());
	int l = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0), v = 1;
	socklen_t len = sizeof(here);

	no_more();
	result("bind", bind(l, (struct sockaddr *)&here, sizeof(here)));
	result("listen", listen(l, 4));
	result("name", getsockname(l, (struct sockaddr *)&here, &len));
	result("connect", connect(fd, (struct sockaddr *)&to, sizeof(to)));
	result("option", setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &v, sizeof(v)));
	result("send", send(fd, "ping", 4, 0));
	result("recv", recv(fd, &(char[4]){0}, 4, MSG_WAITALL));
	out("poll %s", bits((unsigned)await(fd, POLLOUT)));
	some_again();
	close(fd);
	close(l);
}

static void peer_serves(void)
{
	int l = listen_here(0, 4);

	serve_one(l);
	close(l);
}

/* A child of a process without a descriptor left has what its parent had. */
static void test_fork(void)
{
	int fd = accepted();
	pid_t pid;

	no_more();
	pid = fork();
	if (pid == 0) {
		result("child", send(fd, "x", 1, MSG_NOSIGNAL));
		_exit(0);
	}
	out("ended %#x", (unsigned)end_of(pid));
	some_again();
	still_works(fd);
}

static const struct tcase cases[] = {
	{"dup", test_dup, peer_source},
	{"sockets", test_sockets, peer_source},
	{"epoll", test_epoll, peer_source},
	{"streams", test_streams, peer_source},
	{"accept", test_accept, peer_source},
	{"no_new_one_needed", test_no_new_one_needed, peer_serves},
	{"fork", test_fork, peer_source},
};

int main(int argc, char **argv)
{
	CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
	return RUN(argc, argv, cases);
}
