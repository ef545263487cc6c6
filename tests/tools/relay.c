/*
 * relay - a bad network path between two interfaces: loss, reordering, duplicates, corruption,
 * delay.
 *
 *   relay DEVICE_A DEVICE_B A_TO_B B_TO_A       each direction:
 * loss=PCT,reorder=PCT,dup=PCT,corrupt=PCT,delay=US,seed=N
 *
 * Reads both devices with AF_PACKET sockets that show the virtio-net header (packet(7),
 * PACKET_VNET_HDR), cuts large segments into what a wire would carry and finishes checksums, so
 * that a loss is the loss of one segment. A reordered frame is held back REORDER_HOLD_NS. ARP is
 * never harmed; IPv6 is not carried. Runs until SIGTERM, then prints its counts. Needs no kernel
 * module and no tc. One thread.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define REORDER_HOLD_NS 2000000u
#define FRAME_MAX	(65536 + 64)
#define QUEUE_MAX	16384
#define BATCH		64
#define SOCKET_BYTES	(32 << 20)

struct direction {
	int in, out;
	double loss, reorder, dup, corrupt;
	uint64_t delay_ns, rng;
	uint64_t seen, lost, reordered, duplicated, corrupted, overflow, sent;
};

struct held {
	uint64_t when_ns, order;
	struct direction *dir;
	size_t len;
	uint8_t frame[];
};

static struct held *heap[QUEUE_MAX];
static size_t heap_len;
static uint64_t order;
static volatile sig_atomic_t stop;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* xorshift64: reproducible from the seed given. */
static uint64_t draw(struct direction *d)
{
	d->rng ^= d->rng << 13;
	d->rng ^= d->rng >> 7;
	d->rng ^= d->rng << 17;
	return d->rng;
}

static int chance(struct direction *d, double pct)
{
	return pct > 0 && (double)(draw(d) >> 11) / 9007199254740992.0 < pct / 100;
}

static int earlier(const struct held *a, const struct held *b)
{
	return a->when_ns < b->when_ns || (a->when_ns == b->when_ns && a->order < b->order);
}

