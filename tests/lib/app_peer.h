/*
 * app_peer.h - a fixture for tests of registration: the slow path with its door open, and programs
 * that come over a real socket.
 */
#ifndef APP_PEER_H
#define APP_PEER_H

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "sp_peer.h"

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

#endif
