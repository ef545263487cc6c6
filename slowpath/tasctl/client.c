/*
 * client.c - the connection to the daemon, and what to say when there is none.
 *
 * A reply is checked as strictly as a request is by the daemon: this program may run as root.
 * Specification: include/tas/ctl.h.
 */
#include "client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>
#include "tas/app_sp.h"

int client_open(struct client *c, const char *path)
{
	struct timeval timeout = {.tv_sec = CLIENT_TIMEOUT_S};
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int err;

	c->path = path;
	c->fd = -1;
	c->seq = 0;
	if (strlen(path) >= sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	strcpy(sa.sun_path, path);
	c->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return -errno;
	setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	if (connect(c->fd, (const struct sockaddr *)&sa, sizeof(sa)) == 0)
		return 0;
	err = -errno;
	client_close(c);
	return err;
}

void client_close(struct client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

void client_request(struct tas_ctl_request *q, enum tas_ctl_op op)
{
	memset(q, 0, sizeof(*q));
	q->magic = TAS_CTL_MAGIC;
	q->version = TAS_CTL_VERSION;
	q->op = (uint16_t)op;
}

/* The reply in c->head and c->rows, `len` bytes in all, belongs to `q` and holds what it claims. */
static int reply_fits(const struct client *c, const struct tas_ctl_request *q, ssize_t len)
{
	const struct tas_ctl_reply *h = &c->head;

	if (len < (ssize_t)sizeof(*h) || h->magic != TAS_CTL_MAGIC || h->seq != q->seq ||
		h->op != q->op || h->status > 0)
		return 0;
	if (h->nrows > sizeof(c->rows) || h->row_bytes > sizeof(c->rows))
		return 0;
	if (h->nrows != 0 && h->row_bytes == 0)
		return 0;
	return (uint64_t)h->nrows * h->row_bytes == (uint64_t)len - sizeof(*h);
}

int client_call(struct client *c, struct tas_ctl_request *q)
{
	struct iovec iov[2] = {{&c->head, sizeof(c->head)}, {c->rows, sizeof(c->rows)}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	ssize_t len;

	q->seq = ++c->seq;
	if (send(c->fd, q, sizeof(*q), MSG_NOSIGNAL) != (ssize_t)sizeof(*q))
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	len = recvmsg(c->fd, &msg, 0);
	if (len < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	if (len == 0)
		return -ECONNRESET;
	if (len >= (ssize_t)sizeof(c->head.magic) && c->head.magic == TAS_CMD_MAGIC)
		return -EPROTOTYPE; /* the answer that programs get */
	if (msg.msg_flags & MSG_TRUNC || !reply_fits(c, q, len))
		return -EBADMSG;
	return c->head.status;
}

void client_row(const struct client *c, uint32_t i, void *row, uint32_t size)
{
	uint32_t n = c->head.row_bytes < size ? c->head.row_bytes : size;

	memset(row, 0, size);
	memcpy(row, c->rows + (size_t)i * c->head.row_bytes, n);
}

int client_complain(const struct client *c, int err)
{
	fprintf(stderr, "tasctl: ");
	switch (-err) {
	case ENOENT:
	case ECONNREFUSED:
		fprintf(stderr, "no tas service answers at %s: is it running?%s\n", c->path,
			access("/run/systemd/system", F_OK) == 0 ? " (systemctl status tas)" : "");
		break;
	case EACCES:
		fprintf(stderr, "not allowed to open %s: be root, or a member of its group\n",
			c->path);
		break;
	case EPERM:
		fprintf(stderr, "only root and the user that tas runs as may do this\n");
		break;
	case ETIMEDOUT:
		fprintf(stderr, "the tas service at %s did not answer within %d s\n", c->path,
			CLIENT_TIMEOUT_S);
		break;
	case ECONNRESET:
	case EPIPE:
		fprintf(stderr, "the tas service at %s ended the connection\n", c->path);
		break;
	case EPROTOTYPE:
		fprintf(stderr,
			"programs register at %s: tasctl wants the control socket, ctl_socket in "
			"tas.conf\n",
			c->path);
		break;
	case EPROTONOSUPPORT:
	case EOPNOTSUPP:
	case EBADMSG:
		fprintf(stderr, "the service at %s is of another version than this tasctl %s\n",
			c->path, TAS_VERSION);
		break;
	default:
		fprintf(stderr, "%s: %s\n", c->path, strerror(-err));
	}
	return 1;
}
