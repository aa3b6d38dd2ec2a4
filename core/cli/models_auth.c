/* openclaw models auth login: a provider's own login, on this terminal; what comes of it is written into the configuration. */
#include <string.h>

#include "core/agent/agent.h"
#include "core/agent/auth_file.h"
#include "core/base/mem.h"
#include "core/cli/commands.h"
#include "core/cli/plugin_command.h"
#include "core/cli/remote.h"
#include "core/data/jpath.h"

typedef struct login {
	oc_cli_plugins plugins;
	const char *provider; /* as it calls itself */
	bool set_default;
	oc_config_edits edits;
	int kept; /* logins that end */
	cJSON *result;
	int code;
} login;

static char *below(const char *path, const char *name)
{
	oc_sbuf b;
	oc_sbuf_init(&b, 1024);
	oc_sbuf_z(&b, path);
	oc_jpath_add_name(&b, name);
	char *out = b.error == OC_OK ? oc_sbuf_take(&b) : NULL;
	oc_sbuf_free(&b);
	return out;
}

/* Its provider, and which models there are: nothing else of the configuration is a login's to change. */
static bool may_change(const login *l, const char *path)
{
	oc_auto_free char *own = below("models.providers", l->provider);
	return (own != NULL && oc_jpath_under(path, own)) || oc_jpath_under(path, "agents.defaults.models");
}

/* The original's plugins put a word in the key's place (own_key), for a login that stands elsewhere. */
static void take_patch(login *l, const char *own_key, const char *path, const cJSON *node)
{
	const cJSON *child;
	cJSON_ArrayForEach(child, node)
	{
		char *at = below(path, child->string != NULL ? child->string : "");
		if (at != NULL && cJSON_IsObject(child) && child->child != NULL) {
			take_patch(l, own_key, at, child);
			oc_free(at);
		} else if (at != NULL && strcmp(at, own_key) == 0) {
			oc_config_edits_remove(&l->edits, at);
		} else if (at != NULL && may_change(l, at)) {
			oc_config_edits_set(&l->edits, at, cJSON_Duplicate(child, true));
		} else {
			if (at != NULL && !oc_jpath_under(at, "agents.defaults.model"))
				fprintf(stderr, "not changed, since it is not the provider's: %s\n", at);
			oc_free(at);
		}
	}
}

/* Logins that end are kept with what renews them, where the keyring looks; the number of them, -1: they cannot be kept. */
static int keep_oauth(const login *l, oc_err *err)
{
	const cJSON *profile;
	char agent[65];
	int n = 0;
	oc_auto_free char *path = oc_auth_file_path(NULL, oc_agent_default_id(l->plugins.config, agent));
	cJSON_ArrayForEach(profile, oc_json_get(l->result, "profiles"))
	{
		const cJSON *credential = oc_json_get(profile, "credential");
		if (strcmp(oc_json_str(credential, "type", ""), "oauth") != 0 || oc_json_str(credential, "access", "")[0] == 0)
			continue;
		if (path == NULL || oc_auth_file_save(path, oc_json_str(profile, "profileId", l->provider), credential, err) != OC_OK)
			return -1;
		n++;
	}
	return n;
}

/* The first key, token or access token. */
static const cJSON *key_of(const cJSON *profiles)
{
	static const char *const names[] = {"key", "token", "access"};
	const cJSON *profile;
	cJSON_ArrayForEach(profile, profiles)
	{
		const cJSON *credential = oc_json_get(profile, "credential");
		for (size_t i = 0; i < sizeof names / sizeof *names; i++)
			if (oc_json_str(credential, names[i], "")[0] != 0)
				return oc_json_get(credential, names[i]);
	}
	return NULL;
}

static void logged_in(void *arg, int code, const cJSON *result)
{
	login *l = arg;
	l->code = code;
	l->result = result != NULL ? cJSON_Duplicate(result, true) : NULL;
	oc_loop_stop(l->plugins.loop);
}

