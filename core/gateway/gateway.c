#include "core/gateway/gateway.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/gateway/access.h"
#include "core/gateway/logging.h"
#include "core/gateway/notify.h"
#include "core/gateway/password.h"
#include "core/gateway/proto.h"
#include "core/module/crash.h"

#define LAG_EVERY_MS 1000

#define DRAIN_MS 30000 /* gateway.drainTimeoutMs */
#define DESCRIPTORS_WANTED 65536
#define CONNECTIONS_MAX 16384
#define OTHERS_MAX 8192 /* descriptors that are no connection of a client */

/* ---- Status ---- */

static void add_listen(const oc_gateway *gw, cJSON *status)
{
	cJSON *listen = cJSON_AddObjectToObject(status, "listen");
	char url[128];
	snprintf(url, sizeof url, "http%s://%s%s%s:%d", gw->tls ? "s" : "", strchr(gw->host, ':') != NULL ? "[" : "", gw->host,
		 strchr(gw->host, ':') != NULL ? "]" : "", gw->port);
	oc_json_set_str(listen, "url", url);
	oc_json_set_str(listen, "host", gw->host);
	oc_json_set_i64(listen, "port", gw->port);
	oc_json_set_str(listen, "socket", gw->socket_path);
	oc_json_opt(listen, "fingerprint", gw->fingerprint);
}

static bool add_module(void *arg, oc_module *module)
{
	cJSON *row = cJSON_CreateObject();
	oc_json_set_str(row, "name", oc_module_name(module));
	oc_json_set_str(row, "state", oc_module_state_name(oc_module_get_state(module)));
	oc_json_set_bool(row, "running", oc_module_running(module));
	if (oc_module_reason(module)[0] != 0)
		oc_json_set_str(row, "reason", oc_module_reason(module));
	if (oc_module_remedy(module)[0] != 0)
		oc_json_set_str(row, "remedy", oc_module_remedy(module));
	cJSON_AddItemToArray(arg, row);
	return true;
}

static void add_problems(const oc_gateway *gw, cJSON *status)
{
	const oc_config *config = gw->rt->config;
	cJSON *object = cJSON_AddObjectToObject(status, "config");
	oc_json_set_str(object, "path", oc_config_path(config));
	oc_json_set_bool(object, "lastGood", oc_config_is_last_good(config));
	cJSON *list = cJSON_AddArrayToObject(object, "problems");
	for (size_t i = 0; i < oc_config_problem_count(config); i++) {
		const oc_config_problem *p = oc_config_problem_at(config, i);
		cJSON *row = cJSON_CreateObject();
		oc_json_set_str(row, "severity", p->severity == OC_CONFIG_ERROR ? "error" : "warning");
		oc_json_set_str(row, "path", p->path);
		oc_json_set_str(row, "message", p->message);
		oc_json_set_str(row, "remedy", p->remedy);
		cJSON_AddItemToArray(list, row);
	}
	if (gw->config_error.code != OC_OK)
		oc_json_set_str(object, "reloadError", gw->config_error.text);
}

cJSON *oc_gateway_status(oc_gateway *gw)
{
	oc_err err = {0};
	cJSON *status = cJSON_CreateObject(), *model = NULL, *channels = NULL;
	oc_json_set_bool(status, "ok", gw->ready && !gw->stopping);
	oc_json_set_str(status, "version", PACKAGE_VERSION);
	oc_json_set_i64(status, "pid", getpid());
	oc_json_set_i64(status, "uptimeMs", (int64_t)((oc_now_ns() - gw->started_ns) / 1000000u));
	oc_json_set_i64(status, "readyMicros", (int64_t)((gw->ready_ns - gw->started_ns) / 1000u));
	add_listen(gw, status);
	oc_auto_free char *token_file = oc_path_state("credentials/gateway-token");
	oc_json_set_str(status, "tokenFrom", gw->auth.from_file && token_file != NULL ? token_file : "the configuration");
	if (oc_agent_model_status(gw->agent, OC_STR_NONE, &model, &err) == OC_OK)
		oc_json_set(status, "model", model);
	if (oc_agent_channels(gw->agent, &channels, &err) == OC_OK)
		oc_json_set(status, "channels", channels);
	cJSON *modules = cJSON_AddArrayToObject(status, "modules");
	oc_modules_each(gw->rt->modules, add_module, modules);
	oc_agent_stats stats = {0};
	oc_agent_get_stats(gw->agent, &stats);
	cJSON *turns = cJSON_AddObjectToObject(status, "turns");
	oc_json_set_i64(turns, "running", (int64_t)stats.turns_running);
	oc_json_set_i64(turns, "waiting", (int64_t)stats.turns_waiting);
	oc_json_set_i64(turns, "ok", (int64_t)stats.turns_ok);
	oc_json_set_i64(turns, "failed", (int64_t)stats.turns_failed);
	oc_json_set_i64(status, "sessions", oc_store_session_count(gw->rt->store));
	oc_json_set_i64(status, "outboxPending", (int64_t)stats.outbox_pending);
	oc_json_set(status, "store", oc_gateway_store_status(gw));
	add_problems(gw, status);
	return status;
}

