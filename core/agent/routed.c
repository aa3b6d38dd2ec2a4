/*
 * Messages whose channel decided by itself who may talk and which conversation a message belongs to, as TypeScript plugins
 * do; and what is told to a conversation to be read with its next message.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/agent/channels.h"
#include "core/agent/commands.h"
#include "core/agent/tell.h"
#include "core/agent/turn.h"
#include "core/base/clock.h"
#include "core/base/id.h"
#include "core/base/log.h"
#include "core/base/path.h"
#include "core/security/contain.h"
#include "core/security/validate.h"

#define FILE_MAX ((off_t)256 << 20)

/* ---- Files ---- */

/* A second name for the file below the root that `path` leads to, where its giver cannot put another in its place; oc_free
 * it.  A link, not a copy: it costs nothing, and what may still change is only what the giver knows anyway. */
static char *adopt(const oc_agent *agent, const char *root, const char *channel, const char *path, oc_err *err)
{
	char own[64], id[37];
	struct stat st;
	int folder = -1, fd = -1;
	const char *below = root != NULL ? oc_contain_relative(root, path) : NULL;
	oc_auto_free char *into = oc_asprintf("%s/media/inbound/plugin-%s", agent->state_dir, channel);
	char *to = into != NULL ? oc_asprintf("%s/%s-%s", into, oc_id_uuid(id), oc_path_base(path)) : NULL;
	oc_status status = OC_OK;
	if (below == NULL || below == path)
		status = oc_fail(err, OC_E_DENIED, "files of messages belong into the plugin's own folder", "the file %s", path);
	else if (to == NULL || (folder = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
		status = oc_fail(err, OC_E_IO, NULL, "the folder %s cannot be opened", root);
	if (status == OC_OK)
		status = oc_path_mkdirs(into, 0700, err);
	if (status == OC_OK)
		status = oc_contain_open(folder, below, O_RDONLY | O_NONBLOCK, 0, &fd, err);
	if (status == OC_OK && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > FILE_MAX))
		status = oc_fail(err, OC_E_INVALID, NULL, "%s is no file, or too large", path);
	if (status == OC_OK) {
		(void)snprintf(own, sizeof own, "/proc/self/fd/%d", fd);
		if (linkat(AT_FDCWD, own, AT_FDCWD, to, AT_SYMLINK_FOLLOW) != 0)
			status = oc_fail_errno(err, errno, "keeping %s", path);
	}
	if (fd >= 0)
		(void)close(fd);
	if (folder >= 0)
		(void)close(folder);
	if (status == OC_OK)
		return to;
	oc_free(to);
	return NULL;
}

/* The files that may be taken, with their new names; NULL: none. */
static cJSON *adopt_all(const oc_agent *agent, const oc_routed *in, const char *channel)
{
	const cJSON *list = oc_json_get(in->message, "media"), *item;
	cJSON *out = cJSON_GetArraySize(list) > 0 ? cJSON_CreateArray() : NULL;
	cJSON_ArrayForEach(item, list)
	{
		oc_err err = {0};
		oc_auto_free char *path = adopt(agent, in->media_root, channel, oc_json_str(item, "path", ""), &err);
		cJSON *copy = path != NULL ? cJSON_Duplicate(item, true) : NULL;
		if (path == NULL)
			oc_log_err(OC_LOG_WARN, "channel", "a file of a message is left out", &err);
		if (copy != NULL && (!oc_json_set_str(copy, "path", path) || !cJSON_AddItemToArray(out, copy)))
			cJSON_Delete(copy);
	}
	return out;
}

/* ---- Taking in ---- */

static bool copy_members(cJSON *to, const cJSON *from, const char *const *names)
{
	for (; *names != NULL; names++)
		if (oc_json_str(from, *names, "")[0] != 0 && !oc_json_set_str(to, *names, oc_json_str(from, *names, "")))
			return false;
	return true;
}

oc_status oc_agent_routed(oc_agent *agent, const oc_routed *in, oc_run_ref *ret, oc_err *err)
{
	static const char *const where[] = {"channel", "account", "to", "thread", "replyTo", "dispatch", NULL};
	oc_store_stats stats;
	oc_auto_json cJSON *m = cJSON_Duplicate(in->message, true), *deliver = cJSON_CreateObject();
	oc_store_get_stats(agent->store, &stats);
	if (m == NULL || deliver == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for a message");
	if (agent->draining || stats.queued > stats.queue_max / 2)
		return oc_fail(err, OC_E_BUSY, "hand it in again", "the gateway cannot take a message now");
	oc_status status = oc_validate_scrub_message(m, err);
	const char *channel = oc_json_str(m, "channel", ""), *account = oc_json_str(m, "account", "default");
	const char *id = oc_json_str(m, "id", "");
	if (status == OC_OK && (channel[0] == 0 || strlen(channel) > 64 || strchr(channel, '/') != NULL || oc_json_str(m, "to", "")[0] == 0))
		status = oc_fail(err, OC_E_INVALID, NULL, "a message needs a channel and where its answer goes");
	if (status == OC_OK && (!copy_members(deliver, m, where) || !oc_json_set_str(deliver, "account", account)))
		status = oc_fail(err, OC_E_NOMEM, NULL, "no memory for a message");
	if (status != OC_OK)
		return status;
	oc_auto_json cJSON *media = adopt_all(agent, in, channel);
	char origin[80];
	(void)snprintf(origin, sizeof origin, "channel:%.64s", channel);
	oc_inbox_ref ref = {channel, account, oc_json_str(m, "to", ""), id};
	oc_turn_input input = {
		.session = oc_json_ostr(m, "session"),
		.agent = oc_json_ostr(m, "agent"),
		.text = oc_json_ostr(m, "text"),
		.extra_system = oc_json_ostr(m, "extraSystem"),
		.media = media,
		.origin = origin,
		.deliver = deliver,
		.sender = oc_json_get(m, "sender"),
		.queue = "",
		.restricted = oc_json_bool(m, "restricted", false),
		.on_event = in->on_event,
		.arg = in->arg,
	};
	status = oc_turn_submit(agent, &input, id[0] != 0 ? &ref : NULL, in->committed, in->arg, NULL, ret, err);
	if (status == OC_OK) {
		agent->stats.inbound++;
		oc_channels_note(agent, channel, account, true, NULL);
	}
	return status;
}

/* ---- Told to a conversation ---- */

typedef struct told {
	oc_map_node node;
	char *lines[OC_TELL_MAX];
	char last_context[80];
	int n;
	char key[OC_SESSION_KEY_MAX];
} told;

static void forget(oc_agent *agent, told *t)
{
	while (t->n > 0)
		oc_free(t->lines[--t->n]);
	oc_map_remove(&agent->told, &t->node);
	oc_free(t);
}

static void free_told(void *arg, oc_map_node *node)
{
	forget(arg, OC_MAP_OWNER(node, told, node));
}

void oc_tell_free(oc_agent *agent)
{
	oc_map_each(&agent->told, free_told, agent);
	oc_map_free(&agent->told);
}

bool oc_tell_waits(const oc_agent *agent, const char *session)
{
	return oc_map_find(&agent->told, session) != NULL;
}

static char *line_of(const char *text)
{
	char when[40];
	struct tm tm;
	time_t now = (time_t)(oc_wall_ms() / 1000);
	(void)localtime_r(&now, &tm);
	(void)strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &tm);
	return oc_asprintf("System: [%s] %.4000s", when, text);
}

oc_status oc_agent_tell(oc_agent *agent, oc_str session, const char *text, const char *context, oc_err *err)
{
	char key[OC_SESSION_KEY_MAX], agent_id[65];
	(void)oc_agent_default_id(agent->config, agent_id);
	oc_status status = oc_session_key_resolve(session, agent_id, oc_agent_main_key(agent->config), key, err);
	if (status != OC_OK)
		return status;
	if (oc_str_trim(oc_str_of(text)).n == 0)
		return oc_fail(err, OC_E_INVALID, NULL, "there is nothing to tell");
	oc_map_node *node = oc_map_find(&agent->told, key);
	told *t = node != NULL ? OC_MAP_OWNER(node, told, node) : NULL;
	if (t == NULL && agent->told.n >= OC_TELL_SESSIONS_MAX)
		return oc_fail(err, OC_E_LIMIT, NULL, "too many sessions have something waiting for them");
	char *line = line_of(text);
	if (t == NULL && line != NULL && (t = oc_alloc(sizeof *t)) != NULL) {
		memcpy(t->key, key, sizeof t->key);
		oc_map_add(&agent->told, &t->node, t->key);
	}
	if (line == NULL || t == NULL) {
		oc_free(line);
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for an event");
	}
	/* The same thing said again replaces what was said of it before. */
	if (t->n > 0 && (strcmp(strchr(t->lines[t->n - 1], ']'), strchr(line, ']')) == 0 || t->n == OC_TELL_MAX ||
			 (context[0] != 0 && strcmp(context, t->last_context) == 0))) {
		int drop = t->n == OC_TELL_MAX ? 0 : t->n - 1;
		oc_free(t->lines[drop]);
		memmove(&t->lines[drop], &t->lines[drop + 1], (size_t)(t->n - drop - 1) * sizeof t->lines[0]);
		t->n--;
	}
	t->lines[t->n++] = line;
	(void)snprintf(t->last_context, sizeof t->last_context, "%s", context);
	return OC_OK;
}

void oc_tell_take(oc_turn *turn)
{
	oc_map_node *node = turn->slash == NULL && turn->history == NULL ? oc_map_find(&turn->agent->told, turn->session) : NULL;
	oc_sbuf b;
	if (node == NULL)
		return;
	told *t = OC_MAP_OWNER(node, told, node);
	oc_sbuf_init(&b, OC_TURN_MESSAGE_MAX);
	for (int i = 0; i < t->n; i++)
		oc_sbuf_printf(&b, "%s\n", t->lines[i]);
	oc_sbuf_char(&b, '\n');
	oc_sbuf_z(&b, turn->text);
	if (b.error == OC_OK) {
		turn->text = oc_turn_text(turn, b.p);
		forget(turn->agent, t);
	}
	oc_sbuf_free(&b);
}
