/*
 * Messages in the TypeScript original's form (its AgentMessage), for the hooks that carry its names: role user, assistant or
 * toolResult; parts text, image, thinking, toolCall; anything else passes through unchanged.
 */
#ifndef OC_AGENT_TRANSCRIPT_H
#define OC_AGENT_TRANSCRIPT_H

#include <cjson/cJSON.h>
#include <stdint.h>

/* {"role","content","timestamp"}; role is ours ("tool" becomes toolResult). The caller's; NULL when out of memory. */
cJSON *oc_transcript_message(const char *role, const cJSON *content, int64_t ts_ms);
/* A list of the store's messages (oc_store_history) in that form. Takes the list; NULL when out of memory. */
cJSON *oc_transcript_list(cJSON *messages);
/* The content of such a message, a list or a text, as our parts; NULL when it has none. The caller's. */
cJSON *oc_transcript_content(const cJSON *message);

#endif
