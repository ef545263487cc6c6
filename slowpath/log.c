/*
 * log.c - lines on stderr, one write each (see log.h).
 * Owner: any thread at start-up, then the slow path. sd-daemon(3) for the priority prefix.
 */
#include "log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1024

static enum sp_log_level threshold = SP_LOG_INFO;

void sp_log_set_level(enum sp_log_level level)
{
	threshold = level;
}

int sp_log_parse_level(const char *name, enum sp_log_level *out)
{
	static const struct {
		const char *name;
		enum sp_log_level level;
	} levels[] = {
		{"error", SP_LOG_ERROR},
		{"warn", SP_LOG_WARN},
		{"info", SP_LOG_INFO},
		{"debug", SP_LOG_DEBUG},
	};
	size_t i;

	for (i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		if (strcmp(name, levels[i].name) == 0) {
			*out = levels[i].level;
			return 0;
		}
	}
	return -EINVAL;
}

/* Bytes of the line so far, given snprintf's answer: never more than the buffer holds. */
static size_t clamp(size_t used, int added)
{
	size_t n = added < 0 ? used : used + (size_t)added;

	return n < LINE_MAX_BYTES - 1 ? n : LINE_MAX_BYTES - 2;
}

/* Is standard error the journal? sd-daemon(3): JOURNAL_STREAM names it by device and inode. */
static int to_journal(void)
{
	static int known; /* 0 not asked yet, 1 no, 2 yes */
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	if (known == 0)
		known = stream != NULL && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 &&
					fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev &&
					st.st_ino == ino
				? 2
				: 1;
	return known == 2;
}

void sp_log(enum sp_log_level level, const char *module, const char *fmt, ...)
{
	struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
	char line[LINE_MAX_BYTES];
	size_t n = 0;
	va_list ap;

	if (level > threshold)
		return;
	if (to_journal())
		n = clamp(n, snprintf(line, sizeof(line), "<%d>", (int)level));
	n = clamp(n, snprintf(line + n, sizeof(line) - n, "%s: ", module));
	va_start(ap, fmt);
	n = clamp(n, vsnprintf(line + n, sizeof(line) - n, fmt, ap));
	va_end(ap);
	line[n++] = '\n';
	if (poll(&out, 1, 0) <= 0)
		return; /* a reader that has stopped: it must not stop us */
	if (write(STDERR_FILENO, line, n) < 0)
		return; /* nobody listens: nothing else to do */
}

int sp_log_allow(struct sp_log_limit *limit, uint64_t now_ns)
{
	uint64_t second = now_ns / 1000000000u;

	if (second != limit->second) {
		if (limit->suppressed != 0)
			sp_warn("log", "lines suppressed count=%u", limit->suppressed);
		limit->second = second;
		limit->lines = 0;
		limit->suppressed = 0;
	}
	if (limit->lines >= SP_LOG_BURST) {
		limit->suppressed++;
		return 0;
	}
	limit->lines++;
	return 1;
}
