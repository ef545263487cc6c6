/*
 * signals.c - a handler runs while a call sleeps: which calls go on, which end with EINTR, and what a
 * call in part done says (signal(7)).
 */
#include "steps.h"

/* How each call is made, and what happens once the handler has run and it still sleeps. */
static int lfd, efd;
static char big[1 << 22];

static void in_recv(struct thread *t)
{
	t->r = recv(t->fd, t->buf, sizeof(t->buf), 0);
}

static void in_recv_all(struct thread *t)
{
	t->r = recv(t->fd, t->buf, 15, MSG_WAITALL);
}

static void in_readv(struct thread *t)
{
	struct iovec v[2] = {{t->buf, 4}, {t->buf + 4, 20}};

	t->r = readv(t->fd, v, 2);
}

static void in_recvmsg(struct thread *t)
{
	struct iovec v = {t->buf, sizeof(t->buf)};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

	t->r = recvmsg(t->fd, &m, 0);
}

static void in_accept(struct thread *t)
{
	t->r = accept(lfd, NULL, NULL);
	if (t->r >= 0)
		t->r = close((int)t->r);
}

static void in_ppoll(struct thread *t)
{
	struct pollfd p = {.fd = t->fd, .events = POLLIN};

	t->r = ppoll(&p, 1, NULL, NULL);
}

static void in_select(struct thread *t)
{
	fd_set r;

	FD_ZERO(&r);
	FD_SET(t->fd, &r);
	t->r = select(t->fd + 1, &r, NULL, NULL, NULL);
}

/* The peer does not read: the send buffer is full. */
static void in_send(struct thread *t)
{
	t->r = send(t->fd, big, sizeof(big), 0);
}

/* Before sending the handler's signal the buffer was filled: nothing of this call has gone. */
static void in_send_none(struct thread *t)
{
	t->r = send(t->fd, big, 1, 0);
}

/* One signal to the sleeping thread; true when it went on sleeping. */
static bool goes_on(struct thread *t, int sig)
{
	int before = handled, i;

	CHECK(pthread_kill(t->id, sig) == 0);
	for (i = 0; i < 5000 && handled == before; i++)
		usleep(1000);
	CHECK(handled == before + 1);
	return sleeps(t);
}

static void finished(const char *label, struct thread *t, bool went_on)
{
	finish(t);
	errno = t->err;
	out("%s %s", label, went_on ? "goes on" : "ends");
	result(label, t->r);
}

/* ---- a call that waits for the peer ---- */

static void one(const char *label, void (*call)(struct thread *), int fd, int sig, int next)
{
	struct thread t = {.call = call, .fd = call == in_epoll ? efd : fd, .events = POLLIN};
	bool on;

	start(&t);
	on = goes_on(&t, sig);
	if (on)
		ask(next, 1);
	finished(label, &t, on);
	if (on && next == SEND) /* and the rest is taken away */
		(void)!recv(fd, t.buf, sizeof(t.buf), MSG_DONTWAIT);
}

static void limit(int fd, int name, int seconds)
{
	struct timeval tv = {seconds, 0};

	CHECK(setsockopt(fd, SOL_SOCKET, name, &tv, sizeof(tv)) == 0);
}

static void all_calls(int fd, int sig)
{
	one("recv", in_recv, fd, sig, SEND);
	one("readv", in_readv, fd, sig, SEND);
	one("recvmsg", in_recvmsg, fd, sig, SEND);
	one("accept", in_accept, fd, sig, CONNECT);
	one("poll", in_poll, fd, sig, SEND);
	one("ppoll", in_ppoll, fd, sig, SEND);
	one("select", in_select, fd, sig, SEND);
	one("epoll_wait", in_epoll, fd, sig, SEND);
	limit(fd, SO_RCVTIMEO, HANG_S);
	limit(lfd, SO_RCVTIMEO, HANG_S);
	one("recv with a limit", in_recv, fd, sig, SEND);
	one("accept with a limit", in_accept, fd, sig, CONNECT);
	limit(fd, SO_RCVTIMEO, 0);
	limit(lfd, SO_RCVTIMEO, 0);
}

static void open_all(int *fd)
{
	struct epoll_event ev = {.events = EPOLLIN};

	lfd = listen_here(0, 16);
	*fd = connection(lfd, 1);
	efd = epoll_create1(0);
	CHECK(epoll_ctl(efd, EPOLL_CTL_ADD, *fd, &ev) == 0);
}

static void close_all(int fd)
{
	ask(END, 0);
	close(fd);
	close(lfd);
	close(efd);
	signal(SIGUSR1, SIG_DFL);
	signal(SIGUSR2, SIG_DFL);
}

static void test_restart(void)
{
	int fd;

	open_all(&fd);
	install(SIGUSR1, SA_RESTART);
	all_calls(fd, SIGUSR1);
	close_all(fd);
}

static void test_no_restart(void)
{
	int fd;

	open_all(&fd);
	install(SIGUSR1, 0);
	all_calls(fd, SIGUSR1);
	close_all(fd);
}

/*
 * It is the handler that ran which decides, whatever others there are. The first case, with handlers
 * from the start: an accept() looks for those it does not know of only when one has run.
 */
