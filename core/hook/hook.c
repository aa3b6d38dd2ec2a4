/* Subscribers in order, and firing to them. */
#include "core/hook/hook.h"

#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/hook/internal.h"

enum { SUBS_MAX = 1000, TIMEOUT_MAX_MS = 600000 };

struct oc_hook_sub {
	oc_hook_sub *next; /* in order of running */
	oc_hooks *hooks;
	unsigned refs; /* the list's, and one for each firing under way */
	bool gone;
	oc_hook_id hook; /* as asked for, not canonical; OC_HOOK_NONE: a name nobody fires */
	char *name, *by;
	int32_t priority;
	uint32_t timeout_ms;
	bool chains; /* sees what earlier handlers changed */
	oc_ticket *ticket;
	oc_hook_fn fn;
	void (*cancel)(void *arg, oc_hook_turn *turn);
	void *arg;
	uint64_t runs, failed, timed_out;
	uint64_t ns, max_ns; /* until it answered, or was given up */
};

typedef struct hook_run hook_run;

struct oc_hook_turn {
	oc_hook_turn *next; /* among the late ones */
	oc_hook_turn *prev;
	hook_run *run; /* NULL: the firing went on without it */
	oc_hooks *hooks;
	oc_hook_sub *sub;
	oc_watch *timer;
	uint64_t began_ns;
	void *data;
};

struct hook_run {
	hook_run *next, *prev; /* hooks->runs */
	oc_hooks *hooks;
	oc_hook_id hook;
	const oc_hook_info *info;
	cJSON *payload;
	char *text, *chained_text; /* made when a subscriber asks */
	oc_hook_merge merge;
	oc_hook_sub **subs;    /* who was subscribed when it was fired; each referenced */
	oc_hook_turn **turns;  /* the open ones, by index of subs */
	uint64_t began_ns;
	size_t n, at, pending; /* at: the next to run */
	bool stepping, stopped;
	char *reason, *by;
	unsigned ran, failed, timed_out;
	oc_ticket *ticket;
	void (*done)(void *arg, const oc_hook_result *result);
	void *arg;
};

struct oc_hooks {
	oc_loop *loop;
	oc_owner *owner;
	oc_hook_sub *subs[OC_HOOK_COUNT]; /* by canonical id; [OC_HOOK_NONE]: unknown names */
	uint64_t fired[OC_HOOK_COUNT];
	size_t n_subs;
	hook_run *runs;
	oc_hook_turn *late; /* timed out, still owing their answer */
	oc_hist timing;
	uint64_t failures;
	void (*question)(void *arg);
	void *question_arg;
};

oc_status oc_hooks_new(oc_loop *loop, oc_hooks **ret, oc_err *err)
{
	oc_hooks *hooks = oc_alloc(sizeof(*hooks));

	if (hooks != NULL)
		hooks->owner = oc_owner_new(loop, "hooks");
	if (hooks == NULL || hooks->owner == NULL) {
		oc_free(hooks);
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for the hooks");
	}
	hooks->loop = loop;
	*ret = hooks;
	return OC_OK;
}

/* ---- Subscribing ---- */

static void sub_unref(oc_hook_sub *sub)
{
	if (--sub->refs > 0)
		return;
	oc_free(sub->name);
	oc_free(sub->by);
	oc_free(sub);
}

static void sub_swept(void *arg)
{
	oc_hook_sub *sub = arg;

	sub->ticket = NULL;
	oc_hooks_unsubscribe(sub);
}

