/*
 * stream.c - the state of a connection as its slot shows it; ringing; waiting.
 *
 * A slot's F line means something only while its generation is the one we know. `state` is read
 * before the positions (F publishes it after them), so a final position is never missed. Readiness
 * follows tcp_poll() of Linux as described in poll(2), epoll_ctl(2) and tcp(7). Owner: any thread.
 * futex(2), signal(7).
 */
#include <pthread.h>
#include <sched.h>
#include <sys/single_threaded.h>
#include "lt.h"
#include "tas/yield.h"

/* Waking a thread on another CPU takes about 20 us (bench): looking that long first pays. */
#define SPIN_NS	 20000u
#define SLICE_NS 250000000ull /* a sleeper looks this often whether the daemon lives */
#define EVER_NS	 86400000000000ull

bool lt_conn_bound(const struct lt_desc *d)
{
	return tas_load_acq(&d->s->gen) == d->gen;
}

uint32_t lt_conn_state(const struct lt_desc *d)
{
	return lt_conn_bound(d) ? tas_load_acq(&d->s->state) : 0;
}

uint64_t lt_conn_left(const struct lt_desc *d)
{
	uint64_t pos = tas_load(&d->rx_pos), head;

	if (!lt_conn_bound(d))
		return 0;
	head = tas_load_acq(&d->s->rx_head);
	return head > pos ? head - pos : 0;
}

uint64_t lt_conn_unread(const struct lt_desc *d)
{
	uint64_t n = lt_conn_left(d);

	return lt_urged(d) ? n - lt_urg_unseen(d, n) : n;
}

/* As many bytes as asked for, or as many as there will be before some are read. */
static bool enough(const struct lt_desc *d, uint64_t need)
{
	uint64_t n = lt_conn_unread(d);

	return n >= need || (n != 0 && tas_load(&d->s->rx_full));
}

uint64_t lt_conn_unsent(const struct lt_desc *d)
{
	uint64_t head = tas_load(&d->s->tx_head);
	uint64_t una = lt_conn_bound(d) ? tas_load_acq(&d->s->tx_una) : 0;

	return head > una ? head - una : 0;
}

/*
 * TCP_NOTSENT_LOWAT: less than half of it waits to be sent, as tcp_stream_memory_free() of Linux wants before a sleeper
 * goes on. The limit is either that option's, or the buffer's, of which a third must be free as ever.
 */
static bool few_unsent(const struct lt_desc *d, uint64_t head, uint64_t limit, uint64_t queued)
{
	uint32_t lowat = d->opts.wire.notsent_lowat, nxt = tas_load(&d->s->tx_nxt);
	uint32_t unsent = (uint32_t)head - nxt;

	if ((int32_t)unsent < 0)
		unsent = 0;
	return 2ull * unsent < lowat &&
	       ((uint32_t)limit - nxt >= lowat || limit - head >= queued / 2);
}

/* Room left in the send buffer; true when Linux would call the socket writable (a third of it is
 * free). */
bool lt_tx_writable(const struct lt_desc *d, uint64_t *room)
{
	uint64_t head = tas_load(&d->s->tx_head), limit, queued = lt_conn_unsent(d), free;

	if (lt_conn_bound(d))
		limit = tas_load(&d->s->tx_limit);
	else if (lt_flags(d) & LT_D_CONNECTING)
		limit = 0;
	else
		limit = LT_EARLY_TX;
	free = limit > head ? limit - head : 0;
	*room = free;
	if (lt_unlikely(d->opts.wire.notsent_lowat != 0) && lt_conn_bound(d))
		return free != 0 && few_unsent(d, head, limit, queued);
	return free != 0 && free >= queued / 2;
}

/*
 * Wakes a core that has said it sleeps. One kick per announcement is enough: the core looks at
 * every bell before it announces the next.
 */
static void kick_core(struct lt_ctx *c, uint32_t core)
{
	uint32_t n;

	if (tas_load_acq(&c->info->core[core].sleeping) == 0)
		return;
	n = tas_load(&c->info->core[core].sleeps);
	if (n != 0 && tas_load(&c->kicked[core]) == n)
		return;
	TAS_YIELD();
	lt_sys_kick(c->core_fd[core]);
	TAS_YIELD();
	tas_store(&c->kicked[core], n);
}

static uint32_t core_of(const struct lt_desc *d)
{
	uint32_t core = lt_conn_bound(d) ? tas_load(&d->s->core) : d->core;

	return core < d->ctx->ncores ? core : 0;
}

void lt_ring(const struct lt_desc *d)
{
	lt_ring_slot(d->ctx, core_of(d), d->slot);
}

void lt_ring_slot(struct lt_ctx *c, uint32_t core, uint32_t slot)
{
	core = core < c->ncores ? core : 0;
	tas_bell_ring(lt_core_bell(c, core), slot);
	/* D1 of the ring is a full barrier: the core either finds the bit or has said that it
	 * sleeps. */
	kick_core(c, core);
}

/*
 * Around a response a server corks, writes twice and uncorks; waking the core for the first of
 * these only makes it look and sleep again. An awake core sees the bit at once. The ceiling of 200
 * ms on corked data (tcp(7)) then counts from the program's next call that waits or reads.
 */
