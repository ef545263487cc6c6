/*
 * TCP_INFO in every state: figures that both stacks must agree on as they are, others by what must hold of them.
 */
#include "peers.h"
#include <linux/sockios.h>
#include "linux_tcp_info.h"

#define OF(ti) (ti).state

static struct linux_tcp_info info(int fd)
{
	struct linux_tcp_info ti;
	socklen_t len = sizeof(ti);

	memset(&ti, 0xee, sizeof(ti));
	CHECK(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &ti, &len) == 0);
	CHECK(len == sizeof(ti));
	return ti;
}

/* Waits until the peer has acknowledged `n` bytes. */
static struct linux_tcp_info acknowledged(int fd, uint64_t n)
{
	struct linux_tcp_info ti = info(fd);
	int i;

	for (i = 0; i < 5000 && (ti.bytes_acked < n || ti.unacked != 0); i++) {
		usleep(1000);
		ti = info(fd);
	}
	CHECK(ti.bytes_acked >= n);
	return ti;
}

static void test_fresh(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct linux_tcp_info ti = info(fd);

	out("unconnected: state %u unacked %u rto %u", OF(ti), ti.unacked, ti.rto);
	close(fd);
	fd = listen_here(0, 5);
	ti = info(fd);
	out("listening: state %u waiting %u of %u", OF(ti), ti.unacked, ti.sacked);
	close(fd);
}

static void peer_hears(void)
{
	hear();
}

static void test_established(void)
{
	int fd = connect_there();
	struct linux_tcp_info ti = info(fd);

	out("state %u ca %u retransmits %u probes %u backoff %u", OF(ti), ti.ca_state,
		ti.retransmits, ti.probes, ti.backoff);
	out("options %#x cwnd %u reordering %u", ti.options & 7, ti.snd_cwnd, ti.reordering);
	out("advmss %d snd_mss %d", ti.advmss >= ti.snd_mss, ti.snd_mss > 500);
	out("ssthresh infinite %d, unacked %u sacked %u lost %u retrans %u total %u",
		ti.snd_ssthresh == 0x7fffffff, ti.unacked, ti.sacked, ti.lost, ti.retrans,
		ti.total_retrans);
	out("notsent %u bytes sent %llu retrans %llu received %llu, data segs in %u out %u",
		ti.notsent_bytes, (unsigned long long)ti.bytes_sent,
		(unsigned long long)ti.bytes_retrans, (unsigned long long)ti.bytes_received,
		ti.data_segs_in, ti.data_segs_out);
	out("snd_wnd %d wscale %d", ti.snd_wnd > 0, ti.rcv_wscale > 0 && ti.rcv_wscale < 15);
	out("max pacing rate %d", ti.max_pacing_rate == UINT64_MAX);
	tell(0);
	close(fd);
}

static void test_counts(void)
{
	int fd = connect_there();
	struct linux_tcp_info ti;

	send_all(fd, 0, 100000);
	ti = acknowledged(fd, 100000);
	out("sent %llu acked %d notsent %u", (unsigned long long)ti.bytes_sent - ti.bytes_retrans,
		ti.bytes_acked <= 100001, ti.notsent_bytes);
	out("data segs out %d, out %d, in %d", ti.data_segs_out >= 3,
		ti.segs_out >= ti.data_segs_out, ti.segs_in > 0);
	out("rtt %d rttvar %d rto %d min_rtt %d", ti.rtt > 0, ti.rttvar > 0, ti.rto >= 200000,
		ti.min_rtt > 0);
	out("delivered %d rate %d", ti.delivered >= 3, ti.delivery_rate > 0);
	tell(5000);
	CHECK(recv_all(fd, 0, 5000, 5000) == 5000);
	ti = info(fd);
	out("received %llu data segs in %d", (unsigned long long)ti.bytes_received,
		ti.data_segs_in >= 1);
	out("ages: sent %d received %d ack %d", ti.last_data_sent < 20000,
		ti.last_data_recv < 20000, ti.last_ack_recv < 20000);
	usleep(120000);
	ti = info(fd);
	out("older: sent %d received %d", ti.last_data_sent >= 100, ti.last_data_recv >= 100);
	tell(0);
	close(fd);
}

static void peer_counts(void)
{
	int fd = accepted();

	CHECK(recv_all(fd, 0, 100000, 65536) == 100000);
	send_all(fd, 0, (uint64_t)hear());
	hear();
	close(fd);
}

