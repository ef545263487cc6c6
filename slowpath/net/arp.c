/*
 * arp.c - neighbours: address resolution, ageing, and the words the cores send by.
 *
 * An entry is INCOMPLETE until the first answer, REACHABLE for 30 s after one, then STALE: still
 * used, but the first use asks again (PROBE). Three questions without answer make it FAILED. One
 * frame waits per entry, besides the SYNs of all handshakes, which are made when it is known. Entries are made only for next hops of ours and for who asks us from a
 * connected prefix; when the table is full one long unused that no connection refers to gives
 * way. Owner: slow path thread. RFC 826, 1122 2.3.2, 5227 section 3; names of the states from
 * RFC 4861 7.3.2. Our own addresses are neighbours too, which are never asked: frames to our own MAC
 * stay here (fastpath/loopback.c).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include "conn/hash.h"
#include "conn/internal.h"
#include "net/internal.h"
#include "tas/wire.h"

#define SECOND_NS    1000000000ull
#define REACHABLE_NS (30 * SECOND_NS)
#define UNUSED_NS    (600 * SECOND_NS)	  /* a stale entry of nobody is forgotten */
#define RETRY_NS     (SECOND_NS * 9 / 10) /* asked on a tick of one second */
#define TRIES	     3u
#define EVICT_LOOK   32u

static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

/* ---- table ---- */

int sp_neigh_init(struct sp *sp)
{
	return sp_arena_create(
		&sp->net.neighs, "tas-neigh", sizeof(struct sp_neigh), FP_MAX_NEIGH - 1);
}

void sp_neigh_free(struct sp *sp)
{
	sp_arena_destroy(&sp->net.neighs);
}

struct sp_neigh *sp_neigh_get(struct sp *sp, uint16_t id)
{
	struct sp_neigh *n = sp_arena_at(&sp->net.neighs, id);

	return n != NULL && n->id == id && n->state != SP_NEIGH_FREE ? n : NULL;
}

struct sp_neigh *sp_neigh_next(struct sp *sp, uint32_t *cursor)
{
	while (*cursor < FP_MAX_NEIGH) {
		struct sp_neigh *n = sp_neigh_get(sp, (uint16_t)(*cursor)++);

		if (n != NULL)
			return n;
	}
	return NULL;
}

const char *sp_neigh_state_name(const struct sp_neigh *n)
{
	static const char *const names[] = {
		"free", "incomplete", "reachable", "stale", "probe", "failed", "own"};

	return n->state < sizeof(names) / sizeof(names[0]) ? names[n->state] : "?";
}

static uint32_t *bucket_of(struct sp *sp, const uint8_t addr[16])
{
	return &sp->net.neigh_buckets[sp_siphash(sp->conns.key, addr, 16) % SP_NEIGH_BUCKETS];
}

static struct sp_neigh *find(struct sp *sp, const uint8_t addr[16])
{
	struct sp_neigh *n = sp_arena_at(&sp->net.neighs, *bucket_of(sp, addr));

	while (n != NULL && memcmp(n->addr, addr, 16) != 0)
		n = sp_arena_at(&sp->net.neighs, n->hash_next);
	return n;
}

static void forget(struct sp *sp, struct sp_neigh *n)
{
	uint32_t *p = bucket_of(sp, n->addr);

	while (*p != n->id)
		p = &((struct sp_neigh *)sp_arena_at(&sp->net.neighs, *p))->hash_next;
	*p = n->hash_next;
	fp_neigh_set(sp->fp, n->id, 0);
	sp_arena_free(&sp->net.neighs, n->id);
}

/* The longest unused of some: looking at all of them for each would let a scan of addresses stop us. */
static void evict(struct sp *sp)
{
	struct sp_neigh *oldest = NULL;
	uint32_t i, candidates = 0;

	for (i = 1; i < FP_MAX_NEIGH && candidates < EVICT_LOOK; i++) {
		uint32_t id = 1 + sp->net.evict_next++ % (FP_MAX_NEIGH - 1);
		struct sp_neigh *n = sp_neigh_get(sp, (uint16_t)id);

		if (n == NULL || n->refs != 0)
			continue;
		candidates++;
		if (oldest == NULL || n->used_ns < oldest->used_ns)
			oldest = n;
	}
	if (oldest != NULL)
		forget(sp, oldest);
}

/* What the cores see. */
static void publish(struct sp *sp, const struct sp_neigh *n)
{
	uint64_t word = 0;
	int i;

	if (n->state == SP_NEIGH_INCOMPLETE || n->state == SP_NEIGH_FAILED) {
		fp_neigh_set(sp->fp, n->id, 0);
		return;
	}
	for (i = 0; i < 6; i++)
		word |= (uint64_t)n->mac[i] << (8 * i);
	word |= FP_NEIGH_VALID;
	if (n->state == SP_NEIGH_STALE)
		word |= FP_NEIGH_STALE;
	fp_neigh_set(sp->fp, n->id, word);
}

static struct sp_neigh *create(struct sp *sp, const uint8_t addr[16])
{
	uint32_t *bucket = bucket_of(sp, addr), id = sp_arena_alloc(&sp->net.neighs);
	const struct sp_route *r = sp_route_find(sp, addr);
	struct sp_neigh *n;

