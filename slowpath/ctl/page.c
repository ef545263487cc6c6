/*
 * page.c - pages of programs, listeners and the service as a whole.
 *
 * Owner: slow path thread.
 */
#include "ctl/page.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "sp.h"

void *ctl_page_row(struct ctl_page *p, const struct tas_ctl_request *q)
{
	uint64_t at = (uint64_t)p->head.nrows * p->head.row_bytes;

	if (at + p->head.row_bytes > sizeof(p->rows) ||
		(q->limit != 0 && p->head.nrows >= q->limit))
		return NULL;
	memset(p->rows + at, 0, p->head.row_bytes);
	return p->rows + at;
}

void ctl_page_keep(struct ctl_page *p)
{
	p->head.nrows++;
}

void ctl_copy_text(char *to, size_t size, const char *from)
{
	size_t n = strnlen(from, size - 1);

	memcpy(to, from, n);
	memset(to + n, 0, size - n);
}

int ctl_page_hello(struct sp *sp, const struct tas_ctl_request *q, struct ctl_page *p)
{
	struct tas_ctl_status *s = ctl_page_row(p, q);

	if (s == NULL)
		return -EMSGSIZE;
	ctl_copy_text(s->version, sizeof(s->version), TAS_VERSION);
	s->abi_major = TAS_ABI_MAJOR;
	s->abi_minor = TAS_ABI_MINOR;
	s->ctl_version = TAS_CTL_VERSION;
	s->pid = (uint32_t)getpid();
	memcpy(s->boot_id, sp->boot_id, sizeof(s->boot_id));
	s->epoch = sp->epoch;
	ctl_page_keep(p);
	return 0;
}

static void status_limits(struct sp *sp, struct tas_ctl_status *s)
{
	s->flows = sp->conns.nopen;
	s->flows_max = sp->conns.conns.capacity;
	s->half_open = sp->conns.nhalf;
	s->half_open_max = sp->conns.half_max;
	s->time_wait = sp_arena_used(&sp->conns.tws);
	s->time_wait_max = sp->conns.tw_max;
	s->listeners = sp->listeners.count;
	s->listeners_max = sp->listeners.max;
	s->apps = sp->apps.count;
	s->apps_max = sp->apps.max;
	s->flow_memory =
		sizeof(struct fp_flow) + sizeof(struct fp_flow_cold) + sizeof(struct sp_conn);
}

static void status_addresses(struct sp *sp, struct tas_ctl_status *s)
{
	uint32_t i;

	s->naddrs = sp->net.naddrs;
	s->nroutes = sp->net.nroutes;
	for (i = 0; i < sp->net.naddrs && i < TAS_CTL_ADDRS; i++) {
		memcpy(s->addrs[i].addr, sp->net.addrs[i].addr, 16);
		s->addrs[i].plen = sp->net.addrs[i].plen;
		s->addrs[i].net = sp->net.addrs[i].net;
	}
}

int ctl_page_status(struct sp *sp, const struct tas_ctl_request *q, struct ctl_page *p)
{
	struct tas_ctl_status *s = (struct tas_ctl_status *)(void *)p->rows;
	uint32_t cursor = 1;
	struct sp_app *a;

	if (ctl_page_hello(sp, q, p) != 0)
		return -EMSGSIZE;
	s->started_s = sp->started_s;
	s->uptime_ns = sp->now_ns - sp->started_ns;
	s->flags = (sp->apps.draining ? TAS_CTL_ST_DRAINING : 0) |
		   (sp->nic_dead ? TAS_CTL_ST_NIC_DEAD : 0) | (sp->caps.tso ? TAS_CTL_ST_TSO : 0);
	ctl_copy_text(s->device, sizeof(s->device), sp->conf.port);
	ctl_copy_text(s->cc, sizeof(s->cc), sp->conf.cc);
	memcpy(s->mac, sp->net.mac, sizeof(s->mac));
	s->mtu = sp->net.mtu;
	s->ncores = sp->ncores;
	status_limits(sp, s);
	status_addresses(sp, s);
	while ((a = sp_app_next(sp, &cursor)) != NULL)
		s->memory += a->seg_bytes;
	s->established = sp->cnt.conn_established;
	s->failed = sp->cnt.conn_failed;
	s->reset_in = sp->cnt.conn_reset_in;
	s->reset_out = sp->cnt.conn_reset_out;
	s->timeouts = sp->cnt.conn_timeout;
	ctl_sum_reasons(sp, &s->drops, &s->noise, &s->refused);
	return 0;
}

int ctl_app_matches(const struct tas_ctl_filter *f, const struct sp_app *a)
{
	if (f->mask & TAS_CTL_BY_PID && f->pid != a->pid)
		return 0;
	return !(f->mask & TAS_CTL_BY_APP && f->app != a->id);
}

