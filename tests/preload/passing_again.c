/*
 * passing_again.c - descriptors in messages (SCM_RIGHTS) to oneself, several at once, by MSG_PEEK; those that do not arrive; and numbers
 * that are given again.
 */
#include "rights.h"

/* ---- to oneself, several, and again ---- */

static void test_oneself(void)
{
	int fd = accepted(), copy;

	make_pair(SOCK_STREAM);
	pass(pair[0], fd);
	copy = take(pair[1]);
	close(fd);
	echo_five(copy);
	close(copy);
	out("peer %d", hear());
	close_pair();
}

/* Nobody has it when it comes back. */
static void test_round_trip(void)
{
	int fd = accepted();

	make_pair(SOCK_STREAM);
	pass(pair[0], fd);
	close(fd);
	usleep(300000);
	fd = take(pair[1]);
	echo_five(fd);
	close(fd);
	out("peer %d", hear());
	close_pair();
}

static void test_several(void)
{
	int fd[4], got[8], i, n;

	make_pair(SOCK_SEQPACKET);
	fd[0] = fd[2] = accepted();
	fd[1] = open("/dev/null", O_RDONLY);
	fd[3] = accepted();
	out("sent %zd", pass_n(pair[0], fd, 4, 0));
	close(fd[0]);
	close(fd[1]);
	close(fd[3]);
	n = take_n(pair[1], got, 8, MSG_CMSG_CLOEXEC, &i);
	out("came %d flags %#x", n, (unsigned)i);
	for (i = 0; i < n; i++)
		out("cloexec %d", fcntl(got[i], F_GETFD));
	close(got[0]);
	echo_five(got[2]);
	echo_five(got[3]);
	for (i = 1; i < n; i++)
		close(got[i]);
	close_pair();
}

static void peer_two(void)
{
	int a = connect_there(), b = connect_there(), n;
	char buf[8];

	say_to(a, "first");
	say_to(b, "other");
	n = recv(a, buf, 5, MSG_WAITALL) == 5 && recv(a, buf, 1, 0) == 0;
	n += recv(b, buf, 5, MSG_WAITALL) == 5 && recv(b, buf, 1, 0) == 0;
	if (n != 2)
		out("peer: %d", n);
}

static void test_peek(void)
{
	int fd = accepted(), seen;

	make_pair(SOCK_STREAM);
	pass(pair[0], fd);
	close(fd);
	CHECK(take_n(pair[1], &seen, 1, MSG_PEEK, NULL) == 1);
	close(seen);
	usleep(300000);
	CHECK(take_n(pair[1], &seen, 1, MSG_PEEK, NULL) == 1);
	fd = take(pair[1]);
	echo_five(seen);
	close(seen);
	result("send", send(fd, "end", 3, MSG_NOSIGNAL));
	close(fd);
	out("peer %d", hear());
	close_pair();
}

/* No room for the second: it is closed. */
static void test_truncated(void)
{
	int fd[2], got[8], how;
	char buf[8];

	make_pair(SOCK_STREAM);
	fd[0] = open("/dev/null", O_RDONLY);
	fd[1] = accepted();
	result("recv", recv(fd[1], buf, 5, MSG_WAITALL));
	CHECK(pass_n(pair[0], fd, 2, 0) == 1);
	close(fd[0]);
	close(fd[1]);
	out("came %d", take_n(pair[1], got, 1, 0, &how));
	out("truncated %d", (how & MSG_CTRUNC) != 0);
	out("peer %d", hear());
	close(got[0]);
	close_pair();
}

/* ---- what does not arrive ---- */

static int read_and_pass(void)
{
	int fd = accepted();
	char buf[8];

	make_pair(SOCK_STREAM);
	result("recv", recv(fd, buf, 5, MSG_WAITALL));
	pass(pair[0], fd);
	return fd;
}

static void test_never_received(void)
{
	close(read_and_pass());
	close_pair();
	out("peer %d", hear());
}

static void test_never_received_kept(void)
{
	int fd = read_and_pass();

	close_pair();
	usleep(300000);
	result("send", send(fd, "still", 5, MSG_NOSIGNAL));
	close(fd);
	out("peer %d", hear());
}

/* The sender is killed as soon as it has sent. */
static void test_sender_dies(void)
{
	pid_t pid;
	int fd;

	make_pair(SOCK_STREAM);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		fd = accepted();
		pass(pair[1], fd);
		kill(getpid(), SIGKILL);
	}
	out("child %#x", (unsigned)end_of(pid));
	usleep(300000);
	fd = take(pair[0]);
	echo_five(fd);
	close(fd);
	out("peer %d", hear());
	close_pair();
}

static void die_at_once(int fd)
{
	char buf[8];

	result("recv", recv(fd, buf, 5, MSG_WAITALL));
	fflush(stdout);
	_exit(0);
}

