/*
 * region.c - memory shared with a program: control segment, read-only page, chunk segments, wake-up
 * descriptors.
 *
 * All are memfds sealed against resizing, so that a mapping of ours cannot lose its end. The page
 * is also sealed against writing by anybody but the mapping made here. Sizes and offsets that the
 * cores use are the private copies in struct fp_app; those in the region are for the program.
 * Owner: slow path thread. Layout: include/tas/region.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#include "alloc.h"
#include "app_internal.h"
#include "net/internal.h"
#include "tas/explain.h"

#define PAGE 4096u

#define EXPLAIN_BYTES (TAS_EXPLAIN_MAX * sizeof(uint64_t))

_Static_assert(EXPLAIN_BYTES % PAGE == 0, "whole pages");

static uint64_t align(uint64_t v, uint64_t to)
{
	return (v + to - 1) & ~(to - 1);
}

static int make_memfd(const char *name, uint64_t bytes)
{
	int fd = fp_memfd(name, MFD_ALLOW_SEALING, bytes);

	return fd < 0 ? -errno : fd;
}

/* A sealed, mapped memfd: its descriptor, or -errno. */
static int make_mapped(const char *name, uint64_t bytes, int extra_seals, void **map)
{
	int fd = make_memfd(name, bytes), err;

	if (fd < 0)
		return fd;
	*map = fp_map_fd(fd, bytes, MAP_NORESERVE);
	if (*map != NULL && fcntl(fd, F_ADD_SEALS,
				    F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | extra_seals) == 0)
		return fd;
	err = -errno;
	if (*map != NULL)
		munmap(*map, bytes);
	*map = NULL;
	close(fd);
	return err;
}

static void *private_array(uint64_t count)
{
	return fp_pages(align(count * sizeof(uint32_t), PAGE));
}

static void free_array(void *p, uint64_t count)
{
	if (p != NULL)
		munmap(p, align(count * sizeof(uint32_t), PAGE));
}

static uint64_t chunks_of(const struct fp_app *fa)
{
	return (uint64_t)fa->nsegs_max * TAS_SEG_CHUNKS;
}

/* Where everything lies; returns the size of the control segment. The counters of explain.h are its
 * last part. */
static uint64_t lay_out(struct fp_app *fa)
{
	uint64_t at = sizeof(struct tas_region);

	fa->bell_bytes = tas_bell_size(fa->nslots);
	fa->off_slots = align(at, PAGE);
	at = fa->off_slots + (uint64_t)fa->nslots * sizeof(struct tas_sock);
	fa->off_tobells = align(at, PAGE);
	at = fa->off_tobells + fa->bell_bytes * fa->ncores;
	fa->off_evqs = align(at, PAGE);
	at = fa->off_evqs + fa->bell_bytes * fa->nevq;
	fa->off_rxnext = align(at, PAGE);
	at = fa->off_rxnext + chunks_of(fa) * sizeof(uint32_t);
	fa->off_txnext = align(at, PAGE);
	at = fa->off_txnext + chunks_of(fa) * sizeof(uint32_t);
	fa->off_offer = align(at, PAGE);
	at = fa->off_offer + chunks_of(fa) / 8;
	return align(at, PAGE) + EXPLAIN_BYTES;
}

static void describe(const struct fp_app *fa, uint64_t bytes)
{
	struct tas_region *r = fa->region;

	r->magic = TAS_REGION_MAGIC;
	r->abi_major = TAS_ABI_MAJOR;
	r->abi_minor = TAS_ABI_MINOR;
	r->bytes = bytes;
	r->app = fa->id;
	r->nslots = fa->nslots;
	r->ncores = fa->ncores;
	r->nevq = fa->nevq;
	r->nsegs_max = fa->nsegs_max;
	r->off_slots = fa->off_slots;
	r->off_tobells = fa->off_tobells;
	r->off_evqs = fa->off_evqs;
	r->off_rxnext = fa->off_rxnext;
	r->off_txnext = fa->off_txnext;
	r->off_offer = fa->off_offer;
	r->bell_bytes = fa->bell_bytes;
	r->off_explain = bytes - EXPLAIN_BYTES;
	r->nexplain = TAS_EXPLAIN_MAX;
}

void sp_region_policy(const struct sp *sp, struct tas_info *info)
{
	tas_store(&info->policy,
		TAS_POLICY_KNOWN |
			(sp->apps.draining ? 0 : TAS_POLICY_CONNECT | TAS_POLICY_LISTEN));
}

static void fill_page(const struct sp *sp, struct tas_info *info)
{
	info->magic = TAS_INFO_MAGIC;
	info->abi_major = TAS_ABI_MAJOR;
	info->abi_minor = TAS_ABI_MINOR;
	memcpy(info->boot_id, sp->boot_id, sizeof(info->boot_id));
	info->epoch = sp->epoch;
	info->heartbeat = sp->now_ns;
	info->ncores = sp->ncores;
	info->tsc_hz = fp_tsc_hz();
	sp_region_policy(sp, info);
	sp_net_publish(sp, info);
}

