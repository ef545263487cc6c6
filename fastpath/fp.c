/*
 * fp.c - the fast path as the slow path sees it (fp.h) once it is made (create.c): threads,
 * messages, events, sleeping. Owner: slow path thread.
 */
#include <errno.h>
#include <unistd.h>
#include "core.h"
#include "place.h"
#include "tas/yield.h"

int fp_start(struct fp *fp)
{
	uint32_t i;
	int err;

	for (i = 0; i < fp->ncores; i++) {
		struct fp_core *core = &fp->cores[i];

		core->stop = 0;
		err = pthread_create(&core->thread, NULL, fp_core_main, core);
		if (err) {
			fp_stop(fp);
			return -err;
		}
		core->started = 1;
	}
	return 0;
}

static void stop_core(struct fp_core *core)
{
	tas_store_rel(&core->stop, 1u);
	TAS_YIELD();
	fp_core_wake(core);
	pthread_join(core->thread, NULL);
	core->started = 0;
}

void fp_stop(struct fp *fp)
{
	uint32_t i;

	for (i = 0; i < fp->ncores; i++)
		if (fp->cores[i].started)
			stop_core(&fp->cores[i]);
}

struct fp_app *fp_app(struct fp *fp, uint32_t id)
{
	return id < FP_MAX_APPS ? &fp->apps[id] : NULL;
}

int fp_send(struct fp *fp, uint32_t core, const struct sp_msg *m)
{
	struct fp_core *to = &fp->cores[core];
	struct fp_app_core *ac = NULL;
	struct sp_msg *slot;

	if (spsc_room(&to->msgs) == 0)
		return -EAGAIN;
	if (m->type == SP_APP_ADD) {
		ac = fp_app_share(&fp->apps[m->id]);
		if (!ac)
			return -ENOMEM;
	} else if (m->type == SP_APP_DEL) {
		tas_xchg(&fp->apps[m->id].ending, 1u); /* J1 */
	}
	slot = spsc_put(&to->msgs);
	*slot = *m;
	if (ac)
		slot->u.words[0] = (uintptr_t)ac; /* the core's from now on */
	spsc_publish(&to->msgs);
	TAS_YIELD();
	fp_core_wake(to);
	return 0;
}

int fp_event_next(struct fp *fp, struct fp_event *ev)
{
	uint32_t i;

	for (i = 0; i < fp->ncores; i++) {
		struct spsc *r = &fp->cores[fp->next_event].events;
		const struct fp_event *e = spsc_peek(r);

		fp->next_event = (fp->next_event + 1) % fp->ncores;
		if (!e)
			continue;
		*ev = *e;
		spsc_drop(r);
		if (ev->type == FP_EV_APP_GONE)
			fp_app_unshare(&fp->apps[ev->id]);
		return 1;
	}
	return 0;
}

int fp_exc_next(struct fp *fp, struct fp_exc *out)
{
	uint32_t n = fp->ncores * FP_EXC_CLASSES, i;

	for (i = 0; i < n; i++) {
		uint32_t at = fp->next_exc;
		struct spsc *r = &fp->cores[at / FP_EXC_CLASSES].exc[at % FP_EXC_CLASSES];
		const struct fp_exc *e = spsc_peek(r);

		fp->next_exc = (at + 1) % n;
		if (!e)
			continue;
		memcpy(out, e, offsetof(struct fp_exc, data) + e->cap);
		spsc_drop(r);
		return 1;
	}
	return 0;
}

int fp_event_fd(struct fp *fp)
{
	return fp->event_fd;
}

int fp_prepare_sleep(struct fp *fp)
{
	uint32_t i, cls;

	TAS_YIELD();
	tas_store(&fp->sp_sleeping, 1);
	tas_full_barrier(); /* pairs with E1 */
	TAS_YIELD();
	if (fp_move_news(fp))
		return 1;
	for (i = 0; i < fp->ncores; i++) {
		if (spsc_pending(&fp->cores[i].events) ||
			fp_forward_pending(&fp->cores[i].to_kernel))
			return 1;
		for (cls = 0; cls < FP_EXC_CLASSES; cls++)
			if (spsc_pending(&fp->cores[i].exc[cls]))
				return 1;
	}
	return 0;
}

void fp_wake_done(struct fp *fp)
{
	uint64_t count;

	tas_store(&fp->sp_sleeping, 0);
	TAS_YIELD();
	if (read(fp->event_fd, &count, sizeof(count)) < 0)
		return; /* nothing was written */
}

void fp_neigh_set(struct fp *fp, uint16_t neigh, uint64_t word)
{
	if (neigh < FP_MAX_NEIGH)
		tas_store(&fp->neigh[neigh], word);
}

int fp_tx_frame(struct fp *fp, const struct nic_txpkt *p)
{
	int n;

	if (memcmp(p->hdr, fp->caps->mac, 6) == 0)
		return fp_loop_frame(fp, p);
	n = nic_tx(fp->nic, fp->ncores, p, 1);
	return n == 1 ? 0 : n < 0 ? n : -EAGAIN;
}

/* L1: pairs with the full barrier in take.c: a core has either seen NULL or is waited for. */
void fp_listener_set(struct fp *fp, uint32_t l, struct tas_listen *seg)
{
	uint32_t i;

	if (l >= FP_MAX_LISTENERS)
		return;
	tas_store_rel(&fp->listeners[l], seg);
	if (seg)
		return;
	tas_full_barrier();
	for (i = 0; i < fp->ncores; i++)
		while (tas_load_acq(&fp->cores[i].reading) == l + 1)
			tas_cpu_relax();
}

void fp_grace_start(struct fp *fp, struct fp_grace *g)
{
	uint32_t i;

	tas_full_barrier(); /* pairs with W3 in core_sleep */
	for (i = 0; i < fp->ncores; i++)
		g->loops[i] = tas_load_acq(&fp->cores[i].cnt.loops);
}

int fp_grace_over(struct fp *fp, const struct fp_grace *g)
{
	uint32_t i;

	for (i = 0; i < fp->ncores; i++) {
		const struct fp_core *core = &fp->cores[i];

		/* The round under way at the snapshot has ended when the counter has moved. */
		if (core->started && tas_load_acq(&core->cnt.loops) == g->loops[i] &&
			!tas_load_acq(&core->sleeping))
			return 0;
	}
	return 1;
}

const struct tas_fp_counters *fp_counters(struct fp *fp, uint32_t core)
{
	return &fp->cores[core].cnt;
}

/* One word says both when it fell asleep and how long it had slept before, so that no sleep counts
 * twice or not at all when it ends just now. */
uint64_t fp_slept_ns(const struct fp *fp, uint32_t core)
{
	uint64_t slept = tas_load_acq(&fp->cores[core].slept);

	if (!(slept & FP_ASLEEP))
		return slept;
	slept = (slept + fp_now_ns()) & ~FP_ASLEEP;
	return slept < FP_ASLEEP / 2 ? slept : 0; /* its CPU's clock is a little ahead */
}

uint32_t fp_ncores(const struct fp *fp)
{
	return fp->ncores;
}

uint32_t fp_nodes(const struct fp *fp)
{
	(void)fp;
	return fp_place_nodes();
}

uint32_t fp_core_node(const struct fp *fp, uint32_t core)
{
	return core < fp->ncores ? (uint32_t)fp_place_node(fp->conf.cpus[core]) : 0;
}
