/*
 * host.c - what the machine must have, and must not have, for the daemon to start. Owner: slow path
 * thread, at start. unix(7), ip(7), getifaddrs(3), sched_setaffinity(2).
 */
#include "host.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "config_check.h"
#include "door.h"
#include "log.h"
#include "tas/tuple.h"

#define PORT_RANGE_FILE "/proc/sys/net/ipv4/ip_local_port_range"
#define ROUTES_FILE	"/proc/net/route"

static int check_door(const char *path)
{
	int err = path[0] != '\0' ? sp_door_clear(path) : 0;

	if (err != 0)
		sp_error("start", "cannot use path=%s error=\"%s\"", path, sp_door_error(err));
	return err;
}

int sp_host_alone(const struct sp_config *conf)
{
	int err = check_door(conf->socket);

	if (err == 0)
		err = check_door(conf->ctl_socket);
	if (err != 0 || conf->socket_group[0] == '\0' || getgrnam(conf->socket_group) != NULL)
		return err;
	sp_error("start", "%s socket_group=%s", sp_door_error(-ESRCH), conf->socket_group);
	return -ESRCH;
}

int sp_host_ports(const struct sp_config *conf)
{
	FILE *f = fopen(PORT_RANGE_FILE, "re");
	unsigned low, high;
	char err[256];
	int n;

	if (f == NULL)
		return sp_complain("start", "cannot read " PORT_RANGE_FILE, -errno);
	n = fscanf(f, "%u %u", &low, &high);
	fclose(f);
	if (n != 2)
		return sp_complain("start", "cannot understand " PORT_RANGE_FILE, -EINVAL);
	if (sp_config_check_ports(conf, low, high, err, sizeof(err)) == 0)
		return 0;
	sp_error("start", "%s", err);
	return -EINVAL;
}

static int is_served(const struct sp_config *conf, uint32_t v4)
{
	uint8_t addr[16], plen;
	uint32_t i;

	for (i = 0; i < conf->addresses.n; i++) {
		if (sp_parse_prefix(conf->addresses.item[i], addr, &plen) == 0 &&
			tas_addr_v4(addr) == v4)
			return 1;
	}
	return 0;
}

/* The interface of a tap port, "" of any other: what the kernel has there is ours. */
static const char *tap_name(const struct sp_config *conf)
{
	return strncmp(conf->port, "tap:", 4) == 0 ? conf->port + 4 : "";
}

/* An address may carry a label, "tas0:x": ip-address(8). */
static int is_on(const char *label, const char *name)
{
	size_t len = strcspn(label, ":");

	return strlen(name) == len && strncmp(label, name, len) == 0;
}

/* An address of the kernel's on interface `name`, in network order: 0, or -EADDRINUSE with a sentence in err. */
static int check_taken(
	const struct sp_config *conf, const char *name, uint32_t v4, char *err, uint32_t err_len)
{
	char text[INET_ADDRSTRLEN];
	uint8_t addr[16], plen;

	inet_ntop(AF_INET, &v4, text, sizeof(text));
	if (conf->exception_tap[0] != '\0' && is_on(name, conf->exception_tap))
		return 0; /* kept from the last time, by whoever made it persistent */
	if (is_served(conf, v4)) {
		snprintf(err, err_len,
			"the kernel has an address that tas is to serve, on %s: it must be in one "
			"place only address=%s",
			name, text);
		return -EADDRINUSE;
	}
	if (conf->tap_address[0] == '\0' || is_on(name, tap_name(conf)) ||
		sp_parse_prefix(conf->tap_address, addr, &plen) != 0 || tas_addr_v4(addr) != v4)
		return 0;
	snprintf(err, err_len,
		"the kernel has tap_address on another interface, on %s (another tas?): choose a "
		"network of its own for each address=%s",
		name, text);
	return -EADDRINUSE;
}

int sp_host_taken(const struct sp_config *conf, char *err, uint32_t err_len)
{
	struct ifaddrs *list, *a;
	int rc = 0;

	if (getifaddrs(&list) != 0) {
		rc = -errno;
		snprintf(err, err_len, "cannot list the kernel's addresses error=\"%s\"",
			strerror(-rc));
		return rc;
	}
	for (a = list; a != NULL && rc == 0; a = a->ifa_next) {
		struct sockaddr_in sin;

		if (a->ifa_addr == NULL || a->ifa_addr->sa_family != AF_INET)
			continue;
		memcpy(&sin, a->ifa_addr, sizeof(sin));
		rc = check_taken(conf, a->ifa_name, sin.sin_addr.s_addr, err, err_len);
	}
	freeifaddrs(list);
	return rc;
}

