/*
 * What a model is sent: the prompt, the tools, as much of the history as the budget allows, the messages of this turn.
 *
 * History is taken from the newest back in units that belong together (an answer with tool calls and its results), so a
 * call is never cut from its result.
 */
#include <string.h>

#include "core/agent/media.h"
#include "core/agent/policy.h"
#include "core/agent/workspace.h"
#include "core/base/log.h"

#define IMAGE_TOKENS 1600
#define OUTPUT_RESERVE 8192
#define RECORDS_BYTES_MAX ((size_t)64 << 20)

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

/* ---- History ---- */

/* A message on its way into the request, in the order of reading: newest first. */
typedef struct record {
	struct record *older, *newer;
	const char *role, *content, *model, *tool_call_id, *tool_name;
	bool is_error;
} record;

typedef struct collect {
	oc_turn *turn;
	oc_arena *arena;
	record *newest, *oldest; /* what is taken */
	record *unit_newest, *unit_oldest; /* results whose call was not reached yet */
	int64_t budget, unit_tokens;
	bool failed;
} collect;

static const char *copy(collect *c, const char *s)
{
	const char *p = s[0] == 0 ? "" : oc_arena_strdup(c->arena, s);
	c->failed |= p == NULL;
	return p != NULL ? p : "";
}

/* Content of stored rows that are one plain text is made into a part here. */
static const char *content_of(collect *c, const char *content_json, const char *text)
{
	if (content_json[0] != 0)
		return copy(c, content_json);
	oc_sbuf b;
	oc_sbuf_init(&b, OC_TURN_REQUEST_MAX);
	oc_sbuf_char(&b, '[');
	add_part_text(&b, oc_str_of(text));
	oc_sbuf_char(&b, ']');
	const char *p = b.error == OC_OK ? copy(c, b.p) : "[]";
	oc_sbuf_free(&b);
	return p;
}

static int64_t tokens_of_content(const char *content)
{
	int64_t tokens = 0;
	/* Data of pictures is not read as text. */
	const char *image = strstr(content, "\"data\":\"");
	if (image == NULL)
		return oc_tokens_of(oc_str_of(content)) + 4;
	tokens = oc_tokens_of((oc_str){content, (size_t)(image - content)}) + 4;
	for (; image != NULL; image = strstr(image + 1, "\"data\":\""))
		tokens += IMAGE_TOKENS;
	return tokens;
}

/* Takes the unit when it fits. */
static bool take_unit(collect *c)
{
	if (c->unit_tokens > c->budget)
		return false;
	c->budget -= c->unit_tokens;
	if (c->oldest != NULL) {
		c->oldest->older = c->unit_newest;
		c->unit_newest->newer = c->oldest;
	} else {
		c->newest = c->unit_newest;
	}
	c->oldest = c->unit_oldest;
	c->unit_newest = c->unit_oldest = NULL;
	c->unit_tokens = 0;
	return true;
}

static bool add_record(collect *c, const record *from, int64_t tokens)
{
	record *r = oc_arena_alloc(c->arena, sizeof *r);
	if (r == NULL) {
		c->failed = true;
		return false;
	}
	*r = *from;
	r->newer = c->unit_oldest;
	r->older = NULL;
	if (c->unit_oldest != NULL)
		c->unit_oldest->older = r;
	else
		c->unit_newest = r;
	c->unit_oldest = r;
	c->unit_tokens += tokens;
	if (strcmp(r->role, "tool") == 0)
		return c->unit_tokens <= c->budget;
	return take_unit(c);
}

static bool on_row(void *arg, const oc_message_row *row)
{
	collect *c = arg;
	if (strcmp(row->run, c->turn->run) == 0)
		return true;
	if (strcmp(row->role, "system") == 0)
		return true; /* notes for people */
	record r = {
		.role = strcmp(row->role, "tool") == 0 ? "tool" : strcmp(row->role, "user") == 0 ? "user" : "assistant",
		.content = content_of(c, row->content_json, row->text),
		.model = copy(c, row->model),
		.tool_call_id = copy(c, row->tool_call_id),
		.tool_name = copy(c, row->tool_name),
		.is_error = row->is_error,
	};
	return add_record(c, &r, row->tokens > 0 ? row->tokens : tokens_of_content(r.content)) && !c->failed;
}

