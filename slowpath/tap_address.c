/*
 * tap_address.c - address, netmask and "up" of a network device by ioctl (netdevice(7)): what `ip
 * address add` and `ip link set up` do, so that one command starts a working service. Owner:
 * start-up.
 */
#include "tap_address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "config.h"
#include "tas/tuple.h"

static int set_addr(int fd, struct ifreq *ifr, unsigned long request, uint32_t v4)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = v4};

	memcpy(&ifr->ifr_addr, &sin, sizeof(sin));
	return ioctl(fd, request, ifr) != 0 ? -errno : 0;
}

static int bring_up(int fd, struct ifreq *ifr)
{
	if (ioctl(fd, SIOCGIFFLAGS, ifr) != 0)
		return -errno;
	ifr->ifr_flags |= IFF_UP;
	return ioctl(fd, SIOCSIFFLAGS, ifr) != 0 ? -errno : 0;
}

int sp_tap_address(const char *name, const char *prefix)
{
	struct ifreq ifr;
	uint8_t addr[16], plen;
	int fd, err;

	if (sp_parse_prefix(prefix, addr, &plen) != 0 || strlen(name) >= sizeof(ifr.ifr_name))
		return -EINVAL;
	memset(&ifr, 0, sizeof(ifr));
	strcpy(ifr.ifr_name, name);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	err = set_addr(fd, &ifr, SIOCSIFADDR, tas_addr_v4(addr));
	if (err == 0)
		err = set_addr(
			fd, &ifr, SIOCSIFNETMASK, plen <= 96 ? 0 : htonl(~0u << (128 - plen)));
	if (err == 0)
		err = bring_up(fd, &ifr);
	close(fd);
	return err;
}