	if (id == 0) {
		evict(sp);
		id = sp_arena_alloc(&sp->net.neighs);
	}
	n = sp_arena_at(&sp->net.neighs, id);
	if (n == NULL)
		return NULL;
	n->id = (uint16_t)id;
	memcpy(n->addr, addr, 16);
	n->state = SP_NEIGH_INCOMPLETE;
	n->src = r != NULL ? r->src : 0;
	n->used_ns = sp->now_ns;
	n->hash_next = *bucket;
	*bucket = id;
	if (sp_addr_is_ours(sp, addr)) {
		n->state = SP_NEIGH_OWN;
		memcpy(n->mac, sp->net.mac, 6);
		publish(sp, n);
	}
	return n;
}

/* ---- what is learnt ---- */

static void flush_frame(struct sp *sp, struct sp_neigh *n)
{
	if (n->frame_len == 0)
		return;
	memcpy(n->frame, n->mac, 6);
	sp_frame_send(sp, n->frame, n->frame_len);
	n->frame_len = 0;
}

/* Can frames be sent to it now? */
static int is_known(const struct sp_neigh *n)
{
	return n->state != SP_NEIGH_INCOMPLETE && n->state != SP_NEIGH_FAILED;
}

/* An answer, or a hint that is as good until we need to be sure. */
static void learn(struct sp *sp, struct sp_neigh *n, const uint8_t mac[6], int confirmed)
{
	int was_known = is_known(n);

	memcpy(n->mac, mac, 6);
	n->tries = 0;
	n->state = confirmed ? SP_NEIGH_REACHABLE : SP_NEIGH_STALE;
	n->confirmed_ns = sp->now_ns;
	publish(sp, n);
	flush_frame(sp, n);
	if (!was_known)
		sp_connect_neigh_known(sp, n->id);
}

/* ---- questions ---- */

static void send_arp(struct sp *sp, uint16_t op, const uint8_t *to, uint32_t spa, uint32_t tpa)
{
	uint8_t frame[64] = {0};
	struct wire_arp a;

	memset(&a, 0, sizeof(a));
	a.op = op;
	memcpy(a.sha, sp->net.mac, 6);
	if (op == 2)
		memcpy(a.tha, to, 6);
	a.spa = spa;
	a.tpa = tpa;
	sp->cnt.arp_out++;
	sp_frame_send(sp, frame, wire_arp_emit(frame, sp->net.mac, to, &a));
}

static void ask(struct sp *sp, struct sp_neigh *n)
{
	const uint8_t *to = n->state == SP_NEIGH_PROBE ? n->mac : broadcast;

	n->tries++;
	n->asked_ns = sp->now_ns;
	send_arp(sp, 1, to, tas_addr_v4(sp->net.addrs[n->src].addr), tas_addr_v4(n->addr));
}

void sp_arp_announce(struct sp *sp)
{
	uint32_t i;

	for (i = 0; i < sp->net.naddrs; i++) {
		uint32_t v4 = tas_addr_v4(sp->net.addrs[i].addr);

		send_arp(sp, 1, broadcast, v4, v4);
	}
}

/* ---- use ---- */

uint16_t sp_neigh_for(struct sp *sp, const uint8_t dst[16], const uint8_t *mac)
{
	const struct sp_route *r = sp_route_find(sp, dst);
	const uint8_t *hop;
	struct sp_neigh *n;

	if (r == NULL)
		return 0;
	hop = r->onlink || sp_addr_is_ours(sp, dst) ? dst : r->gateway;
	n = find(sp, hop);
	if (n == NULL)
		n = create(sp, hop);
	if (n == NULL)
		return 0;
	n->refs++;
	n->used_ns = sp->now_ns;
	if (is_known(n))
		return n->id;
	if (mac != NULL)
		learn(sp, n, mac, 0);
	else
		sp_neigh_used(sp, n->id);
	return n->id;
}

void sp_neigh_unref(struct sp *sp, uint16_t id)
{
	struct sp_neigh *n = sp_neigh_get(sp, id);

	if (n != NULL && n->refs > 0)
		n->refs--;
}

void sp_neigh_used(struct sp *sp, uint16_t id)
{
	struct sp_neigh *n = sp_neigh_get(sp, id);

	if (n == NULL)
		return;
	n->used_ns = sp->now_ns;
	if (n->state == SP_NEIGH_STALE) {
		n->state = SP_NEIGH_PROBE;
		n->tries = 0;
		publish(sp, n);
		ask(sp, n);
	} else if (n->state == SP_NEIGH_FAILED || n->state == SP_NEIGH_INCOMPLETE) {
		if (n->asked_ns != 0 && sp->now_ns - n->asked_ns < RETRY_NS)
			return;
		if (n->state == SP_NEIGH_FAILED)
			n->tries = 0;
		n->state = SP_NEIGH_INCOMPLETE;
		ask(sp, n);
	}
}

