/*
 * engine.h - the fast-path engine under test: cores polled by hand in virtual time, a port in
 * memory, programs that behave as libtas does (and can be told not to), and TCP peers.
 */
#ifndef TESTS_LIB_ENGINE_H
#define TESTS_LIB_ENGINE_H

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#include <gtest/gtest.h>
#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <vector>
#include "fp_c.h"
#include "mem_nic.h"
#include "tcp_harness.h"

constexpr uint32_t kOurAddr = 0x0200000a; /* 10.0.0.2, where tcp_harness.h expects its peer */
constexpr uint32_t kPeerAddr = 0x0100000a;

/* The slow path's place: creates the engine, sends messages, gathers events. */
class Engine
{
      public:
	struct nic *port;
	struct fp *fp = nullptr;
	uint64_t now = 1000000000000ull;
	std::vector<fp_event> events;

	explicit Engine(uint32_t ncores = 1, bool large = true, uint32_t max_flows = 1000,
		uint64_t start = 0)
	{
		fp_conf conf;

		if (start != 0)
			now = start;
		memset(&conf, 0, sizeof(conf));
		port = mem_nic_open(ncores, large);
		conf.ncores = ncores;
		for (uint32_t i = 0; i < ncores; i++)
			conf.cpus[i] = -1;
		conf.max_flows = max_flows;
		conf.spin_us = 20;
		conf.nic = port;
		conf.rcvbuf_max = conf.sndbuf_max = 4u << 20;
		conf.min_rto_us = 200000;
		conf.hash_key[0] = 11;
		conf.hash_key[1] = 12;
		conf.naddrs = 1;
		tas_addr_from_v4(conf.addrs[0], kOurAddr);
		if (fp_create(&conf, &fp) != 0)
			abort();
		for (uint32_t i = 0; i < ncores; i++)
			fp_wheel_init(
				&core(i).wheel, &fp->cold[0].wheel, sizeof(fp_flow_cold), now);
		fp_neigh_set(fp, 1, FP_NEIGH_VALID | 0x020202020202ull);
	}
	~Engine()
	{
		fp_destroy(fp);
		nic_close(port);
	}
	Engine(const Engine &) = delete;

	fp_core &core(uint32_t i = 0)
	{
		return fp->cores[i];
	}
	const tas_fp_counters &cnt(uint32_t i = 0)
	{
		return core(i).cnt;
	}

	/* Rounds until nothing is left to do now. */
	void run()
	{
		for (int idle = 0, rounds = 0; idle < 2 && rounds < 10000; rounds++) {
			uint32_t work = 0;
			fp_event ev;

			for (uint32_t i = 0; i < fp->ncores; i++)
				work += fp_core_poll(&core(i), now);
			while (fp_event_next(fp, &ev)) {
				events.push_back(ev);
				work++;
			}
			idle = work ? 0 : idle + 1;
		}
	}

	void pass(uint64_t ns)
	{
		now += ns;
		run();
	}

	/* When something happens by itself, or UINT64_MAX. */
	uint64_t next()
	{
		uint64_t n = UINT64_MAX;

		for (uint32_t i = 0; i < fp->ncores; i++)
			n = std::min(n, fp_core_next_ns(&core(i)));
		return n;
	}

	void send(uint32_t to, const sp_msg &m)
	{
		if (fp_send(fp, to, &m) != 0)
			abort();
	}
	void send_all(uint32_t type, uint32_t id)
	{
		sp_msg m;

		memset(&m, 0, sizeof(m));
		m.type = type;
		m.id = id;
		for (uint32_t i = 0; i < fp->ncores; i++)
			send(i, m);
	}

	size_t count(uint32_t type) const
	{
		return (size_t)std::count_if(events.begin(), events.end(),
			[&](const fp_event &e) { return e.type == type; });
	}
	const fp_event *last(uint32_t type) const
	{
		for (auto it = events.rbegin(); it != events.rend(); ++it)
			if (it->type == type)
				return &*it;
		return nullptr;
	}
};

