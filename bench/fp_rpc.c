/*
 * fp_rpc.c - what does one small RPC cost the fast path? Frames lie in memory, the port does
 * nothing, the program is driven between rounds: TSC cycles inside fp_core_poll only, per RPC = one
 * segment in, the program's ring, one segment out (which carries the ACK). Median and best of
 * several runs.
 *
 *   bench_fp_rpc [flows] [burst] [payload bytes]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <x86intrin.h>
#include "core.h"
#include "nic/port.h"

#define RUNS	 15
#define RPCS	 400000u
#define OUR_ADDR 0x0200000au
#define ADDR	 0x0100000au
#define HEAD	 (14 + 20 + 32)

struct peer {
	uint32_t seq, ack, chunk;
	uint64_t written;
};

/* The device's buffers: the same ones again and again. */
static uint8_t frames[NIC_BURST][HEAD + 2048];

static struct peer *peers;
static uint32_t burst_count, nflows, payload;
static uint64_t tx_frames;
static uint32_t *pool, npool; /* send chunks */

static int port_rx(struct nic *n, uint32_t queue, struct nic_rxpkt *pkts, int max, uint64_t *lost)
{
	uint32_t i;

	(void)n;
	(void)lost;
	(void)queue;
	for (i = 0; i < burst_count && i < (uint32_t)max; i++)
		pkts[i] = (struct nic_rxpkt){
			.data = frames[i], .len = HEAD + payload, .flags = NIC_RX_CSUM_OK};
	burst_count = 0;
	return (int)i;
}

static void port_rx_done(struct nic *n, uint32_t queue)
{
	(void)n;
	(void)queue;
}

static int port_tx(struct nic *n, uint32_t queue, const struct nic_txpkt *pkts, int count)
{
	(void)n;
	(void)queue;
	(void)pkts;
	tx_frames += (uint64_t)count;
	return count;
}

static int port_fd(struct nic *n, uint32_t queue)
{
	(void)n;
	(void)queue;
	return -1;
}

static int port_steer(struct nic *n, uint32_t group, uint32_t queue)
{
	(void)n;
	(void)group;
	(void)queue;
	return 0;
}

static const struct nic_ops ops = {.rx = port_rx,
	.rx_done = port_rx_done,
	.tx = port_tx,
	.rx_fd = port_fd,
	.steer = port_steer};

