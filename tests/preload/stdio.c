/*
 * stdio.c - libc's streams on connections: fdopen, dprintf, and the standard streams of a program that was given a connection as
 * its descriptors 0, 1 and 2, over dup2 and over exec.
 */
#include <err.h>
#include <stdio_ext.h>
#include "peers.h"

/* ---- peers ---- */

#define TEXT_MAX 2000

/* Reads to the end of the stream; tells how much, the sum of its bytes, and the text if it is short. */
static void tell_all(int fd)
{
	static uint8_t buf[1 << 20];
	size_t n = 0, i;
	int sum = 0;
	ssize_t r;

	while (n < sizeof(buf) && (r = recv(fd, buf + n, sizeof(buf) - n, 0)) > 0)
		n += (size_t)r;
	for (i = 0; i < n; i++)
		sum += buf[i];
	tell((int)n);
	tell(sum);
	if (n > 0 && n < TEXT_MAX)
		CHECK(send(ctl, buf, n, MSG_NOSIGNAL) == (ssize_t)n);
}

static void peer_reader(void)
{
	tell_all(connect_there());
}

/* Sends three lines and ends its half, then reads. */
static void peer_lines(void)
{
	int fd = connect_there();

	say_to(fd, "line one\n17 words 0x1f\nthe rest");
	CHECK(shutdown(fd, SHUT_WR) == 0);
	tell_all(fd);
}

/* Answers each line with a line, then reads to the end. */
static void peer_dialogue(void)
{
	int fd = connect_there(), i;
	char c = 0;

	for (i = 0; i < 3; i++) {
		do
			CHECK(recv(fd, &c, 1, 0) == 1);
		while (c != '\n');
		say_to(fd, "answer\n");
	}
	tell_all(fd);
}

static void peer_reset(void)
{
	struct linger lg = {1, 0};
	int fd = connect_there();

	hear();
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg));
	close(fd);
	tell(0);
}

/* Says what came, each character as it is but for the end of a line. */
static void show_peer(void)
{
	int n = hear(), sum = hear(), i;
	char text[TEXT_MAX] = "";

	out("peer read %d bytes, sum %d", n, sum);
	if (n == 0 || n >= TEXT_MAX)
		return;
	CHECK(recv(ctl, text, sizeof(text), 0) == n);
	for (i = 0; i < n; i++)
		text[i] = text[i] == '\n' ? '|' : text[i];
	out("text \"%.*s\"", n, text);
}

/* ---- streams of fdopen ---- */

static void test_read(void)
{
	int fd = accepted(), number = 0, hex = 0;
	FILE *f = fdopen(fd, "r");
	char line[64] = "", word[16] = "", *more = NULL;
	size_t room = 0;

	CHECK(f != NULL);
	out("fileno %s", fileno(f) == fd ? "right" : "wrong");
	out("fgets %s", fgets(line, sizeof(line), f) != NULL ? line : "NULL");
	result("fscanf", fscanf(f, "%d %15s %x", &number, word, (unsigned *)&hex));
	out("%d %s %d", number, word, hex);
	result("getc", getc(f));
	result("ungetc", ungetc('>', f));
	result("getline", getline(&more, &room, f));
	out("%s", more);
	result("getc", getc(f) == EOF && feof(f) && !ferror(f));
	result("fseek", fseek(f, 0, SEEK_SET));
	result("fclose", fclose(f));
	result("F_GETFD", fcntl(fd, F_GETFD));
	free(more);
	show_peer();
}

static void test_write(void)
{
	static uint8_t data[300000];
	int fd = accepted();
	FILE *f = fdopen(fd, "w");

	CHECK(f != NULL);
	result("setvbuf", setvbuf(f, NULL, _IOFBF, 512));
	result("fprintf", fprintf(f, "%s %05d\n", "number", 42));
	result("fputs", fputs("text", f) >= 0);
	fill(data, sizeof(data), 0);
	result("fwrite", (long)fwrite(data, 1, sizeof(data), f));
	result("fflush", fflush(f));
	result("putc", putc('x', f));
	result("fclose", fclose(f));
	result("F_GETFD", fcntl(fd, F_GETFD));
	show_peer();
}

static void test_both(void)
{
	int fd = accepted(), i;
	FILE *f = fdopen(fd, "r+");
	char line[64];

	for (i = 0; i < 3; i++) {
		result("fprintf", fprintf(f, "question %d\n", i));
		result("fflush", fflush(f));
		out("fgets %s", fgets(line, sizeof(line), f));
	}
	result("fclose", fclose(f));
	show_peer();
}

/* Two streams of one descriptor, as servers have them. */
static void test_two(void)
{
	int fd = accepted(), i;
	FILE *r = fdopen(fd, "rb"), *w = fdopen(dup(fd), "ab");
	char line[64];

	result("setvbuf", setvbuf(w, NULL, _IOLBF, 0));
	for (i = 0; i < 3; i++) {
		fprintf(w, "question %d\n", i);
		out("fgets %s", fgets(line, sizeof(line), r));
	}
	result("fclose", fclose(w));
	result("fclose", fclose(r));
	show_peer();
}

