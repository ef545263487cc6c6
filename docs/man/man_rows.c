/*
 * man_rows.c - writes a manual page from its template: a line that holds a marker (@OPTIONS@,
 * @REASONS@, @EXPLAIN@, @STATES@) becomes one list item for each row that the code defines.
 *
 * Build tool: reads standard input, writes standard output. An unknown marker fails the build.
 */
#include <stdio.h>
#include <string.h>
#include "tas/counters.h"
#include "tas/ctl.h"
#include "tas/explain.h"

/* Text of a row in mdoc: a leading dot or quote would be a request. */
static void text(const char *s)
{
	if (*s == '.' || *s == '\'')
		fputs("\\&", stdout);
	for (; *s != 0; s++) {
		if (*s == '\\')
			fputs("\\e", stdout);
		else if (*s == '-')
			fputs("\\-", stdout);
		else
			putchar(*s);
	}
	putchar('\n');
}

static void option(
	const char *name, const char *bounds, const char *def, const char *unit, const char *help)
{
	printf(".It Ic %s\n", name);
	text(help);
	printf("(%s%s%s", unit, unit[0] != 0 ? "; " : "", bounds);
	fputs(def[0] != 0 ? "default " : "no default)\n", stdout);
	if (def[0] != 0)
		printf("%s)\n", def);
}

/* Bounds of a row: lengths of texts and lists are of no interest. */
#define BOUNDS_STR(min, max)   ""
#define BOUNDS_LIST(min, max)  "at most " #max " entries; "
#define BOUNDS_U32(min, max)   #min " to " #max "; "
#define BOUNDS_MODE(min, max)  #min " to " #max "; "
#define BOUNDS_RANGE(min, max) #min " to " #max "; "
#define DEFAULT_STR(def)       def
#define DEFAULT_LIST(def)      def
#define DEFAULT_RANGE(def)     def
#define DEFAULT_U32(def)       #def
#define DEFAULT_MODE(def)      #def

static void options(void)
{
#define X(kind, name, min, max, def, unit, help)                                                   \
	option(#name, BOUNDS_##kind(min, max), DEFAULT_##kind(def), unit, help);
#include "slowpath/config.def"
#undef X
}

static void reason(const char *name, const char *unit, const char *help)
{
	if (strncmp(name, "drop_", 5) != 0 && strncmp(name, "refuse_", 7) != 0)
		return;
	printf(".It %s Pq %s\n", name, unit);
	text(help);
}

static void reasons(void)
{
#define ROW(name, unit, help) reason(#name, unit, help);
	TAS_FP_COUNTERS(ROW)
	TAS_SP_COUNTERS(ROW)
#undef ROW
}

static void explain(void)
{
#define ROW(name, unit, help)                                                                      \
	printf(".It %s Pq %s\n", #name, unit);                                                     \
	text(help);
	TAS_EXPLAIN_ROWS(ROW)
#undef ROW
}

static void states(void)
{
	static const char *const names[] = {
#define STATE(name, word) word,
		TAS_CTL_STATES(STATE)
#undef STATE
	};
	size_t i, n = sizeof(names) / sizeof(names[0]);

	for (i = 1; i < n; i++) /* the first is "unknown" */
		printf(".Cm %s%s\n", names[i], i + 1 == n ? "" : " ,");
}

int main(void)
{
	static const struct {
		const char *marker;
		void (*write)(void);
	} markers[] = {{"@OPTIONS@", options}, {"@REASONS@", reasons}, {"@EXPLAIN@", explain},
		{"@STATES@", states}};
	const size_t n = sizeof(markers) / sizeof(markers[0]);
	char line[1024];
	size_t i;

	while (fgets(line, sizeof(line), stdin) != NULL) {
		if (line[0] != '@') {
			fputs(line, stdout);
			continue;
		}
		line[strcspn(line, "\n")] = 0;
		for (i = 0; i < n && strcmp(markers[i].marker, line) != 0; i++)
			;
		if (i == n) {
			fprintf(stderr, "man_rows: no such marker: %s\n", line);
			return 1;
		}
		markers[i].write();
	}
	return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
}
