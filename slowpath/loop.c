/*
 * loop.c - the slow path's round: wait, dispatch descriptors, take the cores' events and frames,
 * run timers.
 *
 * Every stage handles a bounded batch, so that no source starves another. Before it sleeps the loop
 * announces that to the cores and looks again (fp_prepare_sleep). There is no busy waiting: with
 * nothing to do a round comes once a second, for the heartbeat. Owner: slow path thread.
 */
#include "loop.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "net/input.h"
#include "flowctl.h"
#include "group.h"
#include "passed.h"
#include "reap.h"
#include "round.h"
#include "sp.h"
#include "tas/yield.h"

#define BATCH_EPOLL  64
#define BATCH_EVENTS 1024
#define BATCH_FRAMES 256
#define TICK_NS	     1000000000ull
#define RETRY_NS     1000000ull /* a full ring is tried again this much later */

static void drain_event_fd(struct sp *sp, struct sp_source *src, uint32_t events)
{
	uint64_t count;

	(void)sp;
	(void)events;
	if (read(src->fd, &count, sizeof(count)) < 0)
		return; /* someone else's wake-up was taken with ours */
}

int sp_loop_init(struct sp *sp)
{
	sp->fp_src.fd = sp->signal_src.fd = -1;
	sp->epfd = epoll_create1(EPOLL_CLOEXEC);
	return sp->epfd < 0 ? -errno : 0;
}

void sp_loop_free(struct sp *sp)
{
	sp_guard_free(sp);
	if (sp->epfd >= 0)
		close(sp->epfd);
	sp->epfd = -1;
}

int sp_loop_add(
	struct sp *sp, struct sp_source *src, int fd, uint32_t events, sp_source_fn *fn, void *arg)
{
	struct epoll_event ev = {.events = events, .data.ptr = src};

	if (epoll_ctl(sp->epfd, EPOLL_CTL_ADD, fd, &ev) != 0)
		return -errno;
	src->fd = fd;
	src->fn = fn;
	src->arg = arg;
	return 0;
}

static int set_events(const struct sp *sp, struct sp_source *src, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = src};

	return epoll_ctl(sp->epfd, EPOLL_CTL_MOD, src->fd, &ev) != 0 ? -errno : 0;
}

void sp_loop_rest(struct sp *sp, struct sp_source *src)
{
	uint32_t i = 0;

	while (i < SP_RESTING_MAX && sp->resting[i] != NULL && sp->resting[i] != src)
		i++;
	if (i < SP_RESTING_MAX && set_events(sp, src, 0) == 0)
		sp->resting[i] = src;
}

void sp_loop_resume(struct sp *sp)
{
	uint32_t i;

	for (i = 0; i < SP_RESTING_MAX; i++) {
		if (sp->resting[i] != NULL && set_events(sp, sp->resting[i], EPOLLIN) == 0)
			sp->resting[i] = NULL;
	}
}

static void forget_resting(struct sp *sp, const struct sp_source *src)
{
	uint32_t i;

	for (i = 0; i < SP_RESTING_MAX; i++) {
		if (sp->resting[i] == src)
			sp->resting[i] = NULL;
	}
}

void sp_loop_del(struct sp *sp, struct sp_source *src)
{
	struct epoll_event *pending = sp->pending;
	int i;

	if (src->fd < 0 || src->fn == NULL)
		return;
	epoll_ctl(sp->epfd, EPOLL_CTL_DEL, src->fd, NULL);
	src->fd = -1;
	forget_resting(sp, src);
	for (i = 0; i < sp->npending; i++) {
		if (pending[i].data.ptr == src)
			pending[i].data.ptr = NULL;
	}
}

static void dispatch(struct sp *sp, struct epoll_event *events, int n)
{
	int i;

	sp->pending = events;
	sp->npending = n;
	for (i = 0; i < n; i++) {
		struct sp_source *src = events[i].data.ptr;

		if (src != NULL)
			src->fn(sp, src, events[i].events);
	}
	sp->npending = 0;
}

/* Events before frames: a frame for a flow that has just closed must meet its TIME-WAIT record. */
static void take_from_cores(struct sp *sp)
{
	static struct fp_exc exc;
	struct fp_event ev;
	int i;

	for (i = 0; i < BATCH_EVENTS && fp_event_next(sp->fp, &ev); i++)
		sp_event_input(sp, &ev);
	for (i = 0; i < BATCH_FRAMES && fp_exc_next(sp->fp, &exc); i++)
		sp_frame_input(sp, &exc);
	sp_tap_run(sp);
}

/* Milliseconds until something is due, rounded up; never more than a tick. */
static int wait_ms(struct sp *sp)
{
	uint64_t at = sp->tick_ns + TICK_NS, timer = sp_conn_timer_next(sp),
		 look = sp_passing_next(sp);

	if (timer < at)
		at = timer;
	if (look < at)
		at = look;
	if ((sp_flow_backlogged(sp) || sp->groups_wished) && sp->now_ns + RETRY_NS < at)
		at = sp->now_ns + RETRY_NS;
	if (at <= sp->now_ns)
		return 0;
	return (int)((at - sp->now_ns + 999999) / 1000000);
}

void sp_round(struct sp *sp)
{
	take_from_cores(sp);
	sp_conn_timers(sp);
	sp_passing_run(sp);
	if (sp->now_ns - sp->tick_ns >= TICK_NS) {
		sp->tick_ns = sp->now_ns;
		sp_tick(sp);
	}
	sp_groups_run(sp);
	sp_flow_flush(sp);
	if (sp->nreaps != 0)
		sp_reap_run(sp);
}

int sp_loop_step(struct sp *sp, int timeout_ms)
{
	struct epoll_event events[BATCH_EPOLL];
	int n, err;

	sp_guard_off(sp);
	TAS_YIELD();
	n = epoll_wait(sp->epfd, events, BATCH_EPOLL, timeout_ms);
	err = n < 0 ? -errno : 0; /* at once: what follows reads an eventfd */
	TAS_YIELD();
	fp_wake_done(sp->fp);
	sp->now_ns = fp_now_ns();
	if (err != 0 && err != -EINTR)
		return err; /* EINTR: stopped and continued, or a debugger came */
	if (n > 0) {
		/* What the cores did before a program left is known before its leaving is acted
		 * upon. */
		take_from_cores(sp);
		dispatch(sp, events, n);
	}
	return n > 0 ? n : 0;
}

int sp_loop_run(struct sp *sp)
{
	int err = sp_loop_add(sp, &sp->fp_src, fp_event_fd(sp->fp), EPOLLIN, drain_event_fd, NULL);

	while (err >= 0 && !sp->stop) {
		sp->now_ns = fp_now_ns();
		sp_round(sp);
		err = sp_loop_step(
			sp, fp_prepare_sleep(sp->fp) ? 0 : TAS_PATIENCE(wait_ms(sp), -1));
	}
	sp_loop_del(sp, &sp->fp_src);
	if (err < 0)
		sp_error("start", "stopping: waiting for events failed error=\"%s\"",
			strerror(-err));
	return err < 0 ? err : 0;
}

void sp_loop_stop(struct sp *sp)
{
	sp->stop = 1;
}
