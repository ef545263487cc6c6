/*
 * config_here.c - what good options want and this machine has not: a group, a user, a folder, CPUs, ports, a device, addresses.
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
#include "door.h"
#include "host.h"

static void say(FILE *out, const char *what, const char *which, const char *remedy)
{
	fprintf(out, "tas: but not here and now: %s \"%s\": %s\n", what, which, remedy);
}

/* The folder of a socket's path; 0 when there is none to speak of. */
static int folder_of(const char *path, char name[128])
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL || slash == path || (size_t)(slash - path) >= 128)
		return 0;
	memcpy(name, path, (size_t)(slash - path));
	name[slash - path] = '\0';
	return 1;
}

static void folders(FILE *out, const struct sp_config *conf)
{
	char one[128] = "", two[128] = "";

	if (folder_of(conf->socket, one) && access(one, F_OK) != 0)
		say(out, "there is no folder", one, SP_NO_FOLDER);
	if (folder_of(conf->ctl_socket, two) && strcmp(one, two) != 0 && access(two, F_OK) != 0)
		say(out, "there is no folder", two, SP_NO_FOLDER);
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

static void device(FILE *out, const struct sp_config *conf)
{
	char err[256];

	if (sp_host_device(conf, err, sizeof(err)) != 0)
		fprintf(out, "tas: but not here and now: %s\n", err);
	if (sp_host_seen(conf, err, sizeof(err)) != 0)
		fprintf(out, "tas: but not here and now: %s\n", err);
	if (sp_host_taken(conf, err, sizeof(err)) != 0)
		fprintf(out, "tas: but not here and now: %s\n", err);
	else if (sp_host_unreached(conf, err, sizeof(err)))
		fprintf(out, "tas: but here and now: %s\n", err);
}

void sp_config_here(const struct sp_config *conf, FILE *out)
{
	if (conf->socket_group[0] != '\0' && getgrnam(conf->socket_group) == NULL)
		say(out, "there is no group", conf->socket_group,
			"systemd-sysusers or groupadd makes it, or set socket_group = \"\"");
	if (conf->drop_user[0] != '\0' && getpwnam(conf->drop_user) == NULL)
		say(out, "there is no user", conf->drop_user, "useradd makes it");
	folders(out, conf);
	cpus(out, &conf->cpus);
	ports(out, conf);
	device(out, conf);
}
