/*
 * show_status.c - `status`: the service at a glance, and `flow`: one connection in detail.
 */
#include "show.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include "json.h"
#include "sample.h"
#include "table.h"
#include "tas/region.h"
#include "units.h"

/* What an operator must not look for in vain elsewhere. */
static const char *const notes[] = {
	"nftables, conntrack and the net.ipv4 sysctls do not see connections of tas; its own "
	"configuration is tas.conf(5)",
	"ss(8) shows the listening sockets of programs on tas, not their connections: see tasctl "
	"flows",
};

#define NNOTES (sizeof(notes) / sizeof(notes[0]))

static int one_row(struct client *c, struct tas_ctl_request *q, void *row, uint32_t size)
{
	int err = client_call(c, q);

	if (err != 0)
		return err;
	if (c->head.nrows != 1)
		return -EBADMSG;
	client_row(c, 0, row, size);
	return 0;
}

int show_flow(struct client *c, const struct options *o)
{
	struct tas_ctl_flow row, before;
	struct tas_ctl_request q;
	struct view v = {.row = &row};
	uint64_t then;
	uint32_t shown = 0;
	int err;

	client_request(&q, TAS_CTL_FLOW);
	q.id = o->id;
	q.gen = o->gen;
	err = one_row(c, &q, &row, sizeof(row));
	while (err == 0) {
		if (o->watch_ms != 0) {
			before = row;
			then = c->head.now_ns;
			if (!show_again(o, &shown))
				break;
			err = one_row(c, &q, &row, sizeof(row));
			if (err != 0)
				break;
			v = (struct view){&row, &before, c->head.now_ns - then, 1};
		}
		show_separate(o, shown);
		if (o->json) {
			struct json j;

			json_begin(&j, stdout, o->name);
			json_row(&j, "flow", &table_flows, &v);
			json_end(&j);
		} else {
			table_detail(&table_flows, &v, stdout);
		}
		if (o->watch_ms == 0)
			break;
	}
	return err;
}

