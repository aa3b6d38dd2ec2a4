/* See node.h: what nodes are and may be asked for, and what they are asked. */
#include "core/gateway/node.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/id.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/gateway/node_queue.h"

#define DONE_MS 300000 /* how long the outcome of a key is known */
#define DONE_BYTES ((size_t)64 << 10)

/* A command that a node was asked for; when it is over, its outcome for whoever asks with the same key again. */
typedef struct invoke {
	struct invoke *next;
	oc_gateway *gw;
	const oc_proto *at; /* the connection that was asked; only compared */
	char id[37];
	char *node, *key;
	oc_watch *timer;
	struct asker {
		struct asker *next;
		oc_node_done done;
		void *arg;
	} *askers;
	bool over, ok;
	char *payload, *code, *message; /* of the outcome */
} invoke;

struct oc_nodes {
	invoke *first;
	size_t n;
};

/* ---- What a node is ---- */

static cJSON *sorted_names(const cJSON *list)
{
	cJSON *out = cJSON_CreateArray();
	const cJSON *one, *other;
	cJSON_ArrayForEach(one, list)
	{
		int at = 0;
		if (!cJSON_IsString(one) || oc_json_has_str(out, one->valuestring))
			continue;
		cJSON_ArrayForEach(other, out)
		{
			if (strcmp(other->valuestring, one->valuestring) > 0)
				break;
			at++;
		}
		(void)oc_json_insert(out, at, cJSON_CreateString(one->valuestring));
	}
	return out;
}

cJSON *oc_node_of(const oc_proto *p, const cJSON *params)
{
	static const char *const copied[] = {"displayName", "platform", "version", "coreVersion", "uiVersion", "deviceFamily", "modelIdentifier"};
	const cJSON *client = oc_json_get(params, "client"), *permissions = oc_json_get(params, "permissions");
	cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_str(o, "nodeId", p->device != NULL ? p->device : oc_json_str(client, "id", ""));
	for (size_t i = 0; i < sizeof copied / sizeof *copied; i++)
		oc_json_opt(o, copied[i], oc_json_str(client, copied[i], NULL));
	if (!p->from.is_local)
		(void)oc_json_set_str(o, "remoteIp", p->from.address);
	(void)oc_json_set(o, "caps", sorted_names(oc_json_get(params, "caps")));
	(void)oc_json_set(o, "commands", sorted_names(oc_json_get(params, "commands")));
	oc_json_opt(o, "pathEnv", oc_json_str(params, "pathEnv", NULL));
	if (permissions != NULL)
		(void)oc_json_set(o, "permissions", cJSON_Duplicate(permissions, true));
	(void)oc_json_set_i64(o, "connectedAtMs", oc_wall_ms());
	return o;
}

const char *oc_node_id(const oc_proto *p)
{
	return oc_json_str(p->node, "nodeId", "");
}

oc_proto *oc_node_find(oc_gateway *gw, const char *id)
{
	for (oc_proto *p = gw->protos != NULL ? gw->protos->first : NULL; p != NULL; p = p->next)
		if (p->node != NULL && strcmp(oc_node_id(p), id) == 0)
			return p;
	return NULL;
}

/* ---- What it may be asked for ---- */

enum { IOS = 1, ANDROID = 2, MACOS = 4, WINDOWS = 8, LINUX = 16, UNKNOWN = 32, PHONES = IOS | ANDROID | MACOS, DESKTOPS = MACOS | WINDOWS | LINUX };

static const struct {
	char name[16];
	unsigned char bit;
	char prefix[2][8]; /* of `platform` */
	char family[3][8]; /* in `deviceFamily` */
} platforms[] = {
	{"ios", IOS, {"ios", "ipados"}, {"iphone", "ipad", "ios"}}, {"android", ANDROID, {"android", ""}, {"android", "", ""}},
	{"macos", MACOS, {"mac", "darwin"}, {"mac", "", ""}},	    {"windows", WINDOWS, {"win", ""}, {"windows", "", ""}},
	{"linux", LINUX, {"linux", ""}, {"linux", "", ""}},
};

/* What takes pictures, records, writes into address books or sends messages is nobody's by default. A name that ends with a dot is
 * a whole family. */
static const struct {
	char name[24];
	unsigned char platforms;
} defaults[] = {
	{"canvas.", PHONES | UNKNOWN},	 {"camera.list", PHONES | UNKNOWN}, {"location.get", PHONES | UNKNOWN}, {"system.notify", 63},
	{"device.info", PHONES},	 {"device.status", PHONES},	    {"device.permissions", ANDROID},	{"device.health", ANDROID},
	{"notifications.list", ANDROID}, {"notifications.actions", ANDROID}, {"contacts.search", PHONES},	{"calendar.events", PHONES},
	{"reminders.list", PHONES},	 {"photos.latest", PHONES},	    {"motion.activity", PHONES},	{"motion.pedometer", PHONES},
	{"system.run.prepare", DESKTOPS}, {"system.run", DESKTOPS},	    {"system.which", DESKTOPS},		{"browser.proxy", DESKTOPS},
};

