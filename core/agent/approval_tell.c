/* See approval_tell.h. */
#include "core/agent/approval_tell.h"

#include <string.h>

#include "core/agent/inbound.h"
#include "core/agent/turn.h"

static oc_turn *turn_of(oc_agent *agent, const char *run)
{
	oc_map_node *node = run != NULL ? oc_map_find(&agent->runs, run) : NULL;
	return node != NULL ? OC_MAP_OWNER(node, oc_turn, by_run) : NULL;
}

static void put(cJSON *o, const char *name, const char *value)
{
	(void)oc_json_set(o, name, value != NULL && value[0] != 0 ? cJSON_CreateString(value) : cJSON_CreateNull());
}

cJSON *oc_approval_exec_request(oc_agent *agent, const char *run, const oc_exec_judgement *j, const char *command, const char *folder,
				const char *agent_id, const char *session)
{
	const oc_turn *turn = turn_of(agent, run);
	const cJSON *to = turn != NULL ? turn->deliver : NULL;
	cJSON *o = cJSON_CreateObject();
	put(o, "command", command);
	put(o, "cwd", folder);
	put(o, "nodeId", NULL);
	/* Who allows a command is told whether anything holds it. */
	bool free = strcmp(oc_config_str(agent->config, "tools.exec.sandbox.level", "strict"), "off") == 0;
	put(o, "host", free ? "gateway" : "sandbox");
	put(o, "security", j->security);
	put(o, "ask", j->ask);
	put(o, "agentId", agent_id);
	put(o, "resolvedPath", j->resolved);
	put(o, "sessionKey", session);
	put(o, "turnSourceChannel", oc_json_str(to, "channel", turn != NULL ? turn->origin : NULL));
	put(o, "turnSourceTo", oc_json_str(to, "to", NULL));
	put(o, "turnSourceAccountId", oc_json_str(to, "account", NULL));
	put(o, "turnSourceThreadId", oc_json_str(to, "thread", NULL));
	oc_approval_add_decisions(o);
	put(o, "systemRunBinding", NULL);
	put(o, "systemRunPlan", NULL);
	return o;
}

/* ---- Chats ---- */

static char *text_of(const oc_approval *a)
{
	const char *command = oc_json_str(a->request, "command", NULL), *folder = oc_json_str(a->request, "cwd", "");
	long long seconds = (long long)((a->expires_ms - a->created_ms) / 1000);
	if (command == NULL)
		return oc_asprintf("⚠️ Approval needed: %.300s\n%.1000s\n\n/approve %.8s allow-once\n/approve %.8s deny\n\nDenied in %lld s.",
				   oc_json_str(a->request, "title", ""), oc_json_str(a->request, "description", ""), a->id, a->id, seconds);
	return oc_asprintf("⚠️ A command wants to run%s%s:\n```\n%.3000s\n```\n/approve %.8s allow-once\n/approve %.8s allow-always\n"
			   "/approve %.8s deny\n\nIt waits for %lld s.",
			   folder[0] != 0 ? " in " : "", folder, command, a->id, a->id, a->id, seconds);
}

/* A list that is not there, or empty, has everybody. */
static bool passes(const cJSON *list, const char *text, bool part)
{
	const cJSON *one;
	cJSON_ArrayForEach(one, list)
		if (cJSON_IsString(one) && (part ? strstr(text, one->valuestring) != NULL : strcmp(text, one->valuestring) == 0))
			return true;
	return cJSON_GetArraySize(list) == 0;
}

static void say(oc_agent *agent, const cJSON *deliver, const oc_approval *a, int i, const char *text)
{
	char key[OC_APPROVAL_ID_MAX + 20];
	(void)snprintf(key, sizeof key, "a:%.60s:%d", a->id, i);
	oc_inbound_say(agent, deliver, oc_json_str(a->request, "sessionKey", ""), key, text);
}

static void say_target(oc_agent *agent, const cJSON *target, const oc_approval *a, int i, const char *text)
{
	oc_auto_json cJSON *deliver = cJSON_CreateObject();
	const cJSON *thread = oc_json_get(target, "threadId");
	oc_json_opt(deliver, "channel", oc_json_str(target, "channel", NULL));
	oc_json_opt(deliver, "account", oc_json_str(target, "accountId", NULL));
	oc_json_opt(deliver, "to", oc_json_str(target, "to", NULL));
	if (thread != NULL)
		(void)oc_json_set(deliver, "thread", cJSON_Duplicate(thread, true));
	say(agent, deliver, a, i, text);
}

void oc_approval_tell(oc_agent *agent, const char *run, const oc_approval *a)
{
	oc_turn *turn = turn_of(agent, run);
	const cJSON *set = oc_config_get(agent->config, "approvals.exec"), *target;
	const char *mode = oc_json_str(set, "mode", "session");
	oc_auto_free char *text = text_of(a);
	int i = 0;
	if (turn != NULL && turn->state == OC_TURN_RUNNING)
		oc_turn_notice(turn, "approval", "%.200s waits for approval: openclaw approvals resolve %s allow-once",
			       oc_json_str(a->request, "command", oc_json_str(a->request, "title", "a tool")), a->id);
	if (text == NULL || !oc_json_bool(set, "enabled", true) || !passes(oc_json_get(set, "agentFilter"), oc_json_str(a->request, "agentId", ""), false) ||
	    !passes(oc_json_get(set, "sessionFilter"), oc_json_str(a->request, "sessionKey", ""), true))
		return;
	if (strcmp(mode, "targets") != 0 && turn != NULL && turn->deliver != NULL) {
		oc_auto_json cJSON *deliver = cJSON_Duplicate(turn->deliver, true);
		cJSON_DeleteItemFromObjectCaseSensitive(deliver, "replyTo");
		say(agent, deliver, a, i++, text);
	}
	if (strcmp(mode, "session") != 0)
		cJSON_ArrayForEach(target, oc_json_get(set, "targets")) say_target(agent, target, a, i++, text);
}
