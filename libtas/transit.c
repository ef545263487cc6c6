/*
 * transit.c - see transit.h. Pipes are made when more threads splice at a time than ever before, and kept:
 * two hidden descriptors each. They wait, as O_NONBLOCK would hold for the program's pipe too: but they are
 * written only when empty, and read only for what is in them. Owner: any thread.
 */
#include "transit.h"
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/single_threaded.h>
#include "lt.h"

#define TRANSITS_MAX 256u

struct transit {
	int r, w; /* hidden, once made */
	uint32_t made;
	uint32_t room; /* of what the kernel lets a user have */
};

static struct transit transits[TRANSITS_MAX];
static uint32_t next[TRANSITS_MAX];
static struct lt_pool pool = {.max = TRANSITS_MAX, .next = next};

static bool make(struct transit *t)
{
	int p[2];

	if (lt_sys2(SYS_pipe2, p, O_CLOEXEC) < 0)
		return false;
	lt_fd_new(p[0]);
	lt_fd_new(p[1]);
	t->r = lt_hide(p[0]);
	t->w = lt_hide(p[1]);
	if (t->r >= 0 && t->w >= 0) {
		t->room = (uint32_t)lt_sys_fcntl(t->w, F_GETPIPE_SZ, 0);
		return true;
	}
	lt_unhide(t->r);
	lt_unhide(t->w);
	return false;
}

uint32_t lt_transit_get(void)
{
	uint32_t i = lt_pool_get(&pool);

	if (i == LT_NONE || transits[i].made)
		return i;
	if (make(&transits[i])) {
		transits[i].made = 1;
		return i;
	}
	lt_pool_put(&pool, i);
	return LT_NONE;
}

void lt_transit_empty(uint32_t t)
{
	uint8_t waste[4096];
	int have = 0;
	long r;

	lt_sys3(SYS_ioctl, transits[t].r, FIONREAD, &have);
	for (; have > 0; have -= (int)r) {
		r = lt_sys3(SYS_read, transits[t].r, waste,
			(size_t)have < sizeof(waste) ? (size_t)have : sizeof(waste));
		if (r <= 0)
			return;
	}
}

uint32_t lt_transit_room(uint32_t t)
{
	return transits[t].room;
}

void lt_transit_put(uint32_t t)
{
	lt_pool_put(&pool, t);
}

ssize_t lt_transit_take(uint32_t t, int from, size_t n)
{
	return lt_sys(
		SYS_splice, from, 0, transits[t].w, 0, (long)n, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
}

ssize_t lt_transit_give(uint32_t t, int to, size_t n, unsigned flags)
{
	return lt_sys(SYS_splice, transits[t].r, 0, to, 0, (long)n, (long)(flags | SPLICE_F_MOVE));
}

ssize_t lt_transit_write(uint32_t t, const struct iovec *v, int nv)
{
	return lt_sys3(SYS_writev, transits[t].w, v, nv);
}

ssize_t lt_transit_read(uint32_t t, const struct iovec *v, int nv)
{
	return lt_sys3(SYS_readv, transits[t].r, v, nv);
}

/* tee() leaves everything where it is, and is restarted after a handler as splice() is. */
static long look_in(uint32_t t, int from)
{
	int type;
	long r;

	if (__libc_single_threaded)
		return lt_sys4(SYS_tee, from, transits[t].w, 1, 0);
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type);
	r = lt_sys4(SYS_tee, from, transits[t].w, 1, 0);
	pthread_setcanceltype(type, NULL);
	return r;
}

int lt_transit_await(uint32_t t, int from)
{
	long r = look_in(t, from);

	lt_transit_empty(t);
	return r < 0 ? (int)r : 0;
}

void lt_transits_move_fd(int fd)
{
	uint32_t i;

	for (i = 0; i < pool.fresh; i++) {
		if (transits[i].made && transits[i].r == fd)
			transits[i].r = lt_hide(fd);
		if (transits[i].made && transits[i].w == fd)
			transits[i].w = lt_hide(fd);
	}
}

/* The descriptors were closed with all hidden ones of the parent. */
void lt_transits_fork_child(void)
{
	uint32_t i;

	for (i = 0; i < pool.fresh; i++) {
		transits[i].made = 0;
		next[i] = 0;
	}
	pool.fresh = 0;
	pool.head = 0;
}
