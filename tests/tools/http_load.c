/*
 * http_load - HTTP requests, each one checked, every failure counted under its cause.
 *
 *   http_load ADDRESS PORT PATH FILE THREADS SECONDS [keep]
 *
 * Each thread, until SECONDS have passed: connect, one request with "Connection: close", read to
 * the end, compare the body with FILE byte by byte. With `keep` a connection serves as many requests
 * as the server lets it. Prints one JSON object; what a count means
 * stands in `enum outcome`. Load generators that count pages hide the connection that failed before
 * its request: this one is for reloads, where that is the question. Exit status 0 if it could run
 * at all: judging is the caller's.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum outcome {
	OK,
	REFUSED,       /* connect: ECONNREFUSED */
	CONNECT_OTHER, /* connect: anything else */
	RESET,	       /* ECONNRESET or EPIPE after connect */
	EMPTY,	       /* closed without one byte of an answer */
	SHORT,	       /* closed within header or body */
	WRONG,	       /* another status, or another body */
	STUCK,	       /* nothing for STUCK_S seconds */
	CLOSED, /* RESET or EMPTY on a kept connection: the server ended it as the request came */
	OUTCOMES
};

static const char *const names[OUTCOMES] = {
	"ok", "refused", "connect_other", "reset", "empty", "short", "wrong", "stuck", "closed"};

#define STUCK_S	    15
#define THREADS_MAX 256

struct worker {
	pthread_t thread;
	uint64_t count[OUTCOMES];
	uint64_t slowest_ns;
};

static struct sockaddr_in server;
static char request[1024];
static const uint8_t *body;
static size_t body_len;
static uint64_t end_ns;
static bool keep;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static enum outcome io_error(void)
{
	if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ETIMEDOUT)
		return STUCK;
	return RESET;
}

static enum outcome send_request(int fd)
{
	size_t done = 0, len = strlen(request);

	while (done < len) {
		ssize_t n = send(fd, request + done, len - done, MSG_NOSIGNAL);

		if (n < 0)
			return io_error();
		done += (size_t)n;
	}
	return OK;
}

/* Reads the header into buf; *have is what came with it, *head the header's length. */
static enum outcome read_header(int fd, char *buf, size_t cap, size_t *have, size_t *head)
{
	*have = 0;
	while (*have < cap - 1) {
		ssize_t n = recv(fd, buf + *have, cap - 1 - *have, 0);

		if (n < 0)
			return io_error();
		if (n == 0)
			return *have ? SHORT : EMPTY;
		*have += (size_t)n;
		buf[*have] = 0;
		char *blank = strstr(buf, "\r\n\r\n");
		if (blank) {
			*head = (size_t)(blank - buf) + 4;
			return strncmp(buf, "HTTP/1.1 200", 12) == 0 ? OK : WRONG;
		}
	}
	return WRONG;
}

/* To the end of the connection, or of the body where the connection is kept. */
static enum outcome read_body(int fd, char *buf, size_t cap, size_t have, size_t head, bool kept)
{
	size_t done = have - head;

	if (done > body_len || memcmp(buf + head, body, done) != 0)
		return WRONG;
	while (!kept || done < body_len) {
		ssize_t n = recv(fd, buf, cap, 0);

		if (n < 0)
			return io_error();
		if (n == 0)
			return done == body_len ? OK : SHORT;
		if ((size_t)n > body_len - done || memcmp(buf, body + done, (size_t)n) != 0)
			return WRONG;
		done += (size_t)n;
	}
	return OK;
}

/* `used`: not the connection's first request. *kept: may it serve another? */
static enum outcome exchange(int fd, bool used, bool *kept)
{
	char buf[65536];
	size_t have = 0, head = 0;
	enum outcome o = send_request(fd);

	if (o == OK)
		o = read_header(fd, buf, sizeof(buf), &have, &head);
	if (used && have == 0 && (o == EMPTY || o == RESET))
		return CLOSED;
	if (o != OK)
		return o;
	*kept = keep && memmem(buf, head, "\r\nConnection: close\r\n", 21) == NULL;
	return read_body(fd, buf, sizeof(buf), have, head, *kept);
}

/* One request; *conn is the connection kept from the last one, or -1. */
static enum outcome one(int *conn)
{
	const struct timeval limit = {.tv_sec = STUCK_S};
	int fd = *conn >= 0 ? *conn : socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool used = *conn >= 0, kept = false;
	enum outcome o;

	*conn = -1;
	if (fd < 0)
		return CONNECT_OTHER;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (used || connect(fd, (const struct sockaddr *)&server, sizeof(server)) == 0)
		o = exchange(fd, used, &kept);
	else
		o = errno == ECONNREFUSED ? REFUSED : CONNECT_OTHER;
	if (o == OK && kept)
		*conn = fd;
	else
		close(fd);
	return o;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	uint64_t t = now_ns();
	int conn = -1;

	while (t < end_ns) {
		enum outcome o = one(&conn);
		uint64_t after = now_ns();

		w->count[o]++;
		if (after - t > w->slowest_ns)
			w->slowest_ns = after - t;
		if (o != OK && o != CLOSED)
			fprintf(stderr, "http_load: %s after %llu us\n", names[o],
				(unsigned long long)(after - t) / 1000);
		t = after;
	}
	return NULL;
}

static int load_body(const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) != 0 || st.st_size == 0)
		return -1;
	body_len = (size_t)st.st_size;
	body = mmap(NULL, body_len, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	return body == MAP_FAILED ? -1 : 0;
}

static void report(const struct worker *w, int n)
{
	uint64_t slowest = 0;

	for (int i = 0; i < n; i++)
		slowest = w[i].slowest_ns > slowest ? w[i].slowest_ns : slowest;
	printf("{");
	for (int o = 0; o < OUTCOMES; o++) {
		uint64_t sum = 0;

		for (int i = 0; i < n; i++)
			sum += w[i].count[o];
		printf("\"%s\": %llu, ", names[o], (unsigned long long)sum);
	}
	printf("\"slowest_us\": %llu}\n", (unsigned long long)slowest / 1000);
}

int main(int argc, char **argv)
{
	static struct worker workers[THREADS_MAX];

	if (argc != 7 && !(argc == 8 && strcmp(argv[7], "keep") == 0)) {
		fprintf(stderr, "usage: http_load ADDRESS PORT PATH FILE THREADS SECONDS [keep]\n");
		return 2;
	}
	int threads = atoi(argv[5]);
	keep = argc == 8;
	server.sin_family = AF_INET;
	server.sin_port = htons((uint16_t)atoi(argv[2]));
	if (inet_pton(AF_INET, argv[1], &server.sin_addr) != 1 || threads < 1 ||
		threads > THREADS_MAX || load_body(argv[4]) != 0) {
		fprintf(stderr, "http_load: bad address, thread count or file\n");
		return 2;
	}
	snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: %s\r\n\r\n",
		argv[3], argv[1], keep ? "keep-alive" : "close");
	end_ns = now_ns() + (uint64_t)atoi(argv[6]) * 1000000000u;
	for (int i = 0; i < threads; i++)
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
			return 2;
	for (int i = 0; i < threads; i++)
		pthread_join(workers[i].thread, NULL);
	report(workers, threads);
	return 0;
}