/* A history that came with the request (HTTP clients) instead of the stored one. */
static void collect_given(collect *c, const cJSON *history)
{
	for (int i = cJSON_GetArraySize(history) - 1; i >= 0; i--) {
		const cJSON *m = cJSON_GetArrayItem(history, i);
		oc_auto_free char *content = oc_json_print(oc_json_get(m, "content"));
		const char *role = oc_json_str(m, "role", "user");
		record r = {
			.role = strcmp(role, "tool") == 0 ? "tool" : strcmp(role, "assistant") == 0 ? "assistant" : "user",
			.content = copy(c, content != NULL ? content : "[]"),
			.model = "",
			.tool_call_id = copy(c, oc_json_str(m, "toolCallId", "")),
			.tool_name = copy(c, oc_json_str(m, "name", "")),
			.is_error = oc_json_bool(m, "isError", false),
		};
		if (!add_record(c, &r, tokens_of_content(r.content)))
			break;
	}
}

/* ---- Writing ---- */

static void begin_message(oc_sbuf *b, const char *role)
{
	if (b->n > 0)
		oc_sbuf_char(b, ',');
	oc_sbuf_printf(b, "{\"role\":\"%s\",\"content\":", role);
}

/* Reasoning is signed by the model that thought it; another one would refuse it. */
static bool without_thinking(cJSON *content)
{
	bool changed = false;
	for (cJSON *part = content != NULL ? content->child : NULL, *next; part != NULL; part = next) {
		next = part->next;
		const char *type = oc_json_str(part, "type", "");
		if (strcmp(type, "text") != 0 && strcmp(type, "tool_call") != 0 && strcmp(type, "image") != 0) {
			cJSON_Delete(cJSON_DetachItemViaPointer(content, part));
			changed = true;
		}
	}
	return changed;
}

static void write_tool(oc_sbuf *b, const char *content, const char *id, const char *name, bool is_error)
{
	begin_message(b, "tool");
	oc_sbuf_z(b, content);
	oc_sbuf_z(b, ",\"toolCallId\":");
	oc_sbuf_json(b, oc_str_of(id));
	oc_sbuf_z(b, ",\"name\":");
	oc_sbuf_json(b, oc_str_of(name));
	oc_sbuf_printf(b, ",\"isError\":%s}", is_error ? "true" : "false");
}

/* An answer whose calls have no result (the process died in between) gets results that say so. */
static void write_missing(oc_sbuf *b, const cJSON *content, const record *after)
{
	const cJSON *part;
	cJSON_ArrayForEach(part, content)
	{
		if (strcmp(oc_json_str(part, "type", ""), "tool_call") != 0)
			continue;
		const char *id = oc_json_str(part, "id", "");
		bool found = false;
		for (const record *r = after; r != NULL && strcmp(r->role, "tool") == 0 && !found; r = r->newer)
			found = strcmp(r->tool_call_id, id) == 0;
		if (!found)
			write_tool(b,
				   "[{\"type\":\"text\",\"text\":\"The call was interrupted; it is not known whether it took "
				   "effect.\"}]",
				   id, oc_json_str(part, "name", ""), true);
	}
}

static const record *write_assistant(oc_sbuf *b, const record *r, const char *model)
{
	bool calls = strstr(r->content, "\"tool_call\"") != NULL;
	bool foreign = r->model[0] != 0 && strcmp(r->model, model) != 0;
	oc_auto_json cJSON *content = calls || foreign ? cJSON_Parse(r->content) : NULL;
	oc_auto_free char *changed = foreign && without_thinking(content) ? oc_json_print(content) : NULL;
	const char *text = changed != NULL ? changed : r->content;
	if (strcmp(text, "[]") == 0)
		return r->newer; /* nothing but reasoning */
	begin_message(b, "assistant");
	oc_sbuf_z(b, text);
	oc_sbuf_char(b, '}');
	const record *at = r->newer;
	for (; at != NULL && strcmp(at->role, "tool") == 0; at = at->newer) {
		const cJSON *part;
		bool asked = false;
		cJSON_ArrayForEach(part, content) asked |= strcmp(oc_json_str(part, "type", ""), "tool_call") == 0 &&
							   strcmp(oc_json_str(part, "id", ""), at->tool_call_id) == 0;
		if (asked)
			write_tool(b, at->content, at->tool_call_id, at->tool_name, at->is_error);
	}
	if (calls)
		write_missing(b, content, r->newer);
	return at;
}

