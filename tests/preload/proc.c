/*
 * proc.c - processes, threads, signals and descriptors: fork, dup, close_range, EINTR, shared
 * instances.
 */
#include "harness.h"
#include <linux/close_range.h>
#include <pthread.h>
#include <sys/resource.h>

/* ---- peers ---- */

/* Connects n times as told, sends what it is told, prints nothing; tells how many answered rightly.
 */
static void peer_clients(void)
{
	struct sockaddr_in sa = address(false, hear());
	int n = hear(), i, fd, good = 0;
	char buf[64];

	for (i = 0; i < n; i++) {
		fd = socket(AF_INET, SOCK_STREAM, 0);
		CHECK(connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0);
		say_to(fd, "ping");
		good += recv(fd, buf, 4, MSG_WAITALL) == 4 && memcmp(buf, "pong", 4) == 0;
		close(fd);
	}
	tell(good);
}

static void peer_wait(void)
{
	int fd = connect_there();

	hear();
	close(fd);
}

/* Sends five bytes each time it is told 1, until told 0. */
static void peer_sender(void)
{
	int fd = connect_there();

	while (hear() == 1)
		say_to(fd, "hello");
	close(fd);
}

static void serve_one(int l)
{
	int fd = accept(l, NULL, NULL);
	char buf[4];

	CHECK(fd >= 0);
	CHECK(recv(fd, buf, 4, MSG_WAITALL) == 4);
	CHECK(send(fd, "pong", 4, MSG_NOSIGNAL) == 4);
	close(fd);
}

static int reap(pid_t pid)
{
	int status;

	CHECK(waitpid(pid, &status, 0) == pid);
	return status;
}

/* ---- fork ---- */

/* Pre-forked servers: the children accept from the parent's listener. */
static void test_prefork(void)
{
	int l = listen_here(0, 64), i;
	pid_t pid[3];

	for (i = 0; i < 3; i++) {
		pid[i] = fork();
		CHECK(pid[i] >= 0);
		if (pid[i] == 0) {
			int k;

			for (k = 0; k < 10; k++)
				serve_one(l);
			_exit(0);
		}
	}
	tell(30);
	for (i = 0; i < 3; i++)
		out("child %#x", (unsigned)reap(pid[i]));
	out("peer got %d", hear());
	close(l);
}

/* The parent closes its copy; the child goes on alone. */
static void test_parent_closes(void)
{
	int l = listen_here(0, 64);
	pid_t pid = fork();

	if (pid == 0) {
		int k;

		for (k = 0; k < 5; k++)
			serve_one(l);
		_exit(0);
	}
	close(l);
	tell(5);
	out("child %#x", (unsigned)reap(pid));
	out("peer got %d", hear());
}

/* The child dies; the parent still accepts. */
static void test_child_dies(void)
{
	int l = listen_here(0, 64), i;
	pid_t pid = fork();

	if (pid == 0) {
		struct epoll_event ev = {.events = EPOLLIN};
		int ep = epoll_create1(0);

		epoll_ctl(ep, EPOLL_CTL_ADD, l, &ev);
		raise(SIGKILL);
	}
	out("child %#x", (unsigned)reap(pid));
	tell(5);
	for (i = 0; i < 5; i++)
		serve_one(l);
	out("peer got %d", hear());
	close(l);
}

/* A connection goes on in the parent whatever the child does with its copy. */
static void test_connection_stays(void)
{
	int fd = accepted();
	char buf[10];
	pid_t pid;

	tell(1);
	await_bytes(fd, 5);
	pid = fork();
	if (pid == 0) {
		close(fd);
		_exit(0);
	}
	out("child %#x", (unsigned)reap(pid));
	result("recv", recv(fd, buf, 5, MSG_WAITALL));
	tell(1);
	result("recv", recv(fd, buf, 5, MSG_WAITALL));
	tell(0);
	result("end", recv(fd, buf, 5, MSG_WAITALL));
	close(fd);
}

/* fork and exec of another program, as system() and popen() do. */
static void test_exec(void)
{
	int fd = accepted();
	char buf[10] = {0};
	pid_t pid = vfork();
	FILE *f;

	if (pid == 0) {
		close_range(3, ~0u, 0);
		execl("/bin/true", "true", NULL);
		_exit(1);
	}
	out("child %#x", (unsigned)reap(pid));
	out("system %#x", (unsigned)system("exit 3"));
	f = popen("echo hi", "r");
	CHECK(f != NULL && fgets(buf, sizeof(buf), f) != NULL);
	out("popen %.2s", buf);
	out("status %#x", (unsigned)pclose(f));
	tell(1);
	result("recv", recv(fd, buf, 5, MSG_WAITALL));
	tell(0);
	close(fd);
}

