#include "core/gateway/auth.h"

#include <string.h>

#include "core/base/id.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/base/str.h"

#define TOKEN_FILE "credentials/gateway-token"
#define TOKEN_CHARS 40 /* 200 bits */

static char *read_token_file(const char *path)
{
	char *text = NULL;
	size_t n = 0;
	if (oc_path_read(path, 4096, &text, &n, NULL) != OC_OK)
		return NULL;
	oc_str token = oc_str_trim((oc_str){text, n});
	char *copy = token.n > 0 ? oc_memdup(token.p, token.n) : NULL;
	oc_wipe(text, n);
	oc_free(text);
	return copy;
}

static oc_status make_token_file(const char *path, char **ret, oc_err *err)
{
	char token[TOKEN_CHARS + 2];
	oc_id_token(token, TOKEN_CHARS);
	oc_auto_free char *folder = oc_path_state("credentials");
	char *copy = oc_strdup(token);
	if (folder == NULL || copy == NULL) {
		oc_free(copy);
		return oc_fail(err, OC_E_NOMEM, NULL, "making the gateway's token: out of memory");
	}
	token[TOKEN_CHARS] = '\n';
	oc_status status = oc_path_mkdirs(folder, 0700, err);
	if (status == OC_OK)
		status = oc_path_write(path, token, TOKEN_CHARS + 1, 0600, err);
	oc_wipe(token, sizeof token);
	if (status != OC_OK) {
		oc_free(copy);
		return oc_err_prefix(err, "storing the gateway's token");
	}
	*ret = copy;
	return OC_OK;
}

static const char *configured(const oc_config *config)
{
	const char *token = oc_config_env(config, "OPENCLAW_GATEWAY_TOKEN");
	if (token == NULL)
		token = oc_config_str(config, "gateway.auth.token", NULL);
	return token != NULL && token[0] != 0 ? token : NULL;
}

char *oc_auth_client_token(const oc_config *config)
{
	const char *token = configured(config);
	if (token != NULL)
		return oc_strdup(token);
	oc_auto_free char *path = oc_path_state(TOKEN_FILE);
	return path != NULL ? read_token_file(path) : NULL;
}

static void drop(char **secret)
{
	if (*secret != NULL)
		oc_wipe(*secret, strlen(*secret));
	oc_free(*secret);
	*secret = NULL;
}

static bool same(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* ---- Modes ---- */

static const char *const modes[] = {"", "none", "token", "password", "trusted-proxy"};

const char *oc_auth_mode_name(oc_auth_mode mode)
{
	return mode == OC_AUTH_UNSET ? modes[OC_AUTH_TOKEN] : modes[mode];
}

static oc_auth_mode mode_of(const oc_config *config)
{
	const char *name = oc_config_str(config, "gateway.auth.mode", "");
	oc_auth_mode mode = OC_AUTH_PROXY;
	while (mode != OC_AUTH_UNSET && strcmp(name, modes[mode]) != 0)
		mode--;
	return mode;
}

static oc_status mode_check(const oc_auth *auth, const oc_config *config, oc_err *err)
{
	if (auth->mode == OC_AUTH_PASSWORD && auth->password == NULL)
		return oc_fail(err, OC_E_INVALID, "set gateway.auth.password or OPENCLAW_GATEWAY_PASSWORD",
			       "gateway.auth.mode is \"password\", and there is no password");
	if (auth->mode == OC_AUTH_PROXY && oc_str_trim(oc_str_of(oc_config_str(config, "gateway.auth.trustedProxy.userHeader", ""))).n == 0)
		return oc_fail(err, OC_E_INVALID, "set gateway.auth.trustedProxy.userHeader, for example to \"x-forwarded-user\"",
			       "gateway.auth.mode is \"trusted-proxy\", and nothing says which header names the user");
	if (auth->mode == OC_AUTH_PROXY && cJSON_GetArraySize(oc_config_get(config, "gateway.trustedProxies")) == 0)
		return oc_fail(err, OC_E_INVALID, "set gateway.trustedProxies to the addresses of the proxy, for example [\"127.0.0.1\"]",
			       "gateway.auth.mode is \"trusted-proxy\", and there are no gateway.trustedProxies");
	return OC_OK;
}

static char *policy_of(const oc_config *config)
{
	oc_auto_json cJSON *all = cJSON_CreateArray();
	static const char *const paths[] = {"gateway.auth.mode", "gateway.auth.trustedProxy", "gateway.trustedProxies", "gateway.allowRealIpFallback"};
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		const cJSON *value = oc_config_get(config, paths[i]);
		(void)cJSON_AddItemToArray(all, value != NULL ? cJSON_Duplicate(value, true) : cJSON_CreateNull());
	}
	return oc_json_print(all);
}

