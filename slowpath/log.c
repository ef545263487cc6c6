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
#include <time.h>
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

enum sink { SINK_UNKNOWN, SINK_JOURNAL, SINK_DATED };

/*
 * Is standard error the journal? sd-daemon(3): JOURNAL_STREAM names it by device and inode. A terminal,
 * a file and a pipe add nothing to a line.
 */
static enum sink find_sink(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	if (stream != NULL && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 &&
		fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == ino)
		return SINK_JOURNAL;
	return SINK_DATED;
}

static const char *level_name(enum sp_log_level level)
{
	switch (level) {
	case SP_LOG_ERROR:
		return "error";
	case SP_LOG_WARN:
		return "warn";
	case SP_LOG_INFO:
		return "info";
	default:
		return "debug";
	}
}

/* What stands before the module: "<6>", or "2026-11-21 15:04:05.678 info ". */
static size_t head(char *line, size_t room, enum sp_log_level level)
{
	static enum sink sink;
	struct timespec now;
	struct tm tm;
	size_t n;

	if (sink == SINK_UNKNOWN)
		sink = find_sink();
	if (sink == SINK_JOURNAL)
		return clamp(0, snprintf(line, room, "<%d>", (int)level));
	if (clock_gettime(CLOCK_REALTIME, &now) != 0 || localtime_r(&now.tv_sec, &tm) == NULL)
		return 0;
	n = strftime(line, room, "%Y-%m-%d %H:%M:%S", &tm);
	return clamp(n, snprintf(line + n, room - n, ".%03ld %s ", now.tv_nsec / 1000000,
				level_name(level)));
}

void sp_log(enum sp_log_level level, const char *module, const char *fmt, ...)
{
	struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
	char line[LINE_MAX_BYTES];
	size_t n;
	va_list ap;

	if (level > threshold)
		return;
	n = head(line, sizeof(line), level);
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
			sp_warn("log", "lines like the next one suppressed count=%u",
				limit->suppressed);
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

int sp_complain(const char *module, const char *what, int err)
{
	if (err != 0)
		sp_error(module, "%s error=%s", what, strerror(-err));
	return err;
}
