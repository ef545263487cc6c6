/*
 * door.c - see door.h.
 */
#include "door.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "sp.h"

static int address_of(const char *path, struct sockaddr_un *sa)
{
	size_t len = strlen(path);

	memset(sa, 0, sizeof(*sa));
	sa->sun_family = AF_UNIX;
	if (len >= sizeof(sa->sun_path))
		return -ENAMETOOLONG;
	memcpy(sa->sun_path, path, len);
	return 0;
}

/* Does anybody listen there? 0 = nobody, -EADDRINUSE, or why it cannot be known. Never waits. */
static int knock(const struct sockaddr_un *sa)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err;

	if (fd < 0)
		return -errno;
	err = connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) == 0 ? EAGAIN : errno;
	close(fd);
	switch (err) {
	case ECONNREFUSED:
		return 0;
	case EAGAIN:	 /* so busy that its queue is full */
	case EPROTOTYPE: /* another kind of socket: another service's */
		return -EADDRINUSE;
	default:
		return -err;
	}
}

int sp_door_clear(const char *path)
{
	struct sockaddr_un sa;
	struct stat st;
	int err = address_of(path, &sa);

	if (err != 0)
		return err;
	if (lstat(path, &st) != 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode)) /* connect() calls any other file ECONNREFUSED, too */
		return -EEXIST;
	err = knock(&sa);
	if (err != 0)
		return err;
	return unlink(path) != 0 ? -errno : 0;
}

static int set_owner(const struct sp *sp, const char *path)
{
	const struct group *gr;

	if (sp->conf.socket_group[0] != '\0') {
		gr = getgrnam(sp->conf.socket_group);
		if (gr == NULL)
			return -ESRCH;
		if (chown(path, (uid_t)-1, gr->gr_gid) != 0)
			return -errno;
	}
	return chmod(path, sp->conf.socket_mode) != 0 ? -errno : 0;
}

static int start_listening(const struct sp *sp, const char *path, int fd, int backlog)
{
	int err = set_owner(sp, path); /* first: nobody gets in before */

	if (err == 0 && listen(fd, backlog) != 0)
		err = -errno;
	if (err != 0)
		unlink(path);
	return err;
}

int sp_door_open(const struct sp *sp, const char *path, int backlog)
{
	struct sockaddr_un sa;
	int err = sp_door_clear(path), fd;
	mode_t old;

	if (err != 0)
		return err;
	address_of(path, &sa);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	old = umask(0177);
	err = bind(fd, (const struct sockaddr *)&sa, sizeof(sa)) != 0 ? -errno : 0;
	umask(old);
	if (err == 0)
		err = start_listening(sp, path, fd, backlog);
	if (err == 0)
		return fd;
	close(fd);
	return err;
}

/* Does systemd take the folder away when the service has ended? systemd.exec(5), RuntimeDirectory=. */
static int is_systemds(const char *path)
{
	const char *dir = getenv("RUNTIME_DIRECTORY");
	size_t len;

	for (; dir != NULL && *dir != '\0'; dir += len + (dir[len] == ':')) {
		len = strcspn(dir, ":");
		if (len != 0 && strncmp(path, dir, len) == 0 && path[len] == '/')
			return 1;
	}
	return 0;
}

/* A folder is not given to drop_user: it may be one of all services, as /run. */
void sp_door_close(const char *path, int fd)
{
	close(fd);
	if (unlink(path) == 0 || errno == ENOENT || is_systemds(path))
		return;
	sp_warn("start",
		"cannot remove a socket, the next start does it; or let its folder be drop_user's "
		"path=%s error=\"%s\"",
		path, strerror(errno));
}

const char *sp_door_error(int err)
{
	switch (-err) {
	case EADDRINUSE:
		return "another service answers there";
	case EEXIST:
		return "there is a file that is no socket";
	case ESRCH:
		return "no such group as socket_group says: systemd-sysusers or groupadd makes it, "
		       "or "
		       "set socket_group = \"\"";
	case ENOENT:
		return "its folder does not exist: " SP_NO_FOLDER;
	default:
		return strerror(-err);
	}
}

int sp_door_must_rest(int err)
{
	return err == EMFILE || err == ENFILE || err == ENOMEM || err == ENOBUFS;
}
