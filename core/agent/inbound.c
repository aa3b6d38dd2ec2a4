#include "core/agent/inbound.h"

#include <string.h>

#include "core/agent/access.h"
#include "core/agent/channels.h"
#include "core/agent/commands.h"
#include "core/agent/turn.h"
#include "core/base/log.h"
#include "core/security/validate.h"
#include "core/store/pairing.h"

#define MESSAGE_BYTES_MAX ((size_t)8 << 20)
#define OVERHEARD_DEFAULT 50
#define OVERHEARD_GROUPS_MAX 500
#define OVERHEARD_LINE_MAX 2000

/* One message while it is decided on. */
typedef struct inbound {
	oc_agent *agent;
	cJSON *m;
	const char *channel, *account, *chat_type, *chat, *thread, *id, *sender, *sender_name, *username, *text;
	char agent_id[65];
	char session[OC_SESSION_KEY_MAX];
	cJSON *deliver;
	bool restricted; /* may talk, but not change the session by commands */
	void (*committed)(void *arg, oc_status status);
	void *arg;
} inbound;

/* ---- Reading ---- */

static oc_status read_message(inbound *in, oc_str json, oc_err *err)
{
	static const oc_json_limits limits = {.max_bytes = MESSAGE_BYTES_MAX, .max_depth = OC_VALIDATE_DEPTH_MAX};
	oc_status status = oc_json_parse(json, &limits, &in->m, err);
	if (status == OC_OK)
		status = oc_validate_scrub_message(in->m, err);
	if (status == OC_OK)
		status = oc_validate_message(in->m, err);
	if (status != OC_OK)
		return status;
	const cJSON *chat = oc_json_get(in->m, "chat"), *sender = oc_json_get(in->m, "sender");
	in->channel = oc_json_str(in->m, "channel", "");
	in->account = oc_json_str(in->m, "account", "default");
	in->id = oc_json_str(in->m, "id", "");
	in->chat_type = oc_json_str(chat, "type", "dm");
	in->chat = oc_json_str(chat, "id", "");
	in->thread = oc_json_str(in->m, "thread", "");
	in->sender = oc_json_str(sender, "id", "");
	in->sender_name = oc_json_str(sender, "name", "");
	in->username = oc_json_str(sender, "username", "");
	in->text = oc_json_str(in->m, "text", "");
	if (in->channel[0] == 0 || in->id[0] == 0 || in->chat[0] == 0)
		return oc_fail(err, OC_E_INVALID, NULL, "an inbound message needs channel, id and chat.id");
	return OC_OK;
}

static void done_with(inbound *in)
{
	cJSON_Delete(in->m);
	cJSON_Delete(in->deliver);
	oc_free(in);
}

/* ---- Routing ---- */

static bool binding_fits(const cJSON *match, const inbound *in)
{
	const cJSON *peer = oc_json_get(match, "peer");
	const char *channel = oc_json_str(match, "channel", ""), *account = oc_json_str(match, "accountId", "*");
	const char *kind = oc_json_str(peer, "kind", ""), *id = oc_json_str(peer, "id", "");
	bool dm = strcmp(in->chat_type, "dm") == 0;
	if (strcmp(channel, in->channel) != 0 || (strcmp(account, "*") != 0 && strcmp(account, in->account) != 0))
		return false;
	if (peer == NULL)
		return true;
	return strcmp(kind, in->chat_type) == 0 && strcmp(id, dm && in->sender[0] != 0 ? in->sender : in->chat) == 0;
}

/* bindings[]: the first that fits, those with a peer before those without. */
static void choose_agent(inbound *in)
{
	const cJSON *b;
	(void)oc_agent_default_id(in->agent->config, in->agent_id);
	for (int pass = 0; pass < 2; pass++)
		cJSON_ArrayForEach(b, oc_config_get(in->agent->config, "bindings"))
		{
			const cJSON *match = oc_json_get(b, "match");
			bool has_peer = oc_json_get(match, "peer") != NULL;
			if (has_peer == (pass == 0) && binding_fits(match, in)) {
				oc_agent_id_normalize(oc_json_ostr(b, "agentId"), in->agent_id);
				return;
			}
		}
}

