/*
 * openclaw onboard: from nothing to a configuration that works.  What there is to choose from comes from the manifests of
 * the modules that are installed: a provider whose key is in the environment, a local server that answers, else the
 * bundled offline provider.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/cli/commands.h"
#include "core/cli/envfile.h"
#include "core/cli/remote.h"
#include "core/cli/service.h"
#include "core/config/config.h"
#include "core/module/module.h"
#include "core/net/local_client.h"

struct onboard {
	const oc_args *args;
	oc_config *config;
	cJSON *providers, *channels;
	const cJSON *provider; /* chosen; NULL: none */
	char model[256];       /* provider/model */
	const char *why;       /* how it was chosen */
	char *key;	       /* for the .env file; NULL: none */
	oc_config_edits edits;
	size_t n; /* of them */
	int64_t port; /* 0: not given */
	bool json, interactive;
};

/* ---- What there is ---- */

static bool is_local(const cJSON *provider)
{
	const char *url = oc_json_str(provider, "baseUrl", "");
	return strstr(url, "://127.0.0.1") != NULL || strstr(url, "://localhost") != NULL;
}

static bool is_offline(const cJSON *provider)
{
	return oc_json_str(provider, "baseUrl", "")[0] == 0;
}

static const char *key_of(const struct onboard *o, const cJSON *provider)
{
	const char *env = oc_json_str(provider, "env", NULL);
	return env != NULL ? oc_config_env(o->config, env) : NULL;
}

static const cJSON *find_provider(const struct onboard *o, const char *id)
{
	const cJSON *p;
	char plain[64];
	snprintf(plain, sizeof plain, "%s", id);
	char *suffix = strstr(plain, "-api-key"); /* the original's names: "openai-api-key" */
	if (suffix != NULL)
		*suffix = 0;
	cJSON_ArrayForEach(p, o->providers) if (strcmp(oc_json_str(p, "id", ""), plain) == 0) return p;
	return NULL;
}

/* The first model a local server names, into name; false when it does not answer within a moment. */
static bool ask_local(const cJSON *provider, char *name, size_t size)
{
	const char *host = strstr(oc_json_str(provider, "baseUrl", ""), "://");
	if (host == NULL)
		return false;
	oc_str rest = oc_str_of(host + 3);
	oc_str place = oc_str_cut(&rest, '/');
	char target[256];
	oc_str path = rest.p != NULL ? rest : OC_STR_NONE;
	snprintf(target, sizeof target, "/%.*s%smodels", OC_STR_ARG(path),
		 path.n > 0 && path.p[path.n - 1] != '/' ? "/" : "");
	const char *colon = memchr(place.p, ':', place.n);
	int64_t port = 80;
	if (colon != NULL && oc_str_i64(oc_str_make(colon + 1, place.n - (size_t)(colon - place.p) - 1), 1, 65535, &port) != OC_OK)
		return false;
	oc_loop *loop = NULL;
	char *body = NULL;
	size_t n = 0;
	int status = 0;
	cJSON *answer = NULL;
	oc_local_request request = {
		.address = "127.0.0.1", .port = (uint16_t)port, .target = target, .timeout_ms = 700, .max_body = 1u << 20};
	if (oc_loop_new(&loop, NULL) == OC_OK && oc_local_fetch(loop, &request, &status, &body, &n, NULL) == OC_OK
	    && status == 200 && oc_json_parse((oc_str){body, n}, NULL, &answer, NULL) == OC_OK)
		snprintf(name, size, "%s", oc_json_str(oc_json_path(answer, "data[0]"), "id", ""));
	cJSON_Delete(answer);
	oc_free(body);
	oc_loop_free(loop);
	return status == 200 && name[0] != 0;
}

static void use(struct onboard *o, const cJSON *provider, const char *model, const char *why)
{
	const char *id = oc_json_str(provider, "id", "");
	if (model == NULL || model[0] == 0)
		model = oc_json_str(oc_json_path(provider, "models[0]"), "id", "");
	o->provider = provider;
	o->why = why;
	o->model[0] = 0;
	if (model[0] != 0)
		snprintf(o->model, sizeof o->model, "%s/%s", id, model);
}