static void heap_push(struct held *h)
{
	size_t i = heap_len++;

	while (i && earlier(h, heap[(i - 1) / 2])) {
		heap[i] = heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	heap[i] = h;
}

static struct held *heap_pop(void)
{
	struct held *top = heap[0], *last = heap[--heap_len];
	size_t i = 0, c;

	while ((c = 2 * i + 1) < heap_len) {
		if (c + 1 < heap_len && earlier(heap[c + 1], heap[c]))
			c++;
		if (!earlier(heap[c], last))
			break;
		heap[i] = heap[c];
		i = c;
	}
	heap[i] = last;
	return top;
}

static void hold(struct direction *d, const uint8_t *frame, size_t len, uint64_t when_ns)
{
	struct held *h = heap_len < QUEUE_MAX ? malloc(sizeof(*h) + len) : NULL;

	if (!h) {
		d->overflow++;
		return;
	}
	h->when_ns = when_ns;
	h->order = order++;
	h->dir = d;
	h->len = len;
	memcpy(h->frame, frame, len);
	heap_push(h);
}

/* One frame of wire size meets its fate. */
static void impair(struct direction *d, uint8_t *frame, size_t len)
{
	uint64_t when_ns = now_ns() + d->delay_ns;

	d->seen++;
	if (frame[12] == 0x08 && frame[13] == 0x00) {
		if (chance(d, d->loss)) {
			d->lost++;
			return;
		}
		if (chance(d, d->corrupt)) {
			frame[ETH_HLEN + draw(d) % (len - ETH_HLEN)] ^=
				(uint8_t)(1u << draw(d) % 8);
			d->corrupted++;
		}
		if (chance(d, d->dup)) {
			hold(d, frame, len, when_ns);
			d->duplicated++;
		}
		if (chance(d, d->reorder)) {
			when_ns += REORDER_HOLD_NS;
			d->reordered++;
		}
	}
	hold(d, frame, len, when_ns);
}

static uint32_t sum16(const uint8_t *p, size_t len, uint32_t sum)
{
	for (; len > 1; p += 2, len -= 2)
		sum += (uint32_t)p[0] << 8 | p[1];
	return len ? sum + ((uint32_t)p[0] << 8) : sum;
}

static void put_sum(uint8_t *at, uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	at[0] = (uint8_t)(~sum >> 8);
	at[1] = (uint8_t)~sum;
}

/* The sender left a pseudo-header sum in the field; complete it over what follows csum_start. */
static void finish_checksum(uint8_t *frame, size_t len, const struct virtio_net_hdr *v)
{
	if (v->csum_start + v->csum_offset + 2u <= len)
		put_sum(frame + v->csum_start + v->csum_offset,
			sum16(frame + v->csum_start, len - v->csum_start, 0));
}

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* Headers of one piece: IP length, id and sum; TCP sequence, flags (PSH and FIN on the last only)
 * and sum. */
static void piece_headers(
	uint8_t *ip, size_t ihl, size_t hlen, uint32_t offset, size_t n, uint32_t index, int last)
{
	uint8_t *tcp = ip + ihl;
	uint32_t seq;

	memcpy(&seq, tcp + 4, 4);
	seq = htonl(ntohl(seq) + offset);
	memcpy(tcp + 4, &seq, 4);
	if (!last)
		tcp[13] &= (uint8_t)~0x09u;
	put16(ip + 2, (uint32_t)(hlen + n));
	put16(ip + 4, ((uint32_t)ip[4] << 8 | ip[5]) + index);
	put16(ip + 10, 0);
	put_sum(ip + 10, sum16(ip, ihl, 0));
	put16(tcp + 16, 0);
	put_sum(tcp + 16, sum16(tcp, hlen - ihl + n,
				  sum16(ip + 12, 8, IPPROTO_TCP + (uint32_t)(hlen - ihl + n))));
}

static void cut(struct direction *d, uint8_t *frame, size_t len, uint32_t mss)
{
	uint8_t piece[FRAME_MAX];
	size_t ihl = (size_t)(frame[ETH_HLEN] & 15) * 4;
	size_t hlen = ihl + (size_t)(frame[ETH_HLEN + ihl + 12] >> 4) * 4;
	size_t total = len > ETH_HLEN + hlen ? len - ETH_HLEN - hlen : 0;

	for (uint32_t offset = 0, index = 0; offset < total; offset += mss, index++) {
		size_t n = total - offset < mss ? total - offset : mss;

		memcpy(piece, frame, ETH_HLEN + hlen);
		memcpy(piece + ETH_HLEN + hlen, frame + ETH_HLEN + hlen + offset, n);
		piece_headers(piece + ETH_HLEN, ihl, hlen, offset, n, index, offset + n == total);
		impair(d, piece, ETH_HLEN + hlen + n);
	}
}

static void receive(struct direction *d)
{
	static uint8_t buf[sizeof(struct virtio_net_hdr) + FRAME_MAX];
	struct virtio_net_hdr v;

	for (int i = 0; i < BATCH; i++) {
		ssize_t n = recv(d->in, buf, sizeof(buf), 0);

		if (n < (ssize_t)(sizeof(v) + ETH_HLEN + 20))
			return;
		memcpy(&v, buf, sizeof(v));
		uint8_t *frame = buf + sizeof(v);
		size_t len = (size_t)n - sizeof(v);

		if (frame[12] == 0x86 && frame[13] == 0xdd)
			continue;
		if ((v.gso_type & 0x7f) == VIRTIO_NET_HDR_GSO_TCPV4 && v.gso_size) {
			cut(d, frame, len, v.gso_size);
			continue;
		}
		if (v.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
			finish_checksum(frame, len, &v);
		impair(d, frame, len);
	}
}

static void release(uint64_t t)
{
	while (heap_len && heap[0]->when_ns <= t) {
		struct held *h = heap_pop();
		struct virtio_net_hdr v = {0};
		struct iovec iov[2] = {{&v, sizeof(v)}, {h->frame, h->len}};
		struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};

		if (sendmsg(h->dir->out, &m, 0) >= 0)
			h->dir->sent++;
		free(h);
	}
}

static int open_device(const char *name)
{
	struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1,
	    bytes = SOCKET_BYTES;

	at.sll_ifindex = (int)if_nametoindex(name);
	if (fd < 0 || !at.sll_ifindex ||
		setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) != 0 ||
		setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) != 0 ||
		bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0) {
		fprintf(stderr, "relay: %s: %s\n", name, strerror(errno));
		exit(1);
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes));
	return fd;
}