/* session.identityLinks: {"name":["telegram:123","discord:456"]}: one person under one name. */
static const char *linked_name(const inbound *in)
{
	const cJSON *person, *id;
	size_t n = strlen(in->channel);
	cJSON_ArrayForEach(person, oc_config_get(in->agent->config, "session.identityLinks"))
	{
		cJSON_ArrayForEach(id, person)
		{
			const char *text = cJSON_IsString(id) ? id->valuestring : "";
			if (strncmp(text, in->channel, n) == 0 && text[n] == ':' && strcmp(text + n + 1, in->sender) == 0)
				return person->string;
		}
	}
	return in->sender[0] != 0 ? in->sender : in->chat;
}

static oc_status choose_session(inbound *in, oc_err *err)
{
	const oc_config *config = in->agent->config;
	oc_session_key k = {0};
	bool dm = strcmp(in->chat_type, "dm") == 0;
	const char *scope = oc_config_str(config, "session.dmScope", "main");
	const char *peer = dm ? linked_name(in) : in->chat;
	snprintf(k.agent, sizeof k.agent, "%s", in->agent_id);
	if (dm && (strcmp(scope, "main") == 0 || strcmp(oc_config_str(config, "session.scope", ""), "global") == 0))
		return oc_session_key_resolve(OC_STR_NONE, in->agent_id, oc_agent_main_key(config), in->session, err);
	if (strlen(in->channel) >= sizeof k.channel || strlen(in->account) >= sizeof k.account ||
	    strlen(peer) >= sizeof k.peer || strlen(in->thread) >= sizeof k.thread)
		return oc_fail(err, OC_E_LIMIT, NULL, "an identifier of the message is too long");
	bool thread = !dm && in->thread[0] != 0;
	snprintf(k.kind, sizeof k.kind, "%s", thread ? "thread" : in->chat_type);
	snprintf(k.peer, sizeof k.peer, "%s", peer);
	if (thread)
		snprintf(k.thread, sizeof k.thread, "%s", in->thread);
	if (!dm || strcmp(scope, "per-peer") != 0)
		snprintf(k.channel, sizeof k.channel, "%s", in->channel);
	if (!dm || strcmp(scope, "per-account-channel-peer") == 0)
		snprintf(k.account, sizeof k.account, "%s", in->account);
	return oc_session_key_build(&k, in->session, err);
}

static bool make_deliver(inbound *in)
{
	bool dm = strcmp(in->chat_type, "dm") == 0;
	in->deliver = cJSON_CreateObject();
	/* A reply that goes elsewhere is worse than none. */
	if (!oc_json_set_str(in->deliver, "channel", in->channel) || !oc_json_set_str(in->deliver, "account", in->account) ||
	    !oc_json_set_str(in->deliver, "to", in->chat) ||
	    (in->thread[0] != 0 && !oc_json_set_str(in->deliver, "thread", in->thread)))
		return false;
	/* In a group it must be seen who is answered. */
	const cJSON *mode = oc_channel_setting(in->agent->config, in->channel, in->account, "replyToMode");
	const char *when = cJSON_IsString(mode) ? mode->valuestring : dm ? "off" : "first";
	if (strcmp(when, "off") != 0)
		return oc_json_set_str(in->deliver, "replyTo", in->id);
	return true;
}

void oc_inbound_say(oc_agent *agent, const cJSON *deliver, const char *session, const char *key, const char *text)
{
	char out[80];
	oc_err err = {0};
	oc_auto_json cJSON *message = cJSON_Duplicate(deliver, true);
	oc_json_opt(message, "session", session);
	(void)oc_json_set_str(message, "text", text);
	if (oc_agent_send(agent, message, oc_str_of(key), out, NULL, NULL, &err) != OC_OK)
		oc_log_err(OC_LOG_WARN, "channel", "a notice could not be sent", &err);
}

/* ---- Strangers ---- */

typedef struct stranger {
	inbound *in;
	oc_pairing_ask ask;
} stranger;

static oc_status ask_pairing(oc_tx *tx, void *arg, oc_err *err)
{
	stranger *s = arg;
	return oc_pairing_tx_request(tx, &s->ask, err);
}

