/*
 * config_check.c - addresses, routes, ids and names in the options: everything that a range check
 * cannot say. Owner: start-up.
 */
#include "config_check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "cc/cc.h"
#include "log.h"
#include "tas/tuple.h"

struct checker {
	const struct sp_config *conf;
	const struct sp_origin *origin;
	char *err;
	uint32_t err_len;
};

static int fail_at(const struct sp_where *w, const char *name, const char *fmt, va_list ap)
	__attribute__((format(printf, 3, 0)));

static int fail_at(const struct sp_where *w, const char *name, const char *fmt, va_list ap)
{
	uint32_t n;

	if (w->file == NULL)
		snprintf(w->err, w->err_len, "--%s: ", name);
	else if (w->line == 0)
		snprintf(w->err, w->err_len, "%s: %s: ", w->file, name);
	else
		snprintf(w->err, w->err_len, "%s:%d: %s: ", w->file, w->line, name);
	n = (uint32_t)strlen(w->err);
	vsnprintf(w->err + n, w->err_len - n, fmt, ap);
	return -EINVAL;
}

int sp_config_fail(const struct sp_where *w, const char *name, const char *fmt, ...)
{
	va_list ap;
	int err;

	va_start(ap, fmt);
	err = fail_at(w, name, fmt, ap);
	va_end(ap);
	return err;
}

