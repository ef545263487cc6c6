/*
 * yield.h - marks between the steps of sleeping and waking, for tests that force another thread in there.
 *
 * In a product build these are nothing. In the test build (TAS_TEST_YIELD, tests/yield.cmake) TAS_YIELD()
 * gives up the CPU by seed, and no sleep of ours ends by time, so that a lost wake-up is a hang and not
 * a delay that a timer mends. Any thread; docs/testing.md, "Forced sleeps".
 */
#ifndef TAS_YIELD_H
#define TAS_YIELD_H

#ifdef TAS_TEST_YIELD
#ifdef __cplusplus
extern "C"
#endif
void tas_test_yield(void);
#define TAS_YIELD()	      tas_test_yield()
#define TAS_PATIENCE(t, ever) ((t) == 0 ? (t) : (ever))
#else
#define TAS_YIELD()	      ((void)0)
#define TAS_PATIENCE(t, ever) (t) /* how long to sleep; in the test build for ever, unless only to look */
#endif

#endif
