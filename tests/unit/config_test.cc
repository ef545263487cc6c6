/*
 * Options: defaults, file, command line, and every way to get them wrong, with the place.
 */
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>
#include <gtest/gtest.h>
#include <unistd.h>
extern "C" {
#include "config.h"
#include "config_check.h"
}

/* libconfig's scanner forgets the string it was reading when the parser gives up. */
extern "C" const char *__lsan_default_suppressions();
extern "C" const char *__lsan_default_suppressions()
{
	return "leak:libconfig.so";
}

namespace
{

class Config : public testing::Test
{
      protected:
	struct sp_config conf = {};
	struct sp_config_args args = {};
	char err[512] = "";
	char path[32] = "/tmp/tas-config-XXXXXX";
	int rc = 0;

	void SetUp() override
	{
		int fd = mkstemp(path);

		ASSERT_GE(fd, 0);
		close(fd);
	}
	void TearDown() override
	{
		unlink(path);
		if (rc == 0)
			sp_config_free(&conf);
	}
	int load(const std::vector<std::string> &words)
	{
		std::vector<char *> argv;

		if (rc == 0)
			sp_config_free(&conf);
		argv.push_back(const_cast<char *>("tas"));
		for (auto &w : words)
			argv.push_back(const_cast<char *>(w.c_str()));
		err[0] = '\0';
		rc = sp_config_load(&conf, &args, (int)argv.size(), argv.data(), err, sizeof(err));
		return rc;
	}
	int file(const std::string &text, std::vector<std::string> more = {})
	{
		FILE *f = fopen(path, "w");

		fputs(text.c_str(), f);
		fclose(f);
		more.insert(more.begin(), {"-c", path});
		return load(more);
	}
	/* The file is refused with "PATH:LINE: text...". */
	void refused(const std::string &text, int line, const std::string &what)
	{
		EXPECT_NE(file(text), 0) << text;
		std::string want = std::string(path) + ":" + std::to_string(line) + ": ";
		EXPECT_EQ(std::string(err).compare(0, want.size(), want), 0) << err;
		EXPECT_NE(std::string(err).find(what), std::string::npos) << err;
	}
};

const char *const good = "addresses = [ \"10.0.0.2/24\" ];\n";

TEST_F(Config, Defaults)
{
	ASSERT_EQ(load({"--addresses=10.0.0.2/24"}), 0) << err;
	EXPECT_STREQ(conf.socket, "/run/tas/tas.sock");
	EXPECT_EQ(conf.socket_mode, 0660u);
	EXPECT_STREQ(conf.ctl_socket, "/run/tas/ctl.sock");
	EXPECT_STREQ(conf.port, "tap:tas0");
	EXPECT_EQ(conf.cores, 1u);
	EXPECT_EQ(conf.program_slots, 65536u);
	EXPECT_EQ(conf.local_ports.low, 61000);
	EXPECT_EQ(conf.local_ports.high, 65535);
	EXPECT_EQ(conf.time_wait, 60u);
	EXPECT_STREQ(conf.cc, "cubic");
	EXPECT_EQ(conf.routes.n, 0u);
}

TEST_F(Config, File_EveryKind)
{
	ASSERT_EQ(file("socket = \"/x/y\";\nsocket_mode = \"0600\";\ncores = 2;\n"
		       "addresses = ( \"10.0.0.2/24\", \"10.0.0.3/24\" );\nlocal_ports = "
		       "\"50000-50010\";\n"
		       "routes = [ \"1.2.3.0/24 via 10.0.0.9\" ];\ngateway = \"10.0.0.1\";\n"
		       "cpus = [ 0, 1 ];\nallow_uids = [ \"0\", \"1000\" ];\nlog_level = "
		       "\"debug\";\n"),
		0)
		<< err;
	EXPECT_STREQ(conf.socket, "/x/y");
	EXPECT_EQ(conf.socket_mode, 0600u);
	EXPECT_EQ(conf.addresses.n, 2u);
	EXPECT_EQ(conf.local_ports.high, 50010);
	EXPECT_STREQ(conf.cpus.item[1], "1");
	EXPECT_STREQ(conf.allow_uids.item[1], "1000");
}

TEST_F(Config, CommandLine_OverFile_AnyOrder)
{
	ASSERT_EQ(load({"--cores=3", "--addresses", "10.0.0.2/24", "--max_flows", "1000", "-n"}), 0)
		<< err;
	EXPECT_EQ(conf.cores, 3u);
	EXPECT_EQ(conf.max_flows, 1000u);
	EXPECT_EQ(args.check, 1);
	ASSERT_EQ(file(std::string(good) + "cores = 2;\n", {"--cores=4"}), 0) << err;
	EXPECT_EQ(conf.cores, 4u);
	ASSERT_EQ(file(good, {"--addresses=10.0.0.7/24"}), 0);
	EXPECT_EQ(conf.addresses.n, 1u);
	EXPECT_STREQ(conf.addresses.item[0], "10.0.0.7/24");
}

TEST_F(Config, File_Mistakes_AllNamed_AsLongAsThereIsRoom)
{
	std::string g = good, at = std::string(path), many;

	EXPECT_NE(file(g + "coers = 2;\ncores = 3;\nmax_flows = 1;\n"), 0);
	EXPECT_EQ(std::string(err),
		at + ":2: coers: unknown option\n" + at +
			":4: max_flows: must be between 16 and 16777216 connections");
	for (int i = 0; i < 100; i++)
		many += "unknown" + std::to_string(i) + " = 1;\n";
	refused(g + many, 2, "unknown7: unknown option");
	EXPECT_LT(strlen(err), sizeof(err));
}

TEST_F(Config, File_Mistakes_PlaceIsNamed)
{
	std::string g = good;
	refused(g + "\ncoers = 2;\n", 3, "coers: unknown option");
	refused(g + "cores = 0;\n", 2, "between 1 and 64 cores");
	refused(g + "cores = 65;\n", 2, "between 1 and 64");
	refused(g + "cores = -1;\n", 2, "negative");
	refused(g + "cores = \"2\";\n", 2, "must be a number");
	refused(g + "cores = 1.5;\n", 2, "must be a number");
	refused(g + "\n\nsocket = 3;\n", 4, "must be a string");
	refused(g + "socket = \"\";\n", 2, "must not be empty");
	refused(g + "socket = \"" + std::string(108, 'x') + "\";\n", 2, "longer than 107");
	refused(g + "socket_mode = 660;\n", 2, "octal string");
	refused(g + "socket_mode = \"0888\";\n", 2, "not a number");
	refused(g + "socket_mode = \"1777\";\n", 2, "between 0 and 0777");
	refused(g + "local_ports = \"7\";\n", 2, "LOW-HIGH");
	refused(g + "local_ports = \"70000-80000\";\n", 2, "between 1024 and 65535");
	refused(g + "local_ports = \"5000-4000\";\n", 2, "low first");
	refused(g + "local_ports = \"80-90\";\n", 2, "between 1024");
	refused("addresses = [ \"10.0.0.256/24\" ];\n", 1, "not ADDRESS/PREFIX");
	refused("addresses = [ \"10.0.0.2/33\" ];\n", 1, "not ADDRESS/PREFIX");
	refused("addresses = [ \"10.0.0.2/\" ];\n", 1, "not ADDRESS/PREFIX");
	refused("addresses = [ \"127.0.0.1/8\" ];\n", 1, "cannot be a host's");
	refused("addresses = [ \"224.0.0.1/8\" ];\n", 1, "cannot be a host's");
	refused("addresses = [ \"10.0.0.2/24\", \"10.0.0.2/16\" ];\n", 1, "twice");
	refused("addresses = [ [\"a\"] ];\n", 1, "");
	refused("addresses = 5;\n", 1, "list of strings");
	refused(g + "gateway = \"10.0.1.1\";\n", 2, "no connected prefix");
	refused(g + "gateway = \"x\";\n", 2, "not an address");
	refused(g + "routes = [ \"1.0.0.0/8 via 11.0.0.1\" ];\n", 2, "no connected prefix");
	refused(g + "routes = [ \"1.0.0.0/8 over 10.0.0.1\" ];\n", 2, "is not PREFIX");
	refused(g + "port = \"eth0\";\n", 2, "\"tap:\" or \"dpdk:\"");
	refused(g + "port = \"tap:\";\n", 2, "1 to 15 characters");
	refused(g + "port = \"tap:a123456789012345\";\n", 2, "1 to 15 characters");
	refused(g + "port = \"dpdk:net_null0\";\ntap_address = \"10.0.0.1/24\";\n", 3,
		"only a tap");
	refused(g + "exception_tap = \"x\";\n", 2, "only a DPDK port");
	refused(g + "port = \"dpdk:net_null0\";\nexception_tap = \"a/b\";\n", 3,
		"interface's name");
	refused(g + "tap_address = \"10.0.0/24\";\n", 2, "not ADDRESS/PREFIX");
	refused(g + "tap_address = \"10.0.0.0/24\";\n", 2, "cannot be a host's");
	refused(g + "tap_address = \"10.0.0.2/24\";\n", 2, "one of its own");
	refused(g + "gateway = \"10.0.0.2\";\n", 2, "of tas itself");
	refused(g + "routes = [ \"1.2.3.0/24 via 10.0.0.2\" ];\n", 2, "of tas itself");
	refused("addresses = [ \"10.0.0.0/24\" ];\n", 1, "cannot be a host's");
	refused("addresses = [ \"10.0.0.255/24\" ];\n", 1, "cannot be a host's");
	EXPECT_EQ(file("addresses = [ \"10.0.0.0/31\" ];\n"), 0) << err;
	EXPECT_EQ(file("addresses = [ \"10.0.0.255/32\" ];\n"), 0) << err;
	refused(g + "cores = 2;\ncpus = [ \"1\" ];\n", 3, "1 CPUs for 2 cores");
	refused(g + "cpus = [ \"one\" ];\n", 2, "not a CPU number");
	refused(g + "allow_uids = [ \"root\" ];\n", 2, "not a numeric id");
	refused(g + "log_level = \"loud\";\n", 2, "not error, warn");
	refused(g + "mtu = 100;\n", 2, "less than 576");
	refused(g + "cc = \"nonesuch\";\n", 2, "not");
	refused(g + "cores = ;\n", 2, "syntax error");
	refused(g + "cores = 2\n\ncpus = 3;\n", 4, "");
}

TEST_F(Config, CommandLine_Mistakes_OptionIsNamed)
{
	const struct {
		std::vector<std::string> words;
		const char *what;
	} cases[] = {
		{{"--coers=2"}, "--coers: unknown option"},
		{{"--cores=x"}, "--cores: \"x\" is not a number"},
		{{"--cores="}, "--cores: \"\" is not a number"},
		{{"--cores=-1"}, "--cores: \"-1\" is not a number"},
		{{"--cores"}, "--cores: needs a value"},
		{{"frob"}, "frob: unknown argument"},
		{{"--addresses=1.2.3.4/24,,5.6.7.8"}, "--addresses: empty entry"},
		{{}, "--addresses: at least one address"},
		{{"-c", "/nonexistent/tas.conf"}, "/nonexistent/tas.conf: No such file"},
		{{"--max_flows=99999999999999999999"}, "must be between 16 and"},
	};
	for (auto &k : cases) {
		EXPECT_NE(load(k.words), 0);
		EXPECT_NE(std::string(err).find(k.what), std::string::npos)
			<< err << " / " << k.what;
	}
}

TEST_F(Config, List_TooLong)
{
	std::string list = "--addresses=10.0.0.1/24";
	for (int i = 2; i <= 33; i++)
		list += ",10.0.0." + std::to_string(i) + "/24";
	EXPECT_NE(load({list}), 0);
	EXPECT_NE(std::string(err).find("more than 32"), std::string::npos) << err;
}

TEST_F(Config, Ports_OverlapWithTheKernel)
{
	char text[256] = "";
	ASSERT_EQ(load({"--addresses=10.0.0.2/24"}), 0);
	EXPECT_EQ(sp_config_check_ports(&conf, 32768, 60999, text, sizeof(text)), 0);
	EXPECT_NE(sp_config_check_ports(&conf, 32768, 61000, text, sizeof(text)), 0);
	EXPECT_NE(std::string(text).find("61000-65535 overlaps"), std::string::npos) << text;
	EXPECT_NE(sp_config_check_ports(&conf, 65535, 65535, text, sizeof(text)), 0);
	EXPECT_NE(sp_config_check_ports(&conf, 1, 65535, text, sizeof(text)), 0);
}

TEST_F(Config, Letters_TogetherAndWithTheirValue)
{
	EXPECT_NE(load({"-n"}), 0);
	EXPECT_TRUE(args.check);
	for (auto &words :
		std::vector<std::vector<std::string>>{{"-c/nowhere"}, {"-nc", "/nowhere"},
			{"-nc/nowhere"}, {"-n", "-c", "/nowhere"}, {"--config", "/nowhere"}}) {
		EXPECT_NE(load(words), 0);
		EXPECT_EQ(std::string(err), "/nowhere: No such file or directory") << words[0];
	}
	for (const char *bad : {"-", "-x", "-nx", "-c", "-nc", "x"}) {
		EXPECT_NE(load({bad}), 0);
		EXPECT_EQ(std::string(err).rfind(std::string(bad) + ": ", 0), 0u) << err;
	}
}

TEST_F(Config, Tap_TheKernelsSideIsReached)
{
	EXPECT_EQ(load({"--addresses=10.0.0.2/24", "--tap_address=10.0.0.1/24"}), 0) << err;
	EXPECT_NE(load({"--addresses=10.0.0.2/24", "--tap_address=10.0.1.1/24"}), 0);
	EXPECT_NE(std::string(err).find("--tap_address: 10.0.1.1/24 is in no network"),
		std::string::npos)
		<< err;
	EXPECT_EQ(load({"--addresses=10.0.0.2/24", "--tap_address=10.0.1.1/24",
			  "--routes=10.0.1.0/24"}),
		0)
		<< err;
	EXPECT_EQ(load({"--addresses=10.0.0.2/24", "--tap_address=10.0.1.1/24",
			  "--gateway=10.0.0.9"}),
		0)
		<< err;
}

TEST_F(Config, Missing_IsNamedWithTheFile)
{
	EXPECT_NE(file("cores = 1;"), 0);
	EXPECT_NE(std::string(err).find(": addresses: at least one"), std::string::npos) << err;
	EXPECT_EQ(std::string(err).find("--"), std::string::npos) << err;
	EXPECT_NE(file("addresses = [ \"10.0.0.2/24\" ];\ncores = two;"), 0);
	EXPECT_NE(std::string(err).find(":2: syntax error (a line is NAME = VALUE"),
		std::string::npos)
		<< err;
	EXPECT_NE(load({"--addresses=10.0.0.2/24", "--cc=bbr"}), 0);
	EXPECT_NE(std::string(err).find("cubic, dctcp or reno"), std::string::npos) << err;
}

TEST_F(Config, Help_NamesEveryOption)
{
	char *text = nullptr;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	sp_config_help(f);
	sp_config_help_options(f);
	fclose(f);
#define X(kind, name, min, max, def, unit, help)                                                   \
	EXPECT_NE(strstr(text, "  " #name " "), nullptr) << #name;                                 \
	EXPECT_NE(strstr(text, "\n" #name "\n"), nullptr) << #name;
#include "config.def"
#undef X
	free(text);
}

TEST_F(Config, Random_TextNeverCrashes)
{
	uint32_t seed = 4711;
	const char *const words[] = {"cores", "=", ";", "\"", "[", "]", "(", ")", "{", "}",
		"10.0.0.2/24", "addresses", ",", "\n", "0x7fffffff", "99999999999L", "true",
		"socket", "\\", "#", "1e9", "@include", "local_ports", "1-2", "via"};
	for (int i = 0; i < 2000; i++) {
		std::string text;
		for (int k = 0; k < 30; k++) {
			seed = seed * 1664525 + 1013904223;
			text += words[(seed >> 16) % (sizeof(words) / sizeof(words[0]))];
			text += seed & 1 ? " " : "";
		}
		if (file(text) != 0) {
			EXPECT_NE(err[0], '\0');
		}
	}
}

} // namespace
