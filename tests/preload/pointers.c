/*
 * pointers.c - addresses that no program can have, in every place where a call takes one: NULL, the kernel's half, between the two
 * halves, and a length that leads out of the program's half. Each call and each kind is a case, named call.kind; the socket has
 * data to read and room to write, and what it has afterwards is shown.
 */
#include "peers.h"
#include <setjmp.h>
#include <sys/sendfile.h>

#define PLACE(name) static void at_##name(int fd, void *p, size_t n)
#define UNUSED_N    (void)n

static sigjmp_buf back;

PLACE(send_buffer)
{
	result("send", send(fd, p, n, MSG_NOSIGNAL));
}

PLACE(write_buffer)
{
	result("write", write(fd, p, n));
}

PLACE(sendto_buffer)
{
	result("sendto", sendto(fd, p, n, MSG_NOSIGNAL, NULL, 0));
}

PLACE(sendto_address)
{
	UNUSED_N;
	result("sendto", sendto(fd, "x", 1, MSG_NOSIGNAL, p, sizeof(struct sockaddr_in)));
}

PLACE(writev_array)
{
	UNUSED_N;
	result("writev", writev(fd, p, 1));
}

PLACE(writev_buffer)
{
	struct iovec v = {p, n};

	result("writev", writev(fd, &v, 1));
}

PLACE(writev_second)
{
	struct iovec v[2] = {{(void *)(uintptr_t) "good", 4}, {p, n}};

	result("writev", writev(fd, v, 2));
}

PLACE(sendmsg_message)
{
	UNUSED_N;
	result("sendmsg", sendmsg(fd, p, MSG_NOSIGNAL));
}

PLACE(sendmsg_array)
{
	struct msghdr m = {.msg_iov = p, .msg_iovlen = 1};

	UNUSED_N;
	result("sendmsg", sendmsg(fd, &m, MSG_NOSIGNAL));
}

PLACE(sendmsg_buffer)
{
	struct iovec v = {p, n};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

	result("sendmsg", sendmsg(fd, &m, MSG_NOSIGNAL));
}

PLACE(sendmmsg_array)
{
	UNUSED_N;
	result("sendmmsg", sendmmsg(fd, p, 1, MSG_NOSIGNAL));
}

PLACE(recv_buffer)
{
	result("recv", recv(fd, p, n, 0));
}

PLACE(recv_empty)
{
	char buf[8];

	result("all", recv(fd, buf, sizeof(buf), 0));
	result("recv", recv(fd, p, n, MSG_DONTWAIT));
}

PLACE(recv_discard)
{
	result("recv", recv(fd, p, n, MSG_TRUNC));
}

PLACE(read_buffer)
{
	result("read", read(fd, p, n));
}

PLACE(readv_array)
{
	UNUSED_N;
	result("readv", readv(fd, p, 1));
}

PLACE(readv_buffer)
{
	struct iovec v = {p, n};

	result("readv", readv(fd, &v, 1));
}

PLACE(readv_unused)
{
	char buf[4];
	struct iovec v[2] = {{buf, 4}, {p, n}};

	result("readv", readv(fd, v, 2));
}

PLACE(recvfrom_length)
{
	struct sockaddr_in sa;
	char buf[8];

	UNUSED_N;
	result("recvfrom", recvfrom(fd, buf, 2, 0, (struct sockaddr *)&sa, p));
}

PLACE(recvfrom_address)
{
	socklen_t len = sizeof(struct sockaddr_in);
	char buf[8];

	UNUSED_N;
	result("recvfrom", recvfrom(fd, buf, 2, 0, p, &len));
}

PLACE(recvmsg_message)
{
	UNUSED_N;
	result("recvmsg", recvmsg(fd, p, 0));
}

PLACE(recvmsg_array)
{
	struct msghdr m = {.msg_iov = p, .msg_iovlen = 1};

	UNUSED_N;
	result("recvmsg", recvmsg(fd, &m, 0));
}

PLACE(recvmsg_buffer)
{
	struct iovec v = {p, n};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

	result("recvmsg", recvmsg(fd, &m, 0));
}

PLACE(recvmmsg_array)
{
	UNUSED_N;
	result("recvmmsg", recvmmsg(fd, p, 1, 0, NULL));
}

PLACE(recvmmsg_timeout)
{
	char buf[2];
	struct iovec v = {buf, 2};
	struct mmsghdr m = {.msg_hdr = {.msg_iov = &v, .msg_iovlen = 1}};

	UNUSED_N;
	result("recvmmsg", recvmmsg(fd, &m, 1, 0, p));
}

