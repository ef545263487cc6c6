/*
 * lt_world.c - see lt_world.h. The registration side runs in a thread of its own; the core's side
 * runs in whatever thread calls it, one at a time (`core_lock`).
 */
#include "lt_world.h"
#include <arpa/inet.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>
#include "lt.h"
#include "tas/yield.h"

/* Checked in every build: what the tests stand on. */
#define MUST(x)                                                                                    \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			fprintf(stderr, "lt_world: %s\n", #x);                                     \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

#define EVQS	8u
#define SEGS	3u
#define CHUNKS	(SEGS * TAS_SEG_CHUNKS)
#define ENTRIES 64u
#define TX_BUF	200000u

struct flow {
	uint32_t gen; /* 0: none */
	uint64_t rx_head, rx_read, rx_base;
	uint32_t rx_list[CHUNKS], rx_n; /* chunks that hold [rx_base, ...) */
	uint64_t tx_una, tx_head, tx_base, limit;
	uint32_t tx_chunk; /* chunk of tx_una (tx_base is its start), or NONE */
	bool tx_wait;
	uint32_t evq; /* as it was when the slot last rang: later changes are not known to the core
		       */
};

static struct {
	struct tas_region *region;
	struct tas_info *info;
	struct tas_listen *listen;
	int region_fd, info_fd, listen_fd, core_fd;
	uint64_t bytes;
	uint8_t *seg[SEGS];
	uint32_t nsegs, free_list[CHUNKS], nfree, held, cursor;
	int evq_fd[EVQS];
	struct flow flow[LW_SLOTS];
	uint32_t next_gen, ticket, emptied;
	uint64_t heard;
	uint32_t wrong;
	char first[200];
	pthread_mutex_t lock;
} w = {.lock = PTHREAD_MUTEX_INITIALIZER, .next_gen = 1000};

static char path[108];

static __attribute__((format(printf, 1, 2))) void wrong(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (w.wrong++ == 0)
		vsnprintf(w.first, sizeof(w.first), fmt, ap);
	va_end(ap);
}

static void (*between_steps)(void);

void lw_between_steps(void (*fn)(void))
{
	tas_store(&between_steps, fn);
}

void tas_test_yield(void)
{
	void (*fn)(void) = tas_load(&between_steps);

	if (fn != NULL)
		fn();
}

uint8_t lw_byte(uint32_t gen, bool to_program, uint64_t pos)
{
	return (uint8_t)((pos * 2654435761u + gen * 40503u + to_program * 77u) >> 11);
}

/* ---- the region ---- */

static int make_memfd(uint64_t bytes, void *out)
{
	int fd = memfd_create("lt-world", MFD_CLOEXEC);

	MUST(fd >= 0 && ftruncate(fd, (off_t)bytes) == 0);
	*(void **)out = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	MUST(*(void **)out != MAP_FAILED);
	return fd;
}

static void make_region(void)
{
	uint64_t bell = tas_bell_size(LW_SLOTS), off = sizeof(struct tas_region);
	struct tas_region h = {.magic = TAS_REGION_MAGIC,
		.abi_major = TAS_ABI_MAJOR,
		.app = 1,
		.nslots = LW_SLOTS,
		.ncores = 1,
		.nevq = EVQS,
		.nsegs_max = SEGS,
		.bell_bytes = bell};

	h.off_slots = off;
	h.off_tobells = h.off_slots + LW_SLOTS * sizeof(struct tas_sock);
	h.off_evqs = h.off_tobells + bell;
	h.off_rxnext = h.off_evqs + EVQS * bell;
	h.off_txnext = h.off_rxnext + 4 * CHUNKS;
	h.off_offer = h.off_txnext + 4 * CHUNKS;
	h.off_explain = h.off_offer + CHUNKS / 8;
	h.nexplain = TAS_EXPLAIN_MAX;
	h.bytes = w.bytes = h.off_explain + 8ull * TAS_EXPLAIN_MAX;
	w.region_fd = make_memfd(h.bytes, &w.region);
	*w.region = h;
}

static void prefix(struct tas_prefix *p, const char *addr, unsigned plen)
{
	tas_addr_from_v4(p->addr, inet_addr(addr));
	p->plen = (uint8_t)(96 + plen);
}

