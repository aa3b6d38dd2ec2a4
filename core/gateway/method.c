#include "core/gateway/method.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/data/schema.h"
#include "core/gateway/events.h"
#include "core/gateway/gateway.h"

struct oc_method_call {
	oc_client *client;
	oc_method_answer answer;
	void *arg;
};

/* Sorted by wire name. */
static const oc_method *const table[] = {
#define ROW(name) &oc_method_##name,
	OC_METHOD_LIST(ROW)
#undef ROW
};
enum { N_METHODS = sizeof table / sizeof *table };
static cJSON *schemas[N_METHODS]; /* parsed at the first use of each */

static int find(oc_str name)
{
	size_t lo = 0, hi = N_METHODS;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int c = strncmp(name.p, table[mid]->name, name.n);
		if (c == 0 && table[mid]->name[name.n] == 0)
			return (int)mid;
		if (c <= 0) /* equal so far: the row's is longer */
			hi = mid;
		else
			lo = mid + 1;
	}
	return -1;
}

const oc_method *oc_method_row(size_t i)
{
	return i < N_METHODS ? table[i] : NULL;
}

cJSON *oc_method_list(void)
{
	cJSON *list = cJSON_CreateArray();
	for (size_t i = 0; list != NULL && i < N_METHODS; i++) {
		cJSON *row = cJSON_CreateObject();
		(void)oc_json_set_str(row, "name", table[i]->name);
		(void)oc_json_set_str(row, "scope", oc_scope_name(table[i]->scope));
		(void)oc_json_set_str(row, "summary", table[i]->summary);
		if (table[i]->params != NULL)
			(void)oc_json_set(row, "params", cJSON_Parse(table[i]->params));
		(void)cJSON_AddItemToArray(list, row);
	}
	return list;
}

void oc_method_cleanup(void)
{
	for (size_t i = 0; i < N_METHODS; i++) {
		cJSON_Delete(schemas[i]);
		schemas[i] = NULL;
	}
}

/* ---- Scopes ---- */

static const struct {
	const char *name;
	unsigned bit, contains;
} scopes[] = {
	{"node", OC_SCOPE_NODE, OC_SCOPE_NODE},
	{"pairing", OC_SCOPE_PAIRING, OC_SCOPE_PAIRING},
	{"approvals", OC_SCOPE_APPROVALS, OC_SCOPE_APPROVALS},
	{"admin", OC_SCOPE_ADMIN, OC_SCOPE_ALL},
	{"write", OC_SCOPE_WRITE, OC_SCOPE_WRITE | OC_SCOPE_READ},
	{"read", OC_SCOPE_READ, OC_SCOPE_READ},
};

const char *oc_scope_name(unsigned scope)
{
	for (size_t i = 0; i < sizeof scopes / sizeof *scopes; i++)
		if ((scope & scopes[i].bit) != 0)
			return scopes[i].name;
	return "none";
}

unsigned oc_scope_bits(oc_str name)
{
	const size_t prefix = strlen("operator.");
	if (oc_str_starts(name, "operator."))
		name = (oc_str){name.p + prefix, name.n - prefix};
	for (size_t i = 1; i < sizeof scopes / sizeof *scopes; i++)
		if (oc_str_eqz(name, scopes[i].name))
			return scopes[i].contains;
	return 0;
}

cJSON *oc_scope_list(unsigned bits, const char *prefix)
{
	cJSON *list = cJSON_CreateArray();
	for (unsigned bit = OC_SCOPE_READ; bit <= OC_SCOPE_PAIRING; bit <<= 1) {
		char name[32];
		(void)snprintf(name, sizeof name, "%s%s", prefix, oc_scope_name(bit));
		if ((bits & bit) != 0 && list != NULL)
			cJSON_AddItemToArray(list, cJSON_CreateString(name));
	}
	return list;
}

/* ---- Clients ---- */

void oc_client_ref(oc_client *client)
{
	client->refs++;
}

void oc_client_unref(oc_client *client)
{
	if (client != NULL && --client->refs == 0) {
		oc_free(client->user);
		oc_free(client);
	}
}

void oc_client_gone(oc_client *client)
{
	client->gone = true;
	client->can_events = false;
	oc_events_end_all(client);
	oc_client_unref(client);
}

/* ---- Calls ---- */

oc_gateway *oc_method_gateway(const oc_method_call *call)
{
	return call->client->gateway;
}

oc_client *oc_method_client(const oc_method_call *call)
{
	return call->client;
}

