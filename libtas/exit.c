/*
 * exit.c - the end of the process closes what it leaves open, as the kernel does for its own
 * sockets.
 *
 * Without this a program that writes and then exits would look to the daemon like one that was
 * killed, whose connections are reset. exit() and a return from main() come here through the
 * destructor, which runs after the program's own handlers; _exit() and its kin by interception.
 * Owner: the exiting thread. exit(3), _exit(2).
 */
#include <stdlib.h>
#include <unistd.h>
#include "lt.h"

/* By slot: one that was closed while another thread sleeps on it has no descriptor any more. */
static void close_all(struct lt_ctx *c)
{
	uint32_t i, v, n = tas_load(&c->slots.fresh);
	struct lt_desc *d;
	bool abort;

	for (i = 0; i < n; i++) {
		v = tas_load_acq(&c->slot_desc[i]);
		d = v != 0 ? &lt_descs[v - 1] : NULL;
		if (d == NULL || d->kind != LT_CONN || d->slot != i)
			continue;
		lt_report_settle(d);
		if (lt_share_close(d))
			continue;
		abort = d->opts.linger_s == 0 || lt_conn_left(d) != 0;
		lt_tx_last(d, TAS_SOCK_CLOSED | (abort ? TAS_SOCK_ABORT : TAS_SOCK_SHUT_WR));
	}
}

/* Not in a child that shares this memory or was made behind our back: the connections are its
 * parent's. */
void lt_at_exit(void)
{
	if (lt_context() != NULL && (uint32_t)lt_sys1(SYS_getpid, 0) == tas_load(&lt_pid))
		close_all(lt_context());
	lt_explain_report();
}

__attribute__((destructor)) static void after_exit(void)
{
	lt_stdio_flush();
	lt_at_exit();
}

/* Registered before the program's own handlers, so it runs after them. */
__attribute__((constructor)) static void hook(void)
{
	at_quick_exit(lt_at_exit);
}

void lt__exit(int status)
{
	lt_at_exit();
	lt_real._exit(status);
}

void lt__Exit(int status)
{
	lt_at_exit();
	lt_real._Exit(status);
}
