/*
 * libFuzzer target: frames of any kind against the slow path (frames_input.h).
 */
#include "fuzz/frames_input.h"
#include "fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FramesInput input(Numbers(data, size));

	input.begin();
	for (int i = 0; i < 2000 && !input.at_end(); i++) {
		input.step();
		if (i % 50 == 49)
			input.look();
	}
	input.look();
	input.leave();
	input.TearDown();
	return 0;
}
