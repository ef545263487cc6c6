/*
 * raw.c - libc's generic syscall() on sockets, and with what is none.
 */
#include "peers.h"
#include "steps.h"
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>

#define MASK_BYTES 8
#define WILD	   ((void *)(1ul << 62)) /* no address */

static int raw_listener(int *port)
{
	struct sockaddr_in sa = address(false, 0);
	socklen_t len = sizeof(sa);
	int one = 1, l = (int)syscall(SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(l >= 0);
	result("setsockopt",
		syscall(SYS_setsockopt, l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	result("bind", syscall(SYS_bind, l, &sa, sizeof(sa)));
	result("listen", syscall(SYS_listen, l, 5));
	result("getsockname", syscall(SYS_getsockname, l, &sa, &len));
	*port = ntohs(sa.sin_port);
	return l;
}

static void test_server(void)
{
	struct sockaddr_in sa;
	socklen_t len = sizeof(sa);
	int port, l = raw_listener(&port), fd, v = 0;
	char buf[100];

	tell(port);
	fd = (int)syscall(SYS_accept4, l, &sa, &len, SOCK_CLOEXEC);
	CHECK(fd >= 0);
	out("family %d", sa.sin_family);
	result("getpeername", syscall(SYS_getpeername, fd, &sa, (len = sizeof(sa), &len)));
	result("fcntl", syscall(SYS_fcntl, fd, F_GETFD));
	tell(100);
	await_bytes(fd, 100);
	result("ioctl", syscall(SYS_ioctl, fd, FIONREAD, &v));
	out("bytes %d", v);
	result("read", syscall(SYS_read, fd, buf, 10));
	result("recvfrom", syscall(SYS_recvfrom, fd, buf, 20, MSG_PEEK, NULL, NULL));
	result("recvfrom", syscall(SYS_recvfrom, fd, buf, 20, 0, NULL, NULL));
	out("right %d", right((uint8_t *)buf, 20, 10));
	result("readv", syscall(SYS_readv, fd, &(struct iovec){buf, 30}, 1));
	result("recvmsg",
		syscall(SYS_recvmsg, fd,
			&(struct msghdr){.msg_iov = &(struct iovec){buf, 30}, .msg_iovlen = 1}, 0));
	result("preadv2",
		syscall(SYS_preadv2, fd, &(struct iovec){buf, 30}, 1, -1l, -1l, RWF_NOWAIT));
	result("preadv2", syscall(SYS_preadv2, fd, &(struct iovec){buf, 30}, 1, 4l, 0l, 0));
	result("recvmmsg", syscall(SYS_recvmmsg, fd, NULL, 0, MSG_DONTWAIT, NULL));
	result("dontwait", syscall(SYS_recvfrom, fd, buf, 20, MSG_DONTWAIT, NULL, NULL));
	tell(0);
	result("end", syscall(SYS_read, fd, buf, 10));
	result("shutdown", syscall(SYS_shutdown, fd, SHUT_WR));
	result("close", syscall(SYS_close, fd));
	result("closed", syscall(SYS_read, fd, buf, 10));
	result("close", syscall(SYS_close, l));
}

static void peer_client(void)
{
	struct sockaddr_in sa = address(false, hear());
	int fd = socket(AF_INET, SOCK_STREAM, 0), n;
	char c;

	CHECK(connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0);
	while ((n = hear()) > 0)
		send_all(fd, 0, (uint64_t)n);
	shutdown(fd, SHUT_WR);
	recv(fd, &c, 1, 0);
	close(fd);
}

static void test_client(void)
{
	struct sockaddr_in sa = address(true, hear());
	int fd = (int)syscall(SYS_socket, AF_INET, SOCK_STREAM, 0), v = -1, p[2];
	socklen_t len = sizeof(v);
	uint8_t data[1000];
	struct mmsghdr mm = {
		.msg_hdr = {.msg_iov = &(struct iovec){data + 600, 100}, .msg_iovlen = 1}};
	FILE *f = tmpfile();
	off_t off = 0;

	fill(data, sizeof(data), 0);
	result("connect", syscall(SYS_connect, fd, &sa, sizeof(sa)));
	result("getsockopt", syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_ERROR, &v, &len));
	out("error %d", v);
	result("write", syscall(SYS_write, fd, data, 100));
	result("sendto", syscall(SYS_sendto, fd, data + 100, 200, MSG_NOSIGNAL, NULL, 0));
	result("writev", syscall(SYS_writev, fd, &(struct iovec){data + 300, 100}, 1));
	result("sendmsg", syscall(SYS_sendmsg, fd,
				  &(struct msghdr){.msg_iov = &(struct iovec){data + 400, 100},
					  .msg_iovlen = 1},
				  0));
	result("pwritev2",
		syscall(SYS_pwritev2, fd, &(struct iovec){data + 500, 100}, 1, -1l, -1l, 0));
	result("sendmmsg", syscall(SYS_sendmmsg, fd, &mm, 1, 0));
	CHECK(f != NULL && fwrite(data + 700, 1, 100, f) == 100 && fflush(f) == 0);
	result("sendfile", syscall(SYS_sendfile, fd, fileno(f), &off, 100));
	result("pipe2", syscall(SYS_pipe2, p, 0));
	CHECK(write(p[1], data + 800, 200) == 200);
	result("splice", syscall(SYS_splice, p[0], NULL, fd, NULL, 200, 0));
	result("shutdown", syscall(SYS_shutdown, fd, SHUT_WR));
	out("peer %d", hear());
	close(p[0]);
	close(p[1]);
	fclose(f);
	result("close", syscall(SYS_close, fd));
}

static void peer_server(void)
{
	int fd = accepted();

	tell((int)recv_all(fd, 0, INT32_MAX, 4096));
	close(fd);
}

/* ---- waiting ---- */

static void test_waits(void)
{
	int fd = accepted(), ep = (int)syscall(SYS_epoll_create1, EPOLL_CLOEXEC);
	struct epoll_event ev = {.events = EPOLLIN, .data.u32 = 7};
	struct timespec soon = {0, 1000000}, ts = {50, 0};
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct {
		const void *mask;
		size_t bytes;
	} sixth = {NULL, MASK_BYTES};
	uint64_t mask = 0;
	fd_set r;

	result("epoll_ctl", syscall(SYS_epoll_ctl, ep, EPOLL_CTL_ADD, fd, &ev));
	result("epoll_pwait", syscall(SYS_epoll_pwait, ep, &ev, 1, 0, &mask, MASK_BYTES));
	result("ppoll", syscall(SYS_ppoll, &p, 1, &soon, &mask, MASK_BYTES));
	out("left %d", soon.tv_sec != 0 || soon.tv_nsec != 0);
	result("ppoll, wrong size", syscall(SYS_ppoll, &p, 1, &soon, &mask, 4));
	result("ppoll, wrong time", syscall(SYS_ppoll, &p, 1, WILD, NULL, 0));
	result("ppoll, wrong mask", syscall(SYS_ppoll, &p, 1, &soon, WILD, MASK_BYTES));
	result("pselect6, wrong mask", syscall(SYS_pselect6, 0, NULL, NULL, NULL, &soon, WILD));
	result("epoll_pwait, wrong mask",
		syscall(SYS_epoll_pwait, ep, &ev, 1, 0, WILD, MASK_BYTES));
	tell(10);
	ev.data.u32 = 0;
	result("epoll_pwait", syscall(SYS_epoll_pwait, ep, &ev, 1, -1, NULL, 0));
	out("events %s data %u", bits(ev.events), ev.data.u32);
	result("epoll_pwait2", syscall(SYS_epoll_pwait2, ep, &ev, 1, &ts, NULL, 0));
	result("ppoll", syscall(SYS_ppoll, &p, 1, &ts, NULL, 0));
	out("revents %s left %d", bits((unsigned)p.revents), ts.tv_sec >= 49 || ts.tv_sec == 0);
	FD_ZERO(&r);
	FD_SET(fd, &r);
	ts = (struct timespec){50, 0};
	result("pselect6", syscall(SYS_pselect6, fd + 1, &r, NULL, NULL, &ts, &sixth));
	out("set %d left %d", FD_ISSET(fd, &r) != 0, ts.tv_sec >= 49 && ts.tv_sec < 50);
#ifdef SYS_poll
	result("poll", syscall(SYS_poll, &p, 1, -1));
	result("epoll_wait", syscall(SYS_epoll_wait, ep, &ev, 1, -1));
	result("select", syscall(SYS_select, fd + 1, &r, NULL, NULL, NULL));
#endif
	result("close", syscall(SYS_close, ep));
	tell(0);
	close(fd);
}

/* ---- numbers ---- */

static void test_numbers(void)
{
	int fd = accepted(), a, b, pair[2];
	char c = 0;

	a = (int)syscall(SYS_dup, fd);
	b = (int)syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 40);
	out("at least 40: %d", b >= 40);
	result("dup3", syscall(SYS_dup3, fd, b + 1, O_CLOEXEC));
	result("close", syscall(SYS_close, fd));
	tell(3);
	result("read", syscall(SYS_read, a, &c, 1));
	result("read", syscall(SYS_read, b, &c, 1));
	result("close_range", syscall(SYS_close_range, b, b, 0));
	result("closed", syscall(SYS_read, b, &c, 1));
	result("read", syscall(SYS_read, b + 1, &c, 1));
	result("socketpair", syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, pair));
	result("write", syscall(SYS_write, pair[0], "x", 1));
	result("read", syscall(SYS_read, pair[1], &c, 1));
	close(pair[0]);
	close(pair[1]);
	close(a);
	tell(0);
	result("close", syscall(SYS_close, b + 1));
}

