/*
 * config.c - options from defaults, a libconfig file and the command line (see config.h,
 * config.def). An unknown key, a value of the wrong type or out of range is an error with its file
 * and line. Owner: start-up.
 */
#include "config.h"
#include "config_check.h"

#include <errno.h>
#include <libconfig.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum kind { STR, U32, MODE, LIST, RANGE };

struct option_row {
	const char *name;
	enum kind kind;
	size_t offset;
	uint64_t min, max;
	const char *def; /* as written on the command line */
	const char *unit, *help;
};

#define TEXT_STR(def)	def
#define TEXT_U32(def)	#def
#define TEXT_MODE(def)	#def
#define TEXT_LIST(def)	def
#define TEXT_RANGE(def) def

static const struct option_row rows[] = {
#define X(kind, name, min, max, def, unit, help)                                                   \
	{#name, kind, offsetof(struct sp_config, name), min, max, TEXT_##kind(def), unit, help},
#include "config.def"
#undef X
};

#define NROWS (sizeof(rows) / sizeof(rows[0]))

static void *field(struct sp_config *conf, const struct option_row *row)
{
	return (char *)conf + row->offset;
}

static const struct option_row *find_row(const char *name)
{
	size_t i;

	for (i = 0; i < NROWS; i++) {
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	}
	return NULL;
}

static int set_number(struct sp_config *conf, const struct option_row *row,
	const struct sp_where *w, uint64_t value)
{
	if (value < row->min || value > row->max) {
		if (row->kind == MODE)
			return sp_config_fail(w, row->name, "must be between %#o and %#o",
				(unsigned)row->min, (unsigned)row->max);
		return sp_config_fail(w, row->name, "must be between %llu and %llu %s",
			(unsigned long long)row->min, (unsigned long long)row->max, row->unit);
	}
	*(uint32_t *)field(conf, row) = (uint32_t)value;
	return 0;
}

static int set_string(struct sp_config *conf, const struct option_row *row,
	const struct sp_where *w, const char *text)
{
	size_t len = strlen(text);

	if (len < row->min)
		return sp_config_fail(w, row->name, "must not be empty");
	if (len > row->max)
		return sp_config_fail(
			w, row->name, "longer than %llu characters", (unsigned long long)row->max);
	memcpy(field(conf, row), text, len + 1);
	return 0;
}

static int set_range(struct sp_config *conf, const struct option_row *row, const struct sp_where *w,
	const char *text)
{
	struct sp_range *r = field(conf, row);
	unsigned long low, high;
	char *end;

	errno = 0;
	low = strtoul(text, &end, 10);
	if (errno != 0 || end == text || *end != '-' || end[1] < '0' || end[1] > '9')
		return sp_config_fail(w, row->name, "must be written LOW-HIGH");
	high = strtoul(end + 1, &end, 10);
	if (errno != 0 || *end != '\0' || text[0] < '0' || text[0] > '9')
		return sp_config_fail(w, row->name, "must be written LOW-HIGH");
	if (low < row->min || high > row->max || low > high)
		return sp_config_fail(w, row->name, "must lie between %llu and %llu, low first",
			(unsigned long long)row->min, (unsigned long long)row->max);
	r->low = (uint16_t)low;
	r->high = (uint16_t)high;
	return 0;
}

static void clear_list(struct sp_list *list)
{
	while (list->n > 0)
		free(list->item[--list->n]);
}

static int add_item(struct sp_config *conf, const struct option_row *row, const struct sp_where *w,
	const char *text, size_t len)
{
	struct sp_list *list = field(conf, row);
	char *copy;

	if (list->n >= row->max)
		return sp_config_fail(
			w, row->name, "more than %llu entries", (unsigned long long)row->max);
	copy = strndup(text, len);
	if (copy == NULL)
		return sp_config_fail(w, row->name, "out of memory");
	list->item[list->n++] = copy;
	return 0;
}

/* Comma-separated items, blanks around them dropped; an empty text is an empty list. */
static int set_list(struct sp_config *conf, const struct option_row *row, const struct sp_where *w,
	const char *text)
{
	const char *p = text;

	clear_list(field(conf, row));
	while (*p != '\0') {
		size_t len = strcspn(p, ","), lead = strspn(p, " \t");
		const char *item = p + (lead < len ? lead : len);
		size_t n = len - (size_t)(item - p);
		int err;

		while (n > 0 && (item[n - 1] == ' ' || item[n - 1] == '\t'))
			n--;
		if (n == 0)
			return sp_config_fail(w, row->name, "empty entry in the list");
		err = add_item(conf, row, w, item, n);
		if (err != 0)
			return err;
		p += len;
		if (*p == ',')
			p++;
	}
	return 0;
}

/* A value written as text: on the command line, or a default. */
static int set_text(struct sp_config *conf, const struct option_row *row, const struct sp_where *w,
	const char *text)
{
	unsigned long long value;
	char *end;

	if (row->kind == STR)
		return set_string(conf, row, w, text);
	if (row->kind == RANGE)
		return set_range(conf, row, w, text);
	if (row->kind == LIST)
		return set_list(conf, row, w, text);
	errno = 0;
	value = strtoull(text, &end, row->kind == MODE ? 8 : 10);
	if (end == text || *end != '\0' || text[0] == '-')
		return sp_config_fail(w, row->name, "\"%s\" is not a number", text);
	if (errno != 0)
		value = UINT64_MAX;
	return set_number(conf, row, w, value);
}

static int set_items(struct sp_config *conf, const struct option_row *row, const struct sp_where *w,
	const config_setting_t *s)
{
	int i, err, n = config_setting_length(s);

	clear_list(field(conf, row));
	for (i = 0; i < n; i++) {
		const config_setting_t *e = config_setting_get_elem(s, (unsigned)i);
		struct sp_where at = *w;
		char number[24];
		const char *text = config_setting_get_string(e);

		at.line = (int)config_setting_source_line(e);
		if (config_setting_type(e) == CONFIG_TYPE_INT) {
			snprintf(number, sizeof(number), "%d", config_setting_get_int(e));
			text = number;
		}
		if (text == NULL || *text == '\0')
			return sp_config_fail(&at, row->name, "entries must be strings");
		err = add_item(conf, row, &at, text, strlen(text));
		if (err != 0)
			return err;
	}
	return 0;
}

static int set_setting(struct sp_config *conf, const struct option_row *row,
	const struct sp_where *w, const config_setting_t *s)
{
	int type = config_setting_type(s);
	const char *text = config_setting_get_string(s);

	if (row->kind == U32 || row->kind == MODE) {
		if (row->kind == MODE && type == CONFIG_TYPE_STRING)
			return set_text(conf, row, w, text);
		if (type == CONFIG_TYPE_BOOL && row->max == 1)
			return set_number(conf, row, w, (uint64_t)config_setting_get_bool(s));
		if (type != CONFIG_TYPE_INT && type != CONFIG_TYPE_INT64)
			return sp_config_fail(w, row->name, "must be a number%s",
				row->kind == MODE ? " or an octal string" : "");
		if (config_setting_get_int64(s) < 0) /* libconfig wraps what is too large */
			return sp_config_fail(w, row->name,
				"is negative or too large: must be between %llu and %llu %s",
				(unsigned long long)row->min, (unsigned long long)row->max,
				row->unit);
		if (row->kind == MODE) /* written in decimal digits that mean octal */
			return sp_config_fail(
				w, row->name, "must be an octal string such as \"0660\"");
		return set_number(conf, row, w, (uint64_t)config_setting_get_int64(s));
	}
	if (row->kind == LIST && (type == CONFIG_TYPE_ARRAY || type == CONFIG_TYPE_LIST))
		return set_items(conf, row, w, s);
	if (text == NULL)
		return sp_config_fail(w, row->name,
			row->kind == LIST ? "must be a list of strings" : "must be a string");
	return set_text(conf, row, w, text);
}

/* The file as libconfig understands it: 0, or -EINVAL with the place of the first thing that it does not. */
static int read_file(const char *file, config_t *lc, char *err, uint32_t err_len)
{
	const char *what;

	errno = 0;
	if (config_read_file(lc, file) != CONFIG_TRUE) {
		const char *in = config_error_file(lc); /* another one, where files are included */
		const char *hint = "a line is NAME = VALUE; with VALUE a number, a \"text\" in "
				   "quotes or a list [ \"a\", \"b\" ]";

		what = config_error_text(lc);
		if (what != NULL && strstr(what, "duplicate") != NULL)
			hint = "an option is set once: remove one of the two";
		if (config_error_type(lc) == CONFIG_ERR_FILE_IO)
			snprintf(err, err_len, "%s: %s", file,
				errno != 0 ? strerror(errno) : "is no file");
		else
			snprintf(err, err_len, "%s:%d: %s (%s)", in != NULL ? in : file,
				config_error_line(lc), what, hint);
		return -EINVAL;
	}
	return 0;
}

static int load_file(struct sp_config *conf, struct sp_origin *origin, const char *file,
	config_t *lc, char *err, uint32_t err_len)
{
	config_setting_t *root;
	char *at = err; /* a line for each mistake, as long as there is room */
	int i, rc = read_file(file, lc, err, err_len);

	if (rc != 0)
		return rc;
	root = config_root_setting(lc);
	for (i = 0; i < config_setting_length(root) && at + 2 < err + err_len; i++) {
		const config_setting_t *s = config_setting_get_elem(root, (unsigned)i);
		const char *name = config_setting_name(s);
		const struct option_row *row = find_row(name);
		const char *in = config_setting_source_file(s);
		struct sp_where w = {in != NULL ? in : file, (int)config_setting_source_line(s), at,
			(uint32_t)(err + err_len - at)};

		if (rc != 0) {
			*w.err++ = '\n';
			w.err_len--;
		}
		w.err[0] = '\0';
		if (row == NULL)
			sp_config_fail(&w, name, "unknown option");
		else if (set_setting(conf, row, &w, s) == 0)
			origin->line[row - rows] = w.line;
		if (w.err[0] != '\0') {
			at = w.err + strlen(w.err);
			rc = -EINVAL;
		}
	}
	*at = '\0';
	return rc;
}

static int load_defaults(struct sp_config *conf, char *err, uint32_t err_len)
{
	struct sp_where w = {NULL, 0, err, err_len};
	size_t i;
	int rc;

	for (i = 0; i < NROWS; i++) {
		if (rows[i].kind == STR && rows[i].def[0] == '\0')
			continue;
		rc = set_text(conf, &rows[i], &w, rows[i].def);
		if (rc != 0)
			return rc;
	}
	return 0;
}

/* 1 when `name` is one of the switches without a value, given by its letter or (0) by its name. */
static int load_switch(struct sp_config_args *args, char letter, const char *name)
{
	const struct {
		char letter;
		const char *name;
		uint8_t *flag;
	} switches[] = {
		{'n', "--check", &args->check},
		{'h', "--help", &args->help},
		{'V', "--version", &args->version},
		{0, "--help-config", &args->help_config},
	};
	size_t i;

	for (i = 0; i < sizeof(switches) / sizeof(switches[0]); i++) {
		if (letter != 0 ? letter == switches[i].letter
				: strcmp(name, switches[i].name) == 0) {
			*switches[i].flag = 1;
			return 1;
		}
	}
	return 0;
}

/*
 * "-nc FILE", "-cFILE": letters in one argument, of which c takes the rest or the next argument.
 * How many arguments were used, or -EINVAL.
 */
static int load_letters(struct sp_config_args *args, const char *arg, const char *next)
{
	const char *p;

	for (p = arg + 1; *p != '\0'; p++) {
		if (*p != 'c' && !load_switch(args, *p, NULL))
			return -EINVAL;
		if (*p != 'c')
			continue;
		args->file = p[1] != '\0' ? p + 1 : next;
		return p[1] != '\0' ? 1 : 2;
	}
	return p > arg + 1 ? 1 : -EINVAL;
}

/* Option `name` of the command line; applied only when conf is not NULL. */
static int load_option(struct sp_config *conf, struct sp_origin *origin,
	struct sp_config_args *args, const char *name, const char *value, const struct sp_where *w)
{
	const struct option_row *row = find_row(name);

	if (strcmp(name, "config") == 0) {
		args->file = value;
		return 0;
	}
	if (row == NULL)
		return sp_config_fail(w, name, "unknown option (see --help)");
	if (conf == NULL)
		return 0;
	origin->line[row - rows] = SP_ORIGIN_ARGUMENT;
	return set_text(conf, row, w, value);
}

/* The name in "--name" or "--name=value"; 0, or -EINVAL: not an option. */
static int option_name(const char *arg, char name[64])
{
	size_t len = strcspn(arg, "=");

	if (strncmp(arg, "--", 2) != 0 || len - 2 >= 64)
		return -EINVAL;
	memcpy(name, arg + 2, len - 2);
	name[len - 2] = '\0';
	return 0;
}

/*
 * The command line: switches, --name=value and --name value. Run twice: with conf NULL it only
 * finds the file and the switches and complains, since the file's values come before those of the
 * command line.
 */
static int load_args(struct sp_config *conf, struct sp_origin *origin, struct sp_config_args *args,
	int argc, char **argv, char *err, uint32_t err_len)
{
	const struct sp_where w = {NULL, 0, err, err_len};
	char name[64];
	int i, rc = 0;

	for (i = 1; i < argc && rc == 0; i++) {
		const char *value = strchr(argv[i], '=');
		int used = 0;

		if (argv[i][0] == '-' && argv[i][1] != '-')
			used = load_letters(args, argv[i], i + 1 < argc ? argv[i + 1] : NULL);
		else if (load_switch(args, 0, argv[i]))
			used = 1;
		if (used < 0 || (used == 0 && option_name(argv[i], name) != 0)) {
			snprintf(err, err_len, "%s: unknown argument (see --help)", argv[i]);
			return -EINVAL;
		}
		if (i + used > argc || (used == 0 && value == NULL && i + 1 >= argc)) {
			snprintf(err, err_len, "%s: needs a value", argv[i]);
			return -EINVAL;
		}
		if (used > 0) {
			i += used - 1;
			continue;
		}
		value = value != NULL ? value + 1 : argv[++i];
		rc = load_option(conf, origin, args, name, value, &w);
	}
	return rc;
}

int sp_config_load(struct sp_config *conf, struct sp_config_args *args, int argc, char **argv,
	char *err, uint32_t err_len)
{
	struct sp_origin origin = {.file = NULL};
	config_t lc;
	int rc;

	_Static_assert(NROWS <= SP_ORIGIN_ROWS, "a line number for every row");
	memset(conf, 0, sizeof(*conf));
	memset(args, 0, sizeof(*args));
	config_init(&lc);
	rc = load_args(NULL, &origin, args, argc, argv, err, err_len);
	if (rc == 0)
		rc = load_defaults(conf, err, err_len);
	if (rc == 0 && args->file != NULL) {
		origin.file = args->file;
		rc = load_file(conf, &origin, args->file, &lc, err, err_len);
	}
	if (rc == 0)
		rc = load_args(conf, &origin, args, argc, argv, err, err_len);
	config_destroy(&lc);
	if (rc == 0)
		rc = sp_config_check(conf, &origin, err, err_len);
	if (rc != 0)
		sp_config_free(conf);
	return rc;
}

void sp_config_free(struct sp_config *conf)
{
	size_t i;

	for (i = 0; i < NROWS; i++) {
		if (rows[i].kind == LIST)
			clear_list(field(conf, &rows[i]));
	}
}

int sp_config_line(const struct sp_origin *origin, const char *name)
{
	const struct option_row *row = find_row(name);

	return row != NULL ? origin->line[row - rows] : 0;
}

static int is_fault(const struct option_row *row)
{
	return strncmp(row->name, "fault_", strlen("fault_")) == 0;
}

static void help_row(FILE *out, const struct option_row *row)
{
	fprintf(out, "  %-20s %s", row->name, row->help);
	if (row->unit[0] != '\0')
		fprintf(out, " [%s]", row->unit);
	fprintf(out, " (%s)\n", row->def[0] != '\0' ? row->def : "none");
}

void sp_config_help(FILE *out)
{
	size_t i;

	fputs("usage: tas [-c FILE] [-n] [--OPTION=VALUE ...]\n"
	      "\n"
	      "  -c, --config FILE  read options from FILE\n"
	      "  -n, --check        check the options and exit\n"
	      "  -h, --help         this text\n"
	      "      --help-config  the options with their ranges\n"
	      "  -V, --version      version of the program and of its interface\n"
	      "\n"
	      "Options, in the file as OPTION = VALUE; and here as --OPTION=VALUE:\n",
		out);
	for (i = 0; i < NROWS; i++) {
		if (!is_fault(&rows[i]))
			help_row(out, &rows[i]);
	}
	fputs("\nFor tests only, they harm frames on purpose:\n", out);
	for (i = 0; i < NROWS; i++) {
		if (is_fault(&rows[i]))
			help_row(out, &rows[i]);
	}
}

void sp_config_help_options(FILE *out)
{
	size_t i;

	for (i = 0; i < NROWS; i++) {
		const struct option_row *r = &rows[i];

		fprintf(out, "%s\n    %s\n    ", r->name, r->help);
		if (r->kind == U32 || r->kind == RANGE)
			fprintf(out, "%llu to %llu", (unsigned long long)r->min,
				(unsigned long long)r->max);
		else if (r->kind == LIST)
			fprintf(out,
				"up to %llu, separated by commas:", (unsigned long long)r->max);
		fprintf(out, "%s%s; default %s\n",
			r->kind == U32 || r->kind == RANGE || r->kind == LIST ? " " : "", r->unit,
			r->def[0] != '\0' ? r->def : "none");
	}
}
