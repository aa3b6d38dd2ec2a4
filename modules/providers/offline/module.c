/* The offline provider: plays scripts (script.h) to the host, word by word. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openclaw/module.h>

#include "hashing.h"
#include "script.h"

OC_MODULE_MANIFEST("module.json");

enum {
	WORDS_AT_ONCE = 256, /* without a delay, before the loop gets a turn */
	BUSY_MS = 10
};

typedef struct play play;
typedef struct job job;

typedef struct instance {
	const oc_host_api *host;
	oc_self *self;
	uint32_t word_delay_ms;
	play *plays;
	job *jobs;
} instance;

/* Vectors being made in the pool. */
struct job {
	job *next;
	instance *inst;
	oc_call *call; /* NULL once completed */
	char *text;    /* the request */
	prv_json request;
	prv_text out;
	const char *why; /* NULL: it worked */
};

struct play {
	play *next;
	instance *inst;
	oc_call *call;
	oc_watch *timer;
	off_script script;
	size_t step, at; /* the step that is played, and the byte it is at */
	int64_t output_tokens;
	char model[160];
};

static void play_free(play *p)
{
	for (play **at = &p->inst->plays; *at != NULL; at = &(*at)->next)
		if (*at == p) {
			*at = p->next;
			break;
		}
	if (p->timer != NULL)
		p->inst->host->unwatch(p->timer);
	off_script_free(&p->script);
	free(p);
}

static void finish(play *p, oc_status status, oc_str result)
{
	p->inst->host->call_done(p->call, status, result);
	play_free(p);
}

/* The next word with the white space before it. */
static oc_str next_word(oc_str text, size_t at)
{
	size_t end = at;
	while (end < text.n && (unsigned char)text.p[end] <= ' ')
		end++;
	while (end < text.n && (unsigned char)text.p[end] > ' ')
		end++;
	return prv_str_sub(text, at, end - at);
}

/* Hands on a piece of the script; strings that cross to the host end with a NUL. */
static oc_status hand(play *p, uint32_t type, oc_str piece)
{
	prv_text copy;
	prv_text_init(&copy, OFF_MAX_TEXT);
	prv_text_str(&copy, piece);
	oc_status status = copy.failed ? OC_E_NOMEM : p->inst->host->call_event(p->call, type, prv_text_view(&copy));
	prv_text_free(&copy);
	return status;
}

static void fail(play *p, const off_step *step)
{
	prv_text out;
	prv_text_init(&out, 1024);
	prv_text_z(&out, "{\"message\":");
	prv_text_json(&out, prv_text_view(&step->text));
	if (step->retry_ms > 0)
		prv_text_printf(&out, ",\"retryAfterMs\":%u", step->retry_ms);
	prv_text_char(&out, '}');
	finish(p, step->status, prv_text_view(&out));
	prv_text_free(&out);
}

static void end(play *p)
{
	prv_text out;
	prv_text_init(&out, 1024);
	prv_text_printf(&out, "{\"input\":%lld,\"output\":%lld,\"cacheRead\":0,\"cacheWrite\":0}",
			(long long)p->script.input_tokens, (long long)p->output_tokens);
	p->inst->host->call_event(p->call, OC_EV_USAGE, prv_text_view(&out));
	prv_text_clear(&out);
	prv_text_printf(&out, "{\"stopReason\":\"%s\",\"model\":", p->script.calls ? "tool_use" : "stop");
	prv_text_json(&out, oc_str_of(p->model));
	prv_text_char(&out, '}');
	finish(p, OC_OK, prv_text_view(&out));
	prv_text_free(&out);
}

static void go_on(void *arg);

static void wait_ms(play *p, uint32_t ms)
{
	p->timer = p->inst->host->timer(p->inst->self, ms, 0, go_on, p);
	if (p->timer == NULL)
		finish(p, OC_E_NOMEM, OC_STR("out of memory"));
}

