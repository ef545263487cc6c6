/*
 * identity.c - calls after which the registration socket may be out of reach: changes of identity,
 * chroot.
 *
 * A server that is started as root, drops to another user and only then opens its sockets has the
 * right to the service that it was started with, so it says HELLO before the change. HELLO maps
 * nothing. Owner: any thread. setuid(2), initgroups(3), chroot(2).
 */
#include <grp.h>
#include <unistd.h>
#include "lt.h"

static void register_first(void)
{
	int saved = errno;

	lt_client_ready();
	errno = saved;
}

int lt_setuid(uid_t uid)
{
	register_first();
	return lt_real.setuid(uid);
}

int lt_setgid(gid_t gid)
{
	register_first();
	return lt_real.setgid(gid);
}

int lt_setreuid(uid_t r, uid_t e)
{
	register_first();
	return lt_real.setreuid(r, e);
}

int lt_setregid(gid_t r, gid_t e)
{
	register_first();
	return lt_real.setregid(r, e);
}

int lt_setresuid(uid_t r, uid_t e, uid_t s)
{
	register_first();
	return lt_real.setresuid(r, e, s);
}

int lt_setresgid(gid_t r, gid_t e, gid_t s)
{
	register_first();
	return lt_real.setresgid(r, e, s);
}

int lt_setgroups(size_t n, const gid_t *list)
{
	register_first();
	return lt_real.setgroups(n, list);
}

int lt_initgroups(const char *user, gid_t group)
{
	register_first();
	return lt_real.initgroups(user, group);
}

int lt_chroot(const char *path)
{
	register_first();
	return lt_real.chroot(path);
}
