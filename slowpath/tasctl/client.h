/*
 * client.h - one connection to the daemon's control socket: ask, and read pages.
 */
#ifndef TASCTL_CLIENT_H
#define TASCTL_CLIENT_H

#include <stdint.h>
#include "tas/ctl.h"

#define CLIENT_TIMEOUT_S 5

struct client {
	const char *path;
	int fd;
	uint32_t seq;
	struct tas_ctl_reply head; /* of the last reply */
	uint8_t rows[TAS_CTL_REPLY_MAX - sizeof(struct tas_ctl_reply)];
};

/* Connects. 0, or -errno. */
int client_open(struct client *c, const char *path);
void client_close(struct client *c);

/* A request for `op`, everything else zero. */
void client_request(struct tas_ctl_request *q, enum tas_ctl_op op);

/* Sends the request and receives its reply into c->head and c->rows. 0, or -errno (the daemon's own
 * in ...). */
int client_call(struct client *c, struct tas_ctl_request *q);

/* Row `i` of the last reply as this program knows it: cut, or filled with zeros, to `size`. */
void client_row(const struct client *c, uint32_t i, void *row, uint32_t size);

/* One sentence on standard error for -errno of any function above. Returns the exit status 1. */
int client_complain(const struct client *c, int err);

#endif