/* Plays one word or one call; false when the loop should get a turn first (a timer runs), or the call is over. */
static bool play_some(play *p)
{
	const oc_host_api *host = p->inst->host;
	const off_step *step = &p->script.steps[p->step];
	oc_str text = prv_text_view(&step->text);
	uint32_t delay = step->delay_ms == OFF_UNSET ? p->inst->word_delay_ms : step->delay_ms;
	oc_status status = OC_OK;
	if (step->kind == OFF_ERROR) {
		fail(p, step);
		return false;
	}
	p->output_tokens++;
	if (step->kind == OFF_CALL) {
		status = host->call_event(p->call, OC_EV_TOOL_CALL, text);
		p->step++;
	} else {
		oc_str word = next_word(text, p->at);
		if (word.n > 0)
			status = hand(p, step->kind == OFF_THINK ? OC_EV_THINKING : OC_EV_TEXT, word);
		p->at += word.n;
		if (p->at >= text.n) {
			p->step++;
			p->at = 0;
			delay = 0;
		}
	}
	if (status == OC_E_BUSY && delay < BUSY_MS)
		delay = BUSY_MS;
	if (delay > 0)
		wait_ms(p, delay);
	return delay == 0;
}

static void go_on(void *arg)
{
	play *p = arg;
	if (p->timer != NULL)
		p->inst->host->unwatch(p->timer);
	p->timer = NULL;
	for (int words = 0; words < WORDS_AT_ONCE; words++) {
		if (p->step >= p->script.n) {
			end(p);
			return;
		}
		if (!play_some(p))
			return;
	}
	wait_ms(p, 0);
}

static void chat(void *arg, oc_call *call, oc_str request)
{
	instance *inst = arg;
	prv_json doc;
	if (!prv_json_parse(request.p, request.n, &doc)
	    || prv_json_kind(prv_json_get(doc, "messages")) != PRV_JSON_ARRAY) {
		inst->host->call_done(call, OC_E_INVALID, OC_STR("offline: the request is no JSON or has no messages"));
		return;
	}
	play *p = calloc(1, sizeof(*p));
	if (p == NULL || !off_script_make(doc, &p->script)) {
		free(p);
		inst->host->call_done(call, OC_E_NOMEM, OC_STR("offline: out of memory"));
		return;
	}
	char *model = prv_json_dup(prv_json_get(doc, "model"));
	snprintf(p->model, sizeof(p->model), "%s", model != NULL && model[0] != 0 ? model : "echo");
	free(model);
	p->inst = inst;
	p->call = call;
	p->next = inst->plays;
	inst->plays = p;
	wait_ms(p, 0);
}

static void models(void *arg, oc_call *call, oc_str request)
{
	instance *inst = arg;
	(void)request;
	inst->host->call_done(
		call, OC_OK,
		OC_STR("{\"models\":[{\"id\":\"echo\",\"name\":\"Offline\",\"contextWindow\":200000},"
		       "{\"id\":\"steady\",\"name\":\"Offline, never failing\",\"contextWindow\":200000}]}"));
}

static void job_free(job *j)
{
	for (job **at = &j->inst->jobs; *at != NULL; at = &(*at)->next)
		if (*at == j) {
			*at = j->next;
			break;
		}
	prv_text_free(&j->out);
	free(j->text);
	free(j);
}

static void job_end(job *j, oc_status status, oc_str result)
{
	oc_call *call = j->call;
	j->call = NULL;
	if (call != NULL)
		j->inst->host->call_done(call, status, result);
}

/* In the pool: touches the job alone, and of it nothing that the loop thread touches meanwhile. */
static void job_run(void *arg)
{
	job *j = arg;
	const char *why;
	if (!off_hashing_answer(j->request, &j->out, &why))
		j->why = why;
}

static void job_over(void *arg, oc_status status)
{
	job *j = arg;
	if (status != OC_OK)
		job_end(j, status, OC_STR("offline: canceled"));
	else if (j->why != NULL)
		job_end(j, OC_E_INVALID, oc_str_of(j->why));
	else
		job_end(j, OC_OK, prv_text_view(&j->out));
	job_free(j);
}

