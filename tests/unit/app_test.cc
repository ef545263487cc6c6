/*
 * Registration over a real socket: life of a program from HELLO to its end, its memory and event
 * queues, its children.
 */
#include <cerrno>
#include <csignal>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include "app_peer.h"

namespace
{

TEST_F(App, Hello_GivesId)
{
	int fd = dial();
	Reply r = ask(fd, TAS_CMD_HELLO);
	ASSERT_TRUE(r.got);
	EXPECT_EQ(r.m.magic, TAS_CMD_MAGIC);
	EXPECT_EQ(r.m.type, TAS_CMD_HELLO);
	EXPECT_EQ(r.m.seq, 77u);
	EXPECT_EQ(r.m.status, 0);
	struct sp_app *app = sp_app_get(sp, r.m.id);
	ASSERT_NE(app, nullptr);
	EXPECT_EQ(app->pid, (uint32_t)getpid());
	EXPECT_EQ(app->uid, getuid());
	EXPECT_STRNE(app->comm, "");
	EXPECT_EQ(sp->cnt.apps_joined, 1u);
	EXPECT_EQ(ask(fd, TAS_CMD_HELLO).m.status, -EALREADY);
	close(fd);
	steps();
	EXPECT_EQ(sp->apps.count, 0u);
	EXPECT_EQ(sp->cnt.apps_left, 1u);
}

TEST_F(App, Hello_OtherAbi_Refused)
{
	struct tas_msg m = message(TAS_CMD_HELLO);
	int fd = dial();
	m.abi_major = TAS_ABI_MAJOR + 1;
	EXPECT_EQ(ask(fd, m).m.status, -EPROTONOSUPPORT);
	EXPECT_EQ(sp->cnt.refuse_abi, 1u);
	close(fd);
}

/* Its descriptors are not there yet: descriptor 0 is none of them. */
TEST_F(App, Stop_ProgramWithoutRegion_OnlyItsOwnIsClosed)
{
	int keep = dup(0), null = open("/dev/null", O_RDONLY | O_CLOEXEC), fd = dial();
	ask(fd, TAS_CMD_HELLO);
	dup2(null, 0);
	again({});
	struct stat was, is;
	ASSERT_EQ(fstat(null, &was), 0);
	EXPECT_EQ(fstat(0, &is), 0);
	EXPECT_EQ(is.st_ino, was.st_ino);
	if (keep >= 0)
		dup2(keep, 0);
	for (int one : {keep, null, fd})
		close(one);
}

TEST_F(App, Region_SealedAndDescribed)
{
	int fd = dial();
	ask(fd, TAS_CMD_HELLO);
	Reply r = ask(fd, TAS_CMD_REGION);
	ASSERT_EQ(r.m.status, 0);
	ASSERT_EQ(r.m.id, 2u);
	ASSERT_EQ(r.fds.size(), 4u);
	struct stat st;
	ASSERT_EQ(fstat(r.fds[0], &st), 0);
	EXPECT_EQ((uint64_t)st.st_size, r.m.len);
	EXPECT_NE(ftruncate(r.fds[0], 0), 0);
	EXPECT_NE(ftruncate(r.fds[1], 0), 0);
	auto *reg = (struct tas_region *)mmap(
		nullptr, r.m.len, PROT_READ | PROT_WRITE, MAP_SHARED, r.fds[0], 0);
	ASSERT_NE(reg, MAP_FAILED);
	EXPECT_EQ(reg->magic, TAS_REGION_MAGIC);
	EXPECT_EQ(reg->nslots, 65536u);
	EXPECT_EQ(reg->bytes, r.m.len);
	EXPECT_EQ(reg->nsegs_max, 128u);
	EXPECT_GE(reg->off_slots, sizeof(struct tas_region));
	EXPECT_GE(reg->off_tobells, reg->off_slots + reg->nslots * sizeof(struct tas_sock));
	EXPECT_GE(reg->off_evqs, reg->off_tobells + 2 * reg->bell_bytes);
	EXPECT_GE(reg->off_rxnext, reg->off_evqs + reg->nevq * reg->bell_bytes);
	EXPECT_LE(reg->off_offer + (uint64_t)reg->nsegs_max * TAS_SEG_CHUNKS / 8, reg->bytes);
	munmap(reg, r.m.len);
	EXPECT_EQ(mmap(nullptr, r.m.aux, PROT_READ | PROT_WRITE, MAP_SHARED, r.fds[1], 0),
		MAP_FAILED);
	auto *info = (struct tas_info *)mmap(nullptr, r.m.aux, PROT_READ, MAP_SHARED, r.fds[1], 0);
	ASSERT_NE(info, MAP_FAILED);
	EXPECT_EQ(info->magic, TAS_INFO_MAGIC);
	EXPECT_NE(mprotect(info, r.m.aux, PROT_READ | PROT_WRITE), 0);
	uint64_t beat = info->heartbeat;
	fake_advance(sp, 3 * FAKE_SECOND);
	EXPECT_GT(info->heartbeat, beat);
	EXPECT_EQ(info->tsc_hz, 2600000000u);
	EXPECT_EQ(info->policy, TAS_POLICY_KNOWN | TAS_POLICY_CONNECT | TAS_POLICY_LISTEN);
	sp_drain(sp);
	EXPECT_EQ(info->policy, TAS_POLICY_KNOWN);
	munmap(info, r.m.aux);
	EXPECT_EQ(messages(SP_APP_ADD).size(), 2u);
	EXPECT_EQ(ask(fd, TAS_CMD_REGION).m.status, -EALREADY);
	close(fd);
}

TEST_F(App, Segments_UpToTheLimit)
{
	again({"--program_memory_max=24"});
	int fd = join();
	for (uint32_t i = 0; i < 3; i++) {
		Reply r = ask(fd, TAS_CMD_SEGMENT);
		EXPECT_EQ(r.m.status, 0);
		EXPECT_EQ(r.m.id, i);
		ASSERT_EQ(r.fds.size(), 1u);
		struct stat st;
		fstat(r.fds[0], &st);
		EXPECT_EQ((uint64_t)st.st_size, TAS_SEG_BYTES);
	}
	EXPECT_EQ(ask(fd, TAS_CMD_SEGMENT).m.status, -ENOBUFS);
	EXPECT_EQ(sp->cnt.refuse_limit, 1u);
	close(fd);
}

TEST_F(App, Leaves_EverythingComesBack)
{
	int before = open_fds();
	for (int i = 0; i < 50; i++) {
		uint32_t id;
		int fd = join(&id), ev = eventfd(0, EFD_CLOEXEC);
		struct tas_msg m = message(TAS_CMD_EVQ);
		for (int k = 0; k < 5; k++) {
			m.id = (uint32_t)k % 3;
			EXPECT_EQ(ask(fd, m, {ev}).m.status, 0);
		}
		ask(fd, TAS_CMD_SEGMENT);
		int h = handle(fake_addr(2), 7000);
		ASSERT_GE(h, 0);
		EXPECT_EQ(ask(fd, message(TAS_CMD_LISTEN), {h}).m.status, 0);
		close(h);
		close(ev);
		close(fd);
		steps();
		EXPECT_EQ(sp->listeners.count, 0u);
		EXPECT_EQ(sp_app_get(sp, id)->state, SP_APP_DYING);
		gone(id);
		fake_advance(sp, 2 * FAKE_SECOND);
		ASSERT_EQ(sp->apps.count, 0u);
		fake_forget();
	}
	expect_fds(before);
}

TEST_F(App, ProcessDies_PidfdTells)
{
	int pipefd[2];
	ASSERT_EQ(pipe(pipefd), 0);
	int keep = -1;
	pid_t pid = fork();
	if (pid == 0) {
		struct sockaddr_un sa = {};
		int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
		struct tas_msg m = message(TAS_CMD_HELLO);
		sa.sun_family = AF_UNIX;
		strcpy(sa.sun_path, path.c_str());
		if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0)
			_exit(1);
		send(fd, &m, sizeof(m), 0);
		if (fork() == 0) /* a child keeps the connection open */
			pause();
		if (write(pipefd[1], "x", 1) != 1)
			_exit(2);
		pause();
		_exit(0);
	}
	char c;
	ASSERT_EQ(read(pipefd[0], &c, 1), 1);
	(void)keep;
	steps();
	ASSERT_EQ(sp->apps.count, 1u);
	uint32_t cursor = 1;
	EXPECT_EQ(sp_app_next(sp, &cursor)->pid, (uint32_t)pid);
	/* the grandchild goes with the test's process group at the latest; find it before its
	 * parent dies */
	std::string children =
		"/proc/" + std::to_string(pid) + "/task/" + std::to_string(pid) + "/children";
	FILE *f = fopen(children.c_str(), "r");
	int grandchild = 0;
	if (f != nullptr) {
		EXPECT_EQ(fscanf(f, "%d", &grandchild), 1);
		fclose(f);
	}
	kill(pid, SIGKILL);
	waitpid(pid, nullptr, 0);
	for (int i = 0; i < 200 && sp->apps.count != 0; i++) {
		sp_loop_step(sp, 100);
		sp_round(sp);
	}
	EXPECT_EQ(sp->apps.count, 0u);
	if (grandchild > 0)
		kill(grandchild, SIGKILL);
	close(pipefd[0]);
	close(pipefd[1]);
}

