/*
 * Registration over a real socket: life of a program, descriptors, fork, limits, and malformed
 * messages of all kinds.
 */
#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <linux/fuse.h>
#include <random>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <poll.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>
#include "sp_peer.h"

namespace
{

struct Reply {
	struct tas_msg m = {};
	std::vector<int> fds;
	bool got = false;

	~Reply()
	{
		for (int fd : fds)
			close(fd);
	}
	Reply() = default;
	Reply(Reply &&o) : m(o.m), fds(std::move(o.fds)), got(o.got)
	{
		o.fds.clear();
	}
};

class App : public SlowPath
{
      protected:
	std::string dir, path, socket_option;
	std::vector<std::string> kept;

	void SetUp() override
	{
		char name[] = "/tmp/tas-app-XXXXXX";

		ASSERT_NE(mkdtemp(name), nullptr);
		dir = name;
		path = dir + "/tas.sock";
		socket_option = "--socket=" + path;
		options = {socket_option.c_str()};
		begin();
	}
	void begin()
	{
		start();
		ASSERT_EQ(sp_apps_init(sp), 0);
		fake_forget();
	}
	void again(std::vector<const char *> more)
	{
		sp_apps_close(sp);
		fake_stop(sp);
		sp = nullptr;
		more.insert(more.begin(), socket_option.c_str());
		options = more;
		begin();
	}
	void TearDown() override
	{
		if (sp != nullptr)
			sp_apps_close(sp);
		SlowPath::TearDown();
		unlink(path.c_str());
		rmdir(dir.c_str());
	}
	void steps()
	{
		for (int i = 0; i < 100 && sp_loop_step(sp, 0) > 0; i++)
			sp_round(sp);
	}
	int dial()
	{
		struct sockaddr_un sa = {};
		int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

		sa.sun_family = AF_UNIX;
		strcpy(sa.sun_path, path.c_str());
		if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0) {
			close(fd);
			return -1;
		}
		steps();
		return fd;
	}
	static struct tas_msg message(uint16_t type)
	{
		struct tas_msg m = {};

