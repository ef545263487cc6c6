/*
 * tasctl: the tool run as a user runs it, against a server over invented records; and its units.
 */
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tas/ctl.h"
#include "tas/explain.h"
extern "C" {
#include "ctl_fake.h"
#include "tasctl/units.h"
}

namespace
{

struct Output {
	std::string out;
	int status = -1;

	bool has(const std::string &s) const
	{
		return out.find(s) != std::string::npos;
	}
	std::vector<std::string> lines() const
	{
		std::vector<std::string> v;
		size_t at = 0, end;

		while ((end = out.find('\n', at)) != std::string::npos) {
			v.push_back(out.substr(at, end - at));
			at = end + 1;
		}
		return v;
	}
};

/* Runs the tool with standard error joined to its output. */
Output tasctl(const std::string &args)
{
	Output o;
	char buf[4096];
	size_t n;
	FILE *p = popen((std::string(TASCTL) + " " + args + " 2>&1").c_str(), "r");

	while ((n = fread(buf, 1, sizeof(buf), p)) > 0)
		o.out.append(buf, n);
	o.status = WEXITSTATUS(pclose(p));
	return o;
}

/* A strict reader of JSON that only tells whether the text is valid (RFC 8259), one value per line.
 */
struct JsonReader {
	const char *p;

	bool literal(const char *s)
	{
		size_t n = strlen(s);
		bool ok = strncmp(p, s, n) == 0;
		p += ok ? n : 0;
		return ok;
	}
	bool string()
	{
		if (*p++ != '"')
			return false;
		for (; *p != '"'; p++) {
			if ((unsigned char)*p < 0x20 || (unsigned char)*p >= 0x80)
				return false;
			if (*p == '\\' && *++p == 'u')
				for (int i = 0; i < 4; i++)
					if (!isxdigit((unsigned char)*++p))
						return false;
		}
		p++;
		return true;
	}
	bool number()
	{
		char *end;
		double v = strtod(p, &end);
		bool ok = end != p && std::isfinite(v);
		p = end;
		return ok;
	}
	bool list(char close, const std::function<bool()> &item)
	{
		p++;
		if (*p == close)
			return ++p, true;
		for (;;) {
			if (!item())
				return false;
			if (*p == close)
				return ++p, true;
			if (*p++ != ',')
				return false;
		}
	}
	bool value()
	{
		switch (*p) {
		case '{':
			return list('}', [this] { return string() && *p++ == ':' && value(); });
		case '[':
			return list(']', [this] { return value(); });
		case '"':
			return string();
		case 't':
			return literal("true");
		case 'f':
			return literal("false");
		default:
			return number();
		}
	}
	static bool valid(const std::string &text)
	{
		JsonReader r{text.c_str()};
		return r.value() && *r.p == 0;
	}
};

/* The number behind `"name":` after position `from`. */
double json_number(const std::string &text, const std::string &name, size_t from = 0)
{
	size_t at = text.find("\"" + name + "\":", from);

	return at == std::string::npos ? NAN : strtod(text.c_str() + at + name.size() + 3, nullptr);
}

class Tasctl : public testing::Test
{
      protected:
	std::string dir, path;
	std::thread loop;
	std::atomic<bool> stop{false};

