/*
 * The configuration: ~/.openclaw/openclaw.json (JSON5) with the TypeScript original's names and meanings.
 *
 * A loaded configuration is an immutable snapshot with a reference count.  Unlike the original, nothing in the content
 * stops the gateway: an unknown key is a warning with the nearest known name, a wrong value is an error that drops that
 * value, disables that channel, provider, module, plugin or agent, or closes that policy (never opens it), and every one
 * is in the list of problems.  Only a file that cannot be read at all is a failure; then the last good copy serves.
 * [loop] unless said otherwise; loading, reading and editing touch no globals and may run on any one thread.
 */
#ifndef OC_CONFIG_CONFIG_H
#define OC_CONFIG_CONFIG_H

#include "core/data/json.h"
#include "core/loop/loop.h"

typedef struct oc_config oc_config;

enum { OC_CONFIG_WARNING = 1, OC_CONFIG_ERROR = 2 };

typedef struct oc_config_problem {
	int severity;        /* OC_CONFIG_WARNING: kept as it is; OC_CONFIG_ERROR: `section` is disabled or at its default */
	const char *path;    /* "channels.telegram.botToken"; "" for the whole file */
	const char *section; /* what the error cost: "channels.telegram", "gateway.port", "tools" */
	const char *message; /* what is wrong, without the path */
	const char *remedy;  /* what to do; may be "" */
	const char *file;    /* the file it is in */
	unsigned line, column; /* from 1; 0 when not known */
} oc_config_problem;

/* ---- Loading ---- */

/* path NULL: oc_path_config(). A missing file gives the defaults (oc_config_exists tells).
 * Fails when the file cannot be read or parsed as a whole; err has file, line and column. */
oc_status oc_config_load(const char *path, oc_config **ret, oc_err *err);
/* The same with the secrets that commands have to be run for (secrets.providers.*.command); elsewhere a sentence stands in
 * their place, because looking at a configuration should neither wait nor ask a person for a password. */
oc_status oc_config_load_secrets(const char *path, oc_config **ret, oc_err *err);
/* What the gateway uses: as oc_config_load_secrets, but a file that fails falls back to the last good copy, with a problem that says so
 * and oc_config_is_last_good() true; keeps a new last good copy when there was no error. */
oc_status oc_config_load_gateway(const char *path, oc_config **ret, oc_err *err);
/* The same from text, as if it were the content of path (which need not exist; NULL: relative includes fail). */
oc_status oc_config_load_text(oc_str text, const char *path, oc_config **ret, oc_err *err);

oc_config *oc_config_ref(oc_config *config);
void oc_config_unref(oc_config *config); /* NULL is allowed */

/* Checks a value against a module's own schema, fills in that schema's defaults and adds the problems (an error disables
 * the section). Only before the configuration is shared: right after loading. A path that is not set is no problem. */
oc_status oc_config_refine(oc_config *config, const char *path, const cJSON *schema);

/* The i-th file that $include brought in; NULL past the last. */
const char *oc_config_included(const oc_config *config, size_t i);

/* ---- Reading (borrowed, valid as long as the snapshot; defaults included) ---- */

const cJSON *oc_config_root(const oc_config *config);
/* As written: includes merged, ${…} not replaced, no defaults. */
const cJSON *oc_config_source(const oc_config *config);
const cJSON *oc_config_get(const oc_config *config, const char *path);
/* The fallback when absent or of another type. */
const char *oc_config_str(const oc_config *config, const char *path, const char *fallback);
int64_t oc_config_i64(const oc_config *config, const char *path, int64_t fallback);
double oc_config_num(const oc_config *config, const char *path, double fallback);
bool oc_config_bool(const oc_config *config, const char *path, bool fallback);
/* A variable: the process's environment, else the .env file of the state folder, else env.vars; NULL when unset or "". */
const char *oc_config_env(const oc_config *config, const char *name);

const char *oc_config_path(const oc_config *config);      /* of the main file */
bool oc_config_exists(const oc_config *config);           /* the main file was there */
bool oc_config_is_last_good(const oc_config *config);     /* the copy serves because the file does not parse */
size_t oc_config_problem_count(const oc_config *config);
const oc_config_problem *oc_config_problem_at(const oc_config *config, size_t i);
size_t oc_config_error_count(const oc_config *config);
/* The part at path is as it was written: no error cost it, or something that it is in. An error that cost only something
 * in it does not count: "channels" is usable when channels.irc is not. */
bool oc_config_usable(const oc_config *config, const char *path);

/* ---- Secrets ---- */

