/*
 * libFuzzer target: one flow against a hostile peer, program and clock (tcp_input.h).
 */
#include <cstdio>
#include <cstdlib>
#include "fuzz/tcp_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	std::string fault = TcpInput(data, size).run();

	if (!fault.empty()) {
		fprintf(stderr, "%s\n", fault.c_str());
		__builtin_trap();
	}
	return 0;
}
