/*
 * tap.c - the host's own kernel as the network: a multi-queue tap with a virtio-net header, so that
 * frames of 64 KB go both ways with unfinished checksums.
 *
 * One descriptor per core. Frames are read with the header in a buffer of its own, so that they
 * start aligned; frames are written with payload straight from the pieces. The slow path writes
 * through queue 0's descriptor: the kernel keeps no state of a write per descriptor, and one more
 * queue would be given frames that nobody reads. tuntap.rst, virtio 1.1 section 5.1.6 (struct
 * virtio_net_hdr), netdevice(7).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>
#include "alloc.h"
#include "tap_steer.h"
#include "tas/wire.h"

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

#define OFFLOADS     (TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN)
#define OFFLOADS_USO (TUN_F_USO4 | TUN_F_USO6)
#define VNET_BYTES   12
#define TCP_FLAGS_AT 13u /* in the TCP header: RFC 9293 3.1 */
#define FRAME_MAX                                                                                  \
	65565u /* what a read can return: 64 KB of IP behind Ethernet and VLAN headers \
			     */
/* Not a multiple of 4096, or the starts of all buffers would share the same sets of the cache. */
#define STRIDE	     (65600u + 5 * 64u)
#define TX_QUEUE_LEN 4000 /* a full ring drops: tap_missed */
#define TSO_MAX	     65160u
#define GONE_WAIT_US 1000000u /* a device whose process has just ended lives on for some 10 ms */

struct queue {
	int fd;
	uint8_t *frames; /* NIC_BURST of STRIDE bytes */
	struct virtio_net_hdr_mrg_rxbuf hdr[NIC_BURST];
};

struct tap {
	char name[IFNAMSIZ];
	struct tap_steer steer;
	int ctl; /* socket for interface ioctls */
	uint32_t nqueues;
	struct queue queue[];
};

struct stats_question {
	struct nlmsghdr head;
	struct if_stats_msg what;
};

struct stats_answer {
	struct nlmsghdr head;
	struct if_stats_msg what;
	struct rtattr attr;
	uint8_t stats[1024]; /* struct rtnl_link_stats64, as long as this kernel has it */
};

_Static_assert(sizeof(struct virtio_net_hdr_mrg_rxbuf) == VNET_BYTES,
	"header as set with TUNSETVNETHDRSZ");

static int if_ioctl(const struct tap *t, unsigned long request, struct ifreq *ifr)
{
	snprintf(ifr->ifr_name, sizeof(ifr->ifr_name), "%s", t->name);
	return ioctl(t->ctl, request, ifr) < 0 ? -errno : 0;
}

/* A persistent tap made for us may be there already; any other of that name belongs to somebody. */
static int is_persistent(const char *name)
{
	char path[64], text[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/sys/class/net/%s/tun_flags", name);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (!fgets(text, sizeof(text), f))
		text[0] = 0;
	fclose(f);
	return (strtoul(text, NULL, 0) & IFF_PERSIST) != 0;
}

static int name_free(const char *name)
{
	uint32_t waited;

	for (waited = 0; waited < GONE_WAIT_US; waited += 10000) {
		if (if_nametoindex(name) == 0 || is_persistent(name))
			return 1;
		usleep(10000);
	}
	return 0;
}

static int set_offloads(int fd)
{
	if (ioctl(fd, TUNSETOFFLOAD, (unsigned long)(OFFLOADS | OFFLOADS_USO)) == 0)
		return 0;
	return ioctl(fd, TUNSETOFFLOAD, (unsigned long)OFFLOADS) == 0 ? 0 : -errno;
}

static int open_queue(const struct tap *t, struct queue *q)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE};
	int vnet = VNET_BYTES, little = 1;

	q->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (q->fd < 0)
		return -errno;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", t->name);
	if (ioctl(q->fd, TUNSETIFF, &ifr) < 0)
		return -errno;
	memset(&ifr, 0, sizeof(ifr));
	if (ioctl(q->fd, TUNGETIFF, &ifr) < 0)
		return -errno;
	if (strcmp(ifr.ifr_name, t->name) != 0)
		return -EINVAL; /* a pattern in the name: the kernel chose another one */
	if (ioctl(q->fd, TUNSETVNETHDRSZ, &vnet) < 0 || ioctl(q->fd, TUNSETVNETLE, &little) < 0)
		return -errno;
	q->frames = fp_pages((uint64_t)NIC_BURST * STRIDE);
	if (!q->frames)
		return -errno;
	return set_offloads(q->fd);
}

static int configure_link(struct nic *n, const struct tap *t, const struct nic_conf *conf)
{
	struct ifreq ifr = {0};
	int err;

	ifr.ifr_qlen = TX_QUEUE_LEN;
	err = if_ioctl(t, SIOCSIFTXQLEN, &ifr);
	if (err)
		return err;
	if (conf->mtu) {
		ifr.ifr_mtu = conf->mtu;
		err = if_ioctl(t, SIOCSIFMTU, &ifr);
		if (err)
			return err;
	}
	err = if_ioctl(t, SIOCGIFMTU, &ifr);
	if (err)
		return err;
	n->caps.mtu = (uint16_t)(ifr.ifr_mtu > UINT16_MAX ? UINT16_MAX : ifr.ifr_mtu);
	err = if_ioctl(t, SIOCGIFFLAGS, &ifr);
	if (err)
		return err;
	ifr.ifr_flags = (short)(ifr.ifr_flags | IFF_UP);
	return if_ioctl(t, SIOCSIFFLAGS, &ifr);
}

