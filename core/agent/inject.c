/* A message that nobody wrote and no model answered: put into a session's history by a client. */
#include <string.h>

#include "core/agent/journal.h"
#include "core/agent/turn.h"

typedef struct injection {
	oc_agent *agent;
	char key[OC_SESSION_KEY_MAX];
	int index;
	void (*done)(void *arg, int64_t seq, const oc_err *err);
	void *arg;
} injection;

static void committed(void *arg, const oc_batch *b, oc_status status, const oc_err *err)
{
	injection *in = arg;
	if (status == OC_OK)
		oc_journal_touch(in->agent, in->key);
	in->done(in->arg, status == OC_OK ? oc_batch_seq(b, in->index) : 0, err);
	oc_free(in);
}

oc_status oc_agent_inject(oc_agent *agent, oc_str session, const char *text, void (*done)(void *arg, int64_t seq, const oc_err *err),
			  void *arg, oc_err *err)
{
	oc_auto_json cJSON *row = NULL, *content = cJSON_CreateArray();
	oc_status status = oc_agent_session(agent, session, &row, err);
	if (status != OC_OK)
		return status;
	/* Between a call and its result it would be a history that providers refuse. */
	if (oc_json_get(row, "running") != NULL)
		return oc_fail(err, OC_E_BUSY, "try again when it is over", "a turn of the session is running");
	cJSON *part = cJSON_CreateObject();
	(void)oc_json_set_str(part, "type", "text");
	(void)oc_json_set_str(part, "text", text);
	(void)cJSON_AddItemToArray(content, part);
	oc_auto_free char *json = oc_json_print(content);
	injection *in = oc_alloc(sizeof *in);
	oc_batch *b = oc_batch_new(agent->store);
	if (json == NULL || in == NULL || b == NULL) {
		oc_free(in);
		oc_batch_free(b);
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot put a message into the session");
	}
	*in = (injection){.agent = agent, .done = done, .arg = arg};
	(void)snprintf(in->key, sizeof in->key, "%s", oc_json_str(row, "key", ""));
	in->index = oc_batch_message(b, in->key, "agent_response",
				     &(oc_message){.role = "assistant", .content_json = json, .text = text, .model = OC_AGENT_INJECTED,
						   .meta_json = "{\"stopReason\":\"stop\"}", .tokens = oc_tokens_of(oc_str_of(text))});
	status = oc_batch_commit(b, committed, in, err);
	if (status != OC_OK)
		oc_free(in);
	return status;
}