/* Keys in the environment first, then a local server, then what needs nothing. */
static void choose_by_itself(struct onboard *o)
{
	const cJSON *p;
	cJSON_ArrayForEach(p, o->providers)
	{
		if (key_of(o, p) != NULL && cJSON_GetArraySize(oc_json_get(p, "models")) > 0) {
			use(o, p, NULL, "its key is in the environment");
			return;
		}
	}
	cJSON_ArrayForEach(p, o->providers)
	{
		char name[200] = "";
		if (is_local(p) && ask_local(p, name, sizeof name)) {
			use(o, p, name, "it answers on this machine");
			return;
		}
	}
	cJSON_ArrayForEach(p, o->providers)
	{
		if (is_offline(p)) {
			use(o, p, NULL, "no API key was found");
			return;
		}
	}
}

/* ---- What is to be written ---- */

static void set(struct onboard *o, const char *path, cJSON *value)
{
	oc_config_edits_set(&o->edits, oc_strdup(path), value);
}

static void set_text(struct onboard *o, const char *path, const char *text)
{
	if (text != NULL && text[0] != 0)
		set(o, path, cJSON_CreateString(text));
}

/* ---- Asking ---- */

static oc_status no_answer(oc_err *err)
{
	return oc_fail(err, OC_E_CANCELED, "answer the questions, or use --non-interactive", "the answers ended before the questions: nothing was written");
}

static oc_status ask_provider(struct onboard *o, const cJSON **ret, oc_err *err)
{
	int n = 0;
	const cJSON *p, *chosen = NULL;
	puts("Which model provider?");
	cJSON_ArrayForEach(p, o->providers)
	{
		const char *note = key_of(o, p) != NULL ? " (key found in the environment)"
				   : is_local(p)        ? " (on this machine)"
				   : is_offline(p)      ? " (no model: for trying things out)"
							: "";
		printf("  %2d  %s%s%s\n", ++n, oc_json_str(p, "label", oc_json_str(p, "id", "?")), note,
		       p == o->provider ? " *" : "");
	}
	while (chosen == NULL) {
		oc_auto_free char *answer = oc_cli_ask("Number or name:", o->provider != NULL ? oc_json_str(o->provider, "id", "") : "", false);
		int64_t number = 0;
		if (answer == NULL)
			return no_answer(err);
		if (oc_str_i64(oc_str_of(answer), 1, n, &number) == OC_OK)
			chosen = cJSON_GetArrayItem(o->providers, (int)number - 1);
		else
			chosen = find_provider(o, answer);
		if (chosen == NULL)
			printf("There is no \"%s\" in the list.\n", answer);
	}
	*ret = chosen;
	return OC_OK;
}

static void forget_key(struct onboard *o)
{
	if (o->key != NULL)
		oc_wipe(o->key, strlen(o->key));
	oc_free(o->key);
	o->key = NULL;
}

/* Takes the key over; it is written when everything else is known. */
static void keep_key(struct onboard *o, char *key)
{
	forget_key(o);
	if (key[0] != 0)
		o->key = key;
	else
		oc_free(key);
}

static oc_status store_key(const cJSON *provider, const char *key, oc_err *err)
{
	const char *env = oc_json_str(provider, "env", "");
	oc_auto_free char *file = oc_path_state(".env");
	oc_log_redact(oc_str_of(key));
	return file != NULL ? oc_envfile_set(file, env, key, err) : OC_E_NOMEM;
}

static oc_status ask_model(struct onboard *o, const cJSON *provider, oc_err *err)
{
	do {
		oc_auto_free char *model = oc_cli_ask("Model:", o->model, false);
		if (model == NULL)
			return no_answer(err);
		if (model[0] != 0)
			snprintf(o->model, sizeof o->model, "%s%s%s", strchr(model, '/') == NULL ? oc_json_str(provider, "id", "") : "",
				 strchr(model, '/') == NULL ? "/" : "", model);
	} while (o->model[0] == 0);
	return OC_OK;
}

