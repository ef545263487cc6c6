/*
 * threads.c - several threads on one epoll instance, one socket or one listener: who is woken, and
 * what becomes of a call that sleeps when another thread ends its descriptor.
 */
#include "steps.h"

/* ---- one epoll instance, two threads ---- */

static int ep, got[2]; /* what the n-th thread to be woken was told */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int waking, woken;
static bool over;

/* Waits in the instance once, and then for the end of the case: the other thread is alone. */
static void *wait_once(void *arg)
{
	struct epoll_event ev = {.data.u32 = 0};
	int n;

	(void)arg;
	pthread_mutex_lock(&mutex);
	waking++;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&mutex);
	n = epoll_wait(ep, &ev, 1, LIMIT_MS);
	pthread_mutex_lock(&mutex);
	got[woken++] = n == 1 ? (int)ev.data.u32 : -n;
	pthread_cond_broadcast(&changed);
	while (!over)
		pthread_cond_wait(&changed, &mutex);
	pthread_mutex_unlock(&mutex);
	return NULL;
}

static void until(const int *count, int n)
{
	pthread_mutex_lock(&mutex);
	while (*count < n)
		pthread_cond_wait(&changed, &mutex);
	pthread_mutex_unlock(&mutex);
}

static void start_two(pthread_t t[2])
{
	int i;

	waking = woken = 0;
	over = false;
	for (i = 0; i < 2; i++)
		CHECK(pthread_create(&t[i], NULL, wait_once, NULL) == 0);
	until(&waking, 2);
	usleep(100000); /* asleep, most likely: any order must give the same result */
}

static void end_two(pthread_t t[2])
{
	pthread_mutex_lock(&mutex);
	over = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&mutex);
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
}

static void watch_for(int fd, uint32_t events, int i)
{
	struct epoll_event ev = {.events = events, .data.u32 = (uint32_t)i + 1};

	CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0);
}

/* The first event wakes one thread, which does not come back; the second event wakes the other. */
static void two_events(int l, const int fd[2], pthread_t t[2])
{
	int i;

	ask(SEND, 0);
	until(&woken, 1);
	ask(SEND, 1);
	until(&woken, 2);
	out("first %d second %d", got[0], got[1]);
	end_two(t);
	ask(END, 0);
	for (i = 0; i < 2; i++)
		close(fd[i]);
	close(l);
	close(ep);
}

static void added_before(uint32_t how)
{
	int l = listen_here(0, 16), fd[2], i;
	pthread_t t[2];

	ep = epoll_create1(0);
	for (i = 0; i < 2; i++) {
		fd[i] = connection(l, i);
		watch_for(fd[i], EPOLLIN | how, i);
	}
	start_two(t);
	two_events(l, fd, t);
}

static void test_second_edge(void)
{
	added_before(EPOLLET);
}

static void test_second_oneshot(void)
{
	added_before(EPOLLONESHOT);
}

/* A level-triggered event that the first thread leaves as it is wakes the second. */
static void test_still_ready(void)
{
	int l = listen_here(0, 16), fd = connection(l, 0);
	struct epoll_event ev = {.events = EPOLLIN, .data.u32 = 1};
	pthread_t t[2];

	ep = epoll_create1(0);
	CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0);
	start_two(t);
	ask(SEND, 0);
	until(&woken, 2);
	out("first %d second %d", got[0], got[1]);
	end_two(t);
	ask(END, 0);
	close(fd);
	close(l);
	close(ep);
}

/* Two threads sleep in an empty instance; then it gets two sockets. */
static void test_added_later(void)
{
	int l = listen_here(0, 16), fd[2], i;
	pthread_t t[2];

	ep = epoll_create1(0);
	for (i = 0; i < 2; i++)
		fd[i] = connection(l, i);
	start_two(t);
	for (i = 0; i < 2; i++)
		watch_for(fd[i], EPOLLIN | EPOLLONESHOT, i);
	two_events(l, fd, t);
}

/* ---- a call that sleeps, and its descriptor's end ---- */

struct call {
	int fd;
	ssize_t r;
	int err;
	char buf[16];
};

static void *receiver(void *arg)
{
	struct call *c = arg;

	c->r = recv(c->fd, c->buf, sizeof(c->buf), 0);
	c->err = errno;
	return NULL;
}

