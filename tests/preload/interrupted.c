/*
 * interrupted.c - a call that sleeps, and what ends it from outside: signals and their handlers,
 * shutdown() by another thread, cancellation.
 */
#include <pthread.h>
#include "peers.h"

/* ---- signals ---- */

static volatile int handled;

static void handler(int sig)
{
	(void)sig;
	handled++;
}

static void set_handler(int flags)
{
	struct sigaction sa = {.sa_handler = handler, .sa_flags = flags};

	CHECK(sigaction(SIGUSR1, &sa, NULL) == 0);
	handled = 0;
}

/* SIGUSR1 to the main thread after 50 ms, and then `then`. */
struct poke {
	pthread_t target;
	void (*then)(void);
};

static void *poke(void *arg)
{
	struct poke *p = arg;

	usleep(50000);
	pthread_kill(p->target, SIGUSR1);
	usleep(50000);
	if (p->then != NULL)
		p->then();
	return NULL;
}

static pthread_t poke_me(struct poke *p, void (*then)(void))
{
	pthread_t t;

	p->target = pthread_self();
	p->then = then;
	CHECK(pthread_create(&t, NULL, poke, p) == 0);
	return t;
}

static void send_please(void)
{
	tell(1);
}

static void test_eintr(void)
{
	int fd = accepted(), ep = epoll_create1(0);
	struct epoll_event ev = {.events = EPOLLIN};
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct timeval tv = {20, 0};
	struct poke pk;
	pthread_t t;
	char buf[10];

	set_handler(0);
	t = poke_me(&pk, NULL);
	result("recv", recv(fd, buf, 5, 0));
	pthread_join(t, NULL);
	set_handler(SA_RESTART);
	t = poke_me(&pk, send_please);
	result("recv, restarted", recv(fd, buf, 5, 0));
	pthread_join(t, NULL);
	out("handled %d", handled);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	t = poke_me(&pk, NULL);
	result("recv with a time-out", recv(fd, buf, 5, 0));
	pthread_join(t, NULL);
	tv.tv_sec = 0;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	tell(1);
	await_bytes(fd, 5);
	set_handler(0);
	t = poke_me(&pk, NULL);
	result("part of waitall", recv(fd, buf, 10, MSG_WAITALL));
	pthread_join(t, NULL);
	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
	set_handler(SA_RESTART);
	t = poke_me(&pk, NULL);
	result("epoll_wait", epoll_wait(ep, &ev, 1, 20000));
	pthread_join(t, NULL);
	t = poke_me(&pk, NULL);
	result("poll", poll(&p, 1, 20000));
	pthread_join(t, NULL);
	t = poke_me(&pk, NULL);
	result("select", select(fd + 1, &(fd_set){{0}}, NULL, NULL, &(struct timeval){20, 0}));
	pthread_join(t, NULL);
	tell(0);
	close(fd);
	close(ep);
}

static void test_eintr_accept(void)
{
	int l = listen_here(0, 5);
	struct poke pk;
	pthread_t t;

	set_handler(0);
	t = poke_me(&pk, NULL);
	result("accept", accept(l, NULL, NULL));
	pthread_join(t, NULL);
	set_handler(SA_RESTART);
	t = poke_me(&pk, send_please);
	out("accept %s", accept(l, NULL, NULL) >= 0 ? "restarted" : strerrorname_np(errno));
	pthread_join(t, NULL);
	tell(0);
	close(l);
}

static void peer_connect_when_told(void)
{
	struct sockaddr_in sa = address(false, hear());
	int fd;

	hear();
	fd = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0);
	hear();
}

/* ppoll and epoll_pwait let the signal in only while they wait. */
static void test_sigmask(void)
{
	int fd = accepted(), ep = epoll_create1(0);
	struct epoll_event ev = {.events = EPOLLIN};
	struct pollfd p = {.fd = fd, .events = POLLIN};
	sigset_t block, none;

	sigemptyset(&none);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	CHECK(sigprocmask(SIG_BLOCK, &block, NULL) == 0);
	set_handler(0);
	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
	raise(SIGUSR1);
	result("poll", poll(&p, 1, 20));
	out("handled %d", handled);
	result("ppoll", ppoll(&p, 1, &(struct timespec){20, 0}, &none));
	out("handled %d", handled);
	raise(SIGUSR1);
	result("epoll_pwait", epoll_pwait(ep, &ev, 1, 20000, &none));
	out("handled %d", handled);
	CHECK(sigprocmask(SIG_UNBLOCK, &block, NULL) == 0);
	tell(0);
	close(fd);
	close(ep);
}