static oc_status interview(struct onboard *o, oc_err *err)
{
	const cJSON *p = NULL;
	if (ask_provider(o, &p, err) != OC_OK)
		return err->code;
	if (p != o->provider) {
		char name[200] = "";
		if (is_local(p) && !ask_local(p, name, sizeof name))
			printf("%s does not answer: name one of its models, and start it before the gateway.\n", oc_json_str(p, "label", "It"));
		use(o, p, name, "you chose it");
	}
	if (oc_json_str(p, "env", NULL) != NULL && key_of(o, p) == NULL) {
		char *key = oc_cli_ask("API key (kept in the state folder, readable by you alone):", "", true);
		if (key == NULL)
			return no_answer(err);
		keep_key(o, key);
	}
	if (ask_model(o, p, err) != OC_OK)
		return err->code;
	const cJSON *channel;
	cJSON_ArrayForEach(channel, o->channels)
	{
		/* Its secret: what a variable can hold as well. */
		const cJSON *secret = oc_json_get(channel, "env") != NULL ? oc_json_get(channel, "env")->child : NULL;
		const char *id = oc_json_str(channel, "id", "");
		char question[160], path[100];
		if (!cJSON_IsString(secret))
			continue;
		snprintf(path, sizeof path, "channels.%s.%s", id, secret->string);
		if (oc_config_get(o->config, path) != NULL || oc_config_env(o->config, secret->valuestring) != NULL)
			continue;
		snprintf(question, sizeof question, "%s token (empty: not now):", oc_json_str(channel, "label", id));
		oc_auto_free char *token = oc_cli_ask(question, "", true);
		if (token == NULL)
			return no_answer(err);
		if (token[0] == 0)
			continue;
		set_text(o, path, token);
		oc_wipe(token, strlen(token));
	}
	return OC_OK;
}

/* ---- The command ---- */

static oc_status choose(struct onboard *o, oc_err *err)
{
	const char *wanted = oc_arg(o->args, "auth-choice"), *key = oc_arg(o->args, "api-key");
	const char *model = oc_arg(o->args, "model");
	choose_by_itself(o);
	if (wanted != NULL && strcmp(wanted, "skip") != 0) {
		const cJSON *p = find_provider(o, wanted);
		char name[200] = "";
		if (p == NULL)
			return oc_fail(err, OC_E_NOT_FOUND, "`openclaw module list` shows what is installed",
				       "--auth-choice: there is no provider \"%s\"", wanted);
		if (is_local(p) && !ask_local(p, name, sizeof name) && model == NULL && !o->interactive)
			return oc_fail(err, OC_E_UNAVAILABLE, "start it, or name the model with --model", "%s does not answer at %s, so its models are not known",
				       oc_json_str(p, "label", wanted), oc_json_str(p, "baseUrl", "?"));
		use(o, p, name, "you chose it");
	}
	if (o->provider == NULL)
		return oc_fail(err, OC_E_NOT_FOUND, "see `openclaw module list`", "no installed module brings a model provider");
	if (key != NULL && oc_json_str(o->provider, "env", NULL) == NULL)
		return oc_fail(err, OC_E_INVALID, "leave --api-key out, or choose another with --auth-choice", "%s needs no key",
			       oc_json_str(o->provider, "id", "?"));
	char *copy = key != NULL ? oc_strdup(key) : NULL;
	if (copy != NULL)
		keep_key(o, copy);
	if (model != NULL)
		snprintf(o->model, sizeof o->model, "%s%s%s", strchr(model, '/') == NULL ? oc_json_str(o->provider, "id", "") : "",
			 strchr(model, '/') == NULL ? "/" : "", model);
	return OC_OK;
}

static bool is_bind_word(const char *where)
{
	static const char *const words[] = {"auto", "lan", "loopback", "tailnet"};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strcmp(where, words[i]) == 0)
			return true;
	return false;
}

