/*
 * mem_nic.c - the port in memory (mem_nic.h).
 */
#include "mem_nic.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "nic/port.h"
#include "tas/wire.h"

#define QUEUES 8

struct frame {
	struct frame *next;
	uint32_t len;
	uint16_t gso_size, flags;
	uint8_t *data; /* a block of its own, so that reading beyond it is seen */
};

struct list {
	struct frame *first, *last;
	uint32_t count;
};

struct mem {
	pthread_mutex_t lock;
	struct list in[QUEUES], out;
	struct frame *held[QUEUES][NIC_BURST];
	int nheld[QUEUES];
	int fd[QUEUES];
	int limit, dead;
	uint64_t lose;
};

static void push(struct list *l, struct frame *f)
{
	f->next = NULL;
	if (l->last)
		l->last->next = f;
	else
		l->first = f;
	l->last = f;
	l->count++;
}

static struct frame *pop(struct list *l)
{
	struct frame *f = l->first;

	if (!f)
		return NULL;
	l->first = f->next;
	if (!l->first)
		l->last = NULL;
	l->count--;
	return f;
}

static void free_frame(struct frame *f)
{
	free(f->data);
	free(f);
}

static struct frame *new_frame(uint32_t len, uint16_t gso_size, uint16_t flags)
{
	struct frame *f = malloc(sizeof(*f));

	*f = (struct frame){
		.len = len, .gso_size = gso_size, .flags = flags, .data = malloc(len ? len : 1)};
	return f;
}

/* Readable exactly while frames wait. Lock held. */
static void set_readable(struct mem *m, uint32_t queue)
{
	uint64_t v = 1;
	ssize_t n;

	if (m->in[queue].count || m->dead)
		n = write(m->fd[queue], &v, sizeof(v));
	else
		n = read(m->fd[queue], &v, sizeof(v));
	(void)n;
}

static int mem_rx(struct nic *n, uint32_t queue, struct nic_rxpkt *pkts, int max, uint64_t *lost)
{
	struct mem *m = n->priv;
	struct frame *f;
	int i;

	pthread_mutex_lock(&m->lock);
	for (i = 0; i < max && (f = pop(&m->in[queue])); i++) {
		m->held[queue][m->nheld[queue]++] = f;
		pkts[i] = (struct nic_rxpkt){
			.data = f->data, .len = f->len, .gso_size = f->gso_size, .flags = f->flags};
	}
	*lost += m->lose;
	m->lose = 0;
	set_readable(m, queue);
	if (m->dead)
		i = -ENODEV;
	pthread_mutex_unlock(&m->lock);
	return i;
}

static void mem_rx_done(struct nic *n, uint32_t queue)
{
	struct mem *m = n->priv;
	int i;

	for (i = 0; i < m->nheld[queue]; i++)
		free_frame(m->held[queue][i]);
	m->nheld[queue] = 0;
}

/* What the device would complete. Of a frame to be cut the sum over the whole is kept: receivers
 * check just that. */
static void complete_csum(const struct nic_txpkt *p, struct frame *f)
{
	uint16_t sum;

	if (!p->csum_start)
		return;
	sum = nic_pseudo_sum(p, 1);
	memcpy(f->data + p->csum_start + p->csum_offset, &sum, sizeof(sum));
	sum = wire_csum_fold(wire_csum_add(0, f->data + p->csum_start, f->len - p->csum_start));
	memcpy(f->data + p->csum_start + p->csum_offset, &sum, sizeof(sum));
}

static void send_frame(struct mem *m, const struct nic_txpkt *p)
{
	struct frame *f = new_frame(p->hdr_len + p->payload_len, p->gso_size, 0);
	uint32_t at = p->hdr_len;
	int i;

	memcpy(f->data, p->hdr, p->hdr_len);
	for (i = 0; i < p->niov; i++) {
		memcpy(f->data + at, p->iov[i].iov_base, p->iov[i].iov_len);
		at += (uint32_t)p->iov[i].iov_len;
	}
	complete_csum(p, f);
	push(&m->out, f);
}

