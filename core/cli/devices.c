/*
 * openclaw devices: phones, browsers and scripts that connect with a key of their own, and letting them in.
 *
 * A running gateway is asked, which then tells who listens and closes connections; without one its book is read and written
 * here.
 */
#include <string.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/cli/commands.h"
#include "core/cli/remote.h"
#include "core/gateway/device.h"

/* What the gateway would do, done here: the same answer. params is borrowed. */
static oc_status do_here(const char *method, const cJSON *params, cJSON **ret, oc_err *err)
{
	oc_devices *book = NULL;
	oc_status status = oc_devices_open(&book, err);
	const char *request = oc_json_str(params, "requestId", ""), *id = oc_json_str(params, "deviceId", "");
	const char *role = oc_json_str(params, "role", "");
	const cJSON *token = NULL;
	int64_t when = 0;
	cJSON *device = NULL;
	if (status != OC_OK)
		return status;
	if (strcmp(method, "device.pair.list") == 0) {
		*ret = oc_devices_list(book);
	} else if (strcmp(method, "device.pair.approve") == 0) {
		status = oc_devices_approve(book, request, &device, err);
		*ret = cJSON_CreateObject();
		(void)oc_json_set(*ret, "device", device);
	} else if (strcmp(method, "device.pair.reject") == 0) {
		status = oc_devices_reject(book, request, ret, err);
	} else if (strcmp(method, "device.pair.remove") == 0) {
		status = oc_devices_remove(book, id, err);
	} else if (strcmp(method, "device.token.revoke") == 0) {
		status = oc_devices_revoke(book, id, role, &when, err);
	} else {
		status = oc_devices_rotate(book, id, role, oc_json_get(params, "scopes"), &token, err);
		*ret = cJSON_Duplicate(token, true);
	}
	if (*ret == NULL)
		*ret = cJSON_CreateObject();
	oc_devices_free(book);
	return status;
}

/* Takes params. */
static oc_status ask(const char *method, cJSON *params, cJSON **ret, oc_err *err)
{
	if (oc_remote_alive())
		return oc_remote_call(method, params, 0, ret, err);
	oc_status status = do_here(method, params, ret, err);
	cJSON_Delete(params);
	return status;
}

static void names(char *out, size_t size, const cJSON *list)
{
	const cJSON *one;
	size_t n = 0;
	out[0] = 0;
	cJSON_ArrayForEach(one, list)
	{
		const char *name = cJSON_IsString(one) ? one->valuestring : "";
		if (strncmp(name, "operator.", 9) == 0)
			name += 9;
		int more = snprintf(out + n, size - n, "%s%s", n > 0 ? " " : "", name);
		if (more < 0 || (size_t)more >= size - n)
			break;
		n += (size_t)more;
	}
}

static const char *name_of(const cJSON *device)
{
	return oc_json_str(device, "displayName", oc_json_str(device, "clientId", ""));
}

static void print_pending(const cJSON *list)
{
	static const char *const heads[] = {"REQUEST", "DEVICE", "NAME", "FROM", "ROLE", "WANTS"};
	const cJSON *r;
	oc_table *table = oc_table_new(heads, sizeof heads / sizeof heads[0]);
	cJSON_ArrayForEach(r, list)
	{
		char scopes[200], id[13];
		names(scopes, sizeof scopes, oc_json_get(r, "scopes"));
		(void)snprintf(id, sizeof id, "%.12s", oc_json_str(r, "deviceId", ""));
		const char *cells[] = {oc_json_str(r, "requestId", ""), id, name_of(r), oc_json_str(r, "remoteIp", "this machine"),
				       oc_json_str(r, "role", ""), scopes};
		oc_table_row(table, cells);
	}
	puts("They ask to be let in:");
	oc_table_print(table, stdout);
	puts("\nLet one in with: openclaw devices approve REQUEST\n");
}

static void print_paired(const cJSON *list)
{
	static const char *const heads[] = {"DEVICE", "NAME", "PLATFORM", "ROLE", "MAY", "SINCE"};
	const cJSON *r, *token;
	oc_table *table = oc_table_new(heads, sizeof heads / sizeof heads[0]);
	cJSON_ArrayForEach(r, list) cJSON_ArrayForEach(token, oc_json_get(r, "tokens"))
	{
		char scopes[200], since[32];
		names(scopes, sizeof scopes, oc_json_get(token, "scopes"));
		oc_wall_format(oc_json_i64(r, "approvedAtMs", 0), since, sizeof since);
		bool revoked = oc_json_get(token, "revokedAtMs") != NULL;
		const char *cells[] = {oc_json_str(r, "deviceId", ""), name_of(r), oc_json_str(r, "platform", ""),
				       oc_json_str(token, "role", ""), revoked ? "(revoked)" : scopes, since};
		oc_table_row(table, cells);
	}
	oc_table_print(table, stdout);
}

