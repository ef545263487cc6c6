/*
 * The engine with its own threads on a real tap, the host's kernel as the peer: in a network
 * namespace of its own, with a program thread that sleeps on its event queue and a minimal slow
 * path that only shakes hands.
 *
 * What is looked for: lost wake-ups in either direction (a stuck read ends the test), wrong bytes,
 * steering.
 */
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <atomic>
#include <random>
#include <thread>
#include "engine.h"

namespace
{

constexpr uint32_t kLocal = 0x0200090a; /* 10.9.0.2, ours */
constexpr int kHangSeconds = 60;	/* nothing takes nearly as long unless it is stuck */

bool own_namespace(std::string *why)
{
	if (unshare(CLONE_NEWNET) != 0) {
		*why = std::string("unshare: ") + strerror(errno);
		return false;
	}
	if (access("/dev/net/tun", R_OK | W_OK) != 0) {
		*why = std::string("/dev/net/tun: ") + strerror(errno);
		return false;
	}
	return true;
}

/* A program whose one thread echoes; slots are handed to it by the mini slow path. */
struct EchoProgram {
	struct fp *fp;
	struct fp_app *app;
	tas_region *r;
	std::vector<uint32_t> tx_pool;
	std::atomic<bool> stop{false};
	std::thread thread;
	std::atomic<uint64_t> slept{0};
	std::string fault;

