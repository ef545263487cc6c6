// alloc_test.cc - the fast path's set-up with each allocation failing in turn, and a program that a core has no
// memory for. What must be given back is counted in descriptors and mappings; AddressSanitizer counts the rest.
#include <cstdio>
#include <dirent.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include "engine.h"
extern "C" {
#include "alloc.h"
}

namespace
{

/* All mappings; AddressSanitizer makes some of its own all the time, so there only those of memfds. */
int mappings()
{
#if defined(__SANITIZE_ADDRESS__)
	const char *const which = "/memfd:";
#else
	const char *const which = "";
#endif
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512];
	int n = 0;

	while (fgets(line, sizeof(line), f) != nullptr)
		n += strstr(line, which) != nullptr;
	fclose(f);
	return n;
}

int descriptors()
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d) != nullptr)
		n++;
	closedir(d);
	return n;
}

fp_conf small_conf(struct nic *port)
{
	fp_conf c;

	memset(&c, 0, sizeof(c));
	c.ncores = 2;
	c.cpus[0] = c.cpus[1] = -1;
	c.max_flows = 64;
	c.nic = port;
	c.rcvbuf_max = c.sndbuf_max = 1 << 20;
	c.min_rto_us = 200000;
	c.fault.where = FP_FAULT_IN;
	c.fault.drop = 1;
	return c;
}

TEST(Alloc, counts_and_fails_the_nth)
{
	fp_alloc_fail(2);
	void *a = fp_malloc(8), *b = fp_calloc(1, 8), *c = fp_calloc_lines(3, 40);

	EXPECT_NE(a, nullptr);
	EXPECT_EQ(b, nullptr);
	EXPECT_NE(c, nullptr);
	EXPECT_EQ((uintptr_t)c % TAS_CACHELINE, 0u);
	EXPECT_EQ(fp_alloc_fail(1), 3u);
	EXPECT_EQ(fp_eventfd(), -1);
	EXPECT_EQ(errno, ENOMEM);
	EXPECT_EQ(fp_alloc_fail(0), 1u);
	free(a);
	free(c);
}

TEST(Alloc, every_allocation_of_the_set_up_may_fail)
{
	struct nic *port = mem_nic_open(2, true);
	fp_conf conf = small_conf(port);
	struct fp *fp = nullptr;

	fp_alloc_fail(0);
	ASSERT_EQ(fp_create(&conf, &fp), 0);
	uint64_t total = fp_alloc_fail(0);
	fp_destroy(fp);
	ASSERT_GT(total, 30u);
	int fds = descriptors(), maps = mappings(), refused = 0;

	for (uint64_t n = 1; n <= total; n++) {
		fp = nullptr;
		fp_alloc_fail(n);
		int err = fp_create(&conf, &fp);
		fp_alloc_fail(0);
		/* Huge pages that cannot be had are done without. */
		refused += err != 0;
		if (err == 0)
			fp_destroy(fp);
		else
			EXPECT_EQ(fp, nullptr) << n;
		EXPECT_EQ(descriptors(), fds) << "allocation " << n << " of " << total;
		EXPECT_LE(mappings(), maps + 2) << n;
	}
	EXPECT_GE(refused, (int)total - 6);
	nic_close(port);
}

/* From now on io_setup(2) fails in this process as it does when fs.aio-max-nr is used up. */
void use_up_aio()
{
	sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAGAIN),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	sock_fprog prog = {sizeof(code) / sizeof(code[0]), code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) != 0)
		_exit(1);
}

TEST(Alloc, no_aio_context_is_no_fast_path)
{
	auto child = [] {
		struct nic *port = mem_nic_open(2, true);
		fp_conf conf = small_conf(port);
		struct fp *fp = nullptr;
		int fds = descriptors();

		use_up_aio();
		_exit(fp_create(&conf, &fp) == -EAGAIN && fp == nullptr && descriptors() == fds
				? 0
				: 2);
	};

	EXPECT_EXIT(child(), testing::ExitedWithCode(0), "");
}

} // namespace