static void embed(void *arg, oc_call *call, oc_str request)
{
	instance *inst = arg;
	const oc_host_api *host = inst->host;
	job *j = calloc(1, sizeof(*j));
	char *text = malloc(request.n + 1);
	if (j == NULL || text == NULL) {
		free(j);
		free(text);
		host->call_done(call, OC_E_NOMEM, OC_STR("offline: out of memory"));
		return;
	}
	memcpy(text, request.p, request.n);
	text[request.n] = 0;
	*j = (job){.next = inst->jobs, .inst = inst, .call = call, .text = text};
	inst->jobs = j;
	prv_text_init(&j->out, 1024);
	oc_status status = OC_E_INVALID;
	if (prv_json_parse(text, request.n, &j->request))
		status = host->work(inst->self, job_run, job_over, j);
	if (status != OC_OK) {
		job_end(j, status, OC_STR("offline: the request is no JSON, or no thread is free"));
		job_free(j);
	}
}

static void cancel(void *arg, oc_call *call)
{
	instance *inst = arg;
	for (job *j = inst->jobs; j != NULL; j = j->next)
		if (j->call == call) {
			job_end(j, OC_E_CANCELED, OC_STR("canceled"));
			return;
		}
	for (play *p = inst->plays; p != NULL; p = p->next)
		if (p->call == call) {
			finish(p, OC_E_CANCELED, OC_STR("canceled"));
			return;
		}
}

static bool read_config(oc_str text, uint32_t *ret_delay)
{
	prv_json doc = {"", 0};
	if (text.n > 0 && !prv_json_parse(text.p, text.n, &doc))
		return false;
	int64_t delay = prv_json_i64(prv_json_get(doc, "wordDelayMs"), 0);
	if (delay < 0 || delay > OFF_MAX_DELAY_MS)
		return false;
	*ret_delay = (uint32_t)delay;
	return true;
}

static oc_status init(const oc_host_api *host, oc_self *self, oc_str config, void **ret_inst)
{
	instance *inst = calloc(1, sizeof(*inst));
	if (inst == NULL)
		return OC_E_NOMEM;
	inst->host = host;
	inst->self = self;
	if (!read_config(config, &inst->word_delay_ms)) {
		host->log(self, OC_LOG_ERROR, OC_STR("wordDelayMs must be 0 to 60000"));
		free(inst);
		return OC_E_INVALID;
	}
	*ret_inst = inst;
	return OC_OK;
}

static void stop(void *arg, oc_call *call, uint64_t deadline_ms)
{
	instance *inst = arg;
	(void)deadline_ms;
	while (inst->plays != NULL)
		finish(inst->plays, OC_E_CANCELED, OC_STR("canceled"));
	for (job *j = inst->jobs; j != NULL; j = j->next)
		job_end(j, OC_E_CANCELED, OC_STR("canceled"));
	inst->host->call_done(call, OC_OK, OC_STR("{}"));
}

static void fini(void *arg)
{
	instance *inst = arg;
	while (inst->plays != NULL)
		finish(inst->plays, OC_E_CANCELED, OC_STR("canceled"));
	free(inst);
}

static oc_status reload(void *arg, oc_str config)
{
	instance *inst = arg;
	return read_config(config, &inst->word_delay_ms) ? OC_OK : OC_E_INVALID;
}

static const oc_provider_vtbl provider = {
	.struct_size = sizeof(provider),
	.chat = chat,
	.models = models,
	.cancel = cancel,
	.embed = embed,
};

static const oc_iface ifaces[] = {{OC_KIND_PROVIDER, 1, 0, "offline", &provider}};

static const oc_module_desc descriptor = {
	.magic = OC_MODULE_MAGIC,
	.struct_size = sizeof(descriptor),
	.abi_major = OC_ABI_MAJOR,
	.abi_minor = OC_ABI_MINOR,
	.name = "offline",
	.version = "0.1.0",
	.ifaces = ifaces,
	.n_ifaces = sizeof(ifaces) / sizeof(ifaces[0]),
	.init = init,
	.stop = stop,
	.fini = fini,
	.reload = reload,
};

OC_MODULE(&descriptor);
