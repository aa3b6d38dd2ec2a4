/* See script.h. */
#include "script.h"

#include <stdlib.h>
#include <string.h>

#include "prv_history.h"

#define OFF_HELP                                                                                                  \
	"I am the offline provider of OpenClaw: I follow these instructions, one a line, and reach no network.\n" \
	"/tool NAME {json} - call a tool and report its result; several lines call in parallel\n"                 \
	"/then - what follows comes after the results of the tools above\n"                                       \
	"/echo TEXT - say it\n"                                                                                   \
	"/repeat N TEXT - say it N times\n"                                                                       \
	"/slow N [50ms] - say N words, so far apart\n"                                                            \
	"/think TEXT - think it before answering\n"                                                               \
	"/error rate|auth|quota|context|invalid|unavailable|timeout|cut [5s] - fail like that\n"                  \
	"/system, /tools, /context - what the agent told me\n"                                                    \
	"/offline - this list"

typedef struct maker {
	off_script *script;
	prv_json request;
	prv_history h;
	size_t user;	/* index of the last message of the user */
	size_t answers; /* answers given since */
	bool steady;	/* does not fail when told to */
	unsigned calls;
} maker;

/* ---- Steps ---- */

static off_step *add_step(maker *m, int kind)
{
	if (m->script->n >= OFF_MAX_STEPS)
		return NULL;
	off_step *step = &m->script->steps[m->script->n++];
	*step = (off_step){.kind = kind, .delay_ms = OFF_UNSET};
	prv_text_init(&step->text, OFF_MAX_TEXT);
	return step;
}

/* The text step to go on writing in: texts of several instructions are paragraphs of one answer. */
static prv_text *paragraph(maker *m)
{
	off_script *s = m->script;
	if (s->n > 0 && s->steps[s->n - 1].kind == OFF_TEXT && s->steps[s->n - 1].delay_ms == OFF_UNSET) {
		prv_text_z(&s->steps[s->n - 1].text, "\n\n");
		return &s->steps[s->n - 1].text;
	}
	bool later = s->n > 0 && s->steps[s->n - 1].kind == OFF_TEXT;
	off_step *step = add_step(m, OFF_TEXT);
	if (step != NULL && later)
		prv_text_z(&step->text, "\n\n");
	return step != NULL ? &step->text : NULL;
}

static void say(maker *m, oc_str text)
{
	prv_text *t = paragraph(m);
	if (t != NULL)
		prv_text_str(t, text);
}

/* ---- Words of an instruction ---- */

static oc_str trim(oc_str s)
{
	while (s.n > 0 && (unsigned char)s.p[0] <= ' ')
		s = prv_str_sub(s, 1, s.n);
	while (s.n > 0 && (unsigned char)s.p[s.n - 1] <= ' ')
		s.n--;
	return s;
}

static oc_str take_word(oc_str *rest)
{
	*rest = trim(*rest);
	size_t n = 0;
	while (n < rest->n && (unsigned char)rest->p[n] > ' ')
		n++;
	oc_str word = prv_str_sub(*rest, 0, n);
	*rest = trim(prv_str_sub(*rest, n, rest->n));
	return word;
}

/* A whole number up to max; fallback when the word is none. */
static uint32_t number_of(oc_str word, uint32_t max, uint32_t fallback)
{
	uint64_t v = 0;
	if (word.n == 0 || word.n > 9)
		return fallback;
	for (size_t i = 0; i < word.n; i++) {
		if (word.p[i] < '0' || word.p[i] > '9')
			return fallback;
		v = v * 10 + (uint64_t)(word.p[i] - '0');
	}
	return v > max ? max : (uint32_t)v;
}

/* "50ms", "2s", "50"; in ms. */
static uint32_t delay_of(oc_str word, uint32_t fallback)
{
	if (prv_str_ends(word, "ms"))
		return number_of(prv_str_sub(word, 0, word.n - 2), OFF_MAX_DELAY_MS, fallback);
	if (prv_str_ends(word, "s")) {
		uint32_t s = number_of(prv_str_sub(word, 0, word.n - 1), OFF_MAX_DELAY_MS / 1000, OFF_UNSET);
		return s == OFF_UNSET ? fallback : s * 1000;
	}
	return number_of(word, OFF_MAX_DELAY_MS, fallback);
}

/* ---- Instructions ---- */