void oc_agent_pairing_asked(oc_agent *agent, const char *channel, const char *account, const char *sender, const char *name,
			    const char *code)
{
	oc_info("channel", "%s: %s (%s) asks to be let in; approve with `openclaw pairing approve %s %s`", channel,
		name != NULL && name[0] != 0 ? name : "somebody", sender, channel, code);
	cJSON *data = cJSON_CreateObject();
	oc_json_opt(data, "channel", channel);
	oc_json_opt(data, "account", account);
	oc_json_opt(data, "sender", sender);
	oc_json_opt(data, "name", name);
	oc_json_opt(data, "code", code);
	oc_agent_observe(agent, OC_HOOK_CHANNEL_PAIRING_REQUESTED, cJSON_Duplicate(data, true));
	oc_agent_emit_plain(agent, OC_AGENT_EV_PAIRING, NULL, data);
}

static void pairing_asked(void *arg, oc_status status, const oc_err *err)
{
	stranger *s = arg;
	inbound *in = s->in;
	oc_agent *agent = in->agent;
	if (status == OC_OK && s->ask.is_new) {
		char text[400], key[60];
		snprintf(text, sizeof text,
			 "I do not know you yet. Your id on %s is %s.\n\nPairing code: %s\n\nMy owner can let you in with:\n"
			 "`openclaw pairing approve %s %s`",
			 in->channel, in->sender, s->ask.code, in->channel, s->ask.code);
		snprintf(key, sizeof key, "pair:%.20s:%s", in->channel, s->ask.code);
		oc_inbound_say(agent, in->deliver, NULL, key, text);
		oc_agent_pairing_asked(agent, in->channel, in->account, in->sender, in->sender_name, s->ask.code);
	} else if (status != OC_OK && status != OC_E_LIMIT) {
		oc_log_err(OC_LOG_WARN, "channel", "a pairing request could not be kept", err);
	}
	/* The limit is a refusal like any other: the network need not hand it in again. */
	in->committed(in->arg, status == OC_E_LIMIT ? OC_OK : status);
	done_with(in);
	oc_free(s);
}

static oc_status start_pairing(inbound *in)
{
	stranger *s = oc_alloc(sizeof *s);
	if (s == NULL || !make_deliver(in)) {
		oc_free(s);
		return OC_E_NOMEM;
	}
	s->in = in;
	s->ask = (oc_pairing_ask){.channel = in->channel, .account = in->account, .sender = in->sender, .name = in->sender_name};
	oc_status status = oc_store_write(in->agent->store, ask_pairing, pairing_asked, s);
	if (status != OC_OK)
		oc_free(s);
	return status;
}

/* ---- Overheard in groups ---- */

typedef struct group {
	oc_map_node node;
	char *lines[OVERHEARD_DEFAULT];
	int first, n;
	char key[OC_SESSION_KEY_MAX];
} group;

static void drop_line(oc_agent *agent, group *g)
{
	char **line = &g->lines[g->first];
	agent->groups_bytes -= strlen(*line);
	oc_free(*line);
	*line = NULL;
	g->first = (g->first + 1) % OVERHEARD_DEFAULT;
	g->n--;
}

static void forget_group(oc_agent *agent, group *g)
{
	while (g->n > 0)
		drop_line(agent, g);
	oc_map_remove(&agent->groups, &g->node);
	oc_free(g);
}

static void free_group(void *arg, oc_map_node *node)
{
	forget_group(arg, OC_MAP_OWNER(node, group, node));
}

void oc_inbound_free(oc_agent *agent)
{
	oc_map_each(&agent->groups, free_group, agent);
	oc_map_free(&agent->groups);
}

static const char *name_of(const inbound *in)
{
	return in->sender_name[0] != 0 ? in->sender_name : in->username[0] != 0 ? in->username : in->sender;
}

