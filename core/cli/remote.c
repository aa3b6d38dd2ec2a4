#include "core/cli/remote.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/cli/cli.h"
#include "core/config/config.h"
#include "core/gateway/auth.h"
#include "core/net/local_client.h"

static oc_status parse_url(oc_remote *remote, const char *url, oc_err *err)
{
	oc_str rest = oc_str_of(url);
	if (oc_str_starts(rest, "ws://"))
		rest = oc_str_make(rest.p + 5, rest.n - 5);
	else if (oc_str_starts(rest, "http://"))
		rest = oc_str_make(rest.p + 7, rest.n - 7);
	else
		return oc_fail(err, OC_E_INVALID, "use the form http://127.0.0.1:18789 (for TLS: a tunnel, such as ssh -L)",
			       "OPENCLAW_GATEWAY_URL: \"%s\" is not understood", url);
	rest = oc_str_cut(&rest, '/');
	bool bracketed = rest.n > 0 && rest.p[0] == '[';
	const char *from = bracketed ? memchr(rest.p, ']', rest.n) : rest.p;
	const char *colon = rest.n > 0 && from != NULL ? memrchr(from, ':', rest.n - (size_t)(from - rest.p)) : NULL;
	int64_t port = 18789;
	oc_str host = rest;
	if (colon != NULL) {
		host.n = (size_t)(colon - rest.p);
		if (oc_str_i64(oc_str_make(colon + 1, rest.n - host.n - 1), 1, 65535, &port) != OC_OK)
			return oc_fail(err, OC_E_INVALID, NULL, "OPENCLAW_GATEWAY_URL: wrong port in \"%s\"", url);
	}
	if (bracketed && oc_str_ends(host, "]")) /* [::1] */
		host = oc_str_make(host.p + 1, host.n - 2);
	if (oc_str_eqz(host, "localhost"))
		host = OC_STR("127.0.0.1");
	unsigned char address[16];
	oc_auto_free char *text = oc_memdup(host.p, host.n);
	if (text == NULL || host.n >= sizeof remote->address || (inet_pton(AF_INET, text, address) != 1 && inet_pton(AF_INET6, text, address) != 1))
		return oc_fail(err, OC_E_INVALID, "write it in numbers: http://192.168.1.2:18789",
			       "OPENCLAW_GATEWAY_URL: \"%.*s\" is no address", OC_STR_ARG(host));
	snprintf(remote->address, sizeof remote->address, "%.*s", OC_STR_ARG(host));
	remote->port = (int)port;
	oc_config *config = NULL;
	if (oc_config_load_secrets(NULL, &config, NULL) == OC_OK) {
		remote->token = oc_auth_client_token(config);
		oc_config_unref(config);
	}
	return OC_OK;
}

oc_status oc_remote_find(oc_remote *remote, oc_err *err)
{
	*remote = (oc_remote){0};
	if (oc_remote_named())
		return parse_url(remote, getenv("OPENCLAW_GATEWAY_URL"), err);
	remote->unix_path = oc_path_state("run/gateway.sock");
	return remote->unix_path != NULL ? OC_OK : oc_fail(err, OC_E_NOMEM, NULL, "out of memory");
}

void oc_remote_free(oc_remote *remote)
{
	oc_free(remote->unix_path);
	if (remote->token != NULL)
		oc_wipe(remote->token, strlen(remote->token));
	oc_free(remote->token);
	*remote = (oc_remote){0};
}

bool oc_remote_named(void)
{
	const char *url = getenv("OPENCLAW_GATEWAY_URL");
	return url != NULL && url[0] != 0;
}

bool oc_remote_gone(void)
{
	if (!oc_remote_named())
		return !oc_remote_alive();
	oc_auto_json cJSON *result = NULL;
	return oc_remote_call("system.status", NULL, 2000, &result, NULL) == OC_E_UNAVAILABLE;
}

/* A connection to the gateway's Unix socket, -1 when none answers there. */
static int connect_local(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof addr.sun_path)
		return -1;
	memcpy(addr.sun_path, path, strlen(path) + 1);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&addr, sizeof addr) != 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

bool oc_remote_alive(void)
{
	oc_remote remote;
	if (oc_remote_find(&remote, NULL) != OC_OK)
		return false;
	bool alive = remote.unix_path == NULL; /* a gateway that was named is meant to be used */
	int fd = alive ? -1 : connect_local(remote.unix_path);
	if (fd >= 0) {
		alive = true;
		close(fd);
	}
	oc_remote_free(&remote);
	return alive;
}

int oc_remote_process(void)
{
	oc_remote remote;
	struct ucred peer = {0};
	socklen_t n = sizeof peer;
	int process = -1;
	if (oc_remote_find(&remote, NULL) != OC_OK)
		return -1;
	int fd = remote.unix_path != NULL ? connect_local(remote.unix_path) : -1;
	if (fd >= 0) {
		if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 && peer.pid > 0)
			process = (int)syscall(SYS_pidfd_open, peer.pid, 0);
		close(fd);
	}
	oc_remote_free(&remote);
	return process;
}

