/* What a chat is shown besides the reply, when its session asks for it: /verbose, /reasoning, /usage. */
#ifndef OC_AGENT_SHOWN_H
#define OC_AGENT_SHOWN_H

#include "core/agent/turn.h"

#define OC_SHOWN_THOUGHTS "💭 Reasoning:\n" /* before them */

/* The turn begins: what its session asks for (the session's row, NULL: nothing). */
void oc_shown_begin(oc_turn *turn, cJSON *session);
void oc_shown_thinking(oc_turn *turn, oc_str piece);
/* A tool is started; its text result is there. */
void oc_shown_tool(oc_turn *turn, const char *name, const cJSON *arguments);
void oc_shown_result(oc_turn *turn, const char *name, const char *text, bool is_error);
/* With the commit of the reply: a message with the thoughts before it. */
void oc_shown_put_thoughts(oc_turn *turn, oc_batch *batch);
/* The reply with its line about tokens; oc_free it. NULL: as it is. */
char *oc_shown_reply(const oc_turn *turn, const char *text);

#endif
