/*
 * target.h - for fuzz targets that share a driver with a GoogleTest suite: an expectation that does
 * not hold ends the target, and the slow path's log is silent.
 */
#ifndef TESTS_FUZZ_TARGET_H
#define TESTS_FUZZ_TARGET_H

#include <gtest/gtest.h>

extern "C" int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	GTEST_FLAG_SET(break_on_failure, true);
	return 0;
}

#endif