static oc_status read_answer(oc_str body, int http_status, cJSON **ret, oc_err *err)
{
	oc_auto_json cJSON *answer = NULL;
	if (http_status == 401)
		return oc_fail(err, OC_E_AUTH, "set OPENCLAW_GATEWAY_TOKEN to the gateway's token",
			       "the gateway refused the token");
	oc_json_limits limits = {.max_bytes = 64u << 20};
	if (oc_json_parse(body, &limits, &answer, err) != OC_OK)
		return oc_fail(err, OC_E_PROTOCOL, NULL, "the gateway answered HTTP %d with something that is not JSON-RPC",
			       http_status);
	const cJSON *error = oc_json_get(answer, "error"), *data = oc_json_get(error, "data");
	if (error != NULL)
		return oc_fail(err, oc_status_by_name(oc_json_str(data, "code", "internal")),
			       oc_json_str(data, "remedy", ""), "%s", oc_json_str(error, "message", "the gateway failed"));
	*ret = cJSON_DetachItemFromObjectCaseSensitive(answer, "result");
	return *ret != NULL ? OC_OK : oc_fail(err, OC_E_PROTOCOL, NULL, "the gateway's answer has no result");
}

typedef struct remote_call {
	oc_remote remote;
	oc_remote_done done;
	void *arg;
} remote_call;

static void answered(void *arg, oc_status status, int http_status, oc_str body)
{
	remote_call *c = arg;
	cJSON *result = NULL;
	oc_err err = {0};
	if (status == OC_OK)
		status = read_answer(body, http_status, &result, &err);
	else if (status == OC_E_UNAVAILABLE)
		oc_fail(&err, status, "start one with `openclaw gateway run`, or see `openclaw doctor`", "no gateway is running");
	else
		oc_fail(&err, status, NULL, "%.*s", OC_STR_ARG(body));
	c->done(c->arg, status, result, &err);
	oc_remote_free(&c->remote);
	oc_free(c);
}

oc_status oc_remote_start(oc_owner *owner, const char *method, const cJSON *params, unsigned timeout_ms, oc_remote_done done, void *arg,
			  oc_err *err)
{
	oc_auto_json cJSON *message = cJSON_CreateObject();
	(void)oc_json_set_str(message, "jsonrpc", "2.0");
	(void)oc_json_set_i64(message, "id", 1);
	(void)oc_json_set_str(message, "method", method);
	(void)oc_json_set(message, "params", params != NULL ? cJSON_Duplicate(params, true) : cJSON_CreateObject());
	oc_auto_free char *body = oc_json_print(message);
	remote_call *c = body != NULL ? oc_alloc(sizeof *c) : NULL;
	if (c == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for a call");
	*c = (remote_call){.done = done, .arg = arg};
	oc_status status = oc_remote_find(&c->remote, err);
	if (status == OC_OK) {
		oc_local_request request = {
			.unix_path = c->remote.unix_path,
			.address = c->remote.unix_path == NULL ? c->remote.address : NULL,
			.port = (uint16_t)c->remote.port,
			.target = "/rpc",
			.token = c->remote.token,
			.body = oc_str_of(body),
			.timeout_ms = timeout_ms != 0 ? timeout_ms : 10000,
			.max_body = 64u << 20,
			.on_done = answered,
			.arg = c,
		};
		status = oc_local_start(owner, &request, err);
	}
	if (status != OC_OK) {
		oc_remote_free(&c->remote);
		oc_free(c);
	}
	return status;
}

typedef struct waiting {
	cJSON *result;
	oc_err *err;
	oc_status status;
	oc_loop *loop;
} waiting;

static void on_answer(void *arg, oc_status status, cJSON *result, const oc_err *err)
{
	waiting *w = arg;
	w->status = status;
	w->result = result;
	if (status != OC_OK && w->err != NULL)
		*w->err = *err;
	oc_loop_stop(w->loop);
}

oc_status oc_remote_call(const char *method, cJSON *params, unsigned timeout_ms, cJSON **ret, oc_err *err)
{
	waiting w = {.err = err};
	oc_status status = oc_loop_new(&w.loop, err);
	oc_owner *owner = status == OC_OK ? oc_owner_new(w.loop, "call") : NULL;
	if (status == OC_OK && owner == NULL)
		status = oc_fail(err, OC_E_NOMEM, NULL, "no memory for a call");
	if (status == OC_OK)
		status = oc_remote_start(owner, method, params, timeout_ms, on_answer, &w, err);
	cJSON_Delete(params);
	if (status == OC_OK) {
		oc_loop_run(w.loop);
		status = w.status;
	}
	if (status == OC_OK)
		*ret = w.result;
	oc_owner_free(owner);
	oc_loop_free(w.loop);
	return status;
}

void oc_remote_take_up(void)
{
	oc_err err = {0};
	cJSON *params = cJSON_CreateObject();
	oc_auto_json cJSON *result = NULL;
	if (oc_remote_named() || !oc_remote_alive()) {
		cJSON_Delete(params);
		return;
	}
	oc_json_set_bool(params, "secrets", false);
	if (oc_remote_call("system.reload", params, 0, &result, &err) != OC_OK && err.code != OC_E_UNAVAILABLE)
		fprintf(stderr, "openclaw: the running gateway has not taken the change up yet: %s\n", err.text);
}

int oc_remote_fail(const oc_err *err)
{
	oc_cli_fail(err);
	return err->code == OC_E_UNAVAILABLE ? OC_EXIT_NOT_RUNNING : OC_EXIT_FAILED;
}
