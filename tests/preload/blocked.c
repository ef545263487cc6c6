/*
 * blocked.c - what ends a sleep, in every call that can sleep: each pair is a case, named event.call. Signals with and without
 * SA_RESTART, and with a time-out set; signals nobody handles; cancellation, deferred, asynchronous and disabled; time-outs; shutdown()
 * and close() by another thread; the peer's reset. Afterwards what the call waited for comes, and is found.
 */
#include "blocked.h"

static volatile sig_atomic_t handled;
static int cancel_state, cancel_type;
static void (*inner)(struct thread *t);

static void on_signal(int sig)
{
	(void)sig;
	handled++;
}

static void handle(int sig, int flags)
{
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = flags};

	handled = 0;
	CHECK(sigaction(sig, &sa, NULL) == 0);
}

static void show(const struct thread *t)
{
	errno = t->err;
	if (t->r >= 0 && (t->call == in_accept || t->call == in_accept4))
		out("result: a descriptor");
	else
		result("result", t->r);
}

/* The call goes on: it sleeps still, then what it waits for comes. */
static void goes_on(struct thread *t, size_t call)
{
	bool asleep = sleeps(t);

	out("sleeps on %d", asleep);
	if (asleep)
		satisfy(call);
	finish(t);
	show(t);
}

static void made_now(struct thread *t, size_t call)
{
	t->r = -1;
	calls[call].call(t);
	t->err = errno;
	show(t);
}

/* The call is over, and can be made again. */
static void made_again(struct thread *t, size_t call)
{
	if (calls[call].kind == JOIN)
		return;
	satisfy(call);
	if (t->call == in_accept || t->call == in_accept4)
		await(t->fd, POLLIN);
	made_now(t, call);
}

static void over(struct thread *t, size_t call)
{
	finish(t);
	show(t);
	made_again(t, call);
}

/* Once the handler has run: a thread that goes back to sleep must have been awake. */
static void signal_it(struct thread *t, int sig)
{
	int i;

	CHECK(pthread_kill(t->id, sig) == 0);
	for (i = 0; i < LIMIT_MS && handled == 0; i++)
		usleep(1000);
	out("handled %d", handled);
}

static void by_signal(struct thread *t, size_t call)
{
	handle(SIGUSR1, 0);
	start(t);
	signal_it(t, SIGUSR1);
	over(t, call);
}

static bool restarts(size_t call)
{
	return calls[call].kind != READY;
}

static void by_restart(struct thread *t, size_t call)
{
	handle(SIGUSR1, SA_RESTART);
	start(t);
	signal_it(t, SIGUSR1);
	if (restarts(call))
		goes_on(t, call);
	else
		over(t, call);
}

static void limit(struct thread *t, size_t call, int ms)
{
	struct timeval tv = {ms / 1000, ms % 1000 * 1000};
	bool tx = calls[call].kind == TX || calls[call].kind == JOIN;

	CHECK(setsockopt(t->fd, SOL_SOCKET, tx ? SO_SNDTIMEO : SO_RCVTIMEO, &tv, sizeof(tv)) == 0);
}

/* A handler ends a call that has a time-out, whatever SA_RESTART says (signal(7)). */
static void by_timed_restart(struct thread *t, size_t call)
{
	handle(SIGUSR1, SA_RESTART);
	limit(t, call, 50000);
	start(t);
	signal_it(t, SIGUSR1);
	over(t, call);
}

static void by_timeout(struct thread *t, size_t call)
{
	limit(t, call, 50);
	CHECK(pthread_create(&t->id, NULL, thread_main, t) == 0);
	over(t, call);
}

static void by_unhandled(struct thread *t, size_t call)
{
	start(t);
	CHECK(pthread_kill(t->id, SIGWINCH) == 0 && pthread_kill(t->id, SIGCHLD) == 0);
	goes_on(t, call);
}

/* ---- cancellation ---- */

static void in_cancellable(struct thread *t)
{
	pthread_setcancelstate(cancel_state, NULL);
	pthread_setcanceltype(cancel_type, NULL);
	inner(t);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
}

static void start_cancellable(struct thread *t, int state, int type)
{
	cancel_state = state;
	cancel_type = type;
	inner = t->call;
	t->call = in_cancellable;
	start(t);
	t->call = inner;
}

static void cancelled_now(struct thread *t, size_t call)
{
	void *end = NULL;

	CHECK(pthread_cancel(t->id) == 0);
	CHECK(pthread_join(t->id, &end) == 0);
	out("cancelled %d", end == PTHREAD_CANCELED);
	made_again(t, call);
}

/* sendfile() is no place to be cancelled in (pthreads(7)). */
static void by_cancel(struct thread *t, size_t call)
{
	start_cancellable(t, PTHREAD_CANCEL_ENABLE, PTHREAD_CANCEL_DEFERRED);
	if (t->call != in_sendfile) {
		cancelled_now(t, call);
		return;
	}
	CHECK(pthread_cancel(t->id) == 0);
	goes_on(t, call);
}