static void finish(oc_method_call *call, oc_status status, oc_str result, const oc_err *err)
{
	oc_client *client = call->client;
	call->answer(call->arg, status, result, err);
	oc_free(call);
	oc_client_unref(client);
}

void oc_method_reply_text(oc_method_call *call, oc_str json)
{
	finish(call, OC_OK, json, NULL);
}

void oc_method_reply(oc_method_call *call, cJSON *result)
{
	char *text = result != NULL ? oc_json_print(result) : NULL;
	cJSON_Delete(result);
	if (text == NULL) {
		oc_method_failf(call, OC_E_NOMEM, NULL, "out of memory while answering");
		return;
	}
	oc_method_reply_text(call, oc_str_of(text));
	oc_free(text);
}

oc_config *oc_method_config(oc_method_call *call)
{
	oc_config *config = NULL;
	oc_err err = {0};
	if (oc_config_load(NULL, &config, &err) != OC_OK)
		oc_method_fail(call, &err);
	return config;
}

void oc_method_fail(oc_method_call *call, const oc_err *err)
{
	finish(call, err->code != OC_OK ? err->code : OC_E_INTERNAL, OC_STR_NONE, err);
}

void oc_method_fail_with(oc_method_call *call, const oc_err *err, cJSON *details)
{
	char *text = details != NULL ? oc_json_print(details) : NULL;
	cJSON_Delete(details);
	finish(call, err->code, oc_str_of(text != NULL ? text : ""), err);
	oc_free(text);
}

void oc_method_accept(oc_method_call *call, cJSON *result)
{
	char *text = call->client->interim != NULL && result != NULL ? oc_json_print(result) : NULL;
	cJSON_Delete(result);
	if (text != NULL)
		call->client->interim(call->arg, oc_str_of(text));
	oc_free(text);
}

void oc_method_failf(oc_method_call *call, oc_status status, const char *remedy, const char *format, ...)
{
	oc_err err;
	char text[sizeof err.text];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	oc_fail(&err, status, remedy, "%s", text);
	oc_method_fail(call, &err);
}

/* ---- Dispatch ---- */

/* How OpenClaw's own clients are told what is wrong with their parameters: all of it, with JSON pointers. */
static bool add_issue(void *arg, const oc_schema_issue *issue)
{
	oc_sbuf *b = arg;
	char at[200];
	(void)snprintf(at, sizeof at, "%s", issue->path);
	bool unknown = strcmp(issue->keyword, "additionalProperties") == 0 && issue->value != NULL && issue->value->string != NULL;
	char *last = unknown ? strrchr(at, '.') : NULL;
	if (unknown) /* the path of the object it is in */
		*(last != NULL ? last : at) = 0;
	for (char *p = at; *p != 0; p++)
		*p = *p == '.' || *p == '[' ? '/' : *p == ']' ? ' ' : *p;
	oc_sbuf_z(b, b->n > 0 ? "; " : "");
	if (at[0] != 0)
		oc_sbuf_printf(b, "at /%s: ", oc_str_trim(oc_str_of(at)).n > 0 ? at : "");
	else if (unknown)
		oc_sbuf_z(b, "at root: ");
	const char *name = strchr(issue->message, '"');
	if (unknown)
		oc_sbuf_printf(b, "unexpected property '%s'", issue->value->string);
	else if (strcmp(issue->keyword, "required") == 0 && name != NULL)
		oc_sbuf_printf(b, "must have required property '%.*s'", (int)strcspn(name + 1, "\""), name + 1);
	else
		oc_sbuf_z(b, issue->message);
	return b->error == OC_OK;
}

oc_status oc_params_check(const cJSON *schema, const char *what, const cJSON *value, oc_err *err)
{
	oc_sbuf b;
	oc_sbuf_init(&b, sizeof err->text);
	oc_status status = oc_schema_report_all(schema, value, NULL, add_issue, &b);
	if (status != OC_OK)
		status = oc_fail(err, status, "", "invalid %s: %s", what, oc_sbuf_view(&b).p);
	oc_sbuf_free(&b);
	return status;
}

/* What is wrong with parameters besides members that nobody knows. */
struct issues {
	bool wrong;
	char unknown[80]; /* the first such member */
	char first[300];
};

static bool note_issue(void *arg, const oc_schema_issue *issue)
{
	struct issues *all = arg;
	if (strcmp(issue->keyword, "additionalProperties") == 0) {
		if (all->unknown[0] == 0)
			(void)snprintf(all->unknown, sizeof all->unknown, "%s", issue->path);
		return true;
	}
	if (!all->wrong)
		(void)snprintf(all->first, sizeof all->first, "%s%s%s", issue->path, issue->path[0] != 0 ? " " : "", issue->message);
	all->wrong = true;
	return true;
}

