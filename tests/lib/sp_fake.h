/*
 * sp_fake.h - a fast path that records what the slow path asks of it, and a slow path set up around
 * it. Time stands still unless a test moves it. C and C++.
 */
#ifndef SP_FAKE_H
#define SP_FAKE_H

#ifdef __cplusplus
#define _Static_assert static_assert
extern "C" {
/* struct x and function x are two names in C */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#endif

#include "alloc.h"
#include "app_internal.h"
#include "config_check.h"
#include "door.h"
#include "conn/hash.h"
#include "conn/internal.h"
#include "flowctl.h"
#include "net/input.h"
#include "net/internal.h"
#include "passed.h"
#include "reap.h"
#include "round.h"
#include "tas/wire.h"

#ifdef __cplusplus
#pragma GCC diagnostic pop
#endif

#define FAKE_SECOND 1000000000ull
#define FAKE_FRAMES 4096
#define FAKE_MSGS   65536

struct fake_frame {
	uint8_t data[2048];
	uint32_t len;
};

struct fake_msg {
	struct sp_msg m;
	uint32_t core;
};

struct fake_ring {
	uint32_t app, evq, slot;
};

/* What the fake has seen since fake_forget(). */
extern struct fake_frame fake_frames[FAKE_FRAMES];
extern uint32_t fake_nframes;
extern int fake_tx_error; /* what fp_tx_frame returns, and sends nothing then */
extern struct fake_msg fake_msgs[FAKE_MSGS];
extern uint32_t fake_nmsgs;
extern struct fake_ring fake_rings[1024];
extern uint32_t fake_nrings;
extern uint64_t fake_neigh[FP_MAX_NEIGH];
/* What fp_port_set is told, where it is set. */
extern void (*fake_on_port)(uint16_t port, int ours);
extern uint64_t fake_missed; /* frames that the port had no room for */
/* How many messages a core takes before its ring is full. */
extern uint32_t fake_ring_room;
extern uint32_t fake_nodes; /* core c is on node c % fake_nodes; set before start() */
/* 1: every group is on the other core; what fp_move_poll says. */
extern uint32_t fake_swapped;
extern enum fp_move_state fake_moves;
/* What moving a group costs; the set of the last fp_move_start, which is refused. */
extern uint32_t fake_group_cost[NIC_GROUPS];
extern uint64_t fake_move_set[NIC_GROUPS / 64];
extern uint32_t
	fake_looks; /* at the n-th look the flows have changed hands (1 = the next), 0 = at none */
extern const uint8_t fake_mac[6], fake_peer_mac[6];

/* A slow path with address 10.0.0.2/24, 2 cores, and the options given as --name=value. NULL on a
 * bad option. */
struct sp *fake_start(int nargs, const char *const *args);
void fake_stop(struct sp *sp);
void fake_forget(void);
/* Moves the clock in steps of at most 10 ms, running rounds. */
void fake_advance(struct sp *sp, uint64_t ns);

void fake_event(const struct fp_event *ev);
/* Frees what a message carries besides itself. */
void fake_msg_done(const struct sp_msg *m);

/* A frame from the peer, ready for sp_frame_input; runs a round with it. */
void fake_receive(struct sp *sp, const uint8_t *frame, uint32_t len);
/* Builds a TCP frame from the peer 10.0.0.`host` to 10.0.0.2. Returns its length. */
uint32_t fake_tcp(
	uint8_t *frame, uint8_t host, const struct wire_tcp *h, const void *payload, uint32_t len);
/* Parses recorded frame i as the peer would: 0 = TCP. */
int fake_parse(uint32_t i, struct seg *s);
uint32_t fake_addr(uint8_t host); /* 10.0.0.host, network order */

#ifdef __cplusplus
}
#endif

#endif
