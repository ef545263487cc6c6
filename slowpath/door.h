/*
 * door.h - a path-named SOCK_SEQPACKET socket that programs or tasctl connect to: stale files
 * removed, nobody let in before group and mode are set. Owner: slow path thread. unix(7).
 */
#ifndef SP_DOOR_H
#define SP_DOOR_H

#include <stdint.h>

/* What to do about a path whose folder is not there. */
#define SP_NO_FOLDER "mkdir it, or start by systemd, which makes /run/tas"

struct sp;

/*
 * Makes the path free: removes a socket that nobody answers on (left by a daemon that was killed).
 * 0, -EADDRINUSE: somebody answers, -EEXIST: a file that is no socket, or another -errno.
 */
int sp_door_clear(const char *path);
/*
 * A listening, non-blocking socket at `path` with the options' group and mode, or -errno: as
 * sp_door_clear, -ESRCH: no such group. Nothing is left behind on failure.
 */
int sp_door_open(const struct sp *sp, const char *path, int backlog);
/* Closes it and removes the socket, or says that it stays: after drop_user the folder may be another
 * user's. */
void sp_door_close(const char *path, int fd);
/* One sentence for what the two above return. */
const char *sp_door_error(int err);

/*
 * accept4() failed with `err`: 1 when it would fail again at once (out of descriptors or memory), so
 * that the door must not be watched for a while; else the loop would spin.
 */
int sp_door_must_rest(int err);

#endif
