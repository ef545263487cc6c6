/*
 * log.h - one line per event: "module: text key=value", on stderr.
 *
 * Into the journal (JOURNAL_STREAM names standard error) a line starts with its priority, <3> to
 * <7>; elsewhere with time and level. What a packet or a program can cause goes through
 * sp_log_limited: at most `burst` lines a second per call site, the rest is counted and told. Owner: slow path thread (start-up code of other modules may log
 * too: a line is one write).
 */
#ifndef SP_LOG_H
#define SP_LOG_H

#include <stdint.h>

enum sp_log_level { SP_LOG_ERROR = 3, SP_LOG_WARN = 4, SP_LOG_INFO = 6, SP_LOG_DEBUG = 7 };

/* Lines above this level are not written. SP_LOG_INFO at start. */
void sp_log_set_level(enum sp_log_level level);
/* "error" | "warn" | "info" | "debug" -> 0 and *out, else -EINVAL. */
int sp_log_parse_level(const char *name, enum sp_log_level *out);

void sp_log(enum sp_log_level level, const char *module, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define sp_error(...) sp_log(SP_LOG_ERROR, __VA_ARGS__)
#define sp_warn(...)  sp_log(SP_LOG_WARN, __VA_ARGS__)
#define sp_info(...)  sp_log(SP_LOG_INFO, __VA_ARGS__)
#define sp_debug(...) sp_log(SP_LOG_DEBUG, __VA_ARGS__)

/* Writes `what` with the error, -errno, if there is one; returns it. */
int sp_complain(const char *module, const char *what, int err);

/* A call site's budget: declare it static beside the call. */
struct sp_log_limit {
	uint64_t second; /* of CLOCK_MONOTONIC, the one being counted */
	uint32_t lines, suppressed;
};
#define SP_LOG_BURST 10u /* lines a second */

/* 1 when a line may be written at now_ns. */
int sp_log_allow(struct sp_log_limit *limit, uint64_t now_ns);

#endif