static void do_tool(maker *m, oc_str rest)
{
	oc_str name = take_word(&rest);
	prv_json arguments = {"{}", 2};
	if (name.n == 0) {
		say(m, OC_STR("/tool wants a name: /tool NAME {json}"));
		return;
	}
	if (rest.n > 0
	    && (!prv_json_parse(rest.p, rest.n, &arguments) || prv_json_kind(arguments) != PRV_JSON_OBJECT)) {
		prv_text *t = paragraph(m);
		if (t != NULL)
			prv_text_printf(t, "The arguments after /tool %.*s are no JSON object.",
					(int)(name.n < 80 ? name.n : 80), name.p);
		return;
	}
	off_step *step = add_step(m, OFF_CALL);
	if (step == NULL)
		return;
	/* Unique in the conversation and the same every time: by its place. */
	prv_text_printf(&step->text, "{\"id\":\"offline_%zu_%u\",\"name\":", m->h.n, m->calls++);
	prv_text_json(&step->text, name);
	prv_text_z(&step->text, ",\"arguments\":");
	prv_json_copy(&step->text, arguments);
	prv_text_char(&step->text, '}');
	m->script->calls = true;
}

static void do_repeat(maker *m, oc_str rest)
{
	uint32_t n = number_of(take_word(&rest), 100000, 1);
	prv_text *t = paragraph(m);
	for (uint32_t i = 0; t != NULL && i < n && t->n + rest.n + 1 < OFF_MAX_TEXT; i++) {
		prv_text_z(t, i > 0 ? " " : "");
		prv_text_str(t, rest);
	}
}

static void do_slow(maker *m, oc_str rest)
{
	uint32_t n = number_of(take_word(&rest), 100000, 10);
	uint32_t delay = delay_of(take_word(&rest), 100);
	off_step *step = add_step(m, OFF_TEXT);
	if (step == NULL)
		return;
	step->delay_ms = delay;
	for (uint32_t i = 1; i <= n; i++)
		prv_text_printf(&step->text, "%sword%u", i > 1 ? " " : "", i);
}

static void do_error(maker *m, oc_str rest)
{
	static const struct {
		const char *name;
		oc_status status;
		const char *text;
	} errors[] = {
		{"rate", OC_E_RATE_LIMIT, "too many requests for now, as asked for with /error rate"},
		{"auth", OC_E_AUTH, "the API key was not accepted, as asked for with /error auth"},
		{"quota", OC_E_QUOTA, "the credit is used up, as asked for with /error quota"},
		{"context", OC_E_CONTEXT,
		 "the conversation is too long for the model, as asked for with /error context"},
		{"invalid", OC_E_INVALID, "the request was refused, as asked for with /error invalid"},
		{"unavailable", OC_E_UNAVAILABLE,
		 "the service is not available for now, as asked for with /error unavailable"},
		{"timeout", OC_E_TIMEOUT, "no answer in time, as asked for with /error timeout"},
		{"cut", OC_E_RETRY, "the answer was cut off, as asked for with /error cut"},
	};
	oc_str name = take_word(&rest);
	size_t at = 0;
	while (at < sizeof(errors) / sizeof(errors[0]) && !prv_str_eq(name, errors[at].name))
		at++;
	if (at == sizeof(errors) / sizeof(errors[0])) {
		say(m, OC_STR("/error knows rate, auth, quota, context, invalid, unavailable, timeout and cut."));
		return;
	}
	if (m->steady) {
		say(m, OC_STR("The model offline/steady does not fail; this is its answer."));
		return;
	}
	if (errors[at].status == OC_E_RETRY)
		say(m, OC_STR("This answer breaks off in the middle of"));
	off_step *step = add_step(m, OFF_ERROR);
	if (step == NULL)
		return;
	step->status = errors[at].status;
	step->retry_ms = errors[at].status == OC_E_RATE_LIMIT ? delay_of(take_word(&rest), 1000) : 0;
	prv_text_z(&step->text, errors[at].text);
}

static void do_tools(maker *m)
{
	prv_json key, tool;
	size_t at = 0;
	prv_text *t = paragraph(m);
	bool any = false;
	while (t != NULL && prv_json_next(prv_json_get(m->request, "tools"), &at, &key, &tool)) {
		prv_text_z(t, any ? "\n- " : "Tools:\n- ");
		prv_json_text(t, prv_json_get(tool, "name"));
		any = true;
	}
	if (t != NULL && !any)
		prv_text_z(t, "I was given no tools.");
}

