#include "core/agent/history.h"

#include <string.h>

#define IMAGE_TOKENS 1600
#define RECORDS_BYTES_MAX ((size_t)64 << 20)

typedef struct collect {
	oc_turn *turn;
	oc_history *h;
	oc_record *unit_newest, *unit_oldest; /* results whose call was not reached yet */
	int64_t budget, unit_tokens, unit_count;
	int64_t through; /* of the last summary: what it sums up is not needed */
	oc_record *summary;
	bool failed;
} collect;

static const char *copy(collect *c, const char *s)
{
	const char *p = s[0] == 0 ? "" : oc_arena_strdup(c->h->arena, s);
	c->failed |= p == NULL;
	return p != NULL ? p : "";
}

/* [{"type":"text","text":…}]; oc_free it. NULL: out of memory. */
static char *text_content(oc_str text)
{
	oc_sbuf b;
	oc_sbuf_init(&b, OC_TURN_REQUEST_MAX);
	oc_sbuf_z(&b, "[{\"type\":\"text\",\"text\":");
	oc_sbuf_json(&b, text);
	oc_sbuf_z(&b, "}]");
	char *p = oc_sbuf_take(&b);
	oc_sbuf_free(&b);
	return p;
}

/* Content of stored rows that are one plain text is made into a part here. */
static const char *content_of(collect *c, const char *content_json, const char *text)
{
	if (content_json[0] != 0)
		return copy(c, content_json);
	oc_auto_free char *made = text_content(oc_str_of(text));
	c->failed |= made == NULL;
	return copy(c, made != NULL ? made : "[]");
}

int64_t oc_history_tokens(const char *content)
{
	/* Data of pictures is not read as text. */
	const char *image = strstr(content, "\"data\":\"");
	if (image == NULL)
		return oc_tokens_of(oc_str_of(content)) + 4;
	int64_t tokens = oc_tokens_of((oc_str){content, (size_t)(image - content)}) + 4;
	for (; image != NULL; image = strstr(image + 1, "\"data\":\""))
		tokens += IMAGE_TOKENS;
	return tokens;
}

char *oc_history_summary_content(const char *summary)
{
	oc_auto_free char *text = oc_asprintf("[What was said before this point was summed up to save room:]\n\n<summary>\n%s\n"
					      "</summary>",
					      summary);
	return text != NULL ? text_content(oc_str_of(text)) : NULL;
}

/* ---- Collecting, newest first ---- */

/* Takes the unit when it fits. */
static bool take_unit(collect *c)
{
	oc_history *h = c->h;
	if (c->unit_tokens > c->budget) {
		h->cut = true;
		return false;
	}
	c->budget -= c->unit_tokens;
	h->tokens += c->unit_tokens;
	h->count += c->unit_count;
	if (h->oldest != NULL) {
		h->oldest->older = c->unit_newest;
		c->unit_newest->newer = h->oldest;
	} else {
		h->newest = c->unit_newest;
	}
	h->oldest = c->unit_oldest;
	c->unit_newest = c->unit_oldest = NULL;
	c->unit_tokens = c->unit_count = 0;
	return true;
}

static bool add_record(collect *c, const oc_record *from)
{
	oc_record *r = oc_arena_alloc(c->h->arena, sizeof *r);
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
	c->unit_tokens += r->tokens;
	c->unit_count++;
	if (strcmp(r->role, "tool") != 0)
		return take_unit(c);
	if (c->unit_tokens > c->budget)
		c->h->cut = true;
	return c->unit_tokens <= c->budget;
}

/* A note of the history that carries a summary. The newest one counts: it has those before it in it. */
static bool on_note(collect *c, const oc_message_row *row)
{
	if (c->summary == NULL && strstr(row->meta_json, "\"memoryFlush\"") != NULL)
		c->h->flushed = true;
	if (c->summary != NULL || strstr(row->meta_json, "\"compaction\"") == NULL)
		return true;
	oc_auto_json cJSON *meta = cJSON_Parse(row->meta_json);
	int64_t through = oc_json_i64(oc_json_get(meta, "compaction"), "through", 0);
	if (through <= 0)
		return true;
	oc_auto_free char *content = oc_history_summary_content(row->text);
	oc_record *r = oc_arena_alloc(c->h->arena, sizeof *r);
	c->failed |= content == NULL || r == NULL;
	if (c->failed)
		return false;
	*r = (oc_record){.role = "user", .content = copy(c, content), .model = "", .tool_call_id = "", .tool_name = "",
			 .summary = true, .seq = row->seq, .ts_ms = row->ts_ms, .tokens = oc_history_tokens(content)};
	c->summary = r;
	c->h->summary = copy(c, row->text);
	c->through = through;
	/* It stays whatever the budget: without it the rest means little. */
	c->budget = c->budget > r->tokens ? c->budget - r->tokens : 0;
	return !c->failed;
}

static bool on_row(void *arg, const oc_message_row *row)
{
	collect *c = arg;
	if (strcmp(row->role, "system") == 0)
		return on_note(c, row); /* else a note for people */
	if (strcmp(row->run, c->turn->run) == 0)
		return true;
	if (c->summary != NULL && row->seq <= c->through)
		return false;
	oc_record r = {
		.role = strcmp(row->role, "tool") == 0 ? "tool" : strcmp(row->role, "user") == 0 ? "user" : "assistant",
		.content = content_of(c, row->content_json, row->text),
		.model = copy(c, row->model),
		.tool_call_id = copy(c, row->tool_call_id),
		.tool_name = copy(c, row->tool_name),
		.is_error = row->is_error,
		.seq = row->seq,
		.ts_ms = row->ts_ms,
	};
	r.tokens = row->tokens > 0 ? row->tokens : oc_history_tokens(r.content);
	return add_record(c, &r) && !c->failed;
}