static int run_list(const oc_args *args)
{
	oc_err err = {0};
	cJSON *result = NULL;
	if (ask("device.pair.list", NULL, &result, &err) != OC_OK)
		return oc_cli_fail(&err);
	if (oc_arg_flag(args, "json"))
		return oc_cli_print_json(result);
	const cJSON *clean = oc_cli_clean(result), *pending = oc_json_get(clean, "pending"), *paired = oc_json_get(clean, "paired");
	if (cJSON_GetArraySize(pending) > 0)
		print_pending(pending);
	if (cJSON_GetArraySize(paired) > 0)
		print_paired(paired);
	else
		puts("No device is paired.");
	cJSON_Delete(result);
	return OC_EXIT_OK;
}

/* "read,operator.write" as the gateway writes them. */
static cJSON *scopes_of(const char *text)
{
	cJSON *list = cJSON_CreateArray();
	oc_str rest = oc_str_of(text);
	while (rest.p != NULL && rest.n > 0) {
		oc_str one = oc_str_trim(oc_str_cut(&rest, ','));
		oc_auto_free char *name = oc_asprintf("%s%.*s", oc_str_starts(one, "operator.") ? "" : "operator.", OC_STR_ARG(one));
		if (one.n > 0 && name != NULL)
			(void)cJSON_AddItemToArray(list, cJSON_CreateString(name));
	}
	return list;
}

/* One change: the first word of the command line is `first`, the second the role. */
static int change(const oc_args *args, const char *method, const char *first, const char *said)
{
	oc_err err = {0};
	oc_auto_json cJSON *result = NULL;
	bool token = strncmp(method, "device.token.", 13) == 0;
	/* The original's options beside the words. */
	const char *which = token ? oc_arg(args, "device") : NULL, *role = token ? oc_arg(args, "role") : NULL;
	which = which != NULL ? which : args->n_pos > 0 ? args->pos[0] : NULL;
	if (which == NULL)
		return oc_cli_usage(args, "name the %s", token ? "device" : "request");
	cJSON *params = cJSON_CreateObject();
	(void)oc_json_set_str(params, first, which);
	if (token)
		(void)oc_json_set_str(params, "role", role != NULL ? role : args->n_pos > 1 ? args->pos[1] : "operator");
	if (strcmp(method, "device.token.rotate") == 0 && oc_arg(args, "scope") != NULL)
		(void)oc_json_set(params, "scopes", scopes_of(oc_arg(args, "scope")));
	if (ask(method, params, &result, &err) != OC_OK)
		return oc_cli_fail(&err);
	if (oc_arg_flag(args, "json"))
		return oc_cli_print_json(cJSON_Duplicate(result, true));
	const char *name = name_of(oc_json_get(oc_cli_clean(result), "device"));
	printf("%s %s\n", name[0] != 0 ? name : which, said);
	if (oc_json_str(result, "token", "")[0] != 0)
		printf("Its new token, which is shown only now: %s\n", oc_json_str(result, "token", ""));
	return OC_EXIT_OK;
}

/* The request that came last; the caller's. NULL: what is wrong was said. */
static char *latest(void)
{
	oc_err err = {0};
	oc_auto_json cJSON *result = NULL;
	if (ask("device.pair.list", NULL, &result, &err) != OC_OK) {
		(void)oc_cli_fail(&err);
		return NULL;
	}
	const char *id = oc_json_str(cJSON_GetArrayItem(oc_json_get(result, "pending"), 0), "requestId", "");
	if (id[0] == 0)
		(void)oc_cli_fail((oc_fail(&err, OC_E_NOT_FOUND, NULL, "no device asks to be let in"), &err));
	return id[0] != 0 ? oc_strdup(id) : NULL;
}

static int run_approve(const oc_args *args)
{
	if (args->n_pos == 0 && oc_arg_flag(args, "latest")) {
		oc_auto_free char *id = latest();
		oc_args with = *args;
		with.pos = &id;
		with.n_pos = 1;
		return id != NULL ? change(&with, "device.pair.approve", "requestId", "may connect now.") : OC_EXIT_FAILED;
	}
	return change(args, "device.pair.approve", "requestId", "may connect now.");
}

static int run_reject(const oc_args *args)
{
	return change(args, "device.pair.reject", "requestId", "is refused.");
}

static int run_remove(const oc_args *args)
{
	return change(args, "device.pair.remove", "deviceId", "is forgotten, and disconnected.");
}

