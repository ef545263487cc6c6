/*
 * Registration of a fork child on the connection that FORK made for it: what its parent was let in for, the child goes on with, whoever
 * it is by then; and nobody can take its place.
 */
#include <cerrno>
#include <sys/wait.h>
#include "app_peer.h"

namespace
{

class Child : public App
{
      protected:
	int parent = -1, own = -1;
	struct tas_msg hello = message(TAS_CMD_HELLO);

	void announce()
	{
		struct tas_msg m = message(TAS_CMD_FORK);

		m.flags = TAS_FORK_SOCKET;
		parent = join();
		Reply r = ask(parent, m);
		ASSERT_EQ(r.m.status, 0);
		ASSERT_EQ(r.fds.size(), 1u);
		own = dup(r.fds[0]);
		memcpy(hello.token, r.m.token, sizeof(hello.token));
	}
	void TearDown() override
	{
		close(parent);
		close(own);
		App::TearDown();
	}
};

TEST_F(Child, Hello_OnItsConnection_IsTheSenderOfTheMessage)
{
	announce();
	int status;
	pid_t pid = fork();
	if (pid == 0)
		_exit(send(own, &hello, sizeof(hello), 0) == (ssize_t)sizeof(hello) &&
					usleep(0) == 0 &&
					recv(own, &hello, sizeof(hello), 0) ==
						(ssize_t)sizeof(hello)
				? hello.status
				: 99);
	int up = 0;
	for (int i = 0; i < 20000 && !up; i++) {
		struct sp_app *app = sp_app_get(sp, 2);
		steps();
		up = app != nullptr && app->state == SP_APP_GREETED && app->pid == (uint32_t)pid;
		usleep(500);
	}
	EXPECT_TRUE(up);
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
	steps();
	EXPECT_EQ(sp->apps.count,
		1u); /* its end is known by its pid: the test still holds the connection */
}

TEST_F(Child, OtherCommands_BeforeHello_Refused)
{
	announce();
	EXPECT_EQ(ask(own, TAS_CMD_REGION).m.status, -EPROTO);
	EXPECT_EQ(ask(own, TAS_CMD_FORK).m.status, -EPROTO);
	EXPECT_EQ(ask(own, hello).m.status, 0);
	EXPECT_EQ(ask(own, TAS_CMD_REGION).m.status, 0);
	EXPECT_EQ(ask(own, hello).m.status, -EALREADY);
}

TEST_F(Child, Hello_WithoutItsToken_Refused)
{
	announce();
	EXPECT_EQ(ask(own, TAS_CMD_HELLO).m.status, -ENOENT);
	hello.token[0] ^= 1;
	EXPECT_EQ(ask(own, hello).m.status, -ENOENT);
	hello.token[0] ^= 1;
	EXPECT_EQ(ask(own, hello).m.status, 0);
}

/* The token alone, at the door, is not enough; and it takes nothing from who has the connection. */
TEST_F(Child, Token_AtTheDoor_Refused)
{
	announce();
	int other = dial();
	EXPECT_EQ(ask(other, hello).m.status, -ENOENT);
	EXPECT_EQ(ask(own, hello).m.status, 0);
	close(other);
}

TEST_F(Child, Connection_Closed_GivesThePlaceBackAtOnce)
{
	announce();
	EXPECT_EQ(sp->apps.count, 2u);
	close(own);
	own = -1;
	steps();
	EXPECT_EQ(sp->apps.count, 1u);
}

TEST_F(Child, Unfork_ClosesTheConnection)
{
	announce();
	hello.type = TAS_CMD_UNFORK;
	EXPECT_EQ(ask(parent, hello).m.status, 0);
	EXPECT_TRUE(hung_up(own));
	EXPECT_EQ(sp->apps.count, 1u);
}

} // namespace