		m.magic = TAS_CMD_MAGIC;
		m.type = type;
		m.abi_major = TAS_ABI_MAJOR;
		m.seq = 77;
		return m;
	}
	static bool put(int fd, const void *data, size_t len, const std::vector<int> &fds = {})
	{
		union {
			char buf[CMSG_SPACE(16 * sizeof(int))];
			struct cmsghdr align;
		} control = {};
		struct iovec iov = {const_cast<void *>(data), len};
		struct msghdr mh = {};

		mh.msg_iov = &iov;
		mh.msg_iovlen = 1;
		if (!fds.empty()) {
			mh.msg_control = control.buf;
			mh.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
			control.align.cmsg_level = SOL_SOCKET;
			control.align.cmsg_type = SCM_RIGHTS;
			control.align.cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
			memcpy(CMSG_DATA(&control.align), fds.data(), fds.size() * sizeof(int));
		}
		return sendmsg(fd, &mh, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len;
	}
	static Reply get(int fd)
	{
		union {
			char buf[CMSG_SPACE(80 * sizeof(int))];
			struct cmsghdr align;
		} control;
		Reply r;
		struct iovec iov = {&r.m, sizeof(r.m)};
		struct msghdr mh = {};
		ssize_t n;

		mh.msg_iov = &iov;
		mh.msg_iovlen = 1;
		mh.msg_control = control.buf;
		mh.msg_controllen = sizeof(control.buf);
		n = recvmsg(fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		r.got = n == (ssize_t)sizeof(r.m);
		for (struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&mh) : nullptr; c != nullptr;
			c = CMSG_NXTHDR(&mh, c)) {
			size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
			for (size_t i = 0; i < count; i++) {
				int f;
				memcpy(&f, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
				r.fds.push_back(f);
			}
		}
		return r;
	}
	Reply ask(int fd, const struct tas_msg &m, const std::vector<int> &fds = {})
	{
		EXPECT_TRUE(put(fd, &m, sizeof(m), fds));
		steps();
		return get(fd);
	}
	Reply ask(int fd, uint16_t type)
	{
		return ask(fd, message(type));
	}
	/* 1 when the daemon has hung up. */
	static bool hung_up(int fd)
	{
		char c;

		return recv(fd, &c, 1, MSG_DONTWAIT | MSG_PEEK) == 0;
	}
	/* A program up to REGION; its socket. */
	int join(uint32_t *id = nullptr)
	{
		int fd = dial();
		Reply r = ask(fd, TAS_CMD_HELLO);

		EXPECT_EQ(r.m.status, 0);
		if (id != nullptr)
			*id = r.m.id;
		EXPECT_EQ(ask(fd, TAS_CMD_REGION).m.status, 0);
		return fd;
	}
	/* A kernel TCP socket bound with IP_FREEBIND; port 0 = not bound. */
	static int handle(uint32_t v4, uint16_t port, bool reuseport = false)
	{
		struct sockaddr_in sa = {};
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

		sa.sin_family = AF_INET;
		sa.sin_addr.s_addr = v4;
		sa.sin_port = htons(port);
		setsockopt(fd, IPPROTO_IP, 15 /* IP_FREEBIND */, &on, sizeof(on));
		if (reuseport)
			setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
		else
			setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		if (port != 0 && bind(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0) {
			close(fd);
			return -1;
		}
		return fd;
	}
	/* Odd ones are closed by a thread. */
	static void expect_fds(int n)
	{
		for (int i = 0; i < 1000 && open_fds() != n; i++)
			usleep(10000);
		EXPECT_EQ(open_fds(), n);
	}
	static int open_fds()
	{
		int n = 0;

		for (int fd = 0; fd < 1024; fd++)
			n += fcntl(fd, F_GETFD) >= 0;
		return n;
	}
};

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

TEST_F(App, BeforeHello_NothingElse)
{
	for (uint16_t type = TAS_CMD_REGION; type < TAS_CMD_COUNT; type++) {
		int fd = dial();
		EXPECT_LT(ask(fd, type).m.status, 0) << type;
		close(fd);
		steps();
	}
	EXPECT_EQ(sp->apps.count, 0u);
}

TEST_F(App, Silent_PutOutAfterAWhile)
{
	int fd = dial();
	fake_advance(sp, 12 * FAKE_SECOND);
	EXPECT_EQ(sp->apps.count, 0u);
	EXPECT_TRUE(hung_up(fd));
	close(fd);
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

/* ---- policy ---- */

TEST_F(App, Policy_UidNotListed_Refused)
{
	std::string other = "--allow_uids=" + std::to_string(getuid() + 1);
	again({other.c_str()});
	int fd = dial();
	EXPECT_TRUE(fd < 0 || hung_up(fd));
	EXPECT_EQ(sp->cnt.refuse_peer, 1u);
	close(fd);
	std::string own = other + "," + std::to_string(getuid());
	again({own.c_str()});
	fd = dial();
	EXPECT_FALSE(hung_up(fd));
	close(fd);
	std::string group = "--allow_gids=" + std::to_string(getgid());
	again({other.c_str(), group.c_str()});
	fd = dial();
	EXPECT_FALSE(hung_up(fd));
	close(fd);
}

TEST_F(App, Policy_TooMany_Refused)
{
	again({"--max_programs=3"});
	std::vector<int> fds;
	for (int i = 0; i < 4; i++)
		fds.push_back(dial());
	EXPECT_TRUE(hung_up(fds[3]));
	EXPECT_FALSE(hung_up(fds[2]));
	for (int fd : fds)
		close(fd);
}

/* One user's processes, idle or hostile, do not keep the others out. */
TEST_F(App, Policy_OneUser_LeavesRoomForOthers)
{
	if (getuid() != 0)
		GTEST_SKIP() << "needs another user's processes";
	again({"--max_programs=8", "--socket_mode=0666"});
	chmod(dir.c_str(), 0755);
	int go[2], done[2];
	ASSERT_EQ(pipe(go), 0);
	ASSERT_EQ(pipe(done), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct sockaddr_un sa = {};
		char c;
		sa.sun_family = AF_UNIX;
		strcpy(sa.sun_path, path.c_str());
		if (setresuid(65534, 65534, 65534) != 0)
			_exit(1);
		for (int i = 0; i < 8; i++) {
			int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
			if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0)
				_exit(2);
		}
		_exit(write(done[1], "x", 1) == 1 && read(go[0], &c, 1) == 1 ? 0 : 3);
	}
	char c;
	ASSERT_EQ(read(done[0], &c, 1), 1);
	steps();
	EXPECT_EQ(sp->apps.count, 6u);
	EXPECT_EQ(sp->cnt.refuse_peer, 2u);
	int fd = dial();
	EXPECT_EQ(ask(fd, TAS_CMD_HELLO).m.status, 0);
	EXPECT_EQ(write(go[1], "x", 1), 1);
	int status = -1;
	waitpid(pid, &status, 0);
	EXPECT_EQ(status, 0);
	for (int f : {fd, go[0], go[1], done[0], done[1]})
		close(f);
}

TEST_F(App, Policy_Draining_Refused)
{
	sp_drain(sp);
	int fd = dial();
	EXPECT_TRUE(hung_up(fd));
	close(fd);
}

TEST_F(App, Socket_SecondDaemon_Refused_StaleReplaced)
{
	EXPECT_EQ(sp_door_clear(path.c_str()), -EADDRINUSE);
	struct stat st;
	ASSERT_EQ(stat(path.c_str(), &st), 0);
	EXPECT_EQ(st.st_mode & 0777, 0660u);
	sp_loop_del(sp, &sp->apps.listen_src);
	close(sp->apps.listen_fd); /* as a killed daemon leaves it */
	EXPECT_EQ(sp_apps_init(sp), 0);
	close(dial());
	sp_apps_close(sp);
	FILE *f = fopen(path.c_str(), "w");
	fclose(f);
	EXPECT_EQ(sp_apps_init(sp), -EEXIST);
	EXPECT_EQ(access(path.c_str(), F_OK), 0);
}

TEST_F(App, Socket_NoSuchGroup_LeavesNothing)
{
	sp_apps_close(sp);
	strcpy(sp->conf.socket_group, "no-such-group");
	EXPECT_EQ(sp_apps_init(sp), -ESRCH);
	EXPECT_NE(access(path.c_str(), F_OK), 0);
}

/* A daemon whose queue of connections is full is there all the same. */
TEST_F(App, Socket_BusyDaemon_IsNotWaitedFor)
{
	std::string busy = dir + "/busy";
	struct sockaddr_un sa = {};
	sa.sun_family = AF_UNIX;
	strcpy(sa.sun_path, busy.c_str());
	int door = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), fds[3];
	ASSERT_EQ(bind(door, (struct sockaddr *)&sa, sizeof(sa)), 0);
	ASSERT_EQ(listen(door, 0), 0);
	for (int &fd : fds) {
		fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		connect(fd, (struct sockaddr *)&sa, sizeof(sa));
	}
	EXPECT_EQ(sp_door_clear(busy.c_str()), -EADDRINUSE);
	for (int fd : fds)
		close(fd);
	close(door);
	EXPECT_EQ(sp_door_clear(busy.c_str()), 0);
	EXPECT_NE(access(busy.c_str(), F_OK), 0);
}

/* Out of descriptors: the door rests and does not spin; a second later it is open again. */
TEST_F(App, Socket_NoDescriptors_RestsUntilTheTick)
{
	struct rlimit was;
	ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &was), 0);
	struct sockaddr_un sa = {};
	sa.sun_family = AF_UNIX;
	strcpy(sa.sun_path, path.c_str());
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	ASSERT_EQ(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	struct rlimit none = {3, was.rlim_max};
	ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
	EXPECT_EQ(sp_loop_step(sp, 0), 1);
	EXPECT_EQ(sp_loop_step(sp, 0), 0);
	setrlimit(RLIMIT_NOFILE, &was);
	EXPECT_EQ(sp_loop_step(sp, 0), 0);
	fake_advance(sp, 2 * FAKE_SECOND);
	EXPECT_EQ(sp_loop_step(sp, 0), 1);
	EXPECT_EQ(sp->apps.count, 1u);
	close(fd);
}

/* ---- listening ---- */

TEST_F(App, Bind_SaysWhose)
{
	int fd = join();
	const struct {
		uint32_t v4;
		int status;
	} cases[] = {{fake_addr(2), 0}, {0, 1}, {fake_addr(9), -EADDRNOTAVAIL},
		{htonl(INADDR_LOOPBACK), -EADDRNOTAVAIL}};
	for (auto &k : cases) {
		int h = handle(k.v4, 7001);
		ASSERT_GE(h, 0);
		Reply r = ask(fd, message(TAS_CMD_BIND), {h});
		EXPECT_EQ(r.m.status, k.status);
		EXPECT_EQ(ntohs(r.m.lport), k.status >= 0 ? 7001 : ntohs(r.m.lport));
		close(h);
	}
	close(fd);
}

TEST_F(App, Bind_V6)
{
	int fd = join(), off = 0, on = 1;
	for (int v6only : {0, 1}) {
		struct sockaddr_in6 sa = {};
		int h = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (h < 0)
			GTEST_SKIP() << "no IPv6 in this kernel";
		setsockopt(h, IPPROTO_IPV6, 26, v6only ? &on : &off, sizeof(on));
		sa.sin6_family = AF_INET6;
		sa.sin6_port = htons(7002);
		ASSERT_EQ(bind(h, (struct sockaddr *)&sa, sizeof(sa)), 0);
		EXPECT_EQ(
			ask(fd, message(TAS_CMD_BIND), {h}).m.status, v6only ? -EADDRNOTAVAIL : 1);
		close(h);
	}
	close(fd);
}

TEST_F(App, Handle_NotATcpSocket_Refused)
{
	int fd = join();
	int pair[2];
	ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	int udp = socket(AF_INET, SOCK_DGRAM, 0), file = open("/dev/null", O_RDONLY);
	for (int bad : {pair[0], udp, file})
		EXPECT_EQ(ask(fd, message(TAS_CMD_LISTEN), {bad}).m.status, -ENOTSOCK);
	EXPECT_EQ(ask(fd, message(TAS_CMD_LISTEN)).m.status, -EPROTO); /* none at all */
	EXPECT_EQ(sp->cnt.refuse_handle, 3u);
	for (int f : {pair[0], pair[1], udp, file, fd})
		close(f);
}

TEST_F(App, Listen_SegmentIsTheListeners)
{
	int fd = join();
	int h = handle(fake_addr(2), 7003);
	struct tas_msg m = message(TAS_CMD_LISTEN);
	m.aux = 100;
	Reply r = ask(fd, m, {h});
	ASSERT_EQ(r.m.status, 0);
	ASSERT_EQ(r.fds.size(), 1u);
	auto *seg = (struct tas_listen *)mmap(
		nullptr, r.m.len, PROT_READ | PROT_WRITE, MAP_SHARED, r.fds[0], 0);
	ASSERT_NE(seg, MAP_FAILED);
	EXPECT_EQ(seg->magic, TAS_LISTEN_MAGIC);
	EXPECT_EQ(seg->backlog, 512u); /* places, with room for more */
	EXPECT_EQ(seg->listener, r.m.id);
	EXPECT_EQ(ntohs(seg->lport), 7003);
	EXPECT_EQ(sp_listener_get(sp, r.m.id)->backlog, 100u);
	/* again: the same listener, another backlog */
	m.aux = 5;
	Reply r2 = ask(fd, m, {h});
	EXPECT_EQ(r2.m.id, r.m.id);
	EXPECT_EQ(sp_listener_get(sp, r.m.id)->backlog, 5u);
	m.aux = ~0ull;
	ask(fd, m, {h});
	EXPECT_EQ(sp_listener_get(sp, r.m.id)->backlog, 511u);
	/* gone: the segment says so */
	struct tas_msg u = message(TAS_CMD_UNLISTEN);
	u.id = r.m.id;
	EXPECT_EQ(ask(fd, u).m.status, 0);
	EXPECT_EQ(seg->state, TAS_SOCK_ERROR);
	EXPECT_EQ(ask(fd, u).m.status, -ENOENT);
	munmap(seg, r.m.len);
	close(h);
	close(fd);
}

TEST_F(App, Listen_NotBoundOrNotOurs_Refused)
{
	int fd = join();
	int unbound = handle(0, 0), other = handle(fake_addr(9), 7004);
	EXPECT_EQ(ask(fd, message(TAS_CMD_LISTEN), {unbound}).m.status, -EINVAL);
	EXPECT_EQ(ask(fd, message(TAS_CMD_LISTEN), {other}).m.status, -EADDRNOTAVAIL);
	close(unbound);
	close(other);
	close(fd);
}

TEST_F(App, Listen_Limit)
{
	again({"--program_listeners=2"});
	int fd = join();
	std::vector<int> hs;
	for (uint16_t i = 0; i < 3; i++) {
		hs.push_back(handle(fake_addr(2), (uint16_t)(7010 + i)));
		EXPECT_EQ(ask(fd, message(TAS_CMD_LISTEN), {hs.back()}).m.status,
			i < 2 ? 0 : -ENOBUFS);
	}
	for (int h : hs)
		close(h);
	close(fd);
}

/* ---- the address of one who is gone ---- */

/* A process that has ended. */
static int ended_pidfd()
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd p = {fd, POLLIN, 0};
	poll(&p, 1, 20000);
	waitpid(pid, nullptr, 0);
	return fd;
}