/* The child makes connections of its own. */
static void test_child_connects(void)
{
	int port = hear();
	struct sockaddr_in sa = address(true, port);
	pid_t pid;
	int i, fd = socket(AF_INET, SOCK_STREAM, 0);
	char buf[4];

	CHECK(connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0);
	for (i = 0; i < 3; i++) {
		pid = fork();
		if (pid == 0) {
			fd = socket(AF_INET, SOCK_STREAM, 0);
			CHECK(connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0);
			CHECK(send(fd, "ping", 4, 0) == 4);
			CHECK(recv(fd, buf, 4, MSG_WAITALL) == 4);
			_exit(0);
		}
		out("child %#x", (unsigned)reap(pid));
	}
	CHECK(send(fd, "ping", 4, 0) == 4);
	result("recv", recv(fd, buf, 4, MSG_WAITALL));
	close(fd);
}

static void peer_server(void)
{
	struct sockaddr_in sa = address(true, 0);
	int l = socket(AF_INET, SOCK_STREAM, 0), i, fd, first;
	char buf[4];

	CHECK(bind(l, (struct sockaddr *)&sa, sizeof(sa)) == 0 && listen(l, 5) == 0);
	tell(port_of(l));
	first = accept(l, NULL, NULL);
	for (i = 0; i < 4; i++) {
		fd = i < 3 ? accept(l, NULL, NULL) : first;
		CHECK(recv(fd, buf, 4, MSG_WAITALL) == 4);
		CHECK(send(fd, "pong", 4, MSG_NOSIGNAL) == 4);
		close(fd);
	}
}

static void test_daemon(void)
{
	int l = listen_here(0, 64), pi[2];
	char c;
	pid_t pid;

	CHECK(pipe(pi) == 0);
	pid = fork();
	if (pid == 0) {
		CHECK(daemon(1, 1) == 0);
		serve_one(l);
		serve_one(l);
		CHECK(write(pi[1], "x", 1) == 1);
		_exit(0);
	}
	out("child %#x", (unsigned)reap(pid));
	close(l);
	tell(2);
	out("peer got %d", hear());
	result("daemon", read(pi[0], &c, 1));
}

/* A process that ends without close() has sent what it wrote. */
static void ends_by(bool quiet)
{
	int l = listen_here(0, 5), status;
	pid_t pid = fork();

	if (pid == 0) {
		int fd = accept(l, NULL, NULL);

		CHECK(fd >= 0);
		CHECK(hear() == 1);
		CHECK(recv(fd, &(char[5]){0}, 5, MSG_WAITALL) == 5);
		send_all(fd, 0, 300000);
		if (quiet)
			_exit(0);
		exit(0);
	}
	close(l);
	status = reap(pid);
	out("child %#x", (unsigned)status);
	out("peer got %d", hear());
	out("peer's end %d", hear());
}

static void test_exit(void)
{
	ends_by(false);
}

static void test_quiet_exit(void)
{
	ends_by(true);
}

static void peer_until_end(void)
{
	int fd = connect_there();
	int64_t n;

	say_to(fd, "hello");
	tell(1);
	n = recv_all(fd, 0, 300000, 65536);
	tell((int)n);
	errno = 0;
	tell(recv(fd, &fd, 1, 0) < 0 ? errno : 0);
}

/* ---- descriptors ---- */

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

/* ---- threads ---- */

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

static void peer_refused(void)
{
	struct sockaddr_in sa = address(false, hear());
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	hear();
	tell(connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0 ? 0 : errno);
	close(fd);
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

/* ---- both stacks ---- */

/* A wildcard listener is reached on loopback and on the tested address. */
static void test_wildcard(void)
{
	struct sockaddr_in sa = {.sin_family = AF_INET};
	int l = socket(AF_INET, SOCK_STREAM, 0), i;

	CHECK(bind(l, (struct sockaddr *)&sa, sizeof(sa)) == 0 && listen(l, 16) == 0);
	tell(port_of(l));
	for (i = 0; i < 20; i++)
		serve_one(l);
	out("peer got %d", hear());
	close(l);
}

static void peer_wildcard(void)
{
	int port = hear(), i, fd, good = 0;
	struct sockaddr_in sa[2] = {
		address(false, port), {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)}};
	char buf[4];

	sa[1].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (i = 0; i < 20; i++) {
		fd = socket(AF_INET, SOCK_STREAM, 0);
		CHECK(connect(fd, (struct sockaddr *)&sa[i % 2], sizeof(sa[0])) == 0);
		say_to(fd, "ping");
		good += recv(fd, buf, 4, MSG_WAITALL) == 4;
		close(fd);
	}
	tell(good);
}