/* ---- Configuration ---- */

static void log_problems(const oc_config *config, size_t from);

static bool is_loopback(const char *address)
{
	return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
}

static bool by_config(void *arg, uint64_t guard)
{
	(void)arg;
	return guard == OC_GUARD_SECRET || (guard & OC_GUARD_NAMED) != 0;
}

/* As at the start: nobody opens to the network what asks for nothing. */
static bool may_listen(const char *address, const oc_config *config, oc_err *err)
{
	bool open = !is_loopback(address) && strcmp(oc_config_str(config, "gateway.auth.mode", ""), oc_auth_mode_name(OC_AUTH_NONE)) == 0;
	if (open)
		(void)oc_fail(err, OC_E_DENIED, "set gateway.auth.mode to \"token\", or gateway.bind to \"loopback\"",
			      "refusing to listen on %s without authentication", address);
	return !open;
}

/* Whoever came in with a secret that counts no more has to go: it may be replaced because it leaked. */
static void renew_auth(oc_gateway *gw, const oc_config *config)
{
	oc_err err = {0};
	unsigned before = gw->auth.version;
	if (!may_listen(gw->host, config, &err) || oc_auth_setup(&gw->auth, config, gw->given_token, &err) != OC_OK)
		oc_log_err(OC_LOG_ERROR, "gateway", "the old token and mode stay", &err);
	if (gw->auth.version == before)
		return;
	size_t n = oc_http_server_revoke(gw->server, by_config, NULL, "the gateway's token was changed: connect with the new one");
	oc_info("gateway", "who may connect was changed (token, password or mode): %zu connection%s closed", n, n == 1 ? "" : "s");
}

static void on_config(void *arg, oc_config *after, const oc_config_diff *diff, const oc_err *err)
{
	oc_gateway *gw = arg;
	if (after == NULL) {
		gw->config_error = *err;
		oc_log_err(OC_LOG_ERROR, "config", "the changed file is not used, the old configuration stays", err);
		return;
	}
	gw->config_error = (oc_err){0};
	oc_gateway_log_reload(after, diff);
	oc_log(diff->n > 0 ? OC_LOG_INFO : OC_LOG_DEBUG, "config", "reloaded: %zu change%s", diff->n, diff->n == 1 ? "" : "s");
	log_problems(after, 0);
	renew_auth(gw, after);
	if (oc_config_diff_touches(diff, "gateway.port") || oc_config_diff_touches(diff, "gateway.bind")
	    || oc_config_diff_touches(diff, "gateway.tls"))
		oc_warn("gateway", "gateway.port, gateway.bind and gateway.tls take effect at the next restart");
	oc_runtime_configure(gw->rt, after);
}

void oc_gateway_reload(oc_gateway *gw, bool secrets)
{
	if (gw->watch != NULL)
		oc_config_watch_now(gw->watch, secrets);
}

/* Who asked for a reload hears how it went. */
static void on_config_read(void *arg, const oc_err *err)
{
	oc_gateway *gw = arg;
	size_t n = gw->n_reloads;
	gw->n_reloads = 0;
	for (size_t i = 0; i < n; i++) {
		if (err == NULL) {
			oc_method_reply(gw->reloads[i].call, gw->reloads[i].result);
			continue;
		}
		cJSON_Delete(gw->reloads[i].result);
		oc_method_fail(gw->reloads[i].call, err);
	}
}

void oc_gateway_reload_then(oc_gateway *gw, bool secrets, oc_method_call *call, cJSON *result)
{
	bool deaf = gw->watch == NULL || gw->stopping;
	if (!deaf && gw->n_reloads < sizeof gw->reloads / sizeof gw->reloads[0]) {
		gw->reloads[gw->n_reloads].call = call;
		gw->reloads[gw->n_reloads++].result = result;
		oc_gateway_reload(gw, secrets);
		return;
	}
	cJSON_Delete(result);
	if (deaf) {
		oc_method_failf(call, OC_E_UNAVAILABLE, "start it again", "the gateway does not read its configuration at the moment");
	} else {
		oc_queue_refused(OC_QUEUE_config_reloads);
		oc_method_failf(call, OC_E_BUSY, "try again", "too many wait for the configuration to be read");
	}
}