TEST_F(App, Listen_HolderAlive_AddressInUse)
{
	int a = join(), b = join();
	int ha = handle(fake_addr(2), 7101), hb = handle(fake_addr(2), 7101);
	ASSERT_GE(hb, 0); /* SO_REUSEADDR: bound twice, until one listens */
	Reply l = ask(a, message(TAS_CMD_LISTEN), {ha});
	ASSERT_EQ(l.m.status, 0);
	EXPECT_EQ(ask(b, message(TAS_CMD_LISTEN), {hb}).m.status, -EADDRINUSE);
	EXPECT_EQ(sp_listener_get(sp, l.m.id)->nholders, 1u);
	for (int fd : {ha, hb, a, b})
		close(fd);
}

TEST_F(App, Listen_HolderEndedUnseen_AddressIsFree)
{
	uint32_t ida, idc;
	int a = join(&ida), b = join(), c = join(&idc);
	int ha = handle(fake_addr(2), 7102), hb = handle(fake_addr(2), 7102);
	Reply l = ask(a, message(TAS_CMD_LISTEN), {ha});
	ASSERT_EQ(ask(c, message(TAS_CMD_JOIN), {ha}).m.status, 0);
	struct sp_app *app = sp_app_get(sp, ida);
	close(app->pidfd); /* the loop watches nothing: it has not come to it */
	app->pidfd = ended_pidfd();
	EXPECT_EQ(ask(b, message(TAS_CMD_LISTEN), {hb}).m.status, -EADDRINUSE) << "one lives";
	EXPECT_EQ(sp_listener_get(sp, l.m.id)->nholders, 1u);
	app = sp_app_get(sp, idc);
	close(app->pidfd);
	app->pidfd = ended_pidfd();
	Reply m = ask(b, message(TAS_CMD_LISTEN), {hb});
	EXPECT_EQ(m.m.status, 0);
	EXPECT_EQ(sp->listeners.count, 1u);
	EXPECT_EQ(sp_listener_get(sp, m.m.id)->cookie != 0, true);
	EXPECT_EQ(app->nlisteners, 0u);
	for (int fd : {ha, hb, a, b, c})
		close(fd);
}

