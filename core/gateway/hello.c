/* What OpenClaw's own protocol tells a client first: hello-ok, and who else is here. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/gateway/proto.h"

#define MAX_LISTED 200 /* of those who are here */

/* What is really sent, whether by the protocol itself or by what its methods do. */
static const char *const events[] = {"connect.challenge", "agent", "chat", "presence", "tick", "shutdown", "health",
				     "cron", "heartbeat", "device.pair.requested", "device.pair.resolved", "node.pair.requested",
				     "node.pair.resolved", "node.invoke.request", "exec.approval.requested",
				     "exec.approval.resolved", "plugin.approval.requested", "plugin.approval.resolved", "session.message",
				     "sessions.changed", "session.tool"};

const char *oc_proto_event_name(size_t i)
{
	return i < sizeof events / sizeof *events ? events[i] : NULL;
}

/* ---- Who is here ---- */

char *oc_proto_presence_text(const oc_proto *p, const cJSON *params, const cJSON *scopes)
{
	static const char *const copied[] = {"version", "platform", "deviceFamily", "modelIdentifier", "mode"};
	const cJSON *client = oc_json_get(params, "client");
	const char *name = oc_json_str(client, "displayName", oc_json_str(client, "id", ""));
	cJSON *o = cJSON_CreateObject(), *roles = cJSON_CreateArray();
	char text[700];
	(void)oc_json_set_str(o, "host", name);
	if (!p->from.is_local)
		(void)oc_json_set_str(o, "ip", p->from.address);
	for (size_t i = 0; i < sizeof copied / sizeof *copied; i++)
		oc_json_opt(o, copied[i], oc_json_str(client, copied[i], NULL));
	oc_json_opt(o, "deviceId", p->device);
	oc_json_opt(o, "user", p->client.user);
	(void)cJSON_AddItemToArray(roles, cJSON_CreateString(oc_json_str(params, "role", "operator")));
	(void)oc_json_set(o, "roles", roles);
	if (cJSON_GetArraySize(scopes) > 0)
		(void)oc_json_set(o, "scopes", cJSON_Duplicate(scopes, true));
	oc_json_opt(o, "instanceId", p->device != NULL ? p->device : oc_json_str(client, "instanceId", NULL));
	(void)oc_json_set_str(o, "reason", "connect");
	(void)oc_json_set_i64(o, "ts", oc_wall_ms());
	(void)snprintf(text, sizeof text, "Node: %s · mode %s", name, oc_json_str(client, "mode", ""));
	(void)oc_json_set_str(o, "text", text);
	char *json = oc_json_print(o);
	cJSON_Delete(o);
	return json;
}

static void add_self(const oc_gateway *gw, oc_sbuf *out)
{
	struct utsname about = {0};
	char text[512], platform[150];
	(void)uname(&about);
	bool anywhere = strcmp(gw->host, "0.0.0.0") == 0;
	(void)snprintf(platform, sizeof platform, "linux %s", about.release);
	(void)snprintf(text, sizeof text, "Gateway: %s (%s) · app %s · mode gateway · reason self", about.nodename,
		       anywhere ? "127.0.0.1" : gw->host, PACKAGE_VERSION);
	oc_sbuf_z(out, "{\"host\":");
	oc_sbuf_json(out, oc_str_of(about.nodename));
	oc_sbuf_z(out, ",\"ip\":");
	oc_sbuf_json(out, oc_str_of(anywhere ? "127.0.0.1" : gw->host));
	oc_sbuf_printf(out, ",\"version\":\"%s\",\"platform\":", PACKAGE_VERSION);
	oc_sbuf_json(out, oc_str_of(platform));
	oc_sbuf_z(out, ",\"deviceFamily\":\"Linux\",\"modelIdentifier\":");
	oc_sbuf_json(out, oc_str_of(strcmp(about.machine, "x86_64") == 0 ? "x64" : about.machine));
	oc_sbuf_z(out, ",\"mode\":\"gateway\",\"reason\":\"self\",\"text\":");
	oc_sbuf_json(out, oc_str_of(text));
	oc_sbuf_printf(out, ",\"ts\":%" PRId64 "}", oc_wall_ms());
}

