/*
 * nic.c - a NIC port: which family, and the calls that go to it (nic.h).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "alloc.h"
#include "port.h"
#include "tas/wire.h"

void nic_complain(const char *device, const char *what, int err)
{
	int denied = err == -EPERM || err == -EACCES;

	fprintf(stderr, "nic: %s: %s: %s%s\n", device, what, strerror(err < 0 ? -err : err),
		denied ? ": needs root, or CAP_NET_ADMIN" : "");
}

static const struct nic_ops *family(const char *device)
{
	if (strncmp(device, "tap:", 4) == 0)
		return &nic_tap_ops;
	if (strncmp(device, "dpdk:", 5) == 0)
		return &nic_dpdk_ops;
	return NULL;
}

int nic_open(const struct nic_conf *conf, struct nic **out)
{
	const struct nic_ops *ops = family(conf->device);
	struct nic *n;
	int err;

	if (!ops || conf->nqueues == 0) {
		nic_complain(conf->device, "neither tap:NAME nor dpdk:DEVICE", EINVAL);
		return -EINVAL;
	}
	n = fp_calloc(1, sizeof(*n));
	if (!n)
		return -ENOMEM;
	n->ops = ops;
	n->nqueues = conf->nqueues;
	nic_steer_init(&n->steer);
	err = ops->open(n, conf);
	if (err) {
		free(n);
		return err;
	}
	*out = n;
	return 0;
}

void nic_close(struct nic *n)
{
	if (!n)
		return;
	n->ops->close(n);
	free(n);
}

const struct nic_caps *nic_caps(const struct nic *n)
{
	return &n->caps;
}

int nic_rx(struct nic *n, uint32_t queue, struct nic_rxpkt *pkts, int max, uint64_t *lost)
{
	return n->ops->rx(n, queue, pkts, max, lost);
}

void nic_rx_done(struct nic *n, uint32_t queue)
{
	n->ops->rx_done(n, queue);
}

int nic_tx(struct nic *n, uint32_t queue, const struct nic_txpkt *pkts, int count)
{
	return n->ops->tx(n, queue, pkts, count);
}

int nic_missed(struct nic *n, uint64_t *frames)
{
	return n->ops->missed ? n->ops->missed(n, frames) : -ENOTSUP;
}

int nic_rx_fd(struct nic *n, uint32_t queue)
{
	return n->ops->rx_fd(n, queue);
}

int nic_steer(struct nic *n, uint32_t group, uint32_t queue)
{
	if (group >= NIC_GROUPS || queue >= n->nqueues)
		return -EINVAL;
	return n->ops->steer(n, group, queue);
}

uint16_t nic_pseudo_sum(const struct nic_txpkt *p, int with_len)
{
	uint32_t saddr, daddr;
	uint32_t len = p->hdr_len - p->csum_start + p->payload_len;
	const uint8_t *ip = p->hdr + WIRE_ETH_HDR;

	memcpy(&saddr, ip + 12, 4);
	memcpy(&daddr, ip + 16, 4);
	return (uint16_t)~wire_csum_fold(
		wire_csum_pseudo4(saddr, daddr, ip[9], with_len ? len : 0));
}
