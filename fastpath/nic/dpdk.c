/*
 * dpdk.c - a port of DPDK's public ethdev interface: NICs bound to a user-space driver, and virtual
 * devices. The only file that includes DPDK headers.
 *
 * Offloads are used where the device offers them. A device with fewer queues than there are cores
 * delivers on what it has, cores forward (fastpath/forward.c), and transmit queues are shared under
 * a lock that is otherwise not taken. Frames are copied into mbufs: program memory is not DMA
 * memory. No interrupt is used: the port must be polled. DPDK 22.11 programmer's guide, "Poll Mode
 * Driver" and "Mbuf library".
 */
#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "alloc.h"
#include "port.h"
#include "tas/wire.h"

#define MBUFS	   8191u /* per queue and direction: 2^n - 1 suits the mempool's ring */
#define RING	   1024u
#define POOL_CACHE 256u
#define TSO_ROOM   65160u
#define KEY_MAX	   64
#define ANY_SOCKET ((unsigned int)SOCKET_ID_ANY)

struct rxq {
	struct rte_mbuf *held[NIC_BURST]; /* handed out */
	uint32_t nheld;
	struct rte_mbuf *ahead[NIC_BURST]; /* from the device, not yet asked for: [first, nahead) */
	uint32_t first, nahead;
};

struct dpdk {
	uint16_t port, nrx, ntx, reta_size;
	uint64_t tx_offloads;
	struct rte_mempool *pool;
	pthread_spinlock_t
		tx_lock; /* taken only when there are fewer transmit queues than threads */
	uint8_t key[KEY_MAX];
	struct rxq rx[];
};

/* Hugepages free now? Without, DPDK runs in ordinary memory. */
static int have_hugepages(void)
{
	char line[128];
	unsigned long free_pages = 0;
	FILE *f = fopen("/proc/meminfo", "re");

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "HugePages_Free: %lu", &free_pages) == 1)
			break;
	fclose(f);
	return free_pages >= 64;
}

static int is_pci(const char *device)
{
	return isxdigit((unsigned char)device[0]) && strchr(device, ':') && strchr(device, '.');
}

static int first_cpu(const cpu_set_t *set)
{
	int cpu;

	for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET((size_t)cpu, set))
			return cpu;
	return 0;
}

/* Once per process. EAL pins the calling thread: undone, because the slow path goes where the
 * scheduler puts it. */
static int init_eal(const char *device)
{
	static int done;
	char dev[256], cpu[16], prog[] = "tas", mem[] = "--in-memory", huge[] = "--no-huge",
				alone[] = "--no-shconf", m[] = "-m", mb[] = "512";
	char l[] = "-l", nopci[] = "--no-pci", quiet[] = "--no-telemetry",
	     log[] = "--log-level=error";
	char *argv[16];
	cpu_set_t set;
	int argc = 0, r;

	if (done)
		return -EBUSY;
	if (sched_getaffinity(0, sizeof(set), &set))
		return -errno;
	snprintf(cpu, sizeof(cpu), "%d", first_cpu(&set));
	snprintf(dev, sizeof(dev), is_pci(device) ? "--allow=%s" : "--vdev=%s", device);
	argv[argc++] = prog;
	argv[argc++] = l;
	argv[argc++] = cpu;
	argv[argc++] = quiet;
	argv[argc++] = log;
	if (!is_pci(device))
		argv[argc++] = nopci;
	if (have_hugepages()) {
		argv[argc++] = mem;
	} else {
		argv[argc++] = huge;
		argv[argc++] = alone; /* else one lock file for all daemons of the machine */
		argv[argc++] = m;
		argv[argc++] = mb;
	}
	argv[argc++] = dev;
	argv[argc] = NULL;
	r = rte_eal_init(argc, argv);
	sched_setaffinity(0, sizeof(set), &set);
	if (r < 0)
		return -rte_errno;
	done = 1;
	return 0;
}

static int first_port(uint16_t *port)
{
	uint16_t p;

	for (p = 0; p < RTE_MAX_ETHPORTS; p++) {
		if (!rte_eth_dev_is_valid_port(p))
			continue;
		*port = p;
		return 0;
	}
	return -ENODEV;
}