/* The configuration has words for the usual ways; an address is "custom" with the address beside it. */
static void set_bind(struct onboard *o, const char *where)
{
	if (where != NULL && is_bind_word(where)) {
		set_text(o, "gateway.bind", where);
	} else if (where != NULL) {
		set_text(o, "gateway.bind", "custom");
		set_text(o, "gateway.customBindHost", where);
	}
}

/* As the gateway will read it, wherever it is started. */
static void set_workspace(struct onboard *o, const char *folder)
{
	oc_auto_free char *path = folder == NULL ? NULL : folder[0] == '~' ? oc_strdup(folder) : oc_path_expand(folder, NULL);
	set_text(o, "agents.defaults.workspace", path);
}

/* Before anything is written. */
static bool options_are_good(const oc_args *args, int64_t *ret_port)
{
	const char *bind = oc_arg(args, "gateway-bind"), *flow = oc_arg(args, "flow");
	unsigned char address[16];
	if (flow != NULL && strcmp(flow, "quickstart") != 0 && strcmp(flow, "advanced") != 0) {
		oc_cli_usage(args, "--flow is quickstart or advanced, not \"%s\"", flow);
		return false;
	}
	if (!oc_arg_i64(args, "gateway-port", 1, 65535, ret_port))
		return false;
	if (bind == NULL || is_bind_word(bind) || inet_pton(AF_INET, bind, address) == 1 || inet_pton(AF_INET6, bind, address) == 1)
		return true;
	oc_cli_usage(args, "--gateway-bind is loopback, lan, tailnet, auto or an address in numbers, not \"%s\"", bind);
	return false;
}

static oc_status gather(struct onboard *o, oc_err *err)
{
	const oc_args *args = o->args;
	bool has_model = oc_config_str(o->config, "agents.defaults.model.primary", NULL) != NULL
			 || cJSON_IsString(oc_config_get(o->config, "agents.defaults.model"));
	bool asked = oc_arg(args, "auth-choice") != NULL || oc_arg(args, "model") != NULL || oc_arg(args, "api-key") != NULL;
	oc_status status = choose(o, err);
	if (status == OC_OK && o->interactive)
		status = interview(o, err);
	if (status != OC_OK)
		return status;
	/* What is configured stays, unless the operator said something else just now. */
	if (!has_model || asked || o->interactive) {
		set_text(o, "agents.defaults.model.primary", o->model);
	} else {
		snprintf(o->model, sizeof o->model, "%s",
			 oc_config_str(o->config, "agents.defaults.model.primary", oc_config_str(o->config, "agents.defaults.model", o->model)));
		o->why = "as configured";
		const char *slash = strchr(o->model, '/');
		oc_auto_free char *id = slash != NULL ? oc_memdup(o->model, (size_t)(slash - o->model)) : NULL;
		const cJSON *p = id != NULL ? find_provider(o, id) : NULL;
		o->provider = p != NULL ? p : o->provider;
	}
	if (!oc_config_exists(o->config)) {
		set_text(o, "gateway.mode", "local");
		set_text(o, "gateway.bind", "loopback");
	}
	if (o->port != 0)
		set(o, "gateway.port", cJSON_CreateNumber((double)o->port));
	set_bind(o, oc_arg(args, "gateway-bind"));
	set_text(o, "gateway.auth.token", oc_arg(args, "gateway-token"));
	set_workspace(o, oc_arg(args, "workspace"));
	return OC_OK;
}