/* ---- what is none of a socket's ---- */

static volatile long no_call = 999999;

static void test_others(void)
{
	struct rlimit rl = {0, 0};
	int fd = accepted(), word = 5;
	struct timespec ts = {0, 0};
	char *page;

	errno = 0;
	out("getpid %d errno %d", syscall(SYS_getpid) == getpid(), errno);
	result("unknown", syscall(no_call, 1, 2, 3, 4, 5, 6));
	result("futex", syscall(SYS_futex, &word, 0, 4, NULL, NULL, 0));
	result("futex", syscall(SYS_futex, &word, 0, 5, &ts, NULL, 0));
	page = (char *)syscall(SYS_mmap, NULL, 4096l, 3l, 0x22l, -1l, 0l); /* all six */
	CHECK(page != (char *)-1);
	page[4095] = 1;
	result("munmap", syscall(SYS_munmap, page, 4096));
	result("prlimit", syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &rl));
	out("limit %d", rl.rlim_cur != 0);
	result("bad descriptor", syscall(SYS_read, -1, &word, 1));
	result("getsockopt",
		syscall(SYS_getsockopt, ctl, SOL_SOCKET, SO_TYPE, &word, &(socklen_t){4}));
	out("type %d", word);
	tell(0);
	close(fd);
}