static int fail(const struct checker *k, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(const struct checker *k, const char *name, const char *fmt, ...)
{
	int line = sp_config_line(k->origin, name);
	struct sp_where w = {line < 0 ? NULL : k->origin->file, line, k->err, k->err_len};
	va_list ap;
	int err;

	va_start(ap, fmt);
	err = fail_at(&w, name, fmt, ap);
	va_end(ap);
	return err;
}

/* "a.b.c.d" of the first `len` characters. */
static int parse_addr(const char *text, size_t len, uint8_t addr[16])
{
	char copy[INET_ADDRSTRLEN];
	struct in_addr v4;

	if (len == 0 || len >= sizeof(copy))
		return -EINVAL;
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (inet_pton(AF_INET, copy, &v4) != 1)
		return -EINVAL;
	tas_addr_from_v4(addr, v4.s_addr);
	return 0;
}

int sp_parse_prefix(const char *text, uint8_t addr[16], uint8_t *plen)
{
	const char *slash = strchr(text, '/');
	size_t len = slash != NULL ? (size_t)(slash - text) : strlen(text);
	unsigned long n = 32;
	char *end;

	if (parse_addr(text, len, addr) != 0)
		return -EINVAL;
	if (slash != NULL) {
		if (slash[1] < '0' || slash[1] > '9')
			return -EINVAL;
		n = strtoul(slash + 1, &end, 10);
		if (*end != '\0' || n > 32)
			return -EINVAL;
	}
	*plen = (uint8_t)(96 + n);
	return 0;
}

int sp_parse_route(
	const char *text, uint8_t addr[16], uint8_t *plen, uint8_t gateway[16], int *has_gateway)
{
	char prefix[64];
	const char *via = strstr(text, " via ");
	size_t len = via != NULL ? (size_t)(via - text) : strlen(text);

	if (len >= sizeof(prefix))
		return -EINVAL;
	memcpy(prefix, text, len);
	prefix[len] = '\0';
	*has_gateway = via != NULL;
	if (strcmp(prefix, "default") == 0)
		strcpy(prefix, "0.0.0.0/0");
	if (sp_parse_prefix(prefix, addr, plen) != 0)
		return -EINVAL;
	if (via == NULL)
		return 0;
	via += strlen(" via ");
	return parse_addr(via, strlen(via), gateway);
}

/* An address that a host may have: not 0/8, loopback, multicast or above. */
static int is_unicast(const uint8_t addr[16])
{
	uint8_t first = addr[12];

	return first != 0 && first != 127 && first < 224;
}

static uint32_t mask_of(uint8_t plen)
{
	return plen <= 96 ? 0 : htonl(~0u << (128 - plen));
}

/* ... nor the first or last address of its prefix; prefixes of 31 and 32 bits have neither (RFC 3021). */
static int is_host(const uint8_t addr[16], uint8_t plen)
{
	uint32_t host = tas_addr_v4(addr) & ~mask_of(plen);

	return is_unicast(addr) && (plen >= 127 || (host != 0 && host != ~mask_of(plen)));
}

static int is_served(const struct sp_config *conf, const uint8_t addr[16])
{
	uint8_t own[16], plen;
	uint32_t i;

	for (i = 0; i < conf->addresses.n; i++) {
		if (sp_parse_prefix(conf->addresses.item[i], own, &plen) == 0 &&
			memcmp(own, addr, 16) == 0)
			return 1;
	}
	return 0;
}

static int bad_address(
	const struct checker *k, const char *name, const char *text, const char *form)
{
	if (strchr(text, ':') != NULL)
		return fail(k, name, "\"%s\": IPv6 is not served, only IPv4", text);
	return fail(k, name, "\"%s\" is not %s", text, form);
}

static int check_addresses(const struct checker *k)
{
	const struct sp_list *list = &k->conf->addresses;
	uint8_t addr[SP_CONFIG_ITEMS][16], plen;
	uint32_t i, j;

	if (list->n == 0)
		return fail(k, "addresses", "at least one address to serve is needed%s",
			k->origin->file == NULL ? "; without -c no file is read, as in `tas -c "
						  "/etc/tas.conf`"
						: "");
	for (i = 0; i < list->n; i++) {
		if (sp_parse_prefix(list->item[i], addr[i], &plen) != 0)
			return bad_address(k, "addresses", list->item[i], "ADDRESS/PREFIX");
		if (!is_host(addr[i], plen))
			return fail(
				k, "addresses", "\"%s\" cannot be a host's address", list->item[i]);
		for (j = 0; j < i; j++) {
			if (memcmp(addr[i], addr[j], 16) == 0)
				return fail(k, "addresses", "\"%s\" is there twice", list->item[i]);
		}
	}
	return 0;
}

/* 1 when one of the addresses' prefixes contains `addr`. */
static int is_connected(const struct sp_config *conf, const uint8_t addr[16])
{
	uint32_t i;

	for (i = 0; i < conf->addresses.n; i++) {
		uint8_t own[16], plen;

		if (sp_parse_prefix(conf->addresses.item[i], own, &plen) == 0 &&
			((tas_addr_v4(own) ^ tas_addr_v4(addr)) & mask_of(plen)) == 0)
			return 1;
	}
	return 0;
}

/* A gateway is a neighbour and not ourselves: NULL, or what is wrong with it. */
static const char *gateway_fault(const struct sp_config *conf, const uint8_t addr[16])
{
	if (!is_connected(conf, addr))
		return "is on no connected prefix";
	return is_served(conf, addr) ? "is an address of tas itself" : NULL;
}

static int check_routes(const struct checker *k)
{
	uint8_t addr[16], gateway[16], plen;
	const char *fault;
	uint32_t i;
	int has_gateway;

	for (i = 0; i < k->conf->routes.n; i++) {
		const char *text = k->conf->routes.item[i];

		if (sp_parse_route(text, addr, &plen, gateway, &has_gateway) != 0)
			return bad_address(k, "routes", text, "PREFIX or PREFIX via GATEWAY");
		fault = has_gateway ? gateway_fault(k->conf, gateway) : NULL;
		if (fault != NULL)
			return fail(k, "routes", "\"%s\": the gateway %s", text, fault);
	}
	if (k->conf->gateway[0] == '\0')
		return 0;
	if (parse_addr(k->conf->gateway, strlen(k->conf->gateway), gateway) != 0)
		return bad_address(k, "gateway", k->conf->gateway, "an address");
	fault = gateway_fault(k->conf, gateway);
	return fault != NULL ? fail(k, "gateway", "%s %s", k->conf->gateway, fault) : 0;
}

static int check_port(const struct checker *k)
{
	const char *port = k->conf->port;

	if (strncmp(port, "tap:", 4) != 0 && strncmp(port, "dpdk:", 5) != 0)
		return fail(k, "port", "must begin with \"tap:\" or \"dpdk:\"");
	if (strncmp(port, "tap:", 4) == 0 && (port[4] == '\0' || strlen(port + 4) > 15))
		return fail(k, "port", "a tap's name has 1 to 15 characters");
	return 0;
}

/* 1 when frames for `addr` leave by the port: a neighbour's, or a route leads there. */
static int is_reached(const struct sp_config *conf, const uint8_t addr[16])
{
	uint8_t prefix[16], gateway[16], plen;
	uint32_t i;
	int via;

	if (is_connected(conf, addr) || conf->gateway[0] != '\0')
		return 1;
	for (i = 0; i < conf->routes.n; i++) {
		if (sp_parse_route(conf->routes.item[i], prefix, &plen, gateway, &via) == 0 &&
			((tas_addr_v4(prefix) ^ tas_addr_v4(addr)) & mask_of(plen)) == 0)
			return 1;
	}
	return 0;
}

static int check_tap(const struct checker *k)
{
	uint8_t addr[16], plen;

	if (k->conf->tap_address[0] == '\0')
		return 0;
	if (strncmp(k->conf->port, "tap:", 4) != 0)
		return fail(k, "tap_address", "only a tap port has a kernel's side");
	if (sp_parse_prefix(k->conf->tap_address, addr, &plen) != 0)
		return bad_address(k, "tap_address", k->conf->tap_address, "ADDRESS/PREFIX");
	if (!is_host(addr, plen))
		return fail(k, "tap_address", "\"%s\" cannot be a host's address",
			k->conf->tap_address);
	if (is_served(k->conf, addr))
		return fail(k, "tap_address",
			"%s is in `addresses`, too: the kernel's side needs one of its own",
			k->conf->tap_address);
	if (!is_reached(k->conf, addr))
		return fail(k, "tap_address",
			"%s is in no network of `addresses` and no route leads there: the two "
			"ends could not talk",
			k->conf->tap_address);
	return 0;
}

static int check_exception_tap(const struct checker *k)
{
	const char *name = k->conf->exception_tap;

	if (name[0] == '\0')
		return 0;
	if (strncmp(k->conf->port, "dpdk:", 5) != 0)
		return fail(k, "exception_tap",
			"only a DPDK port needs one: the other end of a tap port is the kernel");
	if (strpbrk(name, "/:% \t") != NULL || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return fail(k, "exception_tap", "\"%s\" cannot be an interface's name", name);
	return 0;
}

static int check_ids(const struct checker *k, const char *name, const struct sp_list *list)
{
	uint32_t i;

	for (i = 0; i < list->n; i++) {
		unsigned long long value;
		char *end;

		errno = 0;
		value = strtoull(list->item[i], &end, 10);
		if (errno != 0 || *end != '\0' || list->item[i][0] == '-' || value > UINT32_MAX)
			return fail(k, name, "\"%s\" is not a numeric id", list->item[i]);
	}
	return 0;
}

static int check_cpus(const struct checker *k)
{
	const struct sp_list *list = &k->conf->cpus;
	uint32_t i;

	if (list->n != 0 && list->n != k->conf->cores)
		return fail(k, "cpus", "%u CPUs for %u cores: one each", list->n, k->conf->cores);
	for (i = 0; i < list->n; i++) {
		unsigned long cpu;
		char *end;

		cpu = strtoul(list->item[i], &end, 10);
		if (*end != '\0' || list->item[i][0] == '-' || cpu >= 4096)
			return fail(k, "cpus", "\"%s\" is not a CPU number", list->item[i]);
	}
	return 0;
}

int sp_config_check(
	const struct sp_config *conf, const struct sp_origin *origin, char *err, uint32_t err_len)
{
	struct checker k = {conf, origin, err, err_len};
	enum sp_log_level level;
	int rc;

	rc = check_port(&k);
	if (rc == 0)
		rc = check_addresses(&k);
	if (rc == 0)
		rc = check_routes(&k);
	if (rc == 0)
		rc = check_tap(&k);
	if (rc == 0)
		rc = check_exception_tap(&k);
	if (rc == 0)
		rc = check_cpus(&k);
	if (rc == 0)
		rc = check_ids(&k, "allow_uids", &conf->allow_uids);
	if (rc == 0)
		rc = check_ids(&k, "allow_gids", &conf->allow_gids);
	if (rc == 0 && sp_log_parse_level(conf->log_level, &level) != 0)
		rc = fail(&k, "log_level", "\"%s\" is not error, warn, info or debug",
			conf->log_level);
	if (rc == 0 && cc_find(conf->cc) == NULL)
		rc = fail(&k, "cc",
			"\"%s\" is not a congestion control of tas: cubic, dctcp or reno",
			conf->cc);
	if (rc == 0 && conf->mtu != 0 && conf->mtu < 576)
		rc = fail(&k, "mtu", "less than 576 bytes, what every host accepts");
	return rc;
}

int sp_config_check_ports(
	const struct sp_config *conf, unsigned low, unsigned high, char *err, uint32_t err_len)
{
	if (conf->local_ports.high < low || conf->local_ports.low > high)
		return 0;
	snprintf(err, err_len,
		"local_ports %u-%u overlaps the kernel's net.ipv4.ip_local_port_range %u-%u: "
		"both would give out the same ports; set one of the two so that they are apart",
		conf->local_ports.low, conf->local_ports.high, low, high);
	return -EINVAL;
}