/* shutdown() and close() by another thread end a recv(); the next connection is not its. */
static void test_shutdown_close_accept(void)
{
	int l = listen_here(0, 16), null = open("/dev/null", O_RDONLY), next, i, strange = 0,
	    lost = 0;
	char buf[16];
	pthread_t t;

	for (i = 0; i < 20; i++) {
		struct call c = {.fd = connection(l, 0)};

		CHECK(pthread_create(&t, NULL, receiver, &c) == 0);
		usleep(20000);
		ask(CONNECT, 1);
		ask(SEND, 1);
		CHECK(shutdown(c.fd, SHUT_RDWR) == 0);
		/* Closes it too, but a thread that comes late finds no other connection there. */
		CHECK(dup2(null, c.fd) == c.fd);
		next = accept(l, NULL, NULL);
		CHECK(next >= 0);
		pthread_join(t, NULL);
		strange += c.r != 0 && c.err != ENOTSOCK;
		close(c.fd);
		lost += recv(next, buf, 10, MSG_WAITALL) != 10;
		close(next);
	}
	out("not ended %d, bytes lost %d", strange, lost);
	ask(END, 0);
	close(l);
	close(null);
}

/* ---- threads that are cancelled where they sleep ---- */

static void *acceptor(void *arg)
{
	return (void *)(intptr_t)accept(*(int *)arg, NULL, NULL);
}

static void *poller(void *arg)
{
	struct pollfd p = {.fd = *(int *)arg, .events = POLLIN};

	return (void *)(intptr_t)poll(&p, 1, -1);
}

static void *waiter(void *arg)
{
	struct epoll_event ev;

	return (void *)(intptr_t)epoll_wait(*(int *)arg, &ev, 1, -1);
}

static void cancelled(void *(*fn)(void *), int *fd)
{
	pthread_t t;
	void *how;

	CHECK(pthread_create(&t, NULL, fn, fd) == 0);
	usleep(50000);
	CHECK(pthread_cancel(t) == 0);
	pthread_join(t, &how);
	out("thread %s", how == PTHREAD_CANCELED ? "cancelled" : "ended");
}

/* The only thread of this process that accepted is cancelled: its child's accept() is woken. */
static void test_cancel_accept(void)
{
	int l = listen_here(0, 16), status;
	pid_t pid;

	cancelled(acceptor, &l);
	pid = fork();
	if (pid == 0)
		_exit(accept(l, NULL, NULL) < 0);
	usleep(200000); /* it sleeps, most likely */
	ask(CONNECT, 0);
	CHECK(waitpid(pid, &status, 0) == pid);
	out("child %d", status);
	ask(END, 0);
	close(l);
}

/* More often than there are places for sleepers; then everything still works. */
static void test_cancel_poll(void)
{
	int l = listen_here(0, 16), fd = connection(l, 0), i;
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct epoll_event ev = {.events = EPOLLIN, .data.u32 = 1};

	ep = epoll_create1(0);
	CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0);
	for (i = 0; i < 4; i++) {
		cancelled(poller, &fd);
		cancelled(poller, &l);
		cancelled(waiter, &ep);
	}
	ask(SEND, 0);
	result("epoll", epoll_wait(ep, &ev, 1, -1));
	result("poll", poll(&p, 1, -1));
	ask(END, 0);
	close(fd);
	close(l);
	close(ep);
}

/* Two threads asleep in a set of the kernel's descriptors alone; then a connection is added. Each of its news wakes one. */
static void test_added_to_two(void)
{
	int l = listen_here(0, 4), fd = connection(l, 0), set = epoll_create1(0);
	struct epoll_event ev = {.events = EPOLLIN}, et = {.events = EPOLLIN | EPOLLET};
	struct thread t[2];
	int i, p[2], left;

	CHECK(pipe(p) == 0 && epoll_ctl(set, EPOLL_CTL_ADD, p[0], &ev) == 0);
	for (i = 0; i < 2; i++) {
		t[i] = (struct thread){.call = in_epoll, .fd = set};
		start(&t[i]);
	}
	CHECK(epoll_ctl(set, EPOLL_CTL_ADD, fd, &et) == 0);
	for (left = 2; left > 0; left--) {
		ask(SEND, 0);
		while (!__atomic_load_n(&t[0].done, __ATOMIC_ACQUIRE) +
				!__atomic_load_n(&t[1].done, __ATOMIC_ACQUIRE) >=
			left)
			usleep(1000);
		out("%d still asleep", left - 1);
	}
	for (i = 0; i < 2; i++) {
		finish(&t[i]);
		out("events %d %s", (int)t[i].r, bits((unsigned)t[i].events));
	}
	ask(END, 0);
	close(set);
	close(p[0]);
	close(p[1]);
	close(fd);
	close(l);
}

static const struct tcase cases[] = {
	{"second_edge", test_second_edge, peer_steps},
	{"second_oneshot", test_second_oneshot, peer_steps},
	{"still_ready", test_still_ready, peer_steps},
	{"added_later", test_added_later, peer_steps},
	{"shutdown_close_accept", test_shutdown_close_accept, peer_steps},
	{"cancel_accept", test_cancel_accept, peer_steps},
	{"cancel_poll", test_cancel_poll, peer_steps},
	{"added_to_two", test_added_to_two, peer_steps},
};

int main(int argc, char **argv)
{
	return RUN(argc, argv, cases);
}