static void choose_rss(
	struct nic *n, struct dpdk *d, const struct rte_eth_dev_info *info, struct rte_eth_conf *ec)
{
	if (d->nrx < 2 || !(info->flow_type_rss_offloads & RTE_ETH_RSS_NONFRAG_IPV4_TCP))
		return;
	memcpy(d->key, n->steer.rss_key, NIC_RSS_KEY);
	ec->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
	ec->rx_adv_conf.rss_conf.rss_key = d->key;
	ec->rx_adv_conf.rss_conf.rss_key_len = info->hash_key_size && info->hash_key_size <= KEY_MAX
						       ? info->hash_key_size
						       : NIC_RSS_KEY;
	ec->rx_adv_conf.rss_conf.rss_hf = RTE_ETH_RSS_NONFRAG_IPV4_TCP;
	ec->rxmode.offloads |= info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_RSS_HASH;
	d->reta_size = info->reta_size;
	n->steer.toeplitz = 1;
}

static int configure(struct nic *n, struct dpdk *d, const struct nic_conf *conf)
{
	const uint64_t tx_wish = RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_IPV4_CKSUM |
				 RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	struct rte_eth_dev_info info;
	struct rte_eth_conf ec;
	uint64_t tso = RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	int err = rte_eth_dev_info_get(d->port, &info);

	if (err)
		return err;
	memset(&ec, 0, sizeof(ec));
	d->nrx =
		(uint16_t)(conf->nqueues < info.max_rx_queues ? conf->nqueues : info.max_rx_queues);
	d->ntx = (uint16_t)(conf->nqueues + 1 < info.max_tx_queues ? conf->nqueues + 1
								   : info.max_tx_queues);
	d->tx_offloads = ec.txmode.offloads = info.tx_offload_capa & tx_wish;
	ec.rxmode.offloads = info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
	choose_rss(n, d, &info, &ec);
	n->caps.tx_csum = (d->tx_offloads & RTE_ETH_TX_OFFLOAD_TCP_CKSUM) != 0;
	n->caps.tso = n->caps.tx_csum && (d->tx_offloads & tso) == tso;
	n->caps.tso_max = TSO_ROOM;
	n->caps.rx_depth = RING + NIC_BURST;
	return rte_eth_dev_configure(d->port, d->nrx, d->ntx, &ec);
}

static int set_up_mac(struct nic *n, const struct dpdk *d, const struct nic_conf *conf)
{
	static const uint8_t zero[6];
	struct rte_ether_addr mac;
	int err;

	if (memcmp(conf->mac, zero, 6) != 0) {
		memcpy(mac.addr_bytes, conf->mac, 6);
		err = rte_eth_dev_default_mac_addr_set(d->port, &mac);
		if (err)
			return err;
	}
	err = rte_eth_macaddr_get(d->port, &mac);
	memcpy(n->caps.mac, mac.addr_bytes, 6);
	return err;
}

static int set_up_queues(struct nic *n, struct dpdk *d)
{
	uint16_t room = (uint16_t)(n->caps.mtu + RTE_ETHER_HDR_LEN + 2 * RTE_VLAN_HLEN +
				   RTE_PKTMBUF_HEADROOM);
	uint16_t q;
	int err;

	if (room < RTE_MBUF_DEFAULT_BUF_SIZE)
		room = RTE_MBUF_DEFAULT_BUF_SIZE;
	d->pool = rte_pktmbuf_pool_create(
		"tas", MBUFS * (d->nrx + d->ntx), POOL_CACHE, 0, room, SOCKET_ID_ANY);
	if (!d->pool)
		return -rte_errno;
	for (q = 0; q < d->nrx; q++) {
		err = rte_eth_rx_queue_setup(d->port, q, RING, ANY_SOCKET, NULL, d->pool);
		if (err)
			return err;
	}
	for (q = 0; q < d->ntx; q++) {
		err = rte_eth_tx_queue_setup(d->port, q, RING, ANY_SOCKET, NULL);
		if (err)
			return err;
	}
	return rte_eth_dev_start(d->port);
}

/* The name of the step that failed, or NULL. */
static const char *set_up(struct nic *n, struct dpdk *d, const struct nic_conf *conf, int *err)
{
	*err = init_eal(conf->device + 5);
	if (*err)
		return "DPDK does not start";
	*err = first_port(&d->port);
	if (*err)
		return "no such device";
	*err = configure(n, d, conf);
	if (*err)
		return "cannot configure";
	if (conf->mtu)
		rte_eth_dev_set_mtu(d->port, conf->mtu);
	*err = rte_eth_dev_get_mtu(d->port, &n->caps.mtu);
	if (*err)
		return "cannot read the MTU";
	*err = set_up_mac(n, d, conf);
	if (*err)
		return "cannot set the hardware address";
	*err = set_up_queues(n, d);
	return *err ? "cannot start" : NULL;
}

