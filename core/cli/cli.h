/*
 * The command line: commands as data, so that parsing, --help, completion and the man page cannot disagree.
 *
 * A command is a static oc_command; core/cli/cli.c lists the top ones.  A run function gets parsed arguments and returns
 * an exit code.  Normal output goes to stdout, everything else to stderr; with --json exactly one JSON document goes to
 * stdout.
 */
#ifndef OC_CLI_CLI_H
#define OC_CLI_CLI_H

#include <stdbool.h>
#include <stdio.h>

#include "core/base/err.h"
#include "core/data/json.h"

/* Exit codes, in every command's --help. */
enum {
	OC_EXIT_OK = 0,
	OC_EXIT_FAILED = 1,
	OC_EXIT_USAGE = 2,
	OC_EXIT_NOT_RUNNING = 3, /* a gateway is needed and none runs */
};

typedef struct oc_opt {
	const char *name;  /* "port": --port */
	char letter;       /* 'p': -p; 0: none */
	const char *value; /* placeholder, "NUMBER"; NULL: a flag */
	const char *help;
} oc_opt;

typedef struct oc_args oc_args;
typedef struct oc_command oc_command;
struct oc_command {
	const char *name;
	const char *args;    /* positional ones for the synopsis: "PATH VALUE", "[NAME]"; NULL: none */
	const char *summary; /* one line, no period */
	const char *help;    /* further paragraphs and examples; NULL: none */
	const oc_opt *opts;  /* ends with a row of zeros; NULL: none. --help and --no-color are everywhere. */
	const oc_command *const *subs; /* ends with NULL; NULL: none */
	int min_args, max_args;        /* positional ones; max -1: any number */
	int (*run)(const oc_args *args); /* NULL: only subs */
	bool raw; /* hands everything after the name on unparsed (argc and argv in pos) */
};

/* Parsed arguments; everything points into argv. */
struct oc_args {
	const oc_command *command;
	const char *path; /* "openclaw config set" */
	int n_pos;
	char **pos;
	const char *const *values; /* by option index: the last value, "" for flags, NULL: not given */
};

/* The value of --name, or NULL. The name must be one of the command's (asserted). */
const char *oc_arg(const oc_args *args, const char *name);
bool oc_arg_flag(const oc_args *args, const char *name);
/* A whole number option; prints an error and returns false when it is none or outside [min, max]. *ret stays when not given. */
bool oc_arg_i64(const oc_args *args, const char *name, int64_t min, int64_t max, int64_t *ret);

/* Runs `openclaw …`; returns the exit code. */
int oc_cli_main(int argc, char **argv);
/* The top commands, ending with NULL (for completion and the man page). */
const oc_command *const *oc_cli_commands(void);

/* Whether somebody agrees: --yes, else the answer on the terminal to the question. Without a terminal: no, and `refused` and --yes
 * are named on stderr. The command must have the option yes. */
bool oc_cli_agreed(const oc_args *args, const char *refused, const char *question_format, ...) __attribute__((format(printf, 3, 4)));

/* One answer on stdin, the fallback for an empty one; what is typed is not shown when it is a secret. NULL when there are no more,
 * or no memory; else the caller's (wipe a secret). */
char *oc_cli_ask(const char *question, const char *fallback, bool secret);

/* ---- Output ---- */

/* "openclaw: text" and, on a second line, the remedy; on stderr. Returns OC_EXIT_FAILED. */
int oc_cli_fail(const oc_err *err);
/* The same for a usage error, with a hint at --help. Returns OC_EXIT_USAGE. */
int oc_cli_usage(const oc_args *args, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Behind a word that is counted: "%lld session%s". */
#define OC_S(n) ((n) == 1 ? "" : "s")
/* One JSON document and a newline on stdout; takes the tree. Returns OC_EXIT_OK. */
int oc_cli_print_json(cJSON *tree);
/* Escape sequences when stdout is a terminal and colour is not refused (NO_COLOR, --no-color), else "". */
const char *oc_bold(void);
const char *oc_dim(void);
const char *oc_red(void);
const char *oc_green(void);
const char *oc_yellow(void);
const char *oc_plain(void);
/* Text of others for people: control characters (which terminals obey, also U+0080 to U+009F) become spaces, line breaks
 * stay unless one_line; at most max characters, then "…". */
void oc_cli_text(FILE *out, oc_str text, size_t max, bool one_line);
/* The same to every string of a tree, in place and for one line: before it is shown in a table. Returns the tree. */
cJSON *oc_cli_clean(cJSON *tree);
/* A table with aligned columns; the cells are copied. */
typedef struct oc_table oc_table;
oc_table *oc_table_new(const char *const *heads, size_t n_columns);
void oc_table_row(oc_table *table, const char *const *cells);
void oc_table_print(oc_table *table, FILE *out); /* and frees */

#endif
