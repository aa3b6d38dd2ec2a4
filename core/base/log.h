/*
 * The log: levels, key=value or JSON lines, redaction of secrets, size-based rotation.  [any]
 *
 * Text goes to stderr, JSON lines to the file of oc_log_open_file as well; a terminal gets colour.  What was registered with
 * oc_log_redact (and what looks like a bearer token or an API key) is printed as ***.  Control characters in messages reach
 * neither terminals nor the beginnings of lines.
 */
#ifndef OC_BASE_LOG_H
#define OC_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/err.h"

/* Levels are the ABI's OC_LOG_ERROR … OC_LOG_TRACE. */
void oc_log_set_level(int level);
int oc_log_level(void);
/* "error" "warn" "info" "debug" "trace"; 0 for anything else. */
int oc_log_level_parse(const char *name);
void oc_log_set_json(bool json);   /* JSON lines on stderr instead of text; files are always JSON lines */
void oc_log_set_stderr(bool enabled); /* for tests */
/* What goes to stderr as well, when that is less than the level; OC_LOG_TRACE: no less. 0: nothing. */
void oc_log_set_console(int level);
/* Keeps what is logged from now on, up to 64 KiB, until oc_log_open_file writes it or oc_log_close forgets it: a gateway
 * knows its file before it knows that no other one uses it. */
void oc_log_hold(void);
/* Called with every message, after redaction, to hide more of it: in place, the length stays. It must not log; on the
 * logging thread. NULL turns it off. */
void oc_log_set_mask(void (*mask)(void *arg, char *message), void *arg);
/* Appends to a file as well, mode 0600; at max_bytes it becomes path.1 (… path.keep). */
oc_status oc_log_open_file(const char *path, uint64_t max_bytes, unsigned keep, oc_err *err);
void oc_log_reopen(void); /* after an outside rotation (SIGHUP) */
/* At the end of the program: also forgets the secrets. */
void oc_log_close(void);
/* Adds a secret to be hidden; values under 6 bytes are ignored. Copies. The last 256 are kept. */
void oc_log_redact(oc_str secret);
/* For tests: called with every line above the threshold, after redaction, as one JSON object, on the logging thread. NULL
 * turns it off. */
void oc_log_set_sink(void (*sink)(void *arg, int level, oc_str json_line), void *arg);

/* One line. `where` names the part ("gateway", "module telegram"). */
void oc_log(int level, const char *where, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* "what: text (remedy)" at level. */
void oc_log_err(int level, const char *where, const char *what, const oc_err *err);

#define oc_error(where, ...) oc_log(OC_LOG_ERROR, where, __VA_ARGS__)
#define oc_warn(where, ...) oc_log(OC_LOG_WARN, where, __VA_ARGS__)
#define oc_info(where, ...) oc_log(OC_LOG_INFO, where, __VA_ARGS__)
#define oc_debug(where, ...)                                        \
	do {                                                        \
		if (oc_log_level() >= OC_LOG_DEBUG)                 \
			oc_log(OC_LOG_DEBUG, where, __VA_ARGS__);   \
	} while (0)

#endif