static void test_another_handler(void)
{
	int fd;

	install(SIGUSR1, SA_RESTART);
	install(SIGUSR2, 0);
	open_all(&fd);
	all_calls(fd, SIGUSR1);
	all_calls(fd, SIGUSR2);
	close_all(fd);
}

/* Until the call has taken its first bytes and sleeps for more. */
static void took_some(struct thread *t)
{
	while (((volatile char *)t->buf)[9] != '9')
		usleep(1000);
	CHECK(sleeps(t));
}

static void test_part_received(void)
{
	int fd;
	struct thread t = {.call = in_recv_all};
	bool on;

	open_all(&fd);
	t.fd = fd;
	install(SIGUSR1, SA_RESTART);
	install(SIGUSR2, 0);
	start(&t);
	ask(SEND, 1);
	took_some(&t);
	on = goes_on(&t, SIGUSR1);
	if (on)
		ask(SEND, 1);
	finished("SA_RESTART", &t, on);
	if (on)
		CHECK(recv(fd, t.buf, 5, MSG_WAITALL) == 5);
	memset(t.buf, 0, sizeof(t.buf));
	start(&t);
	ask(SEND, 1);
	took_some(&t);
	on = goes_on(&t, SIGUSR2);
	if (on)
		ask(SEND, 1);
	finished("without", &t, on);
	close_all(fd);
}

/* ---- a call that waits for room ---- */

/* send() of more than there is room for: how much went differs, that some did does not. */
static void part(const char *label, int fd, int sig)
{
	struct thread t = {.call = in_send, .fd = fd};
	bool on;

	start(&t);
	on = goes_on(&t, sig);
	finish(&t);
	out("%s %s %s", label, on ? "goes on" : "ends",
		t.r > 0 && t.r < (long)sizeof(big) ? "in part" : "otherwise");
}

static void none(const char *label, int fd, int sig)
{
	struct thread t = {.call = in_send_none, .fd = fd};
	bool on;

	fill_up(fd);
	start(&t);
	on = goes_on(&t, sig);
	if (on)
		ask(RESET, 1);
	finished(label, &t, on);
}

static void test_send(void)
{
	int fd;

	signal(SIGPIPE, SIG_IGN);
	open_all(&fd);
	install(SIGUSR1, SA_RESTART);
	install(SIGUSR2, 0);
	part("without", fd, SIGUSR2);
	none("without", fd, SIGUSR2);
	limit(fd, SO_SNDTIMEO, HANG_S);
	none("with a limit", fd, SIGUSR1);
	limit(fd, SO_SNDTIMEO, 0);
	none("SA_RESTART", fd, SIGUSR1);
	close_all(fd);
}

static void test_send_part(void)
{
	int fd;

	open_all(&fd);
	install(SIGUSR1, SA_RESTART);
	part("SA_RESTART", fd, SIGUSR1);
	close_all(fd);
}

/* ---- a connect() that gets no answer: the peer's queue is full ---- */

static void in_connect(struct thread *t)
{
	struct sockaddr_in sa = address(true, t->events);

	t->r = connect(t->fd, (struct sockaddr *)&sa, sizeof(sa));
}

static void connect_once(const char *label, int port, int sig, int seconds)
{
	struct thread t = {.call = in_connect, .events = port};
	bool on;

	t.fd = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(t.fd >= 0);
	limit(t.fd, SO_SNDTIMEO, seconds);
	start(&t);
	on = goes_on(&t, sig);
	if (on)
		CHECK(shutdown(t.fd, SHUT_RDWR) == 0);
	finish(&t);
	out("%s %s", label, on ? "goes on" : "ends");
	errno = t.err;
	if (!on)
		result(label, t.r);
	close(t.fd);
}

static void test_connect(void)
{
	int port = hear();

	install(SIGUSR1, SA_RESTART);
	install(SIGUSR2, 0);
	connect_once("SA_RESTART", port, SIGUSR1, 0);
	connect_once("without", port, SIGUSR2, 0);
	connect_once("with a limit", port, SIGUSR1, HANG_S);
	tell(0);
	signal(SIGUSR1, SIG_DFL);
	signal(SIGUSR2, SIG_DFL);
}

static void peer_full(void)
{
	struct sockaddr_in sa = address(true, 0);
	int l = socket(AF_INET, SOCK_STREAM, 0), fd[2], i;

	CHECK(bind(l, (struct sockaddr *)&sa, sizeof(sa)) == 0);
	CHECK(listen(l, 0) == 0);
	sa.sin_port = htons((uint16_t)port_of(l));
	for (i = 0; i < 2; i++) {
		fd[i] = socket(AF_INET, SOCK_STREAM, 0);
		nonblock(fd[i]);
		connect(fd[i], (struct sockaddr *)&sa, sizeof(sa));
	}
	await(fd[0], POLLOUT);
	tell(port_of(l));
	hear();
}

static const struct tcase cases[] = {
	{"another_handler", test_another_handler, peer_steps},
	{"restart", test_restart, peer_steps},
	{"no_restart", test_no_restart, peer_steps},
	{"part_received", test_part_received, peer_steps},
	{"send", test_send, peer_steps},
	{"send_part", test_send_part, peer_steps},
	{"connect", test_connect, peer_full},
};

int main(int argc, char **argv)
{
	return RUN(argc, argv, cases);
}