static int dpdk_open(struct nic *n, const struct nic_conf *conf)
{
	struct dpdk *d = fp_calloc(1, sizeof(*d) + conf->nqueues * sizeof(d->rx[0]));
	const char *failed;
	int err = 0;

	if (!d)
		return -ENOMEM;
	pthread_spin_init(&d->tx_lock, PTHREAD_PROCESS_PRIVATE);
	n->priv = d;
	failed = set_up(n, d, conf, &err);
	if (!failed)
		return 0;
	nic_complain(conf->device, failed, err);
	pthread_spin_destroy(&d->tx_lock);
	free(d);
	return err;
}

static void dpdk_close(struct nic *n)
{
	struct dpdk *d = n->priv;

	rte_eth_dev_stop(d->port);
	rte_eth_dev_close(d->port);
	rte_eal_cleanup();
	pthread_spin_destroy(&d->tx_lock);
	free(d);
}

/* A thread that EAL knows has a cache of mbufs of its own. */
static void register_thread(void)
{
	static __thread int asked;

	if (asked)
		return;
	asked = 1;
	if (rte_lcore_id() == LCORE_ID_ANY)
		rte_thread_register();
}

static void describe(struct nic_rxpkt *p, const struct rte_mbuf *m)
{
	p->data = rte_pktmbuf_mtod(m, uint8_t *);
	p->len = m->pkt_len;
	p->gso_size = 0;
	p->flags = (m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD
			   ? NIC_RX_CSUM_OK
			   : 0;
	p->hash = m->ol_flags & RTE_MBUF_F_RX_RSS_HASH ? m->hash.rss : 0;
	p->zero = 0;
}

/*
 * Vector drivers round what they are asked for down to multiples of 4, 8 or 32, and to nothing, so
 * that 0 would not mean "empty": they are always asked for a whole burst.
 */
static uint32_t fetch(
	const struct dpdk *d, uint32_t queue, struct rxq *q, uint32_t max, struct rte_mbuf ***m)
{
	uint32_t n;

	if (q->first == q->nahead) {
		q->first = 0;
		q->nahead = rte_eth_rx_burst(d->port, (uint16_t)queue, q->ahead, NIC_BURST);
	}
	n = q->nahead - q->first;
	if (n > max)
		n = max;
	*m = q->ahead + q->first;
	q->first += n;
	return n;
}

/* A frame in several pieces is longer than the MTU asks for; it is joined where its first piece has
 * room. */
static int dpdk_rx(struct nic *n, uint32_t queue, struct nic_rxpkt *pkts, int max, uint64_t *lost)
{
	struct dpdk *d = n->priv;
	struct rte_mbuf **m;
	struct rxq *q;
	uint32_t got, i;
	int out = 0;

	if (queue >= d->nrx)
		return 0;
	register_thread();
	q = &d->rx[queue];
	got = fetch(d, queue, q, (uint32_t)max, &m);
	for (i = 0; i < got; i++) {
		if (m[i]->nb_segs > 1 && rte_pktmbuf_linearize(m[i]) != 0) {
			rte_pktmbuf_free(m[i]);
			++*lost;
			continue;
		}
		describe(&pkts[out++], m[i]);
		q->held[q->nheld++] = m[i];
	}
	return out;
}

static void dpdk_rx_done(struct nic *n, uint32_t queue)
{
	struct rxq *q = &((struct dpdk *)n->priv)->rx[queue];

	rte_pktmbuf_free_bulk(q->held, q->nheld);
	q->nheld = 0;
}

/* Appends bytes to the chain that starts at `first`; `*last` is its last mbuf. 0 = no mbuf. */
static int append(struct dpdk *d, struct rte_mbuf *first, struct rte_mbuf **last, const uint8_t *p,
	size_t len)
{
	while (len > 0) {
		size_t n = rte_pktmbuf_tailroom(*last);

		if (n == 0) {
			struct rte_mbuf *m = rte_pktmbuf_alloc(d->pool);

			if (!m)
				return 0;
			(*last)->next = m;
			*last = m;
			first->nb_segs++;
			continue;
		}
		if (n > len)
			n = len;
		memcpy(rte_pktmbuf_mtod_offset(*last, uint8_t *, (*last)->data_len), p, n);
		(*last)->data_len = (uint16_t)((*last)->data_len + n);
		first->pkt_len += (uint32_t)n;
		p += n;
		len -= n;
	}
	return 1;
}

/* What the device shall complete. The pseudo-header sum of a frame to be cut has no length in it.
 */
static void ask_offloads(const struct nic_txpkt *p, struct rte_mbuf *m)
{
	uint8_t *hdr = rte_pktmbuf_mtod(m, uint8_t *);
	uint16_t sum;

	if (!p->csum_start)
		return;
	sum = nic_pseudo_sum(p, p->gso_size == 0);
	memcpy(hdr + p->csum_start + p->csum_offset, &sum, sizeof(sum));
	m->tx_offload = rte_mbuf_tx_offload(WIRE_ETH_HDR, p->csum_start - WIRE_ETH_HDR,
		(uint64_t)(p->hdr_len - p->csum_start), p->gso_size, 0, 0, 0);
	m->ol_flags |= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_CKSUM;
	if (p->gso_size) {
		m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_IP_CKSUM;
		memset(hdr + WIRE_ETH_HDR + 10, 0, 2); /* the device writes one per segment */
	}
}

static struct rte_mbuf *to_mbuf(struct dpdk *d, const struct nic_txpkt *p)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(d->pool), *last = m;
	int ok, i;

	if (!m)
		return NULL;
	ok = append(d, m, &last, p->hdr, p->hdr_len);
	for (i = 0; ok && i < p->niov; i++)
		ok = append(d, m, &last, p->iov[i].iov_base, p->iov[i].iov_len);
	if (!ok) {
		rte_pktmbuf_free(m);
		return NULL;
	}
	ask_offloads(p, m);
	return m;
}

