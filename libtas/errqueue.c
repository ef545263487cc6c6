/*
 * errqueue.c - the error queue of a connection: completions of sends with MSG_ZEROCOPY.
 *
 * A send copies, so it is complete when it returns, and says so as Linux does of data that had to be
 * copied after all (SO_EE_CODE_ZEROCOPY_COPIED). Sends are numbered; those that are complete one after
 * the other and not yet reported are one message, from the first number to the last. So the queue is
 * two numbers: the first unreported send, and how many there are. docs/decisions/0020-error-queue.md.
 * Owner: any thread. recvmsg(2), ip(7), networking/msg_zerocopy of the kernel's documentation.
 */
#include "lt.h"
#include <linux/errqueue.h>

/* As the kernel lays it out: the error, then where it came from, which here is nowhere. */
struct report4 {
	struct sock_extended_err ee;
	struct sockaddr_in offender;
};

struct report6 {
	struct sock_extended_err ee;
	struct sockaddr_in6 offender;
};

static uint32_t first_of(uint64_t queue)
{
	return (uint32_t)(queue >> 32);
}

static uint32_t count_of(uint64_t queue)
{
	return (uint32_t)queue;
}

bool lt_errqueue_any(const struct lt_desc *d)
{
	return count_of(tas_load(&d->errqueue)) != 0;
}

/* More than 2^32 - 1 completions that nobody has read: a message has no room for them. */
bool lt_errqueue_full(const struct lt_desc *d)
{
	return count_of(tas_load(&d->errqueue)) == UINT32_MAX;
}

void lt_errqueue_sent(struct lt_desc *d)
{
	uint64_t was = tas_load(&d->errqueue);

	do {
		if (count_of(was) == UINT32_MAX)
			return;
	} while (!tas_cas(&d->errqueue, &was, was + 1));
	lt_news(d);
}

/* 1 = *lo to *hi are reported by this call. */
static bool take(struct lt_desc *d, uint32_t *lo, uint32_t *hi)
{
	uint64_t was = tas_load(&d->errqueue);

	do {
		if (count_of(was) == 0)
			return false;
		*lo = first_of(was);
		*hi = *lo + count_of(was) - 1;
	} while (!tas_cas(&d->errqueue, &was, (uint64_t)(uint32_t)(*hi + 1) << 32));
	return true;
}

ssize_t lt_errqueue_recv(struct lt_desc *d, struct msghdr *m, int flags)
{
	struct report6 six = {
		.ee.ee_origin = SO_EE_ORIGIN_ZEROCOPY, .ee.ee_code = SO_EE_CODE_ZEROCOPY_COPIED};
	struct report4 four = {.ee = six.ee};

	if (!take(d, &six.ee.ee_info, &six.ee.ee_data)) {
		lt_explain(TAS_X_flag_errqueue);
		return -EAGAIN;
	}
	if (m == NULL)
		return 0;
	four.ee = six.ee;
	if (m->msg_name != NULL)
		m->msg_namelen = 0;
	m->msg_flags = MSG_ERRQUEUE | (flags & MSG_CMSG_CLOEXEC);
	if (lt_flags(d) & LT_D_V6)
		lt_control_put(m, IPPROTO_IPV6, IPV6_RECVERR, &six, sizeof(six));
	else
		lt_control_put(m, IPPROTO_IP, IP_RECVERR, &four, sizeof(four));
	return 0;
}
