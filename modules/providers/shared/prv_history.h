/*
 * The conversation of a request, as both protocols want it told: every tool call directly followed by its result.
 *
 * Sessions outlive models and crashes, providers refuse a history with a loose end for ever after; so results are looked
 * up for each call (wherever they stand before the next answer), a missing one is put in, and a result nobody asked for
 * is left out.  [any]
 */
#ifndef PRV_HISTORY_H
#define PRV_HISTORY_H

#include "prv_json.h"

typedef struct prv_history {
	prv_json *messages; /* views into the request */
	size_t n;
} prv_history;

enum { PRV_ROLE_OTHER = 0, PRV_ROLE_USER, PRV_ROLE_ASSISTANT, PRV_ROLE_TOOL, PRV_ROLE_SYSTEM };

/* False: out of memory. Free with prv_history_free. */
bool prv_history_load(prv_json messages, prv_history *ret);
void prv_history_free(prv_history *h);
int prv_history_role(const prv_history *h, size_t index);
prv_json prv_history_content(const prv_history *h, size_t index);
/* The result of the call with this id in the assistant message at index; absent when there is none. */
prv_json prv_history_result(const prv_history *h, size_t index, prv_json id);
/* Walks the parts of a content, which may also be a plain string: then one part, the string itself. */
bool prv_history_part(prv_json content, size_t *at, prv_json *part);
bool prv_part_is(prv_json part, const char *type);
/* The text of a text part (or of a plain string); absent for other parts. */
prv_json prv_part_text(prv_json part);

/* What stands in for a result that never came. */
#define PRV_NO_RESULT "No result: the call was interrupted."

/* Tool call ids go back to models that did not make them; each family has its own rules. */
enum {
	PRV_ID_LONG,  /* A-Z a-z 0-9 _ - (Anthropic) */
	PRV_ID_FORTY, /* anything up to 40 bytes (OpenAI) */
	PRV_ID_NINE   /* exactly nine letters and digits (Mistral) */
};
/* Appends the id as a JSON string; one that breaks the rule becomes another, always the same for the same id. */
void prv_history_id(prv_text *out, prv_json id, int rule);

#endif
