/*
 * ctl_fake.c - invented records for the control server's tests (ctl_fake.h).
 */
#include "ctl_fake.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "ctl/ctl_server.h"
#include "group.h"
#include "passed.h"
#include "place.h"
#include "sp.h"
#include "tas/ctl.h"
#include "tas/explain.h"

#define MAX_SOURCES 64
#define NAPPS	    4

static struct sp sp;
static struct sp_conn *conns;
static struct sp_timewait *tws;
static struct sp_listener *listeners;
static struct sp_app apps[NAPPS + 1];
static struct fp_app fp_apps[NAPPS + 1];
static uint64_t explained[NAPPS + 1][TAS_EXPLAIN_MAX];
static struct tas_fp_counters counters[TAS_MAX_CORES];
static struct sp_arena_head tw_head;
static struct sp_source *sources[MAX_SOURCES];
static uint32_t *fp_flags;
static uint32_t killed, looked, looked_max;
static uint64_t grown;
/* The loop may be turned by another thread than the test's: one of them at a time touches the
 * records. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

const uint32_t fake_rx_fin = FP_F_RX_FIN, fake_tx_shut = FP_F_TX_SHUT,
	       fake_tx_finack = FP_F_TX_FINACK;

/* The loop. */

int sp_loop_add(
	struct sp *s, struct sp_source *src, int fd, uint32_t events, sp_source_fn *fn, void *arg)
{
	int i;

	(void)s;
	(void)events;
	for (i = 0; i < MAX_SOURCES && sources[i] != NULL; i++)
		;
	if (i == MAX_SOURCES)
		return -1;
	sources[i] = src;
	src->fd = fd;
	src->fn = fn;
	src->arg = arg;
	return 0;
}

void sp_loop_del(struct sp *s, struct sp_source *src)
{
	int i;

	(void)s;
	for (i = 0; i < MAX_SOURCES; i++) {
		if (sources[i] == src)
			sources[i] = NULL;
	}
	src->fd = -1;
}

void sp_guard(struct sp *s)
{
	(void)s;
}

static uint32_t rests;

void sp_loop_rest(struct sp *s, struct sp_source *src)
{
	(void)s;
	(void)src;
	rests++;
}

uint32_t fake_rests(void)
{
	return rests;
}

static void serve(struct sp_source *src, const struct pollfd *p, int *served)
{
	if (p->revents == 0 || src->fd != p->fd)
		return;
	looked = 0;
	src->fn(&sp, src, (uint32_t)p->revents);
	if (looked > looked_max)
		looked_max = looked;
	++*served;
}

int fake_turn(int timeout_ms)
{
	struct pollfd fds[MAX_SOURCES];
	struct sp_source *which[MAX_SOURCES];
	int i, n = 0, served = 0;

	pthread_mutex_lock(&lock);
	for (i = 0; i < MAX_SOURCES; i++) {
		if (sources[i] != NULL) {
			which[n] = sources[i];
			fds[n++] = (struct pollfd){.fd = sources[i]->fd, .events = POLLIN};
		}
	}
	pthread_mutex_unlock(&lock);
	if (poll(fds, (nfds_t)n, timeout_ms) <= 0)
		return 0;
	pthread_mutex_lock(&lock);
	for (i = 0; i < n; i++)
		serve(which[i], &fds[i], &served);
	pthread_mutex_unlock(&lock);
	return served;
}

/* Records. */

struct sp_conn *sp_conn_get(struct sp *s, uint32_t id)
{
	if (id == 0 || id > s->conns.conns.capacity || conns[id].state == SP_CONN_FREE)
		return NULL;
	return &conns[id];
}

struct sp_conn *sp_conn_next(struct sp *s, uint32_t *cursor, uint32_t budget)
{
	for (; budget > 0 && *cursor <= s->conns.conns.capacity; budget--) {
		struct sp_conn *c = sp_conn_get(s, (*cursor)++);

		looked++;
		if (c != NULL)
			return c;
	}
	return NULL;
}

struct sp_timewait *sp_tw_next(struct sp *s, uint32_t *cursor, uint32_t budget)
{
	looked++;
	if (budget == 0 || *cursor > s->conns.tws.capacity)
		return NULL;
	return &tws[(*cursor)++];
}

struct sp_app *sp_app_get(struct sp *s, uint32_t id)
{
	(void)s;
	return id >= 1 && id <= NAPPS ? &apps[id] : NULL;
}

struct sp_app *sp_app_next(struct sp *s, uint32_t *cursor)
{
	return *cursor <= NAPPS ? sp_app_get(s, (*cursor)++) : NULL;
}

const char *sp_app_state_name(const struct sp_app *a)
{
	return a->state == SP_APP_ACTIVE ? "active" : "other";
}