PLACE(getsockname_address)
{
	socklen_t len = sizeof(struct sockaddr_in);

	UNUSED_N;
	result("getsockname", getsockname(fd, p, &len));
}

PLACE(getsockname_length)
{
	struct sockaddr_in sa;

	UNUSED_N;
	result("getsockname", getsockname(fd, (struct sockaddr *)&sa, p));
}

PLACE(getpeername_address)
{
	socklen_t len = sizeof(struct sockaddr_in);

	UNUSED_N;
	result("getpeername", getpeername(fd, p, &len));
}

PLACE(getpeername_length)
{
	struct sockaddr_in sa;

	UNUSED_N;
	result("getpeername", getpeername(fd, (struct sockaddr *)&sa, p));
}

PLACE(connect_address)
{
	UNUSED_N;
	result("connect", connect(fd, p, sizeof(struct sockaddr_in)));
}

PLACE(connect_fresh)
{
	int s = socket(AF_INET, SOCK_STREAM, 0);

	(void)fd;
	UNUSED_N;
	result("connect", connect(s, p, sizeof(struct sockaddr_in)));
	close(s);
}

PLACE(bind_fresh)
{
	int s = socket(AF_INET, SOCK_STREAM, 0);

	(void)fd;
	UNUSED_N;
	result("bind", bind(s, p, sizeof(struct sockaddr_in)));
	close(s);
}

PLACE(setsockopt_value)
{
	UNUSED_N;
	result("TCP_NODELAY", setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, p, sizeof(int)));
	result("TCP_CORK", setsockopt(fd, IPPROTO_TCP, TCP_CORK, p, sizeof(int)));
	result("SO_LINGER", setsockopt(fd, SOL_SOCKET, SO_LINGER, p, sizeof(struct linger)));
	result("SO_RCVTIMEO", setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, p, sizeof(struct timeval)));
}

PLACE(getsockopt_value)
{
	socklen_t len = sizeof(int);

	UNUSED_N;
	result("SO_ERROR", getsockopt(fd, SOL_SOCKET, SO_ERROR, p, &len));
	result("TCP_NODELAY", getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, p, &len));
	result("TCP_INFO", getsockopt(fd, IPPROTO_TCP, TCP_INFO, p, &len));
	result("SO_TYPE", getsockopt(fd, SOL_SOCKET, SO_TYPE, p, &len));
}

PLACE(getsockopt_length)
{
	int v;

	UNUSED_N;
	result("SO_ERROR", getsockopt(fd, SOL_SOCKET, SO_ERROR, &v, p));
	result("TCP_NODELAY", getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &v, p));
	result("SO_TYPE", getsockopt(fd, SOL_SOCKET, SO_TYPE, &v, p));
}

PLACE(ioctl_argument)
{
	UNUSED_N;
	result("FIONREAD", ioctl(fd, FIONREAD, p));
	result("FIONBIO", ioctl(fd, FIONBIO, p));
	result("SIOCOUTQ", ioctl(fd, TIOCOUTQ, p));
}

PLACE(epoll_ctl_event)
{
	int ep = epoll_create1(0);

	UNUSED_N;
	result("add", epoll_ctl(ep, EPOLL_CTL_ADD, fd, p));
	result("mod", epoll_ctl(ep, EPOLL_CTL_MOD, fd, p));
	result("del", epoll_ctl(ep, EPOLL_CTL_DEL, fd, p));
	close(ep);
}

PLACE(epoll_wait_events)
{
	struct epoll_event ev = {.events = EPOLLIN};
	int ep = epoll_create1(0);

	UNUSED_N;
	CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0);
	result("wait", epoll_wait(ep, p, 1, 0));
	result("again", epoll_wait(ep, &ev, 1, 0));
	close(ep);
}

PLACE(epoll_pwait_rest)
{
	struct epoll_event ev = {.events = EPOLLIN};
	int ep = epoll_create1(0);

	UNUSED_N;
	CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0);
	result("mask", epoll_pwait(ep, &ev, 1, 0, p));
	result("timeout", epoll_pwait2(ep, &ev, 1, p, NULL));
	close(ep);
}

PLACE(poll_array)
{
	UNUSED_N;
	(void)fd;
	result("poll", poll(p, 1, 0));
}