/* ---- Stopping ---- */

static void on_server_drained(void *arg)
{
	oc_gateway *gw = arg;
	oc_loop_stop(gw->rt->loop);
}

static void on_runtime_stopped(void *arg)
{
	oc_gateway *gw = arg;
	/* Last: clients that wait for their turn's answer have it by now. */
	oc_proto_close_all(gw);
	oc_http_server_drain(gw->server, 3000, on_server_drained, gw);
}

static cJSON *gateway_payload(const oc_gateway *gw)
{
	cJSON *o = cJSON_CreateObject(), *ctx = cJSON_AddObjectToObject(o, "ctx");
	(void)oc_json_set_i64(o, "port", gw->port);
	(void)oc_json_set_i64(ctx, "port", gw->port);
	return o;
}

/* Everybody who wanted to hear of the end has (or took too long), while everything still works. */
static void on_stop_told(void *arg, const oc_hook_result *result)
{
	oc_gateway *gw = arg;
	(void)result;
	int64_t ms = oc_config_i64(gw->rt->config, "gateway.drainTimeoutMs", DRAIN_MS);
	oc_runtime_stop(gw->rt, ms >= 0 ? (uint64_t)ms : DRAIN_MS, on_runtime_stopped, gw);
}

void oc_gateway_stop(oc_gateway *gw, const char *why)
{
	if (gw->stopping) {
		/* A second Ctrl-C means it. */
		oc_warn("gateway", "stopping at once");
		gw->exit_code = 1;
		oc_loop_stop(gw->rt->loop);
		return;
	}
	gw->stopping = true;
	oc_info("gateway", "stopping: %s", why);
	oc_err err = {0};
	(void)oc_fail(&err, OC_E_UNAVAILABLE, NULL, "the gateway stops");
	on_config_read(gw, &err);
	oc_notify("STOPPING=1");
	oc_proto_shutdown(gw, "gateway stopping");
	cJSON *payload = gateway_payload(gw);
	(void)oc_json_set_str(payload, "reason", "gateway stopping");
	if (oc_hooks_fire(gw->rt->hooks, OC_HOOK_GATEWAY_STOP, payload, gw->rt->owner, on_stop_told, gw) != OC_OK)
		on_stop_told(gw, NULL);
}

static void on_sigterm(void *arg)
{
	oc_gateway_stop(arg, "SIGTERM");
}

static void on_sigint(void *arg)
{
	oc_gateway_stop(arg, "interrupted");
}

static void on_sighup(void *arg)
{
	oc_log_reopen();
	oc_gateway_reload(arg, true);
}

/* ---- Starting ---- */

static const char *address_of(const char *bind)
{
	if (strcmp(bind, "loopback") == 0 || strcmp(bind, "auto") == 0 || bind[0] == 0)
		return "127.0.0.1";
	return strcmp(bind, "lan") == 0 ? "0.0.0.0" : bind;
}

/* The machine's address in a Tailscale network, 100.64.0.0/10. */
static oc_status tailnet_address(char out[INET_ADDRSTRLEN], oc_err *err)
{
	struct ifaddrs *all = NULL;
	bool found = false;
	if (getifaddrs(&all) != 0)
		return oc_fail_errno(err, errno, "looking for the Tailscale address");
	for (const struct ifaddrs *one = all; one != NULL && !found; one = one->ifa_next) {
		struct sockaddr_in in;
		if (one->ifa_addr == NULL || one->ifa_addr->sa_family != AF_INET)
			continue;
		memcpy(&in, one->ifa_addr, sizeof in);
		found = (ntohl(in.sin_addr.s_addr) & 0xffc00000u) == 0x64400000u
			&& inet_ntop(AF_INET, &in.sin_addr, out, INET_ADDRSTRLEN) != NULL;
	}
	freeifaddrs(all);
	return found ? OC_OK
		     : oc_fail(err, OC_E_NOT_FOUND, "start Tailscale first, or set gateway.bind to loopback, lan or an address",
			       "gateway.bind is tailnet, and this machine has no Tailscale address");
}

