/*
 * diagnosis.c - a small program with threads, for e2e/diagnosis: built there once more with sanitizers, and run
 * under debuggers and tracers.
 *
 *     diagnosis serve ADDRESS PORT [COUNT]  serves COUNT connections (1), each on a thread: what comes is sent back
 *     diagnosis ask ADDRESS PORT [BYTES]    sends BYTES (1,000,000), one thread, while another checks what comes back
 *     diagnosis child                       shows LD_PRELOAD as a child sees it
 *     diagnosis overrun ADDRESS PORT        sends 64 bytes, and receives them into 32: a sanitizer stops it
 *
 * The asking side hands a plain variable from the sending to the receiving thread, ordered by the connection alone.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static int sock;
static size_t bytes = 1000000;
static size_t handed; /* written before the first byte is sent, read after the first came back */

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static unsigned char pattern(size_t at)
{
	return (unsigned char)(at * 31 + at / 251);
}

/* A name that debuggers can stop at. */
__attribute__((noinline)) static void one_round(size_t n)
{
	__asm__ volatile("" : : "r"(n) : "memory");
}

static void *echo(void *arg)
{
	int s = *(int *)arg;
	char *buf = malloc(65536);
	ssize_t n, done, r;

	free(arg);
	while ((n = recv(s, buf, 65536, 0)) > 0) {
		for (done = 0; done < n; done += r)
			if ((r = send(s, buf + done, (size_t)(n - done), MSG_NOSIGNAL)) <= 0)
				die("send");
		one_round((size_t)n);
	}
	if (n < 0)
		die("recv");
	close(s);
	free(buf);
	return NULL;
}

static int open_socket(const char *address, const char *port, struct sockaddr_in *sa)
{
	int one = 1;

	sock = socket(AF_INET, SOCK_STREAM, 0);
	memset(sa, 0, sizeof(*sa));
	sa->sin_family = AF_INET;
	sa->sin_port = htons((unsigned short)atoi(port));
	inet_pton(AF_INET, address, &sa->sin_addr);
	setsockopt(sock, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	return sock;
}

static void serve(const char *address, const char *port, int count)
{
	struct epoll_event ev = {.events = EPOLLIN};
	struct sockaddr_in sa, peer;
	socklen_t len;
	pthread_t *threads = calloc((size_t)count, sizeof(*threads));
	int i, ep = epoll_create1(0), *s;

	open_socket(address, port, &sa);
	if (bind(sock, (struct sockaddr *)&sa, sizeof(sa)) != 0 || listen(sock, 16) != 0)
		die("listen");
	epoll_ctl(ep, EPOLL_CTL_ADD, sock, &ev);
	puts("listening");
	fflush(stdout);
	for (i = 0; i < count; i++) {
		while (epoll_wait(ep, &ev, 1, -1) != 1)
			;
		s = malloc(sizeof(*s));
		len = sizeof(peer);
		*s = accept(sock, (struct sockaddr *)&peer, &len);
		if (*s < 0)
			die("accept");
		pthread_create(&threads[i], NULL, echo, s);
	}
	for (i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	free(threads);
	close(ep);
	close(sock);
	puts("served");
}

static void *sender(void *arg)
{
	unsigned char *buf = malloc(bytes);
	size_t i, done;
	ssize_t n;

	(void)arg;
	for (i = 0; i < bytes; i++)
		buf[i] = pattern(i);
	handed = bytes;
	for (done = 0; done < bytes; done += (size_t)n)
		if ((n = write(sock, buf + done, bytes - done)) <= 0)
			die("write");
	shutdown(sock, SHUT_WR);
	free(buf);
	return NULL;
}

static void *receiver(void *arg)
{
	unsigned char *buf = malloc(65536);
	size_t at = 0, i;
	ssize_t n;

	(void)arg;
	while ((n = read(sock, buf, 65536)) > 0) {
		for (i = 0; i < (size_t)n; i++)
			if (buf[i] != pattern(at + i)) {
				fprintf(stderr, "byte %zu is wrong\n", at + i);
				exit(1);
			}
		at += (size_t)n;
		one_round(at);
	}
	if (n < 0 || at != handed) {
		fprintf(stderr, "%zu bytes came back\n", at);
		exit(1);
	}
	free(buf);
	return NULL;
}

static void ask(const char *address, const char *port)
{
	struct sockaddr_in sa;
	pthread_t threads[2];

	open_socket(address, port, &sa);
	if (connect(sock, (struct sockaddr *)&sa, sizeof(sa)) != 0)
		die("connect");
	pthread_create(&threads[0], NULL, receiver, NULL);
	pthread_create(&threads[1], NULL, sender, NULL);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	close(sock);
	printf("%zu bytes right\n", bytes);
}

static void overrun(const char *address, const char *port)
{
	struct sockaddr_in sa;
	char *buf = malloc(32), out[64] = "";

	open_socket(address, port, &sa);
	if (connect(sock, (struct sockaddr *)&sa, sizeof(sa)) != 0 || send(sock, out, 64, 0) != 64)
		die("send");
	printf("received %zd\n", recv(sock, buf, *(volatile size_t *)&(size_t){64}, MSG_WAITALL));
	free(buf);
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "child") == 0)
		return system("echo LD_PRELOAD=$LD_PRELOAD") != 0;
	if (argc < 4)
		return 2;
	if (strcmp(argv[1], "serve") == 0) {
		serve(argv[2], argv[3], argc > 4 ? atoi(argv[4]) : 1);
		return 0;
	}
	if (strcmp(argv[1], "overrun") == 0) {
		overrun(argv[2], argv[3]);
		return 0;
	}
	if (argc > 4)
		bytes = strtoul(argv[4], NULL, 10);
	ask(argv[2], argv[3]);
	return 0;
}
