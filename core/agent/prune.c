#include "core/agent/prune.h"

#include <string.h>

#include "core/agent/budget.h"
#include "core/agent/policy.h"
#include "core/base/clock.h"
#include "core/data/utf8.h"

#define CHARS_PER_TOKEN 4
#define MARKS_MAX 4096 /* sessions whose marks are remembered */
#define OWN_HEAD 1500
#define OWN_TAIL 1500

typedef struct settings {
	int64_t ttl_ms, keep_assistants, min_chars, max_chars, head, tail;
	double soft_ratio, hard_ratio;
	bool hard;
	const char *placeholder;
	const cJSON *allow, *deny;
} settings;

/* Up to where the session's results are cut, and cleared. */
typedef struct mark {
	oc_map_node node;
	int64_t soft, hard;
	char session[];
} mark;

/* ---- Settings ---- */

static const cJSON *section(const oc_turn *turn)
{
	return oc_agent_setting(turn->config, turn->agent_id, "contextPruning");
}

bool oc_prune_on(const oc_turn *turn)
{
	return strcmp(oc_json_str(section(turn), "mode", "off"), "cache-ttl") == 0;
}

static double ratio(const cJSON *o, const char *name, double fallback)
{
	double v = oc_json_num(o, name, fallback);
	return v < 0 ? 0 : v > 1 ? 1 : v;
}

static void read_settings(const oc_turn *turn, settings *s)
{
	const cJSON *o = section(turn), *soft = oc_json_get(o, "softTrim"), *hard = oc_json_get(o, "hardClear");
	const cJSON *tools = oc_json_get(o, "tools");
	*s = (settings){
		.ttl_ms = oc_duration_ms(oc_json_str(o, "ttl", "5m"), 60000, 300000),
		.keep_assistants = oc_json_i64(o, "keepLastAssistants", 3),
		.min_chars = oc_json_i64(o, "minPrunableToolChars", 50000),
		.max_chars = oc_json_i64(soft, "maxChars", 4000),
		.head = oc_json_i64(soft, "headChars", 1500),
		.tail = oc_json_i64(soft, "tailChars", 1500),
		.soft_ratio = ratio(o, "softTrimRatio", 0.3),
		.hard_ratio = ratio(o, "hardClearRatio", 0.5),
		.hard = oc_json_bool(hard, "enabled", true),
		.placeholder = oc_json_str(hard, "placeholder", "[an old tool result was here]"),
		.allow = oc_json_get(tools, "allow"),
		.deny = oc_json_get(tools, "deny"),
	};
	if (s->head < 0)
		s->head = 0;
	if (s->tail < 0)
		s->tail = 0;
}

static bool named(const cJSON *list, const char *tool)
{
	const cJSON *one;
	cJSON_ArrayForEach(one, list) if (cJSON_IsString(one) && oc_policy_name_matches(one->valuestring, tool)) return true;
	return false;
}

static bool prunable(const settings *s, const oc_record *r)
{
	if (strcmp(r->role, "tool") != 0 || strstr(r->content, "\"image\"") != NULL || named(s->deny, r->tool_name))
		return false;
	return cJSON_GetArraySize(s->allow) == 0 || named(s->allow, r->tool_name);
}

/* ---- Marks ---- */

static mark *find_mark(const oc_agent *agent, const char *session)
{
	oc_map_node *node = oc_map_find(&agent->prune_marks, session);
	return node != NULL ? OC_MAP_OWNER(node, mark, node) : NULL;
}

static void drop_mark(void *arg, oc_map_node *node)
{
	oc_agent *agent = arg;
	oc_map_remove(&agent->prune_marks, node);
	oc_free(OC_MAP_OWNER(node, mark, node));
}

void oc_prune_forget(oc_agent *agent, const char *session)
{
	mark *m = session != NULL ? find_mark(agent, session) : NULL;
	if (m != NULL)
		drop_mark(agent, &m->node);
	if (session != NULL)
		return;
	oc_map_each(&agent->prune_marks, drop_mark, agent);
	oc_map_free(&agent->prune_marks);
}

/* NULL: no memory; then nothing is pruned. */
static mark *make_mark(oc_agent *agent, const char *session)
{
	mark *m = find_mark(agent, session);
	size_t n = strlen(session) + 1;
	if (m != NULL)
		return m;
	if (agent->prune_marks.n >= MARKS_MAX) /* losing them costs a provider's cache, nothing else */
		oc_prune_forget(agent, NULL);
	m = oc_alloc(sizeof *m + n);
	if (m == NULL)
		return NULL;
	memcpy(m->session, session, n);
	oc_map_add(&agent->prune_marks, &m->node, m->session);
	return m;
}

/* ---- Cutting ---- */

static char *text_part(oc_str text)
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

/* Replaces the record's content; what a budget counted for it is corrected. Returns the tokens saved. */
static int64_t replace(oc_record *r, oc_arena *arena, oc_str text)
{
	oc_auto_free char *content = text_part(text);
	const char *kept = content != NULL ? oc_arena_strdup(arena, content) : NULL;
	int64_t before = r->tokens;
	if (kept == NULL)
		return 0;
	r->content = kept;
	r->tokens = oc_history_tokens(kept);
	return before - r->tokens;
}