static void by_cancel_async(struct thread *t, size_t call)
{
	start_cancellable(t, PTHREAD_CANCEL_ENABLE, PTHREAD_CANCEL_ASYNCHRONOUS);
	cancelled_now(t, call);
}

static void by_cancel_disabled(struct thread *t, size_t call)
{
	start_cancellable(t, PTHREAD_CANCEL_DISABLE, PTHREAD_CANCEL_DEFERRED);
	CHECK(pthread_cancel(t->id) == 0);
	goes_on(t, call);
}

/* Asked for before the call is made: it does not even look. */
static void in_late(struct thread *t)
{
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	CHECK(pthread_cancel(pthread_self()) == 0);
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	inner(t);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
}

static void by_cancel_before(struct thread *t, size_t call)
{
	void *end = NULL;

	satisfy(call);
	if (calls[call].kind == RX || calls[call].kind == READY)
		await_bytes(t->fd, 10);
	inner = t->call;
	t->call = in_late;
	CHECK(pthread_create(&t->id, NULL, thread_main, t) == 0);
	CHECK(pthread_join(t->id, &end) == 0);
	out("cancelled %d", end == PTHREAD_CANCELED);
	t->call = inner;
	if (calls[call].kind == RX || calls[call].kind == READY)
		made_now(t, call);
}

/* ---- the end of the descriptor, or of the connection ---- */

static void by_shutdown(struct thread *t, size_t call)
{
	(void)call;
	signal(SIGPIPE, SIG_IGN);
	start(t);
	result("shutdown", shutdown(t->fd, SHUT_RDWR));
	finish(t);
	show(t);
}

/* Whoever sleeps keeps the connection (close(2)). */
static void by_close(struct thread *t, size_t call)
{
	start(t);
	result("close", close(t->fd));
	goes_on(t, call);
	t->fd = -1;
}

static void by_reset(struct thread *t, size_t call)
{
	(void)call;
	signal(SIGPIPE, SIG_IGN);
	start(t);
	peer_do(RESETS);
	finish(t);
	show(t);
}

static void by_end(struct thread *t, size_t call)
{
	(void)call;
	start(t);
	peer_do(ENDS);
	finish(t);
	show(t);
}

#define BIT(kind) (1u << (kind))
#define FEW	  32u /* not all that send: until a connection is full takes its time */
#define ALL	  (BIT(RX) | BIT(TX) | BIT(TAKE) | BIT(JOIN) | BIT(READY))

static const struct {
	const char *name;
	void (*run)(struct thread *t, size_t call);
	unsigned kinds;
} ends[] = {{"signal", by_signal, ALL}, {"restart", by_restart, ALL},
	{"timed_restart", by_timed_restart, (ALL & ~BIT(READY)) | FEW},
	{"timeout", by_timeout, (ALL & ~BIT(READY)) | FEW}, {"unhandled", by_unhandled, ALL | FEW},
	{"cancel", by_cancel, ALL}, {"cancel_async", by_cancel_async, ALL | FEW},
	{"cancel_disabled", by_cancel_disabled, ALL | FEW},
	{"cancel_before", by_cancel_before, BIT(RX) | BIT(TX) | BIT(READY) | FEW},
	{"shutdown", by_shutdown, ALL}, {"close", by_close, BIT(RX) | BIT(TX) | FEW},
	{"reset", by_reset, BIT(RX) | BIT(TX) | BIT(READY) | FEW},
	{"end", by_end, BIT(RX) | BIT(READY)}};

#define ENDS_N (sizeof(ends) / sizeof(ends[0]))

static bool happens(size_t e, size_t c)
{
	if (calls[c].kind == TX && (ends[e].kinds & FEW) && calls[c].call != in_send &&
		calls[c].call != in_sendfile)
		return false;
	return (ends[e].kinds & BIT(calls[c].kind)) != 0;
}

static void test_pair(void)
{
	const char *dot = strchr(case_name, '.');
	size_t len = (size_t)(dot - case_name), e = 0, c = 0;
	struct thread t;
	int listener, k;

	while (strncmp(ends[e].name, case_name, len) != 0 || ends[e].name[len] != '\0')
		e++;
	while (strcmp(calls[c].name, dot + 1) != 0)
		c++;
	t = sleeper(c, &listener);
	ends[e].run(&t, c);
	close(t.fd);
	close(t.events);
	close(listener);
	for (k = 0; k < 3 && filling[0] >= 0; k++)
		close(filling[k]);
	tell(DONE);
	signal(SIGPIPE, SIG_DFL);
}

int main(int argc, char **argv)
{
	static struct tcase cases[ENDS_N * CALLS];
	static char names[ENDS_N * CALLS][48];
	size_t i, n = 0;

	for (i = 0; i < ENDS_N * CALLS; i++) {
		if (!happens(i / CALLS, i % CALLS))
			continue;
		snprintf(names[n], sizeof(names[n]), "%s.%s", ends[i / CALLS].name,
			calls[i % CALLS].name);
		cases[n] = (struct tcase){names[n], test_pair, peer_blocked};
		n++;
	}
	return run(argc, argv, cases, n);
}