static uint16_t burst(
	struct nic *n, struct dpdk *d, uint32_t queue, struct rte_mbuf **m, uint16_t count)
{
	uint16_t sent;

	if (d->ntx > n->nqueues)
		return rte_eth_tx_burst(d->port, (uint16_t)queue, m, count);
	pthread_spin_lock(&d->tx_lock);
	sent = rte_eth_tx_burst(d->port, (uint16_t)(queue % d->ntx), m, count);
	pthread_spin_unlock(&d->tx_lock);
	return sent;
}

static int dpdk_tx(struct nic *n, uint32_t queue, const struct nic_txpkt *pkts, int count)
{
	struct dpdk *d = n->priv;
	struct rte_mbuf *m[NIC_BURST];
	uint16_t made = 0, sent;

	register_thread();
	while (made < count && made < NIC_BURST) {
		m[made] = to_mbuf(d, &pkts[made]);
		if (!m[made])
			break;
		made++;
	}
	sent = made ? burst(n, d, queue, m, made) : 0;
	if (sent < made)
		rte_pktmbuf_free_bulk(m + sent, made - sent);
	return sent;
}

static int dpdk_missed(struct nic *n, uint64_t *frames)
{
	struct rte_eth_stats stats;
	int err = rte_eth_stats_get(((struct dpdk *)n->priv)->port, &stats);

	if (err)
		return err;
	*frames = stats.imissed + stats.rx_nombuf;
	return 0;
}

static int dpdk_rx_fd(struct nic *n, uint32_t queue)
{
	(void)n;
	(void)queue;
	return -1;
}

/* All redirection entries that stand for the group. Impossible where the table is smaller than the
 * groups. */
static int dpdk_steer(struct nic *n, uint32_t group, uint32_t queue)
{
	struct dpdk *d = n->priv;
	struct rte_eth_rss_reta_entry64 reta[RTE_ETH_RSS_RETA_SIZE_512 / RTE_ETH_RETA_GROUP_SIZE];
	uint32_t i;

	if (!n->steer.toeplitz)
		return d->nrx == 1 ? 0 : -ENOTSUP;
	if (d->reta_size < NIC_GROUPS || d->reta_size > RTE_ETH_RSS_RETA_SIZE_512 ||
		queue >= d->nrx)
		return -ENOTSUP;
	memset(reta, 0, sizeof(reta));
	for (i = group; i < d->reta_size; i += NIC_GROUPS) {
		reta[i / RTE_ETH_RETA_GROUP_SIZE].mask |= 1ull << (i % RTE_ETH_RETA_GROUP_SIZE);
		reta[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE] =
			(uint16_t)queue;
	}
	return rte_eth_dev_rss_reta_update(d->port, reta, d->reta_size);
}

const struct nic_ops nic_dpdk_ops = {
	.open = dpdk_open,
	.close = dpdk_close,
	.rx = dpdk_rx,
	.rx_done = dpdk_rx_done,
	.tx = dpdk_tx,
	.missed = dpdk_missed,
	.rx_fd = dpdk_rx_fd,
	.steer = dpdk_steer,
};
