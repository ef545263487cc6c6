/*
 * Random frames, programs and cores against the slow path (fuzz/frames_input.h), by seed.
 */
#include "fuzz/frames_input.h"

namespace
{

class Frames : public FramesInput, public testing::WithParamInterface<uint32_t>
{
      protected:
	Frames() : FramesInput(Numbers(GetParam()))
	{
	}
};

TEST_P(Frames, Random_ConsistentAndNothingLeft)
{
	SCOPED_TRACE(GetParam());
	begin();
	for (int i = 0; i < 20000; i++) {
		step();
		if (i % 50 == 0) {
			look();
			if (HasFatalFailure())
				FAIL() << "step " << i;
		}
	}
	leave();
	fake_advance(sp, 200 * FAKE_SECOND);
	expect_nothing();
	EXPECT_GT(sp->cnt.conn_established, 20u);
	EXPECT_GT(sp->cnt.conn_active, 20u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, Frames, testing::Range(1u, 9u));

} // namespace