/* From the oldest on; a history begins with what a user said. */
static void write_records(oc_sbuf *b, const record *oldest, const char *model)
{
	const record *r = oldest;
	while (r != NULL && strcmp(r->role, "user") != 0)
		r = r->newer;
	while (r != NULL) {
		if (strcmp(r->role, "assistant") == 0) {
			r = write_assistant(b, r, model);
			continue;
		}
		if (strcmp(r->role, "user") == 0) {
			begin_message(b, "user");
			oc_sbuf_z(b, r->content);
			oc_sbuf_char(b, '}');
		}
		r = r->newer;
	}
}

/* This turn's messages as records, oldest first, after the history's. */
static bool append_own(collect *c)
{
	record *last = c->newest;
	for (const oc_turn_message *m = c->turn->own; m != NULL; m = m->next) {
		record *r = oc_arena_alloc(c->arena, sizeof *r);
		if (r == NULL)
			return false;
		*r = (record){.older = last, .role = m->role, .content = m->content_json, .model = m->model,
			      .tool_call_id = m->tool_call_id, .tool_name = m->tool_name, .is_error = m->is_error};
		if (last != NULL)
			last->newer = r;
		else
			c->oldest = r;
		last = r;
	}
	c->newest = last;
	return true;
}

/* ---- Building ---- */

bool oc_context_is_group(const oc_turn *turn)
{
	const char *kind = turn->key.kind;
	return strcmp(kind, "group") == 0 || strcmp(kind, "channel") == 0 || strcmp(kind, "thread") == 0;
}

static int64_t window_of(const oc_turn *turn)
{
	int64_t window = turn->model.context_window;
	int64_t limit = oc_config_i64(turn->config, "agents.defaults.contextTokens", 0);
	return limit > 0 && limit < window ? limit : window;
}

static oc_status build_messages(oc_turn *turn, int64_t budget, oc_err *err)
{
	collect c = {.turn = turn, .budget = budget > 0 ? budget : 0, .arena = oc_arena_new(RECORDS_BYTES_MAX)};
	oc_status status = c.arena != NULL ? OC_OK : oc_fail(err, OC_E_NOMEM, NULL, "cannot gather the history");
	if (status == OC_OK && turn->history != NULL)
		collect_given(&c, turn->history);
	else if (status == OC_OK)
		status = oc_store_each_message(turn->agent->store, turn->session, on_row, &c, err);
	if (status == OC_OK && (c.failed || !append_own(&c)))
		status = oc_fail(err, OC_E_NOMEM, NULL, "cannot gather the history");
	if (status == OC_OK) {
		oc_sbuf_clear(&turn->messages);
		write_records(&turn->messages, c.oldest, turn->model.ref);
		if (turn->messages.error != OC_OK)
			status = oc_fail(err, turn->messages.error, NULL, "the request to the model would be too large");
	}
	oc_arena_free(c.arena);
	return status;
}

oc_status oc_context_build(oc_turn *turn, oc_err *err)
{
	bool group = oc_context_is_group(turn);
	oc_auto_free char *tools = NULL;
	oc_status status = turn->no_tools ? OC_OK : oc_policy_tools_json(turn, &tools, err);
	if (status != OC_OK)
		return status;
	turn->tools_json = oc_turn_text(turn, tools != NULL ? tools : "");
	oc_auto_free char *system = oc_prompt_build(turn, group);
	if (system == NULL)
		return oc_fail(err, OC_E_LIMIT, "shorten the files of the workspace", "the system prompt is too long");
	turn->system = oc_turn_text(turn, system);
	int64_t window = window_of(turn);
	int64_t reserve = turn->max_tokens > 0 ? turn->max_tokens
			  : turn->model.max_tokens > 0 ? turn->model.max_tokens
						       : OUTPUT_RESERVE;
	if (reserve > OUTPUT_RESERVE * 4)
		reserve = OUTPUT_RESERVE * 4;
	if (reserve > window / 4)
		reserve = window / 4;
	int64_t fixed = oc_tokens_of(oc_str_of(turn->system)) + oc_tokens_of(oc_str_of(turn->tools_json));
	for (const oc_turn_message *m = turn->own; m != NULL; m = m->next)
		fixed += tokens_of_content(m->content_json);
	if (fixed > window)
		return oc_fail(err, OC_E_CONTEXT, "shorten it, or use a model with a larger context window",
			       "prompt and message need about %lld tokens, %s takes %lld", (long long)fixed, turn->model.ref,
			       (long long)window);
	/* The estimate may be a little low: a twentieth stays free. */
	status = build_messages(turn, ((window - reserve) * 19 / 20 - fixed) >> turn->shrunk, err);
	if (status == OC_OK)
		turn->messages_model = turn->model.ref;
	return status;
}
