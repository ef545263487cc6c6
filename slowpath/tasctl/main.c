/*
 * main.c - tasctl: shows and steers the tas service through its control socket.
 *
 * Exit status: 0 done, 1 not (one sentence on standard error says why), 2 wrong usage. Manual:
 * tasctl(8).
 */
#include <errno.h>
#include <stdio.h>
#include "client.h"
#include "options.h"
#include "show.h"
#include "tas/region.h"

/* For people, one line; a program has the exit status. */
static void say_done(const struct options *o)
{
	if (o->json)
		return;
	if (o->command == CMD_KILL)
		printf("flow %u.%u was reset\n", o->id, o->gen);
	else if (o->command == CMD_DRAIN)
		puts("draining: no new programs and connections until a restart; the others "
		     "go on (tasctl status)");
}

static int steer(struct client *c, const struct options *o, enum tas_ctl_op op)
{
	struct tas_ctl_request q;
	int err;

	client_request(&q, op);
	q.id = o->id;
	q.gen = op == TAS_CTL_MOVE_GROUP ? o->core : o->gen;
	err = client_call(c, &q);
	if (err == 0)
		say_done(o);
	return err;
}

static int run(struct client *c, const struct options *o)
{
	switch (o->command) {
	case CMD_STATUS:
		return show_status(c, o);
	case CMD_FLOW:
		return show_flow(c, o);
	case CMD_APP:
		return show_app(c, o);
	case CMD_KILL:
		return steer(c, o, TAS_CTL_KILL);
	case CMD_DRAIN:
		return steer(c, o, TAS_CTL_DRAIN);
	case CMD_MOVE_GROUP:
		return steer(c, o, TAS_CTL_MOVE_GROUP);
	default:
		return show_rows(c, o);
	}
}

static int finish(const struct client *c, const struct options *o, int err)
{
	if (err == -ENOENT && (o->command == CMD_FLOW || o->command == CMD_KILL)) {
		fprintf(stderr, "tasctl: there is no flow %u.%u\n", o->id, o->gen);
		return 1;
	}
	if (err == -ENOENT && o->command == CMD_APP) {
		fprintf(stderr, "tasctl: there is no program %u\n", o->id);
		return 1;
	}
	if (err == -EINVAL && o->command == CMD_MOVE_GROUP) {
		fprintf(stderr,
			"tasctl: there is no such group (0 to 127, all) or core (tasctl cores)\n");
		return 1;
	}
	if (err != 0)
		return client_complain(c, err);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		perror("tasctl: output");
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	static struct client client;
	struct options o;
	int err = options_parse(&o, argc, argv);

	if (err != 0)
		return err;
	if (o.command == CMD_HELP) {
		options_help();
		return 0;
	}
	if (o.command == CMD_VERSION) {
		printf("tasctl %s (control protocol %u, program ABI %u.%u)\n", TAS_VERSION,
			TAS_CTL_VERSION, TAS_ABI_MAJOR, TAS_ABI_MINOR);
		return 0;
	}
	err = client_open(&client, o.socket);
	if (err != 0)
		return client_complain(&client, err);
	err = finish(&client, &o, run(&client, &o));
	client_close(&client);
	return err;
}
