/*
 * calls.c - calls that are rarely made on a socket: with positions, of files, and those that return a
 * number which was a socket's before.
 */
#include "peers.h"
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/xattr.h>

/* ---- with positions ---- */

static void test_positions(void)
{
	int fd = accepted();
	char buf[10] = "";
	struct iovec v = {buf, sizeof(buf)};

	result("pread", pread(fd, buf, 10, 0));
	result("pread64", pread64(fd, buf, 10, 5));
	result("pread, negative", pread(fd, buf, 10, -1));
	result("pwrite", pwrite(fd, buf, 10, 0));
	result("pwrite64", pwrite64(fd, buf, 10, 0));
	result("preadv", preadv(fd, &v, 1, 0));
	result("preadv64", preadv64(fd, &v, 1, 0));
	result("pwritev", pwritev(fd, &v, 1, 0));
	result("pwritev64", pwritev64(fd, &v, 1, 0));
	result("preadv2", preadv2(fd, &v, 1, 0, 0));
	result("pwritev2", pwritev2(fd, &v, 1, 0, 0));
	result("preadv64v2", preadv64v2(fd, &v, 1, 7, 0));
	result("pwritev64v2", pwritev64v2(fd, &v, 1, 7, 0));
	result("preadv2, negative", preadv2(fd, &v, 1, -2, 0));
	result("pwritev2, negative", pwritev2(fd, &v, 1, -2, 0));
	result("lseek", lseek(fd, 0, SEEK_SET));
	result("lseek64", lseek64(fd, 0, SEEK_END));
	tell(0);
	close(fd);
}

static volatile int wrong_count = -1, unknown_flag = 0x4000;

/* With offset -1 they move bytes as readv() and writev() do. */
static void test_vectors(void)
{
	int fd = accepted();
	uint8_t a[3], b[50];
	struct iovec v[] = {{a, sizeof(a)}, {b, sizeof(b)}};

	tell(20);
	await_bytes(fd, 20);
	result("preadv2", preadv2(fd, v, 1, -1, 0));
	result("preadv64v2", preadv64v2(fd, v, 2, -1, 0));
	out("right %d %d", right(a, 3, 3), right(b, 14, 6));
	result("nothing there", preadv2(fd, v, 2, -1, RWF_NOWAIT));
	tell(5);
	await_bytes(fd, 5);
	result("there", preadv2(fd, v, 2, -1, RWF_NOWAIT));
	result("none", preadv2(fd, v, 0, -1, 0));
	result("wrong", preadv2(fd, v, wrong_count, -1, 0));
	result("unknown flag", preadv2(fd, v, 2, -1, unknown_flag));
	result("unknown flag", pwritev2(fd, v, 2, -1, unknown_flag));
	result("unknown flag, nothing", preadv2(fd, v, 0, -1, unknown_flag));
	nonblock(fd);
	result("hipri", preadv2(fd, v, 2, -1, RWF_HIPRI));
	result("sync", preadv2(fd, v, 2, -1, RWF_SYNC | RWF_DSYNC));
	tell(0);
	await(fd, POLLIN);
	result("end", preadv2(fd, v, 2, -1, RWF_NOWAIT));
	close(fd);
}

static void peer_counts(void)
{
	int fd = connect_there();

	tell((int)recv_all(fd, 0, 3000, 4096));
	close(fd);
}

static void test_vectors_out(void)
{
	int fd = accepted();
	uint8_t data[3000];
	struct iovec v[] = {{data, 1000}, {data + 1000, 500}};

	fill(data, sizeof(data), 0);
	result("pwritev2", pwritev2(fd, v, 2, -1, 0));
	v[0] = (struct iovec){data + 1500, 700};
	result("nowait", pwritev64v2(fd, v, 1, -1, RWF_NOWAIT));
	v[0] = (struct iovec){data + 2200, 800};
	result("sync", pwritev2(fd, v, 1, -1, RWF_DSYNC | RWF_APPEND));
	result("none", pwritev2(fd, v, 0, -1, 0));
	out("peer %d", hear());
	signal(SIGPIPE, SIG_IGN);
	shutdown(fd, SHUT_WR);
	result("after shutdown", pwritev2(fd, v, 1, -1, 0));
	close(fd);
}

/* ---- of files ---- */

static void test_as_file(void)
{
	int fd = accepted();
	struct stat st;
	struct statx sx;
	struct statfs fs;
	char buf[8];

	result("fstat", fstat(fd, &st));
	out("socket %d links %d size %d", S_ISSOCK(st.st_mode), (int)st.st_nlink, (int)st.st_size);
	result("fstatat", fstatat(fd, "", &st, AT_EMPTY_PATH));
	out("socket %d", S_ISSOCK(st.st_mode));
	result("statx", statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &sx));
	out("socket %d", S_ISSOCK(sx.stx_mode));
	result("fstatfs", fstatfs(fd, &fs));
	out("type %lx", (long)fs.f_type);
	result("fsync", fsync(fd));
	result("fdatasync", fdatasync(fd));
	result("syncfs", syncfs(fd));
	result("sync_file_range", sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE));
	result("ftruncate", ftruncate(fd, 0));
	result("fallocate", fallocate(fd, 0, 0, 10));
	result("posix_fadvise", posix_fadvise(fd, 0, 0, POSIX_FADV_NORMAL));
	result("readahead", readahead(fd, 0, 10));
	result("flock", flock(fd, LOCK_EX | LOCK_NB));
	result("flock", flock(fd, LOCK_UN));
	result("lockf", lockf(fd, F_TEST, 0));
	result("mmap", mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0);
	result("fchmod", fchmod(fd, 0600));
	result("fchown", fchown(fd, (uid_t)-1, (gid_t)-1));
	result("fchdir", fchdir(fd));
	result("openat", openat(fd, "x", O_RDONLY));
	result("getdents", syscall(SYS_getdents64, fd, buf, sizeof(buf)));
	result("fgetxattr", fgetxattr(fd, "user.x", buf, sizeof(buf)) < 0 ? -1 : 0);
	result("isatty", isatty(fd));
	out("isatty %s", strerrorname_np(errno));
	result("isfdtype", isfdtype(fd, S_IFSOCK));
	tell(0);
	close(fd);
}

