/*
 * The control server: pages, filters, states, rights, hostile and slow clients.
 */
#include <cerrno>
#include <cstring>
#include <map>
#include <random>
#include <set>
#include <string>
#include <gtest/gtest.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tas/counters.h"
#include "tas/ctl.h"
extern "C" {
#include "ctl_fake.h"
}

namespace
{

class CtlServer : public testing::Test
{
      protected:
	std::string dir, path;

	void SetUp() override
	{
		char name[] = "/tmp/tas-ctl-XXXXXX";

		ASSERT_NE(mkdtemp(name), nullptr);
		dir = name;
		path = dir + "/ctl.sock";
	}
	void TearDown() override
	{
		fake_stop();
		unlink(path.c_str());
		rmdir(dir.c_str());
	}
	int dial()
	{
		sockaddr_un sa{};
		int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

		sa.sun_family = AF_UNIX;
		strcpy(sa.sun_path, path.c_str());
		if (connect(fd, (sockaddr *)&sa, sizeof(sa)) != 0) {
			close(fd);
			return -1;
		}
		fake_turn(1000);
		return fd;
	}
};

tas_ctl_request request(tas_ctl_op op)
{
	tas_ctl_request q{};

	q.magic = TAS_CTL_MAGIC;
	q.version = TAS_CTL_VERSION;
	q.op = (uint16_t)op;
	q.seq = 77;
	return q;
}

struct Page {
	tas_ctl_reply head{};
	std::string rows;
	bool closed = false;

