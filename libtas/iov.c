/*
 * iov.c - walking a program's iovec array. Owner: any thread (pure).
 */
#include <limits.h>
#include "lt.h"

#define IOV_LIMIT 1024u

/* Bytes described, at most LT_RW_MAX; or -EINVAL, -EFAULT as readv(2) and sendmsg(2) have it. */
ssize_t lt_iov_total(const struct iovec *v, size_t n)
{
	size_t i, len, total = 0;

	if (n > IOV_LIMIT)
		return -EINVAL;
	if (n != 0 && lt_bad(v, n * sizeof(*v)))
		return -EFAULT;
	for (i = 0; i < n; i++)
		if (v[i].iov_len > SSIZE_MAX)
			return -EINVAL;
	for (i = 0; i < n; i++) {
		len = v[i].iov_len < LT_RW_MAX - total ? v[i].iov_len : LT_RW_MAX - total;
		/* Linux cuts a single buffer first, several afterwards. */
		if (lt_outside(v[i].iov_base, n == 1 ? len : v[i].iov_len))
			return -EFAULT;
		total += len;
	}
	return (ssize_t)total;
}

bool lt_iov_null(const struct lt_iov *it, size_t n)
{
	size_t i, len, off = it->off;

	for (i = 0; i < it->n && n > 0; i++, off = 0) {
		len = it->v[i].iov_len - off < n ? it->v[i].iov_len - off : n;
		if (len != 0 && (uintptr_t)it->v[i].iov_base < LT_PAGE_ZERO)
			return true;
		n -= len;
	}
	return false;
}

/* The next contiguous piece of at most n bytes; 0 at the end. */
static size_t piece(struct lt_iov *it, uint8_t **p, size_t n)
{
	size_t len;

	while (it->n > 0 && it->off == it->v->iov_len) {
		it->v++;
		it->n--;
		it->off = 0;
	}
	if (it->n == 0)
		return 0;
	len = it->v->iov_len - it->off;
	len = len > n ? n : len;
	*p = (uint8_t *)it->v->iov_base + it->off;
	it->off += len;
	return len;
}

size_t lt_iov_copy_in(struct lt_iov *it, uint8_t *to, size_t n)
{
	size_t done = 0, len;
	uint8_t *p;

	for (; done < n && (len = piece(it, &p, n - done)) != 0; done += len)
		memcpy(to + done, p, len);
	return done;
}

void lt_iov_skip(struct lt_iov *it, size_t n)
{
	size_t len;
	uint8_t *p;

	for (; n > 0 && (len = piece(it, &p, n)) != 0; n -= len)
		;
}

size_t lt_iov_copy_out(struct lt_iov *it, const uint8_t *from, size_t n)
{
	size_t done = 0, len;
	uint8_t *p;

	for (; done < n && (len = piece(it, &p, n - done)) != 0; done += len)
		memcpy(p, from + done, len);
	return done;
}
