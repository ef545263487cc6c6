/*
 * column.c - the columns of every table, and how to read a value out of a row.
 */
#include "column.h"

#include <string.h>
#include <strings.h>

#define AT(type, field) offsetof(struct type, field), sizeof(((struct type *)0)->field)
#define COL(type, field, json, head, label, k)                                                     \
	{                                                                                          \
		json, head, label, KIND_##k, AT(type, field), 0, NULL, NULL                        \
	}
#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

static const char *const state_names[] = {
#define STATE_NAME(name, text) text,
	TAS_CTL_STATES(STATE_NAME)
#undef STATE_NAME
};

const char *state_name(uint32_t state)
{
	return state < TAS_CTL_S_COUNT ? state_names[state] : state_names[TAS_CTL_S_UNKNOWN];
}

int state_find(const char *name)
{
	int i;

	for (i = 0; i < TAS_CTL_S_COUNT; i++) {
		if (strcasecmp(state_names[i], name) == 0)
			return i;
	}
	return -1;
}

static const struct bit_name flow_flags[] = {
	{TAS_CTL_F_TS, "ts"},
	{TAS_CTL_F_SACK, "sack"},
	{TAS_CTL_F_WSCALE, "wscale"},
	{TAS_CTL_F_ECN, "ecn"},
	{TAS_CTL_F_PACED, "paced"},
	{TAS_CTL_F_QUEUED, "queued"},
	{0, NULL},
};

static const struct bit_name app_flags[] = {{TAS_CTL_A_BAD, "isolated"}, {0, NULL}};

/* The rate that limits the flow: its pace, or what a window per round trip comes to. */
static uint64_t flow_rate(const void *row)
{
	const struct tas_ctl_flow *f = row;

	if (f->flags & TAS_CTL_F_PACED)
		return f->pace_kbps;
	return f->srtt_us == 0 ? 0 : (uint64_t)f->cwnd * 8000 / f->srtt_us;
}

#define F(field, json, head, label, k) COL(tas_ctl_flow, field, json, head, label, k)
static const struct column flow_columns[] = {
	{"id", "ID", "flow", KIND_FLOW, AT(tas_ctl_flow, id), offsetof(struct tas_ctl_flow, gen),
		NULL, NULL},
	{NULL, "LOCAL", "local", KIND_ENDPOINT, AT(tas_ctl_flow, laddr),
		offsetof(struct tas_ctl_flow, lport), NULL, NULL},
	{NULL, "REMOTE", "remote", KIND_ENDPOINT, AT(tas_ctl_flow, raddr),
		offsetof(struct tas_ctl_flow, rport), NULL, NULL},
	F(laddr, "local_address", NULL, NULL, ADDR),
	F(lport, "local_port", NULL, NULL, PORT),
	F(raddr, "remote_address", NULL, NULL, ADDR),
	F(rport, "remote_port", NULL, NULL, PORT),
	F(net, "net", NULL, "net", NUMBER),
	F(state, "state", "STATE", "state", STATE),
	F(comm, "program", "PROGRAM", "program", TEXT),
	F(pid, "pid", "PID", "process id", NUMBER),
	F(app, "app", NULL, "program id (tasctl apps)", NUMBER),
	F(slot, "slot", NULL, "socket slot", NUMBER),
	F(core, "core", "CORE", "fast-path core", NUMBER),
	F(listener, "listener", NULL, "listener (0: connected from here)", NUMBER),
	{"flags", NULL, "options", KIND_FLAGS, AT(tas_ctl_flow, flags), 0, flow_flags, NULL},
	F(cc, "cc", "CC", "congestion control", TEXT),
	F(cwnd, "cwnd_bytes", "CWND", "congestion window", BYTES),
	F(ssthresh, "ssthresh_bytes", NULL, "slow start threshold", BYTES),
	F(inflight, "inflight_bytes", NULL, "in flight", BYTES),
	F(snd_wnd, "snd_wnd_bytes", NULL, "peer's window", BYTES),
	F(mss, "mss_bytes", NULL, "segment size", BYTES),
	F(rx_buf, "rx_buf_bytes", NULL, "receive buffer", BYTES),
	{"rate_kbps", "RATE", "rate (pace, or window per round trip)", KIND_KBPS,
		AT(tas_ctl_flow, pace_kbps), 0, NULL, flow_rate},
	F(srtt_us, "srtt_us", "RTT", "smoothed round trip", US),
	F(rttvar_us, "rttvar_us", NULL, "its variation", US),
	F(rto_us, "rto_us", NULL, "retransmission timeout", US),
	F(bytes_in, "bytes_in", "IN", "received", TRAFFIC),
	F(bytes_out, "bytes_out", "OUT", "sent", TRAFFIC),
	F(segs_in, "segs_in", "SEGIN", "segments received", COUNT),
	F(segs_out, "segs_out", "SEGOUT", "segments sent", COUNT),
	F(retrans, "retrans", "RETR", "segments retransmitted", COUNT),
	F(ooo_in, "ooo_in", "OOO", "segments out of order", COUNT),
	F(rx_queue, "rx_queue_bytes", "RXQ", "not read by the program", BYTES),
	F(tx_queue, "tx_queue_bytes", "TXQ", "not acknowledged by the peer", BYTES),
	F(age_ns, "age_ns", "AGE", "age", AGE),
};

