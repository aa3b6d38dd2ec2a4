/*
 * Validation of what comes from outside: sizes, UTF-8, NUL and control characters, depth.  Pure.  [any]
 */
#ifndef OC_SECURITY_VALIDATE_H
#define OC_SECURITY_VALIDATE_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/base/err.h"
#include "core/base/str.h"

#define OC_VALIDATE_TEXT_MAX ((size_t)100 * 1024)
#define OC_VALIDATE_DEPTH_MAX 32u
#define OC_VALIDATE_ATTACHMENT_MAX ((uint64_t)50 * 1024 * 1024)
#define OC_VALIDATE_ATTACHMENTS_MAX ((size_t)10)
#define OC_VALIDATE_NAME_MAX ((size_t)256)

/* Text of a message: at most max bytes (0: OC_VALIDATE_TEXT_MAX), valid UTF-8, no control character but tab, newline and
 * carriage return. OC_E_LIMIT or OC_E_INVALID with the place. */
oc_status oc_validate_text(oc_str text, size_t max, oc_err *err);
/* An identifier (account, chat, sender, file name as data): 1 to OC_VALIDATE_NAME_MAX bytes, valid UTF-8, no control
 * character, no bidirectional override. what names it in the error. */
oc_status oc_validate_name(const char *what, oc_str name, oc_err *err);
/* A copy without control characters (but tab and newline; CR LF becomes LF) and with U+FFFD for invalid bytes; for text
 * that people may paste and that need not be refused. Fails as the builder does. */
void oc_validate_scrub(oc_str text, oc_sbuf *out);
/* A whole inbound message as channels and clients hand it in (see oc_channel_host.receive): text, identifiers, number and
 * size of attachments, absolute media paths, depth. */
oc_status oc_validate_message(const cJSON *message, oc_err *err);
/* Puts the scrubbed form in place of a message's texts and names (not its identifiers), where it differs: people paste what
 * terminals print, and a message should not be lost over a colour. OC_E_NOMEM. */
oc_status oc_validate_scrub_message(cJSON *message, oc_err *err);
/* Deepest nesting of a tree: 1 for a scalar or an empty container; stops counting at `cap`. */
unsigned oc_validate_depth(const cJSON *node, unsigned cap);

#endif