TEST_F(App, Evq_OnlyEventfdsOfOwnQueues)
{
	int a = join();
	struct tas_msg m = message(TAS_CMD_EVQ);
	int ev = eventfd(0, EFD_CLOEXEC), file = open("/dev/null", O_RDWR), p[2];
	ASSERT_EQ(pipe(p), 0);
	EXPECT_EQ(ask(a, m, {ev}).m.status, 0);
	EXPECT_EQ(ask(a, m, {file}).m.status, -EBADF);
	EXPECT_EQ(ask(a, m, {p[1]}).m.status, -EBADF);
	m.id = 16;
	EXPECT_EQ(ask(a, m, {ev}).m.status, -EINVAL);
	m.id = 0;
	EXPECT_EQ(ask(a, m).m.status, 0); /* forgotten */
	for (int fd : {ev, file, p[0], p[1], a})
		close(fd);
}

/* What the cores may still be using is bounded, and one program's is no reason to refuse another's. */
TEST_F(App, TakenAway_ComesBackEveryRound)
{
	int a = join(), ev = eventfd(0, EFD_CLOEXEC), h = handle(fake_addr(2), 7050),
	    before = open_fds();
	struct tas_msg set = message(TAS_CMD_EVQ), unlisten = message(TAS_CMD_UNLISTEN);
	for (int i = 0; i < 5000; i++)
		ASSERT_EQ(ask(a, set, {ev}).m.status, 0) << i;
	EXPECT_LE(sp->nreaps, 1u);
	for (int i = 0; i < 300; i++) {
		Reply r = ask(a, message(TAS_CMD_LISTEN), {h});
		ASSERT_EQ(r.m.status, 0) << i;
		unlisten.id = r.m.id;
		ASSERT_EQ(ask(a, unlisten).m.status, 0) << i;
	}
	EXPECT_LE(sp->nreaps, 1u);
	EXPECT_LE(open_fds(), before + 1);
	for (int fd : {a, ev, h})
		close(fd);
}

