/*
 * Registration: bind, listen and join with a kernel socket as the proof of a right to it.
 */
#include <cerrno>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "app_peer.h"

namespace
{

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

/* A device's socket hears that device alone in the kernel; here it would hear everybody. */
TEST_F(App, BoundToDevice_LeftToTheKernel)
{
	int fd = join();

	for (uint32_t addr : {fake_addr(2), 0u}) {
		int h = handle(addr, 7106);
		ASSERT_EQ(ask(fd, message(TAS_CMD_BIND), {h}).m.status, addr == 0);
		ASSERT_EQ(setsockopt(h, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3), 0);
		sp->cnt.refuse_addr = 0;
		EXPECT_EQ(ask(fd, message(TAS_CMD_BIND), {h}).m.status, -EADDRNOTAVAIL);
		EXPECT_EQ(ask(fd, message(TAS_CMD_LISTEN), {h}).m.status, -EADDRNOTAVAIL);
		EXPECT_EQ(sp->cnt.refuse_addr, 2u);
		close(h);
	}
	EXPECT_EQ(sp->listeners.count, 0u);
	close(fd);
}

/* On a device of its own it can listen beside others: that takes nothing from them. */
TEST_F(App, Listen_BoundToDevice_OtherListenerStays)
{
	int a = join(), b = join();
	int ha = handle(fake_addr(2), 7105), hb = handle(fake_addr(2), 7105);
	ASSERT_EQ(setsockopt(hb, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3), 0);
	Reply l = ask(a, message(TAS_CMD_LISTEN), {ha});
	ASSERT_EQ(l.m.status, 0);
	ASSERT_EQ(listen(hb, 1), 0);
	EXPECT_EQ(ask(b, message(TAS_CMD_LISTEN), {hb}).m.status, -EADDRNOTAVAIL);
	EXPECT_NE(sp_listener_get(sp, l.m.id), nullptr);
	for (int fd : {ha, hb, a, b})
		close(fd);
}

} // namespace
