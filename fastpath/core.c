/*
 * core.c - the loop of one fast-path core: the only place that states the order of the stages, and
 * its sleep.
 *
 * A stage polls one source of work and says how much it found; each source has a descriptor that
 * becomes readable, or a time at which it must be looked at again, so that an idle core blocks.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "core.h"
#include "tas/yield.h"

#define NO_FD_SLEEP_NS 200000ull /* a port that cannot wake us is looked at this often */
#define RING_FULL_NS   100000ull /* closed and parked flows wait for room in the event ring */
#define CPU_LOOPS      1024u	 /* a core that never sleeps looks this often which CPU it is on */
#define NS_PER_S       1000000000ull

static uint32_t stage_acks(struct fp_core *core)
{
	fp_acks_flush(core);
	if (core->ntx)
		fp_tx_flush(core);
	return 0;
}

static uint32_t stage_news(struct fp_core *core)
{
	uint32_t n = core->nnews;

	fp_news_flush(core);
	return n;
}

static uint32_t stage_wakes(struct fp_core *core)
{
	fp_news_flush(core); /* flows that ended while sending */
	fp_wakes_flush(core);
	return 0;
}

/*
 * The order: what the slow path installs is there when its first segment or take comes; segments
 * and programs fill the lists of the later stages; a spinning program hears before frames go out, a
 * sleeping one after.
 */
static uint32_t (*const stages[])(struct fp_core *) = {
	fp_msgs_poll, /* slow path: its ring, woken by wake_fd */
	fp_rx_poll, /* port: nic_rx_fd; other cores' and the slow path's frames, woken by wake_fd */
	fp_apps_poll,	 /* programs: their bells, woken by their eventfds */
	fp_wheel_poll,	 /* deadlines: the timeout of the sleep */
	stage_news,	 /* slots and bells of programs */
	fp_tx_poll,	 /* flows that may send: never asleep with one in the list */
	stage_acks,	 /* owed ACKs, then the batch goes to the port */
	stage_wakes,	 /* system calls that wake programs */
	fp_events_flush, /* slow path: events and exception frames */
};

/* Not to be guessed from outside, without a system call. */
static uint32_t random_at(const struct fp_core *core, uint64_t now_ns)
{
	uint64_t words[2] = {now_ns, core->id};

	return (uint32_t)fp_keyed_hash(core->fp->conf.hash_key, words, 2);
}

static void set_now(struct fp_core *core, uint64_t now_ns)
{
	core->env.now_ns = now_ns;
	core->env.now_us = (uint32_t)(now_ns / 1000);
	if (now_ns - core->tokens_ns < NS_PER_S)
		return;
	core->tokens_ns = now_ns;
	tcp_challenge_refill(&core->env, random_at(core, now_ns));
}

uint32_t fp_core_poll(struct fp_core *core, uint64_t now_ns)
{
	uint32_t work = 0, i;

	set_now(core, now_ns);
	core->copied = 0;
	for (i = 0; i < sizeof(stages) / sizeof(stages[0]); i++)
		work += stages[i](core);
	tas_store_rel(&core->cnt.loops, core->cnt.loops + 1); /* fp_grace_over reads it */
	core->cnt.loops_busy += work != 0;
	return work;
}

/* W1: the caller has published something for the core; pairs with W2. */
void fp_core_wake(struct fp_core *core)
{
	uint64_t one = 1;

	tas_full_barrier();
	TAS_YIELD();
	if (tas_load(&core->sleeping) == 0)
		return;
	TAS_YIELD();
	if (write(core->wake_fd, &one, sizeof(one)) < 0)
		return; /* non-blocking and never drained: EAGAIN would take 2^64 wakes */
}

uint64_t fp_core_next_ns(const struct fp_core *core)
{
	uint64_t next = fp_wheel_next(&core->wheel), apps = fp_apps_next_ns(core);

	if (core->tx_first != FP_FLOW_NONE || core->nnews != 0 || core->nacks != 0 ||
		core->nwake_apps != 0 || fp_loop_pending(core) || fp_group_busy(core))
		return 0;
	if ((core->closing != FP_FLOW_NONE || core->parked != FP_FLOW_NONE) &&
		core->env.now_ns + RING_FULL_NS < next)
		next = core->env.now_ns + RING_FULL_NS;
	return apps < next ? apps : next;
}

static void say_sleeping(struct fp_core *core, uint32_t value)
{
	uint32_t i;

	if (value != 0 && ++core->sleep_seq == 0)
		core->sleep_seq = 1;
	tas_store(&core->sleeping, value);
	for (i = 0; i < core->napps; i++) {
		struct tas_info *info = core->fp->apps[core->app_ids[i]].info;

		if (!info)
			continue;
		tas_store(&info->core[core->id].sleeps, core->sleep_seq);
		TAS_YIELD();
		tas_store_rel(&info->core[core->id].sleeping, value);
	}
}

