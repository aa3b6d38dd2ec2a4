/* What goes out beside the replies: messages that somebody asked to have sent, and the sign that an answer is being written. */
#include <stdio.h>
#include <string.h>

#include "core/agent/outbound.h"
#include "core/base/id.h"
#include "core/base/mem.h"

void oc_outbound_typing(oc_agent *agent, const cJSON *deliver)
{
	oc_guest *guest = oc_modules_channel(agent->modules, oc_json_ostr(deliver, "channel"));
	if (guest == NULL || !oc_guest_running(guest) || !oc_guest_has(guest, "action"))
		return;
	oc_auto_json cJSON *m = cJSON_Duplicate(deliver, true);
	(void)oc_json_set_str(m, "action", "typing");
	oc_auto_free char *json = oc_json_print(m);
	oc_call_options options = {.deadline_ms = 5000, .owner = agent->owner};
	if (json != NULL)
		(void)oc_channel_action(guest, oc_str_of(json), &options, NULL);
}

typedef struct sending {
	oc_agent *agent;
	char key[80];
	void (*done)(void *arg, oc_status status, const oc_err *err);
	void *arg;
} sending;

static void queued(void *arg, const oc_batch *b, oc_status status, const oc_err *err)
{
	(void)b;
	sending *s = arg;
	if (status == OC_OK)
		oc_outbound_kick(s->agent, s->key);
	if (s->done != NULL)
		s->done(s->arg, status, err);
	oc_free(s);
}

oc_status oc_agent_send(oc_agent *agent, const cJSON *message, oc_str idempotency, char key_out[80],
			void (*done)(void *arg, oc_status status, const oc_err *err), void *arg, oc_err *err)
{
	const char *channel = oc_json_str(message, "channel", ""), *to = oc_json_str(message, "to", "");
	if (agent->draining)
		return oc_fail(err, OC_E_UNAVAILABLE, "try again in a moment", "the gateway is stopping");
	if (channel[0] == 0 || to[0] == 0 ||
	    (oc_json_str(message, "text", "")[0] == 0 && cJSON_GetArraySize(oc_json_get(message, "media")) == 0))
		return oc_fail(err, OC_E_INVALID, "give channel, to and text", "the message is not complete");
	if (oc_modules_channel(agent->modules, oc_str_of(channel)) == NULL)
		return oc_fail(err, OC_E_NOT_FOUND, "see `openclaw module list`", "there is no channel %s", channel);
	if (idempotency.n > 60)
		return oc_fail(err, OC_E_LIMIT, "use at most 60 bytes", "the idempotency key is too long");
	sending *s = oc_alloc(sizeof *s);
	oc_batch *b = oc_batch_new(agent->store);
	oc_auto_free char *json = oc_json_print(message);
	if (s == NULL || b == NULL || json == NULL) {
		oc_free(s);
		oc_batch_free(b);
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot send the message");
	}
	*s = (sending){.agent = agent, .done = done, .arg = arg};
	char unique[37];
	if (idempotency.n > 0)
		snprintf(s->key, sizeof s->key, "send:%.*s", (int)idempotency.n, idempotency.p);
	else
		snprintf(s->key, sizeof s->key, "send:%s", oc_id_uuid(unique));
	memcpy(key_out, s->key, sizeof s->key);
	oc_batch_outbox_put(b, s->key, oc_json_str(message, "session", NULL), NULL, channel,
			    oc_json_str(message, "account", "default"), json);
	oc_status status = oc_batch_commit(b, queued, s, err);
	if (status != OC_OK)
		oc_free(s);
	return status;
}
