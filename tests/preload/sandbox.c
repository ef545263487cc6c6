/*
 * sandbox.c - children that shut themselves in and then serve a connection that they inherited: few system calls, no new descriptors.
 */
#include "peers.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define ALLOW(nr)                                                                                  \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (nr), 0, 1),                                           \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

/* What a process can have that decodes the bytes of strangers: sshd's, for one, has about these. */
static bool by_number;

static void only_few_calls(void)
{
	struct sock_filter rows[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		ALLOW(SYS_read),
		ALLOW(SYS_write),
		ALLOW(SYS_poll),
		ALLOW(SYS_ppoll),
		ALLOW(SYS_futex),
		ALLOW(SYS_close),
		ALLOW(SYS_brk),
		ALLOW(SYS_mmap),
		ALLOW(SYS_munmap),
		ALLOW(SYS_mremap),
		ALLOW(SYS_getpid),
		ALLOW(SYS_getsockopt), /* this and the next: tests/recorder */
		ALLOW(SYS_process_vm_readv),
		ALLOW(SYS_clock_gettime),
		ALLOW(SYS_nanosleep),
		ALLOW(SYS_clock_nanosleep),
		ALLOW(SYS_rt_sigprocmask),
		ALLOW(SYS_exit),
		ALLOW(SYS_exit_group),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog program = {sizeof(rows) / sizeof(rows[0]), rows};

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	if (by_number)
		CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0);
	else
		CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

/* A filter that lets everything through. */
static void any_call(void)
{
	struct sock_filter row = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = {1, &row};

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

/* As libseccomp enters it. */
static void few_calls_by_number(void)
{
	by_number = true;
	only_few_calls();
}

/* poll() takes no more entries than the process may have descriptors. */
static void no_descriptors(void)
{
	struct rlimit one = {1, 1};

	CHECK(setrlimit(RLIMIT_NOFILE, &one) == 0);
}

static void both(void)
{
	struct rlimit one = {1, 1};

	CHECK(prlimit(0, RLIMIT_NOFILE, &one, NULL) == 0);
	only_few_calls();
}

/* Answers the peer's rounds, waiting in poll() and in read(). */
static void serve(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char buf[16];
	int i;

	for (i = 0; i < 3; i++) {
		CHECK(i % 2 != 0 || poll(&p, 1, HANG_S * 1000) == 1);
		CHECK(read(fd, buf, 5) == 5 && memcmp(buf, "hello", 5) == 0);
		CHECK(write(fd, "world", 5) == 5);
	}
	_exit(7);
}

/* The parent, which has stayed outside, goes on with the connection. */
static void in_sandbox(void (*enter)(void))
{
	int fd = accepted(), status;
	char buf[8];
	pid_t pid = fork();

	if (pid == 0) {
		enter();
		serve(fd);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	out("child %#x", (unsigned)status);
	tell(0);
	result("recv", recv(fd, buf, 5, MSG_WAITALL));
	result("send", send(fd, "after", 5, MSG_NOSIGNAL));
	close(fd);
}

static void test_few_calls(void)
{
	in_sandbox(only_few_calls);
}

static void test_by_number(void)
{
	in_sandbox(few_calls_by_number);
}

static void test_any_call(void)
{
	in_sandbox(any_call);
}

static void test_no_descriptors(void)
{
	in_sandbox(no_descriptors);
}

static void test_both(void)
{
	in_sandbox(both);
}

/* The connection is the sandboxed process's alone, and ends with it in good order. */
static void test_alone(void)
{
	int l = listen_here(0, 16), status;
	pid_t pid = fork();

	if (pid == 0) {
		int fd = accept(l, NULL, NULL);

		close(l);
		both();
		serve(fd);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	out("child %#x", (unsigned)status);
	close(l);
}

static void talk_thrice(int fd)
{
	char buf[8];
	int i;

	for (i = 0; i < 3; i++) {
		say_to(fd, "hello");
		CHECK(recv(fd, buf, 5, MSG_WAITALL) == 5 && memcmp(buf, "world", 5) == 0);
		usleep(20000); /* so that the other side is asleep in most rounds */
	}
}

static void peer_twice(void)
{
	int fd = connect_there();
	char buf[8];

	talk_thrice(fd);
	hear();
	say_to(fd, "again");
	CHECK(recv(fd, buf, 5, MSG_WAITALL) == 5 && memcmp(buf, "after", 5) == 0);
	CHECK(recv(fd, buf, 1, 0) == 0);
}

static void peer_once(void)
{
	int fd = connect_there();
	char c;

	talk_thrice(fd);
	CHECK(recv(fd, &c, 1, 0) == 0);
}

static const struct tcase cases[] = {
	{"few_calls", test_few_calls, peer_twice},
	{"by_number", test_by_number, peer_twice},
	{"any_call", test_any_call, peer_twice},
	{"no_descriptors", test_no_descriptors, peer_twice},
	{"both", test_both, peer_twice},
	{"alone", test_alone, peer_once},
};

int main(int argc, char **argv)
{
	return RUN(argc, argv, cases);
}