int sp_neigh_try(struct sp *sp, uint16_t id, uint8_t *frame, uint32_t len)
{
	struct sp_neigh *n = sp_neigh_get(sp, id);
	int known;

	if (n == NULL)
		return 0;
	known = is_known(n);
	if (known) {
		memcpy(frame, n->mac, 6);
		sp_frame_send(sp, frame, len);
	}
	if (n->state != SP_NEIGH_REACHABLE && n->state != SP_NEIGH_PROBE)
		sp_neigh_used(sp, id);
	return known;
}

void sp_neigh_send(struct sp *sp, uint16_t id, uint8_t *frame, uint32_t len)
{
	struct sp_neigh *n = sp_neigh_get(sp, id);

	if (n == NULL || len > SP_NEIGH_FRAME) {
		sp->cnt.drop_neigh_queue++;
		return;
	}
	if (sp_neigh_try(sp, id, frame, len))
		return;
	if (n->frame_len != 0)
		sp->cnt.drop_neigh_queue++; /* the older one gives way: RFC 1122 2.3.2.2 */
	memcpy(n->frame, frame, len);
	n->frame_len = len;
}

/* ---- answers ---- */

/* The sender of an ARP frame must be a host of a connected prefix that is not us. */
static int sender_is_sane(const struct sp *sp, const struct wire_arp *a, const uint8_t spa[16])
{
	static const uint8_t zero[6];

	return (a->sha[0] & 1) == 0 && memcmp(a->sha, zero, 6) != 0 &&
	       memcmp(a->sha, sp->net.mac, 6) != 0 && !sp_addr_is_group(sp, spa) &&
	       sp_addr_is_onlink(sp, spa);
}

/* RFC 826: a known sender is updated whatever the frame is about; unknown ones only when they ask
 * us. */
static void update_sender(
	struct sp *sp, const struct wire_arp *a, const uint8_t spa[16], int for_us)
{
	struct sp_neigh *n = find(sp, spa);
	int waited;

	if (n == NULL && for_us && a->op == 1)
		n = create(sp, spa);
	if (n == NULL)
		return;
	waited = n->state == SP_NEIGH_INCOMPLETE || n->state == SP_NEIGH_PROBE;
	if (a->op == 2 && for_us && waited)
		learn(sp, n, a->sha, 1);
	else if (waited || n->state == SP_NEIGH_FAILED || memcmp(n->mac, a->sha, 6) != 0)
		learn(sp, n, a->sha, 0);
}

void sp_arp_input(struct sp *sp, const uint8_t *frame, uint32_t len)
{
	uint8_t spa[16], tpa[16];
	struct wire_arp a;
	int for_us;

	sp->cnt.arp_in++;
	if (wire_arp_parse(frame, len, &a) != 0) {
		sp->cnt.drop_arp_bad++;
		return;
	}
	tas_addr_from_v4(spa, a.spa);
	tas_addr_from_v4(tpa, a.tpa);
	for_us = sp_addr_is_ours(sp, tpa);
	if (a.spa != 0 && sp_addr_is_ours(sp, spa)) {
		static struct sp_log_limit limit;

		if (memcmp(a.sha, sp->net.mac, 6) != 0 && sp_log_allow(&limit, sp->now_ns))
			sp_warn("arp",
				"another host has our address mac=%02x:%02x:%02x:%02x:%02x:%02x",
				a.sha[0], a.sha[1], a.sha[2], a.sha[3], a.sha[4], a.sha[5]);
		sp->cnt.drop_arp_bad++;
		return;
	}
	if (a.spa != 0 &&
		!sender_is_sane(sp, &a, spa)) { /* 0: a probe for our address, to be answered */
		sp->cnt.drop_arp_bad++;
		return;
	}
	if (a.spa != 0)
		update_sender(sp, &a, spa, for_us);
	if (for_us && a.op == 1)
		send_arp(sp, 2, a.sha, a.tpa, a.spa);
}

/* ---- ageing ---- */

static void give_up(struct sp *sp, struct sp_neigh *n)
{
	n->state = SP_NEIGH_FAILED;
	if (n->frame_len != 0)
		sp->cnt.drop_neigh_queue++;
	n->frame_len = 0;
	publish(sp, n);
	sp_connect_neigh_failed(sp, n->id);
}

static void age(struct sp *sp, struct sp_neigh *n)
{
	uint64_t now = sp->now_ns;

	if (n->state == SP_NEIGH_REACHABLE && now - n->confirmed_ns >= REACHABLE_NS) {
		n->state = SP_NEIGH_STALE;
		publish(sp, n);
	} else if (n->state == SP_NEIGH_INCOMPLETE || n->state == SP_NEIGH_PROBE) {
		if (now - n->asked_ns < RETRY_NS)
			return;
		if (n->tries >= TRIES)
			give_up(sp, n);
		else
			ask(sp, n);
	} else if (n->refs == 0 && now - n->used_ns >= UNUSED_NS) {
		forget(sp, n);
	}
}

void sp_neigh_tick(struct sp *sp)
{
	uint32_t cursor = 1;
	struct sp_neigh *n;

	while ((n = sp_neigh_next(sp, &cursor)) != NULL)
		age(sp, n);
}
