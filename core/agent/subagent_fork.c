/* context:"fork": a sub-agent that begins with what was said in the conversation that asks for it. */
#include <string.h>

#include "core/agent/history.h"
#include "core/agent/subagent.h"

#define FORK_TOKENS_DEFAULT 100000
#define BYTES_MAX ((size_t)16 << 20)

typedef struct row {
	struct row *newer;
	oc_message message;
	const char *kind;
} row;

typedef struct fork {
	oc_arena *arena;
	row *oldest;
	int64_t budget, through; /* of a summary: what it sums up is not taken */
	const char *summary;
	bool settled; /* calls of the answer that asks for the sub-agent have no results yet */
	bool failed;
} fork_t;

static const char *copy(fork_t *f, const char *s)
{
	const char *p = s[0] != 0 ? oc_arena_strdup(f->arena, s) : "";
	f->failed |= p == NULL;
	return p;
}

static void on_note(fork_t *f, const oc_message_row *from)
{
	if (f->summary != NULL || strstr(from->meta_json, "\"compaction\"") == NULL)
		return;
	oc_auto_json cJSON *meta = cJSON_Parse(from->meta_json);
	f->through = oc_json_i64(oc_json_get(meta, "compaction"), "through", 0);
	if (f->through > 0)
		f->summary = copy(f, from->text);
}

static bool on_row(void *arg, const oc_message_row *from)
{
	fork_t *f = arg;
	bool assistant = strcmp(from->role, "assistant") == 0, tool = strcmp(from->role, "tool") == 0;
	if (strcmp(from->role, "system") == 0) {
		on_note(f, from);
		return !f->failed;
	}
	if (assistant && !f->settled && strstr(from->content_json, "\"tool_call\"") != NULL)
		return true;
	f->settled = true;
	int64_t tokens = from->tokens > 0 ? from->tokens : oc_history_tokens(from->content_json[0] != 0 ? from->content_json : from->text);
	if ((f->summary != NULL && from->seq <= f->through) || tokens > f->budget)
		return false;
	f->budget -= tokens;
	row *r = oc_arena_alloc(f->arena, sizeof *r);
	if (r == NULL) {
		f->failed = true;
		return false;
	}
	*r = (row){
		.newer = f->oldest,
		.kind = tool ? "tool_result" : assistant ? "agent_response" : "message_received",
		.message = {.role = tool ? "tool" : assistant ? "assistant" : "user",
			    .content_json = from->content_json[0] != 0 ? copy(f, from->content_json) : NULL,
			    .text = copy(f, from->text),
			    .model = assistant ? copy(f, from->model) : NULL,
			    .tool_call_id = tool ? copy(f, from->tool_call_id) : NULL,
			    .tool_name = tool ? copy(f, from->tool_name) : NULL,
			    .is_error = from->is_error,
			    .tokens = tokens},
	};
	f->oldest = r;
	return !f->failed;
}

oc_status oc_subagent_fork(oc_subagent *sub, oc_batch *b, oc_err *err)
{
	int64_t most = oc_config_i64(sub->agent->config, "session.parentForkMaxTokens", FORK_TOKENS_DEFAULT);
	fork_t f = {.arena = oc_arena_new(BYTES_MAX), .budget = most > 0 ? most : FORK_TOKENS_DEFAULT};
	oc_status status = f.arena == NULL ? OC_E_NOMEM : oc_store_each_message(sub->agent->store, sub->requester, on_row, &f, err);
	if (status == OC_E_NOT_FOUND)
		status = OC_OK; /* nothing was said yet */
	if (status == OC_OK && f.failed)
		status = oc_fail(err, OC_E_LIMIT, "start it without context:\"fork\"", "the conversation is too long to be handed on");
	else if (status == OC_E_NOMEM)
		(void)oc_fail(err, status, NULL, "cannot hand the conversation on");
	oc_auto_free char *summary = status == OC_OK && f.summary != NULL ? oc_history_summary_content(f.summary) : NULL;
	const row *r = f.oldest;
	/* A history begins with what a person said; results without their call are of no use. */
	while (r != NULL && summary == NULL && strcmp(r->message.role, "user") != 0)
		r = r->newer;
	while (r != NULL && strcmp(r->message.role, "tool") == 0)
		r = r->newer;
	if (status == OC_OK)
		oc_batch_session(b, sub->key, &(oc_session_facts){.kind = "subagent"});
	if (summary != NULL)
		oc_batch_message(b, sub->key, "message_received", &(oc_message){.role = "user", .content_json = summary, .text = f.summary});
	for (; status == OC_OK && r != NULL; r = r->newer)
		oc_batch_message(b, sub->key, r->kind, &r->message);
	oc_arena_free(f.arena);
	return status;
}