static void report(const struct onboard *o)
{
	oc_auto_free char *path = oc_path_config();
	if (o->json) {
		cJSON *root = cJSON_CreateObject();
		oc_json_set_bool(root, "ok", true);
		oc_json_set_str(root, "config", path != NULL ? path : "");
		oc_json_set_str(root, "model", o->model);
		oc_json_set_bool(root, "offline", is_offline(o->provider));
		oc_json_set_i64(root, "changes", (int64_t)o->n);
		oc_cli_print_json(root);
		return;
	}
	printf("%s%s %s\n", oc_green(), o->n > 0 ? "wrote" : "kept", path != NULL ? path : "");
	printf("%smodel     %s (%s)\n", oc_plain(), o->model, o->why);
	const char *variable = oc_json_str(o->provider, "env", NULL);
	if (variable != NULL && o->key == NULL && key_of(o, o->provider) == NULL)
		printf("%skey       none yet: put %s=... into the .env of the state folder, or run this again%s\n", oc_yellow(), variable,
		       oc_plain());
	if (is_offline(o->provider)) {
		puts("\nNo real model is connected yet: the offline provider answers, and says so. To add one:\n"
		     "  openclaw onboard                                   asks for provider and key");
		const cJSON *p;
		int shown = 0;
		cJSON_ArrayForEach(p, o->providers)
		{
			if (oc_json_str(p, "env", NULL) != NULL && shown++ < 2)
				printf("  openclaw onboard --non-interactive --auth-choice %s --api-key KEY\n",
				       oc_json_str(p, "id", ""));
		}
	}
	puts("\nNext:\n  openclaw gateway run          the gateway (or: openclaw daemon install)\n"
	     "  openclaw agent -m \"hello\"     a first message");
}

static int run_onboard(const oc_args *args)
{
	struct onboard o = {.args = args, .json = oc_arg_flag(args, "json"), .interactive = !oc_arg_flag(args, "non-interactive")};
	oc_modules *modules = NULL;
	oc_err err = {0};
	if (!options_are_good(args, &o.port))
		return OC_EXIT_USAGE;
	oc_log_set_level(OC_LOG_ERROR);
	oc_status status = oc_config_load(NULL, &o.config, &err);
	if (status == OC_OK)
		status = oc_modules_new(NULL, o.config, NULL, &modules, &err);
	if (status == OC_OK)
		status = oc_modules_scan(modules, &err);
	if (status == OC_OK) {
		o.providers = oc_modules_known_providers(modules);
		o.channels = oc_modules_known_channels(modules);
		status = gather(&o, &err);
	}
	oc_auto_free char *state = oc_path_state_dir();
	if (status == OC_OK && state != NULL)
		status = oc_path_mkdirs(state, 0700, &err);
	if (status == OC_OK && o.key != NULL)
		status = store_key(o.provider, o.key, &err);
	o.n = o.edits.n;
	if (status == OC_OK)
		status = oc_config_edits_commit(&o.edits, NULL, &err);
	int code = OC_EXIT_OK;
	if (status == OC_OK) {
		oc_remote_take_up();
		report(&o);
	}
	else
		code = oc_cli_fail(&err);
	forget_key(&o);
	oc_config_edits_drop(&o.edits);
	cJSON_Delete(o.providers);
	cJSON_Delete(o.channels);
	oc_modules_free(modules);
	oc_config_unref(o.config);
	return code == OC_EXIT_OK && oc_arg_flag(args, "install-daemon") ? oc_service_install() : code;
}

const oc_command oc_cmd_onboard = {
	.name = "onboard",
	.summary = "write a first configuration: provider, key, model, channel",
	.opts = (const oc_opt[]){{"non-interactive", 0, NULL, "ask nothing: use what is found, and the options"},
				 {"accept-risk", 0, NULL, "taken for compatibility; nothing is asked"},
				 {"flow", 0, "NAME", "taken for compatibility: quickstart or advanced"},
				 {"auth-choice", 0, "PROVIDER", "provider to use (`openclaw module list` names them), or skip"},
				 {"api-key", 0, "KEY", "its key; kept in the state folder's .env with mode 0600"},
				 {"model", 0, "MODEL", "model, or provider/model"},
				 {"workspace", 0, "FOLDER", "the agent's workspace"},
				 {"gateway-port", 0, "NUMBER", "port of the gateway (18789)"},
				 {"gateway-bind", 0, "WHERE", "loopback, lan, tailnet, auto or an address"},
				 {"gateway-token", 0, "TOKEN", "bearer token (else one is made at the first start)"},
				 {"install-daemon", 0, NULL, "install and start the systemd user unit too"},
				 {"json", 0, NULL, "print JSON"},
				 {0}},
	.help = "Can be repeated: what is configured already stays.\n",
	.run = run_onboard,
};