static void overhear(inbound *in)
{
	oc_agent *agent = in->agent;
	int64_t limit = strcmp(in->chat_type, "dm") == 0 ? OVERHEARD_DEFAULT
						      : oc_config_i64(agent->config, "messages.groupChat.historyLimit", OVERHEARD_DEFAULT);
	oc_map_node *node = oc_map_find(&agent->groups, in->session);
	group *g = node != NULL ? OC_MAP_OWNER(node, group, node) : NULL;
	if (limit <= 0 || (g == NULL && agent->groups.n >= OVERHEARD_GROUPS_MAX))
		return;
	if (g == NULL) {
		g = oc_alloc(sizeof *g);
		if (g == NULL)
			return;
		memcpy(g->key, in->session, sizeof g->key);
		oc_map_add(&agent->groups, &g->node, g->key);
	}
	int max = limit < OVERHEARD_DEFAULT ? (int)limit : OVERHEARD_DEFAULT;
	char *line = oc_asprintf("%s%s: %.*s", name_of(in),
				 oc_json_bool(in->m, "edited", false) ? " changed an earlier message to" : "", OVERHEARD_LINE_MAX, in->text);
	/* Networks report more than changes of the text as edits. */
	const char *last = g->n > 0 ? g->lines[(g->first + g->n - 1) % OVERHEARD_DEFAULT] : "";
	if (line == NULL || strcmp(line, last) == 0) {
		oc_free(line);
		return;
	}
	while (g->n >= max)
		drop_line(agent, g);
	g->lines[(g->first + g->n++) % OVERHEARD_DEFAULT] = line;
	agent->groups_bytes += strlen(line);
	/* Any of the others: what is said in them next begins their memory anew. */
	for (oc_map_node *other; agent->groups_bytes > OC_AGENT_OVERHEARD_BYTES_MAX && (other = oc_map_any(&agent->groups)) != NULL;) {
		oc_queue_refused(OC_QUEUE_overheard_bytes);
		forget_group(agent, OC_MAP_OWNER(other, group, node));
	}
}

/* The message as the model reads it: who says it, to what it answers, what was said before. */
static oc_status compose(inbound *in, char **ret)
{
	bool dm = strcmp(in->chat_type, "dm") == 0;
	oc_sbuf b;
	oc_sbuf_init(&b, OC_TURN_MESSAGE_MAX);
	oc_map_node *node = oc_map_find(&in->agent->groups, in->session);
	group *g = node != NULL ? OC_MAP_OWNER(node, group, node) : NULL;
	if (g != NULL && g->n > 0) {
		oc_sbuf_z(&b, dm ? "[Since your last answer]\n" : "[Said here since your last answer]\n");
		for (int i = 0; i < g->n; i++)
			oc_sbuf_printf(&b, "%s\n", g->lines[(g->first + i) % OVERHEARD_DEFAULT]);
		oc_sbuf_z(&b, "\n[The message for you]\n");
	}
	const cJSON *reply = oc_json_get(in->m, "replyTo");
	const char *quoted = oc_json_str(reply, "text", "");
	if (quoted[0] != 0 && !oc_json_bool(reply, "fromSelf", false))
		oc_sbuf_printf(&b, "[In answer to: %.*s]\n", 1000, quoted);
	if (!dm)
		oc_sbuf_printf(&b, "%s: ", name_of(in));
	oc_sbuf_z(&b, in->text);
	oc_status status = b.error;
	char *out = oc_sbuf_take(&b);
	oc_sbuf_free(&b);
	if (status == OC_OK && out == NULL)
		status = OC_E_NOMEM;
	if (status != OC_OK) {
		oc_free(out);
		return status;
	}
	if (g != NULL)
		forget_group(in->agent, g);
	*ret = out;
	return OC_OK;
}

/* ---- Taking in ---- */

static oc_status submit(inbound *in, oc_err *err)
{
	oc_agent *agent = in->agent;
	oc_str rest;
	bool command = oc_slash_find(agent, in->session, oc_str_of(in->text), &rest) != NULL;
	oc_auto_free char *text = command ? oc_strdup(in->text) : NULL;
	oc_status status = !command ? compose(in, &text) : text != NULL ? OC_OK : OC_E_NOMEM;
	if (status == OC_OK && !make_deliver(in))
		status = OC_E_NOMEM;
	if (status != OC_OK)
		return oc_fail(err, status, NULL, status == OC_E_NOMEM ? "no memory for the message" : "the message is too long");
	char origin[80];
	snprintf(origin, sizeof origin, "channel:%s", in->channel);
	oc_inbox_ref ref = {in->channel, in->account, in->chat, in->id};
	oc_turn_input input = {
		.session = oc_str_of(in->session),
		.text = oc_str_of(text),
		.media = oc_json_get(in->m, "media"),
		.origin = origin,
		.deliver = in->deliver,
		.sender = oc_json_get(in->m, "sender"),
		.queue = "",
		.restricted = in->restricted,
	};
	oc_run_ref run;
	return oc_turn_submit(agent, &input, &ref, in->committed, in->arg, NULL, &run, err);
}

