/*
 * Registration: the socket itself, and who is let in.
 */
#include <cerrno>
#include <sys/resource.h>
#include <sys/wait.h>
#include "app_peer.h"

namespace
{

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

/* A child is no new program: it goes on with what its parent has, and has its place. */
class Children : public App
{
      protected:
	struct tas_msg hello = message(TAS_CMD_HELLO);

	void announce(int parent)
	{
		Reply r = ask(parent, TAS_CMD_FORK);

		EXPECT_EQ(r.m.status, 0);
		memcpy(hello.token, r.m.token, sizeof(hello.token));
	}
	void expect_only_a_child()
	{
		int other = dial();
		EXPECT_EQ(ask(other, TAS_CMD_HELLO).m.status, -EUSERS);
		EXPECT_EQ(sp->cnt.refuse_peer, 1u);
		int second = dial(); /* one child is awaited, and one connection is let in */
		EXPECT_TRUE(hung_up(second));
		close(second);
		EXPECT_EQ(sp->cnt.refuse_peer, 2u);
		close(other);
		steps();

		int child = dial();
		EXPECT_EQ(ask(child, hello).m.status, 0);
		EXPECT_EQ(ask(child, TAS_CMD_REGION).m.status, 0);
		other = dial();
		EXPECT_TRUE(hung_up(other));
		EXPECT_EQ(sp->cnt.refuse_peer, 3u);
		close(other);
		close(child);
	}
};

TEST_F(Children, Draining_ComeAndNobodyElse)
{
	int fd = join();
	sp_drain(sp);
	announce(fd);
	expect_only_a_child();
	close(fd);
}

TEST_F(Children, LastPlace_ComeAndNobodyElse)
{
	again({"--max_programs=2"});
	int fd = join();
	announce(fd);
	expect_only_a_child();
	close(fd);
}

TEST_F(Children, LastPlaceTaken_Refused)
{
	again({"--max_programs=2"});
	int fd = join(), other = join();
	EXPECT_EQ(ask(fd, TAS_CMD_FORK).m.status, -ENOBUFS);
	close(fd);
	close(other);
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

} // namespace