/* A program and its region. */
class Program
{
      public:
	Engine &e;
	struct fp_app *app;
	tas_region *r;
	tas_info *info;
	std::vector<uint32_t> tx_pool; /* last-in first-out: a chunk given back is used at once */
	uint32_t rx_given = 0,
		 rx_max; /* chunks offered; segment 0 is for receiving, the others for sending */
	bool offering = true, silent = false; /* silent: says it and does not ring */
	std::set<uint32_t> news;	      /* slots that the event queues have named */

	Program(Engine &en, uint32_t id, uint32_t nslots = 128, uint32_t nevq = 2)
	    : e(en), app(fp_app(en.fp, id))
	{
		uint64_t at = 4096;
		auto place = [&](uint64_t n) {
			uint64_t here = at;

			at += (n + 4095) & ~4095ull;
			return here;
		};

		app->id = id;
		app->nslots = nslots;
		app->ncores = en.fp->ncores;
		app->nevq = nevq;
		app->nsegs_max = 3;
		app->bell_bytes = tas_bell_size(nslots);
		app->off_slots = place(nslots * sizeof(tas_sock));
		app->off_tobells = place(app->bell_bytes * app->ncores);
		app->off_evqs = place(app->bell_bytes * nevq);
		app->off_rxnext = place(app->nsegs_max * TAS_SEG_CHUNKS * 4);
		app->off_txnext = place(app->nsegs_max * TAS_SEG_CHUNKS * 4);
		app->off_offer = place(app->nsegs_max * TAS_SEG_CHUNKS / 8);
		bytes = at;
		r = (tas_region *)map(bytes);
		info = (tas_info *)map(sizeof(*info));
		app->region = r;
		app->info = info;
		for (uint32_t i = 0; i < app->nsegs_max; i++)
			app->seg[i] = (uint8_t *)map(TAS_SEG_BYTES);
		app->nsegs = app->nsegs_max;
		for (uint32_t i = 0; i < TAS_MAX_CORES; i++)
			app->core_fd[i] = i < app->ncores ? eventfd(0, EFD_NONBLOCK) : -1;
		for (uint32_t i = 0; i < TAS_MAX_EVQ; i++)
			app->evq_fd[i] = i < nevq ? eventfd(0, EFD_NONBLOCK) : -1;
		app->slot_flow = (uint32_t *)calloc(nslots, 4);
		app->rx_next = (uint32_t *)calloc(app->nsegs_max * TAS_SEG_CHUNKS, 4);
		rx_max = TAS_SEG_CHUNKS;
		for (uint32_t c = app->nsegs_max * TAS_SEG_CHUNKS; c-- > TAS_SEG_CHUNKS;)
			tx_pool.push_back(c);
		en.send_all(SP_APP_ADD, id);
		en.run();
		listen();
	}
	~Program()
	{
		munmap(r, bytes);
		munmap(info, sizeof(*info));
		for (uint32_t i = 0; i < app->nsegs_max; i++)
			munmap(app->seg[i], TAS_SEG_BYTES);
		for (uint32_t i = 0; i < app->ncores; i++)
			close(app->core_fd[i]);
		for (uint32_t i = 0; i < app->nevq; i++)
			close(app->evq_fd[i]);
		free(app->slot_flow);
		free(app->rx_next);
		app->region = nullptr;
	}
	Program(const Program &) = delete;

	tas_sock &sock(uint32_t slot)
	{
		return *fp_slot_sock(app, slot);
	}
	uint8_t *chunk(uint32_t c)
	{
		return fp_chunk_mem(app, c);
	}
	uint32_t &rxnext(uint32_t c)
	{
		return ((uint32_t *)((char *)r + app->off_rxnext))[c];
	}
	uint32_t &txnext(uint32_t c)
	{
		return ((uint32_t *)((char *)r + app->off_txnext))[c];
	}
	uint64_t *offer()
	{
		return (uint64_t *)((char *)r + app->off_offer);
	}
	tas_bell *evq(uint32_t q)
	{
		return tas_region_bell(r, app->off_evqs, app->bell_bytes, q);
	}

