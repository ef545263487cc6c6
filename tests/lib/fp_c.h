/*
 * fp_c.h - the C headers of the fast-path engine, its private ones included, for tests in C++.
 */
#ifndef TESTS_LIB_FP_C_H
#define TESTS_LIB_FP_C_H

/* In C a function may have the name of a struct. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#define _Static_assert static_assert
extern "C" {
#include "core.h"
#include "nic/port.h"
#include "tas/seq.h"
#include "tas/wire.h"
}
#undef _Static_assert
#pragma GCC diagnostic pop

#endif