static void make_info(void)
{
	w.info_fd = make_memfd(sizeof(struct tas_info), &w.info);
	w.info->magic = TAS_INFO_MAGIC;
	w.info->abi_major = TAS_ABI_MAJOR;
	w.info->ncores = 1;
	w.info->naddrs = 2;
	prefix(&w.info->addrs[0], "10.1.0.2", 32);
	prefix(&w.info->addrs[1], "10.1.0.3", 32);
	w.info->nroutes = 3;
	prefix(&w.info->routes[0], "10.1.0.0", 24);
	prefix(&w.info->routes[1], "10.2.0.0", 15);
	prefix(&w.info->routes[2], "0.0.0.0", 0);
}

static void make_listener(void)
{
	w.listen_fd = make_memfd(sizeof(struct tas_listen), &w.listen);
	w.listen->magic = TAS_LISTEN_MAGIC;
	w.listen->backlog = ENTRIES;
	w.listen->holders[0].app = 1;
}

/* ---- the registration socket ---- */

struct answer {
	struct tas_msg m;
	int fds[3];
	int nfds;
};

static void answer_segment(struct answer *a)
{
	if (w.nsegs == SEGS) {
		a->m.status = -ENOBUFS;
		return;
	}
	a->fds[0] = make_memfd(TAS_SEG_BYTES, &w.seg[w.nsegs]);
	a->nfds = 1;
	a->m.id = w.nsegs++;
}

static void answer(struct answer *a, int in)
{
	switch (a->m.type) {
	case TAS_CMD_HELLO:
		a->m.id = 1;
		break;
	case TAS_CMD_REGION:
		a->fds[0] = w.region_fd;
		a->fds[1] = w.info_fd;
		a->fds[2] = w.core_fd;
		a->nfds = 3;
		a->m.len = w.bytes;
		break;
	case TAS_CMD_SEGMENT:
		answer_segment(a);
		break;
	case TAS_CMD_EVQ:
		MUST(a->m.id < EVQS);
		tas_store_rel(&w.evq_fd[a->m.id], dup(in));
		break;
	case TAS_CMD_LISTEN:
		a->fds[0] = w.listen_fd;
		a->nfds = 1;
		a->m.id = 1;
		break;
	default:
		break;
	}
}

static bool exchange(int s)
{
	union {
		char space[CMSG_SPACE(3 * sizeof(int))];
		struct cmsghdr align;
	} ctl;
	struct answer a = {.nfds = 0};
	struct iovec v = {&a.m, sizeof(a.m)};
	struct msghdr h = {
		.msg_iov = &v, .msg_iovlen = 1, .msg_control = &ctl, .msg_controllen = sizeof(ctl)};
	struct cmsghdr *c;
	int in = -1;

	/* Not by the names that libtas may have taken. */
	if (lt_sys3(SYS_recvmsg, s, &h, 0) != (long)sizeof(a.m))
		return false;
	c = CMSG_FIRSTHDR(&h);
	if (c != NULL)
		memcpy(&in, CMSG_DATA(c), sizeof(in));
	pthread_mutex_lock(&w.lock);
	answer(&a, in);
	pthread_mutex_unlock(&w.lock);
	if (in >= 0)
		close(in);
	h.msg_controllen = a.nfds > 0 ? CMSG_SPACE((size_t)a.nfds * sizeof(int)) : 0;
	h.msg_control = a.nfds > 0 ? &ctl : NULL;
	if (a.nfds > 0) {
		memset(&ctl, 0, sizeof(ctl));
		ctl.align.cmsg_level = SOL_SOCKET;
		ctl.align.cmsg_type = SCM_RIGHTS;
		ctl.align.cmsg_len = CMSG_LEN((size_t)a.nfds * sizeof(int));
		memcpy(CMSG_DATA(&ctl.align), a.fds, (size_t)a.nfds * sizeof(int));
	}
	return lt_sys3(SYS_sendmsg, s, &h, MSG_NOSIGNAL) == (long)sizeof(a.m);
}

static void *serve(void *arg)
{
	int l = (int)(intptr_t)arg, s = accept(l, NULL, NULL);

	while (s >= 0 && exchange(s))
		;
	return NULL;
}