void lt_ring_later(const struct lt_desc *d)
{
	struct lt_ctx *c = d->ctx;
	uint32_t core = core_of(d);

	tas_bell_ring(lt_core_bell(c, core), d->slot);
	TAS_YIELD();
	if (tas_load(&c->info->core[core].sleeping) != 0)
		tas_fetch_or(&c->owed, 1ull << core);
}

void lt_settle(struct lt_ctx *c)
{
	uint64_t owed;

	if (lt_likely(tas_load(&c->owed) == 0))
		return;
	for (owed = tas_xchg(&c->owed, 0ull); owed != 0; owed &= owed - 1)
		kick_core(c, (uint32_t)__builtin_ctzll(owed));
}

void lt_conn_want(struct lt_desc *d, uint32_t set, uint32_t clear)
{
	uint32_t before = tas_load(&d->s->want);

	if ((before & set) == set && (before & clear) == 0)
		return;
	if (set != 0)
		tas_fetch_or(&d->s->want, set);
	if (clear != 0)
		tas_fetch_and(&d->s->want, ~clear);
	lt_ring(d);
}

int lt_conn_error(struct lt_desc *d)
{
	uint32_t err;

	if (lt_flags(d) & LT_D_LEFT)
		return tas_fetch_and(&d->flags, ~LT_D_LEFT) & LT_D_LEFT ? ECONNRESET : 0;
	if (!(lt_conn_state(d) & TAS_SOCK_ERROR))
		return 0;
	err = tas_load(&d->s->error);
	/* Linux: a reset after the peer's FIN finds only senders (tcp_reset() in CLOSE_WAIT). */
	if (err == ECONNRESET && (lt_conn_state(d) & TAS_SOCK_RX_FIN) &&
		!(lt_flags(d) & LT_D_SHUT_WR))
		err = EPIPE;
	if (err == 0 || (tas_fetch_or(&d->flags, LT_D_ERR_TAKEN) & LT_D_ERR_TAKEN))
		return 0;
	return (int)err;
}

static uint32_t rx_events(struct lt_desc *d, uint32_t state, uint32_t flags)
{
	uint64_t low = d->opts.wire.rcvlowat > 1 ? d->opts.wire.rcvlowat : 1;

	if ((state & (TAS_SOCK_RX_FIN | TAS_SOCK_ERROR)) || (flags & LT_D_SHUT_RD))
		return EPOLLIN | EPOLLRDNORM | EPOLLRDHUP;
	return enough(d, low) ? EPOLLIN | EPOLLRDNORM : 0;
}

static uint32_t tx_events(struct lt_desc *d, uint32_t state, uint32_t flags, uint32_t wanted)
{
	uint64_t room;

	if ((state & TAS_SOCK_ERROR) || (flags & LT_D_SHUT_WR))
		return EPOLLOUT | EPOLLWRNORM;
	if (!(flags & LT_D_STARVED) && lt_tx_writable(d, &room))
		return EPOLLOUT | EPOLLWRNORM;
	if (!(wanted & (EPOLLOUT | EPOLLWRNORM)) || (flags & LT_D_STARVED))
		return 0;
	lt_tx_ask(d);
	return lt_tx_writable(d, &room) ? EPOLLOUT | EPOLLWRNORM : 0;
}

static bool error_untold(const struct lt_desc *d, uint32_t state, uint32_t flags)
{
	if ((flags & LT_D_LEFT) || lt_unlikely(lt_errqueue_any(d)))
		return true;
	return (state & TAS_SOCK_ERROR) && tas_load(&d->s->error) != 0 && !(flags & LT_D_ERR_TAKEN);
}

/* As a kernel socket that is not connected, but for what is left to say of its last connection. */
static uint32_t left_events(const struct lt_desc *d, uint32_t state, uint32_t flags)
{
	uint32_t ev = EPOLLOUT | EPOLLWRNORM | EPOLLHUP;

	if (flags & LT_D_SHUT_RD)
		ev |= EPOLLIN | EPOLLRDNORM | EPOLLRDHUP;
	return error_untold(d, state, flags) ? ev | EPOLLERR : ev;
}

uint32_t lt_conn_events(struct lt_desc *d, uint32_t wanted)
{
	uint32_t flags = lt_flags(d), state = lt_conn_state(d), ev;
	bool rx_over = (state & TAS_SOCK_RX_FIN) || (flags & LT_D_SHUT_RD);

	if (flags & LT_D_RECONNECT)
		return left_events(d, state, flags);
	if ((flags & LT_D_CONNECTING) && !lt_conn_bound(d))
		return 0;
	if (lt_unlikely(state & TAS_SOCK_MOVING)) {
		lt_share_stray(d);
		return 0;
	}
	ev = rx_events(d, state, flags) | tx_events(d, state, flags, wanted);
	if ((state & TAS_SOCK_ERROR) || (rx_over && (flags & LT_D_SHUT_WR)))
		ev |= EPOLLHUP;
	if (lt_urged(d) && lt_urg_waiting(d))
		ev |= EPOLLPRI;
	return error_untold(d, state, flags) ? ev | EPOLLERR : ev;
}