static oc_hook_sub *sub_new(oc_hooks *hooks, const oc_hook_subscription *s)
{
	oc_hook_sub *sub = oc_alloc(sizeof(*sub));
	const oc_hook_info *info;

	if (sub == NULL)
		return NULL;
	sub->refs = 1;
	sub->hooks = hooks;
	sub->name = oc_strdup(s->hook);
	sub->by = oc_strdup(s->by != NULL ? s->by : "");
	if (s->owner != NULL)
		sub->ticket = oc_owner_track(s->owner, sub_swept, sub);
	if (sub->name == NULL || sub->by == NULL || (s->owner != NULL && sub->ticket == NULL)) {
		oc_owner_forget(sub->ticket);
		sub_unref(sub);
		return NULL;
	}
	sub->hook = oc_hook_by_name(oc_str_of(s->hook));
	info = oc_hook_info_of(sub->hook);
	sub->priority = s->priority;
	sub->timeout_ms = s->timeout_ms != 0 ? s->timeout_ms : info != NULL ? info->timeout_ms : 0;
	sub->chains = info != NULL && strchr(info->merge, '>') != NULL && oc_hook_canonical(sub->hook) == sub->hook;
	sub->fn = s->fn;
	sub->cancel = s->cancel;
	sub->arg = s->arg;
	return sub;
}

