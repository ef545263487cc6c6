/*
 * passed.c - see passed.h. The thread that closes is started by the first descriptor it is for. What
 * waits for it is a set of numbers, so that nothing is lost however long one of them holds it up.
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

#define WAITING_MAX 256u     /* more than these: whoever passes another is put out */
#define FD_MAX	    1048576u /* as many descriptors as the unit allows */
#define GUARD_NS    20000000l

/* ---- the thread that closes ---- */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t news;
	uint64_t waiting[FD_MAX / 64]; /* one bit a descriptor */
	unsigned count;		       /* bits set */
	int started;
} closer = {.lock = PTHREAD_MUTEX_INITIALIZER, .news = PTHREAD_COND_INITIALIZER};

/* The lowest that waits; under the lock. */
static int take_lowest(void)
{
	unsigned word = 0;
	int bit;

	while (closer.waiting[word] == 0)
		word++;
	bit = __builtin_ctzll(closer.waiting[word]);
	closer.waiting[word] &= ~(1ull << bit);
	closer.count--;
	return (int)word * 64 + bit;
}

static int next_fd(void)
{
	int fd;

	pthread_mutex_lock(&closer.lock);
	while (closer.count == 0)
		pthread_cond_wait(&closer.news, &closer.lock);
	fd = take_lowest();
	pthread_mutex_unlock(&closer.lock);
	return fd;
}

static void *closer_main(void *arg)
{
	sigset_t all;

	(void)arg;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	for (;;)
		close(next_fd());
	return NULL;
}

static int start_closer(void)
{
	pthread_t thread;

	if (closer.started)
		return 1;
	if (pthread_create(&thread, NULL, closer_main, NULL) != 0)
		return 0;
	pthread_detach(thread);
	closer.started = 1;
	return 1;
}

/* 0, or -1 when too many wait already; it waits all the same. */
static int hand_over(int fd)
{
	int many;

	if (!start_closer() || fd < 0 || (unsigned)fd >= FD_MAX)
		return -1;
	pthread_mutex_lock(&closer.lock);
	closer.waiting[fd / 64] |= 1ull << (fd % 64);
	many = ++closer.count > WAITING_MAX;
	pthread_cond_signal(&closer.news);
	pthread_mutex_unlock(&closer.lock);
	return many ? -1 : 0;
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
int sp_passed_close(struct sp *sp, int fd)
{
	if (is_tcp(fd) && !lingers(fd)) {
		sp_guard(sp); /* its owner may have set SO_LINGER since */
		close(fd);
		return 0;
	}
	if (hand_over(fd) == 0)
		return 0;
	sp->cnt.drop_passed++;
	return -1;
}

/* ---- the guard ---- */

static void on_urg(int sig)
{
	(void)sig; /* a system call has been interrupted: that is all */
}

static int make_timer(struct sp *sp)
{
	struct sigaction sa = {.sa_handler = on_urg};
	struct sigevent ev = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGURG};

	if (sp->guard.made)
		return 1;
	ev._sigev_un._tid = (int)syscall(SYS_gettid);
	if (sigaction(SIGURG, &sa, NULL) != 0 ||
		timer_create(CLOCK_MONOTONIC, &ev, &sp->guard.timer) != 0)
		return 0;
	sp->guard.made = 1;
	return 1;
}

static void set_timer(struct sp *sp, long ns)
{
	const struct itimerspec every = {.it_interval.tv_nsec = ns, .it_value.tv_nsec = ns};

	timer_settime(sp->guard.timer, 0, &every, NULL);
}

void sp_guard(struct sp *sp)
{
	if (sp->guard.on || !make_timer(sp))
		return;
	sp->guard.on = 1;
	set_timer(sp, GUARD_NS);
}

void sp_guard_off(struct sp *sp)
{
	if (!sp->guard.on)
		return;
	sp->guard.on = 0;
	set_timer(sp, 0);
}

void sp_guard_free(struct sp *sp)
{
	sp_guard_off(sp);
	if (sp->guard.made)
		timer_delete(sp->guard.timer);
	memset(&sp->guard, 0, sizeof(sp->guard));
}
