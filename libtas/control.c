/*
 * control.c - control data of sendmsg() and recvmsg() on a connection.
 *
 * A TCP socket hears of the control messages of level SOL_SOCKET only, and of these it is given nothing
 * to do by SCM_RIGHTS and SCM_CREDENTIALS. What would hold for one packet (its time stamps, its mark) is
 * refused and counted. Owner: any thread. cmsg(3), sendmsg(2), recvmsg(2).
 */
#include "lt.h"

static bool taken(const struct cmsghdr *c)
{
	return c->cmsg_level != SOL_SOCKET || c->cmsg_type == SCM_RIGHTS ||
	       c->cmsg_type == SCM_CREDENTIALS;
}

int lt_control_send(const struct msghdr *m)
{
	size_t at, left;
	struct cmsghdr c;

	if (m->msg_controllen > INT32_MAX)
		return -ENOBUFS;
	if (lt_bad(m->msg_control, m->msg_controllen))
		return -EFAULT;
	for (at = 0; m->msg_controllen - at >= sizeof(c); at += CMSG_ALIGN(c.cmsg_len)) {
		memcpy(&c, (const char *)m->msg_control + at, sizeof(c));
		left = m->msg_controllen - at;
		if (c.cmsg_len < sizeof(c) || c.cmsg_len > left)
			return -EINVAL;
		if (!taken(&c)) {
			lt_explain(TAS_X_flag_control);
			return -EINVAL;
		}
		if (CMSG_ALIGN(c.cmsg_len) > left)
			break;
	}
	return 0;
}

void lt_control_put(struct msghdr *m, int level, int type, const void *data, size_t n)
{
	struct cmsghdr c = {.cmsg_len = CMSG_LEN(n), .cmsg_level = level, .cmsg_type = type};
	size_t room = m->msg_control != NULL ? m->msg_controllen : 0, space = CMSG_SPACE(n);

	m->msg_controllen = 0;
	if (room < c.cmsg_len)
		m->msg_flags |= MSG_CTRUNC;
	if (room < sizeof(c))
		return;
	c.cmsg_len = room < c.cmsg_len ? room : c.cmsg_len;
	memcpy(m->msg_control, &c, sizeof(c));
	memcpy((char *)m->msg_control + sizeof(c), data, c.cmsg_len - sizeof(c));
	m->msg_controllen = room < space ? room : space;
}