static int64_t cut(oc_record *r, oc_arena *arena, size_t max, size_t head, size_t tail)
{
	oc_auto_json cJSON *content = cJSON_Parse(r->content);
	oc_auto_free char *text = oc_turn_text_of_parts(content);
	size_t n = text != NULL ? strlen(text) : 0;
	if (n <= max || n <= head + tail)
		return 0;
	head = oc_utf8_cut((oc_str){text, n}, head);
	size_t from = n - tail;
	while (from < n && ((unsigned char)text[from] & 0xc0) == 0x80)
		from++;
	oc_auto_free char *all = oc_asprintf("%.*s\n…\n%s\n\n[Tool result trimmed: kept the first %zu and the last %zu of %zu bytes.]",
					     (int)head, text, text + from, head, n - from, n);
	return all != NULL ? replace(r, arena, oc_str_of(all)) : 0;
}

/* ---- The history ---- */

/* The oldest record that is left alone: the keepLastAssistants-th answer from the end. NULL: there are fewer. */
static oc_record *protected_from(const oc_history *h, int64_t keep)
{
	if (keep <= 0)
		return h->newest;
	for (oc_record *r = h->newest; r != NULL; r = r->older)
		if (strcmp(r->role, "assistant") == 0 && --keep == 0)
			return r;
	return NULL;
}

/* Decides anew up to where results are cut and cleared; only ever further. */
static void decide(const settings *s, oc_history *h, int64_t window, oc_record *limit, mark *m)
{
	double size = (double)window;
	if (size <= 0 || (double)h->tokens / size < s->soft_ratio || limit == NULL)
		return;
	m->soft = limit->seq > m->soft ? limit->seq : m->soft;
	/* What cutting alone would leave. */
	int64_t after = h->tokens, clearable = 0;
	for (const oc_record *r = h->oldest; r != NULL && r != limit; r = r->newer) {
		if (!prunable(s, r))
			continue;
		int64_t kept = (s->head + s->tail) / CHARS_PER_TOKEN;
		if (r->tokens * CHARS_PER_TOKEN > s->max_chars && r->tokens > kept)
			after -= r->tokens - kept;
		clearable += r->tokens * CHARS_PER_TOKEN;
	}
	if (!s->hard || clearable < s->min_chars)
		return;
	for (const oc_record *r = h->oldest; r != NULL && r != limit && (double)after / size >= s->hard_ratio; r = r->newer) {
		if (!prunable(s, r))
			continue;
		int64_t kept = (s->head + s->tail) / CHARS_PER_TOKEN;
		after -= r->tokens < kept ? r->tokens : kept;
		m->hard = r->seq > m->hard ? r->seq : m->hard;
	}
}

void oc_prune_history(oc_turn *turn, oc_history *h, int64_t window)
{
	settings s;
	if (!oc_prune_on(turn) || turn->history != NULL || turn->assembled != NULL || h->newest == NULL)
		return;
	read_settings(turn, &s);
	mark *m = make_mark(turn->agent, turn->session);
	if (m == NULL)
		return;
	/* Decided once a turn: within it the beginning of its requests stays the same. */
	if (!turn->pruned && oc_wall_ms() - h->newest->ts_ms >= s.ttl_ms)
		decide(&s, h, window, protected_from(h, s.keep_assistants), m);
	turn->pruned = true;
	for (oc_record *r = h->oldest; r != NULL; r = r->newer) {
		int64_t saved = 0;
		if (r->seq <= 0 || !prunable(&s, r))
			continue;
		if (r->seq <= m->hard)
			saved = replace(r, h->arena, oc_str_of(s.placeholder));
		else if (r->seq <= m->soft)
			saved = cut(r, h->arena, (size_t)(s.max_chars > 0 ? s.max_chars : 0), (size_t)s.head, (size_t)s.tail);
		h->tokens -= saved;
	}
}

int64_t oc_prune_own(oc_record *oldest, oc_arena *arena, int64_t excess)
{
	int64_t saved = 0;
	oc_record *last_answer = NULL;
	for (oc_record *r = oldest; r != NULL; r = r->newer)
		if (strcmp(r->role, "assistant") == 0)
			last_answer = r;
	for (oc_record *r = oldest; r != NULL && saved < excess; r = r->newer) {
		if (r == last_answer)
			last_answer = NULL;
		/* Before the last answer its results were read already; after it the model needs what it asked for. */
		bool fresh = last_answer == NULL;
		if (strcmp(r->role, "tool") == 0 && !fresh && strstr(r->content, "\"image\"") == NULL)
			saved += cut(r, arena, OWN_HEAD + OWN_TAIL, OWN_HEAD, OWN_TAIL);
	}
	for (oc_record *r = oldest; r != NULL && saved < excess; r = r->newer)
		if (strcmp(r->role, "tool") == 0 && strstr(r->content, "\"image\"") == NULL)
			saved += cut(r, arena, OWN_HEAD + OWN_TAIL, OWN_HEAD, OWN_TAIL);
	return saved;
}
