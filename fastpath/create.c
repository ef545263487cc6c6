/*
 * create.c - the making of the fast path and its end (fp.h): arenas, cores with their rings and
 * descriptors, the daemon's own receive memory. The threads come later (fp.c). Owner: slow path
 * thread, while no core runs.
 *
 * What it is made after: docs/decisions 0003 (flow record), 0006 (arenas), 0008 (flow groups).
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>
#include "alloc.h"
#include "core.h"
#include "place.h"

#define SENT_MIN 16384u	  /* sent-map nodes of a core, at least */
#define SENT_MAX 1048576u /* ... and at most: 64 B of lazily touched memory each, or so */

static int create_arenas(struct fp *fp)
{
	uint64_t n = (uint64_t)fp->max_flow + 1;
	uint32_t part = fp_table_part(fp->max_flow, NIC_GROUPS);
	int err;

	err = fp_arena_create(&fp->flow_arena, "tas-flows", sizeof(struct fp_flow), n,
		offsetof(struct fp_flow, tx_una));
	if (err)
		return err;
	err = fp_arena_create(&fp->cold_arena, "tas-flows-cold", sizeof(struct fp_flow_cold), n,
		offsetof(struct fp_flow_cold, tcp));
	if (err)
		return err;
	err = fp_arena_create(&fp->table_arena, "tas-table", sizeof(struct fp_bucket),
		(uint64_t)part * NIC_GROUPS, FP_BUCKET_WAYS);
	if (err)
		return err;
	fp->flows = fp->flow_arena.records;
	fp->cold = fp->cold_arena.records;
	fp_table_init(&fp->table, fp->table_arena.records, NIC_GROUPS, part, fp->conf.hash_key);
	return 0;
}

/* App 0: the daemon's own memory, for connections that no program has. */
static int create_own_app(struct fp *fp)
{
	struct fp_app *app = &fp->apps[FP_APP_NONE];
	uint32_t i;

	app->rx_next = fp_calloc(FP_OWN_CHUNKS, sizeof(*app->rx_next));
	if (!app->rx_next)
		return -ENOMEM;
	app->nsegs_max = FP_OWN_SEGS;
	app->ncores = fp->ncores;
	for (i = 0; i < FP_OWN_SEGS; i++) {
		void *p = fp_pages(TAS_SEG_BYTES);

		if (!p)
			return -ENOMEM;
		app->seg[i] = p;
		app->nsegs = i + 1;
	}
	fp_own_init(fp);
	return 0;
}

static int know_own_app(struct fp_core *core)
{
	struct fp_app_core *ac = fp_calloc(1, sizeof(*ac));

	if (!ac)
		return -ENOMEM;
	ac->phase = FP_APP_RUN;
	ac->free_chunk = TAS_CHUNK_NONE;
	core->apps[FP_APP_NONE] = ac;
	return 0;
}

static int create_rings(struct fp_core *core)
{
	uint32_t i;

	if (spsc_init(&core->msgs, FP_MSG_RING, sizeof(struct sp_msg)) ||
		spsc_init(&core->events, FP_EVENT_RING, sizeof(struct fp_event)))
		return -ENOMEM;
	for (i = 0; i < FP_EXC_CLASSES; i++)
		if (spsc_init(&core->exc[i], FP_EXC_RING, sizeof(struct fp_exc)))
			return -ENOMEM;
	if (fp_loop_init(core))
		return -ENOMEM;
	if (core->fp->conf.to_kernel && fp_forward_init(&core->to_kernel))
		return -ENOMEM;
	core->from = fp_calloc_lines(core->fp->ncores, sizeof(*core->from));
	if (!core->from)
		return -ENOMEM;
	if (core->fp->ncores == 1)
		return 0;
	for (i = 0; i < core->fp->ncores; i++)
		if (fp_forward_init(&core->from[i]))
			return -ENOMEM;
	return 0;
}

static int create_fds(struct fp_core *core)
{
	struct epoll_event edge = {.events = EPOLLIN | EPOLLET}, level = {.events = EPOLLIN};
	int port = nic_rx_fd(core->fp->nic, core->id);

	core->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	core->wake_fd = fp_eventfd();
	if (core->epoll_fd < 0 || core->wake_fd < 0)
		return -errno;
	if (epoll_ctl(core->epoll_fd, EPOLL_CTL_ADD, core->wake_fd, &edge))
		return -errno;
	if (port >= 0 && epoll_ctl(core->epoll_fd, EPOLL_CTL_ADD, port, &level))
		return -errno;
	return 0;
}

static uint32_t sent_share(const struct fp_conf *conf)
{
	uint64_t want = (uint64_t)conf->max_flows * 4 / conf->ncores;

	return want < SENT_MIN ? SENT_MIN : want > SENT_MAX ? SENT_MAX : (uint32_t)want;
}

/* One array for all cores: a flow that changes cores keeps its nodes. */
static int create_sent(struct fp *fp)
{
	uint64_t bytes = tcp_sent_bytes(fp->ncores * sent_share(&fp->conf));
	void *mem = fp_pages(bytes);

	if (!mem)
		return -ENOMEM;
	fp->sent_mem = mem;
	fp->sent_bytes = bytes;
	return 0;
}

static void create_env(struct fp_core *core)
{
	const struct fp_conf *conf = &core->fp->conf;

	core->sent_share = sent_share(conf);
	tcp_env_init_part(
		&core->env, core->fp->sent_mem, 1 + core->id * core->sent_share, core->sent_share);
	core->env.min_rto_us = conf->min_rto_us;
	core->env.rcvbuf_max = conf->rcvbuf_max;
	core->env.sndbuf_max = conf->sndbuf_max;
	core->env.cnt = &core->cnt;
	core->env.now_ns = fp_now_ns();
	core->env.now_us = (uint32_t)(core->env.now_ns / 1000);
}

