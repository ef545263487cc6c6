/*
 * app_internal.h - functions that the files about programs share; not for other readers.
 * Owner: slow path thread.
 */
#ifndef SP_APP_INTERNAL_H
#define SP_APP_INTERNAL_H

#include "sp.h"

/* ---- app.c: records, life and death; register.c: the socket, who is let in ---- */
/* Makes the registration socket and watches it. 0 or -errno with a sentence logged. */
int sp_apps_init(struct sp *sp);
/* No new programs; unlinks the socket. */
void sp_apps_close(struct sp *sp);
/* After the cores have stopped: frees everything. */
void sp_apps_free(struct sp *sp);
/* A new record in state NEW with a free id; NULL: none is free, or no memory. How many there may be the caller knows. */
struct sp_app *sp_app_new(struct sp *sp);
/* The connection of `from` (state NEW) becomes that of the reserved record `to`; `from` is freed. 0
 * or -errno. */
int sp_app_adopt(struct sp *sp, struct sp_app *from, struct sp_app *to);
/* Closes its descriptors and frees the record; nothing else of it may be left. */
void sp_app_free(struct sp *sp, struct sp_app *app);
/* HELLO was said: counted, logged. */
void sp_app_greeted(struct sp *sp, struct sp_app *app);
/* The program ended, left or is put out: everything of it goes. The record stays until the cores
 * agree. */
void sp_app_leave(struct sp *sp, struct sp_app *app, const char *reason);
/* Has the process ended, or only its connection (exec)? */
int sp_app_ended(const struct sp_app *app);
/* Why its connection has ended, for the log. */
const char *sp_app_parting(const struct sp_app *app);
/* Has it left without our having dealt with it yet? */
int sp_app_hung_up(const struct sp_app *app);
void sp_app_gone(struct sp *sp, uint32_t id);
void sp_app_broken(struct sp *sp, uint32_t id);
void sp_apps_tick(struct sp *sp);
/* It says no token, and only a child may register now: counted, logged. */
void sp_app_refused(struct sp *sp, const struct sp_app *app);
/* Makes the connection on which a reserved child will say HELLO: the end that is the child's, or -errno. */
int sp_app_pair(struct sp *sp, struct sp_app *child);
/* The child has said it. 0 or -errno. */
int sp_app_meet(struct sp *sp, struct sp_app *child, uint32_t pid, uint32_t uid, uint32_t gid);
/* Watches a connected registration socket; takes it over. 0 or -errno. */
int sp_app_attach(struct sp *sp, struct sp_app *app, int sock);

/* ---- region.c: memory shared with a program ---- */
struct sp_region_fds {
	int control, page;
};
/* Makes the control segment and the read-only page and fills the cores' record. 0 or -errno. */
int sp_region_create(struct sp *sp, struct sp_app *app, struct sp_region_fds *fds);
/* What the service takes, into a program's page. */
void sp_region_policy(const struct sp *sp, struct tas_info *info);
/* One more chunk segment: its index, or -errno; *fd is the caller's. */
int sp_region_segment(struct sp *sp, struct sp_app *app, int *fd);
/* The cores hold nothing any more. */
void sp_region_destroy(struct sp *sp, struct sp_app *app);
/* The mapping of a program that `p` lies in: its id and range, or 0. Async-signal-safe. */
uint32_t sp_region_at(struct sp *sp, const void *p);

/* ---- policy.c ---- */
struct sp_peer {
	uint32_t pid, uid, gid;
	int sock;
};
/*
 * NULL when the peer may connect, else the reason. A child that was announced has its place: *only_child is why nobody
 * else may register, NULL: anybody may.
 */
const char *sp_policy_refuses(struct sp *sp, const struct sp_peer *peer, const char **only_child);
/* Has this user as many programs as one user may have? */
int sp_policy_user_full(struct sp *sp, uint32_t uid);
/* Checks what a program asks for a connection and fills in the daemon's defaults. 0 or -EINVAL. */
int sp_policy_opts(const struct sp *sp, const struct tas_sockopts *in, struct tas_sockopts *out);

/* ---- handle.c: kernel sockets that programs present ---- */
struct sp_handle {
	uint64_t cookie;
	uint8_t laddr[16]; /* all zero = wildcard */
	uint16_t lport;	   /* network order, 0 = not bound */
	uint8_t reuseport;
	uint8_t listening;  /* no other socket of its address can, unless bound to a device */
	uint8_t one_device; /* bound to one (SO_BINDTODEVICE) */
};
/* A TCP socket of our network namespace, IPv4 or IPv6 that takes IPv4. 0 or -errno. */
int sp_handle_read(const struct sp *sp, int fd, struct sp_handle *out);
/* SO_NETNS_COOKIE of this thread's namespace. 0 or -errno. */
int sp_netns_cookie(uint64_t *out);

/* ---- cmd.c ---- */
/* Reads and answers a batch of messages. */
void sp_cmd_input(struct sp *sp, struct sp_app *app);

/* ---- sigbus.c ---- */
void sp_sigbus_init(struct sp *sp);

#endif