static void mode(int fd, const char *m)
{
	int copy = dup(fd);
	FILE *f = fdopen(copy, m);

	if (f == NULL) {
		out("%s: %s", m, strerrorname_np(errno));
		close(copy);
		return;
	}
	out("%s: %d %d", m, __freadable(f) != 0, __fwritable(f) != 0);
	fclose(f);
}

static void test_modes(void)
{
	int fd = accepted();

	mode(fd, "r");
	mode(fd, "rb+");
	mode(fd, "w+b");
	mode(fd, "we");
	mode(fd, "a");
	mode(fd, "x");
	mode(fd, "");
	close(fd);
	out("closed: %s", fdopen(fd, "r") == NULL ? strerrorname_np(errno) : "opened");
	show_peer();
}

static void test_again(void)
{
	int fd = accepted();
	FILE *f = fdopen(fd, "r");
	char line[64];

	nonblock(fd);
	result("fgets", fgets(line, sizeof(line), f) != NULL ? 0 : -1);
	out("error %d, eof %d", ferror(f) != 0, feof(f) != 0);
	clearerr(f);
	tell(1);
	await(fd, POLLIN);
	out("fread %zu", fread(line, 1, 5, f));
	tell(0);
	await(fd, POLLIN);
	out("end %d, eof %d", getc(f) == EOF, feof(f) != 0);
	fclose(f);
}

static void test_shut(void)
{
	int fd = accepted();
	FILE *f = fdopen(fd, "w");

	signal(SIGPIPE, SIG_IGN);
	fputs("first", f);
	fflush(f);
	shutdown(fd, SHUT_WR);
	fputs("second", f);
	result("fflush", fflush(f));
	out("ferror %d", ferror(f) != 0);
	result("dprintf", dprintf(fd, "third %d", 3));
	result("fclose", fclose(f));
	show_peer();
}

static void test_gone(void)
{
	int fd = accepted();
	FILE *f = fdopen(fd, "r+");

	signal(SIGPIPE, SIG_IGN);
	tell(0);
	hear();
	await(fd, POLLIN);
	result("getc", getc(f));
	clearerr(f);
	result("dprintf", dprintf(fd, "x"));
	fclose(f);
}

static int by_list(int fd, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vdprintf(fd, fmt, ap);
	va_end(ap);
	return n;
}

static void test_dprintf(void)
{
	int fd = accepted();

	result("dprintf", dprintf(fd, "%s=%d ", "answer", 42));
	result("vdprintf", by_list(fd, "%c%s ", 'v', "dprintf"));
	result("long", dprintf(fd, "%70000d", 1));
	result("none", dprintf(fd, "%s", ""));
	close(fd);
	result("closed", dprintf(fd, "x"));
	show_peer();
}

/* A socket that is decided only after its stream was made. */
static void test_before_connect(void)
{
	struct sockaddr_in sa = address(!is_peer, hear());
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	FILE *f = fdopen(fd, "r+");

	CHECK(connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0);
	fputs("over the stream", f);
	result("fclose", fclose(f));
	show_peer();
}

static void peer_listens(void)
{
	tell_all(accepted());
}

/* ---- standard streams in a child ---- */

