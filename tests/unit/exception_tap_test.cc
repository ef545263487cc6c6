/*
 * Frames that came to the slow path and are the kernel's: with an exception tap it gets them, and answers. The tap is one end of
 * a socket pair here.
 */
#include <sys/socket.h>
#include <unistd.h>
#include <set>
#include "conn_peer.h"

namespace
{

std::set<uint16_t> ours; /* as the cores see it */

} // namespace

extern "C" void fake_port(uint16_t port, int on)
{
	if (on)
		ours.insert(port);
	else
		ours.erase(port);
}

namespace
{

class Tap : public Conn
{
      protected:
	int kernel = -1;

	void SetUp() override
	{
		int pair[2];

		Conn::SetUp();
		ASSERT_EQ(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair), 0);
		sp->tap.fd = pair[0];
		kernel = pair[1];
		sp->tap.ports = static_cast<uint32_t *>(calloc(65536, sizeof(uint32_t)));
		ours.clear();
		fake_on_port = fake_port;
	}
	void TearDown() override
	{
		uint32_t *ports = sp->tap.ports;

		close(sp->tap.fd);
		close(kernel);
		Conn::TearDown();
		free(ports);
	}
	/* Frames that the kernel has got since last time. */
	int got()
	{
		char buf[2048];
		int n = 0;

		while (recv(kernel, buf, sizeof(buf), 0) > 0)
			n++;
		return n;
	}
};

TEST_F(Tap, Strays_AreAnsweredByTheKernel)
{
	for (uint8_t flags : {TCP_SYN, TCP_ACK, TCP_RST, TCP_SYN | TCP_ACK, TCP_FIN | TCP_ACK}) {
		receive(head(40000, 9999, flags, 5, 6));
		EXPECT_EQ(got(), 1) << (int)flags;
	}
	EXPECT_EQ(fake_nframes, 0u);
	EXPECT_EQ(sp->cnt.rst_sent, 0u);
	EXPECT_EQ(sp->cnt.tap_in, 5u);
}

TEST_F(Tap, ListenersAndConnections_HearTheirsAlone_AndHoldTheirPort)
{
	struct sp_listener *l = listener(app, 80);

	ASSERT_NE(l, nullptr);
	EXPECT_EQ(ours.count(htons(80)), 1u);
	receive(head(40000, 80, TCP_SYN, 5000));
	EXPECT_EQ(sent().flags, TCP_SYN | TCP_ACK);
	receive(head(40000, 80, TCP_RST, 5001));
	EXPECT_EQ(got(), 0);
	receive(head(40000, 80, TCP_ACK, 7000, 8000)); /* of a connection that nobody has */
	EXPECT_EQ(got(), 1);
	EXPECT_EQ(sp->cnt.rst_sent, 0u);

	struct sp_conn *c = connect_out(app, 7, 8080);
	ASSERT_NE(c, nullptr);
	uint16_t lport = c->tuple.lport;
	EXPECT_EQ(ours.count(lport), 1u);
	receive(head(8080, ntohs(lport), TCP_RST | TCP_ACK, 0, c->iss + 1));
	EXPECT_EQ(ours.count(lport), 0u);
	EXPECT_EQ(got(), 0);
	sp_listener_leave_all(sp, l->id);
	EXPECT_EQ(ours.count(htons(80)), 0u);
}

/* Questions for our addresses are answered once; answers are for both. */
TEST_F(Tap, Arp)
{
	fake_nframes = 0;
	arp(1);
	EXPECT_EQ(fake_nframes, 1u);
	EXPECT_EQ(got(), 0);
	arp(2);
	EXPECT_EQ(got(), 1);
}

TEST_F(Tap, KernelTakesNothing_IsCounted)
{
	close(kernel);
	receive(head(40000, 9999, TCP_SYN, 5));
	EXPECT_EQ(sp->cnt.drop_tap_in, 1u);
	EXPECT_EQ(sp->cnt.rst_sent, 0u);
	kernel = dup(0);
}

TEST_F(Tap, FloodInOneRound_HasAnEnd)
{
	uint8_t frame[60] = {2};
	int i;

	for (i = 0; i < 1000; i++)
		EXPECT_EQ(sp_tap_give(sp, frame, sizeof(frame)), 1);
	EXPECT_EQ(sp->cnt.tap_in + sp->cnt.drop_tap_in, 1000u);
	EXPECT_LE(sp->cnt.tap_in, 100u);
	got();
	sp_round(sp);
	receive(head(40000, 9999, TCP_SYN, 5));
	EXPECT_EQ(got(), 1);
}

} // namespace