static void parse(struct direction *d, char *text)
{
	d->rng = 88172645463325252u;
	for (char *item = strtok(text, ","); item; item = strtok(NULL, ",")) {
		char *value = strchr(item, '=');
		double f = value ? atof(value + 1) : -1;

		if (value)
			*value = 0;
		if (value && !strcmp(item, "loss"))
			d->loss = f;
		else if (value && !strcmp(item, "reorder"))
			d->reorder = f;
		else if (value && !strcmp(item, "dup"))
			d->dup = f;
		else if (value && !strcmp(item, "corrupt"))
			d->corrupt = f;
		else if (value && !strcmp(item, "delay"))
			d->delay_ns = (uint64_t)(f * 1000);
		else if (value && !strcmp(item, "seed"))
			d->rng ^= (uint64_t)f * 0x9e3779b97f4a7c15u;
		else {
			fprintf(stderr, "relay: what is %s?\n", item);
			exit(2);
		}
	}
}

static void report(const char *name, const struct direction *d)
{
	printf("%s seen=%llu sent=%llu lost=%llu reordered=%llu duplicated=%llu corrupted=%llu "
	       "overflow=%llu\n",
		name, (unsigned long long)d->seen, (unsigned long long)d->sent,
		(unsigned long long)d->lost, (unsigned long long)d->reordered,
		(unsigned long long)d->duplicated, (unsigned long long)d->corrupted,
		(unsigned long long)d->overflow);
}

static void on_term(int sig)
{
	(void)sig;
	stop = 1;
}

/* Sleeps until a frame comes, the next held one is due, or SIGTERM (blocked outside ppoll). */
static void sleep_until_work(
	const struct direction *ab, const struct direction *ba, const sigset_t *open)
{
	struct pollfd p[2] = {{ab->in, POLLIN, 0}, {ba->in, POLLIN, 0}};
	struct timespec left, *limit = NULL;

	if (heap_len) {
		uint64_t t = now_ns(), ns = heap[0]->when_ns > t ? heap[0]->when_ns - t : 0;

		left.tv_sec = (time_t)(ns / 1000000000u);
		left.tv_nsec = (long)(ns % 1000000000u);
		limit = &left;
	}
	ppoll(p, 2, limit, open);
}

int main(int argc, char **argv)
{
	struct direction ab = {0}, ba = {0};
	struct sigaction sa = {.sa_handler = on_term};
	sigset_t block, open;

	if (argc != 5) {
		fprintf(stderr, "usage: relay DEVICE_A DEVICE_B A_TO_B B_TO_A\n");
		return 2;
	}
	ab.in = ba.out = open_device(argv[1]);
	ba.in = ab.out = open_device(argv[2]);
	parse(&ab, argv[3]);
	parse(&ba, argv[4]);
	sigemptyset(&block);
	sigaddset(&block, SIGTERM);
	sigprocmask(SIG_BLOCK, &block, &open);
	sigaction(SIGTERM, &sa, NULL);
	while (!stop) {
		sleep_until_work(&ab, &ba, &open);
		receive(&ab);
		receive(&ba);
		release(now_ns());
	}
	report("a_to_b", &ab);
	report("b_to_a", &ba);
	return 0;
}
