/*
 * rows_test.cc - rows and their users: every counter is 64 bits wide, has unit and help, and is counted somewhere,
 * in the folder of its one writer and in no other; the daemon allocates only through fastpath/alloc.h. Reads the
 * sources it was built from. No exceptions but those that say why here.
 */
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>
#include <gtest/gtest.h>
#include "tas/counters.h"
#include "tas/explain.h"

namespace
{

struct Row {
	std::string name, unit, help;
};

#define ROW(name, unit, help) {#name, unit, help},
const std::vector<Row> fp_rows = {TAS_FP_COUNTERS(ROW)};
const std::vector<Row> sp_rows = {TAS_SP_COUNTERS(ROW)};
const std::vector<Row> explain_rows = {TAS_EXPLAIN_ROWS(ROW)};

/* Sources under a folder by their path, without comments. */
std::map<std::string, std::string> sources(const std::string &folder)
{
	std::map<std::string, std::string> all;
	const std::filesystem::path top = TAS_SOURCES;

	for (auto &e : std::filesystem::recursive_directory_iterator(top / folder)) {
		std::string ext = e.path().extension();
		if (!e.is_regular_file() || (ext != ".c" && ext != ".h" && ext != ".def"))
			continue;
		std::ifstream in(e.path());
		std::stringstream text;
		text << in.rdbuf();
		std::string s = text.str(), plain;
		for (size_t at = 0, end; at < s.size(); at = end + 2) {
			size_t open = s.find("/*", at);
			plain += s.substr(at, open - at);
			end = open == std::string::npos ? s.size() : s.find("*/", open);
			if (end == std::string::npos)
				break;
		}
		all[e.path().lexically_relative(top)] = plain;
	}
	return all;
}

/* Names that `code` writes as a counter: cnt.x++, cnt.x += n, &cnt.x given to who adds, or a table of places. */
std::set<std::string> written(const std::map<std::string, std::string> &code)
{
	static const std::regex add(R"((?:\bcnt|cnt\))(?:\.|->)(\w+)(?:\+\+| \+= | = ))"),
		place(R"(&[\w>.-]*\bcnt(?:\.|->)(\w+))"),
		table(R"(offsetof\(struct tas_[fs]p_counters, (\w+)\))"), at(R"(\bAT\((\w+)\))");
	std::set<std::string> names;

	for (auto &file : code) {
		if (file.first.rfind("slowpath/ctl/", 0) == 0 &&
			file.first != "slowpath/ctl/server.c")
			continue; /* shows them */
		for (const std::regex *r : {&add, &place, &table, &at})
			for (std::sregex_iterator i(file.second.begin(), file.second.end(), *r),
				end;
				i != end; ++i)
				names.insert((*i)[1]);
	}
	return names;
}

void check_texts(const std::vector<Row> &rows)
{
	std::set<std::string> seen;

	for (auto &row : rows) {
		EXPECT_FALSE(row.unit.empty()) << row.name;
		EXPECT_FALSE(row.help.empty()) << row.name;
		EXPECT_TRUE(seen.insert(row.name).second) << row.name;
	}
}

TEST(Rows, counters_are_64_bits_with_unit_and_help)
{
#define WIDE(name, unit, help) EXPECT_EQ(sizeof(((T *)nullptr)->name), 8u) << #name;
	{
		using T = tas_fp_counters;
		TAS_FP_COUNTERS(WIDE)
	}
	{
		using T = tas_sp_counters;
		TAS_SP_COUNTERS(WIDE)
	}
	check_texts(fp_rows);
	check_texts(sp_rows);
	check_texts(explain_rows);
}

TEST(Rows, every_counter_is_counted_by_its_one_writer)
{
	auto fast = written(sources("fastpath")), slow = written(sources("slowpath"));

	ASSERT_GT(fast.size(), 50u);
	ASSERT_GT(slow.size(), 30u);
	for (auto &row : fp_rows) {
		EXPECT_TRUE(fast.count(row.name)) << row.name << " is counted nowhere in fastpath/";
		EXPECT_FALSE(slow.count(row.name))
			<< row.name << " is a core's, and counted in slowpath/";
	}
	for (auto &row : sp_rows) {
		EXPECT_TRUE(slow.count(row.name)) << row.name << " is counted nowhere in slowpath/";
		EXPECT_FALSE(fast.count(row.name))
			<< row.name << " is the slow path's, and counted in fastpath/";
	}
}

TEST(Rows, every_reason_of_explain_is_counted_in_libtas)
{
	std::string all;

	for (auto &file : sources("libtas"))
		all += file.second;
	for (auto &row : explain_rows) {
		bool retired =
			row.help.rfind("not counted any more", 0) == 0; /* its place is ABI */
		bool by_name = std::regex_search(all, std::regex("\\bTAS_X_" + row.name + "\\b"));
		/* a column of options.def */
		bool by_row =
			std::regex_search(all, std::regex("LT_OPT_[^\n]*, " + row.name + "[,)]"));

		EXPECT_EQ(by_name || by_row, !retired) << row.name;
	}
}

/*
 * So that a test can make each of them fail. Not allocations: memory of a BPF map (the kernel's), the page that
 * sigbus.c puts over a hole (in a signal handler; failing means the default action), DPDK's own.
 */
TEST(Rows, the_daemon_allocates_through_one_module)
{
	const std::regex direct(
		R"([^_\w](malloc|calloc|realloc|reallocarray|aligned_alloc|mmap|memfd_create|eventfd)\()");
	const std::set<std::string> but = {
		"fastpath/alloc.c", "fastpath/nic/tap_steer.c", "slowpath/sigbus.c"};

	for (const char *folder : {"fastpath", "slowpath"})
		for (auto &file : sources(folder)) {
			std::smatch m;

			if (file.first.rfind("slowpath/tasctl/", 0) == 0 || but.count(file.first))
				continue;
			EXPECT_FALSE(std::regex_search(file.second, m, direct))
				<< file.first << " calls " << m[1] << "() itself";
		}
}

} // namespace
