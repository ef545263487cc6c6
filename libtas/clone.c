/*
 * clone.c - clone() as libc offers it, when what it makes is no thread.
 *
 * A child with memory of its own is one of fork(): it learns of it before the program's function runs. A
 * child that shares the memory but has descriptors of its own would change its parent's tables: it is given
 * a copy of the memory instead, as vfork() does (the parent waits for it if it asked to). Where both are
 * shared the child is as good as a thread. Owner: the calling thread. clone(2).
 */
#include <sched.h>
#include "lt.h"

struct start {
	int (*fn)(void *);
	void *arg;
	const struct lt_forking *forking; /* NULL: nothing of ours was there yet */
};

/* What the program's function leaves open is closed in good order when it returns. */
static int in_child(void *p)
{
	struct start s = *(const struct start *)p;
	int status;

	if (s.forking != NULL)
		lt_fork_in_child(s.forking);
	else
		lt_explain_fork_child();
	status = s.fn(s.arg);
	lt_at_exit();
	return status;
}

static bool is_fork(int flags)
{
	if (flags & CLONE_THREAD)
		return false;
	return !(flags & CLONE_VM) || !(flags & (CLONE_FILES | CLONE_SIGHAND));
}

int lt_clone(
	int (*fn)(void *), void *stack, int flags, void *arg, int *parent, void *tls, int *child)
{
	struct start s = {fn, arg, NULL};
	struct lt_forking f;
	int pid;

	if (!is_fork(flags) || fn == NULL || stack == NULL)
		return lt_real.clone(fn, stack, flags, arg, parent, tls, child);
	flags &= ~CLONE_VM;
	if (tas_load(&lt_ntab) == 0)
		return lt_real.clone(in_child, stack, flags, &s, parent, tls, child);
	lt_fork_before(&f);
	s.forking = &f;
	pid = lt_real.clone(in_child, stack, flags, &s, parent, tls, child);
	lt_fork_in_parent(&f, pid);
	return pid;
}
