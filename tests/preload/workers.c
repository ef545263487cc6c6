/*
 * workers.c - threads that divide the work on one socket, one epoll instance or one listener.
 */
#include <pthread.h>
#include "peers.h"

struct work {
	int fd;
	uint64_t n;
	int64_t got;
};

static void *reader(void *arg)
{
	struct work *w = arg;

	w->got = recv_all(w->fd, 0, w->n, 30000);
	return NULL;
}

/* One thread sends, one receives, on one socket. */
static void test_two_ways(void)
{
	struct work w = {accepted(), 20000000, 0};
	pthread_t t;

	CHECK(pthread_create(&t, NULL, reader, &w) == 0);
	send_all(w.fd, 0, 20000000);
	pthread_join(t, NULL);
	out("got %ld", (long)w.got);
	close(w.fd);
}

static void peer_echo(void)
{
	int fd = connect_there(), r;
	static char buf[65536];

	while ((r = (int)recv(fd, buf, sizeof(buf), 0)) > 0) {
		int done = 0, k;

		while (done < r) {
			k = (int)send(fd, buf + done, (size_t)(r - done), MSG_NOSIGNAL);
			CHECK(k > 0);
			done += k;
		}
	}
	close(fd);
}

static int shared_ep, shared_l;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int served;

static void *epoll_worker(void *arg)
{
	struct epoll_event ev;
	char buf[4];

	(void)arg;
	for (;;) {
		CHECK(epoll_wait(shared_ep, &ev, 1, 20000) == 1);
		if (ev.data.fd < 0)
			return NULL;
		CHECK(recv(ev.data.fd, buf, 4, MSG_WAITALL) == 4);
		CHECK(send(ev.data.fd, "pong", 4, MSG_NOSIGNAL) == 4);
		close(ev.data.fd);
		pthread_mutex_lock(&mutex);
		served++;
		pthread_mutex_unlock(&mutex);
	}
}

/* Four threads wait in one instance, a fifth accepts and adds. */
static void test_shared_epoll(void)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLONESHOT};
	pthread_t t[4];
	int i, fd, pi[2];

	served = 0;
	shared_ep = epoll_create1(0);
	shared_l = listen_here(0, 64);
	CHECK(pipe(pi) == 0);
	for (i = 0; i < 4; i++)
		CHECK(pthread_create(&t[i], NULL, epoll_worker, NULL) == 0);
	tell(100);
	for (i = 0; i < 100; i++) {
		fd = accept(shared_l, NULL, NULL);
		CHECK(fd >= 0);
		ev.data.fd = fd;
		CHECK(epoll_ctl(shared_ep, EPOLL_CTL_ADD, fd, &ev) == 0);
	}
	out("peer got %d", hear());
	ev.events = EPOLLIN;
	ev.data.fd = -1;
	CHECK(write(pi[1], "x", 1) == 1);
	CHECK(epoll_ctl(shared_ep, EPOLL_CTL_ADD, pi[0], &ev) == 0);
	for (i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	out("served %d", served);
	close(shared_ep);
	close(shared_l);
}

static void *blocking_worker(void *arg)
{
	(void)arg;
	for (;;) {
		int fd = accept(shared_l, NULL, NULL);
		char buf[4];

		CHECK(fd >= 0);
		if (recv(fd, buf, 4, MSG_WAITALL) != 4)
			return NULL;
		if (send(fd, "pong", 4, MSG_NOSIGNAL) != 4)
			return NULL;
		close(fd);
	}
}

/* Threads that sleep in accept() on one listener; then they are cancelled there. */
static void test_accept_threads(void)
{
	pthread_t t[4];
	void *how;
	int i;

	shared_l = listen_here(0, 64);
	for (i = 0; i < 4; i++)
		CHECK(pthread_create(&t[i], NULL, blocking_worker, NULL) == 0);
	tell(60);
	out("peer got %d", hear());
	for (i = 0; i < 4; i++) {
		CHECK(pthread_cancel(t[i]) == 0);
		pthread_join(t[i], &how);
		out("thread %s", how == PTHREAD_CANCELED ? "cancelled" : "ended");
	}
	close(shared_l);
}

static const struct tcase cases[] = {
	{"two_ways", test_two_ways, peer_echo},
	{"shared_epoll", test_shared_epoll, peer_clients},
	{"accept_threads", test_accept_threads, peer_clients},
};

int main(int argc, char **argv)
{
	return RUN(argc, argv, cases);
}
