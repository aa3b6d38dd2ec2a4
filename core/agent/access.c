/*
 * dmPolicy:    pairing (the default: strangers ask for a code), allowlist, open, disabled.
 * groupPolicy: allowlist (the default: senders of groupAllowFrom, else of allowFrom), open, disabled; with `groups` only
 *              the groups named there, or all with "*".
 * In groups the assistant answers when it is meant: a mention, an answer to it, a pattern; requireMention: false turns
 * that off, and so does `/activation always` in the group.
 */
#include "core/agent/access.h"

#include <stdio.h>
#include <string.h>

#include "core/agent/channels.h"
#include "core/data/regex.h"
#include "core/store/pairing.h"

static oc_access refuse(char *reason, const char *why)
{
	snprintf(reason, 120, "%s", why);
	return OC_ACCESS_REFUSED;
}

/* Ids are written as texts or numbers, names with or without "@", the channel's name may stand before. */
static bool entry_is(const cJSON *entry, const oc_access_question *q)
{
	char number[32];
	const char *text = NULL;
	if (cJSON_IsString(entry)) {
		text = entry->valuestring;
	} else if (cJSON_IsNumber(entry)) {
		snprintf(number, sizeof number, "%.0f", entry->valuedouble);
		text = number;
	}
	if (text == NULL || text[0] == 0)
		return false;
	if (strcmp(text, "*") == 0)
		return true;
	size_t n = strlen(q->channel);
	if (strncmp(text, q->channel, n) == 0 && text[n] == ':')
		text += n + 1;
	if (strcmp(text, q->sender) == 0)
		return true;
	if (*text == '@')
		text++;
	return q->username[0] != 0 && oc_str_ieq(oc_str_of(text), oc_str_of(q->username));
}

static bool listed(const cJSON *list, const oc_access_question *q)
{
	const cJSON *entry;
	cJSON_ArrayForEach(entry, list) if (entry_is(entry, q)) return true;
	return false;
}

static const cJSON *setting(const oc_access_question *q, const char *name)
{
	return oc_channel_setting(q->config, q->channel, q->account, name);
}

static const char *text_setting(const oc_access_question *q, const char *name, const char *fallback)
{
	const cJSON *value = setting(q, name);
	return cJSON_IsString(value) ? value->valuestring : fallback;
}

/* ---- Direct messages ---- */

static oc_access decide_dm(const oc_access_question *q, char *reason)
{
	const char *policy = text_setting(q, "dmPolicy", "pairing");
	if (strcmp(policy, "open") == 0)
		return OC_ACCESS_ALLOWED;
	if (strcmp(policy, "disabled") == 0)
		return refuse(reason, "direct messages are off (dmPolicy)");
	if (listed(setting(q, "allowFrom"), q) || oc_pairing_allowed(q->store, q->channel, q->account, q->sender))
		return OC_ACCESS_ALLOWED;
	if (strcmp(policy, "pairing") == 0)
		return OC_ACCESS_PAIRING;
	return refuse(reason, "the sender is not in allowFrom");
}

/* ---- Groups ---- */

static bool matches(const cJSON *patterns, oc_str text)
{
	const cJSON *p;
	cJSON_ArrayForEach(p, patterns)
	{
		oc_regex *regex = NULL;
		if (!cJSON_IsString(p) || oc_regex_new(oc_str_of(p->valuestring), OC_REGEX_IGNORE_CASE, &regex, NULL) != OC_OK)
			continue;
		bool found = oc_regex_match(regex, text) == OC_OK;
		oc_regex_free(regex);
		if (found)
			return true;
	}
	return false;
}

static bool meant(const oc_access_question *q, const cJSON *group, const cJSON *any)
{
	oc_auto_json cJSON *session = NULL;
	if (q->mentioned)
		return true;
	if (q->session[0] != 0)
		(void)oc_store_session(q->store, q->session, &session, NULL);
	/* What the session was told (/activation) comes before the configuration. */
	const char *activation = oc_json_str(oc_json_get(session, "settings"), "activation", "");
	const cJSON *require = oc_json_get(group, "requireMention");
	if (require == NULL)
		require = oc_json_get(any, "requireMention");
	if (require == NULL)
		require = setting(q, "requireMention");
	if (activation[0] != 0 ? strcmp(activation, "always") == 0 : cJSON_IsFalse(require))
		return true;
	const cJSON *own = oc_json_get(oc_json_get(oc_agent_entry(q->config, q->agent_id), "groupChat"), "mentionPatterns");
	return matches(own != NULL ? own : oc_config_get(q->config, "messages.groupChat.mentionPatterns"), q->text);
}

