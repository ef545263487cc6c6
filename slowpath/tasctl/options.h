/*
 * options.h - what the command line asks for.
 */
#ifndef TASCTL_OPTIONS_H
#define TASCTL_OPTIONS_H

#include <stdint.h>
#include "tas/ctl.h"

enum command {
	CMD_STATUS,
	CMD_FLOWS,
	CMD_FLOW,
	CMD_LISTENERS,
	CMD_APPS,
	CMD_APP,
	CMD_CORES,
	CMD_DROPS,
	CMD_COUNTERS,
	CMD_KILL,
	CMD_DRAIN,
	CMD_MOVE_GROUP,
	CMD_HELP,
	CMD_VERSION,
};

struct options {
	enum command command;
	const char *name; /* of the command, as given */
	const char *socket;
	struct tas_ctl_filter filter;
	uint64_t watch_ms; /* 0 = once */
	uint32_t count;	   /* with watch: samples shown, 0 = for ever */
	uint32_t id, gen;  /* flow and kill: both; app: id; move-group: id is the group */
	uint32_t core;	   /* move-group */
	uint8_t json;
	uint8_t explain; /* apps: what they counted instead */
	uint8_t all;	 /* drops: also those that did not happen */
};

/* 0, or the exit status after one sentence on standard error. */
int options_parse(struct options *o, int argc, char **argv);
void options_help(void);

#endif