#define L(field, json, head, label, k) COL(tas_ctl_listener, field, json, head, label, k)
static const struct column listener_columns[] = {
	L(id, "id", "ID", "listener", NUMBER),
	{NULL, "LOCAL", "local", KIND_ENDPOINT, AT(tas_ctl_listener, laddr),
		offsetof(struct tas_ctl_listener, lport), NULL, NULL},
	L(laddr, "local_address", NULL, NULL, ADDR),
	L(lport, "local_port", NULL, NULL, PORT),
	L(net, "net", NULL, "net", NUMBER),
	L(uid, "uid", "UID", "user", NUMBER),
	L(comm, "program", "PROGRAM", "program", TEXT),
	L(backlog, "backlog", "BACKLOG", "backlog", NUMBER),
	L(queued, "queued", "QUEUED", "waiting for accept()", NUMBER),
	L(half_open, "half_open", "HALF-OPEN", "handshakes", NUMBER),
	L(accepted, "accepted", "ACCEPTED", "accepted", COUNT),
	L(dropped, "dropped", "DROPPED", "dropped: queue full", COUNT),
	L(reuseport, "reuseport", NULL, "SO_REUSEPORT", NUMBER),
	L(nholders, "holders", "HOLDERS", "programs that hold it", NUMBER),
	L(app, "apps", NULL, NULL, IDS),
	L(pid, "pids", "PIDS", NULL, IDS),
};

#define A(field, json, head, label, k) COL(tas_ctl_app, field, json, head, label, k)
static const struct column app_columns[] = {
	A(id, "id", "ID", "program", NUMBER),
	A(pid, "pid", "PID", "process id", NUMBER),
	A(uid, "uid", "UID", "user when it joined", NUMBER),
	A(gid, "gid", NULL, "group when it joined", NUMBER),
	A(comm, "program", "PROGRAM", "name", TEXT),
	A(state, "state", "STATE", "state", TEXT),
	A(parent, "parent", NULL, "forked from", NUMBER),
	{"flags", "FLAGS", "flags", KIND_FLAGS, AT(tas_ctl_app, flags), 0, app_flags, NULL},
	A(flows, "flows", "FLOWS", "connections", NUMBER),
	A(listeners, "listeners", "LISTENERS", "listeners", NUMBER),
	A(accepted, "accepted", "ACCEPTED", "accepted", COUNT),
	A(connected, "connected", "CONNECTED", "connected", COUNT),
	A(memory, "memory_bytes", "MEMORY", "payload memory", BYTES),
	A(memory_max, "memory_max_bytes", "LIMIT", "its limit", BYTES),
	A(rx_memory, "rx_memory_bytes", "RX", "held for receiving", BYTES),
	A(refused, "refused", "REFUSED", "commands refused", COUNT),
	A(faults, "faults", "FAULTS", "entries of its memory refused", COUNT),
	A(explained, "explained", "EXPLAIN", "not through tas (tasctl app ID)", COUNT),
	A(slots, "slots", NULL, "socket slots", NUMBER),
	A(evqs, "event_queues", NULL, "event queues", NUMBER),
	A(age_ns, "age_ns", "AGE", "age", AGE),
};

#define C(field, json, head, label, k) COL(tas_ctl_core, field, json, head, label, k)
static const struct column core_columns[] = {
	C(core, "core", "CORE", "core", NUMBER),
	C(groups, "groups", "GROUPS", "flow groups", NUMBER),
	C(cpu, "cpu", "CPU", "pinned to CPU", SIGNED),
	C(node, "node", "NODE", "NUMA node of its memory", NUMBER),
	C(nodes, "nodes", NULL, "NUMA nodes of the machine", NUMBER),
	{"busy_share", "BUSY", "busy", KIND_SHARE, AT(tas_ctl_core, busy_ns), 0, NULL, NULL},
	{"asleep_share", "ASLEEP", "asleep", KIND_SHARE, AT(tas_ctl_core, sleep_ns), 0, NULL, NULL},
	C(busy_ns, "busy_ns", NULL, NULL, COUNT),
	C(sleep_ns, "sleep_ns", NULL, NULL, COUNT),
	C(loops, "loops", NULL, "rounds", COUNT),
	C(loops_busy, "loops_busy", NULL, "rounds with work", COUNT),
	C(sleeps, "sleeps", "SLEEPS", "times asleep", COUNT),
	C(rx_packets, "rx_packets", "RXPKT", "frames received", COUNT),
	C(rx_bytes, "rx_bytes", "RXBYTES", "received", TRAFFIC),
	C(rx_bursts, "rx_bursts", "BURSTS", "bursts received", COUNT),
	C(tx_packets, "tx_packets", "TXPKT", "frames sent", COUNT),
	C(tx_bytes, "tx_bytes", "TXBYTES", "sent", TRAFFIC),
	C(tx_acks, "tx_acks", NULL, "pure acknowledgements sent", COUNT),
	C(rx_payload, "rx_payload", NULL, "payload received", TRAFFIC),
	C(tx_payload, "tx_payload", NULL, "payload sent", TRAFFIC),
	C(tx_retrans, "tx_retrans", "RETR", "segments retransmitted", COUNT),
	C(app_rings, "app_rings", "RINGS", "rings of programs", COUNT),
	C(app_wakes, "app_wakes", "WAKES", "programs woken", COUNT),
	C(exceptions, "exceptions", "SLOWPATH", "frames for the slow path", COUNT),
};