/* ---- numbers ---- */

/* By an instruction of the program's own: libc knows nothing of it. */
static void close_behind(int fd)
{
	long r;

#if defined(__x86_64__)
	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(SYS_close), "D"((long)fd)
			 : "rcx", "r11", "memory");
#else
	register long x8 __asm__("x8") = SYS_close;
	register long x0 __asm__("x0") = fd;

	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8) : "memory");
	r = x0;
#endif
	CHECK(r == 0);
}

#define WAYS 19

static int opened(int way, int low, int pair[2])
{
	sigset_t none;

	sigemptyset(&none);
	switch (way) {
	case 0:
		return open("/dev/zero", O_RDWR);
	case 1:
		return open64("/dev/zero", O_RDWR);
	case 2:
		return openat(AT_FDCWD, "/dev/zero", O_RDWR);
	case 3:
		return openat64(AT_FDCWD, "/dev/zero", O_RDWR);
	case 4:
		return creat("/dev/zero", 0600);
	case 5:
		return creat64("/dev/zero", 0600);
	case 6:
		return memfd_create("x", 0);
	case 7:
		return eventfd(0, EFD_NONBLOCK);
	case 8:
		return timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	case 9:
		return signalfd(-1, &none, SFD_NONBLOCK);
	case 10:
		return inotify_init1(IN_NONBLOCK);
	case 11:
		return inotify_init();
	case 12:
		CHECK(pipe(pair) == 0);
		return pair[0];
	case 13:
		CHECK(pipe2(pair, O_NONBLOCK) == 0);
		return pair[0];
	case 14:
		CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
		return pair[0];
	case 15:
		return fcntl(low, F_DUPFD, 3);
	case 16:
		return (int)syscall(SYS_openat, AT_FDCWD, "/dev/zero", O_RDWR);
	case 17:
		return epoll_create1(0);
	default:
		return socket(AF_INET, SOCK_DGRAM, 0);
	}
}

/* A number that was a connection's and is something else now is taken for that. */
static void test_numbers(void)
{
	int way, fd, low, pair[2], n;
	char c;

	for (way = 0; way < WAYS; way++) {
		fd = accepted();
		low = open("/dev/zero", O_RDONLY); /* where the listener was */
		close_behind(fd);
		pair[0] = pair[1] = -1;
		n = opened(way, low, pair);
		out("%d: number %s", way, n == fd ? "the same" : "another");
		result("send", send(n, "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL));
		if (pair[1] >= 0)
			result("other end", recv(pair[1], &c, 1, MSG_DONTWAIT));
		close(n);
		close(low);
		close(pair[1]);
		tell(0);
	}
}

static void peer_numbers(void)
{
	int i, fd;

	for (i = 0; i < WAYS; i++) {
		fd = connect_there();
		hear();
		close(fd);
	}
}

/* accept() on a listener of the kernel's own. */
static void test_number_accepted(void)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sa);
	int l = socket(AF_INET, SOCK_STREAM, 0), c, i, fd, n;
	char buf[4] = "";

	CHECK(bind(l, (struct sockaddr *)&sa, sizeof(sa)) == 0 && listen(l, 4) == 0);
	CHECK(getsockname(l, (struct sockaddr *)&sa, &len) == 0);
	for (i = 0; i < 2; i++) {
		fd = accepted();
		c = socket(AF_INET, SOCK_STREAM, 0); /* where the listener was */
		CHECK(connect(c, (struct sockaddr *)&sa, sizeof(sa)) == 0);
		close_behind(fd);
		n = i == 0 ? accept(l, NULL, NULL) : accept4(l, NULL, NULL, SOCK_CLOEXEC);
		out("number %s", n == fd ? "the same" : "another");
		say_to(c, "abc");
		result("recv", recv(n, buf, 3, 0));
		close(n);
		close(c);
		tell(0);
	}
	close(l);
}

static void peer_twice(void)
{
	peer_wait();
	peer_wait();
}

int main(int argc, char **argv)
{
	static const struct tcase cases[] = {
		{"positions", test_positions, peer_wait},
		{"vectors", test_vectors, peer_source},
		{"vectors_out", test_vectors_out, peer_counts},
		{"as_file", test_as_file, peer_wait},
		{"numbers", test_numbers, peer_numbers},
		{"number_accepted", test_number_accepted, peer_twice},
	};

	return RUN(argc, argv, cases);
}