static unsigned platform_of(const cJSON *node)
{
	oc_auto_free char *platform = oc_strdup(oc_json_str(node, "platform", "")), *family = oc_strdup(oc_json_str(node, "deviceFamily", ""));
	for (char *at = platform; at != NULL && *at != 0; at++)
		*at = *at >= 'A' && *at <= 'Z' ? (char)(*at + 32) : *at;
	for (char *at = family; at != NULL && *at != 0; at++)
		*at = *at >= 'A' && *at <= 'Z' ? (char)(*at + 32) : *at;
	for (size_t i = 0; platform != NULL && i < sizeof platforms / sizeof *platforms; i++)
		for (int k = 0; k < 2; k++)
			if (platforms[i].prefix[k][0] != 0 && strncmp(platform, platforms[i].prefix[k], strlen(platforms[i].prefix[k])) == 0)
				return platforms[i].bit;
	for (size_t i = 0; family != NULL && i < sizeof platforms / sizeof *platforms; i++)
		for (int k = 0; k < 3; k++)
			if (platforms[i].family[k][0] != 0 && strstr(family, platforms[i].family[k]) != NULL)
				return platforms[i].bit;
	return UNKNOWN;
}

const char *oc_node_platform(const cJSON *node)
{
	unsigned bit = platform_of(node);
	for (size_t i = 0; i < sizeof platforms / sizeof *platforms; i++)
		if (platforms[i].bit == bit)
			return platforms[i].name;
	return "unknown";
}

static bool is_default(unsigned platform, const char *command)
{
	for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++) {
		size_t n = strlen(defaults[i].name);
		bool family = defaults[i].name[n - 1] == '.';
		if ((defaults[i].platforms & platform) != 0 && (family ? strncmp(command, defaults[i].name, n) == 0 : strcmp(command, defaults[i].name) == 0))
			return true;
	}
	return false;
}

bool oc_node_allows(const oc_config *config, const cJSON *node, const char *command, char *why)
{
	const cJSON *commands = oc_json_get(node, "commands");
	bool listed = is_default(platform_of(node), command) || oc_json_has_str(oc_config_get(config, "gateway.nodes.allowCommands"), command);
	const char *reason = NULL;
	if (!listed || oc_json_names(oc_config_get(config, "gateway.nodes.denyCommands"), command))
		reason = "command not allowlisted";
	else if (cJSON_GetArraySize(commands) == 0)
		reason = "node did not declare commands";
	else if (!oc_json_has_str(commands, command))
		reason = "command not declared by node";
	if (reason != NULL)
		(void)snprintf(why, 60, "%s", reason);
	return reason == NULL;
}

/* ---- Asking ---- */

static void free_invoke(invoke *v)
{
	oc_watch_end(v->timer);
	for (struct asker *next, *a = v->askers; a != NULL; a = next) {
		next = a->next;
		oc_free(a);
	}
	oc_free(v->node);
	oc_free(v->key);
	oc_free(v->payload);
	oc_free(v->code);
	oc_free(v->message);
	oc_free(v);
}

static void forget(void *arg)
{
	invoke *v = arg;
	struct oc_nodes *all = v->gw->protos->nodes;
	for (invoke **at = &all->first; *at != NULL; at = &(*at)->next) {
		if (*at == v) {
			*at = v->next;
			all->n--;
			break;
		}
	}
	free_invoke(v);
}

static void tell(const invoke *v, oc_node_done done, void *arg)
{
	done(arg, &(oc_node_outcome){v->ok, oc_str_of(v->payload != NULL ? v->payload : ""), v->code != NULL ? v->code : "UNAVAILABLE",
				     v->message != NULL ? v->message : "node invoke failed"});
}

static void settle(invoke *v, const oc_node_outcome *outcome)
{
	v->over = true;
	v->ok = outcome->ok;
	v->payload = outcome->payload_json.n > 0 ? oc_memdup(outcome->payload_json.p, outcome->payload_json.n) : NULL;
	v->code = outcome->code != NULL ? oc_strdup(outcome->code) : NULL;
	v->message = outcome->message != NULL ? oc_strdup(outcome->message) : NULL;
	oc_watch_end(v->timer);
	/* A failure may be tried again at once; a large answer is not worth its memory. */
	bool keep = v->ok && v->key[0] != 0 && outcome->payload_json.n <= DONE_BYTES;
	v->timer = keep ? oc_timer_start(v->gw->rt->owner, DONE_MS, 0, forget, v) : NULL;
	while (v->askers != NULL) {
		struct asker *a = v->askers;
		v->askers = a->next;
		tell(v, a->done, a->arg);
		oc_free(a);
	}
	if (v->timer == NULL)
		forget(v);
}

static void on_late(void *arg)
{
	settle(arg, &(oc_node_outcome){.code = "TIMEOUT", .message = "node invoke timed out"});
}

