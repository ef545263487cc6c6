/*
 * random.h - unpredictable bytes of the kernel (getrandom(2)). Any thread.
 */
#ifndef SP_RANDOM_H
#define SP_RANDOM_H

#include <stdint.h>

/* Fills `len` <= 256 bytes: such requests are neither interrupted nor short once the pool is ready.
 */
void sp_random(void *out, uint32_t len);

#endif