static oc_access decide_group(const oc_access_question *q, char *reason)
{
	const cJSON *groups = setting(q, "groups");
	const cJSON *group = oc_json_get(groups, q->chat), *any = oc_json_get(groups, "*");
	if (cJSON_GetArraySize(groups) > 0 && group == NULL && any == NULL)
		return refuse(reason, "the group is not in `groups`");
	if (!oc_json_bool(group, "enabled", oc_json_bool(any, "enabled", true)))
		return refuse(reason, "the group is switched off");
	const char *policy = oc_json_str(group, "groupPolicy", oc_json_str(any, "groupPolicy", NULL));
	if (policy == NULL)
		policy = text_setting(q, "groupPolicy", "allowlist");
	if (strcmp(policy, "disabled") == 0)
		return refuse(reason, "groups are off (groupPolicy)");
	if (strcmp(policy, "open") != 0) {
		const cJSON *list = oc_json_get(group, "allowFrom");
		if (list == NULL)
			list = oc_json_get(any, "allowFrom");
		if (list == NULL)
			list = setting(q, "groupAllowFrom");
		if (list == NULL)
			list = setting(q, "allowFrom");
		if (!listed(list, q) && !oc_pairing_allowed(q->store, q->channel, q->account, q->sender))
			return refuse(reason, "the sender is not in groupAllowFrom");
	}
	return meant(q, group, any) ? OC_ACCESS_ALLOWED : OC_ACCESS_OVERHEARD;
}

/* ---- Sessions that are not answered ---- */

static bool same_kind(const char *wanted, const char *is)
{
	return strcmp(wanted, strcmp(is, "dm") == 0 ? "direct" : is) == 0 || strcmp(wanted, is) == 0;
}

/* session.sendPolicy: a rule that denies decides at once; else one that allows; else the default. */
static bool may_send(const oc_access_question *q)
{
	const cJSON *policy = oc_config_get(q->config, "session.sendPolicy"), *rule;
	bool allowed = false;
	cJSON_ArrayForEach(rule, oc_json_get(policy, "rules"))
	{
		const cJSON *match = oc_json_get(rule, "match");
		const char *prefix = oc_json_str(match, "keyPrefix", "");
		if (strcmp(oc_json_str(match, "channel", q->channel), q->channel) != 0 ||
		    !same_kind(oc_json_str(match, "chatType", q->chat_type), q->chat_type) ||
		    strncmp(prefix, q->session, strlen(prefix)) != 0)
			continue;
		if (strcmp(oc_json_str(rule, "action", ""), "deny") == 0)
			return false;
		allowed = true;
	}
	return allowed || strcmp(oc_json_str(policy, "default", "allow"), "deny") != 0;
}

oc_access oc_access_decide(const oc_access_question *q, char *reason)
{
	char path[80];
	snprintf(path, sizeof path, "channels.%.60s", q->channel);
	reason[0] = 0;
	if (!oc_config_usable(q->config, path))
		return refuse(reason, "the channel's configuration has an error");
	if (!may_send(q))
		return refuse(reason, "session.sendPolicy");
	return strcmp(q->chat_type, "dm") == 0 ? decide_dm(q, reason) : decide_group(q, reason);
}

/* ---- Commands ---- */

static const cJSON *group_list(const oc_access_question *q)
{
	const cJSON *groups = setting(q, "groups");
	const cJSON *list = oc_json_get(oc_json_get(groups, q->chat), "allowFrom");
	if (list == NULL)
		list = oc_json_get(oc_json_get(groups, "*"), "allowFrom");
	return list != NULL ? list : setting(q, "groupAllowFrom");
}

bool oc_access_commands(const oc_access_question *q)
{
	const cJSON *own = oc_config_get(q->config, "commands.allowFrom");
	if (cJSON_IsObject(own)) {
		const cJSON *list = oc_json_get(own, q->channel);
		return listed(list != NULL ? list : oc_json_get(own, "*"), q);
	}
	if (!oc_config_bool(q->config, "commands.useAccessGroups", true) ||
	    listed(oc_config_get(q->config, "commands.ownerAllowFrom"), q) || listed(setting(q, "allowFrom"), q) ||
	    oc_pairing_allowed(q->store, q->channel, q->account, q->sender))
		return true;
	return strcmp(q->chat_type, "dm") != 0 && listed(group_list(q), q);
}
