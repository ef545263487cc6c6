/*
 * exception_tap.c - the kernel's way to a port that tas owns: a tap with the port's own MAC and addresses, by which it gets what is
 * not for tas and sends what it has to say.
 *
 * Cores keep such frames in bounded rings (fastpath/to_kernel.c); a batch of them is written in each round, after
 * the frames of handshakes, and a batch of the kernel's is sent. ARP questions for our addresses are answered by
 * the service alone, echo requests by the kernel alone. A TCP port is tas's while a listener or a connection has it, and the
 * range of outgoing ports always. tuntap.rst, netdevice(7). docs/decisions/0016-exception-tap.md. Owner: slow path
 * thread.
 */
#include "net/exception_tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "alloc.h"
#include "conn/internal.h"
#include "net/internal.h"
#include "tap_address.h"
#include "tas/wire.h"

#define BATCH_IN  NIC_BURST /* frames of one core to the kernel in a round */
#define BATCH_OUT 32	    /* frames of the kernel in a round */
#define GIVEN_MAX 64u	    /* frames that the cores took for tas's, in a round */
#define FRAME_MAX 9216u	    /* an MTU of 9000, Ethernet and VLAN headers */

static int is_open(const struct sp *sp)
{
	return sp->tap.ports != NULL;
}

/* ---- ports ---- */

void sp_port_hold(struct sp *sp, uint16_t port)
{
	if (is_open(sp) && sp->tap.ports[ntohs(port)]++ == 0)
		fp_port_set(sp->fp, port, 1);
}

void sp_port_release(struct sp *sp, uint16_t port)
{
	if (is_open(sp) && --sp->tap.ports[ntohs(port)] == 0)
		fp_port_set(sp->fp, port, 0);
}

/* ---- to the kernel ---- */

static void give(struct sp *sp, const uint8_t *frame, uint32_t len)
{
	if (write(sp->tap.fd, frame, len) == (ssize_t)len)
		sp->cnt.tap_in++;
	else
		sp->cnt.drop_tap_in++;
}

/* These come by the queues of handshakes: a flood of them must not hold those up. */
int sp_tap_give(struct sp *sp, const uint8_t *frame, uint32_t len)
{
	if (!is_open(sp))
		return 0;
	if (sp->tap.given++ < GIVEN_MAX)
		give(sp, frame, len);
	else
		sp->cnt.drop_tap_in++;
	return 1;
}

void sp_tap_run(struct sp *sp)
{
	struct nic_rxpkt pkts[BATCH_IN];
	uint32_t core, n, i;
	uint64_t end;

	sp->tap.given = 0;
	for (core = 0; is_open(sp) && core < sp->ncores; core++) {
		n = fp_kernel_peek(sp->fp, core, pkts, BATCH_IN, &end);
		if (n == 0)
			continue;
		for (i = 0; i < n; i++)
			give(sp, pkts[i].data, pkts[i].len);
		fp_kernel_drop(sp->fp, core, end);
	}
}

void sp_tap_arp(struct sp *sp, const uint8_t *frame, uint32_t len)
{
	uint8_t target[16], sender[16];
	struct wire_arp a;

	if (!is_open(sp) || wire_arp_parse(frame, len, &a) != 0)
		return;
	tas_addr_from_v4(target, a.tpa);
	tas_addr_from_v4(sender, a.spa);
	if (sp_addr_is_ours(sp, sender) || (a.op == 1 && sp_addr_is_ours(sp, target)))
		return;
	sp_tap_give(sp, frame, len);
}

/* ---- from the kernel ---- */

static void on_readable(struct sp *sp, struct sp_source *src, uint32_t events)
{
	static uint8_t frame[FRAME_MAX];
	ssize_t len;
	int i;

	(void)events;
	for (i = 0; i < BATCH_OUT; i++) {
		len = read(src->fd, frame, sizeof(frame));
		if (len < WIRE_ETH_HDR)
			return;
		sp->cnt.tap_out++;
		sp_frame_send(sp, frame, (uint32_t)len);
	}
}

/* ---- set up ---- */

static int open_device(struct sp *sp)
{
	struct ifreq ifr;

	memset(&ifr, 0, sizeof(ifr));
	ifr.ifr_flags = IFF_TAP | IFF_NO_PI;
	strcpy(ifr.ifr_name, sp->conf.exception_tap);
	sp->tap.fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (sp->tap.fd < 0)
		return -errno;
	if (ioctl(sp->tap.fd, TUNSETIFF, &ifr) != 0)
		return -errno;
	return strcmp(ifr.ifr_name, sp->conf.exception_tap) != 0 ? -EINVAL : 0;
}

/* The port's MAC and MTU: what the kernel sends goes out as it is. */
static int set_link(struct sp *sp)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), err = 0;
	struct ifreq ifr;

	if (fd < 0)
		return -errno;
	memset(&ifr, 0, sizeof(ifr));
	strcpy(ifr.ifr_name, sp->conf.exception_tap);
	ifr.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	memcpy(ifr.ifr_hwaddr.sa_data, sp->caps.mac, 6);
	if (ioctl(fd, SIOCSIFHWADDR, &ifr) != 0)
		err = -errno;
	ifr.ifr_mtu = sp->caps.mtu;
	if (err == 0 && ioctl(fd, SIOCSIFMTU, &ifr) != 0)
		err = -errno;
	close(fd);
	return err;
}

/* The first address on the interface itself, the others under labels: netdevice(7). */
static int set_addresses(struct sp *sp)
{
	char name[IFNAMSIZ];
	uint32_t i;
	int err = 0;

	snprintf(name, sizeof(name), "%.12s", sp->conf.exception_tap);
	for (i = 0; i < sp->conf.addresses.n && err == 0; i++) {
		if (i > 0)
			snprintf(name, sizeof(name), "%.12s:%u", sp->conf.exception_tap, i % 100);
		err = sp_tap_address(name, sp->conf.addresses.item[i]);
	}
	return err;
}

static void hold_range(struct sp *sp)
{
	uint32_t port;

	for (port = sp->conf.local_ports.low; port <= sp->conf.local_ports.high; port++)
		sp_port_hold(sp, htons((uint16_t)port));
}

int sp_tap_open(struct sp *sp)
{
	int err;

	sp->tap.fd = -1;
	if (sp->conf.exception_tap[0] == '\0')
		return 0;
	err = open_device(sp);
	if (err == 0)
		err = set_link(sp);
	if (err == 0)
		err = set_addresses(sp);
	if (err == 0)
		err = sp_loop_add(sp, &sp->tap.src, sp->tap.fd, EPOLLIN, on_readable, NULL);
	if (err == 0 && (sp->tap.ports = fp_calloc(65536, sizeof(*sp->tap.ports))) == NULL)
		err = -ENOMEM;
	if (err == 0)
		hold_range(sp);
	else
		sp_tap_close(sp);
	return err;
}

void sp_tap_close(struct sp *sp)
{
	sp_loop_del(sp, &sp->tap.src);
	if (sp->tap.fd >= 0)
		close(sp->tap.fd);
	sp->tap.fd = -1;
	free(sp->tap.ports);
	sp->tap.ports = NULL;
}
