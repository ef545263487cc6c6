/*
 * tas-run.c - runs a command with libtas preloaded: `tas-run [-s SOCKET] [--require] [--explain[=FILE]]
 * [--trap] [--] COMMAND [ARG]...`
 *
 * Sets LD_PRELOAD (ours first, what was there after it) and TAS_SOCKET, then execs: same process
 * id. With --trap it preloads nothing and execs tas-trap, which becomes the command. When no service answers, or a preloaded library does not reach the command, says so in one line
 * and runs the command on the kernel's stack, or with --require does not run it. Exit status as env(1): 125 tas-run itself failed, 126 the command
 * cannot be run, 127 it was not found.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>
#include "tas-run-program.h"
#include "tas/app_sp.h"
#include "tas/region.h"

#define LIB	 "libtas.so"
#define TRAP	 "tas-trap"
#define ANSWER_S 5 /* longest wait for an answer */

#define HUNG_UP ECONNABORTED /* of ask(): somebody took the connection and ended it */

enum { EXIT_SELF = 125, EXIT_CANNOT_RUN = 126, EXIT_NOT_FOUND = 127 };

static const char help[] =
	"usage: tas-run [-s SOCKET] [--require] [--explain[=FILE]] [--trap] [--] COMMAND [ARG]...\n"
	"Runs COMMAND with its TCP sockets served by the tas service.\n"
	"  -s, --socket SOCKET  registration socket (default $TAS_SOCKET, else " TAS_SOCKET_DEFAULT
	")\n"
	"      --require        fail when no service answers, or COMMAND is a program that a "
	"preloaded\n"
	"                       library does not reach, instead of using the kernel's TCP\n"
	"      --explain[=FILE] each process says at its end which sockets went over tas, which "
	"did "
	"not,\n"
	"                       and why; to standard error, or at the end of FILE\n"
	"      --trap           catch the command's system calls on sockets: for static and Go "
	"programs\n"
	"      --version        print the version\n"
	"      --help           print this text\n";

struct conf {
	const char *socket;
	const char *explain; /* "1", or a file */
	bool require, trap;
};

/* The command, or one that it starts, may change its directory before it opens its first socket. */
static const char *absolute(const char *path)
{
	char *here, *all = NULL;

	if (path[0] == '/' || (here = getcwd(NULL, 0)) == NULL)
		return path;
	if (asprintf(&all, "%s/%s", here, path) < 0)
		all = NULL;
	free(here);
	return all != NULL ? all : path;
}

static int parse(int argc, char **argv, struct conf *c)
{
	static const struct option longs[] = {{"socket", required_argument, NULL, 's'},
		{"require", no_argument, NULL, 'r'}, {"explain", optional_argument, NULL, 'e'},
		{"trap", no_argument, NULL, 't'}, {"version", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	int o;

	while ((o = getopt_long(argc, argv, "+s:", longs, NULL)) != -1) {
		switch (o) {
		case 's':
			c->socket = optarg;
			break;
		case 'r':
			c->require = true;
			break;
		case 'e':
			c->explain = optarg != NULL ? absolute(optarg) : "1";
			break;
		case 't':
			c->trap = true;
			break;
		case 'v':
			printf("tas-run %s (ABI %d.%d)\n", TAS_VERSION, TAS_ABI_MAJOR,
				TAS_ABI_MINOR);
			exit(0);
		case 'h':
			fputs(help, stdout);
			exit(0);
		default:
			fputs(help, stderr);
			exit(EXIT_SELF);
		}
	}
	if (optind == argc) {
		fputs("tas-run: no command given\n", stderr);
		fputs(help, stderr);
		exit(EXIT_SELF);
	}
	return optind;
}

/* At `beside` this program's folder (as installed or built), else in the folder for which it was built. 0 or -1.
 */
static int find_part(
	const char *beside, const char *folder, const char *name, char *out, size_t room)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n > 0) {
		self[n] = '\0';
		slash = strrchr(self, '/');
		*slash = '\0';
		n = snprintf(out, room, "%s/%s%s", self, beside, name);
		if (n > 0 && (size_t)n < room && access(out, R_OK) == 0)
			return 0;
	}
	n = snprintf(out, room, "%s/%s", folder, name);
	return n > 0 && (size_t)n < room && access(out, R_OK) == 0 ? 0 : -1;
}