	/* Writes the core's eventfd only if the core says that it sleeps. */
	void ring(uint32_t slot)
	{
		uint32_t c = tas_load(&sock(slot).core), on = c < app->ncores ? c : 0;
		uint64_t one = 1;

		if (silent)
			return;
		ring_on(slot, on);
		if (tas_load(&info->core[on].sleeping) && write(app->core_fd[on], &one, 8) != 8)
			abort();
	}
	void ring_on(uint32_t slot, uint32_t c)
	{
		tas_bell_ring(tas_region_bell(r, app->off_tobells, app->bell_bytes, c), slot);
	}

	/* Hears what the event queues say, and offers the receive memory that is asked for. */
	void listen()
	{
		for (uint32_t q = 0; q < app->nevq; q++) {
			uint32_t cursor = 0, first;

			while (uint64_t bits = tas_bell_take(evq(q), app->nslots, &cursor, &first))
				for (; bits; bits &= bits - 1)
					news.insert(first + (uint32_t)__builtin_ctzll(bits));
		}
		while (offering && rx_given < rx_max &&
			(int32_t)(tas_load(&r->rx_wanted) - rx_given) > 0) {
			tas_fetch_or(&offer()[rx_given / 64], 1ull << (rx_given % 64));
			tas_store_rel(&r->rx_offered, ++rx_given);
		}
	}

	bool heard(uint32_t slot)
	{
		listen();
		return news.erase(slot) != 0;
	}

      private:
	uint64_t bytes;

	static void *map(uint64_t n)
	{
		void *p = mmap(nullptr, n, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (p == MAP_FAILED)
			abort();
		return p;
	}
};

/* A socket as libtas keeps it: reads and writes a known pattern through the chunk lists. */
class Socket
{
      public:
	Program &p;
	uint32_t slot, gen;
	uint32_t rx_seed, tx_seed;
	uint64_t read = 0, written = 0, bad_bytes = 0;
	std::string fault;

	Socket(Program &pr, uint32_t sl, uint32_t g, uint32_t rx_s = 2, uint32_t tx_s = 1)
	    : p(pr), slot(sl), gen(g), rx_seed(rx_s), tx_seed(tx_s)
	{
		memset((char *)&s() + 64, 0, 128);
		s().wake = s().waiters = 0;
	}

	tas_sock &s()
	{
		return p.sock(slot);
	}
	bool known()
	{
		return tas_load_acq(&s().gen) == gen;
	}
	uint32_t state()
	{
		return known() ? tas_load_acq(&s().state) : 0;
	}

	/* Reads at most `max` bytes; returns how many there were. */
	uint64_t recv(uint64_t max = UINT64_MAX)
	{
		uint64_t head = known() ? tas_load_acq(&s().rx_head) : 0, n = 0;

		while (read < head && n < max) {
			uint32_t off = (uint32_t)(read & TAS_CHUNK_MASK);
			uint64_t len =
				std::min({(uint64_t)TAS_CHUNK_BYTES - off, head - read, max - n});

			find_rx_chunk(off);
			if (rx_chunk >= TAS_SEG_CHUNKS) {
				fault = "receive list leads nowhere: chunk " +
					std::to_string(rx_chunk);
				return n;
			}
			check(p.chunk(rx_chunk) + off, len);
			read += len;
			n += len;
		}
		if (n) {
			tas_store_rel(&s().rx_tail, read);
			p.ring(slot);
		}
		return n;
	}

	/* Writes at most `max` bytes as far as the limit allows; returns how many. */
	uint64_t send(uint64_t max)
	{
		uint64_t limit = known() ? tas_load_acq(&s().tx_limit) : 0, n = 0;

		reclaim();
		while (written < limit && n < max) {
			uint32_t off = (uint32_t)(written & TAS_CHUNK_MASK);
			uint64_t len = std::min(
				{(uint64_t)TAS_CHUNK_BYTES - off, limit - written, max - n});

			if (!find_tx_chunk(off))
				break;
			for (uint64_t i = 0; i < len; i++)
				p.chunk(tx_chunks.back())[off + i] = pattern(tx_seed, written + i);
			written += len;
			n += len;
		}
		if (n) {
			tas_store_rel(&s().tx_head, written);
			p.ring(slot);
		}
		return n;
	}

