/*
 * Registration when memory is missing: every single allocation of a program's life fails once.
 */
#include <cerrno>
#include <cstdio>
#include "app_peer.h"

namespace
{

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

} // namespace