static void do_context(maker *m)
{
	size_t by_role[PRV_ROLE_SYSTEM + 1] = {0}, tools = 0, at = 0;
	prv_json key, tool;
	for (size_t i = 0; i < m->h.n; i++)
		by_role[prv_history_role(&m->h, i)]++;
	while (prv_json_next(prv_json_get(m->request, "tools"), &at, &key, &tool))
		tools++;
	prv_text *t = paragraph(m);
	if (t != NULL)
		prv_text_printf(
			t, "%zu messages (%zu user, %zu assistant, %zu tool), %zu tools, %zu bytes of system prompt.",
			m->h.n, by_role[PRV_ROLE_USER], by_role[PRV_ROLE_ASSISTANT], by_role[PRV_ROLE_TOOL], tools,
			prv_json_full(prv_json_get(m->request, "system")) ? prv_json_get(m->request, "system").n - 2
									  : 0);
}

static void do_think(maker *m, oc_str rest)
{
	off_step *step = add_step(m, OFF_THINK);
	if (step != NULL)
		prv_text_str(&step->text, rest);
}

static void do_system(maker *m)
{
	prv_text *t = paragraph(m);
	prv_json system = prv_json_get(m->request, "system");
	if (t != NULL && prv_json_full(system))
		prv_json_text(t, system);
	else if (t != NULL)
		prv_text_z(t, "I was given no system prompt.");
}

/* Follows one line; false when it is no instruction. */
static bool follow(maker *m, oc_str line)
{
	oc_str rest = line, word = take_word(&rest);
	if (prv_str_eq(word, "/tool"))
		do_tool(m, rest);
	else if (prv_str_eq(word, "/echo"))
		say(m, rest);
	else if (prv_str_eq(word, "/repeat"))
		do_repeat(m, rest);
	else if (prv_str_eq(word, "/slow"))
		do_slow(m, rest);
	else if (prv_str_eq(word, "/think"))
		do_think(m, rest);
	else if (prv_str_eq(word, "/error"))
		do_error(m, rest);
	else if (prv_str_eq(word, "/tools"))
		do_tools(m);
	else if (prv_str_eq(word, "/context"))
		do_context(m);
	else if (prv_str_eq(word, "/system"))
		do_system(m);
	else if (prv_str_eq(word, "/offline"))
		say(m, OC_STR(OFF_HELP));
	else
		return false;
	return true;
}

/* ---- The whole ---- */

/* The text parts of a content joined by line breaks; the number of images. */
static size_t read_content(prv_json content, prv_text *out)
{
	prv_json part;
	size_t at = 0, images = 0;
	while (prv_history_part(content, &at, &part)) {
		images += prv_part_is(part, "image") ? 1 : 0;
		if (!prv_json_full(prv_part_text(part)))
			continue;
		prv_text_z(out, out->n > 0 ? "\n" : "");
		prv_json_text(out, prv_part_text(part));
	}
	return images;
}

/* The results of the tools called since the last message of the user. */
static void report(maker *m)
{
	for (size_t i = m->user + 1; i < m->h.n; i++) {
		prv_json message = m->h.messages[i];
		if (prv_history_role(&m->h, i) != PRV_ROLE_TOOL)
			continue;
		prv_text *t = paragraph(m);
		if (t == NULL)
			return;
		prv_text_z(t, "The tool ");
		prv_json_text(t, prv_json_get(message, "name"));
		prv_text_z(t, prv_json_bool(prv_json_get(message, "isError"), false) ? " failed:\n" : " returned:\n");
		prv_text body;
		prv_text_init(&body, OFF_MAX_TEXT / 2);
		size_t images = read_content(prv_json_get(message, "content"), &body);
		prv_text_str(t, prv_text_view(&body));
		if (images > 0)
			prv_text_printf(t, "%s(%zu image%s)", body.n > 0 ? "\n" : "", images, images == 1 ? "" : "s");
		else if (body.n == 0)
			prv_text_z(t, "(nothing)");
		prv_text_free(&body);
	}
}