static bool arrived(struct lt_desc *d, uint32_t life, uint32_t what, uint64_t need)
{
	uint32_t flags, state;
	uint64_t room;

	if (!lt_conn_is(d, life))
		return true;
	flags = lt_flags(d);
	state = lt_conn_state(d);
	if ((state & (TAS_SOCK_ERROR | TAS_SOCK_MOVING)) || (flags & LT_D_RECONNECT))
		return true;
	if ((what & LT_WAIT_RX) &&
		((state & TAS_SOCK_RX_FIN) || (flags & LT_D_SHUT_RD) ||
			(what & LT_WAIT_ALL ? lt_conn_unread(d) >= need : enough(d, need))))
		return true;
	if ((what & LT_WAIT_TX) && ((flags & LT_D_SHUT_WR) || lt_tx_writable(d, &room)))
		return true;
	if ((what & LT_WAIT_SENT) && lt_conn_bound(d) && lt_conn_unsent(d) == 0)
		return true;
	return (what & LT_WAIT_CONN) && lt_conn_bound(d);
}

uint64_t lt_until(uint64_t timeout_ns)
{
	return timeout_ns == 0 ? 0 : lt_now_ns() + timeout_ns;
}

static bool spin(struct lt_desc *d, uint32_t life, uint32_t what, uint64_t need)
{
	uint32_t core = lt_conn_bound(d) ? tas_load(&d->s->core) : d->core;
	uint64_t end;

	if (core >= d->ctx->ncores || tas_load(&d->ctx->info->core[core].sleeping))
		return false;
	if ((int)tas_load(&d->ctx->info->core[core].cpu) == sched_getcpu())
		return false;
	for (end = lt_now_ns() + SPIN_NS; lt_now_ns() < end; tas_cpu_relax())
		if (arrived(d, life, what, need))
			return true;
	return false;
}

/* A thread asleep here can be cancelled, as in the call it stands for. */
static long cancellable_wait(uint32_t *w, uint32_t val, uint64_t until_ns, bool restartable)
{
	int type;
	long r;

	if (__libc_single_threaded)
		return lt_futex_sleep(w, val, until_ns, restartable);
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type);
	r = lt_futex_sleep(w, val, until_ns, restartable);
	pthread_setcanceltype(type, NULL);
	return r;
}

struct waiter {
	uint32_t *waiters;
	struct lt_desc *d;
	bool *held;
};

/* Never below 0: the slot may have been given to another connection while this thread slept. */
static void leave(uint32_t *waiters)
{
	uint32_t n = tas_load(waiters);

	while (n != 0 && !tas_cas(waiters, &n, n - 1))
		;
}

static void cancelled(void *arg)
{
	struct waiter *w = arg;

	leave(w->waiters);
	if (w->held != NULL && *w->held) {
		*w->held = false; /* the caller may have to clean up, too */
		lt_desc_let_go(w->d);
	}
}

static int sleep_until(
	struct lt_desc *d, uint32_t life, uint32_t what, uint64_t need, uint64_t until_ns)
{
	struct tas_sock *s = d->s;
	bool restartable = until_ns == 0 && !(what & LT_WAIT_ONCE);
	uint64_t now, left;
	uint32_t seen;
	long r = 0;

	while (r != -EINTR) {
		seen = tas_load_acq(&s->wake);
		/* W1: pairs with F's publish, barrier, load of `waiters`. */
		tas_full_barrier();
		if (what & LT_WAIT_TX)
			lt_tx_ask(d);
		TAS_YIELD();
		if (arrived(d, life, what, need))
			return 0;
		TAS_YIELD();
		now = lt_now_ns();
		if (until_ns != 0 && now >= until_ns)
			return -EAGAIN;
		left = until_ns != 0 && until_ns - now < SLICE_NS ? until_ns - now : SLICE_NS;
		left = TAS_PATIENCE(left, EVER_NS);
		r = cancellable_wait(&s->wake, seen, now + left, restartable);
		if (r == -ETIMEDOUT)
			lt_client_check(d->ctx);
	}
	return -EINTR;
}

int lt_conn_wait(struct lt_desc *d, uint32_t life, uint32_t what, uint64_t need, uint64_t until_ns,
	bool *held)
{
	struct waiter w = {&d->s->waiters, d, held};
	int r;

	lt_settle(d->ctx);
	if (arrived(d, life, what, need) || spin(d, life, what, need))
		return 0;
	if (held != NULL && !*held && !(*held = lt_desc_hold(d)))
		return -EBADF;
	TAS_YIELD();
	tas_fetch_add(w.waiters, 1u);
	pthread_cleanup_push(cancelled, &w);
	r = sleep_until(d, life, what, need, until_ns);
	pthread_cleanup_pop(0);
	leave(w.waiters);
	return r;
}

void lt_conn_wake(struct lt_desc *d)
{
	tas_fetch_add(&d->s->wake, 1u);
	if (tas_load(&d->s->waiters) != 0)
		lt_sys_futex_wake(&d->s->wake, INT32_MAX, 0);
}