	void SetUp() override
	{
		char name[] = "/tmp/tas-ctl-XXXXXX";

		ASSERT_NE(mkdtemp(name), nullptr);
		dir = name;
		path = dir + "/ctl.sock";
	}
	void serve(uint32_t ncores, uint32_t nflows, uint32_t ntw, uint32_t nlisteners)
	{
		ASSERT_EQ(fake_start(path.c_str(), ncores, nflows, ntw, nlisteners), 0);
		loop = std::thread([this] {
			while (!stop)
				fake_turn(20);
		});
	}
	void TearDown() override
	{
		stop = true;
		if (loop.joinable()) {
			loop.join();
			fake_stop();
		}
		unlink(path.c_str());
		rmdir(dir.c_str());
	}
	Output run(const std::string &args)
	{
		return tasctl("-s " + path + " " + args);
	}
};

TEST_F(Tasctl, No_service_is_one_clear_sentence)
{
	Output o = run("status");

	EXPECT_EQ(o.status, 1);
	EXPECT_EQ(o.out,
		"tasctl: no tas service answers at " + path + ": is it running?" +
			(access("/run/systemd/system", F_OK) == 0 ? " (systemctl status tas)\n"
								  : "\n"));
}

TEST_F(Tasctl, A_socket_without_a_listener_is_the_same)
{
	sockaddr_un sa{};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	sa.sun_family = AF_UNIX;
	strcpy(sa.sun_path, path.c_str());
	ASSERT_EQ(bind(fd, (sockaddr *)&sa, sizeof(sa)), 0);
	Output o = run("flows");
	EXPECT_EQ(o.status, 1);
	EXPECT_TRUE(o.has("no tas service answers at")) << o.out;
	close(fd);
}

TEST_F(Tasctl, Usage_errors_exit_with_2_and_one_sentence)
{
	for (const char *args : {"nonsense", "app", "app x", "app 0", "--explain flows",
		     "--all counters", "flow", "flow 0", "flow x", "flow 1 2", "kill", "flow 9",
		     "kill 9", "flow 9.", "flow .9", "flow 9.0", "flow 9.16x", "kill 9.-16",
		     "flow 99999999999999999.1", "flows --pid x", "flows --pid -1",
		     "flows --port 65536", "flows --addr 1.2.3", "flows --state open", "-w 0 flows",
		     "-w x flows", "-w 1 drain", "-c 0 flows", "cores --pid 3", "drain now"}) {
		Output o = run(args);

		EXPECT_EQ(o.status, 2) << args << ": " << o.out;
		EXPECT_EQ(o.lines().size(), 1u) << o.out;
		EXPECT_EQ(o.out.rfind("tasctl: ", 0), 0u) << o.out;
	}
	EXPECT_EQ(run("--frobnicate").status, 2);
}

TEST_F(Tasctl, Version_names_protocol_and_abi)
{
	Output o = tasctl("--version");

	EXPECT_EQ(o.status, 0);
	EXPECT_TRUE(o.has(TAS_VERSION)) << o.out;
	EXPECT_TRUE(o.has("ABI 1.")) << o.out;
	EXPECT_TRUE(tasctl("--help").has("usage: tasctl"));
}

TEST_F(Tasctl, Flows_are_an_aligned_table)
{
	serve(2, 30, 2, 1);
	Output o = run("flows");
	auto lines = o.lines();

	EXPECT_EQ(o.status, 0);
	ASSERT_EQ(lines.size(), 31u) << o.out; /* headings, 30 connections: none in TIME-WAIT */
	for (const char *head :
		{"ID", "LOCAL", "REMOTE", "STATE", "PROGRAM", "PID", "CORE", "CC", "CWND", "RATE",
			"RTT", "IN", "OUT", "SEGIN", "SEGOUT", "RETR", "OOO", "RXQ", "TXQ", "AGE"})
		EXPECT_NE(lines[0].find(head), std::string::npos) << head;
	EXPECT_TRUE(o.has("10.0.0.1:80"));
	EXPECT_TRUE(o.has("10.0.1.5:20005"));
	EXPECT_TRUE(o.has("syn-sent"));
	EXPECT_TRUE(o.has("syn-received"));
	EXPECT_FALSE(o.has("time-wait"));
	/* Left-aligned columns begin where their headings do; right-aligned ones end there. */
	size_t state = lines[0].find("STATE"), age = lines[0].size();
	for (size_t i = 1; i < lines.size(); i++) {
		EXPECT_EQ(lines[i][state - 1], ' ') << lines[i];
		EXPECT_NE(lines[i][state], ' ') << lines[i];
		EXPECT_EQ(lines[i].size(), age) << lines[i];
	}
}

/* An id is used again: with another generation it is another connection. */
TEST_F(Tasctl, A_flow_is_named_with_its_generation)
{
	serve(1, 10, 2, 0);
	EXPECT_TRUE(run("flows").has("\n9.16  ")) << run("flows").out;
	EXPECT_TRUE(run("flows --json").has("\"id\":\"9.16\""));
	EXPECT_EQ(run("flow 9.16").status, 0);
	for (const char *args : {"flow 9.15", "kill 9.15", "kill 9.17", "flow 11.18"}) {
		Output o = run(args);

		EXPECT_EQ(o.status, 1) << args;
		EXPECT_EQ(o.out, "tasctl: there is no flow " + std::string(args + 5) + "\n");
	}
	EXPECT_EQ(run("flows --state time-wait").lines().size(), 3u);
	EXPECT_TRUE(run("flows --state time-wait").has("\n-  "));
	EXPECT_EQ(run("kill 9.16").status, 0);
}

TEST_F(Tasctl, Filters_reach_the_server)
{
	serve(2, 400, 10, 8);
	EXPECT_EQ(run("flows --pid 1003").lines().size(), 101u);
	EXPECT_EQ(run("--app 2 flows").lines().size(), 101u);
	EXPECT_EQ(run("flows --port 20042").lines().size(), 2u);
	EXPECT_EQ(run("flows --addr 10.0.1.3").lines().size(), 2u);
	EXPECT_EQ(run("flows --state time-wait,syn-sent").lines().size(), 12u);
	EXPECT_EQ(run("flows --state TIME-WAIT --port 20042").lines().size(),
		1u); /* headings alone */
	EXPECT_EQ(run("listeners --pid 1001").lines().size(), 3u);
	EXPECT_EQ(run("apps --app 4").lines().size(), 2u);
}

TEST_F(Tasctl, Many_flows_come_complete)
{
	serve(4, 20000, 0, 0);
	EXPECT_EQ(run("flows").lines().size(), 20001u);
}

TEST_F(Tasctl, Json_is_valid_and_carries_its_schema)
{
	serve(2, 300, 2, 3);
	char nasty[16] = "\"\\\x01\x7f\xff<\n%s";
	fake_set_comm(nasty);
	for (const char *cmd : {"status", "flows", "flow 9.16", "listeners", "apps", "cores",
		     "drops", "counters"}) {
		Output o = run(std::string("--json ") + cmd);

		EXPECT_EQ(o.status, 0) << cmd;
		ASSERT_EQ(o.lines().size(), 1u) << cmd << o.out;
		EXPECT_TRUE(JsonReader::valid(o.lines()[0])) << cmd << ": " << o.out.substr(0, 300);
		EXPECT_EQ(json_number(o.out, "schema"), 2) << cmd;
	}
	EXPECT_EQ(json_number(run("status --json").out, "drop_short"),
		6); /* every counter, summed over the cores */
	Output o = run("flow 9.16 --json");
	EXPECT_EQ(json_number(o.out, "bytes_in"), 9000);
	EXPECT_EQ(json_number(o.out, "local_port"), 80);
	EXPECT_TRUE(o.has("\"remote_address\":\"10.0.1.9\"")) << o.out;
	EXPECT_TRUE(o.has("\"flags\":[\"ts\",\"sack\"]")) << o.out;
}

/* The name of a program must not be able to drive the operator's terminal. */
TEST_F(Tasctl, Control_characters_of_programs_are_not_printed)
{
	serve(1, 10, 0, 1);
	char nasty[16] = "\033[2Jroot\007\x9b";
	fake_set_comm(nasty);
	for (const char *cmd : {"flows", "flow 9.16", "listeners", "apps"}) {
		Output o = run(cmd);

		EXPECT_TRUE(o.has("?[2Jroot??")) << o.out;
		for (char c : o.out)
			EXPECT_TRUE(c == '\n' || (c >= 0x20 && c < 0x7f)) << (int)c;
	}
}

TEST_F(Tasctl, Watch_shows_rates)
{
	serve(2, 10, 0, 0);
	std::thread clock([this] { /* a second of the service passes in each 10 ms */
		while (!stop) {
			usleep(10000);
			fake_advance(1000000000);
		}
	});
	Output o = run("-w 0.3 -c 2 flows");
	Output j = run("-w 0.3 -c 2 --json flows");
	Output c = run("-w 0.3 -c 1 --json cores");
	stop = true;
	clock.join();
	/* bytes_in grows by 1 MB a second of the service, whatever the waits really took. */
	EXPECT_TRUE(o.has("IN/s")) << o.out;
	EXPECT_EQ(o.lines().size(), 2 * 11 + 1u) << o.out;
	EXPECT_TRUE(o.has("977KiB")) << o.out;
	ASSERT_EQ(j.lines().size(), 2u);
	for (auto &line : j.lines()) {
		EXPECT_TRUE(JsonReader::valid(line));
		EXPECT_GT(json_number(line, "interval_s"), 1);
		size_t flow5 = line.find("\"id\":\"5.12\",");
		EXPECT_NEAR(json_number(line, "bytes_in_per_s", flow5), 1e6, 1);
		EXPECT_NEAR(json_number(line, "bytes_out_per_s", flow5), 2e6, 2);
	}
	EXPECT_NEAR(json_number(c.out, "busy_share"), 0.25, 0.001) << c.out;
	EXPECT_NEAR(json_number(c.out, "asleep_share"), 0.5, 0.001) << c.out;
}

TEST_F(Tasctl, Busy_share_once_is_since_the_start)
{
	serve(1, 0, 0, 0);
	EXPECT_NEAR(json_number(run("cores --json").out, "busy_share"), 1.5 / 6, 0.001);
	EXPECT_TRUE(run("cores").has("25.0%")) << run("cores").out;
	EXPECT_NEAR(json_number(run("cores --json").out, "asleep_share"), 0.5, 0.001);
	EXPECT_EQ(json_number(run("status --json").out, "sleep_ns"), 3e9);
}

TEST_F(Tasctl, Drops_name_every_reason_once_with_help)
{
	serve(3, 0, 0, 0);
	Output o = run("drops --all");
	std::map<std::string, int> names;

	for (auto &line : o.lines()) {
		size_t at = line.find("drop_");
		if (at == std::string::npos)
			at = line.find("refuse_");
		if (at != std::string::npos)
			names[line.substr(at, line.find(' ', at) - at)]++;
	}
	EXPECT_GT(names.size(), 40u);
	for (auto &n : names)
		EXPECT_EQ(n.second, 1) << n.first;
	EXPECT_TRUE(o.has("shorter than its headers say")) << o.out;
	EXPECT_EQ(o.lines().size(), names.size() + 1);
	EXPECT_FALSE(o.has("rx_packets"));
	EXPECT_TRUE(run("counters").has("rx_packets"));
	std::string json = run("drops --json").out;
	EXPECT_EQ(json_number(json, "value", json.find("{\"value\":9,") - 1),
		9); /* 3 on each of 3 cores */
	EXPECT_NE(json.find("drop_gso"), std::string::npos) << "JSON has all";
}

TEST_F(Tasctl, Drops_are_those_that_happened)
{
	serve(3, 0, 0, 0);
	Output o = run("drops");

	ASSERT_EQ(o.lines().size(), 5u) << o.out;
	EXPECT_TRUE(o.lines()[0].find("COUNT") != std::string::npos) << o.out;
	for (const char *name : {"drop_short", "drop_msg_flow", "drop_stray", "refuse_msg"})
		EXPECT_TRUE(o.has(name)) << name;
	/* What does not grow now is not gone. */
	EXPECT_EQ(run("drops -w 0.1 -c 1").lines().size(), 5u);
	EXPECT_GT(run("drops --all -w 0.1 -c 1").lines().size(), 40u);
	fake_clear_reasons();
	o = run("drops");
	ASSERT_EQ(o.lines().size(), 1u) << o.out;
	EXPECT_EQ(o.out.rfind("none", 0), 0u) << o.out;
	EXPECT_EQ(run("drops -w 0.1 -c 1").lines().size(), 1u);
	EXPECT_TRUE(run("counters").has("drop_short")) << "every counter";
	EXPECT_TRUE(JsonReader::valid(run("drops --json").lines()[0]));
}

TEST_F(Tasctl, Status_tells_what_other_tools_do_not_see)
{
	serve(2, 10, 3, 2);
	Output o = run("status");

	EXPECT_EQ(o.status, 0);
	EXPECT_TRUE(o.has("nftables")) << o.out;
	EXPECT_TRUE(o.has("conntrack"));
	EXPECT_TRUE(o.has("ss(8)"));
	EXPECT_TRUE(o.has("10.0.0.1/24"));
	EXPECT_TRUE(o.has("10 of 10 open"));
	EXPECT_FALSE(o.has("DRAINING"));
	EXPECT_TRUE(o.has(" 6 frames or segments lost here")) << o.out;
	EXPECT_TRUE(o.has("no loss")) << o.out;
	EXPECT_FALSE(run("cores").has("-1")) << run("cores").out;
	EXPECT_EQ(run("drain").status, 0);
	EXPECT_TRUE(run("status").has("DRAINING"));
	EXPECT_EQ(run("").out, run("status").out); /* the default command */
}

/* What programs count is shown, whatever numbers they write there. */
TEST_F(Tasctl, Explain_shows_what_a_program_counts)
{
	serve(1, 0, 0, 0);
	fake_explain(2, TAS_X_kernel_loopback, 7);
	fake_explain(2, TAS_X_ioctl_kernel, 5);
	fake_explain(3, TAS_X_kernel_loopback, UINT64_MAX);
	fake_explain(3, TAS_X_kernel_ipv6, 3);
	fake_explain(1, TAS_X_COUNT, 99); /* of a row that this service does not know */
	Output o = run("app 2");
	EXPECT_EQ(o.status, 0);
	EXPECT_TRUE(o.has("kernel_loopback")) << o.out;
	EXPECT_TRUE(o.has("connections to a loopback address")) << o.out;
	EXPECT_TRUE(o.has("ioctl_kernel")) << o.out;
	EXPECT_FALSE(o.has("kernel_ipv6")) << o.out;
	EXPECT_FALSE(run("app 1").has("does not go through")) << run("app 1").out;
	EXPECT_EQ(run("app 4").status, 0);
	Output j = run("app 2 --json");
	ASSERT_EQ(j.lines().size(), 1u);
	EXPECT_TRUE(JsonReader::valid(j.lines()[0])) << j.out;
	EXPECT_EQ(json_number(j.out, "explained"), 12);
	EXPECT_EQ(json_number(j.out, "value", j.out.find("\"explain\"")), 7);
	EXPECT_EQ(run("apps --explain").lines().size(), 5u); /* headings and 4 rows */
	EXPECT_EQ(run("apps --explain --app 3").lines().size(), 3u);
	EXPECT_TRUE(JsonReader::valid(run("apps --explain --json").lines()[0]));
	EXPECT_TRUE(run("apps").has("EXPLAIN"));
	o = run("app 5");
	EXPECT_EQ(o.status, 1);
	EXPECT_EQ(o.out, "tasctl: there is no program 5\n");
}

TEST_F(Tasctl, Every_row_of_explain_comes_once)
{
	serve(1, 0, 0, 0);
	for (uint32_t app = 1; app <= 3; app++)
		for (uint32_t i = 0; i < TAS_X_COUNT; i++)
			fake_explain(app, i, 1);
	EXPECT_EQ(run("apps --explain").lines().size(), 1u + 3 * TAS_X_COUNT);
	EXPECT_EQ(run("-w 0.1 -c 1 apps --explain").status, 0);
}

TEST_F(Tasctl, Kill_says_what_it_did_or_what_is_wrong)
{
	serve(1, 10, 0, 0);
	Output o = run("kill 4.11");

	EXPECT_EQ(o.status, 0);
	EXPECT_EQ(o.out, "flow 4.11 was reset\n");
	EXPECT_EQ(fake_killed(), 4u);
	EXPECT_EQ(run("--json kill 4.11").out, "");
	o = run("kill 11.18");
	EXPECT_EQ(o.status, 1);
	EXPECT_EQ(o.out, "tasctl: there is no flow 11.18\n");
	EXPECT_EQ(run("flow 11.18").out, "tasctl: there is no flow 11.18\n");
}

/* A service that answers with nonsense: no crash, no endless wait, exit status 1. */
TEST_F(Tasctl, A_lying_service_is_told_apart)
{
	sockaddr_un sa{};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	sa.sun_family = AF_UNIX;
	strcpy(sa.sun_path, path.c_str());
	ASSERT_EQ(bind(fd, (sockaddr *)&sa, sizeof(sa)), 0);
	ASSERT_EQ(listen(fd, 10), 0);
	for (int lie = 0; lie < 6; lie++) {
		std::thread server([fd, lie] {
			int c = accept(fd, nullptr, nullptr);
			tas_ctl_request q{};
			struct {
				tas_ctl_reply head;
				char rows[1000];
			} r{};
			size_t len = sizeof(r.head);

			recv(c, &q, sizeof(q), 0);
			r.head.magic = TAS_CTL_MAGIC;
			r.head.op = q.op;
			r.head.seq = q.seq;
			if (lie == 0)
				r.head.magic = 1;
			if (lie == 1)
				r.head.seq++;
			if (lie == 2)
				r.head.nrows = 1000; /* that are not there */
			if (lie == 3)
				r.head.nrows = r.head.row_bytes = 0x10000;
			if (lie == 4)
				len = 10;
			if (lie != 5)
				send(c, &r, len, MSG_NOSIGNAL);
			close(c);
		});
		Output o = run("flows");
		server.join();
		EXPECT_EQ(o.status, 1) << lie;
		EXPECT_EQ(o.lines().size(), 1u) << o.out.substr(0, 300);
	}
	close(fd);
}

std::string text(void (*f)(char *, double), double v)
{
	char out[UNITS_MAX];
	f(out, v);
	return out;
}

TEST(Units, Three_digits_and_the_right_unit)
{
	EXPECT_EQ(text(units_bytes, 0), "0B");
	EXPECT_EQ(text(units_bytes, 1023), "1023B");
	EXPECT_EQ(text(units_bytes, 1024), "1.00KiB");
	EXPECT_EQ(text(units_bytes, 1536), "1.50KiB");
	EXPECT_EQ(text(units_bytes, 10.0 * 1048576), "10.0MiB");
	EXPECT_EQ(text(units_bytes, 18446744073709551615.0), "16.0EiB");
	EXPECT_EQ(text(units_count, 9999), "9999");
	EXPECT_EQ(text(units_count, 10000), "10.0k");
	EXPECT_EQ(text(units_count, 1234567), "1.23M");
	EXPECT_EQ(text(units_kbps, 999), "999kb/s");
	EXPECT_EQ(text(units_kbps, 999999), "1.00Gb/s");
	EXPECT_EQ(text(units_kbps, 12300), "12.3Mb/s");
	EXPECT_EQ(text(units_us, 57), "57us");
	EXPECT_EQ(text(units_us, 1200), "1.20ms");
	EXPECT_EQ(text(units_us, 3400000), "3.40s");
	EXPECT_EQ(text(units_share, 0.125), "12.5%");
}

TEST(Units, Ages)
{
	char out[UNITS_MAX];
	struct {
		uint64_t s;
		const char *text;
	} rows[] = {{0, "0s"}, {59, "59s"}, {60, "1m0s"}, {3599, "59m59s"}, {3600, "1h0m"},
		{90061, "1d1h"}};

	for (auto &row : rows) {
		units_age(out, row.s * 1000000000);
		EXPECT_STREQ(out, row.text);
	}
	units_age(out, UINT64_MAX);
	EXPECT_LT(strlen(out), (size_t)UNITS_MAX);
}

TEST(Units, Endpoints)
{
	char out[UNITS_MAX];
	uint8_t any[16] = {}, v4[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 168, 1, 2};
	uint8_t v6[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, longest[16];

	memset(longest, 0xfe, sizeof(longest));
	units_endpoint(out, any, 0x5000); /* 80 in network order */
	EXPECT_STREQ(out, "*:80");
	units_endpoint(out, v4, 0xffff);
	EXPECT_STREQ(out, "192.168.1.2:65535");
	units_endpoint(out, v6, 0x5000);
	EXPECT_STREQ(out, "[2001:db8::1]:80");
	units_endpoint(out, longest, 0xffff);
	EXPECT_STREQ(out, "[fefe:fefe:fefe:fefe:fefe:fefe:fefe:fefe]:65535");
}

} // namespace
