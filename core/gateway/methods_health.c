/* `health` of OpenClaw's own protocol, and the state of channels as its clients know it. */
#include <stdio.h>
#include <string.h>

#include "core/agent/heartbeat.h"
#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/gateway/proto.h"

#define FRESH_MS 1000
#define RECENT 5

/* ---- Channels ---- */

static cJSON *account_of(const cJSON *account, bool enabled)
{
	cJSON *o = cJSON_CreateObject();
	const char *state = oc_json_str(account, "state", "");
	bool up = strcmp(state, "connected") == 0;
	(void)oc_json_set_str(o, "accountId", oc_json_str(account, "account", "default"));
	(void)oc_json_set_bool(o, "enabled", enabled);
	(void)oc_json_set_bool(o, "configured", true);
	(void)oc_json_set_bool(o, "running", up || strcmp(state, "connecting") == 0);
	(void)oc_json_set_bool(o, "connected", up);
	(void)oc_json_set_str(o, "state", state);
	static const char *const times[][2] = {{"since", "lastStartAt"}, {"lastInbound", "lastInboundAt"}, {"lastOutbound", "lastOutboundAt"}};
	for (size_t i = 0; i < sizeof times / sizeof *times; i++)
		if (oc_json_i64(account, times[i][0], 0) > 0)
			(void)oc_json_set_i64(o, times[i][1], oc_json_i64(account, times[i][0], 0));
	oc_json_opt(o, "lastError", oc_json_str(account, "lastError", NULL));
	return o;
}

static void add_channel(cJSON *into, const cJSON *channel)
{
	const char *id = oc_json_str(channel, "id", ""), *label = oc_json_str(channel, "label", id);
	const cJSON *account, *list = oc_json_get(channel, "accounts");
	bool enabled = oc_json_bool(channel, "enabled", false);
	cJSON *rows = cJSON_CreateArray(), *sum = cJSON_CreateObject(), *meta = cJSON_CreateObject();
	cJSON_ArrayForEach(account, list) (void)cJSON_AddItemToArray(rows, account_of(account, enabled));
	const cJSON *first = rows->child;
	(void)oc_json_set_bool(sum, "configured", first != NULL);
	(void)oc_json_set_bool(sum, "running", oc_json_bool(first, "running", false));
	(void)oc_json_set(sum, "lastStartAt", cJSON_Duplicate(oc_json_get(first, "lastStartAt"), true));
	(void)oc_json_set(sum, "lastError", cJSON_Duplicate(oc_json_get(first, "lastError"), true));
	if (oc_json_get(sum, "lastError") == NULL)
		(void)oc_json_set(sum, "lastError", cJSON_CreateNull());
	(void)cJSON_AddItemToArray(cJSON_GetObjectItemCaseSensitive(into, "channelOrder"), cJSON_CreateString(id));
	(void)oc_json_set_str(cJSON_GetObjectItemCaseSensitive(into, "channelLabels"), id, label);
	cJSON *details = cJSON_GetObjectItemCaseSensitive(into, "channelMeta");
	if (details != NULL) {
		(void)oc_json_set_str(meta, "id", id);
		(void)oc_json_set_str(meta, "label", label);
		(void)oc_json_set_str(meta, "detailLabel", label);
		(void)cJSON_AddItemToArray(details, meta);
		(void)oc_json_set_str(cJSON_GetObjectItemCaseSensitive(into, "channelDetailLabels"), id, label);
		(void)oc_json_set_str(cJSON_GetObjectItemCaseSensitive(into, "channelDefaultAccountId"), id,
				      oc_json_str(first, "accountId", "default"));
		(void)oc_json_set(cJSON_GetObjectItemCaseSensitive(into, "channelAccounts"), id, rows);
	} else {
		cJSON_Delete(meta);
		(void)oc_json_set(sum, "accounts", rows);
	}
	(void)oc_json_set(cJSON_GetObjectItemCaseSensitive(into, "channels"), id, sum);
}

/* Adds channels, their order and labels; with `full` what channels.status has besides. */
static oc_status add_channels(oc_gateway *gw, cJSON *into, bool full, oc_err *err)
{
	oc_auto_json cJSON *list = NULL;
	const cJSON *channel;
	(void)oc_json_set(into, "channelOrder", cJSON_CreateArray());
	(void)oc_json_set(into, "channelLabels", cJSON_CreateObject());
	(void)oc_json_set(into, "channels", cJSON_CreateObject());
	if (full) {
		(void)oc_json_set(into, "channelDetailLabels", cJSON_CreateObject());
		(void)oc_json_set(into, "channelSystemImages", cJSON_CreateObject());
		(void)oc_json_set(into, "channelMeta", cJSON_CreateArray());
		(void)oc_json_set(into, "channelAccounts", cJSON_CreateObject());
		(void)oc_json_set(into, "channelDefaultAccountId", cJSON_CreateObject());
	}
	oc_status status = oc_agent_channels(gw->agent, &list, err);
	cJSON_ArrayForEach(channel, list) add_channel(into, channel);
	return status;
}