/* What the slow path would touch first, or the core only now and then. */
static void touch_core(struct fp_core *core)
{
	uint32_t i;

	fp_place_touch(core->tx, NIC_BURST * sizeof(*core->tx));
	fp_place_touch(core->msgs.mem, (uint64_t)FP_MSG_RING * sizeof(struct sp_msg));
	fp_place_touch(core->events.mem, (uint64_t)FP_EVENT_RING * sizeof(struct fp_event));
	for (i = 0; i < FP_EXC_CLASSES; i++)
		fp_place_touch(core->exc[i].mem, (uint64_t)FP_EXC_RING * sizeof(struct fp_exc));
}

static int create_core(struct fp *fp, uint32_t id)
{
	struct fp_core *core = &fp->cores[id];
	int err;

	core->id = id;
	core->fp = fp;
	core->epoll_fd = core->wake_fd = core->waker.null = -1;
	core->tx = fp_calloc(NIC_BURST, sizeof(*core->tx));
	core->neigh_told_ns = fp_calloc(FP_MAX_NEIGH, sizeof(*core->neigh_told_ns));
	if (!core->tx || !core->neigh_told_ns)
		return -ENOMEM;
	create_env(core);
	err = fp_fault_create(&fp->conf.fault, id, &core->fault);
	if (!err)
		err = create_rings(core);
	if (!err)
		err = create_fds(core);
	if (!err)
		err = fp_waker_create(&core->waker);
	if (!err)
		err = know_own_app(core);
	fp_wheel_init(&core->wheel, &fp->cold[0].wheel, sizeof(*fp->cold), core->env.now_ns);
	if (!err)
		touch_core(core);
	return err;
}

/* In memory of the node that the core's CPU is on. */
static int place_core(struct fp *fp, uint32_t id)
{
	int err;

	fp_place_begin(fp_place_node(fp->conf.cpus[id]));
	err = create_core(fp, id);
	fp_place_end();
	return err;
}

/* Groups are spread evenly. A port that cannot steer delivers where it likes: cores forward. */
static void spread_groups(struct fp *fp)
{
	uint32_t g, i;

	for (g = 0; g < NIC_GROUPS; g++) {
		fp->group_core[g] = (uint8_t)(g % fp->ncores);
		nic_steer(fp->nic, g, fp->group_core[g]);
		for (i = 0; i < fp->ncores; i++)
			fp->cores[i].route[g] = fp->group_core[g];
	}
}

int fp_create(const struct fp_conf *conf, struct fp **out)
{
	struct fp *fp;
	uint32_t i;
	int err;

	if (conf->ncores == 0 || conf->ncores > TAS_MAX_CORES || conf->max_flows == 0 ||
		conf->naddrs > TAS_INFO_ADDRS)
		return -EINVAL;
	fp = fp_calloc_lines(1, sizeof(*fp));
	if (!fp)
		return -ENOMEM;
	fp->conf = *conf;
	fp->nic = conf->nic;
	fp->caps = nic_caps(conf->nic);
	fp->ncores = conf->ncores;
	fp->max_flow = conf->max_flows;
	fp->event_fd = fp_eventfd();
	fp->cores = fp_pages(fp->ncores * sizeof(*fp->cores)); /* each touched when it is placed */
	err = fp->event_fd < 0 || !fp->cores ? -ENOMEM : 0;
	if (!err)
		err = create_arenas(fp);
	if (!err)
		err = create_own_app(fp);
	if (!err)
		err = create_sent(fp);
	for (i = 0; !err && i < fp->ncores; i++)
		err = place_core(fp, i);
	if (err) {
		fp_destroy(fp);
		return err;
	}
	spread_groups(fp);
	*out = fp;
	return 0;
}

static void destroy_core(struct fp_core *core)
{
	uint32_t i;

	for (i = 0; i < FP_MAX_APPS; i++)
		free(core->apps[i]);
	for (i = 0; core->from && i < core->fp->ncores; i++)
		fp_forward_destroy(&core->from[i]);
	free(core->from);
	fp_loop_destroy(core);
	fp_forward_destroy(&core->to_kernel);
	free(core->tx);
	free(core->neigh_told_ns);
	fp_fault_destroy(core->fault);
	spsc_destroy(&core->msgs);
	spsc_destroy(&core->events);
	for (i = 0; i < FP_EXC_CLASSES; i++)
		spsc_destroy(&core->exc[i]);
	if (core->fp) {
		close(core->epoll_fd);
		close(core->wake_fd);
		fp_waker_destroy(&core->waker);
	}
}

static void destroy_apps(struct fp *fp)
{
	struct fp_app *own = &fp->apps[FP_APP_NONE];
	uint32_t i;

	for (i = 0; i < own->nsegs; i++)
		munmap(own->seg[i], TAS_SEG_BYTES);
	free(own->rx_next);
	for (i = 1; i < FP_MAX_APPS; i++)
		while (fp->apps[i].core_priv)
			fp_app_unshare(&fp->apps[i]);
}

void fp_destroy(struct fp *fp)
{
	uint32_t i;

	if (!fp)
		return;
	for (i = 0; fp->cores && i < fp->ncores; i++)
		destroy_core(&fp->cores[i]);
	destroy_apps(fp);
	if (fp->sent_mem)
		munmap(fp->sent_mem, fp->sent_bytes);
	if (fp->cores)
		munmap(fp->cores, fp->ncores * sizeof(*fp->cores));
	fp_arena_destroy(&fp->flow_arena);
	fp_arena_destroy(&fp->cold_arena);
	fp_arena_destroy(&fp->table_arena);
	if (fp->event_fd >= 0)
		close(fp->event_fd);
	free(fp);
}