/* Everybody, and with --pending whoever asks too. */
static int run_clear(const oc_args *args)
{
	oc_err err = {0};
	oc_auto_json cJSON *all = NULL;
	const cJSON *one;
	int n = 0;
	if (!oc_cli_agreed(args, "devices are not forgotten without being asked for", "Forget all paired devices%s?",
			   oc_arg_flag(args, "pending") ? " and refuse all that ask" : ""))
		return OC_EXIT_FAILED;
	oc_status status = ask("device.pair.list", NULL, &all, &err);
	for (int pending = 0; status == OC_OK && pending <= (oc_arg_flag(args, "pending") ? 1 : 0); pending++) {
		const char *name = pending != 0 ? "requestId" : "deviceId";
		cJSON_ArrayForEach(one, oc_json_get(all, pending != 0 ? "pending" : "paired"))
		{
			oc_auto_json cJSON *result = NULL;
			cJSON *params = cJSON_CreateObject();
			(void)oc_json_set_str(params, name, oc_json_str(one, name, ""));
			if (status == OC_OK)
				status = ask(pending != 0 ? "device.pair.reject" : "device.pair.remove", params, &result, &err);
			else
				cJSON_Delete(params);
			n += status == OC_OK;
		}
	}
	if (status != OC_OK)
		return oc_cli_fail(&err);
	if (oc_arg_flag(args, "json")) {
		cJSON *o = cJSON_CreateObject();
		(void)oc_json_set_i64(o, "cleared", n);
		return oc_cli_print_json(o);
	}
	printf("%d forgotten.\n", n);
	return OC_EXIT_OK;
}

static int run_rotate(const oc_args *args)
{
	return change(args, "device.token.rotate", "deviceId", "has a new token; the old one counts no more.");
}

static int run_revoke(const oc_args *args)
{
	return change(args, "device.token.revoke", "deviceId", "is disconnected, its token counts no more.");
}

static const oc_opt json_opt[] = {
	{"json", 0, NULL, "one JSON document"},
	{0},
};

#define JSON_OPT {"json", 0, NULL, "one JSON document"}
#define TOKEN_OPTS {"device", 0, "ID", "the device"}, {"role", 0, "NAME", "its role (operator)"}, JSON_OPT
static const oc_opt approve_opt[] = {{"latest", 0, NULL, "the one that asked last"}, JSON_OPT, {0}};
static const oc_opt token_opt[] = {TOKEN_OPTS, {0}};
static const oc_opt rotate_opt[] = {TOKEN_OPTS, {"scope", 0, "LIST", "what it may: read,write…; not more than it was approved for"}, {0}};
static const oc_opt clear_opt[] = {{"pending", 0, NULL, "refuse all that ask, too"}, {"yes", 0, NULL, "do not ask"}, JSON_OPT, {0}};

static const oc_command list_command = {.name = "list", .summary = "who asks, and who was let in", .opts = json_opt, .run = run_list};
static const oc_command approve_command = {
	.name = "approve", .args = "[REQUEST]", .summary = "let a device in that asked", .opts = approve_opt, .max_args = 1,
	.help = "A request is kept for five minutes.\n", .run = run_approve};
static const oc_command reject_command = {
	.name = "reject", .args = "REQUEST", .summary = "refuse a device that asked", .opts = json_opt, .min_args = 1, .max_args = 1, .run = run_reject};
static const oc_command rotate_command = {
	.name = "rotate", .args = "[DEVICE] [ROLE]", .summary = "give a device a new token", .opts = rotate_opt, .max_args = 2,
	.run = run_rotate};
static const oc_command revoke_command = {
	.name = "revoke", .args = "[DEVICE] [ROLE]", .summary = "end a device's token", .opts = token_opt, .max_args = 2,
	.run = run_revoke};
static const oc_command remove_command = {
	.name = "remove", .args = "DEVICE", .summary = "forget a device", .opts = json_opt, .min_args = 1, .max_args = 1, .run = run_remove};
static const oc_command clear_command = {.name = "clear", .summary = "forget all devices", .opts = clear_opt, .run = run_clear};
static const oc_command *const subs[] = {&list_command, &approve_command, &reject_command, &rotate_command, &revoke_command, &remove_command,
					 &clear_command, NULL};

const oc_command oc_cmd_devices = {
	.name = "devices",
	.summary = "phones, browsers and scripts with a key of their own",
	.help = "Clients of OpenClaw's own protocol have a key.  From this machine, with the gateway's token, they are let in at once;\n"
		"from elsewhere they ask first.  The role is \"operator\" unless it is named.\n",
	.subs = subs,
};
