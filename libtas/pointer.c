/*
 * pointer.c - where a program's half of the addresses ends. Owner: the thread that loads the library.
 *
 * x86-64 has 47 bits of it, or 56 where the kernel uses five levels of page tables, which it maps only for those who ask for an
 * address up there (Documentation/arch/x86/x86_64/5level-paging.rst); the last page stays free.
 */
#include "pointer.h"
#include <sys/mman.h>
#include "sys.h"

#define FOUR_LEVELS ((uintptr_t)1 << 47)
#define FIVE_LEVELS ((uintptr_t)1 << 56)
#define PAGE	    4096u

uintptr_t lt_user_end = FOUR_LEVELS - PAGE;

/* A kernel with four levels only says ENOMEM: the address is beyond what it could ever give. */
__attribute__((constructor)) static void look(void)
{
	uintptr_t at = FIVE_LEVELS / 2;
	long r = lt_sys(SYS_mmap, (long)at, PAGE, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (r == (long)at)
		lt_sys2(SYS_munmap, at, PAGE);
	if (r == (long)at || r == -EEXIST)
		lt_user_end = FIVE_LEVELS - PAGE;
}