	struct Sock {
		uint64_t read = 0, written = 0, tx_base = 0;
		uint32_t rx_chunk = TAS_CHUNK_NONE;
		std::vector<uint32_t> tx;
		bool shut = false;
	};
	std::vector<Sock> socks;
};

void *map_shared(uint64_t n)
{
	void *p = mmap(nullptr, n, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? nullptr : p;
}

class TapWorld : public testing::Test
{
      protected:
	struct nic *port = nullptr;
	struct fp *fp = nullptr;
	std::unique_ptr<EchoProgram> prog;
	std::thread slow;
	std::atomic<bool> stop{false};
	std::atomic<uint32_t> installed{0}, closed{0};
	uint8_t kernel_mac[6];
	uint32_t next_flow = 1, *slot_flow = nullptr, *rx_next = nullptr;
	static constexpr uint32_t kSlots = 256;

	void open(uint32_t ncores)
	{
		nic_conf nc;
		fp_conf conf;
		std::string why;
		char cmd[200];

		if (!own_namespace(&why))
			GTEST_SKIP() << why;
		memset(&nc, 0, sizeof(nc));
		nc.device = "tap:tas-t0";
		nc.nqueues = ncores;
		ASSERT_EQ(nic_open(&nc, &port), 0);
		const uint8_t *m = nic_caps(port)->mac;
		snprintf(cmd, sizeof(cmd),
			"ip addr add 10.9.0.1/24 dev tas-t0 && "
			"ip neigh add 10.9.0.2 lladdr %02x:%02x:%02x:%02x:%02x:%02x dev tas-t0",
			m[0], m[1], m[2], m[3], m[4], m[5]);
		ASSERT_EQ(system(cmd), 0);
		FILE *f = fopen("/sys/class/net/tas-t0/address", "r");
		if (f)
			fclose(f); /* the namespace's sysfs is not mounted: the address is learned
				      from frames */
		memset(&conf, 0, sizeof(conf));
		conf.ncores = ncores;
		for (uint32_t i = 0; i < ncores; i++)
			conf.cpus[i] = -1;
		conf.max_flows = 500;
		conf.spin_us = 20;
		conf.nic = port;
		conf.rcvbuf_max = conf.sndbuf_max = 1u << 20;
		conf.min_rto_us = 200000;
		conf.naddrs = 1;
		tas_addr_from_v4(conf.addrs[0], kLocal);
		ASSERT_EQ(fp_create(&conf, &fp), 0);
		make_program();
		ASSERT_EQ(fp_start(fp), 0);
		slow = std::thread([this] { slow_path(); });
		prog->thread = std::thread([this] { echo(); });
	}

	/* Everybody comes to rest, so that counters may be read. */
	void finish()
	{
		uint64_t one = 1;

		if (!fp || stop)
			return;
		stop = true;
		slow.join();
		prog->stop = true;
		EXPECT_EQ(write(prog->app->evq_fd[0], &one, 8), 8);
		prog->thread.join();
		EXPECT_EQ(prog->fault, "");
		EXPECT_FALSE(prog->app->bad);
		fp_stop(fp);
	}

	void TearDown() override
	{
		finish();
		fp_destroy(fp);
		free(slot_flow);
		free(rx_next);
		nic_close(port);
	}

	void make_program()
	{
		prog.reset(new EchoProgram);
		struct fp_app *a = prog->app = fp_app(fp, 1);
		uint64_t at = 4096;
		auto place = [&](uint64_t n) {
			uint64_t here = at;

			at += (n + 4095) & ~4095ull;
			return here;
		};

		a->id = 1;
		a->nslots = kSlots;
		a->ncores = fp_ncores(fp);
		a->nevq = 1;
		a->nsegs_max = 8;
		a->bell_bytes = tas_bell_size(kSlots);
		a->off_slots = place(kSlots * sizeof(tas_sock));
		a->off_tobells = place(a->bell_bytes * a->ncores);
		a->off_evqs = place(a->bell_bytes);
		a->off_rxnext = place(a->nsegs_max * TAS_SEG_CHUNKS * 4);
		a->off_txnext = place(a->nsegs_max * TAS_SEG_CHUNKS * 4);
		a->off_offer = place(a->nsegs_max * TAS_SEG_CHUNKS / 8);
		a->region = prog->r = (tas_region *)map_shared(at);
		a->info = (tas_info *)map_shared(sizeof(tas_info));
		for (uint32_t i = 0; i < a->nsegs_max; i++)
			a->seg[i] = (uint8_t *)map_shared(TAS_SEG_BYTES);
		a->nsegs = a->nsegs_max;
		for (uint32_t i = 0; i < a->ncores; i++)
			a->core_fd[i] = eventfd(0, EFD_NONBLOCK);
		for (auto &fd : a->evq_fd)
			fd = -1;
		a->evq_fd[0] = eventfd(0, EFD_NONBLOCK);
		a->slot_flow = slot_flow = (uint32_t *)calloc(kSlots, 4);
		a->rx_next = rx_next = (uint32_t *)calloc(a->nsegs_max * TAS_SEG_CHUNKS, 4);
		for (uint32_t c = a->nsegs_max * TAS_SEG_CHUNKS; c-- > 4 * TAS_SEG_CHUNKS;)
			prog->tx_pool.push_back(c);
		prog->socks.resize(kSlots);
		for (uint32_t i = 0; i < a->ncores; i++) {
			sp_msg m;

			memset(&m, 0, sizeof(m));
			m.type = SP_APP_ADD;
			m.id = 1;
			ASSERT_EQ(fp_send(fp, i, &m), 0);
		}
	}

	/* Shakes hands; a flow is installed straight into a slot. */
	void slow_path()
	{
		std::unique_ptr<fp_exc> x(new fp_exc);
		fp_event ev;

		while (!stop) {
			bool any = false;

			while (fp_exc_next(fp, x.get())) {
				exception(*x);
				any = true;
			}
			while (fp_event_next(fp, &ev)) {
				closed += ev.type == FP_EV_CLOSED;
				any = true;
			}
			if (any || fp_prepare_sleep(fp)) {
				fp_wake_done(fp);
				continue;
			}
			pollfd p = {fp_event_fd(fp), POLLIN, 0};
			poll(&p, 1, 100);
			fp_wake_done(fp);
		}
	}

	void exception(const fp_exc &x)
	{
		seg s;

		if (wire_parse(x.data, x.cap, 0, 1, &s) != WIRE_TCP)
			return;
		memcpy(kernel_mac, x.data + 6, 6);
		if (s.flags & TCP_SYN)
			answer_syn(s);
		else if (s.flags & TCP_ACK && !(s.flags & TCP_RST))
			install(s, x);
	}

	static uint32_t iss_of(const seg &s)
	{
		return 0xfffffff0u + s.tuple.rport;
	}

	void answer_syn(const seg &s)
	{
		nic_txpkt p;
		wire_tcp h;

		memset(&p, 0, sizeof(p));
		memset(&h, 0, sizeof(h));
		h.lport = s.tuple.lport;
		h.rport = s.tuple.rport;
		h.seq = iss_of(s);
		h.ack = s.seq + 1;
		h.wnd = 65535;
		h.flags = TCP_SYN | TCP_ACK;
		h.mss = 1460;
		h.wscale = 7;
		h.sack_ok = 1;
		h.has_ts = s.has_ts;
		h.ts_val = (uint32_t)(fp_now_ns() / 1000000);
		h.ts_ecr = s.ts_val;
		wire_eth_emit(p.hdr, nic_caps(port)->mac, kernel_mac, WIRE_ETH_IP4);
		uint32_t hl = wire_tcp_emit(p.hdr + 34, &h);
		wire_ip4_emit(p.hdr + 14, tas_addr_v4(s.tuple.laddr), tas_addr_v4(s.tuple.raddr), 6,
			(uint16_t)(20 + hl), 0, 0, 64);
		p.hdr_len = (uint16_t)(34 + hl);
		p.csum_start = 34;
		p.csum_offset = 16;
		EXPECT_EQ(fp_tx_frame(fp, &p), 0);
	}

	std::set<uint16_t> known;

	void install(const seg &s, const fp_exc &x)
	{
		uint64_t mac = 0;
		sp_msg m;

		if (!known.insert(s.tuple.rport).second || next_flow >= kSlots)
			return;
		for (int i = 0; i < 6; i++)
			mac |= (uint64_t)kernel_mac[i] << (8 * i);
		fp_neigh_set(fp, 1, FP_NEIGH_VALID | mac);
		memset(&m, 0, sizeof(m));
		m.type = SP_FLOW_INSTALL;
		m.id = next_flow;
		m.gen = next_flow;
		fp_flow_init &in = m.u.install;
		in.tuple = s.tuple;
		in.gen = next_flow;
		in.iss = iss_of(s);
		in.irs = s.seq - 1;
		in.snd_wnd = (uint32_t)s.wnd << 7;
		in.ts_recent = s.ts_val;
		in.rcv_adv = s.seq + 65535;
		in.mss = s.has_ts ? 1448 : 1460;
		in.snd_wscale = in.rcv_wscale = 7;
		in.has_ts = s.has_ts;
		in.has_sack = 1;
		in.neigh = 1;
		in.app = 1;
		in.slot = next_flow;
		in.cc.growth = 1460;
		uint32_t core = fp_core_of(fp, &s.tuple);
		EXPECT_EQ(fp_send(fp, core, &m), 0);
		next_flow++;
		installed++;
		/* The frame itself may carry data. */
		sp_msg fr;
		memset(&fr, 0, sizeof(fr));
		fr.type = SP_FRAME;
		fr.u.frame.len = x.cap;
		void *copy = malloc(x.cap);
		memcpy(copy, x.data, x.cap);
		fr.u.frame.data = (uint64_t)copy;
		EXPECT_EQ(fp_send(fp, core, &fr), 0);
	}

	/* The program. */

	tas_sock &sock(uint32_t slot)
	{
		return *fp_slot_sock(prog->app, slot);
	}

	void ring(uint32_t slot)
	{
		uint32_t core = tas_load(&sock(slot).core);
		uint64_t one = 1;

		tas_bell_ring(tas_region_bell(
				      prog->r, prog->app->off_tobells, prog->app->bell_bytes, core),
			slot);
		if (tas_load(&prog->app->info->core[core].sleeping) &&
			write(prog->app->core_fd[core], &one, 8) != 8)
			prog->fault = "eventfd";
	}

	void offer()
	{
		uint64_t *map = (uint64_t *)((char *)prog->r + prog->app->off_offer);
		uint32_t given = prog->r->rx_offered;

		while ((int32_t)(tas_load(&prog->r->rx_wanted) - given) > 0 &&
			given < 4 * TAS_SEG_CHUNKS) {
			tas_fetch_or(&map[given / 64], 1ull << (given % 64));
			tas_store_rel(&prog->r->rx_offered, ++given);
		}
	}

	void reclaim(uint32_t slot)
	{
		EchoProgram::Sock &k = prog->socks[slot];
		uint64_t una = tas_load_acq(&sock(slot).tx_una);

		while (!k.tx.empty() && (k.tx_base + TAS_CHUNK_BYTES <= una || una == k.written)) {
			prog->tx_pool.push_back(k.tx.front());
			k.tx.erase(k.tx.begin());
			k.tx_base += TAS_CHUNK_BYTES;
		}
	}

	bool write_byte_place(uint32_t slot, uint32_t off)
	{
		EchoProgram::Sock &k = prog->socks[slot];
		tas_sock &s = sock(slot);
		uint32_t c;

		if (!k.tx.empty() && off != 0)
			return true;
		if (prog->tx_pool.empty())
			return false;
		c = prog->tx_pool.back();
		prog->tx_pool.pop_back();
		if (k.tx.empty()) {
			k.tx_base = k.written & ~(uint64_t)TAS_CHUNK_MASK;
			tas_store(&s.tx_first_chunk, c);
			tas_store(&s.tx_first_pos, k.written);
		} else {
			tas_store(
				(uint32_t *)((char *)prog->r + prog->app->off_txnext) + k.tx.back(),
				c);
		}
		k.tx.push_back(c);
		return true;
	}

	/* Copies what has come to what goes out; true when something moved. */
	bool pump(uint32_t slot)
	{
		EchoProgram::Sock &k = prog->socks[slot];
		tas_sock &s = sock(slot);
		uint64_t head, limit;
		bool moved = false;

		if (tas_load_acq(&s.gen) != slot)
			return false;
		reclaim(slot);
		head = tas_load_acq(&s.rx_head);
		limit = tas_load_acq(&s.tx_limit);
		while (k.read < head && k.written < limit) {
			uint32_t ro = (uint32_t)(k.read & TAS_CHUNK_MASK),
				 wo = (uint32_t)(k.written & TAS_CHUNK_MASK);
			uint64_t n = std::min({(uint64_t)TAS_CHUNK_BYTES - ro,
				(uint64_t)TAS_CHUNK_BYTES - wo, head - k.read, limit - k.written});

			if (tas_load(&s.rx_first_pos) == k.read)
				k.rx_chunk = tas_load(&s.rx_first_chunk);
			else if (ro == 0)
				k.rx_chunk = tas_load(
					(uint32_t *)((char *)prog->r + prog->app->off_rxnext) +
					k.rx_chunk);
			if (!write_byte_place(slot, wo))
				break;
			memcpy(fp_chunk_mem(prog->app, k.tx.back()) + wo,
				fp_chunk_mem(prog->app, k.rx_chunk) + ro, n);
			k.read += n;
			k.written += n;
			moved = true;
		}
		if (moved) {
			tas_store_rel(&s.rx_tail, k.read);
			tas_store_rel(&s.tx_head, k.written);
		}
		if ((tas_load_acq(&s.state) & TAS_SOCK_RX_FIN) &&
			k.read == tas_load_acq(&s.rx_head) && !k.shut) {
			k.shut = moved = true;
			tas_store_rel(&s.want, TAS_SOCK_SHUT_WR | TAS_SOCK_CLOSED);
		}
		if (k.read < head && !k.shut) {
			tas_store(&s.tx_wait, 1u);
			tas_full_barrier();
			if (!moved && tas_load_acq(&s.tx_limit) == limit) {
				ring(slot);
				return false;
			}
			ring(slot);
			return true;
		}
		if (moved)
			ring(slot);
		return moved;
	}

	void echo()
	{
		tas_bell *bell =
			tas_region_bell(prog->r, prog->app->off_evqs, prog->app->bell_bytes, 0);
		uint32_t cursor = 0, first;
		uint64_t count;

		while (!prog->stop) {
			offer();
			uint64_t bits = tas_bell_take(bell, kSlots, &cursor, &first);
			for (uint64_t b = bits; b; b &= b - 1)
				while (pump(first + (uint32_t)__builtin_ctzll(b)))
					;
			if (bits)
				continue;
			tas_store(&bell->sleeping, 1u);
			tas_full_barrier();
			if (tas_bell_pending(bell) ||
				(int32_t)(tas_load(&prog->r->rx_wanted) - prog->r->rx_offered) > 0)
				if (prog->r->rx_offered < 4 * TAS_SEG_CHUNKS ||
					tas_bell_pending(bell)) {
					tas_store(&bell->sleeping, 0u);
					continue;
				}
			prog->slept++;
			pollfd p = {prog->app->evq_fd[0], POLLIN, 0};
			if (poll(&p, 1, 2 * kHangSeconds * 1000) == 0)
				prog->fault = "nothing for two minutes";
			if (read(prog->app->evq_fd[0], &count, 8) != 8)
				prog->fault = "eventfd";
		}
	}

	/* The kernel's side. */

	int dial()
	{
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
		timeval tv = {kHangSeconds, 0};
		sockaddr_in to = {};

		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
		to.sin_family = AF_INET;
		to.sin_addr.s_addr = kLocal;
		to.sin_port = htons(7);
		EXPECT_EQ(connect(fd, (sockaddr *)&to, sizeof(to)), 0) << strerror(errno);
		return fd;
	}

	static bool read_full(int fd, uint8_t *buf, size_t len)
	{
		for (size_t at = 0; at < len;) {
			ssize_t n = recv(fd, buf + at, len - at, 0);

			if (n <= 0)
				return false;
			at += (size_t)n;
		}
		return true;
	}

	void rpcs(int count, uint32_t seed)
	{
		int fd = dial();
		std::mt19937 rng(seed);
		uint8_t out[4000], in[4000];

		for (int i = 0; i < count; i++) {
			size_t len = 1 + rng() % (i % 50 == 0 ? sizeof(out) : 100);

			for (size_t k = 0; k < len; k++)
				out[k] = (uint8_t)rng();
			/* Long enough for everybody to fall asleep, now and then. */
			if (i % 64 == 0)
				usleep(rng() % 3000);
			ASSERT_EQ(send(fd, out, len, 0), (ssize_t)len);
			ASSERT_TRUE(read_full(fd, in, len))
				<< "rpc " << i << ": " << strerror(errno);
			ASSERT_EQ(memcmp(in, out, len), 0);
		}
		close(fd);
	}

	void bulk(uint64_t bytes, uint32_t seed)
	{
		int fd = dial();
		std::thread writer([&] {
			std::vector<uint8_t> b(70000);

			for (uint64_t at = 0; at < bytes;) {
				size_t n = (size_t)std::min<uint64_t>(b.size(), bytes - at);

				for (size_t i = 0; i < n; i++)
					b[i] = pattern(seed, at + i);
				ssize_t w = send(fd, b.data(), n, 0);
				ASSERT_GT(w, 0) << strerror(errno);
				at += (uint64_t)w;
			}
			shutdown(fd, SHUT_WR);
		});
		std::vector<uint8_t> b(70000);
		uint64_t at = 0, bad = 0;
		ssize_t n;

		while ((n = recv(fd, b.data(), b.size(), 0)) > 0)
			for (ssize_t i = 0; i < n; i++, at++)
				bad += b[(size_t)i] != pattern(seed, at);
		EXPECT_EQ(n, 0) << strerror(errno);
		EXPECT_EQ(at, bytes);
		EXPECT_EQ(bad, 0u);
		writer.join();
		close(fd);
	}

	uint64_t total(uint64_t tas_fp_counters::*field)
	{
		uint64_t sum = 0;

		for (uint32_t i = 0; i < fp_ncores(fp); i++)
			sum += fp_counters(fp, i)->*field;
		return sum;
	}
};

TEST_F(TapWorld, OneConnectionOfSmallRequests)
{
	open(1);
	if (IsSkipped() || HasFatalFailure())
		return;
	rpcs(5000, 1);
	finish();
	EXPECT_GT(total(&tas_fp_counters::sleeps), 0u) << "an idle core sleeps";
	EXPECT_GT(prog->slept.load(), 0u);
}

TEST_F(TapWorld, ManyConnectionsOfSmallRequestsOnTwoCores)
{
	open(2);
	if (IsSkipped() || HasFatalFailure())
		return;
	std::vector<std::thread> t;

	for (uint32_t i = 0; i < 12; i++)
		t.emplace_back([this, i] { rpcs(600, i); });
	for (auto &x : t)
		x.join();
	finish();
	EXPECT_EQ(installed, 12u);
	EXPECT_GT(fp_counters(fp, 0)->rx_packets, 0u);
	EXPECT_GT(fp_counters(fp, 1)->rx_packets, 0u);
	/* ARP and such come anywhere; flows come where steer.c says. */
	EXPECT_EQ(total(&tas_fp_counters::rx_forwarded), 0u)
		<< "the eBPF program agrees with steer.c";
	EXPECT_EQ(total(&tas_fp_counters::drop_forward), 0u);
}

TEST_F(TapWorld, BulkBothWays)
{
	open(2);
	if (IsSkipped() || HasFatalFailure())
		return;
	std::vector<std::thread> t;

	for (uint32_t i = 0; i < 3; i++)
		t.emplace_back([this, i] { bulk(30000000, i); });
	for (auto &x : t)
		x.join();
	for (int i = 0; i < 500 && closed < 3; i++)
		usleep(10000);
	finish();
	EXPECT_EQ(closed, 3u);
	EXPECT_LT(total(&tas_fp_counters::tx_packets), 200000u) << "large frames go out";
	EXPECT_EQ(total(&tas_fp_counters::drop_tx_error), 0u);
	EXPECT_EQ(total(&tas_fp_counters::drop_tcp_checksum), 0u);
}

TEST(Tap, NameInUseIsRefused)
{
	std::string why;
	struct nic *a = nullptr, *b = nullptr;
	nic_conf nc;

	if (!own_namespace(&why))
		GTEST_SKIP() << why;
	memset(&nc, 0, sizeof(nc));
	nc.device = "tap:tas-t1";
	nc.nqueues = 1;
	ASSERT_EQ(nic_open(&nc, &a), 0);
	EXPECT_EQ(nic_open(&nc, &b), -EBUSY);
	nic_close(a);
	EXPECT_EQ(nic_open(&nc, &b), 0) << "free again";
	nic_close(b);
}

/* Nobody reads: of 6000 frames the queue holds some 4000, and what it does not hold is known. */
TEST(Tap, WhatTheQueueHasNoRoomForIsCounted)
{
	const char *up = "ip addr add 10.99.0.1/24 dev tas-t3 && "
			 "ip neigh add 10.99.0.9 lladdr 02:00:00:00:00:09 dev tas-t3";
	std::string why;
	struct nic *n = nullptr;
	nic_conf nc;
	nic_rxpkt pkts[NIC_BURST];
	uint64_t lost = 0, missed = 77, read = 0;
	sockaddr_in to = {};
	int r;

	if (!own_namespace(&why))
		GTEST_SKIP() << why;
	memset(&nc, 0, sizeof(nc));
	nc.device = "tap:tas-t3";
	nc.nqueues = 1;
	ASSERT_EQ(nic_open(&nc, &n), 0);
	ASSERT_EQ(system(up), 0);
	ASSERT_EQ(nic_missed(n, &missed), 0);
	EXPECT_EQ(missed, 0u);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	to.sin_family = AF_INET;
	to.sin_port = htons(9);
	to.sin_addr.s_addr = htonl(0x0a630009);
	for (int i = 0; i < 6000; i++)
		sendto(fd, "x", 1, MSG_DONTWAIT, (sockaddr *)&to, sizeof(to));
	close(fd);
	while ((r = nic_rx(n, 0, pkts, NIC_BURST, &lost)) > 0) {
		read += (uint64_t)r;
		nic_rx_done(n, 0);
	}
	ASSERT_EQ(nic_missed(n, &missed), 0);
	EXPECT_GE(missed, 1000u);
	EXPECT_GE(missed + read, 6000u);
	nic_close(n);
}

TEST(Tap, DeletedDeviceIsAnError)
{
	std::string why;
	struct nic *n = nullptr;
	nic_conf nc;
	nic_rxpkt pkts[NIC_BURST];
	uint64_t lost = 0;
	int r = 0;

	if (!own_namespace(&why))
		GTEST_SKIP() << why;
	memset(&nc, 0, sizeof(nc));
	nc.device = "tap:tas-t2";
	nc.nqueues = 1;
	ASSERT_EQ(nic_open(&nc, &n), 0);
	EXPECT_GE(nic_rx(n, 0, pkts, NIC_BURST, &lost), 0);
	ASSERT_EQ(system("ip link del tas-t2"), 0);
	r = nic_rx(n, 0, pkts, NIC_BURST, &lost);
	EXPECT_LT(r, 0);
	nic_close(n);
}

} // namespace
