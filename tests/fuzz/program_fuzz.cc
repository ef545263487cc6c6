/*
 * libFuzzer target: a program that writes what it likes over its region, beside one that behaves.
 * The first may lose its own connections; the second is served every byte, and everything of the
 * first comes back when it goes.
 */
#include "engine.h"
#include "fuzz/numbers.h"
#include "fuzz/target.h"

namespace
{

class ProgramInput
{
      public:
	ProgramInput(const uint8_t *p, size_t n) : rnd(p, n)
	{
		vc.install_in(victim, 3);
		vc.peer->shut_when_done = t.c.peer->shut_when_done = false;
	}

	void run()
	{
		for (int i = 0; i < 500 && !rnd.at_end(); i++) {
			scribble();
			if (rnd.below(4) != 0)
				continue; /* several words at a time */
			t.p.ring_on(slot, 0);
			vc.peer->to_write += 100;
			settle(t.e, {&t.c, &vc}, [&] { vs.recv(); });
		}
		for (int i = 0; i < 20; i++) { /* delayed ACKs and all */
			settle(t.e, {&t.c, &vc}, [&] { vs.recv(); });
			t.e.pass(50000000);
		}
		EXPECT_EQ(vs.read, vc.peer->to_write);
		EXPECT_EQ(vs.bad_bytes, 0u);
		EXPECT_EQ(vc.peer->fault, "");
		t.e.send_all(SP_APP_DEL, 1);
		settle(t.e, {&t.c, &vc});
		t.e.pass(FP_LINGER_NS +
			 1000000); /* what it closed itself may wait for the peer's FIN */
		settle(t.e, {&t.c, &vc});
		EXPECT_EQ(t.e.count(FP_EV_APP_GONE), 1u);
	}

      private:
	static constexpr uint32_t slot = 9, chunks = 3 * TAS_SEG_CHUNKS;
	Numbers rnd;
	Connected t;
	Program victim{t.e, 2};
	Conn vc{t.e, 6, 99, 0x5566};
	Socket vs{victim, 3, 99};

	/* Near what stands there, small, or anything. */
	uint64_t value(uint64_t old)
	{
		switch (rnd.below(5)) {
		case 0:
			return old + rnd.below(256);
		case 1:
			return old - rnd.below(256);
		case 2:
			return old + rnd.below(65536);
		case 3:
			return rnd.below(256);
		default:
			return (uint64_t)rnd() << 32 | rnd();
		}
	}

	template <class T> void spoil(T *words, uint32_t n)
	{
		T *w = &words[rnd.below(n)];

		tas_store(w, (T)value(tas_load(w)));
	}

	/* As a program would, but that each value may be wrong. */
	uint64_t perhaps(uint64_t right)
	{
		return rnd.below(8) == 0 ? value(right) : right;
	}

	void send()
	{
		tas_sock &s = t.s.s();

		tas_store(&s.tx_first_pos, perhaps(t.c.f().tx_head));
		tas_store(&s.tx_first_chunk, (uint32_t)perhaps(TAS_SEG_CHUNKS + rnd.below(8)));
		tas_store(&t.p.txnext(TAS_SEG_CHUNKS + rnd.below(8)),
			(uint32_t)perhaps(TAS_SEG_CHUNKS + rnd.below(8)));
		tas_store(&s.tx_up, perhaps(t.c.f().tx_head + rnd.below(65536)));
		tas_store(&s.urgent, (uint32_t)rnd.below(4));
		tas_store(&s.tx_head, perhaps(t.c.f().tx_head + rnd.below(65536)));
	}

	void read()
	{
		tas_store(&t.s.s().rx_taken, perhaps(fp_rx_head(&t.c.f())));
		tas_store(&t.s.s().rx_tail, perhaps(fp_rx_head(&t.c.f())));
	}

	void want()
	{
		tas_store(&t.s.s().want, (uint32_t)perhaps(1u << rnd.below(8)));
	}

	void scribble()
	{
		switch (rnd.below(16)) {
		case 0:
			spoil((uint64_t *)t.p.r, 64);
			break;
		case 1:
			spoil(&t.p.rxnext(0), chunks);
			break;
		case 2:
			spoil(&t.p.txnext(0), chunks);
			break;
		case 3:
			spoil(t.p.offer(), chunks / 64);
			t.p.r->rx_offered += rnd.below(4);
			break;
		case 4:
			t.p.ring_on(rnd.below(128), 0);
			break;
		case 5:
			tas_store(&t.p.evq(rnd.below(2))->sleeping, (uint32_t)value(0));
			break;
		case 6:
			spoil((uint64_t *)&t.p.sock(rnd.below(128)), sizeof(tas_sock) / 8);
			break;
		case 7:
			t.c.peer->to_write += rnd.below(65536);
			break;
		case 8:
			t.e.pass(rnd.below(256) * 1000000ull);
			break;
		case 9:
		case 10:
		case 11:
			send();
			break;
		case 12:
		case 13:
			read();
			break;
		case 14:
			want();
			break;
		default:
			spoil((uint64_t *)&t.p.sock(slot), sizeof(tas_sock) / 8);
			break;
		}
	}
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ProgramInput(data, size).run();
	return 0;
}
