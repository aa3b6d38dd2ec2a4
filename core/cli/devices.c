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

/* One change: the first word of the command line is `first`, the second the role. */
static int change(const oc_args *args, const char *method, const char *first, const char *said)
{
	oc_err err = {0};
	oc_auto_json cJSON *result = NULL;
	cJSON *params = cJSON_CreateObject();
	(void)oc_json_set_str(params, first, args->pos[0]);
	if (strncmp(method, "device.token.", 13) == 0)
		(void)oc_json_set_str(params, "role", args->n_pos > 1 ? args->pos[1] : "operator");
	if (ask(method, params, &result, &err) != OC_OK)
		return oc_cli_fail(&err);
	if (oc_arg_flag(args, "json"))
		return oc_cli_print_json(cJSON_Duplicate(result, true));
	const char *name = name_of(oc_json_get(oc_cli_clean(result), "device"));
	printf("%s %s\n", name[0] != 0 ? name : args->pos[0], said);
	if (oc_json_str(result, "token", "")[0] != 0)
		printf("Its new token, which is shown only now: %s\n", oc_json_str(result, "token", ""));
	return OC_EXIT_OK;
}

static int run_approve(const oc_args *args)
{
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

static const oc_command list_command = {.name = "list", .summary = "who asks, and who was let in", .opts = json_opt, .run = run_list};
static const oc_command approve_command = {
	.name = "approve", .args = "REQUEST", .summary = "let a device in that asked", .opts = json_opt, .min_args = 1, .max_args = 1,
	.help = "A request is kept for five minutes.\n", .run = run_approve};
static const oc_command reject_command = {
	.name = "reject", .args = "REQUEST", .summary = "refuse a device that asked", .opts = json_opt, .min_args = 1, .max_args = 1, .run = run_reject};
static const oc_command rotate_command = {
	.name = "rotate", .args = "DEVICE [ROLE]", .summary = "give a device a new token", .opts = json_opt, .min_args = 1, .max_args = 2,
	.run = run_rotate};
static const oc_command revoke_command = {
	.name = "revoke", .args = "DEVICE [ROLE]", .summary = "end a device's token", .opts = json_opt, .min_args = 1, .max_args = 2,
	.run = run_revoke};
static const oc_command remove_command = {
	.name = "remove", .args = "DEVICE", .summary = "forget a device", .opts = json_opt, .min_args = 1, .max_args = 1, .run = run_remove};
static const oc_command *const subs[] = {&list_command, &approve_command, &reject_command, &rotate_command, &revoke_command, &remove_command, NULL};

const oc_command oc_cmd_devices = {
	.name = "devices",
	.summary = "phones, browsers and scripts with a key of their own",
	.help = "Clients of OpenClaw's own protocol have a key.  From this machine, with the gateway's token, they are let in at once;\n"
		"from elsewhere they ask first.  The role is \"operator\" unless it is named.\n",
	.subs = subs,
};