static int keep(login *l)
{
	const cJSON *note, *key = key_of(oc_json_get(l->result, "profiles"));
	const cJSON *model = oc_json_get(l->result, "defaultModel");
	oc_err err = {0};
	l->provider = oc_json_str(l->result, "provider", l->provider);
	oc_auto_free char *own = below("models.providers", l->provider);
	oc_auto_free char *own_key = own != NULL ? below(own, "apiKey") : NULL;
	l->kept = keep_oauth(l, &err);
	if (l->kept >= 0 && own_key == NULL)
		(void)oc_fail(&err, OC_E_NOMEM, NULL, "no memory to keep the login");
	if (l->kept < 0 || own_key == NULL)
		return oc_cli_fail(&err);
	take_patch(l, own_key, "", oc_json_get(l->result, "configPatch"));
	if (key != NULL && l->kept == 0)
		oc_config_edits_set(&l->edits, oc_strdup(own_key), cJSON_Duplicate(key, true));
	if (l->set_default && cJSON_IsString(model))
		oc_config_edits_set(&l->edits, oc_strdup("agents.defaults.model.primary"), cJSON_Duplicate(model, true));
	bool changed = l->edits.n > 0;
	if (oc_config_edits_commit(&l->edits, oc_config_path(l->plugins.config), &err) != OC_OK)
		return oc_cli_fail(&err);
	oc_remote_take_up();
	cJSON_ArrayForEach(note, oc_json_get(l->result, "notes"))
	{
		if (cJSON_IsString(note)) {
			oc_cli_text(stdout, oc_str_of(note->valuestring), 2000, false);
			putchar('\n');
		}
	}
	printf("%s: %s\n", l->provider, key != NULL ? "logged in" : "nothing to keep came of the login");
	if (!l->set_default && cJSON_IsString(model)) {
		printf("use it: openclaw config set agents.defaults.model.primary ");
		oc_cli_text(stdout, oc_str_of(model->valuestring), 200, true);
		putchar('\n');
	}
	return key != NULL || changed ? OC_EXIT_OK : OC_EXIT_FAILED;
}

static int run_login(const oc_args *args)
{
	login l = {.provider = oc_arg(args, "provider"), .set_default = oc_arg_flag(args, "set-default"), .code = OC_EXIT_FAILED};
	oc_err err = {0};
	int code = OC_EXIT_FAILED;
	if (l.provider == NULL) {
		(void)oc_fail(&err, OC_E_INVALID, "openclaw plugins list shows the plugins", "which provider? Give --provider ID");
		return oc_cli_fail(&err);
	}
	if (!oc_cli_plugins_enter(&l.plugins)) {
		(void)oc_fail(&err, OC_E_UNAVAILABLE, "openclaw doctor tells more", "the plugins cannot be looked at");
		return oc_cli_fail(&err);
	}
	oc_plugin *plugin = oc_bridge_provider(l.plugins.bridge, l.provider);
	if (plugin == NULL && oc_cli_plugins_learn(&l.plugins))
		plugin = oc_bridge_provider(l.plugins.bridge, l.provider);
	if (plugin == NULL) {
		(void)oc_fail(&err, OC_E_NOT_FOUND, "for a provider without a plugin: openclaw onboard, or set models.providers.<id>.apiKey",
			      "no plugin that is enabled knows how to log in to %s", l.provider);
		code = oc_cli_fail(&err);
	} else if (oc_plugin_login(plugin, l.provider, oc_arg(args, "method"), logged_in, &l, &err) != OC_OK) {
		code = oc_cli_fail(&err);
	} else {
		oc_loop_run(l.plugins.loop);
		code = l.result != NULL ? keep(&l) : l.code != 0 ? l.code : OC_EXIT_FAILED;
	}
	oc_config_edits_drop(&l.edits);
	cJSON_Delete(l.result);
	oc_cli_plugins_leave(&l.plugins);
	return code;
}

static const oc_command cmd_login = {
	.name = "login",
	.summary = "logs in to a provider, as its plugin does it",
	.help = "The questions are asked here. A key that comes of it is kept as models.providers.<id>.apiKey, a login that ends "
		"(OAuth) in agents/<id>/agent/auth-profiles.json; a running gateway renews it.",
	.opts = (const oc_opt[]){
		{.name = "provider", .value = "ID", .help = "which one"},
		{.name = "method", .value = "ID", .help = "which of its ways to log in"},
		{.name = "set-default", .help = "use the model it proposes from now on"},
		{0},
	},
	.run = run_login,
};

const oc_command oc_cmd_models_auth = {
	.name = "auth",
	.summary = "logins of providers that plugins bring",
	.subs = (const oc_command *const[]){&cmd_login, NULL},
};
