/*
 * main.c - tas-trap COMMAND [ARG]...: what `tas-run --trap` starts.
 *
 * The process that was started becomes the program, so number, parent, terminal, signals and exit status are
 * its own. The supervisor is a grandchild of it before that, in a session of its own, and lives as long as
 * anybody is under the filter. When it dies, the kernel answers the filtered calls with ENOSYS and the pairs
 * are closed: errors, no hang. Exit status as tas-run. Owner: each process its own main thread.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lt.h"
#include "trap.h"

enum { EXIT_SELF = 125, EXIT_CANNOT_RUN = 126, EXIT_NOT_FOUND = 127 };

/* Both ways: who speaks, and a descriptor of his, or an error of the supervisor's. */
struct word {
	int32_t pid, fd, err;
};

static void be_quiet(int keep)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	dup2(null, 0);
	dup2(null, 1);
	if (secure_getenv(TAS_EXPLAIN_ENV) ==
		NULL) /* whoever waits for the end of it waits for the program alone */
		dup2(null, 2);
	if (keep > 3)
		lt_sys3(SYS_close_range, 3, keep - 1, 0);
	lt_sys3(SYS_close_range, keep + 1, ~0u, 0);
}

static void raise_limit(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) != 0)
		return;
	rl.rlim_cur = rl.rlim_max;
	setrlimit(RLIMIT_NOFILE, &rl);
}

static void take_name(const char *command)
{
	const char *slash = strrchr(command, '/');
	char name[16];

	snprintf(name, sizeof(name), "trap:%s", slash != NULL ? slash + 1 : command);
	prctl(PR_SET_NAME, name);
}

/* The supervisor's word, and the program's answer to it. */
static bool exchange(int sock, struct word *w)
{
	return write(sock, w, sizeof(*w)) == sizeof(*w) && read(sock, w, sizeof(*w)) == sizeof(*w);
}

/* `theirs` is the other end of sock, as the program has it. */
static void supervise(int sock, int theirs, pid_t program, const char *command)
{
	struct word w = {.pid = (int32_t)getpid()};
	int notify;

	setsid();
	signal(SIGPIPE, SIG_IGN);
	be_quiet(sock);
	raise_limit();
	take_name(command);
	prctl(PR_SET_DUMPABLE, 0); /* the program has the same user, and no business in here */
	if (chdir("/") != 0 || !lt_client_ready() || lt_context_get() == NULL)
		w.err = -EPIPE;
	if (!exchange(sock, &w) || w.err != 0) /* the program may have had to allow it: Yama */
		exit(EXIT_SELF);
	notify = tr_target_fd(program, theirs);
	w.err = notify < 0 ? notify : 0;
	lt_sys_close(notify);
	if (!exchange(sock, &w) || w.err != 0)
		exit(EXIT_SELF);
	notify = tr_target_fd(program, w.fd);
	if (notify < 0 || tr_notify_open(notify) < 0 || write(sock, &w, sizeof(w)) != sizeof(w))
		exit(EXIT_SELF);
	lt_sys_close(sock);
	exit(tr_loop(notify) < 0 ? EXIT_SELF : 0);
}

/* A grandchild: the program does not find a child that it did not make. 0 or -errno. */
static int start_supervisor(int sock, int other, const char *command)
{
	pid_t program = getpid(), child = fork();

	if (child < 0)
		return -errno;
	if (child == 0) {
		close(other);
		child = fork();
		if (child == 0)
			supervise(sock, other, program, command);
		_exit(child < 0);
	}
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	return 0;
}

/* What the supervisor says next; its error. */
static int hear(int sock, struct word *w)
{
	return read(sock, w, sizeof(*w)) != sizeof(*w) ? -EPIPE : w->err;
}

static int tell(int sock, int fd)
{
	struct word w = {.pid = (int32_t)getpid(), .fd = fd};

	return write(sock, &w, sizeof(w)) == sizeof(w) ? 0 : -EPIPE;
}

static int agree(int sock)
{
	struct word w;
	int r = hear(sock, &w), notify;

	if (r != 0)
		return r;
	prctl(PR_SET_PTRACER,
		(unsigned long)w.pid); /* where Yama asks for it; an error: it does not */
	if ((r = tell(sock, -1)) != 0 || (r = hear(sock, &w)) != 0)
		return r;
	notify = tr_filter_install();
	if (notify < 0)
		return notify;
	if ((r = tell(sock, notify)) == 0)
		r = hear(sock, &w);
	close(notify);
	return r;
}

/* 0: from here on this process is under the filter. */
static int set_trap(const char *command)
{
	int sv[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) != 0)
		return -errno;
	r = start_supervisor(sv[1], sv[0], command);
	close(sv[1]);
	if (r == 0)
		r = agree(sv[0]);
	close(sv[0]);
	return r;
}

int main(int argc, char **argv)
{
	bool require = argc > 1 && strcmp(argv[1], "--require") == 0;
	int err;

	argv += require ? 2 : 1;
	if (argc < 2 || argv[0] == NULL) {
		fputs("tas-trap is started by tas-run --trap\n", stderr);
		return EXIT_SELF;
	}
	err = set_trap(argv[0]);
	if (err != 0)
		fprintf(stderr, "tas-run: --trap is not to be had here (%s): %s\n", strerror(-err),
			require ? "not running the command" : "using the kernel's TCP");
	if (err != 0 && require)
		return EXIT_SELF;
	execvp(argv[0], argv);
	err = errno;
	fprintf(stderr, "tas-run: %s: %s\n", argv[0], strerror(err));
	return err == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
}
