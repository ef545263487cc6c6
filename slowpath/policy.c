/*
 * policy.c - who may use the service, and how much. Owner: slow path thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "app_internal.h"
#include "passed.h"

#define GROUPS_MAX   1024
#define SNDBUF_MIN   4096u
#define RCVBUF_MIN   1152u  /* what Linux makes of SO_RCVBUF 0 */
#define KEEP_S_MAX   32767u /* tcp(7) */
#define KEEP_CNT_MAX 127u
#define SYNCNT_MAX   127u
#define LINGER2_MAX  120u /* as Linux: TCP_FIN_TIMEOUT_MAX */
#define MAXSEG_MIN   88u  /* as Linux: TCP_MIN_MSS */
#define MAXSEG_MAX   32767u

static int listed(const struct sp_list *list, uint32_t id)
{
	uint32_t i;

	for (i = 0; i < list->n; i++) {
		if (strtoul(list->item[i], NULL, 10) == id)
			return 1;
	}
	return 0;
}

/* The peer's supplementary groups: SO_PEERGROUPS of socket(7). */
static int group_listed(const struct sp_list *list, const struct sp_peer *peer)
{
	gid_t groups[GROUPS_MAX];
	socklen_t len = sizeof(groups), i;

	if (listed(list, peer->gid))
		return 1;
	if (getsockopt(peer->sock, SOL_SOCKET, SO_PEERGROUPS, groups, &len) != 0)
		return 0;
	for (i = 0; i < len / sizeof(groups[0]); i++) {
		if (listed(list, groups[i]))
			return 1;
	}
	return 0;
}

/* One user can take three quarters of the places, so that others, and always root, can get in. */
int sp_policy_user_full(struct sp *sp, uint32_t uid)
{
	uint32_t share = sp->apps.max - sp->apps.max / 4, cursor = 1, n = 0;
	const struct sp_app *app;

	if (uid == 0 || sp->apps.count < share)
		return 0;
	while ((app = sp_app_next(sp, &cursor)) != NULL)
		n += app->uid == uid;
	return n >= share;
}

/* Why there is no place for a new program; NULL: there is. */
static const char *no_place(struct sp *sp, uint32_t uid)
{
	if (sp->apps.draining)
		return "the service is draining";
	if (sp->apps.count >= sp->apps.max)
		return "too many programs (max_programs)";
	if (sp_policy_user_full(sp, uid))
		return "too many programs of this user (three quarters of max_programs)";
	return NULL;
}

/* Is there a child of this user to come, for whom no other connection may have been let in? */
static int child_awaited(struct sp *sp, uint32_t uid)
{
	uint32_t cursor = 1;
	int n = 0;
	const struct sp_app *app;

	while ((app = sp_app_next(sp, &cursor)) != NULL) {
		if (app->uid == uid)
			n += (app->state == SP_APP_RESERVED && app->sock < 0) -
			     (app->only_child != NULL);
	}
	return n > 0;
}

const char *sp_policy_refuses(struct sp *sp, const struct sp_peer *peer, const char **only_child)
{
	const struct sp_config *conf = &sp->conf;

	*only_child = no_place(sp, peer->uid);
	if (*only_child != NULL && !child_awaited(sp, peer->uid))
		return *only_child;
	if (!sp_passed_room(peer->uid))
		return "descriptors that programs of this user passed do not close";
	if (conf->allow_uids.n == 0 && conf->allow_gids.n == 0)
		return NULL;
	if (listed(&conf->allow_uids, peer->uid) || group_listed(&conf->allow_gids, peer))
		return NULL;
	return "neither in allow_uids nor in allow_gids";
}

static int zero_or_within(uint32_t v, uint32_t min, uint32_t max)
{
	return v == 0 || (v >= min && v <= max);
}

static int known_cc(uint32_t cc)
{
	uint32_t n = 0;

	while (cc_algos[n] != NULL)
		n++;
	return cc <= n;
}

static uint32_t at_most(uint32_t v, uint32_t max)
{
	return v > max ? max : v;
}

int sp_policy_opts(const struct sp *sp, const struct tas_sockopts *in, struct tas_sockopts *out)
{
	const struct tas_sockopts o = *in;

	if (o.keepalive > 1 || !zero_or_within(o.keepidle_s, 1, KEEP_S_MAX) ||
		!zero_or_within(o.keepintvl_s, 1, KEEP_S_MAX) ||
		!zero_or_within(o.keepcnt, 1, KEEP_CNT_MAX) ||
		!zero_or_within(o.maxseg, MAXSEG_MIN, MAXSEG_MAX) || o.tos > 0xff ||
		o.user_timeout_ms > INT32_MAX || !known_cc(o.cc) ||
		(o.linger2_s > LINGER2_MAX && o.linger2_s != TAS_OPT_NO_LINGER2) ||
		o.syncnt > SYNCNT_MAX || o.zero != 0)
		return -EINVAL;
	*out = o;
	out->tos = o.tos & ~3u; /* the ECN field is TCP's (RFC 3168) */
	if (o.keepidle_s == 0)
		out->keepidle_s = sp->conf.keepalive_idle;
	if (o.keepintvl_s == 0)
		out->keepintvl_s = sp->conf.keepalive_interval;
	if (o.keepcnt == 0)
		out->keepcnt = sp->conf.keepalive_count;
	if (o.rcvbuf != 0)
		out->rcvbuf =
			at_most(o.rcvbuf < RCVBUF_MIN ? RCVBUF_MIN : o.rcvbuf, sp->conf.rcvbuf_max);
	out->rcvlowat = at_most(o.rcvlowat, sp->conf.rcvbuf_max / 2);
	if (o.sndbuf != 0)
		out->sndbuf =
			at_most(o.sndbuf < SNDBUF_MIN ? SNDBUF_MIN : o.sndbuf, sp->conf.sndbuf_max);
	return 0;
}
