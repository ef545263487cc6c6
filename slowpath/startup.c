/*
 * startup.c - the steps of startup_order.h. Owner: slow path thread.
 */
#include "startup.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>
#include "app_internal.h"
#include "conn/internal.h"
#include "ctl/ctl_server.h"
#include "flowctl.h"
#include "host.h"
#include "net/internal.h"
#include "random.h"
#include "reap.h"
#include "round.h"
#include "startup_order.h"
#include "tap_address.h"

#define RESET_LIMIT_NS 1000000000ull /* flows that have not ended by then go with the cores */

/* ---- limits ---- */

static int start_limits(struct sp *sp)
{
	struct rlimit rl;

	(void)sp;
	if (getrlimit(RLIMIT_NOFILE, &rl) != 0)
		return sp_complain("start", "cannot read the descriptor limit", -errno);
	rl.rlim_cur = rl.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &rl) != 0)
		sp_warn("start", "cannot raise the descriptor limit error=%s", strerror(errno));
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return 0;
}

static void stop_limits(struct sp *sp)
{
	(void)sp;
}

/* ---- signals ---- */

static int start_signals(struct sp *sp)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	sp->signalfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return sp->signalfd < 0 ? sp_complain("start", "cannot watch signals", -errno) : 0;
}

static void stop_signals(struct sp *sp)
{
	close(sp->signalfd);
}