PLACE(ppoll_rest)
{
	struct pollfd f = {.fd = fd, .events = POLLIN};

	UNUSED_N;
	result("mask", ppoll(&f, 1, NULL, p));
	result("timeout", ppoll(&f, 1, p, NULL));
}

PLACE(select_sets)
{
	struct timeval none = {0, 0};
	fd_set r;

	UNUSED_N;
	FD_ZERO(&r);
	FD_SET(fd, &r);
	result("write", select(fd + 1, &r, p, NULL, &none));
	out("read %d", FD_ISSET(fd, &r) != 0);
	result("read", select(fd + 1, p, NULL, NULL, &none));
}

PLACE(select_timeout)
{
	fd_set r;

	UNUSED_N;
	FD_ZERO(&r);
	FD_SET(fd, &r);
	result("select", select(fd + 1, &r, NULL, NULL, p));
}

PLACE(sendfile_offset)
{
	int file = open("/proc/self/exe", O_RDONLY);

	UNUSED_N;
	result("sendfile", sendfile(fd, file, p, 10));
	close(file);
}

static const struct {
	const char *name;
	void (*call)(int fd, void *p, size_t n);
} places[] = {
#define AT(name)                                                                                   \
	{                                                                                          \
#name, at_##name                                                                   \
	}
	AT(send_buffer), AT(write_buffer), AT(sendto_buffer), AT(sendto_address), AT(writev_array),
	AT(writev_buffer), AT(writev_second), AT(sendmsg_message), AT(sendmsg_array),
	AT(sendmsg_buffer), AT(sendmmsg_array), AT(recv_buffer), AT(recv_empty), AT(recv_discard),
	AT(read_buffer), AT(readv_array), AT(readv_buffer), AT(readv_unused), AT(recvfrom_length),
	AT(recvfrom_address), AT(recvmsg_message), AT(recvmsg_array), AT(recvmsg_buffer),
	AT(recvmmsg_array), AT(recvmmsg_timeout), AT(getsockname_address), AT(getsockname_length),
	AT(getpeername_address), AT(getpeername_length), AT(connect_address), AT(connect_fresh),
	AT(bind_fresh), AT(setsockopt_value), AT(getsockopt_value), AT(getsockopt_length),
	AT(ioctl_argument), AT(epoll_ctl_event), AT(epoll_wait_events), AT(epoll_pwait_rest),
	AT(poll_array), AT(ppoll_rest), AT(select_sets), AT(select_timeout), AT(sendfile_offset)};

static const struct {
	const char *name;
	uintptr_t at;
	size_t n;
} kinds[] = {{"null", 0, 4}, {"kernel", 0xffff888000001000, 4}, {"between", 0x0100000000001000, 4},
	{"last", 0xfffffffffffffff0, 4}, {"around", 0xfffffffffffffff0, 64}};

#define PLACES (sizeof(places) / sizeof(places[0]))
#define KINDS  (sizeof(kinds) / sizeof(kinds[0]))

static void on_fault(int sig)
{
	(void)sig;
	siglongjmp(back, 1);
}

static void show_left(int fd)
{
	char buf[16];
	ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

	result("left", n);
	result("send", send(fd, "y", 1, MSG_NOSIGNAL));
}

/* The place and the kind that the case is named after. */
static void named(size_t *place, size_t *kind)
{
	const char *dot = strchr(case_name, '.');
	size_t len = (size_t)(dot - case_name);

	for (*place = 0; strncmp(places[*place].name, case_name, len) != 0 ||
			 places[*place].name[len] != '\0';)
		++*place;
	for (*kind = 0; strcmp(kinds[*kind].name, dot + 1) != 0;)
		++*kind;
}

static void test_place(void)
{
	size_t place, kind;
	int fd = accepted();

	named(&place, &kind);
	signal(SIGSEGV, on_fault);
	tell(4);
	await_bytes(fd, 4);
	if (sigsetjmp(back, 1) == 0)
		places[place].call(fd, (void *)kinds[kind].at, kinds[kind].n);
	else
		out("SIGSEGV");
	show_left(fd);
	tell(0);
	close(fd);
}

int main(int argc, char **argv)
{
	static struct tcase cases[PLACES * KINDS];
	static char names[PLACES * KINDS][48];
	size_t i;

	for (i = 0; i < PLACES * KINDS; i++) {
		snprintf(names[i], sizeof(names[i]), "%s.%s", places[i / KINDS].name,
			kinds[i % KINDS].name);
		cases[i] = (struct tcase){names[i], test_place, peer_source};
	}
	return RUN(argc, argv, cases);
}