static void app_memory(struct sp *sp, const struct sp_app *a, struct tas_ctl_app *row)
{
	const struct fp_app *fa = sp_app_fp(sp, a);

	row->memory = a->seg_bytes;
	if (fa == NULL)
		return;
	row->memory_max = (uint64_t)fa->nsegs_max * TAS_SEG_BYTES;
	row->rx_memory = tas_load(&fa->rx_chunks) * TAS_CHUNK_BYTES;
	row->faults = tas_load(&fa->faults);
	row->slots = fa->nslots;
	row->evqs = fa->nevq;
	if (tas_load(&fa->bad))
		row->flags |= TAS_CTL_A_BAD;
}

static void app_row(struct sp *sp, const struct sp_app *a, struct tas_ctl_app *row)
{
	row->id = a->id;
	row->pid = a->pid;
	row->uid = a->uid;
	row->gid = a->gid;
	row->parent = a->parent;
	row->flags = a->bad ? TAS_CTL_A_BAD : 0;
	row->listeners = a->nlisteners;
	row->flows = a->nconns;
	row->age_ns = sp->now_ns - a->joined_ns;
	row->accepted = a->accepted;
	row->connected = a->connected;
	row->refused = a->refused;
	ctl_copy_text(row->comm, sizeof(row->comm), a->comm);
	ctl_copy_text(row->state, sizeof(row->state), sp_app_state_name(a));
	row->explained = ctl_explain_sum(sp, a);
	app_memory(sp, a, row);
}

int ctl_page_apps(struct sp *sp, const struct tas_ctl_request *q, struct ctl_page *p)
{
	uint32_t cursor = q->cursor > FP_MAX_APPS ? FP_MAX_APPS : (uint32_t)q->cursor, at;
	struct sp_app *a;

	if (cursor == 0)
		cursor = 1;
	for (at = cursor; (a = sp_app_next(sp, &cursor)) != NULL; at = cursor) {
		struct tas_ctl_app *row;

		if (!ctl_app_matches(&q->filter, a))
			continue;
		row = ctl_page_row(p, q);
		if (row == NULL) {
			p->head.next = at;
			return 0;
		}
		app_row(sp, a, row);
		ctl_page_keep(p);
	}
	return 0;
}

static int listener_matches(
	struct sp *sp, const struct tas_ctl_filter *f, const struct sp_listener *l)
{
	uint32_t i;

	if (f->mask & TAS_CTL_BY_PORT && f->port != l->lport)
		return 0;
	if (f->mask & TAS_CTL_BY_ADDR && memcmp(f->addr, l->laddr, 16) != 0)
		return 0;
	if (f->mask & TAS_CTL_BY_NET && f->net != l->net)
		return 0;
	if (!(f->mask & (TAS_CTL_BY_PID | TAS_CTL_BY_APP)))
		return 1;
	for (i = 0; i < TAS_LISTEN_HOLDERS; i++) {
		const struct sp_app *a = l->holder[i] ? sp_app_get(sp, l->holder[i]) : NULL;

		if (a != NULL && ctl_app_matches(f, a))
			return 1;
	}
	return 0;
}

/* In the order of process ids, as an operator looks for one. */
static void insert_holder(struct tas_ctl_listener *row, uint32_t n, const struct sp_app *a)
{
	for (; n > 0 && row->pid[n - 1] > a->pid; n--) {
		row->pid[n] = row->pid[n - 1];
		row->app[n] = row->app[n - 1];
	}
	row->pid[n] = a->pid;
	row->app[n] = a->id;
}

static void listener_holders(
	struct sp *sp, const struct sp_listener *l, struct tas_ctl_listener *row)
{
	uint32_t i, n = 0;

	for (i = 0; i < TAS_LISTEN_HOLDERS && n < TAS_CTL_HOLDERS; i++) {
		const struct sp_app *a = l->holder[i] ? sp_app_get(sp, l->holder[i]) : NULL;

		if (a == NULL)
			continue;
		if (n == 0)
			ctl_copy_text(row->comm, sizeof(row->comm), a->comm);
		insert_holder(row, n++, a);
	}
}

static void listener_row(struct sp *sp, const struct sp_listener *l, struct tas_ctl_listener *row)
{
	memcpy(row->laddr, l->laddr, 16);
	row->lport = l->lport;
	row->net = l->net;
	row->id = l->id;
	row->uid = l->uid;
	row->backlog = l->backlog;
	row->queued = l->nqueued;
	row->half_open = l->nhalf;
	row->reuseport = l->reuseport;
	row->nholders = l->nholders;
	row->accepted = l->accepted;
	row->dropped = l->dropped;
	listener_holders(sp, l, row);
}

int ctl_page_listeners(struct sp *sp, const struct tas_ctl_request *q, struct ctl_page *p)
{
	uint32_t cursor = q->cursor > FP_MAX_LISTENERS ? FP_MAX_LISTENERS : (uint32_t)q->cursor, at;
	struct sp_listener *l;

	if (cursor == 0)
		cursor = 1;
	for (at = cursor; (l = sp_listener_next(sp, &cursor)) != NULL; at = cursor) {
		struct tas_ctl_listener *row;

		if (!listener_matches(sp, &q->filter, l))
			continue;
		row = ctl_page_row(p, q);
		if (row == NULL) {
			p->head.next = at;
			return 0;
		}
		listener_row(sp, l, row);
		ctl_page_keep(p);
	}
	return 0;
}