	void want(uint32_t bits)
	{
		tas_store_rel(&s().want, s().want | bits);
		p.ring(slot);
	}
	/* The slot has MOVED: its send chunks are ours again, whatever the peer has of them. */
	void leave()
	{
		for (uint32_t c : tx_chunks) {
			memset(p.chunk(c), 0xee, TAS_CHUNK_BYTES);
			p.txnext(c) = 0x55555555;
			p.tx_pool.push_back(c);
		}
		tx_chunks.clear();
	}
	void take(uint32_t flow, uint32_t core = 0)
	{
		s().take_flow = flow;
		s().take_gen = gen;
		tas_store_rel(&s().want, TAS_SOCK_TAKE);
		p.ring_on(slot, core);
	}

      private:
	uint32_t rx_chunk = TAS_CHUNK_NONE;
	std::vector<uint32_t> tx_chunks; /* oldest first */
	uint64_t tx_base = 0;		 /* position of the first of them */

	/* As region.h says: the list starts anew at rx_first_pos, else it goes on through rxnext.
	 */
	void find_rx_chunk(uint32_t off)
	{
		if (tas_load(&s().rx_first_pos) == read)
			rx_chunk = tas_load(&s().rx_first_chunk);
		else if (off == 0 && rx_chunk != TAS_CHUNK_NONE)
			rx_chunk = tas_load(&p.rxnext(rx_chunk));
	}

	void check(const uint8_t *b, uint64_t len)
	{
		for (uint64_t i = 0; i < len; i++)
			bad_bytes += b[i] != pattern(rx_seed, read + i);
	}

	/* Chunks that are wholly acknowledged are ours again, and are overwritten at once. */
	void reclaim()
	{
		uint64_t una = tas_load_acq(&s().tx_una);

		/* As libtas: the link of a chunk may be read until the byte after it is acknowledged. */
		while (!tx_chunks.empty() && tx_base + TAS_CHUNK_BYTES < una) {
			memset(p.chunk(tx_chunks.front()), 0xee, 64);
			p.txnext(tx_chunks.front()) = 0x55555555;
			p.tx_pool.push_back(tx_chunks.front());
			tx_chunks.erase(tx_chunks.begin());
			tx_base += TAS_CHUNK_BYTES;
		}
		if (una == written && !tx_chunks.empty()) {
			p.tx_pool.push_back(
				tx_chunks.front()); /* the last one, half full: the list ends */
			tx_chunks.clear();
		}
	}

	bool find_tx_chunk(uint32_t off)
	{
		uint32_t c;

		if (!tx_chunks.empty() && off != 0)
			return true;
		if (p.tx_pool.empty())
			return false;
		c = p.tx_pool.back();
		p.tx_pool.pop_back();
		if (tx_chunks.empty()) {
			tx_base = written & ~(uint64_t)TAS_CHUNK_MASK;
			tas_store(&s().tx_first_chunk, c);
			tas_store(&s().tx_first_pos, written);
		} else {
			tas_store(&p.txnext(tx_chunks.back()), c);
		}
		tx_chunks.push_back(c);
		return true;
	}
};

/* A connection between the engine and a peer (pure TCP in Host). */
class Conn
{
      public:
	Engine &e;
	std::unique_ptr<Host> peer;
	uint32_t id, gen;
	uint16_t port;
	std::vector<Frame> to_engine;

	static constexpr uint32_t kIss = 0xfffff000, kIrs = 0xffffe000; /* both wrap soon */

	Conn(Engine &en, uint32_t flow, uint32_t g, uint16_t rport, HostConfig cfg = HostConfig())
	    : e(en), id(flow), gen(g), port(rport)
	{
		peer.reset(new Host(cfg, kIrs, kIss, 2, 1));
		peer->f.lport = rport;
		peer->wire = [this](const Frame &f) { to_engine.push_back(f); };
		memset(&init, 0, sizeof(init));
		tas_addr_from_v4(init.tuple.laddr, kOurAddr);
		tas_addr_from_v4(init.tuple.raddr, kPeerAddr);
		init.tuple.lport = 0x3344;
		init.tuple.rport = rport;
		init.conn = flow + 1000;
		init.gen = g;
		init.iss = kIss;
		init.irs = kIrs;
		init.snd_wnd = 65535;
		init.rcv_adv = kIrs + 1 + 65535;
		init.mss = cfg.mss;
		init.snd_wscale = init.rcv_wscale = cfg.wscale;
		init.has_ts = cfg.ts;
		init.has_sack = cfg.sack;
		init.has_ecn = cfg.ecn;
		init.neigh = 1;
		init.slot = FP_SLOT_NONE;
		init.cc.growth = cfg.mss;
		init.opts = cfg.opts;
	}

