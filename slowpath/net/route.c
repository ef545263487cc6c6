/*
 * route.c - addresses served and where to send: connected prefixes, configured routes, the default
 * route. Sorted once by prefix length; a lookup takes the first match. Owner: slow path thread. RFC
 * 1122 3.3.1.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "net/internal.h"

/*
 * Between our own addresses nothing is cut, so that large segments cost least; four of them make a frame. With the largest
 * possible ones a write of 70 KB waits for delayed ACKs: docs/decisions/0015-same-host.md.
 */
#define LOOP_MTU 16384u

static uint32_t mask_of(uint8_t plen)
{
	return plen <= 96 ? 0 : htonl(~0u << (128 - plen));
}

static int contains(const uint8_t prefix[16], uint8_t plen, const uint8_t addr[16])
{
	if (!tas_addr_is_v4(prefix) || !tas_addr_is_v4(addr))
		return 0;
	return ((tas_addr_v4(prefix) ^ tas_addr_v4(addr)) & mask_of(plen)) == 0;
}

int sp_addr_is_ours(const struct sp *sp, const uint8_t addr[16])
{
	uint32_t i;

	for (i = 0; i < sp->net.naddrs; i++) {
		if (memcmp(sp->net.addrs[i].addr, addr, 16) == 0)
			return 1;
	}
	return 0;
}

int sp_addr_is_onlink(const struct sp *sp, const uint8_t addr[16])
{
	uint32_t i;

	for (i = 0; i < sp->net.nroutes; i++) {
		const struct sp_route *r = &sp->net.routes[i];

		if (r->onlink && contains(r->prefix, r->plen, addr))
			return 1;
	}
	return 0;
}

int sp_addr_is_group(const struct sp *sp, const uint8_t addr[16])
{
	uint32_t v4 = tas_addr_v4(addr), i;
	uint8_t first = addr[12];

	if (!tas_addr_is_v4(addr) || first == 0 || first == 127 || first >= 224)
		return 1;
	for (i = 0; i < sp->net.naddrs; i++) {
		const struct sp_addr *a = &sp->net.addrs[i];
		uint32_t host = ~mask_of(a->plen);

		/* directed broadcast; prefixes of 31 and 32 bits have none (RFC 3021) */
		if (a->plen < 127 && contains(a->addr, a->plen, addr) && (v4 & host) == host)
			return 1;
	}
	return 0;
}

uint32_t sp_mtu_to(const struct sp *sp, const uint8_t addr[16])
{
	return sp_addr_is_ours(sp, addr) ? LOOP_MTU : sp->net.mtu;
}

const struct sp_route *sp_route_find(struct sp *sp, const uint8_t addr[16])
{
	uint32_t i;

	for (i = 0; i < sp->net.nroutes; i++) {
		const struct sp_route *r = &sp->net.routes[i];

		if (contains(r->prefix, r->plen, addr))
			return r;
	}
	return NULL;
}

/* Index of the address whose connected prefix holds `addr`; the first one when none does. */
static uint32_t source_for(const struct sp *sp, const uint8_t addr[16])
{
	uint32_t i, best = 0, best_plen = 0;

	for (i = 0; i < sp->net.naddrs; i++) {
		const struct sp_addr *a = &sp->net.addrs[i];

		if (contains(a->addr, a->plen, addr) && a->plen > best_plen) {
			best = i;
			best_plen = a->plen;
		}
	}
	return best;
}

/* Insertion keeps the longest prefix first, configured order among equals. */
static int add_route(struct sp *sp, const uint8_t prefix[16], uint8_t plen, const uint8_t *gateway)
{
	struct sp_net *net = &sp->net;
	struct sp_route r;
	uint32_t i, v4 = tas_addr_v4(prefix) & mask_of(plen);

	if (net->nroutes >= TAS_INFO_ROUTES)
		return -E2BIG;
	memset(&r, 0, sizeof(r));
	tas_addr_from_v4(r.prefix, v4);
	r.plen = plen;
	r.onlink = gateway == NULL;
	if (gateway != NULL)
		memcpy(r.gateway, gateway, 16);
	r.src = source_for(sp, gateway != NULL ? gateway : prefix);
	for (i = net->nroutes; i > 0 && net->routes[i - 1].plen < plen; i--)
		net->routes[i] = net->routes[i - 1];
	net->routes[i] = r;
	net->nroutes++;
	return 0;
}

static int add_configured(struct sp *sp)
{
	const struct sp_config *conf = &sp->conf;
	uint8_t addr[16], gateway[16], plen;
	int has_gateway, err = 0;
	uint32_t i;

	for (i = 0; i < sp->net.naddrs && err == 0; i++)
		err = add_route(sp, sp->net.addrs[i].addr, sp->net.addrs[i].plen, NULL);
	for (i = 0; i < conf->routes.n && err == 0; i++) {
		err = sp_parse_route(conf->routes.item[i], addr, &plen, gateway, &has_gateway);
		if (err == 0)
			err = add_route(sp, addr, plen, has_gateway ? gateway : NULL);
	}
	if (err == 0 && conf->gateway[0] != '\0') {
		tas_addr_from_v4(addr, 0);
		err = sp_parse_prefix(conf->gateway, gateway, &plen);
		if (err == 0)
			err = add_route(sp, addr, 96, gateway);
	}
	return err;
}

int sp_net_init(struct sp *sp)
{
	struct sp_net *net = &sp->net;
	uint32_t i;
	int err;

	memcpy(net->mac, sp->caps.mac, 6);
	net->mtu = sp->caps.mtu;
	for (i = 0; i < sp->conf.addresses.n && i < TAS_INFO_ADDRS; i++) {
		struct sp_addr *a = &net->addrs[i];

		err = sp_parse_prefix(sp->conf.addresses.item[i], a->addr, &a->plen);
		if (err != 0)
			return err;
		net->naddrs++;
	}
	err = add_configured(sp);
	return err != 0 ? err : sp_neigh_init(sp);
}

void sp_net_free(struct sp *sp)
{
	sp_neigh_free(sp);
}

void sp_net_publish(const struct sp *sp, struct tas_info *info)
{
	uint32_t i, version = tas_load(&info->version) | 1;

	tas_store(&info->version, version); /* odd: readers try again */
	tas_full_barrier();
	for (i = 0; i < sp->net.naddrs; i++) {
		memcpy(info->addrs[i].addr, sp->net.addrs[i].addr, 16);
		info->addrs[i].plen = 128;
		info->addrs[i].net = sp->net.addrs[i].net;
	}
	for (i = 0; i < sp->net.nroutes; i++) {
		memcpy(info->routes[i].addr, sp->net.routes[i].prefix, 16);
		info->routes[i].plen = sp->net.routes[i].plen;
		info->routes[i].net = sp->net.routes[i].net;
	}
	info->naddrs = sp->net.naddrs;
	info->nroutes = sp->net.nroutes;
	tas_store_rel(&info->version, version + 1);
}
