/*
 * What hooks are told of a turn.  Each function makes one payload, the caller's; out of memory leaves members out.  [loop]
 */
#ifndef OC_AGENT_TURN_PAYLOAD_H
#define OC_AGENT_TURN_PAYLOAD_H

#include "core/agent/turn.h"
#include "core/agent/workspace.h"

/* What a channel is called in the original's contexts: what comes from no channel comes from its own web chat. */
const char *oc_payload_provider(const oc_turn *turn);
/* The conversation as the original's handlers know it, without or with what this turn has added. */
cJSON *oc_payload_history(const oc_turn *turn, bool own);
/* Session and context, for hooks that are about the session. */
cJSON *oc_payload_session(const oc_turn *turn);
cJSON *oc_payload_start(const oc_turn *turn); /* with the session that it goes on from */

/* Before the model: the message, its prompt, the workspace's files, what factories of tools and the model are told. */
cJSON *oc_payload_message(const oc_turn *turn);
cJSON *oc_payload_prompt_only(const oc_turn *turn);
cJSON *oc_payload_prompt(const oc_turn *turn);
cJSON *oc_payload_bootstrap(const oc_turn *turn);
/* Which files of the workspace the prompt shows. */
oc_workspace_which oc_turn_files(const oc_turn *turn);
cJSON *oc_payload_run(const oc_turn *turn);
cJSON *oc_payload_input(const oc_turn *turn);
/* Messages about to be written: the user's, an answer of the model, the final one. */
cJSON *oc_payload_user(const oc_turn *turn);
cJSON *oc_payload_answer(const oc_turn *turn, const char *content_json);
cJSON *oc_payload_final(const oc_turn *turn);
/* After the model: its output, the reply, where it goes, the end with the whole conversation, how it came out. */
cJSON *oc_payload_output(const oc_turn *turn);
cJSON *oc_payload_reply(const oc_turn *turn);
cJSON *oc_payload_sending(const oc_turn *turn);
cJSON *oc_payload_end(const oc_turn *turn);
cJSON *oc_payload_result(const oc_turn *turn, const cJSON *result);

#endif