static void fail_now(oc_node_done done, void *arg, const char *code, const char *message)
{
	done(arg, &(oc_node_outcome){.code = code, .message = message});
}

static bool add_asker(invoke *v, oc_node_done done, void *arg)
{
	struct asker *a = oc_alloc(sizeof *a);
	if (a == NULL)
		return false;
	*a = (struct asker){v->askers, done, arg};
	v->askers = a;
	return true;
}

static void send_request(oc_gateway *gw, const oc_proto *p, const invoke *v, const char *command, const cJSON *params, uint64_t ms)
{
	cJSON *o = cJSON_CreateObject();
	oc_auto_free char *text = params != NULL ? oc_json_print(params) : NULL;
	(void)oc_json_set_str(o, "id", v->id);
	(void)oc_json_set_str(o, "nodeId", v->node);
	(void)oc_json_set_str(o, "command", command);
	(void)oc_json_set(o, "paramsJSON", text != NULL ? cJSON_CreateString(text) : cJSON_CreateNull());
	(void)oc_json_set_i64(o, "timeoutMs", (int64_t)ms);
	oc_json_opt(o, "idempotencyKey", v->key);
	oc_auto_free char *payload = oc_json_print(o);
	cJSON_Delete(o);
	if (payload != NULL)
		oc_proto_send(gw, &(oc_proto_event){.name = "node.invoke.request", .payload = oc_str_of(payload), .to = p});
}

void oc_node_invoke(oc_gateway *gw, const char *node_id, const char *command, const cJSON *params, uint64_t ms, const char *key,
		    oc_node_done done, void *arg)
{
	oc_proto *p = oc_node_find(gw, node_id);
	struct oc_protos *protos = oc_protos_of(gw);
	if (protos != NULL && protos->nodes == NULL)
		protos->nodes = oc_alloc(sizeof *protos->nodes);
	struct oc_nodes *all = protos != NULL ? protos->nodes : NULL;
	for (invoke *v = all != NULL ? all->first : NULL; key[0] != 0 && v != NULL; v = v->next) {
		if (strcmp(v->key, key) != 0 || strcmp(v->node, node_id) != 0)
			continue;
		if (v->over)
			tell(v, done, arg);
		else if (!add_asker(v, done, arg))
			fail_now(done, arg, "UNAVAILABLE", "out of memory");
		return;
	}
	if (p == NULL) {
		fail_now(done, arg, "NOT_CONNECTED", "node not connected");
		return;
	}
	invoke *v = all != NULL && all->n < OC_NODE_INVOKES_MAX ? oc_alloc(sizeof *v) : NULL;
	ms = ms == 0 ? OC_NODE_INVOKE_MS : ms > OC_NODE_INVOKE_MS_MAX ? OC_NODE_INVOKE_MS_MAX : ms;
	if (v != NULL) {
		v->gw = gw;
		v->at = p;
		(void)oc_id_uuid(v->id);
		v->node = oc_strdup(node_id);
		v->key = oc_strdup(key);
		v->timer = oc_timer_start(gw->rt->owner, ms, 0, on_late, v);
	}
	if (v == NULL || v->node == NULL || v->key == NULL || v->timer == NULL || !add_asker(v, done, arg)) {
		if (v != NULL)
			free_invoke(v);
		fail_now(done, arg, "UNAVAILABLE", all != NULL && all->n >= OC_NODE_INVOKES_MAX ? "too many commands are under way" : "out of memory");
		return;
	}
	v->next = all->first;
	all->first = v;
	all->n++;
	send_request(gw, p, v, command, params, ms);
}

static invoke *find(oc_gateway *gw, const char *id)
{
	invoke *v = gw->protos->nodes != NULL ? gw->protos->nodes->first : NULL;
	while (v != NULL && (v->over || strcmp(v->id, id) != 0))
		v = v->next;
	return v;
}

bool oc_node_answer(oc_proto *p, const char *id, const oc_node_outcome *outcome)
{
	invoke *v = find(p->client.gateway, id);
	if (v == NULL || strcmp(v->node, oc_node_id(p)) != 0)
		return false;
	settle(v, outcome);
	return true;
}

void oc_node_gone(oc_proto *p)
{
	oc_gateway *gw = p->client.gateway;
	const struct oc_nodes *all = gw->protos->nodes;
	for (invoke *v = all != NULL ? all->first : NULL; v != NULL;) {
		if (v->over || v->at != p) {
			v = v->next;
			continue;
		}
		settle(v, &(oc_node_outcome){.code = "NOT_CONNECTED", .message = "node disconnected"});
		v = all->first; /* others may have ended with it */
	}
}

void oc_nodes_free(oc_gateway *gw)
{
	struct oc_nodes *all = gw->protos->nodes;
	for (invoke *next, *v = all != NULL ? all->first : NULL; v != NULL; v = next) {
		next = v->next;
		free_invoke(v);
	}
	oc_free(all);
	gw->protos->nodes = NULL;
	oc_node_queue_free();
}
