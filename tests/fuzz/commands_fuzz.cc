/*
 * libFuzzer target: messages and descriptors of programs at the registration socket
 * (commands_input.h).
 */
#include "fuzz/commands_input.h"
#include "fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CommandsInput input(Numbers(data, size));

	input.SetUp();
	input.fill_bag();
	while (!input.at_end())
		input.step();
	input.leave();
	input.TearDown();
	return 0;
}
