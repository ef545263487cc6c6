/*
 * etc/tas.conf says what the code does: every name is an option, and what stands there uncommented
 * is the default unless its comment says otherwise.
 */
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <gtest/gtest.h>

namespace
{

/* Defaults as the file would write them. */
std::map<std::string, std::string> defaults()
{
	std::map<std::string, std::string> d;
	auto quote = [](const std::string &s) { return '"' + s + '"'; };
	auto number = [](const std::string &s) { return s; };

#define TEXT_STR(def)				 quote(def)
#define TEXT_RANGE(def)				 quote(def)
#define TEXT_MODE(def)				 quote(#def)
#define TEXT_U32(def)				 number(#def)
#define TEXT_LIST(def)				 number(def[0] ? def : "[ ]")
#define X(kind, name, min, max, def, unit, help) d[#name] = TEXT_##kind(def);
#include "slowpath/config.def"
#undef X
	return d;
}

struct Setting {
	std::string name, value, comment;
	bool active;
};

std::vector<Setting> settings()
{
	static const std::regex form("^(#\\s*)?([a-z_]+) = (.*);\\s*(#.*)?$");
	std::ifstream in(ETC_DIR "/tas.conf");
	std::vector<Setting> all;
	std::string line;
	std::smatch m;

	while (std::getline(in, line))
		if (std::regex_match(line, m, form))
			all.push_back({m[2], m[3], m[4], !m[1].matched});
	return all;
}

TEST(EtcConf, Names_are_options_each_active_once)
{
	auto d = defaults();
	std::set<std::string> active;

	ASSERT_GT(settings().size(), 20u);
	for (auto &s : settings()) {
		EXPECT_EQ(d.count(s.name), 1u) << s.name;
		bool first = !s.active || active.insert(s.name).second;
		EXPECT_TRUE(first) << s.name << " twice";
	}
}

TEST(EtcConf, Active_values_are_the_defaults_or_say_that_they_are_not)
{
	/* Where nothing sensible can be the default. */
	const std::set<std::string> chosen = {"addresses", "tap_address", "socket_group"};
	auto d = defaults();
	int compared = 0;

	for (auto &s : settings()) {
		if (!s.active || chosen.count(s.name))
			continue;
		EXPECT_EQ(s.value, d[s.name]) << s.name;
		compared++;
	}
	EXPECT_GT(compared, 12);
	for (auto &s : settings()) {
		bool says = s.comment.find("default") != std::string::npos;
		bool must = s.active && (s.name == "tap_address" || s.name == "socket_group");
		EXPECT_TRUE(says || !must) << s.name;
	}
}

} // namespace