oc_status oc_auth_setup(oc_auth *auth, const oc_config *config, const char *token, oc_err *err)
{
	oc_auth next = {.mode = mode_of(config)};
	if (token == NULL)
		token = configured(config);
	const char *password = oc_config_env(config, "OPENCLAW_GATEWAY_PASSWORD");
	if (password == NULL)
		password = oc_config_str(config, "gateway.auth.password", NULL);
	if (password != NULL && password[0] != 0)
		next.password = oc_strdup(password);
	if (mode_check(&next, config, err) != OC_OK) {
		drop(&next.password);
		return err->code;
	}
	next.policy = policy_of(config);
	if (token != NULL) {
		next.token = oc_strdup(token);
	} else {
		oc_auto_free char *path = oc_path_state(TOKEN_FILE);
		if (path == NULL) {
			oc_auth_free(&next);
			return oc_fail(err, OC_E_NOMEM, NULL, "the gateway's token: out of memory");
		}
		next.token = read_token_file(path);
		next.from_file = true;
		if (next.token == NULL) {
			oc_status status = make_token_file(path, &next.token, err);
			if (status != OC_OK) {
				oc_auth_free(&next);
				return status;
			}
		}
	}
	if (next.token == NULL || next.policy == NULL) {
		oc_auth_free(&next);
		return oc_fail(err, OC_E_NOMEM, NULL, "the gateway's token: out of memory");
	}
	next.version = auth->version
		       + !(same(auth->token, next.token) && same(auth->password, next.password) && same(auth->policy, next.policy));
	oc_log_redact(oc_str_of(next.token));
	if (next.password != NULL)
		oc_log_redact(oc_str_of(next.password));
	oc_auth_free(auth);
	*auth = next;
	return OC_OK;
}

void oc_auth_free(oc_auth *auth)
{
	drop(&auth->token);
	drop(&auth->password);
	oc_free(auth->policy);
	auth->policy = NULL;
}

bool oc_auth_secret_ok(const oc_auth *auth, oc_str secret)
{
	if (secret.n == 0)
		return false;
	bool by_token = auth->mode == OC_AUTH_UNSET || auth->mode == OC_AUTH_TOKEN;
	bool by_password = (auth->mode == OC_AUTH_UNSET || auth->mode == OC_AUTH_PASSWORD) && auth->password != NULL;
	bool token = by_token && oc_str_eq_secret(secret, oc_str_of(auth->token));
	bool password = by_password && oc_str_eq_secret(secret, oc_str_of(auth->password));
	return token || password;
}

oc_str oc_auth_bearer(oc_str header)
{
	oc_str secret = header;
	if (header.n > 7 && oc_str_ieq((oc_str){header.p, 7}, OC_STR("Bearer ")))
		secret = (oc_str){header.p + 7, header.n - 7};
	return oc_str_trim(secret);
}

/* ---- Guessing ---- */

uint64_t oc_auth_locked_ms(const oc_auth_tries *tries, const char *address, uint64_t now)
{
	for (size_t i = 0; tries->locked_ms > now && i < OC_AUTH_ADDRESSES; i++)
		if (tries->at[i].locked_ms > now && strcmp(tries->at[i].address, address) == 0)
			return tries->at[i].locked_ms - now;
	return 0;
}

void oc_auth_failed(oc_auth_tries *tries, const oc_config *config, const char *address, bool is_loopback, uint64_t now)
{
	if (strlen(address) >= sizeof tries->at->address
	    || (is_loopback && oc_config_bool(config, "gateway.auth.rateLimit.exemptLoopback", true)))
		return;
	uint64_t window = (uint64_t)oc_config_i64(config, "gateway.auth.rateLimit.windowMs", 60000);
	/* Its own place; else the one whose last failure is the longest ago, those locked out last. */
	size_t place = 0;
	for (size_t i = 0; i < OC_AUTH_ADDRESSES; i++) {
		if (strcmp(tries->at[i].address, address) == 0) {
			place = i;
			break;
		}
		uint64_t age = tries->at[i].locked_ms > now ? UINT64_MAX : tries->at[i].since_ms;
		uint64_t best = tries->at[place].locked_ms > now ? UINT64_MAX : tries->at[place].since_ms;
		if (age < best)
			place = i;
	}
	if (strcmp(tries->at[place].address, address) != 0 || now - tries->at[place].since_ms > window) {
		memcpy(tries->at[place].address, address, strlen(address) + 1);
		tries->at[place].failures = 0;
		tries->at[place].since_ms = now;
		tries->at[place].locked_ms = 0;
	}
	if (++tries->at[place].failures < oc_config_i64(config, "gateway.auth.rateLimit.maxAttempts", 10))
		return;
	tries->at[place].failures = 0;
	tries->at[place].locked_ms = now + (uint64_t)oc_config_i64(config, "gateway.auth.rateLimit.lockoutMs", 300000);
	if (tries->at[place].locked_ms > tries->locked_ms)
		tries->locked_ms = tries->at[place].locked_ms;
	oc_warn("gateway", "too many wrong tokens from %s: locked out for a while", address);
}