static int ended(pid_t pid)
{
	int status = end_of(pid);

	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* In a child whose descriptors `low` to `high` are the connection. It leaves by exit(). */
#define CHILD(low, high, ...)                                                                      \
	do {                                                                                       \
		int c = accepted(), number;                                                        \
		pid_t pid = fork();                                                                \
                                                                                                   \
		if (pid == 0) {                                                                    \
			for (number = (low); number <= (high); number++)                           \
				dup2(c, number);                                                   \
			close(c);                                                                  \
			__VA_ARGS__;                                                               \
			exit(7);                                                                   \
		}                                                                                  \
		close(c);                                                                          \
		out("child %d", ended(pid));                                                       \
		show_peer();                                                                       \
	} while (0)

static void test_stdout(void)
{
	CHILD(1, 1, printf("number %d\n", 5); puts("line"); putchar('c');
		fputs(fileno(stdout) == 1 ? " right" : " wrong", stdout));
}

static void copy_stdin(void)
{
	char line[64] = "", word[16] = "";
	int number = 0, c;

	if (fgets(line, sizeof(line), stdin) != NULL)
		printf("[%s]", line);
	printf("%d ", scanf("%d %15s", &number, word));
	printf("%d %s ", number, word);
	while ((c = getchar()) != EOF)
		putchar(c);
	printf(" eof %d", feof(stdin) != 0);
}

static void test_stdin(void)
{
	CHILD(0, 1, copy_stdin());
}

static void test_stderr(void)
{
	CHILD(2, 2, errno = EDOM; perror("perror"); warnx("warnx %d", 1); errno = ENOENT;
		fprintf(stderr, "unbuffered "); err(3, "err"));
}

/* What was not flushed goes where the number leads when it is. */
static void test_unflushed(void)
{
	int c = accepted();
	pid_t pid;

	printf("%s: before fork, ", case_name);
	pid = fork();
	if (pid == 0) {
		printf("before dup2, ");
		dup2(c, 1);
		printf("after");
		exit(0);
	}
	printf("parent\n");
	fflush(stdout);
	close(c);
	out("child %d", ended(pid));
	show_peer();
}

/* exit() in a child and in its parent flushes what both have. */
static void test_fork_unflushed(void)
{
	int fd = accepted();
	FILE *f = fdopen(fd, "w");
	pid_t pid;

	fputs("twice ", f);
	pid = fork();
	if (pid == 0)
		exit(0);
	out("child %d", ended(pid));
	fclose(f);
	show_peer();
}

/* As a shell has it: printf >&3. */
static void test_to_and_fro(void)
{
	int c = accepted(), p[2];
	char text[64] = "";
	pid_t pid;

	CHECK(pipe(p) == 0);
	pid = fork();
	if (pid == 0) {
		int saved, i;

		dup2(p[1], 1);
		saved = dup(1);
		for (i = 0; i < 3; i++) {
			dup2(c, 1);
			printf("socket %d ", i);
			fflush(stdout);
			dup2(saved, 1);
			printf("pipe %d ", i);
			fflush(stdout);
		}
		exit(0);
	}
	close(c);
	close(p[1]);
	out("child %d", ended(pid));
	result("read", read(p[0], text, sizeof(text) - 1));
	out("pipe: %s", text);
	close(p[0]);
	show_peer();
}

/* The lowest number that is free. */
static void test_lowest(void)
{
	int l = listen_here(0, 4);
	pid_t pid = fork();

	if (pid == 0) {
		close(0);
		if (accept(l, NULL, NULL) != 0)
			exit(1);
		dup2(0, 1);
		copy_stdin();
		exit(0);
	}
	close(l);
	out("child %d", ended(pid));
	show_peer();
}

static void test_fclose(void)
{
	CHILD(1, 1, printf("flushed by it"); fprintf(stderr, "%d", fclose(stdout));
		exit(fcntl(1, F_GETFD) < 0 && errno == EBADF ? 0 : 1));
}

static void test_freopen(void)
{
	char name[] = "/tmp/tas-stdio-XXXXXX", text[64] = "";
	int fd = mkstemp(name);

	CHECK(fd >= 0);
	CHILD(1, 1, printf("to the peer"); if (freopen(name, "w", stdout) == NULL) exit(1);
		printf("to the file"); exit(fileno(stdout)));
	result("read", read(fd, text, sizeof(text) - 1));
	out("file: %s", text);
	close(fd);
	unlink(name);
}

/* ---- standard streams over exec ---- */

static void test_echo(void)
{
	CHILD(1, 1, execl("/bin/echo", "echo", "hello", "world", NULL));
}

static void test_date(void)
{
	CHILD(0, 2, execl("/bin/date", "date", "-u", "-d", "@86400", "+%F %T", NULL));
}

static void test_cat(void)
{
	CHILD(0, 1, execl("/bin/cat", "cat", NULL));
}

static void test_sort(void)
{
	CHILD(0, 1, execl("/usr/bin/sort", "sort", NULL));
}

static void test_shell(void)
{
	CHILD(0, 2,
		execl("/bin/sh", "sh", "-c",
			"cat; echo; date -u -d @0 +%F; ls /nonexistent/x 2>&1; exit 4", NULL));
}

/* The shell has used the connection before it starts its first child. */
static void test_script(void)
{
	CHILD(0, 2,
		execl("/bin/sh", "sh", "-c", "read a; echo \"got $a\"; date -u -d @0 +%F; cat",
			NULL));
}

/* This program again, without a flush of its own before main() returns. */
static void test_main(void)
{
	CHILD(0, 2, exec_as("--stdio", 0));
}

static const struct tcase cases[] = {
	{"read", test_read, peer_lines},
	{"write", test_write, peer_reader},
	{"both", test_both, peer_dialogue},
	{"two", test_two, peer_dialogue},
	{"modes", test_modes, peer_reader},
	{"again", test_again, peer_sender},
	{"shut", test_shut, peer_reader},
	{"gone", test_gone, peer_reset},
	{"dprintf", test_dprintf, peer_reader},
	{"before_connect", test_before_connect, peer_listens},
	{"stdout", test_stdout, peer_reader},
	{"stdin", test_stdin, peer_lines},
	{"stderr", test_stderr, peer_reader},
	{"unflushed", test_unflushed, peer_reader},
	{"fork_unflushed", test_fork_unflushed, peer_reader},
	{"to_and_fro", test_to_and_fro, peer_reader},
	{"lowest", test_lowest, peer_lines},
	{"fclose", test_fclose, peer_reader},
	{"freopen", test_freopen, peer_reader},
	{"echo", test_echo, peer_reader},
	{"date", test_date, peer_reader},
	{"cat", test_cat, peer_lines},
	{"sort", test_sort, peer_lines},
	{"shell", test_shell, peer_lines},
	{"script", test_script, peer_lines},
	{"main", test_main, peer_lines},
};

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "--stdio") == 0) {
		copy_stdin();
		fprintf(stderr, "(error)");
		return 5;
	}
	return RUN(argc, argv, cases);
}