TEST_F(App, Listen_ConnectionHungUpUnseen_AddressIsFree)
{
	int a = join(), b = join();
	int ha = handle(fake_addr(2), 7103), hb = handle(fake_addr(2), 7103);
	struct tas_msg m = message(TAS_CMD_LISTEN);
	ASSERT_EQ(ask(a, m, {ha}).m.status, 0);
	ASSERT_TRUE(put(b, &m, sizeof(m), {hb}));
	close(a); /* exec does so; both are news of one round, in whatever order */
	steps();
	EXPECT_EQ(get(b).m.status, 0);
	EXPECT_EQ(sp->listeners.count, 1u);
	for (int fd : {ha, hb, b})
		close(fd);
}

/* It cannot listen while another does: that one's socket has gone, whatever its process says. */
TEST_F(App, Listen_KernelLetsItListen_AddressIsFree)
{
	int a = join(), b = join();
	int ha = handle(fake_addr(2), 7104), hb = handle(fake_addr(2), 7104);
	ASSERT_EQ(listen(ha, 1), 0);
	Reply l = ask(a, message(TAS_CMD_LISTEN), {ha});
	ASSERT_EQ(l.m.status, 0);
	EXPECT_NE(listen(hb, 1), 0);
	EXPECT_EQ(ask(b, message(TAS_CMD_LISTEN), {hb}).m.status, -EADDRINUSE);
	close(ha);
	ASSERT_EQ(listen(hb, 1), 0);
	Reply m = ask(b, message(TAS_CMD_LISTEN), {hb});
	EXPECT_EQ(m.m.status, 0);
	EXPECT_EQ(sp->listeners.count, 1u);
	for (int fd : {hb, a, b})
		close(fd);
}

/* On a device of its own it can listen beside others: that proves nothing. */
TEST_F(App, Listen_BoundToDevice_AddressInUse)
{
	int a = join(), b = join();
	int ha = handle(fake_addr(2), 7105), hb = handle(fake_addr(2), 7105);
	ASSERT_EQ(setsockopt(hb, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3), 0);
	ASSERT_EQ(ask(a, message(TAS_CMD_LISTEN), {ha}).m.status, 0);
	ASSERT_EQ(listen(hb, 1), 0);
	EXPECT_EQ(ask(b, message(TAS_CMD_LISTEN), {hb}).m.status, -EADDRINUSE);
	for (int fd : {ha, hb, a, b})
		close(fd);
}

TEST_F(App, Join_ByDescriptor_SameListener)
{
	int a = join(), b = join();
	int h = handle(fake_addr(2), 7005), stranger = handle(fake_addr(2), 7006);
	Reply l = ask(a, message(TAS_CMD_LISTEN), {h});
	Reply j = ask(b, message(TAS_CMD_JOIN), {h});
	EXPECT_EQ(j.m.status, 0);
	EXPECT_EQ(j.m.id, l.m.id);
	EXPECT_EQ(sp_listener_get(sp, l.m.id)->nholders, 2u);
	EXPECT_EQ(ask(b, message(TAS_CMD_JOIN), {stranger}).m.status, -ENOENT);
	close(a);
	steps();
	EXPECT_EQ(sp_listener_get(sp, l.m.id)->nholders, 1u);
	close(b);
	steps();
	EXPECT_EQ(sp->listeners.count, 0u);
	close(h);
	close(stranger);
}