static int handler_fd;

static void handler_io(int sig)
{
	(void)sig;
	handled += send(handler_fd, "x", 1, MSG_DONTWAIT) == 1;
	handled += recv(handler_fd, &(char){0}, 1, MSG_DONTWAIT) < 0;
	poll(&(struct pollfd){.fd = handler_fd, .events = POLLIN}, 1, 0);
}

/* A handler that uses a socket while calls on it are under way: nothing hangs, nothing is lost. */
static void test_handler_io(void)
{
	struct sigaction sa = {.sa_handler = handler_io, .sa_flags = SA_RESTART};
	struct itimerval it = {{0, 500}, {0, 500}};
	int fd = accepted(), other = -1, i;
	static uint8_t buf[10000];

	(void)other;
	handler_fd = fd;
	handled = 0;
	CHECK(sigaction(SIGUSR1, &sa, NULL) == 0);
	CHECK(signal(SIGALRM, handler_io) != SIG_ERR);
	CHECK(setitimer(ITIMER_REAL, &it, NULL) == 0);
	for (i = 0; i < 3000; i++) {
		ssize_t r = send(fd, buf, sizeof(buf), MSG_DONTWAIT);

		CHECK(r > 0 || errno == EAGAIN || errno == EINTR);
		poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, 1);
	}
	it = (struct itimerval){{0, 0}, {0, 0}};
	CHECK(setitimer(ITIMER_REAL, &it, NULL) == 0);
	signal(SIGALRM, SIG_DFL);
	alarm(HANG_S);
	out("the handler did %s", handled > 0 ? "work" : "nothing");
	shutdown(fd, SHUT_WR);
	out("peer got %s", hear() > 0 ? "all" : "nothing");
	close(fd);
}

static void peer_drain(void)
{
	int fd = connect_there(), total = 0, r;
	static char buf[65536];

	while ((r = (int)recv(fd, buf, sizeof(buf), 0)) > 0)
		total += r;
	tell(total);
	close(fd);
}

/* ---- another thread ---- */

static void *shutter(void *arg)
{
	usleep(50000);
	shutdown(*(int *)arg, SHUT_RDWR);
	return NULL;
}

/* shutdown() by another thread ends a recv() that sleeps. */
static void test_shutdown_wakes(void)
{
	int fd = accepted();
	pthread_t t;
	char c;

	CHECK(pthread_create(&t, NULL, shutter, &fd) == 0);
	result("recv", recv(fd, &c, 1, 0));
	pthread_join(t, NULL);
	tell(0);
	close(fd);
}

static int shared_l;

static void *listener_shutter(void *arg)
{
	(void)arg;
	usleep(50000);
	shutdown(shared_l, SHUT_RDWR);
	return NULL;
}

/* shutdown() of a listener ends an accept() that sleeps, and the listening. */
static void test_shutdown_listener(void)
{
	pthread_t t;

	shared_l = listen_here(0, 5);
	CHECK(pthread_create(&t, NULL, listener_shutter, NULL) == 0);
	result("accept", accept(shared_l, NULL, NULL));
	pthread_join(t, NULL);
	result("accept", accept(shared_l, NULL, NULL));
	tell(0);
	out("peer got %s", strerrorname_np(hear()));
	close(shared_l);
}

static void *recv_worker(void *arg)
{
	char c;

	recv(*(int *)arg, &c, 1, 0);
	return NULL;
}

static void test_cancel_recv(void)
{
	int fd = accepted();
	char buf[10];
	pthread_t t;
	void *how;

	CHECK(pthread_create(&t, NULL, recv_worker, &fd) == 0);
	usleep(50000);
	CHECK(pthread_cancel(t) == 0);
	pthread_join(t, &how);
	out("thread %s", how == PTHREAD_CANCELED ? "cancelled" : "ended");
	tell(1);
	result("recv", recv(fd, buf, 5, MSG_WAITALL));
	tell(0);
	close(fd);
}

static const struct tcase cases[] = {
	{"eintr", test_eintr, peer_sender},
	{"eintr_accept", test_eintr_accept, peer_connect_when_told},
	{"sigmask", test_sigmask, peer_wait},
	{"handler_io", test_handler_io, peer_drain},
	{"shutdown_wakes", test_shutdown_wakes, peer_wait},
	{"shutdown_listener", test_shutdown_listener, peer_refused},
	{"cancel_recv", test_cancel_recv, peer_sender},
};

int main(int argc, char **argv)
{
	return RUN(argc, argv, cases);
}
