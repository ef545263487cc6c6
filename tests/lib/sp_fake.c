/*
 * sp_fake.c - see sp_fake.h.
 */
#include "sp_fake.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define EVENTS 4096

struct fp {
	struct fp_app apps[FP_MAX_APPS];
	struct tas_fp_counters cnt[TAS_MAX_CORES];
	struct tas_listen *listeners[FP_MAX_LISTENERS];
	struct fp_event events[EVENTS];
	uint32_t ev_head, ev_tail;
	struct fp_exc exc;
	int have_exc;
	uint64_t now_ns;
	int fd;
};

struct fake_frame fake_frames[FAKE_FRAMES];
uint32_t fake_nframes;
int fake_tx_error;
uint64_t fake_missed;
struct fake_msg fake_msgs[FAKE_MSGS];
uint32_t fake_nmsgs;
struct fake_ring fake_rings[1024];
uint32_t fake_nrings;
uint64_t fake_neigh[FP_MAX_NEIGH];
uint32_t fake_ring_room;
uint32_t fake_nodes = 1;
uint32_t fake_swapped;
uint32_t fake_group_cost[NIC_GROUPS];
uint64_t fake_move_set[NIC_GROUPS / 64];
enum fp_move_state fake_moves;
uint32_t fake_looks;
const uint8_t fake_mac[6] = {0x02, 0, 0, 0, 0, 2}, fake_peer_mac[6] = {0x02, 0, 0, 0, 0, 1};

void (*fake_on_port)(uint16_t port, int ours);

static struct fp fake;

/* ---- fp.h ---- */

struct fp_app *fp_app(struct fp *fp, uint32_t id)
{
	return &fp->apps[id];
}

uint32_t fp_nodes(const struct fp *fp)
{
	(void)fp;
	return fake_nodes;
}

uint32_t fp_core_node(const struct fp *fp, uint32_t core)
{
	(void)fp;
	return core % fake_nodes;
}

uint32_t fp_core_of(const struct fp *fp, const struct tas_tuple *t)
{
	(void)fp;
	return (ntohs(t->rport) + fake_swapped) % 2;
}

uint32_t fp_group_core(const struct fp *fp, uint32_t group)
{
	(void)fp;
	return group % 2;
}

uint32_t fp_group_cost(const struct fp *fp, uint32_t group)
{
	(void)fp;
	return fake_group_cost[group];
}

int fp_move_start(struct fp *fp, const uint64_t set[NIC_GROUPS / 64], uint32_t from, uint32_t to)
{
	(void)fp;
	(void)from;
	(void)to;
	memcpy(fake_move_set, set, sizeof(fake_move_set));
	return -EBUSY;
}

enum fp_move_state fp_move_poll(struct fp *fp)
{
	(void)fp;
	if (fake_looks != 0 && --fake_looks == 0) {
		fake_moves = FP_MOVES_SETTLING;
		fake_swapped = 1;
	}
	return fake_moves;
}

int fp_send(struct fp *fp, uint32_t core, const struct sp_msg *m)
{
	(void)fp;
	if (fake_ring_room == 0 || fake_nmsgs == FAKE_MSGS)
		return -EAGAIN;
	fake_ring_room--;
	fake_msgs[fake_nmsgs].m = *m;
	fake_msgs[fake_nmsgs++].core = core;
	return 0;
}

int fp_event_next(struct fp *fp, struct fp_event *ev)
{
	if (fp->ev_head == fp->ev_tail)
		return 0;
	*ev = fp->events[fp->ev_head++ % EVENTS];
	return 1;
}

int fp_exc_next(struct fp *fp, struct fp_exc *out)
{
	if (!fp->have_exc)
		return 0;
	fp->have_exc = 0;
	*out = fp->exc;
	return 1;
}

int fp_event_fd(struct fp *fp)
{
	return fp->fd;
}

int fp_prepare_sleep(struct fp *fp)
{
	return fp->ev_head != fp->ev_tail || fp->have_exc;
}

void fp_wake_done(struct fp *fp)
{
	(void)fp;
}

