/*
 * states.h - a socket in every state that it can be in, made with a peer that does what it is asked for. Sockets do not block.
 */
#ifndef PRELOAD_STATES_H
#define PRELOAD_STATES_H

#include "peers.h"

/* What the peer is asked for. */
enum { PEER_OVER, PEER_ACCEPT, PEER_WORD, PEER_SHUT, PEER_RESET, PEER_DEAF };

static struct sockaddr_in there; /* the peer's listener */
static int filling[3] = {-1};	 /* connections that fill its queue */

static MAYBE void peer_obeys(void)
{
	struct linger lg = {1, 0};
	int l = listen_here(0, 0), fd = -1, what;

	while ((what = hear()) != PEER_OVER) {
		switch (what) {
		case PEER_ACCEPT:
			fd = accept(l, NULL, NULL);
			break;
		case PEER_WORD:
			say_to(fd, "word");
			break;
		case PEER_SHUT:
			shutdown(fd, SHUT_WR);
			break;
		case PEER_RESET:
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg));
			close(fd);
			break;
		default: /* nobody listens any more */
			close(l);
		}
		tell(0);
	}
}

static void peer_do(int what)
{
	tell(what);
	hear();
}

/* ---- states ---- */

static int fresh(void)
{
	return socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
}

static int bound(void)
{
	struct sockaddr_in here = address(false, 0);
	int fd = fresh();

	CHECK(bind(fd, (struct sockaddr *)&here, sizeof(here)) == 0);
	return fd;
}

static int listening(void)
{
	int fd = bound();

	CHECK(listen(fd, 4) == 0);
	return fd;
}

static int starts_to_connect(void)
{
	int fd = fresh();

	CHECK(connect(fd, (struct sockaddr *)&there, sizeof(there)) == 0 || errno == EINPROGRESS);
	return fd;
}

static int connecting(void)
{
	size_t i;

	for (i = 0; i < 3; i++) {
		filling[i] = starts_to_connect();
		if (i == 0)
			await(filling[0], POLLOUT);
	}
	return starts_to_connect();
}

static int failing(void)
{
	int fd;

	peer_do(PEER_DEAF);
	fd = fresh();
	connect(fd, (struct sockaddr *)&there, sizeof(there));
	await(fd, 0);
	return fd;
}

static int error_of(int fd)
{
	int v = -1;
	socklen_t len = sizeof(v);

	CHECK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &v, &len) == 0);
	return v;
}

static int failed(void)
{
	int fd = failing();

	CHECK(error_of(fd) == ECONNREFUSED);
	return fd;
}

static int connected(void)
{
	int fd = starts_to_connect();

	await(fd, POLLOUT);
	CHECK(error_of(fd) == 0);
	peer_do(PEER_ACCEPT);
	return fd;
}

static int with_data(void)
{
	int fd = connected();

	peer_do(PEER_WORD);
	await_bytes(fd, 4);
	return fd;
}

static int peer_ended(void)
{
	int fd = connected();

	peer_do(PEER_SHUT);
	await(fd, POLLRDHUP);
	return fd;
}

static int data_and_end(void)
{
	int fd = with_data();

	peer_do(PEER_SHUT);
	await(fd, POLLRDHUP);
	return fd;
}

static int tcp_state(int fd)
{
	struct tcp_info ti = {0};
	socklen_t len = sizeof(ti);

	CHECK(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &ti, &len) == 0);
	return ti.tcpi_state;
}

static void until_state(int fd, int a, int b)
{
	int i;

	for (i = 0; i < 5000 && tcp_state(fd) != a && tcp_state(fd) != b; i++)
		usleep(1000);
}

static int shut_read(void)
{
	int fd = connected();

	CHECK(shutdown(fd, SHUT_RD) == 0);
	return fd;
}

static int shut_write(void)
{
	int fd = connected();

	CHECK(shutdown(fd, SHUT_WR) == 0);
	until_state(fd, TCP_FIN_WAIT2, TCP_FIN_WAIT2);
	return fd;
}

static int shut_both(void)
{
	int fd = connected();

	CHECK(shutdown(fd, SHUT_RDWR) == 0);
	until_state(fd, TCP_FIN_WAIT2, TCP_FIN_WAIT2);
	return fd;
}

static int ended_first(void)
{
	int fd = shut_write();

	peer_do(PEER_SHUT);
	await(fd, 0);
	until_state(fd, TCP_CLOSE, TCP_TIME_WAIT);
	return fd;
}

static int ended_last(void)
{
	int fd = peer_ended();

	CHECK(shutdown(fd, SHUT_WR) == 0);
	until_state(fd, TCP_CLOSE, TCP_CLOSE);
	return fd;
}

static int is_reset(void)
{
	int fd = connected();

	peer_do(PEER_RESET);
	await(fd, 0);
	return fd;
}

static int reset_known(void)
{
	int fd = is_reset();

	CHECK(error_of(fd) == ECONNRESET);
	return fd;
}

static int data_and_reset(void)
{
	int fd = with_data();

	peer_do(PEER_RESET);
	await(fd, 0);
	return fd;
}

static int disconnected(void)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	int fd = connected();

	CHECK(connect(fd, &none, sizeof(none)) == 0);
	return fd;
}

static int closed(void)
{
	int fd = connected();

	CHECK(close(fd) == 0);
	return fd;
}

static const struct {
	const char *name;
	int (*make)(void);
} states[] = {{"fresh", fresh}, {"bound", bound}, {"listening", listening},
	{"connecting", connecting}, {"failing", failing}, {"failed", failed},
	{"connected", connected}, {"with_data", with_data}, {"peer_ended", peer_ended},
	{"data_and_end", data_and_end}, {"shut_read", shut_read}, {"shut_write", shut_write},
	{"shut_both", shut_both}, {"ended_first", ended_first}, {"ended_last", ended_last},
	{"reset", is_reset}, {"reset_known", reset_known}, {"data_and_reset", data_and_reset},
	{"disconnected", disconnected}, {"closed", closed}};

/* The state of this name. */
static MAYBE int in_state(const char *name, size_t len)
{
	size_t i;

	filling[0] = -1;
	there = address(true, hear());
	for (i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (strncmp(states[i].name, name, len) == 0 && states[i].name[len] == '\0')
			return states[i].make();
	die("no such state");
	return -1;
}

static MAYBE void state_over(int fd)
{
	int k;

	close(fd);
	for (k = 0; k < 3 && filling[0] >= 0; k++)
		close(filling[k]);
	tell(PEER_OVER);
}

#endif