static int mem_tx(struct nic *n, uint32_t queue, const struct nic_txpkt *pkts, int count)
{
	struct mem *m = n->priv;
	int i;

	(void)queue;
	pthread_mutex_lock(&m->lock);
	for (i = 0; i < count && m->limit != 0; i++) {
		send_frame(m, &pkts[i]);
		if (m->limit > 0)
			m->limit--;
	}
	pthread_mutex_unlock(&m->lock);
	return i;
}

static int mem_fd(struct nic *n, uint32_t queue)
{
	return ((struct mem *)n->priv)->fd[queue];
}

static int mem_steer(struct nic *n, uint32_t group, uint32_t queue)
{
	(void)n;
	(void)group;
	(void)queue;
	return -ENOTSUP; /* the test chooses the queue: cores must forward */
}

static void free_list(struct list *l)
{
	struct frame *f;

	while ((f = pop(l)))
		free_frame(f);
}

static void mem_close(struct nic *n)
{
	struct mem *m = n->priv;
	uint32_t i;

	for (i = 0; i < n->nqueues; i++) {
		mem_rx_done(n, i);
		free_list(&m->in[i]);
		close(m->fd[i]);
	}
	free_list(&m->out);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

static const struct nic_ops mem_ops = {
	.close = mem_close,
	.rx = mem_rx,
	.rx_done = mem_rx_done,
	.tx = mem_tx,
	.rx_fd = mem_fd,
	.steer = mem_steer,
};

struct nic *mem_nic_open(uint32_t nqueues, int large)
{
	struct nic *n = calloc(1, sizeof(*n));
	struct mem *m = calloc(1, sizeof(*m));
	uint32_t i;

	if (!n || !m || nqueues > QUEUES)
		return NULL;
	n->ops = &mem_ops;
	n->nqueues = nqueues;
	n->priv = m;
	nic_steer_init(&n->steer);
	memset(n->caps.mac, 2, 6);
	n->caps.mtu = 1500;
	n->caps.tso = n->caps.tx_csum = n->caps.rx_large = (uint8_t)large;
	n->caps.tso_max = 65160;
	n->caps.rx_depth = 4096; /* what a test puts there at a time is less, unless it floods */
	m->limit = -1;
	pthread_mutex_init(&m->lock, NULL);
	for (i = 0; i < nqueues; i++)
		m->fd[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return n;
}

void mem_nic_put(struct nic *n, uint32_t queue, const uint8_t *frame, uint32_t len,
	uint16_t gso_size, uint16_t flags)
{
	struct mem *m = n->priv;
	struct frame *f = new_frame(len, gso_size, flags);

	memcpy(f->data, frame, len);
	pthread_mutex_lock(&m->lock);
	push(&m->in[queue], f);
	set_readable(m, queue);
	pthread_mutex_unlock(&m->lock);
}

uint32_t mem_nic_take(struct nic *n, uint8_t *buf, uint16_t *gso_size)
{
	struct mem *m = n->priv;
	struct frame *f;
	uint32_t len = 0;

	pthread_mutex_lock(&m->lock);
	f = pop(&m->out);
	pthread_mutex_unlock(&m->lock);
	if (f) {
		len = f->len;
		*gso_size = f->gso_size;
		memcpy(buf, f->data, len);
		free_frame(f);
	}
	return len;
}

uint32_t mem_nic_sent(struct nic *n)
{
	struct mem *m = n->priv;
	uint32_t count;

	pthread_mutex_lock(&m->lock);
	count = m->out.count;
	pthread_mutex_unlock(&m->lock);
	return count;
}

void mem_nic_limit(struct nic *n, int frames)
{
	((struct mem *)n->priv)->limit = frames;
}

void mem_nic_lose(struct nic *n, uint32_t frames)
{
	struct mem *m = n->priv;

	pthread_mutex_lock(&m->lock);
	m->lose += frames;
	pthread_mutex_unlock(&m->lock);
}

void mem_nic_kill(struct nic *n)
{
	struct mem *m = n->priv;

	pthread_mutex_lock(&m->lock);
	m->dead = 1;
	set_readable(m, 0);
	pthread_mutex_unlock(&m->lock);
}