void fp_neigh_set(struct fp *fp, uint16_t neigh, uint64_t word)
{
	(void)fp;
	fake_neigh[neigh] = word;
}

int fp_tx_frame(struct fp *fp, const struct nic_txpkt *p)
{
	struct fake_frame *f = &fake_frames[fake_nframes % FAKE_FRAMES];
	uint16_t i;

	(void)fp;
	if (fake_tx_error != 0)
		return fake_tx_error;
	memset(f, 0, sizeof(*f));
	memcpy(f->data, p->hdr, p->hdr_len);
	f->len = p->hdr_len;
	for (i = 0; i < p->niov; i++) {
		memcpy(f->data + f->len, p->iov[i].iov_base, p->iov[i].iov_len);
		f->len += (uint32_t)p->iov[i].iov_len;
	}
	fake_nframes++;
	return 0;
}

uint32_t fp_kernel_peek(
	struct fp *fp, uint32_t core, struct nic_rxpkt *pkts, uint32_t max, uint64_t *end)
{
	(void)fp;
	(void)core;
	(void)pkts;
	(void)max;
	(void)end;
	return 0;
}

void fp_kernel_drop(struct fp *fp, uint32_t core, uint64_t end)
{
	(void)fp;
	(void)core;
	(void)end;
}

void fp_port_set(struct fp *fp, uint16_t port, int ours)
{
	(void)fp;
	if (fake_on_port != NULL)
		fake_on_port(port, ours);
}

int nic_missed(struct nic *n, uint64_t *frames)
{
	(void)n;
	*frames = fake_missed;
	return 0;
}

void fp_listener_set(struct fp *fp, uint32_t l, struct tas_listen *seg)
{
	fp->listeners[l] = seg;
}

void fp_app_notify(struct fp *fp, struct fp_app *app, uint32_t evq, uint32_t slot)
{
	(void)fp;
	fake_rings[fake_nrings++ % 1024] = (struct fake_ring){app->id, evq, slot};
}

void fp_grace_start(struct fp *fp, struct fp_grace *g)
{
	(void)fp;
	memset(g, 0, sizeof(*g));
}

int fp_grace_over(struct fp *fp, const struct fp_grace *g)
{
	(void)fp;
	(void)g;
	return 1;
}

int fp_flow_info(struct fp *fp, uint32_t flow, struct fp_flow_info *out)
{
	(void)fp;
	(void)flow;
	(void)out;
	return -ENOENT;
}

const struct tas_fp_counters *fp_counters(struct fp *fp, uint32_t core)
{
	return &fp->cnt[core];
}

uint32_t fp_ncores(const struct fp *fp)
{
	(void)fp;
	return 2;
}

uint64_t fp_tsc_hz(void)
{
	return 2600000000;
}

uint64_t fp_now_ns(void)
{
	return fake.now_ns;
}

/* ---- a slow path around it ---- */

void fake_forget(void)
{
	uint32_t i;

	for (i = 0; i < fake_nmsgs; i++)
		fake_msg_done(&fake_msgs[i].m);
	fake_nframes = fake_nmsgs = fake_nrings = 0;
	fake_tx_error = 0;
	fake_ring_room = UINT32_MAX;
}

void fake_msg_done(const struct sp_msg *m)
{
	if (m->type == SP_FRAME)
		free((void *)(uintptr_t)m->u.frame.data);
}

static int load(struct sp *sp, int nargs, const char *const *args)
{
	char *argv[32] = {(char *)(uintptr_t) "tas", (char *)(uintptr_t) "--addresses=10.0.0.2/24"};
	struct sp_config_args unused;
	char err[256];
	int i;

	for (i = 0; i < nargs; i++)
		argv[2 + i] = (char *)(uintptr_t)args[i];
	return sp_config_load(&sp->conf, &unused, nargs + 2, argv, err, sizeof(err));
}

struct sp *fake_start(int nargs, const char *const *args)
{
	struct sp *sp = calloc(1, sizeof(*sp));

