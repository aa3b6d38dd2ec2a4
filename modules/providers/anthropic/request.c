/* See request.h. */
#include "request.h"

#include <stdlib.h>
#include <string.h>

#include "prv_history.h"

/* ---- What a model takes, by its name ---- */

typedef struct model_traits {
	int version;	     /* 405 for claude-haiku-4-5, 500 for claude-sonnet-5, 0 for other makers' models */
	bool adaptive;	     /* decides by itself how long to think; effort sets how hard */
	bool always_on;	     /* thinking cannot be turned off */
	bool fixed_sampling; /* refuses temperature */
	int64_t default_tokens, most_tokens; /* of output */
} model_traits;

/* The first one or two numbers of at most two digits: "claude-opus-4-5-20251101", "claude-3-7-sonnet-20250219". */
static int claude_version(const char *model)
{
	int found[2] = {0, 0}, n = 0;
	for (const char *p = model; *p != 0 && n < 2;) {
		size_t digits = strspn(p, "0123456789");
		if (digits == 0) {
			if (n == 1 && *p != '-' && *p != '.')
				break; /* the minor follows the major at once, or there is none */
			p++;
			continue;
		}
		if (digits <= 2)
			found[n++] = (int)strtol(p, NULL, 10);
		else if (n == 1)
			break;
		p += digits;
	}
	return found[0] * 100 + found[1];
}

static model_traits traits_of(const char *model, const prv_quirks *quirks)
{
	model_traits t = {.default_tokens = 8192, .most_tokens = 128000};
	const char *claude = strstr(model, "claude");
	bool preview = strstr(model, "mythos-preview") != NULL;
	if (claude != NULL)
		t.version = claude_version(claude);
	t.adaptive = t.version >= 406 || preview;
	t.always_on = preview || strstr(model, "fable") != NULL || strstr(model, "mythos") != NULL
		      || (t.version >= 505 && strstr(model, "opus") != NULL);
	t.fixed_sampling = t.version >= 407 || preview;
	if (t.adaptive) {
		t.default_tokens = 32000;
	} else if (t.version >= 307) {
		t.default_tokens = 16000;
		t.most_tokens = strstr(model, "opus") != NULL && t.version < 405 ? 32000 : 64000;
	} else if (t.version > 0) {
		t.most_tokens = t.version >= 305 ? 8192 : 4096;
		t.default_tokens = t.most_tokens;
	}
	if ((quirks->bits & ANT_ADAPTIVE) != 0)
		t.adaptive = true;
	if ((quirks->bits & ANT_BUDGET) != 0)
		t.adaptive = false;
	if ((quirks->bits & ANT_NO_DISABLED) != 0)
		t.always_on = true;
	if (quirks->max_tokens > 0 && quirks->max_tokens < t.most_tokens)
		t.most_tokens = quirks->max_tokens;
	return t;
}

/* ---- Messages ---- */

typedef struct builder {
	prv_text *out;
	const prv_endpoint *e;
	unsigned quirks;
	prv_history h;
	int role;	    /* of the open message, 0: none */
	size_t user_end[2]; /* where the last block of the last and the one before last user message ends; 0: none */
} builder;

/* Opens a block of a message of that role; neighbours of the same role become one message. */
static void open_block(builder *b, int role, const char *start)
{
	if (b->role == role) {
		prv_text_char(b->out, ',');
	} else {
		prv_text_z(b->out, b->role == 0 ? "" : "]},");
		prv_text_printf(b->out, "{\"role\":\"%s\",\"content\":[", role == PRV_ROLE_USER ? "user" : "assistant");
		if (role == PRV_ROLE_USER) {
			b->user_end[1] = b->user_end[0];
			b->user_end[0] = 0;
		}
		b->role = role;
	}
	prv_text_z(b->out, start);
}

static void close_block(builder *b)
{
	if (b->role == PRV_ROLE_USER)
		b->user_end[0] = b->out->n; /* a cache mark may be put in here, before the brace */
	prv_text_char(b->out, '}');
}