	fp_flow_init init;

	uint32_t home()
	{
		return fp_core_of(e.fp, &init.tuple);
	}
	void install()
	{
		sp_msg m;

		memset(&m, 0, sizeof(m));
		m.type = SP_FLOW_INSTALL;
		m.id = id;
		m.gen = gen;
		m.u.install = init;
		e.send(home(), m);
	}
	/* Born in a program's slot, as by connect(). */
	void install_in(Program &p, uint32_t slot)
	{
		init.app = (uint16_t)p.app->id;
		init.slot = slot;
		install();
	}
	/* Waits in a listener's queue. */
	void install_accepted(tas_listen *l, uint32_t listener, uint32_t entry, uint32_t ticket)
	{
		init.listener = listener;
		init.accept_entry = entry;
		init.accept_ticket = ticket;
		fp_listener_set(e.fp, listener, l);
		install();
	}
	fp_flow &f()
	{
		return e.fp->flows[id];
	}

	void deliver(uint32_t queue = UINT32_MAX)
	{
		for (auto &fr : to_engine)
			mem_nic_put(e.port, queue == UINT32_MAX ? home() : queue, fr.bytes.data(),
				(uint32_t)fr.bytes.size(), fr.gso_size, 0);
		to_engine.clear();
	}
};

/* Hands sent frames to the peers by destination port, but for those that get lost; returns how many there were. */
inline int hand_out(
	Engine &e, const std::vector<Conn *> &conns, const std::function<bool()> &lost = nullptr)
{
	static uint8_t buf[65700];
	uint16_t gso;
	int n = 0;

	while (uint32_t len = mem_nic_take(e.port, buf, &gso)) {
		uint16_t dport;

		n++;
		memcpy(&dport, buf + 36, 2);
		for (Conn *c : conns) {
			if (c->port != dport || (lost && lost()))
				continue;
			Frame fr;

			fr.bytes.assign(buf, buf + len);
			fr.gso_size = gso;
			c->peer->set_time(e.now);
			if (c->peer->frame(fr) != WIRE_TCP)
				c->peer->fault = "the engine sent a frame that does not parse";
		}
	}
	return n;
}

/* Everything that can happen now, happens. */
inline void settle(
	Engine &e, std::vector<Conn *> conns, const std::function<void()> &program = nullptr)
{
	for (int quiet = 0; quiet < 2;) {
		int n = 0;

		for (Conn *c : conns) {
			c->peer->set_time(e.now);
			c->peer->program();
			c->peer->output();
			n += (int)c->to_engine.size();
			c->deliver();
		}
		e.run();
		n += hand_out(e, conns);
		if (program)
			program();
		quiet = n ? 0 : quiet + 1;
	}
}

/* Time goes on to the next thing that happens by itself. */
inline void advance(Engine &e, std::vector<Conn *> conns)
{
	uint64_t t = e.next();

	for (Conn *c : conns)
		t = std::min(t, c->peer->deadline());
	ASSERT_NE(t, UINT64_MAX) << "nothing will ever happen";
	e.now = std::max(t, e.now + 1000);
	for (Conn *c : conns) {
		c->peer->set_time(e.now);
		if (c->peer->deadline() <= e.now)
			c->peer->timer();
	}
}

struct Connected {
	Engine e;
	Program p{e, 1};
	Conn c{e, 5, 77, 0x1122};
	Socket s{p, 9, 77};

	explicit Connected(bool large = true, HostConfig cfg = HostConfig(), uint32_t wnd = 65535)
	    : e(1, large), c(e, 5, 77, 0x1122, cfg)
	{
		c.init.snd_wnd = wnd;
		c.install_in(p, 9);
		e.run();
	}
};

#endif