/* A history that came with the request (HTTP clients) instead of the stored one. */
static void collect_given(collect *c, const cJSON *history)
{
	for (int i = cJSON_GetArraySize(history) - 1; i >= 0; i--) {
		const cJSON *m = cJSON_GetArrayItem(history, i);
		oc_auto_free char *content = oc_json_print(oc_json_get(m, "content"));
		const char *role = oc_json_str(m, "role", "user");
		oc_record r = {
			.role = strcmp(role, "tool") == 0 ? "tool" : strcmp(role, "assistant") == 0 ? "assistant" : "user",
			.content = copy(c, content != NULL ? content : "[]"),
			.model = "",
			.tool_call_id = copy(c, oc_json_str(m, "toolCallId", "")),
			.tool_name = copy(c, oc_json_str(m, "name", "")),
			.is_error = oc_json_bool(m, "isError", false),
		};
		r.tokens = oc_history_tokens(r.content);
		if (c->failed || !add_record(c, &r))
			break;
	}
}

oc_status oc_history_collect(oc_turn *turn, int64_t budget, oc_history *ret, oc_err *err)
{
	*ret = (oc_history){.arena = oc_arena_new(RECORDS_BYTES_MAX)};
	collect c = {.turn = turn, .h = ret, .budget = budget > 0 ? budget : 0};
	oc_status status = ret->arena != NULL ? OC_OK : OC_E_NOMEM;
	const cJSON *given = turn->assembled != NULL ? turn->assembled : turn->history;
	if (status == OC_OK && given != NULL)
		collect_given(&c, given);
	else if (status == OC_OK)
		status = oc_store_each_message(turn->agent->store, turn->session, on_row, &c, err);
	if (status == OC_E_NOMEM || c.failed)
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot gather the history");
	if (status == OC_OK && c.summary != NULL) {
		c.summary->newer = ret->oldest;
		if (ret->oldest != NULL)
			ret->oldest->older = c.summary;
		else
			ret->newest = c.summary;
		ret->oldest = c.summary;
		ret->tokens += c.summary->tokens;
		ret->count++;
	}
	return status;
}

/* The record after the unit that begins with r: an answer and its results go together. */
static oc_record *after_unit(oc_record *r)
{
	oc_record *at = r->newer;
	while (at != NULL && strcmp(at->role, "tool") == 0)
		at = at->newer;
	return at;
}

void oc_history_trim(oc_history *h, int64_t budget)
{
	oc_record *summary = h->oldest != NULL && h->oldest->summary ? h->oldest : NULL;
	oc_record *at = summary != NULL ? summary->newer : h->oldest;
	while (at != NULL && h->tokens > budget) {
		oc_record *next = after_unit(at);
		for (const oc_record *r = at; r != next; r = r->newer) {
			h->tokens -= r->tokens;
			h->count--;
		}
		h->cut = true;
		at = next;
	}
	if (at != NULL)
		at->older = summary;
	else
		h->newest = summary;
	if (summary != NULL)
		summary->newer = at;
	h->oldest = summary != NULL ? summary : at;
}

void oc_history_free(oc_history *history)
{
	oc_arena_free(history->arena);
	*history = (oc_history){0};
}

bool oc_history_own(const oc_turn *turn, oc_arena *arena, oc_record **ret_oldest)
{
	oc_record *last = NULL;
	*ret_oldest = NULL;
	for (const oc_turn_message *m = turn->own; m != NULL; m = m->next) {
		oc_record *r = oc_arena_alloc(arena, sizeof *r);
		if (r == NULL)
			return false;
		*r = (oc_record){.older = last, .role = m->role, .content = m->content_json, .model = m->model,
				 .tool_call_id = m->tool_call_id, .tool_name = m->tool_name, .is_error = m->is_error,
				 .tokens = oc_history_tokens(m->content_json)};
		if (last != NULL)
			last->newer = r;
		else
			*ret_oldest = r;
		last = r;
	}
	return true;
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
static void write_missing(oc_sbuf *b, const cJSON *content, const oc_record *after)
{
	const cJSON *part;
	cJSON_ArrayForEach(part, content)
	{
		if (strcmp(oc_json_str(part, "type", ""), "tool_call") != 0)
			continue;
		const char *id = oc_json_str(part, "id", "");
		bool found = false;
		for (const oc_record *r = after; r != NULL && strcmp(r->role, "tool") == 0 && !found; r = r->newer)
			found = strcmp(r->tool_call_id, id) == 0;
		if (!found)
			write_tool(b,
				   "[{\"type\":\"text\",\"text\":\"The call was interrupted; it is not known whether it took "
				   "effect.\"}]",
				   id, oc_json_str(part, "name", ""), true);
	}
}

static const oc_record *write_assistant(oc_sbuf *b, const oc_record *r, const char *model)
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
	const oc_record *at = r->newer;
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

void oc_history_write(oc_sbuf *b, const oc_record *oldest, const char *model)
{
	/* A history begins with what a user said. */
	const oc_record *r = oldest;
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