/* A dual-stack IPv6 socket: IPv4 peers appear as mapped addresses. */
static void test_dual_stack(void)
{
	struct sockaddr_in6 sa = {.sin6_family = AF_INET6}, got;
	int l = socket(AF_INET6, SOCK_STREAM, 0), fd, off = 0;
	socklen_t len = sizeof(got);
	char text[INET6_ADDRSTRLEN];

	CHECK(setsockopt(l, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) == 0);
	CHECK(bind(l, (struct sockaddr *)&sa, sizeof(sa)) == 0 && listen(l, 16) == 0);
	tell(port_of(l));
	fd = accept(l, (struct sockaddr *)&got, &len);
	CHECK(fd >= 0);
	inet_ntop(AF_INET6, &got.sin6_addr, text, sizeof(text));
	out("len %u family %d mapped %d", len, got.sin6_family,
		IN6_IS_ADDR_V4MAPPED(&got.sin6_addr));
	len = sizeof(got);
	result("getsockname", getsockname(fd, (struct sockaddr *)&got, &len));
	out("len %u family %d mapped %d", len, got.sin6_family,
		IN6_IS_ADDR_V4MAPPED(&got.sin6_addr));
	tell(0);
	close(fd);
	close(l);
}

static void test_connect_mapped(void)
{
	struct sockaddr_in peer = address(true, hear());
	struct sockaddr_in6 sa = {.sin6_family = AF_INET6, .sin6_port = peer.sin_port}, got;
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	socklen_t len = sizeof(got);

	sa.sin6_addr.s6_addr[10] = sa.sin6_addr.s6_addr[11] = 0xff;
	memcpy(sa.sin6_addr.s6_addr + 12, &peer.sin_addr, 4);
	result("connect", connect(fd, (struct sockaddr *)&sa, sizeof(sa)));
	result("getpeername", getpeername(fd, (struct sockaddr *)&got, &len));
	out("len %u family %d same %d", len, got.sin6_family,
		memcmp(&got.sin6_addr, &sa.sin6_addr, 16) == 0);
	tell(0);
	close(fd);
}

static void peer_accept_wait(void)
{
	int fd = accepted();

	hear();
	close(fd);
}

/* SO_REUSEPORT: two listeners share an address, and a third without it is refused. */
static void test_reuseport(void)
{
	struct sockaddr_in sa = address(false, 0);
	int a = socket(AF_INET, SOCK_STREAM, 0), b = socket(AF_INET, SOCK_STREAM, 0), on = 1, i,
	    seen[2] = {0, 0};
	int c = socket(AF_INET, SOCK_STREAM, 0);
	struct pollfd p[2];

	CHECK(setsockopt(a, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0);
	CHECK(setsockopt(b, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0);
	result("bind", bind(a, (struct sockaddr *)&sa, sizeof(sa)));
	result("listen", listen(a, 64));
	sa.sin_port = htons((uint16_t)port_of(a));
	result("bind", bind(b, (struct sockaddr *)&sa, sizeof(sa)));
	result("listen", listen(b, 64));
	result("bind", bind(c, (struct sockaddr *)&sa, sizeof(sa)));
	tell(port_of(a));
	tell(60);
	for (i = 0; i < 60; i++) {
		p[0] = (struct pollfd){.fd = a, .events = POLLIN};
		p[1] = (struct pollfd){.fd = b, .events = POLLIN};
		CHECK(poll(p, 2, 20000) >= 1);
		seen[p[0].revents == 0]++;
		serve_one(p[0].revents ? a : b);
	}
	out("peer got %d", hear());
	out("both were used: %d", seen[0] > 0 && seen[1] > 0);
	close(a);
	close(b);
	close(c);
}

static const struct tcase cases[] = {
	{"prefork", test_prefork, peer_clients},
	{"parent_closes", test_parent_closes, peer_clients},
	{"child_dies", test_child_dies, peer_clients},
	{"connection_stays", test_connection_stays, peer_sender},
	{"exec", test_exec, peer_sender},
	{"child_connects", test_child_connects, peer_server},
	{"daemon", test_daemon, peer_clients},
	{"exit", test_exit, peer_until_end},
	{"quiet_exit", test_quiet_exit, peer_until_end},
	{"dup", test_dup, peer_sender},
	{"dup_over", test_dup_over, peer_end},
	{"close_range", test_close_range, peer_sender},
	{"close_all", test_close_all, peer_sender},
	{"no_descriptors", test_no_descriptors, peer_no_descriptors},
	{"fclose", test_fclose, peer_end},
	{"eintr", test_eintr, peer_sender},
	{"eintr_accept", test_eintr_accept, peer_connect_when_told},
	{"sigmask", test_sigmask, peer_wait},
	{"handler_io", test_handler_io, peer_drain},
	{"two_ways", test_two_ways, peer_echo},
	{"shutdown_wakes", test_shutdown_wakes, peer_wait},
	{"shared_epoll", test_shared_epoll, peer_clients},
	{"accept_threads", test_accept_threads, peer_clients},
	{"shutdown_listener", test_shutdown_listener, peer_refused},
	{"cancel_recv", test_cancel_recv, peer_sender},
	{"wildcard", test_wildcard, peer_wildcard},
	{"dual_stack", test_dual_stack, peer_wait},
	{"connect_mapped", test_connect_mapped, peer_accept_wait},
	{"reuseport", test_reuseport, peer_clients},
};

int main(int argc, char **argv)
{
	return RUN(argc, argv, cases);
}
