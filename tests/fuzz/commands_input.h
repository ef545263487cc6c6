/*
 * commands_input.h - messages of programs with any value in any field, whole or cut, with
 * descriptors of every kind, from programs that come and go. What must hold: nothing crashes, and in
 * the end everything has come back.
 *
 * Shared by the fuzz target (tests/fuzz/commands_fuzz.cc) and the seeded test
 * (tests/unit/app_hostile_test.cc).
 */
#ifndef TESTS_FUZZ_COMMANDS_INPUT_H
#define TESTS_FUZZ_COMMANDS_INPUT_H

#include <sys/eventfd.h>
#include "app_peer.h"
#include "fuzz/numbers.h"

class CommandsInput : public App
{
      public:
	explicit CommandsInput(Numbers numbers) : rnd(numbers)
	{
	}
	using App::SetUp;
	using App::TearDown;
	void TestBody() override
	{
	}
	bool at_end() const
	{
		return rnd.at_end();
	}
	/* What programs pass: handles bound and not, an eventfd, a file. */
	void fill_bag()
	{
		bag = {handle(fake_addr(2), 7030), handle(fake_addr(2), 7031, true),
			handle(0, 7032), handle(0, 0), eventfd(0, EFD_CLOEXEC),
			open("/dev/null", O_RDWR | O_CLOEXEC)};
	}
	void step()
	{
		if (socks.size() < 4)
			come();
		if (!socks.empty())
			speak(rnd.below((uint32_t)socks.size()));
		cores_answer();
		if (rnd.below(20) == 0)
			fake_advance(sp, 500000000);
	}
	/* All programs end; the longest deadline passes. */
	void leave()
	{
		for (int fd : socks)
			close(fd);
		steps();
		cores_answer();
		for (int fd : bag) /* what they passed is nowhere else then */
			close(fd);
		fake_advance(sp, 80 * FAKE_SECOND);
		EXPECT_EQ(sp->apps.count, 0u);
		EXPECT_EQ(sp->listeners.count, 0u);
		EXPECT_EQ(sp->passings.count, 0u);
		EXPECT_EQ(sp_arena_used(&sp->conns.conns), 0u);
	}

      private:
	Numbers rnd;
	std::vector<int> bag, socks;

	uint32_t pick()
	{
		static const uint32_t interesting[] = {0, 1, 2, 5, 15, 16, 63, 64, 80, 4095, 4096,
			65535, 65536, 0x7fffffff, 0x80000000, 0xffffffff};

		return interesting[rnd.below(16)];
	}
	void come()
	{
		int fd = dial();

		if (fd < 0)
			return;
		if (hung_up(fd)) { /* so much was passed that it is still being closed */
			close(fd);
			return;
		}
		if (rnd.below(8) != 0)
			ask(fd, TAS_CMD_HELLO);
		if (rnd.below(4) != 0)
			ask(fd, TAS_CMD_REGION);
		socks.push_back(fd);
	}
	struct tas_msg any_message()
	{
		struct tas_msg m = message((uint16_t)rnd.below(TAS_CMD_COUNT + 1));

		m.id = rnd.below(3) == 0 ? pick() : rnd.below(8);
		m.slot = rnd.below(3) == 0 ? pick() : rnd.below(8);
		m.aux = rnd.below(3) == 0 ? pick() : rnd.below(100);
		m.len = pick();
		m.flags = rnd.below(rnd.below(2) == 0 ? 4 : 256);
		tas_addr_from_v4(m.raddr, fake_addr((uint8_t)rnd.below(6)));
		m.rport = htons((uint16_t)rnd.below(5));
		if (rnd.below(10) == 0)
			m.opts.rcvbuf = pick();
		if (rnd.below(10) == 0)
			m.opts.cc = pick();
		if (rnd.below(4) == 0)
			reinterpret_cast<uint8_t *>(&m)[rnd.below(sizeof(m))] =
				(uint8_t)rnd.below(256);
		return m;
	}
	void speak(uint32_t who)
	{
		struct tas_msg m = any_message();
		size_t len = rnd.below(50) == 0 ? rnd.below(sizeof(m)) : sizeof(m);
		std::vector<int> fds;
		int fd = socks[who];

		for (uint32_t k = rnd.below(8) < 5 ? 1 : rnd.below(7); k > 0; k--)
			fds.push_back(bag[rnd.below((uint32_t)bag.size())]);
		put(fd, &m, len, fds);
		steps();
		while (get(fd).got)
			;
		if (!hung_up(fd) && rnd.below(200) != 0)
			return;
		close(fd);
		socks.erase(socks.begin() + who);
		steps();
	}
	void cores_answer()
	{
		for (uint32_t k = 0; k < fake_nmsgs; k++) {
			if (fake_msgs[k].m.type == SP_APP_DEL && fake_msgs[k].core == 0)
				gone(fake_msgs[k].m.id);
		}
		fake_forget();
	}
};

#endif