struct fp_app *sp_app_fp(struct sp *s, const struct sp_app *a)
{
	(void)s;
	return a->id == NAPPS ? NULL : &fp_apps[a->id];
}

struct sp_listener *sp_listener_next(struct sp *s, uint32_t *cursor)
{
	return *cursor <= s->listeners.count ? &listeners[(*cursor)++] : NULL;
}

int fp_flow_info(struct fp *fp, uint32_t flow, struct fp_flow_info *out)
{
	(void)fp;
	memset(out, 0, sizeof(*out));
	if (conns[flow].state < SP_CONN_OPEN)
		return -2;
	out->flags = fp_flags[flow];
	out->core = flow % sp.ncores;
	out->slot = flow;
	out->bytes_in = flow * 1000ull + grown;
	out->bytes_out = flow * 2000ull + 2 * grown;
	out->segs_in = flow;
	out->segs_out = flow + 1;
	out->retrans = flow % 3;
	out->cwnd = 14480;
	out->srtt_us = 100;
	out->rx_queue = 77;
	out->tx_queue = 88;
	out->mss = 1448;
	return 0;
}

uint32_t fp_place_nodes(void)
{
	return 2;
}

int fp_place_node(int cpu)
{
	return cpu < 0 ? 0 : 1;
}

const struct tas_fp_counters *fp_counters(struct fp *fp, uint32_t core)
{
	(void)fp;
	return &counters[core];
}

/* Each core sleeps half of the time, and has not woken yet. */
uint64_t fp_slept_ns(const struct fp *fp, uint32_t core)
{
	(void)fp;
	return counters[core].sleep_ns + (sp.now_ns - sp.started_ns) / 2;
}

void sp_conn_abort(struct sp *s, struct sp_conn *c, int error)
{
	(void)s;
	killed = error != 0 ? c->id : 0;
}

int sp_group_move(struct sp *s, uint32_t group, uint32_t core)
{
	return core >= s->ncores || (group >= NIC_GROUPS && group != TAS_CTL_ALL_GROUPS) ? -22 : 0;
}

uint32_t sp_groups_of(const struct sp *s, uint32_t core)
{
	return NIC_GROUPS / s->ncores + (core == 0 ? NIC_GROUPS % s->ncores : 0);
}

void sp_drain(struct sp *s)
{
	s->apps.draining = 1;
}

void sp_log(enum sp_log_level level, const char *module, const char *fmt, ...)
{
	(void)level;
	(void)module;
	(void)fmt;
}

/* Set-up. */

static void invent_tuple(struct tas_tuple *t, uint32_t n)
{
	tas_addr_from_v4(t->laddr, htonl(0x0a000001));
	tas_addr_from_v4(t->raddr, htonl(0x0a000100 + n));
	t->lport = htons(80);
	t->rport = htons((uint16_t)(20000 + n % 40000));
}

static void invent_flows(uint32_t nflows, uint32_t ntw)
{
	uint32_t i;

	conns = calloc(nflows + 1, sizeof(*conns));
	fp_flags = calloc(nflows + 1, sizeof(*fp_flags));
	tws = calloc(ntw + 1, sizeof(*tws));
	for (i = 1; i <= nflows; i++) {
		invent_tuple(&conns[i].tuple, i);
		conns[i].id = i;
		conns[i].gen = i + 7;
		conns[i].state = SP_CONN_OPEN;
		conns[i].app = 1 + i % NAPPS;
		conns[i].flags = SP_CONN_TS | SP_CONN_SACK;
	}
	if (nflows >= 2) {
		conns[1].state = SP_CONN_SYN_SENT;
		conns[2].state = SP_CONN_SYN_RCVD;
	}
	for (i = 1; i <= ntw; i++)
		invent_tuple(&tws[i].tuple, 100000 + i);
	sp.conns.conns.capacity = nflows;
	sp.conns.tws.capacity = ntw;
	sp.conns.tws.head = &tw_head;
	tw_head.used = ntw;
	sp.conns.nopen = nflows;
}

static void invent_apps(void)
{
	uint32_t i;

	memset(apps, 0, sizeof(apps));
	for (i = 1; i <= NAPPS; i++) {
		apps[i].id = i;
		apps[i].pid = 1000 + i;
		apps[i].uid = 33;
		apps[i].state = SP_APP_ACTIVE;
		apps[i].seg_bytes = TAS_SEG_BYTES;
		strcpy(apps[i].comm, "nginx");
		fp_apps[i].nsegs_max = 4;
		fp_apps[i].rx_chunks = 2;
		fp_apps[i].explain = explained[i];
	}
	sp.apps.count = NAPPS;
	sp.apps.max = 64;
}

