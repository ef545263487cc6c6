/*
 * config_here.c - what good options want and this machine has not: a group, a user, a folder, CPUs, ports.
 * A file is often checked elsewhere than where it is used, so that none of this makes it a bad one.
 * Owner: start-up.
 */
#include "config.h"

#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "config_check.h"

static void say(FILE *out, const char *what, const char *which, const char *remedy)
{
	fprintf(out, "tas: but not here and now: %s \"%s\": %s\n", what, which, remedy);
}

static void folder(FILE *out, const char *path)
{
	const char *slash = strrchr(path, '/');
	char name[128];

	if (slash == NULL || slash == path || (size_t)(slash - path) >= sizeof(name))
		return;
	memcpy(name, path, (size_t)(slash - path));
	name[slash - path] = '\0';
	if (access(name, F_OK) != 0)
		say(out, "there is no folder", name,
			"mkdir it, or start by systemd, which makes /run/tas");
}

static void cpus(FILE *out, const struct sp_list *list)
{
	uint32_t i;

	for (i = 0; i < list->n; i++) {
		if (strtol(list->item[i], NULL, 10) >= sysconf(_SC_NPROCESSORS_CONF))
			say(out, "there is no CPU", list->item[i], "see lscpu");
	}
}

static void ports(FILE *out, const struct sp_config *conf)
{
	FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
	unsigned low, high;
	char err[256];

	if (f == NULL)
		return;
	if (fscanf(f, "%u %u", &low, &high) == 2 &&
		sp_config_check_ports(conf, low, high, err, sizeof(err)) != 0)
		fprintf(out, "tas: but not here and now: %s\n", err);
	fclose(f);
}

void sp_config_here(const struct sp_config *conf, FILE *out)
{
	if (conf->socket_group[0] != '\0' && getgrnam(conf->socket_group) == NULL)
		say(out, "there is no group", conf->socket_group,
			"systemd-sysusers or groupadd makes it, or set socket_group = \"\"");
	if (conf->drop_user[0] != '\0' && getpwnam(conf->drop_user) == NULL)
		say(out, "there is no user", conf->drop_user, "useradd makes it");
	folder(out, conf->socket);
	folder(out, conf->ctl_socket);
	cpus(out, &conf->cpus);
	ports(out, conf);
}
