/*
 * descriptors.c - numbers of a socket: dup, close_range, a program that closes all it does not know,
 * no descriptor left, stdio.
 */
#include <linux/close_range.h>
#include <sys/resource.h>
#include "peers.h"

static void test_dup(void)
{
	int fd = accepted(), d, e;
	char buf[10];

	d = dup(fd);
	out("lowest %d", d == fd + 1 || d < fd);
	close(fd);
	tell(1);
	result("recv", recv(d, buf, 5, MSG_WAITALL));
	e = fcntl(d, F_DUPFD_CLOEXEC, 100);
	out("number %d cloexec %d", e, fcntl(e, F_GETFD));
	result("dup2", dup2(d, 50));
	result("dup3", dup3(d, 51, O_CLOEXEC));
	result("dup3 same", dup3(d, d, O_CLOEXEC));
	result("dup2 same", dup2(d, d));
	result("dup2 bad", dup2(9999, 52));
	close(d);
	close(e);
	result("setfl", fcntl(50, F_SETFL, O_NONBLOCK));
	result("shared flag", recv(51, buf, 5, 0));
	close(50);
	tell(1);
	await(51, POLLIN);
	result("recv", recv(51, buf, 5, 0));
	result("close", close(51));
	result("close again", close(51));
	result("recv closed", recv(51, buf, 5, 0));
	tell(0);
}

/* dup2 of something else over a connection ends it. */
static void test_dup_over(void)
{
	int fd = accepted(), null = open("/dev/null", O_RDWR);
	char c;

	result("dup2", dup2(null, fd) == fd);
	result("read", read(fd, &c, 1));
	result("write", write(fd, "x", 1));
	out("peer got %d", hear());
	close(fd);
	close(null);
}

static void peer_end(void)
{
	int fd = connect_there();
	char c;

	tell((int)recv(fd, &c, 1, 0));
	close(fd);
}

static void test_close_range(void)
{
	int fd = accepted(), high = fcntl(fd, F_DUPFD, 200);
	char buf[10];

	result("cloexec", close_range((unsigned)high, (unsigned)high, CLOSE_RANGE_CLOEXEC));
	out("cloexec %d", fcntl(high, F_GETFD));
	result("close_range", close_range(100, 300, 0));
	result("recv", recv(high, buf, 5, 0));
	tell(1);
	result("recv", recv(fd, buf, 5, MSG_WAITALL));
	result("backwards", close_range(5, 4, 0));
	result("high", close_range(500, ~0u, 0));
	tell(1);
	result("recv", recv(fd, buf, 5, MSG_WAITALL));
	tell(0);
	result("end", recv(fd, buf, 5, MSG_WAITALL));
	close(fd);
}

/* A program that closes everything it does not know, as daemons do. */
static void test_close_all(void)
{
	int fd = accepted(), i, errors = 0;
	char buf[10];

	for (i = 20; i < 1024; i++)
		if (i != fd && i != ctl && close(i) != 0)
			errors += errno != EBADF;
	out("other errors %d", errors);
	tell(1);
	result("recv", recv(fd, buf, 5, MSG_WAITALL));
	i = socket(AF_INET, SOCK_STREAM, 0);
	out("socket %s", i >= 0 ? "works" : "fails");
	close(i);
	tell(0);
	close(fd);
}

static void test_no_descriptors(void)
{
	struct rlimit rl, low;
	int l = listen_here(SOCK_NONBLOCK, 16), fd, fill[64], n = 0;
	char buf[10];

	CHECK(getrlimit(RLIMIT_NOFILE, &rl) == 0);
	hear();
	low = rl;
	low.rlim_cur = 40;
	CHECK(setrlimit(RLIMIT_NOFILE, &low) == 0);
	while (n < 64 && (fill[n] = open("/dev/null", O_RDONLY)) >= 0)
		n++;
	await(l, POLLIN);
	result("accept", accept(l, NULL, NULL));
	result("accept", accept(l, NULL, NULL));
	CHECK(setrlimit(RLIMIT_NOFILE, &rl) == 0);
	while (n > 0)
		close(fill[--n]);
	fd = accept(l, NULL, NULL);
	out("accept %s", fd >= 0 ? "works" : strerrorname_np(errno));
	result("recv", recv(fd, buf, 4, MSG_WAITALL));
	tell(0);
	close(fd);
	close(l);
}

static void peer_no_descriptors(void)
{
	int fd = connect_there();

	say_to(fd, "ping");
	tell(0);
	hear();
	close(fd);
}

static void test_fclose(void)
{
	int fd = accepted();
	FILE *f = fdopen(fd, "r+");

	CHECK(f != NULL);
	result("fclose", fclose(f));
	out("peer got %d", hear());
	result("recv", recv(fd, &fd, 1, 0));
}

static const struct tcase cases[] = {
	{"dup", test_dup, peer_sender},
	{"dup_over", test_dup_over, peer_end},
	{"close_range", test_close_range, peer_sender},
	{"close_all", test_close_all, peer_sender},
	{"no_descriptors", test_no_descriptors, peer_no_descriptors},
	{"fclose", test_fclose, peer_end},
};

int main(int argc, char **argv)
{
	return RUN(argc, argv, cases);
}
