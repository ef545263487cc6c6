/*
 * nic.h - a NIC port: a handful of functions, two families behind them (tap with virtio-net header,
 * DPDK).
 *
 * A port has nqueues receive/transmit queue pairs, one per fast-path core, and one transmit-only
 * handle for the slow path (queue index nqueues). A queue is used by one thread at a time. Frames
 * are Ethernet. nic_rx() hands out buffers that stay valid until nic_rx_done() on the same queue.
 */
#ifndef FP_NIC_H
#define FP_NIC_H

#include <stdint.h>
#include <sys/uio.h>

#define NIC_BURST   32
#define NIC_TX_IOV  16 /* payload pieces of one frame */
#define NIC_HDR_MAX 128

/* nic_rxpkt.flags */
#define NIC_RX_CSUM_OK 0x1u /* the device (or the kernel) vouches for the TCP/UDP checksum */
#define NIC_RX_OWN     0x2u /* came from ourselves (loopback.c); no device says so */

struct nic_rxpkt {
	uint8_t *data;
	uint32_t len;
	uint16_t gso_size; /* payload per wire segment of a large frame, 0 = an ordinary frame */
	uint16_t flags;
	uint32_t hash; /* RSS hash where the device gives one, else 0 */
	uint32_t zero;
};

/* One frame to send: headers are copied by nic_tx, payload pieces are read before it returns (tap)
 * or copied. */
struct nic_txpkt {
	uint8_t hdr[NIC_HDR_MAX]; /* Ethernet + IP + TCP headers; checksum field ignored when
				     csum_start != 0 */
	uint16_t hdr_len;
	uint16_t csum_start,
		csum_offset; /* as virtio: sum from csum_start, store at csum_start + csum_offset */
	uint16_t gso_size;   /* != 0: cut the payload into segments of this size */
	uint16_t niov;
	uint8_t v6;
	uint8_t own; /* to an address of our own: never given to a port (loopback.c) */
	uint8_t pad[4];
	uint32_t payload_len;
	struct iovec iov[NIC_TX_IOV];
};

struct nic_caps {
	uint8_t tso;	  /* frames with gso_size accepted */
	uint8_t tx_csum;  /* TCP checksum filled in by the port from the pseudo-header sum */
	uint8_t rx_large; /* frames up to 64 KB are received */
	uint8_t mac[6];
	uint16_t mtu;
	uint32_t tso_max;  /* largest payload of one frame */
	uint32_t rx_depth; /* a receive queue holds about so many frames; never 0 */
};

struct nic;

struct nic_conf {
	const char *device; /* "tap:NAME" or a DPDK device string "dpdk:net_af_packet0,iface=..." */
	uint32_t nqueues;
	uint16_t mtu;	/* 0 = the device's */
	uint8_t mac[6]; /* all zero = chosen */
};

/*
 * Opens the port named in `conf`. Slow path thread, before the cores start. 0 and *out, or -errno
 * with one sentence logged.
 */
int nic_open(const struct nic_conf *conf, struct nic **out);
void nic_close(struct nic *n);
const struct nic_caps *nic_caps(const struct nic *n);

/* Receives up to max (<= NIC_BURST) frames. Returns the number; 0 = none now; -errno = the device
 * is gone. Frames that the port has but cannot hand over are added to *lost. */
int nic_rx(struct nic *n, uint32_t queue, struct nic_rxpkt *pkts, int max, uint64_t *lost);
void nic_rx_done(struct nic *n, uint32_t queue);

/*
 * Sends frames in order; returns how many the device took (0 = full; the rest is the caller's to
 * count or retry), or -errno: the device refuses pkts[0] for good.
 */
int nic_tx(struct nic *n, uint32_t queue, const struct nic_txpkt *pkts, int count);

/* Frames that the port had no room for, all queues, so far: 0 and *frames, or -errno and
 * *frames as it was. A few system calls; slow path thread. */
int nic_missed(struct nic *n, uint64_t *frames);

/* Descriptor that is readable when the queue has frames, or -1: the port must be polled. */
int nic_rx_fd(struct nic *n, uint32_t queue);

/* Gives flow group `group` (0..NIC_GROUPS-1) to `queue`. Takes effect for frames that arrive later.
 */
#define NIC_GROUPS 128
int nic_steer(struct nic *n, uint32_t group, uint32_t queue);
/* Group of a segment, the same that the device computes (steer.c). */
uint32_t nic_group(const struct nic *n, const uint8_t laddr[16], const uint8_t raddr[16],
	uint16_t lport, uint16_t rport, uint32_t hash);

/* One family's functions; private to fastpath/nic (port.h) and tests. */
struct nic_ops {
	int (*open)(struct nic *n, const struct nic_conf *conf);
	void (*close)(struct nic *n);
	int (*rx)(struct nic *n, uint32_t queue, struct nic_rxpkt *pkts, int max, uint64_t *lost);
	void (*rx_done)(struct nic *n, uint32_t queue);
	int (*tx)(struct nic *n, uint32_t queue, const struct nic_txpkt *pkts, int count);
	int (*missed)(struct nic *n, uint64_t *frames); /* may be NULL */
	int (*rx_fd)(struct nic *n, uint32_t queue);
	int (*steer)(struct nic *n, uint32_t group, uint32_t queue);
};

#endif
