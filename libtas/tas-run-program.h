/*
 * tas-run-program.h - whether a preloaded library reaches a program. Owner: tas-run.
 */
#ifndef TAS_RUN_PROGRAM_H
#define TAS_RUN_PROGRAM_H

/*
 * Why libtas would not be loaded into the program that execvp(name) starts, as the end of a sentence
 * ("is statically linked"); NULL when it would, or when that cannot be seen from here.
 */
const char *program_out_of_reach(const char *name);

#endif
