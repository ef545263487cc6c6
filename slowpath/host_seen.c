/*
 * host_seen.c - a port whose frames the kernel takes, too: with an exception tap the kernel has the addresses, would answer what is
 * tas's, and reset its connections. AF_PACKET sockets only copy; AF_XDP and drivers of DPDK's own leave the kernel nothing.
 * Owner: slow path thread, at start. packet(7), ip-sysctl.rst (rp_filter, arp_ignore).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "host.h"

#define STRICT	 1 /* rp_filter: what comes from where no answer would go is dropped */
#define NO_REPLY 8 /* arp_ignore: for no local address */

/* Of "all" and the interface the larger counts; -1 when it cannot be read. */
static int setting(const char *iface, const char *name)
{
	const char *of[] = {"all", iface};
	int i, value, max = -1;
	char path[128];

	for (i = 0; i < 2; i++) {
		FILE *f;

		snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%.15s/%s", of[i], name);
		f = fopen(path, "re");
		if (f == NULL)
			return -1;
		if (fscanf(f, "%d", &value) == 1 && value > max)
			max = value;
		fclose(f);
	}
	return max;
}

int sp_host_seen(const struct sp_config *conf, char *err, uint32_t err_len)
{
	const char *at = strstr(conf->port, "iface=");
	char iface[16] = "";

	if (conf->exception_tap[0] == '\0' || at == NULL ||
		strncmp(conf->port, "dpdk:net_af_packet", 18) != 0)
		return 0;
	sscanf(at + 6, "%15[^,]", iface);
	if (setting(iface, "rp_filter") == STRICT && setting(iface, "arp_ignore") == NO_REPLY)
		return 0;
	snprintf(err, err_len,
		"the kernel takes what arrives on %s, too, and with exception_tap has the address: "
		"it would reset the connections "
		"of tas; set net.ipv4.conf.%s.rp_filter = 1 and net.ipv4.conf.%s.arp_ignore = 8, "
		"and net.ipv4.conf.all.* to no other, or use net_af_xdp",
		iface, iface, iface);
	return -EADDRINUSE;
}