/* It is no cancellation point. */
static void in_raw_read(struct thread *t)
{
	t->r = syscall(SYS_read, t->fd, t->buf, 10);
}

static void test_not_cancelled(void)
{
	struct thread t = {.call = in_raw_read, .fd = accepted()};

	start(&t);
	CHECK(pthread_cancel(t.id) == 0);
	CHECK(sleeps(&t));
	tell(4);
	finish(&t);
	out("read %ld", t.r);
	tell(0);
	close(t.fd);
}

/* The child of a fork() that libc does not see has its own view of what it inherits. */
static void test_fork(void)
{
	int fd = accepted();
	char c;
	pid_t pid;

	tell(1);
	await_bytes(fd, 1);
	pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (pid == 0)
		syscall(SYS_exit_group, 5);
	out("child %#x", (unsigned)end_of(pid));
	result("read", syscall(SYS_read, fd, &c, 1));
	tell(0);
	close(fd);
}

/* The end of the process closes in good order. */
static void test_exit(void)
{
	int l = listen_here(0, 1), fd;
	pid_t pid = fork();

	if (pid == 0) {
		fd = accept(l, NULL, NULL);
		CHECK(fd >= 0);
		close(l);
		say_to(fd, "abc");
		syscall(SYS_exit_group, 3);
	}
	close(l);
	out("child %#x", (unsigned)end_of(pid));
	out("peer %d", hear());
}

static void peer_exit(void)
{
	int fd = connect_there();
	char buf[8];

	tell((int)recv(fd, buf, 8, MSG_WAITALL));
	close(fd);
}

int main(int argc, char **argv)
{
	static const struct tcase cases[] = {
		{"server", test_server, peer_client},
		{"client", test_client, peer_server},
		{"waits", test_waits, peer_source},
		{"numbers", test_numbers, peer_source},
		{"others", test_others, peer_wait},
		{"not_cancelled", test_not_cancelled, peer_source},
		{"fork", test_fork, peer_source},
		{"exit", test_exit, peer_exit},
	};

	return RUN(argc, argv, cases);
}
