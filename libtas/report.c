/*
 * report.c - what tas-run --explain prints at the end of a process: which sockets went over tas, which stayed
 * with the kernel and why, and what else did not go through tas (the counters of explain.c).
 *
 * Places are kept by listener and by destination, a bounded number; what finds no room is summed in one line.
 * Nothing is kept without --explain. Bytes are those that the program took and gave, counted when a
 * connection ends here or moves to another process. Written to the file that TAS_EXPLAIN names, or to standard
 * error if that is still what it was at the start. Owner: any thread.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "lt.h"

#define PLACES 64u

enum side { TAS_ON, TAS_TO, KERNEL_ON, KERNEL_TO };

struct place {
	uint8_t addr[16];
	uint16_t port;
	uint8_t side; /* enum side */
	int why;      /* enum tas_explain, -1 = over tas */
	uint64_t n, in, out;
};

/* By description: where its bytes belong, and how many had been counted. */
struct told {
	struct place *at;
	uint64_t in, out;
};

static struct place places[PLACES], others[KERNEL_TO + 1];
static uint32_t nplaces, lock;
static struct told *told;

static struct stat errors; /* what descriptor 2 was at the start */
static int out = -1;	   /* where to, -1 = do not report */

static const char *const help[] = {
#define ROW_HELP(name, unit, text) unit ": " #name ": " text "\n",
	TAS_EXPLAIN_ROWS(ROW_HELP)
#undef ROW_HELP
};

static const char *const text[] = {
#define ROW_TEXT(name, unit, text) text,
	TAS_EXPLAIN_ROWS(ROW_TEXT)
#undef ROW_TEXT
};

/* ---- what is kept ---- */

static bool is_place(
	const struct place *p, enum side side, int why, const uint8_t addr[16], uint16_t port)
{
	return p->side == side && p->why == why && p->port == port &&
	       memcmp(p->addr, addr, 16) == 0;
}

/* A handler above this very function, and what finds no room, is among the others. */
static struct place *find_place(enum side side, int why, const uint8_t addr[16], uint16_t port)
{
	struct place *p = &others[side];
	uint32_t i;

	others[side].side = (uint8_t)side;
	if (lt_lock(&lock) != 0)
		return p;
	for (i = 0; i < nplaces && !is_place(&places[i], side, why, addr, port); i++)
		;
	if (i < PLACES)
		p = &places[i];
	if (i == nplaces && i < PLACES) {
		memcpy(p->addr, addr, 16);
		p->port = port;
		p->side = (uint8_t)side;
		p->why = why;
		nplaces++;
	}
	lt_unlock(&lock);
	return p;
}

static void add(uint64_t *sum, uint64_t n)
{
	__atomic_fetch_add(sum, n, __ATOMIC_RELAXED);
}

static void begin(
	struct lt_desc *d, enum side side, const uint8_t addr[16], uint16_t port, uint64_t n)
{
	struct told *t;

	if (tas_load(&told) == NULL) {
		t = lt_map(sizeof(*t) * (uint64_t)lt_ndescs); /* twice: one of them stays unused */
		if (t == NULL)
			return;
		tas_store_rel(&told, t);
	}
	t = &told[lt_desc_index(d)];
	t->at = find_place(side, -1, addr, port);
	t->in = tas_load(&d->rx_pos);
	t->out = tas_load(&d->s->tx_head);
	add(&t->at->n, n);
}

void lt_report_accepted(struct lt_desc *d, const struct lt_desc *listener)
{
	if (tas_load(&out) >= 0)
		begin(d, TAS_ON, listener->laddr, listener->lport, 1);
}

void lt_report_connected(struct lt_desc *d)
{
	if (tas_load(&out) >= 0)
		begin(d, TAS_TO, d->raddr, d->rport, 1);
}

void lt_report_came(struct lt_desc *d)
{
	struct told *t = tas_load(&out) < 0 || told == NULL ? NULL : &told[lt_desc_index(d)];

	if (t != NULL && t->at != NULL) {
		t->in = tas_load(&d->rx_pos);
		t->out = tas_load(&d->s->tx_head);
	} else if (tas_load(&out) >= 0) {
		begin(d, TAS_TO, d->raddr, d->rport, 0);
	}
}

void lt_report_settle(struct lt_desc *d)
{
	struct told *t = tas_load(&out) < 0 || told == NULL ? NULL : &told[lt_desc_index(d)];
	uint64_t in, sent;

	if (t == NULL || t->at == NULL)
		return;
	in = tas_load(&d->rx_pos);
	sent = tas_load(&d->s->tx_head);
	add(&t->at->in, in - t->in);
	add(&t->at->out, sent - t->out);
	t->in = in;
	t->out = sent;
}

void lt_report_ended(struct lt_desc *d)
{
	lt_report_settle(d);
	if (tas_load(&out) >= 0 && told != NULL)
		told[lt_desc_index(d)].at = NULL;
}

