/*
 * main.c - the daemon `tas`: options, start, loop, stop. Owner: slow path thread.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "sp.h"
#include "startup.h"
#include "tas/region.h"

/* Static: the SIGBUS handler and the cores look at it until the very end. */
static struct sp daemon_state;

static int show(const struct sp_config_args *args)
{
	if (args->version)
		printf("tas %s (abi %d.%d)\n", TAS_VERSION, TAS_ABI_MAJOR, TAS_ABI_MINOR);
	else if (args->help_config)
		sp_config_help_options(stdout);
	else
		sp_config_help(stdout);
	return EXIT_SUCCESS;
}

/* A line for each mistake. */
static int refuse(char *err)
{
	char *rest = NULL, *line;

	for (line = strtok_r(err, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
		fprintf(stderr, "tas: %s\n", line);
	return EXIT_FAILURE;
}

static int run(struct sp *sp)
{
	int err = sp_start(sp);

	if (err != 0)
		return EXIT_FAILURE;
	err = sp_loop_run(sp);
	sp_stop(sp);
	return err != 0 || sp->nic_dead ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct sp *sp = &daemon_state;
	struct sp_config_args args;
	enum sp_log_level level;
	char err[4096];
	int rc = sp_config_load(&sp->conf, &args, argc, argv, err, sizeof(err));

	if (args.help || args.help_config || args.version)
		return show(&args);
	if (rc != 0) {
		return refuse(err);
	}
	if (args.check) {
		puts("tas: the options are fine");
		sp_config_here(&sp->conf, stdout);
		rc = EXIT_SUCCESS;
	} else {
		if (sp_log_parse_level(sp->conf.log_level, &level) == 0)
			sp_log_set_level(level);
		rc = run(sp);
	}
	sp_config_free(&sp->conf);
	return rc;
}