/* Has anything been put that a producer may not have woken us for? */
static int anything_pending(struct fp_core *core)
{
	uint32_t i;

	if (spsc_pending(&core->msgs) || fp_loop_pending(core) || tas_load(&core->stop))
		return 1;
	for (i = 0; i < core->fp->ncores; i++)
		if (fp_forward_pending(&core->from[i]))
			return 1;
	for (i = 0; i < core->napps; i++) {
		const struct fp_app *app = &core->fp->apps[core->app_ids[i]];

		if (tas_load(&app->asked))
			return 1;
		if (core->apps[app->id]->phase == FP_APP_LINGER && tas_load(&app->flows) == 0)
			return 1;
		if (core->apps[app->id]->phase == FP_APP_RUN &&
			(tas_load(&app->bad) ||
				tas_bell_pending(tas_region_bell(
					app->region, app->off_tobells, app->bell_bytes, core->id))))
			return 1;
	}
	return 0;
}

static void publish_cpu(struct fp_core *core)
{
	uint32_t cpu = (uint32_t)sched_getcpu(), i;

	if (cpu == core->cpu)
		return;
	core->cpu = cpu;
	for (i = 0; i < core->napps; i++) {
		struct tas_info *info = core->fp->apps[core->app_ids[i]].info;

		if (info)
			tas_store(&info->core[core->id].cpu, cpu);
	}
}

static void block(struct fp_core *core, uint64_t ns)
{
	struct epoll_event ev[8];
	struct timespec ts = {.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
	uint64_t before = fp_now_ns();

	ns = TAS_PATIENCE(ns, UINT64_MAX);
	tas_store(&core->slept, FP_ASLEEP | ((core->cnt.sleep_ns - before) & ~FP_ASLEEP));
	epoll_pwait2(core->epoll_fd, ev, 8, ns == UINT64_MAX ? NULL : &ts, NULL);
	core->cnt.sleeps++;
	core->cnt.sleep_ns += fp_now_ns() - before;
	tas_store(&core->slept, core->cnt.sleep_ns);
}

/*
 * Sleeps until something rings or the next deadline. W2: the flags are stored, then a full barrier,
 * then everything is looked at again; whoever puts something does it before a full barrier and then
 * reads the flag (W1 here, D1 in a program's ring). So one of the two sees the other. The port's
 * descriptor is level-triggered and needs no flag.
 */
static void core_sleep(struct fp_core *core)
{
	uint64_t next = fp_core_next_ns(core), now = fp_now_ns(), ns;

	if (next <= now)
		return;
	ns = next == UINT64_MAX ? UINT64_MAX : next - now;
	if (!core->nic_dead && nic_rx_fd(core->fp->nic, core->id) < 0 && ns > NO_FD_SLEEP_NS)
		ns = NO_FD_SLEEP_NS;
	TAS_YIELD();
	say_sleeping(core, 1);
	tas_full_barrier(); /* W2 */
	TAS_YIELD();
	if (!anything_pending(core)) {
		TAS_YIELD();
		block(core, ns);
	}
	TAS_YIELD();
	say_sleeping(core, 0);
	tas_full_barrier(); /* W3: pairs with fp_grace_start: who saw us asleep has taken it away before we look */
	TAS_YIELD();
	publish_cpu(core);
}

/* A dead port's descriptor would keep the core awake. */
static void forget_port(struct fp_core *core)
{
	int fd = nic_rx_fd(core->fp->nic, core->id);

	if (fd >= 0)
		epoll_ctl(core->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

/* Signals are the slow path's, but for those that a bad page raises where it is touched. */
static void mask_signals(void)
{
	sigset_t set;

	sigfillset(&set);
	sigdelset(&set, SIGBUS);
	sigdelset(&set, SIGSEGV);
	pthread_sigmask(SIG_SETMASK, &set, NULL);
}

static void pin(int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

void *fp_core_main(void *arg)
{
	struct fp_core *core = arg;
	uint64_t spin_ns = core->fp->conf.spin_us * 1000ull, idle_since = 0, now, last;
	uint32_t work = 0, was_dead = 0;

	mask_signals();
	pin(core->fp->conf.cpus[core->id]);
	publish_cpu(core);
	last = fp_now_ns();
	while (!tas_load_acq(&core->stop)) {
		now = fp_now_ns();
		if (work)
			core->cnt.busy_ns += now - last;
		last = now;
		work = fp_core_poll(core, now);
		if (core->cnt.loops % CPU_LOOPS == 0)
			publish_cpu(core);
		if (core->nic_dead && !was_dead) {
			was_dead = 1;
			forget_port(core);
		}
		if (work || idle_since == 0) {
			idle_since = now;
		} else if (now - idle_since >= spin_ns) {
			core_sleep(core);
			idle_since = 0;
		} else {
			tas_cpu_relax();
		}
	}
	while (spsc_pending(&core->msgs)) /* a round takes some in any case, and no more come */
		fp_core_poll(core, fp_now_ns());
	return NULL;
}
