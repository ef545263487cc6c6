/*
 * states.c - every call in every state a socket can be in: each pair is a case, named state.call. Results, errno, signals, and what
 * poll() says afterwards. Sockets do not block: what sleeps has cases elsewhere.
 */
#include "states.h"
#include <sys/sendfile.h>

static volatile sig_atomic_t pipes;

/* ---- calls ---- */

static void do_bind(int fd)
{
	struct sockaddr_in here = address(false, 0);

	result("bind", bind(fd, (struct sockaddr *)&here, sizeof(here)));
}

static void do_listen(int fd)
{
	result("listen", listen(fd, 4));
}

static void do_accept(int fd)
{
	result("accept", accept(fd, NULL, NULL));
}

static void do_connect(int fd)
{
	result("connect", connect(fd, (struct sockaddr *)&there, sizeof(there)));
}

static void do_disconnect(int fd)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};

	result("disconnect", connect(fd, &none, sizeof(none)));
}

static void do_shutdown_read(int fd)
{
	result("shutdown", shutdown(fd, SHUT_RD));
}

static void do_shutdown_write(int fd)
{
	result("shutdown", shutdown(fd, SHUT_WR));
}

static void do_shutdown_both(int fd)
{
	result("shutdown", shutdown(fd, SHUT_RDWR));
}

static void show_name(const char *what, int r, const struct sockaddr_in *sa, socklen_t len)
{
	struct sockaddr_in here = address(false, 0);
	const struct sockaddr_in *right = *what == 's' ? &here : &there;

	result(what, r);
	if (r == 0)
		out("length %u, address %s, port %d", len,
			sa->sin_addr.s_addr == 0			? "none"
			: sa->sin_addr.s_addr == right->sin_addr.s_addr ? "right"
									: "wrong",
			sa->sin_port != 0);
}

static void do_getsockname(int fd)
{
	struct sockaddr_in sa = {0};
	socklen_t len = sizeof(sa);

	show_name("sockname", getsockname(fd, (struct sockaddr *)&sa, &len), &sa, len);
}

static void do_getpeername(int fd)
{
	struct sockaddr_in sa = {0};
	socklen_t len = sizeof(sa);

	show_name("peername", getpeername(fd, (struct sockaddr *)&sa, &len), &sa, len);
}

static void do_send(int fd)
{
	result("send", send(fd, "x", 1, MSG_NOSIGNAL));
	result("send", send(fd, "x", 1, MSG_NOSIGNAL));
}

static void do_send_nothing(int fd)
{
	result("send", send(fd, "", 0, MSG_NOSIGNAL));
}

static void do_write(int fd)
{
	result("write", write(fd, "x", 1));
}

static void do_sendto(int fd)
{
	result("sendto",
		sendto(fd, "x", 1, MSG_NOSIGNAL, (struct sockaddr *)&there, sizeof(there)));
}

static void do_sendmsg(int fd)
{
	struct iovec v = {(void *)(uintptr_t) "x", 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

	result("sendmsg", sendmsg(fd, &m, MSG_NOSIGNAL));
}

static void do_sendfile(int fd)
{
	int file = open("/proc/self/exe", O_RDONLY);

	result("sendfile", sendfile(fd, file, NULL, 100));
	close(file);
}

static void do_recv(int fd)
{
	char buf[3];
	int i;

	for (i = 0; i < 3; i++)
		result("recv", recv(fd, buf, sizeof(buf), 0));
}

static void do_recv_nothing(int fd)
{
	char c;

	result("recv", recv(fd, &c, 0, 0));
}

static void do_peek(int fd)
{
	char buf[8];

	result("peek", recv(fd, buf, sizeof(buf), MSG_PEEK));
}

static void do_read(int fd)
{
	char buf[8];

	result("read", read(fd, buf, sizeof(buf)));
}

static void do_error(int fd)
{
	int v = -1;
	socklen_t len = sizeof(v);

	result("SO_ERROR", getsockopt(fd, SOL_SOCKET, SO_ERROR, &v, &len));
	out("%s", v > 0 ? strerrorname_np(v) : "no error");
	result("again", getsockopt(fd, SOL_SOCKET, SO_ERROR, &v, &len));
	out("%s", v > 0 ? strerrorname_np(v) : "no error");
}

static void do_info(int fd)
{
	struct tcp_info ti = {0};
	int v = -1;
	socklen_t len = sizeof(v);

	result("SO_ACCEPTCONN", getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &v, &len));
	out("listener %d", v);
	len = sizeof(ti.tcpi_state);
	result("TCP_INFO", getsockopt(fd, IPPROTO_TCP, TCP_INFO, &ti, &len));
	out("state %d", ti.tcpi_state);
}