static void on_signal(struct sp *sp, struct sp_source *src, uint32_t events)
{
	struct signalfd_siginfo info;

	(void)events;
	if (read(src->fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	if (info.ssi_signo == SIGHUP) {
		sp_info("start", "SIGHUP ignored: options are read at start only");
		return;
	}
	sp_info("start", "stopping signal=%s", info.ssi_signo == SIGTERM ? "TERM" : "INT");
	sp_loop_stop(sp);
}

/* ---- identity ---- */

static int start_identity(struct sp *sp)
{
	sp->now_ns = fp_now_ns();
	sp->started_ns = sp->now_ns;
	sp->tick_ns = sp->now_ns;
	sp->started_s = time(NULL);
	sp->epoch = 1;
	sp->ncores = sp->conf.cores;
	sp_random(sp->boot_id, sizeof(sp->boot_id));
	return sp_complain("start", "cannot identify the network namespace",
		sp_netns_cookie(&sp->netns_cookie));
}

static void stop_identity(struct sp *sp)
{
	(void)sp;
}

/* ---- host ---- */

static int start_alone(struct sp *sp)
{
	return sp_host_alone(&sp->conf);
}

static void stop_alone(struct sp *sp)
{
	(void)sp;
}

static int start_ports(struct sp *sp)
{
	return sp_host_ports(&sp->conf);
}

static void stop_ports(struct sp *sp)
{
	(void)sp;
}

static int start_addresses(struct sp *sp)
{
	return sp_host_addresses(&sp->conf);
}

static void stop_addresses(struct sp *sp)
{
	(void)sp;
}

/* ---- loop ---- */

static int start_loop(struct sp *sp)
{
	int err = sp_loop_init(sp);

	if (err == 0)
		err = sp_loop_add(sp, &sp->signal_src, sp->signalfd, EPOLLIN, on_signal, NULL);
	return sp_complain("start", "cannot make the event loop", err);
}

static void stop_loop(struct sp *sp)
{
	sp_loop_free(sp);
}

/* ---- tables ---- */

static int start_conns(struct sp *sp)
{
	sp->listeners.max = sp->conf.max_listeners;
	return sp_complain("start", "cannot make the connection table",
		sp_conns_init(sp, sp->conf.max_flows, sp->conf.max_time_wait));
}

static void stop_conns(struct sp *sp)
{
	sp_flow_free(sp);
	sp_conns_free(sp);
}

/* ---- port ---- */

static int start_nic(struct sp *sp)
{
	struct nic_conf nc = {
		.device = sp->conf.port, .nqueues = sp->conf.cores, .mtu = (uint16_t)sp->conf.mtu};
	char fault[256];
	int err = sp_host_device(&sp->conf, fault, sizeof(fault));

	if (err == 0)
		err = sp_host_seen(&sp->conf, fault, sizeof(fault));
	if (err != 0) {
		sp_error("start", "%s", fault);
		return err;
	}
	err = nic_open(&nc, &sp->nic); /* says itself what is wrong, but for lack of memory */
	if (err == -ENOMEM)
		return sp_complain("nic", "cannot open the port", err);
	if (err != 0)
		return err;
	sp->caps = *nic_caps(sp->nic);
	return 0;
}

static void stop_nic(struct sp *sp)
{
	nic_close(sp->nic);
}

static int start_tap(struct sp *sp)
{
	char warning[256];

	if (sp_host_unreached(&sp->conf, warning, sizeof(warning)))
		sp_warn("start", "%s", warning);
	if (sp->conf.tap_address[0] == '\0')
		return 0;
	return sp_complain("nic", "cannot configure the kernel's side of the tap",
		sp_tap_address(sp->conf.port + strlen("tap:"), sp->conf.tap_address));
}

static void stop_tap(struct sp *sp)
{
	(void)sp;
}

/* ---- fast path ---- */

static int start_cores(struct sp *sp)
{
	struct fp_conf fc = {.ncores = sp->conf.cores,
		.max_flows = sp->conf.max_flows,
		.spin_us = sp->conf.spin_us,
		.nic = sp->nic,
		.rcvbuf_max = sp->conf.rcvbuf_max,
		.sndbuf_max = sp->conf.sndbuf_max,
		.min_rto_us = sp->conf.min_rto * 1000,
		.naddrs = sp->conf.addresses.n,
		.to_kernel = sp->conf.exception_tap[0] != '\0',
		.fault = {.seed = sp->conf.fault_seed,
			.where = sp->conf.fault_where,
			.drop = sp->conf.fault_drop,
			.duplicate = sp->conf.fault_duplicate,
			.reorder = sp->conf.fault_reorder,
			.corrupt = sp->conf.fault_corrupt}};
	uint8_t plen;
	uint32_t i;
	int err;

	for (i = 0; i < TAS_MAX_CORES; i++)
		fc.cpus[i] = i < sp->conf.cpus.n ? atoi(sp->conf.cpus.item[i]) : -1;
	for (i = 0; i < fc.naddrs; i++)
		sp_parse_prefix(sp->conf.addresses.item[i], fc.addrs[i], &plen);
	sp_random(fc.hash_key, sizeof(fc.hash_key));
	if (fc.fault.where != 0)
		sp_warn("start", "frames are harmed on purpose: options fault_* are for tests");
	if (sp_host_cpus(&sp->conf) != 0)
		return -EINVAL;
	err = fp_create(&fc, &sp->fp);
	if (err == -EAGAIN || err == -ENOSYS)
		sp_error("start", "the cores wake programs by asynchronous I/O: see fs.aio-max-nr");
	return sp_complain("start", "cannot make the fast path", err);
}

static void stop_cores(struct sp *sp)
{
	sp_listeners_free(sp);
	sp_apps_free(sp);
	sp_passing_free(sp);
	sp_reap_all(sp);
	fp_destroy(sp->fp);
}

static int start_net(struct sp *sp)
{
	return sp_complain("start", "cannot set up addresses and routes", sp_net_init(sp));
}

static void stop_net(struct sp *sp)
{
	sp_net_free(sp);
}

static int start_exception(struct sp *sp)
{
	return sp_complain("start", "cannot make the exception tap", sp_tap_open(sp));
}

static void stop_exception(struct sp *sp)
{
	sp_tap_close(sp);
}

static int start_sigbus(struct sp *sp)
{
	sp_sigbus_init(sp);
	return 0;
}

static void stop_sigbus(struct sp *sp)
{
	(void)sp;
	signal(SIGBUS, SIG_DFL);
}

static int start_threads(struct sp *sp)
{
	return sp_complain("start", "cannot start the cores", fp_start(sp->fp));
}

static void stop_threads(struct sp *sp)
{
	fp_stop(sp->fp);
}

static int start_announce(struct sp *sp)
{
	sp_arp_announce(sp);
	return 0;
}

static void stop_announce(struct sp *sp)
{
	(void)sp;
}

/* ---- doors ---- */

static int start_ctl(struct sp *sp)
{
	return sp_ctl_start(sp);
}

static void stop_ctl(struct sp *sp)
{
	sp_ctl_stop(sp);
}

static int start_apps(struct sp *sp)
{
	return sp_apps_init(sp);
}

static void stop_apps(struct sp *sp)
{
	sp_apps_close(sp);
}

/* ---- privileges ---- */

static int become(const struct passwd *pw)
{
	if (initgroups(pw->pw_name, pw->pw_gid) != 0 ||
		setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) != 0 ||
		setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) != 0)
		return -errno;
	return 0;
}