static oc_status make_tls(const oc_config *config, const char *address, oc_tls_server **ret, oc_err *err)
{
	if (!oc_config_bool(config, "gateway.tls.enabled", false))
		return OC_OK;
	oc_auto_free char *dir = oc_path_state("tls");
	oc_auto_free char *own_cert = oc_path_state("tls/cert.pem"), *own_key = oc_path_state("tls/key.pem");
	if (dir == NULL || own_cert == NULL || own_key == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "TLS: out of memory");
	const char *cert = oc_config_str(config, "gateway.tls.certPath", NULL);
	const char *key = oc_config_str(config, "gateway.tls.keyPath", NULL);
	if (cert == NULL && key == NULL && oc_config_bool(config, "gateway.tls.autoGenerate", true)) {
		cert = own_cert;
		key = own_key;
		if (!oc_path_exists(cert)) {
			oc_status status = oc_path_mkdirs(dir, 0700, err);
			if (status == OC_OK)
				status = oc_tls_self_signed(cert, key, address, err);
			if (status != OC_OK)
				return status;
		}
	}
	if (cert == NULL || key == NULL)
		return oc_fail(err, OC_E_INVALID, "set gateway.tls.certPath and gateway.tls.keyPath",
			       "gateway.tls is enabled, but %s is not set", cert == NULL ? "certPath" : "keyPath");
	oc_auto_free char *cert_path = oc_path_expand(cert, dir), *key_path = oc_path_expand(key, dir);
	return oc_tls_server_new(cert_path, key_path, ret, err);
}

/* -1: any free one. */
static oc_status port_of(const oc_gateway_options *o, const oc_config *config, int *ret, oc_err *err)
{
	const char *named = oc_config_env(config, "OPENCLAW_GATEWAY_PORT");
	int64_t port = oc_config_i64(config, "gateway.port", OC_GATEWAY_DEFAULT_PORT);
	if (o->port != 0)
		port = o->port;
	else if (named != NULL && oc_str_i64(oc_str_of(named), 1, 65535, &port) != OC_OK)
		return oc_fail(err, OC_E_INVALID, "set it to a number from 1 to 65535, or unset it",
			       "OPENCLAW_GATEWAY_PORT is \"%.32s\", which is no port", named);
	*ret = (int)port;
	return OC_OK;
}

static bool trusts_loopback(const oc_config *config)
{
	const cJSON *proxies = oc_config_get(config, "gateway.trustedProxies");
	return oc_address_in(proxies, "127.0.0.1") || oc_address_in(proxies, "::1");
}

static oc_status listen_everywhere(oc_gateway *gw, const oc_gateway_options *o, oc_err *err)
{
	const oc_config *config = gw->rt->config;
	const char *bind = o->bind != NULL ? o->bind : oc_config_env(config, "OPENCLAW_GATEWAY_BIND");
	if (bind == NULL)
		bind = oc_config_str(config, "gateway.bind", "loopback");
	if (strcmp(bind, "custom") == 0)
		bind = oc_config_str(config, "gateway.customBindHost", "loopback");
	char tailnet[INET_ADDRSTRLEN];
	if (strcmp(bind, "tailnet") == 0) {
		oc_status found = tailnet_address(tailnet, err);
		if (found != OC_OK)
			return found;
		bind = tailnet;
	}
	const char *address = address_of(bind);
	gw->host = oc_strdup(address);
	gw->socket_path = oc_path_state("run/gateway.sock");
	oc_auto_free char *run = oc_path_state("run");
	if (gw->host == NULL || gw->socket_path == NULL || run == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "listening: out of memory");
	if (!may_listen(address, config, err))
		return err->code;
	if (is_loopback(address) && gw->auth.mode == OC_AUTH_PROXY && !trusts_loopback(config))
		return oc_fail(err, OC_E_INVALID, "add \"127.0.0.1\" to gateway.trustedProxies, or set gateway.bind to where the proxy is",
			       "gateway.auth.mode is \"trusted-proxy\", and no proxy of gateway.trustedProxies can reach %s", address);
	int port = 0;
	uint16_t got = 0;
	oc_tls_server *tls = NULL;
	oc_status status = port_of(o, config, &port, err);
	if (status == OC_OK)
		status = make_tls(config, address, &tls, err);
	if (status != OC_OK)
		return status;
	status = oc_http_server_listen_tcp(gw->server, address, port < 0 ? 0 : (uint16_t)port, tls, &got, err);
	if (status == OC_E_EXISTS)
		oc_fail(err, status, "stop the program that uses it (`openclaw gateway stop`), or choose another with --port",
			"port %d on %s is in use", port, address);
	if (status == OC_E_INVALID)
		oc_fail(err, status, "write loopback, lan, tailnet, or an address in numbers such as 192.168.1.2",
			"there is nothing to listen on that is called \"%s\"", address);
	gw->port = got;
	gw->tls = tls != NULL;
	if (tls != NULL)
		oc_tls_server_fingerprint(tls, gw->fingerprint);
	oc_tls_server_unref(tls);
	if (status == OC_OK)
		status = oc_path_mkdirs(run, 0700, err);
	if (status == OC_OK)
		status = oc_http_server_listen_unix(gw->server, gw->socket_path, err);
	return status;
}