static void do_nodelay(int fd)
{
	int v = 1;
	socklen_t len = sizeof(v);

	result("set", setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &v, len));
	result("get", getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &v, &len));
	out("value %d", v);
}

static void do_counts(int fd)
{
	static const struct {
		unsigned long request;
		const char *name;
	} all[] = {{FIONREAD, "FIONREAD"}, {TIOCOUTQ, "SIOCOUTQ"}, {0x8905, "SIOCATMARK"}};
	size_t i;
	int v;

	for (i = 0; i < 3; i++) {
		/* Of a disconnected socket Linux shows what is left of its sequence numbers. */
		if (all[i].request == TIOCOUTQ && strstr(case_name, "disconnected") != NULL)
			continue;
		v = -7;
		result(all[i].name, ioctl(fd, all[i].request, &v));
		out("%d", v);
	}
}

static void do_epoll(int fd)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET};
	int ep = epoll_create1(0), i;

	result("add", epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	for (i = 0; i < 2; i++)
		if (epoll_wait(ep, &ev, 1, 0) == 1)
			out("events %s", bits(ev.events));
		else
			out("nothing");
	result("delete", epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL));
	close(ep);
}

static void do_select(int fd)
{
	struct timeval none = {0, 0};
	fd_set r, w, x;

	FD_ZERO(&r);
	FD_SET(fd, &r);
	w = x = r;
	result("select", select(fd + 1, &r, &w, &x, &none));
	out("%d %d %d", FD_ISSET(fd, &r) != 0, FD_ISSET(fd, &w) != 0, FD_ISSET(fd, &x) != 0);
}

static void do_dup(int fd)
{
	int copy = dup(fd);

	out("dup %s", copy >= 0 ? "works" : strerrorname_np(errno));
	result("send", send(copy, "x", 1, MSG_NOSIGNAL));
	close(copy);
}

static const struct {
	const char *name;
	void (*run)(int fd);
	bool takes_time; /* what poll() says right afterwards is not settled */
} calls[] = {{"bind", do_bind, false}, {"listen", do_listen, false}, {"accept", do_accept, false},
	{"connect", do_connect, true}, {"disconnect", do_disconnect, false},
	{"shutdown_read", do_shutdown_read, false}, {"shutdown_write", do_shutdown_write, true},
	{"shutdown_both", do_shutdown_both, true}, {"getsockname", do_getsockname, false},
	{"getpeername", do_getpeername, false}, {"send", do_send, false},
	{"send_nothing", do_send_nothing, false}, {"write", do_write, false},
	{"sendto", do_sendto, false}, {"sendmsg", do_sendmsg, false},
	{"sendfile", do_sendfile, false}, {"recv", do_recv, false},
	{"recv_nothing", do_recv_nothing, false}, {"peek", do_peek, false},
	{"read", do_read, false}, {"error", do_error, false}, {"info", do_info, false},
	{"nodelay", do_nodelay, false}, {"counts", do_counts, false}, {"epoll", do_epoll, false},
	{"select", do_select, false}, {"dup", do_dup, false}};

#define STATES (sizeof(states) / sizeof(states[0]))
#define CALLS  (sizeof(calls) / sizeof(calls[0]))

static void on_pipe(int sig)
{
	(void)sig;
	pipes++;
}

/* The state and the call that the case is named after. */
static void test_pair(void)
{
	const char *dot = strchr(case_name, '.');
	struct pollfd p = {.events = POLLIN | POLLOUT | POLLPRI | POLLRDHUP};
	size_t i;

	signal(SIGPIPE, on_pipe);
	pipes = 0;
	p.fd = in_state(case_name, (size_t)(dot - case_name));
	for (i = 0; i < CALLS; i++) {
		if (strcmp(calls[i].name, dot + 1) != 0)
			continue;
		calls[i].run(p.fd);
		if (calls[i].takes_time)
			continue;
		poll(&p, 1, 0);
		out("poll %s", bits((unsigned short)p.revents));
	}
	out("signals %d", pipes);
	state_over(p.fd);
}

int main(int argc, char **argv)
{
	static struct tcase cases[STATES * CALLS];
	static char names[STATES * CALLS][48];
	size_t i;

	for (i = 0; i < STATES * CALLS; i++) {
		snprintf(names[i], sizeof(names[i]), "%s.%s", states[i / CALLS].name,
			calls[i % CALLS].name);
		cases[i] = (struct tcase){names[i], test_pair, peer_obeys};
	}
	return RUN(argc, argv, cases);
}