TEST_F(App, Unlisten_NotAHolder_Refused)
{
	int a = join(), b = join(), h = handle(fake_addr(2), 7007);
	Reply l = ask(a, message(TAS_CMD_LISTEN), {h});
	for (uint16_t type : {TAS_CMD_UNLISTEN, TAS_CMD_REWAKE}) {
		struct tas_msg m = message(type);
		m.id = l.m.id;
		EXPECT_EQ(ask(b, m).m.status, -ENOENT);
		m.id = 0xffffffff;
		EXPECT_EQ(ask(b, m).m.status, -ENOENT);
	}
	EXPECT_EQ(sp->listeners.count, 1u);
	close(a);
	close(b);
	close(h);
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

/* ---- connecting ---- */

TEST_F(App, Connect_ReplyNamesFlowAndGeneration_CancelFrees)
{
	uint32_t id;
	int a = join(&id), h = handle(0, 0);
	struct tas_msg m = message(TAS_CMD_CONNECT);
	tas_addr_from_v4(m.raddr, fake_addr(1));
	m.rport = htons(80);
	m.slot = 12;
	Reply r = ask(a, m, {h});
	ASSERT_EQ(r.m.status, 0);
	struct sp_conn *c = sp_conn_get(sp, r.m.id);
	ASSERT_NE(c, nullptr);
	EXPECT_EQ(c->gen, r.m.aux);
	EXPECT_EQ(tas_addr_v4(r.m.laddr), fake_addr(2));
	EXPECT_EQ(c->tuple.lport, r.m.lport);
	EXPECT_EQ(ask(a, m, {h}).m.status, -EBUSY);

	struct tas_msg k = message(TAS_CMD_CANCEL);
	k.slot = 12;
	k.aux = r.m.aux + 1;
	EXPECT_EQ(ask(a, k).m.status, -EALREADY);
	k.aux = r.m.aux;
	EXPECT_EQ(ask(a, k).m.status, 0);
	EXPECT_EQ(slot(sp_app_get(sp, id), 12)->state, TAS_SOCK_ERROR | TAS_SOCK_FREE);
	EXPECT_EQ(slot(sp_app_get(sp, id), 12)->gen, (uint32_t)r.m.aux);
	k.slot = 1u << 30;
	EXPECT_EQ(ask(a, k).m.status, -EINVAL);
	close(a);
	close(h);
}

TEST_F(App, Connect_DestinationsNotForUs)
{
	int a = join(), h = handle(0, 0);
	const struct {
		uint32_t v4;
		uint16_t port;
		int status;
	} cases[] = {{fake_addr(2), 80, -EADDRNOTAVAIL}, {htonl(0x08080808), 80, -EADDRNOTAVAIL},
		{fake_addr(255), 80, -EADDRNOTAVAIL}, {htonl(0xe0000001), 80, -EADDRNOTAVAIL},
		{htonl(INADDR_LOOPBACK), 80, -EADDRNOTAVAIL}, {fake_addr(1), 0, -EINVAL}};
	for (auto &k : cases) {
		struct tas_msg m = message(TAS_CMD_CONNECT);
		tas_addr_from_v4(m.raddr, k.v4);
		m.rport = htons(k.port);
		EXPECT_EQ(ask(a, m, {h}).m.status, k.status) << ntohl(k.v4);
	}
	struct tas_msg m = message(TAS_CMD_CONNECT);
	m.raddr[0] = 0x20; /* IPv6 */
	m.rport = htons(80);
	EXPECT_EQ(ask(a, m, {h}).m.status, -EINVAL);
	close(a);
	close(h);
}

TEST_F(App, Connect_BoundHandle_KeepsPort_DeathDropsHandshake)
{
	uint32_t id;
	int a = join(&id), h = handle(fake_addr(2), 7020);
	struct tas_msg m = message(TAS_CMD_CONNECT);
	tas_addr_from_v4(m.raddr, fake_addr(1));
	m.rport = htons(80);
	Reply r = ask(a, m, {h});
	ASSERT_EQ(r.m.status, 0);
	EXPECT_EQ(ntohs(r.m.lport), 7020);
	close(a);
	steps();
	EXPECT_EQ(sp_arena_used(&sp->conns.conns), 0u);
	gone(id);
	EXPECT_EQ(sp->apps.count, 0u);
	close(h);
}

TEST_F(App, Setopt_Congestion_ListenersGoToConnectionsOpenOnesSwitch)
{
	uint32_t id;
	int a = join(&id), lh = handle(fake_addr(2), 7023);
	const uint32_t cubic = 1, dctcp = 2, reno = 3;
	struct tas_msg m = message(TAS_CMD_LISTEN), read = message(TAS_CMD_SETOPT);
	m.aux = 10;
	m.opts.cc = reno;
	Reply l = ask(a, m, {lh});
	ASSERT_EQ(l.m.status, 0);
	read.flags = TAS_OPT_LISTENER | TAS_OPT_READ;
	read.id = l.m.id;
	EXPECT_EQ(ask(a, read).m.opts.cc, reno);
	learn_peer();
	struct sp_conn *one = connect_peer(40000, 7023);
	ASSERT_NE(one, nullptr);
	EXPECT_STREQ(cc_algos[one->cc]->name, "reno");

	struct tas_msg set = message(TAS_CMD_SETOPT);
	set.flags = TAS_OPT_LISTENER;
	set.id = l.m.id;
	EXPECT_EQ(ask(a, set).m.status, 0); /* 0: the configuration's */
	EXPECT_EQ(ask(a, read).m.opts.cc, cubic);
	struct sp_conn *two = connect_peer(40001, 7023);
	EXPECT_STREQ(cc_algos[two->cc]->name, "cubic");
	EXPECT_STREQ(cc_algos[one->cc]->name, "reno"); /* as it began */

	fp_app(sp->fp, id)->slot_flow[3] = one->id;
	read.flags = TAS_OPT_READ;
	read.slot = set.slot = 3;
	read.aux = one->gen;
	EXPECT_EQ(ask(a, read).m.opts.cc, reno);
	set.flags = 0;
	set.aux = one->gen;
	set.opts.cc = dctcp;
	fake_forget();
	EXPECT_EQ(ask(a, set).m.status, 0);
	EXPECT_EQ(ask(a, read).m.opts.cc, dctcp);
	auto cc = messages(SP_CC_SET);
	ASSERT_EQ(cc.size(), 1u);
	EXPECT_TRUE(cc[0].u.cc.flags & CC_PACED);
	EXPECT_GT(cc[0].u.cc.pace_kbps, 0u);
	EXPECT_EQ(cc[0].u.cc.cwnd, 0u); /* goes on from what it has */
	EXPECT_EQ(cc[0].u.cc.ssthresh, 0u);
	EXPECT_EQ(ask(a, set).m.status, 0); /* the same again changes nothing */
	EXPECT_EQ(messages(SP_CC_SET).size(), 1u);
	for (uint32_t unknown : {4u, ~0u}) {
		set.opts.cc = unknown;
		EXPECT_EQ(ask(a, set).m.status, -EINVAL);
	}
	read.aux = set.aux = one->gen + 7; /* the slot has another connection by now */
	set.opts.cc = cubic;
	EXPECT_EQ(ask(a, set).m.status, -ENOENT);
	EXPECT_EQ(ask(a, read).m.status, -ENOENT);
	EXPECT_STREQ(cc_algos[one->cc]->name, "dctcp");
	close(a);
	close(lh);
}

TEST_F(App, Setopt_ReachesHandshakeListenerAndFlow)
{
	uint32_t id;
	int a = join(&id), h = handle(0, 0), lh = handle(fake_addr(2), 7021);
	struct tas_msg m = message(TAS_CMD_CONNECT);
	tas_addr_from_v4(m.raddr, fake_addr(1));
	m.rport = htons(80);
	m.slot = 2;
	Reply r = ask(a, m, {h});
	struct sp_conn *c = sp_conn_get(sp, r.m.id);
	struct tas_msg o = message(TAS_CMD_SETOPT);
	o.slot = 2;
	o.opts.keepalive = 1;
	EXPECT_EQ(ask(a, o).m.status, 0);
	EXPECT_EQ(c->opts.keepalive, 1u);
	EXPECT_EQ(c->opts.keepidle_s, 7200u); /* the daemon's default */
	learn_peer();
	receive(head(80, ntohs(c->tuple.lport), TCP_SYN | TCP_ACK, 9000, c->iss + 1));
	ASSERT_EQ(c->state, SP_CONN_OPEN);
	fp_app(sp->fp, id)->slot_flow[2] = c->id; /* as the core does */
	o.opts.keepidle_s = 5;
	EXPECT_EQ(ask(a, o).m.status, 0);
	auto msgs = messages(SP_FLOW_OPTS);
	ASSERT_EQ(msgs.size(), 1u);
	EXPECT_EQ(msgs[0].u.opts.keepidle_s, 5u);
	for (uint32_t bad : {40000u, ~0u}) {
		o.opts.keepidle_s = bad;
		EXPECT_EQ(ask(a, o).m.status, -EINVAL);
	}
	Reply l = ask(a, message(TAS_CMD_LISTEN), {lh});
	struct tas_msg lo = message(TAS_CMD_SETOPT);
	lo.flags = TAS_OPT_LISTENER;
	lo.id = l.m.id;
	lo.opts.maxseg = 1000;
	EXPECT_EQ(ask(a, lo).m.status, 0);
	EXPECT_EQ(sp_listener_get(sp, l.m.id)->opts.maxseg, 1000u);
	o.opts.keepidle_s = 5;
	o.slot = 60000;
	EXPECT_EQ(ask(a, o).m.status, -ENOENT);
	o.slot = ~0u;
	EXPECT_EQ(ask(a, o).m.status, -ENOENT);
	close(a);
	close(h);
	close(lh);
}

/* accept() is done in the program before a core has bound the connection: its options must not get lost. */
TEST_F(App, Setopt_ReachesAConnectionThatIsAcceptedAndNotBoundYet)
{
	uint32_t id, other;
	int a = join(&id), b = join(&other), lh = handle(fake_addr(2), 7022);
	Reply r = ask(a, message(TAS_CMD_LISTEN), {lh});
	ASSERT_EQ(r.m.status, 0);
	struct sp_listener *l = sp_listener_get(sp, r.m.id);
	struct sp_conn *c = connect_peer(40001, 7022);
	ASSERT_NE(c, nullptr);
	struct tas_msg o = message(TAS_CMD_SETOPT);
	o.slot = 3;
	o.id = c->id;
	o.aux = c->gen;
	o.opts.keepalive = 1;
	EXPECT_EQ(ask(a, o).m.status, -ENOENT) << "nobody has claimed it";
	l->seg->queue[c->accept_entry].word =
		TAS_ACCEPT_WORD(TAS_ACCEPT_TAKEN, id, c->accept_ticket);
	EXPECT_EQ(ask(b, o).m.status, -ENOENT) << "another program has";
	o.aux++;
	EXPECT_EQ(ask(a, o).m.status, -ENOENT) << "an older connection of that id";
	o.aux--;
	EXPECT_EQ(c->opts.keepalive, 0u);
	EXPECT_EQ(ask(a, o).m.status, 0);
	EXPECT_EQ(c->opts.keepalive, 1u);
	EXPECT_EQ(messages(SP_FLOW_OPTS).size(), 1u);
	EXPECT_EQ(sp_app_get(sp, id)->refused, 0u) << "what is gone is no refusal";
	EXPECT_EQ(sp_app_get(sp, other)->refused, 0u);
	o.opts.keepidle_s = 40000;
	EXPECT_EQ(ask(a, o).m.status, -EINVAL);
	EXPECT_EQ(sp_app_get(sp, id)->refused, 1u);
	close(a);
	close(b);
	close(lh);
}

TEST_F(App, Join_OfAListenerOfAnEarlierServiceIsCounted)
{
	uint32_t id;
	int a = join(&id), lh = handle(fake_addr(2), 7023);
	EXPECT_EQ(ask(a, message(TAS_CMD_JOIN), {lh}).m.status, -ENOENT);
	EXPECT_EQ(sp->cnt.refuse_join, 1u);
	EXPECT_EQ(sp_app_get(sp, id)->refused, 1u);
	close(a);
	close(lh);
}

TEST_F(App, Evq_OnlyEventfdsOfOwnQueues)
{
	int a = join();
	struct tas_msg m = message(TAS_CMD_EVQ);
	int ev = eventfd(0, EFD_CLOEXEC), file = open("/dev/null", O_RDWR), p[2];
	ASSERT_EQ(pipe(p), 0);
	EXPECT_EQ(ask(a, m, {ev}).m.status, 0);
	EXPECT_NE(fcntl(ev, F_GETFL) & O_NONBLOCK, 0);
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

TEST_F(App, Log_ReaderHasStopped_IsNotWaitedFor)
{
	int p[2], err = dup(2);
	char block[4096] = {};
	ASSERT_EQ(pipe2(p, O_NONBLOCK | O_CLOEXEC), 0);
	while (write(p[1], block, sizeof(block)) > 0)
		;
	fcntl(p[1], F_SETFL, 0);
	dup2(p[1], 2);
	sp_error("test", "nobody reads this");
	dup2(err, 2);
	for (int fd : {p[0], p[1], err})
		close(fd);
}

/* ---- malformed ---- */

TEST_F(App, Malformed_ThreeEndTheConnection)
{
	int fd = join();
	struct tas_msg m = message(TAS_CMD_SEGMENT);
	m.magic = 1;
	EXPECT_EQ(ask(fd, m).m.status, -EPROTO);
	ASSERT_TRUE(put(fd, "short", 5));
	steps();
	EXPECT_EQ(get(fd).m.status, -EPROTO);
	EXPECT_FALSE(hung_up(fd));
	char lng[400] = {};
	ASSERT_TRUE(put(fd, lng, sizeof(lng)));
	steps();
	EXPECT_EQ(get(fd).m.status, -EPROTO);
	EXPECT_TRUE(hung_up(fd));
	EXPECT_EQ(sp->cnt.refuse_msg, 3u);
	close(fd);
}

TEST_F(App, Malformed_TooManyDescriptors_NoneKept)
{
	int fd = join();
	int before = open_fds();
	std::vector<int> many(10, 0);
	struct tas_msg m = message(TAS_CMD_SEGMENT);
	EXPECT_LT(ask(fd, m, many).m.status, 0);
	EXPECT_LT(ask(fd, m, {0, 0}).m.status, 0);
	EXPECT_LT(ask(fd, message(TAS_CMD_LISTEN), {0, 0, 0}).m.status, 0);
	expect_fds(before);
	close(fd);
}

/*
 * A connected TCP socket over the loopback with bytes that its peer does not read: with SO_LINGER,
 * whoever closes it last waits for an hour.
 */
struct Lingering {
	int listener, peer, fd;

	Lingering()
	{
		struct sockaddr_in sa = {};
		socklen_t len = sizeof(sa);
		struct linger l = {1, 3600};
		char block[65536] = {};

		sa.sin_family = AF_INET;
		sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		bind(listener, (struct sockaddr *)&sa, sizeof(sa));
		listen(listener, 1);
		getsockname(listener, (struct sockaddr *)&sa, &len);
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		EXPECT_EQ(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
		peer = accept(listener, nullptr, nullptr);
		while (send(fd, block, sizeof(block), MSG_DONTWAIT) > 0)
			;
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	}
	~Lingering()
	{
		close(peer);
		close(listener);
	}
};

TEST_F(App, Passed_LingeringSocket_IsNotWaitedFor)
{
	Lingering l;
	int fd = join();
	ASSERT_TRUE(put(fd, std::vector<char>(sizeof(tas_msg)).data(), sizeof(tas_msg), {l.fd}));
	close(l.fd);
	steps();
	EXPECT_EQ(get(fd).m.status, -EPROTO);
	EXPECT_EQ(ask(fd, TAS_CMD_SEGMENT).m.status, 0);
	close(fd);
}

TEST_F(App, Passed_InMessagesNeverRead_IsNotWaitedFor)
{
	Lingering l;
	int fd = join();
	for (int i = 0; i < 3; i++)
		ASSERT_TRUE(put(fd, "short", 5));
	struct tas_msg m = message(TAS_CMD_BIND);
	ASSERT_TRUE(put(fd, &m, sizeof(m), {l.fd}));
	close(l.fd);
	steps();
	EXPECT_EQ(sp->cnt.apps_left, 1u);
	close(fd);
}

/* SO_LINGER set between our look and our close: the guard ends the wait. */
TEST_F(App, Guard_EndsAWait)
{
	Lingering l;
	sp_guard(sp);
	close(l.fd);
	sp_guard_off(sp);
	expect_fds(open_fds());
}

/* A file of FUSE that nobody serves well: close(2) of it waits for its server's answer to a flush. */
struct StuckFile {
	std::string path;
	int dev = -1, fd = -1;

	bool mount_at(const std::string &dir)
	{
		char opts[96];

		path = dir + "/stuck";
		close(open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
		dev = open("/dev/fuse", O_RDWR | O_CLOEXEC);
		snprintf(opts, sizeof(opts), "fd=%d,rootmode=100600,user_id=0,group_id=0", dev);
		if (dev < 0 || unshare(CLONE_NEWNS) != 0 ||
			mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
			return false;
		return mount("stuck", path.c_str(), "fuse", MS_NODEV, opts) == 0;
	}
	/* Answers INIT, GETATTR and OPEN; the flush that close() asks for is read and left lying. */
	void serve(int *flushes)
	{
		std::vector<char> in(1 << 20);
		ssize_t n;

		while ((n = read(dev, in.data(), in.size())) > 0) {
			auto *h = reinterpret_cast<struct fuse_in_header *>(in.data());
			struct {
				struct fuse_out_header head;
				union {
					struct fuse_init_out init;
					struct fuse_attr_out attr;
					struct fuse_open_out open;
				};
			} out = {};
			uint32_t len = 0;

			if (h->opcode == FUSE_FLUSH) {
				__atomic_fetch_add(flushes, 1, __ATOMIC_SEQ_CST);
				continue;
			}
			if (h->opcode == FUSE_INIT) {
				out.init.major = FUSE_KERNEL_VERSION;
				out.init.minor = 31;
				out.init.max_write = 4096;
				len = sizeof(out.init);
			} else if (h->opcode == FUSE_GETATTR) {
				out.attr.attr.mode = S_IFREG | 0600;
				out.attr.attr.nlink = 1;
				len = sizeof(out.attr);
			} else if (h->opcode == FUSE_OPEN) {
				len = sizeof(out.open);
			} else {
				out.head.error = -ENOSYS;
			}
			out.head.unique = h->unique;
			out.head.len = (uint32_t)sizeof(out.head) + len;
			if (h->opcode != FUSE_FORGET && write(dev, &out, out.head.len) < 0)
				continue;
		}
	}
};

TEST_F(App, Passed_FileThatDoesNotClose_HoldsNobodyUp)
{
	StuckFile file;
	int flushes = 0;
	if (!file.mount_at(dir))
		GTEST_SKIP() << "cannot mount FUSE here: " << strerror(errno);
	std::thread server([&] { file.serve(&flushes); });
	int stuck = open(file.path.c_str(), O_RDWR | O_CLOEXEC);
	ASSERT_GE(stuck, 0) << strerror(errno);
	int a = join(), b = join();
	struct tas_msg m = message(TAS_CMD_BIND);
	ASSERT_TRUE(put(a, &m, sizeof(m), {stuck}));
	steps();
	EXPECT_EQ(get(a).m.status, -ENOTSOCK);
	EXPECT_EQ(ask(b, TAS_CMD_SEGMENT).m.status, 0);
	for (int i = 0; i < 1000 && __atomic_load_n(&flushes, __ATOMIC_SEQ_CST) == 0; i++)
		usleep(10000);
	EXPECT_GE(flushes, 1); /* the thread that closes has asked */
	umount2(file.path.c_str(), MNT_FORCE | MNT_DETACH);
	close(file.dev);
	server.join();
	close(stuck);
	close(a);
	close(b);
	unlink(file.path.c_str());
}

TEST_F(App, RepliesNotRead_PutOut)
{
	int fd = join();
	struct tas_msg m = message(TAS_CMD_REWAKE);
	for (int i = 0; i < 20000 && put(fd, &m, sizeof(m)); i++)
		steps();
	EXPECT_EQ(sp->cnt.apps_left, 1u);
	close(fd);
}

/* ---- memory ---- */

/*
 * One life of a program: registers, gets memory, listens, connects, is connected to, leaves. What is refused is asked for
 * once more, as the failing allocation was one alone: then it must be granted.
 */
struct Life {
	uint64_t allocations = 0;
	int refused = 0;
	bool again_granted = true;
};

class Memory : public App
{
      protected:
	int fd = -1;
	Life life;

	int once(const struct tas_msg &m, const std::vector<int> &fds, uint32_t *id)
	{
		if (!put(fd, &m, sizeof(m), fds))
			return -EPIPE;
		steps();
		Reply r = get(fd);
		if (id != nullptr)
			*id = r.m.id;
		return r.got ? r.m.status : -EPIPE;
	}
	void say(const struct tas_msg &m, const std::vector<int> &fds = {}, uint32_t *id = nullptr)
	{
		if (once(m, fds, id) >= 0)
			return;
		life.refused++;
		if (hung_up(fd)) { /* a door that could not take us */
			close(fd);
			fake_advance(sp, 2 * FAKE_SECOND);
			fd = dial();
		}
		if (once(m, fds, id) < 0)
			life.again_granted = false;
	}
	void one(uint64_t fail_at)
	{
		uint32_t id = 0;
		int h = handle(fake_addr(2), 7100), out = handle(0, 0);
		struct tas_msg m = message(TAS_CMD_CONNECT), l = message(TAS_CMD_LISTEN);

		life = Life();
		l.aux = 16;
		tas_addr_from_v4(m.raddr, fake_addr(1));
		m.rport = htons(80);
		m.slot = 5;
		fp_alloc_fail(fail_at);
		fd = dial();
		say(message(TAS_CMD_HELLO), {}, &id);
		say(message(TAS_CMD_REGION));
		say(message(TAS_CMD_SEGMENT));
		say(l, {h});
		say(m, {out});
		connect_peer(4000, 7100);
		life.allocations = fp_alloc_fail(0);
		close(fd);
		close(h);
		close(out);
		steps();
		if (id != 0 && sp_app_get(sp, id) != nullptr)
			gone(id);
		end_flow();
		fake_advance(sp, 200 * FAKE_SECOND);
	}
	/* What the core says when it has reset the connection. */
	void end_flow()
	{
		struct tas_tuple t = tuple(7100, 4000);
		struct sp_conn *c = sp_conn_find(sp, &t);

		if (c != nullptr && c->state >= SP_CONN_OPEN)
			closed(c, FP_CLOSE_ABORTED);
	}
	static int mappings()
	{
		char line[512];
		int n = 0;
		FILE *f = fopen("/proc/self/maps", "r");

		while (fgets(line, sizeof(line), f) != nullptr)
			n += strstr(line, "/memfd:tas-") != nullptr;
		fclose(f);
		return n;
	}
};

TEST_F(Memory, EachAllocationFails_RefusedCleanly_NothingLeft)
{
	one(0);
	uint64_t total = life.allocations;
	EXPECT_EQ(life.refused, 0);
	ASSERT_GT(total, 12u); /* record, region, page, eventfds, arrays, segment, listener ... */
	fake_forget();
	int fds = open_fds(), maps = mappings(), refused = 0;

	for (uint64_t n = 1; n <= total; n++) {
		one(n);
		refused += life.refused > 0;
		EXPECT_TRUE(life.again_granted) << "allocation " << n << " of " << total;
		EXPECT_EQ(sp->apps.count, 0u) << n;
		EXPECT_EQ(sp->listeners.count, 0u) << n;
		EXPECT_EQ(sp->conns.nopen + sp->conns.nhalf, 0u) << n;
		EXPECT_EQ(mappings(), maps) << n;
		expect_fds(fds);
		fake_forget();
	}
	EXPECT_GE(refused, 12);
	one(0);
	EXPECT_EQ(life.refused, 0);
}

TEST_F(App, Fuzz_EveryFieldOfEveryMessage)
{
	uint32_t seed = 20240607;
	SCOPED_TRACE(seed);
	std::mt19937 rnd(seed);
	int before = open_fds();
	std::vector<int> bag = {handle(fake_addr(2), 7030), handle(fake_addr(2), 7031, true),
		handle(0, 7032), handle(0, 0), eventfd(0, EFD_CLOEXEC), open("/dev/null", O_RDWR)};
	uint32_t interesting[] = {0, 1, 2, 5, 15, 16, 63, 64, 80, 4095, 4096, 65535, 65536,
		0x7fffffff, 0x80000000, 0xffffffff};
	auto pick = [&] { return interesting[rnd() % 16]; };
	std::vector<int> socks;

	for (int i = 0; i < 20000; i++) {
		if (socks.size() < 4) {
			int fd = dial();
			if (fd >= 0 && rnd() % 8 != 0)
				ask(fd, TAS_CMD_HELLO);
			if (fd >= 0 && rnd() % 4 != 0)
				ask(fd, TAS_CMD_REGION);
			if (fd >= 0)
				socks.push_back(fd);
		}
		struct tas_msg m = message((uint16_t)(rnd() % (TAS_CMD_COUNT + 1)));
		auto *bytes = reinterpret_cast<uint8_t *>(&m);
		m.id = rnd() % 3 == 0 ? pick() : rnd() % 8;
		m.slot = rnd() % 3 == 0 ? pick() : rnd() % 8;
		m.aux = rnd() % 3 == 0 ? pick() : rnd() % 100;
		m.len = pick();
		m.flags = rnd() % 4;
		tas_addr_from_v4(m.raddr, fake_addr((uint8_t)(rnd() % 6)));
		m.rport = htons((uint16_t)(rnd() % 5));
		if (rnd() % 10 == 0)
			m.opts.rcvbuf = pick();
		if (rnd() % 10 == 0)
			m.opts.cc = pick();
		if (rnd() % 4 == 0)
			bytes[rnd() % sizeof(m)] = (uint8_t)rnd();
		std::vector<int> fds;
		for (uint32_t k = rnd() % 8 < 5 ? 1 : rnd() % 7; k > 0; k--)
			fds.push_back(bag[rnd() % bag.size()]);
		size_t len = rnd() % 50 == 0 ? rnd() % sizeof(m) : sizeof(m);
		int fd = socks[rnd() % socks.size()];
		put(fd, bytes, len, fds);
		steps();
		while (get(fd).got)
			;
		if (hung_up(fd) || rnd() % 200 == 0) {
			close(fd);
			for (size_t k = 0; k < socks.size(); k++) {
				if (socks[k] == fd) {
					socks.erase(socks.begin() + (long)k);
					break;
				}
			}
			steps();
		}
		for (uint32_t k = 0; k < fake_nmsgs; k++) { /* the cores answer */
			if (fake_msgs[k].m.type == SP_APP_DEL && fake_msgs[k].core == 0)
				gone(fake_msgs[k].m.id);
		}
		fake_forget();
		if (rnd() % 20 == 0)
			fake_advance(sp, 500000000);
	}
	for (int fd : socks)
		close(fd);
	steps();
	for (uint32_t k = 0; k < fake_nmsgs; k++) {
		if (fake_msgs[k].m.type == SP_APP_DEL && fake_msgs[k].core == 0)
			gone(fake_msgs[k].m.id);
	}
	fake_advance(sp, 80 * FAKE_SECOND);
	EXPECT_EQ(sp->apps.count, 0u);
	EXPECT_EQ(sp->listeners.count, 0u);
	EXPECT_EQ(sp_arena_used(&sp->conns.conns), 0u);
	EXPECT_GT(sp->cnt.refuse_msg, 100u);
	for (int fd : bag)
		close(fd);
	expect_fds(before);
}

} // namespace