/* Before libtas reads the path of the socket from the environment. */
__attribute__((constructor(101))) static void begin(void)
{
	snprintf(path, sizeof(path), "/tmp/lt-world-%d.sock", (int)getpid());
	setenv(TAS_SOCKET_ENV, path, 1);
}

static void end(void)
{
	unlink(path);
}

__attribute__((constructor)) static void start(void)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int l = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	pthread_t t;
	uint32_t i;

	for (i = 0; i < EVQS; i++)
		w.evq_fd[i] = -1;
	make_region();
	make_info();
	make_listener();
	w.core_fd = eventfd(0, EFD_NONBLOCK);
	memcpy(sa.sun_path, path, sizeof(path));
	unlink(path);
	MUST(l >= 0 && bind(l, (struct sockaddr *)&sa, sizeof(sa)) == 0 && listen(l, 1) == 0);
	MUST(pthread_create(&t, NULL, serve, (void *)(intptr_t)l) == 0);
	atexit(end);
}

/* ---- the core ---- */

static struct tas_sock *sock_of(uint32_t slot)
{
	return tas_region_sock(w.region, w.region->off_slots, slot);
}

static uint32_t slot_of(int fd)
{
	struct lt_desc *d = lt_conn_get(fd);

	MUST(d != NULL);
	return d->slot;
}

static uint32_t *next_array(uint64_t off)
{
	return (uint32_t *)((char *)w.region + off);
}

static uint8_t *chunk(uint32_t id)
{
	MUST(id / TAS_SEG_CHUNKS < w.nsegs);
	return w.seg[id / TAS_SEG_CHUNKS] + (uint64_t)(id % TAS_SEG_CHUNKS) * TAS_CHUNK_BYTES;
}