/* Our end of the wire has an address of its own, other than the kernel's end. */
static int choose_mac(struct nic *n, const struct tap *t, const struct nic_conf *conf)
{
	static const uint8_t zero[6];
	struct ifreq ifr = {0};
	int err = if_ioctl(t, SIOCGIFHWADDR, &ifr);

	if (err)
		return err;
	memcpy(n->caps.mac, conf->mac, 6);
	if (memcmp(conf->mac, zero, 6) != 0)
		return memcmp(conf->mac, ifr.ifr_hwaddr.sa_data, 6) == 0 ? -EADDRINUSE : 0;
	do {
		if (getrandom(n->caps.mac, 6, 0) != 6)
			return -EAGAIN;
		n->caps.mac[0] = (uint8_t)((n->caps.mac[0] & 0xfc) |
					   2); /* locally administered, one station */
	} while (memcmp(n->caps.mac, ifr.ifr_hwaddr.sa_data, 6) == 0);
	return 0;
}

static void close_queues(struct tap *t)
{
	uint32_t i;

	for (i = 0; i < t->nqueues; i++) {
		if (t->queue[i].fd >= 0)
			close(t->queue[i].fd);
		if (t->queue[i].frames)
			munmap(t->queue[i].frames, (size_t)NIC_BURST * STRIDE);
	}
}

static void tap_close(struct nic *n)
{
	struct tap *t = n->priv;

	tap_steer_close(&t->steer);
	close_queues(t);
	if (t->ctl >= 0)
		close(t->ctl);
	free(t);
}

/* The name of the step that failed, or NULL. */
static const char *set_up(struct nic *n, struct tap *t, const struct nic_conf *conf, int *err)
{
	uint32_t i;

	if (!name_free(t->name)) {
		*err = -EBUSY;
		return "the interface exists already (another tas?)";
	}
	t->ctl = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (t->ctl < 0) {
		*err = -errno;
		return "socket";
	}
	for (i = 0; i < t->nqueues; i++) {
		*err = open_queue(t, &t->queue[i]);
		if (*err)
			return "cannot open a queue (/dev/net/tun)";
	}
	*err = choose_mac(n, t, conf);
	if (*err)
		return "the hardware address is the kernel's own";
	if (t->nqueues > 1)
		tap_steer_open(&t->steer, t->queue[0].fd, &n->steer); /* refused: cores forward */
	*err = configure_link(n, t, conf);
	return *err ? "cannot set the link up" : NULL;
}

static int tap_open(struct nic *n, const struct nic_conf *conf)
{
	const char *name = conf->device + 4, *failed;
	struct tap *t;
	uint32_t i;
	int err = 0;

	if (name[0] == 0 || strlen(name) >= IFNAMSIZ) {
		nic_complain(conf->device, "interface name", EINVAL);
		return -EINVAL;
	}
	t = fp_calloc(1, sizeof(*t) + conf->nqueues * sizeof(t->queue[0]));
	if (!t)
		return -ENOMEM;
	snprintf(t->name, sizeof(t->name), "%s", name);
	t->nqueues = conf->nqueues;
	t->ctl = t->steer.map_fd = t->steer.prog_fd = -1;
	for (i = 0; i < t->nqueues; i++)
		t->queue[i].fd = -1;
	n->priv = t;
	n->caps = (struct nic_caps){.tso = 1,
		.tx_csum = 1,
		.rx_large = 1,
		.tso_max = TSO_MAX,
		.rx_depth = TX_QUEUE_LEN};
	failed = set_up(n, t, conf, &err);
	if (!failed)
		return 0;
	nic_complain(conf->device, failed, err);
	tap_close(n);
	return err;
}

/* virtio 1.1 section 5.1.6.4: what the header says of a frame. */
static void describe(struct nic_rxpkt *p, const struct virtio_net_hdr_mrg_rxbuf *h)
{
	uint8_t type = h->hdr.gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;

	p->gso_size = type == VIRTIO_NET_HDR_GSO_NONE ? 0 : h->hdr.gso_size;
	p->flags = h->hdr.flags & (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID)
			   ? NIC_RX_CSUM_OK
			   : 0;
	p->hash = 0;
	p->zero = 0;
}