static int make_eventfds(struct fp_app *fa)
{
	uint32_t i;

	for (i = 0; i < fa->ncores; i++) {
		fa->core_fd[i] = fp_eventfd();
		if (fa->core_fd[i] < 0)
			return -errno;
	}
	return 0;
}

static void start_record(const struct sp *sp, const struct sp_app *app, struct fp_app *fa)
{
	uint32_t i;

	memset(fa, 0, sizeof(*fa));
	fa->id = app->id;
	fa->pid = app->pid;
	fa->nslots = (sp->conf.program_slots + 63) / 64 * 64;
	fa->ncores = sp->ncores;
	fa->nevq = sp->conf.event_queues;
	fa->nsegs_max = (uint32_t)(((uint64_t)sp->conf.program_memory_max << 20) / TAS_SEG_BYTES);
	if (fa->nsegs_max > TAS_MAX_SEGS)
		fa->nsegs_max = TAS_MAX_SEGS;
	for (i = 0; i < TAS_MAX_CORES; i++)
		fa->core_fd[i] = -1;
	for (i = 0; i < TAS_MAX_EVQ; i++)
		fa->evq_fd[i] = -1;
}

int sp_region_create(struct sp *sp, struct sp_app *app, struct sp_region_fds *fds)
{
	struct fp_app *fa = fp_app(sp->fp, app->id);
	void *map = NULL;
	int err;

	start_record(sp, app, fa);
	fa->region_bytes = lay_out(fa);
	fa->info_bytes = align(sizeof(struct tas_info), PAGE);
	fds->control = fds->page = -1;
	fds->control = err = make_mapped("tas-region", fa->region_bytes, 0, &map);
	if (err < 0)
		goto fail;
	fa->region = map;
	fds->page = err = make_mapped("tas-info", fa->info_bytes, F_SEAL_FUTURE_WRITE, &map);
	if (err < 0)
		goto fail;
	fa->info = map;
	err = make_eventfds(fa);
	if (err < 0)
		goto fail;
	fa->slot_flow = private_array(fa->nslots);
	fa->rx_next = private_array(chunks_of(fa));
	app->slot_conn = private_array(fa->nslots);
	err = -ENOMEM;
	if (fa->slot_flow == NULL || fa->rx_next == NULL || app->slot_conn == NULL)
		goto fail;
	describe(fa, fa->region_bytes);
	fa->explain = (uint64_t *)(void *)((char *)fa->region + fa->region_bytes - EXPLAIN_BYTES);
	fill_page(sp, fa->info);
	return 0;
fail:
	if (fds->control >= 0)
		close(fds->control);
	if (fds->page >= 0)
		close(fds->page);
	sp_region_destroy(sp, app);
	return err;
}

int sp_region_segment(struct sp *sp, struct sp_app *app, int *fd)
{
	struct fp_app *fa = fp_app(sp->fp, app->id);
	void *map = NULL;

	if (fa->nsegs >= fa->nsegs_max)
		return -ENOBUFS;
	*fd = make_mapped("tas-segment", TAS_SEG_BYTES, 0, &map);
	if (*fd < 0)
		return *fd;
	fa->seg[fa->nsegs] = map;
	app->seg_bytes += TAS_SEG_BYTES;
	tas_store_rel(&fa->nsegs, fa->nsegs + 1); /* pairs with the cores' acquire of nsegs */
	return (int)fa->nsegs - 1;
}

static void close_all(int *fds, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}

void sp_region_destroy(struct sp *sp, struct sp_app *app)
{
	struct fp_app *fa = fp_app(sp->fp, app->id);
	uint32_t i;

	close_all(fa->core_fd, TAS_MAX_CORES);
	close_all(fa->evq_fd, TAS_MAX_EVQ);
	for (i = 0; i < fa->nsegs; i++)
		munmap(fa->seg[i], TAS_SEG_BYTES);
	if (fa->region != NULL)
		munmap(fa->region, fa->region_bytes);
	if (fa->info != NULL)
		munmap(fa->info, fa->info_bytes);
	free_array(fa->slot_flow, fa->nslots);
	free_array(app->slot_conn, fa->nslots);
	free_array(fa->rx_next, chunks_of(fa));
	app->slot_conn = NULL;
	app->seg_bytes = 0;
	memset(fa, 0, sizeof(*fa));
}

static int within(const void *p, const void *start, uint64_t bytes)
{
	return start != NULL && (const char *)p >= (const char *)start &&
	       (const char *)p < (const char *)start + bytes;
}

/* Only what is never freed is looked at: the slow path may be at work meanwhile. */
uint32_t sp_region_at(struct sp *sp, const void *p)
{
	uint32_t id, i;

	for (id = 1; id < FP_MAX_APPS; id++) {
		const struct fp_app *fa = fp_app(sp->fp, id);

		if (fa->region == NULL)
			continue;
		if (within(p, fa->region, fa->region_bytes) || within(p, fa->info, fa->info_bytes))
			return id;
		for (i = 0; i < fa->nsegs; i++) {
			if (within(p, fa->seg[i], TAS_SEG_BYTES))
				return id;
		}
	}
	return 0;
}
