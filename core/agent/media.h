/* Pictures and files of messages. */
#ifndef OC_AGENT_MEDIA_H
#define OC_AGENT_MEDIA_H

#include "core/agent/turn.h"

#define OC_MEDIA_IMAGE_MAX ((size_t)8 << 20)
#define OC_MEDIA_COUNT_MAX 10

/* Base64 of a file of at most max bytes; oc_free it. */
oc_status oc_media_base64(const char *path, size_t max, char **ret, oc_err *err);
/* Puts the files of a message into the workspace (media/inbound/), where tools can reach them, and adds "workspacePath" to
 * each. What cannot be put there keeps its place. */
void oc_media_adopt(oc_turn *turn);
/* A file of the workspace as one element of a message's "media"; NULL with err. */
cJSON *oc_media_file(const oc_agent *agent, const char *workspace, const char *path, oc_err *err);
/* Takes lines "MEDIA:path" out of an answer. Returns the files as an array for a message's "media" (NULL: none); *ret_rest
 * is the text without those lines, with a word about each that could not be attached; oc_free it (NULL: out of memory). */
cJSON *oc_media_attach(oc_turn *turn, const char *text, char **ret_rest);

#endif
