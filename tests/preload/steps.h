/*
 * steps.h - a peer with several connections that does one thing at a time, as the tested side asks;
 * and threads that are known to sleep.
 */
#ifndef PRELOAD_STEPS_H
#define PRELOAD_STEPS_H

#include "harness.h"
#include <pthread.h>
#include <sys/syscall.h>

#define CONNS	 4
#define LIMIT_MS 20000

/* Steps on the peer's side, for connection `step % CONNS`. */
enum { CONNECT = 1, SEND, SHUT, RESET, OPEN, OVER, ENDED, END };

static MAYBE void peer_steps(void)
{
	struct sockaddr_in sa = address(false, hear());
	struct linger lg = {1, 0};
	int fd[CONNS], i, step;

	for (i = 0; i < CONNS; i++)
		fd[i] = -1;
	while ((step = hear()) != END * CONNS) {
		i = step % CONNS;
		switch (step / CONNS) {
		case CONNECT:
			fd[i] = socket(AF_INET, SOCK_STREAM, 0);
			CHECK(connect(fd[i], (struct sockaddr *)&sa, sizeof(sa)) == 0);
			break;
		case SEND:
			CHECK(send(fd[i], "0123456789", 10, MSG_NOSIGNAL) == 10);
			break;
		case SHUT:
			CHECK(shutdown(fd[i], SHUT_WR) == 0);
			break;
		case RESET:
			setsockopt(fd[i], SOL_SOCKET, SO_LINGER, &lg, sizeof(lg));
			close(fd[i]);
			fd[i] = -1;
			break;
		case OPEN: /* nothing has come, not even the end */
			CHECK(recv(fd[i], &step, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
			break;
		case OVER:
			CHECK(recv(fd[i], &step, 1, 0) <= 0);
			break;
		case ENDED: /* in good order */
			CHECK(recv(fd[i], &step, 1, 0) == 0);
			break;
		default:
			CHECK(!"step");
		}
		tell(0);
	}
}

static MAYBE void ask(int step, int i)
{
	tell(step * CONNS + i);
	if (step != END)
		hear();
}

static MAYBE int connection(int l, int i)
{
	int fd;

	ask(CONNECT, i);
	fd = accept(l, NULL, NULL);
	CHECK(fd >= 0);
	return fd;
}

/* ---- signals ---- */

static MAYBE volatile sig_atomic_t handled;

static MAYBE void handler(int sig)
{
	(void)sig;
	handled++;
}

static MAYBE void install(int sig, int flags)
{
	struct sigaction sa = {.sa_handler = handler, .sa_flags = flags};

	sigemptyset(&sa.sa_mask);
	CHECK(sigaction(sig, &sa, NULL) == 0);
}

/* ---- a thread with one call ---- */

struct thread {
	pthread_t id;
	pid_t tid; /* 0: not yet running */
	int done;
	void (*call)(struct thread *t);
	int fd, events;
	long r;
	int err;
	char buf[64];
};

static void *thread_main(void *arg)
{
	struct thread *t = arg;

	__atomic_store_n(&t->tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	t->call(t);
	t->err = t->r < 0 ? errno : 0;
	__atomic_store_n(&t->done, 1, __ATOMIC_RELEASE);
	return NULL;
}

static bool sleeping(pid_t tid)
{
	char path[64], line[512] = "", *p;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
	f = fopen(path, "r");
	if (f == NULL || fgets(line, sizeof(line), f) == NULL)
		line[0] = '\0';
	if (f != NULL)
		fclose(f);
	p = strrchr(line, ')');
	return p != NULL && p[2] == 'S';
}

/* Waits until the call sleeps, as ten looks in a row show it, or is over: then false. */
static MAYBE bool sleeps(struct thread *t)
{
	int seen = 0, i;
	pid_t tid;

	for (i = 0; i < LIMIT_MS && seen < 10; i++) {
		if (__atomic_load_n(&t->done, __ATOMIC_ACQUIRE))
			return false;
		tid = __atomic_load_n(&t->tid, __ATOMIC_ACQUIRE);
		seen = tid != 0 && sleeping(tid) ? seen + 1 : 0;
		usleep(1000);
	}
	CHECK(seen == 10);
	return true;
}

/* Starts t->call and returns when it sleeps in it. */
static MAYBE void start(struct thread *t)
{
	t->tid = 0;
	t->done = 0;
	CHECK(pthread_create(&t->id, NULL, thread_main, t) == 0);
	CHECK(sleeps(t));
}

static MAYBE void finish(struct thread *t)
{
	pthread_join(t->id, NULL);
}

/*
 * Until not a byte more goes in, also after a while. Linux takes a little more when it has probed the closed window, after 200 ms
 * and then after twice as long each time: just after the first is a good moment.
 */
static MAYBE void fill_up(int fd)
{
	static char junk[65536];
	int quiet = 0;

	while (quiet < 30) {
		ssize_t r = send(fd, junk, sizeof(junk), MSG_DONTWAIT);

		if (r < 0)
			r = send(fd, junk, 1, MSG_DONTWAIT);
		if (r > 0 && quiet > 5) {
			while (send(fd, junk, sizeof(junk), MSG_DONTWAIT) > 0 ||
				send(fd, junk, 1, MSG_DONTWAIT) > 0)
				;
			return;
		}
		quiet = r < 0 ? quiet + 1 : 0;
		usleep(r < 0 ? 10000 : 0);
	}
}

/* Until one of `events` has come to fd; which then stand in `events`. */
static MAYBE void in_poll(struct thread *t)
{
	struct pollfd p = {.fd = t->fd, .events = (short)t->events};

	t->r = poll(&p, 1, -1);
	t->events = p.revents;
}

static MAYBE void in_epoll(struct thread *t)
{
	struct epoll_event ev = {.events = 0};

	t->r = epoll_wait(t->fd, &ev, 1, -1);
	t->events = (int)ev.events;
}

#endif