void oc_proto_add_presence(oc_gateway *gw, oc_sbuf *out)
{
	size_t n = 0;
	oc_sbuf_char(out, '[');
	add_self(gw, out);
	for (const oc_proto *p = gw->protos != NULL ? gw->protos->first : NULL; p != NULL && n < MAX_LISTED; p = p->next) {
		if (p->presence == NULL)
			continue;
		oc_sbuf_char(out, ',');
		oc_sbuf_z(out, p->presence);
		n++;
	}
	oc_sbuf_char(out, ']');
}

/* ---- hello-ok ---- */

static void add_features(oc_gateway *gw, oc_sbuf *out)
{
	const oc_method *m;
	const char *name;
	oc_plugin_method guest;
	oc_sbuf_z(out, "\"features\":{\"methods\":[");
	bool first = true;
	for (size_t i = 0; (m = oc_method_row(i)) != NULL; i++) {
		if (m == &oc_method_connect)
			continue;
		oc_sbuf_printf(out, "%s\"%s\"", first ? "" : ",", m->name);
		first = false;
	}
	for (size_t i = 0; oc_bridge_method_row(gw->rt->bridge, i, &guest); i++) {
		oc_sbuf_char(out, ',');
		oc_sbuf_json(out, oc_str_of(guest.name));
	}
	oc_sbuf_z(out, "],\"events\":[");
	for (size_t i = 0; (name = oc_proto_event_name(i)) != NULL; i++)
		oc_sbuf_printf(out, "%s\"%s\"", i > 0 ? "," : "", name);
	oc_sbuf_z(out, "]}");
}

static void add_snapshot(const oc_proto *p, oc_sbuf *out)
{
	oc_gateway *gw = p->client.gateway;
	const oc_config *config = gw->rt->config;
	char id[65];
	oc_auto_free char *state = oc_path_state_dir();
	bool may_read = (p->client.scopes & OC_SCOPE_READ) != 0 || p->node != NULL;
	oc_sbuf_z(out, "\"snapshot\":{\"presence\":");
	oc_proto_add_presence(gw, out);
	oc_sbuf_z(out, ",\"health\":");
	oc_sbuf_str(out, may_read ? oc_proto_health(gw) : OC_STR("{}"));
	oc_sbuf_z(out, ",\"stateVersion\":");
	oc_proto_add_versions(gw, out);
	oc_sbuf_printf(out, ",\"uptimeMs\":%" PRIu64 ",\"configPath\":", (oc_now_ns() - gw->started_ns) / 1000000u);
	oc_sbuf_json(out, oc_str_of(oc_config_path(config)));
	oc_sbuf_z(out, ",\"stateDir\":");
	oc_sbuf_json(out, oc_str_of(state != NULL ? state : ""));
	oc_sbuf_printf(out,
		       ",\"sessionDefaults\":{\"defaultAgentId\":\"%s\",\"mainKey\":\"main\",\"mainSessionKey\":\"agent:%s:main\",\"scope\":",
		       oc_agent_default_id(config, id), id);
	oc_sbuf_json(out, oc_str_of(oc_config_str(config, "session.scope", "per-sender")));
	oc_sbuf_z(out, "},\"authMode\":");
	oc_sbuf_json(out, oc_str_of(oc_auth_mode_name(gw->auth.mode)));
	oc_sbuf_char(out, '}');
}

void oc_proto_add_hello(oc_proto *p, const cJSON *auth, oc_sbuf *out)
{
	oc_gateway *gw = p->client.gateway;
	oc_sbuf_printf(out, "{\"type\":\"hello-ok\",\"protocol\":%u,\"server\":{\"version\":\"%s\",\"connId\":\"%s\"},",
		       p->client.protocol, PACKAGE_VERSION, p->id);
	add_features(gw, out);
	oc_sbuf_char(out, ',');
	add_snapshot(p, out);
	oc_sbuf_z(out, ",\"auth\":");
	oc_json_add_to(out, auth);
	oc_sbuf_printf(out, ",\"policy\":{\"maxPayload\":%d,\"maxBufferedBytes\":%d,\"tickIntervalMs\":%d}}", OC_PROTO_BYTES,
		       OC_PROTO_QUEUE_BYTES, OC_PROTO_TICK_MS);
}