/* Whether a member of this name holds a secret (token, apiKey, password, clientSecret, Authorization…). [any] */
bool oc_config_sensitive(const char *name);
/* Replaces secrets in a tree that starts at `path` ("" for the whole) by marker (NULL: "***"); "${NAME}" stays. [any] */
void oc_config_redact(cJSON *tree, const char *path, const char *marker);
/* The whole or one value as a new tree; cJSON_Delete it. NULL when there is none or out of memory. */
cJSON *oc_config_to_json(const oc_config *config, const char *path, bool redacted);
/* Registers every secret value with the log's redaction. */
void oc_config_register_secrets(const oc_config *config);

/* ---- Comparing and reloading ---- */

typedef struct oc_config_diff {
	char **paths; /* of what changed: the deepest object member that differs; arrays as a whole */
	size_t n;
} oc_config_diff;

oc_status oc_config_compare(const oc_config *before, const oc_config *after, oc_config_diff **ret);
void oc_config_diff_free(oc_config_diff *diff); /* NULL is allowed */
/* Whether something at, above or under path changed. */
bool oc_config_diff_touches(const oc_config_diff *diff, const char *path);

typedef struct oc_config_watch oc_config_watch;
/* after != NULL: the new configuration (ref it to keep it) and what changed; nothing (n is 0) when only its problems are
 * others than before, or when the file can be loaded again.
 * after == NULL: the file was changed but cannot be loaded; the old one stays; err tells why. */
typedef void oc_config_changed(void *arg, oc_config *after, const oc_config_diff *diff, const oc_err *err);
/* Watches the files of `config` (main and included); changes are taken up debounce_ms after the last one (0: as
 * gateway.reload.debounceMs says). Ends with the owner. */
oc_status oc_config_watch_start(oc_owner *owner, oc_config *config, uint64_t debounce_ms, oc_config_changed *changed,
				void *arg, oc_config_watch **ret, oc_err *err);
/* Applies the schemas that hold now (oc_config_refine) to what was read, before anybody else has it; without one, those that were
 * applied to the configuration before. OC_E_NOMEM. */
typedef oc_status oc_config_refiner(void *arg, oc_config *config);
void oc_config_watch_refine(oc_config_watch *watch, oc_config_refiner *refine, void *arg);
/* Looks now, without waiting for an event; fresh: asks the commands of secrets again, as after SIGHUP. */
void oc_config_watch_now(oc_config_watch *watch, bool fresh);
/* After each reading that is the last for now, whether it brought something or not; err: why the old configuration stays, else
 * NULL. Who sets it does not end the watch's owner in `changed`. */
typedef void oc_config_looked(void *arg, const oc_err *err);
void oc_config_watch_looked(oc_config_watch *watch, oc_config_looked *looked, void *arg);

/* ---- Editing the file ---- */

/* One change; those of one call are made together or not at all. */
typedef struct oc_config_change {
	const char *path;
	const cJSON *value; /* NULL: remove, which is no error here when there is nothing */
} oc_config_change;
/* Changes values in the main file: comments and layout stay, the result is validated first and refused when it has a new
 * error, the previous file is kept as <file>.bak, the new one has mode 0600.  Safe against other writers and against
 * crashes.  path_file NULL: oc_path_config(); a missing file is made.  OC_E_INVALID: refused, err says why. */
oc_status oc_config_edit_many(const char *path_file, const oc_config_change *changes, size_t n, oc_err *err);
/* The same with a further check: refine is given the configuration before and after the change, to call oc_config_refine on
 * (it may be NULL). strict: removing what is not there is OC_E_NOT_FOUND. */
oc_status oc_config_edit_checked(const char *path_file, const oc_config_change *changes, size_t n, bool strict,
				 oc_config_refiner *refine, void *arg, oc_err *err);

/* Changes gathered one by one; {0} is empty. */
typedef struct oc_config_edits {
	oc_config_change *changes;
	size_t n;
	bool failed; /* told by the commit */
} oc_config_edits;
/* Both take over path and value; NULL (no memory for them) makes the commit fail. */
void oc_config_edits_set(oc_config_edits *edits, char *path, cJSON *value);
void oc_config_edits_remove(oc_config_edits *edits, char *path);
/* As oc_config_edit_many; nothing gathered is nothing to do. They are empty afterwards, whether it went well or not. */
oc_status oc_config_edits_commit(oc_config_edits *edits, const char *path_file, oc_err *err);
void oc_config_edits_drop(oc_config_edits *edits);

/* Locks the folder of a file (made when it is not there), so that two writers do not undo each other; close the descriptor to unlock. */
oc_status oc_config_lock(const char *file, int *ret_fd, oc_err *err);

/* ---- The schema ---- */

/* JSON Schema (draft-07) of the whole file with descriptions and defaults; cJSON_Delete it. NULL when out of memory. */
cJSON *oc_config_schema(void);

#endif
