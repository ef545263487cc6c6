/*
 * uring.c - sockets in an io_uring, by liburing, for e2e/reach. Built there, against Debian's liburing.
 *
 *     uring before ADDRESS PORT   a connection, then a ring: what it is told when it receives and sends
 *     uring after ADDRESS PORT    a ring, then a connection: 100,000 bytes there and back by the ring
 *     uring raw ADDRESS PORT      the same connection after syscall(SYS_io_uring_setup), by send() and recv()
 *     uring accept ADDRESS PORT   a ring, then a listener; the ring accepts one connection and greets it
 */
#include <arpa/inet.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BYTES 100000

static struct sockaddr_in at;
static struct io_uring ring;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int dial(void)
{
	int s = socket(AF_INET, SOCK_STREAM, 0);

	if (connect(s, (struct sockaddr *)&at, sizeof(at)) != 0)
		die("connect");
	return s;
}

static struct io_uring_sqe *next(void)
{
	return io_uring_get_sqe(&ring);
}

static int result(void)
{
	struct __kernel_timespec limit = {20, 0};
	struct io_uring_cqe *cqe;
	int r;

	io_uring_submit(&ring);
	if (io_uring_wait_cqe_timeout(&ring, &cqe, &limit) != 0) {
		fputs("the ring is silent\n", stderr);
		exit(1);
	}
	r = cqe->res;
	io_uring_cqe_seen(&ring, cqe);
	return r;
}

static void make_ring(void)
{
	if (io_uring_queue_init(8, &ring, 0) != 0)
		die("io_uring_queue_init");
}

static void before(void)
{
	int s = dial();
	char byte = 'x';

	make_ring();
	io_uring_prep_recv(next(), s, &byte, 1, 0);
	printf("recv: %s\n", strerror(-result()));
	io_uring_prep_send(next(), s, &byte, 1, MSG_NOSIGNAL);
	printf("send: %s\n", strerror(-result()));
}

static void after(void)
{
	static char out[BYTES], in[BYTES];
	int s, r;
	size_t i, n;

	make_ring();
	s = dial();
	for (i = 0; i < BYTES; i++)
		out[i] = (char)(i * 7 + i / 251);
	for (n = 0; n < BYTES; n += (size_t)r) {
		size_t some = BYTES - n < 10000 ? BYTES - n : 10000, got;

		io_uring_prep_send(next(), s, out + n, some, MSG_WAITALL);
		if ((r = result()) <= 0)
			die("send");
		for (got = 0; got < (size_t)r;) {
			int g;

			io_uring_prep_recv(next(), s, in + n + got, (size_t)r - got, 0);
			if ((g = result()) <= 0)
				die("recv");
			got += (size_t)g;
		}
	}
	puts(memcmp(in, out, BYTES) == 0 ? "all right" : "wrong bytes");
}

static void raw(void)
{
	struct io_uring_params p = {0};
	char byte = 'x';
	int s;

	if (syscall(SYS_io_uring_setup, 8, &p) < 0)
		die("io_uring_setup");
	s = dial();
	if (send(s, &byte, 1, 0) != 1 || recv(s, &byte, 1, 0) != 1)
		die("send");
	puts("all right");
}

static void take(void)
{
	int l = socket(AF_INET, SOCK_STREAM, 0), s;

	if (bind(l, (struct sockaddr *)&at, sizeof(at)) != 0)
		die("bind");
	make_ring();
	if (listen(l, 8) != 0)
		die("listen");
	puts("listening");
	fflush(stdout);
	io_uring_prep_accept(next(), l, NULL, NULL, 0);
	s = result();
	io_uring_prep_send(next(), s, "hello", 5, 0);
	printf("accepted, sent %d\n", result());
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	at.sin_family = AF_INET;
	at.sin_port = htons((unsigned short)atoi(argv[3]));
	inet_pton(AF_INET, argv[2], &at.sin_addr);
	if (strcmp(argv[1], "before") == 0)
		before();
	else if (strcmp(argv[1], "after") == 0)
		after();
	else if (strcmp(argv[1], "raw") == 0)
		raw();
	else
		take();
	return 0;
}
