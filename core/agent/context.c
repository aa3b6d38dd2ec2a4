/*
 * What a model is sent: the prompt, the tools, as much of the history as the budget allows, the messages of this turn.
 */
#include <string.h>

#include "core/agent/budget.h"
#include "core/agent/history.h"
#include "core/agent/media.h"
#include "core/agent/policy.h"
#include "core/agent/prune.h"
#include "core/agent/workspace.h"
#include "core/base/log.h"

#define OWN_BYTES_MAX ((size_t)64 << 20)

/* ---- The user's message ---- */

static const char *media_kind(const cJSON *m)
{
	return oc_json_str(m, "type", "file");
}

/* "[image: cat.png (image/png) at media/inbound/cat.png]" */
static void add_media_note(oc_sbuf *b, const cJSON *m)
{
	const char *name = oc_json_str(m, "name", ""), *mime = oc_json_str(m, "mime", "");
	const char *path = oc_json_str(m, "workspacePath", oc_json_str(m, "path", ""));
	oc_sbuf_printf(b, "%s[%s%s%s%s%s%s%s%s]", b->n > 0 ? "\n" : "", media_kind(m), name[0] != 0 ? ": " : "", name,
		       mime[0] != 0 ? " (" : "", mime, mime[0] != 0 ? ")" : "", path[0] != 0 ? " at " : "", path);
}

static void add_part_text(oc_sbuf *out, oc_str text)
{
	oc_sbuf_z(out, "{\"type\":\"text\",\"text\":");
	oc_sbuf_json(out, text);
	oc_sbuf_char(out, '}');
}

/* One picture as a part; false when it cannot be shown to this model. */
static bool add_image(oc_sbuf *out, const oc_turn *turn, const cJSON *m)
{
	const char *data = oc_json_str(m, "data", ""), *path = oc_json_str(m, "path", "");
	if (!turn->model.images || strcmp(media_kind(m), "image") != 0)
		return false;
	oc_auto_free char *loaded = NULL;
	oc_err err = {0};
	if (data[0] == 0 && (path[0] != '/' || oc_media_base64(path, OC_MEDIA_IMAGE_MAX, &loaded, &err) != OC_OK)) {
		oc_log_err(OC_LOG_WARN, "agent", "a picture cannot be shown to the model", &err);
		return false;
	}
	oc_sbuf_z(out, ",{\"type\":\"image\",\"mime\":");
	oc_sbuf_json(out, oc_str_of(oc_json_str(m, "mime", "image/jpeg")));
	oc_sbuf_z(out, ",\"data\":");
	oc_sbuf_json(out, oc_str_of(loaded != NULL ? loaded : data));
	oc_sbuf_char(out, '}');
	return true;
}

char *oc_context_user_content(oc_turn *turn, bool stored)
{
	oc_sbuf text, parts, out;
	oc_sbuf_init(&text, OC_TURN_MESSAGE_MAX * 4);
	oc_sbuf_init(&parts, OC_TURN_REQUEST_MAX);
	oc_sbuf_init(&out, OC_TURN_REQUEST_MAX);
	if (!stored && turn->hook_before[0] != 0)
		oc_sbuf_printf(&text, "%s\n\n", turn->hook_before);
	oc_sbuf_z(&text, turn->text);
	int n = 0;
	const cJSON *m;
	cJSON_ArrayForEach(m, turn->media)
	{
		bool shown = n++ < OC_MEDIA_COUNT_MAX && !stored && add_image(&parts, turn, m);
		if (!shown || oc_json_str(m, "workspacePath", "")[0] != 0)
			add_media_note(&text, m);
	}
	if (!stored && turn->hook_after[0] != 0)
		oc_sbuf_printf(&text, "\n\n%s", turn->hook_after);
	oc_sbuf_char(&out, '[');
	add_part_text(&out, oc_sbuf_view(&text));
	oc_sbuf_str(&out, oc_sbuf_view(&parts));
	oc_sbuf_char(&out, ']');
	if (text.error != OC_OK || parts.error != OC_OK)
		out.error = OC_E_LIMIT;
	char *result = oc_sbuf_take(&out);
	oc_sbuf_free(&text);
	oc_sbuf_free(&parts);
	oc_sbuf_free(&out);
	return result;
}

/* ---- Messages of this turn ---- */

oc_turn_message *oc_context_add(oc_turn *turn, const char *role, const char *content_json, const char *model,
				const char *tool_call_id, const char *tool_name, bool is_error)
{
	oc_turn_message *m = oc_arena_alloc(turn->arena, sizeof *m);
	if (m == NULL)
		return NULL;
	m->role = role;
	m->content_json = oc_arena_strdup(turn->arena, content_json);
	m->model = oc_turn_text(turn, model != NULL ? model : "");
	m->tool_call_id = oc_turn_text(turn, tool_call_id != NULL ? tool_call_id : "");
	m->tool_name = oc_turn_text(turn, tool_name != NULL ? tool_name : "");
	m->is_error = is_error;
	if (m->content_json == NULL)
		return NULL;
	*turn->own_tail = m;
	turn->own_tail = &m->next;
	turn->messages_model = NULL;
	return m;
}

void oc_context_drop_transient(oc_turn *turn)
{
	for (oc_turn_message **at = &turn->own; *at != NULL;) {
		if ((*at)->transient)
			*at = (*at)->next;
		else
			at = &(*at)->next;
	}
	turn->own_tail = &turn->own;
	while (*turn->own_tail != NULL)
		turn->own_tail = &(*turn->own_tail)->next;
	turn->messages_model = NULL;
}