void lt_left_connect(enum tas_explain why, const uint8_t addr[16], uint16_t port)
{
	lt_explain(why);
	if (tas_load(&out) >= 0)
		add(&find_place(KERNEL_TO, (int)why, addr, port)->n, 1);
}

void lt_left_listener(enum tas_explain why, const uint8_t addr[16], uint16_t port)
{
	lt_explain(why);
	if (tas_load(&out) >= 0)
		add(&find_place(KERNEL_ON, (int)why, addr, port)->n, 1);
}

void lt_report_fork_child(void)
{
	uint32_t i;

	lock = 0;
	for (i = 0; i < PLACES; i++)
		places[i].n = places[i].in = places[i].out = 0;
	memset(others, 0, sizeof(others));
}

int lt_report_fd(void)
{
	return tas_load(&out);
}

void lt_report_move_fd(int fd)
{
	if (out == fd)
		tas_store(&out, lt_hide(fd));
}

/* ---- what is printed ---- */

static void write_line(const char *line, int n, size_t room)
{
	if (n > 0)
		lt_sys3(SYS_write, out, line, (size_t)n < room ? (size_t)n : room - 1);
}

static void name_place(const struct place *p, bool other, char *to, size_t room)
{
	static const char *const sides[] = {"on", "to", "on", "to"};
	char addr[INET6_ADDRSTRLEN] = "*";
	bool v4 = tas_addr_is_v4(p->addr);

	if (!lt_addr_any(p->addr))
		inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? p->addr + 12 : p->addr, addr, sizeof(addr));
	if (other)
		snprintf(to, room, "%s others", sides[p->side]);
	else
		snprintf(to, room, strchr(addr, ':') != NULL ? "%s [%s]:%u" : "%s %s:%u",
			sides[p->side], addr, ntohs(p->port));
}

static bool has_news(const struct place *p)
{
	return p->n != 0 || p->in != 0 || p->out != 0;
}

static void write_place(uint32_t pid, const struct place *p, bool other)
{
	bool kernel = p->side == KERNEL_ON || p->side == KERNEL_TO;
	char line[320], name[80];
	int n;

	if (!has_news(p))
		return;
	name_place(p, other, name, sizeof(name));
	if (kernel)
		n = snprintf(line, sizeof(line), "tas-run: %u: kernel %-28s %8llu %14s %14s  %s\n",
			pid, name, (unsigned long long)p->n, "-", "-",
			other ? "several reasons" : text[p->why]);
	else
		n = snprintf(line, sizeof(line), "tas-run: %u: tas    %-28s %8llu %14llu %14llu\n",
			pid, name, (unsigned long long)p->n, (unsigned long long)p->in,
			(unsigned long long)p->out);
	write_line(line, n, sizeof(line));
}

static void write_places(uint32_t pid)
{
	char line[160];
	uint32_t i;
	int n;

	for (i = 0; i < nplaces && !has_news(&places[i]); i++)
		;
	if (i < nplaces) {
		n = snprintf(line, sizeof(line), "tas-run: %u: %-6s %-28s %8s %14s %14s  %s\n", pid,
			"STACK", "SOCKETS", "COUNT", "BYTES IN", "BYTES OUT", "WHY NOT TAS");
		write_line(line, n, sizeof(line));
	}
	for (i = 0; i < nplaces; i++)
		write_place(pid, &places[i], false);
	for (i = 0; i <= KERNEL_TO; i++)
		write_place(pid, &others[i], true);
}

/* Descriptor 2 may have become something else: then nothing is written. */
static bool is_same(void)
{
	struct stat now;

	return out != 2 ||
	       (fstat(2, &now) == 0 && now.st_ino == errors.st_ino && now.st_dev == errors.st_dev);
}

void lt_explain_report(void)
{
	uint32_t pid = (uint32_t)lt_sys1(SYS_getpid, 0), i;
	char line[256];
	uint64_t v;
	int n;

	if (out < 0 || !lt_explain_noticed() || !is_same())
		return;
	write_places(pid);
	for (i = 0; i < TAS_X_COUNT; i++) {
		v = lt_explained((enum tas_explain)i);
		n = v == 0 ? 0
			   : snprintf(line, sizeof(line), "tas-run: %u: %llu %s", pid,
				     (unsigned long long)v, help[i]);
		write_line(line, n, sizeof(line));
	}
	tas_store(&out, -1); /* once */
}

/* A file is opened at once: the program may not have the right to it later. */
static int open_file(const char *path)
{
	long fd = lt_sys4(SYS_openat, AT_FDCWD, path,
		O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK,
		0600);

	return fd >= 0 && lt_setup() ? lt_hide((int)fd) : -1;
}

/* After fd.c's constructors, before the program. */
__attribute__((constructor(65534))) static void look_where(void)
{
	const char *where = secure_getenv(TAS_EXPLAIN_ENV);

	if (where == NULL)
		return;
	if (where[0] == '/')
		out = open_file(where);
	else if (fstat(2, &errors) == 0)
		out = 2;
}
