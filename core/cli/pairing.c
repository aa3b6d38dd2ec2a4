/*
 * openclaw pairing: strangers who asked to talk to the agent, and letting them in.
 *
 * A running gateway is asked, which then tells the sender; without one the store is read and written here.
 */
#include <string.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/cli/commands.h"
#include "core/cli/remote.h"
#include "core/store/pairing.h"

static oc_status open_store(int mode, oc_store **ret, oc_err *err)
{
	oc_auto_free char *path = oc_path_state("openclaw.db");
	return path == NULL ? oc_fail(err, OC_E_NOMEM, NULL, "out of memory") : oc_store_open(path, NULL, mode, ret, err);
}

static oc_status get_list(const char *channel, cJSON **ret, oc_err *err)
{
	oc_store *store = NULL;
	oc_status status;
	if (oc_remote_alive()) {
		oc_auto_json cJSON *result = NULL;
		cJSON *params = cJSON_CreateObject();
		if (channel != NULL)
			(void)oc_json_set_str(params, "channel", channel);
		status = oc_remote_call("pairing.list", params, 0, &result, err);
		if (status == OC_OK)
			*ret = cJSON_DetachItemFromObjectCaseSensitive(result, "requests");
		return status == OC_OK && *ret == NULL ? oc_fail(err, OC_E_PROTOCOL, NULL, "the gateway answered without a list")
						       : status;
	}
	status = open_store(OC_STORE_READER, &store, err);
	if (status == OC_E_NOT_FOUND) { /* nothing was ever stored here */
		*ret = cJSON_CreateArray();
		return *ret != NULL ? OC_OK : oc_fail(err, OC_E_NOMEM, NULL, "out of memory");
	}
	if (status == OC_OK)
		status = oc_pairing_list(store, channel, ret, err);
	oc_store_close(store);
	return status;
}

static void print_list(const cJSON *list)
{
	static const char *const heads[] = {"CODE", "CHANNEL", "ACCOUNT", "SENDER", "NAME", "VALID UNTIL"};
	const cJSON *r;
	if (cJSON_GetArraySize(list) == 0) {
		puts("Nobody waits to be let in.");
		return;
	}
	oc_table *table = oc_table_new(heads, sizeof heads / sizeof heads[0]);
	cJSON_ArrayForEach(r, list)
	{
		char until[32];
		oc_wall_format(oc_json_i64(r, "expiresAt", 0), until, sizeof until);
		const char *cells[] = {oc_json_str(r, "code", ""),   oc_json_str(r, "channel", ""), oc_json_str(r, "account", ""),
				       oc_json_str(r, "sender", ""), oc_json_str(r, "name", ""),    until};
		oc_table_row(table, cells);
	}
	oc_table_print(table, stdout);
	puts("\nLet one in with: openclaw pairing approve CHANNEL CODE");
}

static void print_allowed(const cJSON *list)
{
	static const char *const heads[] = {"CHANNEL", "ACCOUNT", "SENDER", "NAME", "SINCE"};
	const cJSON *r;
	oc_table *table = oc_table_new(heads, sizeof heads / sizeof heads[0]);
	cJSON_ArrayForEach(r, list)
	{
		char since[32];
		oc_wall_format(oc_json_i64(r, "addedAt", 0), since, sizeof since);
		const char *cells[] = {oc_json_str(r, "channel", ""), oc_json_str(r, "account", ""), oc_json_str(r, "sender", ""),
				       oc_json_str(r, "name", ""), since};
		oc_table_row(table, cells);
	}
	oc_table_print(table, stdout);
}