static void say_ready(oc_gateway *gw)
{
	cJSON *model = NULL;
	oc_err err = {0};
	oc_info("gateway", "ready in %.1f ms: http%s://%s:%d", (double)(gw->ready_ns - gw->started_ns) / 1e6,
		gw->tls ? "s" : "", gw->host, gw->port);
	if (gw->tls)
		oc_info("gateway", "certificate: %s", gw->fingerprint);
	if (oc_agent_model_status(gw->agent, OC_STR_NONE, &model, &err) == OC_OK) {
		const char *reason = oc_json_str(model, "reason", "");
		oc_log(oc_json_bool(model, "usable", false) ? OC_LOG_INFO : OC_LOG_WARN, "gateway", "model: %s%s%s",
		       oc_json_str(model, "model", "none"), reason[0] != 0 ? ": " : "", reason);
	}
	cJSON_Delete(model);
}

/*
 * When work was done and a second went by without any, what the allocator holds in the middle of its heap goes back to the
 * system.  It keeps it otherwise: the few blocks that outlive a burst (pages of the store's cache) lie scattered over all that
 * the burst needed, and each burst scatters them a little more, so that the resident set creeps up although no more is in use.
 */
static void give_back(oc_gateway *gw)
{
#ifdef __GLIBC__
	oc_agent_stats stats = {0};
	oc_agent_get_stats(gw->agent, &stats);
	uint64_t work = stats.turns_started + gw->requests / 64;
	if (work == gw->work_seen && work != gw->work_trimmed && stats.turns_running + stats.turns_waiting == 0) {
		(void)malloc_trim(0);
		gw->work_trimmed = work;
		gw->heap_trims++;
	}
	gw->work_seen = work;
#else
	(void)gw;
#endif
}

/* A timer that comes late says how long everything else had to wait. libuv counts in milliseconds: less is not late. */
static void sample_lag(void *arg)
{
	oc_gateway *gw = arg;
	uint64_t now = oc_now_ns(), late = now > gw->lag_due_ns + 1000000 ? now - gw->lag_due_ns - 1000000 : 0;
	oc_hist_add_ns(&gw->lag, late);
	gw->lag_due_ns = now + LAG_EVERY_MS * 1000000ull;
	give_back(gw);
}

static void on_started(void *arg)
{
	oc_gateway *gw = arg;
	gw->ready = true;
	gw->lag_due_ns = oc_now_ns() + LAG_EVERY_MS * 1000000ull;
	gw->lag_timer = oc_timer_start(gw->rt->owner, LAG_EVERY_MS, LAG_EVERY_MS, sample_lag, gw);
	gw->ready_ns = oc_now_ns();
	say_ready(gw);
	oc_notify("READY=1");
	size_t problems = oc_config_problem_count(gw->rt->config);
	oc_runtime_ready(gw->rt, gw->port);
	log_problems(gw->rt->config, problems);
	(void)oc_hooks_fire(gw->rt->hooks, OC_HOOK_GATEWAY_START, gateway_payload(gw), gw->rt->owner, NULL, NULL);
	oc_err err = {0};
	if (oc_config_watch_start(gw->rt->owner, gw->rt->config, 0, on_config, gw, &gw->watch, &err) != OC_OK)
		oc_log_err(OC_LOG_WARN, "config", "changes of the file are not noticed", &err);
	else {
		oc_config_watch_looked(gw->watch, on_config_read, gw);
		oc_config_watch_refine(gw->watch, oc_modules_refiner, gw->rt->modules); /* by the channels of then */
	}
}

static void log_problems(const oc_config *config, size_t from)
{
	for (size_t i = from; i < oc_config_problem_count(config); i++) {
		const oc_config_problem *p = oc_config_problem_at(config, i);
		oc_log(p->severity == OC_CONFIG_ERROR ? OC_LOG_ERROR : OC_LOG_WARN, "config", "%s%s%s%s%s", p->path,
		       p->path[0] != 0 ? ": " : "", p->message, p->remedy[0] != 0 ? "; " : "", p->remedy);
	}
}