/* Newer clients say things that we do not know; each is told of once, for whoever looks for a slip of the pen. */
static void warn_unknown(const oc_method *m, const char *member)
{
	enum { TOLD = 64 };
	static struct {
		const oc_method *method;
		char member[80];
	} told[TOLD];
	static size_t n;
	for (size_t i = 0; i < n; i++)
		if (told[i].method == m && strcmp(told[i].member, member) == 0)
			return;
	if (n == TOLD)
		return;
	told[n].method = m;
	(void)snprintf(told[n++].member, sizeof told[0].member, "%s", member);
	oc_warn("gateway", "%s: the parameter %s is not known and does nothing%s", m->name, member,
		n == TOLD ? "; further ones are not told" : "");
}

static oc_status check_params(int i, const cJSON *params, bool pointers, oc_err *err)
{
	const oc_method *m = table[i];
	/* The usual probe has no parameters: nothing to look up. */
	if (m->params == NULL || (params->child == NULL && strstr(m->params, "\"required\"") == NULL))
		return OC_OK;
	if (schemas[i] == NULL && oc_json_parse(oc_str_of(m->params), NULL, &schemas[i], err) != OC_OK)
		return oc_err_prefix(err, "schema of %s", m->name);
	if (oc_schema_check(schemas[i], params, NULL) == OC_OK)
		return OC_OK;
	struct issues issues = {0};
	oc_status status = oc_schema_report_all(schemas[i], params, NULL, note_issue, &issues);
	if (status == OC_E_INVALID && !issues.wrong) {
		warn_unknown(m, issues.unknown);
		return OC_OK;
	}
	char what[80];
	(void)snprintf(what, sizeof what, "%s params", m->name);
	if (pointers)
		return oc_params_check(schemas[i], what, params, err);
	return oc_fail(err, status, "", "%s: params: %s", m->name, issues.wrong ? issues.first : oc_status_text(status));
}

static void refuse(oc_method_answer answer, void *arg, const oc_err *err)
{
	answer(arg, err->code, OC_STR_NONE, err);
}

int oc_method_find(oc_str name, oc_err *err)
{
	int i = find(name);
	if (i >= 0)
		return i;
	const char *names[N_METHODS];
	for (size_t k = 0; k < N_METHODS; k++)
		names[k] = table[k]->name;
	char wrong[80];
	snprintf(wrong, sizeof wrong, "%.*s", OC_STR_ARG(name));
	const char *near = oc_str_nearest(wrong, names, N_METHODS);
	oc_fail(err, OC_E_UNSUPPORTED, near != NULL ? NULL : "system.methods lists them", "there is no method \"%s\"%s%s%s", wrong,
		near != NULL ? "; did you mean \"" : "", near != NULL ? near : "", near != NULL ? "\"?" : "");
	return -1;
}

void oc_method_start(oc_client *client, int i, const cJSON *params, oc_method_answer answer, void *arg)
{
	OC_UNSET oc_err err;
	const oc_method *m = table[i];
	oc_err_clear(&err);
	if ((m->scope & ~client->scopes) != 0) {
		if (client->protocol != 0)
			oc_fail(&err, OC_E_DENIED, "", "missing scope: operator.%s", oc_scope_name(m->scope & ~client->scopes));
		else if (client->scopes == 0)
			oc_fail(&err, OC_E_AUTH, "send `Authorization: Bearer TOKEN`, or call auth.login first",
				"%s needs authentication", m->name);
		else
			oc_fail(&err, OC_E_DENIED, NULL, "%s needs a scope that this client does not have", m->name);
		refuse(answer, arg, &err);
		return;
	}
	static const cJSON nothing = {.type = cJSON_Object};
	if (params == NULL)
		params = &nothing;
	if (check_params(i, params, client->protocol != 0, &err) != OC_OK) {
		refuse(answer, arg, &err);
		return;
	}
	oc_method_call *call = oc_alloc(sizeof *call);
	if (call == NULL) {
		oc_fail(&err, OC_E_NOMEM, NULL, "%s: out of memory", m->name);
		refuse(answer, arg, &err);
		return;
	}
	*call = (oc_method_call){client, answer, arg};
	oc_client_ref(client);
	if (client->gateway->rt != NULL) /* a codec under test has none */
		oc_bridge_need(client->gateway->rt->bridge);
	m->run(call, params);
}
