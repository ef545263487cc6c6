/*
 * pointer.h - addresses that no program can have: the call returns EFAULT, as the kernel's would. Others that are wild fault like
 * memcpy() does. Owner: any thread (pure).
 */
#ifndef LT_POINTER_H
#define LT_POINTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LT_RW_MAX    0x7ffff000u /* what one call transfers at most (read(2), NOTES) */
#define LT_PAGE_ZERO 4096u

/* One byte beyond the last that a program can have; found out at load (pointer.c). */
extern uintptr_t lt_user_end;

/* What the kernel refuses before it looks at anything else. */
static inline bool lt_outside(const void *p, size_t n)
{
	uintptr_t end = (uintptr_t)p + n;

	return end < n || end > lt_user_end;
}

/* What faults when it is touched. */
static inline bool lt_bad(const void *p, size_t n)
{
	return (uintptr_t)p < LT_PAGE_ZERO || lt_outside(p, n);
}

#endif
