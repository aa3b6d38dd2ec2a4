/* The tool "process": what can be done with commands in the background. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "exec.h"
#include "keys.h"

#define POLL_MAX_MS 120000
#define POLL_SHOWN 30000
#define LOG_LINES 200
#define LOG_SHOWN ((size_t)100000)

typedef struct request {
	ex_inst *inst;
	oc_call *call;
	const cJSON *args;
	const char *session;
	ex_job *job; /* of the actions that need one */
} request;

static void answer(const request *r, bool is_error, const char *text)
{
	tk_done(r->inst->host, r->call, oc_str_of(text), is_error, NULL);
}

static const char *state_of(const ex_job *job)
{
	return job->ended_ms == 0 ? "running" : ex_job_failed(job) ? "failed" : "completed";
}

/* ---- Looking ---- */

static void do_list(const request *r)
{
	uint64_t now = r->inst->host->now_ms(r->inst->self);
	cJSON *details = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(details, "sessions");
	tk_text out;

	tk_text_init(&out, 64 * 1024);
	for (const ex_job *j = r->inst->jobs; j != NULL; j = j->next) {
		uint64_t end = j->ended_ms != 0 ? j->ended_ms : now;
		cJSON *item;

		if (!j->background || j->dropped || strcmp(j->session, r->session) != 0)
			continue;
		item = ex_job_details(j, state_of(j));
		tk_text_printf(&out, "%s  %s  %llus  %.120s\n", j->id, state_of(j), (unsigned long long)((end - j->started_ms) / 1000),
			       j->command);
		if (item != NULL) {
			(void)cJSON_AddStringToObject(item, "command", j->command);
			(void)cJSON_AddItemToArray(list, item);
		}
	}
	if (out.n == 0)
		tk_text_z(&out, "No commands run in the background, and none ended lately.");
	tk_done(r->inst->host, r->call, tk_text_view(&out), false, details);
	tk_text_free(&out);
}

void ex_answer_poll(ex_job *job)
{
	const oc_host_api *host = job->inst->host;
	oc_call *call = job->poll;
	uint64_t from = job->polled;
	char words[700];
	tk_text out;

	host->unwatch(job->poll_timer);
	job->poll = NULL;
	job->poll_timer = NULL;
	tk_text_init(&out, EX_OUTPUT_MAX + 4096);
	if (job->log.total - from > POLL_SHOWN) {
		from = job->log.total - POLL_SHOWN;
		tk_text_printf(&out, "[… %llu bytes before; see action log …]\n", (unsigned long long)(from - job->polled));
	}
	if (job->log.total == job->polled)
		tk_text_z(&out, "(no new output)");
	else
		ex_tail_read(&job->log, from, &out);
	job->polled = job->log.total;
	(void)ex_job_words(job, words, sizeof(words));
	tk_text_printf(&out, "\n\n%s", words[0] != 0 ? words : "The command ended with exit code 0.");
	tk_done(host, call, tk_text_view(&out), job->ended_ms != 0 && ex_job_failed(job), ex_job_details(job, state_of(job)));
	tk_text_free(&out);
}

static void on_poll_timer(void *arg)
{
	ex_answer_poll(arg);
}

static void do_poll(const request *r)
{
	int64_t wait = tk_int(r->args, "timeout", 0, 0, POLL_MAX_MS);

	if (r->job->poll != NULL) {
		answer(r, true, "This session is being waited for by another poll.");
		return;
	}
	r->job->poll = r->call;
	if (r->job->ended_ms == 0 && wait > 0)
		r->job->poll_timer = r->inst->host->timer(r->inst->self, (uint64_t)wait, 0, on_poll_timer, r->job);
	if (r->job->poll_timer == NULL)
		ex_answer_poll(r->job);
}

static void do_log(const request *r)
{
	int64_t limit = tk_int(r->args, "limit", LOG_LINES, 1, 100000), lines = 0;
	int64_t offset = tk_int(r->args, "offset", -limit, -1000000000, 1000000000);
	cJSON *details = ex_job_details(r->job, state_of(r->job));
	tk_text out;

	tk_text_init(&out, EX_OUTPUT_MAX + 4096);
	ex_tail_lines(&r->job->log, offset, limit, &out, &lines);
	if (out.n > LOG_SHOWN) {
		tk_text_cut(&out, tk_utf8_cut(out.p, out.n, LOG_SHOWN));
		tk_text_z(&out, "\n[… cut; ask for fewer lines …]");
	}
	if (out.n == 0)
		tk_text_z(&out, lines == 0 ? "(no output)" : "(no lines there)");
	if (details != NULL)
		(void)cJSON_AddNumberToObject(details, "totalLines", (double)lines);
	r->job->polled = r->job->log.total;
	tk_done(r->inst->host, r->call, tk_text_view(&out), false, details);
	tk_text_free(&out);
}

/* ---- Typing ---- */

