/*
 * tcp_c.h - the C headers of the pure TCP and of the wire formats, for tests in C++.
 */
#ifndef TESTS_LIB_TCP_C_H
#define TESTS_LIB_TCP_C_H

#define _Static_assert static_assert
extern "C" {
#include "tas/seq.h"
#include "tas/wire.h"
#include "tcp/tcp.h"
#include "tcp/priv.h"
}
#undef _Static_assert

#endif
