/*
 * openclaw models: which models are known, which one the agent uses, and how the providers' keys are.  Through the gateway when
 * one runs (only that one knows which keys rest), else with a runtime of its own.
 */
#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/cli/commands.h"
#include "core/cli/remote.h"
#include "core/gateway/runtime.h"

typedef struct view {
	cJSON *models, *keys, *status; /* of the default agent: {"model","fallbacks","usable","reason"?} */
	oc_runtime *rt;
	oc_status code;
	oc_err err;
} view;

static void close_view(view *v)
{
	cJSON_Delete(v->models);
	cJSON_Delete(v->keys);
	cJSON_Delete(v->status);
}

static void stopped(void *arg)
{
	view *v = arg;
	oc_loop_stop(v->rt->loop);
}

static void started(void *arg)
{
	view *v = arg;
	v->code = oc_agent_models(v->rt->agent, &v->models, &v->err);
	if (v->code == OC_OK)
		v->code = oc_agent_model_status(v->rt->agent, OC_STR_NONE, &v->status, &v->err);
	v->keys = oc_agent_keys(v->rt->agent);
	oc_runtime_stop(v->rt, 2000, stopped, v);
}

static void look_alone(view *v)
{
	oc_config *config = NULL;
	oc_log_set_level(OC_LOG_ERROR);
	signal(SIGPIPE, SIG_IGN);
	v->err = (oc_err){0};
	v->code = oc_config_load_gateway(NULL, &config, &v->err);
	if (v->code == OC_OK && (v->code = oc_runtime_new(config, OC_RUNTIME_ONE_SHOT, &v->rt, &v->err)) != OC_OK)
		oc_config_unref(config);
	if (v->code != OC_OK)
		return;
	oc_runtime_start(v->rt, started, v);
	oc_loop_run(v->rt->loop);
	oc_runtime_free(v->rt);
}

static void look_through_gateway(view *v)
{
	oc_auto_json cJSON *list = NULL, *agent = NULL;
	v->code = oc_remote_call("models.list", NULL, 0, &list, &v->err);
	if (v->code == OC_OK)
		v->code = oc_remote_call("agent.status", NULL, 0, &agent, &v->err);
	if (v->code != OC_OK)
		return;
	v->models = cJSON_DetachItemFromObjectCaseSensitive(list, "models");
	v->keys = cJSON_DetachItemFromObjectCaseSensitive(list, "keys");
	v->status = cJSON_DetachItemFromObjectCaseSensitive(agent, "model");
}

static oc_status look(view *v)
{
	look_through_gateway(v);
	if (v->code == OC_E_UNAVAILABLE)
		look_alone(v);
	return v->code;
}

static int print_json(view *v)
{
	cJSON *out = cJSON_CreateObject();
	oc_json_set(out, "agent", v->status);
	oc_json_set(out, "models", v->models);
	oc_json_set(out, "keys", v->keys);
	return oc_cli_print_json(out);
}

static void text(const cJSON *o, const char *name, size_t max)
{
	oc_cli_text(stdout, oc_json_ostr(o, name), max, true);
}

static int run_list(const oc_args *args)
{
	view v = {0};
	const cJSON *m;
	bool all = oc_arg_flag(args, "all");
	size_t hidden = 0;
	if (look(&v) != OC_OK)
		return oc_cli_fail(&v.err);
	if (oc_arg_flag(args, "json"))
		return print_json(&v);
	oc_cli_clean(v.models);
	cJSON_ArrayForEach(m, v.models)
	{
		bool usable = oc_json_bool(m, "configured", false);
		if (!usable && !all) {
			hidden++;
			continue;
		}
		printf("%s%-48s%s", usable ? oc_bold() : oc_dim(), oc_json_str(m, "id", "?"), oc_plain());
		if (oc_json_i64(m, "contextWindow", 0) > 0)
			printf(" %7" PRId64 "k", oc_json_i64(m, "contextWindow", 0) / 1000);
		printf("%s\n", usable ? "" : "  no key");
	}
	if (hidden > 0)
		printf("%s%zu more have no key: openclaw models list --all%s\n", oc_dim(), hidden, oc_plain());
	close_view(&v);
	return OC_EXIT_OK;
}

static void print_keys(const cJSON *keys)
{
	const cJSON *k;
	if (cJSON_GetArraySize(keys) > 0)
		printf("\n%s%-32s %-20s %8s %8s  state%s\n", oc_bold(), "key", "from", "used", "failed", oc_plain());
	cJSON_ArrayForEach(k, keys)
	{
		bool ok = strcmp(oc_json_str(k, "state", ""), "ok") == 0;
		printf("%-32s %-20s %8" PRId64 " %8" PRId64 "  %s%s%s", oc_json_str(k, "profile", "?"), oc_json_str(k, "source", ""),
		       oc_json_i64(k, "used", 0), oc_json_i64(k, "failed", 0), ok ? oc_green() : oc_yellow(),
		       oc_json_str(k, "state", ""), oc_plain());
		if (!ok) {
			printf(" for %" PRId64 " s: ", (oc_json_i64(k, "restMs", 0) + 999) / 1000);
			text(k, "reason", 100);
		}
		puts("");
	}
}

static int run_status(const oc_args *args)
{
	view v = {0};
	const cJSON *f;
	if (look(&v) != OC_OK)
		return oc_cli_fail(&v.err);
	if (oc_arg_flag(args, "json"))
		return print_json(&v);
	oc_cli_clean(v.status);
	oc_cli_clean(v.keys);
	bool usable = oc_json_bool(v.status, "usable", false);
	printf("model      %s%s%s\n", usable ? oc_green() : oc_red(), oc_json_str(v.status, "model", "none"), oc_plain());
	cJSON_ArrayForEach(f, oc_json_get(v.status, "fallbacks")) if (cJSON_IsString(f)) printf("fallback   %s\n", f->valuestring);
	if (!usable) {
		printf("problem    ");
		text(v.status, "reason", 300);
		if (oc_json_str(v.status, "remedy", "")[0] != 0)
			printf("; %s", oc_json_str(v.status, "remedy", ""));
		puts("");
	}
	print_keys(v.keys);
	close_view(&v);
	return usable ? OC_EXIT_OK : OC_EXIT_FAILED;
}

static const oc_command cmd_list = {
	.name = "list",
	.summary = "list the models that can be used",
	.opts = (const oc_opt[]){{"all", 0, NULL, "also those without a key"}, {"json", 0, NULL, "print JSON"}, {0}},
	.run = run_list,
};

static const oc_command cmd_status = {
	.name = "status",
	.summary = "the agent's model and fallbacks, and which keys rest",
	.opts = (const oc_opt[]){{"json", 0, NULL, "print JSON"}, {0}},
	.run = run_status,
};

static int run_retry(const oc_args *args)
{
	(void)args;
	oc_err err = {0};
	oc_auto_json cJSON *out = NULL;
	if (oc_remote_call("models.retry", NULL, 0, &out, &err) != OC_OK)
		return oc_cli_fail(&err);
	printf("%" PRId64 " asked again\n", oc_json_i64(out, "ended", 0));
	return OC_EXIT_OK;
}

static const oc_command cmd_retry = {
	.name = "retry",
	.summary = "ask models and keys again that rest after they refused",
	.run = run_retry,
};

const oc_command oc_cmd_models = {
	.name = "models",
	.summary = "models and the keys of their providers",
	.subs = (const oc_command *const[]){&cmd_list, &cmd_status, &cmd_retry, &oc_cmd_models_auth, NULL},
};