/* ---- Building ---- */

bool oc_context_is_group(const oc_turn *turn)
{
	const char *kind = turn->key.kind;
	return strcmp(kind, "group") == 0 || strcmp(kind, "channel") == 0 || strcmp(kind, "thread") == 0;
}

/* The agent's tools, then those that the client runs. NULL: no memory. */
static char *all_tools(const oc_turn *turn, const char *own)
{
	if (cJSON_GetArraySize(turn->client_tools) == 0)
		return oc_strdup(own);
	oc_auto_free char *theirs = oc_json_print(turn->client_tools);
	if (theirs == NULL || own[0] == 0)
		return theirs != NULL ? oc_strdup(theirs) : NULL;
	return oc_asprintf("%.*s,%s", (int)strlen(own) - 1, own, theirs + 1);
}

/* Prompt and tools: once for each model a turn uses, so that the beginning of its requests stays the same. */
oc_status oc_context_system(oc_turn *turn, oc_err *err)
{
	if (turn->system_model != NULL && turn->system_model == turn->model.ref)
		return OC_OK;
	oc_auto_free char *tools = NULL;
	oc_status status = turn->no_tools ? OC_OK : oc_policy_tools_json(turn, &tools, err);
	if (status != OC_OK)
		return status;
	oc_auto_free char *all = all_tools(turn, tools != NULL ? tools : "");
	if (all == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot describe the tools to the model");
	turn->tools_json = oc_turn_text(turn, all);
	oc_auto_free char *system = oc_prompt_build(turn, oc_context_is_group(turn));
	if (system == NULL)
		return oc_fail(err, OC_E_LIMIT, "shorten the files of the workspace", "the system prompt is too long");
	turn->system = oc_turn_text(turn, system);
	turn->system_tokens = oc_tokens_of(oc_str_of(turn->system)) + oc_tokens_of(oc_str_of(turn->tools_json));
	turn->system_model = turn->model.ref;
	return OC_OK;
}

/* The history into messages, as much as has room. */
static oc_status build_history(oc_turn *turn, const oc_budget *budget, int64_t fixed, oc_err *err)
{
	oc_history h;
	int64_t room = budget->room - fixed;
	if (turn->shrunk > 0 && turn->history_most < room)
		room = turn->history_most;
	/* What is pruned makes room for more. */
	oc_status status = oc_history_collect(turn, oc_prune_on(turn) ? room * 2 : room, &h, err);
	if (status == OC_OK) {
		oc_prune_history(turn, &h, budget->window);
		oc_history_trim(&h, room);
		oc_sbuf_clear(&turn->messages);
		oc_history_write(&turn->messages, h.oldest, turn->model.ref);
		turn->history_bytes = turn->messages.n;
		turn->history_model = turn->model.ref;
		turn->history_tokens = h.tokens;
		turn->history_cut = h.cut;
		turn->history_flushed = h.flushed;
	}
	oc_history_free(&h);
	return status;
}

/* This turn's messages, shortened when they alone are too much. */
static oc_status own_records(oc_turn *turn, oc_arena *arena, const oc_budget *budget, int64_t fixed, oc_record **ret,
			     int64_t *ret_tokens, oc_err *err)
{
	int64_t tokens = 0;
	if (arena == NULL || !oc_history_own(turn, arena, ret))
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot write the request");
	for (const oc_record *r = *ret; r != NULL; r = r->newer)
		tokens += r->tokens;
	if (fixed + tokens > budget->room)
		tokens -= oc_prune_own(*ret, arena, fixed + tokens - budget->room);
	*ret_tokens = tokens;
	if (fixed + tokens > budget->window)
		return oc_fail(err, OC_E_CONTEXT, "shorten it, or use a model with a larger context window",
			       "prompt and message need about %lld tokens, %s takes %lld", (long long)(fixed + tokens),
			       turn->model.ref, (long long)turn->model.context_window);
	return OC_OK;
}

oc_status oc_context_build(oc_turn *turn, oc_err *err)
{
	oc_budget budget;
	oc_record *own = NULL;
	int64_t own_tokens = 0;
	oc_status status = oc_context_system(turn, err);
	if (status != OC_OK)
		return status;
	oc_budget_of(turn, &budget);
	int64_t fixed = turn->system_tokens;
	oc_arena *arena = oc_arena_new(OWN_BYTES_MAX);
	status = own_records(turn, arena, &budget, fixed, &own, &own_tokens, err);
	fixed += own_tokens;
	/* The history stays as it is while the turn goes on, as long as there is room for what the turn adds. */
	if (status == OC_OK && (turn->history_model == NULL || turn->history_model != turn->model.ref ||
				fixed + turn->history_tokens > budget.room))
		status = build_history(turn, &budget, fixed, err);
	if (status == OC_OK) {
		turn->messages.n = turn->history_bytes;
		if (turn->messages.p != NULL)
			turn->messages.p[turn->messages.n] = 0;
		oc_history_write(&turn->messages, own, turn->model.ref);
		if (turn->messages.error != OC_OK)
			status = oc_fail(err, turn->messages.error, NULL, "the request to the model would be too large");
	}
	oc_arena_free(arena);
	if (status != OC_OK)
		return status;
	turn->messages_model = turn->model.ref;
	turn->request_tokens = fixed + turn->history_tokens;
	turn->trigger = budget.trigger;
	turn->history_over = turn->history_cut || turn->request_tokens > budget.trigger;
	return OC_OK;
}