cJSON *oc_proto_channels(oc_gateway *gw, oc_err *err)
{
	cJSON *result = cJSON_CreateObject();
	(void)oc_json_set_i64(result, "ts", oc_wall_ms());
	if (add_channels(gw, result, true, err) == OC_OK)
		return result;
	cJSON_Delete(result);
	return NULL;
}

/* ---- health ---- */

static cJSON *sessions_of(oc_gateway *gw, const char *agent, oc_err *err)
{
	oc_auto_json cJSON *list = NULL;
	oc_auto_free char *path = oc_path_state("openclaw.db");
	oc_session_filter filter = {.agent = agent, .limit = RECENT};
	cJSON *o = cJSON_CreateObject(), *recent = cJSON_CreateArray();
	const cJSON *one;
	int64_t now = oc_wall_ms();
	(void)oc_json_set_str(o, "path", path != NULL ? path : "");
	(void)oc_json_set_i64(o, "count", oc_store_session_count(gw->rt->store));
	if (oc_agent_sessions(gw->agent, &filter, &list, err) == OC_OK)
		cJSON_ArrayForEach(one, list)
		{
			int64_t updated = oc_json_i64(one, "updatedAt", 0);
			cJSON *row = cJSON_CreateObject();
			(void)oc_json_set_str(row, "key", oc_json_str(one, "key", ""));
			(void)oc_json_set_i64(row, "updatedAt", updated);
			(void)oc_json_set_i64(row, "age", now - updated);
			(void)cJSON_AddItemToArray(recent, row);
		}
	(void)oc_json_set(o, "recent", recent);
	return o;
}

static cJSON *make_health(oc_gateway *gw)
{
	uint64_t began = oc_now_ms();
	oc_err err = {0};
	oc_auto_json cJSON *agents = NULL;
	const cJSON *one;
	cJSON *o = cJSON_CreateObject(), *list = cJSON_CreateArray();
	(void)oc_json_set_bool(o, "ok", gw->ready && !gw->stopping);
	(void)oc_json_set_i64(o, "ts", oc_wall_ms());
	(void)oc_json_set_i64(o, "durationMs", 0);
	(void)add_channels(gw, o, false, &err);
	if (oc_agent_agents(gw->agent, &agents, &err) == OC_OK) {
		const char *main_id = oc_json_str(agents, "defaultId", "main");
		(void)oc_json_set_i64(o, "heartbeatSeconds", oc_heartbeat_every_ms(gw->rt->config, main_id) / 1000);
		(void)oc_json_set_str(o, "defaultAgentId", main_id);
		cJSON_ArrayForEach(one, oc_json_get(agents, "agents"))
		{
			const char *id = oc_json_str(one, "id", "main");
			cJSON *row = cJSON_CreateObject();
			(void)oc_json_set_str(row, "agentId", id);
			oc_json_opt(row, "name", oc_json_str(one, "name", NULL));
			(void)oc_json_set_bool(row, "isDefault", strcmp(id, main_id) == 0);
			(void)oc_json_set(row, "heartbeat", oc_heartbeat_describe(gw->rt->config, id));
			(void)oc_json_set(row, "sessions", sessions_of(gw, id, &err));
			(void)cJSON_AddItemToArray(list, row);
		}
	}
	(void)oc_json_set(o, "agents", list);
	(void)oc_json_set(o, "sessions", sessions_of(gw, NULL, &err));
	(void)oc_json_set_i64(o, "durationMs", (int64_t)(oc_now_ms() - began));
	return o;
}

/* Probes ask often, and it takes some queries: who asks within a second gets what the last one got. */
oc_str oc_proto_health(oc_gateway *gw)
{
	struct oc_protos *all = oc_protos_of(gw);
	uint64_t now = oc_now_ms();
	if (all == NULL)
		return OC_STR("{}");
	if (all->health_text == NULL || now - all->health_ms >= FRESH_MS) {
		cJSON *tree = make_health(gw);
		char *text = oc_json_print(tree);
		cJSON_Delete(tree);
		if (text != NULL) {
			oc_free(all->health_text);
			all->health_text = text;
			all->health_version++;
		}
		all->health_ms = now;
	}
	return oc_str_of(all->health_text != NULL ? all->health_text : "{}");
}

static void health(oc_method_call *call, const cJSON *params)
{
	(void)params;
	oc_method_reply_text(call, oc_proto_health(oc_method_gateway(call)));
}

const oc_method oc_method_health = {"health", OC_SCOPE_READ, "channels, agents and sessions at a glance; at most a second old",
				    OC_PARAMS(OC_BOOLEAN("probe")), health};
