/*
 * torture.c - threads that use, close and re-use each other's descriptors without any agreement.
 * Nothing may crash, hang or make the service refuse what libtas says; every byte that is read must
 * be one that was sent.
 */
#include "harness.h"
#include <pthread.h>

#define SOCKETS 24
#define THREADS 5
#define RUN_MS	2500

static int fds[SOCKETS], ep[2], lfd;
static volatile bool over;
static volatile unsigned wrong;

static unsigned next(unsigned *seed)
{
	*seed = *seed * 1103515245u + 12345u;
	return *seed >> 8;
}

static void op_accept(unsigned k)
{
	int fd = accept4(lfd, NULL, NULL, SOCK_NONBLOCK), old;

	if (fd < 0)
		return;
	old = __atomic_exchange_n(&fds[k], fd, __ATOMIC_SEQ_CST);
	if (old >= 0)
		close(old);
}

static void op_close(unsigned k)
{
	int fd = __atomic_exchange_n(&fds[k], -1, __ATOMIC_SEQ_CST);

	if (fd >= 0)
		close(fd);
}

static void op_epoll(unsigned k, unsigned r)
{
	static const uint32_t how[] = {
		EPOLLIN, EPOLLIN | EPOLLOUT, EPOLLIN | EPOLLET, EPOLLIN | EPOLLONESHOT};
	struct epoll_event ev = {.events = how[r % 4], .data.fd = fds[k]};

	epoll_ctl(ep[r / 4 % 2],
		r / 8 % 3 == 0 ? EPOLL_CTL_ADD : (r / 8 % 3 == 1 ? EPOLL_CTL_MOD : EPOLL_CTL_DEL),
		fds[k], &ev);
}

static void op_read(int fd, unsigned r)
{
	static __thread char buf[40000];
	ssize_t n, i;

	n = recv(fd, buf, r % sizeof(buf), MSG_DONTWAIT | (r % 5 == 0 ? MSG_PEEK : 0));
	for (i = 0; i < n; i++)
		if (buf[i] != 'z')
			wrong++;
}

static void op_write(int fd, unsigned r)
{
	static char buf[40000];

	if (r % 3 == 0)
		memset(buf, 'z', sizeof(buf));
	send(fd, buf, r % sizeof(buf), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void op_other(int fd, unsigned r)
{
	int v = (int)(r & 1), d;
	socklen_t len = sizeof(v);

	switch (r % 7) {
	case 0:
		setsockopt(fd, IPPROTO_TCP, TCP_CORK, &v, sizeof(v));
		break;
	case 1:
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &v, &len);
		break;
	case 2:
		shutdown(fd, (int)(r / 7 % 3));
		break;
	case 3:
		d = dup(fd);
		if (d >= 0)
			close(d);
		break;
	case 4:
		ioctl(fd, FIONREAD, &v);
		break;
	case 5:
		poll(&(struct pollfd){.fd = fd, .events = POLLIN | POLLOUT}, 1, (int)(r / 7 % 2));
		break;
	default:
		setsockopt(
			fd, SOL_SOCKET, SO_LINGER, &(struct linger){v, 0}, sizeof(struct linger));
		break;
	}
}

static void *worker(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg, r, k;
	struct epoll_event ev[8];

	while (!over) {
		r = next(&seed);
		k = r % SOCKETS;
		r /= SOCKETS;
		switch (next(&seed) % 12) {
		case 0:
		case 1:
			op_accept(k);
			break;
		case 2:
			op_close(k);
			break;
		case 3:
		case 4:
			op_epoll(k, r);
			break;
		case 5:
		case 6:
			epoll_wait(ep[r % 2], ev, 8, (int)(r / 2 % 3));
			break;
		case 7:
		case 8:
			op_read(fds[k], r);
			break;
		case 9:
		case 10:
			op_write(fds[k], r);
			break;
		default:
			op_other(fds[k], r);
			break;
		}
	}
	return NULL;
}

static void test_threads(void)
{
	pthread_t t[THREADS];
	int i;

	lfd = listen_here(SOCK_NONBLOCK, 64);
	for (i = 0; i < SOCKETS; i++)
		fds[i] = -1;
	ep[0] = epoll_create1(0);
	ep[1] = epoll_create1(0);
	for (i = 0; i < THREADS; i++)
		CHECK(pthread_create(&t[i], NULL, worker, (void *)(uintptr_t)(i + 1)) == 0);
	usleep(RUN_MS * 1000);
	over = true;
	for (i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	for (i = 0; i < SOCKETS; i++)
		op_close((unsigned)i);
	close(lfd);
	close(ep[0]);
	close(ep[1]);
	tell(0);
	out("wrong bytes %u", wrong);
}

/* Connects all the time, sends and reads a little, and checks what it reads. */
static void peer_threads(void)
{
	struct sockaddr_in sa = address(false, hear());
	struct pollfd done = {.fd = ctl, .events = POLLIN};
	static char buf[30000], in[30000];
	unsigned seed = 99, bad = 0;
	int c[8], i;

	memset(buf, 'z', sizeof(buf));
	for (i = 0; i < 8; i++)
		c[i] = -1;
	while (poll(&done, 1, 0) == 0) {
		unsigned r = next(&seed);
		int *fd = &c[r % 8];
		ssize_t n, k;

		if (*fd < 0) {
			*fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
			if (connect(*fd, (struct sockaddr *)&sa, sizeof(sa)) != 0 &&
				errno != EINPROGRESS) {
				close(*fd);
				*fd = -1;
			}
			continue;
		}
		if (r / 8 % 50 == 0) {
			close(*fd);
			*fd = -1;
			continue;
		}
		send(*fd, buf, r % sizeof(buf), MSG_NOSIGNAL | MSG_DONTWAIT);
		n = recv(*fd, in, sizeof(in), MSG_DONTWAIT);
		for (k = 0; k < n; k++)
			bad += in[k] != 'z' && in[k] != '\0';
		usleep(100);
	}
	exit(bad != 0);
}

static const struct tcase cases[] = {
	{"threads", test_threads, peer_threads},
};

int main(int argc, char **argv)
{
	return RUN(argc, argv, cases);
}