/*
 * A sanitizer's runtime that the command is linked with comes first, so that it sees the calls before
 * libtas does. libtas takes it out of LD_PRELOAD again: the command's children may be of another kind.
 */
static int set_preload(const char *first)
{
	char lib[PATH_MAX], real[PATH_MAX], *all;
	const char *old = getenv("LD_PRELOAD");
	int r;

	if (find_part("../lib/", TAS_LIBDIR, LIB, lib, sizeof(lib)) != 0 ||
		realpath(lib, real) == NULL) {
		fprintf(stderr, "tas-run: " LIB " is neither beside this program nor in %s\n",
			TAS_LIBDIR);
		return -1;
	}
	if (asprintf(&all, "%s%s%s%s%s", first, *first ? ":" : "", real,
		    old != NULL && *old ? ":" : "", old != NULL ? old : "") < 0)
		return -1;
	r = setenv("LD_PRELOAD", all, 1);
	if (r == 0)
		r = *first ? setenv(TAS_FIRST_ENV, first, 1) : unsetenv(TAS_FIRST_ENV);
	free(all);
	return r;
}

/* In children with the same runtime libtas comes first: that is to be no error. */
static int allow_order(void)
{
	const char *old = getenv("ASAN_OPTIONS");
	char *all;
	int r;

	if (asprintf(&all, "%s%sverify_asan_link_order=0", old != NULL ? old : "",
		    old != NULL && *old ? ":" : "") < 0)
		return -1;
	r = setenv("ASAN_OPTIONS", all, 1);
	free(all);
	return r;
}

/* Without ours: what it does, the supervisor does. */
static int clear_preload(void)
{
	const char *old = getenv("LD_PRELOAD");
	char *all, *to;
	size_t len;
	int r;

	if (old == NULL || (all = malloc(strlen(old) + 1)) == NULL)
		return old == NULL ? 0 : -1;
	for (to = all; *old != '\0'; old += len) {
		old += strspn(old, ": ");
		len = strcspn(old, ": ");
		if (len == 0 || (len >= sizeof(LIB) &&
					memcmp(old + len - sizeof(LIB), "/" LIB, sizeof(LIB)) == 0))
			continue;
		if (to != all)
			*to++ = ':';
		memcpy(to, old, len);
		to += len;
	}
	*to = '\0';
	r = to != all ? setenv("LD_PRELOAD", all, 1) : unsetenv("LD_PRELOAD");
	free(all);
	return r;
}

/* `args` are the command's, with two places before them. Returns only on failure. */
static int run_trap(const struct conf *c, char **args)
{
	char trap[PATH_MAX];

	if (find_part("", TAS_LIBEXECDIR, TRAP, trap, sizeof(trap)) != 0) {
		fprintf(stderr, "tas-run: " TRAP " is neither beside this program nor in %s\n",
			TAS_LIBEXECDIR);
		return EXIT_SELF;
	}
	if (clear_preload() != 0)
		return EXIT_SELF;
	args[1] = "--require";
	args += c->require ? 0 : 1;
	args[0] = TRAP;
	execv(trap, args);
	fprintf(stderr, "tas-run: %s: %s\n", trap, strerror(errno));
	return EXIT_SELF;
}

/*
 * Would the service take this user? HELLO with a token that nobody has: "no such fork" (-ENOENT) is
 * the answer of a service that would have taken a plain one; nothing is registered.
 */
static int ask(int s)
{
	struct tas_msg m = {.magic = TAS_CMD_MAGIC,
		.type = TAS_CMD_HELLO,
		.abi_major = TAS_ABI_MAJOR,
		.token = {UINT64_MAX, UINT64_MAX}};
	const struct timeval limit = {ANSWER_S, 0};
	ssize_t n;

	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (send(s, &m, sizeof(m), MSG_NOSIGNAL) < 0)
		return errno == EPIPE || errno == ECONNRESET ? HUNG_UP : errno;
	n = recv(s, &m, sizeof(m), 0);
	if (n < 0)
		return errno == ECONNRESET ? HUNG_UP : errno;
	if (n == 0)
		return HUNG_UP; /* policy */
	if (n != (ssize_t)sizeof(m) || m.magic != TAS_CMD_MAGIC)
		return EPROTO;
	return m.status < 0 && m.status != -ENOENT ? -m.status : 0;
}

