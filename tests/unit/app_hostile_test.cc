/*
 * Registration: malformed messages of all kinds, descriptors that hold whoever closes them, programs
 * that do not read.
 */
#include <cerrno>
#include <linux/fuse.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <thread>
#include "fuzz/commands_input.h"

namespace
{

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

/* The service's own shortage of descriptors is no fault of the program's. */
TEST_F(App, NoDescriptorsLeft_RefusedAndNotPutOut)
{
	std::vector<int> fill;
	struct rlimit old, low;
	std::vector<Reply> replies;
	int fd = join(), h = handle(0, 0), d;
	ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = 256;
	ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
	while ((d = dup(fd)) >= 0)
		fill.push_back(d);
	for (int i = 0; i < 4; i++) /* more than malformed ones may be */
		replies.push_back(ask(fd, message(TAS_CMD_BIND), {h}));
	setrlimit(RLIMIT_NOFILE, &old);
	for (int f : fill)
		close(f);
	for (auto &r : replies) { /* else the program gives the service up */
		EXPECT_EQ(r.m.status, -ENOBUFS);
		EXPECT_EQ(r.m.type, TAS_CMD_BIND);
		EXPECT_EQ(r.m.seq, 77u);
	}
	EXPECT_EQ(sp->cnt.refuse_limit, 4u);
	EXPECT_EQ(sp->cnt.refuse_msg, 0u);
	EXPECT_EQ(ask(fd, message(TAS_CMD_BIND), {h}).m.status, 1);
	close(fd);
	close(h);
}

TEST_F(App, Malformed_TooManyDescriptors_NoneKept)
{
	uint32_t id;
	int fd = join(&id);
	int before = open_fds();
	std::vector<int> many(10, 0);
	struct tas_msg m = message(TAS_CMD_SEGMENT);
	EXPECT_LT(ask(fd, m, many).m.status, 0);
	EXPECT_EQ(sp_app_get(sp, id)->malformed, 1u);
	EXPECT_LT(ask(fd, m, {0, 0}).m.status, 0);
	EXPECT_LT(ask(fd, message(TAS_CMD_LISTEN), {0, 0, 0}).m.status, 0);
	expect_fds(before);
	close(fd);
}

class Commands : public CommandsInput
{
      protected:
	Commands() : CommandsInput(Numbers(20240607))
	{
	}
};

TEST_F(Commands, Fuzz_EveryFieldOfEveryMessage)
{
	int before = open_fds();

	fill_bag();
	for (int i = 0; i < 20000; i++)
		step();
	leave();
	EXPECT_GT(sp->cnt.refuse_msg, 100u);
	expect_fds(before);
}

/* ---- nobody is waited for ---- */

TEST_F(App, RepliesNotRead_PutOut)
{
	int fd = join();
	struct tas_msg m = message(TAS_CMD_REWAKE);
	for (int i = 0; i < 20000 && put(fd, &m, sizeof(m)); i++)
		steps();
	EXPECT_EQ(sp->cnt.apps_left, 1u);
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

/* ---- descriptors that are passed ---- */

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

/* More descriptors than the kernel could be left to close inside recvmsg(2). */
TEST_F(App, Passed_TooManyLingeringSockets_AreNotWaitedFor)
{
	int fd = join();
	Lingering l[6];
	std::vector<int> fds;
	for (auto &one : l)
		fds.push_back(one.fd);
	struct tas_msg m = message(TAS_CMD_SEGMENT);
	ASSERT_TRUE(put(fd, &m, sizeof(m), fds));
	for (int one : fds)
		close(one);
	steps();
	EXPECT_EQ(get(fd).m.status, -EPROTO);
	EXPECT_EQ(sp->cnt.refuse_msg, 1u);
	EXPECT_EQ(ask(fd, TAS_CMD_SEGMENT).m.status, 0);
	close(fd);
}

/* Its close(2) would take an hour, and what is passed next waits for that. */
TEST_F(App, Passed_BehindLingeringSocket_IsClosedSoon)
{
	Lingering l;
	int fd = join(), e = eventfd(0, EFD_CLOEXEC), before = open_fds();
	struct tas_msg m = message(TAS_CMD_BIND);
	ASSERT_TRUE(put(fd, &m, sizeof(m), {l.fd}));
	close(l.fd);
	steps();
	EXPECT_EQ(get(fd).m.status, -EADDRNOTAVAIL);
	EXPECT_EQ(ask(fd, m, {e}).m.status, -ENOTSOCK);
	expect_fds(before - 1);
	close(fd);
	close(e);
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

/* SO_LINGER set between our look and our close: the guard ends the wait, else it lasts an hour. */
TEST_F(App, Guard_EndsAWait)
{
	Lingering l;
	sp_guard(sp);
	close(l.fd);
	sp_guard_off(sp);
	EXPECT_LT(fcntl(l.fd, F_GETFD), 0);
}

/* A file of FUSE that nobody serves well: close(2) of it waits for its server's answer to a flush. */
struct StuckFile {
	std::string path;
	int dev = -1, fd = -1, flushes = 0;
	std::thread server;

	bool mount_at(const std::string &dir)
	{
		char opts[96];

		path = dir + "/stuck";
		close(open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
		dev = open("/dev/fuse", O_RDWR | O_CLOEXEC);
		snprintf(opts, sizeof(opts), "fd=%d,rootmode=100600,user_id=0,group_id=0", dev);
		if (dev < 0 || unshare(CLONE_NEWNS) != 0 ||
			mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
			mount("stuck", path.c_str(), "fuse", MS_NODEV, opts) != 0)
			return false;
		server = std::thread([this] { serve(); });
		fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
		EXPECT_GE(fd, 0) << strerror(errno);
		return true;
	}
	/* Whoever waits for it goes on. */
	void release()
	{
		umount2(path.c_str(), MNT_FORCE | MNT_DETACH);
		unlink(path.c_str());
		server.join();
		server = std::thread();
	}
	~StuckFile()
	{
		if (server.joinable())
			release();
		for (int one : {dev, fd}) {
			if (one >= 0)
				close(one);
		}
		unlink(path.c_str());
	}
	/* A thread that closes it hangs. */
	bool is_asked() const
	{
		for (int i = 0; i < 1000 && tas_load(&flushes) == 0; i++)
			usleep(10000);
		return tas_load(&flushes) != 0;
	}

      private:
	/* Answers INIT, GETATTR and OPEN; the flush that close() asks for is read and left lying. */
	void serve()
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
				tas_fetch_add(&flushes, 1);
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
	if (!file.mount_at(dir))
		GTEST_SKIP() << "cannot mount FUSE here: " << strerror(errno);
	int a = join(), b = join();
	EXPECT_EQ(ask(a, message(TAS_CMD_BIND), {file.fd}).m.status, -ENOTSOCK);
	EXPECT_EQ(ask(b, TAS_CMD_SEGMENT).m.status, 0);
	EXPECT_TRUE(file.is_asked());
	close(a);
	close(b);
}

/* Another user than the tests': what its programs pass is counted apart. */
class Stranger : public App
{
      protected:
	uid_t uid; /* its own in each test: what one has left may still be being closed */
	StuckFile file;

	Stranger()
	{
		static uid_t next = 60000;

		uid = next++;
	}

	void SetUp() override
	{
		App::SetUp();
		ASSERT_EQ(chmod(dir.c_str(), 0711), 0);
		ASSERT_EQ(chmod(path.c_str(), 0666), 0);
		if (geteuid() != 0 || !file.mount_at(dir))
			GTEST_SKIP() << "cannot mount FUSE here: " << strerror(errno);
	}
	void TearDown() override
	{
		if (file.server.joinable())
			file.release(); /* else its folder is not empty */
		App::TearDown();
	}
	/* This thread alone: glibc's seteuid() waits for all threads, and one hangs in close(2). */
	static void become(uid_t who)
	{
		EXPECT_EQ(syscall(SYS_setresuid, -1, who, -1), 0);
	}
	int stranger()
	{
		become(uid);
		int fd = dial();
		become(0);
		return fd;
	}
	int stranger_joins()
	{
		int fd = stranger();

		EXPECT_EQ(ask(fd, TAS_CMD_HELLO).m.status, 0);
		return fd;
	}
	/* It passes what does not close, and then more and more until it is put out. */
	void fill(int fd)
	{
		int e = eventfd(0, EFD_CLOEXEC);

		EXPECT_EQ(ask(fd, message(TAS_CMD_BIND), {file.fd}).m.status, -ENOTSOCK);
		EXPECT_TRUE(file.is_asked());
		for (int i = 0; i < 1000 && !hung_up(fd); i++)
			EXPECT_EQ(ask(fd, message(TAS_CMD_BIND), {e}).m.status, -ENOTSOCK);
		EXPECT_TRUE(hung_up(fd));
		close(e);
	}
};

TEST_F(Stranger, PassesWhatDoesNotClose_OthersStay)
{
	Lingering l;
	int good = join(), bad = stranger_joins(), e = eventfd(0, EFD_CLOEXEC);
	fill(bad);
	int before = open_fds();
	EXPECT_EQ(ask(good, message(TAS_CMD_BIND), {e}).m.status, -ENOTSOCK);
	struct tas_msg m = message(TAS_CMD_BIND);
	ASSERT_TRUE(put(good, &m, sizeof(m), {l.fd}));
	close(l.fd);
	steps();
	EXPECT_EQ(get(good).m.status, -EADDRNOTAVAIL);
	EXPECT_FALSE(hung_up(good));
	expect_fds(before - 1); /* another thread closes for this user */
	for (int fd : {good, bad, e})
		close(fd);
}

TEST_F(Stranger, PassesWhatDoesNotClose_NoMoreIsTaken)
{
	int bad = stranger_joins(), idle = stranger_joins(), other = stranger_joins(),
	    e = eventfd(0, EFD_CLOEXEC), late;
	fill(bad);
	steps();
	int before = open_fds();
	EXPECT_EQ(ask(idle, message(TAS_CMD_SETOPT)).m.status, -ENOENT); /* passes nothing */
	EXPECT_FALSE(hung_up(idle));
	EXPECT_EQ(ask(other, message(TAS_CMD_BIND), std::vector<int>(16, e)).m.status, -ENOBUFS);
	EXPECT_TRUE(hung_up(other));
	late = stranger();
	EXPECT_TRUE(hung_up(late));
	EXPECT_EQ(sp->cnt.refuse_peer, 1u);
	close(late);
	EXPECT_LT(open_fds(), before);

	file.release(); /* all of them are closed now, and there is room again */
	for (int i = 0; i < 1000 && hung_up(late = stranger()); i++) {
		close(late);
		usleep(10000);
	}
	EXPECT_FALSE(hung_up(late));
	for (int fd : {bad, idle, other, e, late})
		close(fd);
}

} // namespace
