/*
 * heir.c - the next program takes what exec.c left to it: before main(), as it loads libtas.
 *
 * The variable is taken out of the environment. Anybody may have written it, for a program that runs
 * with his rights: a descriptor is believed by its cookie, all else is the daemon's to say. Owner:
 * the first thread. ld.so(8), environ(7).
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include "heritage.h"
#include "lt.h"

struct heir {
	int fd;
	char kind;
	unsigned long long cookie;
	unsigned flow, gen, flags;
	struct lt_opts opts;
};

static struct lt_desc *new_heir(const struct heir *h)
{
	uint32_t flags = h->flags & LT_HERITAGE_FLAGS;
	struct lt_desc *d;

	if (h->kind == 'l')
		return lt_desc_new(LT_UNDECIDED, flags);
	d = lt_desc_new(LT_AWAY, flags | LT_D_SHARED);
	if (d != NULL) {
		d->flow = h->flow;
		d->gen = h->gen;
	}
	return d;
}

static void adopt(const struct heir *h)
{
	struct lt_desc *d;

	if (h->fd < 0 || (uint32_t)h->fd >= lt_ntab || h->cookie == 0 ||
		lt_cookie(h->fd) != h->cookie)
		return;
	d = lt_desc_by_cookie(h->cookie); /* those of one connection share a description */
	if (d != NULL) {
		lt_fd_put(h->fd, d);
		return;
	}
	d = new_heir(h);
	if (d == NULL)
		return;
	d->cookie = h->cookie;
	d->opts = h->opts;
	lt_fd_put(h->fd, d);
	if (h->kind == 'l')
		lt_listen_join(d, h->fd, 0);
}

/* At what follows the entry. */
static const char *read_options(const char *p, struct lt_opts *o)
{
	uint32_t words[LT_OPT_WORDS];
	unsigned size, i, v;
	int used = 0;

	lt_opts_init(o);
	memcpy(words, o, sizeof(words));
	if (sscanf(p, "/%x%n", &size, &used) != 1 || used == 0)
		return p;
	for (p += used, used = 0; sscanf(p, ",%x=%x%n", &i, &v, &used) == 2 && used != 0;
		p += used, used = 0)
		if (i < LT_OPT_WORDS)
			words[i] = v;
	if (size == sizeof(words))
		memcpy(o, words, sizeof(words));
	return p;
}

static const char *next_heir(const char *p, struct heir *h)
{
	int used = 0;

	memset(h, 0, sizeof(*h));
	if (sscanf(p, ";%d:%c:%llx:%x:%x:%x%n", &h->fd, &h->kind, &h->cookie, &h->flow, &h->gen,
		    &h->flags, &used) != 6 ||
		used == 0)
		return NULL;
	return read_options(p + used, &h->opts);
}

static void inherit_from(const char *p)
{
	unsigned long long token[2];
	uint64_t words[2];
	struct heir h;
	int used = 0;

	if (sscanf(p, "%llx.%llx%n", &token[0], &token[1], &used) != 2 || used == 0 || !lt_setup())
		return;
	words[0] = token[0];
	words[1] = token[1];
	if (lt_client_inherit(words))
		for (p += used; p != NULL && *p == ';' && (p = next_heir(p, &h)) != NULL;)
			adopt(&h);
}

/* Only a file that was sealed as ours are: a program in between, without libtas, may have closed it. */
static void inherit_from_file(int fd)
{
	struct stat st;
	char *p;

	if (lt_sys_fcntl(fd, F_GET_SEALS, 0) != LT_HERITAGE_SEALS || fstat(fd, &st) != 0 ||
		st.st_size <= 0)
		return;
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return;
	lt_sys_close(fd);
	if (p[st.st_size - 1] == '\0')
		inherit_from(p);
	munmap(p, (size_t)st.st_size);
}

/* After the other constructors: the path of the socket is known, the tables can be made. */
__attribute__((constructor(65535))) static void inherit(void)
{
	const char *p = secure_getenv(LT_HERITAGE);

	if (p != NULL && *p == '@')
		inherit_from_file(atoi(p + 1));
	else if (p != NULL)
		inherit_from(p);
	if (p != NULL)
		unsetenv(LT_HERITAGE);
	lt_received_at_start();
}
