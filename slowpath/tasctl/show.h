/*
 * show.h - the commands that print: rows of a table, one flow, the state of the service.
 * All return 0 or -errno of the client; they print nothing about errors.
 */
#ifndef TASCTL_SHOW_H
#define TASCTL_SHOW_H

#include "client.h"
#include "options.h"

int show_rows(struct client *c, const struct options *o);
/* One program in detail, and its rows of explain.h. -ENOENT. */
int show_app(struct client *c, const struct options *o);
int show_flow(struct client *c, const struct options *o);
int show_status(struct client *c, const struct options *o);

/* Waits until the next sample of -w. 0 when there is none: once only, or enough. *shown counts
 * samples. */
int show_again(const struct options *o, uint32_t *shown);
/* On a terminal each sample starts on a clear screen, elsewhere after an empty line. */
void show_separate(const struct options *o, uint32_t shown);

#endif
