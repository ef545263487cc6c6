/*
 * peek.c - MSG_PEEK for more than there is: it waits like a read, and ends as one does, although
 * what has come stays.
 */
#include "peers.h"

#define HAVE 20000
#define MUCH (16 << 20)

static char buf[MUCH];

/* Bytes are there already; the peer waits. */
static int with_bytes(void)
{
	int fd = accepted();

	tell(HAVE);
	await_bytes(fd, HAVE);
	return fd;
}

static void time_limit(int fd)
{
	struct timeval tv = {.tv_sec = 1};

	CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) == 0);
}

static void finish(int fd)
{
	result("recv", recv(fd, buf, HAVE, MSG_WAITALL));
	out("%s", right((uint8_t *)buf, HAVE, 0) ? "right" : "wrong");
	close(fd);
}

static void test_timeout(void)
{
	int fd = with_bytes();

	time_limit(fd);
	result("peek", recv(fd, buf, 32768, MSG_PEEK | MSG_WAITALL));
	tell(0);
	finish(fd);
}

static void on_alarm(int sig)
{
	(void)sig;
}

static void test_signal(void)
{
	struct sigaction sa = {.sa_handler = on_alarm}, before;
	struct itimerval it = {.it_value.tv_usec = 300000};
	int fd = with_bytes();

	CHECK(sigaction(SIGALRM, &sa, &before) == 0);
	CHECK(setitimer(ITIMER_REAL, &it, NULL) == 0);
	result("peek", recv(fd, buf, 32768, MSG_PEEK | MSG_WAITALL));
	CHECK(sigaction(SIGALRM, &before, NULL) == 0);
	alarm(HANG_S);
	tell(0);
	finish(fd);
}

static void test_end(void)
{
	int fd = with_bytes();

	tell(0);
	result("peek", recv(fd, buf, 32768, MSG_PEEK | MSG_WAITALL));
	finish(fd);
}

static void test_enough(void)
{
	int fd = with_bytes();

	result("peek", recv(fd, buf, HAVE, MSG_PEEK | MSG_WAITALL));
	tell(0);
	finish(fd);
}

static void test_low_water(void)
{
	int fd = with_bytes(), low = 30000;

	CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low)) == 0);
	time_limit(fd);
	result("peek", recv(fd, buf, 32768, MSG_PEEK));
	tell(0);
	finish(fd);
}

/* More than the window takes: no byte will come before some are read. */
static void test_full(void)
{
	int fd = accepted();

	time_limit(fd);
	tell(MUCH);
	result("peek", recv(fd, buf, MUCH, MSG_PEEK | MSG_WAITALL) > HAVE);
	result("all", recv_all(fd, 0, MUCH, 65536));
	tell(0);
	close(fd);
}

static const struct tcase cases[] = {
	{"timeout", test_timeout, peer_source},
	{"signal", test_signal, peer_source},
	{"end", test_end, peer_source},
	{"enough", test_enough, peer_source},
	{"low_water", test_low_water, peer_source},
	{"full", test_full, peer_source},
};

int main(int argc, char **argv)
{
	return RUN(argc, argv, cases);
}