int sp_host_addresses(const struct sp_config *conf)
{
	char err[256];
	int rc = sp_host_taken(conf, err, sizeof(err));

	if (rc != 0)
		sp_error("start", "%s", err);
	return rc;
}

/* Has the interface an address, or a bridge behind which others have theirs? */
static int is_used(const char *name)
{
	struct ifaddrs *list, *a;
	char path[64];
	int found = 0;

	snprintf(path, sizeof(path), "/sys/class/net/%s/master", name);
	if (access(path, F_OK) == 0)
		return 1;
	if (getifaddrs(&list) != 0)
		return 0;
	for (a = list; a != NULL; a = a->ifa_next)
		found |= a->ifa_addr != NULL && a->ifa_addr->sa_family == AF_INET &&
			 is_on(a->ifa_name, name);
	freeifaddrs(list);
	return found;
}

/* The interface to which the kernel sends what lies in tap_address's network, when it is another: proc(5). */
static int other_route(const struct sp_config *conf, char name[64])
{
	FILE *f = fopen(ROUTES_FILE, "re");
	unsigned dest, mask, own_mask;
	uint8_t addr[16], plen;
	char line[256];
	int found = 0;

	if (f == NULL)
		return 0;
	if (sp_parse_prefix(conf->tap_address, addr, &plen) != 0 || plen <= 96) {
		fclose(f);
		return 0;
	}
	own_mask = htonl(~0u << (128 - plen));
	while (!found && fgets(line, sizeof(line), f) != NULL)
		found = sscanf(line, "%63s %x %*x %*x %*d %*d %*d %x", name, &dest, &mask) == 3 &&
			strcmp(name, tap_name(conf)) != 0 && ntohl(mask) >= ntohl(own_mask) &&
			((dest ^ tas_addr_v4(addr)) & own_mask) == 0;
	fclose(f);
	return found;
}

int sp_host_unreached(const struct sp_config *conf, char *err, uint32_t err_len)
{
	const char *tap = tap_name(conf);
	char other[64];

	if (tap[0] == '\0')
		return 0;
	if (conf->tap_address[0] == '\0' && !is_used(tap)) {
		snprintf(err, err_len,
			"no tap_address: nobody reaches tas before the interface %s gets an "
			"address, "
			"or a bridge",
			tap);
		return 1;
	}
	if (conf->tap_address[0] == '\0' || !other_route(conf, other))
		return 0;
	snprintf(err, err_len,
		"the kernel has a route for the network of tap_address to %s: what should reach "
		"tas "
		"may go there tap_address=%s",
		other, conf->tap_address);
	return 1;
}

int sp_host_device(const struct sp_config *conf, char *err, uint32_t err_len)
{
	char path[128];
	unsigned domain, bus, dev, fn;
	int n = 0;

	if (strncmp(conf->port, "dpdk:", 5) != 0)
		return 0;
	/* "0000:01:00.0", or without the domain as DPDK takes it, perhaps with ",option=..." behind */
	if (sscanf(conf->port + 5, "%4x:%2x:%2x.%1x%n", &domain, &bus, &dev, &fn, &n) != 4) {
		domain = 0;
		n = 0;
		if (sscanf(conf->port + 5, "%2x:%2x.%1x%n", &bus, &dev, &fn, &n) != 3)
			return 0;
	}
	if (conf->port[5 + n] != '\0' && conf->port[5 + n] != ',')
		return 0;
	snprintf(
		path, sizeof(path), "/sys/bus/pci/devices/%04x:%02x:%02x.%x", domain, bus, dev, fn);
	if (access(path, F_OK) == 0)
		return 0;
	snprintf(err, err_len, "there is no PCI device %s: see lspci -D", strrchr(path, '/') + 1);
	return -ENODEV;
}

int sp_host_cpus(const struct sp_config *conf)
{
	cpu_set_t all, one;
	uint32_t i;
	int err = 0;

	if (sched_getaffinity(0, sizeof(all), &all) != 0)
		return 0;
	for (i = 0; i < conf->cpus.n && err == 0; i++) {
		CPU_ZERO(&one);
		CPU_SET((size_t)atoi(conf->cpus.item[i]), &one);
		if (sched_setaffinity(0, sizeof(one), &one) != 0) {
			err = -errno;
			sp_error("start", "cannot run on cpu=%s error=\"%s\"", conf->cpus.item[i],
				errno == EINVAL ? "there is no such CPU here" : strerror(errno));
		}
	}
	sched_setaffinity(0, sizeof(all), &all);
	return err;
}