oc_status oc_hooks_subscribe(oc_hooks *hooks, const oc_hook_subscription *s, oc_hook_sub **ret, oc_err *err)
{
	oc_hook_sub *sub, **at;

	if (s->hook == NULL || s->hook[0] == '\0' || strlen(s->hook) > 100 || s->fn == NULL)
		return oc_fail(err, OC_E_INVALID, NULL, "a subscription needs the name of a hook and a function");
	if (s->timeout_ms > TIMEOUT_MAX_MS)
		return oc_fail(err, OC_E_INVALID, NULL, "a hook's timeout is at most %d ms", TIMEOUT_MAX_MS);
	if (hooks->n_subs >= SUBS_MAX)
		return oc_fail(err, OC_E_LIMIT, NULL, "more than %d subscriptions to hooks", SUBS_MAX);
	sub = sub_new(hooks, s);
	if (sub == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for a subscription to %s", s->hook);
	if (sub->hook == OC_HOOK_NONE)
		oc_warn("hook", "%s subscribes to \"%s\", which is no hook: it will never be called", sub->by, sub->name);
	for (at = &hooks->subs[oc_hook_canonical(sub->hook)]; *at != NULL && (*at)->priority >= sub->priority;)
		at = &(*at)->next;
	sub->next = *at;
	*at = sub;
	hooks->n_subs++;
	if (ret != NULL)
		*ret = sub;
	return OC_OK;
}

/* ---- Turns ---- */

static void step(hook_run *run);

static void late_remove(oc_hook_turn *turn)
{
	if (turn->prev != NULL)
		turn->prev->next = turn->next;
	else
		turn->hooks->late = turn->next;
	if (turn->next != NULL)
		turn->next->prev = turn->prev;
}

static void turn_free(oc_hook_turn *turn)
{
	oc_watch_end(turn->timer);
	sub_unref(turn->sub);
	oc_free(turn);
}

/* Takes the turn out of its firing. */
static void turn_detach(oc_hook_turn *turn)
{
	hook_run *run = turn->run;

	for (size_t i = 0; i < run->n; i++)
		if (run->turns[i] == turn)
			run->turns[i] = NULL;
	run->pending--;
	turn->run = NULL;
}

/* The subscriber's side of a turn that is no longer waited for. */
static void turn_give_up(oc_hook_turn *turn)
{
	oc_watch_end(turn->timer);
	turn->timer = NULL;
	if (turn->sub->cancel != NULL) {
		turn->sub->cancel(turn->sub->arg, turn);
		turn_free(turn);
		return;
	}
	turn->prev = NULL;
	turn->next = turn->hooks->late;
	if (turn->next != NULL)
		turn->next->prev = turn;
	turn->hooks->late = turn;
}

static void set_reason(hook_run *run, const oc_hook_sub *sub, const char *reason)
{
	oc_free(run->by);
	run->by = oc_strdup(sub->by);
	if (reason != NULL) {
		oc_free(run->reason);
		run->reason = oc_strdup(reason);
	}
}

/* A handler failed. With failure policy BLOCK nothing further is asked. */
static void note_failure(hook_run *run, oc_hook_sub *sub, oc_status status, const char *message)
{
	oc_auto_free char *reason = NULL;

	if (status == OC_E_TIMEOUT) {
		run->timed_out++;
		sub->timed_out++;
	}
	run->failed++;
	sub->failed++;
	oc_warn("hook", "the %s handler of %s failed: %s", sub->name, sub->by, message);
	if (run->info->failure != OC_HOOK_FAIL_BLOCK)
		return;
	reason = oc_asprintf("the %s handler of %s failed: %s", sub->name, sub->by, message);
	run->merge.blocked = true;
	run->stopped = true;
	set_reason(run, sub, reason);
}

static void note_result(hook_run *run, oc_hook_sub *sub, const cJSON *result)
{
	bool stop = false, chained = false, was_blocked = run->merge.blocked;

	if (result == NULL || run->info->kind == OC_HOOK_KIND_OBSERVE)
		return;
	if (oc_hook_merge_take(&run->merge, oc_hook_info_of(sub->hook)->merge, result, &stop, &chained) != OC_OK) {
		note_failure(run, sub, OC_E_NOMEM, "out of memory");
		return;
	}
	if (chained) {
		oc_free(run->chained_text);
		run->chained_text = NULL;
	}
	run->stopped = run->stopped || stop;
	if (stop || (run->merge.blocked && !was_blocked))
		set_reason(run, sub, NULL);
}

static void note_time(const oc_hook_turn *turn)
{
	uint64_t took = oc_now_ns() - turn->began_ns;

	turn->sub->ns += took;
	if (took > turn->sub->max_ns)
		turn->sub->max_ns = took;
}

void oc_hook_answer(oc_hook_turn *turn, oc_status status, const cJSON *result, const char *message)
{
	hook_run *run = turn->run;
	oc_hook_sub *sub = turn->sub;

	if (run == NULL) { /* too late */
		late_remove(turn);
		turn_free(turn);
		return;
	}
	note_time(turn);
	turn_detach(turn);
	if (status != OC_OK)
		note_failure(run, sub, status, message != NULL && message[0] != '\0' ? message : oc_status_text(status));
	else
		note_result(run, sub, result);
	turn_free(turn);
	step(run);
}

static void turn_timed_out(void *arg)
{
	oc_hook_turn *turn = arg;
	hook_run *run = turn->run;
	char text[64];

	(void)snprintf(text, sizeof(text), "no answer within %u ms", turn->sub->timeout_ms);
	note_time(turn);
	turn_detach(turn);
	note_failure(run, turn->sub, OC_E_TIMEOUT, text);
	turn_give_up(turn);
	step(run);
}

oc_str oc_hook_turn_text(oc_hook_turn *turn)
{
	hook_run *run = turn->run;
	bool chained = run != NULL && turn->sub->chains && run->merge.chained != NULL;
	char **text;

	if (run == NULL)
		return OC_STR("{}");
	text = chained ? &run->chained_text : &run->text;
	if (*text == NULL)
		*text = oc_json_print(chained ? run->merge.chained : run->payload);
	return *text != NULL ? oc_str_of(*text) : OC_STR("{}");
}

const char *oc_hook_turn_name(const oc_hook_turn *turn)
{
	return turn->sub->name;
}

uint32_t oc_hook_turn_timeout(const oc_hook_turn *turn)
{
	return turn->sub->timeout_ms;
}

void **oc_hook_turn_data(oc_hook_turn *turn)
{
	return &turn->data;
}

/* ---- Firing ---- */

static void run_unlink(hook_run *run)
{
	if (run->prev != NULL)
		run->prev->next = run->next;
	else
		run->hooks->runs = run->next;
	if (run->next != NULL)
		run->next->prev = run->prev;
	oc_owner_forget(run->ticket);
	run->ticket = NULL;
}

static void run_free(hook_run *run)
{
	for (size_t i = 0; i < run->n; i++)
		sub_unref(run->subs[i]);
	oc_free(run->subs);
	oc_free(run->turns);
	cJSON_Delete(run->payload);
	cJSON_Delete(run->merge.changes);
	cJSON_Delete(run->merge.chained);
	oc_free(run->text);
	oc_free(run->chained_text);
	oc_free(run->reason);
	oc_free(run->by);
	oc_free(run);
}

static void run_over(void *arg)
{
	hook_run *run = arg;
	oc_hook_result result;

	result = (oc_hook_result){
		.changes = run->merge.changes,
		.blocked = run->merge.blocked,
		.claimed = run->merge.claimed,
		.reason = run->reason != NULL ? run->reason : oc_hook_merge_reason(&run->merge),
		.by = run->by != NULL && (run->merge.blocked || run->merge.claimed) ? run->by : "",
		.ran = run->ran,
		.failed = run->failed,
		.timed_out = run->timed_out,
	};
	if (run->n > 0)
		oc_hist_add_ns(&run->hooks->timing, oc_now_ns() - run->began_ns);
	run->hooks->failures += run->failed + run->timed_out;
	run_unlink(run); /* done may end the hooks themselves */
	if (run->done != NULL)
		run->done(run->arg, &result);
	run_free(run);
}

/* Gives one subscriber its turn. */
static void begin_turn(hook_run *run, size_t i)
{
	oc_hook_sub *sub = run->subs[i];
	oc_hook_turn *turn = oc_alloc(sizeof(*turn));

	run->ran++;
	sub->runs++;
	if (turn != NULL)
		turn->timer = oc_timer_start(run->hooks->owner, sub->timeout_ms, 0, turn_timed_out, turn);
	if (turn == NULL || turn->timer == NULL) {
		oc_free(turn);
		note_failure(run, sub, OC_E_NOMEM, "out of memory");
		return;
	}
	turn->run = run;
	turn->hooks = run->hooks;
	turn->began_ns = oc_now_ns();
	turn->sub = sub;
	sub->refs++;
	run->turns[i] = turn;
	run->pending++;
	sub->fn(sub->arg, turn, sub->hook,
		sub->chains && run->merge.chained != NULL ? run->merge.chained : run->payload);
}

static void step(hook_run *run)
{
	bool parallel = run->info->kind == OC_HOOK_KIND_OBSERVE;

	if (run->stepping)
		return; /* a handler answered at once: the loop below goes on */
	run->stepping = true;
	while (run->at < run->n && !run->stopped && (parallel || run->pending == 0)) {
		size_t i = run->at++;

		if (!run->subs[i]->gone)
			begin_turn(run, i);
	}
	run->stepping = false;
	if (run->pending > 0 || (run->at < run->n && !run->stopped))
		return;
	if (oc_loop_defer(run->hooks->loop, run->hooks->owner, run_over, run) != OC_OK)
		run_over(run);
}

static void run_begin(void *arg)
{
	step(arg);
}

static void caller_gone(void *arg)
{
	hook_run *run = arg;

	run->ticket = NULL;
	run->done = NULL;
}

static bool run_fill(hook_run *run, oc_hooks *hooks)
{
	const oc_hook_sub *sub;
	size_t n = 0;

	for (sub = hooks->subs[run->hook]; sub != NULL; sub = sub->next)
		n++;
	run->subs = oc_calloc(n + 1, sizeof(*run->subs));
	run->turns = oc_calloc(n + 1, sizeof(*run->turns));
	run->merge.changes = cJSON_CreateObject();
	if (run->payload == NULL)
		run->payload = cJSON_CreateObject();
	if (run->subs == NULL || run->turns == NULL || run->merge.changes == NULL || run->payload == NULL)
		return false;
	for (oc_hook_sub *s = hooks->subs[run->hook]; s != NULL; s = s->next) {
		s->refs++;
		run->subs[run->n++] = s;
	}
	run->merge.payload = run->payload;
	run->merge.spec = run->info->merge;
	return true;
}

void oc_hooks_on_question(oc_hooks *hooks, void (*fn)(void *arg), void *arg)
{
	hooks->question = fn;
	hooks->question_arg = arg;
}

bool oc_hooks_wanted(oc_hooks *hooks, oc_hook_id hook)
{
	void (*fn)(void *arg) = hooks->question;

	hooks->question = NULL;
	if (fn != NULL)
		fn(hooks->question_arg);
	return hook > OC_HOOK_NONE && hook < OC_HOOK_COUNT && hooks->subs[oc_hook_canonical(hook)] != NULL;
}

oc_status oc_hooks_fire(oc_hooks *hooks, oc_hook_id hook, cJSON *payload, oc_owner *owner,
			void (*done)(void *arg, const oc_hook_result *result), void *arg)
{
	hook_run *run;

	if (oc_hook_info_of(hook) == NULL) {
		cJSON_Delete(payload);
		return OC_E_INVALID;
	}
	hook = oc_hook_canonical(hook);
	hooks->fired[hook]++;
	if (hooks->subs[hook] == NULL && done == NULL) {
		cJSON_Delete(payload);
		return OC_OK;
	}
	run = oc_alloc(sizeof(*run));
	if (run == NULL) {
		cJSON_Delete(payload);
		return OC_E_NOMEM;
	}
	run->hooks = hooks;
	run->began_ns = oc_now_ns();
	run->hook = hook;
	run->info = oc_hook_info_of(hook);
	run->payload = payload;
	run->done = done;
	run->arg = arg;
	run->next = hooks->runs;
	if (run->next != NULL)
		run->next->prev = run;
	hooks->runs = run;
	if (owner != NULL && done != NULL)
		run->ticket = oc_owner_track(owner, caller_gone, run);
	if (!run_fill(run, hooks) || (owner != NULL && done != NULL && run->ticket == NULL)
	    || oc_loop_defer(hooks->loop, hooks->owner, run_begin, run) != OC_OK) {
		run_unlink(run);
		run_free(run);
		return OC_E_NOMEM;
	}
	return OC_OK;
}

const oc_hist *oc_hooks_timing(const oc_hooks *hooks)
{
	return &hooks->timing;
}

uint64_t oc_hooks_failures(const oc_hooks *hooks)
{
	return hooks->failures;
}

/* ---- Leaving ---- */

static oc_hook_turn *open_turn_of(const oc_hook_sub *sub)
{
	for (const hook_run *run = sub->hooks->runs; run != NULL; run = run->next)
		for (size_t i = 0; i < run->n; i++)
			if (run->turns[i] != NULL && run->turns[i]->sub == sub)
				return run->turns[i];
	return NULL;
}

/* Open turns of one subscriber: the firings go on without it. Each look starts anew: the lists may have changed. */
static void end_turns_of(oc_hook_sub *sub)
{
	oc_hook_turn *turn;

	while ((turn = open_turn_of(sub)) != NULL) {
		hook_run *run = turn->run;

		turn_detach(turn);
		if (run->info->failure == OC_HOOK_FAIL_BLOCK)
			note_failure(run, sub, OC_E_UNAVAILABLE, "it was ended");
		turn_give_up(turn);
		step(run);
	}
}

void oc_hooks_unsubscribe(oc_hook_sub *sub)
{
	oc_hook_sub **at;

	if (sub == NULL || sub->gone)
		return;
	sub->gone = true;
	oc_owner_forget(sub->ticket);
	sub->ticket = NULL;
	for (at = &sub->hooks->subs[oc_hook_canonical(sub->hook)]; *at != NULL; at = &(*at)->next) {
		if (*at == sub) {
			*at = sub->next;
			break;
		}
	}
	sub->hooks->n_subs--;
	end_turns_of(sub);
	sub_unref(sub);
}

void oc_hooks_free(oc_hooks *hooks)
{
	if (hooks == NULL)
		return;
	while (hooks->runs != NULL) {
		hook_run *run = hooks->runs;

		for (size_t i = 0; i < run->n; i++) {
			oc_hook_turn *turn = run->turns[i];

			if (turn == NULL)
				continue;
			turn_detach(turn);
			turn_give_up(turn);
		}
		run_unlink(run);
		run_free(run);
	}
	while (hooks->late != NULL) {
		oc_hook_turn *turn = hooks->late;

		late_remove(turn);
		turn_free(turn);
	}
	for (unsigned i = 0; i < OC_HOOK_COUNT; i++)
		while (hooks->subs[i] != NULL)
			oc_hooks_unsubscribe(hooks->subs[i]);
	oc_owner_free(hooks->owner);
	oc_free(hooks);
}

/* ---- For people ---- */

static cJSON *describe_subs(const oc_hook_sub *sub)
{
	cJSON *list = cJSON_CreateArray();

	for (; list != NULL && sub != NULL; sub = sub->next) {
		cJSON *o = cJSON_CreateObject();

		if (o == NULL)
			break;
		(void)oc_json_set_str(o, "hook", sub->name);
		(void)oc_json_set_str(o, "by", sub->by);
		(void)oc_json_set_i64(o, "priority", sub->priority);
		(void)oc_json_set_i64(o, "timeoutMs", sub->timeout_ms);
		(void)oc_json_set_i64(o, "runs", (int64_t)sub->runs);
		(void)oc_json_set_i64(o, "failed", (int64_t)sub->failed);
		(void)oc_json_set_i64(o, "timedOut", (int64_t)sub->timed_out);
		(void)oc_json_set_i64(o, "totalMs", (int64_t)(sub->ns / 1000000));
		(void)oc_json_set_i64(o, "maxMs", (int64_t)(sub->max_ns / 1000000));
		(void)cJSON_AddItemToArray(list, o);
	}
	return list;
}

cJSON *oc_hooks_describe(const oc_hooks *hooks)
{
	cJSON *root = cJSON_CreateObject(), *list = cJSON_CreateArray();

	for (unsigned i = OC_HOOK_NONE + 1; root != NULL && list != NULL && i < OC_HOOK_COUNT; i++) {
		const oc_hook_info *info = oc_hook_info_of((oc_hook_id)i);
		oc_hook_id canonical = oc_hook_canonical((oc_hook_id)i);
		cJSON *o = cJSON_CreateObject();

		if (o == NULL)
			break;
		(void)oc_json_set_str(o, "name", info->name);
		if (info->native >= 0)
			(void)oc_json_set_i64(o, "id", info->native);
		if (info->point >= 0)
			(void)oc_json_set_i64(o, "point", info->point);
		(void)oc_json_set_str(o, "kind", oc_hook_kind_name(info->kind));
		(void)oc_json_set_i64(o, "timeoutMs", info->timeout_ms);
		(void)oc_json_set_str(o, "onFailure", info->failure == OC_HOOK_FAIL_BLOCK ? "block" : "continue");
		(void)oc_json_set_i64(o, "fired", (int64_t)hooks->fired[canonical]);
		(void)oc_json_set(o, "handlers", canonical == i ? describe_subs(hooks->subs[i]) : cJSON_CreateArray());
		(void)cJSON_AddItemToArray(list, o);
	}
	if (root == NULL) {
		cJSON_Delete(list);
		return NULL;
	}
	(void)oc_json_set(root, "hooks", list);
	(void)oc_json_set(root, "unknown", describe_subs(hooks->subs[OC_HOOK_NONE]));
	return root;
}