static int tap_rx(struct nic *n, uint32_t queue, struct nic_rxpkt *pkts, int max, uint64_t *lost)
{
	struct queue *q = &((struct tap *)n->priv)->queue[queue];
	int i;

	(void)lost; /* a read has room for all that the kernel can send */
	for (i = 0; i < max; i++) {
		uint8_t *frame = q->frames + (size_t)i * STRIDE;
		struct iovec iov[2] = {{&q->hdr[i], VNET_BYTES}, {frame, FRAME_MAX}};
		ssize_t len = readv(q->fd, iov, 2);

		if (len < 0) {
			if (i > 0 || errno == EAGAIN || errno == EINTR)
				return i;
			return -errno;
		}
		if (len <= VNET_BYTES)
			return i;
		pkts[i].data = frame;
		pkts[i].len = (uint32_t)len - VNET_BYTES;
		describe(&pkts[i], &q->hdr[i]);
	}
	return i;
}

static void tap_rx_done(struct nic *n, uint32_t queue)
{
	(void)n;
	(void)queue; /* buffers are used again by the next read */
}

static void fill_vnet(const struct nic_txpkt *p, struct virtio_net_hdr_mrg_rxbuf *h, uint8_t *hdr)
{
	uint16_t sum;

	memset(h, 0, sizeof(*h));
	if (p->csum_start) {
		sum = nic_pseudo_sum(p, 1);
		memcpy(hdr + p->csum_start + p->csum_offset, &sum, sizeof(sum));
		h->hdr.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		h->hdr.csum_start = p->csum_start;
		h->hdr.csum_offset = p->csum_offset;
	}
	if (p->gso_size) {
		h->hdr.gso_type = p->v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
		/* RFC 3168 6.1.2: on the first segment only, whoever cuts the frame. */
		if (hdr[p->csum_start + TCP_FLAGS_AT] & TCP_CWR)
			h->hdr.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
		h->hdr.gso_size = p->gso_size;
		h->hdr.hdr_len = p->hdr_len;
	}
}

static int send_one(int fd, const struct nic_txpkt *p)
{
	struct virtio_net_hdr_mrg_rxbuf vnet;
	struct iovec iov[2 + NIC_TX_IOV];
	uint8_t hdr[NIC_HDR_MAX];
	uint32_t i;

	memcpy(hdr, p->hdr, p->hdr_len);
	fill_vnet(p, &vnet, hdr);
	iov[0] = (struct iovec){&vnet, VNET_BYTES};
	iov[1] = (struct iovec){hdr, p->hdr_len};
	for (i = 0; i < p->niov; i++)
		iov[2 + i] = p->iov[i];
	if (writev(fd, iov, (int)(2 + p->niov)) >= 0)
		return 0;
	return -errno;
}

static int tap_tx(struct nic *n, uint32_t queue, const struct nic_txpkt *pkts, int count)
{
	const struct tap *t = n->priv;
	int fd = t->queue[queue < t->nqueues ? queue : 0].fd, i, err;

	for (i = 0; i < count; i++) {
		err = send_one(fd, &pkts[i]);
		if (err == 0)
			continue;
		if (i > 0 || err == -EAGAIN || err == -EINTR)
			return i;
		return err;
	}
	return i;
}

/* The answer to RTM_GETSTATS: rtnetlink(7), linux/if_link.h. */
static int parse_missed(const struct stats_answer *a, size_t len, uint64_t *frames)
{
	const size_t at = offsetof(struct rtnl_link_stats64, tx_dropped);

	if (len < offsetof(struct stats_answer, stats) + at + sizeof(*frames) ||
		a->head.nlmsg_type != RTM_NEWSTATS || a->attr.rta_type != IFLA_STATS_LINK_64)
		return -EPROTO;
	memcpy(frames, a->stats + at, sizeof(*frames));
	return 0;
}

/* What the kernel could not send to us. */
static int tap_missed(struct nic *n, uint64_t *frames)
{
	const struct tap *t = n->priv;
	struct stats_question q = {.head = {.nlmsg_len = sizeof(q),
					   .nlmsg_type = RTM_GETSTATS,
					   .nlmsg_flags = NLM_F_REQUEST},
		.what = {.ifindex = if_nametoindex(t->name),
			.filter_mask = IFLA_STATS_FILTER_BIT(IFLA_STATS_LINK_64)}};
	struct stats_answer a;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE), err;
	ssize_t len = -1;

	if (fd < 0)
		return -errno;
	if (send(fd, &q, sizeof(q), 0) >= 0)
		len = recv(fd, &a, sizeof(a), 0);
	err = len < 0 ? -errno : parse_missed(&a, (size_t)len, frames);
	close(fd);
	return err;
}

static int tap_rx_fd(struct nic *n, uint32_t queue)
{
	return ((struct tap *)n->priv)->queue[queue].fd;
}

static int tap_steer(struct nic *n, uint32_t group, uint32_t queue)
{
	struct tap *t = n->priv;

	if (!t->steer.queue)
		return t->nqueues == 1 ? 0 : -ENOTSUP;
	tap_steer_set(&t->steer, group, queue);
	return 0;
}

const struct nic_ops nic_tap_ops = {
	.open = tap_open,
	.close = tap_close,
	.rx = tap_rx,
	.rx_done = tap_rx_done,
	.tx = tap_tx,
	.missed = tap_missed,
	.rx_fd = tap_rx_fd,
	.steer = tap_steer,
};
