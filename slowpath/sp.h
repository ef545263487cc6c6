/*
 * sp.h - the slow path: one thread that owns everything whose cost per packet is not constant.
 *
 * struct sp is the whole of it; every function takes it first. Time is sp->now_ns, set once per
 * round of the loop.
 *
 * For a reader such as the control server (same thread): iterate with sp_conn_next,
 * sp_listener_next, sp_app_next, sp_neigh_next (cursors start at 1 and survive changes between
 * calls); routes and addresses are arrays in sp->net; a connection in state SP_CONN_OPEN has its
 * figures in fp_flow_info(sp->fp, conn->id, &info); counters are sp->cnt and fp_counters(sp->fp,
 * core); sp_conn_abort kills, sp_drain drains; descriptors join the loop by sp_loop_add with a
 * struct sp_source of the owner's. Records may be freed between two rounds of the loop: keep ids,
 * never pointers.
 *
 * Owner: slow path thread.
 */
#ifndef SP_SP_H
#define SP_SP_H

#include <stdint.h>
#include <time.h>
#include "app.h"
#include "arena.h"
#include "cc/cc.h"
#include "config.h"
#include "conn/conn.h"
#include "conn/listener.h"
#include "conn/passing.h"
#include "fp.h"
#include "log.h"
#include "loop.h"
#include "net/exception_tap.h"
#include "net/net.h"
#include "nic/nic.h"
#include "tas/counters.h"

/* Messages that wait, in order (flowctl.c). */
struct sp_waiting {
	uint32_t
		core; /* for a program's message; a flow's is for the core that has its group when it is sent */
	struct sp_msg m;
};

struct sp_backlog {
	struct sp_waiting *msgs; /* circular */
	uint32_t head, count, size;
};

/* The timer that interrupts what a thread waits for in the kernel (passed.c). */
struct sp_guard {
	timer_t timer;
	uint8_t made, on;
};

#define SP_RESTING_MAX 4u /* as many sources as may rest (sp_loop_rest): the doors */

struct sp {
	struct sp_config conf;
	uint64_t now_ns;     /* CLOCK_MONOTONIC, once per round */
	uint64_t started_ns; /* CLOCK_MONOTONIC */
	int64_t started_s;   /* CLOCK_REALTIME, seconds */
	uint8_t boot_id[16];
	uint64_t epoch;
	struct fp *fp;
	struct nic *nic;
	struct nic_caps caps;
	uint32_t ncores;
	struct sp_conns conns;
	struct sp_listeners listeners;
	struct sp_apps apps;
	struct sp_passings passings;
	struct sp_net net;
	struct sp_tap tap;
	struct sp_backlog backlog[TAS_MAX_CORES]; /* what did not fit into a core's ring */
	struct sp_backlog held;		/* what was sent while groups change hands, for all cores */
	uint8_t group_wish[NIC_GROUPS]; /* group.c: 1 + core it shall go to, 0 = no wish */
	uint8_t groups_wished;
	uint8_t flow_paused;   /* flowctl.c: groups change hands, nothing is sent */
	struct sp_reap *reaps; /* reap.c */
	uint32_t nreaps;
	struct tas_sp_counters cnt;
	uint64_t netns_cookie; /* of the daemon's network namespace */
	uint16_t ip_id;
	/* loop.c */
	int epfd, signalfd;
	struct sp_source signal_src, fp_src;
	struct sp_source *resting[SP_RESTING_MAX];
	struct sp_guard guard; /* passed.c */
	void *pending;	       /* events of this round still to be dispatched */
	int npending;
	uint64_t tick_ns; /* last one-second tick */
	uint8_t stop, nic_dead;
	void *ctl; /* the control server's own */
};

#endif