static void *map(uint64_t n)
{
	void *p = mmap(
		NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		exit(1);
	return p;
}

static void make_app(struct fp *fp)
{
	struct fp_app *a = fp_app(fp, 1);
	uint32_t slots = (nflows + 63) & ~63u, i;
	uint64_t at = 4096;

	a->id = 1;
	a->nslots = slots;
	a->ncores = a->nevq = 1;
	a->nsegs_max = 2 + slots / TAS_SEG_CHUNKS;
	a->bell_bytes = tas_bell_size(slots);
	a->off_slots = at;
	at += (uint64_t)slots * sizeof(struct tas_sock);
	a->off_tobells = at;
	at += a->bell_bytes;
	a->off_evqs = at;
	at += a->bell_bytes;
	a->off_rxnext = at;
	at += (uint64_t)a->nsegs_max * TAS_SEG_CHUNKS * 4;
	a->off_txnext = at;
	at += (uint64_t)a->nsegs_max * TAS_SEG_CHUNKS * 4;
	a->off_offer = at;
	at += a->nsegs_max * TAS_SEG_CHUNKS / 8;
	a->region = map(at);
	a->info = map(sizeof(*a->info));
	for (i = 0; i < a->nsegs_max; i++)
		a->seg[i] = map(TAS_SEG_BYTES);
	a->nsegs = a->nsegs_max;
	a->core_fd[0] = a->evq_fd[0] = -1;
	a->slot_flow = calloc(slots, 4);
	a->rx_next = calloc((size_t)a->nsegs_max * TAS_SEG_CHUNKS, 4);
	memset((char *)a->region + a->off_offer, 0xff, TAS_SEG_CHUNKS / 8);
	a->region->rx_offered = TAS_SEG_CHUNKS;
	fp_send(fp, 0, &(struct sp_msg){.type = SP_APP_ADD, .id = 1});
}

static struct fp *make_fp(struct nic *n)
{
	struct fp_conf conf = {
		.ncores = 1, .max_flows = nflows, .nic = n, .min_rto_us = 200000, .naddrs = 1};
	struct fp *fp;

	conf.rcvbuf_max = conf.sndbuf_max = 1u << 20;
	conf.hash_key[0] = 7;
	tas_addr_from_v4(conf.addrs[0], OUR_ADDR);
	if (fp_create(&conf, &fp))
		exit(1);
	fp_neigh_set(fp, 1, FP_NEIGH_VALID | 0x020202020202ull);
	return fp;
}

static struct tas_tuple tuple_of(uint32_t i)
{
	struct tas_tuple t = {.lport = 0x5000, .rport = (uint16_t)i};

	tas_addr_from_v4(t.laddr, OUR_ADDR);
	tas_addr_from_v4(t.raddr, ADDR + (i >> 16 << 24));
	return t;
}

static void install(struct fp *fp, uint32_t i)
{
	struct sp_msg m = {.type = SP_FLOW_INSTALL, .id = i + 1, .gen = i + 1};
	struct fp_flow_init *in = &m.u.install;

	in->tuple = tuple_of(i);
	in->gen = i + 1;
	in->iss = in->irs = 1000;
	in->snd_wnd = 65535;
	in->rcv_adv = 1001 + 65535;
	in->mss = 1448;
	in->has_ts = in->has_sack = 1;
	in->neigh = 1;
	in->app = 1;
	in->slot = i;
	in->cc.growth = 1448;
	in->rtt_us = 100;
	while (fp_send(fp, 0, &m))
		fp_core_poll(&fp->cores[0], fp_now_ns());
	peers[i].seq = peers[i].ack = 1001;
}

static void write_frame(uint8_t *frame, uint32_t i, uint32_t ts)
{
	struct peer *p = &peers[i];
	struct tas_tuple t = tuple_of(i);
	struct wire_tcp h = {.lport = t.rport,
		.rport = t.lport,
		.seq = p->seq,
		.ack = p->ack,
		.wnd = 65535,
		.flags = TCP_ACK | TCP_PSH,
		.has_ts = 1,
		.ts_val = ts,
		.wscale = SEG_NO_WSCALE};

	memset(frame, 0, 14);
	frame[12] = 8;
	wire_ip4_emit(
		frame + 14, tas_addr_v4(t.raddr), OUR_ADDR, 6, (uint16_t)(52 + payload), 0, 0, 64);
	wire_tcp_emit(frame + 34, &h);
	p->seq += payload;
}

/*
 * The program: reads all, answers with `len` bytes. What was sent before is acknowledged by what
 * came, so its chunk is free and the list starts anew in the chunk freed last, as libtas does it.
 */
static void answer(struct fp_app *a, uint32_t slot, uint32_t len)
{
	struct tas_sock *s = fp_slot_sock(a, slot);
	struct peer *p = &peers[slot];

	if (p->chunk)
		pool[npool++] = p->chunk;
	p->chunk = pool[--npool];
	s->tx_first_chunk = p->chunk;
	s->tx_first_pos = p->written;
	if (p->written % TAS_CHUNK_BYTES + len > TAS_CHUNK_BYTES)
		tas_store((uint32_t *)((char *)a->region + a->off_txnext) + p->chunk, p->chunk);
	p->written += len;
	s->rx_tail = s->rx_head;
	tas_store_rel(&s->tx_head, p->written);
	tas_bell_ring(tas_region_bell(a->region, a->off_tobells, a->bell_bytes, 0), slot);
	p->ack += len;
}

static uint64_t poll_cycles(struct fp *fp)
{
	uint64_t now = fp_now_ns(), t0, t1;

	t0 = __rdtsc();
	fp_core_poll(&fp->cores[0], now);
	t1 = __rdtsc();
	return t1 - t0;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double run(struct fp *fp, uint32_t burst)
{
	static double sample[RPCS];
	struct fp_app *a = fp_app(fp, 1);
	uint64_t cycles;
	uint32_t done, n = 0, i, cursor = 0, first;
	static uint32_t at;

	for (done = 0; done < RPCS; done += burst) {
		for (i = 0; i < burst; i++)
			write_frame(
				frames[i], (at + i) % nflows, (uint32_t)(fp_now_ns() / 1000000));
		burst_count = burst;
		cycles = poll_cycles(fp);
		while (tas_bell_take(tas_region_bell(a->region, a->off_evqs, a->bell_bytes, 0),
			a->nslots, &cursor, &first))
			;
		for (i = 0; i < burst; i++)
			answer(a, (at + i) % nflows, payload);
		cycles += poll_cycles(fp);
		sample[n++] = (double)cycles / burst;
		at = (at + burst) % nflows;
	}
	qsort(sample, n, sizeof(sample[0]), by_value);
	return sample[n / 2];
}

/* Streams at different positions: in step, all would use the same sets of the cache. */
static void spread(struct fp *fp)
{
	struct fp_app *a = fp_app(fp, 1);
	uint32_t i;

	npool = a->nsegs * TAS_SEG_CHUNKS - TAS_SEG_CHUNKS;
	pool = calloc(npool, sizeof(*pool));
	for (i = 0; i < npool; i++)
		pool[i] = TAS_SEG_CHUNKS + i;
	for (i = 0; i < nflows; i++) {
		answer(a, i, 64 + (uint32_t)rand() % 12000);
		fp_core_poll(&fp->cores[0], fp_now_ns());
	}
}

int main(int argc, char **argv)
{
	struct nic n = {.ops = &ops,
		.nqueues = 1,
		.caps = {.tso = 1, .tx_csum = 1, .mtu = 1500, .tso_max = 65160}};
	uint32_t burst = argc > 2 ? (uint32_t)atoi(argv[2]) : 16, i;
	double r[RUNS];
	struct fp *fp;

	nflows = argc > 1 ? (uint32_t)atoi(argv[1]) : 64;
	payload = argc > 3 ? (uint32_t)atoi(argv[3]) : 64;
	if (nflows == 0 || burst == 0 || burst > NIC_BURST || burst > nflows || payload > 1448)
		return 1;
	nic_steer_init(&n.steer);
	peers = calloc(nflows, sizeof(*peers));
	fp = make_fp(&n);
	make_app(fp);
	for (i = 0; i < nflows; i++)
		install(fp, i);
	while (fp_core_poll(&fp->cores[0], fp_now_ns()))
		;
	spread(fp);
	for (i = 0; i < RUNS; i++)
		r[i] = run(fp, burst);
	qsort(r, RUNS, sizeof(r[0]), by_value);
	printf("flows=%u burst=%u payload=%u cycles/rpc median=%.0f best=%.0f frames_out/rpc=%.2f "
	       "acks=%lu sleeps=%lu\n",
		nflows, burst, payload, r[RUNS / 2], r[0],
		(double)tx_frames / (RUNS * (double)RPCS), (unsigned long)fp->cores[0].cnt.tx_acks,
		(unsigned long)fp->cores[0].cnt.app_wakes);
	if (fp_app(fp, 1)->bad)
		return 1;
	fp_destroy(fp);
	return 0;
}
