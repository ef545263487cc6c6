/*
 * fortified.c - the same calls as a program makes them that was built with _FORTIFY_SOURCE: the compiler turns each into its
 * __*_chk name where it knows the size of the buffer and not the count.
 */
#ifdef __OPTIMIZE__
#undef _FORTIFY_SOURCE
#define _FORTIFY_SOURCE 2
#endif
#include "peers.h"

static volatile size_t ten = 10;
static volatile nfds_t one = 1;
static volatile int flags = O_RDONLY;

static void test_receive(void)
{
	int fd = accepted();
	char buf[40];

	tell(40);
	await_bytes(fd, 40);
	result("read", read(fd, buf, ten));
	result("recv", recv(fd, buf, ten, MSG_PEEK));
	result("recvfrom", recvfrom(fd, buf, ten, 0, NULL, NULL));
	out("right %d", right((uint8_t *)buf, 10, 10));
	result("pread", pread(fd, buf, ten, 0));
	result("pread64", pread64(fd, buf, ten, 0));
	result("recv", recv(fd, buf, 4 * ten, MSG_DONTWAIT));
	result("empty", recv(fd, buf, ten, MSG_DONTWAIT));
	tell(0);
	result("end", read(fd, buf, ten));
	close(fd);
}

static void test_poll(void)
{
	int fd = accepted();
	struct pollfd p[2] = {{.fd = fd, .events = POLLIN}};
	struct timespec ts = {50, 0};

	result("poll", poll(p, one, 0));
	tell(5);
	result("poll", poll(p, one, -1));
	result("ppoll", ppoll(p, one, &ts, NULL));
	out("revents %s", bits((unsigned)p[0].revents));
	tell(0);
	close(fd);
}

static void peer_lines(void)
{
	int fd = connect_there();
	char buf[32] = "";

	tell((int)recv(fd, buf, 11, MSG_WAITALL));
	tell(strcmp(buf, "one 1\ntwo 2") == 0);
	close(fd);
}

static void test_print(void)
{
	int fd = accepted();

	result("dprintf", dprintf(fd, "one %d\n", (int)one));
	result("dprintf", dprintf(fd, "two %d", (int)one + 1));
	out("peer %d %d", hear(), hear());
	close(fd);
}

static void test_open(void)
{
	int fd[4] = {open("/dev/null", flags), open64("/dev/null", flags),
		openat(AT_FDCWD, "/dev/null", flags), openat64(AT_FDCWD, "/dev/null", flags)};
	int i, c = accepted();

	for (i = 0; i < 4; i++) {
		out("opened %d", fd[i] >= 0);
		close(fd[i]);
	}
	tell(0);
	close(c);
}

static void test_stream(void)
{
	int fd = accepted();
	FILE *f = fdopen(fd, "r");
	char buf[40];
	fd_set r;

	FD_ZERO(&r);
	FD_SET(fd, &r);
	tell(30);
	result("select", select(fd + 1, &r, NULL, NULL, NULL));
	out("set %d", FD_ISSET(fd, &r) != 0);
	out("fread %zu", fread(buf, 1, ten, f));
	out("fread %zu right %d", fread(buf, 1, 2 * ten, f), right((uint8_t *)buf, 20, 10));
	tell(0);
	out("end %d", fgets(buf, (int)ten, f) == NULL);
	fclose(f);
}

int main(int argc, char **argv)
{
	static const struct tcase cases[] = {
		{"receive", test_receive, peer_source},
		{"poll", test_poll, peer_source},
		{"print", test_print, peer_lines},
		{"open", test_open, peer_wait},
		{"stream", test_stream, peer_source},
	};

	return RUN(argc, argv, cases);
}