static void send_input(const request *r, oc_str data, bool end)
{
	oc_status st;

	if (r->job->process == NULL) {
		answer(r, true, "The command has ended already.");
		return;
	}
	if (!r->job->has_stdin) {
		answer(r, true, "This command was started without input. Start it with \"background\": true or \"pty\": true to write to it.");
		return;
	}
	st = data.n > 0 ? r->inst->processes->write(r->job->process, data) : OC_OK;
	if (st != OC_OK && st != OC_E_BUSY) {
		answer(r, true, st == OC_E_LIMIT ? "The command does not read what was written before."
						 : "The command does not take input any more.");
		return;
	}
	if (end)
		r->inst->processes->close_stdin(r->job->process);
	tk_done_printf(r->inst->host, r->call, false, "%zu bytes written to session %s%s.", data.n, r->job->id,
		       end ? ", and its input closed" : "");
}

static void do_write(const request *r)
{
	send_input(r, oc_str_of(tk_str(r->args, "data", "")), tk_bool(r->args, "eof", false));
}

static void do_send_keys(const request *r)
{
	const cJSON *item;
	const char *bad = NULL;
	tk_text out;

	tk_text_init(&out, 64 * 1024);
	tk_text_z(&out, tk_str(r->args, "literal", ""));
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(r->args, "hex"))
	{
		if (!cJSON_IsString(item) || !ex_keys_hex(item->valuestring, &out))
			bad = cJSON_IsString(item) ? item->valuestring : "?";
	}
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(r->args, "keys"))
	{
		if (!cJSON_IsString(item) || !ex_keys_add(item->valuestring, &out))
			bad = cJSON_IsString(item) ? item->valuestring : "?";
	}
	if (bad != NULL)
		tk_done_printf(r->inst->host, r->call, true, "There is no key \"%s\".", bad);
	else if (out.n == 0)
		answer(r, true, "Give \"keys\", \"hex\" or \"literal\".");
	else
		send_input(r, tk_text_view(&out), false);
	tk_text_free(&out);
}

static void do_submit(const request *r)
{
	send_input(r, r->job->pty ? OC_STR("\r") : OC_STR("\n"), false);
}

static void do_paste(const request *r)
{
	bool brackets = tk_bool(r->args, "bracketed", true) && r->job->pty;
	tk_text out;

	tk_text_init(&out, 1024 * 1024);
	tk_text_printf(&out, "%s%s%s", brackets ? "\x1b[200~" : "", tk_str(r->args, "text", ""), brackets ? "\x1b[201~" : "");
	if (out.failed || tk_str(r->args, "text", "")[0] == 0)
		answer(r, true, "Give the \"text\" to paste, at most 1 MiB.");
	else
		send_input(r, tk_text_view(&out), false);
	tk_text_free(&out);
}

/* ---- Ending ---- */

static void do_kill(const request *r)
{
	if (r->job->process == NULL) {
		answer(r, true, "The command has ended already.");
		return;
	}
	ex_job_kill(r->job, SIGTERM);
	tk_done_printf(r->inst->host, r->call, false, "Session %s was told to end; what is left of it after five seconds is killed.",
		       r->job->id);
}

static void do_clear(const request *r)
{
	if (r->job->process != NULL) {
		answer(r, true, "The command is still running; use remove to end and forget it.");
		return;
	}
	ex_job_drop(r->job);
	answer(r, false, "Forgotten.");
}

static void do_remove(const request *r)
{
	bool running = r->job->process != NULL;

	ex_job_drop(r->job);
	answer(r, false, running ? "Ended and forgotten." : "Forgotten.");
}

void ex_process(ex_inst *inst, oc_call *call, const cJSON *args, const cJSON *context)
{
	static const struct {
		const char *name;
		void (*fn)(const request *r);
	} actions[] = {{"poll", do_poll},     {"log", do_log},     {"write", do_write}, {"send-keys", do_send_keys},
		       {"submit", do_submit}, {"paste", do_paste}, {"kill", do_kill},   {"clear", do_clear},
		       {"remove", do_remove}};
	const char *action = tk_str(args, "action", ""), *id = tk_str(args, "sessionId", "");
	request r = {.inst = inst, .call = call, .args = args, .session = tk_str(context, "session", "")};

	if (strcmp(action, "list") == 0) {
		do_list(&r);
		return;
	}
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		if (strcmp(actions[i].name, action) != 0)
			continue;
		r.job = ex_job_find(inst, r.session, id);
		if (r.job == NULL && id[0] == 0)
			tk_done_printf(inst->host, call, true, "The action \"%s\" needs a \"sessionId\"; see the action list.", action);
		else if (r.job == NULL)
			tk_done_printf(inst->host, call, true, "There is no background session \"%.40s\"; see the action list.", id);
		else
			actions[i].fn(&r);
		return;
	}
	tk_done_printf(inst->host, call, true,
		       "There is no action \"%.40s\": use list, poll, log, write, send-keys, submit, paste, kill, clear or remove.",
		       action);
}
