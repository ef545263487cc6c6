/*
 * tas-run-program.h - whether a preloaded library reaches a program. Owner: tas-run.
 */
#ifndef TAS_RUN_PROGRAM_H
#define TAS_RUN_PROGRAM_H

#include <elf.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>

struct program {
	/* Why libtas would not be loaded into it, or not be asked, as the end of a sentence ("is statically
	 * linked"); NULL when it would, or when that cannot be seen from here. */
	const char *unreached;
	char first[64]; /* the runtime of a sanitizer, which has to be loaded before libtas; "" = none */
	bool uring;	/* it is linked with liburing */
};

/* Of the program that execvp(name) starts. */
void program_look(const char *name, struct program *p);

/* tas-run-elf.c: what the file of a dynamic program says of itself. */
void program_needs(int fd, const ElfW(Ehdr) * eh, struct program *p);
bool program_is_go(int fd, const ElfW(Phdr) * note);

#endif