static void test_receiver_ends(void)
{
	pid_t pid;
	int fd;

	make_pair(SOCK_STREAM);
	pid = child_that(die_at_once);
	fd = accepted();
	give_away(fd, pid);
}

static void test_not_sent(void)
{
	int fd = accepted(), bad[2] = {fd, 987};
	char buf[8], block[4096] = "";

	make_pair(SOCK_STREAM);
	result("recv", recv(fd, buf, 5, MSG_WAITALL));
	result("sendmsg", pass_n(pair[0], bad, 2, 0));
	while (send(pair[0], block, sizeof(block), MSG_DONTWAIT) > 0)
		;
	result("sendmsg", pass_n(pair[0], &fd, 1, MSG_DONTWAIT));
	close(pair[1]);
	result("sendmsg", pass_n(pair[0], &fd, 1, 0));
	result("sendmsg", pass_n(fd, &fd, 1, 0));
	close(fd);
	out("peer %d", hear());
	close(pair[0]);
}

/* ---- numbers, and many messages ---- */

/* A number that was a connection's is a pipe's now. */
static void test_number_again(void)
{
	int fd = accepted(), line[2], got;
	char buf[8];

	make_pair(SOCK_STREAM);
	result("recv", recv(fd, buf, 5, MSG_WAITALL));
	CHECK(pipe(line) == 0);
	pass(pair[0], line[0]);
	close(fd);
	got = take(pair[1]);
	out("same %d", got == fd);
	CHECK(write(line[1], "pipe", 4) == 4);
	result("read", read(got, buf, 4));
	close(got);
	close(line[0]);
	close(line[1]);
	out("peer %d", hear());
	close_pair();
}

static void test_many_messages(void)
{
	char space[2][CMSG_SPACE(sizeof(int))] = {"", ""}, byte[2] = "ab";
	struct iovec v[2] = {{&byte[0], 1}, {&byte[1], 1}};
	struct mmsghdr m[2] = {{.msg_len = 0}, {.msg_len = 0}};
	int fd[2], i;
	struct cmsghdr *c;

	make_pair(SOCK_SEQPACKET);
	for (i = 0; i < 2; i++) {
		fd[i] = accepted();
		m[i].msg_hdr = (struct msghdr){.msg_iov = &v[i],
			.msg_iovlen = 1,
			.msg_control = space[i],
			.msg_controllen = sizeof(space[i])};
		c = CMSG_FIRSTHDR(&m[i].msg_hdr);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd[i], sizeof(int));
	}
	result("sendmmsg", sendmmsg(pair[0], m, 2, 0));
	close(fd[0]);
	close(fd[1]);
	result("recvmmsg", recvmmsg(pair[1], m, 2, 0, NULL));
	for (i = 0; i < 2; i++) {
		memcpy(&fd[i], CMSG_DATA(CMSG_FIRSTHDR(&m[i].msg_hdr)), sizeof(int));
		echo_five(fd[i]);
		close(fd[i]);
	}
	close_pair();
}

static void test_datagrams(void)
{
	int fd;

	make_pair(SOCK_DGRAM);
	fd = accepted();
	pass(pair[0], fd);
	close(fd);
	fd = take(pair[1]);
	echo_five(fd);
	close(fd);
	out("peer %d", hear());
	close_pair();
}

/* On the way from one to the next, a hundred times. */
static void test_hands(void)
{
	int fd = accepted(), i;
	char c;

	make_pair(SOCK_STREAM);
	for (i = 0; i < 100; i++) {
		pass(pair[0], fd);
		close(fd);
		fd = take(pair[1]);
		if (i % 20 == 0) {
			CHECK(recv(fd, &c, 1, 0) == 1);
			CHECK(send(fd, &c, 1, MSG_NOSIGNAL) == 1);
		}
	}
	close(fd);
	out("peer %d", hear());
	close_pair();
}

static const struct tcase cases[] = {
	{"oneself", test_oneself, peer_talks},
	{"round_trip", test_round_trip, peer_talks},
	{"several", test_several, peer_two},
	{"peek", test_peek, peer_talks},
	{"truncated", test_truncated, peer_talks},
	{"never_received", test_never_received, peer_talks},
	{"never_received_kept", test_never_received_kept, peer_talks},
	{"sender_dies", test_sender_dies, peer_talks},
	{"receiver_ends", test_receiver_ends, peer_talks},
	{"not_sent", test_not_sent, peer_talks},
	{"number_again", test_number_again, peer_talks},
	{"many_messages", test_many_messages, peer_two},
	{"datagrams", test_datagrams, peer_talks},
	{"hands", test_hands, peer_talks},
};

int main(int argc, char **argv)
{
	return RUN(argc, argv, cases);
}