/* The peer does not read: its window closes, and what is written beyond waits here. */
static void test_not_sent(void)
{
	static char buf[65536];
	int fd = connect_there(), small = 65536, unsent = 0, queued = 0, i;
	struct linux_tcp_info ti;

	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	nonblock(fd);
	for (i = 0; i < 200; i++) {
		while (send(fd, buf, sizeof(buf), MSG_NOSIGNAL) > 0)
			;
		usleep(2000);
	}
	ti = info(fd);
	CHECK(ioctl(fd, SIOCOUTQNSD, &unsent) == 0);
	CHECK(ioctl(fd, SIOCOUTQ, &queued) == 0);
	out("notsent %d as by ioctl %d, queued no less %d", ti.notsent_bytes > 0,
		unsent == (int)ti.notsent_bytes, queued >= unsent);
	tell(0);
	close(fd);
}

static void peer_small(void)
{
	int l = socket(AF_INET, SOCK_STREAM, 0), small = 4096, fd;
	struct sockaddr_in sa = address(true, 0);

	CHECK(setsockopt(l, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)) == 0);
	CHECK(bind(l, (struct sockaddr *)&sa, sizeof(sa)) == 0 && listen(l, 1) == 0);
	tell(port_of(l));
	fd = accept(l, NULL, NULL);
	hear();
	close(fd);
}

static void test_accepted(void)
{
	int l = listen_here(0, 5), fd = accept(l, NULL, NULL);
	struct linux_tcp_info ti = info(fd);

	out("at once: state %u options %#x unacked %u", OF(ti), ti.options & 7, ti.unacked);
	await(fd, POLLIN);
	ti = info(fd);
	out("received %llu", (unsigned long long)ti.bytes_received);
	tell(0);
	await(fd, POLLRDHUP);
	out("peer closed: state %u", OF(info(fd)));
	shutdown(fd, SHUT_WR);
	ti = info(fd);
	out("both closed: state %d", OF(ti) == TCP_LAST_ACK || OF(ti) == TCP_CLOSE);
	tell(0);
	close(fd);
	close(l);
}

static void peer_hello_ends(void)
{
	int fd = connect_there();

	say_to(fd, "hello");
	hear();
	shutdown(fd, SHUT_WR);
	hear();
	close(fd);
}

static void test_closing(void)
{
	int fd = connect_there(), i;
	struct linux_tcp_info ti;

	shutdown(fd, SHUT_WR);
	for (i = 0; i < 5000 && OF(info(fd)) == TCP_FIN_WAIT1; i++)
		usleep(1000);
	out("state %u", OF(info(fd)));
	tell(0);
	await(fd, POLLHUP);
	ti = info(fd);
	out("closed: state %u", OF(ti));
	close(fd);
}

static void peer_accept_close(void)
{
	int fd = accepted();

	hear();
	close(fd);
}

static void test_reset(void)
{
	int fd = connect_there();
	struct linux_tcp_info ti;

	tell(0);
	await(fd, POLLHUP);
	ti = info(fd);
	out("reset: state %u", OF(ti));
	close(fd);
}

static void peer_resets(void)
{
	struct linger lg = {1, 0};
	int fd = accepted();

	hear();
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg));
	close(fd);
}

static void test_length(void)
{
	int fd = connect_there();
	struct linux_tcp_info ti;
	char big[1024];
	socklen_t len = 1;
	int r;

	ti.ca_state = 99;
	r = getsockopt(fd, IPPROTO_TCP, TCP_INFO, &ti, &len);
	out("1 byte: %d len %u state %u, next %u", r, len, OF(ti), ti.ca_state);
	len = sizeof(big);
	r = getsockopt(fd, IPPROTO_TCP, TCP_INFO, big, &len);
	out("all: %d len %u", r, len);
	len = (socklen_t)-1;
	result("negative", getsockopt(fd, IPPROTO_TCP, TCP_INFO, big, &len));
	tell(0);
	close(fd);
}

static const struct tcase cases[] = {
	{"fresh", test_fresh, peer_hears},
	{"established", test_established, peer_accept_wait},
	{"counts", test_counts, peer_counts},
	{"not_sent", test_not_sent, peer_small},
	{"accepted", test_accepted, peer_hello_ends},
	{"closing", test_closing, peer_accept_close},
	{"reset", test_reset, peer_resets},
	{"length", test_length, peer_accept_wait},
};

int main(int argc, char **argv)
{
	return RUN(argc, argv, cases);
}
