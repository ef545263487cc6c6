/*
 * events.c - the core's events for the slow path, and its wake-up.
 *
 * An event that must not be lost (CLOSED, PARKED, TAKEN, APP_BAD) waits in private state while the
 * ring is full: a closed flow keeps its record, a parked one is listed, a take is looked at again, a
 * broken program is told of later. The core goes on taking messages meanwhile: the slow path may be
 * waiting for just that. Feedback simply grows, and leaves a part of the ring to the others. CLOSED is put at the end of a round, when nothing on this core names
 * the flow any more, and before the APP_GONE of its program. Owner: the core.
 */
#include "core.h"
#include "tas/yield.h"
#include <unistd.h>

#define NEIGH_TELL_NS 100000000ull /* one event per next hop and 100 ms */

int fp_event_room(struct fp_core *core, uint32_t n)
{
	return spsc_room(&core->events) >= n;
}

int fp_event_put(struct fp_core *core, const struct fp_event *ev)
{
	struct fp_event *to = spsc_put(&core->events);

	if (!to)
		return 0;
	*to = *ev;
	spsc_publish(&core->events);
	core->told = 1;
	return 1;
}

void fp_event_neigh(struct fp_core *core, uint16_t neigh)
{
	struct fp_event ev = {.type = FP_EV_NEIGH, .id = neigh};
	uint64_t *told = &core->neigh_told_ns[neigh % FP_MAX_NEIGH];

	if (*told != 0 && core->env.now_ns - *told < NEIGH_TELL_NS)
		return;
	if (fp_event_room(core, FP_EVENT_KEEP + 1) && fp_event_put(core, &ev))
		*told = core->env.now_ns;
}

/* E1: pairs with fp_prepare_sleep, which stores sp_sleeping, makes a full barrier and looks at the
 * rings. */
static void wake_slow_path(struct fp *fp)
{
	uint64_t one = 1;

	tas_full_barrier();
	TAS_YIELD();
	if (tas_load(&fp->sp_sleeping) == 0 || tas_xchg(&fp->sp_sleeping, 0) == 0)
		return;
	TAS_YIELD();
	if (write(fp->event_fd, &one, sizeof(one)) < 0)
		return; /* non-blocking and ours: a full counter is readable */
}

uint32_t fp_events_flush(struct fp_core *core)
{
	uint32_t i, next, done = 0;

	fp_parked_tell(core);
	for (; core->closing != FP_FLOW_NONE; core->closing = next, done++) {
		next = core->fp->cold[core->closing]
			       .tx_list_next; /* the record is not ours after the event */
		if (!fp_flow_closed_event(core, core->closing))
			break;
	}
	for (i = 0; i < FP_EXC_CLASSES; i++)
		spsc_publish(&core->exc[i]);
	if (!core->told)
		return done;
	core->told = 0;
	TAS_YIELD();
	wake_slow_path(core->fp);
	return done;
}
