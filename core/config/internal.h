/* What the files of core/config share. */
#ifndef OC_CONFIG_INTERNAL_H
#define OC_CONFIG_INTERNAL_H

#include <stdatomic.h>

#include "core/config/config.h"

#define OC_CONFIG_MAX_BYTES ((size_t)4 << 20)
#define OC_CONFIG_MAX_VALUE ((size_t)1 << 20) /* of a variable, and of the .env file */

/* A file that was read, or could not be: main file first. */
typedef struct oc_config_file {
	char *path;
	char *mount; /* where its content is in the tree, "" for the main file */
	char *text;  /* NULL when it could not be read */
	size_t n;
} oc_config_file;

typedef struct oc_config_var {
	char *name, *value;
} oc_config_var;

typedef struct oc_config_entry {
	oc_config_problem shown; /* its strings are this entry's */
	bool is_environment;	 /* a variable is not set here and now: no reason to refuse an edit */
} oc_config_entry;

/* What a command answered for a secret reference; kept so that a reload need not run it again. */
typedef struct oc_config_secret {
	char *provider, *id, *value;
} oc_config_secret;

struct oc_config {
	atomic_uint refs;
	char *path;
	bool exists, last_good;
	cJSON *source, *root;
	oc_config_file *files;
	size_t n_files;
	oc_config_var *vars;
	size_t n_vars;
	oc_config_entry *problems;
	size_t n_problems;
	struct oc_config_refinement *refinements;
	size_t n_refinements;
	bool run_commands;		  /* secrets may be fetched by commands */
	bool left_out;			  /* a command was not run: its secret is not there */
	const atomic_bool *give_up;	  /* while loading: set by another thread, commands end at once; NULL */
	const struct oc_config *previous; /* while loading: where answers may be taken from; NULL */
	oc_config_secret *secrets;
	size_t n_secrets;
	/* Failures found before the checks, by path: what they cost is decided with the schema. */
	size_t *marks; /* numbers of problems */
	size_t n_marks;
};

/* A module's schema that was applied, kept for reloading. */
typedef struct oc_config_refinement {
	char *path;
	cJSON *schema;
} oc_config_refinement;

/* config.c */
oc_config *oc_config_new(const char *path);
/* Appends a problem (copies). Its section is the path until the cost is known. OC_E_NOMEM. */
oc_status oc_config_add_problem(oc_config *c, int severity, const char *path, const char *remedy, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
/* The last problem is an error that costs something: see oc_config_check. */
oc_status oc_config_mark_last(oc_config *c);
/* Takes over text; copies the rest. */
oc_status oc_config_add_file(oc_config *c, const char *path, const char *mount, char *text, size_t n);
/* The node after `steps` steps of a path (SIZE_MAX: all), its parent when wanted; NULL when there is none. */
cJSON *oc_config_node(cJSON *root, const char *path, size_t steps, cJSON **ret_parent);

/* include.c: replaces every $include in the tree, in place. Failures below the root become marked problems. */
oc_status oc_config_include(oc_config *c, cJSON *tree, oc_err *err);

/* env.c */
oc_status oc_config_read_env(oc_config *c);
oc_status oc_config_add_var(oc_config *c, oc_str name, oc_str value);
/* Replaces ${NAME} and then secret references in a tree; what is missing becomes a marked problem. */
oc_status oc_config_substitute(oc_config *c, cJSON *tree);
/* Adds the problem that a variable is not set, marked. */
oc_status oc_config_missing_var(oc_config *c, const char *path, oc_str name);

/* dotenv.c: adds the variables of a .env file; lines that are not understood become warnings. */
oc_status oc_config_read_dotenv(oc_config *c, const char *path, oc_str text);

/* secret_ref.c */
oc_status oc_config_resolve_secrets(oc_config *c, cJSON *tree);

/* secret_exec.c: runs the command of a provider and gives what it wrote, NUL-terminated; oc_free it after wiping. */
oc_status oc_config_run_provider(const oc_config *c, const cJSON *provider, oc_str input, char **ret, size_t *ret_n, oc_err *err);

/* load.c: how the secrets of commands are got when a file is loaded. */
typedef struct oc_config_loading {
	bool run_commands; /* false: those that are not known are left out */
	const oc_config *previous; /* answers are taken from it where their provider is the same; NULL: from nowhere */
	const atomic_bool *give_up; /* NULL: commands run as long as they may */
} oc_config_loading;
/* Any thread. */
oc_status oc_config_load_again(const char *path, oc_config_loading source, oc_config **ret, oc_err *err);
/* secret_ref.c: what `previous` is needed for, as a copy that another thread can have; NULL: out of memory. */
oc_config *oc_config_answers(const oc_config *c);

/* check.c: validates root against the table, applies what the errors cost, fills in defaults, locates problems. */
oc_status oc_config_check(oc_config *c);
/* Applies all refinements of another snapshot. OC_E_NOMEM. */
oc_status oc_config_refine_as(oc_config *c, const oc_config *other);

/* load.c: writes the last good copy when it changed. */
void oc_config_keep_copy(const oc_config *c);

/* secret.c: "${NAME}" and nothing else? */
bool oc_config_is_reference(const char *text);

#endif
