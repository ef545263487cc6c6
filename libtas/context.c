/*
 * context.c - maps the region of a registration; slots, send chunks, receive chunks offered to the
 * daemon.
 *
 * The daemon is trusted to be right but the header is checked all the same: another version of it
 * may answer. Mappings do not go to a fork child (MADV_DONTFORK): it makes its own. Owner: any
 * thread. memfd_create(2), madvise(2).
 */
#include "context.h"
#include <sys/mman.h>
#include <sys/stat.h>
#include "lt.h"
#include "transit.h"

#define REAP_MIN 64u

static struct lt_ctx *current;
static uint32_t open_lock;

struct lt_ctx *lt_context(void)
{
	lt_look_alive();
	return tas_load_acq(&current);
}

static void *map_fd(int fd, uint64_t bytes, int prot)
{
	struct stat st;
	void *p;

	if (fstat(fd, &st) != 0 || (uint64_t)st.st_size < bytes || bytes == 0)
		return NULL;
	p = mmap(NULL, bytes, prot, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return NULL;
	madvise(p, bytes, MADV_DONTFORK);
	return p;
}

/* An array of n * size bytes at off lies within the segment. */
static bool inside(uint64_t total, uint64_t off, uint64_t n, uint64_t size)
{
	return off % 8 == 0 && off <= total && n * size <= total - off;
}

static bool header_ok(const struct tas_region *r, uint64_t bytes)
{
	uint64_t words = (uint64_t)r->nsegs_max * TAS_SEG_CHUNKS;

	if (r->magic != TAS_REGION_MAGIC || r->abi_major != TAS_ABI_MAJOR || r->bytes > bytes)
		return false;
	if (r->nslots == 0 || r->nslots % 64 != 0 || r->nslots > TAS_BELL_MAX_SLOTS)
		return false;
	if (r->ncores == 0 || r->ncores > TAS_MAX_CORES || r->nevq == 0 || r->nevq > TAS_MAX_EVQ)
		return false;
	if (r->nsegs_max == 0 || r->nsegs_max > TAS_MAX_SEGS ||
		r->bell_bytes < tas_bell_size(r->nslots))
		return false;
	return inside(bytes, r->off_slots, r->nslots, sizeof(struct tas_sock)) &&
	       inside(bytes, r->off_tobells, r->ncores, r->bell_bytes) &&
	       inside(bytes, r->off_evqs, r->nevq, r->bell_bytes) &&
	       inside(bytes, r->off_rxnext, words, 4) && inside(bytes, r->off_txnext, words, 4) &&
	       inside(bytes, r->off_offer, words / 64, 8) &&
	       (r->off_explain == 0 || inside(bytes, r->off_explain, r->nexplain, 8));
}

static void copy_header(struct lt_ctx *c)
{
	char *base = (char *)c->region;
	const struct tas_region *r = c->region;

	c->nslots = r->nslots;
	c->ncores = r->ncores;
	c->nevq = r->nevq;
	c->nsegs_max = r->nsegs_max;
	c->bell_bytes = r->bell_bytes;
	c->socks = (struct tas_sock *)(base + r->off_slots);
	c->tobells = base + r->off_tobells;
	c->evqs = base + r->off_evqs;
	c->rxnext = (uint32_t *)(base + r->off_rxnext);
	c->txnext = (uint32_t *)(base + r->off_txnext);
	c->offer = (uint64_t *)(base + r->off_offer);
	c->explain = r->off_explain != 0 ? (uint64_t *)(base + r->off_explain) : NULL;
	c->nexplain = r->nexplain;
}

static bool make_lists(struct lt_ctx *c)
{
	uint32_t chunks = c->nsegs_max * TAS_SEG_CHUNKS;
	uint32_t *slot_next = lt_map(4ull * c->nslots), *chunk_next = lt_map(4ull * chunks);

	c->slot_desc = lt_map(4ull * c->nslots);
	c->slot_gen = lt_map(4ull * c->nslots);
	c->starved = lt_map(tas_bell_size(c->nslots));
	if (slot_next == NULL || chunk_next == NULL || c->slot_desc == NULL ||
		c->slot_gen == NULL || c->starved == NULL)
		return false;
	lt_pool_init(&c->slots, slot_next, c->nslots);
	lt_pool_init(&c->closing, slot_next, 0);
	lt_pool_init(&c->chunks, chunk_next, 0);
	return true;
}

struct lt_ctx *lt_context_open(
	const struct tas_msg *reply, int *fds, uint32_t nfds, int sock, uint32_t app)
{
	struct lt_ctx *c = lt_map(sizeof(*c));
	uint32_t i;

	if (c == NULL || nfds < 3)
		return NULL;
	c->region = map_fd(fds[0], reply->len, PROT_READ | PROT_WRITE);
	c->info = map_fd(fds[1], sizeof(struct tas_info), PROT_READ);
	if (c->region == NULL || c->info == NULL || !header_ok(c->region, reply->len))
		return NULL;
	if (c->info->magic != TAS_INFO_MAGIC || c->info->abi_major != TAS_ABI_MAJOR)
		return NULL;
	copy_header(c);
	if (nfds - 2 < c->ncores || !make_lists(c))
		return NULL;
	for (i = 0; i < TAS_MAX_EVQ; i++)
		c->evq_fd[i] = -1;
	for (i = 0; i < c->ncores; i++)
		c->core_fd[i] = lt_hide(fds[2 + i]);
	for (; i + 2 < nfds; i++)
		lt_sys_close(fds[2 + i]);
	c->app = app;
	c->sock = sock;
	c->evq_used = 1;
	return c;
}

/* REGION, queue 0 and the first receive chunks. Under open_lock. */
static struct lt_ctx *open_region(void)
{
	struct tas_msg m = {.type = TAS_CMD_REGION};
	int fds[TAS_MAX_CORES + 2];
	uint32_t nfds = TAS_MAX_CORES + 2, i;
	struct lt_ctx *c;

	if (lt_command(&m, -1, fds, &nfds) < 0)
		return NULL;
	c = lt_context_open(&m, fds, nfds, lt_client_sock(), lt_client_app());
	for (i = 0; i < nfds && i < 2; i++)
		lt_sys_close(fds[i]);
	if (c == NULL)
		return NULL;
	tas_store_rel(&current, c);
	lt_explain_open(c->explain, c->nexplain);
	lt_queue_register(c, 0);
	lt_rx_offer_slow(c);
	return c;
}

struct lt_ctx *lt_context_get(void)
{
	struct lt_ctx *c = lt_context();
	uint64_t mask;

	if (c != NULL || !lt_client_ready())
		return c;
	lt_lock_masked(&open_lock, &mask);
	c = lt_context();
	if (c == NULL)
		c = open_region();
	lt_unlock_masked(&open_lock, &mask);
	return c;
}

static void move_fd(int *var, int from)
{
	if (*var == from)
		*var = lt_hide(from);
}

void lt_context_move_fd(int fd)
{
	struct lt_ctx *c = lt_context();
	uint32_t i;

	tas_store(&lt_tab[fd], 0u);
	lt_client_move_fd(fd);
	lt_sleepers_move_fd(fd);
	lt_transits_move_fd(fd);
	lt_report_move_fd(fd);
	for (i = 0; c != NULL && i < c->ncores; i++)
		move_fd(&c->core_fd[i], fd);
	for (i = 0; c != NULL && i < TAS_MAX_EVQ; i++)
		move_fd(&c->evq_fd[i], fd);
}

/* Every socket fails as with a dead peer; nobody else writes these fields any more. */
void lt_context_died(struct lt_ctx *c)
{
	uint32_t i, n = tas_load(&c->slots.fresh);

	for (i = 0; i < n; i++) {
		struct tas_sock *s = &c->socks[i];
		uint32_t v = tas_load(&c->slot_desc[i]);
		struct lt_desc *d = v != 0 ? &lt_descs[v - 1] : NULL;

		if (d == NULL || d->kind != LT_CONN || d->ctx != c)
			continue;
		if (!(tas_load(&s->state) & TAS_SOCK_ERROR) || s->gen != d->gen) {
			lt_explain(TAS_X_service_lost);
			tas_store(&s->error, (uint32_t)ECONNRESET);
			tas_store_rel(&s->state, TAS_SOCK_ERROR | TAS_SOCK_FREE);
			tas_store_rel(&s->gen, d->gen);
		}
		tas_fetch_add(&s->wake, 1u);
		lt_sys_futex_wake(&s->wake, INT32_MAX, 0);
		tas_bell_ring(lt_evq_bell(c, 0), i);
	}
	for (i = 0; i < c->nevq; i++)
		if (c->evq_fd[i] >= 0)
			lt_sys_kick(c->evq_fd[i]);
}

void lt_context_drop(void)
{
	struct lt_ctx *c = lt_context();

	if (c == NULL)
		return;
	tas_store_rel(&current, (struct lt_ctx *)NULL);
	tas_store_rel(&c->dead, 1u);
	lt_explain_close();
	lt_context_died(c);
}

/* In a fork child: the mappings are gone, the parent's descriptors are of no use. */
void lt_context_fork_child(void)
{
	struct lt_ctx *c = current;
	uint32_t i;

	current = NULL;
	open_lock = 0;
	if (c == NULL)
		return;
	c->dead = 1;
	for (i = 0; i < c->ncores; i++)
		lt_unhide(c->core_fd[i]);
	for (i = 0; i < TAS_MAX_EVQ; i++)
		lt_unhide(c->evq_fd[i]);
}

void lt_slot_reset(struct tas_sock *s)
{
	memset(&s->rx_tail, 0, 2 * TAS_CACHELINE);
	s->tx_first_chunk = TAS_CHUNK_NONE;
	s->rx_chunk = s->tx_chunk = s->tx_old_chunk = TAS_CHUNK_NONE;
	tas_store(&s->waiters, 0u);
}

/*
 * Closed slots whose flow the daemon has let go become free, and their send chunks with them; of the
 * others those that were acknowledged.
 * Looked at once per REAP_MIN allocations, or as many as the last look left over: the work per
 * connection stays constant, and so does what closed connections hold.
 */
void lt_slot_reap(struct lt_ctx *c)
{
	uint32_t i = lt_pool_take_all(&c->closing), next, left = 0;

	for (; i != LT_NONE; i = next) {
		struct tas_sock *s = &c->socks[i];

		next = lt_pool_after(&c->closing, i);
		if (tas_load_acq(&s->gen) == c->slot_gen[i] &&
			(tas_load(&s->state) & TAS_SOCK_FREE)) {
			lt_tx_drop(c, s);
			lt_pool_put(&c->slots, i);
		} else {
			lt_tx_release(c, s, c->slot_gen[i]);
			lt_pool_put(&c->closing, i);
			left++;
		}
	}
	tas_store(&c->reap_left, left);
}

uint32_t lt_slot_get(struct lt_ctx *c, uint32_t desc)
{
	uint32_t slot;

	if (tas_fetch_add(&c->reap_due, 1u) >= REAP_MIN + tas_load(&c->reap_left)) {
		tas_store(&c->reap_due, 0u);
		lt_slot_reap(c);
	}
	slot = lt_pool_get(&c->slots);
	if (slot == LT_NONE) {
		lt_slot_reap(c);
		slot = lt_pool_get(&c->slots);
	}
	if (slot != LT_NONE)
		tas_store_rel(&c->slot_desc[slot], desc + 1);
	return slot;
}

void lt_slot_put(struct lt_ctx *c, uint32_t slot, uint32_t gen)
{
	tas_store_rel(&c->slot_desc[slot], 0u);
	if (gen == 0) {
		lt_pool_put(&c->slots, slot);
		return;
	}
	c->slot_gen[slot] = gen;
	lt_pool_put(&c->closing, slot);
}