/* A running turn has two connections, to its client and to its model; systems give 1024 descriptors unless asked. The
 * number of connections that are accepted leaves room for the other half and for files; where there are many, most of them
 * only listen, and not so many turns run at once. */
static uint32_t raise_descriptors(void)
{
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) != 0)
		return 0;
	if (files.rlim_cur < DESCRIPTORS_WANTED) {
		files.rlim_cur = files.rlim_max < DESCRIPTORS_WANTED ? files.rlim_max : DESCRIPTORS_WANTED;
		(void)setrlimit(RLIMIT_NOFILE, &files);
		(void)getrlimit(RLIMIT_NOFILE, &files);
	}
	uint64_t half = files.rlim_cur / 2, most = half > OTHERS_MAX ? files.rlim_cur - OTHERS_MAX : half;
	return most > CONNECTIONS_MAX ? CONNECTIONS_MAX : most > 64 ? (uint32_t)most - 32 : (uint32_t)most;
}

/* What tools do for their agent is bounded by their own checks: nodes_tool.c. */
static void ask_for_agent(void *arg, const char *method, const cJSON *params, oc_agent_answer answer, void *answer_arg)
{
	oc_method_ask(arg, oc_str_of(method), params, answer, answer_arg);
}

static oc_status build(oc_gateway *gw, const oc_gateway_options *o, oc_err *err)
{
	oc_config *config = NULL;
	oc_status status = oc_config_load_gateway(NULL, &config, err);
	if (status != OC_OK)
		return status;
	oc_gateway_log_setup(config, o->verbose);
	status = oc_runtime_new(config, o->safe_mode ? OC_RUNTIME_SAFE : 0, &gw->rt, err);
	/* Where another gateway has the store, the log is its own too. */
	oc_err log_err = {0};
	oc_status opened = status != OC_E_BUSY ? oc_gateway_log_open(config, &log_err) : OC_OK;
	if (status == OC_OK && opened != OC_OK) {
		*err = log_err;
		return opened;
	}
	if (status != OC_OK) {
		oc_config_unref(config);
		return status;
	}
	gw->rt->gateway = gw;
	gw->agent = gw->rt->agent;
	oc_agent_set_gateway(gw->agent, ask_for_agent, gw);
	log_problems(gw->rt->config, 0);
	uint32_t conns = raise_descriptors();
	int64_t wanted = oc_config_i64(gw->rt->config, "gateway.http.maxConnections", conns);
	oc_http_server_options server = {
		.handler = {oc_gateway_head, oc_gateway_request, gw},
		.max_conns = wanted < conns ? (uint32_t)wanted : conns,
	};
	gw->given_token = o->token;
	status = oc_auth_setup(&gw->auth, gw->rt->config, o->token, err);
	if (status == OC_OK)
		status = oc_http_server_new(gw->rt->loop, &server, &gw->server, err);
	if (status == OC_OK)
		status = listen_everywhere(gw, o, err);
	return status;
}

int oc_gateway_run(const oc_gateway_options *o)
{
	oc_gateway gw = {.started_ns = o->process_start_ns, .started_wall_ms = oc_wall_ms()};
	oc_err err = {0};
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error like a full disk, not the end */
	oc_status status = oc_crash_install(&err);
	if (status == OC_OK)
		status = build(&gw, o, &err);
	if (status == OC_OK) {
		oc_signal_watch(gw.rt->owner, SIGTERM, on_sigterm, &gw);
		oc_signal_watch(gw.rt->owner, SIGINT, on_sigint, &gw);
		oc_signal_watch(gw.rt->owner, SIGHUP, on_sighup, &gw);
		oc_runtime_start(gw.rt, on_started, &gw);
		oc_loop_run(gw.rt->loop);
		oc_info("gateway", "stopped");
	} else {
		oc_log_err(OC_LOG_ERROR, "gateway", "cannot start", &err);
		gw.exit_code = 1;
	}
	oc_http_server_free(gw.server);
	gw.server = NULL;
	oc_proto_cleanup(&gw);
	oc_runtime_free(gw.rt);
	oc_method_cleanup();
	oc_passwords_free(&gw);
	oc_auth_free(&gw.auth);
	oc_free(gw.host);
	oc_free(gw.socket_path);
	oc_gateway_log_close();
	return gw.exit_code;
}
