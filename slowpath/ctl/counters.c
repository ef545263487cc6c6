/*
 * counters.c - pages of counters: every row of include/tas/counters.h with its unit and help, and
 * the cores' figures.
 *
 * Owner: slow path thread; the cores' counters are read relaxed.
 */
#include "ctl/page.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include "group.h"
#include "place.h"
#include "sp.h"
#include "tas/atomic.h"

struct counter {
	const char *name, *unit, *help;
	size_t offset;
};

#define FP_ROW(n, u, h)	   {#n, u, h, offsetof(struct tas_fp_counters, n)},
#define SP_ROW(n, u, h)	   {#n, u, h, offsetof(struct tas_sp_counters, n)},
#define CHECK_ROW(n, u, h) CTL_ROW_FITS(struct tas_ctl_counter, n, u, h)

TAS_FP_COUNTERS(CHECK_ROW)
TAS_SP_COUNTERS(CHECK_ROW)

static const struct counter fp_rows[] = {TAS_FP_COUNTERS(FP_ROW)};
static const struct counter sp_rows[] = {TAS_SP_COUNTERS(SP_ROW)};

#define NFP (sizeof(fp_rows) / sizeof(fp_rows[0]))
#define NSP (sizeof(sp_rows) / sizeof(sp_rows[0]))

static uint64_t value_of(const void *counters, const struct counter *c)
{
	return tas_load((const uint64_t *)(const void *)((const char *)counters + c->offset));
}

/* A core that sleeps has not counted this sleep yet. */
static uint64_t value_now(struct sp *sp, uint32_t core, const void *base, const struct counter *c)
{
	if (core != TAS_CTL_SLOW_PATH && c->offset == offsetof(struct tas_fp_counters, sleep_ns))
		return fp_slept_ns(sp->fp, core);
	return value_of(base, c);
}

static int is_drop(const struct counter *c)
{
	return strncmp(c->name, "drop_", 5) == 0;
}

static int is_refusal(const struct counter *c)
{
	return strncmp(c->name, "refuse_", 7) == 0;
}

#define NAME_OF(set, n) (sizeof(((struct set *)0)->n) != 0 ? #n : "")

/* What any network brings along, or the end of a connection does, and nobody misses. */
static int is_noise(const struct counter *c)
{
	static const char *const names[] = {
		NAME_OF(tas_fp_counters, drop_ethertype),
		NAME_OF(tas_fp_counters, drop_not_for_us),
		NAME_OF(tas_fp_counters, drop_ip_proto),
		NAME_OF(tas_fp_counters, drop_bad_rst),
		NAME_OF(tas_fp_counters, drop_closed_data),
		NAME_OF(tas_fp_counters, drop_msg_flow),
		NAME_OF(tas_sp_counters, drop_stray),
		NAME_OF(tas_sp_counters, drop_icmp_bad),
		NAME_OF(tas_sp_counters, drop_icmp_rate),
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(names[i], c->name) == 0)
			return 1;
	}
	return 0;
}

/* Counter `index` in the order of the pages: core by core, then the slow path. NULL behind the
 * last. */
static const struct counter *counter_at(
	struct sp *sp, uint64_t index, uint32_t *core, const void **base)
{
	uint64_t nfp = (uint64_t)sp->ncores * NFP;

	if (index < nfp) {
		*core = (uint32_t)(index / NFP);
		*base = fp_counters(sp->fp, *core);
		return &fp_rows[index % NFP];
	}
	*core = TAS_CTL_SLOW_PATH;
	*base = &sp->cnt;
	return index - nfp < NSP ? &sp_rows[index - nfp] : NULL;
}

int ctl_page_counters(struct sp *sp, const struct tas_ctl_request *q, struct ctl_page *p)
{
	const struct counter *c;
	const void *base;
	uint64_t index;
	uint32_t core;

	for (index = q->cursor; (c = counter_at(sp, index, &core, &base)) != NULL; index++) {
		struct tas_ctl_counter *row = ctl_page_row(p, q);

		if (row == NULL) {
			p->head.next = index;
			return 0;
		}
		row->core = core;
		row->flags = is_drop(c) || is_refusal(c) ? TAS_CTL_C_REASON : 0;
		row->value = value_now(sp, core, base, c);
		strcpy(row->name, c->name);
		strcpy(row->unit, c->unit);
		strcpy(row->help, c->help);
		ctl_page_keep(p);
	}
	return 0;
}

void ctl_sum_reasons(struct sp *sp, uint64_t *drops, uint64_t *noise, uint64_t *refused)
{
	const struct counter *c;
	const void *base;
	uint64_t index;
	uint32_t core;

	*drops = *noise = *refused = 0;
	for (index = 0; (c = counter_at(sp, index, &core, &base)) != NULL; index++) {
		if (is_drop(c))
			*drops += value_of(base, c);
		if (is_noise(c))
			*noise += value_of(base, c);
		if (is_refusal(c))
			*refused += value_of(base, c);
	}
}

static void core_row(struct sp *sp, uint32_t core, struct tas_ctl_core *row)
{
	const struct tas_fp_counters *c = fp_counters(sp->fp, core);

	row->core = core;
	row->cpu = core < sp->conf.cpus.n ? atoi(sp->conf.cpus.item[core]) : -1;
	row->node = (uint32_t)fp_place_node(row->cpu);
	row->nodes = fp_place_nodes();
	row->now_ns = sp->now_ns;
#define COPY(name) row->name = tas_load(&c->name)
	COPY(busy_ns);
	COPY(loops);
	COPY(loops_busy);
	COPY(sleeps);
	COPY(rx_packets);
	COPY(rx_bytes);
	COPY(rx_bursts);
	COPY(tx_packets);
	COPY(tx_bytes);
	COPY(tx_acks);
	COPY(rx_payload);
	COPY(tx_payload);
	COPY(tx_retrans);
	COPY(app_rings);
	COPY(app_wakes);
	COPY(exceptions);
#undef COPY
	row->sleep_ns = fp_slept_ns(sp->fp, core);
	row->groups = sp_groups_of(sp, core);
}

int ctl_page_cores(struct sp *sp, const struct tas_ctl_request *q, struct ctl_page *p)
{
	uint64_t core;

	for (core = q->cursor; core < sp->ncores; core++) {
		struct tas_ctl_core *row = ctl_page_row(p, q);

		if (row == NULL) {
			p->head.next = core;
			return 0;
		}
		core_row(sp, (uint32_t)core, row);
		ctl_page_keep(p);
	}
	return 0;
}