static void line(const char *label, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void line(const char *label, const char *fmt, ...)
{
	va_list ap;

	printf("%-12s ", label);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

static void print_service(const struct tas_ctl_status *s)
{
	char version[UNITS_MAX], age[UNITS_MAX];

	units_text(version, s->version, sizeof(s->version));
	units_age(age, s->uptime_ns);
	line("service", "tas %s, program ABI %u.%u, pid %u, up %s%s%s", version, s->abi_major,
		s->abi_minor, s->pid, age,
		s->flags & TAS_CTL_ST_DRAINING ? ", DRAINING: nothing new is taken" : "",
		s->flags & TAS_CTL_ST_NIC_DEAD ? ", PORT IS GONE" : "");
	if (strcmp(version, TAS_VERSION) != 0)
		line("", "this tasctl is %s", TAS_VERSION);
}

static void print_port(const struct tas_ctl_status *s)
{
	char device[UNITS_MAX], addr[UNITS_MAX];
	uint32_t i;

	units_text(device, s->device, sizeof(s->device));
	line("port", "%s, %02x:%02x:%02x:%02x:%02x:%02x, MTU %u%s", device, s->mac[0], s->mac[1],
		s->mac[2], s->mac[3], s->mac[4], s->mac[5], s->mtu,
		s->flags & TAS_CTL_ST_TSO ? ", segmentation offload" : "");
	for (i = 0; i < s->naddrs && i < TAS_CTL_ADDRS; i++) {
		const struct tas_ctl_addr *a = &s->addrs[i];
		unsigned plen = a->plen;

		units_addr(addr, a->addr);
		if (strchr(addr, ':') == NULL)
			plen -= 96;
		line(i == 0 ? "addresses" : "", "%s/%u", addr, plen);
	}
}

static void print_load(const struct tas_ctl_status *s)
{
	char cc[UNITS_MAX], memory[UNITS_MAX], flow[UNITS_MAX];

	units_text(cc, s->cc, sizeof(s->cc));
	units_bytes(memory, (double)s->memory);
	units_bytes(flow, (double)s->flow_memory);
	line("cores", "%u (tasctl cores)", s->ncores);
	line("connections", "%u of %u open, %u of %u half-open, %u of %u in TIME-WAIT; %s",
		s->flows, s->flows_max, s->half_open, s->half_open_max, s->time_wait,
		s->time_wait_max, cc);
	line("listeners", "%u of %u", s->listeners, s->listeners_max);
	line("programs", "%u of %u, %s of payload memory; the tables take %s a connection", s->apps,
		s->apps_max, memory, flow);
	line("so far",
		"%llu established, %llu failed, %llu reset by peers, %llu reset here, %llu given "
		"up",
		(unsigned long long)s->established, (unsigned long long)s->failed,
		(unsigned long long)s->reset_in, (unsigned long long)s->reset_out,
		(unsigned long long)s->timeouts);
	line("losses",
		"%llu frames or segments lost here, %llu requests of programs refused (tasctl "
		"drops)",
		(unsigned long long)(s->drops - s->noise), (unsigned long long)s->refused);
	line("ignored",
		"%llu frames, segments or messages that were nobody's or came too late: no loss "
		"(tasctl "
		"drops)",
		(unsigned long long)s->noise);
}

static void print_status(const struct tas_ctl_status *s)
{
	size_t i;

	print_service(s);
	print_port(s);
	print_load(s);
	for (i = 0; i < NNOTES; i++)
		line(i == 0 ? "note" : "", "%s", notes[i]);
}

static void json_addresses(struct json *j, const struct tas_ctl_status *s)
{
	char addr[UNITS_MAX];
	uint32_t i;

	json_open(j, "addresses", '[');
	for (i = 0; i < s->naddrs && i < TAS_CTL_ADDRS; i++) {
		units_addr(addr, s->addrs[i].addr);
		json_open(j, NULL, '{');
		json_text(j, "address", addr, sizeof(addr));
		json_number(j, "prefix_length",
			strchr(addr, ':') ? s->addrs[i].plen : s->addrs[i].plen - 96u);
		json_number(j, "net", s->addrs[i].net);
		json_close(j, '}');
	}
	json_close(j, ']');
}

static void json_boot_id(struct json *j, const struct tas_ctl_status *s)
{
	char text[33];
	int i;

	for (i = 0; i < 16; i++)
		snprintf(text + 2 * i, 3, "%02x", s->boot_id[i]);
	json_text(j, "boot_id", text, sizeof(text));
}

static void json_mac(struct json *j, const struct tas_ctl_status *s)
{
	char text[18];

	snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", s->mac[0], s->mac[1],
		s->mac[2], s->mac[3], s->mac[4], s->mac[5]);
	json_text(j, "mac", text, sizeof(text));
}

/* Every counter, summed over the cores, as one member each. */
static void json_counters(struct json *j, const struct sample *counters)
{
	uint32_t i;

	json_open(j, "counters", '{');
	for (i = 0; i < counters->n; i++) {
		const struct tas_ctl_counter *c = sample_at(counters, &table_counters, i);
		char name[sizeof(c->name) + 1] = "";

		memcpy(name, c->name, sizeof(c->name));
		json_number(j, name, c->value);
	}
	json_close(j, '}');
}

static void json_status(
	const struct options *o, const struct tas_ctl_status *s, const struct sample *counters)
{
	struct json j;
	size_t i;

	json_begin(&j, stdout, o->name);
	json_text(&j, "version", s->version, sizeof(s->version));
	json_number(&j, "abi_major", s->abi_major);
	json_number(&j, "abi_minor", s->abi_minor);
	json_number(&j, "pid", s->pid);
	json_boot_id(&j, s);
	json_number(&j, "epoch", s->epoch);
	json_signed(&j, "started_s", s->started_s);
	json_number(&j, "uptime_ns", s->uptime_ns);
	json_bool(&j, "draining", s->flags & TAS_CTL_ST_DRAINING);
	json_bool(&j, "port_gone", s->flags & TAS_CTL_ST_NIC_DEAD);
	json_text(&j, "port", s->device, sizeof(s->device));
	json_mac(&j, s);
	json_number(&j, "mtu", s->mtu);
	json_addresses(&j, s);
	json_text(&j, "cc", s->cc, sizeof(s->cc));
#define MEMBER(name) json_number(&j, #name, s->name)
	MEMBER(nroutes);
	MEMBER(ncores);
	MEMBER(flows);
	MEMBER(flows_max);
	MEMBER(half_open);
	MEMBER(half_open_max);
	MEMBER(time_wait);
	MEMBER(time_wait_max);
	MEMBER(listeners);
	MEMBER(listeners_max);
	MEMBER(apps);
	MEMBER(apps_max);
	json_number(&j, "memory_bytes", s->memory);
	json_number(&j, "flow_memory_bytes", s->flow_memory);
	MEMBER(established);
	MEMBER(failed);
	MEMBER(reset_in);
	MEMBER(reset_out);
	MEMBER(timeouts);
	MEMBER(drops);
	MEMBER(noise);
	MEMBER(refused);
#undef MEMBER
	json_counters(&j, counters);
	json_open(&j, "notes", '[');
	for (i = 0; i < NNOTES; i++)
		json_text(&j, NULL, notes[i], UINT32_MAX);
	json_close(&j, ']');
	json_end(&j);
}

static int read_counters(struct client *c, struct sample *sum)
{
	struct tas_ctl_request q;
	struct tas_ctl_counter row;
	uint32_t i;
	int err;

	client_request(&q, TAS_CTL_COUNTERS);
	sample_clear(sum);
	do {
		err = client_call(c, &q);
		for (i = 0; err == 0 && i < c->head.nrows; i++) {
			client_row(c, i, &row, sizeof(row));
			err = sample_sum(sum, &table_counters, &row);
		}
		q.cursor = c->head.next;
	} while (err == 0 && q.cursor != 0);
	return err;
}

static int status_once(struct client *c, const struct options *o, uint32_t shown)
{
	struct sample counters = {.rows = NULL};
	struct tas_ctl_request q;
	struct tas_ctl_status s;
	int err;

	client_request(&q, TAS_CTL_STATUS);
	err = one_row(c, &q, &s, sizeof(s));
	if (err == 0 && o->json)
		err = read_counters(c, &counters);
	if (err == 0) {
		show_separate(o, shown);
		if (o->json)
			json_status(o, &s, &counters);
		else
			print_status(&s);
	}
	sample_free(&counters);
	return err;
}

int show_status(struct client *c, const struct options *o)
{
	uint32_t shown = 1;
	int err;

	do {
		err = status_once(c, o, shown);
	} while (err == 0 && show_again(o, &shown));
	return err;
}