static void plain_answer(maker *m, oc_str message, size_t images)
{
	prv_text *t = paragraph(m);
	size_t n = message.n < 300 ? message.n : 300;
	while (n < message.n && n > 0 && ((unsigned char)message.p[n] & 0xc0) == 0x80)
		n--;
	if (t == NULL)
		return;
	prv_text_z(t, "This is OpenClaw's offline provider: no model is connected, so I cannot really answer. ");
	if (message.n > 0) {
		prv_text_z(t, "You wrote: \"");
		prv_text_str(t, prv_str_sub(message, 0, n));
		prv_text_z(t, n < message.n ? "...\"" : "\"");
		prv_text_char(t, images > 0 ? ' ' : '.');
	}
	if (images > 0)
		prv_text_printf(t, "with %zu image%s.", images, images == 1 ? "" : "s");
	prv_text_z(
		t,
		" To connect a model, set ANTHROPIC_API_KEY or OPENAI_API_KEY, or start Ollama, and run: openclaw onboard. "
		"To try tools and streaming without one, write /offline.");
}

/* A channel may put who wrote and when in brackets before the text. */
static oc_str without_envelope(oc_str text)
{
	text = trim(text);
	if (text.n == 0 || text.p[0] != '[')
		return text;
	const char *end = memchr(text.p, ']', text.n);
	const char *line = memchr(text.p, '\n', text.n);
	if (end == NULL || (line != NULL && line < end))
		return text;
	oc_str rest = trim(prv_str_sub(text, (size_t)(end - text.p) + 1, text.n));
	return rest.n > 0 && rest.p[0] == '/' ? rest : text;
}

/* Follows the lines of the round that is due. False: there was no instruction in the whole message. */
static bool follow_lines(maker *m, oc_str text)
{
	size_t round = 0, due = m->answers;
	bool any = false;
	while (text.n > 0) {
		const char *end = memchr(text.p, '\n', text.n);
		oc_str line = trim(prv_str_sub(text, 0, end != NULL ? (size_t)(end - text.p) : text.n));
		text = end != NULL ? prv_str_sub(text, (size_t)(end - text.p) + 1, text.n) : (oc_str){"", 0};
		if (prv_str_eq(line, "/then")) {
			round++;
			any = true;
		} else if (round == due) {
			any = follow(m, line) || any;
		} else {
			any = any || (line.n > 0 && line.p[0] == '/');
		}
	}
	return any;
}

/* A guess at the tokens read: the bytes of all texts, not of pictures. */
static int64_t tokens_of(const maker *m)
{
	size_t bytes = prv_json_get(m->request, "system").n + prv_json_get(m->request, "tools").n;
	prv_json part;
	for (size_t i = 0; i < m->h.n; i++) {
		size_t at = 0;
		while (prv_history_part(prv_history_content(&m->h, i), &at, &part))
			bytes += prv_part_is(part, "image") ? 0 : part.n;
	}
	return (int64_t)(bytes / 4 + 1);
}

static void make(maker *m)
{
	prv_text message;
	size_t images = 0;
	prv_text_init(&message, OFF_MAX_TEXT * 2);
	for (size_t i = 0; i < m->h.n; i++)
		if (prv_history_role(&m->h, i) == PRV_ROLE_USER)
			m->user = i;
	for (size_t i = m->user; i < m->h.n; i++)
		m->answers += prv_history_role(&m->h, i) == PRV_ROLE_ASSISTANT ? 1 : 0;
	if (m->h.n > 0)
		images = read_content(prv_history_content(&m->h, m->user), &message);
	oc_str text = without_envelope(prv_text_view(&message));
	/* What was done so far is told once no more tools are called; so the answer to this round comes first as a try. */
	bool any = follow_lines(m, text);
	if (!m->script->calls && m->answers > 0) {
		for (size_t i = 0; i < m->script->n; i++)
			prv_text_free(&m->script->steps[i].text);
		m->script->n = 0;
		report(m);
		any = follow_lines(m, text) || m->script->n > 0;
	}
	if (!any || m->script->n == 0)
		plain_answer(m, text, images);
	m->script->input_tokens = tokens_of(m);
	prv_text_free(&message);
}

bool off_script_make(prv_json request, off_script *ret)
{
	maker m = {.script = ret, .request = request, .steady = prv_json_is(prv_json_get(request, "model"), "steady")};
	*ret = (off_script){.steps = calloc(OFF_MAX_STEPS, sizeof(off_step))};
	if (ret->steps == NULL || !prv_history_load(prv_json_get(request, "messages"), &m.h)) {
		free(ret->steps);
		ret->steps = NULL;
		return false;
	}
	make(&m);
	prv_history_free(&m.h);
	return true;
}

void off_script_free(off_script *script)
{
	for (size_t i = 0; script->steps != NULL && i < script->n; i++)
		prv_text_free(&script->steps[i].text);
	free(script->steps);
	*script = (off_script){0};
}