	memset(&fake, 0, sizeof(fake));
	memset(fake_neigh, 0, sizeof(fake_neigh));
	fake_nmsgs = 0;
	fake_swapped = 0;
	memset(fake_group_cost, 0, sizeof(fake_group_cost));
	fake_moves = FP_MOVES_NONE;
	fake_looks = 0;
	fake_forget();
	fake.now_ns = 1000 * FAKE_SECOND;
	fake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	sp_log_set_level(SP_LOG_ERROR);
	if (load(sp, nargs, args) != 0) {
		free(sp);
		return NULL;
	}
	sp->fp = &fake;
	sp->ncores = 2;
	sp->now_ns = sp->tick_ns = fake.now_ns;
	sp->caps.mtu = 1500;
	memcpy(sp->caps.mac, fake_mac, 6);
	sp->listeners.max = sp->conf.max_listeners;
	sp->apps.max = sp->conf.max_programs;
	sp->apps.listen_fd = -1;
	sp_netns_cookie(&sp->netns_cookie);
	if (sp_loop_init(sp) != 0 ||
		sp_conns_init(sp, sp->conf.max_flows, sp->conf.max_time_wait) ||
		sp_net_init(sp) != 0)
		abort();
	return sp;
}

void fake_stop(struct sp *sp)
{
	sp_listeners_free(sp);
	sp_apps_free(sp);
	sp_passing_free(sp);
	sp_reap_all(sp);
	sp_net_free(sp);
	sp_flow_free(sp);
	sp_conns_free(sp);
	sp_loop_free(sp);
	sp_config_free(&sp->conf);
	close(fake.fd);
	fake_forget();
	free(sp);
}

void fake_advance(struct sp *sp, uint64_t ns)
{
	uint64_t end = fake.now_ns + ns;

	while (fake.now_ns < end) {
		fake.now_ns += end - fake.now_ns < 10000000 ? end - fake.now_ns : 10000000;
		sp->now_ns = fake.now_ns;
		sp_round(sp);
	}
}

void fake_event(const struct fp_event *ev)
{
	fake.events[fake.ev_tail++ % EVENTS] = *ev;
}

void fake_receive(struct sp *sp, const uint8_t *frame, uint32_t len)
{
	fake.exc.len = len;
	fake.exc.cap = len < FP_EXC_FRAME_MAX ? len : FP_EXC_FRAME_MAX;
	fake.exc.gso_size = 0;
	fake.exc.flags = 0;
	memcpy(fake.exc.data, frame, fake.exc.cap);
	fake.have_exc = 1;
	sp_round(sp);
}

/* ---- frames ---- */

uint32_t fake_addr(uint8_t host)
{
	return htonl(0x0a000000u | host);
}

uint32_t fake_tcp(
	uint8_t *frame, uint8_t host, const struct wire_tcp *h, const void *payload, uint32_t len)
{
	uint8_t *tcp = frame + WIRE_ETH_HDR + WIRE_IP4_HDR;
	uint32_t hdr = wire_tcp_emit(tcp, h);
	uint16_t sum;

	if (len != 0)
		memcpy(tcp + hdr, payload, len);
	wire_eth_emit(frame, fake_peer_mac, fake_mac, WIRE_ETH_IP4);
	wire_ip4_emit(frame + WIRE_ETH_HDR, fake_addr(host), fake_addr(2), 6,
		(uint16_t)(WIRE_IP4_HDR + hdr + len), 1, 0, 64);
	sum = wire_csum_fold(wire_csum_add(
		wire_csum_pseudo4(fake_addr(host), fake_addr(2), 6, hdr + len), tcp, hdr + len));
	memcpy(tcp + 16, &sum, 2);
	return WIRE_ETH_HDR + WIRE_IP4_HDR + hdr + len;
}

int fake_parse(uint32_t i, struct seg *s)
{
	const struct fake_frame *f = &fake_frames[i];

	return i < fake_nframes && wire_parse(f->data, f->len, 0, 0, s) == WIRE_TCP ? 0 : -1;
}
