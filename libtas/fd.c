/*
 * fd.c - the table descriptor -> description, and the descriptors that libtas keeps for itself.
 *
 * The table is private and as large as RLIMIT_NOFILE can become; pages are touched only where
 * descriptors are. Reading needs no lock. An entry may be stale when the program closed a
 * descriptor behind libc's back: whoever learns of a new number corrects it (lt_fd_new), and the
 * calls that are not hot compare SO_COOKIE (lt_fd_check). Our own descriptors lie high and are
 * hidden from close, close_range and dup2. Owner: any thread.
 */
#include <sys/mman.h>
#include <sys/resource.h>
#include "lt.h"

#define TAB_MIN	  (1u << 20) /* fs.nr_open as it comes: the hard limit may be raised that far later */
#define DESCS_MIN 1024u
#define TAB_MAX	  (1u << 22)
#define DESCS_MAX (1u << 20)

/* Hidden descriptors start this far below the soft limit, and never above HIDE_MAX: the kernel's
 * own table grows with the highest number. */
#define HIDE_ROOM 160u
#define HIDE_MAX  16384u

#ifndef SO_COOKIE
#define SO_COOKIE 57
#endif

uint32_t *lt_tab;
uint32_t lt_ntab;
struct lt_desc *lt_descs;
uint32_t lt_ndescs;
uint32_t *lt_alive;
uint32_t lt_pid;

static struct lt_pool descs;
static uint32_t setup_lock, top, hide_base;

static uint32_t alive_before_setup = 1;

static bool map_tables(uint32_t n, uint32_t nd)
{
	uint32_t *next = lt_map(4ull * nd), *tab = lt_map(4ull * n);
	struct lt_desc *d = lt_map(sizeof(*d) * (uint64_t)nd);
	uint32_t *alive = lt_map(4096);

	if (next == NULL || tab == NULL || d == NULL || alive == NULL)
		return false;
	/* Without WIPEONFORK (Linux 4.14) only fork() through libc is noticed. */
	madvise(alive, 4096, MADV_WIPEONFORK);
	*alive = 1;
	lt_pool_init(&descs, next, nd);
	lt_pid = (uint32_t)lt_sys1(SYS_getpid, 0);
	lt_descs = d;
	lt_ndescs = nd;
	lt_tab = tab;
	tas_store_rel(&lt_alive, alive);
	tas_store_rel(&lt_ntab, n);
	return true;
}

static void choose_sizes(uint32_t *n, uint32_t *nd)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) != 0)
		rl.rlim_max = rl.rlim_cur = DESCS_MIN;
	*n = rl.rlim_max > TAB_MAX ? TAB_MAX : (uint32_t)rl.rlim_max;
	*nd = *n > DESCS_MAX ? DESCS_MAX : *n;
	*nd = *nd < DESCS_MIN ? DESCS_MIN : *nd;
	*n = *n < TAB_MIN ? TAB_MIN : *n;
	hide_base = rl.rlim_cur > HIDE_MAX ? HIDE_MAX : (uint32_t)rl.rlim_cur;
	hide_base = hide_base > 4 * HIDE_ROOM ? hide_base - HIDE_ROOM : hide_base / 2;
}

bool lt_setup(void)
{
	uint64_t mask;
	uint32_t n, nd;
	bool ok = true;

	if (tas_load_acq(&lt_ntab) != 0)
		return true;
	lt_lock_masked(&setup_lock, &mask);
	if (lt_ntab == 0) {
		choose_sizes(&n, &nd);
		ok = map_tables(n, nd);
	}
	lt_unlock_masked(&setup_lock, &mask);
	return ok;
}

__attribute__((constructor)) static void before_setup(void)
{
	if (lt_alive == NULL)
		lt_alive = &alive_before_setup;
}

uint32_t lt_fd_top(void)
{
	return tas_load(&top);
}

/* A child that fork() did not tell (clone, or a libc fork we do not see) finds out here. */
struct lt_desc *lt_fd_mine(int fd)
{
	uint32_t v;

	lt_fork_noticed();
	v = tas_load_acq(&lt_tab[fd]);
	return v == 0 || v == LT_TAB_HIDDEN ? NULL : &lt_descs[v - 1];
}

uint64_t lt_cookie(int fd)
{
	uint64_t cookie = 0;
	unsigned len = sizeof(cookie);

	if (lt_sys_getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) < 0)
		return 0;
	return cookie;
}

/* An accepted connection's cookie is fetched by the first call that checks it: accept() saves the
 * system call. */
struct lt_desc *lt_fd_check(int fd)
{
	struct lt_desc *d = lt_fd_get(fd);
	uint64_t cookie;

	if (d == NULL || d->kind == LT_EPOLL)
		return d;
	cookie = lt_cookie(fd);
	if (d->cookie == 0)
		d->cookie = cookie;
	if (cookie != d->cookie) {
		lt_fd_drop(fd);
		return NULL;
	}
	lt_home(d);
	return d;
}

struct lt_desc *lt_desc_by_cookie(uint64_t cookie)
{
	uint32_t fd, n = lt_fd_top();
	struct lt_desc *d;

