/*
 * times.c - time-outs of a socket count a call's whole stay, not each of its sleeps; lengths that are too long;
 * the address that accept() cannot write. Only what does not depend on how fast things go is printed.
 */
#include "peers.h"
#include <limits.h>
#include <sys/mman.h>

/* A byte every 20 ms until it is told to end. */
static void peer_drips(void)
{
	int fd = connect_there();
	struct pollfd p = {.fd = ctl, .events = POLLIN};

	while (poll(&p, 1, 20) == 0)
		if (send(fd, "x", 1, MSG_NOSIGNAL) != 1)
			break;
	hear();
	close(fd);
}

static void limit_of(int fd, int name, int ms)
{
	struct timeval tv = {ms / 1000, ms % 1000 * 1000};

	CHECK(setsockopt(fd, SOL_SOCKET, name, &tv, sizeof(tv)) == 0);
}

/* Bytes keep coming, and would for a minute. */
static void test_all_of_them(void)
{
	static char buf[3000];
	int fd = accepted();
	ssize_t n;

	limit_of(fd, SO_RCVTIMEO, 300);
	n = recv(fd, buf, sizeof(buf), MSG_WAITALL);
	out("some %d, not all %d", n > 0, n < 1000);
	tell(0);
	close(fd);
}

static void test_low_water(void)
{
	static char buf[3000];
	int fd = accepted(), low = 2000;
	ssize_t n;

	CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low)) == 0);
	limit_of(fd, SO_RCVTIMEO, 300);
	n = recv(fd, buf, sizeof(buf), 0);
	out("some %d, not all %d", n > 0, n < 1000);
	tell(0);
	close(fd);
}

/* Reads a little at a time, so that the sender goes on a little at a time. */
static void peer_sips(void)
{
	int fd = connect_there();
	struct pollfd p = {.fd = ctl, .events = POLLIN};
	static char buf[65536];

	while (poll(&p, 1, 20) == 0)
		if (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) == 0)
			break;
	hear();
	close(fd);
}

static void test_sending(void)
{
	size_t n = (size_t)1 << 30;
	char *big = mmap(NULL, n, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int fd = accepted();
	ssize_t r;

	CHECK(big != MAP_FAILED);
	limit_of(fd, SO_SNDTIMEO, 300);
	r = send(fd, big, n, MSG_NOSIGNAL);
	out("some %d, not all %d", r > 0, r < (ssize_t)n);
	tell(0);
	close(fd);
	munmap(big, n);
}

/* Ends by a time-out of zero, and by one that is wrong. */
static void test_wrong_times(void)
{
	struct timeval zero = {0, 0}, negative = {-5, 0}, wrong = {0, 1000000}, now = {1, 1};
	int fd = accepted();
	socklen_t len = sizeof(now);

	result("zero", setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &zero, sizeof(zero)));
	result("negative", setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &negative, sizeof(negative)));
	result("wrong", setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wrong, sizeof(wrong)));
	result("short", setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &now, 8));
	result("get", getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &now, &len));
	out("%ld %ld length %u", (long)now.tv_sec, (long)now.tv_usec, len);
	result("at once", recv(fd, &len, 1, 0));
	now = (struct timeval){LONG_MAX, 0};
	result("for ever", setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &now, sizeof(now)));
	tell(4);
	result("recv", recv(fd, &len, 4, MSG_WAITALL));
	tell(0);
	close(fd);
}

/* ---- lengths ---- */

static void test_lengths(void)
{
	static char buf[8];
	static struct iovec many[1025];
	struct iovec two[2] = {{buf, 4}, {buf, SSIZE_MAX}}, negative = {buf, (size_t)SSIZE_MAX + 1};
	struct msghdr m = {.msg_iov = many, .msg_iovlen = 1025};
	int fd = accepted();

	say_to(fd, "x");
	tell(8);
	await_bytes(fd, 8);
	result("readv", readv(fd, two, 2));
	result("negative", readv(fd, &negative, 1));
	result("one", readv(fd, &two[1], 1));
	tell(8);
	await_bytes(fd, 8);
	result("many", readv(fd, many, 1025));
	result("most", readv(fd, many, 1024));
	result("minus", writev(fd, two, *(volatile int *)&(int){-1}));
	result("none", writev(fd, two, 0));
	result("message of many", sendmsg(fd, &m, MSG_NOSIGNAL));
	m = (struct msghdr){
		.msg_iov = many, .msg_iovlen = 1, .msg_name = buf, .msg_namelen = UINT_MAX};
	result("name", sendmsg(fd, &m, MSG_NOSIGNAL));
	result("name", recvmsg(fd, &m, MSG_DONTWAIT));
	result("name", sendto(fd, "x", 1, MSG_NOSIGNAL, (struct sockaddr *)buf, 200));
	tell(0);
	close(fd);
}

/* ---- accept() with nowhere to write ---- */

static void accept_to(void *address, socklen_t *len)
{
	int l = listen_here(SOCK_NONBLOCK, 4);

	await(l, POLLIN);
	result("accept", accept(l, address, len));
	result("again", accept(l, NULL, NULL));
	close(l);
	tell(0);
}

static void test_accept_address(void)
{
	socklen_t len = sizeof(struct sockaddr_in);

	accept_to((void *)0xffff888000001000, &len);
}

static void test_accept_no_length(void)
{
	struct sockaddr_in sa;

	accept_to(&sa, NULL);
}

static void test_accept_negative(void)
{
	struct sockaddr_in sa;
	socklen_t len = UINT_MAX;

	accept_to(&sa, &len);
}

static const struct tcase cases[] = {
	{"all_of_them", test_all_of_them, peer_drips},
	{"low_water", test_low_water, peer_drips},
	{"sending", test_sending, peer_sips},
	{"wrong_times", test_wrong_times, peer_source},
	{"lengths", test_lengths, peer_source},
	{"accept_address", test_accept_address, peer_wait},
	{"accept_no_length", test_accept_no_length, peer_wait},
	{"accept_negative", test_accept_negative, peer_wait},
};

int main(int argc, char **argv)
{
	return RUN(argc, argv, cases);
}