static oc_access ask_access(inbound *in, char *reason)
{
	oc_access_question q = {
		.config = in->agent->config,
		.store = in->agent->store,
		.channel = in->channel,
		.account = in->account,
		.chat_type = in->chat_type,
		.chat = in->chat,
		.sender = in->sender[0] != 0 ? in->sender : in->chat,
		.username = in->username,
		.mentioned = oc_json_bool(in->m, "mentioned", false) ||
			     oc_json_bool(oc_json_get(in->m, "replyTo"), "fromSelf", false),
		.text = oc_str_of(in->text),
		.agent_id = in->agent_id,
		.session = in->session,
	};
	oc_access access = oc_access_decide(&q, reason);
	in->restricted = access != OC_ACCESS_ALLOWED || !oc_access_commands(&q);
	return access;
}

bool oc_inbound_admits(oc_agent *agent, oc_str message_json)
{
	inbound *in = oc_alloc(sizeof *in);
	char reason[120];
	if (in == NULL)
		return false;
	in->agent = agent;
	bool admits = read_message(in, message_json, NULL) == OC_OK
		      && !oc_json_bool(oc_json_get(in->m, "sender"), "isBot", false) && !oc_json_bool(in->m, "edited", false);
	if (admits) {
		choose_agent(in);
		admits = choose_session(in, NULL) == OC_OK && ask_access(in, reason) == OC_ACCESS_ALLOWED;
	}
	done_with(in);
	return admits;
}

/* OC_OK: somebody else calls committed; OC_E_STATE: nothing is to be done, it is fine. */
static oc_status decide(inbound *in, oc_err *err)
{
	oc_agent *agent = in->agent;
	char reason[120];
	if (oc_json_bool(oc_json_get(in->m, "sender"), "isBot", false))
		return OC_E_STATE;
	choose_agent(in);
	oc_status status = choose_session(in, err);
	if (status != OC_OK)
		return status;
	oc_access access = ask_access(in, reason);
	if (oc_json_bool(in->m, "edited", false)) {
		/* People correct what was answered already: no second answer, but the next one knows. */
		if ((access == OC_ACCESS_ALLOWED || access == OC_ACCESS_OVERHEARD) && in->text[0] != 0)
			overhear(in);
		return OC_E_STATE;
	}
	switch (access) {
	case OC_ACCESS_PAIRING:
		return start_pairing(in);
	case OC_ACCESS_OVERHEARD:
		overhear(in);
		return OC_E_STATE;
	case OC_ACCESS_ALLOWED:
		break;
	case OC_ACCESS_REFUSED:
	default:
		agent->stats.inbound_refused++;
		oc_debug("channel", "%s: a message of %s is refused: %s", in->channel, in->sender, reason);
		return OC_E_STATE;
	}
	if (oc_str_trim(oc_str_of(in->text)).n == 0 && cJSON_GetArraySize(oc_json_get(in->m, "media")) == 0)
		return OC_E_STATE;
	agent->stats.inbound++;
	oc_channels_note(agent, in->channel, in->account, true, NULL);
	status = submit(in, err);
	if (status == OC_OK)
		done_with(in);
	return status;
}

void oc_agent_inbound(oc_agent *agent, oc_str message_json, void (*committed)(void *arg, oc_status status), void *arg)
{
	inbound *in = oc_alloc(sizeof *in);
	oc_err err = {0};
	oc_store_stats stats;
	if (in == NULL) {
		committed(arg, OC_E_BUSY);
		return;
	}
	*in = (inbound){.agent = agent, .committed = committed, .arg = arg};
	oc_store_get_stats(agent->store, &stats);
	oc_status status = agent->draining || stats.queued > stats.queue_max / 2 ? OC_E_BUSY : read_message(in, message_json, &err);
	if (status == OC_OK)
		status = decide(in, &err);
	if (status == OC_OK)
		return;
	if (status == OC_E_STATE)
		status = OC_OK;
	else if (status == OC_E_UNAVAILABLE || status == OC_E_NOMEM || oc_store_admits(agent->store, NULL) != OC_OK)
		status = OC_E_BUSY; /* later it may work */
	else if (status != OC_E_BUSY)
		oc_log_err(OC_LOG_WARN, "channel", "a message cannot be taken", &err);
	done_with(in);
	committed(arg, status);
}