/* 0 when a service answers there, else errno. */
static int probe(const char *path)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int s, err;

	if (strlen(path) >= sizeof(sa.sun_path))
		return ENAMETOOLONG;
	memcpy(sa.sun_path, path, strlen(path) + 1);
	s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (s < 0)
		return errno;
	err = connect(s, (struct sockaddr *)&sa, sizeof(sa)) != 0 ? errno : ask(s);
	close(s);
	return err;
}

/* One sentence about what probe() found, and what follows from it. */
static void complain(const char *path, int err, const char *then)
{
	switch (err) {
	case ENOENT:
	case ECONNREFUSED:
		fprintf(stderr, "tas-run: no tas service answers at %s (is it running?): %s\n",
			path, then);
		break;
	case EACCES:
		fprintf(stderr,
			"tas-run: not allowed to open %s (be root, or a member of its group): %s\n",
			path, then);
		break;
	case HUNG_UP:
	case EUSERS:
		fprintf(stderr,
			"tas-run: the tas service at %s takes no program of this user now (it is "
			"draining or full, or its allow_uids leaves the user out): %s\n",
			path, then);
		break;
	case EAGAIN:
		fprintf(stderr, "tas-run: the tas service at %s did not answer within %d s: %s\n",
			path, ANSWER_S, then);
		break;
	case EPROTO:
	case EPROTOTYPE:
		fprintf(stderr,
			"tas-run: %s is not the registration socket of a tas service (tasctl's is "
			"another): %s\n",
			path, then);
		break;
	case EPROTONOSUPPORT:
		fprintf(stderr,
			"tas-run: the tas service at %s is of another version than this tas-run: "
			"%s\n",
			path, then);
		break;
	default:
		fprintf(stderr, "tas-run: no tas service answers at %s (%s): %s\n", path,
			strerror(err), then);
	}
}

static const char *choose_socket(const struct conf *c)
{
	const char *env = getenv(TAS_SOCKET_ENV);

	if (c->socket != NULL)
		return c->socket;
	return env != NULL && *env ? env : TAS_SOCKET_DEFAULT;
}

/* Says where a preloaded library would not reach. False: the command shall not be run then. */
static bool is_reached(
	const struct conf *c, const char *name, const struct program *p, const char *then)
{
	if (p->unreached != NULL && !c->trap) {
		fprintf(stderr,
			"tas-run: %s %s, where a preloaded library does not reach (see --trap): "
			"%s\n",
			name, p->unreached, then);
		return !c->require;
	}
	if (p->uring)
		fprintf(stderr,
			"tas-run: %s is linked with liburing: what it does with sockets by "
			"io_uring is the "
			"kernel's\n",
			name);
	return true;
}

int main(int argc, char **argv)
{
	struct conf c = {0};
	int first = parse(argc, argv, &c), err;
	const char *path = absolute(choose_socket(&c)), *then;
	struct program p;
	char **args = argv + first, **room;

	then = c.require ? "not running the command" : "using the kernel's TCP";
	err = probe(path);
	if (err != 0)
		complain(path, err, then);
	program_look(args[0], &p);
	if ((err != 0 && c.require) || (err == 0 && !is_reached(&c, args[0], &p, then)))
		return EXIT_SELF;
	if (setenv(TAS_SOCKET_ENV, path, 1) != 0 ||
		(c.explain != NULL && setenv(TAS_EXPLAIN_ENV, c.explain, 1) != 0))
		return EXIT_SELF;
	if (err == 0 && c.trap) {
		room = calloc((size_t)(argc - first) + 3, sizeof(*room));
		if (room == NULL)
			return EXIT_SELF;
		memcpy(room + 2, args, (size_t)(argc - first) * sizeof(*args));
		return run_trap(&c, room);
	}
	if (set_preload(p.first) != 0 || (p.first[0] != '\0' && allow_order() != 0))
		return EXIT_SELF;
	execvp(args[0], args);
	err = errno;
	fprintf(stderr, "tas-run: %s: %s\n", args[0], strerror(err));
	return err == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
}