/* Those who were let in are read from the store, also while a gateway runs. */
static int list_allowed(const oc_args *args)
{
	oc_err err = {0};
	oc_store *store = NULL;
	cJSON *list = NULL;
	oc_status status = open_store(OC_STORE_READER, &store, &err);
	if (status == OC_OK)
		status = oc_pairing_allow_list(store, args->n_pos > 0 ? args->pos[0] : NULL, &list, &err);
	else if (status == OC_E_NOT_FOUND)
		status = (list = cJSON_CreateArray()) != NULL ? OC_OK : OC_E_NOMEM;
	oc_store_close(store);
	if (status != OC_OK)
		return oc_cli_fail(&err);
	if (oc_arg_flag(args, "json"))
		return oc_cli_print_json(list);
	if (cJSON_GetArraySize(list) == 0)
		puts("Nobody was let in by a code.");
	else
		print_allowed(oc_cli_clean(list));
	cJSON_Delete(list);
	return OC_EXIT_OK;
}

/* Leaves those of one account. */
static void only_account(cJSON *list, const char *account)
{
	cJSON *one = list->child;
	while (account != NULL && one != NULL) {
		cJSON *next = one->next;
		if (strcmp(oc_json_str(one, "account", ""), account) != 0)
			cJSON_Delete(cJSON_DetachItemViaPointer(list, one));
		one = next;
	}
}

static int run_list(const oc_args *args)
{
	oc_err err = {0};
	cJSON *list = NULL;
	if (oc_arg_flag(args, "allowed"))
		return list_allowed(args);
	const char *channel = oc_arg(args, "channel");
	if (get_list(channel != NULL ? channel : args->n_pos > 0 ? args->pos[0] : NULL, &list, &err) != OC_OK)
		return oc_cli_fail(&err);
	only_account(list, oc_arg(args, "account"));
	if (oc_arg_flag(args, "json"))
		return oc_cli_print_json(list);
	print_list(oc_cli_clean(list));
	cJSON_Delete(list);
	return OC_EXIT_OK;
}

static oc_status approve(const char *channel, const char *code, bool *ret_told, cJSON **ret, oc_err *err)
{
	oc_store *store = NULL;
	*ret_told = oc_remote_alive();
	if (*ret_told) {
		oc_auto_json cJSON *result = NULL;
		cJSON *params = cJSON_CreateObject();
		(void)oc_json_set_str(params, "channel", channel);
		(void)oc_json_set_str(params, "code", code);
		oc_status status = oc_remote_call("pairing.approve", params, 0, &result, err);
		if (status == OC_OK)
			*ret = cJSON_DetachItemFromObjectCaseSensitive(result, "request");
		return status;
	}
	oc_status status = open_store(OC_STORE_SHARED, &store, err);
	if (status == OC_OK)
		status = oc_pairing_approve(store, channel, code, ret, err);
	oc_store_close(store);
	return status;
}

static int run_approve(const oc_args *args)
{
	oc_err err = {0};
	oc_auto_json cJSON *request = NULL;
	bool told = false;
	oc_auto_json cJSON *list = NULL;
	const char *channel = args->n_pos > 1 ? args->pos[0] : oc_arg(args, "channel"), *code = args->pos[args->n_pos - 1];
	/* A code alone: it says itself where it was given, as long as it waits. */
	if (channel == NULL && get_list(NULL, &list, &err) == OC_OK) {
		only_account(list, oc_arg(args, "account"));
		const cJSON *one;
		cJSON_ArrayForEach(one, list) if (oc_str_ieq(oc_json_ostr(one, "code"), oc_str_of(code))) channel = oc_json_str(one, "channel", NULL);
	}
	if (channel == NULL)
		return oc_cli_fail((oc_fail(&err, OC_E_NOT_FOUND, "see `openclaw pairing list`; codes live for one hour", "no pairing request has the code %s", code), &err));
	if (approve(channel, code, &told, &request, &err) != OC_OK)
		return oc_cli_fail(&err);
	if (oc_arg_flag(args, "json"))
		return oc_cli_print_json(cJSON_Duplicate(request, true));
	const char *name = oc_json_str(oc_cli_clean(request), "name", "");
	printf("%s%s%s%s may talk to the agent on %s now%s.\n", oc_json_str(request, "sender", "The sender"),
	       name[0] != 0 ? " (" : "", name, name[0] != 0 ? ")" : "", channel,
	       told ? ", and was told so" : "; no gateway runs, so nobody told them");
	return OC_EXIT_OK;
}