	template <class T> T row(uint32_t i) const
	{
		T r;

		memcpy(&r, rows.data() + i * head.row_bytes, sizeof(r));
		return r;
	}
};

Page receive(int fd)
{
	static char buf[TAS_CTL_REPLY_MAX];
	Page p;
	ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

	if (n < (ssize_t)sizeof(p.head)) {
		p.closed = true;
		return p;
	}
	memcpy(&p.head, buf, sizeof(p.head));
	p.rows.assign(buf + sizeof(p.head), (size_t)n - sizeof(p.head));
	EXPECT_EQ(p.rows.size(), (size_t)p.head.nrows * p.head.row_bytes);
	return p;
}

Page ask(int fd, const void *q, size_t len)
{
	EXPECT_EQ(send(fd, q, len, MSG_NOSIGNAL), (ssize_t)len);
	fake_turn(1000);
	return receive(fd);
}

Page ask(int fd, const tas_ctl_request &q)
{
	Page p = ask(fd, &q, sizeof(q));

	EXPECT_EQ(p.head.magic, TAS_CTL_MAGIC);
	EXPECT_EQ(p.head.op, q.op);
	EXPECT_EQ(p.head.seq, q.seq);
	return p;
}

/* All rows, page by page. */
template <class T> std::vector<T> all(int fd, tas_ctl_request q)
{
	std::vector<T> rows;
	int pages = 0;

	do {
		Page p = ask(fd, q);
		EXPECT_EQ(p.head.status, 0);
		EXPECT_EQ(p.head.row_bytes, sizeof(T));
		for (uint32_t i = 0; i < p.head.nrows; i++)
			rows.push_back(p.row<T>(i));
		q.cursor = p.head.next;
		if (++pages > 10000 || p.head.status != 0)
			break;
	} while (q.cursor != 0);
	EXPECT_LE(pages, 10000) << "the cursor does not end";
	return rows;
}

TEST_F(CtlServer, Flows_come_in_pages_each_once)
{
	ASSERT_EQ(fake_start(path.c_str(), 2, 5000, 300, 1), 0);
	int fd = dial();
	auto rows = all<tas_ctl_flow>(fd, request(TAS_CTL_FLOWS));
	std::set<uint32_t> ids;
	uint32_t time_wait = 0;

	for (auto &r : rows) {
		if (r.state == TAS_CTL_S_TIME_WAIT)
			time_wait++;
		else
			EXPECT_TRUE(ids.insert(r.id).second) << r.id;
	}
	EXPECT_EQ(ids.size(), 5000u);
	EXPECT_EQ(time_wait, 300u);
	/* A filter that nothing passes must not make one page look at all of them. */
	tas_ctl_request none = request(TAS_CTL_FLOWS);
	none.filter.mask = TAS_CTL_BY_PID;
	none.filter.pid = 999999;
	EXPECT_EQ(all<tas_ctl_flow>(fd, none).size(), 0u);
	EXPECT_LE(fake_looked_max(), 1100u);
	EXPECT_GT(fake_looked_max(), 500u);
	close(fd);
}

TEST_F(CtlServer, Flow_rows_carry_what_both_paths_know)
{
	ASSERT_EQ(fake_start(path.c_str(), 2, 10, 0, 1), 0);
	int fd = dial();
	tas_ctl_request q = request(TAS_CTL_FLOW);
	q.id = 5;
	Page p = ask(fd, q);
	ASSERT_EQ(p.head.nrows, 1u);
	auto r = p.row<tas_ctl_flow>(0);

	EXPECT_EQ(r.id, 5u);
	EXPECT_EQ(r.gen, fake_flow_gen(5));
	EXPECT_EQ(ntohs(r.lport), 80);
	EXPECT_EQ(ntohs(r.rport), 20005);
	EXPECT_EQ(r.app, 2u);
	EXPECT_EQ(r.pid, 1002u);
	EXPECT_STREQ(r.comm, "nginx");
	EXPECT_STREQ(r.cc, "cubic");
	EXPECT_EQ(r.core, 1u);
	EXPECT_EQ(r.bytes_in, 5000u);
	EXPECT_EQ(r.bytes_out, 10000u);
	EXPECT_EQ(r.rx_queue, 77u);
	EXPECT_EQ(r.tx_queue, 88u);
	EXPECT_EQ(r.flags, TAS_CTL_F_TS | TAS_CTL_F_SACK | TAS_CTL_F_CORE);
	EXPECT_EQ(r.age_ns, 10000000000u);
	q.gen = fake_flow_gen(5);
	EXPECT_EQ(ask(fd, q).head.status, 0);
	q.gen++;
	EXPECT_EQ(ask(fd, q).head.status, -ENOENT);
	q.gen = 0;
	q.id = 11;
	EXPECT_EQ(ask(fd, q).head.status, -ENOENT);
	q.id = 0xffffffff;
	EXPECT_EQ(ask(fd, q).head.status, -ENOENT);
	close(fd);
}

TEST_F(CtlServer, States_are_those_of_rfc9293)
{
	struct {
		uint32_t flags;
		tas_ctl_state state;
	} rows[] = {
		{0, TAS_CTL_S_ESTABLISHED},
		{fake_rx_fin, TAS_CTL_S_CLOSE_WAIT},
		{fake_tx_shut, TAS_CTL_S_FIN_WAIT_1},
		{fake_tx_shut | fake_tx_finack, TAS_CTL_S_FIN_WAIT_2},
		{fake_rx_fin | fake_tx_shut, TAS_CTL_S_LAST_ACK},
	};
	ASSERT_EQ(fake_start(path.c_str(), 1, 10, 0, 0), 0);
	int fd = dial();

	for (auto &row : rows) {
		tas_ctl_request q = request(TAS_CTL_FLOW);
		q.id = 7;
		fake_set_state(7, row.flags);
		EXPECT_EQ(ask(fd, q).row<tas_ctl_flow>(0).state, row.state) << row.flags;
	}
	tas_ctl_request q = request(TAS_CTL_FLOW);
	q.id = 1;
	EXPECT_EQ(ask(fd, q).row<tas_ctl_flow>(0).state, TAS_CTL_S_SYN_SENT);
	q.id = 2;
	EXPECT_EQ(ask(fd, q).row<tas_ctl_flow>(0).state, TAS_CTL_S_SYN_RCVD);
	close(fd);
}

TEST_F(CtlServer, Filters_narrow_and_combine)
{
	ASSERT_EQ(fake_start(path.c_str(), 2, 400, 10, 8), 0);
	int fd = dial();
	tas_ctl_request q = request(TAS_CTL_FLOWS);

	q.filter.mask = TAS_CTL_BY_PID;
	q.filter.pid = 1003;
	EXPECT_EQ(all<tas_ctl_flow>(fd, q).size(), 100u);
	q.filter.mask = TAS_CTL_BY_APP;
	q.filter.app = 2;
	EXPECT_EQ(all<tas_ctl_flow>(fd, q).size(), 100u);
	q.filter.mask = TAS_CTL_BY_APP | TAS_CTL_BY_PID; /* app 2 is pid 1002 */
	EXPECT_EQ(all<tas_ctl_flow>(fd, q).size(), 0u);
	q.filter.mask = TAS_CTL_BY_PORT;
	q.filter.port = htons(20042);
	ASSERT_EQ(all<tas_ctl_flow>(fd, q).size(), 1u);
	EXPECT_EQ(all<tas_ctl_flow>(fd, q)[0].id, 42u);
	q.filter.mask = TAS_CTL_BY_ADDR;
	memset(q.filter.addr, 0, 10);
	memset(q.filter.addr + 10, 0xff, 2);
	memcpy(q.filter.addr + 12, "\x0a\x00\x01\x03", 4);
	ASSERT_EQ(all<tas_ctl_flow>(fd, q).size(), 1u);
	EXPECT_EQ(all<tas_ctl_flow>(fd, q)[0].id, 3u);
	q.filter.mask = TAS_CTL_BY_STATE;
	q.filter.states = 1u << TAS_CTL_S_TIME_WAIT | 1u << TAS_CTL_S_SYN_SENT;
	EXPECT_EQ(all<tas_ctl_flow>(fd, q).size(), 11u);
	q.filter.mask = TAS_CTL_BY_PORT;
	q.filter.port = htons(80); /* everybody's local one */
	EXPECT_EQ(all<tas_ctl_flow>(fd, q).size(), 410u);
	q = request(TAS_CTL_LISTENERS);
	EXPECT_EQ(all<tas_ctl_listener>(fd, q).size(), 8u);
	q.filter.mask = TAS_CTL_BY_PORT;
	q.filter.port = htons(8003);
	ASSERT_EQ(all<tas_ctl_listener>(fd, q).size(), 1u);
	EXPECT_EQ(all<tas_ctl_listener>(fd, q)[0].id, 3u);
	q.filter.mask = TAS_CTL_BY_PID;
	q.filter.pid = 1001;
	EXPECT_EQ(all<tas_ctl_listener>(fd, q).size(), 2u);
	q = request(TAS_CTL_APPS);
	EXPECT_EQ(all<tas_ctl_app>(fd, q).size(), 4u);
	q.filter.mask = TAS_CTL_BY_APP;
	q.filter.app = 4; /* the one that has mapped nothing yet */
	auto apps = all<tas_ctl_app>(fd, q);
	ASSERT_EQ(apps.size(), 1u);
	EXPECT_EQ(apps[0].memory_max, 0u);
	close(fd);
}

TEST_F(CtlServer, Limit_and_cursor_go_through_listeners_and_apps)
{
	ASSERT_EQ(fake_start(path.c_str(), 1, 0, 0, 1000), 0);
	int fd = dial();

	for (uint32_t limit : {0u, 1u, 7u}) {
		tas_ctl_request q = request(TAS_CTL_LISTENERS);
		std::set<uint32_t> ids;
		q.limit = limit;
		EXPECT_EQ(ask(fd, q).head.nrows, limit != 0 ? limit : ask(fd, q).head.nrows);
		for (auto &r : all<tas_ctl_listener>(fd, q))
			ids.insert(r.id);
		EXPECT_EQ(ids.size(), 1000u);
		q.op = TAS_CTL_APPS;
		EXPECT_EQ(all<tas_ctl_app>(fd, q).size(), 4u);
	}
	close(fd);
}

TEST_F(CtlServer, Counters_come_with_unit_and_help)
{
	ASSERT_EQ(fake_start(path.c_str(), 3, 0, 0, 0), 0);
	int fd = dial();
	std::map<std::string, uint64_t> sum;
	uint32_t slow = 0;

	for (auto &c : all<tas_ctl_counter>(fd, request(TAS_CTL_COUNTERS))) {
		sum[c.name] += c.value;
		slow += c.core == TAS_CTL_SLOW_PATH;
		EXPECT_GT(strlen(c.unit), 0u) << c.name;
		EXPECT_GT(strlen(c.help), 0u) << c.name;
		bool reason =
			strncmp(c.name, "drop_", 5) == 0 || strncmp(c.name, "refuse_", 7) == 0;
		EXPECT_EQ(c.flags & TAS_CTL_C_REASON, reason ? TAS_CTL_C_REASON : 0u) << c.name;
	}
	EXPECT_EQ(sum["drop_short"], 9u);
	EXPECT_EQ(sum["drop_stray"], 5u);
	std::map<uint32_t, std::vector<std::string>> names;
	for (auto &c : all<tas_ctl_counter>(fd, request(TAS_CTL_COUNTERS)))
		names[c.core].push_back(c.name);
#define NAME(name, unit, help) #name,
	EXPECT_EQ(names[TAS_CTL_SLOW_PATH], (std::vector<std::string>{TAS_SP_COUNTERS(NAME)}));
	for (uint32_t core = 0; core < 3; core++)
		EXPECT_EQ(names[core], (std::vector<std::string>{TAS_FP_COUNTERS(NAME)}));
#undef NAME
	EXPECT_EQ(slow, names[TAS_CTL_SLOW_PATH].size());
	Page p = ask(fd, request(TAS_CTL_STATUS));
	EXPECT_EQ(p.row<tas_ctl_status>(0).drops, 26u);
	EXPECT_EQ(p.row<tas_ctl_status>(0).noise, 17u) << "what came for no one, or too late";
	EXPECT_EQ(p.row<tas_ctl_status>(0).refused, 2u);
	EXPECT_EQ(all<tas_ctl_core>(fd, request(TAS_CTL_CORES)).size(), 3u);
	close(fd);
}

TEST_F(CtlServer, Kill_checks_the_generation)
{
	ASSERT_EQ(fake_start(path.c_str(), 1, 10, 0, 0), 0);
	int fd = dial();
	tas_ctl_request q = request(TAS_CTL_KILL);

	q.id = 4;
	q.gen = fake_flow_gen(4) + 1;
	EXPECT_EQ(ask(fd, q).head.status, -ENOENT);
	EXPECT_EQ(fake_killed(), 0u);
	q.gen = fake_flow_gen(4);
	EXPECT_EQ(ask(fd, q).head.status, 0);
	EXPECT_EQ(fake_killed(), 4u);
	fake_free_flow(6);
	q.id = 6;
	q.gen = 0;
	EXPECT_EQ(ask(fd, q).head.status, -ENOENT);
	EXPECT_EQ(ask(fd, request(TAS_CTL_DRAIN)).head.status, 0);
	EXPECT_TRUE(fake_drained());
	close(fd);
}

/* A user who may open the socket but is neither root nor the daemon: reads, but does not steer. */
TEST_F(CtlServer, Kill_and_drain_want_root_or_the_daemons_user)
{
	if (geteuid() != 0)
		GTEST_SKIP() << "needs root to become someone else";
	ASSERT_EQ(fake_start(path.c_str(), 1, 10, 0, 0), 0);
	ASSERT_EQ(chmod(dir.c_str(), 0755), 0);
	ASSERT_EQ(chmod(path.c_str(), 0666), 0);
	pid_t pid = fork();
	if (pid == 0) {
		sockaddr_un sa{};
		tas_ctl_request q = request(TAS_CTL_KILL);
		tas_ctl_reply r{};
		int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

		if (setuid(65534) != 0)
			_exit(9);
		sa.sun_family = AF_UNIX;
		strcpy(sa.sun_path, path.c_str());
		if (connect(fd, (sockaddr *)&sa, sizeof(sa)) != 0)
			_exit(8);
		q.id = 4;
		if (send(fd, &q, sizeof(q), 0) < 0 || recv(fd, &r, sizeof(r), 0) < 0 ||
			r.status != -EPERM)
			_exit(7);
		q.op = TAS_CTL_DRAIN;
		if (send(fd, &q, sizeof(q), 0) < 0 || recv(fd, &r, sizeof(r), 0) < 0 ||
			r.status != -EPERM)
			_exit(6);
		q.op = TAS_CTL_FLOW;
		if (send(fd, &q, sizeof(q), 0) < 0 || recv(fd, &r, sizeof(r), 0) < 0 ||
			r.status != 0)
			_exit(5);
		_exit(0);
	}
	int status = -1;
	for (int i = 0; i < 1000 && waitpid(pid, &status, WNOHANG) == 0; i++)
		fake_turn(20);
	EXPECT_TRUE(WIFEXITED(status)) << status;
	EXPECT_EQ(WEXITSTATUS(status), 0);
	EXPECT_EQ(fake_killed(), 0u);
	EXPECT_FALSE(fake_drained());
}

TEST_F(CtlServer, Malformed_requests_are_refused_counted_and_end_the_connection)
{
	ASSERT_EQ(fake_start(path.c_str(), 1, 10, 0, 0), 0);
	struct {
		const char *what;
		int status;
		size_t len;
		void (*spoil)(tas_ctl_request &);
	} rows[] = {
		{"short", -EINVAL, sizeof(tas_ctl_request) - 1, [](tas_ctl_request &) {}},
		{"one byte", -EINVAL, 1, [](tas_ctl_request &) {}},
		{"magic", -EINVAL, sizeof(tas_ctl_request),
			[](tas_ctl_request &q) { q.magic ^= 1; }},
		{"version", -EPROTONOSUPPORT, sizeof(tas_ctl_request),
			[](tas_ctl_request &q) { q.version = 9; }},
		{"op 0", -EOPNOTSUPP, sizeof(tas_ctl_request),
			[](tas_ctl_request &q) { q.op = 0; }},
		{"op beyond", -EOPNOTSUPP, sizeof(tas_ctl_request),
			[](tas_ctl_request &q) { q.op = TAS_CTL_OPS; }},
		{"op far", -EOPNOTSUPP, sizeof(tas_ctl_request),
			[](tas_ctl_request &q) { q.op = 0xffff; }},
		{"mask", -EINVAL, sizeof(tas_ctl_request),
			[](tas_ctl_request &q) { q.filter.mask = 1u << 31; }},
		{"zero", -EINVAL, sizeof(tas_ctl_request),
			[](tas_ctl_request &q) { q.zero[2] = 1; }},
	};
	uint64_t refused = 0;

	for (auto &row : rows) {
		int fd = dial();
		tas_ctl_request q = request(TAS_CTL_FLOWS);
		row.spoil(q);
		Page p = ask(fd, &q, row.len);
		EXPECT_EQ(p.head.status, row.status) << row.what;
		EXPECT_EQ(p.head.nrows, 0u);
		EXPECT_EQ(fake_refused(), ++refused) << row.what;
		EXPECT_EQ(fake_clients(), 0u) << row.what;
		close(fd);
	}
	char big[200] = {}; /* a good request, and more behind it */
	tas_ctl_request good = request(TAS_CTL_FLOWS);
	memcpy(big, &good, sizeof(good));
	int fd = dial();
	Page p = ask(fd, big, sizeof(big));
	EXPECT_EQ(p.head.status, -EINVAL);
	EXPECT_EQ(fake_clients(), 0u);
	close(fd);
}

TEST_F(CtlServer, Hello_is_answered_in_any_version)
{
	ASSERT_EQ(fake_start(path.c_str(), 1, 10, 0, 0), 0);
	int fd = dial();
	tas_ctl_request q = request(TAS_CTL_HELLO);

	q.version = 99;
	Page p = ask(fd, q);
	EXPECT_EQ(p.head.status, 0);
	EXPECT_EQ(p.row<tas_ctl_status>(0).ctl_version, TAS_CTL_VERSION);
	close(fd);
}

TEST_F(CtlServer, Wild_cursors_end)
{
	ASSERT_EQ(fake_start(path.c_str(), 2, 100, 10, 10), 0);
	int fd = dial();
	std::mt19937_64 rnd(20240601);

	for (int i = 0; i < 2000; i++) {
		tas_ctl_request q = request((tas_ctl_op)(TAS_CTL_STATUS + rnd() % 7));
		q.cursor = rnd() >> (rnd() % 64);
		q.id = (uint32_t)(rnd() >> (rnd() % 64));
		q.limit = (uint32_t)(rnd() % 3);
		for (int page = 0; page < 300; page++) {
			Page p = ask(fd, q);
			ASSERT_TRUE(p.head.status == 0 || p.head.status == -ENOENT)
				<< q.op << " " << p.head.status;
			q.cursor = p.head.next;
			if (q.cursor == 0)
				break;
		}
		EXPECT_EQ(q.cursor, 0u) << "op " << q.op;
	}
	close(fd);
}

/* A client that asks and never reads is disconnected; others are served. */
TEST_F(CtlServer, Slow_reader_is_dropped)
{
	ASSERT_EQ(fake_start(path.c_str(), 1, 1000, 0, 0), 0);
	int slow = dial();
	fcntl(slow, F_SETFL, O_NONBLOCK);
	tas_ctl_request q = request(TAS_CTL_FLOWS);
	int i;

	for (i = 0; i < 10000 && fake_clients() == 1; i++) {
		if (send(slow, &q, sizeof(q), MSG_NOSIGNAL) < 0 && errno != EAGAIN)
			break;
		fake_turn(0);
	}
	EXPECT_EQ(fake_clients(), 0u) << "after " << i << " requests";
	int fd = dial();
	EXPECT_EQ(ask(fd, q).head.status, 0);
	close(fd);
	close(slow);
}

TEST_F(CtlServer, Clients_are_bounded_and_their_places_come_back)
{
	ASSERT_EQ(fake_start(path.c_str(), 1, 10, 0, 0), 0);
	std::vector<int> fds;

	for (int i = 0; i < 40; i++)
		fds.push_back(dial());
	EXPECT_LE(fake_clients(), 32u);
	EXPECT_GE(fake_clients(), 24u);
	EXPECT_GT(fake_refused(), 0u);
	for (int fd : fds)
		close(fd);
	for (int i = 0; i < 20; i++)
		fake_turn(0);
	EXPECT_EQ(fake_clients(), 0u);
	int fd = dial();
	EXPECT_EQ(ask(fd, request(TAS_CTL_STATUS)).head.status, 0);
	close(fd);
}

/* Users without rights can take many places, but not root's; and every place comes back. */
TEST_F(CtlServer, Places_are_kept_for_root)
{
	if (geteuid() != 0)
		GTEST_SKIP() << "needs root to become someone else";
	ASSERT_EQ(fake_start(path.c_str(), 1, 10, 0, 0), 0);
	ASSERT_EQ(chmod(dir.c_str(), 0755), 0);
	ASSERT_EQ(chmod(path.c_str(), 0666), 0);
	for (int i = 0; i < 100; i++) {
		close(dial());
		fake_turn(1000);
	}
	ASSERT_EQ(fake_clients(), 0u);
	int go[2];
	ASSERT_EQ(pipe(go), 0);
	pid_t pid = fork();
	if (pid == 0) {
		char c;

		if (setuid(65534) != 0)
			_exit(1);
		for (int i = 0; i < 40; i++) {
			sockaddr_un sa{};
			int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
			sa.sun_family = AF_UNIX;
			strcpy(sa.sun_path, path.c_str());
			while (connect(fd, (sockaddr *)&sa, sizeof(sa)) != 0)
				usleep(1000);
		}
		close(go[1]);
		_exit(read(go[0], &c, 1) != 0);
	}
	close(go[0]);
	for (int i = 0; i < 6000 && fake_clients() + fake_refused() < 40; i++)
		fake_turn(10);
	EXPECT_EQ(fake_clients(), 24u);
	int fd = dial();
	EXPECT_EQ(ask(fd, request(TAS_CTL_STATUS)).head.status, 0);
	close(fd);
	close(go[1]);
	int status;
	waitpid(pid, &status, 0);
	EXPECT_EQ(status, 0);
}

TEST_F(CtlServer, Socket_has_its_mode_and_a_dead_ones_place_is_taken)
{
	struct stat st;

	ASSERT_EQ(fake_start(path.c_str(), 1, 1, 0, 0), 0);
	ASSERT_EQ(stat(path.c_str(), &st), 0);
	EXPECT_EQ(st.st_mode & 07777, 0660u);
	EXPECT_TRUE(S_ISSOCK(st.st_mode));
	fake_stop();
	EXPECT_NE(stat(path.c_str(), &st), 0); /* removed */

	sockaddr_un sa{};
	int dead = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	sa.sun_family = AF_UNIX;
	strcpy(sa.sun_path, path.c_str());
	ASSERT_EQ(bind(dead, (sockaddr *)&sa, sizeof(sa)), 0);
	ASSERT_EQ(listen(dead, 1), 0);
	EXPECT_EQ(fake_start(path.c_str(), 1, 1, 0, 0), -EADDRINUSE); /* somebody answers */
	EXPECT_EQ(stat(path.c_str(), &st), 0);			      /* ... and goes on to */
	fake_stop();
	close(dead);
	EXPECT_EQ(fake_start(path.c_str(), 1, 1, 0, 0), 0); /* nobody any more */
}

/* A mistyped option must not cost the operator a file. */
TEST_F(CtlServer, A_file_in_the_sockets_place_is_left_alone)
{
	FILE *f = fopen(path.c_str(), "w");

	ASSERT_NE(f, nullptr);
	fputs("precious", f);
	fclose(f);
	EXPECT_EQ(fake_start(path.c_str(), 1, 1, 0, 0), -EEXIST);
	struct stat st;
	ASSERT_EQ(stat(path.c_str(), &st), 0);
	EXPECT_EQ(st.st_size, 8);
}

TEST_F(CtlServer, Out_of_descriptors_the_door_rests)
{
	sockaddr_un sa{};
	rlimit was;

	ASSERT_EQ(fake_start(path.c_str(), 1, 1, 0, 0), 0);
	sa.sun_family = AF_UNIX;
	strcpy(sa.sun_path, path.c_str());
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	ASSERT_EQ(connect(fd, (sockaddr *)&sa, sizeof(sa)), 0);
	ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &was), 0);
	rlimit none = {3, was.rlim_max};
	ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
	uint32_t before = fake_rests();
	fake_turn(0);
	setrlimit(RLIMIT_NOFILE, &was);
	EXPECT_EQ(fake_rests(), before + 1);
	close(fd);
}

} // namespace