/* ---- fork ---- */

TEST_F(App, Fork_ChildHoldsTheListeners_ParentMayGo)
{
	uint32_t parent_id;
	int a = join(&parent_id), h = handle(fake_addr(2), 7008);
	Reply l = ask(a, message(TAS_CMD_LISTEN), {h});
	Reply f = ask(a, TAS_CMD_FORK);
	ASSERT_EQ(f.m.status, 0);
	EXPECT_TRUE(f.m.token[0] != 0 && f.m.token[1] != 0);
	close(a);
	steps();
	gone(parent_id);
	EXPECT_EQ(sp->listeners.count, 1u);
	int b = dial();
	struct tas_msg m = message(TAS_CMD_HELLO);
	m.token[0] = f.m.token[0] ^ 1;
	m.token[1] = f.m.token[1];
	EXPECT_EQ(ask(b, m).m.status, -ENOENT);
	m.token[0] = f.m.token[0];
	Reply r = ask(b, m);
	EXPECT_EQ(r.m.status, 0);
	EXPECT_EQ(r.m.id, f.m.id);
	EXPECT_TRUE(sp_listener_held_by(sp_listener_get(sp, l.m.id), r.m.id));
	EXPECT_EQ(ask(b, TAS_CMD_REGION).m.status, 0);
	int c = dial();
	EXPECT_EQ(ask(c, m).m.status, -ENOENT); /* a token is good once */
	close(b);
	steps();
	EXPECT_EQ(sp->listeners.count, 0u);
	close(c);
	close(h);
}

TEST_F(App, Fork_ChildNeverComes)
{
	uint32_t id;
	int a = join(&id), h = handle(fake_addr(2), 7009);
	ask(a, message(TAS_CMD_LISTEN), {h});
	ask(a, TAS_CMD_FORK);
	Reply f = ask(a, TAS_CMD_FORK);
	EXPECT_EQ(sp->apps.count, 3u);
	struct tas_msg m = message(TAS_CMD_UNFORK);
	m.token[0] = f.m.token[0];
	m.token[1] = f.m.token[1];
	EXPECT_EQ(ask(a, m).m.status, 0);
	EXPECT_EQ(ask(a, m).m.status, -ENOENT);
	EXPECT_EQ(sp->apps.count, 2u);
	fake_advance(sp, 20 * FAKE_SECOND);
	EXPECT_EQ(sp->apps.count, 2u); /* its parent lives */
	close(a);
	steps();
	gone(id);
	EXPECT_EQ(sp->listeners.count, 1u);
	fake_advance(sp, 12 * FAKE_SECOND);
	EXPECT_EQ(sp->apps.count, 0u);
	EXPECT_EQ(sp->listeners.count, 0u);
	close(h);
}

TEST_F(App, Fork_WithoutEnd_Bounded)
{
	int a = join(), n = 0;
	while (n < 1000 && ask(a, TAS_CMD_FORK).m.status == 0)
		n++;
	EXPECT_EQ(n, 64);
	close(a);
}

} // namespace
