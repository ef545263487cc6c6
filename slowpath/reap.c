/*
 * reap.c - deferred close and munmap (see reap.h, fp_grace_start). Owner: slow path thread.
 */
#include "reap.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "alloc.h"
#include "sp.h"

struct sp_reap {
	struct sp_reap *next;
	struct fp_grace grace;
	void *map; /* NULL: fd */
	uint64_t bytes;
	int fd;
};

static void release(struct sp_reap *r)
{
	if (r->map != NULL)
		munmap(r->map, r->bytes);
	else
		close(r->fd);
	free(r);
}

static void add(struct sp *sp, int fd, void *map, uint64_t bytes)
{
	struct sp_reap *r = fp_calloc(1, sizeof(*r));

	if (r == NULL)
		return; /* kept for good: a core may be using it */
	r->fd = fd;
	r->map = map;
	r->bytes = bytes;
	fp_grace_start(sp->fp, &r->grace);
	r->next = sp->reaps;
	sp->reaps = r;
	sp->nreaps++;
}

void sp_reap_fd(struct sp *sp, int fd)
{
	add(sp, fd, NULL, 0);
}

void sp_reap_map(struct sp *sp, void *p, uint64_t bytes)
{
	add(sp, -1, p, bytes);
}

int sp_reap_room(struct sp *sp)
{
	if (sp->nreaps >= SP_REAPS_MAX)
		sp_reap_run(sp);
	return sp->nreaps < SP_REAPS_MAX;
}

void sp_reap_run(struct sp *sp)
{
	struct sp_reap **p = &sp->reaps;

	while (*p != NULL) {
		struct sp_reap *r = *p;

		if (!fp_grace_over(sp->fp, &r->grace)) {
			p = &r->next;
			continue;
		}
		*p = r->next;
		sp->nreaps--;
		release(r);
	}
}

void sp_reap_all(struct sp *sp)
{
	while (sp->reaps != NULL) {
		struct sp_reap *r = sp->reaps;

		sp->reaps = r->next;
		release(r);
	}
	sp->nreaps = 0;
}
