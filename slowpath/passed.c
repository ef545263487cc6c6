/*
 * passed.c - see passed.h. A closer is a thread that closes what waits of one user at a time: what
 * does not close holds up the other descriptors of that user, and nobody else's. There is one more
 * as long as another user would have to wait.
 */
#include "passed.h"

#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "sp.h"

#define WAITING_MAX 512u /* of one user; with so many there is no room for more */
#define USERS_MAX   64u
#define CLOSERS_MAX 8u	      /* as many users can each hold one up for good */
#define GUARD_NS    20000000l /* the first wait may last so long, */
#define AGAIN_NS    1000000l  /* and each that follows it: a round may meet hundreds */

/* ---- the timer that interrupts ---- */

static void on_urg(int sig)
{
	(void)sig; /* a system call has been interrupted: that is all */
}

static int make_timer(struct sp_guard *g)
{
	struct sigaction sa = {.sa_handler = on_urg};
	struct sigevent ev = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGURG};

	if (g->made)
		return 1;
	ev._sigev_un._tid = (int)syscall(SYS_gettid);
	if (sigaction(SIGURG, &sa, NULL) != 0 || timer_create(CLOCK_MONOTONIC, &ev, &g->timer) != 0)
		return 0;
	g->made = 1;
	return 1;
}

static void set_timer(const struct sp_guard *g, long first_ns)
{
	const struct itimerspec when = {
		.it_value.tv_nsec = first_ns, .it_interval.tv_nsec = AGAIN_NS};

	timer_settime(g->timer, 0, &when, NULL);
}

static void guard_on(struct sp_guard *g)
{
	if (g->on || !make_timer(g))
		return;
	g->on = 1;
	set_timer(g, GUARD_NS);
}

static void guard_off(struct sp_guard *g)
{
	if (!g->on)
		return;
	g->on = 0;
	set_timer(g, 0);
}

void sp_guard(struct sp *sp)
{
	guard_on(&sp->guard);
}

void sp_guard_off(struct sp *sp)
{
	guard_off(&sp->guard);
}

void sp_guard_free(struct sp *sp)
{
	sp_guard_off(sp);
	if (sp->guard.made)
		timer_delete(sp->guard.timer);
	memset(&sp->guard, 0, sizeof(sp->guard));
}

/* ---- the closers ---- */

/* A user of whom something waits or is being closed. */
struct user {
	uint32_t uid, count;
	int closing; /* a closer is at one of them */
	int fds[WAITING_MAX + SP_PASSED_MAX];
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t news;
	struct user users[USERS_MAX];
	uint32_t turn;
	uint32_t closers, idle; /* threads, and of these not at work */
} closer = {.lock = PTHREAD_MUTEX_INITIALIZER, .news = PTHREAD_COND_INITIALIZER};

/* All of this section runs under the lock; closer_main, sp_passed_room and hand_over take it. */

static int is_ready(const struct user *u)
{
	return u->count != 0 && !u->closing;
}

static uint32_t count_ready(void)
{
	uint32_t i, n = 0;

	for (i = 0; i < USERS_MAX; i++)
		n += (uint32_t)is_ready(&closer.users[i]);
	return n;
}

/* The next in turn; NULL: nothing to do. */
static struct user *next_ready(void)
{
	uint32_t step;

	for (step = 0; step < USERS_MAX; step++) {
		struct user *u = &closer.users[closer.turn++ % USERS_MAX];

		if (is_ready(u))
			return u;
	}
	return NULL;
}

static void close_one(struct user *u, struct sp_guard *guard)
{
	int fd = u->fds[--u->count];

	u->closing = 1;
	closer.idle--;
	pthread_mutex_unlock(&closer.lock);
	guard_on(guard); /* ends what lingers; a file of FUSE waits on */
	close(fd);
	pthread_mutex_lock(&closer.lock);
	closer.idle++;
	u->closing = 0;
}

static void *closer_main(void *arg)
{
	struct sp_guard guard = {.made = 0};
	struct user *u;
	sigset_t others;

	(void)arg;
	sigfillset(&others);
	sigdelset(&others, SIGURG);
	pthread_sigmask(SIG_SETMASK, &others, NULL);
	pthread_mutex_lock(&closer.lock);
	for (;;) {
		u = next_ready();
		if (u != NULL) {
			close_one(u, &guard);
			continue;
		}
		guard_off(&guard);
		pthread_cond_wait(&closer.news, &closer.lock);
	}
	return NULL;
}

/* As many as users wait, if there may be so many. */
static void start_closers(void)
{
	pthread_t thread;

	while (closer.idle < count_ready() && closer.closers < CLOSERS_MAX) {
		if (pthread_create(&thread, NULL, closer_main, NULL) != 0)
			return; /* the next that is passed tries again */
		pthread_detach(thread);
		closer.closers++;
		closer.idle++;
	}
}

/* The user's place, else a free one; NULL: none. */
static struct user *place_of(uint32_t uid)
{
	struct user *found = NULL;
	uint32_t i;

	for (i = 0; i < USERS_MAX; i++) {
		struct user *u = &closer.users[i];

		if (u->count == 0 && !u->closing)
			found = u;
		else if (u->uid == uid)
			return u;
	}
	return found;
}

static int has_room(uint32_t uid)
{
	const struct user *u = place_of(uid);

	return u != NULL && u->count < WAITING_MAX;
}

int sp_passed_room(uint32_t uid)
{
	int room;

	pthread_mutex_lock(&closer.lock);
	room = has_room(uid);
	pthread_mutex_unlock(&closer.lock);
	return room;
}

/* 0, or -1: there is no room for more. */
static int hand_over(uint32_t uid, int fd)
{
	struct user *u;
	int room;

	pthread_mutex_lock(&closer.lock);
	u = place_of(uid);
	u->uid = uid;
	u->fds[u->count++] = fd;
	start_closers();
	pthread_cond_signal(&closer.news);
	room = has_room(uid);
	pthread_mutex_unlock(&closer.lock);
	return room ? 0 : -1;
}

/* ---- which descriptor may wait ---- */

static int get_int(int fd, int name)
{
	socklen_t len = sizeof(int);
	int value;

	return getsockopt(fd, SOL_SOCKET, name, &value, &len) == 0 ? value : -1;
}

/* Asks nothing that a file system would have to answer. */
static int is_tcp(int fd)
{
	int domain = get_int(fd, SO_DOMAIN);

	return (domain == AF_INET || domain == AF_INET6) && get_int(fd, SO_TYPE) == SOCK_STREAM &&
	       get_int(fd, SO_PROTOCOL) == IPPROTO_TCP;
}

static int lingers(int fd)
{
	struct linger l;
	socklen_t len = sizeof(l);

	return getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &len) != 0 || l.l_onoff != 0;
}

/* Programs have reason to pass TCP sockets; those that do not linger are closed on the spot. */
int sp_passed_close(struct sp *sp, uint32_t uid, int fd)
{
	if (is_tcp(fd) && !lingers(fd)) {
		sp_guard(sp); /* its owner may have set SO_LINGER since */
		close(fd);
		return 0;
	}
	if (hand_over(uid, fd) == 0)
		return 0;
	sp->cnt.drop_passed++;
	return -1;
}