	for (fd = 0; fd < n; fd++) {
		d = lt_fd_get((int)fd);
		if (d != NULL && d->cookie == cookie)
			return d;
	}
	return NULL;
}

struct lt_desc *lt_desc_new(uint32_t kind, uint32_t flags)
{
	uint32_t i = lt_pool_get(&descs), life;
	struct lt_desc *d;

	if (i == LT_NONE)
		return NULL;
	d = &lt_descs[i];
	life = tas_load(&d->life);
	memset(d, 0, sizeof(*d));
	d->life = life;
	d->flags = flags;
	d->slot = LT_NONE;
	d->evq_mask = 1;
	lt_opts_init(&d->opts);
	tas_store_rel(&d->kind, kind);
	return d;
}

void lt_desc_free(struct lt_desc *d)
{
	tas_store_rel(&d->kind, (uint32_t)LT_FREE);
	lt_pool_put(&descs, lt_desc_index(d));
}

static void raise_top(uint32_t fd)
{
	uint32_t t = tas_load(&top);

	while (fd >= t && !tas_cas(&top, &t, fd + 1))
		;
}

void lt_fd_put(int fd, struct lt_desc *d)
{
	tas_fetch_add(&d->refs, 1u);
	raise_top((uint32_t)fd);
	tas_store_rel(&lt_tab[fd], lt_desc_index(d) + 1);
	if (lt_unlikely(fd <= 2) && d->kind != LT_EPOLL)
		lt_stdio_follow(fd);
}

/* The last descriptor of this process is gone. */
static void last_close(struct lt_desc *d)
{
	lt_epoll_forget(d);
	switch (d->kind) {
	case LT_CONN:
		lt_conn_close(d);
		break;
	case LT_AWAY:
		lt_share_close(d);
		break;
	case LT_LISTEN:
		lt_listen_close(d);
		break;
	case LT_EPOLL:
		lt_epoll_close(d);
		break;
	default:
		break;
	}
	lt_desc_free(d);
}

bool lt_desc_hold(struct lt_desc *d)
{
	uint32_t n = tas_load(&d->refs);

	while (n != 0)
		if (tas_cas(&d->refs, &n, n + 1))
			return true;
	return false;
}

void lt_desc_let_go(struct lt_desc *d)
{
	if (tas_fetch_add(&d->refs, ~0u) != 1)
		return;
	if (lt_unlikely(lt_conn_busy(d))) { /* the call below still uses it */
		tas_store(&d->refs, 1u);
		tas_fetch_or(&d->late, LT_LATE_CLOSE);
		return;
	}
	last_close(d);
}

void lt_fd_drop(int fd)
{
	uint32_t v;

	if ((uint32_t)fd >= lt_ntab)
		return;
	lt_look_alive();
	v = tas_xchg(&lt_tab[fd], 0u);
	if (v == 0 || v == LT_TAB_HIDDEN)
		return;
	lt_desc_let_go(&lt_descs[v - 1]);
}

void lt_fd_new(int fd)
{
	if ((uint32_t)fd < tas_load(&lt_ntab) && tas_load(&lt_tab[fd]) != 0)
		lt_fd_drop(fd);
}

void lt_to_kernel(struct lt_desc *d, int fd)
{
	uint32_t want = lt_desc_index(d) + 1, i, n = lt_fd_top(), was = want;
	uint32_t left; /* another thread may be closing fd */

	lt_epoll_moved(d, fd);
	left = tas_cas(&lt_tab[fd], &was, 0u) ? 1 : 0;
	if (tas_load(&d->refs) > left) {
		for (i = 0; i < n; i++) {
			if (tas_load(&lt_tab[i]) != want)
				continue;
			tas_store(&lt_tab[i], 0u);
			left++;
		}
	}
	tas_store_rel(&d->kind, (uint32_t)LT_FREE);
	if (left != 0 && tas_fetch_add(&d->refs, -left) == left)
		lt_desc_free(d); /* else: who holds it does */
}

int lt_hide_copy(int fd)
{
	long high = lt_sys_fcntl(fd, F_DUPFD_CLOEXEC, hide_base);

	if (high < 0)
		high = lt_sys_fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (high < 0)
		return (int)high;
	if ((uint32_t)high >= lt_ntab) {
		lt_sys_close((int)high);
		return -EMFILE;
	}
	lt_fd_new((int)high);
	raise_top((uint32_t)high);
	tas_store_rel(&lt_tab[high], LT_TAB_HIDDEN);
	return (int)high;
}

int lt_hide(int fd)
{
	int high = lt_hide_copy(fd);

	lt_sys_close(fd);
	return high;
}

void lt_unhide(int fd)
{
	if (fd < 0)
		return;
	tas_store(&lt_tab[fd], 0u);
	lt_sys_close(fd);
}

bool lt_hidden(int fd)
{
	return (uint32_t)fd < tas_load(&lt_ntab) && tas_load(&lt_tab[fd]) == LT_TAB_HIDDEN;
}