static int start_privileges(struct sp *sp)
{
	const struct passwd *pw;

	if (sp->conf.drop_user[0] == '\0')
		return 0;
	pw = getpwnam(sp->conf.drop_user);
	if (pw == NULL) {
		sp_error("start", "no such user drop_user=%s", sp->conf.drop_user);
		return -ENOENT;
	}
	return sp_complain("start", "cannot become drop_user", become(pw));
}

static void stop_privileges(struct sp *sp)
{
	(void)sp;
}

/* ---- ready ---- */

static void join_list(const struct sp_list *list, char *out, uint32_t len)
{
	uint32_t i, n = 0;

	out[0] = '\0';
	for (i = 0; i < list->n && n < len; i++)
		n += (uint32_t)snprintf(out + n, len - n, "%s%s", i > 0 ? "," : "", list->item[i]);
}

static int start_ready(struct sp *sp)
{
	const struct sp_config *c = &sp->conf;
	char addresses[512];

	join_list(&c->addresses, addresses, sizeof(addresses));
	sp_info("tas",
		"ready version=%s abi=%u.%u pid=%d port=%s addresses=%s mtu=%u cores=%u "
		"max_flows=%u max_programs=%u program_memory_max=%uMiB socket=%s",
		TAS_VERSION, TAS_ABI_MAJOR, TAS_ABI_MINOR, (int)getpid(), c->port, addresses,
		sp->caps.mtu, c->cores, c->max_flows, c->max_programs, c->program_memory_max,
		c->socket);
	sd_notify(0, "READY=1");
	return 0;
}

static void stop_ready(struct sp *sp)
{
	(void)sp;
	sd_notify(0, "STOPPING=1");
}

/* ---- all of it ---- */

struct step {
	const char *name;
	int (*start)(struct sp *sp);
	void (*stop)(struct sp *sp);
};

static const struct step steps[] = {
#define X(step, reason) {#step, start_##step, stop_##step},
	SP_STARTUP(X)
#undef X
};

#define NSTEPS (sizeof(steps) / sizeof(steps[0]))

static void undo(struct sp *sp, size_t n)
{
	while (n > 0)
		steps[--n].stop(sp);
}

int sp_start(struct sp *sp)
{
	size_t i;
	int err;

	for (i = 0; i < NSTEPS; i++) {
		err = steps[i].start(sp);
		if (err != 0) {
			undo(sp, i);
			return err;
		}
	}
	return 0;
}

static void reset_all(struct sp *sp)
{
	uint32_t cursor = 1;

	while (cursor <= sp->conns.conns.capacity) {
		struct sp_conn *c = sp_conn_next(sp, &cursor, UINT32_MAX);

		if (c != NULL)
			sp_conn_abort(sp, c, ECONNRESET);
	}
}

/* A program marked bad has its flows reset at once: nothing lingers. */
static void dismiss_all(struct sp *sp)
{
	uint32_t cursor = 1;
	struct sp_app *app;

	while ((app = sp_app_next(sp, &cursor)) != NULL) {
		struct fp_app *fa = sp_app_fp(sp, app);

		if (fa != NULL)
			tas_store(&fa->bad, 1);
		sp_app_leave(sp, app, "the service stops");
	}
}

void sp_stop(struct sp *sp)
{
	uint64_t until = fp_now_ns() + RESET_LIMIT_NS;

	sp_apps_close(sp);
	sp->apps.draining = 1;
	if (!sp->nic_dead) {
		reset_all(sp);
		dismiss_all(sp);
	}
	while (!sp->nic_dead && (sp->conns.nopen != 0 || sp->apps.count != 0) &&
		(sp->now_ns = fp_now_ns()) < until) {
		sp_round(sp);
		usleep(1000);
	}
	undo(sp, NSTEPS);
	sp_info("tas", "stopped");
}