#define R(field, json, head, k) COL(tas_ctl_counter, field, json, head, NULL, k)
static const struct column counter_columns[] = {
	R(value, "value", "COUNT", COUNT),
	R(unit, "unit", "UNIT", TEXT),
	R(name, "name", "NAME", TEXT),
	R(help, "help", "MEANING", TEXT),
};

#define X(field, json, head, label, k) COL(tas_ctl_explain, field, json, head, label, k)
static const struct column explain_columns[] = {
	X(app, "app", "ID", NULL, NUMBER),
	X(pid, "pid", "PID", NULL, NUMBER),
	X(comm, "program", "PROGRAM", NULL, TEXT),
	X(value, "value", "COUNT", NULL, COUNT),
	X(unit, "unit", "UNIT", NULL, TEXT),
	X(name, "name", "NAME", NULL, TEXT),
	X(help, "help", "MEANING", NULL, TEXT),
};

static uint64_t first_u32(const void *row, size_t offset)
{
	uint32_t v;

	memcpy(&v, (const char *)row + offset, sizeof(v));
	return v;
}

static uint64_t flow_key(const void *row)
{
	const struct tas_ctl_flow *f = row;

	return (uint64_t)f->id << 32 | f->gen;
}

static uint64_t listener_key(const void *row)
{
	return first_u32(row, offsetof(struct tas_ctl_listener, id));
}

static uint64_t app_key(const void *row)
{
	return first_u32(row, offsetof(struct tas_ctl_app, id));
}

static uint64_t core_key(const void *row)
{
	return first_u32(row, offsetof(struct tas_ctl_core, core));
}

/* FNV-1a, from `h`. */
static uint64_t hash_name(uint64_t h, const char *name, size_t size)
{
	size_t i;

	for (i = 0; i < size && name[i] != 0; i++)
		h = (h ^ (uint8_t)name[i]) * 0x100000001b3ull;
	return h;
}

/* Counters are told apart by name. */
static uint64_t counter_key(const void *row)
{
	const struct tas_ctl_counter *c = row;

	return hash_name(0xcbf29ce484222325ull, c->name, sizeof(c->name));
}

static uint64_t explain_key(const void *row)
{
	const struct tas_ctl_explain *x = row;

	return hash_name(0xcbf29ce484222325ull ^ (uint64_t)x->app << 32, x->name, sizeof(x->name));
}

#define TABLE(name, op, type, columns, key)                                                        \
	{                                                                                          \
		name, op, sizeof(struct type), columns, COUNT_OF(columns), key                     \
	}
const struct table table_flows =
	TABLE("flows", TAS_CTL_FLOWS, tas_ctl_flow, flow_columns, flow_key);
const struct table table_listeners =
	TABLE("listeners", TAS_CTL_LISTENERS, tas_ctl_listener, listener_columns, listener_key);
const struct table table_apps = TABLE("apps", TAS_CTL_APPS, tas_ctl_app, app_columns, app_key);
const struct table table_explain =
	TABLE("explain", TAS_CTL_EXPLAIN, tas_ctl_explain, explain_columns, explain_key);
const struct table table_cores =
	TABLE("cores", TAS_CTL_CORES, tas_ctl_core, core_columns, core_key);
const struct table table_reasons =
	TABLE("drops", TAS_CTL_COUNTERS, tas_ctl_counter, counter_columns, counter_key);
const struct table table_counters =
	TABLE("counters", TAS_CTL_COUNTERS, tas_ctl_counter, counter_columns, counter_key);

static uint64_t read_number(const void *at, uint16_t size)
{
	uint64_t u64;
	uint32_t u32;
	uint16_t u16;

	switch (size) {
	case 8:
		memcpy(&u64, at, 8);
		return u64;
	case 4:
		memcpy(&u32, at, 4);
		return u32;
	case 2:
		memcpy(&u16, at, 2);
		return u16;
	default:
		return 0;
	}
}

uint64_t column_number(const struct column *c, const void *row)
{
	if (c->get != NULL)
		return c->get(row);
	return read_number((const char *)row + c->offset, c->size);
}

int column_grows(const struct column *c)
{
	return c->kind == KIND_COUNT || c->kind == KIND_TRAFFIC || c->kind == KIND_SHARE;
}

int column_is_text(const struct column *c)
{
	return c->kind == KIND_TEXT || c->kind == KIND_ADDR || c->kind == KIND_ENDPOINT ||
	       c->kind == KIND_STATE || c->kind == KIND_FLAGS || c->kind == KIND_IDS ||
	       c->kind == KIND_FLOW;
}
