/*
 * options.c - the command line: `tasctl [options] command [id]`, options in any place.
 */
#include "options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "column.h"
#include "tas/tuple.h"

#define EXIT_USAGE 2

enum {
	OPT_PID = 256,
	OPT_APP,
	OPT_PORT,
	OPT_ADDR,
	OPT_STATE,
	OPT_NET,
	OPT_JSON,
	OPT_EXPLAIN,
	OPT_ALL,
	OPT_VERSION
};

static const struct option long_options[] = {
	{"socket", required_argument, NULL, 's'},
	{"watch", required_argument, NULL, 'w'},
	{"count", required_argument, NULL, 'c'},
	{"pid", required_argument, NULL, OPT_PID},
	{"app", required_argument, NULL, OPT_APP},
	{"port", required_argument, NULL, OPT_PORT},
	{"addr", required_argument, NULL, OPT_ADDR},
	{"state", required_argument, NULL, OPT_STATE},
	{"net", required_argument, NULL, OPT_NET},
	{"json", no_argument, NULL, OPT_JSON},
	{"explain", no_argument, NULL, OPT_EXPLAIN},
	{"all", no_argument, NULL, OPT_ALL},
	{"version", no_argument, NULL, OPT_VERSION},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

#define TAKES_ID     0x1u
#define TAKES_FILTER 0x2u
#define TAKES_WATCH  0x4u
#define TAKES_GROUP  0x8u

static const struct {
	const char *name;
	enum command command;
	uint32_t takes;
	const char *help;
} commands[] = {
	{"status", CMD_STATUS, TAKES_WATCH, "the service at a glance"},
	{"flows", CMD_FLOWS, TAKES_WATCH | TAKES_FILTER,
		"connections; --state time-wait shows those too"},
	{"flow", CMD_FLOW, TAKES_ID | TAKES_WATCH, "one connection in detail"},
	{"listeners", CMD_LISTENERS, TAKES_WATCH | TAKES_FILTER, "listening sockets"},
	{"apps", CMD_APPS, TAKES_WATCH | TAKES_FILTER, "programs"},
	{"app", CMD_APP, TAKES_ID, "one program, and why its sockets are the kernel's"},
	{"cores", CMD_CORES, TAKES_WATCH, "fast-path cores"},
	{"drops", CMD_DROPS, TAKES_WATCH, "what was dropped or refused, by reason"},
	{"counters", CMD_COUNTERS, TAKES_WATCH, "every counter, summed over the cores"},
	{"kill", CMD_KILL, TAKES_ID, "reset a connection"},
	{"drain", CMD_DRAIN, 0, "take no new programs and connections; what exists goes on"},
	{"move-group", CMD_MOVE_GROUP, TAKES_GROUP,
		"give flow group GROUP (or all) to core CORE; for operators' tests"},
};

#define NCOMMANDS (sizeof(commands) / sizeof(commands[0]))

void options_help(void)
{
	size_t i;

	printf("usage: tasctl [options] [command [argument ...]]\n\n");
	for (i = 0; i < NCOMMANDS; i++)
		printf("  %-10s %-10s %s\n", commands[i].name,
			commands[i].takes & TAKES_ID	  ? "ID"
			: commands[i].takes & TAKES_GROUP ? "GROUP CORE"
							  : "",
			commands[i].help);
	printf("\n"
	       "  -s, --socket PATH    control socket of the service (" TAS_CTL_SOCKET_DEFAULT ")\n"
	       "  -w, --watch SECONDS  repeat, with rates for what grows\n"
	       "  -c, --count N        with -w: N times; without it: once\n"
	       "      --json           for programs\n"
	       "      --explain        with apps: what of them does not go through tas, and why\n"
	       "      --all            with drops: the reasons that never occurred, too\n"
	       "      --pid PID, --app ID, --port PORT, --addr ADDRESS, --net N, --state "
	       "STATE[,...]\n"
	       "                       only the flows, listeners or apps that match all of these\n"
	       "                       (N: 0, the only net so far)\n"
	       "      --version, --help\n");
}

static int refuse(const char *what, const char *value)
{
	fprintf(stderr, "tasctl: %s: %s (see tasctl --help)\n", what, value);
	return EXIT_USAGE;
}

/* A decimal number of at most `max`. */
static int number(const char *text, uint64_t max, uint64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoull(text, &end, 10);
	return errno == 0 && end != text && *end == 0 && text[0] != '-' && *out <= max;
}

static int filter_number(
	struct tas_ctl_filter *f, uint32_t bit, const char *text, uint64_t max, uint64_t *out)
{
	f->mask |= bit;
	return number(text, max, out) ? 0 : refuse("not a number in range", text);
}

static int filter_states(struct tas_ctl_filter *f, const char *list)
{
	char text[128];
	char *save = NULL, *name;

	f->mask |= TAS_CTL_BY_STATE;
	if (strlen(list) >= sizeof(text))
		return refuse("no such state", list);
	strcpy(text, list);
	for (name = strtok_r(text, ",", &save); name != NULL; name = strtok_r(NULL, ",", &save)) {
		int s = state_find(name);

		if (s < 0)
			return refuse("no such state", name);
		f->states |= 1u << s;
	}
	return 0;
}

static int filter_address(struct tas_ctl_filter *f, const char *text)
{
	uint32_t v4;

	f->mask |= TAS_CTL_BY_ADDR;
	if (inet_pton(AF_INET, text, &v4) == 1) {
		tas_addr_from_v4(f->addr, v4);
		return 0;
	}
	return inet_pton(AF_INET6, text, f->addr) == 1 ? 0 : refuse("not an address", text);
}

static int watch_period(struct options *o, const char *text)
{
	char *end;
	double s = strtod(text, &end);

	if (end == text || *end != 0 || !(s >= 0.1 && s <= 86400))
		return refuse("not a period of 0.1 to 86400 seconds", text);
	o->watch_ms = (uint64_t)(s * 1000);
	return 0;
}

static int filter_option(struct tas_ctl_filter *f, int opt, const char *arg)
{
	uint64_t v = 0;
	int err = 0;

	switch (opt) {
	case OPT_PID:
		err = filter_number(f, TAS_CTL_BY_PID, arg, UINT32_MAX, &v);
		f->pid = (uint32_t)v;
		break;
	case OPT_APP:
		err = filter_number(f, TAS_CTL_BY_APP, arg, UINT32_MAX, &v);
		f->app = (uint32_t)v;
		break;
	case OPT_PORT:
		err = filter_number(f, TAS_CTL_BY_PORT, arg, UINT16_MAX, &v);
		f->port = htons((uint16_t)v);
		break;
	case OPT_NET:
		err = filter_number(f, TAS_CTL_BY_NET, arg, UINT16_MAX, &v);
		f->net = (uint16_t)v;
		break;
	case OPT_ADDR:
		err = filter_address(f, arg);
		break;
	default:
		err = filter_states(f, arg);
	}
	return err;
}

static int option(struct options *o, int opt, const char *arg)
{
	uint64_t v;

	switch (opt) {
	case 's':
		o->socket = arg;
		return 0;
	case 'w':
		return watch_period(o, arg);
	case 'c':
		if (!number(arg, UINT32_MAX, &v) || v == 0)
			return refuse("not a number of samples", arg);
		o->count = (uint32_t)v;
		return 0;
	case OPT_JSON:
		o->json = 1;
		return 0;
	case OPT_EXPLAIN:
		o->explain = 1;
		return 0;
	case OPT_ALL:
		o->all = 1;
		return 0;
	case 'h':
		o->command = CMD_HELP;
		return 0;
	case OPT_VERSION:
		o->command = CMD_VERSION;
		return 0;
	case '?':
		return EXIT_USAGE;
	default:
		return filter_option(&o->filter, opt, arg);
	}
}

static int check_fits(const struct options *o, uint32_t takes, const char *id)
{
	if (!(takes & TAKES_ID) && id != NULL)
		return refuse("one argument too many", id);
	if (o->filter.mask != 0 && !(takes & TAKES_FILTER))
		return refuse("filters do not go with", o->name);
	if (o->explain && o->command != CMD_APPS)
		return refuse("--explain goes with apps, not with", o->name);
	if (o->all && o->command != CMD_DROPS)
		return refuse("--all goes with drops, not with", o->name);
	if (o->watch_ms != 0 && !(takes & TAKES_WATCH))
		return refuse("-w does not go with", o->name);
	return 0;
}

/* GROUP CORE. */
static int take_group(struct options *o, char **words)
{
	uint64_t group = TAS_CTL_ALL_GROUPS, core;

	if (words[1] == NULL || words[2] == NULL)
		return refuse("which group to which core? (GROUP or all, CORE as in tasctl cores)",
			words[0]);
	if (words[3] != NULL)
		return refuse("one argument too many", words[3]);
	if (strcmp(words[1], "all") != 0 && !number(words[1], UINT16_MAX, &group))
		return refuse("not a group", words[1]);
	if (!number(words[2], UINT16_MAX, &core))
		return refuse("not a core", words[2]);
	o->id = (uint32_t)group;
	o->core = (uint32_t)core;
	return check_fits(o, TAKES_GROUP, NULL);
}

static int take_app(struct options *o, const char *text)
{
	uint64_t id;

	if (!number(text, UINT32_MAX, &id) || id == 0)
		return refuse("not a program id", text);
	o->id = (uint32_t)id;
	return 0;
}

/* "ID.GENERATION": the first alone will soon be another connection's. */
static int take_flow(struct options *o, const char *text)
{
	const char *dot = strchr(text, '.');
	char first[16] = "";
	uint64_t id, gen;

	if (dot != NULL && (size_t)(dot - text) < sizeof(first))
		memcpy(first, text, (size_t)(dot - text));
	if (dot == NULL || !number(first, UINT32_MAX, &id) || id == 0 ||
		!number(dot + 1, UINT32_MAX, &gen) || gen == 0)
		return refuse("not a flow id (NUMBER.NUMBER, as in tasctl flows)", text);
	o->id = (uint32_t)id;
	o->gen = (uint32_t)gen;
	return 0;
}

/* TIME-WAIT is a table of the past: it is shown when asked for. */
static void present_only(struct options *o)
{
	if (o->command != CMD_FLOWS || o->filter.mask & TAS_CTL_BY_STATE)
		return;
	o->filter.mask |= TAS_CTL_BY_STATE;
	o->filter.states = ~(1u << TAS_CTL_S_TIME_WAIT);
}

static int take_command(struct options *o, char **words)
{
	size_t i;
	int err;

	for (i = 0; i < NCOMMANDS && strcmp(commands[i].name, words[0]) != 0; i++)
		;
	if (i == NCOMMANDS)
		return refuse("no such command", words[0]);
	o->command = commands[i].command;
	o->name = commands[i].name;
	present_only(o);
	if (commands[i].takes & TAKES_GROUP)
		return take_group(o, words);
	if (!(commands[i].takes & TAKES_ID))
		return check_fits(o, commands[i].takes, words[1]);
	if (words[1] == NULL)
		return refuse(o->command == CMD_APP ? "which program? (ID as in tasctl apps)"
						    : "which flow? (ID as in tasctl flows)",
			words[0]);
	if (words[2] != NULL)
		return refuse("one argument too many", words[2]);
	err = o->command == CMD_APP ? take_app(o, words[1]) : take_flow(o, words[1]);
	return err != 0 ? err : check_fits(o, commands[i].takes, NULL);
}

int options_parse(struct options *o, int argc, char **argv)
{
	int opt, err;

	memset(o, 0, sizeof(*o));
	o->socket = TAS_CTL_SOCKET_DEFAULT;
	o->command = CMD_STATUS;
	o->name = "status";
	while ((opt = getopt_long(argc, argv, "s:w:c:h", long_options, NULL)) != -1) {
		err = option(o, opt, optarg);
		if (err != 0)
			return err;
	}
	if (o->command == CMD_HELP || o->command == CMD_VERSION)
		return 0;
	if (optind < argc)
		return take_command(o, argv + optind);
	return check_fits(o, TAKES_WATCH, NULL);
}
