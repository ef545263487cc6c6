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
#include "config_check.h"
#include "door.h"
#include "log.h"
#include "tas/tuple.h"

#define PORT_RANGE_FILE "/proc/sys/net/ipv4/ip_local_port_range"

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

int sp_host_addresses(const struct sp_config *conf)
{
	struct ifaddrs *list, *a;
	char text[INET_ADDRSTRLEN];
	int err = 0;

	if (getifaddrs(&list) != 0)
		return sp_complain("start", "cannot list the kernel's addresses", -errno);
	for (a = list; a != NULL && err == 0; a = a->ifa_next) {
		struct sockaddr_in sin;

		if (a->ifa_addr == NULL || a->ifa_addr->sa_family != AF_INET)
			continue;
		memcpy(&sin, a->ifa_addr, sizeof(sin));
		if (!is_served(conf, sin.sin_addr.s_addr))
			continue;
		sp_error("start",
			"the kernel has an address that tas is to serve, on %s: it must be in one "
			"place only address=%s",
			a->ifa_name, inet_ntop(AF_INET, &sin.sin_addr, text, sizeof(text)));
		err = -EADDRINUSE;
	}
	freeifaddrs(list);
	return err;
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