static bool blank(prv_json text)
{
	for (size_t i = 1; i + 1 < text.n; i++)
		if (text.p[i] == '\\' && strchr("nrt", text.p[i + 1]) != NULL)
			i++;
		else if (text.p[i] != ' ')
			return false;
	return true;
}

/* A text or an image inside a content list; false when the part is neither or empty. */
static bool add_piece(builder *b, prv_json part)
{
	prv_json text = prv_part_text(part), data = prv_json_get(part, "data"), mime = prv_json_get(part, "mime");
	bool image = prv_part_is(part, "image");
	if (image && (b->quirks & ANT_NO_IMAGES) != 0) {
		prv_text_z(b->out, "{\"type\":\"text\",\"text\":\"[image]\"");
		return true;
	}
	if (image && prv_json_full(data)) {
		prv_text_z(b->out, "{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":");
		if (prv_json_full(mime))
			prv_json_copy(b->out, mime);
		else
			prv_text_z(b->out, "\"image/png\"");
		prv_text_z(b->out, ",\"data\":");
		prv_text_add(b->out, data.p, data.n); /* base64: nothing to escape, and megabytes of it */
		prv_text_char(b->out, '}');
		return true;
	}
	if (!prv_json_full(text) || blank(text))
		return false;
	prv_text_z(b->out, "{\"type\":\"text\",\"text\":");
	prv_json_copy(b->out, text);
	return true;
}

/* A part as a block of a message; the block is not opened for nothing. */
static void add_part(builder *b, int role, prv_json part)
{
	prv_text *out = b->out, piece;
	prv_text_init(&piece, part.n * 6 + 256);
	b->out = &piece;
	bool any = add_piece(b, part);
	b->out = out;
	if (any) {
		open_block(b, role, "");
		prv_text_str(out, prv_text_view(&piece));
		if (piece.failed)
			out->failed = true;
		close_block(b);
	}
	prv_text_free(&piece);
}

static void add_user(builder *b, prv_json content)
{
	prv_json part;
	size_t at = 0;
	while (prv_history_part(content, &at, &part))
		add_part(b, PRV_ROLE_USER, part);
}

/* Whether a thinking block goes back: signed, and by the model that is asked now. */
static bool keeps_block(const builder *b, prv_json part)
{
	prv_json model = prv_json_get(part, "model");
	if ((b->quirks & ANT_DROP_BLOCKS) != 0 || (prv_json_full(model) && !prv_json_is(model, b->e->model)))
		return false;
	return (prv_part_is(part, "thinking") && prv_json_full(prv_json_get(part, "signature")))
	       || (prv_part_is(part, "redacted_thinking") && prv_json_full(prv_json_get(part, "data")));
}

static void add_thinking(builder *b, prv_json part)
{
	if (!keeps_block(b, part))
		return;
	if (prv_part_is(part, "redacted_thinking")) {
		open_block(b, PRV_ROLE_ASSISTANT, "{\"type\":\"redacted_thinking\",\"data\":");
		prv_json_copy(b->out, prv_json_get(part, "data"));
	} else {
		prv_json text = prv_json_get(part, "text");
		open_block(b, PRV_ROLE_ASSISTANT, "{\"type\":\"thinking\",\"thinking\":");
		if (prv_json_kind(text) == PRV_JSON_STRING)
			prv_json_copy(b->out, text);
		else
			prv_text_z(b->out, "\"\"");
		prv_text_z(b->out, ",\"signature\":");
		prv_json_copy(b->out, prv_json_get(part, "signature"));
	}
	close_block(b);
}

static void add_result(builder *b, size_t index, prv_json call)
{
	prv_json id = prv_json_get(call, "id"), part;
	prv_json result = prv_history_result(&b->h, index, id);
	size_t at = 0;
	bool first = true;
	open_block(b, PRV_ROLE_USER, "{\"type\":\"tool_result\",\"tool_use_id\":");
	prv_history_id(b->out, id, PRV_ID_LONG);
	prv_text_z(b->out, ",\"content\":[");
	while (prv_history_part(prv_json_get(result, "content"), &at, &part)) {
		size_t before = b->out->n;
		prv_text_z(b->out, first ? "" : ",");
		if (add_piece(b, part)) {
			prv_text_char(b->out, '}');
			first = false;
		} else if (!b->out->failed && b->out->n > before) {
			b->out->n = before; /* the comma */
			b->out->p[before] = 0;
		}
	}
	if (first)
		prv_text_printf(b->out, "{\"type\":\"text\",\"text\":\"%s\"}",
				result.n == 0 ? PRV_NO_RESULT : "(no output)");
	prv_text_char(b->out, ']');
	if (result.n == 0 || prv_json_bool(prv_json_get(result, "isError"), false))
		prv_text_z(b->out, ",\"is_error\":true");
	close_block(b);
}

static void add_assistant(builder *b, size_t index, prv_json content)
{
	prv_json part;
	size_t at = 0;
	bool any = false, calls = false;
	/* A turn of nothing but thinking says nothing. */
	while (prv_history_part(content, &at, &part))
		any = any || prv_part_is(part, "tool_call")
		      || (prv_json_full(prv_part_text(part)) && !blank(prv_part_text(part)));
	for (at = 0; any && prv_history_part(content, &at, &part);) {
		if (prv_part_is(part, "tool_call")) {
			prv_json arguments = prv_json_get(part, "arguments");
			open_block(b, PRV_ROLE_ASSISTANT, "{\"type\":\"tool_use\",\"id\":");
			prv_history_id(b->out, prv_json_get(part, "id"), PRV_ID_LONG);
			prv_text_z(b->out, ",\"name\":");
			prv_json_copy(b->out, prv_json_get(part, "name"));
			prv_text_z(b->out, ",\"input\":");
			if (prv_json_kind(arguments) == PRV_JSON_OBJECT)
				prv_json_copy(b->out, arguments);
			else
				prv_text_z(b->out, "{}");
			close_block(b);
			calls = true;
		} else if (prv_part_is(part, "image")) {
			continue;
		} else if (prv_json_full(prv_part_text(part))) {
			add_part(b, PRV_ROLE_ASSISTANT, part);
		} else {
			add_thinking(b, part);
		}
	}
	for (at = 0; calls && prv_history_part(content, &at, &part);)
		if (prv_part_is(part, "tool_call"))
			add_result(b, index, part);
}

static void say(builder *b, const char *text)
{
	open_block(b, PRV_ROLE_USER, "{\"type\":\"text\",\"text\":");
	prv_text_json(b->out, oc_str_of(text));
	close_block(b);
}

static void add_messages(builder *b)
{
	prv_text_z(b->out, ",\"messages\":[");
	for (size_t i = 0; i < b->h.n; i++) {
		prv_json content = prv_history_content(&b->h, i);
		int role = prv_history_role(&b->h, i);
		if (role == PRV_ROLE_USER || role == PRV_ROLE_SYSTEM) {
			add_user(b, content);
		} else if (role == PRV_ROLE_ASSISTANT) {
			if (b->role == 0)
				say(b, "(the conversation goes on)"); /* the user has to speak first */
			add_assistant(b, i, content);
		}
	}
	if (b->role != PRV_ROLE_USER)
		say(b, b->role == 0 ? "(no message)" : "Go on."); /* and last: answers cannot be begun for the model */
	prv_text_z(b->out, "]}]");
}

/* ---- Prompt caching ---- */

static void cache_mark(const builder *b, const ant_options *options, char *mark, size_t size)
{
	mark[0] = 0;
	if (options->cache_ttl == NULL || (b->quirks & ANT_NO_CACHE) != 0)
		return;
	prv_text t;
	prv_text_init(&t, size - 1);
	prv_text_z(&t, ",\"cache_control\":{\"type\":\"ephemeral\"");
	if (strcmp(options->cache_ttl, "5m") != 0)
		prv_text_printf(&t, ",\"ttl\":\"%s\"", options->cache_ttl);
	prv_text_char(&t, '}');
	if (!t.failed)
		memcpy(mark, t.p, t.n + 1);
	prv_text_free(&t);
}

static void add_system(builder *b, prv_json system, const char *mark)
{
	if (!prv_json_full(system) || blank(system))
		return;
	prv_text_z(b->out, ",\"system\":[{\"type\":\"text\",\"text\":");
	prv_json_copy(b->out, system);
	prv_text_z(b->out, mark);
	prv_text_z(b->out, "}]");
}

static bool add_tools(builder *b, prv_json tools, const char *mark)
{
	prv_json key, tool;
	size_t at = 0;
	bool first = true;
	while (prv_json_next(tools, &at, &key, &tool)) {
		prv_json parameters = prv_json_get(tool, "parameters"), description = prv_json_get(tool, "description");
		prv_text_z(b->out, first ? ",\"tools\":[{\"name\":" : "},{\"name\":");
		prv_json_copy(b->out, prv_json_get(tool, "name"));
		if (prv_json_full(description)) {
			prv_text_z(b->out, ",\"description\":");
			prv_json_copy(b->out, description);
		}
		prv_text_z(b->out, ",\"input_schema\":");
		if (prv_json_kind(parameters) == PRV_JSON_OBJECT)
			prv_json_raw(b->out, parameters);
		else
			prv_text_z(b->out, "{\"type\":\"object\",\"properties\":{}}");
		first = false;
	}
	if (!first) {
		prv_text_z(b->out, mark);
		prv_text_z(b->out, "}]");
	}
	return !first;
}

/* ---- Thinking and limits ---- */

typedef struct plan {
	bool budget, adaptive, disabled;
	int64_t budget_tokens, max_tokens;
	const char *effort; /* NULL: the model's own */
} plan;

/* With a budget, an answer in the middle of tool calls has to begin with the thinking that led to them. */
static bool budget_possible(const builder *b)
{
	size_t last = b->h.n;
	for (size_t i = b->h.n; i > 0 && last == b->h.n; i--) {
		int role = prv_history_role(&b->h, i - 1);
		if (role == PRV_ROLE_USER)
			return true;
		if (role == PRV_ROLE_ASSISTANT)
			last = i - 1;
	}
	if (last == b->h.n)
		return true;
	prv_json part;
	size_t at = 0;
	while (prv_history_part(prv_history_content(&b->h, last), &at, &part))
		if (keeps_block(b, part))
			return true;
	return false;
}

static const char *effort_of(prv_json level, const model_traits *t)
{
	if (prv_json_is(level, "minimal") || prv_json_is(level, "low"))
		return "low";
	if (prv_json_is(level, "xhigh"))
		return t->version >= 407 ? "xhigh" : "high";
	return prv_json_is(level, "high") ? "high" : prv_json_is(level, "max") ? "max" : "medium";
}

static int64_t budget_of(prv_json level)
{
	return prv_json_is(level, "minimal")				  ? 1024
	       : prv_json_is(level, "low")				  ? 2048
	       : prv_json_is(level, "high")				  ? 16384
	       : prv_json_is(level, "xhigh") || prv_json_is(level, "max") ? 32000
									  : 8192;
}

static plan plan_of(const builder *b, prv_json request, const model_traits *t)
{
	prv_json level = prv_json_get(request, "thinking");
	bool off = prv_json_is(level, "off") || prv_json_is(level, "none");
	int64_t asked = prv_json_i64(prv_json_get(request, "maxTokens"), 0);
	plan p = {.max_tokens = asked > 0 ? asked : t->default_tokens};
	if (!prv_json_full(level)) {
		/* The model's own way; where that is to think, ask to see it. */
		p.adaptive = t->version >= 500 && t->adaptive && (b->quirks & ANT_NO_THINKING) == 0;
	} else if (off) {
		p.disabled = t->version >= 500 && !t->always_on && (b->quirks & ANT_NO_THINKING) == 0;
		p.effort = t->always_on ? "low" : NULL;
	} else if (t->adaptive) {
		p.adaptive = (b->quirks & ANT_NO_THINKING) == 0;
		p.effort = effort_of(level, t);
	} else if ((b->quirks & ANT_NO_THINKING) == 0 && (t->version == 0 || t->version >= 307) && budget_possible(b)) {
		p.budget = true;
		p.budget_tokens = budget_of(level);
		p.max_tokens += p.budget_tokens; /* the limit covers both; what was asked for is for the answer */
	}
	if (p.max_tokens > t->most_tokens)
		p.max_tokens = t->most_tokens;
	/* At least 1,024 for either, or there is no point. */
	if (p.budget && p.budget_tokens > p.max_tokens - 1024)
		p.budget_tokens = p.max_tokens - 1024;
	if (p.budget && p.budget_tokens < 1024)
		p.budget = false;
	if ((b->quirks & ANT_NO_EFFORT) != 0)
		p.effort = NULL;
	return p;
}

static void add_parameters(builder *b, prv_json request, const model_traits *t, const plan *p)
{
	prv_json temperature = prv_json_get(request, "temperature"), stop = prv_json_get(request, "stop");
	prv_json user = prv_json_get(request, "user");
	prv_text_printf(b->out, ",\"max_tokens\":%lld", (long long)p->max_tokens);
	if (p->budget)
		prv_text_printf(b->out, ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":%lld}",
				(long long)p->budget_tokens);
	else if (p->adaptive)
		/* Newer models keep the text of their thinking back unless asked for a summary. */
		prv_text_printf(b->out, ",\"thinking\":{\"type\":\"adaptive\"%s}",
				t->version >= 407 && (b->quirks & ANT_NO_DISPLAY) == 0 ? ",\"display\":\"summarized\""
										       : "");
	else if (p->disabled)
		prv_text_z(b->out, ",\"thinking\":{\"type\":\"disabled\"}");
	if (p->effort != NULL)
		prv_text_printf(b->out, ",\"output_config\":{\"effort\":\"%s\"}", p->effort);
	if (prv_json_kind(temperature) == PRV_JSON_NUMBER && !p->budget && !p->adaptive && !t->fixed_sampling
	    && (b->quirks & ANT_NO_TEMPERATURE) == 0) {
		prv_text_z(b->out, ",\"temperature\":");
		prv_json_copy(b->out, temperature);
	}
	if (prv_json_at(stop, 0).n > 0) {
		prv_text_z(b->out, ",\"stop_sequences\":");
		prv_json_copy(b->out, stop);
	}
	if (prv_json_full(user) && (b->quirks & ANT_NO_USER) == 0) {
		prv_text_z(b->out, ",\"metadata\":{\"user_id\":");
		prv_json_copy(b->out, user);
		prv_text_char(b->out, '}');
	}
}

bool ant_request_build(prv_json request, const prv_endpoint *e, const prv_quirks *quirks, const ant_options *options,
		       prv_text *out, const char **ret_beta, prv_fault *why)
{
	builder b = {.out = out, .e = e, .quirks = quirks->bits};
	model_traits t = traits_of(e->model, quirks);
	char mark[96];
	if (e->model[0] == 0 || prv_json_kind(prv_json_get(request, "messages")) != PRV_JSON_ARRAY) {
		prv_fault_set(why, OC_E_INVALID, "the request names no model or has no messages");
		return false;
	}
	if (!prv_history_load(prv_json_get(request, "messages"), &b.h)) {
		prv_fault_set(why, OC_E_NOMEM, "out of memory");
		return false;
	}
	cache_mark(&b, options, mark, sizeof(mark));
	prv_text_z(out, "{\"model\":");
	prv_text_json(out, oc_str_of(e->model));
	add_system(&b, prv_json_get(request, "system"), mark);
	bool tools = add_tools(&b, prv_json_get(request, "tools"), mark);
	add_messages(&b);
	/* The later place first: the other one stays where it is. */
	for (size_t i = 0; i < 2 && mark[0] != 0; i++)
		if (b.user_end[i] > 0)
			prv_text_insert(out, b.user_end[i], mark);
	plan p = plan_of(&b, request, &t);
	add_parameters(&b, request, &t, &p);
	prv_text_z(out, ",\"stream\":true}");
	prv_history_free(&b.h);
	if (out->failed) {
		prv_fault_set(why, OC_E_LIMIT, "the request is larger than %zu MiB", out->max >> 20);
		return false;
	}
	/* Thinking between tool calls: adaptive models do it by themselves, the 4.0 to 4.5 ones when asked. */
	*ret_beta = p.budget && tools && t.version >= 400 && t.version < 406 ? "interleaved-thinking-2025-05-14" : NULL;
	return true;
}

/* ---- Learning ---- */

static const char *learn(prv_quirks *quirks, unsigned bit, const char *text)
{
	if ((quirks->bits & bit) != 0)
		return NULL;
	quirks->bits |= bit;
	return text;
}

static const char *learn_thinking(const prv_fault *fault, prv_quirks *quirks)
{
	if (prv_quirk_names(fault, "thinking.type.disabled") || prv_quirk_names(fault, "disabled"))
		return learn(quirks, ANT_NO_DISABLED, "cannot turn thinking off");
	if (prv_quirk_names(fault, "display"))
		return learn(quirks, ANT_NO_DISPLAY, "takes no thinking.display");
	bool enabled = prv_quirk_names(fault, "thinking.type.enabled") || prv_quirk_names(fault, "budget_tokens");
	if (enabled && (quirks->bits & ANT_BUDGET) == 0)
		return learn(quirks, ANT_ADAPTIVE, "wants adaptive thinking");
	if (prv_quirk_names(fault, "adaptive") && (quirks->bits & ANT_ADAPTIVE) == 0)
		return learn(quirks, ANT_BUDGET, "wants a thinking budget");
	return learn(quirks, ANT_NO_THINKING, "takes no thinking setting");
}

const char *ant_request_learn(const prv_fault *fault, prv_quirks *quirks)
{
	if (fault->http != 400 && fault->http != 422)
		return NULL;
	int64_t limit = prv_quirk_limit(fault);
	if (limit > 0 && fault->status == OC_E_INVALID && (quirks->max_tokens == 0 || limit < quirks->max_tokens)) {
		quirks->max_tokens = limit;
		return "takes fewer output tokens";
	}
	/* Blocks of another account, of another model, or cut out of their place. */
	if (prv_quirk_names(fault, "signature")
	    || (prv_quirk_names(fault, "thinking") && prv_quirk_names(fault, "block"))
	    || prv_quirk_names(fault, "redacted_thinking"))
		return learn(quirks, ANT_DROP_BLOCKS, "does not take these thinking blocks back");
	if (!prv_quirk_refusal(fault))
		return NULL;
	if (prv_quirk_names(fault, "thinking"))
		return learn_thinking(fault, quirks);
	if (prv_quirk_names(fault, "effort") || prv_quirk_names(fault, "output_config"))
		return learn(quirks, ANT_NO_EFFORT, "takes no effort");
	if (prv_quirk_names(fault, "temperature"))
		return learn(quirks, ANT_NO_TEMPERATURE, "takes no temperature");
	if (prv_quirk_names(fault, "cache_control"))
		return learn(quirks, ANT_NO_CACHE, "takes no cache_control");
	if (prv_quirk_names(fault, "image"))
		return learn(quirks, ANT_NO_IMAGES, "takes no images; they are left out");
	if (prv_quirk_names(fault, "metadata"))
		return learn(quirks, ANT_NO_USER, "takes no metadata");
	return NULL;
}