static void invent_listeners(uint32_t n)
{
	uint32_t i;

	listeners = calloc(n + 1, sizeof(*listeners));
	for (i = 1; i <= n; i++) {
		listeners[i].id = i;
		listeners[i].lport = htons((uint16_t)(8000 + i));
		listeners[i].backlog = 511;
		listeners[i].holder[0] = (uint16_t)(1 + i % NAPPS);
		listeners[i].nholders = 1;
	}
	sp.listeners.count = n;
	sp.listeners.max = 4095;
}

int fake_start(
	const char *path, uint32_t ncores, uint32_t nflows, uint32_t ntw, uint32_t nlisteners)
{
	uint32_t i;

	memset(&sp, 0, sizeof(sp));
	memset(counters, 0, sizeof(counters));
	memset(explained, 0, sizeof(explained));
	memset(sources, 0, sizeof(sources));
	killed = looked_max = 0;
	grown = 0;
	sp.ncores = ncores;
	sp.now_ns = 10000000000ull;
	sp.started_ns = 4000000000ull;
	strcpy(sp.conf.ctl_socket, path);
	strcpy(sp.conf.port, "tap:tas0");
	strcpy(sp.conf.cc, "cubic");
	sp.conf.socket_mode = 0660;
	sp.net.naddrs = 1;
	tas_addr_from_v4(sp.net.addrs[0].addr, htonl(0x0a000001));
	sp.net.addrs[0].plen = 120;
	for (i = 0; i < ncores; i++) {
		counters[i].drop_short = 3;
		counters[i].drop_msg_flow = 4;
		counters[i].busy_ns = 1500000000ull;
	}
	sp.cnt.drop_stray = 5;
	sp.cnt.refuse_msg = 2;
	invent_flows(nflows, ntw);
	invent_apps();
	invent_listeners(nlisteners);
	return sp_ctl_start(&sp);
}

void fake_stop(void)
{
	sp_ctl_stop(&sp);
	free(conns);
	free(tws);
	free(listeners);
	free(fp_flags);
	conns = NULL;
	tws = NULL;
	listeners = NULL;
	fp_flags = NULL;
}

static uint64_t locked(const uint64_t *v)
{
	uint64_t copy;

	pthread_mutex_lock(&lock);
	copy = *v;
	pthread_mutex_unlock(&lock);
	return copy;
}

static uint32_t locked32(const uint32_t *v)
{
	uint32_t copy;

	pthread_mutex_lock(&lock);
	copy = *v;
	pthread_mutex_unlock(&lock);
	return copy;
}

uint64_t fake_refused(void)
{
	return locked(&sp.cnt.refuse_ctl);
}

uint64_t fake_requests(void)
{
	return locked(&sp.cnt.ctl_requests);
}

uint32_t fake_clients(void)
{
	uint32_t i, n = 0;

	pthread_mutex_lock(&lock);
	for (i = 0; i < MAX_SOURCES; i++)
		n += sources[i] != NULL;
	pthread_mutex_unlock(&lock);
	return n - 1; /* the listening socket */
}

uint32_t fake_killed(void)
{
	return locked32(&killed);
}

int fake_drained(void)
{
	int draining;

	pthread_mutex_lock(&lock);
	draining = sp.apps.draining;
	pthread_mutex_unlock(&lock);
	return draining;
}

uint32_t fake_looked_max(void)
{
	return locked32(&looked_max);
}

void fake_advance(uint64_t ns)
{
	uint32_t i;

	pthread_mutex_lock(&lock);
	sp.now_ns += ns;
	grown += ns / 1000;
	for (i = 0; i < sp.ncores; i++)
		counters[i].busy_ns += ns / 4;
	pthread_mutex_unlock(&lock);
}

void fake_set_state(uint32_t id, uint32_t flags)
{
	pthread_mutex_lock(&lock);
	fp_flags[id] = flags;
	pthread_mutex_unlock(&lock);
}

void fake_clear_reasons(void)
{
	uint32_t i;

	pthread_mutex_lock(&lock);
	for (i = 0; i < sp.ncores; i++)
		counters[i].drop_short = counters[i].drop_msg_flow = 0;
	sp.cnt.drop_stray = sp.cnt.refuse_msg = 0;
	pthread_mutex_unlock(&lock);
}

void fake_set_comm(const char *comm)
{
	uint32_t i;

	pthread_mutex_lock(&lock);
	for (i = 1; i <= NAPPS; i++)
		memcpy(apps[i].comm, comm, sizeof(apps[i].comm));
	pthread_mutex_unlock(&lock);
}

void fake_free_flow(uint32_t id)
{
	pthread_mutex_lock(&lock);
	conns[id].state = SP_CONN_FREE;
	pthread_mutex_unlock(&lock);
}

void fake_explain(uint32_t app, uint32_t row, uint64_t value)
{
	pthread_mutex_lock(&lock);
	explained[app][row] = value;
	pthread_mutex_unlock(&lock);
}

uint32_t fake_flow_gen(uint32_t id)
{
	return locked32(&conns[id].gen);
}