static void ring_queue(uint32_t slot, uint32_t q)
{
	struct tas_sock *s = sock_of(slot);
	struct tas_bell *b;

	if (q >= EVQS) {
		wrong("slot %u names queue %u", slot, q);
		return;
	}
	b = tas_region_bell(w.region, w.region->off_evqs, w.region->bell_bytes, q);
	tas_bell_ring(b, slot);
	if (tas_load(&b->sleeping) != 0 && tas_xchg(&b->sleeping, 0u) != 0 && w.evq_fd[q] >= 0)
		eventfd_write(w.evq_fd[q], 1);
	if (tas_load(&s->waiters) != 0) {
		tas_fetch_add(&s->wake, 1u);
		syscall(SYS_futex, &s->wake, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
	}
}

static void ring_slot(uint32_t slot)
{
	ring_queue(slot, w.flow[slot].evq);
}

static void refill(void)
{
	uint64_t *offer = (uint64_t *)((char *)w.region + w.region->off_offer), bits;
	uint32_t i;

	for (i = 0; i < w.nsegs * TAS_SEG_CHUNKS / 64; i++)
		for (bits = tas_xchg(&offer[i], 0ull); bits != 0; bits &= bits - 1)
			w.free_list[w.nfree++] = i * 64 + (uint32_t)__builtin_ctzll(bits);
	if (w.nfree < 16 && tas_load(&w.region->rx_offered) == tas_load(&w.region->rx_wanted))
		tas_fetch_add(&w.region->rx_wanted, 64u);
}

static void bind_flow(struct flow *f, struct tas_sock *s, uint32_t gen)
{
	memset(f, 0, sizeof(*f));
	f->gen = gen;
	f->limit = TX_BUF;
	f->tx_chunk = TAS_CHUNK_NONE;
	tas_store(&s->rx_head, 0ull);
	tas_store(&s->rx_first_pos, 0ull);
	tas_store(&s->rx_first_chunk, TAS_CHUNK_NONE);
	tas_store(&s->tx_una, 0ull);
	tas_store(&s->tx_limit, f->limit);
	tas_store(&s->error, 0u);
	tas_store(&s->core, 0u);
	tas_store_rel(&s->state, TAS_SOCK_OPEN);
	tas_store_rel(&s->gen, gen);
}

/* Reads [from, to) of the send list, starting at the chunk of tx_una, and checks every byte. */
static void read_list(struct flow *f, uint64_t from, uint64_t to)
{
	const uint32_t *next = next_array(w.region->off_txnext);
	uint64_t base = f->tx_base, p;
	uint32_t c = f->tx_chunk;

	for (p = from; p < to; p++) {
		for (; base + TAS_CHUNK_BYTES <= p; base += TAS_CHUNK_BYTES)
			c = tas_load(&next[c]);
		if (chunk(c)[p & TAS_CHUNK_MASK] != lw_byte(f->gen, false, p)) {
			wrong("gen %u: wrong byte at %llu of [%llu, %llu)", f->gen,
				(unsigned long long)p, (unsigned long long)from,
				(unsigned long long)to);
			return;
		}
	}
}

static void new_bytes(struct flow *f, const struct tas_sock *s, uint64_t head)
{
	uint64_t base = f->tx_head & ~(uint64_t)TAS_CHUNK_MASK;

	if (head < f->tx_head || head > f->limit) {
		wrong("gen %u: tx_head %llu after %llu, limit %llu", f->gen,
			(unsigned long long)head, (unsigned long long)f->tx_head,
			(unsigned long long)f->limit);
		return;
	}
	if (head == f->tx_head)
		return;
	if (f->tx_una == f->tx_head) {
		if (tas_load(&s->tx_first_pos) == f->tx_head)
			f->tx_chunk = tas_load(&s->tx_first_chunk);
		else if (f->tx_base != base)
			f->tx_chunk = tas_load(&next_array(w.region->off_txnext)[f->tx_chunk]);
		f->tx_base = base;
	}
	read_list(f, f->tx_head, head);
	w.heard += head - f->tx_head;
	f->tx_head = head;
}

static void consumed(struct flow *f, uint64_t tail)
{
	uint32_t i, drop = 0;

	if (tail < f->rx_read || tail > f->rx_head) {
		wrong("gen %u: rx_tail %llu after %llu, head %llu", f->gen,
			(unsigned long long)tail, (unsigned long long)f->rx_read,
			(unsigned long long)f->rx_head);
		return;
	}
	f->rx_read = tail;
	if (tail == f->rx_head)
		drop = f->rx_n;
	else
		while (drop + 1 < f->rx_n && f->rx_base + (drop + 1ull) * TAS_CHUNK_BYTES < tail)
			drop++;
	for (i = 0; i < drop; i++) {
		memset(chunk(f->rx_list[i]), 0xee,
			TAS_CHUNK_BYTES); /* whoever still reads it will notice */
		next_array(w.region->off_rxnext)[f->rx_list[i]] = TAS_CHUNK_NONE;
		w.free_list[w.nfree++] = f->rx_list[i];
	}
	w.held -= drop;
	f->rx_n -= drop;
	memmove(f->rx_list, f->rx_list + drop, f->rx_n * sizeof(f->rx_list[0]));
	f->rx_base += (uint64_t)drop * TAS_CHUNK_BYTES;
}

static void let_go(struct flow *f, struct tas_sock *s)
{
	f->rx_read = f->rx_head;
	consumed(f, f->rx_head);
	f->gen = 0;
	tas_store_rel(&s->state, tas_load(&s->state) | TAS_SOCK_ERROR | TAS_SOCK_FREE);
}

/* The claim was made good: the place in the queue is free again. */
static bool empty_claimed(uint32_t gen)
{
	uint32_t i;

	for (i = 0; i < ENTRIES; i++) {
		struct tas_accept *e = &w.listen->queue[i];
		uint64_t word = tas_load_acq(&e->word);

		if (e->gen != gen || TAS_ACCEPT_KIND(word) != TAS_ACCEPT_TAKEN)
			continue;
		if (((word >> 32) & 0x3fffffff) != 1)
			wrong("entry %u taken by %llu", i,
				(unsigned long long)(word >> 32 & 0x3fffffff));
		tas_store_rel(&e->word, TAS_ACCEPT_EMPTY);
		w.emptied++;
		return true;
	}
	return false;
}

static void rung(uint32_t slot)
{
	struct tas_sock *s = sock_of(slot);
	struct flow *f = &w.flow[slot];
	uint32_t want = tas_load_acq(&s->want), gen = tas_load(&s->take_gen);

	if (f->gen == 0) {
		if (!(want & TAS_SOCK_TAKE) || tas_load(&s->gen) == gen)
			return;
		if (!empty_claimed(gen))
			wrong("gen %u: taken without a claim", gen);
		bind_flow(f, s, gen);
		ring_slot(slot);
	}
	new_bytes(f, s, tas_load_acq(&s->tx_head));
	consumed(f, tas_load_acq(&s->rx_tail));
	f->tx_wait = tas_load(&s->tx_wait) != 0;
	f->evq = tas_load(&s->evq);
	if (want & TAS_SOCK_CLOSED)
		let_go(f, s);
}

static void poll_locked(void)
{
	struct tas_bell *b =
		tas_region_bell(w.region, w.region->off_tobells, w.region->bell_bytes, 0);
	uint32_t first;
	uint64_t bits;

	refill();
	while ((bits = tas_bell_take(b, LW_SLOTS, &w.cursor, &first)) != 0)
		for (; bits != 0; bits &= bits - 1)
			rung(first + (uint32_t)__builtin_ctzll(bits));
}

void lw_core_poll(void)
{
	pthread_mutex_lock(&w.lock);
	poll_locked();
	pthread_mutex_unlock(&w.lock);
}

static void put(struct flow *f, struct tas_sock *s, uint64_t pos)
{
	uint32_t id;

	if (f->rx_n == 0 || pos - f->rx_base >= (uint64_t)f->rx_n * TAS_CHUNK_BYTES) {
		id = w.free_list[--w.nfree];
		w.held++;
		if (f->rx_n == 0) {
			f->rx_base = pos & ~(uint64_t)TAS_CHUNK_MASK;
			tas_store(&s->rx_first_chunk, id);
			tas_store(&s->rx_first_pos, pos);
		} else {
			next_array(w.region->off_rxnext)[f->rx_list[f->rx_n - 1]] = id;
		}
		f->rx_list[f->rx_n++] = id;
	}
	chunk(f->rx_list[(pos - f->rx_base) >> TAS_CHUNK_SHIFT])[pos & TAS_CHUNK_MASK] =
		lw_byte(f->gen, true, pos);
}

size_t lw_feed(int fd, size_t n)
{
	uint32_t slot = slot_of(fd);
	struct flow *f = &w.flow[slot];
	struct tas_sock *s = sock_of(slot);
	size_t i;

	pthread_mutex_lock(&w.lock);
	refill();
	for (i = 0; i < n && w.nfree > 0; i++)
		put(f, s, f->rx_head + i);
	f->rx_head += i;
	tas_store_rel(&s->rx_head, f->rx_head);
	ring_slot(slot);
	pthread_mutex_unlock(&w.lock);
	return i;
}

void lw_ack(int fd, uint64_t n)
{
	uint32_t slot = slot_of(fd);
	struct flow *f = &w.flow[slot];
	struct tas_sock *s = sock_of(slot);
	const uint32_t *next = next_array(w.region->off_txnext);
	uint64_t una, edge;

	pthread_mutex_lock(&w.lock);
	una = f->tx_una + (n < f->tx_head - f->tx_una ? n : f->tx_head - f->tx_una);
	edge = una < f->tx_head || una == 0 ? una : una - 1;
	for (; f->tx_base + TAS_CHUNK_BYTES <= edge; f->tx_base += TAS_CHUNK_BYTES)
		f->tx_chunk = tas_load(&next[f->tx_chunk]);
	f->tx_una = una;
	if (f->limit < una + TX_BUF)
		f->limit = una + TX_BUF;
	tas_store(&s->tx_limit, f->limit);
	tas_store_rel(&s->tx_una, una);
	if (f->tx_wait && 3 * (f->limit - f->tx_head) >= f->limit - una) {
		f->tx_wait = false;
		tas_xchg(&s->tx_wait, 0u);
		ring_slot(slot);
	}
	pthread_mutex_unlock(&w.lock);
}

void lw_check(int fd)
{
	struct flow *f = &w.flow[slot_of(fd)];

	pthread_mutex_lock(&w.lock);
	read_list(f, f->tx_una, f->tx_head);
	pthread_mutex_unlock(&w.lock);
}

void lw_limit(int fd, uint64_t n)
{
	uint32_t slot = slot_of(fd);

	w.flow[slot].limit = n;
	tas_store(&sock_of(slot)->tx_limit, n);
}

static void set_state(int fd, uint32_t bits, int error)
{
	uint32_t slot = slot_of(fd);
	struct tas_sock *s = sock_of(slot);

	pthread_mutex_lock(&w.lock);
	tas_store(&s->error, (uint32_t)error);
	tas_store_rel(&s->state, tas_load(&s->state) | bits);
	ring_slot(slot);
	pthread_mutex_unlock(&w.lock);
}

void lw_fin(int fd)
{
	set_state(fd, TAS_SOCK_RX_FIN, 0);
}

void lw_reset(int fd, int error)
{
	set_state(fd, TAS_SOCK_ERROR, error);
}

uint32_t lw_gen(int fd)
{
	return lt_conn_get(fd)->gen;
}

bool lw_bound(int fd)
{
	return lt_conn_bound(lt_conn_get(fd));
}

uint64_t lw_fed(int fd)
{
	return w.flow[slot_of(fd)].rx_head;
}

uint64_t lw_sent(int fd)
{
	return w.flow[slot_of(fd)].tx_head;
}

bool lw_ended(int fd)
{
	return (tas_load_acq(&sock_of(slot_of(fd))->want) & TAS_SOCK_SHUT_WR) != 0;
}

uint32_t lw_flows(void)
{
	uint32_t i, n = 0;

	for (i = 0; i < LW_SLOTS; i++)
		n += w.flow[i].gen != 0;
	return n;
}

uint64_t lw_heard(void)
{
	return w.heard;
}

uint64_t lw_unacked(int fd)
{
	const struct flow *f = &w.flow[slot_of(fd)];

	return f->tx_head - f->tx_una;
}

uint32_t lw_wrong(void)
{
	return w.wrong;
}

const char *lw_first_wrong(void)
{
	return w.first;
}

uint32_t lw_chunks_held(void)
{
	return w.held;
}

uint32_t lw_slots_touched(void)
{
	return tas_load(&lt_context()->slots.fresh);
}

/* ---- the listener ---- */

int lw_listen(bool nonblock)
{
	struct sockaddr_in sa = {.sin_family = AF_INET};
	int fd = lt_socket(AF_INET, SOCK_STREAM | (nonblock ? SOCK_NONBLOCK : 0), 0);
	struct lt_desc *d = lt_fd_get(fd);

	sa.sin_addr.s_addr = inet_addr("10.1.0.2");
	if (d == NULL || lt_bind(d, fd, (struct sockaddr *)&sa, sizeof(sa)) != 0)
		return -1;
	return lt_listen(d, fd, 64) == 0 ? fd : -1;
}

static void notify_holder(void)
{
	struct tas_listen_holder *h = &w.listen->holders[0];

	tas_full_barrier();
	if (tas_load_acq(&h->armed) == TAS_ARM_NONE)
		return;
	if (tas_load(&h->slot) >= LW_SLOTS || tas_load(&h->evq) >= EVQS) {
		wrong("holder names slot %u queue %u", tas_load(&h->slot), tas_load(&h->evq));
		return;
	}
	ring_queue(tas_load(&h->slot), tas_load(&h->evq));
}

void lw_queue(uint32_t n)
{
	pthread_mutex_lock(&w.lock);
	while (n > 0) {
		struct tas_accept *e = &w.listen->queue[w.listen->tail & (ENTRIES - 1)];

		if (tas_load(&e->word) != TAS_ACCEPT_EMPTY) {
			pthread_mutex_unlock(&w.lock);
			usleep(100);
			pthread_mutex_lock(&w.lock);
			continue;
		}
		e->flow = w.next_gen;
		e->gen = w.next_gen++;
		e->lport = htons(80);
		e->rport = htons(4000);
		tas_addr_from_v4(e->laddr, inet_addr("10.1.0.2"));
		tas_addr_from_v4(e->raddr, inet_addr("10.1.0.9"));
		tas_store_rel(&e->word, TAS_ACCEPT_WORD(TAS_ACCEPT_QUEUED, 0, ++w.ticket));
		tas_store_rel(&w.listen->tail, w.listen->tail + 1);
		notify_holder();
		n--;
	}
	pthread_mutex_unlock(&w.lock);
}

static struct tas_accept *entry(uint32_t back)
{
	return &w.listen->queue[(w.listen->tail - back) & (ENTRIES - 1)];
}

void lw_other_takes(uint32_t back)
{
	tas_store(&entry(back)->word, TAS_ACCEPT_WORD(TAS_ACCEPT_TAKEN, 2, entry(back)->word));
}

void lw_other_gives_back(uint32_t back)
{
	tas_store(&entry(back)->word, TAS_ACCEPT_WORD(TAS_ACCEPT_QUEUED, 0, entry(back)->word));
	MUST((int32_t)(tas_load(&w.listen->head) - (w.listen->tail - back)) <=
		0); /* else the hint would go back */
}

bool lw_is_taken(uint32_t back)
{
	return TAS_ACCEPT_KIND(tas_load(&entry(back)->word)) == TAS_ACCEPT_TAKEN;
}

uint32_t lw_emptied(void)
{
	return w.emptied;
}

int lw_accept_one(int lfd)
{
	int fd;

	lw_queue(1);
	fd = lw_accept(lfd);
	lw_core_poll();
	return fd;
}

/* ---- libtas by the program's names ---- */

ssize_t lw_send(int fd, const void *buf, size_t n, int flags)
{
	return lt_send(lt_conn_get(fd), fd, buf, n, flags);
}

ssize_t lw_recv(int fd, void *buf, size_t n, int flags)
{
	return lt_recv(lt_conn_get(fd), fd, buf, n, flags);
}

int lw_close(int fd)
{
	return lt_close(fd);
}

int lw_shutdown(int fd, int how)
{
	return lt_shutdown(lt_fd_get(fd), fd, how);
}

int lw_accept(int fd)
{
	return lt_accept(fd, NULL, NULL);
}

int lw_setsockopt(int fd, int level, int name, const void *val, unsigned len)
{
	return lt_setsockopt(lt_fd_get(fd), fd, level, name, val, len);
}

int lw_epoll_create(void)
{
	return lt_epoll_create1(0);
}

int lw_epoll_ctl(int ep, int op, int fd, struct epoll_event *ev)
{
	return lt_epoll_ctl(ep, op, fd, ev);
}

int lw_epoll_wait(int ep, struct epoll_event *ev, int max, int timeout)
{
	return lt_epoll_wait(lt_fd_get(ep), ep, ev, max, timeout);
}

int lw_poll(struct pollfd *p, unsigned long n, int timeout)
{
	return lt_poll(p, n, timeout);
}

int lw_place(const char *addr, bool remote)
{
	struct lt_ctx *c;
	uint8_t a[16];
	int fd = lt_socket(AF_INET, SOCK_STREAM, 0);

	MUST(fd >= 0);
	c = lt_context_get();
	MUST(c != NULL);
	tas_addr_from_v4(a, inet_addr(addr));
	lt_close(fd);
	return (int)(remote ? lt_place_remote(c, a) : lt_place_local(c, a));
}

int lw_socket(int family, int type)
{
	return lt_socket(family, type, 0);
}

uint64_t lw_explained(int row)
{
	return lt_explained((enum tas_explain)row);
}

uint64_t lw_explained_shared(int row)
{
	return tas_load((uint64_t *)(void *)((char *)w.region + w.region->off_explain) + row);
}

struct lt_pool *lw_pool_new(uint32_t max)
{
	struct lt_pool *p = calloc(1, sizeof(*p));

	lt_pool_init(p, calloc(max, sizeof(uint32_t)), max);
	return p;
}

void lw_pool_free(struct lt_pool *p)
{
	free(p->next);
	free(p);
}

uint32_t lw_pool_get(struct lt_pool *p)
{
	return lt_pool_get(p);
}

void lw_pool_put(struct lt_pool *p, uint32_t i)
{
	lt_pool_put(p, i);
}

uint32_t lw_pool_take_all(struct lt_pool *p)
{
	return lt_pool_take_all(p);
}

uint32_t lw_pool_after(struct lt_pool *p, uint32_t i)
{
	return lt_pool_after(p, i);
}