/* A code that nobody shall use, or (sender) somebody who shall be answered no longer. */
static int take_back(const oc_args *args, bool sender)
{
	oc_err err = {0};
	oc_store *store = NULL;
	const char *channel = args->pos[0], *what = args->pos[1], *account = sender ? oc_arg(args, "account") : NULL;
	oc_status status;
	if (oc_remote_alive()) {
		oc_auto_json cJSON *result = NULL;
		cJSON *params = cJSON_CreateObject();
		(void)oc_json_set_str(params, "channel", channel);
		(void)oc_json_set_str(params, sender ? "sender" : "code", what);
		oc_json_opt(params, "account", account);
		status = oc_remote_call(sender ? "pairing.revoke" : "pairing.reject", params, 0, &result, &err);
	} else if ((status = open_store(OC_STORE_SHARED, &store, &err)) == OC_OK) {
		status = sender ? oc_pairing_revoke(store, channel, account != NULL ? account : "default", what, &err)
				: oc_pairing_reject(store, channel, what, &err);
		oc_store_close(store);
	}
	if (status != OC_OK)
		return oc_cli_fail(&err);
	printf(sender ? "%s is a stranger on %s again.\n" : "The code %s on %s is worth nothing now.\n", what, channel);
	return OC_EXIT_OK;
}

static int run_reject(const oc_args *args)
{
	return take_back(args, false);
}

static int run_revoke(const oc_args *args)
{
	return take_back(args, true);
}

static const oc_command list_command = {
	.name = "list",
	.args = "[CHANNEL]",
	.summary = "who asked, with the codes",
	.opts = (const oc_opt[]){{"allowed", 0, NULL, "who was let in instead"}, {"channel", 0, "NAME", "of this channel"},
				 {"account", 0, "NAME", "of this account"}, {"json", 0, NULL, "one JSON document"}, {0}},
	.max_args = 1,
	.run = run_list,
};
static const oc_command approve_command = {
	.name = "approve",
	.args = "[CHANNEL] CODE",
	.summary = "let the sender of a code in, for good",
	.help = "The code is the one the sender was given; it is valid for an hour, and only the owner of this machine can use it.\n",
	.opts = (const oc_opt[]){{"channel", 0, "NAME", "where it was given"}, {"account", 0, "NAME", "of the channel"},
				 {"notify", 0, NULL, "a running gateway tells the sender anyway"}, {"json", 0, NULL, "one JSON document"}, {0}},
	.min_args = 1,
	.max_args = 2,
	.run = run_approve,
};
static const oc_command reject_command = {
	.name = "reject",
	.args = "CHANNEL CODE",
	.summary = "make a code worthless; its sender stays a stranger",
	.min_args = 2,
	.max_args = 2,
	.run = run_reject,
};
static const oc_command revoke_command = {
	.name = "revoke",
	.args = "CHANNEL SENDER",
	.summary = "answer somebody no longer who was let in by a code",
	.help = "`pairing list --allowed` names them. Who is in the configuration's allowFrom is taken out there.\n",
	.opts = (const oc_opt[]){{"account", 0, "NAME", "of the channel (default)"}, {0}},
	.min_args = 2,
	.max_args = 2,
	.run = run_revoke,
};
static const oc_command *const subs[] = {&list_command, &approve_command, &reject_command, &revoke_command, NULL};

const oc_command oc_cmd_pairing = {
	.name = "pairing",
	.summary = "let strangers in who asked on a channel",
	.help = "With channels.NAME.dmPolicy \"pairing\" (the default) a person who is not in allowFrom gets a code instead of an\n"
		"answer.  Whoever you approve is answered from then on.\n",
	.subs = subs,
};
